"""The ordered registry of backends: one module per configuration dialect.

A new platform is one module here and one line in `REGISTRY`. The order breaks ties
only; which backend owns an interface is decided by the strength of its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

from ..host import Host
from ..model import Activation, Alias, Change, Command, Evidence, File, Found, Wanted

#: Dialect names, in the order in which ties are broken.
REGISTRY = (
    "loopback",
    "netplan",
    "networkd",
    "networkmanager",
    "ifupdown",
    "netifrc",
    "ifcfg_rh",
    "ifcfg_suse",
    "cpanel",
    "freebsd",
    "openbsd",
    "solaris",
    "ipadm",
    "windows",
)


class Backend(Protocol):
    """Describe what a backend module provides."""

    #: Dialect name.
    NAME: str
    #: Options refused for this dialect, with the reason. Keys: ``ipv6``, ``label``, ``source4``
    #: (``source: never`` on IPv4), ``source6``, ``wide_source4`` (the same with a prefix
    #: shorter than /32), ``file_alone`` (an alias that lasts and is not live).
    UNSUPPORTED: Mapping[str, str]
    #: Most addresses a link holds, or None.
    MAX_ADDRESSES: int | None
    #: True when unlabelled aliases take numbers (``eth0:0``).
    NUMBERED: bool
    #: Dialect options of the pillar: name → allowed values.
    OPTIONS: Mapping[str, tuple[str, ...]]
    #: Systems it is found on (`host.SYSTEMS`).
    SYSTEMS: tuple[str, ...]
    #: True where what lasts is no file of ours but a store that commands change (``ipadm``,
    #: the registry): `render` returns no file, `activate` looks into the store and returns
    #: only the commands that are still needed, and these run on the way back at boot too.
    #: Such a module may have `ORIGINALS`, see `originals_of`, and of these name one as `KEPT`,
    #: which its `parse_original` reads; see `stores`.
    STORED: bool

    def detect(self, host: Host, interface: str) -> Evidence:
        """Tell whether this dialect owns the interface, and why."""

    def assume(self, host: Host, interface: str) -> Evidence:
        """Return evidence to work with when the user named this backend himself."""

    def parse(self, host: Host, evidence: Evidence) -> list[Found]:
        """Return every address that the dialect's files set on the interface."""

    def render(self, wanted: Wanted, host: Host) -> list[File]:
        """Return the whole text of each file of ours, and of each edited one."""

    def validate(self, change: Change, host: Host) -> list[Command]:
        """Return commands of the dialect's own that check the files once written."""

    def activate(self, change: Change, host: Host) -> Activation:
        """Return what makes the owner take the change, the gentlest way."""

    def restart(self, evidence: Evidence, scope: str, host: Host) -> list[Command]:
        """Return the owner's restart at a level: ``alias``, ``interface`` or ``network``.

        ``alias`` is the gentlest command the platform has; none where it needs none.
        """

    def live_label(self, alias: Alias, evidence: Evidence | None = None) -> str | None:
        """Return the label the kernel will show, or None for none."""


def load(name: str) -> Backend:
    """Return the backend module of a dialect name."""
    module: Backend = import_module(f"{__name__}.{name}")
    return module


#: Dialects found on no Linux; every other one is found on Linux alone. Said here as well, so
#: that a minion imports only what can concern it; a test holds it to the modules' own word.
ELSEWHERE: Mapping[str, str] = {
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "solaris": "sunos",
    "ipadm": "sunos",
    "windows": "windows",
}


def originals_of(backend: Backend) -> Mapping[str, tuple[str, ...]]:
    """Return what is kept of a store before the first change: file name → command that tells.

    Only for a dialect that changes no file, whose original would be kept anyway.
    """
    kept: Mapping[str, tuple[str, ...]] = getattr(backend, "ORIGINALS", {})
    return kept


#: Dialects of which nothing can be on a host without this path (a pattern of glob(7)): they
#: are not even imported there, for their modules cost a run more than its whole look.
MARKS: Mapping[str, str] = {
    "netifrc": "/etc/init.d/net.*",
    "ifcfg_rh": "/etc/sysconfig/network-scripts/ifcfg-*",
    "ifcfg_suse": "/etc/sysconfig/network/ifcfg-*",
    "cpanel": "/usr/local/cpanel/version",
}


#: Dialects for one interface alone. The first of the registry, so that it comes before a file
#: that names the interface and that nothing reads.
ALONE: Mapping[str, str] = {"loopback": "lo"}


def on_host(host: Host, interface: str) -> tuple[list[str], list[str]]:
    """Return the dialects that an interface can have, in registry order, and those it cannot."""
    ours = [
        name
        for name in REGISTRY
        if ELSEWHERE.get(name, "linux") == host.system and ALONE.get(name, interface) == interface
    ]
    absent = [name for name in ours if name in MARKS and not host.glob(MARKS[name])]
    return [name for name in ours if name not in absent], absent


def all_backends(system: str = "linux", names: Sequence[str] = REGISTRY) -> list[Backend]:
    """Return the backend modules that a system can have, in registry order."""
    return [load(name) for name in names if ELSEWHERE.get(name, "linux") == system]
