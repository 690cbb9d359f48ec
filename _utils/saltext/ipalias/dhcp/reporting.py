"""The minion's own configuration for the beacon of a pair; `wan.reporting` has the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wan.reporting import Reporting, read

BEACON = "ipalias_dhcp"
FILE = "ipalias_dhcp.conf"


def reporting(wanted: bool) -> Reporting:
    """Return what the minion's configuration shall be."""
    return Reporting({"beacons": {BEACON: beacon_of()}} if wanted else {}, None)


def beacon_of() -> list[dict[str, Any]]:
    """Return the beacon's settings."""
    return [{"interval": 1}]


def changes(wanted: Reporting, folder: str) -> Mapping[str, tuple[str, str | None]]:
    """Return the file that differs: path → text now and text to be (None: none)."""
    path = f"{folder}/{FILE}"
    before = read(path)
    return {path: (before, wanted.text)} if before != (wanted.text or "") else {}
