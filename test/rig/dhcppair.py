"""Blocks ``ipalias:dhcp`` that tests begin from, and reading of what came of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.isc import render_isc
from saltext.ipalias.dhcp.kea import render_kea
from saltext.ipalias.dhcp.model import KEA, OmapiKey

#: The source guide's pair, with addresses of documentation.
GUIDE: dict[str, Any] = {
    "implementation": "isc",
    "pair": {
        "name": "dhcp-failover",
        "members": {
            "dhcp1": {"address": "192.0.2.10", "port": 647, "role": "primary"},
            "dhcp2": {"address": "192.0.2.20", "port": 647, "role": "secondary"},
        },
        "max_response_delay": 60,
        "max_unacked_updates": 10,
        "load_balance_max_seconds": 3,
        "mclt": 3600,
        "split": 128,
    },
    "interfaces": ["eth0"],
    "authoritative": True,
    "ddns_update_style": "none",
    "subnets": [
        {
            "subnet": "192.0.2.0/24",
            "ranges": ["192.0.2.100-192.0.2.200"],
            "routers": ["192.0.2.1"],
            "domain_name_servers": ["198.51.100.53", "203.0.113.53"],
            "domain_name": "corp.example",
            "default_lease_time": 600,
            "max_lease_time": 7200,
        }
    ],
}
#: What `parse_dhcp` needs and no more.
LEAST: dict[str, Any] = {
    "implementation": "isc",
    "pair": {
        "members": {
            "dhcp1": {"address": "192.0.2.10", "role": "primary"},
            "dhcp2": {"address": "192.0.2.20", "role": "secondary"},
        }
    },
    "interfaces": ["eth0"],
    "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.200"]}],
}

#: Every key that a block can have; Kea's where it has others.
_FULL: dict[str, Any] = {
    **GUIDE,
    "profile": "short",
    "whole": True,
    "firewall": True,
    "ping_timeout": 0.2,
    "within": "1m",
    "limits": {"skew": 10, "silence": 3, "used": "80%", "balance": 0.4, "drill": "30d"},
    "partner_down": {"after": "5m", "witness": "gateway"},
    "subnets": [
        {
            **GUIDE["subnets"][0],
            "ranges": ["192.0.2.100-192.0.2.200", {"first": "192.0.2.210", "last": "192.0.2.220"}],
            "options": {
                "ntp-servers": ["192.0.2.1"],
                "broadcast-address": "192.0.2.255",
                "root-path": "192.0.2.1:/srv",
                "domain-search": ["corp.example"],
                "interface-mtu": 1400,
                "ip-forwarding": False,
                "time-offset": -3600,
            },
            "reservations": [
                {"mac": "02:00:5e:10:00:01", "address": "192.0.2.30", "hostname": "printer"}
            ],
        }
    ],
}
_KEA: dict[str, Any] = {
    "mode": "load-balancing",
    "heartbeat_delay": "1s",
    "max_response_delay": 3,
    "max_ack_delay": 2,
    "max_unacked_clients": 2,
    "control_socket": "/run/kea/kea4-ctrl-socket",
    "lease_database": {
        **{"type": "mysql", "name": "kea", "host": "db.example", "port": 3306},
        **{"user": "kea", "password": "example", "replicated": True},
    },
}
WHOLE = (_FULL, {**_FULL, "implementation": "kea", "kea": _KEA})


def changed(base: dict[str, Any], **at: Any) -> dict[str, Any]:
    """Return a copy of a block with values put in: keys are paths with ``__`` between parts.

    A part that is a number is a place in a list; None takes a key out.
    """
    block = copy.deepcopy(base)
    for path, value in at.items():
        inside: Any = block
        *parts, last = (int(part) if part.isdigit() else part for part in path.split("__"))
        for part in parts:
            inside = inside.setdefault(part, {}) if isinstance(inside, dict) else inside[part]
        if value is None and isinstance(inside, dict):
            inside.pop(last, None)
        else:
            inside[last] = value
    return block


HERE = Path(__file__).resolve().parents[1] / "golden/dhcp"
CASES = sorted(path.name for path in HERE.iterdir() if path.is_dir())
#: A key that is nobody's, so that a golden file does not change.
KEY = OmapiKey("ipalias-omapi", "hmac-sha256", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=")


def render_case(case: str) -> tuple[Path, dict[str, str]]:
    """Return a golden case's folder and what its members get, by name."""
    folder = HERE / case
    config = parse_dhcp(json.loads((folder / "pillar.json").read_text()))
    if config.implementation == KEA:
        return folder, {member.name: render_kea(config, member) for member in config.pair.members}
    return folder, {member.name: render_isc(config, member, KEY) for member in config.pair.members}
