"""The kernel's tables of sockets on Linux: ``/proc/net/tcp`` and the like, proc_net_tcp(5)."""

from __future__ import annotations

import ipaddress
import sys


def parse_address(digits: str) -> str:
    """Return an address: words of 32 bits in the machine's byte order, in hexadecimal.

    An IPv4 connection of an IPv6 socket comes with its IPv4 address.
    """
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    data = b"".join(words)
    if len(data) == 4:
        return str(ipaddress.IPv4Address(data))
    six = ipaddress.IPv6Address(data)
    return str(six.ipv4_mapped or six)
