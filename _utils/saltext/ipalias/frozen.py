"""The frozen copy: what outlives a Salt job runs from a copy that no sync can touch.

Salt's cache can vanish under a running process, a sync can bring a newer library, an
upgrade can replace Salt itself. So the library is copied, with a checksum of each file,
to a folder named after version and content, and ``current`` is switched to it by one
rename. The copy is a top-level package of its own: a regular ``saltext`` package that
another extension brought would hide ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

PACKAGE = "ipalias_frozen"
CURRENT = "current"
SUMS = "SHA256SUMS"
RUN = "run.py"

_RUN = '''"""Run a part of the library from this copy: `run.py NAME ARGUMENTS`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

if __name__ == "__main__":
    # The monitor runs for years and needs none of what puts files back.
    if sys.argv[1:2] == ["wan"]:
        from ipalias_frozen.wan import service as part
    elif sys.argv[1:2] == ["wan-note"]:
        from ipalias_frozen.wan import note as part
    else:
        from ipalias_frozen import outlive as part

    sys.exit(part.main(sys.argv[1:]))
'''


@dataclass(frozen=True)
class Copy:
    """Hold a frozen copy before it is written.

    :param name: folder name: version and the first digits of the content's digest.
    :param files: relative path → text, the checksums included.
    """

    name: str
    files: Mapping[str, str]


def make_copy(version: str, sources: Mapping[str, str]) -> Copy:
    """Return the copy of the library.

    :param sources: path relative to the package → text.
    """
    files = {f"{PACKAGE}/{path}": text for path, text in sorted(sources.items())}
    files[RUN] = _RUN
    sums = "".join(f"{_digest(text)}  {path}\n" for path, text in files.items())
    files[SUMS] = sums
    return Copy(f"{version}-{_digest(sums)[:12]}", files)


def damaged(sums: str, files: Mapping[str, str | None]) -> list[str]:
    """Return the files of a copy that are not what its checksums say.

    :param files: relative path → text as it lies on disk; None: it is gone.
    """
    wrong = []
    for line in sums.splitlines():
        digest, _, path = line.partition("  ")
        text = files.get(path)
        if text is None or _digest(text) != digest:
            wrong.append(path)
    return wrong


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
