"""Originals of foreign files: kept before the first edit, put back, never at others' cost."""

from __future__ import annotations

import pytest

from rig.simengine import block, engine, live, only_present
from rig.simhost import STATE, Fault, SimHost
from rig.simowners import ifupdown
from saltext.ipalias.backup import parse_index, record, render_index, saved_name
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError, ParseError, RefusedError
from saltext.ipalias.report import diff_rows
from saltext.ipalias.restore import originals, restore

MAIN = "/etc/network/interfaces"
INDEX = f"{STATE}/backup/index.json"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    """Give a host whose main file we edit, with bytes that are no text and no last newline."""
    made = ifupdown()
    text = made.files.read(MAIN) or ""
    made.files.put(MAIN, f"# \udcff\r\n{text}# end", 0o640, 7, 8)
    return made


def manage(host: SimHost, *addresses: object) -> None:
    engine(host, block(*addresses)).managed()


def test_the_original_is_kept_before_the_first_edit(host: SimHost) -> None:
    original = host.files.read(MAIN)
    manage(host, "203.0.113.1")
    assert host.files.read(MAIN) != original
    (entry,) = originals(engine(host)).values()
    kept = host.files.nodes[f"{STATE}/backup/{entry.saved}"]
    assert (kept.text, kept.mode) == (original, 0o600)
    assert host.files.nodes[f"{STATE}/backup"].mode == 0o700
    manage(host, "203.0.113.1", "203.0.113.2")
    assert host.files.nodes[f"{STATE}/backup/{entry.saved}"].text == original


def test_nothing_is_kept_where_a_daemon_would_read_it(host: SimHost) -> None:
    before = set(host.files.nodes)
    manage(host, "203.0.113.1")
    new = set(host.files.nodes) - before
    ours = ("/etc/network/ipalias", "/etc/network/if-up.d/ipalias-eth0", "/var/lib/ipalias")
    assert all(path.startswith(ours) for path in new), new


def test_an_edit_keeps_mode_owner_and_link(host: SimHost) -> None:
    node = host.files.nodes.pop(MAIN)
    host.files.put("/etc/network/real", node.text, 0o640, 7, 8)
    host.files.link(MAIN, "real")
    manage(host, "203.0.113.1")
    assert host.files.nodes[MAIN].kind == "link"
    real = host.files.nodes["/etc/network/real"]
    assert (real.mode, real.uid, real.gid) == (0o640, 7, 8)
    assert "203.0.113.1" in real.text


def test_restore_shows_and_puts_back_every_byte(host: SimHost) -> None:
    original = host.files.nodes[MAIN]
    manage(host, "203.0.113.1")
    edited = host.files.nodes[MAIN]
    told = restore(engine(host), None, test=True)
    assert told["result"] is None
    assert "-iface eth0:0 inet static" in told["changes"]["files"][MAIN]
    assert host.files.nodes[MAIN] == edited
    assert restore(engine(host), MAIN)["result"] is True
    assert host.files.nodes[MAIN] == original
    assert originals(engine(host)) == {}


def test_an_unknown_path_names_the_known(host: SimHost) -> None:
    manage(host, "203.0.113.1")
    with pytest.raises(InputError, match=f"no original of /etc/fstab is kept.*{MAIN}"):
        restore(engine(host), "/etc/fstab")
    assert restore(engine(ifupdown()), None)["comment"] == "Every original is in place"


def test_foreign_edits_after_ours_are_not_lost(host: SimHost) -> None:
    manage(host, "203.0.113.1")
    mine = (host.files.read(MAIN) or "") + "\n# added by somebody"
    host.files.put(MAIN, mine)
    with pytest.raises(RefusedError, match="somebody else changed this file after us"):
        restore(engine(host), MAIN)
    assert host.files.read(MAIN) == mine
    restore(engine(host), MAIN, force=True)
    assert "added by somebody" not in (host.files.read(MAIN) or "")


def test_foreign_edits_between_two_of_ours_are_not_lost(host: SimHost) -> None:
    manage(host, "203.0.113.1")
    host.files.put(MAIN, (host.files.read(MAIN) or "") + "\n# added by somebody")
    manage(host, "203.0.113.1", "203.0.113.2")
    with pytest.raises(RefusedError, match="force=True"):
        restore(engine(host), MAIN)


def test_edits_of_ours_alone_never_ask_for_force(host: SimHost) -> None:
    original = host.files.read(MAIN)
    for addresses in (["203.0.113.1"], ["203.0.113.1", "203.0.113.2"], ["203.0.113.2"]):
        manage(host, *addresses)
    restore(engine(host), MAIN)
    assert host.files.read(MAIN) == original


@pytest.mark.parametrize("first", [True, False])
def test_a_change_that_was_undone_is_no_foreign_edit(host: SimHost, first: bool) -> None:
    original = host.files.read(MAIN)
    if not first:
        manage(host, "203.0.113.9")
    dry = host.twin()
    dry.log.clear()
    manage(dry, "203.0.113.1")
    host.log.clear()
    last = max(at for at, effect in enumerate(dry.log) if isinstance(effect, Run))
    host.faults = [Fault(last)]
    with pytest.raises(EffectError):
        manage(host, "203.0.113.1")
    host.faults = []
    twin = host.twin()
    restore(engine(twin), None)
    assert twin.files.read(MAIN) == original
    manage(host, "203.0.113.1")
    restore(engine(host), None)
    assert host.files.read(MAIN) == original


def test_a_lost_original_is_said(host: SimHost) -> None:
    manage(host, "203.0.113.1")
    host.files.drop(f"{STATE}/backup/{saved_name(MAIN)}")
    with pytest.raises(RefusedError, match=f"the original of {MAIN} is gone"):
        restore(engine(host), MAIN)


def test_after_clean_the_original_is_in_place(host: SimHost) -> None:
    original = host.files.nodes[MAIN]
    manage(host, "203.0.113.1")
    engine(host).clean()
    assert host.files.nodes[MAIN] == original
    assert restore(engine(host), None)["comment"] == "Every original is in place"
    assert "203.0.113.1/32" not in live(host)


# The index


def test_the_index_is_read_as_written() -> None:
    index = record({}, MAIN, "a", "b", 0o640)
    index = record(index, "/etc/other", "x", "y", 0o600)
    index = record(index, MAIN, "c", "d", 0o640)
    assert parse_index(render_index(index), INDEX) == index
    assert index[MAIN].edited
    assert not index["/etc/other"].edited


def test_two_paths_have_two_names() -> None:
    names = {saved_name(path) for path in ("/etc/a/b", "/etc/a_b", "/etc/a.b", "/etc/a-b")}
    assert len(names) == 4
    assert all("/" not in name for name in names)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"/x": {}}}', '{"files": []}'])
def test_a_damaged_index_is_named(text: str) -> None:
    with pytest.raises(ParseError, match=f"{INDEX}:1: not a backup index"):
        parse_index(text, INDEX)


def test_a_damaged_index_stops_a_change_before_it_begins(host: SimHost) -> None:
    host.files.put(INDEX, "{")
    before = host.state()
    with pytest.raises((ParseError, EffectError), match="not a backup index"):
        manage(host, "203.0.113.1")
    assert host.state() == before


def test_what_of_ours_the_original_lacks_is_named_and_stays_live(host: SimHost) -> None:
    manage(host, "203.0.113.1", "2001:db8:9::1")
    said = "Still ours, and in the kernel as before: 203.0.113.1/32"
    assert said in restore(engine(host), MAIN, test=True)["comment"]
    assert said in restore(engine(host), MAIN)["comment"]
    assert "203.0.113.1/32" in live(host)
    rows = {row["address"]: row["state"] for row in diff_rows(engine(host))}
    assert rows["203.0.113.1/32"] == "missing-file"
    manage(host, "203.0.113.1", "2001:db8:9::1")
    rows = {row["address"]: row["state"] for row in diff_rows(engine(host, block("203.0.113.1")))}
    assert rows["203.0.113.1/32"] == "ok"


def test_an_original_that_lacks_nothing_of_ours_says_no_more(host: SimHost) -> None:
    manage(host, "203.0.113.1")
    engine(host).clean()
    manage(host)
    host.files.put(MAIN, (host.files.read(MAIN) or "") + "\n# theirs\n")
    answer = restore(engine(host), MAIN, force=True)
    assert answer["comment"] == f"Put back {MAIN}"
