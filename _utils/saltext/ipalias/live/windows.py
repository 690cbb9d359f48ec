"""Windows: addresses of the running system, read and changed by PowerShell's cmdlets.

Only the active store is changed here; what lasts is the backend's. Windows holds an address
once an interface, whatever its prefix: another prefix or policy is given to it in place, so
that it never leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ..effects import Effects, Run
from ..errors import EffectError
from ..host import Host, Result
from ..model import IPV4, IPV6, Command
from . import Link, LiveAddress, Route, Snapshot, is_loopback, powershell
from .batch import Op
from .ops import BatchError

#: There are no packet sockets; the system looks for duplicates and tells the neighbours itself.
FRAMES = False
_DEFAULT = {IPV4: "0.0.0.0/0", IPV6: "::/0"}
#: Origins of what nobody has configured: a lease, a router's advertisement.
_PASSING = frozenset(("Dhcp", "RouterAdvertisement"))


def read_snapshot(host: Host) -> Snapshot:
    """Return what the active store holds now.

    ``SkipAsSource`` is reported as scope ``host`` (IPv4) and as a preferred lifetime of
    nothing (IPv6): the forms that `source: never` has elsewhere.
    """
    store = powershell.read(host)
    links = tuple(_link(interface) for interface in store.interfaces.values())
    rows = (row for row in store.addresses if row.store == powershell.ACTIVE)
    addresses = tuple(_address(row, store.interfaces[row.interface].up) for row in rows)
    lasting = {
        (g.interface, g.family, g.gateway) for g in store.gateways if g.store != powershell.ACTIVE
    }
    routes = tuple(
        _route(gateway, store.interfaces[gateway.interface].dhcp, lasting)
        for gateway in store.gateways
        if gateway.store == powershell.ACTIVE
    )
    return Snapshot(links, addresses, routes, "windows")


def _link(interface: powershell.Interface) -> Link:
    flags = {"LOOPBACK"} if is_loopback(interface.name) else {"BROADCAST", "MULTICAST"}
    flags |= {"UP"} if interface.up else set()
    return Link(interface.name, interface.index, frozenset(flags), interface.mac, interface.mtu)


def _address(row: powershell.Row, up: bool) -> LiveAddress:
    address = ip_address(row.address)
    flags = {"dynamic"} if row.origin in _PASSING else set()
    if row.suffix == "Random" and "dynamic" in flags:
        flags.add("temporary")
    # Without a carrier every address stays tentative: nobody can be asked.
    if row.state == "Tentative" and up:
        flags.add("tentative")
    if row.state == "Duplicate":
        flags |= {"tentative", "dadfailed"}
    if row.state == "Deprecated":
        flags.add("deprecated")
    scope = "link" if address.is_link_local else "global"
    if address.is_loopback or (row.skip and address.version == IPV4):
        scope = "host"
    hidden = row.skip and address.version == IPV6
    return LiveAddress(
        row.interface,
        row.address,
        row.prefix,
        scope=scope,
        flags=frozenset(flags),
        preferred_zero=hidden,
    )


def _route(gateway: powershell.Gateway, dhcp: bool, lasting: set[tuple[str, int, str]]) -> Route:
    """Return a default route; its protocol tells who brings it back.

    The protocol that Windows shows is ``NetMgmt`` for a lease's as for one set by hand: what
    is not in the persistent store came with a lease or with an advertisement.
    """
    key = (gateway.interface, gateway.family, gateway.gateway)
    protocol = gateway.protocol
    if key in lasting:
        protocol = "static"
    elif gateway.family == IPV6 and gateway.gateway.startswith("fe80:"):
        protocol = "ra"
    elif gateway.family == IPV4 and dhcp:
        protocol = "dhcp"
    return Route(
        gateway.family,
        "default",
        gateway.interface,
        gateway.gateway or None,
        gateway.metric,
        protocol=protocol,
    )


@dataclass
class _Step:
    """Hold one operation for PowerShell and the change that it comes from."""

    words: powershell.Op
    op: Op


def change(
    interface: str,
    ops: Sequence[Op],
    deleted: Iterable[LiveAddress],
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Carry out live changes in one process; stop at the first that is refused.

    :raises BatchError: naming the address, and what was not come to.
    """
    steps = list(_steps(ops, {live.address: live for live in deleted}))
    done = 0
    words = [step.words for step in steps]
    for command in powershell.commands(interface, words, go_on=go_on):
        result: Result = yield Run(command, check=False)
        if result.code != 0:
            index, reason = powershell.failure(result)
            if index is None:
                raise EffectError(f"exit {result.code}: {reason}", where=command.told)
            raise _stopped(interface, steps, done + index, reason)
        done += powershell.MOST


def _steps(ops: Sequence[Op], live: dict[str, LiveAddress]) -> Iterable[_Step]:
    """Yield what is to be done; what goes and comes again is changed in place."""
    back = {op.alias.address for op in ops if not op.delete and not op.change}
    for op in ops:
        alias, now = op.alias, live.get(op.alias.address)
        form = (alias.prefix, alias.never_source)
        if op.delete:
            if alias.address not in back:
                yield _Step(powershell.remove(alias.address, powershell.ACTIVE), op)
        elif op.change or now is not None:
            if now is None or form != (now.prefix, _is_hidden(now)):
                yield _Step(powershell.set_form(alias.address, *form, powershell.ACTIVE), op)
        else:
            yield _Step(powershell.new(alias.address, *form, powershell.ACTIVE), op)


def _is_hidden(live: LiveAddress) -> bool:
    return live.preferred_zero if live.family == IPV6 else live.scope == "host"


def _stopped(interface: str, steps: Sequence[_Step], at: int, reason: str) -> BatchError:
    op = steps[at].op
    verb = "taken away" if op.delete else "changed" if op.change else "added"
    done = {step.op.alias.cidr for step in steps[:at]}
    return BatchError(
        f"{op.alias.cidr} could not be {verb}: {reason}",
        where=op.alias.where or interface,
        interface=interface,
        spared={step.op.alias.cidr for step in steps[at:]} - done,
    )


def failure(result: Result) -> tuple[int | None, str]:
    """Return at which of its changes a command stopped, and why; see `tools.failure`."""
    return powershell.failure(result)


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Return what is wrong with a gateway, or nothing.

    :raises EffectError: it cannot be asked.
    """
    return powershell.check_gateway(host, address.partition("%")[0], interface)


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the commands that put default routes back, for the running system.

    A change of addresses takes no route out of the persistent store.
    """
    by_interface: dict[str, list[powershell.Op]] = {}
    for route in routes:
        gateway = route.gateway or ("0.0.0.0" if route.family == IPV4 else "::")
        words = powershell.route(_DEFAULT[route.family], gateway, route.metric)
        by_interface.setdefault(route.interface, []).append(words)
    return [
        command
        for interface, ops in by_interface.items()
        for command in powershell.commands(interface, ops, go_on=True)
    ]


def kernel_settings(interface: str) -> tuple[str, ...]:
    """Return none: nothing is borrowed."""
    return ()
