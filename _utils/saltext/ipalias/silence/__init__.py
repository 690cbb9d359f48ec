"""What keeps a host from answering for an address on its loopback: one module a system.

Each says which interface carries the VIPs, what has to be there first, which settings of the
system's make it silent, and whether it is silent by what is live. Who asks, and in which
order, is `dsrsteps`: prepare, silence, look whether it is silent, and only then a VIP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

from ..dsr import DsrConfig
from ..errors import InputError
from ..host import Host
from ..live import Snapshot
from ..model import Command

#: Live values of settings by key; None where the host has no such setting.
Values = Mapping[str, "str | None"]
#: A setting that shall be: key, as `sysctl` names it, and value.
Wish = tuple[str, str]


class Silence(Protocol):
    """Describe what a system's module provides. Nothing here changes a host."""

    def loopback(self, config: DsrConfig, snapshot: Snapshot) -> str:
        """Return the interface that carries the VIPs.

        :raises InputError: `DsrConfig.loopback` names one that is none.
        """

    def prepare(self, config: DsrConfig, host: Host, snapshot: Snapshot) -> Sequence[Command]:
        """Return commands that are still needed before anything is set (a loopback adapter).

        Each says what it does in `Command.told`, which is what ``test=True`` shows. They have
        to be harmless by themselves: no way back undoes them, and `clear` takes them back.
        """

    def clear(self, host: Host) -> Sequence[Command]:
        """Return commands that take back what `prepare` did, run when no VIP is left."""

    def keys(self, config: DsrConfig, snapshot: Snapshot) -> Sequence[str]:
        """Return the settings whose live values `wishes`, `faults` and `remarks` look at."""

    def wishes(self, config: DsrConfig, snapshot: Snapshot, values: Values) -> Sequence[Wish]:
        """Return the settings that shall last; none where the system needs none.

        A value that is there and silent as well is wished for as it is.

        :param values: what DSR wants by the ledger of settings, else what is live.
        """

    def faults(self, config: DsrConfig, snapshot: Snapshot, values: Values) -> list[str]:
        """Return why the host would answer for a VIP, by live values; empty: it is silent."""

    def remarks(
        self, config: DsrConfig, host: Host, snapshot: Snapshot, values: Values
    ) -> list[str]:
        """Return what the operator should know besides: what would drop the traffic."""


def load(system: str) -> Silence:
    """Return a system's module.

    :param system: the host's, one of `host.SYSTEMS`.
    """
    module: Silence = import_module(f"{__name__}.{system}")
    return module


def receiving(config: DsrConfig, snapshot: Snapshot, loopback: str) -> list[str]:
    """Return the interfaces on which the host must not answer.

    Those of the pillar, or all: then whatever has a hardware address and is not the carrier.
    """
    if config.interfaces:
        return list(config.interfaces)
    return [
        link.name
        for link in snapshot.links
        if link.name != loopback and link.mac and "LOOPBACK" not in link.flags
    ]


def only_loopback(config: DsrConfig, own: str) -> str:
    """Return the loopback of a system that has one.

    :raises InputError: another one is named: what brings a link up at boot is not ours to know.
    """
    if config.loopback not in (None, own):
        raise InputError(
            f"{config.loopback} is not the loopback of this system, {own} is",
            where=f"{config.where}:loopback",
            way_out="leave it out",
        )
    return own
