"""What `ipalias_dhcp.status` answers: what is wanted first stands first, and in few lines."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import salt.config
import salt.output

from rig.dhcp_daemons import block
from saltext.ipalias.dhcp import status
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.logs import LogLine
from saltext.ipalias.dhcp.model import INTERRUPTED, NORMAL
from saltext.ipalias.dhcp.peer import Clock, Reply, Ways
from saltext.ipalias.dhcp.pools import Pool
from saltext.ipalias.dhcp.reading import Drill, Reading, Side, Since

NOW = 1_800_000_000.0
CONFIG = parse_dhcp(block("isc", ["192.0.2.2", "192.0.2.3"]))
POOL = Pool("192.0.2.0/24", 100, 40, 30, 30, 0)
_WORDS = itertools.cycle(("one", "two", "three"))
LOG = tuple(LogLine(NOW - 40 + n, f"failover peer x: {next(_WORDS)}", False) for n in range(40))
GOOD = Reading(
    time=NOW,
    clock=5000.0,
    config=CONFIG,
    me=CONFIG.pair.members[0],
    own=Side(NORMAL, "normal", NOW - 3 * 3600),
    partner=Side(NORMAL, "normal", NOW - 3600),
    said="",
    ways=Ways(Reply("open", 0.001), "open", True, 0.31, ()),
    asked=True,
    unacked=0,
    whole=True,
    skew=Clock(0.1, "ICMP timestamp"),
    pools=(POOL,),
    log=LOG,
    drill=Drill(NOW - 200_000, "ok", NOW - 200_000),
)


def kea(**keys: Any) -> Reading:
    config = parse_dhcp(block("kea", ["192.0.2.2", "192.0.2.3"], **keys))
    return replace(GOOD, config=config, me=config.pair.members[0])


def printed(answer: dict[str, Any]) -> list[str]:
    """Return what `salt` prints of an answer where nothing else is asked for."""
    opts = salt.config.minion_config(None)
    opts["color"] = False
    text: str = salt.output.string_format({"dhcp1": answer}, "nested", opts)
    return [line.strip() for line in text.splitlines()]


def test_what_is_wanted_first_is_printed_first_and_the_log_last() -> None:
    lines = printed(status.short(GOOD))
    assert lines[2:9] == [
        "at a glance:",
        "- dhcp1 (primary, this host): normal for 3 hours",
        "- dhcp2 (secondary): normal as dhcp1 has it, heard 300 ms ago",
        "- nothing is blocked between the two ports",
        "- 192.0.2.0/24: 30 of 100 leased, "
        "40 free for the primary, 30 for the secondary (14% apart)",
        "- clocks: that of dhcp2 is 0.1 s ahead",
        "- good drill 2 days ago",
    ]
    assert lines[-6] == "what the log says:"
    assert lines[-1].endswith(f"{LOG[-1].text}") and len(lines) < 45


def test_what_programs_go_by_is_the_same_in_both_answers() -> None:
    short, whole = status.short(GOOD), status.rows(GOOD)
    for side in ("me", "peer", "ports"):
        assert short[side] and short[side].items() <= whole[side].items()
    assert short["problems"] == whole["problems"]
    assert short["me"] == {
        "name": "dhcp1",
        "state": NORMAL,
        "says": "normal",
        "listening": True,
    }
    assert len(printed(whole)) > 2 * len(printed(short))


@pytest.mark.parametrize("count", [0, 1, 30])
def test_as_many_lines_of_the_log_as_are_asked_for(count: int) -> None:
    expected = [line.text for line in LOG[len(LOG) - count :]]
    said = status.short(GOOD, count)["what the log says"]
    assert [text.partition(" ")[2] for text in said] == expected
    assert [line["text"] for line in status.rows(GOOD, count)["log"]] == expected


def test_what_is_wrong_is_seen_at_a_glance() -> None:
    cut = replace(
        GOOD,
        own=Side(INTERRUPTED, "communications-interrupted", NOW - 40),
        ways=Ways(Reply("silent", said="no answer"), "silent", False, None, ("dhcp1 to dhcp2",)),
        since=Since(silent=GOOD.clock - 42),
        pools=None,
        skew=Clock(None, "no answer in 0.5 s"),
        drill=Drill(NOW, "failed", NOW - 3600),
        unacked=3,
    )
    assert status.rows(cut)["at a glance"] == [
        "dhcp1 (primary, this host): communications-interrupted for 40 s, "
        "and does not listen for its peer",
        "dhcp2 (secondary): normal as dhcp1 has it, silent for 42 s",
        "blocked: dhcp1 to dhcp2",
        "leases: not known",
        "3 updates that dhcp2 has not acknowledged",
        "clocks: not known, no answer in 0.5 s",
        "good drill 1 hour ago, the last one has failed",
    ]
    mute = replace(GOOD, own=Side(), said="dhcpd does not answer", drill=None)
    first, *_, last = status.rows(mute)["at a glance"]
    assert first == "dhcp1 (primary, this host): unknown, it does not say: dhcpd does not answer"
    assert last == "no good drill ever"


def test_of_many_pools_the_fullest_are_shown() -> None:
    pools = tuple(
        POOL._replace(network=f"198.51.100.{16 * n}/28", total=14, active=n) for n in range(12)
    )
    told = [text for text in status.short(replace(GOOD, pools=pools))["at a glance"] if "/" in text]
    assert [text.partition(":")[0] for text in told] == [
        f"198.51.100.{16 * n}/28" for n in (11, 10, 9, 8, 7)
    ]
    assert "7 more pools, less full" in status.short(replace(GOOD, pools=pools))["at a glance"]


def test_keas_words_are_its_own() -> None:
    reading = replace(
        kea(),
        own=Side(NORMAL, "load-balancing", None),
        partner=Side(NORMAL, "load-balancing", None),
        pools=(POOL._replace(backup=None),),
        unacked=2,
    )
    assert status.rows(reading)["at a glance"][:5] == [
        "dhcp1 (primary, this host): normal (load-balancing)",
        "dhcp2 (secondary): normal (load-balancing), heard 300 ms ago",
        "nothing is blocked between the two ports",
        "192.0.2.0/24: 30 of 100 leased, 40 free",
        "2 clients that dhcp2 has not acknowledged",
    ]


def test_what_the_numbers_may_do_is_seen_at_a_glance() -> None:
    last = status.short(kea(kea={"max_unacked_clients": 0}))["at a glance"][-1]
    assert last.startswith("max_unacked_clients 0: two living servers")
    assert status.short(kea())["at a glance"][-1] == "good drill 2 days ago"
