"""Routes, rules, NAT and flows of several ways out, on the real kernel."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rig.process import wait_until
from rig.wanhosts import (
    GATEWAYS,
    OTHER,
    PILLAR,
    PREFIXES,
    SERVER,
    SERVER6,
    SOURCES,
    SOURCES6,
    Node,
    Program,
    Router,
    Site,
)

pytestmark = pytest.mark.root

PORT = 7007
BOTH = {4: {"wan1": 2, "wan2": 1}, 6: {"wan1": 2, "wan2": 1}}
#: The client's address as each line's prefix translation shows it: the host's bits stay.
MAPPED = {name: prefix.replace("::/64", "::10") for name, prefix in PREFIXES.items()}
ONLY_2 = {4: {"wan2": 1}, 6: {"wan2": 1}}
DOWN_1 = [("wan1", 4), ("wan1", 6)]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made, ExitStack() as stack:
        for node in (made.server, made.other):
            served = node.popen(
                [node.python, "-I", _rig("flows.py"), "serve", str(PORT)], stdout=-1
            )
            stack.callback(served.end)
            assert served.stdout and served.stdout.readline() == "serving\n"
        yield made


@pytest.fixture
def start(site: Site) -> Iterator[Callable[..., Router]]:
    """Give the product on the router: ``start(pillar, objects=…)``."""
    with ExitStack() as stack:

        def router(pillar: Any = PILLAR, *, objects: bool = True) -> Router:
            made = Router(site, pillar, objects=objects)
            stack.callback(made.close)
            return made

        yield router


@pytest.fixture
def flows() -> Iterator[Callable[[Node], Program]]:
    with ExitStack() as stack:

        def program(node: Node) -> Program:
            made = Program(node, "flows.py", "open")
            stack.callback(made.close)
            return made

        yield program


def _rig(name: str) -> str:
    from rig.netns import CHECKOUT

    return f"{CHECKOUT}/test/rig/{name}"


def changed(pillar: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {**copy.deepcopy(pillar), **keys}


def is_clean(done: dict[str, Any]) -> bool:
    return not done["problems"] and not done["missing"]


@pytest.mark.parametrize("objects", [True, False], ids=["nexthop objects", "nexthop via"])
def test_a_second_run_changes_nothing_and_removal_leaves_nothing(
    site: Site, start: Callable[..., Router], objects: bool
) -> None:
    def held() -> list[str]:
        words = (["rule"], ["-6", "rule"], ["route", "show", "table", "all"],
                 ["-6", "route", "show", "table", "all"], ["nexthop"])  # fmt: skip
        found = [site.router.ip(*each).out for each in words]
        return [*found, site.router.run(["nft", "list", "ruleset"]).out]

    before = held()
    router = start(objects=objects)
    first = router.apply(BOTH)
    assert is_clean(first)
    assert any("default" in change for change in first["changes"])
    assert any("nhid" in change for change in first["changes"]) is objects
    assert router.apply(BOTH)["changes"] == []
    assert is_clean(router.ask(do="remove"))
    assert held() == before


@pytest.mark.parametrize("objects", [True, False], ids=["nexthop objects", "nexthop via"])
def test_a_thousand_flows_follow_the_weights_each_with_its_lines_source(
    site: Site,
    start: Callable[..., Router],
    flows: Callable[[Node], Program],
    objects: bool,
) -> None:
    start(objects=objects).apply(BOTH)
    client = flows(site.client)
    for address, first, second, begin in (
        (SERVER, SOURCES["wan1"], SOURCES["wan2"], 0),
        (SERVER6, MAPPED["wan1"], MAPPED["wan2"], 1000),
    ):
        seen = client.ask(do="open", kind="udp", address=address, port=PORT, count=1000)
        counted = Counter(seen)
        assert set(counted) == {first, second}
        assert abs(counted[first] - 667) <= 67
        # Each stays where it began.
        again = client.ask(do="ask", which=list(range(begin, begin + 1000)))
        assert Counter(zip(seen, again, strict=True)) == {(x, x): n for x, n in counted.items()}


def test_a_switch_leaves_the_surviving_lines_flows_and_forgets_only_the_lost_ones(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program]
) -> None:
    router = start()
    router.apply(BOTH)
    client, inside = flows(site.client), flows(site.client)
    seen = client.ask(do="open", kind="tcp", address=SERVER, port=PORT, count=60)
    stays = [at for at, source in enumerate(seen) if source == SOURCES["wan2"]]
    goes = [at for at, source in enumerate(seen) if source == SOURCES["wan1"]]
    assert stays and goes
    within = inside.ask(do="open", kind="tcp", address=OTHER, port=PORT, count=5)
    assert set(within) == {"192.0.2.10"}
    counts = [router.ask(do="flows", index=index, family=4) for index in (1, 2)]
    assert counts[0] >= len(goes) and counts[1] == len(stays)

    site.cut("wan1")
    done = router.apply(ONLY_2, DOWN_1)
    assert done["flushed"] == [["wan1", 4], ["wan1", 6]]
    assert router.ask(do="flows", index=1, family=4) == 0
    assert router.ask(do="flows", index=2, family=4) == counts[1]
    assert client.ask(do="ask", which=stays) == [SOURCES["wan2"]] * len(stays)
    assert inside.ask(do="ask") == within
    fresh = flows(site.client).ask(do="open", kind="tcp", address=SERVER, port=PORT, count=40)
    assert set(fresh) == {SOURCES["wan2"]}
    # A flow that was on the dead line begins anew from the other address: the server resets it.
    assert set(client.ask(do="ask", which=goes)) == {"ConnectionResetError"}

    site.mend("wan1")
    done = router.apply(BOTH)
    assert done["flushed"] == []
    assert client.ask(do="ask", which=stays) == [SOURCES["wan2"]] * len(stays)
    assert inside.ask(do="ask") == within
    again = flows(site.client).ask(do="open", kind="tcp", address=SERVER, port=PORT, count=60)
    assert set(again) == set(SOURCES.values())


@pytest.mark.parametrize("failback", ["keep", "flush"])
def test_failback_keeps_or_forgets_what_the_second_tier_carried(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program], failback: str
) -> None:
    router = start(changed(PILLAR, failback=failback))
    router.apply({4: {"wan2": 1}}, [("wan1", 4)])
    client = flows(site.client)
    assert set(client.ask(do="open", kind="udp", address=SERVER, port=PORT, count=20)) == {
        SOURCES["wan2"]
    }
    done = router.apply({4: {"wan1": 1}})
    assert done["flushed"] == ([["wan2", 4]] if failback == "flush" else [])
    kept = SOURCES["wan2"] if failback == "keep" else SOURCES["wan1"]
    assert set(client.ask(do="ask")) == {kept}


def test_a_strict_filter_of_reverse_paths_lets_a_lost_lines_probe_back(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program]
) -> None:
    """rp_filter 0, 1, 2: the probe's answer, and flows that the second tier has kept."""
    router = start()
    client = flows(site.client)
    router.apply({4: {"wan2": 1}})
    client.ask(do="open", kind="udp", address=SERVER, port=PORT, count=5)
    router.apply({4: {"wan1": 1}})
    mark = 2 << 16
    probe = ["ping", "-n", "-c1", "-W2", "-m", str(mark), "-I", SOURCES["wan2"], SERVER]
    for value in ("0", "1", "2"):
        for key in ("all", "wan1", "wan2"):
            path = f"/proc/sys/net/ipv4/conf/{key}/rp_filter"
            site.router.run(["sh", "-c", 'echo "$1" >"$2"', "sh", value, path])
        assert site.router.run(probe, check=False).code == 0, f"rp_filter={value}"
        kept = set(client.ask(do="ask"))
        # Strict: what comes back for the inside is looked up by the default route of today.
        assert kept == ({""} if value == "1" else {SOURCES["wan2"]}), f"rp_filter={value}"


def test_a_probe_leaves_by_its_own_line_or_not_at_all(
    site: Site, start: Callable[..., Router]
) -> None:
    """opnsense/core#3520: a target that the main table sends by another line proves nothing."""
    router = start()
    router.apply(BOTH)
    site.router.ip("route", "add", f"{SERVER}/32", "via", GATEWAYS["wan2"])

    def probe(index: int, name: str) -> bool:
        words = ["ping", "-n", "-c1", "-W1", "-m", str(index << 16), "-I", SOURCES[name], SERVER]
        return site.router.run(words, check=False).code == 0

    assert probe(1, "wan1") and probe(2, "wan2")
    # Were it sent by the other line, its answer would come by that one, too.
    site.server.ip("route", "replace", "198.51.100.0/25", "via", "203.0.113.2")
    site.gateways["wan2"].ip("route", "add", "198.51.100.0/25", "via", SOURCES["wan2"])
    site.cut("wan1")
    assert not probe(1, "wan1") and probe(2, "wan2")
    site.carrier("wan1", up=False)
    assert not probe(1, "wan1") and probe(2, "wan2")


def test_carrier_costs_nothing_and_its_return_needs_nobody(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program]
) -> None:
    router = start()
    router.apply({4: {"wan1": 1}, 6: {"wan1": 1}})
    site.carrier("wan1", up=False)
    client = flows(site.client)
    # The kernel took the nexthop away, and with it group and route: the reserve is in force.
    seen = client.ask(do="open", kind="udp", address=SERVER, port=PORT, count=10)
    assert set(seen) == {SOURCES["wan2"]}
    seen = client.ask(do="open", kind="udp", address=SERVER6, port=PORT, count=10)
    assert set(seen) == {MAPPED["wan2"]}
    # Nothing was wrong with the monitor's wish: it is missing, and comes back with the carrier.
    done = router.ask(do="reconcile")
    assert [line for line, _ in done["missing"]] == [["wan1", 4], ["wan1", 6]]
    assert router.ask(do="reconcile")["changes"] == []
    site.carrier("wan1", up=True)
    wait_until(lambda: site.router.ping(GATEWAYS["wan1"]), "the line to be back")
    done = router.ask(do="reconcile")
    assert is_clean(done) and done["changes"]
    seen = flows(site.client).ask(do="open", kind="udp", address=SERVER, port=PORT, count=10)
    assert set(seen) == {SOURCES["wan1"]}


REMOVALS = {
    "rule of marks": ["ip", "rule", "del", "priority", "18603"],
    "rule of the default table": ["ip", "rule", "del", "priority", "18604"],
    "all rules": ["ip", "rule", "flush"],
    "group": ["ip", "nexthop", "del", "id", "18600"],
    "all nexthops": ["ip", "nexthop", "flush"],
    "default route": ["ip", "route", "del", "default", "metric", "100", "table", "18855"],
    "reserve": ["ip", "-6", "route", "del", "default", "metric", "200", "table", "18855"],
    "a line's table": ["ip", "-6", "route", "flush", "table", "18601"],
    "ruleset": ["nft", "flush", "ruleset"],
    "table": ["nft", "delete", "table", "inet", "ipalias_wan"],
    "chain": ["nft", "flush", "chain", "inet", "ipalias_wan", "source"],
    "interface down and up": ["sh", "-c", "ip link set wan1 down; ip link set wan1 up"],
    "address": ["ip", "address", "del", f"{SOURCES['wan1']}/25", "dev", "wan1"],
}


def test_what_somebody_removes_comes_back(site: Site, start: Callable[..., Router]) -> None:
    router = start()
    router.apply(BOTH)
    whole = state(site.router)
    for what, argv in REMOVALS.items():
        site.router.run(argv)
        if what == "all rules":
            site.router.ip("rule", "add", "priority", "32766", "lookup", "main", check=False)
            site.router.ip("rule", "add", "priority", "0", "lookup", "local", check=False)
        if what == "interface down and up":
            site.router.ip("address", "add", f"{SOURCES6['wan1']}/64", "dev", "wan1", check=False)
        if what == "address":
            done = router.ask(do="reconcile")
            assert done["missing"] == [[["wan1", 4], "wan1: has no usable address"]]
            site.router.ip("address", "add", f"{SOURCES['wan1']}/25", "dev", "wan1")
        assert router.ask(do="reconcile")["changes"], what
        assert state(site.router) == whole, what
        assert router.ask(do="reconcile")["changes"] == [], what


def state(router: Node) -> dict[str, Any]:
    """Return all that is ours on the router, without the kernel's own numbers."""
    tables = ("18600", "18601", "18855")
    rules = [
        sorted(
            json.dumps(rule, sort_keys=True)
            for rule in json.loads(router.ip("-j", f"-{family}", "rule").out)
            if 18600 <= rule["priority"] < 18605
        )
        for family in (4, 6)
    ]
    routes = [
        sorted(
            router.ip(f"-{family}", "route", "show", "table", table, check=False).out.splitlines()
        )
        for family in (4, 6)
        for table in tables
    ]
    nexthops = sorted(shown(router, "nexthop"))
    # The time since a bucket was moved changes by itself.
    nexthops = [line.partition(" unbalanced_time ")[0] for line in nexthops]
    nft = router.run(["nft", "list", "table", "inet", "ipalias_wan"]).out
    return {"rules": rules, "routes": routes, "nexthops": nexthops, "nft": nft}


def shown(router: Node, *words: str) -> list[str]:
    return router.ip(*words, check=False).out.splitlines()


def test_foreign_bits_of_marks_stay_as_they_are(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program]
) -> None:
    site.router.run(["nft", "-f", "-"], FOREIGN)
    start().apply({4: {"wan2": 1}})
    flows(site.client).ask(do="open", kind="udp", address=SERVER, port=PORT, count=3)
    flow = flows(site.client)
    flow.ask(do="open", kind="udp", address=SERVER, port=PORT, count=1)
    flow.ask(do="ask")
    counted = json.loads(site.router.run(["nft", "-j", "list", "table", "inet", "foreign"]).out)
    counters = {
        item["counter"]["name"]: item["counter"]["packets"]
        for item in counted["nftables"]
        if "counter" in item
    }
    assert counters["both"] >= 2
    assert counters["lost"] == 0


FOREIGN = """
table inet foreign {
    counter both { }
    counter lost { }
    chain early {
        type filter hook prerouting priority -160; policy accept;
        iifname "lan0" ct mark set ct mark | 0x5
        iifname "lan0" meta mark set 0x3
    }
    chain late {
        type filter hook postrouting priority 50; policy accept;
        oifname "wan2" ct mark 0x00020005 meta mark & 0x0000ffff == 0x3 counter name "both"
        oifname "wan2" udp dport 7007 ct mark & 0x0000ffff != 0x5 counter name "lost"
        oifname "wan2" udp dport 7007 meta mark & 0x0000ffff != 0x3 counter name "lost"
    }
}
"""


def test_two_lines_on_one_interface_are_told_apart(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program]
) -> None:
    """The guide's own case: both gateways reachable by the same interface."""
    site.share()
    uplinks = copy.deepcopy(PILLAR["uplinks"])
    for name, uplink in uplinks.items():
        uplink |= {"interface": "wan", "source": SOURCES[name], "source6": SOURCES6[name]}
    router = start(changed(PILLAR, uplinks=uplinks))
    assert is_clean(router.apply(BOTH))
    client = flows(site.client)
    for address, names, begin in ((SERVER, SOURCES, 0), (SERVER6, MAPPED, 300)):
        seen = client.ask(do="open", kind="udp", address=address, port=PORT, count=300)
        assert set(seen) == set(names.values())
        which = list(range(begin, begin + 300))
        assert client.ask(do="ask", which=which) == seen
    stays = [at for at, source in enumerate(seen, 300) if source == MAPPED["wan2"]]
    router.apply(ONLY_2, DOWN_1)
    assert set(client.ask(do="ask", which=stays)) == {MAPPED["wan2"]}
    fresh = flows(site.client).ask(do="open", kind="udp", address=SERVER, port=PORT, count=20)
    assert set(fresh) == {SOURCES["wan2"]}


def test_one_configuration_follows_another_and_nothing_is_left(
    site: Site, start: Callable[..., Router]
) -> None:
    router = start()
    one = changed(PILLAR, uplinks={"wan2": PILLAR["uplinks"]["wan2"]}, nat={})
    moved = changed(PILLAR, numbers={"table": 30000, "priority": 20000, "nexthop": 40000})
    near = changed(PILLAR, numbers={"table": 18601, "priority": 18602, "nexthop": 18602})
    fresh: dict[str, Any] = {}
    for name, block in (("one", one), ("moved", moved), ("near", near), ("two", PILLAR)):
        assert is_clean(router.ask(do="set", change=["", block]))
        fresh[name] = everything(site.router)
        assert router.ask(do="set", change=[block, block])["changes"] == []
        assert is_clean(router.ask(do="set", change=[block, ""]))
        assert everything(site.router) == {"rules": [], "routes": [], "nexthops": [], "nft": ""}
    order = [("two", PILLAR), ("one", one), ("two", PILLAR), ("moved", moved), ("near", near),
             ("two", PILLAR), ("near", near), ("one", one)]  # fmt: skip
    before: Any = ""
    for name, block in order:
        assert is_clean(router.ask(do="set", change=[before, block]))
        assert everything(site.router) == fresh[name], name
        before = block


def everything(router: Node) -> dict[str, Any]:
    """Return all that anyone has added to the kernel's own."""
    kernel = ("table local", "proto kernel", "ff00::/8")
    found = {"rules": [], "routes": [], "nexthops": shown(router, "nexthop")}
    for family in ("-4", "-6"):
        rules = shown(router, family, "rule")
        found["rules"] += [r for r in rules if r.split(":")[0] not in ("0", "32766", "32767")]
        found["routes"] += [
            route
            for route in shown(router, family, "route", "show", "table", "all")
            if not any(word in route for word in kernel)
        ]
    found["nexthops"] = [n.partition(" unbalanced_time ")[0] for n in found["nexthops"]]
    nft = router.run(["nft", "list", "ruleset"]).out
    return {**{key: sorted(each) for key, each in found.items()}, "nft": nft}


TAKEN = {
    "protocol": ["ip", "route", "add", "203.0.113.0/25", "via", GATEWAYS["wan1"], "proto", "186"],
    "table": ["ip", "-6", "route", "add", "2001:db8:77::/64", "dev", "wan1", "table", "18600"],
    "priority": ["ip", "rule", "add", "priority", "18602", "lookup", "7"],
    "nexthop": ["ip", "nexthop", "add", "id", "18604", "via", GATEWAYS["wan1"], "dev", "wan1"],
    "mark_shift": [
        "ip",
        "rule",
        "add",
        "priority",
        "9",
        "fwmark",
        "0x80000/0xff0000",
        "lookup",
        "7",
    ],
}


MARKING = "table ip other { chain c { ct mark set ct mark | 0x10000; }; }"


def test_numbers_in_use_are_refused_on_the_real_kernel(
    site: Site, start: Callable[..., Router]
) -> None:
    router = start()
    assert router.ask(do="collide", pillar=PILLAR) == []
    router.apply(BOTH)
    assert router.ask(do="collide", pillar=PILLAR) == []
    router.ask(do="remove")
    for key, argv in TAKEN.items():
        site.router.run(argv)
        told = router.ask(do="collide", pillar=PILLAR)
        assert told[: len(f"ipalias:wan:numbers:{key}: ")] == f"ipalias:wan:numbers:{key}: ", told
        undo = ["del" if word == "add" else word for word in argv]
        site.router.run(undo[:5] if key == "nexthop" else undo)
    site.router.run(
        ["nft", "-f", "-"], "table ip other { chain c { ct mark set ct mark | 0x10000; }; }"
    )
    assert "mark_shift: mark bits" in router.ask(do="collide", pillar=PILLAR)


@pytest.mark.parametrize("pinned", [False, True], ids=["masquerade", "named source"])
def test_a_translated_flow_never_leaves_by_another_line(
    site: Site, start: Callable[..., Router], flows: Callable[[Node], Program], pinned: bool
) -> None:
    uplinks = copy.deepcopy(PILLAR["uplinks"])
    for name, uplink in uplinks.items() if pinned else ():
        uplink["source"] = SOURCES[name]
    start(changed(PILLAR, uplinks=uplinks)).apply({4: {"wan1": 1}})
    client = flows(site.client)
    seen = client.ask(do="open", kind="udp", address=SERVER, port=PORT, count=3)
    assert set(seen) == {SOURCES["wan1"]}
    site.gateways["wan2"].run(["nft", "-f", "-"], STRAYS)
    # What holds it on its line is taken away, and the default route leads elsewhere.
    site.router.ip("rule", "del", "priority", "18603", "fwmark", "0x10000/0xff0000")
    site.router.ip("nexthop", "replace", "id", "18600", "group", "18604", "type", "resilient")
    assert set(client.ask(do="ask")) == {""}
    counted = site.gateways["wan2"].run(["nft", "list", "counter", "inet", "strays", "came"]).out
    assert "packets 0 " in counted
    # A new flow does leave there: it was the mark that stopped the others.
    fresh = flows(site.client).ask(do="open", kind="udp", address=SERVER, port=PORT, count=3)
    assert set(fresh) == {SOURCES["wan2"]}


STRAYS = f"""
table inet strays {{
    counter came {{ }}
    chain in {{
        type filter hook prerouting priority 0; policy accept;
        iifname "line0" ip saddr {SOURCES["wan1"]} counter name "came"
    }}
}}
"""
