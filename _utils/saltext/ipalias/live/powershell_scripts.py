"""The three scripts that Windows' own PowerShell runs for us; nothing is ever put into them.

What a script acts on comes as JSON through standard input, and what it says goes out as JSON,
both in ASCII, so that no code page has a part in it and a name of any language comes through.
``$input`` is what powershell.exe makes of a redirected standard input beside ``-Command``
(about_PowerShell_exe); ``[Console]::In`` is then its own to read. There is no double quote in
them: the argument goes through ``CommandLineToArgvW`` whole.

Errors are told by identifier (``FullyQualifiedErrorId``, ``NativeErrorCode``); the message is
in the system's language and only passed on.

A ping is .NET's (``System.Net.NetworkInformation.Ping``): the program's exit code is 0 for
"destination host unreachable" too, and its words are in the system's language.

Cmdlets: the modules NetTCPIP, NetAdapter and DnsClient, Windows 8 and Server 2012 and newer
(learn.microsoft.com/powershell/module/nettcpip). A query for ``-InterfaceAlias`` or ``-Name``
takes wildcards (it becomes ``LIKE`` in WQL), and a name may hold brackets: so names are
compared here, and cmdlets that query are given the index. Their enumerations are printed by
their English names; a state of the hardware is compared as a number.

Name servers that a person has set stand in the registry as ``NameServer``, beside what a lease
gave (learn.microsoft.com/previous-versions/windows/it-pro/windows-2000-server/cc978468); no
cmdlet tells the two apart.
"""

from __future__ import annotations

PROGRAM = (
    *("powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive"),
    # As Salt's own cmd.powershell runs it. There is no script file for a policy to look at.
    *("-ExecutionPolicy", "Bypass", "-Command"),
)
COMMON = r"""
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$stop = @{ErrorAction = 'Stop'}
function Tell($told) {
  $plain = { param($found) '\u{0:x4}' -f [int][char]$found.Value }
  $text = ConvertTo-Json $told -Compress -Depth 4
  [Console]::Out.Write([regex]::Replace($text, '[^ -~]', $plain))
}
function Fault($fault, $at) {
  $native = [string]$fault.Exception.GetBaseException().NativeErrorCode
  $id = [string]$fault.FullyQualifiedErrorId
  Tell @{failed = $at; id = $id; native = $native; message = [string]$fault.Exception.Message}
}
"""
_READ = r"""
function Found($query) {
  try { & $query } catch {
    if ([string]$_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw }
  }
}
try {
  $stores = 'ActiveStore', 'PersistentStore'
  $interfaces = @(Found { Get-NetIPInterface -PolicyStore ActiveStore @stop } | ForEach-Object {
    @{name = [string]$_.InterfaceAlias; index = [int]$_.InterfaceIndex; mtu = [int64]$_.NlMtu
      family = [string]$_.AddressFamily; dhcp = [string]$_.Dhcp}
  })
  $keys = 'HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\'
  $adapters = @(Found { Get-NetAdapter @stop } | ForEach-Object {
    $key = $keys + [string]$_.InterfaceGuid
    $set = Get-ItemProperty -LiteralPath $key -Name NameServer -ErrorAction SilentlyContinue
    @{index = [int]$_.InterfaceIndex; mac = [string]$_.MacAddress
      up = [int]$_.InterfaceOperationalStatus -eq 1; dns = [string]$set.NameServer}
  })
  $addresses = @(foreach ($store in $stores) {
    Found { Get-NetIPAddress -PolicyStore $store @stop } | ForEach-Object {
      @{store = $store; index = [int]$_.InterfaceIndex; address = [string]$_.IPAddress
        prefix = [int]$_.PrefixLength; skip = [bool]$_.SkipAsSource
        state = [string]$_.AddressState
        origin = [string]$_.PrefixOrigin; suffix = [string]$_.SuffixOrigin}
    }
  })
  $routes = @(foreach ($store in $stores) {
    Found { Get-NetRoute -PolicyStore $store @stop } |
      Where-Object { $_.DestinationPrefix -in '0.0.0.0/0', '::/0' } | ForEach-Object {
        @{store = $store; index = [int]$_.InterfaceIndex; gateway = [string]$_.NextHop
          destination = [string]$_.DestinationPrefix; metric = [int]$_.RouteMetric
          protocol = [string]$_.Protocol}
      }
  })
  $dns = @(Found { Get-DnsClientServerAddress -AddressFamily IPv4 @stop } | ForEach-Object {
    @{index = [int]$_.InterfaceIndex; servers = @($_.ServerAddresses)}
  })
  Tell @{version = [string][Environment]::OSVersion.Version; interfaces = $interfaces
    adapters = $adapters; addresses = $addresses; routes = $routes; dns = $dns}
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
  $index = Get-NetIPInterface -PolicyStore ActiveStore @stop |
    Where-Object { [string]$_.InterfaceAlias -ceq $name } |
    Select-Object -First 1 -ExpandProperty InterfaceIndex
  if ($null -eq $index) { throw 'no such interface' }
  $failed = -1
  foreach ($op in @($data.ops)) { try {
    $at += 1
    $more = @{} + $stop
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
        Get-NetAdapter @more | Where-Object { $_.InterfaceIndex -eq $index } |
          Restart-NetAdapter -Confirm:$false @more
      }
      'restart-all' {
        Get-NetAdapter @more | Where-Object { [int]$_.InterfaceOperationalStatus -eq 1 } |
          Restart-NetAdapter -Confirm:$false @more
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
_ASK = r"""
try {
  $data = ConvertFrom-Json ([string]::Join(' ', @($input)))
  $name = [string]$data.interface
  $index = Get-NetIPInterface -PolicyStore ActiveStore @stop |
    Where-Object { [string]$_.InterfaceAlias -ceq $name } |
    Select-Object -First 1 -ExpandProperty InterfaceIndex
  if ($null -eq $index) { throw 'no such interface' }
  $address = [Net.IPAddress][string]$data.address
  $plain = [string]$address
  if ($address.IsIPv6LinkLocal) { $address.ScopeId = $index }
  $status = -1
  try {
    $ping = New-Object -TypeName Net.NetworkInformation.Ping
    $status = [int]$ping.Send($address, 1000).Status
  } catch { }
  $state = ''
  try {
    $found = Get-NetNeighbor @stop | Where-Object {
      $_.InterfaceIndex -eq $index -and ([string]$_.IPAddress -split '%')[0] -eq $plain
    } | Select-Object -First 1
    if ($null -ne $found) { $state = [string]$found.State }
  } catch { }
  Tell @{status = $status; neighbour = $state}
} catch {
  Fault $_ -1
  exit 3
}
"""
#: The three command lines; a fourth there is not.
READ = (*PROGRAM, COMMON + _READ)
CHANGE = (*PROGRAM, COMMON + _CHANGE)
ASK = (*PROGRAM, COMMON + _ASK)
