"""OpenBSD: who owns a link, what netstart makes of hostname.if, and that an edit is ours alone."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.simopenbsd import hostname_commands
from rig.tree import TreeHost
from saltext.ipalias.backends import load
from saltext.ipalias.backends import openbsd_netstart as netstart
from saltext.ipalias.errors import OwnerError, ParseError, RefusedError, UnsupportedError
from saltext.ipalias.model import Alias, Change, Found, Wanted

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)
BACKEND = load("openbsd")
PATH = "/etc/hostname.vio0"
PRIMARY = "inet 192.0.2.2 255.255.255.0 192.0.2.255\n"
LISTING = "-rw-r-----  1 0  0  99 Jan  1 00:00 /etc/hostname.vio0\n"


def alias(cidr: str, interface: str = "vio0", source: str = "auto") -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), interface, source=source)


def ours(cidr: str) -> Alias:
    """Return an alias as our own line for it is read."""
    return alias(cidr)


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    host = TreeHost(tmp_path, system="openbsd")
    host.write(PATH, PRIMARY)
    return host


def parse(host: TreeHost, text: str | None = None, interface: str = "vio0") -> list[Found]:
    """Return what is read, from a text that is written first."""
    if text is not None:
        host.write(f"/etc/hostname.{interface}", text)
    return BACKEND.parse(host, BACKEND.assume(host, interface))


def read(host: TreeHost, text: str) -> list[str]:
    """Return addresses and lines as netstart would leave them."""
    return [f"{found.alias.cidr} {found.line}" for found in parse(host, text)]


def render(host: TreeHost, *aliases: Alias, adopt: tuple[Found, ...] = ()) -> str | None:
    """Render and store the whole list; return the file's text."""
    evidence = BACKEND.assume(host, "vio0")
    files = BACKEND.render(Wanted("vio0", aliases, evidence, adopt=adopt), host)
    host.store(files)
    return files[0].text if files else host.read(PATH)


class TestDetect:
    def test_a_file_names_the_interface(self, host: TreeHost) -> None:
        found = BACKEND.detect(host, "vio0")
        assert (found.owns, found.strength, found.file) == (True, 2, PATH)

    def test_without_a_file_nobody_configures_it_at_boot(self, host: TreeHost) -> None:
        found = BACKEND.detect(host, "em1")
        assert (found.owns, found.strength) == (False, 0)
        assert found.reasons == ("there is no /etc/hostname.em1",)

    def test_named_by_the_user_it_gets_a_file(self, host: TreeHost) -> None:
        found = BACKEND.assume(host, "em1")
        assert (found.owns, found.strength, found.file) == (True, 1, None)
        (file,) = BACKEND.render(Wanted("em1", (alias("198.51.100.1/32"),), found), host)
        assert (file.path, file.mode, file.owned) == ("/etc/hostname.em1", 0o640, False)
        assert BACKEND.render(Wanted("em1", (), found), host) == []

    def test_netstart_takes_no_other_names(self, host: TreeHost) -> None:
        with pytest.raises(OwnerError, match="letters and a number"):
            BACKEND.assume(host, "vio0.10")

    def test_the_loop_needs_no_file(self, host: TreeHost) -> None:
        assert BACKEND.detect(host, "lo0").owns

    def test_a_file_by_hardware_address_goes_first(self, host: TreeHost) -> None:
        by_mac = "/etc/hostname.02:00:00:00:00:07"
        host.write(by_mac, PRIMARY)
        assert BACKEND.detect(host, "vio0").file == PATH  # ifconfig without -M
        host.answers = {"ifconfig -M 02:00:00:00:00:07": "vio0\n"}
        assert BACKEND.detect(host, "vio0").file == by_mac
        host.answers = {"ifconfig -M 02:00:00:00:00:07": ""}  # two links have it
        assert BACKEND.detect(host, "vio0").file == PATH


class TestRead:
    """Each line as parse_hn_line and ifconfig.c take it."""

    @pytest.mark.parametrize(
        ("line", "cidr"),
        [
            ("inet alias 198.51.100.1/32", "198.51.100.1/32"),
            ("inet alias 198.51.100.1 255.255.255.255", "198.51.100.1/32"),
            ("inet alias 198.51.100.1 255.255.255.255 NONE", "198.51.100.1/32"),
            ("inet alias 198.51.100.1 255.255.255.255 198.51.100.1", "198.51.100.1/32"),
            ("\tinet  alias\t198.51.100.1 0xffffffff", "198.51.100.1/32"),
            ("inet alias 198.51.100.1/25", "198.51.100.1/25"),
            ("alias 198.51.100.1 netmask 255.255.255.240", "198.51.100.1/28"),
            ("alias 198.51.100.1/32", "198.51.100.1/32"),
            ("198.51.100.1/32 alias", "198.51.100.1/32"),
            ("inet alias 198.51.100.1", "198.51.100.1/24"),  # the class
            ("inet alias 198.51.100.1 255.255.255.0 NONE # c", "198.51.100.1/24"),
            ("inet6 alias 2001:db8::9 128", "2001:db8::9/128"),
            ("inet6 alias 2001:db8::9/128", "2001:db8::9/128"),
            ("inet6 alias 2001:DB8:0::9", "2001:db8::9/64"),
            ("inet6 2001:db8::9 64", "2001:db8::9/64"),
            ("inet6 alias fe80::9%vio0 64", "fe80::9/64"),
            ('inet alias 198.51.100.1/32 255.255.255.255 NONE descr "a b"', "198.51.100.1/32"),
            ("inet \\\nalias 198.51.100.1/32", "198.51.100.1/32"),
            ("!ifconfig $if inet alias 198.51.100.1/32", "198.51.100.1/32"),
            ('!/sbin/ifconfig "\\$if" inet alias 198.51.100.1/32 >/dev/null', "198.51.100.1/32"),
            ("! ifconfig vio0 inet6 2001:db8::9/128 alias; true", "2001:db8::9/128"),
            ("!ifconfig vio0 inet6 2001:db8::9 2001:db8::8 up", "2001:db8::9/128"),
        ],
    )
    def test_an_address(self, host: TreeHost, line: str, cidr: str) -> None:
        assert read(host, f"{PRIMARY}{line}\n") == ["192.0.2.2/24 1", f"{cidr} 2"]

    @pytest.mark.parametrize(
        "line",
        [
            "# inet alias 198.51.100.1/32",
            "  #inet alias 198.51.100.1/32",
            "# a comment that goes on \\\ninet alias 198.51.100.1/32",
            "inet 198.51.100.1/32 alias",  # `netmask alias`
            "inet alias 198.51.100.1/32 # c",  # `netmask #`
            "inet alias 198.51.100.1/32 description web",
            "inet alias 198.51.100.1 255.0.255.0",
            "inet alias 198.51.100.300/32",
            "inet alias 198.51.100.1/33",
            "inet alias web1.example.net 255.255.255.255",
            "inet6 alias 2001:db8::9/128 anycast",  # `prefixlen anycast`
            "inet6 alias 2001:db8::9 129",
            "inet6 alias 2001:db8:: 64 eui64",
            "inet6 autoconf -soii",
            "inet autoconf",
            "inet",
            "inet6",
            "dhcp",
            "mtu 1400",
            "tunnel 198.51.100.1 203.0.113.1",
            "!route add -mpath default 198.51.100.1",
            "!ifconfig em1 inet alias 198.51.100.1/32",
            "!for a in $(cat /etc/ips); do ifconfig $if inet alias $a/32; done",
        ],
    )
    def test_no_address(self, host: TreeHost, line: str) -> None:
        assert read(host, f"{PRIMARY}{line}\n") == ["192.0.2.2/24 1"]

    @pytest.mark.parametrize(
        ("top", "prefix"), [(10, 8), (126, 8), (128, 16), (191, 16), (192, 24), (223, 24)]
    )
    def test_without_a_mask_it_is_that_of_the_class(
        self, host: TreeHost, top: int, prefix: int
    ) -> None:
        assert read(host, f"inet alias {top}.0.2.1\n") == [f"{top}.0.2.1/{prefix} 1"]

    def test_a_last_line_without_newline_is_never_come_to(self, host: TreeHost) -> None:
        assert read(host, f"{PRIMARY}inet alias 198.51.100.1/32") == ["192.0.2.2/24 1"]

    def test_without_alias_the_first_address_goes(self, host: TreeHost) -> None:
        text = f"{PRIMARY}inet alias 198.51.100.1/32\ninet 192.0.2.3/24\n"
        assert read(host, text) == ["198.51.100.1/32 2", "192.0.2.3/24 3"]

    def test_of_one_address_twice(self, host: TreeHost) -> None:
        four = "inet alias 198.51.100.1/32\ninet alias 198.51.100.1/24\n"
        assert read(host, PRIMARY + four) == ["192.0.2.2/24 1", "198.51.100.1/24 3"]
        six = "inet6 alias 2001:db8::9 128\ninet6 alias 2001:db8::9 64\n"
        assert read(host, six) == ["2001:db8::9/128 1"]

    def test_an_address_taken_away_again(self, host: TreeHost) -> None:
        text = f"{PRIMARY}inet alias 198.51.100.1/32\n!ifconfig $if inet 198.51.100.1 delete\n"
        assert read(host, text) == ["192.0.2.2/24 1"]
        assert read(host, f"{text}-inet\ninet6 2001:db8::2 64\n") == ["2001:db8::2/64 5"]

    def test_the_other_end_of_a_link(self, host: TreeHost) -> None:
        text = "inet 198.51.100.1 255.255.255.255\ndest 198.51.100.2\n"
        assert read(host, text) == ["198.51.100.1/32 1"]

    def test_what_the_shell_would_have_to_run_is_refused_with_its_line(
        self, host: TreeHost
    ) -> None:
        for word in ("$(cat /etc/ip)", "`cat /etc/ip`", "$IP"):
            with pytest.raises(ParseError, match=r"^/etc/hostname\.vio0:2: netstart evaluates"):
                parse(host, f"{PRIMARY}inet alias {word} 255.255.255.255\n")

    def test_carriage_returns_are_refused_with_their_line(self, host: TreeHost) -> None:
        with pytest.raises(ParseError, match=r"^/etc/hostname\.vio0:1: a carriage return"):
            parse(host, PRIMARY.replace("\n", "\r\n"))
        with pytest.raises(ParseError, match=r":3: a carriage return"):
            parse(host, f"{PRIMARY}# kept\r\nup\r\n")

    def test_never_a_source_is_read(self, host: TreeHost) -> None:
        (found,) = parse(host, "inet6 alias 2001:db8::9 128 pltime 0\n")
        assert found.alias.never_source

    def test_half_a_block_is_refused_with_its_line(self, host: TreeHost) -> None:
        with pytest.raises(ParseError, match=r"^/etc/hostname\.vio0:2:"):
            parse(host, f"{PRIMARY}# BEGIN ipalias vio0\n")


class TestRender:
    def test_it_gives_back_what_was_given(self, host: TreeHost) -> None:
        wanted = [alias("198.51.100.1/32"), alias("203.0.113.5/24"), alias("2001:db8:1::1/128")]
        render(host, *wanted)
        assert [found.alias for found in parse(host) if found.ours] == wanted
        once = host.read(PATH)
        assert render(host, *wanted) == once
        assert render(host) == PRIMARY

    def test_it_stays_behind_what_configures_the_link(self, host: TreeHost) -> None:
        host.write(PATH, "!echo first\ndhcp\n!ifconfig $if mtu 1400\n!route add x y\n")
        text = render(host, alias("198.51.100.1/32")) or ""
        assert [line[:8] for line in text.splitlines()] == [
            "!echo fi", "dhcp", "!ifconfi", "# BEGIN ", "inet ali", "# END ip", "!route a"
        ]  # fmt: skip

    def test_in_a_file_of_commands_it_comes_before_them(self, host: TreeHost) -> None:
        host.write(PATH, "# a comment\n!route add x y\n")
        text = render(host, alias("198.51.100.1/32")) or ""
        assert text.index("# a comment") < text.index("inet alias") < text.index("!route")

    def test_it_joins_no_line_that_goes_on(self, host: TreeHost) -> None:
        before = "inet 192.0.2.2 \\\n255.255.255.0\n# goes on \\\nup\n!route add \\\n x y\n"
        host.write(PATH, before)
        text = render(host, alias("198.51.100.1/32")) or ""
        assert "255.255.255.0\n# BEGIN" in text
        assert "# goes on \\\nup\n" in text
        assert render(host) == before

    def test_a_block_stays_where_it_was_put(self, host: TreeHost) -> None:
        render(host, alias("198.51.100.1/32"))
        host.write(PATH, f"{host.read(PATH)}inet alias 198.51.100.9/32\n")
        text = render(host, alias("198.51.100.1/32"), alias("198.51.100.2/32")) or ""
        assert text.endswith("# END ipalias vio0\ninet alias 198.51.100.9/32\n")

    def test_a_dead_last_line_is_not_brought_to_life(self, host: TreeHost) -> None:
        host.write(PATH, f"{PRIMARY}inet alias 198.51.100.9/32")
        with pytest.raises(ParseError, match=r"^/etc/hostname\.vio0:2: .*no newline"):
            render(host, alias("198.51.100.1/32"))
        host.write(PATH, f"{PRIMARY}!route add x y")  # stays behind ours, and as dead
        text = render(host, alias("198.51.100.1/32")) or ""
        assert text.endswith("# END ipalias vio0\n!route add x y")
        assert render(host) == f"{PRIMARY}!route add x y"
        host.write(PATH, f"{PRIMARY}# the end")
        assert (render(host, alias("198.51.100.1/32")) or "").endswith("\n# the end")

    def test_a_file_of_comments_with_carriage_returns_is_refused(self, host: TreeHost) -> None:
        host.write(PATH, "# one\r\n# two\r\n")
        with pytest.raises(ParseError, match=":1: a carriage return"):
            render(host, alias("198.51.100.1/32"))

    def test_other_bytes_survive(self, host: TreeHost) -> None:
        text = b"# Caf\xe9 \xff\n".decode("utf-8", "surrogateescape") + PRIMARY
        host.write(PATH, text)
        assert (render(host, alias("198.51.100.1/32")) or "").startswith(text)
        assert render(host) == text

    def test_a_new_file_goes_with_its_last_alias(self, host: TreeHost) -> None:
        evidence = BACKEND.assume(host, "em1")
        one = alias("198.51.100.1/32", "em1")
        host.store(BACKEND.render(Wanted("em1", (one,), evidence), host))
        (file,) = BACKEND.render(Wanted("em1", (), evidence), host)
        assert (file.path, file.text) == ("/etc/hostname.em1", None)

    @pytest.mark.parametrize("link", ["gif0", "pppoe0", "tun0", "lo0"])
    def test_a_link_between_two_ends_has_no_broadcast_address(
        self, host: TreeHost, link: str
    ) -> None:
        evidence = BACKEND.assume(host, link)
        (file,) = BACKEND.render(Wanted(link, (alias("198.51.100.1/32", link),), evidence), host)
        assert "inet alias 198.51.100.1 255.255.255.255\n" in (file.text or "")

    def test_a_thousand_are_read_once_each(
        self, host: TreeHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = [alias(f"198.51.{n // 250}.{n % 250 + 1}/32") for n in range(1000)]
        render(host, *wanted)
        asked: list[str] = []
        once = netstart.shell_words
        monkeypatch.setattr(netstart, "shell_words", lambda text: asked.append(text) or once(text))
        assert len(parse(host)) == 1001
        assert len(asked) == 1001


class TestAdopt:
    def adopt(self, host: TreeHost, text: str, cidr: str) -> str | None:
        found = next(f for f in parse(host, text) if f.alias.cidr == cidr)
        return render(host, alias(cidr), adopt=(found,))

    def test_the_line_goes_wherever_it_stands_twice(self, host: TreeHost) -> None:
        line = "inet alias 198.51.100.1 \\\n 255.255.255.255\n"
        text = self.adopt(host, f"{PRIMARY}{line}up\n{line}", "198.51.100.1/32") or ""
        assert text.startswith(f"{PRIMARY}up\n# BEGIN")
        assert text.count("198.51.100.1 ") == 1
        assert text.endswith("# END ipalias vio0\n")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("inet alias 198.51.100.1 255.255.255.255 NONE descr x", "an option"),
            ("inet alias 198.51.100.1 255.255.255.255\ndest 198.51.100.2", "an option"),
            ("inet 198.51.100.1 255.255.255.255", "own address"),
            ("!ifconfig $if inet alias 198.51.100.1/32", "a command sets it"),
        ],
    )
    def test_what_would_lose_more_than_an_address_is_refused_with_its_line(
        self, host: TreeHost, line: str, reason: str
    ) -> None:
        with pytest.raises(UnsupportedError, match=rf"^/etc/hostname\.vio0:1: .*{reason}"):
            self.adopt(host, f"{line}\n", "198.51.100.1/32")
        assert host.read(PATH) == f"{line}\n"

    def test_a_line_that_has_moved_is_refused(self, host: TreeHost) -> None:
        (_, found) = parse(host, f"{PRIMARY}inet alias 198.51.100.1/32\n")
        host.write(PATH, f"up\n{PRIMARY}inet alias 198.51.100.1/32\n")
        with pytest.raises(RefusedError, match=r":2: .* no longer stands here"):
            render(host, found.alias, adopt=(found,))


class TestValidate:
    """netstart says what it makes of the file; its exit code says nothing."""

    def validate(self, host: TreeHost, said: str, listing: str = LISTING) -> None:
        host.write("/etc/netstart", "PRINT_ONLY=false\n")
        host.answers = {"sh /etc/netstart -n vio0": said, "ls -nL /etc/hostname.vio0": listing}
        evidence = BACKEND.detect(host, "vio0")
        one = alias("198.51.100.1/32")
        files = tuple(BACKEND.render(Wanted("vio0", (one,), evidence), host))
        host.store(files)
        assert BACKEND.validate(Change("vio0", evidence, (one,), (), files), host) == []

    OURS = "ifconfig vio0 inet alias 198.51.100.1 netmask 255.255.255.255 broadcast 198.51.100.1\n"

    def test_it_comes_to_each_of_ours(self, host: TreeHost) -> None:
        self.validate(host, f"ifconfig vio0 inet 192.0.2.2 netmask x\n{self.OURS}")

    def test_one_that_it_does_not_come_to(self, host: TreeHost) -> None:
        with pytest.raises(OwnerError, match=r"^/etc/hostname\.vio0:3: .*does not come to"):
            self.validate(host, "netstart: need root privileges\n")

    def test_a_file_that_it_would_mend_is_not_shown_to_it(self, host: TreeHost) -> None:
        for listing in (LISTING.replace("r-----", "r--r--"), LISTING.replace("1 0", "1 7"), ""):
            host.write(PATH, PRIMARY)
            self.validate(host, "nothing", listing)

    def test_an_old_one_would_configure_the_interface(self, host: TreeHost) -> None:
        host.write("/etc/netstart", "while [ $# -gt 0 ]; do ifstart $1; shift; done\n")
        evidence = BACKEND.detect(host, "vio0")
        files = tuple(BACKEND.render(Wanted("vio0", (alias("198.51.100.1/32"),), evidence), host))
        host.store(files)
        host.answers = {"ls -nL /etc/hostname.vio0": LISTING}  # sh is not to be run
        assert BACKEND.validate(Change("vio0", evidence, files=files), host) == []


def test_what_is_refused_has_its_reason() -> None:
    assert set(BACKEND.UNSUPPORTED) == {"label", "source4", "wide_source4"}
    assert "route sourceaddr" in BACKEND.UNSUPPORTED["source4"]


def test_each_restart_level(host: TreeHost) -> None:
    evidence = BACKEND.detect(host, "vio0")
    argvs = {
        scope: [command.argv for command in BACKEND.restart(evidence, scope, host)]
        for scope in ("alias", "interface", "network")
    }
    assert argvs == {
        "alias": [],
        "interface": [("sh", "/etc/netstart", "vio0")],
        "network": [("sh", "/etc/netstart")],
    }


# Properties

LINES = st.sampled_from(
    [
        "# a comment",
        "# goes on \\",
        "",
        "  ",
        "dhcp",
        "inet autoconf",
        "inet6 autoconf -soii",
        "inet 192.0.2.2 255.255.255.0",
        '\tinet 192.0.2.2 255.255.255.0 NONE description "Bob\'s uplink"',
        "inet alias 192.0.2.20 255.255.255.255",
        "inet alias 192.0.2.21/24",
        "inet6 2001:db8::2 64",
        "dest 192.0.2.1",
        "up",
        "mtu 1400 \\",
        "-inet6",
        "!route add -mpath default 192.0.2.1",
        "!ifconfig $if inet alias 192.0.2.22/32",
        "!sleep 1 \\",
        "wpakey 'a b'",
        "caf\udce9",
    ]
)
ADDRESSES = st.lists(
    st.one_of(
        st.builds(lambda n: f"198.51.100.{n}/32", st.integers(1, 254)),
        st.builds(lambda n: f"203.0.113.{n}/25", st.integers(1, 120)),
        st.builds(lambda n: f"2001:db8:1::{n:x}/128", st.integers(1, 999)),
    ),
    unique=True,
    min_size=1,
    max_size=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=9), listed=ADDRESSES)
def test_foreign_lines_survive_any_edit(
    tmp_path: Path, lines: list[str], listed: list[str]
) -> None:
    host = TreeHost(tmp_path, system="openbsd")
    text = "".join(f"{line}\n" for line in lines)
    # A file that ends inside of a line that goes on is none that anybody has.
    text += "up\n" if text.endswith("\\\n") else ""
    host.write(PATH, text)
    wanted = [ours(cidr) for cidr in listed]
    before = netstart.read_commands(netstart.read_lines(text), "vio0", PATH)
    once = render(host, *wanted) or ""
    assert [found.alias for found in parse(host) if found.ours] == wanted
    after = netstart.read_commands(netstart.read_lines(once), "vio0", PATH)
    assert [c.text for c in after] == hostname_commands(once, "vio0")
    kept = [c.text for c in after if not re.search(r" alias (198\.51|203\.0|2001:db8:1:)", c.text)]
    assert kept == [c.text for c in before]
    assert render(host, *wanted) == once
    assert render(host, *wanted[:1]) != "" and render(host) == text


def corpus() -> list[Path]:
    return sorted((CORPUS / "openbsd_hostname").glob("*"))


@pytest.mark.corpus
@pytest.mark.skipif(not corpus(), reason="not applicable: no corpus beside the checkout")
class TestCorpus:
    @pytest.fixture(params=corpus(), ids=lambda path: path.name)
    def text(self, request: pytest.FixtureRequest) -> str:
        return str(request.param.read_bytes().decode("utf-8", "surrogateescape"))

    def test_only_our_lines_are_added_and_go_again(self, host: TreeHost, text: str) -> None:
        host.write(PATH, text)
        rendered = render(host, ours("198.51.100.1/32"), ours("2001:db8:1::1/128")) or ""
        diff = list(difflib.ndiff(text.splitlines(), rendered.splitlines()))
        assert [line for line in diff if line[0] == "+"] == [
            "+ # BEGIN ipalias vio0",
            "+ inet alias 198.51.100.1 255.255.255.255 198.51.100.1",
            "+ inet6 alias 2001:db8:1::1 128",
            "+ # END ipalias vio0",
        ]
        assert not [line for line in diff if line[0] == "-"]
        assert render(host) == text

    def test_it_is_read_as_netstart_reads_it(self, host: TreeHost, text: str) -> None:
        commands = netstart.read_commands(netstart.read_lines(text), "vio0", PATH)
        assert [command.text for command in commands] == hostname_commands(text, "vio0")


@pytest.mark.corpus
def test_the_addresses_of_real_files(host: TreeHost) -> None:
    if not corpus():
        assert "IPALIAS_CORPUS" not in os.environ, "IPALIAS_CORPUS names no corpus"
        pytest.skip("not applicable: no corpus beside the checkout")

    def prefixes(name: str, interface: str = "vio0") -> list[int]:
        path = CORPUS / "openbsd_hostname" / f"{name}.hostname"
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        found = [item.alias for item in parse(host, text, interface)]
        assert all(f" {each.address} " in text for each in found)
        return [each.prefix for each in found]

    assert prefixes("02") == [24]
    assert prefixes("05", "gre0") == [30]
    assert prefixes("07", "gif0") == [128]
    assert prefixes("08") == [24]
    assert [prefixes(name) for name in ("01", "03", "04", "06")] == [[], [], [], []]
