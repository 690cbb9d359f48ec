"""The difference between what is and what shall be, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.simengine import aliases, block, changed, engine, fit, had, ledger, live, only_present
from rig.simhost import SimHost
from rig.simnm import OWNERS
from rig.simowners import ifupdown, networkd
from saltext.ipalias import backends
from saltext.ipalias.difference import MAX_DIFF_LINES, MAX_LISTED, cap, render_diff
from saltext.ipalias.host import Result

PRIMARIES = {"192.0.2.2/24", "2001:db8::2/64"}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


def labels(host: SimHost) -> dict[str, str]:
    return {a.address: a.label for a in host.net.links["eth0"].addresses4}


def numbers(host: SimHost) -> dict[str, int | None]:
    return {e.alias.address: e.alias.number for e in ledger(host).on("eth0").values()}


# Numbers


def test_an_unlabelled_alias_takes_the_next_free_number() -> None:
    host = ifupdown()
    engine(host, block("203.0.113.1", "203.0.113.2", "203.0.113.3")).managed()
    assert labels(host)["203.0.113.1"] == "eth0:0"
    assert labels(host)["203.0.113.3"] == "eth0:2"


def test_removing_the_middle_one_renames_no_other() -> None:
    host = ifupdown()
    engine(host, block("203.0.113.1", "203.0.113.2", "203.0.113.3")).managed()
    engine(host, block("203.0.113.1", "203.0.113.3")).managed()
    assert labels(host)["203.0.113.3"] == "eth0:2"
    assert numbers(host) == {"203.0.113.1": 0, "203.0.113.3": 2}
    engine(host, block("203.0.113.1", "203.0.113.3", "203.0.113.4")).managed()
    assert numbers(host)["203.0.113.4"] == 1


def test_a_number_taken_by_somebody_else_is_left_to_him() -> None:
    host = ifupdown()
    host.ip(["ip", "address", "add", "203.0.113.9/32", "dev", "eth0", "label", "eth0:0"], None)
    engine(host, block("203.0.113.1")).managed()
    assert labels(host)["203.0.113.1"] == "eth0:1"


def test_numbers_survive_a_loss_of_the_ledger() -> None:
    host = ifupdown()
    engine(host, block("203.0.113.1", "203.0.113.2", "203.0.113.3")).managed()
    engine(host, block("203.0.113.1", "203.0.113.3")).managed()
    host.files.drop("/var/lib/ipalias/ledger.json")
    effects = changed(host, engine(host, block("203.0.113.1", "203.0.113.3")).managed)
    assert numbers(host) == {"203.0.113.1": 0, "203.0.113.3": 2}
    assert all("ledger" in str(effect) or "/var/lib" in str(effect) for effect in effects)


def test_a_dialect_without_numbers_gives_none() -> None:
    host = networkd()
    engine(host, block("203.0.113.1")).managed()
    assert numbers(host) == {"203.0.113.1": None}
    assert labels(host)["203.0.113.1"] == "eth0"


# What is left alone, what is set anew


def test_an_alias_deleted_behind_our_back_is_restored_and_told(owned: SimHost) -> None:
    added = had(owned, "203.0.113.1/32", "2001:db8:1::1/128")
    pillar = block(*added)
    engine(owned, pillar).managed()
    for address in added:
        owned.ip(["ip", "address", "delete", address, "dev", "eth0"], None)
    answer = engine(owned, pillar).managed()
    assert answer["changes"] == {"addresses": {"added": added, "removed": []}}
    assert set(added) < live(owned)


def test_a_file_of_ours_changed_behind_our_back_is_restored() -> None:
    host = networkd()
    pillar = block("203.0.113.1")
    engine(host, pillar).managed()
    path = "/etc/systemd/network/50-eth0.network.d/60-ipalias.conf"
    text = host.files.read(path)
    host.files.drop(path)
    answer = engine(host, pillar).managed()
    assert list(answer["changes"]) == ["files"]
    assert host.files.read(path) == text


def test_a_label_that_was_not_asked_for_is_left_alone() -> None:
    host = networkd()
    host.ip(["ip", "address", "add", "203.0.113.1/32", "dev", "eth0", "label", "eth0:zz"], None)
    engine(host, block("203.0.113.1")).managed()
    assert labels(host)["203.0.113.1"] == "eth0:zz"


def test_another_label_is_set_in_one_batch() -> None:
    host = networkd()
    engine(host, block({"address": "203.0.113.1", "label": "a"})).managed()
    answer = engine(host, block({"address": "203.0.113.1", "label": "b"})).managed()
    assert labels(host)["203.0.113.1"] == "b"
    assert answer["changes"]["addresses"]["recreated"] == ["203.0.113.1/32"]
    answer = engine(host, block("203.0.113.1")).managed()
    assert labels(host)["203.0.113.1"] == "eth0"


def test_source_never_is_set_and_taken_back() -> None:
    host = networkd()
    never = [
        {"address": "203.0.113.1", "source": "never"},
        {"address": "198.51.100.9/25", "source": "never"},
        {"address": "2001:db8:1::1", "source": "never"},
    ]
    engine(host, block(*never)).managed()
    link = host.net.links["eth0"]
    by_address = {a.address: a for a in (*link.addresses4, *link.addresses6)}
    assert by_address["203.0.113.1"].scope == "host"
    assert not by_address["198.51.100.9"].prefix_route
    assert by_address["2001:db8:1::1"].deprecated
    (route,) = [r for r in host.net.routes if r.destination == "198.51.100.0/25"]
    assert (route.source, route.scope) == (None, "link")
    plain = ["203.0.113.1", "198.51.100.9/25", "2001:db8:1::1"]
    engine(host, block(*plain)).managed()
    by_address = {a.address: a for a in (*link.addresses4, *link.addresses6)}
    assert by_address["203.0.113.1"].scope == "global"
    assert not by_address["2001:db8:1::1"].deprecated
    (route,) = [r for r in host.net.routes if r.destination == "198.51.100.0/25"]
    assert (route.source, route.protocol) == ("198.51.100.9", "kernel")
    engine(host, block()).managed()
    assert live(host) == PRIMARIES
    assert not [r for r in host.net.routes if r.destination == "198.51.100.0/25"]


def test_the_head_of_a_subnet_goes_without_its_followers(owned: SimHost) -> None:
    engine(owned, block("203.0.113.1/24", "203.0.113.2/24", "203.0.113.3/24")).managed()
    engine(owned, block("203.0.113.2/24", "203.0.113.3/24")).managed()
    assert live(owned) == PRIMARIES | {"203.0.113.2/24", "203.0.113.3/24"}
    assert owned.net.links["eth0"].promote == "0"


# Sequences

ADDRESSES = ["203.0.113.1", "203.0.113.2", "203.0.113.2/24", "203.0.113.3/24", "2001:db8:1::1"]
ADDRESSES += ["2001:db8:1::2/64", "192.0.2.77/24"]
chosen = st.lists(st.sampled_from(ADDRESSES), unique_by=lambda a: a.partition("/")[0], max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("managed"), chosen),
        st.tuples(st.just("add"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("live"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("file"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("remove"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("fall"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("clean"), st.none()),
    ),
    max_size=7,
)


def step(host: SimHost, what: str, value: Any) -> None:
    """Do one thing; what is refused must change nothing."""
    from saltext.ipalias.errors import InputError, RefusedError

    asked = engine(host, block(*value) if what == "managed" else None)
    calls: dict[str, Callable[[], Any]] = {
        "managed": asked.managed,
        "add": lambda: asked.add(aliases(value)),
        "live": lambda: asked.add(aliases(value), persist=False),
        "file": lambda: asked.add(aliases(value), live=False),
        "remove": lambda: asked.remove([(value.partition("/")[0], None)]),
        "clean": asked.clean,
        "fall": lambda: host.ip(["ip", "address", "delete", *alias_words(value)], None),
    }
    before = host.state()
    try:
        calls[what]()
    except (InputError, RefusedError):
        assert host.state() == before


def alias_words(text: str) -> Sequence[str]:
    (alias,) = aliases(text)
    return alias.cidr, "dev", "eth0"


@pytest.mark.parametrize("dialect", sorted(OWNERS))
@settings(max_examples=25, deadline=None)
@given(steps=steps, last=chosen)
def test_after_any_sequence_ledger_file_and_kernel_agree(
    dialect: str, steps: list[tuple[str, Any]], last: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        only_present(patch)
        host = OWNERS[dialect]()
        # What the owner makes anew by itself follows what is live, others' addresses too.
        derived = getattr(backends.load(dialect), "DERIVED", ())
        untouched = host.files.tree("/var", "/run", *derived)
        last = [str(address) for address in fit(dialect, list(last))]
        host.ip(["ip", "address", "add", "198.51.100.99/32", "dev", "eth0"], None)
        foreign = PRIMARIES | {"198.51.100.99/32"}
        for what, value in [*steps, ("managed", last)]:
            step(host, what, value)
            assert foreign <= live(host), (what, value)
        entries = ledger(host).on("eth0").values()
        asked = engine(host, block(*last))
        snapshot = asked.snapshot()
        situation = asked.situation("eth0", asked.config().base, ledger(host), snapshot)
        held = {entry.alias.cidr for entry in entries if entry.file}
        assert situation.in_our_files == held
        assert live(host) == foreign | {e.alias.cidr for e in entries if e.live}
        assert {alias.cidr for alias in aliases(*last)} <= {e.alias.cidr for e in entries}
        assert changed(host, asked.managed) == []
        asked.clean()
        assert live(host) == foreign
        assert host.files.tree("/var", "/run", *derived) == untouched


# Size


class Counting:
    """Count what a program is asked."""

    def __init__(self, host: SimHost, name: str) -> None:
        self.calls, self.program = 0, host.programs[name]
        host.programs[name] = self

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        self.calls += 1
        return self.program(argv, stdin)


def work_of(dialect: str, count: int) -> tuple[int, int, int]:
    """Return effects, programs run and lines of library code of an apply of that many."""
    import sys

    host = OWNERS[dialect]()
    ip = Counting(host, "ip")

    pillar = block(f"2001:db8:9::-2001:db8:9::{count - 1:x}")
    lines = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines
        if "saltext/ipalias" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        plan = engine(host, pillar)
        answer = plan.managed(test=True)
    finally:
        sys.settrace(before)
    assert answer["result"] is None
    return len(host.log), ip.calls, lines


@pytest.mark.parametrize("dialect", ["ifupdown", "netplan", "networkd", "networkmanager"])
def test_ten_times_the_aliases_are_ten_times_the_work(dialect: str) -> None:
    few, many = work_of(dialect, 400), work_of(dialect, 4000)
    assert few[:2] == many[:2]
    assert many[2] < 11 * few[2]


def test_ten_thousand_aliases_are_one_batch_and_one_small_answer() -> None:
    host = ifupdown()
    pillar = block("2001:db8:9::-2001:db8:9::270f")
    answer = engine(host, pillar).managed()
    batches = [e for e in host.mutating if "'-batch'" in str(e)[:80]]
    assert len(batches) == 1
    assert len(json.dumps(answer)) < 100_000
    kept = json.loads(host.files.read(f"/var/lib/ipalias/journal/{answer['journal']}.json") or "")
    assert len(kept["changes"]["addresses"]["added"]) == 10_000
    assert changed(host, engine(host, pillar).managed) == []


@pytest.mark.parametrize("form", ["string", "list", "netsh"])
def test_the_form_of_another_dialect_is_as_none(form: str) -> None:
    """One pillar may be that of many hosts, and each dialect knows its own forms."""
    texts = []
    for given_form in ({}, {"form": form}):
        host = ifupdown()
        main = "/etc/network/interfaces"
        host.files.put(main, (host.files.read(main) or "").replace("auto eth0\n", ""))
        answer = engine(host, block("198.51.100.10", **given_form)).managed()
        texts.append(answer["changes"]["files"])
    assert texts[0] == texts[1]


def test_a_return_is_capped_and_says_so() -> None:
    text = "\n".join(f"+line {number}" for number in range(1000))
    whole: dict[str, dict[str, object]] = {
        "files": {"/x": text},
        "addresses": {"added": [str(number) for number in range(1000)], "removed": []},
    }
    short, cut = cap(whole)
    assert cut
    shown = short["files"]["/x"]
    assert isinstance(shown, str)
    assert shown.splitlines()[MAX_DIFF_LINES:] == [f"... {1000 - MAX_DIFF_LINES} more lines"]
    added = short["addresses"]["added"]
    assert isinstance(added, list)
    assert added[MAX_LISTED:] == [f"... {1000 - MAX_LISTED} more"]
    small: dict[str, dict[str, object]] = {"addresses": {"added": ["x"], "removed": []}}
    assert cap(small) == (small, False)


def test_a_diff_shows_no_secret_and_no_raw_byte() -> None:
    diff = render_diff("/x", "psk=old\nwifi-password: y\n", "psk=new\nname=\udcff\n")
    assert "old" not in diff
    assert "new" not in diff
    assert "+psk= ***" in diff
    diff.encode("utf-8")
    assert render_diff("/x", None, "a\n").startswith("--- /dev/null\n+++ /x")
    assert render_diff("/x", "a\n", None).startswith("--- /x\n+++ /dev/null")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (' {"password": "hu\\"sh", "user": "kea"}', ' {"password": "***", "user": "kea"}'),
        ("key k { secret aHVzaA==; };", "key k { secret ***; };"),
        ('  secret "hush";', "  secret ***;"),
        ("    wpa-psk hush", "    wpa-psk ***"),
        ('join "net" wpakey "hush" up', 'join "net" wpakey *** up'),
        ("inet vhid 1 advskew 100 pass hush alias", "inet vhid 1 advskew 100 pass *** alias"),
        ("pass in on em0", "pass in on em0"),
    ],
)
def test_a_secret_within_a_line_is_not_shown_and_the_rest_is(line: str, shown: str) -> None:
    assert render_diff("/x", None, f"{line}\n").splitlines()[-1] == f"+{shown}"
