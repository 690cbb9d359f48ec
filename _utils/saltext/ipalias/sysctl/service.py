"""The listener's service: sets our settings of an interface the moment it appears.

Installed while a setting of ours is about an interface, removed with the last. All of it is
plain files, which a change keeps before-images of, and a few commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..bootunit import Program, shell_words
from ..host import Host
from ..model import Command, File

NAME = "ipalias-sysctl"
#: What `outlive` is told.
VERB = "sysctl"
UNIT = f"/etc/systemd/system/{NAME}.service"
#: A drop-in rather than a link in sysinit.target.wants: a file, which is put back like any.
WANTED = f"/etc/systemd/system/sysinit.target.d/{NAME}.conf"
SCRIPT = f"/etc/init.d/{NAME}"
#: What starts services, of which we know how to have one started.
INITS = ("systemd", "openrc")
RUNLEVEL = f"/etc/runlevels/boot/{NAME}"


def render_systemd(program: Program) -> str:
    """Return the unit, ready once it listens and has set what is there: systemd.service(5).

    Before whatever brings interfaces up, behind what sets the files' values and behind what
    puts our state back after a crash.
    """
    folder = program.interpreter.rsplit("/", 1)[0]
    return f"""# Written by the ipalias formula.
[Unit]
Description=Set kernel settings of interfaces when they appear (ipalias)
DefaultDependencies=no
RequiresMountsFor={program.state} {program.frozen} {folder}
After=systemd-remount-fs.service systemd-sysctl.service ipalias-restore.service
Wants=network-pre.target
Before=network-pre.target networking.service systemd-networkd.service NetworkManager.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=notify
ExecStart={" ".join(program.argv)}
Restart=on-failure
RestartSec=1
"""


def render_wanted() -> str:
    """Return the drop-in by which every boot starts the unit: systemd.unit(5)."""
    return f"""# Written by the ipalias formula.
[Unit]
Wants={NAME}.service
"""


def render_openrc(program: Program) -> str:
    """Return the script of OpenRC; openrc-run(8), supervise-daemon(8)."""
    command, *arguments = program.argv
    return f"""#!/sbin/openrc-run
# Written by the ipalias formula.

description="Set kernel settings of interfaces when they appear (ipalias)"
supervisor=supervise-daemon
command={shell_words((command,))}
command_args="{shell_words(tuple(arguments))}"

depend() {{
    need localmount
    after sysctl ipalias-restore
    before net net.lo netmount dhcpcd NetworkManager
    keyword -prefix
}}
"""


class Steps(NamedTuple):
    """Hold the commands of one direction.

    :param before: run while the files are as they were.
    :param after: run when they are as they shall be.
    """

    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()


def _systemd(program: Program) -> list[File]:
    return [File(WANTED, render_wanted()), File(UNIT, render_systemd(program))]


def _openrc(program: Program) -> list[File]:
    return [File(SCRIPT, render_openrc(program), 0o755)]


#: What starts services (`platforms.init`) → the files of the service.
_FILES: dict[str, Callable[[Program], list[File]]] = {"systemd": _systemd, "openrc": _openrc}


def render(started_by: str, program: Program, wanted: bool) -> list[File]:
    """Return the service's files; without text where there shall be none."""
    if started_by not in _FILES:
        return []
    files = _FILES[started_by](program)
    return files if wanted else [File(file.path, None) for file in files]


def is_running(host: Host, started_by: str) -> bool:
    """Tell whether the service runs, and will at the next boot."""
    if started_by == "systemd":
        return host.run(["systemctl", "is-active", "--quiet", f"{NAME}.service"]).code == 0
    return host.exists(RUNLEVEL) and host.run(["rc-service", NAME, "status"]).code == 0


def starting(started_by: str, *, wait: bool = True) -> Steps:
    """Return what makes the service run by files that are new.

    :param wait: False in a boot, where what starts services is at it and must not be waited for.
    """
    if started_by == "openrc":
        add = Command(("rc-update", "add", NAME, "boot"))
        start = Command(("rc-service", NAME, "restart"), timeout=60.0)
        return Steps(after=(add, start) if wait else (add,))
    start = _systemctl("restart", wait)
    return Steps(after=(Command(("systemctl", "daemon-reload")), start))


def _systemctl(verb: str, wait: bool, ok: tuple[int, ...] = (0,)) -> Command:
    block = () if wait else ("--no-block",)
    return Command(("systemctl", *block, verb, f"{NAME}.service"), ok=ok, timeout=60.0)


def stopping(started_by: str, *, wait: bool = True) -> Steps:
    """Return what ends the service while its files go; one that is not there is no failure."""
    if started_by == "openrc":
        # openrc-run.c: 0 where it is stopped already, 1 where a parallel boot is about to start
        # it and has it locked; rc-update.c: 1 where it is in no runlevel.
        ok = (0,) if wait else (0, 1)
        stop = Command(("rc-service", "--ifexists", NAME, "stop"), ok=ok, timeout=60.0)
        return Steps((stop, Command(("rc-update", "del", NAME, "boot"), ok=(0, 1))))
    # 5: no such unit, systemctl(1).
    stop = _systemctl("stop", wait, (0, 5))
    return Steps((stop,), (Command(("systemctl", "daemon-reload")),))


def files_of(started_by: str) -> tuple[str, ...]:
    """Return the paths of the service's files."""
    return {"systemd": (WANTED, UNIT), "openrc": (SCRIPT,)}.get(started_by, ())
