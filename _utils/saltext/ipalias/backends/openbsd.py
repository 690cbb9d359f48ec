"""OpenBSD: ``inet alias`` and ``inet6 alias`` lines in ``/etc/hostname.IF``, hostname.if(5).

Our lines stand in a marked block: netstart passes over comments (parse_hn_line). It comes
behind everything that configures the link, for ``inet`` without ``alias`` takes the first
address away before it sets its own, and before the other ``!`` commands, whose routes may
need the addresses. No daemon reads the file: at boot ``/etc/netstart`` runs what it says, and
live the kernel is changed by ``ifconfig``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import OwnerError, ParseError, RefusedError, UnsupportedError
from ..host import Host
from ..live.bsd import has_broadcast
from ..model import (
    IPV4,
    IPV6,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)
from ..text import blocks
from . import openbsd_netstart as netstart

NAME = "openbsd"
_SOURCE4 = (
    "OpenBSD's kernel has nothing that keeps one IPv4 address from being a source;"
    " `route sourceaddr` names the one source of the whole routing table instead"
)
UNSUPPORTED = {
    "label": "an address of OpenBSD has no label",
    "source4": _SOURCE4,
    "wide_source4": _SOURCE4,
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("openbsd",)
STORED = False

NETSTART = "/etc/netstart"
_HOSTNAME = "/etc/hostname."
#: Names that ifstart takes; it passes over the rest.
_NAME = re.compile(r"[A-Za-z]+[0-9]+")
#: A file named by the hardware address, as of OpenBSD 7.3; it goes before the one by name.
_BY_ADDRESS = f"{_HOSTNAME}*:*:*:*:*:*"
#: hostname.if(5), FILES; netstart complains of any other and mends it.
_MODE = 0o640
#: A netstart that only prints with ``-n`` (1.180 of 2017 and later) has this variable. One
#: without it takes ``-n`` for an interface, passes over it, and configures the one behind it.
_PRINTS = "PRINT_ONLY"


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether a hostname.if(5) file names the interface.

    ``lo0`` needs none: netstart configures it by itself, and reads one if it is there.
    """
    path = _file_of(host, interface)
    if host.exists(path):
        return _evidence(interface, 2, (f"{path} configures it",), path)
    if interface == "lo0":
        return _evidence(interface, 2, ("netstart configures lo0 without a file",), None)
    return Evidence(NAME, interface, False, 0, (f"there is no {path}",), None, {"path": path})


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    Without a file nobody configures the link at boot; one that is named here gets a file with
    its aliases alone, and netstart brings it up with them.

    :raises OwnerError: netstart would pass over a file of that name.
    """
    evidence = detect(host, interface)
    if evidence.owns:
        return evidence
    if not _NAME.fullmatch(interface):
        raise OwnerError(
            f"{NAME}: netstart starts interfaces named by letters and a number only",
            where=interface,
            way_out="name another interface",
        )
    return _evidence(interface, 1, (*evidence.reasons, "it was named by the user"), None)


def _evidence(
    interface: str, strength: int, reasons: tuple[str, ...], path: str | None
) -> Evidence:
    facts = {"path": path or f"{_HOSTNAME}{interface}"}
    return Evidence(NAME, interface, True, strength, reasons, path, facts)


def _file_of(host: Host, interface: str) -> str:
    """Return the file that netstart reads for an interface.

    ``ifconfig -M`` tells which one has a hardware address, and nothing where two have it.
    """
    if _NAME.fullmatch(interface):
        for path in host.glob(_BY_ADDRESS):
            asked = ("ifconfig", "-M", path.removeprefix(_HOSTNAME))
            if host.run(asked).out.strip() == interface:
                return path
    return f"{_HOSTNAME}{interface}"


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the file sets, as netstart would leave them.

    ``inet`` without ``alias`` takes the first IPv4 address away; of two forms of one IPv4
    address the last stays, of an IPv6 address the first. What stands in our block is listed
    whatever comes behind it.

    :raises ParseError: naming the line that cannot be read as netstart reads it.
    """
    path = evidence.facts["path"]
    text = host.read(path)
    if text is None:
        return []
    block = blocks.find_block(text, evidence.interface, path)
    lines = netstart.read_lines(text)
    state = _State(path, evidence.interface)
    for command in netstart.read_commands(lines, evidence.interface, path):
        setting = netstart.read_setting(command, evidence.interface, path)
        if setting is not None:
            inside = block is not None and block.first < command.first <= block.last
            state.apply(setting, command.first + 1, ours=inside)
    return state.found()


class _State:
    """Hold the addresses of a link while the commands of its file are followed."""

    def __init__(self, path: str, interface: str) -> None:
        self._path, self._interface = path, interface
        #: By family and address, in the kernel's order.
        self._held: dict[int, dict[str, list[Found]]] = {IPV4: {}, IPV6: {}}
        self._ours: dict[int, Found] = {}

    def apply(self, setting: netstart.Setting, line: int, *, ours: bool) -> None:
        """Follow one command."""
        held = self._held[setting.family]
        if setting.verb == "clear":
            held.clear()
        elif setting.verb == "delete":
            held.pop(setting.address, None)
        else:
            if setting.verb == "replace" and held:
                held.pop(next(iter(held)))
            source = SOURCE_NEVER if setting.hidden else SOURCE_AUTO
            alias = Alias(setting.address, setting.prefix, self._interface, source=source)
            found = Found(alias, self._path, line, ours)
            before = held.get(setting.address, [])
            if before and before[0].alias.prefix != setting.prefix:
                if setting.family == IPV6:
                    return
                before = []
            # One that is set again goes to the end of the kernel's list.
            held.pop(setting.address, None)
            held[setting.address] = [*before, found]
            if ours:
                self._ours[line] = found

    def found(self) -> list[Found]:
        """Return what is left, by line."""
        left = dict(self._ours)
        for held in self._held.values():
            left.update((found.line, found) for each in held.values() for found in each)
        return [left[line] for line in sorted(left)]


def render(wanted: Wanted, host: Host) -> list[File]:
    """Put our lines into the block, and take adopted lines out.

    :raises ParseError: where a block of ours would change what the rest of the file does.
    :raises UnsupportedError: where more than an address would be lost with an adopted line.
    """
    path = wanted.evidence.facts["path"]
    text = host.read(path)
    if text is None and not wanted.aliases:
        return []
    after = text
    if wanted.adopt and text is not None:
        after = _without(text, path, wanted)
    if wanted.aliases:
        body = "".join(f"{_line(alias)}\n" for alias in wanted.aliases)
        at = None
        if after is not None and blocks.find_block(after, wanted.interface, path) is None:
            at = _place(after, path, wanted.interface)
        after = blocks.replace_block(after, wanted.interface, body, path, at=at)
    elif after is not None:
        after = blocks.remove_block(after, wanted.interface, path)
    return [File(path, after, _MODE, owned=False)]


def _line(alias: Alias) -> str:
    if alias.family == IPV6:
        return f"inet6 alias {alias.address} {alias.prefix}" + (
            " pltime 0" if alias.never_source else ""
        )
    broadcast = f" {alias.broadcast}" if has_broadcast(alias) else ""
    return f"inet alias {alias.address} {alias.netmask}{broadcast}"


def _place(text: str, path: str, interface: str) -> int:
    """Return the index of the line before which our block goes.

    :raises ParseError: where a line that is without effect would get one by it, or the other
        way round.
    """
    lines = netstart.read_lines(text)
    if blocks.newline_of(text) == "\r\n" and lines:
        raise netstart.carriage_return(path, lines[0])
    if lines and lines[-1].effective and not lines[-1].ended and lines[-1].words[0][0] != "!":
        raise ParseError(
            path,
            lines[-1].first + 1,
            "netstart does not come to a last line that has no newline: this one does nothing",
            way_out="end the line with a newline, or take it out",
        )
    commands = netstart.read_commands(lines, interface, path)
    behind = [line.last + 1 for line in netstart.setting_lines(lines, commands, interface)]
    if behind:
        return behind[-1]
    first = (line.first for line in lines if line.effective)
    return next(first, len(blocks.split_lines(text)))


def _without(text: str, path: str, wanted: Wanted) -> str:
    """Return a text without the adopted lines, every other byte kept."""
    interface = wanted.interface
    lines = netstart.read_lines(text)
    by_first = {line.first: line for line in lines}
    commands = {c.first: c for c in netstart.read_commands(lines, interface, path)}
    asked = {found.alias.cidr: found for found in wanted.adopt}
    settings = {
        first: setting
        for first, command in commands.items()
        if (setting := netstart.read_setting(command, interface, path)) is not None
    }
    for found in wanted.adopt:
        setting = settings.get(found.line - 1)
        if setting is None or f"{setting.address}/{setting.prefix}" != found.alias.cidr:
            raise RefusedError(
                f"{found.alias.cidr} no longer stands here",
                where=f"{path}:{found.line}",
                way_out="run again",
            )
    block = blocks.find_block(text, interface, path)
    gone: set[int] = set()
    for first, setting in settings.items():
        if block is not None and block.first < first < block.last:
            continue
        if f"{setting.address}/{setting.prefix}" in asked and setting.verb != "clear":
            _refuse_loss(setting, commands[first], by_first[first], path)
            gone.update(range(first, by_first[first].last + 1))
    kept = [raw for index, raw in enumerate(blocks.split_lines(text)) if index not in gone]
    return "".join(kept)


def _refuse_loss(
    setting: netstart.Setting, command: netstart.Command, line: netstart.Line, path: str
) -> None:
    if not command.packed:
        what = "a command sets it, which only its author can take back"
    elif setting.verb == "delete":
        what = f"the line takes {setting.address} away"
    elif setting.verb == "replace":
        what = "without `alias` it is the interface's own address"
    elif setting.more or command.last != line.last:
        what = "an option or the other end would be lost with the line"
    else:
        return
    raise UnsupportedError(
        f"{setting.address}/{setting.prefix} cannot be adopted: {what}",
        where=f"{path}:{command.first + 1}",
        way_out="take the line out by hand, or leave the address where it is",
    )


def validate(change: Change, host: Host) -> list[Command]:
    """Let netstart itself say what it makes of the file, and hold our lines against it.

    ``sh /etc/netstart -n IF`` prints the commands and runs none, netstart(8); its exit code
    tells nothing. So it is asked here, once the file is written, and no command is left.

    :raises OwnerError: netstart would not set one of our addresses as we mean it.
    """
    path = change.evidence.facts["path"]
    texts = [file.text for file in change.files if file.path == path and file.text is not None]
    # On the way back the old text is still to be written when this is asked.
    if not texts or host.read(path) != texts[0] or not _can_print(host, path):
        return []
    said = host.run(("sh", NETSTART, "-n", change.interface))
    commands = set(said.out.splitlines())
    for command in _ours(texts[0], path, change.interface):
        if command.text not in commands:
            heard = (said.err or (said.out if said.code else "")).strip().splitlines()
            raise OwnerError(
                f"`sh {NETSTART} -n {change.interface}` does not come to `{command.text}`"
                + (f": {heard[0]}" if heard else ""),
                where=f"{path}:{command.first + 1}",
                way_out="look at the lines above it",
            )
    return []


def _can_print(host: Host, path: str) -> bool:
    """Tell whether netstart can be asked without any effect.

    It mends the mode and owner of a file that others may read, also with ``-n``; whether it
    would is looked up as it does (ifstart).
    """
    if _PRINTS not in (host.read(NETSTART) or ""):
        return False
    words = host.run(("ls", "-nL", path)).out.split()
    return len(words) > 3 and f"{words[0].rstrip('+')[-3:]} {words[2]} {words[3]}" == "--- 0 0"


def _ours(text: str, path: str, interface: str) -> Iterable[netstart.Command]:
    """Yield the commands that our block becomes."""
    block = blocks.find_block(text, interface, path)
    for command in netstart.read_commands(netstart.read_lines(text), interface, path):
        if block is not None and block.first < command.first < block.last:
            yield command


def activate(change: Change, host: Host) -> Activation:
    """Return nothing: the kernel is changed by ``ifconfig``, and no daemon is to be told."""
    return Activation()


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return netstart for the interface, or for all; the gentlest restart is none.

    For one interface it runs every line of the file again: ``inet`` without ``alias`` takes
    the interface's first address away and sets it again, and the routes over it go. Then it
    adds the routes of ``/etc/mygate``.
    """
    argvs: dict[str, tuple[tuple[str, ...], ...]] = {
        "alias": (),
        "interface": (("sh", NETSTART, evidence.interface),),
        "network": (("sh", NETSTART),),
    }
    return [Command(argv, timeout=120.0) for argv in argvs[scope]]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: an address of OpenBSD has no label."""
    return None
