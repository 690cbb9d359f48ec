"""Say what the kernel shall hold for several ways out, and what has to change for it.

Pure: configuration, what is wanted and what the kernel holds come in, changes come out, in
an order in which no packet is ever without a way. Which packet takes which way, by priority:

1. a probe (the line's mark *and* its source): the line's own table;
2. main, without its default routes: the LAN, tunnels and static routes of others come first;
3. what has a line's source, and what has a line's mark: the line's own table, which ends in
   ``unreachable``: what belongs to a line never leaves by another one;
4. our table of default routes: the nexthop group of the lines that carry traffic now;
5. main, as without us.

So the default routes in main stay their owners', whatever those do with them; where none of
ours is usable, or none of ours is left, they are in force again. See ip-rule(8), ip-nexthop(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .kernel import (
    ANYWHERE,
    KERNEL_TABLES,
    TABLE_MAIN,
    UNREACHABLE,
    Group,
    Hop,
    Item,
    Kernel,
    Nexthop,
    Route,
    Rule,
)
from .legs import Leg, leg_of
from .model import Line, Numbers, WanConfig, Wanted, Way

#: Metrics in our tables. A route of `RESERVE` counts while there is none of `FIRST`.
FIRST, RESERVE, LAST = 100, 200, 1000
#: Priorities, counted from the first of ours.
PROBES, SPECIFIC, SOURCES, MARKS, DEFAULTS = range(5)
PRIORITIES = 5


class Change(NamedTuple):
    """Hold one change of the kernel.

    :param item: what is set, in the place of what has its place, or deleted.
    """

    item: Item
    delete: bool = False

    def text(self) -> str:
        """Return it for the log."""
        return f"{'deleted' if self.delete else 'set'} {self.item.text()}"


class Plan(NamedTuple):
    """Hold what has to be done.

    :param changes: in order; empty: the kernel is as wanted.
    :param missing: line → why it cannot be routed over now.
    :param foreign: what of others stands where ours belongs, and is left alone.
    """

    changes: tuple[Change, ...] = ()
    missing: Mapping[Line, str] = {}
    foreign: tuple[str, ...] = ()


def tables_of(config: WanConfig) -> set[int]:
    """Return the routing tables that are ours."""
    numbers = config.numbers
    tables = {numbers.table_of(uplink.index) for uplink, _ in config.ways()}
    return tables | {numbers.default_table} if tables else tables


def nexthops_of(numbers: Numbers) -> range:
    """Return the ids of nexthop objects and groups that are ours."""
    return range(numbers.nexthop, numbers.nexthop + 2 * numbers.indexes)


def all_tables(numbers: Numbers) -> set[int]:
    """Return every routing table that could be ours with these numbers."""
    return set(range(numbers.table, numbers.default_table + 1)) - KERNEL_TABLES


def plan(
    config: WanConfig,
    wanted: Wanted,
    kernel: Kernel,
    unusable: Mapping[Line, str] | None = None,
) -> Plan:
    """Return what has to change in routes, rules and nexthops.

    :param unusable: lines that the kernel has just refused, with its words.
    """
    legs: dict[Line, Leg] = {}
    missing: dict[Line, str] = dict(unusable or {})
    for uplink, way in config.ways():
        leg = leg_of(uplink, way, kernel)
        if isinstance(leg, str):
            missing.setdefault(way.line, leg)
        elif way.line not in missing:
            legs[way.line] = leg
    wants: list[Item] = [*_routes(config, wanted, legs, kernel), *_rules(config, legs)]
    nexthops, groups, missing_legs = _objects(config, wanted, legs, kernel)
    missing |= missing_legs
    return _difference(config, kernel, [*wants, *nexthops, *groups], missing)


# -- what shall be ------------------------------------------------------------------------


def _carrying(wanted: Wanted, family: int, legs: Mapping[Line, Leg]) -> list[tuple[Leg, int]]:
    return [(legs[line], weight) for line, weight in wanted.lines.get(family, ()) if line in legs]


def _objects(
    config: WanConfig, wanted: Wanted, legs: Mapping[Line, Leg], kernel: Kernel
) -> tuple[list[Nexthop], list[Group], dict[Line, str]]:
    """Return the nexthop objects and groups that shall be.

    The kernel takes a nexthop object away when its interface loses carrier, and refuses one
    on an interface without: there the line is left out until the carrier is back.
    """
    numbers = config.numbers
    nexthops: list[Nexthop] = []
    groups: list[Group] = []
    missing: dict[Line, str] = {}
    if not kernel.objects:
        return nexthops, groups, missing
    held = {group.ident: group for group in kernel.groups}
    for leg in legs.values():
        if kernel.links[leg.hop.interface].carrier:
            line = leg.way.line
            # Also of lines that carry nothing now: a switch is then one message.
            ident = numbers.nexthop_of(leg.uplink.index, line.family)
            nexthops.append(Nexthop(ident, line.family, numbers.protocol, leg.hop))
    for family in (4, 6):
        members = []
        for leg, weight in _carrying(wanted, family, legs):
            if kernel.links[leg.hop.interface].carrier:
                members.append((numbers.nexthop_of(leg.uplink.index, family), weight))
            else:
                missing[leg.way.line] = f"{leg.hop.interface} has no carrier"
        if members:
            ident = numbers.group_of(family)
            # The kernel cannot make one kind of group into the other.
            resilient = held[ident].resilient if ident in held else kernel.resilient
            groups.append(Group(ident, numbers.protocol, tuple(sorted(members)), resilient))
    return nexthops, groups, missing


def _routes(
    config: WanConfig, wanted: Wanted, legs: Mapping[Line, Leg], kernel: Kernel
) -> list[Route]:
    numbers = config.numbers
    routes = []
    for uplink, way in config.ways():
        table = numbers.table_of(uplink.index)
        routes += _own_table(way, legs.get(way.line), table, numbers.protocol)
    for family in (4, 6):
        reserve = [(legs[w.line], u.weight) for u, w in config.ways() if w.line in legs]
        reserve = [(leg, weight) for leg, weight in reserve if leg.way.line.family == family]
        if reserve:
            # While all objects of the group are gone with their carriers, whatever line has
            # its carrier back first is used at once, even with no monitor running.
            routes.append(_default(config, family, RESERVE, _hops(reserve)))
        carrying = _carrying(wanted, family, legs)
        if kernel.objects:
            if any(kernel.links[leg.hop.interface].carrier for leg, _ in carrying):
                routes.append(_default(config, family, FIRST, (), numbers.group_of(family)))
        elif carrying:
            routes.append(_default(config, family, FIRST, _hops(carrying)))
    return routes


def _default(
    config: WanConfig, family: int, metric: int, hops: tuple[Hop, ...], group: int = 0
) -> Route:
    numbers = config.numbers
    return Route(
        family,
        numbers.default_table,
        ANYWHERE[family],
        metric,
        numbers.protocol,
        hops=hops,
        group=group,
    )


def _hops(legs: Sequence[tuple[Leg, int]]) -> tuple[Hop, ...]:
    """Return the ways of a route; one alone has no weight."""
    if len(legs) == 1:
        return (legs[0][0].hop,)
    return tuple(leg.hop._replace(weight=weight) for leg, weight in legs)


def _own_table(way: Way, leg: Leg | None, table: int, protocol: int) -> list[Route]:
    """Return a line's table: what is on its link, its gateway, and an end."""
    family = way.line.family
    anywhere = ANYWHERE[family]
    end = Route(family, table, anywhere, LAST, protocol, UNREACHABLE)
    if leg is None:
        return [end]
    link = Hop(leg.hop.interface)
    return [
        Route(
            family,
            table,
            leg.network,
            FIRST,
            protocol,
            source=leg.source,
            hops=(link,),
            link=family == 4,
        ),
        Route(family, table, anywhere, FIRST, protocol, source=leg.source, hops=(leg.hop,)),
        end,
    ]


def _rules(config: WanConfig, legs: Mapping[Line, Leg]) -> list[Rule]:
    numbers = config.numbers
    first, protocol = numbers.priority, numbers.protocol
    rules: list[Rule] = []
    for uplink, way in config.ways():
        family, table = way.line.family, numbers.table_of(uplink.index)
        mark, mask = numbers.mark(uplink.index), numbers.mask
        marked = Rule(family, first + MARKS, table, protocol, mark=mark, mask=mask)
        rules.append(marked)
        source = way.source or (legs[way.line].source if way.line in legs else "")
        if source:
            own = f"{source}/{32 if family == 4 else 128}"
            # Not by the interface: a packet bound to one is sent on the link, by ARP, where
            # its table has no way for it (ip_route_output_key_hash_rcu; seen on 6.18).
            rules.append(marked._replace(priority=first + PROBES, source=own))
            rules.append(Rule(family, first + SOURCES, table, protocol, own))
    for family in sorted({way.line.family for _, way in config.ways()}):
        rules.append(Rule(family, first + SPECIFIC, TABLE_MAIN, protocol, suppress=0))
        rules.append(Rule(family, first + DEFAULTS, numbers.default_table, protocol))
    return sorted(set(rules), key=lambda rule: (rule.family, rule.priority, rule.table))


# -- what has to change -------------------------------------------------------------------


def _difference(
    config: WanConfig, kernel: Kernel, wanted: Sequence[Item], missing: Mapping[Line, str]
) -> Plan:
    """Return the changes from what is to what shall be.

    Ways come before what leads to them, and go after it: links before gateways, nexthops
    before their group, routes before rules. So each moment has a way.
    """
    ours, foreign = sort_out(config.numbers, kernel, wanted)
    held, shall = set(ours), set(wanted)
    sets = [item for item in dict.fromkeys(wanted) if item not in held]
    places = {_place(item): item for item in sets}
    # One of others in the same place may be the one that is replaced.
    shared = {_place(r) for r in kernel.routes if r.protocol != config.numbers.protocol}
    first: list[Item] = []
    last: list[Item] = []
    for item in ours:
        if item in shall:
            continue
        new = places.pop(_place(item), None)
        if new is None:
            last.append(item)  # the second one in a place, too: one replaces only one
        elif _in_the_way(item, new):
            first.append(item)
        elif _stays_beside(item, new) or _place(item) in shared:
            last.append(item)
    changes = [Change(item, delete=True) for item in sorted(first, key=_deleting_order)]
    changes += [Change(item) for item in sorted(sets, key=_setting_order)]
    changes += [Change(item, delete=True) for item in sorted(last, key=_deleting_order)]
    return Plan(tuple(changes), missing, tuple(foreign))


def removal(numbers: Numbers, kernel: Kernel) -> tuple[Change, ...]:
    """Return what takes everything of ours away, rules first."""
    ours, _ = sort_out(numbers, kernel, ())
    return tuple(Change(item, delete=True) for item in sorted(ours, key=_deleting_order))


def sort_out(
    numbers: Numbers, kernel: Kernel, wanted: Iterable[Item]
) -> tuple[list[Item], list[str]]:
    """Return what of ours there is, and what of others stands in its place.

    A kernel before 4.17 does not tell whose a rule is: there it is ours if it is as wanted.
    """
    ours: list[Item] = []
    foreign = []
    shall = set(wanted)
    priorities = range(numbers.priority, numbers.priority + PRIORITIES)
    tables, idents = all_tables(numbers), nexthops_of(numbers)
    for rule in kernel.rules:
        if rule.priority not in priorities:
            continue
        told = rule._replace(protocol=numbers.protocol)
        if rule.protocol == numbers.protocol or (rule.protocol == 0 and told in shall):
            ours.append(told)
        else:
            foreign.append(f"rule {rule.text()}")
    for route in kernel.routes:
        if route.table in tables:
            if route.protocol == numbers.protocol:
                ours.append(route)
            else:
                foreign.append(f"route {route.text()}")
    objects: tuple[Nexthop | Group, ...] = (*kernel.nexthops, *kernel.groups)
    for item in objects:
        if item.ident in idents:
            if item.protocol == numbers.protocol:
                ours.append(item)
            else:
                foreign.append(item.text())
    return ours, foreign


def _place(item: Item) -> tuple[object, ...]:
    """Return what two items cannot share: the second replaces the first."""
    match item:
        case Route():
            return ("route", *item.place)
        case Nexthop() | Group():
            return ("nexthop", item.ident)
        case Rule():
            return ("rule", item)


def _in_the_way(old: Item, new: Item) -> bool:
    """Tell whether the kernel would refuse to put the one in the other's place."""
    match old, new:
        case Nexthop(), Nexthop():
            return old.family != new.family
        case Group(), Group():
            return old.resilient != new.resilient
    return type(old) is not type(new)


def _stays_beside(old: Item, new: Item) -> bool:
    """Tell whether the kernel keeps the old one when told to replace it.

    A route of IPv6 replaces only one of its own nature: by nexthop object, or by gateways
    (fib6_add_rt2node), and an unreachable one is of neither.
    """
    if not (isinstance(old, Route) and isinstance(new, Route)) or old.family == 4:
        return False
    return (old.kind, bool(old.group)) != (new.kind, bool(new.group))


def _setting_order(item: Item) -> tuple[int, ...]:
    match item:
        case Route():
            if item.group:
                return (5,)
            direct = all(not hop.gateway for hop in item.hops)
            return (0 if item.hops and direct else 1 if not item.hops else 2,)
        case Nexthop():
            return (3,)
        case Group():
            return (4,)
        case Rule():
            return (6, item.family, item.priority)


def _deleting_order(item: Item) -> tuple[int, ...]:
    match item:
        case Rule():
            return (0, -item.priority)
        case Route():
            return (1 if item.group else 2, item.metric)
        case Group():
            return (3,)
        case Nexthop():
            return (4,)
