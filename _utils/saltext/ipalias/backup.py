"""The index of originals: what a foreign file was before our first edit of it.

Originals lie in the state folder, never beside the file, where a daemon would read them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .errors import MALFORMED, ParseError


@dataclass(frozen=True)
class Original:
    """Hold where an original lies and what we made of the file since.

    :param saved: file name below the backup folder.
    :param written: SHA-256 of the text we wrote last.
    :param before: SHA-256 of what stood there before that: a change that was undone, or cut
        short before the file was written, has left this.
    :param edited: True when somebody else changed the file between two edits of ours.
    """

    path: str
    saved: str
    written: str
    mode: int = 0o644
    edited: bool = False
    before: str = ""

    def is_ours(self, text: str) -> bool:
        """Tell whether a text is one that we, and nobody after us, left in the file."""
        return digest(text) in (self.written, self.before)


Index = Mapping[str, Original]


def digest(text: str) -> str:
    """Return the SHA-256 of a text as it stands on disk."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def saved_name(path: str) -> str:
    """Return a flat file name for a path: readable, and unique by a digest."""
    flat = re.sub(r"[^A-Za-z0-9._-]", "_", path.strip("/"))[:80]
    return f"{flat}.{hashlib.sha256(path.encode()).hexdigest()[:12]}.orig"


def record(index: Index, path: str, before: str, after: str, mode: int) -> dict[str, Original]:
    """Return the index after an edit of ours: the first edit keeps the original."""
    known = index.get(path)
    if known is None:
        entry = Original(path, saved_name(path), digest(after), mode, before=digest(before))
    else:
        edited = known.edited or not known.is_ours(before)
        entry = replace(known, written=digest(after), edited=edited, before=digest(before))
    return {**index, path: entry}


def render_index(index: Index) -> str:
    """Return the index as JSON text."""
    rows = {
        path: {
            "saved": entry.saved,
            "written": entry.written,
            "mode": entry.mode,
            "edited": entry.edited,
            "before": entry.before,
        }
        for path, entry in index.items()
    }
    return json.dumps({"schema": 1, "files": rows}, indent=1) + "\n"


def parse_index(text: str | None, path: str) -> dict[str, Original]:
    """Read the index; None (no file) gives an empty one.

    :raises ParseError: not an index of ours.
    """
    if text is None:
        return {}
    try:
        rows = json.loads(text)["files"]
        return {
            str(name): Original(
                str(name),
                str(row["saved"]),
                str(row["written"]),
                int(row["mode"]),
                bool(row["edited"]),
                str(row.get("before", "")),
            )
            for name, row in rows.items()
        }
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a backup index ({error!r})") from None
