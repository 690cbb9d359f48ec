"""What the kernel shall hold for several ways out, and what has to change for it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rig.simwan import HOST, after
from rig.wanhosts import PILLAR
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.kernel import (
    ANYWHERE,
    TABLE_MAIN,
    UNREACHABLE,
    Address,
    Group,
    Hop,
    Item,
    Kernel,
    Nexthop,
    Route,
    Rule,
)
from saltext.ipalias.wan.legs import source_of
from saltext.ipalias.wan.model import Line, WanConfig, Wanted
from saltext.ipalias.wan.routes import Plan, plan, removal
from saltext.ipalias.wan.standing import carried, standing, taken_over

CONFIG = parse_wan(PILLAR)
NUMBERS = CONFIG.numbers
W1, W2 = Line("wan1", 4), Line("wan2", 4)
V1, V2 = Line("wan1", 6), Line("wan2", 6)
BOTH = Wanted({4: ((W1, 2), (W2, 1)), 6: ((V1, 2), (V2, 1))})


def settled(config: WanConfig, wanted: Wanted, kernel: Kernel) -> Kernel:
    return after(kernel, plan(config, wanted, kernel).changes)


def ours(kernel: Kernel) -> set[Item]:
    items: tuple[Item, ...] = (*kernel.routes, *kernel.rules, *kernel.nexthops, *kernel.groups)
    return set(items)


# -- from any state -------------------------------------------------------------------------

TABLES = (NUMBERS.table, NUMBERS.table + 1, NUMBERS.default_table, 7000)
PROTOCOLS = (NUMBERS.protocol, 4)
ON_LINK = {4: "198.51.100.0/25", 6: "2001:db8:a::/64"}
families = st.sampled_from((4, 6))
hops = {
    4: st.sampled_from([Hop("wan1", "198.51.100.1"), Hop("wan2", "198.51.100.129"), Hop("lan0")]),
    6: st.sampled_from([Hop("wan1", "2001:db8:a::1"), Hop("wan2", "2001:db8:b::1")]),
}


@st.composite
def any_route(draw: st.DrawFn) -> Route:
    family = draw(families)
    shape = draw(st.sampled_from(["one", "many", "end"]))
    listed = draw(st.lists(hops[family], min_size=2, max_size=2)) if shape == "many" else []
    single = (draw(hops[family]),) if shape == "one" else ()
    return Route(
        family,
        draw(st.sampled_from(TABLES)),
        draw(
            st.sampled_from(
                [ANYWHERE[family], "198.51.100.0/25" if family == 4 else "2001:db8:a::/64"]
            )
        ),
        draw(st.sampled_from([100, 200, 1000, 5])),
        draw(st.sampled_from(PROTOCOLS)),
        UNREACHABLE if shape == "end" else "unicast",
        hops=tuple(listed) or single,
    )


any_rule = st.builds(
    Rule,
    families,
    st.sampled_from([NUMBERS.priority + at for at in (0, 1, 2, 3, 4, 9)]),
    st.sampled_from([*TABLES, TABLE_MAIN]),
    st.sampled_from(PROTOCOLS),
    mark=st.sampled_from([0, 1 << 16, 2 << 16]),
    mask=st.sampled_from([0, NUMBERS.mask]),
)


@st.composite
def any_objects(draw: st.DrawFn) -> tuple[tuple[Nexthop, ...], tuple[Group, ...]]:
    """Return nexthops and groups in ids of ours, each id once, of whatever kind and owner."""
    idents = draw(st.lists(st.integers(NUMBERS.nexthop, NUMBERS.nexthop + 7), unique=True))
    nexthops: list[Nexthop] = []
    groups: list[Group] = []
    for ident in idents:
        protocol = NUMBERS.protocol
        by_family = {f: [n for n in nexthops if n.family == f] for f in (4, 6)}
        family = draw(families)
        if by_family[family] and draw(st.booleans()):
            members = tuple((n.ident, draw(st.integers(1, 3))) for n in by_family[family][:2])
            groups.append(Group(ident, protocol, members, draw(st.booleans())))
        else:
            hop = draw(hops[family].filter(lambda hop: bool(hop.gateway)))
            nexthops.append(Nexthop(ident, family, protocol, hop))
    return tuple(nexthops), tuple(groups)


@st.composite
def any_kernel(draw: st.DrawFn) -> Kernel:
    nexthops, groups = draw(any_objects())
    objects = draw(st.booleans())
    states = {
        name: draw(st.sampled_from([(1, 1), (1, 1), (1, 0), (0, 0)])) for name in ("wan1", "wan2")
    }
    links = {
        name: link._replace(up=bool(states[name][0]), carrier=bool(states[name][1]))
        if name in states
        else link
        for name, link in HOST.links.items()
    }
    addresses = tuple(a for a in HOST.addresses if draw(st.integers(0, 4)))
    return Kernel(
        links,
        addresses,
        tuple(draw(st.lists(any_route(), max_size=8))),
        tuple(dict.fromkeys(draw(st.lists(any_rule, max_size=6)))),
        nexthops if objects else (),
        groups if objects else (),
        objects=objects,
        resilient=draw(st.booleans()),
    )


@st.composite
def any_wanted(draw: st.DrawFn) -> Wanted:
    lines: dict[int, tuple[tuple[Line, int], ...]] = {}
    for family, listed in ((4, [W1, W2]), (6, [V1, V2])):
        chosen = draw(st.lists(st.sampled_from(listed), unique=True, min_size=1))
        lines[family] = tuple((line, draw(st.integers(1, 255))) for line in chosen)
    return Wanted(lines)


def is_ours(item: Item) -> bool:
    match item:
        case Rule():
            placed = NUMBERS.priority <= item.priority < NUMBERS.priority + 5
        case Route():
            placed = NUMBERS.table <= item.table <= NUMBERS.default_table
        case _:
            placed = True
    return placed and item.protocol == NUMBERS.protocol


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_kernel(), any_wanted())
def test_from_any_state_one_run_gets_there_and_a_second_changes_nothing(
    kernel: Kernel, wanted: Wanted
) -> None:
    once = settled(CONFIG, wanted, kernel)
    again = plan(CONFIG, wanted, once)
    assert again.changes == ()
    # What others have set in our places is told, and not deleted, unless it is replaced.
    others = {item for item in ours(kernel) if not is_ours(item)}
    lost = others - ours(once)
    assert all(isinstance(item, Route) and item.table in TABLES[:3] for item in lost)
    gone = after(once, removal(NUMBERS, once))
    assert not [item for item in ours(gone) if is_ours(item)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_kernel(), any_wanted(), any_wanted())
def test_no_moment_of_a_switch_is_without_a_default_route(
    kernel: Kernel, first: Wanted, second: Wanted
) -> None:
    """After each single change some default route of ours leads over a line that works."""
    before = settled(CONFIG, first, kernel)
    planned = plan(CONFIG, second, before)
    for family in (4, 6):
        if not _way(before, family):
            continue
        for upto in range(len(planned.changes) + 1):
            assert _way(after(before, planned.changes[:upto]), family)


def _way(kernel: Kernel, family: int) -> bool:
    return any(
        (route.family, route.table, route.destination)
        == (family, NUMBERS.default_table, ANYWHERE[family])
        and route.protocol == NUMBERS.protocol
        for route in kernel.routes
    )


# -- by example -----------------------------------------------------------------------------


def texts(planned: Plan) -> list[str]:
    return [change.text() for change in planned.changes]


def test_a_switch_is_one_change() -> None:
    kernel = settled(CONFIG, BOTH, HOST)
    planned = plan(CONFIG, Wanted({4: ((W2, 1),), 6: BOTH.lines[6]}), kernel)
    assert texts(planned) == ["set group 18600 of 18604 (weight 1)"]


def test_without_nexthop_objects_a_switch_is_one_change_too() -> None:
    kernel = settled(CONFIG, BOTH, HOST._replace(objects=False))
    planned = plan(CONFIG, Wanted({4: ((W2, 1),), 6: BOTH.lines[6]}), kernel)
    assert texts(planned) == ["set default via 198.51.100.129 dev wan2 table 18855 metric 100"]


def test_a_group_stays_of_the_kind_that_it_is() -> None:
    old = settled(CONFIG, BOTH, HOST._replace(resilient=False))
    assert not any(group.resilient for group in old.groups)
    planned = plan(CONFIG, Wanted({4: ((W2, 1),)}), old._replace(resilient=True))
    assert not any(c.item.resilient for c in planned.changes if isinstance(c.item, Group))


def test_a_line_without_carrier_is_missing_and_the_others_stand() -> None:
    links = {**HOST.links, "wan1": HOST.links["wan1"]._replace(carrier=False)}
    planned = plan(CONFIG, BOTH, HOST._replace(links=links))
    assert dict(planned.missing) == {W1: "wan1 has no carrier", V1: "wan1 has no carrier"}
    groups = [c.item for c in planned.changes if isinstance(c.item, Group)]
    assert [group.members for group in groups] == [((18604, 1),), ((18605, 1),)]


def test_a_line_that_the_kernel_refused_is_left_out() -> None:
    planned = plan(CONFIG, BOTH, HOST, {W1: "No route to host"})
    assert planned.missing[W1] == "No route to host"
    groups = [c.item for c in planned.changes if isinstance(c.item, Group)]
    assert [group.members for group in groups] == [((18604, 1),), ((18603, 2), (18605, 1))]


def test_marks_lead_to_the_end_of_the_table_while_a_line_is_missing() -> None:
    kernel = settled(CONFIG, BOTH, HOST._replace(addresses=()))
    assert [r.kind for r in kernel.routes if r.table == NUMBERS.table and r.family == 4] == [
        UNREACHABLE
    ]
    assert any(
        rule.mark == NUMBERS.mark(1) and rule.table == NUMBERS.table for rule in kernel.rules
    )


def test_a_gateway_in_no_subnet_is_on_the_link_and_its_route_is_made() -> None:
    addresses = (Address("wan1", 4, "203.0.113.9", 32), *HOST.addresses[1:])
    kernel = settled(CONFIG, BOTH, HOST._replace(addresses=addresses))
    table = [r.text() for r in kernel.routes if r.table == NUMBERS.table and r.family == 4]
    assert table[0] == "198.51.100.1/32 dev wan1 src 203.0.113.9 table 18600 metric 100"
    assert "default via 198.51.100.1 dev wan1 onlink src 203.0.113.9" in " ".join(table)


def test_what_others_set_in_our_places_is_named() -> None:
    foreign = Rule(4, NUMBERS.priority, 7, 3)
    planned = plan(CONFIG, BOTH, HOST._replace(rules=(foreign,)))
    assert planned.foreign == ("rule 18600: from all lookup 7",)
    assert foreign not in [change.item for change in planned.changes]


def test_rules_of_a_kernel_that_does_not_tell_whose_they_are() -> None:
    kernel = settled(CONFIG, BOTH, HOST)
    untold = kernel._replace(rules=tuple(r._replace(protocol=0) for r in kernel.rules))
    assert plan(CONFIG, BOTH, untold).changes == ()


def test_the_source_is_a_usable_address_in_the_gateways_subnet() -> None:
    way = CONFIG.uplinks[0].ways[0]
    deprecated, tentative = 0x20, 0x40
    listed = [
        Address("wan1", 4, "192.0.2.9", 24),
        Address("wan1", 4, "198.51.100.3", 25, flags=0x01),
        Address("wan1", 4, "198.51.100.4", 25, flags=deprecated),
        Address("wan1", 4, "198.51.100.5", 25, flags=tentative),
        Address("wan1", 4, "198.51.100.6", 25, scope=254),
        Address("wan1", 4, "198.51.100.7", 25),
    ]
    assert source_of(way, listed) == "198.51.100.7"
    assert source_of(way, listed[:-1]) == "198.51.100.3"
    assert source_of(way, listed[:1]) == "192.0.2.9"
    assert source_of(way, listed[2:5]) == ""
    assert source_of(replace(way, source="192.0.2.9"), listed) == "192.0.2.9"
    assert source_of(replace(way, source="192.0.2.10"), listed) == ""


def test_what_stands_is_wanted_before_anyone_has_decided() -> None:
    only = Wanted({4: ((W2, 1),), 6: ((V1, 7),)})
    for objects in (True, False):
        kernel = settled(CONFIG, only, HOST._replace(objects=objects))
        found = standing(CONFIG, kernel)
        assert {f: [line for line, _ in held] for f, held in found.lines.items()} == {
            4: [W2],
            6: [V1],
        }
        assert carried(CONFIG, kernel) == dict(found.lines)
        assert plan(CONFIG, found, kernel).changes == ()
    assert standing(CONFIG, HOST).lines == BOTH.lines
    tiers = parse_wan({**PILLAR, "policy": "tier"})
    assert standing(tiers, HOST).lines == {4: ((W1, 2),), 6: ((V1, 2),)}


def test_a_new_configuration_takes_over_what_is_known_of_the_lines() -> None:
    only = Wanted({4: ((W2, 1),), 6: BOTH.lines[6]})
    kernel = settled(CONFIG, only, HOST)
    # The same one: nothing changes by itself.
    assert taken_over(CONFIG, CONFIG, kernel) == standing(CONFIG, kernel)
    heavier = {**PILLAR["uplinks"]["wan2"], "weight": 9}
    third = {**heavier, "gateway": "198.51.100.140", "gateway6": "2001:db8:b::9", "weight": 4}
    changed = parse_wan(
        {**PILLAR, "uplinks": {**PILLAR["uplinks"], "wan2": heavier, "wan3": third}}
    )
    # wan1 is down for IPv4, wan3 is new, wan2 has its new weight.
    assert taken_over(changed, CONFIG, kernel).lines == {
        4: ((W2, 9), (Line("wan3", 4), 4)),
        6: ((V1, 2), (V2, 9), (Line("wan3", 6), 4)),
    }
    assert taken_over(CONFIG, None, HOST).lines == BOTH.lines


def test_a_line_of_a_tier_that_waits_is_not_taken_to_be_down() -> None:
    tiers = parse_wan({**PILLAR, "policy": "tier"})
    first, second = (settled(tiers, Wanted({4: ((line, 1),)}), HOST) for line in (W1, W2))
    assert taken_over(CONFIG, tiers, first).lines[4] == ((W1, 2), (W2, 1))
    # The second tier is in use: the first must be down.
    assert taken_over(CONFIG, tiers, second).lines[4] == ((W2, 1),)
