"""Address commands in ``up`` and ``down`` lines of interfaces(5), in ip's and ifconfig's words.

The alias guide's second form is ``post-up /sbin/ifconfig eth0:0 A netmask M broadcast A``;
today's hosts have ``post-up ip addr add A/32 dev eth0 label eth0:0``. Both are read.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

UP_OPTIONS = ("up", "post-up", "pre-up")
DOWN_OPTIONS = ("down", "pre-down", "post-down")

_REDIRECT = re.compile(r"\d?>+\s*(?:&\d|/dev/null)")
_HARMLESS_TAIL = re.compile(r"\|\|\s*(?:true|:|/bin/true|exit 0)\s*$")
_SHELL = re.compile(r"[;&|<>`]|\$\(")
_IFACE = re.compile(r"\"?\$(?:IFACE\b|\{IFACE\})\"?")
#: Words of ip-address(8) that take an argument.
_WITH_VALUE = (
    *("dev", "label", "scope", "broadcast", "brd", "anycast", "valid_lft", "preferred_lft"),
    *("metric", "proto", "peer", "local"),
)


@dataclass(frozen=True)
class AddressCommand:
    """Hold what one command does to an address.

    :param adds: True for adding, False for removing.
    :param address: canonical address; empty where a removal names only the label.
    :param prefix: prefix length as the tool fills it in where the command has none.
    :param device: interface without a label.
    :param label: whole live label, or None.
    :param pure: False when the line does something else as well (``; route add …``).
    """

    adds: bool
    address: str
    prefix: int
    device: str
    label: str | None = None
    never_source: bool = False
    pure: bool = True


def classful_prefix(address: str) -> int:
    """Return the prefix of a bare IPv4 address by its class.

    ifconfig and ifupdown 0.8.41 both fill it in so: a class A address is a /8, 203.0.113.9 a /24.
    """
    first = int(address.split(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def parse_netmask(text: str) -> int | None:
    """Return the prefix length of ``32``, ``255.255.255.255`` or an IPv6 mask; None if none."""
    try:
        if text.isascii() and text.isdigit():
            return int(text)
        if ":" in text:
            return bin(int(ipaddress.IPv6Address(text))).count("1")
        return ipaddress.IPv4Network(f"0.0.0.0/{text}").prefixlen
    except ValueError:
        return None


def parse_address(text: str, netmask: str | None, bare6: int = 128) -> tuple[str, int] | None:
    """Return (canonical address, prefix), or None for what is no address.

    :param netmask: mask given apart; a prefix at the address wins.
    :param bare6: prefix of an IPv6 address without any.
    """
    plain, slash, tail = text.partition("/")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    prefix = parse_netmask(tail) if slash else parse_netmask(netmask) if netmask else None
    if slash and prefix is None:
        return None
    if prefix is None:
        prefix = bare6 if address.version == 6 else classful_prefix(plain)
    return (str(address), prefix) if prefix <= address.max_prefixlen else None


def parse_command(value: str, interface: str) -> AddressCommand | None:
    """Parse one ``up`` or ``down`` line; None when it is not about an address.

    :param value: the line after its option name.
    :param interface: what ``$IFACE`` stands for.
    """
    text = _HARMLESS_TAIL.sub("", _REDIRECT.sub("", value)).strip()
    shell = _SHELL.search(text)
    words = _IFACE.sub(lambda _: interface, text[: shell.start()] if shell else text).split()
    program = words[0].rpartition("/")[2] if words else ""
    if program == "ip":
        command = _parse_ip(words[1:])
    elif program == "ifconfig":
        command = _parse_ifconfig(words[1:])
    else:
        return None
    if command is not None and shell:
        return AddressCommand(**{**command.__dict__, "pure": False})
    return command


def _parse_ip(words: list[str]) -> AddressCommand | None:
    """Parse ``[-4] address add A/P dev DEV [label L] …``."""
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-f", "-family") else words[1:]
    if len(words) < 3 or not "address".startswith(words[0]):
        return None
    adds = any(full.startswith(words[1]) for full in ("add", "change", "replace"))
    if not adds and not "delete".startswith(words[1]):
        return None
    local, given = "", {}
    rest = iter(words[2:])
    for word in rest:
        if word in _WITH_VALUE:
            given[word] = next(rest, "")
        elif not local:
            local = word
    local = local or given.get("local", "")
    parsed = parse_address(local if "/" in local else f"{local}/{128 if ':' in local else 32}", "")
    if parsed is None or not given.get("dev"):
        return None
    never = given.get("scope") == "host" or given.get("preferred_lft") in ("0", "0sec")
    device = given["dev"].partition(":")[0]
    return AddressCommand(adds, *parsed, device, given.get("label"), never)


def _parse_ifconfig(words: list[str]) -> AddressCommand | None:
    """Parse ``eth0:0 A netmask M``, ``eth0 add A/P`` and ``eth0:0 down``."""
    if len(words) < 2:
        return None
    device, colon, _ = words[0].partition(":")
    label = words[0] if colon else None
    rest = [word for word in words[1:] if word not in ("inet", "inet6")]
    if rest == ["down"] and label:
        return AddressCommand(False, "", 0, device, label)
    adds = not (rest and rest[0] in ("del", "delete"))
    if rest and rest[0] in ("add", "del", "delete"):
        rest = rest[1:]
    if not rest:
        return None
    mask = rest[rest.index("netmask") + 1] if "netmask" in rest[:-1] else None
    parsed = parse_address(rest[0], mask)
    if parsed is None:
        return None
    return AddressCommand(adds, *parsed, device, label if ":" not in parsed[0] else None)
