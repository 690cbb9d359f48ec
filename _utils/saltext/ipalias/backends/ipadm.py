"""Solaris 11 and illumos by ``ipadm``: a persistent address object an alias.

The store is ipmgmtd's; it is changed by ``ipadm create-addr`` and ``delete-addr`` alone, which
make an address last and live in one. An object of ours is named after its address
(``e1000g0/ipa4cb007109``), so that it is found again without the ledger and comes back under
the same name; nobody else's can pass for one. Objects of others stay what they are: the
ledger tells which of them were adopted.

Forms: ipadm(8); what is refused, ``i_ipadm_validate_create_addr`` of illumos
``libipadm/common/ipadm_addr.c`` and of Solaris 11.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import EffectError, OwnerError, UnsupportedError
from ..host import Host
from ..live import is_loopback
from ..live.solaris import split_row
from ..model import (
    IPV4,
    IPV6,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Stored,
    Wanted,
    canonical_address,
)
from . import solaris_system as system
from .solaris_files import own_path

NAME = "ipadm"
UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "label": "Solaris knows a logical interface by its number alone, which it gives itself",
        "file_alone": "ipadm makes an address last only by making it live as well",
    }
)
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
SYSTEMS = ("sunos",)
STORED = True

SHOW_ADDRESSES = ("ipadm", "show-addr", "-p", "-o", "addrobj,type,state,persistent,addr")
SHOW_INTERFACES = ("ipadm", "show-if", "-p", "-o", "ifname,state,persistent")
#: What is kept of the store before the first change.
KEPT = "ipadm-show-addr.txt"
ORIGINALS = {KEPT: SHOW_ADDRESSES}
#: Seconds for one address: the kernel looks for duplicates for one of them.
TIMEOUT = 30.0
#: Begin of our objects' names; the family's digit and the address follow.
_MARK = "ipa"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class AddressObject:
    """Hold a row of ``ipadm show-addr``.

    :param lasts: True where it is in the persistent store.
    :param up: True where that brings it up; a creation cut short leaves one that is down.
    """

    name: str
    kind: str
    state: str
    lasts: bool
    up: bool
    hidden: bool
    address: str
    prefix: int

    @property
    def cidr(self) -> str:
        """Return ``address/prefix``."""
        return f"{self.address}/{self.prefix}"


# Owning


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether the interface is one that ``ipadm`` keeps."""
    reasons = [system.release(host)]
    hindrance = _hindrance(host, interface)
    if hindrance:
        return Evidence(NAME, interface, False, reasons=(*reasons, hindrance))
    state, persistent = _interface(host, interface)
    if not state:
        reasons.append(f"ipadm knows no {interface}: `ipadm create-ip {interface}` makes it")
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    if not {"4", "6"} & set(persistent):
        reasons.append(f"{interface} is temporary: ipadm keeps no address on it")
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    reasons.append(f"ipadm keeps {interface} ({state})")
    return Evidence(NAME, interface, True, 3, tuple(reasons), None, _facts(host))


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface of which the user says that ``ipadm`` keeps it.

    :raises OwnerError: it cannot: no ``ipadm``, profiles, or files that hide its store.
    """
    found = detect(host, interface)
    reasons = ("named by the user", *found.reasons)
    if _hindrance(host, interface):
        raise OwnerError(
            f"ipadm: {'; '.join(reasons)}", where=interface, way_out="leave `backend` out"
        )
    facts = found.facts or _facts(host)
    return Evidence(NAME, interface, True, found.strength or 1, reasons, None, facts)


def _hindrance(host: Host, interface: str) -> str:
    if host.which("ipadm") is None:
        return "there is no ipadm"
    if other := system.somebody_else(host):
        return other
    if system.reads_files(host):
        for family in (IPV4, IPV6):
            path = own_path(interface, family, 0)
            if host.exists(path):
                return f"{path} is there: the boot then ignores what ipadm keeps for {interface}"
    return ""


def _facts(host: Host) -> dict[str, str]:
    return {"release": system.release(host), "limit": system.limit_of(host)}


def _interface(host: Host, interface: str) -> tuple[str, str]:
    """Return state and persistent families of an interface; empty where there is none."""
    for line in host.run(SHOW_INTERFACES).out.splitlines():
        row = split_row(line)
        if len(row) == 3 and row[0] == interface:
            return row[1], row[2]
    return "", ""


# Reading


def read_objects(host: Host, interface: str) -> list[AddressObject]:
    """Return the address objects of an interface, in the order ``ipadm`` shows them.

    :raises EffectError: the store cannot be read.
    """
    result = host.run(SHOW_ADDRESSES)
    if result.code != 0:
        said = (result.err or result.out).strip() or "no output"
        where = f"`{' '.join(SHOW_ADDRESSES)}`"
        raise EffectError(f"exit {result.code}: {said[:200]}", where=where)
    return [each for each in parse_objects(result.out) if each.name.startswith(f"{interface}/")]


def parse_objects(text: str) -> list[AddressObject]:
    """Parse what `SHOW_ADDRESSES` prints; rows of no address are left out."""
    found = [_object(split_row(line)) for line in text.splitlines()]
    return [each for each in found if each is not None]


def _object(row: list[str]) -> AddressObject | None:
    """Return a row; None for one without an address of its own (a lease that is awaited)."""
    if len(row) != 5:
        return None
    name, kind, state, persistent, shown = row
    # The two ends of a tunnel are shown as `LOCAL->REMOTE`.
    text, _, digits = shown.partition("->")[0].partition("/")
    address = canonical_address(text.partition("%")[0])
    if address is None:
        return None
    most = 128 if ":" in address else 32
    prefix = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else most
    if prefix > most:
        return None
    up, hidden = "U" in persistent, "d" in persistent
    # Nobody but us has such a name, and we make none that is temporary.
    ours = name == object_name(Alias(address, prefix, name.partition("/")[0]))
    lasts = kind == "static" and (up or hidden or ours)
    return AddressObject(name, kind, state, lasts, up, hidden, address, prefix)


def object_name(alias: Alias) -> str:
    """Return the name of our object for an alias.

    At most 31 letters and digits, the first a letter (``i_ipadm_is_user_aobjname_valid``):
    an IPv6 address in hexadecimal digits alone has 32.
    """
    number = int(ipaddress.ip_address(alias.address))
    if alias.family == IPV4:
        return f"{alias.interface}/{_MARK}4{number:08x}"
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return f"{alias.interface}/{_MARK}6{digits}"


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return the static addresses that the store keeps for the interface.

    :raises EffectError: the store cannot be read.
    """
    return _found(read_objects(host, evidence.interface), evidence.interface)


def _found(objects: Iterable[AddressObject], interface: str) -> list[Found]:
    found = []
    for each in objects:
        if not (each.lasts and each.up):
            continue
        path = f"ipadm {each.name}"
        source = SOURCE_NEVER if each.hidden else SOURCE_AUTO
        alias = Alias(each.address, each.prefix, interface, source=source, where=path)
        found.append(Found(alias, path, 0, True if each.name == object_name(alias) else None))
    return found


def parse_original(text: str, interface: str) -> Stored:
    """Return the static addresses that the store had for an interface, from what is kept of it.

    One that an earlier installation of ours had made is not somebody else's.
    """
    objects = [each for each in parse_objects(text) if each.name.startswith(f"{interface}/")]
    found = _found(objects, interface)
    return Stored({each.alias.address: each.alias for each in found if not each.ours})


# Writing


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return no file, but refuse what the store could not hold.

    :raises UnsupportedError: the kernel cannot hold as many; IPv6 without a link-local
        address, which it wants first.
    """
    objects = read_objects(host, wanted.interface)
    stored = {each.cidr for each in objects if each.lasts}
    new = [alias for alias in wanted.aliases if alias.cidr not in stored]
    six = next((alias for alias in new if alias.family == IPV6), None)
    # On lo0 ::1 has the place of the link-local address: the link's logical interface 0.
    local = is_loopback(wanted.interface)
    local |= any(each.address.startswith("fe80:") for each in objects)
    if six is not None and not local:
        raise UnsupportedError(
            f"{six.cidr}: {wanted.interface} has no link-local address, and the kernel wants"
            " one before any other",
            where=six.where or wanted.interface,
            way_out=f"`ipadm create-addr -T addrconf {wanted.interface}/v6`",
        )
    ours = {alias.cidr for alias in (*wanted.aliases, *wanted.former)}
    counts = Counter(alias.family for alias in wanted.aliases)
    for family, others in _others(objects, ours).items():
        counts[family] += max(0, others - 1)
    system.refuse_too_many(wanted.interface, wanted.evidence.facts.get("limit", "256"), counts)
    return []


def _others(objects: Iterable[AddressObject], ours: set[str]) -> Counter[int]:
    return Counter(
        IPV6 if ":" in each.address else IPV4 for each in objects if each.cidr not in ours
    )


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: nothing was written."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return the deletions and creations that the store still needs.

    An address that is live by other means is taken away first: the kernel brings none up
    twice, and ``ipadm`` keeps only what it added itself. On an interface that is not
    enabled yet (a boot) nothing can be added: it is enabled, and the boot then skips it.
    """
    interface = change.interface
    objects = [each for each in read_objects(host, interface) if each.lasts]
    wanted = {alias.cidr: alias for alias in change.added}
    gone = {alias.cidr for alias in change.removed} - set(wanted)
    before = [_delete(each) for each in objects if each.cidr in gone]
    up: list[Command] = []
    moved: list[str] = []
    stored = {each.cidr: each for each in objects}
    new = [alias for cidr, alias in wanted.items() if cidr not in stored]
    if new and _interface(host, interface)[0] == "disabled":
        up.append(_command("enable-if", "-t", interface))
    standing = _standing(change, {each.address for each in objects if each.cidr in gone})
    for alias in new:
        if alias.address in standing:
            moved.append(alias.cidr)
            before.append(_take_away(alias))
        up += _creation(alias)
    for cidr, each in stored.items():
        if cidr in wanted and wanted[cidr].never_source != each.hidden:
            up.append(_hiding(each.name, cidr, hidden=wanted[cidr].never_source))
        if cidr in wanted and not each.up:
            up.append(_command("up-addr", each.name, of=cidr))
    note = ""
    if moved:
        note = f"ipadm keeps what it adds itself: {', '.join(moved[:5])} left for a moment"
    return Activation(tuple(before), tuple(up), note=note)


def _standing(change: Change, leaving: set[str]) -> set[str]:
    """Return the live addresses that stand in the way of their objects, whatever the prefix.

    :param leaving: addresses that go with an object of theirs.
    """
    live = {cidr.partition("/")[0] for cidr in change.live - set(change.foreign_live)}
    return {each for each in live - leaving if not ipaddress.ip_address(each).is_link_local}


def _command(*words: str, of: str | None = None) -> Command:
    return Command(("ipadm", *words), timeout=TIMEOUT, acts_on=(of,) if of else ())


def _delete(each: AddressObject) -> Command:
    return _command("delete-addr", each.name, of=each.cidr)


def _creation(alias: Alias) -> list[Command]:
    """Return what creates an object; a hidden one comes up only when it is hidden."""
    name, local, cidr = object_name(alias), f"local={alias.cidr}", alias.cidr
    if not alias.never_source:
        return [_command("create-addr", "-T", "static", "-a", local, name, of=cidr)]
    return [
        _command("create-addr", "-T", "static", "-d", "-a", local, name, of=cidr),
        _hiding(name, cidr, hidden=True),
        _command("up-addr", name, of=cidr),
    ]


def _hiding(name: str, cidr: str, *, hidden: bool) -> Command:
    value = f"deprecated={'on' if hidden else 'off'}"
    return _command("set-addrprop", "-p", value, name, of=cidr)


def _take_away(alias: Alias) -> Command:
    family = ("inet6",) if alias.family == IPV6 else ()
    argv = ("ifconfig", alias.interface, *family, "removeif", alias.address)
    return Command(argv, acts_on=(alias.cidr,))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return nothing; the interface disabled and enabled again; the guide's last step."""
    if scope == "alias":
        return []
    if scope == "interface":
        name = evidence.interface
        return [_command("disable-if", "-t", name), _command("enable-if", "-t", name)]
    return system.restart_service()


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: the kernel numbers logical interfaces by itself."""
    return None
