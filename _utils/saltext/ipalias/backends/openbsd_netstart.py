"""Read hostname.if(5) as ``/etc/netstart`` does: lines to commands, commands to addresses.

The grammar is the script itself (netstart 1.180 of 2017 to 1.229 of 2022: ifstart and
parse_hn_line), and behind it ``ifconfig.c``: a packed line becomes one ``ifconfig`` command,
which the shell then evaluates. So a word in the wrong place does not give an address without
an option but a command that fails: ``inet 192.0.2.9/32 alias`` becomes ``netmask alias``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ..errors import ParseError
from ..model import IPV4, IPV6
from ..text.blocks import split_lines

#: What ``set -A _c -- $_line`` splits at: the shell's own IFS.
_WORDS = re.compile(r"[^ \t\n]+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: One word of a command as the shell reads it, or what ends the command.
_TOKEN = re.compile(
    r"[ \t]*(?:(?P<end>$|[#;&|<>()\n])"
    r"""|(?P<word>(?:[^ \t\n"'\\;&|<>()$`]|"[^"$`\\]*"|'[^']*')+))"""
)
_QUOTES = re.compile(r"[\"']")
_IFCONFIG = ("ifconfig", "/sbin/ifconfig")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Line:
    """Hold one line as the shell's ``read`` gives it, without ``-r``.

    A backslash at its end joins the next one, also in a comment.

    :param first: index of its first line in the file, counted from 0.
    :param last: index of its last.
    :param text: joined, backslashes gone.
    :param ended: False for a last line without a newline: ``read`` fails there, and the
        script does not come to it.
    """

    first: int
    last: int
    text: str
    ended: bool

    @property
    def words(self) -> list[str]:
        """Return its words."""
        return _WORDS.findall(self.text)

    @property
    def effective(self) -> bool:
        """Tell whether the script does anything with it: neither blank nor a comment."""
        words = self.words
        return bool(words) and not words[0].startswith("#")


@dataclass(frozen=True)
class Command:
    """Hold a command that netstart runs, and the lines that it comes from.

    :param packed: True where it is made of a line, False where a ``!`` line says it.
    """

    text: str
    first: int
    last: int
    packed: bool = True


@dataclass(frozen=True)
class Setting:
    """Hold what an ``ifconfig`` command does to the addresses of a link.

    :param verb: ``add``, ``replace`` (IPv4 without ``alias``: the first address goes),
        ``delete``, or ``clear`` (``-inet``, ``-inet6``: all of the family go).
    :param hidden: ``pltime 0``.
    :param more: an option or another end that an alias cannot carry.
    """

    verb: str
    family: int
    address: str = ""
    prefix: int = 0
    hidden: bool = False
    more: bool = False


def read_lines(text: str) -> list[Line]:
    """Return the lines of a file as the script's ``read`` gives them."""
    found: list[Line] = []
    held, first = "", 0
    physical = split_lines(text)
    for index, raw in enumerate(physical):
        body = raw.removesuffix("\n")
        ended = body != raw
        if ended and _goes_on(body):
            held += _ESCAPED.sub(r"\1", body[:-1])
            continue
        found.append(Line(first, index, held + _ESCAPED.sub(r"\1", body), ended))
        held, first = "", index + 1
    if first < len(physical):
        found.append(Line(first, len(physical) - 1, held, False))
    return found


def _goes_on(body: str) -> bool:
    """Tell whether a line ends with a backslash that no other escapes."""
    return (len(body) - len(body.rstrip("\\"))) % 2 == 1


def read_commands(lines: Sequence[Line], interface: str, path: str) -> list[Command]:
    """Return what the script would run for a file, in order.

    :raises ParseError: for a line that ends in a carriage return, which ``ifconfig`` would
        get as part of the last word.
    """
    commands: list[Command] = []
    for line in lines:
        if not line.effective or not line.ended:
            continue
        if line.text.endswith("\r"):
            raise carriage_return(path, line)
        words = line.words
        if words[0] == "dest":
            if len(words) == 2 and commands:
                commands[-1] = _with_end(commands[-1], words[1], line)
        elif words[0].startswith("!"):
            text = " ".join(words).replace("$if", interface)[1:]
            commands.append(Command(text, line.first, line.last, packed=False))
        elif packed := _packed(words):
            text = " ".join(["ifconfig", interface, *packed])
            commands.append(Command(text, line.first, line.last))
    return commands


def carriage_return(path: str, line: Line) -> ParseError:
    """Return the error for a line with the line end of another system."""
    return ParseError(
        path,
        line.first + 1,
        "a carriage return before the newline, which netstart hands on as part of the last word",
        way_out="save the file with plain newlines",
    )


def _packed(words: list[str]) -> list[str]:
    """Return the arguments that a packed line becomes; nothing for one that is passed over."""
    if words[0] == "dhcp":
        # Up to OpenBSD 6.8 dhclient was started here; neither sets an address of the file.
        return ["inet", "autoconf"]
    if words[0] not in ("inet", "inet6"):
        return words
    if len(words) == 1:
        return []
    if words[1] == "autoconf":
        return words
    at = 3 if words[1] == "alias" else 2
    rest = words[at:]
    if rest:
        rest[0] = f"{'netmask' if words[0] == 'inet' else 'prefixlen'} {rest[0]}"
    if words[0] == "inet" and len(rest) > 1:
        rest[1] = "" if rest[1].endswith("NONE") else f"broadcast {rest[1]}"
    return [*words[:at], *rest]


def _with_end(command: Command, end: str, line: Line) -> Command:
    """Return a command with the other end's address put behind its own, as ``dest`` does."""
    words = _WORDS.findall(command.text)
    at = 4 if words[3:4] == ["alias"] else 3
    words[at : at + 1] = [*words[at : at + 1], end]
    return Command(" ".join(words), command.first, line.last, command.packed)


def shell_words(text: str) -> tuple[list[str], bool]:
    """Return the words of the first command of a text, and whether the shell expands none.

    Where it would, the words before that are returned.
    """
    words: list[str] = []
    at = 0
    while found := _TOKEN.match(text, at):
        if found["end"] is not None:
            return words, True
        words.append(_QUOTES.sub("", found["word"]))
        at = found.end()
    return words, False


def read_setting(command: Command, interface: str, path: str) -> Setting | None:
    """Return what a command does to the link's addresses, or None.

    A host name for an address is not read: it is looked up at boot.

    :raises ParseError: where the shell would have to be run to know the address.
    """
    words, whole = shell_words(command.text)
    if words[:1] and words[0] in _IFCONFIG and words[1:2] == [interface]:
        setting = _parse_arguments(words[2:])
        if not whole and command.packed and setting is None and _wants_address(words[2:]):
            raise ParseError(
                path,
                command.first + 1,
                "netstart evaluates this line in a shell, and what comes out is not to be known",
                way_out="write the address itself, or run the command from a `!` line",
            )
        return setting
    return None


def _wants_address(words: Sequence[str]) -> bool:
    """Tell whether the words so far let an address or its mask follow."""
    return words[:1] in (["inet"], ["inet6"], ["alias"]) and len(words) < 5


def runs_ifconfig(command: Command, interface: str) -> bool:
    """Tell whether a command sets something of the link itself."""
    words, _ = shell_words(command.text)
    return words[:1] != [] and words[0] in _IFCONFIG and words[1:2] == [interface]


def _parse_arguments(words: Sequence[str]) -> Setting | None:
    """Return what the arguments behind the link's name do, as ``ifconfig.c`` reads them.

    An address stands first, behind the family and ``alias``; then its other end; then options
    in any order. None also where ifconfig refuses the whole line.
    """
    family, at = IPV4, 0
    if words[:1] in (["inet"], ["inet6"]):
        family, at = (IPV6 if words[0] == "inet6" else IPV4), 1
    if words[at : at + 1] in (["-inet"], ["-inet6"]):
        return Setting("clear", IPV6 if words[at] == "-inet6" else IPV4)
    verb = "add" if family == IPV6 else "replace"
    if words[at : at + 1] in (["alias"], ["-alias"], ["delete"]):
        verb, at = ("add" if words[at] == "alias" else "delete"), at + 1
    if at >= len(words):
        return None
    address, prefix = _address(words[at], family)
    if not address:
        return None
    return _with_options(Setting(verb, family, address), prefix, list(words[at + 1 :]))


def _with_options(setting: Setting, prefix: int | None, rest: list[str]) -> Setting | None:
    family, verb = setting.family, setting.verb
    hidden, more = False, bool(rest and _address(rest[0], family)[0])
    if prefix is None:
        prefix = _default_prefix(setting.address, family, other_end=more)
    while rest:
        word = rest.pop(0)
        if word in ("netmask", "prefixlen", "broadcast", "pltime"):
            if not rest:
                return None  # "'netmask' requires argument"
            value = rest.pop(0)
            if word == "pltime":
                hidden = value == "0"
            elif word != "broadcast":
                prefix = _mask(value, family, plain=word == "prefixlen")
                if prefix is None:
                    return None  # "bad value", "non-contiguous mask", "prefix 129: too large"
            elif family == IPV4 and not _address(value, family)[0]:
                return None
        elif word == "alias":
            verb = "add"
        elif word in ("-alias", "delete"):
            verb = "delete"
        elif word == "eui64":
            return None  # half of the address comes from the link's own
        else:
            more = True
    return Setting(verb, family, setting.address, prefix, hidden, more)


def _default_prefix(address: str, family: int, *, other_end: bool) -> int:
    """Return the prefix of an address without one.

    IPv6: 64, with another end 128 (``ifconfig.c``, main). IPv4: that of its class (``in.c``,
    in_ifinit).
    """
    if family == IPV6:
        return 128 if other_end else 64
    top = int(address.partition(".")[0])
    return 8 if top < 128 else 16 if top < 192 else 24


def _address(word: str, family: int) -> tuple[str, int | None]:
    """Return address and prefix of ``A`` or ``A/N``; empty where it is neither."""
    text, slash, bits = word.partition("/")
    prefix: int | None = None
    if slash:
        prefix = _mask(bits, family, plain=True)
        if prefix is None:
            return "", None
    try:
        if family == IPV6:
            return str(IPv6Address(text.partition("%")[0])), prefix
        return str(IPv4Address(text)), prefix
    except ValueError:
        return "", None


def _mask(word: str, family: int, *, plain: bool) -> int | None:
    """Return the length of a mask: a number, or for IPv4 dotted or hexadecimal.

    0 is taken for the whole length (``ifconfig.c``, in_getprefix, in6_getprefix).
    """
    most = 128 if family == IPV6 else 32
    if plain or family == IPV6:
        if not _NUMBER.fullmatch(word) or int(word) > most:
            return None
        return int(word) or most
    if not word.isascii():
        return None
    try:
        bits = int.from_bytes(socket.inet_aton(word), "big")
    except (OSError, ValueError):
        return None
    if bits & (~bits >> 1 & 0x7FFFFFFF):
        return None
    return bits.bit_count()


def setting_lines(
    lines: Sequence[Line], commands: Sequence[Command], interface: str
) -> Iterator[Line]:
    """Yield the lines that configure the link: all but comments and other programs' commands."""
    ours = {
        command.first for command in commands if command.packed or runs_ifconfig(command, interface)
    }
    for line in lines:
        if line.effective and (line.first in ours or not line.words[0].startswith("!")):
            yield line
