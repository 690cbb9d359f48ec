"""Ask and change Windows by the three scripts of `powershell_scripts`; data goes in as JSON.

No value is part of a script or of a command line: a test holds both lines to be constants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ..errors import MALFORMED, EffectError
from ..host import NOT_FOUND, Host, Result
from ..model import Command
from .powershell_scripts import ASK, CHANGE, READ

#: Names of the two stores; what is in neither word goes to both.
ACTIVE, PERSISTENT, BOTH = "ActiveStore", "PersistentStore", ""
#: Most operations of one process: ``ConvertFrom-Json`` of Windows PowerShell takes 2 MiB.
MOST = 10_000
#: Seconds for a process, and for each operation on top.
_START, _EACH = 60.0, 0.5
#: What PowerShell says of a cmdlet that it does not have.
_NO_CMDLET = "CommandNotFoundException"

Op = Mapping[str, object]


@dataclass(frozen=True)
class Row:
    """Hold one address of one store; `skip` is ``SkipAsSource``."""

    store: str
    interface: str
    address: str
    prefix: int
    skip: bool
    state: str
    origin: str
    suffix: str

    @property
    def form(self) -> tuple[int, bool]:
        """Return what can be changed of it in place."""
        return self.prefix, self.skip


@dataclass(frozen=True)
class Gateway:
    """Hold one default route of one store."""

    store: str
    interface: str
    family: int
    gateway: str
    metric: int
    protocol: str


@dataclass(frozen=True)
class Interface:
    """Hold an interface.

    :param dhcp: True where its IPv4 addresses come from there.
    :param dns: name servers in use, of a lease or not.
    :param set_dns: those that a person has set; empty where they come with a lease.
    """

    name: str
    index: int
    mtu: int = 0
    mac: str = ""
    up: bool = True
    dhcp: bool = False
    dns: tuple[str, ...] = ()
    set_dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Store:
    """Hold what `READ` says of a host."""

    version: str
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    addresses: tuple[Row, ...] = ()
    gateways: tuple[Gateway, ...] = ()

    def rows(self, store: str, interface: str) -> dict[str, Row]:
        """Return an interface's addresses in a store, by address."""
        return {
            row.address: row
            for row in self.addresses
            if row.store == store and row.interface == interface
        }


def read(host: Host) -> Store:
    """Ask a host for interfaces, addresses and default routes of both stores.

    :raises EffectError: it cannot be asked, or has not the cmdlets.
    """
    result = host.run(READ, timeout=_START)
    if result.code == 0:
        return parse(result.out)
    if result.code == NOT_FOUND:
        raise EffectError("is not installed", where="`powershell.exe`")
    identifier, reason = _fault(result)[1:]
    if identifier.startswith(_NO_CMDLET):
        raise EffectError(
            "this Windows has no NetTCPIP cmdlets, and netsh speaks the system's language",
            where="`powershell.exe`",
            way_out="Windows 8.1 or Server 2012 R2 is the oldest that can be read",
        )
    raise EffectError(f"exit {result.code}: {reason}", where="`powershell.exe`")


def parse(text: str) -> Store:
    """Parse what `READ` prints.

    :raises EffectError: it is something else.
    """
    try:
        return _parse(json.loads(text.lstrip("\ufeff")))
    except MALFORMED as error:
        said = f"did not answer with what was asked ({error!r})"[:200]
        raise EffectError(said, where="`powershell.exe`") from None


def _parse(told: Mapping[str, Any]) -> Store:
    adapters = {int(row["index"]): row for row in told["adapters"]}
    servers = {int(row["index"]): _servers(row["servers"]) for row in told["dns"]}
    interfaces: dict[str, Interface] = {}
    names: dict[int, str] = {}
    dhcp = {int(r["index"]) for r in told["interfaces"] if (r["family"], r["dhcp"]) == _DHCP}
    for row in sorted(told["interfaces"], key=lambda row: int(row["index"])):
        name, index = str(row["name"]), int(row["index"])
        names[index] = name
        adapter = adapters.get(index, {"mac": "", "up": True})
        # One kept by an earlier version does not say it; a list has blanks or commas in it.
        given = str(adapter.get("dns", "")).replace(",", " ").split()
        interfaces[name] = Interface(
            name,
            index,
            int(row["mtu"]),
            str(adapter["mac"]).replace("-", ":").lower(),
            adapter["up"] is True,
            index in dhcp,
            servers.get(index, ()),
            _servers(given),
        )
    return Store(
        str(told["version"]),
        interfaces,
        tuple(_rows(told["addresses"], names)),
        tuple(_gateways(told["routes"], names)),
    )


_DHCP = ("IPv4", "Enabled")
#: States of a neighbour (Get-NetNeighbor, ``State``): it has just answered, a person set it.
_CONFIRMED = ("Reachable", "Permanent")


def _servers(listed: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(ip_address(str(server))) for server in listed if server)


def _rows(listed: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Iterator[Row]:
    """Yield the addresses of interfaces that are there; the store knows absent ones too."""
    for row in listed:
        if int(row["index"]) in names:
            yield Row(
                str(row["store"]),
                names[int(row["index"])],
                # One of a link bears the link's index; written as everywhere else here.
                str(ip_address(str(row["address"]).partition("%")[0])),
                int(row["prefix"]),
                row["skip"] is True,
                *(str(row[key]) for key in ("state", "origin", "suffix")),
            )


def _gateways(listed: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Iterator[Gateway]:
    for row in listed:
        gateway = ip_address(str(row["gateway"]).partition("%")[0])
        if int(row["index"]) in names:
            yield Gateway(
                str(row["store"]),
                names[int(row["index"])],
                gateway.version,
                "" if gateway.is_unspecified else str(gateway),
                int(row["metric"]),
                str(row["protocol"]).lower(),
            )


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Ping a gateway; return what is wrong, or nothing.

    One that answers no ping counts where the neighbour cache has just confirmed it.

    :raises EffectError: it cannot be asked.
    """
    words = {"interface": interface, "address": address}
    result = host.run(ASK, json.dumps(words, separators=(",", ":")) + "\n", timeout=_START)
    try:
        told = json.loads(result.out.lstrip("\ufeff"))
        status, state = int(told["status"]), str(told["neighbour"])
    except MALFORMED:
        raise EffectError(f"exit {result.code}: {_fault(result)[2]}", where=interface) from None
    return "" if status == 0 or state in _CONFIRMED else "nobody answers for it"


def new(address: str, prefix: int, skip: bool, store: str = BOTH) -> Op:
    """Return what makes an address; the persistent store alone is refused by the system."""
    return {"do": "new", "address": address, "prefix": prefix, "skip": skip, "store": store}


def set_form(address: str, prefix: int, skip: bool, store: str = BOTH) -> Op:
    """Return what gives an address that is there another prefix or policy, in place."""
    return {"do": "set", "address": address, "prefix": prefix, "skip": skip, "store": store}


def remove(address: str, store: str = BOTH) -> Op:
    """Return what takes an address out of a store, or out of both."""
    return {"do": "remove", "address": address, "store": store}


def route(destination: str, gateway: str, metric: int) -> Op:
    """Return what makes a route for the running system."""
    words = {"destination": destination, "gateway": gateway, "metric": metric}
    return {"do": "route", **words, "store": ACTIVE}


def commands(
    interface: str, ops: Sequence[Op], acts_on: Sequence[str] = (), *, go_on: bool = False
) -> list[Command]:
    """Return the command that carries out operations, more than one for very many.

    :param acts_on: ``address/prefix`` of each, in their order.
    :param go_on: do what is behind one that is refused as well; the first is told.
    """
    made = []
    for at in range(0, len(ops), MOST):
        part = list(ops[at : at + MOST])
        words = {"interface": interface, "go_on": go_on, "ops": part}
        made.append(
            Command(
                CHANGE,
                json.dumps(words, separators=(",", ":")) + "\n",
                _START + _EACH * len(part),
                acts_on=tuple(acts_on[at : at + MOST]),
                told=_told(interface, part),
            )
        )
    return made


def _told(interface: str, ops: Sequence[Op]) -> str:
    """Return operations for a person: the cmdlet of the first, and how many there are."""
    cmdlets = {
        "new": "New-NetIPAddress",
        "set": "Set-NetIPAddress",
        "remove": "Remove-NetIPAddress",
        "route": "New-NetRoute",
    }
    verb = str(ops[0]["do"])
    if verb == "restart":
        return f"Restart-NetAdapter -Name '{interface}'"
    if verb == "restart-all":
        return "Get-NetAdapter | Restart-NetAdapter"
    more = f" and {len(ops) - 1} more" if len(ops) > 1 else ""
    return f"{cmdlets[verb]} on '{interface}'{more}"


def failure(result: Result) -> tuple[int | None, str]:
    """Return at which operation `CHANGE` stopped, and why; None where it does not say.

    Every operation before it is done, neither it nor, unless told to go on, any behind it is.
    """
    index, identifier, reason = _fault(result)
    if index is None:
        return None, reason
    return index, f"{reason} [{identifier}]" if identifier else reason


def _fault(result: Result) -> tuple[int | None, str, str]:
    """Return index, identifier and message of what a script says of its failure."""
    try:
        told = json.loads(result.out.lstrip("\ufeff"))
        index = int(told["failed"])
        message = " ".join(str(told["message"]).split())
        return (index if index >= 0 else None), str(told["id"]), message or "no message"
    except MALFORMED:
        lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
        return None, "", lines[-1].strip()[:400] if lines else "no output"
