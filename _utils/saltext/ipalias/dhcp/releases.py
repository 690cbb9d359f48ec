"""Which release of Kea each side has, before two are joined that do not understand each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import EffectError, RefusedError
from ..host import Host
from .kea import refuse_versions, release_of
from .model import DhcpConfig, Member

#: Asks a peer's port for a command's arguments (`keactl.ask_peer`).
Asking = Callable[[str, int, str], Any]


def refuse_peers_release(host: Host, config: DhcpConfig, me: Member, ask: Asking) -> None:
    """Refuse a peer whose release does not understand this one's.

    One that does not answer yet is no reason: it is held against this one when it comes.

    :raises UnsupportedError: naming both.
    """
    peer = config.pair.peer_of(me)
    try:
        told = ask(peer.address, peer.port, "status-get")
    except (EffectError, RefusedError):
        return
    theirs = release_of(told) if isinstance(told, Mapping) else ""
    refuse_versions(host.run(["kea-dhcp4", "-v"]).out, theirs, config.pair.where)
