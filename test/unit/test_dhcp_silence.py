"""What the beacon has seen of a silent peer holds a reaction back when a clock is set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rig.dhcp_daemons import block
from rig.simhost import SimHost
from saltext.ipalias.dhcp import keactl, omapi, partnerdown, reading, silence
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.peer import Reply, Ways
from saltext.ipalias.dhcp.reading import Reading, Side, Since
from saltext.ipalias.dhcp.silence import GAP, Silence, advance, lasted, parse_silence
from saltext.ipalias.errors import EffectError, RefusedError

AFTER = 60.0
POLICY = {"after": AFTER, "witness": "gw1"}
PEER = "192.0.2.3:647"
PATH = "/run/ipalias/dhcp/silence.json"
ADDRESSES = ["192.0.2.2", "192.0.2.3"]


class Member:
    """A member whose peer is silent, its beacon, and two clocks: one of them can be set.

    :param cut: when the server counts communication as cut, by the one that can.
    """

    def __init__(self, kind: str) -> None:
        self.config = parse_dhcp(block(kind, ADDRESSES, partner_down=POLICY))
        self.me = self.config.pair.members[0]
        self.host = SimHost()
        self.host.files.make_folders("/run")
        self.boot, self.wall = 5000.0, 1_800_000_000.0
        self.cut = self.wall
        self.silent: float | None = self.boot

    def go_on(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, the beacon looking all the while."""
        for _ in range(int(seconds / step)):
            self.boot += step
            self.wall += step
            self.look()

    def look(self) -> None:
        told = {"events": ["event"], "memory": {"since": [None, self.silent, None]}}
        kept = silence.keep(lambda memory: told, self.host, self.config, self.me)
        assert kept("memory") is told

    def reading(self, *words: Any, **more: Any) -> Reading:
        """Return what a look in another process finds: it remembers nothing."""
        gone = Ways(Reply("silent", said="no answer in 4 s"), "silent", True, None, ())
        base = Reading(
            self.wall, self.boot, self.config, self.me, Side(), Side(), "", gone, alive=False
        )
        return replace(
            reading._own_side(self.host, base, "/var/lib/ipalias"),
            since=Since(None, self.boot),
        )

    def react(self) -> Any:
        return partnerdown.partner_down(self.host, self.config, self.me, by_policy=True, test=True)[
            "result"
        ]


@pytest.fixture(params=["isc", "kea"])
def member(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Member:
    made = Member(request.param)

    @contextmanager
    def client(*words: Any, **more: Any) -> Iterator[None]:
        yield

    def failover(*words: Any) -> Any:
        return SimpleNamespace(
            local="communications-interrupted",
            partner="normal",
            local_since=int(made.cut),
            partner_since=0,
            unacked=0,
        )

    def status(*words: Any) -> Any:
        # Kea subtracts two times of day.
        return SimpleNamespace(
            local="load-balancing",
            partner="unavailable",
            interrupted=True,
            heard=max(0.0, made.wall - made.cut),
            unacked=0,
        )

    monkeypatch.setattr(omapi, "Client", client)
    monkeypatch.setattr(omapi, "read_failover", failover)
    monkeypatch.setattr(keactl, "ask", lambda *words: None)
    monkeypatch.setattr(keactl, "parse_status", status)
    monkeypatch.setattr(partnerdown, "read", made.reading)
    monkeypatch.setattr(partnerdown, "answers_at_all", lambda *words: False)
    monkeypatch.setattr(silence, "boot_clock", lambda: made.boot)
    return made


def test_a_peer_that_is_silent_for_long_enough_is_declared_dead(member: Member) -> None:
    member.go_on(AFTER - 5)
    with pytest.raises(RefusedError, match="without its peer"):
        member.react()
    member.go_on(10)
    assert member.react() is None


def test_a_clock_that_is_set_forward_declares_nobody_dead(member: Member) -> None:
    member.go_on(5)
    member.wall += 3600
    with pytest.raises(RefusedError, match=r"has for 4 s found silent dhcp2; 60 s are wanted"):
        member.react()
    member.go_on(AFTER)
    assert member.react() is None


def test_a_clock_that_is_set_back_keeps_the_servers_count_waiting(member: Member) -> None:
    member.go_on(AFTER + 10)
    member.wall -= 3600
    with pytest.raises(RefusedError, match="for 0 s without its peer"):
        member.react()


@pytest.mark.parametrize("held", [None, "", "{", '{"peer": 1}', "[]", "not read"])
def test_without_a_beacon_that_has_watched_nothing_is_declared(
    member: Member, held: str | None
) -> None:
    member.go_on(AFTER + 10)
    assert member.react() is None
    if held == "not read":
        member.host.files.nodes.pop(PATH)
        member.host.files.make_folders(PATH)
    elif held is None:
        member.host.files.nodes.pop(PATH)
    else:
        member.host.files.put(PATH, held)
    with pytest.raises(RefusedError, match=r"has not watched dhcp2.*installs the beacon"):
        member.react()


def test_what_was_not_watched_does_not_count(member: Member) -> None:
    member.go_on(AFTER)
    member.boot += GAP + 1
    member.wall += GAP + 1
    with pytest.raises(RefusedError, match="has not watched"):
        member.react()
    # Its memory says since when; nobody knows what was in between.
    member.go_on(AFTER - 5)
    with pytest.raises(RefusedError, match="found silent"):
        member.react()
    member.go_on(10)
    assert member.react() is None


def test_a_peer_that_has_answered_begins_anew(member: Member) -> None:
    member.go_on(AFTER + 10)
    member.silent = None
    member.look()
    assert member.host.files.read(PATH) is None
    member.silent = member.boot
    member.go_on(10)
    with pytest.raises(RefusedError, match="has for 9 s found silent"):
        member.react()


def test_a_folder_that_cannot_be_written_keeps_no_look_from_being_told(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = member.host.perform

    def full(effect: Any) -> Any:
        if type(effect).__name__ == "WriteTemporary":
            raise EffectError("No space left on device", where=PATH)
        return perform(effect)

    monkeypatch.setattr(member.host, "perform", full)
    member.go_on(AFTER + 10)
    with pytest.raises(RefusedError, match="has not watched"):
        member.react()


def test_it_is_for_its_owner_alone_and_leaves_nothing_beside_it(member: Member) -> None:
    member.go_on(3)
    assert member.host.files.nodes[PATH].mode == 0o600
    listed = [path for path in member.host.files.nodes if path.startswith("/run/ipalias/dhcp/")]
    assert listed == [PATH]
    assert json.loads(member.host.files.read(PATH) or "")["schema"] == 1


def row(since: float, looked: float, peer: str = PEER) -> Silence:
    return Silence(peer, since, looked)


@pytest.mark.parametrize(
    ("before", "silent", "begun", "after"),
    [
        (None, None, 100.0, None),
        (row(50.0, 99.0), None, 100.0, None),
        (None, 100.1, 100.0, row(100.1, 100.0)),
        # A memory whose file is gone: from this look on.
        (None, 10.0, 100.0, row(100.0, 100.0)),
        (row(50.0, 99.0), 50.0, 100.0, row(50.0, 100.0)),
        (row(50.0, 99.0), 70.0, 100.0, row(70.0, 100.0)),
        (row(50.0, 99.0), 10.0, 100.0, row(50.0, 100.0)),
        (row(50.0, 100.0 - GAP), 50.0, 100.0, row(50.0, 100.0)),
        (row(50.0, 99.9 - GAP), 50.0, 100.0, row(100.0, 100.0)),
        # Of another boot, and of another peer.
        (row(50.0, 200.0), 50.0, 100.0, row(100.0, 100.0)),
        (row(50.0, 99.0, "192.0.2.4:647"), 50.0, 100.0, row(100.0, 100.0)),
    ],
)
def test_a_row_of_looks_is_unbroken_or_begins_anew(
    before: Silence | None, silent: float | None, begun: float, after: Silence | None
) -> None:
    assert advance(before, PEER, silent, begun) == after


def test_how_long_it_has_lasted_is_known_of_a_row_that_goes_on_alone() -> None:
    assert lasted(row(50.0, 99.0), PEER, 100.0) == 50.0
    assert lasted(row(100.2, 100.0), PEER, 100.1) == 0.0
    for silence_, now in (
        (None, 100.0),
        (row(50.0, 99.0, "192.0.2.4:647"), 100.0),
        (row(50.0, 99.0), 99.1 + GAP),
        (row(50.0, 99.0), 60.0),
    ):
        assert lasted(silence_, PEER, now) is None


def test_what_is_kept_is_read_back() -> None:
    held = row(50.5, 99.25)
    assert parse_silence(silence.render_silence(held)) == held
    broken: list[Callable[[str], str]] = [lambda text: text[:-3], lambda text: text.upper()]
    for damage in broken:
        assert parse_silence(damage(silence.render_silence(held))) is None
