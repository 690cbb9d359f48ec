"""The lists that cPanel keeps of a host's IPv4 addresses, and of who uses them.

``/etc/ips`` has a line ``address:netmask:broadcast`` for each address that the service
``ipaliases`` sets (cPanel's ``Cpanel/Ips.pm``, ``load_configured_ips``: a line of another form
is passed over, and so is one that ends in a carriage return; ``Whostmgr/Ips.pm``,
``add_to_etc_ips``: a new line goes to the end as it stands, so a last line without a newline
would grow into it). cPanel rewrites the file without any comment in it (``remove_from_etc_ips``),
so a line cannot be marked: the ledger tells which are ours.

``/etc/ipaddrpool`` is made from it and from the accounts: the addresses that are set and that
nobody uses, of which the next account gets one (``Cpanel/IpPool.pm``, ``rebuild``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..errors import ParseError
from ..host import Host
from ..model import Alias
from ..text.blocks import newline_of

IPS = "/etc/ips"
POOL = "/etc/ipaddrpool"
RESERVED = "/etc/reservedips"
#: Dedicated addresses, ``address: domain`` (``Cpanel/DIp/Owner.pm``, ``get_all_dedicated_ips``).
DEDICATED = "/etc/domainips"
#: Each site, ``domain: user==owner==type==domain==root==ip:port==ip:port==…``
#: (``Cpanel/Config/userdata/Cache.pm``, ``read_cache``).
SITES = "/etc/userdatadomains"
#: Each account's ``IP=`` (cPanel's "The cPanel user file").
USERS = "/var/cpanel/users"
#: A reseller's shared addresses, one a line (``Cpanel/DIp/IsDedicated.pm``, ``getsharedipslist``).
RESELLERS = "/var/cpanel/mainips"
MAIN = "/var/cpanel/mainip"
#: Fields of a site's line that hold an address with its port.
_SITE_ADDRESSES = (5, 6)
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


@dataclass(frozen=True)
class Line:
    """Hold one address of `IPS`."""

    alias: Alias
    number: int


def parse_ips(text: str, interface: str) -> list[Line]:
    """Return the addresses of `IPS`; a line that stands twice counts once.

    :raises ParseError: a line that cPanel passes over, or two that disagree.
    """
    found: dict[str, Line] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.endswith("\r"):
            raise ParseError(
                IPS, number, "the line ends in a carriage return, and cPanel passes over it",
                way_out="end it with a newline alone",
            )  # fmt: skip
        alias = _alias(line, number, interface)
        first = found.setdefault(alias.address, Line(alias, number))
        if first.alias.prefix != alias.prefix:
            raise ParseError(
                IPS, number, f"line {first.number} sets {alias.address} with another netmask",
                way_out="take one of them out",
            )  # fmt: skip
    return list(found.values())


def _alias(line: str, number: int, interface: str) -> Alias:
    fields = line.split(":")
    try:
        if len(fields) != 3 or not all(map(_ADDRESS.fullmatch, fields)):
            raise ValueError(line)
        address, mask, _ = (ipaddress.IPv4Address(field) for field in fields)
        bits = f"{int(mask):032b}"
        if "01" in bits or bits[0] == "0":
            raise ValueError(line)
    except ValueError:
        raise ParseError(
            IPS,
            number,
            f"{line[:80]!r} is not address:netmask:broadcast, and cPanel passes over it",
            way_out="write it as 198.51.100.10:255.255.255.255:198.51.100.10, or take it out",
        ) from None
    return Alias(str(address), bits.count("1"), interface)


def render_line(alias: Alias) -> str:
    """Return an alias's line; a /32's broadcast is the address itself, as in the guides."""
    return f"{alias.address}:{alias.netmask}:{alias.broadcast}"


def edit_ips(
    text: str, lines: Sequence[Line], wanted: Iterable[Alias], gone: Collection[str]
) -> str:
    """Return `IPS` with the wanted addresses at its end and without those that go.

    :param gone: ``address/prefix`` of what goes.
    :raises ParseError: the last line has no end.
    """
    there = {line.alias.cidr for line in lines}
    leaving = {line.alias.address for line in lines if line.alias.cidr in gone}
    added = [alias for alias in wanted if alias.cidr not in there]
    if not (added or leaving):
        return text
    if text and not text.endswith("\n"):
        raise ParseError(
            IPS, text.count("\n") + 1, "the last line has no newline, and the next would join it",
            way_out="end it with a newline",
        )  # fmt: skip
    kept = [
        line for line in text.splitlines(keepends=True) if line.partition(":")[0] not in leaving
    ]
    return "".join([*kept, *(f"{render_line(alias)}\n" for alias in added)])


def edit_pool(text: str, added: Iterable[str], removed: Collection[str]) -> str:
    """Return `POOL` with these addresses in it and without those.

    In the order in which cPanel writes it, the higher text first, where it has that.
    """
    newline = newline_of(text)
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if line.strip() not in removed]
    names = [line.strip() for line in kept]
    new = [address for address in added if address not in set(names)]
    if not new and len(kept) == len(lines):
        return text
    if kept and not kept[-1].endswith(("\n", "\r")):
        kept[-1] += newline
    fresh = [f"{address}{newline}" for address in new]
    if names == sorted(names, reverse=True):
        return "".join(sorted([*kept, *fresh], key=str.strip, reverse=True))
    return "".join([*kept, *fresh])


def read_uses(host: Host, addresses: Collection[str]) -> dict[str, str]:
    """Return who uses addresses, in words: accounts with their sites, resellers, the server."""
    uses: dict[str, str] = {}
    for address, domain in _pairs(host, DEDICATED):
        if address in addresses:
            uses.setdefault(address, f"it is the dedicated address of {domain}")
    for domain, told in _pairs(host, SITES):
        fields = told.split("==")
        for place in _SITE_ADDRESSES:
            address = fields[place].partition(":")[0] if len(fields) > place else ""
            if address in addresses:
                uses[address] = f"account {fields[0]} uses it for {domain}"
    for path in host.glob(f"{USERS}/*"):
        for line in (host.read(path) or "").splitlines():
            address = line.removeprefix("IP=").strip() if line.startswith("IP=") else ""
            if address in addresses:
                # The account says more than a site of it.
                uses.setdefault(address, f"account {path.rpartition('/')[2]} uses it")
    for path in host.glob(f"{RESELLERS}/*"):
        for address in (host.read(path) or "").split():
            if address in addresses:
                uses.setdefault(
                    address, f"reseller {path.rpartition('/')[2]} shares it with accounts"
                )
    main = (host.read(MAIN) or "").strip()
    if main in addresses:
        uses.setdefault(main, "it is the server's main address")
    return uses


def read_reserved(host: Host) -> frozenset[str]:
    """Return the addresses that no account shall get."""
    return frozenset((host.read(RESERVED) or "").split())


def _pairs(host: Host, path: str) -> Iterable[tuple[str, str]]:
    for line in (host.read(path) or "").splitlines():
        name, colon, value = line.partition(": ")
        if colon and not name.startswith("#"):
            yield name.strip(), value.strip()


def setting(text: str, name: str) -> str:
    """Return a setting of ``/etc/wwwacct.conf``, a name and a value with blanks between.

    ``Cpanel/Config/LoadWwwAcctConf.pm``; of several the last counts.
    """
    value = ""
    for line in text.splitlines():
        words: Sequence[str] = line.split(maxsplit=1)
        if words and words[0] == name:
            value = words[1].strip() if len(words) > 1 else ""
    return value
