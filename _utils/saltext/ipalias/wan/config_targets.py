"""Read what is asked through a line: ``targets`` of an uplink."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from ..addresses import parse_host
from ..errors import InputError
from ..model import IPV4, IPV6, canonical_address
from ..values import Mixed, mapping, parse_int, refuse_unknown, sequence, short
from .model import ARP, DNS, HTTP, ICMP, TCP, Target

TARGET_KEYS = ("icmp", "tcp", "http", "dns", "arp", "expect", "family")
DNS_KEYS = ("server", "name")
#: One of these says what is asked.
_KINDS = (ICMP, TCP, HTTP, DNS, ARP)
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_PORTED = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):([0-9]{1,5})")
_LONGEST_NAME = 253
_MOST = 100
#: Signs that a request line or a name must not bring along.
_PLAIN = re.compile(r"[\x21-\x7e]+")


def parse_targets(value: object, gateways: dict[int, str], where: str) -> dict[int, list[Target]]:
    """Read a list of targets.

    :param gateways: family → gateway, of the uplink; a target that is a name is asked in
        each of these families.
    :returns: family → targets.
    :raises InputError: something that cannot be asked, a target of a family without gateway,
        one target twice, a family without any.
    """
    found: dict[int, list[Target]] = {family: [] for family in gateways}
    listed = sequence(value, where)
    if len(listed) > _MOST:
        raise InputError(f"{len(listed)} targets", where=where, way_out=f"at most {_MOST}")
    for index, item in enumerate(listed):
        path = f"{where}[{index}]"
        target, only = _target(item, path)
        families = tuple(gateways) if only is None else (only,)
        for family in families:
            if family not in gateways:
                key = "gateway" if family == IPV4 else "gateway6"
                raise InputError(
                    f"target {target.text()} is IPv{family}, and the uplink has no `{key}`",
                    where=path,
                    way_out=f"give `{key}` or take the target out",
                )
            asked = replace(target, host=gateways[family]) if target.kind == ARP else target
            if asked in found[family]:
                raise InputError(f"target {asked.text()} stands twice", where=path)
            found[family].append(asked)
    for family, targets in found.items():
        if not targets:
            raise InputError(
                f"the uplink has no IPv{family} target",
                where=where,
                way_out="give an address beyond its gateway; {arp: gateway} asks only for "
                "the gateway itself",
            )
    return found


def _target(item: object, where: str) -> tuple[Target, int | None]:
    """Read one target, with the family that it is of; None: of any."""
    plain = isinstance(item, str)
    block: Mixed = {ICMP: item} if plain else mapping(item, where)
    refuse_unknown(block, TARGET_KEYS, where)
    kinds = [kind for kind in _KINDS if kind in block]
    if len(kinds) != 1:
        raise InputError(
            "a target is asked in exactly one way",
            where=where,
            way_out='write an address, {tcp: "ADDRESS:PORT"}, {http: URL}, '
            "{dns: {server: ADDRESS, name: NAME}} or {arp: gateway}",
        )
    kind = kinds[0]
    if "expect" in block and kind != HTTP:
        raise InputError("`expect` is for http alone", where=f"{where}:expect")
    path = where if plain else f"{where}:{kind}"
    target, family = _READERS[kind](block[kind], block, path)
    if "family" in block:
        wanted = parse_int(block["family"], f"{where}:family", IPV4, IPV6)
        if wanted not in (IPV4, IPV6) or family not in (None, wanted):
            raise InputError(f"{target.text()} is not of that family", where=f"{where}:family")
        family = wanted
    return replace(target, where=where), family


def _icmp(value: object, block: Mixed, where: str) -> tuple[Target, int | None]:
    """Read the address of an echo request."""
    host, family = _host(value, where)
    return Target(ICMP, host), family


def _tcp(value: object, block: Mixed, where: str) -> tuple[Target, int | None]:
    """Read ``ADDRESS:PORT``."""
    found = _PORTED.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 0 < int(found[3]) < 1 << 16:
        raise InputError(
            f"{short(value)} is not ADDRESS:PORT",
            where=where,
            way_out='write "203.0.113.7:443" or "[2001:db8::7]:443"',
        )
    host, family = _host(found[1] or found[2], where)
    return Target(TCP, host, int(found[3])), family


def _http(value: object, block: Mixed, where: str) -> tuple[Target, int | None]:
    """Read a URL and the status it must answer."""
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        raise InputError(f"{short(value)} is not a URL", where=where, way_out="http:// or https://")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InputError(f"{short(value)} is not a URL", where=where, way_out="http:// or https://")
    if parts.username is not None or parts.fragment:
        raise InputError(
            f"{short(value)} holds more than host, port, path and query",
            where=where,
            way_out="take user, password and fragment out",
        )
    host, family = _host(parts.hostname, where)
    expect = 0
    if block.get("expect") is not None:
        expect = parse_int(block["expect"], f"{where.rpartition(':')[0]}:expect", 100, 599)
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(HTTP, host, port or (443 if tls else 80), path, expect, tls), family


def _dns(value: object, block: Mixed, where: str) -> tuple[Target, int | None]:
    """Read the server and the name it is asked for."""
    asked = mapping(value, where)
    refuse_unknown(asked, DNS_KEYS, where)
    host, family = parse_host(asked.get("server"), f"{where}:server")
    name = _host_name(asked.get("name"), f"{where}:name")
    return Target(DNS, host, 53, name), family


def _arp(value: object, block: Mixed, where: str) -> tuple[Target, int | None]:
    """Read ``gateway``, the one whose hardware address can be asked for."""
    if value != "gateway":
        raise InputError(
            f"{short(value)} is not asked for by ARP",
            where=where,
            way_out="write {arp: gateway}: only what is on the link has a hardware address",
        )
    return Target(ARP, ""), None


def _host(value: object, where: str) -> tuple[str, int | None]:
    """Read an address, or a name of no family."""
    if isinstance(value, str) and not _looks_like_address(value):
        return _host_name(value, where), None
    return parse_host(value, where)


def _looks_like_address(text: str) -> bool:
    """Tell what can only be meant as an address: it has a colon or ends in a number."""
    last = text.rstrip(".").rpartition(".")[2]
    return ":" in text or last.isdigit() or canonical_address(text) is not None


def _host_name(value: object, where: str) -> str:
    """Read a name as DNS knows it, without its last dot."""
    if isinstance(value, str) and len(value) <= _LONGEST_NAME and _NAME.fullmatch(value):
        return value.rstrip(".").lower()
    raise InputError(f"{short(value)} is not a host name", where=where)


_READERS = {ICMP: _icmp, TCP: _tcp, HTTP: _http, DNS: _dns, ARP: _arp}
