"""Forget the flows of one line, and no other: connection tracking by netlink.

``conntrack -D --mark`` without the tool, which is not installed by default. Format:
linux/netfilter/nfnetlink_conntrack.h; a deletion without a tuple takes every flow that
mark and mask select (ctnetlink_flush_conntrack).
"""

from __future__ import annotations

import errno
import socket
import struct

from . import netlink
from .model import Numbers
from .netlink import Netlink, NetlinkError

_DELETE = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_GET = (1 << 8) | 1
_MARK, _MARK_MASK = 8, 21
_FAMILY = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}


def flush_flows(sockets: Netlink, numbers: Numbers, index: int, family: int) -> None:
    """Forget the flows of a line: a packet of one that lives on begins a new flow.

    The family is honoured by kernels from 5.3 on; an older one forgets both families of the
    uplink, which costs the living one no more than a new entry and, where it is translated,
    another port.

    :param sockets: of the protocol `netlink.NETFILTER`.
    :raises NetlinkError: refused; connection tracking that is not loaded has no flows.
    """
    # A version other than 0 says that the family is meant.
    body = struct.pack("=BBH", _FAMILY[family], 1, 0) + _selected(numbers, index)
    what = f"flows marked {numbers.mark(index):#x}/{numbers.mask:#x}"
    try:
        sockets.change(_DELETE, 0, body, what)
    except NetlinkError as error:
        if error.number != errno.ENOENT:
            raise


def count_flows(sockets: Netlink, numbers: Numbers, index: int, family: int) -> int:
    """Return how many flows a line has."""
    body = struct.pack("=BBH", _FAMILY[family], 0, 0) + _selected(numbers, index)
    return len(sockets.dump(_GET, body, "flows"))


def _selected(numbers: Numbers, index: int) -> bytes:
    """Return mark and mask in network order, as connection tracking has them."""
    mark = netlink.attribute(_MARK, struct.pack("!I", numbers.mark(index)))
    return mark + netlink.attribute(_MARK_MASK, struct.pack("!I", numbers.mask))
