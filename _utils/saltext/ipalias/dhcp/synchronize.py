"""Have Kea fetch its peer's leases once more, where it goes on without them by itself.

Two that balance the load and were cut apart: the survivor counts the other one as dead and gives
out leases. If that one lives, and is not the first to hear when they meet again, it goes on in
load balancing and is never told of them (Kea 2.2 and 2.6, seen). It costs little to fetch what is
there already, so each member does it whenever it has become normal again.
"""

from __future__ import annotations

from typing import Any

from ..errors import EffectError, RefusedError
from ..host import Host
from . import keactl, model
from .model import ISC, MEMFILE, DhcpConfig, Member
from .reading import read


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
    if config.pair.kea.leases.kind != MEMFILE:
        return _answer("the leases are in a database, which replicates")
    reading = read(host, config, me, state=state, whole=False, ask=True)
    if reading.said:
        raise EffectError(reading.said, where=me.name)
    if reading.own.word != model.NORMAL or reading.partner.word != model.NORMAL:
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
