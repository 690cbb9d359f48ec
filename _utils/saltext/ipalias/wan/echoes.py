"""Echo requests of both families, and questions for hardware addresses, on sockets shared by all.

One raw socket a family carries the echo requests of every line: mark, source and interface
go with each packet as control messages (`sources.pktinfo4` tells which and why). A filter in
the kernel lets nothing through but what answers us. Ping sockets would do without the right
to raw ones, but depend on ``net.ipv4.ping_group_range``.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..probe import ETH_ARP, mac_text, render_probe
from . import icmp
from .exchanges import SO_MARK, SO_TIMESTAMPNS, Out, parse_stamp
from .sources import packed, pktinfo4, pktinfo6, unpacked

_SO_ATTACH_FILTER = getattr(socket, "SO_ATTACH_FILTER", 26)
_IP_PKTINFO = 8
_IPV6_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 50, 49, 51, 52
_ICMP6_FILTER = 1
_RECEIVE_BUFFER = 1 << 20
_CONTROL = 256
#: Packets read at a time: more than a socket's buffer can hold, so that all is read that was
#: there, and no more than that of somebody who sends without end.
_READS = 8192
#: ARP replies only: the operation is 2 (of a frame with its Ethernet head).
_ARP_REPLIES = icmp.assemble([("", 0x28, 20, "", ""), ("", icmp.JUMP_IF_EQUAL, 2, "take", "drop")])
_SOLICITED = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13]


class Arrival(NamedTuple):
    """Hold what came in.

    :param stamp: the kernel's wall clock; None: it gave none.
    :param sender: address of who sent it.
    :param ifindex: interface, of a neighbour's answer.
    """

    heard: icmp.Heard
    stamp: float | None
    sender: str
    ifindex: int = 0


def attach_filter(opened: socket.socket, program: bytes) -> None:
    """Have the kernel keep from a socket what a filter does not let through (socket(7)).

    What came in between opening and this is taken out, so that nothing unfiltered is left.
    """
    buffer = array.array("B", program)
    head = struct.pack("@HP", len(program) // 8, buffer.buffer_info()[0])
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
    with contextlib.suppress(BlockingIOError):
        while opened.recv(icmp.LONGEST, socket.MSG_DONTWAIT):
            pass


def _opened(family: int, kind: int, protocol: int, program: bytes) -> socket.socket:
    flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    made = socket.socket(family, kind | flags, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        attach_filter(made, program)
    except BaseException:
        made.close()
        raise
    return made


class Echoes:
    """Hold the raw sockets.

    :param families: of which there are echo targets.
    :param arp: ask for hardware addresses of IPv4.
    :param neighbours: ask for those of IPv6.
    :raises OSError: without the right to raw sockets.
    """

    def __init__(
        self, families: frozenset[int], *, arp: bool = False, neighbours: bool = False
    ) -> None:
        ident = int.from_bytes(os.urandom(2), "big") & 0xFFFF & ~icmp.TURNS
        self.echo = icmp.Echo(ident, os.urandom(8))
        self._cmsg_mark = True
        self._mark = dict.fromkeys((4, 6), 0)
        self.sockets: dict[int, socket.socket] = {}
        self.arp: socket.socket | None = None
        try:
            if 4 in families:
                self.sockets[4] = _opened(
                    socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, icmp.filter4(ident)
                )
            if 6 in families or neighbours:
                self.sockets[6] = self._open6(ident, neighbours)
            if arp:
                self.arp = _opened(
                    socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ARP), _ARP_REPLIES
                )
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _open6(ident: int, neighbours: bool) -> socket.socket:
        program = icmp.filter6(ident, neighbours=neighbours)
        made = _opened(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6, program)
        types = icmp.types6(neighbours=neighbours)
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, types)
        if neighbours:
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        return made

    def prepare(self, out: Out) -> list[tuple[int, int, bytes]]:
        """Return the control messages of packets over a line, to be used again and again."""
        mark = (socket.SOL_SOCKET, SO_MARK, struct.pack("=I", out.mark))
        if out.family == 6:
            info = (socket.IPPROTO_IPV6, _IPV6_PKTINFO, pktinfo6(out.source, out.ifindex))
        else:
            info = (socket.IPPROTO_IP, _IP_PKTINFO, pktinfo4(out.source))
        return [info, mark]

    def send(self, out: Out, control: Any, address: str, seq: int, turn: int) -> None:
        """Send one echo request.

        :raises OSError: as the system says.
        """
        sender = self.sockets[out.family]
        packet = self.echo.render(out.family, seq, turn)
        if self._cmsg_mark:
            try:
                sender.sendmsg((packet,), control, 0, (address, 0))
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Before Linux 4.7 no control message for the mark: the socket has it then.
                self._cmsg_mark = False
        if self._mark[out.family] != out.mark:
            sender.setsockopt(socket.SOL_SOCKET, SO_MARK, out.mark)
            self._mark[out.family] = out.mark
        sender.sendmsg((packet,), control[:1], 0, (address, 0))

    def ask_arp(self, out: Out, mac: bytes, address: str) -> None:
        """Ask a segment for the hardware address of an IPv4 neighbour.

        :raises OSError: as the system says.
        """
        assert self.arp is not None
        frame = render_probe(mac_text(mac), address, out.source)
        self.arp.sendto(frame, (out.interface, ETH_ARP))

    def ask_neighbour(self, out: Out, mac: bytes, address: str) -> None:
        """Solicit the hardware address of an IPv6 neighbour (RFC 4861, section 4.3).

        :raises OSError: as the system says.
        """
        target = packed(address)
        body = struct.pack("!BBHI", 135, 0, 0, 0) + target + struct.pack("!BB", 1, 1) + mac
        group = unpacked(_SOLICITED + target[13:])
        control = [
            (socket.IPPROTO_IPV6, _IPV6_PKTINFO, pktinfo6(out.source, out.ifindex)),
            (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT, struct.pack("=i", 255)),
        ]
        self.sockets[6].sendmsg((body,), control, 0, (group, 0, 0, out.ifindex))

    def arrivals(self, family: int) -> Iterator[Arrival]:
        """Yield what has come in on a family's raw socket, until there is no more."""
        for packet, control, sender in _datagrams(self.sockets[family]):
            if family == 4:
                heard = self.echo.parse4(packet)
            elif packet[:1] == bytes([icmp.ADVERTISEMENT6]):
                if (found := _advertised(packet, control)) is not None:
                    yield found
                continue
            else:
                heard = self.echo.parse6(packet, sender[0])
            if heard is not None:
                yield Arrival(heard, _stamp(control), sender[0].partition("%")[0])

    def replies(self) -> Iterator[Arrival]:
        """Yield the ARP replies that have come in; `sender` is who has told its address."""
        assert self.arp is not None
        for frame, control, where in _datagrams(self.arp):
            with contextlib.suppress(OSError):  # an interface that has just gone
                if len(frame) >= 42:
                    sender, index = unpacked(frame[28:32]), socket.if_nametoindex(where[0])
                    yield Arrival(icmp.Heard(0), _stamp(control), sender, index)

    def close(self) -> None:
        """Close the sockets."""
        for each in (*self.sockets.values(), self.arp):
            if each is not None:
                each.close()


def _datagrams(
    receiver: socket.socket,
) -> Iterator[tuple[bytes, list[tuple[int, int, bytes]], Any]]:
    """Yield what a socket held when this began."""
    errors = 0
    for _ in range(_READS):
        if errors == 16:
            return
        try:
            packet, control, _, sender = receiver.recvmsg(icmp.LONGEST, _CONTROL)
        except BlockingIOError:
            return
        except OSError:
            # Told once each: a link went down, a router complained of an earlier packet.
            errors += 1
            continue
        yield packet, control, sender


def _stamp(control: list[tuple[int, int, bytes]]) -> float | None:
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            return parse_stamp(data)
    return None


def _advertised(packet: bytes, control: list[tuple[int, int, bytes]]) -> Arrival | None:
    """Return who an advertisement is of; one that came over a router is none."""
    index = limit = 0
    for level, kind, data in control:
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
            [index] = struct.unpack_from("=i", data, 16)
        elif level == socket.IPPROTO_IPV6 and kind == _IPV6_HOPLIMIT:
            [limit] = struct.unpack("=i", data)
    if limit != 255 or len(packet) < 24:
        return None
    return Arrival(icmp.Heard(0), _stamp(control), unpacked(packet[8:24]), index)
