"""The files that set Linux's kernel settings at boot, read by the rules of who reads them.

Pure. Three readers differ: systemd-sysctl(8), ``sysctl --system`` of procps (OpenRC, sysvinit,
runit), and a boot that reads /etc/sysctl.conf alone. Formats: sysctl.d(5), sysctl.conf(5).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
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
#: How it begins: without that it is somebody else's.
MARK = "# Written by the ipalias formula"
BLOCK = "sysctl"
#: An empty file here, or a link to /dev/null, masks what reads the files; systemd.unit(5).
MASKS = tuple(f"{folder}/systemd/system/systemd-sysctl.service" for folder in ("/etc", "/run"))

#: Writing the first writes the same into the second: the kernel's devinet.c
#: (inet_forward_change) and addrconf.c (addrconf_fixup_forwarding, addrconf_disable_ipv6).
_SPREAD: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/*/forwarding"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/conf/*/forwarding"),
    ("net/ipv6/conf/all/forwarding", "net/ipv6/conf/*/forwarding"),
    ("net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/*/disable_ipv6"),
)
#: Two names of one setting.
_SAME: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/ip_forward"),
)
#: Writing the first writes another value into the second (inet_forward_change).
_CHANGED: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects"),
    ("net/ipv4/conf/all/forwarding", "net/ipv4/conf/all/accept_redirects"),
)
_GLOB = re.compile(r"[*?\[]")
#: What ends a line beside a line feed: systemd takes a carriage return and a zero byte as well
#: (src/basic/fileio.c, ``read_line_full``), the C library's readers only the line feed.
_ENDS = {
    SYSTEMD: re.compile(r"[\r\0]"),
    PROCPS: re.compile(r"(?!)"),
    PLAIN: re.compile(r"(?!)"),
}


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
    if reader == SYSTEMD and any(host.read(path) == "" for path in MASKS):
        return []
    by_name: dict[str, str] = {}
    # procps takes hidden files for files.
    names = ("*.conf",) if reader == SYSTEMD else ("*.conf", ".*.conf")
    for folder in FOLDERS:
        for path in (path for name in names for path in host.glob(f"{folder}/{name}")):
            by_name.setdefault(posixpath.basename(path), path)
    ordered = sorted(by_name, key=lambda name: name.encode("utf-8", "surrogateescape"))
    # systemd-sysctl reads /etc/sysctl.conf only where a distribution links to it (Debian 12).
    return [by_name[name] for name in ordered] + ([CONF] if reader == PROCPS else [])


def parse_lines(
    text: str, path: str, *, ours: bool = False, ends: re.Pattern[str] = _ENDS[PROCPS]
) -> Iterator[Line]:
    """Yield the lines of a file that set or exclude something.

    What is neither is what its reader warns of and ignores.

    :param ends: what ends a line for the reader beside a line feed.
    :raises ParseError: our block has lost its other end.
    """
    block = None if ours else find_block(text, BLOCK, path)
    listed = enumerate(split_lines(text), 1)
    for number, part in ((number, part) for number, whole in listed for part in ends.split(whole)):
        line = part.strip()
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
            ours = path == OURS and text.startswith(MARK)
            found += parse_lines(text, path, ours=ours, ends=_ENDS[reader])
    return found


def lasting(lines: Sequence[Line], key: str, reader: str) -> Lasting:
    """Return what sets one key at boot.

    A line that names the key beats every line with wildcards, wherever it stands; of several,
    the last one stands. For systemd an exclusion that comes last keeps even a line that names
    it from being written, for procps it stops wildcards alone.
    """
    target = normalize(key)
    targets = (target, *(other for name, other in _SAME if name == target))
    sources = () if len(targets) > 1 else _written_by(target)
    named = {line.pattern for line in lines if not _is_glob(line.pattern)}
    about = [
        line
        for line in lines
        if _matches(line.pattern, target)
        or (
            line.value is not None
            and any(_matches(line.pattern, path) for path in (*targets, *sources))
        )
    ]
    last: Line | None = None
    passed_on = "0"
    # IPv4 writes others along only with a value that is new, IPv6 with each (devinet.c,
    # devinet_sysctl_forward; addrconf.c, addrconf_fixup_forwarding and addrconf_disable_ipv6).
    # systemd writes none that is there already (WRITE_STRING_FILE_SUPPRESS_REDUNDANT_VIRTUAL).
    new_alone = reader == SYSTEMD or target.startswith("net/ipv4/")
    for line in _entries(lines, reader):
        writes = partial(_writes, line, named=named)
        if line.value is None:
            continue
        if any(map(writes, sources)) and (line.value != passed_on or not new_alone):
            last, passed_on = line, line.value
        if any(map(writes, targets)):
            last = line
    if last is None:
        kept = [line for line in about if line.pattern == target and line.value is None]
        last = kept[-1] if kept else None
    winner = _assignment(last) if last is not None else None
    return Lasting(tuple(map(_assignment, about)), winner)


def _entries(lines: Sequence[Line], reader: str) -> Iterable[Line]:
    """Return the lines that a reader comes to write, in its order.

    systemd has one entry a name: a line with another value takes the place of the one before,
    at the end; one with the same value changes nothing. procps writes every line.
    """
    if reader != SYSTEMD:
        return lines
    entries: dict[str, Line] = {}
    for line in lines:
        known = entries.get(line.pattern)
        if known is None or known.value != line.value:
            entries.pop(line.pattern, None)
            entries[line.pattern] = line
    return entries.values()


def _writes(line: Line, path: str, named: Collection[str]) -> bool:
    """Tell whether a line has a path written.

    An exclusion with wildcards of its own keeps nothing from being written: so it is with
    systemd, and with procps up to 4.0.4.
    """
    if not _is_glob(line.pattern):
        return line.pattern == path
    return path not in named and _matches(line.pattern, path)


def _assignment(line: Line) -> Assignment:
    return Assignment(line.path, line.line, line.written, line.value, line.ours)


def _is_glob(pattern: str) -> bool:
    return _GLOB.search(pattern) is not None


def _matches(pattern: str, path: str) -> bool:
    """Tell whether glob(7) on /proc/sys would find a path by a pattern."""
    wanted, parts = pattern.replace("[^", "[!").split("/"), path.split("/")
    return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))


def _written_by(target: str) -> tuple[str, ...]:
    """Return the settings with which the kernel writes this one along, to the same value."""
    found = [
        source for source, reached in _SPREAD if source != target and _matches(reached, target)
    ]
    return tuple(dict.fromkeys(found))


def written_along(path: str) -> list[str]:
    """Return the patterns of what the kernel writes along with a setting."""
    return [reached for source, reached in (*_SPREAD, *_SAME, *_CHANGED) if source == path]
