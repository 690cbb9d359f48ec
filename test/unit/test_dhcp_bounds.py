"""How long a takeover takes at most: the numbers, and that no client beats them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rig.dhcppair import LEAST, changed
from saltext.ipalias.dhcp.bounds import (
    CUT,
    HEARTBEAT_TIMEOUT,
    KILL,
    REACTION,
    RFC2131,
    Bound,
    Client,
    dangers,
    describe,
    next_message,
    patience_of_standby,
    steady,
    takeover_bound,
)
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.profiles import MOST_DELAY

SILENT = Client(4.0, counts=False)


def bound(kind: str, client: Client = RFC2131, **at: Any) -> Bound:
    return takeover_bound(parse_dhcp(changed(LEAST, **at)), kind, client)


def messages(client: Client, luck: random.Random) -> list[float]:
    """Return when a client sends, up to ten minutes."""
    sent, wait = [0.0], client.first
    while sent[-1] < 600:
        sent.append(sent[-1] + wait + luck.uniform(-client.jitter, client.jitter))
        wait = min(wait * client.factor, client.longest)
    return sent


@pytest.mark.parametrize("client", [RFC2131, steady(1.0), Client(2.0, 1.5, 20.0, 0.5)])
def test_no_client_sends_later_than_is_said(client: Client) -> None:
    luck = random.Random(7)
    nearest = 1.0
    for _ in range(1000):
        since = luck.uniform(0.1, 300)
        following = next(at for at in messages(client, luck) if at >= since)
        said = next_message(since, client)
        assert following <= said + 1e-9
        nearest = min(nearest, (said - following) / said)
    # And it is no idle promise: some client comes close.
    assert nearest < 0.05


def test_later_silence_never_ends_sooner() -> None:
    said = [next_message(since / 2, RFC2131) for since in range(1, 600)]
    assert said == sorted(said)


# ISC


def test_a_kill_is_known_at_once() -> None:
    assert bound(KILL).service == bound(KILL, pair__max_response_delay=600).service == REACTION


def test_a_cut_is_known_when_the_delay_is_over() -> None:
    assert bound(CUT).service == 60 + REACTION
    assert bound(CUT, profile="short").service == 5 + REACTION


def test_a_client_that_does_not_count_waits_for_the_delay() -> None:
    found = bound(CUT, SILENT)
    # A message just before the 60 seconds are over, and the next one 64 and a jitter later.
    assert found.seconds == pytest.approx(60.5 + 64 + 1 + 0.5 + REACTION)
    assert not any("load_balance" in part for part in found.why)


def test_a_client_that_counts_is_answered_by_either() -> None:
    found = bound(CUT)
    # Three seconds are not more than three: the message after the second one, 8 s and a jitter.
    assert found.seconds == pytest.approx(4 + 8 + 1 + 0.5 + REACTION)
    assert any("load_balance_max_seconds (3 s)" in part for part in found.why)


def test_short_has_the_second_message_answered() -> None:
    assert bound(CUT, profile="short").seconds == pytest.approx(4 + 1 + 0.5 + REACTION)


def test_no_limit_of_seconds_answers_nobody_sooner() -> None:
    assert bound(CUT, pair__load_balance_max_seconds=0) == bound(
        CUT, SILENT, pair__load_balance_max_seconds=0
    )


def test_a_ping_is_waited_for() -> None:
    assert bound(KILL).seconds - bound(KILL, ping_timeout=0).seconds == pytest.approx(0.5)


# Kea


def kea(kind: str, client: Client = RFC2131, **settings: Any) -> Bound:
    return bound(kind, client, implementation="kea", kea=settings)


def test_kea_looks_after_a_heartbeat_when_the_silence_is_long_enough() -> None:
    quick = {"heartbeat_delay": 0.5, "max_response_delay": 1.5, "max_unacked_clients": 0}
    assert kea(KILL, **quick).service == pytest.approx(1.5 + 0.5 + REACTION)
    assert kea(KILL, **quick).clients == 1


def test_a_heartbeat_into_a_cut_link_takes_ten_seconds() -> None:
    settings = {"heartbeat_delay": 0.5, "max_response_delay": 1.5, "max_unacked_clients": 0}
    assert kea(CUT, **settings).service - kea(KILL, **settings).service == pytest.approx(10)


def test_kea_waits_for_clients_that_nobody_answers() -> None:
    settings = {
        "heartbeat_delay": 1,
        "max_response_delay": 3,
        "max_ack_delay": 5,
        "max_unacked_clients": 2,
    }
    found = kea(KILL, steady(1.0), **settings)
    assert found.clients == 3
    # More than five whole seconds, so a message that comes after six; it may just be missed.
    assert found.service == pytest.approx(6 + 1.05 + 1 + REACTION)


def test_the_danger_of_no_unacked_clients_is_told() -> None:
    block = changed(LEAST, implementation="kea", kea={"max_unacked_clients": 0})
    assert "given twice" in str(describe(parse_dhcp(block))["danger"])
    assert "danger" not in describe(parse_dhcp(changed(LEAST, implementation="kea")))


@pytest.mark.parametrize(("profile", "patient"), [("guide", 64.0), ("short", 30.0)])
def test_a_standby_that_is_not_patient_enough_for_a_living_primary_is_told_of(
    profile: str, patient: float
) -> None:
    def said(**kea: Any) -> list[str]:
        more = {"profile": profile, "kea": {"mode": "hot-standby", **kea}}
        return dangers(parse_dhcp(changed(LEAST, implementation="kea", **more)))

    # The hook's own numbers, and those of `short`, are less; without a word it is enough.
    assert said() == []
    [danger] = said(max_ack_delay=10)
    assert f"from {patient:g} s on" in danger and "give out the same pool" in danger
    assert said(max_ack_delay=patient) == [] != said(max_ack_delay=patient - 1)
    # The primary answers nobody for so long, and a client's next message comes later still.
    more = {"profile": profile, "kea": {"mode": "hot-standby"}}
    numbers = parse_dhcp(changed(LEAST, implementation="kea", **more)).pair.kea
    assert numbers.max_ack_delay == patient <= MOST_DELAY
    deaf = numbers.heartbeat_delay + numbers.max_response_delay + HEARTBEAT_TIMEOUT
    assert deaf < patience_of_standby(numbers, steady(1.0)) < deaf + 3 < patient
    assert ["max_unacked_clients 0" in text for text in said(max_unacked_clients=0)] == [True]
    assert said(mode="load-balancing") == []


def test_a_silence_for_which_no_standby_of_kea_can_be_patient_enough_is_told_of() -> None:
    kea = {"mode": "hot-standby", "max_response_delay": 60}
    config = parse_dhcp(changed(LEAST, implementation="kea", kea=kea))
    assert config.pair.kea.max_ack_delay == 65 < patience_of_standby(config.pair.kea)
    [danger] = dangers(config)
    assert "from 129 s on" in danger and "give a shorter max_response_delay" in danger


def test_what_is_promised_is_plain_data() -> None:
    told = describe(parse_dhcp(changed(LEAST, profile="short")))
    assert told["profile"] == "short"
    killed = told[KILL]
    assert isinstance(killed, dict)
    assert killed["answers all"] == REACTION


def test_the_figures_of_the_documentation_are_those_computed() -> None:
    text = (Path(__file__).parents[2] / "docs/dhcp.md").read_text()

    def row(kind: str, client: Client = RFC2131, **at: Any) -> str:
        found = bound(kind, client, **at)
        word = {KILL: "killed", CUT: "cut"}[kind]
        return f"| {word} | {found.service:g} s | {found.seconds:g} s"

    for at in (
        {"profile": "guide"},
        {"profile": "short"},
        {"profile": "guide", "implementation": "kea"},
        {"profile": "short", "implementation": "kea"},
        {"profile": "short", "implementation": "kea", "kea": {"max_unacked_clients": 0}},
        {"profile": "guide", "implementation": "kea", "kea": {"mode": "hot-standby"}},
        {"profile": "short", "implementation": "kea", "kea": {"mode": "hot-standby"}},
    ):
        assert row(CUT, **at) in text
        if "implementation" in at:
            assert row(KILL, **at) in text
    assert f"if it counts in `secs`, {bound(CUT, SILENT).seconds:g} s if not" in text
    assert f"if it counts, {bound(CUT, SILENT, profile='short').seconds:g} s if not" in text
    assert f"at once ({bound(KILL).service:g} s) | {bound(KILL).seconds:g} s" in text
    assert "11 clients needed" in text
    assert bound(KILL, implementation="kea").clients == 11
