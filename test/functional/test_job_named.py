"""Whoever waits in vain for the lock is told which job holds it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import salt.payload

from saltext.ipalias import paths, system
from saltext.ipalias.errors import RefusedError

SHARED = Path(__file__).parents[2] / "_modules/_ipalias.py"


def thin(tmp_path: Path) -> Any:
    """Return what the modules share, for one job of this process."""
    spec = importlib.util.spec_from_file_location("shared", SHARED)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/torn").write_bytes(b"\xc1")
    return module.Formula({"cachedir": str(tmp_path)}, {})


def note(tmp_path: Path, job: str, pid: int) -> None:
    (tmp_path / "proc" / job).write_bytes(salt.payload.dumps({"pid": pid, "jid": job}))


def test_the_job_of_this_process_is_found_among_others(tmp_path: Path) -> None:
    module = thin(tmp_path)
    note(tmp_path, "20260102030405000001", 1)
    assert module.job() == ""
    note(tmp_path, "20260102030405000002", os.getpid())
    assert module.job() == ", job 20260102030405000002"


def test_who_waits_in_vain_is_told_the_job(tmp_path: Path) -> None:
    module = thin(tmp_path)
    note(tmp_path, "20260102030405000002", os.getpid())
    places = paths.Paths(str(tmp_path / "state"))
    with (
        system.lock(places, f"ipalias.add{module.job()}"),
        pytest.raises(RefusedError, match=r"ipalias\.add, job 20260102030405000002 \(pid \d+, for"),
        system.lock(places, "ipalias.remove", timeout=0),
    ):
        pass
