"""Edit the variables of an interface: our aliases in, those that go out, nothing else moved.

**Numbers.** Ours have the lowest numbers that are free, so that there is no gap: a new one takes
the lowest, and where one that goes leaves a hole, the last of ours moves into it. Lines of others
keep their bytes and their numbers. A gap that only lines of others could fill stays; releases
before 12.1 stop reading there, and a change that hides or uncovers a line of others so is refused.

**The list** ``ifconfig_IF_aliases``: ours are appended, and cut out, between the quotes; what
stands beside them, line ends too, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import ParseError, UnsupportedError
from ..model import Alias, Wanted
from ..text import shellvars
from ..text.shelllex import Lexer
from ..text.shellword import Word
from .freebsd_files import MAIN, Setting
from .freebsd_read import LIST, NUMBERED, Book, Entry, same
from .freebsd_values import Section, parse_sections, render_listed, render_numbered

_UNUSUAL = re.compile(r"[\"'`$]|\\(?!\n)")


@dataclass
class _Edits:
    """Hold what is to be done.

    :param removed: numbered entries that go, by number.
    :param values: new value of a numbered variable that stays, by number.
    :param cut: addresses whose sections leave the list.
    :param fresh: aliases that come in, in order.
    """

    removed: dict[int, Entry] = field(default_factory=dict)
    values: dict[int, str] = field(default_factory=dict)
    cut: dict[str, Entry] = field(default_factory=dict)
    fresh: list[Alias] = field(default_factory=list)


def edited(book: Book, wanted: Wanted) -> dict[str, str]:
    """Return the files that change, by path.

    :raises UnsupportedError: a line that cannot be edited without losing something else.
    """
    form = _form(book, wanted)
    edits = _collect(book, wanted, form)
    texts = dict(book.rc.texts)
    _number(book, wanted, edits, form, texts)
    _list(book, edits, form, texts)
    return {path: text for path, text in texts.items() if text != book.rc.texts.get(path)}


def _form(book: Book, wanted: Wanted) -> str:
    """Return the form for new aliases: as asked, else where ours are, else what is there."""
    asked = wanted.options.get("form")
    if asked in (NUMBERED, LIST):
        return str(asked)
    ours = {alias.cidr for alias in wanted.former}
    used = [
        entry.form
        for entry in book.entries
        if entry.form and any(alias.cidr in ours for alias in entry.section.aliases)
    ]
    if used:
        return NUMBERED if NUMBERED in used else LIST
    return LIST if not book.numbers and book.rc.value(book.list_name).strip() else NUMBERED


def _collect(book: Book, wanted: Wanted, form: str) -> _Edits:
    edits = _Edits()
    places = book.by_cidr()
    ours = {alias.cidr for alias in wanted.former}
    stay = {alias.cidr for alias in wanted.aliases}
    for cidr in dict.fromkeys([*ours, *(found.alias.cidr for found in wanted.adopt)]):
        if cidr not in stay and cidr in places:
            _take_out(places[cidr], cidr, edits)
    for alias in wanted.aliases:
        entry = places.get(alias.cidr)
        if entry is None:
            edits.fresh.append(alias)
            continue
        other = alias.cidr in ours and "form" in wanted.options and entry.form != form
        if same(entry, alias) and not (other and entry.editable):
            continue
        if not other and entry.form == NUMBERED and entry.alone:
            edits.values[entry.number] = render_numbered(alias)
            continue
        _take_out(entry, alias.cidr, edits)
        edits.fresh.append(alias)
    return edits


def _take_out(entry: Entry, cidr: str, edits: _Edits) -> None:
    """Note that an entry goes.

    :raises UnsupportedError: something else would go with it.
    """
    if not entry.editable:
        raise UnsupportedError(
            f"`{entry.setting.name}` sets {cidr} and more than an alias is",
            where=entry.setting.where,
            way_out="take the address out of that line by hand",
        )
    if entry.form == NUMBERED:
        edits.removed[entry.number] = entry
    else:
        edits.cut[cidr] = entry


# Numbered variables


def _number(book: Book, wanted: Wanted, edits: _Edits, form: str, texts: dict[str, str]) -> None:
    """Give numbers to what comes in, close holes, and write both."""
    cidrs = {alias.cidr for alias in wanted.aliases}
    mine = {
        entry.number
        for entry in book.entries
        if entry.form == NUMBERED
        and entry.alone
        and entry.section.aliases[0].cidr in cidrs
        and entry.number not in edits.removed
    }
    others = set(book.numbers) - mine - set(edits.removed)
    fresh = [render_numbered(alias) for alias in edits.fresh] if form == NUMBERED else []
    free = _free(others | mine)
    placed = {number: value for number, value in zip(free, fresh, strict=False)}
    moved = _moves(mine, others | set(placed))
    _check_numbers(book, others, mine, placed, moved)
    if not (edits.removed or edits.values or placed or moved):
        return
    values = dict(edits.values)
    gone = set(edits.removed)
    for old, new in moved.items():
        values[new] = values.pop(old, book.numbers[old].given.value or "")
        gone.add(old)
    values.update(placed)
    _write_numbered(book, gone - set(values), values, texts)


def _free(taken: set[int]) -> Iterator[int]:
    """Yield the numbers that are free, the lowest first."""
    number = 0
    while True:
        if number not in taken:
            yield number
        number += 1


def _moves(mine: set[int], others: set[int]) -> dict[int, int]:
    """Return which of ours moves where: the last into the lowest hole, until there is none."""
    moves: dict[int, int] = {}
    free = _free(mine | others)
    for last in sorted(mine, reverse=True):
        hole = next(free)
        if hole > last:
            break
        moves[last] = hole
    return moves


def _check_numbers(
    book: Book, others: set[int], mine: set[int], placed: dict[int, str], moved: dict[int, int]
) -> None:
    """Refuse numbers that the platform would not read, or that change what it reads of others.

    :raises UnsupportedError: naming the line.
    """
    for number in (*placed, *moved.values()):
        book.rc.refuse_hidden(book.numbered(number))
        if book.end is not None and number > book.end:
            setting = book.numbers[book.end]
            raise UnsupportedError(
                f"`{setting.name}` is empty and ends the list of numbered aliases",
                where=setting.where,
                way_out="take that line out, or set `form: list`",
            )
    if not book.old:
        return
    after = others | (mine - set(moved)) | set(moved.values()) | set(placed)
    changed = others & (_consecutive(set(book.numbers)) ^ _consecutive(after))
    if changed:
        setting = book.numbers[min(changed)]
        raise UnsupportedError(
            f"`{setting.name}` would be read differently afterwards: this release stops at the"
            " first number that is missing",
            where=setting.where,
            way_out="number the aliases of others without a gap first, from 0",
        )


def _consecutive(numbers: set[int]) -> set[int]:
    """Return those that are counted from 0 without a gap."""
    return set(range(next(_free(numbers))))


def _write_numbered(
    book: Book, gone: set[int], values: dict[int, str], texts: dict[str, str]
) -> None:
    documents: dict[str, shellvars.Document] = {}

    def document(path: str) -> shellvars.Document:
        if path not in documents:
            documents[path] = shellvars.parse(texts.get(path, ""), path)
        return documents[path]

    kept = {number: setting for number, setting in book.numbers.items() if number not in gone}
    home = kept[max(kept)].path if kept else book.home()
    home = home or (book.numbers[max(book.numbers)].path if book.numbers else MAIN)
    for number in sorted(gone):
        setting = book.numbers[number]
        book.rc.refuse_several(setting.name)
        document(setting.path).remove(setting.name)
    before = ""
    for number in sorted({*kept, *values}):
        name = book.numbered(number)
        held = kept.get(number)
        if number in values and held is not None:
            book.rc.refuse_several(held.name)
            document(held.path).set(held.name, values[number])
        elif number in values:
            document(home).set_after(name, before, values[number], quote='"')
        if held is None or held.path == home:
            before = held.name if held is not None else name
    for path, each in documents.items():
        texts[path] = each.text()


# The list


def _list(book: Book, edits: _Edits, form: str, texts: dict[str, str]) -> None:
    added = [render_listed(alias) for alias in edits.fresh] if form == LIST else []
    if not (added or edits.cut):
        return
    name = book.list_name
    book.rc.refuse_several(name)
    book.rc.refuse_hidden(name)
    setting = book.rc.last(name)
    if setting is None:
        path = book.home() or (book.numbers[max(book.numbers)].path if book.numbers else MAIN)
        document = shellvars.parse(texts.get(path, ""), path)
        document.set(name, " ".join(added), quote='"')
    else:
        path = setting.path
        text = _spliced(texts[path], setting, book.interface, edits.cut, added)
        document = shellvars.parse(text, path)
        if not (document.all(name)[-1].value or "").strip():
            document.remove(name)
    texts[path] = document.text()


def _spliced(
    text: str, setting: Setting, interface: str, cut: Iterable[str], added: Sequence[str]
) -> str:
    """Return a file with sections cut out of a value, and others appended to it.

    :raises UnsupportedError: the value is written in a way that this cannot keep.
    """
    word = _word(text, setting)
    start, end = word.value_at, word.end
    raw = text[start:end]
    if not raw:
        return f'{text[:start]}"{" ".join(added)}"{text[end:]}'
    inner = raw[1:-1]
    # As long as before, so that every index is one of the text too.
    plain = inner.replace("\\\n", "  ")
    quoted = len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'"
    odd = not quoted or _UNUSUAL.search(inner) or (raw[0] == "'" and "\\" in inner)
    if odd or plain.split() != (setting.given.value or "").split():
        raise UnsupportedError(
            f"`{setting.name}` is quoted in a way that an edit cannot keep",
            where=setting.where,
            way_out='write its value as one string in double quotes: "inet … inet …"',
        )
    sections = parse_sections(plain, interface)
    pieces, at = _without(inner, sections, set(cut))
    # As the last two are parted, so that a value of one on a line stays so.
    two = len(sections) > 1
    parting = inner[sections[-2].end : sections[-1].start] if two else " "
    for section in added:
        pieces.append(parting + section if "".join(pieces[-1:]).strip() else section)
    return f"{text[: start + 1]}{''.join(pieces)}{inner[at:]}{text[end - 1 :]}"


def _without(inner: str, sections: Sequence[Section], cut: set[str]) -> tuple[list[str], int]:
    """Return the pieces of a value that stay, and the index behind its last section.

    Of several sections that set the same address the last one goes.
    """
    drop: set[int] = set()
    left = set(cut)
    for index in range(len(sections) - 1, -1, -1):
        cidrs = {alias.cidr for alias in sections[index].aliases} & left
        if cidrs and sections[index].plain:
            left -= cidrs
            drop.add(index)
    if not sections:
        return [inner], len(inner)
    lead = inner[: sections[0].start]
    if len(drop) == len(sections) and lead.strip():
        # With the last section goes the blank that parted it from words that are none.
        lead = lead.removesuffix(" ")
    pieces = [lead]
    for index, section in enumerate(sections):
        if index in drop:
            continue
        # What parts the first that stays from those cut before it goes with them.
        first = index == 0 or len(pieces) == 1
        pieces.append(inner[section.start if first else sections[index - 1].end : section.end])
    return pieces, sections[-1].end


def _word(text: str, setting: Setting) -> Word:
    """Return the last assignment of a variable as it stands in a text."""
    found: Word | None = None
    for row in Lexer(text, setting.path).rows():
        for command in row.commands:
            for word in command.words if command.plain else ():
                if word.name == setting.name:
                    found = word
    if found is None:
        raise ParseError(setting.path, setting.line, f"`{setting.name}` is not found again")
    return found
