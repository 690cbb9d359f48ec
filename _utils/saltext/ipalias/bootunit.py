"""What runs at boot and puts back a change that a crash left unfinished, on each system.

Pure: texts of files, links and command lines. Where the system lets a job run before its
network comes up, it does, and puts files back only; where it does not (OpenBSD, Windows),
the job comes after the network and puts addresses back too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import tasks
from .files import TEMPORARY
from .frozen import CURRENT, RUN

NAME = "ipalias-restore"


@dataclass(frozen=True)
class BootUnit:
    """Hold what has to be installed.

    :param path: the one file.
    :param mode: its permission bits.
    :param link: name and target of a symbolic link that switches it on, or None.
    :param folder: folder that must exist: without it the system is not as we know it.
    :param register: commands that make the system take it, run when the file is new.
    """

    path: str
    text: str
    folder: str
    mode: int = 0o644
    link: tuple[str, str] | None = None
    register: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Program:
    """Hold what the job runs.

    :param interpreter: the Python that Salt runs under.
    :param frozen: folder of frozen copies.
    :param state: folder of our own state.
    :param verb: ``boot`` puts back files, before the network; ``boot-live`` all, after it.
    :param copy: name of the copy, or of the link to the current one.
    """

    interpreter: str
    frozen: str
    state: str
    verb: str = "boot"
    copy: str = CURRENT

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the command line."""
        script = f"{self.frozen}/{self.copy}/{RUN}"
        return (self.interpreter, "-I", script, self.verb, self.state)


def shell_words(argv: tuple[str, ...]) -> str:
    """Return a command line for a script of sh(1), each word quoted."""
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)


def render_systemd(program: Program) -> str:
    """Return the unit that puts back, at boot, what a crash left unfinished.

    Before any service that reads the files, those of kernel settings too; a oneshot that does
    not even start where there is nothing to do. Format: systemd.unit(5), systemd.service(5).
    """
    interpreter, frozen, state = program.interpreter, program.frozen, program.state
    folder = interpreter.rsplit("/", 1)[0]
    # An unfinished change, or a file that was being written when the power went.
    left = [f"{kind}-*.json" for kind in ("open", "firing", "waiting")]
    left += [f".*{TEMPORARY}", f"*/.*{TEMPORARY}"]
    conditions = "".join(f"ConditionPathExistsGlob=|{state}/{name}\n" for name in left)
    return f"""# Written by the ipalias formula.
[Unit]
Description=Put back a network change that was cut short (ipalias)
DefaultDependencies=no
RequiresMountsFor={state} {frozen} {folder}
After=systemd-remount-fs.service
Wants=network-pre.target
Before=network-pre.target networking.service systemd-networkd.service NetworkManager.service
Before=systemd-sysctl.service
Conflicts=shutdown.target
Before=shutdown.target
{conditions}
[Service]
Type=oneshot
ExecStart={" ".join(program.argv)}
TimeoutStartSec=60

[Install]
WantedBy=sysinit.target
"""


def render_openrc(program: Program) -> str:
    """Return the service script of OpenRC; see openrc-run(8).

    ``need localmount`` for our state, ``before`` what brings interfaces up and sets the kernel.
    """
    return f"""#!/sbin/openrc-run
# Written by the ipalias formula.

description="Put back a network change that was cut short (ipalias)"

depend() {{
    need localmount
    before net net.lo netmount dhcpcd NetworkManager sysctl
    keyword -prefix
}}

start() {{
    ebegin "Putting back network changes that were cut short"
    {shell_words(program.argv)}
    eend 0
}}
"""


def render_freebsd(program: Program) -> str:
    """Return the script of rc(8), which rcorder(8) puts before ``netif``.

    Local scripts are found from ``FILESYSTEMS`` on, which ``netif`` requires.
    """
    return f"""#!/bin/sh
# Written by the ipalias formula.
#
# PROVIDE: ipalias_restore
# REQUIRE: FILESYSTEMS
# BEFORE: netif
# KEYWORD: nojail

. /etc/rc.subr

name="ipalias_restore"
rcvar="ipalias_restore_enable"
start_cmd="ipalias_restore_start"
stop_cmd=":"

ipalias_restore_start()
{{
    {shell_words(program.argv)}
    return 0
}}

load_rc_config $name
: ${{ipalias_restore_enable:="YES"}}
run_rc_command "$1"
"""


def render_openbsd(program: Program) -> str:
    """Return the script of rc.d(8).

    rc(8) runs ``netstart`` before any script of ours can come, so this one comes after the
    network and puts addresses back as well.
    """
    return f"""#!/bin/ksh
# Written by the ipalias formula.

daemon="{program.interpreter}"

. /etc/rc.d/rc.subr

rc_bg=NO
rc_reload=NO
pexp="ipalias-restore-never-runs"

rc_start() {{
    {shell_words(program.argv)}
    return 0
}}

rc_check() {{
    return 1
}}

rc_stop() {{
    return 0
}}

rc_cmd $1
"""


def render_smf(program: Program) -> str:
    """Return the manifest of a transient SMF service before the network; service_bundle(5).

    Behind what serves ``ipadm`` (``network/ip-interface-management``), for its addresses lie
    there; where that is missing it is no dependency.
    """
    start = tasks.xml(shell_words(program.argv))
    return f"""<?xml version="1.0"?>
<!DOCTYPE service_bundle SYSTEM "/usr/share/lib/xml/dtd/service_bundle.dtd.1">
<!-- Written by the ipalias formula. -->
<service_bundle type="manifest" name="{NAME}">
  <service name="site/{NAME}" type="service" version="1">
    <create_default_instance enabled="true"/>
    <single_instance/>
    <dependency name="files" grouping="require_all" restart_on="none" type="service">
      <service_fmri value="svc:/system/filesystem/minimal"/>
    </dependency>
    <dependency name="store" grouping="optional_all" restart_on="none" type="service">
      <service_fmri value="svc:/network/ip-interface-management"/>
    </dependency>
    <dependent name="{NAME}_network" grouping="optional_all" restart_on="none">
      <service_fmri value="svc:/network/physical"/>
    </dependent>
    <exec_method type="method" name="start" exec="{start}" timeout_seconds="60"/>
    <exec_method type="method" name="stop" exec=":true" timeout_seconds="3"/>
    <property_group name="startd" type="framework">
      <propval name="duration" type="astring" value="transient"/>
    </property_group>
    <template>
      <common_name>
        <loctext xml:lang="C">puts back a network change that was cut short</loctext>
      </common_name>
    </template>
  </service>
</service_bundle>
"""


def render_task(program: Program) -> str:
    """Return the definition of a task that runs at start-up as SYSTEM; see `tasks`."""
    said = "put back a network change that was cut short"
    return tasks.render_task(program.argv, said, tasks.AT_BOOT, "PT10M")


def _systemd(program: Program) -> BootUnit:
    folder, unit = "/etc/systemd/system", f"{NAME}.service"
    path = f"{folder}/{unit}"
    link = (f"{folder}/sysinit.target.wants/{unit}", path)
    return BootUnit(path, render_systemd(program), folder, link=link)


def _openrc(program: Program) -> BootUnit:
    path = f"/etc/init.d/{NAME}"
    link = (f"/etc/runlevels/boot/{NAME}", path)
    return BootUnit(path, render_openrc(program), "/etc/runlevels/boot", 0o755, link)


def _freebsd(program: Program) -> BootUnit:
    path = "/usr/local/etc/rc.d/ipalias_restore"
    return BootUnit(path, render_freebsd(program), "/etc/rc.d", 0o755)


def _openbsd(program: Program) -> BootUnit:
    path = "/etc/rc.d/ipalias_restore"
    enable = (("rcctl", "enable", "ipalias_restore"),)
    return BootUnit(path, render_openbsd(program), "/etc/rc.d", 0o555, register=enable)


def _smf(program: Program) -> BootUnit:
    path = f"/var/svc/manifest/site/{NAME}.xml"
    take = (("svccfg", "import", path),)
    return BootUnit(path, render_smf(program), "/var/svc/manifest", register=take)


def _task(program: Program) -> BootUnit:
    path = f"{program.state}/{NAME}.xml"
    take = (tuple(tasks.create(NAME, path)),)
    return BootUnit(path, render_task(program), program.state, register=take)


#: What starts services (`platforms.init`) → what is installed there.
UNITS: Mapping[str, Callable[[Program], BootUnit]] = {
    "systemd": _systemd,
    "openrc": _openrc,
    "freebsd": _freebsd,
    "openbsd": _openbsd,
    "smf": _smf,
    "tasks": _task,
}
#: Where nothing of ours can run before the network.
AFTER_NETWORK = ("openbsd", "tasks")
