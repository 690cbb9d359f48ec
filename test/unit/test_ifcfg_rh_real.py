"""Red Hat's ifcfg files before real shells, beside real files, and at random."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.ifcfg import (
    ETH0,
    FIVE,
    FOLDER,
    PARENT,
    SIX,
    alias,
    cidrs,
    parse,
    place,
    put,
    scripts,
    write,
)
from rig.tree import TreeHost
from saltext.ipalias.backends import ifcfg_rh, ifcfg_rh_ipv6
from saltext.ipalias.errors import (
    IpaliasError,
    UnsupportedError,
)
from saltext.ipalias.model import Alias, Wanted
from saltext.ipalias.text import shellvars

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    return scripts(tmp_path)


# What a real shell and real files say


def sourced(shell: str, path: Path, *names: str) -> list[str]:
    """Return what a shell holds after it has sourced a file."""
    script = f'. "{path}"; ' + "; ".join(f'printf "%s\\0" "${{{name}}}"' for name in names)
    ran = subprocess.run([shell, "-c", script], capture_output=True, check=True)
    assert ran.stderr == b""
    return ran.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


KEYS = ("DEVICE", "ONBOOT", "ONPARENT", "BOOTPROTO", "IPADDR", "PREFIX", "NETMASK", "BROADCAST")


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_shell_reads_what_was_written(host: TreeHost, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    write(host, alias("203.0.113.5/25", 3, "fo_1"), FIVE, SIX)
    got = sourced(shell, host.at(f"{FOLDER}/ifcfg-eth0:fo_1"), *KEYS, "ARPCHECK")
    broadcast = ["203.0.113.5", "25", "255.255.255.128", "203.0.113.127"]
    assert got == ["eth0:fo_1", "yes", "yes", "none", *broadcast, "no"]
    (listed,) = sourced(shell, host.at(ETH0), "IPV6ADDR_SECONDARIES")
    assert listed == f"{FIVE.cidr} {SIX.cidr}"


def test_shellcheck_finds_nothing_in_an_alias_file(host: TreeHost) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here")
    write(host, alias("203.0.113.5/25", 3, "fo_1"))
    path = host.at(f"{FOLDER}/ifcfg-eth0:fo_1")
    # SC2034: the variables are for who sources it.
    ran = subprocess.run(
        ["shellcheck", "-s", "bash", "-e", "SC2034", str(path)], capture_output=True, text=True
    )
    assert ran.stdout == ""


def changed_lines(before: str, after: str) -> list[str]:
    pieces = before.split("\n"), after.split("\n")
    return [line for line in difflib.ndiff(*pieces) if line[:1] in "+-"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
@pytest.mark.parametrize(
    "path", sorted((CORPUS / "ifcfg_rh").glob("*")), ids=lambda path: path.name
)
def test_the_corpus(path: Path, host: TreeHost) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    device = shellvars.parse(text, path.name).get("DEVICE")
    assert device is not None
    assert device.value
    host.at(ETH0).unlink()
    name = put(host, device.value, text)
    link = device.value.partition(":")[0]
    if ":" in device.value:
        put(host, link, PARENT.replace("eth0", link))
    before, read = host.texts(), parse(host, link)
    assert all(found.path != name or not found.ours for found in read)
    four = Alias("203.0.113.77", 32, link, "ours")
    six = Alias("2001:db8:1::77", 128, link)
    evidence = ifcfg_rh.assume(host, link)
    wanted = Wanted(link, (four, six), evidence)
    if "BRIDGE=" in text:
        with pytest.raises(UnsupportedError) as error:
            ifcfg_rh.render(wanted, host)
        assert place(error).startswith(f"{name}:7: BRIDGE=br0")
        return
    host.store(ifcfg_rh.render(wanted, host))
    after = host.texts()
    own = f"{FOLDER}/ifcfg-{link}:ours"
    assert set(after) - set(before) == {own}
    for file, old in before.items():
        lines = changed_lines(old, after[file])
        assert lines == [] or (len(lines) == 3 and all(line[0] == "+" for line in lines))
    now = {found.alias.cidr for found in parse(host, link)}
    assert now == {found.alias.cidr for found in read} | {four.cidr, six.cidr}
    again = Wanted(link, (four, six), evidence, (four, six))
    assert host.store(ifcfg_rh.render(again, host)) == []
    host.store(ifcfg_rh.render(Wanted(link, (), evidence, (four, six)), host))
    assert host.texts() == before


# Properties

WORD = st.sampled_from(["2001:db8::a", "2001:db8::b/64", "2001:DB8::C/128", "fd00::1/48"])
GAP = st.sampled_from([" ", "  ", "\t", " \\\n "])
LINE = st.sampled_from(
    [
        "# K\udcfcche", "ZONE=public", "", "function up { :; }", "export NAME='a b'",
        "IPV6ADDR_SECONDARIES=2001:db8::d/64", "  DNS1=192.0.2.53  # x", "if [ -f x ]; then :; fi",
        "# IPV6ADDR_SECONDARIES=\"2001:db8::e\"", "IPV6ADDR_SECONDARIES=\"\"; MTU=1400",
    ]
)  # fmt: skip


@st.composite
def parents(draw: st.DrawFn) -> str:
    """Draw a parent's text: with lists in each kind of quotes, at several places, or none."""
    lines = [*PARENT.splitlines(), *draw(st.lists(LINE, max_size=5))]
    if draw(st.booleans()):
        words, quote = draw(st.lists(WORD, max_size=3, unique=True)), draw(st.sampled_from("\"'B"))
        gap = draw(GAP)
        if quote == "B":
            value = "\\ ".join(words)
        else:
            value = f"{quote}{(' ' if quote == chr(39) else gap).join(words)}{quote}"
        tail = draw(st.sampled_from(["", " # ours?", "; MTU=9000"]))
        lines.append(f"IPV6ADDR_SECONDARIES={value}{tail}")
        lines += draw(st.lists(LINE.filter(lambda line: "SECONDARIES" not in line), max_size=2))
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


ADDRESSES = st.lists(st.integers(1, 60), max_size=5, unique=True)


@settings(deadline=None)
@given(text=parents(), first=ADDRESSES, second=ADDRESSES)
def test_our_words_come_and_go_and_no_other_byte_moves(
    text: str, first: list[int], second: list[int]
) -> None:
    one, two = ([f"2001:db8:1::{n:x}/128" for n in listed] for listed in (first, second))
    with_one = ifcfg_rh_ipv6.edit(text, ETH0, "eth0", one, set())
    assert ifcfg_rh_ipv6.edit(with_one, ETH0, "eth0", one, set(one)) == with_one
    with_two = ifcfg_rh_ipv6.edit(with_one, ETH0, "eth0", two, set(one))
    said = shellvars.parse(with_two, ETH0).get("IPV6ADDR_SECONDARIES")
    before = shellvars.parse(text, ETH0).get("IPV6ADDR_SECONDARIES")
    words = (before.value or "").split() if before else []
    now = (said.value or "").split() if said else []
    assert now[: len(words)] == words
    assert sorted(now[len(words) :]) == sorted(two)
    assert ifcfg_rh_ipv6.edit(with_two, ETH0, "eth0", [], set(two)) == text


@settings(max_examples=40, deadline=None)
@given(text=parents(), first=ADDRESSES)
def test_bash_reads_our_words_behind_the_others(
    text: str, first: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not here")
    listed = [f"2001:db8:1::{n:x}/128" for n in first]
    path = tmp_path_factory.mktemp("sourced") / "ifcfg"
    edited = ifcfg_rh_ipv6.edit(text, ETH0, "eth0", listed, set())
    lists = []
    for source in (text, edited):
        path.write_bytes(source.encode("utf-8", "surrogateescape"))
        lists.append(sourced("bash", path, "IPV6ADDR_SECONDARIES")[0].split())
    assert lists[1] == [*lists[0], *listed]


OWN = st.builds(
    lambda last, prefix, number, label: Alias(
        f"203.0.113.{last}", prefix, "eth0", label, number=number
    ),
    st.integers(1, 254),
    st.integers(1, 32),
    st.integers(0, 999),
    st.one_of(st.none(), st.from_regex(r"[0-9A-Za-z_]{1,10}", fullmatch=True)),
)


@settings(deadline=None)
@given(listed=st.lists(OWN, max_size=6, unique_by=(lambda a: a.address, ifcfg_rh.live_label)))
def test_what_is_rendered_is_read_again(
    listed: list[Alias], tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = scripts(tmp_path_factory.mktemp("root"))
    before = host.texts()
    write(host, *listed)
    key = lambda item: item.address  # noqa: E731
    assert sorted((f.alias for f in parse(host)[1:]), key=key) == sorted(listed, key=key)
    assert write(host, *listed).files == ()
    write(host, former=listed)
    assert host.texts() == before


@settings(deadline=None)
@given(text=st.text(st.sampled_from("IPADR6V_SECON=\"'\\ \n\r$(){};#:1.2/a<&|`"), max_size=60))
def test_damaged_text_is_refused_or_kept(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = scripts(tmp_path_factory.mktemp("root"))
    host.write(ETH0, PARENT + text)
    before = host.read(ETH0)
    try:
        write(host, alias("203.0.113.9"), FIVE)
        assert {"203.0.113.9/32", FIVE.cidr} <= set(cidrs(host))
        write(host, former=[alias("203.0.113.9"), FIVE])
    except IpaliasError:
        pass
    assert host.read(ETH0) == before
