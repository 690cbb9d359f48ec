"""Find the ``.network`` file that owns a link, by systemd-networkd's own rules.

A running networkd says which file it took; `networkd` asks it first. This module answers
when it does not run: which files count, in which order, and what their ``[Match]``
sections select (systemd.network(5), ``net-condition.c``), and which addresses they set.
netplan's ``match:`` needs the same facts about links.
"""

from __future__ import annotations

import glob
import ipaddress
import json
import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import ParseError
from ..host import Host
from ..model import (
    IPV4,
    MAX_LABEL,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Alias,
    Found,
    canonical_address,
)
from ..text import ini, read_number

#: Ending of the label that a hidden alias gets where the user gave it none.
HIDDEN_LABEL = ":n"
#: Folders of configuration; a file hides those of the same name in later folders.
FOLDERS = (
    "/etc/systemd/network",
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)


#: Base name of our drop-in.
OWN = "60-ipalias.conf"
#: Stands for the version of a networkd that cannot be asked.
NEWEST = 10**6
#: As of this version an address without a prefix is a single one; before, classful.
_FULL_PREFIX = 253
#: An empty ``Address=`` of ``[Network]`` drops all before it (not on 252, seen on 257).
_EMPTY_RESETS = 253
#: An empty ``Address=`` of ``[Address]`` is no longer an error (seen on 257).
_EMPTY_ALLOWED = 257


@dataclass(frozen=True)
class LinkFacts:
    """Hold what a match may ask about a link.

    :param permanent: permanent hardware address; where the kernel names none, the current
        one, for they differ only where one was changed.
    """

    name: str
    altnames: tuple[str, ...] = ()
    mac: str = ""
    permanent: str = ""
    kind: str = ""
    link_type: str = ""


@dataclass(frozen=True)
class Verdict:
    """Say whether a ``[Match]`` selects a link.

    :param matches: None where the answer hangs on `unknown`.
    :param unknown: keys that cannot be judged without a running networkd.
    """

    matches: bool | None
    unknown: tuple[str, ...] = ()


def network_files(host: Host) -> list[str]:
    """Return the ``.network`` files that count, in the order networkd tries them."""
    return _layered(host, "*.network")


def dropins(host: Host, name: str) -> list[str]:
    """Return the drop-ins of a ``.network`` file that count, in reading order."""
    return _layered(host, f"{glob.escape(name)}.d/*.conf")


def _layered(host: Host, pattern: str) -> list[str]:
    """Return one path per base name, that of the first folder, sorted by base name.

    A file masked by an empty one or a link to /dev/null stays: it reads as empty.
    """
    chosen: dict[str, str] = {}
    for folder in FOLDERS:
        for path in host.glob(f"{folder}/{pattern}"):
            chosen.setdefault(os.path.basename(path), path)
    return [chosen[name] for name in sorted(chosen, key=os.fsencode)]


def read_links(host: Host) -> dict[str, LinkFacts]:
    """Read what matches may ask about each link: one ``ip -d -j link``, else /sys."""
    answer = host.run(("ip", "-d", "-j", "link", "show"))
    if answer.code == 0:
        try:
            return {link.name: link for link in map(_link_facts, json.loads(answer.out or "[]"))}
        except ValueError:
            pass  # an iproute2 without -j: /sys has what most matches ask
    found = {}
    for path in host.glob("/sys/class/net/*"):
        name = os.path.basename(path)
        mac = (host.read(f"{path}/address") or "").strip().lower()
        found[name] = LinkFacts(name, mac=mac, permanent=mac)
    return found


def _link_facts(data: Mapping[str, object]) -> LinkFacts:
    mac = str(data.get("address") or "").lower()
    info = data.get("linkinfo")
    altnames = data.get("altnames")
    return LinkFacts(
        name=str(data.get("ifname", "")),
        altnames=tuple(map(str, altnames)) if isinstance(altnames, list) else (),
        mac=mac,
        permanent=str(data.get("permaddr") or mac).lower(),
        kind=str(info.get("info_kind") or "") if isinstance(info, dict) else "",
        link_type=str(data.get("link_type") or ""),
    )


def find_owner(
    host: Host, link: LinkFacts, parsed: dict[str, list[ini.Document]] | None = None
) -> tuple[str | None, list[str]]:
    """Return the first ``.network`` file that matches a link, and what was seen on the way.

    A file that may match, but asks what cannot be judged here, is taken only when no other
    comes into question: guessing among several could write into the wrong one.
    """
    reasons: list[str] = []
    maybe: list[str] = []
    for path in network_files(host):
        try:
            verdict = judge(_documents(host, path, parsed), link, host)
        except ParseError as error:
            reasons.append(f"{error}: networkd ignores the file")
            continue
        if verdict.matches is None:
            maybe.append(path)
            keys = ", ".join(f"{key}=" for key in verdict.unknown)
            reasons.append(f"{path} may match {link.name}: {keys} cannot be judged from here")
        elif verdict.matches:
            if maybe:
                reasons.append(f"{path} matches {link.name}, but comes after what may match")
                return None, reasons
            reasons.append(f"{path} is the first file that matches {link.name}")
            return path, reasons
    if len(maybe) == 1:
        reasons.append(f"{maybe[0]} is the only file that comes into question")
        return maybe[0], reasons
    if not maybe:
        reasons.append(f"no .network file matches {link.name}")
    return None, reasons


def _documents(
    host: Host, path: str, parsed: dict[str, list[ini.Document]] | None
) -> list[ini.Document]:
    """Parse a file and its drop-ins, which may hold a ``[Match]`` too."""
    if parsed is not None and path in parsed:
        return parsed[path]
    main = host.read(path)
    documents = []
    if main:  # an empty main file masks itself, drop-ins or not
        documents.append(ini.parse(main, path))
        for dropin in dropins(host, os.path.basename(path)):
            if os.path.basename(dropin) == OWN:
                continue  # it matches nothing, and may be long
            documents.append(ini.parse(host.read(dropin) or "", dropin))
    if parsed is not None:
        parsed[path] = documents
    return documents


def judge(documents: Iterable[ini.Document], link: LinkFacts, host: Host) -> Verdict:
    """Judge the ``[Match]`` sections of a file and its drop-ins for one link.

    Without any valid key there networkd ignores the file (seen on 252 and 257, against
    what systemd.network(5) says).
    """
    asked: dict[str, list[str]] = {}
    for document in documents:
        for section in document.named("Match"):
            for entry in section.entries:
                words = asked.setdefault(entry.key, [])
                if not entry.value:
                    words.clear()
                elif entry.value.startswith("!"):
                    # The mark inverts the whole list of its line.
                    words.extend(f"!{word}" for word in entry.value[1:].split())
                else:
                    words.extend(entry.value.split())
    unknown = []
    asked = {key: words for key, words in asked.items() if words}
    for key, words in asked.items():
        answer = _judge_key(key, words, link, host)
        if answer is False:
            return Verdict(False)
        if answer is None:
            unknown.append(key)
    if not asked:
        return Verdict(False)
    return Verdict(None, tuple(unknown)) if unknown else Verdict(True)


def _judge_key(key: str, words: list[str], link: LinkFacts, host: Host) -> bool | None:
    if key == "Name":
        return globs_match(words, (link.name, *link.altnames))
    if key == "MACAddress":
        return link.mac in map(canonical_mac, words)
    if key == "PermanentMACAddress":
        return link.permanent in map(canonical_mac, words)
    if key == "Kind":
        return globs_match(words, (link.kind,)) if link.link_type else None
    if key == "Type":
        kind = _uevent(host, f"/sys/class/net/{link.name}/uevent", "DEVTYPE") or link.link_type
        return globs_match(words, (kind,)) if kind else None
    if key == "Driver":
        driver = driver_of(host, link.name)
        return globs_match(words, (driver,)) if driver else None
    return None


def driver_of(host: Host, interface: str) -> str | None:
    """Return the driver of a device; None where the kernel names none in /sys."""
    return _uevent(host, f"/sys/class/net/{interface}/device/uevent", "DRIVER")


def _uevent(host: Host, path: str, key: str) -> str | None:
    for line in (host.read(path) or "").splitlines():
        name, _, value = line.partition("=")
        if name == key:
            return value
    return None


def globs_match(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Tell whether globs select one of a link's names; ``!`` excludes, as networkd reads it."""
    names = tuple(names)
    matched = False
    positive = False
    for pattern in patterns:
        inverted = pattern.startswith("!")
        hit = any(fnmatchcase(name, pattern[inverted:]) for name in names)
        if inverted and hit:
            return False
        positive = positive or not inverted
        matched = matched or (hit and not inverted)
    return matched or not positive


def canonical_mac(text: str) -> str:
    """Return a hardware address in lower case with colons, from each form networkd reads."""
    if text.count(".") == 2 or "-" in text:
        digits = text.replace(".", "").replace("-", "").lower()
        return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    return text.lower()


def read_addresses(
    host: Host,
    interface: str,
    main: str,
    own: str | None,
    version: int,
    *,
    foreign_only: bool = False,
) -> list[Found]:
    """Read the static addresses of a ``.network`` file and its drop-ins as networkd does.

    :param own: the drop-in that is ours.
    :param version: of networkd, whose reading of odd values has changed.
    :param foreign_only: leave our drop-in unread.
    :raises ParseError: for a file that networkd would refuse.
    """
    found: list[Found] = []
    for path in (main, *dropins(host, os.path.basename(main))):
        ours = path == own
        if ours and foreign_only:
            continue
        text = host.read(path) or ""
        plain = _read_plain(text, interface, path) if ours else None
        if plain is not None:
            found += plain
            continue
        for section in ini.parse(text, path).sections:
            if section.name == "Address":
                read = _read_section(section, version)
                if read:
                    found.append(_found(interface, read, section, path, ours))
            elif section.name == "Network":
                for entry in section.entries:
                    if entry.key != "Address":
                        continue
                    if not entry.value and version >= _EMPTY_RESETS:
                        found.clear()
                    single = _read_address(entry.value, version)
                    if single:
                        alias = Alias(*single, interface, where=f"{path}:{entry.line}")
                        found.append(Found(alias, path, entry.line, ours))
    return found


def _read_plain(text: str, interface: str, path: str) -> list[Found] | None:
    """Read a drop-in that holds a comment and plain addresses; None for any other.

    Ours is almost always of this kind, and with thousands of sections the editor's view of
    it takes ten times as long.
    """
    comment, *pieces = text.split("\n\n[Address]\nAddress=")
    if not comment.startswith("#") or "\n" in comment or not text.endswith("\n"):
        return None
    pieces[-1:] = [piece[:-1] for piece in pieces[-1:]]
    found = []
    for index, piece in enumerate(pieces):
        address, _, digits = piece.partition("/")
        if digits not in _SINGLE or canonical_address(address) != address:
            return None
        if digits != _SINGLE[":" in address] or address in _UNSPECIFIED:
            return None
        line = 4 + 3 * index
        alias = Alias(address, int(digits), interface, where=f"{path}:{line}")
        found.append(Found(alias, path, line, ours=True))
    return found


def _found(
    interface: str, read: tuple[str, int], section: ini.Section, path: str, ours: bool
) -> Found:
    address, prefix = read
    line = max(entry.line for entry in section.entries if entry.key == "Address")
    four = ":" not in address
    if four:
        never = _value(section, "Scope") in ("host", "254")
    else:
        never = _value(section, "PreferredLifetime") == "0"
    label = (_value(section, "Label") or None) if four else None
    if ours and never and label == f"{interface}{HIDDEN_LABEL}":
        label = None
    alias = Alias(
        address,
        prefix,
        interface,
        label=label,
        source=SOURCE_NEVER if never else SOURCE_AUTO,
        where=f"{path}:{line}",
    )
    return Found(alias, path, line, ours)


def _value(section: ini.Section, key: str) -> str:
    entry = section.last(key)
    return entry.value if entry else ""


def _is_label(text: str) -> bool:
    return len(text) <= MAX_LABEL and all(" " <= char < "\x7f" for char in text)


def _is_scope(text: str) -> bool:
    number = read_number(text) if text.isascii() and text.isdigit() else 256
    return number < 256 or text in ("global", "link", "host", "site", "nowhere")


def _is_lifetime(text: str) -> bool:
    return text in ("", "0", "forever", "infinity")


#: A value that is refused takes its whole section with it (seen with a label that is too
#: long on 252 and 257: the address does not come up).
_VALID = {"Label": _is_label, "Scope": _is_scope, "PreferredLifetime": _is_lifetime}


def _read_section(section: ini.Section, version: int) -> tuple[str, int] | None:
    """Read an ``[Address]`` section: the last value counts, one bad value spoils it all."""
    read: tuple[str, int] | None = None
    family: bool | None = None
    for entry in section.entries:
        if entry.key in _VALID and not _VALID[entry.key](entry.value):
            return None
    for entry in section.entries:
        if entry.key not in ("Address", "Peer"):
            continue
        if not entry.value and version >= _EMPTY_ALLOWED:
            read = None if entry.key == "Address" else read
            continue
        value = _read_address(entry.value, version)
        if value is None or family not in (None, ":" in value[0]):
            return None
        family = ":" in value[0]
        if entry.key == "Address":
            read = value
        elif read:
            read = (read[0], value[1])  # the peer's prefix is the one that is set
    return read


#: Prefix lengths of a single address of either family, as almost every alias has them.
_SINGLE = ("32", "128")
_UNSPECIFIED = ("0.0.0.0", "::")


def _read_address(text: str, version: int) -> tuple[str, int] | None:
    """Read ``address[/prefix]`` as networkd does; None for what it drops or fills from a pool."""
    bare, slash, digits = text.partition("/")
    canonical = canonical_address(bare) if digits in _SINGLE else None
    if canonical is not None and digits == _SINGLE[":" in canonical]:
        return None if canonical in _UNSPECIFIED else (canonical, read_number(digits))
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if "%" in bare or address.is_unspecified:
        return None
    if slash:
        if (
            not (digits.isascii() and digits.isdigit())
            or read_number(digits) > address.max_prefixlen
        ):
            return None
        return str(address), read_number(digits)
    if version >= _FULL_PREFIX:
        return str(address), address.max_prefixlen
    if address.version != IPV4:
        return str(address), 0
    first = int(address) >> 24
    if first >= 224:
        return None
    return str(address), 8 if first < 128 else 16 if first < 192 else 24
