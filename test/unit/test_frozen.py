"""The frozen copy: whole, named after its content, and found out when it was tampered with."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from saltext.ipalias import bootunit, freeze, frozen, platforms, processes
from saltext.ipalias.bootunit import BootUnit, Program, render_systemd
from saltext.ipalias.frozen import CURRENT, PACKAGE, RUN, SUMS, damaged, make_copy
from saltext.ipalias.journal import OPEN, Part, Record, render_record
from saltext.ipalias.model import Evidence
from saltext.ipalias.paths import Paths

SOURCES = {"__init__.py": "", "a.py": "x = 1\n", "text/b.py": "y = '\u00e9'\n"}


def test_a_copy_holds_everything_and_its_sums() -> None:
    copy = make_copy("1.2.3", SOURCES)
    assert set(copy.files) == {RUN, SUMS, *(f"{PACKAGE}/{path}" for path in SOURCES)}
    for line in copy.files[SUMS].splitlines():
        digest, _, path = line.partition("  ")
        assert hashlib.sha256(copy.files[path].encode()).hexdigest() == digest
    assert damaged(copy.files[SUMS], copy.files) == []


def test_its_name_is_the_version_and_the_content() -> None:
    name = make_copy("1.2.3", SOURCES).name
    assert name.startswith("1.2.3-")
    assert make_copy("1.2.3", dict(reversed(SOURCES.items()))).name == name
    assert make_copy("1.2.3", {**SOURCES, "a.py": "x = 2\n"}).name != name
    assert make_copy("1.2.4", SOURCES).name != name


@pytest.mark.parametrize("text", [None, "", "x = 1", "x = 1\n\n", "x = 2\n"])
def test_a_file_that_was_changed_or_is_gone_is_named(text: str | None) -> None:
    copy = make_copy("1", SOURCES)
    assert damaged(copy.files[SUMS], {**copy.files, f"{PACKAGE}/a.py": text}) == [f"{PACKAGE}/a.py"]


def test_the_unit_waits_for_its_disk_and_comes_before_the_network() -> None:
    unit = render_systemd(
        Program("/opt/python/bin/python3", "/usr/local/lib/ipalias", "/var/lib/ipalias")
    )
    lines = unit.splitlines()
    assert "RequiresMountsFor=/var/lib/ipalias /usr/local/lib/ipalias /opt/python/bin" in lines
    assert "After=systemd-remount-fs.service" in lines
    before = [line for line in lines if line.startswith("Before=network-pre.target")]
    for service in ("networking", "systemd-networkd", "NetworkManager"):
        assert f"{service}.service" in before[0].split("=")[1].split()
    for left in ("open-*.json", ".*.ipalias-new", "*/.*.ipalias-new"):
        assert f"ConditionPathExistsGlob=|/var/lib/ipalias/{left}" in lines
    assert (
        "ExecStart=/opt/python/bin/python3 -I /usr/local/lib/ipalias/current/run.py"
        " boot /var/lib/ipalias" in lines
    )


# On a real disk


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr(platforms, "init", lambda name, is_folder: "")
    return Paths(str(tmp_path / "state"), str(tmp_path / "frozen"))


def contents(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_whole_library_is_frozen_and_runs_on_its_own(paths: Paths, tmp_path: Path) -> None:
    folder = freeze.freeze(paths)
    assert folder is not None
    assert os.path.realpath(f"{paths.frozen}/{CURRENT}") == folder
    sources = {p: t for p, t in contents(folder).items() if p.startswith(PACKAGE)}
    library = Path(frozen.__file__).parent
    assert sources == {
        f"{PACKAGE}/{p.relative_to(library)}": p.read_bytes() for p in library.rglob("*.py")
    }
    # Isolated, with nothing of ours on the path and no Salt: a boot with nothing to do.
    argv = [*freeze.program(folder), "boot", str(tmp_path / "nothing")]
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_whole_copy_is_left_as_it_is(paths: Paths) -> None:
    folder = freeze.freeze(paths)
    number = os.stat(str(folder)).st_ino
    assert freeze.freeze(paths) == folder
    assert os.stat(str(folder)).st_ino == number


@pytest.mark.parametrize("how", ["changed", "gone", "sums"])
def test_a_copy_that_was_tampered_with_is_made_anew(paths: Paths, how: str) -> None:
    folder = str(freeze.freeze(paths))
    whole = contents(folder)
    victim = Path(folder) / (SUMS if how == "sums" else f"{PACKAGE}/recover.py")
    if how == "gone":
        victim.unlink()
    else:
        victim.write_text(victim.read_text() + "# and more\n")
    assert contents(folder) != whole
    assert freeze.freeze(paths) == folder
    assert contents(folder) == whole
    assert sorted(os.listdir(paths.frozen)) == sorted([CURRENT, os.path.basename(folder)])


def test_a_full_disk_keeps_no_part_of_a_copy(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is another process, and would leave one more."""
    write, written = freeze._write, []

    def full(path: str, *rest: object) -> None:
        if len(written) % 4 == 3:
            written.append("refused")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *rest)  # type: ignore[arg-type]
        written.append(path)

    monkeypatch.setattr(freeze, "_write", full)
    assert freeze.freeze(paths) is None
    assert written.count("refused") == 2
    assert (os.listdir(paths.frozen), os.listdir(f"{paths.state}/frozen")) == ([], [])


def test_a_new_version_switches_and_the_old_one_stays(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead man of the version before may still load from it."""
    old = str(freeze.freeze(paths))
    monkeypatch.setattr(freeze, "__version__", "99.0")
    new = str(freeze.freeze(paths))
    assert new != old
    assert os.path.isdir(old)
    assert os.path.realpath(f"{paths.frozen}/{CURRENT}") == new


def test_where_the_usual_folder_cannot_be_written_the_state_folder_serves(
    paths: Paths, tmp_path: Path
) -> None:
    (tmp_path / "frozen").write_text("a file, and no folder\n")
    folder = freeze.freeze(paths)
    assert folder is not None
    assert folder.startswith(f"{paths.state}/frozen/")


def test_without_an_interpreter_there_is_no_copy(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert freeze.freeze(paths) is None


@pytest.fixture
def registering(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the system take a boot unit by a command that works where there is a file ``ok``."""
    script = tmp_path / "take"
    script.write_text(f"#!/bin/sh\necho once >> {tmp_path}/calls\ntest -e {tmp_path}/ok\n")
    script.chmod(0o755)
    unit = BootUnit(str(tmp_path / "unit"), "text\n", str(tmp_path), register=((str(script),),))
    monkeypatch.setattr(platforms, "init", lambda name, is_folder: "openbsd")
    monkeypatch.setitem(bootunit.UNITS, "openbsd", lambda program: unit)
    os.makedirs(paths.state)
    return tmp_path


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_a_boot_unit_that_the_system_did_not_take_is_given_to_it_again(
    paths: Paths, registering: Path
) -> None:
    """Its file is there already, and yet nothing would run at boot."""
    assert freeze.freeze(paths) is not None
    assert freeze.freeze(paths) is not None
    assert calls(registering) == 2
    (registering / "ok").touch()
    for _ in range(3):
        assert freeze.freeze(paths) is not None
    assert calls(registering) == 3


@pytest.mark.parametrize("how", [subprocess.TimeoutExpired("take", 30), FileNotFoundError("take")])
def test_a_system_that_takes_no_boot_unit_has_a_dead_man_all_the_same(
    paths: Paths, registering: Path, monkeypatch: pytest.MonkeyPatch, how: Exception
) -> None:
    def hangs(*_: object) -> None:
        raise how

    monkeypatch.setattr(processes, "run", hangs)
    folder = freeze.freeze(paths)
    assert folder is not None
    assert folder.startswith(paths.frozen)


#: Tells which modules of the copy a dead man loads only when he has said that he is armed.
LATE = """
import sys
sys.path.insert(0, sys.argv[1])
from ipalias_frozen import disk, journal, outlive, paths, processes
there = set()
disk.say = lambda path, text: there.update(sys.modules)
processes.log = lambda text: None
processes.end_apart = lambda *words: None
outlive.guard(paths.Paths(sys.argv[2]), "7")
print(*sorted(name for name in set(sys.modules) - there if name.startswith("ipalias_frozen")))
"""


def test_a_dead_man_that_is_armed_loads_nothing_more(paths: Paths) -> None:
    """His copy may be out of reach by then, and a file system that hangs is no way back."""
    folder = str(freeze.freeze(paths))
    evidence = Evidence("networkd", "none0", True)
    record = Record(
        "7", "x", deadline=0.0, parts=(Part("none0", "networkd", evidence, quiet=True),)
    )
    os.makedirs(paths.state, exist_ok=True)
    Path(paths.record(OPEN, "7")).write_text(render_record(record))
    argv = [sys.executable, "-I", "-c", LATE, folder, paths.state]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
