"""What Windows' cmdlets do to interfaces' settings, adapters and firewall rules.

Held in ``host.stored``, by connection: ``ip`` (store → family → settings), ``devices``,
``registers``; ``rules`` and ``firewall`` beside them. The script that changes them is known by
identity, its input held against a strict schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from rig.plat import windows_stores as stores
from rig.plat.windows_cited import ACTIVE, PERSISTENT, Fault, Unreadable, once
from rig.simhost import SimHost

_CARD = "PCI\\VEN_8086&DEV_100F"
#: Instance and hardware of the adapter that our script makes.
DEVICE, HARDWARE = "ROOT\\IPALIAS\\0000", "*MSLOOP"
_SWITCHES = ("weakhostreceive", "weakhostsend", "dhcp")
_FAMILIES = ("IPv4", "IPv6")
#: netioapi.h, MIB_IPINTERFACE_ROW; metrics of ``netsh interface ipv4 show interface``.
_NEW = {"weakhostreceive": "Disabled", "weakhostsend": "Disabled", "automatic": "Enabled"}
_METRIC = 25


def settings(host: SimHost, name: str, store: str = ACTIVE) -> dict[str, dict[str, Any]]:
    """Return an interface's settings by family; made as those of a new one where it has none."""
    held = host.stored["ip"].setdefault(name, {})
    if not held:
        for each in (ACTIVE, PERSISTENT):
            held[each] = {
                family: {**_NEW, "metric": _METRIC, "dad": 3 if family == "IPv4" else 1}
                for family in _FAMILIES
            }
    found: dict[str, dict[str, Any]] = held[store]
    return found


def prepare(host: SimHost) -> None:
    """Give a host the settings, devices and the firewall of an installed system."""
    host.stored |= {"ip": {}, "devices": {}, "registers": {}, "rules": {}}
    host.stored["firewall"] = {"running": True}
    for name, link in host.net.links.items():
        settings(host, name)
        if not link.loopback:
            host.stored["devices"][name] = {"device": f"{_CARD}\\{link.index}", "hardware": _CARD}
            host.stored["registers"][name] = True


# Reading


def told(host: SimHost, version: str) -> dict[str, Any]:
    """Return what `READ_SETTINGS` prints."""
    stored = host.stored
    rules = [
        {
            "name": name,
            "enabled": rule["enabled"],
            "inbound": True,
            "allows": rule["allows"],
            "addresses": rule["addresses"],
            "interfaces": rule["interfaces"],
        }
        for name, rule in stored["rules"].items()
    ]
    return {
        "version": version,
        "interfaces": [row for name in host.net.links for row in _rows(host, name)],
        "adapters": [{"name": name, **row} for name, row in stored["devices"].items()],
        "dns": [{"name": name, "registers": on} for name, on in stored["registers"].items()],
        "rules": rules if stored["firewall"]["running"] else None,
    }


def _rows(host: SimHost, name: str) -> Iterator[dict[str, Any]]:
    without6 = host.programs["powershell.exe"].without6  # type: ignore[attr-defined]
    for store in (ACTIVE, PERSISTENT):
        for family, row in settings(host, name, store).items():
            if family == "IPv6" and name in without6:
                continue
            dhcp = family == "IPv4" and bool(host.stored["dhcp"].get(name))
            yield {
                "store": store,
                "name": name,
                "index": host.net.links[name].index,
                "family": family,
                "weakhostreceive": row["weakhostreceive"],
                "weakhostsend": row["weakhostsend"],
                "automatic": row["automatic"],
                "metric": row["metric"],
                "dadtransmits": row["dad"],
                "dhcp": "Enabled" if dhcp else "Disabled",
            }


# Changing


_KEYS: dict[str, set[str]] = {
    "install": {"do", "interface"},
    "uninstall": {"do"},
    "interface": {"do", "interface", "family", "setting", "value", "store"},
    "dns": {"do", "interface", "registers"},
    "rule": {"do", "rule", "addresses", "interfaces"},
    "unrule": {"do", "rule"},
}
_BAD_NAME = frozenset('"\\/:*?<>|')


def check(text: str) -> list[dict[str, Any]]:
    """Return the operations of an input.

    :raises Unreadable: it has anything that the schema does not name, or lacks something.
    """
    if not text.isascii() or text.count("\n") != 1 or not text.endswith("\n"):
        raise Unreadable("one line of ASCII")
    try:
        data = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if not isinstance(data, dict) or set(data) != {"ops"} or not isinstance(data["ops"], list):
        raise Unreadable("a list of operations")
    for op in data["ops"]:
        keys = _KEYS.get(op.get("do", "") if isinstance(op, dict) else "")
        if keys is None or set(op) != keys or not _fits(op):
            raise Unreadable(f"keys of {op}")
    ops: list[dict[str, Any]] = data["ops"]
    return ops


def _fits(op: dict[str, Any]) -> bool:
    if not _is_name(op.get("interface", "x")) or not _is_rule(op.get("rule", "ipalias-x")):
        return False
    if op["do"] == "dns":
        return type(op["registers"]) is bool
    if op["do"] == "rule":
        try:
            plain = all(str(ip_address(each)) == each for each in op["addresses"])
        except (ValueError, TypeError):
            return False
        return plain and bool(op["addresses"]) and all(map(_is_name, op["interfaces"]))
    if op["do"] != "interface":
        return True
    if op["family"] not in _FAMILIES or op["store"] not in ("", ACTIVE, PERSISTENT):
        return False
    if op["setting"] in _SWITCHES:
        return op["value"] in ("Enabled", "Disabled")
    number = isinstance(op["value"], str) and op["value"].isdigit() and op["value"].isascii()
    automatic = op["setting"] == "metric" and op["value"] == "automatic"
    return op["setting"] in ("metric", "dadtransmits") and (number or automatic)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not _BAD_NAME & set(name)


def _is_rule(name: object) -> bool:
    return isinstance(name, str) and name.startswith("ipalias-") and name.isascii()


def carry_out(host: SimHost, op: dict[str, Any], refusing: Callable[[str], None]) -> None:
    """Do one operation.

    :param refusing: is called with the cmdlet, and raises where it is refused for everybody.
    :raises Fault: the cmdlet refuses.
    """
    cmdlets = {"interface": "Set-NetIPInterface", "dns": "Set-DnsClient", "rule": "*Firewall*"}
    refusing(cmdlets.get(op["do"], op["do"]))
    act = {
        "install": _install,
        "uninstall": _uninstall,
        "interface": _set,
        "dns": _register,
        "rule": _rule,
        "unrule": _unrule,
    }
    act[op["do"]](host, op)


def _install(host: SimHost, op: dict[str, Any]) -> None:
    """Make the device, bind the driver, name the connection.

    It asks for a lease at once, and takes an address of its own where nobody answers.
    """
    name, stored = op["interface"], host.stored
    now = next((n for n, d in stored["devices"].items() if d["device"] == DEVICE), None)
    if name in host.net.links and name != now:
        raise Fault("taken")
    if now is None:
        host.net.add_link(name)
        stored["devices"][name] = {"device": DEVICE, "hardware": HARDWARE}
        stored["registers"][name] = True
        stored["dhcp"][name] = True
        settings(host, name)
        stores.bring_loopback_up(host, name)
    elif now != name:
        stores.rename_link(host, now, name)


def _uninstall(host: SimHost, op: dict[str, Any]) -> None:
    """Take the device away; its connection's settings go with it."""
    stored = host.stored
    name = next((n for n, d in stored["devices"].items() if d["device"] == DEVICE), None)
    if name is None:
        raise Fault("no_device")
    del host.net.links[name]
    host.net.routes = [r for r in host.net.routes if r.interface != name]
    for table in ("ip", "devices", "registers", "dhcp", "addresses", "gateways", "dns"):
        stored[table].pop(name, None)


def _known(host: SimHost, name: str) -> None:
    if name not in host.net.links:
        raise Fault("no_interface")


def _set(host: SimHost, op: dict[str, Any]) -> None:
    name, family, word, value = op["interface"], op["family"], op["setting"], op["value"]
    _known(host, name)
    if family == "IPv6" and name in host.programs["powershell.exe"].without6:  # type: ignore[attr-defined]
        raise Fault("absent_interface", index=host.net.links[name].index)
    if word == "dhcp":
        _switch_dhcp(host, name, value == "Enabled")
        return
    for store in [op["store"]] if op["store"] else [ACTIVE, PERSISTENT]:
        row = settings(host, name, store)[family]
        if word == "metric":
            automatic = value == "automatic"
            row["automatic"] = "Enabled" if automatic else "Disabled"
            row["metric"] = _METRIC if automatic else int(value)
        elif word == "dadtransmits":
            row["dad"] = int(value)
        else:
            row[word] = value


def _switch_dhcp(host: SimHost, name: str, on: bool) -> None:
    link = host.net.links[name]
    host.stored["dhcp"][name] = on
    if not on:
        stores.drop_lease(host, name)
        link.addresses4 = [a for a in link.addresses4 if a.scope != "link"]
    elif stores.is_adapter(host, name):
        stores.bring_loopback_up(host, name)


def _register(host: SimHost, op: dict[str, Any]) -> None:
    _known(host, op["interface"])
    host.stored["registers"][op["interface"]] = op["registers"]


def _rule(host: SimHost, op: dict[str, Any]) -> None:
    if not host.stored["firewall"]["running"]:
        raise Fault("no_firewall")
    host.stored["rules"][op["rule"]] = {
        "addresses": list(op["addresses"]),
        "interfaces": list(op["interfaces"]),
        "enabled": True,
        "allows": True,
    }


def _unrule(host: SimHost, op: dict[str, Any]) -> None:
    host.stored["rules"].pop(op["rule"], None)
