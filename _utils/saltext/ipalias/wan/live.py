"""The kernel's part of a change of the configuration. Effects only; see `setup`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import IpaliasError
from . import netlink, rtnl
from .kernel import Kernel, Route
from .model import Numbers, WanConfig, Wanted
from .netlink import Netlink
from .routes import all_tables, nexthops_of, tables_of
from .standing import taken_over
from .stored import parse_config
from .switch import Done, Nft, Switch


class Found(NamedTuple):
    """Hold what a configuration is held against.

    :param kernel: what stands in its tables and ids, and in the tables of rules before its.
    :param protocol: the routes of its protocol number, in every table.
    :param nft: ``nft list ruleset``, or empty.
    :param iptables: ``iptables-save`` of both families, or empty.
    """

    kernel: Kernel
    protocol: tuple[Route, ...] = ()
    nft: str = ""
    iptables: str = ""


def read_wan(text: str, ask: Callable[[list[str]], str]) -> Found:
    """Return what a configuration is held against.

    :param text: the configuration, see `stored`.
    :param ask: runs a program that only reads; returns what it printed, or nothing.
    :raises NetlinkError: the kernel does not tell.
    """
    config = parse_config(text, "configuration")
    numbers = config.numbers
    sockets = Netlink()
    try:
        rules = [rule for family in (4, 6) for rule in rtnl.read_rules(sockets, family)]
        before = {rule.table for rule in rules if rule.priority < numbers.priority}
        tables = tables_of(config) | before
        kernel = rtnl.read_kernel(sockets, tables - {0, 255}, nexthops_of(numbers))
        names = {link.number: link.name for link in kernel.links.values()}
        routes = [
            route
            for family in (4, 6)
            for route in rtnl.read_routes(sockets, family, names, protocol=numbers.protocol)
        ]
        kernel = kernel._replace(nat=_read_nat())
    finally:
        sockets.close()
    filters = ask(["iptables-save"]) + ask(["ip6tables-save"])
    return Found(kernel, tuple(routes), ask(["nft", "list", "ruleset"]), filters)


def _read_nat() -> tuple[tuple[str, str], ...] | None:
    from .nat import read_nat

    sockets = Netlink(netlink.NETFILTER)
    try:
        return read_nat(sockets)
    finally:
        sockets.close()


def set_wan(before: str, after: str, nft: Nft) -> Done:
    """Bring the kernel from one configuration to another.

    What the new one shares with the old one stays as it is. Where their numbers differ, the
    new one is complete before the old one goes, unless they overlap.

    :param before: text of the configuration that was in force; empty: none.
    :param after: text of the one that shall be; empty: none.
    """
    new = parse_config(after, "configuration") if after else None
    former = _former(before)
    # One that cannot be read had the usual numbers, as likely as not.
    old = (former or WanConfig()).numbers if before else None
    changes: list[str] = []
    problems: list[str] = []

    def remove(numbers: Numbers, *, nat: bool) -> None:
        done = Switch.clear(numbers, nft, nat=nat)
        changes.extend(done.changes)
        problems.extend(done.problems)

    if new is None:
        remove(old or Numbers(), nat=True)
        return Done(tuple(changes), tuple(problems))
    wanted = _wanted(new, former, nft)
    moved = old is not None and old != new.numbers
    if moved and old is not None and _overlap(old, new.numbers):
        remove(old, nat=False)
        moved = False
    done = _bring(new, wanted, nft)
    changes += done.changes
    problems += done.problems
    if moved and old is not None:
        remove(old, nat=False)
    return Done(tuple(changes), tuple(problems), (), done.missing)


def _wanted(config: WanConfig, former: WanConfig | None, nft: Nft) -> Wanted:
    switch = Switch(former or config, nft)
    try:
        return taken_over(config, former, switch.read())
    finally:
        switch.close()


def _bring(config: WanConfig, wanted: Wanted, nft: Nft) -> Done:
    switch = Switch(config, nft)
    try:
        done = switch.apply(wanted)
        # Of uplinks that the configuration has no more.
        rest = switch.reconcile(everything=True)
    finally:
        switch.close()
    problems = dict.fromkeys((*done.problems, *rest.problems))
    return Done((*done.changes, *rest.changes), tuple(problems), (), done.missing)


def _former(text: str) -> WanConfig | None:
    """Return the configuration in force; None for none, or one that this version refuses."""
    try:
        return parse_config(text, "configuration") if text else None
    except IpaliasError:
        return None


def _overlap(one: Numbers, other: Numbers) -> bool:
    """Tell whether taking the one away would take something of the other's."""
    if one.protocol != other.protocol:
        return False
    near = abs(one.priority - other.priority) < 5
    ids = set(nexthops_of(one)) & set(nexthops_of(other))
    return bool(near or ids or all_tables(one) & all_tables(other))
