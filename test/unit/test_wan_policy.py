"""The decider, event by event: what takes a line down, what brings it back, what stays."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from rig.wanlines import ModelLine, ModelWorld, start, wan
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import (
    DOWN,
    DRAIN,
    FAIL,
    RESTORE,
    UP,
    Carrier,
    Command,
    Line,
    Outcome,
    Probe,
    WanConfig,
)
from saltext.ipalias.wan.policy import Event, Policy, Start
from saltext.ipalias.wan.simulate import Ran, run

WAN1, WAN2, WAN3 = (Line(f"wan{n}", 4) for n in (1, 2, 3))


def lines(count: int = 2, seed: int = 1, **settings: Any) -> dict[str, ModelLine]:
    rng = random.Random(seed)
    return {f"wan{n}": ModelLine(rng, **settings) for n in range(1, count + 1)}


def ran(
    config: WanConfig,
    world: dict[str, ModelLine],
    until: float,
    *script: tuple[float, Event],
    begin: Start | None = None,
    **more: Any,
) -> Ran:
    return run(config, begin or start(config), ModelWorld(world), until, script, **more)


def turns(result: Ran, line: Line = WAN1) -> list[tuple[str, float]]:
    return [(t.state, round(t.boot_at, 2)) for t in result.transitions if t.line == line]


def wanted(result: Ran) -> list[tuple[str, ...]]:
    """Return who carried the default route, one change after the other."""
    return [tuple(ln.text() for ln, _ in w.lines.get(4, ())) for _, w in result.wanted]


# Down and back


def test_a_line_that_falls_silent_goes_down_and_comes_back():
    world = lines()
    world["wan1"].outages = [(40.0, 45.0)]
    result = ran(wan(), world, 60)
    (down, up) = [t for t in result.transitions if t.line == WAN1]
    assert (down.state, up.state) == (DOWN, UP)
    assert 40 < down.boot_at < 40.3
    assert "no answer for" in down.reason and "icmp 203.0.113.20" in down.reason
    assert down.boot_at - 40 <= down.bound
    assert 45.2 <= up.boot_at <= 45.5
    assert 4.9 < up.outage < 5.6
    assert wanted(result) == [("wan1", "wan2"), ("wan2",), ("wan1", "wan2")]


def test_ids_are_of_the_boot_and_count_on():
    world = lines()
    world["wan1"].outages = [(40.0, 45.0)]
    begin = replace(start(wan()), remembered={}, boot="b7", counter=41)
    result = ran(wan(), world, 60, begin=begin)
    assert [t.ident for t in result.transitions] == ["b7-42", "b7-43"]
    assert [t.at - t.boot_at for t in result.transitions] == [1.7e9] * 2


def test_20_a_target_beyond_reach_leaves_its_line_down():
    """opnsense/core#3520: what answers over wan2 alone says nothing of wan1."""
    world = lines()
    world["wan1"].dead = {"203.0.113.20", "203.0.113.21"}
    config = wan()
    result = ran(config, world, 60, begin=start(config, up=["wan2"]))
    assert turns(result) == []
    assert wanted(result) == [("wan2",)]


def test_21_fail_and_recover_twenty_times_and_every_transition_happens():
    world = lines()
    world["wan1"].outages = [(40.0 + 20 * n, 46.0 + 20 * n) for n in range(20)]
    result = ran(wan(), world, 460)
    assert [state for state, _ in turns(result)] == [DOWN, UP] * 20
    assert turns(result, WAN2) == []


def test_22_the_last_line_fails_its_route_stays_and_the_log_says_so():
    world = lines()
    world["wan1"].outages = [(40.0, 100.0)]
    world["wan2"].outages = [(60.0, 100.0)]
    result = ran(wan(), world, 90)
    assert turns(result) == [(DOWN, pytest.approx(40.15, abs=0.2))]
    assert turns(result, WAN2) == [(DOWN, pytest.approx(60.15, abs=0.2))]
    assert wanted(result) == [("wan1", "wan2"), ("wan2",)]
    assert [text for _, text in result.warnings] == [
        "no IPv4 line is up: the default route stays with wan2"
    ]


def test_23_all_down_then_one_is_back_and_gets_the_route():
    world = lines()
    world["wan1"].outages = [(40.0, 80.0)]
    world["wan2"].outages = [(60.0, 200.0)]
    result = ran(wan(), world, 90)
    assert wanted(result)[-1] == ("wan1",)
    when = result.wanted[-1][0]
    assert 80 < when <= 80.5


def test_4160_a_flap_of_a_tenth_of_a_second_leaves_nothing_stuck():
    world = lines()
    world["wan1"].outages = [(40.0, 40.1), (60.0, 60.2)]
    flap = [(80.0, Carrier("eth1", False)), (80.1, Carrier("eth1", True))]
    result = ran(wan(), world, 100, *flap)
    assert [state for state, _ in turns(result)][-1] == UP
    assert wanted(result)[-1] == ("wan1", "wan2")


def test_a_line_is_held_down_for_as_long_as_was_said():
    config = wan(probe={"profile": "fast", "hold_down": 10})
    world = lines()
    world["wan1"].outages = [(40.0, 41.0)]
    (_, down), (_, up) = turns(ran(config, world, 80))
    assert up - down == pytest.approx(10, abs=0.1)


def test_a_line_that_is_silent_again_in_its_hold_down_does_not_come_back_by_what_was_before():
    config = wan(probe={"profile": "fast", "hold_down": 10})
    world = lines()
    world["wan1"].outages = [(40.0, 42.0), (45.0, 60.0)]
    (_, _), (_, up) = turns(ran(config, world, 80))
    assert 60 < up < 60.6


# Carrier


def test_a_lost_carrier_takes_the_line_down_at_once():
    result = ran(wan(), lines(), 60, (40.0, Carrier("eth1", False)), (50.0, Carrier("eth1", True)))
    (down, up) = [t for t in result.transitions if t.line == WAN1]
    assert (round(down.boot_at, 3), down.reason) == (40.0, "eth1 has no carrier")
    assert 50.2 <= up.boot_at <= 50.5


def test_a_carrier_that_was_lost_and_is_back_before_anybody_looks_counts():
    policy = Policy(wan(), start(wan()))
    policy.step(0, 0)
    decision = policy.step(0.01, 0, [Carrier("eth1", False), Carrier("eth1", True)])
    assert [(t.line, t.state) for t in decision.transitions] == [(WAN1, DOWN)]


def test_answers_from_before_a_lost_carrier_do_not_bring_the_line_back():
    """The carrier is gone and back right before the hold-down ends, and nothing answers."""
    config = wan(probe={"profile": "fast", "hold_down": 20})
    world = lines()
    world["wan1"].outages = [(40.0, 41.0)]
    (_, _), (_, free) = turns(ran(config, world, 90))
    world = lines()
    world["wan1"].outages = [(40.0, 41.0), (free - 0.03, 70.0)]
    flap = [(free - 0.02, Carrier("eth1", False)), (free - 0.015, Carrier("eth1", True))]
    (_, _), (state, back) = turns(ran(config, world, 90, *flap))
    assert (state, back > 70) == (UP, True)


# Who is wanted


def test_tiers_and_weights():
    config = wan(3, policy="tier")
    first = replace(config.uplinks[0], tier=1, weight=3)
    second = replace(config.uplinks[1], tier=1, weight=1)
    third = replace(config.uplinks[2], tier=2)
    config = replace(config, uplinks=(first, second, third))
    world = lines(3)
    world["wan1"].outages = [(40.0, 80.0)]
    world["wan2"].outages = [(60.0, 100.0)]
    result = ran(config, world, 120, begin=start(config, up=["wan1", "wan2"]))
    assert wanted(result) == [
        ("wan1", "wan2"),
        ("wan2",),
        ("wan3",),
        ("wan1",),
        ("wan1", "wan2"),
    ]
    assert result.wanted[0][1].lines == {4: ((WAN1, 3), (WAN2, 1))}


def test_families_are_apart():
    block = {
        "uplinks": {
            f"wan{n}": {
                "interface": f"eth{n}",
                "gateway": f"192.0.2.{n}",
                "gateway6": f"2001:db8::{n}",
                "targets": [f"203.0.113.{n}", f"2001:db8:1::{n}"],
            }
            for n in (1, 2)
        }
    }
    config = parse_wan(block)
    policy = Policy(config, start(config))
    policy.step(0, 0)
    decision = policy.step(0.1, 0, [Command(FAIL, "wan1", family=6)])
    assert decision.wanted is not None
    names = {f: [ln.text() for ln, _ in got] for f, got in decision.wanted.lines.items()}
    assert names == {4: ["wan1", "wan2"], 6: ["wan2/6"]}


def test_nothing_stands_and_nothing_answers_nothing_is_wanted():
    config = wan()
    world = lines()
    for line in world.values():
        line.outages = [(0.0, 30.0)]
    result = ran(config, world, 29, begin=start(config, up=[]))
    assert (wanted(result), result.transitions) == ([()], [])


def test_all_down_at_the_start_what_stands_is_kept():
    config = wan()
    world = lines()
    for line in world.values():
        line.outages = [(0.0, 100.0)]
    result = ran(config, world, 30)
    assert [state for state, _ in turns(result)] == [DOWN]
    assert all(wanted(result))


def test_a_standing_line_of_another_configuration_is_nobody():
    config = wan()
    begin = Start(0, 0, "b", standing={4: (Line("old", 4), WAN2)})
    decision = Policy(config, begin).step(0, 0)
    assert decision.wanted is not None and decision.wanted.lines == {4: ((WAN2, 1),)}


# What an operator says


def test_fail_until_a_moment():
    result = ran(wan(), lines(), 80, (40.0, Command(FAIL, "wan1", until=60.0, by="ann")))
    assert turns(result) == [(DOWN, 40.0), (UP, 60.0)]
    assert result.transitions[0].reason == "taken down by ann"


def test_restore_does_not_wait_for_the_hold_down():
    config = wan(probe={"profile": "fast", "hold_down": 60})
    script = [(40.0, Command(FAIL, "wan1")), (50.0, Command(RESTORE, "wan1"))]
    assert turns(ran(config, lines(), 80, *script)) == [(DOWN, 40.0), (UP, 50.0)]


def test_restore_does_not_bring_back_what_does_not_answer():
    world = lines()
    world["wan1"].outages = [(41.0, 70.0)]
    script = [(40.0, Command(FAIL, "wan1")), (50.0, Command(RESTORE, "wan1"))]
    (_, _), (state, at) = turns(ran(wan(), world, 80, *script))
    assert (state, at > 70) == (UP, True)


def test_drain_takes_new_flows_away_and_is_no_failure():
    result = ran(wan(), lines(), 80, (40.0, Command(DRAIN, "wan1", until=60.0)))
    assert result.transitions == []
    assert wanted(result) == [("wan1", "wan2"), ("wan2",), ("wan1", "wan2")]


def test_the_last_line_cannot_be_drained_or_failed_away():
    script = [
        (40.0, Command(DRAIN, "wan1")),
        (41.0, Command(FAIL, "wan2")),
        (42.0, Command(FAIL, "wan1")),
    ]
    result = ran(wan(), lines(), 50, *script)
    assert wanted(result)[-1] == ("wan1",)
    assert result.warnings[-1][1] == "no IPv4 line is up: the default route stays with wan1"


def test_an_uplink_that_there_is_not_is_said():
    policy = Policy(wan(), start(wan()))
    decision = policy.step(0, 0, [Command(FAIL, "wan7")])
    assert decision.warnings == ("fail wan7: there is no such uplink",)


# A loop that is late, a host that sleeps, a clock that jumps


@pytest.mark.parametrize("late", [0.3, 2.0, 7200.0])
def test_a_stall_is_no_failure(late: float):
    """Nothing was sent or seen meanwhile, and one question was on its way and is lost."""
    for seed in range(5):
        world = lines(seed=seed)
        for line in world.values():
            line.outages = [(40.0, 40.0 + late - 0.01)]
        stalls = iter([late])

        def lag(at: float, left: Any = stalls) -> float:
            return next(left, 0.0) if at >= 40.0 else 0.0

        result = ran(wan(), world, 60 + late, lag=lag)
        assert result.transitions == []


@pytest.mark.parametrize(
    ("late", "delay"), [(0.3, 0.15), (0.7, 0.15), (0.7, 0.3), (7200.0, 0.15), (7200.0, 0.3)]
)
def test_what_a_host_lost_while_it_slept_is_no_fault_and_no_burst(late: float, delay: float):
    """Questions were on their way over a slow line, and their answers met nobody."""
    for seed in range(5):
        world = lines(seed=seed, delay=delay, jitter=0.01)
        for line in world.values():
            line.outages = [(100.0, 100.0 + late - 0.01)]
        stalls = iter([late])

        def lag(at: float, left: Any = stalls) -> float:
            return next(left, 0.0) if at >= 100.0 else 0.0

        result = ran(wan(), world, 110 + late, lag=lag)
        assert result.transitions == []
        assert {row["silence"] for row in result.policy.status(110 + late)} == {0.08}


def test_a_fault_during_a_stall_is_found_within_the_bound_after_it():
    world = lines()
    world["wan1"].outages = [(40.5, 60.0)]
    stalls = iter([2.0])
    result = ran(wan(), world, 50, lag=lambda at: next(stalls, 0.0) if at >= 40.0 else 0.0)
    (down,) = [t for t in result.transitions if t.line == WAN1]
    assert 42 < down.boot_at <= 42 + down.bound


@pytest.mark.parametrize(("least", "most"), [(0.0, 0.25), (0.5, 0.8)])
def test_a_loop_that_is_always_late_still_finds_a_fault(least: float, most: float):
    rng = random.Random(3)
    world = lines()
    world["wan1"].outages = [(40.0, 140.0)]
    result = ran(wan(), world, 130, lag=lambda at: rng.uniform(least, most))
    assert [state for state, _ in turns(result)] == [DOWN]
    assert turns(result, WAN2) == []


def test_a_clock_that_goes_back_moves_nothing():
    policy = Policy(wan(), start(wan(), now=100.0))
    first = policy.step(100.0, 0)
    again = policy.step(50.0, 0)
    assert policy.remember()["now"] == 100.0
    assert (again.probes, again.transitions) == ((), ())
    assert again.wake >= 100.0
    assert first.wake >= 100.0


# Answers of every kind


def feed(policy: Policy, now: float, *events: Event) -> tuple[Probe, ...]:
    return policy.step(now, 0, events).probes


@pytest.mark.parametrize("slope", [0.5, 0.9])
def test_an_answer_that_comes_after_its_timeout_ends_the_silence(slope: float):
    """A round trip that grows is no outage: the answers come, late."""
    world = lines(delay=0.02)
    result = ran(wan(), world, 40)
    assert result.transitions == []
    policy, now = result.policy, 40.0
    waiting: list[tuple[float, Probe]] = []
    for _ in range(4000):
        decision = policy.step(now, 0, [])
        assert decision.transitions == ()
        rtt = 0.02 + min(0.6, (now - 40) * slope)
        waiting += [(now + rtt, probe) for probe in decision.probes]
        waiting.sort(key=lambda item: item[0])
        while waiting and waiting[0][0] <= decision.wake:
            now, probe = waiting.pop(0)
            answer = Outcome(probe.line, probe.target, probe.seq, 0.0, rtt)
            decision = policy.step(now, 0, [answer])
            assert decision.transitions == ()
            waiting += [(now + rtt, probe) for probe in decision.probes]
            waiting.sort(key=lambda item: item[0])
        now = decision.wake
        if now > 45:
            break


def test_an_error_is_a_miss_and_its_name_is_told():
    config = wan(1)
    policy = Policy(config, start(config))
    now, told = 0.0, ""
    for _ in range(2000):
        decision = policy.step(now, 0)
        errors = [
            Outcome(p.line, p.target, p.seq, now, None, "ENETUNREACH") for p in decision.probes
        ]
        while errors and not decision.transitions:
            decision = policy.step(now, 0, errors)
            errors = [
                Outcome(p.line, p.target, p.seq, now, None, "ENETUNREACH") for p in decision.probes
            ]
        if decision.transitions:
            told = decision.transitions[0].reason
            break
        now = decision.wake
    assert told.endswith("ENETUNREACH")


def test_a_probe_that_proves_nothing_is_forgotten():
    config = wan(1, targets=1)
    policy = Policy(config, start(config))
    probes = list(feed(policy, 0.0))
    now = 0.0
    while now < 30:
        late = [Outcome(p.line, p.target, p.seq, now, None, "ENOBUFS", True) for p in probes]
        decision = policy.step(now, 0, late)
        assert decision.transitions == ()
        probes, now = list(decision.probes), max(decision.wake, now + 0.001)


def test_outcomes_of_nobody_change_nothing():
    config = wan(1)
    policy = Policy(config, start(config))
    (probe,) = feed(policy, 0.0)
    strange = Outcome(Line("wan9", 4), probe.target, 1, 0, 0.1)
    twice = Outcome(probe.line, probe.target, probe.seq, 0, 0.001)
    assert policy.step(0.001, 0, [strange, twice, twice]).transitions == ()
    assert policy.step(0.002, 0, [twice, Outcome(WAN1, probe.target, 999, 0, 0.1)]).probes == ()


# Several targets


def echo_and_page() -> WanConfig:
    block = {
        "interface": "eth1",
        "gateway": "192.0.2.1",
        "targets": ["203.0.113.7", {"http": "http://203.0.113.7/"}],
    }
    return parse_wan({"uplinks": {"wan1": block}, "probe": {"profile": "fast"}})


def test_a_dead_target_is_neither_a_fault_nor_evidence():
    world = lines()
    world["wan1"].dead = {"203.0.113.20"}
    rng = random.Random(5)
    world["wan1"].loss = lambda at: rng.random() < 0.1
    result = ran(wan(), world, 600)
    assert result.transitions == []
    row = result.policy.status(600)[0]
    assert [t["answers"] for t in row["targets"]] == [False, True]  # type: ignore[attr-defined]
    assert result.probes[WAN1] < 600 * 30
    assert float(str(row["bound"])) < 0.4, "a dead target has no part in the bound"


def test_a_target_that_is_asked_seldom_is_asked_before_the_verdict():
    """The echo target dies, the page is still there: with `any` that is enough."""
    config = echo_and_page()
    world = lines(1)

    class World(ModelWorld):
        def rtt(self, probe: Probe, at: float) -> float | None:
            gone = probe.target.kind == "icmp" and at > 40
            return None if gone else super().rtt(probe, at)

    assert run(config, start(config), World(world), 60).transitions == []


def test_with_all_one_dead_target_takes_the_line_down():
    config = wan(require="all")
    world = lines()
    result = ran(config, world, 40)
    assert result.transitions == []
    world["wan1"].dead = {"203.0.113.21"}
    result = ran(config, world, 60)
    assert [state for state, _ in turns(result)] == [DOWN]


@pytest.mark.parametrize(("dead", "states"), [(1, []), (2, [DOWN])])
def test_a_majority(dead: int, states: list[str]):
    config = wan(targets=3, require="majority")
    world = lines()
    world["wan1"].dead = {f"203.0.113.{20 + n}" for n in range(dead)}
    assert [state for state, _ in turns(ran(config, world, 60))] == states


MIXED = ["203.0.113.{}1", {"tcp": "203.0.113.{}2:443"}, {"http": "http://203.0.113.{}3/"}]


@pytest.mark.parametrize(
    ("require", "dead", "states"),
    [
        *(("all", dead, [DOWN]) for dead in ("1", "2", "3", "23", "13", "123")),
        *(("majority", dead, [DOWN]) for dead in ("12", "13", "23", "123")),
        *(("majority", dead, []) for dead in ("1", "2", "3")),
        *(("any", dead, []) for dead in ("12", "13", "23")),
    ],
)
def test_as_many_targets_of_whatever_kind_must_answer_as_was_said(
    require: str, dead: str, states: list[str]
):
    """Also where those that are asked most seldom are the ones that are dead."""
    config = wan(targets=MIXED, require=require)
    world = lines(delay=0.01)

    class World(ModelWorld):
        def rtt(self, probe: Probe, at: float) -> float | None:
            gone = at > 40 and probe.line == WAN1 and probe.target.host[-1] in dead
            return None if gone else super().rtt(probe, at)

    result = run(config, start(config), World(world), 60)
    assert [state for state, _ in turns(result)] == states
    # One target that dies while the others answer is no burst of the line.
    assert dead != "2" or {r["silence"] for r in result.policy.status(60)} == {0.08}


@pytest.mark.parametrize("require", ["any", "all", "majority"])
@pytest.mark.parametrize("probe", ["fast", "default"])
def test_a_cut_is_found_within_its_bound_with_targets_of_every_kind(require: str, probe: str):
    config = wan(targets=MIXED, require=require, probe=probe)
    for tenth in range(0, 20, 3):
        world = lines(delay=0.01)
        cut = 40 + tenth / 10
        world["wan1"].outages = [(cut, 99.0)]
        [down] = ran(config, world, 60).transitions
        assert cut < down.boot_at <= cut + down.bound, (cut, down)


def test_a_slow_kind_of_target_is_not_asked_in_a_hurry():
    config = echo_and_page()
    asked: list[float] = []

    class World(ModelWorld):
        def rtt(self, probe: Probe, at: float) -> float | None:
            if probe.target.kind == "http":
                asked.append(at)
            return super().rtt(probe, at)

    world = lines(1)
    world["wan1"].outages = [(40.0, 50.0)]
    run(config, start(config), World(world), 60)
    assert 55 <= len(asked) <= 80
    assert min(b - a for a, b in itertools.pairwise(asked)) >= 0.4


# Loss and latency over a window


def test_a_line_that_loses_half_goes_down_and_comes_back_when_it_does_not():
    rng = random.Random(2)
    world = lines()
    world["wan1"].loss = lambda at: 100 < at < 200 and rng.random() < 0.6
    result = ran(wan(), world, 400)
    (down, up) = [t for t in result.transitions if t.line == WAN1]
    assert down.reason.startswith("loss 4") and 100 < down.boot_at < 160
    assert 200 < up.boot_at < 270


def test_an_outage_is_no_loss_and_does_not_delay_the_return():
    """dpinger takes 57 s to come back: its window is full of the outage."""
    world = lines()
    world["wan1"].outages = [(100.0, 200.0)]
    (_, _), (_, up) = turns(ran(wan(), world, 300))
    assert 200 < up <= 200.5


def test_latency():
    config = wan(probe={"profile": "fast", "latency": {"down": 0.3, "up": 0.1, "window": "10s"}})
    world = lines(delay=0.03)
    slow = world["wan1"]

    class World(ModelWorld):
        def rtt(self, probe: Probe, at: float) -> float | None:
            slow.delay = 0.03 + (min(0.4, (at - 100) / 10) if 100 < at < 130 else 0.0)
            return super().rtt(probe, at)

    result = run(config, start(config), World(world), 200)
    (down, up) = [t for t in result.transitions if t.line == WAN1]
    assert down.reason.startswith("latency 3") and 103 < down.boot_at < 115
    assert 130 < up.boot_at < 145


# Rounds


def test_the_guide():
    config = wan(probe="guide")
    world = lines()
    world["wan1"].outages = [(100.0, 160.0)]
    result = ran(config, world, 300)
    assert turns(result) == [(DOWN, 125.0), (UP, 180.0)]
    assert result.transitions[0].bound == pytest.approx(35.02)
    assert result.probes[WAN1] == 2 * 11


def test_rounds_count_in_a_row():
    config = wan(probe={"interval": 1, "timeout": 0.5, "fall": 3, "rise": 2, "hold_down": 0})
    world = lines()
    world["wan1"].outages = [(39.9, 41.5), (59.9, 70.5)]
    assert turns(ran(config, world, 100)) == [(DOWN, 62.02), (UP, 72.0)]


@pytest.mark.parametrize("late", [2.0, 40.0])
def test_a_round_in_which_the_loop_was_late_is_no_round(late: float):
    config = wan(probe={"interval": 1, "fall": 1, "adaptive": False})
    world = lines()
    world["wan1"].outages = [(40.0, 40.0 + late)]
    stalls = iter([late])
    lag = lambda at: next(stalls, 0.0) if at > 40.0 else 0.0  # noqa: E731
    assert ran(config, world, 100, lag=lag).transitions == []


# One monitor after the other


def test_a_new_monitor_knows_what_the_old_one_knew():
    config = wan(probe={"profile": "fast", "hold_down": 30})
    world = lines()
    world["wan1"].outages = [(40.0, 41.0)]
    script = [(41.0, Command(DRAIN, "wan2", until=90.0))]
    old = ran(config, world, 45, *script)
    begin = replace(
        start(config, now=46.0, up=["wan2"]), counter=1, remembered=old.policy.remember()
    )
    result = ran(config, world, 100, begin=begin)
    ((state, at),) = turns(result)
    assert (state, at) == (UP, pytest.approx(70.2, abs=0.3))
    assert not old.policy.status(45)[1]["learning"]
    assert wanted(result) == [("wan2",), ("wan1",), ("wan1", "wan2")]


@pytest.mark.parametrize(
    "remembered",
    [
        {"boot": "other", "now": 1.0, "lines": {}},
        {"boot": "boot", "now": "x", "lines": {}},
        {"boot": "boot", "now": 0.0, "lines": {"wan1": {"held": "x", "gaps": {"gaps": [[1]]}}}},
        {"boot": "boot", "now": 0.0, "lines": {"wan1": [], "wan2": {"fail": {"until": "x"}}}},
        {"boot": "boot", "now": 0.0, "lines": []},
    ],
)
def test_a_memory_that_cannot_be_read_is_none(remembered: dict[str, object]):
    config = wan()
    begin = replace(start(config), remembered=remembered)
    assert ran(config, lines(), 10, begin=begin).transitions == []


def test_the_status_is_plain_data():
    result = ran(wan(), lines(), 40)
    rows = json.loads(json.dumps(result.policy.status(40)))
    assert [(row["line"], row["state"], row["default"]) for row in rows] == [
        ("wan1", "up", True),
        ("wan2", "up", True),
    ]
    assert rows[0]["silence"] == 0.08 and rows[0]["bound"] < 0.35
    assert WAN3.text() == "wan3"
