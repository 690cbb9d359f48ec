"""Let something fail on the host this runs on while a change is carried out (`rig.inside`)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inside import STATE, Matrix, Request, differs, in_child, picture, run_engine, say, unfinished

#: Where a program of ours hides the platform's.
HERE = Path("/usr/local/sbin")
COMPLAINT = "the fault complains"
PAGE = 4096
#: Time limit of a command that hangs, instead of the product's own of half a minute and more.
LIMIT = 0.5


class Runs:
    """Count commands, and have one of them go wrong.

    :param how: ``fail``, ``hang`` or ``missing``.
    """

    def __init__(self, at: int = -1, how: str = "") -> None:
        self.at, self.how = at, how
        self.seen: list[str] = []

    def __call__(self, effect: Any, perform: Callable[..., Any]) -> Any:
        if type(effect).__name__ != "Run":
            return perform()
        program = effect.command.argv[0]
        self.seen.append(" ".join(effect.command.argv))
        if len(self.seen) - 1 != self.at:
            return perform()
        if self.how == "missing":
            with hidden(program):
                return perform()
        hang = self.how == "hang"
        # The shell's child keeps the pipes open after the shell has been killed.
        script = "sleep 1000" if hang else f"echo '{COMPLAINT}' >&2; exit 7"
        if hang:
            effect = effect._replace(command=dataclasses.replace(effect.command, timeout=LIMIT))
        with instead(program, script):
            return perform(effect)


@contextmanager
def hidden(program: str) -> Iterator[None]:
    """Have a program not be installed."""
    moved = []
    while path := shutil.which(program):
        os.rename(path, f"{path}.away")
        moved.append(path)
    try:
        yield
    finally:
        for path in moved:
            os.rename(f"{path}.away", path)


@contextmanager
def instead(program: str, script: str) -> Iterator[None]:
    """Have a script of ours come before a program."""
    path = HERE / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def full(folder: str, pages: int) -> Iterator[None]:
    """Have a folder lie on a file system with so many pages left."""
    aside = Path("/run/ipalias-aside")
    shutil.rmtree(aside, ignore_errors=True)
    subprocess.run(["cp", "-a", folder, str(aside)], check=True)
    mode = f"{Path(folder).stat().st_mode & 0o7777:o}"
    options = f"size=1m,mode={mode}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
        filler = os.open(f"{folder}/.filler", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(filler, b"x" * PAGE)
        except OSError:
            size = os.fstat(filler).st_size
            os.ftruncate(filler, max(0, size - pages * PAGE))
        finally:
            os.close(filler)
        yield
    finally:
        Path(f"{folder}/.filler").unlink(missing_ok=True)
        # What was written there stays, so that files, ledger and kernel still belong together.
        shutil.rmtree(aside)
        subprocess.run(["cp", "-a", folder, str(aside)], check=True)
        subprocess.run(["umount", "-l", folder], check=True)
        for path in Path(folder).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)


@contextmanager
def read_only(folder: str) -> Iterator[None]:
    """Have a folder be read-only."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def do_faults(request: Request) -> None:
    """Let one thing after another fail; each must leave the old state and name its cause."""
    matrix = Matrix(request)
    counter = Runs()
    folders = _written(matrix)

    def counted() -> dict[str, Any]:
        told = run_engine({**request, "pillar": request["new"]}, counter)
        return {**told, "runs": counter.seen}

    _, told, _ = in_child(counted)
    if wrong := matrix.back():
        raise SystemExit(f"the way back is not the way it came: {wrong}")
    runs = (told or {})["runs"]
    for how in ("fail", "missing", "hang"):
        for at, line in enumerate(runs):
            program = line.split()[0]
            causes = {
                # `ip -batch` is told by the address instead, or the interface.
                "fail": (COMPLAINT,) if program == "ip" else (COMPLAINT, program),
                "missing": (f"{program}: not installed",),
                "hang": (f"{program}: no end after",),
            }
            _try(matrix, f"{line}: {how}", Runs(at, how), causes[how])
    for folder in folders:
        with read_only(folder):
            _try(matrix, f"{folder}: read-only", _plain, ("Read-only file system", folder))
    for folder in folders:
        for pages in request["pages"]:
            with full(folder, pages):
                name = f"{folder}: {pages} pages left"
                _try(matrix, name, _plain, ("No space left on device", folder), room=pages > 0)
            if wrong := matrix.back():
                say({"fault": f"{name}, then the way back", "is": wrong, "said": ""})
    wrong = matrix.whole(request["new"]) or differs(matrix_picture(), matrix.new)
    say({"end": True, "is": wrong})


def sleepers() -> list[str]:
    """Return the processes of a script that hangs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes() == b"sleep\x001000\0":
                found.append(entry.parent.name)
    return found


def matrix_picture() -> dict[str, Any]:
    """Return what is there, the filler of `full` left out."""
    now = picture()
    now["files"] = {path: row for path, row in now["files"].items() if ".filler" not in path}
    return now


def _written(matrix: Matrix) -> list[str]:
    """Return the folders whose files the change replaces, our own first."""
    paths = [name.split(" ", 1)[1] for name in matrix.effects if name.startswith("Rename ")]
    found = {path.rsplit("/", 1)[0] for path in paths}
    existing = {_existing(folder) for folder in found}
    return sorted(
        (folder for folder in existing if not folder.startswith(f"{STATE}/")),
        key=lambda folder: folder != STATE,
    )


def _existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _plain(effect: Any, perform: Callable[..., Any]) -> Any:
    return perform()


def _try(
    matrix: Matrix,
    name: str,
    around: Callable[..., Any],
    causes: tuple[str, ...],
    *,
    room: bool = False,
) -> None:
    """Carry out the change under a fault.

    :param room: True where there may be room enough, and the change then stands.
    """
    request = {**matrix.request, "pillar": matrix.request["new"]}
    began = time.monotonic()
    _, told, _ = in_child(lambda: run_engine(request, around))
    seconds = time.monotonic() - began
    told = told or {"error": "killed"}
    said = told.get("error", "")
    wrong = ""
    if not said and room:
        # With a few pages left there may be no room to come back either.
        wrong = differs(matrix_picture(), matrix.new)
        say({"fault": name, "is": wrong, "said": "there was room", "seconds": seconds})
        return
    if not said or told.get("kind") == "crash":
        wrong = f"no error of ours: {told}"
    missing = [cause for cause in causes if cause not in said]
    if not wrong and missing:
        wrong = f"does not say {missing}: {said}"
    wrong = wrong or differs(matrix_picture(), matrix.old)
    if hung := sleepers():
        wrong = wrong or f"what hung still runs: {hung}"
    left = unfinished()
    wrong = wrong or (f"left behind: {left}" if left else "")
    say({"fault": name, "is": wrong, "said": said, "seconds": seconds})
    if wrong:
        matrix.back()
