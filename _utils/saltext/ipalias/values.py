"""Values as a pillar or a command line gives them: read, or refused by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from .errors import InputError

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")

Mixed = Mapping[object, object]


def is_interface(value: object) -> bool:
    """Tell whether a value is a name that an interface can have, or ``default``."""
    return isinstance(value, str) and _INTERFACE.fullmatch(value) is not None


def parse_interface(value: object, where: str) -> str:
    """Read an interface name, or ``default``.

    :raises InputError: not a name that an interface can have.
    """
    if not isinstance(value, str) or not is_interface(value):
        raise InputError(
            f"{short(value)} is not an interface name",
            where=where,
            way_out="give the name that `ip link` shows, or `default`",
        )
    return value


def parse_bool(value: object, where: str) -> bool:
    """Read a truth value.

    :raises InputError: anything but true or false.
    """
    if not isinstance(value, bool):
        raise InputError(f"{short(value)} is not true or false", where=where)
    return value


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
            near = difflib.get_close_matches(str(key)[:80], known, n=1)
            way_out = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise InputError(f"unknown key {short(key)}", where=where, way_out=way_out)


def choice(value: object, choices: Iterable[str], where: str) -> str:
    """Return one of several words."""
    listed = tuple(choices)
    if not isinstance(value, str) or value not in listed:
        near = difflib.get_close_matches(str(value)[:80], listed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise InputError(
            f"{short(value)} is unknown", where=where, way_out=f"{hint}one of {', '.join(listed)}"
        )
    return value


def short(value: object) -> str:
    """Return a value for a message: quoted, control characters escaped, bounded."""
    text = ascii(value) if not isinstance(value, (Mapping, list)) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."
