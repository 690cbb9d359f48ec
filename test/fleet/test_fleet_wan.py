"""Lines that fail, through Salt for real: beacon, reactor, engine, and a master that is away."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from salt_fleet import PATIENCE, Fleet
from two_ways import STATE, TwoWays

from rig.process import wait_until
from saltext.ipalias.wan import reporting


@pytest.fixture(scope="module")
def lines(fleet: Fleet, settled: object) -> Iterator[TwoWays]:
    """Give web1 two lines and have it report; its minion is restarted by nobody for that."""
    before = fleet.connection("web1")
    with ExitStack() as stack:
        made = TwoWays(fleet, stack)
        fleet.pillar("web1", {"wan": made.block()})
        fleet.salt("web1", "saltutil.refresh_pillar", "wait=True")
        ran = fleet.states("web1", "state.single", "ipalias_wan.reported", "lines")
        [answer] = ran.values()
        assert answer["result"] is True and "Start the minion anew" in answer["comment"], answer
        assert fleet.connection("web1") == before
        # What the monitor has written before there was a beacon is told as well.
        wait_until(lambda: made.carrying() == {"wan1", "wan2"}, "both lines", timeout=PATIENCE)
        wait_until(lambda: made.journal() and not made.owed(), "an answer", timeout=PATIENCE)
        count = len(made.journal())
        wait_until(lambda: made.told() == count, "web2 to be told", timeout=PATIENCE)
        yield made
        fleet.salt("web1", "ipalias_wan.unreport")
        made.host.remove(STATE)


def test_a_line_that_fails_is_switched_by_the_masters_reactor(lines: TwoWays) -> None:
    """The beacon came without a restart; the engine has not, so nobody but the master reacts."""
    since, before = time.time(), len(lines.journal())
    lines.cut("wan1")
    down = lines.last("wan1", "down", before)
    assert down.acted == "reaction" and lines.carrying() == {"wan2"}
    event = lines.heard("wan1", "down", since, down.ident)
    assert event["id"] == "web1" and event["reason"] == down.reason
    lines.mend("wan1")
    up = lines.last("wan1", "up", before)
    assert up.acted == "reaction" and lines.carrying() == {"wan1", "wan2"}
    assert lines.acted()[-2:] == [down.ident, up.ident]
    wait_until(lambda: not lines.owed(), "the master's answer", timeout=PATIENCE)
    told = before + 2
    wait_until(lambda: lines.told() == told, "web2 to be told of each once", timeout=PATIENCE)


def test_the_same_event_delivered_twice_acts_once(lines: TwoWays) -> None:
    """salt#62638, peers 24: all that the master has received comes once more.

    As where it was killed between the receipt and its answer: nobody has noted the answer.
    """
    fleet, entries = lines.fleet, lines.journal()
    told, acted, since = lines.told(), lines.acted(), time.time()
    # A job's id is the time of its beginning.
    begun = datetime.datetime.now().strftime("%Y%m%d%H%M%S%f")
    lines.host.remove(f"{STATE}/acknowledged")
    wait_until(lambda: not lines.owed(), "the master's answer", timeout=PATIENCE)

    def returned(minion: str, function: str) -> list[Any]:
        seen = fleet.events.get_events([("master", f"salt/job/*/ret/{minion}")], after_time=since)
        jobs = [event.data for event in seen if event.data["fun"] == function]
        return [job["return"] for job in jobs if job["jid"] > begun]

    def all_told() -> bool:
        return len(returned("web2", "ipalias_wan.once")) >= len(entries)

    wait_until(all_told, "web2 to be told of each again", timeout=PATIENCE)
    answers = [*returned("web1", "ipalias_wan.react"), *returned("web2", "ipalias_wan.once")]
    assert len(answers) > len(entries) and not any(answer["acted"] for answer in answers)
    assert (lines.told(), lines.acted()) == (told, acted)
    assert lines.carrying() == {"wan1", "wan2"}


def test_the_minions_own_engine_switches_with_the_master_dead_and_the_master_hears_later(
    lines: TwoWays,
) -> None:
    fleet = lines.fleet
    minion, master = fleet.minions["web1"], fleet.master
    written = json.loads((lines.conf.parent / "minion.d" / reporting.FILE).read_text())
    assert set(written) == {"beacons", "beacons_before_connect", "engines", "reactor"}
    with minion.stopped():
        pass
    before, since = len(lines.journal()), time.time()
    with master.stopped():
        lines.cut("wan2")
        down = lines.last("wan2", "down", before)
        assert down.acted == "reaction" and lines.carrying() == {"wan1"}
        lines.mend("wan2")
        up = lines.last("wan2", "up", before)
        assert up.acted == "reaction" and lines.carrying() == {"wan1", "wan2"}
        assert lines.owed() == {down.ident, up.ident}
    for entry in (down, up):
        lines.heard("wan2", entry.state, since, entry.ident)
    wait_until(lambda: not lines.owed(), "the master's answer", timeout=PATIENCE)
    # web2 may have come back to its master only after that. All once more, of each one act.
    fleet.await_answer()
    lines.host.remove(f"{STATE}/acknowledged")
    wait_until(lambda: lines.told() >= len(lines.journal()), "web2 to be told", timeout=PATIENCE)
    wait_until(lambda: not lines.owed(), "the master's answer", timeout=PATIENCE)
    assert lines.told() == len(lines.journal())
    assert lines.acted()[-2:] == [down.ident, up.ident]
    assert len(lines.acted()) == len(set(lines.acted()))
