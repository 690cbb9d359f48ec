"""Processes, clocks and locks as the executor uses them. Effects only.

What a platform may lack (fcntl, a boot clock, systemd) is asked for where it is used, so
that the library imports everywhere.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from . import platforms
from .disk import CODING, NEW_FILE, forget, say
from .errors import EffectError, RefusedError
from .host import Result

#: Windows: no console, and out of the job of who starts it.
_DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(
    subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0
)
_held: set[int] = set()
_registered = False
#: Longest that a service manager may take over one command (s): one that hangs takes nothing.
ANSWER = 60.0
#: Byte of the lock file that is locked where a file has no lock as a whole.
_LOCKED_BYTE = 1 << 20


def boot_clock() -> float:
    """Return seconds since boot, sleep included; no one can set this clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()


def boot_id() -> str:
    """Return the id of this boot; empty where the platform has none.

    The time of the boot is no id: ``kern.boottime`` of the BSDs and ``LastBootUpTime`` of Windows
    move when the clock is set, and a change that waits would be undone for that. A record
    has the clock of its boot as well, which says enough: see `guarded`.
    """
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""


def start_time(pid: int) -> int:
    """Return what tells a process from a later one of its number; 0 where it is gone.

    Linux: its start in the kernel's ticks, field 22 of /proc/PID/stat (proc(5); the name
    before it may hold anything). Elsewhere: what psutil, which Salt brings, says, in
    hundredths of a second.
    """
    if not sys.platform.startswith("linux"):
        return _start_time_elsewhere(pid)
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
        return 0 if fields[0] in ("Z", "X") else int(fields[19])
    return 0


def _start_time_elsewhere(pid: int) -> int:
    try:
        psutil = importlib.import_module("psutil")  # not on Linux, which tells by itself
    except ImportError:
        # Better to take a later process for the one we know than to take that one for dead.
        if os.name == "nt":
            return 1  # signal 0 is a Ctrl+C there
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return 1
        return 0
    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        # The BSDs tell it from the time of the boot, which moves when the clock is set.
        since = psutil.boot_time() if "bsd" in sys.platform else 0.0
        return 0 if dead else max(1, round((process.create_time() - since) * 100))
    except psutil.Error:
        return 0


def is_alive(pid: int, started: int) -> bool:
    """Tell whether a process still runs: that one, not another that got its number."""
    now = start_time(pid) if pid > 0 else 0
    # Elsewhere it is rounded from two numbers that may be read a moment apart.
    slack = 0 if sys.platform.startswith("linux") else 2
    return now != 0 and started != 0 and abs(now - started) <= slack


def run(argv: list[str], stdin: str, timeout: float, environment: dict[str, str]) -> Result:
    """Run a program to its end, in a session of its own; past its time all of that is killed.

    :raises subprocess.TimeoutExpired: it ran past its time; what it started has ended too.
    """
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
        **CODING,  # type: ignore[call-overload]
    ) as program:
        try:
            out, err = program.communicate(stdin, timeout)
        except BaseException:
            with contextlib.suppress(OSError, AttributeError):
                os.killpg(program.pid, signal.SIGKILL)
            program.kill()
            raise
    return Result(program.returncode, out, err)


def end_process(pid: int, started: int) -> None:
    """End a process that hangs in a change that is being put back."""
    if pid != os.getpid() and is_alive(pid, started):
        with contextlib.suppress(OSError):
            # Windows has no such signal: there any ends it at once.
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        limit = time.monotonic() + 5
        while is_alive(pid, started) and time.monotonic() < limit:
            time.sleep(0.01)


def start_apart(argv: list[str], name: str, environment: dict[str, str], folder: str) -> bool:
    """Start a process that a stop of the minion's service does not end.

    By what starts services on this system (`platforms.apart`); where that fails or knows no
    such thing, in a session of its own.

    :param folder: where a definition may lie until the system has taken it.
    """
    started_by = platforms.init(platforms.system(), os.path.isdir)
    path = f"{folder}/{name}.xml"
    text = platforms.apart_definition(started_by, argv, name)
    commands = platforms.apart(started_by, argv, name, path)
    try:
        if text:
            say(path, text)
        if commands and all(succeeds(command, environment) for command in commands):
            return True
    finally:
        if text:
            forget(path)
    end_apart(name, environment)
    nothing = subprocess.DEVNULL
    program = subprocess.Popen(
        argv,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        env=environment,
        cwd="/",
        start_new_session=True,
        close_fds=True,
        creationflags=_DETACHED,
    )
    # OpenRC can end a service's whole control group: ours is the root's from now on.
    with contextlib.suppress(OSError), open("/sys/fs/cgroup/cgroup.procs", "w") as group:
        if started_by == "openrc":
            group.write(str(program.pid))
    return True


def end_apart(name: str, environment: dict[str, str]) -> None:
    """Take away what a program started apart leaves behind: a task lasts, one a change."""
    started_by = platforms.init(platforms.system(), os.path.isdir)
    for command in platforms.apart_ended(started_by, name):
        succeeds(command, environment)


def succeeds(argv: list[str], environment: dict[str, str]) -> bool:
    """Run a command whose output nobody wants; tell whether it ended well."""
    # No pipe: what it starts may keep its output, and is not to be waited for.
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            env=environment,
            cwd="/",
            start_new_session=True,
            check=False,
            timeout=ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def lock(path: str, purpose: str, timeout: float = 60.0) -> Iterator[None]:
    """Hold the one lock of this host's configuration.

    A dead holder's lock is no lock: the kernel gives it up with the process.

    :param path: lock file, 0600.
    :param purpose: what the holder does, for whoever waits in vain.
    :param timeout: seconds to wait.
    :raises RefusedError: naming the holder.
    :raises EffectError: the lock file cannot be opened, or is a planted link.
    """
    try:
        descriptor = _open_lock(path)
    except OSError as error:
        raise EffectError(f"the lock cannot be opened: {error.strerror}", where=path) from error
    _keep_from_children(descriptor)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                _take(descriptor)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise RefusedError(
                        f"another change is under way: {_holder(descriptor)}",
                        where=path,
                        way_out=f"waited {timeout:g} s; run again when it has ended",
                    ) from None
                time.sleep(0.02)
        note = {"schema": 1, "pid": os.getpid(), "does": purpose, "since": boot_clock()}
        # Who holds it is only told to those who wait: a full disk is no reason to stop here.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(note).encode())
        yield
    finally:
        # In a child that was forked meanwhile it is closed, and its number may be another's.
        if descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def _open_lock(path: str) -> int:
    """Open the lock file; on a disk that has become read-only it can be locked all the same."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | NEW_FILE, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return os.open(path, os.O_RDONLY | NEW_FILE)


def _take(descriptor: int) -> None:
    """Take the lock of an open file, or raise OSError at once; the kernel gives it back."""
    try:
        import fcntl  # not on every platform
    except ImportError:
        import msvcrt

        # Behind what is written into the file: Windows lets nobody read a locked byte.
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    """Return who holds the lock, what for, and since when."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        note = json.loads(os.read(descriptor, 4096))
        age = boot_clock() - float(note["since"])
        return f"{note['does']} (pid {int(note['pid'])}, for {age:.0f} s)"
    except (ValueError, KeyError, TypeError):
        return "holder unknown"


def _keep_from_children(descriptor: int) -> None:
    """Close the lock in every child: one forked without exec would keep it after us."""
    global _registered
    _held.add(descriptor)
    if not _registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_close_held)
        _registered = True


def _close_held() -> None:
    for descriptor in list(_held):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


def log(text: str) -> None:
    """Write a line to the system log: syslog(3), or the event log of Windows."""
    text = text.replace("\0", "")[:2000]
    try:
        import syslog
    except ImportError:
        succeeds(event_argv(text), dict(os.environ))
        return
    with contextlib.suppress(OSError):
        syslog.openlog("ipalias", 0, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_WARNING, text)


def event_argv(text: str) -> list[str]:
    """Return the command that writes into the event log ``Application``; eventcreate.

    By it and not by the API: it brings the file with which the viewer shows the text.
    """
    words = ["eventcreate", "/T", "WARNING", "/ID", "1", "/L", "APPLICATION", "/SO", "ipalias"]
    # A slash at its begin would be an option, a line end ends nothing.
    return [*words, "/D", " ".join(f"ipalias: {text}".split())]
