"""NetworkManager: the addresses of the profile that is active on the link, in its keyfile.

A keyfile has no drop-ins and no place to mark a line as ours, so the owning file is edited
in place and the ledger tells what is ours. Beside an address it can hold a gateway and
nothing else: only routes have attributes (``nm-keyfile.c``, ``fill_route_attributes``;
nm-settings-keyfile(5)).

The daemon is told by ``nmcli connection load`` alone. Seen on 1.42 and 1.52: that touches
nothing live, the address survives leases, router advertisements, a restart of the daemon
and comes back by itself after a loss of carrier. ``nmcli device reapply`` is never run: it
takes away every foreign address, and, whatever has changed, every IPv6 address of the link
with the default route, because it switches IPv6 off and on ("addrgenmode6: toggle
disable_ipv6"). Its D-Bus flag to preserve external addresses saves the foreign ones only,
and on 1.42 the IPv6 primary does not come back at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import OwnerError, ParseError, UnsupportedError
from ..host import Host
from ..model import IPV4, IPV6, Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from ..text import ini
from . import networkmanager_keyfile as keyfile

NAME = "networkmanager"
_NOWHERE = "a NetworkManager keyfile stores an address and a gateway, {} has no place in it"
UNSUPPORTED = {
    "label": _NOWHERE.format("a label"),
    "source4": _NOWHERE.format("the scope of an address"),
    "source6": _NOWHERE.format("the preferred lifetime of an address"),
    "wide_source4": _NOWHERE.format("the scope of an address"),
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False

_ETC = "/etc/NetworkManager/system-connections"
_RUN = "/run/NetworkManager/system-connections"
#: Names the daemon passes over (``nm_keyfile_utils_ignore_filename``).
_IGNORED = re.compile(r"(^\.)|(~|\.bak|\.rpm(new|save|orig)|\.dpkg-[a-z]+|\.[A-Z0-9]{6})$")
#: As of this version ``nmcli --offline`` is there.
_OFFLINE = (1, 40)
#: Up to this version an address that was taken away live stays away; 1.52 sets it again
#: with its next lease or router advertisement where the active connection still has it.
_FORGETS = (1, 42)
#: As of this version an absent ``[ipv6]`` means addr-gen-mode=default.
_ADDR_GEN_DEFAULT = (1, 40)


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether NetworkManager manages the link, by its own word where it runs.

    Not by ``/run/NetworkManager/devices``: on 1.42 the connection is missing there for
    seconds after it is active.
    """
    running, version = _daemon(host)
    if not running:
        return _stopped(host, interface, version)
    facts = {"running": "yes", "version": version}
    reasons = [f"NetworkManager {version} runs"]
    shown = host.run(
        ("nmcli", "-t", "-f", "GENERAL.STATE,GENERAL.CON-UUID", "device", "show", interface)
    )
    told = {words[0]: words[-1] for words in map(_terse, shown.out.splitlines())}
    state, uuid = told.get("GENERAL.STATE", ""), told.get("GENERAL.CON-UUID", "")
    owns = False
    path = ""
    if not state:
        reasons.append(f"it knows no {interface}")
    elif state.startswith("10 "):
        reasons.append(f"it leaves {interface} unmanaged")
    elif "externally" in state:
        reasons.append(f"it only watches {interface}, which something else has configured")
    elif not uuid:
        reasons.append(f"no profile is active on {interface}: {state}")
    else:
        reasons.append(f"the profile {uuid} is active on {interface}: {state}")
        path = _file_of(host, uuid)
        facts["uuid"] = uuid
        owns = _judge(path, facts, reasons)
    return Evidence(
        NAME,
        interface,
        owns,
        3 if owns else 0,
        tuple(reasons),
        path if owns and path.startswith(f"{_ETC}/") else None,
        facts,
    )


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises OwnerError: when no keyfile names the interface either.
    """
    evidence = detect(host, interface)
    if evidence.owns:
        return evidence
    path = _named(host, interface)
    reasons = (*evidence.reasons, "NetworkManager was named by the user")
    if path is None:
        raise OwnerError(
            f"{NAME}: {'; '.join(reasons)}; no keyfile in {_ETC} names the interface",
            where=interface,
            way_out=f"write a profile with interface-name={interface}, or name another backend",
        )
    return Evidence(NAME, interface, True, 1, (*reasons, f"{path} names it"), path, evidence.facts)


def _daemon(host: Host) -> tuple[bool, str]:
    """Return whether the daemon runs, and its version or that of its tool."""
    words = _terse(host.run(("nmcli", "-t", "-f", "RUNNING,VERSION", "general")).out.strip())
    if words[0] == "running":
        return True, words[1] if len(words) > 1 else ""
    tool = re.search(r"version (\S+)", host.run(("nmcli", "--version")).out)
    return False, tool[1] if tool else ""


def _stopped(host: Host, interface: str, version: str) -> Evidence:
    path = _named(host, interface)
    reasons = ["NetworkManager does not run"]
    if path:
        reasons.append(f"{path} names {interface}")
    return Evidence(
        NAME,
        interface,
        path is not None,
        1 if path else 0,
        tuple(reasons),
        path,
        {"running": "no", "version": version},
    )


def _judge(path: str, facts: dict[str, str], reasons: list[str]) -> bool:
    """Tell by where the active profile lies whether it is NetworkManager's own."""
    name = path.rpartition("/")[2]
    if path.startswith(f"{_RUN}/netplan-"):
        reasons.append(f"netplan wrote {path}: it is netplan that owns it")
        return False
    if path and not name.endswith(".nmconnection") and not path.startswith(f"{_ETC}/"):
        reasons.append(f"{path} is not a keyfile: another plugin owns it")
        return False
    facts["profile"] = path
    if not path.startswith(f"{_ETC}/"):
        reasons.append(f"the profile lies in {path or 'memory'}: it is not persistent")
    else:
        reasons.append(f"the profile lies in {path}")
    return True


def _file_of(host: Host, uuid: str) -> str:
    """Return the file of a profile; empty where it is in memory only."""
    listed = host.run(("nmcli", "-t", "-f", "UUID,FILENAME", "connection", "show"))
    for line in listed.out.splitlines():
        words = _terse(line)
        if words[0] == uuid and len(words) > 1:
            return words[1]
    return ""


def _terse(line: str) -> list[str]:
    """Split a line of ``nmcli -t``, in which colon and backslash are escaped."""
    words = [""]
    for piece in re.findall(r"\\.|[^\\]", line):
        if piece == ":":
            words.append("")
        else:
            words[-1] += piece[-1]
    return words


def _named(host: Host, interface: str) -> str | None:
    """Return the keyfile that names an interface; with several the one that wins."""
    mac = (host.read(f"/sys/class/net/{interface}/address") or "").strip().lower()
    best: tuple[bool, int, str] | None = None
    for path in host.glob(f"{_ETC}/*"):
        if _IGNORED.search(path.rpartition("/")[2]):
            continue
        try:
            document = ini.parse(host.read(path) or "", path, ini.KEYFILE)
        except ParseError:
            continue  # the daemon passes over a file that it cannot read, too
        name = keyfile.value_of(document, ["connection"], "interface-name")
        wired = keyfile.value_of(document, ["802-3-ethernet", "ethernet"], "mac-address")
        if name != interface and (name or not mac or wired.lower() != mac):
            continue
        auto = keyfile.value_of(document, ["connection"], "autoconnect") not in ("false", "0")
        priority = keyfile.value_of(document, ["connection"], "autoconnect-priority")
        rank = (auto, int(priority) if re.fullmatch(r"-?[0-9]{1,18}", priority) else 0, path)
        best = rank if best is None or rank[:2] > best[:2] else best
    return best[2] if best else None


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the profile sets, as the daemon reads it.

    Whether one is ours the file cannot tell: the ledger knows.
    """
    path = evidence.file or evidence.facts.get("profile")
    text = host.read(path) if path else None
    if not path or text is None:
        return []
    document = ini.parse(text, path, ini.KEYFILE)
    return list(_found(document, evidence.interface))


def _found(document: ini.Document, interface: str) -> Iterator[Found]:
    for family in (IPV4, IPV6):
        for slot in keyfile.slots(document, family):
            if slot.cidr is not None:
                address, _, prefix = slot.cidr.partition("/")
                alias = Alias(address, int(prefix), interface)
                yield Found(alias, document.path, slot.entry.line, ours=None)


def render(wanted: Wanted, host: Host) -> list[File]:
    """Edit the owning keyfile: our addresses behind those that are there.

    The number of a key decides the order, so the highest one keeps the primary first. A
    foreign address that is adopted stays where it stands: it becomes ours in the ledger.

    :raises UnsupportedError: where the profile is not persistent, or takes no addresses.
    """
    evidence = wanted.evidence
    if evidence.file is None:
        if not wanted.aliases and not wanted.former:
            return []
        raise _not_persistent(evidence)
    text = host.read(evidence.file)
    if text is None:
        raise OwnerError(
            "the profile's file is gone",
            where=evidence.file,
            way_out="run again once NetworkManager has a profile for the interface",
        )
    document = ini.parse(text, evidence.file, ini.KEYFILE)
    version = _version(evidence)
    added = {
        family: keyfile.edit(
            document,
            family,
            [alias for alias in wanted.aliases if alias.family == family],
            [alias for alias in wanted.former if alias.family == family],
            _missing_section(family, version),
        )
        for family in (IPV4, IPV6)
    }
    for family, entries in added.items():
        if entries:
            document.add_section(keyfile.SECTIONS[family], entries)
    return [File(evidence.file, document.text(), 0o600, owned=False)]


def _missing_section(family: int, version: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return what a missing section means, for one that we must make.

    A section without addr-gen-mode means eui64 and a missing section does not: without
    the word the link-local address of the host would change.
    """
    if family == IPV4:
        return [("method", "auto")]
    old = version and version < _ADDR_GEN_DEFAULT
    return [("addr-gen-mode", "stable-privacy" if old else "default"), ("method", "auto")]


def _not_persistent(evidence: Evidence) -> UnsupportedError:
    uuid = evidence.facts.get("uuid", "UUID")
    place = evidence.facts.get("profile") or "memory"
    return UnsupportedError(
        f"the active profile {uuid} lies in {place}, where an edit would not last",
        where=evidence.interface,
        way_out=f"`nmcli connection modify {uuid} connection.autoconnect yes` writes it to"
        f" {_ETC} and touches nothing live; then run again",
    )


def _version(evidence: Evidence) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", evidence.facts.get("version", ""))
    return (int(found[1]), int(found[2])) if found else ()


def validate(change: Change, host: Host) -> list[Command]:
    """Return a command that reads the file by the daemon's own parser and changes nothing.

    ``nmcli connection load`` exits 0 for a file that it cannot load. That the daemon takes
    each address for what we mean is checked by `parse`, which reads as it does.
    """
    if _version(change.evidence) < _OFFLINE:
        return []
    return [
        Command(("nmcli", "--offline", "connection", "modify"), stdin=file.text)
        for file in change.files
        if file.text is not None
    ]


def activate(change: Change, host: Host) -> Activation:
    """Have the daemon load the profile; the kernel is changed by ``ip -batch``."""
    if change.evidence.facts.get("running") != "yes":
        return Activation(note="NetworkManager does not run: it reads the file when it starts")
    tell = tuple(
        Command(("nmcli", "connection", "load", file.path))
        for file in change.files
        if file.text is not None
    )
    return Activation(tell=tell, note=_may_return(change))


def _may_return(change: Change) -> str:
    """Return a warning where the daemon may set an address again that was taken away."""
    if not change.removed or _version(change.evidence) <= _FORGETS:
        return ""
    if not any(_is_dynamic(file) for file in change.files):
        return ""
    interface = change.interface
    return (
        f"NetworkManager {change.evidence.facts.get('version')} may set what was taken away"
        f" again, at the next lease or router advertisement, until {interface} is activated"
        f" anew; `nmcli device reapply {interface}` ends that at once, but takes every"
        " IPv6 address and every foreign one away"
    )


def _is_dynamic(file: File) -> bool:
    """Tell whether leases or router advertisements come in by a profile."""
    document = ini.parse(file.text or "", file.path, ini.KEYFILE)
    methods = [keyfile.value_of(document, [name], "method") for name in keyfile.SECTIONS.values()]
    return any(method in ("", "auto", "dhcp") for method in methods)


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return a load of the profile, a new activation of the link, or a restart of the service.

    Never ``nmcli device reapply``: NetworkManager 1.42 and 1.52 take every IPv6 address of
    the link away with it and set them again, the primary included (seen).
    """
    file = evidence.facts.get("keyfile") or evidence.file or ""
    argvs: dict[str, tuple[str, ...]] = {
        "alias": ("nmcli", "connection", "load", file),
        "interface": ("nmcli", "device", "connect", evidence.interface),
        "network": ("systemctl", "restart", "NetworkManager.service"),
    }
    return [Command(argvs[scope], timeout=120.0)]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: an address of a profile carries no label of its own."""
    return None
