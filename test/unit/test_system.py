"""The real host's effects, on real files in a folder of the test's own."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from saltext.ipalias.effects import (
    AskAll,
    FileState,
    MakeFolder,
    ReadClock,
    ReadFile,
    RemoveFolder,
    Rename,
    Run,
    Send,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteKernel,
    WriteTemporary,
    run,
)
from saltext.ipalias.errors import EffectError, RefusedError
from saltext.ipalias.files import put_files, write_file, write_state
from saltext.ipalias.host import NOT_FOUND, TIMED_OUT
from saltext.ipalias.model import Command, File
from saltext.ipalias.paths import Paths
from saltext.ipalias.system import RealHost, lock, now_id

RAW = b"# \xff\xfe\r\nno last line end"
TEXT = RAW.decode("utf-8", "surrogateescape")


@pytest.fixture
def host() -> RealHost:
    return RealHost()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Files


def test_every_byte_comes_and_goes(host: RealHost, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(RAW)
    assert host.read(str(path)) == TEXT
    state = host.perform(ReadFile(str(path)))
    run(write_file(str(path), TEXT + "!", 0o644, state), host.perform)
    assert path.read_bytes() == RAW + b"!"
    assert host.perform(ReadFile(str(path))).text == TEXT + "!"


def test_what_is_not_a_file_reads_as_none(host: RealHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file" / "below"):
        assert host.read(str(path)) is None
        assert host.perform(ReadFile(str(path))) is None


@pytest.mark.parametrize("planning", [True, False])
def test_a_named_pipe_that_nobody_writes_into_is_not_waited_for(
    host: RealHost, tmp_path: Path, planning: bool
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[str | None] = []

    def read() -> None:
        found.append(host.read(str(path)) if planning else host.perform(ReadFile(str(path))).text)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    if reader.is_alive():
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        pytest.fail("it waits")
    assert found == [""]


def test_a_file_keeps_its_mode_owner_and_link(host: RealHost, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 7, 8)
    link.symlink_to("real")
    before = host.perform(ReadFile(str(link)))
    run(write_file(str(link), "new", 0o600, before), host.perform)
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert mode(real) == 0o640
    owner = (real.stat().st_uid, real.stat().st_gid)
    assert owner == (before.uid, before.gid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_extended_attributes_are_taken_over(host: RealHost, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("not applicable: this file system has no extended attributes")
    run(write_file(str(path), "new", 0o644, host.perform(ReadFile(str(path)))), host.perform)
    assert os.getxattr(path, "user.note") == b"kept"


def test_a_new_file_has_the_mode_asked_for_whatever_the_umask(
    host: RealHost, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        run(write_file(str(tmp_path / "a" / "hook"), "x", 0o755, None), host.perform)
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "hook") == 0o755


def test_a_planted_link_is_not_followed(host: RealHost, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("safe")
    (tmp_path / ".file.ipalias-new").symlink_to(victim)
    run(write_file(str(tmp_path / "file"), "x", 0o644, None), host.perform)
    assert victim.read_text() == "safe"
    assert (tmp_path / "file").read_text() == "x"


def test_our_state_is_for_root_alone(host: RealHost, tmp_path: Path) -> None:
    paths = Paths(str(tmp_path / "state"))
    run(write_state(paths, f"{paths.backup}/x", "secret"), host.perform)
    assert mode(tmp_path / "state") == mode(tmp_path / "state" / "backup") == 0o700
    assert mode(tmp_path / "state" / "backup" / "x") == 0o600


def test_removing_what_is_not_there_is_no_error(host: RealHost, tmp_path: Path) -> None:
    run(put_files([File(str(tmp_path / "absent"), None)], {}), host.perform)
    host.perform(RemoveFolder(str(tmp_path / "absent")))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    host.perform(RemoveFolder(str(tmp_path / "full")))
    assert (tmp_path / "full" / "x").exists()


@pytest.mark.parametrize(
    "effect",
    [
        SyncFile("{}/absent"),
        SyncFolder("{}/absent"),
        Rename("{}/absent", "{}/target"),
        Unlink("{}"),
        MakeFolder("{}/file/below"),
        WriteTemporary("{}/absent/x", "x", 0o644),
        Send("nope0", (b"x",)),
    ],
    ids=lambda effect: type(effect).__name__,
)
def test_what_fails_is_an_effect_error_that_names_it(
    host: RealHost, tmp_path: Path, effect: object
) -> None:
    (tmp_path / "file").write_text("")
    given = {name: getattr(effect, name) for name in type(effect).__annotations__}
    fields = {k: v.format(tmp_path) if isinstance(v, str) else v for k, v in given.items()}
    made = type(effect)(**fields)
    with pytest.raises(EffectError) as caught:
        host.perform(made)  # type: ignore[arg-type]
    assert caught.value.where
    assert type(effect).__name__ in str(caught.value)


def test_a_failed_write_leaves_no_temporary_file(host: RealHost, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(EffectError, match="Rename"):
        run(write_file(str(tmp_path / "target"), "x", 0o644, None), host.perform)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_kernel_setting_answers_what_it_was(host: RealHost, tmp_path: Path) -> None:
    path = tmp_path / "setting"
    path.write_text("0\n")
    assert host.perform(WriteKernel(str(path), "1")) == "0\n"
    assert path.read_text().startswith("1")
    assert host.perform(WriteKernel(str(tmp_path / "absent"), "1")) is None


def test_a_setting_may_hold_any_bytes_and_gets_them_back(host: RealHost, tmp_path: Path) -> None:
    path = tmp_path / "domainname"
    path.write_bytes(RAW[:4])
    before = host.perform(WriteKernel(str(path), "example.org"))
    host.perform(WriteKernel(str(path), before))
    assert path.read_bytes().startswith(RAW[:4])


def test_looking_around(host: RealHost, tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).write_text("")
    assert host.glob(f"{tmp_path}/*") == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert host.exists(f"{tmp_path}/.hidden")
    assert not host.exists(f"{tmp_path}/c")
    assert host.perform(ReadClock()) <= host.perform(ReadClock())


# Commands


def command(*words: str, stdin: str | None = None, timeout: float = 30.0) -> Command:
    return Command((sys.executable, "-c", *words), stdin, timeout)


def test_a_command_gets_its_input_and_a_fixed_language(host: RealHost) -> None:
    script = "import os, sys; print(os.environ['LC_ALL'], sys.stdin.read(), end='')"
    result = host.perform(Run(command(script, stdin="a b")))
    assert (result.code, result.out) == (0, "C a b")


def test_a_command_sees_nothing_of_salts_own_libraries(
    host: RealHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/saltstack")
    result = RealHost().perform(Run(command("import os; print('LD_LIBRARY_PATH' in os.environ)")))
    assert result.out == "False\n"


def test_a_command_that_fails_says_what_it_said(host: RealHost) -> None:
    script = "import sys; print('one\\n\\ntwo', file=sys.stderr); sys.exit(3)"
    with pytest.raises(EffectError, match="exit 3: one / two"):
        host.perform(Run(command(script)))
    assert host.perform(Run(command(script), check=False)).code == 3
    assert host.perform(Run(Command(command(script).argv, ok=(0, 3)))).code == 3


def test_no_shell_ever_reads_a_command(host: RealHost) -> None:
    script = "import sys; print(sys.argv[1])"
    assert host.perform(Run(command(script, "$(id); `id` *"))).out == "$(id); `id` *\n"


def test_questions_are_asked_side_by_side_and_answered_in_order(
    host: RealHost, tmp_path: Path
) -> None:
    """Each of two waits for the other: one after another, neither would end."""
    one, two = tmp_path / "one", tmp_path / "two"
    wait = "touch {}; until test -e {}; do sleep 0.01; done; echo {}"
    asked = (("sh", "-c", wait.format(one, two, 1)), ("sh", "-c", wait.format(two, one, 2)))
    answers = host.perform(AskAll((*map(Command, asked), Command(("no-such",))), 2))
    assert [answer.out for answer in answers] == ["1\n", "2\n", ""]
    assert answers[2].code == NOT_FOUND
    assert host.perform(AskAll((), 2)) == []


def test_an_absent_program_and_a_hung_one_have_their_codes(host: RealHost) -> None:
    assert host.run(["no-such-program-here"]).code == NOT_FOUND
    hung = command("import time; time.sleep(600)", timeout=0.2)
    result = host.run(hung.argv, None, hung.timeout)
    assert result.code == TIMED_OUT
    assert "no end after 0.2 s" in result.err


# The lock


def hold(state: str, ready: object, done: object) -> None:
    with lock(Paths(state), "first"):
        ready.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


def test_one_change_at_a_time_and_the_holder_is_named(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path / "s"), ready, done))
    holder.start()
    try:
        assert ready.wait(30)
        with (
            pytest.raises(RefusedError, match=rf"first \(pid {holder.pid}, for "),
            lock(Paths(str(tmp_path / "s")), "second", timeout=0.05),
        ):
            pytest.fail("two held the lock")
    finally:
        done.set()
        holder.join(30)
    with lock(Paths(str(tmp_path / "s")), "third", timeout=5):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path / "s"), ready, done))
    holder.start()
    assert ready.wait(30)
    holder.kill()
    holder.join(30)
    with lock(Paths(str(tmp_path / "s")), "next", timeout=5):
        pass


def test_a_child_that_was_forked_does_not_keep_the_lock(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from saltext.ipalias.system import lock\n"
        "from saltext.ipalias.paths import Paths\n"
        "with lock(Paths(sys.argv[1]), 'x'):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        time.sleep(600)\n"
        "print(pid, flush=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", script, str(tmp_path / "s")]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            with lock(Paths(str(tmp_path / "s")), "next", timeout=5):
                pass
        finally:
            os.kill(child, 9)


def test_an_id_is_a_time_and_a_process() -> None:
    assert now_id().endswith(f"-{os.getpid()}")
    assert FileState("/x", "", 0o644).uid == 0
