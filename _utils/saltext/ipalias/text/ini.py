"""Lossless editor of INI files whose sections and keys may repeat.

Two readers share the form and differ in the details, so each has a `Syntax`: systemd
(``conf-parser.c``, systemd.syntax(7)) and GLib's key files, which NetworkManager uses
(``gkeyfile.c``, nm-settings-keyfile(5)). Python's own configparser merges repeated
sections and forgets comments, and so would lose what an operator wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import ParseError

_BLANK = " \t\r\n"


@dataclass(frozen=True)
class Syntax:
    """Say how one reader takes the form.

    :param comments: characters that start a comment line; never after a value.
    :param continued: a trailing backslash joins the next line.
    :param lone_cr: a carriage return alone ends a line too.
    :param strict: a line that is neither assignment nor comment, or an assignment before
        the first section, makes the reader refuse the file; otherwise it is skipped.
    :param keep_trailing: blanks at the end of a value belong to it.
    """

    comments: str
    continued: bool
    lone_cr: bool
    strict: bool
    keep_trailing: bool


SYSTEMD = Syntax("#;", continued=True, lone_cr=True, strict=False, keep_trailing=False)
KEYFILE = Syntax("#", continued=False, lone_cr=False, strict=True, keep_trailing=True)


class Entry(NamedTuple):
    """Hold one assignment.

    :param line: its first line, counted from 1.
    :param own: every line that is part of it; more than one where it is continued.
    """

    key: str
    value: str
    line: int
    own: tuple[int, ...]


@dataclass
class Section:
    """Hold one section as it stands; a name may come several times.

    :param line: line of the header, counted from 1.
    """

    name: str
    line: int
    entries: list[Entry] = field(default_factory=list)

    def values(self, key: str) -> list[str]:
        """Return every value the section gives a key, in file order."""
        return [entry.value for entry in self.entries if entry.key == key]

    def last(self, key: str) -> Entry | None:
        """Return the last assignment of a key, the one that counts for a single value."""
        return next((entry for entry in reversed(self.entries) if entry.key == key), None)

    @property
    def last_line(self) -> int:
        """Return the last line that is the header's or an assignment's own."""
        return max((entry.own[-1] for entry in self.entries), default=self.line)


class Document:
    """Hold a parsed file and the edits to make in it.

    The sections show the file as it was parsed. Edits are collected by line number, which
    keeps thousands of them linear, and show in `text()` only; parse that to look again.
    """

    def __init__(
        self,
        path: str,
        lines: list[str],
        sections: list[Section],
        open_line: int = 0,
        syntax: Syntax = SYSTEMD,
    ) -> None:
        self.path = path
        self.sections = sections
        self._open = open_line
        self._syntax = syntax
        self._lines = lines
        self._dropped: set[int] = set()
        self._inserted: dict[int, list[str]] = {}

    def named(self, name: str) -> Iterator[Section]:
        """Yield each section of a name, in file order."""
        return (section for section in self.sections if section.name == name)

    def insert_entry(self, section: Section, key: str, value: str) -> None:
        """Insert an assignment behind the last one of a section.

        Blank lines and comments before the next header stay before that header.

        :raises ParseError: the file ends within this section in a continued line, which
            would swallow what is put behind it.
        """
        if self._open and section.last_line >= self._open:
            raise ParseError(
                self.path,
                self._open,
                "the last line ends in a backslash and continues nowhere",
                way_out="take the backslash out",
            )
        self._inserted.setdefault(section.last_line, []).append(f"{key}={value}")

    def remove_entry(self, entry: Entry) -> None:
        """Remove an assignment with its continuation lines, comments between them kept."""
        self._dropped.update(entry.own)

    def replace_entry(self, entry: Entry, value: str) -> None:
        """Give an assignment another value, where it stands."""
        self.remove_entry(entry)
        self._inserted.setdefault(entry.own[-1], []).insert(0, f"{entry.key}={value}")

    def remove_section(self, section: Section) -> None:
        """Remove a header, its assignments and one separating blank line; keep comments.

        The blank line before goes, which is the one `add_section` writes; without one, the
        blank line after, so that removing the first section leaves no hole.
        """
        self._dropped.add(section.line)
        for entry in section.entries:
            self._dropped.update(entry.own)
        self._dropped.update(
            number for number in range(section.line, section.last_line) if self._is_blank(number)
        )
        for number in (section.line - 1, section.last_line + 1):
            # A blank line behind a backslash ends an assignment that stays.
            line_above = self._lines[number - 2] if number == section.line - 1 > 1 else ""
            comment = line_above.lstrip(_BLANK)[:1] in tuple(self._syntax.comments)
            escaped = _ends_escaped(line_above.rstrip("\r\n"))
            open_before = self._syntax.continued and escaped and not comment
            if self._is_blank(number) and number not in self._dropped and not open_before:
                self._dropped.add(number)
                break

    def add_section(self, name: str, entries: Iterable[tuple[str, str]]) -> None:
        """Add a section at the end of the file, behind a blank line."""
        added = self._inserted.setdefault(len(self._lines), [])
        if self._lines or added:
            added.append("")
        added.append(f"[{name}]")
        added.extend(f"{key}={value}" for key, value in entries)

    def text(self) -> str:
        """Return the file with the edits made; byte for byte as before without any.

        A file whose last line has no line end gets none by an edit either, so that adding
        something and taking it away again gives the first bytes back.
        """
        if not self._dropped and not self._inserted:
            return "".join(self._lines)
        end = self._line_end()
        result = [line + end for line in self._inserted.get(0, ())]
        for number, line in enumerate(self._lines, 1):
            if number not in self._dropped:
                result.append(line if self._has_end(line) else line + end)
            result.extend(line + end for line in self._inserted.get(number, ()))
        if result and self._lines and not self._has_end(self._lines[-1]):
            # Only what was put there: a carriage return before it may be the file's own.
            last = result[-1]
            bare = re.sub(r"(?:\r\n|\n|\r)\Z", "", last)
            result[-1] = last[: -len(end)] if last.endswith(end) else bare
        return "".join(result)

    def _is_blank(self, number: int) -> bool:
        return 0 < number <= len(self._lines) and not self._lines[number - 1].strip(_BLANK)

    def _has_end(self, line: str) -> bool:
        return line.endswith(("\n", "\r") if self._syntax.lone_cr else "\n")

    def _line_end(self) -> str:
        for line in reversed(self._lines):
            if self._has_end(line):
                return "\r\n" if line.endswith("\r\n") else line[-1]
        return "\n"


def parse(text: str, path: str, syntax: Syntax = SYSTEMD) -> Document:
    """Parse an INI file the way its reader does.

    :param path: where the text stands, for errors.
    :raises ParseError: where the reader would refuse the whole file.
    """
    lines = _split(text, syntax)
    sections: list[Section] = []
    open_line = 0
    for own, logical in _logical_lines(lines, syntax):
        last = lines[own[-1] - 1].rstrip("\r\n")
        open_line = own[0] if syntax.continued and _ends_escaped(last) else 0
        bare = logical.strip(_BLANK)
        if bare.startswith("["):
            sections.append(Section(_section_name(bare, path, own[0]), own[0]))
            continue
        key, equals, value = logical.partition("=")
        key = key.strip(_BLANK)
        if not equals or not key or not sections:
            if syntax.strict:
                raise ParseError(
                    path,
                    own[0],
                    f"{bare!r} is neither a section, an assignment in one, nor a comment",
                    way_out="correct or comment out the line",
                )
            continue
        value = value.lstrip(_BLANK)
        value = value.rstrip("\r\n") if syntax.keep_trailing else value.rstrip(_BLANK)
        sections[-1].entries.append(Entry(key, value, own[0], own))
    return Document(path, lines, sections, open_line, syntax)


def _split(text: str, syntax: Syntax) -> list[str]:
    """Split into lines with their ends, and only where the reader ends a line.

    ``str.splitlines`` would also break at form feeds and Unicode separators.
    """
    pattern = r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+" if syntax.lone_cr else r"[^\n]*\n|[^\n]+"
    return re.findall(pattern, text)


def _logical_lines(lines: list[str], syntax: Syntax) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield line numbers and text of each header or assignment, continued ones joined."""
    own: list[int] = []
    joined = ""
    for number, line in enumerate(lines, 1):
        piece = line.rstrip("\r\n") if syntax.lone_cr else line
        if number == 1 and not own:
            piece = piece.removeprefix("\ufeff")
        piece = piece.lstrip(_BLANK)
        if piece and piece[0] in syntax.comments:
            continue  # systemd skips a comment between continued lines as well
        if not piece and not own:
            continue
        if not own and not (syntax.continued and piece.endswith("\\")):
            yield (number,), piece
            continue
        own.append(number)
        joined += piece
        if syntax.continued and _ends_escaped(joined):
            joined = joined[:-1] + " "
            continue
        yield tuple(own), joined
        own, joined = [], ""
    if own:
        yield tuple(own), joined


def _ends_escaped(text: str) -> bool:
    """Tell whether an odd run of backslashes ends the text, as systemd counts it."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _section_name(header: str, path: str, line: int) -> str:
    if not header.endswith("]"):
        raise ParseError(
            path,
            line,
            f"section header {header!r} does not end in ']'",
            way_out="correct the header; its reader refuses the whole file",
        )
    return header[1:-1]
