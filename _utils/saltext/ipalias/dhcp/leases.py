"""Both sides' leases in one place: read here, told as plain data, read again there."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from ..errors import MALFORMED, InputError
from ..host import Host
from ..values import mapping, short
from . import iscleases, kealeases
from .database import read_leases
from .isc import LEASES as ISC_LEASES
from .kea import LEASES as KEA_LEASES
from .model import ISC, LEASE_STATES, DhcpConfig, Lease, LeaseFile, LeaseStore


def read_side(host: Host, config: DhcpConfig) -> LeaseFile:
    """Return what this host's server has in its lease files, or in its database.

    :raises EffectError: the database does not tell.
    """
    if config.implementation == ISC:
        text = host.read(ISC_LEASES)
        if text is None:
            return LeaseFile(ISC_LEASES, (), (f"{ISC_LEASES}: is not there",))
        return iscleases.parse_file(text, ISC_LEASES)
    return read_store(host, config.pair.kea.leases, f"{config.where}:kea:lease_database")


def read_store(host: Host, store: LeaseStore, where: str) -> LeaseFile:
    """Return what Kea has of leases.

    :param where: pillar path of ``lease_database``.
    :raises EffectError: the database does not tell.
    """
    if store.is_database:
        return read_leases(host, store, where)
    texts = kealeases.read_texts(KEA_LEASES, host.read)
    if not texts:
        return LeaseFile(KEA_LEASES, (), (f"{KEA_LEASES}: is not there",))
    return kealeases.parse_files(texts, KEA_LEASES)


def render_told(file: LeaseFile) -> dict[str, Any]:
    """Return a lease file as plain data, for who has both sides' to look at."""
    return {
        "path": file.path,
        "problems": list(file.problems),
        "leases": [
            [x.address, x.state, x.mac, x.client, x.starts, x.ends, x.heard, x.where]
            for x in file.leases
        ],
    }


def parse_told(data: object, where: str) -> LeaseFile:
    """Read what `render_told` has made, on the other side.

    :raises InputError: it is something else.
    """
    told = mapping(data, where)
    try:
        leases = [_parse_row(row) for row in told["leases"]]  # type: ignore[attr-defined]
        problems = tuple(str(one) for one in told["problems"])  # type: ignore[attr-defined]
        return LeaseFile(str(told["path"]), tuple(leases), problems)
    except (*MALFORMED, IndexError) as error:
        raise InputError(
            f"{short(data)} are no leases ({error!r})",
            where=where,
            way_out="hand in what `ipalias_dhcp.leases` of the peer answers",
        ) from None


def _parse_row(row: Sequence[Any]) -> Lease:
    address, state, mac, client, starts, ends, heard, where = row
    if state not in LEASE_STATES:
        raise ValueError(state)

    def moment(value: Any) -> float | None:
        return None if value is None else float(value)

    return Lease(
        str(ipaddress.IPv4Address(address)),
        state,
        str(mac),
        str(client),
        "",
        moment(starts),
        moment(ends),
        moment(heard),
        str(where),
    )
