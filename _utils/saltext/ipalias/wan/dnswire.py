"""Render a DNS query, parse its answer. Pure; RFC 1035 sections 4.1 and 3.2, RFC 3596 for AAAA."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

A, CNAME, AAAA = 1, 5, 28
PORT = 53
#: Longest answer over UDP that we ask for: without EDNS a server sends no more.
LONGEST = 512
_HEAD = struct.Struct("!HHHHHH")
_RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
NO_ERROR, NO_NAME = 0, 3


class Answer(NamedTuple):
    """Hold a server's answer.

    :param addresses: of the kind asked for, in the server's order.
    :param ttl: least time to live among the records (seconds).
    :param code: rcode; 0 no error, 3 no such name.
    """

    addresses: tuple[str, ...]
    ttl: int
    code: int

    @property
    def error(self) -> str:
        """Return what is wrong with the answer, empty if nothing."""
        return "" if self.code == NO_ERROR else _RCODES.get(self.code, f"rcode {self.code}")


def render_query(ident: int, name: str, kind: int) -> bytes:
    """Return a query with recursion desired.

    :param kind: `A` or `AAAA`.
    :raises ValueError: not a name that DNS can ask for.
    """
    return _HEAD.pack(ident, 0x0100, 1, 0, 0, 0) + _question(name, kind)


def _question(name: str, kind: int) -> bytes:
    out = b""
    bare = name.rstrip(".")
    # The codec costs a megabyte of tables, for names that hardly anyone has.
    encoded = bare.encode("ascii" if bare.isascii() else "idna")
    for label in encoded.split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError(f"{name!r} is not a name DNS can ask for")
        out += bytes([len(label)]) + label
    if len(out) > 254:
        raise ValueError(f"{name!r} is longer than DNS allows")
    return out + b"\0" + struct.pack("!HH", kind, 1)


def parse_answer(packet: bytes, ident: int, name: str, kind: int) -> Answer | None:
    """Return the answer, or None where it answers another question than ours.

    The number and the whole question must be ours: letters may come back in another case.

    :raises ValueError: it is cut short or does not hold together.
    """
    if len(packet) < _HEAD.size:
        return None
    number, flags, questions, answers, _, _ = _HEAD.unpack_from(packet)
    asked = _question(name, kind)
    end = _HEAD.size + len(asked)
    if number != ident or not flags & 0x8000 or questions != 1:
        return None
    if packet[_HEAD.size : end].lower() != asked.lower():
        return None
    addresses, ttl, at = [], 86400, end
    size = 4 if kind == A else 16
    try:
        for _ in range(answers):
            at = _skip_name(packet, at)
            found, _, life, length = struct.unpack_from("!HHIH", packet, at)
            at += 10
            data = packet[at : at + length]
            at += length
            if len(data) != length:
                raise ValueError("the answer is cut short")
            ttl = min(ttl, life)
            if found == kind and length == size:
                family = socket.AF_INET if kind == A else socket.AF_INET6
                addresses.append(socket.inet_ntop(family, data))
    except (struct.error, IndexError):
        raise ValueError("the answer is cut short") from None
    return Answer(tuple(addresses), ttl, flags & 15)


def _skip_name(packet: bytes, at: int) -> int:
    while True:
        length = packet[at]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if not length:
            return at
