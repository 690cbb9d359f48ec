"""A change cut short at every effect: whatever comes after leads to the old state or the new.

Which states a crash can leave is in `rig.simstills`.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from rig import simafter
from rig.simengine import changed, only_present
from rig.simhost import SimHost
from rig.simscenes import CASES, comparable, differences, leftovers, scene_of
from rig.simstills import SAME, Way, stills
from saltext.ipalias.effects import Effect

#: With FULL set, a crash is followed by one at every effect of each recovery.
FULL = bool(os.environ.get("FULL"))
SECOND_CRASHES = 1 if FULL else 7


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=CASES)
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Any]:
    dialect, _, name = request.param.partition("-")
    return scene_of(dialect, name)


def ends(host: SimHost, request: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the old state and the new one."""
    done = host.successor()
    request(done)
    return comparable(host), comparable(done)


def check(host: SimHost, old: dict[str, Any], new: dict[str, Any], said: str) -> None:
    state = comparable(host)
    if state not in (old, new):
        pytest.fail(
            f"torn: {said}\nfrom the old state: {differences(old, state)}\n"
            f"from the new state: {differences(new, state)}"
        )
    assert leftovers(host) == [], said


def follow(still: SimHost, way: Way, old: Any, new: Any, said: str, turn: int) -> int:
    """Go one way on from a still, and with a second crash on it; return the crashes seen."""
    done = 1
    if turn % SECOND_CRASHES == 0:
        for again, second in stills(still, way):
            way(second)
            check(second, old, new, f"{said}, and again {again}")
            done += 1
    way(still)
    check(still, old, new, said)
    return done


def test_the_next_run_puts_back_what_was_cut_short(scene: Any) -> None:
    host, request = scene
    old, new = ends(host, request)
    for turn, (said, still) in enumerate(stills(host, request)):
        follow(still, simafter.settle, old, new, said, turn)
        request(still)
        assert differences(new, comparable(still)) == [], said
        assert changed(still, lambda still=still: request(still)) == []


def test_the_dead_man_puts_back_what_was_cut_short(scene: Any) -> None:
    host, request = scene
    old, new = ends(host, request)

    def way(host: SimHost) -> None:
        simafter.dead_man(host)
        # A journal that was cut short while it was written, and a dead man that was: swept.
        simafter.settle(host)

    for turn, (said, still) in enumerate(stills(host, request)):
        follow(still, way, old, new, said, turn + 3)


def test_the_next_boot_puts_back_what_was_cut_short(scene: Any) -> None:
    host, request = scene
    old, new = booted(host, request)
    for turn, (said, still) in enumerate(stills(host, request)):
        dark = simafter.power_up(still)
        if turn % SECOND_CRASHES == 1:
            for again, second in stills(dark, simafter.boot_restore):
                check_booted(simafter.reboot(second), old, new, f"{said}, and again {again}")
        simafter.boot_restore(dark)
        simafter.bring_up(dark)
        check_booted(dark, old, new, said)
        request(dark)
        assert changed(dark, lambda dark=dark: request(dark)) == []


def booted(host: SimHost, request: Any) -> tuple[Any, Any]:
    """Return what the old state and the new one are after a boot."""
    done = host.successor()
    request(done)
    return as_booted(simafter.reboot(host)), as_booted(simafter.reboot(done))


def as_booted(host: SimHost) -> dict[str, Any]:
    state = comparable(host)
    told = ("files", "stored", "addresses", "ledger", "settings", "services")
    return {key: state[key] for key in told}


def check_booted(host: SimHost, old: Any, new: Any, said: str) -> None:
    state = as_booted(host)
    if state not in (old, new):
        pytest.fail(
            f"torn after a boot: {said}\nfrom the old state: {differences(old, state)}\n"
            f"from the new state: {differences(new, state)}"
        )
    assert leftovers(host) == [], said


def test_a_sync_and_a_look_leave_the_host_as_it_was(scene: Any) -> None:
    """So a kill behind one leaves no other host than a kill before it: `rig.simstills.SAME`."""
    host, request = scene
    pictures: list[tuple[Effect | None, Any]] = []

    def watch(at: int, effect: Effect | None) -> None:
        seen = (host.state(), dict(host.files.nodes), list(host.guards), list(host.frames))
        pictures.append((effect, seen))

    host.watch = watch
    request(host)
    watch(len(host.log), None)
    same = [isinstance(effect, SAME) for effect, _ in pictures]
    for at, ((effect, before), (_, after)) in enumerate(itertools.pairwise(pictures)):
        assert not same[at] or before == after, effect
    assert any(same)
    assert not all(same[:-1])


def test_each_way_is_needed(scene: Any) -> None:
    """Without any of them, most stills are neither: so the checks above can fail."""
    host, request = scene
    old, new = ends(host, request)
    torn = [said for said, still in stills(host, request) if comparable(still) not in (old, new)]
    assert len(torn) > 3
    old, new = booted(host, request)
    rebooted = [simafter.reboot(still, restore=False) for _, still in stills(host, request)]
    assert any(as_booted(host) not in (old, new) for host in rebooted)
