"""Whose client one is, as the servers themselves have it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from rig.dhcp_daemons import Pair
from rig.netns import NetHost, Segment
from rig.wan import inside
from saltext.ipalias.dhcp.bounds import Client
from saltext.ipalias.dhcp.buckets import bucket, spread_macs
from saltext.ipalias.dhcp.client import Clients, Wire

pytestmark = pytest.mark.root

#: Of a client that says how long it has waited each server is one in the end.
MUTE = Client(1.0, 1.0, 1.0, 0.05, counts=False)


@pytest.mark.parametrize(
    ("suite", "implementation"), [("bookworm", "isc"), ("bookworm", "kea"), ("trixie", "kea")]
)
def test_each_server_answers_those_of_its_half(
    suite: str, implementation: str, tmp_path: Path
) -> None:
    with (
        Segment() as segment,
        NetHost(segment) as third,
        Pair(suite, implementation, segment, tmp_path) as made,
    ):
        made.start()
        made.await_word("normal")
        one, two = made.sides
        with inside(third), Clients(Wire("eth0"), again=MUTE) as clients:
            asking = [clients.add(mac) for mac in spread_macs(48, Random(3074))]
            assert len(clients.obtain(asking, 60)) == len(asking)
    for client in asking:
        found = bucket(bytes.fromhex(client.mac.replace(":", "")))
        mine = found < 128 if implementation == "isc" else found % 2 == 0
        assert client.held is not None
        assert client.held.server == (one if mine else two).me.address, (client.mac, found)
