"""``state.apply ipalias`` on every platform: the whole path, on a simulated host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.simengine import fit
from rig.simnm import OWNERS
from saltext.ipalias import platforms
from saltext.ipalias.backends import load

ROOT = Path(__file__).parents[2]
ITEMS: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11", "label": "fo1"},
    "2001:db8:1::10",
]


class SimMinion:
    """A minion's process on a simulated host."""

    def __init__(self, dialect: str, folder: Path) -> None:
        program = str(ROOT / "test/functional/sim_minion.py")
        self.process = subprocess.Popen(
            [sys.executable, program, str(ROOT), str(folder), dialect],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pillar: dict[str, Any] = {}

    def ask(self, *request: Any) -> Any:
        """Return what a request gives, or raise what it was refused with."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline() or '{"error": "the process has died"}')
        assert "error" not in said, said["error"]
        return said["value"]

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call an execution function."""
        return self.ask(name, arguments, named, {"ipalias": self.pillar})

    def apply(self, sls: str = "ipalias", **named: Any) -> dict[str, Any]:
        """Run ``state.apply`` and return what each state said, by id."""
        ran = self.call("state.apply", sls, **named)
        assert isinstance(ran, dict), ran
        return {ret["__id__"]: ret for ret in ran.values()}

    def own_files(self) -> dict[str, Any]:
        """Return the host's files but for the originals that are kept of them."""
        files: dict[str, Any] = self.ask("rig", "files")
        # In the tree a drive stands below the root like any folder.
        state = [f"/{folder.lstrip('/')}/" for folder in platforms.STATE.values()]
        # The folders that lead there are made where they are missing, too.
        return {
            path: node
            for path, node in files.items()
            if not any(f"{path}/".startswith(own) or own.startswith(f"{path}/") for own in state)
        }

    def host(self) -> dict[str, Any]:
        """Return files and addresses of the host."""
        return {what: self.ask("rig", what) for what in ("files", "addresses", "ledger")}


@pytest.fixture(params=sorted(OWNERS))
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SimMinion]:
    minion = SimMinion(request.param, tmp_path)
    minion.pillar = {"interfaces": {"eth0": {"addresses": fit(request.param, ITEMS)}}}
    yield minion
    minion.process.stdin.close()
    assert minion.process.wait(60) == 0


def test_a_highstate_brings_shows_keeps_and_takes_away(platform: SimMinion) -> None:
    before, own = platform.host(), platform.own_files()
    shown = platform.apply(test=True)
    assert shown["ipalias-alias-eth0"]["result"] is None, shown
    assert platform.host() == before
    ran = platform.apply()
    assert all(ret["result"] is True for ret in ran.values()), ran
    assert [name for name in ran if "platform" in name] == ["ipalias-platform-service"]
    assert ran["ipalias-alias-eth0"]["changes"] == shown["ipalias-alias-eth0"]["changes"]
    live = json.dumps(platform.host()["addresses"])
    wanted = [item if isinstance(item, str) else item["address"] for item in ITEMS]
    known = json.dumps(platform.pillar)
    for address in (address for address in wanted if address in known):
        assert address in live
    after = platform.host()
    again = platform.apply()
    assert not any(ret["changes"] for ret in again.values()), again
    assert platform.host() == after
    assert platform.call("ipalias.verify")["result"] is True
    gone = platform.apply("ipalias.clean")
    assert all(ret["result"] is True for ret in gone.values()), gone
    assert platform.host()["addresses"] == before["addresses"]
    assert platform.own_files() == own


def test_an_alias_by_hand_stays_through_a_highstate(platform: SimMinion) -> None:
    told = platform.call("ipalias.add", "198.51.100.77")
    assert told["result"] is True, told
    platform.apply()
    rows = platform.call("ipalias.diff")
    states = {row["address"]: row["state"] for row in rows}
    assert states["198.51.100.77/32"] == "extra"
    assert platform.call("ipalias.remove", "198.51.100.77")["result"] is True
    assert "198.51.100.77" not in json.dumps(platform.host()["addresses"])


def test_it_says_who_owns_the_interface(platform: SimMinion, request: Any) -> None:
    dialect = request.node.callspec.params["platform"]
    told = platform.call("ipalias.detect", "eth0")
    assert told["eth0"]["owner"] == dialect
    assert dialect == load(dialect).NAME
