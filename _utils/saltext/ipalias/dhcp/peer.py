"""The peer's port, from here and back: which way is open, and which one is blocked.

From here it is asked for with the first segment of a connection and nothing more. dhcpd takes
every connection that comes from its peer's address for that peer, and a primary begins to talk
on it; a segment whose answer the kernel at once says no to never reaches it.

Nobody can ask for the way back from here. It is told by what can be seen of it: a session that
the peer has opened to our port, and when there was one last. What each side says of its own way
out, both together, is the whole of it: `ipalias_dhcp.status` on both members.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import random
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from ..errors import EffectError, InputError
from ..values import short
from ..wan.netlink import Netlink, NetlinkError
from . import segments
from .model import Member
from .segments import ESTABLISHED, LISTENING, OPEN, REFUSED, SYN_RECEIVED, Session

SILENT: Final = "silent"
UNREACHABLE: Final = "unreachable"
UNKNOWN: Final = "unknown"
IDLE: Final = "idle"
#: Of the time in which an answer must come: when the segment is sent again.
TRIES: Final = 4
_SOCK_DIAG: Final = 4
_TABLE: Final = "/proc/net/tcp"

Answer = TypeVar("Answer")


class Reply(NamedTuple):
    """Hold what became of asking.

    :param kind: `OPEN`, `REFUSED` (the host answers, the port does not), `SILENT`,
        `UNREACHABLE` (a router or our own kernel says so) or `UNKNOWN` (it could not be asked).
    :param seconds: until the answer came.
    :param said: the system's word for it.
    """

    kind: str
    seconds: float | None = None
    said: str = ""


class Clock(NamedTuple):
    """Hold how far the peer's clock is from ours.

    :param ahead: seconds, negative where it is behind; None: not known.
    :param by: how it is known, or why it is not.
    """

    ahead: float | None
    by: str


class Ways(NamedTuple):
    """Hold the two ways between us and the peer.

    :param outward: see `Reply`.
    :param inward: `OPEN`: the peer has a session on our port; `IDLE`: it needs none, for ours
        carries the traffic; `SILENT`: it has none and there is none; `UNKNOWN`.
    :param listening: whether our own server listens on its port.
    :param heard: seconds since the peer has sent anything on a session; None: there is none.
    :param blocked: a sentence for each way that is blocked.
    :param called: seconds since the peer has sent anything on a session that it has opened; None:
        there is none, or the kernel does not tell.
    """

    outward: Reply
    inward: str
    listening: bool
    heard: float | None
    blocked: tuple[str, ...]
    called: float | None = None


def ask_port(source: str, target: str, port: int, patience: float = 2.5) -> Reply:
    """Ask whether a port takes connections, without making one.

    :param source: an address of this host.
    :param patience: seconds until it counts as silent; the segment is sent `TRIES` times.
    """
    ours, number = random.randint(32768, 60999), random.getrandbits(32)
    segment = segments.render_syn((source, ours), (target, port), number)
    try:
        with _raw(socket.IPPROTO_TCP, source, target) as asking:

            def hear(packet: bytes) -> str:
                return segments.parse_answer(packet, (ours, port), number)

            begun = time.monotonic()
            found = _ask(asking, lambda: segment, hear, patience)
    except PermissionError:
        return Reply(UNKNOWN, said="raw sockets need root")
    except OSError as error:
        return Reply(_kind_of(error), said=error.strerror or str(error))
    if not found:
        return Reply(SILENT, said=f"no answer in {patience:g} s")
    return Reply(found, round(time.monotonic() - begun, 6))


def ask_clock(source: str, target: str, patience: float = 1.0) -> Clock:
    """Ask the peer's kernel for its clock by ICMP; Linux answers unless a filter drops it.

    dhcpd's own ``skew`` is always 0, and it says nothing before it refuses its peer.
    """
    ident, number = random.getrandbits(16), random.getrandbits(16)
    try:
        with _raw(socket.IPPROTO_ICMP, source, target) as asking:

            def hear(packet: bytes) -> tuple[float] | None:
                ahead = segments.parse_timestamp(packet, ident, number, _since_midnight())
                return None if ahead is None else (ahead,)

            found = _ask(
                asking,
                lambda: segments.render_timestamp(ident, number, _since_midnight()),
                hear,
                patience,
            )
    except OSError as error:
        return Clock(None, error.strerror or str(error))
    if not found:
        return Clock(None, f"no answer to an ICMP timestamp in {patience:g} s")
    return Clock(round(found[0], 3), "ICMP timestamp")


def _since_midnight() -> int:
    return int(time.time() * 1000) % segments.DAY


def _raw(protocol: int, source: str, target: str) -> socket.socket:
    """Return a raw socket that hears of one host alone."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    try:
        opened.bind((source, 0))
        opened.connect((target, 0))
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _ask(
    asking: socket.socket,
    render: Callable[[], bytes],
    hear: Callable[[bytes], Answer | None],
    patience: float,
) -> Answer | None:
    """Send, again and again, until an answer is heard or the time is over."""
    begun = time.monotonic()
    for turn in range(TRIES):
        asking.send(render())
        until = begun + patience * (turn + 1) / TRIES
        while (left := until - time.monotonic()) > 0:
            if not select.select([asking], [], [], left)[0]:
                break
            with contextlib.suppress(BlockingIOError):
                if found := hear(asking.recv(2048)):
                    return found
    return None


def _kind_of(error: OSError) -> str:
    gone = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
    return UNREACHABLE if error.errno in gone else UNKNOWN


def read_sessions() -> list[Session]:
    """Return this host's TCP sockets of IPv4, from the kernel.

    :raises EffectError: it tells neither way.
    """
    with contextlib.suppress(NetlinkError, OSError):
        asking = Netlink(_SOCK_DIAG)
        try:
            kind, body = segments.render_diag_request()
            return list(segments.parse_diag(asking.dump(kind, body, "TCP sockets")))
        finally:
            asking.close()
    # A kernel without tcp_diag; when data came in last is then not told.
    try:
        with open(_TABLE, encoding="ascii") as file:
            return segments.parse_tcp_table(file.read())
    except OSError as error:
        raise EffectError(error.strerror or "cannot be read", where=_TABLE) from error


def judge(
    me: Member,
    peer: Member,
    outward: Reply,
    sessions: Sequence[Session] | None,
    reached: float | None = None,
) -> Ways:
    """Return what is known of both ways, and which one is blocked.

    :param sessions: None: the kernel does not tell.
    :param reached: seconds since a session of the peer's on our port was seen last; None: none
        was ever seen.
    """
    if sessions is None:
        return Ways(outward, UNKNOWN, False, None, _blocked_out(me, peer, outward))
    between = [each for each in sessions if each.remote == peer.address]
    theirs = [each for each in between if (each.local, each.local_port) == (me.address, me.port)]
    ours = [each for each in between if each.remote_port == peer.port and each not in theirs]
    carrying = [each for each in (*theirs, *ours) if each.state == ESTABLISHED]
    heard = [each.heard for each in carrying if each.heard is not None]
    called = [each.heard for each in carrying if each in theirs and each.heard is not None]
    listening = any(
        each.state == LISTENING and each.local_port == me.port
        for each in sessions
        if each.local in (me.address, "0.0.0.0")
    )
    blocked = list(_blocked_out(me, peer, outward))
    if any(each.state == ESTABLISHED for each in theirs):
        inward = OPEN
    elif carrying:
        inward = IDLE
    else:
        inward = SILENT
        blocked += _blocked_in(me, peer, outward, theirs, listening, reached)
    last = min(called, default=None)
    return Ways(outward, inward, listening, min(heard, default=None), tuple(blocked), last)


def _blocked_out(me: Member, peer: Member, outward: Reply) -> tuple[str, ...]:
    way = f"{me.name} to {peer.name} ({peer.address}:{peer.port})"
    if outward.kind == SILENT:
        return (f"{way}: {outward.said}: blocked on the way, or {peer.name} is down",)
    if outward.kind == UNREACHABLE:
        return (f"{way}: {outward.said}",)
    if outward.kind == REFUSED:
        return (f"{way}: refused: no server listens there, or a filter rejects",)
    return ()


def _blocked_in(
    me: Member,
    peer: Member,
    outward: Reply,
    theirs: Sequence[Session],
    listening: bool,
    reached: float | None,
) -> tuple[str, ...]:
    """Return what can be said of the way back where no session carries anything."""
    way = f"{peer.name} to {me.name} ({me.address}:{me.port})"
    if not listening:
        return (f"{way}: our own server does not listen there",)
    if any(each.state == SYN_RECEIVED for each in theirs):
        return (f"{me.name} to {peer.name}: it asks for a session, and our answer does not arrive",)
    if outward.kind != OPEN:
        return ()
    since = "since it was first looked at" if reached is None else f"for {reached:.0f} s"
    return (
        f"{way}: we reach it, and it has not reached us {since}: "
        f"blocked on the way back, or it refuses us",
    )


def answers_at_all(source: str, target: str, patience: float = 1.0) -> bool:
    """Tell whether the peer's kernel answers anything: an ICMP timestamp, or a port that is closed.

    :raises EffectError: it cannot be asked.
    """
    if ask_clock(source, target, patience).ahead is not None:
        return True
    # Port 9, discard: nobody listens, and a kernel that is there says so.
    reply = ask_port(source, target, 9, patience)
    if reply.kind == UNKNOWN:
        raise EffectError(f"cannot be asked: {reply.said}", where=target)
    return reply.kind in (OPEN, REFUSED)


def source_to(target: str) -> str:
    """Return the address of this host that would be used towards another.

    :raises EffectError: there is no route.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            # Nothing is sent: only the route is looked up.
            asking.connect((target, 9))
            return str(asking.getsockname()[0])
    except OSError as error:
        raise EffectError(error.strerror or "no route", where=target) from error


def parse_place(address: object, port: object) -> tuple[str, int]:
    """Read an IPv4 address and a port.

    :raises InputError: they are none.
    """
    try:
        number = int(str(port))
        place = str(ipaddress.IPv4Address(str(address)))
    except ValueError:
        number, place = 0, ""
    if not place or not 0 < number < 65536:
        raise InputError(
            f"{short(address)} and {short(port)} are no IPv4 address and port", where="reach"
        )
    return place, number


def reach(target: str, port: int, patience: float = 3.0) -> dict[str, object]:
    """Return whether a server's port and its host answer, for a witness of its death.

    :raises EffectError: it cannot be asked from here.
    """
    source = source_to(target)
    reply = ask_port(source, target, port, patience)
    if reply.kind == UNKNOWN:
        raise EffectError(f"cannot be asked: {reply.said}", where=target)
    there = reply.kind in (OPEN, REFUSED) or answers_at_all(source, target)
    return {
        "port": reply.kind,
        "host": there,
        # A host without its server gives out nothing, and one that is silent may only be behind
        # a filter: neither a word from the port nor from the host, or a plain no from the port.
        "dead": reply.kind == REFUSED or not there,
        "said": reply.said,
    }
