"""What the pure part may ask of a host: reading only.

Everything that changes a host is an effect of `effects`, performed by the
transaction. A `Host` is passed in, so that a test can pass a tree of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

#: Exit code of a command that is not installed, as a shell reports it.
NOT_FOUND = 127
#: Exit code of a command that ran past its time limit, as timeout(1) reports it.
TIMED_OUT = 124


class Result(NamedTuple):
    """Hold what a command said."""

    code: int
    out: str
    err: str


#: Systems by the name that `Host.system` gives them; each has a live tool (`live.tools`).
#: What people call each.
SYSTEMS: Mapping[str, str] = {
    "linux": "Linux",
    "freebsd": "FreeBSD",
    "openbsd": "OpenBSD",
    "sunos": "Solaris or illumos",
    "windows": "Windows",
}


class Host(Protocol):
    """Read a host."""

    @property
    def system(self) -> str:
        """Return which kernel it runs: one of `SYSTEMS`."""

    def read(self, path: str) -> str | None:
        """Return a file's text, or None where there is none.

        Undecodable bytes come as surrogates, line ends as they stand, so that writing the
        same text back gives the same bytes.
        """

    def exists(self, path: str) -> bool:
        """Tell whether a path exists."""

    def glob(self, pattern: str) -> list[str]:
        """Return matching paths, sorted; hidden files are not matched by ``*``."""

    def which(self, name: str) -> str | None:
        """Return the path of a program, looked for in PATH and the sbin folders."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        """Run a command that only reads; `NOT_FOUND` when it is not installed."""


class Overlay:
    """A host on which some files already have the text that they shall get.

    What is planned second must see what was planned first: netplan keeps the aliases of
    all interfaces in one file.
    """

    def __init__(self, host: Host, files: Mapping[str, str | None]) -> None:
        self._host = host
        self._files = files
        self.system = host.system

    def read(self, path: str) -> str | None:
        """Return a file's text, as planned or as it is."""
        return self._files[path] if path in self._files else self._host.read(path)

    def exists(self, path: str) -> bool:
        """Tell whether a path exists, as planned or as it is."""
        if path in self._files:
            return self._files[path] is not None
        return self._host.exists(path)

    def glob(self, pattern: str) -> list[str]:
        """Return matching paths, sorted, planned files among them."""
        found = {path for path in self._host.glob(pattern) if self.exists(path)}
        found |= {
            path
            for path, text in self._files.items()
            if text is not None and _matches(path, pattern)
        }
        return sorted(found)

    def which(self, name: str) -> str | None:
        """Return the path of a program."""
        return self._host.which(name)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        """Run a command that only reads."""
        return self._host.run(argv, stdin, timeout)


class Remembered:
    """A host that is asked each question once.

    For the moment in which several backends look for an owner: each asks whether networkd
    runs, and a process costs more than all the rest of a look.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._said: dict[tuple[str, ...], Result] = {}
        self.system = host.system
        self.read = host.read
        self.exists = host.exists
        self.glob = host.glob
        self.which = host.which

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        """Run a command that only reads, unless its answer is known."""
        if stdin is not None:
            return self._host.run(argv, stdin, timeout)
        key = tuple(argv)
        if key not in self._said:
            self._said[key] = self._host.run(argv, stdin, timeout)
        return self._said[key]


def _matches(path: str, pattern: str) -> bool:
    """Match a path as glob(7) does: part by part, hidden files not by a wildcard."""
    parts, wanted = path.split("/"), pattern.split("/")
    if len(parts) != len(wanted):
        return False
    return all(
        fnmatchcase(part, want) and (part[:1] != "." or want[:1] == ".")
        for part, want in zip(parts, wanted, strict=True)
    )
