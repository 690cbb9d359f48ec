"""Lossless editor of files that hold assignments of shell variables.

Four readers share the form:

* network-scripts source ``ifcfg-*`` with sh (sysconfig.txt of initscripts);
* wicked parses its ``ifcfg-*`` itself (ifcfg(5), ``sysconfig.c``): line by line, each with one
  assignment, no ``export``, nothing expanded, a carriage return at the end dropped;
* rc.conf(5) is sourced by sh;
* netifrc's ``/etc/conf.d/net`` (its ``net.example``) is sourced by sh, or by bash where
  ``/bin/sh`` is bash, and may then hold arrays and ``+=``. dash takes neither.

What counts is a row of nothing but assignments, ``export`` before them or not, outside of every
function, block and subshell: only that is certain to be set when the file has been read. The
grammar is in `shelllex` and `shellword`. A carriage return before the newline is read as part of
the line end, as wicked does; **a shell takes it into an unquoted value**, so a backend whose
reader is a shell looks at `Document.newline` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ..errors import InputError, ParseError
from .blocks import newline_of
from .shellarray import Edit, replace_items
from .shelllex import Command, Lexer, LineNumbers, Row
from .shellword import Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_ESCAPED = re.compile(r'(["\\$`])')


@dataclass(frozen=True)
class Assignment:
    """Hold one assignment as it stands.

    :param value: None where only a shell can tell it (`opaque`), and for an array.
    :param items: of an array, each None where only a shell can tell it; otherwise None.
    :param line: its first line, counted from 1.
    :param last_line: its last one; another where a value or an array goes over several.
    :param append: it is a ``+=`` and adds to what was there.
    """

    name: str
    value: str | None
    items: tuple[str | None, ...] | None
    line: int
    last_line: int
    append: bool

    @property
    def is_array(self) -> bool:
        """Tell whether it is a list in brackets."""
        return self.items is not None

    @property
    def opaque(self) -> bool:
        """Tell whether only a shell can tell the value, or one of the items."""
        return self.value is None if self.items is None else None in self.items


@dataclass(frozen=True)
class _Place:
    row: Row
    command: Command
    word: Word


class Document:
    """Hold a parsed file and the edits to make in it.

    What is asked shows the file as it was parsed. Edits are collected and show in `text()`
    only; parse that to look again. The last edit of a name counts.

    :param path: where the text stands, for errors.
    """

    def __init__(self, source: str, path: str, lexer: Lexer, rows: list[Row]) -> None:
        self.path = path
        #: The line end most lines have, ``\n`` or ``\r\n``.
        self.newline = newline_of(source)
        self._source = source
        self._open_at = lexer.open_at
        self._lines = LineNumbers(source)
        self._rows = rows
        self._found: dict[str, list[tuple[Assignment, _Place]]] = {}
        self._hidden: dict[str, list[int]] = {}
        self._edits: dict[str, list[Edit]] = {}
        self._dropped: set[str] = set()
        self._new: dict[str, tuple[int, str]] = {}
        for row in rows:
            for command in row.commands:
                for word in command.words if command.plain else ():
                    if word.name:
                        entry = self._assignment(word), _Place(row, command, word)
                        self._found.setdefault(word.name, []).append(entry)
        for name, at in lexer.touched:
            self._hidden.setdefault(name, []).append(self._lines.of(at))

    def _assignment(self, word: Word) -> Assignment:
        items = None if word.items is None else tuple(item.value for item in word.items)
        first, last = self._lines.of(word.start), self._lines.of(word.end)
        return Assignment(word.name, word.value, items, first, last, word.append)

    def names(self) -> list[str]:
        """Return every name that is set, in the order of the first assignments."""
        return list(self._found)

    def all(self, name: str) -> list[Assignment]:
        """Return every assignment of a name, in file order."""
        return [assignment for assignment, _ in self._found.get(name, ())]

    def get(self, name: str) -> Assignment | None:
        """Return the last assignment of a name, the one that counts, or None."""
        return self._found[name][-1][0] if name in self._found else None

    def hidden(self, name: str) -> list[int]:
        """Return the lines that may set a name in a way that is not looked into.

        In a function, under a condition, in front of a command, by ``unset`` or ``read``, an
        element of an array: an edit may not be what counts, and the caller says so or refuses.
        """
        return list(self._hidden.get(name, ()))

    def set(
        self, name: str, value: str, *, quote: str | None = None, multiline: bool = False
    ) -> None:
        """Give a name a value where its last assignment stands, or on a new line at the end.

        A file whose last line has no line end gets none by this either.

        :param quote: ``"``, ``'`` or nothing around the value; None: as it was, or as few as
            can be. Where a value cannot stand so, it gets double quotes.
        :param multiline: the value may have several lines.
        :raises InputError: no name, or a character that cannot be in a value.
        :raises ParseError: nothing can be put behind the end of this file.
        """
        self.set_after(name, "", value, quote=quote, multiline=multiline)

    def set_after(
        self,
        name: str,
        other: str,
        value: str,
        *,
        quote: str | None = None,
        multiline: bool = False,
    ) -> None:
        """Give a name a value; a new line comes behind the last assignment of another name.

        Without one of the other name it comes at the end. See `set` for the rest.
        """
        _check(name, value, multiline)
        kept = self._kept(name)
        if kept is None:
            self._add(name, other, f"{name}={_quoted(value, quote or '')}")
            return
        assignment, place = kept
        word = place.word
        self._edits.pop(name, None)
        if assignment.value != value or assignment.append:
            style = self._style(word) if quote is None else quote
            self._edits[name] = [Edit(word.operator_at, word.end, "=" + _quoted(value, style))]

    def set_array(self, name: str, items: Sequence[str], *, other: str = "") -> None:
        """Give a name a list in bash's brackets, keeping the items and comments that stay.

        :param other: a new line comes behind the last assignment of this name.
        :raises InputError: see `set`.
        :raises ParseError: see `set`.
        """
        for item in items:
            _check(name, item, False)
        _check(name, "", False)
        rendered = [_quoted(item, '"') for item in items]
        kept = self._kept(name)
        if kept is None:
            self._add(name, other, f"{name}=( {' '.join(rendered)} )")
            return
        word = kept[1].word
        edits: list[Edit] = []
        if word.items is None:
            edits = [Edit(word.operator_at, word.end, f"=( {' '.join(rendered)} )")]
        elif kept[0].items != tuple(items):
            edits = replace_items(self._source, word, items, rendered, self.newline)
        if word.items is not None and word.append:
            edits.insert(0, Edit(word.operator_at, word.operator_at + 1, ""))
        self._edits[name] = edits

    def remove(self, name: str) -> None:
        """Remove every assignment of a name.

        Its lines go whole, the comment behind it too, where nothing else is on them.
        """
        self._new.pop(name, None)
        self._edits.pop(name, None)
        if name in self._found:
            self._dropped.add(name)

    def text(self) -> str:
        """Return the file with the edits made; byte for byte as before without any."""
        edits = list(chain.from_iterable(self._edits.values()))
        edits.extend(self._cuts())
        # Additions are last at their place: sorting is stable, and they take up nothing there.
        added = [(at, line) for at, line in self._new.values()]
        edits.extend(Edit(at, at, line, whole=True) for at, line in added)
        if not edits:
            return self._source
        return self._apply(sorted(edits, key=lambda edit: (edit.start, edit.end)))

    def _apply(self, edits: Iterable[Edit]) -> str:
        source, done = self._source, 0
        pieces: list[str] = []
        last = "\n"
        unended = bool(source) and not source.endswith("\n")

        def put(piece: str) -> None:
            nonlocal last
            if piece:
                pieces.append(piece)
                last = piece[-1]

        for edit in edits:
            put(source[done : edit.start])
            done = edit.end
            if not edit.whole:
                put(edit.text)
                continue
            at_end = unended and edit.start == len(source)
            # A bare newline, whatever the file's own: a carriage return would be read as part
            # of the value before it, and taking it away again could take too much.
            put("" if last == "\n" else "\n")
            put(edit.text + ("\n" if at_end else self.newline))
        put(source[done:])
        text = "".join(pieces)
        return text[:-1] if unended and text.endswith("\n") and text[-2:] != "\r\n" else text

    def _kept(self, name: str) -> tuple[Assignment, _Place] | None:
        return self._found[name][-1] if name in self._found and name not in self._dropped else None

    def _add(self, name: str, other: str, line: str) -> None:
        at = len(self._source)
        if name in self._new:
            at = self._new[name][0]
        elif other in self._new:
            at = self._new[other][0]
        elif other in self._found:
            at = self._found[other][-1][1].row.end
        if at == len(self._source):
            self._check_end()
        self._new[name] = at, line

    def _check_end(self) -> None:
        what = ""
        if self._open_at >= 0:
            what = "the last line ends in a backslash and continues nowhere"
        elif self._source.endswith("\r"):
            what = "the file ends in a carriage return without a newline"
        if what:
            at = self._open_at if self._open_at >= 0 else len(self._source)
            raise ParseError(
                self.path, self._lines.of(at), what, way_out="end the file with a whole line"
            )

    def _style(self, word: Word) -> str:
        """Return the quote that stands around a value."""
        first = self._source[word.value_at : word.value_at + 1]
        return first if first in ("'", '"') else ""

    def _cuts(self) -> Iterator[Edit]:
        """Yield what the removed assignments take with them."""
        rows = {
            id(place.row): place.row for name in self._dropped for _, place in self._found[name]
        }
        for row in rows.values():
            spans: list[tuple[int, int, bool]] = []
            within: list[Edit] = []
            for command in row.commands:
                words = command.words if command.plain else []
                kept = [not (word.name and word.name in self._dropped) for word in words]
                exported = bool(words) and not words[0].name
                stays = not words or any(kept[1:] if exported else kept)
                spans.append((command.start, command.end if stays else command.behind, stays))
                if stays:
                    within.extend(
                        _without(
                            (words[i].start, words[i].end, keep) for i, keep in enumerate(kept)
                        )
                    )
            if any(stays for _, _, stays in spans):
                yield from within
                yield from _without(spans)
            else:
                yield Edit(row.start, row.end, "")


def _without(spans: Iterable[tuple[int, int, bool]]) -> Iterator[Edit]:
    """Yield the cuts that take spans out of a sequence, with what parts them from the next."""
    last_kept = -1
    pending: list[tuple[int, int]] = []
    for start, end, keep in spans:
        if not keep:
            pending.append((start, end))
            continue
        if pending:
            yield Edit(pending[0][0], start, "")
        pending, last_kept = [], end
    if pending and last_kept >= 0:
        yield Edit(last_kept, pending[-1][1], "")


def parse(text: str, path: str) -> Document:
    """Parse a file of shell variables.

    :param path: where the text stands, for errors.
    :raises ParseError: what would make a shell refuse the file, named with the line it begins
        on: a quote, bracket, block or here-document without its end, or an end without one.
    """
    lexer = Lexer(text, path)
    rows = lexer.rows()
    return Document(text, path, lexer, rows)


def _check(name: str, value: str, multiline: bool) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name of a shell variable",
            way_out="use letters, digits and underscores, no digit first",
        )
    bad = "\0" if multiline else "\0\r\n"
    if any(char in value for char in bad):
        raise InputError(
            f"the value {value!r} of `{name}` holds a NUL byte or a line end",
            way_out="take it out",
        )


def _quoted(value: str, style: str) -> str:
    r"""Return a value so that a shell reads just that.

    In double quotes only ``"``, ``\``, ``$`` and the backquote mean anything (POSIX.1, 2.2.3).
    """
    if style == "'" and "'" not in value:
        return f"'{value}'"
    if style == "" and _BARE.fullmatch(value):
        return value
    return '"' + _ESCAPED.sub(r"\\\1", value) + '"'
