"""Make this host a real server and unmake it, each time killed at another effect, and look.

A program of its own like `inside`, whose forks and kills it uses. One request as a line:

    {"library": FOLDER, "pillar": {…}, "vips": […], "interface": NAME}

then answers with how many effects adding and removing have, takes the points to kill at as a
second line, [[way, index, when], …], and tells of each. Who asks the segment meanwhile is
another host; here is told what the kernel holds.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inside import Answer, Stopper, await_end, in_child, say, unfinished

CONF = Path("/proc/sys/net/ipv4/conf")
WANTED = {"arp_ignore": 1, "arp_announce": 2}

Around = Callable[[Any, Callable[[], Any]], Any]


def run_dsr(pillar: Any, way: str, around: Around) -> Answer:
    """Add what the pillar has, or remove all of it.

    :param around: gets each effect and a call that performs it.
    """
    from saltext.ipalias import dsrsteps, dsrtuning, engine, errors, paths, system

    place = paths.Paths()
    host = system.RealHost(place)
    perform = host.perform
    host.perform = lambda effect: around(  # type: ignore
        effect, lambda other=None: perform(other or effect)
    )
    machine = engine.Engine(
        host=host,
        data=pillar,
        settings=paths.Settings(paths=place),
        locked=lambda purpose: system.lock(place, purpose, 60.0),
        new_id=system.now_id,
    )
    dsr = dsrsteps.Dsr(machine, dsrtuning.kept(machine))
    try:
        told = dsr.managed() if way == "add" else dsr.absent()
    except errors.IpaliasError as error:
        return {"error": error.text(), "kind": type(error).__name__}
    return {"comment": told["comment"], "changes": bool(told["changes"])}


class Server:
    """Add and remove, undisturbed or killed."""

    def __init__(self, request: Any) -> None:
        self.pillar, self.vips = request["pillar"], request["vips"]
        self.interface = request["interface"]

    def live(self) -> list[str]:
        """Return the VIPs that the kernel has."""
        import subprocess

        shown = subprocess.run(["ip", "-j", "address"], capture_output=True, check=True)
        found = {a["local"] for link in json.loads(shown.stdout) for a in link["addr_info"]}
        return [vip for vip in self.vips if vip in found]

    def settings(self) -> dict[str, int]:
        """Return what counts on the interface: the larger of its own and that of ``all``."""
        return {
            name: max(int((CONF / part / name).read_text()) for part in ("all", self.interface))
            for name in WANTED
        }

    def torn(self) -> str:
        """Return what is wrong at any moment: a VIP on a host that is not silent."""
        vips, settings = self.live(), self.settings()
        return f"{vips} live with {settings}" if vips and settings != WANTED else ""

    def whole(self, way: str) -> str:
        """Go one way undisturbed; return what is wrong then."""
        status, told, _ = in_child(lambda: run_dsr(self.pillar, way, lambda _, perform: perform()))
        if wrong := await_end(started=True):
            return wrong
        if status or told is None or "error" in told:
            return f"the next run ({way}): {told}"
        vips, settings = self.live(), self.settings()
        good = (self.vips, WANTED) if way == "add" else ([], self.found)
        if (vips, settings) != good:
            return f"after the next run ({way}): {vips} live with {settings}"
        left = unfinished()
        return f"left behind: {left}" if left else ""

    def effects(self, way: str) -> list[str]:
        """Return the effects of one way, which is gone undisturbed."""

        def listed() -> Answer:
            counter = Stopper(-1, "never")
            return {**run_dsr(self.pillar, way, counter), "effects": counter.seen}

        status, told, _ = in_child(listed)
        if status or told is None or "error" in told:
            raise SystemExit(f"{way} itself fails: {told}")
        if wrong := await_end(started=True) or self.torn():
            raise SystemExit(f"{way} itself fails: {wrong}")
        found: list[str] = told["effects"]
        return found

    def matrix(self) -> None:
        """Kill at the points that the other side draws, and go on from there each time."""
        self.found = self.settings()
        every = {}
        # Once there and back before: originals are kept then, and the library is frozen.
        for _ in range(2):
            every = {way: self.effects(way) for way in ("add", "remove")}
        say({"effects": every})
        for turn, (way, at, when) in enumerate(json.loads(sys.stdin.readline())):
            if way == "remove" and (wrong := self.whole("add")):
                raise SystemExit(f"adding again: {wrong}")
            stopper = Stopper(at, when, signal.SIGKILL)
            status, _, _ = in_child(lambda: run_dsr(self.pillar, way, stopper))  # noqa: B023
            wrong = self.torn()
            aim = ("add", "remove")[turn % 2]
            wrong = wrong or self.whole(aim)
            if aim == "add":
                wrong = wrong or self.whole("remove")
            name = every[way][at]
            say({"point": [way, at, when], "name": name, "killed": bool(status), "is": wrong})
            if wrong:
                return
        say({"end": True})


def main() -> None:
    """Read the request and carry it out."""
    request = json.loads(sys.stdin.readline())
    sys.path.insert(0, request["library"])
    Server(request).matrix()


if __name__ == "__main__":
    main()
