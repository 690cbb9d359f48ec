"""Windows: settings of interfaces, the loopback adapter and our firewall rules, as data.

A setting is named in slash form, for a connection's name has dots and blanks and never a
slash: ``ipv4/LAN/weakhostreceive``, ``dns/LAN/registration``. Values are words or numbers as
text; the two stores are those of `powershell`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import MALFORMED, EffectError, InputError
from ..host import NOT_FOUND, Host
from ..model import Command
from ..values import short
from . import powershell
from .powershell import ACTIVE, PERSISTENT
from .powershell_settings import CHANGE_SETTINGS, DEVICE, HARDWARE, READ_SETTINGS

ENABLED, DISABLED, AUTOMATIC = "enabled", "disabled", "automatic"
#: Settings of an interface in a family, and the values that each can have.
SWITCHES = ("weakhostreceive", "weakhostsend", "dhcp")
NUMBERS = ("metric", "dadtransmits")
REGISTRATION = "registration"
#: Seconds for a process; a device takes up to two waits of half a minute.
_READ, _CHANGE, _DEVICE = 60.0, 60.0, 150.0
_NUMBER = re.compile("[0-9]{1,9}")
_SINGLES = ("/32", "/128", "/255.255.255.255")

Op = Mapping[str, object]


class Key(NamedTuple):
    """Hold the parts of a key: ``ipv4``, ``ipv6`` or ``dns``, interface, setting."""

    kind: str
    interface: str
    setting: str


def parse_key(text: str, where: str = "") -> Key:
    """Read a key.

    :raises InputError: it names no setting that is known here.
    """
    parts = text.split("/")
    if len(parts) == 3 and all(parts):
        key = Key(*parts)
        named = (*SWITCHES, *NUMBERS) if key.kind in ("ipv4", "ipv6") else (REGISTRATION,)
        if key.kind in ("ipv4", "ipv6", "dns") and key.setting in named:
            return key
    raise InputError(
        f"{short(text)} is no setting of Windows that is known here",
        where=where or text,
        way_out="ipv4/NAME/SETTING or ipv6/NAME/SETTING with one of "
        f"{', '.join((*SWITCHES, *NUMBERS))}, or dns/NAME/{REGISTRATION}",
    )


def parse_value(key: Key, value: str, where: str) -> str:
    """Read the value of a setting.

    :raises InputError: the setting cannot have it.
    """
    word = value.strip().lower()
    if key.setting in (*SWITCHES, REGISTRATION):
        if word in (ENABLED, DISABLED):
            return word
        raise InputError(
            f"{'/'.join(key)}: {short(value)}", where=where, way_out=f"{ENABLED} or {DISABLED}"
        )
    most = 9999 if key.setting == "metric" else 600
    if _NUMBER.fullmatch(word) and int(word) <= most:
        number = str(int(word))
        # Windows takes a metric of 0 for the automatic one.
        return AUTOMATIC if key.setting == "metric" and number == "0" else number
    if word == AUTOMATIC and key.setting == "metric":
        return word
    more = f", or {AUTOMATIC}" if key.setting == "metric" else ""
    raise InputError(
        f"{'/'.join(key)}: {short(value)}", where=where, way_out=f"a number from 0 to {most}{more}"
    )


@dataclass(frozen=True)
class Adapter:
    """Hold a network adapter: the instance of its device, and what hardware that is."""

    name: str
    device: str
    hardware: str

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is Microsoft's loopback adapter, whoever made it."""
        return self.hardware.lower() == HARDWARE

    @property
    def ours(self) -> bool:
        """Tell whether we have made it."""
        return self.device.upper() == DEVICE


@dataclass(frozen=True)
class Rule:
    """Hold a firewall rule of our group."""

    name: str
    addresses: tuple[str, ...]
    interfaces: tuple[str, ...]
    lets_in: bool


@dataclass(frozen=True)
class Held:
    """Hold what `READ_SETTINGS` says of a host.

    :param values: value by store and key; one that the system does not tell is left out.
    :param rules: rules of our group; None where the firewall's service does not run.
    """

    version: str = ""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    rules: tuple[Rule, ...] | None = ()

    def adapter(self, name: str) -> Adapter | None:
        """Return the adapter of a name."""
        return next((each for each in self.adapters if each.name == name), None)

    @property
    def our_adapter(self) -> Adapter | None:
        """Return the adapter that we have made, whatever it is called."""
        return next((each for each in self.adapters if each.ours), None)


def read(host: Host) -> Held:
    """Ask a host for what it has.

    :raises EffectError: it cannot be asked.
    """
    result = host.run(READ_SETTINGS, timeout=_READ)
    if result.code == NOT_FOUND:
        raise EffectError("is not installed", where="`powershell.exe`")
    if result.code != 0:
        reason = powershell.failure(result)[1]
        raise EffectError(f"exit {result.code}: {reason}", where="`powershell.exe`")
    try:
        return _parse(json.loads(result.out.lstrip("\ufeff")))
    except MALFORMED as error:
        said = f"did not answer with what was asked ({error!r})"[:200]
        raise EffectError(said, where="`powershell.exe`") from None


def _parse(told: Mapping[str, Any]) -> Held:
    values: dict[str, dict[str, str]] = {ACTIVE: {}, PERSISTENT: {}}
    for row in told["interfaces"]:
        head = f"{str(row['family']).lower()}/{row['name']}"
        for name, value in _settings(row):
            values[str(row["store"])][f"{head}/{name}"] = value
    for row in told["dns"]:
        value = ENABLED if row["registers"] is True else DISABLED
        for held in values.values():
            held[f"dns/{row['name']}/{REGISTRATION}"] = value
    adapters = [
        Adapter(str(row["name"]), str(row["device"]), str(row["hardware"]))
        for row in told["adapters"]
    ]
    rules = None if told["rules"] is None else tuple(map(_rule, told["rules"]))
    return Held(str(told["version"]), values, tuple(adapters), rules)


def _settings(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the settings of an interface; the persistent store does not tell all of them."""
    for name in SWITCHES:
        word = str(row[name]).lower()
        # IPv6 has no DHCP switch that would matter: routers decide (Set-NetIPInterface, -Dhcp).
        if word in (ENABLED, DISABLED):
            yield name, word
    if str(row["automatic"]).lower() == ENABLED:
        yield "metric", AUTOMATIC
    elif str(row["automatic"]).lower() == DISABLED:
        yield "metric", str(int(row["metric"]))
    yield "dadtransmits", str(int(row["dadtransmits"]))


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(
        str(row["name"]),
        tuple(sorted(_bare(str(each)) for each in row["addresses"])),
        tuple(sorted(str(each) for each in row["interfaces"])),
        all(row[key] is True for key in ("enabled", "inbound", "allows")),
    )


def _bare(address: str) -> str:
    """Return an address without the mask of a single one, which the firewall may write."""
    for tail in _SINGLES:
        address = address.removesuffix(tail)
    return address.lower()


# Changing


def op_of(key: Key, value: str, store: str = powershell.BOTH) -> Op:
    """Return what gives a setting a value, in both stores or in one."""
    if key.kind == "dns":
        return {"do": "dns", "interface": key.interface, "registers": value == ENABLED}
    family = "IPv4" if key.kind == "ipv4" else "IPv6"
    word = value.capitalize() if key.setting in SWITCHES else value
    return {
        "do": "interface",
        "interface": key.interface,
        "family": family,
        "setting": key.setting,
        "value": word,
        "store": store,
    }


def install(name: str) -> Op:
    """Return what makes the loopback adapter and names it."""
    return {"do": "install", "interface": name}


def uninstall() -> Op:
    """Return what takes our loopback adapter away."""
    return {"do": "uninstall"}


def allow(rule: Rule) -> Op:
    """Return what makes a rule, or brings one that is there to this form."""
    return {
        "do": "rule",
        "rule": rule.name,
        "addresses": list(rule.addresses),
        "interfaces": list(rule.interfaces),
    }


def disallow(name: str) -> Op:
    """Return what takes a rule of ours away."""
    return {"do": "unrule", "rule": name}


def command(ops: Sequence[Op]) -> Command:
    """Return the one command that carries out operations, in their order."""
    device = any(op["do"] in ("install", "uninstall") for op in ops)
    return Command(
        CHANGE_SETTINGS,
        json.dumps({"ops": list(ops)}, separators=(",", ":")) + "\n",
        _DEVICE if device else _CHANGE,
        told="; ".join(_told(op) for op in ops),
    )


def _told(op: Op) -> str:
    """Return an operation for a person, as one would type it."""
    name = op.get("interface", "")
    if op["do"] == "interface":
        word = {"metric": "InterfaceMetric", "dadtransmits": "DadTransmits", "dhcp": "Dhcp"}
        switch = {"weakhostreceive": "WeakHostReceive", "weakhostsend": "WeakHostSend"}
        setting = (word | switch)[str(op["setting"])]
        if op["value"] == AUTOMATIC:
            setting, value = "AutomaticMetric", "Enabled"
        else:
            value = str(op["value"])
        family = op["family"]
        return f"Set-NetIPInterface '{name}' -AddressFamily {family} -{setting} {value}"
    said = {
        "install": f"install the loopback adapter '{name}'",
        "uninstall": "uninstall the loopback adapter",
        "dns": f"Set-DnsClient '{name}' -RegisterThisConnectionsAddress ${op.get('registers')}",
        "rule": f"New-NetFirewallRule '{op.get('rule')}'",
        "unrule": f"Remove-NetFirewallRule '{op.get('rule')}'",
    }
    return said[str(op["do"])]


def netsh(key: Key, value: str) -> Command | None:
    """Return a setting as the DSR guide's line of netsh; None for what it has no line for."""
    if key.setting not in ("weakhostreceive", "weakhostsend"):
        return None
    head = ("netsh", "interface", key.kind, "set", "interface", key.interface)
    return Command((*head, f"{key.setting}={value}"))
