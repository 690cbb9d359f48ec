"""What must not be cut: the master's connection, the way to the gateway, an address in use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from .errors import RefusedError
from .host import Host
from .paths import Paths
from .plan import Plan
from .procnet import parse_address

_ESTABLISHED = "01"
#: Kernel tables of TCP connections, proc_net_tcp(5).
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
#: FreeBSD cuts long addresses of IPv6 to its columns unless told not to, netstat(1) ``-W``.
CONNECTIONS = {"freebsd": ("netstat", "-anW")}


def parse_connections(text: str) -> list[tuple[str, str, int]]:
    """Return local address, remote address and remote port of established connections.

    Format: proc_net_tcp(5): addresses in hexadecimal, each 32-bit word in the byte order of
    the machine. An IPv4 connection of an IPv6 socket comes with its IPv4 address.
    """
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == _ESTABLISHED:
            local, remote = words[1].rsplit(":", 1)[0], words[2].rsplit(":", 1)
            both = parse_address(local), parse_address(remote[0])
            found.append((*both, int(remote[1], 16)))
    return found


#: ``192.0.2.2.51234`` (BSD, Solaris), ``192.0.2.2:51234`` and ``[2001:db8::2]:51234`` (Windows).
_ENDPOINT = re.compile(r"\[?([0-9a-fA-F:.]+?)(?:%\w+)?\]?[.:](\d{1,5})")


def parse_netstat(text: str) -> list[tuple[str, str, int]]:
    """Return local address, remote address and remote port of each line with two endpoints.

    The state is not looked at: Windows writes it in the language of the host. Formats:
    netstat(1) of FreeBSD and OpenBSD, netstat(8) of Solaris, ``netstat`` of Windows.
    """
    found = []
    for line in text.splitlines():
        ends = [end for word in line.split() if (end := _ENDPOINT.fullmatch(word))]
        for local, remote in pairwise(ends):
            try:
                pair = str(ipaddress.ip_address(local[1])), str(ipaddress.ip_address(remote[1]))
            except ValueError:
                continue
            found.append((*pair, int(remote[2])))
    return found


def spoken_from(host: Host, master: tuple[str, int]) -> set[str]:
    """Return the local addresses that connections to the master are spoken from."""
    publish = {master[1], master[1] - 1}
    if host.system != "linux":
        said = host.run(CONNECTIONS.get(host.system, ("netstat", "-an")))
        return {
            local
            for local, remote, port in parse_netstat(said.out)
            if remote == master[0] and port in publish
        }
    return {
        local
        for table in TABLES
        for local, remote, port in parse_connections(host.read(table) or "")
        if remote == master[0] and port in publish
    }


def refuse_cuts(
    plans: Iterable[Plan], host: Host, master: tuple[str, int] | None, forced: Collection[str]
) -> None:
    """Refuse to take away what this host is reached by, unless it is forced by name.

    :param master: address and port of the master; None where the minion has none.
    :param forced: addresses that the caller named.
    :raises RefusedError: naming the address and what hangs on it.
    """
    lifelines: set[str] | None = None
    for plan in plans:
        staying = {alias.address for alias, _ in plan.live_wanted}
        for live in plan.live_remove:
            if live.address in forced or live.address in staying:
                continue
            if lifelines is None:
                lifelines = spoken_from(host, master) if master is not None else set()
            if live.address in lifelines:
                _refuse(live.address, plan.interface, "the connection to the master runs over it")
            _refuse_last_way(plan, live.cidr)


def _refuse_last_way(plan: Plan, going: str) -> None:
    """Refuse to take away the only address whose subnet holds the default gateway."""
    snapshot, network = plan.situation.snapshot, ipaddress.ip_network(going, strict=False)
    gone = {live.cidr for live in plan.live_remove}
    for route in snapshot.defaults(network.version):
        if route.interface != plan.interface or not route.gateway:
            continue
        gateway = ipaddress.ip_address(route.gateway)
        if gateway not in network or network.prefixlen == network.max_prefixlen:
            continue
        others = (a.cidr for a in snapshot.on(plan.interface) if a.cidr not in gone)
        if not any(gateway in ipaddress.ip_network(other, strict=False) for other in others):
            address = going.rsplit("/", 1)[0]
            _refuse(address, plan.interface, f"the default route by {gateway} hangs on it")


def refuse_used(plans: Iterable[Plan], host: Host, forced: Collection[str]) -> None:
    """Refuse to take away an address that the owner's own records say is in use.

    A dialect that keeps such records has a function ``in_use(host, addresses)``, which returns
    by address who uses it (`backends.cpanel`).

    :param forced: addresses that the caller named.
    :raises RefusedError: naming the address and who uses it.
    """
    for plan in plans:
        backend = plan.situation.backend
        in_use: Callable[[Host, Collection[str]], Mapping[str, str]] | None
        in_use = getattr(backend, "in_use", None)
        if in_use is None:
            continue
        staying = {entry.alias.address for entry in plan.entries} | set(forced)
        going = {alias.address for alias in plan.change.removed}
        going |= {live.address for live in plan.live_remove}
        going -= staying
        for address, use in in_use(host, going).items() if going else ():
            _refuse(address, plan.interface, use)


def refuse_pair(
    plans: Sequence[Plan],
    host: Host,
    paths: Paths,
    data: object,
    root: str,
    forced: Collection[str],
) -> None:
    """Refuse to take away the address at which this host's DHCP server listens for its peer.

    Only where a pair was brought to this host: before that, and after a clean, nobody listens.

    :param data: pillar block ``ipalias`` as Salt gives it.
    :param root: pillar path of that block.
    :param forced: addresses that the caller named.
    :raises RefusedError: naming the address and the member's place in the pillar.
    """
    members = pair_addresses(data, root)
    # Most hosts are no member, and never load what is the pair's.
    going = {live.address for plan in plans for live in plan.live_remove} if members else set()
    going |= {alias.address for plan in plans for alias in plan.change.removed if members}
    # On another interface it is still this host's.
    going -= {alias.address for plan in plans for alias, _ in plan.live_wanted} | set(forced)
    used = [address for address in members if address in going]
    if not used:
        return
    from .dhcp.places import Places

    if host.exists(Places(f"{paths.state}/dhcp").found):
        address = used[0]
        raise RefusedError(
            f"{address} is not taken away: this host's DHCP server listens for its peer on it",
            where=members[address],
            way_out="give the member another address there, or take the pair away by the state "
            f"ipalias.dhcp.clean; `ipalias.remove {address} force={address}` does it all the same",
        )


def pair_addresses(data: object, root: str) -> dict[str, str]:
    """Return the addresses of the members of the pillar's DHCP pair, with their pillar paths.

    As they are written, unchecked: whatever else is wrong with the block, they are in use.
    """
    path, block = root, data
    for key in ("dhcp", "pair", "members"):
        path = f"{path}:{key}"
        block = block.get(key) if isinstance(block, Mapping) else None
    if not isinstance(block, Mapping):
        return {}
    return {
        member["address"]: f"{path}:{name}:address"
        for name, member in block.items()
        if isinstance(member, Mapping) and isinstance(member.get("address"), str)
    }


def _refuse(address: str, interface: str, why: str) -> None:
    raise RefusedError(
        f"{address} is not taken away: {why}",
        where=interface,
        way_out=f"`ipalias.remove {address} force={address}` does it all the same",
    )
