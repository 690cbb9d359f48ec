"""What the pure part may ask of a host: reading only.

Everything that changes a host is an effect of `effects`, performed by the
transaction. A `Host` is passed in, so that a test can pass a tree of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Host(Protocol):
    """Read a host."""

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
