"""What starts the monitor and starts it again, on each system. Pure: texts.

Unlike the boot restore it runs all the time, with no more rights than it needs: of root's
powers those to change routes and to open raw sockets, no file but its own to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..bootunit import BootUnit, Program, shell_words
from .model import WanConfig

NAME = "ipalias-wan"
VERB = "wan"
#: Seconds without a completed probe round until the service manager ends the monitor, at least.
WATCHDOG = 10.0


def watchdog_of(config: WanConfig) -> float:
    """Return the watchdog's time (seconds): some rounds of the line that is asked most seldom."""
    slowest = max(
        (u.probe.interval * max(1, len(way.targets)) + u.probe.timeout for u, way in config.ways()),
        default=0.0,
    )
    return max(WATCHDOG, 3 * slowest)


def render_systemd(program: Program, watchdog: float = WATCHDOG) -> str:
    """Return the unit; systemd.service(5), systemd.exec(5).

    Behind what makes the interfaces, and not bound to the network being up: a line that is
    down at boot is what it is there for. Started again for ever, for without it a dead line
    stays in the default route. `Restart` after the watchdog leaves the routes as they are.
    """
    interpreter, frozen, state = program.interpreter, program.frozen, program.state
    folder = interpreter.rsplit("/", 1)[0]
    # An own /tmp would hide a Python that lies there; nothing is written to it either way.
    own_tmp = "no" if interpreter.startswith(("/tmp/", "/var/tmp/")) else "yes"
    return f"""# Written by the ipalias formula.
[Unit]
Description=Watch the internet lines and switch the default route (ipalias)
Documentation=man:ip-route(8)
RequiresMountsFor={state} {frozen} {folder}
After=network-pre.target systemd-sysctl.service networking.service systemd-networkd.service \
NetworkManager.service nftables.service
ConditionPathExists={state}/wan/config.json
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={" ".join(program.argv)}
WatchdogSec={watchdog:g}
Restart=always
RestartSec=0.2
TimeoutStartSec=30
TimeoutStopSec=5
Nice=-10
OOMScoreAdjust=-900
LimitNOFILE=4096
RuntimeDirectory=ipalias
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
ReadWritePaths={state}
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp={own_tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def render_openrc(program: Program, watchdog: float = WATCHDOG) -> str:
    """Return the service script of OpenRC, kept alive by supervise-daemon(8).

    There is no watchdog there: a monitor that hangs is not noticed, one that dies is.
    """
    command, *arguments = program.argv
    return f"""#!/sbin/openrc-run
# Written by the ipalias formula.

description="Watch the internet lines and switch the default route (ipalias)"
supervisor=supervise-daemon
command={shell_words((command,))}
command_args="{_quoted(shell_words(tuple(arguments)))}"
pidfile=/run/{NAME}.pid
respawn_delay=1
respawn_max=0
required_files={shell_words((f"{program.state}/wan/config.json",))}

depend() {{
    need localmount
    use net logger
    after net nftables
    keyword -prefix
}}

start_pre() {{
    checkpath --directory --mode 0755 /run/ipalias
}}
"""


def render_freebsd(program: Program, watchdog: float = WATCHDOG) -> str:
    """Return the script of rc(8); daemon(8) with ``-r`` starts it again."""
    return f"""#!/bin/sh
# Written by the ipalias formula.
#
# PROVIDE: ipalias_wan
# REQUIRE: NETWORKING
# KEYWORD: shutdown

. /etc/rc.subr

name="ipalias_wan"
rcvar="ipalias_wan_enable"
pidfile="/var/run/${{name}}.pid"
required_files="{program.state}/wan/config.json"
start_precmd="ipalias_wan_prestart"
command="/usr/sbin/daemon"
command_args="-r -R 1 -P ${{pidfile}} -S -T {NAME} -f {_quoted(shell_words(program.argv))}"

ipalias_wan_prestart()
{{
    mkdir -p /var/run/ipalias
}}

load_rc_config $name
: ${{ipalias_wan_enable:="YES"}}
run_rc_command "$1"
"""


def _quoted(text: str) -> str:
    """Return a text as it stands between double quotes in a shell."""
    for sign in ("\\", '"', "$", "`"):
        text = text.replace(sign, "\\" + sign)
    return text


def _systemd(program: Program, watchdog: float) -> BootUnit:
    folder, unit = "/etc/systemd/system", f"{NAME}.service"
    path = f"{folder}/{unit}"
    link = (f"{folder}/multi-user.target.wants/{unit}", path)
    return BootUnit(path, render_systemd(program, watchdog), folder, link=link)


def _openrc(program: Program, watchdog: float) -> BootUnit:
    path = f"/etc/init.d/{NAME}"
    link = (f"/etc/runlevels/default/{NAME}", path)
    return BootUnit(path, render_openrc(program, watchdog), "/etc/runlevels/default", 0o755, link)


def _freebsd(program: Program, watchdog: float) -> BootUnit:
    path = "/usr/local/etc/rc.d/ipalias_wan"
    return BootUnit(path, render_freebsd(program, watchdog), "/etc/rc.d", 0o755)


#: What starts services (`platforms.init`) → what is installed there. OpenBSD has ifstated.
UNITS: Mapping[str, Callable[[Program, float], BootUnit]] = {
    "systemd": _systemd,
    "openrc": _openrc,
    "freebsd": _freebsd,
}


def unit_of(started_by: str, program: Program, watchdog: float = WATCHDOG) -> BootUnit | None:
    """Return what is to be installed, or None where the monitor has no service.

    :param started_by: what starts services (`platforms.init`).
    :param program: its verb is `VERB`.
    """
    made = UNITS.get(started_by)
    return made(program, watchdog) if made is not None else None
