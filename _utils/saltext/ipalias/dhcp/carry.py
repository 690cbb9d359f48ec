"""Bring leases along where Kea takes dhcpd's place, or keeps its leases elsewhere from now on.

A server that knows nothing of what clients hold gives some of it out again. So what the one before
has written until its end comes into Kea's lease file or database, before Kea is started: active
leases in the block's subnets. Of an address, or a client, of which both know something, the later
lease counts.

In a file they come behind what Kea has there of a time before, for later rows win. Columns as Kea
2.2 has them (Kea ARM, "Memfile - Basic Storage for Leases") where the file has none of its own;
later releases add theirs when they read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from ..effects import Effects, FileState
from ..errors import EffectError, RefusedError
from ..files import put_files
from ..host import Host
from ..model import File
from . import iscleases, kealeases
from .database import describe, package_of, program_of, write_leases
from .isc import LEASES as ISC_LEASES
from .kea import LEASES as KEA_LEASES
from .kea import standing_store, subnet_id
from .leases import read_store
from .model import ACTIVE, DhcpConfig, Lease, LeaseStore

COLUMNS = (
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
    "user_context"
)
#: Lifetime of a lease without an end; one that has an end is shorter.
_FOREVER = 0xFFFFFFFF
#: Bytes that Kea takes: a row with others it passes over, and gives the address out again. Of a
#: client's id 2.2 takes 128 at most, 2.6 all that an option can have (seen with both).
_CLIENT, _HARDWARE = range(2, 129), range(1, 21)
#: Of `kealeases.STATES`: nobody's, and given to nobody until it has run out.
_DECLINED = 1


class Carried(NamedTuple):
    """Hold what Kea is to know.

    :param leases: those that come, held by clients.
    :param over: of where they come that are none any more, by what has been written since.
    :param unread: rows of a database that cannot be read, and do not come.
    """

    leases: tuple[Lease, ...]
    over: tuple[Lease, ...] = ()
    unread: int = 0


def held(host: Host, config: DhcpConfig, now: float, source: LeaseStore | None = None) -> Carried:
    """Return the leases that clients hold, in subnets of the block, and what they replace.

    Kea may have served by its store before: its last word on an address counts where it is the
    later one.

    :param now: seconds since 1970.
    :param source: where Kea has kept its leases until now; None: they are dhcpd's.
    :raises EffectError: a database does not tell its leases.
    """
    where = f"{config.where}:kea:lease_database"
    if source is None:
        file = iscleases.parse_file(host.read(ISC_LEASES) or "", ISC_LEASES)
    else:
        file = read_store(host, source, f"the one before {where}")
    theirs = {
        address: lease
        for address, lease in file.last().items()
        if _client(lease) and _network(config, address)
    }
    before = {
        address: lease
        for address, lease in read_store(host, config.pair.kea.leases, where).last().items()
        if _holds(lease, now)
    }
    came = [
        lease
        for address, lease in theirs.items()
        if _holds(lease, now) and not _later(before.get(address), lease)
    ]
    moved = {(_network(config, lease.address), _client(lease)): lease for lease in came}
    since = (
        (own, theirs.get(own.address), moved.get((_network(config, own.address), _client(own))))
        for own in before.values()
    )
    over = (own for own, *words in since if any(word and not _later(own, word) for word in words))
    known = {lease.address for lease in came}
    unread = len(file.problems) if source is not None and source.is_database else 0
    return Carried(tuple(came), tuple(own for own in over if own.address not in known), unread)


def _holds(lease: Lease, now: float) -> bool:
    return lease.state == ACTIVE and (lease.ends is None or lease.ends > now)


def _client(lease: Lease) -> str:
    """Return who has a lease; empty: nobody ever had."""
    return lease.client or lease.mac


def _later(own: Lease | None, lease: Lease) -> bool:
    """Tell whether Kea's own word on an address is later than dhcpd's."""
    return own is not None and (own.starts or 0.0) > (lease.starts or 0.0)


def _network(config: DhcpConfig, address: str) -> str:
    """Return the network of the block that an address is in; empty: none."""
    found = (
        subnet.network
        for subnet in config.subnets
        if IPv4Address(address) in IPv4Network(subnet.network)
    )
    return next(found, "")


def render_leases(carried: Carried, config: DhcpConfig, now: float, text: str = "") -> str:
    """Return Kea's lease file with leases of dhcpd's.

    The name that a client gave is left out: Kea would take it for one that it has checked.

    :param text: of the file as it is; its rows and its columns stay.
    """
    head, _, rest = text.partition("\n")
    columns = head.rstrip("\r").split(",")
    if set(kealeases.NEEDED) - set(columns):
        columns, text = COLUMNS.split(","), f"{COLUMNS}\n"
    else:
        # A last row that is cut off is none.
        text = f"{head}\n{rest[: rest.rfind(chr(10)) + 1]}"
    rows = (
        *(_row(lease, config, now) for lease in carried.leases),
        # So Kea itself writes that a lease is none any more.
        *({**_row(lease, config, now), "valid_lifetime": 0} for lease in carried.over),
    )
    return text + "".join(_line(row, columns) for row in rows)


def _line(row: Mapping[str, object], columns: Iterable[str]) -> str:
    return ",".join(str(row.get(name, kealeases.MISSING.get(name, ""))) for name in columns) + "\n"


def _row(lease: Lease, config: DhcpConfig, now: float) -> dict[str, object]:
    """Return a lease as Kea has it, by the names of its columns."""
    starts = int(min(lease.starts or now, now))
    lasts = _FOREVER
    if lease.ends is not None:
        lasts = min(max(1, int(lease.ends) - starts), _FOREVER - 1)
    mac = lease.mac if len(lease.mac.split(":")) in _HARDWARE else ""
    client = lease.client if len(lease.client) // 2 in _CLIENT else ""
    return {
        "address": lease.address,
        "hwaddr": mac,
        "client_id": ":".join(_pairs(client)),
        "valid_lifetime": lasts,
        "expire": starts + lasts,
        "subnet_id": subnet_id(_network(config, lease.address)),
        "fqdn_fwd": 0,
        "fqdn_rev": 0,
        # Whose it is cannot be told to Kea: nobody else may have it.
        "state": 0 if mac or client else _DECLINED,
    }


def _pairs(digits: str) -> Iterator[str]:
    return (digits[at : at + 2] for at in range(0, len(digits), 2))


class Carry(NamedTuple):
    """Hold that leases are to come along.

    :param now: seconds since 1970.
    :param owner: mode and owner of Kea's file.
    :param source: where Kea has kept its leases until now; None: they are dhcpd's.
    """

    config: DhcpConfig
    now: float
    owner: FileState
    source: LeaseStore | None = None


def carried(carry: Carry, host: Host) -> Effects[None]:
    """Write Kea's lease file or database; who served before has ended, Kea has not begun.

    What comes into a database stays there though the change be undone: of an address the later
    lease counts the next time as well.
    """
    found = held(host, carry.config, carry.now, carry.source)
    store = carry.config.pair.kea.leases
    if store.is_database:
        rows = [_row(lease, carry.config, carry.now) for lease in found.leases]
        program = program_of(store, host) or package_of(store)
        yield from write_leases(store, program, rows, [lease.address for lease in found.over])
    elif any(found):
        text = render_leases(found, carry.config, carry.now, host.read(KEA_LEASES) or "")
        file = File(KEA_LEASES, text, carry.owner.mode, owned=False)
        yield from put_files((file,), {KEA_LEASES: carry.owner})


def moved_from(text: str | None, config: DhcpConfig, *, unknown: bool = False) -> LeaseStore | None:
    """Return where Kea has kept its leases until now; None: in the same place, or not known.

    :param text: of Kea's configuration as it stands, or None.
    :param unknown: it is somebody else's, and may be of a form that is not read: then they are
        in the file, where Kea has them unless told otherwise, and only a database lacks them.
    """
    before, store = standing_store(text), config.pair.kea.leases
    if unknown:
        before = (before or LeaseStore()) if store.is_database else None
    if before is None or before.place == store.place:
        return None
    return before


def plan_carry(
    host: Host, config: DhcpConfig, now: float, owner: FileState, source: LeaseStore | None = None
) -> tuple[Carry, str]:
    """Return what is to come along, and a sentence about it; of nothing of Kea's, none.

    :param source: see `held`.
    :raises RefusedError: what clients hold cannot be told.
    """
    try:
        found = held(host, config, now, source)
    except EffectError as error:
        raise RefusedError(
            f"what clients hold would be unknown to Kea: {error.what}",
            where=error.where,
            way_out="bring that database back and run again; where it is gone for good, apply "
            "ipalias.dhcp.clean and then this one, and Kea fetches what its peer has",
        ) from error
    carry = Carry(config, now, owner, source)
    if source is not None and not any(found):
        return carry, ""
    whose = "of dhcpd's" if source is None else f"out of {place(source)}"
    told = f"{len(found.leases)} leases {whose} come along"
    if found.over:
        told += f", in place of {len(found.over)} that Kea had of before"
    if found.unread:
        told += f"; {found.unread} rows there cannot be read: whose they are is not known to Kea"
    return carry, told


def place(store: LeaseStore) -> str:
    """Return which store it is, for a message."""
    return describe(store) if store.is_database else KEA_LEASES
