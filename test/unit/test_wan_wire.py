"""What probes and the kernel's notices are made of, without a socket."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.announce import checksum
from saltext.ipalias.wan import byhand, dnswire, exchanges, icmp, names, notices
from saltext.ipalias.wan.clocks import Moment, received_at
from saltext.ipalias.wan.icmp import Echo, Heard
from saltext.ipalias.wan.model import ARP, DNS, HTTP, ICMP, TCP, Line, Target, Way

ECHO = Echo(0x1230, b"ownsecret"[:8])


def ip4(
    payload: bytes, sender: str = "203.0.113.7", to: str = "192.0.2.2", options: int = 0
) -> bytes:
    """Return an IPv4 packet of ICMP, checksums left out."""
    head = struct.pack("!BBHHHBBH", 0x45 + options, 0, 0, 0, 0, 64, 1, 0)
    return head + socket.inet_aton(sender) + socket.inet_aton(to) + bytes(4 * options) + payload


def reply(request: bytes) -> bytes:
    return bytes([0]) + request[1:]


# --- clocks -------------------------------------------------------------------------------


def test_a_stamp_tells_when_an_answer_came_however_late_it_is_read() -> None:
    sent, now = Moment(100.0, 5000.0), Moment(102.0, 5000.0)
    assert received_at(5100.010, sent, now) == pytest.approx(100.010)


def test_without_a_stamp_it_is_the_moment_of_reading() -> None:
    assert received_at(None, Moment(100.0, 0.0), Moment(100.5, 0.0)) == 100.5


@given(
    rtt=st.floats(0, 2),
    waited=st.floats(0, 5),
    step=st.floats(-1e9, 1e9),
    before=st.booleans(),
)
def test_setting_the_wall_clock_moves_no_round_trip_out_of_what_can_be(
    rtt: float, waited: float, step: float, before: bool
) -> None:
    """Whether the clock was set before the kernel took the answer in or after it."""
    sent, now = Moment(1000.0, 1e9), Moment(1000.0 + rtt + waited, 1e9 + step)
    stamp = 1000.0 + rtt + (now.offset if before else sent.offset)
    at = received_at(stamp, sent, now)
    assert sent.boot <= at <= now.boot
    # A step that is longer than the whole wait cannot be taken for a round trip.
    if abs(step) > rtt + waited + 1e-3:
        assert at == pytest.approx(1000.0 + rtt, abs=1e-3)


# --- ICMP ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [0, 1, 0xFFFF, 0x1_0000_0001])
def test_a_request_has_a_right_checksum_and_its_reply_is_known(seq: int) -> None:
    request = ECHO.render(4, seq, turn=3)
    assert checksum(request) == 0
    assert struct.unpack("!H", request[4:6])[0] == 0x1233
    for options in (0, 10):
        assert ECHO.parse4(ip4(reply(request), options=options)) == Heard(seq)
    six = ECHO.render(6, seq)
    assert ECHO.parse6(bytes([129]) + six[1:], "2001:db8::1") == Heard(seq)


def test_a_reply_without_our_secret_is_nobodys() -> None:
    forged = Echo(0x1230, b"guessing").render(4, 7)
    assert ECHO.parse4(ip4(reply(forged))) is None
    assert ECHO.parse4(ip4(reply(ECHO.render(4, 7))[:-1])) is None


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [(3, 0, "ENETUNREACH"), (3, 1, "EHOSTUNREACH"), (3, 13, "EACCES"), (11, 0, "time to live")],
)
def test_a_routers_complaint_is_told_with_its_address(kind: int, code: int, error: str) -> None:
    asked = ip4(ECHO.render(4, 0x50007), "192.0.2.2", "203.0.113.7")
    heard = ECHO.parse4(ip4(bytes([kind, code]) + bytes(6) + asked[:28], "198.51.100.1"))
    assert heard is not None and heard.seq == 7 and heard.of == "203.0.113.7"
    assert error in heard.error and "198.51.100.1" in heard.error


def test_a_complaint_about_somebody_elses_request_is_none() -> None:
    asked = ip4(Echo(0x4560, b"whatever").render(4, 7), "192.0.2.2", "203.0.113.7")
    assert ECHO.parse4(ip4(bytes([3, 1]) + bytes(6) + asked)) is None


@given(st.binary(min_size=20, max_size=120))
def test_no_packet_breaks_the_readers(data: bytes) -> None:
    ECHO.parse4(bytes([0x45]) + data)
    ECHO.parse6(data, "2001:db8::1")


def test_the_filters_jumps_stay_inside() -> None:
    for program in (
        icmp.filter4(0x1230),
        icmp.filter6(0x1230),
        icmp.filter6(0x1230, neighbours=True),
    ):
        lines = list(struct.iter_unpack("=HBBI", program))
        for index, (_, yes, no, _) in enumerate(lines[:-1]):
            assert index + 1 + max(yes, no) < len(lines)
        assert [code for code, *_ in lines[-2:]] == [0x06, 0x06]


# --- DNS ----------------------------------------------------------------------------------


def answered(
    query: bytes, data: bytes = bytes([203, 0, 113, 7]), kind: int = 1, ttl: int = 60
) -> bytes:
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + query[12:] + record


def test_an_answer_to_our_question_is_read() -> None:
    query = dnswire.render_query(77, "www.example", dnswire.A)
    found = dnswire.parse_answer(answered(query), 77, "www.example", dnswire.A)
    assert found == dnswire.Answer(("203.0.113.7",), 60, 0)
    # Some servers send letters back in another case.
    shouted = answered(query).replace(b"www", b"WWW")
    assert dnswire.parse_answer(shouted, 77, "www.example", dnswire.A) == found


@pytest.mark.parametrize(
    ("ident", "name", "kind"),
    [(78, "www.example", 1), (77, "ww.example", 1), (77, "www.example", 28)],
)
def test_an_answer_to_another_question_is_none(ident: int, name: str, kind: int) -> None:
    query = dnswire.render_query(77, "www.example", dnswire.A)
    assert dnswire.parse_answer(answered(query), ident, name, kind) is None


def test_a_query_is_no_answer() -> None:
    query = dnswire.render_query(77, "www.example", dnswire.A)
    assert dnswire.parse_answer(query, 77, "www.example", dnswire.A) is None


@given(st.binary(max_size=80), st.integers(0, 80))
def test_a_damaged_answer_is_refused_or_read(data: bytes, cut: int) -> None:
    whole = answered(dnswire.render_query(77, "www.example", dnswire.A))
    for packet in (whole[:cut], whole[:cut] + data):
        try:
            dnswire.parse_answer(packet, 77, "www.example", dnswire.A)
        except ValueError as error:
            assert "cut short" in str(error)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=r"DNS"):
        dnswire.render_query(1, name, dnswire.A)


def test_servers_on_this_host_are_left_out() -> None:
    text = "search x\nnameserver 127.0.0.53\nnameserver 192.0.2.53 # no\nnameserver ::1\n"
    text += "nameserver\nnameserver nonsense\nnameserver fe80::1%eth0\n"
    assert names.parse_servers(text) == ["192.0.2.53", "fe80::1"]


# --- HTTP and the command by hand ---------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "tls", "shown"),
    [
        ("www.example", 80, False, "www.example"),
        ("www.example", 8080, False, "www.example:8080"),
        ("2001:db8::1", 443, True, "[2001:db8::1]"),
    ],
)
def test_a_request_names_the_host_as_a_browser_does(
    host: str, port: int, tls: bool, shown: str
) -> None:
    text = exchanges.render_request(host, port, "", tls=tls).decode()
    assert text.startswith("GET / HTTP/1.1\r\n") and f"\r\nHost: {shown}\r\n" in text
    assert text.endswith("\r\n\r\n")


WAY = Way(Line("wan1", 4), "wan1", "192.0.2.1", "", ())


@pytest.mark.parametrize(
    ("target", "command"),
    [
        (Target(ICMP, "203.0.113.7"), "ping -n -c 1 -W 1 -m 65536 -I 192.0.2.2 203.0.113.7"),
        (Target(TCP, "203.0.113.7", 443), "nc -z -v -w 1 -s 192.0.2.2 203.0.113.7 443"),
        (Target(ARP, "192.0.2.1"), "arping -c 1 -w 1 -I wan1 192.0.2.1"),
        (
            Target(DNS, "203.0.113.53", 53, "www.example"),
            "dig -b 192.0.2.2 @203.0.113.53 +tries=1 +time=1 www.example A",
        ),
        (
            Target(HTTP, "www.example", 443, "/x", tls=True),
            "curl -k -s -o /dev/null -w '%{http_code}' -m 1 --interface 192.0.2.2 "
            "--resolve www.example:443:203.0.113.7 https://www.example:443/x",
        ),
    ],
)
def test_the_command_asks_what_the_probe_asks(target: Target, command: str) -> None:
    address = "203.0.113.7" if target.host == "www.example" else ""
    assert byhand.command(WAY, target, "192.0.2.2", 0x10000, 0.2, address) == command


# --- notices ------------------------------------------------------------------------------


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def link(index: int, name: str, *, carrier: bool) -> bytes:
    body = struct.pack("=BxHiII", 0, 1, index, 0x1 | (0x10000 if carrier else 0), 0)
    return body + attribute(3, name.encode() + b"\0") + attribute(33, bytes([carrier]))


def test_a_link_is_followed_through_loss_rename_and_end() -> None:
    view = notices.View()
    assert view.take(notices.NEWLINK, link(2, "wan1", carrier=True)) == notices.Notice(
        notices.LINK, "wan1", carrier=True
    )
    assert view.take(notices.NEWLINK, link(2, "wan1", carrier=True)) is None
    found = view.take(notices.NEWLINK, link(2, "wan1", carrier=False))
    assert found is not None and not found.carrier
    view.take(notices.NEWLINK, link(2, "wan9", carrier=False))
    assert view.link("wan1") is None and view.link("wan9") is not None
    gone = view.take(notices.DELLINK, link(2, "wan9", carrier=False))
    assert gone is not None and gone.gone and view.link("wan9") is None


def route(table: int, protocol: int, length: int = 0) -> bytes:
    head = struct.pack("=BBBBBBBBI", 2, length, 0, 0, min(table, 252), protocol, 0, 1, 0)
    return head + attribute(15, struct.pack("=I", table))


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        (route(18600, 186), True),
        (route(18601, 4), True),
        (route(254, 16), False),
        (route(254, 16, 24), None),
        (route(777, 4), None),
    ],
)
def test_routes_that_matter_are_told_from_others(body: bytes, ours: bool | None) -> None:
    found = notices.parse_routing(notices.DELROUTE, body, 186, range(18600, 18856))
    assert (found.ours if found else None) is ours


def test_only_our_own_table_counts() -> None:
    for name, known in (("ipalias_wan", True), ("other", False)):
        body = bytes(4) + attribute(1, name.encode() + b"\0")
        found = notices.parse_nft((10 << 8) | 2, body, "ipalias_wan")
        assert (found is not None) is known
    assert (
        notices.parse_nft(10 << 8, bytes(4) + attribute(1, b"ipalias_wan\0"), "ipalias_wan") is None
    )
