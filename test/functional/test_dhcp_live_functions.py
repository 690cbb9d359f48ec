"""What is asked of `ipalias_dhcp`, through the loader: a member whose server does not run."""

from __future__ import annotations

import re

import pytest

OURS = {"status", "partner_down", "policy", "reach", "watch"}
#: Of TEST-NET-1 as the segment has it, and nobody's.
PEER = "192.0.2.250"


@pytest.fixture
def debian(minion):
    """Give a minion that passes for a Debian with systemd, which a pair is for."""
    minion.host.write("/run/systemd/system/here", "")
    yield minion
    minion.host.remove("/run/systemd")


@pytest.fixture
def member(debian):
    """Give a minion that is one of a pair, the other one being nowhere."""
    pair = {
        "members": {
            "minion": {"address": debian.host.primary, "role": "primary"},
            "other": {"address": PEER, "role": "secondary"},
        }
    }
    debian.pillar = {
        "dhcp": {
            "implementation": "isc",
            "pair": pair,
            "interfaces": ["eth0"],
            "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}],
            "partner_down": {"after": "60s", "witness": "gw1"},
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


def test_a_server_that_does_not_run_is_told_and_no_error(member):
    short = member.call("ipalias_dhcp.status")
    row = member.call("ipalias_dhcp.status", whole=True)
    assert short["me"].items() <= row["me"].items() and short["at a glance"]
    assert (row["me"]["name"], row["me"]["state"]) == ("minion", "unknown")
    assert (row["peer"]["name"], row["peer"]["address"]) == ("other", PEER)
    assert any("dhcpd does not answer" in problem for problem in row["problems"])
    [way] = [way for way in row["ports"]["blocked"] if way.startswith("minion to other")]
    assert PEER in way and row["leases"][0]["total"] == 100
    assert "perhaps" in member.refusal("ipalias_dhcp.status", whole="perhaps")
    assert "log" in member.refusal("ipalias_dhcp.status", log=1001)


def test_the_policy_names_both_members_for_the_witness(member):
    told = member.call("ipalias_dhcp.policy")
    assert (told["after"], told["witness"]) == (60.0, "gw1")
    assert told["me"]["address"] == member.host.primary and told["peer"]["address"] == PEER


def test_a_witness_is_anybody(minion):
    """The bridge of the segment is there, without a DHCP server; a free address is not."""
    told = minion.call("ipalias_dhcp.reach", "192.0.2.1", 647)
    assert (told["port"], told["host"], told["dead"]) == ("refused", True, True)
    told = minion.call("ipalias_dhcp.reach", PEER, 647)
    assert (told["host"], told["dead"]) == (False, True)
    assert "no IPv4 address" in minion.refusal("ipalias_dhcp.reach", "$(reboot)", 647)


def test_partner_down_needs_a_server_that_answers(member):
    assert "dhcpd does not answer" in member.refusal("ipalias_dhcp.partner_down")
    assert "dhcpd does not answer" in member.refusal("ipalias_dhcp.partner_down", test=True)
    refusal = member.refusal("ipalias_dhcp.partner_down", although_host_answers="perhaps")
    assert "not true or false" in refusal


def test_the_beacons_look_is_told_by_a_later_call(member):
    memory, events = None, []
    while not events:
        told = member.call("ipalias_dhcp.watch", memory)
        memory, events = told["memory"], told["events"]
    assert {"state/alert", "silent/alert", "drill/alert"} <= {event["tag"] for event in events}
    again = []
    for _ in range(3):
        told = member.call("ipalias_dhcp.watch", memory)
        memory = told["memory"]
        again += told["events"]
    assert again == []


def test_a_host_that_is_of_no_pair_says_so(debian):
    debian.pillar = {"dhcp": {"implementation": "isc"}}
    assert "`pair` is missing" in debian.refusal("ipalias_dhcp.status")
    assert "`pair` is missing" in debian.refusal("ipalias_dhcp.watch")
