"""Gentoo's netifrc: the list ``config_IFACE`` in ``/etc/conf.d/net``, edited in place.

A list has no place for a mark, so the ledger tells which of its items are ours. What is written
is a string with an item a line: the alias guide's array is a syntax error to every ``/bin/sh``
but bash, and the net then does not start. Where the file has an array and bash reads it, it
stays one.

Live changes are made by ``ip -batch`` alone. netifrc reads its files when the service is
started, and there is nothing to tell it: a restart flushes every address of the interface and
sets it down (``stop`` of ``init.d/net.lo``).

Formats: netifrc's ``net.example``, ``init.d/net.lo``, ``net/iproute2.sh``; the alias guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from ..errors import OwnerError, RefusedError, UnsupportedError
from ..host import Host
from ..model import Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from . import netifrc_edit, netifrc_items
from . import netifrc_files as files
from . import netifrc_owner as owner
from .netifrc_items import ARRAY, DHCP, IPROUTE2, NOOP, STRING, Item, render_item

NAME = "netifrc"
UNSUPPORTED = {
    "wide_source4": "netifrc gives such an address no route to its subnet, and the routes_ lists"
    " are left alone; write it as a /32",
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
#: ``string``: an item a line. ``array``: bash's, the alias guide's form.
OPTIONS = MappingProxyType({"form": (STRING, ARRAY)})
SYSTEMS = ("linux",)
STORED = False

_INIT_D = "/etc/init.d"
#: In every version of ``init.d/net.lo``, and in no other script.
_OWN_WORD = "_config_vars"
_RESTART_TIMEOUT = 120.0


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether netifrc brings the interface up: by its service, which OpenRC starts.

    Not by the list alone, which stays behind where another has taken over; nor by the script,
    which every Gentoo host has.
    """
    script = f"{_INIT_D}/net.{interface}"
    text = host.read(script)
    if text is None:
        return _no_owner(interface, f"there is no {script}")
    if _OWN_WORD not in text:
        return _no_owner(interface, f"{script} is not netifrc's")
    named, path = owner.named(host, interface)
    reasons = [f"{path} has a list for {interface}" if named else f"{path} names no {interface}"]
    started = owner.is_started(host, f"net.{interface}")
    levels = [path.split("/")[3] for path in host.glob(f"/etc/runlevels/*/net.{interface}")]
    strength = 1 if named else 0
    if not host.exists(f"{files.RUN}/softlevel"):
        reasons.append("OpenRC does not run")
    elif started:
        reasons.append(f"OpenRC has started net.{interface}")
        strength = 2
    elif owner.is_started(host, "dhcpcd"):
        reasons.append(f"the service dhcpcd runs and net.{interface} is not started")
        strength = 0
    elif levels:
        reasons.append(f"net.{interface} is in the runlevel {', '.join(levels)}, not started")
        strength = 2
    else:
        reasons.append(f"net.{interface} is in no runlevel and not started")
    facts = {"script": script, **owner.facts_of(host, interface)}
    return Evidence(NAME, interface, strength > 0, strength, tuple(reasons), path, facts)


def _no_owner(interface: str, reason: str) -> Evidence:
    return Evidence(NAME, interface, False, 0, (reason,))


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface of which the user says that netifrc owns it.

    :raises OwnerError: when it has neither the service nor a list.
    """
    found = detect(host, interface)
    if found.owns:
        return found
    named, path = owner.named(host, interface)
    reasons = (*found.reasons, "netifrc was named by the user")
    if not named and "script" not in found.facts:
        raise OwnerError(
            f"{NAME}: {'; '.join(reasons)}; {path} has no list for it",
            where=interface,
            way_out=f"make the service (`ln -s net.lo {_INIT_D}/net.{interface}`), or name another"
            " backend",
        )
    facts = found.facts or owner.facts_of(host, interface)
    return Evidence(NAME, interface, True, 1, reasons, path, facts)


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address of the list, as netifrc reads it.

    :raises ParseError: with file and line, for a list that only a shell can tell.
    """
    setting = _setting(host, evidence)
    return [
        Found(item.alias, setting.path, line, ours=None)
        for item, line in zip(setting.items, setting.lines, strict=True)
        if item.alias is not None
    ]


def _setting(host: Host, evidence: Evidence) -> files.Setting:
    module = evidence.facts.get("module", IPROUTE2)
    return files.read_setting(host, evidence.interface, module)


def render(wanted: Wanted, host: Host) -> list[File]:
    """Edit the list: our items behind those that are there, so that the primary stays first.

    :raises UnsupportedError: where the list cannot be edited, or would not be read.
    :raises RefusedError: where an item of ours has got a setting that is not ours.
    """
    setting = _setting(host, wanted.evidence)
    changed, new = _changes(setting, wanted)
    asked = wanted.options.get("form")
    form = str(asked) if asked in OPTIONS["form"] else setting.form or STRING
    converts = bool(wanted.aliases) and setting.form is not None and form != setting.form
    if wanted.aliases:
        _refuse_unread(setting, wanted, form, host)
    if not new and not converts and changed == [item.text for item in setting.items]:
        return []
    text = _edited(setting, wanted, changed, new, form if wanted.aliases else None)
    if text is not None:
        _check(setting, wanted, text)
    return [File(setting.path, text, 0o644, owned=False)]


def _changes(setting: files.Setting, wanted: Wanted) -> tuple[list[str | None], list[Alias]]:
    """Return what becomes of each item (None: it goes), and the aliases that come in."""
    missing = {alias.cidr: alias for alias in wanted.aliases}
    going = {alias.cidr for alias in wanted.former}
    going |= {found.alias.cidr for found in wanted.adopt}
    going -= set(missing)
    form = setting.form or STRING
    changed: list[str | None] = []
    for item in reversed(setting.items):
        # Of equal items the last one, where we put ours.
        cidr = item.cidr or ""
        if cidr in going:
            going.remove(cidr)
            _refuse_more(setting, item)
            changed.append(None)
        elif cidr in missing:
            alias = missing.pop(cidr)
            same = item.alias is not None and _says(item.alias) == _says(alias)
            if not same:
                _refuse_more(setting, item)
            changed.append(item.text if same else render_item(alias, form))
        else:
            changed.append(item.text)
    changed.reverse()
    return changed, [alias for alias in wanted.aliases if alias.cidr in missing]


def _says(alias: Alias) -> tuple[str | None, bool]:
    return netifrc_items.live_label(alias), alias.never_source


def _refuse_more(setting: files.Setting, item: Item) -> None:
    if not item.bare:
        line = setting.lines[setting.items.index(item)]
        raise RefusedError(
            f"`{item.text}` says more than an alias of ours does",
            where=f"{setting.path}:{line}",
            way_out="take the rest out of the line, or the whole line, then run again",
        )


def _edited(
    setting: files.Setting,
    wanted: Wanted,
    changed: list[str | None],
    new: list[Alias],
    form: str | None,
) -> str | None:
    """Return the file's text with the list edited; None where it is not to be.

    :param form: None to keep it, whatever it is.
    """
    has = setting.form
    if len(setting.assignments) > 1:
        raise UnsupportedError(
            f"`{setting.name}` is put together by `+=`",
            where=setting.where,
            way_out="write it as one list",
        )
    if has is None:
        texts = [render_item(alias, form or STRING) for alias in new]
        if wanted.interface == "lo":
            return files.new_list(setting, texts, form or STRING, "for its aliases")
        why = f"no {setting.name} meant DHCP"
        return files.new_list(setting, [DHCP, *texts], form or STRING, why)
    left = [text for text in changed if text is not None]
    if not new and setting.made_by_us and left in ([], [DHCP]):
        return files.without_list(setting)
    if not setting.items and new and wanted.interface != "lo":
        raise UnsupportedError(
            f"`{setting.name}` is empty, which means DHCP",
            where=setting.where,
            way_out=f'write it as {setting.name}="{DHCP}"',
        )
    if form not in (None, has):
        return _converted(setting, wanted, left, new, str(form))
    if setting.spaced:
        _refuse_settings(setting, [*new, *_rewritten(setting, wanted, changed)])
    texts = [render_item(alias, has, plain=setting.spaced) for alias in new]
    edited = netifrc_edit.edited_array if has == ARRAY else netifrc_edit.edited_string
    return edited(setting, changed, texts)


def _rewritten(
    setting: files.Setting, wanted: Wanted, changed: Sequence[str | None]
) -> list[Alias]:
    """Return the aliases whose items are there and get another text."""
    pairs = zip(setting.items, changed, strict=True)
    cidrs = {item.cidr for item, text in pairs if text not in (None, item.text)}
    return [alias for alias in wanted.aliases if alias.cidr in cidrs]


def _refuse_settings(setting: files.Setting, aliases: Sequence[Alias]) -> None:
    """Refuse a label or a scope where an item is a word of a line."""
    for alias in aliases:
        if not netifrc_items.is_plain(alias):
            raise UnsupportedError(
                f"`{setting.name}` has its addresses on one line, where {alias.cidr} can have no"
                " label and no `source: never`",
                where=setting.where,
                way_out="put each address on a line of its own",
            )


def _converted(
    setting: files.Setting,
    wanted: Wanted,
    left: list[str],
    new: list[Alias],
    form: str,
) -> str:
    arrays = []
    routes = f"routes_{files.shell_var(wanted.interface)}"
    found = setting.document.get(routes)
    if form == STRING and not _is_bash(wanted.evidence) and found is not None and found.is_array:
        # To another shell the file stays a syntax error for as long as there is one.
        arrays.append(routes)
    texts = [*left, *(render_item(alias, form) for alias in new)]
    return files.converted(setting, texts, form, arrays)


def _is_bash(evidence: Evidence) -> bool:
    return evidence.facts.get("shell", "").rpartition("/")[2] == "bash"


def _refuse_unread(setting: files.Setting, wanted: Wanted, form: str, host: Host) -> None:
    """Refuse a file that netifrc would not read, or not to the end of the list.

    :raises UnsupportedError: with file and line.
    """
    for item, line in zip(setting.items, setting.lines, strict=True):
        if item.text.split(" ")[0] == NOOP:
            raise UnsupportedError(
                "`noop` ends the list where the interface has an address, and no alias behind it"
                " would be set",
                where=f"{setting.path}:{line}",
                way_out="take `noop` out",
            )
    _refuse_namesake(setting, wanted, host)
    if not _is_bash(wanted.evidence):
        _refuse_arrays(setting, wanted, form)


def _refuse_namesake(setting: files.Setting, wanted: Wanted, host: Host) -> None:
    links = [path.rpartition("/")[2] for path in host.glob("/sys/class/net/*")]
    same = [name for name in links if f"config_{files.shell_var(name)}" == setting.name]
    others = [name for name in same if name != wanted.interface]
    if others:
        raise UnsupportedError(
            f"`{setting.name}` is the list of {others[0]} as well",
            where=wanted.interface,
            way_out="rename one of the two interfaces",
        )


def _refuse_arrays(setting: files.Setting, wanted: Wanted, form: str) -> None:
    shell = wanted.evidence.facts.get("shell") or "unknown"
    why = f"/bin/sh is {shell}: to any shell but bash an array is a syntax error, and the net"
    if form == ARRAY:
        raise UnsupportedError(
            f"{why} would not start",
            where=setting.where,
            way_out=f"set `form: {STRING}` for {wanted.interface}, which"
            f" {'converts' if setting.form == ARRAY else 'writes'} it",
        )
    mine = (setting.name, f"routes_{files.shell_var(wanted.interface)}")
    for name in setting.document.names():
        for found in setting.document.all(name):
            converted = setting.form == ARRAY and name in mine and not found.append
            if not found.is_array or (converted and not found.opaque):
                continue
            raise UnsupportedError(
                f"`{name}`: {why} does not start",
                where=f"{setting.path}:{found.line}",
                way_out=f'write it as {name}="…", an item on a line',
            )


def _check(setting: files.Setting, wanted: Wanted, text: str) -> None:
    """Hold the edited list against what it shall be: every other item is read as before.

    A list of one line is read otherwise than one of several, so that an edit can change what
    the rest means.

    :raises UnsupportedError: where it does.
    """
    now = files.reread(setting, text, wanted.evidence.facts.get("module", IPROUTE2))
    ours = {alias.cidr for alias in (*wanted.aliases, *wanted.former)}
    ours |= {found.alias.cidr for found in wanted.adopt}
    implied = [] if wanted.interface == "lo" else [DHCP]
    before, after = (
        [item.text for item in one.items if item.cidr not in ours] if one.items else implied
        for one in (setting, now)
    )
    missing = {alias.cidr for alias in wanted.aliases} - {item.cidr for item in now.items}
    if before != after or missing:
        raise UnsupportedError(
            f"the edited list would be read as {after}, not as {before}",
            where=setting.where,
            way_out="put each address on a line of its own",
        )


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: netifrc has none that reads its files without acting on them."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return nothing to run: netifrc reads its files when the service starts."""
    return Activation()


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return nothing, a restart of the interface's service, or of every one that is started.

    The service stops those that need it, and starts them again (``svc_restart`` of OpenRC's
    ``openrc-run.c``). OpenRC has no service for the network as a whole. The loopback one is left
    alone: nothing of the network's configuration is gained by it.
    """
    own = f"net.{evidence.interface}"
    services: list[str] = []
    if scope == "interface":
        services = [own]
    elif scope == "network":
        scripts = [path.rpartition("/")[2] for path in host.glob(f"{_INIT_D}/net.*")]
        services = [
            name for name in scripts if name != "net.lo" and owner.is_started(host, name)
        ] or [own]
    return [
        Command((f"{_INIT_D}/{name}", "restart"), timeout=_RESTART_TIMEOUT) for name in services
    ]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label with the interface's name before it, as ``ip`` demands; see the items."""
    return netifrc_items.live_label(alias)
