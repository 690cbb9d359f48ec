"""rc.conf as FreeBSD reads it: values, files, numbers; what is refused, with file and line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import simbsd
from rig.plat import freebsd as platform
from rig.simhost import SimHost, answers
from saltext.ipalias.backends import freebsd
from saltext.ipalias.backends.freebsd_files import read_rc, variable
from saltext.ipalias.backends.freebsd_values import (
    parse_sections,
    render_listed,
    render_numbered,
)
from saltext.ipalias.errors import IpaliasError, OwnerError, ParseError, UnsupportedError
from saltext.ipalias.model import Alias, Wanted

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)
RC = "/etc/rc.conf"
BASE = 'ifconfig_nfe0="inet 192.0.2.18/24"\n'


class Files:
    """A host of files."""

    system = "freebsd"

    def __init__(
        self, files: dict[str, str], links: str = "nfe0 lo0", release: str = "14.1-RELEASE"
    ) -> None:
        made = SimHost(system="freebsd")
        for path, text in files.items():
            made.files.put(path, text)
        made.programs = answers({"ifconfig -l": links, "uname -r": release})
        self.made = made
        self.read, self.exists = made.read, made.exists
        self.glob, self.which, self.run = made.glob, made.which, made.run

    def write(self, rendered: Any) -> None:
        for file in rendered:
            self.made.files.put(file.path, file.text)


def alias(cidr: str, interface: str = "nfe0", **more: Any) -> Alias:
    address, _, prefix = cidr.partition("/")
    return Alias(address, int(prefix), interface, **more)


def found(files: dict[str, str] | str, interface: str = "nfe0", **more: Any) -> list[str]:
    host = Files({RC: files} if isinstance(files, str) else files, **more)
    return [
        f"{one.alias.cidr} {one.path.rsplit('/', 1)[1]}:{one.line}"
        for one in freebsd.parse(host, freebsd.detect(host, interface))
    ]


def change(
    text: str,
    *cidrs: str,
    former: tuple[str, ...] = (),
    release: str = "14.1-RELEASE",
    **options: Any,
) -> str:
    """Return rc.conf after a change of the whole list."""
    host = Files({RC: text}, release=release)
    evidence = freebsd.detect(host, "nfe0")
    wanted = Wanted(
        "nfe0",
        tuple(alias(cidr) for cidr in cidrs),
        evidence,
        tuple(alias(cidr) for cidr in former),
        options=options,
    )
    host.write(freebsd.render(wanted, host))
    return host.read(RC) or ""


def numbered(*pairs: tuple[int, str]) -> str:
    return "".join(
        f'ifconfig_nfe0_alias{number}="inet {a} netmask 255.255.255.255 broadcast {a}"\n'
        for number, a in pairs
    )


# Values

SECTIONS = [
    ("inet 192.0.2.9/32", ["192.0.2.9/32"], True),
    ("inet 192.0.2.9 netmask 255.255.255.255 broadcast 192.0.2.9", ["192.0.2.9/32"], True),
    ("inet 192.0.2.9 netmask 0xffffff00", ["192.0.2.9/24"], True),
    ("inet 192.0.2.9 netmask 255.255.255.0 alias", ["192.0.2.9/24"], True),
    ("inet 192.0.2.9", ["192.0.2.9/24"], True),
    ("inet 127.0.0.9", ["127.0.0.9/8"], True),
    ("inet 169.254.0.9", ["169.254.0.9/16"], True),
    ("inet 192.0.2.9/32 vhid 1", ["192.0.2.9/32"], False),
    ("inet 192.0.2.5-7/24", ["192.0.2.5/24", "192.0.2.6/32", "192.0.2.7/32"], False),
    ("inet 192.0.2.5-6 netmask 255.255.255.0", ["192.0.2.5/24", "192.0.2.6/24"], False),
    ("inet 192.0.2.5/32 netmask 255.255.255.0", ["192.0.2.5/24"], True),
    ("inet 192.0.2.5-6", ["192.0.2.5/32", "192.0.2.6/32"], False),
    ("inet 192.0-0.2.5/24", ["192.0.2.5/24"], False),
    ("inet 192.0.2.5-5/24", ["192.0.2.5/24"], False),
    ("inet 192.0.2.7-5/24", [], False),
    ("inet 300.0.2.9/32", [], False),
    ("inet 192.0.2.9/33", [], False),
    ("inet 192.0.2.9/x", [], False),
    ("inet 192.0.2.9 netmask 255.0.255.0", [], False),
    ("inet 192.0.2.9 netmask x", [], False),
    ("inet 2001:db8::9/64", [], False),
    ("inet", [], False),
    ("inet6 2001:db8::9/128", ["2001:db8::9/128"], True),
    ("inet6 2001:DB8:0::9 prefixlen 64", ["2001:db8::9/64"], True),
    ("inet6 2001:db8::9", ["2001:db8::9/64"], True),
    ("inet6 2001:db8::9-b/64", ["2001:db8::9/64", "2001:db8::a/64", "2001:db8::b/64"], False),
    ("inet6 2001:db8::9/129", [], False),
    ("inet6 accept_rtadv", [], False),
    ("inet6 192.0.2.9", [], False),
    ("link 02:00:00:00:00:01", [], False),
]


@pytest.mark.parametrize(("value", "cidrs", "plain"), SECTIONS)
def test_a_section_is_read_as_ifconfig_reads_it(value: str, cidrs: list[str], plain: bool) -> None:
    (section,) = parse_sections(value, "nfe0")
    assert [one.cidr for one in section.aliases] == cidrs
    assert section.plain is plain


def test_a_value_has_several_sections_and_words_before_the_first_are_none() -> None:
    value = "x 192.0.2.1/32 inet 192.0.2.2/32  inet6\t2001:db8::2/128\nlink 02:00:00:00:00:01"
    sections = parse_sections(value, "nfe0")
    assert [value[one.start : one.end] for one in sections] == [
        "inet 192.0.2.2/32",
        "inet6\t2001:db8::2/128",
        "link 02:00:00:00:00:01",
    ]
    (main,) = parse_sections("up mtu 1500 192.0.2.1/24 vlan 2", "nfe0", "inet")
    assert [one.cidr for one in main.aliases] == ["192.0.2.1/24"]


def test_a_range_ends_where_the_platform_ends_it() -> None:
    (section,) = parse_sections("inet 192.0.2.0-9999999/24", "nfe0")
    assert section.aliases == ()
    (section,) = parse_sections("inet6 2001:db8::0-ffff/64", "nfe0")
    assert len(section.aliases) == 2050


_four = st.ip_addresses(v=4).map(str)
_six = st.ip_addresses(network="2001:db8::/32").map(str)
_aliases = st.one_of(
    st.builds(Alias, _four, st.integers(1, 32), st.just("nfe0")),
    st.builds(
        Alias,
        _six,
        st.integers(1, 128),
        st.just("nfe0"),
        source=st.sampled_from(["auto", "never"]),
    ),
)


@given(_aliases)
def test_what_is_rendered_is_read_back(one: Alias) -> None:
    for value in (render_numbered(one), render_listed(one)):
        (section,) = parse_sections(value, "nfe0")
        assert section.aliases == (one,)
        assert section.plain


# Files


@pytest.mark.parametrize(
    ("interface", "name"),
    [
        ("nfe0", "nfe0"),
        ("vlan0.1", "vlan0_1"),
        ("igb0-lan", "igb0_lan"),
        ("a.b-c/d+e", "a_b_c_d_e"),
    ],
)
def test_a_name_is_mangled_as_get_if_var_does(interface: str, name: str) -> None:
    assert variable(interface) == name


def test_the_last_assignment_counts_whatever_file_it_is_in() -> None:
    files = {
        "/etc/rc.conf": 'ifconfig_nfe0_alias0="inet 192.0.2.1/32"\n' * 3
        + numbered((1, "192.0.2.2")),
        "/etc/rc.conf.local": 'ifconfig_nfe0_alias0="inet 192.0.2.3/32"\n',
        "/usr/local/etc/rc.conf.d/network/a": 'ifconfig_nfe0_alias1="inet 192.0.2.4/32"\n',
        "/etc/rc.conf.d/netif": 'ifconfig_nfe0_alias1="inet 192.0.2.5/32"\n',
        "/etc/rc.conf.d/sshd": 'ifconfig_nfe0_alias1="inet 192.0.2.6/32"\n',
    }
    assert found(files) == ["192.0.2.3/32 rc.conf.local:1", "192.0.2.5/32 netif:1"]


def test_other_files_are_read_where_rc_conf_names_them() -> None:
    files = {
        RC: 'rc_conf_files="/etc/rc.conf /etc/rc.conf.site"\nlocal_startup="/opt/etc/rc.d"\n',
        "/etc/rc.conf.site": numbered((0, "192.0.2.1")),
        "/opt/etc/rc.conf.d/netif": numbered((1, "192.0.2.2")),
        "/usr/local/etc/rc.conf.d/netif": numbered((2, "192.0.2.3")),
    }
    assert found(files) == ["192.0.2.1/32 rc.conf.site:1", "192.0.2.2/32 netif:1"]


def test_a_file_that_is_sourced_counts_at_its_line() -> None:
    line = numbered((0, "192.0.2.1"))
    files = {RC: f"{line}if [ -f /etc/site ]; then\n  . /etc/site\nfi\n# . /etc/none\n"}
    files["/etc/site"] = numbered((0, "192.0.2.2")) + ". /etc/site\n"
    assert found(files) == ["192.0.2.2/32 site:1"]
    files[RC] = f". /etc/site\n{line}"
    assert found(files) == ["192.0.2.1/32 rc.conf:2"]


def test_everything_that_sets_an_address_is_found_in_the_order_of_the_platform() -> None:
    text = """
ipv4_addrs_nfe0="192.0.2.50/24 192.0.2.60-61/28"
ifconfig_nfe0_alias10="inet 192.0.2.10/32"
ifconfig_nfe0_alias9="inet 192.0.2.9/32 inet6 2001:db8::9/128 inet 192.0.2.99/32"
ifconfig_nfe0_alias07="192.0.2.7/32"
ifconfig_nfe0_alias1="link 02:00:00:00:00:01"
ifconfig_nfe0_aliases="inet 192.0.2.3/32 inet6 2001:db8::3/128"
ifconfig_nfe0="inet 192.0.2.2 netmask 255.255.255.0 mtu 9000"
ifconfig_nfe0_ipv6="2001:db8::2/64"
ipv6_ifconfig_nfe0="2001:db8::4"
ifconfig_nfe0_descr="inet 192.0.2.77/32"
ifconfig_nfe00_alias0="inet 192.0.2.78/32"
"""
    assert [line.split()[0] for line in found(text)] == [
        "192.0.2.2/24",
        "2001:db8::2/64",
        "192.0.2.3/32",
        "2001:db8::3/128",
        "192.0.2.7/32",
        "192.0.2.9/32",
        "192.0.2.99/32",
        "192.0.2.10/32",
        "192.0.2.50/24",
        "192.0.2.60/28",
        "192.0.2.61/32",
        "2001:db8::4/64",
    ]


def test_an_empty_value_ends_the_list_and_old_releases_stop_at_a_gap() -> None:
    text = numbered((0, "192.0.2.1"), (2, "192.0.2.3")) + 'ifconfig_nfe0_alias3=""\n'
    text += numbered((4, "192.0.2.5"))
    assert [line.split()[0] for line in found(text)] == ["192.0.2.1/32", "192.0.2.3/32"]
    assert [line.split()[0] for line in found(text, release="12.0-RELEASE")] == ["192.0.2.1/32"]
    assert [line.split()[0] for line in found(text, release="12.1-RELEASE-p3")] == [
        "192.0.2.1/32",
        "192.0.2.3/32",
    ]


# What cannot be read, or edited

ONE = "203.0.113.74/32"
REFUSED = [
    ('ifconfig_nfe0_alias0="inet $IP/32"\n', r"rc\.conf:2: `ifconfig_nfe0_alias0`: its value"),
    ("ifconfig_nfe0_alias0=( a b )\n", r"rc\.conf:2: .*an array, which sh"),
    ('ifconfig_nfe0_alias0+="inet 192.0.2.1/32"\n', r"rc\.conf:2: .*`\+=`"),
    (
        '\nif true; then\nifconfig_nfe0_alias0="inet 192.0.2.1/32"\nfi\n',
        r"rc\.conf:4: `ifconfig_nfe0_alias0` is set here in a way that only a shell",
    ),
    ('f() { ifconfig_nfe0_aliases="inet 192.0.2.1/32"; }\n', r"rc\.conf:2: .*only a shell"),
    ('ifconfig_nfe0_alias0="inet 192.0.2.1/32\n', r"rc\.conf:2: "),
    ("ifconfig_nfe0_alias0=( a\n", r"rc\.conf:2: "),
    ("# note\nsshd_enable=YES\r\n", r"rc\.conf:3: the line ends in a carriage return"),
    (
        'ifconfig_nfe0_alias0=""\n',
        r"rc\.conf:2: `ifconfig_nfe0_alias0` is empty and ends the list .*form: list",
    ),
    (
        'network_interfaces="lo0 em0"\n',
        r"rc\.conf:2: `network_interfaces` does not name nfe0",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_cannot_be_followed_is_refused_with_file_and_line(text: str, said: str) -> None:
    with pytest.raises(IpaliasError, match=said):
        change(BASE + text, ONE)


def test_a_comment_may_end_in_a_carriage_return() -> None:
    assert change(f"# x\r\n\r\n{BASE}", ONE).startswith(f"# x\r\n\r\n{BASE}ifconfig_nfe0_alias0=")


def test_what_only_a_shell_knows_of_other_things_is_no_hindrance() -> None:
    text = 'hostname="$(uname -n)"\nifconfig_nfe0="inet $IP"\nif x; then y=1; fi\n'
    assert change(text, ONE) == text + numbered((0, "203.0.113.74"))


def test_a_variable_that_is_assigned_twice_is_not_taken_out() -> None:
    text = BASE + numbered((0, "192.0.2.1"), (0, "203.0.113.74"))
    with pytest.raises(UnsupportedError, match=r"rc\.conf:2: .*assigned 2 times \(.*:2, .*:3\)"):
        change(text, former=(ONE,))


@pytest.mark.parametrize(
    "line",
    [
        'ifconfig_nfe0_alias0="inet 203.0.113.74/32 vhid 1"\n',
        'ifconfig_nfe0_alias0="inet 203.0.113.74-75/32"\n',
        'ifconfig_nfe0_alias0="inet 203.0.113.74/32 inet 203.0.113.75/32"\n',
        'ipv4_addrs_nfe0="203.0.113.74/32"\n',
        'ifconfig_nfe0_aliases="inet 203.0.113.74/32 vhid 1"\n',
        'ifconfig_nfe0_alias00="inet 203.0.113.74/32"\n',
    ],
)
def test_a_line_that_says_more_than_an_alias_is_not_taken_out(line: str) -> None:
    said = r"rc\.conf:2: .* sets 203\.0\.113\.74/32 and more than an alias is"
    with pytest.raises(UnsupportedError, match=said):
        change(BASE + line, former=(ONE,))
    assert change(BASE + line, ONE, former=(ONE,)) == BASE + line


@pytest.mark.parametrize(
    "value", ["inet\\ 192.0.2.1/32", '"inet 192.0.2.1/32"" "', "'inet 192.0.2.1/32'\"\""]
)
def test_a_list_that_is_quoted_oddly_is_left_alone(value: str) -> None:
    with pytest.raises(UnsupportedError, match=r"rc\.conf:2: .*quoted in a way"):
        change(f"{BASE}ifconfig_nfe0_aliases={value}\n", ONE)


@pytest.mark.parametrize("value", ["", '""', "''", '" "'])
def test_an_empty_list_is_used_where_the_list_is_asked_for(value: str) -> None:
    text = f"{BASE}ifconfig_nfe0_aliases={value}\n"
    (line,) = re.findall("(?m)^ifconfig_nfe0_aliases=.*$", change(text, ONE, form="list"))
    assert line.split("=")[1].strip("\"' ") == "inet 203.0.113.74/32"
    assert change(text, ONE) == text + numbered((0, "203.0.113.74"))


def test_words_that_the_platform_passes_over_stay_in_front() -> None:
    text = f'{BASE}ifconfig_nfe0_aliases="no section"\n'
    after = change(text, ONE, "203.0.113.75/32")
    assert after == text.replace('section"', 'section inet 203.0.113.74/32 inet 203.0.113.75/32"')
    assert change(after, former=(ONE, "203.0.113.75/32")) == text


# IPv6

SIX = "2001:db8:1::74/128"
ON = [
    'ifconfig_nfe0_ipv6="inet6 accept_rtadv"\n',
    'ifconfig_nfe0_ipv6="inet6 2001:db8::2/64"\n',
    'ifconfig_nfe0_ipv6="$X"\n',
    'ifconfig_DEFAULT="DHCP"\n',
    'ipv6_prefix_nfe0="2001:db8:0:1"\n',
    'ipv6_ifconfig_nfe0="2001:db8::2"\n',
    'ifconfig_nfe0_ipv6="x"\nipv6_network_interfaces="lo0 nfe0"\n',
    'ifconfig_nfe0_ipv6="x"\nipv6_network_interfaces="auto"\n',
]
OFF = [
    "",
    'ifconfig_nfe0_ipv6=""\n',
    'ifconfig_DEFAULT="DHCP"\nifconfig_nfe0_ipv6=""\n',
    'ifconfig_nfe0_ipv6="x"\nipv6_network_interfaces="lo0"\n',
    'ifconfig_nfe0_ipv6="x"\nipv6_network_interfaces="none"\n',
]


@pytest.mark.parametrize("text", ON)
def test_an_ipv6_alias_is_written_where_the_platform_reads_it(text: str) -> None:
    assert 'alias0="inet6 2001:db8:1::74 prefixlen 128"' in change(BASE + text, SIX)


@pytest.mark.parametrize("text", OFF)
def test_an_ipv6_alias_that_would_be_ignored_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(UnsupportedError, match=r"ignored at boot: .*`sysrc ifconfig_nfe0_ipv6="):
        change(BASE + text, SIX)
    assert change(BASE + text, ONE) == BASE + text + numbered((0, "203.0.113.74"))
    held = BASE + text + 'ifconfig_nfe0_alias0="inet6 2001:db8:1::74 prefixlen 128"\n'
    assert change(held, former=(SIX,)) == BASE + text


def test_the_loopback_interface_always_has_ipv6() -> None:
    host = Files({RC: ""}, links="lo0")
    wanted = Wanted("lo0", (alias(SIX, "lo0"),), freebsd.detect(host, "lo0"))
    (file,) = freebsd.render(wanted, host)
    assert file.text == 'ifconfig_lo0_alias0="inet6 2001:db8:1::74 prefixlen 128"\n'


# Numbers

FOREIGN = [(0, "198.51.100.1"), (2, "198.51.100.2")]


def test_an_old_release_is_not_made_to_read_or_to_pass_over_lines_of_others() -> None:
    text = BASE + numbered(*FOREIGN)
    with pytest.raises(UnsupportedError, match=r"rc\.conf:3: .*alias2` would be read differently"):
        change(text, ONE, release="12.0-RELEASE")
    filled = BASE + numbered(FOREIGN[0], (1, "203.0.113.74"), FOREIGN[1])
    assert change(text, ONE) == filled
    with pytest.raises(UnsupportedError, match=r"rc\.conf:4: .*alias2` would be read differently"):
        change(filled, former=(ONE,), release="11.4-RELEASE")
    assert change(filled, former=(ONE,)) == text


def test_a_hole_that_somebody_made_is_closed_by_the_next_change() -> None:
    text = BASE + numbered((0, "203.0.113.1"), (2, "203.0.113.2"), (3, "203.0.113.3"))
    after = change(text, *(three := [f"203.0.113.{n}/32" for n in (1, 2, 3)]), former=tuple(three))
    assert sorted(re.findall(r"alias(\d)", after)) == ["0", "1", "2"]
    assert sorted(line.split()[0] for line in found(after)) == ["192.0.2.18/24", *three]


def test_a_number_with_a_nought_in_front_is_another_variable() -> None:
    others = 'ifconfig_nfe0_alias01="inet 198.51.100.7/32"\n'
    text = BASE + numbered((0, "198.51.100.1")) + others
    after = change(text, ONE)
    assert after == text + numbered((2, "203.0.113.74"))
    held = text + numbered((1, "203.0.113.74"))
    assert change(held, former=(ONE,)) == text


def test_our_value_moves_as_it_stands() -> None:
    line = "ifconfig_nfe0_alias{}='inet 203.0.113.{} netmask 0xffffffff'\n"
    text = BASE + line.format(0, 1) + line.format(1, 2)
    two = ("203.0.113.1/32", "203.0.113.2/32")
    assert change(text, two[1], former=two) == BASE + line.format(0, 2)


_pool = [f"203.0.113.{number}" for number in range(1, 9)]
_others = [f"198.51.100.{number}" for number in range(1, 5)]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(_others)), max_size=4),
    st.lists(st.lists(st.sampled_from(_pool), unique=True, max_size=6), min_size=1, max_size=4),
    st.sampled_from(["numbered", "list", None]),
)
def test_lines_of_others_keep_their_bytes_and_ours_leave_no_gap(
    foreign: list[tuple[int, str]], rounds: list[list[str]], form: str | None
) -> None:
    held = dict(foreign)
    if len(set(held.values())) < len(held):
        return
    start = BASE + "# kept\n" + numbered(*held.items())
    text, former = start, ()
    options = {} if form is None else {"form": form}
    for asked in rounds:
        wanted = tuple(f"{address}/32" for address in asked)
        text = change(text, *wanted, former=former, **options)
        former = wanted
        assert change(text, *wanted, former=former, **options) == text
        cidrs = [line.split()[0] for line in found(text)]
        assert sorted(cidrs) == sorted(
            ["192.0.2.18/24", *wanted, *(f"{a}/32" for a in held.values())]
        )
        assert set(start.splitlines()) <= set(text.splitlines())
        numbers = {int(n) for n in re.findall(r"(?m)^ifconfig_nfe0_alias(\d+)", text)}
        mine = numbers - set(held)
        holes = set(range(max(mine, default=0))) - numbers
        assert holes == set()
        assert boot(text) == set(cidrs)
    assert change(text, former=former, **options) == start


def boot(text: str) -> set[str]:
    """Return what the platform's own way through the variables brings up, read by sh."""
    host, kernel = simbsd.machine({RC: text}, "freebsd", links=("eth0", "nfe0"))
    kernel.down("nfe0")
    platform.netif_start(host, kernel, "nfe0")
    link = host.net.links["nfe0"]
    return {one.cidr for one in (*link.addresses4, *link.addresses6) if one.scope != "link"}


GOLDEN = (Path(__file__).parents[1] / "golden/freebsd").glob("*/after/etc/rc.conf")


# The rig's boot does not find a file that a file sources.
@pytest.mark.parametrize(
    "case",
    sorted(path for path in GOLDEN if path.parts[-4] != "included"),
    ids=lambda path: path.parts[-4],
)
def test_sh_and_the_platforms_way_read_what_we_wrote(case: Path) -> None:
    host = platform.host(links=("eth0", "nfe0"))
    root = case.parents[1]
    for path in root.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            host.files.put(f"/{path.relative_to(root)}", text)
    kernel = platform.kernel(host)
    kernel.down("nfe0")
    platform.netif_start(host, kernel, "nfe0")
    link = host.net.links["nfe0"]
    live = {one.cidr for one in (*link.addresses4, *link.addresses6) if one.scope != "link"}
    read = {one.alias.cidr for one in freebsd.parse(host, freebsd.detect(host, "nfe0"))}
    assert live == read


# Who owns it


def test_the_kernel_or_a_file_has_the_interface() -> None:
    host = Files({RC: BASE}, links="lo0 nfe0 em0")
    owned = [freebsd.detect(host, name) for name in ("nfe0", "em0", "em7")]
    assert [one.strength for one in owned] == [2, 2, 0]
    assert owned[0].file == RC
    assert f"{RC}:1 names nfe0" in owned[0].reasons
    assert not owned[2].owns
    with pytest.raises(OwnerError, match="the kernel has no em7 either"):
        freebsd.assume(host, "em7")
    assert freebsd.assume(host, "em0").owns
    gone = freebsd.detect(Files({RC: BASE}, links="lo0"), "nfe0")
    assert (gone.owns, gone.strength) == (True, 1)


def test_two_interfaces_of_one_variable_are_not_told_apart() -> None:
    host = Files({RC: BASE}, links="lo0 nfe0.1 nfe0_1")
    wanted = Wanted("nfe0.1", (alias(ONE, "nfe0.1"),), freebsd.detect(host, "nfe0.1"))
    with pytest.raises(UnsupportedError, match=r"nfe0\.1 and nfe0_1 share the variable"):
        freebsd.render(wanted, host)


@pytest.mark.parametrize(
    ("text", "routing"),
    [
        (BASE, "restart"),
        ('ifconfig_nfe0="SYNCDHCP"\n', "static"),
        ('ifconfig_nfe0="WPA dhcp"\n', "static"),
    ],
)
def test_a_restart_keeps_the_default_route_of_a_lease(text: str, routing: str) -> None:
    host = Files({RC: text})
    evidence = freebsd.detect(host, "nfe0")
    lines = {
        scope: [" ".join(one.argv) for one in freebsd.restart(evidence, scope, host)]
        for scope in ("alias", "interface", "network")
    }
    assert lines == {
        "alias": [],
        "interface": ["service netif restart nfe0", "service routing static"],
        "network": ["/etc/rc.d/netif restart", f"/etc/rc.d/routing {routing}"],
    }


# Files that nobody here wrote


def corpus() -> list[Path]:
    return sorted(CORPUS.glob("freebsd_rcconf/*"))


@pytest.mark.corpus
@pytest.mark.skipif(not corpus(), reason="not applicable: no corpus beside the checkout")
@pytest.mark.parametrize("form", ["numbered", "list", None])
@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_a_real_file_takes_an_alias_and_gives_its_bytes_back(path: Path, form: str | None) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    names = re.findall(r"(?m)^ifconfig_([a-z]+[0-9]+)(?==)", text)
    options = {} if form is None else {"form": form}
    for interface in dict.fromkeys([*names, "zz0"]):
        host = Files({RC: text}, links=f"lo0 {interface}")
        evidence = freebsd.detect(host, interface)
        before = freebsd.parse(host, evidence)
        ours = (alias(ONE, interface), alias("203.0.113.75/32", interface))
        host.write(freebsd.render(Wanted(interface, ours, evidence, options=options), host))
        after = freebsd.parse(host, evidence)
        cidrs = [one.alias.cidr for one in after]
        assert {one.alias.cidr for one in before} | {one.cidr for one in ours} == set(cidrs)
        added = set((host.read(RC) or "").splitlines()) - set(text.splitlines())
        assert all("203.0.113.7" in line for line in added)
        assert len(added) == (1 if form == "list" else 2)
        host.write(freebsd.render(Wanted(interface, (), evidence, ours, options=options), host))
        assert host.read(RC) == text


@pytest.mark.corpus
@pytest.mark.skipif(not corpus(), reason="not applicable: no corpus beside the checkout")
def test_real_files_are_read_as_they_are_meant() -> None:
    text = (CORPUS / "freebsd_rcconf/01.conf").read_text()
    lengths = [line.split()[0].split("/")[1] for line in found(text, "bridge0", links="bridge0")]
    assert lengths == ["24", "64", "32", "64", "64"]
    text = (CORPUS / "freebsd_rcconf/07.conf").read_text()
    (line,) = found(text, "vlan4000", links="vlan4000")
    wanted = [
        n for n, one in enumerate(text.splitlines(), 1) if one.startswith("ifconfig_vlan4000")
    ]
    assert int(line.rpartition(":")[2]) == wanted[-1] > wanted[0]


def test_a_thousand_aliases_are_read_and_written() -> None:
    base = f'{BASE}ifconfig_nfe0_ipv6="inet6 auto_linklocal"\n'
    listed = [f"2001:db8:1::{n:x}/128" for n in range(1, 1001)]
    for form in ("numbered", "list"):
        text = change(base, *listed, form=form)
        assert len(found(text)) == 1001
        half = listed[::2]
        after = change(text, *half, former=tuple(listed), form=form)
        assert {line.split()[0] for line in found(after)} == {"192.0.2.18/24", *half}
        assert change(after, former=tuple(half), form=form) == base


def test_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Files({RC: BASE + numbered((0, "192.0.2.1"))})
    rc = read_rc(host)
    assert list(rc.documents) == [RC]
    with pytest.raises(ParseError, match=r"rc\.conf:1: "):
        read_rc(Files({RC: "fi\n"}))
