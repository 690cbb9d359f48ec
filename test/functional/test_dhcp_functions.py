"""What changes a member by `ipalias_dhcp`, through the loader, on a host without any server."""

from __future__ import annotations

import json
import re

import pytest

OURS = {
    "apply", "clean", "check_config", "convert", "report", "unreport", "member", "wait", "lease",
    "leases", "conflicts", "backup", "backups", "restore", "drill_stop", "drill_start",
    "drill_report",
}  # fmt: skip
MINION_D = "/etc/salt/minion.d"
CONF = f"{MINION_D}/ipalias_dhcp.conf"
#: Nobody's on the segment.
PEER = "192.0.2.250"


@pytest.fixture
def debian(minion):
    """Give a minion that passes for a Debian with systemd, which a pair is for."""
    minion.host.write("/run/systemd/system/here", "")
    minion.host.write("/etc/debian_version", "12.5\n")
    minion.host.remove(MINION_D)
    yield minion
    minion.host.remove("/run/systemd", MINION_D)


@pytest.fixture
def member(debian):
    """Give a minion that is one of a pair."""
    members = {
        "minion": {"address": debian.host.primary, "role": "primary"},
        "other": {"address": PEER, "role": "secondary"},
    }
    debian.pillar = {
        "dhcp": {
            "implementation": "isc",
            "pair": {"members": members},
            "interfaces": ["eth0"],
            "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}],
        }
    }
    return debian


def test_every_function_explains_its_arguments(minion):
    [functions] = minion.ask(["described", "modules", "ipalias_dhcp"])
    told = {name.removeprefix("ipalias_dhcp."): each for name, each in functions.value.items()}
    assert told.keys() >= OURS
    for name in OURS:
        assert "CLI Example:\n\n.. code-block:: bash\n" in told[name]["doc"], name
        assert re.search(rf"^ +salt.*\bipalias_dhcp\.{name}\b", told[name]["doc"], re.M), name
        for argument in told[name]["args"]:
            assert re.search(rf"^{argument}$", told[name]["doc"], re.M), f"{name}: {argument}"


def test_a_rehearsal_shows_the_change_where_nothing_is_installed_yet(member):
    # But for the lock of our own.
    before = member.picture("/etc")
    told = member.state("ipalias_dhcp.pair", "pair", test=True)
    assert told["result"] is None and "isc-dhcp-server is not installed yet" in told["comment"]
    assert "failover peer" in told["changes"]["files"]["/etc/dhcp/ipalias.conf"]
    assert "***" in told["changes"]["files"]["/etc/dhcp/ipalias.conf"]
    told = member.state("ipalias_dhcp.pair", "pair")
    assert told["result"] is False and "dhcpd is not installed" in told["comment"]
    assert "ipalias.dhcp" in told["comment"]
    assert member.state("ipalias_dhcp.absent", "pair")["changes"] == {}
    assert member.picture("/etc") == before


def test_the_alias_of_a_member_is_awaited_and_then_held(member):
    found = "/var/lib/ipalias/dhcp/found.json"
    dhcp = member.pillar["dhcp"]
    dhcp["pair"]["members"]["minion"]["address"] = "192.0.2.77"
    place = "ipalias:dhcp:pair:members:minion:address"
    told = member.state("ipalias_dhcp.pair", "pair", test=True)
    assert told["result"] is False and f"{place}: 192.0.2.77 is not an address" in told["comment"]
    member.pillar = {"interfaces": {"eth0": {"addresses": ["192.0.2.77"]}}, "dhcp": dhcp}
    told = member.state("ipalias_dhcp.pair", "pair", test=True)
    assert told["result"] is None and told["changes"]["files"]
    assert "192.0.2.77/32 of eth0" in told["comment"] and "aliases are applied" in told["comment"]
    assert member.state("ipalias_dhcp.pair", "pair")["result"] is False
    assert member.state("ipalias.managed", "eth0", pillar="ipalias")["result"] is True
    member.host.write(found, "{}\n")
    try:
        assert place in member.refusal("ipalias.remove", "192.0.2.77")
        for given in ({"addresses": []}, {"addresses": ["198.51.100.12"]}):
            ret = member.state("ipalias.managed", "eth0", **given)
            assert ret["result"] is False and place in ret["comment"], ret
        told = member.call("ipalias.remove", "192.0.2.77", force="192.0.2.77")
        assert told["changes"]["addresses"]["removed"] == ["192.0.2.77/32"]
    finally:
        member.host.remove(found)


def test_elsewhere_a_pair_is_refused_and_a_host_without_the_block_left_alone(minion):
    minion.pillar = {"dhcp": {"implementation": "isc"}}
    assert "for Debian 12 and 13" in minion.refusal("ipalias_dhcp.apply")
    minion.pillar = {"interfaces": {}}
    told = minion.state("ipalias_dhcp.pair", "pair")
    assert (told["result"], told["changes"]) == (True, {})


def test_the_beacon_comes_and_goes(member):
    before = member.picture()
    tried = member.state("ipalias_dhcp.reported", "pair", test=True)
    assert tried["result"] is None and set(tried["changes"]["files"]) == {CONF}
    assert member.picture() == before
    done = member.state("ipalias_dhcp.reported", "pair")
    assert done["result"] is True and done["changes"] == tried["changes"]
    beacon = {"beacons": {"ipalias_dhcp": [{"interval": 1}]}}
    assert json.loads(member.host.read(CONF)) == beacon
    assert member.state("ipalias_dhcp.reported", "pair")["changes"] == {}
    member.pillar = {}
    assert set(member.state("ipalias_dhcp.reported", "pair")["changes"]["files"]) == {CONF}
    assert not member.host.exists(CONF)
    assert member.state("ipalias_dhcp.unreported", "pair")["changes"] == {}


def test_who_a_member_is_and_what_it_looks_like(member):
    told = member.call("ipalias_dhcp.member")
    assert (told["member"], told["role"], told["peer"]) == ("minion", "primary", "other")
    told = member.call("ipalias_dhcp.check_config")
    assert told["result"] is False and "dhcpd is not installed" in told["problems"][0]
    assert any(PEER in problem for problem in told["problems"])
    assert told["promised"]["kill"]["every client served"] > 0
    kea = {"mode": "hot-standby", "max_ack_delay": 10}
    member.pillar["dhcp"] |= {"implementation": "kea", "kea": kea}
    told = member.call("ipalias_dhcp.check_config")
    [note] = [note for note in told["notes"] if note.startswith("hot-standby with max_ack_delay")]
    assert note == told["promised"]["danger"]


def test_leases_of_a_side_without_any_and_of_both(member):
    member.host.remove("/var/lib/dhcp")
    told = member.call("ipalias_dhcp.leases")
    assert told["leases"] == [] and "is not there" in told["problems"][0]
    one = ["192.0.2.100", "active", "02:00:00:00:00:01", "", 1e9, 2e9, 1e9, "file:1"]
    theirs = {"path": "file", "problems": [], "leases": [one]}
    told = member.call("ipalias_dhcp.conflicts", peer=theirs, grace=0)
    assert told["result"] is False and told["sides"] == {"minion": 0, "other": 1}
    assert "192.0.2.100" in {row["address"] for row in told["conflicts"]}
    assert "no leases" in member.refusal("ipalias_dhcp.conflicts", {"leases": 5})


def test_a_host_without_backups_has_none(member):
    assert member.call("ipalias_dhcp.backups") == []


def test_a_rehearsed_lease_asks_nobody(member):
    told = member.call("ipalias_dhcp.lease", clients=3, test=True)
    assert told["result"] is None and "3 clients would ask for leases on eth0" in told["comment"]


def test_a_dhcpd_conf_is_turned_into_a_block(member):
    text = (
        'subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.50 192.0.2.60; }\nclass "a" { }\n'
    )
    member.host.write("/etc/dhcp/dhcpd.conf", text)
    told = member.call("ipalias_dhcp.convert")
    # Plain data: what is none comes over the wire as a text, or not at all.
    [subnet] = told["block"]["subnets"]
    assert subnet["subnet"] == "192.0.2.0/24" and "192.0.2.50" in json.dumps(subnet["ranges"])
    [left] = told["left"]
    assert "dhcpd.conf:2" in left


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("lease", ["eth0", 1, 30, "192.0.2.3; x"], "server"),
        ("lease", ["eth0", 1, 30, []], "server"),
        ("conflicts", [None, None, "ipalias", "soon"], "timeout: "),
        ("wait", ["normal", 5, "ipalias\nx"], "is not a path of the pillar"),
        ("wait", ["perfect"], "none of serving, listening, normal"),
        ("wait", ["normal", "soon"], "span of time"),
        ("wait", ["normal", 0], "not normal after 0 s: stopped"),
        ("wait", ["normal", "26h"], "is not between 0 s and 90000 s"),
        ("drill_stop", [5], "limit"),
        ("drill_stop", [60], "not in order"),
        ("drill_start", [], "no member of a pair"),
        ("drill_report", ["yes", [], 5], "result"),
        ("drill_report", [True, "no list", 5], "report"),
        ("lease", ["no such"], "interface"),
        ("lease", ["eth0", 0], "clients"),
        ("lease", ["eth0", 1, "never"], "limit"),
        ("conflicts", [None, "never"], "grace"),
        ("backup", [0], "keep"),
        ("backup", [], "no member of a pair"),
        ("restore", [], "no member of a pair"),
        ("restore", [None, "some"], "what"),
        ("restore", [None, "all", "yes"], "stop"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(member, name, arguments, word):
    before = member.picture()
    said = member.refusal(f"ipalias_dhcp.{name}", *arguments)
    assert word in said and "\n" not in said, said
    assert member.picture() == before
