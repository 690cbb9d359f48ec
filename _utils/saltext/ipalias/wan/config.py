"""Read the block ``ipalias:wan``, refusing what cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network

from ..addresses import parse_host, parse_network
from ..errors import InputError
from ..model import IPV4, IPV6
from ..values import (
    Mixed,
    choice,
    mapping,
    parse_duration,
    parse_int,
    parse_interface,
    refuse_unknown,
    sequence,
    short,
)
from .bounds import refuse_contradictions
from .config_probe import Settings, parse_probe, parse_within, read_settings
from .config_targets import parse_targets
from .model import (
    ANY,
    ARP,
    BALANCE,
    EVENT,
    LOCAL,
    NAME,
    POLICIES,
    REACT,
    REQUIRE,
    TIER,
    Line,
    Nat,
    Numbers,
    Uplink,
    WanConfig,
    Way,
)

ROOT = "ipalias:wan"
WAN_KEYS = (
    "uplinks",
    "policy",
    "require",
    "probe",
    "nat",
    "react",
    "react_timeout",
    "failback",
    "numbers",
    "lan",
)
UPLINK_KEYS = (
    "interface",
    "gateway",
    "gateway6",
    "source",
    "source6",
    "weight",
    "tier",
    "targets",
    "require",
    "probe",
)
NAT_KEYS = ("networks", "prefixes")
NUMBER_KEYS = ("mark_shift", "mark_bits", "table", "priority", "protocol", "nexthop")
FAILBACK = ("keep", "flush")
#: rtnetlink(7): tables the kernel fills itself; protocols below 5 are its own and `ip`'s.
_KERNEL_TABLES = range(253, 256)
#: ip-rule(8): the rule that looks into the main table.
_MAIN_RULE = 32766


def parse_wan(data: object, root: str = ROOT, system: str = "linux") -> WanConfig:
    """Read the block ``wan`` of the pillar.

    :param data: the block as Salt gives it; None counts as empty.
    :param root: pillar path it was found at, for messages.
    :param system: the host's (`host.SYSTEMS`); it decides what an interface can be called.
    :raises InputError: an unknown key, a value of the wrong kind or that contradicts another
        one, one gateway twice, a target that says nothing of its line.
    """
    top = mapping(data, root)
    refuse_unknown(top, WAN_KEYS, root)
    policy = choice(top.get("policy", BALANCE), POLICIES, f"{root}:policy")
    settings = read_settings(top.get("probe"), f"{root}:probe")
    parse_probe(settings)
    require = choice(top.get("require", ANY), REQUIRE, f"{root}:require")
    uplinks: list[Uplink] = []
    for name, value in mapping(top.get("uplinks"), f"{root}:uplinks").items():
        where = f"{root}:uplinks:{name}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(
                f"{short(name)} is not a name for an uplink",
                where=f"{root}:uplinks",
                way_out="a letter, then up to 19 letters, digits, `_` or `-`",
            )
        block = mapping(value, where)
        refuse_unknown(block, UPLINK_KEYS, where)
        index = len(uplinks) + 1
        tier = index if policy == TIER else 1
        uplinks.append(_uplink(name, index, tier, block, settings, require, where, system))
    numbers = _numbers(top.get("numbers"), len(uplinks), f"{root}:numbers")
    lan = tuple(
        parse_interface(item, f"{root}:lan[{index}]", system)
        for index, item in enumerate(sequence(top.get("lan"), f"{root}:lan"))
    )
    config = WanConfig(
        uplinks=tuple(uplinks),
        policy=policy,
        react=choice(top.get("react", LOCAL), REACT, f"{root}:react"),
        react_timeout=_react_timeout(top, root),
        failback=choice(top.get("failback", "keep"), FAILBACK, f"{root}:failback"),
        nat=_nat(top.get("nat"), [uplink.name for uplink in uplinks], f"{root}:nat"),
        numbers=numbers,
        lan=lan,
        where=root,
    )
    _refuse_shared(config)
    return config


def _uplink(
    name: str,
    index: int,
    tier: int,
    block: Mixed,
    settings: Settings,
    require: str,
    where: str,
    system: str,
) -> Uplink:
    """Read one uplink."""
    if "interface" not in block:
        raise InputError("`interface` is missing", where=where)
    interface = parse_interface(block["interface"], f"{where}:interface", system)
    if interface == "default":
        raise InputError(
            "`default` is what an uplink makes, not where it is",
            where=f"{where}:interface",
            way_out="give the interface's name",
        )
    gateways: dict[int, str] = {}
    sources: dict[int, str] = {}
    for family, ending in ((IPV4, ""), (IPV6, "6")):
        for key, into in ((f"gateway{ending}", gateways), (f"source{ending}", sources)):
            if block.get(key) is None:
                continue
            address, found = parse_host(block[key], f"{where}:{key}")
            if found != family:
                raise InputError(f"{address} is not IPv{family}", where=f"{where}:{key}")
            into[family] = address
        if family in sources and sources[family] == gateways.get(family):
            raise InputError("source and gateway are the same", where=f"{where}:source{ending}")
        if family in sources and family not in gateways:
            raise InputError(f"a source without `gateway{ending}`", where=f"{where}:source{ending}")
    if not gateways:
        raise InputError("`gateway` is missing", where=where, way_out="give one, or `gateway6`")
    targets = parse_targets(block.get("targets"), gateways, f"{where}:targets")
    ways = tuple(
        Way(Line(name, family), interface, gateway, sources.get(family, ""), tuple(targets[family]))
        for family, gateway in gateways.items()
    )
    settings = read_settings(block.get("probe"), f"{where}:probe", settings)
    uplink = Uplink(
        name,
        index,
        interface,
        ways,
        weight=parse_int(block.get("weight", 1), f"{where}:weight", 1, 255),
        tier=parse_int(block.get("tier", tier), f"{where}:tier", 1, 1000),
        require=choice(block.get("require", require), REQUIRE, f"{where}:require"),
        probe=parse_probe(settings),
        where=where,
    )
    refuse_contradictions(uplink, *parse_within(settings))
    return uplink


def _react_timeout(top: Mixed, root: str) -> float:
    """Read after how long the monitor acts itself."""
    where = f"{root}:react_timeout"
    if "react_timeout" in top and top.get("react", LOCAL) != EVENT:
        raise InputError(
            "`react_timeout` is how long a reaction is waited for, and nobody is waited for",
            where=where,
            way_out="write `react: event`, or leave it out",
        )
    return parse_duration(top.get("react_timeout", 5.0), where, 0.5, 3600.0)


def _nat(value: object, uplinks: Sequence[str], where: str) -> Nat:
    """Read whose traffic leaves with an uplink's address."""
    block = mapping(value, where)
    refuse_unknown(block, NAT_KEYS, where)
    networks: dict[int, list[str]] = {IPV4: [], IPV6: []}
    for index, item in enumerate(sequence(block.get("networks"), f"{where}:networks")):
        network, family = parse_network(item, f"{where}:networks[{index}]")
        networks[family].append(network)
    prefixes: dict[str, str] = {}
    for name, item in mapping(block.get("prefixes"), f"{where}:prefixes").items():
        path = f"{where}:prefixes:{name}"
        if name not in uplinks:
            raise InputError(
                f"there is no uplink {short(name)}",
                where=path,
                way_out=f"one of {', '.join(uplinks)}",
            )
        prefix, family = parse_network(item, path)
        if family != IPV6:
            raise InputError(f"{prefix} is not IPv6", where=path)
        for network in networks[IPV6]:
            if ip_network(network).prefixlen != ip_network(prefix).prefixlen:
                raise InputError(
                    f"{network} and {prefix} are not of one length",
                    where=path,
                    way_out="a prefix is mapped to one of its own length (RFC 6296)",
                )
        prefixes[str(name)] = prefix
    if prefixes and not networks[IPV6]:
        raise InputError(
            "prefixes without an IPv6 network that is mapped to them",
            where=f"{where}:prefixes",
            way_out="add the network behind this host to `networks`",
        )
    return Nat(tuple(networks[IPV4]), tuple(networks[IPV6]), prefixes)


def _numbers(value: object, uplinks: int, where: str) -> Numbers:
    """Read what is claimed of the kernel's number spaces."""
    block = mapping(value, where)
    refuse_unknown(block, NUMBER_KEYS, where)
    base = Numbers()
    last = max(uplinks, 1)
    limits = {
        "mark_shift": (0, 31),
        "mark_bits": (1, 32),
        "table": (1, 2**31 - last),
        "priority": (1, _MAIN_RULE - 1),
        "protocol": (5, 255),
        "nexthop": (1, 2**31 - 4096),
    }
    said = {
        key: parse_int(block.get(key, getattr(base, key)), f"{where}:{key}", *limit)
        for key, limit in limits.items()
    }
    numbers = Numbers(**said)
    if numbers.mark_shift + numbers.mark_bits > 32:
        raise InputError("a mark has 32 bits", where=where, way_out="lower shift or bits")
    if uplinks >= 1 << numbers.mark_bits:
        raise InputError(
            f"{uplinks} uplinks do not fit into {numbers.mark_bits} bits of a mark",
            where=f"{where}:mark_bits",
            way_out="give it more bits",
        )
    ours = {numbers.default_table, *range(numbers.table, numbers.table + last)}
    if not ours.isdisjoint(_KERNEL_TABLES):
        raise InputError(
            "tables 253 to 255 are the kernel's own", where=f"{where}:table", way_out="take others"
        )
    if numbers.priority + 4 * last >= _MAIN_RULE:
        raise InputError(
            f"rules from priority {numbers.priority} on come too late: the main table is asked "
            f"at {_MAIN_RULE}",
            where=f"{where}:priority",
            way_out="take a smaller one",
        )
    return numbers


def _refuse_shared(config: WanConfig) -> None:
    """Refuse what two uplinks cannot share, and targets that say nothing of their line."""
    gateways: dict[tuple[str, str], Uplink] = {}
    for uplink, way in config.ways():
        local = ip_address(way.gateway).is_link_local
        key = (way.gateway, way.interface if local else "")
        first = gateways.setdefault(key, uplink)
        if first is not uplink:
            raise InputError(
                f"gateway {way.gateway} is that of {first.name} already",
                where=uplink.where,
                way_out="an uplink has a gateway of its own",
            )
        if uplink.interface in config.lan:
            raise InputError(
                f"{uplink.interface} is an uplink's and cannot be `lan`",
                where=f"{config.where}:lan[{config.lan.index(uplink.interface)}]",
            )
    for uplink, way in config.ways():
        for target in way.targets:
            if target.kind == ARP:
                continue
            other = gateways.get((target.host, ""))
            if other is not None and other is not uplink:
                raise InputError(
                    f"target {target.text()} is the gateway of {other.name}",
                    where=target.where,
                    way_out=f"take an address that is reached through {uplink.name}",
                )
            for network in (*config.nat.networks, *config.nat.networks6):
                _refuse_inside(target.host, network, "`nat:networks`", target.where)


def _refuse_inside(host: str, network: str, owner: str, where: str) -> None:
    """Refuse a target that lies in a network behind this host; a name is no address."""
    try:
        inside = ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return
    if inside:
        raise InputError(
            f"target {host} lies inside {network} ({owner})",
            where=where,
            way_out="take an address beyond the uplink's gateway",
        )


def refuse_misplaced(
    config: WanConfig,
    addresses: Mapping[str, Sequence[str]],
    onlink: Mapping[str, Sequence[str]],
) -> None:
    """Refuse what this host's interfaces contradict.

    :param addresses: interface → its addresses, with prefix lengths.
    :param onlink: interface → networks reached over it without a router, beside those of its
        addresses: routes of scope link, the other end of a point-to-point link.
    :raises InputError: an interface that there is not, a gateway that is not on its link, a
        source that is not the interface's, a target that is the host itself or in its LAN.
    """
    mine = {str(ip_interface(text).ip) for listed in addresses.values() for text in listed}
    for name in config.lan:
        _refuse_absent(name, addresses, f"{config.where}:lan")
    for uplink, way in config.ways():
        ending = "" if way.line.family == IPV4 else "6"
        _refuse_absent(uplink.interface, addresses, f"{uplink.where}:interface")
        own = [ip_interface(text) for text in addresses[uplink.interface]]
        networks = [
            *(address.network for address in own),
            *(ip_network(text, strict=False) for text in onlink.get(uplink.interface, ())),
        ]
        gateway = ip_address(way.gateway)
        if way.gateway in mine:
            raise InputError(
                f"gateway {way.gateway} is an address of this host",
                where=f"{uplink.where}:gateway{ending}",
            )
        if not gateway.is_link_local and not any(gateway in network for network in networks):
            shown = ", ".join(str(network) for network in networks) or "none"
            raise InputError(
                f"gateway {way.gateway} is not on the link of {uplink.interface} "
                f"(its networks: {shown})",
                where=f"{uplink.where}:gateway{ending}",
                way_out="give the gateway of this link, or a route of scope link to it first",
            )
        if way.source and way.source not in {str(address.ip) for address in own}:
            raise InputError(
                f"{way.source} is not an address of {uplink.interface}",
                where=f"{uplink.where}:source{ending}",
                way_out="add it first, or leave the source out",
            )
        for target in way.targets:
            if target.host in mine:
                raise InputError(f"target {target.host} is this host", where=target.where)
            for name in config.lan:
                for text in addresses[name]:
                    _refuse_inside(target.host, text, name, target.where)


def _refuse_absent(interface: str, addresses: Mapping[str, Sequence[str]], where: str) -> None:
    """Refuse an interface that the host does not have."""
    if interface not in addresses:
        raise InputError(
            f"there is no interface {interface}",
            where=where,
            way_out=f"this host has {', '.join(sorted(addresses)) or 'none'}",
        )
