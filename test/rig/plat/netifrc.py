"""Gentoo with OpenRC and netifrc: `/etc/init.d/net.IFACE` on a simulated host.

The script reads ``/etc/conf.d/net`` in a way of its own, not by the library's parser, and does
with each item what ``init.d/net.lo`` and ``net/iproute2.sh`` of netifrc 0.7 do: one `ip addr add`
an item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import KernelError, SimAddress, SimRoute
from rig.simowners import machine
from saltext.ipalias.host import Result

CONF = "/etc/conf.d/net"
TEXT = """# This blank configuration will automatically use DHCP for any net.*
# scripts in /etc/init.d.
modules="iproute2"

config_eth0="192.0.2.2 netmask 255.255.255.0
2001:db8::2/64"
routes_eth0="default via 192.0.2.1
default via 2001:db8::1"
dns_servers_eth0="192.0.2.53"
"""
SCRIPT = """#!/sbin/openrc-run
SHDIR="/lib/netifrc/sh"
MODULESDIR="/lib/netifrc/net"
_config_vars="config metric routes"
"""
SHELL = "/usr/bin/bash"
_VALUE = re.compile(
    r"""(?mx)^(?P<name>\w+)=(?:
        "(?P<double>[^"]*)"
        |'(?P<single>[^']*)'
        |\((?P<array>[^)]*)\)
        |(?P<bare>[^\s"'(]+)(?:"(?P<tail>[^"]*)")?
    )"""
)
_USAGE = "Usage: net.{} [options] stop | start | restart | describe | zap"


def settings(text: str) -> dict[str, list[str]]:
    """Return each list of a file, a line or an element an item."""
    found: dict[str, list[str]] = {}
    for match in _VALUE.finditer(text):
        if (array := match["array"]) is not None:
            lines = [item.strip("\"'") for item in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", array)]
        else:
            value = match["double"] if match["double"] is not None else match["single"]
            lines = (value if value is not None else match["bare"] + (match["tail"] or "")).split(
                "\n"
            )
        items = [" ".join(line.split()) for line in lines if line.strip()]
        if len(items) == 1 and re.match(r"\S+ \S*[.:]", items[0]):
            items = items[0].split(" ")
        found[match["name"]] = items
    return found


class NetLo:
    """What the script of an interface does."""

    def __init__(self, host: SimHost, name: str) -> None:
        self.host, self.name = host, name
        #: Things that the host has: an NFS root, a boot by something else, a broken start.
        self.troubles: set[str] = set()

    def restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Restart as ``svc_restart`` does."""
        if not self.host.exists("/run/openrc/softlevel") or "boot" in self.troubles:
            raise Refusal(
                " * You are attempting to run an openrc service on a\n"
                " * system which openrc did not boot."
            )
        if "nfs" in self.troubles:
            raise Refusal(
                f" * root filesystem is network mounted -- can't stop {self.name}\n"
                f" * ERROR: net.{self.name} failed to stop"
            )
        self.stop()
        if "start" in self.troubles or not self.start():
            raise Refusal(f" * ERROR: net.{self.name} failed to start")
        return Result(0, "", "")

    def stop(self) -> None:
        """Flush scope global, site and host, and every route but the link-local one.

        The link goes down as well; with it up again the kernel has its link-local address back.
        """
        link, net = self.host.net.links[self.name], self.host.net
        for old in list(link.addresses4):
            if old in link.addresses4:  # a secondary goes with its primary
                net.delete4(self.name, old.address, old.prefix)
        for old in [a for a in link.addresses6 if a.scope != "link"]:
            net.delete6(self.name, old.address, old.prefix)
        net.routes = [
            route
            for route in net.routes
            if route.interface != self.name or route.destination == "fe80::/64"
        ]

    def start(self) -> bool:
        """Set every item of the list; True where one worked."""
        told = settings(self.host.files.read(CONF) or "")
        var = re.sub(r"\W", "_", self.name)
        worked = [self._item(item) for item in told.get(f"config_{var}", ["dhcp"])]
        for line in told.get(f"routes_{var}", []):
            way = re.fullmatch(r"default (?:via|gw) (\S+)", line)
            if way:
                family = 6 if ":" in way[1] else 4
                self.host.net.add_route(SimRoute(family, "default", self.name, way[1]))
        return any(worked)

    def _item(self, item: str) -> bool:
        words = item.split()
        if words[0] in ("dhcp", "null", "noop"):
            return True
        address, _, mask = words[0].partition("/")
        told: dict[str, str] = {}
        rest = words[1:]
        while rest:
            word = rest.pop(0)
            if word in ("netmask", "brd", "label", "scope", "preferred_lft"):
                told[word] = rest.pop(0)
        if "netmask" in told:
            mask = str(sum(bin(int(part)).count("1") for part in told["netmask"].split(".")))
        six = ":" in address
        argv = ["ip", "addr", "add", f"{address}/{mask or (128 if six else 32)}"]
        argv += [] if six else ["broadcast", told.get("brd", "+")]
        for word in ("label", "scope"):
            argv += [word, told[word]] if word in told else []
        argv += ["dev", self.name]
        argv += ["preferred_lft", told["preferred_lft"]] if "preferred_lft" in told else []
        return self.host.ip(argv, None).code == 0


def init_script(host: SimHost, name: str) -> Cited:
    """Return the service script of an interface."""
    script = NetLo(host, name)
    form = Form(
        f"/etc/init.d/net.{name} restart",
        "alias guide, Gentoo, step 3; OpenRC src/openrc-run/openrc-run.c svc_restart and"
        " svc_start_real (`ERROR: %s failed to start`), sh/openrc-run.sh.in verify_boot; netifrc"
        " init.d/net.lo.in start and stop (`can't stop ${IFACE}`)",
        script.restart,
    )
    cited = Cited(host, f"/etc/init.d/net.{name}", [form], (_USAGE.format(name), 1))
    cited.script = script  # type: ignore[attr-defined]
    return cited


def readlink(host: SimHost) -> Cited:
    """Return `readlink`."""
    form = Form(
        "readlink -f /bin/sh",
        "readlink(1) of coreutils, option -f: prints the canonical path",
        lambda slots, stdin: Result(0, f"{host.shell}\n", ""),  # type: ignore[attr-defined]
    )
    return Cited(host, "readlink", [form], ("readlink: missing operand", 1))


def host(*, links: Sequence[str] = ("eth0",), text: str = "", sh: str = SHELL) -> SimHost:
    """Return a Gentoo host whose interfaces are netifrc's.

    :param text: its ``/etc/conf.d/net``.
    :param sh: where /bin/sh leads.
    """
    more = "".join(
        f'config_{name}="198.51.100.{n * 64 - 62}/26"\n' for n, name in enumerate(links[1:], 1)
    )
    made = machine({CONF: (text or TEXT) + more, "/etc/init.d/net.lo": SCRIPT}, links=links)
    made.owner = "netifrc"
    made.shell = sh  # type: ignore[attr-defined]
    made.programs["readlink"] = readlink(made)
    for name in links:
        made.files.link(f"/etc/init.d/net.{name}", "net.lo")
        made.files.link(f"/etc/runlevels/default/net.{name}", f"/etc/init.d/net.{name}")
        made.programs[f"/etc/init.d/net.{name}"] = init_script(made, name)
    _boot_openrc(made, links)
    return made


def _boot_openrc(made: SimHost, names: Sequence[str]) -> None:
    made.files.put("/run/openrc/softlevel", "default")
    for name in names:
        made.files.link(f"/run/openrc/started/net.{name}", f"/etc/init.d/net.{name}")


def FOREIGN(host: SimHost) -> None:  # noqa: N802
    """Put a line of somebody else into the list."""
    text = host.files.read(CONF) or ""
    old = "2001:db8::2/64"
    assert old in text
    host.files.put(CONF, text.replace(old, f"192.0.2.20/24\n{old}", 1))


def bring_up(host: SimHost) -> None:
    """Start every ``net.*`` of the runlevel."""
    names = [path.rpartition("net.")[2] for path in host.glob("/etc/runlevels/default/net.*")]
    for name in names:
        host.net.add6(name, SimAddress("fe80::2", 64))
        program = host.programs[f"/etc/init.d/net.{name}"]
        try:
            program.script.start()  # type: ignore[attr-defined]
        except KernelError as error:
            raise AssertionError(f"net.{name}: {error}") from error
    _boot_openrc(host, names)
