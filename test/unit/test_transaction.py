"""A change as a list of effects: made to fail at each, replayed, and done twice."""

from __future__ import annotations

from typing import Any

import pytest

from rig.simafter import settle
from rig.simengine import (
    aliases,
    block,
    changed,
    engine,
    fit,
    live,
    only_present,
    takes_ipv6,
)
from rig.simhost import Fault, SimHost, replay
from rig.simnm import OWNERS
from rig.simowners import IFSTATE
from rig.simscenes import (
    FOREIGN_LIVE,
    SCENES,
    SECOND,
    Request,
    comparable,
    differences,
    leftovers,
    scene_of,
)
from saltext.ipalias.backends import load
from saltext.ipalias.effects import Run, Send, Unlink
from saltext.ipalias.errors import EffectError, IpaliasError, RefusedError, VerifyError
from saltext.ipalias.host import Result


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=[f"{d}-{s}" for d in sorted(OWNERS) for s in SCENES])
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Request]:
    return scene_of(*request.param.split("-"))


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


@pytest.fixture(params=[name for name in sorted(OWNERS) if takes_ipv6(name)])
def owned6(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


def test_the_scenes_do_something_of_everything(scene: Any) -> None:
    host, request = scene
    before = comparable(host)
    answer = request(host)
    assert answer["result"] is True
    assert comparable(host) != before
    assert FOREIGN_LIVE in live(host)


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
def test_an_effect_that_fails_leaves_the_old_state_or_the_new(scene: Any, done: bool) -> None:
    """The old one with an error; the new one without, where the effect came after the commit."""
    host, request = scene
    before, clean_run = comparable(host), host.twin()
    request(clean_run)
    after = comparable(clean_run)
    for at in range(len(clean_run.log)):
        tried = host.twin()
        tried.faults = [Fault(at, done)]
        try:
            request(tried)
        except IpaliasError as error:
            assert "not put back" not in str(error), (at, clean_run.log[at])
            said = differences(before, comparable(tried))
            assert said == [], (at, clean_run.log[at], str(error))
        else:
            assert isinstance(clean_run.log[at], Send | Unlink), clean_run.log[at]
            assert comparable(tried) == after
        assert leftovers(tried) == []


def test_a_way_back_that_fails_says_so_and_the_next_run_ends_it(scene: Any) -> None:
    host, request = scene
    before, clean_run = comparable(host), host.twin()
    request(clean_run)
    last = max(i for i, effect in enumerate(clean_run.log) if isinstance(effect, Run))
    failed = host.twin()
    failed.faults = [Fault(last, done=True)]
    with pytest.raises(EffectError):
        request(failed)
    for at in range(last + 1, len(failed.log)):
        tried = host.twin()
        tried.faults = [Fault(last, done=True), Fault(at)]
        with pytest.raises(IpaliasError) as caught:
            request(tried)
        torn = comparable(tried) != before
        if torn:
            assert "not put back" in str(caught.value), (at, failed.log[at])
        tried.faults = []
        settle(tried)
        said = differences(before, comparable(tried))
        # ifup and ifdown leave an address alone that is as it should be, and so its record.
        assert [line for line in said if IFSTATE not in line] == [], (at, failed.log[at])
        assert leftovers(tried) == []


def test_recorded_effects_give_the_same_on_another_host(scene: Any) -> None:
    host, request = scene
    other = host.twin()
    request(host)
    replay(host.log, other)
    assert comparable(other) == comparable(host)


# The live batch


@pytest.mark.parametrize("line", range(5))
def test_a_batch_that_stops_is_taken_back_and_the_address_is_named(line: int) -> None:
    host = OWNERS["networkd"]()
    before = comparable(host)
    addresses = ["198.51.100.10", "198.51.100.11", "2001:db8:1::10", "203.0.113.5/24"]
    addresses.append("203.0.113.6/24")
    host.ip.broken = [f"add {addresses[line].partition('/')[0]}"]
    with pytest.raises(EffectError) as caught:
        engine(host, block(*addresses)).managed()
    where = f"ipalias:interfaces:eth0:addresses[{line}]"
    assert str(caught.value).startswith(f"{where}: {addresses[line].partition('/')[0]}/")
    assert "could not be added: RTNETLINK answers: No buffer space" in str(caught.value)
    assert comparable(host) == before


def test_only_what_this_call_added_is_taken_back() -> None:
    host = OWNERS["networkd"]()
    engine(host, None).add(aliases("198.51.100.10"))
    host.ip.broken = ["add 198.51.100.12"]
    before = comparable(host)
    with pytest.raises(EffectError):
        engine(host, None).add(aliases("198.51.100.11", "198.51.100.12"))
    assert comparable(host) == before
    assert "198.51.100.10/32" in live(host)


def test_a_batch_that_cannot_take_an_address_away_names_it() -> None:
    host = OWNERS["networkd"]()
    pillar = block("198.51.100.10", "198.51.100.11")
    engine(host, pillar).managed()
    before = comparable(host)
    host.ip.broken = ["delete 198.51.100.11"]
    with pytest.raises(EffectError, match=r"198\.51\.100\.11/32 could not be taken away"):
        engine(host, pillar).clean()
    assert comparable(host) == before


# What the kernel does later


def test_a_duplicate_ipv6_address_undoes_everything(owned6: SimHost) -> None:
    owned6.net.dad = 1.5
    owned6.net.elsewhere.add("2001:db8:1::10")
    before = comparable(owned6)
    with pytest.raises(VerifyError, match=r"2001:db8:1::10/128 is a duplicate"):
        engine(owned6, block("198.51.100.10", "2001:db8:1::10")).managed()
    assert comparable(owned6) == before


def test_an_address_under_detection_is_waited_for(owned6: SimHost) -> None:
    owned6.net.dad = 1.5
    assert engine(owned6, block("2001:db8:1::10")).managed()["result"] is True
    assert owned6.net.now > 1001.4


def test_an_address_that_never_settles_counts_as_failed(owned6: SimHost) -> None:
    owned6.net.dad = 1e9
    before = comparable(owned6)
    with pytest.raises(VerifyError, match="tentative"):
        engine(owned6, block("2001:db8:1::10")).managed()
    assert comparable(owned6) == before


# Nothing to do, nothing to be done


@pytest.mark.parametrize("dialect", sorted(OWNERS))
@pytest.mark.parametrize("name", SCENES)
def test_a_dry_run_has_no_effect(dialect: str, name: str) -> None:
    host, _ = scene_of(dialect, name)
    before = host.state()
    pillar = block(*fit(dialect, SECOND), adopt=name == "adopt")
    dry = engine(host, pillar)
    for call in (
        lambda: dry.managed(test=True),
        lambda: dry.clean(test=True),
        lambda: dry.add(aliases("203.0.113.77"), test=True),
        lambda: dry.remove([("203.0.113.78", None)], test=True),
    ):
        assert changed(host, call) == []
    assert host.state() == before
    if name == "first":
        told = dry.managed(test=True)
        assert told["result"] is None
        assert told["changes"] == dry.managed()["changes"]


@pytest.mark.parametrize("dialect", sorted(OWNERS))
def test_every_request_changes_nothing_the_second_time(dialect: str) -> None:
    host = OWNERS[dialect]()
    asked = engine(host, block(*fit(dialect, SECOND)))
    alone = "file_alone" in load(dialect).UNSUPPORTED
    for call in (
        asked.managed,
        lambda: asked.add(aliases("203.0.113.77"), persist=False),
        lambda: asked.add(aliases("203.0.113.78"), live=alone),
        lambda: asked.remove([("203.0.113.77", None)]),
        asked.clean,
    ):
        assert changed(host, call) != []
        assert changed(host, call) == []


def test_an_alias_for_the_file_alone_is_not_brought_live(owned: SimHost) -> None:
    reason = load(owned.owner).UNSUPPORTED.get("file_alone") if owned.owner else None
    if reason:
        before = owned.state()
        with pytest.raises(RefusedError, match=f"shall not be live: {reason}"):
            engine(owned, None).add(aliases("203.0.113.78"), live=False)
        assert differences(before, owned.state()) == []
        return
    engine(owned, None).add(aliases("203.0.113.78"), live=False)
    assert "203.0.113.78/32" not in live(owned)
    engine(owned, None).add(aliases("203.0.113.79"))
    assert live(owned) == {"192.0.2.2/24", "2001:db8::2/64", "203.0.113.79/32"}
    engine(owned, block("203.0.113.78")).managed()
    assert "203.0.113.78/32" in live(owned)


def test_an_alias_that_is_in_no_file_outlives_every_other_change(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.77"), persist=False)
    engine(owned, block("203.0.113.78")).managed()
    engine(owned, block("203.0.113.79")).managed()
    wanted = {"203.0.113.77/32", "203.0.113.79/32"}
    assert live(owned) == {"192.0.2.2/24", "2001:db8::2/64"} | wanted


def test_an_address_changes_its_prefix_without_leaving(owned: SimHost) -> None:
    engine(owned, block("203.0.113.5")).managed()
    owned.log.clear()
    there = []
    owned.watch = lambda at, effect: there.append(
        any(cidr.startswith("203.0.113.5/") for cidr in live(owned))
    )
    engine(owned, block("203.0.113.5/24")).managed()
    owned.watch = None
    # `ifdown` of a stanza takes it away for a moment, and Solaris has no way to change a prefix.
    assert owned.system in ("linux", "sunos") or (there and all(there))
    batches = [
        e.command.stdin
        for e in owned.log
        if isinstance(e, Run) and e.command.stdin and e.command.argv[0] == "ip"
    ]
    assert len(batches) == (owned.system == "linux")
    for batch in batches:
        # NetworkManager may have added it by itself: there it is taken as it is.
        assert batch.split()[1:3] in (["add", "203.0.113.5/24"], ["replace", "203.0.113.5/24"])
    assert live(owned) == {"192.0.2.2/24", "2001:db8::2/64", "203.0.113.5/24"}


def test_an_ipv6_address_changes_its_prefix(owned6: SimHost) -> None:
    engine(owned6, block("2001:db8:1::10")).managed()
    engine(owned6, block("2001:db8:1::10/64")).managed()
    assert live(owned6) == {"192.0.2.2/24", "2001:db8::2/64", "2001:db8:1::10/64"}


@pytest.mark.parametrize("dialect", sorted(OWNERS))
def test_an_error_on_the_second_interface_leaves_the_first_as_it_was(dialect: str) -> None:
    host = OWNERS[dialect](links=("eth0", "eth1"))
    before = comparable(host)
    pillar = {
        "interfaces": {
            "eth0": {"addresses": ["203.0.113.5"]},
            "eth1": {"addresses": ["2001:db8:2::6"]},
        }
    }
    if host.system == "linux":
        host.ip.broken = ["2001:db8:2::6/128 dev eth1"]
    else:
        done = host.twin()
        engine(done, pillar).managed()
        last = max(at for at, effect in enumerate(done.log) if isinstance(effect, Run))
        host.faults = [Fault(last, result=Result(1, "", "refused\n"))]
    with pytest.raises(EffectError):
        engine(host, pillar).managed()
    assert comparable(host) == before
    host.ip.broken, host.faults = [], []
    assert engine(host, pillar).managed()["result"] is True
    assert "2001:db8:2::6/128" in live(host, "eth1")
