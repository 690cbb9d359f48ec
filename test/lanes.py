"""Run the test lanes, each with its own report, and say at the end what really ran.

Standard library only: it makes the venv first (`environment`). The last line is
``N passed, N failed``, summed over the lanes' own reports. The tests of a lane that cannot
run here skip themselves with the reason (`rig.lanes`), or fail where ``REQUIRE_LANES`` names
it (``all``: every one), for a green run that left something out proves nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import environment

ROOT = environment.ROOT
REPORTS = ROOT / ".build/junit"
#: Lanes in the order they run: the quick ones first.
LANES = ("lint", "unit", "golden", "functional", "netns", "host", "fleet")
#: Lanes whose tests share nothing run side by side, and how they are dealt out: a file's
#: tests stay together, but for the lane whose longest file would keep one core waiting. Hosts
#: wait for each other for much of their time, so there are more of them than cores.
WORKERS = {
    "unit": (2, "loadfile"),
    "golden": (2, "loadfile"),
    "functional": (2, "loadfile"),
    "netns": (4, "loadfile"),
    "host": (3, "worksteal"),
}
#: Lanes that make hosts of their own, with programs of the distribution.
HOST_LANES = {"functional", "netns", "host", "fleet"}
#: A test may skip itself where lanes are required only with a reason that begins so:
#: what it tests does not exist on that platform, rather than being absent by chance.
NOT_APPLICABLE = "not applicable"

OK, FAILED, SKIPPED, NO_TESTS = "ok", "FAILED", "skipped", "no tests"


@dataclass
class Report:
    """Hold the counts of one pytest report."""

    passed: int = 0
    failed: int = 0
    skips: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """Hold what became of a lane."""

    lane: str
    state: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reason: str = ""


def read_report(path: Path) -> Report:
    """Return the counts of a JUnit XML report; a test that also broke in teardown failed."""
    report = Report()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            report.failed += 1
        elif skip is not None:
            report.skips.append(skip.get("message", ""))
        else:
            report.passed += 1
    return report


def has_tests(lane: str) -> bool:
    """Tell whether a lane's folder holds a test file."""
    return any((ROOT / "test" / lane).rglob("test_*.py"))


def judge(lane: str, report: Report, code: int, required: bool) -> Outcome:
    """Return a lane's outcome from its report and pytest's exit code."""
    failed, reason = report.failed, ""
    unexcused = [skip for skip in report.skips if not skip.startswith(NOT_APPLICABLE)]
    if required and unexcused:
        failed += len(unexcused)
        reason = f"{len(unexcused)} skipped though required: {unexcused[0]}"
    elif unexcused:
        reason = f"skipped: {unexcused[0]}"
    # 5: nothing was collected. Any other failure without a failed test is pytest's own.
    if code not in (0, 5) and not report.failed:
        failed += 1
        reason = f"pytest ended with code {code}"
    if failed:
        state = FAILED
    elif report.passed:
        state = OK
    else:
        state = SKIPPED if report.skips else NO_TESTS
    return Outcome(lane, state, report.passed, failed, len(report.skips), reason=reason)


def run_pytest(lane: str, python: Path, required: bool) -> Outcome:
    """Run a lane's folder with pytest."""
    file = REPORTS / f"{lane}.xml"
    file.unlink(missing_ok=True)
    argv = [str(python), "-m", "pytest", "-q", f"test/{lane}", f"--junitxml={file}"]
    if lane in WORKERS:
        count, dealt = WORKERS[lane]
        argv += ["-n", str(count), "--dist", dealt]
    code = environment.run(argv)
    if not file.exists():
        reason = f"pytest ended with code {code} and left no report"
        return Outcome(lane, FAILED, failed=1, reason=reason)
    return judge(lane, read_report(file), code, required)


def project_files(*patterns: str) -> list[str]:
    """Return the project's own files by glob: those git knows or would take."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode:
        found = [path for pattern in patterns for path in ROOT.rglob(Path(pattern).name)]
        names = [str(path.relative_to(ROOT)) for path in found]
    else:
        names = said.stdout.split("\0")
    return sorted({n for n in names if n and not n.startswith(".") and (ROOT / n).is_file()})


def lint_commands(folder: Path) -> list[list[str]]:
    """Return the lint tools' command lines, those with nothing to look at left out."""
    tool = {path.name: str(path) for path in folder.iterdir()}
    kept = [n for n in project_files("*.sls", "*.yml", "*.yaml") if "test/golden/" not in n]
    states = [n for n in kept if n.endswith(".sls") and n.startswith("ipalias/")]
    others = [n for n in kept if not n.endswith(".sls")]
    others += [n for n in (*project_files("pillar.example", "FORMULA"), ".yamllint") if n]
    commands = [
        [tool["ruff"], "check", "."],
        [tool["ruff"], "format", "--check", "."],
        [tool["mypy"]],
        [tool["yamllint"], "--strict", *others],
    ]
    if states:
        commands.append([tool["salt-lint"], *states])
    return commands


def run_lint(python: Path) -> Outcome:
    """Run the lint tools; each that objects counts as one failed."""
    objected = []
    for argv in lint_commands(python.parent):
        name = " ".join([Path(argv[0]).name, *argv[1:2]] if "ruff" in argv[0] else [])
        name = name or Path(argv[0]).name
        print(f"-- {name}", flush=True)
        if environment.run(argv):
            objected.append(name)
    if objected:
        reason = "objected: " + ", ".join(objected)
        return Outcome("lint", FAILED, failed=len(objected), reason=reason)
    return Outcome("lint", OK)


def run_lane(lane: str, python: Path, required: bool) -> Outcome:
    """Run one lane, or say why it does not run."""
    if lane == "lint":
        return run_lint(python)
    if not has_tests(lane):
        if required:
            reason = f"test/{lane} holds no test"
            return Outcome(lane, FAILED, failed=1, reason=reason)
        return Outcome(lane, NO_TESTS)
    return run_pytest(lane, python, required)


def is_required(lane: str, words: Sequence[str]) -> bool:
    """Tell whether ``REQUIRE_LANES`` names a lane."""
    return "all" in words or lane in words


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the closing table, a line for each lane."""
    head = f"{'lane':<12}{'outcome':<10}{'passed':>7}{'failed':>7}{'skipped':>8}{'seconds':>9}"
    lines = ["", head, "-" * len(head)]
    for o in outcomes:
        counts = f"{o.passed:>7}{o.failed:>7}{o.skipped:>8}{o.seconds:>9.1f}"
        lines.append(f"{o.lane:<12}{o.state:<10}{counts}  {o.reason}".rstrip())
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> tuple[str, int]:
    """Return the last line and the exit code; nothing run is not a success."""
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    only_lint = [outcome.lane for outcome in outcomes] == ["lint"]
    good = not failed and (passed or only_lint)
    return f"{passed} passed, {failed} failed", 0 if good else 1


def chosen_lanes(words: Sequence[str]) -> list[str]:
    """Return the lanes to run, in their order."""
    unknown = [word for word in words if word not in LANES]
    if unknown:
        known = ", ".join(LANES)
        raise environment.SetupError(f"LANES names {unknown[0]}; the lanes are {known}")
    return [lane for lane in LANES if not words or lane in words]


def run_lanes(lanes: Sequence[str], required: Sequence[str]) -> list[Outcome]:
    """Prepare the machine and run the lanes, one after another."""
    if HOST_LANES & set(lanes):
        environment.prepare_packages()
    python = environment.prepare_venv("test", os.environ.get("SALT", ""))
    REPORTS.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for lane in lanes:
        print(f"\n=== {lane}", flush=True)
        start = time.monotonic()
        outcome = run_lane(lane, python, is_required(lane, required))
        outcome.seconds = time.monotonic() - start
        print(f"=== {lane}: {outcome.state} {outcome.reason}".rstrip(), flush=True)
        outcomes.append(outcome)
    return outcomes


def main() -> int:
    """Run the lanes that LANES names, or all."""
    try:
        environment.check_python()
        lanes = chosen_lanes(os.environ.get("LANES", "").replace(",", " ").split())
        required = os.environ.get("REQUIRE_LANES", "").replace(",", " ").split()
        outcomes = run_lanes(lanes, required)
    except environment.SetupError as error:
        print(f"set-up: {error}\n0 passed, 1 failed")
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted\n0 passed, 1 failed")
        return 130
    print(table(outcomes))
    line, code = summary(outcomes)
    print(line, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
