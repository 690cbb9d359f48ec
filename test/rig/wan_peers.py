"""Peers on the router of a lab, each switching the default route in its own way.

Each has what it needs and no more: a table per line that its probes find by their source, source
NAT, a default route by the first line. A peer forgets no flows, so new flows are measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from rig.process import wait_until
from rig.wan_lab import SOURCES, Lab, clock
from rig.wanhosts import GATEWAYS, SERVER

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
_PING = "ping -q -c 1 -w 5 -I {source} {target} >/dev/null"
SECOND_TARGET = "203.0.113.101"


def names() -> list[str]:
    """Return the peers that this machine has."""
    found = ["the guide's loop, 30 s"]
    if shutil.which("fping"):
        found.append("fping every 0.1 s, three in a row")
    if shutil.which("keepalived"):
        found += ["keepalived, interval 1, fall 2", "keepalived, interval 1, fall 1, -W 0.2"]
    return found


@contextmanager
def running(lab: Lab, name: str) -> Iterator[None]:
    """Run a peer on the router of a lab, from its first look on."""
    router, source = lab.router, SOURCES["wan1"]
    router.write("/run/peer/switch", _SWITCH.format(**GATEWAYS), 0o755)
    for number, (line, gateway) in enumerate(GATEWAYS.items(), 100):
        router.ip("route", "replace", "default", "via", gateway, "dev", line, "table", str(number))
        router.ip("rule", "add", "from", SOURCES[line], "lookup", str(number), check=False)
    router.run(["nft", "-f", "-"], _NAT)
    router.run(["/run/peer/switch", "wan1"])
    if name.startswith("keepalived"):
        quick = "-W 0.2" in name
        text = _KEEPALIVED.format(
            source=source,
            target=SERVER,
            interval=1,
            fall=1 if quick else 2,
            wait="0.2" if quick else "1",
        )
        router.write("/run/peer/keepalived.conf", text)
        argv = ["keepalived", "-n", "-l", "-P", "-f", "/run/peer/keepalived.conf"]
        argv += ["-p", "/run/peer/pid", "-r", "/run/peer/vrrp"]
    else:
        if name.startswith("fping"):
            targets = f"{SERVER} {SECOND_TARGET}"
            test = f"fping -q -c1 -t300 -S {source} {targets} 2>&1 | grep -q /0%"
            script = _LOOP.format(test=test, fall=3, pause=0.1)
        else:
            test = " || ".join(
                _PING.format(source=source, target=target) for target in (SERVER, SECOND_TARGET)
            )
            script = _LOOP.format(test=test, fall=1, pause=30)
        argv = ["sh", "-c", script]
    program = router.popen(argv, stdout=-3, stderr=-3)
    lab.running.append(program)
    begun = clock()
    wait_until(lambda: clock() > begun + 5, "the peer to have looked at its line")
    try:
        yield
    finally:
        program.end()
        router.run(["nft", "delete", "table", "ip", "peer"])
