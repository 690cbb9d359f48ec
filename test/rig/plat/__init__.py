"""Simulated hosts of platforms that cannot run here: a module for each dialect.

Each provides ``host`` (the host with its primary addresses up), ``FOREIGN`` (puts a
line of somebody else for 192.0.2.20/24 into its files) and ``bring_up`` (what its boot does
with the files). Its link is called ``eth0`` like everywhere on the rig, so that the matrices
of crashes and faults run on it as they stand; the guides' names are in the golden cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rig.simhost import SimHost
    from saltext.ipalias.model import Command

#: Dialects that have a module here.
NAMES: tuple[str, ...] = (
    "netifrc",
    "ifcfg_rh",
    "ifcfg_suse",
    "cpanel",
    "freebsd",
    "openbsd",
    "solaris",
    "ipadm",
    "windows",
)


class Platform(Protocol):
    """Describe what a module provides."""

    FOREIGN: Callable[[SimHost], None]

    def host(self, *, links: Sequence[str] = ("eth0",)) -> SimHost:
        """Return a host of the platform, its primary addresses and default routes up."""

    def bring_up(self, host: SimHost) -> None:
        """Do what a boot does: the kernel is empty but for its links."""


def halved(host: SimHost, command: Command) -> str | None:
    """Return the first half of a command's input, where its program does one thing after another.

    A crash within such a command leaves that half done. A program says so by `halved`.
    """
    half = getattr(host.programs.get(command.argv[0]), "halved", None)
    said: str | None = half(command.stdin or "") if half is not None else None
    return said


def load(name: str) -> Platform:
    """Return a dialect's module."""
    module: Platform = import_module(f"rig.plat.{name}")
    return module
