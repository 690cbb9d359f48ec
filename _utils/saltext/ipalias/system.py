"""The real host: reads it for the pure part, and performs the effects.

With `disk`, `wire`, `processes` and `freeze`, which it calls, the only place where files
are opened, commands run, frames sent and clocks read.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import disk, freeze, platforms, processes, wire
from .checks import CHECK_TIMEOUT, COMMAND, GATEWAY, CheckSpec
from .effects import (
    AskAll,
    AwaitArmed,
    Check,
    Effect,
    Freeze,
    Identify,
    MakeFolder,
    Pause,
    Probe,
    ReadClock,
    ReadFile,
    ReadLive,
    ReadWan,
    RemoveFolder,
    Rename,
    Run,
    Send,
    SetWan,
    StartGuard,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteKernel,
    WriteTemporary,
)
from .errors import EffectError
from .host import NOT_FOUND, TIMED_OUT, Result
from .live import tools
from .model import Command
from .paths import Paths

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
#: Longest wait for a dead man to have everything loaded (seconds); a busy machine is slow.
ARMING = 20.0


def _environment() -> dict[str, str]:
    """Return the environment of every command: fixed language, the sbin folders in PATH.

    Salt's own library path is left out: the platform's tools must not load its libraries.
    """
    if os.name == "nt":
        return dict(os.environ)  # there a program without SYSTEMROOT does not even start
    keep = ("HOME", "TERM", "DBUS_SYSTEM_BUS_ADDRESS", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    listed = os.environ.get("PATH", "").split(os.pathsep)
    path = [folder for folder in listed if folder] + [f for f in _SBIN if f not in listed]
    return {**environment, "PATH": os.pathsep.join(path), "LC_ALL": "C"}


class RealHost:
    """Read this machine (see `host.Host`) and perform effects on it."""

    def __init__(self, paths: Paths | None = None) -> None:
        self.system = platforms.system()
        self._environment = _environment()
        self._paths = paths or Paths()

    def read(self, path: str) -> str | None:
        """Return a file's text with its own line ends, or None where there is none."""
        try:
            with open(path, newline="", opener=disk.open_now, **disk.CODING) as file:  # type: ignore[call-overload]
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
        return sorted(disk.slashed(path) for path in glob.glob(pattern))

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
            return processes.run([program, *argv[1:]], stdin or "", timeout, self._environment)
        except subprocess.TimeoutExpired:
            return Result(TIMED_OUT, "", f"{argv[0]}: no end after {timeout:g} s")
        except OSError as error:
            return Result(NOT_FOUND, "", f"{argv[0]}: {error.strerror}")

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
                return disk.read_state(path)
            case ReadLive():
                return tools.load(self.system).read_snapshot(self)
            case ReadClock():
                return processes.boot_clock()
            case Pause(seconds):
                time.sleep(seconds)
            case MakeFolder(path, mode):
                return disk.make_folder(path, mode)
            case WriteTemporary():
                disk.write_temporary(effect)
            case SyncFile(path) | SyncFolder(path):
                disk.sync(path)
            case Rename(source, target):
                os.replace(source, target)
            case Unlink(path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            case RemoveFolder(path):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            case WriteKernel(path, value):
                return disk.write_kernel(path, value)
            case Run(command, check):
                result = self.command(command.argv, command.stdin, command.timeout)
                if check and result.code not in command.ok:
                    raise _command_error(command.argv, result)
                return result
            case AskAll(commands, at_once):
                return self._ask(commands, at_once)
            case Send():
                wire.send(effect)
            case Probe():
                return wire.probe_every(effect) if effect.every else wire.probe(effect)
            case Check(specs):
                return self._run_checks(specs)
            case Identify():
                pid = os.getpid()
                return pid, processes.start_time(pid), processes.boot_id()
            case StartGuard(ident):
                return self._start_guard(ident)
            case AwaitArmed(ident):
                self._await_armed(ident)
            case Freeze():
                return freeze.freeze(self._paths, self._environment)
            case ReadWan() | SetWan():
                return self._wan(effect)
        return None

    def _ask(self, commands: Sequence[Command], at_once: int) -> list[Result]:
        """Run commands side by side, so many at a time."""
        if not commands:
            return []
        with ThreadPoolExecutor(min(at_once, len(commands))) as pool:
            return list(pool.map(lambda c: self.command(c.argv, c.stdin, c.timeout), commands))

    def _wan(self, effect: ReadWan | SetWan) -> Any:
        """Read or change the kernel's part of multi-WAN, which most hosts never load."""
        from .wan import live

        def ask(argv: Sequence[str]) -> str:
            return self.command(argv, None, 15.0).out

        def nft(text: str) -> str:
            result = self.command(["nft", "-f", "-"], text, 15.0)
            return "" if result.code == 0 else _command_error(["nft", "-f", "-"], result).text()

        if isinstance(effect, ReadWan):
            return live.read_wan(effect.text, ask)
        return live.set_wan(effect.before, effect.after, nft)

    def _run_checks(self, specs: Sequence[CheckSpec]) -> list[str]:
        """Run checks side by side: one that waits for its time limit delays no other."""
        if not specs:
            return []
        with ThreadPoolExecutor(len(specs)) as pool:
            return list(pool.map(self._check, specs))

    def _check(self, spec: CheckSpec) -> str:
        """Run a check; return the problem, or nothing."""
        try:
            if spec.kind == COMMAND:
                result = self.command(spec.argv, None, CHECK_TIMEOUT * 5)
                return "" if result.code == 0 else f"exit {result.code}"
            if spec.kind == GATEWAY:
                tool = tools.load(self.system)
                if not tool.FRAMES:
                    return tool.check_gateway(self, spec.address, spec.interface)
                snapshot = tool.read_snapshot(self)
                link = snapshot.by_link.get(spec.interface)
                if link is None or not link.mac:
                    return ""
                return wire.check_gateway(spec, link.mac)
            return wire.check_tcp(spec)
        except OSError as error:
            return error.strerror or str(error)
        except EffectError as error:
            # What cannot even be asked has no vote.
            return error.what

    def _start_guard(self, ident: str) -> bool:
        folder = freeze.freeze(self._paths, self._environment)
        if folder is None:
            return False
        argv = [*freeze.program(folder), "guard", self._paths.state, ident]
        name = platforms.guard_name(ident)
        return processes.start_apart(argv, name, self._environment, self._paths.state)

    def _await_armed(self, ident: str) -> None:
        path = self._paths.armed(ident)
        limit = time.monotonic() + ARMING
        while not os.path.exists(path):
            if time.monotonic() > limit:
                raise EffectError(
                    f"the dead man did not arm within {ARMING:g} s{_refused(path)}",
                    where=path,
                    way_out="look at the system log, or set `guard: false` to go without",
                )
            time.sleep(0.005)


def _refused(path: str) -> str:
    """Return why a small file cannot be written, which a dead man has no way to tell."""
    try:
        disk.say(f"{path}.try", "armed\n")
    except OSError as error:
        return f": {error.strerror}"
    finally:
        disk.forget(f"{path}.try")
        disk.forget(f"{path}.try.new")
    return ""


def _command_error(argv: Sequence[str], result: Result) -> EffectError:
    """Return the error for a command that failed: its first words of complaint."""
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    said = " / ".join(lines[-3:])[:400] or "no output"
    return EffectError(f"exit {result.code}: {said}", where=f"`{' '.join(argv)[:200]}`")


@contextlib.contextmanager
def lock(paths: Paths, purpose: str, timeout: float = 60.0) -> Iterator[None]:
    """Hold the one lock of this host's configuration; see `processes.lock`."""
    try:
        made = disk.make_folder(paths.state, 0o700)
        for argv in platforms.closing(platforms.system(), paths.state) if made else ():
            if not processes.succeeds(argv, _environment()):
                os.rmdir(paths.state)
                raise EffectError("cannot be closed to others by icacls", where=paths.state)
    except OSError as error:
        raise EffectError(f"cannot be made: {error.strerror}", where=paths.state) from error
    with processes.lock(f"{paths.state}/lock", purpose, timeout):
        yield


def is_root() -> bool:
    """Tell whether this process may change the network."""
    if hasattr(os, "geteuid"):
        return os.geteuid() == 0
    import ctypes

    # Windows: an elevated process, whoever runs it.
    return bool(ctypes.windll.shell32.IsUserAnAdmin())  # type: ignore[attr-defined]


def now_id() -> str:
    """Return an id for a change: UTC time to the nanosecond, and process.

    Used once: the dead man of the change before may not have ended when the next one opens.
    """
    seconds, rest = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}-{rest:09d}-{os.getpid()}"
