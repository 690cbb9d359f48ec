"""DHCP options that can be given by name, and how each server writes their values.

Names are ISC's, dhcp-options(5); Kea calls almost all of them the same (Kea ARM, "Standard
DHCPv4 Options"). An option that is not here has no form that both are known to read alike.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from ipaddress import IPv4Address

from ..errors import InputError
from ..values import sequence, short

ADDRESS = "address"
ADDRESSES = "addresses"
TEXT = "text"
NAMES = "names"
FLAG = "flag"
NUMBER8 = "number8"
NUMBER16 = "number16"
NUMBER32 = "number32"
OFFSET = "offset"
LIMITS: Mapping[str, tuple[int, int]] = {
    NUMBER8: (0, 0xFF),
    NUMBER16: (0, 0xFFFF),
    NUMBER32: (0, 0xFFFFFFFF),
    OFFSET: (-0x80000000, 0x7FFFFFFF),
}

KINDS: Mapping[str, str] = {
    "all-subnets-local": FLAG,
    "arp-cache-timeout": NUMBER32,
    "bootfile-name": TEXT,
    "broadcast-address": ADDRESS,
    "cookie-servers": ADDRESSES,
    "default-ip-ttl": NUMBER8,
    "default-tcp-ttl": NUMBER8,
    "domain-search": NAMES,
    "finger-server": ADDRESSES,
    "font-servers": ADDRESSES,
    "impress-servers": ADDRESSES,
    "interface-mtu": NUMBER16,
    "ip-forwarding": FLAG,
    "irc-server": ADDRESSES,
    "log-servers": ADDRESSES,
    "lpr-servers": ADDRESSES,
    "mask-supplier": FLAG,
    "max-dgram-reassembly": NUMBER16,
    "merit-dump": TEXT,
    "mobile-ip-home-agent": ADDRESSES,
    "netbios-dd-server": ADDRESSES,
    "netbios-name-servers": ADDRESSES,
    "netbios-node-type": NUMBER8,
    "netbios-scope": TEXT,
    "nis-domain": TEXT,
    "nis-servers": ADDRESSES,
    "nisplus-domain": TEXT,
    "nisplus-servers": ADDRESSES,
    "nntp-server": ADDRESSES,
    "ntp-servers": ADDRESSES,
    "pop-server": ADDRESSES,
    "resource-location-servers": ADDRESSES,
    "root-path": TEXT,
    "smtp-server": ADDRESSES,
    "streettalk-server": ADDRESSES,
    "streettalk-directory-assistance-server": ADDRESSES,
    "swap-server": ADDRESS,
    "tcp-keepalive-interval": NUMBER32,
    "tftp-server-name": TEXT,
    "time-offset": OFFSET,
    "time-servers": ADDRESSES,
    "www-server": ADDRESSES,
    "x-display-manager": ADDRESSES,
}
#: What Kea calls otherwise.
IN_KEA: Mapping[str, str] = {
    "bootfile-name": "boot-file-name",
    "nisplus-domain": "nisplus-domain-name",
}
#: What a subnet has a key of its own for.
_KEYS: Mapping[str, str] = {
    "routers": "routers",
    "domain-name-servers": "domain_name_servers",
    "domain-name": "domain_name",
    "host-name": "reservations",
    "dhcp-lease-time": "default_lease_time",
    "subnet-mask": "subnet",
}
#: A comma parts values for Kea, quotes and a backslash end or escape them for one or the other.
_TEXT = re.compile(r"[ !#-&(-+\--\[\]-~]{1,255}")
_LABELS = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_domain(text: object) -> bool:
    """Tell whether a value is a domain name, labels between dots (RFC 1035, 2.3.4)."""
    if not isinstance(text, str) or not 0 < len(text) <= 253:
        return False
    return all(_LABELS.fullmatch(label) for label in text.split("."))


def parse_domain(value: object, where: str) -> str:
    """Read a domain name.

    :raises InputError: anything else.
    """
    if not isinstance(value, str) or not is_domain(value):
        raise InputError(
            f"{short(value)} is not a domain name",
            where=where,
            way_out="write labels of letters, digits and hyphens with dots between them",
        )
    return value


def parse_ipv4(value: object, where: str) -> str:
    """Read an IPv4 address that a host can have.

    :raises InputError: anything else.
    """
    try:
        address = IPv4Address(value) if isinstance(value, str) and len(value) < 16 else None
    except ValueError:
        address = None
    if address is None or str(address) != value:
        raise InputError(f"{short(value)} is not an IPv4 address", where=where)
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise InputError(f"{address} is not an address that a host can have", where=where)
    return str(address)


def parse_option(name: object, value: object, where: str) -> tuple[str, str]:
    """Read an option into its name and its value as `Subnet.options` holds them.

    :param where: pillar path of the option.
    :raises InputError: an option that is not known, that has a key of its own, a value of
        another kind than the option has.
    """
    if not isinstance(name, str) or name not in KINDS:
        text = name[:80] if isinstance(name, str) else ""
        known = difflib.get_close_matches(text, KINDS, n=1)
        way_out = f"did you mean `{known[0]}`?" if known else f"known: {', '.join(KINDS)}"
        if text in _KEYS:
            way_out = f"write it as `{_KEYS[text]}`"
        raise InputError(f"there is no option {short(name)} here", where=where, way_out=way_out)
    return name, _READ[KINDS[name]](KINDS[name], value, where)


def _address(kind: str, value: object, where: str) -> str:
    return parse_ipv4(value, where)


def _addresses(kind: str, value: object, where: str) -> str:
    listed = [value] if isinstance(value, str) else sequence(value, where)
    if not listed:
        raise InputError("no address is given", where=where, way_out="leave the option out")
    if len(listed) > 60:
        raise InputError(f"{len(listed)} addresses do not fit into an option", where=where)
    read = [parse_ipv4(item, f"{where}[{index}]") for index, item in enumerate(listed)]
    return ", ".join(read)


def _names(kind: str, value: object, where: str) -> str:
    listed = [value] if isinstance(value, str) else sequence(value, where)
    read = [parse_domain(item, f"{where}[{index}]") for index, item in enumerate(listed)]
    if not read or sum(len(name) + 2 for name in read) > 255:
        raise InputError("an option holds one name or more, and 255 bytes", where=where)
    return ", ".join(read)


def _text(kind: str, value: object, where: str) -> str:
    if not isinstance(value, str) or not _TEXT.fullmatch(value) or value != value.strip():
        raise InputError(
            f"{short(value)} is not a text that both servers read alike",
            where=where,
            way_out="write 1 to 255 printable ASCII characters without comma, quotes, backslash",
        )
    return value


def _flag(kind: str, value: object, where: str) -> str:
    if not isinstance(value, bool):
        raise InputError(f"{short(value)} is not true or false", where=where)
    return "true" if value else "false"


def _number(kind: str, value: object, where: str) -> str:
    least, most = LIMITS[kind]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{short(value)} is not a whole number {least} to {most}", where=where)
    return str(value)


_READ = {
    ADDRESS: _address,
    ADDRESSES: _addresses,
    TEXT: _text,
    NAMES: _names,
    FLAG: _flag,
    NUMBER8: _number,
    NUMBER16: _number,
    NUMBER32: _number,
    OFFSET: _number,
}


def isc_value(name: str, value: str) -> str:
    """Return a value as dhcpd.conf(5) has it."""
    kind = KINDS[name]
    if kind == TEXT:
        return f'"{value}"'
    if kind == NAMES:
        return ", ".join(f'"{item}"' for item in value.split(", "))
    return value


def kea_option(name: str, value: str) -> dict[str, str]:
    """Return an option as Kea's ``option-data`` has it."""
    return {"name": IN_KEA.get(name, name), "data": value}
