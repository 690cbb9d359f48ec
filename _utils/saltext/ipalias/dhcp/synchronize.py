"""Have Kea fetch its peer's leases once more, where it goes on without them by itself.

Two that balance the load and were cut apart: the survivor counts the other one as dead and gives
out leases. If that one lives, and the survivor's word comes first when they meet again, the
survivor fetches from it, and it goes on in load balancing (from ``communication-recovery``, which
asks nobody) and is never told of them: all of them are missing there (Kea 2.2 and 2.6, seen).

Where one way alone is blocked it is the one that is not reached: it hears that it counts as dead,
fetches what there is, and is told nothing of what the other one gives out until that reaches it
again (58 of 58, 2.6). By its own look at the other one all is well meanwhile.

And a primary that is alone, in either mode, asks nobody when the other one comes, who may have
leases that it has not: those of a dhcpd that has served for longer there (`carry`).

It costs little to fetch what is there already, so each member does it whenever both are normal
after one of them was not, or the other one has not called for a while, and after the start of
whoever watches, for what was before is not known.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..errors import EffectError, IpaliasError, RefusedError
from ..host import Host
from . import keactl, model
from .model import ISC, DhcpConfig, Member
from .reading import FRESH, Reading, read
from .segments import OPEN
from .watch import Condition

#: Seconds until it is tried again after it has failed.
AGAIN: Final = 10.0


class Debt(NamedTuple):
    """Hold whether leases may be missing here, for the next look.

    :param seen: the pair was seen not normal; False: what was before is not known.
    :param again: seconds since boot until which it is not tried; it has failed.
    :param since: seconds since boot of when the two were last seen not to reach each other, or
        first not to be normal.
    """

    seen: bool = False
    again: float = 0.0
    since: float = 0.0


#: Of a first look.
UNKNOWN: Final = Debt()


class Payment(NamedTuple):
    """Hold what became of a debt.

    :param debt: what is left of it; None: nothing.
    :param problem: why it could not be paid; None: it was not tried, or it was paid.
    :param done: what was done, a sentence; empty: nothing, or nothing worth telling.
    """

    debt: Debt | None
    problem: Condition | None = None
    done: str = ""


def leaves_some(config: DhcpConfig) -> bool:
    """Tell whether a pair can be normal again with leases missing on one side.

    Of hot standby as well: a primary that was alone is asked by the other one, and asks nobody,
    though that may come with leases of dhcpd's which are not known here (`carry`).
    """
    return config.implementation != ISC and not config.pair.kea.leases.replicated


def is_pressing(debt: Debt | None, config: DhcpConfig, now: float) -> bool:
    """Tell whether the servers are to be asked with each look, so that a debt is paid at once.

    Not for long: Kea logs each question, and two that are normal again no sooner are found to
    be by the looks at the rest.

    :param now: seconds since boot.
    """
    return debt is not None and leaves_some(config) and 0 <= now - debt.since < FRESH


def pay(reading: Reading, debt: Debt | None) -> Payment:
    """Fetch the peer's leases where some may be missing and both are normal; else take note.

    :param reading: of now. A debt is paid on the word of both servers alone: see `read`'s ``ask``.
    :param debt: what the last look has left.
    """
    if not leaves_some(reading.config):
        return Payment(None)
    again = debt.again if debt else 0.0
    # Also where this server has not found it yet: what it is a moment later is not seen.
    if reading.ways.outward.kind != OPEN or _uncalled(reading):
        return Payment(Debt(True, again, reading.clock))
    if reading.asked and not _normal(reading):
        return Payment(Debt(True, again, debt.since if debt and debt.seen else reading.clock))
    if debt is None or not reading.asked or reading.clock < debt.again:
        return Payment(debt)
    kea, other = reading.config.pair.kea, reading.peer
    try:
        keactl.synchronize(kea.control_socket, other.name)
    except IpaliasError as error:
        text = f"{reading.me.name} may lack leases of {other.name}, and cannot fetch them: "
        problem = Condition("not fetched", text + error.text())
        return Payment(debt._replace(again=reading.clock + AGAIN), problem)
    done = f"{reading.me.name} has fetched the leases of {other.name}" if debt.seen else ""
    return Payment(None, done=done)


def _uncalled(reading: Reading) -> bool:
    """Tell whether the other one may have given this one up: it has not called for too long.

    Kea holds its sessions open and beats on them, once a second at most. After a minute the
    states tell: one whose calls come from another address than its own would be waited for
    without an end.
    """
    called, limit = reading.ways.called, reading.config.pair.kea.max_response_delay
    if reading.ways.inward != OPEN and reading.since.reached is not None:
        called = reading.clock - reading.since.reached
    return called is not None and limit < called < limit + FRESH


def _normal(reading: Reading) -> bool:
    return reading.own.word == reading.partner.word == model.NORMAL


def synchronize(
    host: Host,
    config: DhcpConfig,
    me: Member,
    *,
    state: str = "/var/lib/ipalias",
    test: bool = False,
) -> dict[str, Any]:
    """Have this host's server fetch its peer's leases, where its own protocol may have left some.

    :param state: our own state folder.
    :returns: ``result``, ``changes``, ``comment``, ``notes``.
    :raises RefusedError: the pair is not normal: it synchronizes by itself then.
    :raises EffectError: this server does not answer.
    """
    other = config.pair.peer_of(me)
    if config.implementation == ISC:
        return _answer("dhcpd's failover brings the leases itself")
    if config.pair.kea.leases.replicated:
        return _answer("the leases are in a database that replicates (lease_database:replicated)")
    reading = read(host, config, me, state=state, whole=False, ask=True)
    if reading.said:
        raise EffectError(reading.said, where=me.name)
    if not _normal(reading):
        raise RefusedError(
            f"{me.name} is {reading.own.state}, and {other.name} "
            f"{reading.partner.state or 'unknown'}: they are at it themselves",
            where=f"{config.where}:pair",
            way_out="wait until both are normal, and ask again",
        )
    if not test:
        keactl.synchronize(config.pair.kea.control_socket, other.name)
    would = "would fetch" if test else "has fetched"
    return _answer(f"{me.name} {would} the leases of {other.name}", None if test else True)


def _answer(comment: str, result: bool | None = True) -> dict[str, Any]:
    return {"result": result, "changes": {}, "comment": comment, "notes": []}
