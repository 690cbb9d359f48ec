"""Live readers and the batch of iproute2: text in, model out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.live import LiveAddress, Route, batch
from saltext.ipalias.live import iproute2 as live
from saltext.ipalias.model import SOURCE_NEVER, Alias

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)

# What `ip` of iproute2 6.1 printed in a network namespace, in both forms.
ADDRESSES_JSON = json.dumps(
    [
        {
            "ifindex": 1,
            "ifname": "lo",
            "flags": ["LOOPBACK", "UP", "LOWER_UP"],
            "mtu": 65536,
            "link_type": "loopback",
            "address": "00:00:00:00:00:00",
            "addr_info": [
                {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host",
                 "label": "lo", "valid_life_time": 4294967295,
                 "preferred_life_time": 4294967295},
            ],
        },
        {},
        {
            "ifindex": 3,
            "link": "v1",
            "ifname": "v0",
            "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
            "mtu": 1500,
            "link_type": "ether",
            "address": "da:e2:34:b9:8f:1a",
            "addr_info": [
                {"family": "inet", "local": "198.51.100.1", "prefixlen": 24,
                 "broadcast": "198.51.100.255", "scope": "host", "noprefixroute": True,
                 "label": "v0", "valid_life_time": 4294967295,
                 "preferred_life_time": 4294967295},
                {},
                {"family": "inet", "local": "192.0.2.1", "prefixlen": 24,
                 "broadcast": "192.0.2.255", "scope": "global", "label": "v0",
                 "valid_life_time": 4294967295, "preferred_life_time": 4294967295},
                {"family": "inet", "local": "192.0.2.10", "prefixlen": 32, "scope": "global",
                 "label": "v0:fo1", "valid_life_time": 4294967295,
                 "preferred_life_time": 4294967295},
                {"family": "inet6", "local": "2001:db8::10", "prefixlen": 128,
                 "scope": "global", "deprecated": True, "valid_life_time": 4294967295,
                 "preferred_life_time": 0},
                {"family": "inet6", "local": "fe80::d8e2:34ff:feb9:8f1a", "prefixlen": 64,
                 "scope": "link", "tentative": True, "protocol": "kernel_ll",
                 "valid_life_time": 4294967295, "preferred_life_time": 4294967295},
            ],
        },
    ]
)  # fmt: skip
ADDRESSES_TEXT = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
3: v0@v1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default
    link/ether da:e2:34:b9:8f:1a brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 198.51.100.1/24 brd 198.51.100.255 scope host noprefixroute v0
       valid_lft forever preferred_lft forever
    inet 192.0.2.1/24 brd 192.0.2.255 scope global v0
       valid_lft forever preferred_lft forever
    inet 192.0.2.10/32 scope global v0:fo1
       valid_lft forever preferred_lft forever
    inet6 2001:db8::10/128 scope global deprecated 
       valid_lft forever preferred_lft 0sec
    inet6 fe80::d8e2:34ff:feb9:8f1a/64 scope link tentative proto kernel_ll 
       valid_lft forever preferred_lft forever
"""  # noqa: W291
LINKS_ONE_LINE = (
    "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT"
    "\\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
    "3: v0@v1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP"
    "\\    link/ether da:e2:34:b9:8f:1a brd ff:ff:ff:ff:ff:ff\n"
)
ADDRESSES_ONE_LINE = (
    "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n"
    "3: v0    inet 198.51.100.1/24 brd 198.51.100.255 scope host noprefixroute v0"
    "\\       valid_lft forever preferred_lft forever\n"
    "3: v0    inet 192.0.2.1/24 brd 192.0.2.255 scope global v0\\       valid_lft forever\n"
    "3: v0    inet 192.0.2.10/32 scope global v0:fo1\\       valid_lft forever\n"
    "3: v0    inet6 2001:db8::10/128 scope global deprecated \\       preferred_lft 0sec\n"
    "3: v0    inet6 fe80::d8e2:34ff:feb9:8f1a/64 scope link tentative proto kernel_ll \n"
)
ROUTES4_JSON = (
    '[{"dst":"default","gateway":"192.0.2.254","dev":"v0","metric":100,"flags":[]},'
    '{"dst":"default","metric":200,"flags":[],"nexthops":['
    '{"gateway":"192.0.2.252","dev":"v0","weight":1,"flags":[]},'
    '{"via":{"family":"inet6","host":"fe80::1"},"dev":"v1","weight":1,"flags":[]}]},'
    '{"dst":"192.0.2.0/24","dev":"v0","protocol":"kernel","scope":"link",'
    '"prefsrc":"192.0.2.1","flags":[]},'
    '{"type":"unreachable","dst":"198.51.100.9","flags":[]}]'
)
ROUTES4_TEXT = """\
default via 192.0.2.254 dev v0 metric 100 
default metric 200 
\tnexthop via 192.0.2.252 dev v0 weight 1 
\tnexthop via inet6 fe80::1 dev v1 weight 1 
192.0.2.0/24 dev v0 proto kernel scope link src 192.0.2.1 
unreachable 198.51.100.9 
"""  # noqa: W291
ROUTES6_JSON = (
    '[{"dst":"2001:db8::10","dev":"v0","protocol":"kernel","metric":256,"flags":[],'
    '"pref":"medium"},{"dst":"default","gateway":"fe80::fe","dev":"v0","protocol":"ra",'
    '"metric":1024,"flags":[],"expires":1797,"pref":"medium"}]'
)
ROUTES6_TEXT = """\
2001:db8::10 dev v0 proto kernel metric 256 pref medium
default via fe80::fe dev v0 proto ra metric 1024 expires 1797sec hoplimit 64 pref medium
"""


class Said:
    """Answer commands from a table; everything else is not installed."""

    system = "linux"

    def __init__(self, answers: dict[tuple[str, ...], Result]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, ...]] = []

    def read(self, path: str) -> str | None:
        return None

    def exists(self, path: str) -> bool:
        return False

    def glob(self, pattern: str) -> list[str]:
        return []

    def which(self, name: str) -> str | None:
        return None

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        self.asked.append(tuple(argv))
        return self.answers.get(tuple(argv), Result(NOT_FOUND, "", f"{argv[0]}: not found"))


def alias(cidr: str, source: str = "auto", interface: str = "v0") -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), interface, source=source)


def test_json_gives_links_addresses_and_routes() -> None:
    found = live.parse_json(ADDRESSES_JSON, ROUTES4_JSON, ROUTES6_JSON)
    assert [link.name for link in found.links] == ["lo", "v0"]
    assert found.by_link["v0"].mac == "da:e2:34:b9:8f:1a"
    assert (found.by_link["v0"].index, found.by_link["v0"].mtu) == (3, 1500)
    assert "UP" in found.by_link["v0"].flags
    assert found.by_link["lo"].mac == ""
    assert found.on("v0") == (
        LiveAddress(
            "v0", "198.51.100.1", 24, scope="host", flags=frozenset({"noprefixroute"})
        ),
        LiveAddress("v0", "192.0.2.1", 24),
        LiveAddress("v0", "192.0.2.10", 32, label="v0:fo1"),
        LiveAddress(
            "v0", "2001:db8::10", 128, flags=frozenset({"deprecated"}), preferred_zero=True
        ),
        LiveAddress(
            "v0",
            "fe80::d8e2:34ff:feb9:8f1a",
            64,
            scope="link",
            flags=frozenset({"tentative"}),
            protocol="kernel_ll",
        ),
    )  # fmt: skip
    assert found.defaults(4) == (
        Route(4, "default", "v0", "192.0.2.254", 100),
        Route(4, "default", "v0", "192.0.2.252", 200),
        Route(4, "default", "v1", "fe80::1", 200),
    )
    assert found.defaults(6) == (Route(6, "default", "v0", "fe80::fe", 1024, protocol="ra"),)
    assert found.routes[3] == Route(
        4, "192.0.2.0/24", "v0", source="192.0.2.1", protocol="kernel", scope="link"
    )
    assert found.routes[4] == Route(4, "198.51.100.9/32", "")


@pytest.mark.parametrize(
    ("addresses", "links"),
    [(ADDRESSES_TEXT, ""), (ADDRESSES_ONE_LINE, LINKS_ONE_LINE)],
    ids=["plain", "one line"],
)
def test_text_gives_the_same_as_json(addresses: str, links: str) -> None:
    found = live.parse_text(addresses, ROUTES4_TEXT, ROUTES6_TEXT, links)
    assert found == live.parse_json(ADDRESSES_JSON, ROUTES4_JSON, ROUTES6_JSON)


def test_text_of_multipath_routes_on_one_line() -> None:
    one_line = ROUTES4_TEXT.replace("\n\t", "\\\t")
    assert live.parse_text("", one_line).routes == live.parse_text("", ROUTES4_TEXT).routes


def test_peer_address_keeps_the_local_one() -> None:
    line = "5: tun0    inet 192.0.2.1 peer 192.0.2.2/32 scope global tun0\n"
    assert live.parse_text(line).on("tun0") == (LiveAddress("tun0", "192.0.2.1", 32),)


def test_output_that_is_not_json_is_an_error() -> None:
    with pytest.raises(EffectError, match="not JSON"):
        live.parse_json("[{")


def test_ten_thousand_addresses_keep_their_order() -> None:
    infos = [
        {"family": "inet", "local": f"192.0.{n >> 8}.{n & 255}", "prefixlen": 32,
         "scope": "global", "label": "v0", "preferred_life_time": 4294967295}
        for n in range(10_000)
    ]  # fmt: skip
    found = live.parse_json(json.dumps([{"ifname": "v0", "addr_info": infos}]))
    assert [address.address for address in found.addresses] == [info["local"] for info in infos]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
class TestCorpus:
    def read(self, path: str) -> str:
        return (CORPUS / "outputs" / path).read_text()

    def test_text_with_a_labelled_single_address(self) -> None:
        found = live.parse_text(self.read("ip_addr_text/01.txt"))
        assert [link.name for link in found.links] == ["lo", "eth0"]
        assert found.by_link["eth0"].mac != ""
        primary, extra, local = found.on("eth0")
        assert primary.prefix == 24
        assert primary.flags == {"dynamic"}
        assert (extra.prefix, extra.label) == (32, "eth0:1")
        assert (local.family, local.scope) == (6, "link")

    def test_text_of_an_old_release_with_a_secondary(self) -> None:
        found = live.parse_text(self.read("ip_addr_text/02.txt"))
        assert [address.flags for address in found.on("eth0")] == [
            frozenset(),
            frozenset({"secondary"}),
            frozenset(),
        ]
        assert [address.label for address in found.on("eth0")] == [None, None, None]

    def test_json_of_a_container(self) -> None:
        found = live.parse_json(self.read("ip_j_addr/01.json"))
        addresses = found.on("enp0s25")
        assert [address.prefix for address in addresses] == [24, 64, 64]
        assert addresses[0].flags == {"dynamic"}
        assert addresses[1].flags == {"dynamic", "mngtmpaddr", "noprefixroute"}
        assert not any(address.preferred_zero for address in addresses)

    def test_json_of_a_link_that_is_down(self) -> None:
        found = live.parse_json(self.read("ip_j_addr/02.json"))
        assert found.on("eth0") == ()
        assert "UP" not in found.by_link["eth0"].flags


class TestReadSnapshot:
    def test_json_where_it_is_known(self) -> None:
        host = Said(
            {
                live.DUMP[0]: Result(0, ADDRESSES_JSON, ""),
                live.DUMP[1]: Result(0, ROUTES4_JSON, ""),
                live.DUMP[2]: Result(0, "", ""),
            }
        )
        found = live.read_snapshot(host)
        assert found == live.parse_json(ADDRESSES_JSON, ROUTES4_JSON)
        assert host.asked == list(live.DUMP)

    def test_namespace_without_a_table_has_no_routes(self) -> None:
        missing = Result(2, "", "Error: ipv4: FIB table does not exist.\nDump terminated\n")
        host = Said(
            {
                live.DUMP[0]: Result(0, ADDRESSES_JSON, ""),
                live.DUMP[1]: missing,
                live.DUMP[2]: Result(0, ROUTES6_JSON, ""),
            }
        )
        assert {route.family for route in live.read_snapshot(host).routes} == {6}

    def test_routes_that_fail_for_another_reason_are_an_error(self) -> None:
        host = Said(
            {
                live.DUMP[0]: Result(0, ADDRESSES_JSON, ""),
                live.DUMP[1]: Result(2, "", "Cannot open netlink socket: Permission denied\n"),
            }
        )
        with pytest.raises(EffectError, match="Permission denied"):
            live.read_snapshot(host)

    def test_text_where_json_is_unknown(self) -> None:
        unknown = Result(255, "", 'Option "-j" is unknown, try "ip -help".\n')
        host = Said(
            {
                live.DUMP[0]: unknown,
                live.DUMP_TEXT[0]: Result(0, ADDRESSES_TEXT, ""),
                live.DUMP_TEXT[1]: Result(0, ROUTES4_TEXT, ""),
                live.DUMP_TEXT[2]: Result(0, ROUTES6_TEXT, ""),
            }
        )
        assert live.read_snapshot(host) == live.parse_json(
            ADDRESSES_JSON, ROUTES4_JSON, ROUTES6_JSON
        )

    def test_ifconfig_where_there_is_no_ip(self) -> None:
        text = "lo: flags=73<UP,LOOPBACK>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n"
        host = Said({("ifconfig", "-a"): Result(0, text, "")})
        assert [address.cidr for address in live.read_snapshot(host).addresses] == ["127.0.0.1/8"]
        assert host.asked == [live.DUMP[0], ("ifconfig", "-a")]

    def test_neither_is_an_error(self) -> None:
        with pytest.raises(EffectError, match=r"ip: not found.*install iproute2"):
            live.read_snapshot(Said({}))


@pytest.mark.parametrize(
    ("entry", "label", "line"),
    [
        (alias("192.0.2.10/32"), None, "address add 192.0.2.10/32 dev v0"),
        (alias("192.0.2.10/32"), "v0:1", "address add 192.0.2.10/32 dev v0 label v0:1"),
        (alias("192.0.2.10/31"), None, "address add 192.0.2.10/31 dev v0"),
        (alias("192.0.2.10/30"), None, "address add 192.0.2.10/30 dev v0 broadcast +"),
        (alias("192.0.2.10/32", SOURCE_NEVER), None,
         "address add 192.0.2.10/32 dev v0 scope host"),
        (alias("192.0.2.10/24", SOURCE_NEVER), "v0:1",
         "address add 192.0.2.10/24 dev v0 label v0:1 broadcast + scope host noprefixroute"),
        (alias("2001:db8::10/128"), None, "address add 2001:db8::10/128 dev v0"),
        (alias("2001:db8::10/128", SOURCE_NEVER), None,
         "address add 2001:db8::10/128 dev v0 preferred_lft 0"),
    ],
)  # fmt: skip
def test_line_that_adds(entry: Alias, label: str | None, line: str) -> None:
    assert batch.add_line(entry, label) == line


@pytest.mark.parametrize(("source", "lifetime"), [(SOURCE_NEVER, "0"), ("auto", "forever")])
def test_line_that_changes_the_preferred_lifetime(source: str, lifetime: str) -> None:
    assert batch.render_batch([batch.Op(alias("2001:db8::10/128", source), change=True)]) == (
        f"address change 2001:db8::10/128 dev v0 valid_lft forever preferred_lft {lifetime}\n"
    )


def test_line_without_broadcast() -> None:
    assert batch.add_line(alias("192.0.2.10/24"), broadcast=False) == (
        "address add 192.0.2.10/24 dev v0"
    )


def test_batch_puts_a_route_behind_its_address_and_takes_it_away_before() -> None:
    wide = alias("198.51.100.10/24", SOURCE_NEVER)
    assert batch.render_batch(
        [batch.Op(wide, delete=True, route=True), batch.Op(wide, route=True)]
    ) == (
        "route delete 198.51.100.0/24 dev v0 scope link\n"
        "address delete 198.51.100.10/24 dev v0\n"
        "address add 198.51.100.10/24 dev v0 broadcast + scope host noprefixroute\n"
        "route add 198.51.100.0/24 dev v0 scope link\n"
    )


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.data())
def test_error_names_the_change_whose_line_failed(routes: list[bool], data: st.DataObject) -> None:
    wide = alias("198.51.100.10/24", SOURCE_NEVER)
    ops = [batch.Op(wide, route=route) for route in routes]
    expected = data.draw(st.integers(0, len(ops) - 1))
    first = len(batch.render_batch(ops[:expected]).splitlines())
    last = len(batch.render_batch(ops[: expected + 1]).splitlines())
    failed = data.draw(st.integers(first + 1, last))
    stderr = f"RTNETLINK answers: File exists\nCommand failed -:{failed}\n"
    assert batch.parse_batch_error(stderr, ops) == expected


@pytest.mark.parametrize(
    "stderr", ["", "Cannot open netlink socket", "Command failed -:3", "Command failed -:0"]
)
def test_error_that_names_no_line_of_the_batch(stderr: str) -> None:
    assert batch.parse_batch_error(stderr, [batch.Op(alias("192.0.2.10/32"))]) is None


class TestSubnetRoute:
    wide = alias("198.51.100.10/24", SOURCE_NEVER)
    ours = '[{"dst":"198.51.100.0/24","dev":"v0","scope":"link","flags":[]}]'

    def test_wanted_where_there_is_none(self) -> None:
        assert batch.wants_route(self.wide, live.parse_json(ADDRESSES_JSON))

    def test_not_wanted_beside_the_primary_s_own(self) -> None:
        found = live.parse_json(ADDRESSES_JSON, ROUTES4_JSON)
        assert not batch.wants_route(alias("192.0.2.10/24", SOURCE_NEVER), found)

    def test_not_wanted_on_a_link_that_is_down(self) -> None:
        down = live.parse_json('[{"ifname":"v0","flags":["BROADCAST"]}]')
        assert not batch.wants_route(self.wide, down)

    @pytest.mark.parametrize(
        "entry",
        [
            alias("198.51.100.10/24"),
            alias("198.51.100.10/32", SOURCE_NEVER),
            alias("2001:db8::10/64", SOURCE_NEVER),
        ],
    )
    def test_only_for_wide_never_source_ipv4(self, entry: Alias) -> None:
        found = live.parse_json(ADDRESSES_JSON, self.ours)
        assert not batch.wants_route(entry, live.parse_json(ADDRESSES_JSON))
        assert not batch.frees_route(entry, found)

    def test_freed_with_the_last_alias_of_the_subnet(self) -> None:
        found = live.parse_json(ADDRESSES_JSON, self.ours)
        other = alias("198.51.100.11/24", SOURCE_NEVER)
        assert batch.frees_route(self.wide, found)
        assert batch.frees_route(self.wide, found, [self.wide, alias("192.0.2.9/24", SOURCE_NEVER)])
        assert not batch.frees_route(self.wide, found, [other])

    def test_a_route_that_is_not_of_our_form_stays(self) -> None:
        foreign = ROUTES4_JSON.replace("192.0.2.0/24", "198.51.100.0/24")
        assert not batch.frees_route(self.wide, live.parse_json(ADDRESSES_JSON, foreign))
