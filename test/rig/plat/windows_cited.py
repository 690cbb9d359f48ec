"""What is believed of Windows' cmdlets: where each is documented, and what it refuses.

* learn.microsoft.com/powershell/module/nettcpip and its neighbours (text of
  github.com/MicrosoftDocs/windows-powershell-docs, docset/winserver2022-ps);
* recorded outputs, quoted at `REFUSALS`.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

ACTIVE, PERSISTENT = "ActiveStore", "PersistentStore"
_MS = "learn.microsoft.com/powershell/module"
#: The cmdlets of the scripts: where each is documented, and the parameters used of it.
CITED = {
    "Get-NetIPInterface": (f"{_MS}/nettcpip/get-netipinterface", {"PolicyStore"}),
    "Get-NetIPAddress": (f"{_MS}/nettcpip/get-netipaddress", {"PolicyStore"}),
    "Get-NetRoute": (f"{_MS}/nettcpip/get-netroute", {"PolicyStore"}),
    "Get-NetAdapter": (f"{_MS}/netadapter/get-netadapter", set()),
    "Get-NetNeighbor": (f"{_MS}/nettcpip/get-netneighbor", set()),
    "New-Object": (f"{_MS}/microsoft.powershell.utility/new-object", {"TypeName"}),
    "Get-ItemProperty": (
        f"{_MS}/microsoft.powershell.management/get-itemproperty",
        {"LiteralPath", "Name", "ErrorAction"},
    ),
    "Get-DnsClientServerAddress": (
        f"{_MS}/dnsclient/get-dnsclientserveraddress",
        {"AddressFamily"},
    ),
    "New-NetIPAddress": (
        f"{_MS}/nettcpip/new-netipaddress",
        {"InterfaceAlias", "IPAddress", "PrefixLength", "SkipAsSource", "PolicyStore"},
    ),
    "Set-NetIPAddress": (
        f"{_MS}/nettcpip/set-netipaddress",
        {"InterfaceIndex", "IPAddress", "PrefixLength", "SkipAsSource", "PolicyStore"},
    ),
    "Remove-NetIPAddress": (
        f"{_MS}/nettcpip/remove-netipaddress",
        {"InterfaceIndex", "IPAddress", "PolicyStore", "Confirm"},
    ),
    "New-NetRoute": (
        f"{_MS}/nettcpip/new-netroute",
        {"InterfaceAlias", "DestinationPrefix", "NextHop", "RouteMetric", "PolicyStore"},
    ),
    "Restart-NetAdapter": (f"{_MS}/netadapter/restart-netadapter", {"Confirm"}),
}
#: What the cmdlets refuse: identifier, native code, message, and where that was recorded.
REFUSALS = {
    "exists": (
        "Windows System Error 87,New-NetIPAddress",
        "InvalidParameter",
        "Instance MSFT_NetIPAddress already exists",
        "antrea-io/antrea pkg/agent/agent_windows.go looks for this text; CategoryInfo "
        "InvalidArgument in transcripts of New-NetIPAddress",
    ),
    "absent": (
        "CmdletizationQuery_NotFound,{cmdlet}",
        "",
        "No matching MSFT_NetIPAddress objects found by CIM query for instances of the "
        "ROOT/StandardCimv2/MSFT_NetIPAddress class on the  CIM server: SELECT * FROM "
        "MSFT_NetIPAddress  WHERE ((InterfaceIndex = {index})) AND ((IPAddress LIKE '{address}')). "
        "Verify query parameters and retry.",
        "dsccommunity/NetworkingDsc issue 283; identifier as for every query of a cdxml cmdlet",
    ),
    "denied": (
        "Windows System Error 5,{cmdlet}",
        "AccessDenied",
        "Access is denied.",
        "transcripts of New-NetIPAddress in a shell that is not elevated; winerror.h 5",
    ),
    "unbound": (
        "Windows System Error 1168,New-NetIPAddress",
        "NotFound",
        "Element not found.",
        "transcript of New-NetIPAddress on an adapter without the protocol; winerror.h 1168",
    ),
    "dhcp": (
        "Windows System Error 87,New-NetIPAddress",
        "InvalidParameter",
        "Inconsistent parameters PolicyStore PersistentStore and Dhcp Enabled",
        "docker/for-win issue 2050",
    ),
    "store": (
        "Windows System Error 87,{cmdlet}",
        "InvalidParameter",
        "Invalid parameter PolicyStore PersistentStore",
        "MicrosoftDocs/windows-powershell-docs pull 521; New-NetIPAddress, -PolicyStore: "
        "'Specify ActiveStore only'",
    ),
}


class Fault(Exception):
    """Raise for what a cmdlet refuses."""

    def __init__(self, key: str, **values: object) -> None:
        identifier, native, message, _ = REFUSALS[key]
        super().__init__(key)
        self.told = {
            "id": identifier.format(**values),
            "native": native,
            "message": message.format(**values),
        }


class Unreadable(Exception):
    """Raise for input that does not fit the schema."""


_ADDRESS = {"do", "address", "store"}
_FORM = {*_ADDRESS, "prefix", "skip"}
_STORES = ("", ACTIVE, PERSISTENT)
#: Operation → its keys, and the stores it may name.
SCHEMA: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "new": (_FORM, ("", ACTIVE)),
    "set": (_FORM, ("", ACTIVE)),
    "remove": (_ADDRESS, _STORES),
    "route": ({"do", "destination", "gateway", "metric", "store"}, (ACTIVE,)),
    "restart": ({"do"}, ()),
    "restart-all": ({"do"}, ()),
}


def check(text: str) -> tuple[str, bool, list[dict[str, Any]]]:
    """Return interface, whether to go on after a refusal, and operations of an input.

    :raises Unreadable: it has anything that the schema does not name, or lacks something.
    """
    if not text.isascii() or text.count("\n") != 1 or not text.endswith("\n"):
        raise Unreadable("one line of ASCII")
    try:
        told = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if not isinstance(told, dict) or set(told) != {"interface", "go_on", "ops"}:
        raise Unreadable("interface, go_on and ops")
    if type(told["go_on"]) is not bool:
        raise Unreadable("go_on")
    if not isinstance(told["interface"], str) or not isinstance(told["ops"], list):
        raise Unreadable("a name and a list")
    for op in told["ops"]:
        _check_op(op)
    return told["interface"], told["go_on"], told["ops"]


def check_question(text: str) -> tuple[str, str]:
    """Return interface and address of what is asked.

    :raises Unreadable: it has anything else, or lacks something.
    """
    if not text.isascii() or text.count("\n") != 1 or not text.endswith("\n"):
        raise Unreadable("one line of ASCII")
    try:
        told = json.loads(text, object_pairs_hook=_once)
        if set(told) != {"interface", "address"} or not isinstance(told["interface"], str):
            raise Unreadable("interface and address")
        if str(ip_address(told["address"])) != told["address"]:
            raise ValueError(told["address"])
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
    return told["interface"], told["address"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Unreadable("a key twice")
    return dict(pairs)


def _check_op(op: Any) -> None:
    keys, stores = SCHEMA.get(op.get("do") if isinstance(op, dict) else None, (set(), ()))
    if not keys or set(op) != keys:
        raise Unreadable(f"keys of {op}")
    if "store" in keys and op["store"] not in stores:
        raise Unreadable(f"store of {op}")
    try:
        if "address" in keys:
            address = ip_address(op["address"])
            if str(address) != op["address"]:
                raise ValueError(op["address"])
        if "prefix" in keys and not (
            type(op["prefix"]) is int
            and 1 <= op["prefix"] <= address.max_prefixlen
            and type(op["skip"]) is bool
        ):
            raise ValueError(op)
        if "gateway" in keys and not (
            op["destination"] in ("0.0.0.0/0", "::/0")
            and ip_address(op["gateway"]).version == (6 if ":" in op["destination"] else 4)
            and type(op["metric"]) is int
        ):
            raise ValueError(op)
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
