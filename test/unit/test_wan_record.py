"""The journal of transitions: torn lines, ids, what the master has, what was acted on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.wanlines import wan
from saltext.ipalias.errors import ParseError
from saltext.ipalias.wan.model import Line, Outcome, Transition
from saltext.ipalias.wan.record import (
    ACTED,
    KEPT,
    OWED,
    Acted,
    Position,
    Recorder,
    acknowledge,
    event_data,
    kept,
    last_counter,
    parse_acted,
    parse_entry,
    parse_journal,
    parse_position,
    parse_probes,
    render_acted,
    render_entry,
    render_note,
    render_position,
    unacknowledged,
)

number = st.floats(0, 1e10, allow_nan=False)
transitions = st.builds(
    Transition,
    st.uuids().map(lambda u: f"{u}-1"),
    st.builds(Line, st.sampled_from(["wan1", "wan2"]), st.sampled_from([4, 6])),
    st.sampled_from(["up", "down"]),
    number,
    number,
    st.text(max_size=40),
    number,
    number,
    st.sampled_from(["", "monitor", "reaction"]),
)


def entry(count: int, boot: str = "b") -> Transition:
    return Transition(f"{boot}-{count}", Line("wan1", 4), "down", 1e9, 5.0, "why", 0.1, 0.3)


def entries(count: int) -> list[Transition]:
    return [entry(n) for n in range(1, count + 1)]


@given(st.lists(transitions, unique_by=lambda t: t.ident, max_size=5))
def test_written_and_read_again(listed: list[Transition]):
    text = "".join(map(render_entry, listed))
    assert text.count("\n") == len(listed)
    assert parse_journal(text, "journal") == (tuple(listed), ())


@given(st.lists(transitions, unique_by=lambda t: t.ident, min_size=2, max_size=4), st.data())
def test_a_torn_line_costs_itself_alone(listed: list[Transition], data: Any):
    lines = [render_entry(t) for t in listed]
    torn = data.draw(st.integers(1, len(lines[-2].encode()) - 2))
    before = "".join(lines[:-2])
    cut = lines[-2].encode()[:torn].decode("utf-8", "replace")
    text = before + cut
    read = parse_journal(text, "journal")
    assert read.entries == tuple(listed[:-2])
    assert read.unreadable == (len(lines) - 1,)
    again = parse_journal(text + "\n" + render_entry(listed[-1]), "journal")
    assert again.entries == (*listed[:-2], listed[-1])


def test_who_acted_is_told_by_a_line_of_its_own():
    text = render_entry(entry(1)) + render_entry(entry(2)) + render_note("b-1", "monitor")
    read = parse_journal(text, "journal")
    assert [(t.ident, t.acted) for t in read.entries] == [("b-1", "monitor"), ("b-2", "")]
    assert read.unreadable == ()


def test_an_entry_that_stands_twice_is_one():
    text = render_entry(entry(1)) + render_entry(entry(1)._replace(reason="again"))
    assert [t.reason for t in parse_journal(text, "journal").entries] == ["why"]


def test_a_later_schema_is_refused_with_its_place():
    later = json.dumps({**event_data(entry(2)), "schema": 2})
    with pytest.raises(ParseError, match=r"^journal:2: schema 2 is newer"):
        parse_journal(render_entry(entry(1)) + later + "\n", "journal")


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "null", "7", '"x"', "{", "\0\0\0", '{"id": 7}', "[" * 100000, '{"schema": "x"}'],
)
def test_a_line_of_something_else_is_passed_over(line: str):
    read = parse_journal(line + "\n" + render_entry(entry(1)), "journal")
    assert (read.entries, read.unreadable) == ((entry(1),), (1,))


@pytest.mark.parametrize("key", sorted(set(event_data(entry(1))) - {"schema"}))
@pytest.mark.parametrize("value", [None, [], {}])
def test_a_value_of_the_wrong_kind_is_no_transition(key: str, value: object):
    with pytest.raises(ValueError, match="no transition"):
        parse_entry({**event_data(entry(1)), key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "a b"), ("id", ""), ("id", "x" * 101), ("id", "b-1\n"), ("uplink", "../.."),
        ("uplink", "x/y"), ("uplink", ""), ("state", "away"), ("state", "up/../down"),
        ("family", 5), ("family", True), ("family", 4.5), ("at", float("nan")),
        ("bound", float("inf")),
    ],
)  # fmt: skip
def test_what_the_masters_reactor_takes_for_no_event_is_no_transition(key: str, value: object):
    """One such entry would hold up for ever whatever goes with it in one message."""
    damaged = json.dumps({**event_data(entry(1)), key: value})
    read = parse_journal(f"{damaged}\n{render_entry(entry(2))}", "journal")
    assert (read.entries, read.unreadable) == ((entry(2),), (1,))


def test_the_counter_goes_on_within_a_boot():
    listed = [entry(3), entry(12), entry(7), entry(99, "other"), entry(4)._replace(ident="b-x")]
    assert (last_counter(listed, "b"), last_counter(listed, "new")) == (12, 0)


# What the master has


def test_what_is_not_acknowledged_is_owed():
    listed = entries(4)
    position = Position()
    assert unacknowledged(listed, position) == tuple(listed)
    position = acknowledge(listed, position, "b-1")
    assert position == Position("b-1")
    position = acknowledge(listed, position, "b-3")
    assert position == Position("b-1", ("b-3",))
    assert [t.ident for t in unacknowledged(listed, position)] == ["b-2", "b-4"]
    position = acknowledge(listed, position, "b-2")
    assert position == Position("b-3")
    assert acknowledge(listed, position, "b-2") == position
    assert acknowledge(listed, position, "b-9") == position


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)))
def test_replies_in_any_order_leave_what_was_not_named(order: list[int], lost: set[int]):
    listed = entries(8)
    position = Position()
    for count in order:
        if count not in lost:
            position = acknowledge(listed, position, f"b-{count}")
            position = parse_position(render_position(position))
    assert {t.ident for t in unacknowledged(listed, position)} == {f"b-{n}" for n in lost}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"last": 1, "beyond": []}', '{"last": "b-1"}'])
def test_a_position_that_cannot_be_read_owes_everything(text: str):
    assert parse_position(text) == Position()


def test_a_journal_made_anew_keeps_the_last_ones_and_what_is_owed():
    listed = entries(KEPT + 500)
    assert kept(listed, Position("b-1500")) == tuple(listed[500:])
    assert kept(listed, Position("b-200")) == tuple(listed[200:])
    assert kept(listed, Position("b-200", ("b-201",))) == tuple(listed[201:])
    rotated = kept(listed, Position("b-1500"))
    assert unacknowledged(rotated, Position("b-1500")) == ()
    many = entries(OWED + 5)
    assert kept(many, Position()) == tuple(many[5:])


# Who acted


def test_24_the_same_id_is_acted_on_once():
    """salt#62638: the event comes twice, the consumer restarts in between."""
    new, acted = Acted().add("b-1")
    assert new
    new, again = parse_acted(render_acted(acted), "acted").add("b-1")
    assert (new, again) == (False, acted)
    assert again.add("b-2")[0]


def test_the_store_of_what_was_acted_on_does_not_grow_for_ever():
    acted = Acted(tuple(f"b-{n}" for n in range(ACTED)))
    _, acted = acted.add("b-x")
    assert (len(acted.idents), acted.idents[-1]) == (ACTED, "b-x")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "ids": []}', '{"schema": 1}'])
def test_a_store_that_cannot_be_read_is_not_taken_for_empty(text: str):
    with pytest.raises(ParseError, match="remove it to start anew"):
        parse_acted(text, "acted")
    assert parse_acted("", "acted") == Acted()


# The record of probes


def test_answers_are_told_together_and_misses_one_by_one():
    config = wan(1)
    line = Line("wan1", 4)
    one, two = config.uplinks[0].ways[0].targets
    recorder = Recorder()
    text = ""
    for n in range(300):
        at = 100 + n / 10
        lost = n in (50, 51)
        text += recorder.add(Outcome(line, one, n, at, None if lost else 0.03))
        text += recorder.add(Outcome(line, two, n, at + 0.05, 0.05))
    text += recorder.add(Outcome(line, one, 0, 130.0, None, "ENETUNREACH"))
    text += recorder.add(Outcome(line, one, 0, 130.1, None, late=True))
    text += recorder.close()
    assert text.count("\n") < 15
    outcomes = parse_probes(text + '["wan1",4,"icmp', config)
    missed = [(o.sent, o.error) for o in outcomes if o.rtt is None]
    assert missed == [(105.0, ""), (105.1, ""), (130.0, "ENETUNREACH")]
    answered = [o for o in outcomes if o.rtt is not None and o.target == one]
    assert (answered[0].sent, answered[-1].sent) == (100.0, 129.9)
    assert {o.rtt for o in answered} == {0.03}


@pytest.mark.parametrize(
    "row",
    [
        "",
        "7",
        "[]",
        '["wan9",4,"icmp 203.0.113.20","missed",1,""]',
        '["wan1",4,[],"missed",1,""]',
        '["wan1",4,"icmp 203.0.113.20","missed"]',
        '["wan1",4,"icmp 203.0.113.20","answered",1,2]',
    ],
)
def test_a_row_that_says_nothing_is_passed_over(row: str):
    assert parse_probes(row, wan(1)) == []
