"""Solaris 10 and illumos by files: ``/etc/hostname.IF:N``, a file an alias.

``N`` is the number of a logical interface. The file has two lines, the address with its
prefix and ``up``: a file of one line, as the alias guide has it, gets ``netmask +`` appended
by the boot script, and a line of /etc/netmasks then overrides the prefix. The broadcast
address needs no word: the kernel sets it with the address and its mask, a /32's to the
address itself. No line can mark a file as ours, for each is handed to ``ifconfig``: the
ledger alone tells. IPv6 lies in ``/etc/hostname6.IF:N`` in the same form.

Live, an address is added and removed by `live.solaris`. On illumos these files hide what
``ipadm`` keeps for the same interface; where there are none, see `ipadm`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..errors import EffectError, OwnerError, RefusedError, UnsupportedError
from ..host import Host
from ..live import is_loopback
from ..live.solaris import DUMP, parse_ifconfig
from ..model import (
    IPV4,
    IPV6,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)
from . import solaris_system as system
from .solaris_files import Logical, Setting, own_path, read_files, without_words

NAME = "solaris"
UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {"label": "Solaris knows a logical interface by its number alone, which it gives itself"}
)
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
SYSTEMS = ("sunos",)
STORED = False


# Owning


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether the files rule here and one of them names the interface."""
    reasons = [system.release(host)]
    other = system.somebody_else(host)
    if other:
        return Evidence(NAME, interface, False, reasons=(*reasons, other))
    if not system.reads_files(host):
        reasons.append(f"its boot does not read {own_path(interface, IPV4, 0)}")
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    named = [path for path in _mains(interface) if host.exists(path)]
    reasons += [f"{path} names {interface}" for path in named]
    # Where ipadm keeps it, that is the stronger evidence; illumos has it as a temporary one.
    alone = is_loopback(interface)
    if alone:
        reasons.append("network/loopback brings it up, and the boot reads files for it")
    if not named and not alone:
        reasons.append(f"there is no {own_path(interface, IPV4, 0)}")
        return Evidence(NAME, interface, False, reasons=tuple(reasons))
    file = named[0] if named else None
    return Evidence(NAME, interface, True, 2, tuple(reasons), file, _facts(host))


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface of which the user says that its files rule.

    :raises OwnerError: this release reads no such files, or profiles own the addresses.
    """
    found = detect(host, interface)
    reasons = ("named by the user", *found.reasons)
    if system.somebody_else(host) or not system.reads_files(host):
        raise OwnerError(
            f"solaris: {'; '.join(reasons)}", where=interface, way_out="leave `backend` out"
        )
    facts = found.facts or _facts(host)
    return Evidence(NAME, interface, True, found.strength or 1, reasons, found.file, facts)


def _mains(interface: str) -> tuple[str, str]:
    return own_path(interface, IPV4, 0), own_path(interface, IPV6, 0)


def _facts(host: Host) -> dict[str, str]:
    return {"release": system.release(host), "limit": system.limit_of(host)}


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the files bring up, the interface's own first.

    :raises ParseError: for a line that cannot be read as the boot's shell reads it.
    """
    return [
        Found(
            setting.alias(evidence.interface, f"{logical.path}:{setting.line}"),
            logical.path,
            setting.line,
            ours=None,
        )
        for logical in read_files(host, evidence.interface)
        for setting in logical.settings
    ]


# Writing


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return a file of two lines for each alias, and what has to go.

    An alias keeps the number that its file has. A new one takes the next that neither a
    file nor the kernel has: the kernel, asked for a new logical interface, takes the same,
    and a later ``svcadm restart network/physical`` then sets each number to what it has.

    :raises UnsupportedError: no file of the family names the interface; the kernel cannot
        hold as many; an adopted file says more than its address.
    :raises RefusedError: an adopted line is no longer there.
    """
    logicals = read_files(host, wanted.interface)
    _refuse_unplumbed(wanted, host)
    former = {alias.cidr for alias in wanted.former}
    adopted = {found.alias.cidr: found for found in wanted.adopt}
    ours = {*former, *adopted, *(alias.cidr for alias in wanted.aliases)}
    own: dict[str, Logical] = {}
    files: list[File] = []
    texts: dict[str, str] = {}
    in_place: set[str] = set()
    for logical in logicals:
        lone = logical.lone
        if lone is not None and lone.cidr in ours and lone.cidr not in own:
            own[lone.cidr] = logical
        elif lone is not None and lone.cidr in former:
            files.append(File(logical.path, None))
        else:
            # From behind, so that what stands before keeps its place.
            for setting in reversed(logical.settings):
                _take(setting, logical, wanted, texts, in_place)
    for found in adopted.values():
        _refuse_stale(found, own, logicals)
    numbers = _Numbers(logicals, host, wanted.interface)
    for alias in wanted.aliases:
        kept = own.pop(alias.cidr, None)
        if kept is None and alias.cidr in in_place:
            continue
        path = kept.path if kept else own_path(alias.interface, alias.family, numbers.next(alias))
        text = render_text(alias)
        files.append(File(path, text, owned=kept is None or alias.cidr in former))
    files += [File(left.path, None, owned=cidr in former) for cidr, left in own.items()]
    files += [File(path, text, owned=False) for path, text in texts.items()]
    _refuse_too_many(wanted, logicals, ours)
    return files


def render_text(alias: Alias) -> str:
    """Return the two lines; ``deprecated`` before ``up``, so that it never is a source."""
    return f"{alias.cidr}\n{'deprecated up' if alias.never_source else 'up'}\n"


def _take(
    setting: Setting,
    logical: Logical,
    wanted: Wanted,
    texts: dict[str, str],
    in_place: set[str],
) -> None:
    """Take an address of ours, or an adopted one, out of a line that others wrote.

    What the ledger claims and somebody has moved into such a line stays there while it is
    wanted.
    """
    adopted = any(f.path == logical.path and f.alias.cidr == setting.cidr for f in wanted.adopt)
    claimed = any(alias.cidr == setting.cidr for alias in wanted.former)
    kept = any(alias.cidr == setting.cidr for alias in wanted.aliases)
    if claimed and kept and not adopted:
        in_place.add(setting.cidr)
        return
    if not (adopted or claimed):
        return
    if setting.words is None:
        raise UnsupportedError(
            f"{setting.cidr} is the address of a line that says more than that",
            where=f"{logical.path}:{setting.line}",
            way_out="take it out by hand, or leave it where it is",
        )
    before = texts.get(logical.path, logical.text)
    texts[logical.path] = without_words(before, setting)


def _refuse_stale(found: Found, own: Mapping[str, Logical], logicals: Iterable[Logical]) -> None:
    if found.alias.cidr in own:
        return
    for logical in logicals:
        held = {setting.cidr for setting in logical.settings}
        if logical.path == found.path and found.alias.cidr in held:
            return
    raise RefusedError(
        f"{found.alias.cidr} no longer stands here",
        where=f"{found.path}:{found.line}",
        way_out="run again",
    )


def _refuse_unplumbed(wanted: Wanted, host: Host) -> None:
    """Refuse aliases of a family that the boot does not set up on the interface."""
    if is_loopback(wanted.interface):
        return
    for family in (IPV4, IPV6):
        alias = next((alias for alias in wanted.aliases if alias.family == family), None)
        main = own_path(wanted.interface, family, 0)
        if alias is not None and not host.exists(main):
            raise UnsupportedError(
                f"{alias.cidr}: there is no {main}, so the boot gives {wanted.interface}"
                f" no IPv{family}",
                where=alias.where or wanted.interface,
                way_out=f"make {main}: empty, or with the interface's own address",
            )


def _refuse_too_many(wanted: Wanted, logicals: Iterable[Logical], ours: set[str]) -> None:
    counts = Counter(alias.family for alias in wanted.aliases)
    for logical in logicals:
        own = logical.number == 0
        for setting in logical.settings:
            first = own and setting.words is None
            counts[logical.family] += not first and setting.cidr not in ours
    system.refuse_too_many(wanted.interface, wanted.evidence.facts.get("limit", "256"), counts)


class _Numbers:
    """Give numbers to new files: none that a file or a live address has."""

    def __init__(self, logicals: Iterable[Logical], host: Host, interface: str) -> None:
        self.taken = {(logical.family, logical.number) for logical in logicals}
        self.live: dict[str, int] = {}
        self.busy: set[tuple[int, int]] = set()
        self.free = {IPV4: 1, IPV6: 1}
        try:
            _, addresses = parse_ifconfig(host.run(DUMP).out)
        except EffectError:
            addresses = ()
        for address in addresses:
            digits = (address.label or "").rpartition(":")[2]
            if address.interface == interface and digits.isascii() and digits.isdigit():
                self.live[address.cidr] = int(digits)
                self.busy.add((address.family, int(digits)))

    def next(self, alias: Alias) -> int:
        """Return the number of a new file; that of the live address, where there is one."""
        family = alias.family
        number = self.live.get(alias.cidr, 0)
        if not number or (family, number) in self.taken:
            number = self.free[family]
            # Not their union: made anew in each turn, it is as long as the list.
            while (family, number) in self.taken or (family, number) in self.busy:
                number += 1
            self.free[family] = number
        self.taken.add((family, number))
        return number


# Activating


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: none reads such a file and does nothing else."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return nothing: no daemon holds the addresses, the live tool sets them."""
    return Activation()


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return the guide's last step; there is no smaller one that reads the files again."""
    return [] if scope == "alias" else system.restart_service()


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: the kernel numbers logical interfaces by itself."""
    return None
