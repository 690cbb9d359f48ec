"""The journal for people and for the picture of a day. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any

from .model import Transition


def history(
    entries: Sequence[Transition], owed: Collection[str], *, uplink: str = "", limit: int = 50
) -> list[dict[str, Any]]:
    """Return transitions as plain data, the newest first.

    :param owed: ids that the master has not acknowledged.
    :param uplink: of this one alone; empty: of all.
    """
    rows = []
    for entry in reversed(entries):
        if uplink and entry.line.uplink != uplink:
            continue
        rows.append(
            {
                "transition": entry.ident,
                "line": entry.line.text(),
                "state": entry.state,
                "at": clock_text(entry.at),
                "reason": entry.reason,
                "outage": entry.outage,
                "bound": entry.bound,
                "acted": entry.acted,
                "acknowledged": entry.ident not in owed,
            }
        )
        if len(rows) >= limit:
            break
    return rows


def clock_text(wall: float) -> str:
    """Return a moment for people and for programs: ISO 8601, UTC, milliseconds."""
    try:
        moment = datetime.datetime.fromtimestamp(wall, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return "?"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
