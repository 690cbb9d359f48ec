"""Marked blocks: a few lines of ours inside a file that is not ours.

A block begins with ``# BEGIN ipalias NAME`` and ends with ``# END ipalias NAME``. Taking it
out gives back the bytes that were there before: what the insertion had to add around the
block (a final newline, the file itself) is noted on its first line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ParseError

#: The text before the block had no final newline; the block brought one.
NO_EOL = "no-eol"
#: There was no file before the block.
NEW_FILE = "new-file"

_BEGIN = re.compile(r"[ \t]*# BEGIN ipalias (?P<name>\S+)(?: \((?P<notes>[a-z, -]*)\))?[ \t\r]*$")
_END = re.compile(r"[ \t]*# END ipalias (?P<name>\S+)[ \t\r]*$")


@dataclass(frozen=True)
class Block:
    """Hold one block found in a text.

    :param first: index of its BEGIN line, counted from 0.
    :param last: index of its END line.
    :param body: the lines between, as they stand.
    :param notes: what the insertion had to add around it.
    """

    name: str
    first: int
    last: int
    body: str
    notes: frozenset[str] = frozenset()


def split_lines(text: str) -> list[str]:
    """Split a text after each newline only, keeping it; joined again they are the text."""
    lines = text.split("\n")
    tail = lines.pop()
    return [line + "\n" for line in lines] + ([tail] if tail else [])


def newline_of(text: str) -> str:
    r"""Return the line end most lines of a text have: ``\r\n`` or ``\n``."""
    total = text.count("\n")
    return "\r\n" if total and text.count("\r\n") * 2 > total else "\n"


def parse_blocks(text: str, path: str) -> list[Block]:
    """Return every marked block of a text, in order.

    :raises ParseError: for a BEGIN without its END, or an END alone: what lies between
        cannot be told from foreign lines then.
    """
    blocks: list[Block] = []
    lines = split_lines(text)
    opened: tuple[int, re.Match[str]] | None = None
    for index, line in enumerate(lines):
        begin, end = _BEGIN.match(line.rstrip("\n")), _END.match(line.rstrip("\n"))
        if begin:
            if opened:
                raise _unpaired(path, opened[0], "BEGIN", opened[1]["name"])
            opened = (index, begin)
        elif end:
            if opened is None or opened[1]["name"] != end["name"]:
                raise _unpaired(path, index, "END", end["name"])
            notes = frozenset(note for note in (opened[1]["notes"] or "").split(", ") if note)
            body = "".join(lines[opened[0] + 1 : index])
            blocks.append(Block(end["name"], opened[0], index, body, notes))
            opened = None
    if opened:
        raise _unpaired(path, opened[0], "BEGIN", opened[1]["name"])
    return blocks


def _unpaired(path: str, index: int, mark: str, name: str) -> ParseError:
    return ParseError(
        path,
        index + 1,
        f"`# {mark} ipalias {name}` without its other end",
        way_out="put the missing mark back, or remove the mark and the lines that belong to it",
    )


def find_block(text: str, name: str, path: str) -> Block | None:
    """Return the block of a name, or None.

    :raises ParseError: for unpaired marks, or the same block twice.
    """
    found = [block for block in parse_blocks(text, path) if block.name == name]
    if len(found) > 1:
        raise ParseError(
            path,
            found[1].first + 1,
            f"a second block `{name}`; the first is at line {found[0].first + 1}",
            way_out="remove one of them",
        )
    return found[0] if found else None


def insert_block(
    text: str | None, name: str, body: str, *, at: int | None = None, indent: str = ""
) -> str:
    r"""Insert a block before a line, or at the end.

    :param text: the file's text; None where there is no file.
    :param body: whole lines ending in ``\n``; they take the file's own line end.
    :param at: index of the line the block comes before; None: the end of the text.
    :param indent: blanks before the marks, for a block inside a section.
    """
    notes = [NEW_FILE] if text is None else []
    lines = split_lines(text or "")
    newline = newline_of(text or "")
    where = len(lines) if at is None else at
    before = "".join(lines[:where])
    if before and not before.endswith("\n"):
        notes.append(NO_EOL)
        before += newline
    block = [_begin(name, frozenset(notes), indent), *body.split("\n")[:-1]]
    block.append(f"{indent}# END ipalias {name}")
    return before + "".join(line + newline for line in block) + "".join(lines[where:])


def remove_block(text: str, name: str, path: str) -> str | None:
    """Take a block out, giving back the bytes from before its insertion.

    A note that the block carried for the text before it goes to a block of ours that
    follows at once. None: the file was made for the block and holds nothing else.

    :raises ParseError: see `find_block`.
    """
    block = find_block(text, name, path)
    if block is None:
        return text
    lines = split_lines(text)
    before, after = lines[: block.first], lines[block.last + 1 :]
    if not after:
        if NO_EOL in block.notes and before:
            # As our own line ends, not as the line may: its last byte may be a lone CR.
            ours = "\r\n" if lines[block.first].endswith("\r\n") else "\n"
            before[-1] = before[-1].removesuffix(ours)
        return None if NEW_FILE in block.notes and not before else "".join(before)
    if block.notes and (follower := _BEGIN.match(after[0].rstrip("\n"))):
        ending = after[0][len(after[0].rstrip("\r\n")) :]
        indent = after[0][: len(after[0]) - len(after[0].lstrip())]
        after[0] = _begin(follower["name"], block.notes, indent) + ending
    return "".join(before + after)


def replace_block(
    text: str | None,
    name: str,
    body: str,
    path: str,
    *,
    at: int | None = None,
    indent: str = "",
) -> str:
    """Put a body into the block of a name where it stands, or insert the block.

    :raises ParseError: see `find_block`.
    """
    block = find_block(text, name, path) if text is not None else None
    if block is None or text is None:
        return insert_block(text, name, body, at=at, indent=indent)
    newline = newline_of(text)
    lines = split_lines(text)
    lines[block.first + 1 : block.last] = [line + newline for line in body.split("\n")[:-1]]
    return "".join(lines)


def _begin(name: str, notes: frozenset[str], indent: str) -> str:
    told = f" ({', '.join(sorted(notes))})" if notes else ""
    return f"{indent}# BEGIN ipalias {name}{told}"
