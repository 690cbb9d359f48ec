"""What is asked of the files that the monitor leaves: pictures, metrics, simulations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..difference import render_diff
from ..errors import EffectError, InputError, UnsupportedError
from ..values import mapping, short
from . import simulate, writer
from .clocks import read_moment
from .config import parse_wan
from .delivery import read_entries
from .metrics import render_metrics
from .model import WanConfig
from .places import Places
from .record import parse_probes
from .status import read_state
from .stored import parse_config
from .timeline import render_timeline


def config(places: Places) -> WanConfig:
    """Return the configuration that is in force.

    :raises InputError: there is none, or it is refused.
    :raises ParseError: it is damaged.
    """
    try:
        with open(places.config, encoding="utf-8") as file:
            return parse_config(file.read(), places.config)
    except OSError as error:
        raise InputError(
            f"{error.strerror}", where=places.config, way_out="apply the state ipalias.wan"
        ) from error


def config_if_any(places: Places) -> WanConfig | None:
    """Return the configuration that is in force; None: there is none.

    :raises IpaliasError: it cannot be read.
    """
    return config(places) if os.path.exists(places.config) else None


def refuse_elsewhere(system: str) -> None:
    """Refuse what is the monitor's, or the kernel's it runs on, where ifstated watches.

    :raises UnsupportedError: not Linux.
    """
    if system != "linux":
        raise UnsupportedError(
            f"the monitor runs on Linux, this is {system}",
            where="ipalias_wan",
            way_out="status, history, timeline and the beacon go by what ifstated has noted",
        )


def timeline(config: WanConfig, places: Places, hours: float) -> str:
    """Return the lines' last hours as SVG."""
    states = {way.line: "" for _, way in config.ways()}
    try:
        said, _ = read_state(places)
    except EffectError:
        said = {}
    rows = {row.get("line"): row.get("state", "") for row in said.get("lines", ())}
    known = {line: str(rows.get(line.text(), "")) for line in states}
    return render_timeline(known, read_entries(places), read_moment().wall, hours * 3600)


def metrics(places: Places) -> str:
    """Return the metrics as they are now, in Prometheus' text form.

    :raises EffectError: the monitor does not answer and has left nothing.
    """
    return render_metrics(read_state(places)[0])


def simulated(block: object, settings: object, root: str, places: Places) -> dict[str, object]:
    """Return what other settings would have done over the recorded probes.

    :param block: the pillar's ``wan``.
    :param settings: keys that take the place of its own; None: none.
    :raises InputError: they are refused, or nothing is on record for these lines.
    """
    changed = {**mapping(block, f"{root}:wan"), **mapping(settings or {}, "settings")}
    config = parse_wan(changed, f"{root}:wan")
    text = _text(f"{places.probes}.1") + _text(places.probes)
    outcomes = parse_probes(text, config)
    if not outcomes:
        raise InputError(
            "no probe of these lines and targets is on record",
            where=places.probes,
            way_out="let the monitor run for a while",
        )
    return simulate.simulate(config, outcomes)


def write(path: object, text: str, test: bool) -> dict[str, Any]:
    """Write a text to a file that an operator names, in one step, readable for all.

    :raises InputError: not an absolute path, in a folder that is there, of a plain file.
    :raises EffectError: the system refuses; the file is as it was.
    """
    if not isinstance(path, str) or not path.startswith("/") or not path.isprintable():
        raise InputError(f"{short(path)} is not an absolute path", where="path")
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise InputError("is no plain file", where=path)
    if not os.path.isdir(os.path.dirname(path)):
        raise InputError("its folder is not there", where=path)
    before = _text(path)
    changes: Mapping[str, Any] = {}
    if before != text:
        changes = {"files": {path: render_diff(path, before, text)}}
    if changes and not test:
        try:
            writer.replace(path, text, 0o644)
        except OSError as error:
            raise EffectError(f"cannot be written: {error.strerror}", where=path) from error
    return {
        "result": None if changes and test else True,
        "changes": changes,
        "comment": f"{path} {'would be ' if test else ''}written" if changes else "as it was",
    }


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
