"""A fleet whose first minion has two lines and reports them, and faults of everything around it.

For programs beside pytest: what they find goes to standard output as JSON, what they are at to
standard error.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "fleet"), str(TEST), str(TEST.parent / "_utils")]

from factories_inside import environment, inside  # noqa: E402
from salt_fleet import MASTER, PATIENCE, Fleet, running  # noqa: E402
from saltfactories.cli.run import SaltRun  # noqa: E402
from saltfactories.daemons.minion import SaltMinion  # noqa: E402
from two_ways import STATE, TwoWays  # noqa: E402

from rig.process import wait_until  # noqa: E402

__all__ = ["PATIENCE", "STATE", "TwoWays", "wait_until"]
MINION = "web1"


def say(text: str) -> None:
    """Tell how far it is, at once."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def reporting_lines(*, engine: bool, react_timeout: float) -> Iterator[TwoWays]:
    """Give web1 with two lines that it reports with ``react: event``.

    :param engine: let the minion's own engine run as well.
    :param react_timeout: seconds that a reaction is given.
    """
    with ExitStack() as stack:
        say("starting a master and two minions")
        fleet = stack.enter_context(running())
        sync(fleet, "*")
        lines = TwoWays(fleet, stack, react_timeout)
        fleet.pillar(MINION, {"wan": lines.block()})
        fleet.salt(MINION, "saltutil.refresh_pillar", "wait=True")
        ran = fleet.states(MINION, "state.single", "ipalias_wan.reported", "lines")
        [answer] = ran.values()
        assert answer["result"] is True, answer
        if engine:
            restart(lines)
        settle(lines)
        yield lines


def sync(fleet: Fleet, target: str) -> None:
    """Bring what the master has of our modules to minions."""
    fleet.await_answer(MINION)
    fleet.salt(target, "saltutil.sync_all")


def restart(lines: TwoWays) -> None:
    """Start the minion anew, which is what its engines come with."""
    minion: SaltMinion = lines.fleet.minions[MINION]
    with minion.stopped():
        pass
    lines.fleet.await_answer(MINION)


def settle(lines: TwoWays) -> None:
    """Wait until both lines carry, and the master has heard of all that is on record."""
    wait_until(lambda: lines.carrying() == {"wan1", "wan2"}, "both lines", timeout=PATIENCE)
    wait_until(lambda: lines.journal() and not lines.owed(), "the answer", timeout=PATIENCE)


def run_on_master(fleet: Fleet, *words: str) -> Any:
    """Run ``salt-run`` on the master's host."""
    factory: Any = inside(fleet.hosts[MASTER], SaltRun)
    cli = fleet.master.salt_run_cli(factory_class=factory, environ=environment(), cwd="/")
    return cli.run(*words, _timeout=PATIENCE)
