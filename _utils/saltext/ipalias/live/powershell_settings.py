r"""The two scripts by which Windows' own PowerShell reads and changes settings of interfaces.

As those of `powershell_scripts`: constants, JSON in and out, ASCII, no double quote. What they
know is what a real server behind a balancer needs: the loopback adapter, the host model and
the metric of an interface, its registration in DNS, and firewall rules of ours.

**The adapter.** ``*MSLOOP`` of ``%windir%\inf\netloop.inf``, which every Windows has. devcon
is not on the system, and ``pnputil`` makes no device; so the calls of SetupAPI that devcon
makes are made here (learn.microsoft.com/windows-hardware/drivers/install: "Creating a
root-enumerated device"; setupapi.h, newdev.h). The device gets an instance of its own name,
``ROOT\IPALIAS\0000``, instead of a generated one: by that it is known as ours, also where a
run was cut off between making and naming it. It comes up by and by, so both are waited for.

``InterfaceMetric`` switches the automatic metric off by itself, and beside it
``-AutomaticMetric`` is ignored (dsccommunity/NetworkingDsc issue 391).
"""

from __future__ import annotations

from .powershell_scripts import COMMON, PROGRAM

#: Instance of the adapter that is ours, and what tells any loopback adapter.
DEVICE = "ROOT\\IPALIAS\\0000"
HARDWARE = "*msloop"
#: Group of our firewall rules; a resource string would begin with an @.
GROUP = "ipalias"

_FOUND = r"""
function Found($query) {
  try { & $query } catch {
    if ([string]$_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw }
  }
}
function Rules {
  Found { Get-NetFirewallRule -PolicyStore PersistentStore -Group 'ipalias' @stop }
}
"""
_READ = r"""
try {
  $stores = 'ActiveStore', 'PersistentStore'
  $interfaces = @(foreach ($store in $stores) {
    Found { Get-NetIPInterface -PolicyStore $store @stop } | ForEach-Object {
      @{store = $store; name = [string]$_.InterfaceAlias; index = [int]$_.InterfaceIndex
        family = [string]$_.AddressFamily
        weakhostreceive = [string]$_.WeakHostReceive; weakhostsend = [string]$_.WeakHostSend
        automatic = [string]$_.AutomaticMetric; metric = [int64]$_.InterfaceMetric
        dadtransmits = [int64]$_.DadTransmits; dhcp = [string]$_.Dhcp}
    }
  })
  $adapters = @(Found { Get-NetAdapter -IncludeHidden @stop } | ForEach-Object {
    @{name = [string]$_.Name; device = [string]$_.PnPDeviceID; hardware = [string]$_.ComponentID}
  })
  $dns = @(Found { Get-DnsClient @stop } | ForEach-Object {
    @{name = [string]$_.InterfaceAlias; registers = [bool]$_.RegisterThisConnectionsAddress}
  })
  $rules = $null
  if ([int](Get-Service MpsSvc @stop).Status -eq 4) {
    $rules = @(Rules | ForEach-Object {
      $addresses = $_ | Get-NetFirewallAddressFilter @stop
      $on = $_ | Get-NetFirewallInterfaceFilter @stop
      @{name = [string]$_.Name; enabled = [string]$_.Enabled -eq 'True'
        inbound = [string]$_.Direction -eq 'Inbound'; allows = [string]$_.Action -eq 'Allow'
        addresses = @($addresses.LocalAddress); interfaces = @($on.InterfaceAlias)}
    })
  }
  Tell @{version = [string][Environment]::OSVersion.Version; interfaces = $interfaces
    adapters = $adapters; dns = $dns; rules = $rules}
} catch {
  Fault $_ -1
  exit 3
}
"""
#: C# for what no cmdlet does. A backtick stands for the quote, which no script has.
_SETUP = r"""
$source = @'
using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
public static class IpaliasSetup {
  [StructLayout(LayoutKind.Sequential)]
  struct Info { public int Size; public Guid Kind; public uint Node; public IntPtr Reserved; }
  const string Api = `setupapi.dll`, New = `newdev.dll`;
  static readonly Guid Net = new Guid(`4d36e972-e325-11ce-bfc1-08002be10318`);
  [DllImport(Api, SetLastError = true)]
  static extern IntPtr SetupDiCreateDeviceInfoList(ref Guid kind, IntPtr window);
  [DllImport(Api, SetLastError = true)]
  static extern bool SetupDiDestroyDeviceInfoList(IntPtr list);
  [DllImport(Api, SetLastError = true, CharSet = CharSet.Unicode)]
  static extern bool SetupDiCreateDeviceInfoW(IntPtr list, string name, ref Guid kind,
    string said, IntPtr window, uint flags, ref Info info);
  [DllImport(Api, SetLastError = true, CharSet = CharSet.Unicode)]
  static extern bool SetupDiOpenDeviceInfoW(IntPtr list, string name, IntPtr window,
    uint flags, ref Info info);
  [DllImport(Api, SetLastError = true)]
  static extern bool SetupDiSetDeviceRegistryPropertyW(IntPtr list, ref Info info, uint which,
    byte[] value, uint size);
  [DllImport(Api, SetLastError = true)]
  static extern bool SetupDiCallClassInstaller(uint what, IntPtr list, ref Info info);
  [DllImport(New, SetLastError = true, CharSet = CharSet.Unicode)]
  static extern bool UpdateDriverForPlugAndPlayDevicesW(IntPtr window, string hardware,
    string inf, uint flags, out bool reboot);
  [DllImport(New, SetLastError = true)]
  static extern bool DiUninstallDevice(IntPtr window, IntPtr list, ref Info info, uint flags,
    out bool reboot);
  static void Must(bool done) {
    if (!done) { throw new Win32Exception(Marshal.GetLastWin32Error()); }
  }
  static IntPtr List(ref Info info) {
    Guid kind = Net;
    info.Size = Marshal.SizeOf(typeof(Info));
    IntPtr list = SetupDiCreateDeviceInfoList(ref kind, IntPtr.Zero);
    Must(list != new IntPtr(-1));
    return list;
  }
  public static void Make(string device, string hardware, string inf) {
    Info info = new Info();
    Guid kind = Net;
    bool reboot;
    IntPtr list = List(ref info);
    try {
      if (!SetupDiOpenDeviceInfoW(list, device, IntPtr.Zero, 0, ref info)) {
        byte[] ids = System.Text.Encoding.Unicode.GetBytes(hardware + (char)0 + (char)0);
        Must(SetupDiCreateDeviceInfoW(list, device, ref kind, null, IntPtr.Zero, 0, ref info));
        Must(SetupDiSetDeviceRegistryPropertyW(list, ref info, 1, ids, (uint)ids.Length));
        Must(SetupDiCallClassInstaller(0x19, list, ref info));
      }
    } finally { SetupDiDestroyDeviceInfoList(list); }
    bool done = UpdateDriverForPlugAndPlayDevicesW(IntPtr.Zero, hardware, inf, 4, out reboot);
    Must(done || Marshal.GetLastWin32Error() == 259);
  }
  public static void Drop(string device) {
    Info info = new Info();
    bool reboot;
    IntPtr list = List(ref info);
    try {
      Must(SetupDiOpenDeviceInfoW(list, device, IntPtr.Zero, 0, ref info));
      Must(DiUninstallDevice(IntPtr.Zero, list, ref info, 0, out reboot));
    } finally { SetupDiDestroyDeviceInfoList(list); }
  }
}
'@
function Setup {
  if (-not ('IpaliasSetup' -as [type])) {
    Add-Type -TypeDefinition $source.Replace([string][char]96, [string][char]34) @stop
  }
}
function Ours { Found { Get-NetAdapter -IncludeHidden @stop } |
  Where-Object { [string]$_.PnPDeviceID -eq $device } | Select-Object -First 1 }
function Until($look, $what) {
  for ($tries = 0; $tries -lt 150; $tries += 1) {
    $seen = & $look
    if ($seen) { return $seen }
    Start-Sleep -Milliseconds 200
  }
  throw $what
}
function Install($name) {
  Setup
  $inf = [string][Environment]::GetFolderPath('Windows') + '\inf\netloop.inf'
  try {
    [IpaliasSetup]::Make($device, '*MSLOOP', $inf)
    $adapter = Until { Ours } 'the adapter did not come up'
    if ([string]$adapter.Name -cne $name) { $adapter | Rename-NetAdapter -NewName $name @stop }
    Until { 2 -eq @(Found { Get-NetIPInterface -PolicyStore ActiveStore @stop } |
      Where-Object { [string]$_.InterfaceAlias -ceq $name }).Count } 'no TCP/IP on the adapter'
  } catch {
    $first = $_
    try { [IpaliasSetup]::Drop($device) } catch { }
    throw $first
  }
}
function Uninstall {
  Setup
  [IpaliasSetup]::Drop($device)
  Until { -not (Ours) } 'the adapter did not go'
}
"""
_CHANGE = r"""
$at = -1
$device = 'ROOT\IPALIAS\0000'
try {
  $data = ConvertFrom-Json ([string]::Join(' ', @($input)))
  foreach ($op in @($data.ops)) {
    $at += 1
    $name = [string]$op.interface
    switch ([string]$op.do) {
      'install' { Install $name | Out-Null }
      'uninstall' { Uninstall | Out-Null }
      'interface' {
        $index = Get-NetIPInterface -PolicyStore ActiveStore @stop |
          Where-Object { [string]$_.InterfaceAlias -ceq $name } |
          Select-Object -First 1 -ExpandProperty InterfaceIndex
        if ($null -eq $index) { throw 'no such interface' }
        $set = @{} + $stop
        if ($op.store) { $set.PolicyStore = [string]$op.store }
        switch ([string]$op.setting) {
          'weakhostreceive' { $set.WeakHostReceive = [string]$op.value }
          'weakhostsend' { $set.WeakHostSend = [string]$op.value }
          'dhcp' { $set.Dhcp = [string]$op.value }
          'dadtransmits' { $set.DadTransmits = [uint32]$op.value }
          'metric' {
            if ([string]$op.value -ceq 'automatic') { $set.AutomaticMetric = 'Enabled' }
            else { $set.InterfaceMetric = [uint32]$op.value }
          }
          default { throw 'no such setting' }
        }
        Set-NetIPInterface -InterfaceIndex $index -AddressFamily ([string]$op.family) @set
      }
      'dns' {
        $index = Get-DnsClient @stop | Where-Object { [string]$_.InterfaceAlias -ceq $name } |
          Select-Object -First 1 -ExpandProperty InterfaceIndex
        if ($null -eq $index) { throw 'no such interface' }
        Set-DnsClient -InterfaceIndex $index `
          -RegisterThisConnectionsAddress ([bool]$op.registers) @stop
      }
      'rule' {
        $rule = Rules | Where-Object { [string]$_.Name -ceq [string]$op.rule } |
          Select-Object -First 1
        $form = @{Direction = 'Inbound'; Action = 'Allow'; Profile = 'Any'; Enabled = 'True'
          LocalAddress = @($op.addresses); InterfaceAlias = @($op.interfaces)} + $stop
        if ($rule) { Set-NetFirewallRule -Name ([string]$op.rule) @form }
        else {
          New-NetFirewallRule -Name ([string]$op.rule) -Group 'ipalias' `
            -DisplayName ([string]$op.rule) @form | Out-Null
        }
      }
      'unrule' {
        Rules | Where-Object { [string]$_.Name -ceq [string]$op.rule } |
          Remove-NetFirewallRule @stop
      }
      default { throw 'no such operation' }
    }
  }
  Tell @{done = $at + 1}
} catch {
  Fault $_ $at
  exit 1
}
"""
#: The two command lines; a third there is not.
READ_SETTINGS = (*PROGRAM, COMMON + _FOUND + _READ)
CHANGE_SETTINGS = (*PROGRAM, COMMON + _FOUND + _SETUP + _CHANGE)
