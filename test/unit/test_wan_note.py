"""What ifstated's actions write down: the same journal as the monitor's, each change once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rig.bsdlines import block, config
from saltext.ipalias.wan import bsdroutes, note
from saltext.ipalias.wan.model import Line
from saltext.ipalias.wan.record import parse_journal

LIBRARY = Path(note.__file__).parents[3]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Give a folder of our own state with a configuration."""
    (tmp_path / "wan").mkdir()
    text = bsdroutes.render_stored(block(2), ())
    (tmp_path / "wan" / "config.json").write_text(text)
    return tmp_path


def told(state: Path, *words: str) -> int:
    return note.main([note.VERB, str(state), *words])


def journal(state: Path) -> list[tuple[str, str]]:
    path = state / "wan" / "journal"
    text = path.read_text() if path.exists() else ""
    return [(e.line.text(), e.state) for e in parse_journal(text, str(path)).entries]


def test_a_change_is_written_once_and_in_order(state: Path) -> None:
    assert told(state, "wan1=up", "wan2=up") == 0
    assert journal(state) == []
    for _ in range(2):
        assert told(state, "wan1=down", "wan2=up") == 0
    assert told(state, "wan1=up", "wan2=down") == 0
    assert journal(state) == [("wan1", "down"), ("wan1", "up"), ("wan2", "down")]
    entries = parse_journal((state / "wan" / "journal").read_text(), "journal").entries
    assert len({entry.ident for entry in entries}) == 3
    assert {entry.ident.rpartition("-")[2] for entry in entries} == {"1", "2", "3"}
    assert {(entry.acted, entry.bound) for entry in entries} == {("monitor", 50.0)}


def test_behind_a_torn_line_it_begins_a_line_of_its_own(state: Path) -> None:
    told(state, "wan1=down", "wan2=up")
    path = state / "wan" / "journal"
    path.write_text(path.read_text()[:-20])
    assert told(state, "wan1=down", "wan2=up") == 0
    assert journal(state) == [("wan1", "down")]


@pytest.mark.parametrize("words", [("wan1",), ("wan1=away",), ("wan1/4=up",), ("=up",)])
def test_other_words_are_refused_and_nothing_is_written(
    state: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(state, *words) == 2
    assert "usage" in capsys.readouterr().err and journal(state) == []


def test_without_a_configuration_it_fails_and_writes_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, "wan1=down") == 1
    assert not (tmp_path / "wan").exists()


def test_a_line_that_is_no_longer_configured_is_still_noted() -> None:
    moment = note.Moment(1.0, 2.0, "boot-1")
    (entry,) = note.transitions((), [(Line("old", 4), "down")], config(2), moment)
    assert (entry.ident, entry.bound) == ("boot-1-1", 0.0)


def test_it_needs_nothing_that_only_linux_has() -> None:
    code = "import sys, saltext.ipalias.wan.note; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name for name in done.stdout.split() if name.startswith("saltext.ipalias.wan.")}
    assert not {f"saltext.ipalias.wan.{name}" for name in ("netlink", "rtnl", "monitor")} & ours
