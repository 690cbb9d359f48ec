"""Put the original of a foreign file back, as it was before our first edit."""

from __future__ import annotations

from typing import Any

from .backup import Original, parse_index, render_index
from .effects import Effects, FileState, ReadFile, run
from .engine import Engine
from .errors import InputError, RefusedError
from .plan import render_diff
from .transaction import Paths, write_file, write_state


def originals(engine: Engine) -> dict[str, Original]:
    """Return the originals that are kept, by path."""
    index = engine.paths.index
    return parse_index(engine.host.read(index), index)


def restore(
    engine: Engine, path: str | None, *, test: bool = False, force: bool = False
) -> dict[str, Any]:
    """Put originals back and show the difference.

    :param path: one file, or None for all.
    :param force: put back even where somebody else changed the file after us.
    :raises InputError: no original of that path is kept.
    :raises RefusedError: foreign edits would be lost.
    """
    index = originals(engine)
    if path is not None and path not in index:
        known = ", ".join(sorted(index)) or "none"
        raise InputError(
            f"no original of {path} is kept", where="path", way_out=f"kept originals: {known}"
        )
    chosen = [index[path]] if path is not None else list(index.values())
    diffs: dict[str, str] = {}
    texts: dict[str, str] = {}
    for entry in chosen:
        original = engine.host.read(f"{engine.paths.backup}/{entry.saved}")
        current = engine.host.read(entry.path)
        if original is None:
            raise RefusedError(f"the original of {entry.path} is gone", where=engine.paths.backup)
        if original == current:
            continue
        changed = entry.edited or current is None or not entry.is_ours(current)
        if changed and not force:
            raise RefusedError(
                "somebody else changed this file after us; their edits would be lost",
                where=entry.path,
                way_out="look at the difference with test=True force=True, then force=True",
            )
        diffs[entry.path] = render_diff(entry.path, current, original)
        texts[entry.path] = original
    if texts and not test:
        run(_put_back(engine.paths, index, texts), engine.host.perform)
    comment = f"Put back {', '.join(diffs)}" if diffs else "Every original is in place"
    if test and diffs:
        comment = f"Would put back {', '.join(diffs)}"
    return {
        "result": None if test and diffs else True,
        "changes": {"files": diffs} if diffs else {},
        "comment": comment,
    }


def _put_back(paths: Paths, index: dict[str, Original], texts: dict[str, str]) -> Effects[None]:
    """Write the originals and forget them."""
    left = dict(index)
    for path, text in texts.items():
        state: FileState | None = yield ReadFile(path)
        yield from write_file(path, text, index[path].mode, state)
        del left[path]
    yield from write_state(paths, paths.index, render_index(left))
