"""A minion that is a service of systemd is started anew for its engine, and no job is lost."""

from __future__ import annotations

import json
from collections.abc import Callable

from rig import master
from rig.host import BootedHost
from rig.netns import NetHost
from rig.process import wait_until

WAN = {
    "uplinks": {
        "wan1": {"interface": "eth0", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "eth1", "gateway": "198.51.100.1", "targets": ["203.0.113.8"]},
    },
    "react": "event",
}
CONF = f"{master.CONFIG}/minion.d/ipalias_wan.conf"


def main_process(host: BootedHost) -> str:
    """Return the minion's main process."""
    return host.run(["systemctl", "show", "-P", "MainPID", master.UNIT]).out.strip()


def test_the_restart_for_an_engine_loses_no_job(
    booted: Callable[[str, str], BootedHost], peer: NetHost
) -> None:
    host = booted("bookworm", "networkd")
    server = master.start_master(peer, {"ipalias": {"wan": WAN}})
    try:
        master.install_minion(host, peer.primary)
        host.run(["systemctl", "start", master.UNIT])
        master.await_minion(peer, host)
        before = main_process(host)
        words = ("state.single", "ipalias_wan.reported", "lines")
        tried = master.salt(peer, *words, "test=True")
        assert '"minion": "started anew"' in tried and not host.exists(CONF), tried
        # The unit ends with all its processes, the job's among them: the answer is here first.
        [[ran]] = [list(told.values()) for told in json.loads(master.salt(peer, *words)).values()]
        assert ran["result"] is True and ran["changes"]["minion"] == "started anew", ran
        assert f"{master.UNIT} is started anew when this job has ended" in ran["comment"]
        wait_until(lambda: main_process(host) not in (before, "0"), "a new minion", timeout=60)
        master.await_minion(peer, host)
        again = main_process(host)
        [[ran]] = [list(told.values()) for told in json.loads(master.salt(peer, *words)).values()]
        assert ran["result"] is True and ran["changes"] == {}, ran
        assert main_process(host) == again
        assert "reactor" in master.salt(peer, "config.get", "engines")
    finally:
        server.end()
