"""Solaris and illumos: addresses by ``ifconfig``, default routes by ``netstat``.

Each address is a *logical interface* of its own (``e1000g0:1``), which the kernel numbers;
there are no secondary addresses, and none goes with another. ``ifconfig(8)`` is there on
every release, where ``ipadm`` came with Solaris 11 and illumos; what it adds is live alone,
which is what is wanted here: `backends.ipadm` makes addresses that last.

Formats: ``print_flags``, ``in_status`` and ``in6_status`` of illumos
``usr.sbin/ifconfig/ifconfig.c``; netstat(8) ``-r``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..effects import Effect, Effects, ReadLive, Run
from ..errors import MALFORMED, EffectError
from ..host import NOT_FOUND, Host, Result
from ..model import IPV4, IPV6, Alias, Command
from . import Link, LiveAddress, Route, Snapshot
from .batch import Op
from .ops import BatchError

#: No frames of ours: the kernel probes for duplicates itself when an address comes up.
FRAMES = False

DUMP = ("ifconfig", "-a")
ROUTES = {IPV4: ("netstat", "-rn", "-f", "inet"), IPV6: ("netstat", "-rn", "-f", "inet6")}
#: ``ifconfig`` shows no address as tentative; where there is ``ipadm``, it does.
STATES = ("ipadm", "show-addr", "-p", "-o", "state,addr")
#: Seconds for one address: bringing one up waits for duplicate address detection.
TIMEOUT = 30.0
#: Seconds that a gateway has to answer.
PING = 2

#: ``net/if.h``; the words between the brackets may be missing where the output was copied.
_BITS = {
    "UP": 0x1,
    "BROADCAST": 0x2,
    "LOOPBACK": 0x8,
    "POINTOPOINT": 0x10,
    "RUNNING": 0x40,
    "NOARP": 0x80,
    "DHCP": 0x4000,
    "DEPRECATED": 0x40000,
    "ADDRCONF": 0x80000,
    "IPv4": 0x1000000,
    "IPv6": 0x2000000,
    "TEMPORARY": 0x800000000,
    "DUPLICATE": 0x4000000000,
}
#: Words of an address, under the names iproute2 gives them.
_WORDS = {
    "DEPRECATED": "deprecated",
    "DUPLICATE": "dadfailed",
    "DHCP": "dynamic",
    "ADDRCONF": "dynamic",
    "TEMPORARY": "temporary",
}
#: How a refusal of theirs begins; what else ends with an error hung or was killed.
_PROGRAMS = ("ifconfig:", "ipadm:")
_FLAGS = re.compile(r"flags=([0-9a-fA-F]+)(?:<([^>]*)>)?")
_CREATED = re.compile(r"^Created new logical interface (\S+)$", re.MULTILINE)


@dataclass
class _Logical:
    """Hold one logical interface as its lines are read."""

    name: str
    flags: frozenset[str]
    words: list[str] = field(default_factory=list)

    @property
    def link(self) -> str:
        return self.name.partition(":")[0]

    def value(self, key: str) -> str | None:
        """Return the word behind a key."""
        at = self.words.index(key) + 1 if key in self.words else len(self.words)
        return self.words[at] if at < len(self.words) else None


# Reading


def read_snapshot(host: Host) -> Snapshot:
    """Return what the kernel holds now.

    :raises EffectError: it cannot be read.
    """
    links, listed = parse_ifconfig(_said(host, DUMP))
    tentative = _tentative(host)
    addresses = tuple(_settled(each, tentative) for each in listed if _counts(each, tentative))
    routes = [
        route
        for family, argv in ROUTES.items()
        for route in parse_netstat(_said(host, argv), family, addresses)
    ]
    return Snapshot(links, addresses, tuple(routes), "sunos")


def _said(host: Host, argv: Sequence[str]) -> str:
    result = host.run(argv)
    if result.code != 0:
        said = (result.err or result.out).strip() or "no output"
        raise EffectError(f"exit {result.code}: {said[:200]}", where=f"`{' '.join(argv)}`")
    return result.out


def _tentative(host: Host) -> frozenset[str] | None:
    """Return the addresses under duplicate address detection; None where nobody tells."""
    if host.which("ipadm") is None:
        return None
    rows = map(split_row, host.run(STATES).out.splitlines())
    return frozenset(row[1] for row in rows if len(row) == 2 and row[0] == "tentative")


def _counts(address: LiveAddress, tentative: frozenset[str] | None) -> bool:
    """Tell whether an address is live, or about to be.

    One that is down answers to nobody. While it is looked for elsewhere it is down too, and
    where there is no ``ipadm`` the two look the same: there it counts, as one that may come.
    """
    if "down" not in address.flags:
        return True
    return bool(address.label) if tentative is None else address.cidr in tentative


def _settled(address: LiveAddress, tentative: frozenset[str] | None) -> LiveAddress:
    down = "down" in address.flags
    if not (down or (tentative and address.cidr in tentative)):
        return address
    return replace(address, flags=(address.flags - {"down"}) | {"tentative"})


def split_row(line: str) -> list[str]:
    r"""Split a line of ``-p`` output: a colon parts fields, ``\:`` stands for one.

    Format: ``ofmt_print`` of illumos ``libinetutil/common/ofmt.c``.
    """
    fields = re.split(r"(?<!\\)((?:\\\\)*):", line)
    joined = [a + b for a, b in zip(fields[::2], [*fields[1::2], ""], strict=True)]
    return [re.sub(r"\\(.)", r"\1", each) for each in joined]


def parse_ifconfig(text: str) -> tuple[tuple[Link, ...], tuple[LiveAddress, ...]]:
    """Parse the output of ``ifconfig -a``, also where its lines were joined.

    An address that is neither up nor a duplicate has the flag ``down``.

    :raises EffectError: where it is not what ``ifconfig`` prints.
    """
    try:
        logicals = list(_logicals(text))
        links: dict[str, Link] = {}
        for each in logicals:
            links[each.link] = _link(each, links.get(each.link))
        addresses = tuple(found for each in logicals if (found := _address(each)) is not None)
    except MALFORMED as error:
        said = f"not what ifconfig(8) prints ({error!r})"[:200]
        raise EffectError(said, where="`ifconfig -a`") from None
    return tuple(links.values()), addresses


def _logicals(text: str) -> Iterator[_Logical]:
    words = text.split()
    current: _Logical | None = None
    for at, word in enumerate(words):
        behind = words[at + 1] if at + 1 < len(words) else ""
        found = _FLAGS.fullmatch(behind) if word.endswith(":") else None
        if found is not None:
            if current is not None:
                yield current
            number = int(found[1], 16)
            named = frozenset((found[2] or "").split(",")) - {""}
            flags = named or frozenset(name for name, bit in _BITS.items() if number & bit)
            current = _Logical(word[:-1], flags)
        elif current is not None:
            current.words.append(word)
        else:
            raise ValueError(f"no interface before {word[:40]!r}")
    if current is not None:
        yield current


def _link(logical: _Logical, known: Link | None) -> Link:
    mac = logical.value("ether") or ""
    mac = ":".join(part.zfill(2) for part in mac.lower().split(":")) if mac else ""
    index, mtu = int(logical.value("index") or 0), int(logical.value("mtu") or 0)
    if known is None:
        return Link(logical.link, index, logical.flags, mac, mtu)
    flags = known.flags | (logical.flags & {"UP"})
    return Link(known.name, known.index or index, flags, known.mac or mac, known.mtu or mtu)


def _address(logical: _Logical) -> LiveAddress | None:
    family = IPV6 if "inet6" in logical.words else IPV4
    key = "inet6" if family == IPV6 else "inet"
    # A tunnel has a line `inet tunnel src ...` before it, an address of no host `inet subnet`.
    pairs = zip(logical.words, logical.words[1:], strict=False)
    shown = [word for name, word in pairs if name == key and word not in ("tunnel", "subnet")]
    if not shown:
        return None
    text, _, digits = shown[-1].partition("/")
    parsed = ipaddress.ip_address(text.partition("%")[0])
    if parsed.is_unspecified:
        return None
    if family == IPV4:
        prefix = int(logical.value("netmask") or "ffffffff", 16).bit_count()
    else:
        prefix = int(digits or 128)
    if prefix > parsed.max_prefixlen:
        raise ValueError(f"{parsed} with a prefix of {prefix}")
    hidden = "DEPRECATED" in logical.flags
    return LiveAddress(
        logical.link,
        str(parsed),
        prefix,
        logical.name if ":" in logical.name else None,
        _scope(parsed, hidden),
        _flags(logical),
        preferred_zero=hidden and family == IPV6,
    )


def _flags(logical: _Logical) -> frozenset[str]:
    flags = {_WORDS[word] for word in logical.flags if word in _WORDS}
    if not logical.flags & {"UP", "DUPLICATE"}:
        flags.add("down")
    return frozenset(flags)


def _scope(parsed: ipaddress.IPv4Address | ipaddress.IPv6Address, hidden: bool) -> str:
    """Return the scope; an IPv4 address that is no source has that of a host, see `LiveAddress`."""
    if parsed.is_loopback or (hidden and parsed.version == IPV4):
        return "host"
    return "link" if parsed.is_link_local else "global"


def parse_netstat(text: str, family: int, addresses: Sequence[LiveAddress]) -> Iterator[Route]:
    """Yield the default routes that ``netstat -rn`` shows for a family.

    The last column is empty for a route that is bound to no interface: its gateway's
    subnet then tells the interface.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) < 5 or words[0] != "default" or "U" not in words[2]:
            continue
        gateway = words[1] if "G" in words[2] else None
        named = words[5] if len(words) > 5 else ""
        interface = named.partition(":")[0] or _reaches(gateway or words[1], addresses)
        yield Route(family, "default", interface, gateway)


def _reaches(gateway: str, addresses: Sequence[LiveAddress]) -> str:
    """Return the interface whose subnet holds a gateway."""
    try:
        wanted = ipaddress.ip_address(gateway.partition("%")[0])
    except ValueError:
        return ""
    for address in addresses:
        network = ipaddress.ip_network(address.cidr, strict=False)
        if network.version == wanted.version and wanted in network:
            return address.interface
    return ""


# Changing


def change(
    interface: str, ops: Sequence[Op], deleted: Iterable[LiveAddress], *, go_on: bool = False
) -> Effects[None]:
    """Add and remove logical interfaces, one command an address, in their order.

    :param go_on: do what is behind a refused one as well; the error names the first.
    :raises BatchError: naming the address that was refused, and what was not come to.
    """
    names: dict[str, str] = {}
    if any(op.change for op in ops):
        now: Snapshot = yield ReadLive()
        names = {live.cidr: live.label or interface for live in now.on(interface)}
    failed: BatchError | None = None
    for at, op in enumerate(ops):
        try:
            said = yield from _carry_out(op, names.get(op.alias.cidr))
        except EffectError as error:
            said = error.text()
        if said:
            failed = failed or _refused(interface, ops, at, said)
            if not go_on:
                break
    if failed is not None:
        raise failed


def _carry_out(op: Op, logical: str | None) -> Generator[Effect, Any, str]:
    """Carry out one change; return what the command said where it was refused."""
    command = Command(render(op, logical), timeout=TIMEOUT)
    result: Result = yield Run(command, check=False)
    if result.code == 0:
        return ""
    made = _CREATED.search(result.out)
    if made is not None and not op.delete:
        # Made, but not brought up: what would be left has an address and is down.
        yield Run(Command((*_named(made[1], op.alias), "unplumb")), check=False)
    said = (result.err or result.out).strip().splitlines()
    return said[0] if said else f"exit {result.code}"


def render(op: Op, logical: str | None = None) -> tuple[str, ...]:
    """Return the command line of one change.

    :param logical: name of the logical interface that has the address, where a flag of it
        changes in place.

    The broadcast address needs no word: the kernel sets it with the address and its mask
    (``setifbroadaddr``). ``deprecated`` comes before ``up``, so that the address is at no
    moment a source.
    """
    alias = op.alias
    if op.change:
        flag = "deprecated" if alias.never_source else "-deprecated"
        return (*_named(logical or alias.interface, alias), flag)
    argv = _named(alias.interface, alias)
    if op.delete:
        return (*argv, "removeif", alias.address)
    hidden = ("deprecated",) if alias.never_source else ()
    return (*argv, "addif", alias.cidr, *hidden, "up")


def _named(name: str, alias: Alias) -> tuple[str, ...]:
    return ("ifconfig", name, "inet6") if alias.family == IPV6 else ("ifconfig", name)


def _refused(interface: str, ops: Sequence[Op], at: int, reason: str) -> BatchError:
    """Return the error for a list that stopped.

    What is behind it is spared; the change itself only where ``ifconfig`` says that it was
    refused. Of a command that hung or was killed nobody knows what it has done.
    """
    op = ops[at]
    verb = "taken away" if op.delete else "changed" if op.change else "added"
    first = at if reason.startswith(_PROGRAMS) else at + 1
    spared = {each.alias.cidr for each in ops[first:]} - {each.alias.cidr for each in ops[:first]}
    return BatchError(
        f"{op.alias.cidr} could not be {verb}: {reason}",
        where=op.alias.where or interface,
        interface=interface,
        spared=spared,
    )


def failure(result: Result) -> tuple[int | None, str]:
    """Return at which of its changes a command stopped, and why; see `tools.failure`.

    A command makes one change; it has not made it where the program itself says so.
    """
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    said = lines[0].strip()[:400] if lines else "no output"
    return (0 if said.startswith(_PROGRAMS) else None), said


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Return what is wrong with a gateway, or nothing.

    ping(8), the first form: ``host is alive`` and 0, or 1 after so many seconds. A link-local
    one is reached only by its interface, for which there is the option ``-i``.
    """
    plain = address.partition("%")[0]
    words = ("-i", interface) if plain.lower().startswith("fe80:") else ()
    result = host.run(("ping", *words, plain, str(PING)), timeout=PING + 5.0)
    if result.code == NOT_FOUND:
        raise EffectError("ping is not installed", where=interface)
    return "" if result.code == 0 else "it answers no ping"


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the commands that put default routes back; route(8).

    A link-local gateway says nothing without its interface.
    """
    commands = []
    for route in routes:
        words = ["route", "-n", "add", *(("-inet6",) if route.family == IPV6 else ()), "default"]
        words.append(route.gateway or route.interface)
        if route.gateway and route.gateway.lower().startswith("fe80:"):
            words += ["-ifp", route.interface]
        commands.append(Command(tuple(words)))
    return commands


def kernel_settings(interface: str) -> tuple[str, ...]:
    """Return nothing: no setting is borrowed."""
    return ()
