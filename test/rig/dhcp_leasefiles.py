"""Who has which address by a server's own file; not read with the product's reader."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable


def parse_isc(text: str) -> dict[str, str]:
    """Return hardware addresses by addresses in use, dhcpd.leases(5): the last word counts."""
    held: dict[str, str] = {}
    for address, body in re.findall(r"^lease (\S+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        state = re.search(r"^\s*binding state (\S+);", body, re.MULTILINE)
        mac = re.search(r"^\s*hardware ethernet (\S+);", body, re.MULTILINE)
        held.pop(address, None)
        if state and state[1] == "active" and mac:
            held[address] = mac[1]
    return held


def parse_kea(texts: Iterable[str], now: float) -> dict[str, str]:
    """Return the same by Kea's memfile: a line of CSV for each word on an address.

    :param texts: its files, the older ones first.
    :param now: seconds since 1970.
    """
    held: dict[str, str] = {}
    for text in texts:
        for row in csv.DictReader(text.splitlines()):
            if None in row.values():
                continue  # the last line is being written
            held.pop(row["address"], None)
            alive = float(row["expire"]) > now and int(row["valid_lifetime"]) > 0
            if row["state"] == "0" and alive:
                held[row["address"]] = row["hwaddr"]
    return held
