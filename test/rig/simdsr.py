"""Real servers on simulated hosts: each Linux owner of the network, settings, and a boot in order.

The boot here is the one that the real systems were seen to make: what puts back, the settings'
files, the carrier of `lo`, the network. What is held against it at every step is one sentence:
no VIP is live while the host would answer for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rig import simafter, simsysctl
from rig.simhost import READING, SimHost
from rig.simnm import OWNERS
from saltext.ipalias.dsrsteps import Dsr
from saltext.ipalias.dsrtuning import Kept
from saltext.ipalias.effects import Effect
from saltext.ipalias.engine import Engine
from saltext.ipalias.tuning import Tuner

LINUX = (
    "ifupdown",
    "networkd",
    "netplan",
    "networkmanager",
    "netifrc",
    "ifcfg_rh",
    "ifcfg_suse",
    "cpanel",
)
#: Owners for which `with_line` writes.
LINES = ("ifupdown", "networkd", "netplan")
VIPS = ("203.0.113.80", "2001:db8:8::80")
OTHER = "203.0.113.81"
BATCH = "/etc/ipalias/lo.batch"
UNIT = "/etc/systemd/system/ipalias-loopback.service"
WANTS = "/etc/systemd/system/sysinit.target.d/ipalias-loopback.conf"
LOCAL = "/etc/local.d/ipalias-loopback.start"
_ids = itertools.count(1)


def host_of(dialect: str) -> SimHost:
    """Return a host of an owner, with settings, and with what starts services there."""
    host = OWNERS[dialect](links=("eth0", "eth1"))
    if dialect == "netifrc":
        host.files.put("/etc/runlevels/default/local", "")
        host.files.put("/etc/sysctl.conf", "# kept\n")
    else:
        host.files.make_folders("/run/systemd/system")
        host.files.make_folders("/etc/systemd/system")
    host.files.put("/etc/sysctl.d/10-network.conf", "# kept\nnet.ipv4.conf.all.rp_filter = 2\n")
    host.proc.fill(sorted(host.net.links))
    simsysctl.apply_files(host)
    host.log.clear()
    return host


def with_line(dialect: str, *vips: str) -> tuple[SimHost, str]:
    """Return a host on which lines of somebody else set VIPs on `lo`, and the file they stand in.

    :param dialect: one of `LINES`.
    """
    host = host_of(dialect)
    path, text = {
        "ifupdown": (
            "/etc/network/interfaces",
            (host.files.read("/etc/network/interfaces") or "")
            + "".join(
                f"\nauto lo:{n}\niface lo:{n} inet static\n    address {vip}/32\n"
                for n, vip in enumerate(vips, 1)
            ),
        ),
        "networkd": (
            "/etc/systemd/network/05-lo.network",
            "[Match]\nName=lo\n\n[Network]\n" + "".join(f"Address={vip}/32\n" for vip in vips),
        ),
        "netplan": (
            "/etc/netplan/05-lo.yaml",
            "network:\n  version: 2\n  ethernets:\n    lo:\n      addresses:\n"
            "        - 127.0.0.1/8\n" + "".join(f"        - {vip}/32\n" for vip in vips),
        ),
    }[dialect]
    host.files.put(path, text, 0o600)
    for vip in vips:
        host.ip(["ip", "address", "add", f"{vip}/32", "dev", "lo"], None)
    if dialect == "netplan":
        host.run(["netplan", "generate"])
    if dialect != "ifupdown":
        used = "/run/systemd/network/10-netplan-lo.network" if dialect == "netplan" else path
        state = f"ADMIN_STATE=configured\nNETWORK_FILE={used}\n"
        host.files.put(f"/run/systemd/netif/links/{host.net.links['lo'].index}", state)
    host.log.clear()
    return host, path


def block(*vips: str, **settings: Any) -> dict[str, Any]:
    """Return the pillar block with VIPs."""
    return {"dsr": {"vips": list(vips), **settings}}


def dsr(host: SimHost, pillar: dict[str, Any] | None = None) -> Dsr:
    """Return what adds and removes VIPs on a host."""
    new_id = lambda: f"dsr-{next(_ids):06d}"  # noqa: E731
    engine = Engine(host=host, data=pillar, new_id=new_id)
    tuner = Tuner(host, engine.settings, new_id=new_id, interpreter="/usr/bin/python3")
    return Dsr(engine, Kept(tuner))


def live(host: SimHost) -> set[str]:
    """Return the addresses of lo beside its own."""
    lo = host.net.links["lo"]
    found = {address.address for address in (*lo.addresses4, *lo.addresses6)}
    return found - {"127.0.0.1", "::1", "203.0.113.250"}


def loud(host: SimHost, *vips: str) -> list[str]:
    """Return the VIPs that the host would answer for now; written apart from the product.

    Of IPv6 none, as long as no network card has it: see the lane with the real kernel.
    """
    values = host.proc.values

    def larger(link: str, name: str) -> int:
        keys = (f"net/ipv4/conf/{part}/{name}" for part in ("all", link))
        return max(int(values.get(key) or "0") for key in keys)

    answering = any(
        larger(link.name, "arp_ignore") not in (1, 2, 8) or larger(link.name, "arp_announce") != 2
        for link in host.net.links.values()
        if not link.loopback
    )
    wanted = set(vips or (*VIPS, OTHER))
    found = {vip for vip in live(host) & wanted if answering and ":" not in vip}
    for link in host.net.links.values():
        if not link.loopback:
            theirs = {address.address for address in (*link.addresses4, *link.addresses6)}
            found |= theirs & wanted
    return sorted(found)


class Watch:
    """Look at a host before each effect that changes something, and once more at the end.

    :ivar moments: how many were looked at; `answered`: those with a VIP that was answered for.
    """

    def __init__(self) -> None:
        self.moments = 0
        self.answered: list[str] = []

    def look(self, host: SimHost, said: str) -> None:
        """Look at a host now."""
        self.moments += 1
        found = loud(host)
        if found:
            self.answered.append(f"{', '.join(found)} {said}")

    @contextmanager
    def over(self, host: SimHost, said: str = "") -> Iterator[None]:
        """Look at a host throughout."""
        before = host.watch

        def watch(at: int, effect: Effect) -> None:
            if before is not None:
                before(at, effect)
            if not isinstance(effect, READING):
                self.look(host, f"before {at}: {effect}"[:200] + said)

        host.watch = watch
        try:
            yield
        finally:
            host.watch = before
            self.look(host, f"at the end{said}")


def boot(host: SimHost, watch: Watch | None = None, said: str = "") -> SimHost:
    """Return the host after a power cut and a boot, looked at after each step of it."""
    watch = watch or Watch()
    dark = simafter.power_up(host)
    with watch.over(dark, f"{said}, at boot"):
        simafter.boot_restore(dark)
        simsysctl.apply_files(dark)
        watch.look(dark, f"{said}, at boot behind the settings")
        if dark.files.read(UNIT) is not None and dark.files.read(WANTS) is not None:
            _load(dark)
        watch.look(dark, f"{said}, at boot behind lo")
        simafter.bring_up(dark)
        watch.look(dark, f"{said}, at boot behind the network")
        if dark.files.read(LOCAL) is not None:
            _load(dark)
    return dark


def _load(host: SimHost) -> None:
    """Do what ``ip -force -batch FILE`` does."""
    lines = (host.files.read(BATCH) or "").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#"))
    host.ip(["ip", "-force", "-batch", "-"], text)
