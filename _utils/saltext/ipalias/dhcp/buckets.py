"""Which of the two servers a client is one of, by its hardware address. Pure.

RFC 3074, 6 ("DHC Load Balancing Algorithm"): a Pearson hash over the client identifier, or the
hardware address of a client without one. dhcpd's primary has those below ``split``
(dhcpd.conf(5)); Kea's first server those with an even hash, the second one the odd ones
(``QueryFilter::loadBalance``).
"""

from __future__ import annotations

import random

_TABLE = bytes.fromhex(
    "fbaf77d7510e4fbf6731b58fba9d00e81f20373c983a11edae46a090dc5a39df"
    "3b03128c6fa6cbc486f37c5fdeb3c541b430240f6b2ee982a51e7ba1d1176110"
    "285bdb3d640ad26dfa7f168a1d6cf443cf09b2cc4a627ef9a774224dc1c87905"
    "14714723800db65e19e2e3c74b1b29f5e6e02be1b11a9b96d48eda73f1495869"
    "27723effc0c991d6a89edd949a7a0c5452a32c8be4eccdf2d90bbb929f4056ef"
    "c32a6ac67670b8ac5702ad75b0e5f7fd89b963a466932d42e7348dd3c2cef6ee"
    "386e4ef83ff0bd5d5c3335b713ab48322168654508fc53784c875536ca7dbcd5"
    "60eb88d0a281be849c262f0107fe1804d88359151c8525999550aa4406a9ea97"
)
#: A client of each of these is one of either server's, whichever of the two hashes.
_KINDS = tuple((low, odd) for low in (True, False) for odd in (True, False))


def bucket(key: bytes) -> int:
    """Return a client's hash, 0 to 255.

    :param key: client identifier, or hardware address.
    """
    found = len(key)
    for byte in reversed(key):
        found = _TABLE[found ^ byte]
    return found


def mac_by_chance(chance: random.Random) -> str:
    """Return a hardware address of those that no maker gives out (IEEE 802, local, one)."""
    return (b"\x02" + chance.getrandbits(40).to_bytes(5, "big")).hex(":")


def spread_macs(count: int, chance: random.Random) -> list[str]:
    """Return hardware addresses, as many of one server's clients as of the other's.

    By chance alone all could be one server's, and a Kea counts the other one as dead only when
    enough of that one's clients are not served.
    """
    found: dict[str, None] = {}
    while len(found) < count:
        mac = mac_by_chance(chance)
        key = bucket(bytes.fromhex(mac.replace(":", "")))
        if (key < 128, key % 2 == 1) == _KINDS[len(found) % len(_KINDS)]:
            found[mac] = None
    return list(found)
