"""systemd-networkd: a drop-in of our own beside the ``.network`` file that owns the link.

networkd keeps only the last ``Address=`` of an ``[Address]`` section, so every alias gets a
section of its own. Drop-ins are named after the file they extend and may lie in /etc even
when that file lies in /run or /usr, so nothing foreign is edited (systemd.network(5)).

``source: never`` is ``Scope=host`` on IPv4, which the kernel skips when it chooses a
source, and ``PreferredLifetime=0`` on IPv6. Seen on 252 and 257: both are set as written.
networkd has no check of its own for ``.network`` files (``systemd-analyze verify`` refuses
them), so `validate` has nothing to run.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator

from ..errors import OwnerError, RefusedError, UnsupportedError
from ..host import Host
from ..model import (
    IPV4,
    MAX_LABEL,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)
from ..text import ini
from . import networkd_files

NAME = "networkd"
UNSUPPORTED: dict[str, str] = {}
#: Static addresses a link holds, those of foreign files included. Beyond it networkd drops
#: addresses with a line in the journal only (``networkd-address.c``).
MAX_ADDRESSES: int | None = 8192
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False

_NETPLAN = "/run/systemd/network/10-netplan-"
_SERVICE = "systemd-networkd.service"
#: As of this version a reload leaves addresses alone that did not change (seen: 255, 257).
GENTLE_RELOAD = 255
#: Keys of an ``[Address]`` section that an alias of ours expresses, and values where not all.
_EXPRESSED: dict[str, tuple[str, ...] | None] = {
    "Address": None,
    "Label": None,
    "PreferredLifetime": None,
    "Scope": ("global", "host"),
}


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether networkd manages the link, by its own word where it runs."""
    running = is_running(host)
    reasons = [f"{_SERVICE} {'runs' if running else 'does not run'}"]
    state = link_state(host, interface) if running else {}
    admin = state.get("ADMIN_STATE", "")
    path: str | None = state.get("NETWORK_FILE") or None
    if admin in ("unmanaged", "unmanaged-foreign"):
        reasons.append(f"networkd leaves {interface} {admin}")
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    managed = path is not None
    if managed:
        reasons.append(f"networkd configures {interface} ({admin}) by {path}")
    else:
        path, seen = _find(host, interface)
        reasons += seen
    if path is None:
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    owns = not path.startswith(_NETPLAN)
    if not owns:
        reasons.append(f"netplan wrote {path}: it is netplan that owns {interface}")
    strength = (3 if running else 1) if owns else 0
    return Evidence(
        NAME,
        interface,
        owns,
        strength,
        tuple(reasons),
        path,
        _facts(host, interface, path, running),
    )


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    A file that netplan wrote will do: a drop-in in /etc for its name outlives what netplan
    generates, and is the way to what netplan itself cannot say.

    :raises OwnerError: when no ``.network`` file is there that a drop-in could extend.
    """
    evidence = detect(host, interface)
    path = evidence.file
    reasons = [*evidence.reasons, "networkd was named by the user"]
    if path is None:
        path, seen = _find(host, interface)
        reasons += [reason for reason in seen if reason not in reasons]
    if path is None:
        raise OwnerError(
            f"networkd: {'; '.join(reasons)}",
            where=interface,
            way_out=f"write a .network file with [Match] Name={interface}, or name another backend",
        )
    facts = evidence.facts or _facts(host, interface, path, is_running(host))
    return Evidence(NAME, interface, True, evidence.strength or 1, tuple(reasons), path, facts)


def is_running(host: Host) -> bool:
    """Tell whether networkd runs; what it left in /run says nothing when it does not."""
    return host.run(("systemctl", "is-active", _SERVICE)).code == 0


def read_version(host: Host) -> str:
    """Return networkd's version as digits, empty where its tool is absent."""
    found = re.match(r"systemd (\d+)", host.run(("networkctl", "--version")).out)
    return found.group(1) if found else ""


def link_state(host: Host, interface: str) -> dict[str, str]:
    """Read what a running networkd says about a link."""
    index = (host.read(f"/sys/class/net/{interface}/ifindex") or "").strip()
    text = host.read(f"/run/systemd/netif/links/{index}") if index else None
    pairs = (line.partition("=") for line in (text or "").splitlines() if line[:1] != "#")
    return {key: value.strip('"') for key, _, value in pairs}


def _find(host: Host, interface: str) -> tuple[str | None, list[str]]:
    links = networkd_files.read_links(host)
    link = links.get(interface, networkd_files.LinkFacts(interface))
    return networkd_files.find_owner(host, link)


def _facts(host: Host, interface: str, path: str, running: bool) -> dict[str, str]:
    name = os.path.basename(path)
    return {
        "version": read_version(host),
        "running": "yes" if running else "no",
        "dropin": f"{networkd_files.FOLDERS[0]}/{name}.d/{networkd_files.OWN}",
        "shared_with": ",".join(_shared_with(host, interface, path, running)),
    }


def _shared_with(host: Host, interface: str, path: str, running: bool) -> list[str]:
    """Return the other links that the same file configures."""
    names = [os.path.basename(link) for link in host.glob("/sys/class/net/*")]
    others = [name for name in names if name != interface]
    if running and link_state(host, interface).get("NETWORK_FILE"):
        return [name for name in others if link_state(host, name).get("NETWORK_FILE") == path]
    links = networkd_files.read_links(host)
    parsed: dict[str, list[ini.Document]] = {}
    return [
        name
        for name in others
        if name in links and networkd_files.find_owner(host, links[name], parsed)[0] == path
    ]


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return the static addresses networkd reads for the interface.

    :raises ParseError: for a file that networkd would refuse.
    """
    return _read(host, evidence)


def _read(host: Host, evidence: Evidence, *, foreign_only: bool = False) -> list[Found]:
    if evidence.file is None:
        return []
    return networkd_files.read_addresses(
        host,
        evidence.interface,
        evidence.file,
        evidence.facts.get("dropin"),
        int(evidence.facts.get("version") or networkd_files.NEWEST),
        foreign_only=foreign_only,
    )


def render(wanted: Wanted, host: Host) -> list[File]:
    """Render the drop-in, and take adopted addresses out of foreign files in /etc.

    A drop-in of ours beside another ``.network`` file is one that an earlier owner of the
    link left behind; it goes.

    :raises UnsupportedError: where networkd or the kernel would not hold what is wanted.
    """
    facts = wanted.evidence.facts
    dropin = facts["dropin"]
    adopted = set(wanted.adopt)
    read = _read(host, wanted.evidence, foreign_only=True)
    refuse_stale(adopted, read)
    foreign = [found for found in read if found not in adopted]
    text: str | None = None
    if wanted.aliases:
        _refuse_shared(wanted)
        refuse_mixed_scopes([*(found.alias for found in foreign), *wanted.aliases])
        text = "\n".join(_lines(wanted.interface, wanted.aliases))
    files = [File(dropin, text)]
    head = _head(wanted.interface)
    for path in host.glob(f"{networkd_files.FOLDERS[0]}/*.network.d/{networkd_files.OWN}"):
        if path != dropin and (host.read(path) or "").startswith(head):
            files.append(File(path, None))
    files.extend(_without(host, wanted.adopt))
    return files


def _head(interface: str) -> str:
    return f"# Aliases of {interface}: "


def _lines(interface: str, aliases: Iterable[Alias]) -> Iterator[str]:
    yield f"{_head(interface)}this file belongs to the ipalias formula, which rewrites it."
    routes: dict[str, None] = {}
    for alias in aliases:
        yield ""
        yield "[Address]"
        yield f"Address={alias.cidr}"
        label = live_label(alias)
        if label:
            yield f"Label={label}"
        if alias.never_source and alias.family == IPV4:
            yield "Scope=host"
            if not alias.single:
                yield "AddPrefixRoute=no"
                routes[str(alias.network_object)] = None
        elif alias.never_source:
            yield "PreferredLifetime=0"
    for destination in routes:
        yield ""
        yield "[Route]"
        yield f"Destination={destination}"
        yield "Scope=link"
    yield ""


def _refuse_shared(wanted: Wanted) -> None:
    others = wanted.evidence.facts.get("shared_with")
    if others:
        raise UnsupportedError(
            f"{wanted.evidence.file} also configures {others.replace(',', ', ')}: an alias in"
            " its drop-in would come up on each of them",
            where=wanted.interface,
            way_out=f"give {wanted.interface} a .network file of its own, sorted before it",
        )


def refuse_stale(adopt: Iterable[Found], read: Iterable[Found]) -> None:
    """Refuse to cut at a place where the address no longer stands.

    :raises RefusedError: when a file changed between reading and rendering.
    """
    for found in set(adopt).difference(read):
        raise RefusedError(
            f"{found.alias.cidr} no longer stands here",
            where=f"{found.path}:{found.line}",
            way_out="run again",
        )


def refuse_mixed_scopes(aliases: Iterable[Alias]) -> None:
    """Refuse two addresses of one subnet and prefix that differ in scope.

    The kernel answers "Invalid scope value" to the second, and networkd then gives the
    whole link up as failed (seen on 252).

    :raises UnsupportedError: naming the address that asks never to be a source.
    """
    seen: dict[object, Alias] = {}
    for alias in aliases:
        if alias.family != IPV4 or alias.single:
            continue
        other = seen.setdefault(alias.network_object, alias)
        if other.never_source != alias.never_source:
            never, rest = (other, alias) if other.never_source else (alias, other)
            raise UnsupportedError(
                f"{never.cidr} cannot be kept from being a source: it shares its subnet with"
                f" {rest.cidr}, and the kernel wants one scope in a subnet",
                where=never.where,
                way_out=f"write it as {never.address}/32",
            )


def _without(host: Host, adopt: Iterable[Found]) -> Iterator[File]:
    """Yield each foreign file without the adopted addresses, every other byte kept."""
    by_path: dict[str, list[Found]] = {}
    for found in adopt:
        by_path.setdefault(found.path, []).append(found)
    for path, adopted in by_path.items():
        if not path.startswith("/etc/"):
            raise UnsupportedError(
                f"{path} is not an administrator's file: what is taken out comes back",
                where=adopted[0].alias.where,
                way_out=f"copy it to {networkd_files.FOLDERS[0]}/ first, or leave out adopt",
            )
        document = ini.parse(host.read(path) or "", path)
        lines = {found.line: found for found in adopted}
        for section in document.sections:
            entry = next((entry for entry in section.entries if entry.line in lines), None)
            if entry is None:
                continue
            if section.name == "Address":
                _refuse_lost_keys(section, path)
                document.remove_section(section)
                continue
            for entry in section.entries:
                if entry.line in lines:
                    document.remove_entry(entry)
        yield File(path, document.text(), owned=False)


def _refuse_lost_keys(section: ini.Section, path: str) -> None:
    for entry in section.entries:
        values = _EXPRESSED.get(entry.key, ())
        if values is not None and entry.value not in values:
            raise UnsupportedError(
                f"{entry.key}={entry.value} would be lost when the address moves into the drop-in",
                where=f"{path}:{entry.line}",
                way_out="take the line out, or leave the address where it is",
            )


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: systemd has none that checks a ``.network`` file."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return a reload where it deletes nothing, else a note that says when the file is read.

    Never ``reconfigure`` or a restart: they take the primary or the default route down.
    """
    facts = change.evidence.facts
    version = int(facts.get("version") or 0)
    if facts.get("running") != "yes":
        return Activation(note="systemd-networkd does not run; it reads the file when it starts")
    if change.foreign_live:
        return Activation(
            note="systemd-networkd was not told to reload: it would delete "
            + ", ".join(change.foreign_live)
            + ", which it did not set; it reads the file at its next start"
        )
    if version < GENTLE_RELOAD:
        return Activation(
            note=f"systemd-networkd {facts.get('version') or 'of unknown version'} was not told"
            " to reload: before 255 that deletes and adds the primary address again; it reads"
            " the file at its next start"
        )
    return Activation(tell=(Command(("networkctl", "reload")),))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return a reload, a reconfiguration of the link, or the guide's restart of the service."""
    argvs: dict[str, tuple[str, ...]] = {
        "alias": ("networkctl", "reload"),
        "interface": ("networkctl", "reconfigure", evidence.interface),
        "network": ("systemctl", "restart", _SERVICE),
    }
    return [Command(argvs[scope], timeout=120.0)]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label as written; networkd puts nothing before it. IPv6 has none.

    A hidden alias (``source: never``) heads the kernel's list by its scope. Without a label
    of its own it would be what SIOCGIFADDR, and so ifconfig, tells as the interface's address.
    """
    if alias.family != IPV4:
        return None
    own = f"{alias.interface}{networkd_files.HIDDEN_LABEL}"
    if alias.label is None and alias.never_source and len(own) <= MAX_LABEL:
        return own
    return alias.label
