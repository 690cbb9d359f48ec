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

#: Dialects that have a module here.
NAMES: tuple[str, ...] = ("solaris", "ipadm")


class Platform(Protocol):
    """Describe what a module provides."""

    FOREIGN: Callable[[SimHost], None]

    def host(self, *, links: Sequence[str] = ("eth0",)) -> SimHost:
        """Return a host of the platform, its primary addresses and default routes up."""

    def bring_up(self, host: SimHost) -> None:
        """Do what a boot does: the kernel is empty but for its links."""


def load(name: str) -> Platform:
    """Return a dialect's module."""
    module: Platform = import_module(f"rig.plat.{name}")
    return module
