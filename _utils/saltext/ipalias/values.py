"""Values as a pillar or a command line gives them: read, or refused by name."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from .errors import MALFORMED, InputError

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
#: A Solaris link name has at most 31 characters, dladm(8) and ``net/if.h`` (LIFNAMSIZ).
_SUNOS = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,30}")
#: What Windows itself takes in no connection name, and the quote that would end an argument.
_NOT_IN_WINDOWS = frozenset('"\\/:*?<>|')
_LONGEST_IN_WINDOWS = 256

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")

Mixed = Mapping[object, object]


#: What shows the names of a system's interfaces.
SHOWN_BY: Mapping[str, str] = {
    "linux": "`ip link`",
    "freebsd": "`ifconfig -l`",
    "openbsd": "`ifconfig`",
    "sunos": "`ifconfig -a`",
    "windows": "`Get-NetAdapter`",
}


def is_interface(value: object, system: str = "linux") -> bool:
    """Tell whether a value is a name that an interface of a system can have, or ``default``.

    On Windows it is what a person called the connection: letters of any language and
    blanks, but nothing invisible and nothing that changes the direction of writing.
    """
    if not isinstance(value, str):
        return False
    if system == "windows":
        fits = 0 < len(value) <= _LONGEST_IN_WINDOWS and value == value.strip()
        return fits and value.isprintable() and not _NOT_IN_WINDOWS & set(value)
    pattern = _SUNOS if system == "sunos" else _INTERFACE
    return pattern.fullmatch(value) is not None


def parse_interface(value: object, where: str, system: str = "linux") -> str:
    """Read an interface name, or ``default``.

    :raises InputError: not a name that an interface can have.
    """
    if not isinstance(value, str) or not is_interface(value, system):
        raise InputError(
            f"{short(value)} is not an interface name",
            where=where,
            way_out=f"give the name that {SHOWN_BY[system]} shows, or `default`",
        )
    return value


def parse_bool(value: object, where: str) -> bool:
    """Read a truth value.

    :raises InputError: anything but true or false.
    """
    if not isinstance(value, bool):
        raise InputError(f"{short(value)} is not true or false", where=where)
    return value


def parse_duration(value: object, where: str, least: float = 0.0, most: float = 86400.0) -> float:
    """Read a span of time: a number of seconds, or a text such as ``500ms``, ``60s``, ``2m``.

    :param least: shortest one that makes sense here, in seconds; `most`: the longest.
    :returns: seconds.
    :raises InputError: no span of time, or outside the limits.
    """
    seconds: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = _number(value)
    elif isinstance(value, str):
        found = _DURATION.fullmatch(value)
        seconds = float(found[1]) * _UNITS[found[2]] if found else None
    if seconds is None:
        raise InputError(
            f"{short(value)} is not a span of time",
            where=where,
            way_out="write seconds as a number, or 500ms, 60s, 2m, 1h",
        )
    if not least <= seconds <= most:
        raise InputError(
            f"{short(value)} is not between {span(least)} and {span(most)}", where=where
        )
    return seconds


def _number(value: int | float) -> float:
    """Return a number as one that can be compared; an integer may be too long for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def span(seconds: float) -> str:
    """Return a span of time for a message: ``80 ms``, ``2.5 s``."""
    return f"{seconds * 1000:.4g} ms" if 0 < abs(seconds) < 1 else f"{seconds:.6g} s"


def parse_share(value: object, where: str) -> float:
    """Read a share of a whole: ``40%``, or a number from 0 to 1.

    :raises InputError: anything else.
    """
    share: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        share = _number(value)
    elif isinstance(value, str) and (found := _PERCENT.fullmatch(value)):
        share = float(found[1]) / 100
    if share is None or not 0 <= share <= 1:
        raise InputError(
            f"{short(value)} is not a share", where=where, way_out="write 0% to 100%, or 0 to 1"
        )
    return share


def parse_int(value: object, where: str, least: int, most: int) -> int:
    """Read a whole number within limits.

    :raises InputError: no whole number, or outside the limits.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{short(value)} is not a whole number {least} to {most}", where=where)
    return value


def sequence(value: object, where: str) -> list[object]:
    """Return a list; None counts as empty."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{short(value)} is not a list", where=where)
    return list(value)


def mapping(value: object, where: str) -> Mixed:
    """Return a mapping; None counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{short(value)} is not a mapping", where=where)
    return value


def refuse_unknown(block: Mixed, keys: Iterable[str], where: str) -> None:
    """Refuse an unknown key, naming the nearest known one."""
    known = tuple(keys)
    for key in block:
        if key not in known:
            near = _near(key, known)
            way_out = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise InputError(f"unknown key {short(key)}", where=where, way_out=way_out)


def choice(value: object, choices: Iterable[str], where: str) -> str:
    """Return one of several words."""
    listed = tuple(choices)
    if not isinstance(value, str) or value not in listed:
        near = _near(value, listed)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise InputError(
            f"{short(value)} is unknown", where=where, way_out=f"{hint}one of {', '.join(listed)}"
        )
    return value


def _near(value: object, known: Sequence[str]) -> list[str]:
    """Return the known word that a word may be a slip of, if there is one."""
    return difflib.get_close_matches(value[:80], known, n=1) if isinstance(value, str) else []


def short(value: object) -> str:
    """Return a value for a message: quoted, control characters escaped, bounded."""
    try:
        text = ascii(value) if not isinstance(value, (Mapping, list)) else type(value).__name__
    except MALFORMED:
        # Python writes out no integer of more than 4300 digits.
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def plain(value: object) -> str:
    """Return a value for a message as `short` does, a text without its quotes."""
    return short(value).strip("'\"")
