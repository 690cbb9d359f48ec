"""CentOS 7 with network-scripts: `ifup`, `ifdown` and the service, as initscripts has them.

Cited are the scripts of fedora-sysv/initscripts (network-scripts/…); what they print is what
stands there. The files are read here by a few lines of their own, not by the product's parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_interface, ip_network

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import KernelError, SimAddress, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, machine
from saltext.ipalias.host import Result

FOLDER = "/etc/sysconfig/network-scripts"
PARENT = """# Intel Corporation 82573L Gigabit Ethernet Controller
TYPE=Ethernet
DEVICE={name}
ONBOOT=yes
NM_CONTROLLED=no
BOOTPROTO=none
{ipv4}
IPV6INIT=yes
IPV6_AUTOCONF=no
{ipv6}
ZONE=public
"""
SCRIPTS = "fedora-sysv/initscripts network-scripts"
_ASSIGNED = re.compile(r"""^\s*(?:export\s+)?([A-Z_0-9]+)=("[^"]*"|'[^']*'|[^\s#;]*)""")
UUID = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03"
_FALSE = ("no", "n", "false", "f", "0")


class Scripts:
    """The network-scripts of a host."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        #: What they printed and went on all the same.
        self.said: list[str] = []
        #: The service is there; network-scripts of EL 8 can be left out.
        self.unit = True

    # -- reading ------------------------------------------------------------------------

    def source(self, path: str) -> dict[str, str]:
        """Return what sourcing a file of plain assignments sets."""
        told: dict[str, str] = {}
        for line in (self.host.files.read(path) or "").split("\n"):
            if found := _ASSIGNED.match(line):
                told[found[1]] = found[2].strip("\"'")
        return told

    def config(self, name: str) -> str | None:
        """Return the file of a name (``need_config``)."""
        path = f"{FOLDER}/ifcfg-{name.removeprefix('ifcfg-')}"
        if self.host.files.read(path) is not None:
            return path
        for other in self.host.files.glob(f"{FOLDER}/ifcfg-*"):
            if self.source(other).get("DEVICE") == name:
                return other
        return None

    # -- ifup ---------------------------------------------------------------------------

    def ifup(self, name: str) -> Result:
        path = self.config(name)
        if path is None:
            raise Refusal(
                f"/sbin/ifup: configuration for {name} not found.\nUsage: ifup <configuration>"
            )
        told = self.source(path)
        device = told.get("DEVICE", "")
        link = device.partition(":")[0]
        if link not in self.host.net.links:
            raise Refusal(f"Device {device} does not seem to be present, delaying initialization.")
        mac = self.host.net.links[link].mac.upper()
        if told.get("HWADDR", mac).upper() != mac:
            raise Refusal(f"Device {device} has different MAC address than expected, ignoring.")
        if told.get("BRIDGE"):
            self._flush4(link, None)
            return Result(0, "", "")
        self._link_up(link)
        for index in ("", *range(256)):
            if address := told.get(f"IPADDR{index}"):
                prefix = _prefix(told, str(index), address)
                self._check_and_add(link, device, address, prefix, told, str(index))
            elif index not in ("", 0, 1):
                break
        if gateway := told.get("GATEWAY"):
            self._default(4, link, gateway)
        self._ipv6(link, told)
        if ":" not in device:
            self._aliases(link, told)
        return Result(0, "", "")

    def _link_up(self, link: str) -> None:
        """Bring a link up; the kernel makes its link-local address."""
        net = self.host.net
        net.links[link].up = True
        if not net.links[link].loopback and "fe80::2" not in net.links[link].known6:
            net.add6(link, SimAddress("fe80::2", 64))

    def _check_and_add(
        self, link: str, device: str, address: str, prefix: int, told: dict[str, str], index: str
    ) -> None:
        """Do what ``ifup-eth`` does for each address: nothing where it is live."""
        if any(a.cidr == f"{address}/{prefix}" for a in self.host.net.links[link].addresses4):
            return
        if told.get(f"ARPCHECK{index}", "").lower() not in _FALSE and (
            mac := self.host.taken.get(address)
        ):
            raise Refusal(f"Error, some other host ({mac}) already uses address {address}.")
        self._add4(link, device, address, prefix, told.get(f"BROADCAST{index}"))

    def _add4(self, link: str, device: str, address: str, prefix: int, brd: str | None) -> None:
        if device.partition(":")[0] != link or len(device) > 15:
            self.said.append('Error: argument "…" is wrong: "dev" must match "label".')
            return
        whole = str(ip_interface(f"{address}/{prefix}").network.broadcast_address)
        try:
            new = SimAddress(address, prefix, device, broadcast=brd or whole)
            self.host.net.add4(link, new)
        except KernelError as error:
            self.said.append(f"{error}\nError adding address {address} for {device}.")

    def _default(self, family: int, link: str, gateway: str) -> None:
        route = SimRoute(family, "default", link, gateway)
        self.host.net.add_route(route, replacing=True)

    def _ipv6(self, link: str, told: dict[str, str]) -> None:
        """Do what ``ifup-ipv6`` does: ``ip -6 addr replace`` for each."""
        if told.get("IPV6INIT", "").lower() in _FALSE:
            return
        words = [told.get("IPV6ADDR", ""), *told.get("IPV6ADDR_SECONDARIES", "").split()]
        for word in filter(None, words):
            address, _, prefix = word.partition("/")
            new = SimAddress(address, int(prefix or 64))
            self.host.net.add6(link, new, exclusive=False)
        if gateway := told.get("IPV6_DEFAULTGW"):
            self._default(6, link, gateway)

    def _aliases(self, link: str, parent: dict[str, str]) -> None:
        """Do what ``ifup-aliases`` does: file after file, the parent's settings inherited."""
        seen: set[str] = set()
        names: set[str] = set()
        kept: dict[str, str] = {}
        for path in self.host.files.glob(f"{FOLDER}/ifcfg-{link}:*"):
            told = self.source(path)
            kept["IPV6INIT"] = told.get("IPV6INIT", kept.get("IPV6INIT", ""))
            device = told.get("DEVICE") or path.rpartition("/ifcfg-")[2]
            suffix = device.partition(":")[2]
            address = told.get("IPADDR", "")
            if told.get("ONPARENT", "").upper() == "NO":
                continue
            if not re.fullmatch(r"[0-9A-Za-z_]*", suffix) or suffix in names:
                self.said.append(f"error in {path}: invalid alias number")
                continue
            if address in seen or not address:
                self.said.append(f"error in {path}: already seen ipaddr {address}")
                continue
            seen.add(address)
            names.add(suffix)
            settings = {k: parent.get(k, "") for k in ("PREFIX", "NETMASK")} | told
            if told.get("ARPCHECK") != "no" and address in self.host.taken:
                self.said.append(f"Error, some other host already uses address {address}.")
                continue
            prefix = _prefix(settings, "", address)
            self._add4(link, device, address, prefix, told.get("BROADCAST"))
            gateway = told.get("GATEWAY", parent.get("GATEWAY", ""))
            if told.get("NO_ALIASROUTING") != "yes" and gateway:
                self._default(4, link, gateway)
            self._ipv6(link, told | kept)
        live = self.host.net.links[link].addresses4
        for label in [a.label for a in live if a.label.startswith(f"{link}:")]:
            if label.partition(":")[2] not in names:
                self._flush4(link, label)

    # -- ifdown -------------------------------------------------------------------------

    def ifdown(self, name: str) -> Result:
        path = self.config(name)
        if path is None:
            raise Refusal("usage: ifdown <configuration>")
        device = self.source(path).get("DEVICE", "")
        link = device.partition(":")[0]
        if link not in self.host.net.links:
            return Result(0, "", "")
        net = self.host.net
        # ifdown-eth calls ifdown-ipv6 for an alias as well, and that empties the whole link.
        net.routes = [r for r in net.routes if r.family != 6 or r.interface != link]
        for old in [a for a in net.links[link].addresses6 if a.scope != "link"]:
            net.delete6(link, old.address, old.prefix)
        if ":" in device:
            self._flush4(link, device)
            return Result(0, "", "")
        self._flush4(link, None)
        net.links[link].up = False
        net.links[link].addresses6 = []
        net.links[link].known6 = {}
        net.routes = [r for r in net.routes if r.interface != link]
        return Result(0, "", "")

    def _flush4(self, link: str, label: str | None) -> None:
        net = self.host.net
        for old in list(net.links[link].addresses4):
            live = old in net.links[link].addresses4
            if live and label in (None, old.label):
                net.delete4(link, old.address, old.prefix)

    # -- the service, and the commands --------------------------------------------------

    def run_ifup(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self.ifup(slots["name"])

    def run_ifdown(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self.ifdown(slots["name"])

    def run_restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        return self.restart()

    def tell(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Answer for the one unit that is there."""
        if slots["unit"] != "network.service":
            return Result(3, "inactive\n", "")
        return Result(0, "enabled\n" if slots["verb"] == "is-enabled" else "active\n", "")

    def restart(self) -> Result:
        """Do what ``service network restart`` does, lo left aside."""
        if not self.unit:
            raise Refusal("Failed to restart network.service: Unit network.service not found.", 5)
        names = [
            path.rpartition("/ifcfg-")[2]
            for path in self.host.files.glob(f"{FOLDER}/ifcfg-*")
            if ":" not in path and "-range" not in path and not path.endswith("-lo")
        ]
        for name in names:
            self.ifdown(name)
        try:
            for name in names:
                self.ifup(name)
        except Refusal:
            raise Refusal(
                "Job for network.service failed because the control process exited with error"
                ' code. See "systemctl status network.service" and "journalctl -xe" for details.'
            ) from None
        return Result(0, "", "")


def _prefix(told: dict[str, str], index: str, address: str) -> int:
    if text := told.get(f"PREFIX{index}"):
        return int(text)
    if mask := told.get(f"NETMASK{index}"):
        return ip_network(f"0.0.0.0/{mask}").prefixlen
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a CentOS 7 host whose interfaces the network-scripts configure."""
    made = machine({}, links=links)
    made.owner = "ifcfg_rh"
    put = made.files.put
    put("/etc/centos-release", "CentOS Linux release 7.9.2009 (Core)\n")
    put("/etc/os-release", 'NAME="CentOS Linux"\nID="centos"\nVERSION_ID="7"\n')
    put("/etc/sysconfig/network", "# Created by anaconda\n")
    put(f"{FOLDER}/ifup-aliases", "#!/bin/bash\n", 0o755)
    ipv4 = f"IPADDR=192.0.2.2\nPREFIX=24\nGATEWAY={GATEWAY4}"
    ipv6 = f"IPV6ADDR=2001:db8::2/64\nIPV6_DEFAULTGW={GATEWAY6}"
    for number, name in enumerate(links):
        if number:
            ipv4, ipv6 = f"IPADDR=198.51.100.{number * 64 - 62}\nNETMASK=255.255.255.192", ""
        put(f"{FOLDER}/ifcfg-{name}", PARENT.format(name=name, ipv4=ipv4, ipv6=ipv6))
    made.programs.update(programs(made))
    return made


def programs(made: SimHost) -> dict[str, Cited]:
    """Return `ifup`, `ifdown` and `systemctl` of the host.

    What they do are methods, so that a copy of the host gets its own.
    """
    scripts = Scripts(made)
    name = r"[A-Za-z0-9_.:-]+"
    up = [Form(f"ifup {{name:{name}}}", f"{SCRIPTS}/ifup", scripts.run_ifup)]
    down = [Form(f"ifdown {{name:{name}}}", f"{SCRIPTS}/ifdown", scripts.run_ifdown)]
    service = "fedora-sysv/initscripts rc.d/init.d/network; systemctl(1) restart"
    asked = "systemctl(1) is-enabled, is-active: exit 3 where it is not"
    units = [
        Form("systemctl restart network.service", service, scripts.run_restart),
        Form("systemctl {verb:is-enabled|is-active} {unit:[a-z-]+.service}", asked, scripts.tell),
    ]
    return {
        "ifup": Cited(made, "ifup", up, ("Usage: ifup <configuration>", 1)),
        "ifdown": Cited(made, "ifdown", down, ("usage: ifdown <configuration>", 1)),
        "systemctl": Cited(made, "systemctl", units, ("Unknown operation.", 1)),
    }


class Daemon:
    """NetworkManager with the ifcfg-rh plugin, as far as a change of aliases asks it."""

    def __init__(self, host: SimHost, version: str) -> None:
        self.host, self.version = host, version
        #: False: the daemon has died.
        self.runs = True

    def general(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(0, f"{'running' if self.runs else 'not running'}:{self.version}\n", "")

    def device(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._ask(slots["name"])
        state = f"GENERAL.STATE:100 (connected)\nGENERAL.CON-UUID:{UUID}\n"
        return Result(0, state, "")

    def connections(self, slots: dict[str, str], stdin: str | None) -> Result:
        self._ask()
        return Result(0, f"{UUID}:{FOLDER}/ifcfg-eth0\n", "")

    def load(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Load a profile: nothing live changes."""
        self._ask()
        if self.host.files.read(slots["path"]) is None:
            return Result(0, "", f"Could not load file '{slots['path']}'\n")
        return Result(0, "", "")

    def connect(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Activate the profile anew: addresses of nobody's go, the profile's come."""
        self._ask(slots["name"])
        scripts = Scripts(self.host)
        scripts.ifdown(slots["name"])
        return scripts.ifup(slots["name"])

    def restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.runs = True
        return self.connect({"name": "eth0"}, stdin)

    def inactive(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(3, "inactive\n", "")

    def _ask(self, name: str = "eth0") -> None:
        if not self.runs:
            raise Refusal("Error: NetworkManager is not running.", 8)
        if name not in self.host.net.links:
            raise Refusal(f"Error: Device '{name}' not found.", 10)


def on_networkmanager(release: int, version: str) -> SimHost:
    """Return a host of an EL release whose NetworkManager reads the ifcfg files."""
    made = host()
    parent = made.files.read(f"{FOLDER}/ifcfg-eth0") or ""
    made.files.put(f"{FOLDER}/ifcfg-eth0", parent.replace("NM_CONTROLLED=no", f"UUID={UUID}"))
    for path in (f"{FOLDER}/ifup-aliases", "/etc/centos-release"):
        made.files.drop(path)
    text = f'ID="rhel"\nVERSION_ID="{release}.4"\nPLATFORM_ID="platform:el{release}"\n'
    made.files.put("/etc/os-release", text)
    daemon = Daemon(made, version)
    say = "nmcli -t -f"
    forms = [
        Form(f"{say} RUNNING,VERSION general", "nmcli(1) general status", daemon.general),
        Form(
            f"{say} GENERAL.STATE,GENERAL.CON-UUID device show {{name}}",
            "nmcli(1) device show; exit 10 for a device that is not there",
            daemon.device,
        ),
        Form(
            f"{say} UUID,FILENAME connection show",
            "nmcli(1) connection show; exit 8 where the daemon does not run",
            daemon.connections,
        ),
        Form(
            "nmcli connection load {path:/.+/ifcfg-[A-Za-z0-9_.]+}",
            "nmcli(1) connection load; NetworkManager src/nmcli/connections.c do_connection_load:"
            " exit 0 and `Could not load file` on standard error",
            daemon.load,
        ),
        Form("nmcli device connect {name:[a-z0-9]+}", "nmcli(1) device connect", daemon.connect),
    ]
    units = [
        Form("systemctl restart NetworkManager.service", "systemctl(1) restart", daemon.restart),
        Form(
            "systemctl is-active {unit:[a-z-]+.service}",
            "systemctl(1) is-active: exit 3 where it is not",
            daemon.inactive,
        ),
    ]
    made.programs = {
        "ip": made.ip,
        "nmcli": Cited(made, "nmcli", forms, ("Error: argument not understood.", 2)),
        "systemctl": Cited(made, "systemctl", units, ("Unknown operation.", 1)),
    }
    return made


def FOREIGN(made: SimHost) -> None:  # noqa: N802
    """Put somebody's alias file for 192.0.2.20/24 beside the parent."""
    text = "# the shop\nDEVICE=eth0:web\nONBOOT=yes\nIPADDR=192.0.2.20\nNETMASK=255.255.255.0\n"
    made.files.put(f"{FOLDER}/ifcfg-eth0:web", text)
    for address in made.net.links["eth0"].addresses4:
        if address.address == "192.0.2.20":
            address.label, address.broadcast = "eth0:web", "192.0.2.255"


def bring_up(made: SimHost) -> None:
    """Do what the service network does at boot."""
    scripts = Scripts(made)
    for path in made.files.glob(f"{FOLDER}/ifcfg-*"):
        name = path.rpartition("/ifcfg-")[2]
        if ":" not in name and "-range" not in name:
            scripts.ifup(name)
