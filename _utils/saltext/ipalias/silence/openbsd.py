"""OpenBSD: ARP answers for addresses of the interface that was asked, so ``lo0`` is silent.

``in_arpinput`` (sys/netinet/if_ether.c) wants the address on the very interface that received
the request, or a published entry; a neighbour solicitation likewise (sys/netinet6/nd6_nbr.c,
``nd6_ns_input``). No sysctl changes that.

But what arrives on a card for an address of ``lo0`` is dropped ("received on wrong interface":
``in_ouraddr`` in sys/netinet/ip_input.c, ``ip6_input_if`` in sys/netinet6/ip6_input.c, since
6.6) unless the host forwards: ``net.inet.ip.forwarding``, ``net.inet6.ip6.forwarding``. That
makes a router of the host, for everybody: so it is done only where the pillar says
``forwarding: true``, and told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..dsr import DsrConfig
from ..host import Host
from ..live import Snapshot
from ..model import Command
from . import Values, Wish, only_loopback

LOOPBACK = "lo0"
FORWARDING = {4: "net.inet.ip.forwarding", 6: "net.inet6.ip6.forwarding"}
#: Values that take what arrives elsewhere; 2 forwards for IPsec alone (sysctl(2), 7.6).
FORWARDS = ("1", "2")
_STRONG_SINCE = (6, 6)


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
    """Return the switch of each family that has a VIP."""
    return [FORWARDING[family] for family in sorted(config.families)]


def wishes(config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
    """Return forwarding where the pillar asks for it; one that does so already stays."""
    if not config.forwarding:
        return ()
    return [
        (key, there if (there := values.get(key)) in FORWARDS else FORWARDS[0])
        for key in keys(config, snapshot)
    ]


def faults(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Return nothing: no setting makes a card answer for an address of lo0."""
    return []


def remarks(config: DsrConfig, host: Host, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that what arrives on a card for a VIP is dropped."""
    found = re.match(r"([0-9]+)\.([0-9]+)", host.run(("uname", "-r")).out)
    if found is not None and (int(found[1]), int(found[2])) < _STRONG_SINCE:
        return []
    return [
        f"{key} is {values.get(key)}: OpenBSD drops what arrives on a card for an address of "
        f"{LOOPBACK} unless it forwards; `{config.where}:forwarding: true` switches that on, and "
        "the host then forwards for others too, as far as pf lets it"
        for key in keys(config, snapshot)
        if values.get(key) not in FORWARDS
    ]
