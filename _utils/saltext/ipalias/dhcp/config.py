"""Read the block ``ipalias:dhcp``, refusing what cannot be meant.

One block is for both servers: which of its members a host is, `find_member` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface, ip_network

from ..errors import InputError
from ..values import (
    choice,
    mapping,
    parse_bool,
    parse_duration,
    parse_interface,
    parse_share,
    refuse_unknown,
    sequence,
    short,
    span,
)
from .bounds import CUT, KILL, dangers, takeover_bound
from .config_pair import ID, parse_kea, parse_pair, refuse_database_of_one
from .config_subnets import parse_subnets
from .model import HOT_STANDBY, IMPLEMENTATIONS, KEA, DhcpConfig, Limits, Member, PartnerDown
from .profiles import GUIDE, PROFILES, SHORT

ROOT = "ipalias:dhcp"
DHCP_KEYS = (
    "implementation",
    "profile",
    "pair",
    "kea",
    "interfaces",
    "authoritative",
    "ddns_update_style",
    "whole",
    "firewall",
    "ping_timeout",
    "subnets",
    "limits",
    "partner_down",
    "within",
)
LIMIT_KEYS = ("skew", "silence", "used", "balance", "drill")
PARTNER_DOWN_KEYS = ("after", "witness")
#: dhcpd.conf(5), "ddns-update-style"; ``ad-hoc`` is gone since 4.3.
DDNS_STYLES = ("none", "interim", "standard")
#: A reaction that is quicker than this declares a server dead that is being restarted.
_SOONEST = 30.0


def parse_dhcp(data: object, root: str = ROOT) -> DhcpConfig:
    """Read the block ``dhcp`` of the pillar.

    :param data: the block as Salt gives it.
    :param root: pillar path it was found at, for messages.
    :raises InputError: an unknown key, a value of the wrong kind or that contradicts another
        one, a pair that is none, a pool that cannot be.
    """
    top = mapping(data, root)
    refuse_unknown(top, DHCP_KEYS, root)
    if not top:
        raise InputError(
            "this minion's pillar describes no pair",
            where=root,
            way_out="give the block to both members, then `saltutil.refresh_pillar`",
        )
    for key in ("implementation", "pair", "interfaces", "subnets"):
        if top.get(key) is None:
            raise InputError(f"`{key}` is missing", where=root)
    implementation = choice(top["implementation"], IMPLEMENTATIONS, f"{root}:implementation")
    profile = choice(top.get("profile", GUIDE), PROFILES, f"{root}:profile")
    numbers = PROFILES[profile]
    kea = parse_kea(top.get("kea"), numbers, f"{root}:kea")
    if top.get("kea") is not None and implementation != KEA:
        raise InputError(
            "`kea` is for `implementation: kea`", where=f"{root}:kea", way_out="leave it out"
        )
    pair = parse_pair(top["pair"], numbers, kea, f"{root}:pair")
    refuse_database_of_one(pair, f"{root}:kea:lease_database")
    config = DhcpConfig(
        implementation=implementation,
        pair=pair,
        interfaces=_interfaces(top["interfaces"], f"{root}:interfaces"),
        subnets=parse_subnets(top["subnets"], pair, f"{root}:subnets"),
        authoritative=parse_bool(top.get("authoritative", True), f"{root}:authoritative"),
        ddns_update_style=choice(
            top.get("ddns_update_style", "none"), DDNS_STYLES, f"{root}:ddns_update_style"
        ),
        whole=parse_bool(top.get("whole", implementation == KEA), f"{root}:whole"),
        firewall=parse_bool(top.get("firewall", False), f"{root}:firewall"),
        ping_timeout=parse_duration(
            top.get("ping_timeout", DhcpConfig.ping_timeout), f"{root}:ping_timeout", 0.0, 10.0
        ),
        profile=profile,
        limits=_limits(top.get("limits"), f"{root}:limits"),
        partner_down=_partner_down(top.get("partner_down"), f"{root}:partner_down"),
        where=root,
    )
    _refuse_in_kea(config)
    _refuse_undeclared(config)
    _refuse_slow(config, top.get("within"), f"{root}:within")
    return config


def _interfaces(value: object, where: str) -> tuple[str, ...]:
    """Read on which interfaces clients are answered."""
    found: list[str] = []
    for index, item in enumerate(sequence(value, where)):
        path = f"{where}[{index}]"
        name = parse_interface(item, path)
        if name == "default":
            raise InputError("`default` is no interface", where=path, way_out="name it")
        if name in found:
            raise InputError(f"{name} is listed twice", where=path)
        found.append(name)
    if not found:
        raise InputError(
            "no interface is listed", where=where, way_out="name those that clients are on"
        )
    return tuple(found)


def _limits(value: object, where: str) -> Limits:
    """Read from when on the beacon speaks."""
    block = mapping(value, where)
    refuse_unknown(block, LIMIT_KEYS, where)
    base = Limits()

    def within(key: str, least: float, most: float) -> float:
        return parse_duration(block.get(key, getattr(base, key)), f"{where}:{key}", least, most)

    return Limits(
        skew=within("skew", 0.1, 3600.0),
        silence=within("silence", 0.5, 3600.0),
        used=parse_share(block.get("used", base.used), f"{where}:used"),
        balance=parse_share(block.get("balance", base.balance), f"{where}:balance"),
        drill=_days(block.get("drill", base.drill), f"{where}:drill"),
    )


def _days(value: object, where: str) -> float:
    """Read a span that may be given in days, ``92d``."""
    if isinstance(value, str) and value.endswith("d") and value[:-1].isascii():
        digits = value[:-1].strip()
        if digits.isdigit() and len(digits) < 5:
            value = int(digits) * 86400
    return parse_duration(value, where, 3600.0, 4000 * 86400.0)


def _partner_down(value: object, where: str) -> PartnerDown:
    """Read when a reaction may declare the peer dead."""
    block = mapping(value, where)
    refuse_unknown(block, PARTNER_DOWN_KEYS, where)
    after = parse_duration(block.get("after", 0), f"{where}:after", 0.0, 7 * 86400.0)
    witness = block.get("witness", "")
    if witness != "" and (not isinstance(witness, str) or not ID.fullmatch(witness)):
        raise InputError(f"{short(witness)} is not a minion id", where=f"{where}:witness")
    if after and after < _SOONEST:
        raise InputError(
            f"{span(after)} is shorter than a restart of the peer may take",
            where=f"{where}:after",
            way_out=f"give {span(_SOONEST)} or more, or 0: never",
        )
    if bool(after) != bool(witness):
        raise InputError(
            "the peer is declared dead only where two places find it so for a time",
            where=where,
            way_out="give both `after` and `witness`, the minion id of the second place",
        )
    return PartnerDown(after, str(witness))


def _refuse_in_kea(config: DhcpConfig) -> None:
    """Refuse what Kea has not."""
    if config.implementation != KEA:
        return
    if not config.whole:
        raise InputError(
            "kea-dhcp4 reads one file, which is written whole",
            where=f"{config.where}:whole",
            way_out="leave `whole` out",
        )
    if config.ddns_update_style != "none":
        raise InputError(
            "Kea leaves updates of DNS to a daemon of its own, kea-dhcp-ddns",
            where=f"{config.where}:ddns_update_style",
            way_out="write none",
        )


def _refuse_undeclared(config: DhcpConfig) -> None:
    """Refuse a member on a network that no subnet declares, and a pair without a pool."""
    networks = [IPv4Network(subnet.network) for subnet in config.subnets]
    for member in config.pair.members:
        if not any(IPv4Address(member.address) in network for network in networks):
            raise InputError(
                f"{member.address} is in none of the subnets declared",
                where=f"{config.pair.where}:members:{member.name}:address",
                way_out="take the address the peer reaches this server at, and declare its "
                "network, without `ranges` where no client is on it",
            )
    if not any(subnet.ranges for subnet in config.subnets):
        raise InputError(
            "no subnet has a range, so the pair shares nothing", where=f"{config.where}:subnets"
        )


def _refuse_slow(config: DhcpConfig, value: object, where: str) -> None:
    """Refuse numbers that cannot keep what the operator wants of a takeover."""
    if value is None:
        return
    within = parse_duration(value, where, 1.0, 86400.0)
    way_out = "shorten these, or allow more"
    if config.profile != SHORT:
        way_out = "shorten these, or take `profile: short`"
    kea = config.pair.kea
    if config.implementation == KEA and kea.mode == HOT_STANDBY and not dangers(config):
        # It stands in no pillar, unless somebody has written it there.
        way_out += (
            "; `kea:max_ack_delay` is by default as long as a standby needs to leave a living "
            "primary alone: a shorter one is taken, and told of with each run"
        )
    for kind in (KILL, CUT):
        bound = takeover_bound(config, kind)
        if bound.seconds > within:
            raise InputError(
                f"after a {kind} a client may wait {span(round(bound.seconds, 3))}, "
                f"not {span(within)}: {'; '.join(bound.why)}",
                where=where,
                way_out=way_out,
            )


def find_member(config: DhcpConfig, minion_id: str, addresses: Collection[str]) -> Member:
    """Return which member a host is: by its minion id, else by its addresses.

    :param addresses: the host's own, without prefix lengths.
    :raises InputError: neither tells; the addresses of both are on this host.
    """
    for member in config.pair.members:
        if member.name == minion_id:
            return member
    found = [member for member in config.pair.members if member.address in addresses]
    where = f"{config.pair.where}:members"
    listed = ", ".join(f"{member.name} ({member.address})" for member in config.pair.members)
    if not found:
        raise InputError(
            f"this host, {short(minion_id)}, is neither of {listed}",
            where=where,
            way_out="target the two members alone, or name them by minion id or by address",
        )
    if len(found) > 1:
        raise InputError(f"both are this host: {listed}", where=where)
    return found[0]


def refuse_misplaced(
    config: DhcpConfig, me: Member, addresses: Mapping[str, Sequence[str]]
) -> None:
    """Refuse what this host's interfaces contradict.

    :param addresses: interface → its addresses, with prefix lengths.
    :raises InputError: an interface that there is not, or whose networks no subnet declares;
        an address of this member that the host has not, the peer's that it has; an address of
        this host inside a pool.
    """
    for index, name in enumerate(config.interfaces):
        _refuse_interface(config, name, addresses, f"{config.where}:interfaces[{index}]")
    own = {str(ip_interface(text).ip) for listed in addresses.values() for text in listed}
    peer = config.pair.peer_of(me)
    members = f"{config.pair.where}:members"
    if me.address not in own and peer.address in own:
        # To add it, as is said else, would be to have it twice on the segment.
        raise InputError(
            f"this host is {me.name} by its minion id, and {peer.name} by its address "
            f"{peer.address}",
            where=members,
            way_out="give each minion an id of its own, or exchange the two addresses here",
        )
    if me.address not in own:
        raise InputError(
            f"{me.address} is not an address of this host",
            where=f"{members}:{me.name}:address",
            way_out="add it first; interfaces of the pillar can do it",
        )
    if peer.address in own:
        raise InputError(
            f"{peer.address}, the peer's, is an address of this host",
            where=f"{members}:{peer.name}:address",
        )
    for subnet in config.subnets:
        for index, pool in enumerate(subnet.ranges):
            for text in sorted(own):
                if ip_address(text).version == 4 and in_pool(text, pool.first, pool.last):
                    raise InputError(
                        f"{text}, an address of this host, is in the pool",
                        where=f"{subnet.where}:ranges[{index}]",
                        way_out="leave it out of the pool",
                    )


def in_pool(address: str, first: str, last: str) -> bool:
    """Tell whether an address lies between two others, or is one of them."""
    return IPv4Address(first) <= IPv4Address(address) <= IPv4Address(last)


def _refuse_interface(
    config: DhcpConfig, name: str, addresses: Mapping[str, Sequence[str]], where: str
) -> None:
    """Refuse an interface that is not there, or that dhcpd would not listen on."""
    if name not in addresses:
        raise InputError(
            f"there is no interface {name}",
            where=where,
            way_out=f"this host has {', '.join(sorted(addresses)) or 'none'}",
        )
    declared = [ip_network(subnet.network) for subnet in config.subnets]
    own = [ip_interface(text) for text in addresses[name]]
    if not any(address.ip in network for address in own for network in declared):
        shown = ", ".join(str(address) for address in own) or "none"
        raise InputError(
            f"no subnet declares a network of {name} (its addresses: {shown})",
            where=where,
            way_out="declare it in `subnets`, or leave the interface out",
        )


def refuse_taken(me: Member, listening: Mapping[tuple[str, int], str], where: str) -> None:
    """Refuse a port for the peer that another program listens on.

    :param listening: address and port → program, of all but the DHCP server itself.
    :param where: pillar path of the members.
    :raises InputError: naming the program.
    """
    for address in (me.address, "0.0.0.0", "::"):
        program = listening.get((address, me.port))
        if program is not None:
            raise InputError(
                f"{program or 'a program'} listens on {address} port {me.port} already",
                where=f"{where}:{me.name}:port",
                way_out="stop it, or give another port",
            )
