"""Render the monitor's state as metrics in the text form of Prometheus. Pure.

Format: "Exposition formats", text version 0.0.4. node_exporter's textfile collector reads
the file where ``--collector.textfile.directory`` holds a link to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .model import UP

_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ('"', '\\"'))
#: Name, help, type.
_OF_HOST = (
    ("heartbeat_seconds", "Wall clock of the monitor's last word.", "gauge", "wall"),
    (
        "transitions_total",
        "Changes of a verdict since the start.",
        "counter",
        "transitions",
    ),
    ("journal_waiting", "Entries that are not on disk yet.", "gauge", "journal.waiting"),
    ("journal_lost_total", "Entries that found no room to wait.", "counter", "journal.lost"),
    ("late_turns_total", "Turns of the loop that came late.", "counter", "late_turns"),
)
_OF_LINE = (
    ("up", "1 for a line that is up.", "gauge"),
    ("default", "1 for a line that the default route uses.", "gauge"),
    ("since_seconds", "How long the verdict stands.", "gauge"),
    ("bound_seconds", "Longest that a loss of the line can stay unnoticed at present.", "gauge"),
    ("probes_total", "Probes that have ended.", "counter"),
)
_OF_TARGET = (
    ("rtt_seconds", "Mean round trip.", "gauge"),
    ("loss_ratio", "Share of probes without answer.", "gauge"),
)


def render_metrics(state: Mapping[str, Any]) -> str:
    """Return the whole text."""
    return "\n".join([*_lines(state), ""])


def _lines(state: Mapping[str, Any]) -> Iterator[str]:
    for name, told, kind, path in _OF_HOST:
        value: Any = state
        for part in path.split("."):
            value = value.get(part, 0) if isinstance(value, Mapping) else 0
        yield from _head(name, told, kind)
        yield f"ipalias_wan_{name} {_number(value)}"
    rows = list(state.get("lines", ()))
    for name, told, kind in _OF_LINE:
        yield from _head(name, told, kind)
        for row in rows:
            yield f"ipalias_wan_{name}{_labels(row)} {_number(_of_line(row, name))}"
    for name, told, kind in _OF_TARGET:
        yield from _head(name, told, kind)
        for row in rows:
            for target in row.get("targets", ()):
                value = target.get("rtt" if name == "rtt_seconds" else "loss")
                if value is not None:
                    # What stands behind it may be a token, and everyone can read metrics.
                    shown = str(target.get("target", "")).partition("?")[0]
                    labels = _labels(row, target=shown)
                    yield f"ipalias_wan_{name}{labels} {_number(value)}"


def _of_line(row: Mapping[str, Any], name: str) -> Any:
    return {
        "up": row.get("state") == UP,
        "default": row.get("default"),
        "since_seconds": row.get("for"),
        "bound_seconds": row.get("bound"),
        "probes_total": row.get("probed"),
    }[name]


def _head(name: str, told: str, kind: str) -> tuple[str, str]:
    return f"# HELP ipalias_wan_{name} {told}", f"# TYPE ipalias_wan_{name} {kind}"


def _labels(row: Mapping[str, Any], **more: object) -> str:
    pairs = {"uplink": row.get("uplink", ""), "family": row.get("family", ""), **more}
    return "{" + ",".join(f'{key}="{_escaped(str(value))}"' for key, value in pairs.items()) + "}"


def _escaped(text: str) -> str:
    for sign, word in _ESCAPES:
        text = text.replace(sign, word)
    return text


def _number(value: Any) -> str:
    return repr(float(value or 0)) if isinstance(value, float) else str(int(value or 0))
