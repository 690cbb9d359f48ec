"""Take times of whole processes, in pairs, and hold the medians against an aim."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rig.machine import Machine
from rig.process import Result

#: Pairs that a median is taken of.
RUNS = 5


class Took(NamedTuple):
    """Hold what one process took, in seconds; ``cpu`` counts all it has waited for."""

    wall: float
    cpu: float


class Pair(NamedTuple):
    """Hold what is measured and what stands beside it, taken one right after the other."""

    ours: Took
    beside: Took


@dataclass(frozen=True)
class Row:
    """Hold one line of the result.

    :param beside: what the pairs' second half is: a floor, a peer.
    :param kind: ``over``: seconds more than beside; ``ratio``: times beside.
    :param aim: largest figure that is good; None: no aim, the figure is only told.
    """

    section: str
    what: str
    beside: str
    kind: str
    pairs: Sequence[Pair]
    aim: float | None = None
    note: str = ""
    more: Mapping[str, float] = field(default_factory=dict)

    def median(self, half: str, clock: str = "wall") -> float:
        """Return the median of one half, ``ours`` or ``beside``."""
        return statistics.median(getattr(getattr(pair, half), clock) for pair in self.pairs)

    def figure(self, clock: str = "wall") -> float:
        """Return the median of what the pairs say, pair by pair."""
        return statistics.median(
            compared(self.kind, getattr(pair.ours, clock), getattr(pair.beside, clock))
            for pair in self.pairs
        )

    @property
    def verdict(self) -> str:
        """Return ``ok`` or ``MISS``; nothing where there is no aim."""
        if self.aim is None:
            return ""
        return "ok" if self.figure() <= self.aim else "MISS"

    def data(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {
            "section": self.section,
            "what": self.what,
            "beside": self.beside,
            "kind": self.kind,
            "runs": len(self.pairs),
            "ours_s": round(self.median("ours"), 4),
            "beside_s": round(self.median("beside"), 4),
            "figure": round(self.figure(), 4),
            "figure_cpu": round(self.figure("cpu"), 4),
            "aim": self.aim,
            "verdict": self.verdict,
            "note": self.note,
            "more": {name: round(value, 4) for name, value in self.more.items()},
            "pairs": [[round(p.ours.wall, 4), round(p.beside.wall, 4)] for p in self.pairs],
        }


def compared(kind: str, ours: float, beside: float) -> float:
    """Return how one time stands to another."""
    return ours - beside if kind == "over" else ours / max(beside, 1e-6)


def took(work: Callable[[], Any]) -> tuple[Took, Any]:
    """Return what a piece of work took, the processes it waited for included."""
    before, start = _cpu(), time.perf_counter()
    result = work()
    return Took(time.perf_counter() - start, _cpu() - before), result


def process_took(
    host: Machine,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 600.0,
) -> tuple[Took, Result]:
    """Return what a whole process on a host took, and what it said."""
    return took(lambda: host.run(argv, env=env, timeout=timeout))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def surroundings() -> dict[str, str]:
    """Return what the figures were taken on."""
    cpu = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    import salt.version

    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {cpu or platform.machine()}",
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "salt": salt.version.__version__,
    }


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table to read."""
    lines = [
        f"{'':5}{'':44}{'ours':>9}{'beside':>9}  {'pair by pair':>13}{'(cpu)':>9}{'aim':>9}",
    ]
    section = ""
    for row in sorted(rows, key=lambda row: row.section):
        if row.section != section:
            section = row.section
            lines += ["", section]
        unit = " s" if row.kind == "over" else " x"
        sign = "+" if row.kind == "over" else " "
        aim = "" if row.aim is None else f"<= {row.aim:g}{unit.strip()}"
        lines.append(
            f"{row.verdict:5}{row.what:44}{row.median('ours'):8.3f}s{row.median('beside'):8.3f}s"
            f"  {sign}{row.figure():9.3f}{unit} {row.figure('cpu'):8.3f}{aim:>9}  {row.beside}"
        )
        lines += [f"{'':9}{name}: {value:.3f} s" for name, value in row.more.items()]
        lines += [f"{'':9}{row.note}"] if row.note else []
    return "\n".join(lines)
