"""Hosts whose kernel settings are to be kept: what is read at boot, and scenes for the matrices.

The reader here is written from sysctl.d(5) apart from the product's; the host lane holds both
against the real systemd-sysctl.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rig import plat
from rig.simhost import STATE, SimHost
from rig.simowners import Program, machine
from saltext.ipalias.engine import Answer
from saltext.ipalias.host import Result
from saltext.ipalias.tuning import Tuner, parse_settings

#: Systems without /proc/sys: what a host has, and what it gets, each one to stay and one to go.
ELSEWHERE: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "freebsd": (
        {"net.inet.ip.forwarding": 1, "kern.ipc.somaxconn": 256},
        {"net.inet.ip.forwarding": 1, "net.link.ether.inet.proxyall": 1},
    ),
    "openbsd": (
        {"net.inet.ip.forwarding": 1, "kern.somaxconn": 256},
        {"net.inet.ip.forwarding": 1, "net.inet.ip.ttl": 32},
    ),
    "ipadm": (
        {"ipv4/hostmodel": "strong", "tcp/max_buf": 2097152},
        {"ipv4/hostmodel": "src-priority", "ipv4/ttl": 64},
    ),
    "solaris": (
        {"ip/ip_strict_dst_multihoming": 1, "ip/ip_def_ttl": 64},
        {"ip/ip_strict_dst_multihoming": 1, "ip/ip6_strict_dst_multihoming": 1},
    ),
    "windows": (
        {"ipv4/eth0/weakhostreceive": "enabled", "ipv4/eth0/metric": 10},
        {"ipv4/eth0/weakhostreceive": "enabled", "ipv4/eth0/weakhostsend": "enabled"},
    ),
}
SCENES = ("first", "other", "clean", "block", *ELSEWHERE)
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
UNIT = "/etc/systemd/system/ipalias-sysctl.service"
WANTED = "/etc/systemd/system/sysinit.target.d/ipalias-sysctl.conf"
LEDGER = f"{STATE}/sysctl.json"
OURS = "/etc/sysctl.d/zz-ipalias.conf"
_ids = itertools.count(1)

FIRST = {
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv4.conf.eth1.rp_filter": 2,
    # Not there yet.
    "net/ipv4/conf/eth0.10/arp_ignore": 1,
}
#: One stays, one gets another value, two go, two are new; no interface's is left.
SECOND = {
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 1,
    "net.ipv4.ip_forward": 1,
    "net.ipv4.tcp_rmem": "4096 131072 8388608",
}


class Systemctl(Program):
    """`systemctl` as far as the listener's unit asks it."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        words = [word for word in argv[1:] if not word.startswith("--")]
        verb, *units = words
        if verb == "daemon-reload":
            return Result(0, "", "")
        name, services = units[0], self.host.services
        known = self.host.files.read(f"/etc/systemd/system/{name}") is not None
        if verb == "is-active":
            return Result(0 if name in services else 3, "", "")
        if not known and name not in services:
            return Result(5, "", f"Unit {name} not loaded.\n")
        if verb == "stop":
            services.discard(name)
        elif verb == "restart":
            services.add(name)
            set_interfaces(self.host)
        return Result(0, "", "")


def linux(*, folder: bool = True) -> SimHost:
    """Return a host with systemd and settings; without `folder`, an old one of another init."""
    files = {
        "/etc/sysctl.d/10-network.conf": "# kept\nnet.ipv4.conf.*.rp_filter = 1\n",
        "/usr/lib/sysctl.d/50-default.conf": "-net.core.somaxconn = 1024\n",
        "/etc/sysctl.conf": "# kept\nnet.core.somaxconn=2048",
    }
    if not folder:
        files = {"/etc/sysctl.conf": files["/etc/sysctl.conf"]}
    host = machine(files, links=("eth0", "eth1"))
    host.proc.fill(sorted(host.net.links))
    if folder:
        host.files.make_folders("/run/systemd/system")
        host.files.make_folders("/etc/systemd/system")
        host.programs["systemctl"] = Systemctl(host)
    apply_files(host)
    host.owner = "sysctl"
    return host


def tuner(host: SimHost, **settings: Any) -> Tuner:
    """Return the engine of settings on a host."""
    return Tuner(
        host, new_id=lambda: f"sysctl-{next(_ids):06d}", interpreter="/usr/bin/python3", **settings
    )


def managed(data: Mapping[str, object], wanted_by: str = "pillar") -> Callable[[SimHost], Answer]:
    """Return the request that brings a wanter's list about."""
    return lambda host: tuner(host).managed(
        parse_settings(data, "pillar", host.system), wanted_by=wanted_by
    )


def scene_of(name: str) -> tuple[SimHost, Callable[[SimHost], Answer]]:
    """Return a host as it is before a change of settings, and the request for it."""
    if name in ELSEWHERE:
        return _elsewhere(name)
    host = linux(folder=name != "block")
    host.files.put("/etc/unrelated", "kept\n")
    request = managed(FIRST)
    if name in ("other", "clean"):
        request(host)
        request = managed(SECOND) if name == "other" else lambda host: tuner(host).clean()
    host.log.clear()
    return host, request


def _elsewhere(name: str) -> tuple[SimHost, Callable[[SimHost], Answer]]:
    """Return a host of another system, to which one setting comes while another goes."""
    host = plat.load(name).host()
    host.files.put("/etc/unrelated", "kept\n")
    before, after = ELSEWHERE[name]
    managed(before)(host)
    host.log.clear()
    return host, managed(after)


def boot(host: SimHost) -> None:
    """Do what a boot does with settings: the kernel's own, the files', the listener's."""
    host.proc.fill(sorted(host.net.links))
    apply_files(host)
    host.services.clear()
    if host.files.read(UNIT) is not None and host.files.read(WANTED) is not None:
        host.services.add(UNIT.rpartition("/")[2])
        set_interfaces(host)


def apply_files(host: SimHost) -> None:
    """Write what the files say, as systemd-sysctl does, or a boot with one file alone."""
    named: dict[str, str] = {}
    globs: dict[str, str] = {}
    for path in _files(host):
        for line in (host.files.read(path) or "").splitlines():
            key, sign, value = line.strip().lstrip("-").partition("=")
            key = key.strip()
            if not sign or key[:1] in ("#", ";", ""):
                continue
            if key.find(".") >= 0 and ("/" not in key or key.find(".") < key.find("/")):
                key = key.replace(".", "\0").replace("/", ".").replace("\0", "/")
            (globs if "*" in key else named)[key] = value.strip()
    for pattern, value in globs.items():
        for path in host.proc.glob(f"/proc/sys/{pattern}"):
            if path.removeprefix("/proc/sys/") not in named:
                host.proc.write(path, value)
    for key, value in named.items():
        host.proc.write(f"/proc/sys/{key}", value)


def _files(host: SimHost) -> list[str]:
    if not host.files.listed("/etc/sysctl.d"):
        return ["/etc/sysctl.conf"]
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for path in host.files.glob(f"{folder}/*.conf"):
            found.setdefault(path.rpartition("/")[2], path)
    return [found[name] for name in sorted(found)]


def set_interfaces(host: SimHost) -> None:
    """Do what the listener does at its start."""
    text = host.files.read(LEDGER)
    for key, row in json.loads(text)["settings"].items() if text else ():
        path = key if "/" in key else key.replace(".", "/")
        if path.split("/")[3:4] != ["all"] and "/conf/" in path:
            host.proc.write(f"/proc/sys/{path}", row["value"])
