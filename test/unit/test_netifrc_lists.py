"""netifrc's lists in every form: what an edit leaves, what the shells read, real files."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.netifrc_lists import BACKEND, BASH, CONF, DASH, ONE, SIX, A, alias, host, read, render
from saltext.ipalias.backends import netifrc_files, netifrc_items
from saltext.ipalias.errors import IpaliasError
from saltext.ipalias.model import Alias, Evidence, Wanted

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)


# Whatever the file


octets = st.integers(1, 254)
addresses = st.one_of(
    octets.map(lambda n: f"203.0.113.{n}"), st.integers(1, 65535).map(lambda n: f"2001:db8::{n:x}")
)
labels = st.none() | st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@st.composite
def lists(draw: st.DrawFn) -> list[Alias]:
    found = []
    for address in draw(st.lists(addresses, min_size=1, max_size=6, unique=True)):
        six = ":" in address
        prefix = draw(st.sampled_from((128, 64) if six else (32, 31, 24)))
        single = prefix in (32, 128)
        never = draw(st.booleans()) if six or single else False
        label = None if six else draw(labels)
        found.append(Alias(address, prefix, "eth0", label, "never" if never else "auto"))
    return found


items = st.sampled_from(
    [
        "192.0.2.2/24",
        "192.0.2.3 netmask 255.255.255.0 brd 192.0.2.255",
        "2001:db8:9::2/64 nodad",
        "dhcp",
        "null",
    ]
)


@st.composite
def conf_files(draw: st.DrawFn) -> str:
    """Return a file in one of the forms that people write."""
    listed = draw(st.lists(items, min_size=1, max_size=4, unique=True))
    before = draw(
        st.sampled_from(["", "# caf\udce9\n", 'dns_eth0="192.0.2.53"\n', "a=1\r\nb=2\r\n"])
    )
    after = draw(st.sampled_from(["", "\n", "\nx=1", "\npostup() {\n\treturn 0\n}\n"]))
    quote = draw(st.sampled_from("\"'"))
    form = draw(st.sampled_from(["string", "array", "bare", "none"]))
    if form == "none":
        return before + after.lstrip("\n")
    if form == "bare":
        return f"{before}config_eth0=dhcp{after}"
    if form == "string":
        gap = draw(st.sampled_from(["\n", "\n\n", "\n  ", " \n"]))
        ends = draw(st.sampled_from([("", ""), ("\n", "\n"), ("", "\n ")]))
        value = ends[0] + gap.join(listed) + ends[1]
        return f"{before}config_eth0={quote}{value}{quote}{after}"
    before = before.replace("\r", "")
    gap = draw(st.sampled_from([" ", "\n", "\n  ", " # why\n "]))
    ends = draw(st.sampled_from([(" ", " "), ("", ""), ("\n ", "\n")]))
    value = ends[0] + gap.join(f"{quote}{item}{quote}" for item in listed) + ends[1]
    return f"{before}config_eth0=({value}){after}"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(conf_files(), lists())
def test_what_is_written_is_read_again_and_leaves_no_trace(text: str, wanted: list[Alias]) -> None:
    made = host(text)
    before = read(made)
    render(made, *wanted)
    found = BACKEND.parse(made, BACKEND.detect(made, "eth0"))
    said = {item.alias.cidr: (BACKEND.live_label(item.alias), item.alias.source) for item in found}
    for one in wanted:
        assert said[one.cidr] == (BACKEND.live_label(one), one.source)
    assert [cidr for cidr, _ in read(made)][: len(before)] == [cidr for cidr, _ in before]
    again = made.files.read(CONF)
    assert render(made, *wanted, former=tuple(wanted)) == again
    for line in text.split("\n"):
        # A line may get the end of a quote less, and nothing else.
        assert line.rstrip("\"')\r ") in (again or "")
    assert render(made, former=tuple(wanted)) == text


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(conf_files(), lists(), st.data())
def test_taking_some_out_is_as_if_they_had_not_been(
    text: str, wanted: list[Alias], data: st.DataObject
) -> None:
    made, other = host(text), host(text)
    kept = [one for one in wanted if data.draw(st.booleans())]
    render(made, *wanted)
    render(made, *kept, former=tuple(wanted))
    render(other, *kept)
    assert made.files.read(CONF) == other.files.read(CONF)


#: What the shell itself gives a list: one item a line.
SOURCED = {
    DASH: '. "$1"; printf "%s\\n" "$config_eth0"',
    BASH: '. "$1"; printf "%s\\n" "${config_eth0[@]}"',
}


@pytest.mark.parametrize("shell", [DASH, BASH])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=conf_files(), wanted=lists())
def test_the_shell_reads_what_we_read(
    shell: str, text: str, wanted: list[Alias], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = host(text, shell)
    try:
        written = render(made, *wanted, form="string" if shell == DASH else None) or ""
    except IpaliasError:
        return  # a comment in brackets that would be lost
    path = tmp_path_factory.mktemp("conf") / "net"
    path.write_bytes(written.encode("utf-8", "surrogateescape"))
    argv = [shell, "-c", SOURCED[shell], "sh", str(path)]
    said = subprocess.run(argv, capture_output=True, check=True).stdout.decode()
    setting = netifrc_files.read_setting(made, "eth0", "iproute2")
    assert netifrc_items.split_list(said.split("\n"))[0] == [item.text for item in setting.items]


# Real files


def corpus() -> list[tuple[Path, str]]:
    """Return each real file and each interface that it has a list for."""
    found = []
    for path in sorted((CORPUS / "netifrc").glob("*")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        names = {line.split("=")[0][7:] for line in text.split("\n") if line[:7] == "config_"}
        found += [(path, name) for name in sorted(names | {"eth0"})]
    return found


def there_and_back(path: Path, name: str) -> str:
    """Give an interface of a real file two aliases, take them away; return what went with it."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    made = host(text)
    evidence = Evidence("netifrc", name, True, facts=BACKEND.assume(made, "eth0").facts)
    aliases = tuple(Alias(one.address, one.prefix, name) for one in (A, SIX))
    (file,) = BACKEND.render(Wanted(name, aliases, evidence), made)
    made.files.put(CONF, file.text or "")
    found = {item.alias.cidr for item in BACKEND.parse(made, evidence)}
    assert {one.cidr for one in aliases} <= found
    lines = difflib.ndiff(text.split("\n"), (file.text or "").split("\n"))
    gone = [line[2:] for line in lines if line[0] == "-"]
    (file,) = BACKEND.render(Wanted(name, (), evidence, aliases), made)
    assert file.text == text
    return "\n".join(gone)


@pytest.mark.corpus
def test_a_real_file_gets_our_lines_and_loses_them_again() -> None:
    if not corpus():
        assert "IPALIAS_CORPUS" not in os.environ, "IPALIAS_CORPUS names no corpus"
        pytest.skip("not applicable: no corpus beside the checkout")
    for path, name in corpus():
        # The end of a quote or a bracket moves behind our lines.
        gone = there_and_back(path, name)
        assert "\n" not in gone, (path, name)
        assert gone == "" or gone.startswith(f"config_{name}="), (path, name)


# How much it is


@pytest.mark.parametrize("text", [ONE, 'config_eth0=( "192.0.2.2/24" )\n', "# nothing\n"])
def test_a_thousand_aliases(text: str) -> None:
    many = tuple(
        alias(f"2001:db8::{n:x}/128" if n % 4 else f"198.51.100.{n // 4}/32")
        for n in range(1, 1001)
    )
    made = host(text)
    render(made, *many)
    assert len(read(made)) == 1000 + ("192" in text)
    assert render(made, *many[::2], former=many) is not None
    assert render(made, former=many[::2]) == text
