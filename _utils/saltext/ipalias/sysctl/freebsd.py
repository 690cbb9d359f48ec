"""FreeBSD: sysctl(8) and sysctl.conf(5); rc.d/sysctl reads sysctl.conf.local behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import InputError
from ..host import Host
from . import Lasting, bsd
from .bsd import (
    change,
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
#: rc.d/sysctl, sysctl_start.
FILES = (bsd.CONF, "/etc/sysctl.conf.local")


def check(host: Host, keys: Mapping[str, str]) -> None:
    """Refuse what this kernel does not have, or takes from the loader alone.

    ``-W`` shows what can be written while the system runs, sysctl(8); a release that does not
    know it refuses the write itself.

    :raises InputError: no such setting, or one of the loader's.
    """
    bsd.check(host, keys)
    for key, where in keys.items():
        shown = host.run(("sysctl", "-NW", key))
        if shown.code == 0 and not shown.out.strip():
            raise InputError(
                f"{key} cannot be set while the system runs",
                where=where,
                way_out="one that the loader sets goes into /boot/loader.conf, loader.conf(5)",
            )


def read_lasting(host: Host, keys: Iterable[str]) -> dict[str, Lasting]:
    """Return what sets each key at boot; ``sysctl -f`` takes a colon for an equals sign."""
    return bsd.read_lasting(host, keys, FILES, "=:")
