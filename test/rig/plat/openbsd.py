"""OpenBSD 7.2 on a simulated host: hostname.if, ``ifconfig``, ``netstat``, ``route``, netstart.

What netstart would run for a file, by `simopenbsd`, is what a boot and ``-n`` give.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from rig import simbsd, simneighbours, simtune
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimLink, SimRoute
from rig.simopenbsd import BAD, Kernel, hostname_commands
from saltext.ipalias.host import Result

NETSTART = "/etc/netstart"
MYGATE = "/etc/mygate"
IF = "{name:[a-z]+[0-9]+}"
OCTETS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
ADDRESS = f"{{address:{OCTETS}}}"
ADDRESS6 = "{address:[0-9a-f:]*:[0-9a-f:]*}"
MASK = f"{{mask:{OCTETS}}}"
BROADCAST = f"{{broadcast:{OCTETS}}}"
PREFIX = "{prefix:[0-9]{1,4}}"
#: What the installer leaves, a comment that must stay, and a command.
HOSTNAME = """# the uplink
inet 192.0.2.2 255.255.255.0 192.0.2.255
inet6 2001:db8::2 64
# kept
!logger -t netstart "$if is up"
"""


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return an OpenBSD host."""
    files = {"/etc/hostname.eth0": HOSTNAME, MYGATE: "192.0.2.1\n2001:db8::1\n"}
    # Of the script only that it can print is looked at.
    files[NETSTART] = "#!/bin/sh -\nPRINT_ONLY=false\n"
    for number, name in enumerate(links[1:], 1):
        files[f"/etc/hostname.{name}"] = f"inet 198.51.100.{number * 64 - 62} 255.255.255.192\n"
    made, _ = simbsd.machine(files, "openbsd", links=links)
    for name in links:
        made.files.touch_mode(f"/etc/hostname.{name}", 0o640)
    made.owner = "openbsd"
    simtune.install_sysctl(made, "openbsd")
    made.programs.update(programs(made, Kernel(made)))
    return made


def FOREIGN(host: SimHost) -> None:  # noqa: N802 (the name that every platform gives)
    """Let a line of somebody else set 192.0.2.20/24."""
    path = "/etc/hostname.eth0"
    old, new = "# kept\n", "inet alias 192.0.2.20 255.255.255.0\n# kept\n"
    text = host.files.read(path) or ""
    assert old in text
    host.files.put(path, text.replace(old, new, 1), 0o640)


def ifconfig(host: SimHost) -> Cited:
    """Return the host's ``ifconfig``."""
    program = host.programs["ifconfig"]
    assert isinstance(program, Cited)
    return program


def kernel(host: SimHost) -> Kernel:
    """Return the host's kernel."""
    act = getattr(ifconfig(host).forms[0].act, "__self__", None)
    assert isinstance(act, Ifconfig)
    return act.kernel


class Base:
    """Programs of the base system. Their acts are bound methods: a host is copied with them."""

    def __init__(self, host: SimHost, kernel: Kernel) -> None:
        self.host, self.kernel = host, kernel


class Ifconfig(Base):
    """``ifconfig``."""

    def forms(self) -> list[Form]:
        alias = "ifconfig(8), alias; ifconfig.c, main and notealias"
        gone = "ifconfig(8), -alias; ifconfig.c, notealias: the address named before it"
        six = "ifconfig(8), inet6, prefixlen"
        return [
            Form("ifconfig -A", "ifconfig(8), -A: full alias information", self.dump),
            Form(
                "ifconfig -a",
                "ifconfig.c, printif: without -A a second IPv4 address of a link is left out",
                self.dump_first,
            ),
            Form("ifconfig -M {lladdr:[0-9a-f:]{17}}", "ifconfig.c, findmac", self.find),
            Form(
                f"ifconfig {IF} inet {ADDRESS} netmask {MASK} broadcast {BROADCAST} alias",
                f"{alias}; ifconfig(8), broadcast",
                self.add4,
            ),
            Form(f"ifconfig {IF} inet {ADDRESS} netmask {MASK} alias", alias, self.add4),
            Form(f"ifconfig {IF} inet6 {ADDRESS6} prefixlen {PREFIX} alias", six, self.add6),
            Form(
                f"ifconfig {IF} inet6 {ADDRESS6} prefixlen {PREFIX} pltime 0 alias",
                f"{six}, pltime; ifconfig.c, setia6lifetime; nd6.c, nd6_expire",
                self.add_over,
            ),
            Form(f"ifconfig {IF} inet {ADDRESS} -alias", gone, self.delete),
            Form(f"ifconfig {IF} inet6 {ADDRESS6} -alias", gone, self.delete),
        ]

    def dump(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, self._render(every=True), "")

    def dump_first(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, self._render(every=False), "")

    def _render(self, *, every: bool) -> str:
        """Return the links: ``ifconfig.c``, status, in_status, in6_alias."""
        lines: list[str] = []
        for link in self.host.net.links.values():
            kind = "LOOPBACK" if link.loopback else "BROADCAST"
            lines.append(f"{link.name}: flags=8843<UP,{kind},RUNNING,MULTICAST> mtu 1500")
            lines += [] if link.loopback else [f"\tlladdr {link.mac}"]
            lines.append(f"\tindex {link.index} priority 0 llprio 3")
            for address in link.addresses4 if every else link.addresses4[:1]:
                mask = int(ip_network(f"0.0.0.0/{address.prefix}").netmask)
                line = f"\tinet {address.address} netmask {mask:#010x}"
                top = ip_network(address.cidr, strict=False).broadcast_address
                lines.append(line if link.loopback else f"{line} broadcast {top}")
            lines += [self._line6(link, address) for address in link.addresses6]
        return "".join(f"{line}\n" for line in lines)

    def _line6(self, link: SimLink, address: SimAddress) -> str:
        local = address.scope == "link"
        shown = f"{address.address}%{link.name}" if local else address.address
        words = [f"\tinet6 {shown} prefixlen {address.prefix}"]
        now, since = self.host.net.now, self.kernel.over.get(address.address)
        if address.duplicate and now >= address.ready:
            words.append("duplicated")
        elif now < address.ready:
            words.append("tentative")
        words += ["deprecated"] if since is not None and now >= since + self.kernel.lag else []
        words += ["autoconf"] if address.dynamic else []
        words += [f"scopeid {link.index:#x}"] if local else []
        words += ["pltime 0 vltime infty"] if since is not None else []
        return " ".join(words)

    def find(self, slots: dict[str, str], stdin: str | None) -> Result:
        named = [link for link in self.host.net.links.values() if link.mac == slots["lladdr"]]
        if len(named) > 1:
            return Result(1, "", "")
        return Result(0, "".join(f"{link.name}\n" for link in named), "")

    def add4(self, slots: dict[str, str], stdin: str | None) -> Result:
        for text in (slots["address"], slots["mask"], slots.get("broadcast", "0.0.0.0")):
            # inet_aton(3), and no host of that name: in_getaddr.
            if any(int(part) > 255 for part in text.split(".")):
                raise Refusal(BAD.format(text))
        self.kernel.add(slots["name"], f"{slots['address']}/{_bits(slots['mask'])}")
        return Result(0, "", "")

    def add6(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._add6(slots, deprecated=False)

    def add_over(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._add6(slots, deprecated=True)

    def _add6(self, slots: dict[str, str], *, deprecated: bool) -> Result:
        if int(slots["prefix"]) > 128:
            # in6_getprefix, strtonum(3).
            raise Refusal(f"ifconfig: prefix {slots['prefix']}: too large")
        cidr = f"{slots['address']}/{slots['prefix']}"
        self.kernel.add(slots["name"], cidr, deprecated=deprecated)
        return Result(0, "", "")

    def delete(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.kernel.delete(slots["name"], slots["address"])
        return Result(0, "", "")


def _bits(mask: str) -> int:
    value = int.from_bytes(bytes(map(int, mask.split("."))), "big")
    if value & (~value >> 1 & 0x7FFFFFFF):
        raise Refusal(f"ifconfig: {mask}: non-contiguous mask")
    return value.bit_count()


class Netstat(Base):
    """``netstat``."""

    def forms(self) -> list[Form]:
        cite = "netstat(1), -r -n -f; usr.bin/netstat/show.c, pr_rthdr and p_rtentry"
        return [
            Form("netstat -rn -f inet", cite, self.routes4),
            Form("netstat -rn -f inet6", cite, self.routes6),
        ]

    def routes4(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, self._routes(4, "Internet", 18, 18), "")

    def routes6(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, self._routes(6, "Internet6", 43, 39), "")

    def _routes(self, family: int, name: str, wide: int, via: int) -> str:
        lines = ["Routing tables", "", f"{name}:"]
        head = f"{'Destination':{wide}} {'Gateway':{via}} Flags"
        lines.append(f"{head}   Refs      Use   Mtu  Prio Iface")
        routes = [route for route in self.host.net.routes if route.family == family]
        many = sum(route.destination == "default" for route in routes) > 1
        for route in routes:
            flags = "UCn"
            if route.gateway:
                flags = "UGSP" if many else "UGS"
            mac = self.host.net.links[route.interface].mac
            start = f"{_shown(route.destination):{wide}} {route.gateway or mac:{via}} {flags:6}"
            lines.append(f"{start} {4:5} {121:8} {'-':>5}  {8:4} {route.interface}")
        return "".join(f"{line}\n" for line in lines)


def _shown(destination: str) -> str:
    """Return a network as netname4 shortens it: 192.0.2/24."""
    address, _, bits = destination.partition("/")
    if ":" in destination or not bits:
        return destination
    kept = max(1, -(-int(bits) // 8))
    return f"{'.'.join(address.split('.')[:kept])}/{bits}"


class Route(Base):
    """``route``."""

    def forms(self) -> list[Form]:
        cite = "route(8), add, -mpath, -ifp; pppoe(4): `route add default -ifp pppoe0 0.0.0.1`"
        gateway6 = "{gateway:[0-9a-f:]*:[0-9a-f:]*(?:%[a-z]+[0-9]+)?}"
        return [
            Form(
                f"route -n add -inet -mpath default -ifp {IF} {{gateway:{OCTETS}}}", cite, self.add
            ),
            Form(f"route -n add -inet6 -mpath default -ifp {IF} {gateway6}", cite, self.add),
        ]

    def add(self, slots: dict[str, str], stdin: str | None) -> Result:
        net, gateway = self.host.net, slots["gateway"]
        family = 6 if ":" in gateway else 4
        if slots["name"] not in net.links:
            raise Refusal(f"route: bad interface name: {slots['name']}")
        new = SimRoute(family, "default", slots["name"], gateway, protocol="static")
        if new in net.routes:
            raise Refusal(f"add net default: gateway {gateway}: File exists")
        net.routes.append(new)
        return Result(0, f"add net default: gateway {gateway}\n", "")


class Netstart(Base):
    """``/etc/netstart``, and ``ls`` with which it looks at the mode of its files."""

    def forms(self) -> list[Form]:
        cite = "netstart(8); etc/netstart 1.229, ifstart and defaultroute"
        return [
            Form(f"sh {NETSTART}", cite, self.start_all),
            Form(f"sh {NETSTART} {IF}", cite, self.start),
            Form(f"sh {NETSTART} -n {IF}", f"{cite}: -n prints and does nothing", self.show),
        ]

    def look(self, slots: dict[str, str], stdin: str | None) -> Result:
        node = self.host.files.at(slots["path"])
        if node is None:
            raise Refusal(f"ls: {slots['path']}: No such file or directory")
        bits = "".join("rwx"[at % 3] if node.mode >> 8 - at & 1 else "-" for at in range(9))
        shown = f"-{bits}  1 {node.uid}  {node.gid}  {len(node.text)} Jan  1 00:00 {slots['path']}"
        return Result(0, f"{shown}\n", "")

    def start_all(self, slots: dict[str, str], stdin: str | None) -> Result:
        for path in self.host.files.glob("/etc/hostname.*"):
            name = path.removeprefix("/etc/hostname.")
            if re.fullmatch("[A-Za-z]+[0-9]+", name) and name in self.host.net.links:
                self._ifstart(name)
        self._defaultroute()
        return Result(0, "", "")

    def start(self, slots: dict[str, str], stdin: str | None) -> Result:
        if self.host.files.read(f"/etc/hostname.{slots['name']}") is None:
            return Result(0, "", f"netstart: /etc/hostname.{slots['name']}: No such file.\n")
        self._ifstart(slots["name"])
        self._defaultroute()
        return Result(0, "", "")

    def show(self, slots: dict[str, str], stdin: str | None) -> Result:
        text = self.host.files.read(f"/etc/hostname.{slots['name']}")
        if text is None:
            return Result(0, "", f"netstart: /etc/hostname.{slots['name']}: No such file.\n")
        lines = [f"{{ ifconfig {slots['name']} || ifconfig {slots['name']} create; }}"]
        lines += hostname_commands(text, slots["name"])
        return Result(0, "".join(f"{line}\n" for line in lines), "")

    def _ifstart(self, name: str) -> None:
        for command in hostname_commands(self.host.files.read(f"/etc/hostname.{name}") or "", name):
            try:
                words = shlex.split(command, comments=True)
            except ValueError:
                continue
            if words[:2] == ["ifconfig", name]:
                self._ifconfig(name, words[2:])

    def _ifconfig(self, name: str, words: list[str]) -> None:
        """Do what ifconfig(8) does with the packed forms; what it refuses is passed over."""
        family = words.pop(0) if words[:1] in (["inet"], ["inet6"]) else "inet"
        alias = bool(words) and words[0] == "alias"
        words = words[1:] if alias else words
        try:
            address, _, prefix = words[0].partition("/")
            ip_address(address)
            told = dict(zip(words[1::2], words[2::2], strict=False))
            if len(words) % 2 == 0:
                return
            prefix = told.get("prefixlen", prefix) or "64"
            if family == "inet":
                prefix = str(_bits(told["netmask"])) if "netmask" in told else prefix
                if not alias and self.host.net.links[name].addresses4:
                    self.kernel.delete(name, "")
            self.kernel.add(name, f"{address}/{prefix}", deprecated=told.get("pltime") == "0")
        except (Refusal, ValueError, IndexError):
            return

    def _defaultroute(self) -> None:
        net = self.host.net
        for gateway in (self.host.files.read(MYGATE) or "").split():
            family = 6 if ":" in gateway else 4
            if any(r.destination == "default" and r.family == family for r in net.routes):
                continue  # without -mpath: File exists
            for link in net.links.values():
                listed = link.addresses6 if family == 6 else link.addresses4
                if any(ip_address(gateway) in address.network for address in listed):
                    route = SimRoute(family, "default", link.name, gateway, protocol="static")
                    net.routes.append(route)
                    break


def programs(host: SimHost, kernel: Kernel) -> dict[str, Cited]:
    """Return the programs of the base system that a change runs."""
    netstart = Netstart(host, kernel)
    listing = "ls(1), -n -L; etc/netstart, ifstart looks at the mode by it"
    made: list[tuple[str, list[Form], tuple[str, int]]] = [
        # ifconfig.c, main: a word that is no command is an address, and no good one.
        ("ifconfig", Ifconfig(host, kernel).forms(), (BAD.format("?"), 1)),
        ("netstat", Netstat(host, kernel).forms(), ("usage: netstat [-AaBln]", 1)),
        ("route", Route(host, kernel).forms(), ("usage: route [-dnqtv] command", 1)),
        ("sh", netstart.forms(), ("usage: sh /etc/netstart [-n] [interface ...]", 1)),
        (
            "ls",
            [Form("ls -nL {path:/[A-Za-z0-9_./:]+}", listing, netstart.look)],
            ("usage: ls [-1AaCcdFfgHhikLlmnopqRrSsTtux]", 1),
        ),
    ]
    asking = simneighbours.programs(host, simneighbours.Segment(host, 1))
    return {name: Cited(host, name, forms, usage) for name, forms, usage in made} | asking


def bring_up(host: SimHost) -> None:
    """Do what a boot does: sysctl.conf, the link-local address, then netstart."""
    own = kernel(host)
    simtune.boot_sysctl(host)
    simbsd.loop_anew(host)
    for link in host.net.links.values():
        if not link.loopback:
            own.add(link.name, simbsd.LOCAL6)
    host.run(("sh", NETSTART))
