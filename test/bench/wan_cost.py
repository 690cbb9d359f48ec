"""What watching costs beside fping: CPU seconds a minute, and memory above a bare interpreter.

    wan_cost.py [--seconds N]     2 and 100 targets at 1 and 4 Hz, both on the same line

The monitor is the whole service from the frozen copy, switching included; fping only prints.
Aim: at 100 targets and 4 Hz within twice fping's, and under 20 MB above the interpreter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from rig.process import Running, children, wait_until  # noqa: E402
from rig.wan import Wan  # noqa: E402
from saltext.ipalias.wan.clocks import boot_clock  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1 << 20


class Cost(NamedTuple):
    """Hold what a program used.

    :param cpu: seconds in a minute, user and system.
    :param memory: resident megabytes.
    """

    cpu: float
    memory: float


def program_of(running: Running) -> int:
    """Return the process that nsenter has started."""
    return wait_until(lambda: next(iter(children(running.pid)), 0), "the program")


def used(pid: int) -> float:
    """Return the CPU seconds of a process (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Return the resident memory of a process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def measure(pid: int, seconds: float) -> Cost:
    """Return what a process uses in a time."""
    before, start = used(pid), boot_clock()
    wait_until(lambda: boot_clock() - start >= seconds, "time", timeout=seconds + 60, step=0.2)
    elapsed = boot_clock() - start
    return Cost((used(pid) - before) * 60 / elapsed, resident(pid))


def block(targets: Sequence[str], interval: float) -> dict[str, Any]:
    """Return the pillar's block: one line that asks every target in each round."""
    return {
        "uplinks": {"wan1": {"interface": "wan1", "gateway": "192.0.2.1", "targets": targets}},
        "probe": {"interval": interval, "timeout": min(interval, 0.5), "confirm": False},
    }


def addresses(net: Wan, count: int) -> list[str]:
    """Return addresses that the server answers for."""
    net.server.ip("route", "replace", "local", "198.18.0.0/24", "dev", "lo")
    for gateway in net.gateways.values():
        gateway.ip("route", "replace", "198.18.0.0/24", "via", "198.51.100.10")
    return [f"198.18.0.{number}" for number in range(1, count + 1)]


def bare(net: Wan) -> float:
    """Return the memory of an interpreter that has imported nothing."""
    running = net.router.popen([net.router.python, "-I", "-c", "input()"], stdin=-1)
    memory = wait_until(lambda: resident(program_of(running)), "the interpreter")
    pid = program_of(running)
    # It is all there once it sleeps in read.
    wait_until(lambda: "S (" in Path(f"/proc/{pid}/status").read_text(), "it to wait")
    memory = resident(pid)
    running.end()
    return memory


def ours(targets: Sequence[str], hertz: int, seconds: float) -> tuple[Cost, float]:
    """Return the monitor's cost and the probes a second that it has sent."""
    with Wan(routes=False) as net:
        addresses(net, len(targets))
        empty = bare(net)
        running = net.watch(block(list(targets), 1 / hertz))
        wait_until(lambda: net.ask(verb="status").get("lines"), "the monitor")
        pid = program_of(running)
        first, start = net.ask(verb="status")["lines"][0]["probed"], boot_clock()
        cost = measure(pid, seconds)
        row = net.ask(verb="status")["lines"][0]
        if row["state"] != "up":
            raise SystemExit(f"the line is {row['state']}: {row['reason']}")
        rate = (row["probed"] - first) / (boot_clock() - start)
        return cost._replace(memory=cost.memory - empty), rate


def fping(targets: Sequence[str], hertz: int, seconds: float) -> Cost:
    """Return fping's cost."""
    with Wan() as net:
        addresses(net, len(targets))
        net.router.ip("route", "add", "default", "via", "192.0.2.1")
        period = str(1000 // hertz)
        argv = ["fping", "-l", "-q", "-i", "1", "-p", period, *targets]
        running = net.router.popen(argv, stdout=-3, stderr=-3)
        return measure(program_of(running), seconds)


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="The cost of watching, beside fping.")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    head = ("targets", "Hz", "probes/s", "CPU s/min", "fping", "times", "MB above")
    print(("{:>10}" * len(head)).format(*head))
    for count in (2, 100):
        for hertz in (1, 4):
            targets = [f"198.18.0.{number}" for number in range(1, count + 1)]
            cost, rate = ours(targets, hertz, options.seconds)
            peer = fping(targets, hertz, options.seconds).cpu if shutil.which("fping") else 0.0
            times = f"{cost.cpu / peer:.1f}" if peer else "-"
            cells = (count, hertz, f"{rate:.1f}", f"{cost.cpu:.2f}", f"{peer:.2f}", times)
            print(("{:>10}" * len(head)).format(*cells, f"{cost.memory:.1f}"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
