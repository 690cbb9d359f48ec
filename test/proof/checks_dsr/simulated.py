"""Systems that cannot run here: their simulated hosts, and the guide's own commands."""

from __future__ import annotations

from proof.pytests import run_tests
from proof.registry import DSR, Case, check
from proof.stage import Stage
from rig.simdsr import LINUX

UNIT = "test/unit"
#: The system, by the name of its simulated host.
WINDOWS = "windows"
SYSTEMS = ("freebsd", "openbsd", "solaris10", "solaris11", "illumos", WINDOWS)


def tests(stage: Stage, *paths: str, keyword: str = "") -> str:
    """Run tests of the checkout of the stage, and return how many passed."""
    return run_tests(stage, *paths, keyword=keyword).partition(" in ")[0]


@check(204, "never a VIP on a host that would answer: every effect, on each Linux owner simulated",
       over=[Case("", name) for name in LINUX], book=DSR)  # fmt: skip
def never_loud(stage: Stage) -> str:
    """Held against every effect of every change, of what follows one that was cut short (the next
    run, the dead man, a boot), and of the boot itself; power loss among them.
    """
    return tests(stage, f"{UNIT}/test_dsr_never_answers.py", keyword=stage.setup)


@check(401, "Windows, the BSDs, Solaris and illumos on simulated hosts",
       over=[Case("", name) for name in SYSTEMS], book=DSR)  # fmt: skip
def elsewhere(stage: Stage) -> str:
    """What keeps the system silent is there before the first VIP, a second run finds nothing to
    do, boot brings all of it back, removal what was found; commands that fail, crashes at any
    effect, slips of the pen in the command lines.
    """
    if stage.setup == WINDOWS:
        return tests(stage, f"{UNIT}/test_dsr_windows.py", f"{UNIT}/test_powershell_settings.py")
    return tests(stage, f"{UNIT}/test_dsr_loopbacks.py", keyword=stage.setup)


@check(402, "every command of the guide's Windows chapters in a golden case",
       over=[Case("", WINDOWS)], book=DSR)  # fmt: skip
def the_guides_lines(stage: Stage) -> str:
    """The three netsh lines word by word, and what is clicked beside them, lead to the state that
    ours leads to; the form of PowerShell, IPv6, two VIPs.
    """
    return tests(stage, "test/golden/dsr_windows")
