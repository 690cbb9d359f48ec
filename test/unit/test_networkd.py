"""networkd: whose file it is, what networkd reads in it, what our drop-in says."""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import tree
from saltext.ipalias.backends import networkd
from saltext.ipalias.errors import OwnerError, ParseError, UnsupportedError
from saltext.ipalias.model import Alias, Change, Evidence
from saltext.ipalias.text import ini

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)
MAIN = "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.10/24\n"
FILE = "/etc/systemd/network/10-eth0.network"
DROPIN = f"{FILE}.d/60-ipalias.conf"
RUNS = {"systemctl is-active systemd-networkd.service": "active\n"}
V252 = {"networkctl --version": "systemd 252 (252.39-1)\n"}
V257 = {"networkctl --version": "systemd 257 (257.13-1)\n"}


@pytest.fixture
def host(tmp_path: Path) -> tree.TreeHost:
    host = tree.TreeHost(tmp_path, V257)
    host.link("eth0", 2)
    return host


def managed(
    host: tree.TreeHost, path: str = FILE, index: int = 2, state: str = "configured"
) -> None:
    host.answers = {**host.answers, **RUNS}
    host.write(
        f"/run/systemd/netif/links/{index}",
        f"# private\nADMIN_STATE={state}\nNETWORK_FILE={path}\n",
    )


def alias(cidr: str, **rest: str) -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", **rest)  # type: ignore[arg-type]


class TestOwner:
    def test_a_running_networkd_names_the_file(self, host: tree.TreeHost) -> None:
        managed(host)
        evidence = networkd.detect(host, "eth0")
        assert (evidence.owns, evidence.strength, evidence.file) == (True, 3, FILE)
        assert evidence.facts["version"] == "257"
        assert evidence.facts["dropin"] == DROPIN

    def test_an_unmanaged_link_is_not_owned_though_a_file_matches(
        self, host: tree.TreeHost
    ) -> None:
        managed(host, path="", state="unmanaged")
        host.write(FILE, MAIN)
        evidence = networkd.detect(host, "eth0")
        assert not evidence.owns
        assert "unmanaged" in evidence.reasons[-1]

    def test_what_a_stopped_networkd_left_in_run_says_nothing(self, host: tree.TreeHost) -> None:
        managed(host, path="/etc/systemd/network/99-gone.network")
        host.answers = V257
        host.write(FILE, MAIN)
        evidence = networkd.detect(host, "eth0")
        assert (evidence.owns, evidence.strength, evidence.file) == (True, 1, FILE)

    def test_netplans_file_is_netplans_unless_the_user_insists(self, host: tree.TreeHost) -> None:
        managed(host, path="/run/systemd/network/10-netplan-eth0.network")
        evidence = networkd.detect(host, "eth0")
        assert not evidence.owns
        assert "netplan" in evidence.reasons[-1]
        assumed = networkd.assume(host, "eth0")
        assert assumed.owns
        assert assumed.facts["dropin"] == (
            "/etc/systemd/network/10-netplan-eth0.network.d/60-ipalias.conf"
        )

    def test_nothing_to_extend_is_an_error_that_says_what_to_write(
        self, host: tree.TreeHost
    ) -> None:
        assert not networkd.detect(host, "eth0").owns
        with pytest.raises(OwnerError, match="Name=eth0"):
            networkd.assume(host, "eth0")

    def test_the_first_name_wins_over_all_folders_and_etc_hides_and_masks(
        self, host: tree.TreeHost
    ) -> None:
        host.write("/usr/lib/systemd/network/05-a.network", MAIN)
        host.write("/etc/systemd/network/05-a.network", "")
        host.write("/usr/lib/systemd/network/07-b.network", MAIN)
        host.write("/run/systemd/network/07-b.network", MAIN.replace("eth0", "eth7"))
        host.write("/usr/local/lib/systemd/network/09-c.network", MAIN)
        host.write(FILE, MAIN)
        found = networkd.detect(host, "eth0").file
        assert found == "/usr/local/lib/systemd/network/09-c.network"

    @pytest.mark.parametrize(
        ("match", "owns"),
        [
            ("Name=eth0", True),
            ("Name=en* et?0", True),
            ("Name=!eth0", False),
            ("Name=!eth1 eth2", True),
            ("Name=!eth1 eth0", False),
            ("Name=eth1\nName=\nName=eth0", True),
            ("MACAddress=02-00-00-00-00-01", True),
            ("MACAddress=0200.0000.0001", True),
            ("MACAddress=02:00:00:00:00:02", False),
            ("MACAddress=02:00:00:00:00:01\nName=eth1", False),
            ("Driver=virtio*", True),
            ("Driver=e1000", False),
            ("Type=wlan", False),
            ("Name=eth0 # not a comment", True),
            ("", False),
        ],
    )
    def test_match(self, host: tree.TreeHost, match: str, owns: bool) -> None:
        host.write("/sys/class/net/eth0/device/uevent", "DRIVER=virtio_net\n")
        host.write("/sys/class/net/eth0/uevent", "DEVTYPE=bridge\nINTERFACE=eth0\n")
        host.write(FILE, f"[Match]\n{match}\n")
        assert networkd.detect(host, "eth0").owns is owns

    def test_altname_permanent_address_and_kind_come_from_ip(self, host: tree.TreeHost) -> None:
        host.answers = {
            **V257,
            "ip -d -j link show": '[{"ifname": "eth0", "address": "02:00:00:00:00:09",'
            ' "permaddr": "02:00:00:00:00:01", "altnames": ["enp1s0"], "link_type": "ether",'
            ' "linkinfo": {"info_kind": "veth"}}]',
        }
        host.write(
            FILE,
            "[Match]\nName=enp*\nPermanentMACAddress=02:00:00:00:00:01\nKind=veth\nType=ether\n",
        )
        assert networkd.detect(host, "eth0").owns

    def test_a_match_that_cannot_be_judged_is_not_guessed_past(self, host: tree.TreeHost) -> None:
        host.write("/etc/systemd/network/05-x.network", "[Match]\nName=eth0\nHost=a\n")
        only = networkd.detect(host, "eth0")
        assert only.file == "/etc/systemd/network/05-x.network"
        assert "Host=" in "".join(only.reasons)
        host.write(FILE, MAIN)
        assert not networkd.detect(host, "eth0").owns

    def test_a_broken_file_is_passed_over_as_networkd_does(self, host: tree.TreeHost) -> None:
        host.write("/etc/systemd/network/05-x.network", "[Match\nName=eth0\n")
        host.write(FILE, MAIN)
        evidence = networkd.detect(host, "eth0")
        assert evidence.file == FILE
        assert "05-x.network:1" in "".join(evidence.reasons)

    @pytest.mark.parametrize("runs", [True, False])
    def test_a_file_for_several_links_is_refused(self, host: tree.TreeHost, runs: bool) -> None:
        host.link("eth1", 3, "02:00:00:00:00:02")
        host.write(FILE, MAIN.replace("eth0", "eth*"))
        if runs:
            managed(host)
            managed(host, index=3)
        with pytest.raises(UnsupportedError, match="also configures eth1"):
            tree.apply(networkd, host, "eth0", [alias("198.51.100.1/32")])
        assert host.texts() == {FILE: MAIN.replace("eth0", "eth*")}
        tree.apply(networkd, host, "eth0", [])  # taking away must work all the same


class TestReading:
    # Seen on 252.39 and 257.13: the addresses that came up for this file.
    TEXT = (
        "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.1\n"
        "Address=198.51.100.1/24\nAddress=2001:db8::5\nAddress=\n\n"
        "[Address]\nAddress=203.0.113.1/24\nAddress=203.0.113.2/24\n"
        "[Address]\nAddress=203.0.113.3/24\nAddress=\n"
        "[Address]\nAddress=203.0.113.4/40\n"
        "[Address]\nAddress=2001:db8::77/64\n"
        "[Address]\nAddress=203.0.113.66/24\nAddress=bogus\n"
        "[Address]\nAddress=203.0.113.68/32\nLabel=averyveryverylonglabel\n"
        "[Address]\nAddress=203.0.113.67\n"
    )
    OLD = (
        "192.0.2.1/24",
        "198.51.100.1/24",
        "2001:db8::5/0",
        "203.0.113.2/24",
        "2001:db8::77/64",
        "203.0.113.67/24",
    )
    NEW = ("203.0.113.2/24", "2001:db8::77/64", "203.0.113.67/32")

    @pytest.mark.parametrize(("version", "expected"), [(V252, OLD), (V257, NEW), ({}, NEW)])
    def test_each_version_as_it_reads(
        self, host: tree.TreeHost, version: dict[str, str], expected: tuple[str, ...]
    ) -> None:
        host.answers = version
        host.write(FILE, self.TEXT)
        found = networkd.parse(host, networkd.detect(host, "eth0"))
        assert tuple(one.alias.cidr for one in found) == expected
        assert all(one.alias.label is None and one.ours is False for one in found)

    @pytest.mark.parametrize(
        ("first", "prefix"), [(1, 8), (127, 8), (128, 16), (192, 24), (224, None)]
    )
    def test_a_missing_prefix_was_classful(
        self, host: tree.TreeHost, first: int, prefix: int | None
    ) -> None:
        host.answers = V252
        address = ipaddress.IPv4Address(first << 24 | 9)
        host.write(FILE, f"[Match]\nName=eth0\n[Address]\nAddress={address}\n")
        found = networkd.parse(host, networkd.detect(host, "eth0"))
        assert [one.alias.prefix for one in found] == ([prefix] if prefix else [])

    def test_drop_ins_are_merged_by_name_and_ours_is_known(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        host.write(
            f"/run/systemd/network/{FILE[21:]}.d/70-b.conf", "[Address]\nAddress=203.0.113.1/32"
        )
        host.write(f"{FILE}.d/80-a.conf", "[Network]\nAddress=203.0.113.2/32\n")
        host.write(
            f"/usr/lib/systemd/network/{FILE[21:]}.d/80-a.conf", "[Network]\nAddress=::1/128"
        )
        host.write(DROPIN, "[Address]\nAddress=198.51.100.1/32\nLabel=x\nScope=host\n")
        found = networkd.parse(host, networkd.detect(host, "eth0"))
        assert [(one.alias.cidr, one.ours, one.line) for one in found] == [
            ("192.0.2.10/24", False, 4),
            ("198.51.100.1/32", True, 2),
            ("203.0.113.1/32", False, 2),
            ("203.0.113.2/32", False, 2),
        ]
        assert found[1].alias == alias("198.51.100.1/32", label="x", source="never")

    def test_a_broken_file_is_an_error_with_its_line(self, host: tree.TreeHost) -> None:
        managed(host)
        host.write(FILE, MAIN)
        host.write(f"{FILE}.d/10-x.conf", "[Network\n")
        with pytest.raises(ParseError, match=r"10-x\.conf:1"):
            networkd.parse(host, networkd.detect(host, "eth0"))

    def test_addresses_from_a_pool_are_nobodys_alias(self, host: tree.TreeHost) -> None:
        host.write(FILE, "[Match]\nName=eth0\n[Network]\nAddress=0.0.0.0/24\nAddress=::/64\n")
        assert networkd.parse(host, networkd.detect(host, "eth0")) == []


class TestRefusals:
    @pytest.mark.parametrize("cidr", ["192.0.2.99/24", "192.0.2.200/24"])
    def test_two_scopes_in_a_subnet(self, host: tree.TreeHost, cidr: str) -> None:
        host.write(FILE, MAIN)
        with pytest.raises(UnsupportedError, match=f"write it as {cidr[:-3]}/32"):
            tree.apply(networkd, host, "eth0", [alias(cidr, source="never")])
        tree.apply(networkd, host, "eth0", [alias(f"{cidr[:-3]}/32", source="never")])

    def test_two_scopes_among_ours(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        with pytest.raises(UnsupportedError, match="one scope"):
            tree.apply(
                networkd,
                host,
                "eth0",
                [alias("203.0.113.1/28"), alias("203.0.113.2/28", source="never")],
            )

    @pytest.mark.parametrize("folder", ["/run", "/usr/lib"])
    def test_adopting_out_of_a_file_that_comes_back(self, host: tree.TreeHost, folder: str) -> None:
        host.write(f"{folder}/systemd/network/10-eth0.network", MAIN)
        evidence = networkd.detect(host, "eth0")
        with pytest.raises(UnsupportedError, match="comes back"):
            tree.apply(
                networkd,
                host,
                "eth0",
                [alias("192.0.2.10/24")],
                adopt=networkd.parse(host, evidence),
            )
        assert DROPIN not in host.texts()

    @pytest.mark.parametrize("line", ["Peer=192.0.2.1/32", "RouteMetric=5", "Scope=link"])
    def test_adopting_what_would_lose_a_setting(self, host: tree.TreeHost, line: str) -> None:
        text = f"[Match]\nName=eth0\n[Address]\nAddress=198.51.100.1/32\n{line}\n"
        host.write(FILE, text)
        adopt = networkd.parse(host, networkd.detect(host, "eth0"))
        with pytest.raises(UnsupportedError, match=r"10-eth0\.network:5"):
            tree.apply(networkd, host, "eth0", [alias("198.51.100.1/32")], adopt=adopt)


@pytest.mark.parametrize(
    ("version", "running", "foreign", "told", "note"),
    [
        ("257", "yes", (), ["networkctl reload"], ""),
        ("255", "yes", (), ["networkctl reload"], ""),
        ("254", "yes", (), [], "before 255"),
        ("", "yes", (), [], "unknown version"),
        ("257", "no", (), [], "does not run"),
        ("257", "yes", ("203.0.113.9/32",), [], "203.0.113.9/32"),
    ],
)
def test_who_is_told_what(
    host: tree.TreeHost,
    version: str,
    running: str,
    foreign: tuple[str, ...],
    told: list[str],
    note: str,
) -> None:
    evidence = Evidence("networkd", "eth0", True, facts={"version": version, "running": running})
    activation = networkd.activate(Change("eth0", evidence, foreign_live=foreign), host)
    assert tree.commands(activation) == told
    assert note in activation.note
    assert bool(note) == bool(activation.note)


def networks(versions: int) -> st.SearchStrategy[str]:
    base = {4: int(ipaddress.ip_address("203.0.113.0")), 6: int(ipaddress.ip_address("2001:db8::"))}
    make = ipaddress.IPv4Address if versions == 4 else ipaddress.IPv6Address
    return st.integers(1, 200).map(lambda n: str(make(base[versions] + n)))


@st.composite
def lists(draw: st.DrawFn) -> list[Alias]:
    four = draw(st.lists(networks(4), max_size=6, unique=True))
    six = draw(st.lists(networks(6), max_size=6, unique=True))
    never = st.sampled_from(["auto", "never"])
    labels = st.sampled_from([None, "failover1", "eth0:x", "fifteen-letters"])
    wide = draw(never)  # one subnet, one scope
    found = []
    for address in four:
        prefix = draw(st.sampled_from([32, 28]))
        source = draw(never) if prefix == 32 else wide
        found.append(Alias(address, prefix, "eth0", label=draw(labels), source=source))
    found += [
        Alias(address, draw(st.sampled_from([128, 64])), "eth0", source=draw(never))
        for address in six
    ]
    return found


FOREIGN = st.lists(
    st.sampled_from(
        [
            "# a comment",
            "",
            "[Network]",
            "DNS=192.0.2.53 \\",
            "Address=192.0.2.77/24",
            "[Address]",
            "[Route]",
            "Gateway=192.0.2.1  ",
            "; caf\udce9",
        ]
    ),
    max_size=8,
)


@given(lists(), lists(), FOREIGN, st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, deadline=None)
def test_what_is_rendered_is_read_back_and_what_is_foreign_stays(
    first: list[Alias], second: list[Alias], lines: list[str], end: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = tree.TreeHost(Path(folder), V257)
        host.link("eth0", 2)
        text = end.join(["[Match]", "Name=eth0", *lines])
        host.write(FILE, text)
        for aliases in (first, second):
            tree.apply(networkd, host, "eth0", aliases)
            evidence = networkd.detect(host, "eth0")
            ours = [one.alias for one in networkd.parse(host, evidence) if one.ours]
            assert ours == aliases
            assert tree.apply(networkd, host, "eth0", aliases).files == ()
        tree.apply(networkd, host, "eth0", [])
        assert host.texts() == {FILE: text}


def corpus() -> Iterator[Path]:
    yield from sorted((CORPUS / "networkd").glob("*"))


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
class TestRealFiles:
    @pytest.fixture(params=[path.name for path in corpus()])
    def real(
        self, request: pytest.FixtureRequest, host: tree.TreeHost
    ) -> tuple[tree.TreeHost, str, str]:
        text = (CORPUS / "networkd" / request.param).read_bytes().decode("utf-8", "surrogateescape")
        name = re.search(r"^Name=(\S+)", text, re.M)
        mac = re.search(r"\[Match\]\nMACAddress=(\S+)", text)
        assert name is not None
        interface = name.group(1).replace("*", "p9s9")
        host.link(interface, 5, mac.group(1) if mac else "02:00:00:00:00:05")
        host.write(FILE, text)
        return host, interface, text

    def test_an_alias_comes_and_goes(self, real: tuple[tree.TreeHost, str, str]) -> None:
        host, interface, text = real
        one = Alias("198.51.100.1", 32, interface, label="x", source="never")
        tree.apply(networkd, host, interface, [one])
        assert set(host.texts()) == {FILE, DROPIN}
        assert host.read(FILE) == text
        tree.apply(networkd, host, interface, [])
        assert host.texts() == {FILE: text}

    def test_every_address_is_read(self, real: tuple[tree.TreeHost, str, str]) -> None:
        host, interface, text = real
        found = networkd.parse(host, networkd.detect(host, interface))
        assert [one.alias.cidr for one in found] == re.findall(r"^Address=(\S+)", text, re.M)
        assert [text.split("\n")[one.line - 1] for one in found] == [
            f"Address={one.alias.cidr}" for one in found
        ]

    def test_each_address_can_be_adopted(self, real: tuple[tree.TreeHost, str, str]) -> None:
        host, interface, text = real
        for found in networkd.parse(host, networkd.detect(host, interface)):
            host.write(FILE, text)
            tree.apply(networkd, host, interface, [found.alias], adopt=[found])
            after = host.read(FILE)
            assert after is not None
            assert f"Address={found.alias.cidr}\n" not in after
            document = ini.parse(text, FILE)
            section = next(
                s for s in document.sections if any(e.line == found.line for e in s.entries)
            )
            start, end = found.line - 1, found.line
            if section.name == "Address":  # the header goes too, and a blank line beside it
                start = section.line - 1
                at_top = start == 0
                start, end = (start, end + 1) if at_top else (start - 1, end)
            rows = text.splitlines(keepends=True)
            assert after == "".join(rows[:start] + rows[end:])

    def test_there_are_real_files(self) -> None:
        assert list(corpus())
