"""Hosts for the ifupdown backend: a tree of texts, and the packages' real programs."""

from __future__ import annotations

import posixpath
import subprocess
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rig.machine import Machine
from rig.roots import cache
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.model import File

VERSIONS = {
    "ifupdown": "ifup version 0.8.41",
    "ifupdown-ng": "ifupdown-ng 0.11.3",
    "ifupdown2": "ifupdown2:3.0.0-1.1",
}


class TreeHost:
    """A host that is nothing but files.

    :param flavour: whose ifup it has; None for a host without one.
    """

    system = "linux"

    def __init__(self, files: dict[str, str], flavour: str | None = "ifupdown") -> None:
        self.files = dict(files)
        self.flavour = flavour

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        if path == "/usr/share/ifupdown2":
            return self.flavour == "ifupdown2"
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def glob(self, pattern: str) -> list[str]:
        folder, base = posixpath.split(pattern)
        return sorted(
            path
            for path in self.files
            if posixpath.dirname(path) == folder
            and fnmatchcase(posixpath.basename(path), base)
            and not posixpath.basename(path).startswith(".")
        )

    def which(self, name: str) -> str | None:
        return f"/sbin/{name}" if self.flavour and name in ("ifup", "ifdown", "ifquery") else None

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        if self.flavour is None or tuple(argv) != ("ifup", "--version"):
            return Result(NOT_FOUND, "", "")
        return Result(0, f"{VERSIONS[self.flavour]}\n\nCopyright\n", "")

    def write(self, files: Iterable[File]) -> None:
        """Bring the tree to what a backend rendered."""
        for file in files:
            if file.text is None:
                self.files.pop(file.path, None)
            else:
                self.files[file.path] = file.text


def programs(package: str) -> Path:
    """Return the folder with a package's own files, fetched once and never installed.

    :raises CalledProcessError: where apt cannot fetch it.
    """
    folder = cache() / "packages" / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package],
            cwd=folder.parent,
            check=True,
            capture_output=True,
        )
        (deb,) = folder.parent.glob(f"{package}_*.deb")
        building = folder.with_name(f".{package}")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(building)], check=True)
        deb.unlink()
        building.rename(folder)
    return folder


class InsideHost:
    """Read a machine of the rig as the library does, with a package's programs in PATH."""

    system = "linux"

    def __init__(self, machine: Machine, root: Path) -> None:
        self.machine = machine
        places = [root / "sbin", root / "usr/sbin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        self.path = ":".join(map(str, places))

    def read(self, path: str) -> str | None:
        return self.machine.read(path)

    def exists(self, path: str) -> bool:
        return self.machine.exists(path)

    def glob(self, pattern: str) -> list[str]:
        done = self.machine.run(["sh", "-c", 'for p in $1; do echo "$p"; done', "sh", pattern])
        return [path for path in done.out.split("\n") if path and self.exists(path)]

    def which(self, name: str) -> str | None:
        done = self.run(["sh", "-c", 'command -v "$1"', "sh", name])
        return done.out.strip() or None

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 30.0) -> Result:
        command = ["env", f"PATH={self.path}", *argv]
        return Result(*self.machine.run(command, stdin, timeout, check=False))

    def write(self, files: Iterable[File]) -> None:
        """Bring the machine's files to what a backend rendered."""
        for file in files:
            if file.text is None:
                self.machine.remove(file.path)
            else:
                self.machine.write(file.path, file.text, file.mode)
