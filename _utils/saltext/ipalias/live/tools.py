"""What reads and changes live addresses on each system: one module a system.

A tool is named after the system it commands; what several share (the reader of
``ifconfig``) lies in modules of its own. Reading is `read_snapshot`; changing is a
generator of effects, `change`, that raises `ops.BatchError` with what it did not come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Protocol

from ..effects import Effects
from ..host import Host, Result
from ..model import Command
from . import LiveAddress, Route, Snapshot
from .batch import Op

#: System (`Host.system`) → module beside this one.
TOOLS: Mapping[str, str] = {
    "linux": "linux",
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "sunos": "solaris",
    "windows": "windows",
}


class Tool(Protocol):
    """Describe what the module of a system provides."""

    #: True where raw frames can be sent and heard: duplicates are asked for and new
    #: addresses announced by us. Elsewhere the kernel announces what it adds, and looks for
    #: duplicates; the BSDs not for those of IPv4, which `taken` asks for there.
    FRAMES: bool

    def read_snapshot(self, host: Host) -> Snapshot:
        """Return what the kernel holds now; its `system` is the tool's own.

        :raises EffectError: it cannot be read.
        """

    def change(
        self,
        interface: str,
        ops: Sequence[Op],
        deleted: Iterable[LiveAddress],
        *,
        go_on: bool = False,
    ) -> Effects[None]:
        """Carry out live changes in their order; stop at the first that is refused.

        :param deleted: the addresses among them that go, as they are live now.
        :param go_on: on the way back: do what is behind a refused one as well.
        :raises BatchError: naming the address, and what was not come to.
        """

    def check_gateway(self, host: Host, address: str, interface: str) -> str:
        """Return what is wrong with a gateway, or nothing; not where there are frames."""

    def routes_back(self, routes: Sequence[Route]) -> list[Command]:
        """Return the commands that put routes back as they were.

        One that is refused keeps no other away.
        """

    def kernel_settings(self, interface: str) -> tuple[str, ...]:
        """Return the paths of kernel settings that `change` may borrow for a moment."""


def load(system: str) -> Tool:
    """Return the tool of a system."""
    tool: Tool = import_module(f"{__package__}.{TOOLS[system]}")
    return tool


def taken(
    interface: str, asked: Sequence[str], snapshot: Snapshot, host: Host
) -> Effects[tuple[dict[str, str], list[str]]]:
    """Ask a segment for addresses by the system's own programs.

    A tool whose kernel does not look for duplicates by itself has a function `taken` of its
    own; elsewhere nobody is asked.

    :return: those that somebody has, with hardware addresses, and what is to be said.
    """
    own = getattr(load(snapshot.system), "taken", None)
    if own is None:
        return {}, []
    answer: tuple[dict[str, str], list[str]] = yield from own(interface, asked, snapshot, host)
    return answer


def failure(system: str, result: Result) -> tuple[int | None, str]:
    """Return at which of its changes a command stopped, and why.

    A tool whose programs tell the former has a function `failure` of its own; elsewhere the
    index is None, and nothing is held to be undone.
    """
    told = getattr(load(system), "failure", None)
    if told is not None:
        said: tuple[int | None, str] = told(result)
        return said
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    return None, lines[-1].strip()[:400] if lines else "no output"
