"""Debian's ifupdown, and its successors ifupdown2 and ifupdown-ng.

Formats: interfaces(5), the alias guide's two forms, ip-address(8) for the batch file.

Which form an alias takes depends on the alias and its slot alone, never on how many there
are, so that none moves from one form to another. A stanza ``iface eth0:N`` holds what the
guide's holds: one plain IPv4 /32, in one of the first slots, for each stanza costs ifup
20 ms. Everything else comes from a batch file, loaded by a script in ``if-up.d``: an IPv6
stanza on ``eth0:N`` is always deprecated (ifupdown 0.8.41 sets ``preferred_lft 0``), a wide
prefix brought up first would make the primary address secondary, and a parent that is not
``auto`` would not be up when ``ifup -a`` comes to its alias.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from ..errors import InputError, RefusedError, UnsupportedError
from ..host import Host
from ..model import (
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)
from ..text.blocks import find_block, remove_block, replace_block
from ..text.hooklines import parse_address
from ..text.stanzas import parse_interfaces
from .ifupdown_forms import (
    CLASSIC,
    IFUPDOWN2,
    IFUPDOWN_NG,
    STATE_FILES,
    batch_path,
    check_interface,
    header,
    hook_path,
    label_of,
    render_address_lines,
    render_batch,
    render_hook,
    render_post_up,
    render_stanza,
)
from .ifupdown_read import flavour_of, is_ours, parse_found
from .ifupdown_tree import (
    MAIN,
    Tree,
    adopt_edits,
    own_file,
    own_files_on_disk,
    read_tree,
)

NAME = "ifupdown"
UNSUPPORTED: MappingProxyType[str, str] = MappingProxyType({})
MAX_ADDRESSES: int | None = None
NUMBERED = True
#: ``stanza``: the guide's first form, ``post-up``: its second, inside the parent's stanza.
OPTIONS = MappingProxyType({"form": ("stanza", "post-up")})
SYSTEMS = ("linux",)
STORED = False

#: Slots from this one on have no stanza: 16 cost ifup a third of a second at boot.
STANZA_LIMIT = 16
#: Seconds ifup may take for one alias; the stanzas of one interface go in one call.
_IFUP_TIMEOUT = 60.0


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether a stanza names the interface, and which flavour of ifup reads it."""
    flavour, facts, installed = _flavour(host)
    tree = read_tree(host, flavour, strict=False)
    entries = [*tree.classes(interface), *tree.ifaces(interface)]
    reasons = [
        f"{e.document.path}:{e.stanza.first + 1} says `{e.stanza.kind} {' '.join(e.stanza.words)}`"
        for e in entries
    ]
    if not entries:
        reasons.append(f"no stanza in {MAIN} or what it includes names {interface}")
    reasons.append(f"ifup is {facts['version'] or flavour}" if installed else "ifup is not there")
    file = entries[-1].document.path if entries else None
    strength = 0 if not entries else 2 if installed else 1
    return Evidence(NAME, interface, bool(entries), strength, tuple(reasons), file, facts)


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface of which the user says that ifupdown owns it."""
    found = detect(host, interface)
    reasons = ("named by the user", *found.reasons)
    return Evidence(NAME, interface, True, found.strength, reasons, found.file, found.facts)


def _flavour(host: Host) -> tuple[str, dict[str, str], bool]:
    """Return the flavour of ifup, its facts, and whether it is installed."""
    if host.exists("/usr/share/ifupdown2"):
        return IFUPDOWN2, {"flavour": IFUPDOWN2, "version": IFUPDOWN2}, True
    if host.which("ifup") is None:
        return CLASSIC, {"flavour": CLASSIC, "version": ""}, False
    said = host.run(["ifup", "--version"]).out.strip().split("\n")[0]
    flavour = next((name for name in (IFUPDOWN_NG, IFUPDOWN2) if name in said), CLASSIC)
    return flavour, {"flavour": flavour, "version": said}, True


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address the files set on the interface; its own comes first.

    :raises ParseError: with file and line, for a file that ifup refuses.
    """
    return parse_found(host, evidence)


# Writing


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return the files of ours for the interface, and the foreign ones with our block.

    :raises RefusedError: where an adopted line does more than set an address, or a foreign
        stanza already has the name an alias would take.
    :raises UnsupportedError: for what a flavour cannot hold.
    """
    interface, flavour = wanted.interface, flavour_of(wanted.evidence)
    check_interface(interface)
    tree = read_tree(host, flavour)
    texts: dict[str, str | None] = {p: d.text for p, d in tree.documents.items()}
    before = dict(texts)
    ours = own_files_on_disk(host, tree, interface)
    stanzas, loaded = _divide(wanted, tree)
    target = _target(wanted, tree) if stanzas else None
    _take_out(wanted, tree, texts, ours, target)
    if target is not None:
        _put_in(wanted, tree, texts, ours, stanzas, target, host)
    files = [File(path, texts.get(path)) for path in sorted(ours)]
    # The batch file also keeps the lines of aliases with a stanza; see `render_batch`.
    recorded = stanzas if tree.flavour == CLASSIC and _form(wanted) == "stanza" else []
    batch = render_batch(interface, recorded, loaded) if recorded or loaded else None
    hook = render_hook(interface, not tree.ifaces(interface)) if batch else None
    files += [File(batch_path(interface), batch), File(hook_path(interface), hook, 0o755)]
    for path, text in texts.items():
        if path not in ours and (text != before.get(path) or _has_block(text, interface, path)):
            files.append(File(path, text, owned=False))
    return files


def _target(wanted: Wanted, tree: Tree) -> str:
    """Return the file that the stanzas or lines go into.

    :raises UnsupportedError: where ``form: post-up`` finds no stanza to write into.
    """
    if _form(wanted) != "post-up":
        return own_file(tree, wanted.interface) or MAIN
    for entry in tree.ifaces(wanted.interface):
        return entry.document.path
    raise UnsupportedError(
        f"no stanza `iface {wanted.interface}` for `form: post-up` to write into",
        way_out="write that stanza, or leave `form` out",
    )


def _has_block(text: str | None, interface: str, path: str) -> bool:
    return text is not None and find_block(text, interface, path) is not None


def _form(wanted: Wanted) -> str:
    return str(wanted.options.get("form") or "stanza")


def _divide(wanted: Wanted, tree: Tree) -> tuple[list[Alias], list[Alias]]:
    """Divide the aliases: those in the files ifup reads, and those only in the batch file."""
    written: list[Alias] = []
    loaded: list[Alias] = []
    form, interface = _form(wanted), wanted.interface
    auto = tree.brought_up(interface) is not None or not tree.ifaces(interface)
    names: dict[str, Alias] = {}
    for alias in wanted.aliases:
        label = label_of(alias)
        if label is not None:
            other = names.setdefault(label, alias)
            if other is not alias:
                raise InputError(
                    f"{other.address} and {alias.address} both get the label {label!r}",
                    where=alias.where,
                    way_out="give one of them another label",
                )
        early = alias.number is not None and alias.number < STANZA_LIMIT
        if tree.flavour != CLASSIC and form != "post-up":
            if alias.label is not None:
                raise UnsupportedError(
                    f"label {alias.label!r} on {alias.address}: {tree.flavour} keeps no labels",
                    where=alias.where,
                    way_out="leave the label out, or set `form: post-up`",
                )
            fits = not alias.never_source
        elif form == "post-up":
            fits = early
        else:
            plain = alias.single and label is not None and not alias.never_source
            fits = early and plain and (auto or "form" in wanted.options)
        (written if fits else loaded).append(alias)
    if tree.flavour != CLASSIC and wanted.aliases and not tree.ifaces(interface):
        raise UnsupportedError(
            f"no stanza of {tree.flavour} names {interface}, so nothing would bring it up",
            way_out=f"write `iface {interface}` into {MAIN}, or name another backend",
        )
    return written, loaded


def _take_out(
    wanted: Wanted,
    tree: Tree,
    texts: dict[str, str | None],
    ours: dict[str, str],
    keep: str | None,
) -> None:
    """Take the adopted foreign lines out of the texts, and our blocks but the one to `keep`.

    That one is filled anew where it stands: lines may have been added after it.
    """
    edits: dict[str, dict[int, str | None]] = {}
    for found in wanted.adopt:
        for path, lines in adopt_edits(tree, found).items():
            edits.setdefault(path, {}).update(lines)
    for path, lines in edits.items():
        texts[path] = tree.documents[path].without(lines)
    for path, text in list(texts.items()):
        if path in ours or text is None:
            texts[path] = None
        elif not (path == keep and _has_form(text, wanted, path)):
            texts[path] = remove_block(text, wanted.interface, path)


def _has_form(text: str, wanted: Wanted, path: str) -> bool:
    """Tell whether our block in a file is of the form wanted now, so that it can stay there."""
    block = find_block(text, wanted.interface, path)
    return block is not None and ("post-up " in block.body) == (_form(wanted) == "post-up")


def _put_in(
    wanted: Wanted,
    tree: Tree,
    texts: dict[str, str | None],
    ours: dict[str, str],
    aliases: list[Alias],
    path: str,
    host: Host,
) -> None:
    """Put the aliases into our own file, or into a block of a foreign one."""
    interface = wanted.interface
    if _form(wanted) == "post-up":
        at, indent = _inside_parent(texts[path] or "", path, interface)
        body = "".join(render_post_up(alias, indent) for alias in aliases)
        texts[path] = replace_block(texts[path], interface, body, path, at=at, indent=indent)
        return
    if tree.flavour == CLASSIC:
        _check_names(tree, wanted, aliases)
        body = "".join(render_stanza(alias) for alias in aliases)
    else:
        body = "\n" + render_address_lines(interface, aliases)
    if path == MAIN:
        texts[MAIN] = replace_block(texts.get(MAIN), interface, body[1:], MAIN)
        return
    if path not in ours and host.read(path) is not None:
        raise RefusedError(
            f"{path} is not a file of ours",
            way_out="move it away: its name is the one our own file has to have",
        )
    ours[path] = ""
    texts[path] = header(interface) + body


def _check_names(tree: Tree, wanted: Wanted, aliases: Iterable[Alias]) -> None:
    """Refuse a stanza whose name a foreign one has already."""
    adopted = {(found.path, found.line) for found in wanted.adopt}
    for alias in aliases:
        for entry in tree.ifaces(label_of(alias) or ""):
            path, line = entry.document.path, entry.stanza.first + 1
            taken = not is_ours(entry.document, entry.stanza.first, wanted.interface)
            if taken and (path, line) not in adopted:
                raise RefusedError(
                    f"{alias.address} would be `iface {entry.stanza.name}`, and there is one",
                    where=f"{path}:{line}",
                    way_out="give the alias a label, or set `adopt: true`",
                )


def _inside_parent(text: str, path: str, interface: str) -> tuple[int, str]:
    """Return line and indent for a block at the end of the parent's first stanza."""
    document = parse_interfaces(text, path, strict=False, short_iface=True)
    stanza = document.ifaces(interface)[0]
    last = document.lines[stanza.options[-1].first] if stanza.options else "    "
    return stanza.last + 1, last[: len(last) - len(last.lstrip(" \t"))]


# Activating


def validate(change: Change, host: Host) -> list[Command]:
    """Return the command that parses the written files and does nothing else.

    ``ifquery --list`` would also fail for a foreign ``auto`` line without its stanza, and
    mapping scripts must not run.
    """
    flavour, interface = flavour_of(change.evidence), change.interface
    apart = (batch_path(interface), hook_path(interface))
    if all(file.path in apart for file in change.files):
        return []
    if flavour == IFUPDOWN2:
        return [Command(("ifup", "--syntax-check", interface))]
    if host.which("ifquery") is None:
        return []
    names = [*_our_names(change, {file.path: file.text for file in change.files})]
    if read_tree(host, flavour, strict=False).ifaces(interface):
        names.append(interface)
    flags = ("--no-mappings",) if flavour == CLASSIC else ()
    return [Command(("ifquery", *flags, name)) for name in names[:1]]


def activate(change: Change, host: Host) -> Activation:
    """Return the ``ifdown`` and ``ifup`` of the aliases that have a stanza.

    Only what ifup has recorded is taken down by ifdown; an alias already live or recorded
    is left to the engine, for ifup of a live address fails and is not recorded.
    """
    flavour = flavour_of(change.evidence)
    if flavour != CLASSIC or host.which("ifup") is None:
        return Activation()
    recorded = read_recorded(host)
    texts = {file.path: file.text for file in change.files}
    old = _our_names(change, {path: host.read(path) for path in texts})
    new = _our_names(change, texts)
    removed = {alias.cidr for alias in change.removed}
    added = {alias.cidr for alias in change.added}
    down = [
        name
        for name, cidr in old.items()
        if cidr in removed and name in recorded and new.get(name) != cidr
    ]
    up = [
        name
        for name, cidr in new.items()
        if cidr in added and cidr not in change.live and name not in recorded - {*down}
    ]
    note = ""
    if change.interface not in recorded and (up or old or new):
        up, note = [], f"ifup has not recorded {change.interface} as up: it was not told"
    before = (Command(("ifdown", *down), timeout=_IFUP_TIMEOUT),) if down else ()
    after = (Command(("ifup", *up), timeout=_IFUP_TIMEOUT),) if up else ()
    return Activation(before, after, note=note)


def read_recorded(host: Host) -> set[str]:
    """Return the names that ifup has recorded as up (``eth0:0=eth0:0`` lines)."""
    for path in STATE_FILES:
        if (text := host.read(path)) is not None:
            return {line.partition("=")[0].strip() for line in text.split("\n") if "=" in line}
    return set()


def _our_names(change: Change, texts: dict[str, str | None]) -> dict[str, str]:
    """Return name → address/prefix of our alias stanzas in some files' texts."""
    names: dict[str, str] = {}
    for path, text in texts.items():
        if text is None or path in (batch_path(change.interface), hook_path(change.interface)):
            continue
        document = parse_interfaces(text, path, strict=False, short_iface=True)
        for stanza in document.stanzas:
            colon = stanza.kind == "iface" and stanza.name.startswith(f"{change.interface}:")
            if not colon or not is_ours(document, stanza.first, change.interface):
                continue
            masks = stanza.values("netmask") or [""]
            for value in stanza.values("address")[:1]:
                if parsed := parse_address(value, masks[0]):
                    names[stanza.name] = f"{parsed[0]}/{parsed[1]}"
    return names


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return nothing for ``alias``; ``ifdown`` and ``ifup``; the guide's last step."""
    name = evidence.interface
    argvs: dict[str, tuple[tuple[str, ...], ...]] = {
        "interface": (("ifdown", name), ("ifup", name)),
        "network": (("systemctl", "restart", "networking.service"),),
    }
    return [Command(argv, timeout=120.0) for argv in argvs.get(scope, ())]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label the kernel shows, or None.

    :param evidence: with it, the flavours that keep no labels answer None.
    :raises InputError: for a label of more than 15 characters in the kernel.
    """
    if evidence is not None and flavour_of(evidence) != CLASSIC:
        return None
    return label_of(alias)
