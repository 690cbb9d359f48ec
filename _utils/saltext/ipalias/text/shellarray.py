"""Change the items of a bash array and leave those that stay, and the comments, as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .shellword import Word

_REST = re.compile(r"([ \t]*(?:#[^\n]*?)?)\r?\n")


class Edit(NamedTuple):
    """Hold what comes in place of a span of a text.

    :param whole: it is a line of its own, without its end.
    """

    start: int
    end: int
    text: str
    whole: bool = False


def replace_items(
    source: str, array: Word, items: Sequence[str], rendered: Sequence[str], newline: str
) -> list[Edit]:
    """Return the edits that give an array other items.

    Those that are the same at its beginning and at its end stay; between them goes what is no
    longer wanted, with its line where it has one of its own, and what is new comes in, one on
    a line where the items before it stand so.

    :param rendered: the items, quoted.
    """
    old = array.items or []
    shorter = min(len(old), len(items))
    head = next((i for i in range(shorter) if old[i].value != items[i]), shorter)
    tail = next(
        (i for i in range(shorter - head) if old[-1 - i].value != items[-1 - i]), shorter - head
    )
    edits = [_removed(source, array, old, i) for i in range(head, len(old) - tail)]
    new = rendered[head : len(rendered) - tail]
    if new:
        edits.append(_inserted(source, array, old, head, new, newline))
    return edits


def _inserted(
    source: str, array: Word, old: list[Word], head: int, new: Sequence[str], newline: str
) -> Edit:
    if head:
        before = old[head - 1]
        indent, rest = _indent(source, before), _REST.match(source, before.end)
        if indent is not None and rest:
            at = rest.end(1)
            return Edit(at, at, "".join(f"{newline}{indent}{item}" for item in new))
        return Edit(before.end, before.end, "".join(" " + item for item in new))
    if old:
        indent = _indent(source, old[0])
        if indent is not None:
            at = old[0].start - len(indent)
            return Edit(at, at, "".join(f"{indent}{item}{newline}" for item in new))
    at = array.value_at + 1
    return Edit(at, at, "".join(" " + item for item in new))


def _removed(source: str, array: Word, old: list[Word], index: int) -> Edit:
    item = old[index]
    indent, rest = _indent(source, item), _REST.match(source, item.end)
    if indent is not None and rest:
        return Edit(item.start - len(indent), rest.end(), "")
    before = old[index - 1].end if index else array.value_at + 1
    return Edit(item.start if source[before : item.start].strip(" \t") else before, item.end, "")


def _indent(source: str, item: Word) -> str | None:
    """Return the blanks before an item that is the first on its line; None for another."""
    at = item.start
    while at and source[at - 1] in " \t":
        at -= 1
    return source[at : item.start] if source[at - 1 : at] in ("", "\n") else None
