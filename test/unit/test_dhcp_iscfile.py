"""A dhcpd.conf that stands: read, included into without a trace, and what of it Kea can have."""

from __future__ import annotations

import random
import re

import pytest

from rig.dhcppair import GUIDE, LEAST, changed
from saltext.ipalias.dhcp import isc, iscfile
from saltext.ipalias.dhcp.config import find_member, parse_dhcp
from saltext.ipalias.dhcp.convert import Converted, convert
from saltext.ipalias.dhcp.kea import render_kea
from saltext.ipalias.errors import ParseError, RefusedError

MAIN = isc.MAIN
STANDING = """# What somebody wrote: "quoted", {braces} and ; in a comment
option domain-name "old.example";   # trailing
option routers 198.51.100.1, 198.51.100.2;
default-lease-time 300;
class "phones" { match if substring (option vendor-class-identifier, 0, 4) = "PHON"; }
subnet 198.51.100.0 netmask 255.255.255.0 {
  pool { allow members of "phones"; range 198.51.100.10 198.51.100.20; }
}
"""


def parse(text: str) -> tuple[iscfile.Statement, ...]:
    return iscfile.parse(text, MAIN)


def converted(text: str) -> Converted:
    return convert(parse(text))


# Reading


def test_statements_words_and_lines() -> None:
    statements = parse(STANDING)
    assert [(statement.line, statement.texts[0]) for statement in statements] == [
        (2, "option"),
        (3, "option"),
        (4, "default-lease-time"),
        (5, "class"),
        (6, "subnet"),
    ]
    assert statements[1].texts == ("option", "routers", "198.51.100.1", "198.51.100.2")
    block = statements[4].block
    assert block is not None
    assert [inner.text() for inner in block] == ["pool {…}"]
    assert iscfile.network_of(statements[4]) is not None


def test_a_string_keeps_its_case_and_words_have_none() -> None:
    [statement] = parse('OPTION Domain-Name "Corp.Example";')
    assert statement.texts == ("option", "domain-name", "Corp.Example")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subnet 192.0.2.0 netmask 255.255.255.0 {\n  range 192.0.2.1;\n", ":1: a `{` without"),
        ("authoritative;\n}\n", ":2: a `}` that closes nothing"),
        ("authoritative;\noption routers 192.0.2.1\n", ":2: a statement without its `;`"),
        ('authoritative;\noption domain-name "x;\n', ":2: a string without its end"),
        ("host a { fixed-address 192.0.2.1 }", ":1: a statement without its `;`"),
        ("group {" * 60 + "}" * 60, ":1: more than 40 blocks in one another"),
    ],
)
def test_a_file_that_dhcpd_would_refuse_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ParseError, match=re.escape(f"{MAIN}{said}")):
        parse(text)


def test_any_bytes_are_read_or_refused() -> None:
    luck = random.Random(3)
    alphabet = ' \n"\\{};#,ax1"=()é\0'
    for _ in range(3000):
        text = "".join(luck.choices(alphabet, k=luck.randrange(30)))
        try:
            statements = parse(text)
        except ParseError:
            continue
        for statement in iscfile.walk(statements):
            assert text[statement.start : statement.end][-1] in ";}"


# What it includes

FILES = {
    MAIN: 'include "/etc/dhcp/ipalias.conf"; group { include "/etc/dhcp/hosts.conf"; }',
    "/etc/dhcp/hosts.conf": "\nhost a { }",
    "/etc/dhcp/round.conf": 'include "/etc/dhcp/round.conf";',
    "/etc/dhcp/gone.conf": 'authoritative;\ninclude "/etc/dhcp/none.conf";',
}


def test_what_it_includes_stands_in_place() -> None:
    [group] = iscfile.standing(FILES.get, MAIN, [isc.INCLUDED])
    assert group.block is not None
    [host] = group.block
    assert host.where == "/etc/dhcp/hosts.conf:2"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/dhcp/round.conf", "/etc/dhcp/round.conf:1: /etc/dhcp/round.conf includes itself"),
        ("/etc/dhcp/gone.conf", "/etc/dhcp/gone.conf:2: /etc/dhcp/none.conf is not there"),
    ],
)
def test_what_cannot_be_included_is_refused_with_its_line(path: str, said: str) -> None:
    with pytest.raises(ParseError, match=re.escape(said)):
        iscfile.standing(FILES.get, path)


def test_no_file_says_nothing() -> None:
    assert iscfile.standing({}.get, MAIN) == ()


# What both declare


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nsubnet 192.0.2.0 netmask 255.255.255.128 { }", ":2: declares 192.0.2.0/25, and so"),
        ('failover peer "other" { primary; }', ":1: declares a pair of its own"),
        ("omapi-port 7911;", ":1: has an OMAPI of its own: omapi-port 7911"),
        ("host p { hardware ethernet 2:0:5e:10:0:1; }", ":1: has a client that the pillar has"),
    ],
)
def test_what_both_declare_is_refused(text: str, said: str) -> None:
    reserved = [{"mac": "02:00:5e:10:00:01", "address": "192.0.2.30"}]
    config = parse_dhcp(changed(LEAST, subnets__0__reservations=reserved))
    with pytest.raises(RefusedError, match=re.escape(f"{MAIN}{said}")) as caught:
        iscfile.refuse_clash(parse(text), config)
    assert "whole: true" in str(caught.value)


def test_what_stands_beside_ours_is_taken() -> None:
    iscfile.refuse_clash(parse(STANDING), parse_dhcp(LEAST))


# What Kea can have


def test_what_we_write_for_isc_comes_back_and_is_keas() -> None:
    reserved = [{"mac": "02:00:5e:10:00:01", "address": "192.0.2.30", "hostname": "printer"}]
    options = {"ntp-servers": ["192.0.2.1"], "interface-mtu": 1400, "ip-forwarding": False}
    block = changed(GUIDE, subnets__0__reservations=reserved, subnets__0__options=options)
    config = parse_dhcp(block)
    told = converted(isc.render_isc(config, config.pair.primary))
    assert [line.partition("`: ")[2] for line in told.left] == ["has no word in the pillar"] * 2
    again = parse_dhcp({**told.block, "interfaces": ["eth0"]})
    assert again.implementation == "kea"
    assert again.subnets == config.subnets
    assert [member.address for member in again.pair.members] == ["192.0.2.10", "192.0.2.20"]
    assert again.pair.max_response_delay == 60
    me = find_member(again, "dhcp2", ["192.0.2.20"])
    assert '"this-server-name": "192.0.2.20"' in render_kea(again, me)


def test_the_guides_options_in_the_pool_are_its_subnets() -> None:
    told = converted(
        """
        subnet 192.0.2.0 netmask 255.255.255.0 {
          pool {
            failover peer "dhcp-failover";
            range 192.0.2.100 192.0.2.200;
            option routers 192.0.2.1;
            default-lease-time 900;
          }
        }"""
    )
    assert told.block["subnets"] == [
        {
            "subnet": "192.0.2.0/24",
            "ranges": ["192.0.2.100-192.0.2.200"],
            "routers": ["192.0.2.1"],
            "default_lease_time": 900,
        }
    ]
    assert told.left == ()


def test_a_scope_hands_down_what_it_says() -> None:
    told = converted(
        """
        option domain-name-servers 198.51.100.53;
        max-lease-time 900;
        subnet 192.0.2.0 netmask 255.255.255.0 { max-lease-time 1200; }
        subnet 198.51.100.0 netmask 255.255.255.0 { }"""
    )
    assert told.block["subnets"] == [
        {
            "subnet": "192.0.2.0/24",
            "domain_name_servers": ["198.51.100.53"],
            "max_lease_time": 1200,
        },
        {
            "subnet": "198.51.100.0/24",
            "domain_name_servers": ["198.51.100.53"],
            "max_lease_time": 900,
        },
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('class "p" { match hardware; }', "has no word in the pillar"),
        ("if known { max-lease-time 9; } else { max-lease-time 8; }", "has no word in the pillar"),
        ("option custom code 239 = text;", "an option that has no name in the pillar"),
        ('include "/etc/dhcp/hosts.conf";', "give what it includes as well"),
        ("ddns-update-style interim;", "Kea leaves DNS to a daemon of its own"),
        ("host p { hardware ethernet 2:0:5e:10:0:1; }", "without one hardware address and one"),
        (
            "host p { hardware ethernet 2:0:5e:10:0:1; fixed-address 203.0.113.9; }",
            "its fixed address is in none of the subnets",
        ),
        (
            "host p { hardware ethernet 2:0:5e:10:0:1; fixed-address printer.example; }",
            "its fixed address is a name, or several",
        ),
        (
            'group { filename "x"; option root-path "/a"; host p { } }',
            "what it says of its clients alone has no word in the pillar",
        ),
        (
            "subnet 192.0.2.0 netmask 255.255.255.0 {"
            " pool { range 192.0.2.5; max-lease-time 90; } pool { range 192.0.2.9; } }",
            "its pools differ in options or lease times",
        ),
        (
            'subnet 192.0.2.0 netmask 255.255.255.0 { pool { allow members of "p"; } }',
            "who may have an address of a pool has no word in the pillar",
        ),
        ("shared-network a { }", "its subnets become subnets of their own"),
        ('failover peer "a" { primary; hba ff; }', "Kea has no such setting of a pair"),
        ("option ntp-servers ntp.example;", "is not an IPv4 address"),
        ("option routers gateway.example;", "'gateway.example' is not an IPv4 address"),
        ('option domain-name "a.example b.example";', "an option that has no name"),
    ],
)
def test_what_has_no_word_is_told_with_its_line(text: str, said: str) -> None:
    told = converted(f"authoritative;\n{text}")
    assert any(line.startswith(f"{MAIN}:2: ") and said in line for line in told.left), told.left


def test_two_pairs_are_told() -> None:
    pair = "{{ primary; address 192.0.2.{0}; peer address 192.0.2.{1}; }}"
    text = f'failover peer "a" {pair.format(1, 2)} failover peer "b" {pair.format(3, 4)}'
    told = converted(text)
    assert "pair" not in told.block
    assert "2 pairs: a host is a member of one" in told.left
