"""Live addresses: the model of what the kernel holds, and its readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


def is_loopback(interface: str) -> bool:
    """Tell whether a name is that of a host's own loop: Linux, BSD and Solaris, Windows."""
    return interface in ("lo", "lo0") or interface.startswith("Loopback Pseudo-Interface")


@dataclass(frozen=True)
class LiveAddress:
    """Hold one address that the kernel has.

    An IPv4 address that is kept from being a source has the scope ``host``, whatever word
    the system has for it (``deprecated`` on Solaris, ``SkipAsSource`` on Windows).

    :param flags: words such as ``tentative``, ``dadfailed``, ``deprecated``, ``dynamic``,
        ``secondary``, ``noprefixroute``, ``mngtmpaddr``.
    :param scope: ``global``, ``link``, ``host``, ``site`` or a number as text.
    :param protocol: who added it by the kernel's own word (``kernel_ra``, ``kernel_ll``);
        empty where unknown.
    """

    interface: str
    address: str
    prefix: int
    label: str | None = None
    scope: str = "global"
    flags: frozenset[str] = frozenset()
    protocol: str = ""
    preferred_zero: bool = False

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.address else 4

    @property
    def cidr(self) -> str:
        """Return ``address/prefix``."""
        return f"{self.address}/{self.prefix}"


@dataclass(frozen=True)
class Link:
    """Hold one network interface.

    :param mac: hardware address, lower case, colon form; empty where there is none.
    """

    name: str
    index: int = 0
    flags: frozenset[str] = frozenset()
    mac: str = ""
    mtu: int = 0


@dataclass(frozen=True)
class Route:
    """Hold one route of the main table.

    :param destination: ``default`` or a prefix.
    :param options: further words of the route as the tool printed them.
    """

    family: int
    destination: str
    interface: str
    gateway: str | None = None
    metric: int = 0
    source: str | None = None
    protocol: str = ""
    scope: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Hold one dump of a host's links, addresses and routes, in the kernel's order.

    :param system: whose kernel it is (`host.SYSTEMS`); it decides how changes are said.
    """

    links: tuple[Link, ...] = ()
    addresses: tuple[LiveAddress, ...] = ()
    routes: tuple[Route, ...] = field(default=())
    system: str = "linux"

    @cached_property
    def by_link(self) -> dict[str, Link]:
        """Return the links by name."""
        return {link.name: link for link in self.links}

    @cached_property
    def by_interface(self) -> dict[str, tuple[LiveAddress, ...]]:
        """Return the addresses of each interface, in the kernel's order."""
        found: dict[str, list[LiveAddress]] = {link.name: [] for link in self.links}
        for address in self.addresses:
            found.setdefault(address.interface, []).append(address)
        return {name: tuple(addresses) for name, addresses in found.items()}

    def on(self, interface: str) -> tuple[LiveAddress, ...]:
        """Return one interface's addresses."""
        return self.by_interface.get(interface, ())

    def defaults(self, family: int) -> tuple[Route, ...]:
        """Return the default routes of a family."""
        return tuple(
            route
            for route in self.routes
            if route.family == family and route.destination == "default"
        )
