"""One item of a ``config_IFACE`` list: read as netifrc reads it, and written.

The list is that of netifrc's ``init.d/net.lo`` (``_get_array``, ``_load_config``, ``start``), an
address that of ``_add_address`` in ``net/iproute2.sh`` and ``net/ifconfig.sh``; the forms are
described in ``net.example``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model import (
    IPV4,
    IPV6,
    MAX_LABEL,
    MAX_PREFIX,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Alias,
    canonical_address,
)
from ..text import read_number

IPROUTE2, IFCONFIG = "iproute2", "ifconfig"
STRING, ARRAY = "string", "array"
#: Ends the list where the interface has an address already.
NOOP = "noop"
#: What an interface without a list gets, the loopback one apart.
DHCP = "dhcp"
#: Label of a hidden alias that was given none; see `live_label`.
_HIDDEN = ":n"
#: Widest IPv4 prefix length that has a broadcast address (RFC 3021), /32 apart.
_MAX_BROADCAST_PREFIX = 30
_BLANKS = re.compile(r"[ \t\r\v\f]+")
#: Beginning of a word behind an address → what ``_add_address`` takes it for, and whether a
#: value follows. Its ``case`` takes the first that fits.
_WORDS = (
    ("ne", "netmask", True),
    ("br", "broadcast", True),
    ("po", "peer", True),
    ("pe", "peer", True),
    ("a", "anycast", True),
    ("l", "label", True),
    ("s", "scope", True),
    ("v", "valid_lft", True),
    ("pr", "preferred_lft", True),
    ("h", "home", False),
    ("mng", "mngtmpaddr", False),
    ("nop", "noprefixroute", False),
    ("no", "nodad", False),
)


@dataclass(frozen=True)
class Item:
    """Hold one item.

    :param text: its words with one blank between them.
    :param alias: the address that it sets, if it sets one.
    :param bare: it says nothing that an alias of ours does not say.
    """

    text: str
    alias: Alias | None = None
    bare: bool = False

    @property
    def cidr(self) -> str | None:
        """Return its address, if it sets one."""
        return self.alias.cidr if self.alias is not None else None


def split_list(lines: Iterable[str]) -> tuple[list[str], bool]:
    """Return the items of a list and whether its one line was parted at the blanks.

    Each line is an item. A single line whose second word looks like an address is a list of
    words; of any other the first word alone can be an address (``_load_config``).
    """
    kept = [squeezed for line in lines if (squeezed := _BLANKS.sub(" ", line).strip(" "))]
    if len(kept) == 1:
        words = kept[0].split(" ")
        if len(words) > 1 and ("." in words[1] or ":" in words[1]):
            return words, True
    return kept, False


def read_item(text: str, interface: str, module: str = IPROUTE2) -> Item:
    """Read an item of `split_list`."""
    plain, _, rest = text.partition(" ")
    address, slash, mask = plain.partition("/")
    if not ((plain[0].isascii() and plain[0].isdigit()) or ":" in plain):
        return Item(text)
    found = canonical_address(address) or _slowly(address)
    if found is None:
        return Item(text)
    family = IPV6 if ":" in found else IPV4
    told, bare = _options(rest.split(" ") if rest else [], masked=bool(slash))
    if told is None:
        return Item(text)
    if family == IPV6 and "broadcast" in told:
        return Item(text)  # "Broadcast keywords are not valid with IPv6 addresses"
    prefix: int | None = MAX_PREFIX[family]
    if slash:
        prefix = _prefix(mask, family)
    elif "netmask" in told:
        prefix = _bits(told["netmask"]) or MAX_PREFIX[family]
    elif module == IFCONFIG and family == IPV4:
        prefix = _classful(found)
    if prefix is None or prefix > MAX_PREFIX[family]:
        return Item(text)
    alias = _alias(found, prefix, interface, told)
    bare = bare and _says_no_more(alias, told)
    return Item(text, alias, bare)


def _options(words: Sequence[str], *, masked: bool) -> tuple[dict[str, str] | None, bool]:
    """Return what stands behind an address, and whether all of it means something.

    :param masked: the address has its prefix already; another one is an error ("Too many
        netmasks"), for which None is returned.
    """
    told: dict[str, str] = {}
    known = True
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        for begin, name, valued in _WORDS:
            if word.startswith(begin):
                if name == "netmask" and (masked or _bits(told.get(name, ""))):
                    return None, False
                told[name] = (rest.pop() if rest else "") if valued else "yes"
                break
        else:
            known = False  # "Unknown argument", and it goes on; a second address ends so
    return told, known


def _alias(address: str, prefix: int, interface: str, told: dict[str, str]) -> Alias:
    single = prefix == MAX_PREFIX[IPV6 if ":" in address else IPV4]
    if ":" in address:
        never, label = told.get("preferred_lft") in ("0", "0sec"), None
    else:
        hidden = told.get("scope") in ("host", "254")
        never = hidden and (single or "noprefixroute" in told)
        label = told.get("label") or None
    if never and label == f"{interface}{_HIDDEN}":
        label = None
    return Alias(address, prefix, interface, label, SOURCE_NEVER if never else SOURCE_AUTO)


def _says_no_more(alias: Alias, told: dict[str, str]) -> bool:
    if set(told) - {"netmask", "broadcast", "label", "scope", "preferred_lft"}:
        return False
    if told.get("broadcast", "+") not in ("+", alias.broadcast):
        return False
    if alias.family == IPV6:
        return not {"label", "scope"} & set(told) and told.get("preferred_lft", "0") == "0"
    wanted = "host" if alias.never_source else "global"
    return told.get("scope", wanted) == wanted and "preferred_lft" not in told


def _slowly(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else None
    except ValueError:
        return None


def _prefix(mask: str, family: int) -> int | None:
    """Read what stands behind the slash as ``ip`` does: a length, or a mask."""
    if mask.isascii() and mask.isdigit():
        return read_number(mask)
    try:
        return ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen if family == IPV4 else None
    except ValueError:
        return None


def _bits(mask: str) -> int:
    """Count the bits of a mask as ``_netmask2cidr`` does, which asks for no order of them."""
    hexed = mask[:2] == "0x"
    parts = re.findall("..?", mask[2:]) if hexed else mask.split(".")
    digits = re.compile("[0-9a-fA-F]{1,2}" if hexed else "[0-9]{1,3}")
    if not all(digits.fullmatch(part) for part in parts):
        return 0
    return sum(bin(int(part, 16 if hexed else 10)).count("1") for part in parts)


def _classful(address: str) -> int:
    """Return the prefix length that ifconfig(8) takes where none is given."""
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def render_item(alias: Alias, form: str, *, plain: bool = False) -> str:
    """Write an alias as an item.

    A list of words has no room for anything but the address (`plain`). In an array it gets the
    form of the alias guide, which is what its other items have.
    """
    text = alias.cidr
    if plain:
        return text
    if alias.family == IPV6:
        return f"{text} preferred_lft 0" if alias.never_source else text
    if form == ARRAY:
        text = f"{alias.address} netmask {alias.netmask}"
    if alias.single or alias.prefix <= _MAX_BROADCAST_PREFIX:
        text += f" brd {alias.broadcast}"
    if label := live_label(alias):
        text += f" label {label}"
    return f"{text} scope host" if alias.never_source else text


def is_plain(alias: Alias) -> bool:
    """Tell whether the address alone says everything of an alias."""
    return not alias.never_source and not live_label(alias)


def live_label(alias: Alias) -> str | None:
    """Return the label as the kernel shows it.

    ``ip`` takes only one that begins with the interface's name (``ipaddress.c``,
    ``ipaddr_modify``: `"dev" must match "label"`). A hidden alias (``source: never``) heads the
    kernel's list by its scope; without a label of its own ifconfig would show it as the
    interface's address.
    """
    if alias.family != IPV4:
        return None
    if alias.label is None:
        own = f"{alias.interface}{_HIDDEN}"
        return own if alias.never_source and len(own) <= MAX_LABEL else None
    begin = f"{alias.interface}:"
    return alias.label if alias.label.startswith(begin) else begin + alias.label
