"""Read the subnets: what is given out on which network, and to whom for good."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from ..addresses import parse_network
from ..errors import InputError
from ..model import IPV4
from ..values import Mixed, mapping, parse_int, refuse_unknown, sequence, short, span
from .model import Pair, Range, Reservation, Subnet
from .options import is_domain, parse_domain, parse_ipv4, parse_option

SUBNET_KEYS = (
    "subnet",
    "ranges",
    "routers",
    "domain_name_servers",
    "domain_name",
    "default_lease_time",
    "max_lease_time",
    "options",
    "reservations",
)
RANGE_KEYS = ("first", "last")
RESERVATION_KEYS = ("mac", "address", "hostname")
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2}){5}")
#: Addresses in one pool; more is a slip of the pen.
_MOST = 1 << 16
_LONGEST_LEASE = 366 * 86400


def parse_subnets(value: object, pair: Pair, where: str) -> tuple[Subnet, ...]:
    """Read the subnets.

    :raises InputError: no IPv4 network, one inside another, a pool outside its subnet or over
        another one, an address in a pool that is someone's, lease times out of order.
    """
    subnets: list[Subnet] = []
    for index, item in enumerate(sequence(value, where)):
        subnet = _subnet(mapping(item, f"{where}[{index}]"), pair, f"{where}[{index}]")
        for other in subnets:
            if IPv4Network(other.network).overlaps(IPv4Network(subnet.network)):
                raise InputError(
                    f"{subnet.network} overlaps {other.network}", where=f"{subnet.where}:subnet"
                )
        subnets.append(subnet)
    _refuse_twice(subnets, pair)
    return tuple(subnets)


def _subnet(block: Mixed, pair: Pair, where: str) -> Subnet:
    """Read one subnet."""
    refuse_unknown(block, SUBNET_KEYS, where)
    if block.get("subnet") is None:
        raise InputError("`subnet` is missing", where=where, way_out="such as 192.0.2.0/24")
    text, family = parse_network(block["subnet"], f"{where}:subnet")
    if family != IPV4 or not 8 <= IPv4Network(text).prefixlen <= 30:
        raise InputError(
            f"{text} is not an IPv4 network of prefix length 8 to 30", where=f"{where}:subnet"
        )
    domain = block.get("domain_name", "")
    default = parse_int(
        block.get("default_lease_time", 600), f"{where}:default_lease_time", 60, _LONGEST_LEASE
    )
    longest = parse_int(
        block.get("max_lease_time", max(7200, default)),
        f"{where}:max_lease_time",
        60,
        _LONGEST_LEASE,
    )
    if default > longest:
        raise InputError(
            f"`default_lease_time` {span(default)} is longer than `max_lease_time` {span(longest)}",
            where=f"{where}:default_lease_time",
            way_out="lengthen the second or shorten the first",
        )
    subnet = Subnet(
        network=text,
        ranges=_ranges(block.get("ranges"), IPv4Network(text), f"{where}:ranges"),
        routers=_listed(block.get("routers"), f"{where}:routers"),
        domain_name_servers=_listed(
            block.get("domain_name_servers"), f"{where}:domain_name_servers"
        ),
        domain_name=parse_domain(domain, f"{where}:domain_name") if domain != "" else "",
        default_lease_time=default,
        max_lease_time=longest,
        options=tuple(
            parse_option(name, item, f"{where}:options:{_word(name)}")
            for name, item in mapping(block.get("options"), f"{where}:options").items()
        ),
        reservations=tuple(
            _reservation(item, IPv4Network(text), f"{where}:reservations[{index}]")
            for index, item in enumerate(
                sequence(block.get("reservations"), f"{where}:reservations")
            )
        ),
        where=where,
    )
    for index, router in enumerate(subnet.routers):
        if IPv4Address(router) not in IPv4Network(text):
            raise InputError(
                f"router {router} is not on {text}, so its clients cannot reach it",
                where=f"{where}:routers[{index}]",
            )
    _refuse_in_pool(subnet, pair)
    return subnet


def _word(key: object) -> str:
    """Return a key for a path; what is none is shown in short."""
    plain = isinstance(key, str) and key.isprintable() and len(key) < 64
    return str(key) if plain else short(key)


def _listed(value: object, where: str) -> tuple[str, ...]:
    """Read a list of addresses."""
    items = [value] if isinstance(value, str) else sequence(value, where)
    if len(items) > 60:
        raise InputError(f"{len(items)} addresses do not fit into an option", where=where)
    return tuple(parse_ipv4(item, f"{where}[{index}]") for index, item in enumerate(items))


def _ranges(value: object, network: IPv4Network, where: str) -> tuple[Range, ...]:
    """Read the pools of a subnet."""
    pools: list[Range] = []
    for index, item in enumerate(sequence(value, where)):
        path = f"{where}[{index}]"
        pool = _range(item, path)
        first, last = IPv4Address(pool.first), IPv4Address(pool.last)
        for address in (first, last):
            if address not in network:
                raise InputError(f"{address} is not in {network}", where=path)
            if address in (network.network_address, network.broadcast_address):
                raise InputError(f"{address} is the network's or its broadcast address", where=path)
        if first > last:
            raise InputError(f"{first} comes after {last}", where=path)
        if int(last) - int(first) >= _MOST:
            raise InputError(f"a pool of more than {_MOST} addresses", where=path)
        for other in pools:
            if first <= IPv4Address(other.last) and IPv4Address(other.first) <= last:
                raise InputError(f"{first}-{last} overlaps {other.first}-{other.last}", where=path)
        pools.append(pool)
    return tuple(pools)


def _range(item: object, where: str) -> Range:
    """Read one pool: ``192.0.2.100-192.0.2.200``, or a mapping of first and last."""
    if isinstance(item, str) and len(item) < 40 and item.count("-") == 1:
        first, _, last = (part.strip() for part in item.partition("-"))
        return Range(parse_ipv4(first, where), parse_ipv4(last, where))
    if not isinstance(item, Mapping):
        raise InputError(
            f"{short(item)} is not a range",
            where=where,
            way_out="write 192.0.2.100-192.0.2.200",
        )
    block = mapping(item, where)
    refuse_unknown(block, RANGE_KEYS, where)
    for key in RANGE_KEYS:
        if block.get(key) is None:
            raise InputError(f"`{key}` is missing", where=where)
    return Range(*(parse_ipv4(block[key], f"{where}:{key}") for key in RANGE_KEYS))


def _reservation(item: object, network: IPv4Network, where: str) -> Reservation:
    """Read a client's own address."""
    block = mapping(item, where)
    refuse_unknown(block, RESERVATION_KEYS, where)
    for key in ("mac", "address"):
        if block.get(key) is None:
            raise InputError(f"`{key}` is missing", where=where)
    mac = block["mac"]
    if not isinstance(mac, str) or not _MAC.fullmatch(mac):
        raise InputError(
            f"{short(mac)} is not a hardware address",
            where=f"{where}:mac",
            way_out="write 02:00:5e:10:00:01",
        )
    canonical = ":".join(f"{int(pair, 16):02x}" for pair in re.split("[:-]", mac))
    address = parse_ipv4(block["address"], f"{where}:address")
    if IPv4Address(address) not in network:
        raise InputError(f"{address} is not in {network}", where=f"{where}:address")
    hostname = block.get("hostname", "")
    if hostname != "" and not is_domain(hostname):
        raise InputError(f"{short(hostname)} is not a host name", where=f"{where}:hostname")
    return Reservation(canonical, address, str(hostname))


def _refuse_in_pool(subnet: Subnet, pair: Pair) -> None:
    """Refuse an address in a pool that belongs to someone."""
    members = f"{pair.where}:members"
    taken = [
        *((one.address, one.name, f"{members}:{one.name}:address") for one in pair.members),
        *(
            (address, "a router", f"{subnet.where}:routers[{index}]")
            for index, address in enumerate(subnet.routers)
        ),
        *(
            (address, "a name server", f"{subnet.where}:domain_name_servers[{index}]")
            for index, address in enumerate(subnet.domain_name_servers)
        ),
        *(
            (one.address, f"reserved for {one.mac}", f"{subnet.where}:reservations[{index}]")
            for index, one in enumerate(subnet.reservations)
        ),
    ]
    for address, whose, where in taken:
        for pool in subnet.ranges:
            if IPv4Address(pool.first) <= IPv4Address(address) <= IPv4Address(pool.last):
                raise InputError(
                    f"{address} ({whose}) is inside the pool {pool.first}-{pool.last}",
                    where=where,
                    way_out="shorten the pool, or part it in two around the address",
                )


def _refuse_twice(subnets: Sequence[Subnet], pair: Pair) -> None:
    """Refuse an address reserved twice, and a client with two in one subnet."""
    addresses = {one.address: one.name for one in pair.members}
    for subnet in subnets:
        addresses.update(dict.fromkeys(subnet.routers, "a router"))
        macs: set[str] = set()
        for index, one in enumerate(subnet.reservations):
            where = f"{subnet.where}:reservations[{index}]"
            if one.address in addresses:
                raise InputError(f"{one.address} is {addresses[one.address]} already", where=where)
            if one.mac in macs:
                raise InputError(f"{one.mac} has an address in this subnet already", where=where)
            addresses[one.address] = f"reserved for {one.mac}"
            macs.add(one.mac)
