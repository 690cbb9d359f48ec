"""Lease files of dhcpd and of Kea: what they say, and what is left of one that is cut off."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saltext.ipalias.dhcp import iscleases, kealeases
from saltext.ipalias.dhcp.model import Lease, PeerStates

PATH = "/var/lib/dhcp/dhcpd.leases"
KEA = "/var/lib/kea/kea-leases4.csv"
#: 2026-01-02 03:04:05 UTC.
MOMENT = 1767323045.0

ISC_TEXT = r"""# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;

server-duid "\000\001}{;\"";

failover peer "dhcp; {pair" state {
  my state normal at 5 2026/01/02 03:04:05;
  partner state communications-interrupted at epoch 1767323046; # Fri Jan  2 03:04:06 2026
  mclt 3600;
}

lease 192.0.2.100 {
  starts 5 2026/01/02 03:04:05;
  ends 5 2026/01/02 03:14:05;
  tstp 5 2026/01/02 04:14:05;
  cltt 5 2026/01/02 03:04:06;
  binding state active;
  next binding state expired;
  rewind binding state free;
  hardware ethernet 02:00:00:00:00:0a;
  uid "\001\"}\\\377lease";
  set vendor-class-identifier = "lease 192.0.2.100 { binding state free; }";
  option agent.circuit-id "eth0";
  client-hostname "caf\303\251";
  on expiry or release {
    set ClientHost = "x";
  }
}
lease 192.0.2.101 {
  starts epoch 1767323045; # Fri
  ends never;
  binding state backup;
  uid 1:2:ab;
}
host dyn {
  dynamic;
  hardware ethernet 02:00:00:00:00:0b;
}
lease 192.0.2.102 {
  starts 5 2026/01/02 03:04:05;
  ends 5 2026/01/02 03:14:05;
  hardware ethernet 2:0:0:0:0:c;
  abandoned;
}
lease 192.0.2.100 {
  starts 5 2026/01/02 03:04:05;
  ends 5 2026/01/02 03:05:05;
  binding state released;
  hardware ethernet 02:00:00:00:00:0a;
}
"""


def test_dhcpds_file_is_read() -> None:
    file = iscleases.parse_file(ISC_TEXT, PATH)
    assert file.problems == ()
    assert file.leases == (
        Lease(
            "192.0.2.100",
            "active",
            "02:00:00:00:00:0a",
            (b'\1"}\\\377lease').hex(),
            "café",
            MOMENT,
            MOMENT + 600,
            MOMENT + 1,
        ),
        Lease("192.0.2.101", "backup", client="0102ab", starts=MOMENT),
        Lease(
            "192.0.2.102",
            "abandoned",
            "02:00:00:00:00:0c",
            starts=MOMENT,
            ends=MOMENT + 600,
        ),
        Lease("192.0.2.100", "released", "02:00:00:00:00:0a", starts=MOMENT, ends=MOMENT + 60),
    )
    assert file.leases[0].where == f"{PATH}:12"
    assert file.last()["192.0.2.100"].state == "released"
    assert file.pairs == {
        "dhcp; {pair": PeerStates("normal", MOMENT, "communications-interrupted", MOMENT + 1)
    }


@pytest.mark.parametrize("parse", [iscleases.parse_file, kealeases.parse_file])
def test_an_empty_file_has_no_leases(parse: object) -> None:
    file = parse("", PATH)  # type: ignore[operator]
    assert (file.leases, file.problems) == ((), ())


def test_each_cut_of_dhcpds_file_leaves_what_is_whole() -> None:
    whole = iscleases.parse_file(ISC_TEXT, PATH).leases
    ends = [lease_end(ISC_TEXT, lease) for lease in whole]
    for size in range(len(ISC_TEXT)):
        file = iscleases.parse_file(ISC_TEXT[:size], PATH)
        kept = sum(end <= size for end in ends)
        assert file.leases == whole[:kept], size


def lease_end(text: str, lease: Lease) -> int:
    """Return where an entry is whole."""
    line = int(lease.where.rsplit(":", 1)[1])
    start = sum(len(one) + 1 for one in text.split("\n")[: line - 1])
    return text.index("\n}", start) + 2


def test_a_cut_is_told_with_its_line() -> None:
    file = iscleases.parse_file(ISC_TEXT[: ISC_TEXT.index("binding state backup") + 5], PATH)
    line = ISC_TEXT.split("\n").index("lease 192.0.2.101 {") + 1
    assert file.problems == (
        f"{PATH}:{line}: the file is cut off: the entry of 192.0.2.101 is not whole",
    )


@pytest.mark.parametrize(
    "cut",
    [
        "starts 5 2026/01",
        'uid "\\001\\',
        "client-hostname",
        "on expiry or rel",
        'lease 192.0.2.9 { uid "a',
    ],
)
def test_what_comes_after_a_cut_is_read(cut: str) -> None:
    """A dhcpd that was killed has gone on with the file since."""
    head = ISC_TEXT[: ISC_TEXT.index(cut) + len(cut)] if cut in ISC_TEXT else ISC_TEXT + cut
    tail = "\nlease 192.0.2.77 {\n  binding state free;\n}\n"
    file = iscleases.parse_file(head + tail, PATH)
    assert file.leases[-1] == Lease("192.0.2.77", "free")
    assert "192.0.2.9" not in file.last()
    assert any("cut off" in problem for problem in file.problems)


@pytest.mark.parametrize(
    "statement",
    [
        "starts 5 2026/13/02 03:04:05",
        "starts 7 2026/01/02 03:04:05",
        "ends 5 2026/01/02",
        "ends epoch x",
        "binding state mine",
        "hardware ethernet zz",
        "uid 1:2:",
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_read(statement: str) -> None:
    text = f'lease 192.0.2.9 {{\n  {statement};\n  client-hostname "a";\n}}\n'
    file = iscleases.parse_file(text, PATH)
    assert [lease.hostname for lease in file.leases] == ["a"]
    assert file.problems == (f"{PATH}:2: `{statement}` cannot be read",)


@given(st.text(alphabet=' \n#"\\{};lease 192.0.2.1startsuidnevr0123:/\0é', max_size=200))
@settings(max_examples=300)
def test_anything_is_borne(text: str) -> None:
    iscleases.parse_file(text, PATH)
    iscleases.parse_file(f"lease 192.0.2.1 {{ {text}", PATH)
    kealeases.parse_file(text, KEA)
    kealeases.parse_file(f"{HEADS[1]}\n{text}", KEA)


def escaped(data: bytes) -> str:
    """Return bytes as dhcpd writes them (quotify_buf of common/print.c)."""
    return "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in data
    )


def isc_date(moment: int) -> str:
    return time.strftime("%w %Y/%m/%d %H:%M:%S", time.gmtime(moment))


moments = st.integers(0, 2**32 - 1)
octets = st.integers(0, 255)


@given(
    st.lists(
        st.tuples(
            octets,
            st.sampled_from(["active", "free", "backup", "expired", "abandoned"]),
            st.binary(min_size=6, max_size=6),
            st.binary(min_size=1, max_size=20),
            moments,
            st.one_of(st.none(), moments),
        ),
        max_size=6,
    )
)
def test_dhcpds_file_is_read_as_it_was_written(
    rows: Sequence[tuple[int, str, bytes, bytes, int, int | None]],
) -> None:
    text, leases = "", []
    for octet, state, mac, client, starts, ends in rows:
        text += (
            f"lease 192.0.2.{octet} {{\n  starts {isc_date(starts)};\n"
            f"  ends {'never' if ends is None else isc_date(ends)};\n"
            f"  binding state {state};\n  next binding state free;\n"
            f'  hardware ethernet {mac.hex(":")};\n  uid "{escaped(client)}";\n}}\n'
        )
        end = None if ends is None else float(ends)
        address = f"192.0.2.{octet}"
        leases.append(Lease(address, state, mac.hex(":"), client.hex(), "", float(starts), end))
    file = iscleases.parse_file(text, PATH)
    assert (list(file.leases), file.problems) == (leases, ())


# -- Kea -------------------------------------------------------------------------------------

#: Kea 2.2, Kea 2.6, and one of an age that had no state.
HEADS = (
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
    "user_context",
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
    "user_context,pool_id",
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname",
)
ROW = "192.0.2.100,02:00:00:00:00:0A,01:02:ab,600,1767323645,1,0,0,"


def kea(*rows: str, head: str = HEADS[1]) -> str:
    return "".join(f"{row}\n" for row in (head, *rows))


@pytest.mark.parametrize(
    ("head", "rest"),
    [(HEADS[0], "a&#x2cb&#x26c,0,"), (HEADS[1], "a&#x2cb&#x26c,0,,0"), (HEADS[2], "a&#x2cb&#x26c")],
    ids=["2.2", "2.6", "old"],
)
def test_keas_file_is_read(head: str, rest: str) -> None:
    file = kealeases.parse_file(kea(ROW + rest, head=head), KEA)
    assert file.problems == ()
    assert file.leases == (
        Lease(
            "192.0.2.100",
            "active",
            "02:00:00:00:00:0a",
            "0102ab",
            "a,b&c",
            MOMENT,
            MOMENT + 600,
            MOMENT,
        ),
    )
    assert file.leases[0].where == f"{KEA}:2"


@pytest.mark.parametrize(
    ("lifetime", "number", "state"),
    [
        ("600", "0", "active"),
        ("600", "1", "abandoned"),
        ("600", "2", "expired"),
        ("600", "3", "released"),
        ("0", "0", "released"),
        ("0", "2", "expired"),
    ],
)
def test_keas_numbers_are_told_in_words(lifetime: str, number: str, state: str) -> None:
    row = f"192.0.2.100,,,{lifetime},1767323645,1,0,0,,{number},,0"
    assert [x.state for x in kealeases.parse_file(kea(row), KEA).leases] == [state]


def test_a_lease_for_ever_has_no_end() -> None:
    row = f"192.0.2.100,,,4294967295,{int(MOMENT) + 4294967295},1,0,0,,0,,0"
    [lease] = kealeases.parse_leases(kea(row), KEA)
    assert (lease.starts, lease.ends) == (MOMENT, None)


def test_the_last_row_of_an_address_wins() -> None:
    text = kea(ROW + ",0,,0", ROW + ",1,,0", "# none", "", ROW + ",2,,0")
    assert [x.state for x in kealeases.parse_leases(text, KEA)] == ["expired"]


def test_each_cut_of_keas_file_leaves_what_is_whole() -> None:
    text = kea(*(f"192.0.2.{n},02:00:00:00:00:0{n},,600,1767323645,1,0,0,,0,,0" for n in range(4)))
    whole = kealeases.parse_file(text, KEA).leases
    ends = [end for end, letter in enumerate(text) if letter == "\n"][1:]
    for size in range(len(text)):
        file = kealeases.parse_file(text[:size], KEA)
        # The last column tells nothing that is wanted here.
        kept = sum(end - 1 <= size for end in ends)
        assert file.leases == whole[:kept], size


@pytest.mark.parametrize(
    "row",
    ["192.0.2.1,,,600,x,1,0,0,,0,,0", "x,,,600,1,1,0,0,,0,,0", "192.0.2.1,,,600,1,1,0,0,,9,,0"],
)
def test_a_row_that_cannot_be_read_is_told(row: str) -> None:
    file = kealeases.parse_file(kea(row, ROW + ",0,,0"), KEA)
    assert file.problems == (f"{KEA}:2: `{row}` cannot be read",)
    assert len(file.leases) == 1


def test_another_file_is_none_of_keas() -> None:
    file = kealeases.parse_file("lease 192.0.2.1 {\n", KEA)
    assert file.problems == (f"{KEA}:1: is no lease file of Kea",)


@pytest.mark.parametrize(
    "there", [each for n in range(5) for each in itertools.combinations(range(4), n)]
)
def test_the_files_of_a_clean_up_are_those_that_kea_reads(there: tuple[int, ...]) -> None:
    endings = (".completed", ".2", ".1", "")
    present = {KEA + endings[number] for number in there}
    read = kealeases.lease_files(KEA, present.__contains__)
    without = (".2", ".1") if KEA + ".completed" in present else (".completed",)
    assert read == [KEA + e for e in endings if e not in without and KEA + e in present]


def test_several_files_are_read_as_one() -> None:
    texts = [(f"{KEA}.2", kea(ROW + ",0,,0")), (KEA, kea(ROW + ",2,,0", "x"))]
    file = kealeases.parse_files(texts, KEA)
    assert file.last()["192.0.2.100"].state == "expired"
    assert file.problems == (f"{KEA}:3: `x` cannot be read",)
