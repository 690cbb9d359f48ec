"""Measure how gentle a change is: what a running connection feels, and what the kernel deletes.

Do not set ``ip_nonlocal_bind`` on the host: it hides the loss of an address.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rig.machine import Machine
from rig.process import CommandFailed, Running, wait_until

ECHO = Path(__file__).with_name("echo.py").read_text()

#: A neighbour entry on the loopback interface marks begin and end of a recording: it changes no
#: address and no route, and no daemon minds it. (The kernel turns an IPv4 one into 0.0.0.0.)
MARK = "2001:db8::ffff"


@dataclass
class Gentleness:
    """Hold what was seen. The figures are there once the ``with`` block of `watch` has ended."""

    #: Longest time between two answers in milliseconds; at rest about the period of 10.
    longest_gap_ms: float = 0.0
    #: Connections reset, closed or refused.
    resets: int = 0
    #: Answers heard.
    answers: int = 0
    #: Longest time the asking program did not get the processor, in milliseconds: a gap no
    #: longer than this says nothing about the host.
    stall_ms: float = 0.0
    #: What ``ip -o monitor`` said of addresses and routes, a line an event.
    events: list[str] = field(default_factory=list)
    #: Routes of the main table, both families, that were there before and are not any more.
    #: The kernel drops the IPv4 routes that go by an address with it, and says nothing of them.
    lost_routes: list[str] = field(default_factory=list)

    @property
    def deleted(self) -> list[str]:
        """Return the delete events alone, without the word ``Deleted``."""
        word = "Deleted "
        return [line.removeprefix(word) for line in self.events if line.startswith(word)]

    def deleted_with(self, *words: str) -> list[str]:
        """Return the delete events that hold all these words: ``"default"``, ``"192.0.2.2/24"``."""
        return [line for line in self.deleted if set(words) <= set(line.split())]


class Monitor:
    """A recording of ``ip monitor`` on a host."""

    def __init__(self, host: Machine) -> None:
        self.host = host
        self.lines: list[str] = []
        argv = ["ip", "-o", "monitor", "label", "address", "route", "neigh"]
        self.program: Running = host.popen(argv, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._mark("02:00:00:00:ff:01")
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        assert self.program.stdout
        for line in self.program.stdout:
            self.lines.append(line.strip())

    def _mark(self, mac: str) -> None:
        """Cause an event of our own, and wait for it: all before it has then been recorded."""

        def seen() -> bool:
            # Again and again: the first may come before the program listens.
            self.host.ip("neigh", "replace", MARK, "lladdr", mac, "dev", "lo", "nud", "permanent")
            self.host.ip("neigh", "del", MARK, "dev", "lo")
            return any(MARK in line and mac in line for line in list(self.lines))

        wait_until(seen, f"ip monitor on {self.host.name}", step=0.05)

    def stop(self) -> list[str]:
        """Return the events of addresses and routes, and end the recording."""
        try:
            self._mark("02:00:00:00:ff:02")
        finally:
            self.close()
        events = (line.removeprefix("[ADDR]").removeprefix("[ROUTE]") for line in self.lines)
        return [line for line in events if not line.startswith("[NEIGH]")]

    def close(self) -> None:
        """End the program."""
        self.program.send_signal(15)
        self.program.wait(10)
        self.reader.join(10)
        self.program.end()


def _routes(host: Machine) -> list[str]:
    return [
        " ".join(line.split())
        for family in ("-4", "-6")
        for line in host.ip(family, "route", "show").out.splitlines()
    ]


def _start(machine: Machine, *arguments: str) -> Running:
    return machine.popen(
        [machine.python, "-I", "-S", "-c", ECHO, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _line(program: Running, what: str) -> str:
    assert program.stdout and program.stderr
    line = program.stdout.readline().strip()
    if not line:
        raise CommandFailed(f"{what}: {program.stderr.read().strip()}")
    return str(line)


@contextmanager
def watch(host: Machine, peer: Machine, address: str) -> Iterator[Gentleness]:
    """Watch a host while the block runs.

    :param host: the host that is changed; a TCP echo server is bound to ``address`` there.
    :param peer: another one on the segment, which asks every 10 ms on one connection.
    :param address: the address that must not be missed, as a rule the primary one.
    """
    found = Gentleness()
    programs: list[Running] = []
    try:
        programs.append(server := _start(host, "serve", address))
        port = _line(server, f"echo server on {address}")
        programs.append(client := _start(peer, "ask", address, port))
        _line(client, f"echo from {peer.name} to {address}")
        before = _routes(host)
        monitor = Monitor(host)
        try:
            yield found
        except BaseException:
            monitor.close()
            raise
        found.events = monitor.stop()
        after = _routes(host)
        found.lost_routes = [route for route in before if route not in after]
        out, err = client.communicate(timeout=60)
        if client.returncode:
            raise CommandFailed(f"echo from {peer.name}: {err}")
        seen = json.loads(out)
        found.longest_gap_ms = seen["longest_gap_ms"]
        found.resets = seen["resets"]
        found.answers = seen["answers"]
        found.stall_ms = seen["stall_ms"]
    finally:
        for program in programs:
            program.end()
