"""Linux: ARP answers for every local address on every interface, unless it is told not to.

The kernel's documentation (networking/ip-sysctl.rst): ``arp_ignore`` 1 answers only for
addresses of the interface that was asked, ``arp_announce`` 2 takes no other interface's
address as the sender of a request, and for both the larger of ``conf.all`` and
``conf.INTERFACE`` counts. So a value on ``lo`` alone does nothing: nobody asks there.

IPv6 needs no setting. A solicitation is answered for an address of the interface it came in
by, an anycast address, or a proxy entry (net/ipv6/ndisc.c, ``ndisc_recv_ns``), and an address
on ``lo`` is none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..dsr import SCOPE_ALL, DsrConfig
from ..errors import InputError, RefusedError
from ..host import Host
from ..live import Snapshot
from ..model import Command
from ..sysctl.keys import normalize
from . import Values, Wish, receiving

LOOPBACK = "lo"
DEFAULT = "default"
IGNORE, ANNOUNCE, REVERSE = "arp_ignore", "arp_announce", "rp_filter"
#: Values that never answer for an address on ``lo``. 3 answers for one of global scope, and
#: what the kernel has no meaning for counts as 0 (net/ipv4/arp.c, ``arp_ignore``).
SILENT_IGNORE = ("1", "2", "8")
#: 0 and 1 may take the VIP as sender; beyond 2 the kernel falls back to 0 (``arp_solicit``).
SILENT_ANNOUNCE = ("2",)
STRICT = "1"
#: A number as the kernel takes one, and no longer (kernel/sysctl.c, ``proc_get_long``).
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,20}|[1-9][0-9]{0,18})")


def key_of(interface: str, name: str) -> str:
    """Return a setting's key; one with dots in its interface part has the slash form."""
    if "." in interface:
        return f"net/ipv4/conf/{interface}/{name}"
    return f"net.ipv4.conf.{interface}.{name}"


def loopback(config: DsrConfig, snapshot: Snapshot) -> str:
    """Return ``lo``.

    :raises InputError: another one is named: an address of a dummy link is as local, but
        what brings that link up at boot is not ours to know.
    """
    if config.loopback not in (None, LOOPBACK):
        raise InputError(
            f"{config.loopback} is not the loopback of this system, {LOOPBACK} is",
            where=f"{config.where}:loopback",
            way_out="leave it out",
        )
    return LOOPBACK


def prepare(config: DsrConfig, host: Host, snapshot: Snapshot) -> Sequence[Command]:
    """Return nothing: ``lo`` is always there."""
    return ()


def clear(host: Host) -> Sequence[Command]:
    """Return nothing."""
    return ()


def _silenced(config: DsrConfig, snapshot: Snapshot) -> list[str]:
    """Return the interface parts of the keys that are set."""
    return ["all"] if config.scope == SCOPE_ALL else list(config.interfaces)


def keys(config: DsrConfig, snapshot: Snapshot) -> Sequence[str]:
    """Return the keys of ``all``, ``lo`` and each interface that is to be silent."""
    names = dict.fromkeys(("all", LOOPBACK, *_asked(config, snapshot)))
    return [key_of(name, key) for name in names for key in (IGNORE, ANNOUNCE, REVERSE)]


def _asked(config: DsrConfig, snapshot: Snapshot) -> list[str]:
    """Return the interfaces that have to be silent, and ``default`` for those that come later.

    With ``scope: all`` they are the whole host's, whichever receive from the balancer.
    """
    names = receiving(config, snapshot, LOOPBACK)
    if config.scope == SCOPE_ALL:
        names += receiving(replace(config, interfaces=()), snapshot, LOOPBACK)
        names.append(DEFAULT)
    return list(dict.fromkeys(names))


def wishes(config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
    """Return ``arp_ignore`` and ``arp_announce`` for ``all``, or for each receiving interface."""
    if 4 not in config.families:
        return ()
    wished: list[Wish] = []
    for name in _silenced(config, snapshot):
        for key, silent in ((IGNORE, SILENT_IGNORE), (ANNOUNCE, SILENT_ANNOUNCE)):
            there = values.get(key_of(name, key)) or ""
            wished.append((key_of(name, key), there if there in silent else silent[0]))
    return wished


def effective(values: Values, interface: str, name: str) -> int:
    """Return what counts for an interface: the larger of its own and that of ``all``."""
    return _larger(values.get(key_of(part, name)) for part in ("all", interface))


def _larger(values: Iterable[str | None]) -> int:
    """Return the larger of some values; one that is no number the kernel refuses."""
    return max((found for value in values if (found := _number(value)) is not None), default=0)


def _number(value: str | None) -> int | None:
    """Return what the kernel reads: the first word, by its prefix hexadecimal or octal.

    A file of somebody else's may hold anything, ``0x3`` too, which answers.
    """
    word = next(iter((value or "").split()), "")
    if _NUMBER.fullmatch(word) is None:
        return None
    digits = word.removeprefix("-")
    return int(word, 10 if digits[0] != "0" else 16 if digits[1:2] in ("x", "X") else 8)


def faults(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Return the interfaces on which the kernel would answer for a VIP.

    Those that do not receive, and what comes later, are told of where it is their own doing.
    """
    found: list[str] = []
    if 4 not in config.families:
        return found
    named = receiving(config, snapshot, LOOPBACK)
    told: set[str] = set()
    for name in _asked(config, snapshot):
        for key, silent in ((IGNORE, SILENT_IGNORE), (ANNOUNCE, SILENT_ANNOUNCE)):
            value, for_all = effective(values, name, key), effective(values, "all", key)
            if key in told and name not in named and value == for_all:
                continue
            if str(value) not in silent:
                told.add(key)
                own = key_of(name, key)
                who = "an interface that comes later" if name == DEFAULT else name
                found.append(
                    f"{who}: {key} is {value}, the larger of {key_of('all', key)} "
                    f"({values.get(key_of('all', key))}) and {own} ({values.get(own)})"
                )
    return found


def refuse_louder(
    kept: Mapping[str, str],
    values: Mapping[str, str],
    vips: Sequence[str],
    where: Mapping[str, str],
    doing: str,
) -> None:
    """Refuse a value beside which the one that silences no longer counts.

    :param kept: settings that direct server return wants.
    :param values: settings that somebody else is about to change.
    :param vips: what the host would answer for; none: nothing is refused.
    :param where: place that asked for a key; else `doing`.
    :raises RefusedError: naming both settings.
    """
    for mine, low in kept.items() if vips else ():
        for key, high in values.items():
            split, other = _split(mine), _split(key)
            if split is None or other is None or split[1] != other[1]:
                continue
            silent = SILENT_IGNORE if split[1] == IGNORE else SILENT_ANNOUNCE
            if "all" not in (split[0], other[0]) or str(_larger((low, high))) in silent:
                continue
            raise RefusedError(
                f"with {key} at {high} this host would answer for {', '.join(vips[:5])}: the "
                f"larger of it and {mine} ({low}) counts",
                where=where.get(key, doing),
                way_out="`ipalias_dsr.absent` takes the VIPs away first",
            )


def silences(key: str) -> bool:
    """Tell whether a key is one of those that keep a host silent."""
    return _split(key) is not None


def _split(key: str) -> tuple[str, str] | None:
    """Return interface part and name of one of the two settings; None for any other key."""
    parts = normalize(key).split("/")
    if parts[:3] == ["net", "ipv4", "conf"] and len(parts) == 5 and parts[4] in (IGNORE, ANNOUNCE):
        return parts[3], parts[4]
    return None


def remarks(config: DsrConfig, host: Host, snapshot: Snapshot, values: Values) -> list[str]:
    """Return what else may be wrong: strict reverse path, settings on ``lo``, a proxy entry."""
    said: list[str] = []
    if 4 in config.families:
        said += _only_on_lo(config, snapshot, values)
        said += _kept(config, snapshot, values)
        said += _strict(config, snapshot, values)
    if 6 in config.families:
        said += _proxied(config, host, snapshot)
    return said


def _kept(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that a value which is silent as well was left as it is."""
    found = {key_of(name, IGNORE) for name in _silenced(config, snapshot)}
    return [
        f"{key} is {values[key]}, as silent as 1, and is kept"
        for key in sorted(found)
        if values.get(key) in SILENT_IGNORE[1:]
    ]


def _proxied(config: DsrConfig, host: Host, snapshot: Snapshot) -> list[str]:
    """Tell of proxy entries for a VIP: the one way in which IPv6 answers for an address of lo.

    The kernel does so where it forwards and ``proxy_ndp`` is on; an entry is reported in any
    case, for somebody has made it to have that address answered for.
    """
    listed = host.run(("ip", "-6", "neigh", "show", "proxy")).out.splitlines()
    entries = {words[0]: words[2] for line in listed if len(words := line.split()) > 2}
    return [
        f"{name}: a proxy entry of the neighbour table answers for {vip} where this host forwards "
        f"and proxy_ndp is on; `ip -6 neigh del proxy {vip} dev {name}` takes it away"
        for vip, name in entries.items()
        if vip in config.addresses and name in receiving(config, snapshot, LOOPBACK)
    ]


def _only_on_lo(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that a value on ``lo`` alone does nothing, where somebody has set one."""
    return [
        f"{key_of(LOOPBACK, key)} is {values[key_of(LOOPBACK, key)]} and does nothing: the larger "
        "of `all` and the interface that is asked counts, and nobody asks on lo"
        for key in (IGNORE, ANNOUNCE)
        if values.get(key_of(LOOPBACK, key)) not in (None, "0")
    ]


def _strict(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell where strict reverse path filtering would drop what the balancer hands on.

    A request comes in by the receiving interface with the client as its source, and strict
    mode wants the way back to that client to leave by the same one. It does where the IPv4
    default route does; else only clients of that interface's own subnets pass.
    """
    said: list[str] = []
    ways = {route.interface for route in snapshot.defaults(4)}
    for name in receiving(config, snapshot, LOOPBACK):
        if effective(values, name, REVERSE) != int(STRICT) or name in ways:
            continue
        leaves = f"leaves by {', '.join(sorted(ways))}" if ways else "is missing"
        said.append(
            f"{name}: rp_filter is 1 (strict) and the default route {leaves}: requests of clients "
            f"that are not reached through {name} are dropped; "
            f"`{key_of(name, REVERSE)}: 2` lets them in"
        )
    return said
