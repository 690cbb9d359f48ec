"""The files that set Linux's kernel settings at boot, read by the rules of who reads them.

Pure. Three readers differ: systemd-sysctl(8), ``sysctl --system`` of procps (OpenRC, sysvinit,
runit), and a boot that reads /etc/sysctl.conf alone. Formats: sysctl.d(5), sysctl.conf(5).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..host import Host
from ..text.blocks import find_block, split_lines
from . import Assignment, Lasting
from .keys import normalize

SYSTEMD, PROCPS, PLAIN = "systemd", "procps", "plain"
#: A file of the first folder hides one of the same name in a later one. systemd-sysctl of a
#: system whose /lib is not /usr/lib, and procps, look there as well.
FOLDERS = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
CONF = "/etc/sysctl.conf"
#: Sorts behind what others call last: 99-sysctl.conf, 999-*, 1000-*, and most names in letters.
OURS = "/etc/sysctl.d/zz-ipalias.conf"
BLOCK = "sysctl"

#: Writing the first writes the same into the second: the kernel's devinet.c
#: (inet_forward_change) and addrconf.c (addrconf_fixup_forwarding, addrconf_disable_ipv6).
_SPREAD: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/*/forwarding"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/conf/*/forwarding"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/ip_forward"),
    ("net/ipv6/conf/all/forwarding", "net/ipv6/conf/*/forwarding"),
    ("net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/*/disable_ipv6"),
)
#: Likewise, but another value (inet_forward_change).
_CHANGED: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/conf/all/accept_redirects"),
)
_GLOB = re.compile(r"[*?\[]")


class Line(NamedTuple):
    """Hold one line that a reader takes.

    :param pattern: path below /proc/sys, maybe with wildcards.
    :param written: the name as it stands.
    :param value: None for ``-NAME``, which excludes.
    """

    path: str
    line: int
    pattern: str
    written: str
    value: str | None
    ours: bool


def reader_of(host: Host) -> str:
    """Return who reads the files at boot: `SYSTEMD`, `PROCPS` or `PLAIN`."""
    if host.exists("/run/systemd/system"):
        return SYSTEMD
    return PROCPS if host.exists("/etc/sysctl.d") else PLAIN


def files_read(host: Host, reader: str) -> list[str]:
    """Return the files that a reader reads, in its order."""
    if reader == PLAIN:
        return [CONF]
    by_name: dict[str, str] = {}
    for folder in FOLDERS:
        for path in host.glob(f"{folder}/*.conf"):
            by_name.setdefault(posixpath.basename(path), path)
    ordered = sorted(by_name, key=lambda name: name.encode("utf-8", "surrogateescape"))
    # systemd-sysctl reads /etc/sysctl.conf only where a distribution links to it (Debian 12).
    return [by_name[name] for name in ordered] + ([CONF] if reader == PROCPS else [])


def parse_lines(text: str, path: str, *, ours: bool = False) -> Iterator[Line]:
    """Yield the lines of a file that set or exclude something.

    What is neither is what its reader warns of and ignores.

    :raises ParseError: our block has lost its other end.
    """
    block = None if ours else find_block(text, BLOCK, path)
    for number, whole in enumerate(split_lines(text), 1):
        line = whole.strip()
        if not line or line[0] in "#;":
            continue
        name, sign, value = line.partition("=")
        if not sign and not name.startswith("-"):
            continue
        written = name.removeprefix("-").strip()
        inside = block is not None and block.first < number - 1 < block.last
        taken = value.strip() if sign else None
        yield Line(path, number, normalize(written), written, taken, ours or inside)


def read_lines(host: Host, reader: str) -> list[Line]:
    """Return all lines of a host, in the order in which its reader comes to them."""
    found: list[Line] = []
    for path in files_read(host, reader):
        text = host.read(path)
        if text is not None:
            found += parse_lines(text, path, ours=path == OURS)
    return found


def lasting(lines: Sequence[Line], key: str, reader: str) -> Lasting:
    """Return what sets one key at boot.

    A line that names the key beats every line with wildcards, wherever it stands; of several,
    the last one stands. For systemd an exclusion that comes last keeps even a line that names
    it from being written, for procps it stops wildcards alone.
    """
    target = normalize(key)
    named = [line for line in lines if line.pattern == target]
    globs = [line for line in lines if _is_glob(line) and _matches(line.pattern, target)]
    assignments = tuple(
        Assignment(line.path, line.line, line.written, line.value, line.ours)
        for line in lines
        if line in named or line in globs or _spreads(line, target)
    )
    written = list(_writes(lines, named, globs, target, reader))
    last = written[-1] if written else None
    winner = None
    if last is not None:
        winner = Assignment(last.path, last.line, last.written, last.value, last.ours)
    return Lasting(assignments, winner)


def _writes(
    lines: Sequence[Line],
    named: Sequence[Line],
    globs: Sequence[Line],
    target: str,
    reader: str,
) -> Iterable[Line]:
    """Return the lines by which a boot writes a key, in the order of writing."""
    if reader == SYSTEMD:
        # One entry a name: the last line with another value takes the place of those before.
        named = named[-1:]
        if named and named[0].value is None:
            return [line for line in lines if _spreads(line, target)] + [*named]
    chosen = [line for line in named if line.value is not None]
    excluded = bool(named) or any(_matches(line.pattern, target) for line in _excluding(lines))
    if not excluded:
        chosen = [line for line in globs if line.value is not None]
    return [line for line in lines if line in chosen or _spreads(line, target)]


def _excluding(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.value is None]


def _is_glob(line: Line) -> bool:
    return _GLOB.search(line.pattern) is not None


def _matches(pattern: str, path: str) -> bool:
    """Tell whether glob(7) on /proc/sys would find a path by a pattern."""
    wanted, parts = pattern.replace("[^", "[!").split("/"), path.split("/")
    return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))


def written_along(path: str) -> list[str]:
    """Return the patterns of what the kernel writes along with a setting."""
    pairs = (*_SPREAD, ("net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"), *_CHANGED)
    return [reached for source, reached in pairs if source == path]


def _spreads(line: Line, target: str) -> bool:
    """Tell whether the kernel writes a setting along with the one that a line names."""
    return line.value is not None and any(
        line.pattern == source and _matches(reached, target) and target != source
        for source, reached in _SPREAD
    )
