"""A member's steps of a drill, and what joins them on the master."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rig.simdhcp import block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp import drill
from saltext.ipalias.dhcp.backup import backup
from saltext.ipalias.dhcp.drill import Standing
from saltext.ipalias.dhcp.restore import restore
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.errors import EffectError, InputError, RefusedError
from saltext.ipalias.host import Result

UNIT = SERVERS["isc"].unit
TIMER = f"{drill.GUARD}.timer"
GOOD = Standing("normal", "normal", True, True)
WAITING = Standing("waiting", "unknown", True, True)


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> SimHost:
    """Give a member of a pair that is in order."""
    host = linux()
    setup(host).managed()
    monkeypatch.setattr(drill, "_ask", lambda setup, config: ("normal", "normal"))
    return host


# -- waiting ---------------------------------------------------------------------------------


class Time:
    """A clock that goes on by what is waited."""

    def __init__(self) -> None:
        self.now = 100.0

    def pause(self, seconds: float) -> None:
        self.now += seconds


def wait(standings: list[Standing], wanted: str, limit: float) -> dict[str, Any]:
    clock, left = Time(), list(standings)
    look = lambda: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
    return drill.await_state(look, wanted, limit, lambda: clock.now, clock.pause)


def test_a_state_is_waited_for_and_its_way_there_is_told() -> None:
    told = wait([WAITING, WAITING, GOOD], "normal", 10)
    assert told == {"result": True, "seconds": 0.5, "seen": [WAITING.text, GOOD.text]}
    assert wait([WAITING], "listening", 0)["seconds"] == 0
    assert wait([WAITING._replace(listening=False)], "serving", 0)["result"] is True


@pytest.mark.parametrize(
    ("standing", "wanted", "said"),
    [
        (WAITING, "normal", "not normal after 5 s: waiting, its peer unknown; it runs and"),
        (GOOD._replace(partner="unknown"), "normal", "its peer unknown"),
        (GOOD._replace(serving=False), "normal", "does not serve"),
        (GOOD._replace(listening=False), "listening", "does not listen for its peer"),
        (GOOD._replace(serving=False), "serving", "does not serve"),
    ],
)
def test_a_state_that_does_not_come_is_an_error(standing: Standing, wanted: str, said: str) -> None:
    with pytest.raises(EffectError, match=said):
        wait([standing], wanted, 5)


def test_what_there_is_not_cannot_be_waited_for() -> None:
    with pytest.raises(InputError, match="'perfect' is none of serving, listening, normal"):
        wait([GOOD], "perfect", 5)


def test_a_server_that_does_not_answer_is_unknown_and_one_that_is_down_stopped(
    member: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = setup(member)
    config, me = made.member()
    assert drill.read_standing(made, config, me) == GOOD

    def silent(setup: Any, config: Any) -> tuple[str, str]:
        raise EffectError("no answer")

    monkeypatch.setattr(drill, "_ask", silent)
    assert drill.read_standing(made, config, me) == Standing("unknown", "unknown", True, True)
    member.run(["systemctl", "stop", UNIT])
    assert drill.read_standing(made, config, me) == Standing("stopped", "unknown", False, False)


# -- a member's steps ------------------------------------------------------------------------


def test_a_server_is_stopped_only_behind_a_timer_that_starts_it_again(member: SimHost) -> None:
    told = drill.stop(setup(member), 120.0)
    assert (told["peer"], told["again"], told["clients"]) == ("192.0.2.3", 120.0, 1)
    assert told["bound"] > 0 and running(member, UNIT) is None
    timer = running(member, TIMER) or ""
    assert "--on-active=120" in timer and timer.endswith(f"systemctl restart {UNIT}")
    drill.start(setup(member))
    assert running(member, UNIT) and running(member, TIMER) is None
    # One that a dead drill has left is no obstacle.
    drill.stop(setup(member), 120.0)
    member.run(["systemctl", "restart", UNIT])
    assert drill.stop(setup(member), 60.0)["again"] == 60.0
    assert "--on-active=60" in (running(member, TIMER) or "")


def test_without_the_timer_nothing_is_stopped(member: SimHost) -> None:
    member.programs["systemd-run"] = lambda argv, stdin: Result(1, "", "no bus\n")
    with pytest.raises(EffectError, match="no bus"):
        drill.stop(setup(member), 120.0)
    assert running(member, UNIT)


def test_a_pair_that_is_not_in_order_is_left_alone(
    member: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "_ask", lambda setup, config: ("normal", "unknown"))
    with pytest.raises(RefusedError, match="not in order: normal, its peer unknown"):
        drill.stop(setup(member), 120.0)
    with pytest.raises(InputError, match="10 is not 30 to 3600 seconds"):
        drill.stop(setup(member), 10.0)
    assert running(member, UNIT) and running(member, TIMER) is None


def test_a_pillar_that_is_wrong_by_now_does_not_keep_it_down(member: SimHost) -> None:
    drill.stop(setup(member), 120.0)
    assert drill.start(setup(member, {"implementation": "none"}))["result"] is True
    assert running(member, UNIT)
    with pytest.raises(RefusedError, match="no member"):
        drill.start(setup(linux()))


def test_what_a_drill_has_stopped_is_not_taken_away_under_its_timer(member: SimHost) -> None:
    """It would start the server anew when that is nobody's member any more."""
    backup(setup(member))
    drill.stop(setup(member), 60)
    member.log.clear()
    for request in (
        setup(member).absent,
        setup(member, block(implementation="kea")).managed,
        lambda: restore(setup(member)),
    ):
        with pytest.raises(RefusedError, match=r"a drill has stopped.*drill_start"):
            request()
    assert member.mutating == []
    drill.start(setup(member))
    assert setup(member).absent()["result"] is True


@pytest.mark.parametrize("test", [True, False])
def test_a_highstate_leaves_stopped_what_a_drill_has_stopped(member: SimHost, test: bool) -> None:
    drill.stop(setup(member), 60)
    member.log.clear()
    answer = setup(member).managed(test=test)
    assert (answer["result"], answer["changes"]) == (True, {})
    [note] = [note for note in answer["notes"] if "drill" in note]
    assert f"has stopped {UNIT}" in note and f"{TIMER} starts it again at 2026-11-28 14:32" in note
    assert note in answer["comment"] and "drill_start" in note
    assert member.mutating == [] and running(member, UNIT) is None
    member.programs["systemctl"] = _without_times(member.programs["systemctl"])
    assert "again soon" in setup(member).managed()["comment"]
    drill.start(setup(member))
    assert not [note for note in setup(member).managed()["notes"] if "drill" in note]


def test_mode_and_owner_are_put_right_under_a_drill_and_nothing_started(member: SimHost) -> None:
    path = "/etc/dhcp/ipalias.conf"
    drill.stop(setup(member), 60)
    member.files.nodes[path] = replace(member.files.nodes[path], mode=0o000, uid=1000)
    answer = setup(member).managed()
    assert answer["changes"] == {"files": {path: "mode 0000 -> 0600, owner 1000:0 -> 0:0"}}
    assert "drill_start" in answer["comment"] and running(member, UNIT) is None
    assert member.files.nodes[path].mode == 0o600


def _without_times(systemctl: Callable[..., Result]) -> Callable[..., Result]:
    """Return a systemctl that does not tell when a timer is over."""
    return lambda argv, stdin: (
        Result(0, "", "") if "list-timers" in argv else systemctl(argv, stdin)
    )


@pytest.mark.parametrize("test", [True, False])
def test_a_change_under_a_drill_is_refused_with_its_way_out(member: SimHost, test: bool) -> None:
    drill.stop(setup(member), 60)
    before = member.state()
    member.log.clear()
    for wanted in (block(authoritative=False), block(firewall=True)):
        with pytest.raises(RefusedError, match=r"a drill has stopped.*drill_start"):
            setup(member, wanted).managed(test=test)
    assert member.mutating == [] and member.state() == before
    drill.start(setup(member))
    assert setup(member, block(authoritative=False)).managed()["result"] is True
    assert running(member, UNIT)


def test_test_true_changes_nothing(member: SimHost) -> None:
    before, made = member.state(), setup(member)
    assert drill.stop(made, 120.0, test=True)["result"] is None
    assert drill.start(made, test=True)["result"] is None
    assert drill.keep_report(made, True, [], 1.0, test=True)["result"] is None
    assert member.state() == before


def test_reports_are_kept_with_the_time_of_the_last_good_one(member: SimHost) -> None:
    made = setup(member)
    drill.keep_report(made, True, ["one"], 1000.0)
    drill.keep_report(made, False, ["x" * 9999] * 999, 2000.0)
    text = member.files.read(made.places.drill) or ""
    found = drill.parse_report(text)
    assert (found["time"], found["result"], found["good"]) == (2000.0, "failed", 1000.0)
    assert len(found["report"]) == 200 and len(found["report"][0]) == 500
    assert drill.parse_report("{") == drill.parse_report(None) == {}
    assert drill.parse_told(True, ["a"], 5) == (True, ["a"], 5.0)
    for words in ((1, [], 5), (True, [3], 5), (True, [], True), (True, [], -1)):
        with pytest.raises(InputError):
            drill.parse_told(*words)


# -- what joins them -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "_runners" / "ipalias.py"
    spec = importlib.util.spec_from_file_location("runner_ipalias", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__context__ = {}  # type: ignore[attr-defined]
    Minions.trouble = module.Trouble
    return module


class Minions:
    """Two members and a client, whose answers can be changed; notes what they were asked."""

    #: The runner's own exception.
    trouble: type[Exception] = Exception

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.stopped = False
        self.kept: list[dict[str, Any]] = []
        #: (minion, function) → what is answered instead.
        self.odd: dict[tuple[str, str], Any] = {}

    def ask(self, minions: list[str], function: str, seconds: float, **kw: Any) -> dict[str, Any]:
        answers = {}
        for minion in minions:
            answer = self._answer(minion, function.partition(".")[2], kw)
            if answer is not None:
                answers[minion] = answer
        return answers

    def _answer(self, minion: str, verb: str, kw: dict[str, Any]) -> Any:
        self.notes.append((minion, verb if not kw.get("test") else f"{verb} test"))
        odd = self.odd.get((minion, self.notes[-1][1]))
        if odd is not None:
            return odd(self, kw) if callable(odd) else odd
        match verb:
            case "wait":
                return True, {"seconds": 1.0}
            case "member":
                return True, {"role": "primary" if minion == "dhcp1" else "secondary"}
            case "drill_stop":
                self.stopped = self.stopped or not kw.get("test")
                return True, {"bound": 5.0, "clients": 1, "again": kw["limit"], "peer": "192.0.2.3"}
            case "drill_start":
                self.stopped = False
                return True, {"result": True}
            case "drill_report":
                self.kept.append({"minion": minion, **kw})
                return True, {"result": True}
        raise AssertionError(verb)

    def begin(self, minion: str, function: str, **kw: Any) -> str:
        self.notes.append((minion, "lease"))
        self.lease = kw
        return "job"

    def returned(self, job: str, minion: str) -> Any:
        odd = self.odd.get((minion, "lease"), (True, {"result": True, "comment": "4 of 4"}))
        return odd(self, {}) if callable(odd) else odd

    def asked(self, minion: str, function: str, seconds: float, **kw: Any) -> Any:
        found, said = self.ask([minion], function, seconds, **kw)[minion]
        if not found:
            raise self.trouble(f"{minion}: {said}")
        return said

    def pause(self, seconds: float) -> None:
        clock.pause(seconds)


clock = Time()


def hold(runner: ModuleType, minions: Minions, client: str = "", stop: Any = None) -> Any:
    told: list[str] = []
    made = runner.Drill(
        minions, told.append, ["dhcp1", "dhcp2"], client, "eth0", 60, lambda: clock.now
    )
    answer = made.hold(stop)
    assert answer["report"][: len(told)] == told[: len(answer["report"])]
    json.dumps(answer)
    return answer


def test_a_drill_stops_leases_starts_waits_and_reports(runner: ModuleType) -> None:
    minions = Minions()
    answer = hold(runner, minions)
    assert (answer["result"], answer["retcode"]) == (True, 0)
    assert minions.notes == [
        ("dhcp1", "wait"),
        ("dhcp2", "wait"),
        ("dhcp1", "member"),
        ("dhcp2", "member"),
        ("dhcp1", "drill_stop test"),
        ("dhcp1", "drill_stop"),
        ("dhcp2", "lease"),
        ("dhcp1", "drill_start"),
        ("dhcp1", "wait"),
        ("dhcp2", "wait"),
        ("dhcp1", "drill_report"),
        ("dhcp2", "drill_report"),
    ]
    assert minions.lease == {
        "clients": 4,
        "limit": 15.0,
        "server": "192.0.2.3",
        "interface": "eth0",
    }
    assert [row["minion"] for row in minions.kept] == ["dhcp1", "dhcp2"]
    assert all(row["result"] for row in minions.kept)
    assert "passed" in minions.kept[0]["report"][-1]


def test_another_one_is_stopped_and_another_one_asks(runner: ModuleType) -> None:
    minions = Minions()
    assert hold(runner, minions, client="web3", stop="dhcp2")["result"] is True
    assert ("dhcp2", "drill_stop") in minions.notes and ("web3", "lease") in minions.notes


def interrupted(minions: Minions, kw: Any) -> Any:
    raise KeyboardInterrupt


def late(minions: Minions, kw: Any) -> Any:
    clock.pause(1000)


BAD: dict[str, tuple[tuple[str, str], Any, str, bool]] = {
    "not normal": (("dhcp2", "wait"), (False, "not normal"), "dhcp2: not normal", False),
    "no answer": (("dhcp1", "wait"), (False, "gone"), "dhcp1: gone", False),
    "refused": (("dhcp1", "drill_stop test"), (False, "refused"), "dhcp1: refused", False),
    "stop fails": (("dhcp1", "drill_stop"), (False, "no bus"), "dhcp1: no bus", True),
    "no lease": (
        ("dhcp2", "lease"),
        (True, {"result": False, "comment": "none of 4"}),
        "dhcp2 did not take over: none of 4",
        True,
    ),
    "client breaks": (("dhcp2", "lease"), (False, "no interface"), "dhcp2: no interface", True),
    "client silent": (("dhcp2", "lease"), late, "does not say", True),
}


@pytest.mark.parametrize("case", BAD)
def test_at_the_first_sign_of_trouble_it_ends_and_the_server_is_started(
    runner: ModuleType, case: str
) -> None:
    place, odd, said, stops = BAD[case]
    minions = Minions()
    minions.odd[place] = odd
    answer = hold(runner, minions)
    assert (answer["result"], answer["retcode"]) == (False, 1)
    assert any(f"failed: {said}" in line or said in line for line in answer["report"]), answer
    assert said in answer["comment"]
    assert (("dhcp1", "drill_start") in minions.notes) is stops
    assert not minions.stopped
    assert [row["result"] for row in minions.kept] == [False, False]
    after = [verb for _, verb in minions.notes if verb == "wait"]
    assert len(after) <= 4


def test_a_survivor_that_ends_is_seen_while_the_client_still_waits(runner: ModuleType) -> None:
    minions = Minions()
    minions.odd["dhcp2", "lease"] = lambda m, kw: None

    def dead(minions: Minions, kw: dict[str, Any]) -> Any:
        return (False, "stopped") if kw["state"] == "serving" else (True, {"seconds": 1.0})

    minions.odd["dhcp2", "wait"] = dead
    before = clock.now
    answer = hold(runner, minions)
    assert any("dhcp2: stopped" in line for line in answer["report"])
    assert clock.now - before < 5 and ("dhcp1", "drill_start") in minions.notes


def test_an_interrupted_drill_starts_the_server_too(runner: ModuleType) -> None:
    minions = Minions()
    minions.odd["dhcp2", "lease"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        hold(runner, minions)
    assert ("dhcp1", "drill_start") in minions.notes and not minions.kept[0]["result"]


def test_a_server_that_does_not_start_is_tried_again_and_left_to_its_timer(
    runner: ModuleType,
) -> None:
    minions, tries = Minions(), [0]

    def busy(minions: Minions, kw: Any) -> Any:
        tries[0] += 1
        return (False, "busy") if tries[0] < 3 else (True, {"result": True})

    minions.odd["dhcp1", "drill_start"] = busy
    assert hold(runner, minions)["result"] is True and tries == [3]
    minions = Minions()
    minions.odd["dhcp1", "drill_start"] = (False, "broken")
    answer = hold(runner, minions)
    assert answer["result"] is False
    assert any("left to its own timer, 60 s after its stop" in line for line in answer["report"])


def test_a_master_that_cannot_ask_is_asked_again(runner: ModuleType) -> None:
    minions, tries = Minions(), [0]

    def busy(minions: Minions, kw: Any) -> Any:
        tries[0] += 1
        if tries[0] < 4:
            raise runner.Trouble("the master cannot ask: no socket")
        return True, {"result": True}

    minions.odd["dhcp1", "drill_start"] = busy
    answer = hold(runner, minions)
    assert answer["result"] is True and tries == [4]
    assert any("not started again yet: the master cannot ask" in x for x in answer["report"])

    def broken(minions: Minions, kw: Any) -> Any:
        raise runner.Trouble("the master cannot ask: no socket")

    minions.odd["dhcp1", "drill_report"] = broken
    assert any("has no report of this" in x for x in hold(runner, minions)["report"])


def test_a_takeover_that_may_take_longer_than_the_limit_is_refused(runner: ModuleType) -> None:
    minions = Minions()
    promised = {"bound": 150.0, "clients": 11, "again": 60, "peer": "192.0.2.3"}
    minions.odd["dhcp1", "drill_stop test"] = (True, promised)
    answer = hold(runner, minions)
    assert "give a limit of 195 s" in answer["report"][1]
    assert ("dhcp1", "drill_stop") not in minions.notes


def test_a_look_stops_nothing(runner: ModuleType) -> None:
    minions = Minions()
    made = runner.Drill(minions, [].append, ["dhcp1", "dhcp2"], None, None, 60, lambda: clock.now)
    assert made.look(None)["result"] is True
    assert not minions.stopped and not minions.kept
    minions.odd["dhcp1", "wait"] = (False, "not normal")
    told = made.look(None)
    assert (told["result"], told["comment"]) == (False, "dhcp1: not normal")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"members": "dhcp1"}, "the two servers"),
        ({"members": ["dhcp1", "dhcp1"]}, "the two servers"),
        ({"members": 5}, "the two servers"),
        ({"stop": "dhcp3"}, "stop: dhcp3 is not among the members; give dhcp1 or dhcp2"),
        ({"client": "dhcp1", "stop": "dhcp1"}, "the one that is stopped"),
        ({"limit": 5}, "60 to 3600"),
        ({"limit": True}, "60 to 3600"),
    ],
)
def test_what_cannot_be_meant_is_refused(runner: ModuleType, words: Any, said: str) -> None:
    told = runner.dhcp_drill(**{"members": "dhcp1,dhcp2", **words})
    assert (told["result"], told["retcode"]) == (False, 1) and said in told["comment"]


def test_an_answer_without_a_good_result_is_an_answer(runner: ModuleType) -> None:
    answer: Callable[[dict[str, Any]], Any] = runner._answer
    assert answer({"ret": {"result": None}, "retcode": 1}) == (True, {"result": None})
    assert answer({"ret": "ERROR: no", "retcode": 1}) == (False, "ERROR: no")
    silent = "Minion did not return. [No response]"
    advice = "\nThe minions may not have all finished running and any remaining minions will\n"
    assert answer({"ret": silent + advice, "retcode": 1}) == (False, silent)
    assert answer({"ret": True}) == (True, True)
