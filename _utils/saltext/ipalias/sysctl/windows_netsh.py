"""Windows, the weak host model in the form of the DSR guide: a line of ``netsh`` a setting.

Everything else of the store is `sysctl.windows`, and so is the way back: both write the same
two stores, netsh by default ``store=persistent``, which is its word for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..backends.windows_netsh import is_index
from ..effects import Effects, Run
from ..errors import EffectError, UnsupportedError
from ..host import Host, Result
from ..live import powershell
from ..live import windows_settings as settings
from ..model import Command
from . import Held, windows
from .windows import (
    STORED,
    fallback,
    interface_of,
    notes,
    parse_key,
    parse_value,
    read_lasting,
    read_ours,
    read_values,
    render,
    spread,
)

__all__ = [
    "STORED",
    "change",
    "check",
    "fallback",
    "interface_of",
    "notes",
    "parse_key",
    "parse_value",
    "read_lasting",
    "read_ours",
    "read_values",
    "render",
    "spread",
]


def check(host: Host, keys: Mapping[str, str]) -> None:
    """Refuse what `windows.check` does, and a name that netsh takes for an index."""
    for key, where in keys.items():
        name = settings.parse_key(key).interface
        if is_index(name):
            raise UnsupportedError(
                f"netsh takes the name {name!r} for an index",
                where=where,
                way_out="leave `form` out, or rename the connection",
            )
    windows.check(host, keys)


def change(host: Host, values: Mapping[str, Held]) -> Effects[None]:
    """Give settings their values, one after another, where netsh has a line for it.

    :raises EffectError: naming the key that was refused; netsh's words are in the system's
        language and only passed on.
    """
    there = settings.read(host).values[powershell.ACTIVE]
    for key, held in values.items():
        commands = list(_lines(key, held)) if key in there else []
        if not commands:
            yield from windows.change(host, {key: held})
        for command in commands:
            result: Result = yield Run(command, check=False)
            if result.code != 0:
                said = " ".join((result.err or result.out).split()) or f"exit {result.code}"
                raise EffectError(f"could not be changed: {said[:400]}", where=key)


def _lines(key: str, held: Held) -> Iterator[Command]:
    """Yield netsh's line for a setting that both stores shall have; else nothing."""
    if held.live is not None and held.stored in (None, held.live):
        command = settings.netsh(settings.parse_key(key), held.live)
        if command is not None:
            yield command
