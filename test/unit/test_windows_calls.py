"""What Windows' own calls want of the executor, as far as another system can show it."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
from pathlib import Path

import pytest

from saltext.ipalias import disk, platforms, processes
from saltext.ipalias.effects import FileState
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import SYSTEMS
from saltext.ipalias.paths import Paths
from saltext.ipalias.system import RealHost, lock

FOLDER = "C:/ProgramData/ipalias"


def test_a_file_is_opened_for_writing_to_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FlushFileBuffers wants GENERIC_WRITE; of a file open for reading it is EBADF."""
    path, opened, real = str(tmp_path / "file"), [0], os.open
    Path(path).touch()

    def watched(name: str, flags: int) -> int:
        opened.append(flags)
        return real(name, flags)

    monkeypatch.setattr(os, "open", watched)
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        disk.sync(path)
        disk.sync(str(tmp_path))
    assert [flags & os.O_RDWR for flags in opened[1:]] == [os.O_RDWR]


def test_paths_come_back_with_the_slash_that_they_were_asked_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no name of a record is known again, and no folder found in a path."""
    path = str(tmp_path / "file")
    Path(path).write_text("text\n")
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(glob, "glob", lambda pattern: [f"{FOLDER}\\open-1.json"])
    monkeypatch.setattr(os.path, "realpath", lambda name: name.replace("/", "\\"))
    assert RealHost().glob(f"{FOLDER}/*.json") == [f"{FOLDER}/open-1.json"]
    state = disk.read_state(path)
    assert isinstance(state, FileState)
    assert state.real_path == path


def test_a_process_is_ended_where_there_is_no_kill_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There `os.kill` ends a process by any signal, and the module has no SIGKILL."""
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        started = processes.start_time(sleeper.pid)
        try:
            with monkeypatch.context() as windows:
                windows.delattr(signal, "SIGKILL")
                processes.end_process(sleeper.pid, started)
        finally:
            sleeper.kill()
        assert sleeper.wait(10) == -signal.SIGTERM


def test_the_folder_of_state_is_closed_to_all_but_administrators() -> None:
    """What lies under ProgramData lets every user put files into it."""
    ((program, folder, *words),) = platforms.closing("windows", FOLDER)
    assert (program, folder) == ("icacls", "C:\\ProgramData\\ipalias")
    assert words[0] == "/inheritance:r"
    granted = [word for word in words if word.startswith("*")]
    assert granted == ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]
    assert not any(platforms.closing(name, "/x") for name in SYSTEMS if name != "windows")


def test_it_is_closed_when_it_is_made_and_else_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, state = tmp_path / "calls", tmp_path / "state"
    line = f"echo once >> {calls}; test -e {tmp_path}/ok"
    monkeypatch.setattr(platforms, "closing", lambda *_: [["sh", "-c", line]])
    with pytest.raises(EffectError, match="closed to others"), lock(Paths(str(state)), "test"):
        raise AssertionError
    assert not state.exists()
    (tmp_path / "ok").touch()
    for _ in range(2):
        with lock(Paths(str(state)), "test"):
            assert state.is_dir()
    assert calls.read_text() == "once\nonce\n"
