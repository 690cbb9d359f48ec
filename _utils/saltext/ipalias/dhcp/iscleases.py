"""Read dhcpd's lease file, dhcpd.leases(5). Pure.

The file is a journal: dhcpd appends what has changed, and writes it anew now and then. So later
entries win, and the last one may be cut off anywhere: by a crash, or because dhcpd is writing
it. An entry that is not whole says nothing; what the file said before of its address stands.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from ..errors import MALFORMED
from ..model import canonical_address
from .model import ABANDONED, ACTIVE, LEASE_STATES, Lease, LeaseFile, PeerStates

#: A text between quotation marks has no line end in it, for dhcpd writes a backslash and the
#: number: one that has is cut off.
_TOKEN: Final = re.compile(
    r'#[^\n]*|"(?P<text>(?:[^"\\\n]|\\[^\n])*)"|(?P<mark>[{};])|(?P<word>[^\s"{};#]+)|(?P<broken>"[^\n]*)'
)
_ESCAPE: Final = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_NAMED: Final = {"t": "\t", "r": "\r", "n": "\n", "b": "\b"}
_DATE: Final = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})")
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2})*")
_PAIR: Final = re.compile(
    r'(?m)^failover peer "(?:[^"\\\n]|\\[^\n])*" state \{\n(?:[ \t].*\n)*\}\n'
)
#: More is no problem's telling any more.
MOST_PROBLEMS: Final = 50


def is_ipv4(text: str) -> bool:
    """Tell whether a text is an IPv4 address as a server writes one."""
    return "." in text and canonical_address(text) == text


class Quoted(str):
    """Be a text that stood between quotation marks, a character for each byte."""

    __slots__ = ()


class Statement(NamedTuple):
    """Hold words up to a mark.

    :param mark: ``;``, ``{`` or ``}``; empty: the file ends before one.
    """

    words: tuple[str, ...]
    mark: str
    line: int


@dataclass
class _Draft:
    """Hold a lease while it is being read."""

    address: str
    line: int
    state: str = ""
    mac: str = ""
    client: str = ""
    hostname: str = ""
    times: dict[str, float | None] = field(default_factory=dict)

    def lease(self, path: str) -> Lease:
        return Lease(
            self.address,
            # Without one it is of a dhcpd that knew no states.
            self.state or ACTIVE,
            self.mac,
            self.client,
            self.hostname,
            self.times.get("starts"),
            self.times.get("ends"),
            self.times.get("cltt"),
            f"{path}:{self.line}",
        )


def parse_leases(text: str, path: str) -> list[Lease]:
    """Return the last word on each address; see `parse_file`."""
    return list(parse_file(text, path).last().values())


def parse_file(text: str, path: str) -> LeaseFile:
    """Read a lease file, whatever has become of it.

    :param path: for messages.
    """
    reader = _Reader(path)
    for statement in statements(text):
        reader.take(statement)
    reader.end()
    return LeaseFile(path, tuple(reader.leases), tuple(reader.problems), reader.pairs)


def without_tail(text: str) -> str:
    """Return a file without what is cut off at its end, as dhcpd itself would pass it over."""
    end = text.rfind("\n}\n") + 3
    tail = text[end:]
    return text if end < 3 or ("{" not in tail and tail.endswith("\n")) else text[:end]


def without_pairs(text: str) -> str:
    """Return a file without what it says of pairs.

    A dhcpd that has no word of its pair's state takes its leases for incomplete, and asks its
    peer for all of them before it serves (dhcpd.conf(5), "FAILOVER STARTUP").
    """
    return _PAIR.sub("", text)


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a file; the last one may have no mark."""
    words: list[str] = []
    line, counted, first = 1, 0, 1
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind is None:
            continue
        line += text.count("\n", counted, found.start())
        counted = found.start()
        if kind == "mark":
            yield Statement(tuple(words), found[0], first if words else line)
            words = []
            continue
        if not words:
            first = line
        # A quotation mark without its second one is kept: no statement has such a word.
        words.append(Quoted(unescape(found["text"])) if kind == "text" else found[0])
    if words:
        yield Statement(tuple(words), "", first)


def unescape(text: str) -> str:
    """Return a text as dhcpd reads what stands between quotation marks."""
    if "\\" not in text:
        return text

    def character(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 8) & 0xFF)
        return chr(int(found[2], 16)) if found[2] else _NAMED.get(found[3], found[3])

    return _ESCAPE.sub(character, text)


class _Reader:
    """Put statements together."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.leases: list[Lease] = []
        self.problems: list[str] = []
        self.pairs: dict[str, PeerStates] = {}
        self._depth = 0
        self._draft: _Draft | None = None
        self._pair: tuple[str, PeerStates] | None = None

    def take(self, statement: Statement) -> None:
        words, mark, line = statement
        opening = _opening(words) if mark == "{" else ()
        if opening:
            if self._depth or opening != words:
                self._problem(line, "an entry before the next one is cut off")
            self._open(opening, line)
        elif mark == "{":
            self._depth += 1
        elif mark == "}":
            self._close()
        elif mark == ";" and self._depth == 1:
            self._read(words, line)
        elif not mark and words and not self._depth:
            self._problem(line, "the file is cut off here")

    def end(self) -> None:
        if self._depth:
            what = f"the entry of {self._draft.address}" if self._draft else "its last entry"
            line = self._draft.line if self._draft else 0
            self._problem(line, f"the file is cut off: {what} is not whole")

    def _open(self, words: tuple[str, ...], line: int) -> None:
        self._depth, self._draft, self._pair = 1, None, None
        if words[0] == "lease":
            self._draft = _Draft(words[1], line)
        elif words[0] == "failover":
            self._pair = (str(words[2]), PeerStates())

    def _close(self) -> None:
        self._depth = max(0, self._depth - 1)
        if self._depth:
            return
        if self._draft is not None:
            self.leases.append(self._draft.lease(self.path))
        if self._pair is not None:
            self.pairs[self._pair[0]] = self._pair[1]
        self._draft = self._pair = None

    def _read(self, words: tuple[str, ...], line: int) -> None:
        try:
            if self._draft is not None:
                _read_lease(self._draft, words)
            elif self._pair is not None:
                self._pair = (self._pair[0], _read_state(self._pair[1], words))
        except MALFORMED:
            self._problem(line, f"`{' '.join(words)[:80]}` cannot be read")

    def _problem(self, line: int, what: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{self.path}:{line}: {what}" if line else f"{self.path}: {what}")


def _opening(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with which an entry of its own begins, or none.

    Before them may stand what is left of a statement that was cut off.
    """
    lease, pair = words[-2:], words[-4:]
    if len(lease) == 2 and lease[0] == "lease" and not isinstance(lease[0], Quoted):
        return lease if is_ipv4(lease[1]) else ()
    if len(pair) == 4 and (pair[0], pair[1], pair[3]) == ("failover", "peer", "state"):
        return pair if isinstance(pair[2], Quoted) else ()
    return ()


def _read_lease(draft: _Draft, words: tuple[str, ...]) -> None:
    """Take in a statement of a lease; those that are of no use here are passed over."""
    match words:
        case ("starts" | "ends" | "cltt" as key, *rest):
            draft.times[key] = parse_time(tuple(rest))
        case ("binding", "state", state):
            if state not in LEASE_STATES:
                raise ValueError(state)
            draft.state = state
        case ("abandoned",):
            draft.state = ABANDONED
        case ("hardware", _, mac):
            draft.mac = _bytes_of(mac).hex(":")
        case ("uid", value):
            draft.client = _bytes_of(value).hex()
        case ("client-hostname", name):
            draft.hostname = name.encode("latin-1", "replace").decode("utf-8", "replace")


def _bytes_of(value: str) -> bytes:
    """Return bytes: of a text, or of hex digits with colons."""
    if isinstance(value, Quoted):
        return value.encode("latin-1")
    if not _HEX.fullmatch(value):
        raise ValueError(value)
    return bytes(int(part, 16) for part in value.split(":"))


def _read_state(states: PeerStates, words: tuple[str, ...]) -> PeerStates:
    match words:
        case ("my", "state", word, "at", *rest):
            since = parse_time(tuple(rest))
            return PeerStates(word, since, states.partner, states.partner_since)
        case ("partner", "state", word, "at", *rest):
            return PeerStates(states.mine, states.mine_since, word, parse_time(tuple(rest)))
    return states


@lru_cache(maxsize=4096)
def parse_time(words: tuple[str, ...]) -> float | None:
    """Read a moment: ``never``, ``epoch SECONDS`` or weekday, date and time in UTC.

    :raises ValueError: it is none.
    """
    if words == ("never",):
        return None
    if len(words) == 2 and words[0] == "epoch" and re.fullmatch(r"[0-9]{1,12}", words[1]):
        return float(words[1])
    if len(words) != 3 or words[0] not in tuple("0123456"):
        raise ValueError(words)
    date, clock = _DATE.fullmatch(words[1]), _CLOCK.fullmatch(words[2])
    if date is None or clock is None:
        raise ValueError(words)
    year, month, day = (int(part) for part in date.groups())
    hour, minute, second = (int(part) for part in clock.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError(words)
    return float(timegm((year, month, day, hour, minute, second)))
