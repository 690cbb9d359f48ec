"""Settings that cut a host off by what the kernel does along with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import RefusedError
from ..host import Host
from ..live import Snapshot
from .keys import normalize
from .ledger import Entries

_ACCEPT = "net/ipv6/conf/{}/accept_ra"


def refuse_lost_router(
    host: Host,
    values: Mapping[str, str],
    after: Entries,
    snapshot: Snapshot,
    where: Mapping[str, str],
) -> None:
    """Refuse to make a router of a host whose own default route comes from a router.

    The kernel drops routes of advertisements when IPv6 forwarding is switched on, and takes
    none any more, unless ``accept_ra`` is 2 (ip-sysctl). No way back brings such a route
    before the next advertisement.

    :param values: what is to be written, by key.
    :raises RefusedError: naming interface and way out.
    """
    wanted = {normalize(key): entry.value for key, entry in after.items()}
    for key, value in values.items():
        parts = normalize(key).split("/")
        if parts[:3] != ["net", "ipv6", "conf"] or parts[-1] != "forwarding" or value == "0":
            continue
        for route in snapshot.defaults(6):
            if route.protocol != "ra" or parts[3] not in ("all", route.interface):
                continue
            path = _ACCEPT.format(route.interface)
            accepts = wanted.get(path) or (host.read(f"/proc/sys/{path}") or "").strip()
            if accepts != "2":
                raise RefusedError(
                    f"{key} = {value} would take the default route by {route.gateway} away,"
                    f" which {route.interface} has from router advertisements",
                    where=where.get(key, ""),
                    way_out=f"set {path.replace('/', '.')} to 2 before, or with it",
                )
