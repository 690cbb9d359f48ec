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
#: Those of the scripts for settings, adapter and firewall.
CITED_SETTINGS = {
    "Get-NetIPInterface": (f"{_MS}/nettcpip/get-netipinterface", {"PolicyStore"}),
    "Set-NetIPInterface": (
        f"{_MS}/nettcpip/set-netipinterface",
        {
            *("InterfaceIndex", "AddressFamily", "PolicyStore", "WeakHostReceive", "Dhcp"),
            *("WeakHostSend", "InterfaceMetric", "AutomaticMetric", "DadTransmits"),
        },
    ),
    "Get-NetAdapter": (f"{_MS}/netadapter/get-netadapter", {"IncludeHidden"}),
    "Rename-NetAdapter": (f"{_MS}/netadapter/rename-netadapter", {"NewName"}),
    "Get-DnsClient": (f"{_MS}/dnsclient/get-dnsclient", set()),
    "Set-DnsClient": (
        f"{_MS}/dnsclient/set-dnsclient",
        {"InterfaceIndex", "RegisterThisConnectionsAddress"},
    ),
    "Get-NetFirewallRule": (
        f"{_MS}/netsecurity/get-netfirewallrule",
        {"PolicyStore", "Group"},
    ),
    "Get-NetFirewallAddressFilter": (f"{_MS}/netsecurity/get-netfirewalladdressfilter", set()),
    "Get-NetFirewallInterfaceFilter": (
        f"{_MS}/netsecurity/get-netfirewallinterfacefilter",
        set(),
    ),
    "New-NetFirewallRule": (
        f"{_MS}/netsecurity/new-netfirewallrule",
        {
            *("Name", "DisplayName", "Group", "Direction", "Action", "Profile", "Enabled"),
            *("LocalAddress", "InterfaceAlias"),
        },
    ),
    "Set-NetFirewallRule": (
        f"{_MS}/netsecurity/set-netfirewallrule",
        {
            *("Name", "Direction", "Action", "Profile", "Enabled"),
            *("LocalAddress", "InterfaceAlias"),
        },
    ),
    "Remove-NetFirewallRule": (f"{_MS}/netsecurity/remove-netfirewallrule", set()),
    "Get-Service": (f"{_MS}/microsoft.powershell.management/get-service", {"Name"}),
    "Add-Type": (f"{_MS}/microsoft.powershell.utility/add-type", {"TypeDefinition"}),
}
#: The calls of SetupAPI and newdev that the script makes, in this order, with their constants.
SETUP_CALLS = {
    "SetupDiCreateDeviceInfoList": "learn.microsoft.com/windows/win32/api/setupapi",
    "SetupDiOpenDeviceInfoW": "setupapi: a device instance by its full name",
    "SetupDiCreateDeviceInfoW": "setupapi: DeviceName in full where DICD_GENERATE_ID is not set",
    "SetupDiSetDeviceRegistryPropertyW": "setupapi.h: SPDRP_HARDWAREID 1, a REG_MULTI_SZ",
    "SetupDiCallClassInstaller": "setupapi.h: DIF_REGISTERDEVICE 0x19; as devcon's cmdInstall",
    "SetupDiDestroyDeviceInfoList": "setupapi",
    "UpdateDriverForPlugAndPlayDevicesW": "newdev.h: INSTALLFLAG_NONINTERACTIVE 4; "
    "ERROR_NO_MORE_ITEMS (259) where every such device has the driver already",
    "DiUninstallDevice": "newdev.h, Windows 7 and newer",
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
    "taken": (
        "Windows System Error 698,Rename-NetAdapter",
        "AlreadyExists",
        "{{Object Exists}} An attempt was made to create an object and the object name already "
        "existed.",
        "OpenVPN/openvpn-build issue 187, a Finnish system; winerror.h 698",
    ),
    "no_device": (
        "Win32Exception",
        "-536870389",
        'Exception calling "Drop" with "1" argument(s): "The device instance does not exist"',
        "setupapi.h: ERROR_NO_SUCH_DEVINST 0xE000020B; PowerShell wraps what a method raises",
    ),
    "no_driver": (
        "Win32Exception",
        "2",
        'Exception calling "Make" with "3" argument(s): "The system cannot find the file '
        'specified"',
        "UpdateDriverForPlugAndPlayDevices: ERROR_FILE_NOT_FOUND, no such INF (newdev.h)",
    ),
    "wow64": (
        "Win32Exception",
        "-536870347",
        'Exception calling "Make" with "3" argument(s): "Unknown error (0xe0000235)"',
        "UpdateDriverForPlugAndPlayDevices: ERROR_IN_WOW64, a process of 32 bits on 64 (newdev.h)",
    ),
    "language": (
        "CannotDefineNewType,Microsoft.PowerShell.Commands.AddTypeCommand",
        "",
        "Cannot add type. Definition of new types is not supported in this language mode.",
        "about_Language_Modes, ConstrainedLanguage; PowerShell src AddType.cs",
    ),
    "no_interface": (
        "no such interface",
        "",
        "no such interface",
        "our own script: a name that Get-NetIPInterface does not list",
    ),
    "absent_interface": (
        "CmdletizationQuery_NotFound,Set-NetIPInterface",
        "",
        "No matching MSFT_NetIPInterface objects found by CIM query for instances of the "
        "ROOT/StandardCimv2/MSFT_NetIPInterface class on the  CIM server: SELECT * FROM "
        "MSFT_NetIPInterface  WHERE ((InterfaceIndex = {index})) AND ((AddressFamily = 23)). "
        "Verify query parameters and retry.",
        "as every query of a cdxml cmdlet (dsccommunity/NetworkingDsc issues 283 and 425)",
    ),
    "no_firewall": (
        "Windows System Error 1753,New-NetFirewallRule",
        "Failed",
        "There are no more endpoints available from the endpoint mapper.",
        "transcripts of the NetSecurity cmdlets with the service MpsSvc stopped; winerror.h 1753",
    ),
    "policy": (
        "Windows System Error 5,New-NetFirewallRule",
        "AccessDenied",
        "Access is denied.",
        "New-NetFirewallRule in a shell that is not elevated; winerror.h 5",
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
        told = json.loads(text, object_pairs_hook=once)
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
        told = json.loads(text, object_pairs_hook=once)
        if set(told) != {"interface", "address"} or not isinstance(told["interface"], str):
            raise Unreadable("interface and address")
        if str(ip_address(told["address"])) != told["address"]:
            raise ValueError(told["address"])
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
    return told["interface"], told["address"]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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
