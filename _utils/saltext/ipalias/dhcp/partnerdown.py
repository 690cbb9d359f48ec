"""Declare the peer dead, where it is.

A server in partner-down gives out its peer's addresses as well. If that one lives and serves,
two clients get one address: so it is refused while anything of the peer answers, whatever the
server itself says of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import EffectError, RefusedError
from ..host import Host
from . import keactl, model, omapi
from .model import ISC, DhcpConfig, Member
from .omapikey import FILE as KEY_FILE
from .omapikey import parse_key
from .peer import answers_at_all
from .reading import Reading, read
from .segments import OPEN, REFUSED
from .silence import RUN, read_lasted

#: Seconds that dhcpd may take: it writes its state and its leases to disk before it answers.
ISC_PATIENCE = 10.0
#: Seconds that the peer has for an answer before it is declared dead.
SILENCE, PATIENCE = 10.0, 4.0


def partner_down(
    host: Host,
    config: DhcpConfig,
    me: Member,
    *,
    state: str = "/var/lib/ipalias",
    test: bool = False,
    although_host_answers: bool = False,
    by_policy: bool = False,
    run: str = RUN,
) -> dict[str, Any]:
    """Have this host's server take its peer for dead.

    :param state: our own state folder.
    :param although_host_answers: the peer's host may answer as long as its port does not; who
        says so knows that no server gives out leases there.
    :param by_policy: nobody has looked at it: only after the time that the pillar says.
    :param run: folder of what the beacon has seen (`silence`).
    :returns: ``result``, ``changes``, ``comment``, ``notes``.
    :raises RefusedError: the peer answers, this server still counts on it, or refuses.
    :raises EffectError: this server does not answer.
    """
    limits = replace(config.limits, silence=SILENCE)
    reading = read(
        host,
        replace(config, limits=limits),
        me,
        state=state,
        whole=False,
        patience=PATIENCE,
        ask=config.implementation == ISC,
    )
    other = reading.peer
    if reading.said:
        raise EffectError(reading.said, where=me.name)
    if reading.own.word == model.PARTNER_DOWN:
        return _answer(True, {}, f"{me.name} is {reading.own.state} already", [])
    if not although_host_answers:
        reading = _asked_again(reading)
    refuse_living(reading, although_host_answers)
    if not (by_policy or although_host_answers):
        refuse_refusing(reading)
    if by_policy:
        refuse_early(reading, read_lasted(host, config, me, run))
    changes = {"state": {"old": reading.own.state, "new": "partner-down"}}
    notes = _notes(reading)
    if test:
        return _answer(None, changes, f"{me.name} would take {other.name} for dead", notes)
    after = _declare(host, config, state)
    changes["state"]["new"] = after
    return _answer(True, changes, f"{me.name} takes {other.name} for dead", notes)


def _asked_again(reading: Reading) -> Reading:
    """Return the same where whatever the peer's kernel may answer was asked for.

    A look for the beacon asks for its clock alone, which a filter may drop that lets a server
    serve its clients.

    :raises EffectError: it cannot be asked.
    """
    if reading.alive or reading.ways.outward.kind in (OPEN, REFUSED):
        return reading
    return replace(reading, alive=answers_at_all(reading.me.address, reading.peer.address))


def refuse_living(reading: Reading, although_host_answers: bool = False) -> None:
    """Refuse to declare a peer dead that may live.

    :raises RefusedError: with what of it answers.
    """
    me, other = reading.me, reading.peer
    where = f"{other.name} ({other.address}:{other.port})"
    if reading.ways.outward.kind == OPEN:
        raise RefusedError(
            "its port answers", where=where, way_out="stop its server first, or let it serve"
        )
    if reading.ways.heard is not None and reading.own.word == model.NORMAL:
        raise RefusedError(
            f"its session with us was heard {reading.ways.heard:.0f} s ago",
            where=where,
            way_out=f"wait until {me.name} itself counts communication as cut",
        )
    if reading.own.word == model.NORMAL:
        raise RefusedError(
            f"{me.name} is {reading.own.state}: it still counts on its peer",
            where=where,
            way_out="wait until it counts communication as cut (max_response_delay)",
        )
    if reading.alive and not although_host_answers:
        raise RefusedError(
            "its host answers, its port does not: a filter may hide a server that serves",
            where=where,
            way_out="see that no server runs there, then say although_host_answers=True",
        )


def refuse_refusing(reading: Reading) -> None:
    """Refuse a peer whose host says no on the port.

    A kernel without a server says so, and a filter that rejects says it for a server that goes on
    serving. A reaction has asked the peer's own minion before; by hand nobody has.

    :raises RefusedError: it does.
    """
    if reading.ways.outward.kind == REFUSED:
        raise RefusedError(
            "its host refuses the port: no server, or a filter before one that serves",
            where=f"{reading.peer.name} ({reading.peer.address}:{reading.peer.port})",
            way_out="see that no server runs there, then say although_host_answers=True",
        )


def refuse_early(reading: Reading, watched: float | None) -> None:
    """Refuse what the pillar's policy does not allow, or not yet.

    By the server's own count, and not by who asks: an event can be made up. And by what the beacon
    has seen, for the server counts by a clock that can be set.

    :param watched: for how long it has found the peer silent (seconds); None: it has not looked.
    :raises RefusedError: no policy, or the time has not passed.
    """
    after, where = reading.config.partner_down.after, f"{reading.config.where}:partner_down"
    if not after:
        raise RefusedError(
            "no reaction may declare the peer dead",
            where=where,
            way_out="set `after` and `witness`",
        )
    cut = reading.cut_for
    if reading.own.word != model.INTERRUPTED or cut is None or cut < after:
        since = "not" if cut is None else f"for {cut:.0f} s"
        raise RefusedError(
            f"{reading.me.name} is {reading.own.state}, {since} without its peer; "
            f"{after:g} s are wanted",
            where=where,
        )
    if watched is None or watched < after:
        seen = "has not watched" if watched is None else f"has for {watched:.0f} s found silent"
        raise RefusedError(
            f"the beacon of {reading.me.name} {seen} {reading.peer.name}; {after:g} s are wanted "
            "by a clock that nobody sets",
            where=where,
            way_out="the state ipalias.dhcp installs the beacon; by hand it is "
            "`ipalias_dhcp.partner_down` without a policy",
        )


def _notes(reading: Reading) -> list[str]:
    other, pair = reading.peer, reading.config.pair
    notes = [f"{other.name} must not serve again before it reaches {reading.me.name}"]
    if reading.config.implementation == ISC:
        notes.append(
            f"when {other.name} is back it waits for mclt ({pair.mclt} s) in recover-wait "
            f"before both are normal"
        )
    if reading.ways.outward.kind == REFUSED:
        notes.append(f"the host of {other.name} answers, its server does not")
    return notes


def _declare(host: Host, config: DhcpConfig, state: str) -> str:
    """Tell the server, and return the state that it is in then."""
    if config.implementation != ISC:
        return keactl.set_partner_down(config.pair.kea.control_socket).local
    path = f"{state}/{KEY_FILE}"
    text = host.read(path)
    key = parse_key(text, path) if text is not None else None
    with omapi.Client(key, timeout=ISC_PATIENCE) as client:
        return omapi.set_partner_down(client, config.pair.name).local


def _answer(
    result: bool | None, changes: dict[str, Any], comment: str, notes: list[str]
) -> dict[str, Any]:
    return {"result": result, "changes": changes, "comment": comment, "notes": notes}


def policy_of(config: DhcpConfig, me: Member) -> dict[str, Any]:
    """Return what the pillar wants of a reaction: ``after`` (seconds, 0: nothing), ``witness``.

    With both members' addresses and ports, for the witness to ask.
    """
    other = config.pair.peer_of(me)
    return {
        "after": config.partner_down.after,
        "witness": config.partner_down.witness,
        "me": {"name": me.name, "address": me.address, "port": me.port},
        "peer": {"name": other.name, "address": other.address, "port": other.port},
    }
