"""Clients on a segment that is not there: what they send, when, and what they make of answers."""

from __future__ import annotations

import itertools
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from saltext.ipalias.dhcp import buckets, packet
from saltext.ipalias.dhcp import client as dhcp_client
from saltext.ipalias.dhcp.bounds import Client as Again
from saltext.ipalias.dhcp.bounds import steady
from saltext.ipalias.dhcp.buckets import spread_macs
from saltext.ipalias.dhcp.client import Clients, numbered_mac, parse_named
from saltext.ipalias.dhcp.exchange import Exchange
from saltext.ipalias.dhcp.packet import Arrived, Message, Place
from saltext.ipalias.errors import EffectError, InputError

MACS = {"192.0.2.10": "02:aa:00:00:00:10", "192.0.2.20": "02:aa:00:00:00:20"}
ASKER = Place("02:aa:00:00:00:01", "192.0.2.1")


@dataclass
class Server:
    """A server with addresses enough.

    :param patience: it answers a DISCOVER only of who has waited so long (``secs``).
    """

    address: str
    first: int
    alive: bool = True
    patience: int = 0
    refuses: bool = False
    lasts: int = 600
    given: dict[str, str] = field(default_factory=dict)

    def answer(self, arrived: Arrived) -> bytes | None:
        message = arrived.message
        to_me = arrived.target.mac in (packet.EVERY_MAC, MACS[self.address])
        if not self.alive or not to_me:
            return None
        if message.kind == packet.RELEASE:
            self.given.pop(message.mac, None)
            return None
        chosen = message.address(packet.SERVER)
        if chosen not in ("", self.address):
            return None
        if message.kind == packet.DISCOVER and message.seconds < self.patience:
            return None
        kind = packet.OFFER if message.kind == packet.DISCOVER else packet.ACK
        if kind == packet.ACK and self.refuses:
            kind = packet.NAK
        fresh = f"192.0.2.{self.first + len(self.given)}"
        given = message.own if message.own != packet.NOWHERE else ""
        given = given or self.given.setdefault(message.mac, fresh)
        options = {
            packet.SERVER: socket.inet_aton(self.address),
            packet.LEASE_TIME: struct.pack("!I", self.lasts),
        }
        answer = Message(
            kind,
            message.number,
            message.mac,
            broadcast=message.broadcast,
            given=packet.NOWHERE if kind == packet.NAK else given,
            options=options,
            answers=True,
        )
        target = Place(message.mac, given)
        return packet.render_frame(answer, Place(MACS[self.address], self.address), target)


class Segment:
    """A wire with servers on it, and a clock that goes on as far as one waits."""

    def __init__(self, *servers: Server) -> None:
        self.now = 100.0
        self.servers = servers
        self.sent: list[tuple[float, Arrived]] = []
        self.frames: list[bytes] = []
        self.waiting: list[bytes] = []
        self.closed = False
        self.lose: Callable[[Message], bool] = lambda message: False

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        arrived = packet.parse_frame(frame)
        if arrived is None:
            return
        self.sent.append((self.now, arrived))
        if not self.lose(arrived.message):
            answers = [server.answer(arrived) for server in self.servers]
            self.waiting += [answer for answer in answers if answer is not None]

    def receive(self, wait: float) -> list[bytes]:
        self.now += 0.001 if self.waiting else max(wait, 0.001)
        frames, self.waiting = self.waiting, []
        return frames

    def close(self) -> None:
        self.closed = True

    def kinds(self) -> list[int]:
        return [arrived.message.kind for _, arrived in self.sent]


def clients_on(segment: Segment, again: Again | None = None, **more: Any) -> Clients:
    return Clients(
        segment,  # type: ignore[arg-type]
        again=again or Again(4.0, jitter=0.0),
        clock=lambda: segment.now,
        chance=random.Random(1),
        **more,
    )


def test_two_hundred_clients_have_two_hundred_addresses() -> None:
    segment = Segment(Server("192.0.2.10", 20))
    living = clients_on(segment)
    clients = [living.add(numbered_mac(number)) for number in range(200)]
    assert living.obtain(clients, 10) == clients
    assert len({client.held.address for client in clients if client.held}) == 200
    assert segment.kinds().count(packet.DISCOVER) == 200
    assert [e.what for e in living.events].count("leased") == 200
    assert len({arrived.message.number for _, arrived in segment.sent}) == 200


def test_a_request_names_the_chosen_server_and_repeats_what_was_said_before() -> None:
    segment = Segment(Server("192.0.2.10", 20, patience=3), Server("192.0.2.20", 90, patience=3))
    living = clients_on(segment, Again(1.0, 1.0, 1.0, 0.0))
    one = living.add()
    assert living.obtain([one], 20) == [one]
    messages = [arrived.message for _, arrived in segment.sent]
    seconds = [m.seconds for m in messages if m.kind == packet.DISCOVER]
    assert seconds == [0, 1, 2, 3]
    request = messages[-1]
    assert request.kind == packet.REQUEST
    assert request.seconds == 3
    assert request.number == messages[0].number
    assert request.address(packet.SERVER) == "192.0.2.10"
    assert request.address(packet.WANTED_ADDRESS) == "192.0.2.20"
    assert all(m.broadcast and m.own == packet.NOWHERE for m in messages)


def test_waits_are_those_of_the_standard() -> None:
    segment = Segment()
    living = clients_on(segment)
    assert living.obtain([living.add()], 130) == []
    moments = [moment for moment, _ in segment.sent]
    waits = [round(b - a) for a, b in itertools.pairwise(moments)]
    assert waits == [4, 8, 16, 32, 64]
    # Given up: nothing is sent any more.
    living.run(lambda: False, 300)
    assert len(segment.sent) == 6


def test_a_client_that_does_not_count_says_nought() -> None:
    segment = Segment()
    living = clients_on(segment, Again(1.0, 1.0, 1.0, 0.0, counts=False))
    living.obtain([living.add()], 10)
    assert {arrived.message.seconds for _, arrived in segment.sent} == {0}


def test_renewing_goes_to_the_server_alone_and_rebinding_to_all() -> None:
    first, second = Server("192.0.2.10", 20), Server("192.0.2.20", 90, alive=False)
    segment = Segment(first, second)
    living = clients_on(segment)
    one = living.add()
    living.obtain([one], 10)
    segment.sent.clear()
    assert living.renew([one], 10) == [one]
    _, renewal = segment.sent[0]
    assert renewal.target == Place(MACS["192.0.2.10"], "192.0.2.10")
    assert renewal.source == Place(one.mac, "192.0.2.20")
    assert renewal.message.own == "192.0.2.20"
    assert not renewal.message.options.keys() & {packet.SERVER, packet.WANTED_ADDRESS}
    first.alive, second.alive = False, True
    assert living.renew([one], 10) == []
    assert one.held is not None and one.held.server == "192.0.2.10"
    assert living.rebind([one], 10) == [one]
    assert segment.sent[-1][1].target == Place(packet.EVERY_MAC, packet.EVERYONE)
    assert (one.held.address, one.held.server) == ("192.0.2.20", "192.0.2.20")
    assert one.held.place.mac == MACS["192.0.2.20"]


def test_a_client_that_keeps_its_lease_renews_rebinds_and_begins_anew() -> None:
    server = Server("192.0.2.10", 20, lasts=80)
    segment = Segment(server)
    living = clients_on(segment, steady(5.0), keep=True)
    one = living.add()
    living.obtain([one], 10)
    began = segment.now
    living.run(lambda: segment.now > began + 41, 100)
    assert [e.what for e in living.events] == ["asked", "offered", "leased", "renewed"]
    server.alive = False
    living.run(lambda: segment.now > began + 41 + 85, 200)
    assert [e.what for e in living.events][4:] == ["expired", "asked"]
    assert one.held is None
    targets = [arrived.target.address for _, arrived in segment.sent[3:]]
    assert targets.index(packet.EVERYONE) > 0
    assert set(targets[: targets.index(packet.EVERYONE)]) == {"192.0.2.10"}
    server.alive = True
    assert living.run(lambda: one.held is not None, 20)


def test_a_lease_that_is_given_back_is_held_no_more() -> None:
    server = Server("192.0.2.10", 20)
    segment = Segment(server)
    living = clients_on(segment)
    clients = [living.add() for _ in range(3)]
    living.obtain(clients, 10)
    living.release(clients)
    assert not server.given
    assert not any(client.held for client in clients)
    _, release = segment.sent[-1]
    assert release.message.kind == packet.RELEASE
    assert release.message.address(packet.SERVER) == "192.0.2.10"
    assert release.target.mac == MACS["192.0.2.10"]


def test_a_server_that_dies_after_its_offer_is_left() -> None:
    first, second = Server("192.0.2.10", 20), Server("192.0.2.20", 90, patience=1)
    segment = Segment(first, second)
    living = clients_on(segment, steady(1.0))

    def dies(message: Message) -> bool:
        first.alive = first.alive and message.kind != packet.REQUEST
        return False

    segment.lose = dies
    one = living.add()
    assert living.obtain([one], 20) == [one]
    assert one.held is not None and one.held.server == "192.0.2.20"
    assert segment.kinds()[:5] == [1, 3, 3, 3, 1]
    # It has waited since its first message, not since it looked for another server.
    assert segment.sent[4][1].message.seconds >= 2


def test_a_refusal_begins_anew_and_not_at_once() -> None:
    server = Server("192.0.2.10", 20, refuses=True)
    segment = Segment(server)
    living = clients_on(segment, steady(1.0))
    one = living.add()
    assert living.obtain([one], 10) == []
    refused = [e for e in living.events if e.what == "refused"]
    assert 5 <= len(refused) <= 11
    server.refuses = False
    assert living.obtain([one], 10) == [one]


@pytest.mark.parametrize(
    "change",
    [{"number": 1}, {"mac": "02:00:00:00:00:99"}, {"answers": False}, {"kind": packet.ACK}],
)
def test_another_ones_answer_is_nothing(change: dict[str, Any]) -> None:
    segment = Segment()
    living = clients_on(segment)
    one = living.add(numbered_mac(1))
    living.obtain([one], 1)
    one.obtain(segment.now)
    asked = packet.parse_frame(one.obtain(segment.now)[0])
    assert asked is not None
    options = {packet.SERVER: socket.inet_aton("192.0.2.10")}
    good: dict[str, Any] = {"kind": packet.OFFER, "number": asked.message.number, "mac": one.mac}
    good |= {"given": "192.0.2.20", "options": options, "answers": True}
    server = Place(MACS["192.0.2.10"], "192.0.2.10")
    ends = (server, Place(one.mac, "192.0.2.20"))
    assert one.take(Arrived(Message(**{**good, **change}), *ends), segment.now) == []
    assert one.held is None
    assert len(one.take(Arrived(Message(**good), *ends), segment.now)) == 1


def test_who_asks_by_arp_for_a_leased_address_is_answered_and_for_no_other() -> None:
    segment = Segment(Server("192.0.2.10", 20))
    living = clients_on(segment)
    one = living.add()
    living.obtain([one], 10)

    def asked(address: str) -> list[bytes]:
        segment.frames.clear()
        place = socket.inet_aton(address)
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
        arp += bytes.fromhex(ASKER.mac.replace(":", "")) + socket.inet_aton(ASKER.address)
        segment.waiting.append(b"\xff" * 6 + bytes(6) + b"\x08\x06" + arp + bytes(6) + place)
        living.run(lambda: False, 0.01)
        return segment.frames

    assert asked("192.0.2.20") == [packet.render_claim(Place(one.mac, "192.0.2.20"), ASKER)]
    assert asked("192.0.2.21") == []
    living.release([one])
    assert asked("192.0.2.20") == []


# -- the drill's client ----------------------------------------------------------------------


@pytest.fixture
def drill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Lease on a segment that is not there."""

    def lease(segment: Segment, *args: Any, **more: Any) -> dict[str, Any]:
        real = Clients

        def clients(wire: Any, again: Again) -> Clients:
            return real(wire, again=again, clock=lambda: segment.now, chance=random.Random(1))

        monkeypatch.setattr(dhcp_client, "Wire", lambda name, promiscuous: segment)
        monkeypatch.setattr(dhcp_client, "Clients", clients)
        return dhcp_client.lease("eth0", *args, **more)

    return lease


def test_the_drill_has_its_leases_and_gives_them_back(drill: Callable[..., Any]) -> None:
    server = Server("192.0.2.10", 20)
    segment = Segment(server)
    told = drill(segment, 3, 10.0, "192.0.2.10")
    assert told["result"] is True
    assert "3 of 3 clients have leases from 192.0.2.10" in told["comment"]
    assert [row["address"] for row in told["leases"]] == [f"192.0.2.{n}" for n in (20, 21, 22)]
    assert not server.given
    assert segment.closed


def test_what_fails_on_the_way_leaves_no_lease_behind(
    drill: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server("192.0.2.10", 20)
    segment = Segment(server)

    def fails(*words: Any) -> list[str]:
        assert server.given
        raise EffectError("no such device", where="eth0")

    monkeypatch.setattr(dhcp_client, "_strangers", fails)
    with pytest.raises(EffectError):
        drill(segment, 3, 10.0, "192.0.2.10")
    assert not server.given and segment.closed


def test_the_drill_says_that_nobody_answers(drill: Callable[..., Any]) -> None:
    told = drill(Segment(), 2, 5.0)
    assert (told["result"], told["leases"]) == (False, [])
    assert told["comment"] == "none of 2 clients has a lease after 5 s"


def test_the_drill_takes_no_other_server_for_the_right_one(drill: Callable[..., Any]) -> None:
    told = drill(Segment(Server("192.0.2.20", 90)), 1, 5.0, "192.0.2.10")
    assert told["result"] is False
    assert "not from 192.0.2.10: 192.0.2.20" in told["comment"]


def test_the_drill_only_shows_what_it_would_do(drill: Callable[..., Any]) -> None:
    segment = Segment(Server("192.0.2.10", 20))
    told = drill(segment, 2, 5.0, test=True)
    assert (told["result"], told["leases"], segment.frames) == (None, [], [])


@pytest.mark.parametrize("name", ["default", "", None, 7, "a b", "x" * 16, "../eth0"])
def test_an_interface_has_to_be_named(name: object) -> None:
    with pytest.raises(InputError, match="is not the name of an interface"):
        parse_named(name)


def test_clients_by_chance_are_nobodys() -> None:
    chance = random.Random(3)
    macs = {buckets.mac_by_chance(chance) for _ in range(500)}
    assert len(macs) == 500
    assert {int(mac[:2], 16) & 3 for mac in macs} == {2}
    # By chance alone, one drill in eighteen had too few clients of the server that it stopped.
    for count in range(2, 60, 2):
        keys = [bytes.fromhex(mac.replace(":", "")) for mac in spread_macs(count, chance)]
        assert sum(buckets.bucket(key) % 2 for key in keys) == count / 2
        assert abs(sum(buckets.bucket(key) < 128 for key in keys) - count / 2) <= 1
    assert Exchange(numbered_mac(7), lambda: 1, lambda: 0.0, lambda e: None).held is None
