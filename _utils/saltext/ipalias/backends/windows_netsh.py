"""The guide's ``netsh`` lines, as words: no shell, and none of netsh's own language is read.

``netsh interface ipv4 set address``, ``set dns``, ``add address``, ``delete address``
(learn.microsoft.com/windows-server/administration/windows-commands/netsh-interface). netsh gets
its line from the C runtime, so that ``name=Local Area Connection`` is one word. A name of
digits alone it takes for an index, and is refused by the backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from ..live import powershell
from ..model import IPV4, Command

Argv = tuple[str, ...]


class Lease(NamedTuple):
    """Hold what a lease gave and what shall stay when DHCP is switched off."""

    address: str
    prefix: int
    gateway: str
    dns: tuple[str, ...]


def static_argvs(interface: str, lease: Lease) -> list[Argv]:
    """Return what makes an interface static: the first two lines of the guide.

    ``set address`` does in one step what takes four cmdlets, of which ``New-NetIPAddress``
    is refused while the leased address is there ("Instance MSFT_NetIPAddress already exists")
    or while the persistent store says DHCP ("Inconsistent parameters PolicyStore
    PersistentStore and Dhcp Enabled"), and may keep the address and lose the gateway.
    """
    words = ("netsh", "interface", "ipv4", "set", "address", f"name={interface}", "static")
    address = (*words, lease.address, _mask(lease.prefix), lease.gateway or "none")
    return [address, *_dns_argvs(interface, lease.dns)]


def _dns_argvs(interface: str, servers: Sequence[str]) -> list[Argv]:
    """Return what sets name servers, in their order; none where there are none."""
    if not servers:
        return []
    first, *others = servers
    argvs: list[Argv] = [
        ("netsh", "interface", "ipv4", "set", "dns", f"name={interface}", "static", first)
    ]
    for index, server in enumerate(others, 2):
        words = ("netsh", "interface", "ipv4", "add", "dnsservers", interface, server)
        argvs.append((*words, f"index={index}"))
    return argvs


def static_again(interface: str, lease: Lease) -> list[Command]:
    """Return what makes an interface static as it was, on the way back.

    The address last: it alone tells whether there is still something to be done.
    """
    address, *servers = static_argvs(interface, lease)
    return [Command(argv) for argv in (*servers, address)]


def dhcp_commands(interface: str, servers: Sequence[str] = ()) -> list[Command]:
    """Return what gives an interface back to DHCP, and waits for a lease while there is one.

    Where no server answers, the client goes on asking by itself: that is no failure.

    :param servers: name servers that a person had set beside the lease.
    """
    words = ("netsh", "interface", "ipv4")
    dns: list[Argv] = [(*words, "set", "dns", f"name={interface}", "dhcp")]
    if servers:
        dns = _dns_argvs(interface, servers)
    return [
        Command((*words, "set", "address", f"name={interface}", "dhcp")),
        *(Command(argv) for argv in dns),
        Command(("ipconfig", "/renew", interface), timeout=60.0, ok=(0, 1)),
    ]


def commands(interface: str, ops: Sequence[powershell.Op], acts_on: Sequence[str]) -> list[Command]:
    """Return operations as lines of netsh, one process each."""
    return [
        Command(argv, acts_on=(cidr,))
        for op, cidr in zip(ops, acts_on, strict=True)
        for argv in _argvs(interface, op)
    ]


def _argvs(interface: str, op: powershell.Op) -> Iterator[Argv]:
    """Yield the lines of one operation; netsh can change neither prefix nor policy in place."""
    address = str(op["address"])
    family = "ipv6" if ":" in address else "ipv4"
    # Of the persistent store alone netsh takes nothing: its word for both is `persistent`.
    store = ("store=active",) if op["store"] == powershell.ACTIVE else ()
    head = ("netsh", "interface", family)
    if op["do"] in ("remove", "set"):
        yield (*head, "delete", "address", interface, address, *store)
    if op["do"] in ("new", "set"):
        prefix = int(str(op["prefix"]))
        words = (f"{address}/{prefix}",) if family == "ipv6" else (address, _mask(prefix))
        skip = ("skipassource=true",) if op["skip"] else ()
        yield (*head, "add", "address", interface, *words, *store, *skip)


def _mask(prefix: int) -> str:
    return str(ip_network(f"0.0.0.0/{prefix}").netmask)


def is_index(interface: str) -> bool:
    """Tell whether netsh would take a name for the index of an interface."""
    return interface.isdigit()


def lease_of(store: powershell.Store, interface: str) -> Lease:
    """Return the lease of an interface; an empty address where it has none.

    The gateway is the one that the persistent store does not have.
    """
    rows = store.rows(powershell.ACTIVE, interface).values()
    leased = [row for row in rows if row.origin == "Dhcp" and ":" not in row.address]
    gateways = [
        gateway.gateway
        for gateway in store.gateways
        if (gateway.store, gateway.interface) == (powershell.ACTIVE, interface)
        and gateway.family == IPV4
    ]
    address, prefix = (leased[0].address, leased[0].prefix) if leased else ("", 0)
    return Lease(address, prefix, gateways[0] if gateways else "", store.interfaces[interface].dns)
