"""The pair comes up: by the orchestration with a real master, and by a run on each alone."""

from __future__ import annotations

import re
from collections import Counter

from proof.checks_dhcp.apart import standby
from proof.checks_dhcp.scene import (
    FIRST,
    PAIRS,
    config_of,
    demand_files,
    demand_single,
    lease,
    normal_pair,
    pair,
    pairs,
)
from proof.registry import DHCP, check, demand
from proof.stage import Stage, shorten
from rig.dhcp_master import DhcpMaster

#: Ports that differ, and are none of the usual ones.
CROSSED = (647, 847)


@check(25, "two different ports, each one's own the other's peer port", over=PAIRS, book=DHCP)
def crossed(stage: Stage) -> str:
    """The primary listens on 647 and the secondary on 847: both are normal, and 20 clients have a
    lease that stands in both files.
    """
    with normal_pair(stage, ports=CROSSED) as scene:
        for member, port in zip(scene.members, CROSSED, strict=True):
            done = member.host.run(["ss", "-Hltn", f"src {member.address} and sport = :{port}"])
            demand(done.out.strip(), f"{member.name} does not listen on {port}")
        rows = lease(scene, range(1, 21))
        demand_files(scene, rows)
    return "normal, 20 leases in both files"


@check(101, "`state.apply` and the orchestration with a real master: normal; 200 clients",
       over=PAIRS, book=DHCP)  # fmt: skip
def orchestrated(stage: Stage) -> str:
    """`salt-run state.orchestrate ipalias.orch.dhcp_pair` ends with both `normal`; 200 clients have
    a lease each, no address twice, from both servers (but for a hot standby); `state.apply` on both
    then changes nothing.
    """
    with pair(stage) as scene, DhcpMaster(scene) as master:
        words = [member.name for member in scene.members]
        told = master.orchestrate(*words)
        failed = [str(row["comment"]) for row in told.values() if row["result"] is not True]
        demand(told and not failed, f"the orchestration: {shorten('; '.join(failed) or str(told))}")
        seconds = scene.await_normal(1.0)
        rows = lease(scene, FIRST)
        demand_single(rows)
        files = demand_files(scene, rows)
        shares = Counter(row["server"] for row in rows.values())
        both = not standby(config_of(scene))
        demand(len(shares) == 1 + both, f"the leases are of {', '.join(shares)}")
        for member in scene.members:
            ran = master.salt(member.name, "state.apply", "ipalias.dhcp")
            demand(isinstance(ran, dict), f"{member.name}: state.apply: {shorten(str(ran))}")
            bad = [row["comment"] for row in ran.values() if row["result"] is not True]
            demand(not bad, f"{member.name}: state.apply: {shorten('; '.join(bad))}")
            changed = [row["comment"] for row in ran.values() if row["changes"]]
            demand(not changed, f"{member.name}: a second run: {shorten('; '.join(changed))}")
        longest = max(row["seconds"] for row in rows.values())
    return (
        f"normal {seconds:.1f} s after the orchestration, 200 leases "
        f"({' and '.join(map(str, shares.values()))}), the longest took {longest:.1f} s, "
        f"in both files after {files:.1f} s more"
    )


@check(105, "an alias on the clients' interface: each message is taken once, no update refused",
       over=pairs("kea", "kea-standby", suites=["bookworm", "trixie"]), book=DHCP)  # fmt: skip
def once(stage: Stage) -> str:
    """Both members have two addresses on the interface, and 200 clients come. Kea opens a socket
    for each address of an interface that is named alone: it would take each message twice, and
    refuse its peer's second update of one lease; for Kea 2.2 the peer is lost then.
    """
    with normal_pair(stage) as scene:
        for member in scene.members:
            listed = member.host.run(["ip", "-brief", "-4", "address", "show", "eth0"]).out.split()
            demand(len(listed[2:]) > 1, f"{member.name} has one address: {listed}")
        rows = lease(scene, FIRST)
        demand_files(scene, rows)
        bad = re.compile(r"MULTIPLE_RAW_SOCKETS|UPDATE4?_(?:CONFLICT|FAILED)|HOOKS_CALLOUT_ERROR")
        for member in scene.members:
            found = sorted(set(bad.findall(member.journal())))
            demand(not found, f"{member.name} logs {', '.join(found)}")
    longest = max(row["seconds"] for row in rows.values())
    return f"200 leases in both files, the longest took {longest:.1f} s"
