"""Bring the kernel to what is wanted: the monitor's one way to act, and the configuration's.

Routes and rules first, then NAT, then the flows that lost their line are forgotten. No lock
and no journal: everything it sets is ours by table, priority, id and protocol, is computed
from the configuration and the verdicts alone, and is put back by the next call.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from typing import NamedTuple

from . import netlink, rtnl
from .conntrack import flush_flows
from .kernel import Group, Kernel, Nexthop
from .legs import source_of
from .model import Line, Numbers, WanConfig, Wanted, Way
from .nat import TABLE, expected, read_nat, render_nat, render_removal
from .netlink import Netlink, NetlinkError
from .routes import Change, nexthops_of, plan, removal, tables_of
from .standing import carried, standing

#: Rounds of reading, planning and changing: what the kernel refuses in one is left out of the
#: next, and what others change meanwhile is seen in it.
ROUNDS = 4
_NOT_SUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
#: Runs nft with a text on its standard input; returns its complaint, or nothing, or None
#: while it runs: `Switch.reconcile` is then to be called again.
Nft = Callable[[str], str | None]


class Done(NamedTuple):
    """Hold what a call has changed.

    :param changes: one sentence each, in order; empty: the kernel was as wanted.
    :param problems: what could not be done, with the kernel's own words; the rest was done.
    :param flushed: lines whose flows were forgotten.
    :param missing: lines that are wanted and cannot be routed over now, with the reason
        (no carrier, no such interface, no address).
    """

    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    flushed: tuple[Line, ...] = ()
    missing: tuple[tuple[Line, str], ...] = ()


class Switch:
    """Hold the sockets to the kernel and what was wanted last.

    :param nft: runs ``nft -f -`` with a text.
    :param objects: False to do without nexthop objects, as kernels before 5.3 have to.
    """

    def __init__(self, config: WanConfig, nft: Nft, *, objects: bool = True) -> None:
        self.config = config
        self._nft = nft
        self._objects = objects
        self._resilient = True
        self._route = Netlink(netlink.ROUTE)
        self._filter = Netlink(netlink.NETFILTER)
        self._wanted: Wanted | None = None
        self._stranded: frozenset[Line] = frozenset()
        self._owed: frozenset[Line] = frozenset()
        self._seen: Kernel | None = None
        self._index = {uplink.name: uplink.index for uplink in config.uplinks}
        # A text that cannot be rendered is refused before anything is changed.
        self._text = render_nat(config)
        self._rules = expected(config)

    # -- acting -------------------------------------------------------------------------

    def apply(self, wanted: Wanted, down: Collection[Line] = ()) -> Done:
        """Bring routes, rules and NAT to what is wanted, then forget flows.

        Flows of a line that is down and no longer carries the default route are forgotten,
        once. A line that gives way to a better one keeps its flows, unless the configuration
        says ``failback: flush``; with that a line's return costs the others theirs, too.

        :param down: every line whose verdict is down.
        """
        before, self._wanted = self._wanted, wanted
        stranded = frozenset(down) - _carrying(wanted)
        self._owed |= stranded - self._stranded
        self._stranded = stranded
        if self.config.failback == "flush" and before is not None:
            self._owed |= _given_way(before, wanted, stranded)
        changes = self._at_once(wanted)
        done = self.reconcile()
        return done._replace(changes=(*changes, *done.changes))

    def reconcile(self, *, everything: bool = False) -> Done:
        """Bring the kernel to what was wanted last: whatever anyone removed comes back.

        Before the first `apply` that is what the kernel's default routes say, see `standing`.

        :param everything: look into tables, too, of uplinks that the configuration has no more.
        """
        unusable: dict[Line, str] = {}
        changes: list[str] = []
        problems: list[str] = []
        missing: dict[Line, str] = {}
        for _ in range(ROUNDS):
            kernel = self.read(everything=everything)
            if self._wanted is None:
                self._wanted = standing(self.config, kernel)
            planned = plan(self.config, self._wanted, kernel, unusable)
            missing = dict(planned.missing)
            refused = self._carry_out(planned.changes, kernel, changes, unusable)
            problems = [f"not ours, left alone: {what}" for what in planned.foreign] + refused
            if not planned.changes:
                break
        complaint = self._restore_nat(changes)
        problems += [complaint] if complaint else []
        # A flow that begins anew while there is no NAT is never translated: that waits for it.
        flushed, refused = self._flush() if complaint is not None else ((), [])
        problems += refused
        return Done(tuple(changes), tuple(problems), flushed, tuple(missing.items()))

    def forget(self) -> None:
        """Take nothing of what was seen for what is still so: somebody else has acted for us."""
        self._seen = None

    def remove(self) -> Done:
        """Take everything of ours out of the kernel; routes of others were never touched."""
        self._wanted, self._seen = None, None
        return Switch.clear(self.config.numbers, self._nft)

    @staticmethod
    def clear(numbers: Numbers, nft: Nft, *, nat: bool = True) -> Done:
        """Take everything with these numbers out of the kernel.

        :param nat: False to leave the nftables table, which has no numbers.
        """
        switch = Switch(WanConfig(numbers=numbers), nft)
        changes: list[str] = []
        problems: list[str] = []
        try:
            kernel = switch.read(everything=True)
            for change in removal(numbers, kernel):
                problems += switch._one(change, kernel, changes)
            if nat and switch._read_nat() is not None:
                problem = nft(render_removal())
                problems += [problem] if problem else []
                changes += [] if problem else [f"deleted table inet {TABLE}"]
        finally:
            switch.close()
        return Done(tuple(changes), tuple(problems))

    # -- reading ------------------------------------------------------------------------

    def read(self, *, everything: bool = False) -> Kernel:
        """Return what the kernel holds.

        :param everything: tables of uplinks, too, that the configuration no longer has.
        """
        numbers = self.config.numbers
        families = (4, 6)
        kernel = rtnl.read_kernel(
            self._route,
            () if everything else tables_of(self.config),
            nexthops_of(numbers),
            families,
            objects=self._objects,
        )
        if everything:
            names = {link.number: link.name for link in kernel.links.values()}
            routes = [
                route
                for family in families
                for route in rtnl.read_routes(self._route, family, names, protocol=numbers.protocol)
            ]
            kernel = kernel._replace(routes=tuple(routes))
        self._seen = kernel._replace(resilient=self._resilient)
        return self._seen

    def source(self, way: Way) -> str:
        """Return the address that traffic over a line has now, or "" while it has none."""
        links = rtnl.read_links(self._route)
        names = {link.number: link.name for link in links}
        return source_of(way, rtnl.read_addresses(self._route, way.line.family, names))

    def standing(self) -> dict[int, tuple[Line, ...]]:
        """Return the lines that our default routes in the kernel use, by family."""
        held = carried(self.config, self.read())
        return {family: tuple(line for line, _ in lines) for family, lines in held.items()}

    def close(self) -> None:
        """Close the sockets."""
        self._route.close()
        self._filter.close()

    # -- parts --------------------------------------------------------------------------

    def _at_once(self, wanted: Wanted) -> list[str]:
        """Change the group by what was seen last, before reading anything.

        A host with thousands of addresses takes tens of milliseconds to be read.
        """
        changes: list[str] = []
        if self._seen is None:
            return changes
        planned = plan(self.config, wanted, self._seen)
        for change in planned.changes:
            if isinstance(change.item, Nexthop | Group) and not change.delete:
                # Whatever is refused is seen, and told, by the round that reads.
                self._one(change, self._seen, changes)
        return changes

    def _carry_out(
        self,
        planned: Collection[Change],
        kernel: Kernel,
        changes: list[str],
        unusable: dict[Line, str],
    ) -> list[str]:
        """Carry out changes; what is refused is told, and its line left out of the next round."""
        problems: list[str] = []
        lines = {
            self.config.numbers.nexthop_of(uplink.index, way.line.family): way.line
            for uplink, way in self.config.ways()
        }
        for change in planned:
            said = self._one(change, kernel, changes)
            # One that is deleted may be of no line any more.
            if said and isinstance(change.item, Nexthop) and change.item.ident in lines:
                unusable[lines[change.item.ident]] = said[0]
            problems += said
        return problems

    def _one(self, change: Change, kernel: Kernel, changes: list[str]) -> list[str]:
        """Carry out one change; return the kernel's refusal, if any."""
        try:
            if change.delete:
                rtnl.delete_item(self._route, change.item, kernel.links)
            else:
                rtnl.set_item(self._route, change.item, kernel.links)
        except NetlinkError as error:
            resilient = isinstance(change.item, Group) and change.item.resilient
            if resilient and self._resilient and error.number in _NOT_SUPPORTED:
                self._resilient = False  # before 5.13; the next round makes a plain one
                return []
            return [error.text()]
        changes.append(change.text())
        return []

    def _restore_nat(self, changes: list[str]) -> str | None:
        """Have NAT as it shall be; return what speaks against it, None while it is on its way."""
        try:
            if self._read_nat() == self._rules:
                return ""
        except NetlinkError as error:
            return error.text()
        problem = self._nft(self._text)
        if problem == "":
            changes.append(f"set table inet {TABLE}")
        return problem

    def _read_nat(self) -> tuple[tuple[str, str], ...] | None:
        return read_nat(self._filter)

    def _flush(self) -> tuple[tuple[Line, ...], list[str]]:
        """Forget the flows that are owed it; what is refused stays owed."""
        flushed: list[Line] = []
        problems: list[str] = []
        for line in sorted(self._owed):
            try:
                flush_flows(
                    self._filter, self.config.numbers, self._index[line.uplink], line.family
                )
                flushed.append(line)
            except NetlinkError as error:
                problems.append(error.text())
        self._owed -= frozenset(flushed)
        return tuple(flushed), problems


def _carrying(wanted: Wanted) -> frozenset[Line]:
    return frozenset(line for listed in wanted.lines.values() for line, _ in listed)


def _given_way(before: Wanted, wanted: Wanted, stranded: Collection[Line]) -> frozenset[Line]:
    """Return the lines that lose their flows because another one of their family returned."""
    old, new = _carrying(before), _carrying(wanted)
    families = {line.family for line in new - old}
    return frozenset(line for line in old if line.family in families and line not in stranded)
