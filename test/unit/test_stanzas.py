"""The model of interfaces(5), held against what ifupdown 0.8.41 said to the same texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.errors import ParseError
from saltext.ipalias.text.hooklines import parse_address, parse_command, parse_netmask
from saltext.ipalias.text.stanzas import parse_interfaces, without_class_word

TEXT = """\
# comment \\
auto lo eth0 \\
 eth1
iface  eth0\tinet static
  address 192.0.2.10
\tnetmask 255.255.255.0
  # inside
  up  echo one \\
      two
# after

allow-hotplug eth1
iface eth1 inet6 auto
mapping eth*
 script /bin/map
 map HOME work
source interfaces.d/*
source-dir other
iface base inet static inherits other
"""


def test_stanzas_options_and_lines() -> None:
    document = parse_interfaces(TEXT, "f")
    assert document.text == TEXT
    assert [(s.kind, *s.words, s.first + 1) for s in document.stanzas] == [
        ("auto", "lo", "eth0", "eth1", 2),
        ("iface", "eth0", "inet", "static", 4),
        ("allow-hotplug", "eth1", 12),
        ("iface", "eth1", "inet6", "auto", 13),
        ("mapping", "eth*", 14),
        ("source", "interfaces.d/*", 17),
        ("source-directory", "other", 18),
        ("iface", "base", "inet", "static", "inherits", "other", 19),
    ]
    eth0 = document.ifaces("eth0")[0]
    assert (eth0.family, eth0.method, eth0.inherits, eth0.last) == ("inet", "static", "", 8)
    assert eth0.values("address") == ["192.0.2.10"]
    assert eth0.values("up") == ["echo one       two"]
    assert document.ifaces("base")[0].inherits == "other"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("address 1.2.3.4\n", 1),
        ("auto eth0\nnonsense x\n", 2),
        ("iface eth0 inet manual\nauto eth0\n mtu 1500\n", 3),
        ("iface\n", 1),
        ("iface eth0\n", 1),
        ("iface eth0 inet\n", 1),
        ("iface eth0 inet static\n\n address\n", 3),
        ("mapping eth*\n map x\n bogus x\n", 3),
        ("foo-bar eth0\n", 1),
    ],
)
def test_what_ifup_refuses_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ParseError) as error:
        parse_interfaces(text, "/etc/network/interfaces")
    assert str(error.value).startswith(f"/etc/network/interfaces:{line}: ")
    assert parse_interfaces(text, "f", strict=False).text == text


def test_a_short_iface_is_read_where_the_flavour_reads_it() -> None:
    document = parse_interfaces("iface eth0\n address 192.0.2.1/24\n", "f", short_iface=True)
    assert document.stanzas[0].family == "" and document.stanzas[0].method == ""


@given(st.text(st.sampled_from("auto iface inet eth0:1#\\\n\r\t \x0b\x85\udcff"), max_size=80))
def test_any_text_is_kept(text: str) -> None:
    assert parse_interfaces(text, "f", strict=False).text == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("auto lo\nauto eth0:0\n", "auto lo\n"),
        ("auto lo eth0:0 eth0:01\r\n", "auto lo eth0:01\r\n"),
        ("allow-hotplug eth0:0 eth1\n", "allow-hotplug eth1\n"),
        (
            "auto a \\\n  eth0:0\niface eth0:0 inet manual\n",
            "auto a \\\n\niface eth0:0 inet manual\n",
        ),
    ],
)
def test_a_name_leaves_its_class_lines(text: str, left: str) -> None:
    document = parse_interfaces(text, "f")
    assert document.without(without_class_word(document, "eth0:0")) == left


@pytest.mark.parametrize(
    ("value", "adds", "cidr", "label"),
    [
        ("/sbin/ifconfig eth0:0 203.0.113.9 netmask 255.255.255.255 broadcast 203.0.113.9",
         True, "203.0.113.9/32", "eth0:0"),
        ("ifconfig eth0:1 203.0.113.9", True, "203.0.113.9/24", "eth0:1"),
        ("ifconfig eth0:1 10.9.8.7 up", True, "10.9.8.7/8", "eth0:1"),
        ("ifconfig eth0 inet6 add 2001:db8::9/64", True, "2001:db8::9/64", None),
        ("/sbin/ifconfig eth0:0 down", False, "/0", "eth0:0"),
        ("ip addr add 203.0.113.9/32 dev eth0 label eth0:0", True, "203.0.113.9/32", "eth0:0"),
        ("/sbin/ip a a 203.0.113.9 dev $IFACE || true", True, "203.0.113.9/32", None),
        ("ip -6 address add 2001:DB8::9/128 dev ${IFACE} >/dev/null 2>&1 || :",
         True, "2001:db8::9/128", None),
        ("ip -f inet addr replace dev \"$IFACE\" local 203.0.113.9/29 brd +",
         True, "203.0.113.9/29", None),
        ("ip addr del 203.0.113.9/32 dev eth0", False, "203.0.113.9/32", None),
    ],
)  # fmt: skip
def test_address_commands_in_both_spellings(
    value: str, adds: bool, cidr: str, label: str | None
) -> None:
    command = parse_command(value, "eth0")
    assert command is not None
    assert (command.adds, f"{command.address}/{command.prefix}") == (adds, cidr)
    assert (command.device, command.label, command.pure) == ("eth0", label, True)


@pytest.mark.parametrize(
    "value",
    [
        *("", "echo ip addr add 203.0.113.9/32 dev eth0", "ip route add default via 192.0.2.1"),
        *("ip link set eth0 up", "ip addr add <IP> dev eth0", "ip addr add 203.0.113.9/32"),
        *("ifconfig eth0 up", "route add -net 192.0.2.0", "ip addr flush dev eth0"),
    ],
)
def test_other_commands_are_left_alone(value: str) -> None:
    assert parse_command(value, "eth0") is None


def test_a_line_that_does_more_is_known() -> None:
    command = parse_command("ip addr add 203.0.113.9/32 dev eth0; arping -U 203.0.113.9", "eth0")
    assert command is not None and not command.pure


def test_masks_and_bare_addresses() -> None:
    assert parse_netmask("255.255.254.0") == 23
    assert parse_netmask("ffff:ffff:ffff:ffff::") == 64
    assert parse_netmask("255.0.255.0") is None
    # What `ifquery` of 0.8.41 fills in for an address without a mask.
    assert parse_address("10.1.2.3", None) == ("10.1.2.3", 8)
    assert parse_address("172.16.1.1", None) == ("172.16.1.1", 16)
    assert parse_address("203.0.113.9", None) == ("203.0.113.9", 24)
    assert parse_address("203.0.113.9/33", None) is None
