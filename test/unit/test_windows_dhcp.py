"""A Windows interface of DHCP: made static when asked for, as it is, and given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rig import simafter
from rig.plat import windows
from rig.plat import windows_stores as stores
from rig.simengine import aliases, block, changed, engine, live, only_present
from rig.simhost import Crash, Fault, SimHost
from rig.simscenes import comparable, differences, leftovers
from saltext.ipalias import upkeep
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, IpaliasError, RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.report import explain

ONE, TWO, SIX = "198.51.100.10", "198.51.100.11", "2001:db8:1::10"
OWN = {"192.0.2.2/24", "2001:db8::2/64"}
CONVERT = {"convert_dhcp": True}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def dhcp() -> SimHost:
    return windows.by_dhcp()


def refused(host: SimHost, call: Callable[[], object], error: type[IpaliasError]) -> str:
    """Hold a call to a refusal that leaves everything as it was; return the message."""
    before = comparable(host)
    with pytest.raises(error) as caught:
        call()
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    return str(caught.value)


def test_dhcp_is_not_switched_off_unasked(dhcp: SimHost) -> None:
    said = refused(dhcp, engine(dhcp, block(ONE)).managed, RefusedError)
    assert said.startswith("ipalias:interfaces:eth0:convert_dhcp: DHCP gives the IPv4 address")
    assert "`convert_dhcp: true` makes it static as it is" in said
    assert "(192.0.2.2/24, gateway 192.0.2.1, 192.0.2.53)" in said
    assert dhcp.mutating == []


def test_ipv6_leaves_dhcp_alone(dhcp: SimHost) -> None:
    engine(dhcp, block(SIX)).managed()
    assert dhcp.stored["dhcp"]["eth0"] is True
    assert SIX in dhcp.stored["addresses"]["eth0"]


def test_an_alias_for_the_running_system_would_switch_it_off_all_the_same(dhcp: SimHost) -> None:
    asked = engine(dhcp, block(**CONVERT))
    said = refused(dhcp, lambda: asked.add(aliases(ONE), persist=False), RefusedError)
    assert "198.51.100.10/32 for the running system alone would switch DHCP off for good" in said


def test_a_lease_becomes_static_as_it_is(dhcp: SimHost) -> None:
    pillar = block(ONE, **CONVERT)
    shown = engine(dhcp, pillar).managed(test=True)
    assert dhcp.mutating == []
    answer = engine(dhcp, pillar).managed()
    said = "DHCP is switched off: 192.0.2.2/24 by 192.0.2.1, DNS 192.0.2.53, is static"
    assert said in shown["comment"]
    assert said in answer["comment"]
    assert dhcp.stored["dhcp"]["eth0"] is False
    assert dhcp.stored["addresses"]["eth0"]["192.0.2.2"] == (24, False)
    assert "192.0.2.1" in dhcp.stored["gateways"]["eth0"]
    assert dhcp.stored["dns"]["eth0"] == ["192.0.2.53"]
    assert live(dhcp) == {*OWN, f"{ONE}/32"}
    assert changed(dhcp, engine(dhcp, pillar).managed) == []
    assert live(simafter.reboot(dhcp)) == {*OWN, f"{ONE}/32"}


def test_the_pillars_servers_stand_in_for_the_leases() -> None:
    host = windows.by_dhcp(dns=())
    said = refused(host, engine(host, block(ONE, **CONVERT)).managed, RefusedError)
    assert said.startswith("ipalias:interfaces:eth0:dns_servers: no DNS server")
    six = block(ONE, dns_servers=["2001:db8::53"], **CONVERT)
    assert "not every DNS server" in refused(host, engine(host, six).managed, RefusedError)
    engine(host, block(ONE, dns_servers=["192.0.2.54", "192.0.2.55"], **CONVERT)).managed()
    assert host.stored["dns"]["eth0"] == ["192.0.2.54", "192.0.2.55"]


def test_without_a_lease_there_is_nothing_to_make_static() -> None:
    host = windows.by_dhcp()
    stores.drop_lease(host, "eth0")
    said = refused(host, engine(host, block(ONE, **CONVERT)).managed, RefusedError)
    assert "there is no lease to make static" in said
    unasked = refused(host, engine(host, block(ONE)).managed, RefusedError)
    assert "static as it is (192.0.2.53)" in unasked


def test_a_lease_without_a_gateway_gets_none() -> None:
    host = windows.by_dhcp(gateway="")
    engine(host, block(ONE, **CONVERT)).managed()
    assert [g for g in host.stored["gateways"]["eth0"] if ":" not in g] == []
    assert live(host) == {*OWN, f"{ONE}/32"}


def test_what_dhcp_gives_is_told_with_the_owner(dhcp: SimHost) -> None:
    told = explain(engine(dhcp, None), "eth0")["eth0"]
    assert told["owner"] == "windows"
    (row,) = told["evidence"]
    assert row["facts"] == {
        "version": "10.0.20348.0",
        "dhcp": "yes",
        "lease": "192.0.2.2/24",
        "gateway": "192.0.2.1",
        "dns": "192.0.2.53",
    }


Way = Callable[[SimHost], object]
WAYS: dict[str, Way] = {"next run": simafter.settle, "dead man": simafter.dead_man}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["powershell", "netsh"])
def test_a_conversion_cut_short_anywhere_goes_back_to_dhcp(form: str, way: str) -> None:
    pillar = block(ONE, TWO, form=form, **CONVERT)
    done = windows.by_dhcp()
    before = comparable(done)
    engine(done, pillar).managed()
    after = comparable(done)
    seen = set()
    for at in range(len(done.log)):
        for finished in (False, True):
            host = windows.by_dhcp()
            host.faults = [Fault(at, finished, crash=True)]
            with pytest.raises(Crash):
                engine(host, pillar).managed()
            left = host.successor()
            WAYS[way](left)
            simafter.settle(left)
            state = comparable(left)
            assert state in (before, after), (at, finished, differences(before, state))
            seen.add(state == before)
    assert seen == {True, False}


@pytest.mark.parametrize("form", ["powershell", "netsh"])
def test_a_conversion_that_fails_anywhere_goes_back_to_dhcp(form: str) -> None:
    pillar = block(ONE, form=form, **CONVERT)
    done = windows.by_dhcp()
    engine(done, pillar).managed()
    runs = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    assert len(runs) == 3
    for at in runs:
        for finished in (False, True):
            host = windows.by_dhcp()
            host.faults = [Fault(at, finished, result=Result(1, "", "es ging schief\n"))]
            said = refused(host, engine(host, pillar).managed, EffectError)
            assert "es ging schief" in said


def test_a_conversion_cut_short_by_the_power_goes_back_at_the_next_boot() -> None:
    pillar = block(ONE, **CONVERT)
    done = windows.by_dhcp()
    at_rest = simafter.reboot(done)
    engine(done, pillar).managed()
    for at in [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]:
        host = windows.by_dhcp()
        host.faults = [Fault(at, True, crash=True)]
        with pytest.raises(Crash):
            engine(host, pillar).managed()
        left = simafter.reboot(host)
        assert comparable(left)["stored"] == comparable(at_rest)["stored"]
        assert live(left) == live(at_rest)


def test_a_conversion_can_be_undone(dhcp: SimHost) -> None:
    before = comparable(dhcp)
    asked = engine(dhcp, block(ONE, **CONVERT))
    asked.managed()
    upkeep.rollback(asked)
    assert differences(before, comparable(dhcp)) == []


def test_no_answer_of_a_server_is_no_failure_of_the_way_back(dhcp: SimHost) -> None:
    asked = engine(dhcp, block(ONE, **CONVERT))
    asked.managed()
    lease = dhcp.stored["leases"].pop("eth0")
    dhcp.programs["ipconfig"] = lambda argv, stdin: Result(1, "", "no server\n")
    assert upkeep.rollback(asked)["result"] is True
    assert dhcp.stored["dhcp"]["eth0"] is True
    dhcp.stored["leases"]["eth0"] = lease
