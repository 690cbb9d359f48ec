"""The pillar block: every form it takes, and every slip it names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.addresses import parse_cidr, parse_item, parse_label, parse_named
from saltext.ipalias.errors import InputError
from saltext.ipalias.pillar import Announce, iter_aliases, parse_announce, parse_pillar
from saltext.ipalias.values import parse_bool, parse_interface

WHERE = "ipalias:interfaces:eth0:addresses[0]"


def item(value: object) -> list[tuple[str, int]]:
    return [(alias.address, alias.prefix) for alias in parse_item(value, "eth0", WHERE)]


def pillar(*addresses: object, **settings: object) -> dict[str, Any]:
    return {"interfaces": {"eth0": {"addresses": list(addresses), **settings}}}


def refused(data: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_pillar(data)
    return str(caught.value)


# Forms


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("198.51.100.10", [("198.51.100.10", 32)]),
        ("198.51.100.10/32", [("198.51.100.10", 32)]),
        ("198.51.100.11/24", [("198.51.100.11", 24)]),
        ("198.51.100.10/31", [("198.51.100.10", 31)]),
        ("2001:db8::10", [("2001:db8::10", 128)]),
        ("2001:DB8:0:0::10/64", [("2001:db8::10", 64)]),
        ("2001:db8::/127", [("2001:db8::", 127)]),
        ({"address": "198.51.100.11/32"}, [("198.51.100.11", 32)]),
        ({"address": "198.51.100.11"}, [("198.51.100.11", 32)]),
        ({"address": "198.51.100.1-198.51.100.2"}, [("198.51.100.1", 32), ("198.51.100.2", 32)]),
        ("198.51.100.7-198.51.100.7", [("198.51.100.7", 32)]),
        ("2001:db8::1-2001:db8::2", [("2001:db8::1", 128), ("2001:db8::2", 128)]),
        ({"block": "203.0.113.16/31"}, [("203.0.113.16", 32), ("203.0.113.17", 32)]),
        ({"block": "203.0.113.16/32"}, [("203.0.113.16", 32)]),
        ({"block": "2001:db8::4/127"}, [("2001:db8::4", 128), ("2001:db8::5", 128)]),
    ],
)
def test_an_item_means(value: object, meant: list[tuple[str, int]]) -> None:
    assert item(value) == meant


def test_a_range_is_each_address_of_it() -> None:
    listed = item("198.51.100.64-198.51.100.79")
    assert len(listed) == 16
    assert listed[0] == ("198.51.100.64", 32)
    assert listed[-1] == ("198.51.100.79", 32)


def test_a_block_is_each_address_of_it_edges_included() -> None:
    listed = item({"block": "203.0.113.16/28"})
    assert listed == [(f"203.0.113.{last}", 32) for last in range(16, 32)]


def test_label_and_source_are_kept() -> None:
    (alias,) = parse_item(
        {"address": "198.51.100.11/32", "label": "failover1", "source": "never"}, "eth0", WHERE
    )
    assert (alias.label, alias.source, alias.where) == ("failover1", "never", WHERE)
    assert alias.never_source
    assert alias.netmask == "255.255.255.255"
    assert alias.broadcast == alias.network == "198.51.100.11"


def test_a_policy_may_stand_on_a_range_and_a_block() -> None:
    for value in (
        {"address": "198.51.100.1-198.51.100.3", "source": "never"},
        {"block": "198.51.100.0/30", "source": "never"},
    ):
        assert all(alias.never_source for alias in parse_item(value, "eth0", WHERE))


@given(st.integers(1, 254), st.integers(0, 40))
def test_a_range_has_as_many_addresses_as_it_spans(first: int, more: int) -> None:
    last = min(first + more, 254)
    listed = item(f"198.51.100.{first}-198.51.100.{last}")
    assert [address for address, _ in listed] == [
        f"198.51.100.{number}" for number in range(first, last + 1)
    ]


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    try:
        found = parse_item(text, "eth0", WHERE)
    except InputError as error:
        assert str(error).startswith(WHERE)
        assert "\n" not in str(error)
        assert len(str(error)) < 600
    else:
        assert all(alias.address.isascii() for alias in found)


# Bad input: what it says


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("203.0.113.300/32", "'203.0.113.300/32' is not an IP address"),
        ("198.51.100.010", "is not an IP address"),
        ("198.51.100", "is not an IP address"),
        ("fe80::1%eth0", "is not an IP address"),
        ("", "is not an IP address"),
        (" 198.51.100.1", "is not an IP address"),
        ("198.51.100.1\n", "is not an IP address"),
        ("\uff1198.51.100.1", "is not an IP address"),
        ("198.51.100.1/33", "prefix length 33; an IPv4 prefix length is 1 to 32"),
        ("198.51.100.1/0", "prefix length 0"),
        ("2001:db8::1/129", "prefix length 129; an IPv6 prefix length is 1 to 128"),
        ("198.51.100.1/", "no readable prefix length"),
        ("198.51.100.1/-1", "has a prefix in a range"),
        ("198.51.100.1/24/24", "no readable prefix length"),
        ("198.51.100.1/255.255.255.0", "no readable prefix length"),
        ("198.51.100.64/28", "write {block: 198.51.100.64/28}"),
        ("2001:db8::/64", "write {block: 2001:db8::/64}"),
        ("198.51.100.79/28", "is the broadcast address of 198.51.100.64/28"),
        ("224.0.0.1", "is a multicast address"),
        ("ff02::1", "is a multicast address"),
        ("0.0.0.0", "is an unspecified address"),
        ("0.1.2.3", "is an unspecified address"),
        ("::", "is an unspecified address"),
        ("255.255.255.255", "is the limited broadcast address"),
        ("::ffff:192.0.2.1", "is an embedded IPv4 address"),
        ("198.51.100.9-198.51.100.1", "lower to a higher address of one family"),
        ("198.51.100.9-2001:db8::1", "lower to a higher address of one family"),
        ("198.51.100.1/32-198.51.100.9/32", "has a prefix in a range"),
        ("198.51.100.1-", "is not an IP address"),
        ("2001:db8::-2001:db8::ff:ffff", "has 16777216 addresses"),
        ({"block": "2001:db8::/64"}, "a range or block holds at most 65536"),
        ({"block": "203.0.113.17/28"}, "does not start at its network address; write 203.0.113.16"),
        ({"block": "203.0.113.16"}, "is not a block; write NETWORK/PREFIX"),
        ({"block": "203.0.113.16/33"}, "no readable prefix length"),
        ({"block": "203.0.113.16/28", "label": "x"}, "label 'x' on a block"),
        ({"block": "203.0.113.16/28", "address": "203.0.113.16"}, "either `address` or `block`"),
        ({}, "either `address` or `block`"),
        ({"adress": "198.51.100.1"}, "unknown key 'adress'; did you mean `address`?"),
        ({"address": "198.51.100.1", "lable": "x"}, "unknown key 'lable'; did you mean `label`?"),
        ({"address": "198.51.100.1", "source": "nver"}, "did you mean `never`?"),
        ({"address": 3325256705}, "3325256705 is not an IP address"),
        (17, "17 is not a mapping"),
        (None, "either `address` or `block`"),
        (["198.51.100.1"], "list is not a mapping"),
    ],
)
def test_a_slip_is_named(value: object, said: str) -> None:
    message = refused(pillar(value))
    assert message.startswith(WHERE)
    assert said in message


def test_a_label_on_a_range_would_name_several_alike() -> None:
    message = refused(pillar({"address": "198.51.100.1-198.51.100.2", "label": "x"}))
    assert "label 'x' on a range" in message


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("sixteen-letters0", "has 16 characters; Linux takes at most 15"),
        ("a b", "forbidden character"),
        ("-x", "forbidden character"),
        ("", "forbidden character"),
        ("ä", "forbidden character"),
        ("x\n", "forbidden character"),
        (True, "True is not a label"),
        ([1], "list is not a label"),
    ],
)
def test_a_label_is_refused(label: object, said: str) -> None:
    message = refused(pillar({"address": "198.51.100.1", "label": label}))
    assert message.startswith(f"{WHERE}:label")
    assert said in message


@pytest.mark.parametrize("label", ["failover1", "eth0:x", "a.b-c_d", 7, "fifteen-letters"])
def test_a_label_is_taken(label: object) -> None:
    assert parse_label(label, WHERE) == str(label)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "ipalias: list is not a mapping"),
        ({"interface": {}}, "unknown key 'interface'; did you mean `interfaces`?"),
        ({"zzz": 1}, "unknown key 'zzz'; known keys: interfaces, backend"),
        ({"interfaces": ["eth0"]}, "ipalias:interfaces: list is not a mapping"),
        ({"interfaces": {"eth0:1": {}}}, "'eth0:1' is not an interface name"),
        ({"interfaces": {"eth0": ["198.51.100.1"]}}, "ipalias:interfaces:eth0: list is not a"),
        ({"interfaces": {"../x": {}}}, "is not an interface name"),
        ({"interfaces": {5: {}}}, "5 is not an interface name"),
        ({"interfaces": {"a" * 16: {}}}, "is not an interface name"),
        ({"interfaces": {"eth0": {"address": []}}}, "did you mean `addresses`?"),
        ({"interfaces": {"eth0": {"addresses": "198.51.100.1"}}}, "is not a list; start each"),
        ({"backend": "ifupdwn"}, "ipalias:backend: 'ifupdwn' is unknown; did you mean `ifupdown`?"),
        ({"backend": None}, "ipalias:backend: None is unknown"),
        ({"purge": "al"}, "did you mean `all`?"),
        ({"adopt": "yes"}, "ipalias:adopt: 'yes' is not true or false"),
        ({"announce": 61}, "count 61 is not 0 to 60"),
        ({"announce": True}, "count True is not 0 to 60"),
        ({"announce": {"count": 1, "interval": 11}}, "interval 11 is not 0 to 10"),
        ({"announce": {"interval": True}}, "interval True is not 0 to 10"),
        ({"announce": {"interval": float("nan")}}, "interval nan is not 0 to 10"),
        ({"announce": {"cont": 1}}, "did you mean `count`?"),
        ({"form": "postup"}, "did you mean `post-up`?"),
    ],
)
def test_a_wrong_block_is_named(data: object, said: str) -> None:
    assert said in refused(data)


@pytest.mark.parametrize(
    "addresses",
    [
        ["198.51.100.10", "198.51.100.10"],
        ["198.51.100.10", "198.51.100.10/24"],
        ["198.51.100.10", {"address": "198.51.100.10", "label": "x"}],
        ["198.51.100.8-198.51.100.12", "198.51.100.10"],
        [{"block": "198.51.100.8/29"}, "198.51.100.10"],
    ],
)
def test_an_address_stands_once(addresses: list[object]) -> None:
    message = refused(pillar(*addresses))
    assert message.startswith("ipalias:interfaces:eth0:addresses[1]: 198.51.100.10/")
    assert "already stands at ipalias:interfaces:eth0:addresses[0]" in message


def test_two_forms_of_one_ipv6_address_are_the_same() -> None:
    assert "already stands" in refused(pillar("2001:db8::10", "2001:DB8:0:0:0::0010"))


def test_an_address_stands_on_one_interface() -> None:
    data = {
        "interfaces": {
            "eth0": {"addresses": ["198.51.100.10"]},
            "default": {"addresses": ["198.51.100.10"]},
        }
    }
    message = refused(data)
    assert message.startswith("ipalias:interfaces:default:addresses[0]")
    assert "ipalias:interfaces:eth0:addresses[0]" in message


# Settings


def test_an_interface_takes_over_the_settings_of_the_top() -> None:
    config = parse_pillar(
        {
            "backend": "ifupdown",
            "purge": "none",
            "adopt": True,
            "announce": {"count": 5, "interval": 1},
            "form": "post-up",
            "interfaces": {
                "eth0": None,
                "eth1": {
                    "backend": "networkd",
                    "purge": "all",
                    "adopt": False,
                    "announce": 0,
                    "form": "stanza",
                },
            },
        }
    )
    eth0, eth1 = config.interfaces["eth0"], config.interfaces["eth1"]
    assert (eth0.backend, eth0.purge, eth0.adopt) == ("ifupdown", "none", True)
    assert (eth0.announce, eth0.options) == (Announce(5, 1.0), {"form": "post-up"})
    assert (eth1.backend, eth1.purge, eth1.adopt) == ("networkd", "all", False)
    assert (eth1.announce, eth1.options) == (Announce(0), {"form": "stanza"})


def test_nothing_is_a_valid_pillar() -> None:
    for data in (None, {}, {"interfaces": None}, {"interfaces": {}}):
        assert dict(parse_pillar(data).interfaces) == {}


def test_keys_of_other_components_are_left_to_them() -> None:
    parse_pillar({"dsr": {"x": 1}, "wan": 5, "dhcp": None})


def test_the_pillar_may_lie_elsewhere() -> None:
    with pytest.raises(InputError, match=r"^site:net:interfaces:eth0:addresses\[0\]: "):
        parse_pillar(pillar("x"), "site:net")


def test_aliases_come_in_the_order_of_the_pillar() -> None:
    config = parse_pillar(pillar("198.51.100.9", "198.51.100.1-198.51.100.2", "2001:db8::1"))
    listed = [alias.address for alias in iter_aliases(config)]
    assert listed == ["198.51.100.9", "198.51.100.1", "198.51.100.2", "2001:db8::1"]


# Arguments


def test_an_address_can_be_named_without_its_prefix() -> None:
    assert parse_named("198.51.100.1", "address") == ("198.51.100.1", None)
    assert parse_named("198.51.100.1/24", "address") == ("198.51.100.1", 24)
    with pytest.raises(InputError, match=r"^address: None is not an IP address"):
        parse_named(None, "address")


def test_arguments_are_checked_for_their_kind() -> None:
    assert parse_interface("default", "interface") == "default"
    assert parse_bool(False, "test") is False
    assert parse_announce(3, "announce") == Announce(3)
    assert parse_cidr("198.51.100.1", "address") == ("198.51.100.1", 32)
    with pytest.raises(InputError, match=r"^interface: 3 is not an interface name"):
        parse_interface(3, "interface")
    with pytest.raises(InputError, match=r"^test: 'no' is not true or false"):
        parse_bool("no", "test")


def test_a_message_is_one_short_line_whatever_the_value() -> None:
    # As YAML reads a hexadecimal number: Python writes none so long out in digits.
    huge = 1 << 20000
    listed = ("x" * 5000, "a\nb", "\udcff", {"k" * 5000: 1}, ["x"] * 5000)
    for value in (*listed, huge, {huge: 1}, {"address": "198.51.100.1", "label": huge}):
        message = refused(pillar(value))
        assert len(message) < 700
        assert "\n" not in message
        message.encode("utf-8")
