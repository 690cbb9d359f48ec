"""The rendered ifstated.conf, walked through every order of loss and return."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from rig import ifstated as daemon
from rig.bsdlines import PROGRAM, UPLINK, World, block, config
from saltext.ipalias.errors import InputError, UnsupportedError
from saltext.ipalias.wan import ifstated, note, openbsd
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Line, WanConfig

LATENCY = {"down": 1, "up": 0.5, "window": "300s"}
#: The guide's own file, its addresses exchanged.
GUIDE = """
init-state all_ok
wan1_ok = '( "ping -q -c 1 -w 5 203.0.113.1 >/dev/null || ping -q -c 1 -w 5 203.0.113.2 >/dev/null" every 30 )'
wan2_ok = '( "ping -q -c 1 -w 5 203.0.113.11 >/dev/null || ping -q -c 1 -w 5 203.0.113.12 >/dev/null" every 30 )'
state all_ok {
  if ! $wan1_ok {
    set-state wan1_down
  }
  if ! $wan2_ok {
    set-state wan2_down
  }
}
state wan1_down {
  init {
    run "/usr/bin/logger -s -t ifstated 'wan1_down'"
    run "/sbin/route -qn delete -inet -mpath default 198.51.100.1"
  }
  if $wan1_ok {
    run "/sbin/route -qn add -inet -mpath default 198.51.100.1"
    set-state all_ok
  }
}
state wan2_down {
  init {
    run "/sbin/route -qn delete -inet -mpath default 198.51.100.2"
  }
  if $wan2_ok {
    run "/sbin/route -qn add -inet -mpath default 198.51.100.2"
    set-state all_ok
  }
}
"""  # noqa: E501


def wanted(world: World, before: dict[int, set[str]]) -> dict[int, set[str]]:
    """Return the routes that should be: of the best tier that works, else those before."""
    made = {}
    for family, routes in before.items():
        ways = [
            (u.tier, w.gateway)
            for u, w in world.config.ways()
            if w.line in world.working() and w.line.family == family
        ]
        best = min(ways)[0] if ways else 0
        tiered = world.config.policy == "tier"
        made[family] = {g for t, g in ways if t == best or not tiered} or routes
    return made


def check(world: World, expected: dict[int, set[str]], said: object) -> None:
    assert world.routes == expected, said
    assert not world.lost, said
    assert not world.late, said
    # What the journal says last of each line is what it is.
    last = {entry.line: entry.state for entry in world.journal}
    for line in world.lines:
        state = "up" if line in world.working() else "down"
        assert last.get(line, "up") == state, (said, line)
    # And no entry repeats the one before it.
    for line in world.lines:
        states = ["up", *(e.state for e in world.journal if e.line == line)]
        assert all(a != b for a, b in itertools.pairwise(states)), said
    assert len({entry.ident for entry in world.journal}) == len(world.journal)


def walk(made: WanConfig, steps: tuple[tuple[Line, ...], ...], text: str | None = None) -> None:
    """Let lines change, those of one step at once, and look after each."""
    world = World(made, text)
    for at, step in enumerate(steps):
        before = {family: set(routes) for family, routes in world.routes.items()}
        for line in step:
            (world.fail if line in world.working() else world.heal)(line)
        entries = len(world.journal)
        world.settle()
        after = wanted(world, before)
        if not any(w.line in world.working() for _, w in made.ways()):
            # The last that is left is one of those before.
            assert all(routes <= before[f] and routes for f, routes in world.routes.items())
            after = world.routes
        check(world, after, steps[: at + 1])
        assert len(world.journal) - entries == len(step), steps
        # A state a line, and none between.
        assert len(world.daemon.entries) == 2 + sum(map(len, steps[: at + 1])), steps


def orders(lines: list[Line], length: int) -> list[tuple[tuple[Line, ...], ...]]:
    singles = [(line,) for line in lines]
    more = [c for n in range(2, len(lines) + 1) for c in itertools.combinations(lines, n)]
    return list(itertools.product([*singles, *more], repeat=length))


@pytest.mark.parametrize(("count", "length"), [(2, 6), (3, 3)])
def test_every_order_of_loss_and_return_ends_in_the_routes_that_work(
    count: int, length: int
) -> None:
    made = config(count)
    lines = [way.line for _, way in made.ways()]
    for steps in orders(lines, length):
        walk(made, steps)


def test_three_lines_one_after_another_in_any_order() -> None:
    made = config(3)
    for steps in itertools.product([(way.line,) for _, way in made.ways()], repeat=6):
        walk(made, steps)


def test_tiers_keep_to_the_best_that_works() -> None:
    made = config(3, policy="tier")
    lines = [way.line for _, way in made.ways()]
    for steps in itertools.product([(line,) for line in lines], repeat=5):
        world = World(made)
        world.settle(1)
        assert world.routes == {4: {"198.51.100.1"}}
        walk_from(world, steps)


def walk_from(world: World, steps: tuple[tuple[Line, ...], ...]) -> None:
    for step in steps:
        before = {family: set(routes) for family, routes in world.routes.items()}
        for line in step:
            (world.fail if line in world.working() else world.heal)(line)
        world.settle()
        check(world, wanted(world, before), steps)


def test_families_fail_apart() -> None:
    uplinks = block(2)["uplinks"]
    for at, uplink in enumerate(uplinks.values(), 1):
        uplink["gateway6"] = f"fe80::{at}" if at == 1 else "2001:db8::2"
        uplink["targets"].append(f"2001:db8:f::{at}")
    made = parse_wan({"uplinks": uplinks, "probe": {"profile": "guide"}}, system="openbsd")
    text = ifstated.render(made, openbsd.commands(PROGRAM))
    assert "default fe80::1%re0" in text and "ping6 -q -c 1 -w 5 2001:db8:f::1" in text
    lines = [way.line for _, way in made.ways()]
    assert len(ifstated.state_names(made)) == 16
    world = World(made)
    world.routes[6] = {"fe80::1%re0", "2001:db8::2"}
    for line in (Line("wan1", 6), Line("wan2", 6), Line("wan2", 4), Line("wan1", 6)):
        (world.fail if line in world.working() else world.heal)(line)
        world.settle()
        assert not world.lost
    assert world.routes == {4: {"198.51.100.1"}, 6: {"fe80::1%re0"}}
    assert {entry.line for entry in world.journal} == {*lines} - {Line("wan1", 4)}


@pytest.mark.parametrize("down", [(), (0,), (1,), (0, 1)])
def test_a_start_in_any_world_finds_its_state(down: tuple[int, ...]) -> None:
    made = config(2)
    lines = [way.line for _, way in made.ways()]
    for left in ({"198.51.100.1"}, {"198.51.100.2"}, {"198.51.100.1", "198.51.100.2"}):
        world = World(made)
        for at in down:
            world.fail(lines[at])
        world.routes[4] = set(left)
        world.restart()
        up = {way.gateway for _, way in made.ways() if way.line in world.working()}
        check(world, {4: up or left}, (down, left))
        assert world.daemon.entries[0] == "start"


def test_all_down_warns_and_leaves_what_is_there() -> None:
    world = World(config(2))
    for line in world.lines:
        world.fail(line)
        world.settle()
    assert len(world.routes[4]) == 1
    assert any("default routes stay as they are" in text for text in world.log)
    assert world.daemon.state.name == "all_down"


def test_a_lost_carrier_is_seen_at_once_and_not_asked_for() -> None:
    made = config(3, nat={"networks": ["192.0.2.0/24"]}, policy="tier")
    world = World(made)
    for line in world.lines[:2]:
        world.fail(line)
        world.settle()
    assert world.routes == {4: {"198.51.100.129"}}
    for line in world.lines[:2]:
        world.heal(line)
        world.settle()
    assert world.routes == {4: {"198.51.100.1"}}
    entered = len(world.daemon.entries)
    world.carrier("re0", up=False)
    check(world, {4: {"198.51.100.129"}}, "re0 without carrier")
    # By what is said on the way, not behind the checks of a state between, which take theirs.
    assert world.daemon.entries[entered:] == ["wan1_wan2_down"] and not world.late
    world.carrier("re0", up=True)
    world.settle()
    check(world, {4: {"198.51.100.1"}}, "re0 back")


def test_a_vlans_name_is_no_word_and_stands_between_quotes() -> None:
    wan = block(2)
    for uplink in wan["uplinks"].values():
        uplink["interface"] = "em0.10"
    made = parse_wan(wan, system="freebsd")
    world = World(made, ifstated.render(made, openbsd.commands(PROGRAM)))
    world.carrier("em0.10", up=False)
    assert world.daemon.state.name == "all_down"
    with pytest.raises(daemon.Syntax):
        daemon.parse(world.text.replace('"em0.10"', "em0.10"))


def test_an_interface_that_knows_of_no_carrier_is_not_down() -> None:
    world = World(config(2))
    world.daemon.link("re0", "unknown")
    world.settle()
    assert world.daemon.state.name == "all_ok"


def test_only_the_states_of_a_line_that_is_lost_are_forgotten() -> None:
    """Of the three one has an interface of its own; the others' connections live on."""
    world = World(config(3, nat={"networks": ["192.0.2.0/24"]}))
    first, _, third = world.lines
    for line in (first, third):
        world.fail(line)
        world.settle()
    assert world.forgotten == ["ipalias_wan3"]
    world.heal(first)
    world.settle()
    for line in world.lines[:2]:
        world.fail(line)
        world.settle()
    assert set(world.forgotten) == {"ipalias_wan3"}
    # With no line left there is nowhere that a connection could begin anew.
    count = len(world.forgotten)
    world.restart()
    assert world.daemon.state.name == "all_down" and len(world.forgotten) == count
    assert World(config(3)).forgotten == []


# What the interpreter can find: the guide's own hole, and slips of ours


def test_the_guides_own_machine_has_its_hole_and_ours_has_not() -> None:
    made = config(2)
    guide, ours = World(made, GUIDE), World(made)
    for world in (guide, ours):
        for line in world.lines:
            world.fail(line)
            world.settle()
    # With one line down the guide's looks at that one alone: the loss of the other is no state.
    assert guide.daemon.entries == ["all_ok", "wan1_down"]
    assert ours.daemon.entries == ["start", "all_ok", "wan1_down", "all_down"]
    assert [entry.line.uplink for entry in ours.journal] == ["wan1", "wan2"]


def mutated(text: str) -> list[tuple[str, str]]:
    """Return texts that a slip would make of the rendered one, with what was done."""
    made: list[tuple[str, str]] = []
    rows = text.split("\n")
    early = False
    for at, row in enumerate(rows):
        if "logger" in row or row.startswith("#") or not row:
            continue
        early = row.startswith("\tif") or (early and row != "\t}")
        line = f"{'early ' if early else ''}line {at + 1}"
        made.append((f"without {line}: {row}", "\n".join(rows[:at] + rows[at + 1 :])))
        if "set-state" in row:
            for name in ("all_ok", "wan1_down", "wan2_down", "all_down", "start"):
                other = f"\t\tset-state {name}"
                if other != row:
                    slip = "\n".join([*rows[:at], other, *rows[at + 1 :]])
                    made.append((f"{line}: {row} to {name}", slip))
        for old, new in (
            ("! ", ""),
            ("add -inet", "delete -inet"),
            ("delete -inet", "add -inet"),
            ("=up", "=down"),
            ("=down", "=up"),
            ('198.51.100.1"', '198.51.100.2"'),
            ('198.51.100.2"', '198.51.100.1"'),
            ("$wan1_ok", "$wan2_ok"),
            ("$always && ", ""),
            ("run ", "else run "),
            (" {", ' { run "x" }'),
            ("every 30", "every 30s"),
            ("link.down", "link.up"),
            (" && ! re0.link.down", ""),
        ):
            if old in row:
                slip = "\n".join([*rows[:at], row.replace(old, new, 1), *rows[at + 1 :]])
                made.append((f"{line}: {row}: {old!r} to {new!r}", slip))
    return made


def found(made: WanConfig, text: str) -> bool:
    """Tell whether a text is refused, or walks wrong."""
    lines = [way.line for _, way in made.ways()]
    first, second = ((line,) for line in lines)
    try:
        for steps in itertools.product((first, second), repeat=4):
            walk(made, steps, text)
        for steps in ((lines, lines), (first, lines, lines), (second, lines, second)):
            walk(made, tuple(map(tuple, steps)), text)
        # Each state for the second time, and a change in its first round.
        for one, other in ((first, second), (second, first)):
            for rounds in (1, 2, 3):
                hurry(made, (one, one, one, other), text, rounds)
                hurry(made, (one, other, other, one, other), text, rounds)
                hurry(made, (one, other, one, other, one, other, other), text, rounds)
                hurry(made, (one, other, one, other, other, one, one), text, rounds)
        for count in range(3):
            for down in itertools.combinations(lines, count):
                _start(made, text, down)
        _without_carrier(made, text)
    except (daemon.Syntax, AssertionError, KeyError, ValueError):
        return True
    return False


def _start(made: WanConfig, text: str, down: tuple[Line, ...]) -> None:
    for left in ({"198.51.100.1"}, {"198.51.100.2"}, {"198.51.100.1", "198.51.100.2"}):
        world = World(made, text)
        for line in down:
            world.fail(line)
        world.routes[4], world.journal = set(left), []
        world.restart()
        up = {way.gateway for _, way in made.ways() if way.line in world.working()}
        check(world, {4: up or left}, (down, left))
        assert len(world.daemon.entries) == 2 and len(world.journal) == len(down)


def _without_carrier(made: WanConfig, text: str | None = None) -> None:
    """Take the carrier of the interface that both lines have, and give it back."""
    world = World(made, text)
    world.settle()
    world.carrier("re0", up=False)
    assert world.daemon.entries == ["start", "all_ok", "all_down"] and world.routes[4]
    check(world, {4: world.routes[4]}, "without carrier")
    world.settle()
    world.carrier("re0", up=True)
    world.settle()
    check(world, {4: set(world.gateways)}, "carrier back")


#: What stands already is added once more on the way.
ADDED = r"(without )?early line \d+: \t\trun .* add -inet .*"
#: Slips that change nothing that can be seen: the state that is taken without being told is the
#: first one, which is this one; where two conditions hold, the last ``set-state`` wins, and what
#: it leaves out the next state sees; of a state's two conditions either brings the test that
#: keeps its list in order (without it in both, see below).
HARMLESS = (
    r"without line 2: init-state start",
    r"early line \d+: \tif \$always && .*: '\$always && ' to ''",
    r"early line \d+: \tif \$always && .*\$wan1_ok && (! )?\$wan2_ok {: '\$wan1_ok' to '\$wan2_ok'",
    # Both lines have one interface here, whose loss is a condition of its own.
    r"line \d+: wan\d_ok = .*: ' && ! re0.link.down' to ''",
    ADDED,
)


def test_every_slip_in_the_file_is_refused_or_found() -> None:
    made = config(2)
    text = ifstated.render(made, openbsd.commands(PROGRAM))
    slips = mutated(text)
    assert len(slips) > 150 and not found(made, text)
    left = [said for said, slip in slips if not found(made, slip)]
    assert [said for said in left if not any(re.match(way, said) for way in HARMLESS)] == []
    assert sum(bool(re.match(ADDED, said)) for said in left) == 8, "no more than these"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("set-state all_down\n\t}", "set-state all_down }", "syntax error"),
        ("every 30 &&", "every 30s &&", "syntax error"),
        ("$wan1_ok", "$wan9_ok", "macro 'wan9_ok' not defined"),
        ("set-state all_down", "set-state none", "not declared"),
        ("state wan1_down", "state all_ok", "already exists"),
        ("init-state start", "init-state begin", "invalid start state"),
        ("\t}\n}", "\t} else {\n\t\tset-state all_ok\n\t}\n}", "syntax error"),
    ],
)
def test_the_interpreter_refuses_what_ifstated_refuses(old: str, new: str, said: str) -> None:
    text = ifstated.render(config(2), openbsd.commands(PROGRAM))
    assert old in text
    with pytest.raises(daemon.Syntax, match=said):
        daemon.parse(text.replace(old, new))


def hurry(
    made: WanConfig, steps: tuple[tuple[Line, ...], ...], text: str | None, rounds: int = 1
) -> None:
    """Let lines change while a state has hardly been entered; look when all is settled.

    :param rounds: timers that fire between two changes.
    """
    world = World(made, text)
    for step in steps:
        for line in step:
            (world.fail if line in world.working() else world.heal)(line)
        world.settle(rounds)
    world.settle(8)
    up = {way.gateway for _, way in made.ways() if way.line in world.working()}
    assert world.routes[4], steps
    check(world, {4: up or world.routes[4]}, steps)


def test_changes_in_the_first_round_of_a_state_are_seen() -> None:
    made = config(2)
    for steps in orders([way.line for _, way in made.ways()], 5):
        for rounds in (1, 2, 3):
            hurry(made, steps, None, rounds)


def test_without_the_test_that_never_runs_a_change_is_lost() -> None:
    made = config(2)
    text = ifstated.render(made, openbsd.commands(PROGRAM)).replace("$always && ", "")
    first, second = (way.line for _, way in made.ways())
    steps = ((first,), (second,), (second,), (first,))
    hurry(made, steps, None, 2)
    with pytest.raises(AssertionError):
        hurry(made, steps, text, 2)


# The file


def test_the_guides_checks_are_the_guides() -> None:
    text = ifstated.render(config(2), openbsd.commands(PROGRAM))
    for first, second in (("203.0.113.1", "203.0.113.2"), ("203.0.113.11", "203.0.113.12")):
        check = f'"ping -q -c 1 -w 5 {first} >/dev/null || ping -q -c 1 -w 5 {second} >/dev/null"'
        assert f"{check} every 30 && ! re0.link.down )'" in text
    assert "state wan1_down {" in text and "state all_ok {" in text
    assert note.parse_told(["wan1=up", "wan1/6=down"]) == [
        (Line("wan1", 4), "up"),
        (Line("wan1", 6), "down"),
    ]


def test_names_that_parse_y_could_mistake_are_numbered() -> None:
    uplinks = {"a": UPLINK["wan1"], "all": UPLINK["wan2"]}
    made = parse_wan({"uplinks": uplinks, "probe": {"profile": "guide"}}, system="openbsd")
    assert sorted(ifstated.state_names(made).values()) == [
        "all_down",
        "all_ok",
        "line1_down",
        "line2_down",
    ]
    daemon.parse(ifstated.render(made, openbsd.commands(PROGRAM)))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"probe": {"profile": "fast"}}, ("confirm", "adaptive", "loss", "hold_down", "rise")),
        ({"probe": {"profile": "guide", "fall": 2}}, ("fall",)),
        ({"probe": {"profile": "guide", "interval": "30500ms"}}, ("interval",)),
        ({"require": "majority"}, ("require: `majority`",)),
        ({"react": "event"}, ("react: `event`",)),
        ({"failback": "flush"}, ("failback",)),
        ({"numbers": {"table": 100}}, ("numbers",)),
        (
            {"probe": {"profile": "guide", "latency": {"down": 1, "up": 0.5, "window": "300s"}}},
            ("latency",),
        ),
    ],
)
def test_what_ifstated_cannot_do_is_refused_by_name(
    keys: dict[str, Any], said: tuple[str, ...]
) -> None:
    with pytest.raises(UnsupportedError) as raised:
        ifstated.render(config(2, **keys), openbsd.commands(PROGRAM))
    for word in said:
        assert word in raised.value.what
    assert "profile: guide" in raised.value.way_out


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"tcp": "203.0.113.7:443"}, "tcp"),
        ({"http": "https://www.example.net/"}, "http"),
        ({"dns": {"server": "203.0.113.8", "name": "example.net"}}, "dns"),
        ({"arp": "gateway"}, "hardware address"),
        ("www.example.net", "needs an address"),
    ],
)
def test_targets_that_ping_cannot_ask_are_refused_by_name(target: Any, said: str) -> None:
    wan = block(2)
    wan["uplinks"]["wan1"]["targets"] = [target]
    with pytest.raises(UnsupportedError, match=said):
        ifstated.refuse_inexpressible(parse_wan(wan, system="openbsd"))


def test_a_check_that_its_successor_would_kill_is_refused() -> None:
    wan = block(2)
    wan["uplinks"]["wan1"]["targets"] = [f"203.0.113.{n}" for n in range(30, 36)]
    with pytest.raises(InputError, match="kills it then"):
        ifstated.refuse_inexpressible(parse_wan(wan, system="openbsd"))


def test_one_target_of_two_lines_is_refused() -> None:
    wan = block(2)
    wan["uplinks"]["wan2"]["targets"] = ["203.0.113.1"]
    with pytest.raises(InputError, match="is a target of wan1 already"):
        ifstated.refuse_inexpressible(parse_wan(wan, system="openbsd"))


def test_more_lines_than_states_can_be_made_for_are_refused() -> None:
    uplinks = {
        f"wan{n}": {"interface": "re0", "gateway": f"198.51.100.{n}", "targets": [f"203.0.113.{n}"]}
        for n in range(1, 6)
    }
    made = parse_wan({"uplinks": uplinks, "probe": {"profile": "guide"}}, system="openbsd")
    with pytest.raises(UnsupportedError, match=r"5 lines .* need 32 states"):
        ifstated.refuse_inexpressible(made)


def test_the_worst_detection_is_told() -> None:
    made = config(2)
    assert ifstated.detection(made, made.ways()[0][1].line) == 30 + 20
