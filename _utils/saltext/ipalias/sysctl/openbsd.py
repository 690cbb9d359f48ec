"""OpenBSD: sysctl(8) and sysctl.conf(5), which rc(8) gives to it before the network starts."""

from __future__ import annotations

from collections.abc import Iterable

from ..host import Host
from . import Lasting, bsd
from .bsd import (
    change,
    check,
    fallback,
    interface_of,
    notes,
    parse_key,
    parse_value,
    read_ours,
    read_values,
    render,
    spread,
)

__all__ = [
    "STORED",
    "change",
    "check",
    "fallback",
    "interface_of",
    "notes",
    "parse_key",
    "parse_value",
    "read_lasting",
    "read_ours",
    "read_values",
    "render",
    "spread",
]

STORED = False


def read_lasting(host: Host, keys: Iterable[str]) -> dict[str, Lasting]:
    """Return what sets each key at boot."""
    return bsd.read_lasting(host, keys, (bsd.CONF,), "=")
