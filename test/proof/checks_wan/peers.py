"""What users of other tools complain of: lines 20 to 23 of our list, and those named beside it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from proof.checks_wan.scene import BACK, FIRST, SECOND
from proof.pytests import run_tests
from proof.registry import WAN, Case, Missed, check, demand
from proof.stage import Stage
from rig.process import children, wait_until
from rig.wan_lab import BEYOND, CARRIER, PORT, SOURCES, Lab, clock, pillar
from rig.wanhosts import GATEWAYS, OTHER, SERVER

NAMESPACES = [Case("", "namespaces")]
CYCLES = 20
#: A hold-down that makes twenty cycles short (seconds).
HELD = 0.2
#: Longest that a status of a monitor that stands still may take, interpreter included (seconds).
SHOWN = 1.5
#: Longest gap that a flow on a line that works may show (seconds).
GAP = 0.05
#: TCP sends a lost segment again after this at the earliest (RTO_MIN of the kernel, seconds).
LOST = 0.2


MASQUERADE = """
table ip stray {
    chain post { type nat hook postrouting priority 100; oifname "net0" masquerade; }
}
"""


def held(seconds: float = HELD, **more: Any) -> dict[str, Any]:
    """Return the block with another hold-down."""
    return {**pillar(**more), "probe": {"profile": "fast", "hold_down": seconds}}


def ways_out(lab: Lab) -> set[str]:
    """Return the interfaces by which packets of nobody's leave the router."""
    asked = [f"203.0.113.{number}" for number in range(150, 166)]
    told = [lab.router.ip("-j", "route", "get", each, check=False).out for each in asked]
    return {json.loads(text)[0]["dev"] if text.strip() else "none" for text in told}


def balanced(lab: Lab) -> None:
    """Wait until both lines carry.

    A resilient group gives a line that was added its buckets once they have been idle for a
    second, at the latest after three (ip-nexthop(8); `wan.routes`).
    """
    lab.sleep_until(clock() + 3.5)
    wait_until(lambda: ways_out(lab) == {FIRST, SECOND}, "both lines to carry")


def flows_on(lab: Lab, index: int) -> int:
    """Return how many flows the router has on a line, by the mark on them."""
    script = (
        f"import sys; sys.path.insert(0, '{lab.source}/_utils')\n"
        "from saltext.ipalias.wan import conntrack, netlink\n"
        "from saltext.ipalias.wan.model import Numbers\n"
        "sockets = netlink.Netlink(netlink.NETFILTER)\n"
        f"print(conntrack.count_flows(sockets, Numbers(), {index}, 4))"
    )
    return int(lab.router.run([lab.router.python, "-I", "-c", script]).out)


@check(20, "a monitor address reachable only through the other line leaves this one down",
       over=NAMESPACES, book=WAN)  # fmt: skip
def elsewhere(stage: Stage) -> str:
    """opnsense/core#3520: the line is cut beyond its gateway, and the main table leads to its
    targets by the other line: not one probe takes it.
    """
    with Lab(stage.source) as lab:
        for target in (SERVER, "203.0.113.101"):
            lab.router.ip("route", "add", f"{target}/32", "via", GATEWAYS[SECOND])
        # As a provider's box does: whatever source a stray has, its answer finds back.
        gateway = lab.gateways[SECOND]
        gateway.ip("route", "add", f"{SOURCES[FIRST]}/32", "via", SOURCES[SECOND])
        gateway.run(["nft", "-f", "-"], MASQUERADE)
        lab.break_line(FIRST, BEYOND)
        lab.watch(held(), ready=False)
        wait_until(lambda: lab.is_state(FIRST, "down") and lab.is_state(SECOND, "up"), "a verdict")
        begun = clock()
        lab.sleep_until(begun + 3)
        up = [e.line.text() for e in lab.journal() if e.state == "up"]
        demand(FIRST not in up, f"{FIRST} was taken for up")
        rows = {row["line"]: row for row in lab.status()["lines"]}
        answered = [p["target"] for p in rows[FIRST]["probes"] if p["rtt"] is not None]
        demand(not answered, f"probes of the dead line were answered: {answered}")
        lab.repair(FIRST, BEYOND)
        wait_until(lambda: lab.is_state(FIRST, "up"), "the line to be back")
    return "3 s of probes, none answered; up once its own way is mended"


@check(21, "twenty failures and returns: every transition happens", over=NAMESPACES, book=WAN)
def twenty(stage: Stage) -> str:
    """opnsense/core#3688: each is in the journal once, with an id of its own, and in the kernel."""
    with Lab(stage.source) as lab:
        lab.watch(held())
        for turn in range(CYCLES):
            broken = lab.break_line(FIRST, BEYOND)
            lab.transition(FIRST, "down", broken)
            wait_until(lambda: ways_out(lab) == {SECOND}, f"failure {turn + 1} in the kernel")
            repaired = lab.repair(FIRST, BEYOND)
            lab.transition(FIRST, "up", repaired)
            wait_until(lambda: ways_out(lab) == {FIRST}, f"return {turn + 1} in the kernel")
        entries = [e for e in lab.journal() if e.line.text() == FIRST]
        states = [e.state for e in entries]
        # The first of all is the start.
        states = states[len(states) - 2 * CYCLES :]
        demand(states == ["down", "up"] * CYCLES, f"the journal has {states}")
        idents = {e.ident for e in lab.journal()}
        demand(len(idents) == len(lab.journal()), "two transitions have one id")
    return f"{CYCLES} failures, {CYCLES} returns"


@check(22, "the last gateway fails: its route stays, its flows stay, the log says so",
       over=NAMESPACES, book=WAN)  # fmt: skip
def last(stage: Stage) -> str:
    """opnsense/core#9789: with the line that stood in gone as well nothing is taken away."""
    with Lab(stage.source) as lab:
        lab.watch(held())
        broken = lab.break_line(FIRST, BEYOND)
        lab.transition(FIRST, "down", broken)
        lab.start_stream(flows=4)
        wait_until(lambda: flows_on(lab, 2) >= 4, "flows on the line that stood in")
        before = flows_on(lab, 2)
        broken = lab.break_line(SECOND, BEYOND)
        lab.transition(SECOND, "down", broken)
        lab.sleep_until(clock() + 0.5)
        demand(ways_out(lab) == {SECOND}, f"the way out is {ways_out(lab)}")
        demand(flows_on(lab, 2) >= before, f"{before} flows, then {flows_on(lab, 2)}")
        told = [text for text in lab.log() if f"no IPv4 line is up: the default route stays with "
                f"{SECOND}" in text]  # fmt: skip
        demand(told, f"no warning in the log: {lab.log()[-3:]}")
        repaired = lab.repair(SECOND, BEYOND)
        lab.transition(SECOND, "up", repaired)
        lab.sleep_until(clock() + 0.3)
        heard = lab.stop_stream()
    back = [flow.first_back(repaired, SOURCES[SECOND]) for flow in heard.values()]
    demand(all(back), "a flow did not live on")
    return f"{before} flows lived on, with their source"


@check(23, "all lines down, one comes back: its route is there in the configured time",
       over=NAMESPACES, alone=True, book=WAN)  # fmt: skip
def returns(stage: Stage) -> str:
    """openwrt/packages#3885: the one that did not carry last comes back first; 0.5 s beyond its
    hold-down, which is over by then.
    """
    with Lab(stage.source) as lab:
        lab.watch(held(1.0))
        for name in (FIRST, SECOND):
            down = lab.transition(name, "down", lab.break_line(name, BEYOND))
        lab.sleep_until(down.boot_at + 1.5)
        demand(ways_out(lab) == {SECOND}, f"all down, the way out is {ways_out(lab)}")
        lab.start_stream(flows=0, fresh=True)
        repaired = lab.repair(FIRST, BEYOND)
        lab.transition(FIRST, "up", repaired)
        wait_until(lambda: ways_out(lab) == {FIRST}, "its route")
        lab.sleep_until(clock() + 0.2)
        first = lab.stop_stream()["fresh"].first_back(repaired, SOURCES[FIRST])
    demand(first, "no packet took the line that is back")
    assert first is not None
    told = f"new flows took it {first - repaired:.2f} s after its repair"
    if first - repaired > BACK:
        raise Missed(told)
    return told


@check(31, "a switch: route and NAT first, then only the lost line's flows are forgotten",
       over=NAMESPACES, book=WAN)  # fmt: skip
def order(stage: Stage) -> str:
    """opnsense/core#10684: sixteen flows that never pause, on both lines. Forgotten too early, the
    next packet of one makes it anew on the dead line, for good; the other line's lose nothing.
    """
    block = {**held(), "policy": "balance"}
    with Lab(stage.source) as lab:
        lab.watch(block)
        balanced(lab)
        lab.start_stream(flows=16, every=0.004)
        lab.stream_runs()
        lab.sleep_until(clock() + 0.4)
        broken = lab.break_line(FIRST, BEYOND)
        lab.transition(FIRST, "down", broken)
        switched = clock()
        lab.sleep_until(switched + 1)
        heard = lab.stop_stream()
    stayed = moved = 0
    for name, flow in heard.items():
        sources = {source for n, (_, source) in flow.back.items() if flow.sent[n] < broken}
        if sources == {SOURCES[SECOND]}:
            stayed += 1
            missing = flow.lost_between(broken, switched + 0.9)
            when = ", ".join(f"{at - broken:.3f}" for at in missing[:9])
            told = f"{name} on the other line lost {len(missing)} packets: sent {when} s after the "
            demand(not missing, f"{told}break; the switch was at {switched - broken:.3f} s")
        else:
            moved += 1
            after = flow.first_back(switched, SOURCES[SECOND])
            demand(after and after < switched + 0.3, f"{name} stuck to the dead line")
    demand(stayed and moved, f"{stayed} flows on the other line, {moved} on the lost one")
    return f"{moved} flows moved, {stayed} on the other line lost nothing"


@check(32, "a flap of 0.1 s leaves nothing stuck",
       over=[Case("", CARRIER), Case("", BEYOND)], book=WAN)  # fmt: skip
def flap(stage: Stage) -> str:
    """opnsense/core#4160: five of them; then the line is up, and new flows take it."""
    with Lab(stage.source) as lab:
        lab.watch(held())
        for _ in range(5):
            broken = lab.break_line(FIRST, stage.setup)
            lab.sleep_until(broken + 0.1)
            repaired = lab.repair(FIRST, stage.setup)
            lab.sleep_until(repaired + 0.3)
        wait_until(lambda: lab.is_state(FIRST, "up"), "the line to be up")
        wait_until(lambda: ways_out(lab) == {FIRST}, "its route")
        since = lab.start_stream(flows=0, fresh=True)
        lab.sleep_until(clock() + 0.4)
        fresh = lab.stop_stream()["fresh"]
        downs = sum(e.state == "down" for e in lab.journal())
    demand(fresh.first_back(since, SOURCES[FIRST]), "new flows do not take it")
    demand(not fresh.lost_between(since, clock() - 0.15), "packets are lost afterwards")
    return f"{downs} of 5 taken for failures"


@check(33, "sessions within the LAN outlive failure and return of a line", over=NAMESPACES,
       alone=True, book=WAN)  # fmt: skip
def within(stage: Stage) -> str:
    """opnsense/core#5063: TCP and UDP between two networks of the router; none is reset, and no
    gap is over 50 ms.
    """
    with Lab(stage.source) as lab:
        lab.serve(lab.other)
        lab.watch(held())
        lab.start_stream(address=OTHER, port=PORT, flows=2, tcp=4)
        lab.sleep_until(clock() + 0.3)
        lab.transition(FIRST, "down", lab.break_line(FIRST, BEYOND))
        lab.sleep_until(clock() + 0.3)
        lab.transition(FIRST, "up", lab.repair(FIRST, BEYOND))
        lab.sleep_until(clock() + 0.3)
        heard = lab.stop_stream()
    return judge_gaps(heard)


def judge_gaps(heard: dict[str, Any]) -> str:
    """Hold flows against a reset and against a gap; return the longest gap.

    :raises Missed: a gap is over `GAP`.
    """
    errors = {name: flow.error for name, flow in heard.items() if flow.error}
    demand(not errors, f"cut off: {errors}")
    silent = [name for name, flow in heard.items() if not flow.back]
    demand(not silent, f"no answer at all: {silent}")
    gap = max(flow.longest_gap() for flow in heard.values())
    demand(gap < LOST, f"{len(heard)} flows, one stood still for {gap * 1000:.0f} ms")
    told = f"{len(heard)} flows, the longest gap {gap * 1000:.0f} ms"
    if gap > GAP:
        raise Missed(told)
    return told


@check(34, "a failed probe is told with its errno, and as a command that says the same by hand",
       over=NAMESPACES, book=WAN)  # fmt: skip
def by_hand(stage: Stage) -> str:
    """openwrt/packages#26698: the command of `status` fails while the line is dead and succeeds
    once it is mended, whatever the default route says; without carrier the errno is told.
    """
    with Lab(stage.source) as lab:
        lab.watch(held())
        lab.transition(FIRST, "down", lab.break_line(FIRST, BEYOND))
        probe = told_probe(lab, FIRST)
        demand(probe["error"] == "no answer", f"the error is {probe['error']!r}")
        command = probe["command"].split()
        demand(lab.router.run(command, check=False).code == 1, f"{probe['command']} succeeds")
        lab.repair(FIRST, BEYOND)
        wait_until(lambda: lab.router.run(command, check=False).code == 0, probe["command"])
        wait_until(lambda: lab.is_state(FIRST, "up"), "the line to be back")
        address = f"{SOURCES[FIRST]}/25"
        lab.router.ip("address", "del", address, "dev", FIRST)
        wait_until(lambda: "EADDRNOTAVAIL" in told_probe(lab, FIRST)["error"], "an errno")
        error = told_probe(lab, FIRST)["error"]
    return f"{probe['command']}; without an address: {error}"


def told_probe(lab: Lab, line: str) -> dict[str, Any]:
    """Return a line's first probe as the status tells it."""
    rows = {row["line"]: row for row in lab.status()["lines"]}
    probe: dict[str, Any] = rows[line]["probes"][0]
    return probe


@check(35, "the source address is taken anew at each probe", over=NAMESPACES, book=WAN)
def source(stage: Stage) -> str:
    """openwrt/packages#26690: the line gets another address; its probes have it at once, the line
    does not go down, and what is translated leaves with the new one.
    """
    fresh = "198.51.100.3"
    with Lab(stage.source) as lab:
        lab.watch(held())
        begun = clock()
        # A second address of a subnet goes with the first one, unless it is promoted.
        lab.router.run(["sysctl", "-qw", f"net.ipv4.conf.{FIRST}.promote_secondaries=1"])
        lab.router.ip_batch(
            f"address add {fresh}/25 dev {FIRST}",
            f"address del {SOURCES[FIRST]}/25 dev {FIRST}",
        )
        wait_until(lambda: _source(lab) == fresh, "the new source")
        lab.sleep_until(clock() + 1)
        row = {row["line"]: row for row in lab.status()["lines"]}[FIRST]
        demand(row["state"] == "up", f"the line went down: {row['reason']}")
        answered = [p for p in row["probes"] if p["rtt"] is not None]
        demand(answered, "no probe is answered any more")
        downs = [e.reason for e in lab.journal() if e.state == "down" and e.boot_at > begun]
        demand(not downs, f"it was down meanwhile: {downs}")
        since = lab.start_stream(flows=0, fresh=True)
        lab.sleep_until(clock() + 0.4)
        heard = lab.stop_stream()["fresh"]
    demand(heard.first_back(since, fresh), "new flows do not leave with the new address")
    return f"{SOURCES[FIRST]} became {fresh}, without a failure"


def _source(lab: Lab) -> str:
    return str({row["line"]: row for row in lab.status()["lines"]}[FIRST]["source"])


@check(36, "the status tells how old the monitor's last word is", over=NAMESPACES, book=WAN)
def heartbeat(stage: Stage) -> str:
    """openwrt/packages#18087: it is renewed while nothing happens, and ages when the monitor has
    stopped, as the function tells it.
    """
    with Lab(stage.source) as lab:
        watching = lab.watch(held())
        lab.sleep_until(clock() + 3)
        young = lab.told_age()
        demand(young < 2.5, f"while the monitor works its word is {young:.1f} s old")
        [pid] = children(watching.pid)
        demand(Path(f"/proc/{pid}").exists(), "the monitor has ended")
        watching.send_signal(signal.SIGSTOP)
        lab.sleep_until(clock() + 3)
        begun = clock()
        old = lab.told_age()
        took = clock() - begun
        watching.send_signal(signal.SIGCONT)
    demand(old >= 3, f"the monitor has stood still for 3 s, its word is {old:.1f} s old")
    told = f"{young:.1f} s at work, {old:.1f} s after 3 s of standing still, told in {took:.2f} s"
    if took > SHOWN:
        raise Missed(told)
    return told


@check(201, "1,000 flows from the LAN follow the weights, each with its line's source",
       over=NAMESPACES, book=WAN)  # fmt: skip
def weights(stage: Stage) -> str:
    """IPv4 and IPv6, weights 2 and 1, with nexthop groups and with multipath routes: within 10 % of
    each share, and each flow stays where it began.
    """
    return run_tests(stage, "test/netns/test_wan_switch.py", keyword="thousand_flows")


@check(202, "long TCP over the surviving line: no reset, no gap over 50 ms", over=NAMESPACES,
       alone=True, book=WAN)  # fmt: skip
def surviving(stage: Stage) -> str:
    """Connections that send every 10 ms. Both lines carry, and one fails and returns; then one that
    only stands in gets connections, and gives way to the one that returns.
    """
    with Lab(stage.source) as lab:
        lab.watch({**held(), "policy": "balance"})
        balanced(lab)
        lab.start_stream(flows=0, tcp=12)
        lab.sleep_until(clock() + 0.4)
        lab.transition(FIRST, "down", lab.break_line(FIRST, BEYOND))
        lab.sleep_until(clock() + 0.4)
        lab.transition(FIRST, "up", lab.repair(FIRST, BEYOND))
        lab.sleep_until(clock() + 0.4)
        heard = lab.stop_stream()
    kept = {n: f for n, f in heard.items() if {s for _, s in f.back.values()} == {SOURCES[SECOND]}}
    demand(kept, "no connection was on the surviving line")
    demand(len(kept) < len(heard), "no connection was on the other line")
    with Lab(stage.source) as lab:
        lab.watch(held())
        lab.transition(FIRST, "down", lab.break_line(FIRST, BEYOND))
        lab.start_stream(flows=0, tcp=4)
        lab.sleep_until(clock() + 0.4)
        lab.transition(FIRST, "up", lab.repair(FIRST, BEYOND))
        lab.sleep_until(clock() + 0.6)
        heard = lab.stop_stream()
    return judge_gaps({**kept, **{f"stood in {name}": flow for name, flow in heard.items()}})


@check(301, "rp_filter 0, 1 and 2: a lost line's probe comes back", over=NAMESPACES, book=WAN)
def reverse_path(stage: Stage) -> str:
    """By the rule on the source: without it the strict filter drops the answer once the default is
    gone, and the line never returns.
    """
    with Lab(stage.source) as lab:
        lab.watch(held())
        for mode in ("0", "1", "2"):
            for key in ("all", FIRST, SECOND):
                path = f"/proc/sys/net/ipv4/conf/{key}/rp_filter"
                lab.router.run(["sh", "-c", 'echo "$1" >"$2"', "sh", mode, path])
            lab.transition(FIRST, "down", lab.break_line(FIRST, BEYOND))
            wait_until(lambda: ways_out(lab) == {SECOND}, "the other line in the kernel")
            repaired = lab.repair(FIRST, BEYOND)
            lab.transition(FIRST, "up", repaired)
            wait_until(lambda: ways_out(lab) == {FIRST}, "the line in the kernel")
            # The one that is no default route now has answers as well.
            lab.sleep_until(clock() + 1.5)
            demand(lab.is_state(SECOND, "up"), f"rp_filter={mode}: {SECOND} is taken for down")
    return "down and up again with each, the line that waits stays up"


@check(302, "a gateway that answers ARP for everybody revives no dead line", over=NAMESPACES,
       book=WAN)  # fmt: skip
def proxy_arp(stage: Stage) -> str:
    """A packet bound to a device without a route is sent on link, by ARP, and can succeed: with
    its line's route gone a probe goes nowhere.
    """
    return run_tests(stage, "test/netns/test_wan_probes.py", keyword="answers_arp_for_all")
