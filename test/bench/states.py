"""``state.apply ipalias`` beside a ``test.nop`` with the same pillar: new aliases, no change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import places
from measure import RUNS, Pair, Row

from rig.host import BootedHost
from rig.netns import NetHost, Segment
from rig.salt import SaltMinion
from rig.setups import SETUPS

#: Seconds over the floor that a run may take, by the number of aliases.
NEW_AIM = {1_000: 1.0}
SAME_AIM = {1_000: 0.1, 10_000: 0.5}
SIZES = (100, 1_000, 10_000)


@dataclass(frozen=True)
class Case:
    """Hold what is measured on one host."""

    dialect: str
    count: int
    addresses: Callable[[int], list[str]] = places.ipv4
    form: Callable[[str], str] = places.plain

    @property
    def name(self) -> str:
        """Return what the lines say of it."""
        family = "" if self.addresses is places.ipv4 else " IPv6"
        form = "" if self.form is places.plain else ", as mappings"
        return f"{self.dialect}, {self.listed:,}{family}{form}"

    @property
    def listed(self) -> int:
        """Return how many aliases it is: as many as the dialect holds."""
        return min(self.count, places.HOLDS.get(self.dialect, self.count))


def cases(full: bool) -> list[Case]:
    """Return the cases on hosts without daemons, where each backend is named in the pillar."""
    found = [Case("ifupdown", count) for count in SIZES]
    found += [Case("ifupdown", count, form=places.mapping) for count in (1_000, 10_000)]
    found += [Case("networkd", 1_000, places.ipv6)]
    if full:
        others = [dialect for dialect in places.FILES if dialect != "ifupdown"]
        found += [Case(dialect, count) for dialect in others for count in SIZES]
        found += [Case(d, 1_000, places.ipv6) for d in places.FILES if d != "networkd"]
        found += [Case(d, 10_000, places.ipv6_one_group) for d in places.FILES]
    return found


def measure(full: bool) -> Iterator[Row]:
    """Yield the rows of all cases, then those of booted hosts with their daemons."""
    with Segment() as segment, NetHost(segment) as host:
        places.install(host)
        first = True
        for case in cases(full):
            yield from _measured(host, case, warm=first)
            first = False
    for suite in places.suites(full):
        for name in SETUPS:
            yield from _booted(suite, name, full)


def _measured(host: NetHost, case: Case, *, warm: bool) -> Iterator[Row]:
    places.write_files(host, case.dialect)
    places.write_pillar(host, case.addresses(case.listed), case.dialect, case.form)
    if warm:
        _warm(host)

    def reset() -> None:
        places.write_files(host, case.dialect)
        places.flush(host)

    yield from _rows(host, case, reset, "named, no daemon")


def _warm(host: SaltMinion) -> None:
    """Have Salt sync and compile what it will load, as on a minion that ran before."""
    for words in (["saltutil.sync_all"], ["state.apply", "ipalias", "test=True"]):
        host.run([*host.salt_argv(), "--local", *words], env=host.salt_environment())
    places.apply(host, "floor")


def _rows(host: SaltMinion, case: Case, reset: Callable[[], None], where: str) -> Iterator[Row]:
    """Measure the floor, a run that brings new aliases and one that changes nothing, in turn."""
    new: list[Pair] = []
    same: list[Pair] = []
    for _ in range(RUNS):
        floor, _ = places.apply(host, "floor")
        new.append(Pair(places.apply_changes(host, expected=True), floor))
        assert places.count_live(host) == case.listed
        same.append(Pair(places.apply_changes(host, expected=False), floor))
        reset()
    for section, pairs, aims in (
        ("b  new aliases", new, NEW_AIM),
        ("c  no change", same, SAME_AIM),
    ):
        aim = aims.get(case.count)
        yield Row(f"{section} ({where})", case.name, "test.nop", "over", pairs, aim)


# -------------------------------------------------------------- hosts with their daemons


def _booted(suite: str, setup: str, full: bool) -> Iterator[Row]:
    """Measure on a Debian with its own systemd, where the backend is detected."""
    counts: Sequence[int] = SIZES if full else (1_000,)
    with ExitStack() as stack:
        segment = stack.enter_context(Segment())
        host = stack.enter_context(BootedHost(suite, segment))
        SETUPS[setup](host)
        places.install(host)
        host.boot()
        warm = False
        for count in counts:
            case = Case(setup, min(count, places.HOLDS.get(setup, count)))
            places.write_pillar(host, case.addresses(case.listed))
            if not warm:
                _warm(host)
                warm = True
            yield from _rows(host, case, lambda: _clean(host), f"{suite}, its daemon")


def _clean(host: BootedHost) -> None:
    """Take everything of ours away by the formula itself, the daemon told."""
    places.apply_changes(host, expected=True, sls="ipalias.clean")


if __name__ == "__main__":
    sys.exit("run bench.py")
