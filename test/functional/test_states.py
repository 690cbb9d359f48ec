"""Every state and every SLS, through the loader, on a host of its own."""

from __future__ import annotations

import pytest
from loader_minion import DROPIN, NETWORK
from test_functions import INTERFACES, NOBODY, block, live

from rig.gentle import Monitor

ALIAS = "198.51.100.12"
PILLAR = {
    "backend": "auto",
    "interfaces": {
        "default": {
            "addresses": [
                "198.51.100.10",
                {"address": "198.51.100.11/32", "label": "failover1", "source": "never"},
                "2001:db8:1::10",
                "198.51.100.64-198.51.100.66",
                {"block": "203.0.113.16/30"},
            ]
        }
    },
}
#: Pillar keys that would end a string, open a state or a template, were they pasted in.
HOSTILE = [
    'eth0": {}\nevil:\n  cmd.run:\n    - name: "touch /etc/evil',
    "eth0: {}\nevil:\n  file.touch:\n    - name: /etc/evil\nx",
    'eth0": {}\nevil:\n  file.touch:\n    - name: /etc/evil\n"x',
    "{{ salt['cmd.run']('touch /etc/evil') }}",
    "{% set x = salt['file.touch']('/etc/evil') %}",
    "eth0'; touch /etc/evil; '",
    "!!python/object/apply:os.system ['touch /etc/evil']",
    "&a [*a]",
    "eth0: |",
    "../../../etc/evil",
    "eth0\\u0022",
    "éth0",
    "",
    " ",
]
DIALECTS = ("ifupdown", "netplan", "networkd", "networkmanager", "ifcfg_suse", "cpanel")
#: Every state module of the formula.
OURS = {"ipalias", "ipalias_dhcp", "ipalias_dsr", "ipalias_sysctl", "ipalias_wan"}


def shown(returned):
    """Return the changes of each state that has some."""
    return {key: ret["changes"] for key, ret in returned.items() if ret["changes"]}


def test_the_sls_shows_does_and_keeps_what_the_pillar_asks(minion):
    minion.pillar = PILLAR
    before = minion.picture()
    monitor = Monitor(minion.host)
    tried = minion.sls("ipalias", test=True)
    assert monitor.stop() == []
    assert minion.picture() == before
    assert tried["ipalias-alias-default"]["result"] is None
    assert shown(tried)
    done = minion.sls("ipalias")
    assert all(ret["result"] is True for ret in done.values()), done
    assert shown(done) == shown(tried)
    assert len(live(minion)) == 10
    again = minion.sls("ipalias")
    assert shown(again) == {} and all(ret["result"] is True for ret in again.values())


def test_the_sls_heals_what_was_deleted_and_tells_it(minion):
    minion.pillar = block("198.51.100.10", "198.51.100.11")
    minion.sls("ipalias.alias")
    minion.host.ip("address", "del", "198.51.100.11/32", "dev", "eth0")
    changes = shown(minion.sls("ipalias.alias"))
    assert changes == {
        "ipalias-alias-eth0": {"addresses": {"added": ["198.51.100.11/32"], "removed": []}}
    }


def test_the_clean_sls_takes_ours_away_and_nothing_else(minion):
    original = minion.host.read(NETWORK)
    minion.host.ip("address", "add", "203.0.113.9/32", "dev", "eth0")
    minion.pillar = block("198.51.100.10")
    minion.sls("ipalias")
    minion.call("ipalias.add", ALIAS)
    tried = minion.sls("ipalias.clean", test=True)
    done = minion.sls("ipalias.clean")
    assert shown(tried) == shown(done) != {}
    assert live(minion) == {"203.0.113.9/32"}
    assert minion.host.read(NETWORK) == original and not minion.host.exists(DROPIN)
    assert shown(minion.sls("ipalias.clean")) == {}


def test_the_sync_sls_runs(minion):
    done = minion.sls("ipalias.sync")
    [ret] = done.values()
    assert ret["result"] is True, ret


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_platform_sls_runs_with_and_without_its_owner(minion, dialect):
    minion.pillar = block("198.51.100.10")
    tried = minion.sls(f"ipalias.platform.{dialect}", test=True)
    done = minion.sls(f"ipalias.platform.{dialect}")
    assert not [ret for ret in (*tried.values(), *done.values()) if ret["result"] is False]
    assert live(minion) == {"198.51.100.10/32"}


def test_an_empty_pillar_is_no_error(minion):
    for pillar in ({}, None, {"interfaces": {}}, {"interfaces": {"eth0": {}}}):
        minion.pillar = pillar
        done = minion.sls("ipalias.alias")
        assert all(ret["result"] is True for ret in done.values()), (pillar, done)
        assert shown(done) == {}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_interface_name_stays_a_name(minion, name):
    minion.pillar = {"interfaces": {name: {"addresses": ["198.51.100.10"]}}}
    before = minion.picture("/etc")
    ran = minion.call("state.apply", "ipalias")
    after = minion.picture("/etc")
    assert after == before
    # Salt takes a name with brackets for a pattern, which then matches nothing, and says so.
    if "[" in name:
        assert len(ran) == 1 and "Referenced state does not exist" in ran[0] and name in ran[0]
        return
    # Another list would mean that the SLS did not render: what got out of its quotes broke it.
    assert isinstance(ran, dict), ran
    assert {key.partition("_|-")[0] for key in ran} <= OURS, ran
    [refused] = [ret for ret in ran.values() if ret["__id__"] == f"ipalias-alias-{name}"]
    assert refused["result"] is False and "ipalias:interfaces" in refused["comment"]


def test_managed_from_the_pillar_and_from_a_list(minion):
    minion.pillar = block("198.51.100.10")
    tried = minion.state("ipalias.managed", "eth0", test=True)
    done = minion.state("ipalias.managed", "eth0")
    assert (tried["result"], done["result"]) == (None, True)
    assert tried["changes"] == done["changes"]
    given = {"addresses": ["198.51.100.11"], "purge": "owned", "adopt": False, "backend": "auto"}
    assert minion.state("ipalias.managed", "eth0", **given)["result"] is True
    assert live(minion) == {"198.51.100.11/32"}
    lone = minion.state("ipalias.managed", "eth0", purge="none")
    assert lone["result"] is False and "purge" in lone["comment"]


def test_present_and_absent(minion):
    for name, there in (("present", {f"{ALIAS}/32"}), ("absent", set())):
        tried = minion.state(f"ipalias.{name}", ALIAS, test=True)
        done = minion.state(f"ipalias.{name}", ALIAS)
        assert (tried["result"], done["result"]) == (None, True)
        assert tried["changes"] == done["changes"] != {}
        assert live(minion) == there
        again = minion.state(f"ipalias.{name}", ALIAS)
        assert (again["result"], again["changes"]) == (True, {})
    refused = minion.state("ipalias.present", "198.51.100.300")
    assert refused["result"] is False and "not an IP address" in refused["comment"]
    refused = minion.state("ipalias.absent", "192.0.2.2")
    assert refused["result"] is False and "primary" in refused["comment"]


def test_pruned_and_cleaned(minion):
    minion.pillar = block("198.51.100.10")
    minion.state("ipalias.managed", "eth0")
    minion.state("ipalias.present", ALIAS)
    minion.pillar = {}
    for name, left in (("pruned", {f"{ALIAS}/32"}), ("cleaned", set())):
        tried = minion.state(f"ipalias.{name}", "ipalias", test=True)
        done = minion.state(f"ipalias.{name}", "ipalias")
        assert tried["changes"] == done["changes"] != {}
        assert live(minion) == left


def test_boot_service_leaves_a_service_alone_whose_backend_owns_nothing(minion):
    minion.pillar = block("198.51.100.10")
    services = {"networkmanager": "NetworkManager", "netplan": None}
    ret = minion.state("ipalias.boot_service", "x", services=services)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert ret["comment"] == "no dialect: no service of its own"


@pytest.mark.parametrize(
    ("name", "argument"),
    [("managed", "eth0"), ("present", ALIAS), ("absent", ALIAS), ("cleaned", "x"), ("pruned", "x")],
)
def test_a_state_without_root_says_so(minion, name, argument):
    minion.pillar = block("198.51.100.10")
    before = minion.picture()
    [outcome] = minion.ask(["state", f"ipalias.{name}", [argument], {}, False], uid=NOBODY)
    assert outcome.value["result"] is False and "root" in outcome.value["comment"]
    assert minion.picture() == before


def test_ifupdown_gets_its_own_files_and_loses_them_again(minion):
    host = minion.host
    host.remove(NETWORK)
    host.write("/etc/network/interfaces", INTERFACES)
    before = host.tree("/etc/network")
    minion.pillar = block("198.51.100.10", "2001:db8:1::10")
    tried = minion.sls("ipalias", test=True)
    assert host.tree("/etc/network") == before
    assert shown(minion.sls("ipalias")) == shown(tried)
    assert live(minion) == {"198.51.100.10/32", "2001:db8:1::10/128"}
    minion.sls("ipalias.clean")
    assert host.tree("/etc/network") == before
    assert live(minion) == set()
