"""A foreign virtual IP: a real keepalived beside the formula."""

from __future__ import annotations

from proof.registry import check, demand
from proof.stage import Stage, shorten
from rig.gentle import Monitor
from rig.process import wait_until

VIP = "203.0.113.250"
CONFIG = "/etc/keepalived/keepalived.conf"
LOG = "/run/vrrp.log"
#: In the foreground, saying all to its log; process ids away from the usual places.
KEEPALIVED = (
    *("keepalived", "-n", "-l", "-D", "-P", "-f", CONFIG),
    *("-p", "/run/test-main.pid", "-r", "/run/test-vrrp.pid"),
)
INSTANCE = f"""global_defs {{
    router_id test
    vrrp_version 3
}}
vrrp_instance one {{
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 0.2
    virtual_ipaddress {{
        {VIP}/32 dev eth0
    }}
}}
"""


@check(16, "a keepalived VIP: verification passes, it stays, its VRRP state does not change")
def vip_kept(stage: Stage) -> None:
    """While keepalived holds an address, runs add, heal and remove beside it, unfelt by it."""
    host = stage.host
    host.write(CONFIG, INSTANCE)
    host.write(LOG, "")
    daemon = host.popen(["sh", "-c", f'exec "$@" >{LOG} 2>&1', "sh", *KEEPALIVED])
    try:
        wait_until(lambda: "MASTER STATE" in (host.read(LOG) or ""), "keepalived to be MASTER")
        host.await_addresses(f"{VIP}/32")
        said = states(host.read(LOG) or "")
        monitor = Monitor(host)
        try:
            stage.apply("198.51.100.10", "198.51.100.11", "2001:db8:1::10")
            host.ip("address", "del", "198.51.100.10/32", "dev", "eth0")
            stage.state()
            verdict = stage.call("ipalias.verify")
            stage.apply("198.51.100.11")
        finally:
            events = monitor.stop()
        demand(verdict.get("result"), f"ipalias.verify says {verdict}")
        stage.demand_live("198.51.100.11/32", f"{VIP}/32")
        lost = [line for line in events if line.startswith("Deleted") and VIP in line]
        demand(not lost, f"the kernel deleted the VIP: {shorten('; '.join(lost))}")
        demand(daemon.poll() is None, "keepalived ended")
        now = states(host.read(LOG) or "")
        demand(now == said, f"VRRP went through {', '.join(now)}")
    finally:
        daemon.end()


def states(log: str) -> list[str]:
    """Return the VRRP states the log tells of, in order."""
    return [line.rpartition("Entering ")[2] for line in log.splitlines() if "Entering " in line]
