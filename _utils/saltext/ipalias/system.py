"""The real host: the only module that opens files, runs commands and reads a clock."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import posixpath
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from .effects import (
    Effect,
    FileState,
    MakeFolder,
    Pause,
    ReadClock,
    ReadFile,
    ReadLive,
    RemoveFolder,
    Rename,
    Run,
    Send,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteKernel,
    WriteTemporary,
)
from .errors import EffectError, RefusedError
from .host import NOT_FOUND, TIMED_OUT, Result
from .live import iproute2
from .transaction import Paths

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_CODING = {"encoding": "utf-8", "errors": "surrogateescape"}


def _environment() -> dict[str, str]:
    """Return the environment of every command: fixed language, the sbin folders in PATH.

    Salt's own library path is left out: the platform's tools must not load its libraries.
    """
    keep = ("HOME", "TERM", "DBUS_SYSTEM_BUS_ADDRESS", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    listed = os.environ.get("PATH", "").split(os.pathsep)
    path = [folder for folder in listed if folder] + [f for f in _SBIN if f not in listed]
    return {**environment, "PATH": os.pathsep.join(path), "LC_ALL": "C"}


class RealHost:
    """Read this machine; see `host.Host`."""

    def __init__(self) -> None:
        self._environment = _environment()

    def read(self, path: str) -> str | None:
        """Return a file's text with its own line ends, or None where there is none."""
        try:
            with open(path, newline="", **_CODING) as file:  # type: ignore[call-overload]
                text: str = file.read()
                return text
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise EffectError(f"cannot be read: {error.strerror}", where=path) from error

    def exists(self, path: str) -> bool:
        """Tell whether a path exists."""
        return os.path.exists(path)

    def glob(self, pattern: str) -> list[str]:
        """Return matching paths, sorted."""
        return sorted(glob.glob(pattern))

    def which(self, name: str) -> str | None:
        """Return the path of a program."""
        return shutil.which(name, path=self._environment["PATH"])

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        """Run a command that only reads."""
        return self.command(argv, stdin, timeout)

    def command(self, argv: Sequence[str], stdin: str | None, timeout: float) -> Result:
        """Run a command, never through a shell; its group is killed when time is up."""
        program = self.which(argv[0])
        if program is None:
            return Result(NOT_FOUND, "", f"{argv[0]}: not installed")
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                input=stdin if stdin is not None else "",
                capture_output=True,
                timeout=timeout,
                env=self._environment,
                cwd="/",
                check=False,
                **_CODING,  # type: ignore[call-overload]
            )
        except subprocess.TimeoutExpired:
            return Result(TIMED_OUT, "", f"{argv[0]}: no end after {timeout:g} s")
        except OSError as error:
            return Result(NOT_FOUND, "", f"{argv[0]}: {error.strerror}")
        return Result(done.returncode, done.stdout, done.stderr)

    def perform(self, effect: Effect) -> Any:
        """Perform one effect; see `effects`.

        :raises EffectError: it failed; the message names path or command and the cause.
        """
        try:
            return self._perform(effect)
        except OSError as error:
            where = getattr(effect, "path", "") or getattr(effect, "target", "")
            where = where or getattr(effect, "interface", type(effect).__name__)
            raise EffectError(
                f"{type(effect).__name__}: {error.strerror or error}", where=str(where)
            ) from error

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case ReadFile(path):
                return _read_state(path)
            case ReadLive():
                return iproute2.read_snapshot(self)
            case ReadClock():
                return time.monotonic()
            case Pause(seconds):
                time.sleep(seconds)
            case MakeFolder(path, mode):
                _make_folder(path, mode)
            case WriteTemporary():
                _write_temporary(effect)
            case SyncFile(path) | SyncFolder(path):
                _sync(path)
            case Rename(source, target):
                os.replace(source, target)
            case Unlink(path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            case RemoveFolder(path):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            case WriteKernel(path, value):
                return _write_kernel(path, value)
            case Run(command, check):
                result = self.command(command.argv, command.stdin, command.timeout)
                if check and result.code not in command.ok:
                    raise _command_error(command.argv, result)
                return result
            case Send():
                _send(effect)
        return None


def _command_error(argv: Sequence[str], result: Result) -> EffectError:
    """Return the error for a command that failed: its first words of complaint."""
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    said = " / ".join(lines[-3:])[:400] or "no output"
    return EffectError(f"exit {result.code}: {said}", where=f"`{' '.join(argv)[:200]}`")


def _read_state(path: str) -> FileState | None:
    """Read a file with owner and mode."""
    real = os.path.realpath(path)
    try:
        with open(real, newline="", **_CODING) as file:  # type: ignore[call-overload]
            status = os.fstat(file.fileno())
            return FileState(
                real, file.read(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
            )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _make_folder(path: str, mode: int) -> None:
    if os.path.isdir(path):
        return
    parent = posixpath.dirname(path)
    if parent and parent != path:
        _make_folder(parent, 0o755)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)


def _write_temporary(effect: WriteTemporary) -> None:
    """Write a new file, refusing to follow anything planted under its name."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(effect.path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(effect.path, flags, 0o600)
    try:
        like = effect.like
        if like is not None:
            status = os.fstat(descriptor)
            if (status.st_uid, status.st_gid) != (like.uid, like.gid):
                os.fchown(descriptor, like.uid, like.gid)
            _copy_attributes(like.real_path, descriptor)
        os.fchmod(descriptor, like.mode if like is not None else effect.mode)
        data = effect.text.encode("utf-8", "surrogateescape")
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _copy_attributes(path: str, descriptor: int) -> None:
    """Take over extended attributes (an SELinux context, an ACL) where the platform has them."""
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_kernel(path: str, value: str) -> str | None:
    try:
        with open(path, "r+", encoding="ascii") as file:
            before = file.read()
            file.seek(0)
            file.write(value)
            return before
    except FileNotFoundError:
        return None


def _send(effect: Send) -> None:
    """Send frames; a full queue or a link going down loses the rest, which is no error."""
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        raise EffectError("this platform has no packet sockets", where=effect.interface)
    with socket.socket(family, socket.SOCK_RAW) as sender:
        sender.bind((effect.interface, 0))
        for turn in range(effect.count):
            if turn:
                time.sleep(effect.interval)
            for frame in effect.frames:
                sender.send(frame)


@contextlib.contextmanager
def lock(paths: Paths, purpose: str, timeout: float = 60.0) -> Iterator[None]:
    """Hold the one lock of this host's configuration.

    A dead holder's lock is no lock: the kernel gives it up with the process.

    :param purpose: what the holder does, for whoever waits in vain.
    :param timeout: seconds to wait.
    :raises RefusedError: naming the holder.
    """
    folder = paths.state
    _make_folder(folder, 0o700)
    path = f"{folder}/lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    # A child forked without exec would keep the lock after us.
    os.register_at_fork(after_in_child=lambda: _close_quietly(descriptor, path))
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    holder = os.pread(descriptor, 400, 0).decode("utf-8", "replace")
                    raise RefusedError(
                        f"another change is under way: {holder or 'holder unknown'}",
                        where=path,
                        way_out=f"waited {timeout:g} s; run again when it has ended",
                    ) from None
                time.sleep(0.02)
        note = json.dumps({"pid": os.getpid(), "does": purpose, "since": int(time.time())})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _close_quietly(descriptor: int, path: str) -> None:
    """Close the lock in a forked child, if the number still means the lock."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            os.close(descriptor)


def is_root() -> bool:
    """Tell whether this process may change the network."""
    return not hasattr(os, "geteuid") or os.geteuid() == 0


def now_id() -> str:
    """Return an id for a journal entry: UTC time to the nanosecond, and process.

    One run writes an entry for each interface, several in a second.
    """
    seconds, rest = divmod(time.time_ns(), 10**9)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{stamp}-{rest:09d}-{os.getpid()}"
