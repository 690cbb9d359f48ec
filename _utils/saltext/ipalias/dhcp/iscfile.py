"""Read a dhcpd.conf that stands, as dhcpd.conf(5) and `conflex.c` of ISC's source have it.

A file is statements; one ends with a semicolon or with a block in braces. What they mean is
left to who asks.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from ..errors import ParseError, RefusedError
from .model import DhcpConfig

#: A string's escapes keep their backslash here: what a string is compared with has none.
_TOKEN = re.compile(
    r"""(?P<blank>[\s,]+|\#[^\n]*)
    |"(?P<string>(?:[^"\\\n]|\\.)*)"
    |(?P<mark>[{};])
    |(?P<word>[^\s,{};"\#]+)""",
    re.VERBOSE,
)
#: Blocks in blocks; a file that nests deeper is none that anybody wrote.
_DEEPEST = 40


@dataclass(frozen=True)
class Token:
    """Hold a word or a string.

    :param at: offset in the text.
    """

    text: str
    quoted: bool
    at: int


@dataclass(frozen=True)
class Statement:
    """Hold one statement.

    :param block: what stands in its braces; None: it ends with a semicolon.
    :param line: it begins on, counted from 1.
    """

    words: tuple[Token, ...]
    block: tuple[Statement, ...] | None
    path: str
    line: int
    start: int
    end: int

    @property
    def texts(self) -> tuple[str, ...]:
        """Return its words, those of dhcpd in lower case as it compares them."""
        return tuple(word.text if word.quoted else word.text.lower() for word in self.words)

    @property
    def where(self) -> str:
        """Return path and line."""
        return f"{self.path}:{self.line}"

    def opens(self, *words: str) -> bool:
        """Tell whether it begins with these words."""
        return self.texts[: len(words)] == words

    def text(self) -> str:
        """Return it on one line, without its block."""
        shown = (f'"{word.text}"' if word.quoted else word.text for word in self.words)
        return " ".join(shown) + ("" if self.block is None else " {…}")


def parse(text: str, path: str) -> tuple[Statement, ...]:
    """Read a file into its statements.

    :raises ParseError: a string, block or statement without its end, or an end without one.
    """
    reader = _Reader(text, path)
    statements, closed = reader.block(0)
    if closed:
        raise reader.error(reader.at - 1, "a `}` that closes nothing")
    return statements


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.at = 0
        self.ends = [found.start() for found in re.finditer("\n", text)]

    def line(self, at: int) -> int:
        """Return the line of an offset, counted from 1."""
        return bisect_left(self.ends, at) + 1

    def error(self, at: int, what: str) -> ParseError:
        way_out = "`dhcpd -t` shows what it makes of it"
        return ParseError(self.path, self.line(at), what, way_out=way_out)

    def block(self, depth: int) -> tuple[tuple[Statement, ...], bool]:
        """Read up to the end, or to a closing brace: whether it was one comes second."""
        if depth > _DEEPEST:
            raise self.error(self.at, f"more than {_DEEPEST} blocks in one another")
        found: list[Statement] = []
        words: list[Token] = []
        while self.at < len(self.text):
            start = self.at
            match = _TOKEN.match(self.text, start)
            if match is None:
                raise self.error(start, "a string without its end on the line")
            self.at = match.end()
            if match["blank"] is not None:
                continue
            mark = match["mark"]
            if mark is None:
                string = match["string"]
                words.append(
                    Token(match["word"] if string is None else string, string is not None, start)
                )
            elif mark == "}":
                if words:
                    raise self.error(words[0].at, "a statement without its `;`")
                return tuple(found), True
            elif mark == "{":
                inner, closed = self.block(depth + 1)
                if not closed:
                    raise self.error(start, "a `{` without its `}`")
                found.append(self.statement(words, inner, start))
                words = []
            elif words:
                found.append(self.statement(words, None, start))
                words = []
        if words:
            raise self.error(words[0].at, "a statement without its `;`")
        return tuple(found), False

    def statement(
        self, words: Sequence[Token], block: tuple[Statement, ...] | None, start: int
    ) -> Statement:
        first = words[0].at if words else start
        return Statement(tuple(words), block, self.path, self.line(first), first, self.at)


def walk(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Yield every statement, those of a block after it."""
    for statement in statements:
        yield statement
        yield from walk(statement.block or ())


def standing(
    read: Callable[[str], str | None], path: str, ours: Collection[str] = ()
) -> tuple[Statement, ...]:
    """Return the statements of a file, those of what it includes in place of the ``include``.

    :param read: gives a file's text; None: there is none.
    :param ours: paths that are left out.
    :raises ParseError: a file cannot be read, is not there, or includes itself.
    """

    def expand(statements: Sequence[Statement], seen: tuple[str, ...]) -> Iterator[Statement]:
        for statement in statements:
            if not statement.opens("include") or len(statement.words) != 2:
                inside = statement.block
                if inside is not None:
                    inside = tuple(expand(inside, seen))
                yield replace(statement, block=inside)
                continue
            included = statement.words[1].text
            if included in ours:
                continue
            text = None if included in seen else read(included)
            if text is None:
                what = "includes itself" if included in seen else "is not there"
                raise ParseError(
                    statement.path,
                    statement.line,
                    f"{included} {what}",
                    way_out="take the line out, or make the file",
                )
            yield from expand(parse(text, included), (*seen, included))

    return tuple(expand(parse(read(path) or "", path), (path,)))


def refuse_clash(statements: Sequence[Statement], config: DhcpConfig) -> None:
    """Refuse a file beside ours that declares what ours does.

    dhcpd takes a subnet or a peer that is declared twice, and which of the two counts is not
    said anywhere.

    :param statements: of the server's own file and what it includes, without ours.
    :raises RefusedError: naming file and line.
    """
    ours = [IPv4Network(subnet.network) for subnet in config.subnets]
    reserved = {one.mac for subnet in config.subnets for one in subnet.reservations}
    for statement in walk(statements):
        what = ""
        network = network_of(statement)
        if network is not None and any(network.overlaps(own) for own in ours):
            what = f"declares {network}, and so does the pillar"
        elif statement.opens("failover", "peer") and statement.block is not None:
            what = f"declares a pair of its own: {statement.text()}"
        elif statement.texts[:1] in (("omapi-port",), ("omapi-key",)):
            what = f"has an OMAPI of its own: {statement.text()}"
        elif statement.opens("hardware", "ethernet") and mac_of(statement) in reserved:
            what = f"has a client that the pillar has, {mac_of(statement)}"
        if what:
            raise RefusedError(
                what,
                where=statement.where,
                way_out="take it out there, or write `whole: true` to have the file written whole",
            )


def network_of(statement: Statement) -> IPv4Network | None:
    """Return the network of a ``subnet … netmask …`` with a block; None: it is none."""
    texts = statement.texts
    if statement.block is None or len(texts) != 4 or (texts[0], texts[2]) != ("subnet", "netmask"):
        return None
    try:
        return IPv4Network(f"{texts[1]}/{texts[3]}")
    except ValueError:
        return None


def mac_of(statement: Statement) -> str:
    """Return the address of a ``hardware ethernet …``, as the pillar has it; empty: none."""
    parts = statement.texts[2].split(":") if len(statement.texts) == 3 else []
    try:
        numbers = [int(part, 16) for part in parts]
    except ValueError:
        return ""
    sound = len(numbers) == 6 and all(0 <= number < 256 for number in numbers)
    return ":".join(f"{number:02x}" for number in numbers) if sound else ""
