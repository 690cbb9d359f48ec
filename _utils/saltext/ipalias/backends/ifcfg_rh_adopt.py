"""Taking foreign settings out of ifcfg files: whole, or not at all."""

from __future__ import annotations

import re

from ..errors import RefusedError
from ..host import Host
from ..model import Found, Wanted
from ..text import shellvars
from .ifcfg_rh_read import Ifcfg, indexes, parse_found, read_ifcfg

#: What an alias file may say without more than its address being lost with it.
_CARRIED = frozenset(
    (
        *("DEVICE", "IPADDR", "NETMASK", "PREFIX", "BROADCAST", "NETWORK", "ONBOOT", "ONPARENT"),
        *("BOOTPROTO", "ARPCHECK", "TYPE", "NAME", "UUID", "USERCTL", "NM_CONTROLLED"),
        *("IPV6INIT", "NO_ALIASROUTING", "HWADDR", "PEERDNS", "DEFROUTE"),
        *("IPADDR_START", "IPADDR_END", "CLONENUM_START", "IPV6ADDR", "IPV6ADDR_SECONDARIES"),
    )
)


def take_out(wanted: Wanted, host: Host, parent: Ifcfg | None) -> dict[str, str | None]:
    """Return the texts of foreign files without the adopted addresses; None: the file goes.

    An entry of the parent's IPv6 list stays where it is: it becomes ours in the ledger.

    :raises RefusedError: where more than the addresses would be lost.
    """
    texts: dict[str, str | None] = {}
    going: dict[str, list[Found]] = {}
    for found in wanted.adopt:
        if found.ours is False:
            going.setdefault(found.path, []).append(found)
    # Once for all: a thousand alias files may be adopted together.
    there: dict[str, list[Found]] = {}
    for found in parse_found(host, wanted.evidence) if going else ():
        there.setdefault(found.path, []).append(found)
    for path, mine in going.items():
        if parent is not None and path == parent.path:
            texts[path] = _out_of_parent(parent, mine)
        else:
            _check_whole(wanted, host, path, mine, there.get(path, []))
            texts[path] = None
    return texts


def _check_whole(
    wanted: Wanted, host: Host, path: str, going: list[Found], there: list[Found]
) -> None:
    """Refuse to delete an alias file that says more than its addresses."""
    ifcfg = read_ifcfg(host, path, wanted.evidence.facts.get("reader", ""))
    if ifcfg is None:
        return
    cidrs = {found.alias.cidr for found in going}
    for found in there:
        if found.alias.cidr not in cidrs:
            raise RefusedError(
                f"{found.alias.cidr} would go with {going[0].alias.cidr}",
                where=f"{path}:{found.line}",
                way_out="list both addresses, or part them into two files",
            )
    for name in ifcfg.document.names():
        if name not in _CARRIED:
            raise RefusedError(
                f"`{name}` would be lost with {going[0].alias.cidr}",
                where=f"{path}:{ifcfg.line(name)}",
                way_out="take that line out first, or leave `adopt` out for this address",
            )


def _out_of_parent(parent: Ifcfg, going: list[Found]) -> str:
    """Return the parent's text without numbered addresses."""
    document = shellvars.parse(parent.document.text(), parent.path)
    listed = indexes(parent)
    cidrs = {found.alias.address: found for found in going}
    numbers = [n for n in listed if parent.value(f"IPADDR{n}").strip() in cidrs]
    for number in numbers:
        found = cidrs.pop(parent.value(f"IPADDR{number}").strip())
        later = [n for n in listed if n and int(n) > int(number or "0") and n not in numbers]
        cuts = number not in ("", "0", "1") and later
        if number == listed[0] or cuts or parent.value(f"GATEWAY{number}"):
            raise RefusedError(
                f"IPADDR{number} cannot be taken out alone",
                where=f"{found.path}:{found.line}",
                way_out="move it to an alias file of its own by hand"
                if number != listed[0]
                else "it is the interface's own address",
            )
        for name in document.names():
            key = re.fullmatch(r"[A-Z]+?([0-9]*)", name)
            stem = name.removesuffix(number)
            if key and number and key[1] == number and stem in _NUMBERED:
                document.remove(name)
    for found in cidrs.values():
        raise RefusedError(
            f"{found.alias.cidr} is the interface's own IPV6ADDR",
            where=f"{found.path}:{found.line}",
            way_out="move it to IPV6ADDR_SECONDARIES by hand",
        )
    return document.text()


_NUMBERED = frozenset(("IPADDR", "PREFIX", "NETMASK", "BROADCAST", "ARPCHECK", "ARPUPDATE"))
