"""Windows from end to end on a simulated host: both stores, refusals, netsh, way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rig import simafter
from rig.plat import windows
from rig.plat import windows_stores as stores
from rig.plat.windows_cited import REFUSALS
from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences, leftovers
from saltext.ipalias.effects import Effect, Run, run
from saltext.ipalias.errors import EffectError, IpaliasError, UnsupportedError
from saltext.ipalias.guarded import put_back_at_boot
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.live import powershell
from saltext.ipalias.report import diff_rows, import_pillar
from saltext.ipalias.upkeep import restart

ONE, TWO, SIX = "198.51.100.10", "198.51.100.11", "2001:db8:1::10"
OWN = {"192.0.2.2/24", "2001:db8::2/64"}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return windows.host()


def shell(host: SimHost) -> Any:
    return host.programs["powershell.exe"]


def held(host: SimHost, interface: str = "eth0") -> set[str]:
    """Return what the persistent store has beside the primary addresses."""
    rows = host.stored["addresses"].get(interface, {})
    return {f"{address}/{prefix}" for address, (prefix, _) in rows.items()} - OWN


def refused(host: SimHost, call: Callable[[], object], error: type[IpaliasError]) -> str:
    """Hold a call to a refusal that leaves everything as it was; return the message."""
    before = comparable(host)
    with pytest.raises(error) as caught:
        call()
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    return str(caught.value)


# Both stores


def test_one_process_makes_a_thousand_live_and_lasting(host: SimHost) -> None:
    host.log.clear()
    engine(host, block("2001:db8:9::-2001:db8:9::3e7")).managed()
    runs = [effect for effect in host.mutating if isinstance(effect, Run)]
    assert len(runs) == 1
    assert len(held(host)) == 1000
    assert held(host) < live(host)


def test_looks_do_not_grow_with_the_addresses(host: SimHost) -> None:
    def looks(count: int) -> int:
        made = windows.host()
        engine(made, block(f"2001:db8:9::-2001:db8:9::{count - 1:x}")).managed()
        return shell(made).reads

    assert looks(2) == looks(500)


def test_an_alias_for_the_store_alone_comes_live_with_the_next_boot(host: SimHost) -> None:
    engine(host, None).add(aliases(ONE, SIX), live=False)
    assert held(host) == {f"{ONE}/32", f"{SIX}/128"}
    assert live(host) == OWN
    again = simafter.reboot(host)
    assert live(again) == OWN | held(host)


def test_an_alias_for_the_running_system_is_gone_with_it(host: SimHost) -> None:
    engine(host, None).add(aliases(ONE), persist=False)
    assert held(host) == set()
    assert live(host) == {*OWN, f"{ONE}/32"}
    assert live(simafter.reboot(host)) == OWN


def test_one_for_the_running_system_becomes_one_that_lasts(host: SimHost) -> None:
    engine(host, None).add(aliases(ONE), persist=False)
    engine(host, block(ONE)).managed()
    assert held(host) == {f"{ONE}/32"}
    assert live(host) == {*OWN, f"{ONE}/32"}


def test_another_policy_and_prefix_are_given_in_place(host: SimHost) -> None:
    engine(host, block(ONE, "203.0.113.5")).managed()
    host.log.clear()
    hidden = {"address": ONE, "source": "never"}
    answer = engine(host, block(hidden, "203.0.113.5/24")).managed()
    assert answer["changes"]["stored"]["added"] == [f"{ONE}/32", "203.0.113.5/24"]
    (run,) = [effect for effect in host.mutating if isinstance(effect, Run)]
    assert (run.command.stdin or "").count('"do":"set"') == 2
    assert host.stored["addresses"]["eth0"][ONE] == (32, True)
    assert stores.find(host, "eth0", ONE).scope == "host"
    engine(host, block(ONE, "203.0.113.5/24")).managed()
    assert host.stored["addresses"]["eth0"][ONE] == (32, False)


def test_two_policies_share_a_subnet(host: SimHost) -> None:
    """Linux takes one scope a subnet; here the policy is the address's own."""
    engine(host, block({"address": "192.0.2.9/24", "source": "never"})).managed()
    assert host.stored["addresses"]["eth0"]["192.0.2.9"] == (24, True)


def test_a_policy_changed_in_the_store_alone_is_drift(host: SimHost) -> None:
    pillar = block({"address": ONE, "source": "never"})
    engine(host, pillar).managed()
    host.stored["addresses"]["eth0"][ONE] = (32, False)
    assert changed(host, engine(host, pillar).managed)
    assert host.stored["addresses"]["eth0"][ONE] == (32, True)


def test_what_somebody_configured_stays_through_everything(host: SimHost) -> None:
    windows.FOREIGN(host)
    add_by_hand(host, "192.0.2.20/24")
    (row,) = [r for r in diff_rows(engine(host, block(ONE))) if r["address"] == "192.0.2.20/24"]
    assert (row["state"], row["file"]) == ("foreign", "PersistentStore")
    engine(host, block(ONE)).managed()
    engine(host, block(ONE)).clean()
    assert held(host) == {"192.0.2.20/24"}
    told = import_pillar(engine(host, None))["ipalias"]["interfaces"]
    assert told == {"eth0": {"addresses": ["192.0.2.20/24"]}}


def test_an_adopted_address_comes_back_when_the_change_fails(host: SimHost) -> None:
    windows.FOREIGN(host)
    add_by_hand(host, "192.0.2.20/24")
    shell(host).broken = {ONE: "denied"}
    pillar = block("192.0.2.20/24", ONE, adopt=True)
    refused(host, engine(host, pillar).managed, EffectError)
    assert held(host) == {"192.0.2.20/24"}


def test_purge_takes_what_others_put_into_the_store(host: SimHost) -> None:
    windows.FOREIGN(host)
    add_by_hand(host, "192.0.2.20/24")
    engine(host, block(ONE, purge="all")).managed()
    assert held(host) == {f"{ONE}/32"}
    assert live(host) == {*OWN, f"{ONE}/32"}


def test_the_stores_are_kept_as_they_were_before_the_first_change(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    kept = host.files.read(f"{STATE}/backup/windows-store.json")
    first = powershell.parse(kept or "")
    assert set(first.rows(powershell.PERSISTENT, "eth0")) == {"192.0.2.2", "2001:db8::2"}
    dump = host.files.read(f"{STATE}/backup/netsh-ipv4.txt") or ""
    assert "192.0.2.2/24" in dump
    assert ONE not in dump
    engine(host, block(ONE, TWO)).managed()
    assert host.files.read(f"{STATE}/backup/windows-store.json") == kept
    assert host.files.read(f"{STATE}/backup/netsh-ipv4.txt") == dump


def test_a_store_that_netsh_cannot_dump_is_kept_as_data(host: SimHost) -> None:
    del host.programs["netsh"]
    assert engine(host, block(ONE)).managed()["result"] is True
    assert host.files.read(f"{STATE}/backup/netsh-ipv4.txt") is None
    assert host.files.read(f"{STATE}/backup/windows-store.json")


# Refusals


@pytest.mark.parametrize("key", ["exists", "denied", "unbound", "dhcp", "store"])
def test_what_a_cmdlet_refuses_is_told_and_undone(host: SimHost, key: str) -> None:
    engine(host, block(ONE)).managed()
    shell(host).broken = {TWO: key}
    identifier, _, message, _ = REFUSALS[key]
    said = refused(host, engine(host, block(ONE, SIX, TWO)).managed, EffectError)
    assert said.startswith("ipalias:interfaces:eth0:addresses[2]: 198.51.100.11/32 could not be")
    assert message in said
    assert identifier.format(cmdlet="New-NetIPAddress") in said
    assert "everything was put back" in said


def test_what_is_gone_cannot_be_taken_away_and_the_rest_comes_back(host: SimHost) -> None:
    engine(host, block(ONE, TWO)).managed()
    shell(host).broken = {TWO: "absent"}
    said = refused(host, engine(host, block(ONE)).managed, EffectError)
    assert "198.51.100.11/32 could not be changed: No matching MSFT_NetIPAddress objects" in said
    assert held(host) == {f"{ONE}/32", f"{TWO}/32"}


def test_without_the_right_nothing_is_done(host: SimHost) -> None:
    shell(host).elevated = False
    said = refused(host, engine(host, block(ONE)).managed, EffectError)
    assert "Access is denied. [Windows System Error 5,New-NetIPAddress]" in said


def test_an_adapter_without_ipv6_is_named(host: SimHost) -> None:
    shell(host).without6 = {"eth0"}
    said = refused(host, engine(host, block(ONE, SIX)).managed, EffectError)
    assert "2001:db8:1::10/128 could not be changed: Element not found." in said


@pytest.mark.parametrize("lasting", [False, True])
def test_an_address_of_a_stranger_who_was_quicker_stays_his(host: SimHost, lasting: bool) -> None:
    """He adds it after we have looked: we stop there, and take nothing of his away."""
    before = comparable(host)

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and host.watch is not None:
            host.watch = None
            stores.make_active(host, "eth0", TWO, 32, False)
            if lasting:
                host.stored["addresses"]["eth0"][TWO] = (32, False)

    host.watch = watch
    with pytest.raises(EffectError, match=r"198\.51\.100\.11/32 could not be changed: Instance"):
        engine(host, block(ONE, TWO, SIX)).managed()
    assert held(host) == ({f"{TWO}/32"} if lasting else set())
    assert live(host) == {*OWN, f"{TWO}/32"}
    stores.drop_active(host, "eth0", TWO)
    windows.forget(host, TWO)
    assert differences(before, comparable(host)) == []


def test_somebody_elses_form_of_an_address_does_not_give_way(host: SimHost) -> None:
    add_by_hand(host, "198.51.100.10/25")
    said = refused(host, engine(host, block(ONE)).managed, EffectError)
    assert "Instance MSFT_NetIPAddress already exists" in said


def test_a_refusal_on_the_live_side_is_told_and_undone(host: SimHost) -> None:
    shell(host).broken = {TWO: "exists"}
    add = engine(host, None).add
    said = refused(host, lambda: add(aliases(ONE, TWO), persist=False), EffectError)
    assert "198.51.100.11/32 could not be added: Instance MSFT_NetIPAddress already" in said


def test_labels_are_refused(host: SimHost) -> None:
    pillar = block({"address": ONE, "label": "fo1"})
    said = refused(host, engine(host, pillar).managed, IpaliasError)
    assert "Windows gives an address no name of its own" in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Result(NOT_FOUND, "", "not installed"), "is not installed"),
        (
            Result(
                3,
                '{"failed":-1,"id":"CommandNotFoundException","native":"",'
                '"message":"Die Benennung \\"Get-NetIPInterface\\" wurde nicht erkannt"}',
                "",
            ),
            "has no NetTCPIP cmdlets",
        ),
        (
            Result(3, '{"failed":-1,"id":"x","native":"","message":"Zugriff verweigert"}', ""),
            "Zugriff verweigert",
        ),
        (Result(0, "Windows PowerShell\r\n", ""), "did not answer with what was asked"),
        (Result(0, '{"version": 1}', ""), "did not answer with what was asked"),
    ],
)
def test_a_windows_that_cannot_be_read_is_told(host: SimHost, answer: Result, said: str) -> None:
    host.programs["powershell.exe"] = lambda argv, stdin: answer
    with pytest.raises(IpaliasError, match=said):
        engine(host, block(ONE)).managed()
    assert host.mutating == []


def test_a_windows_that_cannot_be_read_owns_nothing(host: SimHost) -> None:
    from saltext.ipalias.backends import load

    host.programs["powershell.exe"] = lambda argv, stdin: Result(NOT_FOUND, "", "")
    evidence = load("windows").detect(host, "eth0")
    assert not evidence.owns
    with pytest.raises(IpaliasError, match="is not installed"):
        load("windows").assume(host, "eth0")


# netsh


def test_the_form_of_netsh_is_refused_as_a_cmdlet_is(host: SimHost) -> None:
    pillar = block(ONE, form="netsh")
    engine(host, pillar).managed()

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and host.watch is not None:
            host.watch = None
            windows.forget(host, ONE)
            stores.drop_active(host, "eth0", ONE)

    host.watch = watch
    with pytest.raises(EffectError, match=r"exit 1: Element not found\."):
        engine(host, block(form="netsh")).managed()
    assert held(host) == {f"{ONE}/32"}


def test_netsh_says_that_an_object_exists(host: SimHost) -> None:
    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and host.watch is not None:
            host.watch = None
            host.stored["addresses"]["eth0"][ONE] = (32, False)
            stores.make_active(host, "eth0", ONE, 32, False)

    host.watch = watch
    with pytest.raises(EffectError, match=r"exit 1: The object already exists\."):
        engine(host, block(ONE, form="netsh")).managed()


def test_netsh_adds_and_takes_away_what_the_cmdlets_do(host: SimHost) -> None:
    other = windows.host()
    hidden = {"address": TWO, "source": "never"}
    for listed in ([ONE, SIX], [ONE, hidden], ["198.51.100.10/25", TWO], []):
        for made, form in ((host, "netsh"), (other, "powershell")):
            engine(made, block(*listed, form=form)).managed()
            assert changed(made, engine(made, block(*listed, form=form)).managed) == []
        assert comparable(host)["stored"] == comparable(other)["stored"]
        assert comparable(host)["addresses"] == comparable(other)["addresses"]


def test_netsh_takes_a_number_for_an_index() -> None:
    host = windows.rename(windows.host(), "12")
    pillar = block(ONE, interface="12", form="netsh")
    said = refused(host, engine(host, pillar).managed, UnsupportedError)
    assert "ipalias:interfaces:12:form: netsh takes the name '12' for an index" in said
    engine(host, block(ONE, interface="12")).managed()
    assert held(host, "12") >= {f"{ONE}/32"}


# Boot and way back


@pytest.mark.parametrize("alive", [False, True])
def test_windows_loads_the_store_before_the_boot_restore_runs(host: SimHost, alive: bool) -> None:
    """There is nothing before its network: the active store is full when our task runs."""
    engine(host, block(ONE, TWO)).managed()
    at_rest = simafter.reboot(host)
    new = block(SIX, {"address": TWO, "source": "never"})
    done = host.successor()
    engine(done, new).managed()
    (last,) = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    cut = host.successor()
    cut.faults = [Fault(last, True, crash=True)]
    with pytest.raises(Crash):
        engine(cut, new).managed()
    left = simafter.power_up(cut)
    simafter.bring_up(left)
    run(put_back_at_boot(left, simafter.PATHS, live=alive), left.perform)
    assert comparable(left)["stored"] == comparable(at_rest)["stored"]
    assert comparable(left)["addresses"] == comparable(at_rest)["addresses"]


def test_primaries_and_default_routes_that_fell_meanwhile_come_back(host: SimHost) -> None:
    before = comparable(host)
    done = host.twin()
    engine(done, block(ONE)).managed()
    (run,) = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    host.faults = [Fault(run, True, crash=True)]
    with pytest.raises(Crash):
        engine(host, block(ONE)).managed()
    left = host.successor()
    for address in ("192.0.2.2", "2001:db8::2"):
        stores.drop_active(left, "eth0", address)
    left.net.routes = [route for route in left.net.routes if route.destination != "default"]
    simafter.dead_man(left)
    after = comparable(left)
    assert leftovers(left) == []
    assert after["stored"] == before["stored"]
    assert live(left) == OWN
    gateways = {r.gateway for r in left.net.routes if r.destination == "default"}
    assert gateways == {"192.0.2.1", "2001:db8::1"}


def test_one_that_cannot_come_back_keeps_no_other_away(host: SimHost) -> None:
    engine(host, block(ONE, TWO, SIX)).managed()
    before = comparable(host)
    done = host.twin()
    engine(done, block()).clean()
    runs = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    host.faults = [Fault(runs[-1], True, crash=True)]
    with pytest.raises(Crash):
        engine(host, block()).clean()
    left = host.successor()
    shell(left).broken = {ONE: "denied"}
    simafter.dead_man(left)
    assert {f"{TWO}/32", f"{SIX}/128"} <= live(left)
    assert [path for path in leftovers(left) if "/firing-" in path]
    shell(left).broken = {}
    simafter.settle(left)
    assert differences(before, comparable(left)) == []
    assert leftovers(left) == []


def test_a_store_that_cannot_be_read_leaves_the_record_to_the_next_run(host: SimHost) -> None:
    before = comparable(host)
    done = host.twin()
    engine(done, block(ONE)).managed()
    (run,) = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    host.faults = [Fault(run, True, crash=True)]
    with pytest.raises(Crash):
        engine(host, block(ONE)).managed()
    left = host.successor()
    healthy = left.programs["powershell.exe"]
    left.programs["powershell.exe"] = lambda argv, stdin: Result(1, "", "RPC\n")
    simafter.dead_man(left)
    assert [path for path in leftovers(left) if "/firing-" in path]
    left.programs["powershell.exe"] = healthy
    simafter.settle(left)
    assert differences(before, comparable(left)) == []


# Restarts


def test_a_restart_is_told_by_its_cmdlet(host: SimHost) -> None:
    told = [
        restart(engine(host, None), name="eth0", scope=scope, test=True)["changes"]
        for scope in ("alias", "interface", "network")
    ]
    assert told == [
        {},
        {"commands": ["Restart-NetAdapter -Name 'eth0'"]},
        {"commands": ["Get-NetAdapter | Restart-NetAdapter"]},
    ]


def test_a_restart_brings_back_what_is_ours_in_the_active_store_alone(host: SimHost) -> None:
    engine(host, None).add(aliases(ONE), persist=False)
    engine(host, None).add(aliases(TWO))
    restart(engine(host, None), name="eth0", scope="interface")
    assert live(host) == {*OWN, f"{ONE}/32", f"{TWO}/32"}
    assert set(ledger(host).on("eth0")) == {f"{ONE}/32", f"{TWO}/32"}
