"""What several ways out need of a simulated OpenBSD: ``route``, ``pfctl``, ``rcctl``, ifstated.

Put beside what `rig.plat.openbsd` has. ``rtable.c``, rtable_insert: a second route to one
place only with ``-mpath``, the same gateway never (EEXIST). ``pf.conf`` is looked at for the
grammar of today alone; ifstated.conf is read by `rig.ifstated`.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

from rig import ifstated
from rig.plat import openbsd
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simopenbsd import hostname_commands
from saltext.ipalias.host import Result

OK = Result(0, "", "")
OCTETS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
GATEWAY = f"{{gateway:{OCTETS}}}"
GATEWAY6 = "{gateway:[0-9a-f:]*:[0-9a-f:]*(?:%[a-z]+[0-9]+)?}"
TARGET = f"{{target:{OCTETS}/32}}"
TARGET6 = "{target:[0-9a-f:]*:[0-9a-f:]*/128}"
RC, PF, CONF = "/etc/rc.conf.local", "/etc/pf.conf", "/etc/ifstated.conf"
#: What the installer leaves.
PF_TEXT = "set skip on lo\n\nblock return\npass\n"
FOREIGN = "File exists"
ABSENT = "not in table"


class Programs:
    """The programs. Their acts are bound methods: a host is copied with them."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        host.running["pf"] = ""
        host.running["ifstated"] = ""
        #: What a program refuses at its next call, by its name.
        self.broken: dict[str, str] = {}

    def _may(self, name: str) -> None:
        if name in self.broken:
            raise Refusal(self.broken.pop(name))

    # -- route --------------------------------------------------------------------------

    def routes(self) -> list[Form]:
        mpath = "route(8), add and delete, -mpath; rtable.c, rtable_insert; the guide"
        plain = "route(8), add and delete; the guide: `route add TARGET/32 GATEWAY`"
        show = "route(8), show; usr.bin/netstat/show.c, pr_rthdr; the guide's output"
        found = [
            Form("route -n show -inet", show, self.show4),
            Form("route -n show -inet6", show, self.show6),
        ]
        for family, gateway, target in (("-inet", GATEWAY, TARGET), ("-inet6", GATEWAY6, TARGET6)):
            head = f"route -n {{verb:add|delete}} {family}"
            found.append(Form(f"{head} -mpath default {gateway}", mpath, self.default))
            found.append(Form(f"{head} {target} {gateway}", plain, self.target))
        return found

    def default(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._route(slots, "default", mpath=True)

    def target(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._route(slots, slots["target"], mpath=False)

    def _route(self, slots: dict[str, str], destination: str, *, mpath: bool) -> Result:
        self._may("route")
        net, gateway = self.host.net, slots["gateway"]
        family = 6 if ":" in gateway else 4
        here = [r for r in net.routes if (r.family, r.destination) == (family, destination)]
        said = f"{slots['verb']} {'net' if destination == 'default' else 'host'} {destination}"
        if slots["verb"] == "delete":
            gone = [route for route in here if route.gateway == gateway]
            if not gone:
                raise Refusal(f"{said}: gateway {gateway}: {ABSENT}")
            net.routes.remove(gone[0])
            return Result(0, f"{said}: gateway {gateway}\n", "")
        name = self.over(gateway)
        if name is None:
            raise Refusal(f"{said}: gateway {gateway}: Network is unreachable")
        if any(route.gateway == gateway for route in here) or (here and not mpath):
            raise Refusal(f"{said}: gateway {gateway}: {FOREIGN}")
        net.routes.append(SimRoute(family, destination, name, gateway, protocol="static"))
        return Result(0, f"{said}: gateway {gateway}\n", "")

    def over(self, gateway: str) -> str | None:
        """Return the link that has a gateway."""
        if "%" in gateway:
            return gateway.partition("%")[2]
        asked = ip_address(gateway)
        for name, link in self.host.net.links.items():
            for address in (*link.addresses4, *link.addresses6):
                network = ip_network(address.cidr, strict=False)
                if asked.version == network.version and asked in network:
                    return name
        return None

    def show4(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._show(4, "Internet")

    def show6(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self._show(6, "Internet6")

    def _show(self, family: int, name: str) -> Result:
        lines = ["Routing tables", "", f"{name}:"]
        lines.append(
            "Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface"
        )
        for at, route in enumerate(r for r in self.host.net.routes if r.family == family):
            flags = "UGSP" if route.gateway else "UCn"
            via = route.gateway or "link"
            row = f"{route.destination:18} {via:18} {flags:6} {4:5} {1000 + at:8}"
            lines.append(f"{row} {'-':>5}  {8:4} {route.interface}")
        return Result(0, "".join(f"{line}\n" for line in lines), "")

    # -- pfctl --------------------------------------------------------------------------

    def pfctl(self) -> list[Form]:
        return [
            Form("pfctl -n -f -", "pfctl(8), -n, -f: `-` is standard input", self.pf_check),
            Form(f"pfctl -f {PF}", "pfctl(8), -f; pf.conf(5)", self.pf_load),
        ]

    def pf_check(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._may("pfctl")
        self._pf(stdin or "", "stdin")
        return OK

    def pf_load(self, slots: dict[str, str], stdin: str | None) -> Result:
        text = self.host.files.read(PF) or ""
        self._pf(text, PF)
        self._may("pfctl -f")
        self.host.running["pf"] = text
        return OK

    def _pf(self, text: str, where: str) -> None:
        """Refuse what parse.y of today refuses: the old ``nat``, and what follows ``nat-to``."""
        for number, row in enumerate(text.splitlines(), 1):
            old = row.startswith(("nat ", "rdr ")) or "->" in row
            if old or re.search(r"nat-to (\S+) \S", row) or "syntax" in row:
                raise Refusal(f"{where}:{number}: syntax error")

    # -- rcctl and ifstated ----------------------------------------------------------------

    def rcctl(self) -> list[Form]:
        cite = "rcctl(8); rc.subr, rc_cmd: `restart` starts what does not run"
        return [
            Form("rcctl check ifstated", cite, self.check),
            Form("rcctl stop ifstated", cite, self.stop),
            Form("rcctl restart ifstated", cite, self.restart),
        ]

    def _flags(self) -> str:
        """Return ifstated_flags as _rc_parse_conf has it: NO by /etc/rc.conf."""
        flags = "NO"
        for row in (self.host.files.read(RC) or "").splitlines():
            name, equals, value = row.partition("#")[0].strip().partition("=")
            if equals and name == "ifstated_flags":
                flags = value.strip("\"'")
        return flags

    def check(self, slots: dict[str, str], stdin: str | None) -> Result:
        runs = "ifstated" in self.host.services
        return Result(0 if runs else 1, f"ifstated({'ok' if runs else 'failed'})\n", "")

    def stop(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.host.services.discard("ifstated")
        self.host.running["ifstated"] = ""
        return Result(0, "ifstated(ok)\n", "")

    def restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._may("rcctl")
        text = self.host.files.read(CONF)
        if self._flags() == "NO" or text is None:
            raise Refusal("/etc/rc.d/ifstated: need -f to force start since ifstated_flags=NO")
        self._read(text)
        self.host.services.add("ifstated")
        self.host.running["ifstated"] = text
        return Result(0, "ifstated(ok)\n", "")

    def ifstated(self) -> list[Form]:
        cite = "ifstated(8), -n, -f; ifstated.c, main: `configuration OK`"
        return [Form("ifstated -n -f /dev/stdin", cite, self.test)]

    def test(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._may("ifstated")
        self._read(stdin or "")
        return Result(0, "", "configuration OK\n")

    def _read(self, text: str) -> None:
        try:
            ifstated.parse(text)
        except ifstated.Syntax as error:
            raise Refusal(f"/dev/stdin:{error}") from error


def install(host: SimHost) -> Programs:
    """Give an OpenBSD host the programs, and return what is behind them."""
    made = Programs(host)
    held: Any = host.programs["route"]
    listed: list[tuple[str, list[Form], tuple[str, int]]] = [
        ("route", [*held.forms, *made.routes()], held.usage),
        ("pfctl", made.pfctl(), ("usage: pfctl [-deghNnPqrvz]", 1)),
        ("rcctl", made.rcctl(), ("usage: rcctl get|getdef|set service", 1)),
        ("ifstated", made.ifstated(), ("usage: ifstated [-dhinv] [-D macro=value]", 1)),
    ]
    for name, forms, usage in listed:
        host.programs[name] = Cited(host, name, forms, usage)
    return made


def machine() -> SimHost:
    """Return the guide's firewall: two gateways on one link, a third on another."""
    host = openbsd.host(links=("eth0", "re0", "re1"))
    host.files.nodes.pop("/etc/mygate")
    host.files.put("/etc/hostname.eth0", "inet 192.0.2.2 255.255.255.0\n", 0o640)
    host.files.put("/etc/hostname.re0", "inet 198.51.100.10 255.255.255.128\n", 0o640)
    host.files.put("/etc/hostname.re1", "inet 198.51.100.130 255.255.255.128\n", 0o640)
    host.files.put(PF, PF_TEXT, 0o600)
    host.net.links["eth0"].addresses6.clear()
    for name, cidr in (("re0", "198.51.100.10"), ("re1", "198.51.100.130")):
        host.net.links[name].addresses4[:] = [SimAddress(cidr, 25)]
    host.net.routes = [
        route
        for route in host.net.routes
        if route.destination != "default" and not route.destination.startswith("198.51.100.")
    ]
    install(host)
    host.run(["route", "-n", "add", "-inet", "-mpath", "default", "198.51.100.1"])
    host.log.clear()
    return host


def boot(host: SimHost) -> None:
    """Do what a boot does with our part: netstart's ``!`` lines, pf, rc.conf.local."""
    host.services.clear()
    host.net.routes = [route for route in host.net.routes if not route.gateway]
    host.running |= {"pf": "", "ifstated": ""}
    for path in host.files.glob("/etc/hostname.*"):
        name = path.rpartition(".")[2]
        for command in hostname_commands(host.files.read(path) or "", name):
            words = command.split()
            if words[:2] == ["route", "add"]:
                words = [word for word in words[2:] if word not in ("-inet", "-inet6")]
                family = "-inet6" if ":" in words[-1] else "-inet"
                host.run(["route", "-n", "add", family, *words])
    host.run(["pfctl", "-f", PF])
    host.run(["rcctl", "restart", "ifstated"])
