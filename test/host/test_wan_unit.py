"""The monitor under systemd: its rights, its words in the log, its watchdog."""

from __future__ import annotations

from collections.abc import Callable

from test_wan_setup import UNIT, call, ours, pillar, second_line

from rig.host import BootedHost
from rig.netns import Segment
from rig.process import wait_until


def shown(host: BootedHost, name: str) -> str:
    return host.run(["systemctl", "show", "-P", name, UNIT]).out.strip()


def test_the_service_has_few_rights_and_is_started_again(
    booted: Callable[[str, str], BootedHost], segment: Segment
) -> None:
    host = booted("bookworm", "networkd")
    second_line(host, segment)
    told = call(host, "ipalias.wan", pillar())
    assert told["result"] is True, told["comment"]
    whole, pid = ours(host), shown(host, "MainPID")

    status = host.read(f"/proc/{pid}/status") or ""
    [effective] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
    # CAP_NET_ADMIN is 12, CAP_NET_RAW 13 (capability.h).
    assert int(effective, 16) == 1 << 12 | 1 << 13
    inside = ["nsenter", "--target", pid, "--mount", "--"]
    for path, kept in (("/etc/x", False), ("/usr/x", False), ("/var/lib/ipalias/wan/x", True)):
        assert (host.run([*inside, "touch", path], check=False).code == 0) is kept, path
    host.remove("/var/lib/ipalias/wan/x")

    # Both lines lead over the segment: without its far end neither has an answer.
    segment.ip("address", "del", "203.0.113.1/32", "dev", "br0")
    wait_until(
        lambda: "wan2 down" in host.run(["journalctl", "-t", "ipalias-wan"]).out,
        "the loss in the system log",
    )
    assert ours(host) == whole, "the last default route stays"

    host.run(["systemctl", "kill", "-s", "STOP", UNIT])
    wait_until(lambda: shown(host, "NRestarts") == "1", "the watchdog", timeout=60.0)
    wait_until(lambda: shown(host, "ActiveState") == "active", "the service", timeout=60.0)
    assert shown(host, "MainPID") != pid and ours(host) == whole
