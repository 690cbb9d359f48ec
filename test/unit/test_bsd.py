"""Live addresses of the BSDs: routes read from `netstat -rn`, one `ifconfig` an address."""

from __future__ import annotations

from typing import Any

import pytest

from saltext.ipalias.effects import Run, run
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.live import Route, bsd, freebsd
from saltext.ipalias.live.batch import Op
from saltext.ipalias.live.ops import BatchError
from saltext.ipalias.model import Alias

# FreeBSD 14: `netstat -rnW` has Nhop# and Mtu.
FREEBSD14 = """Routing tables

Internet:
Destination        Gateway            Flags         Nhop#    Mtu          Netif Expire
default            192.0.2.1          UGS               5   1500         vtnet0
127.0.0.1          link#2             UH                2  16384            lo0
192.0.2.0/24       link#1             U                 3   1500         vtnet0
192.0.2.2          link#1             UHS               4  16384            lo0
"""
# FreeBSD 12: Use and Mtu; 9: Refs and Use, without -W.
FREEBSD12 = """Routing tables

Internet:
Destination        Gateway            Flags       Use    Mtu      Netif Expire
default            192.0.2.1          UGS      302213   1500     vtnet0
192.0.2.0/24       link#1             U          1312   1500  vlan0.100   1200
"""
FREEBSD9 = """Routing tables

Internet:
Destination        Gateway            Flags    Refs      Use  Netif Expire
default            192.0.2.1          UGS         0   302213    em0
10                 link#1             U           0     1312    em0 =>
192.0.2.9          00:16:3e:00:00:01  UHLW        1        4    em0   1170
"""
FREEBSD6 = """Routing tables

Internet6:
Destination                       Gateway                       Flags     Netif Expire
::/96                             ::1                           UGRS        lo0
default                           fe80::1%vtnet0                UG       vtnet0
2001:db8::/64                     link#1                        U        vtnet0
fe80::%vtnet0/64                  link#1                        U        vtnet0
"""
OPENBSD = """Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
default            192.0.2.1          UGS        8      112     -     8 vio0
127.0.0.1          127.0.0.1          UHhl       1        2 32768     1 lo0
192.0.2/24         192.0.2.2          UCn        1        0     -     4 vio0
"""


def test_the_routes_of_every_release_are_read() -> None:
    (default, local, net, own) = bsd.parse_routes(FREEBSD14, 4)
    assert default == Route(4, "default", "vtnet0", "192.0.2.1", protocol="static")
    assert (local.destination, local.interface, local.gateway) == ("127.0.0.1/32", "lo0", None)
    assert (net.destination, net.interface, net.gateway) == ("192.0.2.0/24", "vtnet0", None)
    assert own.interface == "lo0"
    (default, net) = bsd.parse_routes(FREEBSD12, 4)
    assert (default.interface, net.interface) == ("vtnet0", "vlan0.100")
    (default, _) = bsd.parse_routes(FREEBSD9, 4)
    assert (default.gateway, default.interface) == ("192.0.2.1", "em0")


def test_a_default_route_of_a_router_advertisement_is_known_as_such() -> None:
    default = next(r for r in bsd.parse_routes(FREEBSD6, 6) if r.destination == "default")
    assert default == Route(6, "default", "vtnet0", "fe80::1%vtnet0", protocol="ra")
    static = FREEBSD6.replace(" UG  ", " UGS ")
    assert bsd.parse_routes(static, 6)[1].protocol == "static"


def test_openbsd_has_other_columns() -> None:
    default = bsd.parse_routes(OPENBSD, 4)[0]
    assert default == Route(4, "default", "vio0", "192.0.2.1", protocol="static")


@pytest.mark.parametrize("text", ["", "Routing tables\n", "netstat: no namelist\n" * 3])
def test_without_a_table_there_are_no_routes(text: str) -> None:
    assert bsd.parse_routes(text, 4) == []


class Answers:
    """A host with fixed answers."""

    system = "freebsd"

    def __init__(self, **answers: Result) -> None:
        self.answers = answers

    def run(self, argv: Any, stdin: Any = None, timeout: float = 15.0) -> Result:
        return self.answers.get(argv[0], Result(NOT_FOUND, "", f"{argv[0]}: not installed"))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, r"`ifconfig -a`: is not installed; ifconfig is part of the base"),
        ({"ifconfig": Result(1, "", "ifconfig: no\nmore\n")}, r"exit 1: ifconfig: no$"),
        ({"ifconfig": Result(0, "", "")}, r"`netstat -rnW -f inet`: is not installed"),
        (
            {"ifconfig": Result(0, "", ""), "netstat": Result(1, "", "")},
            r"`netstat -rnW -f inet`: exit 1: no output",
        ),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_names_the_command(
    answers: dict[str, Result], said: str
) -> None:
    with pytest.raises(EffectError, match=said):
        freebsd.read_snapshot(Answers(**answers))  # type: ignore[arg-type]


def test_a_snapshot_says_whose_it_is() -> None:
    text = "vtnet0: flags=8843<UP> metric 0 mtu 1500\n\tinet 192.0.2.2 netmask 0xffffff00\n"
    host = Answers(ifconfig=Result(0, text, ""), netstat=Result(0, FREEBSD14, ""))
    snapshot = freebsd.read_snapshot(host)  # type: ignore[arg-type]
    assert snapshot.system == "freebsd"
    assert [a.cidr for a in snapshot.on("vtnet0")] == ["192.0.2.2/24"]
    assert snapshot.defaults(4)[0].gateway == "192.0.2.1"


# Changing


def alias(cidr: str, interface: str = "nfe0", **more: Any) -> Alias:
    address, _, prefix = cidr.partition("/")
    return Alias(address, int(prefix), interface, **more)


LINES = [
    (
        Op(alias("198.51.100.10/32")),
        "ifconfig nfe0 inet 198.51.100.10 netmask 255.255.255.255 broadcast 198.51.100.10 alias",
    ),
    (
        Op(alias("203.0.113.5/24")),
        "ifconfig nfe0 inet 203.0.113.5 netmask 255.255.255.0 broadcast 203.0.113.255 alias",
    ),
    (
        Op(alias("203.0.113.4/31")),
        "ifconfig nfe0 inet 203.0.113.4 netmask 255.255.255.254 alias",
    ),
    (
        Op(alias("198.51.100.10/32", "lo0")),
        "ifconfig lo0 inet 198.51.100.10 netmask 255.255.255.255 alias",
    ),
    (Op(alias("2001:db8:1::10/128")), "ifconfig nfe0 inet6 2001:db8:1::10 prefixlen 128 alias"),
    (
        Op(alias("2001:db8:1::10/64", source="never"), change=True),
        "ifconfig nfe0 inet6 2001:db8:1::10 prefixlen 64 deprecated alias",
    ),
    (Op(alias("198.51.100.10/32"), delete=True), "ifconfig nfe0 inet 198.51.100.10 -alias"),
    (Op(alias("2001:db8:1::10/128"), delete=True), "ifconfig nfe0 inet6 2001:db8:1::10 -alias"),
]


def lines(ops: list[Op], answer: Any = None, **more: Any) -> list[str]:
    seen: list[str] = []

    def perform(effect: Any) -> Result:
        assert isinstance(effect, Run)
        seen.append(" ".join(effect.command.argv))
        said = answer(seen[-1]) if answer else None
        return said or Result(0, "", "")

    try:
        run(freebsd.change("nfe0", ops, (), **more), perform)
    except BatchError as error:
        error.seen = seen  # type: ignore[attr-defined]
        raise
    return seen


@pytest.mark.parametrize(("op", "line"), LINES, ids=[line for _, line in LINES])
def test_each_change_is_one_command(op: Op, line: str) -> None:
    assert lines([op]) == [line]


def test_the_new_form_of_an_address_replaces_the_old_one_and_is_not_taken_away() -> None:
    """The kernel holds it once: to take the old form away would take the new one."""
    old, new = alias("203.0.113.5/32"), alias("203.0.113.5/24")
    assert lines([Op(new), Op(old, delete=True)]) == lines([Op(new)])
    assert len(lines([Op(old, delete=True), Op(new)])) == 2


def test_a_refusal_stops_the_list_and_spares_what_was_not_come_to() -> None:
    ops = [Op(alias(f"198.51.100.{number}/32", where=f"here[{number}]")) for number in (1, 2, 3)]

    def refuse(line: str) -> Result | None:
        said = "ifconfig: ioctl (SIOCAIFADDR): File exists\n"
        return Result(1, "", said) if "100.2 " in line else None

    with pytest.raises(BatchError) as caught:
        lines(ops, refuse)
    assert caught.value.text() == (
        "here[2]: 198.51.100.2/32 could not be added: ifconfig: ioctl (SIOCAIFADDR): File exists"
    )
    assert caught.value.spared == {"198.51.100.2/32", "198.51.100.3/32"}
    assert len(caught.value.seen) == 2  # type: ignore[attr-defined]
    with pytest.raises(BatchError, match=r"here\[2\]: ") as caught:
        lines(ops, refuse, go_on=True)
    assert len(caught.value.seen) == 3  # type: ignore[attr-defined]


def test_a_command_of_which_nobody_knows_spares_only_what_is_behind_it() -> None:
    ops = [Op(alias("198.51.100.1/32"), delete=True), Op(alias("198.51.100.2/32"))]

    def hang(line: str) -> Result:
        raise EffectError("did not end in 30 s", where=line)

    with pytest.raises(
        BatchError, match=r"198\.51\.100\.1/32 could not be taken away.*did not end"
    ):
        lines(ops, hang)
    try:
        lines(ops, hang)
    except BatchError as error:
        assert error.spared == {"198.51.100.2/32"}


@pytest.mark.parametrize(
    ("route", "line"),
    [
        (Route(4, "default", "nfe0", "192.0.2.1"), "route -n add -inet default 192.0.2.1"),
        (Route(6, "default", "nfe0", "fe80::1%nfe0"), "route -n add -inet6 default fe80::1%nfe0"),
        (Route(4, "default", "gif0"), "route -n add -inet default -interface gif0"),
    ],
)
def test_a_default_route_is_put_back(route: Route, line: str) -> None:
    (command,) = freebsd.routes_back([route])
    assert " ".join(command.argv) == line
