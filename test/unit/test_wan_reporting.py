"""`report` of the execution module, over files of a minion and what a minion is asked to do."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from saltext.ipalias import paths, platforms, system
from saltext.ipalias.wan import reporting
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.places import Places

ROOT = Path(__file__).parents[2]
WAN: dict[str, Any] = {
    "react": "event",
    "uplinks": {
        "wan1": {"interface": "wan1", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "wan2", "gateway": "192.0.2.65", "targets": ["203.0.113.8"]},
    },
}


class Minion:
    """A minion that runs: its configuration, and what its beacons are told."""

    def __init__(self, module: ModuleType, folder: Path) -> None:
        self.module, self.folder = module, folder
        self.main = folder / "minion"
        self.conf = folder / "minion.d" / reporting.FILE
        self.places = Places(state=f"{folder}/state/wan")
        self.told: list[tuple[str, Any]] = []
        (folder / "minion_event_1_pull.ipc").touch()
        self.keys = dict(reporting.reporting(parse_wan(WAN), self.places).keys)
        self.run_with({})

    def run_with(self, keys: dict[str, Any]) -> None:
        """Let the minion run with keys in its main file."""
        self.main.write_text(json.dumps(keys))
        own = {"conf_file": str(self.main), "sock_dir": str(self.folder)}
        self.module.__opts__ = {**own, **keys}  # type: ignore[attr-defined]

    def report(self, wan: dict[str, Any] | None = None) -> dict[str, Any]:
        self.told.clear()
        self.module.__pillar__ = {"ipalias": {"wan": wan or WAN}}  # type: ignore[attr-defined]
        answer: dict[str, Any] = self.module.report()
        return answer


@pytest.fixture
def minion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Minion:
    spec = importlib.util.spec_from_file_location("reported", ROOT / "_modules/ipalias_wan.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    library = lambda self, name: importlib.import_module(f"saltext.ipalias.{name}")  # noqa: E731
    module._shared().Formula.library = library
    module._service = lambda formula, reporting: ""
    monkeypatch.setattr(system, "is_root", lambda: True)
    usual = paths.Paths(f"{tmp_path}/state", f"{tmp_path}/frozen")
    monkeypatch.setattr(paths, "paths_of", lambda name: usual)
    monkeypatch.setattr(platforms, "system", lambda: "linux")
    made = Minion(module, tmp_path)

    def beacons(verb: str) -> Any:
        def call(name: str, *values: Any) -> dict[str, Any]:
            made.told.append((verb, name))
            return {"result": True, "comment": ""}

        return call

    module.__salt__ = {f"beacons.{verb}": beacons(verb) for verb in ("add", "modify", "delete")}
    return made


def test_a_minion_gets_the_beacon_and_loses_it(minion: Minion) -> None:
    assert minion.report()["changes"]["files"].keys() == {
        str(minion.conf),
        minion.places.reaction,
    }
    assert minion.told == [("add", "ipalias_wan")]
    minion.run_with(minion.keys)
    minion.main.write_text("{}")
    assert minion.report()["changes"] == {} and minion.told == []
    assert minion.module.unreport()["result"] is True  # type: ignore[attr-defined]
    assert minion.told == [("delete", "ipalias_wan")] and not minion.conf.exists()


def test_keys_that_move_into_the_main_file_leave_the_running_beacon_alone(minion: Minion) -> None:
    """What the refusal tells an operator to do; nothing has to be started anew for it."""
    minion.report()
    minion.run_with(minion.keys)
    answer = minion.report()
    assert set(answer["changes"]["files"]) == {str(minion.conf)} and not minion.conf.exists()
    assert minion.told == [("modify", "ipalias_wan")]
    assert "anew" not in answer["comment"]
    assert minion.report()["changes"] == {} and minion.told == []
