"""Owners of an interface on a simulated host: ifupdown, networkd, netplan, NetworkManager.

Each does with addresses what the real one was seen to do, as far as a change of aliases
meets it; the lanes with real daemons show that the real ones do the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from rig.simfiles import SimFiles
from rig.simhost import SimHost
from rig.simnet import KernelError, SimAddress, SimRoute
from saltext.ipalias.host import Result

IFSTATE = "/run/network/ifstate"
PRIMARY4, PRIMARY6 = "192.0.2.2/24", "2001:db8::2/64"
GATEWAY4, GATEWAY6 = "192.0.2.1", "2001:db8::1"

INTERFACES = """# The primary network interface
auto lo
iface lo inet loopback

source /etc/network/interfaces.d/*

auto eth0
iface eth0 inet static
    address 192.0.2.2/24
    gateway 192.0.2.1
    # kept
    dns-search example.net
iface eth0 inet6 static
    address 2001:db8::2/64
    gateway 2001:db8::1
"""
NETWORK = """[Match]
Name=eth0

[Network]
Address=192.0.2.2/24
Address=2001:db8::2/64
Gateway=192.0.2.1
Gateway=2001:db8::1
"""
NETPLAN = """# written by hand
network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      addresses: [192.0.2.2/24, "2001:db8::2/64"]
"""


def machine(files: dict[str, str], *, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host with its primary addresses and default routes up, and nobody to own them."""
    host = SimHost(SimFiles(files))
    for name in ("/etc", "/var/lib", "/run"):
        host.files.make_folders(name)
    for name in links:
        host.net.add_link(name)
    net = host.net
    net.add4("eth0", SimAddress("192.0.2.2", 24, broadcast="192.0.2.255"))
    net.add6("eth0", SimAddress("2001:db8::2", 64))
    net.add6("eth0", SimAddress("fe80::2", 64))
    net.add_route(SimRoute(4, "default", "eth0", GATEWAY4))
    net.add_route(SimRoute(6, "default", "eth0", GATEWAY6))
    for number, name in enumerate(links[1:], 1):
        net.add4(name, SimAddress(f"198.51.100.{number * 64 - 62}", 26))
    return host


class Program:
    """A program that belongs to a host."""

    def __init__(self, host: SimHost) -> None:
        self.host = host

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        raise NotImplementedError


# ifupdown


class Ifup(Program):
    """`ifup`, `ifdown` and `ifquery` of ifupdown 0.8.41."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        program, names = argv[0], [word for word in argv[1:] if word[0] != "-"]
        if "--version" in argv:
            return Result(0, "ifup version 0.8.41\n", "")
        stanzas = self._stanzas()
        for name in names:
            if program == "ifquery":
                if name not in stanzas:
                    return Result(1, "", f"Unknown interface {name}\n")
                continue
            try:
                (self._up if program == "ifup" else self._down)(name, stanzas)
            except KernelError as error:
                return Result(1, "", f"{error}\n{program}: failed to bring up {name}\n")
        return Result(0, "", "")

    def _stanzas(self) -> dict[str, dict[str, str]]:
        files = self.host.files
        paths = ["/etc/network/interfaces", *files.glob("/etc/network/interfaces.d/*")]
        stanzas: dict[str, dict[str, str]] = {}
        for path in paths:
            now: dict[str, str] = {}
            for line in (files.read(path) or "").splitlines():
                words = line.split()
                if words[:1] == ["iface"] and words[2:3] != ["inet6"]:
                    now = stanzas.setdefault(words[1], {})
                elif words and words[0] in ("auto", "iface", "source"):
                    now = {}
                elif len(words) > 1 and words[0][0] != "#":
                    now[words[0]] = words[1]
        return stanzas

    def _recorded(self) -> list[str]:
        return (self.host.files.read(IFSTATE) or "").splitlines()

    def _up(self, name: str, stanzas: dict[str, dict[str, str]]) -> None:
        if f"{name}={name}" in self._recorded():
            return
        if name not in stanzas:
            raise KernelError(f"Unknown interface {name}")
        told = stanzas[name]
        bits = sum(bin(int(part)).count("1") for part in told["netmask"].split("."))
        address = SimAddress(told["address"], bits, label=name)
        self.host.net.add4(name.partition(":")[0], address)
        self._write([*self._recorded(), f"{name}={name}"])

    def _down(self, name: str, stanzas: dict[str, dict[str, str]]) -> None:
        if f"{name}={name}" not in self._recorded():
            return
        told = stanzas.get(name)
        if told is None:
            raise KernelError(f"Unknown interface {name}")
        net, link = self.host.net, name.partition(":")[0]
        for old in list(net.links[link].addresses4):
            if old.address == told["address"]:
                net.delete4(link, old.address, old.prefix)
        self._write([line for line in self._recorded() if line != f"{name}={name}"])

    def _write(self, lines: list[str]) -> None:
        self.host.files.put(IFSTATE, "".join(f"{line}\n" for line in lines))


def ifupdown(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a Debian host whose interfaces are ifupdown's."""
    more = "".join(
        f"\nauto {name}\niface {name} inet static\n    address 198.51.100.{n * 64 - 62}/26\n"
        for n, name in enumerate(links[1:], 1)
    )
    recorded = "".join(f"{name}={name}\n" for name in ("lo", *links))
    host = machine({"/etc/network/interfaces": INTERFACES + more, IFSTATE: recorded}, links=links)
    for folder in ("interfaces.d", "if-up.d"):
        host.files.make_folders(f"/etc/network/{folder}")
    program = Ifup(host)
    host.programs.update({"ifup": program, "ifdown": program, "ifquery": program})
    return host


# systemd-networkd


class Networkctl(Program):
    """`networkctl` of systemd 257, `systemctl`, and what the daemon does at a reload."""

    version = "257"
    #: Units that run.
    active = ("systemd-networkd.service",)

    def __init__(self, host: SimHost) -> None:
        super().__init__(host)
        #: What was last read, by link: a reload with nothing changed does nothing.
        self.seen: dict[str, str] = {}

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        match list(argv):
            case ["networkctl", "--version"]:
                return Result(0, f"systemd {self.version} (sim)\n", "")
            case ["networkctl", "reload"]:
                self._reload()
                return Result(0, "", "")
            case ["systemctl", "is-active", unit]:
                return Result(0, "active\n", "") if unit in self.active else Result(3, "", "")
        return Result(1, "", f"{' '.join(argv)}: no answer\n")

    def _reload(self) -> None:
        """Add what changed files set and drop every other static address of their links."""
        for link in self.host.net.links.values():
            state = self.host.files.read(f"/run/systemd/netif/links/{link.index}") or ""
            found = re.search(r"NETWORK_FILE=(.+)", state)
            if found is None:
                continue
            text = self.text_of(found[1])
            if self.seen.get(link.name) == text:
                continue
            self.seen[link.name] = text
            wanted = _wanted(text)
            mine = [*link.addresses4, *link.addresses6]
            net = self.host.net
            for old in mine:
                # Its own stay on lo (seen: 252, 257).
                own = old.scope == "link" or (link.loopback and old.scope == "host")
                if old.cidr not in wanted and not own and not old.dynamic:
                    remove = net.delete6 if ":" in old.address else net.delete4
                    remove(link.name, old.address, old.prefix)
            there = {old.cidr for old in mine}
            for cidr, new in wanted.items():
                if cidr not in there:
                    (net.add6 if ":" in cidr else net.add4)(link.name, new)

    def text_of(self, path: str) -> str:
        files, name = self.host.files, path.rsplit("/", 1)[1]
        dropins = files.glob(f"/etc/systemd/network/{name}.d/*.conf")
        return "\n".join(files.read(one) or "" for one in (path, *dropins))


def _wanted(text: str) -> dict[str, SimAddress]:
    """Return the addresses that a .network file with its drop-ins sets."""
    wanted: dict[str, SimAddress] = {}
    for section in re.split(r"(?m)^(?=\[)", text):
        keys = re.findall(r"(?m)^(\w+)=(.*)$", section)
        told = dict(keys)
        for cidr in (value for key, value in keys if key == "Address"):
            address, _, prefix = cidr.partition("/")
            wanted[cidr] = SimAddress(
                address,
                int(prefix),
                told.get("Label", ""),
                told.get("Scope", "global"),
                prefix_route=told.get("AddPrefixRoute") != "no",
                deprecated=told.get("PreferredLifetime") == "0",
            )
    return wanted


def networkd(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host whose interfaces are systemd-networkd's."""
    folder = "/etc/systemd/network"
    files = {f"{folder}/50-{name}.network": NETWORK.replace("eth0", name) for name in links}
    for number, name in enumerate(links[1:], 1):
        address = f"198.51.100.{number * 64 - 62}/26"
        files[f"{folder}/50-{name}.network"] = (
            f"[Match]\nName={name}\n\n[Network]\nAddress={address}\n"
        )
    host = machine(files, links=links)
    _give_networkd(host, {name: f"{folder}/50-{name}.network" for name in links})
    return host


def _give_networkd(host: SimHost, owned: dict[str, str]) -> Networkctl:
    for name, path in owned.items():
        index = host.net.links[name].index
        text = f"# private\nADMIN_STATE=configured\nNETWORK_FILE={path}\n"
        host.files.put(f"/run/systemd/netif/links/{index}", text)
    program = Networkctl(host)
    program.seen = {name: program.text_of(path) for name, path in owned.items()}
    host.programs.update({"networkctl": program, "systemctl": program})
    return program


# netplan


class Netplan(Program):
    """`netplan generate` with networkd behind it."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if list(argv[1:]) != ["generate"]:
            return Result(1, "", "netplan: never anything but generate\n")
        try:
            found = self._definitions()
        except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            return Result(1, "", f"Invalid YAML: {error}\n")
        for name, addresses in found.items():
            lines = ["[Match]", f"Name={name}", ""]
            for text, options in addresses:
                lines += ["[Address]", f"Address={text}"]
                lines += [f"Label={options['label']}"] if "label" in options else []
                lines += ["PreferredLifetime=0"] if options.get("lifetime") == 0 else []
            path = f"/run/systemd/network/10-netplan-{name}.network"
            self.host.files.put(path, "\n".join([*lines, ""]))
        return Result(0, "", "")

    def _definitions(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for path in self.host.files.glob("/etc/netplan/*.yaml"):
            data = yaml.safe_load(self.host.files.read(path) or "") or {}
            for name, block in data["network"].get("ethernets", {}).items():
                for item in block.get("addresses", ()):
                    text, options = (
                        (item, {}) if isinstance(item, str) else next(iter(item.items()))
                    )
                    found.setdefault(name, []).append((text, options))
        return found


def netplan(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host whose interfaces are netplan's, with networkd behind it."""
    more = "".join(
        f"    {name}:\n      addresses: [198.51.100.{n * 64 - 62}/26]\n"
        for n, name in enumerate(links[1:], 1)
    )
    host = machine({"/etc/netplan/01-netcfg.yaml": NETPLAN + more}, links=links)
    host.files.touch_mode("/etc/netplan/01-netcfg.yaml", 0o600)
    host.programs["netplan"] = Netplan(host)
    host.programs["netplan"](["netplan", "generate"], None)
    _give_networkd(host, {n: f"/run/systemd/network/10-netplan-{n}.network" for n in links})
    return host


#: Hosts by dialect.
OWNERS = {"ifupdown": ifupdown, "networkd": networkd, "netplan": netplan}
