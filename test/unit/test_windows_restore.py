"""`ipalias.restore` of a store: Windows' and ipadm's, as before our first change and no further."""

from __future__ import annotations

from typing import Any

import pytest

from rig import simafter
from rig.plat import ipadm, windows
from rig.plat import windows_stores as stores
from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences, leftovers
from rig.simserver import VIP, dsr, on
from saltext.ipalias import upkeep
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError, ParseError, RefusedError, VerifyError
from saltext.ipalias.host import Result
from saltext.ipalias.journal import UNFINISHED
from saltext.ipalias.restore import restore
from saltext.ipalias.stores import Touched, parse_note, render_note

ONE, TWO, SIX = "198.51.100.10", "198.51.100.11", "2001:db8:1::10"
OTHER = "192.0.2.20"
KEPT = f"{STATE}/backup/windows-store.json"
NOTE = f"{STATE}/backup/store-changed.json"
CONVERT = {"convert_dhcp": True}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    """Give a host on which somebody has set an address of his own."""
    made = windows.host()
    windows.FOREIGN(made)
    add_by_hand(made, f"{OTHER}/24")
    return made


def shell(host: SimHost) -> Any:
    return host.programs["powershell.exe"]


def back(host: SimHost, pillar: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return restore(engine(host, pillar), None, **more)


def test_what_is_ours_goes_and_what_others_have_stays(host: SimHost) -> None:
    before = comparable(host)
    engine(host, block(ONE, SIX)).managed()
    engine(host, None).add(aliases(TWO))
    shown = back(host, test=True)
    assert shown["result"] is None
    assert set(shown["changes"]["stored"]["removed"]) == {f"{ONE}/32", f"{TWO}/32", f"{SIX}/128"}
    assert f"{ONE}/32" in live(host)
    answer = back(host)
    assert answer["result"] is True
    assert answer["changes"] == shown["changes"]
    after = comparable(host)
    assert [each for each in differences(before, after) if "ledger" not in each] == []
    assert ledger(host).interfaces == {}
    assert not host.exists(KEPT)
    assert not host.exists(NOTE)


def test_a_second_run_and_an_untouched_host_change_nothing(host: SimHost) -> None:
    assert back(host)["comment"] == "Every original is in place"
    engine(host, block(ONE)).managed()
    assert changed(host, lambda: back(host, test=True)) == []
    back(host)
    assert changed(host, lambda: back(host)) == []


def test_what_is_as_it_was_needs_no_change(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    engine(host, None).clean()
    answer = back(host)
    assert answer["result"] is True
    assert answer["comment"] == f"{KEPT}: everything of it is in place"
    assert answer["changes"] == {}


@pytest.mark.parametrize("form", ["powershell", "netsh"])
def test_what_a_purge_took_away_comes_back_as_it_was(host: SimHost, form: str) -> None:
    host.stored["addresses"]["eth0"][OTHER] = (24, True)
    stores.drop_active(host, "eth0", OTHER)
    stores.make_active(host, "eth0", OTHER, 24, True)
    before = comparable(host)
    pillar = block(ONE, purge="all", form=form)
    engine(host, pillar).managed()
    assert OTHER not in host.stored["addresses"]["eth0"]
    back(host, pillar)
    after = comparable(host)
    assert [each for each in differences(before, after) if "ledger" not in each] == []
    assert host.stored["addresses"]["eth0"][OTHER] == (24, True)


def test_an_adopted_address_gets_its_own_policy_and_prefix_again(host: SimHost) -> None:
    hidden = {"address": f"{OTHER}/24", "source": "never"}
    engine(host, block(hidden, adopt=True)).managed()
    assert host.stored["addresses"]["eth0"][OTHER] == (24, True)
    back(host)
    assert host.stored["addresses"]["eth0"][OTHER] == (24, False)
    assert stores.find(host, "eth0", OTHER).scope == "global"
    assert ledger(host).interfaces == {}


def test_an_adopted_address_that_was_cleaned_away_comes_back(host: SimHost) -> None:
    engine(host, block(f"{OTHER}/24", adopt=True)).managed()
    engine(host, None).clean()
    assert OTHER not in host.stored["addresses"]["eth0"]
    back(host)
    assert host.stored["addresses"]["eth0"][OTHER] == (24, False)
    assert f"{OTHER}/24" in live(host)


def test_what_somebody_else_took_away_is_not_ours_to_set(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    windows.forget(host, OTHER)
    stores.drop_active(host, "eth0", OTHER)
    host.stored["addresses"]["eth0"]["192.0.2.30"] = (24, False)
    stores.make_active(host, "eth0", "192.0.2.30", 24, False)
    back(host)
    assert OTHER not in host.stored["addresses"]["eth0"]
    assert host.stored["addresses"]["eth0"]["192.0.2.30"] == (24, False)


def test_what_somebody_else_has_set_anew_is_kept_unless_forced(host: SimHost) -> None:
    pillar = block(purge="all")
    engine(host, pillar).managed()
    host.stored["addresses"]["eth0"][OTHER] = (25, False)
    stores.make_active(host, "eth0", OTHER, 25, False)
    before = comparable(host)
    with pytest.raises(RefusedError, match=r"192\.0\.2\.20/25 was 192\.0\.2\.20/24, and"):
        back(host)
    assert differences(before, comparable(host)) == []
    assert back(host, force=True)["result"] is True
    assert host.stored["addresses"]["eth0"][OTHER] == (24, False)
    assert f"{OTHER}/24" in live(host)
    assert f"{OTHER}/25" not in live(host)


def test_an_alias_for_the_running_system_alone_stays(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    engine(host, None).add(aliases(TWO), persist=False)
    back(host)
    assert live(host) >= {f"{TWO}/32"}
    assert set(ledger(host).on("eth0")) == {f"{TWO}/32"}


# DHCP


@pytest.mark.parametrize("form", ["powershell", "netsh"])
def test_an_interface_that_was_made_static_has_its_lease_again(form: str) -> None:
    host = windows.by_dhcp()
    before = comparable(host)
    pillar = block(ONE, SIX, form=form, **CONVERT)
    engine(host, pillar).managed()
    answer = back(host, pillar)
    assert answer["changes"]["dhcp"] == {"eth0": "gives the IPv4 address again"}
    assert "eth0: DHCP gives the IPv4 address again" in answer["comment"]
    after = comparable(host)
    assert [each for each in differences(before, after) if "ledger" not in each] == []
    assert host.stored["dhcp"]["eth0"] is True
    assert live(simafter.reboot(host)) == {"192.0.2.2/24", "2001:db8::2/64"}


def test_dhcp_comes_back_also_where_no_alias_is_left() -> None:
    host = windows.by_dhcp()
    engine(host, block(ONE, **CONVERT)).managed()
    engine(host, block(**CONVERT)).managed()
    assert host.stored["dhcp"]["eth0"] is False
    assert back(host, test=True)["result"] is None
    back(host)
    assert host.stored["dhcp"]["eth0"] is True


@pytest.mark.parametrize("undo", ["rollback", "restore"])
def test_servers_that_a_person_had_set_beside_a_lease_are_set_again(undo: str) -> None:
    host = windows.by_dhcp()
    host.stored["dns"]["eth0"] = ["192.0.2.61", "192.0.2.62"]
    before = comparable(host)
    asked = engine(host, block(ONE, dns_servers=["192.0.2.70"], **CONVERT))
    asked.managed()
    assert host.stored["dns"]["eth0"] == ["192.0.2.70"]
    if undo == "rollback":
        upkeep.rollback(asked)
    else:
        back(host)
    after = comparable(host)
    assert [each for each in differences(before, after) if "ledger" not in each] == []


def test_dhcp_does_not_take_away_what_somebody_else_has_set() -> None:
    host = windows.by_dhcp()
    engine(host, block(ONE, **CONVERT)).managed()
    host.stored["addresses"]["eth0"]["192.0.2.30"] = (24, False)
    stores.make_active(host, "eth0", "192.0.2.30", 24, False)
    with pytest.raises(RefusedError, match=r"DHCP would take 192\.0\.2\.30/24 away"):
        back(host)
    assert host.stored["dhcp"]["eth0"] is False


def test_what_a_person_has_given_back_to_dhcp_is_left_so() -> None:
    host = windows.by_dhcp()
    engine(host, block(ONE, **CONVERT)).managed()
    for line in (["set", "address", "name=eth0", "dhcp"], ["set", "dns", "name=eth0", "dhcp"]):
        host.run(["netsh", "interface", "ipv4", *line])
    host.run(["ipconfig", "/renew", "eth0"])
    assert "dhcp" not in back(host)["changes"]
    assert host.stored["dhcp"]["eth0"] is True


def test_a_lease_that_does_not_come_leaves_the_interface_static() -> None:
    host = windows.by_dhcp()
    engine(host, block(ONE, **CONVERT)).managed()
    before = comparable(host)
    del host.stored["leases"]["eth0"]
    with pytest.raises(VerifyError, match=r"192\.0\.2\.2/24 was live before and is not ours"):
        back(host)
    host.stored["leases"] = before["stored"]["leases"]
    assert differences(before, comparable(host)) == []


# Refusals of the system, and cuts


@pytest.mark.parametrize("key", ["denied", "absent"])
def test_what_a_cmdlet_refuses_is_told_and_all_is_as_it_was(host: SimHost, key: str) -> None:
    engine(host, block(ONE, TWO, purge="all")).managed()
    before, kept = comparable(host), host.read(KEPT)
    shell(host).broken = {TWO: key}
    with pytest.raises(EffectError, match=r"198\.51\.100\.11/32 could not be changed"):
        back(host)
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    assert host.read(KEPT) == kept
    assert host.read(NOTE)


@pytest.mark.parametrize("way", ["next run", "dead man", "reboot"])
def test_a_restore_cut_short_anywhere_is_done_or_undone(way: str) -> None:
    pillar = block(ONE, SIX, **CONVERT)

    def before_it() -> SimHost:
        made = windows.by_dhcp()
        engine(made, pillar).managed()
        made.log.clear()
        return made

    done = before_it()
    start = at_rest(done) if way == "reboot" else comparable(done)
    back(done, pillar)
    end = at_rest(done) if way == "reboot" else comparable(done)
    seen = set()
    for at in range(len(done.log)):
        for finished in (False, True):
            host = before_it()
            host.faults = [Fault(at, finished, crash=True)]
            with pytest.raises(Crash):
                back(host, pillar)
            if way == "reboot":
                state = at_rest(host)
            else:
                left = host.successor()
                (simafter.settle if way == "next run" else simafter.dead_man)(left)
                simafter.settle(left)
                state = comparable(left)
            assert state in (start, end), (at, finished, differences(start, state))
            seen.add(state == start)
    assert seen == {True, False}


def at_rest(host: SimHost) -> dict[str, Any]:
    """Return what a host comes to by a boot, its boot job behind the network as on Windows."""
    left = simafter.power_up(host)
    simafter.bring_up(left)
    from saltext.ipalias.effects import run
    from saltext.ipalias.guarded import put_back_at_boot

    run(put_back_at_boot(left, simafter.PATHS, live=True), left.perform)
    assert [path for path in leftovers(left) if path.split("/")[-1].startswith(UNFINISHED)] == []
    return comparable(left)


def test_a_restore_can_be_undone_and_be_done_again(host: SimHost) -> None:
    asked = engine(host, block(ONE, purge="all"))
    asked.managed()
    before = comparable(host)
    back(host)
    upkeep.rollback(asked)
    assert differences(before, comparable(host)) == []
    back(host)
    assert host.stored["addresses"]["eth0"][OTHER] == (24, False)


def test_a_change_that_fails_notes_nothing(host: SimHost) -> None:
    done = host.twin()
    engine(done, block(ONE, purge="all")).managed()
    assert done.exists(NOTE)
    (last,) = [at for at, effect in enumerate(done.log) if isinstance(effect, Run)]
    host.faults = [Fault(last, True, result=Result(1, "", "es ging schief\n"))]
    with pytest.raises(EffectError, match="es ging schief"):
        engine(host, block(ONE, purge="all")).managed()
    assert not host.exists(NOTE)


# What is asked for


def test_it_is_asked_for_by_the_path_of_what_is_kept(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    with pytest.raises(InputError, match=f"no original of C:/x is kept.*{KEPT}"):
        restore(engine(host), "C:/x")
    restore(engine(host), KEPT)
    assert f"{ONE}/32" not in live(host)


def test_an_adapter_that_is_not_there_keeps_its_original() -> None:
    host = windows.host(links=("eth0", "eth1"))
    two = {"eth0": {"addresses": [ONE]}, "eth1": {"addresses": [TWO]}}
    engine(host, {"interfaces": two}).managed()
    link = host.net.links.pop("eth1")
    rows = host.stored["addresses"].pop("eth1")
    answer = back(host)
    assert "eth1 is not there: nothing of it is put back" in answer["comment"]
    assert f"{ONE}/32" not in live(host)
    host.net.links["eth1"], host.stored["addresses"]["eth1"] = link, rows
    back(host)
    assert TWO not in host.stored["addresses"]["eth1"]
    assert not host.exists(KEPT)


def test_a_pillar_that_cannot_be_read_is_no_hindrance(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    assert back(host, block("198.51.100.300"))["result"] is True


@pytest.mark.parametrize("text", ["", "{}", '{"interfaces": {"eth0": {}}}', "[1]"])
def test_a_note_that_is_none_is_refused(host: SimHost, text: str) -> None:
    engine(host, block(ONE)).managed()
    host.files.put(NOTE, text)
    with pytest.raises(ParseError, match="not a note"):
        back(host)
    assert f"{ONE}/32" in live(host)


def test_a_note_says_what_it_was_given() -> None:
    note = {"LAN [1]": Touched(frozenset({OTHER}), "192.0.2.2/24"), "b": Touched()}
    assert parse_note(render_note(note), NOTE) == note
    assert parse_note(None, NOTE) == {}


# ipadm


def test_objects_of_ipadm_are_put_back_as_well() -> None:
    host = ipadm.host()
    ipadm.FOREIGN(host)
    add_by_hand(host, f"{OTHER}/24")
    engine(host, block(ONE, purge="all")).managed()
    assert f"{OTHER}/24" not in live(host)
    assert back(host, test=True)["result"] is None
    back(host)
    assert f"{OTHER}/24" in live(host)
    assert f"{ONE}/32" not in live(host)
    fresh = simafter.reboot(host)
    assert f"{OTHER}/24" in live(fresh)
    assert f"{ONE}/32" not in live(fresh)


def test_vips_stay_until_they_go_with_what_keeps_the_host_silent() -> None:
    host = windows.host(links=("eth0", "eth1"))
    dsr(host, VIP).managed()
    engine(host, block(ONE)).managed()
    answer = back(host, block(ONE))
    assert answer["result"] is True
    said = f"({VIP}); `ipalias_dsr.absent` takes them away"
    assert answer["comment"].count(said) == 1
    assert back(host)["comment"].count(said) == 1
    assert f"{ONE}/32" not in live(host)
    assert on(host, "IpaliasLoopback") == {f"{VIP}/32"}
    assert host.exists(KEPT)


# An interface that is another's, or not DHCP's alone, by now


def test_an_alias_that_is_live_alone_would_switch_dhcp_off_again() -> None:
    host = windows.by_dhcp()
    pillar = block(ONE, **CONVERT)
    engine(host, pillar).managed()
    engine(host, pillar).add(aliases(TWO), persist=False)
    before = comparable(host)
    with pytest.raises(RefusedError, match=rf"{TWO}/32, which is live alone.*`ipalias.remove"):
        back(host, pillar, force=True)
    assert differences(before, comparable(host)) == []
    engine(host, pillar).remove([(TWO, None)])
    back(host, pillar)
    assert host.stored["dhcp"]["eth0"] is True


def test_what_switches_dhcp_off_in_the_middle_leaves_the_interface_static() -> None:
    """Its address is out of the store by then: a boot would come up without it."""
    host = windows.by_dhcp()
    engine(host, block(ONE, **CONVERT)).managed()
    before = comparable(host)
    lease = host.stored["leases"].pop("eth0")

    def watch(at: int, effect: object) -> None:
        if isinstance(effect, Run) and effect.command.argv[0] == "ipconfig":
            host.stored["dhcp"]["eth0"] = False

    host.watch = watch
    with pytest.raises(VerifyError, match="everything was put back"):
        back(host)
    host.watch = None
    host.stored["leases"]["eth0"] = lease
    assert differences(before, comparable(host)) == []
    assert live(simafter.reboot(host)) >= {"192.0.2.2/24", f"{ONE}/32"}


def test_an_interface_that_another_dialect_has_by_now_keeps_its_original() -> None:
    host = ipadm.host(flavour="illumos")
    engine(host, block(ONE)).managed()
    kept = f"{STATE}/backup/ipadm-show-addr.txt"
    host.files.put("/etc/hostname.eth0", "192.0.2.2/24\nup\n")
    answer = back(host)
    assert f"{kept}: everything else of it is in place" in answer["comment"]
    assert "eth0 is solaris's by now: nothing of it is put back" in answer["comment"]
    assert host.exists(kept)
    del host.files.nodes["/etc/hostname.eth0"]
    back(host)
    assert f"{ONE}/32" not in live(host)
    assert not host.exists(kept)


def test_a_pillar_that_names_a_dialect_of_another_system_is_no_hindrance(host: SimHost) -> None:
    engine(host, block(ONE)).managed()
    assert back(host, {"backend": "networkd"})["result"] is True
    assert f"{ONE}/32" not in live(host)
