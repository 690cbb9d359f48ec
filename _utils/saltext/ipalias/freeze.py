"""Write the frozen copy of the library and the boot unit. Effects only; see `frozen`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from . import __version__, bootunit, disk, frozen, platforms, processes
from .disk import NEW_FILE
from .frozen import CURRENT, RUN, SUMS, Copy
from .paths import Paths

#: Digest of the boot unit that the system has taken, in the state folder.
TAKEN = "boot-unit"
#: Longest that it may take for that (seconds).
TAKING = 30.0


def freeze(paths: Paths, environment: Mapping[str, str] = os.environ) -> str | None:
    """Make sure a whole frozen copy is current; return its folder, or None if none can be.

    Where /usr/local is read-only, the copy lies in the state folder.

    :param environment: of the commands by which the system takes the boot unit.
    """
    if not sys.executable:
        return None
    copy = frozen.make_copy(__version__, _sources())
    for folder in (paths.frozen, f"{paths.state}/frozen"):
        with contextlib.suppress(OSError):
            _install(copy, folder)
            _install_unit(folder, copy.name, paths, environment)
            return f"{folder}/{copy.name}"
    return None


def program(folder: str) -> list[str]:
    """Return the command line of a frozen copy, without its arguments."""
    return [sys.executable, "-I", f"{folder}/{RUN}"]


def _sources() -> dict[str, str]:
    """Return the library's own files, by path relative to the package."""
    base = os.path.dirname(os.path.abspath(__file__))
    found = {}
    for folder, _, names in os.walk(base):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", newline="") as file:
                    found[os.path.relpath(path, base)] = file.read()
    return found


def _install(copy: Copy, folder: str) -> None:
    target = f"{folder}/{copy.name}"
    if _damaged(target, copy):
        os.makedirs(folder, 0o755, exist_ok=True)
        fresh = f"{folder}/.new-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            for path, text in copy.files.items():
                os.makedirs(os.path.dirname(f"{fresh}/{path}"), 0o755, exist_ok=True)
                _write(f"{fresh}/{path}", text)
        except OSError:
            # A full disk is not to be filled by one more part of a copy at each try.
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if os.path.lexists(target):
            old = f"{folder}/.old-{os.getpid()}"
            os.rename(target, old)
            shutil.rmtree(old, ignore_errors=True)
        os.rename(fresh, target)
    if os.name != "nt" and _link_text(f"{folder}/{CURRENT}") != copy.name:
        _relink(copy.name, f"{folder}/{CURRENT}")


def _damaged(target: str, copy: Copy) -> bool:
    """Tell whether a copy is missing or not as its checksums say."""
    on_disk: dict[str, str | None] = {}
    for path in copy.files:
        try:
            with open(f"{target}/{path}", encoding="utf-8", newline="") as file:
                on_disk[path] = file.read()
        except (OSError, ValueError):
            return True
    return on_disk[SUMS] != copy.files[SUMS] or bool(frozen.damaged(copy.files[SUMS], on_disk))


def _write(path: str, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEW_FILE, mode)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _link_text(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _relink(text: str, path: str) -> None:
    """Point a symbolic link somewhere else, in one step."""
    fresh = f"{path}.new-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    os.symlink(text, fresh)
    os.replace(fresh, path)


def _install_unit(folder: str, name: str, paths: Paths, environment: Mapping[str, str]) -> None:
    """Install what puts back, at boot, a change that a crash left unfinished."""
    started_by = platforms.init(platforms.system(), os.path.isdir)
    if started_by not in bootunit.UNITS:
        return
    verb = "boot-live" if started_by in bootunit.AFTER_NETWORK else "boot"
    # Windows lets not everyone make the link that elsewhere is switched by one rename.
    copy = name if started_by == "tasks" else CURRENT
    program = bootunit.Program(sys.executable, folder, paths.state, verb, copy)
    unit = bootunit.UNITS[started_by](program)
    if not os.path.isdir(unit.folder):
        return
    if _text_of(unit.path) != unit.text:
        os.makedirs(os.path.dirname(unit.path), 0o755, exist_ok=True)
        fresh = f"{os.path.dirname(unit.path)}/.{os.path.basename(unit.path)}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        _write(fresh, unit.text, unit.mode)
        os.replace(fresh, unit.path)
    _register(unit, f"{paths.state}/{TAKEN}", environment)
    if unit.link is not None:
        path, target = unit.link
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        if _link_text(path) != target:
            _relink(target, path)


def _register(unit: bootunit.BootUnit, note: str, environment: Mapping[str, str]) -> None:
    """Have the system take a boot unit, again until it has: the file alone runs nothing.

    One that does not take it, or hangs over it, is no reason to go without a dead man.
    """
    digest = hashlib.sha256(unit.text.encode()).hexdigest()
    if not unit.register or _text_of(note) == digest:
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        for argv in unit.register:
            if processes.run(list(argv), "", TAKING, dict(environment)).code != 0:
                return
        disk.say(note, digest)


def _text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return None
