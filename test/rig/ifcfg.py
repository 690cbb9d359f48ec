"""Hosts with Red Hat's ifcfg files as a folder, and what tests of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rig.tree import TreeHost
from saltext.ipalias.backends import ifcfg_rh
from saltext.ipalias.model import Alias, Change, Found, Wanted

FOLDER = "/etc/sysconfig/network-scripts"
ETH0 = f"{FOLDER}/ifcfg-eth0"
PARENT = "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=192.0.2.2\nNETMASK=255.255.255.0\n"
UUID = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03"
SERVICE = {
    "systemctl is-enabled network.service": "enabled\n",
    "systemctl is-active network.service": "active\n",
}
EL8 = 'ID="rocky"\nVERSION_ID="8.9"\nPLATFORM_ID="platform:el8"\n'
EL9 = 'ID="rhel"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n'
EL10 = 'ID="centos"\nVERSION_ID="10"\nPLATFORM_ID="platform:el10"\n'
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
FIVE, SIX = Alias("2001:db8:1::5", 128, "eth0"), Alias("2001:db8:1::6", 64, "eth0")


def manager(path: str = ETH0, version: str = "1.40.16", state: str = "100 (connected)"):
    return {
        "nmcli -t -f RUNNING,VERSION general": f"running:{version}\n",
        "nmcli -t -f GENERAL.STATE,GENERAL.CON-UUID device show eth0": (
            f"GENERAL.STATE:{state}\nGENERAL.CON-UUID:{UUID if state[:2] != '10 ' else ''}\n"
        ),
        "nmcli -t -f UUID,FILENAME connection show": f"other:/x\n{UUID}:{path}\n",
    }


def scripts(root: Path) -> TreeHost:
    """Return a host with network-scripts."""
    made = TreeHost(root, dict(SERVICE))
    made.write(f"{FOLDER}/ifup-aliases", "#!/bin/bash\n")
    made.write(ETH0, PARENT)
    return made


def on_manager(host: TreeHost, release: str = EL8, **how: str) -> TreeHost:
    """Let NetworkManager read the files, without network-scripts."""
    host.at(f"{FOLDER}/ifup-aliases").unlink(missing_ok=True)
    host.answers = manager(**how)
    host.write("/etc/os-release", release)
    return host


def put(host: TreeHost, name: str, text: str) -> str:
    path = f"{FOLDER}/ifcfg-{name}"
    host.write(path, text)
    return path


def parse(host: TreeHost, interface: str = "eth0") -> list[Found]:
    return ifcfg_rh.parse(host, ifcfg_rh.assume(host, interface))


def cidrs(host: TreeHost, interface: str = "eth0") -> list[str]:
    return [found.alias.cidr for found in parse(host, interface)]


def alias(cidr: str, number: int | None = 0, label: str | None = None) -> Alias:
    address, _, prefix = cidr.partition("/")
    return Alias(address, int(prefix or 32), "eth0", label, number=number)


def write(host: TreeHost, *aliases: Alias, former: Any = (), adopt: Any = ()) -> Change:
    """Render an interface's list and store it."""
    evidence = ifcfg_rh.assume(host, "eth0")
    wanted = Wanted("eth0", aliases, evidence, tuple(former), tuple(adopt))
    return Change("eth0", evidence, aliases, (), tuple(host.store(ifcfg_rh.render(wanted, host))))


def place(error: Any) -> str:
    return str(error.value)
