"""An nftables table of our own for the ports of a pair: the peer's, and dhcpd's control.

What it can do is to keep others out. It cannot let the peer in where a chain of others drops:
an accept ends the look at its own chain, and the packet still passes the others of the hook
(nft(8), "VERDICT STATEMENT"). So who drops is named, and the line that belongs there.

It lasts by a unit of its own that loads a file, ordered behind nftables.service and loaded
anew with it: that one's ``flush ruleset`` would take ours away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import MALFORMED
from ..host import Host
from ..model import Command, File
from .model import ISC, DhcpConfig, Member
from .services import OMAPI_PORT, systemctl

TABLE = "ipalias_dhcp"
RULES = "/etc/ipalias/dhcp.nft"
UNIT_NAME = "ipalias-dhcp-firewall.service"
UNIT = f"/etc/systemd/system/{UNIT_NAME}"
#: A drop-in rather than a link in multi-user.target.wants: a file, put back like any other.
WANTED = "/etc/systemd/system/multi-user.target.d/ipalias-dhcp-firewall.conf"
PATHS = (RULES, WANTED, UNIT)

_UNIT_TEXT = f"""# Written by the ipalias formula.
[Unit]
Description=Keep others from the ports of the DHCP pair (ipalias)
Documentation=man:nft(8)
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=network-pre.target isc-dhcp-server.service kea-dhcp4-server.service
Wants=network-pre.target
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
RequiresMountsFor=/etc/ipalias

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES}
ExecReload=/usr/sbin/nft -f {RULES}
ExecStop=-/usr/sbin/nft delete table inet {TABLE}
"""
_WANTED_TEXT = f"""# Written by the ipalias formula.
[Unit]
Wants={UNIT_NAME}
"""


def unit_step(files: Iterable[File]) -> str:
    """Return what the table's unit has to do: ``start``, ``stop`` or nothing.

    :param files: those that change.
    """
    ours = [file for file in files if file.path in PATHS]
    if not ours:
        return ""
    return "stop" if all(file.text is None for file in ours) else "start"


def render_rules(config: DhcpConfig, me: Member) -> str:
    """Return the table as nft reads it; loaded again it takes the place of itself."""
    peer = config.pair.peer_of(me)
    rules = []
    if config.firewall:
        rules += [
            f"ip saddr {peer.address} tcp dport {me.port} accept",
            f"tcp dport {me.port} drop",
        ]
    if config.implementation == ISC:
        # dhcpd cannot be told where to listen for it, dhcpd.conf(5) `omapi-port`.
        rules.append(f"tcp dport {OMAPI_PORT} drop")
    body = "".join(f"        {rule}\n" for rule in rules)
    return f"""# Written by the ipalias formula: the ports of the DHCP pair {config.pair.name}.
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority -5; policy accept;
        iifname "lo" accept
{body}    }}
}}
"""


def firewall_files(config: DhcpConfig | None, me: Member | None, host: Host) -> list[File]:
    """Return the files of the table; without text where there shall be none."""
    wants = config is not None and (config.firewall or config.implementation == ISC)
    if config is None or me is None or not wants or host.which("nft") is None:
        return [File(path, None) for path in PATHS]
    texts = (render_rules(config, me), _WANTED_TEXT, _UNIT_TEXT)
    return [File(path, text) for path, text in zip(PATHS, texts, strict=True)]


def back(*, ruled: bool, wait: bool) -> list[Command]:
    """Return commands that load the table that was there, or take ours away.

    :param ruled: there was one; its files are back by now.
    :param wait: False in a boot, which comes to the unit by itself.
    """
    reload = systemctl("daemon-reload")
    if not wait:
        return [reload]
    if ruled:
        return [reload, systemctl("restart", UNIT_NAME)]
    gone = Command(("nft", "delete", "table", "inet", TABLE), ok=(0, 1))
    return [systemctl("stop", UNIT_NAME), reload, gone]


def droppers(ruleset: str) -> list[str]:
    """Return the chains of others that drop what comes in and that they do not name.

    Format: ``nft -j list ruleset``, libnftables-json(5).
    """
    try:
        rows = json.loads(ruleset)["nftables"]
        chains = [row["chain"] for row in rows if isinstance(row, dict) and "chain" in row]
        return [_named(c) for c in chains if _drops(c)]
    except MALFORMED:
        return []


def _drops(chain: dict[str, Any]) -> bool:
    ours = chain.get("table") == TABLE
    return chain.get("hook") == "input" and chain.get("policy") == "drop" and not ours


def _named(chain: dict[str, Any]) -> str:
    return f"{chain.get('family')} {chain.get('table')} {chain.get('name')}"


def firewall_notes(config: DhcpConfig, me: Member, host: Host) -> list[str]:
    """Return what a table of ours cannot do here, a sentence each."""
    if host.which("nft") is None:
        notes = []
        if config.firewall:
            notes.append("nft is not installed: the peer's port is not limited to the peer")
        if config.implementation == ISC:
            notes.append(
                f"nft is not installed: port {OMAPI_PORT}, dhcpd's control, has its key alone"
            )
        return notes
    peer = config.pair.peer_of(me)
    found: Sequence[str] = droppers(host.run(["nft", "-j", "list", "ruleset"]).out)
    return [
        f"chain {name} drops what it does not name: it needs "
        f"`ip saddr {peer.address} tcp dport {me.port} accept`"
        for name in found
    ]
