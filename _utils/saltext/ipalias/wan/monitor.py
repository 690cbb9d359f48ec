"""The monitor's loop: what happens to the lines goes in, what shall follow is carried out.

One thread decides. It waits on sockets only, never on a disk, a name server, a log or an
answer; what is written is handed to other threads (`writer`). Each turn of the loop:

1. wait until a socket is ready or something is due;
2. read the clock, then drain every socket: whatever came before that moment is known before
   anything is judged by it, also after the process was stopped for seconds;
3. give the policy all that has happened; it answers with verdicts, probes, routes;
4. routes first, then probes, then words.

Whatever ends this process leaves the routes as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from . import byhand, clocks, control, nat, notices
from .acting import NOBODY, Actor, Acts
from .clocks import Moment, read_moment
from .control import Control
from .events import Listener
from .exchanges import is_address
from .metrics import render_metrics
from .model import (
    DOWN,
    Carrier,
    Command,
    Decision,
    Line,
    Outcome,
    Target,
    Transition,
    WanConfig,
)
from .notices import Notice
from .notify import NOTICE, WARNING, Log, Service
from .places import Places
from .policy import Event
from .probes import Prober
from .record import Recorder, render_entry, render_note
from .sockets import Watch
from .writer import Writer, replace

#: Rounds of looking for more in the sockets before time is judged. One finds all that was
#: there; the second what a TLS handshake or a name's answer has led to.
DRAINS = 3
#: Seconds between two writings of the status without anything new in it, and of the metrics.
HEARTBEAT, METRICS = 1.0, 10.0
#: Entries that wait for the disk, above which the record of probes is not added to them.
RECORDS_WAITING = 16
#: A turn so much later than was asked for (seconds) is counted and told.
LATE = 0.1


class Decides(Protocol):
    """What is asked of `policy.Policy`."""

    def step(self, now: float, wall: float, events: Sequence[Event] = ()) -> Decision:
        """Take what happened and return what follows."""

    def status(self, now: float) -> list[dict[str, object]]:
        """Return a row for each line."""

    def remember(self) -> dict[str, object]:
        """Return what a monitor that starts again should know."""


class Surroundings(NamedTuple):
    """Hold what the monitor speaks to.

    :param disk: writes the journal; it may stand still for ever.
    :param run: writes what lies in memory.
    :param debug: called with each line of the foreground mode, or None.
    """

    places: Places
    disk: Writer
    run: Writer
    log: Log
    service: Service
    debug: Callable[[str], None] | None = None


class Monitor:
    """Watch the lines of a configuration and act.

    :param listener: synced: links and addresses are known.
    """

    def __init__(
        self,
        config: WanConfig,
        watch: Watch,
        listener: Listener,
        policy: Decides,
        switch: Acts,
        around: Surroundings,
    ) -> None:
        self._config, self._watch, self._listener = config, watch, listener
        self._policy, self._around = policy, around
        self._prober = Prober(config, listener.view, watch)
        self._actor = Actor(config, switch, self._acted, self._say)
        self._control = Control(watch, around.places.socket, self._asked)
        self._ways = {way.line: (uplink, way) for uplink, way in config.ways()}
        self._interfaces = {way.interface for _, way in config.ways()}
        self._commands: list[Command] = []
        self._telling: dict[str, str] = {}
        self._recorder = Recorder()
        self._recorded: list[str] = []
        self._last: dict[tuple[Line, Target], Outcome] = {}
        self._down: set[Line] = set()
        self._wake = 0.0
        self._now = read_moment()
        self._status_at = self._metrics_at = 0.0
        self._fed = dict(self._prober.ended)
        self._late_turns, self._longest = 0, 0.0
        self._started = clocks.boot_clock()
        self._transitions = 0
        self.stopping = False

    # --- the loop --------------------------------------------------------------------------

    def begin(self, down: Collection[Line] = ()) -> None:
        """Reconcile what was left, send the first probes, say that we are ready.

        :param down: lines that the policy takes for down at the start.
        """
        self._down = set(down)
        now = self._now = read_moment()
        self._listener.take()
        self._decide(now, [])
        self._keep(now)
        self._around.service.tell("READY=1", f"STATUS=watching {len(self._ways)} lines")

    def run(self) -> None:
        """Turn until told to stop; the routes stay."""
        while not self.stopping:
            self.turn()

    def turn(self) -> None:
        """Wait for what comes next, and carry out what follows from it."""
        due = self._due()
        self._watch.run_once(max(0.0, due - clocks.boot_clock()))
        now = self._now = read_moment()
        for _ in range(DRAINS):
            if not self._watch.run_once(0):
                break
        if now.boot - due > LATE:
            self._late_turns += 1
            self._longest = max(self._longest, now.boot - due)
            self._debug(f"late by {now.boot - due:.3f} s")
        self._prober.expire(now.boot)
        events = self._gather(now)
        if events or now.boot >= self._wake:
            self._decide(now, events)
        self._actor.expire(now.boot)
        self._keep(now)

    def stop(self) -> None:
        """End after this turn."""
        self.stopping = True

    def close(self) -> None:
        """Close everything; status and journal are written as far as the disk lets us."""
        self._around.service.tell("STOPPING=1")
        self._recorded.append(self._recorder.close())
        self._metrics_at = 0.0
        self._write_status(read_moment())
        self._control.close()
        self._prober.close()
        self._listener.close()
        self._actor.close()
        self._around.run.close()
        self._around.disk.close()

    def _due(self) -> float:
        times = [self._wake, self._status_at]
        for each in (self._prober.deadline(), self._actor.deadline()):
            if each is not None:
                times.append(each)
        return min(times)

    # --- in --------------------------------------------------------------------------------

    def _gather(self, now: Moment) -> list[Event]:
        events: list[Event] = []
        moved: set[str] = set()
        for notice in self._listener.take():
            self._take_notice(notice, events, moved, now)
        self._moved(moved, now)
        commands, self._commands = self._commands, []
        events += commands
        outcomes, self._prober.outcomes = self._prober.outcomes, []
        misses, self._prober.misses = self._prober.misses, []
        for outcome in (*outcomes, *misses):
            self._last[(outcome.line, outcome.target)] = outcome
            self._recorded.append(self._recorder.add(outcome))
            if self._around.debug is not None:
                self._debug(outcome_text(outcome))
        return [*events, *outcomes]

    def _take_notice(
        self, notice: Notice, events: list[Event], moved: set[str], now: Moment
    ) -> None:
        if notice.kind == notices.LOST:
            self._say("the kernel had more to say than was heard, looking at everything anew")
            self._prober.moved()
            self._actor.changed(now.boot)
        elif notice.kind == notices.LINK:
            if notice.interface in self._interfaces:
                self._debug(f"{notice.interface}: carrier {'up' if notice.carrier else 'down'}")
                events.append(Carrier(notice.interface, notice.carrier))
                self._prober.moved()
                self._actor.changed(now.boot)
        elif notice.kind == notices.ADDRESS:
            moved.add(notice.interface)
        elif notice.gone or not notice.ours:
            # What of ours is new is our own doing.
            self._debug(f"{notice.kind} {'gone' if notice.gone else 'new'}: {notice.table}")
            self._actor.changed(now.boot)

    def _moved(self, interfaces: set[str], now: Moment) -> None:
        """Look at what changed addresses mean: mostly nothing, be there ten thousand of them."""
        if not interfaces:
            return
        for line, (_, way) in self._ways.items():
            # A source that the pillar names may lie on any interface.
            if way.interface in interfaces or way.source:
                before = self._prober.source(line)
                self._prober.moved(line)
                if self._prober.source(line) != before:
                    self._debug(f"{line.text()}: source {self._prober.source(line) or 'none'}")
                    self._actor.changed(now.boot)

    def _asked(self, request: dict[str, Any]) -> Mapping[str, Any]:
        """Answer a request of the control socket."""
        now = read_moment()
        if request["verb"] == control.STATUS:
            return self._state(now)
        if request["verb"] == control.ACTED:
            return {"left": self._actor.reacted(now.boot)}
        command = control.parse_command(request, self._config, now.boot)
        self._commands.append(command)
        # Decided and on record before the answer: it holds from then on, whatever happens. By
        # the last turn's clock, for not all that has come since then is read yet.
        self._decide(self._now, self._gather(self._now))
        error = self._remember()
        return {"done": True, "until": command.until, **({"warning": error} if error else {})}

    def loaded(self, complaint: str) -> None:
        """Hear that nft has ended; the next look tells what it has not done, and tries again."""
        if not complaint:
            self._say(f"set table inet {nat.TABLE}")
        self._actor.changed(self._now.boot)

    # --- out -------------------------------------------------------------------------------

    def _decide(self, now: Moment, events: Sequence[Event]) -> None:
        decision = self._policy.step(now.boot, now.wall, events)
        self._wake = decision.wake
        for transition in decision.transitions:
            if transition.state == DOWN:
                self._down.add(transition.line)
            else:
                self._down.discard(transition.line)
        # With nothing to change nobody acts; what is left to a reaction is told later.
        nobody = NOBODY if decision.wanted is None else ""
        self._telling = {transition.ident: nobody for transition in decision.transitions}
        if decision.wanted is not None:
            idents = tuple(self._telling)
            self._actor.want(decision.wanted, frozenset(self._down), idents, now.boot)
        for probe in decision.probes:
            self._prober.send(probe)
        told, self._telling = self._telling, {}
        for transition in decision.transitions:
            self._tell(transition._replace(acted=told[transition.ident]))
        if decision.wanted is not None and decision.wanted.because:
            self._say(f"default route: {decision.wanted.because}")
        for warning in decision.warnings:
            self._say(warning, WARNING)
        if decision.transitions or decision.wanted is not None:
            self._status_at = now.boot
            self._remember_later()

    def _tell(self, transition: Transition) -> None:
        self._transitions += 1
        around = self._around
        if not around.disk.append(around.places.journal, render_entry(transition)):
            self._say(f"the journal is full, not written: {transition.ident}", WARNING)
        level = WARNING if transition.state == DOWN else NOTICE
        self._say(f"{transition.line.text()} {transition.state}: {transition.reason}", level)

    def _acted(self, ident: str, who: str) -> None:
        if ident in self._telling:
            self._telling[ident] = who
        else:
            self._around.disk.append(self._around.places.journal, render_note(ident, who))

    def _say(self, text: str, level: int = NOTICE) -> None:
        self._around.log.say(text, level)
        self._debug(text)

    def _debug(self, text: str) -> None:
        if self._around.debug is not None:
            self._around.debug(text)

    def _keep(self, now: Moment) -> None:
        """Do what goes on whatever happens: the watchdog, the status, the metrics."""
        self._feed()
        if now.boot >= self._status_at:
            self._write_status(now)
            self._status_at = now.boot + HEARTBEAT
            self._control.expire(now.boot)

    def _feed(self) -> None:
        """Tell the service manager that every line has been probed since the last time."""
        if not self._around.service.watchdog:
            return
        ended = self._prober.ended
        if all(ended[line] > self._fed[line] for line in self._ways if self._is_probed(line)):
            self._fed = dict(ended)
            self._around.service.tell("WATCHDOG=1")

    def _is_probed(self, line: Line) -> bool:
        """Tell whether a line has anything to ask and can ask it."""
        _, way = self._ways[line]
        link = self._listener.view.link(way.interface)
        return bool(way.targets) and link is not None and link.works

    def _write_status(self, now: Moment) -> None:
        around, state = self._around, self._state(now)
        around.run.replace(around.places.status, json.dumps(state) + "\n")
        if now.boot >= self._metrics_at:
            around.run.replace(around.places.metrics, render_metrics(state), 0o644)
            self._metrics_at = now.boot + METRICS
            self._write_record()

    def _write_record(self) -> None:
        """Hand over what was probed; where the disk stands still the journal comes first."""
        text, self._recorded = "".join(self._recorded), []
        if text and self._around.disk.state().waiting < RECORDS_WAITING:
            self._around.disk.append(self._around.places.probes, text)

    def _remember_later(self) -> None:
        text = json.dumps(self._policy.remember()) + "\n"
        self._around.run.replace(self._around.places.remembered, text)

    def _remember(self) -> str:
        """Write what has to outlive us before anything else; return what went wrong."""
        try:
            replace(self._around.places.remembered, json.dumps(self._policy.remember()) + "\n")
        except OSError as error:
            return f"not kept over a restart: {error.strerror}"
        return ""

    # --- the state, for people -------------------------------------------------------------

    def _state(self, now: Moment) -> dict[str, Any]:
        """Return all that is known, as plain data."""
        disk, done, wanted = self._around.disk.state(), self._actor.done, self._actor.wanted
        lines = wanted.lines if wanted is not None else {}
        return {
            "schema": 1,
            "heartbeat": now.boot,
            "wall": now.wall,
            "started": self._started,
            "react": self._config.react,
            "left_to_reaction": self._actor.left is not None,
            "left": self._actor.left.data() if self._actor.left is not None else None,
            "lines": [self._row(row) for row in self._policy.status(now.boot)],
            "wanted": {
                f"ipv{family}": [[line.text(), weight] for line, weight in listed]
                for family, listed in lines.items()
            },
            "because": wanted.because if wanted is not None else "",
            "problems": list(done.problems),
            "missing": [[line.text(), reason] for line, reason in done.missing],
            "transitions": self._transitions,
            "journal": disk._asdict(),
            "log_lost": self._around.log.lost,
            "late_turns": self._late_turns,
            "longest_late": round(self._longest, 3),
            "probes_under_way": self._prober.under_way(),
        }

    def _row(self, row: Mapping[str, object]) -> dict[str, object]:
        """Return a line's row with what its probes say."""
        line = next(line for line in self._ways if line.text() == row["line"])
        uplink, way = self._ways[line]
        source, names = self._prober.source(line), self._prober.names
        mark, timeout = self._config.numbers.mark(uplink.index), uplink.probe.timeout
        probes = []
        for target in way.targets:
            known = target.host
            if not is_address(known):
                known = names.known(line, known)
            by_hand = byhand.command(way, target, source, mark, timeout, known)
            probes.append(probe_row(target, known, by_hand, self._last.get((line, target))))
        return {**row, "source": source, "probed": self._prober.ended[line], "probes": probes}


def probe_row(
    target: Target, address: str, by_hand: str, outcome: Outcome | None
) -> dict[str, object]:
    """Return the last probe of a target as plain data."""
    row: dict[str, object] = {"target": target.text(), "address": address, "command": by_hand}
    if outcome is None:
        return {**row, "sent": None, "rtt": None, "error": ""}
    return {**row, "sent": outcome.sent, "rtt": outcome.rtt, "error": outcome.error}


def outcome_text(outcome: Outcome) -> str:
    """Return an outcome as the foreground mode prints it."""
    said = outcome.error if outcome.rtt is None else f"{outcome.rtt * 1000:.2f} ms"
    return f"{outcome.line.text()} {outcome.target.text()} #{outcome.seq}: {said}"
