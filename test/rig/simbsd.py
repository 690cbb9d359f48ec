"""A BSD kernel on a simulated host: addresses and routes as it keeps them, and their dumps.

Unlike Linux it holds an address once, whatever its prefix: ``alias`` for one that is live on the
link sets it anew, and taking one away takes no other along. What it refuses is named after the
errno of the place that refuses it; `Refusal` has the words of ifconfig(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from rig.simfiles import SimFiles
from rig.simforms import Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimLink, SimRoute

PRIMARY4, PRIMARY6, LOCAL6 = "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"
GATEWAY4, GATEWAY6 = "192.0.2.1", "2001:db8::1"
EXISTS = "ifconfig: ioctl (SIOCAIFADDR): File exists"
ABSENT = "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address"
OTHER_PREFIX = "ifconfig: ioctl (SIOCAIFADDR): Invalid argument"
#: ``in.c``, in_aifaddr_ioctl: ENOBUFS where there is no memory for one more.
FULL = "ifconfig: ioctl ({}): No buffer space available"
FORBIDDEN = "ifconfig: ioctl ({}): permission denied"


class Kernel:
    """Addresses and routes of a simulated BSD.

    :param privileged: False where nobody may change addresses (a jail without its own network).
    """

    def __init__(self, host: SimHost) -> None:
        self.host = host
        self.privileged = True
        #: Addresses that the next command for them is refused for, with what is said.
        self.broken: dict[str, str] = {}

    def link(self, name: str) -> SimLink:
        """Return a link.

        ``ifconfig.c``, main: ``interface %s does not exist``.
        """
        links = self.host.net.links
        if name not in links:
            raise Refusal(f"ifconfig: interface {name} does not exist")
        return links[name]

    def add(self, name: str, cidr: str, *, deprecated: bool = False) -> None:
        """Do SIOCAIFADDR: ``in.c``, in_aifaddr_ioctl; ``in6.c``, in6_update_ifa."""
        net = self.host.net
        link = self.link(name)
        address, _, prefix = cidr.partition("/")
        self._may(address, "SIOCAIFADDR")
        six = ":" in address
        # A link-local address is one of its link alone.
        others = () if ip_address(address).is_link_local else net.links.values()
        for other in others:
            listed = other.addresses6 if six else other.addresses4
            if other is not link and any(old.address == address for old in listed):
                # The address has a route over the loopback link already.
                raise Refusal(EXISTS)
        mine = link.addresses6 if six else link.addresses4
        held = next((old for old in mine if old.address == address), None)
        if held is not None and six:
            if held.prefix != int(prefix):
                raise Refusal(OTHER_PREFIX)
            held.deprecated = deprecated
            return
        if held is not None:
            self._drop(link, held)
        new = SimAddress(address, int(prefix), deprecated=deprecated)
        if six:
            new.scope = "link" if ip_address(address).is_link_local else "global"
            new.ready = net.now + net.dad if net.dad else 0.0
            new.duplicate = address in net.elsewhere
            link.known6[address] = new
        mine.append(new)
        route = _route(link, new)
        if not link.loopback and new.scope == "global" and not _single(new):
            net.routes += [] if route in net.routes else [route]

    def delete(self, name: str, address: str) -> None:
        """Do SIOCDIFADDR, which looks for the address alone."""
        link = self.link(name)
        self._may(address, "SIOCDIFADDR")
        listed = link.addresses6 if ":" in address else link.addresses4
        held = next((old for old in listed if old.address == address), None)
        if held is None:
            raise Refusal(ABSENT)
        self._drop(link, held)

    def _drop(self, link: SimLink, gone: SimAddress) -> None:
        """Take one address away; the route of its subnet stays with another of that subnet."""
        listed = link.addresses6 if ":" in gone.address else link.addresses4
        listed.remove(gone)
        link.known6.pop(gone.address, None)
        route = _route(link, gone)
        if not any(other.subnet == gone.subnet for other in listed):
            self.host.net.routes = [each for each in self.host.net.routes if each != route]

    def _may(self, address: str, what: str) -> None:
        if not self.privileged:
            raise Refusal(FORBIDDEN.format(what))
        if address in self.broken:
            raise Refusal(self.broken[address])
        if address in self.host.refused:
            raise Refusal(FULL.format(what))

    def down(self, name: str) -> None:
        """Take every address of a link away, and every route over it."""
        link = self.link(name)
        link.addresses4, link.addresses6, link.known6 = [], [], {}
        net = self.host.net
        net.routes = [route for route in net.routes if route.interface != name]

    def add_default(self, gateway: str, *, taken: str) -> None:
        """Add a default route over the link whose subnet has the gateway.

        :param taken: what is said where there is one already.
        """
        family = 6 if ":" in gateway else 4
        net = self.host.net
        if any(r.family == family and r.destination == "default" for r in net.routes):
            raise Refusal(taken)
        for link in net.links.values():
            for address in link.addresses6 if family == 6 else link.addresses4:
                if ip_address(gateway) in address.network:
                    net.routes.append(
                        SimRoute(family, "default", link.name, gateway, protocol="static")
                    )
                    return
        raise Refusal("route: message to route failed: Network is unreachable")


def _single(address: SimAddress) -> bool:
    return address.prefix == (128 if ":" in address.address else 32)


def _route(link: SimLink, address: SimAddress) -> SimRoute:
    family = 6 if ":" in address.address else 4
    return SimRoute(family, str(address.network), link.name)


def machine(
    files: dict[str, str], system: str, *, links: Sequence[str] = ("eth0",)
) -> tuple[SimHost, Kernel]:
    """Return a host with its primary addresses and default routes up, and its kernel."""
    host = SimHost(SimFiles(files), system=system)
    host.programs.clear()
    for name in ("/etc", "/var/db", "/var/lib", "/run"):
        host.files.make_folders(name)
    net = host.net
    net.links.clear()
    net.add_link("lo0", loopback=True)
    for name in links:
        net.add_link(name)
    kernel = Kernel(host)
    net.links["lo0"].addresses4.append(SimAddress("127.0.0.1", 8, scope="host"))
    net.links["lo0"].addresses6.append(SimAddress("::1", 128, scope="host"))
    for cidr in (PRIMARY4, PRIMARY6, LOCAL6):
        kernel.add("eth0", cidr)
    kernel.add_default(GATEWAY4, taken="")
    kernel.add_default(GATEWAY6, taken="")
    for number, name in enumerate(links[1:], 1):
        kernel.add(name, f"198.51.100.{number * 64 - 62}/26")
    return host, kernel


def loop_anew(host: SimHost) -> None:
    """Leave the loop its own addresses alone, as a boot does."""
    link = host.net.links["lo0"]
    link.addresses4 = [a for a in link.addresses4 if a.address.startswith("127.")]
    link.addresses6 = [a for a in link.addresses6 if a.address == "::1"]
    link.known6 = {a.address: a for a in link.addresses6}


# Dumps


def render_links(host: SimHost, *, metric: bool = True) -> str:
    """Return ``ifconfig -a``.

    ``ifconfig.c``, status; ``af_inet.c``, in_status; ``af_inet6.c``, in6_status.
    """
    lines: list[str] = []
    for link in host.net.links.values():
        flags = ["UP"] if link.up else []
        flags += ["LOOPBACK"] if link.loopback else ["BROADCAST"]
        flags += ["RUNNING", "MULTICAST"]
        mtu = 16384 if link.loopback else 1500
        more = " metric 0" if metric else ""
        lines.append(f"{link.name}: flags=8843<{','.join(flags)}>{more} mtu {mtu}")
        lines += [] if link.loopback else [f"\tether {link.mac}"]
        for address in link.addresses4:
            mask = int(ip_network(f"0.0.0.0/{address.prefix}").netmask)
            line = f"\tinet {address.address} netmask {mask:#010x}"
            if not link.loopback:
                line += f" broadcast {ip_network(address.cidr, strict=False).broadcast_address}"
            lines.append(line)
        lines += [_line6(host, link, address) for address in link.addresses6]
        lines.append("\tstatus: active" if not link.loopback else "\tgroups: lo")
    return "".join(f"{line}\n" for line in lines)


def _line6(host: SimHost, link: SimLink, address: SimAddress) -> str:
    local = address.scope == "link"
    shown = f"{address.address}%{link.name}" if local else address.address
    words = [f"\tinet6 {shown} prefixlen {address.prefix}"]
    now = host.net.now
    if address.duplicate and now >= address.ready:
        words.append("duplicated")
    elif now < address.ready:
        words.append("tentative")
    words += ["deprecated"] if address.deprecated else []
    words += ["autoconf"] if address.dynamic else []
    words += [f"scopeid {link.index:#x}"] if local else []
    return " ".join(words) + " "
