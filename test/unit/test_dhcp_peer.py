"""Both ways between two ports: what is said of them for each thing that can be seen."""

from __future__ import annotations

import errno

import pytest

from saltext.ipalias.dhcp import peer
from saltext.ipalias.dhcp.model import Member
from saltext.ipalias.dhcp.peer import IDLE, OPEN, REFUSED, SILENT, UNKNOWN, UNREACHABLE, Reply
from saltext.ipalias.dhcp.segments import Session
from saltext.ipalias.errors import InputError

ME = Member("dhcp1", "192.0.2.2", 647, "primary")
PEER = Member("dhcp2", "192.0.2.3", 648, "secondary")
LISTENS = Session("192.0.2.2", 647, "0.0.0.0", 0, "listening")
THEIRS = Session("192.0.2.2", 647, "192.0.2.3", 40000, "established", 1.5)
OURS = Session("192.0.2.2", 40000, "192.0.2.3", 648, "established", 3.0)
ANSWERS = Reply(OPEN, 0.001)
STRANGER = THEIRS._replace(remote="192.0.2.9")


@pytest.mark.parametrize(
    ("sessions", "inward", "heard"),
    [
        ([LISTENS, THEIRS], OPEN, 1.5),
        ([LISTENS, OURS], IDLE, 3.0),
        ([LISTENS, OURS, THEIRS], OPEN, 1.5),
        ([LISTENS, STRANGER, THEIRS._replace(heard=None)], OPEN, None),
    ],
)
def test_a_session_carries_the_traffic_and_nothing_is_blocked(
    sessions: list[Session], inward: str, heard: float | None
) -> None:
    ways = peer.judge(ME, PEER, ANSWERS, sessions)
    assert (ways.inward, ways.heard, ways.listening, ways.blocked) == (inward, heard, True, ())


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(SILENT, said="no answer in 2 s"), "no answer in 2 s"),
        (Reply(UNREACHABLE, said="No route to host"), "No route to host"),
        (Reply(REFUSED, 0.001), "refused"),
    ],
)
def test_the_way_out_is_named_with_both_ends(reply: Reply, word: str) -> None:
    [way] = peer.judge(ME, PEER, reply, [LISTENS, THEIRS]).blocked
    assert way.startswith("dhcp1 to dhcp2 (192.0.2.3:648): ") and word in way


def test_a_peer_that_we_reach_and_that_never_reached_us_is_blocked_on_the_way_back() -> None:
    [way] = peer.judge(ME, PEER, ANSWERS, [LISTENS, STRANGER]).blocked
    assert way.startswith("dhcp2 to dhcp1 (192.0.2.2:647): we reach it") and "since" in way
    [way] = peer.judge(ME, PEER, ANSWERS, [LISTENS], 90.0).blocked
    assert "for 90 s" in way


def test_our_own_server_that_does_not_listen_is_no_fault_of_the_way() -> None:
    [way] = peer.judge(ME, PEER, ANSWERS, []).blocked
    assert "our own server does not listen" in way
    other = LISTENS._replace(local="192.0.2.77")
    assert not peer.judge(ME, PEER, ANSWERS, [other]).listening
    assert peer.judge(ME, PEER, ANSWERS, [LISTENS._replace(local="0.0.0.0")]).listening


def test_a_peer_that_asks_and_does_not_hear_our_answer_is_blocked_from_here() -> None:
    [way] = peer.judge(ME, PEER, ANSWERS, [LISTENS, THEIRS._replace(state="syn-received")]).blocked
    assert way.startswith("dhcp1 to dhcp2") and "does not arrive" in way


def test_a_dead_peer_is_one_fault_and_not_two() -> None:
    ways = peer.judge(ME, PEER, Reply(SILENT, said="no answer"), [LISTENS])
    assert len(ways.blocked) == 1 and ways.inward == SILENT


def test_a_kernel_that_tells_nothing_leaves_the_way_back_open() -> None:
    ways = peer.judge(ME, PEER, ANSWERS, None)
    assert (ways.inward, ways.heard, ways.blocked) == (UNKNOWN, None, ())


def test_who_may_not_ask_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(peer, "_raw", refuse)
    assert peer.ask_port("192.0.2.2", "192.0.2.3", 647) == Reply(
        UNKNOWN, said="raw sockets need root"
    )
    assert peer.ask_clock("192.0.2.2", "192.0.2.3").ahead is None


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EHOSTUNREACH, UNREACHABLE), (errno.ENETUNREACH, UNREACHABLE), (errno.EIO, UNKNOWN)],
)
def test_what_the_system_says_is_told(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "as the system says it")

    monkeypatch.setattr(peer, "_raw", fail)
    reply = peer.ask_port("192.0.2.2", "192.0.2.3", 647)
    assert (reply.kind, reply.said) == (kind, "as the system says it")


@pytest.mark.parametrize(
    ("address", "port"),
    [("192.0.2.300", 647), ("dhcp2", 647), ("192.0.2.3", 0), ("192.0.2.3", "x"), (None, None)],
)
def test_a_place_that_is_none_is_refused(address: object, port: object) -> None:
    with pytest.raises(InputError, match="no IPv4 address and port"):
        peer.parse_place(address, port)
    assert peer.parse_place("192.0.2.3", "647") == ("192.0.2.3", 647)
