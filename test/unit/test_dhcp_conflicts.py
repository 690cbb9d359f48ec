"""Both sides' lease files: what is given twice, known to one side only, lost, or in no pool."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.dhcppair import GUIDE, changed
from saltext.ipalias.dhcp import iscleases, leases
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.conflicts import Held, find
from saltext.ipalias.dhcp.leases import parse_told, render_told
from saltext.ipalias.dhcp.model import Lease, LeaseFile
from saltext.ipalias.errors import EffectError, InputError

CONFIG = parse_dhcp(GUIDE)
KEA = parse_dhcp(changed(GUIDE, implementation="kea"))
T = 1767323045.0
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ADDRESS = "192.0.2.100"


def entry(mac: str, begins: float, ends: float | None, state: str = "active", **more: Any) -> Lease:
    told: dict[str, Any] = {"address": ADDRESS, "where": f"f:{begins:g}", **more}
    end = None if ends is None else T + ends
    return Lease(told.pop("address"), state, mac, starts=T + begins, ends=end, **told)


def both(one: Sequence[Lease], two: Sequence[Lease]) -> dict[str, list[LeaseFile]]:
    return {"dhcp1": [LeaseFile("a", tuple(one))], "dhcp2": [LeaseFile("b", tuple(two))]}


def kinds(sides: Mapping[str, Sequence[LeaseFile]], now: float = 100, **more: Any) -> list[str]:
    return [found.kind for found in find(sides, CONFIG, T + now, **more)]


def test_one_address_to_two_clients_is_found_across_the_sides() -> None:
    sides = both([entry(A, 0, 600)], [entry(B, 60, 660)])
    found = [f for f in find(sides, CONFIG, T + 100) if f.kind == "twice"]
    assert [f.row() for f in found] == [
        {
            "kind": "twice",
            "address": ADDRESS,
            "clients": [A, B],
            "sides": ["dhcp1", "dhcp2"],
            "where": ["f:0", "f:60"],
            "from": T + 60,
            "until": T + 600,
            "comment": f"{A} (f:0) and {B} (f:60) had it at one time",
        }
    ]


def test_it_is_found_within_one_file_and_in_what_is_over() -> None:
    one = [entry(A, 0, 600), entry(B, 60, 660), entry(B, 60, 660, "expired")]
    assert kinds({"dhcp1": [LeaseFile("a", tuple(one))]}, now=5000) == ["twice"]
    # And where the file has been written anew in between.
    files = [LeaseFile("a", (one[0],)), LeaseFile("a", tuple(one[1:]))]
    assert kinds({"dhcp1": files}, now=5000) == ["twice"]


@pytest.mark.parametrize("state", ["released", "free", "expired", "backup", "abandoned"])
def test_one_after_the_other_is_right(state: str) -> None:
    one = [entry(A, 0, 600), entry(A, 0, 50, state), entry(B, 50, 650)]
    # The peer was told the latest state alone: it never heard that the first had given it up.
    two = [entry(A, 0, 600), entry(B, 50, 650)]
    assert kinds(both(one, two), grace=1000) == []
    assert kinds(both(two, two), grace=1000) == ["twice"]


def test_an_end_in_the_second_of_the_beginning_counts() -> None:
    one = [entry(A, 0, 600), entry(A, 0, 0, "free"), entry(B, 0, 600)]
    two = [entry(A, 0, 600), entry(B, 0, 600)]
    assert kinds(both(one, two), grace=1000) == []
    # One that came about before the lease does not end it.
    one = [entry(A, 0, 0, "free"), entry(A, 0, 600)]
    assert "twice" in kinds(both(one, [entry(A, 0, 600), entry(B, 5, 600)]))


def test_a_second_of_rounding_is_no_conflict() -> None:
    assert kinds(both([entry(A, 0, 60)], [entry(B, 59, 600)]), grace=1000) == []
    assert "twice" in kinds(both([entry(A, 0, 60)], [entry(B, 58, 600)]))


def test_a_lease_for_ever_has_no_other_beside_it() -> None:
    found = find(both([entry(A, 0, None)], [entry(B, 9000, None)]), CONFIG, T + 100)
    assert [f.ends for f in found if f.kind == "twice"] == [None]


def test_a_client_is_one_by_its_id() -> None:
    same = [entry(A, 0, 600, client="01aa"), entry(B, 10, 610, client="01aa")]
    assert kinds(both(same, same)) == []
    other = [entry(A, 0, 600, client="01aa"), entry(A, 10, 610, client="01bb")]
    assert kinds(both(other, other)) == ["twice"]
    # A side that has the hardware address alone means the same one.
    assert kinds(both([entry(A, 0, 600, client="01aa")], [entry(A, 0, 600)])) == []


def test_what_one_side_alone_knows_is_told_beyond_mclt() -> None:
    sides = both([entry(A, 0, 99999)], [])
    ahead = both([entry(A, 0, 600)], [])
    assert kinds(ahead, now=100) == []
    assert kinds(ahead, now=100, grace=50) == ["one side only"]
    # 3600 s are the guide's.
    assert kinds(both([entry(A, 0, 600), entry(A, 3300, 3900)], []), now=3601) == ["one side only"]
    # Longer than the one may make it without the other one.
    assert kinds(sides, now=1) == ["one side only"]
    assert [f.kind for f in find(sides, KEA, T + 1)] == []


@pytest.mark.parametrize(
    "there",
    [
        [entry(A, 0, 50)],
        [entry(A, 0, 600), entry(A, 0, 50, "released")],
        [entry(B, -900, -300, "expired")],
    ],
)
def test_the_other_side_may_know_something_else(there: list[Lease]) -> None:
    assert kinds(both([entry(A, 0, 600)], there), grace=50) == ["one side only"]


def test_what_is_over_need_not_be_known() -> None:
    assert kinds(both([entry(A, 0, 60)], []), now=100, grace=0) == []
    assert kinds(both([entry(A, 0, 600, "free")], []), now=100, grace=0) == []


def test_one_side_alone_is_no_pair() -> None:
    assert kinds({"dhcp1": [LeaseFile("a", (entry(A, 0, 99999),))]}, now=9000) == []


def test_a_lease_that_no_pool_has() -> None:
    held = [entry(A, 0, 600, address="192.0.2.99"), entry(B, 0, 600, address="198.51.100.7")]
    assert kinds(both(held, held)) == ["outside"] * 4
    assert kinds(both(held, held), now=700) == []


def test_a_reservation_is_no_stranger() -> None:
    subnet = GUIDE["subnets"][0]
    kept = {"mac": A, "address": "192.0.2.50"}
    config = parse_dhcp(changed(GUIDE, subnets=[{**subnet, "reservations": [kept]}]))
    held = [entry(A, 0, 600, address="192.0.2.50")]
    assert find(both(held, held), config, T + 100) == []
    assert [f.kind for f in find(both(held, held), CONFIG, T + 100)] == ["outside"] * 2


def test_what_a_client_has_is_lost_where_nobody_knows() -> None:
    held = [Held(ADDRESS, A)]
    assert kinds(both([], [entry(A, 0, 600)]), held=held) == []
    assert kinds(both([entry(A, 0, 50)], [entry(B, 0, 600)]), held=held, grace=1000) == [
        "lost",
        "twice",
    ]
    assert kinds(both([], []), held=held) == ["lost"]


def test_what_cannot_be_read_is_told() -> None:
    file = iscleases.parse_file("lease 192.0.2.100 {", "a")
    [found] = find({"dhcp1": [file]}, CONFIG, T)
    assert (found.kind, found.sides) == ("unread", ("dhcp1",))
    assert "a:1: the file is cut off" in found.comment


# -- a pair that is right ------------------------------------------------------------------

ADDRESSES = ("192.0.2.100", "192.0.2.101")
CLIENTS = tuple(f"02:00:00:00:00:0{n}" for n in range(4))

steps = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["lease", "renew", "release", "told", "told"]),
        st.sampled_from(CLIENTS),
        st.sampled_from(ADDRESSES),
        st.booleans(),
    ),
    max_size=40,
)


class Pair:
    """Two servers that do right: one gives an address away that both agree is free.

    What one has done the other is told later, and then only what has become of it.
    """

    def __init__(self) -> None:
        self.files: tuple[list[Lease], list[Lease]] = ([], [])
        self.queue: deque[tuple[int, str]] = deque()
        self.truth: dict[str, Lease] = {}
        self.now = T

    def write(self, side: int, lease: Lease) -> None:
        self.truth[lease.address] = lease
        self.files[side].append(lease)
        if (1 - side, lease.address) not in self.queue:
            self.queue.append((1 - side, lease.address))

    def tell(self) -> None:
        if self.queue:
            side, address = self.queue.popleft()
            self.files[side].append(self.truth[address])

    def step(self, wait: int, what: str, mac: str, address: str, side: bool) -> None:
        self.now += wait
        held = self.truth.get(address)
        active = held is not None and held.state == "active" and (held.ends or 0) > self.now
        fresh = Lease(address, "active", mac, starts=self.now, ends=self.now + 60)
        if what == "told":
            self.tell()
        elif what == "lease" and not active:
            self.write(int(side), fresh)
        elif held is not None and active and held.mac == mac:
            gone = replace(held, state="released", ends=self.now)
            self.write(int(side), fresh if what == "renew" else gone)

    def found(self) -> list[str]:
        return kinds(both(*self.files), now=self.now - T, grace=1e9)


@given(steps)
@settings(max_examples=400)
def test_a_pair_that_does_right_is_not_accused(
    taken: list[tuple[int, str, str, str, bool]],
) -> None:
    pair = Pair()
    for one in taken:
        pair.step(*one)
    assert pair.found() == []


@given(steps, st.booleans(), st.integers(2, 50))
@settings(max_examples=200)
def test_a_pair_that_gives_twice_is_found_out(
    taken: list[tuple[int, str, str, str, bool]], side: bool, wait: int
) -> None:
    pair = Pair()
    for one in taken:
        pair.step(*one)
    pair.now += 100
    first = Lease(ADDRESS, "active", A, starts=pair.now, ends=pair.now + 60)
    pair.write(int(side), first)
    pair.now += wait
    pair.write(int(not side), replace(first, mac=B, starts=pair.now, ends=pair.now + 60))
    pair.now += 500
    assert "twice" in pair.found()


# -- reading and telling -------------------------------------------------------------------


class Files:
    """A host that has files and nothing else."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files

    def which(self, name: str) -> None:
        return None


def test_each_servers_own_file_is_read() -> None:
    host = Files()
    host.files["/var/lib/dhcp/dhcpd.leases"] = "lease 192.0.2.100 { binding state free; }\n"
    head = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname\n"
    kea = "/var/lib/kea/kea-leases4.csv"
    host.files[f"{kea}.2"] = f"{head}192.0.2.101,,,60,60,1,0,0,\n"
    host.files[kea] = f"{head}192.0.2.102,,,60,60,1,0,0,\n"
    read = leases.read_side
    assert [x.address for x in read(host, CONFIG).leases] == ["192.0.2.100"]  # type: ignore[arg-type]
    addresses = [x.address for x in read(host, KEA).leases]  # type: ignore[arg-type]
    assert addresses == ["192.0.2.101", "192.0.2.102"]


@pytest.mark.parametrize("config", [CONFIG, KEA], ids=["isc", "kea"])
def test_a_file_that_is_not_there_is_told(config: Any) -> None:
    file = leases.read_side(Files(), config)  # type: ignore[arg-type]
    assert [problem.split(": ")[1] for problem in file.problems] == ["is not there"]


def test_a_database_that_cannot_be_asked_is_told() -> None:
    store = replace(KEA.pair.kea.leases, kind="mysql")
    config = replace(KEA, pair=replace(KEA.pair, kea=replace(KEA.pair.kea, leases=store)))
    with pytest.raises(EffectError, match=r"lease_database: .*mariadb-client is not installed"):
        leases.read_side(Files(), config)  # type: ignore[arg-type]


def test_what_is_told_is_what_was_read() -> None:
    file = LeaseFile("a", (entry(A, 0, None, client="01"), entry(B, 0, 9, "free")), ("a:1: x",))
    told = json.loads(json.dumps(render_told(file)))
    again = parse_told(told, "peer")
    assert again == file
    assert [x.where for x in again.leases] == ["f:0", "f:0"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"path": "a", "problems": [], "leases": [["x"]]},
        {"path": "a", "problems": [], "leases": [["x", "active", "", "", 1, 1, 1, ""]]},
        {"path": "a", "problems": [], "leases": [[ADDRESS, "mine", "", "", 1, 1, 1, ""]]},
        {"path": "a", "problems": [], "leases": [[ADDRESS, "free", "", "", "x", 1, 1, ""]]},
        {"path": "a", "problems": 7, "leases": []},
    ],
)
def test_what_is_no_telling_is_refused(data: object) -> None:
    with pytest.raises(InputError, match=r"^peer"):
        parse_told(data, "peer")
