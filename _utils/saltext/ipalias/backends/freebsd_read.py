"""The addresses that the variables of one interface set, as ``network.subr`` reads them.

ifalias_af_common: first ``ifconfig_IF_aliases``, then ``ifconfig_IF_aliasN`` sorted by number,
up to the first that is empty; releases before 12.1 count from 0 and stop at the first number
that is missing as well. ``ipv4_addrs_IF`` and the names that begin with ``ipv6_ifconfig_`` are
older ways that are still read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..model import Alias
from .freebsd_files import RcConf, Setting, variable
from .freebsd_values import FAMILIES, Section, parse_sections

NUMBERED = "numbered"
LIST = "list"
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Entry:
    """Hold one section of one variable.

    :param form: `NUMBERED`, `LIST`, or nothing for a variable that no alias of ours is in.
    :param alone: it is a plain alias and all that its variable says.
    """

    setting: Setting
    section: Section
    form: str = ""
    number: int = -1
    alone: bool = False

    @property
    def editable(self) -> bool:
        """Tell whether it can be taken out without anything else being lost."""
        return self.alone if self.form == NUMBERED else self.form == LIST and self.section.plain


@dataclass
class Book:
    """Hold what is known of an interface's variables.

    :param old: the release stops at the first number that is missing (before 12.1).
    :param numbers: each number that an ``_aliasN`` has, with its variable.
    :param end: number of the first empty one, where reading ends.
    """

    rc: RcConf
    interface: str
    old: bool = False
    entries: list[Entry] = field(default_factory=list)
    numbers: dict[int, Setting] = field(default_factory=dict)
    end: int | None = None

    @property
    def prefix(self) -> str:
        """Return the beginning of the names of its variables."""
        return f"ifconfig_{variable(self.interface)}"

    def numbered(self, number: int) -> str:
        """Return the name of a numbered variable."""
        return f"{self.prefix}_alias{number}"

    @property
    def list_name(self) -> str:
        """Return the name of the variable without numbers."""
        return f"{self.prefix}_aliases"

    def by_cidr(self) -> dict[str, Entry]:
        """Return the entry that sets each address; of several the last, where we put ours."""
        return {alias.cidr: entry for entry in self.entries for alias in entry.section.aliases}

    def home(self) -> str:
        """Return the file that names the interface; empty for none."""
        for name in (self.prefix, f"{self.prefix}_ipv6", self.list_name):
            if setting := self.rc.last(name):
                return setting.path
        return ""


def read_book(rc: RcConf, interface: str, old: bool = False) -> Book:
    """Read the variables of an interface.

    :raises ParseError: a variable that only a shell can follow.
    """
    book = Book(rc, interface, old)
    _main(book)
    value = rc.certain(book.list_name)
    if value:
        setting = rc.settings[book.list_name][-1]
        for section in parse_sections(value, interface):
            book.entries.append(Entry(setting, section, LIST))
    _numbered(book)
    for name, family in (
        (f"ipv4_addrs_{variable(interface)}", "inet"),
        (f"ipv6_ifconfig_{variable(interface)}", "inet6"),
    ):
        # `ipv4_addrs_IF` is a list of addresses, each a section of its own.
        words = rc.value(name).split() if family == "inet" else [rc.value(name)]
        for word in words:
            for section in parse_sections(word, interface, family):
                book.entries.append(Entry(rc.settings[name][-1], section))
    return book


def _main(book: Book) -> None:
    """Read the interface's own variables; one that only a shell can tell is not ours to know."""
    for name, family in ((book.prefix, "inet"), (f"{book.prefix}_ipv6", "inet6")):
        setting = book.rc.last(name)
        if setting is not None and not setting.given.append:
            for section in parse_sections(setting.given.value or "", book.interface, family):
                book.entries.append(Entry(setting, section))


def _numbered(book: Book) -> None:
    """Read the numbered variables in order, as far as the platform does."""
    pattern = re.compile(rf"{re.escape(book.prefix)}_alias[0-9][A-Za-z0-9_]*")
    start = len(f"{book.prefix}_alias")
    found: list[tuple[int, str]] = []
    for name in book.rc.names(pattern):
        digits = _DIGITS.match(name, start)
        found.append((int(digits[0][:9]) if digits else 0, name))
    expected = 0
    for number, name in sorted(found):
        value = book.rc.certain(name)
        setting = book.rc.settings[name][-1]
        canonical = name == book.numbered(number)
        if canonical:
            book.numbers[number] = setting
        else:
            # ``_alias01``, say: it is read, and no number that we give comes near it.
            book.numbers.setdefault(number, setting)
        if book.old and (not canonical or number != expected):
            continue
        expected = number + 1
        if book.end is not None:
            continue
        if value == "":
            book.end = number
            expected = -1
            continue
        book.entries += _sections(book, setting, value or "", number if canonical else -1)


def _sections(book: Book, setting: Setting, value: str, number: int) -> list[Entry]:
    """Return the sections of one numbered variable: those of the family it begins with."""
    first = value.split()[:1]
    family = first[0] if first and first[0] in FAMILIES else "inet"
    sections = parse_sections(value, book.interface, family)
    # The words before the first family are a section only where there are any.
    return [
        Entry(
            setting,
            section,
            NUMBERED if number >= 0 else "",
            number,
            alone=len(sections) == 1 and section.plain,
        )
        for section in sections
        if section.family == family
    ]


def ipv6_missing(book: Book) -> str:
    """Return why the platform ignores IPv6 aliases of the interface; empty where it does not.

    ``network.subr``, ipv6if: ``$ipv6_network_interfaces`` has the interface or is ``AUTO``, and
    ``$ifconfig_IF_ipv6`` (or the default for all), ``$ipv6_prefix_IF`` or ``$ipv6_ifconfig_IF``
    is set. The loopback interface always has IPv6.
    """
    if book.interface == "lo0":
        return ""
    rc, name = book.rc, variable(book.interface)
    listed = rc.last("ipv6_network_interfaces")
    words = (listed.given.value or "").split() if listed is not None else ["AUTO"]
    if book.interface not in words and [word.upper() for word in words] != ["AUTO"]:
        where = listed.where if listed is not None else ""
        return f"`ipv6_network_interfaces` ({where}) does not name {book.interface}"
    own = rc.last(f"ifconfig_{name}_ipv6") or rc.last("ifconfig_DEFAULT")
    for setting in (own, rc.last(f"ipv6_prefix_{name}"), rc.last(f"ipv6_ifconfig_{name}")):
        if setting is not None and setting.given.value != "":
            return ""
    return f"`ifconfig_{name}_ipv6` is not set"


def never_started(book: Book) -> Setting | None:
    """Return the setting that keeps ``netif`` from the interface, or None."""
    setting = book.rc.last("network_interfaces")
    words = (setting.given.value or "").split() if setting is not None else []
    if not words or [word.upper() for word in words] == ["AUTO"] or book.interface in words:
        return None
    return None if book.interface == "lo0" else setting


def same(entry: Entry, alias: Alias) -> bool:
    """Tell whether an entry sets an alias with the source policy asked for."""
    return any(
        each.cidr == alias.cidr and each.never_source == alias.never_source
        for each in entry.section.aliases
    )
