"""Direct server return: what the pillar block ``ipalias:dsr`` asks for.

A load-balancer that hands packets on by their Ethernet destination alone leaves the answer to
the real server, which therefore has the virtual address (VIP) itself, on its loopback, and
must never answer for it on the segment: there the balancer alone has it.

Pure: nothing is looked up on the host here. What keeps a system from answering is in
`silence`, the order of the steps in `dsrsteps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .addresses import parse_cidr, refuse_duplicates
from .errors import InputError
from .model import MAX_PREFIX, Alias, canonical_address
from .values import (
    SHOWN_BY,
    choice,
    mapping,
    parse_bool,
    parse_interface,
    refuse_unknown,
    short,
)

#: Wanter of the settings, see `tuning.Tuner`, and origin of the addresses in the ledger.
DSR = "dsr"
SCOPE_ALL = "all"
SCOPE_INTERFACES = "interfaces"
SCOPES = (SCOPE_ALL, SCOPE_INTERFACES)
KEYS = ("vips", "interfaces", "scope", "loopback", "firewall", "forwarding", "form")
FORMS = ("powershell", "netsh")
_DEFAULT = "default"


@dataclass(frozen=True)
class DsrConfig:
    """Hold the block ``ipalias:dsr``.

    :param vips: the virtual addresses, each a /32 or /128; their interface is empty until
        `on` puts them on the loopback that the host has.
    :param interfaces: those that receive from the balancer; empty: all that are no loopback.
    :param scope: ``all`` silences the whole host, ``interfaces`` those named alone.
    :param loopback: the interface that carries the VIPs, where the host has several or none
        that is known by its name; None for the system's own.
    :param firewall: let the traffic for the VIPs in, where the system's own firewall does not
        without being told (Windows); other systems only report.
    :param forwarding: let the host forward, where it takes what arrives on a card for an
        address of its loopback only then (OpenBSD).
    :param form: how Windows is told of the weak host model: by its cmdlets, or by the lines of
        ``netsh`` that the guide has.
    :param where: pillar path of the block.
    """

    vips: tuple[Alias, ...] = ()
    interfaces: tuple[str, ...] = ()
    scope: str = SCOPE_ALL
    loopback: str | None = None
    firewall: bool = True
    forwarding: bool = False
    form: str = FORMS[0]
    where: str = "ipalias:dsr"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the VIPs without their prefix."""
        return tuple(vip.address for vip in self.vips)

    @property
    def families(self) -> frozenset[int]:
        """Return the families (4, 6) of the VIPs."""
        return frozenset(vip.family for vip in self.vips)

    def on(self, loopback: str) -> tuple[Alias, ...]:
        """Return the VIPs on the interface that carries them."""
        return tuple(replace(vip, interface=loopback) for vip in self.vips)


def parse_dsr(data: object, root: str = "ipalias", system: str = "linux") -> DsrConfig:
    """Read the block ``dsr`` of the pillar.

    :param data: the block ``ipalias`` as Salt gives it; without ``dsr``, or with an empty one,
        no VIP is wanted.
    :param root: pillar path of the block ``ipalias``, for messages.
    :param system: the host's (`host.SYSTEMS`); it decides what an interface can be called.
    :raises InputError: an unknown key, a VIP that is no single address of a host, the same
        VIP twice or among the aliases, an interface that cannot be one.
    """
    top = mapping(data, root)
    where = f"{root}:dsr"
    block = mapping(top.get("dsr"), where)
    refuse_unknown(block, KEYS, where)
    vips = parse_vips(block.get("vips"), f"{where}:vips")
    interfaces = _interfaces(block.get("interfaces"), f"{where}:interfaces", system)
    scope = choice(block.get("scope", SCOPE_ALL), SCOPES, f"{where}:scope")
    if scope == SCOPE_INTERFACES and not interfaces:
        raise InputError(
            "`scope: interfaces` names none",
            where=where,
            way_out="list under `interfaces` those that receive from the balancer, "
            "or leave `scope` out",
        )
    loopback = block.get("loopback")
    if loopback is not None:
        loopback = parse_interface(loopback, f"{where}:loopback", system)
        if loopback in interfaces:
            raise InputError(
                f"{loopback} carries the VIPs and cannot receive from the balancer",
                where=f"{where}:loopback",
                way_out="name the network card under `interfaces`",
            )
    firewall = parse_bool(block.get("firewall", True), f"{where}:firewall")
    forwarding = parse_bool(block.get("forwarding", False), f"{where}:forwarding")
    form = choice(block.get("form", FORMS[0]), FORMS, f"{where}:form")
    return DsrConfig(vips, interfaces, scope, loopback, firewall, forwarding, form, where)


def parse_vips(value: object, where: str) -> tuple[Alias, ...]:
    """Read a list of VIPs; a string stands for a list of one.

    :raises InputError: no list, an address that no host can have or that stands twice, a
        prefix that covers more than the address.
    """
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return ()
    if not isinstance(listed, (list, tuple)):
        raise InputError(
            f"{short(value)} is not a list", where=where, way_out="start each VIP with `- `"
        )
    vips = tuple(_vip(item, f"{where}[{index}]") for index, item in enumerate(listed))
    refuse_duplicates(vips)
    return vips


def _vip(item: object, where: str) -> Alias:
    """Read one VIP."""
    address, prefix = parse_cidr(item, where)
    longest = MAX_PREFIX[6 if ":" in address else 4]
    if prefix != longest:
        raise InputError(
            f"{address}/{prefix} is not a single address",
            where=where,
            way_out=f"a VIP is a /{longest}, for a wider one would make the whole subnet local: "
            f"write {address}",
        )
    if address.startswith("127.") or address == "::1":
        raise InputError(
            f"{address} is the host's own loopback address",
            where=where,
            way_out="give the address that the clients connect to",
        )
    if address.startswith("169.254.") or address[:3] in ("fe8", "fe9", "fea", "feb"):
        raise InputError(
            f"{address} is a link-local address",
            where=where,
            way_out="give the address that the clients connect to",
        )
    return Alias(address, prefix, "", where=where)


def _interfaces(value: object, where: str, system: str) -> tuple[str, ...]:
    """Read the receiving interfaces; a string stands for a list of one."""
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return ()
    if not isinstance(listed, (list, tuple)) or not listed:
        what = (
            "the list is empty" if listed == [] else f"{short(value)} is not a list of interfaces"
        )
        raise InputError(
            what,
            where=where,
            way_out="write [eth0], or leave it out",
        )
    names: list[str] = []
    for index, item in enumerate(listed):
        path = f"{where}[{index}]"
        name = parse_interface(item, path, system)
        if name == _DEFAULT:
            raise InputError(
                "`default` is no receiving interface",
                where=path,
                way_out=f"give the name that {SHOWN_BY[system]} shows: what arrives and what "
                "leaves may be two interfaces",
            )
        if name in names:
            raise InputError(f"{name} stands twice", where=path, way_out="list each once")
        names.append(name)
    return tuple(names)


def refuse_vips(aliases: Iterable[Alias], data: object, root: str) -> None:
    """Refuse an alias that the pillar also lists as a VIP: it would be answered for.

    The alias part of the pillar calls this, and so does the DSR part by reading it: whichever
    state runs first, nothing has been added yet. What is no VIP at all is `parse_vips`' to say.

    :param data: the block ``dsr`` as Salt gives it.
    :raises InputError: naming both places.
    """
    places = {
        canonical_address(item.partition("/")[0]): f"{root}:dsr:vips[{index}]"
        for index, item in enumerate(listed_vips({"dsr": data}))
    }
    for alias in aliases:
        if alias.address in places:
            raise InputError(
                f"{alias.address} is the VIP of {places[alias.address]}: as an alias it would be "
                "answered for",
                where=alias.where,
                way_out="leave it out of one of the two",
            )


def listed_vips(data: object) -> list[str]:
    """Return the VIPs of the block ``ipalias`` as they are written, unchecked.

    What is no text stands as nothing, so that each keeps its place in the list.
    """
    block = data.get("dsr") if isinstance(data, Mapping) else None
    listed = block.get("vips") if isinstance(block, Mapping) else None
    if isinstance(listed, str):
        return [listed]
    if not isinstance(listed, (list, tuple)):
        return []
    return [item if isinstance(item, str) else "" for item in listed]
