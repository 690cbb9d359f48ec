"""Two living Keas in hot-standby that do not hear each other, and clients that hear both."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rig.dhcp_daemons import Pair, Side, block
from rig.netns import NetHost, Segment
from rig.process import wait_until
from rig.wan import inside
from saltext.ipalias.dhcp import keactl
from saltext.ipalias.dhcp.bounds import patience_of_standby, steady
from saltext.ipalias.dhcp.client import Clients, Wire
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.keactl import HaState

pytestmark = pytest.mark.root

#: When a client asks again: each of these says in its next message how long it has waited.
EACH_SECOND = steady(1.0)
COUNT = 6


def word_of(side: Side) -> HaState:
    path = side.config.pair.kea.control_socket
    return keactl.parse_status(keactl.ask(path, "status-get"), path)


def ask(host: NetHost, served: list[str]) -> None:
    with inside(host), Clients(Wire("eth0"), again=EACH_SECOND) as clients:
        found = clients.obtain([clients.add() for _ in range(COUNT)], 60)
        served += [client.held.server for client in found if client.held]


@pytest.mark.parametrize("patient", [True, False])
def test_a_standby_that_is_patient_enough_leaves_a_living_primary_alone(
    patient: bool, tmp_path: Path
) -> None:
    short = parse_dhcp(block("kea", ["192.0.2.2", "192.0.2.3"])).pair.kea
    enough = patience_of_standby(short, EACH_SECOND)
    assert short.max_ack_delay < enough
    keys = {"mode": "hot-standby", "max_ack_delay": enough if patient else short.max_ack_delay}
    with (
        Segment() as segment,
        NetHost(segment) as third,
        Pair("trixie", "kea", segment, tmp_path, kea=keys) as made,
    ):
        made.start()
        made.await_word("normal")
        one, two = made.sides
        away = two.me.address
        made.drop("dhcp1", f"ip saddr {away}", outward=f"ip daddr {away}")
        served: list[str] = []
        asking = threading.Thread(target=ask, args=(third, served), daemon=True)
        asking.start()
        wait_until(lambda: word_of(one).local == "partner-down", "the primary to go on alone")
        asking.join()
        assert served == [one.me.address] * COUNT
        if patient:
            now = word_of(two)
            assert (now.local, now.interrupted, now.unacked) == ("hot-standby", True, 0)
        else:
            wait_until(lambda: word_of(two).local == "partner-down", "the standby to give out too")
