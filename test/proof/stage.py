"""What a check works with: one host of a case, the formula on it, and what both then show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from proof.registry import Case, demand
from rig.host import BootedHost
from rig.netns import CHECKOUT, NetHost, Segment
from rig.setups import SETUPS

#: Where the dialects' files lie, and ours for an lo that has no owner; nothing else of a host
#: is the owner's configuration.
FOLDERS = (
    "/etc/ipalias",
    "/etc/network",
    "/etc/netplan",
    "/etc/systemd/network",
    "/etc/NetworkManager/system-connections",
)
#: The file of `rig.setups` that holds the host's own network.
MAIN = {
    "networkd": "/etc/systemd/network/50-default.network",
    "netplan_networkd": "/etc/netplan/10-host.yaml",
    "netplan_nm": "/etc/netplan/10-host.yaml",
    "networkmanager": "/etc/NetworkManager/system-connections/eth0.nmconnection",
    "ifupdown": "/etc/network/interfaces",
}
BACKEND = {
    "networkd": "networkd",
    "netplan_networkd": "netplan",
    "netplan_nm": "netplan",
    "networkmanager": "networkmanager",
    "ifupdown": "ifupdown",
}
SERVICE = {
    "networkd": "systemd-networkd.service",
    "netplan_networkd": "systemd-networkd.service",
    "netplan_nm": "NetworkManager.service",
    "networkmanager": "NetworkManager.service",
    "ifupdown": "networking.service",
}
#: What each set-up can keep in its files. Said a second time on purpose: a check must not ask
#: the library what it can.
LABELS = ("networkd", "netplan_networkd", "ifupdown")
SOURCE4 = ("networkd", "ifupdown")
SOURCE6 = ("networkd", "netplan_networkd", "ifupdown")

LEDGER = "/var/lib/ipalias/ledger.json"

Tree = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Run:
    """Hold what one run of the formula returned.

    :param failed: comments of the states that failed.
    :param changes: what they changed, by state.
    """

    failed: tuple[str, ...]
    changes: Mapping[str, Any]
    comment: str

    def listed(self, what: str) -> list[str]:
        """Return the addresses ``added``, ``removed`` or ``recreated``."""
        return [
            cidr
            for change in self.changes.values()
            for cidr in change.get("addresses", {}).get(what, [])
        ]


class Stage:
    """One host of a case; made when it is first needed, ended with the ``with`` block.

    :param source: checkout that the host runs; a sabotaged copy, or this one.
    """

    def __init__(self, case: Case, source: Path = CHECKOUT) -> None:
        self.case = case
        self.source = source
        self.segment = Segment()
        self._host: BootedHost | None = None
        self._peer: NetHost | None = None

    @property
    def setup(self) -> str:
        """Return the case's set-up."""
        return self.case.setup

    @property
    def host(self) -> BootedHost:
        """Return the host, booted if it is not."""
        return self.boot()

    @property
    def peer(self) -> NetHost:
        """Return another host on the segment."""
        if self._peer is None:
            self._peer = NetHost(self.segment)
        return self._peer

    def boot(self, prepare: Callable[[BootedHost], None] | None = None) -> BootedHost:
        """Return the host, running.

        :param prepare: changes files of the halted host, before its first boot.
        """
        if self._host is None:
            host = BootedHost(self.case.suite, self.segment)
            self._host = host
            host.checkout_from = self.source
            SETUPS[self.setup](host)
            if prepare:
                prepare(host)
            host.boot()
        elif prepare:
            raise ValueError("the host runs already: too late to prepare it")
        return self._host

    # -- the formula --------------------------------------------------------------------

    def apply(
        self, *addresses: Any, interface: str = "eth0", must: bool = True, **settings: Any
    ) -> Run:
        """Run ``state.apply ipalias`` with a pillar of one interface.

        :param must: demand that every state says True.
        """
        block = {"addresses": list(addresses), **settings}
        return self.state("ipalias", {"ipalias": {"interfaces": {interface: block}}}, must=must)

    def state(
        self, sls: str = "ipalias", pillar: Mapping[str, Any] | None = None, *, must: bool = True
    ) -> Run:
        """Run ``state.apply`` of one SLS; without a pillar the last one stays."""
        told = self.host.salt_call("state.apply", sls, pillar=pillar)
        demand(isinstance(told, dict), f"state.apply {sls} did not run: {told}")
        failed = tuple(str(row["comment"]) for row in told.values() if row["result"] is not True)
        changes = {row["__id__"]: row["changes"] for row in told.values() if row["changes"]}
        comment = "; ".join(str(row["comment"]) for row in told.values())
        if must:
            demand(not failed, f"state.apply {sls} failed: {shorten('; '.join(failed))}")
        return Run(failed, changes, comment)

    def call(self, function: str, *arguments: str) -> Any:
        """Run one function; a refusal comes back as the text it is."""
        return self.host.salt_call(function, *arguments)

    def ledger(self, interface: str = "eth0") -> dict[str, str]:
        """Return the origin of what is ours, by address and prefix."""
        data = json.loads(self.host.read(LEDGER) or '{"interfaces": {}}')
        aliases = data["interfaces"].get(interface, {}).get("aliases", {})
        return {cidr: row["origin"] for cidr, row in aliases.items()}

    # -- what is there ------------------------------------------------------------------

    def config(self) -> Tree:
        """Return every file of the owners' folders."""
        return self.host.tree(*(folder for folder in FOLDERS if self.host.exists(folder)))

    @property
    def own(self) -> list[str]:
        """Return the host's own addresses on eth0."""
        return [f"{self.host.primary}/24", f"2001:db8::{self.host.number:x}/64"]

    def live(self, interface: str = "eth0") -> list[str]:
        """Return the live addresses, in the kernel's order."""
        return [str(found) for found in self.host.addresses(interface)]

    def demand_live(self, *addresses: str, interface: str = "eth0", when: str = "") -> None:
        """Demand that exactly these are live beside the host's own."""
        own = self.own if interface == "eth0" else ["127.0.0.1/8", "::1/128"]
        have, want = set(self.live(interface)), {*own, *addresses}
        demand(not want - have, f"not live{when}: {', '.join(sorted(want - have))}")
        demand(not have - want, f"still live{when}: {', '.join(sorted(have - want))}")

    def places(self, address: str) -> list[str]:
        """Return ``path: line`` of each line of the files that names an address."""
        word = re.compile(rf"(?<![\w.:]){re.escape(address)}(?![\w.:])")
        return [
            f"{path}: {line.strip()}"
            for path, (_, text) in self.config().items()
            for line in text.splitlines()
            if word.search(line)
        ]

    def close(self) -> None:
        """End the hosts."""
        for part in (self._host, self._peer, self.segment):
            if part is not None:
                part.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def shorten(text: str, most: int = 600) -> str:
    """Return a text on one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def changed(before: Tree, after: Tree) -> list[str]:
    """Return the files that differ in content or mode, are new, or are gone."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def only_added(before: str, after: str) -> bool:
    """Tell whether every line of a text is still there, byte for byte and in order."""
    rest = iter(after.splitlines(keepends=True))
    return all(any(line == other for other in rest) for line in before.splitlines(keepends=True))
