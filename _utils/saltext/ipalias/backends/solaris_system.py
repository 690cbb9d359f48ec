"""What both dialects of Solaris ask of a host: its release, who runs its network, its limits.

Solaris 10 has the files ``/etc/hostname.IF`` alone. illumos has both stores, and there the
files of an interface hide its ``ipadm`` configuration (``net-physical``: "found
/etc/hostname.…, ignoring ipadm configuration"). Solaris 11 reads the files once, at its
upgrade, and then no more (``nu_etc_files_need_upgrading``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import UnsupportedError
from ..host import Host
from ..model import Command

RELEASE = "/etc/release"
#: The service whose start method reads the files and enables what ``ipadm`` keeps.
PHYSICAL = "svc:/network/physical:default"
NWAM = "svc:/network/physical:nwam"
#: What a restart takes at most (seconds): it waits for leases.
RESTART_TIMEOUT = 180.0
#: Logical interfaces of a link and family, its own among them; ``ip_addrs_per_if`` in
#: ``inet/ip/ip.c`` and ``ip_tunables.c``.
DEFAULT_LIMIT = 256

_SOLARIS_11 = re.compile(r"Solaris 11(?! Express)(?!\d)")


def release(host: Host) -> str:
    """Return the first line of ``/etc/release``, else what ``uname`` says."""
    lines = (host.read(RELEASE) or "").strip().splitlines()
    if lines:
        return " ".join(lines[0].split())
    return " ".join(host.run(("uname", "-sr")).out.split())


def reads_files(host: Host) -> bool:
    """Tell whether this release's boot reads ``/etc/hostname.IF``."""
    named = release(host)
    return not (_SOLARIS_11.search(named) or named.startswith("SmartOS"))


def somebody_else(host: Host) -> str:
    """Return who holds the addresses in place of both dialects, in a sentence, or nothing.

    Network profiles set and drop addresses as links come and go: what is added beside them
    does not last.
    """
    if release(host).startswith("SmartOS"):
        return "SmartOS: vmadm(8) and /usbkey/config hold the addresses"
    state = host.run(("svcs", "-H", "-o", "state", NWAM))
    if state.code == 0 and state.out.strip().startswith("online"):
        return f"{NWAM} is online: network profiles (nwamcfg) own the addresses"
    ncp = host.run(("svcprop", "-p", "netcfg/active_ncp", PHYSICAL))
    name = ncp.out.strip()
    if ncp.code == 0 and name not in ("", '""', "DefaultFixed"):
        return (
            f"the network profile {name} is active: profiles (netcfg) own the addresses;"
            " `netadm enable -p ncp DefaultFixed` would hand them to ipadm"
        )
    return ""


def limit_of(host: Host) -> str:
    """Return how many logical interfaces a link may have in a family, as digits.

    ``ndd`` knows it on each release (Solaris 11 keeps it for that).
    """
    said = host.run(("ndd", "-get", "/dev/ip", "ip_addrs_per_if")).out.strip()
    return said if said.isascii() and said.isdigit() else str(DEFAULT_LIMIT)


def refuse_too_many(interface: str, limit: str, counts: Mapping[int, int]) -> None:
    """Refuse more addresses than the kernel has logical interfaces for on a link.

    It would refuse the one too many itself ("logical interface id is outside allowed
    range"), after hundreds of commands.

    :param counts: addresses by family, the link's own left out.
    :raises UnsupportedError: with the commands that raise the limit.
    """
    for family, count in counts.items():
        if count > int(limit) - 1:
            raise UnsupportedError(
                f"{count} IPv{family} addresses beside the interface's own, and the kernel"
                f" holds {limit} of a family on a link (ip_addrs_per_if)",
                where=interface,
                way_out="`ndd -set /dev/ip ip_addrs_per_if 8192` raises that until the next"
                " boot; `ipadm set-prop -p _addrs_per_if=8192 ip`, where there is ipadm, for good",
            )


def restart_service() -> list[Command]:
    """Return the guide's last step."""
    return [Command(("svcadm", "restart", PHYSICAL), timeout=RESTART_TIMEOUT)]
