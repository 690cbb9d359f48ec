"""Ports that another program has, refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import RefusedError
from .model import ISC, DhcpConfig, Member
from .services import OMAPI_PORT, SERVER_PORT, SERVERS, Socket


def refuse_used(config: DhcpConfig, me: Member, sockets: Iterable[Socket], former: str) -> None:
    """Refuse ports that another program has.

    :param former: implementation that is ours already; it ends before the other one starts.
    :raises RefusedError: naming the program.
    """
    ours = {SERVERS[config.implementation].program}
    ours |= {SERVERS[former].program} if former else set()
    wanted: dict[tuple[str, int], str] = {
        ("udp", SERVER_PORT): f"{config.where}:implementation",
        ("tcp", me.port): f"{config.pair.where}:members:{me.name}:port",
    }
    if config.implementation == ISC:
        wanted[("tcp", OMAPI_PORT)] = f"{config.where}:implementation"
    for socket in sockets:
        where = wanted.get((socket.protocol, socket.port))
        if where is None or socket.program in ours:
            continue
        if socket.device and socket.device not in config.interfaces:
            continue
        everywhere = socket.address in ("0.0.0.0", "*", "::")
        if socket.port == me.port and not everywhere and socket.address != me.address:
            continue
        raise RefusedError(
            f"the port is in use: {socket.text}",
            where=where,
            way_out="stop that program, or take another port; nothing was changed",
        )
