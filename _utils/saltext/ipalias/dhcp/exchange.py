"""A client's side of DHCP: what it sends, when it sends again, what it makes of an answer.

RFC 2131, 4.4. Pure: it is told the time, and what it returns is to be sent. It sets no address
anywhere; it only knows that it has one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

from . import packet
from .bounds import RFC2131
from .bounds import Client as Again
from .packet import Arrived, Message, Place, render_frame

IDLE = "idle"
SELECTING = "selecting"
REQUESTING = "requesting"
BOUND = "bound"
RENEWING = "renewing"
REBINDING = "rebinding"

#: What an event says.
ASKED, OFFERED, LEASED, RENEWED, REFUSED, RELEASED, EXPIRED = (
    "asked",
    "offered",
    "leased",
    "renewed",
    "refused",
    "released",
    "expired",
)
#: So often a client asks a server for what it has offered, before it begins anew.
TRIES = 3
#: What a client usually wants to know: mask, routers, name servers, domain, times.
_WANTED = bytes([1, 3, 6, 15, 51, 54, 58, 59])


class Held(NamedTuple):
    """Hold a lease as its client has it; times in seconds.

    :param server: as the server names itself; `place`: whom its answer came from.
    :param since: clock when it was got or renewed.
    :param lasts: None: for ever.
    :param renew: after so long it is to be renewed, `rebind`: by whatever server answers.
    """

    address: str
    server: str
    place: Place
    since: float
    lasts: float | None
    renew: float | None
    rebind: float | None


class Event(NamedTuple):
    """Hold what happened to a client.

    :param moment: clock.
    :param waited: seconds since the client began with this.
    """

    moment: float
    mac: str
    what: str
    address: str = ""
    server: str = ""
    waited: float = 0.0


class Exchange:
    """One client.

    :param again: when it sends again.
    :param number: gives a number for a new exchange.
    :param jitter: gives a number from -1 to 1.
    :param keep: it renews by itself, as a host does; else it waits to be told.
    :param note: is told what happens.
    """

    def __init__(
        self,
        mac: str,
        number: Callable[[], int],
        jitter: Callable[[], float],
        note: Callable[[Event], None],
        *,
        again: Again = RFC2131,
        hostname: str = "",
        client_id: bytes = b"",
        keep: bool = False,
    ) -> None:
        self.mac, self.again, self.keep = mac, again, keep
        self.state = IDLE
        self.held: Held | None = None
        #: Clock at which `tick` is to be called; None: nothing is to be done.
        self.due: float | None = None
        self._number, self._jitter, self._note = number, jitter, note
        self._options: dict[int, bytes] = {}
        if hostname:
            self._options[packet.HOSTNAME] = hostname.encode("ascii", "replace")
        if client_id:
            self._options[packet.CLIENT_ID] = client_id
        self._began = 0.0
        self._sent = 0
        self._said = 0
        self._current = 0
        self._offer: Arrived | None = None

    # -- what it is told to do ---------------------------------------------------------------

    def obtain(self, now: float) -> list[bytes]:
        """Begin to get a lease, without regard to one that it has."""
        self.held = None
        self._begin(SELECTING, now)
        self._tell(ASKED, now)
        return self._send(now)

    def renew(self, now: float) -> list[bytes]:
        """Ask the server of the lease for more time."""
        return self._extend(RENEWING, now)

    def rebind(self, now: float) -> list[bytes]:
        """Ask whatever server answers for more time."""
        return self._extend(REBINDING, now)

    def release(self, now: float) -> list[bytes]:
        """Give the lease back; nobody answers to that."""
        held = self.held
        if held is None:
            self.stop()
            return []
        self._begin(IDLE, now)
        options = {packet.SERVER: socket.inet_aton(held.server)}
        message = self._message(packet.RELEASE, options, own=held.address)
        self._tell(RELEASED, now)
        self.stop()
        self.held = None
        return [render_frame(message, Place(self.mac, held.address), _to_server(held))]

    def stop(self) -> None:
        """Send nothing any more; a lease stays."""
        self.state = BOUND if self.held is not None else IDLE
        self.due = None

    # -- what happens ------------------------------------------------------------------------

    def take(self, arrived: Arrived, now: float) -> list[bytes]:
        """Take a message in; one that is not an answer to this client's last one is nothing."""
        message = arrived.message
        mine = message.answers and (message.number, message.mac) == (self._current, self.mac)
        if not mine:
            return []
        if message.kind == packet.OFFER and self.state == SELECTING:
            return self._take_offer(arrived, now)
        if self.state not in (REQUESTING, RENEWING, REBINDING):
            return []
        if message.kind == packet.ACK and message.given != packet.NOWHERE:
            self._take_lease(arrived, now)
        elif message.kind == packet.NAK:
            self._tell(REFUSED, now, message.address(packet.SERVER))
            self.held = None
            self._restart(now)
            # At once would be a storm with a server that refuses whatever it has offered.
            self.due = now + self._wait()
        return []

    def tick(self, now: float) -> list[bytes]:
        """Do what is due."""
        if self.due is None or now < self.due:
            return []
        held = self.held
        if held is not None and held.lasts is not None and now >= held.since + held.lasts:
            self._tell(EXPIRED, now)
            return self.obtain(now)
        if self.state == BOUND:
            return self.renew(now)
        late = held is not None and held.rebind is not None and now >= held.since + held.rebind
        if self.keep and self.state == RENEWING and late:
            return self.rebind(now)
        if self.state == REQUESTING and self._sent >= TRIES:
            self._restart(now)
        return self._send(now)

    def _take_offer(self, arrived: Arrived, now: float) -> list[bytes]:
        server = arrived.message.address(packet.SERVER)
        if not server or arrived.message.given == packet.NOWHERE:
            return []
        self._offer = arrived
        self.state, self._sent = REQUESTING, 0
        self._tell(OFFERED, now, server, arrived.message.given)
        return self._send(now)

    def _take_lease(self, arrived: Arrived, now: float) -> None:
        message = arrived.message
        former = self.held
        server = message.address(packet.SERVER) or (former.server if former else "")
        lasts = message.span(packet.LEASE_TIME)
        renew, rebind = message.span(packet.RENEWAL), message.span(packet.REBINDING)
        if lasts is not None:
            # RFC 2131, 4.4.5: half of it, and seven eighths.
            renew = lasts / 2 if renew is None else renew
            rebind = lasts * 7 / 8 if rebind is None else rebind
        self.held = Held(message.given, server, arrived.source, now, lasts, renew, rebind)
        self.state = BOUND
        self.due = now + renew if self.keep and renew is not None else None
        self._tell(RENEWED if former is not None else LEASED, now)

    # -- sending -----------------------------------------------------------------------------

    def _begin(self, state: str, now: float) -> None:
        self.state, self._began, self._sent = state, now, 0
        self._current, self._offer = self._number(), None

    def _restart(self, now: float) -> None:
        """Look for a server anew; how long the client has waited goes on."""
        began = self._began
        self._begin(SELECTING, now)
        self._began = began

    def _extend(self, state: str, now: float) -> list[bytes]:
        if self.held is None:
            return []
        self._begin(state, now)
        return self._send(now)

    def _wait(self) -> float:
        """Return the seconds until the next message."""
        again = self.again
        wait = min(again.first * again.factor ** max(0, self._sent - 1), again.longest)
        return max(0.001, wait + again.jitter * self._jitter())

    def _send(self, now: float) -> list[bytes]:
        """Send what the state asks for, and say when again."""
        self._sent += 1
        self.due = now + self._wait()
        if self.state != REQUESTING:
            # A request repeats what the offer was an answer to, RFC 2131, 4.4.1.
            self._said = int(now - self._began) if self.again.counts else 0
        return [self._frame()]

    def _frame(self) -> bytes:
        everyone = Place(packet.EVERY_MAC, packet.EVERYONE)
        nowhere = Place(self.mac, packet.NOWHERE)
        if self.held is not None:
            message = self._message(packet.REQUEST, {}, own=self.held.address)
            target = _to_server(self.held) if self.state == RENEWING else everyone
            return render_frame(message, Place(self.mac, self.held.address), target)
        if self._offer is not None:
            offered = self._offer.message
            options = {
                packet.WANTED_ADDRESS: socket.inet_aton(offered.given),
                packet.SERVER: offered.options[packet.SERVER][:4],
            }
            message = self._message(packet.REQUEST, options, broadcast=True)
        else:
            message = self._message(packet.DISCOVER, {}, broadcast=True)
        return render_frame(message, nowhere, everyone)

    def _message(
        self,
        kind: int,
        options: dict[int, bytes],
        *,
        own: str = packet.NOWHERE,
        broadcast: bool = False,
    ) -> Message:
        wanted = {} if kind == packet.RELEASE else {packet.PARAMETERS: _WANTED}
        # One interface has many clients: an answer to a client's own hardware address is for
        # the kernel somebody else's, so each asks for an answer to all.
        return Message(
            kind,
            self._current,
            self.mac,
            self._said,
            broadcast,
            own,
            options={**self._options, **options, **wanted},
        )

    def _tell(self, what: str, now: float, server: str = "", address: str = "") -> None:
        if self.held is not None:
            server, address = server or self.held.server, address or self.held.address
        self._note(Event(now, self.mac, what, address, server, now - self._began))


def _to_server(held: Held) -> Place:
    return Place(held.place.mac, held.server or held.place.address)
