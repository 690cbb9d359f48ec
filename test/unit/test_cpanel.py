"""cPanel's lists: read as cPanel reads them, edited so that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.tree import TreeHost
from saltext.ipalias.backends import cpanel_files as lists
from saltext.ipalias.backends import load
from saltext.ipalias.errors import OwnerError, ParseError
from saltext.ipalias.model import Alias, Wanted

BACKEND = load("cpanel")
FOREIGN = "192.0.2.20:255.255.255.0:192.0.2.255\n192.0.2.21:255.255.255.0:192.0.2.255\n"
CONF = "ADDR 192.0.2.2\nETHDEV eth0\n"


def alias(cidr: str) -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0")


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    host = TreeHost(tmp_path)
    host.write("/usr/local/cpanel/version", "11.110.0-RELEASE\n")
    host.write("/etc/wwwacct.conf", CONF)
    host.write("/etc/ips", FOREIGN)
    host.write("/etc/ipaddrpool", "192.0.2.21\n192.0.2.20\n")
    return host


def render(host: TreeHost, wanted: list[Alias], former: list[Alias] | None = None) -> None:
    evidence = BACKEND.detect(host, "eth0")
    files = BACKEND.render(Wanted("eth0", tuple(wanted), evidence, tuple(former or ())), host)
    assert not any(file.owned for file in files)
    host.store(files)


class TestDetect:
    def test_the_interface_that_ipaliases_uses(self, host: TreeHost) -> None:
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.owns, evidence.strength, evidence.file) == (True, 4, "/etc/ips")
        assert not BACKEND.detect(host, "eth1").owns
        with pytest.raises(OwnerError, match=r"ETHDEV in /etc/wwwacct\.conf is eth0"):
            BACKEND.assume(host, "eth1")

    @pytest.mark.parametrize(
        ("conf", "owns"),
        [
            ("ETHDEV eth0:1\n", True),
            ("ETHDEV\teth0  \n", True),
            ("ETHDEV eth1\nETHDEV eth0\n", True),
            ("ETHDEV eth0\nETHDEV eth1\n", False),
            ("ETHDEVX eth0\n", False),
            ("ETHDEV\n", False),
            ("", False),
        ],
    )
    def test_its_setting(self, host: TreeHost, conf: str, owns: bool) -> None:
        host.write("/etc/wwwacct.conf", conf)
        assert BACKEND.detect(host, "eth0").owns is owns

    def test_switched_off_it_owns_nothing(self, host: TreeHost) -> None:
        host.write("/etc/ipaliasesdisable", "")
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.owns, evidence.strength) == (False, 0)
        assert "switches ipaliases off" in evidence.reasons[-1]
        named = BACKEND.assume(host, "eth0")
        assert (named.owns, named.strength, named.file) == (True, 1, "/etc/ips")

    def test_no_cpanel(self, host: TreeHost) -> None:
        host.at("/usr/local/cpanel/version").unlink()
        assert not BACKEND.detect(host, "eth0").owns


class TestReading:
    @pytest.mark.parametrize(
        ("line", "what"),
        [
            ("203.0.113.9", "is not address:netmask:broadcast"),
            ("203.0.113.9:255.255.255.255", "is not address:netmask:broadcast"),
            ("203.0.113.9:255.255.255.255:203.0.113.9:x", "is not address:netmask:broadcast"),
            ("203.0.113.9::203.0.113.9", "is not address:netmask:broadcast"),
            (" 203.0.113.9:255.255.255.255:203.0.113.9", "is not address:netmask:broadcast"),
            ("203.0.113.900:255.255.255.255:203.0.113.9", "is not address:netmask:broadcast"),
            ("203.0.113.9:255.0.255.0:203.0.113.9", "is not address:netmask:broadcast"),
            ("203.0.113.9:0.0.0.0:203.0.113.9", "is not address:netmask:broadcast"),
            ("2001:db8::9:255.255.255.255:203.0.113.9", "is not address:netmask:broadcast"),
            ("203.0.113.9:255.255.255.255:203.0.113.9\r", "carriage return"),
            ("192.0.2.20:255.255.255.255:192.0.2.20", "line 1 sets 192.0.2.20 with another"),
        ],
    )
    def test_a_line_that_cpanel_passes_over_is_refused(
        self, host: TreeHost, line: str, what: str
    ) -> None:
        host.write("/etc/ips", f"{FOREIGN}{line}\n")
        evidence = BACKEND.detect(host, "eth0")
        with pytest.raises(ParseError, match=rf"^/etc/ips:3: .*{what}"):
            BACKEND.parse(host, evidence)
        with pytest.raises(ParseError, match=r"^/etc/ips:3: "):
            render(host, [alias("198.51.100.10/32")])
        assert host.read("/etc/ips") == f"{FOREIGN}{line}\n"

    def test_a_line_that_stands_twice_counts_once(self, host: TreeHost) -> None:
        host.write("/etc/ips", FOREIGN + FOREIGN)
        told = BACKEND.parse(host, BACKEND.detect(host, "eth0"))
        assert [(one.alias.cidr, one.line, one.ours) for one in told] == [
            ("192.0.2.20/24", 1, None),
            ("192.0.2.21/24", 2, None),
        ]

    def test_a_list_without_its_last_newline_is_not_added_to(self, host: TreeHost) -> None:
        """What cPanel itself would add then, it would write into the last line."""
        host.write("/etc/ips", FOREIGN.rstrip("\n"))
        assert len(BACKEND.parse(host, BACKEND.detect(host, "eth0"))) == 2
        with pytest.raises(ParseError, match=r"^/etc/ips:2: the last line has no newline"):
            render(host, [alias("198.51.100.10/32")])
        render(host, [])
        assert host.read("/etc/ips") == FOREIGN.rstrip("\n")


class TestPool:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", "198.51.100.10\n"),
            ("203.0.113.1\n192.0.2.20\n", "203.0.113.1\n198.51.100.10\n192.0.2.20\n"),
            ("192.0.2.20\n192.0.2.21\n", "192.0.2.20\n192.0.2.21\n198.51.100.10\n"),
            ("# caf\udce9\n192.0.2.20\n", "# caf\udce9\n192.0.2.20\n198.51.100.10\n"),
            ("192.0.2.20", "198.51.100.10\n192.0.2.20\n"),
            ("198.51.100.10\r\n", "198.51.100.10\r\n"),
            ("192.0.2.20\r\n", "198.51.100.10\r\n192.0.2.20\r\n"),
        ],
    )
    def test_an_address_comes(self, before: str, after: str) -> None:
        assert lists.edit_pool(before, ["198.51.100.10"], set()) == after

    def test_an_address_goes(self) -> None:
        assert lists.edit_pool("b\n198.51.100.10 \na\n", [], {"198.51.100.10"}) == "b\na\n"
        assert lists.edit_pool("b\na", [], {"198.51.100.10"}) == "b\na"

    def test_it_follows_the_list_and_nothing_else(self, host: TreeHost) -> None:
        """An address that went to an account since has left the pool, and stays out of it."""
        ours = alias("198.51.100.10/32")
        render(host, [ours])
        host.write("/etc/ipaddrpool", "192.0.2.21\n")
        render(host, [ours], [ours])
        assert host.read("/etc/ipaddrpool") == "192.0.2.21\n"

    def test_another_prefix_leaves_the_pool_as_it_is(self, host: TreeHost) -> None:
        render(host, [alias("198.51.100.10/32")])
        pool = host.read("/etc/ipaddrpool")
        render(host, [alias("198.51.100.10/25")], [alias("198.51.100.10/32")])
        assert "198.51.100.10:255.255.255.128:198.51.100.127\n" in (host.read("/etc/ips") or "")
        assert (host.read("/etc/ips") or "").count("198.51.100.10:") == 1
        assert host.read("/etc/ipaddrpool") == pool


class TestUses:
    @pytest.mark.parametrize(
        ("path", "text", "said"),
        [
            ("/etc/domainips", "#domainips v1\n198.51.100.10: example.com\n", "of example.com"),
            (
                "/etc/userdatadomains",
                "example.com: web1==root==main==example.com==/r==198.51.100.10:80====\n",
                "account web1 uses it for example.com",
            ),
            (
                "/etc/userdatadomains",
                "example.com: web1==root==main==example.com==/r==192.0.2.2:80==198.51.100.10:443\n",
                "account web1 uses it for example.com",
            ),
            ("/var/cpanel/users/web1", "DNS=example.com\nIP=198.51.100.10\n", "account web1 uses"),
            ("/var/cpanel/mainips/res1", "198.51.100.10\n", "reseller res1 shares it"),
            ("/var/cpanel/mainip", "198.51.100.10", "the server's main address"),
        ],
    )
    def test_who_uses_an_address(self, host: TreeHost, path: str, text: str, said: str) -> None:
        host.write(path, text)
        told = BACKEND.in_use(host, {"198.51.100.10", "198.51.100.11"})
        assert list(told) == ["198.51.100.10"]
        assert said in told["198.51.100.10"]

    @pytest.mark.parametrize("text", ["", "x\n", "a: b\n", "a: b==c==d==e==f\n", "\udcff: \n"])
    def test_records_of_another_form_say_nothing(self, host: TreeHost, text: str) -> None:
        for path in ("/etc/domainips", "/etc/userdatadomains", "/var/cpanel/users/x"):
            host.write(path, text)
        assert BACKEND.in_use(host, {"198.51.100.10"}) == {}


addresses = st.lists(
    st.one_of(
        st.integers(1, 199).map(lambda n: f"198.51.100.{n}/32"),
        st.integers(1, 126).map(lambda n: f"203.0.113.{n}/25"),
    ),
    max_size=6,
    unique_by=lambda cidr: cidr.partition("/")[0],
)
foreign = st.lists(
    st.sampled_from(
        [
            "", "# a comment, caf\udce9", "192.0.2.20:255.255.255.0:192.0.2.255",
            "192.0.2.21:255.255.255.255:192.0.2.21", "#198.51.100.7:255.255.255.255:198.51.100.7",
        ]
    ),
    max_size=6,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(foreign, addresses, addresses)
def test_every_way_there_and_back(
    host: TreeHost, theirs: list[str], first: list[str], second: list[str]
) -> None:
    before = "".join(f"{line}\n" for line in theirs)
    host.write("/etc/ips", before)
    host.write("/etc/ipaddrpool", "192.0.2.21\n")
    evidence = BACKEND.detect(host, "eth0")
    there = [one.alias.cidr for one in BACKEND.parse(host, evidence)]
    former: list[Alias] = []
    for cidrs in (first, first, second, second):
        wanted = list(map(alias, cidrs))
        render(host, wanted, former)
        told = BACKEND.parse(host, evidence)
        assert [one.alias for one in told][: len(there)] == list(map(alias, there))
        assert {one.alias for one in told[len(there) :]} == set(wanted)
        texts = host.texts()
        render(host, wanted, wanted)
        assert host.texts() == texts, "a second run changes nothing"
        assert (host.read("/etc/ips") or "").startswith(before)
        pool = (host.read("/etc/ipaddrpool") or "").split()
        assert set(pool) == {"192.0.2.21", *(one.address for one in wanted)}
        former = wanted
    render(host, [], former)
    assert host.read("/etc/ips") == before
    assert host.read("/etc/ipaddrpool") == "192.0.2.21\n"


def test_ten_times_the_aliases_are_ten_times_the_work(host: TreeHost) -> None:
    import sys
    from typing import Any

    def work(count: int) -> int:
        lines = 0

        def trace(frame: Any, event: str, arg: Any) -> Any:
            nonlocal lines
            if "saltext/ipalias" not in frame.f_code.co_filename:
                return None
            lines += event == "line"
            return trace

        host.write("/etc/ips", "")
        nets = ("192.0.2", "198.51.100", "203.0.113")
        wanted = [alias(f"{nets[n % 3]}.{n // 3 + 1}/32") for n in range(count)]
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            render(host, wanted)
            render(host, wanted, wanted)
            render(host, [], wanted)
        finally:
            sys.settrace(before)
        return lines

    assert work(700) < 11 * work(70)
