"""What the kernel says of links, addresses, routes, rules, nexthops and NAT, on a real one."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

from rig.netns import NetHost
from rig.process import wait_until
from rig.wan import inside
from saltext.ipalias.wan import events, notices
from saltext.ipalias.wan.events import Listener
from saltext.ipalias.wan.model import Numbers
from saltext.ipalias.wan.notices import Notice
from saltext.ipalias.wan.sockets import Watch


class Ear:
    """A listener and its loop."""

    def __init__(self, **options: int) -> None:
        self.watch = Watch()
        self.listener = Listener(self.watch, Numbers(), "ipalias_wan", **options)
        self.heard: list[Notice] = []
        wait_until(self.synced, "links and addresses")
        self.heard.clear()

    def synced(self) -> bool:
        self.turn()
        return self.listener.synced

    def turn(self) -> list[Notice]:
        self.watch.run_once(0.02)
        self.heard += self.listener.take()
        return self.heard

    def hears(self, wanted: Callable[[Notice], bool], what: str) -> Notice:
        return wait_until(lambda: next(filter(wanted, self.turn()), None), what)

    def addresses(self, interface: str) -> set[bytes]:
        return {each.address for each in self.listener.view.of(interface)}

    def close(self) -> None:
        self.listener.close()
        self.watch.close()


@pytest.fixture
def ear(nethost: NetHost) -> Iterator[Ear]:
    with inside(nethost):
        made = Ear()
        try:
            yield made
        finally:
            made.close()


def test_links_and_addresses_are_known_from_the_start(nethost: NetHost, ear: Ear) -> None:
    link = ear.listener.view.link("eth0")
    assert link is not None and link.works and len(link.mac) == 6
    assert bytes([192, 0, 2, nethost.number]) in ear.addresses("eth0")


def test_carrier_is_lost_and_returns(nethost: NetHost, ear: Ear) -> None:
    for up in (False, True):
        nethost.segment.carrier(nethost.port, up=up)
        ear.hears(
            lambda n, up=up: n.kind == notices.LINK and n.interface == "eth0" and n.carrier is up,
            f"carrier {up}",
        )


def test_a_link_that_is_taken_down_does_not_work(nethost: NetHost, ear: Ear) -> None:
    nethost.ip("link", "set", "eth0", "down")
    ear.hears(lambda n: n.kind == notices.LINK and not n.carrier, "the link down")


def test_a_port_that_leaves_its_bridge_is_not_gone(nethost: NetHost, ear: Ear) -> None:
    nethost.ip_batch("link add br9 type bridge", "link set eth0 master br9")
    ear.hears(lambda n: n.interface == "br9", "the bridge")
    nethost.ip_batch("link set eth0 nomaster", "address add 203.0.113.9/32 dev lo")
    ear.hears(lambda n: n.kind == notices.ADDRESS and n.interface == "lo", "what came after it")
    assert ear.listener.view.link("eth0") is not None
    assert not [n for n in ear.heard if n.interface == "eth0" and n.gone]


def test_addresses_come_change_and_go(nethost: NetHost, ear: Ear) -> None:
    new = bytes([203, 0, 113, 9])
    nethost.ip("address", "add", "203.0.113.9/32", "dev", "eth0")
    ear.hears(lambda n: n.kind == notices.ADDRESS and n.interface == "eth0", "the address")
    assert new in ear.addresses("eth0")
    ear.heard.clear()
    deprecate = ("address", "change", "203.0.113.9/32", "dev", "eth0", "preferred_lft", "0")
    nethost.ip(*deprecate)
    ear.hears(lambda n: n.kind == notices.ADDRESS, "its end as a source")
    nethost.ip("address", "del", "203.0.113.9/32", "dev", "eth0")
    ear.hears(lambda n: n.kind == notices.ADDRESS and n.gone, "it to go")
    assert new not in ear.addresses("eth0")


@pytest.mark.parametrize(
    ("setup", "command", "kind", "ours"),
    [
        (
            "route add 198.51.100.9 via 192.0.2.1 proto 186",
            "route del 198.51.100.9",
            notices.ROUTE,
            True,
        ),
        (
            "-6 route add 2001:db8:9::/64 via 2001:db8::1 proto 186",
            "-6 route del 2001:db8:9::/64",
            notices.ROUTE,
            True,
        ),
        (
            "route add default via 192.0.2.1 table 18600",
            "route flush table 18600",
            notices.ROUTE,
            True,
        ),
        (
            "link set lo up",
            "route add default via 192.0.2.1 metric 9 proto dhcp",
            notices.ROUTE,
            False,
        ),
        (
            "rule add pref 99 fwmark 9 lookup 77 protocol 186",
            "rule del pref 99",
            notices.RULE,
            True,
        ),
        (
            "-6 rule add pref 99 from 2001:db8:: lookup 18601",
            "-6 rule del pref 99",
            notices.RULE,
            True,
        ),
        (
            "nexthop add id 18700 via 192.0.2.1 dev eth0 proto 186",
            "nexthop del id 18700",
            notices.NEXTHOP,
            True,
        ),
    ],
)
def test_what_becomes_of_ours_is_told(
    nethost: NetHost, ear: Ear, setup: str, command: str, kind: str, ours: bool
) -> None:
    nethost.ip(*setup.split())
    ear.turn()
    ear.heard.clear()
    nethost.ip(*command.split())
    found = ear.hears(lambda n: n.kind == kind and n.gone is ours, command)
    assert found.ours is ours


def test_routes_of_others_are_none_of_our_business(nethost: NetHost, ear: Ear) -> None:
    nethost.ip("route", "add", "198.51.100.77", "via", "192.0.2.1", "proto", "bird")
    nethost.ip("rule", "add", "pref", "98", "lookup", "77")
    nethost.ip("route", "add", "198.51.100.78", "via", "192.0.2.1", "proto", "186")
    ear.hears(lambda n: n.kind == notices.ROUTE, "ours")
    assert [n.kind for n in ear.heard] == [notices.ROUTE]


def test_a_full_table_of_others_does_not_reach_us_and_theirs_in_our_table_does(
    nethost: NetHost,
) -> None:
    """Of twenty thousand routes not one needs a place in a socket for sixteen."""
    with inside(nethost):
        ear = Ear(receive_buffer=16 * 1024)
        many = [f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}/32" for n in range(20000)]
        nethost.ip_batch(*(f"route add {each} via 192.0.2.1 proto bird" for each in many))
        nethost.ip("route", "add", "203.0.113.9", "via", "192.0.2.1", "table", "18600")
        ear.hears(lambda n: n.kind == notices.ROUTE and n.table == 18600, "the one in ours")
        assert [n.kind for n in ear.heard] == [notices.ROUTE]
        ear.close()


def test_what_is_told_without_end_keeps_nobody_from_the_rest() -> None:
    """Each reading makes the kernel say more; it ends all the same."""

    class Endless:
        told = 0

        def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
            self.told += 1
            if self.told % 2:
                raise OSError(errno.ENOBUFS, "more than there is room for")
            return b"", (0, 0)

    source = Endless()
    assert None in list(events._datagrams(source))  # type: ignore[arg-type]
    assert source.told < 100000


@pytest.mark.parametrize("command", ["flush ruleset", "delete table inet ipalias_wan"])
def test_the_loss_of_our_nat_is_told(nethost: NetHost, ear: Ear, command: str) -> None:
    text = "table inet other {\n}\ntable inet ipalias_wan {\nchain c {\n}\n}\n"
    nethost.run(["nft", "-f", "-"], text)
    nethost.run(["nft", "delete", "table", "inet", "other"])
    ear.turn()
    assert [n for n in ear.heard if n.kind == notices.NAT] == []
    nethost.run(["nft", *command.split()])
    ear.hears(lambda n: n.kind == notices.NAT, command)


def test_more_than_the_socket_holds_is_read_anew(nethost: NetHost) -> None:
    with inside(nethost):
        ear = Ear(receive_buffer=4096)
        lines = [f"address add 198.18.{n >> 8}.{n & 255}/32 dev eth0" for n in range(1, 600)]
        lines += [f"address del 198.18.0.{n}/32 dev eth0" for n in range(1, 100)]
        nethost.ip_batch(*lines)
        ear.hears(lambda n: n.kind == notices.LOST, "the loss")
        wait_until(ear.synced, "all of it anew")
        assert len({a for a in ear.addresses("eth0") if a[:2] == bytes([198, 18])}) == 500
        ear.close()
