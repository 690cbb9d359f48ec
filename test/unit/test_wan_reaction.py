"""Reacting: what an event may claim, what comes of it, and that it comes once."""

from __future__ import annotations

import random
import string
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import salt.config
import salt.loader
import salt.template

from saltext.ipalias.errors import EffectError, InputError, ParseError, RefusedError
from saltext.ipalias.wan import delivery, model, reaction, reporting
from saltext.ipalias.wan.acting import REACTION, Actor
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Line, WanConfig, Wanted
from saltext.ipalias.wan.places import Places
from saltext.ipalias.wan.switch import Done

ROOT = Path(__file__).parents[2]
MASTER_SLS = ROOT / "ipalias/reactor/wan_event.sls"
IDENT = "5f0c2a52-6b1c-4d0e-9f43-0d7f3b8e4a11-7"
BLOCK: dict[str, Any] = {
    "uplinks": {
        "wan1": {"interface": "wan1", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "wan2", "gateway": "192.0.2.65", "targets": ["203.0.113.8"]},
    }
}
WANTED = Wanted({4: ((Line("wan2", 4), 3),)}, "wan1 is down")


# --- Salt's own rendering -------------------------------------------------------------------


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give what the reactor does with a file, a tag and data: `Compiler.render_template`."""
    opts = salt.config.master_config(None)
    opts["cachedir"] = str(tmp_path_factory.mktemp("cache"))
    called: list[Any] = []
    rend = salt.loader.render(opts, {"ipalias_wan.react": called.append})

    def rendered(path: Path, tag: Any, data: Any) -> Any:
        called.clear()
        found = salt.template.compile_template(
            str(path),
            rend,
            opts["renderer"],
            opts["renderer_blacklist"],
            opts["renderer_whitelist"],
            tag=tag,
            data=data,
        )
        return found, list(called)

    return rendered


def told(**more: Any) -> dict[str, Any]:
    data = {"transition": IDENT, "uplink": "wan1", "state": "down", "acted": "", "id": "gw1"}
    return {**data, "acknowledge": [IDENT], **more}


def test_the_masters_reaction_goes_to_the_minion_that_told(render: Any) -> None:
    found, _ = render(MASTER_SLS, "salt/beacon/gw1/ipalias_wan/wan1/down", told())
    [[function, arguments]] = found["ipalias-wan-event"].items()
    assert function == "local.ipalias_wan.react"
    assert {"tgt": ["gw1"]} in arguments and {"tgt_type": "list"} in arguments
    assert {"args": {"transitions": [IDENT], "acknowledge": [IDENT]}} in arguments


def test_a_minion_whose_id_is_a_pattern_is_no_pattern(render: Any) -> None:
    found, _ = render(MASTER_SLS, "salt/beacon/*,gw[1]/ipalias_wan/wan1/down", told(id="*,gw[1]"))
    assert {"tgt": ["*,gw[1]"]} in found["ipalias-wan-event"]["local.ipalias_wan.react"]


def test_an_entry_sent_again_within_a_round_needs_no_job(render: Any) -> None:
    tag = "salt/beacon/gw1/ipalias_wan/wan1/down"
    silent = told(acted="monitor")
    del silent["acknowledge"]
    assert render(MASTER_SLS, tag, silent)[0] == {}
    assert render(MASTER_SLS, tag, told(acted="monitor"))[0] != {}
    silent["acted"] = ""
    assert render(MASTER_SLS, tag, silent)[0] != {}, "it may be left to a reaction"


def hostile() -> list[str]:
    """Return 200 texts that would end a string, open a state or a template, or name another."""
    written = [
        "x\nevil:\n  cmd.run:\n    - name: touch /tmp/evil",
        "x'\nevil:\n  local.cmd.run:\n    - tgt: '*'\n",
        "{{ salt['cmd.run']('id') }}",
        "{% set x = opts %}{{ opts }}",
        "!!python/object/apply:os.system ['id']",
        "&a [*a, *a]",
        "*",
        "gw1,gw2",
        "../../etc/passwd",
        "x: |",
        "- x",
        "#!jinja|yaml",
        "#!py",
        "null",
        "",
        " ",
        f"{IDENT}\n",
        f"{IDENT} ",
        f"-{IDENT}",
        "\u2028",
        "\ud800",
        "\uff57\uff41\uff4e1",
        "A" * 10_000,
        "0" * 101,
    ]
    dice = random.Random(6)
    signs = string.punctuation + string.whitespace + "aA1é\0\x1b"
    while len(written) < 200:
        text = "".join(dice.choice(signs) for _ in range(dice.randrange(1, 40)))
        if not model.IDENT.fullmatch(text):
            written.append(text)
    return written


def test_what_a_hostile_minion_puts_into_an_event_gives_no_reaction(render: Any) -> None:
    tag = "salt/beacon/gw1/ipalias_wan/wan1/down"
    texts = hostile()
    assert len(texts) == 200
    for text in texts:
        if text != "null":
            assert render(MASTER_SLS, tag, told(transition=text))[0] == {}, text
            assert render(MASTER_SLS, tag, told(acknowledge=[IDENT, text]))[0] == {}, text
        assert render(MASTER_SLS, tag, told(id=text))[0] == {}, text
        assert render(MASTER_SLS, f"salt/beacon/gw1/ipalias_wan/{text}/down", told())[0] == (
            {} if text != "null" else render(MASTER_SLS, tag, told())[0]
        ), text
        # What only people read may be anything, and goes nowhere.
        found, _ = render(MASTER_SLS, tag, told(reason=text, uplink=text, state=text))
        assert found == render(MASTER_SLS, tag, told())[0]


@pytest.mark.parametrize(
    "data",
    [None, [], "x", {}, {"id": "gw1"}, told(transition=7), told(transition=[IDENT]),
     told(acknowledge=IDENT), told(acknowledge={IDENT: 1}), told(acknowledge=[IDENT] * 201),
     told(id=None), told(id=["gw1"])],
)  # fmt: skip
def test_data_of_another_shape_gives_no_reaction(render: Any, data: Any) -> None:
    assert render(MASTER_SLS, "salt/beacon/gw1/ipalias_wan/wan1/down", data)[0] == {}


def test_one_minion_does_not_speak_for_another(render: Any) -> None:
    assert render(MASTER_SLS, "salt/beacon/gw2/ipalias_wan/wan1/down", told(id="gw1"))[0] == {}


def test_the_minions_own_engine_hands_over_ids_alone(render: Any, tmp_path: Path) -> None:
    path = tmp_path / "reaction.sls"
    path.write_text(reporting.REACTION)
    rows = [
        {"tag": "salt/beacon/gw1/ipalias_wan/wan1/down", "data": told()},
        {"tag": "salt/beacon/gw1/load/", "data": {"1m": 3}},
        {"tag": "salt/beacon/gw1/ipalias_wan/wan2/up", "data": told(transition="b-8")},
    ]
    assert render(path, reporting.RETURNED, {"beacons": rows}) == ({}, [[IDENT, "b-8"]])
    assert render(path, reporting.RETURNED, {"beacons": rows[1:2]}) == ({}, [])
    assert render(path, reporting.RETURNED, {}) == ({}, [])


# --- once -----------------------------------------------------------------------------------


STANDING = Wanted({4: ((Line("wan1", 4), 1), (Line("wan2", 4), 1))}, "both")


def places_of(tmp_path: Path) -> Places:
    return Places(run=str(tmp_path), state=str(tmp_path))


class Kernel:
    """The kernel for both who may change it: the monitor's switch and the reaction's."""

    def __init__(self) -> None:
        self.routes: Wanted | None = None
        self.by: list[str] = []

    def switch(self, who: str) -> Any:
        kernel = self

        class Switch:
            def apply(self, wanted: Wanted, down: Collection[Line] = ()) -> Done:
                changed = kernel.routes is None or kernel.routes.lines != wanted.lines
                kernel.routes = wanted
                if changed:
                    kernel.by.append(who)
                return Done(("set the default route",) if changed else ())

            def reconcile(self) -> Done:
                return Done()

            def forget(self) -> None:
                pass

            def close(self) -> None:
                pass

        return Switch()


class Scene:
    """A monitor's `Actor`, asked over what the socket would carry, and a reaction."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
        self.config: WanConfig = parse_wan({"react": "event", **BLOCK, **more})
        self.kernel = Kernel()
        self.acted: dict[str, str] = {}
        self.actor = Actor(
            self.config, self.kernel.switch("monitor"), self.acted.__setitem__, lambda text: None
        )
        # At the start nothing is left to anybody.
        self.actor.want(STANDING, (), (), 1.0)
        self.kernel.by.clear()
        self.places = places_of(tmp_path)
        monkeypatch.setattr(reaction, "Switch", lambda config, nft: self.kernel.switch("reaction"))

    def ask(self, request: Any) -> dict[str, Any]:
        if request["verb"] == "status":
            return {"left": self.actor.left.data() if self.actor.left else None}
        return {"left": self.actor.reacted(11.0)}

    def react(self, *idents: str) -> dict[str, Any]:
        return reaction.react(self.config, self.places, idents, self.ask)


def test_a_reaction_switches_as_the_monitor_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.actor.want(WANTED, [Line("wan1", 4)], ["a-1"], 10.0)
    answer = scene.react("a-1")
    assert answer["acted"] == ["a-1"] and answer["switched"] and answer["changes"]
    assert scene.kernel.by == ["reaction"] and scene.acted == {"a-1": REACTION}


def test_the_same_event_delivered_twice_acts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """salt#62638 (peers 24), in whatever order, and from several at once."""
    scene = Scene(tmp_path, monkeypatch)
    scene.actor.want(WANTED, [Line("wan1", 4)], ["a-1"], 10.0)
    assert scene.react("a-1")["acted"] == ["a-1"]
    assert scene.react("a-1") == {
        "acted": [],
        "because": "nothing of that is left to a reaction",
    }
    # The monitor has left it once more, as one does that was started anew.
    scene.kernel.routes = None
    scene.actor.want(WANTED, [Line("wan1", 4)], ["a-1"], 12.0)
    assert scene.react("a-1") == {"acted": [], "because": "acted on already"}
    assert scene.kernel.by == ["reaction"]
    assert delivery.has_acted(scene.places, ["a-1", "a-2"]) == ["a-1"]


def test_many_at_once_act_once(tmp_path: Path) -> None:
    places, acts = places_of(tmp_path), []
    threads = [
        threading.Thread(target=delivery.act_once, args=(places, "a-1", lambda: acts.append(1)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acts == [1]


def test_an_event_that_is_made_up_switches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.actor.want(WANTED, [Line("wan1", 4)], ["a-1"], 10.0)
    assert scene.react("a-2", "b-1")["acted"] == []
    assert scene.kernel.by == [] and not Path(scene.places.acted).exists()
    local = Scene(tmp_path, monkeypatch, react="local")
    assert local.react("a-1") == {"acted": [], "because": "react is local"}
    assert reaction.react(None, scene.places, ["a-1"], scene.ask)["acted"] == []


def test_two_lines_that_fail_together_are_one_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.actor.want(WANTED, [Line("wan1", 4)], ["a-1", "a-2"], 10.0)
    assert scene.react("a-1", "a-2")["acted"] == ["a-1", "a-2"]
    assert scene.kernel.by == ["reaction"]
    assert scene.acted == {"a-1": REACTION, "a-2": REACTION}


def test_a_store_that_cannot_be_read_is_not_taken_for_empty(tmp_path: Path) -> None:
    places = places_of(tmp_path)
    Path(places.acted).write_text("{torn")
    acts: list[int] = []
    with pytest.raises(ParseError, match="remove it"):
        delivery.act_once(places, "a-1", lambda: acts.append(1))
    assert acts == []


@pytest.mark.parametrize("data", [7, {}, {"wanted": [[4]], "down": [], "transitions": []}, "x"])
def test_a_monitor_of_another_version_is_told_from_one_with_nothing_to_do(data: Any) -> None:
    with pytest.raises(EffectError, match="restart"):
        reaction.parse_left(data)


@pytest.mark.parametrize("value", [None, 7, "", "a b", ["a-1", 3], ["x"] * 1001, {"a": 1}, "-a"])
def test_what_is_no_id_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"ids at once|not the id"):
        delivery.parse_idents(value, "transitions")
    assert delivery.parse_idents(["a-1", "a-1", "b"], "transitions") == ("a-1", "b")


# --- the minion's configuration -------------------------------------------------------------


def test_local_needs_a_beacon_alone(tmp_path: Path) -> None:
    places = places_of(tmp_path)
    wanted = reporting.reporting(parse_wan(BLOCK), places)
    assert set(wanted.keys) == {"beacons"} and wanted.reaction is None
    assert not reporting.needs_restart(wanted, {"engines": [], "reactor": []}, places)


def test_event_needs_an_engine_and_a_restart_until_it_runs(tmp_path: Path) -> None:
    places = places_of(tmp_path)
    wanted = reporting.reporting(parse_wan({**BLOCK, "react": "event"}), places)
    assert set(wanted.keys) == {"beacons", "beacons_before_connect", "engines", "reactor"}
    assert reporting.needs_restart(wanted, {}, places)
    assert reporting.needs_restart(wanted, {"engines": ["reactor"], "reactor": []}, places)
    assert not reporting.needs_restart(wanted, dict(wanted.keys), places)
    without = reporting.reporting(parse_wan(BLOCK), places)
    assert reporting.needs_restart(without, dict(wanted.keys), places), "the engine has to go"


def test_an_operators_own_reaction_to_the_same_tag_is_no_reason_to_start_anew(
    tmp_path: Path,
) -> None:
    places = places_of(tmp_path)
    own: dict[str, Any] = {
        "engines": ["reactor"],
        "reactor": [{reporting.RETURNED: ["/srv/own.sls"]}, {reporting.RETURNED: "/srv/two.sls"}],
    }
    wanted = reporting.reporting(parse_wan(BLOCK), places)
    assert not reporting.needs_restart(wanted, own, places)
    assert not reporting.needs_restart(reporting.reporting(None, places), own, places)
    event = reporting.reporting(parse_wan({**BLOCK, "react": "event"}), places)
    assert reporting.needs_restart(event, own, places), "nothing runs ours"


def test_a_main_file_with_keys_of_ours_is_not_hidden(tmp_path: Path) -> None:
    wanted = reporting.reporting(parse_wan({**BLOCK, "react": "event"}), places_of(tmp_path))
    with pytest.raises(RefusedError, match=r"beacons, engines.*add there"):
        reporting.beside(wanted, {"beacons": {"load": []}, "engines": ["logstash"]}, "minion")
    given = {
        "beacons": {"load": [], **wanted.keys["beacons"]},
        "engines": {"reactor": {"worker_threads": 3}, "logstash": {}},
        "reactor": [{"x": []}, *wanted.keys["reactor"]],
    }
    assert set(reporting.beside(wanted, given, "minion").keys) == {"beacons_before_connect"}


def test_files_come_and_go_together(tmp_path: Path) -> None:
    places, folder = places_of(tmp_path / "state"), str(tmp_path / "minion.d")
    config = parse_wan({**BLOCK, "react": "event"})
    wanted = reporting.reporting(config, places)
    reporting.write(reporting.changes(wanted, folder, places))
    assert Path(folder, reporting.FILE).read_text() == wanted.text
    assert Path(places.reaction).read_text() == reporting.REACTION
    assert reporting.changes(wanted, folder, places) == {}
    gone = reporting.reporting(None, places)
    reporting.write(reporting.changes(gone, folder, places))
    assert not Path(places.reaction).exists() and not list(Path(folder).iterdir())


def test_where_one_file_cannot_be_written_the_other_is_as_it_was(tmp_path: Path) -> None:
    places, folder = places_of(tmp_path / "state"), tmp_path / "minion.d"
    folder.mkdir()
    (folder / reporting.FILE).mkdir()
    wanted = reporting.reporting(parse_wan({**BLOCK, "react": "event"}), places)
    differing = {str(folder / reporting.FILE): ("", wanted.text), places.reaction: ("", "x")}
    with pytest.raises(EffectError, match="as it was"):
        reporting.write(differing)
    assert not Path(places.reaction).exists()


def test_the_restart_waits_for_the_job_and_is_no_part_of_the_minions_unit() -> None:
    cgroup = "0::/system.slice/salt-minion.service\n"
    assert reporting.service_of(cgroup) == "salt-minion.service"
    assert reporting.service_of("0::/user.slice/user-0.slice/session-3.scope\n") == ""
    argv = reporting.restarting("salt-minion.service", 4242)
    assert argv[0] == "systemd-run" and argv[-3:] == [
        "systemctl", "try-restart", "salt-minion.service",
    ]  # fmt: skip
    assert any("--pid=4242" in word for word in argv)
