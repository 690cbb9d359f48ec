"""Which system this is, and where it keeps what is ours.

The one place that says how systems differ in their folders; `processes`, `disk` and
`freeze` ask here rather than each for itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from . import tasks

#: Prefix of `sys.platform` → name of `host.SYSTEMS`. illumos and Solaris are both ``sunos5``.
_NAMES = {
    "linux": "linux",
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "sunos": "sunos",
    "win": "windows",
    "cygwin": "windows",
}
#: Folder of ledger, originals and journal: where hier(7), or the system's own guide, wants
#: what a program keeps between boots. All of it is there before the network comes up.
STATE: Mapping[str, str] = {
    "linux": "/var/lib/ipalias",
    "freebsd": "/var/db/ipalias",
    "openbsd": "/var/db/ipalias",
    "sunos": "/var/lib/ipalias",
    "windows": "C:/ProgramData/ipalias",
}
#: Folder of frozen copies of the library.
FROZEN: Mapping[str, str] = {
    "linux": "/usr/local/lib/ipalias",
    "freebsd": "/usr/local/lib/ipalias",
    "openbsd": "/usr/local/lib/ipalias",
    "sunos": "/opt/ipalias/lib",
    "windows": "C:/ProgramData/ipalias/lib",
}


def system(name: str = sys.platform) -> str:
    """Return the system's name; one that we do not know counts as Linux and says so later."""
    return next((ours for prefix, ours in _NAMES.items() if name.startswith(prefix)), "linux")


def init(name: str, is_folder: Callable[[str], bool]) -> str:
    """Return what starts services: a key of `bootunit.UNITS`, or empty where we know none.

    :param name: the system.
    :param is_folder: tells whether a folder is there.
    """
    if name == "linux":
        if is_folder("/run/systemd/system"):
            return "systemd"
        return "openrc" if is_folder("/run/openrc") else ""
    others = {"freebsd": "freebsd", "openbsd": "openbsd", "sunos": "smf", "windows": "tasks"}
    return others[name]


def apart_definition(started_by: str, argv: Sequence[str], name: str) -> str:
    """Return the text of the file that `apart` wants; empty where it wants none."""
    if started_by != "tasks":
        return ""
    said = "put a network change back unless it is committed"
    return tasks.render_task(argv, f"{said} ({name})", tasks.ON_DEMAND)


def apart(started_by: str, argv: Sequence[str], name: str, path: str) -> list[list[str]]:
    """Return commands that start a program which a stop of the minion's service does not end.

    :param started_by: what starts services, see `init`.
    :param path: file with `apart_definition`.
    :return: command lines, run one after another; empty where a session of its own is enough.
    """
    if started_by == "systemd":
        # A unit of its own, outside the minion's control group.
        command = ["systemd-run", "--quiet", "--collect", "--no-block", f"--unit={name}"]
        command += ["--property=DefaultDependencies=no", "--property=KillMode=process"]
        return [[*command, "--", *argv]]
    if started_by == "smf":
        # A process contract of its own, which nobody holds: SMF ends all of a service's
        # contract, ctrun(1).
        return [["ctrun", "-l", "none", *argv]]
    if started_by == "tasks":
        # The service's wrapper ends its whole tree of processes; a task is no part of it.
        return [tasks.create(name, path), ["schtasks", "/Run", "/TN", name]]
    return []


def guard_name(ident: str) -> str:
    """Return the name under which a change's dead man is started apart."""
    return f"ipalias-guard-{ident}"


def apart_ended(started_by: str, name: str) -> list[list[str]]:
    """Return commands that take away what `apart` leaves behind its program.

    They end no program that still runs: schtasks, ``/Delete``.
    """
    if started_by == "tasks":
        return [["schtasks", "/Delete", "/TN", name, "/F"]]
    return []


def closing(name: str, folder: str) -> list[list[str]]:
    """Return commands that leave a new folder to the system and its administrators.

    Windows has no mode for that: what lies under ProgramData inherits that every user may
    put files into it, a journal to be put back among them. By well-known SIDs, for the
    groups have names in the host's language.
    """
    if name != "windows":
        return []
    ours = ("*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F")
    return [["icacls", folder.replace("/", "\\"), "/inheritance:r", "/grant:r", *ours]]
