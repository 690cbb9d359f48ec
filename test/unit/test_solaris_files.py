"""The files of Solaris: how many, what is refused in them, what stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import plat
from rig.simengine import block, engine, only_present
from rig.simhost import SimHost
from rig.simscenes import comparable, differences
from rig.simsunhost import kernel_of
from saltext.ipalias.backends import solaris
from saltext.ipalias.backends.solaris_files import read_files, read_tables
from saltext.ipalias.errors import (
    ParseError,
    UnsupportedError,
)
from saltext.ipalias.model import Alias, Wanted

MAIN, MAIN6 = "/etc/hostname.eth0", "/etc/hostname6.eth0"
#: Beginnings of addresses of the classes A and B, which have no documentation addresses.
ONES, TWOS = 10, "172.16"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return plat.load("solaris").host()


def hostnames(host: SimHost) -> dict[str, str]:
    return {path: host.files.read(path) or "" for path in host.files.glob("/etc/hostname*")}


# How many


def test_the_kernels_limit_is_told_before_anything_is_done(host: SimHost) -> None:
    before = comparable(host)
    with pytest.raises(UnsupportedError, match=r"256 IPv4 addresses beside .* holds 256 of a"):
        engine(host, block({"block": "203.0.113.0/24"})).managed()
    assert differences(before, comparable(host)) == []
    kernel_of(host).limit = 257
    assert engine(host, block({"block": "203.0.113.0/24"})).managed()["result"] is True


def test_a_thousand_are_one_look_each_and_a_file_each(host: SimHost) -> None:
    """Twice as many are twice the work: the reads of a plan count, no time."""
    counts = []
    for many in (500, 1000):
        made = plat.load("solaris").host()
        kernel_of(made).limit = 8192
        pillar = block(f"2001:db8:9::1-2001:db8:9::{many:x}")
        assert engine(made, pillar).managed(test=True)["result"] is None
        looked: list[str] = []
        read = made.read

        def count(
            path: str,
            read: Callable[[str], str | None] = read,
            looked: list[str] = looked,
        ) -> str | None:
            looked.append(path)
            return read(path)

        made.read = count  # type: ignore[method-assign]
        engine(made, pillar).managed(test=True)
        counts.append(len(looked))
    assert counts[1] < 2.1 * counts[0]
    evidence = solaris.assume(host, "eth0")
    facts = {**evidence.facts, "limit": "8192"}
    evidence = type(evidence)("solaris", "eth0", True, 2, (), MAIN, facts)
    thousand = tuple(Alias(f"203.0.{n // 250}.{n % 250 + 1}", 32, "eth0") for n in range(1000))
    files = solaris.render(Wanted("eth0", thousand, evidence), host)
    assert len({file.path for file in files}) == 1000
    for file in files:
        host.files.put(file.path, file.text or "")
    assert [f.alias for f in solaris.parse(host, evidence)][1:1001] == list(thousand)


# Bad input


@pytest.mark.parametrize(
    ("path", "text", "line", "what"),
    [
        (MAIN, "192.0.2.2/24\r\nup\r\n", 1, "a carriage return"),
        (f"{MAIN}:1", "203.0.113.9/32\nup\r\n", 2, "a carriage return"),
        (MAIN, "192.0.2.2/24 \\\nup\n", 1, "a backslash"),
        (f"{MAIN}:3", "203.0.113.*\n", 1, r"`\*`"),
        (MAIN6, "\naddif 2001:db8::2/64 [up]\n", 2, r"`\["),
    ],
)
def test_a_line_that_the_shell_would_change_is_refused(
    host: SimHost, path: str, text: str, line: int, what: str
) -> None:
    host.files.put(path, text)
    before = comparable(host)
    with pytest.raises(ParseError, match=what) as caught:
        engine(host, block("203.0.113.40")).managed()
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert differences(before, comparable(host)) == []


READ = [
    ("192.0.2.2/24\nup\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\nup", ["192.0.2.2/24"]),
    ("192.0.2.2/24\nprivate\nup", []),
    ("192.0.2.2/24 up", []),
    ("", []),
    ("\n\n", []),
    ("192.0.2.2/24 up\n\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\n\n", []),
    (
        "192.0.2.2 netmask 255.255.255.128 broadcast + up\naddif 192.0.2.3/32 up\n",
        ["192.0.2.2/25", "192.0.2.3/32"],
    ),
    ("inet 192.0.2.2 netmask 0xffffff00 up\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up\n# addif 192.0.2.3/32 up\n", ["192.0.2.2/24"]),
    (
        "192.0.2.2/24 up addif 192.0.2.3/32 addif 192.0.2.4/32 up\n",
        ["192.0.2.2/24", "192.0.2.4/32"],
    ),
    ("192.0.2.2/24 up\naddif 192.0.2.3/32 up\nremoveif 192.0.2.3\n", ["192.0.2.2/24"]),
    ("192.0.2.2/33 up\n", []),
    ("192.0.2.2/24 netmask 255.255.0.0 up\nup\n", ["192.0.2.2/16"]),
    ("192.0.2.2/24 up\nbogus\naddif 192.0.2.3/32 up\n", ["192.0.2.2/24", "192.0.2.3/32"]),
    ("192.0.2.2/24 up\naddif 192.0.2.3/32 bogus up\n", ["192.0.2.2/24"]),
    ("192.0.2.2 192.0.2.1 up\nup\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up down\nprivate\n", []),
    (f"{ONES}.1.2.3 up\nup\n", [f"{ONES}.1.2.3/8"]),
    ("web1 up\n", ["192.0.2.7/26"]),
    ("dhcp\nup\n", []),
    ("set 192.0.2.2/24 up\nset /25\n", ["192.0.2.2/25"]),
    ("192.0.2.2/24 up\naddif\n", ["192.0.2.2/24"]),
]


@pytest.mark.parametrize(("text", "found"), READ)
def test_a_file_is_read_as_the_boot_reads_it(host: SimHost, text: str, found: list[str]) -> None:
    host.files.put("/etc/inet/hosts", "192.0.2.7 web1 # here\n::1 localhost\n")
    host.files.put("/etc/inet/netmasks", "192.0.2.0 255.255.255.192\n192.0.2.0 x\n")
    if "web1" not in text:
        host.files.drop("/etc/inet/netmasks")
    host.files.put(MAIN, text)
    host.files.drop(MAIN6)
    (logical,) = read_files(host, "eth0")
    assert [setting.cidr for setting in logical.settings] == found


def test_what_no_logical_interface_is_called_is_not_read(host: SimHost) -> None:
    for name in ("fo1", "x", "1x", "²", "1.5"):
        host.files.put(f"{MAIN}:{name}", "203.0.113.9/32\nup\n")
    assert {logical.path for logical in read_files(host, "eth0")} == {MAIN, MAIN6}


def test_an_address_twice_in_the_files_is_taken_away_twice(host: SimHost) -> None:
    engine(host, block("203.0.113.9")).managed()
    host.files.put(f"{MAIN}:5", "203.0.113.9/32\nup\n")
    engine(host, None).clean()
    assert set(hostnames(host)) == {MAIN, MAIN6}


def test_latin_1_and_lines_of_others_stay_byte_for_byte(host: SimHost) -> None:
    text = (
        "192.0.2.2/24 up\n\taddif  203.0.113.7/32   up \n# \udce9t\udce9\naddif 203.0.113.8/32 up\n"
    )
    host.files.put(MAIN, text)
    host.run(["ifconfig", "eth0", "addif", "203.0.113.7/32", "up"])
    engine(host, block("203.0.113.7", "203.0.113.9", adopt=True)).managed()
    assert hostnames(host)[MAIN] == "192.0.2.2/24 up\n# \udce9t\udce9\naddif 203.0.113.8/32 up\n"
    assert "203.0.113.7/32\nup\n" in hostnames(host).values()


# Properties

addresses = st.one_of(
    st.ip_addresses(v=4, network="203.0.113.0/24").map(lambda a: (str(a), 32)),
    st.ip_addresses(v=4, network="198.51.100.0/24").map(lambda a: (str(a), 25)),
    st.ip_addresses(v=6, network="2001:db8:1::/64").map(lambda a: (str(a), 128)),
)
lists = st.lists(
    st.tuples(addresses, st.sampled_from(["auto", "never"])),
    max_size=8,
    unique_by=lambda a: a[0][0],
)
foreign_lines = st.lists(
    st.sampled_from(
        [
            "192.0.2.2/24 up",
            "# été",
            "",
            "addif 192.0.2.50/32 up",
            "private",
            "mtu 1400",
            "up",
            "x y",
        ]
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(listed=lists, lines=foreign_lines, ending=st.sampled_from(["", "\n"]))
def test_what_is_rendered_is_read_and_what_is_foreign_stays(
    listed: list[Any], lines: list[str], ending: str
) -> None:
    host = plat.load("solaris").host()
    host.files.put(MAIN, "\n".join(lines) + ending)
    before = hostnames(host)
    wanted = tuple(Alias(a, p, "eth0", source=s) for (a, p), s in listed)
    evidence = solaris.detect(host, "eth0")
    found = {f.alias.cidr for f in solaris.parse(host, evidence)}
    put(host, solaris.render(Wanted("eth0", wanted, evidence), host))
    after = hostnames(host)
    assert {path: after[path] for path in before} == before
    mine = [f.alias for f in solaris.parse(host, evidence) if f.alias.cidr not in found]
    assert sorted(mine, key=str) == sorted(wanted, key=str)
    again = solaris.render(Wanted("eth0", wanted, evidence, wanted), host)
    assert all(host.files.read(file.path) == file.text for file in again)
    put(host, solaris.render(Wanted("eth0", (), evidence, wanted), host))
    assert hostnames(host) == before


def put(host: SimHost, files: Any) -> None:
    for file in files:
        if file.text is None:
            host.files.drop(file.path)
        else:
            host.files.put(file.path, file.text)


@settings(max_examples=60, deadline=None)
@given(lines=foreign_lines, at=st.integers(0, 5), ending=st.sampled_from(["", "\n"]))
def test_an_adopted_line_leaves_the_others(lines: list[str], at: int, ending: str) -> None:
    host = plat.load("solaris").host()
    lines = [*lines[:at], "addif 203.0.113.40/32 up", *lines[at:]]
    host.files.put(MAIN, "\n".join(lines) + ending)
    evidence = solaris.detect(host, "eth0")
    found = solaris.parse(host, evidence)
    adopt = tuple(f for f in found if f.alias.address == "203.0.113.40")[:1]
    others = [f.alias for f in found if f.alias.address != "203.0.113.40"]
    wanted = (Alias("203.0.113.40", 32, "eth0"),)
    put(host, solaris.render(Wanted("eth0", wanted, evidence, (), adopt), host))
    after = solaris.parse(host, evidence)
    assert [f.alias for f in after if f.alias.address != "203.0.113.40"] == others
    paths = [f.path for f in after if f.alias.address == "203.0.113.40"]
    assert paths == [f"{MAIN}:1"]


def test_tables_are_read() -> None:
    host = plat.load("solaris").host()
    host.files.put("/etc/hosts", "192.0.2.9 a b\nnonsense\n2001:db8::9 a\n")
    host.files.put("/etc/netmasks", f"{TWOS}.0.0 255.255.255.0\n{TWOS}.4.0\t255.255.252.0 # x\n")
    tables = read_tables(host)
    assert tables.hosts["a"] == ("192.0.2.9", "2001:db8::9")
    assert tables.mask_of(f"{TWOS}.5.1") == 24
    assert tables.mask_of(f"{ONES}.0.0.1") is None
