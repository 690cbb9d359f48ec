"""A lossless model of interfaces(5): stanzas and options over the raw lines of a file.

The text is never rendered anew from the model: an edit takes out or puts in whole lines,
so that everything else keeps its bytes. What counts as a line, a comment or an error is
what ifupdown 0.8.41 does: comments start a line, a backslash at its end continues it
(not in a comment), ``auto`` ends a stanza, an option outside a stanza is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ..errors import ParseError
from .blocks import split_lines

IFACE = "iface"
AUTO = "auto"
MAPPING = "mapping"
SOURCE = "source"
SOURCE_DIRECTORY = "source-directory"
_ONE_LINE = ("no-auto-down", "no-scripts", "rename")
#: ``iface eth0`` without family and method: only where the parser is told to take it.
_FULL_IFACE = 4


@dataclass(frozen=True)
class Option:
    """Hold one option of a stanza.

    :param first: index of its first line, counted from 0.
    :param last: index of its last line; larger where a backslash continued it.
    """

    name: str
    value: str
    first: int
    last: int


@dataclass(frozen=True)
class Stanza:
    """Hold one stanza, or one line that stands alone (``auto``, ``source``).

    :param kind: its first word; `SOURCE_DIRECTORY` also for the short ``source-dir``.
    :param words: the words after it.
    :param first: index of its first line, counted from 0.
    :param header: index of the last line of its heading.
    """

    kind: str
    words: tuple[str, ...]
    first: int
    header: int
    options: tuple[Option, ...] = ()

    @property
    def name(self) -> str:
        """Return the interface an ``iface`` stanza is for."""
        return self.words[0] if self.words else ""

    @property
    def family(self) -> str:
        """Return ``inet``, ``inet6`` …; empty where the stanza leaves it out."""
        return self.words[1] if len(self.words) > 1 and self.words[1] != "inherits" else ""

    @property
    def method(self) -> str:
        """Return ``static``, ``dhcp`` …; empty where the stanza leaves it out."""
        plain = self.family and len(self.words) > 2 and self.words[2] != "inherits"
        return self.words[2] if plain else ""

    @property
    def inherits(self) -> str:
        """Return the stanza whose options this one takes over; empty for none."""
        if "inherits" in self.words[1:-1]:
            return self.words[self.words.index("inherits", 1) + 1]
        return ""

    @property
    def last(self) -> int:
        """Return the index of its last line; comments and blank lines after it are not its."""
        return self.options[-1].last if self.options else self.header

    @property
    def is_class(self) -> bool:
        """Tell whether it is an ``auto`` or ``allow-…`` line."""
        return self.kind == AUTO or self.kind.startswith("allow-")

    def values(self, name: str) -> list[str]:
        """Return the values of an option, in order."""
        return [option.value for option in self.options if option.name == name]


@dataclass(frozen=True)
class Document:
    """Hold one file: its raw lines, and the stanzas seen in them."""

    path: str
    lines: tuple[str, ...]
    stanzas: tuple[Stanza, ...]

    @cached_property
    def text(self) -> str:
        """Return the file's text, byte for byte."""
        return "".join(self.lines)

    def ifaces(self, name: str) -> list[Stanza]:
        """Return the ``iface`` stanzas of a name, in order."""
        return [s for s in self.stanzas if s.kind == IFACE and s.name == name]

    def without(self, edits: Mapping[int, str | None]) -> str:
        """Return the text with lines replaced, or taken out where the new line is None."""
        kept = (edits.get(index, line) for index, line in enumerate(self.lines))
        return "".join(line for line in kept if line is not None)


def parse_interfaces(
    text: str, path: str, *, short_iface: bool = False, strict: bool = True
) -> Document:
    """Parse the text of one file.

    :param short_iface: take ``iface eth0`` without family and method, as ifupdown2 and
        ifupdown-ng do.
    :param strict: raise for what the platform refuses; otherwise skip it.
    :raises ParseError: with the line the platform would name.
    """
    lines = tuple(split_lines(text))
    stanzas: list[Stanza] = []
    opened: Stanza | None = None
    options: list[Option] = []

    def close() -> None:
        nonlocal opened
        if opened is not None:
            stanzas.append(
                Stanza(opened.kind, opened.words, opened.first, opened.header, tuple(options))
            )
        opened = None
        options.clear()

    for first, last, logical in _logical_lines(lines):
        word, _, rest = logical.partition(" ")
        kind = _stanza_kind(word)
        if kind:
            close()
            stanza = Stanza(kind, tuple(rest.split()), first, last)
            if kind in (IFACE, MAPPING):
                opened = stanza
                problem = _bad_heading(stanza, short_iface)
            else:
                stanzas.append(stanza)
                problem = ""
        elif opened is None:
            problem = f"option `{word}` stands outside any stanza"
        else:
            options.append(Option(word, rest.strip(), first, last))
            problem = _bad_option(opened, options[-1], short_iface)
        if problem and strict:
            raise ParseError(path, first + 1, problem, way_out="ifup refuses this file: mend it")
    close()
    return Document(path, lines, tuple(stanzas))


def _stanza_kind(word: str) -> str:
    """Return the kind of stanza a line's first word begins; empty for an option."""
    if word == "source-dir":
        return SOURCE_DIRECTORY
    known = word in (IFACE, AUTO, MAPPING, SOURCE, SOURCE_DIRECTORY, *_ONE_LINE)
    return word if known or (word.startswith("allow-") and len(word) > 6) else ""


def _bad_heading(stanza: Stanza, short_iface: bool) -> str:
    """Say what is wrong with an ``iface`` heading; empty when nothing is."""
    if stanza.kind != IFACE:
        return ""
    if not stanza.words:
        return "`iface` without a name"
    if short_iface or stanza.inherits:
        return ""
    if len(stanza.words) + 1 < _FULL_IFACE:
        return f"`iface {' '.join(stanza.words)}` has too few words: NAME FAMILY METHOD"
    return ""


def _bad_option(stanza: Stanza, option: Option, short_iface: bool) -> str:
    """Say what is wrong with an option; empty when nothing is."""
    if stanza.kind == MAPPING and option.name not in ("script", "map"):
        return f"option `{option.name}` does not belong in a mapping"
    if not option.value and not short_iface:
        return f"option `{option.name}` has no value"
    return ""


def _logical_lines(lines: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Yield (first, last, text) of each line that is not blank or a comment.

    Blanks between the first word and the rest become one space.
    """
    index = 0
    while index < len(lines):
        first = index
        text = lines[index].rstrip("\n").lstrip()
        index += 1
        if not text.rstrip() or text.startswith("#"):
            continue
        while text.endswith("\\") and index < len(lines):
            text = text[:-1] + lines[index].rstrip("\n")
            index += 1
        words = text.rstrip().removesuffix("\\").split(None, 1)
        if words:
            yield first, index - 1, " ".join(words)


def without_class_word(document: Document, name: str) -> dict[int, str | None]:
    """Return the edits that take a name out of the ``auto`` and ``allow-…`` lines.

    A line that names nothing else goes as a whole.
    """
    edits: dict[int, str | None] = {}
    word = re.compile(rf"[ \t]+{re.escape(name)}(?=[ \t\r\n\\]|$)")
    for stanza in document.stanzas:
        if not stanza.is_class or name not in stanza.words:
            continue
        for index in range(stanza.first, stanza.header + 1):
            alone = set(stanza.words) == {name}
            edits[index] = None if alone else word.sub("", document.lines[index])
    return edits
