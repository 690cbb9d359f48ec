"""The list of IPv6 addresses in the parent's ifcfg file: ``IPV6ADDR_SECONDARIES``.

``ifup-ipv6`` has no other place for a further address that every version reads, so the list
is edited where it stands, byte for byte: only what is ours comes in and goes. Where the file
has no list, ours stands in a marked block, and nothing of it is left afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..errors import ParseError, UnsupportedError
from ..text import blocks, shellvars
from .ifcfg_rh_read import SECONDARIES, canonical6

_ASSIGNED = re.compile(rf"(?<![A-Za-z0-9_]){SECONDARIES}=")
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\$`]|\\.)*)"(?=[\s;]|\Z)', re.DOTALL),
    "'": re.compile(r"'([^']*)'(?=[\s;]|\Z)"),
}
_BARE = re.compile(r"((?:[^\s\"'\\$`;&|<>()#]|\\[ \t])*)(?=[\s;]|\Z)")
#: What may part two words inside quotes, and outside of them.
_GAP, _BARE_GAP = re.compile(r"[ \t\n]|\\\n"), re.compile(r"\\[ \t]")


def edit(text: str, path: str, interface: str, wanted: Sequence[str], former: set[str]) -> str:
    """Return a parent's text with our addresses in its list, and no longer the former ones.

    :param wanted: ``address/prefix`` of each IPv6 alias, in order.
    :param former: those that were ours and may be taken out.
    :raises ParseError: the list, or the end of the file, cannot be edited.
    """
    plain = blocks.remove_block(text, interface, path) or ""
    document = shellvars.parse(plain, path)
    if document.get(SECONDARIES) is None:
        return _in_block(text, path, interface, wanted)
    return _in_place(plain, path, wanted, former)


def _in_block(text: str, path: str, interface: str, wanted: Sequence[str]) -> str:
    if not wanted:
        return blocks.remove_block(text, interface, path) or ""
    document = shellvars.parse(text, path)
    if hidden := document.hidden(SECONDARIES):
        raise _refused(path, hidden[0], "is set where only a shell can tell whether it counts")
    # Says where nothing can stand behind the last line.
    document.set_after("IPALIAS", "", "")
    return blocks.replace_block(text, interface, f'{SECONDARIES}="{" ".join(wanted)}"\n', path)


def _in_place(text: str, path: str, wanted: Sequence[str], former: set[str]) -> str:
    """Edit the last assignment, the one that counts."""
    document = shellvars.parse(text, path)
    said = document.get(SECONDARIES)
    assert said is not None
    going = former - set(wanted)
    have = {canonical6(word) for word in (said.value or "").split()}
    adding = [cidr for cidr in wanted if cidr not in have]
    if not adding and not going & have:
        return text
    if hidden := document.hidden(SECONDARIES):
        raise _refused(path, hidden[0], "is set where only a shell can tell whether it counts")
    if said.value is None or said.append:
        raise _refused(path, said.line, "is put together by the shell")
    lines = blocks.split_lines(text)
    first = sum(len(line) for line in lines[: said.line - 1])
    last = sum(len(line) for line in lines[: said.last_line])
    result = [word for word in said.value.split() if canonical6(word) not in going] + adding
    for match in reversed(list(_ASSIGNED.finditer(text, first, last))):
        edited = _edit_raw(text, match.end(), adding, going)
        if edited is not None and _value(edited, path) == result:
            return edited
    raise _refused(path, said.line, "is written in pieces")


def _value(text: str, path: str) -> list[str] | None:
    try:
        said = shellvars.parse(text, path).get(SECONDARIES)
    except ParseError:
        return None
    return said.value.split() if said is not None and said.value is not None else None


def _refused(path: str, line: int, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"`{SECONDARIES}` {what}",
        where=f"{path}:{line}",
        way_out=f'write it as one line, {SECONDARIES}="ADDRESS/PREFIX …"',
    )


def _edit_raw(text: str, at: int, adding: Iterable[str], going: set[str]) -> str | None:
    """Edit the value that begins at an index, its quotes kept; None where it is of no such form.

    An address that comes in brings one blank before it, and takes one along when it goes.
    """
    quote = text[at : at + 1]
    match = _QUOTED.get(quote, _BARE).match(text, at)
    if match is None:
        return None
    raw = match[1]
    gap = _GAP if quote in _QUOTED else _BARE_GAP
    for start, end in reversed(_words(raw, gap)):
        if canonical6(raw[start:end]) not in going:
            continue
        before = [blank.start() for blank in gap.finditer(raw, 0, start) if blank.end() == start]
        after = gap.match(raw, end)
        if before:
            start = before[0]
        elif after:
            end = after.end()
        raw = raw[:start] + raw[end:]
    blank = " " if quote in _QUOTED else "\\ "
    for cidr in adding:
        raw += f"{blank}{cidr}" if raw else cidr
    return text[: match.start(1)] + raw + text[match.end(1) :]


def _words(raw: str, gap: re.Pattern[str]) -> list[tuple[int, int]]:
    """Return where each word of a value begins and ends."""
    words: list[tuple[int, int]] = []
    at = 0
    for blank in [*gap.finditer(raw), None]:
        end = blank.start() if blank else len(raw)
        if end > at:
            words.append((at, end))
        at = blank.end() if blank else end
    return words
