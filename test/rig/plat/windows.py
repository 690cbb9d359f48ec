"""Windows on a simulated host: its two stores, PowerShell by our two scripts alone, netsh."""

from __future__ import annotations

from collections.abc import Sequence

from rig.plat import windows_settings
from rig.plat.windows_cited import PERSISTENT
from rig.plat.windows_netsh import Ipconfig, netsh_of
from rig.plat.windows_powershell import PowerShell
from rig.plat.windows_stores import load_interface, rename_link, take_lease
from rig.simhost import SimHost
from rig.simowners import GATEWAY4, GATEWAY6, PRIMARY4, machine


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a Windows Server host with static addresses."""
    made = machine({}, links=links)
    made.owner = made.system = "windows"
    made.files.make_folders("C:/ProgramData")
    del made.programs["ip"]
    made.stored = {
        "addresses": {
            name: {a.address: (a.prefix, False) for a in made.net.links[name].addresses4}
            for name in links
        },
        "gateways": {"eth0": [GATEWAY4, GATEWAY6]},
        "dhcp": {},
        "dns": {name: ["192.0.2.53"] for name in links},
        "leases": {},
    }
    made.stored["addresses"]["eth0"]["2001:db8::2"] = (64, False)
    windows_settings.prepare(made)
    made.programs["powershell.exe"] = PowerShell(made)
    made.programs["netsh"] = netsh_of(made)
    made.programs["ipconfig"] = Ipconfig(made)
    return made


def rename(made: SimHost, name: str, old: str = "eth0") -> SimHost:
    """Give a link the name that a person gave the connection."""
    rename_link(made, old, name)
    made.programs["netsh"] = netsh_of(made)
    return made


def by_dhcp(
    *, dns: Sequence[str] = ("192.0.2.53",), gateway: str = GATEWAY4, name: str = "eth0"
) -> SimHost:
    """Return a host whose IPv4 address comes from a lease."""
    made = host()
    address, _, prefix = PRIMARY4.partition("/")
    lease = {"address": address, "prefix": int(prefix), "gateway": gateway, "dns": list(dns)}
    made.stored["leases"]["eth0"] = lease
    made.stored["dhcp"]["eth0"] = True
    del made.stored["addresses"]["eth0"][address]
    made.stored["gateways"]["eth0"] = [GATEWAY6]
    made.stored["dns"].pop("eth0")
    link = made.net.links["eth0"]
    link.addresses4 = []
    made.net.routes = [r for r in made.net.routes if r.family == 6]
    take_lease(made, "eth0")
    return rename(made, name) if name != "eth0" else made


def FOREIGN(made: SimHost) -> None:  # noqa: N802
    """Let the persistent store hold an address of somebody else's."""
    made.stored["addresses"]["eth0"]["192.0.2.20"] = (24, False)


def forget(made: SimHost, address: str) -> None:
    """Take an address out of the persistent store alone, behind everybody's back."""
    for rows in made.stored["addresses"].values():
        rows.pop(address, None)


def bring_up(made: SimHost) -> None:
    """Do what a boot does: the active store is made of the persistent one."""
    for name in made.net.links:
        load_interface(made, name)
        for family, row in windows_settings.settings(made, name, PERSISTENT).items():
            windows_settings.settings(made, name)[family] = dict(row)
