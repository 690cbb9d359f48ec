"""Read how a line is watched: ``probe`` of the block and of an uplink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..errors import InputError
from ..values import (
    choice,
    mapping,
    parse_bool,
    parse_duration,
    parse_int,
    parse_share,
    refuse_unknown,
    short,
    span,
)
from .model import ProbeConfig, Silence, Threshold
from .profiles import PROFILES

PROBE_KEYS = (
    "profile",
    "interval",
    "timeout",
    "fall",
    "rise",
    "hold_down",
    "confirm",
    "silence",
    "adaptive",
    "loss",
    "latency",
    "within",
)
SILENCE_KEYS = ("least", "most")
THRESHOLD_KEYS = ("down", "up", "window")
#: A window with fewer probes than this tells no share worth acting on.
FEWEST = 10

#: A setting and where it stands: an uplink takes over what it does not say itself.
Settings = Mapping[str, tuple[object, str]]


def read_settings(value: object, where: str, base: Settings | None = None) -> Settings:
    """Return the settings of a ``probe`` block over those it stands in for.

    Who names a profile starts from that profile, not from what was said further up.

    :raises InputError: an unknown key; no mapping.
    """
    block = mapping(value, where)
    refuse_unknown(block, PROBE_KEYS, where)
    said = {str(key): (item, f"{where}:{key}") for key, item in block.items()}
    return said if base is None or "profile" in said else {**base, **said}


def parse_probe(settings: Settings) -> ProbeConfig:
    """Read settings into a way of watching.

    ``fall`` counts rounds, so who names it without `confirm` gets rounds.

    :raises InputError: a value out of range; values that contradict each other.
    """
    profile, where = settings.get("profile", ("default", ""))
    config = PROFILES[choice(profile, PROFILES, where)]
    for key, (value, path) in settings.items():
        if key in _READERS:
            config = _READERS[key](config, value, path)
    if "fall" in settings and "confirm" not in settings:
        config = replace(config, confirm=False)
    config = _fitted(config, settings)
    _refuse_contradictions(config, settings)
    return config


def parse_within(settings: Settings) -> tuple[float | None, str]:
    """Read the longest detection that is accepted, and where that stands.

    :raises InputError: no span of time.
    """
    if "within" not in settings:
        return None, ""
    value, where = settings["within"]
    return parse_duration(value, where, 0.05, 86400.0), where


def _fitted(config: ProbeConfig, settings: Settings) -> ProbeConfig:
    """Return the settings with what a profile gave, and nobody named, fitted to the rest."""
    if not config.confirm and "timeout" not in settings:
        config = replace(config, timeout=min(config.timeout, config.interval))
    fewest = FEWEST * config.interval
    if config.loss is not None and "loss" not in settings:
        window = max(config.loss.window, fewest)
        config = replace(config, loss=replace(config.loss, window=window))
    return config


def _refuse_contradictions(config: ProbeConfig, settings: Settings) -> None:
    """Refuse settings of which one makes another meaningless.

    :raises InputError: naming both.
    """
    if config.confirm and "fall" in settings:
        raise InputError(
            "`fall` counts rounds, and with `confirm` there are none",
            where=settings["fall"][1],
            way_out="leave one of the two out; `silence` says how long a line may be silent",
        )
    if not config.confirm and "silence" in settings:
        raise InputError(
            "`silence` is for `confirm`, which is off",
            where=settings["silence"][1],
            way_out="leave it out, or take `fall` and `confirm: false` out",
        )
    if "timeout" in settings and config.timeout > config.interval:
        raise InputError(
            f"a probe of {span(config.timeout)} is longer than its interval, "
            f"{span(config.interval)}",
            where=settings["timeout"][1],
            way_out="shorten `timeout` or lengthen `interval`; left out, the timeout follows "
            "the round trip",
        )
    longest = config.timeout
    if config.latency is not None and config.latency.down >= longest:
        raise InputError(
            f"a latency of {span(config.latency.down)} is never measured: "
            f"a probe is a miss after {span(longest)}",
            where=f"{settings['latency'][1]}:down",
            way_out="lower it, or lengthen `timeout` and `interval`",
        )
    for key, limit in (("loss", config.loss), ("latency", config.latency)):
        if limit is not None and limit.window < FEWEST * config.interval:
            raise InputError(
                f"a window of {span(limit.window)} holds fewer than {FEWEST} probes "
                f"{span(config.interval)} apart",
                where=settings[key][1],
                way_out=f"give `{key}` a window of {span(FEWEST * config.interval)} or more, "
                f"or `{key}: false`",
            )


def _threshold(
    value: object, old: Threshold | None, read: Callable[[object, str], float], where: str
) -> Threshold | None:
    """Read a limit with hysteresis; false: none."""
    if value is False or value is None:
        return None
    block = mapping(value, where)
    refuse_unknown(block, THRESHOLD_KEYS, where)
    if "down" not in block and old is None:
        raise InputError("`down` is missing", where=where, way_out="write {down: …, up: …}")
    down = read(block["down"], f"{where}:down") if "down" in block or old is None else old.down
    if "up" in block or old is None:
        up = read(block["up"], f"{where}:up") if "up" in block else down / 2
    else:
        up = old.up if old.up < down else down / 2
    window = old.window if old is not None else 60.0
    if "window" in block:
        window = parse_duration(block["window"], f"{where}:window", 1.0, 86400.0)
    if up >= down:
        raise InputError(
            f"`up` {short(block.get('up', up))} is not below "
            f"`down` {short(block.get('down', down))}",
            where=where,
            way_out="a line comes back at a better value than the one it goes down at",
        )
    return Threshold(down, up, window)


def _latency(value: object, where: str) -> float:
    """Read a round-trip time."""
    return parse_duration(value, where, 0.0001, 60.0)


def _silence(value: object, old: Silence, where: str) -> Silence:
    """Read how long a line may be silent: two limits, or one that does not move."""
    if not isinstance(value, Mapping):
        fixed = parse_duration(value, where, 0.02, 3600.0)
        return Silence(fixed, fixed)
    block = mapping(value, where)
    refuse_unknown(block, SILENCE_KEYS, where)
    least, most = old
    if "least" in block:
        least = parse_duration(block["least"], f"{where}:least", 0.02, 3600.0)
        most = max(most, least) if "most" not in block else most
    if "most" in block:
        most = parse_duration(block["most"], f"{where}:most", 0.02, 3600.0)
        least = min(least, most) if "least" not in block else least
    if least > most:
        raise InputError(f"`least` {span(least)} is above `most` {span(most)}", where=where)
    return Silence(least, most)


_Reader = Callable[[ProbeConfig, object, str], ProbeConfig]
_READERS: dict[str, _Reader] = {
    "interval": lambda c, v, w: replace(c, interval=parse_duration(v, w, 0.02, 3600.0)),
    "timeout": lambda c, v, w: replace(c, timeout=parse_duration(v, w, 0.01, 3600.0)),
    "fall": lambda c, v, w: replace(c, fall=parse_int(v, w, 1, 1000)),
    "rise": lambda c, v, w: replace(c, rise=parse_int(v, w, 1, 1000)),
    "hold_down": lambda c, v, w: replace(c, hold_down=parse_duration(v, w)),
    "confirm": lambda c, v, w: replace(c, confirm=parse_bool(v, w)),
    "adaptive": lambda c, v, w: replace(c, adaptive=parse_bool(v, w)),
    "silence": lambda c, v, w: replace(c, silence=_silence(v, c.silence, w)),
    "loss": lambda c, v, w: replace(c, loss=_threshold(v, c.loss, parse_share, w)),
    "latency": lambda c, v, w: replace(c, latency=_threshold(v, c.latency, _latency, w)),
}
