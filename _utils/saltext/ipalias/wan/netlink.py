"""Speak netlink: one socket, messages framed and answered, errors in the kernel's own words.

Written for what route failover needs and nothing else: dumps and single changes. See
netlink(7), rtnetlink(7) and linux/netlink.h.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import EffectError

ROUTE, NETFILTER = 0, 12
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
_MULTI_INTERRUPTED, _CAPPED, _ACK_TLVS = 0x10, 0x100, 0x200
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
#: Seconds until an answer that does not come is given up: the kernel answers at once.
ANSWER = 5.0
#: Times that a dump is begun anew because the kernel's list changed under it.
TRIES = 5
NESTED, _KIND = 0x8000, 0x3FFF


class NetlinkError(EffectError):
    """Raise for a request that the kernel refused.

    :param number: errno.
    """

    def __init__(self, what: str, number: int, said: str = "") -> None:
        self.number = number
        name = errno.errorcode.get(number, str(number))
        reason = f"{said} ({name})" if said else f"{os.strerror(number)} ({name})"
        super().__init__(reason, where=what)


class Message(NamedTuple):
    """Hold one message of the kernel: its type, and what follows its header."""

    kind: int
    body: bytes


def attribute(kind: int, data: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    """Return an attribute of 32 bits in the host's order."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a name, with its closing zero."""
    return attribute(kind, os.fsencode(value) + b"\0")


def listed_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes of a message in their order; a damaged rest is left."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            return
        yield kind & _KIND, data[at + 4 : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes of a message by kind; of equal ones the last."""
    return dict(listed_attributes(data))


def number_of(data: bytes | None, missing: int = 0) -> int:
    """Return an attribute's number in the host's order, whatever its width."""
    return missing if data is None else int.from_bytes(data, "little" if _LITTLE else "big")


def text_of(data: bytes | None) -> str:
    """Return an attribute's name without its closing zero."""
    return os.fsdecode((data or b"").partition(b"\0")[0])


_LITTLE = struct.pack("=H", 1) == b"\1\0"


class Netlink:
    """A socket to the kernel.

    :param protocol: `ROUTE` or `NETFILTER`.
    :raises NetlinkError: there is no such protocol here, or no room for a socket.
    """

    def __init__(self, protocol: int = ROUTE) -> None:
        self._seq = 0
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
            )
            self._socket.settimeout(ANSWER)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for option in (_CAP_ACK, _EXT_ACK, _STRICT):
                # Kernels before 4.3, 4.12 and 4.20 lack them: a bare errno, unfiltered dumps.
                with contextlib.suppress(OSError):
                    self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
        except OSError as error:
            raise NetlinkError(f"netlink protocol {protocol}", error.errno or errno.EIO) from error

    def dump(self, kind: int, body: bytes, what: str) -> list[Message]:
        """Return all messages of a list of the kernel's.

        :param what: the list's name, for errors.
        :raises NetlinkError: the kernel does not know it, or refuses.
        """
        for _ in range(TRIES):
            messages, whole = self._answer(self._send(kind, REQUEST | DUMP, body, what), what)
            if whole:
                return messages
        raise NetlinkError(what, errno.EINTR, "changed each time it was read")

    def change(self, kind: int, flags: int, body: bytes, what: str) -> None:
        """Have one thing changed.

        :param flags: `CREATE`, `REPLACE`, `EXCL`; request and acknowledgement are added.
        :raises NetlinkError: refused; nothing was changed.
        """
        self._answer(self._send(kind, REQUEST | ACK | flags, body, what), what)

    def _send(self, kind: int, flags: int, body: bytes, what: str) -> int:
        self._seq += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, flags, self._seq, 0)
        try:
            self._socket.send(header + body)
        except OSError as error:
            # A host that is short of memory: a refusal like any other, and no end of the loop.
            raise NetlinkError(what, error.errno or errno.ENOBUFS) from error
        return self._seq

    def _answer(self, seq: int, what: str) -> tuple[list[Message], bool]:
        """Return the messages that answer a request, and whether they belong together."""
        found: list[Message] = []
        whole = True
        while True:
            try:
                data = self._socket.recv(1 << 17)
            except TimeoutError:
                raise NetlinkError(what, errno.ETIMEDOUT, "no answer of the kernel") from None
            except OSError as error:
                raise NetlinkError(what, error.errno or errno.EIO) from error
            for kind, flags, number_, body in frames(data):
                if number_ != seq:
                    continue  # belongs to a request that was given up
                whole = whole and not flags & _MULTI_INTERRUPTED
                if kind == _DONE:
                    _refuse(body, flags, what, done=True)
                    return found, whole
                if kind == _ERROR:
                    _refuse(body, flags, what)
                    return found, whole
                found.append(Message(kind, body))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, number and body of each message in a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, seq, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, flags, seq, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _refuse(body: bytes, flags: int, what: str, *, done: bool = False) -> None:
    """Raise for an error message with another number than 0.

    An extended acknowledgement has its text in attribute 1, behind the request's own header
    or, without `NETLINK_CAP_ACK`, behind the whole request.
    """
    code = int.from_bytes(body[:4], "little" if _LITTLE else "big", signed=True)
    if code >= 0:
        return
    said = ""
    if flags & _ACK_TLVS:
        at = 4
        if not done:
            length = struct.unpack_from("=I", body, 4)[0]
            at += _HEADER.size if flags & _CAPPED else (length + 3) & ~3
        said = text_of(attributes(body[at:]).get(1))
    raise NetlinkError(what, -code, said)
