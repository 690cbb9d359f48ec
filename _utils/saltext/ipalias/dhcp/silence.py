"""For how long the beacon itself has found the peer silent, kept for who judges that elsewhere.

A server counts by the time of day for how long it has been without its peer: dhcpd keeps the
moment as seconds since 1970, and Kea counts from one. A clock that is set makes that as long as
the step. What the beacon has seen goes by the boot clock, which nobody sets; but it remembers in
its own process, and a reaction is carried out in another one. So it is kept in a file, in a folder
that a boot empties.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from ..effects import FileState, ReadFile, Unlink, run
from ..errors import MALFORMED, IpaliasError
from ..files import write_file
from ..host import Host
from ..processes import boot_clock
from ..request import Machine
from . import watching
from .model import DhcpConfig, Member
from .reading import Since
from .setup import Setup

#: Folder that is empty after a boot; the monitor of multi-WAN takes away what lies above it.
RUN: Final = "/run/ipalias/dhcp"
#: Seconds between two looks beyond which nobody knows what was in between. One takes two or three
#: where the peer is silent.
GAP: Final = 30.0
_NAME: Final = "silence.json"
_MODE: Final = 0o600


class Silence(NamedTuple):
    """Hold an unbroken row of looks that found the peer silent.

    :param peer: who that is: address and port.
    :param since: seconds since boot at the first one.
    :param looked: the same at the last one.
    """

    peer: str
    since: float
    looked: float


def peer_of(config: DhcpConfig, me: Member) -> str:
    """Return who the peer is, in the words of the file."""
    other = config.pair.peer_of(me)
    return f"{other.address}:{other.port}"


def advance(
    before: Silence | None, peer: str, silent: float | None, begun: float
) -> Silence | None:
    """Return the row with one more look in it; None: the peer is there. Pure.

    :param silent: since when the look counts the peer as silent, seconds since boot; it may
        remember more than was watched.
    :param begun: when the look has begun.
    """
    if silent is None:
        return None
    unbroken = before is not None and before.peer == peer and 0.0 <= begun - before.looked <= GAP
    since = before.since if before is not None and unbroken else begun
    return Silence(peer, max(silent, since), begun)


def lasted(silence: Silence | None, peer: str, now: float) -> float | None:
    """Return for how long the peer has been watched and silent (seconds); None: not known. Pure.

    :param now: seconds since boot; who asks has just found it silent as well.
    """
    if silence is None or silence.peer != peer or not 0.0 <= now - silence.looked <= GAP:
        return None
    return max(0.0, now - silence.since)


def render_silence(silence: Silence) -> str:
    """Return a row of looks as it is kept."""
    return json.dumps({"schema": 1, **silence._asdict()}) + "\n"


def parse_silence(text: str | None) -> Silence | None:
    """Read a row of looks; what is none counts as nothing watched."""
    try:
        data = json.loads(text or "null")
        return Silence(str(data["peer"]), float(data["since"]), float(data["looked"]))
    except MALFORMED:
        return None


def read_lasted(host: Host, config: DhcpConfig, me: Member, folder: str = RUN) -> float | None:
    """Return for how long the beacon of this host has found the peer silent; see `lasted`."""
    try:
        silence = parse_silence(host.read(f"{folder}/{_NAME}"))
    except IpaliasError:
        return None
    return lasted(silence, peer_of(config, me), boot_clock())


def keep(
    look: watching.Look, host: Machine, config: DhcpConfig, me: Member, folder: str = RUN
) -> watching.Look:
    """Return a look that also keeps for how long it has found the peer silent.

    What cannot be kept is not told: only a reaction wants it, and is refused without.
    """
    path, peer = f"{folder}/{_NAME}", peer_of(config, me)

    def kept(memory: object) -> dict[str, Any]:
        begun = boot_clock()
        told = look(memory)
        silent = Since(*told["memory"]["since"]).silent
        with suppress(IpaliasError):
            _keep(host, path, lambda before: advance(before, peer, silent, begun))
        return told

    return kept


def _keep(host: Machine, path: str, step: Callable[[Silence | None], Silence | None]) -> None:
    state: FileState | None = host.perform(ReadFile(path))
    after = step(parse_silence(state.text if state else None))
    if after is not None:
        run(write_file(path, render_silence(after), _MODE, None), host.perform)
    elif state is not None:
        host.perform(Unlink(path))


def watch(setup: Setup, name: str, memory: object) -> dict[str, Any]:
    """Return what has changed of the pair since the last call; see `watching.watch`.

    :param name: the pillar's path.
    :raises IpaliasError: the host is no member, or the look failed.
    """
    config, me = watching.side_of(setup)
    state = setup.settings.paths.state
    look = partial(watching.look, setup.host, config, me, state=state)
    return watching.watch(name, keep(look, setup.host, config, me), memory)
