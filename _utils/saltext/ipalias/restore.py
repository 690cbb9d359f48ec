"""Put back what was there before our first change: originals of files, and of a store."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .backends import load
from .backup import Original, digest, parse_index, render_index
from .difference import cap, render_diff
from .effects import Effects, FileState, ReadFile, ReadLive
from .engine import Engine
from .errors import InputError, IpaliasError, RefusedError
from .files import write_file, write_state
from .guarded import Verdict, guarded
from .host import Host, Overlay
from .journal import Record
from .ledger import Ledger
from .live import Snapshot
from .paths import Paths
from .restore_store import kept_stores, restore_store
from .restore_vips import refuse_answered, said_of_coming
from .surroundings import MAX_NAMED
from .tuning import Tuner
from .values import plain


def originals(engine: Engine) -> dict[str, Original]:
    """Return the originals that are kept, by path."""
    index = engine.paths.index
    return parse_index(engine.host.read(index), index)


def restore(
    engine: Engine, path: str | None, *, test: bool = False, force: bool = False
) -> dict[str, Any]:
    """Put originals back and show the difference.

    :param path: one file, or what is kept of a store; None for all.
    :param force: put back even where somebody else changed it after us.
    :raises InputError: no original of that path is kept.
    :raises RefusedError: foreign edits would be lost, or an address would come back that this
        host answers for (`restore_vips`).
    """
    with engine.lock("ipalias.restore", test):
        index, stores = originals(engine), kept_stores(engine)
        if path is not None and (not isinstance(path, str) or path not in {*index, *stores}):
            known = ", ".join(sorted({*index, *stores})) or "none"
            raise InputError(
                f"no original of {plain(path)} is kept",
                where="path",
                way_out=f"kept originals: {known}",
            )
        answers = []
        if path in index or (path is None and (index or not stores)):
            answers.append(_restore_files(engine, index, path, test=test, force=force))
        for kept, backend in stores.items():
            if path in (None, kept):
                answers.append(restore_store(engine, backend, kept, test=test, force=force))
    return _joined(answers, engine.notes())


def _joined(answers: list[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    """Return one answer for several.

    :param notes: what is to be said once, whichever of them says it.
    """
    joined = dict(answers[0])
    for answer in answers[1:]:
        joined["result"] = None if None in (joined["result"], answer["result"]) else True
        joined["changes"] = {**joined["changes"], **answer["changes"]}
        joined["comment"] += f". {answer['comment']}"
    left = [note for note in dict.fromkeys(notes) if note not in joined["comment"]]
    joined["comment"] = ". ".join([joined["comment"], *left])
    return joined


def _restore_files(
    engine: Engine, index: dict[str, Original], path: str | None, *, test: bool, force: bool
) -> dict[str, Any]:
    """Put files back."""
    texts = _chosen(engine, index, path, force)
    _refuse_loud(engine, texts)
    if texts:
        refuse_answered(engine, texts, index)
    diffs = {name: render_diff(name, engine.host.read(name), text) for name, text in texts.items()}
    said = [*_left_live(engine, texts), *_coming(engine, texts)] if texts else []
    if texts and not test:
        said += engine.make(_guarded(engine, index, texts))
    comment = f"Put back {', '.join(diffs)}" if diffs else "Every original is in place"
    if test and diffs:
        comment = f"Would put back {', '.join(diffs)}"
    changes, _ = cap({"files": dict(diffs)} if diffs else {})
    return {
        "result": None if test and diffs else True,
        "changes": changes,
        "comment": ". ".join([comment, *said]),
    }


def _left_live(engine: Engine, texts: Mapping[str, str]) -> list[str]:
    """Return, a sentence each, what of ours the files no longer set, and stays ours and live.

    The kernel is not touched here: an original says nothing of what else was live by then.
    """
    ledger, host = engine.ledger(), Overlay(engine.host, texts)
    said = []
    for name, entries in ledger.interfaces.items():
        ours = [entry.alias for entry in entries.values() if entry.file]
        held, after = (_set_by_files(each, name, ledger) for each in (engine.host, host))
        lost = [alias.cidr for alias in ours if alias.cidr in held and alias.cidr not in after]
        if lost:
            more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
            said.append(
                f"Still ours, and in the kernel as before: {', '.join(lost[:MAX_NAMED])}{more} of"
                f" {name}, which its next change writes into its files again"
            )
    return said


def _coming(engine: Engine, texts: Mapping[str, str]) -> list[str]:
    """Return, a sentence each, what the files set again and the kernel does not have."""
    return said_of_coming(engine, texts, list(engine.ledger().interfaces), engine.snapshot())


def _set_by_files(host: Host, interface: str, ledger: Ledger) -> set[str]:
    """Return what the files set on an interface; nothing where they cannot be read."""
    try:
        backend = load(ledger.backends[interface])
        return {f.alias.cidr for f in backend.parse(host, backend.assume(host, interface))}
    except (IpaliasError, KeyError):
        return set()


def _refuse_loud(engine: Engine, texts: Mapping[str, str]) -> None:
    """Refuse to take settings out of a file that keep this host silent under a VIP."""
    if any(posixpath.basename(path) == "sysctl.conf" for path in texts):
        tuner = Tuner(engine.host, engine.settings)
        tuner.refuse_loud(tuner.entries(), "ipalias.restore")


def _chosen(
    engine: Engine, index: dict[str, Original], path: str | None, force: bool
) -> dict[str, str]:
    """Return the originals that differ from what is there, by path."""
    texts: dict[str, str] = {}
    for entry in [index[path]] if path is not None else index.values():
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
        texts[entry.path] = original
    return texts


def _guarded(engine: Engine, index: dict[str, Original], texts: dict[str, str]) -> Effects[Verdict]:
    """Put originals back as one change."""
    files: dict[str, FileState | None] = {}
    for path in (*texts, engine.paths.index):
        files[path] = yield ReadFile(path)
    before: Snapshot = yield ReadLive()
    written = {path: digest(text) for path, text in texts.items()}
    record = Record(engine.new_id(), "ipalias.restore", files=files, written=written)
    body = _put_back(engine.paths, index, texts)
    settings = replace(engine.settings, guard=engine.config_or_none().guard)
    _, verdict = yield from guarded(record, body, before, engine.host, settings)
    return verdict


def _put_back(paths: Paths, index: dict[str, Original], texts: dict[str, str]) -> Effects[None]:
    """Write the originals and forget them."""
    left = dict(index)
    for path, text in texts.items():
        state: FileState | None = yield ReadFile(path)
        yield from write_file(path, text, index[path].mode, state)
        del left[path]
    yield from write_state(paths, paths.index, render_index(left))
