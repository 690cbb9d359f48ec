"""Windows: settings of an interface in the TCP/IP stack's two stores; no file.

Keys are ``ipv4/LAN/weakhostreceive`` and the like (`live.windows_settings`). A setting is
given to both stores at once, ``Set-NetIPInterface`` without ``-PolicyStore``; where they
differed before, each gets its own back. The persistent store can forget no setting of an
interface that is there; one that it does not tell is what nobody has configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..effects import Effects, Run
from ..errors import EffectError, InputError
from ..host import Host, Result
from ..live import powershell
from ..live import windows_settings as windows
from ..model import File
from ..values import SHOWN_BY, is_interface, short
from . import Assignment, Held, Lasting, parse_text

STORED = True
#: What tells where a value lasts.
_PLACE = powershell.PERSISTENT
#: What an interface has that nobody has configured: netioapi.h, MIB_IPINTERFACE_ROW, and
#: ``netsh interface ipv4 show interface`` of a new adapter.
_DEFAULTS = {
    "weakhostreceive": windows.DISABLED,
    "weakhostsend": windows.DISABLED,
    "metric": windows.AUTOMATIC,
    "dhcp": windows.ENABLED,
    windows.REGISTRATION: windows.ENABLED,
}
_TRANSMITS = {"ipv4": "3", "ipv6": "1"}


def parse_key(key: str, where: str) -> str:
    """Return a key in canonical form.

    :raises InputError: no setting that is known here, or no connection's name.
    """
    parts = windows.parse_key(key, where)
    if not is_interface(parts.interface, "windows"):
        raise InputError(
            f"{short(parts.interface)} is not a connection's name",
            where=where,
            way_out=f"give the name that {SHOWN_BY['windows']} shows",
        )
    return "/".join(parts)


def parse_value(key: str, value: object, where: str) -> str:
    """Return a value in canonical form.

    :raises InputError: a truth value, which YAML makes of ``on``, or what the setting cannot
        have.
    """
    text = parse_text(value, where, "write it as a word")
    return windows.parse_value(windows.parse_key(key, where), text, where)


def interface_of(key: str) -> str | None:
    """Return the interface a key is about: each key is about one."""
    return windows.parse_key(key).interface


def check(host: Host, keys: Mapping[str, str]) -> None:
    """Refuse a family that an interface is not bound to."""
    if not keys:
        return
    held = windows.read(host).values[powershell.ACTIVE]
    there = {key.split("/")[1] for key in held}
    for key, where in keys.items():
        if key not in held and windows.parse_key(key).interface in there:
            raise InputError(
                f"this Windows has no {key}",
                where=where,
                way_out="bind the protocol to the adapter, or leave the setting out",
            )


def read_values(host: Host, keys: Iterable[str]) -> dict[str, Held]:
    """Return what both stores have of each key; for none nobody is asked."""
    keys = list(keys)
    if not keys:
        return {}
    values = windows.read(host).values
    active, persistent = values[powershell.ACTIVE], values[powershell.PERSISTENT]
    return {
        key: Held(active[key], persistent.get(key, fallback(host, key)))
        if key in active
        else Held(None)
        for key in keys
    }


def fallback(host: Host, key: str) -> str | None:
    """Return what a new interface has."""
    parts = windows.parse_key(key)
    return (
        _TRANSMITS.get(parts.kind) if parts.setting == "dadtransmits" else _DEFAULTS[parts.setting]
    )


def read_lasting(host: Host, keys: Iterable[str]) -> dict[str, Lasting]:
    """Return what the persistent store has of each key; for none nobody is asked."""
    keys = list(keys)
    if not keys:
        return {}
    persistent = windows.read(host).values[powershell.PERSISTENT]
    found = {}
    for key in keys:
        if key in persistent:
            place = Assignment(_PLACE, 0, key, persistent[key])
            found[key] = Lasting((place,), place)
        else:
            found[key] = Lasting()
    return found


def read_ours(host: Host) -> dict[str, str]:
    """Return nothing: the store marks nothing as ours."""
    return {}


def spread(host: Host, key: str) -> list[str]:
    """Return nothing: each setting stands for itself."""
    return []


def notes(host: Host, wanted: Mapping[str, str]) -> list[str]:
    """Return nothing: there is one store."""
    return []


def render(host: Host, wanted: Mapping[str, str]) -> list[File]:
    """Return no file."""
    return []


def change(host: Host, values: Mapping[str, Held]) -> Effects[None]:
    """Give settings their values in one process; an interface that is gone has none.

    :raises EffectError: naming the key that was refused.
    """
    there = windows.read(host).values[powershell.ACTIVE]
    listed = [(key, op) for key, held in values.items() if key in there for op in _ops(key, held)]
    if not listed:
        return
    command = windows.command([op for _, op in listed])
    result: Result = yield Run(command, check=False)
    if result.code != 0:
        index, reason = powershell.failure(result)
        where = listed[index][0] if index is not None and index < len(listed) else command.told
        raise EffectError(f"could not be changed: {reason}", where=where)


def _ops(key: str, held: Held) -> Iterator[windows.Op]:
    parts = windows.parse_key(key)
    if held.live is not None and (held.stored in (None, held.live) or parts.kind == "dns"):
        yield windows.op_of(parts, held.live)
        return
    for value, place in ((held.live, powershell.ACTIVE), (held.stored, powershell.PERSISTENT)):
        if value is not None:
            yield windows.op_of(parts, value, place)
