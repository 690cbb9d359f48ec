"""Read who the two servers are and what they agree on: ``pair`` and ``kea``."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from ..errors import InputError
from ..values import (
    Mixed,
    choice,
    mapping,
    parse_bool,
    parse_duration,
    parse_int,
    refuse_unknown,
    short,
    span,
)
from .bounds import patience_of_standby
from .model import (
    HOT_STANDBY,
    KEA_MODES,
    LEASE_STORES,
    LOAD_BALANCING,
    MEMFILE,
    POSTGRESQL,
    PRIMARY,
    ROLES,
    SECONDARY,
    KeaSettings,
    LeaseStore,
    Member,
    Pair,
)
from .options import is_domain, parse_ipv4
from .profiles import MOST_DELAY, Numbers

PAIR_KEYS = (
    "name",
    "members",
    "max_response_delay",
    "max_unacked_updates",
    "load_balance_max_seconds",
    "mclt",
    "split",
)
MEMBER_KEYS = ("address", "port", "role")
KEA_KEYS = (
    "mode",
    "heartbeat_delay",
    "max_response_delay",
    "max_ack_delay",
    "max_unacked_clients",
    "control_socket",
    "lease_database",
)
LEASE_KEYS = ("type", "name", "host", "port", "user", "password", "replicated")
#: IANA's port for the failover protocol.
PORT = 647
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: The profile Debian confines kea-dhcp4 with lets it make this one, there or in /tmp; and 2.6.3
#: takes a socket in /run/kea alone (its ARM, "Control Socket Path").
SOCKET = "/run/kea/kea4-ctrl-socket"
_WORD = re.compile(r"[!-~]{1,128}")


def parse_pair(value: object, numbers: Numbers, kea: KeaSettings, where: str) -> Pair:
    """Read the pair.

    :param numbers: of the profile, for what is not said.
    :raises InputError: not two members, not one primary, one address twice, numbers that
        contradict each other.
    """
    block = mapping(value, where)
    refuse_unknown(block, PAIR_KEYS, where)
    name = block.get("name", "dhcp-failover")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{short(name)} is not a name for a pair",
            where=f"{where}:name",
            way_out="a letter or digit, then up to 63 letters, digits, dots, `_` or `-`",
        )

    def number(key: str, least: int, most: int) -> int:
        return parse_int(block.get(key, getattr(numbers, key)), f"{where}:{key}", least, most)

    # Three: dhcpd speaks in each third of the delay, in whole seconds, and 0 is at all times.
    return Pair(
        name=name,
        members=_members(block.get("members"), f"{where}:members"),
        max_response_delay=number("max_response_delay", 3, 3600),
        max_unacked_updates=number("max_unacked_updates", 1, 1000),
        load_balance_max_seconds=number("load_balance_max_seconds", 0, 255),
        mclt=number("mclt", 60, 86400),
        split=number("split", 0, 256),
        kea=kea,
        where=where,
    )


def _members(value: object, where: str) -> tuple[Member, Member]:
    """Read the two servers, the primary first."""
    block = mapping(value, where)
    if len(block) != 2:
        raise InputError(f"a pair has two members, not {len(block)}", where=where)
    members = [_member(name, item, where) for name, item in block.items()]
    by_role: dict[str, list[Member]] = {role: [] for role in ROLES}
    for member in members:
        by_role[member.role].append(member)
    if len(by_role[PRIMARY]) != 1:
        names = " and ".join(member.name for member in by_role[PRIMARY]) or "none"
        raise InputError(
            f"a pair has one primary, here it is {names}",
            where=where,
            way_out=f"give one member `role: {PRIMARY}`, the other one `role: {SECONDARY}`",
        )
    primary, secondary = by_role[PRIMARY][0], by_role[SECONDARY][0]
    if primary.address == secondary.address:
        raise InputError(
            f"{primary.address} is {primary.name}'s already",
            where=f"{where}:{secondary.name}:address",
            way_out="each server has an address of its own",
        )
    return primary, secondary


def _member(name: object, value: object, where: str) -> Member:
    """Read one server."""
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise InputError(
            f"{short(name)} is not a name for a member",
            where=where,
            way_out="write its minion id: letters, digits, dots, `_` and `-`",
        )
    path = f"{where}:{name}"
    block = mapping(value, path)
    refuse_unknown(block, MEMBER_KEYS, path)
    for key in ("address", "role"):
        if block.get(key) is None:
            raise InputError(f"`{key}` is missing", where=path)
    address = parse_ipv4(block["address"], f"{path}:address")
    if address.startswith("127."):
        raise InputError(
            f"{address} is reached from this host alone",
            where=f"{path}:address",
            way_out="give the address that the peer connects to",
        )
    port = parse_int(block.get("port", PORT), f"{path}:port", 1, 65535)
    return Member(name, address, port, choice(block["role"], ROLES, f"{path}:role"))


def parse_kea(value: object, numbers: Numbers, where: str) -> KeaSettings:
    """Read what Kea's hook has and ISC's failover has not.

    :raises InputError: a value of the wrong kind, numbers that contradict each other.
    """
    block = mapping(value, where)
    refuse_unknown(block, KEA_KEYS, where)
    socket = block.get("control_socket", SOCKET)
    if socket != SOCKET:
        raise InputError(
            f"{short(socket)} is not where kea-dhcp4 may make its socket",
            where=f"{where}:control_socket",
            way_out=f"leave it out: {SOCKET}, which Debian's profiles of AppArmor name",
        )

    def seconds(key: str, base: float) -> float:
        return parse_duration(block.get(key, base), f"{where}:{key}", 0.1, MOST_DELAY)

    mode = choice(block.get("mode", LOAD_BALANCING), KEA_MODES, f"{where}:mode")
    standby = mode == HOT_STANDBY
    silent = numbers.standby_response_delay if standby else numbers.kea_response_delay
    settings = KeaSettings(
        mode=mode,
        heartbeat_delay=seconds("heartbeat_delay", numbers.heartbeat_delay),
        max_response_delay=seconds("max_response_delay", silent),
        max_ack_delay=seconds("max_ack_delay", numbers.max_ack_delay),
        max_unacked_clients=parse_int(
            block.get("max_unacked_clients", numbers.max_unacked_clients),
            f"{where}:max_unacked_clients",
            0,
            10000,
        ),
        control_socket=SOCKET,
        leases=_leases(block.get("lease_database"), f"{where}:lease_database"),
    )
    if settings.max_response_delay <= settings.heartbeat_delay:
        raise InputError(
            f"the peer counts as silent after {span(settings.max_response_delay)}, and it is "
            f"asked each {span(settings.heartbeat_delay)}",
            where=f"{where}:max_response_delay",
            way_out="make it a multiple of `heartbeat_delay`",
        )
    # With the profile's a standby may take a living primary for dead, and give out the same pool.
    if standby and "max_ack_delay" not in block:
        patient = min(patience_of_standby(settings), float(math.floor(MOST_DELAY)))
        return replace(settings, max_ack_delay=patient)
    return settings


def _leases(value: object, where: str) -> LeaseStore:
    """Read where Kea keeps its leases."""
    block = mapping(value, where)
    refuse_unknown(block, LEASE_KEYS, where)
    kind = choice(block.get("type", MEMFILE), LEASE_STORES, f"{where}:type")
    if kind == MEMFILE:
        for key in block:
            if key != "type":
                raise InputError(
                    f"`{key}` is for a database, and leases are in a file",
                    where=f"{where}:{key}",
                    way_out="give `type`, or leave it out",
                )
        return LeaseStore()
    words = {key: _word(block, key, where) for key in ("name", "user", "password")}
    if not words["name"]:
        raise InputError("`name` is missing", where=where, way_out="name the database")
    host = block.get("host", "localhost")
    if not is_domain(host):
        raise InputError(f"{short(host)} is not a host", where=f"{where}:host")
    replicated = parse_bool(block.get("replicated", False), f"{where}:replicated")
    if replicated and kind == POSTGRESQL and is_loopback(str(host)):
        raise InputError(
            "PostgreSQL on each member has no replication in which both may write: no lease would "
            "come to the other one",
            where=f"{where}:replicated",
            way_out="leave it out: the members tell each other; or name the one host whose "
            "database both write to",
        )
    return LeaseStore(
        kind,
        words["name"],
        str(host),
        parse_int(block.get("port", 0), f"{where}:port", 0, 65535),
        words["user"],
        words["password"],
        replicated,
    )


def refuse_database_of_one(pair: Pair, where: str) -> None:
    """Refuse one database for both that is on a member: without that one the other serves nobody.

    :param where: pillar path of ``lease_database``.
    :raises InputError: it is at a member's address, or by its name.
    """
    host = pair.kea.leases.host.lower()
    for member in pair.members:
        if host in (member.address, member.name.lower()):
            raise InputError(
                f"{host} is {member.name}'s own: while it is down "
                f"{pair.peer_of(member).name} had no database, and would serve nobody",
                where=f"{where}:host",
                way_out="`localhost`: each member has its own; or a host that is neither",
            )


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is each host's own."""
    # A name is the same in any case, RFC 4343.
    return host.lower() == "localhost" or host.startswith("127.")


def _word(block: Mixed, key: str, where: str) -> str:
    """Read a text without blanks; what it is does not show in a message."""
    value = block.get(key, "")
    if value != "" and (not isinstance(value, str) or not _WORD.fullmatch(value)):
        raise InputError(
            f"`{key}` is not a text of 1 to 128 printable ASCII characters without blanks",
            where=f"{where}:{key}",
        )
    return str(value)
