"""Give a halted host its network by one owner, as that owner's users write it.

Each has eth0 with 192.0.2.N/24 and 2001:db8::N/64, gateways 192.0.2.1 and 2001:db8::1, and
names these for `boot` to wait for.
"""

from __future__ import annotations

from collections.abc import Callable

from rig.host import BootedHost

GATEWAYS = ("192.0.2.1", "2001:db8::1")


def networkd(host: BootedHost) -> None:
    """Give eth0 to systemd-networkd, by a .network file of the administrator's."""
    v4, v6 = _addresses(host)
    host.write(
        "/etc/systemd/network/50-default.network",
        "# The host's own network\n"
        "[Match]\nName=eth0\n\n"
        f"[Network]\nAddress={v4}\nAddress={v6}\n"
        f"Gateway={GATEWAYS[0]}\nGateway={GATEWAYS[1]}\nIPv6AcceptRA=no\n",
    )
    host.enable("systemd-networkd.service")


def _netplan(host: BootedHost, renderer: str) -> None:
    v4, v6 = _addresses(host)
    host.write(
        "/etc/netplan/10-host.yaml",
        "# The host's own network\n"
        "network:\n"
        "  version: 2\n"
        f"  renderer: {renderer}\n"
        "  ethernets:\n"
        "    eth0:\n"
        "      accept-ra: false\n"
        f'      addresses: [{v4}, "{v6}"]\n'
        "      routes:\n"
        f"        - {{to: default, via: {GATEWAYS[0]}}}\n"
        f'        - {{to: default, via: "{GATEWAYS[1]}"}}\n',
        0o600,
    )


def netplan_networkd(host: BootedHost) -> None:
    """Give eth0 to netplan with systemd-networkd behind it."""
    _netplan(host, "networkd")
    host.enable("systemd-networkd.service")


def netplan_nm(host: BootedHost) -> None:
    """Give eth0 to netplan with NetworkManager behind it."""
    _netplan(host, "NetworkManager")
    host.enable("NetworkManager.service")


def networkmanager(host: BootedHost) -> None:
    """Give eth0 to NetworkManager, by a keyfile."""
    v4, v6 = _addresses(host)
    host.write(
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "# The host's own network\n"
        "[connection]\nid=eth0\nuuid=6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c10\ntype=ethernet\n"
        "interface-name=eth0\nautoconnect=true\n\n"
        f"[ipv4]\nmethod=manual\naddress1={v4},{GATEWAYS[0]}\n\n"
        f"[ipv6]\nmethod=manual\naddress1={v6},{GATEWAYS[1]}\n",
        0o600,
    )
    host.enable("NetworkManager.service")


def ifupdown(host: BootedHost) -> None:
    """Give eth0 to ifupdown, in the file Debian's installer writes."""
    v4, v6 = _addresses(host)
    host.write(
        "/etc/network/interfaces",
        "# The host's own network\n"
        "source /etc/network/interfaces.d/*\n\n"
        "auto lo\niface lo inet loopback\n\n"
        "auto eth0\n"
        f"iface eth0 inet static\n\taddress {v4}\n\tgateway {GATEWAYS[0]}\n\n"
        f"iface eth0 inet6 static\n\taddress {v6}\n\tgateway {GATEWAYS[1]}\n",
    )
    host.run(["mkdir", "-p", "/etc/network/interfaces.d"])
    host.enable("networking.service")


#: Every set-up by its name.
SETUPS: dict[str, Callable[[BootedHost], None]] = {
    "networkd": networkd,
    "netplan_networkd": netplan_networkd,
    "netplan_nm": netplan_nm,
    "networkmanager": networkmanager,
    "ifupdown": ifupdown,
}


def _addresses(host: BootedHost) -> tuple[str, str]:
    """Return the primary addresses, and have `boot` wait for them."""
    v4, v6 = f"{host.primary}/24", f"2001:db8::{host.number:x}/64"
    host.awaited += [v4, v6]
    return v4, v6
