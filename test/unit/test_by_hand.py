"""By hand while the pillar has a fault: what it does not concern is done, and it is told."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simhost import STATE, Crash, SimHost
from rig.simowners import ifupdown, networkd
from saltext.ipalias import surroundings
from saltext.ipalias.effects import Effect, Rename
from saltext.ipalias.engine import Answer
from saltext.ipalias.errors import EffectError, InputError, RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.ledger import ORIGIN_HAND, Entry
from saltext.ipalias.model import Alias
from saltext.ipalias.pillar import parse_pillar
from saltext.ipalias.report import diff_rows, situations
from saltext.ipalias.request import UNDONE
from saltext.ipalias.restore import restore
from saltext.ipalias.situation import Situation
from saltext.ipalias.targets import removed_target
from saltext.ipalias.upkeep import confirm, journal, pin_default, restart, rollback

ONE, TWO = "198.51.100.10", "198.51.100.11"
WRONG = "203.0.113.300"
FAULT = "ipalias:interfaces:eth0:addresses[1]: '203.0.113.300' is not an IP address"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return networkd(links=("eth0", "eth1"))


def add(host: SimHost, pillar: Any, address: str, interface: str = "eth0") -> Answer:
    return engine(host, pillar).add(aliases(address, interface=interface))


@pytest.mark.parametrize(
    ("pillar", "said"),
    [
        (block(TWO, WRONG), FAULT),
        (block(WRONG, interface="eth1"), "ipalias:interfaces:eth1:addresses[0]: "),
        (block(TWO, TWO), "ipalias:interfaces:eth0:addresses[1]: "),
        ({"interfaces": {"eth0": {"addresses": "x"}}}, "ipalias:interfaces:eth0:addresses: 'x'"),
    ],
)
def test_a_wrong_address_hinders_no_other_by_hand(host: SimHost, pillar: Any, said: str) -> None:
    answer = add(host, pillar, ONE)
    assert answer["result"] is True
    assert f"The pillar has a fault, which does not concern this: {said}" in answer["comment"]
    assert f"{ONE}/32" in live(host)
    answer = engine(host, pillar).remove([(ONE, None)])
    assert said in answer["comment"]
    assert f"{ONE}/32" not in live(host)
    with pytest.raises(InputError):
        engine(host, pillar).managed()


def test_a_look_says_the_same(host: SimHost) -> None:
    shown = engine(host, block(WRONG)).add(aliases(ONE), test=True)
    assert "which does not concern this" in shown["comment"]
    assert host.mutating == []


def test_many_faults_are_counted(host: SimHost) -> None:
    answer = add(host, block(*[WRONG] * 9), ONE)
    assert answer["comment"].count("which does not concern this") == 3
    assert "The pillar has 6 more faults" in answer["comment"]


@pytest.mark.parametrize(
    "pillar",
    [
        {"guard": {"timeout": 0}},
        {"backend": "etcnet"},
        {"interfaces": {"eth1": {"backnd": "auto"}}},
        {"interfaces": []},
        {"interfaces": {"eth1": {"check_duplicates": "maybe"}}},
    ],
)
def test_settings_have_to_be_right(host: SimHost, pillar: Any) -> None:
    """A guess at who owns an interface, or at the guard, would be worse than nothing."""
    with pytest.raises(InputError):
        add(host, pillar, ONE)
    assert host.mutating == []


@pytest.mark.parametrize("wrong", [(), (WRONG,)])
def test_what_the_pillar_gives_to_another_interface_is_refused(
    host: SimHost, wrong: tuple[str, ...]
) -> None:
    pillar = block(*wrong, ONE, interface="eth1")
    with pytest.raises(InputError, match=rf"{ONE} is eth1's by the pillar; add it there, or take"):
        add(host, pillar, ONE)
    assert host.mutating == []
    assert add(host, pillar, ONE, "eth1")["result"] is True


def test_so_is_what_it_gives_to_the_default_interface(host: SimHost) -> None:
    pillar = block(ONE, interface="default")
    with pytest.raises(InputError, match=rf"{ONE} is eth0's by the pillar"):
        add(host, pillar, ONE, "eth1")
    assert add(host, pillar, ONE, "default")["result"] is True


def test_cleaning_and_restarting_go_on_too(host: SimHost) -> None:
    add(host, None, ONE)
    told = restart(engine(host, block(WRONG)), name="eth0", scope="alias", test=True)
    assert "which does not concern this" in told["comment"]
    answer = engine(host, block(WRONG)).clean()
    assert "which does not concern this" in answer["comment"]
    assert f"{ONE}/32" not in live(host)
    add(host, None, ONE)
    answer = engine(host, {"guard": 7}).clean()
    assert "The pillar is left aside, for it has a fault: ipalias:guard" in answer["comment"]
    assert f"{ONE}/32" not in live(host)


def test_who_wants_the_addresses_gets_the_first_fault_and_others_all() -> None:
    pillar = block(ONE, WRONG, TWO, TWO)
    with pytest.raises(InputError, match="is not an IP address"):
        parse_pillar(pillar)
    faults: list[InputError] = []
    config = parse_pillar(pillar, faults=faults)
    assert [alias.address for alias in config.interfaces["eth0"].aliases] == [ONE, TWO, TWO]
    assert len(faults) == 2


# A look takes no lock


def test_a_look_at_what_would_be_undone_takes_no_lock(host: SimHost) -> None:
    taken: list[str] = []

    @contextmanager
    def locked(purpose: str) -> Iterator[None]:
        taken.append(purpose)
        yield

    add(host, None, ONE)
    asked = engine(host)
    asked.locked = locked
    assert rollback(asked, test=True)["result"] is None
    assert taken == []
    assert changed(host, lambda: rollback(asked, test=True)) == []
    rollback(asked)
    assert taken == ["ipalias.rollback"]
    assert ledger(host).interfaces == {}


# Thousands in one go


class Counted(dict[str, Any]):
    """A mapping that counts how often it is gone through."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        Counted.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        Counted.walks += 1
        return super().items()

    def values(self) -> Any:
        Counted.walks += 1
        return super().values()


def walks(count: int, call: Callable[[SimHost, list[Alias], dict[str, Entry]], object]) -> int:
    """Return how often the entries of so many aliases are gone through in a call."""
    made = networkd()
    listed = aliases(f"2001:db8:9::-2001:db8:9::{count - 1:x}")
    entries = Counted({alias.cidr: Entry(alias, ORIGIN_HAND) for alias in listed})
    Counted.walks = 0
    call(made, listed, entries)
    return Counted.walks


def situation(host: SimHost, entries: dict[str, Entry]) -> Situation:
    asked = engine(host)
    base = ledger(host)
    found = asked.situation("eth0", asked.config().base, base, asked.snapshot())
    object.__setattr__(found, "entries", entries)
    return found


def remove(host: SimHost, listed: list[Alias], entries: dict[str, Entry]) -> None:
    target = removed_target(situation(host, entries), [(alias.address, None) for alias in listed])
    assert target.entries == ()


def absent(host: SimHost, listed: list[Alias], entries: dict[str, Entry]) -> None:
    asked = [(alias.address.replace(":9:", ":8:"), None) for alias in listed]
    target = removed_target(situation(host, entries), asked)
    assert len(target.notes) == len(listed)


@pytest.mark.parametrize("call", [remove, absent])
def test_removing_goes_through_what_is_there_once(call: Any) -> None:
    assert walks(5, call) == walks(200, call)


def test_where_each_address_is_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from saltext.ipalias import engine as module

    calls: list[object] = []
    real = module._places
    monkeypatch.setattr(module, "_places", lambda *a: calls.append(a) or real(*a))
    made = networkd()
    engine(made, None).add(aliases("2001:db8:9::-2001:db8:9::63"))
    engine(made, None).remove([(a.address, None) for a in aliases("2001:db8:9::-2001:db8:9::63")])
    assert len(calls) == 1
    assert ledger(made).interfaces == {}


# Undone, or kept


def test_an_undoing_that_the_disk_refuses_is_no_success(host: SimHost) -> None:
    add(host, None, ONE)
    host.refuses = lambda effect: errno.EROFS if isinstance(effect, Rename) else 0
    with pytest.raises(EffectError, match="Read-only file system"):
        rollback(engine(host))
    assert f"{ONE}/32" in live(host)
    host.refuses = lambda effect: 0
    assert rollback(engine(host))["result"] is True
    assert f"{ONE}/32" not in live(host)


@pytest.mark.parametrize("test", [True, False])
def test_what_somebody_else_has_edited_since_is_not_undone_with_it(test: bool) -> None:
    made, path = ifupdown(), "/etc/network/interfaces"
    add(made, None, ONE)
    ours = made.files.read(path) or ""
    made.files.put(path, f"{ours}# theirs\n")
    with pytest.raises(RefusedError, match=f"{path}: somebody else changed this file after us"):
        rollback(engine(made), test=test)
    assert f"{ONE}/32" in live(made)
    made.files.put(path, ours)
    assert rollback(engine(made), test=test)["result"] is (None if test else True)


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("text", ["# theirs\n", None])
def test_what_somebody_else_made_of_a_file_of_ours_is_not_undone_with_it(
    host: SimHost, text: str | None, test: bool
) -> None:
    """It has no original: we made it from nothing."""
    path = "/etc/systemd/network/50-eth0.network.d/60-ipalias.conf"
    for address in (ONE, TWO):
        add(host, None, address)
    ours = host.files.read(path) or ""
    host.files.unlink(path)
    if text is not None:
        host.files.put(path, ours + text)
    before = host.state()
    with pytest.raises(RefusedError, match=f"{path}: somebody else .* this file .*after us"):
        rollback(engine(host), test=test)
    assert host.state() == before
    host.files.put(path, ours)
    assert rollback(engine(host), test=test)["result"] is (None if test else True)


def test_a_file_that_is_back_already_hinders_no_undoing(host: SimHost) -> None:
    path = "/etc/systemd/network/50-eth0.network.d/60-ipalias.conf"
    add(host, None, ONE)
    host.files.unlink(path)
    assert rollback(engine(host))["result"] is True
    assert f"{ONE}/32" not in live(host)


def test_what_was_edited_after_a_restore_is_not_undone_with_it() -> None:
    """The original is forgotten with the restore, and could not tell."""
    made, path = ifupdown(), "/etc/network/interfaces"
    add(made, None, ONE)
    restore(engine(made), path)
    theirs = f"{made.files.read(path)}# theirs\n"
    made.files.put(path, theirs)
    with pytest.raises(RefusedError, match=f"{path}: somebody else changed this file after us"):
        rollback(engine(made))
    assert made.files.read(path) == theirs


def test_the_change_of_an_earlier_version_is_undone_by_what_the_originals_tell() -> None:
    """Its record does not say what it wrote."""
    made, path = ifupdown(), "/etc/network/interfaces"
    add(made, None, ONE)
    (record,) = made.glob(f"{STATE}/committed-*.json")
    data = json.loads(made.files.read(record) or "")
    assert path in data.pop("written")
    made.files.put(record, json.dumps(data))
    ours = made.files.read(path) or ""
    made.files.put(path, f"{ours}# theirs\n")
    with pytest.raises(RefusedError, match=f"{path}: somebody else changed this file after us"):
        rollback(engine(made))
    made.files.put(path, ours)
    assert rollback(engine(made))["result"] is True


# What becomes of a change is told


def restored(made: SimHost, asked: Any) -> Answer:
    return restore(asked, None)


def restarted(made: SimHost, asked: Any) -> Answer:
    return restart(asked, name="eth0", scope="network")


@pytest.mark.parametrize("verb", [restored, restarted])
def test_a_change_by_hand_says_what_its_guard_says(verb: Callable[..., Answer]) -> None:
    made = ifupdown()
    made.programs["systemctl"] = lambda argv, stdin: Result(0, "", "")
    add(made, None, ONE)
    made.guard_works = False
    made.votes = lambda check: "no answer"
    said = verb(made, engine(made))["comment"]
    assert "no dead man on this platform" in said
    assert "failed before the change and does not vote: no answer" in said
    assert "ipalias.confirm" not in said


@pytest.mark.parametrize("verb", [restored, restarted])
def test_a_change_by_hand_that_waits_says_so(verb: Callable[..., Answer]) -> None:
    made = ifupdown()
    made.programs["systemctl"] = lambda argv, stdin: Result(0, "", "")
    add(made, None, ONE)
    asked = engine(made)
    asked.settings = replace(asked.settings, confirm=True)
    assert UNDONE in verb(made, asked)["comment"]
    confirm(engine(made))


def test_what_waits_is_undone_whatever_somebody_else_has_edited() -> None:
    made, path = ifupdown(), "/etc/network/interfaces"
    before = made.files.read(path) or ""
    asked = engine(made)
    asked.settings = replace(asked.settings, confirm=True)
    asked.add(aliases(ONE))
    made.files.put(path, f"{made.files.read(path)}# theirs\n")
    assert rollback(engine(made))["result"] is True
    assert made.files.read(path) == before


def test_of_changes_that_were_confirmed_the_last_one_alone_is_kept(host: SimHost) -> None:
    for address in (ONE, TWO):
        asked = engine(host)
        asked.settings = replace(asked.settings, confirm=True)
        asked.add(aliases(address))
        confirm(engine(host))
    (kept,) = host.glob(f"{STATE}/committed-*.json")
    rollback(engine(host))
    assert live(host) >= {f"{ONE}/32"}
    assert f"{TWO}/32" not in live(host)
    with pytest.raises(RefusedError, match="no change to undo"):
        rollback(engine(host))
    assert not host.exists(kept)


def cut_short(host: SimHost, address: str) -> SimHost:
    """Return the host as it is when the process has died just before its commit."""

    def watch(_: int, effect: Effect) -> None:
        if isinstance(effect, Rename) and "/committed-" in effect.target:
            raise Crash

    host.watch = watch
    with pytest.raises(Crash):
        add(host, None, address)
    host.watch = None
    return host.successor()


@pytest.mark.parametrize("state", ["open", "firing"])
def test_what_was_cut_short_is_undone_before_what_was_committed(host: SimHost, state: str) -> None:
    """The other way round its before-images would bring back what has been undone."""
    add(host, None, ONE)
    left = cut_short(host, TWO)
    (path,) = left.glob(f"{STATE}/open-*.json")
    left.files.nodes[path.replace("open-", f"{state}-")] = left.files.nodes.pop(path)
    assert rollback(engine(left), test=True)["result"] is None
    assert f"{TWO}/32" in live(left)
    assert rollback(engine(left))["result"] is True
    assert f"{ONE}/32" in live(left)
    assert f"{TWO}/32" not in live(left)
    assert rollback(engine(left))["result"] is True
    add(left, None, TWO)
    assert set(ledger(left).on("eth0")) == {f"{TWO}/32"}
    assert f"{ONE}/32" not in live(left)


def test_what_was_put_back_first_is_told(host: SimHost) -> None:
    said = "ipalias.add was put back first: it had been cut short"
    for change in (pin_default, lambda asked: restore(asked, None)):
        left = cut_short(host.twin(), ONE)
        assert change(engine(left))["comment"].count(said) == 1


def test_of_large_changes_the_last_ones_are_kept(
    host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "MAX_KEPT", 2)
    named = [
        engine(host, block(f"203.0.113.1-203.0.113.{last}")).managed()["journal"]
        for last in (210, 1, 230, 2)
    ]
    assert len(set(named)) == 4
    assert journal(engine(host), None) == named[2:]


def test_a_change_stands_though_its_whole_length_cannot_be_kept(host: SimHost) -> None:
    def full(effect: Effect) -> int:
        return errno.ENOSPC if "/journal/" in str(getattr(effect, "path", "")) else 0

    host.refuses = full
    answer = engine(host, block("203.0.113.1-203.0.113.250")).managed()
    assert answer["result"] is True
    assert "The whole of it could not be kept: " in answer["comment"]
    assert "No space left on device" in answer["comment"]
    assert "journal" not in answer
    assert "203.0.113.250/32" in live(host)


# The settings of `default` are those of the interface it means


def test_the_settings_of_the_default_interface_count_wherever_it_is_looked_at(
    host: SimHost,
) -> None:
    pillar = block(ONE, interface="default", backend="ifupdown")

    def owners() -> set[str]:
        return {found.backend.NAME for found in situations(engine(host, pillar))}

    def told(name: str) -> Any:
        asked = engine(host, pillar)
        return restart(asked, name=name, scope="interface", test=True)["changes"]["commands"]

    assert owners() == {"ifupdown"}
    assert told("default") == ["ifdown eth0", "ifup eth0"]
    engine(host, pillar).managed()
    assert owners() == {"ifupdown"}
    assert told("default") == told("eth0") == ["ifdown eth0", "ifup eth0"]
    rows = {row["address"]: row["state"] for row in diff_rows(engine(host, pillar))}
    assert rows[f"{ONE}/32"] == "ok"
