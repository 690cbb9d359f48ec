"""What the lines are, for people: the monitor's word held against the kernel and the clock."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import MALFORMED, EffectError
from . import control, netlink
from .clocks import Moment, read_moment
from .conntrack import count_flows
from .history import clock_text
from .model import Line, WanConfig
from .netlink import Netlink, NetlinkError
from .places import Places
from .reaction import Ask, asking
from .standing import carried
from .switch import Switch

#: A monitor whose last word is older than this (seconds) stands still, or is not there.
OLD = 5.0
#: Seconds that it has to answer in: one whose last word, due each second, is younger than
#: `YOUNG`, and another, which is hardly waited for.
SOON, AT_ONCE, YOUNG = 1.0, 0.1, 2.0
Held = Mapping[int, Sequence[tuple[Line, int]]]


def read_state(places: Places, ask: Ask | None = None) -> tuple[dict[str, Any], str]:
    """Return what the monitor says, or said last, and why it does not say it now.

    :raises EffectError: it does not answer and has left nothing.
    """
    last = _last_word(places.status)
    try:
        young = read_moment().boot - float(last["heartbeat"]) < YOUNG if last else True
    except MALFORMED:
        young = True
    try:
        ask = ask or asking(places, SOON if young else AT_ONCE)
        return ask({"verb": control.STATUS}), ""
    except EffectError as error:
        if not last:
            raise
        return last, error.text()


def _last_word(path: str) -> dict[str, Any]:
    """Return what the monitor has left; empty: nothing that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, *MALFORMED):
        return {}


def status(config: WanConfig, places: Places) -> dict[str, Any]:
    """Return what the lines are.

    :raises EffectError: nothing is known, or the kernel does not tell.
    """
    state, silent = read_state(places)
    switch = Switch(config, lambda text: "")
    try:
        held = carried(config, switch.read())
    finally:
        switch.close()
    return describe(config, state, read_moment(), held, used(config), silent)


def describe(
    config: WanConfig,
    state: Mapping[str, Any],
    now: Moment,
    held: Held,
    use: Mapping[Line, Mapping[str, Any]],
    silent: str = "",
) -> dict[str, Any]:
    """Return the monitor's state with what the kernel has beside it.

    :param held: the default routes of ours in the kernel, by family.
    :param use: what each line has carried, see `used`.
    :param silent: why the monitor did not answer; empty: it did.
    """
    age = max(0.0, now.boot - float(state.get("heartbeat", 0.0)))
    problems = list(state.get("problems", ()))
    if silent:
        problems.insert(0, silent)
    if age > OLD:
        problems.insert(0, f"the monitor's last word is {age:.0f} s old")
    known = {way.line.text(): way.line for _, way in config.ways()}
    missing = {name for name, _ in state.get("missing", ())}
    return {
        "monitor": {
            "alive": not silent and age <= OLD,
            "heartbeat age": round(age, 3),
            "running for": round(now.boot - float(state.get("started", now.boot)), 3),
            "react": state.get("react", ""),
            "left to a reaction": bool(state.get("left_to_reaction")),
            "journal": dict(state.get("journal", {})),
            "late turns": state.get("late_turns", 0),
        },
        "lines": {
            row["line"]: _line(row, now, age, use.get(known[row["line"]], {}))
            for row in state.get("lines", ())
            if row.get("line") in known
        },
        "default routes": {
            family: _route(rows, held.get(int(family[-1]), ()), missing)
            for family, rows in dict(state.get("wanted", {})).items()
        },
        "because": state.get("because", ""),
        "missing": [f"{name}: {why}" for name, why in state.get("missing", ())],
        "problems": problems,
    }


def _line(
    row: Mapping[str, Any], now: Moment, age: float, use: Mapping[str, Any]
) -> dict[str, Any]:
    stands = float(row["for"]) + age
    targets = list(row.get("targets", ()))
    rtts = [target["rtt"] for target in targets if target.get("rtt") is not None]
    losses = [target["loss"] for target in targets if target.get("loss") is not None]
    asked = {each.get("target"): each for each in row.get("probes", ())}
    return {
        "state": row["state"],
        "since": clock_text(now.wall - stands),
        "for": round(stands, 3),
        "reason": row.get("reason", ""),
        "default": bool(row.get("default")),
        "failed by hand": bool(row.get("failed")),
        "drained by hand": bool(row.get("drained")),
        "held down for": row.get("held", 0.0),
        "bound": row.get("bound"),
        "source": row.get("source", ""),
        "loss": round(sum(losses) / len(losses), 4) if losses else None,
        "latency": round(min(rtts), 6) if rtts else None,
        "targets": [_target(each, asked.get(each["target"], {}), now) for each in targets],
        "use": dict(use),
    }


def _target(row: Mapping[str, Any], probe: Mapping[str, Any], now: Moment) -> dict[str, Any]:
    sent = probe.get("sent")
    return {
        "target": row["target"],
        "answers": row.get("answers"),
        "loss": row.get("loss"),
        "latency": row.get("rtt"),
        "missed": row.get("missed"),
        "last probe": {
            "command": probe.get("command", ""),
            "error": probe.get("error") or row.get("error") or "",
            "rtt": probe.get("rtt"),
            "ago": round(now.boot - sent, 3) if sent is not None else None,
        },
    }


def _route(
    rows: Sequence[Sequence[Any]], held: Sequence[tuple[Line, int]], missing: Collection[str]
) -> dict[str, Any]:
    """Hold a family's default routes against what is wanted; a line out of reach is no fault."""
    wanted = {str(name): int(weight) for name, weight in rows}
    there = {line.text(): weight for line, weight in held}
    due = {name for name in wanted if name not in missing}
    return {"wanted": wanted, "kernel": there, "agree": due == set(there) - set(missing)}


def used(config: WanConfig) -> dict[Line, dict[str, Any]]:
    """Return what each line carries: its flows, and what its interface has counted since boot.

    Uplinks on one interface share its counters.
    """
    sockets = Netlink(netlink.NETFILTER)
    found: dict[Line, dict[str, Any]] = {}
    try:
        for uplink, way in config.ways():
            row: dict[str, Any] = {"interface": way.interface}
            for name, counter in (("received", "rx_bytes"), ("sent", "tx_bytes")):
                row[name] = _counter(way.interface, counter)
            with contextlib.suppress(NetlinkError):
                row["flows"] = count_flows(sockets, config.numbers, uplink.index, way.line.family)
            found[way.line] = row
    finally:
        sockets.close()
    return found


def _counter(interface: str, name: str) -> int | None:
    """Return a counter of an interface (bytes); None: there is no such interface."""
    try:
        with open(f"/sys/class/net/{interface}/statistics/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
