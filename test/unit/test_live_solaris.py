"""What ``ifconfig -a`` and ``netstat -rn`` of Solaris print, and what is run there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import plat
from rig.simhost import Fault, SimHost
from rig.simsunhost import kernel_of
from saltext.ipalias.effects import Run, run
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import TIMED_OUT, Result
from saltext.ipalias.live import LiveAddress, Route, solaris
from saltext.ipalias.live.batch import Op
from saltext.ipalias.live.ops import BatchError
from saltext.ipalias.model import Alias

#: As the alias guide prints it: one line, and no words between brackets.
GUIDE = (
    "lo0: flags=2001000849 mtu 8232 index 1 inet 127.0.0.1 netmask ff000000 "
    "e1000g0: flags=1000843 mtu 1500 index 2 inet 192.0.2.167 netmask ffffff00 "
    "broadcast 192.0.2.255 ether 0:0:5e:0:53:42 "
    "e1000g0:1: flags=1000843 mtu 1500 index 2 inet 203.0.113.40 netmask ffffffff "
    "broadcast 203.0.113.40\n"
)
#: Formats of ifconfig(8), of dladm's tunnels and of a zone; every line that comes between.
SHOWN = """\
lo0: flags=2001000849<UP,LOOPBACK,RUNNING,MULTICAST,IPv4,VIRTUAL> mtu 8232 index 1
\tinet 127.0.0.1 netmask ff000000\x20
lo0:1: flags=2001000849<UP,LOOPBACK,RUNNING,MULTICAST,IPv4,VIRTUAL> mtu 8232 index 1
\tzone web1
\tinet 127.0.0.1 netmask ff000000\x20
net0: flags=1004843<UP,BROADCAST,RUNNING,MULTICAST,DHCP,IPv4> mtu 1500 index 2
\tinet 192.0.2.2 netmask ffffff00 broadcast 192.0.2.255
\tgroupname ipmp0
\tether 0:0:5e:0:53:1\x20
net0:1: flags=1040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4> mtu 1500 index 2
\tinet 203.0.113.9 netmask ffffffff broadcast 203.0.113.9
net0:2: flags=1000842<BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2
\tinet 203.0.113.10 netmask ffffffff broadcast 203.0.113.10
net0:3: flags=4001000842<BROADCAST,RUNNING,MULTICAST,IPv4,DUPLICATE> mtu 1500 index 2
\tinet 203.0.113.11 netmask ffffffff broadcast 203.0.113.11
net0:4: flags=1000842<BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2
\tinet 0.0.0.0 netmask 0\x20
net0: flags=2000841<UP,RUNNING,MULTICAST,IPv6> mtu 1500 index 2
\tinet6 fe80::200:5eff:fe00:5301/10\x20
\tether 0:0:5e:0:53:1\x20
net0:1: flags=2080841<UP,RUNNING,MULTICAST,ADDRCONF,IPv6> mtu 1500 index 2
\tinet6 2001:db8::2/64\x20
net0:2: flags=2040841<UP,RUNNING,MULTICAST,DEPRECATED,IPv6> mtu 1500 index 2
\tinet6 2001:db8:1::9/128\x20
ip.tun0: flags=10008d1<UP,POINTOPOINT,RUNNING,NOARP,MULTICAST,IPv4> mtu 1480 index 3
\tinet tunnel src 192.0.2.2 tunnel dst 198.51.100.2
\ttunnel hop limit 60\x20
\tinet 198.51.100.9 --> 198.51.100.10 netmask ffffffff\x20
"""
FOUR = """
Routing Table: IPv4
  Destination           Gateway           Flags  Ref     Use     Interface\x20
-------------------- -------------------- ----- ----- ---------- ---------\x20
default              192.0.2.1            UG        4       9122 net0     \x20
default              198.51.100.1         UG        1          0          \x20
default              203.0.113.1          G         1          0 net0     \x20
127.0.0.1            127.0.0.1            UH        2       1284 lo0      \x20
192.0.2.0            192.0.2.2            U         3        412 net0     \x20
"""
SIX = """
Routing Table: IPv6
  Destination/Mask            Gateway                   Flags Ref   Use    If  \x20
--------------------------- --------------------------- ----- --- ------- -----\x20
default                     fe80::1                     UG      2      33 net0 \x20
2001:db8::/64               2001:db8::2                 U       3       0 net0 \x20
::1                         ::1                         UH      2       0 lo0  \x20
"""


def by_cidr(text: str) -> dict[str, LiveAddress]:
    return {address.cidr: address for address in solaris.parse_ifconfig(text)[1]}


# Addresses


def test_the_guides_own_output_is_read() -> None:
    links, addresses = solaris.parse_ifconfig(GUIDE)
    assert [(link.name, link.index, link.mac, link.mtu) for link in links] == [
        ("lo0", 1, "", 8232),
        ("e1000g0", 2, "00:00:5e:00:53:42", 1500),
    ]
    assert [(a.interface, a.cidr, a.label, a.scope) for a in addresses] == [
        ("lo0", "127.0.0.1/8", None, "host"),
        ("e1000g0", "192.0.2.167/24", None, "global"),
        ("e1000g0", "203.0.113.40/32", "e1000g0:1", "global"),
    ]
    assert all("UP" in link.flags for link in links)


def test_what_comes_between_is_passed_over() -> None:
    links, _ = solaris.parse_ifconfig(SHOWN)
    assert [link.name for link in links] == ["lo0", "net0", "ip.tun0"]
    found = by_cidr(SHOWN)
    assert found["198.51.100.9/32"].interface == "ip.tun0"
    assert "192.0.2.2/32" not in found
    assert not any(address.startswith("0.0.0.0") for address in found)


@pytest.mark.parametrize(
    ("cidr", "label", "scope", "flags", "never"),
    [
        ("192.0.2.2/24", None, "global", {"dynamic"}, False),
        ("203.0.113.9/32", "net0:1", "host", {"deprecated"}, False),
        ("203.0.113.10/32", "net0:2", "global", {"down"}, False),
        ("203.0.113.11/32", "net0:3", "global", {"dadfailed"}, False),
        ("fe80::200:5eff:fe00:5301/10", None, "link", set(), False),
        ("2001:db8::2/64", "net0:1", "global", {"dynamic"}, False),
        ("2001:db8:1::9/128", "net0:2", "global", {"deprecated"}, True),
    ],
)
def test_what_an_address_is(
    cidr: str, label: str | None, scope: str, flags: set[str], never: bool
) -> None:
    found = by_cidr(SHOWN)[cidr]
    assert (found.label, found.scope, found.preferred_zero) == (label, scope, never)
    assert found.flags == flags


@pytest.mark.parametrize(
    "text",
    [
        "inet 192.0.2.2 netmask ffffff00\n",
        "net0: flags=1000843<UP> mtu 1500 index 2\n\tinet 192.0.2.256 netmask ffffff00\n",
        "net0: flags=1000843<UP> mtu 1500 index 2\n\tinet 192.0.2.2 netmask 0xgg\n",
        "net0: flags=1000843<UP> mtu x index 2\n",
        "net0: flags=2000841<UP,IPv6> mtu 1500 index 2\n\tinet6 fe80::1/129\n",
    ],
)
def test_what_ifconfig_never_prints_is_no_snapshot(text: str) -> None:
    with pytest.raises(EffectError, match=r"`ifconfig -a`: not what ifconfig\(8\) prints"):
        solaris.parse_ifconfig(text)


def shows(name: str, text: str) -> SimHost:
    """Return a host of a dialect whose ``ifconfig`` shows a text."""
    host = plat.load(name).host()
    host.programs["ifconfig"] = lambda argv, stdin: Result(0, text, "")
    return host


def test_down_is_about_to_come_where_nobody_tells() -> None:
    """Solaris 10 shows an address under detection as one that is down."""
    found = {a.cidr: a for a in solaris.read_snapshot(shows("solaris", SHOWN)).addresses}
    assert found["203.0.113.10/32"].flags == {"tentative"}
    assert found["203.0.113.11/32"].flags == {"dadfailed"}


def test_down_is_nothing_where_ipadm_says_so() -> None:
    host = shows("ipadm", SHOWN)
    states = {"203.0.113.10/32": "down", "203.0.113.9/32": "tentative"}
    rows = "".join(f"{state}:{cidr}\n" for cidr, state in states.items())
    host.programs["ipadm"] = lambda argv, stdin: Result(0, rows, "")
    found = {a.cidr: a for a in solaris.read_snapshot(host).addresses}
    assert "203.0.113.10/32" not in found
    assert found["203.0.113.9/32"].flags == {"deprecated", "tentative"}
    states["203.0.113.10/32"] = "tentative"
    rows = "".join(f"{state}:{cidr}\n" for cidr, state in states.items())
    found = {a.cidr: a for a in solaris.read_snapshot(host).addresses}
    assert found["203.0.113.10/32"].flags == {"tentative"}


# Routes


def test_default_routes_of_both_families() -> None:
    addresses = [
        LiveAddress("net0", "192.0.2.2", 24),
        LiveAddress("net1", "198.51.100.2", 26),
    ]
    assert list(solaris.parse_netstat(FOUR, 4, addresses)) == [
        Route(4, "default", "net0", "192.0.2.1"),
        # Bound to no interface: the gateway's subnet tells it.
        Route(4, "default", "net1", "198.51.100.1"),
    ]
    assert list(solaris.parse_netstat(SIX, 6, addresses)) == [
        Route(6, "default", "net0", "fe80::1")
    ]


def test_a_gateway_that_no_subnet_holds_has_no_interface() -> None:
    (route,) = solaris.parse_netstat("default 198.51.100.1 UG 1 0\n", 4, [])
    assert route.interface == ""


def test_routes_are_put_back_one_by_one() -> None:
    routes = [
        Route(4, "default", "net0", "192.0.2.1"),
        Route(6, "default", "net0", "2001:db8::1"),
        Route(6, "default", "net0", "fe80::1"),
    ]
    assert [" ".join(command.argv) for command in solaris.routes_back(routes)] == [
        "route -n add default 192.0.2.1",
        "route -n add -inet6 default 2001:db8::1",
        "route -n add -inet6 default fe80::1 -ifp net0",
    ]


# Rows

fields = st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=10), min_size=1)


@given(fields)
@settings(max_examples=200, deadline=None)
def test_a_row_is_split_where_it_was_joined(parts: list[str]) -> None:
    escaped = [part.replace("\\", "\\\\").replace(":", "\\:") for part in parts]
    assert solaris.split_row(":".join(escaped)) == parts


# Changing


def alias(text: str, source: str = "auto") -> Alias:
    address, _, prefix = text.partition("/")
    return Alias(address, int(prefix), "eth0", source=source)


def changes(host: SimHost, ops: list[Op], **named: Any) -> list[str]:
    run(solaris.change("eth0", ops, [], **named), host.perform)
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


@pytest.fixture
def host() -> SimHost:
    return plat.load("solaris").host()


def test_each_operation_is_a_command(host: SimHost) -> None:
    ops = [
        Op(alias("203.0.113.9/32")),
        Op(alias("203.0.113.8/32", "never")),
        Op(alias("2001:db8:1::9/128")),
        Op(alias("203.0.113.9/32"), delete=True),
        Op(alias("2001:db8:1::9/128"), delete=True),
    ]
    assert changes(host, ops) == [
        "ifconfig eth0 addif 203.0.113.9/32 up",
        "ifconfig eth0 addif 203.0.113.8/32 deprecated up",
        "ifconfig eth0 inet6 addif 2001:db8:1::9/128 up",
        "ifconfig eth0 removeif 203.0.113.9",
        "ifconfig eth0 inet6 removeif 2001:db8:1::9",
    ]


def test_a_flag_is_changed_at_the_logical_interface_that_has_the_address(host: SimHost) -> None:
    changes(host, [Op(alias("2001:db8:1::8/128")), Op(alias("2001:db8:1::9/128"))])
    host.log.clear()
    ran = changes(host, [Op(alias("2001:db8:1::9/128", "never"), change=True)])
    assert ran == ["ifconfig eth0:3 inet6 deprecated"]
    host.log.clear()
    ran = changes(host, [Op(alias("2001:db8:1::9/128"), change=True)])
    assert ran == ["ifconfig eth0:3 inet6 -deprecated"]


def three() -> list[Op]:
    return [Op(alias(f"203.0.113.{n}/32")) for n in (7, 8, 9)]


def test_a_list_stops_at_what_is_refused_and_names_it(host: SimHost) -> None:
    host.refused = {"203.0.113.8"}
    with pytest.raises(
        BatchError, match=r"203\.0\.113\.8/32 could not be added: ifconfig: seti"
    ) as e:
        changes(host, three())
    assert e.value.spared == {"203.0.113.8/32", "203.0.113.9/32"}
    assert kernel_of(host).idle == {}
    assert "203.0.113.9" not in {a.address for a in host.net.links["eth0"].addresses4}


def test_the_way_back_goes_on_behind_what_is_refused(host: SimHost) -> None:
    host.refused = {"203.0.113.8"}
    with pytest.raises(BatchError, match=r"203\.0\.113\.8/32 could not be added"):
        changes(host, three(), go_on=True)
    assert "203.0.113.9" in {a.address for a in host.net.links["eth0"].addresses4}


@pytest.mark.parametrize("how", ["hung", "killed"])
def test_of_a_command_that_did_not_end_nobody_knows_what_it_did(host: SimHost, how: str) -> None:
    result = Result(TIMED_OUT, "", "") if how == "hung" else Result(137, "", "")
    host.faults = [Fault(1, result=result)]
    with pytest.raises(BatchError, match=r"203\.0\.113\.8/32 could not be added") as caught:
        changes(host, three())
    assert caught.value.spared == {"203.0.113.9/32"}


def test_a_failure_of_a_program_is_told_from_its_death() -> None:
    assert solaris.failure(Result(1, "", "ipadm: cannot create address: x\n")) == (
        0,
        "ipadm: cannot create address: x",
    )
    assert solaris.failure(Result(1, "", "ifconfig: addif: y\nmore\n")) == (0, "ifconfig: addif: y")
    assert solaris.failure(Result(137, "", "")) == (None, "no output")
    assert solaris.kernel_settings("eth0") == ()
