"""The rig itself: booted hosts, their owners of eth0, Salt on them, and what is left of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.gentle import watch
from rig.host import BootedHost, work_folder
from rig.netns import NetHost, Segment, cgroup_mounts
from rig.process import CommandFailed
from rig.roots import SUITES
from rig.setups import SETUPS

Boot = Callable[[str, str], BootedHost]

#: The service that must run for a set-up, and alone of these.
OWNERS = {
    "networkd": "systemd-networkd",
    "netplan_networkd": "systemd-networkd",
    "netplan_nm": "NetworkManager",
    "networkmanager": "NetworkManager",
    "ifupdown": "networking",
}
RELEASES = {"bookworm": "12", "trixie": "13"}


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("suite", SUITES)
def test_every_owner_configures_the_host(
    booted: Boot, segment: Segment, suite: str, setup: str
) -> None:
    host = booted(suite, setup)
    v6 = f"2001:db8::{host.number:x}"
    assert [str(found) for found in host.addresses()] == [f"{host.primary}/24", f"{v6}/64"]
    for family, gateway in ((4, "192.0.2.1"), (6, "2001:db8::1")):
        defaults = [route for route in host.routes(family) if route["dst"] == "default"]
        assert [route["gateway"] for route in defaults] == [gateway]
    assert segment.ping(host.primary)
    assert segment.ping(v6)
    active = {
        owner
        for owner in set(OWNERS.values())
        if host.run(["systemctl", "is-active", owner], check=False).code == 0
    }
    assert active == {OWNERS[setup]}
    assert host.failed_units() == []
    assert host.run(["cat", "/etc/debian_version"]).out.startswith(RELEASES[suite])


@pytest.mark.parametrize("suite", SUITES)
def test_salt_runs_inside_as_on_a_machine_of_its_own(booted: Boot, suite: str) -> None:
    host = booted(suite, "networkd")
    grains = host.salt_call("grains.item", "osfinger", "init", "host", "id", pillar={"a": {"b": 1}})
    assert grains == {
        "osfinger": f"Debian-{RELEASES[suite]}",
        "init": "systemd",
        "host": host.name,
        "id": host.name,
    }
    assert host.salt_call("service.status", "systemd-networkd") is True
    assert host.salt_call("pillar.keys", "a") == ["b"]
    with pytest.raises(CommandFailed, match="Read-only"):
        host.write(f"{host.checkout}/x", "")


def test_a_reboot_keeps_files_and_nothing_else(booted: Boot, peer: NetHost) -> None:
    host = booted("trixie", "networkd")
    host.write("/etc/kept", "yes")
    host.write("/run/lost", "yes")
    host.ip("address", "add", "198.51.100.9/32", "dev", "eth0")
    mac = host.run(["cat", "/sys/class/net/eth0/address"]).out
    boot = host.run(["journalctl", "--list-boots", "-q"]).out
    host.reboot()
    assert host.read("/etc/kept") == "yes"
    assert host.read("/run/lost") is None
    assert not host.has("198.51.100.9")
    assert peer.ping(host.primary)
    assert host.run(["cat", "/sys/class/net/eth0/address"]).out == mac
    assert host.run(["journalctl", "--list-boots", "-q"]).out != boot


def test_files_can_be_written_while_halted(segment: Segment) -> None:
    with BootedHost("bookworm", segment) as host:
        host.write("/etc/network/interfaces.d/x", "# a\r\n", 0o600)
        assert host.tree("/etc/network/interfaces.d") == {
            "/etc/network/interfaces.d/x": ("0o100600", "# a\r\n")
        }
        assert host.run(["systemctl", "is-enabled", "networking"], check=False).out == "disabled\n"
        host.enable("networking.service")
        assert host.run(["systemctl", "is-enabled", "networking"]).out == "enabled\n"
    with BootedHost("bookworm", segment) as other:
        assert not other.exists("/etc/network/interfaces.d/x")


def test_a_snapshot_starts_others_that_do_not_meet(segment: Segment) -> None:
    with BootedHost("trixie", segment) as first:
        SETUPS["networkd"](first)
        first.write("/etc/common", "1")
        first.run(["rm", "/etc/issue"])
        snapshot = first.snapshot()
        own = first.read("/etc/machine-id")
        first.write("/etc/common", "2")
    with BootedHost.from_snapshot(snapshot, segment) as second:
        second.boot()
        assert second.has(f"{first.primary}/24")
        assert second.read("/etc/common") == "1"
        assert not second.exists("/etc/issue")
        second.write("/etc/common", "3")
    with BootedHost.from_snapshot(snapshot, segment) as third:
        assert third.read("/etc/common") == "1"
        assert third.read("/etc/machine-id") != own


def test_power_cut_and_close_leave_nothing(segment: Segment) -> None:
    with BootedHost("bookworm", segment) as host:
        SETUPS["ifupdown"](host)
        host.boot()
        host.write("/etc/kept", "yes")
        pid = host.pid
        groups = [mount / host.name for mount in cgroup_mounts()]
        assert all(group.is_dir() for group in groups)
        host.power_off()
        assert not os.path.exists(f"/proc/{pid}")
        assert not any(group.exists() for group in groups)
        host.boot()
        assert host.read("/etc/kept") == "yes"
        folder = work_folder() / host.name
        assert folder.is_dir()
    assert not folder.exists()
    assert host.name not in Path("/proc/self/mountinfo").read_text()


def test_a_host_that_does_not_come_up_shows_its_console(segment: Segment) -> None:
    with BootedHost("trixie", segment) as host:
        host.run(["rm", "/usr/lib/systemd/system/basic.target"])
        host.run(["rm", "/usr/lib/systemd/systemd"])
        with pytest.raises(AssertionError, match="does not boot"):
            host.boot()
        assert not host.running


def test_watch_sees_a_restart_of_the_network(booted: Boot, peer: NetHost) -> None:
    host = booted("bookworm", "ifupdown")
    with watch(host, peer, host.primary) as seen:
        host.run(["sh", "-c", "ifdown --force eth0; ifup eth0"])
    assert seen.answers
    assert seen.deleted_with(f"{host.primary}/24")


def test_the_rig_runs_on_the_python_of_the_tests(booted: Boot) -> None:
    host = booted("bookworm", "networkd")
    argv = [*host.salt_argv()[:-2], "-c", "import sys, salt; print(sys.version)"]
    done = host.run(argv, env=dict(host.salt_environment()))
    assert done.out.strip() == sys.version
