"""FreeBSD: ARP answers for addresses of the interface that was asked, so ``lo0`` is silent.

``in_arpinput`` (sys/netinet/if_ether.c) looks for the address among those whose interface is
the one that received the request, or shares a bridge with it. Only two things beyond that
answer: a published entry (``arp -s … pub``), and ``net.link.ether.inet.proxyall``, which
answers for whatever has a route over another interface: an address of ``lo0`` has one. So
``proxyall`` is kept off. A neighbour solicitation is answered for addresses of the interface
and for proxy entries alone (sys/netinet6/nd6_nbr.c, ``nd6_ns_input``).

What arrives for an address of ``lo0`` is taken: ``ip_input`` looks among all addresses, unless
``net.inet.ip.rfc1122_strong_es`` (14.0 and newer; ``check_interface`` before) is on, of which
inet(4) says that it "may break" just this. Both are off by default and kept off.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dsr import DsrConfig
from ..host import Host
from ..live import Snapshot
from ..model import Command
from . import Values, Wish, only_loopback

LOOPBACK = "lo0"
PROXY = "net.link.ether.inet.proxyall"
#: Either name, by release; both mean the same.
STRONG = ("net.inet.ip.rfc1122_strong_es", "net.inet.ip.check_interface")


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
    """Return the settings that matter to IPv4; IPv6 has none."""
    return (PROXY, *STRONG) if 4 in config.families else ()


def wishes(config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
    """Return each of them switched off, as far as this release has it."""
    return [(key, "0") for key in keys(config, snapshot) if values.get(key) is not None]


def faults(config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that the host answers for everything that it has a route to."""
    if 4 in config.families and values.get(PROXY) not in (None, "0"):
        return [f"{PROXY} is {values[PROXY]}: it answers for every address with a route"]
    return []


def remarks(config: DsrConfig, host: Host, snapshot: Snapshot, values: Values) -> list[str]:
    """Tell that what arrives on a card for an address of lo0 would be dropped."""
    return [
        f"{key} is {values[key]}: what arrives on a card for an address of {LOOPBACK} is dropped"
        for key in STRONG
        if 4 in config.families and values.get(key) not in (None, "0")
    ]
