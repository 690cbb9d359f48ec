"""The record of an open change: written and read again as it was, and refused when it is newer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.simafter import PATHS, boot_restore
from rig.simengine import block, engine, ledger, only_present
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simnm import OWNERS
from saltext.ipalias.effects import FileState
from saltext.ipalias.errors import ParseError
from saltext.ipalias.journal import (
    COMMITTED,
    FIRING,
    OPEN,
    SCHEMA,
    WAITING,
    Part,
    Record,
    parse_record,
    render_record,
    split_name,
)
from saltext.ipalias.ledger import SCHEMA as LEDGER_SCHEMA
from saltext.ipalias.ledger import parse_ledger
from saltext.ipalias.live import LiveAddress, Route
from saltext.ipalias.model import SOURCE_AUTO, SOURCE_NEVER, Alias, Evidence
from saltext.ipalias.sysctl import Held

#: What a file may hold: bytes that are no UTF-8 come as surrogates.
text = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape"))
word = st.text("abcdefghij-_.:0123456789", min_size=1, max_size=12)
number = st.integers(0, 2**31)
address = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
maybe = st.one_of(st.none(), word)


@st.composite
def aliases(draw: Any) -> Alias:
    return Alias(
        draw(address),
        draw(st.integers(0, 128)),
        "eth0",
        draw(maybe),
        draw(st.sampled_from([SOURCE_AUTO, SOURCE_NEVER])),
        draw(st.one_of(st.none(), number)),
    )


lives = st.builds(
    LiveAddress,
    st.just("eth0"),
    address,
    st.integers(0, 128),
    maybe,
    word,
    st.frozensets(word, max_size=3),
    word,
    st.booleans(),
)
files = st.builds(FileState, text, text, st.integers(0, 0o7777), number, number)
parts = st.builds(
    Part,
    st.just("eth0"),
    word,
    st.builds(
        Evidence,
        interface=st.just("eth0"),
        reasons=st.lists(text, max_size=2).map(tuple),
        file=maybe,
        facts=st.dictionaries(word, text, max_size=2),
    ),
    st.lists(aliases(), max_size=2).map(tuple),
    st.lists(aliases(), max_size=2).map(tuple),
    st.lists(lives, max_size=2).map(tuple),
    st.lists(word, max_size=2).map(tuple),
    st.lists(text, max_size=2).map(tuple),
    st.lists(word, max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
)
routes = st.builds(Route, st.sampled_from([4, 6]), word, word, maybe, number, maybe, word, word)
records = st.builds(
    Record,
    id=word,
    purpose=text,
    pid=number,
    started=number,
    deadline=st.one_of(st.none(), st.floats(0, 1e9)),
    boot=word,
    opened=st.one_of(st.none(), st.floats(0, 1e9)),
    files=st.dictionaries(text, st.one_of(st.none(), files), max_size=3),
    owned=st.lists(text, max_size=2).map(tuple),
    parts=st.lists(parts, max_size=2).map(tuple),
    routes=st.lists(routes, max_size=2).map(tuple),
    kernel=st.dictionaries(text, word, max_size=2),
    beside=st.dictionaries(st.just("eth0"), st.lists(lives, max_size=2).map(tuple)),
    tuned=st.dictionaries(word, st.builds(Held, maybe, maybe), max_size=3),
    listener=st.sampled_from(["", "systemd", "openrc"]),
)


@given(records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    told = render_record(record)
    told.encode("ascii")  # whatever the disk's coding: no byte is lost
    assert parse_record(told, "x") == record


@given(records)
def test_a_record_of_before_has_no_word_on_links_and_what_lies_beside(record: Record) -> None:
    data = json.loads(render_record(record))
    del data["beside"], data["tuned"], data["listener"]
    # What read that one took every route for a default one, and must not read ours.
    assert data["schema"] > 1
    data["schema"] = 1
    for part in data["parts"]:
        del part["up"]
    parts = tuple(replace(part, up=False) for part in record.parts)
    before = replace(record, parts=parts, beside={}, tuned={}, listener="")
    assert parse_record(json.dumps(data), "x") == before


@given(records)
def test_a_record_of_before_has_no_word_on_settings(record: Record) -> None:
    data = json.loads(render_record(record))
    del data["tuned"], data["listener"]
    # What read that one would leave settings as a change cut short has made them.
    assert data["schema"] > 2
    data["schema"] = 2
    assert parse_record(json.dumps(data), "x") == replace(record, tuned={}, listener="")


def newer(told: str, schema: int) -> str:
    data = json.loads(told)
    data["schema"] = schema + 1
    # What a newer version has in other forms must not be what it is refused for.
    data.pop("purpose", None)
    return json.dumps(data)


def test_a_newer_record_is_refused_with_the_way_out() -> None:
    told = newer(render_record(Record("id", "x")), SCHEMA)
    with pytest.raises(ParseError) as caught:
        parse_record(told, "/s/open-id.json")
    assert str(caught.value) == (
        f"/s/open-id.json:1: journal of schema {SCHEMA + 1}, this version reads up to {SCHEMA};"
        " install the newer version of the formula again"
    )


def test_a_newer_ledger_is_refused_with_the_way_out() -> None:
    told = json.dumps({"schema": LEDGER_SCHEMA + 1, "all": "new"})
    with pytest.raises(ParseError, match=rf"schema {LEDGER_SCHEMA + 1}.*newer version.*again"):
        parse_ledger(told, "/s/ledger.json")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"schema": 1}',
        '{"schema": "one"}',
        '{"schema": 1, "id": "x", "purpose": "x", "pid": "many"}',
        "{" * 100_000,
    ],
)
def test_what_is_no_record_is_refused_as_ours(told: str) -> None:
    with pytest.raises(ParseError, match="journal"):
        parse_record(told, "/s/open-x.json")


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("open-20260101T000000-1-2.json", (OPEN, "20260101T000000-1-2")),
        ("waiting-x.json", (WAITING, "x")),
        ("firing-x.json", (FIRING, "x")),
        ("committed-x.json", (COMMITTED, "x")),
        ("ledger.json", None),
        ("open-.json", None),
        ("open-x.json.bak", None),
        (".open-x.json.ipalias-new", None),
        ("closed-x.json", None),
        ("open.json", None),
    ],
)
def test_the_name_is_the_state(name: str, parsed: tuple[str, str] | None) -> None:
    assert split_name(name) == parsed
    if parsed is not None:
        assert Record(parsed[1], "").name(parsed[0]) == name


# A journal left open by another version


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> SimHost:
    """Give a host with a change cut short just before its commit."""
    only_present(monkeypatch)
    host = OWNERS["networkd"]()
    whole = host.twin()
    engine(whole, block("198.51.100.10")).managed()
    named = [str(getattr(effect, "target", "")) for effect in whole.log]
    host.faults = [Fault(next(i for i, t in enumerate(named) if "committed" in t), crash=True)]
    with pytest.raises(Crash):
        engine(host, block("198.51.100.10")).managed()
    return host.successor()


def test_a_newer_versions_open_change_is_not_touched(cut: SimHost) -> None:
    """By no request and no boot: the version that wrote it can put it back."""
    (path,) = cut.glob(f"{STATE}/open-*.json")
    node = cut.files.nodes[path]
    cut.files.nodes[path] = replace(node, text=newer(node.text, SCHEMA))
    before = cut.files.copy().nodes
    with pytest.raises(ParseError, match="install the newer version of the formula again"):
        engine(cut, block("198.51.100.11")).managed()
    assert cut.files.nodes == before
    (said,) = boot_restore(cut)
    assert said.startswith("not put back: ")
    assert "install the newer version" in said
    assert cut.files.nodes == before
    cut.files.nodes[path] = node
    engine(cut, block("198.51.100.11")).managed()
    assert set(ledger(cut).on("eth0")) == {"198.51.100.11/32"}


def test_the_record_lies_where_only_root_reads_it(cut: SimHost) -> None:
    (path,) = cut.glob(f"{STATE}/open-*.json")
    assert cut.files.nodes[path].mode == 0o600
    assert cut.files.nodes[PATHS.state].mode == 0o700
