"""The simulated kernel against the real one: same operations, same refusals, same dump."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

import pytest

from rig.netns import NetHost
from rig.process import wait_until
from rig.simip import Ip
from rig.simnet import SimAddress, SimNet, SimRoute
from saltext.ipalias.live import Snapshot
from saltext.ipalias.live.iproute2 import DUMP, parse_json

ADDRESSES4 = ["203.0.113.5", "203.0.113.6", "203.0.113.7", "192.0.2.2", "192.0.2.77"]
ADDRESSES6 = ["2001:db8::2", "2001:db8:1::10", "2001:db8:1::11", "2001:db8:1:0:8000::1"]
ROUTES = ["203.0.113.0/24", "203.0.113.0/25", "198.51.100.0/24"]


def operation(rng: random.Random) -> str:
    """Return one line of a batch, the kinds that are ever written and some slips."""
    kind = rng.random()
    verb = rng.choice(["add", "add", "add", "delete", "replace"])
    if kind < 0.12:
        words = ["route", verb, rng.choice(ROUTES), "dev eth0 scope link"]
    elif kind < 0.65:
        cidr = f"{rng.choice(ADDRESSES4)}/{rng.choice([24, 24, 25, 32])}"
        words = ["address", verb, cidr, "dev eth0"]
        if verb != "delete":
            words += rng.choice([[], [], ["label eth0:x"], ["label fo1"]])
            words += rng.choice([[], ["broadcast +"]])
            words += rng.choice([[], [], ["scope host"], ["scope host noprefixroute"]])
    else:
        cidr = f"{rng.choice(ADDRESSES6)}/{rng.choice([64, 65, 128])}"
        words = ["address", verb, cidr, "dev eth0"]
        words += ["preferred_lft 0"] if verb != "delete" and rng.random() < 0.3 else []
    return " ".join(words)


class Seen(NamedTuple):
    """Hold what there is to compare of a dump."""

    addresses: list[object]
    routes: list[object]


def seen(snapshot: Snapshot) -> Seen:
    """Return eth0's addresses in order, and its routes."""
    addresses: list[object] = [a for a in snapshot.on("eth0") if a.scope != "link"]
    routes = [
        (r.family, r.destination, r.gateway, r.metric, r.source, r.protocol == "kernel", r.scope)
        for r in snapshot.routes
        if r.interface == "eth0" and not r.destination.startswith("fe80")
    ]
    return Seen(addresses, sorted(routes, key=repr))


def settled(host: NetHost) -> Seen | None:
    """Return what there is, once nothing is tentative: also without detection it takes a while."""
    snapshot = parse_json(*(host.run(list(argv)).out for argv in DUMP))
    return None if any("tentative" in a.flags for a in snapshot.addresses) else seen(snapshot)


def simulated(host: NetHost) -> Ip:
    """Return a simulated host in the state that the rig configures."""
    net = SimNet()
    net.add_link("eth0")
    net.add4("eth0", SimAddress(host.primary, 24, broadcast="192.0.2.255"))
    net.add6("eth0", SimAddress(f"2001:db8::{host.number:x}", 64))
    net.add_route(SimRoute(4, "default", "eth0", "192.0.2.1"))
    net.add_route(SimRoute(6, "default", "eth0", "2001:db8::1"))
    return Ip(net)


def words(said: str) -> str:
    """Return the kernel's reason, without the number of the line."""
    return said.strip().split("\n")[0]


@pytest.mark.parametrize("promote", ["0", "1"])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_same_operations_give_the_same(nethost: NetHost, seed: int, promote: str) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    nethost.run(["sysctl", "-qw", f"net.ipv4.conf.eth0.promote_secondaries={promote}"])
    sim = simulated(nethost)
    sim.net.links["eth0"].promote = promote
    done: list[str] = []
    accepted = 0
    for _ in range(45):
        line = operation(rng)
        done.append(line)
        real = nethost.run(["ip", "-batch", "-"], f"{line}\n", check=False)
        ours = sim(["ip", "-batch", "-"], f"{line}\n")
        assert (real.code, words(real.err)) == (ours.code, words(ours.err)), done
        accepted += not real.code
        told = [sim(argv, None).out for argv in DUMP]
        assert wait_until(lambda: settled(nethost), "every address to settle") == seen(
            parse_json(*told)
        ), done
    assert 8 < accepted < 40


def test_a_batch_stops_at_the_same_line(nethost: NetHost) -> None:
    sim = simulated(nethost)
    for lines in (
        ["address add 203.0.113.5/32 dev eth0", "address add 203.0.113.5/32 dev eth0", "x"],
        ["address delete 203.0.113.5/32 dev eth0", "address delete 203.0.113.5/32 dev eth0"],
        ["address add 203.0.113.300/32 dev eth0"],
        ["# a comment", "", "address add 203.0.113.6/32 dev nope0"],
        ["address add 203.0.113.6/24 dev eth0 label sixteen-letters0"],
        ["route delete 198.51.100.0/24 dev eth0 scope link"],
    ):
        text = "".join(f"{line}\n" for line in lines)
        real = nethost.run(["ip", "-batch", "-"], text, check=False)
        ours = sim(["ip", "-batch", "-"], text)
        assert (real.code, real.err) == (ours.code, ours.err)


def test_without_an_address_a_link_has_no_route(nethost: NetHost) -> None:
    sim = simulated(nethost)
    text = f"address delete {nethost.primary}/24 dev eth0\n"
    nethost.run(["ip", "-batch", "-"], text)
    sim(["ip", "-batch", "-"], text)
    shown = json.loads(nethost.run(["ip", "-j", "-4", "route"]).out or "[]")
    assert shown == []
    assert json.loads(sim(list(DUMP[1]), None).out) == []
