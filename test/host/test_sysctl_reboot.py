"""Kernel settings on booted Debian 12 and 13: after a reboot, and for interfaces to come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rig import setups
from rig.host import BootedHost
from rig.netns import Segment
from rig.process import wait_until
from rig.roots import SUITES

OURS = "/etc/sysctl.d/zz-ipalias.conf"
UNIT = "ipalias-sysctl.service"
#: systemd/systemd#33762: a network card that comes after systemd-sysctl has run.
LATE_CARD = """[Unit]
Description=A network card that takes its time
DefaultDependencies=no
After=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link add nic0 type veth peer name nic0p
[Install]
WantedBy=multi-user.target
"""
SYSCTL = {
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.eth0.arp_ignore": 1,
    "net.ipv4.conf.eth0.rp_filter": 2,
    "net.ipv4.conf.nic0.arp_ignore": 1,
    "net.ipv6.conf.nic0.accept_ra": 0,
    "net/ipv4/conf/late0.5/arp_announce": 2,
}


@pytest.fixture(params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[BootedHost]:
    with Segment() as segment, BootedHost(request.param, segment) as made:
        setups.networkd(made)
        made.write("/etc/systemd/system/late-card.service", LATE_CARD)
        made.enable("late-card.service")
        # Others set the same: earlier in the order, and by wildcards.
        made.write("/etc/sysctl.d/50-other.conf", "net.ipv4.conf.all.arp_ignore = 2\n")
        made.write("/etc/sysctl.d/999-other.conf", "net.ipv4.conf.*.rp_filter = 1\n")
        made.boot()
        yield made


def value(host: BootedHost, path: str) -> str | None:
    text = host.read(f"/proc/sys/net/{path}")
    return text.strip() if text is not None else None


def apply(host: BootedHost, sysctl: dict[str, Any]) -> dict[str, Any]:
    told = host.salt_call("state.apply", "ipalias.sysctl", pillar={"ipalias": {"sysctl": sysctl}})
    [state] = told.values()
    assert state["result"] is True, state
    result: dict[str, Any] = state
    return result


def test_a_setting_is_right_after_a_reboot_and_where_its_interface_comes_later(
    host: BootedHost,
) -> None:
    first = apply(host, SYSCTL)
    assert first["changes"]["listener"] == {"old": "stopped", "new": "running"}
    assert value(host, "ipv4/conf/eth0/arp_ignore") == "1"
    assert apply(host, SYSCTL)["changes"] == {}
    host.reboot()
    wait_until(lambda: value(host, "ipv4/conf/nic0/arp_ignore") == "1", "the late card's setting")
    assert host.run(["systemctl", "is-active", UNIT]).out.strip() == "active"
    assert value(host, "ipv6/conf/nic0/accept_ra") == "0"
    assert value(host, "ipv4/conf/eth0/arp_ignore") == "1"
    assert value(host, "ipv4/conf/eth0/rp_filter") == "2"
    assert value(host, "ipv4/conf/all/arp_ignore") == "1"
    # Others' wildcards hold where we say nothing.
    assert value(host, "ipv4/conf/lo/rp_filter") == "1"
    rows = host.salt_call("ipalias_sysctl.effective", "net.ipv4.conf.eth0.rp_filter")
    assert [row["where"] for row in rows[0]["sources"]] == ["/etc/sysctl.d/999-other.conf:1",
                                                            f"{OURS}:4"]  # fmt: skip
    assert rows[0]["winner"] == f"{OURS}:4" and rows[0]["after_boot"] == "2"
    assert apply(host, SYSCTL)["changes"] == {}
    # One with a dot in its name appears, and one takes that name.
    host.ip("link", "add", "late0.5", "type", "veth", "peer", "name", "peer0")
    wait_until(lambda: value(host, "ipv4/conf/late0.5/arp_announce") == "2", "the new interface")
    host.ip("link", "delete", "late0.5")
    host.ip("link", "add", "other0", "type", "veth", "peer", "name", "peer0")
    host.ip("link", "set", "other0", "name", "late0.5")
    wait_until(lambda: value(host, "ipv4/conf/late0.5/arp_announce") == "2", "the renamed one")


def test_given_up_everything_is_as_it_was(host: BootedHost) -> None:
    before = {path: value(host, path) for path in PATHS}
    files = host.tree("/etc/sysctl.d", "/etc/systemd/system")
    apply(host, SYSCTL)
    assert {path: value(host, path) for path in PATHS} != before
    assert apply(host, {})["changes"]["listener"] == {"old": "running", "new": "stopped"}
    assert {path: value(host, path) for path in PATHS} == before
    left = host.tree("/etc/sysctl.d", "/etc/systemd/system")
    assert {p: t for p, t in left.items() if "ipalias-restore" not in p} == files
    assert host.run(["systemctl", "is-active", UNIT], check=False).out.strip() == "inactive"
    assert host.failed_units() == []
    host.reboot()
    assert value(host, "ipv4/conf/all/arp_ignore") == "2"


# Runs inside: a change of settings that ends itself once it has performed its Nth effect of a kind.
CUT_SHORT = """
import os, sys
sys.path.insert(0, "/srv/ipalias/_utils")
from saltext.ipalias import checks, paths, system, tuning
kind, guarded = sys.argv[1:]
host = system.RealHost()
perform = host.perform
def cutting(effect):
    answer = perform(effect)
    argv = effect.command.argv if type(effect).__name__ == "Run" else ()
    if kind == type(effect).__name__ or kind in argv:
        os._exit(9)
    return answer
host.perform = cutting
settings = paths.Settings(guard=checks.GuardConfig(enabled=guarded == "guard"))
tuner = tuning.Tuner(host, settings, lambda purpose: system.lock(settings.paths, purpose),
                     system.now_id)
wanted = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.nic0.arp_ignore": 1}
tuner.present(tuning.parse_settings(wanted, "x", "linux"))
"""


@pytest.mark.parametrize("kind", ["WriteKernel", "restart"])
def test_a_change_cut_short_is_put_back_by_the_dead_man_and_by_the_next_boot(
    host: BootedHost, kind: str
) -> None:
    before = {path: value(host, path) for path in PATHS}
    files = host.tree("/etc/sysctl.d", "/etc/systemd/system")

    def back() -> bool:
        left = host.tree("/etc/sysctl.d", "/etc/systemd/system")
        left = {path: text for path, text in left.items() if "ipalias-restore" not in path}
        active = host.run(["systemctl", "is-active", UNIT], check=False).out.strip()
        values = {path: value(host, path) for path in PATHS}
        return left == files and values == before and active != "active"

    argv = [host.python, "-I", "-c", CUT_SHORT, kind]
    assert host.run([*argv, "guard"], check=False).code == 9
    wait_until(back, "the dead man to have put everything back")
    assert host.run([*argv, "none"], check=False).code == 9
    assert host.exists(OURS) and value(host, "ipv4/conf/all/arp_ignore") == "1"
    host.power_off()
    host.boot()
    wait_until(lambda: value(host, "ipv4/conf/nic0/arp_ignore"), "the late card")
    assert back(), host.journal("-u", "ipalias-restore.service")
    assert "ordering cycle" not in host.journal()


PATHS = (
    "ipv4/conf/all/arp_ignore",
    "ipv4/conf/eth0/arp_ignore",
    "ipv4/conf/eth0/rp_filter",
    "ipv4/conf/nic0/arp_ignore",
    "ipv6/conf/nic0/accept_ra",
)
