"""Processes named for ever, clocks that no one sets, and the one lock, among real processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from saltext.ipalias import disk, guarded, outlive, platforms, processes
from saltext.ipalias.effects import Effects
from saltext.ipalias.errors import EffectError, RefusedError
from saltext.ipalias.journal import OPEN, Record, render_record
from saltext.ipalias.paths import Paths

CONTEXT = multiprocessing.get_context("fork")


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        started = processes.start_time(sleeper.pid)
        assert started > 0
        assert processes.is_alive(sleeper.pid, started)
        assert not processes.is_alive(sleeper.pid, started + 1)
        sleeper.kill()
        # Not yet waited for: a zombie runs no more.
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert processes.start_time(sleeper.pid) == 0
        assert not processes.is_alive(sleeper.pid, started)
    assert not processes.is_alive(sleeper.pid, started)
    assert not processes.is_alive(0, 0)


def test_nobody_waits_for_what_a_program_started_apart_writes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ctrun -l none` leaves at once, and the dead man has its output."""
    told, ended = tmp_path / "pid", tmp_path / "ended"
    line = f"{{ sleep 5; echo > {ended}; }} & echo $! > {told}"
    monkeypatch.setattr(platforms, "apart", lambda *_: [["sh", "-c", line]])
    assert processes.start_apart(["/none"], "x", {"PATH": os.environ["PATH"]}, str(tmp_path))
    assert not ended.exists()
    os.kill(int(told.read_text()), 9)


def test_a_service_manager_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held meanwhile; a session of its own does as well."""
    monkeypatch.setattr(processes, "ANSWER", 0.1)
    assert not processes.succeeds(["sleep", "600"], {"PATH": os.environ["PATH"]})


def test_what_is_left_of_a_start_apart_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a start that fails half way, and by the dead man himself when he ends."""
    told = tmp_path / "names"
    monkeypatch.setattr(platforms, "apart", lambda *_: [["true"], ["false"]])
    line = ["sh", "-c", f'echo "$0" >> {told}']
    monkeypatch.setattr(platforms, "apart_ended", lambda by, name: [[*line, name]])
    environment = {"PATH": os.environ["PATH"]}
    assert processes.start_apart(["true"], "first", environment, str(tmp_path))
    assert told.read_text() == "first\n"
    state = tmp_path / "state"
    state.mkdir()
    path = Paths(str(state)).record(OPEN, "7")
    Path(path).write_text(render_record(Record("7", "x", deadline=0.0)))
    monkeypatch.setattr(outlive, "_put_back", lambda *_: outlive.RESTORED)
    assert outlive.main(["guard", str(state), "7"]) == outlive.RESTORED
    assert told.read_text() == "first\nipalias-guard-7\n"


@pytest.mark.parametrize("somebody_was_quicker", [False, True])
def test_a_dead_man_puts_back_though_the_disk_has_become_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody_was_quicker: bool
) -> None:
    """The kernel can be put back, and that is what the host is reached by."""
    paths, put = Paths(str(tmp_path)), []
    (tmp_path / "lock").touch()
    say, end, opened, unlink = disk.say, processes.end_process, os.open, os.unlink

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def read_alone(path: str, flags: int, *rest: int, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refused()
        return opened(path, flags, *rest, **more)

    def remounted(path: str, text: str) -> None:
        say(path, text)
        monkeypatch.setattr(os, "rename", refused)
        monkeypatch.setattr(os, "open", read_alone)
        monkeypatch.setattr(os, "unlink", refused)

    def ended(pid: int, started: int) -> None:
        end(pid, started)
        if somebody_was_quicker:
            unlink(paths.record(OPEN, "7"))

    def recover(record: Record, *_: object, **__: object) -> Effects[list[str]]:
        put.append(record.id)
        return []
        yield

    monkeypatch.setattr(disk, "say", remounted)
    monkeypatch.setattr(processes, "end_process", ended)
    said: list[str] = []
    monkeypatch.setattr(processes, "log", said.append)
    monkeypatch.setattr(guarded, "recover", recover)
    with subprocess.Popen(["sleep", "600"]) as hanging:
        record = Record("7", "x", hanging.pid, processes.start_time(hanging.pid), deadline=0.0)
        Path(paths.record(OPEN, "7")).write_text(render_record(record))
        code = outlive.guard(paths, "7")
        assert hanging.wait() == -signal.SIGKILL
    monkeypatch.undo()
    known = (outlive.COMMITTED, []) if somebody_was_quicker else (outlive.IN_PART, ["7"])
    assert (code, put) == known
    # The record stays, and the next boot puts the files back.
    assert [line for line in said if "Read-only file system" in line] == said
    assert bool(said) is not somebody_was_quicker
    assert os.path.exists(paths.record(OPEN, "7")) is not somebody_was_quicker


def test_a_definition_lies_there_until_the_system_has_taken_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed to others, for it says what SYSTEM shall run; gone also where it is refused."""
    state, seen = tmp_path / "state", tmp_path / "seen"
    state.mkdir()
    environment = {"PATH": os.environ["PATH"]}
    monkeypatch.setattr(platforms, "init", lambda *_: "tasks")
    for last in ("true", "false"):
        line = f'cp "$0" {seen}; stat -c %a "$0" >> {seen}; {last}'
        monkeypatch.setattr(platforms, "apart", lambda *a, line=line: [["sh", "-c", line, a[3]]])
        assert processes.start_apart(["true", "a"], "x", environment, str(state))
        text = seen.read_text()
        assert "<Command>true</Command>" in text
        assert text.endswith("600\n")
        assert list(state.iterdir()) == []


def test_windows_event_log_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "syslog", None)
    monkeypatch.setattr(processes, "succeeds", lambda argv, environment: ran.append(argv))
    processes.log("/first word\0 of two\nlines")
    (argv,) = ran
    assert argv[0] == "eventcreate"
    assert dict(zip(argv[1::2], argv[2::2], strict=True)) == {
        "/T": "WARNING",
        "/ID": "1",
        "/L": "APPLICATION",
        "/SO": "ipalias",
        "/D": "ipalias: /first word of two lines",
    }


@pytest.mark.parametrize("journal", [False, True])
def test_what_a_boot_puts_back_is_said_where_no_syslog_listens_yet(
    journal: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    monkeypatch.setattr(processes, "log", told.append)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    path = Paths(str(tmp_path)).record(OPEN, "7")
    Path(path).write_text(render_record(Record("7", "ipalias.apply eth0")))
    assert outlive.boot(Paths(str(tmp_path))) == outlive.RESTORED
    said = ["ipalias.apply eth0: cut short, its files were put back"]
    assert told == said
    assert capsys.readouterr().err == ("" if journal else f"ipalias: {said[0]}\n")


def test_a_name_that_looks_like_a_field_is_no_hindrance(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 2 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as sleeper:
        try:
            assert processes.is_alive(sleeper.pid, processes.start_time(sleeper.pid))
        finally:
            sleeper.kill()


def test_a_process_is_ended_only_if_it_is_that_one() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        started = processes.start_time(sleeper.pid)
        processes.end_process(sleeper.pid, started + 1)
        assert sleeper.poll() is None
        processes.end_process(sleeper.pid, started)
        assert sleeper.wait(10) == -9
    # Never itself: the dead man may run in the process that applies.
    processes.end_process(os.getpid(), processes.start_time(os.getpid()))


def test_the_boot_clock_and_the_boot_are_the_kernels() -> None:
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    assert abs(processes.boot_clock() - uptime) < 5
    assert processes.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_process_started_apart_outlives_the_one_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent and all of its parent's session are killed."""
    script = (
        "import os, sys\n"
        "from saltext.ipalias import processes\n"
        "os.path.isdir = lambda path: False\n"
        "argv = ['/bin/sh', '-c', 'echo $$ > \"$1.new\"; mv \"$1.new\" \"$1\"; sleep 600', 'x']\n"
        "processes.start_apart([*argv, sys.argv[1]], 'x', {'PATH': os.environ['PATH']}, '/')\n"
        "sys.stdin.read()\n"
    )
    told = tmp_path / "pid"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", script, str(told)]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, start_new_session=True) as parent:
        limit = time.monotonic() + 60
        while not told.exists() and time.monotonic() < limit:
            time.sleep(0.01)
        pid = int(told.read_text())
        started = processes.start_time(pid)
        os.killpg(parent.pid, 9)
    try:
        assert processes.is_alive(pid, started)
        assert os.getsid(pid) == pid
    finally:
        os.killpg(pid, 9)


# The lock


def add_one(path: str, counter: str) -> None:
    with processes.lock(path, "adds one", 120):
        count = int(Path(counter).read_text())
        os.sched_yield()  # let the others run: without the lock, counts would be lost
        Path(counter).write_text(str(count + 1))


def test_fifty_at_once_come_one_after_another(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    lock = str(tmp_path / "lock")
    contenders = [CONTEXT.Process(target=add_one, args=(lock, str(counter))) for _ in range(50)]
    for contender in contenders:
        contender.start()
    for contender in contenders:
        contender.join(120)
    assert [contender.exitcode for contender in contenders] == [0] * 50
    assert counter.read_text() == "50"
    assert os.stat(lock).st_mode & 0o777 == 0o600


def test_who_gives_up_names_holder_purpose_and_age(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    ready, done = CONTEXT.Event(), CONTEXT.Event()

    def hold() -> None:
        with processes.lock(path, "ipalias.add 20260101"):
            ready.set()
            done.wait(120)

    holder = CONTEXT.Process(target=hold)
    holder.start()
    try:
        assert ready.wait(120)
        with (
            pytest.raises(RefusedError) as caught,
            processes.lock(path, "another", timeout=0.05),
        ):
            pytest.fail("two held the lock")
        said = str(caught.value)
        assert f"ipalias.add 20260101 (pid {holder.pid}, for " in said
        assert "waited 0.05 s; run again" in said
    finally:
        done.set()
        holder.join(120)


@pytest.mark.parametrize("note", ["", "{}", "[]", "\0\0", '{"since": "never"}'])
def test_a_note_that_tells_nothing_is_no_hindrance(tmp_path: Path, note: str) -> None:
    import fcntl

    path = tmp_path / "lock"
    path.write_text(note)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(RefusedError, match="holder unknown"),
            processes.lock(str(path), "x", timeout=0.01),
        ):
            pytest.fail("two held the lock")


def test_a_killed_holder_is_no_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    ready = CONTEXT.Event()

    def hold() -> None:
        with processes.lock(path, "x"):
            ready.set()
            time.sleep(600)

    holder = CONTEXT.Process(target=hold)
    holder.start()
    assert ready.wait(120)
    holder.kill()
    holder.join(120)
    with processes.lock(path, "next", timeout=5):
        pass


def test_a_child_forked_without_exec_neither_keeps_the_lock_nor_closes_what_is_not_its_own(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "lock")
    told, tell = os.pipe()
    go, start = os.pipe()
    with processes.lock(path, "parent"):
        pid = os.fork()
        if not pid:
            # The number of the lock's descriptor is free here, and goes to another file.
            other = os.open(os.devnull, os.O_RDONLY)
            os.write(tell, b"x")
            os.read(go, 1)
            os._exit(0 if os.fstat(other) else 1)
        os.read(told, 1)
    try:
        with processes.lock(path, "next", timeout=5):
            pass
    finally:
        os.write(start, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for descriptor in (told, tell, go, start):
            os.close(descriptor)


def test_a_child_that_leaves_the_lock_closes_nothing(tmp_path: Path) -> None:
    told, tell = os.pipe()
    pid = 0
    try:
        with processes.lock(str(tmp_path / "lock"), "parent"):
            pid = os.fork()
            other = os.open(os.devnull, os.O_RDONLY)
        if not pid:
            os.fstat(other)
            os.write(tell, b"y")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert os.read(told, 1) == b"y"
    finally:
        if not pid:
            os._exit(1)
        os.close(told)
        os.close(tell)
        os.close(other)


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "lock").symlink_to(target)
    with (
        pytest.raises(EffectError, match="the lock cannot be opened"),
        processes.lock(str(tmp_path / "lock"), "x"),
    ):
        pytest.fail("followed")
    assert target.read_text() == "kept"


class FakePsutil:
    """The part of psutil that is asked, on a FreeBSD whose clock can be set."""

    STATUS_ZOMBIE = "zombie"

    class Error(Exception):
        pass

    def __init__(self, boot: float = 1000.0, age: float = 12.34) -> None:
        self.boot, self.age, self.state = boot, age, "running"

    def boot_time(self) -> float:
        return self.boot

    def Process(self, pid: int) -> FakePsutil:  # noqa: N802
        if pid != 7:
            raise self.Error
        return self

    def status(self) -> str:
        return self.state

    def create_time(self) -> float:
        return self.boot + self.age


def test_setting_the_clock_of_a_bsd_takes_no_process_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePsutil()
    monkeypatch.setattr(processes.sys, "platform", "freebsd14")
    monkeypatch.setitem(sys.modules, "psutil", fake)
    started = processes.start_time(7)
    fake.boot += 86400.0
    assert processes.is_alive(7, started)
    fake.age += 1.0
    assert not processes.is_alive(7, started), "another process got the number"
    fake.age -= 1.0
    fake.state = fake.STATUS_ZOMBIE
    assert not processes.is_alive(7, started)
    assert not processes.is_alive(8, started)


def test_without_psutil_windows_is_never_asked_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(pid: int, number: int) -> None:
        raise AssertionError("signal 0 is a Ctrl+C there")

    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(processes.os, "name", "nt")
    monkeypatch.setattr(processes.os, "kill", ask)
    assert processes.start_time(7) == 1
