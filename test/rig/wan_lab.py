"""A site with the monitor on its router, faults by hand, and a stream that feels them.

The monitor runs as its service does, from a frozen copy of the checkout that is measured. With
``delays`` a line in user space (`wan_delay`) lies between each gateway and the server.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rig import process
from rig.netns import CHECKOUT
from rig.process import Running, wait_until
from rig.wanhosts import GATEWAYS, PILLAR, SERVER, SOURCES, Program, Site
from saltext.ipalias.errors import EffectError
from saltext.ipalias.wan import control
from saltext.ipalias.wan.model import Transition
from saltext.ipalias.wan.record import parse_journal

PORT = 7007
STATE, RUN = "/var/lib/ipalias/wan", "/run/ipalias"
JOURNAL = f"{STATE}/journal"
LOG = "/run/monitor.log"
#: Faults with the carrier up: beyond the gateway, on the gateway's own link; and the carrier's.
BEYOND, LINK, CARRIER = "beyond", "link", "carrier"
#: Seconds a monitor is said to have watched its lines before: it judges them quickly then.
WATCHED = 3600.0

_FILES = """
for folder in /run /var/lib /usr/local/lib; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p /var/lib/ipalias/wan /run/ipalias
: >/run/resolv.conf
[ ! -e /etc/resolv.conf ] || mount --bind /run/resolv.conf /etc/resolv.conf
"""
_ON_LINK = """
table netdev cut {
    chain come { type filter hook ingress device line0 priority 0; policy drop; }
    chain go { type filter hook egress device line0 priority 0; policy drop; }
}
"""


class Heard(NamedTuple):
    """Hold what became of one flow's packets.

    :param sent: boot clock of each, in order.
    :param back: number → boot clock of its answer and the address it was seen from.
    """

    sent: list[float]
    back: dict[int, tuple[float, str]]
    error: str

    def first_back(self, since: float, source: str = "") -> float | None:
        """Return when the first packet was sent that was answered, from a source."""
        for number, at in enumerate(self.sent):
            if at >= since and number in self.back and self.back[number][1].startswith(source):
                return at
        return None

    def outage(self, since: float, source: str = "") -> float:
        """Return seconds from the first packet lost after a moment to the first delivered one."""
        lost = None
        for number, at in enumerate(self.sent):
            if at < since:
                continue
            if number not in self.back:
                lost = at if lost is None else lost
            elif lost is not None and self.back[number][1].startswith(source):
                return at - lost
        return 0.0 if lost is None else float("inf")

    def lost_between(self, begin: float, end: float) -> list[float]:
        """Return when those packets of a span were sent that were never answered."""
        return [at for n, at in enumerate(self.sent) if begin <= at < end and n not in self.back]

    def longest_gap(self) -> float:
        """Return the longest time between two answers, less what the sender itself was late.

        That answers end before the sending does counts as one.
        """
        times = sorted([*(at for at, _ in self.back.values()), self.sent[-1]])
        pauses = max((b - a for a, b in pairwise(self.sent)), default=0.0)
        gaps = max((b - a for a, b in pairwise(times)), default=0.0)
        return gaps if pauses < 0.02 else max(0.0, gaps - pauses)


def clock() -> float:
    """Return the boot clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def pillar(profile: str = "fast", **more: Any) -> dict[str, Any]:
    """Return the block of a site of tiers: wan1 carries while it can; IPv4 only."""
    block = copy.deepcopy(PILLAR)
    for uplink in block["uplinks"].values():
        del uplink["gateway6"]
        # Two addresses of one host stand for two targets.
        uplink["targets"] = [SERVER, SECOND]
    block["nat"] = {"networks": PILLAR["nat"]["networks"][:2]}
    return {**block, "policy": "tier", "probe": {"profile": profile}, **more}


#: Another address of the server.
SECOND = "203.0.113.101"


class Lab(Site):
    """The site with everything on it.

    :param source: checkout whose product runs.
    :param delays: put a line in user space between each gateway and the server.
    """

    ROUTER_FILES = _FILES

    def __init__(self, source: Path = CHECKOUT, *, delays: bool = False) -> None:
        self.source, self._delays = source, delays
        self.lines: dict[str, Running] = {}
        self.running: list[Running] = []
        self.programs: list[Program] = []
        self.watching: Running | None = None
        super().__init__()
        try:
            self.server.ip("address", "add", f"{SECOND}/32", "dev", "lo")
            self.serve(self.server)
            self.client_program = self.program(self.client, "wan_stream.py", "send")
        except BaseException:
            self.close()
            raise

    def _beyond(self, name: str, port: str) -> None:
        if not self._delays:
            super()._beyond(name, port)
            return
        words = [str(self.gateways[name].pid), "net0", str(self.server.pid), port]
        argv = [self.server.python, "-I", f"{CHECKOUT}/test/rig/wan_delay.py", *words]
        line = process.start(argv, stdin=-1, stdout=-1)
        self.lines[name] = line
        self.running.append(line)
        assert line.stdout and line.stdout.readline() == "ready\n"

    def serve(self, node: Any) -> None:
        """Answer on a host what a stream sends to it."""
        rig = f"{CHECKOUT}/test/rig/wan_stream.py"
        argv = [node.python, "-I", rig, "echo", str(PORT)]
        self.running.append(node.popen(argv, stdout=-1))
        said = self.running[-1].stdout
        assert said and said.readline() == "serving\n"

    def program(self, node: Any, *words: str) -> Program:
        """Start a program of the rig that answers requests."""
        made = Program(node, *words)
        self.programs.append(made)
        return made

    # -- the line in user space and the faults ---------------------------------------------

    def tune(self, name: str, **settings: float) -> float:
        """Set what a line is like; return the boot clock from which on it is."""
        line = self.lines[name]
        assert line.stdin and line.stdout
        line.stdin.write(json.dumps(settings) + "\n")
        line.stdin.flush()
        return float(line.stdout.readline())

    def break_line(self, name: str, fault: str) -> float:
        """Cause a fault; return the boot clock before it."""
        before = clock()
        if fault == CARRIER:
            self.carrier(name, up=False)
        elif fault == LINK:
            self.gateways[name].run(["nft", "-f", "-"], _ON_LINK)
        elif name in self.lines:
            self.tune(name, cut=True)
        else:
            self.cut(name)
        return before

    def repair(self, name: str, fault: str) -> float:
        """Undo it; return the boot clock after it."""
        if fault == CARRIER:
            self.carrier(name, up=True)
        elif fault == LINK:
            self.gateways[name].run(["nft", "delete", "table", "netdev", "cut"])
        elif name in self.lines:
            return self.tune(name, cut=False)
        else:
            self.mend(name)
        return clock()

    # -- the monitor ----------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Return the router's files as this process sees them."""
        return Path(f"/proc/{self.router.pid}/root")

    def watch(
        self, block: Mapping[str, Any], *, fresh: bool = False, ready: bool = True
    ) -> Running:
        """Start the monitor.

        :param fresh: True for one that has never seen its lines and has to learn them.
        :param ready: wait until all lines are up.
        """
        self.router.write(f"{STATE}/config.json", json.dumps({"schema": 1, "wan": block}))
        if not fresh:
            self._remember(list(block["uplinks"]))
        return self.again(ready=ready)

    def again(self, *, ready: bool = True) -> Running:
        """Start the monitor with the configuration that is there."""
        script = (
            f"import sys; sys.path.insert(0, '{self.source}/_utils')\n"
            "from saltext.ipalias import freeze, paths\n"
            "print(freeze.freeze(paths.Paths()))"
        )
        folder = self.router.run([self.router.python, "-c", script]).out.strip()
        run = [self.router.python, "-I", f"{folder}/run.py", "wan", "/var/lib/ipalias", "-d"]
        # What it says in the foreground is what it logs, and more.
        script = f'exec "$@" >>{LOG} 2>&1'
        self.watching = self.router.popen(["sh", "-c", script, "sh", *run])
        self.running.append(self.watching)
        if ready:
            wait_until(lambda: set(self.states().values()) == {"up"}, "all lines up")
        return self.watching

    def _remember(self, names: Sequence[str]) -> None:
        """Let the next monitor know its lines as one that has watched them for an hour."""
        seen = {"held": 0.0, "gaps": {"seen": WATCHED, "calm": 500.0, "lost": 0.0, "gaps": []}}
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        data = {"boot": boot, "now": clock(), "lines": dict.fromkeys(names, seen)}
        self.router.write(f"{RUN}/wan-remembered.json", json.dumps(data))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the monitor; {} while it does not listen."""
        with contextlib.suppress(EffectError):
            return dict(control.ask(str(self.root / f"{RUN[1:]}/wan.sock"), request))
        return {}

    def status(self) -> dict[str, Any]:
        """Return all that the monitor knows."""
        return wait_until(lambda: self.ask(verb="status"), "the monitor's answer")

    def states(self) -> dict[str, str]:
        """Return the verdicts; {} while there is no monitor."""
        return {row["line"]: row["state"] for row in self.ask(verb="status").get("lines", [])}

    def is_state(self, line: str, state: str) -> bool:
        """Tell whether a line has a verdict."""
        return self.states().get(line) == state

    def journal(self) -> list[Transition]:
        """Return what is on record."""
        path = self.root / JOURNAL[1:]
        return list(parse_journal(path.read_text() if path.exists() else "", JOURNAL).entries)

    def transition(self, line: str, state: str, since: float) -> Transition:
        """Return the first transition of a line after a moment, once it is on record."""

        def found() -> Transition | None:
            entries = [e for e in self.journal() if e.line.text() == line and e.state == state]
            return next((e for e in entries if e.boot_at >= since), None)

        return wait_until(found, f"{line} {state} on record")

    def log(self) -> list[str]:
        """Return what the monitor has said so far."""
        path = self.root / LOG[1:]
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def told_age(self) -> float:
        """Return how old the monitor's last word is, as the function of the minion tells it."""
        script = (
            f"import json, sys; sys.path.insert(0, '{self.source}/_utils')\n"
            "from saltext.ipalias.wan import places, reports, status\n"
            "where = places.Places()\n"
            "print(json.dumps(status.status(reports.config(where), where)))"
        )
        told = json.loads(self.router.run([self.router.python, "-I", "-c", script]).out)
        return float(told["monitor"]["heartbeat age"])

    # -- the stream -----------------------------------------------------------------------

    def start_stream(self, **request: Any) -> float:
        """Start flows from the client; see `wan_stream`."""
        asked = {"do": "start", "address": SERVER, "port": PORT, **request}
        return float(self.client_program.ask(**asked))

    def stream_runs(self) -> None:
        """Wait until each flow has had an answer: which line it is on is decided."""
        wait_until(lambda: not self.client_program.ask(do="look"), "an answer to each flow")

    def stop_stream(self) -> dict[str, Heard]:
        """End the flows and return what became of each."""
        told = self.client_program.ask(do="stop")
        return {
            name: Heard(
                flow["sent"], {n: (at, source) for n, at, source in flow["heard"]}, flow["error"]
            )
            for name, flow in told.items()
        }

    def sleep_until(self, moment: float) -> None:
        """Wait for the boot clock: the measured time itself, not something to come."""
        while (left := moment - clock()) > 0:
            time.sleep(left)

    def close(self) -> None:
        """End all of it."""
        for program in self.programs:
            program.close()
        for each in reversed(self.running):
            each.end()
        super().close()


__all__ = ["BEYOND", "CARRIER", "GATEWAYS", "LINK", "SOURCES", "Heard", "Lab", "clock", "pillar"]
