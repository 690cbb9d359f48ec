"""What is told of the lines: status, history, picture, metrics, the way of each target."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from saltext.ipalias.errors import EffectError, InputError, UnsupportedError
from saltext.ipalias.wan import (
    clocks,
    control,
    firsthop,
    metrics,
    record,
    reports,
    status,
    timeline,
)
from saltext.ipalias.wan.clocks import Moment
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.history import clock_text, history
from saltext.ipalias.wan.model import Line, Outcome, Transition
from saltext.ipalias.wan.places import Places

ROOT = Path(__file__).parents[2]
BLOCK: dict[str, Any] = {
    "uplinks": {
        "wan1": {"interface": "wan1", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "wan2", "gateway": "192.0.2.65", "targets": ["203.0.113.8"]},
    }
}
CONFIG = parse_wan(BLOCK)
WAN1, WAN2 = Line("wan1", 4), Line("wan2", 4)
PING = "ping -n -c 1 -W 2 -m 65536 -I 192.0.2.2 203.0.113.7"
DAY = 86400.0


def transition(
    ident: str, at: float, state: str, line: Line = WAN1, why: str = "why"
) -> Transition:
    return Transition(ident, line, state, at, at, why, 0.2, 1.0, "monitor")


def state(**more: Any) -> dict[str, Any]:
    """Return what a monitor says of wan1, which is down, and of wan2."""
    target = {"target": "icmp 203.0.113.7", "answers": False, "missed": 9, "rtt": None}
    probe = {"target": "icmp 203.0.113.7", "command": PING, "sent": 99.5, "rtt": None}
    return {
        "heartbeat": 99.0,
        "started": 40.0,
        "react": "local",
        "lines": [
            {
                "line": "wan1", "uplink": "wan1", "family": 4, "state": "down", "for": 10.0,
                "reason": "no answer", "default": False, "failed": False, "drained": False,
                "held": 3.0, "bound": 0.9, "probed": 40, "source": "192.0.2.2",
                "targets": [{**target, "loss": 1.0, "error": ""}],
                "probes": [{**probe, "error": "ENETUNREACH (said 192.0.2.1)"}],
            },
            {
                "line": "wan2", "uplink": "wan2", "family": 4, "state": "up", "for": 50.0,
                "reason": "", "default": True, "bound": 0.9, "probed": 41,
                "targets": [{"target": "icmp 203.0.113.8", "rtt": 0.01, "loss": 0.25}],
                "probes": [],
            },
        ],
        "wanted": {"ipv4": [["wan2", 1]]},
        **more,
    }  # fmt: skip


def described(held: Any = None, silent: str = "", **more: Any) -> dict[str, Any]:
    now = Moment(100.0, 999_900.0)
    kernel = {4: ((WAN2, 1),)} if held is None else held
    return status.describe(CONFIG, state(**more), now, kernel, {WAN1: {"flows": 3}}, silent)


def test_the_last_probe_is_a_command_with_the_error_it_ended_with() -> None:
    """openwrt/packages#26698."""
    told = described()["lines"]["wan1"]
    [target] = told["targets"]
    assert target["last probe"] == {
        "command": PING,
        "error": "ENETUNREACH (said 192.0.2.1)",
        "rtt": None,
        "ago": 0.5,
    }
    assert told["state"] == "down" and told["loss"] == 1.0 and told["latency"] is None
    assert told["for"] == 11.0 and told["since"] == clock_text(1_000_000.0 - 11.0)
    assert told["use"] == {"flows": 3}


def test_the_age_of_the_heartbeat_is_told_and_an_old_one_is_a_problem() -> None:
    """openwrt/packages#18087."""
    assert described()["monitor"]["heartbeat age"] == 1.0 and described()["monitor"]["alive"]
    old = described(heartbeat=10.0)
    assert not old["monitor"]["alive"] and "90 s old" in old["problems"][0]
    silent = described(silent="wan.sock: refused")
    assert not silent["monitor"]["alive"] and "refused" in silent["problems"][0]


@pytest.mark.parametrize(
    ("held", "missing", "agree"),
    [
        ({4: ((WAN2, 1),)}, [], True),
        ({4: ((WAN1, 1), (WAN2, 1))}, [], False),
        ({4: ((WAN1, 1),)}, [], False),
        ({}, [], False),
        ({}, [["wan2", "no carrier"]], True),
    ],
)
def test_the_kernels_routes_are_held_against_what_is_wanted(
    held: Any, missing: list[list[str]], agree: bool
) -> None:
    told = described(held, missing=missing)["default routes"]["ipv4"]
    assert told["agree"] is agree and told["wanted"] == {"wan2": 1}


def test_it_is_plain_data() -> None:
    assert json.loads(json.dumps(described())) == described()


def test_a_monitor_that_is_gone_has_left_its_last_word(tmp_path: Path) -> None:
    places = Places(run=str(tmp_path), state=str(tmp_path))
    with pytest.raises(EffectError, match="does not answer"):
        status.read_state(places)
    Path(places.status).write_text(json.dumps(state()))
    found, why = status.read_state(places)
    assert found["heartbeat"] == 99.0 and "does not answer" in why
    assert status.read_state(places, lambda request: {"heartbeat": 1.0}) == ({"heartbeat": 1.0}, "")


@pytest.mark.parametrize(("age", "patience"), [(0.5, status.SOON), (30.0, status.AT_ONCE)])
def test_a_monitor_that_stands_still_is_hardly_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, patience: float
) -> None:
    """Its socket takes whoever connects, and answers nobody."""
    places = Places(run=str(tmp_path), state=str(tmp_path))
    last = {**state(), "heartbeat": clocks.boot_clock() - age}
    Path(places.status).write_text(json.dumps(last))
    asked = []
    ask = control.ask

    def timed(path: str, request: Any, timeout: float) -> Any:
        asked.append(timeout)
        return ask(path, request, timeout)

    monkeypatch.setattr(control, "ask", timed)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as still:
        still.bind(places.socket)
        still.listen(1)
        found, why = status.read_state(places)
    assert (found, asked) == (last, [patience]) and f"nothing within {patience:g} s" in why
    assert status.AT_ONCE < status.SOON < control.PATIENCE


# --- history and picture --------------------------------------------------------------------


def test_history_is_newest_first_and_says_what_the_master_knows() -> None:
    entries = [
        transition("a-1", 10.0, "down"),
        transition("a-2", 20.0, "up"),
        transition("a-3", 30.0, "down", WAN2),
    ]
    rows = history(entries, {"a-2"})
    assert [row["transition"] for row in rows] == ["a-3", "a-2", "a-1"]
    assert [row["acknowledged"] for row in rows] == [True, False, True]
    assert [r["transition"] for r in history(entries, (), uplink="wan1", limit=1)] == ["a-2"]
    assert rows[0]["at"] == "1970-01-01T00:00:30.000Z"
    assert clock_text(1e30) == "?", "a clock that was wrong is no reason to fail"


@pytest.mark.parametrize(
    ("entries", "now", "states"),
    [
        ([], "up", ["up"]),
        ([transition("a", -5.0, "down")], "down", ["down"]),
        ([transition("a", 10.0, "down"), transition("b", 20.0, "up")], "up", ["up", "down", "up"]),
        ([transition("a", 10.0, "up")], "up", ["", "up"]),
        ([transition("a", 200.0, "down")], "up", ["up"]),
        ([transition("a", 10.0, "down", WAN2)], "up", ["up"]),
        ([transition("b", 20.0, "up"), transition("a", 10.0, "down")], "up", ["up", "down", "up"]),
    ],
)
def test_a_days_stretches_follow_the_journal(
    entries: list[Transition], now: str, states: list[str]
) -> None:
    found = timeline.stretches(WAN1, entries, 0.0, 100.0, now)
    assert [each.state for each in found] == states
    assert found[0].begin == 0.0 and found[-1].end == 100.0
    assert all(one.end == other.begin for one, other in itertools.pairwise(found))


def test_the_picture_is_svg_with_a_strip_for_each_line_and_holds_any_text() -> None:
    why = '<script>"&\0\x1b]]>'
    entries = [transition("a", DAY - 5, "down", why=why), transition("b", DAY - 4, "up")]
    text = timeline.render_timeline({WAN1: "up", WAN2: "up"}, entries, DAY)
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    strips = [r for r in root.iter(f"{space}rect") if r.find(f"{space}title") is not None]
    red = [r for r in strips if "c62828" in r.attrib["fill"]]
    assert len(strips) == 4 and len(red) == 1
    assert float(red[0].attrib["width"]) >= 1.0, "a second's loss is to be seen in a day"
    assert '<script>"&' in (red[0].findtext(f"{space}title") or "")
    assert not list(root.iter(f"{space}script"))


# --- metrics --------------------------------------------------------------------------------


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = json.loads((ROOT / "docs/grafana/ipalias-wan.json").read_text())
    asked = re.findall(r"ipalias_wan_\w+", json.dumps(board))
    there = set(re.findall(r"^# TYPE (\w+)", metrics.render_metrics(state()), re.MULTILINE))
    assert asked and set(asked) <= there
    assert there - set(asked) == set(), "each metric has its place"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


@pytest.mark.parametrize("system", ["openbsd", "freebsd", "windows"])
def test_what_only_the_monitor_knows_is_refused_where_ifstated_watches(system: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{system}.*ifstated has noted"):
        reports.refuse_elsewhere(system)
    reports.refuse_elsewhere("linux")


def test_a_file_for_a_collector_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "lines.prom"
    tried = reports.write(str(path), "one 1\n", True)
    assert tried["result"] is None and not path.exists()
    done = reports.write(str(path), "one 1\n", False)
    assert done["changes"] == tried["changes"] and path.read_text() == "one 1\n"
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert reports.write(str(path), "one 1\n", False)["changes"] == {}
    assert [entry.name for entry in tmp_path.iterdir()] == ["lines.prom"]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/etc/passwd")
    for path in (
        "lines.prom",
        7,
        "",
        str(tmp_path),
        str(link),
        f"{tmp_path}/no/lines.prom",
        "/a\0",
        f"{tmp_path}/a\nb",
        f"{tmp_path}/a\u202eb",
        f"{tmp_path}/a\ud800",
    ):
        with pytest.raises(InputError):
            reports.write(path, "x", False)


# --- other settings over what was recorded --------------------------------------------------


def recorded(places: Places, missed: range) -> None:
    recorder = record.Recorder()
    text = ""
    for turn in range(600):
        at = 1000 + turn / 10
        for _, way in CONFIG.ways():
            rtt = None if way.line == WAN1 and turn in missed else 0.01
            text += recorder.add(Outcome(way.line, way.targets[0], turn, at, rtt))
    Path(places.probes).write_text(text + recorder.close())


def test_simulate_tells_other_settings_apart(tmp_path: Path) -> None:
    places = Places(state=str(tmp_path))
    recorded(places, range(310, 350))
    fast = reports.simulated(BLOCK, {"probe": {"profile": "fast"}}, "ipalias", places)
    calm = reports.simulated(BLOCK, {"probe": {"profile": "guide"}}, "ipalias", places)
    failures = [{row["line"]: row["failures"] for row in each["lines"]} for each in (fast, calm)]  # type: ignore[attr-defined]
    assert failures == [{"wan1": 1, "wan2": 0}, {"wan1": 0, "wan2": 0}]
    with pytest.raises(InputError, match="wan:"):
        reports.simulated(BLOCK, {"nonsense": 1}, "ipalias", places)
    with pytest.raises(InputError, match="on record"):
        reports.simulated(BLOCK, None, "ipalias", Places(state=str(tmp_path / "none")))


# --- the way of each target -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hop", "result", "word"),
    [
        ('[{"gateway":"192.0.2.1","dev":"wan1"}]', "192.0.2.1", True, ""),
        ('[{"gateway":"192.0.2.1","dev":"wan1"}]', "", True, "says nothing"),
        ('[{"gateway":"192.0.2.1","dev":"wan1"}]', "198.51.100.1", True, "198.51.100.1"),
        ('[{"gateway":"192.0.2.65","dev":"wan2"}]', "192.0.2.65", False, "by wan2"),
        ('[{"gateway":"192.0.2.9","dev":"wan1"}]', "", False, "192.0.2.9"),
        ('[{"dev":"wan1"}]', "", False, "by nobody"),
        ('[{"type":"unreachable","dst":"203.0.113.7","dev":"lo"}]', "", False, "no route"),
        ("", "", False, "no route"),
        ("RTNETLINK answers: Network is unreachable", "", False, "no route"),
    ],
)
def test_a_target_leaves_by_its_lines_gateway_or_not(
    text: str, hop: str, result: bool, word: str
) -> None:
    way = CONFIG.uplinks[0].ways[0]
    found = firsthop.judge(way, way.targets[0], firsthop.parse_route(text), hop)
    assert found[0] is result and word in found[1]
