"""Lines of a BSD host, and a world in which its ifstated runs: who answers, what is routed."""

from __future__ import annotations

import copy
import re
import shlex
from typing import Any

from rig.ifstated import Ifstated
from saltext.ipalias.bootunit import Program
from saltext.ipalias.wan import ifstated, note, openbsd
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Line, Transition, WanConfig
from saltext.ipalias.wan.record import render_entry

PROGRAM = Program(
    "/usr/local/bin/python3", "/usr/local/lib/ipalias", "/var/db/ipalias", ifstated.VERB
)
UPLINK = {
    "wan1": {
        "interface": "re0",
        "gateway": "198.51.100.1",
        "targets": ["203.0.113.1", "203.0.113.2"],
    },
    "wan2": {
        "interface": "re0",
        "gateway": "198.51.100.2",
        "targets": ["203.0.113.11", "203.0.113.12"],
    },
    "wan3": {
        "interface": "re1",
        "gateway": "198.51.100.129",
        "targets": ["203.0.113.21"],
    },
}


def block(count: int = 2, **keys: Any) -> dict[str, Any]:
    """Return a block ``wan`` with so many uplinks, by the guide's profile."""
    names = list(UPLINK)[:count]
    uplinks = {name: copy.deepcopy(UPLINK[name]) for name in names}
    return {"uplinks": uplinks, "probe": {"profile": "guide"}, **keys}


def config(count: int = 2, **keys: Any) -> WanConfig:
    return parse_wan(block(count, **keys), system="openbsd")


class World:
    """What answers, the default routes, the journal and the system's log.

    :param dead: targets that do not answer.
    """

    def __init__(self, config: WanConfig, text: str | None = None) -> None:
        self.config = config
        self.dead: set[str] = set()
        self.lines = [way.line for _, way in config.ways()]
        self.gateways = {way.gateway: way.line for _, way in config.ways()}
        self.routes: dict[int, set[str]] = {}
        for _, way in config.ways():
            self.routes.setdefault(way.line.family, set()).add(way.gateway)
        self.journal: list[Transition] = []
        self.log: list[str] = []
        #: Interfaces without carrier; what pf was told to forget; states that were entered
        #: before their routes were as they want them.
        self.lost_carriers: set[str] = set()
        self.forgotten: list[str] = []
        self.late: list[str] = []
        self._up = {name: up for up, name in ifstated.state_names(config).items()}
        #: True once a family has been without any default route.
        self.lost = False
        self.text = text or ifstated.render(config, openbsd.commands(PROGRAM))
        self.restart()

    def restart(self) -> None:
        """Let a new daemon come, as at a boot or a restart."""
        names = {way.interface for _, way in self.config.ways()}
        links = {n: "down" if n in self.lost_carriers else "up" for n in names}
        self.daemon = Ifstated(self.text, self.ask, self.run, self._entering, links)
        self.daemon.start()

    def _entering(self, name: str) -> None:
        """Look whether a state's routes are there before its tests are waited for."""
        if len(self.daemon.entries) < 3 or name not in self._up:
            return
        for family, routes in self.routes.items():
            carries = ifstated.carrying(self.config, self._up[name], family)
            ways = {way.line: way for _, way in self.config.ways()}
            wanted = {openbsd.via(ways[line]) for line in carries}
            if wanted and routes != wanted:
                self.late.append(name)

    def carrier(self, interface: str, *, up: bool) -> None:
        """Let an interface lose its carrier, or have it back."""
        (self.lost_carriers.discard if up else self.lost_carriers.add)(interface)
        self.daemon.link(interface, "up" if up else "down")

    def fail(self, line: Line) -> None:
        """Let a line's targets be silent."""
        self.dead |= self._targets(line)

    def heal(self, line: Line) -> None:
        self.dead -= self._targets(line)

    def _targets(self, line: Line) -> set[str]:
        ways = [way for _, way in self.config.ways() if way.line == line]
        return {target.host for way in ways for target in way.targets}

    def working(self) -> set[Line]:
        cut = {w.line for _, w in self.config.ways() if w.interface in self.lost_carriers}
        return {line for line in self.lines if not self._targets(line) <= self.dead} - cut

    def _is_dead(self, target: str) -> bool:
        cut = {w.line for _, w in self.config.ways() if w.interface in self.lost_carriers}
        return target in self.dead or any(target in self._targets(line) for line in cut)

    def ask(self, command: str) -> tuple[int, float]:
        """Do a test: ``||`` between pings, each until the first that answers."""
        if command == "true":
            return 0, 0.0
        lasts = 0.0
        for part in re.split(r"\|\||&&", command):
            words = shlex.split(part)
            assert words[0] in ("ping", "ping6") and words[1:4] == ["-q", "-c", "1"], part
            assert words[-1] == ">/dev/null" and words[4] == "-w", part
            answers = not self._is_dead(words[-2])
            lasts += 0.03 if answers else float(words[words.index("-w") + 1])
            if answers and "||" in command:
                return 0, lasts
            if not answers and "&&" in command:
                return 1, lasts
        return (0 if "&&" in command or answers else 1), lasts

    def run(self, command: str) -> None:
        """Do an action."""
        words = shlex.split(command)
        if words[0] == "/sbin/route":
            self._route(words[1:])
        elif words[0] == "/sbin/pfctl":
            assert words[1:4] + words[4:5] == ["-q", "-k", "label", "-k"], command
            self.forgotten.append(words[-1])
        elif words[0] == "/usr/bin/logger":
            self.log.append(words[-1])
        else:
            assert tuple(words[: len(PROGRAM.argv)]) == PROGRAM.argv, command
            told = note.parse_told(words[len(PROGRAM.argv) :])
            moment = note.Moment(self.daemon.now, 1e9 + self.daemon.now, "boot-1")
            for entry in note.transitions(self.journal, told, self.config, moment):
                assert render_entry(entry).endswith("}\n")
                self.journal.append(entry)

    def _route(self, words: list[str]) -> None:
        *options, verb, family, mpath, default, gateway = words
        assert (options, mpath, default) == (["-qn"], "-mpath", "default"), words
        routes = self.routes[{"-inet": 4, "-inet6": 6}[family]]
        if verb == "add":
            routes.add(gateway)
        else:
            assert verb == "delete"
            routes.discard(gateway)
        self.lost = self.lost or not routes

    def settle(self, rounds: int = 0) -> None:
        """Let so many tests end; by default enough for every line to be asked twice."""
        for _ in range(rounds or 3 * len(self.lines)):
            self.daemon.round()
