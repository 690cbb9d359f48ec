"""A Solaris 10 host: no ``ipadm``, its addresses in /etc/hostname.IF."""

from __future__ import annotations

from collections.abc import Sequence

from rig import simsunhost, simtune
from rig.simhost import SimHost

MAIN, MAIN6 = "/etc/hostname.eth0", "/etc/hostname6.eth0"
RELEASE = "                   Oracle Solaris 10 1/13 s10x_u11wos_24a X86\n"


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host whose interfaces are set up by the files."""
    files = {"/etc/release": RELEASE, MAIN: "192.0.2.2/24\nup\n"}
    files[MAIN6] = "addif 2001:db8::2/64 up\n"
    for number, name in enumerate(links[1:], 1):
        files[f"/etc/hostname.{name}"] = f"198.51.100.{number * 64 - 62}/26\nup\n"
        files[f"/etc/hostname6.{name}"] = ""
    made = simsunhost.sun(files, links=links, shows_tentative=False)
    made.owner = "solaris"
    made.files.make_folders("/etc/rc2.d")
    simsunhost.install_ndd(made)
    simsunhost.services(made, Again(made))
    return made


class Again:
    """What ``svcadm restart`` comes to: the start method, with everything still up."""

    def __init__(self, host: SimHost) -> None:
        self.host = host

    def __call__(self) -> None:
        simsunhost.process_files(self.host)


def FOREIGN(host: SimHost) -> None:  # noqa: N802 (the name that every platform gives)
    """Let the interface's own file add 192.0.2.20/24, as ifconfig(1M) has it."""
    host.files.put(MAIN, (host.files.read(MAIN) or "") + "addif 192.0.2.20/24 up\n")


def bring_up(host: SimHost) -> None:
    """Do what a boot does."""
    simsunhost.kernel_of(host).idle.clear()
    simsunhost.loop_anew(host)
    simsunhost.process_files(host)
    simsunhost.boot_routes(host)
    simtune.boot_ndd(host)
