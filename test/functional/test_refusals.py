"""Bad input, one by one: result False, where it stands and the way out; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from loader_minion import NETWORK, Minion

GOOD = "198.51.100.10"
ETH0 = "ipalias:interfaces:eth0"
ITEM = f"{ETH0}:addresses[1]"


def nothing(minion: Minion) -> None:
    """Leave the host as it is."""


def second_link(minion: Minion) -> None:
    """Give the host eth1, by a file of networkd's."""
    minion.host.ip_batch(
        "link add eth1 type veth peer name p1",
        "link set p1 up",
        "link set eth1 up",
        "address add 203.0.113.1/24 dev eth1",
    )
    minion.host.write(
        NETWORK.replace("50-default", "60-second"),
        "[Match]\nName=eth1\n\n[Network]\nAddress=203.0.113.1/24\n",
    )


def unowned_link(minion: Minion) -> None:
    """Give the host eth1, which no file names."""
    second_link(minion)
    minion.host.remove(NETWORK.replace("50-default", "60-second"))


def second_way_out(minion: Minion) -> None:
    """Give the host a default route by eth1 as well."""
    second_link(minion)
    minion.host.ip("route", "add", "default", "via", "203.0.113.254", "dev", "eth1", "metric", "9")


def no_way_out(minion: Minion) -> None:
    """Take the IPv4 default route away."""
    minion.host.ip("-4", "route", "del", "default")


def broken_interfaces(minion: Minion) -> None:
    """Give the host ifupdown, with a stanza that ifupdown cannot read."""
    minion.host.remove(NETWORK)
    minion.host.write(
        "/etc/network/interfaces",
        "auto eth0\niface eth0 inet static\n\taddress 192.0.2.2/24\n\niface eth0\n",
    )


def broken_netplan(minion: Minion) -> None:
    """Give the host netplan, with a file that is no YAML."""
    minion.host.remove(NETWORK)
    minion.host.write(
        "/etc/netplan/10-host.yaml", "network:\n  version: 2\n  ethernets: {eth0: [\n"
    )


def listed(*items: Any, **settings: Any) -> dict[str, Any]:
    """Return a pillar with eth0's list: a good one, then these."""
    return {"interfaces": {"eth0": {"addresses": [GOOD, *items], **settings}}}


class Case(NamedTuple):
    """Hold a pillar, what must be said, and how the host is made ready."""

    pillar: Any
    where: str
    words: tuple[str, ...] = ()
    host: Callable[[Minion], None] = nothing


CASES = {
    "malformed": Case(listed("198.51.100.300"), ITEM, ("198.51.100.300", "not an IP address")),
    "malformed v6": Case(listed("2001:db8::1::2"), ITEM, ("not an IP address",)),
    "leading zero": Case(listed("198.51.100.010"), ITEM, ("not an IP address",)),
    "a number": Case(listed(3325256714), ITEM),
    "empty": Case(listed(""), ITEM, ("not an IP address",)),
    "none": Case(listed(None), ITEM),
    "white space": Case(listed("198.51.100.12 "), ITEM),
    "zone": Case(listed("2001:db8::1%eth0"), ITEM),
    "prefix over 32": Case(listed("198.51.100.12/33"), ITEM, ("33", "32")),
    "prefix over 128": Case(listed("2001:db8::12/129"), ITEM, ("129", "128")),
    "prefix zero": Case(listed("198.51.100.12/0"), ITEM, ("32",)),
    "prefix not a number": Case(listed("198.51.100.12/x"), ITEM),
    "multicast": Case(listed("224.0.0.5"), ITEM, ("multicast",)),
    "multicast v6": Case(listed("ff02::5"), ITEM, ("multicast",)),
    "unspecified": Case(listed("0.0.0.0"), ITEM, ("unspecified",)),
    "unspecified v6": Case(listed("::"), ITEM, ("unspecified",)),
    "limited broadcast": Case(listed("255.255.255.255"), ITEM, ("broadcast",)),
    "loopback on a card": Case(listed("127.0.0.5"), ITEM, ("loopback",)),
    "loopback on a card v6": Case(listed("::1"), ITEM, ("loopback",)),
    "network of a connected subnet": Case(listed("192.0.2.0"), ITEM, ("192.0.2.0/24", "network")),
    "broadcast of a connected subnet": Case(listed("192.0.2.255"), ITEM, ("broadcast",)),
    "own primary": Case(listed("192.0.2.2"), ITEM, ("primary",)),
    "own primary with its prefix": Case(listed("192.0.2.2/24"), ITEM, ("primary",)),
    "own primary v6": Case(listed("2001:db8::2"), ITEM, ("primary",)),
    "duplicate in the list": Case(listed(GOOD), ITEM, (GOOD, f"{ETH0}:addresses[0]")),
    "duplicate of another prefix": Case(listed(f"{GOOD}/24"), ITEM, (f"{ETH0}:addresses[0]",)),
    "duplicate by a range": Case(listed("198.51.100.9-198.51.100.11"), ITEM, (GOOD,)),
    "duplicate v6 written otherwise": Case(
        listed("2001:db8:1::1", "2001:DB8:1:0::1"), f"{ETH0}:addresses[2]", (ITEM,)
    ),
    "duplicate on two interfaces": Case(
        {"interfaces": {"eth0": {"addresses": [GOOD]}, "eth1": {"addresses": [GOOD]}}},
        "ipalias:interfaces:eth1:addresses[0]",
        (f"{ETH0}:addresses[0]",),
        second_link,
    ),
    "live on another interface": Case(
        listed("203.0.113.1"), ITEM, ("eth1",), second_link
    ),
    "label too long": Case(
        listed({"address": "198.51.100.11", "label": "a-label-of-sixteen"}),
        f"{ITEM}:label",
        ("15",),
    ),
    "live label too long": Case(
        {"backend": "ifupdown", **listed({"address": "198.51.100.11", "label": "twelve-chars"})},
        ITEM,
        ("eth0:twelve-chars", "15"),
    ),
    "label with a blank": Case(
        listed({"address": "198.51.100.11", "label": "fail over"}), f"{ITEM}:label", ("forbidden",)
    ),
    "label with a line feed": Case(
        listed({"address": "198.51.100.11", "label": "a\n[Match]"}), f"{ITEM}:label", ("forbidden",)
    ),
    "label of another interface": Case(
        listed({"address": "198.51.100.11", "label": "eth1:x"}), ITEM, ("eth0:",)
    ),
    "label on IPv6": Case(
        listed({"address": "2001:db8:1::1", "label": "six"}), ITEM, ("IPv6", "label")
    ),
    "label on a block": Case(
        listed({"block": "203.0.113.16/28", "label": "b"}), f"{ITEM}:label", ("block",)
    ),
    "unknown source": Case(
        listed({"address": "198.51.100.11", "source": "nevr"}), f"{ITEM}:source", ("never",)
    ),
    "unknown key of an address": Case(
        listed({"adress": "198.51.100.11"}), ITEM, ("adress", "did you mean `address`")
    ),
    "unknown key of an interface": Case(
        listed(adresses=[]), ETH0, ("adresses", "did you mean `addresses`")
    ),
    "unknown key at the top": Case(
        {"interface": {}, **listed()}, "ipalias", ("did you mean `interfaces`",)
    ),
    "network without block": Case(listed("198.51.100.64/28"), ITEM, ("block",)),
    "block off its boundary": Case(
        listed({"block": "203.0.113.17/28"}), f"{ITEM}:block", ("203.0.113.16/28",)
    ),
    "range backwards": Case(listed("198.51.100.79-198.51.100.64"), ITEM, ("lower",)),
    "range of two families": Case(listed("198.51.100.64-2001:db8::1"), ITEM),
    "range without end": Case(listed("2001:db8:1::-2001:db8:2::"), ITEM, ("65536",)),
    "list that is none": Case(
        {"interfaces": {"eth0": {"addresses": GOOD}}}, f"{ETH0}:addresses", ("not a list",)
    ),
    "interface that is no mapping": Case({"interfaces": {"eth0": [GOOD]}}, ETH0, ("mapping",)),
    "interfaces that are no mapping": Case(
        {"interfaces": ["eth0"]}, "ipalias:interfaces", ("mapping",)
    ),
    "pillar that is no mapping": Case(["eth0"], "ipalias", ("mapping",)),
    "unknown interface": Case(
        {"interfaces": {"eth0": {"addresses": [GOOD]}, "eth9": {"addresses": ["198.51.100.11"]}}},
        "ipalias:interfaces:eth9",
        ("eth9", "eth0"),
    ),
    "name no interface can have": Case(
        {"interfaces": {"eth0/../x": {"addresses": [GOOD]}}}, "ipalias:interfaces", ("name",)
    ),
    "unknown backend": Case(
        {"backend": "netword", **listed()}, "ipalias:backend", ("did you mean `networkd`",)
    ),
    "unknown backend of an interface": Case(
        listed(backend="systemd"), f"{ETH0}:backend", ("networkd",)
    ),
    "purge that is no word": Case(listed(purge="yes"), f"{ETH0}:purge", ("owned",)),
    "adopt that is no truth": Case(listed(adopt="yes"), f"{ETH0}:adopt", ("true or false",)),
    "owned by nobody": Case(
        {"interfaces": {"eth0": {"addresses": [GOOD]}, "eth1": {"addresses": ["198.51.100.11"]}}},
        "ipalias:interfaces:eth1",
        ("owned by nobody", "backend"),
        unowned_link,
    ),
    "file not parseable": Case(
        listed(), "/etc/network/interfaces:5", (), broken_interfaces
    ),
    "netplan not parseable": Case(
        {"backend": "netplan", **listed()}, "/etc/netplan/10-host.yaml", (), broken_netplan
    ),
    "more than the backend holds": Case(
        listed("2001:db8:1::-2001:db8:1::2000"), f"{ETH0}:addresses", ("8192", "networkd")
    ),
    "no default route": Case(
        {"interfaces": {"default": {"addresses": [GOOD]}}},
        "ipalias:interfaces:default",
        ("default route",),
        no_way_out,
    ),
    "several default routes": Case(
        {"interfaces": {"default": {"addresses": [GOOD]}}},
        "ipalias:interfaces:default",
        ("eth0", "eth1"),
        second_way_out,
    ),
    "default and its own name": Case(
        {"interfaces": {
            "default": {"addresses": [GOOD]}, "eth0": {"addresses": ["198.51.100.11"]}
        }},
        "ipalias:interfaces:default",
        ("eth0",),
    ),
    "no half of two": Case(
        {"interfaces": {
            "eth0": {"addresses": [GOOD]}, "eth1": {"addresses": ["203.0.113.300"]}
        }},
        "ipalias:interfaces:eth1:addresses[0]",
        ("203.0.113.300",),
        second_link,
    ),
    "no half of two, by the host": Case(
        {"interfaces": {
            "eth0": {"addresses": [GOOD]}, "eth1": {"addresses": ["203.0.113.255"]}
        }},
        "ipalias:interfaces:eth1:addresses[0]",
        ("broadcast",),
        second_link,
    ),
}  # fmt: skip


def states_of(pillar: Any) -> list[tuple[str, str]]:
    """Return the states that the SLS makes of a pillar."""
    interfaces = pillar.get("interfaces") if isinstance(pillar, dict) else None
    names = list(interfaces) if isinstance(interfaces, dict) else []
    return [*(("ipalias.managed", name) for name in names), ("ipalias.pruned", "ipalias")]


@pytest.mark.parametrize("name", CASES)
def test_bad_pillar_is_refused_and_nothing_changes(minion, name):
    case = CASES[name]
    case.host(minion)
    minion.pillar = case.pillar
    states = states_of(case.pillar)
    before = minion.picture("/etc")
    steps = [["state", verb, [arg], {}, test] for test in (True, False) for verb, arg in states]
    outcomes = minion.ask(*steps)
    after = minion.picture("/etc")
    assert not [outcome for outcome in outcomes if outcome.error]
    returned = [outcome.value for outcome in outcomes]
    said = [ret["comment"] for ret in returned if ret["result"] is False]
    assert said, f"nothing was refused: {returned}"
    wrong = [comment for comment in said if case.where in comment]
    assert wrong, said
    for word in case.words:
        assert word in wrong[0], wrong[0]
    # Each interface's state refuses: an error in one leaves no other half applied.
    managed = [o.value for o, step in zip(outcomes, steps, strict=True) if "managed" in step[1]]
    assert not [ret for ret in managed if ret["result"] is not False]
    assert not [ret for ret in returned if ret["changes"]]
    assert after == before
    # What a run refuses, its rehearsal refuses in the same words.
    half = len(returned) // 2
    assert [r["comment"] for r in returned[:half]] == [r["comment"] for r in returned[half:]]


@pytest.mark.parametrize(
    "name", ["pillar that is no mapping", "interfaces that are no mapping", "no half of two"]
)
def test_the_sls_refuses_it_too(minion, name):
    case = CASES[name]
    case.host(minion)
    minion.pillar = case.pillar
    before = minion.picture("/etc")
    returned = minion.sls("ipalias")
    said = [ret["comment"] for ret in returned.values() if ret["result"] is False]
    assert any(case.where in comment for comment in said), returned
    assert not [ret for ret in returned.values() if ret["changes"]]
    assert minion.picture("/etc") == before
