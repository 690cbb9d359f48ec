"""DHCP clients on a segment, as many as one likes in one loop: for drill and proof.

They live in a packet socket (packet(7)) on an interface that is named, with hardware addresses
of their own. Nothing of the host is configured: no address is set anywhere, and what the
servers ask by ARP for a leased address is answered here.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import random
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ..errors import EffectError, InputError
from ..probe import render_probe
from ..values import is_interface, short
from ..wan.echoes import attach_filter
from ..wire import packet_socket
from . import packet
from .bounds import RFC2131, steady
from .bounds import Client as Again
from .buckets import mac_by_chance, spread_macs
from .exchange import BOUND, RENEWED, Event, Exchange

#: Of all protocols: what a server on this very host sends is seen only by such a socket.
_EVERYTHING = 3
_ETHERNET = 1
_SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1
#: Seconds between two clients that begin: a server's socket has room for some two hundred.
PACE = 0.002
#: What a link that is down or a queue that is full says: the frame is lost, as on any wire.
_LOST: Final = {errno.ENETDOWN, errno.ENOBUFS, errno.EAGAIN, errno.ENETUNREACH}
MOST = 2000


class Wire:
    """A packet socket for clients.

    :param promiscuous: hear what goes to the clients' own hardware addresses too; without it
        they have leases and cannot renew them.
    :raises InputError: not the name of an Ethernet interface of this host.
    """

    def __init__(self, interface: object, *, promiscuous: bool = True) -> None:
        name = parse_named(interface)
        try:
            self._socket = packet_socket(name, _EVERYTHING)
        except OSError as error:
            raise InputError(f"{name}: {error.strerror}", where="interface") from None
        try:
            if self._socket.getsockname()[3] != _ETHERNET:
                raise InputError(f"{name} is not an Ethernet interface", where="interface")
            if promiscuous:
                index = socket.if_nametoindex(name).to_bytes(4, "little")
                wanted = index + _PROMISCUOUS.to_bytes(2, "little") + bytes(10)
                self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)
            attach_filter(self._socket, packet.client_filter())
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        self.interface = name

    def send(self, frame: bytes) -> None:
        """Send a frame; on a link that is down it is lost."""
        try:
            self._socket.send(frame)
        except OSError as error:
            self._bear(error)

    def receive(self, wait: float) -> list[bytes]:
        """Return the frames that are there, waiting for one at most so long (seconds)."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, wait))
        frames: list[bytes] = []
        # As many as a moment has: on a segment that is never quiet clients have their turn too.
        while ready and len(frames) < 256:
            try:
                frames.append(self._socket.recv(2048))
            except BlockingIOError:
                break
            except OSError as error:
                self._bear(error)
                break
        return frames

    def close(self) -> None:
        """Close the socket; the interface is as it was."""
        self._socket.close()

    def _bear(self, error: OSError) -> None:
        if error.errno not in _LOST:
            raise EffectError(str(error.strerror), where=self.interface) from error


def parse_named(interface: object) -> str:
    """Read the name of the interface that clients live on.

    :raises InputError: not a name; there is no default for this.
    """
    if not isinstance(interface, str) or not is_interface(interface) or interface == "default":
        raise InputError(
            f"{short(interface)} is not the name of an interface",
            where="interface",
            way_out="name the one on the clients' segment, as `ip link` shows it",
        )
    return interface


class Clients:
    """Clients that live on one wire.

    :param wire: `Wire`, or anything that sends and receives frames.
    :param again: when a client sends again.
    :param keep: clients renew by themselves while the loop runs.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        again: Again = RFC2131,
        keep: bool = False,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.wire, self.again, self.keep, self.clock = wire, again, keep, clock
        self.events: list[Event] = []
        #: Who has claimed an address by ARP.
        self.claims: dict[str, set[str]] = {}
        self._chance = chance or random.Random(os.urandom(16))
        self._by_mac: dict[str, Exchange] = {}
        self._by_address: dict[str, Exchange] = {}
        self._agenda: list[tuple[float, int, Exchange, Callable[[float], list[bytes]]]] = []
        self._turn = itertools.count()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def add(self, mac: str = "", *, hostname: str = "", client_id: bytes = b"") -> Exchange:
        """Return a new client.

        :param mac: its hardware address; empty: one by chance, of those that nobody is given.
        """
        mac = mac or mac_by_chance(self._chance)
        client = Exchange(
            mac,
            lambda: self._chance.getrandbits(32),
            lambda: self._chance.uniform(-1, 1),
            self.events.append,
            again=self.again,
            hostname=hostname,
            client_id=client_id,
            keep=self.keep,
        )
        self._by_mac[mac] = client
        return client

    # -- what they are told to do ------------------------------------------------------------

    def obtain(
        self, clients: Iterable[Exchange], limit: float, pace: float = PACE
    ) -> list[Exchange]:
        """Have clients get leases; return those that have one, at the latest after `limit` s."""
        chosen = list(clients)
        for client in chosen:
            client.held = None
            client.stop()
        self.begin(chosen, Exchange.obtain, pace)
        self.run(lambda: all(client.held for client in chosen), limit)
        return self._ended([client for client in chosen if client.held], chosen)

    def renew(
        self, clients: Iterable[Exchange], limit: float, pace: float = PACE
    ) -> list[Exchange]:
        """Have clients renew with their server; return those whom it answered in time."""
        return self._extend(clients, Exchange.renew, limit, pace)

    def rebind(
        self, clients: Iterable[Exchange], limit: float, pace: float = PACE
    ) -> list[Exchange]:
        """Have clients renew with any server; return those who were answered in time."""
        return self._extend(clients, Exchange.rebind, limit, pace)

    def release(self, clients: Iterable[Exchange], pace: float = PACE) -> None:
        """Have clients give their leases back, which nobody confirms."""
        chosen = [client for client in clients if client.held]
        self.begin(chosen, Exchange.release, pace)
        self.run(lambda: not any(client.held for client in chosen), pace * len(chosen) + 1)

    def begin(
        self,
        clients: Iterable[Exchange],
        what: Callable[[Exchange, float], list[bytes]],
        pace: float = PACE,
    ) -> None:
        """Have clients do something, one after the other, as soon as the loop runs."""
        moment = self.clock()
        for number, client in enumerate(clients):
            self._plan(moment + number * pace, client, partial(what, client))

    def _extend(
        self,
        clients: Iterable[Exchange],
        what: Callable[[Exchange, float], list[bytes]],
        limit: float,
        pace: float,
    ) -> list[Exchange]:
        chosen = [client for client in clients if client.held]
        first = len(self.events)
        self.begin(chosen, what, pace)

        def renewed() -> set[str]:
            return {e.mac for e in self.events[first:] if e.what == RENEWED}

        wanted = {client.mac for client in chosen}
        self.run(lambda: wanted <= renewed(), limit)
        macs = renewed()
        return self._ended([client for client in chosen if client.mac in macs], chosen)

    def _ended(self, done: list[Exchange], chosen: Sequence[Exchange]) -> list[Exchange]:
        """Return those that are done, and have the others send nothing any more."""
        for client in chosen:
            if client.state != BOUND:
                client.stop()
        return done

    # -- the loop ----------------------------------------------------------------------------

    def run(self, done: Callable[[], bool], limit: float) -> bool:
        """Send and receive until something is done; False: it was not after `limit` seconds."""
        end = self.clock() + limit
        while not done():
            now = self.clock()
            if now >= end:
                return False
            self._do_due(now)
            if done():
                break
            until = min(end, self._agenda[0][0]) if self._agenda else end
            for frame in self.wire.receive(until - self.clock()):
                self._take(frame)
        return True

    def ask(self, address: str, mac: str, limit: float = 1.0) -> set[str]:
        """Return the hardware addresses that answer for an address on the segment."""
        self.claims[address] = set()
        self.wire.send(render_probe(mac, address))
        self.run(lambda: bool(self.claims[address]), limit)
        return self.claims[address]

    def _plan(self, moment: float, client: Exchange, what: Callable[[float], list[bytes]]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._turn), client, what))

    def _do_due(self, now: float) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            _, _, client, what = heapq.heappop(self._agenda)
            self._let(client, what, now)

    def _let(self, client: Exchange, what: Callable[[float], list[bytes]], now: float) -> None:
        """Have a client do something, send what comes of it, and note when it is due next."""
        former = client.due
        for frame in what(now):
            self.wire.send(frame)
        if client.held is not None:
            self._by_address[client.held.address] = client
        # What was due before may stand in the agenda still: `tick` then does nothing.
        if client.due is not None and client.due != former:
            self._plan(client.due, client, client.tick)

    def _take(self, frame: bytes) -> None:
        arrived = packet.parse_frame(frame)
        if arrived is not None:
            client = self._by_mac.get(arrived.message.mac)
            if client is not None:
                self._let(client, lambda now: client.take(arrived, now), self.clock())
            return
        asked = packet.parse_question(frame)
        if asked is not None:
            owner = self._by_address.get(asked[0])
            if owner is not None and owner.held is not None and owner.held.address == asked[0]:
                own = packet.Place(owner.mac, asked[0])
                self.wire.send(packet.render_claim(own, asked[1]))
            return
        claim = packet.parse_claim(frame)
        if claim is not None and claim.address in self.claims:
            self.claims[claim.address].add(claim.mac)


def numbered_mac(number: int) -> str:
    """Return the hardware address of a client by its number, always the same."""
    return (b"\x02\x1b" + number.to_bytes(4, "big")).hex(":")


# -- the drill's client ----------------------------------------------------------------------


def lease(
    interface: object,
    clients: int = 1,
    limit: float = 30.0,
    server: str = "",
    *,
    again: float = 1.0,
    test: bool = False,
) -> dict[str, Any]:
    """Get leases with new clients, say from whom and how quickly, and give them back.

    :param limit: seconds for all of them.
    :param server: address of the server that they have to come from; empty: any. A server may
        name itself by another address of the same hardware.
    :param again: seconds after which a client asks again.
    :return: ``result``, ``comment``, ``leases`` (each ``mac``, ``address``, ``server``,
        ``seconds``).
    :raises InputError: not an interface.
    """
    name = parse_named(interface)
    if test:
        comment = f"{clients} clients would ask for leases on {name}"
        return {"result": None, "comment": comment, "leases": []}
    # Answers to all are enough: the leases are never renewed.
    with Clients(Wire(name, promiscuous=False), again=steady(again)) as living:
        asking = [living.add(mac) for mac in spread_macs(clients, random.SystemRandom())]
        try:
            living.obtain(asking, limit)
            told = _rows(living, asking)
            strange = _strangers(living, asking, server) if server else []
        finally:
            # Whatever comes between: what is not given back is missing from the pool.
            living.release(asking)
    result = len(told) == clients and not strange
    comment = _comment(told, clients, limit, strange, server)
    return {"result": result, "comment": comment, "leases": told}


def _rows(living: Clients, asking: Sequence[Exchange]) -> list[dict[str, Any]]:
    began = {e.mac: e.moment for e in reversed(living.events) if e.what == "asked"}
    return [
        {
            "mac": client.mac,
            "address": client.held.address,
            "server": client.held.server,
            "seconds": round(client.held.since - began[client.mac], 3),
        }
        for client in asking
        if client.held is not None
    ]


def _strangers(living: Clients, asking: Sequence[Exchange], server: str) -> list[str]:
    """Return the servers that leases came from and that are not the one they should be."""
    held = [client.held for client in asking if client.held is not None]
    others = {h.server: h.place.mac for h in held if h.server != server}
    if not others:
        return []
    macs = living.ask(server, asking[0].mac)
    return sorted(address for address, mac in others.items() if mac not in macs)


def _comment(
    told: list[dict[str, Any]], clients: int, limit: float, strange: list[str], server: str
) -> str:
    servers = ", ".join(sorted({row["server"] for row in told}))
    got = f"{len(told)} of {clients} clients have leases"
    if not told:
        return f"none of {clients} clients has a lease after {limit:g} s"
    last = max(row["seconds"] for row in told)
    said = f"{got} from {servers}, the last after {last:.2f} s"
    if len(told) < clients:
        said += f"; the others have none after {limit:g} s"
    return f"{said}; not from {server}: {', '.join(strange)}" if strange else said
