"""Read ``/etc/hostname.IF``, ``/etc/hostname.IF:N`` and their IPv6 namesakes.

Each line is handed to ``ifconfig`` as its arguments by ``inet_process_hostname`` and
``inet6_process_hostname`` (``cmd/svc/shell/net_include.sh`` of illumos, the same shell of
Solaris 10). Two things follow that no other platform has:

- a file of **one** line gets ``netmask + broadcast + up`` appended, and ``netmask +`` takes
  the mask from /etc/netmasks even where the line gives a prefix (``in_getmask``);
- the shell's ``read`` gives nothing for a last line without its newline, so such a line does
  not count; a comment is a line that ``ifconfig`` refuses.

So this module reads lines as ``ifconfig(8)`` does: word by word, up to the first that it
would refuse.
"""

from __future__ import annotations

import glob
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..errors import ParseError
from ..host import Host
from ..model import IPV4, IPV6, MAX_PREFIX, SOURCE_AUTO, SOURCE_NEVER, Alias, canonical_address

FOLDERS = {IPV4: "/etc/hostname", IPV6: "/etc/hostname6"}
#: Tables that names and masks of a line are looked up in; the first that is there.
HOSTS = ("/etc/inet/hosts", "/etc/hosts", "/etc/inet/ipnodes")
NETMASKS = ("/etc/inet/netmasks", "/etc/netmasks")
#: What the script appends to a file of one line.
EPILOGUE = ("netmask", "+", "broadcast", "+", "up")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words of ``ifconfig`` that take an argument, and those that take none (``cmds[]``).
_TAKING = _words(
    "netmask metric mtu index broadcast subnet token tsrc tdst encr_auth_algs encr_algs"
    " auth_algs addif removeif modinsert modremove group encaplimit thoplimit set"
    " destination zone usesrc"
)
_PLAIN = _words(
    "up down trailers -trailers arp -arp router -router private -private xmit -xmit -nud nud"
    " anycast -anycast local -local deprecated -deprecated preferred -preferred debug verbose"
    " auto-revarp plumb unplumb modlist failover -failover standby -standby failed -failed"
    " configinfo -encaplimit -zone all-zones ether auto-dhcp dhcp ipmp inet inet6"
)
_PREFIX = re.compile(r"\s*\+?(\d{1,9})")
#: Classes of an IPv4 address without a mask, and of a table's network without a prefix.
_CLASSES = ((128, 8), (192, 16), (224, 24), (256, 32))


@dataclass
class Setting:
    """Hold an address that a file sets.

    :param line: line it stands on, counted from 1.
    :param words: half-open range of the line's words that an ``addif`` takes; None where the
        address is the logical interface's own.
    """

    address: str
    prefix: int
    line: int
    hidden: bool = False
    up: bool = False
    words: tuple[int, int] | None = None

    @property
    def cidr(self) -> str:
        """Return ``address/prefix``."""
        return f"{self.address}/{self.prefix}"

    def alias(self, interface: str, where: str) -> Alias:
        """Return it as the model has it."""
        source = SOURCE_NEVER if self.hidden else SOURCE_AUTO
        return Alias(self.address, self.prefix, interface, source=source, where=where)


@dataclass
class Logical:
    """Hold one file.

    :param number: of the logical interface; 0 for the interface's own file.
    """

    path: str
    family: int
    number: int
    text: str
    settings: list[Setting] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Return the lines that the script reads, line ends left out."""
        return self.text.split("\n")[:-1]

    @property
    def lone(self) -> Setting | None:
        """Return the setting of a file that does nothing but set one address of its own."""
        fits = self.number > 0 and len(self.settings) == 1 and self.settings[0].words is None
        return self.settings[0] if fits and self._plain() else None

    def _plain(self) -> bool:
        """Tell whether its words say nothing that the two lines of ours would not say."""
        known = {"up", "deprecated", "+", "netmask", "broadcast", "inet", "inet6", "set"}
        words = [word for line in self.lines for word in line.split()]
        masks = [words[i + 1] for i, w in enumerate(words[:-1]) if w in ("netmask", "broadcast")]
        mine = self.settings[0].address
        return all(w in known or w in masks or w.partition("/")[0] == mine for w in words)


@dataclass(frozen=True)
class Tables:
    """Hold /etc/hosts and /etc/netmasks.

    :param hosts: name → addresses.
    :param masks: network and mask as numbers.
    """

    hosts: dict[str, tuple[str, ...]]
    masks: tuple[tuple[int, int], ...]

    def mask_of(self, address: str) -> int | None:
        """Return the prefix length that ``netmask +`` finds; getnetmaskbyaddr(3SOCKET).

        An entry fits whose network is the address's own under its mask, or its class's.
        """
        number = int(ipaddress.IPv4Address(address))
        natural = number & _bits(class_prefix(address))
        fitting = [m for net, m in self.masks if number & m == net or net == natural]
        return max(fitting).bit_count() if fitting else None


def _bits(prefix: int) -> int:
    return (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF


def class_prefix(address: str) -> int:
    """Return the prefix length that the kernel gives an IPv4 address without a mask."""
    first = int(address.partition(".")[0])
    return next(prefix for limit, prefix in _CLASSES if first < limit)


def read_tables(host: Host) -> Tables:
    """Read the tables."""
    hosts: dict[str, tuple[str, ...]] = {}
    for path in HOSTS:
        for line in (host.read(path) or "").splitlines():
            words = line.partition("#")[0].split()
            address = canonical_address(words[0]) if words else None
            for name in words[1:] if address else ():
                hosts[name] = (*hosts.get(name, ()), str(address))
    text = next((text for path in NETMASKS if (text := host.read(path)) is not None), "")
    masks = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        try:
            numbers = [int(ipaddress.IPv4Address(word)) for word in words[:2]]
        except ValueError:
            continue
        if len(numbers) == 2:
            masks.append((numbers[0], numbers[1]))
    return Tables(hosts, tuple(masks))


# Files


def own_path(interface: str, family: int, number: int) -> str:
    """Return the file of a logical interface."""
    suffix = f":{number}" if number else ""
    return f"{FOLDERS[family]}.{interface}{suffix}"


def read_files(host: Host, interface: str, tables: Tables | None = None) -> list[Logical]:
    """Return the files of an interface that the boot reads, the interface's own first.

    The script takes names that end in a digit (``echo /etc/hostname.*[0-9]``); what stands
    behind the colon must be the number of a logical interface, or ``ifconfig`` refuses it.

    :raises ParseError: for a line that cannot be read as the script's shell reads it.
    """
    tables = tables or read_tables(host)
    found: list[Logical] = []
    for family, folder in FOLDERS.items():
        main = f"{folder}.{interface}"
        listed = [main, *host.glob(f"{folder}.{glob.escape(interface)}:*[0-9]")]
        numbered = [(path, path[len(main) + 1 :]) for path in listed]
        for path, digits in sorted(numbered, key=lambda one: (len(one[1]), one[1])):
            text = host.read(path)
            if text is None or not (digits == "" or (digits.isascii() and digits.isdigit())):
                continue
            logical = Logical(path, family, int(digits[:9] or 0), text)
            logical.settings = read_settings(logical, tables)
            found.append(logical)
    return found


def read_settings(logical: Logical, tables: Tables) -> list[Setting]:
    """Return the addresses that a file brings up.

    :raises ParseError: a backslash, which joins lines and loses itself in the shell; a
        carriage return, which becomes part of a word; a character that the shell expands.
    """
    lines = logical.lines
    for number, line in enumerate(lines, 1):
        _refuse_signs(logical.path, number, line)
    one = logical.family == IPV4 and len(lines) == 1 and bool(lines[0].split())
    reader = _Reader(logical, tables)
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words[:1] == ["ipmp"]:
            words[:1] = []
        reader.command(number, [*words, *EPILOGUE] if one else words, len(words))
    if logical.family == IPV6 and reader.own is not None:
        # `if_configure` brings it up behind the lines of the file.
        reader.own.up = True
    settings = [*([reader.own] if reader.own is not None else []), *reader.added]
    return [setting for setting in settings if setting.up]


def _refuse_signs(path: str, number: int, line: str) -> None:
    for sign, what in (
        ("\\", "a backslash: the boot's shell takes it away, with the end of its line"),
        ("\r", "a carriage return: ifconfig reads it as part of the word before it"),
        ("*", "`*`: the boot's shell puts the names of files in its place"),
        ("?", "`?`: the boot's shell puts the names of files in its place"),
        ("[", "`[`: the boot's shell puts the names of files in its place"),
    ):
        if sign in line:
            raise ParseError(path, number, what, way_out="take it out of the line")


class _Reader:
    """Read commands as ``ifconfig`` does; what one line sets, the next may add to."""

    def __init__(self, logical: Logical, tables: Tables) -> None:
        self.family, self.numbered = logical.family, logical.number > 0
        self.tables = tables
        #: The logical interface's own address, and those of further ones.
        self.own: Setting | None = None
        self.added: list[Setting] = []
        # Of the command that is being read: whose words these are, the mask that it names,
        # and the addresses without a keyword so far (a second one is a destination).
        self.target: Setting | None = None
        self.mask: str | None = None
        self.bare = 0

    def command(self, line: int, words: Sequence[str], counted: int) -> None:
        """Read one command up to the first word that ``ifconfig`` refuses.

        :param counted: words that stand in the file; behind them is what the script adds.
        """
        self.target, self.bare = self.own, 0
        masks = [v for w, v in pairwise(words) if w == "netmask"]
        self.mask = masks[-1] if masks and self.family == IPV4 else None
        begin: int | None = None
        at = 0
        while at < len(words):
            word, taking = words[at], words[at] in _TAKING
            value = words[at + 1] if at + 1 < len(words) else None
            if word in ("addif", "removeif") and begin is not None and self.target is not None:
                self.target.words, begin = (begin, at), None
            if (taking and value is None) or not self._word(word, value or "", line):
                break
            if word == "addif":
                begin = at
            at += 2 if taking else 1
        if begin is not None and self.target is not None:
            self.target.words = (begin, min(at, counted))

    def _word(self, word: str, value: str, line: int) -> bool:
        """Take one word; return False where ``ifconfig`` would leave."""
        if word == "addif":
            added = None if self.numbered else self._setting(value, line)
            if added is not None:
                self.added.append(added)
                self.target, self.bare = added, 1
            return added is not None
        if word == "removeif":
            gone = self._address(value)
            self.added = [each for each in self.added if each.address != gone]
            self.target = self.own
        elif word == "netmask":
            self._mask_target(value)
        elif word == "set" or (word not in _TAKING and word not in _PLAIN):
            return self._own_address(value if word == "set" else word, line)
        elif self.target is not None and word in ("up", "down"):
            self.target.up = word == "up"
        elif self.target is not None and word in ("deprecated", "-deprecated"):
            self.target.hidden = word == "deprecated"
        return True

    def _own_address(self, text: str, line: int) -> bool:
        """Set the address of the logical interface, or its mask alone (``/24``)."""
        if text.startswith("/"):
            prefix = _prefix(text, self.family)
            if prefix is not None and self.target is not None:
                self.target.prefix = prefix
            return prefix is not None
        if self.bare:
            self.bare += 1
            return self.bare == 2 and self._address(text) is not None
        setting = self._setting(text, line)
        if setting is None:
            return False
        if self.own is not None:
            setting.up, setting.hidden = self.own.up, self.own.hidden
        self.own = self.target = setting
        self.bare = 1
        return True

    def _setting(self, text: str, line: int) -> Setting | None:
        name, slash, _ = text.partition("/")
        address, prefix = self._address(name), _prefix(text, self.family)
        if address is None or (slash and prefix is None):
            return None
        if not slash:
            prefix = MAX_PREFIX[IPV6] if self.family == IPV6 else class_prefix(address)
            if self.mask is not None:
                prefix = self._masked(self.mask, address) or prefix
        return Setting(address, int(prefix or 0), line)

    def _masked(self, mask: str, address: str) -> int | None:
        return self.tables.mask_of(address) if mask == "+" else _netmask(mask)

    def _mask_target(self, mask: str) -> None:
        """Set the mask of an address that is there; it counts for more than its prefix."""
        if self.family == IPV4 and self.target is not None:
            prefix = self._masked(mask, self.target.address)
            self.target.prefix = self.target.prefix if prefix is None else prefix

    def _address(self, name: str) -> str | None:
        address = canonical_address(name)
        listed = (address,) if address else self.tables.hosts.get(name, ())
        return next((each for each in listed if (":" in each) == (self.family == IPV6)), None)


def _prefix(text: str, family: int) -> int | None:
    """Return the prefix length behind a slash, read as ``strtol`` does; None for a bad one."""
    found = _PREFIX.match(text.partition("/")[2])
    prefix = int(found[1]) if found else -1
    return prefix if 0 <= prefix <= MAX_PREFIX[family] else None


def _netmask(text: str) -> int | None:
    """Return the prefix length of a mask: dotted, or a number as ``strtoul`` reads it."""
    try:
        number = int(text, 0) if re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", text) else None
        mask = number if number is not None else int(ipaddress.IPv4Address(text))
        return bin(mask & 0xFFFFFFFF).count("1")
    except ValueError:
        return None


def without_words(text: str, setting: Setting) -> str:
    """Return a file's text without the words of an ``addif``, every other byte kept.

    A line that is left empty goes, unless one alone would stay: that one the script would
    then complete by a mask of its own finding. `up` in its place says nothing new.
    """
    assert setting.words is not None
    lines = text.split("\n")
    at = setting.line - 1
    spans = [found.span() for found in re.finditer(r"\S+", lines[at])]
    first, last = setting.words
    if first > 0:
        # The blanks before it go along.
        start, end = spans[first - 1][1], spans[last - 1][1]
    elif last < len(spans):
        start, end = spans[0][0], spans[last][0]
    else:
        start, end = 0, len(lines[at])
    left = lines[at][:start] + lines[at][end:]
    if left.strip():
        lines[at] = left
    elif len(lines) > 3:
        del lines[at]
    else:
        lines[at] = "up"
    return "\n".join(lines)
