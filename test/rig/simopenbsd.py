"""OpenBSD's kernel on a simulated host, and what its netstart makes of a hostname.if.

Written down from ``in.c``, ``in6.c``, ``nd6.c``, ``route.c`` and ``/etc/netstart`` 1.229, the
latter apart from the library's own reader.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from rig import simbsd
from rig.simforms import Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimLink, SimRoute

#: `in.c`, `in6.c` and `route.c` return the errno; ``ifconfig.c`` says it by err(3).
EXISTS = "ifconfig: SIOCAIFADDR: File exists"
ABSENT = "ifconfig: SIOCDIFADDR: Can't assign requested address"
INVALID = "ifconfig: SIOCAIFADDR: Invalid argument"
UNKNOWN = "ifconfig: {}: Device not configured"
FORBIDDEN = "ifconfig: {}: Operation not permitted"
FULL = "ifconfig: {}: No buffer space available"
BAD = "ifconfig: {}: bad value"


class Kernel(simbsd.Kernel):
    """Addresses and routes as OpenBSD keeps them.

    :param lag: seconds until an address whose preferred lifetime is over has the flag.
    """

    def __init__(self, host: SimHost) -> None:
        super().__init__(host)
        self.lag = 0.0
        #: By address, when its preferred lifetime was over.
        self.over: dict[str, float] = {}
        #: Host routes that somebody else has set.
        self.routed: set[str] = set()

    def named(self, name: str, what: str) -> SimLink:
        """Return a link.

        ``if.c``, ifioctl: ENXIO.
        """
        if name not in self.host.net.links:
            raise Refusal(UNKNOWN.format(what))
        return self.host.net.links[name]

    def add(self, name: str, cidr: str, *, deprecated: bool = False) -> None:
        """Do SIOCAIFADDR: ``in.c``, in_ioctl_change_ifaddr; ``in6.c``, in6_update_ifa."""
        link = self.named(name, "SIOCAIFADDR")
        address, _, prefix = cidr.partition("/")
        self._allow(address, "SIOCAIFADDR")
        if address in self.routed:
            # ``route.c`` up to 2015, rt_ifa_addlocal: a host route to it is no local one.
            raise Refusal(EXISTS)
        mine = link.addresses6 if ":" in address else link.addresses4
        held = next((old for old in mine if old.address == address), None)
        if held is not None and ":" in address:
            if held.prefix != int(prefix):
                # in6_update_ifa: the prefix length of an existing address is not changed.
                raise Refusal(INVALID)
            self._set_lifetime(held, deprecated)
            return
        if held is not None:
            # in_ifinit: ifa_del and ifa_add, so it goes to the end; its other routes stay.
            mine.remove(held)
            self._leave_subnet(link, held)
        self._append(link, SimAddress(address, int(prefix)), deprecated)

    def _append(self, link: SimLink, new: SimAddress, deprecated: bool) -> None:
        net = self.host.net
        if ":" in new.address:
            new.scope = "link" if ip_address(new.address).is_link_local else "global"
            new.ready = net.now + net.dad if net.dad else 0.0
            new.duplicate = new.address in net.elsewhere
            link.known6[new.address] = new
            link.addresses6.append(new)
        else:
            link.addresses4.append(new)
        self._set_lifetime(new, deprecated)
        route = _connected(link, new)
        if not link.loopback and new.scope == "global" and route not in net.routes:
            net.routes += [] if _single(new) else [route]

    def _set_lifetime(self, address: SimAddress, deprecated: bool) -> None:
        address.deprecated = deprecated
        self.over.pop(address.address, None)
        if deprecated:
            self.over[address.address] = self.host.net.now

    def delete(self, name: str, address: str) -> None:
        """Do SIOCDIFADDR; without an address, IPv4 takes the first (in_ioctl_change_ifaddr)."""
        link = self.named(name, "SIOCDIFADDR")
        self._allow(address, "SIOCDIFADDR")
        listed = link.addresses6 if ":" in address else link.addresses4
        held = next((old for old in listed if address in ("", old.address)), None)
        if held is None:
            raise Refusal(ABSENT)
        self._purge(link, held)

    def _purge(self, link: SimLink, gone: SimAddress) -> None:
        """Take an address away, and every route that came by it (rt_ifa_purge)."""
        listed = link.addresses6 if ":" in gone.address else link.addresses4
        net = self.host.net
        for route in [route for route in net.routes if route.interface == link.name]:
            gateway = ip_address(route.gateway) if route.gateway else None
            if gateway is None or gateway not in gone.network:
                continue
            if next(address for address in listed if gateway in address.network) is gone:
                net.routes.remove(route)
        listed.remove(gone)
        link.known6.pop(gone.address, None)
        self.over.pop(gone.address, None)
        self._leave_subnet(link, gone)

    def _leave_subnet(self, link: SimLink, gone: SimAddress) -> None:
        listed = link.addresses6 if ":" in gone.address else link.addresses4
        if not any(other.subnet == gone.subnet for other in listed):
            route = _connected(link, gone)
            self.host.net.routes = [each for each in self.host.net.routes if each != route]

    def _allow(self, address: str, what: str) -> None:
        if not self.privileged:
            raise Refusal(FORBIDDEN.format(what))
        if address in self.broken:
            raise Refusal(self.broken[address])
        if address in self.host.refused:
            # ``route.c``, rt_ifa_add: ENOBUFS where there is no mbuf.
            raise Refusal(FULL.format(what))


def _family(address: SimAddress) -> int:
    return 6 if ":" in address.address else 4


def _single(address: SimAddress) -> bool:
    return address.prefix == (128 if ":" in address.address else 32)


def _connected(link: SimLink, address: SimAddress) -> SimRoute:
    return SimRoute(_family(address), str(address.network), link.name)


def hostname_commands(text: str, name: str) -> list[str]:
    """Return what netstart runs for a file, as parse_hn_line puts it together."""
    commands: list[str] = []
    # read without -r: a backslash at the end joins, any other goes; no newline, no line.
    *lines, _ = re.sub(r"\\(\n|(.))", lambda found: found[2] or "", text).split("\n")
    for words in (re.findall(r"[^ \t]+", line) for line in lines):
        match words:
            case []:
                continue
            case ["inet" | "inet6"]:
                continue
            case [word, *_] if word[0] == "#":
                continue
            case [word, *_] if word[0] == "!":
                commands.append(" ".join(words)[1:].replace("$if", name))
                continue
            case ["dhcp", *_]:
                words = ["inet", "autoconf"]
            case ["inet" | "inet6", "autoconf", *_]:
                pass
            case ["inet" as family, *_] | ["inet6" as family, *_]:
                at = 3 if words[1] == "alias" else 2
                if len(words) > at:
                    words[at] = f"{'netmask' if family == 'inet' else 'prefixlen'} {words[at]}"
                if family == "inet" and len(words) > at + 1:
                    no = words[at + 1].endswith("NONE")
                    words[at + 1] = "" if no else f"broadcast {words[at + 1]}"
            case ["dest", end] if commands:
                before = commands.pop().split()
                at = 4 if before[3:4] == ["alias"] else 3
                before[at : at + 1] = [*before[at : at + 1], end]
                commands.append(" ".join(before))
                continue
            case ["dest", *_]:
                continue
        commands.append(" ".join(["ifconfig", name, *words]))
    return commands
