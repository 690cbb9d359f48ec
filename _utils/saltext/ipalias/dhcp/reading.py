"""All that is known of this side of a pair at a moment: asked once, then told or judged.

Nothing is changed, and nothing waits for long: each question has a limit of its own. What cannot
be asked is a problem among the others and no error, for a server that is down is when all the
rest is wanted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from ..errors import MALFORMED, IpaliasError, RefusedError
from ..host import Host
from ..processes import boot_clock
from . import keactl, logs, model, omapi, peer, segments
from .logs import LogLine
from .model import ISC, DhcpConfig, Member
from .omapikey import FILE as KEY_FILE
from .omapikey import parse_key
from .peer import Clock, Reply, Ways
from .places import Places
from .pools import LEASES, SERVER, Pool, read_pools

#: Of the silence after which the peer counts as silent: how long one asking may take, and how
#: long at most (seconds). A second one would still come in time.
SHARE, PATIENCE = 0.4, 2.0
CLOCK: Final = 0.5
#: Seconds for which a server is asked with each look once something is amiss: what there is to
#: find is found by then, and after that every look at the rest does (see `read`).
FRESH: Final = 60.0
#: What was heard is told in thousandths of a second, and looked at a moment later.
_MARGIN: Final = 0.05


class Side(NamedTuple):
    """Hold the state of one side.

    :param word: of `model.STATES`.
    :param state: as the server itself calls it; empty: it does not say.
    :param since: seconds since 1970; None: not told.
    """

    word: str = model.UNKNOWN
    state: str = ""
    since: float | None = None


class Drill(NamedTuple):
    """Hold the last drills.

    :param time: of the last one; `good`: of the last that went well; seconds since 1970.
    """

    time: float
    result: str
    good: float | None


class Since(NamedTuple):
    """Hold what one look hands on to the next, in seconds since boot.

    :param reached: when a session of the peer's on our port was seen last; None: never.
    :param silent: since when the peer does not answer; None: it does.
    :param alone: since when it does and there is no session with it; None: there is one.
    :param amiss: since when one of these is so, or its port does not answer though its host does.
    :param deaf: since when it says, with a port that answers, that it does not hear us.
    """

    reached: float | None = None
    silent: float | None = None
    alone: float | None = None
    amiss: float | None = None
    deaf: float | None = None


FIRST: Final = Since()
UNASKED: Final = Clock(None, "not asked")


@dataclass(frozen=True)
class Reading:
    """Hold what is known of a side; see `read`.

    :param time: seconds since 1970; `clock`: seconds since boot.
    :param asked: whether the own server was asked for its word.
    :param said: why that is missing; empty: it is there.
    :param peer_hears: whether the peer's own server says that it reaches this one; None: it cannot
        be asked, as ISC's cannot.
    :param peer_said: whether the peer's own server answered at all, be it that it refused; None:
        likewise.
    :param unacked: updates that the peer has not acknowledged (ISC), or clients (Kea).
    :param cut_for: for how long the own server has been without its peer, as it counts (seconds).
    :param alive: whether the peer's host answers anything; None: not asked, for its port does.
    :param since: for the next look.
    :param whole: whether the rest was looked at, which takes a process or a large file: leases,
        log, drill, the peer's clock.
    :param problems: what could not be read, a sentence each.
    """

    time: float
    clock: float
    config: DhcpConfig
    me: Member
    own: Side
    partner: Side
    said: str
    ways: Ways
    asked: bool = False
    peer_hears: bool | None = None
    peer_said: bool | None = None
    unacked: int | None = None
    cut_for: float | None = None
    alive: bool | None = None
    since: Since = FIRST
    whole: bool = False
    skew: Clock = UNASKED
    pools: tuple[Pool, ...] | None = None
    log: tuple[LogLine, ...] = ()
    drill: Drill | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def peer(self) -> Member:
        """Return the other one."""
        return self.config.pair.peer_of(self.me)

    @property
    def silent_for(self) -> float:
        """Return for how long the peer has not answered; 0: it does."""
        return 0.0 if self.since.silent is None else max(0.0, self.clock - self.since.silent)

    @property
    def alone_for(self) -> float:
        """Return for how long a peer that answers has had no session with us; 0: it has."""
        return 0.0 if self.since.alone is None else max(0.0, self.clock - self.since.alone)

    @property
    def deaf_for(self) -> float:
        """Return for how long a peer that answers has said that it does not hear us; 0: it does."""
        return 0.0 if self.since.deaf is None else max(0.0, self.clock - self.since.deaf)


def read(
    host: Host,
    config: DhcpConfig,
    me: Member,
    *,
    state: str = "/var/lib/ipalias",
    since: Since = FIRST,
    whole: bool = True,
    leases: str = LEASES,
    patience: float = PATIENCE,
    ask: bool = False,
    ask_with_peer: bool = False,
) -> Reading:
    """Return what is known of this side.

    :param state: our own state folder.
    :param since: of the look before.
    :param whole: False leaves out what takes a process or a large file.
    :param leases: path of dhcpd's lease file.
    :param patience: seconds that the peer's port has at most.
    :param ask: the own server is asked for its word though all seems well.
    :param ask_with_peer: so where the peer's port answers, and not for as long as it does not.
    """
    other = config.pair.peer_of(me)
    begun = boot_clock()
    patience = min(patience, config.limits.silence * SHARE)
    outward = peer.ask_port(me.address, other.address, other.port, patience)
    took = boot_clock() - begun
    ways, problems = _ways(me, other, outward, since, begun)
    base = Reading(time.time(), begun, config, me, Side(), Side(), "", ways)
    # A question a second is too much: Kea logs each, in the log where its own words are looked
    # for, and dhcpd keeps 200 bytes of each OMAPI session for good (seen with 4.4.3-P1).
    alone = config.implementation == ISC and ways.heard is None
    amiss = _first(since.amiss, begun) if outward.kind != segments.OPEN or alone else None
    fresh = amiss is not None and begun - amiss < FRESH
    ask = ask or (ask_with_peer and outward.kind == segments.OPEN)
    if whole or ask or fresh or not ways.listening:
        base = _own_side(host, base, state)
    if base.peer_hears is False:
        word = f"{other.name} to {me.name} ({me.address}:{me.port}): it says that it gets no answer"
        ways = ways._replace(inward=peer.SILENT, blocked=(*ways.blocked, word))
    reading = replace(
        base,
        ways=ways,
        alive=_alive(me, other, outward, ways, took),
        problems=(*problems, *base.problems),
    )
    handed = _handed(reading, since, begun, amiss)
    reading = replace(reading, clock=boot_clock(), since=handed)
    return _read_rest(host, reading, state, leases) if whole else reading


def _ways(
    me: Member, other: Member, outward: Reply, since: Since, begun: float
) -> tuple[Ways, list[str]]:
    """Return both ways to the peer, and why the kernel does not tell of its sessions."""
    problems: list[str] = []
    try:
        sessions: Sequence[segments.Session] | None = peer.read_sessions()
    except IpaliasError as error:
        sessions = None
        problems.append(error.text())
    ago = None if since.reached is None else begun - since.reached
    return peer.judge(me, other, outward, sessions, ago), problems


def _handed(reading: Reading, since: Since, begun: float, amiss: float | None) -> Since:
    """Return what a look hands on to the next one.

    :param since: of the look before.
    :param begun: when this look began.
    """
    ways = reading.ways
    answers = ways.outward.kind == segments.OPEN
    deaf = since.deaf if answers else None
    if reading.asked and answers:
        deaf = _first(deaf, begun) if reading.peer_hears is False else None
    return Since(
        reached=begun if ways.inward == segments.OPEN else since.reached,
        silent=None if answers or reading.alive else _first(since.silent, begun),
        alone=_first(since.alone, begun) if answers and ways.inward == peer.SILENT else None,
        amiss=amiss,
        deaf=deaf,
    )


def _first(before: float | None, now: float) -> float:
    return now if before is None else before


def _alive(me: Member, other: Member, outward: Reply, ways: Ways, took: float) -> bool | None:
    """Tell whether a peer whose port does not answer is there all the same."""
    if outward.kind == segments.OPEN:
        return None
    if ways.heard is not None and ways.heard < took - _MARGIN:
        return True
    if outward.kind == segments.REFUSED:
        # The host is there, and the server is not: nobody to give out a lease.
        return False
    try:
        return peer.ask_clock(me.address, other.address, CLOCK).ahead is not None
    except IpaliasError:
        return None


def _own_side(host: Host, base: Reading, state: str) -> Reading:
    """Return the same with the own server's word."""
    try:
        if base.config.implementation == ISC:
            return _own_isc(host, base, f"{state}/{KEY_FILE}")
        return _own_kea(base)
    except IpaliasError as error:
        return replace(base, asked=True, said=error.text(), problems=(error.text(),))


def _own_isc(host: Host, base: Reading, path: str) -> Reading:
    text = host.read(path)
    key = parse_key(text, path) if text is not None else None
    with omapi.Client(key, timeout=SERVER) as client:
        said = omapi.read_failover(client, base.config.pair.name)
    cut = omapi.word_of(said.local) == model.INTERRUPTED
    return replace(
        base,
        asked=True,
        own=Side(omapi.word_of(said.local), said.local, float(said.local_since) or None),
        partner=Side(omapi.word_of(said.partner), said.partner, float(said.partner_since) or None),
        unacked=said.unacked,
        cut_for=max(0.0, base.time - said.local_since) if cut else None,
    )


def _own_kea(base: Reading) -> Reading:
    path = base.config.pair.kea.control_socket
    said = keactl.parse_status(keactl.ask(path, "status-get", SERVER), path)
    reading = replace(
        base,
        asked=True,
        own=Side(keactl.word_of(said.local, said.interrupted), said.local),
        partner=Side(keactl.word_of(said.partner), said.partner),
        unacked=said.unacked,
        cut_for=said.heard,
    )
    if base.ways.outward.kind != segments.OPEN:
        return reading
    other = reading.peer
    where = f"http://{other.address}:{other.port}/"
    try:
        word = keactl.ask_peer(other.address, other.port, "status-get", SERVER)
        theirs = keactl.parse_status(word, where)
    except IpaliasError as error:
        # What this side has of it stays, which is as old as the last heartbeat.
        answered = isinstance(error, RefusedError)
        return replace(reading, problems=(error.text(),), peer_said=answered)
    # Its own word: what this side has of it is as old as the last heartbeat.
    side = Side(keactl.word_of(theirs.local, theirs.interrupted), theirs.local)
    return replace(reading, partner=side, peer_hears=not theirs.interrupted, peer_said=True)


def _read_rest(host: Host, reading: Reading, state: str, leases: str) -> Reading:
    problems = list(reading.problems)
    pools: tuple[Pool, ...] | None = None
    try:
        pools = read_pools(host, reading.config, leases)
    except IpaliasError as error:
        problems.append(error.text())
    lines, why = logs.read_lines(host, reading.config.implementation)
    if why:
        problems.append(f"log: {why}")
    skew = peer.ask_clock(reading.me.address, reading.peer.address, CLOCK)
    if skew.ahead is None and reading.ways.outward.kind == segments.OPEN:
        skew = _skew_of_kea(reading) or skew
    places = Places(f"{state}/dhcp")
    drill, problem = read_drill(host, places.drill)
    if problem:
        problems.append(problem)
    return replace(
        reading,
        whole=True,
        pools=pools,
        log=tuple(lines),
        skew=skew,
        drill=drill,
        problems=tuple(problems),
    )


def _skew_of_kea(reading: Reading) -> Clock | None:
    """Return the peer's clock as a heartbeat tells it, to a second; None: it does not."""
    if reading.config.implementation == ISC:
        return None
    other = reading.peer
    try:
        word = keactl.ask_peer(other.address, other.port, "ha-heartbeat", SERVER)
        said = keactl.parse_heartbeat(word, other.name)
    except IpaliasError:
        return None
    # It tells whole seconds, cut off.
    return (
        None if said.time is None else Clock(round(said.time + 0.5 - time.time(), 1), "heartbeat")
    )


def read_drill(host: Host, path: str) -> tuple[Drill | None, str]:
    """Return the last drill as its report tells it, and what is wrong with that."""
    try:
        text = host.read(path)
        if text is None:
            return None, ""
        found: Mapping[str, Any] = json.loads(text)
        result, moment = str(found["result"]), float(found["time"])
        good = found.get("good", moment if result == "ok" else None)
        return Drill(moment, result, None if good is None else float(good)), ""
    except IpaliasError as error:
        return None, error.text()
    except MALFORMED:
        return None, f"{path}: is no report of a drill"
