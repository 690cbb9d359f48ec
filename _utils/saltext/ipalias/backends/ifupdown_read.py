"""Reading: which addresses ifupdown's files set on an interface, and which of them are ours."""

from __future__ import annotations

from functools import lru_cache

from ..host import Host
from ..model import Alias, Evidence, Found
from ..text.blocks import parse_blocks
from ..text.hooklines import UP_OPTIONS, parse_address, parse_command
from ..text.stanzas import IFACE, Document
from .ifupdown_forms import CLASSIC, alias_of, batch_path, header, parse_batch
from .ifupdown_tree import Entry, Tree, read_tree


def flavour_of(evidence: Evidence) -> str:
    """Return the flavour of ifup that `detect` found."""
    return evidence.facts.get("flavour", CLASSIC)


def parse_found(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address the files set on the interface; its own comes first.

    :raises ParseError: with file and line, for a file that ifup refuses.
    """
    interface = evidence.interface
    tree = read_tree(host, flavour_of(evidence))
    own: list[Found] = []
    others: list[Found] = []
    for entry in tree.entries:
        if entry.stanza.kind != IFACE:
            continue
        found = _in_stanza(tree, entry, interface)
        (own if entry.stanza.name == interface else others).extend(found)
        others.extend(_in_hook_lines(entry, interface))
    text = host.read(batch_path(interface))
    if text is not None:
        path = batch_path(interface)
        others += [Found(a, path, n, True) for n, a in parse_batch(text, path, interface)]
    return own + others


def _in_stanza(tree: Tree, entry: Entry, interface: str) -> list[Found]:
    """Return the addresses that a stanza of the interface or of an alias of it sets."""
    stanza, document = entry.stanza, entry.document
    name, colon, _ = stanza.name.partition(":")
    if name != interface or (tree.flavour == CLASSIC and stanza.method not in ("static", "")):
        return []
    source, options = document, [o for o in stanza.options if o.name == "address"]
    masks = stanza.values("netmask")
    if stanza.inherits and not options:
        base = next((e for e in tree.ifaces(stanza.inherits)), None)
        if base is not None:
            source, options = base.document, [o for o in base.stanza.options if o.name == "address"]
            masks = masks or base.stanza.values("netmask")
    if tree.flavour == CLASSIC:
        options = options[:1]  # it takes the first and ignores the rest
    found: list[Found] = []
    for option in options:
        parsed = parse_address(option.value.split()[0], _first_word(masks))
        if parsed is None:
            continue
        ours = is_ours(document, stanza.first, interface)
        at = (document.path, stanza.first) if colon else (source.path, option.first)
        label = stanza.name if colon and ":" not in parsed[0] else None
        if ours:
            comment = _comment_before(document, option.first)
            alias = alias_of(interface, *parsed, label, comment, False)
        else:
            never = ":" in parsed[0] and bool(colon) and tree.flavour == CLASSIC
            never = never or "host" in stanza.values("scope")
            alias = Alias(*parsed, interface, label, "never" if never else "auto")
        found.append(Found(alias, at[0], at[1] + 1, ours))
    return found


def _in_hook_lines(entry: Entry, interface: str) -> list[Found]:
    """Return the addresses that ``up`` lines of any stanza add to the interface."""
    found: list[Found] = []
    for option in entry.stanza.options:
        if option.name not in UP_OPTIONS:
            continue
        command = parse_command(option.value, entry.stanza.name.partition(":")[0])
        if command is None or not command.adds or command.device != interface:
            continue
        ours = is_ours(entry.document, option.first, interface)
        parts = (interface, command.address, command.prefix)
        if ours:
            comment = _comment_before(entry.document, option.first)
            alias = alias_of(*parts, command.label, comment, command.never_source)
        else:
            source = "never" if command.never_source else "auto"
            alias = Alias(command.address, command.prefix, interface, command.label, source)
        found.append(Found(alias, entry.document.path, option.first + 1, ours))
    return found


def _first_word(values: list[str]) -> str | None:
    return values[0].split()[0] if values else None


def is_ours(document: Document, index: int, interface: str) -> bool:
    """Tell whether a line stands in a file or block wholly ours."""
    if document.lines[0].rstrip("\r\n") == header(interface).rstrip("\n"):
        return True
    return any(
        first < index < last for first, last in _blocks(document.text, document.path, interface)
    )


@lru_cache(maxsize=16)
def _blocks(text: str, path: str, interface: str) -> tuple[tuple[int, int], ...]:
    return tuple((b.first, b.last) for b in parse_blocks(text, path) if b.name == interface)


def _comment_before(document: Document, index: int) -> str:
    return document.lines[index - 1].strip() if index else ""
