"""What is told of settings: rows, changes and a comment, as plain data. Pure."""

from __future__ import annotations

from typing import Any

from ..difference import render_diff
from . import Held, Lasting, same_value
from .ledger import Entry
from .plan import Plan

#: Settings and files that a comment names; the rest is counted.
MAX_NAMED = 20
NOTHING = "Nothing of ours is concerned"


def row(key: str, held: Held, lasting: Lasting, entry: Entry | None) -> dict[str, Any]:
    """Return all that is known of one key; see `tuning.Tuner.effective`."""
    winner = lasting.winner
    return {
        "key": key,
        "live": held.live,
        "sources": [
            {"where": a.where, "value": a.value, "ours": a.ours} for a in lasting.assignments
        ],
        "winner": winner.where if winner is not None else None,
        "after_boot": lasting.value,
        "ours": winner is not None and winner.ours,
        "wanted": entry.value if entry is not None else None,
        "wanted_by": list(entry.wanted_by) if entry is not None else [],
        "found": entry.found.live if entry is not None else None,
    }


def stored_by_us(lasting: Lasting, entry: Entry | None) -> Lasting:
    """Return what a store has of a key, marked as ours where it is what we want of it."""
    if entry is None:
        return lasting
    told = tuple(a._replace(ours=same_value(a.value, entry.value)) for a in lasting.assignments)
    return Lasting(told, told[-1] if lasting.winner is not None else None)


def changes(plan: Plan) -> dict[str, dict[str, object]]:
    """Return what a plan changes."""
    told: dict[str, dict[str, object]] = {}
    if plan.files:
        told["files"] = {
            file.path: render_diff(file.path, plan.texts[file.path], file.text)
            for file in plan.files
        }
    for kind, at in (("settings", "live"), ("stored", "stored")):
        block: dict[str, object] = {}
        for key, target in plan.values.items():
            old, new = getattr(plan.now[key], at), getattr(target, at)
            absent = at == "live" and None in (old, new)
            if not absent and not same_value(old, new):
                block[key] = {"old": old, "new": new}
        if block:
            told[kind] = block
    if plan.starts:
        told["listener"] = {"old": "stopped", "new": "running"}
    elif plan.stops:
        told["listener"] = {"old": "running", "new": "stopped"}
    return told


def comment(plan: Plan, *, test: bool, stored: bool) -> str:
    """Return what was done, or what would be: for each setting file and live told apart.

    :param stored: True where the system's own store lasts, and no file.
    """
    gone = [key for key in plan.before if key not in plan.after]
    if not plan.touches_host:
        if not plan.after:
            return NOTHING
        waiting = sum(plan.now[key].live is None for key in plan.after)
        wait = f"; {waiting} wait for their interface" if waiting else ""
        place = "in the store" if stored else "in the file"
        return f"All {len(plan.after)} settings of ours are as wanted, {place} and live{wait}"
    told = []
    for key in plan.after:
        lasts, live = _lasting(plan, key, stored=stored), _live(plan, key)
        if not (lasts.endswith("is right") and live in (_RIGHT, _NOT_THERE)):
            told.append(f"{key}: {lasts}, {live}")
    for key in gone:
        target = plan.values.get(key)
        was = target.live if target is not None else None
        back = f"live goes back to {was}" if was is not None else "live stays"
        told.append(f"{key}: nobody wants it any more, {back}")
    if plan.starts or plan.stops:
        told.append(f"the listener for interfaces {'starts' if plan.starts else 'stops'}")
    if len(told) > MAX_NAMED:
        told = [*told[:MAX_NAMED], f"and {len(told) - MAX_NAMED} more"]
    files = ", ".join(file.path for file in plan.files)
    if test:
        return f"Would change {'; '.join(told) or files}"
    written = f"; written: {files}" if files else ""
    return f"Changed what was found: {'; '.join(told) or 'files alone'}{written}"


_RIGHT, _NOT_THERE = "live is right", "its interface is not there yet"


def _live(plan: Plan, key: str) -> str:
    now = plan.now[key].live
    if now is None:
        return _NOT_THERE
    return _RIGHT if same_value(now, plan.after[key].value) else f"live is {now}"


def _lasting(plan: Plan, key: str, *, stored: bool) -> str:
    value = plan.after[key].value
    if stored:
        now = plan.now[key].stored
        if now is None:
            return "the store lacks it"
        return "the store is right" if same_value(now, value) else f"the store has {now}"
    winner = plan.lasting[key].winner
    if winner is None:
        return "the file lacks it"
    if not same_value(winner.value, value):
        does = f"has {winner.value}" if winner.value is not None else "keeps it from being set"
        return f"{'the file' if winner.ours else winner.where} {does}"
    if any(a.ours and same_value(a.value, value) for a in plan.lasting[key].assignments):
        return "the file is right"
    return f"the file lacks it ({winner.where} sets it)"
