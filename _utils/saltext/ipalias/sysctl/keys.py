"""Names and values of Linux's settings under /proc/sys; see sysctl.d(5), sysctl(8).

The first separator of a name tells what it is: after a slash, slashes separate and dots
belong to a part; after a dot it is the other way round. Canonical here: dots, unless a part
has dots of its own.
"""

from __future__ import annotations

import re

from ..errors import InputError
from ..values import is_interface, short
from . import parse_text

#: Folders below ``net`` with a folder for each interface, and one called ``default``.
_BY_INTERFACE = (
    ("net", "ipv4", "conf"),
    ("net", "ipv4", "neigh"),
    ("net", "ipv6", "conf"),
    ("net", "ipv6", "neigh"),
    ("net", "mpls", "conf"),
)
#: Names in these folders that are no interface's.
_NO_INTERFACE = ("all", "default")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,63}")
_MOST_PARTS = 12
#: Numbers, names, lists, paths, and the pattern of a core file, core(5).
_VALUE = re.compile(r"[A-Za-z0-9_.,:/%|@+=() \t-]+")
#: Longest value: a page, which is what the kernel takes.
_LONGEST = 4000


def normalize(name: str) -> str:
    """Return a name as a path below /proc/sys, wildcards and all."""
    first = next((sign for sign in name if sign in "./"), "/")
    if first == ".":
        name = name.translate({ord("."): "/", ord("/"): "."})
    return "/".join(part for part in name.split("/") if part)


def canonical(path: str) -> str:
    """Return the key of a path below /proc/sys."""
    return path if "." in path else path.replace("/", ".")


def proc_path(key: str) -> str:
    """Return where a canonical key lies."""
    return f"/proc/sys/{normalize(key)}"


def split_interface(key: str) -> tuple[str, str, str] | None:
    """Return folder, interface and name of an interface's setting; None for any other."""
    parts = normalize(key).split("/")
    if len(parts) == 5 and tuple(parts[:3]) in _BY_INTERFACE and parts[3] not in _NO_INTERFACE:
        return "/".join(parts[:3]), parts[3], parts[4]
    return None


def parse_key(key: str, where: str) -> str:
    """Return a key in canonical form.

    :raises InputError: not the name of one setting.
    """
    way_out = "write it as `sysctl -a` does; an interface with dots as net/ipv4/conf/eth0.10/…"
    if any(sign in key for sign in "*?[]{}"):
        raise InputError(
            f"{short(key)} has wildcards",
            where=where,
            way_out="name each interface, or `all` where the kernel has it",
        )
    path = normalize(key)
    parts = path.split("/")
    if not 2 <= len(parts) <= _MOST_PARTS or not all(map(_PART.fullmatch, parts)):
        raise InputError(f"{short(key)} is not a kernel setting", where=where, way_out=way_out)
    by_interface = split_interface(path)
    if by_interface is not None and not is_interface(by_interface[1]):
        raise InputError(
            f"{short(by_interface[1])} in {short(key)} is not an interface name",
            where=where,
            way_out=way_out,
        )
    return canonical(path)


def parse_value(value: object, where: str) -> str:
    """Return a value as the kernel takes it: words with one blank between them.

    :raises InputError: no text or number of one line; signs that no setting needs and a shell,
        or whoever reads the files, might take for more.
    """
    text = parse_text(value, where, "write 0 or 1").strip(" \t")
    if not 0 < len(text) <= _LONGEST or not _VALUE.fullmatch(text):
        raise InputError(
            f"{short(value)} is not one line of printable characters without quotes, $, ; and"
            " their like",
            where=where,
        )
    return " ".join(text.split())
