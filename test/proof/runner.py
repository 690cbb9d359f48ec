"""Run checks over their combinations, two hosts at a time, and say each as a line."""

from __future__ import annotations

import contextlib
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
    chosen: Sequence[tuple[Check, Sequence[Case]]], say: Callable[[Line], None]
) -> list[Line]:
    """Run checks, and say each line once it and those before it are known.

    Those that measure time come last, each with the machine to itself.
    """
    beside = [pair for pair in chosen if not pair[0].alone]
    alone = [pair for pair in chosen if pair[0].alone]
    lines: dict[int, Line] = {}
    with ThreadPoolExecutor(WIDTH) as pool:
        futures = [
            (check, [pool.submit(run_case, check, case) for case in cases])
            for check, cases in beside
        ]
        try:
            for check, running in futures:
                lines[check.number] = _line(check, (future.result() for future in running))
                say(lines[check.number])
        except BaseException:
            _cancel(future for _, running in futures for future in running)
            raise
    for check, cases in alone:
        lines[check.number] = _line(check, (run_case(check, case) for case in cases))
        say(lines[check.number])
    return [lines[number] for number in sorted(lines)]


def _line(check: Check, outcomes: Iterable[Outcome]) -> Line:
    return Line(check.number, check.title, list(outcomes), len(check.cases))


def _cancel(futures: Iterable[Future[Outcome]]) -> None:
    for future in futures:
        with contextlib.suppress(Exception):
            future.cancel()
