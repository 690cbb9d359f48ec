"""Measure promises on hosts of their own, a line each: ``ok``, ``FAIL`` or ``MISS``.

FULL=1        every combination, not a sample of them
SEED=n        another sample; the seed of a run stands in its first line
SABOTAGE=n    break the product's mechanism behind line n: the line must turn to FAIL
SABOTAGE=all  so with every line, one after another
--only 1,3    these lines alone
--case WORDS  combinations whose name holds this word alone: ``networkd``, ``trixie/``
--json FILE   the outcomes as JSON as well (``-``: instead of the lines)
--list        the lines and what they promise

Exit code 1 on a FAIL; with SABOTAGE, when a line did not turn to FAIL.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof import runner
from proof.registry import FAIL, MISS, Book, Case, Check, sample
from proof.sabotage import Sabotage, SabotageError, sabotaged
from rig import lanes
from rig.host import work_folder
from rig.netns import cleanup_leftovers
from rig.roots import SUITES, ensure_root

#: Part of the combinations that a run without FULL=1 takes.
SHARE = 0.4
#: Seconds after which such a run begins no more than the first combination of each line, so
#: that it ends within ten minutes on a busy machine too.
LIMIT = 480.0


@dataclass(frozen=True)
class Proof:
    """Hold what one proof command measures.

    :param book: its checks by number.
    :param sabotages: what is broken for each.
    :param limit: seconds after which a sample begins only the first combination of a line.
    :param hosts: False where no line boots a host.
    """

    book: Book
    sabotages: Mapping[int, Sabotage]
    limit: float = LIMIT
    hosts: bool = True


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="NUMBERS")
    parser.add_argument("--case", default="", metavar="WORDS")
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args(argv)


def chosen_checks(book: Book, only: str) -> list[Check]:
    """Return the checks to run, in order of their numbers.

    :raises SystemExit: for a number that is no line.
    """
    numbers = [int(word) for word in only.replace(",", " ").split()] or sorted(book)
    unknown = [number for number in numbers if number not in book]
    if unknown:
        sys.exit(f"no line {unknown[0]}; there are {', '.join(map(str, sorted(book)))}")
    return [book[number] for number in sorted(set(numbers))]


def measure(proof: Proof, options: argparse.Namespace, seed: int, share: float) -> int:
    """Run the checks and print their lines; return the exit code."""
    quiet = options.json == "-"
    plan: list[tuple[Check, list[Case]]] = []
    for check in chosen_checks(proof.book, options.only):
        drawn = sample(check, seed, 1.0 if options.case else share)
        drawn = [case for case in drawn if options.case in str(case)]
        if drawn:
            plan.append((check, drawn))
    count = sum(len(drawn) for _, drawn in plan)
    every = sum(len(check.cases) for check, _ in plan)
    head = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seed": seed,
        "share": round(count / every, 2) if every else 0,
        "combinations": count,
        "of": every,
        "kernel": platform.release(),
        "cores": os.cpu_count(),
    }
    if not quiet:
        print(
            f"{head['date']}: {count} of {every} combinations (share {head['share']}), "
            f"seed {seed}, kernel {head['kernel']}, {head['cores']} cores",
            flush=True,
        )
    began = time.monotonic()
    limit = proof.limit if share < 1 and not options.case else None
    lines = runner.run_checks(
        plan, lambda line: None if quiet else print(line.text(), flush=True), limit
    )
    seconds = round(time.monotonic() - began)
    failed = [line.number for line in lines if line.outcome == FAIL]
    missed = [line.number for line in lines if line.outcome == MISS]
    if not quiet:
        done = sum(len(line.outcomes) for line in lines)
        told = f"{len(lines)} lines in {seconds} s: {len(failed)} FAIL, {len(missed)} MISS"
        told += f"; {done} combinations, share {done / every:.2f}" if every else ""
        print(told, flush=True)
    if options.json:
        text = json.dumps(
            {**head, "seconds": seconds, "lines": [line.data() for line in lines]}, indent=1
        )
        if quiet:
            print(text)
        else:
            Path(options.json).write_text(f"{text}\n", encoding="utf-8")
    return 1 if failed else 0


def broken_line(proof: Proof, number: int) -> tuple[bool, str]:
    """Run a line on a broken product; return whether it turned to FAIL, and what to say."""
    plan = proof.sabotages.get(number)
    if plan is None:
        return False, f"{number:>3}  has no sabotage"
    try:
        with sabotaged(plan) as source:
            outcome = runner.run_case(proof.book[number], plan.case, source)
    except SabotageError as error:
        return False, f"{number:>3}  the sabotage does not apply: {error}"
    turned = outcome.outcome == FAIL
    verdict = "turned to FAIL" if turned else f"STILL {outcome.outcome}"
    told = f"{number:>3}  {verdict}: {plan.what} ({outcome.case})\n          {outcome.figure}"
    return turned, told


def sabotage(proof: Proof, words: str) -> int:
    """Break the product behind lines; return 0 when each of them turned to FAIL."""
    chosen = chosen_checks(proof.book, "" if words == "all" else words)
    numbers = [check.number for check in chosen]
    count = 0
    with ThreadPoolExecutor(runner.WIDTH) as pool:
        for turned, told in pool.map(lambda number: broken_line(proof, number), numbers):
            print(told, flush=True)
            count += turned
    print(f"{count} of {len(numbers)} lines turned to FAIL", flush=True)
    return 0 if count == len(numbers) else 1


def _hosts_ready() -> bool:
    """Make ready what hosts are booted from; False, and why, where none can be."""
    if reason := lanes.missing("host"):
        print(f"the proof needs hosts of its own, and this machine {reason}", file=sys.stderr)
        return False
    cleanup_leftovers()
    for suite in SUITES:
        ensure_root(suite)
    # Made here, not by two threads at once.
    work_folder()
    return True


def main(proof: Proof, argv: Sequence[str]) -> int:
    """Run what the command line and the environment ask for."""
    options = arguments(argv)
    if options.list:
        for check in chosen_checks(proof.book, options.only):
            print(f"{check.number:>3}  {check.title}\n          {check.promise}")
        return 0
    if proof.hosts and not _hosts_ready():
        return 1
    if words := os.environ.get("SABOTAGE"):
        return sabotage(proof, words)
    seed = int(os.environ.get("SEED") or random.randrange(1, 10**6))
    full = os.environ.get("FULL", "") not in ("", "0")
    # For checks that draw a sample of their own (`proof.extent`).
    os.environ["SEED"] = str(seed)
    return measure(proof, options, seed, 1.0 if full else SHARE)
