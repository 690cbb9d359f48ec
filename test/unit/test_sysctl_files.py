"""Names, lines and order of Linux's sysctl files; the host lane asks their real readers."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig import hostile_strings
from rig.simfiles import SimFiles
from rig.simhost import SimHost
from rig.simsysctl import linux
from saltext.ipalias.errors import IpaliasError
from saltext.ipalias.sysctl import bsd, files, keys
from saltext.ipalias.sysctl import linux as store

FORWARD = "net.ipv4.ip_forward"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("/net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        # sysctl.d(5): after a dot, a slash stands for a dot, and the other way round.
        ("net.ipv4.conf.eth0/10.arp_ignore", "net/ipv4/conf/eth0.10/arp_ignore"),
        ("net/ipv4/conf/eth0.10/arp_ignore", "net/ipv4/conf/eth0.10/arp_ignore"),
        ("net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_ignore"),
    ],
)
def test_a_name_has_one_canonical_form(written: str, canonical: str) -> None:
    assert store.parse_key(written, "x") == canonical
    assert store.parse_key(canonical, "x") == canonical


@pytest.mark.parametrize(
    ("key", "interface"),
    [
        ("net.ipv4.conf.eth0.arp_ignore", "eth0"),
        ("net/ipv6/conf/eth0.10/accept_ra", "eth0.10"),
        ("net.ipv4.neigh.eth0.gc_stale_time", "eth0"),
        ("net.ipv4.conf.all.arp_ignore", None),
        ("net.ipv4.conf.default.arp_ignore", None),
        ("net.ipv4.ip_forward", None),
    ],
)
def test_a_name_tells_its_interface(key: str, interface: str | None) -> None:
    assert store.interface_of(key) == interface


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_name_leads_out_of_the_settings(name: str) -> None:
    try:
        key = keys.parse_key(name, "x")
    except IpaliasError:
        return
    path = keys.proc_path(key)
    assert path.startswith("/proc/sys/") and ".." not in path.split("/")
    assert path.isprintable() and not set("*?[]{}=#;\n ") & set(path)


@pytest.mark.parametrize("parse", [keys.parse_key, bsd.parse_key])
def test_hostile_names_are_refused_or_read_as_they_stand(parse) -> None:
    for text in hostile_strings.every():
        try:
            key = parse(text, "x")
        except IpaliasError as error:
            assert "\n" not in error.text()
            continue
        assert not set("\n\r\0 *?[{=#;'\"`$&|<>\\") & set(key)


def test_hostile_values_reach_no_second_line() -> None:
    for text in hostile_strings.every():
        for parse in (store.parse_value, bsd.parse_value):
            try:
                value = parse("net.x", text, "x")
            except IpaliasError as error:
                assert "\n" not in error.text()
                continue
            assert value.isascii() and value.isprintable() and value == value.strip()
            assert parse is store.parse_value or not set(" #'\"`$&|<>\\") & set(value)


@given(st.text(string.printable, max_size=80), st.sampled_from([files.SYSTEMD, files.PROCPS]))
def test_any_text_of_others_can_be_read(text: str, reader: str) -> None:
    for line in files.parse_lines(text.replace("ipalias", "x"), "/etc/sysctl.d/x.conf"):
        files.lasting([line], FORWARD, reader)


NAMES = st.sampled_from(
    ["net.ipv4.ip_forward", "net.ipv4.conf.*.forwarding", "net/ipv4/conf/all/forwarding",
     "net.core.somaxconn", "-net.ipv4.ip_forward", "# net.ipv4.ip_forward"]
)  # fmt: skip
TEXT = st.lists(
    st.one_of(
        st.builds("{}{}{}".format, NAMES, st.sampled_from(["=", " = "]), st.integers(0, 2)),
        st.text(string.printable.replace("\n", "").replace("ipalias", ""), max_size=20),
    ),
    max_size=6,
).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "\n".join(lines) + "\n"]))
WANTED = st.dictionaries(
    st.sampled_from(["net.ipv4.ip_forward", "net.core.somaxconn", "net.core.rmem_max"]),
    st.sampled_from(["0", "1", "4096"]),
    min_size=1,
)


@given(st.none() | TEXT, WANTED, WANTED)
def test_an_edit_of_a_foreign_file_leaves_every_byte_of_it(text, first, second) -> None:
    host = SimHost(SimFiles({} if text is None else {files.CONF: text}))
    for wanted in (first, second, {}):
        [file] = store.render(host, wanted)
        if file.text is None:
            host.files.drop(files.CONF)
        else:
            host.files.put(files.CONF, file.text)
        assert store.read_ours(host) == wanted
        for key, value in wanted.items():
            assert store.read_lasting(host, [key])[key].value == value
        [again] = store.render(host, wanted)
        assert again.text == file.text
    assert host.files.read(files.CONF) == text


def order(*given_files: tuple[str, str], reader: str = files.SYSTEMD) -> files.Lasting:
    host = SimHost(SimFiles(dict(given_files)))
    return files.lasting(files.read_lines(host, reader), FORWARD, reader)


def test_a_file_of_the_first_folder_hides_one_of_the_same_name() -> None:
    lasting = order(
        ("/etc/sysctl.d/50-x.conf", "net.ipv4.ip_forward=1\n"),
        ("/run/sysctl.d/50-x.conf", "net.ipv4.ip_forward=0\n"),
        ("/usr/lib/sysctl.d/50-x.conf", "net.ipv4.ip_forward=0\n"),
    )
    assert [a.where for a in lasting.assignments] == ["/etc/sysctl.d/50-x.conf:1"]


def test_names_are_sorted_over_all_folders() -> None:
    lasting = order(
        ("/etc/sysctl.d/10-x.conf", "net.ipv4.ip_forward=0\n"),
        ("/usr/lib/sysctl.d/90-x.conf", "\n# no\nnet.ipv4.ip_forward = 1\n"),
    )
    assert lasting.winner is not None and lasting.winner.where == "/usr/lib/sysctl.d/90-x.conf:3"


def test_a_link_to_nowhere_masks() -> None:
    """As ``ln -s /dev/null`` does: sysctl.d(5)."""
    host = SimHost(SimFiles({"/usr/lib/sysctl.d/50-x.conf": "net.ipv4.ip_forward=1\n"}))
    host.files.put("/dev/null", "")
    host.files.link("/etc/sysctl.d/50-x.conf", "/dev/null")
    lines = files.read_lines(host, files.SYSTEMD)
    assert files.lasting(lines, FORWARD, files.SYSTEMD).winner is None


def test_sysctl_conf_is_read_where_the_distribution_links_to_it() -> None:
    """Debian 12 has the link and Debian 13 has not; procps reads the file itself, and last."""
    plain = ("/etc/sysctl.conf", "net.ipv4.ip_forward=1\n")
    assert order(plain).winner is None
    assert order(plain, reader=files.PROCPS).value == "1"
    last = ("/etc/sysctl.d/zzzz.conf", "net.ipv4.ip_forward=0\n")
    assert order(plain, last, reader=files.PROCPS).value == "1"
    host = SimHost(SimFiles(dict([plain])))
    host.files.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf")
    lasting = files.lasting(files.read_lines(host, files.SYSTEMD), FORWARD, files.SYSTEMD)
    assert lasting.winner is not None
    assert lasting.winner.where == "/etc/sysctl.d/99-sysctl.conf:1"


def test_who_reads_is_told_by_what_there_is() -> None:
    assert files.reader_of(linux()) == files.SYSTEMD
    assert files.reader_of(SimHost(SimFiles({"/etc/sysctl.d/x.conf": ""}))) == files.PROCPS
    assert files.reader_of(SimHost(SimFiles())) == files.PLAIN


def test_our_file_sorts_behind_what_others_call_last() -> None:
    name = files.OURS.rpartition("/")[2]
    for theirs in (
        "99-sysctl.conf",
        "99-zz-local.conf",
        "9999.conf",
        "1000-ipv6.conf",
        "tuned.conf",
    ):
        assert theirs < name


@pytest.mark.parametrize("end", ["\r", "\0", "\r\n"])
def test_what_ends_a_line_is_the_readers_to_say(end: str) -> None:
    """systemd also ends one at a carriage return or a zero byte, procps does not."""
    text = f"# x{end}net.ipv4.ip_forward = 1{end}"
    host = SimHost(SimFiles({"/etc/sysctl.d/x.conf": text}))
    taken = {
        reader: [line.value for line in files.read_lines(host, reader)]
        for reader in (files.SYSTEMD, files.PROCPS)
    }
    assert taken[files.SYSTEMD] == ["1"]
    assert taken[files.PROCPS] == (["1"] if "\n" in end else [])


@pytest.mark.parametrize(
    ("reader", "family", "after"),
    [
        (files.PROCPS, "ipv4", "1"),
        (files.PROCPS, "ipv6", "0"),
        (files.PLAIN, "ipv6", "0"),
        (files.SYSTEMD, "ipv6", "1"),
    ],
)
def test_what_all_writes_along_though_it_was_so_already(
    reader: str, family: str, after: str
) -> None:
    """IPv6 writes every interface's anew, IPv4 where all changes; systemd only what changes."""
    text = f"net.{family}.conf.eth0.forwarding = 1\nnet.{family}.conf.all.forwarding = 0\n"
    lines = list(files.parse_lines(text, "/etc/sysctl.d/x.conf"))
    told = files.lasting(lines, f"net.{family}.conf.eth0.forwarding", reader)
    assert told.value == after
