"""What several ways out need of a simulated FreeBSD: ``route``, ``pfctl``, ``service``, ifstated.

``sys/net/route/route_ctl.c``: with ``net.route.multipath`` a second route to one place is
taken, the same gateway never (EEXIST); without it no second at all. ifstated is the package
net/ifstated, whose grammar is OpenBSD's.
"""

from __future__ import annotations

from typing import Any

from rig import simopenwan, simtune
from rig.plat import freebsd
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simopenwan import GATEWAY, GATEWAY6, OK, PF, TARGET, TARGET6
from saltext.ipalias.host import Result

CONF = "/usr/local/etc/ifstated.conf"
RC = freebsd.RC
RC_TEXT = """hostname="fw1.example.net"
ifconfig_eth0="inet 192.0.2.2 netmask 255.255.255.0"
ifconfig_re0="inet 198.51.100.10 netmask 255.255.255.128"
ifconfig_re1="inet 198.51.100.130 netmask 255.255.255.128"
defaultrouter="198.51.100.1"
pf_enable="YES"
# kept
static_routes="lab"
route_lab="-net 203.0.113.192/26 192.0.2.9"
"""
PF_TEXT = "set skip on lo\n\nblock return\npass\n"
WEIGHT = "{weight:[0-9]{1,3}}"


class Programs(simopenwan.Programs):
    """The programs, as FreeBSD has them."""

    def routes(self) -> list[Form]:
        cite = "route(8), add and delete; route_ctl.c, add_route_flags_mpath: EEXIST"
        weight = f"{cite}; route.c, K_WEIGHT"
        found = []
        for family, gateway, target in (("-inet", GATEWAY, TARGET), ("-inet6", GATEWAY6, TARGET6)):
            head = f"route -n {{verb:add|delete}} {family}"
            found.append(Form(f"{head} default {gateway}", cite, self.default))
            found.append(Form(f"{head} {target} {gateway}", cite, self.target))
            heavy = f"route -n {{verb:add}} {family} default {gateway} -weight {WEIGHT}"
            found.append(Form(heavy, weight, self.weighted))
        return found

    def weighted(self, slots: dict[str, str], stdin: str | None) -> Result:
        if int(slots["weight"]) < 1:
            raise Refusal("route: bad value")
        done = self.default(slots, stdin)
        self.host.stored["weights"] = {
            **self.host.stored.get("weights", {}),
            slots["gateway"]: slots["weight"],
        }
        return done

    def default(self, slots: dict[str, str], stdin: str | None) -> Result:
        on = self.host.stored["sysctl"]["net.route.multipath"] == "1"
        return self._route(slots, "default", mpath=on)

    def _pf(self, text: str, where: str) -> None:
        """Refuse ``nat-to``, and a ``nat`` rule behind a filter rule (pfctl's parse.y)."""
        filters = False
        for number, row in enumerate(text.splitlines(), 1):
            filters = filters or row.startswith(("block", "pass", "anchor"))
            if "nat-to" in row:
                raise Refusal(f"{where}:{number}: syntax error")
            if row.startswith("nat ") and filters:
                raise Refusal(f"{where}:{number}: Rules must be in order: options, …, translation")

    def service(self) -> list[Form]:
        cite = "service(8); rc.subr, run_rc_command; net/ifstated, files/ifstated.in"
        return [
            Form("service ifstated status", cite, self.check),
            Form("service ifstated onestop", cite, self.stop),
            Form("service ifstated restart", cite, self.restart),
        ]

    def stop(self, slots: dict[str, str], stdin: str | None) -> Result:
        if "ifstated" not in self.host.services:
            raise Refusal("ifstated not running? (check /var/run/ifstated.pid).")
        self.host.services.discard("ifstated")
        self.host.running["ifstated"] = ""
        return Result(0, "Stopping ifstated.\n", "")

    def restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._may("rcctl")
        text = self.host.files.read(CONF)
        if freebsd.variables(self.host).get("ifstated_enable") != "YES" or text is None:
            raise Refusal("Cannot 'restart' ifstated. Set ifstated_enable to YES in /etc/rc.conf")
        self._read(text)
        self.host.services.add("ifstated")
        self.host.running["ifstated"] = text
        return OK


def machine() -> SimHost:
    """Return a firewall with two gateways on one link, a third on another."""
    host = freebsd.host(links=("eth0", "re0", "re1"))
    host.files.put(RC, RC_TEXT)
    host.files.put(PF, PF_TEXT, 0o600)
    host.files.make_folders("/usr/local/etc")
    host.net.links["eth0"].addresses6.clear()
    for name, address in (("re0", "198.51.100.10"), ("re1", "198.51.100.130")):
        host.net.links[name].addresses4[:] = [SimAddress(address, 25)]
    made = Programs(host)
    for name, forms in (
        ("route", made.routes()),
        ("pfctl", made.pfctl()),
        ("service", made.service()),
        ("ifstated", made.ifstated()),
    ):
        held: Any = host.programs.get(name)
        usage = held.usage if held is not None else (f"usage: {name}", 1)
        rest = list(held.forms) if held is not None and name == "service" else []
        host.programs[name] = Cited(host, name, [*forms, *rest], usage)
    host.net.routes = [SimRoute(4, "default", "re0", "198.51.100.1", protocol="static")]
    host.log.clear()
    return host


def boot(host: SimHost) -> None:
    """Do what a boot does with our part: rc.d/sysctl, rc.d/routing, pf, ifstated."""
    simtune.boot_sysctl(host)
    host.services.clear()
    host.net.routes = []
    told = freebsd.variables(host)
    lists = (("defaultrouter", "static_routes", "route_", "-inet"),)
    lists += (("ipv6_defaultrouter", "ipv6_static_routes", "ipv6_route_", "-inet6"),)
    for router, names, prefix, family in lists:
        if told.get(router):
            host.run(["route", "-n", "add", family, "default", told[router]])
        for name in told.get(names, "").split():
            host.run(["route", "-n", "add", family, *told[f"{prefix}{name}"].split()])
    host.run(["pfctl", "-f", PF])
    host.run(["service", "ifstated", "restart"])
