"""Real servers on booted hosts: VIP and settings come back with a reboot, and in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from proof.registry import Case
from proof.stage import Stage

from rig.host import BootedHost
from rig.process import CommandFailed
from rig.roots import SUITES
from rig.setups import SETUPS

VIP4, VIP6 = "203.0.113.80", "2001:db8:8::80"
VIPS = (f"{VIP4}/32", f"{VIP6}/128")
PILLAR = {"ipalias": {"dsr": {"vips": [VIP4, VIP6], "interfaces": ["eth0"]}}}
UNIT = "ipalias-loopback.service"
#: Where each set-up of `rig.setups` has lo's addresses: none but ifupdown's configures lo.
CARRIED = {name: "/etc/ipalias/lo.batch" for name in SETUPS} | {
    "ifupdown": "/etc/network/interfaces"
}


def lo_by_networkd(host: BootedHost) -> None:
    host.write(
        "/etc/systemd/network/10-lo.network",
        "[Match]\nName=lo\n\n[Network]\nAddress=198.51.100.7/32\n",
    )


def lo_by_netplan(host: BootedHost) -> None:
    host.write(
        "/etc/netplan/20-lo.yaml",
        "network:\n  version: 2\n  ethernets:\n    lo: {addresses: [198.51.100.7/32]}\n",
        0o600,
    )


def lo_by_networkmanager(host: BootedHost) -> None:
    host.write(
        "/etc/NetworkManager/system-connections/lo.nmconnection",
        "[connection]\nid=lo\nuuid=6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c11\ntype=loopback\n"
        "interface-name=lo\n\n[ipv4]\nmethod=manual\naddress1=127.0.0.1/8\n"
        "address2=198.51.100.7/32\n\n[ipv6]\nmethod=manual\naddress1=::1/128\n",
        0o600,
    )


#: Owners that have been given lo as well: (set-up, how, where its addresses then lie).
GIVEN = (
    ("networkd", lo_by_networkd, "/etc/systemd/network/10-lo.network.d/60-ipalias.conf"),
    ("netplan_networkd", lo_by_netplan, "/etc/netplan/90-ipalias.yaml"),
    (
        "networkmanager",
        lo_by_networkmanager,
        "/etc/NetworkManager/system-connections/lo.nmconnection",
    ),
)


def values(host: BootedHost) -> list[str]:
    folder = "/proc/sys/net/ipv4/conf/all"
    return [(host.read(f"{folder}/{key}") or "").strip() for key in ("arp_ignore", "arp_announce")]


def demand_real_server(stage: Stage, path: str) -> None:
    """Demand that the host is one now, and by its files stays one."""
    host = stage.host
    host.await_addresses(*VIPS)
    assert values(host) == ["1", "2"]
    told: Any = stage.call("ipalias_dsr.check")
    assert told["result"] is True, told["comment"]
    assert {row["file"].rpartition(":")[0] or row["file"] for row in told["vips"]} >= {path}
    assert {row["winner"].partition(":")[0] for row in told["settings"] if row["winner"]} >= {
        "/etc/sysctl.d/zz-ipalias.conf"
    }


def ended(host: BootedHost, unit: str) -> int:
    """Return when a unit of this boot had been started, in microseconds of its clock."""
    shown = host.run(
        ["systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit]
    )
    return int(shown.out)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("setup", sorted(SETUPS))
def test_a_real_server_comes_back(suite: str, setup: str) -> None:
    with Stage(Case(suite, setup)) as stage:
        before = stage.live("lo")
        stage.state("ipalias", PILLAR)
        demand_real_server(stage, CARRIED[setup])
        stage.host.reboot()
        demand_real_server(stage, CARRIED[setup])
        host = stage.host
        carrier = "networking.service" if setup == "ifupdown" else UNIT
        assert 0 < ended(host, "systemd-sysctl.service") <= ended(host, carrier)
        assert host.failed_units() == []
        if setup != "ifupdown":
            labels = {a.address: a.label for a in host.addresses("lo")}
            assert labels[VIP4] == "lo:1"
        assert stage.state("ipalias").changes == {}
        stage.state("ipalias.clean")
        assert stage.live("lo") == before
        assert values(host) == ["0", "0"]
        host.reboot()
        assert stage.live("lo") == before
        assert values(stage.host) == ["0", "0"]
        assert not stage.host.exists("/etc/ipalias")


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(("setup", "give", "path"), GIVEN, ids=[given[0] for given in GIVEN])
def test_whoever_has_lo_carries_the_vips(
    suite: str, setup: str, give: Callable[[BootedHost], None], path: str
) -> None:
    with Stage(Case(suite, setup)) as stage:
        host = stage.boot(give)
        host.await_addresses("198.51.100.7/32")
        stage.state("ipalias", PILLAR)
        demand_real_server(stage, path)
        host.reboot()
        demand_real_server(stage, path)
        host.await_addresses("198.51.100.7/32", "127.0.0.1/8", "::1/128")
        stage.state("ipalias.clean")
        assert set(stage.live("lo")) == {"127.0.0.1/8", "198.51.100.7/32", "::1/128"}


@pytest.mark.parametrize(
    ("setup", "give"), [given[:2] for given in GIVEN], ids=[g[0] for g in GIVEN]
)
def test_a_vip_that_was_somebody_elses_line_does_not_come_back_and_answer(
    setup: str, give: Callable[[BootedHost], None]
) -> None:
    dsr = {"vips": ["198.51.100.7"], "interfaces": ["eth0"]}
    with Stage(Case(SUITES[-1], setup)) as stage:
        host = stage.boot(give)
        host.await_addresses("198.51.100.7/32")
        stage.state("ipalias", {"ipalias": {"dsr": dsr, "adopt": True}})
        assert values(host) == ["1", "2"]
        stage.state("ipalias.clean")
        assert "198.51.100.7/32" not in stage.live("lo")
        assert values(host) == ["0", "0"]
        with pytest.raises(CommandFailed, match=r"sets 198\.51\.100\.7 on lo, and this host would"):
            stage.call("ipalias.restore")
        host.reboot()
        assert "198.51.100.7/32" not in stage.live("lo")
