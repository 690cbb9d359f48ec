"""Install the monitor's service, start it and end it, as parts of a change.

All plain files, of which a change keeps before-images, and a few commands; see `unit` for
the service itself.
"""

from __future__ import annotations

from ..bootunit import Program
from ..host import Host
from ..model import Command, File
from ..sysctl.service import Steps
from . import unit as unit_names
from .bsdroutes import SYSTEMS as BSD
from .bsdroutes import load
from .model import WanConfig
from .unit import unit_of, watchdog_of

NAME, VERB = unit_names.NAME, unit_names.VERB
#: A drop-in rather than a link in multi-user.target.wants: a file, put back like any other.
WANTED = f"/etc/systemd/system/multi-user.target.d/{NAME}.conf"
RUNLEVEL = f"/etc/runlevels/default/{NAME}"
#: What starts services, of which we know how to have one started.
INITS = ("systemd", "openrc")
_WANTED_TEXT = f"""# Written by the ipalias formula.
[Unit]
Wants={NAME}.service
"""
#: systemctl(1): no such unit.
_NO_UNIT = 5


def service_files(started_by: str, config: WanConfig | None, program: Program) -> list[File]:
    """Return the service's files; without text where there is no configuration.

    :param started_by: what starts services (`platforms.init`).
    """
    watchdog = watchdog_of(config) if config is not None else 0.0
    unit = unit_of(started_by, program, watchdog) if started_by in INITS else None
    if unit is None:
        return []
    files = [File(unit.path, unit.text, unit.mode)]
    if started_by == "systemd":
        files.insert(0, File(WANTED, _WANTED_TEXT))
    return files if config is not None else [File(file.path, None) for file in files]


def paths_of(started_by: str) -> tuple[str, ...]:
    """Return the paths of the service's files."""
    program = Program("python3", "", "", VERB)
    return tuple(file.path for file in service_files(started_by, None, program))


def is_running(host: Host, started_by: str) -> bool:
    """Tell whether the monitor runs, and will at the next boot."""
    if started_by == "systemd":
        return host.run(["systemctl", "is-active", "--quiet", f"{NAME}.service"]).code == 0
    if started_by == "openrc":
        return host.exists(RUNLEVEL) and host.run(["rc-service", NAME, "status"]).code == 0
    return True


def pausing(started_by: str, *, wait: bool = True) -> Command | None:
    """Return what ends the monitor while the kernel is changed: it would change it back."""
    if started_by == "systemd":
        return _systemctl("stop", wait, (0, _NO_UNIT))
    if started_by == "openrc":
        # openrc-run.c: 0 where it is stopped already; 1 where it could not be stopped, or where
        # a parallel boot is about to start it and has it locked.
        ok = (0,) if wait else (0, 1)
        return Command(("rc-service", "--ifexists", NAME, "stop"), ok=ok, timeout=60.0)
    return None


def steps(started_by: str, *, runs: bool, wait: bool = True) -> Steps:
    """Return what brings the service to run, or not to: before the files change, and after.

    :param runs: True where it shall run by files that are there afterwards.
    :param wait: False in a boot, where what starts services is at it and must not be waited for.
    """
    if started_by in BSD:
        dialect = load(started_by)
        return Steps((dialect.pausing(),), (dialect.starting(),) if runs and wait else ())
    pause = pausing(started_by, wait=wait)
    if pause is None:
        return Steps()
    if started_by == "openrc":
        add = Command(("rc-update", "add", NAME, "default"))
        drop = Command(("rc-update", "del", NAME, "default"), ok=(0, 1))
        start = Command(("rc-service", NAME, "restart"), timeout=60.0)
        return Steps((pause,), (add, *((start,) if wait else ()))) if runs else Steps((pause, drop))
    reload = Command(("systemctl", "daemon-reload"))
    after = (reload, _systemctl("restart", wait)) if runs else (reload,)
    return Steps((pause,), after)


def _systemctl(verb: str, wait: bool, ok: tuple[int, ...] = (0,)) -> Command:
    block = () if wait else ("--no-block",)
    return Command(("systemctl", *block, verb, f"{NAME}.service"), ok=ok, timeout=60.0)
