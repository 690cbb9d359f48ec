"""The minion's own configuration for events: the beacon and, with `react: event`, its engine.

A file beside the minion's own, of JSON, which is YAML. Salt takes a key of such a file *in the
place of* the one in the minion's main file, and joins lists among the files of ``minion.d``
(`salt.config.include_config`): so a main file that has one of our keys is left as it is, and
what would have to stand in it is said.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import disk
from ..difference import render_diff
from ..errors import EffectError, RefusedError
from . import writer
from .model import EVENT, WanConfig
from .places import Places

BEACON = "ipalias_wan"
FILE = "ipalias_wan.conf"
#: Tag under which a minion hands its own engines what its beacons have found.
RETURNED = "__beacons_return"
#: What the minion's engine runs: with Python as its renderer, so that nothing that stands in
#: an event is ever read as a template or as YAML. It calls the function in the engine's own
#: process: a `caller` reaction would first ask for a master that may be out of reach.
REACTION = """#!py
# Written by the ipalias formula. Switch for what the minion's own beacon has found.


def run():
    idents = []
    for event in data.get("beacons") or ():
        if "/ipalias_wan/" in event.get("tag", ""):
            idents.append(event.get("data", {}).get("transition"))
    if idents:
        __salt__["ipalias_wan.react"](idents)
    return {}
"""


#: What is said where nobody but an operator can start the minion anew.
BY_HAND = "Start the minion anew: it reads its engines at its start alone"


class Reporting(NamedTuple):
    """Hold what the minion's configuration shall be.

    :param keys: what is in our file; empty: there shall be none.
    :param reaction: text of what the engine runs; None: there shall be none.
    """

    keys: Mapping[str, Any]
    reaction: str | None

    @property
    def text(self) -> str | None:
        """Return the text of our file; None: there shall be none."""
        return f"{json.dumps(self.keys, indent=1)}\n" if self.keys else None


def reporting(config: WanConfig | None, places: Places) -> Reporting:
    """Return what the minion's configuration shall be.

    :param config: None: nothing of ours.
    """
    if config is None:
        return Reporting({}, None)
    keys: dict[str, Any] = {"beacons": {BEACON: beacon_of(places)}}
    if config.react != EVENT:
        return Reporting(keys, None)
    # With the master out of reach at its start a minion would run no beacon.
    keys["beacons_before_connect"] = True
    keys["engines"] = [{"reactor": {"worker_threads": 1}}]
    keys["reactor"] = [{RETURNED: [places.reaction]}]
    return Reporting(keys, REACTION)


def beacon_of(places: Places) -> list[dict[str, Any]]:
    """Return the beacon's settings."""
    return [{"interval": 1}, {"folder": places.state}]


def beside(wanted: Reporting, main: Mapping[str, Any], path: str) -> Reporting:
    """Return what our file shall have beside the minion's main file, which may have it already.

    :param main: what stands in that file, without what it includes.
    :raises RefusedError: a key of ours would hide one there; with what to write where.
    """
    keys = {key: value for key, value in wanted.keys.items() if not _has(main.get(key), value)}
    hidden = sorted(key for key in keys if key in main)
    if hidden:
        ours = json.dumps({key: keys[key] for key in hidden})
        raise RefusedError(
            f"the minion's own file has {', '.join(hidden)}, which a file of ours would hide",
            where=path,
            way_out=f"add there {ours}, or move them into a file of their own in minion.d",
        )
    return wanted._replace(keys=keys)


def _has(given: object, ours: object) -> bool:
    """Tell whether a key has what ours would give it, and maybe more."""
    if isinstance(ours, Mapping):
        return isinstance(given, Mapping) and all(
            key in given and _has(given[key], value) for key, value in ours.items()
        )
    if isinstance(ours, list):
        if isinstance(given, Mapping):  # `engines` may be a mapping as well
            given = [{key: value} for key, value in given.items()]
        return isinstance(given, list) and all(
            any(each == item or _names(each) == _names(item) == {"reactor"} for each in given)
            for item in ours
        )
    return given == ours


def _names(value: object) -> set[object]:
    """Return what an item of a list names: a text, or the keys of a mapping."""
    if isinstance(value, Mapping):
        return set(value)
    return {value} if isinstance(value, str) else set()


def needs_restart(wanted: Reporting, running: Mapping[str, Any], places: Places) -> bool:
    """Tell whether the minion has to be started anew for it: a beacon comes without, not an engine.

    :param wanted: all of it, wherever it stands: see `reporting`, not what `beside` has left.
    :param running: configuration that the minion runs with.
    """
    # By the file that it runs: an operator may have reactions of their own to the same tag.
    listening = any(
        places.reaction in _listed(row.get(RETURNED)) for row in _rows(running.get("reactor"))
    )
    if not wanted.reaction:
        return listening
    return not (listening and any("reactor" in _names(row) for row in running.get("engines") or ()))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def changes(wanted: Reporting, folder: str, places: Places) -> dict[str, tuple[str, str | None]]:
    """Return the files that differ: path → text now and text to be (None: none)."""
    files = {f"{folder}/{FILE}": wanted.text, places.reaction: wanted.reaction}
    found: dict[str, tuple[str, str | None]] = {}
    for path, text in files.items():
        before = read(path)
        if before != (text or ""):
            found[path] = (before, text)
    return found


def answer(
    differing: Mapping[str, tuple[str, str | None]], restart: bool, test: bool
) -> dict[str, Any]:
    """Return what is answered: ``result``, ``changes``, ``comment``, ``notes``.

    :param restart: the minion is started anew; one that an operator has to start is no change.
    """
    diffs = {path: render_diff(path, before, text) for path, (before, text) in differing.items()}
    changes: dict[str, Any] = {"files": diffs} if diffs else {}
    if restart:
        changes["minion"] = "started anew"
    comment = "The minion reports as wanted"
    if changes:
        would = "would be " if test else ""
        comment = f"{len(diffs)} files of the minion's {would}changed"
    result = None if test and changes else True
    return {"result": result, "changes": changes, "comment": comment, "notes": []}


def write(differing: Mapping[str, tuple[str, str | None]]) -> None:
    """Write files, or remove them; where one cannot be, all are as they were.

    :raises EffectError: the system refuses.
    """
    done: list[str] = []
    try:
        # What an engine runs is there before the engine is asked for.
        for path in sorted(differing, key=lambda path: path.endswith(".conf")):
            done.append(path)
            _put(path, differing[path][1])
    except OSError as error:
        for path in done[:-1]:
            _put(path, differing[path][0] or None)
        raise EffectError(
            f"cannot be written: {error.strerror}",
            where=done[-1],
            way_out="everything is as it was",
        ) from error


def _put(path: str, text: str | None) -> None:
    if text is None:
        disk.forget(path)
        return
    disk.make_folder(posixpath.dirname(path), 0o755 if path.endswith(".conf") else 0o700)
    writer.replace(path, text, 0o600, sync=True)


def read(path: str) -> str:
    """Return a file's text, or an empty one."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def service_of(cgroup: str) -> str:
    """Return the systemd service that a process belongs to, by its control groups; empty: none.

    Format: cgroups(7), ``/proc/PID/cgroup``.
    """
    for line in cgroup.splitlines():
        name = line.rpartition("/")[2]
        if name.endswith(".service"):
            return name
    return ""


def restarting(service: str, job: int) -> list[str]:
    """Return the command that starts a minion anew when a process of it has ended.

    A unit of its own, for what belongs to the minion's would end with it; it waits for the
    job, so that the job's answer is with the master first. systemd-run(1), tail(1).
    """
    waiting = f"--property=ExecStartPre=-/usr/bin/tail --pid={job} -f /dev/null"
    unit = f"--unit=ipalias-wan-restart-{os.path.splitext(service)[0]}"
    options = ["--collect", "--no-block", "--property=Type=oneshot", waiting]
    return ["systemd-run", unit, *options, "systemctl", "try-restart", service]
