"""Send probes and say what became of each: one loop, no thread, no probe that waits.

`Prober.send` starts a probe, the loop's sockets bring answers, `Prober.expire` gives up those
whose time is over. Before time is judged the loop has to drain the sockets (`monitor`): an
answer that lay in one while we did not run is an answer, with the round trip that the
kernel's stamp tells.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from . import clocks, dnswire
from .clocks import Moment, read_moment
from .echoes import Arrival, Echoes
from .exchanges import READ, Dns, Out, Result, Tcp, failed, is_address, render_request
from .model import ARP, DNS, HTTP, ICMP, TCP, Line, Outcome, Probe, Target, WanConfig, Way
from .names import Names
from .notices import View
from .sockets import Watch
from .sources import packed, pick_source, unpacked

#: Echo requests whose time was over, kept in case their answer still comes.
LATE_KEPT = 4096
NO_ANSWER = "no answer"


class _Pending:
    """Hold a probe under way."""

    __slots__ = ("address", "descriptor", "exchange", "late", "probe", "sent")

    def __init__(self, probe: Probe, sent: Moment) -> None:
        self.probe = probe
        self.sent = sent
        self.late = False
        self.address = ""
        self.exchange: Any = None
        self.descriptor = -1


class _Road:
    """Hold how packets leave by a line at present, computed once an address change."""

    __slots__ = ("control", "mac", "out")

    def __init__(self, out: Out, mac: bytes, control: Any) -> None:
        self.out, self.mac, self.control = out, mac, control


class Prober:
    """Send probes over the lines of a configuration.

    :param view: links and addresses, kept up by who listens to the kernel; call `moved`
        after a change of it.
    :param watch: the loop's sockets.
    :raises OSError: without the right to raw sockets.
    """

    def __init__(self, config: WanConfig, view: View, watch: Watch) -> None:
        self._view, self._watch = view, watch
        self._ways: dict[Line, tuple[Way, int]] = {}
        for uplink, way in config.ways():
            self._ways[way.line] = (way, config.numbers.mark(uplink.index))
        kinds = {(t.kind, w.line.family) for _, w in config.ways() for t in w.targets}
        self.echoes = Echoes(
            frozenset(f for kind, f in kinds if kind == ICMP),
            arp=(ARP, 4) in kinds,
            neighbours=(ARP, 6) in kinds,
        )
        self.names = Names(watch, self._out)
        self._context = _tls_context() if self._wants_tls() else None
        #: Answers, also those to probes that were given up, and errors.
        self.outcomes: list[Outcome] = []
        #: Probes that were given up. Who decides keeps time itself; this is for people.
        self.misses: list[Outcome] = []
        #: Probes that have ended, in whatever way.
        self.ended: dict[Line, int] = dict.fromkeys(self._ways, 0)
        self._roads: dict[Line, _Road | Result] = {}
        self._pending: dict[int, _Pending] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._gone: OrderedDict[int, _Pending] = OrderedDict()
        self._turns: dict[tuple[Line, Target], int] = {}
        self._neighbours: dict[tuple[int, str], list[int]] = {}
        self._senders: Mapping[str, Callable[[_Pending, _Road, str], None]] = {
            ICMP: self._send_echo,
            TCP: self._send_tcp,
            HTTP: self._send_tcp,
            DNS: self._send_dns,
        }
        for family, each in self.echoes.sockets.items():
            watch.add(each.fileno(), READ, self._reader(family))
        if self.echoes.arp is not None:
            watch.add(self.echoes.arp.fileno(), READ, self._read_arp)

    def _wants_tls(self) -> bool:
        return any(t.tls for way, _ in self._ways.values() for t in way.targets)

    # --- what the loop calls ---------------------------------------------------------------

    def send(self, probe: Probe) -> None:
        """Start a probe; what cannot even be sent has its outcome at once."""
        pending = _Pending(probe, read_moment())
        self._pending[probe.seq] = pending
        heapq.heappush(self._deadlines, (pending.sent.boot + probe.timeout, probe.seq))
        way, _ = self._ways[probe.line]
        road = self._road(way)
        if isinstance(road, Result):
            return self._finish(pending, road)
        if probe.target.kind == ARP:
            return self._send_neighbour(pending, road)
        if is_address(probe.target.host):
            return self._start(pending, road, probe.target.host)
        # The name's own query is part of the probe's time, not of its round trip.
        return self.names.find(way, probe.target.host, self._starter(pending))

    def deadline(self) -> float | None:
        """Return when `expire` has something to do (boot clock), or None."""
        while self._deadlines and self._deadlines[0][1] not in self._pending:
            heapq.heappop(self._deadlines)
        times = [self._deadlines[0][0]] if self._deadlines else []
        names = self.names.deadline()
        return min([*times, *([names] if names is not None else [])], default=None)

    def expire(self, now: float) -> None:
        """Count as misses the probes whose time was over by a moment before the last drain."""
        self.names.expire(now)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, seq = heapq.heappop(self._deadlines)
            pending = self._pending.get(seq)
            if pending is not None:
                self._finish(pending, Result(None, NO_ANSWER))

    def moved(self, line: Line | None = None) -> None:
        """Take source and interface of the lines anew."""
        for each in [line] if line is not None else list(self._ways):
            self._roads.pop(each, None)
            self.names.forget(each)

    def source(self, line: Line) -> str:
        """Return the address that probes over a line have now, or nothing."""
        road = self._road(self._ways[line][0])
        return "" if isinstance(road, Result) else road.out.source

    def under_way(self) -> int:
        """Return how many probes have no outcome yet."""
        return len(self._pending)

    def close(self) -> None:
        """Close every socket."""
        for pending in list(self._pending.values()):
            self._drop(pending)
        self._pending.clear()
        self.names.close()
        for each in (*self.echoes.sockets.values(), self.echoes.arp):
            if each is not None:
                self._watch.remove(each.fileno())
        self.echoes.close()

    # --- ways out --------------------------------------------------------------------------

    def _road(self, way: Way) -> _Road | Result:
        road = self._roads.get(way.line)
        if road is None:
            road = self._roads[way.line] = self._find_road(way)
        return road

    def _find_road(self, way: Way) -> _Road | Result:
        link = self._view.link(way.interface)
        if link is None:
            return Result(None, f"ENODEV: there is no interface {way.interface}")
        source, error = pick_source(self._view, way)
        if error:
            return Result(None, error)
        mark = self._ways[way.line][1]
        out = Out(way.line.family, way.interface, link.index, mark, source)
        return _Road(out, link.mac, self.echoes.prepare(out))

    def _out(self, way: Way) -> Out | Result:
        road = self._road(way)
        return road if isinstance(road, Result) else road.out

    def _starter(self, pending: _Pending) -> Callable[[str, str], None]:
        def start(address: str, error: str) -> None:
            if self._pending.get(pending.probe.seq) is not pending:
                return
            road = self._road(self._ways[pending.probe.line][0])
            if isinstance(road, Result):
                self._finish(pending, road)
            elif not address:
                self._finish(pending, Result(None, error))
            else:
                self._start(pending, road, address)

        return start

    # --- sending ---------------------------------------------------------------------------

    def _start(self, pending: _Pending, road: _Road, address: str) -> None:
        pending.address = address
        pending.sent = read_moment()
        try:
            self._senders[pending.probe.target.kind](pending, road, address)
        except OSError as error:
            self._finish(pending, failed(error))
        except ValueError as error:
            self._finish(pending, Result(None, str(error)))

    def _send_echo(self, pending: _Pending, road: _Road, address: str) -> None:
        probe = pending.probe
        turn = self._turns.get((probe.line, probe.target), 0)
        before = pending.sent.boot
        self.echoes.send(road.out, road.control, address, probe.seq, turn)
        # Interrupted between clock and packet: the round trip begins with the later one.
        if (now := read_moment()).boot - before > clocks.SLACK:
            pending.sent = now

    def _send_tcp(self, pending: _Pending, road: _Road, address: str) -> None:
        target = pending.probe.target
        request, context = b"", None
        if target.kind == HTTP:
            request = render_request(target.host, target.port, target.path, tls=target.tls)
            context = self._context if target.tls else None
        name = "" if is_address(target.host) else target.host
        made = Tcp(road.out, (address, target.port), request, target.expect, context, name)
        self._follow(pending, made)

    def _send_dns(self, pending: _Pending, road: _Road, address: str) -> None:
        target = pending.probe.target
        kind = dnswire.AAAA if road.out.family == 6 else dnswire.A
        made = Dns(road.out, (address, target.port or dnswire.PORT), target.path, kind)
        self._follow(pending, made)

    def _follow(self, pending: _Pending, exchange: Any) -> None:
        pending.exchange, pending.descriptor = exchange, exchange.socket.fileno()
        self._watch.add(pending.descriptor, exchange.events, self._mover(pending))

    def _mover(self, pending: _Pending) -> Callable[[int], None]:
        def move(mask: int) -> None:
            result = pending.exchange.advance()
            if result is None:
                self._watch.change(pending.descriptor, pending.exchange.events)
            else:
                self._finish(pending, result)

        return move

    def _send_neighbour(self, pending: _Pending, road: _Road) -> None:
        address = pending.probe.target.host
        pending.address = address
        if len(road.mac) != 6:
            reason = f"{road.out.interface} has no hardware addresses to ask for"
            return self._finish(pending, Result(None, reason))
        ask = self.echoes.ask_neighbour if road.out.family == 6 else self.echoes.ask_arp
        key = (road.out.ifindex, unpacked(packed(address)))
        try:
            ask(road.out, road.mac, address)
        except OSError as error:
            return self._finish(pending, failed(error))
        self._neighbours.setdefault(key, []).append(pending.probe.seq)
        return None

    # --- answers ---------------------------------------------------------------------------

    def _reader(self, family: int) -> Callable[[int], None]:
        def read(mask: int) -> None:
            now = read_moment()
            for arrival in self.echoes.arrivals(family):
                if arrival.ifindex:
                    self._take_neighbour(arrival, now)
                elif arrival.heard.error:
                    self._take_error(arrival)
                else:
                    self._take_reply(arrival, now)

        return read

    def _read_arp(self, mask: int) -> None:
        now = read_moment()
        for arrival in self.echoes.replies():
            self._take_neighbour(arrival, now)

    def _take_reply(self, arrival: Arrival, now: Moment) -> None:
        seq = arrival.heard.seq
        pending = self._pending.get(seq)
        if pending is not None:
            if _same(pending.address, arrival.sender):
                self._finish(pending, Result(self._rtt(pending, arrival, now)))
            return
        pending = self._gone.pop(seq, None)
        if pending is not None and _same(pending.address, arrival.sender):
            rtt = self._rtt(pending, arrival, now)
            self.outcomes.append(_outcome(pending, Result(rtt)))

    def _take_error(self, arrival: Arrival) -> None:
        """Take what a router says of one of ours: only the lower half of its number is told."""
        for pending in self._pending.values():
            probe = pending.probe
            if probe.seq & 0xFFFF == arrival.heard.seq and _same(pending.address, arrival.heard.of):
                return self._finish(pending, Result(None, arrival.heard.error))
        return None

    def _take_neighbour(self, arrival: Arrival, now: Moment) -> None:
        for seq in self._neighbours.pop((arrival.ifindex, arrival.sender), ()):
            pending = self._pending.get(seq)
            if pending is not None:
                self._finish(pending, Result(self._rtt(pending, arrival, now)))

    @staticmethod
    def _rtt(pending: _Pending, arrival: Arrival, now: Moment) -> float:
        at = clocks.received_at(arrival.stamp, pending.sent, now)
        return max(0.0, at - pending.sent.boot)

    def _finish(self, pending: _Pending, result: Result) -> None:
        probe = pending.probe
        if self._pending.pop(probe.seq, None) is None:
            return
        self._drop(pending)
        self.ended[probe.line] += 1
        pending.late = result.local
        if result.rtt is None and probe.target.kind == ICMP:
            turn = (probe.line, probe.target)
            self._turns[turn] = self._turns.get(turn, 0) + 1
            self._gone[probe.seq] = pending
            if len(self._gone) > LATE_KEPT:
                self._gone.popitem(last=False)
        told = self.misses if result.error == NO_ANSWER else self.outcomes
        told.append(_outcome(pending, result))

    def _drop(self, pending: _Pending) -> None:
        if pending.exchange is not None:
            self._watch.remove(pending.descriptor)
            pending.exchange.close()
            pending.exchange = None
        if pending.probe.target.kind == ARP:
            for key, waiting in list(self._neighbours.items()):
                if pending.probe.seq in waiting:
                    waiting.remove(pending.probe.seq)
                if not waiting:
                    del self._neighbours[key]


def _outcome(pending: _Pending, result: Result) -> Outcome:
    line, target, seq, _ = pending.probe
    late = pending.late and result.rtt is None
    return Outcome(line, target, seq, pending.sent.boot, result.rtt, result.error, late)


def _same(one: str, other: str) -> bool:
    """Tell whether two texts are one address; mostly they are one text."""
    return one == other or (":" in one and ":" in other and packed(one) == packed(other))


def _tls_context() -> Any:
    """Return a context that looks at no certificate; see `exchanges`."""
    import ssl  # only where it is needed: it costs some megabytes

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
