"""The beacon: what it sends, how often, and until when; over the real journal and its files."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from saltext.ipalias.errors import EffectError
from saltext.ipalias.wan import delivery, record, service, writer
from saltext.ipalias.wan.model import Line, Transition
from saltext.ipalias.wan.places import Places

ROOT = Path(__file__).parents[2]


def transition(number: int, state: str = "down", uplink: str = "wan1") -> Transition:
    return Transition(
        f"boot-{number}", Line(uplink, 4), state, 1e9 + number, number, "why", 0.2, 1.0
    )


class Scene:
    """A beacon, the monitor's files, a clock that is set, and a master that answers when told."""

    def __init__(self, beacon: ModuleType, folder: Path) -> None:
        self.places = Places(run=str(folder), state=str(folder))
        self.beacon = beacon
        self.config = [{"interval": 1}, {"folder": str(folder)}, {"_beacon_name": "ipalias_wan"}]
        self.now = 1000.0
        self.asked = 0
        beacon.__salt__ = {"ipalias_wan.pending": self.pending}
        beacon.time = self

    def monotonic(self) -> float:
        return self.now

    def pending(self, limit: int) -> dict[str, Any]:
        self.asked += 1
        return delivery.pending(self.places, limit)

    def write(self, *entries: Transition) -> None:
        writer.append(self.places.journal, "".join(map(record.render_entry, entries)))

    def round(self, seconds: float = 1.0) -> list[str]:
        """Return the ids of the events of the next round."""
        self.now += seconds
        self.events = self.beacon.beacon(self.config)
        return [event["transition"] for event in self.events]

    def answer(self, *numbers: int) -> None:
        delivery.note_received(self.places, [f"boot-{number}" for number in numbers])


@pytest.fixture
def beacon() -> ModuleType:
    path = ROOT / "_beacons/ipalias_wan.py"
    spec = importlib.util.spec_from_file_location("beacon_under_test", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scene(beacon: ModuleType, tmp_path: Path) -> Iterator[Scene]:
    yield Scene(beacon, tmp_path)


def test_it_needs_nothing_of_ours_to_be_loaded() -> None:
    text = (ROOT / "_beacons/ipalias_wan.py").read_text()
    assert "saltext" not in text and "__salt__" in text


def test_an_event_has_the_line_in_its_tag_and_leaves_the_minion_its_id(scene: Scene) -> None:
    scene.write(transition(1))
    assert scene.round() == ["boot-1"]
    [event] = scene.events
    assert event["tag"] == "wan1/down" and event["acknowledge"] == ["boot-1"]
    assert "id" not in event, "Salt puts the minion's there"
    assert {"uplink", "family", "state", "at", "reason", "outage", "bound"} <= event.keys()


def test_without_a_journal_nothing_is_said(scene: Scene) -> None:
    assert scene.round() == [] and scene.round() == []
    assert scene.asked == 1, "nothing is read while nothing changes"


def test_it_is_sent_again_ever_more_slowly_until_the_master_answers(scene: Scene) -> None:
    scene.write(transition(1))
    sent = [second for second in range(200) if scene.round()]
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert gaps[0] == 5 and gaps == sorted(gaps) and gaps[-1] == 30
    scene.answer(1)
    assert [scene.round() for _ in range(100)] == [[]] * 100


def test_what_is_new_does_not_wait_for_what_is_owed(scene: Scene) -> None:
    scene.write(*(transition(number) for number in range(1, 1001)))
    first = scene.round()
    assert len(first) == 100 and "boot-1000" in first, "the oldest and the newest"
    assert scene.round() == []
    scene.write(transition(1001, "up"))
    assert scene.round() == ["boot-1001"]


def test_a_thousand_entries_come_in_windows_as_the_master_answers(scene: Scene) -> None:
    scene.write(*(transition(number) for number in range(1, 1001)))
    received: list[str] = []
    rounds = 0
    while delivery.pending(scene.places, 1)["owed"]:
        rounds += 1
        ids = scene.round()
        assert len(ids) <= 100 and len(json.dumps(scene.events)) < 1 << 20
        received += ids
        if ids:
            answers = [event.get("acknowledge") for event in scene.events]
            assert answers[:-1] == [None] * (len(ids) - 1) and answers[-1] == ids
            delivery.note_received(scene.places, answers[-1])
        assert rounds < 60
    assert sorted(received) == sorted(f"boot-{number}" for number in range(1, 1001))


def test_nothing_is_lost_when_events_are(scene: Scene) -> None:
    """The line to the master is down, and Salt drops what beacons say meanwhile."""
    scene.write(*(transition(number) for number in range(1, 8)))
    got: set[str] = set()
    sendings = 0
    while delivery.pending(scene.places, 1)["owed"]:
        ids = scene.round()
        sendings += bool(ids)
        if ids and sendings % 3 == 0:
            got |= set(ids)
            delivery.note_received(scene.places, ids)
        assert scene.now < 2000
    assert sendings == 3
    assert got == {f"boot-{number}" for number in range(1, 8)}


def test_a_minion_that_starts_anew_sends_what_is_owed_and_no_more(
    scene: Scene, beacon: ModuleType
) -> None:
    scene.write(*(transition(number) for number in range(1, 6)))
    scene.round()
    scene.answer(1, 2, 4)
    beacon._state = beacon._State()
    assert scene.round() == ["boot-3", "boot-5"]


def test_rotation_keeps_what_is_owed_and_the_beacon_goes_on(scene: Scene) -> None:
    entries = [transition(number) for number in range(1, 3001)]
    scene.write(entries[0])
    scene.round()
    text = "".join(map(record.render_entry, entries)) + "\n" * (record.ROTATE_AT)
    writer.replace(scene.places.journal, text)
    scene.answer(*range(2, 3001))
    service.rotate(scene.places, scene.places.journal)
    assert os.path.getsize(scene.places.journal) < record.ROTATE_AT
    assert len(delivery.read_entries(scene.places)) == record.KEPT + 1
    assert scene.round(60) == ["boot-1"]
    scene.answer(1)
    assert delivery.pending(scene.places, 5) == {"owed": 0, "oldest": [], "newest": []}


def test_an_acknowledgement_of_nothing_changes_nothing(scene: Scene) -> None:
    scene.write(transition(1), transition(2))
    assert delivery.note_received(scene.places, ["boot-9", "x"]) == {"noted": [], "owed": 2}
    assert not os.path.exists(scene.places.position)
    assert delivery.note_received(scene.places, ["boot-2", "boot-2"])["owed"] == 1
    assert delivery.note_received(scene.places, ["boot-2"]) == {"noted": [], "owed": 1}


def test_a_torn_last_line_is_passed_over_until_it_is_whole(scene: Scene) -> None:
    whole = record.render_entry(transition(1))
    Path(scene.places.journal).write_text(whole + whole.replace("boot-1", "boot-2")[:40])
    assert scene.round() == ["boot-1"]
    Path(scene.places.journal).write_text(whole + whole.replace("boot-1", "boot-2"))
    assert scene.round() == ["boot-2"]


def test_what_cannot_be_read_is_no_event_each_second(scene: Scene) -> None:
    newer = record.render_entry(transition(1)).replace('"schema":1', '"schema":99')
    Path(scene.places.journal).write_text(newer)
    assert [scene.round() for _ in range(20)] == [[]] * 20
    assert scene.asked == 1
    scene.round(60)
    assert scene.asked == 2


def test_a_journal_that_is_none_is_an_error_of_ours_and_no_event(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Path(scene.places.journal)
    journal.mkdir()
    for call in (delivery.read_entries, lambda places: delivery.note_received(places, ["a"])):
        with pytest.raises(EffectError, match="journal: cannot be read: Is a directory"):
            call(scene.places)
    assert scene.round() == [] and "Is a directory" in caplog.text
    journal.rmdir()
    os.mkfifo(journal)
    assert scene.round() == [], "and a pipe is waited for by nobody"
    journal.unlink()
    scene.write(transition(1))
    assert scene.round() == ["boot-1"]


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EffectError, match="its folder cannot be made"):
        delivery.claim(Places(state=str(tmp_path / "file/wan")), "a-1")


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({}, "list"),
        (["folder"], "list"),
        ([{"folder": "wan"}], "absolute"),
        ([{"folder": 3}], "absolute"),
        ([{"targets": []}], "targets"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    beacon: ModuleType, config: Any, word: str
) -> None:
    valid, said = beacon.validate(config)
    assert not valid and word in said


def test_what_the_state_writes_is_a_valid_configuration(beacon: ModuleType) -> None:
    from saltext.ipalias.wan.reporting import beacon_of

    assert beacon.validate(beacon_of(Places())) == (True, "Valid beacon configuration")
    assert beacon.validate([])[0], "without anything it reads the usual folder"
    assert beacon_of(Places())[1]["folder"] == beacon.FOLDER


ASK = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("asked", sys.argv[1] + "/_modules/ipalias_wan.py")
asked = importlib.util.module_from_spec(spec)
asked.__opts__, asked.__pillar__ = {"utils_dirs": [sys.argv[1] + "/_utils"]}, {}
spec.loader.exec_module(asked)
formula = asked._formula()
places = formula.library("wan.places").Places(run=sys.argv[2], state=sys.argv[2])
asked._places = lambda: (formula, places)
asked.pending(1)
loaded = {name for name in sys.modules if name.startswith("saltext.ipalias")}
config = formula.library("wan.reports").config_if_any(places)
formula.library("wan.reaction").react(config, places, ["boot-1"])
print(*sorted({name for name in sys.modules if name.startswith("saltext.ipalias")} - loaded))
"""


@pytest.mark.parametrize("event", [True, False])
def test_what_a_reaction_needs_is_loaded_before_there_is_one(tmp_path: Path, event: bool) -> None:
    """By the process that a job is a fork of; where nobody reacts, nothing is."""
    if event:
        Path(Places(run=str(tmp_path), state=str(tmp_path)).reaction).write_text("#!py\n")
    argv = [sys.executable, "-c", ASK, str(ROOT), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert bool(done.stdout.split()) is not event, done.stdout
