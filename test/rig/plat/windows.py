"""Windows on a simulated host: its two stores, PowerShell by our two scripts alone, netsh.

The active store is the kernel of `rig.simnet`, the persistent one is ``host.stored``.
PowerShell runs nothing but the two scripts of `live.powershell`, known by identity; what they
are given is held against a strict schema. What a cmdlet does and refuses is written after:

* MS: learn.microsoft.com/powershell/module/nettcpip (text of
  github.com/MicrosoftDocs/windows-powershell-docs, docset/winserver2022-ps/nettcpip);
* recorded outputs, quoted at `REFUSALS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, PRIMARY4, PRIMARY6, Program, machine
from saltext.ipalias.host import Result
from saltext.ipalias.live import powershell

VERSION = "10.0.20348.0"
ACTIVE, PERSISTENT = "ActiveStore", "PersistentStore"
_MS = "learn.microsoft.com/powershell/module"
#: The cmdlets of the scripts: where each is documented, and the parameters used of it.
CITED = {
    "Get-NetIPInterface": (f"{_MS}/nettcpip/get-netipinterface", {"PolicyStore"}),
    "Get-NetIPAddress": (f"{_MS}/nettcpip/get-netipaddress", {"PolicyStore"}),
    "Get-NetRoute": (f"{_MS}/nettcpip/get-netroute", {"PolicyStore"}),
    "Get-NetAdapter": (f"{_MS}/netadapter/get-netadapter", set()),
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


class PowerShell(Program):
    """`powershell.exe` that knows our two scripts and nothing else."""

    def __init__(self, host: SimHost) -> None:
        super().__init__(host)
        self.elevated = True
        #: Inputs that were taken, and what was refused: lines of another script, other input.
        self.taken: list[str] = []
        self.refused: list[tuple[Sequence[str], str]] = []
        self.reads = 0
        #: Refuses the operation on an address by a key of `REFUSALS`.
        self.broken: dict[str, str] = {}
        #: Interfaces that an adapter's protocol is not bound to.
        self.without6: set[str] = set()

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if tuple(argv) == powershell.READ and not stdin:
            self.reads += 1
            return Result(0, _ascii(self._read()), "")
        try:
            if tuple(argv) != powershell.CHANGE:
                raise Unreadable("no script of ours")
            name, go_on, ops = check(stdin or "")
        except Unreadable as error:
            self.refused.append((tuple(argv), stdin or ""))
            return Result(1, "", f"{error}\n")
        self.taken.append(stdin or "")
        if name not in self.host.net.links:
            return _failed(-1, {"id": "no such interface", "native": "", "message": ""})
        first: Result | None = None
        for at, op in enumerate(ops):
            try:
                self._do(name, op)
            except Fault as fault:
                first = first or _failed(at, fault.told)
                if not go_on:
                    break
        return first or Result(0, _ascii({"done": len(ops)}), "")

    def halved(self, stdin: str) -> str | None:
        """Return an input with the first half of its operations."""
        told = json.loads(stdin or "{}")
        ops = told.get("ops", [])
        if len(ops) < 2:
            return None
        told["ops"] = ops[: len(ops) // 2]
        return json.dumps(told, separators=(",", ":")) + "\n"

    # -- reading ----------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        links = self.host.net.links.values()
        return {
            "version": VERSION,
            "interfaces": [row for link in links for row in self._interface(link.name)],
            "adapters": [
                {"index": a.index, "mac": a.mac.upper().replace(":", "-"), "up": a.up}
                for a in links
                if not a.loopback
            ],
            "addresses": [*self._active(), *self._persistent()],
            "routes": [*self._routes(), *self._gateways()],
            "dns": [{"index": a.index, "servers": servers(self.host, a.name)} for a in links],
        }

    def _interface(self, name: str) -> Iterator[dict[str, Any]]:
        for family in ("IPv4", "IPv6"):
            told = family == "IPv4" and self.host.stored["dhcp"].get(name)
            yield {
                "name": name,
                "index": self.host.net.links[name].index,
                "mtu": 1500,
                "family": family,
                "dhcp": "Enabled" if told else "Disabled",
            }

    def _active(self) -> Iterator[dict[str, Any]]:
        now = self.host.net.now
        for link in self.host.net.links.values():
            for a in (*link.addresses4, *link.addresses6):
                six = ":" in a.address
                state = "Tentative" if six and now < a.ready else "Preferred"
                if a.duplicate and state == "Preferred":
                    state = "Duplicate"
                origin = "WellKnown" if link.loopback or a.scope == "link" else "Manual"
                if a.dynamic:
                    origin = "RouterAdvertisement" if six else "Dhcp"
                skip = a.deprecated if six else a.scope == "host" and not link.loopback
                yield {
                    "store": ACTIVE,
                    "index": link.index,
                    "address": f"{a.address}%{link.index}" if a.scope == "link" else a.address,
                    "prefix": a.prefix,
                    "skip": skip,
                    "state": state,
                    "origin": origin,
                    "suffix": "Link" if a.scope == "link" else origin,
                }

    def _persistent(self) -> Iterator[dict[str, Any]]:
        for name, rows in self.host.stored["addresses"].items():
            for address, (prefix, skip) in rows.items():
                yield {
                    "store": PERSISTENT,
                    "index": self.host.net.links[name].index,
                    "address": address,
                    "prefix": prefix,
                    "skip": skip,
                    "state": "Invalid",
                    "origin": "Manual",
                    "suffix": "Manual",
                }

    def _routes(self) -> Iterator[dict[str, Any]]:
        for route in self.host.net.routes:
            if route.destination == "default":
                yield self._told(ACTIVE, route.interface, route.family, route.gateway, route.metric)

    def _gateways(self) -> Iterator[dict[str, Any]]:
        for name, gateways in self.host.stored["gateways"].items():
            for gateway in gateways:
                yield self._told(PERSISTENT, name, 6 if ":" in gateway else 4, gateway, 0)

    def _told(
        self, store: str, name: str, family: int, gateway: str | None, metric: int
    ) -> dict[str, Any]:
        return {
            "store": store,
            "index": self.host.net.links[name].index,
            "destination": "::/0" if family == 6 else "0.0.0.0/0",
            "gateway": gateway or ("::" if family == 6 else "0.0.0.0"),
            "metric": metric,
            "protocol": "NetMgmt",
        }

    # -- changing ---------------------------------------------------------------------

    def _do(self, name: str, op: dict[str, Any]) -> None:
        cmdlets = {"new": "New-NetIPAddress", "set": "Set-NetIPAddress"}
        cmdlet = cmdlets.get(op["do"], "Remove-NetIPAddress")
        index = self.host.net.links[name].index
        address = op.get("address", "")
        if not self.elevated:
            raise Fault("denied", cmdlet=cmdlet)
        if address in self.broken:
            key = self.broken[address]
            raise Fault(key, cmdlet=cmdlet, index=index, address=address)
        act: dict[str, Callable[[], None]] = {
            "new": lambda: self._new(name, op),
            "set": lambda: self._set(name, op),
            "remove": lambda: self._remove(name, op),
            "route": lambda: self._route(name, op),
            "restart": lambda: self._restart(name),
            "restart-all": self._restart_all,
        }
        act[op["do"]]()

    def _stores(self, name: str, address: str, store: str) -> list[str]:
        """Return the stores among those asked for that hold an address."""
        held = {
            ACTIVE: find(self.host, name, address) is not None,
            PERSISTENT: address in self.host.stored["addresses"].get(name, {}),
        }
        return [one for one, has in held.items() if has and store in ("", one)]

    def _new(self, name: str, op: dict[str, Any]) -> None:
        address, prefix, skip = op["address"], op["prefix"], op["skip"]
        six = ":" in address
        if six and name in self.without6:
            raise Fault("unbound")
        if self._stores(name, address, op["store"]):
            raise Fault("exists")
        if not six and self.host.stored["dhcp"].get(name):
            if not op["store"]:
                raise Fault("dhcp")
            # MS, description: "DHCP is automatically disabled".
            self.host.stored["dhcp"][name] = False
            drop_lease(self.host, name)
        if not op["store"]:
            self.host.stored["addresses"].setdefault(name, {})[address] = (prefix, skip)
        make_active(self.host, name, address, prefix, skip)

    def _set(self, name: str, op: dict[str, Any]) -> None:
        address, prefix, skip = op["address"], op["prefix"], op["skip"]
        stores = self._stores(name, address, op["store"])
        if not stores:
            index = self.host.net.links[name].index
            raise Fault("absent", cmdlet="Set-NetIPAddress", index=index, address=address)
        if PERSISTENT in stores:
            self.host.stored["addresses"][name][address] = (prefix, skip)
        if ACTIVE in stores:
            change_active(self.host, name, address, prefix, skip)

    def _remove(self, name: str, op: dict[str, Any]) -> None:
        """Take an address away; without a store out of both.

        Recorded: the cmdlet asks for "-Store Active" and then for "-Store Persistent".
        """
        address = op["address"]
        stores = self._stores(name, address, op["store"])
        if not stores:
            index = self.host.net.links[name].index
            raise Fault("absent", cmdlet="Remove-NetIPAddress", index=index, address=address)
        if PERSISTENT in stores:
            del self.host.stored["addresses"][name][address]
        if ACTIVE in stores:
            drop_active(self.host, name, address)

    def _route(self, name: str, op: dict[str, Any]) -> None:
        family = 6 if ":" in op["destination"] else 4
        route = SimRoute(family, "default", name, op["gateway"], metric=op["metric"])
        self.host.net.add_route(route)

    def _restart_all(self) -> None:
        for name in self.host.net.links:
            self._restart(name)

    def _restart(self, name: str) -> None:
        """Let an adapter go and come back: what was in the active store alone is gone."""
        link = self.host.net.links[name]
        if link.loopback:
            return
        link.addresses4, link.addresses6, link.known6 = [], [], {}
        self.host.net.routes = [r for r in self.host.net.routes if r.interface != name]
        load_interface(self.host, name)


def _ascii(told: dict[str, Any]) -> str:
    return json.dumps(told)


def _failed(at: int, told: dict[str, Any]) -> Result:
    return Result(1, _ascii({"failed": at, **told}), "")


# The active store


def find(host: SimHost, name: str, address: str) -> SimAddress | None:
    """Return an address of the active store."""
    link = host.net.links[name]
    return next((a for a in (*link.addresses4, *link.addresses6) if a.address == address), None)


def make_active(host: SimHost, name: str, address: str, prefix: int, skip: bool) -> None:
    """Add an address to the active store."""
    if ":" in address:
        host.net.add6(name, SimAddress(address, prefix, deprecated=skip))
        return
    scope = "host" if skip else "global"
    host.net.links[name].addresses4.append(SimAddress(address, prefix, name, scope))


def change_active(host: SimHost, name: str, address: str, prefix: int, skip: bool) -> None:
    """Give an address another form where it is."""
    link, old = host.net.links[name], find(host, name, address)
    assert old is not None
    if ":" in address:
        host.net.delete6(name, address, old.prefix)
        host.net.add6(name, SimAddress(address, prefix, deprecated=skip))
        link.known6[address].ready = old.ready
        return
    new = replace(old, prefix=prefix, scope="host" if skip else "global")
    link.addresses4[link.addresses4.index(old)] = new


def drop_active(host: SimHost, name: str, address: str) -> None:
    """Take an address out of the active store; no other goes with it."""
    link, old = host.net.links[name], find(host, name, address)
    assert old is not None
    if ":" in address:
        host.net.delete6(name, address, old.prefix)
    else:
        link.addresses4.remove(old)


# DHCP


def servers(host: SimHost, name: str) -> list[str]:
    """Return the DNS servers of an interface: its own, else the lease's."""
    own = host.stored["dns"].get(name)
    lease = host.stored["leases"].get(name)
    leased = lease["dns"] if lease and host.stored["dhcp"].get(name) else []
    return list(own or leased)


def take_lease(host: SimHost, name: str) -> None:
    """Take the lease that the network has for an interface."""
    lease = host.stored["leases"].get(name)
    if lease is None or find(host, name, lease["address"]) is not None:
        return
    address = SimAddress(lease["address"], lease["prefix"], name, dynamic=True)
    host.net.links[name].addresses4.insert(0, address)
    if lease["gateway"]:
        host.net.add_route(SimRoute(4, "default", name, lease["gateway"]))


def drop_lease(host: SimHost, name: str) -> None:
    """Lose what a lease gave."""
    link = host.net.links[name]
    link.addresses4 = [a for a in link.addresses4 if not a.dynamic]
    host.net.routes = [
        r for r in host.net.routes if (r.family, r.destination, r.interface) != (4, "default", name)
    ]


def load_interface(host: SimHost, name: str) -> None:
    """Do what the stack does when an interface comes: what lasts becomes active."""
    if name not in host.net.links or host.net.links[name].loopback:
        return
    link = host.net.links[name]
    for address, (prefix, skip) in host.stored["addresses"].get(name, {}).items():
        if find(host, name, address) is None:
            make_active(host, name, address, prefix, skip)
    if "fe80::2" not in link.known6:
        host.net.add6(name, SimAddress("fe80::2", 64))
    for gateway in host.stored["gateways"].get(name, []):
        route = SimRoute(6 if ":" in gateway else 4, "default", name, gateway)
        if not any(r.destination == "default" and r.gateway == gateway for r in host.net.routes):
            host.net.add_route(route)
    if host.stored["dhcp"].get(name):
        take_lease(host, name)


# The host


def host(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a Windows Server host with static addresses."""
    from rig.plat.windows_netsh import Ipconfig, netsh_of

    made = machine({}, links=links)
    made.owner = made.system = "windows"
    made.files.make_folders("C:/ProgramData")
    del made.programs["ip"]
    made.stored = {
        "addresses": {
            name: {a.address: (a.prefix, False) for a in made.net.links[name].addresses4}
            for name in links
        },
        "gateways": {"eth0": [GATEWAY4, GATEWAY6]},
        "dhcp": {},
        "dns": {name: ["192.0.2.53"] for name in links},
        "leases": {},
    }
    made.stored["addresses"]["eth0"]["2001:db8::2"] = (64, False)
    made.programs["powershell.exe"] = PowerShell(made)
    made.programs["netsh"] = netsh_of(made)
    made.programs["ipconfig"] = Ipconfig(made)
    return made


def rename(made: SimHost, name: str) -> SimHost:
    """Give the link eth0 the name that a person gave the connection."""
    from rig.plat.windows_netsh import netsh_of

    link = made.net.links.pop("eth0")
    link.name = name
    made.net.links[name] = link
    made.net.routes = [replace(r, interface=name) for r in made.net.routes]
    for table in made.stored.values():
        if "eth0" in table:
            table[name] = table.pop("eth0")
    made.programs["netsh"] = netsh_of(made)
    return made


def by_dhcp(
    *, dns: Sequence[str] = ("192.0.2.53",), gateway: str = GATEWAY4, name: str = "eth0"
) -> SimHost:
    """Return a host whose IPv4 address comes from a lease."""
    made = host()
    address, _, prefix = PRIMARY4.partition("/")
    lease = {"address": address, "prefix": int(prefix), "gateway": gateway, "dns": list(dns)}
    made.stored["leases"]["eth0"] = lease
    made.stored["dhcp"]["eth0"] = True
    del made.stored["addresses"]["eth0"][address]
    made.stored["gateways"]["eth0"] = [GATEWAY6]
    made.stored["dns"].pop("eth0")
    link = made.net.links["eth0"]
    link.addresses4 = []
    made.net.routes = [r for r in made.net.routes if r.family == 6]
    take_lease(made, "eth0")
    return rename(made, name) if name != "eth0" else made


def FOREIGN(made: SimHost) -> None:  # noqa: N802
    """Let the persistent store hold an address of somebody else's."""
    made.stored["addresses"]["eth0"]["192.0.2.20"] = (24, False)


def forget(made: SimHost, address: str) -> None:
    """Take an address out of the persistent store alone, behind everybody's back."""
    for rows in made.stored["addresses"].values():
        rows.pop(address, None)


def bring_up(made: SimHost) -> None:
    """Do what a boot does: the active store is made of the persistent one."""
    for name in made.net.links:
        load_interface(made, name)


assert PRIMARY6 == "2001:db8::2/64"
