"""FreeBSD 14 on a simulated host: rc.conf, ``ifconfig``, ``netstat``, ``route``, ``rc.d/netif``.

A boot reads rc.conf with the sh of this machine, not with the library's own parser, and goes
through the variables as ``network.subr`` does.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache

from rig import simbsd, simneighbours, simtune
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimRoute
from saltext.ipalias.errors import ParseError
from saltext.ipalias.host import Result
from saltext.ipalias.text import shellvars

RC = "/etc/rc.conf"
RELEASE = "14.1-RELEASE"
IF = "{name:[a-z]+[0-9]+(?:[.][0-9]+)?}"
ADDRESS = r"{address:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"
ADDRESS6 = "{address:[0-9a-f:]*:[0-9a-f:]*}"
MASK = r"{mask:(?:255|0)(?:\.[0-9]{1,3}){3}}"
BROADCAST = r"{broadcast:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"
PATH = "{path:/[A-Za-z0-9_./]+}"
PREFIX = "{prefix:[0-9]{1,3}}"
GATEWAY = r"{gateway:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"
GATEWAY6 = "{gateway:[0-9a-f:]*:[0-9a-f:]*(?:%[a-z]+[0-9]+)?}"
#: What sysinstall and bsdinstall leave, and a comment that must stay.
CONF = """hostname="web1.example.net"
ifconfig_eth0="inet 192.0.2.2 netmask 255.255.255.0"
ifconfig_eth0_ipv6="inet6 2001:db8::2 prefixlen 64"
defaultrouter="192.0.2.1"
ipv6_defaultrouter="2001:db8::1"
# kept
sshd_enable="YES"
"""
ROUTE_TAKEN = "add net default: gateway {}: route already in table"
USAGE = "ifconfig: {}: bad value"


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a FreeBSD host."""
    more = "".join(
        f'ifconfig_{name}="inet 198.51.100.{number * 64 - 62}/26"\n'
        f'ifconfig_{name}_ipv6="inet6 auto_linklocal"\n'
        for number, name in enumerate(links[1:], 1)
    )
    made, kernel = simbsd.machine({RC: CONF + more}, "freebsd", links=links)
    made.owner = "freebsd"
    simtune.install_sysctl(made, "freebsd")
    made.programs.update(programs(made, kernel))
    return made


def FOREIGN(host: SimHost) -> None:  # noqa: N802 (the name that every platform gives)
    """Let a line of somebody else set 192.0.2.20/24."""
    text = host.files.read(RC) or ""
    host.files.put(RC, f'{text}ifconfig_eth0_alias0="inet 192.0.2.20 netmask 255.255.255.0"\n')


def ifconfig(host: SimHost) -> Cited:
    """Return the host's ``ifconfig``."""
    program = host.programs["ifconfig"]
    assert isinstance(program, Cited)
    return program


def kernel(host: SimHost) -> simbsd.Kernel:
    """Return the host's kernel."""
    act = getattr(ifconfig(host).forms[0].act, "__self__", None)
    assert isinstance(act, Ifconfig)
    return act.kernel


class Base:
    """Programs of the base system. Their acts are bound methods: a host is copied with them."""

    def __init__(self, host: SimHost, kernel: simbsd.Kernel) -> None:
        self.host, self.kernel = host, kernel


class Ifconfig(Base):
    """``ifconfig``."""

    def forms(self) -> list[Form]:
        alias = "ifconfig(8), alias; network.subr, ifalias_af_common_handler: `IF ARGS alias`"
        gone = "ifconfig(8), -alias; ifconfig.c, notealias"
        return [
            Form("ifconfig -a", "ifconfig(8), -a; outputs recorded by cloud-init", self.dump),
            Form("ifconfig -l", "ifconfig(8), -l: names, blanks between them", self.names),
            Form(
                f"ifconfig {IF} inet {ADDRESS} netmask {MASK} broadcast {BROADCAST} alias",
                f"{alias}; the alias guide's line",
                self.add4,
            ),
            Form(f"ifconfig {IF} inet {ADDRESS} netmask {MASK} alias", alias, self.add4),
            Form(f"ifconfig {IF} inet6 {ADDRESS6} prefixlen {PREFIX} alias", alias, self.add6),
            Form(
                f"ifconfig {IF} inet6 {ADDRESS6} prefixlen {PREFIX} deprecated alias",
                "ifconfig(8), deprecated; in6.c, in6_update_ifa_internal",
                self.add_deprecated,
            ),
            Form(f"ifconfig {IF} inet {ADDRESS} -alias", gone, self.delete),
            Form(f"ifconfig {IF} inet6 {ADDRESS6} -alias", gone, self.delete),
        ]

    def dump(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, simbsd.render_links(self.host), "")

    def names(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, " ".join(self.host.net.links) + "\n", "")

    def add4(self, slots: dict[str, str], stdin: str | None) -> Result:
        for text in (slots["address"], slots["mask"], slots.get("broadcast", "0.0.0.0")):
            # inet_aton(3): ``af_inet.c``, in_getaddr.
            if any(int(part) > 255 for part in text.split(".")):
                raise Refusal(USAGE.format(text))
        bits = sum(int(part).bit_count() for part in slots["mask"].split("."))
        self.kernel.add(slots["name"], f"{slots['address']}/{bits}")
        return Result(0, "", "")

    def add6(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._add6(slots, deprecated=False)

    def add_deprecated(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._add6(slots, deprecated=True)

    def _add6(self, slots: dict[str, str], *, deprecated: bool) -> Result:
        # ``af_inet6.c``, in6_getprefix.
        if int(slots["prefix"]) > 128:
            raise Refusal(USAGE.format(slots["prefix"]))
        cidr = f"{slots['address']}/{slots['prefix']}"
        self.kernel.add(slots["name"], cidr, deprecated=deprecated)
        return Result(0, "", "")

    def delete(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.kernel.delete(slots["name"], slots["address"])
        return Result(0, "", "")


class Netstat(Base):
    """``netstat``."""

    def forms(self) -> list[Form]:
        cite = "netstat(1), -r -n -W -f; usr.bin/netstat/route.c, p_rtable_sysctl and pr_rthdr"
        return [
            Form("netstat -rnW -f inet", cite, self.routes4),
            Form("netstat -rnW -f inet6", cite, self.routes6),
        ]

    def routes4(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._routes(4)

    def routes6(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._routes(6)

    def _routes(self, family: int) -> Result:
        lines = ["Routing tables", "", "Internet6:" if family == 6 else "Internet:"]
        head = ("Destination", "Gateway", "Flags", "Nhop#", "Mtu", "Netif", "Expire")
        lines.append(_row(*head))
        lines += [self._line(route) for route in self.host.net.routes if route.family == family]
        return Result(0, "\n".join(lines) + "\n", "")

    def _line(self, route: SimRoute) -> str:
        index = self.host.net.links[route.interface].index
        flags = "U" + ("G" if route.gateway else "") + ("S" if route.protocol == "static" else "")
        gateway = route.gateway or f"link#{index}"
        columns = (route.destination, gateway, flags, "3", "1500", route.interface, "")
        return _row(*columns).rstrip()


def _row(*columns: str) -> str:
    widths = (18, 18, 8, 6, 6, 12, 6)
    return " ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True))


class Route(Base):
    """``route``."""

    def forms(self) -> list[Form]:
        cite = "route(8), add; sbin/route/route.c, newroute: `route already in table` for EEXIST"
        return [
            Form(f"route -n add -inet default {GATEWAY}", cite, self.add),
            Form(f"route -n add -inet6 default {GATEWAY6}", cite, self.add),
        ]

    def add(self, slots: dict[str, str], stdin: str | None) -> Result:
        gateway = slots["gateway"]
        self.kernel.add_default(gateway.partition("%")[0], taken=ROUTE_TAKEN.format(gateway))
        return Result(0, f"add net default: gateway {gateway}\n", "")


class Small(Base):
    """``sh`` and ``uname``."""

    def check(self, slots: dict[str, str], stdin: str | None) -> Result:
        text = self.host.files.read(slots["path"])
        if text is None:
            raise Refusal(f"sh: cannot open {slots['path']}: No such file or directory", 2)
        try:
            shellvars.parse(text, slots["path"])
        except ParseError as error:
            raise Refusal(f"{slots['path']}: {error.line}: Syntax error", 2) from error
        return Result(0, "", "")

    def release(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, f"{RELEASE}\n", "")


class Rc(Base):
    """``service``, ``rc.d/netif`` and ``rc.d/routing``."""

    def service(self) -> list[Form]:
        return [
            Form(f"service netif restart {IF}", f"service(8); {NETIF}", self.netif),
            Form("service routing static", f"service(8); {STATIC}", self.routing),
        ]

    def netif(self, slots: dict[str, str], stdin: str | None) -> Result:
        for name in [slots["name"]] if slots else list(self.host.net.links):
            if name != "lo0":
                self.kernel.down(name)
                netif_start(self.host, self.kernel, name)
        return Result(0, "", "")

    def routing(self, slots: dict[str, str], stdin: str | None) -> Result:
        said = list(add_routes(self.host, self.kernel))
        return Result(1 if said else 0, "", "".join(said))

    def routing_restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        net = self.host.net
        net.routes = [route for route in net.routes if not route.gateway]
        return self.routing(slots, stdin)


NETIF = "rc.d/netif, netif_stop and netif_start; the handbook, 34.5"
STATIC = "rc.d/routing, extra_commands static: routing_start static, no flush"
STOP = "rc.d/routing, routing_stop_inet: `route -n flush`, then routing_start; the alias guide"
RC_USAGE = "Usage: /etc/rc.d/{} [fast|force|one|quiet](start|stop|restart)"


def programs(host: SimHost, kernel: simbsd.Kernel) -> dict[str, Cited]:
    """Return the programs of the base system that a change runs."""
    small, rc = Small(host, kernel), Rc(host, kernel)
    shell = "sh(1), -n: read commands but do not execute them"
    rc_d = [
        Form("/etc/rc.d/routing restart", STOP, rc.routing_restart),
        Form("/etc/rc.d/routing static", STATIC, rc.routing),
    ]
    # ifconfig.c, ifconfig: a word that is no command is an address (setifaddr), and no good one.
    made: list[tuple[str, list[Form], tuple[str, int]]] = [
        ("ifconfig", Ifconfig(host, kernel).forms(), (USAGE.format("?"), 1)),
        ("netstat", Netstat(host, kernel).forms(), ("netstat: illegal option", 1)),
        ("route", Route(host, kernel).forms(), ("usage: route [-46dnqtv] command", 64)),
        ("sh", [Form(f"sh -n {PATH}", shell, small.check)], ("sh: Illegal option", 2)),
        ("uname", [Form("uname -r", "uname(1), -r", small.release)], ("usage: uname [-r]", 1)),
        ("service", rc.service(), ("does not exist in /etc/rc.d", 1)),
        (
            "/etc/rc.d/netif",
            [Form("/etc/rc.d/netif restart", f"{NETIF}; the alias guide", rc.netif)],
            (RC_USAGE.format("netif"), 1),
        ),
        ("/etc/rc.d/routing", rc_d, (RC_USAGE.format("routing"), 1)),
    ]
    asking = simneighbours.programs(host, simneighbours.Segment(host, 2))
    return {name: Cited(host, name, forms, usage) for name, forms, usage in made} | asking


def bring_up(host: SimHost) -> None:
    """Do what a boot does: ``rc.d/sysctl``, ``rc.d/netif start``, ``rc.d/routing start``."""
    own = kernel(host)
    simtune.boot_sysctl(host)
    simbsd.loop_anew(host)
    for name in host.net.links:
        netif_start(host, own, name)
    list(add_routes(host, own))


def add_routes(host: SimHost, kernel: simbsd.Kernel) -> Iterator[str]:
    """Add the default routes of rc.conf; yield what is said against it."""
    told = variables(host)
    for name in ("defaultrouter", "ipv6_defaultrouter"):
        if told.get(name):
            try:
                kernel.add_default(told[name], taken=ROUTE_TAKEN.format(told[name]))
            except Refusal as refusal:
                yield f"{refusal.text}\n"


def netif_start(host: SimHost, kernel: simbsd.Kernel, name: str) -> None:
    """Configure one link: ``network.subr``, ifn_start."""
    told = variables(host)
    var = f"ifconfig_{re.sub('[.+/-]', '_', name)}"
    if name != "lo0":
        kernel.add(name, simbsd.LOCAL6)
    _configure(kernel, name, "inet", told.get(var, "").split())
    _configure(kernel, name, "inet6", told.get(f"{var}_ipv6", "").split())
    for family in ("inet", "inet6"):
        # network.subr, ipv6if: the loop has IPv6 without being told.
        if family == "inet6" and not told.get(f"{var}_ipv6") and name != "lo0":
            continue
        words = told.get(f"{var}_aliases", "").split()
        for value in _in_order(told, f"{var}_alias"):
            words += value.split() if value.split()[0] == family else []
        for section in _sections(words):
            if section[0] == family:
                _configure(kernel, name, family, section)


def _in_order(told: dict[str, str], start: str) -> Iterator[str]:
    """Yield the numbered values up to the first that is empty."""
    numbers = sorted(int(key[len(start) :]) for key in told if re.fullmatch(start + "[0-9]+", key))
    for number in numbers:
        if not told[f"{start}{number}"]:
            return
        yield told[f"{start}{number}"]


def _sections(words: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for word in words:
        if word in ("inet", "inet6", "link", "ether"):
            found.append([])
        if found:
            found[-1].append(word)
    return found


def _configure(kernel: simbsd.Kernel, name: str, family: str, words: Sequence[str]) -> None:
    """Run ``ifconfig NAME WORDS alias`` as rc does; what it refuses is passed over."""
    rest = [word for word in words if word != family and word not in ("DHCP", "SYNCDHCP")]
    if not rest or not re.match(r"[0-9a-f]*[.:]", rest[0]):
        return
    address, _, prefix = rest[0].partition("/")
    told = dict(itertools.pairwise(rest[1:]))
    if "netmask" in told:
        prefix = str(sum(int(part, 0).bit_count() for part in told["netmask"].split(".")))
    prefix = told.get("prefixlen", prefix) or ("64" if family == "inet6" else "24")
    try:
        kernel.add(name, f"{address}/{prefix}", deprecated="deprecated" in rest)
    except Refusal:
        return


def variables(host: SimHost) -> dict[str, str]:
    """Return what sh knows after it has read the files, as ``load_rc_config`` reads them."""
    paths = [RC, f"{RC}.local"]
    for service in ("network", "netif"):
        for folder in ("/etc", "/usr/local/etc"):
            path = f"{folder}/rc.conf.d/{service}"
            paths += host.files.glob(f"{path}/*") or [path]
    return _sourced("\n".join(host.files.read(path) or "" for path in paths))


@lru_cache(maxsize=512)
def _sourced(text: str) -> dict[str, str]:
    names = sorted(set(re.findall(r"\b([A-Za-z_]\w*)=", text)))
    shown = "".join(f"printf '%s\\0%s\\0' {name} \"${{{name}-}}\"\n" for name in names)
    ran = subprocess.run(
        ["sh", "-s"],
        input=f"{text}\n{shown}".encode("utf-8", "surrogateescape"),
        capture_output=True,
        env={},
        check=False,
    )
    words = ran.stdout.decode("utf-8", "surrogateescape").split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))
