"""Render ifstated.conf(5): a state for each set of lines that work. Pure.

The grammar is ``usr.sbin/ifstated/parse.y`` of OpenBSD: an action a line, no ``else``, macros
expanded neither between quotes nor in other macros. What it does with a state is
``ifstated.c`` (1.26 of 2006 to 1.68 of 2024): on entering one, every test of it is run and
waited for, then ``init`` and the body are carried out; later the body again whenever a
test's exit status changes.

**The first test never runs again.** ``eval_state`` passes over a change while the first
test in a state's list has last been run before the state was entered, and a test that has
run goes to the list's end. So in a state that is entered for the second time a change that
one of several tests shows in its first round is lost, and with it a dead line. A test that
is due in three years stays first and has never been run but on entering, which `eval_state`
lets pass.

**A line at a time.** Of several ``set-state`` the last one wins, so the conditions of a
state exclude each other; what they leave out the next state sees at once.

**Which routes** is said by the state alone, never by the way to it: each adds what it wants
and then takes away the rest, and one without any line of a family leaves that family's
routes as they are. So the last default route is never taken away. Who leads into a state
sets its routes as well: before ``init`` all its tests are waited for, those of a dead line
for as long as they can last.

**A lost carrier** is a fault of the line, whatever its last check said: ``link.down`` is
kept for all states at once (`scan_ifstate`). An interface that knows of none is not down.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from itertools import combinations
from typing import NamedTuple

from ..bootunit import Program
from ..errors import InputError, UnsupportedError
from .model import ANY, ARP, ICMP, LOCAL, MAJORITY, TIER, Line, Numbers, Uplink, WanConfig, Way

FIRST_LINE = "# Written by the ipalias formula."
#: Lines at most: there is a state for each set of them, and on entering one ifstated asks every
#: line in turn and hears nothing meanwhile.
MOST_LINES = 4
#: Seconds until the test that keeps a state's list in order would run again, `itimerfix` taking
#: no more than 100000000.
NEVER = 99999999
VERB = "wan-note"
START = "start"
_NO_WORD = re.compile("[^A-Za-z0-9]")


class Commands(NamedTuple):
    """Hold how a system says what the machine does.

    :param add: adds a line's default route beside the others.
    :param delete: takes that one away.
    :param ping: asks an address once: address, seconds, source or empty.
    :param program: of the frozen copy; its verb is `VERB`.
    :param forget: forgets pf's states of a line that is lost; empty where it cannot be told
        from another.
    :param again: say additions again behind what is taken away, for a kernel that may have
        been told to hold one default route alone and then refuses a second.
    """

    add: Callable[[Uplink, Way], tuple[str, ...]]
    delete: Callable[[Uplink, Way], tuple[str, ...]]
    ping: Callable[[str, int, str], tuple[str, ...]]
    program: Program
    forget: Callable[[WanConfig, Way], tuple[str, ...]] = lambda config, way: ()
    again: bool = False


# What cannot be said


def refuse_inexpressible(config: WanConfig) -> None:
    """Refuse what ifstated has no words for, all of it by name.

    :raises UnsupportedError: naming each setting, and what to write instead.
    :raises InputError: a check that would last longer than its interval.
    """
    found = dict(_inexpressible(config))
    if found:
        first = next(iter(found))
        raise UnsupportedError(
            "ifstated, which watches the lines here, cannot do this: "
            + "; ".join(f"{key.removeprefix(config.where + ':')}: {v}" for key, v in found.items()),
            where=first,
            way_out="`probe: {profile: guide}` is what it can, with addresses as targets",
        )
    for uplink, way in config.ways():
        lasts = duration(uplink, way)
        if lasts >= uplink.probe.interval:
            raise InputError(
                f"{way.line.text()} is asked every {uplink.probe.interval:g} s and one check may "
                f"last {lasts:g} s: ifstated kills it then, and never learns that the line is dead",
                where=f"{uplink.where}:probe:interval",
                way_out="a longer interval, a shorter timeout or fewer targets",
            )
    _refuse_shared_targets(config)


def _inexpressible(config: WanConfig) -> Iterator[tuple[str, str]]:
    """Yield pillar paths and what is wrong there."""
    where = config.where
    if config.react != LOCAL:
        yield f"{where}:react", f"`{config.react}`: it always acts itself"
    if config.failback != "keep":
        yield f"{where}:failback", "`flush`: flows are not told apart by line"
    if config.numbers != Numbers():
        yield f"{where}:numbers", "there are no marks, rules and tables by line"
    if config.nat.prefixes:
        yield f"{where}:nat:prefixes", "no mapping of prefixes"
    lines = len(config.ways())
    if lines > MOST_LINES:
        yield (
            f"{where}:uplinks",
            f"{lines} lines (a family of an uplink each) need {2**lines} states, and on entering "
            f"one every line is asked in turn; {MOST_LINES} at most",
        )
    for uplink in config.uplinks:
        yield from _of_probe(uplink)
        if uplink.require == MAJORITY:
            yield f"{uplink.where}:require", "`majority`: a check is one exit status; any or all"
        for way in uplink.ways:
            yield from _of_targets(uplink, way)


def _of_probe(uplink: Uplink) -> Iterator[tuple[str, str]]:
    probe, where = uplink.probe, f"{uplink.where}:probe"
    wrong = {
        "confirm": (probe.confirm, "a burst after the first miss"),
        "adaptive": (probe.adaptive, "a timeout that follows the round trip"),
        "loss": (probe.loss is not None, "a share of loss"),
        "latency": (probe.latency is not None, "a measured latency"),
        "fall": (not probe.confirm and probe.fall != 1, "counting rounds; 1"),
        "rise": (probe.rise != 1, "counting rounds; 1"),
        "hold_down": (probe.hold_down > 0, "waiting before a return; 0"),
        "interval": (probe.interval % 1 != 0, "parts of a second"),
        "timeout": (probe.timeout % 1 != 0 or probe.timeout < 1, "parts of a second"),
    }
    for key, (is_wrong, what) in wrong.items():
        if is_wrong:
            yield f"{where}:{key}", what


def _of_targets(uplink: Uplink, way: Way) -> Iterator[tuple[str, str]]:
    if not way.targets:
        yield f"{uplink.where}:targets", f"{way.line.text()} has no target to ask"
    for target in way.targets:
        if target.kind != ICMP:
            what = "the gateway's hardware address" if target.kind == ARP else target.kind
            yield target.where or f"{uplink.where}:targets", f"`{what}`: it asks by ping alone"
        elif not is_address(target.host):
            yield target.where, f"`{target.host}`: a route to it needs an address"


def is_address(text: str) -> bool:
    """Tell whether a text is an address and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _refuse_shared_targets(config: WanConfig) -> None:
    """Refuse one target on two lines: a host route leads it by one gateway only."""
    seen: dict[str, Line] = {}
    for _, way in config.ways():
        for target in way.targets:
            first = seen.setdefault(target.host, way.line)
            if first != way.line:
                raise InputError(
                    f"{target.host} is a target of {first.text()} already, and a route leads it "
                    "by one gateway only",
                    where=target.where,
                    way_out="give each line targets of its own",
                )


# How long it takes


def duration(uplink: Uplink, way: Way) -> float:
    """Return how long one check of a line lasts at most (seconds): its targets in turn."""
    return len(way.targets) * uplink.probe.timeout


def detection(config: WanConfig, line: Line) -> float:
    """Return the worst-case detection time of a line (seconds).

    The fault comes just after an answer: an interval, and a check of the line; one of every
    line where ifstated enters a state just then, on which it hears nothing else.
    """
    uplink = next(uplink for uplink, way in config.ways() if way.line == line)
    return uplink.probe.interval + sum(duration(*each) for each in config.ways())


# What a state wants


def carrying(config: WanConfig, up: Iterable[Line], family: int) -> tuple[Line, ...]:
    """Return the lines that carry a family's default route while some work: the best tier's."""
    works = set(up)
    ways = [(u, w) for u, w in config.ways() if w.line in works and w.line.family == family]
    best = min((uplink.tier for uplink, _ in ways), default=0)
    return tuple(w.line for u, w in ways if u.tier == best or config.policy != TIER)


def state_names(config: WanConfig) -> dict[frozenset[Line], str]:
    """Return a name for each set of working lines, the guide's own for those that it has."""
    lines = [way.line for _, way in config.ways()]
    return _names(lines, _words(lines))


def _names(lines: list[Line], words: dict[Line, str]) -> dict[frozenset[Line], str]:
    names: dict[frozenset[Line], str] = {}
    for count in reversed(range(len(lines) + 1)):
        for up in combinations(lines, count):
            down = [words[line] for line in lines if line not in up]
            name = "_".join([*down, "down"]) if down else "all_ok"
            names[frozenset(up)] = name if up else "all_down"
    return names


def _words(lines: list[Line]) -> dict[Line, str]:
    """Return a word for each line that parse.y takes in a macro's name: letters, digits, ``_``.

    Where two lines would have one, or two states one name, they are numbered instead.
    """
    words = {line: _NO_WORD.sub("_", line.text()) for line in lines}
    numbered = {line: f"line{at}" for at, line in enumerate(lines, 1)}
    plain = len({*words.values()}) == len(lines)
    return words if plain and len({*_names(lines, words).values()}) == 2 ** len(lines) else numbered


# The text


def render(config: WanConfig, commands: Commands) -> str:
    """Return the file.

    :raises UnsupportedError: see `refuse_inexpressible`.
    """
    refuse_inexpressible(config)
    lines = [way.line for _, way in config.ways()]
    words = _words(lines)
    names = state_names(config)
    text = [FIRST_LINE, f"init-state {START}", f"always = '( \"true\" every {NEVER} )'"]
    for uplink, way in config.ways():
        check = _check(uplink, way, commands)
        text.append(f"# {way.line.text()}: {way.interface}, {way.gateway}")
        every = f"{uplink.probe.interval:.0f}"
        ok = f'( "{check}" every {every} && ! {_lost(way.interface)} )'
        text.append(f"{words[way.line]}_ok = '{ok}'")
    text += [f"state {START} {{", *_choices(lines, words, names), "}"]
    for up, name in names.items():
        text += [f"state {name} {{", *_init(config, up, name, commands)]
        for condition, after in (*_changes(lines, words, up), *_at_once(config, up)):
            text += _if(condition, names[after], _routes(config, after, commands))
        text += ["}"]
    return "\n".join(text) + "\n"


def _check(uplink: Uplink, way: Way, commands: Commands) -> str:
    timeout = int(uplink.probe.timeout)
    joined = " || " if uplink.require == ANY else " && "
    return joined.join(
        f"{' '.join(commands.ping(target.host, timeout, way.source))} >/dev/null"
        for target in way.targets
    )


def _test(words: dict[Line, str], line: Line, works: bool) -> str:
    return f"{'' if works else '! '}${words[line]}_ok"


def _if(conditions: Iterable[str], state: str, first: Iterable[str] = ()) -> list[str]:
    told = " && ".join(["$always", *conditions])
    return [f"\tif {told} {{", *first, f"\t\tset-state {state}", "\t}"]


def _choices(
    lines: list[Line], words: dict[Line, str], names: dict[frozenset[Line], str]
) -> Iterator[str]:
    """Yield what leads from the start into the state of the lines that work."""
    for up, name in names.items():
        yield from _if([_test(words, line, line in up) for line in lines], name)


def _changes(
    lines: list[Line], words: dict[Line, str], up: frozenset[Line]
) -> Iterator[tuple[list[str], frozenset[Line]]]:
    """Yield what leads out of a state, and whereto: the first line that is not as it was."""
    same: list[str] = []
    for line in lines:
        yield [*same, _test(words, line, line not in up)], up ^ {line}
        same.append(_test(words, line, line in up))


def _at_once(config: WanConfig, up: frozenset[Line]) -> Iterator[tuple[list[str], frozenset[Line]]]:
    """Yield what leads out of a state where several lines lose their one carrier.

    Behind `_changes`: the last ``set-state`` wins, and saves the checks of a state between.
    """
    on: dict[str, set[Line]] = {}
    for _, way in config.ways():
        if way.line in up:
            on.setdefault(way.interface, set()).add(way.line)
    for interface, lines in on.items():
        if len(lines) > 1:
            yield [_lost(interface)], up - lines


def _lost(interface: str) -> str:
    """Return the test of a lost carrier; a name with a dot is no word of the grammar."""
    return f'"{interface}".link.down' if "." in interface else f"{interface}.link.down"


def _routes(config: WanConfig, up: frozenset[Line], commands: Commands) -> Iterator[str]:
    """Yield what sets a state's routes; without a line of a family that works they stay."""
    for family in sorted({way.line.family for _, way in config.ways()}):
        carries = carrying(config, up, family)
        ways = [(u, w) for u, w in config.ways() if w.line.family == family]
        adds = [(u, w) for u, w in ways if w.line in carries]
        gone = [(u, w) for u, w in ways if carries and w.line not in carries]
        yield from (_run(commands.add(u, w)) for u, w in adds)
        yield from (_run(commands.delete(u, w)) for u, w in gone)
        if gone and commands.again:
            yield from (_run(commands.add(u, w)) for u, w in adds)


def _init(config: WanConfig, up: frozenset[Line], name: str, commands: Commands) -> Iterator[str]:
    """Yield what is done on entering a state: routes first, then what is told of it."""
    yield "\tinit {"
    yield from _routes(config, up, commands)
    for family in sorted({way.line.family for _, way in config.ways()}):
        if not carrying(config, up, family):
            left = f"no line of IPv{family} answers; its default routes stay as they are"
            yield _run(("/usr/bin/logger", "-p", "daemon.warning", "-t", "ifstated", left))
    for _, way in config.ways():
        argv = commands.forget(config, way)
        if argv and way.line not in up and carrying(config, up, way.line.family):
            # Behind the routes: what begins anew then goes by a line that works.
            yield _run(argv)
    yield _run(("/usr/bin/logger", "-t", "ifstated", name))
    told = tuple(
        f"{way.line.text()}={'up' if way.line in up else 'down'}" for _, way in config.ways()
    )
    yield _run((*commands.program.argv, *told))
    yield "\t}"


def _run(argv: tuple[str, ...]) -> str:
    """Return an action; ifstated gives it to ``sh -c``."""
    command = shlex.join(argv)
    if '"' in command or "\\" in command or "\n" in command:
        raise UnsupportedError(
            f"{command} cannot stand between quotes of ifstated.conf", where="ifstated.conf"
        )
    return f'\t\trun "{command}"'
