"""Decide which lines are up and what the default routes shall be: events in, decisions out.

No clock, no socket, no file: the loop says what time it is and what happened, and gets back
what to send, what to write down, what to route and when to ask again. The contract with it:

- `now` is read from the boot clock (it counts sleep, nobody sets it) *before* the sockets are
  drained, and everything that was in them is among the events of that call. An answer that
  came before `now` is therefore never taken for a miss, however late the loop runs.
- `Policy.step` is called when something happened and at the latest at `Decision.wake`. That
  it was called later than asked is how it knows that the loop ran late.
- The timeouts are kept here. The loop gives each answer (`Outcome.rtt`), also one to a probe
  that is a miss by then, each error as soon as the system says it, and may leave out misses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .model import Carrier, Command, Decision, Line, Outcome, WanConfig

Event = Outcome | Carrier | Command


@dataclass(frozen=True)
class Start:
    """Hold what is known when the monitor starts.

    :param now: boot clock, seconds.
    :param wall: wall clock, seconds.
    :param boot: id of this boot, for the ids of transitions.
    :param counter: the last number used in them, from the journal.
    :param standing: family → lines whose default route stands in the kernel now.
    :param carrier: interface → whether it can carry packets; one left out: it can.
    :param remembered: what `Policy.remember` gave before the monitor ended.
    """

    now: float
    wall: float
    boot: str
    counter: int = 0
    standing: Mapping[int, tuple[Line, ...]] = field(default_factory=dict)
    carrier: Mapping[str, bool] = field(default_factory=dict)
    remembered: Mapping[str, object] = field(default_factory=dict)


class Policy:
    """Watch the lines of a configuration and decide."""

    def __init__(self, config: WanConfig, start: Start) -> None:
        self.config = config
        self.start = start

    def step(self, now: float, wall: float, events: Iterable[Event] = ()) -> Decision:
        """Take what happened and return what follows.

        The first call, without events, sends the first probes.
        """
        raise NotImplementedError

    def status(self, now: float) -> list[dict[str, object]]:
        """Return a row for each line, as plain data."""
        raise NotImplementedError

    def remember(self) -> dict[str, object]:
        """Return what a monitor that starts again should know, as plain data."""
        raise NotImplementedError
