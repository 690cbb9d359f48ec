"""Run checks over their combinations, two hosts at a time, and say each as a line."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from proof.registry import FAIL, MISS, OK, Case, Check, Missed
from proof.stage import Stage, shorten
from rig.netns import CHECKOUT

#: Hosts at once: as many as the cores the proof is made for.
WIDTH = 2
#: Part of a bounded run's time for the checks that go side by side.
BESIDE = 0.75


@dataclass(frozen=True)
class Outcome:
    """Hold what one combination gave.

    :param figure: what was measured, or why it failed.
    """

    case: str
    outcome: str
    figure: str
    seconds: float


@dataclass
class Line:
    """Hold one line of the proof."""

    number: int
    title: str
    outcomes: list[Outcome] = field(default_factory=list)
    of: int = 0

    @property
    def outcome(self) -> str:
        """Return the worst outcome."""
        found = {one.outcome for one in self.outcomes}
        return next((word for word in (FAIL, MISS) if word in found), OK)

    def text(self) -> str:
        """Return the line; below it, what was not ok and what was measured."""
        count = f"({len(self.outcomes)} of {self.of} combinations)" if self.of > 1 else ""
        lines = [f"{self.outcome:<4} {self.number:>3}  {self.title}  {count}".rstrip()]
        for one in self.outcomes:
            if one.outcome != OK:
                lines.append(f"          {one.outcome} {one.case}: {one.figure}")
        figures: dict[str, list[str]] = {}
        for one in self.outcomes:
            if one.outcome == OK and one.figure:
                figures.setdefault(one.figure, []).append(one.case)
        lines += [f"          {', '.join(where)}: {what}" for what, where in figures.items()]
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """Return the line as plain data."""
        return {**asdict(self), "outcome": self.outcome}


def run_case(check: Check, case: Case, source: Path = CHECKOUT) -> Outcome:
    """Run a check on one combination; whatever it raises becomes its outcome."""
    began = time.monotonic()
    outcome, figure = OK, ""
    try:
        with Stage(case, source) as stage:
            figure = check.function(stage) or ""
    except Missed as error:
        outcome, figure = MISS, str(error)
    except AssertionError as error:
        outcome, figure = FAIL, shorten(str(error))
    except Exception as error:
        # An error of the rig is no proof either.
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome = FAIL
        figure = shorten(
            f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        )
    return Outcome(str(case), outcome, figure, round(time.monotonic() - began, 1))


def run_checks(
    chosen: Sequence[tuple[Check, Sequence[Case]]],
    say: Callable[[Line], None],
    seconds: float | None = None,
) -> list[Line]:
    """Run checks, and say each line once it and those before it are known.

    Those that measure time come last, each with the machine to itself.

    :param seconds: time after which only the first combination of a line is still begun.
    """
    began = time.monotonic()
    beside = [pair for pair in chosen if not pair[0].alone]
    alone = [pair for pair in chosen if pair[0].alone]
    lines = {
        check.number: Line(check.number, check.title, of=len(check.cases)) for check, _ in chosen
    }

    def late(part: float) -> bool:
        return seconds is not None and time.monotonic() - began > part * seconds

    def one(check: Check, case: Case, first: bool) -> Outcome | None:
        return None if late(BESIDE) and not first else run_case(check, case)

    turns = [(check, case, turn) for check, cases in beside for turn, case in enumerate(cases)]
    if seconds is not None:
        # The first of each line, then the second of each: what time cuts off is cut evenly.
        turns.sort(key=lambda found: found[2])
    with ThreadPoolExecutor(WIDTH) as pool:
        futures: dict[int, list[Future[Outcome | None]]] = {pair[0].number: [] for pair in beside}
        for check, case, turn in turns:
            futures[check.number].append(pool.submit(one, check, case, turn == 0))
        try:
            for check, _ in beside:
                _fill(lines[check.number], (future.result() for future in futures[check.number]))
                say(lines[check.number])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for check, cases in alone:
        done = (
            None if turn and late(1.0) else run_case(check, case) for turn, case in enumerate(cases)
        )
        _fill(lines[check.number], done)
        say(lines[check.number])
    return [lines[number] for number in sorted(lines)]


def _fill(line: Line, outcomes: Iterable[Outcome | None]) -> None:
    line.outcomes.extend(outcome for outcome in outcomes if outcome is not None)
