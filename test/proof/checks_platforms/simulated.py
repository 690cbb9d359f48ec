"""Platforms that cannot run here: simulated hosts whose commands are cited, golden trees.

A case is a dialect; its name stands where another proof's has the set-up of a host.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from proof.pytests import run_tests
from proof.registry import PLATFORMS, Case, Missed, check, demand
from proof.stage import Stage, shorten
from rig import plat
from rig.simengine import aliases, engine
from rig.simnm import OWNERS
from saltext.ipalias import backends
from saltext.ipalias.plan import make_plan
from saltext.ipalias.targets import added_target

#: Every dialect, and those whose platform cannot run here.
EVERY = [Case("", name) for name in sorted(OWNERS)]
ELSEWHERE = [Case("", name) for name in plat.NAMES]
#: Dialects that have a chapter in the alias guide.
CHAPTERS = {
    "ifupdown", "networkd", "ifcfg_rh", "netifrc", "ifcfg_suse", "cpanel", "windows", "freebsd",
    "solaris",
}  # fmt: skip
#: Sizes for the time of rendering and parsing, and how much more four times as many may take.
SIZES, LINEAR = (1_000, 4_000), 6.0


def tests(stage: Stage, keyword: str, *paths: str) -> str:
    """Run tests of the checkout of the stage by keyword, and return their last line.

    :raises NotKept: one failed, or none was chosen.
    """
    found = [path for path in paths if (stage.source / path).exists()]
    return run_tests(stage, *found, keyword=keyword).partition(" in ")[0]


def own_tests(name: str) -> tuple[str, ...]:
    """Return the files of tests that a dialect has for itself."""
    golden = (f"test/golden/{name}", f"test/golden/test_golden_{name}.py")
    return (*golden, f"test/unit/test_{name}.py", f"test/unit/test_platform_{name}.py")


@check(1, "every section of the alias guide: a row, a golden case, a simulated host", over=EVERY,
       book=PLATFORMS)  # fmt: skip
def sections(stage: Stage) -> str:
    """Add, second run, label, IPv6, remove, foreign lines kept, each restart level, ``test=True``
    without effect, ``import_pillar``, ``default``, restore; the guide's own snippets first.
    """
    name = stage.setup
    rows = (stage.source / "docs/platforms.md").read_text(encoding="utf-8")
    demand(f"| `{name}` |" in rows, f"docs/platforms.md has no row of {name}")
    if name in CHAPTERS:
        cases = [p.name for p in (stage.source / f"test/golden/{name}").iterdir()]
        demand(any(case.startswith("guide") for case in cases), f"no golden case: {cases}")
    return tests(
        stage, f"{name} and not drift", "test/unit/test_platforms.py",
        f"test/golden/{name}", f"test/golden/test_golden_{name}.py",
    )  # fmt: skip


@check(2, "diff and verify see what is in the files, live, or foreign alone", over=EVERY,
       book=PLATFORMS)  # fmt: skip
def drift(stage: Stage) -> str:
    """File right and live missing, live right and file missing, an address of somebody else."""
    words = "test_in_the_files_and_not_live or test_live_and_not_in or test_an_address_of_some"
    return tests(stage, f"{stage.setup} and ({words})", "test/unit/test_platforms.py")


@check(3, "1,000 aliases and 4,000: rendering and parsing are linear", over=EVERY, alone=True,
       book=PLATFORMS)  # fmt: skip
def linear(stage: Stage) -> str:
    """The best of three, a change planned and the files read again; more than six times as long
    for four times as many is a ``MISS``.
    """
    name = stage.setup
    code = f"import sys; sys.path[:0] = ['test', '_utils']\nfrom {__name__} import timed\n"
    code += f"print(*[timed({name!r}, count) for count in {SIZES!r}])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=stage.source,
        capture_output=True,
        text=True,
        check=False,
    )
    demand(done.returncode == 0, shorten(done.stderr[-500:]))
    few, many = map(float, done.stdout.split())
    figure = f"{few * 1000:.0f} ms, {many * 1000:.0f} ms: {many / few:.1f} times"
    if many / few > LINEAR:
        raise Missed(figure)
    return figure


def timed(name: str, count: int) -> float:
    """Return the seconds that planning and reading so many aliases takes: the best of three.

    :raises NotKept: what was written and read again is not what was planned.
    """
    return min(_once(name, count) for _ in range(3))


def _once(name: str, count: int) -> float:
    host, backend = OWNERS[name](), backends.load(name)
    # 198.18.0.0/15 is set aside for benchmarks (RFC 2544).
    listed = aliases(*(f"198.18.{number // 250}.{number % 250 + 1}" for number in range(count)))
    asked = engine(host)
    began = time.perf_counter()
    situation = asked.situation("eth0", asked.config().base, asked.ledger(), asked.snapshot())
    # What Solaris' kernel holds as it comes is refused beyond 256: here it has been raised.
    facts = {**situation.evidence.facts, "limit": "8192"}
    situation = replace(situation, evidence=replace(situation.evidence, facts=facts))
    target = added_target(situation, listed, persist=True, live=True)
    plan = make_plan(situation, target, host)
    spent = time.perf_counter() - began
    for file in plan.files:
        if file.text is not None:
            host.files.put(file.path, file.text, file.mode)
    began = time.perf_counter()
    found = backend.parse(host, backend.detect(host, "eth0"))
    spent += time.perf_counter() - began
    read = {one.alias.address for one in found}
    missing = [alias.address for alias in listed if alias.address not in read]
    demand(backend.STORED or not missing, f"{len(missing)} of {count} are not read again")
    return spent


@check(4, "property tests: foreign lines survive byte for byte, real files too", over=EVERY,
       book=PLATFORMS)  # fmt: skip
def properties(stage: Stage) -> str:
    """parse(render(x)) = x, rendering twice changes nothing, damaged files are refused or kept:
    generated files, and the real ones where the folder with them is there.
    """
    name = stage.setup
    found = [path for path in own_tests(name) if (stage.source / path).exists()]
    return tests(stage, name, *found, "test/unit/test_backends_conformance.py")


@check(5, "killed, failing, interleaved: old or new on every simulated platform", over=EVERY,
       book=PLATFORMS)  # fmt: skip
def matrices(stage: Stage) -> str:
    """A change cut short before and after each effect, each effect failing, random sequences of
    requests, crashes and dead men: the way back leads to old or new, what is foreign stays.
    """
    names = ("crash_matrix", "fault_matrix", "power_loss", "interleavings", "way_back")
    return tests(stage, stage.setup, *(f"test/unit/test_{name}.py" for name in names))


@check(6, "the rig refuses what the real one refuses, and slips of the pen", over=ELSEWHERE,
       book=PLATFORMS)  # fmt: skip
def refusals(stage: Stage) -> str:
    """Every form of a command is cited; five real refusals and more are injected; of the slips in
    what was rendered at least 95 % are refused.
    """
    name = stage.setup
    words = "refus or slip or mutat or surviv or cannot or injected"
    files = ("test_bsd.py", f"test_{name}.py", f"test_platform_{name}.py")
    return tests(stage, f"({words})", *(f"test/unit/{file}" for file in files))


@check(8, "state.apply by Salt's own loader, with the platform's grains", over=EVERY,
       book=PLATFORMS)  # fmt: skip
def whole_path(stage: Stage) -> str:
    """Pillar, SLS, state, module, library and transaction: ``test=True`` shows what the run then
    does, a second run nothing, an alias by hand stays, clean takes all away.
    """
    return tests(stage, stage.setup, "test/functional/test_every_platform.py")


@check(9, "dead man and boot restore in the form of each system", over=[Case("", "every system")],
       book=PLATFORMS)  # fmt: skip
def boot_units(stage: Stage) -> str:
    """systemd, OpenRC, rc.d, SMF, Task Scheduler: the frozen copy by the recorded interpreter,
    before the network where the system lets one run there; its own shell or parser reads it.
    """
    return tests(stage, "test", "test/unit/test_bootunit.py", "test/unit/test_frozen.py")
