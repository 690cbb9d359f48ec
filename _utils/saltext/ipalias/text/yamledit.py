"""Take items out of YAML lists without touching any other byte.

A YAML writer would reorder, requote and drop comments, so the text is cut by the marks
that PyYAML's composer puts on each node. Adding is never needed: what is ours stands in
files of our own. Nodes carry their place, which readers need to name a line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import yaml

from ..errors import ParseError, UnsupportedError

_ALONE = re.compile(r"[ \t]*,?[ \t]*(#.*)?\r?\n?")


def compose(text: str, path: str, *, exact: bool = False) -> yaml.Node | None:
    """Return the root node of a file with one document, None for an empty one.

    :param exact: marks are wanted as character positions; the faster C composer, used
        otherwise where it is there, is only held to lines.
    :raises ParseError: for what is not YAML, or not UTF-8.
    """
    loader = yaml.SafeLoader if exact else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ParseError(path, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        line = 1 + next((at for at, row in enumerate(text.split("\n")) if not _clean(row)), 0)
        raise ParseError(path, line, "not YAML: a character that it does not allow") from error
    return node


def _clean(row: str) -> bool:
    return not re.search("[\udc80-\udcff\x00-\x08\x0b\x0c\x0e-\x1f]", row)


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return key and value nodes of a mapping; none of anything else."""
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """Return the node under a path of keys, None where it ends."""
    for key in keys:
        node = next((value for name, value in pairs(node) if name.value == key), None)
    return node


def line_of(node: yaml.Node) -> int:
    """Return the line a node starts on, counted from 1."""
    return int(node.start_mark.line) + 1


def remove_items(text: str, path: str, keys: Sequence[str], drop: Collection[int]) -> str:
    """Return a text without some items of the list under a path of keys.

    An emptied list stays as ``[]``: a key without a value is an error to netplan.

    :param drop: indices of the items, counted from 0.
    :raises UnsupportedError: for a list that an anchor shares with another place.
    """
    root = compose(text, path, exact=True)
    parent = child(root, *keys[:-1])
    key, sequence = next((k, value) for k, value in pairs(parent) if k.value == keys[-1])
    if not drop or not isinstance(sequence, yaml.SequenceNode):
        return text
    if _uses(root, sequence) > 1 or text[_after_colon(text, key) :].lstrip().startswith("&"):
        raise UnsupportedError(
            "the list is shared by an anchor",
            where=f"{path}:{line_of(key)}",
            way_out="take the address out by hand",
        )
    if sequence.flow_style:
        return _cut(text, _flow_cuts(text, sequence, set(drop)))
    spans = _block_cuts(text, sequence, set(drop))
    cut = _cut(text, spans)
    if len(drop) < len(sequence.value):
        return cut
    colon = _after_colon(text, key)  # the items all stand behind it
    return f"{cut[:colon]} []{cut[colon:]}"


def _uses(node: yaml.Node | None, wanted: yaml.Node) -> int:
    count = int(node is wanted)
    if isinstance(node, yaml.MappingNode):
        return count + sum(_uses(value, wanted) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return count + sum(_uses(value, wanted) for value in node.value)
    return count


def _after_colon(text: str, key: yaml.Node) -> int:
    return text.index(":", key.end_mark.index) + 1


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    """Cut spans out of a text; they may touch or overlap."""
    kept = []
    at = 0
    for start, end in sorted(spans):
        kept.append(text[at:start])
        at = max(at, end)
    return "".join(kept) + text[at:]


def _end(node: yaml.Node) -> int:
    """Return where a node's own text ends; a block collection's mark is where the next starts."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _line_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a span to whole lines."""
    newline = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if newline < 0 else newline + 1


def _block_cuts(text: str, sequence: yaml.SequenceNode, drop: set[int]) -> list[tuple[int, int]]:
    column = sequence.start_mark.column
    spans = []
    for index in drop:
        item = sequence.value[index]
        start = text.rfind("\n", 0, item.start_mark.index) + 1
        while text[start : start + column].strip() or text[start + column] != "-":
            start = text.rfind("\n", 0, start - 1) + 1  # the dash stands on a line of its own
        spans.append(_line_span(text, start, _end(item)))
    return spans


def _flow_cuts(text: str, sequence: yaml.SequenceNode, drop: set[int]) -> list[tuple[int, int]]:
    """Return what to cut out of ``[a, b]``.

    An item alone on its line goes with the line, for a comma left before ``]`` is YAML. Of
    several on a line each goes with the comma behind it; those at the end go together with
    the comma before them, unless a comment stands between, which is the kept item's.
    """
    items = sequence.value
    kept = [index for index in range(len(items)) if index not in drop]
    if not kept:
        return [(sequence.start_mark.index + 1, sequence.end_mark.index - 1)]
    last = kept[-1]
    lines = {index: _own_line(text, items[index]) for index in drop}
    spans = [
        lines[index] or (items[index].start_mark.index, items[index + 1].start_mark.index)
        for index in drop
        if index < last
    ]
    tail = [lines[index] for index in drop if index > last]
    whole = [span for span in tail if span]
    if len(whole) == len(tail):
        return spans + whole
    start = _end(items[last])
    if "#" in text[start : items[last + 1].start_mark.index]:
        start = items[last + 1].start_mark.index
    return [*spans, (start, _end(items[-1]))]


def _own_line(text: str, item: yaml.Node) -> tuple[int, int] | None:
    """Return the lines of an item that stands on them alone."""
    start, end = item.start_mark.index, _end(item)
    first, last = _line_span(text, start, end)
    alone = not text[first:start].strip() and _ALONE.fullmatch(text[end:last])
    return (first, last) if alone else None
