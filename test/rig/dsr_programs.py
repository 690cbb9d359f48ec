"""Run the programs of the DSR rig on its hosts: servers, a client, and who asks for addresses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig.dsr_network import PORT
from rig.machine import Machine
from rig.process import CommandFailed, Running

REQUESTS = Path(__file__).with_name("dsr_requests.py").read_text()
PROBE = Path(__file__).with_name("dsr_probe.py").read_text()
#: Seconds between two requests of the client, and between two of who asks for addresses.
PERIOD, PROBE_PERIOD = 0.0025, 0.002
#: Seconds after which a request is lost: long, so that a slow machine loses none.
PATIENCE = 15.0
#: Seconds the client may take beyond what the test does meanwhile; a bound, not an aim.
LONGEST = 240.0


def start(machine: Machine, text: str, *words: str) -> Running:
    """Start a program on a host and wait until it is ready."""
    program = machine.popen(
        [machine.python, "-I", "-S", "-c", text, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        said = _line(program, machine.name)
        if said != "ready":
            raise CommandFailed(f"{machine.name}: not ready but {said!r}")
    except BaseException:
        program.end()
        raise
    return program


def _line(program: Running, name: str) -> str:
    assert program.stdout and program.stderr
    line = program.stdout.readline().strip()
    if not line:
        raise CommandFailed(f"{name}: the program ended: {program.stderr.read().strip()[-1500:]}")
    return str(line)


@contextmanager
def serving(*servers: Machine) -> Iterator[None]:
    """Have real servers answer while the block runs, each with its name."""
    programs: list[Running] = []
    try:
        for server in servers:
            programs.append(start(server, REQUESTS, "serve", server.name, str(PORT)))
        yield
    finally:
        for program in programs:
            program.end()


@dataclass
class Traffic:
    """Hold what became of the requests; filled in once the ``with`` block has ended."""

    asked: int = 0
    answered: int = 0
    lost: int = 0
    first_lost: list[str] = field(default_factory=list)
    #: By ``tcp4``, ``udp4``, ``tcp6``, ``udp6``: asked, answered, and how often by which server.
    kinds: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Segments that TCP had to send again.
    retransmitted: int = 0
    seconds: float = 0.0

    @property
    def servers(self) -> dict[str, int]:
        """Return how many requests each server answered."""
        total: dict[str, int] = {}
        for row in self.kinds.values():
            for name, count in row["servers"].items():
                total[name] = total.get(name, 0) + count
        return total


@contextmanager
def asking(
    client: Machine,
    addresses: Sequence[str],
    least: int = 0,
    period: float = PERIOD,
    patience: float = PATIENCE,
) -> Iterator[Traffic]:
    """Ask for as long as the block runs, and until so many requests have been made.

    :param patience: seconds after which a request without an answer is lost.
    """
    found = Traffic()
    words = [str(least), str(period), str(patience), str(PORT), *addresses]
    program = start(client, REQUESTS, "ask", *words)
    try:
        yield found
        out, err = program.communicate(timeout=LONGEST)
        if program.returncode:
            raise CommandFailed(f"requests from {client.name}: {err.strip()[-1500:]}")
        for name, value in json.loads(out).items():
            setattr(found, name, value)
    finally:
        program.end()


@dataclass(frozen=True)
class Heard:
    """Hold what one phase of asking gave.

    :param answers: by address, how often which MAC said to have it.
    :param nearby: answers of hosts for their real addresses, of so many that were asked for.
    """

    asked4: int
    asked6: int
    answers: Mapping[str, Mapping[str, int]]
    nearby: int
    nearby_asked: int

    def by(self, *macs: str) -> int:
        """Return how many answers came from these."""
        return sum(row.get(mac, 0) for row in self.answers.values() for mac in macs)

    def by_others(self, mac: str) -> dict[str, dict[str, int]]:
        """Return the answers that did not come from the one host they may come from."""
        found = {
            address: {other: count for other, count in row.items() if other != mac}
            for address, row in self.answers.items()
        }
        return {address: row for address, row in found.items() if row}


class Prober:
    """Another host on the segment that asks for addresses without a pause.

    :param addresses: asked for, of both families.
    :param nearby: real addresses and their MACs, to be heard as well.
    :param servers: MACs that are asked directly as well.
    """

    def __init__(
        self,
        peer: Machine,
        own: tuple[str, str],
        addresses: Sequence[str],
        nearby: Mapping[str, str],
        servers: Sequence[str],
        period: float = PROBE_PERIOD,
    ) -> None:
        settings = {
            "own": {"4": own[0], "6": own[1]},
            "addresses": list(addresses),
            "nearby": dict(nearby),
            "servers": list(servers),
            "period": period,
        }
        self.peer = peer
        self.program = start(peer, PROBE, "eth0", json.dumps(settings))

    def _tell(self, line: str) -> dict[str, Any]:
        assert self.program.stdin
        self.program.stdin.write(f"{line}\n")
        self.program.stdin.flush()
        told: dict[str, Any] = json.loads(_line(self.program, self.peer.name))
        return told

    def begin(self, phase: str) -> None:
        """Begin a phase: from here on everything is counted anew."""
        self._tell(f"phase {phase}")

    def end(self, least: int) -> Heard:
        """Return the phase, once it has asked so many times in each family."""
        return Heard(**self._tell(f"enough {least}"))

    def close(self) -> None:
        """End the program."""
        self.program.end()

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
