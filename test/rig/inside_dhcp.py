"""Change this member of a DHCP pair, each time killed at another effect, and look.

A program of its own like `inside`, whose forks and kills it uses. One request as a line:

    {"library": FOLDER, "minion": ID, "old": {…}, "new": {…}, "implementation": …, "held": {…},
     "do": "change" or "backup"}

with two pillars and the leases there are; a backup is made of the old one alone. It then answers
with the effects of the change, takes the points to kill at as a second line,
[[index, when, then], …], and tells of each. ``then`` says what leads on:
``run``, the next run, or ``guard``, the dead man alone.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dhcp_leasefiles import parse_isc, parse_kea
from inside import Answer, Stopper, await_end, in_child, say, unfinished

FILES = {
    "isc": ("/etc/dhcp/dhcpd.conf", "/etc/dhcp/ipalias.conf", "/etc/default/isc-dhcp-server"),
    "kea": ("/etc/kea/kea-dhcp4.conf",),
}
LEASES = {"isc": "/var/lib/dhcp/dhcpd.leases", "kea": "/var/lib/kea/kea-leases4.csv"}
PROGRAM = {"isc": "dhcpd", "kea": "kea-dhcp4"}
#: Seconds for a server that was started to be there.
PATIENCE = 30.0
#: Of the dead man: longer than the change itself takes on a busy machine.
DEAD_MAN = 12

#: What leads on, and the guard of a change that is killed.
GUARDS: dict[str, Any] = {"run": False, "guard": {"timeout": DEAD_MAN, "checks": []}}

BACKUPS = "/var/lib/ipalias/dhcp/backup"
#: Backups that are kept.
KEEP = 2

Around = Callable[[Any, Callable[[], Any]], Any]


class Changes:
    """Change from old to new, undisturbed or killed."""

    def __init__(self, request: Any) -> None:
        self.minion, self.kind, self.held = (
            request["minion"],
            request["implementation"],
            request["held"],
        )
        self.pillars = {"old": request["old"], "new": request["new"]}
        self.texts: dict[str, Any] = {}

    def request(self, made: Any) -> Any:
        """Return what the product answers to the request that is killed."""
        return made.managed()

    def run(self, way: str, guard: Any, around: Around) -> Answer:
        """Bring the host to one of the two.

        :param around: gets each effect and a call that performs it.
        """
        from saltext.ipalias import errors, paths, system
        from saltext.ipalias.dhcp import setup

        place = paths.Paths()
        host = system.RealHost(place)
        perform = host.perform
        host.perform = lambda effect: around(  # type: ignore
            effect, lambda other=None: perform(other or effect)
        )
        made = setup.make(
            host=host,
            data={**self.pillars[way]["ipalias"], "guard": guard},
            root="ipalias",
            minion=self.minion,
            settings=paths.Settings(paths=place),
            locked=lambda purpose: system.lock(place, purpose, 60.0),
            new_id=system.now_id,
        )
        try:
            told = self.request(made)
        except errors.IpaliasError as error:
            return {"error": error.text(), "kind": type(error).__name__}
        return {"comment": told["comment"], "changes": bool(told["changes"])}

    def files(self) -> dict[str, str]:
        """Return the configuration as it stands."""
        return {path: Path(path).read_text() for path in FILES[self.kind]}

    def serving(self) -> bool:
        """Tell whether the server's program runs."""
        names = Path("/proc").glob("[0-9]*/comm")
        found = []
        for name in names:
            try:
                found.append(name.read_text().strip())
            except OSError:
                continue
        return PROGRAM[self.kind] in found

    def lost(self) -> list[str]:
        """Return the addresses whose leases are not as they were."""
        path = LEASES[self.kind]
        if self.kind == "isc":
            now = parse_isc(Path(path).read_text())
        else:
            olds = [Path(path + end) for end in (".2", ".1", "")]
            now = parse_kea([old.read_text() for old in olds if old.exists()], time.time())
        return sorted(key for key, mac in self.held.items() if now.get(key) != mac)

    def wrong(self) -> str:
        """Return what is wrong with what stands now: neither old nor new, down, leases lost."""
        files = self.files()
        if files not in self.texts.values():
            torn = [p for p in files if all(files[p] != each[p] for each in self.texts.values())]
            return f"neither old nor new: {torn or 'some old, some new'}"
        end = time.monotonic() + PATIENCE
        while not self.serving():
            if time.monotonic() > end:
                return "no server runs"
            time.sleep(0.05)
        lost = self.lost()
        return f"{len(lost)} leases lost: {lost[:3]}" if lost else ""

    def whole(self, way: str) -> str:
        """Go one way undisturbed; return what is wrong then."""
        status, told, _ = in_child(lambda: self.run(way, False, lambda _, perform: perform()))
        if status or told is None or "error" in told:
            return f"the next run ({way}): {told}"
        self.texts.setdefault(way, self.files())
        wrong = self.wrong()
        if not wrong and self.files() != self.texts[way]:
            wrong = "it is the other one"
        # A dead man leaves what was being written of the note itself; the next run does not.
        left = unfinished()
        wrong = wrong or (f"left behind: {left}" if left else "")
        return f"after the next run ({way}): {wrong}" if wrong else ""

    def effects(self, then: str) -> list[str]:
        """Return the effects of the change, which is made undisturbed."""
        if wrong := self.whole("old"):
            raise SystemExit(wrong)

        def listed() -> Answer:
            counter = Stopper(-1, "never")
            return {**self.run("new", GUARDS[then], counter), "effects": counter.seen}

        status, told, _ = in_child(listed)
        if status or told is None or "error" in told:
            raise SystemExit(f"the change itself fails: {told}")
        if wrong := await_end(started=True):
            raise SystemExit(f"the change itself: {wrong}")
        self.texts["new"] = self.files()
        found: list[str] = told["effects"]
        return found

    def matrix(self) -> None:
        """Kill at the points that the other side draws, and go on from there each time."""
        every = {then: self.effects(then) for then in GUARDS}
        say({"effects": every})
        for turn, (at, when, then) in enumerate(json.loads(sys.stdin.readline())):
            if wrong := self.whole("old"):
                raise SystemExit(f"back to the old one: {wrong}")
            stopper = Stopper(at, when, signal.SIGKILL)
            status, _, _ = in_child(lambda: self.run("new", GUARDS[then], stopper))  # noqa: B023
            if then == "guard":
                # Before it was started there is none, and nothing has been changed.
                there = _guarded(every[then], at, when)
                wrong = await_end(started=there) or self.wrong()
            else:
                wrong = self.whole(("new", "old")[turn % 2])
            name = every[then][at]
            say({"point": [at, when, then], "name": name, "killed": bool(status), "is": wrong})
            if wrong:
                return
        say({"end": True})


class Backups(Changes):
    """Make a backup, undisturbed or killed; nothing but backups may change."""

    def request(self, made: Any) -> Any:
        """Make one, and keep two."""
        from saltext.ipalias.dhcp.backup import backup

        return backup(made, KEEP)

    def kept(self) -> list[Path]:
        """Return the folders that count as backups: those with an index."""
        return [path.parent for path in Path(BACKUPS).glob("*/index.json")]

    def wrong(self) -> str:
        """Return what is wrong: also a backup that counts and is not whole."""
        if not self.kept():
            return "no backup is left"
        for folder in self.kept():
            rows = json.loads((folder / "index.json").read_text())["backup"]["files"]
            saved = [row for row in rows if row["saved"]]
            if not any(row["part"] == "leases" for row in saved):
                return f"{folder.name} has no leases"
            for row in saved:
                path = folder / row["saved"]
                text = path.read_bytes() if path.exists() else b""
                if hashlib.sha256(text).hexdigest() != row["digest"]:
                    return f"{folder.name} counts, and {row['path']} in it is torn or gone"
                now = self.read_saved(row["path"], text.decode())
                if now is not None and any(now.get(key) != mac for key, mac in self.held.items()):
                    return f"{folder.name} has not all leases"
        return super().wrong()

    def read_saved(self, path: str, text: str) -> dict[str, str] | None:
        """Return the leases of a saved file, None where it is another one."""
        if path != LEASES[self.kind]:
            return None
        return parse_isc(text) if self.kind == "isc" else parse_kea([text], time.time())

    def whole(self, way: str) -> str:
        """Make backups undisturbed until there are as many as are kept."""
        wrong = super().whole("old")
        if not wrong and len(self.kept()) > KEEP:
            wrong = f"{len(self.kept())} backups, {KEEP} are to be kept"
        halves = [one for one in Path(BACKUPS).iterdir() if one not in self.kept()]
        return wrong or (f"halves of backups are left: {halves}" if halves else "")

    def matrix(self) -> None:
        """Fill the folder first, so that each backup also takes one away."""
        for _ in range(KEEP):
            if wrong := self.whole("old"):
                raise SystemExit(wrong)
        self.texts["new"] = self.texts["old"]
        super().matrix()


def _guarded(effects: list[str], at: int, when: str) -> bool:
    """Tell whether a dead man was started by a point."""
    return any(name.startswith("StartGuard") for name in effects[: at + (when == "after")])


def main() -> None:
    """Read the request and carry it out."""
    request = json.loads(sys.stdin.readline())
    sys.path.insert(0, request["library"])
    (Backups if request["do"] == "backup" else Changes)(request).matrix()


if __name__ == "__main__":
    main()
