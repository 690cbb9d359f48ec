"""What the demo prints: coloured on a terminal, plain in a pipe or with NO_COLOR."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

WIDTH = 96
#: Lines of a diff that are shown; what follows is more of the same.
DIFF_HEAD = 24
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_coloured() -> bool:
    """Tell whether colours are wanted (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def paint(text: str, style: str) -> str:
    """Return the text in a style, or as it is where colours are not wanted."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if is_coloured() else text


def say(text: str = "", indent: int = 2, style: str | None = None) -> None:
    """Print a paragraph, wrapped and indented."""
    blank = " " * indent
    for line in textwrap.wrap(text, WIDTH - indent, break_on_hyphens=False) or [""]:
        # Flushed: what the programs we start print must not come before it.
        print(f"{blank}{paint(line, style) if style else line}".rstrip(), flush=True)


def title(text: str) -> None:
    """Print the headline of a step."""
    print(f"\n{paint(text, 'bold')}", flush=True)


def command(argv: Sequence[str]) -> None:
    """Print a command as the operator types it on the host."""
    print(f"\n  {paint('web1#', 'dim')} {paint(' '.join(argv), 'cyan')}", flush=True)


def verdict(good: bool, text: str) -> None:
    """Print the outcome of a check."""
    word = paint("ok  ", "green") if good else paint("FAIL", "red")
    first, *rest = textwrap.wrap(text, WIDTH - 7, break_on_hyphens=False)
    print(f"  {word} {first}", flush=True)
    for line in rest:
        print(f"       {line}", flush=True)


def diff(text: str, head: int = DIFF_HEAD) -> None:
    """Print a unified diff, cut after some lines."""
    lines = text.splitlines()
    for line in lines[:head]:
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1])
        print(f"    {paint(line, style) if style else line}", flush=True)
    if len(lines) > head:
        say(f"... {len(lines) - head} more lines of this kind", 4, "dim")


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the head."""
    listed = [list(row) for row in rows]
    widths = [max(len(row[at]) for row in listed) for at in range(len(listed[0]))]
    for number, row in enumerate(listed):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"    {paint(line.rstrip(), 'dim') if number == 0 else line.rstrip()}", flush=True)


def grouped(addresses: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (address/prefix, note) with runs of consecutive plain addresses as one row.

    :param addresses: address/prefix and a note; only those without a note are joined.
    """
    runs: list[list[tuple[str, str]]] = []
    for cidr, note in addresses:
        last = runs[-1][-1] if runs else None
        if last and not note and not last[1] and _follows(last[0], cidr):
            runs[-1].append((cidr, note))
        else:
            runs.append([(cidr, note)])
    rows: list[tuple[str, str]] = []
    for run in runs:
        if len(run) < 3:
            rows += run
        else:
            rows.append((f"{run[0][0]} to {run[-1][0]}", f"{len(run)} addresses"))
    return rows


def _follows(first: str, second: str) -> bool:
    (one, prefix), (other, same) = first.split("/"), second.split("/")
    if prefix != same or (":" in one) != (":" in other):
        return False
    return int(ip_address(other)) == int(ip_address(one)) + 1
