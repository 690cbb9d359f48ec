"""Refuse numbers that somebody else uses: marks, tables, priorities, protocol, ids.

Pure: what the kernel holds and the texts of its packet filters come in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from ..errors import RefusedError
from .kernel import ANYWHERE, Kernel, Route, Rule
from .model import Numbers, WanConfig
from .nat import TABLE
from .routes import PRIORITIES, all_tables, sort_out, tables_of

_EVERY = 0xFFFFFFFF
#: ``ct mark set ct mark & A | B`` of nft(8), and its forms with ``and`` and ``or``.
_NFT = re.compile(
    r"(?P<to>ct|meta) mark set (?P<source>(?:ct|meta) mark)?"
    r"(?:\s*(?:&|and)\s*(?P<kept>0x[0-9a-fA-F]+|\d+))?"
    r"(?:\s*(?:\^|xor)\s*(?P<turned>0x[0-9a-fA-F]+|\d+))?"
    r"(?:\s*(?:\||or)?\s*(?P<put>0x[0-9a-fA-F]+|\d+))?"
)
#: ``--set-xmark V/M`` and its like, of iptables-extensions(8); iptables-save prints this form.
_IPTABLES = re.compile(r"--set-xmark (0x[0-9a-fA-F]+)/(0x[0-9a-fA-F]+)")


def refuse_collisions(
    config: WanConfig,
    kernel: Kernel,
    protocol_routes: Iterable[Route],
    *,
    nft: str = "",
    iptables: str = "",
    former: Collection[int] = (),
) -> list[str]:
    """Refuse what is in use by others, naming it and the number to change.

    :param kernel: all rules, and what stands in our tables and ids.
    :param protocol_routes: the routes of our protocol in every table.
    :param nft: ``nft list ruleset``.
    :param iptables: ``iptables-save`` of both families.
    :param former: tables of the configuration in force, whose routes are ours.
    :return: what may collide and cannot be told for sure, for the notes.
    :raises RefusedError: a table, priority, id, protocol or mark bits are somebody else's.
    """
    numbers, where = config.numbers, f"{config.where}:numbers"
    _, foreign = sort_out(numbers, kernel, ())
    foreign = [what for what in foreign if not _is_elsewhere(what, kernel, config)]
    if foreign:
        key = {"rule": "priority", "route": "table"}.get(foreign[0].split()[0], "nexthop")
        raise RefusedError(
            f"in use by others: {'; '.join(foreign[:5])}",
            where=f"{where}:{key}",
            way_out=f"take another `{key}`, or remove what stands there",
        )
    mine = all_tables(numbers) | set(former)
    others = [route for route in protocol_routes if route.table not in mine]
    if others:
        raise RefusedError(
            f"protocol {numbers.protocol} is in use by others: {others[0].text()} "
            f"({len(others)} routes; 186 is BGP's number for FRR)",
            where=f"{where}:protocol",
            way_out="take a number that no routing daemon here uses",
        )
    for rule in kernel.rules:
        if not _ours(rule, numbers) and rule.mask & numbers.mask:
            raise RefusedError(
                f"mark bits {numbers.mask:#x} are used by the rule {rule.text()}",
                where=f"{where}:mark_shift",
                way_out="take bits that nobody else uses: `mark_shift`, `mark_bits`",
            )
    _refuse_hidden(numbers, kernel, where)
    return [*_claims(numbers, _nft_marks(nft), where), *_claims(numbers, _xmarks(iptables), where)]


def _is_elsewhere(what: str, kernel: Kernel, config: WanConfig) -> bool:
    """Tell whether a foreign route lies in a table that no uplink of this configuration has."""
    unused = all_tables(config.numbers) - tables_of(config)
    return any(what == f"route {r.text()}" and r.table in unused for r in kernel.routes)


def _ours(rule: Rule, numbers: Numbers) -> bool:
    placed = numbers.priority <= rule.priority < numbers.priority + PRIORITIES
    return placed and rule.protocol in (numbers.protocol, 0)


def _refuse_hidden(numbers: Numbers, kernel: Kernel, where: str) -> None:
    """Refuse where an earlier rule of others answers for every packet: ours were never asked.

    :raises RefusedError: such a rule.
    """
    for rule in kernel.rules:
        everything = not (rule.source or rule.mask or rule.out or rule.others)
        if rule.priority >= numbers.priority or not everything or rule.suppress >= 0:
            continue
        whole = (rule.family, rule.table, ANYWHERE[rule.family])
        if whole not in {(r.family, r.table, r.destination) for r in kernel.routes}:
            continue  # it answers for some destinations only
        raise RefusedError(
            f"the rule {rule.text()} comes before ours and answers for every packet",
            where=f"{where}:priority",
            way_out=f"take a priority below {rule.priority}",
        )


def _claims(numbers: Numbers, found: Sequence[tuple[int, bool, str]], where: str) -> list[str]:
    """Refuse who claims our bits by name; return who writes over whole marks.

    :param found: bits that a rule writes, whether it names them by a mask, and its text.
    """
    notes = []
    for bits, named, line in found:
        if not bits & numbers.mask:
            continue
        if named:
            raise RefusedError(
                f"mark bits {numbers.mask:#x} are written by another packet filter: {line}",
                where=f"{where}:mark_shift",
                way_out="take bits that nobody else uses: `mark_shift`, `mark_bits`",
            )
        notes.append(f"writes over whole marks, ours too where it meets them: {line}")
    return notes


def _nft_marks(text: str) -> list[tuple[int, bool, str]]:
    """Return the bits of marks that the rules of others write."""
    found: list[tuple[int, bool, str]] = []
    table = ""
    for line in text.splitlines():
        if line.startswith("table "):
            table = " ".join(line.split()[1:3])
        for match in _NFT.finditer(line) if table != f"inet {TABLE}" else ():
            kept, turned, put = (_number(match[name]) for name in ("kept", "turned", "put"))
            same = match["source"] == f"{match['to']} mark"
            if same and (match["kept"] or match["turned"] or match["put"]):
                bits = turned | put | (~kept & _EVERY if match["kept"] else 0)
                found.append((bits, True, line.strip()))
            else:
                found.append((_EVERY, False, line.strip()))
    return found


def _xmarks(text: str) -> list[tuple[int, bool, str]]:
    """Return the bits of marks that rules of iptables write."""
    found = []
    for line in text.splitlines():
        for value, mask in _IPTABLES.findall(line):
            bits = int(value, 16) | int(mask, 16)
            found.append((bits, bits != _EVERY, line.strip()))
    return found


def _number(text: str | None) -> int:
    return int(text, 0) if text else 0
