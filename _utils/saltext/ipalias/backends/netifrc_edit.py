"""Edits within one list, in the quotes or brackets that it has, all else kept byte for byte.

What is put behind the last item by one edit leaves nothing when another takes it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import UnsupportedError
from .netifrc_files import Setting

_BARE = r"[A-Za-z0-9_./:@%+,-]+"
#: A value that can be edited in place: in one pair of quotes, or the first line without.
_VALUE = re.compile(rf'"([^"\\$`]*)"|\'([^\']*)\'|({_BARE})(?:"(\r?\n[^"\\$`]*)")?')
#: What stands between the items of an array.
_GAP = re.compile(r"(?:[ \t\n]|\\\n|(?<=[ \t\n(])#[^\n]*)*")
_ELEMENT = re.compile(rf'"([^"\\$`]*)"|\'([^\']*)\'|({_BARE})')
_COMMENT = re.compile(r"[ \t]*#[^\n]*")


class _Piece(NamedTuple):
    """Hold an item of an array as it stands, and what stands before it."""

    gap: str
    item: str
    value: str


def edited_array(setting: Setting, changed: Sequence[str | None], added: Sequence[str]) -> str:
    """Return the text with items of an array changed, taken out (None) and added behind.

    The first to be added begins a line, as the alias guide asks for; in an array whose items
    share a line they do so too.

    :raises UnsupportedError: for an item that holds several addresses, or quoting that cannot
        be kept.
    """
    text = setting.text or ""
    found = next(_arrays(setting), None)
    if found is None:
        raise _too_involved(setting)
    start, end, pieces, rest = found
    if setting.spaced or len([p for p in pieces if p.value.strip()]) != len(changed):
        raise UnsupportedError(
            f"an item of `{setting.name}` holds several addresses",
            where=setting.where,
            way_out="give each an item of its own",
        )
    told = iter(zip(setting.items, changed, strict=True))
    kept: list[_Piece] = []
    carried = ""
    for piece in pieces:
        old, new = next(told) if piece.value.strip() else (None, "")
        gap = _joined(carried, piece.gap)
        carried = ""
        if new is None:
            carried = _comment_of(gap)
            continue
        same = old is None or new == old.text
        kept.append(_Piece(gap, piece.item if same else f'"{new}"', ""))
    rest = _joined(carried, rest)
    if added:
        head = _COMMENT.match(rest)
        gap = _gap_for(kept) if head is None else f"{head[0]}{_gap_for(kept, own_line=True)}"
        rest = rest[head.end() :] if head is not None else rest
        for item in added:
            kept.append(_Piece(gap, f'"{item}"', ""))
            gap = _gap_for(kept)
    body = "".join(f"{piece.gap}{piece.item}" for piece in kept)
    return f"{text[:start]}{body}{rest}{text[end:]}"


def _joined(carried: str, gap: str) -> str:
    """Return a comment that stays and the gap behind it, which a line must part."""
    if carried and not re.match(r"[ \t]*(?:#|\n)", gap):
        return f"{carried}\n{gap}"
    return carried + gap


def _comment_of(gap: str) -> str:
    """Return what stays of the gap before an item that goes: the comments in it."""
    return gap.rpartition("\n")[0] if "#" in gap else ""


def _gap_for(kept: Sequence[_Piece], *, own_line: bool = False) -> str:
    """Return what goes before an item behind those that are there."""
    last = kept[-1].gap if kept else " "
    if "\n" in last:
        return "\n" + last.rpartition("\n")[2]
    return "\n" if own_line or len(kept) == 1 else " "


def _arrays(setting: Setting) -> Iterator[tuple[int, int, list[_Piece], str]]:
    """Yield where the brackets of the last assignment begin and end, and what is in them."""
    text = setting.text or ""
    for start in _values(setting):
        if text[start : start + 1] != "(":
            continue
        pieces: list[_Piece] = []
        at = start + 1
        while True:
            gap = _GAP.match(text, at)
            assert gap is not None  # it may be empty
            item = _ELEMENT.match(text, gap.end())
            if item is None:
                break
            value = next(group for group in item.groups() if group is not None)
            pieces.append(_Piece(gap[0], item[0], value))
            at = item.end()
        values = tuple(piece.value for piece in pieces)
        if text[gap.end() : gap.end() + 1] == ")" and values == setting.last.items:
            yield start + 1, gap.end(), pieces, gap[0]


def _values(setting: Setting) -> Iterator[int]:
    """Yield where a value of the variable may begin, on the line of its last assignment."""
    text, start = setting.text or "", 0
    for _ in range(setting.last.line - 1):
        start = text.index("\n", start) + 1
    line_end = text.find("\n", start)
    name = re.compile(rf"(?<!\w){re.escape(setting.name)}=")
    found = name.finditer(text, start, line_end if line_end >= 0 else len(text))
    for match in reversed(list(found)):
        yield match.end()


def _too_involved(setting: Setting) -> UnsupportedError:
    return UnsupportedError(
        f"the quoting of `{setting.name}` is too involved to be kept",
        where=setting.where,
        way_out=f'write it as {setting.name}="…", an address on a line',
    )


def edited_string(setting: Setting, changed: Sequence[str | None], added: Sequence[str]) -> str:
    """Return the text with items of a string changed, taken out (None) and added behind.

    Whatever else is in the quotes stays, the quotes too: a value without any keeps its first
    line outside of those that the new lines need.

    :raises UnsupportedError: for quoting that cannot be kept.
    """
    text = setting.text or ""
    span = _value_span(setting)
    if span is None:
        raise _too_involved(setting)
    start, end, quote = span
    value = setting.last.value or ""
    if setting.spaced:
        value = _edit_words(value, changed, added)
    else:
        value = _edit_lines(value, changed, added, setting.document.newline)
    return text[:start] + _quoted(value, quote) + text[end:]


def _value_span(setting: Setting) -> tuple[int, int, str] | None:
    """Return where the value of the last assignment stands, and its quote."""
    text = setting.text or ""
    for start in _values(setting):
        value = _VALUE.match(text, start)
        if value is None or not re.match(r"[\s;]|\Z", text[value.end() : value.end() + 1]):
            continue
        double, single, bare, tail = value.groups()
        said = double if double is not None else single
        if said is None:
            said = bare + (tail or "")
        if said == setting.last.value:
            quote = '"' if double is not None else "'" if single is not None else ""
            return value.start(), value.end(), quote
    return None


def _quoted(value: str, quote: str) -> str:
    if quote:
        return f"{quote}{value}{quote}"
    first = re.match(_BARE, value)
    rest = value[first.end() :] if first else value
    if first is None or (rest and rest[0] not in "\r\n"):
        return f'"{value}"'
    return first[0] + (f'"{rest}"' if rest else "")


def _edit_words(value: str, changed: Sequence[str | None], added: Sequence[str]) -> str:
    """Edit a list of words on one line; the blanks between those that stay are kept."""
    pieces = re.findall(r"\s*\S+", value)
    tail = value[sum(map(len, pieces)) :]
    kept = [piece for piece, text in zip(pieces, changed, strict=True) if text is not None]
    return "".join(kept) + "".join(f" {text}" for text in added) + tail


def _edit_lines(
    value: str, changed: Sequence[str | None], added: Sequence[str], newline: str
) -> str:
    """Edit a list with an item a line; blank lines and indents are kept."""
    told = iter(changed)
    lines: list[tuple[str, str]] = []
    last = -1
    cut_end = False
    for raw in re.findall(r"[^\n]*\n|[^\n]+\Z", value) or [""]:
        body = raw.rstrip("\r\n") if raw.endswith("\n") else raw
        end = raw[len(body) :]
        if body.strip(" \t\r\v\f"):
            text = next(told)
            if text is None:
                cut_end = cut_end or not end
                continue
            words = body.strip(" \t\r\v\f")
            if re.sub(r"[ \t\r\v\f]+", " ", words) != text:
                body = body.replace(words, text)
            last = len(lines)
        lines.append((body, end))
    if cut_end and lines:
        lines[-1] = lines[-1][0], ""
    if not added:
        return "".join(map("".join, lines))
    if last < 0:
        return newline.join(added) + "".join(map("".join, lines))
    body, end = lines[last]
    indent = re.match(r"[ \t]*", body)[0] if last else ""  # type: ignore[index]
    more = [(indent + text, end or newline) for text in added]
    if not end:
        lines[last] = body, newline
        more[-1] = more[-1][0], ""
    lines[last + 1 : last + 1] = more
    return "".join(map("".join, lines))
