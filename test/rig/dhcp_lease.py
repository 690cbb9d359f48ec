"""A DHCP server for one segment (RFC 2131, 2132; standard library only).

dhcp_lease.py INTERFACE SERVER

It leases 192.0.2.N to the hardware address 02:00:00:00:H:L with N of its last two bytes, to no
other one, and says a line for each: ``leased N`` or ``renewed N``.
"""

from __future__ import annotations

import socket
import struct
import sys

SO_BINDTODEVICE = 25
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
#: Seconds: the lease, and after how many it is renewed.
LEASE, RENEW, REBIND = 60, 6, 50


def options_of(data: bytes) -> dict[int, bytes]:
    """Return the options behind the cookie."""
    found, at = {}, 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        size = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + size]
        at += 2 + size
    return found


def answer(data: bytes, kind: int, number: int, server: str) -> bytes:
    """Return the answer to a message."""
    me, yours = socket.inet_aton(server), socket.inet_aton(f"192.0.2.{number}")
    options = {
        53: bytes([kind]),
        54: me,
        51: struct.pack("!I", LEASE),
        58: struct.pack("!I", RENEW),
        59: struct.pack("!I", REBIND),
        1: bytes([255, 255, 255, 0]),
        3: me,
    }
    # The header up to the hardware address, then the names, which are empty.
    head = b"\2" + data[1:4] + data[4:8] + bytes(2) + data[10:12] + data[12:16]
    body = head + yours + me + data[24:28] + data[28:44] + bytes(192) + b"\x63\x82\x53\x63"
    rows = b"".join(bytes([key, len(value)]) + value for key, value in options.items())
    return body + rows + b"\xff"


def main() -> None:
    """Answer until the end."""
    interface, server = sys.argv[1:]
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode() + b"\0")
    made.bind(("", 67))
    print("ready", flush=True)
    while True:
        data, _ = made.recvfrom(2048)
        if len(data) < 241 or data[0] != 1:
            continue
        kind = options_of(data).get(53, b"\0")[0]
        number = int.from_bytes(data[32:34], "big")
        if kind not in (DISCOVER, REQUEST) or not 0 < number < 255:
            continue
        renewing = data[12:16] != bytes(4)
        to = socket.inet_ntoa(data[12:16]) if renewing else "255.255.255.255"
        made.sendto(answer(data, OFFER if kind == DISCOVER else ACK, number, server), (to, 68))
        if kind == REQUEST:
            print("renewed" if renewing else "leased", number, flush=True)


main()
