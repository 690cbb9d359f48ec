"""Fast and calm at once, in simulated time: detection, false failovers, what is ridden through."""

from __future__ import annotations

import random
import statistics

import pytest

from rig.wanlines import ModelLine, ModelWorld, bursts, no_loss, random_loss, start, wan
from saltext.ipalias.wan.bounds import (
    burst_size,
    describe,
    detection,
    false_alarms,
    learnt_silence,
    promise,
    ride_through,
)
from saltext.ipalias.wan.estimate import Gap, Gaps, RoundTrip, Window, mean_burst, poisson_tail
from saltext.ipalias.wan.model import DOWN, UP, Line, Outcome, Transition, WanConfig
from saltext.ipalias.wan.profiles import FAST, GUIDE
from saltext.ipalias.wan.simulate import run, simulate

WAN1 = Line("wan1", 4)
TRIPS = [(0.0002, 0.0), (0.03, 0.01), (0.15, 0.05)]


def losing(share: float, burst: float, rng: random.Random) -> object:
    if not share:
        return no_loss
    return bursts(share, burst, rng) if burst else random_loss(share, rng)


def line(
    seed: int, delay: float, jitter: float, share: float = 0.0, burst: float = 0.0
) -> ModelLine:
    rng = random.Random(seed)
    return ModelLine(rng, delay, jitter, losing(share, burst, rng))  # type: ignore[arg-type]


def turns(
    config: WanConfig, first: ModelLine, until: float, known: bool = True
) -> list[Transition]:
    calm = ModelLine(random.Random(0))
    world = ModelWorld({"wan1": first, "wan2": calm})
    result = run(config, start(config, known=known), world, until)
    assert not [t for t in result.transitions if t.line != WAN1]
    return result.transitions


def outages(first: ModelLine, count: int, every: float, lasting: float) -> list[float]:
    begin = 40.0
    for _ in range(count):
        begin += every + first.rng.uniform(0, 1)
        first.outages.append((begin, begin + lasting))
        begin += lasting
    return [begin for begin, _ in first.outages]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
@pytest.mark.parametrize(("delay", "jitter"), TRIPS)
def test_fast_finds_a_fault_within_its_aims(delay: float, jitter: float, share: float):
    first = line(7, delay, jitter, share)
    begins = outages(first, 20, 7, 3)
    told = turns(wan(), first, begins[-1] + 10)
    downs = [t for t in told if t.state == DOWN]
    assert [t.state for t in told] == [DOWN, UP] * 20
    found = [down.boot_at - begin for down, begin in zip(downs, begins, strict=True)]
    assert statistics.median(found) <= 0.15 + 2 * delay
    assert max(found) <= 0.3 + 3 * delay
    assert all(f <= down.bound for f, down in zip(found, downs, strict=True))


@pytest.mark.parametrize("burst", [0.02, 0.05, 0.1])
def test_with_bursts_it_takes_as_long_as_they_demand_and_never_longer_than_was_said(burst: float):
    first = line(7, 0.0002, 0.0, 0.1, burst)
    begins = outages(first, 12, 7, 4)
    downs = [t for t in turns(wan(), first, begins[-1] + 10) if t.state == DOWN]
    assert len(downs) == 12
    for down, begin in zip(downs, begins, strict=True):
        assert down.boot_at - begin <= min(down.bound, promise(*wan().ways()[0]))


@pytest.mark.parametrize("profile", ["default", {"interval": 1, "timeout": 0.5, "fall": 2}])
@pytest.mark.parametrize("targets", [1, 2])
def test_the_others_stay_within_their_bound(profile: object, targets: int):
    config = wan(probe=profile, targets=targets)
    first = line(3, 0.03, 0.01)
    begins = outages(first, 10, 12, 6)
    downs = [t for t in turns(config, first, begins[-1] + 15) if t.state == DOWN]
    found = [down.boot_at - begin for down, begin in zip(downs, begins, strict=True)]
    assert all(f <= down.bound for f, down in zip(found, downs, strict=True))
    assert profile != "default" or max(found) <= 1.0


@pytest.mark.parametrize("burst", [0.0, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_ten_minutes_of_loss_are_no_failure(share: float, burst: float):
    assert turns(wan(), line(11, 0.03, 0.01, share, burst), 600, known=False) == []


@pytest.mark.parametrize(("delay", "jitter"), TRIPS)
def test_a_shorter_outage_than_was_said_is_ridden_through(delay: float, jitter: float):
    first = line(5, delay, jitter)
    shortest = ride_through(FAST)
    outages(first, 100, 4, shortest * 0.99)
    assert turns(wan(), first, 700) == []


def test_a_calm_line_is_asked_calmly():
    config = wan()
    world = {name: line(3, 0.03, 0.01, 0.02) for name in ("wan1", "wan2")}
    result = run(config, start(config), ModelWorld(world), 300)
    assert result.probes[WAN1] / 300 < 23


# What the settings promise


def test_a_burst_is_sized_by_the_loss():
    assert [burst_size(loss) for loss in (0.0, 0.02, 0.1, 0.3, 0.9)] == [4, 5, 8, 16, 37]


def test_the_guide_takes_half_a_minute():
    (uplink, way), _ = wan(probe="guide").ways()
    assert detection(GUIDE, way) == pytest.approx(35.02)
    assert promise(uplink, way) == pytest.approx(35.02)
    assert ride_through(GUIDE) == 0


def test_the_bound_is_the_sum_of_its_parts():
    """0.1 s to the next question, 80 ms of silence, the last timeout, a spacing, the loop."""
    (_, way), _ = wan().ways()
    assert detection(FAST, way, silence=0.08, mean=0.0) == pytest.approx(
        0.1 + 0.08 + 0.02 + 0.01 + 0.02
    )
    assert detection(FAST, way, silence=0.08, mean=0.03, deviation=0.005) == pytest.approx(
        0.1 + 0.11 + 0.05 + 0.01 + 0.02
    )


def test_more_of_anything_is_never_found_sooner():
    (_, way), _ = wan().ways()
    for key, values in {
        "silence": (0.08, 0.3, 1.5),
        "mean": (0.0, 0.03, 0.2, None),
        "deviation": (0.0, 0.01, 0.1),
        "loss": (0.0, 0.1, 0.5),
    }.items():
        base = {"silence": 0.08, "mean": 0.03, "deviation": 0.005, "loss": 0.02}
        found = [detection(FAST, way, **{**base, key: value}) for value in values]
        assert found == sorted(found), key


def test_false_alarms_are_foreseen():
    (uplink, way), _ = wan().ways()
    assert false_alarms(FAST, way, "any", 0.0) == 0
    assert false_alarms(FAST, way, "any", 0.02) < 1e-6
    assert false_alarms(FAST, way, "any", 0.1) < 0.01
    for burst in (0.02, 0.05, 0.1):
        assert false_alarms(FAST, way, "any", 0.1, burst) < 0.5
    assert false_alarms(GUIDE, way, "any", 0.1) == pytest.approx(120 * 0.01)
    assert false_alarms(GUIDE, way, "all", 0.1) == pytest.approx(120 * 0.19)
    assert learnt_silence(FAST, 0.1, 0.1) > learnt_silence(FAST, 0.1, 0.02) > 0.2
    assert describe(uplink, way)["probes a second"] == 20


# What is learnt of a line


def test_the_round_trip_is_followed_as_tcp_does():
    trip = RoundTrip(1.0)
    assert (trip.soft(), trip.hard()) == (1.0, 1.0)
    trip.add(0.1)
    assert (trip.mean, trip.deviation) == (0.1, 0.05)
    assert trip.hard() == pytest.approx(0.3)
    for _ in range(200):
        trip.add(0.1)
    assert trip.hard() == pytest.approx(0.1, abs=0.002)
    trip.add(0.3)
    assert trip.hard() > 0.3
    for _ in range(400):
        trip.add(0.0001)
    assert trip.hard() == 0.02


@pytest.mark.parametrize("mean", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("step", [0.01, 0.05])
def test_the_mean_burst_is_found_through_the_spacing_of_probes(mean: float, step: float):
    rng = random.Random(4)
    ends = [(int(rng.expovariate(1 / mean) / step) * step, step) for _ in range(2000)]
    assert mean_burst(ends) == pytest.approx(mean, rel=0.1)


def test_rows_that_random_loss_explains_teach_nothing():
    gaps = Gaps(0.08, 1.5, 0.0)
    gaps.begin(0.0)
    for n in range(2000):
        gaps.count(100 + n / 20, n % 10 == 0)
    for n in range(15):
        gaps.add(Gap(200.0 + n, 2, 0.05, 0.0, 0.05))
    assert gaps.required(220.0) == 0.08
    for n in range(5):
        gaps.add(Gap(221.0 + n, 6, 0.05, 0.2, 0.05))
    assert gaps.required(230.0) > 0.4
    assert gaps.required(230.0 + 700) == 0.08


def test_a_new_line_is_taken_for_one_with_bursts():
    gaps = Gaps(0.08, 1.5, 0.0)
    assert gaps.required(1000.0) == 0.8
    gaps.begin(1000.0)
    assert (gaps.required(1059.0), gaps.required(1060.0)) == (0.8, 0.08)
    assert Gaps(0.08, 0.3, 0.0).required(0.0) == 0.3


def test_a_burst_that_was_taken_for_a_fault_is_learnt():
    """The first long burst on a line without any fools it, the next ones do not."""
    first = line(3, 0.0002, 0.0)
    first.outages = [(40.0 + 20 * n, 40.3 + 20 * n) for n in range(10)]
    told = turns(wan(), first, 300)
    assert [(t.state, round(t.boot_at)) for t in told] == [(DOWN, 40), (UP, 42)]


def test_poisson():
    assert poisson_tail(0, 3.0) == 1
    assert poisson_tail(1, 0.1) == pytest.approx(0.0952, abs=1e-4)
    assert poisson_tail(4, 0.5) == pytest.approx(0.00175, abs=1e-5)


def test_a_window_forgets():
    window = Window([10.0, 60.0])
    for second in range(100):
        window.add(float(second), None if second < 70 else 0.1)
    count, missed, mean = window.totals(100.0, 60.0)
    assert (count, missed, round(mean, 6)) == (60, 30, 0.1)
    assert window.totals(100.0, 10.0)[:2] == (10, 0)


# What settings would have done


def test_a_recording_says_what_other_settings_would_have_done():
    config = wan(1, probe="fast")
    targets = config.uplinks[0].ways[0].targets
    outcomes = []
    for n in range(1200):
        at = 1000 + n / 10
        lost = 1059.5 <= at < 1062 or 1090 <= at < 1090.25
        target = targets[n % 2]
        outcomes.append(Outcome(WAN1, target, n, at, None if lost else 0.03))
    fast = simulate(config, outcomes)
    assert [(t["state"], round(t["at"])) for t in fast["transitions"]] == [  # type: ignore
        (DOWN, 1060),
        (UP, 1062),
        (DOWN, 1090),
        (UP, 1092),
    ]
    guide = simulate(wan(1, probe="guide"), outcomes)
    assert [t["state"] for t in guide["transitions"]] == [DOWN, UP]  # type: ignore[attr-defined]
    calm = simulate(wan(1, probe={"fall": 3, "interval": 1}), outcomes)
    assert calm["transitions"] == []
    other = simulate(wan(1, targets=3), outcomes)
    assert other["not recorded"] == ["wan1: icmp 203.0.113.22"]
    assert simulate(config, [])["transitions"] == []
