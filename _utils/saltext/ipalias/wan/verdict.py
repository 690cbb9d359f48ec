"""The verdict on one line: its targets, its carrier, what it loses, what an operator says."""

from __future__ import annotations

from collections.abc import Mapping

from .bounds import now_bound
from .model import DOWN, DRAIN, FAIL, RESTORE, UP, Command, Threshold, Transition, Uplink, Way
from .rounds import RoundsWatch
from .silence import SilenceWatch
from .watch import Asked, Stalls, needed

#: Reasons that are measured over a window, and that the window must take back.
LOSS, LATENCY = "loss", "latency"
#: A window is judged from so many probes and after this part of it, at most once in this
#: many seconds.
_FEWEST, _PART, _EVERY = 20, 0.25, 0.5


class LineState:
    """Hold one line: verdict, since when, why, and what may change it.

    :param up: whether its default route stands at the start; the verdict until it is known.
    """

    def __init__(self, uplink: Uplink, way: Way, now: float, up: bool, carrier: bool) -> None:
        self.uplink, self.way, self.line = uplink, way, way.line
        self.up, self.carrier = up, carrier
        self.since = now
        self.reason = "its route stands" if up else "not yet seen to work"
        self.cause = ""
        self.hold_until = now
        self.failed: Command | None = None
        self.drain: Command | None = None
        need = needed(uplink.require, len(way.targets))
        kind = SilenceWatch if uplink.probe.confirm else RoundsWatch
        self.watch: SilenceWatch | RoundsWatch = kind(way.targets, need, uplink.probe, now, not up)
        self._need = need
        self.wake = self._heard_before = now
        self._measured = now
        self._over = ""
        self._dropped = False

    @property
    def drained(self) -> bool:
        """Tell whether the line shall get no new flows."""
        return self.drain is not None

    def tick(self, now: float, stalls: Stalls) -> list[tuple[Asked, float]]:
        """Let the watch judge, and return what it asks; without carrier there is no asking."""
        return self.watch.tick(now, stalls) if self.carrier else []

    def set_carrier(self, up: bool, now: float) -> None:
        """Take what the kernel says of the interface.

        That it was lost counts also if it is back by the time anybody looks.
        """
        self.carrier = up
        if not up:
            self._dropped = True
            if not self.up:
                self.watch.turn(True, now)

    def command(self, command: Command, now: float) -> None:
        """Take an operator's word."""
        if command.verb == FAIL:
            self.failed = command
        elif command.verb == DRAIN:
            self.drain = command
        elif command.verb == RESTORE:
            self.failed = self.drain = None
            self.hold_until = min(self.hold_until, now)

    def expire(self, now: float) -> bool:
        """End an operator's word whose time is over; tell whether one ended."""
        ended = False
        if self.failed is not None and self.failed.until is not None and now >= self.failed.until:
            self.failed, ended = None, True
        if self.drain is not None and self.drain.until is not None and now >= self.drain.until:
            self.drain, ended = None, True
        return ended

    def turn(self, now: float) -> Transition | None:
        """Return the transition that is due, and make it."""
        cause, reason = self._fault(now)
        self._dropped = False
        if self.up:
            return self._go(False, cause, reason, now) if cause else None
        if now < self.hold_until or cause or not self.watch.healthy:
            return None
        return self._go(True, "", self._recovery(), now)

    def _fault(self, now: float) -> tuple[str, str]:
        """Return what speaks against the line: a kind and a reason for people."""
        if self.failed is not None:
            by = f" by {self.failed.by}" if self.failed.by else ""
            return FAIL, f"taken down{by}"
        if not self.carrier or self._dropped:
            return "carrier", f"{self.way.interface} has no carrier"
        if self.watch.why:
            return "silence", self.watch.why
        return self._measure(now)

    def _measure(self, now: float) -> tuple[str, str]:
        """Hold loss and latency against their thresholds."""
        if self.uplink.probe.loss is None and self.uplink.probe.latency is None:
            return "", ""
        if now - self._measured >= _EVERY:
            self._measured = now
            self._over = self._exceeded(now)
        return (self._over.partition(" ")[0], self._over) if self._over else ("", "")

    def _exceeded(self, now: float) -> str:
        """Return what exceeds its threshold, and by how much; empty: nothing."""
        loss, latency = self.uplink.probe.loss, self.uplink.probe.latency
        lost, slow = self._value(LOSS, loss, now), self._value(LATENCY, latency, now)
        if loss is not None and self._exceeds(lost, loss, LOSS):
            return f"{LOSS} {_told(lost, 100, '%')} over {loss.window:.0f} s"
        if latency is not None and self._exceeds(slow, latency, LATENCY):
            return f"{LATENCY} {_told(slow, 1000, ' ms')} over {latency.window:.0f} s"
        return ""

    def _exceeds(self, value: float | None, limit: Threshold, kind: str) -> bool:
        """Tell whether a value keeps the line down, or takes it down."""
        if self.cause == kind:
            return value is None or value > limit.up
        return value is not None and value >= limit.down

    def _value(self, kind: str, limit: Threshold | None, now: float) -> float | None:
        """Return loss or latency of the line: of its best targets, as many as must answer."""
        if limit is None:
            return None
        values = []
        for asked in self.watch.asked:
            if asked.window is None:
                continue
            count, missed, mean = asked.window.totals(now, limit.window)
            enough = count >= _FEWEST or count * asked.every >= limit.window * _PART
            if count and enough:
                values.append(missed / count if kind == LOSS else mean)
        values.sort()
        return values[self._need - 1] if len(values) >= self._need else None

    def _recovery(self) -> str:
        """Return why a line comes back, for people."""
        answering = [a.target.text() for a in self.watch.asked if a.streak]
        return f"answers from {', '.join(answering[:4])}"

    def _go(self, up: bool, cause: str, reason: str, now: float) -> Transition:
        """Change the verdict."""
        bound = now_bound(self.uplink, self.way, self.watch, now)
        heard = self._heard_before if up else self.watch.last_heard
        outage = max(0.0, now - heard)
        self.up, self.cause, self.since, self.reason = up, cause, now, reason
        if not up:
            self._heard_before = heard
            self.hold_until = now + self.uplink.probe.hold_down
        self._over = ""
        self.watch.turn(not up, now, cause in (LOSS, LATENCY))
        return Transition("", self.line, UP if up else DOWN, 0.0, now, reason, outage, bound)

    def plan_wake(self, now: float) -> None:
        """Set the boot clock at which the line must be looked at again."""
        times = [now + 60.0]
        if self.carrier:
            times.append(self.watch.wake())
        if not self.up and self.hold_until > now:
            times.append(self.hold_until)
        for command in (self.failed, self.drain):
            if command is not None and command.until is not None:
                times.append(command.until)
        self.wake = min(times)

    def status(self, now: float) -> dict[str, object]:
        """Return the line as plain data."""
        watch = self.watch
        row: dict[str, object] = {
            "line": self.line.text(),
            "uplink": self.line.uplink,
            "family": self.line.family,
            "state": UP if self.up else DOWN,
            "for": round(now - self.since, 3),
            "reason": self.reason,
            "carrier": self.carrier,
            "failed": self.failed is not None,
            "drained": self.drained,
            "held": round(max(0.0, self.hold_until - now), 3) if not self.up else 0.0,
            "bound": round(now_bound(self.uplink, self.way, watch, now), 3),
            "heard": round(now - watch.last_heard, 3),
        }
        if isinstance(watch, SilenceWatch):
            row["silence"] = round(watch.gaps.required(now), 3)
            row["learning"] = not watch.gaps.settled(now)
        row["targets"] = [_target_row(asked, now) for asked in watch.asked]
        return row

    def dump(self, now: float) -> dict[str, object]:
        """Return what a monitor that starts again should know."""
        data: dict[str, object] = {"held": max(0.0, self.hold_until - now)}
        for key, command in ((FAIL, self.failed), (DRAIN, self.drain)):
            if command is not None:
                data[key] = {"until": command.until, "by": command.by}
        if isinstance(self.watch, SilenceWatch):
            data["gaps"] = self.watch.gaps.dump(now)
        return data

    def load(self, data: object, now: float, away: float) -> None:
        """Take what `dump` gave `away` seconds ago."""
        if not isinstance(data, Mapping):
            return
        held = data.get("held")
        if not self.up and isinstance(held, (int, float)):
            self.hold_until = now + max(0.0, held - away)
        for verb in (FAIL, DRAIN):
            said = data.get(verb)
            if isinstance(said, Mapping):
                until = said.get("until")
                if until is None or isinstance(until, (int, float)):
                    by = str(said.get("by", ""))
                    self.command(Command(verb, self.line.uplink, until, self.line.family, by), now)
        if isinstance(self.watch, SilenceWatch):
            self.watch.gaps.load(data.get("gaps"), now, away)


def _target_row(asked: Asked, now: float) -> dict[str, object]:
    """Return a target as plain data."""
    mean = asked.rtt.mean
    return {
        "target": asked.target.text(),
        "answers": asked.row == 0 and mean is not None,
        "missed": asked.row,
        "rtt": None if mean is None else round(mean, 6),
        "deviation": round(asked.rtt.deviation, 6),
        "loss": round(asked.loss.share, 4),
        "heard": round(now - asked.heard, 3) if mean is not None else None,
        "error": asked.error,
    }


def _told(value: float | None, factor: float, unit: str) -> str:
    """Return a measured value for people."""
    return "not measured yet" if value is None else f"{value * factor:.0f}{unit}"
