"""The beacon of a pair, what the master makes of its events, and the two places of a death."""

from __future__ import annotations

import importlib.util
import random
import string
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import salt.config
import salt.loader
import salt.template

from saltext.ipalias.dhcp import watch

ROOT = Path(__file__).parents[2]
SLS = ROOT / "ipalias/reactor/dhcp_event.sls"


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("under_test", ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the beacon -----------------------------------------------------------------------------


class Scene:
    """A beacon, the function that it calls, and a clock that is set."""

    def __init__(self) -> None:
        self.beacon = loaded("_beacons/ipalias_dhcp.py")
        self.beacon.__salt__ = {"ipalias_dhcp.watch": self.watch}  # type: ignore[attr-defined]
        self.beacon.time = self  # type: ignore[attr-defined]
        self.config: list[dict[str, Any]] = [{"interval": 1}, {"_beacon_name": "ipalias_dhcp"}]
        self.now = 1000.0
        self.asked: list[tuple[Any, str]] = []
        self.answer: Any = {"events": [], "memory": None}

    def monotonic(self) -> float:
        return self.now

    def watch(self, memory: Any, pillar: str) -> Any:
        self.asked.append((memory, pillar))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def turn(self, seconds: float = 1.0) -> list[str]:
        self.now += seconds
        return [event["tag"] for event in self.beacon.beacon(self.config)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    yield Scene()


def test_it_needs_nothing_of_ours_to_be_loaded() -> None:
    text = (ROOT / "_beacons/ipalias_dhcp.py").read_text()
    assert "saltext" not in text and "__salt__" in text


def test_what_a_look_leaves_is_given_to_the_next_one(scene: Scene) -> None:
    scene.answer = {"events": [{"tag": "skew/alert"}], "memory": {"a": 1}}
    assert scene.turn() == ["skew/alert"]
    scene.answer = {"events": [], "memory": {"b": 2}}
    assert scene.turn() == []
    scene.turn()
    assert scene.asked == [(None, "ipalias"), ({"a": 1}, "ipalias"), ({"b": 2}, "ipalias")]


def test_what_cannot_be_watched_is_said_once_and_so_is_its_end(scene: Scene) -> None:
    scene.turn()
    scene.answer = ValueError("no pillar")
    assert scene.turn() == ["watch/alert"]
    assert [scene.turn() for _ in range(100)] == [[]] * 100
    assert len(scene.asked) < 10, "and not tried with each turn"
    scene.answer = {"events": [{"tag": "state/alert"}], "memory": None}
    assert scene.turn(60) == ["watch/clear", "state/alert"]


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({}, "list"),
        (["pillar"], "list"),
        ([{"pillar": 3}], "pillar must"),
        ([{"pillar": ""}], "pillar must"),
        ([{"silence": 5}], "silence"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    scene: Scene, config: Any, word: str
) -> None:
    valid, said = scene.beacon.validate(config)
    assert not valid and word in said


def test_a_configuration_that_can_be_meant_is_taken(scene: Scene) -> None:
    good = [[], scene.config, [{"pillar": "net:ipalias"}, {"interval": 1}]]
    assert [scene.beacon.validate(each)[0] for each in good] == [True] * 3


# --- the master's reaction ------------------------------------------------------------------


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give what the reactor does with our file, a tag and data: `Compiler.render_template`."""
    opts = salt.config.master_config(None)
    opts["cachedir"] = str(tmp_path_factory.mktemp("cache"))
    rend = salt.loader.render(opts, {})

    def rendered(tag: Any, data: Any) -> Any:
        return salt.template.compile_template(
            str(SLS),
            rend,
            opts["renderer"],
            opts["renderer_blacklist"],
            opts["renderer_whitelist"],
            tag=tag,
            data=data,
        )

    return rendered


def told(**more: Any) -> dict[str, Any]:
    return {"id": "dhcp1", "kind": "silent", "what": "alert", "text": "dhcp2 is silent", **more}


@pytest.mark.parametrize("kind", [*watch.KINDS, "watch"])
@pytest.mark.parametrize("what", [watch.ALERT, watch.CLEAR])
def test_every_event_of_the_beacon_is_reported(render: Any, kind: str, what: str) -> None:
    found = render(f"salt/beacon/dhcp1/ipalias_dhcp/{kind}/{what}", told())
    [[function, [arguments]]] = found["ipalias-dhcp-event"].items()
    assert function == "runner.ipalias_dhcp.react"
    expected = {"minion": "dhcp1", "kind": kind, "what": what, "text": "dhcp2 is silent"}
    assert arguments == {"args": expected}


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("salt/beacon/dhcp1/ipalias_dhcp/silent/alert", told(id="dhcp2")),
        ("salt/beacon/dhcp1/ipalias_dhcp/silent/alert", told(text=None)),
        ("salt/beacon/dhcp1/ipalias_dhcp/silent/alert", told(text="x" * 2000)),
        ("salt/beacon/dhcp1/ipalias_dhcp/silent/alert", ["dhcp1"]),
        ("salt/beacon/dhcp1/ipalias_dhcp/other/alert", told()),
        ("salt/beacon/dhcp1/ipalias_dhcp/silent/alert/x", told()),
        ("salt/beacon/a/b/ipalias_dhcp/silent/alert", told(id="a/b")),
        # A line of the master's log of its own, or one that a terminal shows as another.
        ("salt/beacon/a\nb/ipalias_dhcp/silent/alert", told(id="a\nb")),
        ("salt/beacon/a\x1b[2Jb/ipalias_dhcp/dead/alert", told(id="a\x1b[2Jb")),
        ("salt/beacon/a\u202eb/ipalias_dhcp/silent/alert", told(id="a\u202eb")),
        (7, told()),
    ],
)
def test_what_does_not_look_like_the_beacons_gives_no_reaction(
    render: Any, tag: Any, data: Any
) -> None:
    assert render(tag, data) == {}


def test_what_a_minion_writes_is_a_text_and_nothing_else(render: Any) -> None:
    drawn = random.Random(7)
    alphabet = string.printable + "{{}}{%%}\x1b\u202e\x00"
    for _ in range(50):
        text = "".join(drawn.choices(alphabet, k=40))
        found = render("salt/beacon/dhcp1/ipalias_dhcp/silent/alert", told(text=text))
        [[_, [arguments]]] = found["ipalias-dhcp-event"].items()
        shown = arguments["args"]["text"]
        assert shown.isprintable() and len(shown) == len(text)


# --- the runner -----------------------------------------------------------------------------

POLICY = {
    "implementation": "kea",
    "after": 60.0,
    "witness": "gw1",
    "me": {"name": "dhcp1", "address": "192.0.2.2", "port": 647},
    "peer": {"name": "dhcp2", "address": "192.0.2.3", "port": 647},
}
ALIVE = {"port": "open", "host": True, "dead": False}
DEAD = {"port": "silent", "host": False, "dead": True}
REFUSING = {"port": "refused", "host": True, "dead": True}
DONE = {"result": True, "comment": "dhcp1 takes dhcp2 for dead", "notes": ["a note"]}


class Fleet:
    """The runner, and minions that answer as they are told."""

    def __init__(self) -> None:
        self.runner = loaded("_runners/ipalias_dhcp.py")
        self.runner.__salt__ = {"salt.execute": self.execute}  # type: ignore[attr-defined]
        self.runner._fire = self.fire  # type: ignore[attr-defined]
        self.policy: Any = POLICY
        self.reached: dict[str, Any] = {"192.0.2.2": ALIVE, "192.0.2.3": DEAD}
        self.declared: Any = DONE
        self.word: Any = {"me": {"listening": False}}
        #: What packages are installed, and what ones could be.
        self.installed = {"dhcp1": "2.6.3-1", "dhcp2": "2.6.3-1+deb13u1"}
        self.latest: dict[str, str] = {}
        self.runner.__context__ = {}  # type: ignore[attr-defined]
        self.asked: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def fire(self, report: dict[str, Any], tag: str) -> None:
        self.events.append((tag, report))

    def execute(
        self,
        target: Any,
        function: str,
        arg: Any,
        timeout: int,
        tgt_type: str,
        kwarg: Any = None,
    ) -> Any:
        assert tgt_type == "list", "as a pattern an id is many"
        if function.startswith("pkg."):
            assert arg == ("kea-dhcp4-server",)
            known = self.installed if function == "pkg.version" else self.latest
            return {each: known[each] for each in target if each in known}
        assert len(target) == 1
        self.asked.append(f"{target[0]} {function}")
        answers = {
            "ipalias_dhcp.policy": lambda: self.policy,
            "ipalias_dhcp.reach": lambda: self.reached[arg[0]],
            "ipalias_dhcp.partner_down": lambda: self.declared,
            "ipalias_dhcp.status": lambda: self.word,
        }
        if function == "ipalias_dhcp.partner_down":
            assert kwarg == {"by_policy": True}, "the minion holds it to its own pillar"
        return {target[0]: answers[function]()}


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_a_report_is_an_event_and_a_line_of_the_log(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    found = fleet.runner.react("dhcp1", "silent", "alert", "dhcp2 is silent")
    assert fleet.events == [("ipalias/dhcp/dhcp1/silent/alert", found)]
    assert "ipalias dhcp: dhcp1: silent alert: dhcp2 is silent" in caplog.text
    assert fleet.asked == [], "only `dead` is more than a report"


def test_a_peer_that_two_places_find_dead_is_declared_so(fleet: Fleet) -> None:
    found = fleet.runner.react("dhcp1", "dead", "alert", "dhcp2 has been silent")
    assert found["partner down"]["done"] is True and found["partner down"]["notes"] == ["a note"]
    assert fleet.asked == [
        "dhcp1 ipalias_dhcp.policy",
        "gw1 ipalias_dhcp.reach",
        "gw1 ipalias_dhcp.reach",
        "dhcp1 ipalias_dhcp.partner_down",
    ]
    fleet.asked.clear()
    fleet.runner.react("dhcp1", "dead", "clear", "it is back")
    assert fleet.asked == []


@pytest.mark.parametrize("word", [{"me": {"listening": False}}, "ERROR: no answer", None, {}])
def test_a_host_without_its_server_is_asked_before_it_is_declared_dead(
    fleet: Fleet, word: Any
) -> None:
    fleet.reached["192.0.2.3"], fleet.word = REFUSING, word
    found = fleet.runner.react("dhcp1", "dead", "alert", "dhcp2 has been silent")
    assert found["partner down"]["done"] is True
    assert fleet.asked[-2:] == ["dhcp2 ipalias_dhcp.status", "dhcp1 ipalias_dhcp.partner_down"]


def test_a_filter_that_refuses_in_a_servers_name_is_no_death(fleet: Fleet) -> None:
    fleet.reached["192.0.2.3"], fleet.word = REFUSING, {"me": {"listening": True}}
    found = fleet.runner.react("dhcp1", "dead", "alert", "dhcp2 has been silent")
    assert found["partner down"]["done"] is False
    assert "itself says" in found["partner down"]["because"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"policy": {**POLICY, "after": 0}}, "no time or no witness"),
        ({"policy": {**POLICY, "witness": ""}}, "no time or no witness"),
        ({"policy": {**POLICY, "witness": "dhcp2"}}, "no second place"),
        ({"policy": "ERROR: no pair"}, "no pair"),
        ({"policy": None}, "no answer"),
        ({"reached": {"192.0.2.2": DEAD, "192.0.2.3": DEAD}}, "proves nothing"),
        ({"reached": {"192.0.2.2": ALIVE, "192.0.2.3": ALIVE}}, "finds dhcp2 alive"),
        ({"reached": {"192.0.2.2": "ERROR: raw sockets", "192.0.2.3": DEAD}}, "raw sockets"),
    ],
)
def test_where_it_is_not_proven_nobody_is_declared_dead(
    fleet: Fleet, change: dict[str, Any], word: str
) -> None:
    for name, value in change.items():
        setattr(fleet, name, value)
    found = fleet.runner.react("dhcp1", "dead", "alert", "dhcp2 has been silent")
    assert found["partner down"]["done"] is False and word in found["partner down"]["because"]
    assert not any("partner_down" in asked for asked in fleet.asked)
    assert fleet.events, "and it is reported all the same"


@pytest.mark.parametrize(
    ("installed", "latest", "right"),
    [
        ({"dhcp1": "2.2.0-6", "dhcp2": "2.2.0-6"}, {}, True),
        ({"dhcp1": "2.6.3-1", "dhcp2": ""}, {"dhcp2": "2.6.3-1"}, True),
        ({"dhcp1": "2.2.0-6", "dhcp2": "2.6.3-1"}, {}, False),
        ({"dhcp1": "2.2.0-6", "dhcp2": ""}, {"dhcp2": "2.6.3-1"}, False),
        ({"dhcp1": "2.2.0-6", "dhcp2": ""}, {"dhcp2": ""}, False),
    ],
)
def test_two_releases_of_kea_are_told_of_before_the_first_one_changes(
    fleet: Fleet, installed: dict[str, str], latest: dict[str, str], right: bool
) -> None:
    fleet.installed, fleet.latest = installed, latest
    told = fleet.runner.releases("dhcp1", "dhcp2")
    assert told["result"] is right, told
    assert fleet.runner.__context__["retcode"] == told["retcode"] == (0 if right else 1)
    assert right or "dhcp1: 2.2.0-6" in told["comment"]


def test_releases_of_dhcpd_understand_each_other(fleet: Fleet) -> None:
    fleet.policy, fleet.installed = {**POLICY, "implementation": "isc"}, {}
    assert fleet.runner.releases("dhcp1", "dhcp2")["result"] is True


def test_a_release_that_is_not_told_is_no_release(fleet: Fleet) -> None:
    del fleet.installed["dhcp2"]
    told = fleet.runner.releases("dhcp1", "dhcp2")
    assert (told["result"], told["retcode"]) == (False, 1)
    assert "dhcp2: no answer to pkg.version" in told["comment"]


def test_a_minion_that_refuses_is_told_of(fleet: Fleet) -> None:
    fleet.declared = "ERROR: its host answers"
    found = fleet.runner.react("dhcp1", "dead", "alert", "dhcp2 has been silent")
    assert found["partner down"]["done"] is False
    assert "its host answers" in found["partner down"]["because"]
