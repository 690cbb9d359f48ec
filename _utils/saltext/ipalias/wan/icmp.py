"""Echo requests and what comes back, and the filters that keep the rest in the kernel.

Pure. Formats: RFC 792 and RFC 1122 (3.2.2) for ICMP, RFC 4443 for ICMPv6; the filters are
classic BPF (``Documentation/networking/filter.rst`` of the kernel). A raw IPv4 socket shows
a filter the IP header first, a raw ICMPv6 socket begins with the ICMPv6 header.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

#: Bits of an identifier that number the tries of one target: see `Echo.turn`.
TURNS = 0x000F
#: Payload: what only this process knows, and the probe's number.
_PAYLOAD = struct.Struct("!8sQ")
_HEAD = struct.Struct("!BBHHH")
#: IP header (20 to 60), an ICMP error's own header, the packet it quotes.
LONGEST = 1024

_REQUEST, _REPLY, _UNREACHABLE, _EXCEEDED = 8, 0, 3, 11
_REQUEST6, _REPLY6, _UNREACHABLE6, _EXCEEDED6, ADVERTISEMENT6 = 128, 129, 1, 3, 136
#: What the codes of "destination unreachable" mean in the system's own words.
_CODES4 = {0: errno.ENETUNREACH, 3: errno.ECONNREFUSED, 6: errno.ENETUNREACH}
_CODES4 |= {code: errno.EACCES for code in (9, 10, 13)}
_CODES6 = {0: errno.ENETUNREACH, 1: errno.EACCES, 4: errno.ECONNREFUSED, 5: errno.EACCES}


class Heard(NamedTuple):
    """Hold what came back for an echo request.

    :param seq: the probe's number; of an error only its lower 16 bits.
    :param error: empty for a reply; else what a router, or this host's own kernel, said.
    """

    seq: int
    error: str = ""
    of: str = ""


class Echo(NamedTuple):
    """Hold what marks echo requests as ours.

    :param ident: identifier with the lowest bits free.
    :param token: eight random bytes: nobody who has not seen a request can answer it.
    """

    ident: int
    token: bytes

    def render(self, family: int, seq: int, turn: int = 0) -> bytes:
        """Return an echo request.

        :param turn: varies the identifier. A NAT on the way keeps its idea of one as long
            as it sees it: after a line has come back with another address, a probe that
            never changed would go on being sent with the old one.
        """
        ident = self.ident | (turn & TURNS)
        payload = _PAYLOAD.pack(self.token, seq)
        if family == 6:
            # The kernel computes the checksum of ICMPv6, which covers its IP header.
            return _HEAD.pack(_REQUEST6, 0, 0, ident, seq & 0xFFFF) + payload
        head = _HEAD.pack(_REQUEST, 0, 0, ident, seq & 0xFFFF)
        total = sum(struct.unpack("!12H", head + payload))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return _HEAD.pack(_REQUEST, 0, ~total & 0xFFFF, ident, seq & 0xFFFF) + payload

    def parse4(self, packet: bytes | memoryview) -> Heard | None:
        """Return what an IPv4 packet says of a request of ours, or None."""
        start = (packet[0] & 15) * 4
        if len(packet) < start + 8:
            return None
        kind, code = packet[start], packet[start + 1]
        if kind == _REPLY:
            return self._reply(packet[start:])
        if kind not in (_UNREACHABLE, _EXCEEDED) or len(packet) < start + 8 + 20:
            return None
        inner = packet[start + 8 :]
        begin = (inner[0] & 15) * 4
        if inner[9] != socket.IPPROTO_ICMP or len(inner) < begin + 8 or inner[begin] != _REQUEST:
            return None
        if kind == _UNREACHABLE and code == 4:
            return None  # a path with a smaller packet size: of our 44 bytes nobody says so
        number = _CODES4.get(code, errno.EHOSTUNREACH) if kind == _UNREACHABLE else 0
        return self._error(inner[begin:], number, bytes(inner[16:20]), bytes(packet[12:16]))

    def parse6(self, packet: bytes | memoryview, sender: str) -> Heard | None:
        """Return what an ICMPv6 message says of a request of ours, or None."""
        if len(packet) < 8:
            return None
        kind, code = packet[0], packet[1]
        if kind == _REPLY6:
            return self._reply(packet)
        if kind not in (_UNREACHABLE6, _EXCEEDED6) or len(packet) < 56:
            return None
        inner = packet[8:]
        if inner[6] != socket.IPPROTO_ICMPV6 or inner[40] != _REQUEST6:
            return None
        number = _CODES6.get(code, errno.EHOSTUNREACH) if kind == _UNREACHABLE6 else 0
        return self._error(inner[40:], number, bytes(inner[24:40]), sender)

    def _reply(self, packet: bytes | memoryview) -> Heard | None:
        if len(packet) != _HEAD.size + _PAYLOAD.size:
            return None
        token, seq = _PAYLOAD.unpack_from(packet, _HEAD.size)
        return Heard(seq) if token == self.token else None

    def _error(
        self, request: bytes | memoryview, number: int, target: bytes, sender: bytes | str
    ) -> Heard | None:
        _, _, _, ident, short = _HEAD.unpack_from(request)
        if ident & ~TURNS != self.ident:
            return None
        who = sender if isinstance(sender, str) else socket.inet_ntoa(sender)
        what = errno.errorcode[number] if number else "time to live exceeded"
        family = socket.AF_INET6 if len(target) == 16 else socket.AF_INET
        return Heard(short, f"{what} (said {who})", socket.inet_ntop(family, target))


# --- filters -----------------------------------------------------------------------------

_LDB_X, _LDH_X, _LDX_MSH = 0x50, 0x48, 0xB1
_AND, _LSH, _ADD_X, _TAX, JUMP_IF_EQUAL, _RET, _LDX_IMM = 0x54, 0x64, 0x0C, 0x07, 0x15, 0x06, 0x01
_DROP, _TAKE = "drop", "take"


def assemble(lines: list[tuple[str, int, int, str, str]]) -> bytes:
    """Return the instructions of a filter.

    :param lines: label (or empty), code, operand, and for a jump where to go if equal and
        if not (labels; empty: the next line).
    """
    lines = [*lines, (_DROP, _RET, 0, "", ""), (_TAKE, _RET, 0xFFFF, "", "")]
    at = {label: index for index, (label, *_) in enumerate(lines) if label}
    out = b""
    for index, (_, code, operand, yes, no) in enumerate(lines):
        jumps = [at[name] - index - 1 if name else 0 for name in (yes, no)]
        out += struct.pack("=HBBI", code, *jumps, operand)
    return out


def filter4(ident: int) -> bytes:
    """Return the filter for a raw IPv4 socket: replies to us, and errors about us."""
    same = [("", _AND, 0xFFFF & ~TURNS, "", ""), ("", JUMP_IF_EQUAL, ident, _TAKE, _DROP)]
    return assemble(
        [
            ("", _LDX_MSH, 0, "", ""),
            ("", _LDB_X, 0, "", ""),
            ("", JUMP_IF_EQUAL, _REPLY, "reply", ""),
            ("", JUMP_IF_EQUAL, _UNREACHABLE, "error", ""),
            ("", JUMP_IF_EQUAL, _EXCEEDED, "error", _DROP),
            ("reply", _LDH_X, 4, "", ""),
            *same,
            ("error", _LDB_X, 8 + 9, "", ""),
            ("", JUMP_IF_EQUAL, socket.IPPROTO_ICMP, "", _DROP),
            ("", _LDB_X, 8, "", ""),
            ("", _AND, 15, "", ""),
            ("", _LSH, 2, "", ""),
            ("", _ADD_X, 0, "", ""),
            ("", _TAX, 0, "", ""),
            ("", _LDB_X, 8, "", ""),
            ("", JUMP_IF_EQUAL, _REQUEST, "", _DROP),
            ("", _LDH_X, 8 + 4, "", ""),
            *same,
        ]
    )


def filter6(ident: int, *, neighbours: bool = False) -> bytes:
    """Return the filter for a raw ICMPv6 socket.

    :param neighbours: let advertisements through, for who asks for hardware addresses.
    """
    same = [("", _AND, 0xFFFF & ~TURNS, "", ""), ("", JUMP_IF_EQUAL, ident, _TAKE, _DROP)]
    return assemble(
        [
            ("", _LDX_IMM, 0, "", ""),
            ("", _LDB_X, 0, "", ""),
            ("", JUMP_IF_EQUAL, _REPLY6, "reply", ""),
            ("", JUMP_IF_EQUAL, ADVERTISEMENT6, _TAKE if neighbours else _DROP, ""),
            ("", JUMP_IF_EQUAL, _UNREACHABLE6, "error", ""),
            ("", JUMP_IF_EQUAL, _EXCEEDED6, "error", _DROP),
            ("reply", _LDH_X, 4, "", ""),
            *same,
            ("error", _LDB_X, 8 + 6, "", ""),
            ("", JUMP_IF_EQUAL, socket.IPPROTO_ICMPV6, "", _DROP),
            ("", _LDB_X, 8 + 40, "", ""),
            ("", JUMP_IF_EQUAL, _REQUEST6, "", _DROP),
            ("", _LDH_X, 8 + 40 + 4, "", ""),
            *same,
        ]
    )


#: ICMP6_FILTER of RFC 3542: a set bit keeps a type away from the socket.
def types6(*, neighbours: bool = False) -> bytes:
    """Return the coarse filter of a raw ICMPv6 socket, which the kernel looks at first."""
    words = [0xFFFFFFFF] * 8
    kinds = [_REPLY6, _UNREACHABLE6, _EXCEEDED6, *([ADVERTISEMENT6] if neighbours else [])]
    for kind in kinds:
        words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("=8I", *words)
