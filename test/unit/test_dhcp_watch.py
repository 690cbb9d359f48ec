"""What a reading says, and what the beacon says of two: on change alone."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from rig.dhcp_daemons import block
from rig.simhost import SimHost
from saltext.ipalias.dhcp import (
    keactl,
    leasestates,
    partnerdown,
    peer,
    pools,
    reading,
    status,
    watch,
    watching,
)
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.iscleases import parse_leases
from saltext.ipalias.dhcp.logs import LogLine
from saltext.ipalias.dhcp.model import INTERRUPTED, NORMAL, PARTNER_DOWN, Lease
from saltext.ipalias.dhcp.peer import Clock, Reply, Ways
from saltext.ipalias.dhcp.pools import Pool
from saltext.ipalias.dhcp.reading import Drill, Reading, Side, Since
from saltext.ipalias.dhcp.synchronize import UNKNOWN
from saltext.ipalias.errors import EffectError, RefusedError

NOW = 1_800_000_000.0
DAY = 86400.0
CONFIG = parse_dhcp(
    block("isc", ["192.0.2.2", "192.0.2.3"], partner_down={"after": 60, "witness": "gw1"})
)
LIMITS = CONFIG.limits
OPEN = Reply("open", 0.001)
GONE = Reply("silent", said="no answer in 2 s")
WAYS = Ways(OPEN, "open", True, 1.0, ())
NETWORK = "192.0.2.0/24"
GOOD = Reading(
    time=NOW,
    clock=5000.0,
    config=CONFIG,
    me=CONFIG.pair.members[0],
    own=Side(NORMAL, "normal", NOW - 3600),
    partner=Side(NORMAL, "normal", NOW - 3600),
    said="",
    ways=WAYS,
    asked=True,
    unacked=0,
    whole=True,
    skew=Clock(0.1, "ICMP timestamp"),
    pools=(Pool(NETWORK, 100, 40, 40, 20, 0),),
    log=(LogLine(NOW - 9, "failover peer x: Both servers normal", False),),
    drill=Drill(NOW - DAY, "ok", NOW - DAY),
)
SILENT = replace(
    GOOD,
    own=Side(INTERRUPTED, "communications-interrupted", NOW - 10),
    ways=Ways(GONE, "silent", True, None, ("dhcp1 to dhcp2: no answer in 2 s",)),
    alive=False,
    since=Since(None, 4997.0),
)


def fault(text: str, ago: float = 1.0) -> LogLine:
    return LogLine(NOW - ago, text, True)


def said(former: Reading | None, now: Reading) -> list[str]:
    return [event["tag"] for event in watch.events(former, now, LIMITS)]


def pool(**more: int) -> Reading:
    return replace(GOOD, pools=(GOOD.pools[0]._replace(**more),))  # type: ignore[index]


BAD = {
    "state": replace(GOOD, own=Side("recovering", "recover", NOW)),
    "silent": SILENT,
    "blocked": replace(
        GOOD,
        ways=WAYS._replace(inward="silent", blocked=("dhcp2 to dhcp1",)),
        since=Since(alone=GOOD.clock - 101),
    ),
    "skew": replace(GOOD, skew=Clock(-31.0, "ICMP timestamp")),
    "balance": pool(free=70, backup=10),
    "pool": pool(active=90, free=5, backup=5),
    "log": replace(GOOD, log=(fault("Failover CONNECT from x: time offset too large"),)),
    "drill": replace(GOOD, drill=Drill(NOW, "failed", NOW - 93 * DAY)),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_goes_wrong_is_said_once_and_so_is_its_end(kind: str) -> None:
    assert said(GOOD, GOOD) == []
    assert f"{kind}/alert" in said(GOOD, BAD[kind])
    assert said(BAD[kind], BAD[kind]) == []
    assert f"{kind}/clear" in said(BAD[kind], GOOD)
    assert f"{kind}/alert" in said(None, BAD[kind]), "nobody knows of it after a start"


def test_an_event_says_who_and_what() -> None:
    [event, *_] = watch.events(GOOD, BAD["skew"], LIMITS)
    assert (event["member"], event["peer"], event["pair"]) == ("dhcp1", "dhcp2", CONFIG.pair.name)
    assert "31.0 s behind" in event["text"] and event["state"] == NORMAL
    assert "id" not in event, "Salt puts the minion's there"


def test_another_state_is_another_event() -> None:
    before = replace(GOOD, own=Side("recovering", "recover", NOW))
    after = replace(GOOD, own=Side("recovering", "recover-wait", NOW))
    assert said(before, after) == ["state/alert"]


def test_a_server_that_does_not_answer_is_not_normal() -> None:
    mute = replace(GOOD, own=Side(), said="dhcpd does not answer")
    [event] = watch.events(GOOD, mute, LIMITS)
    assert event["kind"] == "state" and "does not answer" in event["text"]


def test_a_server_that_was_not_asked_is_what_it_was() -> None:
    quick = replace(BAD["state"], own=Side(), asked=False, whole=False)
    now = watch.conditions(quick, LIMITS, watch.conditions(BAD["state"], LIMITS))
    assert now["state"].essence == "recover"
    assert "state" not in watch.conditions(quick, LIMITS)


def test_a_peer_that_is_there_is_blocked_and_not_silent() -> None:
    there = replace(SILENT, alive=True, own=GOOD.own, since=Since())
    assert said(GOOD, there) == ["blocked/alert"]
    assert said(SILENT, there) == ["state/clear", "silent/clear", "blocked/alert"]


def test_a_refusal_counts_when_it_lasts_for_a_restart_is_one_too() -> None:
    ways = SILENT.ways._replace(outward=Reply("refused", 0.001))
    short = replace(SILENT, ways=ways, since=Since(None, SILENT.clock - 0.5))
    assert "silent/alert" not in said(GOOD, short)
    assert "silent/alert" in said(short, replace(short, since=Since(None, short.clock - 2)))


def test_a_peer_that_is_back_has_the_time_that_its_server_takes_to_connect() -> None:
    back = replace(BAD["blocked"], since=Since(alone=GOOD.clock - 90))
    assert "blocked/alert" not in said(GOOD, back)
    assert "blocked/alert" in said(back, BAD["blocked"])
    beat = CONFIG.pair.kea.heartbeat_delay + 10.0
    deaf = replace(back, peer_hears=False, since=Since(deaf=GOOD.clock - beat))
    assert "blocked/alert" in said(back, deaf), "its own word"
    deaf = replace(deaf, since=Since(deaf=GOOD.clock - beat + 1))
    assert "blocked/alert" not in said(back, deaf), "its next heartbeat may say otherwise"


def test_dead_is_said_when_the_policys_time_has_passed_and_never_without_one() -> None:
    long = replace(SILENT, since=Since(None, SILENT.clock - 60), cut_for=60.0)
    assert "dead/alert" not in said(GOOD, SILENT)
    assert "dead/alert" in said(SILENT, long)
    for count in (None, 59.0):
        assert "dead/alert" not in said(SILENT, replace(long, cut_for=count)), "a refusal is sure"
    assert "dead/alert" not in said(SILENT, replace(long, own=GOOD.own))
    assert "dead/alert" not in said(SILENT, replace(long, alive=True))
    plain = parse_dhcp(block("isc", ["192.0.2.2", "192.0.2.3"]))
    assert "dead/alert" not in said(SILENT, replace(long, config=plain))
    assert "dead/clear" in said(long, replace(long, own=Side(PARTNER_DOWN, "partner-down", NOW)))


def lasting(seconds: float, **more: Any) -> Reading:
    """Return a look at a peer that has been dead for so long, by both counts."""
    since = Since(None, SILENT.clock - seconds)
    return replace(SILENT, since=since, cut_for=seconds, **more)


def told_at(after: float, until: int, step: float = 5.0) -> list[float]:
    """Return when a death was told, seconds from when it may be, with looks each `step`."""
    before = watch.conditions(lasting(after - step), LIMITS)
    found = []
    for number in range(int(until / step) + 1):
        now = lasting(after + number * step)
        conditions = watch.conditions(now, LIMITS, before)
        tags = [event["tag"] for event in watch.changes(before, conditions, now)]
        assert tags in ([], ["dead/alert"])
        found += [number * step] * len(tags)
        before = conditions
    return found


def test_a_death_is_said_again_for_an_event_may_be_lost_and_no_more_once_acted_on() -> None:
    # Each minute for ten minutes, and each five minutes for as long as it lasts.
    often = [60.0 * n for n in range(11)]
    assert told_at(60.0, 1800) == [*often, 900.0, 1200.0, 1500.0, 1800.0]
    day = told_at(60.0, 86400)
    assert 86400 - day[-1] < 300 and len(day) < 300
    # Not by a look that does not ask this member's own server: it may be partner-down by now.
    before = watch.conditions(lasting(60.0), LIMITS)
    quick = lasting(500.0, asked=False, own=Side(), whole=False)
    assert watch.changes(before, watch.conditions(quick, LIMITS, before), quick) == []
    acted = lasting(61.0, own=Side(PARTNER_DOWN, "partner-down", NOW))
    assert "dead/clear" in said(lasting(60.0), acted)
    later = lasting(5000.0, own=acted.own)
    assert said(acted, later) == []


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        ("skew", replace(GOOD, skew=Clock(28.0, ""))),
        ("balance", pool(free=58, backup=20)),
        ("pool", pool(active=85, free=8, backup=7)),
    ],
)
def test_what_stands_at_the_limit_is_not_said_again_and_again(kind: str, at: Reading) -> None:
    before = watch.conditions(BAD[kind], LIMITS)
    assert kind not in watch.conditions(at, LIMITS), "below the limit"
    assert kind in watch.conditions(at, LIMITS, before), "and not yet below what takes it back"


@pytest.mark.parametrize("kind", ["skew", "balance", "pool"])
def test_what_is_not_known_stays_as_it_was(kind: str) -> None:
    before = watch.conditions(BAD[kind], LIMITS)
    unknown = replace(GOOD, pools=None, skew=Clock(None, "no answer"))
    assert kind in watch.conditions(unknown, LIMITS, before)
    assert kind not in watch.conditions(unknown, LIMITS)


def test_a_quick_look_leaves_the_rest_as_it_was() -> None:
    before = watch.conditions(replace(BAD["skew"], drill=None), LIMITS)
    quick = replace(
        GOOD, whole=False, skew=Clock(None, "not asked"), pools=None, drill=None, log=()
    )
    assert watch.changes(before, watch.conditions(quick, LIMITS, before), quick) == []


def test_of_few_addresses_two_more_on_one_side_are_no_fault() -> None:
    assert said(GOOD, pool(total=3, active=0, free=2, backup=0)) == []
    assert said(GOOD, pool(total=9, active=0, free=3, backup=0)) == ["balance/alert"]


def test_a_pair_that_has_just_met_shares_out_anew() -> None:
    young = replace(BAD["balance"], own=Side(NORMAL, "normal", NOW - 5))
    assert said(GOOD, young) == []


def test_a_further_kind_of_fault_is_news_and_one_that_has_aged_away_is_none() -> None:
    one = replace(GOOD, log=(fault("no free leases on 192.0.2.0/24", 300),))
    two = replace(GOOD, log=(*one.log, fault("timeout waiting for failover peer x")))
    assert said(one, two) == ["log/alert"]
    later = replace(two, log=two.log[1:])
    before = watch.conditions(two, LIMITS)
    assert watch.changes(before, watch.conditions(later, LIMITS, before), later) == []
    same = replace(one, log=(fault("no free leases on 198.51.100.0/24"),))
    assert said(one, same) == []
    assert said(one, replace(one, time=NOW + 1000)) == ["log/clear"]


def test_no_drill_at_all_is_said_as_such() -> None:
    [event] = watch.events(GOOD, replace(GOOD, drill=None), LIMITS)
    assert event["text"] == "no good drill ever"
    good = replace(GOOD, drill=Drill(NOW, "failed", NOW - DAY))
    assert said(GOOD, good) == [], "one that failed does not unmake the good one before"


# --- counting -------------------------------------------------------------------------------

LEASES = """
lease 192.0.2.100 {
  binding state active;
  next binding state free;
}
lease 192.0.2.101 {
  binding state backup;
  rewind binding state active;
}
lease 192.0.2.102 {
  binding state abandoned;
}
lease 192.0.2.100 {
  binding state free;
  client-hostname "}";
}
lease 198.51.100.7 {
  binding state active;
}
lease 192.0.2.103 {
  binding state act"""


def test_the_last_word_on_an_address_counts_and_half_a_word_does_not() -> None:
    assert list(leasestates.parse_states(LEASES)) == [
        Lease("192.0.2.100", "free"),
        Lease("192.0.2.101", "backup"),
        Lease("192.0.2.102", "abandoned"),
        Lease("198.51.100.7", "active"),
    ]
    [found] = pools.count_leases(leasestates.parse_states(LEASES), CONFIG.subnets)
    assert found == Pool(NETWORK, 100, 98, 1, 0, 1), "what the file does not name is free"
    assert found.balance == pytest.approx(97 / 99)


def test_a_pool_has_its_first_and_its_last_address() -> None:
    numbers = (99, 100, 199, 200)
    leases = [Lease(f"192.0.2.{number}", "active") for number in numbers]
    [found] = pools.count_leases(leases, CONFIG.subnets)
    assert (found.total, found.active) == (100, 2)


def test_the_quick_reader_and_the_whole_one_agree() -> None:
    """On what a real dhcpd writes, cut off anywhere."""
    lease = (
        'lease 192.0.2.{n} {{\n  set vendor-class-identifier = "binding state active;";\n'
        "  starts 6 2026/11/28 10:27:50;\n  ends never;\n"
        "  tstp 6 2026/11/28 10:27:50;\n  binding state {now};\n  next binding state free;\n"
        "  rewind binding state backup;\n  hardware ethernet 02:00:00:00:00:{n:02x};\n"
        '  uid "\\001}}\\012";\n}}\n'
    )
    head = (
        "# written by isc-dhcp-4.4.3-P1\nauthoring-byte-order little-endian;\n\n"
        'failover peer "x" state {\n  my state normal at 6 2026/11/28 10:27:50;\n}\n'
        'server-duid "\\000";\n\n'
    )
    rows = [(10, "active"), (11, "backup"), (10, "free"), (12, "released"), (11, "abandoned")]
    text = head + "".join(lease.format(n=n, now=now) for n, now in rows)
    for end in range(len(text) + 1):
        whole = {each.address: each.state for each in parse_leases(text[:end], "leases")}
        quick = {each.address: each.state for each in leasestates.parse_states(text[:end])}
        assert quick == whole, text[:end][-200:]
    assert whole == {"192.0.2.10": "free", "192.0.2.11": "abandoned", "192.0.2.12": "released"}


def test_keas_counters_belong_to_the_subnet_of_their_number() -> None:
    number = int.from_bytes(bytes([192, 0, 2, 0]), "big")
    rows = [keactl.SubnetLeases(number, 100, 30, 2), keactl.SubnetLeases(1, 5, 5, 0)]
    [found] = pools.count_statistics(rows, CONFIG.subnets)
    assert found == Pool(NETWORK, 100, 70, None, 28, 2) and found.balance is None


class Files:
    """A host with files."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def read(self, path: str) -> str | None:
        return self.text


@pytest.mark.parametrize(
    ("text", "drill", "problem"),
    [
        (None, None, ""),
        ('{"time": 5, "result": "ok", "report": {}}', Drill(5, "ok", 5), ""),
        ('{"time": 5, "result": "failed"}', Drill(5, "failed", None), ""),
        ('{"time": 9, "result": "failed", "good": 5}', Drill(9, "failed", 5), ""),
        ('{"time": 9, "result": "failed", "good": null}', Drill(9, "failed", None), ""),
        ("nonsense", None, "no report"),
        ('{"time": "x", "result": "ok"}', None, "no report"),
        ("[]", None, "no report"),
    ],
)
def test_the_last_drill_is_read_from_its_report(
    text: str | None, drill: Drill | None, problem: str
) -> None:
    host: Any = Files(text)
    found, wrong = reading.read_drill(host, "drill.json")
    assert found == drill and (problem in wrong if problem else wrong == "")


# --- told -----------------------------------------------------------------------------------


def test_a_reading_is_told_as_plain_data() -> None:
    row = status.rows(GOOD)
    assert row["me"]["state"] == NORMAL and row["peer"]["last contact"] == 1.0
    assert row["leases"][0]["used"] == 0.2 and row["unacked updates"] == 0
    assert row["drill"]["age of the last good one"] == DAY
    assert row["ports"]["dhcp1 to dhcp2"] == "open, answered in 1.0 ms"
    plain = (dict, list, str, int, float, bool, type(None))

    def check(value: Any) -> None:
        assert type(value) in plain, value
        for each in value.values() if isinstance(value, dict) else ():
            check(each)
        for each in value if isinstance(value, list) else ():
            check(each)

    for each in (GOOD, SILENT, replace(GOOD, drill=None, pools=None)):
        check(status.rows(each))


# --- declared dead --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (GOOD, "port answers"),
        (replace(SILENT, own=GOOD.own), "still counts on its peer"),
        (
            replace(SILENT, own=GOOD.own, ways=SILENT.ways._replace(heard=4.0)),
            "was heard 4 s ago",
        ),
        (replace(SILENT, alive=True), "its host answers"),
    ],
)
def test_a_peer_that_may_live_is_not_declared_dead(now: Reading, word: str) -> None:
    with pytest.raises(RefusedError, match=word):
        partnerdown.refuse_living(now)
    partnerdown.refuse_living(SILENT)


def test_before_a_peer_is_declared_dead_it_is_asked_by_all_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filter that drops the ping and the port lets dhcpd serve, by its raw socket."""
    asked: list[tuple[str, str]] = []

    def answers(source: str, target: str) -> bool:
        asked.append((source, target))
        return True

    monkeypatch.setattr(partnerdown, "read", lambda *words, **more: SILENT)
    monkeypatch.setattr(partnerdown, "answers_at_all", answers)
    declare = partial(partnerdown.partner_down, SimHost(), CONFIG, SILENT.me, test=True)
    with pytest.raises(RefusedError, match="its host answers"):
        declare()
    assert asked == [("192.0.2.2", "192.0.2.3")]
    assert declare(although_host_answers=True)["result"] is None and len(asked) == 1
    monkeypatch.setattr(partnerdown, "answers_at_all", lambda source, target: False)
    assert declare()["result"] is None


def test_a_no_of_the_peers_host_is_no_proof_to_who_asks_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filter that rejects says it for a server that serves; a reaction asks that one's minion."""
    refused = replace(SILENT, ways=SILENT.ways._replace(outward=Reply("refused", 0.001)))
    monkeypatch.setattr(partnerdown, "read", lambda *words, **more: refused)
    declare = partial(partnerdown.partner_down, SimHost(), CONFIG, SILENT.me, test=True)
    with pytest.raises(RefusedError, match="its host refuses the port") as caught:
        declare()
    assert "although_host_answers=True" in str(caught.value)
    assert declare(although_host_answers=True)["result"] is None
    with pytest.raises(RefusedError, match="60 s are wanted"):
        declare(by_policy=True)


def test_a_death_that_is_told_twice_is_acted_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two masters, or of two events at once; the beacon tells it again and again."""
    states = [replace(lasting(90.0), alive=False)]
    declared: list[str] = []

    def declare(host: Any, config: Any, state: str) -> str:
        declared.append(state)
        states.append(replace(SILENT, own=Side(PARTNER_DOWN, "partner-down", NOW)))
        return "partner-down"

    monkeypatch.setattr(partnerdown, "read", lambda *words, **more: states[-1])
    monkeypatch.setattr(partnerdown, "answers_at_all", lambda source, target: False)
    monkeypatch.setattr(partnerdown, "read_lasted", lambda *words: 90.0)
    monkeypatch.setattr(partnerdown, "_declare", declare)
    react = partial(partnerdown.partner_down, SimHost(), CONFIG, SILENT.me, by_policy=True)
    first, second = react(), react()
    assert first["changes"] and declared == ["/var/lib/ipalias"]
    assert (second["result"], second["changes"]) == (True, {})
    assert second["comment"] == "dhcp1 is partner-down already"


def test_that_its_host_answers_can_be_overruled_and_that_its_port_does_cannot() -> None:
    partnerdown.refuse_living(replace(SILENT, alive=True), although_host_answers=True)
    with pytest.raises(RefusedError, match="port answers"):
        partnerdown.refuse_living(GOOD, although_host_answers=True)


def test_a_reaction_is_held_to_the_pillars_time_by_the_servers_own_count() -> None:
    with pytest.raises(RefusedError, match="for 10 s without"):
        partnerdown.refuse_early(replace(SILENT, cut_for=10.0), 99.0)
    with pytest.raises(RefusedError, match="not without"):
        partnerdown.refuse_early(replace(SILENT, cut_for=None), 99.0)
    with pytest.raises(RefusedError, match="without its peer"):
        partnerdown.refuse_early(replace(SILENT, own=GOOD.own, cut_for=99.0), 99.0)
    plain = parse_dhcp(block("isc", ["192.0.2.2", "192.0.2.3"]))
    with pytest.raises(RefusedError, match="no reaction may"):
        partnerdown.refuse_early(replace(SILENT, config=plain, cut_for=99.0), 99.0)
    partnerdown.refuse_early(replace(SILENT, cut_for=60.0), 60.0)


# --- beside the minion's work ---------------------------------------------------------------


def test_a_look_that_waits_keeps_nobody_waiting_and_is_told_when_it_ends() -> None:
    goes_on, begun = threading.Event(), threading.Event()

    def look(memory: object) -> dict[str, Any]:
        begun.set()
        assert goes_on.wait(30)
        return {"events": ["event"], "memory": "after"}

    watcher = watching.Watcher(turn=0.0)
    for _ in range(3):
        assert watcher.ask(look, "before") == {"events": [], "memory": "before"}
    assert begun.wait(30)
    goes_on.set()
    patient = watcher
    patient._turn = 30.0
    assert patient.ask(look, "before") == {"events": ["event"], "memory": "after"}


def test_a_look_that_fails_is_an_error_and_the_next_one_is_begun() -> None:
    said = [EffectError("no pair"), ValueError("unforeseen")]

    def look(memory: object) -> dict[str, Any]:
        if said:
            raise said.pop(0)
        return {"events": [], "memory": 1}

    watcher = watching.Watcher(turn=30.0)
    with pytest.raises(EffectError, match="no pair"):
        watcher.ask(look, None)
    with pytest.raises(EffectError, match="unforeseen"):
        watcher.ask(look, None)
    assert watcher.ask(look, None) == {"events": [], "memory": 1}


def test_a_look_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    watcher = watching.Watcher(turn=0.0)

    def look(memory: object) -> dict[str, Any]:
        goes_on.wait(30)
        return {"events": [], "memory": 1}

    watcher.ask(look, None)
    monkeypatch.setattr(watching, "STUCK", -1.0)
    with pytest.raises(EffectError, match="has not ended"):
        watcher.ask(look, None)
    goes_on.set()


@pytest.mark.parametrize(
    "memory",
    [
        None,
        "x",
        {},
        {"looked": 1, "since": ["x"], "conditions": {}},
        {"looked": 1, "since": [1, 1, 1], "conditions": {}},
        {"looked": "x"},
        [],
    ],
)
def test_a_memory_that_is_none_is_the_first_look(memory: object) -> None:
    assert watching._parse_memory(memory) == (None, Since(), {}, UNKNOWN)


@pytest.mark.parametrize(
    ("outward", "ways", "more", "is_asked"),
    [
        (OPEN, {}, {}, False),
        (OPEN, {}, {"whole": True}, True),
        (OPEN, {}, {"ask": True}, True),
        (GONE, {}, {}, True),
        (OPEN, {"listening": False}, {}, True),
        (OPEN, {"heard": None}, {}, True),
        # What there is to find is found: each look at the rest asks, and no other one.
        (GONE, {}, {"since": Since(amiss=1000.0 - reading.FRESH + 1)}, True),
        (GONE, {}, {"since": Since(amiss=1000.0 - reading.FRESH)}, False),
        (OPEN, {"heard": None}, {"since": Since(amiss=1.0)}, False),
        (GONE, {}, {"since": Since(amiss=1.0), "whole": True}, True),
        (GONE, {}, {"since": Since(amiss=1.0), "ask": True}, True),
        (GONE, {}, {"since": Since(amiss=1.0), "ask_with_peer": True}, False),
        (OPEN, {}, {"ask_with_peer": True}, True),
    ],
)
def test_a_server_that_is_well_is_not_asked_each_second(
    monkeypatch: pytest.MonkeyPatch,
    outward: Reply,
    ways: dict[str, Any],
    more: dict[str, Any],
    is_asked: bool,
) -> None:
    """Of each OMAPI session dhcpd keeps 200 bytes for good: 17 MB a day."""
    found = Ways(outward, "open", True, 1.0, ())._replace(**ways)
    monkeypatch.setattr(peer, "ask_port", lambda *words: outward)
    monkeypatch.setattr(peer, "ask_clock", lambda *words: Clock(None, "not asked"))
    monkeypatch.setattr(peer, "read_sessions", lambda: [])
    monkeypatch.setattr(peer, "judge", lambda *words: found)
    monkeypatch.setattr(reading, "_read_rest", lambda host, now, *words: now)
    monkeypatch.setattr(reading, "_own_isc", lambda host, now, path: replace(now, asked=True))
    monkeypatch.setattr(reading, "boot_clock", lambda: 1000.0)
    host: Any = None
    told = reading.read(host, CONFIG, GOOD.me, **{"whole": False, **more})
    assert told.asked is is_asked
    well = outward is OPEN and found.heard is not None
    assert (told.since.amiss is None) is well, "what is well again begins anew"


def test_a_death_that_was_told_stands_where_the_server_is_not_asked() -> None:
    silent = Since(None, SILENT.clock - 90)
    cut = Side(INTERRUPTED, "communications-interrupted")
    asked = replace(SILENT, since=silent, own=cut, cut_for=90.0)
    found = watch.conditions(asked, LIMITS)
    assert watch.DEAD in found
    between = replace(asked, asked=False, whole=False, own=Side(), cut_for=None)
    assert watch.conditions(between, LIMITS, found)[watch.DEAD] == found[watch.DEAD]
    assert watch.DEAD not in watch.conditions(between, LIMITS), "nor is one made up"


def test_a_memory_is_what_was_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def read(*_: Any, whole: bool, since: Since, **__: Any) -> Reading:
        asked.append(whole)
        return replace(BAD["skew"], whole=whole, since=Since(7.0, None, 8.0, 9.0, 6.0))

    monkeypatch.setattr(watching, "read", read)
    clock = iter((100.0, 101.0, 116.0))
    monkeypatch.setattr(watching, "boot_clock", lambda: next(clock))
    host: Any = None
    first = watching.look(host, CONFIG, GOOD.me)
    assert [event["tag"] for event in first["events"]] == ["skew/alert"]
    second = watching.look(host, CONFIG, GOOD.me, first["memory"])
    third = watching.look(host, CONFIG, GOOD.me, second["memory"])
    assert second["events"] == third["events"] == [] and asked == [True, False, True]
    assert third["memory"]["since"] == [7.0, None, 8.0, 9.0, 6.0]
    assert third["memory"]["looked"] == 116.0
