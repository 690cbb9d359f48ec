"""Bring the kernel to what is wanted: routes and rules, then NAT, then the flows that lost
their line; the monitor's one way to act, and the configuration's.

No lock and no journal: everything it sets is ours by table, priority, id and protocol, is
computed from the configuration and the verdicts alone, and is put back by the next call.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .model import Line, Wanted, WanConfig, Way


class Done(NamedTuple):
    """Hold what a call has changed.

    :param changes: one sentence each, in order; empty: the kernel was as wanted.
    :param problems: what could not be done, with the kernel's own words; the rest was done.
    :param flushed: line → number of flows forgotten; -1 where the kernel does not tell.
    :param missing: lines that are wanted and cannot be routed over now, with the reason
        (no carrier, no such interface, no address).
    """

    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    flushed: tuple[Line, ...] = ()
    missing: tuple[tuple[Line, str], ...] = ()


class Switch:
    """Hold the sockets to the kernel and what was wanted last."""

    def __init__(self, config: WanConfig) -> None:
        self.config = config

    def apply(self, wanted: Wanted, down: Collection[Line] = ()) -> Done:
        """Bring routes, rules and NAT to what is wanted, then flush flows.

        :param down: every line whose verdict is down. The flows of one that has just left
            the default route because of that are flushed.
        """
        raise NotImplementedError

    def reconcile(self) -> Done:
        """Bring the kernel to what was wanted last: whatever anyone removed comes back."""
        raise NotImplementedError

    def source(self, way: Way) -> str:
        """Return the address that traffic over a line has now, or "" while it has none."""
        raise NotImplementedError

    def remove(self) -> Done:
        """Take everything of ours out of the kernel; other routes were never touched."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the sockets."""
