"""interfaces(5) with everything it includes, in the order in which ifup reads it.

The order matters: ``ifup -a`` brings interfaces up as their ``auto`` lines are read. An
alias that comes before its parent would be the first address of the interface, and be
chosen as the source where a route names none; a bridge's alias would find no bridge.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import RefusedError
from ..host import Host
from ..model import Found
from ..text.hooklines import DOWN_OPTIONS, parse_command
from ..text.stanzas import (
    AUTO,
    IFACE,
    SOURCE,
    SOURCE_DIRECTORY,
    Document,
    Option,
    Stanza,
    parse_interfaces,
    without_class_word,
)
from .ifupdown_forms import CLASSIC, IFUPDOWN2, IFUPDOWN_NG, header, stem

MAIN = "/etc/network/interfaces"
DROP_INS = "/etc/network/interfaces.d"
#: Names ifupdown's source-directory reads.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_GLOB = re.compile(r"[*?\[]")
#: Options of an alias stanza that are gone without loss when the alias moves into our file.
_MOVABLE = ("address", "netmask", "network", "broadcast", "scope")


@dataclass(frozen=True)
class Entry:
    """Hold a stanza with its place in the reading order.

    :param key: index of the main file's stanza that it stands in or is included by, and
        the path of the included file (empty in the main file itself).
    """

    document: Document
    stanza: Stanza
    key: tuple[int, str]


@dataclass(frozen=True)
class Tree:
    """Hold all files of one host that ifup reads.

    :param documents: by path; the main file is absent where there is none.
    :param entries: their stanzas in reading order.
    """

    flavour: str
    documents: dict[str, Document]
    entries: tuple[Entry, ...]

    def ifaces(self, name: str) -> list[Entry]:
        """Return the ``iface`` stanzas of a name."""
        return [e for e in self.entries if e.stanza.kind == IFACE and e.stanza.name == name]

    def classes(self, name: str) -> list[Entry]:
        """Return the ``auto`` and ``allow-…`` lines that name an interface."""
        return [e for e in self.entries if e.stanza.is_class and name in e.stanza.words]

    def brought_up(self, name: str) -> Entry | None:
        """Return what brings an interface up with ``ifup -a``; None where nothing does."""
        autos = [e for e in self.classes(name) if e.stanza.kind == AUTO]
        return autos[0] if autos else None


def read_tree(host: Host, flavour: str, *, strict: bool = True) -> Tree:
    """Read the main file and what it includes.

    ifupdown2 and ifupdown-ng skip a bad line and go on; ifupdown refuses everything.

    :raises ParseError: with file and line, for what ifupdown refuses (`strict`).
    """
    documents: dict[str, Document] = {}

    def walk(path: str, key: tuple[int, str] | None) -> Iterator[Entry]:
        text = None if path in documents else host.read(path)
        if text is None:
            return
        document = parse_interfaces(
            text, path, short_iface=flavour != CLASSIC, strict=strict and flavour == CLASSIC
        )
        documents[path] = document
        for index, stanza in enumerate(document.stanzas):
            at = (index, "") if key is None else key
            yield Entry(document, stanza, at)
            for included in _included(host, flavour, path, stanza):
                yield from walk(included, (at[0], included))

    entries = tuple(walk(MAIN, None))
    return Tree(flavour, documents, entries)


def _included(host: Host, flavour: str, path: str, stanza: Stanza) -> list[str]:
    """Return the files that an including line makes each flavour read."""
    if stanza.kind not in (SOURCE, SOURCE_DIRECTORY) or not stanza.words:
        return []
    pattern = stanza.words[0]
    if not pattern.startswith("/"):
        if flavour != CLASSIC:
            return []
        pattern = posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))
    if stanza.kind == SOURCE:
        if flavour == IFUPDOWN_NG or not _GLOB.search(pattern):
            return [pattern]
        return host.glob(pattern)
    if flavour == IFUPDOWN2:
        return []
    names = host.glob(f"{pattern.rstrip('/')}/*")
    if flavour == IFUPDOWN_NG:
        return names
    return [name for name in names if _PLAIN_NAME.fullmatch(posixpath.basename(name))]


def own_file(tree: Tree, interface: str) -> str | None:
    """Return the path for a file of ours that is read, and read after the parent interface.

    None where there is none: then our stanzas go into a block at the main file's end.
    """
    parent = tree.brought_up(interface)
    if tree.flavour != CLASSIC or parent is None:
        parent = next(iter(tree.ifaces(interface)), None)
    for entry in tree.entries:
        if entry.document.path != MAIN:
            continue
        path = _own_path(tree.flavour, entry.stanza, interface)
        if path and (parent is None or parent.key < (entry.key[0], path)):
            return path
    return None


def _own_path(flavour: str, stanza: Stanza, interface: str) -> str | None:
    """Return the path of ours that one including line would read, or None."""
    if stanza.kind not in (SOURCE, SOURCE_DIRECTORY) or not stanza.words:
        return None
    pattern, name = stanza.words[0], f"ipalias-{stem(interface)}"
    if not pattern.startswith("/"):
        if flavour != CLASSIC:
            return None
        pattern = posixpath.normpath(posixpath.join(posixpath.dirname(MAIN), pattern))
    if stanza.kind == SOURCE_DIRECTORY:
        readable = flavour != IFUPDOWN2 and not _GLOB.search(pattern)
        return f"{pattern.rstrip('/')}/{name}" if readable else None
    folder, base = posixpath.split(pattern)
    if flavour == IFUPDOWN_NG or _GLOB.search(folder) or "*" not in base:
        return None
    name = base.replace("*", name, 1).replace("*", "")
    return f"{folder}/{name}" if not _GLOB.search(name) and fnmatchcase(name, base) else None


def own_files_on_disk(host: Host, tree: Tree, interface: str) -> dict[str, str]:
    """Return our files for the interface, read by ifup or not any more, with their text."""
    paths = {*tree.documents, *host.glob(f"{DROP_INS}/*ipalias-{stem(interface)}*")}
    texts = {path: host.read(path) for path in sorted(paths)}
    return {p: t for p, t in texts.items() if t and t.startswith(header(interface).rstrip("\n"))}


def adopt_edits(tree: Tree, found: Found) -> dict[str, dict[int, str | None]]:
    """Return the edits, by path, that take one foreign line or stanza out.

    :raises RefusedError: for the interface's own address, and for a stanza or line that
        does more than set the address: moving it would lose the rest.
    """
    document = tree.documents.get(found.path)
    index = found.line - 1
    for stanza in document.stanzas if document else ():
        if stanza.kind == IFACE and stanza.first == index:
            return _stanza_edits(tree, found, stanza)
        for option in stanza.options:
            if option.first == index and document:
                return {found.path: _option_edits(tree, found, stanza, option)}
    raise RefusedError(
        f"{found.alias.cidr} is not there any more",
        where=f"{found.path}:{found.line}",
        way_out="run again: the file has changed meanwhile",
    )


def _stanza_edits(tree: Tree, found: Found, stanza: Stanza) -> dict[str, dict[int, str | None]]:
    """Take out an alias's stanza and, unless another one has its name, its ``auto`` line."""
    for option in stanza.options:
        if option.name not in _MOVABLE:
            raise RefusedError(
                f"`iface {stanza.name}` also has `{option.name} {option.value}`",
                where=f"{found.path}:{option.first + 1}",
                way_out="move that line elsewhere first, or leave this alias as it is",
            )
    edits: dict[str, dict[int, str | None]] = {}
    if len(tree.ifaces(stanza.name)) == 1:
        edits = {
            path: words
            for path, document in tree.documents.items()
            if (words := without_class_word(document, stanza.name))
        }
    gone = dict.fromkeys(range(stanza.first, stanza.last + 1))
    edits[found.path] = {**edits.get(found.path, {}), **gone}
    return edits


def _option_edits(
    tree: Tree, found: Found, stanza: Stanza, option: Option
) -> dict[int, str | None]:
    """Take out an ``address`` line, or an ``up`` line with the ``down`` lines that undo it."""
    where = f"{found.path}:{option.first + 1}"
    gone = [option]
    if option.name == "address":
        own = tree.ifaces(stanza.name)[0].stanza is stanza and stanza.method != "dhcp"
        if own and option is next(o for o in stanza.options if o.name == "address"):
            raise RefusedError(
                f"{found.alias.cidr} is the first address of `iface {stanza.name}`",
                where=where,
                way_out="leave it out of the list: it is no alias",
            )
    else:
        command = parse_command(option.value, stanza.name)
        for other in stanza.options:
            undo = parse_command(other.value, stanza.name) if other.name in DOWN_OPTIONS else None
            if undo is None or undo.adds or command is None or undo.device != command.device:
                continue
            same_label = undo.label is not None and undo.label == command.label
            if undo.address == command.address or (not undo.address and same_label):
                gone.append(other)
        for line in gone:
            parsed = parse_command(line.value, stanza.name)
            if parsed is None or not parsed.pure:
                raise RefusedError(
                    f"`{line.name} {line.value}` does more than set the address",
                    where=f"{found.path}:{line.first + 1}",
                    way_out="move the other command to a line of its own first",
                )
    return dict.fromkeys(n for line in gone for n in range(line.first, line.last + 1))
