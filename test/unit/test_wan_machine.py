"""The decider under any order of answers, losses, carriers, commands, stalls and clocks.

A monitor's loop is played in steps that hypothesis chooses; after each one it must hold that
a family with a default route keeps one, that no line comes back inside its hold-down, that
every change is told once with an id of its own, and that what is wanted fits the verdicts.
Cut all at once, what was up must go down within the bound that was shown; mended all at once,
what was down must come back.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rig.wanlines import start, wan
from saltext.ipalias.wan.bounds import LOOP, ride_through
from saltext.ipalias.wan.model import (
    DOWN,
    DRAIN,
    FAIL,
    RESTORE,
    UP,
    Carrier,
    Command,
    Decision,
    Outcome,
    Probe,
)
from saltext.ipalias.wan.policy import Event, Policy

PROBES: list[Any] = [
    "fast",
    "default",
    {"profile": "fast", "hold_down": 7, "loss": False},
    {"interval": 0.5, "timeout": 0.4, "fall": 2, "rise": 2, "hold_down": 3},
    {"interval": 0.2, "loss": {"down": 0.3, "up": 0.1, "window": 5}, "hold_down": 0},
    {"profile": "guide", "interval": 1, "loss": {"down": 0.3, "up": 0.1, "window": 10}},
    {"interval": 0.1, "latency": {"down": 0.5, "up": 0.2, "window": 4}, "loss": False},
]
ECHOES = ["203.0.113.{}1", "203.0.113.{}2", "203.0.113.{}3"]
MIXED = [ECHOES[0], {"tcp": "203.0.113.{}2:443"}, {"http": "http://203.0.113.{}3/"}]
uplinks = st.sampled_from(["wan1", "wan2", "wan3"])


class Loop(RuleBasedStateMachine):
    """Play the loop around a policy."""

    @initialize(
        probe=st.sampled_from(PROBES),
        require=st.sampled_from(["any", "all", "majority"]),
        policy=st.sampled_from(["balance", "tier"]),
        standing=st.sets(uplinks),
        seed=st.integers(0, 999),
        asked=st.sampled_from([ECHOES, MIXED]),
    )
    def begin(
        self,
        probe: Any,
        require: str,
        policy: str,
        standing: set[str],
        seed: int,
        asked: list[Any] = ECHOES,
    ) -> None:
        self.config = wan(3, asked, probe, require=require, policy=policy)
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.policy = Policy(self.config, start(self.config, self.now, standing))
        self.rtt = {line.line.uplink: 0.01 for _, line in self.config.ways()}
        self.cut: set[str] = set()
        self.refused: set[str] = set()
        self.dead: set[str] = set()
        self.loss = self.short = 0.0
        self.lag = 0.0
        self.carrier = {u.interface: True for u in self.config.uplinks}
        self.answers: list[tuple[float, int, Outcome]] = []
        self.state = {f"wan{n}": UP if f"wan{n}" in standing else DOWN for n in (1, 2, 3)}
        self.down_at: dict[str, float] = {}
        self.restored: dict[str, float] = {}
        self.idents: set[str] = set()
        self.wanted: tuple[str, ...] = ()
        self.had_default = bool(standing)
        self.wake = self.now
        self.step()

    def step(self, *events: Event) -> Decision:
        """Ask the policy as the loop does, and hold its decision against what was before."""
        arrived = [item for item in self.answers if item[0] <= self.now]
        self.answers = [item for item in self.answers if item[0] > self.now]
        outcomes = [outcome for _, _, outcome in sorted(arrived, key=lambda item: item[0])]
        decision = self.policy.step(self.now, self.now + 1e9, [*outcomes, *events])
        for probe in decision.probes:
            self.send(probe)
        for transition in decision.transitions:
            name = transition.line.uplink
            assert transition.ident not in self.idents
            self.idents.add(transition.ident)
            assert transition.state != self.state[name], "a change that is none"
            self.state[name] = transition.state
            if transition.state == DOWN:
                self.down_at[name] = transition.boot_at
            elif name in self.down_at:
                hold = self.config.uplinks[0].probe.hold_down
                held = transition.boot_at - self.down_at[name]
                freed = self.restored.get(name, 0.0) >= self.down_at[name]
                assert held >= hold - 1e-6 or freed, "back inside the hold-down"
        if decision.wanted is not None:
            self.wanted = tuple(ln.uplink for ln, _ in decision.wanted.lines.get(4, ()))
            assert self.wanted or not self.had_default, "no default route is left"
            self.had_default = bool(self.wanted)
        self.wake = decision.wake
        assert self.wake >= self.now
        return decision

    def send(self, probe: Probe) -> None:
        name = probe.line.uplink
        index = int(name[-1])
        if self.short and self.rng.random() < self.short:
            self.tell(probe, 0.0, None, "ENOBUFS", late=True)
        elif name in self.refused:
            self.tell(probe, 0.001, None, "EHOSTUNREACH")
        elif not (
            name in self.cut
            or probe.target.host in self.dead
            or not self.carrier[f"eth{index}"]
            or self.rng.random() < self.loss
        ):
            rtt = self.rtt[name] * self.rng.uniform(0.7, 1.3)
            self.tell(probe, rtt, rtt)

    def tell(
        self, probe: Probe, after: float, rtt: float | None, error: str = "", late: bool = False
    ) -> None:
        """Let an outcome come in."""
        outcome = Outcome(probe.line, probe.target, probe.seq, self.now, rtt, error, late)
        self.answers.append((self.now + after, probe.seq, outcome))

    def advance(self, seconds: float, most: int = 4000) -> None:
        """Run the loop as it should run, for a while."""
        end = self.now + seconds
        for _ in range(most):
            following = min([self.wake, *(item[0] for item in self.answers)])
            if following > end:
                break
            self.now = max(following, self.now + 1e-6) + self.rng.random() * self.lag
            self.step()
        self.now = max(self.now, end)

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.1, 0.5, 2.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.advance(seconds)

    @rule(seconds=st.sampled_from([0.05, 0.3, 3.0, 3600.0]), counts=st.booleans())
    def nobody_looks(self, seconds: float, counts: bool) -> None:
        """Let the process stop, or the host sleep: then nothing arrives either."""
        if not counts:
            self.answers = []
        self.now += seconds
        self.step()

    @rule(back=st.sampled_from([0.5, 1e6]))
    def a_clock_goes_back(self, back: float) -> None:
        """Ask with an earlier moment: the boot clock never does, and nothing must follow."""
        decision = self.policy.step(self.now - back, 0)
        assert not decision.transitions
        self.wake = decision.wake
        for probe in decision.probes:
            self.send(probe)

    @rule(name=uplinks)
    def cut_or_mend(self, name: str) -> None:
        self.cut ^= {name}

    @rule(name=uplinks)
    def a_router_refuses_or_not(self, name: str) -> None:
        self.refused ^= {name}

    @rule(name=uplinks, index=st.integers(0, 2))
    def a_target_dies_or_returns(self, name: str, index: int) -> None:
        ways = {line.line.uplink: line for _, line in self.config.ways()}
        self.dead ^= {ways[name].targets[index].host}

    @rule(share=st.sampled_from([0.0, 0.5, 1.0]))
    def the_host_is_short(self, share: float) -> None:
        """Let the host itself fail to send: that proves nothing of a line."""
        self.short = share

    @rule(lag=st.sampled_from([0.0, 0.001, 0.01, 0.3]))
    def the_loop_is_slow(self, lag: float) -> None:
        self.lag = lag

    @rule(loss=st.sampled_from([0.0, 0.02, 0.1, 0.5]))
    def losses(self, loss: float) -> None:
        self.loss = loss

    @rule(name=uplinks, rtt=st.sampled_from([0.0005, 0.03, 0.15, 0.8]))
    def delays(self, name: str, rtt: float) -> None:
        self.rtt[name] = rtt

    @rule(index=st.integers(1, 3), up=st.booleans())
    def carriers(self, index: int, up: bool) -> None:
        self.set_carrier(index, up)

    @rule(index=st.integers(1, 3), lasts=st.sampled_from([0.01, 0.1, 1.0]))
    def a_carrier_flaps(self, index: int, lasts: float) -> None:
        """Lose a carrier for a moment, with answers right after it: a hold-down shows."""
        self.set_carrier(index, False)
        self.advance(lasts)
        self.set_carrier(index, True)
        self.advance(1.5)

    def set_carrier(self, index: int, up: bool) -> None:
        """Take a carrier away, or give it back."""
        name = f"wan{index}"
        self.carrier[f"eth{index}"] = up
        self.step(Carrier(f"eth{index}", up))
        assert up or self.state[name] == DOWN, "a lost carrier is a fault at once"

    @rule(
        name=uplinks,
        verb=st.sampled_from([FAIL, DRAIN, RESTORE]),
        lasts=st.sampled_from([None, 0.2, 5.0]),
    )
    def commands(self, name: str, verb: str, lasts: float | None) -> None:
        if verb == RESTORE:
            self.restored[name] = self.now
        until = None if lasts is None else self.now + lasts
        self.step(Command(verb, name, until))
        assert verb != FAIL or self.state[name] == DOWN

    @rule()
    def a_new_monitor(self) -> None:
        """Let the monitor die and another begin with what stands."""
        remembered = self.policy.remember()
        counter = len(self.idents)
        begin = start(self.config, self.now, self.wanted)
        begin = type(begin)(
            self.now,
            0.0,
            "boot",
            counter,
            begin.standing,
            dict(self.carrier),
            remembered,
        )
        self.policy = Policy(self.config, begin)
        self.answers = []
        for name in self.state:
            up = name in self.wanted and self.carrier[f"eth{name[-1]}"]
            self.state[name] = UP if up else DOWN
            self.down_at.pop(name, None)
        self.step()

    @rule()
    def everything_is_cut(self) -> None:
        """Cut all lines at once, with what is on its way: all go down within the bound."""
        self.lag, self.short, self.refused = min(self.lag, LOOP / 2), 0.0, set()
        self.step()
        rows = self.policy.status(self.now)
        bound = max(float(str(row["bound"])) for row in rows)
        assert ride_through(self.config.uplinks[0].probe) < bound
        self.answers = []
        self.cut = {"wan1", "wan2", "wan3"}
        self.advance(bound)
        assert set(self.state.values()) == {DOWN}, (bound, rows)
        self.cut = set()

    @rule()
    def everything_is_mended(self) -> None:
        """Let all lines work: all come back, whatever was before."""
        probe = self.config.uplinks[0].probe
        self.cut, self.refused, self.dead = set(), set(), set()
        self.loss = self.short = 0.0
        self.lag = min(self.lag, LOOP / 2)
        limits = [limit for limit in (probe.loss, probe.latency) if limit is not None]
        slowest = min([0.9 * probe.timeout, *([probe.latency.up] if probe.latency else [])])
        self.rtt = {name: min(rtt, slowest / 1.3) for name, rtt in self.rtt.items()}
        for index in (1, 2, 3):
            self.set_carrier(index, True)
            self.restored[f"wan{index}"] = self.now
            self.step(Command(RESTORE, f"wan{index}"))
        self.advance(20 + 20 * probe.interval + sum(limit.window for limit in limits), 40000)
        assert set(self.state.values()) == {UP}, self.policy.status(self.now)

    @invariant()
    def a_default_route_stays(self) -> None:
        assert bool(self.wanted) == self.had_default

    @invariant()
    def the_policy_says_what_was_told(self) -> None:
        states = {ln.uplink: s.up for ln, s in self.policy.lines.items()}
        assert states == {name: state == UP for name, state in self.state.items()}
        up = {name for name, state in self.state.items() if state == UP}
        if up:
            assert set(self.wanted) <= up


TestLoop = Loop.TestCase
TestLoop.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_answers_from_before_a_stall_bring_no_line_back() -> None:
    """Once all its targets were held for dead at its return, and nothing made it fall again."""
    loop = Loop()
    loop.begin(probe="fast", require="any", policy="balance", standing=set(), seed=0)
    loop.a_carrier_flaps(index=1, lasts=0.01)
    loop.a_carrier_flaps(index=1, lasts=0.01)
    assert loop.state["wan1"] == DOWN
    loop.nobody_looks(counts=False, seconds=3.0)
    assert loop.state["wan1"] == DOWN
    loop.everything_is_cut()
