"""Solaris and illumos: a VIP on ``lo0:N`` is published on no link; the host model must be weak.

ARP and neighbour discovery answer from the entries of the link that received the question (the
neighbour cache is one a link, illumos uts/common/inet/ip/ip_ndp.c, ``ncec_lookup_illgrp_v4``),
and a loopback link publishes none.

What arrives for an address of another interface is taken in the weak model, which is the
default, and dropped in the strong one (ip_input.c, ``ire_recv_local_v4`` and
``ip_check_multihome``): ``hostmodel`` of ipadm(8), or on Solaris 10
``ip_strict_dst_multihoming`` of ndd(1M). ``src-priority`` takes it as well ("a packet will be
accepted on any interface", ipadm(1M)), and is left as it is. ``custom`` stands for two
properties that somebody has set apart (ip_tunables.c, ``ip_get_hostmodel``) and cannot be set:
there the one of them that drops is set.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dsr import DsrConfig
from ..host import Host
from ..live import Snapshot
from ..model import Command
from . import Values, Wish, only_loopback

LOOPBACK = "lo0"
MODEL = {4: "ipv4/hostmodel", 6: "ipv6/hostmodel"}
APART = {4: "ipv4/_strict_dst_multihoming", 6: "ipv6/_strict_dst_multihoming"}
STRICT = {4: "ip/ip_strict_dst_multihoming", 6: "ip/ip6_strict_dst_multihoming"}
CUSTOM = "custom"
#: Values with which what arrives elsewhere is taken, the first by default.
TAKES: dict[str, tuple[str, ...]] = dict.fromkeys(MODEL.values(), ("weak", "src-priority"))
TAKES |= dict.fromkeys((*APART.values(), *STRICT.values()), ("0",))


def loopback(config: DsrConfig, snapshot: Snapshot) -> str:
    """Return ``lo0``.

    :raises InputError: another one is named.
    """
    return only_loopback(config, LOOPBACK)


def prepare(config: DsrConfig, host: Host, snapshot: Snapshot) -> Sequence[Command]:
    """Return nothing: ``lo0`` is always there."""
    return ()


def clear(host: Host) -> Sequence[Command]:
    """Return nothing."""
    return ()


def keys(config: DsrConfig, snapshot: Snapshot) -> Sequence[str]:
    """Return the switches of each family that has a VIP, by ipadm's names and by ndd's."""
    named = (MODEL, APART, STRICT)
    return [keys_of[family] for family in sorted(config.families) for keys_of in named]


def _switch(family: int, values: Values) -> str | None:
    """Return the one of a family's switches that this system has, and that can be set."""
    if values.get(MODEL[family]) not in (None, CUSTOM):
        return MODEL[family]
    return next((k for k in (APART[family], STRICT[family]) if values.get(k) is not None), None)


def wishes(config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
    """Return the weak model, by ipadm where it is there, else by ndd."""
    wished: list[Wish] = []
    for family in sorted(config.families):
        key = _switch(family, values)
        there = values.get(key) if key is not None else None
        if key is not None and there is not None:
            wished.append((key, there if there in TAKES[key] else TAKES[key][0]))
    return wished


def faults(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Return nothing: no setting makes a link answer for an address of lo0."""
    return []


def remarks(config: DsrConfig, host: Host, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that what arrives on a card for a VIP would be dropped."""
    switches = [_switch(family, values) for family in sorted(config.families)]
    return [
        f"{key} is {values[key]}: what arrives on a card for an address of {LOOPBACK} is dropped"
        for key in switches
        if key is not None and values[key] not in TAKES[key]
    ]
