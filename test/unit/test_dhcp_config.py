"""The block ipalias:dhcp: every form it takes, and every slip it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.dhcppair import GUIDE, LEAST, changed
from saltext.ipalias.dhcp import config_pair, config_subnets
from saltext.ipalias.dhcp.config import (
    DHCP_KEYS,
    LIMIT_KEYS,
    PARTNER_DOWN_KEYS,
    find_member,
    parse_dhcp,
    refuse_misplaced,
    refuse_taken,
)
from saltext.ipalias.dhcp.model import DhcpConfig, LeaseStore, Limits, PartnerDown, Range
from saltext.ipalias.errors import InputError

ADDRESSES = {"lo": ["127.0.0.1/8"], "eth0": ["192.0.2.10/24", "2001:db8::10/64"]}


def parsed(base: dict[str, Any] = LEAST, **at: Any) -> DhcpConfig:
    return parse_dhcp(changed(base, **at))


def refused(base: dict[str, Any] = LEAST, **at: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_dhcp(changed(base, **at))
    return str(caught.value)


# Forms


def test_the_guides_numbers_are_those_of_who_says_none() -> None:
    least, guide = parsed(), parsed(GUIDE)
    assert least.pair == guide.pair
    assert least.profile == "guide"
    assert (least.subnets[0].default_lease_time, least.subnets[0].max_lease_time) == (600, 7200)


def test_what_is_said_is_stronger_than_the_profile() -> None:
    config = parsed(profile="short", pair__mclt=1800)
    assert (config.pair.max_response_delay, config.pair.load_balance_max_seconds) == (5, 2)
    assert config.pair.mclt == 1800


def test_the_primary_comes_first_wherever_it_is_written() -> None:
    config = parsed(pair__members__dhcp1__role="secondary", pair__members__dhcp2__role="primary")
    assert [member.name for member in config.pair.members] == ["dhcp2", "dhcp1"]
    assert config.pair.primary.name == "dhcp2"
    assert config.pair.peer_of(config.pair.primary).name == "dhcp1"


def test_a_range_has_two_forms() -> None:
    block = {"first": "192.0.2.210", "last": "192.0.2.220"}
    config = parsed(subnets__0__ranges=["192.0.2.100 - 192.0.2.101", block])
    assert config.subnets[0].ranges == (
        Range("192.0.2.100", "192.0.2.101"),
        Range("192.0.2.210", "192.0.2.220"),
    )


def test_a_hardware_address_is_read_in_each_form_and_kept_in_one() -> None:
    reservations = [
        {"mac": "2:0:5E-10:0:1".replace("-", ":"), "address": "192.0.2.30"},
        {"mac": "02-00-5E-10-00-02", "address": "192.0.2.31", "hostname": "printer"},
    ]
    found = parsed(subnets__0__reservations=reservations).subnets[0].reservations
    assert [one.mac for one in found] == ["02:00:5e:10:00:01", "02:00:5e:10:00:02"]
    assert found[1].hostname == "printer"


def test_the_limits_of_the_beacon() -> None:
    config = parsed(limits={"skew": "10s", "used": "80%", "drill": "30d"})
    assert config.limits == Limits(skew=10.0, used=0.8, drill=30 * 86400.0)
    assert parsed().limits.drill == 92 * 86400.0


def test_a_reaction_needs_a_time_and_a_second_place() -> None:
    config = parsed(partner_down={"after": "10m", "witness": "gateway.example"})
    assert config.partner_down == PartnerDown(600.0, "gateway.example")
    assert parsed().partner_down == PartnerDown()


def test_kea_may_keep_its_leases_in_a_database() -> None:
    store = {"type": "postgresql", "name": "kea", "user": "kea", "password": "not-so-secret"}
    config = parsed(implementation="kea", kea__lease_database=store)
    assert config.pair.kea.leases == LeaseStore(
        "postgresql", "kea", "localhost", 0, "kea", "not-so-secret"
    )
    assert "not-so-secret" not in repr(config)


def test_kea_is_written_whole() -> None:
    assert parsed(implementation="kea").whole
    assert not parsed().whole


# Bad input: one test for each of what the issue lists, then whatever else is refused

DHCP2 = "pair__members__dhcp2"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no primary": (
        {"pair__members__dhcp1__role": "secondary"},
        "ipalias:dhcp:pair:members: a pair has one primary, here it is none",
    ),
    "two primaries": (
        {f"{DHCP2}__role": "primary"},
        "ipalias:dhcp:pair:members: a pair has one primary, here it is dhcp1 and dhcp2",
    ),
    "peer on another subnet than declared": (
        {f"{DHCP2}__address": "203.0.113.20"},
        "ipalias:dhcp:pair:members:dhcp2:address: 203.0.113.20 is in none of the subnets declared",
    ),
    "pool outside of its subnet": (
        {"subnets__0__ranges": ["192.0.2.100-203.0.113.9"]},
        "ipalias:dhcp:subnets[0]:ranges[0]: 203.0.113.9 is not in 192.0.2.0/24",
    ),
    "peer inside the pool": (
        {f"{DHCP2}__address": "192.0.2.120"},
        "ipalias:dhcp:pair:members:dhcp2:address: 192.0.2.120 (dhcp2) is inside the pool",
    ),
    "router inside the pool": (
        {"subnets__0__routers": ["192.0.2.150"]},
        "ipalias:dhcp:subnets[0]:routers[0]: 192.0.2.150 (a router) is inside the pool",
    ),
    "name server inside the pool": (
        {"subnets__0__domain_name_servers": ["192.0.2.150"]},
        "ipalias:dhcp:subnets[0]:domain_name_servers[0]: 192.0.2.150 (a name server) is inside",
    ),
    "reservation inside the pool": (
        {"subnets__0__reservations": [{"mac": "02:00:5e:10:00:01", "address": "192.0.2.100"}]},
        "ipalias:dhcp:subnets[0]:reservations[0]: 192.0.2.100 (reserved for 02:00:5e:10:00:01) is",
    ),
    "overlapping pools": (
        {"subnets__0__ranges": ["192.0.2.100-192.0.2.200", "192.0.2.200-192.0.2.210"]},
        "ipalias:dhcp:subnets[0]:ranges[1]: 192.0.2.200-192.0.2.210 overlaps 192.0.2.100-192",
    ),
    "overlapping subnets": (
        {"subnets": [{"subnet": "192.0.2.0/24"}, {"subnet": "192.0.2.128/25"}]},
        "ipalias:dhcp:subnets[1]:subnet: 192.0.2.128/25 overlaps 192.0.2.0/24",
    ),
    "lease times out of order": (
        {"subnets__0__default_lease_time": 7200, "subnets__0__max_lease_time": 600},
        "ipalias:dhcp:subnets[0]:default_lease_time: `default_lease_time` 7200 s is longer than",
    ),
    "one member": ({DHCP2: None}, "ipalias:dhcp:pair:members: a pair has two members, not 1"),
    "no member": ({"pair__members": None}, "a pair has two members, not 0"),
    "one address twice": (
        {f"{DHCP2}__address": "192.0.2.10"},
        "ipalias:dhcp:pair:members:dhcp2:address: 192.0.2.10 is dhcp1's already",
    ),
    "an address of loopback": ({f"{DHCP2}__address": "127.0.0.2"}, "is reached from this host"),
    "an address of IPv6": ({f"{DHCP2}__address": "2001:db8::2"}, "is not an IPv4 address"),
    "an address of a group": ({f"{DHCP2}__address": "224.0.0.5"}, "that a host can have"),
    "a port that is none": ({f"{DHCP2}__port": 65536}, "dhcp2:port: 65536 is not a whole number"),
    "a role that is none": ({f"{DHCP2}__role": "standby"}, "dhcp2:role: 'standby' is unknown"),
    "no role": ({f"{DHCP2}__role": None}, "dhcp2: `role` is missing"),
    "a member's name": ({"pair__members__a b": {}, DHCP2: None}, "is not a name for a member"),
    "a pair's name": ({"pair__name": 'x"; include "y'}, "is not a name for a pair"),
    "an unknown key": ({"inteface": ["eth0"]}, "did you mean `interfaces`?"),
    "no implementation": ({"implementation": None}, "ipalias:dhcp: `implementation` is missing"),
    "another implementation": ({"implementation": "dnsmasq"}, "'dnsmasq' is unknown"),
    "no interface": ({"interfaces": []}, "ipalias:dhcp:interfaces: no interface is listed"),
    "an interface twice": ({"interfaces": ["eth0", "eth0"]}, "interfaces[1]: eth0 is listed"),
    "the default interface": ({"interfaces": ["default"]}, "`default` is no interface"),
    "no range": ({"subnets__0__ranges": None}, "no subnet has a range, so the pair shares"),
    "no subnet": ({"subnets": []}, "is in none of the subnets declared"),
    "a subnet of IPv6": ({"subnets__0__subnet": "2001:db8::/64"}, "is not an IPv4 network"),
    "bits behind the prefix": ({"subnets__0__subnet": "192.0.2.1/24"}, "is not a network"),
    "a network's own address": (
        {"subnets__0__ranges": ["192.0.2.0-192.0.2.9"]},
        "192.0.2.0 is the network's or its broadcast address",
    ),
    "a range backwards": ({"subnets__0__ranges": ["192.0.2.9-192.0.2.5"]}, "comes after"),
    "a range that is none": ({"subnets__0__ranges": ["192.0.2.9"]}, "is not a range"),
    "a router elsewhere": ({"subnets__0__routers": ["203.0.113.1"]}, "is not on 192.0.2.0/24"),
    "a reservation elsewhere": (
        {"subnets__0__reservations": [{"mac": "02:00:5e:10:00:01", "address": "203.0.113.5"}]},
        "reservations[0]:address: 203.0.113.5 is not in 192.0.2.0/24",
    ),
    "a reservation of the router": (
        {
            "subnets__0__routers": ["192.0.2.1"],
            "subnets__0__reservations": [{"mac": "02:00:5e:10:00:01", "address": "192.0.2.1"}],
        },
        "192.0.2.1 is a router already",
    ),
    "a reservation of a member": (
        {"subnets__0__reservations": [{"mac": "02:00:5e:10:00:01", "address": "192.0.2.10"}]},
        "192.0.2.10 is dhcp1 already",
    ),
    "one address for two": (
        {
            "subnets__0__reservations": [
                {"mac": "02:00:5e:10:00:01", "address": "192.0.2.30"},
                {"mac": "02:00:5e:10:00:02", "address": "192.0.2.30"},
            ]
        },
        "reservations[1]: 192.0.2.30 is reserved for 02:00:5e:10:00:01 already",
    ),
    "two addresses for one": (
        {
            "subnets__0__reservations": [
                {"mac": "02:00:5e:10:00:01", "address": "192.0.2.30"},
                {"mac": "02:00:5E:10:00:01", "address": "192.0.2.31"},
            ]
        },
        "02:00:5e:10:00:01 has an address in this subnet already",
    ),
    "an option of another name": ({"subnets__0__options": {"ntp-server": "192.0.2.1"}}, "ntp-ser"),
    "an option with a key": ({"subnets__0__options": {"routers": ["192.0.2.1"]}}, "as `routers`"),
    "an option's kind": ({"subnets__0__options": {"interface-mtu": "big"}}, "'big' is not a whole"),
    "a text with a quote": ({"subnets__0__options": {"root-path": '/"; x'}}, "both servers read"),
    "an option of nothing": ({"subnets__0__options": {"ntp-servers": []}}, "no address is given"),
    "ad-hoc updates": ({"ddns_update_style": "ad-hoc"}, "ipalias:dhcp:ddns_update_style"),
    "a silence that is none": ({"pair__max_response_delay": 2}, "not a whole number 3 to 3600"),
    "no update under way": ({"pair__max_unacked_updates": 0}, "not a whole number 1 to 1000"),
    "a split beyond": ({"pair__split": 257}, "pair:split: 257 is not a whole number 0 to 256"),
    "Kea's block for ISC": ({"kea": {"mode": "hot-standby"}}, "`kea` is for `implementation: kea`"),
    "a quick death": ({"partner_down": {"after": 5, "witness": "w"}}, "shorter than a restart"),
    "a death without a witness": ({"partner_down": {"after": 60}}, "only where two places"),
    "a share beyond": ({"limits": {"used": 1.5}}, "ipalias:dhcp:limits:used: 1.5 is not a share"),
    "another profile": ({"profile": "fast"}, "ipalias:dhcp:profile: 'fast' is unknown"),
}
KEA: dict[str, tuple[dict[str, Any], str]] = {
    "a part of a file": ({"whole": False}, "kea-dhcp4 reads one file, which is written whole"),
    "updates of DNS": ({"ddns_update_style": "interim"}, "a daemon of its own, kea-dhcp-ddns"),
    "a socket elsewhere": ({"kea": {"control_socket": "/tmp/s"}}, "/run/kea/kea4-ctrl-socket"),
    "a silence shorter than a heartbeat": (
        {"kea": {"heartbeat_delay": "10s", "max_response_delay": "10s"}},
        "ipalias:dhcp:kea:max_response_delay: the peer counts as silent after 10 s",
    ),
    "more than Kea's 16 bits of milliseconds": (
        {"kea": {"max_ack_delay": "129s"}},
        "ipalias:dhcp:kea:max_ack_delay",
    ),
    "a silence beyond them": (
        {"kea": {"max_response_delay": "66s"}},
        "ipalias:dhcp:kea:max_response_delay",
    ),
    "a heartbeat beyond them": (
        {"kea": {"heartbeat_delay": "66s", "max_response_delay": "60s"}},
        "ipalias:dhcp:kea:heartbeat_delay",
    ),
    "a database without a name": ({"kea": {"lease_database": {"type": "mysql"}}}, "`name` is"),
    "both on PostgreSQL of their own": (
        {"kea": {"lease_database": {"type": "postgresql", "name": "k", "replicated": True}}},
        "ipalias:dhcp:kea:lease_database:replicated: PostgreSQL on each member has no replication",
    ),
    "both on PostgreSQL of their own by another spelling": (
        {
            "kea": {
                "lease_database": {
                    "type": "postgresql",
                    "name": "k",
                    "host": "LocalHost",
                    "replicated": True,
                }
            }
        },
        "ipalias:dhcp:kea:lease_database:replicated: PostgreSQL on each member has no replication",
    ),
    "a database on a member by its name": (
        {"kea": {"lease_database": {"type": "mysql", "name": "kea", "host": "DHCP2"}}},
        "lease_database:host: dhcp2 is dhcp2's own: while it is down dhcp1 had no database",
    ),
    "a database on a member": (
        {"kea": {"lease_database": {"type": "mysql", "name": "kea", "host": "192.0.2.20"}}},
        "lease_database:host: 192.0.2.20 is dhcp2's own: while it is down dhcp1 had no database",
    ),
    "a database's word for a file": ({"kea": {"lease_database": {"user": "kea"}}}, "in a file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    at, said = BAD[case]
    assert said in refused(**at)


@pytest.mark.parametrize("case", KEA)
def test_bad_input_for_kea_is_named(case: str) -> None:
    at, said = KEA[case]
    assert said in refused(implementation="kea", **at)


def test_a_password_is_in_no_message() -> None:
    store = {"type": "mysql", "name": "kea", "password": "s3cret with blanks"}
    told = refused(implementation="kea", kea__lease_database=store)
    assert "lease_database:password" in told
    assert "s3cret" not in told


def test_a_member_may_be_on_a_network_without_clients() -> None:
    link = {"subnet": "198.51.100.0/30"}
    members = {
        "dhcp1": {"address": "198.51.100.1", "role": "primary"},
        "dhcp2": {"address": "198.51.100.2", "role": "secondary"},
    }
    config = parsed(pair__members=members, subnets=[*LEAST["subnets"], link])
    assert config.subnets[1].ranges == ()


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_minion_without_the_block_is_told_so_and_what_to_do(nothing: object) -> None:
    with pytest.raises(InputError, match="pillar describes no pair") as caught:
        parse_dhcp(nothing)
    assert "saltutil.refresh_pillar" in str(caught.value)


def test_numbers_that_cannot_keep_a_promise_are_refused() -> None:
    assert "within: after a cut a client may wait 14 s, not 10 s: silence of max_resp" in refused(
        within="10s"
    )
    assert "after a kill a client may wait 194" in refused(implementation="kea", within="1m")
    assert "or take `profile: short`" in refused(within="10s")
    standby = {"implementation": "kea", "profile": "short", "kea": {"mode": "hot-standby"}}
    assert "`kea:max_ack_delay` is by default" in refused(within="90s", **standby)
    standby["kea"] = {"mode": "hot-standby", "max_ack_delay": "1s"}
    assert parsed(within="90s", **standby).profile == "short"
    assert "by default" not in refused(within="20s", **standby)
    told = refused(within="3s", profile="short")
    assert "shorten these, or allow more" in told and "profile: short" not in told
    assert parsed(within="10s", profile="short").profile == "short"


# Who a host is


def test_a_host_is_found_by_its_minion_id() -> None:
    assert find_member(parsed(), "dhcp2", []).name == "dhcp2"


def test_a_host_is_found_by_its_address() -> None:
    assert find_member(parsed(), "web-7", ["203.0.113.7", "192.0.2.20"]).name == "dhcp2"


def test_a_host_that_is_not_in_the_block_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("'web-7', is neither of dhcp1 (192.0.2.10)")):
        find_member(parsed(), "web-7", ["203.0.113.7"])


def test_a_host_that_is_both_is_refused() -> None:
    with pytest.raises(InputError, match="both are this host"):
        find_member(parsed(), "web-7", ["192.0.2.10", "192.0.2.20"])


@pytest.mark.parametrize("name", ["a\nb", "\0", "\u202e", "x" * 1_000_000, 7])
def test_an_options_name_is_shown_so_that_it_is_one_line(name: Any) -> None:
    text = refused(subnets__0__options={name: 1})
    assert "ipalias:dhcp:subnets[0]:options:" in text and text.isprintable()
    assert len(text) < 1300


# What a host contradicts


def misplaced(addresses: dict[str, list[str]], me: int = 0, **at: Any) -> str:
    config = parsed(**at)
    with pytest.raises(InputError) as caught:
        refuse_misplaced(config, config.pair.members[me], addresses)
    return str(caught.value)


def test_a_host_with_the_others_address_is_not_told_to_add_its_own() -> None:
    """Two minions of one id, or addresses exchanged: to add it would be to have it twice."""
    text = misplaced({"eth0": ["192.0.2.20/24"]})
    assert "dhcp1 by its minion id, and dhcp2 by its address 192.0.2.20" in text
    assert "an id of its own" in text and "add it" not in text


def test_a_host_as_declared_is_taken() -> None:
    config = parsed()
    refuse_misplaced(config, config.pair.primary, ADDRESSES)


def test_an_address_that_is_not_on_the_host_is_refused() -> None:
    told = misplaced({"eth0": ["192.0.2.9/24"]})
    assert "ipalias:dhcp:pair:members:dhcp1:address: 192.0.2.10 is not an address of this" in told


def test_an_address_of_the_peer_on_the_host_is_refused() -> None:
    told = misplaced({"eth0": ["192.0.2.10/24", "192.0.2.20/24"]})
    assert "members:dhcp2:address: 192.0.2.20, the peer's, is an address of this host" in told


def test_an_interface_that_there_is_not_is_refused() -> None:
    assert "interfaces[0]: there is no interface eth7" in misplaced(ADDRESSES, interfaces=["eth7"])


def test_an_interface_without_a_declared_network_is_refused() -> None:
    addresses = {**ADDRESSES, "eth1": ["203.0.113.5/24"]}
    told = misplaced(addresses, interfaces=["eth0", "eth1"])
    assert "interfaces[1]: no subnet declares a network of eth1" in told


def test_an_address_of_the_host_inside_the_pool_is_refused() -> None:
    told = misplaced({"eth0": ["192.0.2.10/24", "192.0.2.120/24"]})
    assert "subnets[0]:ranges[0]: 192.0.2.120, an address of this host, is in the pool" in told


@pytest.mark.parametrize("address", ["192.0.2.10", "0.0.0.0", "::"])
def test_a_port_in_use_is_refused(address: str) -> None:
    config = parsed()
    where = f"{config.pair.where}:members"
    with pytest.raises(InputError, match="members:dhcp1:port: nginx listens on"):
        refuse_taken(config.pair.primary, {(address, 647): "nginx"}, where)


def test_a_port_of_another_address_or_program_is_none_of_ours() -> None:
    config = parsed()
    refuse_taken(config.pair.primary, {("192.0.2.99", 647): "x", ("0.0.0.0", 648): "y"}, "")


# Documentation


def example(kea: bool) -> Any:
    """Return the block of pillar.example, its comments taken off."""
    text = (Path(__file__).parents[2] / "pillar.example").read_text()
    inside = text.partition("  # dhcp:\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("  #   ") for line in inside.splitlines()]
    if kea:
        lines = [re.sub(r"^# ( *[a-z_]+:)", r"\1", line) for line in lines]
        lines = [line.replace(": isc ", ": kea ") for line in lines]
    return yaml.safe_load("\n".join(lines))


def test_the_example_is_the_guides_pair() -> None:
    assert parse_dhcp(example(kea=False)).pair == parsed(GUIDE).pair


def test_the_example_is_a_pair_of_kea_by_the_one_word() -> None:
    block = {**example(kea=False), "implementation": "kea"}
    assert parse_dhcp(block).pair.kea == parsed(implementation="kea").pair.kea


def test_the_example_has_every_key_of_the_block() -> None:
    block = example(kea=True)
    assert set(block) == set(DHCP_KEYS)
    # A promise for ISC's numbers.
    del block["within"]
    config = parse_dhcp(block)
    assert config.pair.kea == parsed(implementation="kea").pair.kea
    assert config.partner_down.witness == "gw1"


def test_every_key_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/dhcp.md").read_text()
    keys = {
        *DHCP_KEYS,
        *LIMIT_KEYS,
        *PARTNER_DOWN_KEYS,
        *config_pair.PAIR_KEYS,
        *config_pair.MEMBER_KEYS,
        *config_pair.KEA_KEYS,
        *config_pair.LEASE_KEYS,
        *config_subnets.SUBNET_KEYS,
        *config_subnets.RANGE_KEYS,
        *config_subnets.RESERVATION_KEYS,
    }
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
