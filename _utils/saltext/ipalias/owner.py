"""Find who owns an interface, and which interface ``default`` means."""

from __future__ import annotations

from collections.abc import Iterable

from .backends import MARKS, Backend, all_backends, load, on_host
from .errors import InputError, OwnerError, RefusedError
from .host import SYSTEMS, Host, Remembered
from .ledger import Ledger
from .live import Snapshot
from .model import Evidence
from .pillar import AUTO, DEFAULT


def detect_all(host: Host, interface: str) -> list[Evidence]:
    """Return every backend's evidence, the owner's first."""
    asked = Remembered(host)
    present, absent = on_host(asked, interface)
    evidence = [load(name).detect(asked, interface) for name in present]
    evidence += [
        Evidence(name, interface, False, reasons=(f"there is no {MARKS[name]}",)) for name in absent
    ]
    return sorted(evidence, key=lambda item: (not item.owns, -item.strength))


def choose(
    host: Host, interface: str, wanted: str, ledger: Ledger, where: str
) -> tuple[Backend, Evidence]:
    """Return the backend for an interface: the one named, or the one that owns it.

    :param wanted: dialect name or ``auto``.
    :raises OwnerError: nobody owns the interface, with each backend's reason.
    """
    if wanted != AUTO:
        backend = load(wanted)
        if host.system not in backend.SYSTEMS:
            listed = ", ".join(each.NAME for each in all_backends(host.system))
            theirs = " and ".join(SYSTEMS[system] for system in backend.SYSTEMS)
            raise OwnerError(
                f"{wanted} is a dialect of {theirs}, this is {SYSTEMS[host.system]}",
                where=f"{where}:backend",
                way_out=f"leave `backend` out, here and at the top, or name one of {listed}",
            )
        return backend, backend.assume(Remembered(host), interface)
    found = detect_all(host, interface)
    if found and found[0].owns:
        return load(found[0].backend), found[0]
    known = ledger.backends.get(interface)
    if known:
        # Nobody owns it any more, but we wrote there: that is where to take it back.
        backend = load(known)
        return backend, backend.assume(host, interface)
    reasons = "; ".join(f"{item.backend}: {'; '.join(item.reasons)}" for item in found)
    raise OwnerError(
        f"{interface} is owned by nobody ({reasons})",
        where=where,
        way_out=f"configure it with one of them, or name one: `{where}:backend`",
    )


def require_link(snapshot: Snapshot, interface: str, where: str) -> None:
    """Refuse an interface that the kernel does not have.

    :raises InputError: naming those it has.
    """
    if interface not in snapshot.by_link:
        known = ", ".join(sorted(snapshot.by_link)[:20])
        raise InputError(
            f"there is no interface {interface!r}", where=where, way_out=f"this host has {known}"
        )


def resolve_default(
    families: Iterable[int], snapshot: Snapshot, ledger: Ledger, named: Iterable[str], where: str
) -> dict[int, str]:
    """Return the interface that ``default`` means, family by family.

    Resolved once and pinned in the ledger: a default route that later leaves elsewhere
    moves no address by itself.

    :param named: interfaces that the pillar names besides ``default``.
    :raises InputError: no default route, several, or one of an interface also named.
    :raises RefusedError: the default route has left the pinned interface.
    """
    resolved: dict[int, str] = {}
    for family in sorted(set(families)):
        ways = list(dict.fromkeys(route.interface for route in snapshot.defaults(family)))
        pinned = ledger.default.get(str(family))
        if pinned is not None:
            if ways and pinned not in ways:
                raise RefusedError(
                    f"the IPv{family} default route now leaves by {', '.join(ways)}; "
                    f"`default` is pinned to {pinned}; nothing was changed",
                    where=where,
                    way_out="`ipalias.pin_default` moves it there, or name the interface",
                )
            resolved[family] = pinned
        elif not ways:
            raise InputError(
                f"there is no IPv{family} default route to take `{DEFAULT}` from",
                where=where,
                way_out="name the interface",
            )
        elif len(ways) > 1:
            raise InputError(
                f"there are IPv{family} default routes by {', '.join(ways)}",
                where=where,
                way_out="name the interface",
            )
        else:
            resolved[family] = ways[0]
        if resolved[family] in named:
            raise InputError(
                f"`{DEFAULT}` is {resolved[family]}, which is listed as well",
                where=where,
                way_out=f"join both lists under `{resolved[family]}`",
            )
    return resolved
