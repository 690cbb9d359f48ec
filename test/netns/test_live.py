"""Live readers, batch and announcements against the real kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from rig.machine import Machine
from rig.netns import NetHost, Segment
from rig.process import wait_until
from saltext.ipalias import announce
from saltext.ipalias.host import Result
from saltext.ipalias.live import batch as batch_lines
from saltext.ipalias.live import iproute2
from saltext.ipalias.model import SOURCE_NEVER, Alias

pytestmark = pytest.mark.root

# Runs inside the host: frames come as hexadecimal words behind the interface.
SEND = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind((sys.argv[1], 0))
    for frame in sys.argv[2:]:
        link.send(bytes.fromhex(frame))
"""


class Inside:
    """Read a host of the rig as the library reads one."""

    system = "linux"

    def __init__(self, machine: Machine, without_json: bool = False) -> None:
        self.machine = machine
        self.without_json = without_json

    def read(self, path: str) -> str | None:
        return self.machine.read(path)

    def exists(self, path: str) -> bool:
        return self.machine.exists(path)

    def glob(self, pattern: str) -> list[str]:
        raise NotImplementedError

    def which(self, name: str) -> str | None:
        raise NotImplementedError

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        if self.without_json and "-j" in argv:
            return Result(255, "", 'Option "-j" is unknown, try "ip -help".\n')
        return Result(*self.machine.run(argv, stdin, timeout, check=False))


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as made:
        yield made


@pytest.fixture
def host(segment: Segment) -> Iterator[NetHost]:
    with NetHost(segment) as made:
        yield made


def alias(cidr: str, source: str = "auto") -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", source=source)


def batch(host: NetHost, ops: Sequence[batch_lines.Op], check: bool = True) -> Result:
    text = batch_lines.render_batch(ops)
    return Result(*host.run(batch_lines.BATCH, text, timeout=60.0, check=check))


EVERY_FORM = [
    batch_lines.Op(alias("198.51.100.10/32")),
    batch_lines.Op(alias("198.51.100.11/32"), label="eth0:fo1"),
    batch_lines.Op(alias("198.51.100.12/32"), label="failover1"),
    batch_lines.Op(alias("198.51.100.13/32", SOURCE_NEVER)),
    batch_lines.Op(alias("198.51.100.14/31")),
    batch_lines.Op(alias("192.0.2.200/24")),
    batch_lines.Op(alias("203.0.113.10/24", SOURCE_NEVER), label="eth0:w", route=True),
    batch_lines.Op(alias("2001:db8:1::10/128")),
    batch_lines.Op(alias("2001:db8:1::11/128", SOURCE_NEVER)),
    batch_lines.Op(alias("2001:db8:2::11/64", SOURCE_NEVER)),
]


def test_every_form_becomes_what_it_says(host: NetHost) -> None:
    batch(host, EVERY_FORM)
    live = {found.cidr: found for found in iproute2.read_snapshot(Inside(host)).on("eth0")}
    for op in EVERY_FORM:
        found = live[op.alias.cidr]
        assert found.label == op.label
        if op.alias.family == 6:
            assert found.preferred_zero is op.alias.never_source
        else:
            assert found.scope == ("host" if op.alias.never_source else "global")
    assert live["192.0.2.200/24"].flags == {"secondary"}
    assert live["203.0.113.10/24"].flags == {"noprefixroute"}
    shown = {entry["local"]: entry for link in json.loads(host.ip("-j", "address").out)
             for entry in link["addr_info"]}  # fmt: skip
    assert shown["192.0.2.200"]["broadcast"] == "192.0.2.255"
    assert "broadcast" not in shown["198.51.100.10"]


def test_never_source_is_never_the_source(host: NetHost) -> None:
    ops = [op for op in EVERY_FORM if op.alias.never_source]
    batch(host, ops)
    # Once more after the primary was away: the order of the addresses has changed then.
    for _ in range(2):
        for target in ("203.0.113.77", "198.51.100.99", "192.0.2.1", "192.0.2.250"):
            assert host.source(target) == host.primary
        for target in ("2001:db8:ffff::1", "2001:db8:2::77", "2001:db8::1"):
            assert host.source(target) == f"2001:db8::{host.number:x}"
        host.ip("address", "delete", f"{host.primary}/24", "dev", "eth0")
        host.ip("address", "delete", f"2001:db8::{host.number:x}/64", "dev", "eth0")
        host.ip_batch(
            f"address add {host.primary}/24 brd + dev eth0",
            f"address add 2001:db8::{host.number:x}/64 dev eth0",
            "route replace default via 192.0.2.1",
            "route replace default via 2001:db8::1 dev eth0",
        )


def test_taking_every_form_away_leaves_what_was(host: NetHost) -> None:
    before = iproute2.read_snapshot(Inside(host))
    batch(host, EVERY_FORM)
    after = iproute2.read_snapshot(Inside(host))
    undo = [
        batch_lines.Op(op.alias, delete=True, route=batch_lines.frees_route(op.alias, after))
        for op in EVERY_FORM
    ]
    assert sum(op.route for op in undo) == 1
    batch(host, undo)
    assert iproute2.read_snapshot(Inside(host)) == before


def test_text_reads_the_same_as_json(host: NetHost) -> None:
    batch(host, EVERY_FORM)
    host.ip("route", "add", "default", "metric", "9", "nexthop", "via", "192.0.2.250",
            "nexthop", "via", "192.0.2.251")  # fmt: skip
    host.ip("route", "add", "unreachable", "203.0.113.128/25")
    by_json = iproute2.read_snapshot(Inside(host))
    assert iproute2.read_snapshot(Inside(host, without_json=True)) == by_json
    assert len(by_json.defaults(4)) == 3
    one_line = iproute2.parse_text(
        host.ip("-o", "address", "show").out, link_text=host.ip("-o", "link", "show").out
    )
    assert one_line.addresses == by_json.addresses
    assert one_line.links == by_json.links


def test_preferred_lifetime_changes_in_place(host: NetHost) -> None:
    batch(host, [batch_lines.Op(alias("2001:db8:1::10/128"))])
    for source in (SOURCE_NEVER, "auto"):
        batch(host, [batch_lines.Op(alias("2001:db8:1::10/128", source), change=True)])
        (found,) = (
            found
            for found in iproute2.read_snapshot(Inside(host)).on("eth0")
            if found.cidr == "2001:db8:1::10/128"
        )
        assert found.preferred_zero is (source == SOURCE_NEVER)


def test_batch_stops_at_the_change_it_names(host: NetHost) -> None:
    ops = [
        batch_lines.Op(alias("203.0.113.10/24", SOURCE_NEVER), route=True),
        batch_lines.Op(alias("198.51.100.10/32")),
        batch_lines.Op(alias("198.51.100.11/32")),
        batch_lines.Op(alias("198.51.100.12/32")),
    ]
    host.ip("address", "add", "198.51.100.11/32", "dev", "eth0")
    result = batch(host, ops, check=False)
    assert result.code != 0
    assert batch_lines.parse_batch_error(result.err, ops) == 2
    assert host.has("203.0.113.10/24")
    assert host.has("198.51.100.10/32")
    assert not host.has("198.51.100.12/32")


def test_two_thousand_go_in_and_out_in_one_batch_each(host: NetHost) -> None:
    aliases = [alias(f"203.0.113.{n + 1}/32") for n in range(250)]
    aliases += [alias(f"2001:db8::{n >> 12:x}:{n & 0xFFF:x}:a0/128") for n in range(1, 1_751)]
    aliases = [replace(entry, address=str(ip_address(entry.address))) for entry in aliases]
    before = iproute2.read_snapshot(Inside(host))
    batch(host, [batch_lines.Op(entry) for entry in aliases])
    live = {found.cidr for found in iproute2.read_snapshot(Inside(host)).on("eth0")}
    assert live >= {entry.cidr for entry in aliases}
    batch(host, [batch_lines.Op(entry, delete=True) for entry in reversed(aliases)])
    assert iproute2.read_snapshot(Inside(host)) == before


def mac(host: NetHost) -> str:
    return iproute2.read_snapshot(Inside(host)).by_link["eth0"].mac


def neighbour(segment: Segment, address: str) -> str | None:
    entries = json.loads(segment.ip("-j", "neighbour", "show", address, "dev", "br0").out)
    return next((entry.get("lladdr") for entry in entries), None)


@pytest.mark.parametrize("form", ["request", "reply", "advertisement"])
def test_neighbour_takes_the_new_owner(segment: Segment, form: str) -> None:
    moved = alias("2001:db8::a1/128" if form == "advertisement" else "198.51.100.10/32")
    with NetHost(segment) as old, NetHost(segment) as new:
        batch(old, [batch_lines.Op(moved)])
        assert segment.ping(moved.address)
        assert neighbour(segment, moved.address) == mac(old)
        batch(old, [batch_lines.Op(moved, delete=True)])
        batch(new, [batch_lines.Op(moved)])
        assert neighbour(segment, moved.address) == mac(old), "nobody has told it yet"
        if form == "reply":
            frame = announce.render_garp(mac(new), moved.address, reply=True)
        else:
            frame = announce.render_frame(mac(new), moved.address)
        new.run([new.python, "-I", "-S", "-c", SEND, "eth0", frame.hex()])
        wait_until(
            lambda: neighbour(segment, moved.address) == mac(new),
            f"{moved.address} to move to {mac(new)}",
            timeout=10.0,
        )
        assert segment.ping(moved.address)
