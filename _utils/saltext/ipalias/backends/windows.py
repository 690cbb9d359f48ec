"""Windows: the addresses of the TCP/IP stack's own persistent store; no file is ours.

Two stores hold addresses: the active one, and the persistent one, of which the active one is
made at boot (New-NetIPAddress, ``-PolicyStore``). ``New-NetIPAddress`` without a store writes
both, ``ActiveStore`` the running system alone; ``PersistentStore`` alone it refuses ("Invalid
parameter PolicyStore PersistentStore"), so an alias for the store alone is made in both and
taken out of the active one at once. ``Remove-NetIPAddress`` without a store takes both,
``Set-NetIPAddress`` changes prefix and ``SkipAsSource`` of both, in place.

The store marks nothing as ours: the ledger knows. All of a change is one process. The form
``netsh`` is the alias guide's: a process an address. Both are read by the cmdlets, for netsh
answers in the system's language.

An address added by hand turns DHCP off (New-NetIPAddress, description). So an interface of
DHCP is made static first, as it is, where the pillar says ``convert_dhcp: true``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import EffectError, OwnerError, RefusedError, UnsupportedError
from ..host import Host
from ..live import powershell, powershell_scripts
from ..model import (
    IPV4,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Stored,
    Wanted,
)
from . import windows_netsh as netsh

NAME = "windows"
UNSUPPORTED = {"label": "Windows gives an address no name of its own"}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {"form": ("powershell", "netsh")}
SYSTEMS = ("windows",)
STORED = True
#: What is kept before the first change: a script for ``netsh -f``, and both stores as data.
KEPT = "windows-store.json"
ORIGINALS = {
    "netsh-ipv4.txt": ("netsh", "interface", "ipv4", "dump"),
    KEPT: powershell_scripts.READ,
}
#: Where an address stands that lasts; there is no line.
_PLACE = powershell.PERSISTENT


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether the interface is one of this Windows: it keeps the addresses itself.

    The facts hold the lease where DHCP gives the IPv4 address: the way back needs to know.
    """
    try:
        store = powershell.read(host)
    except EffectError as error:
        return Evidence(NAME, interface, False, 0, (error.text(),))
    if interface not in store.interfaces:
        said = f"Windows {store.version} has no {interface}"
        return Evidence(NAME, interface, False, 0, (said,))
    reasons = [f"Windows {store.version} keeps the addresses itself"]
    facts = {"version": store.version, "dhcp": "no"}
    if store.interfaces[interface].dhcp:
        lease = netsh.lease_of(store, interface)
        facts |= {
            "dhcp": "yes",
            "lease": f"{lease.address}/{lease.prefix}" if lease.address else "",
            "gateway": lease.gateway,
            "dns": ",".join(lease.dns),
        }
        if own := store.interfaces[interface].set_dns:
            facts["set_dns"] = ",".join(own)
        reasons.append(f"its IPv4 address comes from DHCP: {facts['lease'] or 'no lease'}")
    return Evidence(NAME, interface, True, 3, tuple(reasons), None, facts)


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises OwnerError: this Windows cannot be read, or has no such interface.
    """
    evidence = detect(host, interface)
    if not evidence.owns:
        raise OwnerError(f"{NAME}: {'; '.join(evidence.reasons)}", where=interface)
    return evidence


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the persistent store has for the interface.

    :raises EffectError: it cannot be read.
    """
    rows = powershell.read(host).rows(powershell.PERSISTENT, evidence.interface)
    return [Found(_alias(row), _PLACE, ours=None) for row in rows.values()]


def _alias(row: powershell.Row) -> Alias:
    source = SOURCE_NEVER if row.skip else SOURCE_AUTO
    return Alias(row.address, row.prefix, row.interface, source=source)


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return no file; refuse what would switch DHCP off unasked.

    :raises RefusedError: DHCP would go, and the pillar does not say so.
    :raises UnsupportedError: what netsh cannot be told.
    """
    if _form(wanted.options) == "netsh" and netsh.is_index(wanted.interface):
        raise UnsupportedError(
            f"netsh takes the name {wanted.interface!r} for an index",
            where=_key(wanted.interface, "form"),
            way_out="leave `form` out, or rename the connection",
        )
    if wanted.evidence.facts.get("dhcp") != "yes":
        return []
    known = {alias.cidr for alias in wanted.former}
    if unsaved := [alias for alias in wanted.unsaved if alias.family == IPV4]:
        raise RefusedError(
            f"{unsaved[0].cidr} for the running system alone would switch DHCP off for good",
            where=wanted.interface,
            way_out="add it with persist=True, and `convert_dhcp: true` in the pillar",
        )
    if any(alias.family == IPV4 and alias.cidr not in known for alias in wanted.aliases):
        _lease(wanted.evidence, wanted.options)
    return []


def _form(options: Mapping[str, object]) -> str:
    """Return the form to write in; one of another dialect's means nothing here."""
    form = options.get("form")
    return str(form) if form in OPTIONS["form"] else OPTIONS["form"][0]


def _key(interface: str, key: str) -> str:
    return f"ipalias:interfaces:{interface}:{key}"


def _lease(evidence: Evidence, options: Mapping[str, object]) -> netsh.Lease:
    """Return what an interface of DHCP shall keep when it is made static.

    :raises RefusedError: it was not asked for, or what the guide has people type in is not
        to be had.
    """
    interface, facts = evidence.interface, evidence.facts
    named = options.get("dns_servers")
    dns = tuple(map(str, named)) if isinstance(named, tuple) else ()
    dns = dns or tuple(filter(None, facts.get("dns", "").split(",")))
    lease, gateway = facts.get("lease", ""), facts.get("gateway", "")
    if options.get("convert_dhcp") is not True:
        kept = ", ".join(filter(None, (lease, gateway and f"gateway {gateway}", *dns)))
        raise RefusedError(
            "DHCP gives the IPv4 address here, and an address added by hand switches it off",
            where=_key(interface, "convert_dhcp"),
            way_out=f"`convert_dhcp: true` makes it static as it is ({kept or 'no lease'})",
        )
    if not lease or lease.startswith("169.254."):
        raise RefusedError(
            "there is no lease to make static",
            where=_key(interface, "convert_dhcp"),
            way_out="wait for one, or give the interface its address by hand",
        )
    if not dns or any(":" in server for server in dns):
        raise RefusedError(
            f"{'no' if not dns else 'not every'} DNS server is an IPv4 address",
            where=_key(interface, "dns_servers"),
            way_out="list IPv4 addresses; they stand in for those of the lease",
        )
    address, _, prefix = lease.partition("/")
    return netsh.Lease(address, int(prefix), gateway, dns)


def parse_original(text: str, interface: str) -> Stored:
    """Return what the persistent store had of an interface, from what is kept of it.

    :raises EffectError: the text is something else.
    """
    store = powershell.parse(text)
    rows = store.rows(powershell.PERSISTENT, interface)
    aliases = {address: _alias(row) for address, row in rows.items()}
    known = store.interfaces.get(interface)
    if known is None:
        return Stored(aliases)
    return Stored(aliases, known.dhcp, known.set_dns if known.dhcp else ())


def facts_of_static(host: Host, interface: str, address: str) -> dict[str, str]:
    """Return what a static interface must get again if it cannot be given back to DHCP.

    :param address: the one that was a lease's; nothing is returned where it is gone.
    """
    store = powershell.read(host)
    row = store.rows(powershell.PERSISTENT, interface).get(address)
    if row is None or store.interfaces[interface].dhcp:
        return {}
    gateways = [
        gateway.gateway
        for gateway in store.gateways
        if (gateway.store, gateway.interface) == (powershell.PERSISTENT, interface)
        and gateway.family == IPV4
    ]
    servers = (each for each in store.interfaces[interface].dns if ":" not in each)
    return {
        "static": f"{row.address}/{row.prefix}",
        "gateway": gateways[0] if gateways else "",
        "dns": ",".join(servers),
    }


def _static(facts: Mapping[str, str]) -> netsh.Lease:
    """Return what `facts_of_static` said."""
    address, _, prefix = facts["static"].partition("/")
    dns = tuple(filter(None, facts["dns"].split(",")))
    return netsh.Lease(address, int(prefix), facts["gateway"], dns)


def validate(change: Change, host: Host) -> list[Command]:
    """Return nothing: there is no file."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return what the stores still lack of a change, by a look into both.

    :raises EffectError: they cannot be read.
    """
    store = powershell.read(host)
    interface = change.interface
    if interface not in store.interfaces:
        return Activation()
    ops = list(_ops(change, _Stores.of(store, interface)))
    words, names = [op for op, _ in ops], [cidr for _, cidr in ops]
    form = netsh if _form(change.options) == "netsh" else powershell
    up = form.commands(interface, words, names)
    now, facts = store.interfaces[interface].dhcp, change.evidence.facts
    was = facts.get("dhcp") == "yes"
    if change.back and facts.get("static"):
        was_static = _static(facts)
        # Not whether DHCP is on: an address that was added meanwhile has switched it off.
        if was_static.address not in store.rows(powershell.PERSISTENT, interface):
            return Activation(tuple(netsh.static_again(interface, was_static)), tuple(up))
    if change.back or (change.to_dhcp and not now):
        given = facts.get("set_dns", "")
        again = netsh.dhcp_commands(interface, tuple(filter(None, given.split(","))))
        if change.back:
            return Activation(up=(*up, *(again if was and not now else ())))
        note = "DHCP gives the IPv4 address again"
        # It takes every IPv4 address of the interface along: what is left is for `up`.
        left = [(op, cidr) for op, cidr in ops if ":" in cidr]
        words, names = [op for op, _ in left], [cidr for _, cidr in left]
        return Activation(tuple(again), tuple(form.commands(interface, words, names)), note=note)
    if not (now and any(alias.family == IPV4 for alias in change.added)):
        return Activation(up=tuple(up))
    lease = _lease(change.evidence, change.options)
    static = tuple(Command(argv) for argv in netsh.static_argvs(interface, lease))
    kept = f"{lease.address}/{lease.prefix} by {lease.gateway or 'no gateway'}"
    note = f"DHCP is switched off: {kept}, DNS {', '.join(lease.dns)}, is static from now on"
    return Activation(before=static, up=tuple(up), note=note)


@dataclass(frozen=True)
class _Stores:
    """Hold what both stores have of an interface: form by address.

    :param passing: live addresses that nobody has configured: a lease, an advertisement.
    """

    active: dict[str, tuple[int, bool]] = field(default_factory=dict)
    persistent: dict[str, tuple[int, bool]] = field(default_factory=dict)
    passing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, store: powershell.Store, interface: str) -> _Stores:
        active, persistent = (
            {address: row.form for address, row in store.rows(name, interface).items()}
            for name in (powershell.ACTIVE, powershell.PERSISTENT)
        )
        rows = store.rows(powershell.ACTIVE, interface).values()
        passing = frozenset(row.address for row in rows if row.origin != "Manual")
        return cls(active, persistent, passing)

    def gives_way(self, address: str, change: Change) -> bool:
        """Tell whether a live address may be taken away to be made anew in both stores.

        One that came since the plan was made, one of somebody else with another prefix and
        one of the link or of a lease may not: the system then refuses ours.
        """
        if address not in self.active or address in self.passing:
            return False
        cidr = f"{address}/{self.active[address][0]}"
        return cidr in change.live and cidr not in change.foreign_live


def _ops(change: Change, stores: _Stores) -> Iterator[tuple[powershell.Op, str]]:
    """Yield operations with the ``address/prefix`` that each acts on.

    What comes is first, what goes last: a change that is refused has taken nothing away.
    """
    coming = {alias.address for alias in change.added}
    for alias in change.added:
        for op in _coming(alias, change, stores):
            yield op, alias.cidr
    for alias in change.removed:
        if alias.address not in coming:
            for op in _going(alias, change, stores):
                yield op, alias.cidr


def _coming(alias: Alias, change: Change, stores: _Stores) -> Iterator[powershell.Op]:
    """Yield what makes an alias last, and live unless it is for the store alone."""
    address, form = alias.address, (alias.prefix, alias.never_source)
    held, live = stores.persistent.get(address), stores.active.get(address)
    wanted = alias.cidr in change.live_after
    if held == form:
        if wanted and live is None:
            yield powershell.new(address, *form, powershell.ACTIVE)
        elif wanted and live != form:
            yield powershell.set_form(address, *form, powershell.ACTIVE)
        return
    if held is not None and live is not None:
        yield powershell.set_form(address, *form)
        return
    if held is not None:
        yield powershell.remove(address, powershell.PERSISTENT)
    if stores.gives_way(address, change):
        yield powershell.remove(address, powershell.ACTIVE)
    yield powershell.new(address, *form)
    if not wanted and live is None:
        yield powershell.remove(address, powershell.ACTIVE)


def _going(alias: Alias, change: Change, stores: _Stores) -> Iterator[powershell.Op]:
    """Yield what takes an alias out of both stores, or out of the lasting one alone."""
    held, live = stores.persistent.get(alias.address), stores.active.get(alias.address)
    if held is None:
        return
    stays = live is not None and f"{alias.address}/{live[0]}" in change.live_after
    both = live is not None and not stays
    yield powershell.remove(alias.address, powershell.BOTH if both else powershell.PERSISTENT)


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return a restart of the adapter, or of every adapter that is up; `alias` needs none.

    The guide has none. Addresses of the active store alone do not outlive it.
    """
    if scope == "alias":
        return []
    verb = "restart" if scope == "interface" else "restart-all"
    return powershell.commands(evidence.interface, [{"do": verb}])


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: an address has no name of its own."""
    return None
