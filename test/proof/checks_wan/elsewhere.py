"""Through Salt with a real master, and on systems that cannot run here."""

from __future__ import annotations

from proof.pytests import run_tests
from proof.registry import WAN, Case, check
from proof.stage import Stage

PYTEST = [Case("", "pytest")]
FLEET = "test/fleet/test_fleet_wan.py"
UNIT, GOLDEN = "test/unit", "test/golden"
OPENBSD, FREEBSD = "openbsd", "freebsd"


@check(24, "the same transition delivered twice acts once", over=PYTEST, alone=True, book=WAN)
def twice(stage: Stage) -> str:
    """salt#62638: a real master and two minions; everything the master has received comes again."""
    return run_tests(stage, FLEET, keyword="delivered_twice")


@check(901, "`react: event`: by the master's reactor, and by the minion's engine with no master",
       over=[Case("", "reactor"), Case("", "engine")], alone=True, book=WAN)  # fmt: skip
def reactions(stage: Stage) -> str:
    """A line is cut; the kernel is switched by a reaction, another minion is told by the event, and
    what happened while the master was dead reaches it later, each once.
    """
    return run_tests(stage, FLEET, keyword=stage.setup)


@check(1001, "OpenBSD and FreeBSD on simulated hosts, with every command of the guide",
       over=[Case("", OPENBSD), Case("", FREEBSD)], book=WAN)  # fmt: skip
def bsd(stage: Stage) -> str:
    """Files, routes, settings, pf and ifstated come and go in one transaction; boots, faults at any
    effect, what the programs refuse; each command that the machine says, as it runs; the golden
    cases, the guide's own among them.
    """
    paths = [f"{UNIT}/test_wan_{stage.setup}.py", f"{UNIT}/test_ifstated_commands.py"]
    return run_tests(stage, *paths, f"{GOLDEN}/test_golden_wan_bsd.py")


@check(1002, "the rendered ifstated.conf through all orders of failure, 2 and 3 uplinks",
       over=PYTEST, book=WAN)  # fmt: skip
def ifstated(stage: Stage) -> str:
    """A small interpreter of its grammar walks it: each order of loss and return, all down, tiers,
    families; slips in the file are refused or found; the guide's own machine shows its hole.
    """
    return run_tests(stage, f"{UNIT}/test_ifstated_machine.py")
