"""NetworkManager: who owns a link, what a keyfile says, and that an edit is ours alone."""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.tree import TreeHost, commands
from saltext.ipalias.backends import load
from saltext.ipalias.backends import networkmanager_keyfile as keyfile
from saltext.ipalias.errors import OwnerError, ParseError, RefusedError, UnsupportedError
from saltext.ipalias.model import Alias, Change, Evidence, Wanted

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)
BACKEND = load("networkmanager")
ETC = "/etc/NetworkManager/system-connections"
PATH = f"{ETC}/eth0.nmconnection"
UUID = "6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c10"
HEAD = f"[connection]\nid=eth0\nuuid={UUID}\ntype=ethernet\ninterface-name=eth0\n"
MANUAL = f"{HEAD}\n[ipv4]\nmethod=manual\naddress1=192.0.2.2/24\n"
DEVICE = "nmcli -t -f GENERAL.STATE,GENERAL.CON-UUID device show eth0"


def answers(
    file: str = PATH, state: str = "100 (connected)", uuid: str = UUID, version: str = "1.52.1"
) -> dict[str, str]:
    return {
        "nmcli -t -f RUNNING,VERSION general": f"running:{version}\n",
        DEVICE: f"GENERAL.STATE:{state}\nGENERAL.CON-UUID:{uuid}\n",
        "nmcli -t -f UUID,FILENAME connection show": f"other:/x\n{UUID}:{file}\n",
    }


def alias(cidr: str) -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0")


def evidence(path: str | None = PATH, **facts: str) -> Evidence:
    told = {"running": "yes", "version": "1.52.1", "uuid": UUID, **facts}
    return Evidence("networkmanager", "eth0", True, 3, (), path, told)


def render(host: TreeHost, cidrs: list[str], former: list[str] | None = None, **facts: str) -> str:
    """Render an interface's list, store it and return the keyfile's text."""
    wanted = Wanted(
        "eth0",
        tuple(map(alias, cidrs)),
        evidence(**facts),
        tuple(map(alias, former or [])),
    )
    files = BACKEND.render(wanted, host)
    assert [(file.path, file.mode, file.owned) for file in files] == [(PATH, 0o600, False)]
    host.store(files)
    return files[0].text or ""


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    host = TreeHost(tmp_path, answers())
    host.write(PATH, MANUAL)
    return host


class TestDetect:
    def test_the_daemon_names_profile_and_file(self, host: TreeHost) -> None:
        found = BACKEND.detect(host, "eth0")
        assert (found.owns, found.strength, found.file) == (True, 3, PATH)
        assert found.facts["version"] == "1.52.1"
        assert found.facts["uuid"] == UUID

    def test_a_file_name_with_colon_and_backslash(self, host: TreeHost) -> None:
        host.answers = answers(f"{ETC}/Wired\\: a\\\\b.nmconnection")
        assert BACKEND.detect(host, "eth0").file == f"{ETC}/Wired: a\\b.nmconnection"

    @pytest.mark.parametrize(
        ("told", "reason"),
        [
            ({"state": "10 (unmanaged)", "uuid": ""}, "unmanaged"),
            ({"state": "30 (disconnected)", "uuid": ""}, "no profile is active"),
            ({"state": "100 (connected (externally))"}, "only watches"),
            ({"file": "/run/NetworkManager/system-connections/netplan-eth0.nmconnection"},
             "netplan that owns"),
            ({"file": "/etc/sysconfig/network-scripts/ifcfg-eth0"}, "not a keyfile"),
        ],
    )  # fmt: skip
    def test_a_link_that_is_not_networkmanagers(
        self, host: TreeHost, told: dict[str, str], reason: str
    ) -> None:
        host.answers = answers(**told)
        found = BACKEND.detect(host, "eth0")
        assert (found.owns, found.strength, found.file) == (False, 0, None)
        assert reason in found.reasons[-1]

    def test_a_link_the_daemon_does_not_know(self, host: TreeHost) -> None:
        assert BACKEND.detect(host, "eth7").reasons[-1] == "it knows no eth7"

    @pytest.mark.parametrize(
        "file",
        [
            "/run/NetworkManager/system-connections/Wired connection 1.nmconnection",
            "/usr/lib/NetworkManager/system-connections/vendor.nmconnection",
            "",
        ],
    )
    def test_a_profile_that_is_not_persistent_is_owned_but_not_edited(
        self, host: TreeHost, file: str
    ) -> None:
        host.answers = answers(file)
        if file:
            host.write(file, MANUAL)
        found = BACKEND.detect(host, "eth0")
        assert (found.owns, found.strength, found.file) == (True, 3, None)
        wanted = Wanted("eth0", (alias("198.51.100.10/32"),), found)
        with pytest.raises(UnsupportedError, match=f"nmcli connection modify {UUID}"):
            BACKEND.render(wanted, host)
        assert BACKEND.render(Wanted("eth0", (), found), host) == []
        cidrs = [entry.alias.cidr for entry in BACKEND.parse(host, found)]
        assert cidrs == (["192.0.2.2/24"] if file else [])

    def test_a_stopped_daemon_leaves_the_file_that_names_the_link(self, host: TreeHost) -> None:
        host.answers = {"nmcli --version": "nmcli tool, version 1.42.4\n"}
        found = BACKEND.detect(host, "eth0")
        assert (found.owns, found.strength, found.file) == (True, 1, PATH)
        assert found.facts == {"running": "no", "version": "1.42.4"}
        assert not BACKEND.detect(host, "eth1").owns

    def test_the_hardware_address_names_a_link_too(self, tmp_path: Path) -> None:
        host = TreeHost(tmp_path)
        host.link("eth0", 2, "02:00:00:00:00:0a")
        host.write(PATH, "[connection]\ntype=ethernet\n[ethernet]\nmac-address=02:00:00:00:00:0A\n")
        assert BACKEND.detect(host, "eth0").file == PATH

    def test_of_several_files_the_one_that_wins(self, tmp_path: Path) -> None:
        host = TreeHost(tmp_path)
        for name, more in {
            "a": "autoconnect=false\n",
            "b": "autoconnect-priority=-9\n",
            "c": "",
            "d~": "autoconnect-priority=9\n",
            "e": "not a keyfile\n",
        }.items():
            host.write(f"{ETC}/{name}", f"[connection]\ninterface-name=eth0\n{more}")
        assert BACKEND.detect(host, "eth0").file == f"{ETC}/c"


class TestAssume:
    def test_the_file_that_names_the_link(self, host: TreeHost) -> None:
        host.answers = answers(state="10 (unmanaged)", uuid="")
        found = BACKEND.assume(host, "eth0")
        assert (found.owns, found.strength, found.file) == (True, 1, PATH)

    def test_no_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(OwnerError, match=r"does not run.*interface-name=eth0"):
            BACKEND.assume(TreeHost(tmp_path), "eth0")


# What `nmcli --offline connection modify`, 1.42 and 1.52, made of each value.
@pytest.mark.parametrize(
    ("value", "cidr"),
    [
        ("192.0.2.1/24", "192.0.2.1/24"),
        ("192.0.2.1/32,192.0.2.254", "192.0.2.1/32"),
        ("192.0.2.1/33", "192.0.2.1/24"),
        ("192.0.2.1", "192.0.2.1/24"),
        ("192.0.2.1/0", "192.0.2.1/0"),
        ("192.0.2.1/32;", "192.0.2.1/32"),
        ("192.0.2.1;32;192.0.2.254", "192.0.2.1/32"),
        ("192.0.2.1/192.0.2.254", "192.0.2.1/24"),
        ("192.0.2.1/32 ", None),
        ("192.0.2.1/32,192.0.2.254,1", None),
        ("192.0.2.300/32", None),
        ("192.0.2.1 /32", None),
        ("2001:db8::1/64", None),
        ("garbage", None),
        ("", None),
    ],
)
def test_value_as_the_daemon_reads_it(value: str, cidr: str | None) -> None:
    assert keyfile.read_address(value, 4)[0] == cidr


def test_ipv6_value_without_a_prefix() -> None:
    assert keyfile.read_address("2001:DB8:0::1", 6) == ("2001:db8::1/64", True)


def test_order_is_that_of_the_numbers(host: TreeHost) -> None:
    host.write(
        PATH,
        f"{HEAD}[ipv4]\nmethod=manual\naddress10=192.0.2.10/32\naddresses2=192.0.2.22/32\n"
        "address2=192.0.2.2/32\naddress=192.0.2.4/32\naddress0=192.0.2.100/32\n"
        "address03=192.0.2.3/32\naddress2147483648=192.0.2.5/32\naddresses=192.0.2.6/32\n"
        "[ipv6]\nmethod=manual\naddress1=2001:db8::1/64\n"
        "[ipv4]\naddress10=192.0.2.11/32\n",
    )
    found = BACKEND.parse(host, evidence())
    assert [entry.alias.address for entry in found] == [
        "192.0.2.4", "192.0.2.6", "192.0.2.100", "192.0.2.2", "192.0.2.22", "192.0.2.11",
        "2001:db8::1",
    ]  # fmt: skip
    assert {entry.ours for entry in found} == {None}
    assert (found[5].path, found[5].line) == (PATH, 20)


def test_a_broken_file_is_an_error_with_its_line(host: TreeHost) -> None:
    host.write(PATH, f"{HEAD}broken\n")
    with pytest.raises(ParseError, match=f"{PATH}:6"):
        BACKEND.parse(host, evidence())


class TestRender:
    def test_number_is_the_next_behind_the_highest(self, host: TreeHost) -> None:
        host.write(PATH, MANUAL + "address7=203.0.113.7/32,192.0.2.1\naddress3=192.0.2.3/32\n")
        text = render(host, ["198.51.100.10/32"])
        assert text.endswith("address3=192.0.2.3/32\naddress8=198.51.100.10/32\n")

    def test_an_address_that_is_there_is_not_written_again(self, host: TreeHost) -> None:
        assert render(host, ["192.0.2.2/24"]) == MANUAL

    def test_only_former_ones_are_taken_out(self, host: TreeHost) -> None:
        text = MANUAL + "address2=198.51.100.10/32\naddress3=198.51.100.11/32\n"
        host.write(PATH, text)
        assert render(host, []) == text
        assert render(host, [], ["198.51.100.10/32", "198.51.100.99/32"]) == (
            MANUAL + "address3=198.51.100.11/32\n"
        )

    def test_of_two_equal_addresses_the_last_goes(self, host: TreeHost) -> None:
        host.write(PATH, MANUAL + "address2=198.51.100.10/32\naddress9=198.51.100.10/32\n")
        assert render(host, [], ["198.51.100.10/32"]) == MANUAL + "address2=198.51.100.10/32\n"

    def test_an_address_that_gained_a_gateway_is_not_taken_out(self, host: TreeHost) -> None:
        host.write(PATH, MANUAL + "address2=198.51.100.10/32,192.0.2.1\n")
        with pytest.raises(RefusedError, match=f"{PATH}:10: address2=.*carries a gateway"):
            render(host, [], ["198.51.100.10/32"])

    def test_the_last_address_of_a_manual_profile_is_not_taken_out(self, host: TreeHost) -> None:
        with pytest.raises(RefusedError, match="last address"):
            render(host, [], ["192.0.2.2/24"])

    def test_a_made_section_follows_every_change_and_goes(self, host: TreeHost) -> None:
        first = ["2001:db8::10/128", "2001:db8::11/128"]
        assert render(host, first) == MANUAL + (
            "\n[ipv6]\naddress1=2001:db8::10/128\naddress2=2001:db8::11/128\n"
            "addr-gen-mode=default\nmethod=auto\n"
        )
        second = ["2001:db8::11/128", "2001:db8::12/128"]
        assert render(host, second, first) == MANUAL + (
            "\n[ipv6]\naddress1=2001:db8::11/128\naddress2=2001:db8::12/128\n"
            "addr-gen-mode=default\nmethod=auto\n"
        )
        third = ["2001:db8::12/128"]
        render(host, third, second)
        assert render(host, [], third) == MANUAL

    def test_a_section_for_an_old_release(self, host: TreeHost) -> None:
        text = render(host, ["2001:db8::10/128"], version="1.30.6")
        assert "addr-gen-mode=stable-privacy\n" in text

    def test_a_users_own_section_stays(self, host: TreeHost) -> None:
        text = MANUAL + "\n[ipv6]\naddr-gen-mode=default\nmethod=auto\n"
        host.write(PATH, text)
        assert render(host, ["2001:db8::10/128"]) == text + "address1=2001:db8::10/128\n"
        assert render(host, [], ["2001:db8::10/128"]) == text

    @pytest.mark.parametrize(
        ("text", "cidr", "reason"),
        [
            (f"{HEAD}[ipv4]\nmethod=disabled\n", "198.51.100.10/32", "method=disabled"),
            (f"{HEAD}[ipv4]\nmethod=link-local\n", "198.51.100.10/32", "method=link-local"),
            (f"{HEAD}[ipv4]\nmethod=shared\n", "198.51.100.10/32", "method=shared"),
            (f"{HEAD}[ipv4]\ndns=192.0.2.53;\n", "198.51.100.10/32", "no method"),
            (f"{HEAD}[ipv6]\nmethod=ignore\n", "2001:db8::10/128", "method=ignore"),
            (f"{HEAD}[ipv6]\nmethod=disabled\n", "2001:db8::10/128", "method=disabled"),
            (f"{HEAD}master=br0\nslave-type=bridge\n", "198.51.100.10/32", "master=br0"),
            (f"{HEAD}controller=br0\n", "198.51.100.10/32", "controller=br0"),
            (f"{HEAD}multi-connect=3\n", "198.51.100.10/32", "multi-connect"),
            (HEAD.replace("ethernet", "dummy"), "198.51.100.10/32", "for dummy"),
            (f"{HEAD}[ipv4]\nmethod=auto\naddress2147483647=192.0.2.9/32\n",
             "198.51.100.10/32", "no higher number"),
        ],
    )  # fmt: skip
    def test_a_profile_that_takes_no_address(
        self, host: TreeHost, text: str, cidr: str, reason: str
    ) -> None:
        host.write(PATH, text)
        with pytest.raises(UnsupportedError, match=reason):
            render(host, [cidr])
        assert host.read(PATH) == text
        assert render(host, []) == text

    def test_a_file_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(OwnerError, match="gone"):
            render(TreeHost(tmp_path), ["198.51.100.10/32"])


class TestCommands:
    def change(self, host: TreeHost, removed: tuple[Alias, ...] = (), **facts: str) -> Change:
        found = evidence(**facts)
        files = BACKEND.render(Wanted("eth0", (alias("198.51.100.10/32"),), found), host)
        return Change("eth0", found, (alias("198.51.100.10/32"),), removed, tuple(files))

    def test_the_daemons_own_parser_checks_the_file(self, host: TreeHost) -> None:
        change = self.change(host)
        (command,) = BACKEND.validate(change, host)
        assert command.argv == ("nmcli", "--offline", "connection", "modify")
        assert command.stdin == change.files[0].text

    @pytest.mark.parametrize("version", ["", "1.38.2"])
    def test_a_tool_without_offline_checks_nothing(self, host: TreeHost, version: str) -> None:
        assert BACKEND.validate(self.change(host, version=version), host) == []

    def test_load_and_never_reapply(self, host: TreeHost) -> None:
        activation = BACKEND.activate(self.change(host), host)
        assert commands(activation) == [f"nmcli connection load {PATH}"]
        assert activation.note == ""

    def test_a_stopped_daemon_is_not_told(self, host: TreeHost) -> None:
        activation = BACKEND.activate(self.change(host, running="no"), host)
        assert commands(activation) == []
        assert "does not run" in activation.note

    @pytest.mark.parametrize(
        ("version", "method", "warned"),
        [
            ("1.52.1", "auto", True),
            ("1.42.4", "auto", False),
            ("1.52.1", "manual", False),
        ],
    )
    def test_a_removal_that_may_not_last_is_said(
        self, host: TreeHost, version: str, method: str, warned: bool
    ) -> None:
        host.write(PATH, f"{MANUAL}[ipv6]\nmethod={method}\naddress1=2001:db8::1/64\n")
        change = self.change(host, (alias("198.51.100.9/32"),), version=version)
        assert ("may set what was taken away" in BACKEND.activate(change, host).note) is warned

    def test_no_label_is_live(self) -> None:
        assert BACKEND.live_label(alias("198.51.100.10/32")) is None
        assert set(BACKEND.UNSUPPORTED) == {"label", "source4", "source6", "wide_source4"}


def changed_lines(before: str, after: str) -> list[str]:
    pieces = before.split("\n"), after.split("\n")
    return [line for line in difflib.ndiff(*pieces) if line[:1] in "+-"]


BOTH = ["198.51.100.10/32", "198.51.100.11/24", "2001:db8::10/128"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
@pytest.mark.parametrize("path", sorted((CORPUS / "keyfile").glob("*")), ids=lambda path: path.name)
def test_corpus(path: Path, tmp_path: Path) -> None:
    host = TreeHost(tmp_path)
    before = path.read_bytes().decode("utf-8", "surrogateescape")
    host.write(PATH, before)
    if "slave-type=" in before:
        with pytest.raises(UnsupportedError, match="belongs to another interface"):
            render(host, BOTH)
        return
    found = [entry.alias.cidr for entry in BACKEND.parse(host, evidence())]
    after = render(host, BOTH)
    added = changed_lines(before, after)
    assert not [line for line in added if line.startswith("-")]
    assert {line.partition("=")[2] for line in added if "address" in line} == set(BOTH)
    now = [entry.alias.cidr for entry in BACKEND.parse(host, evidence())]
    assert sorted(now) == sorted([*found, *BOTH])
    assert now[: len(found[:1])] == found[:1], "the primary stays first"
    assert render(host, BOTH, BOTH) == after
    assert render(host, [], BOTH) == before


SECTION = st.sampled_from(["ipv4", "ipv6", "ethernet", "proxy"])
LINE = st.sampled_from(
    [
        "", "# address9=192.0.2.9/32", "dns=192.0.2.53;", "address1=192.0.2.1/24",
        "address=203.0.113.5/32", "addresses4=192.0.2.4/24,192.0.2.1", "address77=garbage",
        "address2 = 2001:db8:1::1/64", "route1=203.0.113.0/24,192.0.2.1", "may-fail=caf\udce9",
        "address3=198.51.100.200/32 ", "  gateway=192.0.2.254", "addr-gen-mode=default",
    ]
)  # fmt: skip


@st.composite
def keyfiles(draw: st.DrawFn) -> str:
    lines = HEAD.splitlines()
    for name in draw(st.lists(SECTION, max_size=4)):
        method = ["method=auto"] if name.startswith("ipv") else []
        body = draw(st.permutations([*draw(st.lists(LINE, max_size=5)), *method]))
        lines += ["", f"[{name}]", *body]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end, end + end]))


hosts = st.one_of(
    st.integers(1, 199).map(lambda n: f"198.51.100.{n}/32"),
    st.integers(1, 0xFFFF).map(
        lambda n: str(ipaddress.ip_address((0x20010DB8FFFF << 80) + n)) + "/128"
    ),
)
lists = st.lists(hosts, max_size=5, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(keyfiles(), lists, lists)
def test_every_way_there_and_back(
    tmp_path: Path, before: str, first: list[str], second: list[str]
) -> None:
    host = TreeHost(tmp_path)
    host.write(PATH, before)
    foreign = [entry.alias.cidr for entry in BACKEND.parse(host, evidence())]
    former: list[str] = []
    for wanted in (first, first, second, second):
        text = render(host, wanted, former)
        again = render(host, wanted, wanted)
        assert again == text, "a second run changes nothing"
        held = [entry.alias.cidr for entry in BACKEND.parse(host, evidence())]
        assert sorted(held) == sorted([*foreign, *wanted])
        v4 = [cidr for cidr in held if ":" not in cidr]
        assert v4[: len([c for c in foreign if ":" not in c])] == [
            c for c in foreign if ":" not in c
        ]
        # An end that the last line did not have is no change of the line.
        lines = (before.replace("\r", ""), text.replace("\r", ""))
        assert not [line for line in changed_lines(*lines) if line.startswith("- ") and line[2:]]
        former = wanted
    assert render(host, [], former) == before
