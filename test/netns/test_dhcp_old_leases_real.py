"""A member that gets old leases back, with the releases' own servers: what the pair makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig.dhcp_daemons import Pair, Side
from rig.netns import NetHost, Segment
from rig.process import wait_until
from rig.wan import inside
from saltext.ipalias.dhcp import iscleases, kealeases
from saltext.ipalias.dhcp.client import Clients, Wire, numbered_mac
from saltext.ipalias.dhcp.conflicts import Finding, Held, find
from saltext.ipalias.dhcp.exchange import Exchange
from saltext.ipalias.dhcp.model import LeaseFile

pytestmark = pytest.mark.root

COUNT = 20


@contextmanager
def scene(suite: str, implementation: str, folder: Path) -> Iterator[tuple[Pair, Clients]]:
    """Give a pair in order, and clients on its segment."""
    with (
        Segment() as segment,
        Pair(suite, implementation, segment, folder) as made,
        NetHost(segment) as host,
    ):
        made.start()
        made.await_word("normal")
        with inside(host):
            wire = Wire("eth0")
        with Clients(wire) as living:
            yield made, living


def path_of(side: Side) -> Path:
    isc = side.config.implementation == "isc"
    return side.folder / ("dhcpd.leases" if isc else "kea-leases4.csv")


def read(side: Side) -> LeaseFile:
    path = path_of(side)
    if side.config.implementation == "isc":
        return iscleases.parse_file(path.read_text(), side.name)

    def text(path: str) -> str | None:
        return Path(path).read_text() if Path(path).exists() else None

    return kealeases.parse_files(kealeases.read_texts(str(path), text), side.name)


def found(pair: Pair, clients: list[Exchange]) -> list[Finding]:
    """Return what is wrong with both files, and with what the clients have."""
    held = [Held(client.held.address, client.mac) for client in clients if client.held]
    sides = {side.name: [read(side)] for side in pair.sides}
    return find(sides, pair.sides[0].config, time.time(), grace=0.0, held=held)


def all_known(pair: Pair, clients: list[Exchange]) -> None:
    """Wait until both sides know all leases: one is told of them a moment later."""
    wait_until(lambda: not found(pair, clients), "both sides to know all leases")


def grow(pair: Pair, living: Clients, first: int) -> list[Exchange]:
    made = [living.add(numbered_mac(first + number)) for number in range(COUNT)]
    assert living.obtain(made, 30) == made
    return made


def set_back(pair: Pair, living: Clients, *, sync: bool) -> list[Exchange]:
    """Give the primary its leases of before the last clients back, and start it."""
    side = pair.side("dhcp1")
    clients = grow(pair, living, 0)
    all_known(pair, clients)
    old = path_of(side).read_text()
    clients += grow(pair, living, 1000)
    all_known(pair, clients)
    pair.kill("dhcp1")
    if side.config.implementation == "isc":
        old = iscleases.without_tail(old)
        old = iscleases.without_pairs(old) if sync else old
    path_of(side).write_text(old)
    assert len([x for x in read(side).last().values() if x.state == "active"]) == COUNT
    pair.start("dhcp1")
    return clients


def test_dhcpd_has_all_leases_of_its_peer_before_it_serves(tmp_path: Path) -> None:
    with scene("bookworm", "isc", tmp_path) as (pair, living):
        clients = set_back(pair, living, sync=True)
        all_known(pair, clients)
        # It waits for mclt, and its peer serves everybody meanwhile.
        pair.await_word("recovering", "dhcp1")
        pair.await_word("partner-down", "dhcp2")
        fresh = grow(pair, living, 2000)
        assert {client.held.server for client in fresh if client.held} == {
            pair.side("dhcp2").me.address
        }
        all_known(pair, clients + fresh)


def test_without_that_leases_would_be_lost_to_one_side(tmp_path: Path) -> None:
    with scene("bookworm", "isc", tmp_path) as (pair, living):
        clients = set_back(pair, living, sync=False)
        pair.await_word("normal")
        told = found(pair, clients)
        assert {one.kind for one in told} == {"one side only"}
        assert len(told) == COUNT and {one.sides for one in told} == {("dhcp2",)}


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_kea_has_all_leases_of_its_peer_before_it_serves(suite: str, tmp_path: Path) -> None:
    with scene(suite, "kea", tmp_path) as (pair, living):
        clients = set_back(pair, living, sync=True)
        pair.await_word("normal")
        all_known(pair, clients)
        all_known(pair, clients + grow(pair, living, 2000))
