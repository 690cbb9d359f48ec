"""A change as a list of effects: made to fail at each, stopped between any two, replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rig.simengine import (
    aliases,
    block,
    changed,
    engine,
    fit,
    ledger,
    live,
    only_present,
)
from rig.simfiles import FOLDER
from rig.simhost import Crash, Fault, SimHost, replay
from rig.simnm import OWNERS
from rig.simowners import IFSTATE
from saltext.ipalias.effects import Run, Send, WriteKernel
from saltext.ipalias.engine import Answer
from saltext.ipalias.errors import EffectError, IpaliasError, VerifyError

FIRST: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11/32", "label": "fo1"},
    "2001:db8:1::10",
    "203.0.113.5/24",
    "203.0.113.6/24",
]
#: One stays, one gets another label and a source policy, a head of a subnet goes, two are new.
SECOND: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11/32", "label": "fo2", "source": "never"},
    {"address": "2001:db8:1::11", "source": "never"},
    "203.0.113.6/24",
    {"address": "198.51.100.129/25", "source": "never"},
]
Request = Callable[[SimHost], Answer]


def managed(dialect: str, items: list[object]) -> Request:
    pillar = block(*fit(dialect, items))
    return lambda host: engine(host, pillar).managed()


def scene_of(dialect: str, name: str) -> tuple[SimHost, Request]:
    """Return a host as it is before a change, and the request for it."""
    host = OWNERS[dialect]()
    host.files.put("/etc/unrelated", "kept\n")
    # A keepalived VIP, say: nobody's file has it.
    host.ip(["ip", "address", "add", "198.51.100.99/32", "dev", "eth0"], None)
    request = managed(dialect, FIRST if name == "first" else SECOND)
    if name == "adopt":
        adopt_line(host, dialect)
        pillar = block("192.0.2.20/24", "198.51.100.10", adopt=True)
        request = lambda host: engine(host, pillar).managed()  # noqa: E731
    elif name != "first":
        managed(dialect, FIRST)(host)
    if name == "clean":
        request = lambda host: engine(host, block()).clean()  # noqa: E731
    host.log.clear()
    return host, request


def adopt_line(host: SimHost, dialect: str) -> None:
    """Let a foreign line set 192.0.2.20/24."""
    host.ip(["ip", "address", "add", "192.0.2.20/24", "dev", "eth0"], None)
    path, old, new = FOREIGN[dialect]
    text = host.files.read(path)
    assert text is not None
    assert old in text
    mode = host.files.nodes[path].mode
    host.files.put(path, text.replace(old, new, 1), mode)
    if dialect == "netplan":
        host.run(["netplan", "generate"])


#: Where a foreign line goes: file, text, text with the line.
FOREIGN = {
    "ifupdown": (
        "/etc/network/interfaces",
        "    # kept\n",
        "    # kept\n    up ip address add 192.0.2.20/24 dev eth0\n",
    ),
    "networkd": (
        "/etc/systemd/network/50-eth0.network",
        "Gateway=192.0.2.1\n",
        "Gateway=192.0.2.1\nAddress=192.0.2.20/24\n",
    ),
    "netplan": (
        "/etc/netplan/01-netcfg.yaml",
        "[192.0.2.2/24, ",
        "[192.0.2.2/24, 192.0.2.20/24, ",
    ),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "[ipv6]\n",
        "address2=192.0.2.20/24\n\n[ipv6]\n",
    ),
}
SCENES = ("first", "other", "clean", "adopt")


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=[f"{d}-{s}" for d in sorted(OWNERS) for s in SCENES])
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Request]:
    return scene_of(*request.param.split("-"))


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


def comparable(host: SimHost) -> dict[str, Any]:
    """Return what has to be equal.

    Left aside is the kernel's order: an alias that headed its subnet and was taken away does
    not head it again when it is put back, and the subnet's route has its successor as source.
    """
    state = host.state()
    state["addresses"] = {
        name: sorted(
            str(replace(address, secondary=False))
            for address in (*link.addresses4, *link.addresses6)
        )
        for name, link in host.net.links.items()
    }
    state["routes"] = sorted(
        str(replace(route, source=None) if route.destination == "203.0.113.0/24" else route)
        for route in host.net.routes
    )
    state["ledger"] = ledger(host)
    return state


def settled(host: SimHost) -> dict[str, Any]:
    """Return the same, less what only a run without a stop puts right."""
    state = comparable(host)
    del state["promote"]
    # An empty folder may stay behind, and ifup may not have recorded what it did not do.
    state["files"] = {
        path: node
        for path, node in state["files"].items()
        if node.kind != FOLDER and path != IFSTATE
    }
    state["ledger"] = {
        name: {cidr: entry for cidr, entry in entries.items()}
        for name, entries in state["ledger"].interfaces.items()
    }
    return state


def test_the_scenes_do_something_of_everything(scene: Any) -> None:
    host, request = scene
    before = comparable(host)
    answer = request(host)
    assert answer["result"] is True
    assert comparable(host) != before
    assert "198.51.100.99/32" in live(host)


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
def test_an_effect_that_fails_leaves_everything_as_it_was(scene: Any, done: bool) -> None:
    host, request = scene
    before, clean_run = comparable(host), host.twin()
    request(clean_run)
    after = comparable(clean_run)
    for at in range(len(clean_run.log)):
        tried = host.twin()
        tried.faults = [Fault(at, done)]
        if done and isinstance(clean_run.log[at], WriteKernel):
            continue  # a kernel setting is written or not, nothing in between
        try:
            request(tried)
        except IpaliasError as error:
            if "not put back: it is 1, it was 0" in str(error):
                tried.net.links["eth0"].promote = "0"
            else:
                assert "not put back" not in str(error), (at, clean_run.log[at])
            assert comparable(tried) == before, (at, clean_run.log[at], str(error))
        else:
            assert isinstance(clean_run.log[at], Send), clean_run.log[at]
            assert comparable(tried) == after


def test_a_way_back_that_fails_says_what_is_not_put_back(scene: Any) -> None:
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
        if comparable(tried) != before:
            assert "not put back" in str(caught.value), (at, failed.log[at])


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_run_cut_short_is_finished_by_the_next(scene: Any, done: bool) -> None:
    host, request = scene
    clean_run = host.twin()
    request(clean_run)
    wanted = settled(clean_run)
    for at in range(len(clean_run.log)):
        tried = host.twin()
        tried.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            request(tried)
        tried.faults = []
        request(tried)
        assert settled(tried) == wanted, (at, clean_run.log[at])
        assert changed(tried, lambda tried=tried: request(tried)) == []


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


def test_a_duplicate_ipv6_address_undoes_everything(owned: SimHost) -> None:
    owned.net.dad = 1.5
    owned.net.elsewhere.add("2001:db8:1::10")
    before = comparable(owned)
    with pytest.raises(VerifyError, match=r"2001:db8:1::10/128 is a duplicate"):
        engine(owned, block("198.51.100.10", "2001:db8:1::10")).managed()
    assert comparable(owned) == before


def test_an_address_under_detection_is_waited_for(owned: SimHost) -> None:
    owned.net.dad = 1.5
    assert engine(owned, block("2001:db8:1::10")).managed()["result"] is True
    assert owned.net.now > 1001.4


def test_an_address_that_never_settles_counts_as_failed(owned: SimHost) -> None:
    owned.net.dad = 1e9
    before = comparable(owned)
    with pytest.raises(VerifyError, match="tentative"):
        engine(owned, block("2001:db8:1::10")).managed()
    assert comparable(owned) == before


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
    for call in (
        asked.managed,
        lambda: asked.add(aliases("203.0.113.77"), persist=False),
        lambda: asked.add(aliases("203.0.113.78"), live=False),
        lambda: asked.remove([("203.0.113.77", None)]),
        asked.clean,
    ):
        assert changed(host, call) != []
        assert changed(host, call) == []


def test_an_alias_for_the_file_alone_is_not_brought_live(owned: SimHost) -> None:
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
    engine(owned, block("203.0.113.5/24")).managed()
    (batch,) = [
        e.command.stdin
        for e in owned.log
        if isinstance(e, Run) and e.command.stdin and e.command.argv[0] == "ip"
    ]
    assert batch.splitlines()[0].startswith("address add 203.0.113.5/24")
    assert live(owned) == {"192.0.2.2/24", "2001:db8::2/64", "203.0.113.5/24"}


def test_an_ipv6_address_changes_its_prefix(owned: SimHost) -> None:
    engine(owned, block("2001:db8:1::10")).managed()
    engine(owned, block("2001:db8:1::10/64")).managed()
    assert live(owned) == {"192.0.2.2/24", "2001:db8::2/64", "2001:db8:1::10/64"}


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
    host.ip.broken = ["2001:db8:2::6/128 dev eth1"]
    with pytest.raises(EffectError):
        engine(host, pillar).managed()
    assert comparable(host) == before
    host.ip.broken = []
    assert engine(host, pillar).managed()["result"] is True
    assert "2001:db8:2::6/128" in live(host, "eth1")
