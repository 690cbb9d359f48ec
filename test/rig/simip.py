"""The program `ip` on a simulated kernel: its dumps as JSON, and ``-batch``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_interface, ip_network
from typing import Any

from rig.simnet import KernelError, SimAddress, SimLink, SimNet, SimRoute
from saltext.ipalias.host import Result

FOREVER = 4294967295


class Unreadable(Exception):
    """Raise for words that `ip` cannot parse: it then leaves without a line number."""


class Ip:
    """Answer as `ip` of iproute2 6.1 does."""

    def __init__(self, net: SimNet) -> None:
        self.net = net
        #: Fails the batch line that contains one of these words.
        self.broken: list[str] = []
        self.lines = 0

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        words = [word for word in argv[1:] if word not in ("-j", "-d")]
        if "-batch" in words:
            return self._batch(stdin or "", force="-force" in words)
        family = {"-4": 4, "-6": 6}.get(words[0]) if words else None
        words = words[1:] if family else words
        if words[:2] == ["address", "show"]:
            return Result(0, json.dumps([self._link(link) for link in self.net.links.values()]), "")
        if words[:2] == ["link", "show"]:
            listed = [self._link(link, addresses=False) for link in self.net.links.values()]
            return Result(0, json.dumps(listed), "")
        if words[:2] == ["route", "show"]:
            shown = [_route(route) for route in self.net.routes if route.family == family]
            return Result(0, json.dumps(shown), "")
        try:
            self._line(words)
        except (KernelError, Unreadable) as error:
            return Result(2 if isinstance(error, KernelError) else 255, "", f"{error}\n")
        return Result(0, "", "")

    # -- dumps ------------------------------------------------------------------------

    def _link(self, link: SimLink, *, addresses: bool = True) -> dict[str, Any]:
        flags = ["LOOPBACK"] if link.loopback else ["BROADCAST", "MULTICAST"]
        flags += ["UP", "LOWER_UP"] if link.up else []
        told: dict[str, Any] = {
            "ifindex": link.index,
            "ifname": link.name,
            "flags": flags,
            "mtu": 65536 if link.loopback else 1500,
            "link_type": "loopback" if link.loopback else "ether",
            "address": "00:00:00:00:00:00" if link.loopback else link.mac,
        }
        if addresses:
            told["addr_info"] = [self._address(a) for a in (*link.addresses4, *link.addresses6)]
        return told

    def _address(self, address: SimAddress) -> dict[str, Any]:
        six = ":" in address.address
        told: dict[str, Any] = {
            "family": "inet6" if six else "inet",
            "local": address.address,
            "prefixlen": address.prefix,
            "scope": address.scope,
        }
        if address.broadcast:
            told["broadcast"] = address.broadcast
        if address.dynamic:
            told["dynamic"] = True
        if address.secondary:
            told["secondary"] = True
        if not address.prefix_route:
            told["noprefixroute"] = True
        if six and (address.duplicate or self.net.now < address.ready):
            told["tentative"] = True
            if address.duplicate and self.net.now >= address.ready:
                told["dadfailed"] = True
        if address.deprecated:
            told["deprecated"] = True
        if not six:
            told["label"] = address.label
        told["valid_life_time"] = FOREVER
        told["preferred_life_time"] = 0 if address.deprecated else FOREVER
        return told

    # -- changes ----------------------------------------------------------------------

    def _batch(self, text: str, *, force: bool) -> Result:
        """Run lines until one fails; the earlier ones stay done."""
        said, failed = "", 0
        for number, line in enumerate(text.split("\n"), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            self.lines += 1
            try:
                if any(word in line for word in self.broken):
                    raise KernelError("RTNETLINK answers: No buffer space available")
                self._line(words)
            except Unreadable as error:
                return Result(1, "", f"{said}{error}\n")
            except KernelError as error:
                said += f"{error}\nCommand failed -:{number}\n"
                failed = 1
                if not force:
                    break
        return Result(failed, "", said)

    def _line(self, words: list[str]) -> None:
        match words[:2]:
            case ["address" | "addr" | "a", verb]:
                self._change_address(verb, words[2:])
            case ["route" | "r", verb]:
                self._change_route(verb, words[2:])
            case ["link", "set"]:
                self.net.link(words[-2]).up = words[-1] == "up"
            case _:
                raise Unreadable(f'Object "{words[0]}" is unknown, try "ip help".')

    def _change_address(self, verb: str, words: list[str]) -> None:
        told = _options(words)
        if "dev" not in told:
            raise Unreadable('Not enough information: "dev" argument is required.')
        text = words[0]
        try:
            parsed = ip_interface(text)
        except ValueError:
            message = f'Error: any valid prefix is expected rather than "{text}".'
            raise Unreadable(message) from None
        six, prefix = parsed.version == 6, parsed.network.prefixlen
        if verb in ("delete", "del"):
            remove = self.net.delete6 if six else self.net.delete4
            remove(told["dev"], str(parsed.ip), prefix)
            return
        brd = told.get("broadcast", told.get("brd"))
        new = SimAddress(
            str(parsed.ip),
            prefix,
            told.get("label", ""),
            told.get("scope", "host" if str(parsed.ip).startswith("127.") else "global"),
            str(parsed.network.broadcast_address) if brd == "+" else brd,
            prefix_route="noprefixroute" not in told,
            deprecated=told.get("preferred_lft") in ("0", "0sec"),
        )
        exclusive = verb == "add"
        (self.net.add6 if six else self.net.add4)(told["dev"], new, exclusive=exclusive)

    def _change_route(self, verb: str, words: list[str]) -> None:
        told = _options(words)
        gateway = told.get("via")
        six = ":" in (gateway or words[0])
        family = 6 if six else 4
        all_there_is = words[0] in ("default", "0.0.0.0/0", "::/0")
        destination = "default" if all_there_is else str(ip_network(words[0]))
        scope = told.get("scope", "" if six or gateway else "link")
        if verb in ("delete", "del"):
            self.net.delete_route(family, destination, told["dev"], told.get("scope", ""))
            return
        route = SimRoute(
            family,
            destination,
            told["dev"],
            gateway,
            told.get("src"),
            told.get("proto", ""),
            scope,
            int(told.get("metric", 0)),
        )
        self.net.add_route(route, replacing=verb == "replace")


def _options(words: Sequence[str]) -> dict[str, str]:
    """Return the options behind the first word; one without a value is empty."""
    told: dict[str, str] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        told[word] = "" if word in ("noprefixroute", "nodad") or not rest else rest.pop(0)
    return told


def _route(route: SimRoute) -> dict[str, Any]:
    bits = "/128" if route.family == 6 else "/32"
    told: dict[str, Any] = {"dst": route.destination.removesuffix(bits)}
    if route.gateway:
        told["gateway"] = route.gateway
    told["dev"] = route.interface
    if route.protocol:
        told["protocol"] = route.protocol
    if route.scope:
        told["scope"] = route.scope
    if route.source:
        told["prefsrc"] = route.source
    if route.metric:
        told["metric"] = route.metric
    told["flags"] = []
    return told
