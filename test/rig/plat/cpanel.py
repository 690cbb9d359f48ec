"""cPanel on a simulated host: EL9, the interfaces NetworkManager's, the aliases ipaliases'.

Its programs do what cPanel's own source says, in words of this rig's own: ``Cpanel/IpPool.pm``
(``rebuild``), ``Cpanel/ServiceManager/Services/Ipaliases.pm`` (``restart``), ``Whostmgr/Ips.pm``
(``system_add_ip``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import KernelError, SimAddress, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, machine
from saltext.ipalias.host import Result

WWWACCT = "ADDR 192.0.2.2\nCONTACTEMAIL root@example.com\nETHDEV eth0\nHOST web.example.com\n"
#: Programs that write files themselves: what of it reaches the disk is their own business.
WRITERS = ("/scripts/rebuildippool",)
REBUILD, RESTART = "/scripts/rebuildippool", "/scripts/restartsrv_ipaliases"
#: A site on the shared address, and one on an address that no test has.
SITES = (
    "example.com: web1==root==main==example.com==/home/web1/public_html==192.0.2.2:80====\n"
    "example.net: web2==root==main==example.net==/home/web2/public_html==192.0.2.2:80====\n"
)


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host with cPanel, ETHDEV being eth0."""
    from rig.simnm import KEYFILE, Nmcli, path_of

    files = {
        "/etc/wwwacct.conf": WWWACCT,
        "/etc/ips": "# of the hoster\n",
        # What is bound, on lo too, and nobody's.
        "/etc/ipaddrpool": "203.0.113.250\n",
        "/etc/userdatadomains": SITES,
        "/usr/local/cpanel/version": "11.110.0-RELEASE\n",
        "/var/cpanel/mainip": "192.0.2.2",
        "/var/cpanel/users/web1": "DNS=example.com\nIP=192.0.2.2\n",
        REBUILD: "#!/usr/local/cpanel/3rdparty/bin/perl\n",
        RESTART: "#!/usr/local/cpanel/3rdparty/bin/perl\n",
    }
    made = machine(files, links=links)
    made.owner = "cpanel"
    made.net.add4("lo", SimAddress("203.0.113.250", 32))
    nmcli = Nmcli(made, links)
    ipv4 = "method=manual\naddress1=192.0.2.2/24,192.0.2.1"
    ipv6 = "method=manual\naddress1=2001:db8::2/64,2001:db8::1"
    for number, name in enumerate(links):
        if number:
            ipv4, ipv6 = f"method=manual\naddress1=198.51.100.{number * 64 - 62}/26", "method=auto"
        text = KEYFILE.format(name=name, uuid=nmcli.uuids[name], ipv4=ipv4, ipv6=ipv6)
        made.files.put(path_of(name), text, 0o600)
    made.programs["nmcli"] = NmcliConnects(made, nmcli)
    made.programs[REBUILD] = Rebuild(made)
    made.programs[RESTART] = Ipaliases(made)
    made.programs["systemctl"] = Systemctl(made)
    return made


def FOREIGN(host: SimHost) -> None:  # noqa: N802
    """Let a line of the hoster's own set one more address."""
    text = host.files.read("/etc/ips") or ""
    host.files.put("/etc/ips", f"192.0.2.20:255.255.255.0:192.0.2.255\n{text}")


def bring_up(host: SimHost) -> None:
    """Activate the profiles, then start ipaliases."""
    from rig.simafter import _activate_profiles

    host.net.add4("lo", SimAddress("203.0.113.250", 32))
    for link in host.net.links.values():
        if not link.loopback:
            host.net.add6(link.name, SimAddress("fe80::2", 64))
    _activate_profiles(host)
    _start(host)
    host.net.add_route(SimRoute(4, "default", "eth0", GATEWAY4))
    host.net.add_route(SimRoute(6, "default", "eth0", GATEWAY6))


def listed(host: SimHost) -> list[SimAddress]:
    """Return what /etc/ips sets, a line that cPanel passes over left out."""
    found = []
    for line in (host.files.read("/etc/ips") or "").split("\n"):
        fields = line.split(":")
        if len(fields) == 3 and all(field.count(".") == 3 for field in fields):
            mask = ipaddress.ip_network(f"0.0.0.0/{fields[1]}")
            found.append(SimAddress(fields[0], mask.prefixlen, broadcast=fields[2]))
    return found


def _start(host: SimHost) -> None:
    for number, new in enumerate(listed(host), 1):
        new.label = f"eth0:cp{number}"
        try:
            host.net.add4("eth0", new)
        except KernelError:
            continue  # one that is there already


class NmcliConnects:
    """`nmcli` that can also activate a profile anew, which a restart by hand does."""

    def __init__(self, host: SimHost, nmcli: object) -> None:
        self.host, self.nmcli = host, nmcli

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if list(argv[1:3]) == ["device", "connect"] and argv[3] in self.host.net.links:
            return Result(0, f"Device '{argv[3]}' successfully activated.\n", "")
        told: Result = self.nmcli(argv, stdin)  # type: ignore[operator]
        return told


class Rebuild(Cited):
    """`/scripts/rebuildippool`."""

    def __init__(self, host: SimHost) -> None:
        form = Form(
            REBUILD,
            "docs.cpanel.net, Rebuild the IP Address Pool; Cpanel/IpPool.pm, rebuild",
            self._rebuild,
        )
        super().__init__(host, REBUILD, [form], (f"Usage: {REBUILD}", 1))
        self.broken = False

    def _rebuild(self, slots: dict[str, str], stdin: str | None) -> Result:
        files = self.host.files
        if self.broken:
            # execve(2), ENOENT: the interpreter of the script is missing, as in an update.
            raise Refusal(f"{REBUILD}: No such file or directory", 127)
        busy = {(files.read("/var/cpanel/mainip") or "").strip()}
        busy |= set((files.read("/etc/reservedips") or "").split())
        for line in (files.read("/etc/userdatadomains") or "").splitlines():
            busy.add(line.split("==")[5].partition(":")[0])
        bound = {a.address for link in self.host.net.links.values() for a in link.addresses4}
        free = sorted((a for a in bound - busy if not a.startswith("127.")), reverse=True)
        text = "".join(f"{address}\n" for address in free)
        # Cpanel::FileUtils::Write::overwrite leaves owner and mode of the file as they are here.
        files.put("/etc/ipaddrpool", text)
        return Result(0, f"{len(free)} ips in pool\n", "")


class Ipaliases(Cited):
    """`/scripts/restartsrv_ipaliases`."""

    def __init__(self, host: SimHost) -> None:
        form = Form(
            RESTART,
            "docs.cpanel.net, How to Restart Services; "
            "Cpanel/ServiceManager/Services/Ipaliases.pm, restart",
            self._restart,
        )
        super().__init__(host, RESTART, [form], (f"Usage: {RESTART} [options]", 1))

    def _restart(self, slots: dict[str, str], stdin: str | None) -> Result:
        if self.host.files.read("/etc/ipaliasesdisable") is not None:
            # Cpanel::Exception::Services::Disabled
            raise Refusal("The “ipaliases” service is disabled.")
        if not self.host.files.read("/etc/ips"):
            # Cpanel::Exception::Services::NotConfigured
            raise Refusal("The “ipaliases” service is not configured.")
        link = self.host.net.links["eth0"]
        for gone in listed(self.host):
            if any(a.cidr == gone.cidr for a in link.addresses4):
                self.host.net.delete4("eth0", gone.address, gone.prefix)
        _start(self.host)
        return Result(0, "ipaliases restarted successfully.\n", "")


class Systemctl(Cited):
    """`systemctl` of a host whose network is NetworkManager's."""

    def __init__(self, host: SimHost) -> None:
        super().__init__(
            host,
            "systemctl",
            [
                Form(
                    r"systemctl is-active {unit:[a-zA-Z-]+\.service}",
                    "systemctl(1), is-active: prints the state; 0 if active, else 3",
                    lambda slots, stdin: Result(3, "inactive\n", ""),
                ),
                Form(
                    "systemctl restart NetworkManager.service",
                    "systemctl(1), restart",
                    lambda slots, stdin: Result(0, "", ""),
                ),
            ],
            ("Unknown command verb.", 1),
        )
