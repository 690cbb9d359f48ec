"""Peers on the router of a lab, each switching the default route in its own way.

Each has what it needs and no more: a table per line that its probes find by their source, source
NAT, a default route by the first line. A peer forgets no flows, so new flows are measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rig.process import Running, wait_until
from rig.wan_lab import BEYOND, LINK, SOURCES, Lab, clock
from rig.wanhosts import GATEWAYS, SERVER, Node

#: ``switch LINE``: the guide's `route delete` and `route add`, in one step.
_SWITCH = """#!/bin/sh
case $1 in wan1) via={wan1};; wan2) via={wan2};; esac
exec ip route replace default via $via dev $1
"""
_NAT = """
table ip peer {
    chain post { type nat hook postrouting priority 100; oifname { "wan1", "wan2" } masquerade; }
}
"""
_KEEPALIVED = """
global_defs {{
    script_user root
    vrrp_garp_master_repeat 1
}}
vrrp_script line {{
    script "/bin/ping -n -q -c 1 -W {wait} -I {source} {target}"
    interval {interval}
    timeout 2
    fall {fall}
    rise {fall}
}}
vrrp_instance ways {{
    state BACKUP
    interface lan0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {{ 192.0.2.9/32 dev lan0 }}
    track_script {{ line }}
    notify_master "/run/peer/switch wan1"
    notify_fault "/run/peer/switch wan2"
}}
"""
#: A loop: a test, a pause; so many bad rounds, so many good ones.
_LOOP = """
bad=0 good=0 on=wan1
while :; do
    if {test}; then good=$((good + 1)) bad=0; else bad=$((bad + 1)) good=0; fi
    if [ $on = wan1 ] && [ $bad -ge {fall} ]; then /run/peer/switch wan2; on=wan2; fi
    if [ $on = wan2 ] && [ $good -ge {fall} ]; then /run/peer/switch wan1; on=wan1; fi
    sleep {pause}
done
"""
#: The guide's check: one echo, five seconds for it, either of two targets.
_PING = "ping -q -c 1 -w 5 -I {source} {target} >/dev/null"
SECOND_TARGET = "203.0.113.101"
#: BFD with 50 ms and three of them on the router (RFC 5880); the default route that is preferred
#: goes with its session. bird.network.cz, "bfd" and "static".
_BIRD = """
router id 192.0.2.1;
protocol device {{ scan time 10; }}
protocol bfd {{
    interface "wan*" {{ min rx interval 50 ms; min tx interval 50 ms; multiplier 3; }};
}}
protocol static way1 {{ ipv4 {{ preference 210; }}; route 0.0.0.0/0 via {wan1} bfd; }}
protocol static way2 {{ ipv4 {{ preference 200; }}; route 0.0.0.0/0 via {wan2} bfd; }}
protocol kernel {{ ipv4 {{ export all; import none; }}; }}
"""
#: The other end of a session, on a line's gateway.
_BIRD_BEYOND = """
router id {gateway};
protocol device {{ scan time 10; }}
protocol bfd {{
    interface "line0" {{ min rx interval 50 ms; min tx interval 50 ms; multiplier 3; }};
    neighbor {router} dev "line0";
}}
"""


@dataclass(frozen=True)
class Peer:
    """Hold a peer.

    :param program: what this machine must have for it.
    :param fault: one that it can see: BFD ends at the gateway, and is blind beyond it.
    :param start: starts it on the router of a lab.
    :param every: seconds of its round: a fault comes at any moment of it.
    """

    program: str
    start: Callable[[Lab], list[Running]]
    fault: str = BEYOND
    every: float = 0.0


def names() -> list[str]:
    """Return the peers by name."""
    return list(PEERS)


def missing(name: str) -> str:
    """Return the program that this machine lacks for a peer, or nothing."""
    program = PEERS[name].program
    return "" if shutil.which(program) else program


@contextmanager
def running(lab: Lab, name: str) -> Iterator[None]:
    """Run a peer on the router of a lab, from its first look on."""
    router = lab.router
    router.write("/run/peer/switch", _SWITCH.format(**GATEWAYS), 0o755)
    for number, (line, gateway) in enumerate(GATEWAYS.items(), 100):
        router.ip("route", "replace", "default", "via", gateway, "dev", line, "table", str(number))
        router.ip("rule", "add", "from", SOURCES[line], "lookup", str(number), check=False)
    router.run(["nft", "-f", "-"], _NAT)
    programs = PEERS[name].start(lab)
    lab.running += programs
    begun = clock()
    wait_until(lambda: clock() > begun + 5, "the peer to have looked at its line")
    wait_until(lambda: way_out(lab) == "wan1", "the default route by the first line")
    try:
        yield
    finally:
        for program in programs:
            program.end()
        router.run(["nft", "delete", "table", "ip", "peer"])


def way_out(lab: Lab) -> str:
    """Return the interface of the router's default route, or nothing."""
    words = lab.router.ip("route", "show", "default").out.split()
    return words[words.index("dev") + 1] if "dev" in words else ""


def _switched(start: Callable[[Lab], list[str]]) -> Callable[[Lab], list[Running]]:
    """Return what starts a peer that switches by our script, from the first line on."""

    def begin(lab: Lab) -> list[Running]:
        lab.router.run(["/run/peer/switch", "wan1"])
        return [lab.router.popen(start(lab), stdout=-3, stderr=-3)]

    return begin


def _loop(test: str, fall: int, pause: float) -> Callable[[Lab], list[Running]]:
    return _switched(lambda lab: ["sh", "-c", _LOOP.format(test=test, fall=fall, pause=pause)])


def _keepalived(fall: int, wait: str) -> Callable[[Lab], list[Running]]:
    def start(lab: Lab) -> list[str]:
        text = _KEEPALIVED.format(
            source=SOURCES["wan1"], target=SERVER, interval=1, fall=fall, wait=wait
        )
        lab.router.write("/run/peer/keepalived.conf", text)
        argv = ["keepalived", "-n", "-l", "-P", "-f", "/run/peer/keepalived.conf"]
        return [*argv, "-p", "/run/peer/pid", "-r", "/run/peer/vrrp"]

    return _switched(start)


def _bird(lab: Lab) -> list[Running]:
    programs = []
    for line, gateway in GATEWAYS.items():
        node = lab.gateways[line]
        # Files of its own, which the other hosts do not have.
        node.run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        text = _BIRD_BEYOND.format(gateway=gateway, router=SOURCES[line])
        programs.append(_run_bird(node, text))
    return [*programs, _run_bird(lab.router, _BIRD.format(**GATEWAYS))]


def _run_bird(node: Node, text: str) -> Running:
    node.write("/run/peer/bird.conf", text)
    argv = ["bird", "-f", "-c", "/run/peer/bird.conf", "-s", "/run/peer/bird.ctl"]
    return node.popen([*argv, "-P", "/run/peer/bird.pid"], stdout=-3, stderr=-3)


_SOURCE = SOURCES["wan1"]
_EITHER = " || ".join(_PING.format(source=_SOURCE, target=t) for t in (SERVER, SECOND_TARGET))
_FPING = f"fping -q -c1 -t300 -S {_SOURCE} {SERVER} {SECOND_TARGET} 2>&1 | grep -q /0%"
GUIDE = "the guide's loop, 30 s"
PEERS = {
    GUIDE: Peer("ping", _loop(_EITHER, 1, 30), every=30),
    "fping every 0.1 s, three in a row": Peer("fping", _loop(_FPING, 3, 0.1)),
    "keepalived, interval 1, fall 2": Peer("keepalived", _keepalived(2, "1")),
    "keepalived, interval 1, fall 1, -W 0.2": Peer("keepalived", _keepalived(1, "0.2")),
    "BIRD with BFD, 50 ms, 3 in a row": Peer("bird", _bird, LINK),
}
