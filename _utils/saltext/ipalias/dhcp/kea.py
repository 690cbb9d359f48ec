"""One member's side of a pair as kea-dhcp4 reads it, 2.2 and 2.6 (Kea ARM, libdhcp_ha).

The two files differ in ``this-server-name`` and in the addresses that clients are heard on. Each
server listens for the other one itself, with multi-threading and the dedicated listener, so that
no control agent is needed.

In load balancing each server gives out pools of its own, or both could give one address to
two clients at a time: each range is cut in two halves, one for each server's clients, and a
server whose peer is down gives out both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from ..errors import MALFORMED, UnsupportedError
from ..values import span
from .model import (
    HOT_STANDBY,
    LEASE_STORES,
    LOAD_BALANCING,
    MEMFILE,
    PRIMARY,
    SECONDARY,
    DhcpConfig,
    KeaSettings,
    LeaseStore,
    Member,
    Pair,
    Range,
    Subnet,
)
from .options import kea_option

MAIN = "/etc/kea/kea-dhcp4.conf"
#: ``lease-database`` may hold a password, and the daemon runs as a user of its own.
MODE = 0o640
OWNER = ("root", "_kea")
LEASES = "/var/lib/kea/kea-leases4.csv"
#: Where Debian has the hooks, with the machine's own triplet in place of the star. Given whole:
#: 2.2 takes no bare name, 2.6.3 no other folder (its ARM, "Configuring Hook Libraries").
HOOKS = "/usr/lib/*/kea/hooks"
_HOOKS = "/usr/lib/x86_64-linux-gnu/kea/hooks"
LIBRARIES = ("libdhcp_lease_cmds.so", "libdhcp_ha.so")
HEAD = "Written from the pillar (ipalias:dhcp). What is changed here by hand is overwritten."
_THREADS = 4
#: Releases from which on older partners are not understood. 2.5 numbers who has shut a server
#: while leases are fetched (``origin-id``): 2.2 and 2.6, run as a pair, go to ``load-balancing``
#: and one of them answers nobody for the minute after which it opens by itself, at the start and
#: after each recovery. 2.7 brought the lease state "released", which older ones refuse.
BREAKS: Sequence[tuple[int, int]] = ((2, 5), (2, 7))
#: What a partner's ``status-get`` tells of its release: without or with ``dhcp-state``.
_SHOWN = ("2.4 or before", "2.5 or later")
#: A text of JSON, or a comment of one of the three kinds that Kea takes (its ARM, "JSON Syntax").
_COMMENTS = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)
#: The first stable release whose servers listen for each other themselves.
OLDEST = (2, 0)


def render_kea(
    config: DhcpConfig, me: Member, hooks: str = _HOOKS, *, listen: Sequence[str] = ()
) -> str:
    """Return one member's configuration.

    :param me: whose side it is.
    :param hooks: folder of the hook libraries.
    :param listen: see `listening`; empty: the interfaces as the pillar names them.
    """
    whole: dict[str, object] = {
        "user-context": {"comment": HEAD},
        "interfaces-config": {
            "interfaces": list(listen or config.interfaces),
            "dhcp-socket-type": "raw",
        },
        "control-socket": {
            "socket-type": "unix",
            "socket-name": config.pair.kea.control_socket,
        },
        "multi-threading": {"enable-multi-threading": True},
        "lease-database": _leases(config.pair.kea.leases),
        "hooks-libraries": [
            {"library": f"{hooks}/{LIBRARIES[0]}"},
            {
                "library": f"{hooks}/{LIBRARIES[1]}",
                "parameters": {"high-availability": [_relationship(config.pair, me)]},
            },
        ],
        "authoritative": config.authoritative,
        "subnet4": [_subnet(subnet, config.pair) for subnet in config.subnets],
        "loggers": [
            {
                "name": "kea-dhcp4",
                "output_options": [{"output": "stdout", "pattern": "%-5p %m\n"}],
                "severity": "INFO",
            }
        ],
    }
    return json.dumps({"Dhcp4": whole}, indent=2) + "\n"


def listening(config: DhcpConfig, me: Member, addresses: Mapping[str, Sequence[str]]) -> list[str]:
    """Return where a member listens for clients: ``INTERFACE/ADDRESS``, one address each.

    Named without an address Kea opens a raw socket for each address of an interface, and on an
    interface with an alias takes each broadcast twice (``DHCPSRV_MULTIPLE_RAW_SOCKETS_PER_IFACE``):
    two offers, one of them from an address that the client's network may not have, and two
    updates at a time of one lease, which its peer refuses (``ResourceBusy``; for 2.2 that is
    reason enough to count the peer as lost).

    Without the address it is named by Kea does not start at all (2.2 and 2.6). So an address of
    the network comes before one alone (``/32``), which is more likely to be taken away or to move;
    and an interface of one address is named alone, but for the one with the member's own, which
    Kea needs for its peer anyway.

    :param addresses: interface → its IPv4 addresses with prefix lengths, as the kernel has them.
    """
    found = []
    for name in config.interfaces:
        found_there = sorted(addresses.get(name, ()), key=lambda text: text.endswith("/32"))
        own = [text.partition("/")[0] for text in found_there]
        served = [address for address in own if _declared(config, address, served=True)]
        known = [address for address in own if _declared(config, address)]
        best = [me.address] if me.address in own and me.address in (served or known) else []
        chosen = [*best, *served, *known][:1] if me.address in own or len(own) > 1 else []
        found.append(f"{name}/{chosen[0]}" if chosen else name)
    return found


def _declared(config: DhcpConfig, address: str, *, served: bool = False) -> bool:
    """Tell whether an address is in a subnet of the block, `served`: one with ranges."""
    return any(
        IPv4Address(address) in IPv4Network(subnet.network)
        for subnet in config.subnets
        if subnet.ranges or not served
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _leases(store: LeaseStore) -> dict[str, object]:
    """Return where leases are kept."""
    if store.kind == MEMFILE:
        return {"type": MEMFILE, "lfc-interval": 3600}
    said = {"type": store.kind, "name": store.name, "host": store.host}
    numbers: dict[str, object] = {"port": store.port} if store.port else {}
    secrets = {"user": store.user, "password": store.password}
    return {**said, **numbers, **{key: value for key, value in secrets.items() if value}}


def standing_store(text: str | None) -> LeaseStore | None:
    """Return where a configuration keeps its leases; None: it is none that can be read.

    :param text: of Kea's file as it stands, or None.
    """
    try:
        plain = _COMMENTS.sub(lambda found: found[1] or " ", text or "")
        told = json.loads(plain)["Dhcp4"]["lease-database"]
        kind = str(told["type"])
        if kind == MEMFILE:
            return LeaseStore()
        if kind not in LEASE_STORES:
            return None
        user, password = (str(told.get(key, "")) for key in ("user", "password"))
        host, port = str(told.get("host", "localhost")), int(told.get("port", 0))
        return LeaseStore(kind, str(told["name"]), host, port, user, password)
    except MALFORMED:
        return None


def _relationship(pair: Pair, me: Member) -> dict[str, object]:
    """Return the pair."""
    kea = pair.kea
    return {
        "this-server-name": me.name,
        "mode": kea.mode,
        "heartbeat-delay": _milliseconds(kea.heartbeat_delay),
        "max-response-delay": _milliseconds(kea.max_response_delay),
        "max-ack-delay": _milliseconds(kea.max_ack_delay),
        "max-unacked-clients": kea.max_unacked_clients,
        # Without it whoever reaches the port may have the configuration and give another one.
        "restrict-commands": True,
        "multi-threading": {
            "enable-multi-threading": True,
            "http-dedicated-listener": True,
            "http-listener-threads": _THREADS,
            "http-client-threads": _THREADS,
        },
        # Where the database sees to it, and there alone: the ARM, "Lease Information Sharing".
        **({"send-lease-updates": False, "sync-leases": False} if kea.leases.replicated else {}),
        "peers": [
            {
                "name": member.name,
                "url": f"http://{member.address}:{member.port}/",
                "role": role_of(member, kea),
                "auto-failover": True,
            }
            for member in pair.members
        ],
    }


def role_of(member: Member, kea: KeaSettings) -> str:
    """Return what Kea calls a member's part."""
    if member.role == PRIMARY:
        return PRIMARY
    return "standby" if kea.mode == HOT_STANDBY else SECONDARY


def subnet_id(network: str) -> int:
    """Return the number leases of a subnet are filed under.

    The network's address, and not its place in the list: to put a subnet before another must
    not give it the other one's leases.
    """
    return int(IPv4Network(network).network_address)


def halves(ranges: Sequence[Range]) -> list[tuple[Range | None, Range | None]]:
    """Return each range cut in two: the primary's part, the secondary's.

    Where there is an address too many, the two take turns at having it.
    """
    parts: list[tuple[Range | None, Range | None]] = []
    more_first = True
    for pool in ranges:
        first, last = int(IPv4Address(pool.first)), int(IPv4Address(pool.last))
        count = last - first + 1
        cut = first + count // 2
        if count % 2:
            cut += more_first
            more_first = not more_first
        parts.append((_range(first, cut - 1), _range(cut, last)))
    return parts


def _range(first: int, last: int) -> Range | None:
    return Range(str(IPv4Address(first)), str(IPv4Address(last))) if first <= last else None


def _subnet(subnet: Subnet, pair: Pair) -> dict[str, object]:
    """Return a subnet."""
    options = []
    if subnet.routers:
        options.append({"name": "routers", "data": ", ".join(subnet.routers)})
    if subnet.domain_name_servers:
        options.append(
            {"name": "domain-name-servers", "data": ", ".join(subnet.domain_name_servers)}
        )
    if subnet.domain_name:
        options.append({"name": "domain-name", "data": subnet.domain_name})
    options += [kea_option(name, value) for name, value in subnet.options]
    return {
        "id": subnet_id(subnet.network),
        "subnet": subnet.network,
        "valid-lifetime": subnet.default_lease_time,
        "max-valid-lifetime": subnet.max_lease_time,
        "option-data": options,
        "pools": _pools(subnet, pair),
        "reservations": [
            {
                "hw-address": one.mac,
                "ip-address": one.address,
                **({"hostname": one.hostname} if one.hostname else {}),
            }
            for one in subnet.reservations
        ],
    }


def _pools(subnet: Subnet, pair: Pair) -> list[dict[str, str]]:
    """Return the pools of a subnet, each for the clients of one server."""
    if pair.kea.mode != LOAD_BALANCING:
        return [{"pool": f"{pool.first} - {pool.last}"} for pool in subnet.ranges]
    return [
        {"pool": f"{part.first} - {part.last}", "client-class": f"HA_{member.name}"}
        for parts in halves(subnet.ranges)
        for member, part in zip(pair.members, parts, strict=True)
        if part is not None
    ]


def uncarried(config: DhcpConfig) -> list[str]:
    """Return what the block says that Kea has not, in words; numbers as ISC's alone use them."""
    pair = config.pair
    told = [
        f"load_balance_max_seconds {pair.load_balance_max_seconds}: "
        "Kea counts clients that wait instead (max_ack_delay, max_unacked_clients)",
        f"mclt {pair.mclt}: Kea tells its peer of a lease before it answers the client",
        f"max_unacked_updates {pair.max_unacked_updates}: Kea has no such limit",
    ]
    if config.ping_timeout:
        told.append(
            f"ping_timeout {span(config.ping_timeout)}: Kea offers an address without asking "
            "whether someone has it"
        )
    if pair.split != 128:
        told.append(f"split {pair.split}: Kea parts clients and pools in halves")
    return told


def parse_version(text: str) -> tuple[int, int] | None:
    """Return major and minor of ``kea-dhcp4 -v`` or of `release_of`; None: not understood."""
    parts = text.strip().partition(" ")[0].split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])


def release_of(status: Mapping[str, object]) -> str:
    """Return a release that a partner may be of, as its ``status-get`` looks.

    Its own word, ``version-get``, is not among the commands that partners take of each other.

    :param status: arguments of the answer. From 2.5 on they say who has shut the server.
    """
    return _SHOWN["dhcp-state" in status]


def refuse_versions(mine: str, peers: str, where: str) -> None:
    """Refuse two releases whose high availability does not understand each other.

    :param mine: this host's version, as ``kea-dhcp4 -v`` tells it.
    :param peers: the other one's, the same way or as `release_of` has it.
    :param where: pillar path of the pair.
    :raises UnsupportedError: naming both.
    """
    one, other = parse_version(mine), parse_version(peers)
    if one is None or other is None:
        return
    for version, whose in ((one, "here"), (other, "at the peer")):
        if version < OLDEST:
            raise UnsupportedError(
                f"Kea {version[0]}.{version[1]} {whose} needs a control agent for its partner",
                where=where,
                way_out=f"have {OLDEST[0]}.{OLDEST[1]} or later",
            )
    for at in BREAKS[:1] if peers in _SHOWN else BREAKS:
        if (one < at) != (other < at):
            raise UnsupportedError(
                f"Kea {mine.strip()} here and {peers.strip()} at the peer do not understand "
                f"each other: releases from {at[0]}.{at[1]} on do not work with older ones",
                where=where,
                way_out="have one release on both, such as one Debian release",
            )
