"""What of a dhcpd.conf that stands can be said in the pillar, and so be Kea's as well.

The answer is a block ``ipalias:dhcp`` as plain data, to be read by a person before it is put
into the pillar, and a list of what is not in it, each with file and line. Nothing is guessed:
a statement whose scope or condition the pillar has no word for is told, not flattened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from ..errors import InputError
from .iscfile import Statement, mac_of, network_of
from .model import KEA, PRIMARY, SECONDARY
from .options import ADDRESSES, FLAG, KINDS, LIMITS, NAMES, is_domain, parse_ipv4, parse_option

Plain = dict[str, object]
_NUMBERS: Mapping[tuple[str, ...], str] = {
    ("max-response-delay",): "max_response_delay",
    ("max-unacked-updates",): "max_unacked_updates",
    ("load", "balance", "max", "seconds"): "load_balance_max_seconds",
    ("mclt",): "mclt",
    ("split",): "split",
}
_NO_BOOTP = ("deny", "dynamic", "bootp", "clients")
_ON = ("on", "true")
_OFF = ("off", "false")


@dataclass(frozen=True)
class Converted:
    """Hold what came of a file.

    :param block: for the pillar, without `interfaces`, which the file does not say.
    :param left: what is not in the block, one line each, with file and line.
    """

    block: Plain
    left: tuple[str, ...]


@dataclass(frozen=True)
class _Scope:
    """Hold what holds for the declarations inside."""

    settings: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)


class _Converter:
    def __init__(self) -> None:
        self.left: list[str] = []
        self.top: Plain = {"implementation": KEA}
        self.subnets: list[Plain] = []
        self.hosts: list[tuple[Statement, Plain]] = []
        self.peers: list[Plain] = []

    def leave(self, statement: Statement, why: str) -> None:
        self.left.append(f"{statement.where}: `{statement.text()[:200]}`: {why}")

    # Scopes

    def scope(self, statements: Sequence[Statement], outer: _Scope) -> _Scope:
        """Return the settings that hold in a scope: they count wherever they stand in it."""
        settings, options = dict(outer.settings), dict(outer.options)
        for statement in statements:
            words = statement.texts
            if statement.block is not None or not words:
                continue
            if words[0] in ("default-lease-time", "max-lease-time") and len(words) == 2:
                settings[words[0].replace("-", "_")] = _number(words[1])
            elif words[0] == "option" and len(words) > 2:
                self.option(statement, settings, options)
        return _Scope(settings, options)

    def option(self, statement: Statement, settings: Plain, options: Plain) -> None:
        """Put an option where the pillar has it."""
        name, values = statement.texts[1], list(statement.texts[2:])
        if name in ("routers", "domain-name-servers"):
            try:
                settings[name.replace("-", "_")] = [
                    parse_ipv4(value, statement.where) for value in values
                ]
            except InputError as error:
                self.leave(statement, error.what)
        elif name == "domain-name" and len(values) == 1 and is_domain(values[0]):
            settings["domain_name"] = values[0]
        elif name in ("subnet-mask", "broadcast-address"):
            if name == "broadcast-address" and len(values) == 1:
                options[name] = values[0]
        elif name in KINDS:
            try:
                value = _value(KINDS[name], values)
                parse_option(name, value, statement.where)
                options[name] = value
            except InputError as error:
                self.leave(statement, error.what)
        else:
            self.leave(statement, "an option that has no name in the pillar")

    def walk(self, statements: Sequence[Statement], outer: _Scope) -> None:
        """Read what is declared in a scope: a file, a group, a shared network."""
        scope = self.scope(statements, outer)
        for statement in statements:
            words = statement.texts
            network = network_of(statement)
            if network is not None and statement.block is not None:
                self.subnet(str(network), statement, scope)
            elif statement.opens("failover", "peer") and statement.block is not None:
                self.peer(statement)
            elif words[:1] == ("host",) and statement.block is not None:
                self.host(statement, scope)
            elif words[:1] == ("group",) and statement.block is not None:
                self.group(statement, scope)
            elif words[:1] == ("shared-network",) and statement.block is not None:
                self.leave(statement, "its subnets become subnets of their own, no longer shared")
                self.walk(statement.block, scope)
            elif not self.setting(statement):
                self.leave(statement, "has no word in the pillar")

    def group(self, statement: Statement, outer: _Scope) -> None:
        """Read a group; what it says of its clients alone has no word."""
        block = statement.block or ()
        before = len(self.left)
        own = _frozen(self.scope(block, outer)) != _frozen(outer)
        del self.left[before:]
        if own and any(inner.opens("host") for inner in block):
            self.leave(statement, "what it says of its clients alone has no word in the pillar")
        self.walk(block, outer)

    def setting(self, statement: Statement) -> bool:
        """Read a statement that is no declaration; tell whether it has been dealt with."""
        words = statement.texts
        if words in (("authoritative",), ("not", "authoritative")):
            self.top["authoritative"] = len(words) == 1
        elif words[:1] == ("ddns-update-style",):
            if words[1:] != ("none",):
                self.leave(statement, "Kea leaves DNS to a daemon of its own")
        elif words[:1] in (("omapi-port",), ("omapi-key",), ("key",)):
            self.leave(statement, "ours has a key of its own, and Kea a control socket")
        elif words[:1] == ("include",):
            self.leave(statement, "give what it includes as well")
        else:
            # Read by `scope`, which has told of those it could not.
            known = ("option", "default-lease-time", "max-lease-time")
            return statement.block is None and words[:1] in [(word,) for word in known]
        return True

    # Declarations

    def subnet(self, network: str, statement: Statement, outer: _Scope) -> None:
        """Read a subnet."""
        assert statement.block is not None
        scope = self.scope(statement.block, outer)
        ranges: list[str] = []
        pools: list[_Scope] = []
        for inner in statement.block:
            if inner.opens("range"):
                self.range(inner, ranges)
            elif inner.opens("pool") and inner.block is not None:
                pools.append(self.pool(inner, scope, ranges))
            elif inner.opens("host") and inner.block is not None:
                self.host(inner, scope)
            elif inner.opens("group") and inner.block is not None:
                self.group(inner, scope)
            elif not self.setting(inner):
                self.leave(inner, "has no word in the pillar")
        # The guide has its options in the pool; one pool alone speaks for its subnet.
        if len({_frozen(pool) for pool in pools}) == 1:
            scope = pools[0]
        elif pools:
            self.leave(statement, "its pools differ in options or lease times; those are left out")
        subnet: Plain = {"subnet": network}
        if ranges:
            subnet["ranges"] = ranges
        subnet.update(scope.settings)
        if scope.options:
            subnet["options"] = dict(scope.options)
        self.subnets.append(subnet)

    def pool(self, statement: Statement, outer: _Scope, ranges: list[str]) -> _Scope:
        """Read a pool."""
        for inner in statement.block or ():
            if inner.opens("range"):
                self.range(inner, ranges)
            elif inner.opens("failover", "peer") or inner.texts == (
                "deny",
                "dynamic",
                "bootp",
                "clients",
            ):
                continue
            elif not self.setting(inner):
                self.leave(inner, "who may have an address of a pool has no word in the pillar")
        return self.scope(statement.block or (), outer)

    def range(self, statement: Statement, ranges: list[str]) -> None:
        """Read a range."""
        words = statement.texts[1:]
        if words[:1] == ("dynamic-bootp",):
            self.leave(statement, "BOOTP is left out, the range is not")
            words = words[1:]
        if not 1 <= len(words) <= 2:
            self.leave(statement, "is no range")
            return
        ranges.append(f"{words[0]}-{words[-1]}")

    def host(self, statement: Statement, outer: _Scope) -> None:
        """Read a client with an address of its own."""
        mac = address = hostname = ""
        for inner in statement.block or ():
            if inner.opens("hardware", "ethernet"):
                mac = mac_of(inner)
            elif inner.opens("fixed-address") and len(inner.texts) == 2:
                address = inner.texts[1]
            elif inner.opens("option", "host-name") and len(inner.texts) == 3:
                hostname = inner.texts[2]
            else:
                self.leave(inner, "a client of its own has address and name in the pillar")
        if not mac or not address:
            self.leave(statement, "without one hardware address and one fixed address")
            return
        known: Plain = {"mac": mac, "address": address}
        if hostname:
            known["hostname"] = hostname
        self.hosts.append((statement, known))

    def peer(self, statement: Statement) -> None:
        """Read a pair; one file has one side of it, and both addresses."""
        pair: Plain = {"name": statement.texts[2] if len(statement.texts) > 2 else "dhcp-failover"}
        sides: dict[str, Plain] = {"": {}, "peer": {}}
        role = ""
        for inner in statement.block or ():
            words = inner.texts
            if words in ((PRIMARY,), (SECONDARY,)):
                role = words[0]
                continue
            side = words[0] if words[:1] == ("peer",) else ""
            rest = words[1:] if side else words
            if len(rest) == 2 and rest[0] == "address":
                sides[side]["address"] = rest[1]
            elif len(rest) == 2 and rest[0] == "port":
                sides[side]["port"] = _number(rest[1])
            elif words[:-1] in _NUMBERS:
                pair[_NUMBERS[words[:-1]]] = _number(words[-1])
            else:
                self.leave(inner, "Kea has no such setting of a pair")
        mine, peers = sides[""], sides["peer"]
        if not role or "address" not in mine or "address" not in peers:
            self.leave(statement, "does not say both addresses and a role")
            return
        mine["role"], peers["role"] = role, SECONDARY if role == PRIMARY else PRIMARY
        # Named by address until somebody gives their minion ids: `find_member` takes either.
        pair["members"] = {str(side["address"]): side for side in (mine, peers)}
        self.peers.append(pair)

    def finish(self) -> Converted:
        """Return what was read, each client in its subnet."""
        for statement, known in self.hosts:
            try:
                address = IPv4Address(str(known["address"]))
            except ValueError:
                self.leave(statement, "its fixed address is a name, or several")
                continue
            for subnet in self.subnets:
                if address in IPv4Network(str(subnet["subnet"])):
                    held = subnet.setdefault("reservations", [])
                    assert isinstance(held, list)
                    held.append(known)
                    break
            else:
                self.leave(statement, "its fixed address is in none of the subnets")
        if len(self.peers) == 1:
            self.top["pair"] = self.peers[0]
        elif self.peers:
            self.left.append(f"{len(self.peers)} pairs: a host is a member of one")
        return Converted({**self.top, "subnets": self.subnets}, tuple(self.left))


def convert(statements: Sequence[Statement]) -> Converted:
    """Return the block of the pillar that a dhcpd.conf comes to, for Kea.

    :param statements: of the file (`iscfile.parse`).
    """
    converter = _Converter()
    converter.walk(statements, _Scope())
    return converter.finish()


def _number(text: str) -> object:
    """Return a number where a text is one, for the block to be refused where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text


def _value(kind: str, values: Sequence[str]) -> object:
    """Return an option's value as the pillar has it."""
    if kind in (ADDRESSES, NAMES):
        return list(values)
    if len(values) != 1:
        return list(values)
    if kind == FLAG and values[0] in (*_ON, *_OFF):
        return values[0] in _ON
    return _number(values[0]) if kind in LIMITS else values[0]


def _frozen(scope: _Scope) -> str:
    """Return what a scope says, to compare it with another one's."""
    return repr((sorted(scope.settings.items()), sorted(scope.options.items())))
