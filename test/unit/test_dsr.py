"""The block ``ipalias:dsr``: what it means, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from saltext.ipalias.dsr import DsrConfig, parse_dsr
from saltext.ipalias.errors import InputError
from saltext.ipalias.pillar import parse_pillar

VIP4, VIP6 = "203.0.113.80", "2001:db8::80"


def parsed(system: str = "linux", **block: Any) -> DsrConfig:
    return parse_dsr({"dsr": block}, "ipalias", system)


def test_the_smallest_block_silences_the_whole_host() -> None:
    config = parsed(vips=[VIP4, VIP6])
    assert [vip.cidr for vip in config.vips] == [f"{VIP4}/32", f"{VIP6}/128"]
    assert (config.scope, config.interfaces, config.loopback) == ("all", (), None)
    assert config.families == {4, 6}
    assert [vip.interface for vip in config.on("lo")] == ["lo", "lo"]


def test_each_vip_says_where_it_stands() -> None:
    assert [vip.where for vip in parsed(vips=[VIP4, VIP6]).vips] == [
        "ipalias:dsr:vips[0]",
        "ipalias:dsr:vips[1]",
    ]


@pytest.mark.parametrize("data", [None, {}, {"dsr": None}, {"dsr": {}}, {"dsr": {"vips": []}}])
def test_without_a_vip_none_is_wanted(data: object) -> None:
    assert parse_dsr(data).vips == ()


def test_one_word_stands_for_a_list_of_one() -> None:
    config = parsed(vips=VIP4, interfaces="eth0", scope="interfaces")
    assert config.addresses == (VIP4,)
    assert config.interfaces == ("eth0",)


def test_its_own_prefix_may_be_written_out() -> None:
    assert parsed(vips=[f"{VIP4}/32", f"{VIP6}/128"]).addresses == (VIP4, VIP6)


def test_an_address_is_taken_in_any_writing() -> None:
    assert parsed(vips=["2001:DB8:0::80"]).addresses == (VIP6,)


@pytest.mark.parametrize(
    ("block", "where", "what"),
    [
        ({"vips": [f"{VIP4}/24"]}, "vips[0]", "is not a single address"),
        ({"vips": [VIP4, f"{VIP6}/64"]}, "vips[1]", "a VIP is a /128"),
        ({"vips": ["203.0.113.300"]}, "vips[0]", "is not an IP address"),
        ({"vips": ["224.0.0.18"]}, "vips[0]", "is a multicast address"),
        ({"vips": ["ff02::1"]}, "vips[0]", "is a multicast address"),
        ({"vips": ["0.0.0.0"]}, "vips[0]", "is an unspecified address"),
        ({"vips": ["255.255.255.255"]}, "vips[0]", "is the limited broadcast address"),
        ({"vips": ["127.0.0.2"]}, "vips[0]", "is the host's own loopback address"),
        ({"vips": ["::1"]}, "vips[0]", "is the host's own loopback address"),
        ({"vips": ["169.254.1.1"]}, "vips[0]", "is a link-local address"),
        ({"vips": ["fe80::1"]}, "vips[0]", "is a link-local address"),
        ({"vips": ["203.0.113.80-203.0.113.90"]}, "vips[0]", "is not an IP address"),
        ({"vips": [{"address": VIP4}]}, "vips[0]", "is not an IP address"),
        ({"vips": [VIP4, VIP4]}, "vips[1]", "already stands at ipalias:dsr:vips[0]"),
        ({"vips": ["2001:db8::80", "2001:db8:0::80"]}, "vips[1]", "already stands at"),
        ({"vips": {VIP4: None}}, "vips", "is not a list"),
        ({"vips": [VIP4], "interfaces": ["eth0", "eth0"]}, "interfaces[1]", "stands twice"),
        ({"vips": [VIP4], "interfaces": ["default"]}, "interfaces[0]", "no receiving interface"),
        ({"vips": [VIP4], "interfaces": ["../x"]}, "interfaces[0]", "is not an interface name"),
        ({"vips": [VIP4], "interfaces": []}, "interfaces", "the list is empty"),
        ({"vips": [VIP4], "scope": "interfaces"}, "dsr", "`scope: interfaces` names none"),
        ({"vips": [VIP4], "scope": "lo"}, "scope", "is unknown"),
        ({"vips": [VIP4], "vip": VIP4}, "dsr", "did you mean `vips`?"),
        (
            {"vips": [VIP4], "interfaces": ["eth0"], "loopback": "eth0"},
            "loopback",
            "cannot receive from the balancer",
        ),
        ({"vips": [VIP4], "firewall": "no"}, "firewall", "is not true or false"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    block: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(InputError) as raised:
        parsed(**block)
    place = "ipalias:dsr" if where == "dsr" else f"ipalias:dsr:{where}"
    assert raised.value.where == place
    assert what in raised.value.text()


def test_an_interface_is_called_as_its_system_calls_it() -> None:
    assert parsed("windows", vips=[VIP4], interfaces=["LAN 1"], loopback="LO").loopback == "LO"
    with pytest.raises(InputError):
        parsed("linux", vips=[VIP4], interfaces=["LAN 1"])


@pytest.mark.parametrize(
    "listed",
    [
        [VIP4],
        [{"address": f"{VIP4}/32"}],
        ["203.0.113.79-203.0.113.81"],
        [{"block": "203.0.113.80/30"}],
    ],
)
def test_a_vip_among_the_aliases_is_refused_from_both_sides(listed: list[Any]) -> None:
    """In an alias list it would be answered for, and the alias state may run first."""
    pillar = {
        "dsr": {"vips": [VIP6, VIP4]},
        "interfaces": {"eth0": {"addresses": listed}},
    }
    with pytest.raises(InputError, match=r"ipalias:dsr:vips\[1\]") as raised:
        parse_pillar(pillar)
    assert raised.value.where.startswith("ipalias:interfaces:eth0:addresses[0]")


@pytest.mark.parametrize("dsr", [None, [], {"vips": 5}, {"vips": [5, None, "x"]}, "x"])
def test_aliases_do_not_mind_what_is_wrong_with_the_block(dsr: object) -> None:
    pillar = {"dsr": dsr, "interfaces": {"eth0": {"addresses": [VIP4]}}}
    assert len(parse_pillar(pillar).interfaces["eth0"].aliases) == 1
