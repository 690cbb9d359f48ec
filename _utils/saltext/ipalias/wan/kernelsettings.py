"""The kernel settings that several ways out need (Linux), as `tuning.Tuner` takes them.

See ip-sysctl of the kernel's documentation.
"""

from __future__ import annotations

from ..host import Host
from ..tuning import Setting
from .model import WanConfig, Way

_ALL = "net.ipv4.conf.all."


def kernel_settings(config: WanConfig, host: Host) -> list[Setting]:
    """Return the settings, in the order in which they can be set.

    - Forwarding, where there is an inside to forward for. IPv6 forwarding makes a host deaf
      to router advertisements unless ``accept_ra`` is 2: set first, where the kernel itself
      takes them (a daemon that does so has 0 there).
    - Multipath by addresses and ports: by addresses alone a client has one line for all.
    - ``ignore_routes_with_linkdown``: without carrier a line's routes do not count.
    - ``rp_filter`` loose on the lines: what comes back for the inside by a line that is no
      default route now, on a flow that was kept there, is dropped by the strict one. The
      probe's own answer would pass it by the rule on its source.
    """
    found: dict[str, Setting] = {}

    def add(key: str, value: str) -> None:
        found.setdefault(key, Setting(key, value, config.where))

    ways = [way for _, way in config.ways()]
    inside = bool(config.lan or config.nat.networks or config.nat.networks6)
    for way in ways:
        if way.line.family == 6 and inside and _takes_advertisements(way, host):
            add(_key(6, way.interface, "accept_ra"), "2")
    for family in sorted({way.line.family for way in ways}):
        add(f"net.ipv{family}.fib_multipath_hash_policy", "1")
        if inside:
            add("net.ipv4.ip_forward" if family == 4 else "net.ipv6.conf.all.forwarding", "1")
    for way in ways:
        add(_key(way.line.family, way.interface, "ignore_routes_with_linkdown"), "1")
        if way.line.family == 4:
            add(_key(4, way.interface, "rp_filter"), "2")
    return list(found.values())


def _key(family: int, interface: str, name: str) -> str:
    """Return a key of an interface, in slashes where its name has a dot."""
    parts = ("net", f"ipv{family}", "conf", interface, name)
    return "/".join(parts) if "." in interface else ".".join(parts)


def _takes_advertisements(way: Way, host: Host) -> bool:
    value = host.read(f"/proc/sys/net/ipv6/conf/{way.interface}/accept_ra")
    return value is not None and value.strip() in ("1", "2")
