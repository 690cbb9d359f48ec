"""Hear from the kernel what changes: carrier, addresses, our routes, rules, nexthops and NAT.

One socket of rtnetlink with the notices and, at the start and after a loss, two dumps on the
same socket, none of which waits: `Listener.synced` tells when links and addresses are known.
Where the kernel had more to say than the socket could hold (ENOBUFS) anything may have been
missed: everything is dumped anew, and a `LOST` notice has the rest looked at as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

from . import notices
from .echoes import attach_filter
from .exchanges import READ
from .model import Numbers
from .netlink import frames
from .notices import Notice, View
from .sockets import Watch

_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
#: RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE, NEXTHOP.
_GROUPS = (1, 5, 7, 8, 9, 11, 19, 32)
_NFT_GROUP = 7
#: A full table's worth of routes that somebody else loads; more is a loss, which is survived.
_RECEIVE_BUFFER = 1 << 22
_SO_RCVBUFFORCE = 33
_DUMPS = (notices.GETLINK, notices.GETADDR)
_OF_VIEW = (notices.NEWLINK, notices.DELLINK, notices.NEWADDR, notices.DELADDR)
#: Notices kept at most; who does not take them learns that some are lost.
_KEPT = 4096
#: Datagrams read at a time: who changes things without end must not keep the loop from deciding.
_READS = 4096


class Listener:
    """Follow the kernel.

    :param numbers: what is ours in it.
    :param nat_table: name of our nftables table, or empty.
    :raises OSError: without netlink.
    """

    def __init__(
        self, watch: Watch, numbers: Numbers, nat_table: str = "", *, receive_buffer: int = 0
    ) -> None:
        self.view = View()
        self.notices: list[Notice] = []
        self._watch = watch
        self._numbers = numbers
        self._tables = range(numbers.table, numbers.default_table + 1)
        self._nat_table = nat_table
        # Notices bear the numbers of who caused them: ours are to be nobody else's.
        self._seq = int.from_bytes(os.urandom(3), "big") << 8
        self._left: list[int] = []
        self._fresh: View | None = None
        self._broken = False
        self._again = False
        program = notices.routes_filter(numbers.protocol)
        self._route = _open(_NETLINK_ROUTE, _GROUPS, receive_buffer or _RECEIVE_BUFFER, program)
        watch.add(self._route.fileno(), READ, self._read_route)
        self._nft: socket.socket | None = None
        if nat_table:
            # Without nf_tables in the kernel there is no table of ours to watch either.
            with contextlib.suppress(OSError):
                self._nft = _open(_NETLINK_NETFILTER, (_NFT_GROUP,), _RECEIVE_BUFFER)
                watch.add(self._nft.fileno(), READ, self._read_nft)
        self.dump()

    @property
    def synced(self) -> bool:
        """Tell whether links and addresses are those of the kernel."""
        return not self._left and self._fresh is None

    def dump(self) -> None:
        """Ask for all links and addresses anew; the view stays until they are here."""
        if self._left:
            self._again = True
            return
        self._left = list(_DUMPS)
        self._fresh, self._broken, self._again = View(), False, False
        self._ask()

    def take(self) -> list[Notice]:
        """Return what has changed since the last call."""
        taken, self.notices = self.notices, []
        return taken

    def close(self) -> None:
        """Close the sockets."""
        for each in (self._route, self._nft):
            if each is not None:
                self._watch.remove(each.fileno())
                each.close()

    # --- reading ---------------------------------------------------------------------------

    def _ask(self) -> None:
        self._seq += 1
        with contextlib.suppress(BlockingIOError):
            self._route.send(notices.render_dump(self._left[0], self._seq))

    def _read_route(self, mask: int) -> None:
        for data in _datagrams(self._route):
            if data is None:
                self._lost()
                continue
            for kind, flags, seq, body in frames(data):
                self._take(kind, flags, seq, body)

    def _read_nft(self, mask: int) -> None:
        assert self._nft is not None
        for data in _datagrams(self._nft):
            if data is None:
                self._note(Notice(notices.LOST))
                continue
            for kind, _, _, body in frames(data):
                if (found := notices.parse_nft(kind, body, self._nat_table)) is not None:
                    self._note(found)

    def _take(self, kind: int, flags: int, seq: int, body: bytes) -> None:
        answer = seq == self._seq and bool(self._left)
        if answer:
            self._broken |= bool(flags & notices.DUMP_INTERRUPTED)
        if kind in (notices.DONE, notices.ERROR):
            if answer:
                self._dumped(failed=kind == notices.ERROR)
        elif kind in _OF_VIEW:
            if self._fresh is not None:
                # Both an entry of the dump and a notice that came meanwhile.
                self._fresh.take(kind, body)
            if not answer and (found := self.view.take(kind, body)) is not None:
                self._note(found)
        else:
            found = notices.parse_routing(kind, body, self._numbers.protocol, self._tables)
            if found is not None:
                self._note(found)

    def _dumped(self, *, failed: bool) -> None:
        self._left.pop(0)
        if self._left and not failed:
            return self._ask()
        again = failed or self._broken or self._again
        self._left = []
        if again:
            return self.dump()
        fresh, self._fresh = self._fresh, None
        assert fresh is not None
        for found in _differences(self.view, fresh):
            self._note(found)
        # The same object, for who follows it.
        self.view.replace(fresh)
        return None

    def _lost(self) -> None:
        # A dump under way is never among what is lost: the kernel waits until there is room
        # for it. A second one meanwhile it would refuse, and may not find room to say so.
        self._note(Notice(notices.LOST))
        self.dump()

    def _note(self, notice: Notice) -> None:
        if notice.kind == notices.LOST and notice in self.notices[-1:]:
            return
        if len(self.notices) >= _KEPT:
            self.notices = [Notice(notices.LOST)]
        self.notices.append(notice)


def _open(
    protocol: int, groups: tuple[int, ...], receive_buffer: int, program: bytes = b""
) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    opened = socket.socket(socket.AF_NETLINK, kind, protocol)
    try:
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.bind((0, 0))
        if program:
            attach_filter(opened, program)
        for group in groups:
            try:
                opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
            except OSError as error:
                # A kernel before 5.3 has no nexthop objects to tell of.
                if error.errno != errno.EINVAL:
                    raise
    except BaseException:
        opened.close()
        raise
    return opened


def _datagrams(opened: socket.socket) -> Iterator[bytes | None]:
    """Yield what a socket holds, or as much as is read at a time; None for a loss."""
    for _ in range(_READS):
        try:
            data, sender = opened.recvfrom(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise OSError(error.errno, os.strerror(error.errno or 0), "netlink") from error
            yield None
            continue
        # Only the kernel speaks here: any process may send to a netlink socket.
        if sender[0] == 0:
            yield data


def _differences(before: View, after: View) -> Iterator[Notice]:
    """Yield what has changed between two views, as the kernel would have said it."""
    for ifindex, link in after.links.items():
        if before.links.get(ifindex) != link:
            yield Notice(notices.LINK, link.name, carrier=link.works)
    for ifindex, link in before.links.items():
        if ifindex not in after.links:
            yield Notice(notices.LINK, link.name, gone=True)
    for ifindex in before.addresses.keys() | after.addresses.keys():
        if before.addresses.get(ifindex, {}) != after.addresses.get(ifindex, {}):
            known = after.links.get(ifindex) or before.links.get(ifindex)
            yield Notice(notices.ADDRESS, known.name if known else "")
