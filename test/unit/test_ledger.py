"""The ledger: what it remembers, and what it does with a text that is not one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.errors import ParseError
from saltext.ipalias.ledger import ORIGINS, Entry, Ledger, parse_ledger, render_ledger
from saltext.ipalias.model import Alias

PATH = "/var/lib/ipalias/ledger.json"

aliases = st.builds(
    Alias,
    st.sampled_from(["198.51.100.10", "198.51.100.11", "2001:db8::10", "2001:db8::11"]),
    st.sampled_from([24, 32]),
    st.just("eth0"),
    st.one_of(st.none(), st.sampled_from(["failover1", "eth0:x", '"', "7"])),
    st.sampled_from(["auto", "never"]),
    st.one_of(st.none(), st.integers(0, 99)),
)
entries = st.builds(Entry, aliases, st.sampled_from(ORIGINS), st.booleans(), st.booleans())


@given(
    st.lists(entries, max_size=4),
    st.dictionaries(st.sampled_from(["4", "6"]), st.sampled_from(["eth0", "eth1"])),
)
def test_what_is_written_is_read_again(listed: list[Entry], default: dict[str, str]) -> None:
    ledger = Ledger(default=default).with_interface("eth0", listed, "networkd")
    text = render_ledger(ledger)
    assert parse_ledger(text, PATH) == ledger
    assert render_ledger(parse_ledger(text, PATH)) == text
    assert list(parse_ledger(text, PATH).on("eth0")) == list(ledger.on("eth0"))
    assert json.loads(text)["schema"] == 1


def test_no_file_is_a_lost_ledger() -> None:
    assert parse_ledger(None, PATH) == Ledger(lost=True)


def test_an_interface_without_entries_is_forgotten() -> None:
    entry = Entry(Alias("198.51.100.10", 32, "eth0"), "pillar")
    ledger = Ledger().with_interface("eth0", [entry], "networkd")
    assert ledger.backends == {"eth0": "networkd"}
    assert ledger.with_interface("eth0", [], "networkd") == Ledger()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"schema": "x"}',
        '{"schema": 1}',
        '{"schema": 1, "default": {}, "interfaces": {"eth0": {}}}',
        '{"schema": 1, "default": {}, "interfaces": {"eth0": {"backend": "x", "aliases": []}}}',
        '{"schema": 1, "default": {}, "interfaces": []}',
        '{"schema": 1, "default": [], "interfaces": {}}',
        '{"schema": 1, "default": {}, "interfaces": {"eth0": {"backend": "networkd", '
        '"aliases": {"198.51.100.10": {"origin": "pillar"}}}}}',
        '{"schema": 1, "default": {}, "interfaces": {"eth0": {"backend": "networkd", '
        '"aliases": {"198.51.100.10/32": {"origin": "stranger"}}}}}',
        '{"schema": 1, "default": {}, "interfaces": {"eth0": {"backend": "networkd", '
        '"aliases": {"198.51.100.10/32": {}}}}}',
    ],
)
def test_a_damaged_ledger_is_named_with_the_way_out(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_ledger(text, PATH)
    assert str(caught.value).startswith(f"{PATH}:1: not a ledger")
    assert "move it away" in str(caught.value)


def test_a_newer_ledger_is_not_touched() -> None:
    with pytest.raises(ParseError, match="schema 2, this version reads up to 1; install the newer"):
        parse_ledger('{"schema": 2}', PATH)
