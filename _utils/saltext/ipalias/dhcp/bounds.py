"""How long a takeover takes at most, computed from the numbers of a pair.

Two kinds of end. **Killed**: the process is gone and its kernel says so (a reset, a refused
connection). **Cut**: the link is, nobody says anything, and the connection hangs.

A client that hashes to the server that is gone is served

- by ISC's when the survivor is in ``communications-interrupted``: at once after a kill, for the
  connection closes; after a cut when `max_response_delay` is over, for dhcpd starts that timer
  anew with each message of its peer (failover.c, `dhcp_failover_timeout`). Before that, too, if
  its message says in ``secs`` that it has waited for more than `load_balance_max_seconds`
  (`load_balance_mine`);
- by Kea's when the survivor is in ``partner-down``: its partner was last heard more than
  `max_response_delay` ago (`CommunicationState::isCommunicationInterrupted`), and more than
  `max_unacked_clients` clients of the partner have waited for more than `max_ack_delay`. It
  looks after each heartbeat; one comes `heartbeat_delay` after the end of the one before, and
  takes up to ten seconds where nobody answers (`TIMEOUT_DEFAULT_HTTP_CLIENT_REQUEST`).

From then on its next message is answered; when that comes is the client's own doing. dhcpd
pings an address before it offers it for the first time (`ping_timeout`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..values import span
from .model import HOT_STANDBY, ISC, DhcpConfig, KeaSettings
from .profiles import MOST_DELAY

KILL = "kill"
CUT = "cut"
KINDS = (KILL, CUT)
#: A loaded host's timers and scheduling, and the exchange itself.
REACTION = 0.5
#: Longest a heartbeat of Kea's waits for an answer.
HEARTBEAT_TIMEOUT = 10.0


@dataclass(frozen=True)
class Client:
    """Say when a client sends again; times in seconds.

    :param first: from the first message to the second; each further wait is `factor` times
        the one before, at most `longest`, and off by up to `jitter` either way.
    :param counts: it says in ``secs`` how long it has waited.
    """

    first: float
    factor: float = 2.0
    longest: float = 64.0
    jitter: float = 1.0
    counts: bool = True


#: RFC 2131, 4.1.
RFC2131 = Client(4.0)


def steady(interval: float) -> Client:
    """Return a client that sends each `interval` seconds, as near as a timer is, and counts."""
    return Client(interval, 1.0, interval, interval / 20)


@dataclass(frozen=True)
class Bound:
    """Hold a bound and where it comes from; times in seconds.

    :param service: from the fault until the survivor answers whatever client asks.
    :param seconds: longest that a client of the dead server waits for its lease, from its first
        message on; that comes with the fault or later.
    :param clients: that many clients of the dead server must have been asking since the fault,
        or it takes longer: until they have.
    :param why: the parts of it, in words.
    """

    service: float
    seconds: float
    clients: int
    why: tuple[str, ...]


def takeover_bound(config: DhcpConfig, kind: str, client: Client = RFC2131) -> Bound:
    """Return how long a takeover takes at most.

    :param kind: `KILL` or `CUT`.
    :param client: how a client asks again.
    """
    if config.implementation == ISC:
        return _isc(config, kind, client)
    return _kea(config.pair.kea, kind, client)


def _isc(config: DhcpConfig, kind: str, client: Client) -> Bound:
    pair = config.pair
    why: list[str] = []
    if kind == KILL:
        service = REACTION
        why.append(f"the connection closes, and the survivor knows ({span(REACTION)})")
    else:
        service = pair.max_response_delay + REACTION
        why.append(f"silence of max_response_delay ({span(pair.max_response_delay)})")
    answered = next_message(service, client)
    if client.counts and pair.load_balance_max_seconds:
        # Whole seconds, and more than the limit.
        waited = pair.load_balance_max_seconds + 1.0
        sooner = next_message(waited, client)
        if sooner < answered:
            answered = sooner
            why.append(
                f"sooner: a message that says more than load_balance_max_seconds "
                f"({span(pair.load_balance_max_seconds)}) is answered by either server"
            )
    why.append(f"the client's next message comes by {span(round(answered, 3))}")
    if config.ping_timeout:
        why.append(f"the address is pinged before its first offer ({span(config.ping_timeout)})")
    return Bound(service, answered + config.ping_timeout + REACTION, 1, tuple(why))


def _kea(kea: KeaSettings, kind: str, client: Client) -> Bound:
    beat = kea.heartbeat_delay + (HEARTBEAT_TIMEOUT if kind == CUT else 0.0)
    silent = kea.max_response_delay
    why = [f"the last answer is max_response_delay old ({span(silent)})"]
    clients = 1
    # A standby's clients are none, so a primary does not wait for any.
    if kea.max_unacked_clients:
        clients = kea.max_unacked_clients + 1
        # Whole seconds, and more than the limit; none is counted before the silence is over.
        counted = next_message(max(silent, math.floor(kea.max_ack_delay) + 1.0), client)
        why.append(
            f"{clients} clients of the dead server have waited for more than max_ack_delay "
            f"({span(kea.max_ack_delay)}) and say so by {span(round(counted, 3))}"
        )
        silent = counted
    service = silent + beat + REACTION
    why.append(f"the survivor looks after its next heartbeat ({span(beat)})")
    answered = next_message(service, client)
    why.append(f"the client's next message comes by {span(round(answered, 3))}")
    return Bound(service, answered + REACTION, clients, tuple(why))


def next_message(since: float, client: Client) -> float:
    """Return by when a client that asks from 0 on has sent a message at `since` or later.

    It grows with `since`, so a client that begins after the fault does not wait longer than
    one that begins with it.
    """
    early = late = 0.0
    wait = client.first
    worst = since
    # What an unlucky client sent at the latest moment before `since` is followed by its next.
    while early < since:
        following = min(late, since) + wait + client.jitter
        worst = max(worst, following)
        early += max(wait - client.jitter, 0.001)
        late += wait + client.jitter
        wait = min(wait * client.factor, client.longest)
    return worst


def describe(config: DhcpConfig, client: Client = RFC2131) -> dict[str, object]:
    """Return what the numbers of a pair promise, as plain data; times in seconds."""
    told: dict[str, object] = {"profile": config.profile}
    for kind in KINDS:
        bound = takeover_bound(config, kind, client)
        told[kind] = {
            "answers all": round(bound.service, 3),
            "every client served": round(bound.seconds, 3),
            "clients needed": bound.clients,
            "why": list(bound.why),
        }
    if said := dangers(config):
        told["danger"] = ". ".join(said)
    return told


def dangers(config: DhcpConfig) -> list[str]:
    """Return what a pair of these numbers may do that a pair must not, a sentence each."""
    if config.implementation == ISC:
        return []
    kea = config.pair.kea
    if not kea.max_unacked_clients:
        return [
            "max_unacked_clients 0: two living servers that do not hear each other both give "
            "out everything, and an address may be given twice"
        ]
    patient = patience_of_standby(kea)
    if kea.mode == HOT_STANDBY and kea.max_ack_delay < patient:
        way_out = f"from {span(patient)} on it counts none of those"
        if patient > MOST_DELAY:
            way_out += (
                f", and Kea takes {span(MOST_DELAY)} at most: give a shorter max_response_delay"
            )
        return [
            f"hot-standby with max_ack_delay {span(kea.max_ack_delay)}: two living servers that do "
            "not hear each other may both give out the same pool, for the standby counts clients "
            f"that wait for the primary; {way_out}"
        ]
    return []


def patience_of_standby(kea: KeaSettings, client: Client = RFC2131) -> float:
    """Return the `max_ack_delay` from which on a standby takes no living primary for dead.

    A primary that does not hear its standby acknowledges nothing until it counts it as lost, which
    hangs on no client (`HAService::shouldPartnerDown`). The standby sees clients wait meanwhile;
    the last that it hears of one is its next message, which the primary answers.
    """
    deaf = kea.max_response_delay + kea.heartbeat_delay + HEARTBEAT_TIMEOUT + REACTION
    return float(math.ceil(next_message(deaf, client)))
