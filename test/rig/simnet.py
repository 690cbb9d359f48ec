"""A kernel's links, addresses and routes in memory, with its real refusals.

Order and side effects are those of Linux (``net/ipv4/devinet.c``, ``fib_frontend.c``,
``net/ipv6/addrconf.c``); ``test/netns/test_simhost_real.py`` holds them against a kernel.
"""

from __future__ import annotations

import copy
from dataclasses import astuple, dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}


class KernelError(Exception):
    """Raise for what the kernel refuses; the text is what `ip` prints."""


@dataclass(eq=False)
class SimAddress:
    """Hold one address of a link.

    :param ready: second at which duplicate address detection ends.
    """

    address: str
    prefix: int
    label: str = ""
    scope: str = "global"
    broadcast: str | None = None
    secondary: bool = False
    prefix_route: bool = True
    deprecated: bool = False
    dynamic: bool = False
    duplicate: bool = False
    ready: float = 0.0

    def __post_init__(self) -> None:
        number, bits = int(ip_address(self.address)), 128 if ":" in self.address else 32
        #: Stands for the subnet; a whole number, for it is compared ten thousand times over.
        self.subnet = number >> (bits - self.prefix) << (bits - self.prefix + 8) | self.prefix

    def __deepcopy__(self, memo: object) -> SimAddress:
        return copy.copy(self)

    @property
    def network(self) -> IPv4Network | IPv6Network:
        return ip_network(f"{self.address}/{self.prefix}", strict=False)

    @property
    def cidr(self) -> str:
        return f"{self.address}/{self.prefix}"


@dataclass
class SimLink:
    """Hold one link."""

    name: str
    index: int
    mac: str = "02:00:00:00:00:01"
    up: bool = True
    loopback: bool = False
    promote: str = "0"
    addresses4: list[SimAddress] = field(default_factory=list)
    addresses6: list[SimAddress] = field(default_factory=list)
    known6: dict[str, SimAddress] = field(default_factory=dict)


@dataclass(frozen=True)
class SimRoute:
    """Hold one route of the main table."""

    family: int
    destination: str
    interface: str
    gateway: str | None = None
    source: str | None = None
    protocol: str = ""
    scope: str = ""
    metric: int = 0

    def __deepcopy__(self, memo: object) -> SimRoute:
        return self


class SimNet:
    """Hold all links and routes, and the time.

    :param dad: seconds of duplicate address detection.
    """

    def __init__(self, dad: float = 0.0) -> None:
        self.now = 1000.0
        self.dad = dad
        self.links: dict[str, SimLink] = {}
        self.routes: list[SimRoute] = []
        #: IPv6 addresses that another host on the segment has.
        self.elsewhere: set[str] = set()
        self.add_link("lo", loopback=True)
        self.add_loopback()

    def add_loopback(self) -> None:
        """Give lo what the kernel gives it when it comes up."""
        self.links["lo"].addresses4.append(SimAddress("127.0.0.1", 8, "lo", "host"))
        self.links["lo"].addresses6.append(SimAddress("::1", 128, scope="host"))

    def add_link(self, name: str, *, loopback: bool = False, up: bool = True) -> SimLink:
        """Add a link."""
        index = len(self.links) + 1
        mac = f"02:00:00:00:00:{index:02x}"
        self.links[name] = SimLink(name, index, mac, up, loopback)
        return self.links[name]

    def link(self, name: str) -> SimLink:
        """Return a link.

        :raises KernelError: there is none.
        """
        if name not in self.links:
            raise KernelError(f'Cannot find device "{name}"')
        return self.links[name]

    # -- IPv4 -------------------------------------------------------------------------

    def add4(self, name: str, new: SimAddress, *, exclusive: bool = True) -> None:
        """Add an address as ``RTM_NEWADDR`` does; see ``__inet_insert_ifa``."""
        link = self.link(name)
        new.label = new.label or name
        if len(new.label) > 15:
            raise KernelError("Error: Attribute failed policy validation.")
        mine = [old for old in link.addresses4 if old.subnet == new.subnet]
        if any(old.address == new.address for old in mine):
            if exclusive:
                raise KernelError("Error: ipv4: Address already assigned.")
            return
        if any(old.scope != new.scope for old in mine):
            raise KernelError("Error: ipv4: Invalid scope value.")
        new.secondary = bool(mine)
        at = len(link.addresses4)
        if not new.secondary:
            while at:
                old = link.addresses4[at - 1]
                if not old.secondary and SCOPES[new.scope] <= SCOPES[old.scope]:
                    break
                at -= 1
        link.addresses4.insert(at, new)
        if not new.secondary:
            self._connect4(link, new)

    def _connect4(self, link: SimLink, address: SimAddress) -> None:
        """Add the route of an address's subnet."""
        if not link.up or link.loopback or not address.prefix_route or address.prefix == 32:
            return
        self.routes.append(
            SimRoute(4, str(address.network), link.name, None, address.address, "kernel", "link")
        )

    def delete4(self, name: str, address: str, prefix: int) -> None:
        """Delete an address; see ``__inet_del_ifa``: its secondaries go or one is promoted."""
        link = self.link(name)
        gone = next(
            (a for a in link.addresses4 if a.address == address and a.prefix == prefix), None
        )
        if gone is None:
            raise KernelError("Error: ipv4: Address not found.")
        listed = link.addresses4
        at = listed.index(gone)
        followers = []
        if not gone.secondary:
            followers = [a for a in listed[at + 1 :] if a.secondary and a.subnet == gone.subnet]
        fallen = [gone]
        if followers and link.promote != "1":
            fallen += followers
        for old in fallen:
            listed.remove(old)
        if not gone.secondary:
            self._disconnect4(link, gone)
        if followers and link.promote == "1":
            self._promote(link, gone, followers[0], at)
        for old in fallen:
            if not any(a.address == old.address for a in self._all4()):
                self.routes = [r for r in self.routes if r.source != old.address]
        if not listed:
            self.routes = [r for r in self.routes if r.family != 4 or r.interface != name]

    def _promote(self, link: SimLink, gone: SimAddress, heir: SimAddress, at: int) -> None:
        """Make a secondary the head of its subnet: behind the last fitting primary."""
        listed = link.addresses4
        behind = 0 if at else -1
        for index, old in enumerate(listed):
            fits = not old.secondary and SCOPES[gone.scope] <= SCOPES[old.scope]
            if old is heir:
                break
            if index >= at and fits:
                behind = index
        if listed.index(heir) != at:
            listed.remove(heir)
            listed.insert(behind + 1, heir)
        heir.secondary = False
        self._connect4(link, heir)

    def _disconnect4(self, link: SimLink, address: SimAddress) -> None:
        gone = SimRoute(4, str(address.network), link.name, None, address.address, "kernel", "link")
        if address.prefix_route and gone in self.routes:
            self.routes.remove(gone)

    def _all4(self) -> list[SimAddress]:
        return [address for link in self.links.values() for address in link.addresses4]

    # -- IPv6 -------------------------------------------------------------------------

    def add6(self, name: str, new: SimAddress, *, exclusive: bool = True) -> None:
        """Add an address; the same one with another prefix length is refused too."""
        link = self.link(name)
        old = link.known6.get(new.address)
        if old is not None:
            if exclusive:
                raise KernelError("Error: ipv6: address already assigned.")
            old.deprecated = new.deprecated
            return
        new.label = ""
        new.scope = "link" if ip_address(new.address).is_link_local else new.scope
        new.ready = self.now + self.dad
        new.duplicate = new.address in self.elsewhere
        rank = {"global": 0, "link": 1, "host": 2}
        at = next(
            (i for i, a in enumerate(link.addresses6) if rank[new.scope] <= rank[a.scope]),
            len(link.addresses6),
        )
        link.addresses6.insert(at, new)
        link.known6[new.address] = new
        route = self._route6(link, new)
        # Of one address alone there is no other's route; ten thousand would be looked for.
        if link.up and new.prefix_route and (new.prefix == 128 or route not in self.routes):
            self.routes.append(route)

    def _route6(self, link: SimLink, address: SimAddress) -> SimRoute:
        return SimRoute(6, str(address.network), link.name, protocol="kernel", metric=256)

    def delete6(self, name: str, address: str, prefix: int) -> None:
        """Delete an address, and its subnet's route with the last address of it."""
        link = self.link(name)
        gone = link.known6.get(address)
        if gone is None or gone.prefix != prefix:
            raise KernelError("Error: ipv6: address not found.")
        link.addresses6.remove(gone)
        del link.known6[address]
        if not any(a.subnet == gone.subnet for a in link.addresses6):
            route = self._route6(link, gone)
            self.routes = [r for r in self.routes if r != route]

    # -- routes -----------------------------------------------------------------------

    def add_route(self, route: SimRoute, *, replacing: bool = False) -> None:
        """Add a route; one for the same destination and metric is refused."""
        link = self.link(route.interface)
        if not link.up:
            raise KernelError("Error: Device for nexthop is not up.")
        if route.family == 6 and not route.metric:
            route = replace(route, metric=1024)
        same = [
            r
            for r in self.routes
            if (r.family, r.destination, r.metric)
            == (route.family, route.destination, route.metric)
        ]
        if same and not replacing:
            raise KernelError("RTNETLINK answers: File exists")
        if same:
            self.routes[self.routes.index(same[0])] = route
        else:
            self.routes.append(route)

    def delete_route(self, family: int, destination: str, interface: str, scope: str) -> None:
        """Delete the first matching route."""
        for route in self.routes:
            if (route.family, route.destination) != (family, destination):
                continue
            if route.interface == interface and scope in ("", route.scope):
                self.routes.remove(route)
                return
        raise KernelError("RTNETLINK answers: No such process")

    # -- comparing --------------------------------------------------------------------

    def addresses(self) -> dict[str, list[tuple[object, ...]]]:
        """Return what there is to know of every link's addresses."""
        return {
            name: [astuple(a) for a in (*link.addresses4, *link.addresses6)]
            for name, link in self.links.items()
        }
