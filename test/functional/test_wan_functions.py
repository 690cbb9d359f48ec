"""What is asked of `ipalias_wan`, through the loader: with a journal and without a monitor."""

from __future__ import annotations

import json

import pytest
from loader_minion import STATE

WAN = {
    "uplinks": {
        "wan1": {"interface": "eth0", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "wan2", "gateway": "198.51.100.1", "targets": ["203.0.113.8"]},
    }
}
MINION_D = "/etc/salt/minion.d"
CONF = f"{MINION_D}/ipalias_wan.conf"
REACTION = f"{STATE}/wan/reaction.sls"


def entry(number, state="down"):
    """Return a line of the journal."""
    data = {"schema": 1, "id": f"boot-{number}", "uplink": "wan1", "family": 4, "state": state}
    data |= {"at": 1e9 + number, "boot_at": 1.0 * number, "reason": "why", "outage": 0.2}
    return json.dumps({**data, "bound": 1.0, "acted": "monitor"}) + "\n"


@pytest.fixture
def configured(minion):
    """Give a minion that has a configuration and a journal, and no monitor."""
    host = minion.host
    host.remove(MINION_D)
    host.write(f"{STATE}/wan/config.json", json.dumps({"schema": 1, "wan": WAN}))
    host.write(f"{STATE}/wan/journal", "".join(entry(number) for number in range(1, 6)))
    yield minion
    host.remove(MINION_D)


def test_pending_and_acknowledge(configured):
    told = configured.call("ipalias_wan.pending", 2)
    assert told["owed"] == 5
    assert [row["transition"] for row in told["oldest"]] == ["boot-1", "boot-2"]
    assert [row["transition"] for row in told["newest"]] == ["boot-4", "boot-5"]
    assert configured.call("ipalias_wan.acknowledge", "boot-1") == {"noted": ["boot-1"], "owed": 4}
    assert configured.call("ipalias_wan.acknowledge", ["boot-3", "boot-77"])["noted"] == ["boot-3"]
    assert [row["acknowledged"] for row in configured.call("ipalias_wan.history", "wan1")] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert "not the id" in configured.refusal("ipalias_wan.acknowledge", "a b; reboot")


def test_react_acknowledges_where_nothing_is_left_to_a_reaction(configured):
    told = configured.call("ipalias_wan.react", ["boot-1"], acknowledge=["boot-1", "boot-2"])
    assert told == {
        "acted": [],
        "because": "react is local",
        "noted": ["boot-1", "boot-2"],
        "owed": 3,
    }
    configured.host.remove(f"{STATE}/wan/config.json")
    told = configured.call("ipalias_wan.react", ["boot-3"], acknowledge=["boot-3"])
    assert told["acted"] == [] and told["noted"] == ["boot-3"]
    assert "not the id" in configured.refusal("ipalias_wan.react", [{"x": 1}])


def test_what_goes_wrong_with_a_reaction_leaves_the_answer_to_the_master(configured):
    event = {**WAN, "react": "event"}
    text = json.dumps({"schema": 1, "wan": event})
    configured.host.write(f"{STATE}/wan/config.json", text)
    said = configured.refusal("ipalias_wan.react", ["boot-1"], acknowledge=["boot-1"])
    assert "monitor does not answer" in said
    assert configured.call("ipalias_wan.pending")["owed"] == 4


def test_once_calls_a_function_once(configured):
    configured.host.write("/srv/elsewhere/told", "")
    words = ("boot-1", "file.append", "/srv/elsewhere/told")
    assert configured.call("ipalias_wan.once", *words, args="told")["acted"] is True
    again = configured.call("ipalias_wan.once", *words, args="told")
    assert again == {"acted": False, "return": None}
    assert configured.host.read("/srv/elsewhere/told").count("told") == 1
    assert "not a function" in configured.refusal("ipalias_wan.once", "boot-2", "no.such")


def test_a_function_that_takes_long_holds_up_no_other_transition(configured):
    """A state.apply may take minutes; who is told of the next transition does not wait for it."""
    words = ("boot-1", "ipalias_wan.once", "boot-2", "test.ping")
    told = configured.call("ipalias_wan.once", *words)
    assert told == {"acted": True, "return": {"acted": True, "return": True}}


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("status", [], "monitor does not answer"),
        ("metrics", [], "monitor does not answer"),
        ("switch", [], "monitor does not answer"),
        ("fail", ["wan1"], "monitor does not answer"),
        ("fail", ["wan1", "soon"], "span of time"),
        ("restore", ["wan1", 5], "monitor does not answer"),
        ("drain", ["wan1", None, 7], "4"),
        ("history", ["", 0], "limit"),
        ("timeline", ["lines.svg"], "absolute"),
        ("timeline", ["", 0], "hours"),
        ("simulate", [], "no uplinks|on record"),
        ("pending", ["many"], "limit"),
        ("once", [["boot-1", "boot-2"], "test.ping"], "not the id"),
        ("once", [[], "test.ping"], "not the id"),
        ("once", ["boot-1", ["test.ping"]], "not a function"),
        ("status", [1.5], "not a path of the pillar"),
        ("timeline", ["/srv/a\nb"], "absolute"),
        ("timeline", ["/srv/\u202eb"], "absolute"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(configured, name, arguments, word):
    said = configured.refusal(f"ipalias_wan.{name}", *arguments)
    assert any(each in said for each in word.split("|")) and "\n" not in said, said


def test_a_pillar_that_is_no_mapping_is_refused(configured):
    configured.pillar = {"wan": "yes"}
    for name in ("apply", "clean", "owners", "status", "simulate"):
        said = configured.refusal(f"ipalias_wan.{name}", pillar="ipalias:wan")
        assert "ipalias:wan: " in said and "is not a mapping" in said, said


def test_without_a_configuration_the_way_out_is_named(minion):
    assert "ipalias.wan" in minion.refusal("ipalias_wan.status")


def test_the_picture_and_the_files(configured):
    assert configured.call("ipalias_wan.timeline").startswith("<svg")
    path = "/srv/elsewhere/lines.svg"
    configured.host.run(["mkdir", "-p", "/srv/elsewhere"])
    tried = configured.call("ipalias_wan.timeline", path, test=True)
    assert tried["result"] is None and not configured.host.exists(path)
    assert configured.call("ipalias_wan.timeline", path)["result"] is True
    assert configured.host.read(path).endswith("</svg>\n")


def test_test_says_by_what_each_target_leaves(configured):
    rows = {row["line"]: row for row in configured.call("ipalias_wan.test")}
    assert rows["wan1"]["leaves_by"] == {"gateway": "192.0.2.1", "interface": "eth0"}
    assert rows["wan1"]["result"] is True
    assert rows["wan2"]["result"] is False and rows["wan2"]["comment"] == "no address"
    assert [row["line"] for row in configured.call("ipalias_wan.test", "wan2")] == ["wan2"]


def test_reported_shows_does_and_takes_back(configured):
    minion, host = configured, configured.host
    minion.pillar = {"wan": WAN}
    before = minion.picture()
    tried = minion.state("ipalias_wan.reported", "lines", test=True)
    assert tried["result"] is None and set(tried["changes"]["files"]) == {CONF}
    assert minion.picture() == before
    done = minion.state("ipalias_wan.reported", "lines")
    assert done["result"] is True and done["changes"] == tried["changes"]
    assert set(json.loads(host.read(CONF))) == {"beacons"}
    assert minion.state("ipalias_wan.reported", "lines")["changes"] == {}
    minion.pillar = {"wan": {**WAN, "react": "event"}}
    done = minion.state("ipalias_wan.reported", "lines")
    assert set(done["changes"]["files"]) == {CONF, REACTION}
    assert "Start the minion anew" in done["comment"]
    assert minion.state("ipalias_wan.unreported", "lines", test=True)["result"] is None
    assert minion.state("ipalias_wan.unreported", "lines")["result"] is True
    assert not host.exists(CONF) and not host.exists(REACTION)
    assert minion.state("ipalias_wan.unreported", "lines")["changes"] == {}


def test_a_pillar_without_lines_has_nothing_to_report(configured):
    configured.pillar = {}
    done = configured.state("ipalias_wan.reported", "lines")
    assert (done["result"], done["changes"]) == (True, {})
    configured.pillar = {"wan": {**WAN, "react": "soon"}}
    assert configured.state("ipalias_wan.reported", "lines")["result"] is False
    assert not configured.host.exists(CONF)


def test_keys_of_the_minions_main_file_are_not_hidden(configured):
    minion = configured
    config = minion.host.read("/etc/salt/minion")
    minion.host.write("/etc/salt/minion", json.dumps({**json.loads(config), "beacons": {}}))
    try:
        minion.pillar = {"wan": WAN}
        refused = minion.state("ipalias_wan.reported", "lines")
        assert refused["result"] is False and "beacons" in refused["comment"]
        assert "/etc/salt/minion" in refused["comment"] and not minion.host.exists(CONF)
    finally:
        minion.host.write("/etc/salt/minion", config)
