"""The checks by number: what is promised, and the function that measures it.

The proof command and the host lane call the same functions, so that nothing is said twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rig.roots import SUITES
from rig.setups import SETUPS

if TYPE_CHECKING:
    from proof.stage import Stage

OK, FAIL, MISS = "ok", "FAIL", "MISS"


class NotKept(AssertionError):
    """Raise where a promise about an outcome or an order is not kept."""


class Missed(Exception):
    """Raise where only an aim in time is missed; the figure is the message."""


def demand(kept: object, what: str) -> None:
    """Refuse with a sentence what is not as promised.

    :raises NotKept: when ``kept`` is false. Not ``assert``: that vanishes under ``-O``.
    """
    if not kept:
        raise NotKept(what)


@dataclass(frozen=True)
class Case:
    """Name one combination: a Debian release, and who owns its network.

    :param suite: release; empty for a check that needs no host.
    :param setup: set-up of `rig.setups`, or what the check runs instead of a host.
    """

    suite: str
    setup: str

    def __str__(self) -> str:
        """Show it as ``trixie/networkd``."""
        return f"{self.suite}/{self.setup}" if self.suite else self.setup


Function = Callable[["Stage"], "str | None"]


@dataclass(frozen=True)
class Check:
    """Hold one line of the proof.

    :param number: its line; peers' tests keep the number they have there.
    :param alone: True where another host beside it would spoil what is measured.
    """

    number: int
    title: str
    cases: tuple[Case, ...]
    function: Function
    alone: bool = False

    @property
    def promise(self) -> str:
        """Return what is promised, as the function's docstring says it."""
        return (self.function.__doc__ or "").strip()


#: Checks by number.
Book = dict[int, Check]
#: The promises about aliases, about safety, about the platforms of the alias guide, about real
#: servers behind a balancer, about several ways out, and about a DHCP pair.
CHECKS: Book = {}
SAFETY: Book = {}
PLATFORMS: Book = {}
DSR: Book = {}
WAN: Book = {}
DHCP: Book = {}


def cases(setups: Sequence[str] = tuple(SETUPS), suites: Sequence[str] = SUITES) -> list[Case]:
    """Return the combinations of these set-ups and releases."""
    return [Case(suite, setup) for setup in setups for suite in suites]


def check(
    number: int,
    title: str,
    *,
    over: Sequence[Case] | None = None,
    alone: bool = False,
    book: Book = CHECKS,
) -> Callable[[Function], Function]:
    """Register a function as a check.

    :param over: the combinations it applies to; None for every set-up on every release.
    :param book: the proof it belongs to.
    """

    def register(function: Function) -> Function:
        if number in book:
            raise ValueError(f"two checks with number {number}")
        listed = tuple(cases() if over is None else over)
        book[number] = Check(number, title, listed, function, alone)
        return function

    return register


def sample(chosen: Check, seed: int, share: float) -> list[Case]:
    """Draw a check's combinations for a run, always the same for one seed.

    Set-ups first, then a release for each: a small sample still has different owners in it.
    """
    draw = random.Random(f"{seed}-{chosen.number}")
    if share >= 1:
        return list(chosen.cases)
    wanted = max(1, round(share * len(chosen.cases)))
    pool = list(chosen.cases)
    draw.shuffle(pool)
    drawn: list[Case] = []
    while len(drawn) < wanted:
        setups = {case.setup for case in drawn}
        fresh = [case for case in pool if case.setup not in setups] or pool
        drawn.append(fresh[0])
        pool.remove(fresh[0])
    # As drawn: what a bounded run begins first is no favourite of ours.
    return drawn
