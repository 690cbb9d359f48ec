"""Solaris 11 and illumos by ``ipadm``, through the engine on a simulated host."""

from __future__ import annotations

from typing import Any

import pytest

from rig.plat import ipadm as platform
from rig.simafter import boot_restore, reboot
from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simhost import Crash, Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences
from rig.simsunhost import kernel_of, services
from saltext.ipalias.backends import ipadm
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import (
    InputError,
    OwnerError,
    RefusedError,
    UnsupportedError,
)
from saltext.ipalias.ledger import ORIGIN_UNKNOWN
from saltext.ipalias.model import Alias
from saltext.ipalias.report import diff_rows, explain, import_pillar, problems
from saltext.ipalias.upkeep import pin_default, restart, rollback

PRIMARIES = {"192.0.2.2/24", "2001:db8::2/64"}
#: Names of our objects for two addresses.
NINE, EIGHT = "eth0/ipa4cb007109", "eth0/ipa4cb007108"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=["solaris11", "illumos"])
def host(request: pytest.FixtureRequest) -> SimHost:
    return platform.host(flavour=request.param)


def ran(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


def objects(host: SimHost) -> dict[str, list[Any]]:
    """Return what the store holds beside the interface's own: address, up, deprecated."""
    own = {"eth0/v4", "eth0/v6", "eth0/v6a"}
    return {name: kept[1:] for name, kept in host.stored["objects"].items() if name not in own}


def hidden(host: SimHost) -> set[str]:
    link = host.net.links["eth0"]
    return {a.address for a in (*link.addresses4, *link.addresses6) if a.deprecated}


# What is run, and what the store holds then


def test_an_alias_is_one_command_that_lasts_and_is_live(host: SimHost) -> None:
    pillar = block("203.0.113.9", "2001:db8:1::9")
    answer = engine(host, pillar).managed()
    assert answer["result"] is True
    assert ran(host) == [
        f"ipadm create-addr -T static -a local=203.0.113.9/32 {NINE}",
        f"ipadm create-addr -T static -a local=2001:db8:1::9/128 {object_of('2001:db8:1::9')}",
    ]
    assert live(host) == PRIMARIES | {"203.0.113.9/32", "2001:db8:1::9/128"}
    assert changed(host, engine(host, pillar).managed) == []
    booted = reboot(host)
    assert live(booted) == live(host)
    assert changed(booted, engine(booted, pillar).managed) == []


def object_of(address: str) -> str:
    return ipadm.object_name(Alias(address, 128 if ":" in address else 32, "eth0"))


def test_removing_the_middle_one_touches_no_other(host: SimHost) -> None:
    engine(host, block("203.0.113.7", "203.0.113.8", "203.0.113.9")).managed()
    host.log.clear()
    engine(host, block("203.0.113.7", "203.0.113.9")).managed()
    assert ran(host) == [f"ipadm delete-addr {EIGHT}"]
    engine(host, None).clean()
    assert objects(host) == {}
    assert live(host) == PRIMARIES


def test_names_fit_what_ipadm_takes(host: SimHost) -> None:
    """At most 31 letters and digits, the first a letter; another for each address."""
    listed = ["0.0.0.1", "255.255.255.255", "::2", "f" * 4 + ":ffff" * 7, "2001:db8:1::9"]
    names = [object_of(address).partition("/")[2] for address in listed]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isalnum()
        assert name[0].isalpha()
        assert len(name) <= 31


def test_never_a_source_is_hidden_before_it_comes_up(host: SimHost) -> None:
    items = [{"address": a, "source": "never"} for a in ("203.0.113.9", "2001:db8:1::9")]
    engine(host, block(*items)).managed()
    assert ran(host)[:3] == [
        f"ipadm create-addr -T static -d -a local=203.0.113.9/32 {NINE}",
        f"ipadm set-addrprop -p deprecated=on {NINE}",
        f"ipadm up-addr {NINE}",
    ]
    assert hidden(host) == hidden(reboot(host)) == {"203.0.113.9", "2001:db8:1::9"}
    assert problems(engine(host, block(*items))) == []
    host.log.clear()
    engine(host, block("203.0.113.9", "2001:db8:1::9")).managed()
    assert ran(host)[0] == f"ipadm set-addrprop -p deprecated=off {NINE}"
    assert len(ran(host)) == 2
    assert hidden(host) == set()


def test_a_creation_cut_short_is_brought_up(host: SimHost) -> None:
    """An object that is down is not there for the store: `up-addr` makes it so."""
    done = host.twin()
    item = {"address": "203.0.113.9", "source": "never"}
    engine(done, block(item)).managed()
    at = next(at for at, e in enumerate(done.log) if isinstance(e, Run)) + 1
    host.faults = [Fault(at, crash=True)]
    with pytest.raises(Crash):
        engine(host, block(item)).managed()
    assert objects(host) == {NINE: ["203.0.113.9/32", False, False]}
    host = host.successor()
    engine(host, block(item)).managed()
    assert objects(host) == {NINE: ["203.0.113.9/32", True, True]}
    assert hidden(host) == {"203.0.113.9"}


def test_another_prefix_is_another_object_of_the_same_name(host: SimHost) -> None:
    engine(host, block("203.0.113.9")).managed()
    host.log.clear()
    engine(host, block("203.0.113.9/24")).managed()
    assert ran(host) == [
        f"ipadm delete-addr {NINE}",
        f"ipadm create-addr -T static -a local=203.0.113.9/24 {NINE}",
    ]
    assert objects(host) == {NINE: ["203.0.113.9/24", True, False]}


def test_live_alone_is_an_address_of_ifconfigs(host: SimHost) -> None:
    engine(host, None).add(aliases("203.0.113.9", "2001:db8:1::9"), persist=False)
    assert ran(host) == [
        "ifconfig eth0 addif 203.0.113.9/32 up",
        "ifconfig eth0 inet6 addif 2001:db8:1::9/128 up",
    ]
    assert objects(host) == {}
    assert live(reboot(host)) == PRIMARIES
    host.log.clear()
    answer = engine(host, block("203.0.113.9")).managed()
    assert ran(host)[:2] == [
        "ifconfig eth0 removeif 203.0.113.9",
        f"ipadm create-addr -T static -a local=203.0.113.9/32 {NINE}",
    ]
    assert "ipadm keeps what it adds itself: 203.0.113.9/32 left for a moment" in answer["comment"]
    assert objects(host) == {NINE: ["203.0.113.9/32", True, False]}


def test_undoing_what_made_it_last_leaves_it_live_alone(host: SimHost) -> None:
    engine(host, None).add(aliases("203.0.113.9"), persist=False)
    engine(host, block("203.0.113.9")).managed()
    assert rollback(engine(host, None))["result"] is True
    assert objects(host) == {}
    assert live(host) == PRIMARIES | {"203.0.113.9/32"}
    assert not ledger(host).on("eth0")["203.0.113.9/32"].file


def test_lasting_alone_is_refused(host: SimHost) -> None:
    before = host.state()
    with pytest.raises(RefusedError, match=r"203\.0\.113\.9/32 shall not be live: ipadm makes"):
        engine(host, None).add(aliases("203.0.113.9"), live=False)
    assert differences(before, host.state()) == []


def test_a_label_is_refused(host: SimHost) -> None:
    with pytest.raises(InputError, match="by its number alone, which it gives itself"):
        engine(host, block({"address": "203.0.113.9", "label": "fo1"})).managed()


# What is others'


def test_an_object_of_others_is_present_and_adopted_under_its_name(host: SimHost) -> None:
    add_by_hand(host, "192.0.2.20/24")
    platform.FOREIGN(host)
    host.log.clear()
    assert engine(host, block("192.0.2.20/24")).managed()["result"] is True
    assert ran(host) == []
    pillar = block("192.0.2.20/24", adopt=True)
    engine(host, pillar).managed()
    assert ran(host) == []
    assert set(objects(host)) == {"eth0/fo1"}
    assert set(ledger(host).on("eth0")) == {"192.0.2.20/24"}
    assert changed(host, engine(host, pillar).managed) == []
    engine(host, None).clean()
    assert ran(host) == ["ipadm delete-addr eth0/fo1"]
    assert live(host) == PRIMARIES


def test_purge_takes_an_object_of_others_where_it_is_asked_to(host: SimHost) -> None:
    add_by_hand(host, "192.0.2.20/24")
    platform.FOREIGN(host)
    engine(host, block("203.0.113.9", purge="all")).managed()
    assert set(objects(host)) == {NINE}
    assert live(host) == PRIMARIES | {"203.0.113.9/32"}


def test_an_address_that_others_keep_is_named(host: SimHost) -> None:
    add_by_hand(host, "192.0.2.20/24")
    platform.FOREIGN(host)
    with pytest.raises(RefusedError, match=r"already configured by ipadm eth0/fo1;"):
        engine(host, None).add(aliases("192.0.2.20/24"))
    with pytest.raises(InputError, match=r"is configured as 192\.0\.2\.20/24 by ipadm eth0/fo1"):
        engine(host, block("192.0.2.20")).managed()


def test_without_the_ledger_the_names_tell(host: SimHost) -> None:
    pillar = block("203.0.113.9", "2001:db8:1::9")
    engine(host, pillar).managed()
    add_by_hand(host, "192.0.2.20/24")
    platform.FOREIGN(host)
    host.files.drop("/var/lib/ipalias/ledger.json")
    engine(host, block("203.0.113.9")).managed()
    assert set(objects(host)) >= {"eth0/fo1", NINE}
    entries = ledger(host).on("eth0")
    assert "192.0.2.20/24" not in entries
    assert entries["2001:db8:1::9/128"].origin == ORIGIN_UNKNOWN


def test_what_the_store_holds_is_imported(host: SimHost) -> None:
    add_by_hand(host, "192.0.2.20/24")
    platform.FOREIGN(host)
    add_by_hand(host, "198.51.100.99/32")
    told = import_pillar(engine(host, None))["ipalias"]["interfaces"]
    assert told == {"eth0": {"addresses": ["192.0.2.20/24", "198.51.100.99"]}}


# What drifts


def test_drift_is_seen_from_both_sides(host: SimHost) -> None:
    pillar = block("203.0.113.8", "203.0.113.9")
    engine(host, pillar).managed()
    assert problems(engine(host, pillar)) == []
    platform.forget(host, "203.0.113.8")
    host.run(["ifconfig", "eth0", "removeif", "203.0.113.9"])
    add_by_hand(host, "198.51.100.99/32")
    rows = {row["address"]: row for row in diff_rows(engine(host, pillar))}
    assert (rows["203.0.113.8/32"]["file"], rows["203.0.113.8/32"]["live"]) == (None, True)
    assert rows["203.0.113.9/32"]["file"] == f"ipadm {NINE}"
    assert rows["203.0.113.9/32"]["live"] is False
    assert rows["198.51.100.99/32"]["pillar"] is False
    assert len(problems(engine(host, pillar))) == 2
    engine(host, pillar).managed()
    assert problems(engine(host, pillar)) == []
    assert set(objects(host)) == {EIGHT, NINE}
    assert "198.51.100.99/32" in live(host)


def test_a_dry_run_runs_nothing(host: SimHost) -> None:
    before = host.state()
    told = engine(host, block("203.0.113.9")).managed(test=True)
    assert told["result"] is None
    assert ran(host) == []
    assert differences(before, host.state()) == []


def test_default_is_the_interface_of_the_default_route(host: SimHost) -> None:
    assert pin_default(engine(host, None))["comment"] == "`default` is IPv4: eth0, IPv6: eth0"
    engine(host, block("203.0.113.9", interface="default")).managed()
    assert set(objects(host)) == {NINE}


# Restarts

BOUNCE = ["ipadm disable-if -t eth0", "ipadm enable-if -t eth0"]
PHYSICAL = ["svcadm restart svc:/network/physical:default"]


@pytest.mark.parametrize(
    ("scope", "commands"), [("alias", []), ("interface", BOUNCE), ("network", PHYSICAL)]
)
def test_restart_levels(host: SimHost, scope: str, commands: list[str]) -> None:
    engine(host, block("203.0.113.9")).managed()
    before = live(host)
    host.log.clear()
    restart(engine(host, None), name="eth0", scope=scope)
    assert [line for line in ran(host) if not line.startswith("route ")] == commands
    assert live(host) == before


def test_the_pillar_asks_for_a_restart(host: SimHost) -> None:
    engine(host, block("203.0.113.9", restart="interface")).managed()
    assert ran(host)[-2:] == BOUNCE
    assert live(host) == PRIMARIES | {"203.0.113.9/32"}
    host.log.clear()
    engine(host, block("203.0.113.9", restart="interface")).managed()
    assert ran(host) == []


def test_a_boot_enables_the_interface_before_it_puts_back(host: SimHost) -> None:
    """A change cut short is undone before network/physical; that then skips the interface."""
    engine(host, block("203.0.113.9")).managed()
    host.log.clear()
    done = host.twin()
    engine(done, None).clean()
    at = next(at for at, e in enumerate(done.log) if isinstance(e, Run)) + 1
    host.faults = [Fault(at, crash=True)]
    with pytest.raises(Crash):
        engine(host, None).clean()
    assert objects(host) == {}
    booted = reboot(host, restore=False)
    link = booted.net.links["eth0"]
    for address in (*link.addresses4, *link.addresses6):
        kernel_of(booted).take_down(link, address)
    booted.log.clear()
    boot_restore(booted)
    assert ran(booted)[:2] == [
        "ipadm enable-if -t eth0",
        f"ipadm create-addr -T static -a local=203.0.113.9/32 {NINE}",
    ]
    assert live(booted) == PRIMARIES | {"203.0.113.9/32"}


# Who owns the interface


def test_the_reasons_are_told(host: SimHost) -> None:
    told = explain(engine(host, None))["eth0"]
    assert told["owner"] == "ipadm"
    assert "ipadm keeps eth0 (ok)" in told["evidence"][0]["reasons"]


def test_files_hide_the_store_where_the_boot_reads_them() -> None:
    host = platform.host(flavour="illumos")
    host.files.put("/etc/hostname.eth0", "192.0.2.2/24\nup\n")
    assert explain(engine(host, None))["eth0"]["owner"] == "solaris"
    with pytest.raises(OwnerError, match="the boot then ignores what ipadm keeps for eth0"):
        engine(host, block("203.0.113.9", backend="ipadm")).managed()
    eleven = platform.host()
    eleven.files.put("/etc/hostname.eth0", "192.0.2.2/24\nup\n")
    assert explain(engine(eleven, None))["eth0"]["owner"] == "ipadm"


@pytest.mark.parametrize(
    ("profile", "nwam", "said"),
    [
        ("Automatic", "disabled", "the network profile Automatic is active"),
        (None, "online", "network/physical:nwam is online: network profiles"),
    ],
)
def test_profiles_own_the_addresses(
    host: SimHost, profile: str | None, nwam: str, said: str
) -> None:
    services(host, lambda: None, profile=profile, nwam=nwam)
    before = host.state()
    for settings_ in ({}, {"backend": "ipadm"}):
        with pytest.raises(OwnerError, match=said):
            engine(host, block("203.0.113.9", **settings_)).managed()
    assert differences(before, host.state()) == []


def test_an_interface_that_ipadm_does_not_keep(host: SimHost) -> None:
    host.stored["interfaces"].remove("eth0")
    with pytest.raises(OwnerError, match="eth0 is temporary: ipadm keeps no address on it"):
        engine(host, block("203.0.113.9")).managed()
    other = platform.host()
    other.net.add_link("eth1")
    with pytest.raises(OwnerError, match="`ipadm create-ip eth1` makes it"):
        engine(other, block("203.0.113.9", interface="eth1")).managed()


def test_without_a_link_local_address_there_is_no_ipv6(host: SimHost) -> None:
    host.run(["ipadm", "delete-addr", "eth0/v6"])
    before = comparable(host)
    with pytest.raises(UnsupportedError, match=r"no link-local.*create-addr -T addrconf eth0/v6"):
        engine(host, block("2001:db8:1::9")).managed()
    assert differences(before, comparable(host)) == []
