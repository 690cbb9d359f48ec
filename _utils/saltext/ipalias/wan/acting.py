"""Who changes the kernel, and when: the monitor itself, a reaction, or nobody.

``local``: at once. ``event``: a reaction to the event is given `react_timeout` seconds;
then the monitor does it. ``report``: nobody. What was wanted last is brought back when the
kernel says that somebody has taken it away, at once the first time and more slowly where it
goes on: two that fight over a route must not do so thousands of times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

from ..errors import IpaliasError
from .model import EVENT, REPORT, Line, WanConfig, Wanted
from .switch import Done

MONITOR, REACTION, NOBODY = "monitor", "reaction", "nobody"
#: Seconds between two reconciliations: normally, and at most where each finds something.
AGAIN, SLOWEST = 0.1, 0.8
#: Seconds after which something that was refused is tried again.
REFUSED = 2.0
#: Seconds after which all is looked at though nobody has said that anything changed.
CALM = 30.0


class Acts(Protocol):
    """What is asked of `switch.Switch`."""

    def apply(self, wanted: Wanted, down: Collection[Line] = ()) -> Done:
        """Bring the kernel to what is wanted."""

    def reconcile(self) -> Done:
        """Bring the kernel to what was wanted last."""

    def forget(self) -> None:
        """Take nothing of what was seen for what is still so."""

    def close(self) -> None:
        """Close the sockets."""


class Left(NamedTuple):
    """Hold what is left to a reaction.

    :param until: boot clock at which it is left no longer.
    :param idents: the transitions it is about.
    """

    wanted: Wanted
    down: frozenset[Line]
    until: float
    idents: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Return it as plain data, for whoever reacts; `reaction.parse_left` reads it."""
        return {
            "transitions": list(self.idents),
            "until": self.until,
            "wanted": [
                [family, [[line.uplink, weight] for line, weight in listed]]
                for family, listed in self.wanted.lines.items()
            ],
            "down": sorted([line.uplink, line.family] for line in self.down),
        }


class Actor:
    """Act, or leave it to others.

    :param acted: called with a transition's id and who changed the kernel for it, once known.
    :param say: called with a sentence for the log.
    """

    def __init__(
        self,
        config: WanConfig,
        switch: Acts,
        acted: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._config, self._switch = config, switch
        self._acted, self._say = acted, say
        self.left: Left | None = None
        self.done = Done()
        self.wanted: Wanted | None = None
        self._reconcile_at: float | None = None
        self._pause = AGAIN
        self._last = 0.0

    def want(
        self, wanted: Wanted, down: Collection[Line], idents: Sequence[str], now: float
    ) -> None:
        """Take what the default routes shall be from now on.

        :param idents: transitions that it follows from; without any, as at an operator's word,
            there is no event that a reaction could follow.
        """
        if self._config.react == REPORT:
            self.wanted = wanted
            for ident in idents:
                self._acted(ident, NOBODY)
        elif self._config.react == EVENT and (idents or self.left) and not self._is_first(wanted):
            before = self.left
            until = now + self._config.react_timeout
            self.left = Left(
                wanted,
                frozenset(down),
                min(until, before.until) if before else until,
                (*(before.idents if before else ()), *idents),
            )
        else:
            before, self.left = self.left, None
            self._apply(wanted, down, now)
            for ident in (*(before.idents if before else ()), *idents):
                self._acted(ident, MONITOR)

    def _is_first(self, wanted: Wanted) -> bool:
        """Tell whether we have just started, or a family gets its first default route of ours.

        Nobody is waited for then: at boot the minion may come long after the lines.
        """
        if self.wanted is None:
            return True
        held = self.wanted.lines
        return any(lines and not held.get(family) for family, lines in wanted.lines.items())

    def reacted(self, now: float) -> bool:
        """Take a reaction's word that it has acted, and see that it has; False: nothing was left.

        What it has left out is done here.
        """
        if self.left is None:
            return False
        left, self.left = self.left, None
        # Else what a reaction has set would be set once more, and told to be our own doing.
        self._switch.forget()
        done = self._apply(left.wanted, left.down, now)
        for ident in left.idents:
            self._acted(ident, MONITOR if done.changes else REACTION)
        return True

    def changed(self, now: float) -> None:
        """Hear that something of ours may have been taken away."""
        if self._config.react == REPORT:
            return
        if self._reconcile_at is None:
            self._reconcile_at = max(now, self._last + self._pause)

    def deadline(self) -> float | None:
        """Return when `expire` has something to do (boot clock), or None."""
        times = [self._last + CALM] if self.wanted is not None else []
        if self._reconcile_at is not None:
            times.append(self._reconcile_at)
        if self.left is not None:
            times.append(self.left.until)
        return min(times, default=None)

    def expire(self, now: float) -> None:
        """Do what is due: what a reaction has not done, what somebody took away."""
        if self.left is not None and now >= self.left.until:
            waited = self._config.react_timeout
            self._say(f"no reaction within {waited:g} s, the monitor looks itself")
            self.reacted(now)
        due = self._reconcile_at is not None and now >= self._reconcile_at
        if due or (self.wanted is not None and now >= self._last + CALM):
            self._reconcile(now)

    def _reconcile(self, now: float) -> None:
        self._reconcile_at = None
        self._last = now
        # While a switch is left to a reaction, its half-done work is not to be undone.
        if self.wanted is None or self.left is not None or self._config.react == REPORT:
            return
        self._note(self._switch.reconcile, now)
        self._pause = min(self._pause * 2, SLOWEST) if self.done.changes else AGAIN

    def _apply(self, wanted: Wanted, down: Collection[Line], now: float) -> Done:
        self.wanted = wanted
        self._last = now
        self._note(lambda: self._switch.apply(wanted, down), now)
        return self.done

    def _note(self, act: Callable[[], Done], now: float) -> None:
        """Act and tell what came of it; where not all could be done it is tried again."""
        try:
            done = act()
        except IpaliasError as error:
            done = Done(problems=(error.text(),))
        if done.problems:
            self._reconcile_at = now + REFUSED
        new = [problem for problem in done.problems if problem not in self.done.problems]
        self.done = done
        for change in done.changes:
            self._say(change)
        for problem in new:
            self._say(f"not done: {problem}")

    def close(self) -> None:
        """Close the sockets; the kernel stays as it is."""
        self._switch.close()
