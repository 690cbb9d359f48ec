"""Lines that exist in a model only: delay, jitter, loss and outages, from a seed."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Line, Probe, WanConfig
from saltext.ipalias.wan.policy import Start

Loss = Callable[[float], bool]


def no_loss(at: float) -> bool:
    """Lose nothing."""
    return False


def random_loss(share: float, rng: random.Random) -> Loss:
    """Lose each round trip with the same chance."""
    return lambda at: rng.random() < share


def bursts(share: float, mean: float, rng: random.Random) -> Loss:
    """Lose everything in spans of exponential length (Gilbert-Elliott).

    :param share: of time that is lost.
    :param mean: length of such a span, in seconds.
    """
    edges = [0.0]

    def lost(at: float) -> bool:
        while edges[-1] <= at:
            good = mean * (1 - share) / share
            length = rng.expovariate(1 / (mean if len(edges) % 2 == 0 else good))
            edges.append(edges[-1] + length)
        return bisect_right(edges, at) % 2 == 0

    return lost


class ModelLine:
    """Answer questions over one line.

    :param delay: mean round trip in seconds; `jitter`: half the width it varies in.
    :param place: where an outage cuts the way, from 0 (at the gateway) to 1 (at the target).
    """

    def __init__(
        self,
        rng: random.Random,
        delay: float = 0.0002,
        jitter: float = 0.0,
        loss: Loss = no_loss,
        place: float = 0.5,
    ) -> None:
        self.rng, self.delay, self.jitter, self.loss = rng, delay, jitter, loss
        self.place = place
        self.outages: list[tuple[float, float]] = []
        self.dead: set[str] = set()

    def rtt(self, probe: Probe, at: float) -> float | None:
        rtt = max(0.0001, self.delay + self.rng.uniform(-self.jitter, self.jitter))
        lost = self.loss(at)
        there, back = at + rtt / 2 * self.place, at + rtt - rtt / 2 * self.place
        cut = any(b <= t < e for b, e in self.outages for t in (there, back))
        return None if lost or cut or probe.target.host in self.dead else rtt


class ModelWorld:
    """Hold several lines."""

    def __init__(self, lines: dict[str, ModelLine]) -> None:
        self.lines = lines

    def rtt(self, probe: Probe, at: float) -> float | None:
        return self.lines[probe.line.uplink].rtt(probe, at)


def wan(
    uplinks: int = 2, targets: int | Sequence[Any] = 2, probe: Any = "fast", **more: Any
) -> WanConfig:
    """Return a configuration of IPv4 uplinks.

    :param targets: how many that are asked for an echo, or what they are, with ``{}`` for the
        uplink's number.
    """
    if isinstance(probe, str):
        probe = {"profile": probe}
    blocks = {
        f"wan{n}": {
            "interface": f"eth{n}",
            "gateway": f"192.0.2.{n}",
            "targets": [f"203.0.113.{n * 20 + k}" for k in range(targets)]
            if isinstance(targets, int)
            else [_numbered(target, n) for target in targets],
        }
        for n in range(1, uplinks + 1)
    }
    return parse_wan({"uplinks": blocks, "probe": probe, **more})


def _numbered(target: Any, number: int) -> Any:
    """Return a target of one uplink."""
    if isinstance(target, str):
        return target.format(number)
    return {kind: text.format(number) for kind, text in target.items()}


def start(
    config: WanConfig, now: float = 0.0, up: Iterable[str] | None = None, known: bool = True
) -> Start:
    """Return a start at which the lines named carry the default route; None: all.

    :param known: whether the lines are known from before, or have to be learnt.
    """
    names = {u.name for u in config.uplinks} if up is None else set(up)
    standing: dict[int, tuple[Line, ...]] = {}
    for _, way in config.ways():
        if way.line.uplink in names:
            standing[way.line.family] = (*standing.get(way.line.family, ()), way.line)
    seen = {"seen": 1000.0, "calm": 0.0, "lost": 0.0, "gaps": []}
    lines = {way.line.text(): {"gaps": seen} for _, way in config.ways() if known}
    remembered = {"boot": "boot", "now": now, "lines": lines}
    return Start(now, 1.7e9, "boot", standing=standing, remembered=remembered)
