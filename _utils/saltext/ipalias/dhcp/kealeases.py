"""Read the lease files of Kea's memfile. Pure.

Kea's manual, "Memfile - Basic Storage for Leases" and "Why Is Lease File Cleanup Necessary?":
a row for each change, later ones win, and beside the file what a clean-up is working on. A row
is whole with its line end; Kea itself passes over one that has too few columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..errors import MALFORMED
from .iscleases import MOST_PROBLEMS, is_ipv4
from .model import ABANDONED, ACTIVE, GONE, RELEASED, Lease, LeaseFile

#: Beside the file, in the order in which Kea reads them: what the last clean-up made, or what
#: it was made from; then the file itself.
_COMPLETED, _OLDER = ".completed", (".2", ".1")
NEEDED: Final = ("address", "hwaddr", "client_id", "valid_lifetime", "expire")
#: Kea's numbers: default, declined, expired-reclaimed, released.
STATES: Final = {0: ACTIVE, 1: ABANDONED, 2: GONE, 3: RELEASED}
#: What a row of a file from before a column says there.
MISSING: Final = {"state": "0", "pool_id": "0"}
_TRIES = 5
_FOREVER: Final = 0xFFFFFFFF
_ESCAPE: Final = re.compile(r"&#x([0-9A-Fa-f]{2})")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2})*)?")


def lease_files(path: str, exists: Callable[[str], bool]) -> list[str]:
    """Return the files that Kea would read for a lease file, in its order."""
    older = [f"{path}{_COMPLETED}"]
    if not exists(older[0]):
        older = [f"{path}{ending}" for ending in _OLDER]
    return [one for one in (*older, path) if exists(one)]


def every_file(path: str) -> list[str]:
    """Return all the files that a lease file may have, itself first.

    What a clean-up moves it moves along this order, so that who reads in it misses nothing.
    """
    return [path, *(f"{path}{ending}" for ending in (*_OLDER[::-1], _COMPLETED))]


def read_texts(path: str, read: Callable[[str], str | None]) -> list[tuple[str, str]]:
    """Return path and text of the files that Kea would read, in its order.

    :param read: gives a file's text, or None where there is none.
    """
    found: dict[str, str] = {}
    for _ in range(_TRIES):
        texts = {one: read(one) for one in every_file(path)}
        found = {one: text for one, text in texts.items() if text is not None}
        # A clean-up that ended meanwhile may have moved one past us.
        if {one for one in every_file(path)[1:] if read(one) is not None} == found.keys() - {path}:
            break
    return [(one, found[one]) for one in lease_files(path, found.__contains__)]


def merge(texts: Sequence[tuple[str, str]]) -> str:
    """Return several files as the one that says the same, with the columns of the last.

    :param texts: as `read_texts` gives them, each with its line of names.
    """
    heads = [(text.partition("\n")[0].split(","), text) for _, text in texts if "\n" in text]
    heads = [(names, text) for names, text in heads if not set(NEEDED) - set(names)]
    if not heads:
        return texts[-1][1] if texts else ""
    columns = heads[-1][0]
    lines = [",".join(columns)]
    for names, text in heads:
        for row in text[: text.rfind("\n")].split("\n")[1:]:
            cells = row.split(",")
            if names == columns or len(cells) < len(names):
                lines.append(row)
                continue
            told = dict(zip(names, cells, strict=False))
            lines.append(",".join(told.get(name, MISSING.get(name, "")) for name in columns))
    return "\n".join(lines) + "\n"


def parse_leases(text: str, path: str) -> list[Lease]:
    """Return the last word on each address; see `parse_file`."""
    return list(parse_file(text, path).last().values())


def parse_files(texts: Iterable[tuple[str, str]], path: str) -> LeaseFile:
    """Read several files as one, in the order of `lease_files`.

    :param texts: path and text of each.
    """
    files = [parse_file(text, each) for each, text in texts]
    return LeaseFile(
        path,
        tuple(lease for file in files for lease in file.leases),
        tuple(problem for file in files for problem in file.problems),
    )


def parse_file(text: str, path: str) -> LeaseFile:
    """Read a lease file, whatever has become of it.

    :param path: for messages.
    """
    lines = text.split("\n")
    cut = lines.pop() if lines else ""
    columns: dict[str, int] = {}
    leases: list[Lease] = []
    problems: list[str] = []
    for number, line in enumerate([*lines, *([cut] if cut else [])], 1):
        # Blank and commented lines are none, as for Kea.
        cells = line.rstrip("\r").split(",")
        if cells == [""] or line.startswith("#"):
            continue
        if not columns:
            columns = {name.strip(): index for index, name in enumerate(cells)}
            if set(NEEDED) - columns.keys():
                return LeaseFile(path, (), (f"{path}:{number}: is no lease file of Kea",))
            continue
        try:
            if len(cells) < len(columns):
                raise ValueError(line)
            leases.append(_parse_row(cells, columns, f"{path}:{number}"))
        except (*MALFORMED, IndexError):
            ended = number > len(lines)
            what = "the file is cut off here" if ended else f"`{line[:80]}` cannot be read"
            problems.append(f"{path}:{number}: {what}")
    return LeaseFile(path, tuple(leases), tuple(problems[:MOST_PROBLEMS]))


def _parse_row(cells: list[str], columns: dict[str, int], where: str) -> Lease:
    address, mac, client, lifetime, expire = (cells[columns[name]] for name in NEEDED)
    if not (is_ipv4(address) and _HEX.fullmatch(mac) and _HEX.fullmatch(client)):
        raise ValueError(where)
    lasts, ends = int(lifetime), int(expire)
    state = STATES[int(cells[columns["state"]])] if "state" in columns else ACTIVE
    if state == ACTIVE and not lasts:
        # So Kea writes that it has taken a lease away.
        state = RELEASED
    hostname = cells[columns["hostname"]] if "hostname" in columns else ""
    return Lease(
        address,
        state,
        mac.lower(),
        client.lower().replace(":", ""),
        unescape(hostname),
        float(ends - lasts),
        None if lasts == _FOREVER else float(ends),
        # It keeps no other time of a client than when its lease began.
        float(ends - lasts),
        where,
    )


def unescape(text: str) -> str:
    """Return a cell as it was: Kea writes a comma, and what looks like this, as ``&#x2c``."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
