"""The routes of several ways out on a BSD: default routes beside each other, one to each target.

What the kernel holds is read by netstat(1), what changes is one route(8) command each. The
first configuration writes down which default routes it found, and the last one's going
brings them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from ..effects import Effects, ReadLive, Run
from ..errors import MALFORMED
from ..host import Host
from ..live import Route, Snapshot
from ..model import Command, File
from .ifstated import Commands, carrying
from .model import WanConfig, Way
from .stored import SCHEMA, parse_config

#: Systems whose monitor is ifstated.
SYSTEMS = ("openbsd", "freebsd")


class Dialect(Protocol):
    """Say how a BSD does it: `openbsd` and `freebsd`."""

    #: ifstated's configuration.
    IFSTATED: str
    #: pf's.
    PF: str

    def via(self, way: Way) -> str:
        """Return a gateway as route(8) takes and shows it."""
        ...

    def commands(self, program: Any) -> Commands:
        """Return how the machine's actions and checks are said."""
        ...

    def default_argv(self, verb: str, route: Route, weight: int) -> tuple[str, ...]:
        """Return the command that adds a default route beside others, or takes it away."""
        ...

    def host_argv(self, verb: str, route: Route) -> tuple[str, ...]:
        """Return the command for the route to a target."""
        ...

    def settings(self, config: WanConfig) -> list[tuple[str, str]]:
        """Return kernel settings as keys and values."""
        ...

    def refuse(self, host: Host, config: WanConfig) -> None:
        """Refuse what the system cannot do, or what stands in the way on this host."""
        ...

    def boot_files(
        self, host: Host, config: WanConfig | None, former: WanConfig | None
    ) -> tuple[list[File], list[str]]:
        """Return what a boot reads, and what there is to know."""
        ...

    def pf_text(self, text: str, config: WanConfig | None) -> str | None:
        """Return pf's file with our rules, or without; None: it goes."""
        ...

    def is_running(self, host: Host) -> bool:
        """Tell whether ifstated runs."""
        ...

    def pausing(self) -> Command:
        """Return what ends ifstated while routes change under it."""
        ...

    def starting(self) -> Command:
        """Return what starts it, or starts it again."""
        ...


def load(system: str) -> Dialect:
    """Return how a system does it."""
    dialect: Any = import_module(f"{__package__}.{system}")
    return dialect  # type: ignore[no-any-return]


class Stored(NamedTuple):
    """Hold what lies on the disk of a configuration.

    :param found: default routes from before the first configuration.
    """

    config: WanConfig
    found: tuple[Route, ...]


def render_stored(block: object, found: Iterable[Route]) -> str:
    """Return the text for a block of the pillar, as `stored.render_config` has it."""
    rows = [[route.family, route.interface, route.gateway] for route in found]
    return json.dumps({"schema": SCHEMA, "wan": block, "found": rows}, indent=1) + "\n"


def parse_stored(text: str, path: str) -> Stored | None:
    """Read a configuration; None for an empty text.

    :raises ParseError: not one.
    :raises InputError: it is refused, as the pillar would be.
    """
    if not text:
        return None
    config = parse_config(text, path)
    try:
        rows = json.loads(text).get("found", [])
        found = tuple(_default(int(f), str(name), str(gateway)) for f, name, gateway in rows)
    except MALFORMED:
        found = ()
    return Stored(config, found)


def _default(family: int, interface: str, gateway: str) -> Route:
    return Route(family, "default", interface, gateway, protocol="static")


def default_of(dialect: Dialect, way: Way) -> Route:
    """Return a line's default route."""
    return _default(way.line.family, way.interface, dialect.via(way))


def host_routes(dialect: Dialect, config: WanConfig) -> list[Route]:
    """Return the routes to targets; the gateway itself is on the link."""
    return [
        Route(
            way.line.family,
            f"{target.host}/{32 if way.line.family == 4 else 128}",
            way.interface,
            dialect.via(way),
            protocol="static",
        )
        for _, way in config.ways()
        for target in way.targets
        if target.host != way.gateway
    ]


def _place(route: Route) -> tuple[int, str, str]:
    return route.family, route.destination, route.gateway or ""


def plan_routes(
    dialect: Dialect, before: Stored | None, after: Stored | None, snapshot: Snapshot
) -> list[Command]:
    """Return the commands that lead from what there is to what shall be; additions first.

    A line that the former configuration had, and that carries nothing while another one
    does, is down and stays out: ifstated knows better, and is started after this.
    """
    live = {_place(route): route for route in snapshot.routes if route.gateway}
    added: list[Command] = []
    gone: list[Command] = []
    hosts = host_routes(dialect, after.config) if after is not None else []
    kept = {_place(route) for route in hosts}
    for route in host_routes(dialect, before.config) if before is not None else []:
        if _place(route) in live and _place(route) not in kept:
            gone.append(Command(dialect.host_argv("delete", route)))
    moved = {route.destination for route in hosts if _place(route) not in live}
    first = [c for c in gone if any(word in moved for word in c.argv)]
    added += [Command(dialect.host_argv("add", r)) for r in hosts if _place(r) not in live]
    weights = _weights(dialect, after)
    wanted = _defaults(dialect, before, after, snapshot)
    for route in wanted:
        if _place(route) not in live:
            weight = weights.get(_place(route), 1)
            added.append(Command(dialect.default_argv("add", route, weight)))
    ours = [r for one in (before, after) if one for r in _every_default(dialect, one.config)]
    keep = {_place(route) for route in wanted}
    for place, route in {_place(route): route for route in ours}.items():
        if place in live and place not in keep:
            gone.append(Command(dialect.default_argv("delete", route, 1)))
    # One at a time, and only beside another: what is there has no weight that could be read.
    former = _weights(dialect, before)
    turned: list[Command] = []
    for route in wanted if len(wanted) > 1 else ():
        weight = weights.get(_place(route), 1)
        if _place(route) in live and weight != former.get(_place(route), 1):
            turned.append(Command(dialect.default_argv("delete", route, 1)))
            turned.append(Command(dialect.default_argv("add", route, weight)))
    return [*first, *added, *(command for command in gone if command not in first), *turned]


def _weights(dialect: Dialect, stored: Stored | None) -> dict[tuple[int, str, str], int]:
    ways = stored.config.ways() if stored is not None else ()
    return {_place(default_of(dialect, way)): uplink.weight for uplink, way in ways}


def _every_default(dialect: Dialect, config: WanConfig) -> list[Route]:
    return [default_of(dialect, way) for _, way in config.ways()]


def _defaults(
    dialect: Dialect, before: Stored | None, after: Stored | None, snapshot: Snapshot
) -> list[Route]:
    """Return the default routes that shall be."""
    if after is None:
        return list(before.found) if before is not None else []
    live = {_place(route) for route in snapshot.routes if route.gateway}
    known = {r for r in _every_default(dialect, before.config)} if before is not None else set()
    found: list[Route] = []
    for family in (4, 6):
        ways = {w.line: default_of(dialect, w) for _, w in after.config.ways()}
        ways = {line: route for line, route in ways.items() if line.family == family}
        there = {line for line, route in ways.items() if _place(route) in live}
        down = {line for line, route in ways.items() if route in known} - there if there else set()
        up = [line for line in ways if line not in down]
        found += [ways[line] for line in carrying(after.config, up, family)]
    return found


def boot_defaults(dialect: Dialect, config: WanConfig) -> list[Route]:
    """Return the default routes that a boot sets: those of the best tier."""
    ways = {way.line: default_of(dialect, way) for _, way in config.ways()}
    return [ways[line] for family in (4, 6) for line in carrying(config, ways, family)]


def bring(
    host: Host, before: str, after: str, reload: Callable[[], bool] = lambda: False
) -> Effects[None]:
    """Bring the kernel's routes from one configuration to another.

    :param before: text of the one that was in force; empty: none.
    :param after: text of the one that shall be; empty: none.
    :param reload: tells whether pf is to load its file, too.
    :raises EffectError: a command refused.
    """
    dialect = load(host.system)
    old, new = (parse_stored(text, "configuration") for text in (before, after))
    snapshot: Snapshot = yield ReadLive()
    for command in plan_routes(dialect, old, new, snapshot):
        yield Run(command)
    if reload():
        yield Run(load_pf(dialect))


def has_nat(text: str) -> bool:
    """Tell whether a configuration translates addresses."""
    stored = parse_stored(text, "configuration")
    return stored is not None and bool(stored.config.nat.networks or stored.config.nat.networks6)


def load_pf(dialect: Dialect) -> Command:
    """Return the command by which pf loads its file, pfctl(8)."""
    return Command(("pfctl", "-f", dialect.PF))


def checks(dialect: Dialect, ifstated: str, pf: str | None) -> Sequence[Command]:
    """Return what looks at new texts before any is written.

    ``/dev/stdin``: ifstated.conf is a file to it, and none may be replaced before it was read.
    """
    found = []
    if ifstated:
        argv = ("ifstated", "-n", "-f", "/dev/stdin")
        found.append(Command(argv, stdin=ifstated))
    if pf is not None:
        found.append(Command(("pfctl", "-n", "-f", "-"), stdin=pf))
    return found
