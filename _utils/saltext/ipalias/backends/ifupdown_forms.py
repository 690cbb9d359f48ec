"""The texts ipalias writes on an ifupdown host, and how it reads them again.

Pure text: stanzas (the alias guide's first form), ``post-up`` lines (its second), plain
``address`` lines for ifupdown2 and ifupdown-ng, the batch file for `ip -batch`, and the
script in ``if-up.d`` that loads it. A ``# slot N`` comment keeps an alias's number where
its label does not show it, so that a lost ledger can be rebuilt from the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..errors import InputError, ParseError
from ..model import IPV4, MAX_LABEL, Alias
from ..text import read_number

CLASSIC = "ifupdown"
IFUPDOWN2 = "ifupdown2"
IFUPDOWN_NG = "ifupdown-ng"

BATCH_DIR = "/etc/network/ipalias"
HOOK_DIR = "/etc/network/if-up.d"
#: Where ifupdown keeps what it brought up (Debian 7 and newer; Debian 6).
STATE_FILES = ("/run/network/ifstate", "/etc/network/run/ifstate")

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_SUFFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
#: A line of the batch file as `render_batch` writes it: read without a second parsing of
#: the address, for there may be ten thousand.
_BATCH_LINE = re.compile(
    r"address replace (?P<address>[0-9a-f.:]+)/(?P<prefix>\d{1,3}) dev (?P<device>\S+)"
    r"(?: label (?P<label>\S+))?(?: brd \+)?"
    r"(?P<never> scope host(?: noprefixroute)?| preferred_lft 0)?(?: (?P<slot># slot \S+))?$"
)
_SLOT = re.compile(r"# slot (\d+|none)\s*$")


def check_interface(interface: str) -> None:
    """Refuse a name that would not stand as one plain word in these files.

    :raises InputError: for anything but letters, digits, ``_``, ``.`` and ``-``.
    """
    if not _INTERFACE.fullmatch(interface):
        raise InputError(
            f"interface name {interface!r} cannot be written to ifupdown's files",
            way_out="letters, digits, `_`, `.` and `-` only, at most 15",
        )


def stem(interface: str) -> str:
    """Return the interface's name as part of a file name.

    ``source-directory`` and run-parts(8) skip names with a dot.
    """
    return interface.replace(".", "--")


def batch_path(interface: str) -> str:
    """Return the path of the interface's file for `ip -batch`."""
    return f"{BATCH_DIR}/{interface}.batch"


def hook_path(interface: str) -> str:
    """Return the path of the interface's script in ``if-up.d``."""
    return f"{HOOK_DIR}/ipalias-{stem(interface)}"


def header(interface: str) -> str:
    """Return the first line of a file of ours, by which it is known again."""
    return f"# Aliases of {interface}, written by ipalias: changes made here are overwritten.\n"


def label_of(alias: Alias) -> str | None:
    """Return the label the kernel shows: ``eth0:failover1``, ``eth0:3``, or None.

    :raises InputError: for a label of the user's that is longer than the kernel takes, or
        that could not stand as one word.
    """
    if alias.family != IPV4:
        return None
    if alias.label is None:
        label = f"{alias.interface}:{alias.number}"
        return None if alias.number is None or len(label) > MAX_LABEL else label
    suffix = alias.label.removeprefix(f"{alias.interface}:")
    if not _SUFFIX.fullmatch(suffix):
        raise InputError(
            f"label {alias.label!r} on {alias.address} cannot be written",
            where=alias.where,
            way_out=f"write NAME or {alias.interface}:NAME of letters, digits, `_`, `.`, `-`",
        )
    label = f"{alias.interface}:{suffix}"
    if len(label) > MAX_LABEL:
        raise InputError(
            f"label {alias.label!r} becomes {label!r} in the kernel: {len(label)} characters",
            where=alias.where,
            way_out=f"a live label has at most {MAX_LABEL}",
        )
    return label


def slot_comment(alias: Alias) -> str:
    """Return the comment that keeps the number where the label does not show it."""
    if alias.label is None and label_of(alias) is not None:
        return ""
    if alias.number is None and alias.label is None:
        return ""
    return f"# slot {'none' if alias.number is None else alias.number}"


def alias_of(
    interface: str, address: str, prefix: int, live_label: str | None, comment: str, never: bool
) -> Alias:
    """Return the alias that a line of ours stands for: the inverse of these renderings."""
    slot = _SLOT.search(comment)
    number: int | None = None
    label = live_label.partition(":")[2] if live_label else None
    if slot is not None:
        number = None if slot[1] == "none" else read_number(slot[1])
    elif label is not None and label.isascii() and label.isdigit():
        number = int(label)
        label = None
    source = "never" if never else "auto"
    return Alias(address, prefix, interface, label, source, number)


def render_stanza(alias: Alias) -> str:
    """Render the guide's first form; the mask always, for a bare address gets its class's."""
    name = label_of(alias)
    comment = slot_comment(alias)
    return (
        f"\nauto {name}\niface {name} inet static\n"
        + (f"    {comment}\n" if comment else "")
        + f"    address {alias.address}\n    netmask {alias.netmask}\n"
    )


def address_words(alias: Alias) -> str:
    """Render ``A/P dev eth0 label eth0:3 …`` as ip-address(8) reads it."""
    words = f"{alias.cidr} dev {alias.interface}"
    if label := label_of(alias):
        words += f" label {label}"
    if alias.family == IPV4 and not alias.single and not alias.never_source:
        words += " brd +"
    if alias.never_source:
        words += " scope host" if alias.family == IPV4 else " preferred_lft 0"
        if alias.family == IPV4 and not alias.single:
            words += " noprefixroute"
    return words


def subnet_route(alias: Alias) -> str | None:
    """Render the route to the alias's subnet, without a source address, where it needs one.

    The kernel's own connected route would name the alias as its source.
    """
    if alias.family != IPV4 or alias.single or not alias.never_source:
        return None
    return f"{alias.network_object} dev {alias.interface} scope link"


def render_batch(interface: str, recorded: Sequence[Alias], loaded: Sequence[Alias]) -> str:
    """Render the batch file.

    :param recorded: aliases with a stanza, which ifup brings up. Their lines are comments,
        each marked with the name under which ifup records it: ``ifdown eth0`` takes their
        addresses away and leaves them recorded as up, so ``ifup eth0`` would not bring
        them back; the script loads them then.
    :param loaded: aliases that only the script brings up.
    """
    lines = [header(interface)]
    lines += [f"#{label_of(alias)} address replace {address_words(alias)}\n" for alias in recorded]
    for alias in loaded:
        comment = slot_comment(alias)
        tail = f" {comment}" if comment else ""
        lines.append(f"address replace {address_words(alias)}{tail}\n")
        if route := subnet_route(alias):
            lines.append(f"route replace {route}\n")
    return "".join(lines)


def parse_batch(text: str, path: str, interface: str) -> list[tuple[int, Alias]]:
    """Return (line number, alias) of each alias that the script alone brings up.

    :raises ParseError: for a line that ipalias did not write.
    """
    found: list[tuple[int, Alias]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith(("#", "route ")):
            continue
        match = _BATCH_LINE.match(line)
        if match is None or match["device"] != interface:
            raise ParseError(
                path,
                number,
                f"{line!r} is not a line ipalias writes",
                way_out="remove it: this file is written anew by every change",
            )
        parts = (
            match["address"],
            read_number(match["prefix"]),
            match["label"],
            match["slot"] or "",
        )
        found.append((number, alias_of(interface, *parts, bool(match["never"]))))
    return found


def render_hook(interface: str, undeclared: bool) -> str:
    """Render the script that ifup runs after it has brought an interface up.

    `ip -force` goes on after a bad line, and `replace` is silent about what is there.

    :param undeclared: no stanza names the interface, so ifup never runs for it: load the
        file when ``ifup -a`` has ended.
    """
    name = "--all" if undeclared else interface
    return f"""#!/bin/sh
{header(interface)}#
# Run by ifup(8) when an interface has come up. ifdown takes aliases that have a stanza away
# as well, but leaves them recorded as up, so that ifup does not bring them back: theirs are
# the lines marked with a name.
[ "${{IFACE:-}}" = "{name}" ] || exit 0
[ "${{MODE:-start}}" = start ] || exit 0
batch={batch_path(interface)}
[ -f "$batch" ] || exit 0
{{
    cat "$batch"
    sed -n 's/^\\({interface}:[^= ]*\\)=.*/\\1/p' {STATE_FILES[0]} 2>/dev/null |
        while read -r name; do
            sed -n "s/^#$name //p" "$batch"
        done
}} | ip -force -batch -
exit 0
"""


def render_post_up(alias: Alias, indent: str) -> str:
    """Render the guide's second form, in ip's words.

    ``|| true``: an alias that cannot be added must not keep the interface down.
    """
    comment = slot_comment(alias)
    lines = [comment] if comment else []
    lines.append(f"post-up ip address add {address_words(alias)} || true")
    if route := subnet_route(alias):
        lines.append(f"post-up ip route replace {route} || true")
    lines.append(f"pre-down ip address del {alias.cidr} dev {alias.interface} || true")
    return "".join(f"{indent}{line}\n" for line in lines)


def render_address_lines(interface: str, aliases: Iterable[Alias]) -> str:
    """Render a further stanza of the interface, which ifupdown2 and ifupdown-ng merge."""
    lines = [f"iface {interface}\n"]
    for alias in aliases:
        comment = slot_comment(alias) or (
            f"# slot {alias.number}" if alias.number is not None else ""
        )
        lines += [f"    {comment}\n"] if comment else []
        lines.append(f"    address {alias.cidr}\n")
    return "".join(lines)
