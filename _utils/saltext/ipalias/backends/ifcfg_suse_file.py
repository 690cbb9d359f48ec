"""Addresses in an ``ifcfg-*`` file of SUSE: read as wicked reads them, edited in place.

The form is ifcfg(5), section "Multiple addresses": ``IPADDR`` with any suffix, and beside it
``NETMASK``, ``PREFIXLEN``, ``BROADCAST``, ``LABEL``, ``SCOPE`` and ``IP_OPTIONS`` with the same.
What they mean is in wicked's ``client/suse/compat-suse.c`` (``__get_ipaddr``), how a line is
read in its ``src/sysconfig.c`` (``__ni_sysconfig_read``, ``unquote``): line by line, with no
shell. Before wicked (SLE 11) a shell sourced the file. Where the two would read a variable of
ours differently the file is refused; so an edit means the same to both.

A line of ours has the suffix ``_ipaliasN``. wicked and YaST keep any suffix, so it is found
again without the ledger. Every other line is its author's until the ledger says otherwise.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ParseError, RefusedError
from ..model import IPV4, IPV6, MAX_LABEL, MAX_PREFIX, SOURCE_AUTO, SOURCE_NEVER, Alias
from ..text import read_number, shellvars

#: Suffix of our own lines.
OWN = re.compile(r"_ipalias(0|[1-9][0-9]{0,8})")
#: What belongs to one address, beside `IPADDR`; longer names before those they begin with.
FIELDS = ("NETMASK", "PREFIXLEN", "BROADCAST", "REMOTE_IPADDR", "LABEL", "SCOPE", "IP_OPTIONS")
#: Fields that an alias of ours says; the rest is in none of our lines.
_SAID = ("BROADCAST", "LABEL", "SCOPE", "IP_OPTIONS")
_RELEVANT = re.compile(rf"(?:IPADDR|{'|'.join(FIELDS)})\w*|BOOTPROTO")
#: A line that wicked takes for an assignment.
_LINE = re.compile(r"[ \t\v\f\r]*([A-Za-z][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_SPACE = re.compile(r"[ \t\v\f\r\n]")
_LABEL = re.compile(r"[A-Za-z0-9_.:-]+")
_DEPRECATED = re.compile(r"(?:^|[ \t])preferred_lft[ \t]+0+(?:[ \t]|$)")
#: Widest IPv4 prefix length that has a broadcast address of its own (RFC 3021).
_MAX_BROADCAST_PREFIX = 30
#: Where an alias that is no source shows with no label asked for; see `live_label`.
HIDDEN_LABEL = ":n"


@dataclass(frozen=True)
class Slot:
    """Hold one address with what belongs to it.

    :param suffix: what stands behind ``IPADDR``; empty for the plain one.
    :param fields: its other variables that are not empty.
    """

    alias: Alias
    suffix: str
    line: int
    fields: Mapping[str, str]

    @property
    def own(self) -> bool:
        """Tell whether the suffix is one of ours."""
        return OWN.fullmatch(self.suffix) is not None


class File:
    """Hold a parsed file of one interface.

    :raises ParseError: a shell could not read it, or reads one of the variables that matter
        differently from wicked.
    """

    def __init__(self, text: str, path: str, interface: str) -> None:
        self.path, self.interface = path, interface
        self._text = text
        self.document = shellvars.parse(text, path)
        self._values, self._lines = _as_wicked_reads(text)
        self._compare()
        self.slots = [slot for slot in map(self._slot, self._suffixes()) if slot is not None]

    def value(self, name: str) -> str:
        """Return a setting; empty where it is not set."""
        return self._values.get(name, "")

    def _compare(self) -> None:
        named = dict.fromkeys([*self._values, *self.document.names()])
        for name in filter(_RELEVANT.fullmatch, named):
            hidden = self.document.hidden(name)
            last = self.document.get(name)
            ours = self._values.get(name)
            if not hidden and last is not None and not last.append and last.value == ours:
                continue
            line = (hidden or [self._lines.get(name) or (last.line if last else 1)])[0]
            raise ParseError(
                self.path,
                line,
                f"wicked and a shell read `{name}` differently",
                way_out=f"write it as {name}='…' on a line of its own, without a variable in it",
            )

    def _suffixes(self) -> Iterable[str]:
        # wicked takes any name that begins so, and the address is the first to be looked at.
        return [
            name.removeprefix("IPADDR")
            for name, value in self._values.items()
            if name.startswith("IPADDR") and value
        ]

    def _slot(self, suffix: str) -> Slot | None:
        name = f"IPADDR{suffix}"
        line = self._lines[name]
        text, slash, digits = self._values[name].partition("/")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None  # wicked warns and goes on
        if address.is_unspecified or "%" in text:
            return None
        fields = {field: self.value(f"{field}{suffix}") for field in FIELDS}
        fields = {field: value for field, value in fields.items() if value}
        prefix = self._prefix(digits if slash else "", fields, address.version, line)
        label = _label(fields.get("LABEL", ""), self.interface) if address.version == IPV4 else None
        source = _source(fields, address.version, prefix)
        if source == SOURCE_NEVER and label == f"{self.interface}{HIDDEN_LABEL}":
            label = None
        alias = Alias(str(address), prefix, self.interface, label, source)
        return Slot(alias, suffix, line, fields)

    def _prefix(self, digits: str, fields: Mapping[str, str], family: int, line: int) -> int:
        """Return the prefix length: the one behind the address, PREFIXLEN, NETMASK, the longest."""
        longest = MAX_PREFIX[family]
        for text in (digits, fields.get("PREFIXLEN", "")):
            if not text:
                continue
            if not re.fullmatch(r"0|[1-9][0-9]*", text):
                raise ParseError(self.path, line, f"{text!r} is no prefix length")
            if 0 < (prefix := read_number(text)) <= longest:
                return prefix
            if text is not digits:
                return longest
        mask = fields.get("NETMASK", "")
        if family == IPV6 or not mask:
            return longest
        try:
            # A hostmask is what `ipaddress` takes a mask for that begins with a zero bit.
            number = int(ipaddress.IPv4Address(mask))
            bits = f"{number:032b}"
            if "01" in bits:
                raise ValueError(mask)
        except ValueError:
            raise ParseError(self.path, line, f"NETMASK {mask!r} beside it is no netmask") from None
        return bits.count("1") or longest

    def edit(self, wanted: Sequence[Alias], gone: set[str], at: Iterable[int] = ()) -> None:
        """Make the file hold these aliases, and no longer those that are to go.

        :param gone: ``address/prefix`` of what may be taken out of lines that are not marked.
        :param at: lines of `gone` that are meant themselves.
        :raises RefusedError: a line to be taken out carries more than an alias.
        :raises ParseError: a line of ours would give a meaning to one that has none.
        """
        kept = {alias.cidr: alias for alias in wanted}
        here: dict[str, Slot] = {}
        meant = set(at)
        # Where a line of ours sets it, another that does so too is not meant.
        leaving = gone - set(kept) - {slot.alias.cidr for slot in self.slots if slot.own}
        for slot in reversed(self.slots):
            cidr = slot.alias.cidr
            if cidr in kept and (slot.own or cidr not in here):
                if slot.own and cidr in here and here[cidr].own:
                    self._remove(slot)
                    continue
                here[cidr] = slot
            elif slot.own or slot.line in meant or cidr in leaving:
                self._remove(slot)
                leaving.discard(cidr)
        for cidr, slot in here.items():
            self._change(slot, kept[cidr])
        taken = {slot.suffix for slot in here.values()}
        if any(cidr not in here for cidr in kept):
            self._check_last_line()
        free = 0
        for alias in wanted:
            if alias.cidr in here:
                continue
            while f"_ipalias{free}" in taken:
                free += 1
            self._add(f"_ipalias{free}", alias)
            free += 1

    def _check_last_line(self) -> None:
        last = self._text.rpartition("\n")[2]
        found = _LINE.match(last)
        if found is not None and _unquoted(found[2]) is None:
            raise ParseError(
                self.path,
                self._text.count("\n") + 1,
                "wicked passes over this last line, which has no newline; with lines of ours"
                " behind it, it would count",
                way_out="end it with a newline, or take it out",
            )

    def _remove(self, slot: Slot) -> None:
        if slot.fields.get("REMOTE_IPADDR"):
            raise RefusedError(
                f"{slot.alias.cidr} was ours and now has a REMOTE_IPADDR{slot.suffix}",
                where=f"{self.path}:{slot.line}",
                way_out="take that line out first",
            )
        for field in ("IPADDR", *FIELDS):
            self.document.remove(f"{field}{slot.suffix}")

    def _change(self, slot: Slot, alias: Alias) -> None:
        """Bring a line's attributes to what is asked; of a line not ours, what is asked alone."""
        said = attributes(alias)
        if not slot.own:
            same_label = alias.label is None or live_label(alias) == live_label(slot.alias)
            same_source = not alias.never_source or slot.alias.never_source
            said = {
                field: value
                for field, value in said.items()
                if not (same_label if field == "LABEL" else same_source or field == "BROADCAST")
            }
        other = f"IPADDR{slot.suffix}"
        for field in _SAID:
            name = f"{field}{slot.suffix}"
            if field in said:
                self.document.set_after(name, other, said[field], quote="'")
                other = name
            elif slot.own:
                self.document.remove(name)

    def _add(self, suffix: str, alias: Alias) -> None:
        self.document.set(f"IPADDR{suffix}", alias.cidr, quote="'")
        for field, value in attributes(alias).items():
            self.document.set(f"{field}{suffix}", value, quote="'")


def attributes(alias: Alias) -> dict[str, str]:
    """Return what is written beside an address, by field, in the order of `_SAID`.

    The broadcast of a /32 is the address itself, as in the guides; wicked passes over it.
    """
    said: dict[str, str] = {}
    if alias.family == IPV6:
        return {"IP_OPTIONS": "preferred_lft 0"} if alias.never_source else said
    if alias.broadcast and (alias.single or alias.prefix <= _MAX_BROADCAST_PREFIX):
        said["BROADCAST"] = alias.broadcast
    if label := live_label(alias):
        said["LABEL"] = label
    if alias.never_source:
        said["SCOPE"] = "host"
    return said


def live_label(alias: Alias) -> str | None:
    """Return the label that wicked gives an alias: with ``eth0:`` before it where it is not.

    A hidden alias (``source: never``) heads the kernel's list by its scope. Without a label
    of its own it would be what SIOCGIFADDR, and so ifconfig, tells as the interface's address.
    """
    if alias.family != IPV4:
        return None
    if alias.label is None:
        own = f"{alias.interface}{HIDDEN_LABEL}"
        return own if alias.never_source and len(own) <= MAX_LABEL else None
    if alias.label.startswith(f"{alias.interface}:"):
        return alias.label
    return f"{alias.interface}:{alias.label}"


def _label(value: str, interface: str) -> str | None:
    """Return the label that wicked gives by a ``LABEL``; it drops one that it does not like.

    ``src/netdev.c`` (``ni_netdev_alias_label_is_valid``), ``src/ifconfig.c``: one that begins
    with the interface's name is taken as it stands, any other gets the name before it.
    """
    if not value or value == interface or not _LABEL.fullmatch(value):
        return None
    label = value if value.startswith(interface) else f"{interface}:{value}"
    return label if len(label) <= MAX_LABEL else None


def _source(fields: Mapping[str, str], family: int, prefix: int) -> str:
    """Return the source policy that a line amounts to.

    wicked gives no IPv4 address ``noprefixroute``: with a subnet the kernel makes a route
    whose source is the address, whatever its scope.
    """
    if family == IPV6:
        hidden = _DEPRECATED.search(fields.get("IP_OPTIONS", "")) is not None
    else:
        hidden = fields.get("SCOPE") == "host" and prefix == MAX_PREFIX[IPV4]
    return SOURCE_NEVER if hidden else SOURCE_AUTO


def _as_wicked_reads(text: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return variables and their lines as wicked finds them, in the order of the first lines."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        found = _LINE.match(line)
        if found is None:
            continue
        value = _unquoted(found[2])
        if value is not None:
            values[found[1]], lines[found[1]] = value, number
    return values, lines


def _unquoted(text: str) -> str | None:
    """Return a value as wicked's ``unquote`` does, or None where it passes the line over.

    It does so for a quote without its end, and for the last line where that ends in neither a
    quote nor a newline.
    """
    quote = text[:1]
    if quote in ("'", '"'):
        value, end, _ = text[1:].partition(quote)
        return value if end else None
    value, *rest = _SPACE.split(text, maxsplit=1)
    return value if rest else None
