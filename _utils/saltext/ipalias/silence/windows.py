"""Windows: the VIPs on a loopback adapter, which is on no segment, and the weak host model.

An adapter answers ARP and neighbour solicitations for its own addresses alone, and the
loopback adapter is asked by nobody: so the host is silent without any setting. What it needs
is to take what arrives on the network card for an address of another interface, which it has
refused since Windows Vista and Server 2008 (strong host model, TechNet Magazine 2007.09, "The
Cable Guy"): ``weakhostreceive`` on the card, and both switches on the loopback adapter, as the
DSR guide has them. IPv6 has switches of its own.

Beside the guide: a metric of 254 and no DHCP on the loopback adapter (it would take
169.254.x.x, and a static address is refused while DHCP is on), no registration in DNS, which
would point the server's own name to the VIP, and no duplicate detection for IPv6, for the
balancer has the address.

Windows 2003 has the weak model for good, and no PowerShell that could be asked: docs/dsr.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..dsr import DsrConfig
from ..errors import InputError, UnsupportedError
from ..host import Host
from ..live import Snapshot, is_loopback
from ..live import windows_settings as windows
from ..model import Command
from . import Values, Wish, receiving

#: Name of the adapter that is made where the pillar names none.
LOOPBACK = "IpaliasLoopback"
METRIC = "254"
#: Our one firewall rule.
RULE = "ipalias-dsr"
_ON = windows.ENABLED
#: What the name of an interface means to a cmdlet that takes wildcards.
_WILD = frozenset("[]`")


def loopback(config: DsrConfig, snapshot: Snapshot) -> str:
    """Return the name of the loopback adapter, which may still be to be made.

    :raises InputError: the pillar names the host's own loop, which takes no weak host model.
    """
    name = config.loopback or LOOPBACK
    if is_loopback(name):
        raise InputError(
            f"{name} is the host's own loop and not a loopback adapter",
            where=f"{config.where}:loopback",
            way_out=f"leave it out: an adapter is made and called {LOOPBACK}",
        )
    return name


def prepare(config: DsrConfig, host: Host, snapshot: Snapshot) -> Sequence[Command]:
    """Return what makes the adapter and lets the traffic in, where either is missing.

    :raises InputError: the name belongs to a network card, or our adapter has another name.
    :raises UnsupportedError: a name that the firewall would take for a pattern.
    """
    held = windows.read(host)
    name = loopback(config, snapshot)
    ops: list[windows.Op] = []
    if _is_missing(config, held, snapshot, name):
        ops.append(windows.install(name))
    rule = _rule(config, snapshot, held, name)
    if held.rules is not None and config.firewall:
        _refuse_patterns(rule, config)
        if rule not in held.rules:
            ops.append(windows.allow(rule))
    elif held.rules and any(each.name == RULE for each in held.rules):
        ops.append(windows.disallow(RULE))
    return [windows.command(ops)] if ops else []


def _is_missing(config: DsrConfig, held: windows.Held, snapshot: Snapshot, name: str) -> bool:
    """Tell whether the adapter is still to be made, or to be named where that was cut off."""
    adapter, ours = held.adapter(name), held.our_adapter
    where = f"{config.where}:loopback"
    if adapter is not None and not adapter.is_loopback:
        raise InputError(
            f"{name} is {adapter.hardware or 'no adapter of that kind'}, and no loopback adapter:"
            " it would answer for the VIPs",
            where=where,
            way_out="give the name of a loopback adapter, or one that nothing has yet",
        )
    carried = [a for a in snapshot.on(ours.name) if a.scope != "link"] if ours is not None else []
    if adapter is None and ours is not None and carried:
        raise InputError(
            f"our loopback adapter is called {ours.name}, not {name}, and has VIPs",
            where=where,
            way_out=f"call it {name} again (`Rename-NetAdapter`), or take the VIPs away first "
            "(`ipalias_dsr.absent`), which takes it away too",
        )
    return adapter is None


def _rule(config: DsrConfig, snapshot: Snapshot, held: windows.Held, name: str) -> windows.Rule:
    """Return the rule that lets in what is for a VIP.

    By the loopback adapter's name, as the guide has it, and by those of the cards: which of
    the two Windows holds a packet against that comes in by one and is for the other is
    documented nowhere.
    """
    ours = {held.our_adapter.name} if held.our_adapter is not None else set()
    interfaces = sorted({name, *receiving(config, snapshot, name)} - (ours - {name}))
    return windows.Rule(RULE, tuple(sorted(config.addresses)), tuple(interfaces), True)


def _refuse_patterns(rule: windows.Rule, config: DsrConfig) -> None:
    for interface in rule.interfaces:
        if _WILD & set(interface):
            raise UnsupportedError(
                f"the firewall takes the name {interface!r} for a pattern",
                where=f"{config.where}:firewall",
                way_out="rename the connection, list others under `interfaces`, or `firewall: "
                "false` and a rule by hand",
            )


def clear(host: Host) -> Sequence[Command]:
    """Return what takes our rule and our adapter away; an adapter of others stays."""
    held = windows.read(host)
    ops: list[windows.Op] = []
    if any(rule.name == RULE for rule in held.rules or ()):
        ops.append(windows.disallow(RULE))
    if held.our_adapter is not None:
        ops.append(windows.uninstall())
    return [windows.command(ops)] if ops else []


def _kinds(config: DsrConfig) -> list[str]:
    return [f"ipv{family}" for family in sorted(config.families)]


def _on_loopback(config: DsrConfig, name: str) -> Iterator[Wish]:
    """Yield the settings of the loopback adapter; those of IPv4 that no VIP needs stay out."""
    if 4 in config.families:
        yield f"ipv4/{name}/dhcp", windows.DISABLED
    for kind in _kinds(config):
        yield f"{kind}/{name}/metric", METRIC
        yield f"{kind}/{name}/weakhostreceive", _ON
        yield f"{kind}/{name}/weakhostsend", _ON
    if 6 in config.families:
        yield f"ipv6/{name}/dadtransmits", "0"
    yield f"dns/{name}/{windows.REGISTRATION}", windows.DISABLED


def keys(config: DsrConfig, snapshot: Snapshot) -> Sequence[str]:
    """Return the keys of the loopback adapter and of each receiving card."""
    name = loopback(config, snapshot)
    cards = receiving(config, snapshot, name)
    found = [f"{kind}/{card}/weakhostreceive" for card in cards for kind in _kinds(config)]
    return [*found, *(key for key, _ in _on_loopback(config, name))]


def wishes(config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
    """Return the weak host model of the cards, then all of the loopback adapter's settings."""
    name = loopback(config, snapshot)
    own = dict(_on_loopback(config, name))
    wished = [
        (key, _ON)
        for key in keys(config, snapshot)
        # A card without IPv6 has no such setting; `remarks` says so.
        if key not in own and values.get(key) is not None
    ]
    return [*wished, *own.items()]


def faults(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Return nothing: no setting makes a card answer for an address of another adapter."""
    return []


def remarks(config: DsrConfig, host: Host, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell what would drop the traffic: a card without the protocol or the weak model, a wall."""
    name = loopback(config, snapshot)
    held = windows.read(host)
    said = []
    for card in receiving(config, snapshot, name):
        for kind in _kinds(config):
            value = values.get(f"{kind}/{card}/weakhostreceive")
            if value is None:
                said.append(f"{card} has no {kind}: what it receives for a VIP is dropped")
            elif value != _ON:
                said.append(
                    f"{card}: weakhostreceive of {kind} is {value}: what arrives there for an "
                    "address of the loopback adapter is dropped"
                )
    if held.rules is not None and _rule(config, snapshot, held, name) not in held.rules:
        said.append(f"no firewall rule {RULE} lets the traffic for the VIPs in")
    return said
