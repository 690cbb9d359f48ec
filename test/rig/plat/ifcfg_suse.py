"""SLES with wicked on a simulated host.

What `wicked` does with addresses is that of ``src/ifconfig.c`` (``__ni_netdev_update_addrs``),
how it reads a file that of ``src/sysconfig.c`` and ``client/suse/compat-suse.c``
(``__get_ipaddr``), in words of this rig's own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import KernelError, SimAddress, SimLink, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, machine
from saltext.ipalias.host import Result

#: Told to read its files, it sets the primary addresses and default routes again where they
#: are gone, as it does and not as they were.
SETS_PRIMARIES = True
FOLDER = "/etc/sysconfig/network"
IFCFG = """# Written by YaST
BOOTPROTO='static'
STARTMODE='auto'
NAME='82566DM-2 Gigabit Network Connection'
IPADDR='192.0.2.2/24'
IPADDR_0='2001:db8::2/64'
LABEL_0=''
MTU=''
ZONE=public
"""
SECOND = "BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='{}'\n"
VERSION = "0.6.77"
LINK = "{link:[A-Za-z0-9_.-]{1,15}}"
#: ``src/fsm.c``, ni_fsm_refresh_state: wickedd does not answer on the bus.
DEAF = "wicked: Couldn't refresh list of active network interfaces"
_SETTING = re.compile(r"^[ \t]*([A-Za-z]\w*)=('[^']*'|\"[^\"]*\"|[^ \t\r\n]*)", re.MULTILINE)


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host whose interfaces are wicked's."""
    files = {
        path_of(links[0]): IFCFG,
        f"{FOLDER}/routes": f"default {GATEWAY4}\ndefault {GATEWAY6}\n",
    }
    for number, name in enumerate(links[1:], 1):
        files[path_of(name)] = SECOND.format(f"198.51.100.{number * 64 - 62}/26")
    made = machine(files, links=links)
    made.owner = "ifcfg_suse"
    wicked = Wicked(made)
    for name in links:
        wicked.leases[name] = {new.cidr for new in addresses(made, name)}
    made.programs["wicked"] = wicked
    made.programs["systemctl"] = Systemctl(made)
    return made


def path_of(name: str) -> str:
    """Return the file of a link."""
    return f"{FOLDER}/ifcfg-{name}"


def FOREIGN(host: SimHost) -> None:  # noqa: N802
    """Let the guide's form set one more address."""
    text = host.files.read(path_of("eth0")) or ""
    host.files.put(path_of("eth0"), f"{text}IPADDR_1=192.0.2.20\nNETMASK_1=255.255.255.0\n")


def bring_up(host: SimHost) -> None:
    """Set what the files say, as the service does at boot."""
    wicked = host.programs["wicked"]
    assert isinstance(wicked, Wicked)
    wicked.leases = {}
    for link in host.net.links.values():
        if not link.loopback:
            host.net.add6(link.name, SimAddress("fe80::2", 64))
            host.run(["wicked", "ifup", link.name])


def addresses(host: SimHost, name: str) -> list[SimAddress]:
    """Return the addresses that a file sets, the last of equal ones left out."""
    told = {
        key: value[1:-1] if value[:1] in ("'", '"') else value
        for key, value in _SETTING.findall(host.files.read(path_of(name)) or "")
    }
    found: dict[str, SimAddress] = {}
    for key, value in told.items():
        if not key.startswith("IPADDR") or not value:
            continue
        suffix = key.removeprefix("IPADDR")
        text, slash, prefix = value.partition("/")
        six = ":" in text
        if not slash:
            mask = told.get(f"PREFIXLEN{suffix}") or told.get(f"NETMASK{suffix}")
            prefix = str(ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen) if mask else ""
        new = SimAddress(text, int(prefix or (128 if six else 32)))
        new.scope = told.get(f"SCOPE{suffix}") or "global"
        new.deprecated = six and "preferred_lft 0" in told.get(f"IP_OPTIONS{suffix}", "")
        if not six:
            # ifcfg(5), BROADCAST: "If you omit the broadcast address, it will be calculated".
            own = str(new.network.broadcast_address) if new.prefix <= 30 else None
            broadcast = told.get(f"BROADCAST{suffix}") or own
            new.broadcast = broadcast if broadcast != text else None
            new.label = label_of(told.get(f"LABEL{suffix}", ""), name)
        found.setdefault(text, new)
    return list(found.values())


def label_of(value: str, name: str) -> str:
    """Return the label that wicked gives by a LABEL; one too long it drops (``src/netdev.c``)."""
    if not value or value == name:
        return ""
    label = value if value.startswith(name) else f"{name}:{value}"
    return label if len(label) <= 15 else ""


class Wicked(Cited):
    """`wicked` 0.6.77 with wickedd and its nanny."""

    #: What `ifstatus --brief` says of every link that is set up.
    status = "up"

    def __init__(self, host: SimHost) -> None:
        super().__init__(
            host,
            "wicked",
            [
                Form("wicked --version", "wicked(8); client/main.c, OPT_VERSION", self._version),
                Form(
                    f"wicked ifstatus --brief {LINK}",
                    "wicked(8), ifstatus, --brief; client/ifstatus.c, ni_ifstatus_code_name",
                    self._ifstatus,
                ),
                Form(
                    f"wicked ifup {LINK}",
                    "wicked(8), ifup; src/ifconfig.c, __ni_netdev_update_addrs; "
                    "crowbar/crowbar-core#1257",
                    self._ifup,
                ),
                Form(
                    f"wicked ifdown {LINK}",
                    "wicked(8), ifdown; ifup(8): 'to set down the interface and flush all its "
                    "addresses'",
                    self._ifdown,
                ),
            ],
            # client/ifup.c, label usage.
            ("wicked [options] ifup [ifup-options] <ifname ...>|all", 1),
        )
        #: Addresses of the static lease, by link.
        self.leases: dict[str, set[str]] = {}
        self.running = True
        #: Calls of `ifup` that fail before it works again: the daemon is being restarted.
        self.deaf = 0

    def _version(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, f"wicked {VERSION}\n", "")

    def _ifstatus(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._ask()
        name = slots["link"]
        if name not in self.host.net.links:
            # client/ifstatus.c, NI_WICKED_ST_NO_DEVICE.
            return Result(157, f"{name:<15} no-device\n", "")
        said = self.status if name in self.leases else "device-unconfigured"
        return Result(0, f"{name:<15} {said}\n", "")

    def _ask(self) -> None:
        if not self.running:
            raise Refusal(DEAF)

    def _link(self, name: str) -> SimLink:
        self._ask()
        if name not in self.host.net.links or self.host.files.read(path_of(name)) is None:
            # client/ifup.c; NI_WICKED_ST_NO_CONFIG, client/suse/scripts/ifup.in.
            raise Refusal("wicked: ifup: no matching interfaces", 159)
        return self.host.net.links[name]

    def _ifup(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Take the file's list over: add, delete what it set before, leave everything else."""
        if self.deaf:
            self.deaf -= 1
            raise Refusal(DEAF)
        link, net = self._link(slots["link"]), self.host.net
        link.up = True
        wanted = {new.cidr: new for new in addresses(self.host, link.name)}
        mine = self.leases.get(link.name, set())
        self._delete(link, lambda old: old.cidr in mine and old.cidr not in wanted)
        there = {old.address for old in (*link.addresses4, *link.addresses6)}
        for new in wanted.values():
            if new.address not in there:
                try:
                    (net.add6 if ":" in new.address else net.add4)(link.name, new)
                except KernelError:
                    continue  # it logs the failure and goes on with the next
        self.leases[link.name] = set(wanted)
        self._routes(link)
        return Result(0, f"{link.name:<15} up\n", "")

    def _routes(self, link: SimLink) -> None:
        """Set the default routes of ``routes`` (routes(5)) that are not there."""
        net = self.host.net
        for family, gateway in ((4, GATEWAY4), (6, GATEWAY6)):
            route = SimRoute(family, "default", link.name, gateway)
            there = any(r.destination == "default" and r.family == family for r in net.routes)
            if link.name == "eth0" and not there:
                net.add_route(route)

    def _ifdown(self, slots: dict[str, str], stdin: str | None) -> Result:
        link = self._link(slots["link"])
        self._delete(link, lambda old: old.scope != "link")
        self.leases.pop(link.name, None)
        return Result(0, f"{link.name:<15} device-ready\n", "")

    def _delete(self, link: SimLink, which: Callable[[SimAddress], bool]) -> None:
        """Delete one after another; a secondary that fell with the head of its subnet is gone."""
        for old in filter(which, [*link.addresses4, *link.addresses6]):
            if old in link.addresses4:
                self.host.net.delete4(link.name, old.address, old.prefix)
            elif old in link.addresses6:
                self.host.net.delete6(link.name, old.address, old.prefix)


class Systemctl(Cited):
    """`systemctl` of a host on which wicked runs."""

    def __init__(self, host: SimHost) -> None:
        super().__init__(
            host,
            "systemctl",
            [
                Form(
                    r"systemctl is-active {unit:[a-zA-Z-]+\.service}",
                    "systemctl(1), is-active: prints the state; 0 if active, else 3",
                    self._is_active,
                ),
                Form(
                    "systemctl restart wicked.service",
                    "systemctl(1), restart; wicked.service: ExecStart=wicked --systemd ifup all",
                    self._restart,
                ),
            ],
            ("Unknown command verb.", 1),
        )
        self.active = ["wickedd.service"]

    def _is_active(self, slots: dict[str, str], stdin: str | None) -> Result:
        active = slots["unit"] in self.active
        return Result(0, "active\n", "") if active else Result(3, "inactive\n", "")

    def _restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        for link in self.host.net.links.values():
            if not link.loopback:
                self.host.run(["wicked", "ifdown", link.name])
                self.host.run(["wicked", "ifup", link.name])
        return Result(0, "", "")
