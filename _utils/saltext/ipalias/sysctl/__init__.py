"""Kernel settings that last: one module a system, behind one small protocol.

A *key* names a setting as its system does: a sysctl on Linux and the BSDs, ``PROTOCOL/property``
of ``ipadm`` or ``ndd`` on Solaris, ``FAMILY/INTERFACE/property`` on Windows. What a boot makes
of it is said by files, or by the store itself (`Store.STORED`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple, Protocol

from ..effects import Effects
from ..errors import MALFORMED, InputError
from ..host import Host
from ..model import File
from ..values import short

#: System (`Host.system`) → module beside this one.
STORES: Mapping[str, str] = {
    "linux": "linux",
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "sunos": "solaris",
    "windows": "windows",
}
#: System and form → module beside this one, where it is not the system's own.
FORMS: Mapping[tuple[str, str], str] = {("windows", "netsh"): "windows_netsh"}


class Held(NamedTuple):
    """Hold what a system has of one setting now.

    :param live: value in the kernel, blanks between its words as one space; None: there is no
        such thing now, as of an interface that is not there.
    :param stored: value that the system's own store keeps for the next boot; None: it keeps
        none, or has no store (`Store.STORED`).
    """

    live: str | None = None
    stored: str | None = None


def parse_held(row: Sequence[object]) -> Held:
    """Read what JSON has of a `Held`."""
    live, stored = row
    return Held(*(None if value is None else str(value) for value in (live, stored)))


class Assignment(NamedTuple):
    """Hold one place that sets a key at boot.

    :param path: file, or the command that shows the store.
    :param line: counted from 1; 0 where the place has no lines.
    :param key: as written, maybe with wildcards.
    :param value: None for a line that keeps the key from being set (``-KEY`` of sysctl.d).
    :param ours: True where it stands in our own file, our block, or was stored by us.
    """

    path: str
    line: int
    key: str
    value: str | None
    ours: bool = False

    @property
    def where(self) -> str:
        """Return the place for a message."""
        return f"{self.path}:{self.line}" if self.line else self.path


class Lasting(NamedTuple):
    """Hold what sets a key at boot.

    :param assignments: every place that names the key, in the order a boot comes to them.
    :param winner: the one whose value stands in the end; None: none sets it, and the kernel's
        own value holds.
    """

    assignments: tuple[Assignment, ...] = ()
    winner: Assignment | None = None

    @property
    def value(self) -> str | None:
        """Return the value after a boot; None where none is set."""
        return self.winner.value if self.winner is not None else None


class Store(Protocol):
    """Describe what the module of a system provides."""

    #: True where a command keeps the value for the next boot, and no file.
    STORED: bool

    def parse_key(self, key: str, where: str) -> str:
        """Return a key in canonical form.

        :raises InputError: not a key, or one that this system reads at boot only.
        """

    def parse_value(self, key: str, value: object, where: str) -> str:
        """Return a value as the system takes it: one line, one space between words.

        :raises InputError: not a value that can be written and read back.
        """

    def interface_of(self, key: str) -> str | None:
        """Return the interface a canonical key is about; None where it is about none."""

    def check(self, host: Host, keys: Mapping[str, str]) -> None:
        """Refuse what this kernel does not have; an interface that is not there is no fault.

        :param keys: key → where it was asked for.
        :raises InputError: no such setting.
        """

    def read_values(self, host: Host, keys: Iterable[str]) -> dict[str, Held]:
        """Return what the system has of each key now."""

    def fallback(self, host: Host, key: str) -> str | None:
        """Return what an interface's setting is where nobody sets it; None: not known."""

    def read_lasting(self, host: Host, keys: Iterable[str]) -> dict[str, Lasting]:
        """Return what sets each key at boot, ours included.

        Files are read through `host`, so that an `Overlay` tells what planned files would do.

        :raises ParseError: our block in a file has lost its other end.
        """

    def read_ours(self, host: Host) -> dict[str, str]:
        """Return what our part of the files holds, for a host whose ledger is lost."""

    def spread(self, host: Host, key: str) -> list[str]:
        """Return the other keys that the kernel writes along when this one is written."""

    def notes(self, host: Host, wanted: Mapping[str, str]) -> list[str]:
        """Return sentences on what else might set one of these; our files are in place."""

    def render(self, host: Host, wanted: Mapping[str, str]) -> list[File]:
        """Return the files with our part holding just these; no key: without our part.

        A store has none.
        """

    def change(self, host: Host, values: Mapping[str, Held]) -> Effects[None]:
        """Bring settings to values, live and, where `STORED`, for the next boot.

        The order is that of `values`; None live is left alone, None stored is taken out.

        :raises EffectError: one was refused; it names the key.
        """


def parse_text(value: object, where: str, way_out: str) -> str:
    """Return a value from YAML, or of an argument, as text.

    :raises InputError: neither text nor a number; a truth value, for YAML makes one of ``yes``
        and ``on``; a number of more digits than Python writes out.
    """
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        with suppress(*MALFORMED):
            return str(value)
    raise InputError(f"{short(value)} is not a value", where=where, way_out=way_out)


def load(system: str, form: str = "") -> Store:
    """Return the store of a system.

    :param form: how changes are said, where a system has a second way (`FORMS`).
    """
    name = FORMS.get((system, form), STORES[system])
    store: Store = import_module(f"{__package__}.{name}")
    return store


def differs(now: Held, target: Held, *, stored: bool) -> bool:
    """Tell whether a setting is to be changed; one that is not there cannot be.

    :param stored: True where the system keeps a value of its own (`Store.STORED`).
    """
    live = target.live is not None and now.live is not None
    if live and not same_value(now.live, target.live):
        return True
    return stored and not same_value(now.stored, target.stored)


def same_value(one: str | None, other: str | None) -> bool:
    """Tell whether two values are one, whatever blanks stand between their words."""
    if one is None or other is None:
        return one is other
    return one.split() == other.split()
