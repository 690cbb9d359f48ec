"""What the beacon says of a pair: what is wrong that was not, and what is right again.

Pure: two readings in, events out. What a reading does not know stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from . import logs, model
from .bounds import HEARTBEAT_TIMEOUT
from .model import Limits
from .reading import Reading
from .segments import OPEN

STATE: Final = "state"
SILENT: Final = "silent"
BLOCKED: Final = "blocked"
DEAD: Final = "dead"
SKEW: Final = "skew"
BALANCE: Final = "balance"
POOL: Final = "pool"
LOG: Final = "log"
DRILL: Final = "drill"
#: Of what a look does and not of what it reads: see `synchronize.pay`.
LEASES: Final = "leases"
#: What there is to be said, in the order in which it is.
REST: Final = (SKEW, BALANCE, POOL, LOG, DRILL)
KINDS: Final = (STATE, SILENT, BLOCKED, DEAD, *REST, LEASES)
ALERT, CLEAR = "alert", "clear"
_OUT, _IN = "out", "in"

#: What was said is taken back where it is this much better than the limit: what stands at the
#: limit is said once.
_BACK: Final = 0.9
#: Seconds for which a fault in the log counts.
_FAULTS: Final = 600.0
#: Seconds until the next look has ended: what lasts until then is said now, to be said in time.
_TURN: Final = 3.5
#: Seconds that both have been normal: they share out their free addresses anew when they meet.
_SETTLED: Final = 60.0
#: Seconds for which there may be no session with a peer that answers: after a loss dhcpd tries
#: again after 5 s, and where that failed at once after 90 (``dhcp_failover_reconnect``).
_ALONE: Final = 100.0
#: Free addresses by which two sides must differ at least: of three, one and two are no fault.
_DIFFERENCE: Final = 3
#: Seconds after which a death is said again, for as long as it is told often, and later on.
_OFTEN, _TOLD_OFTEN, _SELDOM = 60.0, 600.0, 300.0


class Condition(NamedTuple):
    """Hold something that is wrong.

    :param essence: what makes it another one: a condition with the same is said once.
    :param text: a sentence.
    """

    essence: str
    text: str


Conditions = Mapping[str, Condition]


def events(former: Reading | None, reading: Reading, limits: Limits) -> list[dict[str, Any]]:
    """Return what has changed between two readings.

    :param former: None: what is wrong now is said, for nobody knows of it.
    """
    before = conditions(former, limits) if former else {}
    return changes(before, conditions(reading, limits, before), reading)


def conditions(
    reading: Reading, limits: Limits, former: Conditions | None = None
) -> dict[str, Condition]:
    """Return what is wrong.

    :param former: what was wrong before: taken back below the limit alone, and kept where this
        reading does not know.
    """
    former = former or {}
    rows = [
        (STATE, _state(reading) if reading.asked else former.get(STATE)),
        (SILENT, _silent(reading, limits.silence)),
        (BLOCKED, _blocked(reading, former)),
        (DEAD, _dead(reading, former)),
    ]
    if reading.whole:
        rows += _rest(reading, limits, former)
    else:
        rows += [(kind, former.get(kind)) for kind in REST]
    return {kind: condition for kind, condition in rows if condition is not None}


def _rest(
    reading: Reading, limits: Limits, former: Conditions
) -> list[tuple[str, Condition | None]]:
    """Return what is wrong of that which is looked at now and then."""
    return [
        (SKEW, _skew(reading, _limit(limits.skew, SKEW in former), former)),
        (BALANCE, _balance(reading, _limit(limits.balance, BALANCE in former), former)),
        (POOL, _pool(reading, limits.used, former)),
        (LOG, _log(reading, former)),
        (DRILL, _drill(reading, limits.drill)),
    ]


def changes(before: Conditions, now: Conditions, reading: Reading) -> list[dict[str, Any]]:
    """Return an event for each condition that came, became another, or went."""
    found = []
    for kind in KINDS:
        old, new = before.get(kind), now.get(kind)
        if new is not None and (old is None or old.essence != new.essence):
            found.append(event(reading, kind, ALERT, new.text))
        elif old is not None and new is None:
            found.append(event(reading, kind, CLEAR, f"no longer: {old.text}"))
    return found


def event(reading: Reading, kind: str, what: str, text: str) -> dict[str, Any]:
    """Return an event as the bus gets it."""
    return {
        "tag": f"{kind}/{what}",
        "kind": kind,
        "what": what,
        "text": text,
        "at": round(reading.time, 3),
        "pair": reading.config.pair.name,
        "member": reading.me.name,
        "peer": reading.peer.name,
        "state": reading.own.word,
    }


def _limit(limit: float, said: bool) -> float:
    return limit * _BACK if said else limit


def _state(reading: Reading) -> Condition | None:
    if reading.own.word == model.NORMAL:
        return None
    if not reading.own.state:
        return Condition("no answer", f"{reading.me.name}: {reading.said}")
    text = f"{reading.me.name} is {reading.own.state}, and says {reading.peer.name} is "
    return Condition(reading.own.state, text + (reading.partner.state or "unknown"))


def _silent(reading: Reading, limit: float) -> Condition | None:
    said = reading.ways.outward
    if said.kind == OPEN or reading.alive or reading.silent_for < limit - _TURN:
        return None
    how = "its host answers, its server does not" if said.kind == "refused" else said.said
    place = f"{reading.peer.address}:{reading.peer.port}"
    return Condition(said.kind, f"{reading.peer.name} ({place}) is silent: {how}")


def _blocked(reading: Reading, former: Conditions) -> Condition | None:
    """Return a way that is blocked although the peer is there: of a dead one nothing is known."""
    text = "; ".join(reading.ways.blocked)
    if reading.ways.outward.kind != OPEN:
        return Condition(_OUT, text) if reading.alive else None
    # Kea's says so until its next heartbeat has come through, as after each cut that is over.
    beat = reading.config.pair.kea.heartbeat_delay + HEARTBEAT_TIMEOUT
    deaf = reading.peer_hears is False and reading.deaf_for >= beat
    if text and (deaf or reading.alone_for >= _ALONE):
        return Condition(_IN, text)
    known = former.get(BLOCKED)
    # What the servers themselves say of it is asked for now and then alone.
    return known if known and known.essence == _IN and not reading.asked else None


def _dead(reading: Reading, former: Conditions) -> Condition | None:
    """Return that the silence has lasted as long as the policy wants, if there is one.

    Not before the server's own count has too: the reaction would be refused. And again and again:
    an event is lost where the minion is not connected or the master is being restarted, and no
    other one would come; a reaction that was refused, by a witness or a clock, gets another try.
    It ends by what it leads to: a member that has declared its peer dead is not interrupted.
    """
    policy = reading.config.partner_down
    if not policy.after or reading.since.silent is None or reading.alive:
        return None
    if not reading.asked:
        return former.get(DEAD)
    lasted = min(reading.silent_for, reading.cut_for or 0.0)
    if lasted < policy.after or reading.own.word != model.INTERRUPTED:
        return None
    return Condition(
        f"dead {_turn(lasted - policy.after)}",
        f"{reading.peer.name} has been silent for {lasted:.0f} s, "
        f"and {reading.me.name} is {reading.own.state}",
    )


def _turn(seconds: float) -> int:
    """Return how often a death has been said when it has lasted for so long."""
    often = min(seconds, _TOLD_OFTEN) // _OFTEN
    return int(often + max(0.0, seconds - _TOLD_OFTEN) // _SELDOM)


def _skew(reading: Reading, limit: float, former: Conditions) -> Condition | None:
    ahead = reading.skew.ahead
    if ahead is None:
        return former.get(SKEW)
    if abs(ahead) <= limit:
        return None
    way = "ahead of" if ahead > 0 else "behind"
    text = f"the clock of {reading.peer.name} is {abs(ahead):.1f} s {way} that of {reading.me.name}"
    # Beyond this dhcpd and Kea refuse each other: another thing to say.
    return Condition("refused" if abs(ahead) > 60 else "skew", text)


def _balance(reading: Reading, limit: float, former: Conditions) -> Condition | None:
    settled = reading.own.since is None or reading.time - reading.own.since >= _SETTLED
    if reading.pools is None or reading.own.word != model.NORMAL or not settled:
        return former.get(BALANCE)
    bad = [
        pool
        for pool in reading.pools
        if pool.balance is not None
        and pool.balance > limit
        and abs(pool.free - (pool.backup or 0)) >= _DIFFERENCE
    ]
    if not bad:
        return None
    text = "; ".join(
        f"{pool.network}: {pool.free} free for the primary, {pool.backup} for the secondary"
        for pool in bad
    )
    return Condition(" ".join(pool.network for pool in bad), text)


def _pool(reading: Reading, limit: float, former: Conditions) -> Condition | None:
    if reading.pools is None:
        return former.get(POOL)
    known = former[POOL].essence.split() if POOL in former else []

    bad = [
        pool
        for pool in reading.pools
        if pool.total and pool.used >= _limit(limit, pool.network in known)
    ]
    if not bad:
        return None
    text = "; ".join(f"{pool.network}: {pool.active} of {pool.total} in use" for pool in bad)
    return Condition(" ".join(pool.network for pool in bad), text)


def _log(reading: Reading, former: Conditions) -> Condition | None:
    """Return the kinds of faults of the last minutes; one more kind is another condition."""
    faults = logs.faults_since(reading.log, reading.time - _FAULTS)
    if not faults:
        return None
    kinds = {line.kind for line in faults}
    known = set(former[LOG].essence.split("\n")) if LOG in former else set()
    # A kind that has aged away is no news while others stay.
    essence = "\n".join(sorted(known)) if kinds <= known else "\n".join(sorted(kinds))
    return Condition(essence, "; ".join(line.text for line in faults[-5:]))


def _drill(reading: Reading, limit: float) -> Condition | None:
    good = reading.drill.good if reading.drill else None
    if good is not None and reading.time - good <= limit:
        return None
    days = limit / 86400
    text = f"no good drill for {days:g} days" if good is not None else "no good drill ever"
    return Condition("none" if good is None else "old", text)
