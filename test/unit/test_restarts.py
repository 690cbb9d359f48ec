"""Restarts that go wrong, on a host with more links than the one that the change is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rig.simengine import aliases, block, engine, live, only_present
from rig.simhost import SimHost
from rig.simnet import SimAddress
from rig.simowners import ifupdown
from rig.simscenes import comparable, differences, leftovers
from saltext.ipalias.errors import IpaliasError, VerifyError
from saltext.ipalias.host import Result
from saltext.ipalias.upkeep import restart


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


def flush(host: SimHost, name: str) -> None:
    """Take every IPv4 address of a link away."""
    for old in list(host.net.links[name].addresses4):
        host.net.delete4(name, old.address, old.prefix)


@pytest.fixture
def host() -> SimHost:
    """Return a host whose `ifdown eth1` takes the link down, and whose `ifup` then fails.

    No default route leaves by eth1.
    """
    made = ifupdown(links=("eth0", "eth1"))
    flush(made, "eth1")
    made.net.add4("eth1", SimAddress("198.51.100.2", 26, broadcast="198.51.100.63"))
    usual = made.programs["ifdown"]

    def ifdown(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1:] != ["eth1"] and argv[1:] != ("eth1",):
            return usual(argv, stdin)
        flush(made, "eth1")
        made.net.links["eth1"].up = False
        made.net.routes = [route for route in made.net.routes if route.interface != "eth1"]
        return Result(0, "", "")

    def ifup(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1:] != ["eth1"] and argv[1:] != ("eth1",):
            return usual(argv, stdin)
        return Result(1, "", "ifup: failed to bring up eth1\n")

    made.programs.update({"ifdown": ifdown, "ifup": ifup})
    return made


def by_hand(host: SimHost) -> Any:
    return restart(engine(host, None), name="eth1", scope="interface")


def by_pillar(host: SimHost) -> Any:
    pillar = block("203.0.113.10", interface="eth1", restart="interface")
    return engine(host, pillar).managed()


@pytest.mark.parametrize("request_", [by_hand, by_pillar])
def test_a_link_without_a_default_route_is_set_up_again_too(host: SimHost, request_: Any) -> None:
    before = comparable(host)
    ways = list(host.net.routes)
    with pytest.raises(IpaliasError, match="failed to bring up eth1"):
        request_(host)
    assert host.net.links["eth1"].up
    assert differences(before, comparable(host)) == []
    assert host.net.routes == ways
    assert leftovers(host) == []


def test_a_link_that_was_down_stays_down(host: SimHost) -> None:
    host.net.links["eth1"].up = False
    with pytest.raises(IpaliasError, match="failed to bring up eth1"):
        by_hand(host)
    assert not host.net.links["eth1"].up


# The whole network


@pytest.fixture
def whole() -> SimHost:
    """Return a host whose network service, restarted, brings the primary addresses alone."""
    made = ifupdown(links=("eth0", "eth1", "eth2"))

    def systemctl(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] != "restart":
            return Result(3, "inactive\n", "")
        ways = list(made.net.routes)
        for name in ("eth0", "eth1", "eth2"):
            primary = made.net.links[name].addresses4[0]
            flush(made, name)
            made.net.add4(name, primary)
        made.net.routes = ways
        return Result(0, "", "")

    made.programs["systemctl"] = systemctl
    return made


ELSEWHERE = ("203.0.113.1", "203.0.113.2", "203.0.113.3")


def have_aliases(host: SimHost) -> None:
    """Have one on each interface that no owner brings back: they are in no file."""
    for number, address in enumerate(ELSEWHERE):
        listed = aliases(address, interface=f"eth{number}")
        assert engine(host).add(listed, persist=False)["result"] is True
        assert f"{address}/32" in live(host, f"eth{number}")


def test_a_restart_of_the_network_leaves_the_aliases_of_every_interface(whole: SimHost) -> None:
    have_aliases(whole)
    restart(engine(whole), name="eth1", scope="network")
    for number, address in enumerate(ELSEWHERE):
        assert f"{address}/32" in live(whole, f"eth{number}")


def test_the_pillars_too_for_those_that_were_done_before_and_those_not_in_it(
    whole: SimHost,
) -> None:
    have_aliases(whole)
    pillar = {
        "restart": "network",
        "interfaces": {
            "eth0": {"addresses": ["203.0.113.10"]},
            "eth1": {"addresses": ["203.0.113.11"]},
        },
    }
    assert engine(whole, pillar).managed()["result"] is True
    for number, address in enumerate(ELSEWHERE):
        assert f"{address}/32" in live(whole, f"eth{number}")
    for number in (0, 1):
        assert f"203.0.113.{10 + number}/32" in live(whole, f"eth{number}")


def test_one_that_fails_puts_back_what_fell_elsewhere(whole: SimHost) -> None:
    have_aliases(whole)
    usual = whole.programs["systemctl"]

    def systemctl(argv: Sequence[str], stdin: str | None) -> Result:
        said = usual(argv, stdin)
        if argv[1] != "restart":
            return said
        flush(whole, "eth2")
        return Result(1, "", "Job for networking.service failed.\n")

    whole.programs["systemctl"] = systemctl
    names = ("eth0", "eth1", "eth2")
    before = {name: live(whole, name) for name in names}
    with pytest.raises(IpaliasError, match=r"networking\.service failed"):
        engine(whole, block("203.0.113.10", interface="eth1", restart="network")).managed()
    assert {name: live(whole, name) for name in names} == before
    with pytest.raises(IpaliasError, match=r"networking\.service failed"):
        restart(engine(whole), name="eth1", scope="network")
    assert {name: live(whole, name) for name in names} == before
    assert leftovers(whole) == []


# What somebody else had set, on other interfaces


def vips(host: SimHost) -> None:
    """Have an address of a stranger's on two interfaces, in no file."""
    host.net.add4("eth0", SimAddress("198.51.100.201", 32))
    host.net.add4("eth2", SimAddress("198.51.100.202", 32))


def test_a_strangers_address_that_falls_elsewhere_fails_the_change(whole: SimHost) -> None:
    """As one on the interface itself does: the restart is ours, and nobody asked for that."""
    vips(whole)
    names = ("eth0", "eth1", "eth2")
    before = {name: live(whole, name) for name in names}
    with pytest.raises(VerifyError, match=r"198\.51\.100\.201/32 of eth0 was live before the rest"):
        engine(whole, block("203.0.113.10", interface="eth1", restart="network")).managed()
    assert {name: live(whole, name) for name in names} == before
    assert leftovers(whole) == []


def test_one_that_its_owner_brings_back_late_is_waited_for(whole: SimHost) -> None:
    vips(whole)
    before, started = live(whole, "eth2"), whole.net.now

    def watch(at: int, effect: object) -> None:
        if whole.net.now > started + 2 and not live(whole, "eth2") >= before:
            vips(whole)

    whole.watch = watch
    pillar = block("203.0.113.10", interface="eth1", restart="network")
    assert engine(whole, pillar).managed()["result"] is True
    assert live(whole, "eth2") == before


def test_by_hand_it_is_told(whole: SimHost) -> None:
    """A person who wants the files read anew may have taken it out of them."""
    vips(whole)
    whole.net.add4("eth1", SimAddress("198.51.100.203", 32))
    told = restart(engine(whole), name="eth1", scope="network")
    assert told["result"] is True
    for number in (1, 2, 3):
        name = f"198.51.100.20{number}/32 of eth{(0, 2, 1)[number - 1]}"
        assert f"{name} was live before the restart: it is gone" in told["comment"]
