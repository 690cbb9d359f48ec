"""The active store of a simulated Windows, and what a lease and an interface bring into it."""

from __future__ import annotations

from dataclasses import replace

from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute


def find(host: SimHost, name: str, address: str) -> SimAddress | None:
    """Return an address of the active store."""
    link = host.net.links[name]
    return next((a for a in (*link.addresses4, *link.addresses6) if a.address == address), None)


def make_active(host: SimHost, name: str, address: str, prefix: int, skip: bool) -> None:
    """Add an address to the active store."""
    if ":" in address:
        host.net.add6(name, SimAddress(address, prefix, deprecated=skip))
        return
    scope = "host" if skip else "global"
    host.net.links[name].addresses4.append(SimAddress(address, prefix, name, scope))


def change_active(host: SimHost, name: str, address: str, prefix: int, skip: bool) -> None:
    """Give an address another form where it is."""
    link, old = host.net.links[name], find(host, name, address)
    assert old is not None
    if ":" in address:
        host.net.delete6(name, address, old.prefix)
        host.net.add6(name, SimAddress(address, prefix, deprecated=skip))
        link.known6[address].ready = old.ready
        return
    new = replace(old, prefix=prefix, scope="host" if skip else "global")
    link.addresses4[link.addresses4.index(old)] = new


def drop_active(host: SimHost, name: str, address: str) -> None:
    """Take an address out of the active store; no other goes with it."""
    link, old = host.net.links[name], find(host, name, address)
    assert old is not None
    if ":" in address:
        host.net.delete6(name, address, old.prefix)
    else:
        link.addresses4.remove(old)


# DHCP


def servers(host: SimHost, name: str) -> list[str]:
    """Return the DNS servers of an interface: its own, else the lease's."""
    own = host.stored["dns"].get(name)
    lease = host.stored["leases"].get(name)
    leased = lease["dns"] if lease and host.stored["dhcp"].get(name) else []
    return list(own or leased)


def take_lease(host: SimHost, name: str) -> None:
    """Take the lease that the network has for an interface."""
    lease = host.stored["leases"].get(name)
    if lease is None or find(host, name, lease["address"]) is not None:
        return
    address = SimAddress(lease["address"], lease["prefix"], name, dynamic=True)
    host.net.links[name].addresses4.insert(0, address)
    if lease["gateway"]:
        host.net.add_route(SimRoute(4, "default", name, lease["gateway"]))


def drop_lease(host: SimHost, name: str) -> None:
    """Lose what a lease gave."""
    link = host.net.links[name]
    link.addresses4 = [a for a in link.addresses4 if not a.dynamic]
    host.net.routes = [
        r for r in host.net.routes if (r.family, r.destination, r.interface) != (4, "default", name)
    ]


def is_adapter(host: SimHost, name: str) -> bool:
    """Tell whether a link is a loopback adapter, which is on no segment."""
    device = host.stored.get("devices", {}).get(name, {})
    return str(device.get("hardware", "")).upper() == "*MSLOOP"


def bring_loopback_up(host: SimHost, name: str) -> None:
    """Do what the stack does with a loopback adapter: addresses of the link alone."""
    link = host.net.links[name]
    if "fe80::9" not in link.known6:
        host.net.add6(name, SimAddress("fe80::9", 64))
    if host.stored["dhcp"].get(name) and not link.addresses4:
        link.addresses4.append(SimAddress("169.254.7.7", 16, name, "link"))


def rename_link(host: SimHost, old: str, name: str) -> None:
    """Give a connection another name: all that is held of it goes along."""
    link = host.net.links.pop(old)
    link.name = name
    host.net.links[name] = link
    host.net.routes = [
        replace(r, interface=name) if r.interface == old else r for r in host.net.routes
    ]
    for table in host.stored.values():
        if old in table:
            table[name] = table.pop(old)


def load_interface(host: SimHost, name: str) -> None:
    """Do what the stack does when an interface comes: what lasts becomes active."""
    if name not in host.net.links or host.net.links[name].loopback:
        return
    link = host.net.links[name]
    for address, (prefix, skip) in host.stored["addresses"].get(name, {}).items():
        if find(host, name, address) is None:
            make_active(host, name, address, prefix, skip)
    if "fe80::2" not in link.known6 and not is_adapter(host, name):
        host.net.add6(name, SimAddress("fe80::2", 64))
    if is_adapter(host, name):
        bring_loopback_up(host, name)
    for gateway in host.stored["gateways"].get(name, []):
        route = SimRoute(6 if ":" in gateway else 4, "default", name, gateway)
        if not any(r.destination == "default" and r.gateway == gateway for r in host.net.routes):
            host.net.add_route(route)
    if host.stored["dhcp"].get(name):
        take_lease(host, name)
