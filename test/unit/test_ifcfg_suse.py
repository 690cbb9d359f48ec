"""SUSE's ``ifcfg-*``: read as wicked reads it, and that an edit is ours alone."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.tree import TreeHost
from saltext.ipalias.backends import ifcfg_suse_file as ifcfg
from saltext.ipalias.backends import load
from saltext.ipalias.errors import OwnerError, ParseError, RefusedError, UnsupportedError
from saltext.ipalias.model import Alias, Evidence, Wanted

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)
BACKEND = load("ifcfg_suse")
PATH = "/etc/sysconfig/network/ifcfg-eth0"
BASE = "BOOTPROTO='static'\nIPADDR='192.0.2.2/24'\n"
FACTS = {"running": "yes", "managed": "yes", "version": "0.6.77"}
EVIDENCE = Evidence("ifcfg_suse", "eth0", True, 3, (), PATH, FACTS)


def alias(cidr: str, label: str | None = None, source: str = "auto") -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", label, source)


def found(text: str, interface: str = "eth0") -> list[tuple[str, str | None, str]]:
    """Return the addresses of a text with label and source policy."""
    slots = ifcfg.File(text, PATH, interface).slots
    return [(slot.alias.cidr, slot.alias.label, slot.alias.source) for slot in slots]


def cidrs(text: str) -> list[str]:
    return [cidr for cidr, _, _ in found(text)]


def render(
    host: TreeHost,
    wanted: list[Alias],
    former: list[Alias] | None = None,
    adopt: tuple[str, ...] = (),
) -> str:
    """Render an interface's list, store it and return the file's text."""
    lines = tuple(one for one in BACKEND.parse(host, EVIDENCE) if one.alias.cidr in adopt)
    files = BACKEND.render(
        Wanted("eth0", tuple(wanted), EVIDENCE, tuple(former or ()), lines), host
    )
    assert [(file.path, file.owned) for file in files] == [(PATH, False)]
    host.store(files)
    return files[0].text or ""


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    host = TreeHost(tmp_path)
    host.write(PATH, BASE)
    return host


class TestDetect:
    def answers(self, state: str = "up", version: str = "0.6.77") -> dict[str, str]:
        return {
            "wicked --version": f"wicked {version}\n",
            "systemctl is-active wickedd.service": "active\n",
            "wicked ifstatus --brief eth0": f"eth0            {state}\n",
        }

    def test_a_link_that_wicked_set_up(self, host: TreeHost) -> None:
        host.answers = self.answers()
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.owns, evidence.strength, evidence.file) == (True, 3, PATH)
        assert evidence.facts == FACTS

    @pytest.mark.parametrize("state", ["device-unconfigured", "no-device", "device-not-enabled"])
    def test_a_link_that_it_leaves_alone(self, host: TreeHost, state: str) -> None:
        host.answers = self.answers(state)
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.strength, evidence.facts["managed"]) == (1, "no")
        assert state in evidence.reasons[-1]

    def test_another_owners_host_has_a_weak_file(self, host: TreeHost) -> None:
        """As where NetworkManager took over and left the file: it says so with strength 3."""
        host.answers = {"wicked --version": "wicked 0.6.77\n"}
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.owns, evidence.strength) == (True, 1)
        assert "does not run" in evidence.reasons[-1]

    def test_scripts_before_wicked(self, host: TreeHost) -> None:
        host.write("/etc/init.d/network", "#! /bin/bash\n")
        evidence = BACKEND.detect(host, "eth0")
        assert (evidence.owns, evidence.strength, evidence.facts["scripts"]) == (True, 2, "yes")
        assert "without wicked may not read SCOPE" in evidence.facts["unsupported_source4"]

    @pytest.mark.parametrize(("version", "can"), [("0.6.39", False), ("0.6.40", True)])
    def test_what_a_release_reads(self, host: TreeHost, version: str, can: bool) -> None:
        host.answers = self.answers(version=version)
        facts = BACKEND.detect(host, "eth0").facts
        assert ("unsupported_source4" not in facts) is can
        assert ("unsupported_source6" not in facts) is can

    def test_no_file_is_no_owner(self, tmp_path: Path) -> None:
        host = TreeHost(tmp_path)
        assert not BACKEND.detect(host, "eth0").owns
        with pytest.raises(OwnerError, match="there is no /etc/sysconfig/network/ifcfg-eth0"):
            BACKEND.assume(host, "eth0")


class TestReading:
    # client/suse/compat-suse.c, __get_ipaddr.
    @pytest.mark.parametrize(
        ("lines", "cidr"),
        [
            ("IPADDR_1=203.0.113.9\nNETMASK_1=255.255.255.255\n", "203.0.113.9/32"),
            ("IPADDR_1=203.0.113.9\nNETMASK_1=255.255.255.0\n", "203.0.113.9/24"),
            ("IPADDR_1=203.0.113.9\n", "203.0.113.9/32"),
            ("IPADDR_1=203.0.113.9/28\nNETMASK_1=255.0.0.0\nPREFIXLEN_1=9\n", "203.0.113.9/28"),
            ("IPADDR_1=203.0.113.9\nNETMASK_1=255.0.0.0\nPREFIXLEN_1=9\n", "203.0.113.9/9"),
            ("IPADDR_1=203.0.113.9/33\nNETMASK_1=255.255.0.0\n", "203.0.113.9/16"),
            ("IPADDR_1=203.0.113.9/0\n", "203.0.113.9/32"),
            ("IPADDR_1=203.0.113.9\nPREFIXLEN_1=77\nNETMASK_1=255.0.0.0\n", "203.0.113.9/32"),
            ("IPADDR_1=2001:DB8:0::9\nNETMASK_1=255.0.0.0\n", "2001:db8::9/128"),
            ("IPADDRxyz='2001:db8::9/64'\n", "2001:db8::9/64"),
            ("  IPADDR_1=203.0.113.9/32   # a comment\n", "203.0.113.9/32"),
            ('IPADDR_1="203.0.113.9/32" # one\r\n', "203.0.113.9/32"),
        ],
    )
    def test_an_address(self, lines: str, cidr: str) -> None:
        assert cidrs(lines) == [cidr]

    @pytest.mark.parametrize(
        "value", ["", "''", "0.0.0.0/24", "::", "to-be-done", "203.0.113.300/32", "fe80::1%eth0"]
    )
    def test_what_wicked_passes_over(self, value: str) -> None:
        assert cidrs(f"IPADDR_1={value}\nIPADDR=192.0.2.2/24\n") == ["192.0.2.2/24"]

    def test_order_is_that_of_the_first_lines_and_the_last_value_counts(self) -> None:
        text = "IPADDR_1=192.0.2.1/24\nIPADDR=192.0.2.2/24\nIPADDR_1=192.0.2.3/24\n"
        assert cidrs(text) == ["192.0.2.3/24", "192.0.2.2/24"]

    # src/netdev.c, ni_netdev_alias_label_is_valid; src/ifconfig.c, IFA_LABEL.
    @pytest.mark.parametrize(
        ("label", "live"),
        [
            ("ens32:0", "ens32:0"),
            ("0", "ens32:0"),
            ("web", "ens32:web"),
            ("ens32", None),
            ("ens32x", "ens32x"),
            ("a" * 9, "ens32:" + "a" * 9),
            ("a" * 10, None),
            ("ens32:" + "a" * 10, None),
            ("a/b", None),
        ],
    )
    def test_a_label(self, label: str, live: str | None) -> None:
        text = f"IPADDR_1=203.0.113.9/32\nLABEL_1={label}\n"
        assert found(text, "ens32") == [("203.0.113.9/32", live, "auto")]

    @pytest.mark.parametrize(
        ("lines", "source"),
        [
            ("IPADDR_1=203.0.113.9/32\nSCOPE_1=host\n", "never"),
            ("IPADDR_1=203.0.113.9/24\nSCOPE_1=host\n", "auto"),
            ("IPADDR_1=203.0.113.9/32\nSCOPE_1=global\n", "auto"),
            ("IPADDR_1=203.0.113.9/32\nIP_OPTIONS_1='preferred_lft 0'\n", "auto"),
            ("IPADDR_1=2001:db8::9\nIP_OPTIONS_1='nodad preferred_lft 0'\n", "never"),
            ("IPADDR_1=2001:db8::9\nIP_OPTIONS_1='preferred_lft 60'\n", "auto"),
        ],
    )
    def test_a_source_policy(self, lines: str, source: str) -> None:
        assert found(lines)[0][2] == source

    # Where a shell (SLE 11) and wicked part, and what neither could read.
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("X=1\nexport IPADDR_1=203.0.113.9/32\n", 2),
            ("A=1 IPADDR_1=203.0.113.9/32\n", 1),
            ("IPADDR_1=203.0.113.9/32 LABEL_1=x\n", 1),
            ('\nIPADDR_1="203.0.113.9"/32\n', 2),
            ("IPADDR_1=203.0.113'.9/32'\n", 1),
            ("IPADDR_1=$ADDRESS/32\n", 1),
            ("IPADDR_1=`cat /x`\n", 1),
            ("IPADDR_1=( 203.0.113.9/32 )\n", 1),
            ("IPADDR_1+=/32\n", 1),
            ("X='\nIPADDR_1=203.0.113.9/32\n'\n", 2),
            ("if true; then\nIPADDR_1=203.0.113.9/32\nfi\n", 2),
            ("IPADDR_1=203.0.113.9/32\nunset IPADDR_1\n", 2),
            ("IPADDR_1=203.0.113.9/32", 1),
            ("IPADDR_1=203.0.113.9/x\n", 1),
            ("IPADDR_1=203.0.113.9\nPREFIXLEN_1=0x20\n", 1),
            ("IPADDR_1=203.0.113.9\nNETMASK_1=255.0.255.0\n", 1),
            ("IPADDR_1=203.0.113.9\nNETMASK_1=24\n", 1),
            ("NAME='never closed\n", 1),
        ],
    )
    def test_what_cannot_be_told_is_refused_with_its_line(self, text: str, line: int) -> None:
        with pytest.raises(ParseError, match=rf"^{PATH}:{line}: "):
            ifcfg.File(text, PATH, "eth0")

    def test_a_foreign_line_may_say_what_it_likes(self) -> None:
        text = BASE + "POST_UP_SCRIPT=$HOME/x\nNAME=`hostname` X=1\nexport Y=2\n"
        assert cidrs(text) == ["192.0.2.2/24"]


class TestRender:
    def test_only_what_is_ours_or_named_goes(self, host: TreeHost) -> None:
        text = BASE + "IPADDR_1=198.51.100.1/32\nIPADDR_2=198.51.100.2/32\nLABEL_2=x\n"
        host.write(PATH, text)
        assert render(host, []) == text
        assert render(host, [], [alias("198.51.100.2/32")]) == BASE + "IPADDR_1=198.51.100.1/32\n"

    def test_of_two_equal_addresses_ours_goes(self, host: TreeHost) -> None:
        ours = alias("198.51.100.1/32")
        text = render(host, [ours])
        host.write(PATH, text + "IPADDR_9=198.51.100.1/32\n")
        assert render(host, [], [ours]) == BASE + "IPADDR_9=198.51.100.1/32\n"

    def test_of_two_equal_lines_the_last_goes(self, host: TreeHost) -> None:
        text = BASE + "IPADDR_1=198.51.100.1/32\n"
        host.write(PATH, text + "IPADDR_2=198.51.100.1/32\n")
        assert render(host, [], [alias("198.51.100.1/32")]) == text

    def test_a_suffix_stays_with_its_address(self, host: TreeHost) -> None:
        first, second, third = (alias(f"198.51.100.{n}/32") for n in (1, 2, 3))
        render(host, [first, second])
        text = render(host, [second, third], [first, second])
        assert "IPADDR_ipalias1='198.51.100.2/32'" in text
        assert "IPADDR_ipalias0='198.51.100.3/32'" in text

    def test_what_is_asked_no_more_is_taken_back(self, host: TreeHost) -> None:
        plain = alias("198.51.100.1/32")
        text = render(host, [plain])
        changed = render(host, [alias("198.51.100.1/32", "x", "never")], [plain])
        assert "LABEL_ipalias0='eth0:x'" in changed
        assert "SCOPE_ipalias0='host'" in changed
        assert render(host, [plain], [plain]) == text

    def test_a_line_of_ours_that_stands_twice_counts_once(self, host: TreeHost) -> None:
        ours = alias("198.51.100.1/32")
        text = render(host, [ours])
        host.write(PATH, text + "IPADDR_ipalias7='198.51.100.1/32'\n")
        again = render(host, [ours], [ours])
        assert again.count("IPADDR_ipalias") == 1
        assert render(host, [], [ours]) == BASE

    def test_purge_all_takes_a_foreign_line_out(self, host: TreeHost) -> None:
        host.write(PATH, BASE + "IPADDR_1=198.51.100.1\nNETMASK_1=255.255.255.255\n")
        assert render(host, [], adopt=("198.51.100.1/32",)) == BASE

    def test_what_has_gained_a_peer_is_not_taken_out(self, host: TreeHost) -> None:
        text = render(host, [alias("198.51.100.1/32")])
        host.write(PATH, text + "REMOTE_IPADDR_ipalias0=192.0.2.9\n")
        with pytest.raises(RefusedError, match=rf"{PATH}:3: .*REMOTE_IPADDR_ipalias0"):
            render(host, [], [alias("198.51.100.1/32")])

    def test_a_part_of_another_interface_takes_none(self, host: TreeHost) -> None:
        host.write(PATH, "BOOTPROTO='none'\nSTARTMODE='auto'\n")
        with pytest.raises(UnsupportedError, match="BOOTPROTO is none"):
            render(host, [alias("198.51.100.1/32")])
        assert render(host, []) == "BOOTPROTO='none'\nSTARTMODE='auto'\n"

    def test_a_last_line_that_wicked_does_not_see_is_not_brought_to_life(
        self, host: TreeHost
    ) -> None:
        host.write(PATH, BASE + "ZONE=public")
        assert cidrs(BASE + "ZONE=public") == ["192.0.2.2/24"]
        with pytest.raises(ParseError, match=rf"{PATH}:3: wicked passes over this last line"):
            render(host, [alias("198.51.100.1/32")])

    def test_a_file_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(OwnerError, match="gone"):
            render(TreeHost(tmp_path), [alias("198.51.100.1/32")])
        assert BACKEND.render(Wanted("eth0", (), EVIDENCE), TreeHost(tmp_path)) == []

    def test_a_thousand_take_ten_times_the_work_of_a_hundred(self, host: TreeHost) -> None:
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

            wanted = [alias(f"2001:db8:9::{n:x}/128", None, "never") for n in range(1, count + 1)]
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                host.write(PATH, BASE)
                render(host, wanted)
                render(host, wanted, wanted)
                render(host, [], wanted)
            finally:
                sys.settrace(before)
            return lines

        assert work(1000) < 11 * work(100)


def changed_lines(before: str, after: str) -> list[str]:
    pieces = before.split("\n"), after.split("\n")
    return [line for line in difflib.ndiff(*pieces) if line[:1] in "+-"]


BOTH = [alias("198.51.100.10/32"), alias("198.51.100.11/24", "fo1"), alias("2001:db8::10/128")]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_shell_reads_what_wicked_reads(host: TreeHost, shell: str, tmp_path: Path) -> None:
    """SLE 11 sources the file; `test_what_cannot_be_told…` has what the two part over."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    text = render(host, [*BOTH, alias("2001:db8::11/128", None, "never")])
    names = re.findall(r"(?m)^(\w+)=", text)
    asked = "".join(f'printf "%s\\0" "${name}"; ' for name in names)
    said = subprocess.run(
        [shell, "-c", f". {host.at(PATH)}; {asked}"], capture_output=True, text=True, check=True
    )
    file = ifcfg.File(text, PATH, "eth0")
    assert said.stdout.split("\0")[:-1] == [file.value(name) for name in names]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
@pytest.mark.parametrize(
    "path", sorted((CORPUS / "ifcfg_suse").glob("*")), ids=lambda path: path.name
)
def test_corpus(path: Path, tmp_path: Path) -> None:
    host = TreeHost(tmp_path)
    before = path.read_bytes().decode("utf-8", "surrogateescape")
    host.write(PATH, before)
    if "BOOTPROTO='none'" in before:
        with pytest.raises(UnsupportedError, match="BOOTPROTO is none"):
            render(host, BOTH)
        return
    there = cidrs(before)
    after = render(host, BOTH)
    added = changed_lines(before, after)
    assert all(line.startswith("+ ") and "_ipalias" in line for line in added)
    assert cidrs(after) == [*there, *(one.cidr for one in BOTH)]
    assert render(host, BOTH, BOTH) == after
    assert render(host, [], BOTH) == before


LINE = st.sampled_from(
    [
        "", "# IPADDR_9=192.0.2.9", "MTU=''", "IPADDR_1=192.0.2.1", "NETMASK_1=255.255.255.0",
        "IPADDR_x='203.0.113.5/24'", "LABEL_x=0", "\tIPADDR_0=\"2001:db8:1::1/64\"  # six",
        "NAME='caf\udce9'", "IPADDR_junk=placeholder", "IPADDR_1=192.0.2.3", "ZONE=public;",
        "BOOTPROTO='static'", "PREFIXLEN_1=28", "ETHTOOL_OPTIONS=''", "POST_UP_SCRIPT=$x",
    ]
)  # fmt: skip


@st.composite
def ifcfgs(draw: st.DrawFn) -> str:
    lines = draw(st.lists(LINE, max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines.append("STARTMODE='auto'")
    return end.join(lines) + draw(st.sampled_from(["", end, end + end]))


def an_alias(cidr: str, label: str | None, never: bool) -> Alias:
    six, single = ":" in cidr, cidr.endswith(("/32", "/128"))
    never = never and (six or single)
    full = f"eth0:{label}" if label and not six else None
    return alias(cidr, full, "never" if never else "auto")


hosts = st.builds(
    an_alias,
    st.one_of(
        st.integers(1, 199).map(lambda n: f"198.51.100.{n}/32"),
        st.integers(201, 254).map(lambda n: f"198.51.100.{n}/25"),
        st.integers(1, 0xFFFF).map(
            lambda n: str(ipaddress.ip_address((0x20010DB8FFFF << 80) + n)) + "/128"
        ),
    ),
    st.sampled_from([None, "a", "fo1"]),
    st.booleans(),
)
lists = st.lists(hosts, max_size=5, unique_by=lambda one: one.address)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ifcfgs(), lists, lists)
def test_every_way_there_and_back(
    tmp_path: Path, before: str, first: list[Alias], second: list[Alias]
) -> None:
    host = TreeHost(tmp_path)
    host.write(PATH, before)
    foreign = cidrs(before)
    former: list[Alias] = []
    for wanted in (first, first, second, second):
        text = render(host, wanted, former)
        assert render(host, wanted, wanted) == text, "a second run changes nothing"
        slots = ifcfg.File(text, PATH, "eth0").slots
        assert [slot.alias.cidr for slot in slots if not slot.own] == foreign
        ours = {slot.alias for slot in slots if slot.own}
        assert ours == set(wanted), "what is written is what is read"
        assert [slot.own for slot in slots] == sorted(slot.own for slot in slots)
        lines = (before.replace("\r", ""), text.replace("\r", ""))
        assert not [line for line in changed_lines(*lines) if line.startswith("- ") and line[2:]]
        former = wanted
    assert render(host, [], former) == before
