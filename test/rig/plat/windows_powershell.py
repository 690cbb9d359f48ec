"""`powershell.exe` of a simulated Windows: our two scripts by identity, and nothing else.

The active store is the kernel of `rig.simnet`, the persistent one is ``host.stored``. What a
script is given is held against a strict schema; what its cmdlets do and refuse is cited in
`windows_cited`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rig.plat import windows_settings
from rig.plat import windows_stores as stores
from rig.plat.windows_cited import ACTIVE, PERSISTENT, Fault, Unreadable, check, check_question
from rig.simhost import SimHost
from rig.simnet import SimRoute
from rig.simowners import Program
from saltext.ipalias.host import Result
from saltext.ipalias.live import powershell_scripts, powershell_settings

VERSION = "10.0.20348.0"


class PowerShell(Program):
    """`powershell.exe` that knows our two scripts and nothing else."""

    def __init__(self, host: SimHost) -> None:
        super().__init__(host)
        self.elevated = True
        #: Inputs that were taken, and what was refused: lines of another script, other input.
        self.taken: list[str] = []
        self.refused: list[tuple[Sequence[str], str]] = []
        self.reads = 0
        #: Questions that were taken, and who answers no ping.
        self.asked: list[str] = []
        self.silent: set[str] = set()
        #: Refuses the operation on an address by a key of `REFUSALS`.
        self.broken: dict[str, str] = {}
        #: Interfaces that an adapter's protocol is not bound to.
        self.without6: set[str] = set()
        #: Refuses an operation on settings, adapter or firewall by a key of `REFUSALS`.
        self.unsettable: dict[str, str] = {}

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if tuple(argv) == powershell_scripts.READ and not stdin:
            self.reads += 1
            return Result(0, _ascii(self._read()), "")
        if tuple(argv) == powershell_scripts.ASK:
            return self._ask(stdin or "")
        if tuple(argv) == powershell_settings.READ_SETTINGS and not stdin:
            self.reads += 1
            return Result(0, _ascii(windows_settings.told(self.host, VERSION)), "")
        if tuple(argv) == powershell_settings.CHANGE_SETTINGS:
            return self._settings(tuple(argv), stdin or "")
        try:
            if tuple(argv) != powershell_scripts.CHANGE:
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

    # -- asking -----------------------------------------------------------------------

    def _ask(self, stdin: str) -> Result:
        """Ping an address over a link; see IPStatus of .NET, State of Get-NetNeighbor."""
        try:
            name, address = check_question(stdin)
        except Unreadable as error:
            self.refused.append((powershell_scripts.ASK, stdin))
            return Result(1, "", f"{error}\n")
        self.asked.append(stdin)
        if name not in self.host.net.links:
            fault = {"failed": -1, "id": "no such interface", "native": "", "message": ""}
            return Result(3, _ascii(fault), "")
        defaults = [r for r in self.host.net.routes if r.destination == "default"]
        there = {r.gateway for r in defaults if r.interface == name} - self.host.gone
        status = 0 if address in there - self.silent else 11010
        state = "Reachable" if address in there else "Unreachable"
        return Result(0, _ascii({"status": status, "neighbour": state}), "")

    def _settings(self, argv: Sequence[str], stdin: str) -> Result:
        """Carry out operations on settings, up to the first that is refused."""
        try:
            ops = windows_settings.check(stdin)
        except Unreadable as error:
            self.refused.append((argv, stdin))
            return Result(1, "", f"{error}\n")
        self.taken.append(stdin)
        for at, op in enumerate(ops):
            try:
                windows_settings.carry_out(self.host, op, self._refuse_setting(op))
            except Fault as fault:
                return _failed(at, fault.told)
        return Result(0, _ascii({"done": len(ops)}), "")

    def _refuse_setting(self, op: dict[str, Any]) -> Callable[[str], None]:
        """Return what raises where an operation is refused, by its name or its setting's."""

        def refusing(cmdlet: str) -> None:
            if not self.elevated:
                raise Fault("denied", cmdlet=cmdlet)
            for word in (op["do"], op.get("setting", "")):
                if word in self.unsettable:
                    raise Fault(self.unsettable[word], cmdlet=cmdlet, index=0, address="")

        return refusing

    # -- reading ----------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        links = self.host.net.links.values()
        return {
            "version": VERSION,
            "interfaces": [row for link in links for row in self._interface(link.name)],
            "adapters": [
                {
                    "index": a.index,
                    "mac": a.mac.upper().replace(":", "-"),
                    "up": a.up,
                    # A list that netsh has set is written with commas.
                    "dns": ",".join(self.host.stored["dns"].get(a.name) or []),
                }
                for a in links
                if not a.loopback
            ],
            "addresses": [*self._active(), *self._persistent()],
            "routes": [*self._routes(), *self._gateways()],
            "dns": [
                {"index": a.index, "servers": stores.servers(self.host, a.name)} for a in links
            ],
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
                    "address": f"{a.address}%{link.index}"
                    if six and a.scope == "link"
                    else a.address,
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
            ACTIVE: stores.find(self.host, name, address) is not None,
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
            stores.drop_lease(self.host, name)
        if not op["store"]:
            self.host.stored["addresses"].setdefault(name, {})[address] = (prefix, skip)
        stores.make_active(self.host, name, address, prefix, skip)

    def _set(self, name: str, op: dict[str, Any]) -> None:
        address, prefix, skip = op["address"], op["prefix"], op["skip"]
        held = self._stores(name, address, op["store"])
        if not held:
            index = self.host.net.links[name].index
            raise Fault("absent", cmdlet="Set-NetIPAddress", index=index, address=address)
        if PERSISTENT in held:
            self.host.stored["addresses"][name][address] = (prefix, skip)
        if ACTIVE in held:
            stores.change_active(self.host, name, address, prefix, skip)

    def _remove(self, name: str, op: dict[str, Any]) -> None:
        """Take an address away; without a store out of both.

        Recorded: the cmdlet asks for "-Store Active" and then for "-Store Persistent".
        """
        address = op["address"]
        held = self._stores(name, address, op["store"])
        if not held:
            index = self.host.net.links[name].index
            raise Fault("absent", cmdlet="Remove-NetIPAddress", index=index, address=address)
        if PERSISTENT in held:
            del self.host.stored["addresses"][name][address]
        if ACTIVE in held:
            stores.drop_active(self.host, name, address)

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
        stores.load_interface(self.host, name)


def _ascii(told: dict[str, Any]) -> str:
    return json.dumps(told)


def _failed(at: int, told: dict[str, Any]) -> Result:
    return Result(1, _ascii({"failed": at, **told}), "")
