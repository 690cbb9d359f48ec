"""Interfaces as they come, go and change their names: rtnetlink's messages, and what is new.

Pure; `listener` reads the socket. Formats: netlink(7), rtnetlink(7).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

NEWLINK, DELLINK, GETLINK = 16, 17, 18
DONE, ERROR = 3, 2
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_IFNAME = 3
#: NLM_F_REQUEST | NLM_F_DUMP
_DUMP = 0x1 | 0x300
#: Bridges tell of their ports under a family of their own; that is no interface's coming.
_UNSPEC = 0


class LinkEvent(NamedTuple):
    """Hold what one message says.

    :param kind: `NEWLINK`, `DELLINK`, `DONE` or `ERROR`.
    :param number: the interface's index, which a renaming leaves as it is.
    """

    kind: int
    number: int = 0
    name: str = ""


def dump_request(sequence: int) -> bytes:
    """Return the message that asks for all interfaces."""
    body = _LINK.pack(_UNSPEC, 0, 0, 0, 0)
    return _HEADER.pack(_HEADER.size + len(body), GETLINK, _DUMP, sequence, 0) + body


def parse_messages(data: bytes) -> Iterator[LinkEvent]:
    """Yield what one datagram says of interfaces; what is cut off or foreign is left out."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        if kind in (DONE, ERROR):
            yield LinkEvent(kind)
        elif kind in (NEWLINK, DELLINK):
            event = _parse_link(kind, data[at + _HEADER.size : at + length])
            if event is not None:
                yield event
        at += length + 3 & ~3


def _parse_link(kind: int, body: bytes) -> LinkEvent | None:
    if len(body) < _LINK.size:
        return None
    family, _, index, _, _ = _LINK.unpack_from(body)
    if family != _UNSPEC:
        return None
    at = _LINK.size
    while at + _ATTRIBUTE.size <= len(body):
        length, attribute = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            return None
        if attribute == _IFNAME:
            raw = body[at + _ATTRIBUTE.size : at + length]
            return LinkEvent(kind, index, raw.split(b"\0")[0].decode("utf-8", "surrogateescape"))
        at += length + 3 & ~3
    return None


class Links:
    """Remember which interfaces have been set, and which are still to be.

    Each is set once under each name: what somebody changes by hand later is theirs. Where a
    setting was not there yet, as those of IPv6 below its smallest MTU or in the middle of a
    renaming, it is tried a few times, and again whenever something is said of the interface.

    :param tries: how often one that is incomplete is tried without being heard of.
    """

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._names: dict[int, str] = {}
        self._incomplete: set[str] = set()
        self._left: dict[str, int] = {}

    def take(self, event: LinkEvent) -> str | None:
        """Return the name of the interface that an event asks to be set."""
        if event.kind == DELLINK:
            gone = self._names.pop(event.number, "")
            self._incomplete.discard(gone)
            self._left.pop(gone, None)
        elif event.kind == NEWLINK:
            before = self._names.get(event.number)
            self._names[event.number] = event.name
            if before != event.name:
                if before is not None:
                    self._incomplete.discard(before)
                    self._left.pop(before, None)
                self._left[event.name] = self._tries
                return event.name
            if event.name in self._incomplete:
                return event.name
        return None

    def done(self, name: str, *, whole: bool) -> None:
        """Note that an interface was set, whole or not."""
        left = self._left.pop(name, 0) - 1
        if whole:
            self._incomplete.discard(name)
        else:
            self._incomplete.add(name)
            if left > 0:
                self._left[name] = left

    @property
    def waiting(self) -> list[str]:
        """Return the interfaces to be tried again without being heard of."""
        return list(self._left)
