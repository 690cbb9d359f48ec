"""Two ways out for a minion of the fleet, the monitor on it, and what became of a transition."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from salt_fleet import MASTER, PATIENCE, Fleet

from rig.machine import Machine
from rig.netns import NetHost, Segment
from rig.process import Running, wait_until
from saltext.ipalias.wan.clocks import boot_clock
from saltext.ipalias.wan.model import Transition
from saltext.ipalias.wan.record import parse_acted, parse_journal, parse_position, unacknowledged

TARGET = "203.0.113.7"
#: Per line: gateway, and the minion's own address.
LINES = {"wan1": ("198.51.100.1", "198.51.100.2"), "wan2": ("198.51.100.129", "198.51.100.130")}
STATE = "/var/lib/ipalias/wan"
STATUS = "/run/ipalias/wan-status.json"
TOLD = "/srv/told"
#: Another minion told of a line, once for each transition; and the master's own record, written
#: before any answer to an event goes out. It can be held there.
TELL = """#!py
import os
import time
def run():
    ident = data.get("transition")
    with open("{received}", "a", encoding="ascii") as record:
        record.write("%s\\n" % ident)
    while os.path.exists("{hold}"):
        time.sleep(0.01)
    told = {{"transition": ident, "function": "file.append"}}
    told |= {{"path": "{told}", "args": "told %s" % ident}}
    return {{"tell": {{"local.ipalias_wan.once": [{{"tgt": "web2"}}, {{"args": told}}]}}}}
"""
CUT = f"""
table inet cut {{
    chain in {{
        type filter hook input priority 0
        ip daddr {TARGET} drop
    }}
}}
"""
START = """
import sys
sys.path.insert(0, sys.argv[1] + "/_utils")
from saltext.ipalias import freeze, paths
print(freeze.freeze(paths.Paths()))
"""


class TwoWays:
    """web1 with two lines, each a segment with a gateway that is its internet as well.

    :param react_timeout: seconds; without a word, a reaction has its time be the machine busy.
    """

    def __init__(self, fleet: Fleet, stack: ExitStack, react_timeout: float = 60) -> None:
        self.fleet, self._react_timeout = fleet, react_timeout
        self.host, self.other = fleet.hosts["web1"], fleet.hosts["web2"]
        self._received = fleet.root / "received"
        self._received.write_text("")
        #: While it is there, the master's reactor stands between receipt and answer.
        self.hold = fleet.root / "hold"
        tell = TELL.format(received=self._received, hold=self.hold, told=TOLD)
        (fleet.root / "tell.sls").write_text(tell)
        self.other.write(TOLD, "")
        self._gateways: dict[str, Machine] = {}
        for number, (name, (address, own)) in enumerate(LINES.items(), 1):
            segment = stack.enter_context(Segment(gateway=False))
            gateway = stack.enter_context(NetHost(segment, 2, configure=False))
            gateway.ip_batch(
                "link set eth0 up",
                f"address add {address}/25 dev eth0",
                f"address add {TARGET}/32 dev lo",
            )
            self._gateways[name] = gateway
            segment.plug(self.host.pid, 60 + number, name)
            self.host.ip_batch(f"link set {name} up", f"address add {own}/25 dev {name}")
        self.conf = Path(fleet.minions["web1"].config["conf_file"])
        self._give_way()
        self.host.write(f"{STATE}/config.json", json.dumps({"schema": 1, "wan": self.block()}))
        self._monitor = self._start()
        stack.callback(lambda: self._monitor.end())

    def _give_way(self) -> None:
        """Move the engine of salt-factories out of the minion's main file, which hides ours."""
        main = yaml.safe_load(self.conf.read_text())
        beside = self.conf.parent / "minion.d"
        beside.mkdir(exist_ok=True)
        (beside / "factories.conf").write_text(json.dumps({"engines": main.pop("engines")}))
        self.conf.write_text(yaml.safe_dump(main))

    def block(self) -> dict[str, Any]:
        """Return the pillar's ``wan``."""
        uplinks = {
            name: {"interface": name, "gateway": gateway, "targets": [TARGET]}
            for name, (gateway, _) in LINES.items()
        }
        probe = {"profile": "fast", "hold_down": 0.2}
        return {"uplinks": uplinks, "probe": probe, "react": "event"} | {
            "react_timeout": self._react_timeout
        }

    def _start(self) -> Running:
        """Start the monitor from a frozen copy, as its service does."""
        host = self.host
        folder = host.run([host.python, "-c", START, host.checkout]).out.strip()
        return host.popen([host.python, "-I", f"{folder}/run.py", "wan", "/var/lib/ipalias"])

    def kill_monitor(self) -> None:
        """Kill the monitor at once, and start it again as its service does."""
        self._monitor.end()
        self._monitor = self._start()

    def know_lines(self) -> None:
        """Have a monitor that knows its lines, as one does that has watched them for an hour.

        Else a line counts as one with bursts of loss for its first minute, and a fault is found
        later.
        """
        self._monitor.end()
        seen = {"held": 0.0, "gaps": {"seen": 3600.0, "calm": 500.0, "lost": 0.0, "gaps": []}}
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        data = {"boot": boot, "now": boot_clock(), "lines": dict.fromkeys(LINES, seen)}
        self.host.remove(STATUS)
        self.host.write("/run/ipalias/wan-remembered.json", json.dumps(data))
        self._monitor = self._start()

        def knows() -> bool:
            rows = json.loads(self._text(STATUS) or "{}").get("lines", [])
            return bool(rows) and all(
                row["state"] == "up" and not row["learning"] and row["targets"][0]["rtt"]
                for row in rows
            )

        wait_until(knows, "the monitor to know its lines")

    # --- faults -----------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """Lose what lies beyond a line's gateway; the carrier stays."""
        self._gateways[name].run(["nft", "-f", "-"], CUT)

    def mend(self, name: str) -> None:
        """Undo `cut`."""
        self._gateways[name].run(["nft", "delete", "table", "inet", "cut"])

    # --- what became of it ------------------------------------------------------------------

    def nexthops(self) -> list[dict[str, Any]]:
        """Return the kernel's nexthop objects as ``ip -j`` tells them."""
        text = self.host.ip("-j", "nexthop", check=False).out
        return json.loads(text) if text.strip() else []

    def carrying(self) -> set[str]:
        """Return the interfaces of the default route of ours in the kernel."""
        objects = self.nexthops()
        members = {m["id"] for each in objects for m in each.get("group", ())}
        return {each["dev"] for each in objects if each["id"] in members}

    def _text(self, path: str) -> str:
        """Return a file that may come at any moment; empty: not yet."""
        return self.host.run(["cat", path], check=False).out

    def journal(self) -> tuple[Transition, ...]:
        """Return the monitor's journal."""
        return parse_journal(self._text(f"{STATE}/journal"), "journal").entries

    def last(self, name: str, state: str, after: int) -> Transition:
        """Wait for a transition beyond so many entries, and for who has acted on it."""

        def found() -> Transition | None:
            for entry in self.journal()[after:]:
                if (entry.line.uplink, entry.state) == (name, state) and entry.acted:
                    return entry
            return None

        wait_until(lambda: found() is not None, f"{name} {state} to be acted on", timeout=PATIENCE)
        entry = found()
        assert entry is not None
        return entry

    def owed(self) -> set[str]:
        """Return the ids that the master has not acknowledged."""
        position = parse_position(self._text(f"{STATE}/acknowledged"))
        return {entry.ident for entry in unacknowledged(self.journal(), position)}

    def acted(self) -> list[str]:
        """Return the ids that web1 has acted on as a reaction."""
        return list(parse_acted(self._text(f"{STATE}/acted"), "acted").idents)

    def told(self) -> int:
        """Return how often web2 has acted on being told."""
        return len(self.told_of())

    def told_of(self) -> list[str]:
        """Return the ids that web2 has acted on, an id for each time."""
        return [line.split()[1] for line in (self.other.read(TOLD) or "").splitlines()]

    def received(self) -> list[str]:
        """Return the ids that the master's reactor has received, an id for each time."""
        return self._received.read_text().split()

    def heard(self, name: str, state: str, since: float, ident: str) -> dict[str, Any]:
        """Wait until the master's bus has had a transition, and return the event's data."""
        tag = f"salt/beacon/web1/ipalias_wan/{name}/{state}"

        def events() -> list[dict[str, Any]]:
            seen = self.fleet.events.get_events([(MASTER, tag)], after_time=since)
            return [event.data for event in seen if event.data.get("transition") == ident]

        wait_until(lambda: bool(events()), f"{tag} of {ident}", timeout=PATIENCE)
        return events()[0]
