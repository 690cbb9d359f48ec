"""Ask and change Windows by two fixed scripts of its own PowerShell; data goes in as JSON.

The scripts are constants. No value is ever part of a script: what a script acts on comes as
JSON through standard input, and what it says goes out as JSON, both in ASCII, so that no code
page has a part in it and a name of any language comes through. ``$input`` is what
powershell.exe makes of a redirected standard input beside ``-Command``
(about_PowerShell_exe); ``[Console]::In`` is then its own to read.

The scripts hold no double quote: the argument goes through ``CommandLineToArgvW`` whole.
Errors are told by identifier (``FullyQualifiedErrorId``, ``NativeErrorCode``); the message is
in the system's language and only passed on.

Cmdlets: the modules NetTCPIP, NetAdapter and DnsClient, Windows 8 and Server 2012 and newer
(learn.microsoft.com/powershell/module/nettcpip). A query for ``-InterfaceAlias`` or ``-Name``
takes wildcards (it becomes ``LIKE`` in WQL), and a name may hold brackets: so names are
compared here, and cmdlets that query are given the index.
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

#: Names of the two stores; what is in neither word goes to both.
ACTIVE, PERSISTENT, BOTH = "ActiveStore", "PersistentStore", ""
_PROGRAM = (
    *("powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive"),
    # As Salt's own cmd.powershell runs it. There is no script file for a policy to look at.
    *("-ExecutionPolicy", "Bypass", "-Command"),
)
_COMMON = r"""
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
function Tell($told) {
  $plain = { param($found) '\u{0:x4}' -f [int][char]$found.Value }
  $text = ConvertTo-Json $told -Compress -Depth 4
  [Console]::Out.Write([regex]::Replace($text, '[^ -~]', $plain))
}
function Fault($fault, $at) {
  $native = [string]$fault.Exception.NativeErrorCode
  $id = [string]$fault.FullyQualifiedErrorId
  Tell @{failed = $at; id = $id; native = $native; message = [string]$fault.Exception.Message}
}
"""
_READ = r"""
try {
  $stores = 'ActiveStore', 'PersistentStore'
  $interfaces = Get-NetIPInterface -PolicyStore ActiveStore | ForEach-Object {
    @{name = [string]$_.InterfaceAlias; index = [int]$_.InterfaceIndex; mtu = [int64]$_.NlMtu
      family = [string]$_.AddressFamily; dhcp = [string]$_.Dhcp}
  }
  $adapters = Get-NetAdapter | ForEach-Object {
    @{index = [int]$_.InterfaceIndex; mac = [string]$_.MacAddress
      up = [int]$_.InterfaceOperationalStatus -eq 1}
  }
  $addresses = foreach ($store in $stores) {
    Get-NetIPAddress -PolicyStore $store | ForEach-Object {
      @{store = $store; index = [int]$_.InterfaceIndex; address = [string]$_.IPAddress
        prefix = [int]$_.PrefixLength; skip = [bool]$_.SkipAsSource
        state = [string]$_.AddressState
        origin = [string]$_.PrefixOrigin; suffix = [string]$_.SuffixOrigin}
    }
  }
  $routes = foreach ($store in $stores) {
    Get-NetRoute -PolicyStore $store |
      Where-Object { $_.DestinationPrefix -in '0.0.0.0/0', '::/0' } | ForEach-Object {
        @{store = $store; index = [int]$_.InterfaceIndex; gateway = [string]$_.NextHop
          destination = [string]$_.DestinationPrefix; metric = [int]$_.RouteMetric
          protocol = [string]$_.Protocol}
      }
  }
  $dns = Get-DnsClientServerAddress -AddressFamily IPv4 | ForEach-Object {
    @{index = [int]$_.InterfaceIndex
      servers = @($_.ServerAddresses | ForEach-Object { [string]$_ })}
  }
  Tell @{version = [string][Environment]::OSVersion.Version
    interfaces = @($interfaces); adapters = @($adapters); addresses = @($addresses)
    routes = @($routes); dns = @($dns)}
} catch {
  Fault $_ -1
  exit 3
}
"""
_CHANGE = r"""
$at = -1
try {
  $data = ConvertFrom-Json ([string]::Join(' ', @($input)))
  $name = [string]$data.interface
  $index = Get-NetIPInterface -PolicyStore ActiveStore |
    Where-Object { [string]$_.InterfaceAlias -ceq $name } |
    Select-Object -First 1 -ExpandProperty InterfaceIndex
  if ($null -eq $index) { throw 'no such interface' }
  $failed = -1
  foreach ($op in @($data.ops)) { try {
    $at += 1
    $more = @{}
    if ($op.store) { $more.PolicyStore = [string]$op.store }
    if ($op.address) { $address = [string][Net.IPAddress][string]$op.address }
    switch ([string]$op.do) {
      'new' {
        New-NetIPAddress -InterfaceAlias $name -IPAddress $address `
          -PrefixLength $op.prefix -SkipAsSource $op.skip @more | Out-Null
      }
      'set' {
        Set-NetIPAddress -InterfaceIndex $index -IPAddress $address `
          -PrefixLength $op.prefix -SkipAsSource $op.skip @more
      }
      'remove' {
        Remove-NetIPAddress -InterfaceIndex $index -IPAddress $address @more -Confirm:$false
      }
      'route' {
        New-NetRoute -InterfaceAlias $name -DestinationPrefix $op.destination `
          -NextHop $op.gateway -RouteMetric $op.metric @more | Out-Null
      }
      'restart' {
        Get-NetAdapter | Where-Object { $_.InterfaceIndex -eq $index } |
          Restart-NetAdapter -Confirm:$false
      }
      'restart-all' {
        Get-NetAdapter | Where-Object { [int]$_.InterfaceOperationalStatus -eq 1 } |
          Restart-NetAdapter -Confirm:$false
      }
      default { throw 'no such operation' }
    }
  } catch {
    if (-not $data.go_on) { throw }
    if ($failed -lt 0) { $failed = $at; $first = $_ }
  } }
  if ($failed -ge 0) { $at = $failed; throw $first }
  Tell @{done = $at + 1}
} catch {
  Fault $_ $at
  exit 1
}
"""
#: The two command lines; a third there is not.
READ = (*_PROGRAM, _COMMON + _READ)
CHANGE = (*_PROGRAM, _COMMON + _CHANGE)
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
    """Hold an interface: `dhcp` says whether its IPv4 addresses come from there."""

    name: str
    index: int
    mtu: int = 0
    mac: str = ""
    up: bool = True
    dhcp: bool = False
    dns: tuple[str, ...] = ()


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
    servers = {int(row["index"]): tuple(map(str, row["servers"])) for row in told["dns"]}
    interfaces: dict[str, Interface] = {}
    names: dict[int, str] = {}
    dhcp = {int(r["index"]) for r in told["interfaces"] if (r["family"], r["dhcp"]) == _DHCP}
    for row in sorted(told["interfaces"], key=lambda row: int(row["index"])):
        name, index = str(row["name"]), int(row["index"])
        names[index] = name
        adapter = adapters.get(index, {"mac": "", "up": True})
        interfaces[name] = Interface(
            name,
            index,
            int(row["mtu"]),
            str(adapter["mac"]).replace("-", ":").lower(),
            adapter["up"] is True,
            index in dhcp,
            servers.get(index, ()),
        )
    return Store(
        str(told["version"]),
        interfaces,
        tuple(_rows(told["addresses"], names)),
        tuple(_gateways(told["routes"], names)),
    )


_DHCP = ("IPv4", "Enabled")


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
