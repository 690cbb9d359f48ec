"""Run the engine on the host this runs on, stop it between two effects, and look.

A program of its own: a request as JSON on standard input, answers as JSON, a line each. Every
run of the engine is a fork, so that one that is killed leaves this program, and one that is
stopped can be left hanging.

    {"library": FOLDER, "do": VERB, …}
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STATE = "/var/lib/ipalias"
#: Folders whose files make up "old" and "new".
FOLDERS = (
    "/etc/network",
    "/etc/netplan",
    "/etc/systemd/network",
    "/etc/NetworkManager/system-connections",
    f"{STATE}/backup",
    f"{STATE}/ledger.json",
)
#: Effects that change nothing; whatever else there is, or comes to be, is a point to stop at.
READING = ("ReadFile", "ReadLive", "ReadClock", "Pause", "Identify", "AskAll", "Check", "Probe")
#: Written by a process that came to the effect at which it is ended.
REACHED = Path("/run/ipalias-reached")
#: Bound in seconds for what may never happen.
PATIENCE = 40.0

Request = dict[str, Any]
Answer = dict[str, Any]


def say(answer: Answer) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def run_engine(request: Request, around: Callable[[Any, Callable[[], Any]], Any]) -> Answer:
    """Carry out one request of the engine.

    :param around: gets each effect and a call that performs it.
    """
    from saltext.ipalias import engine, errors, paths, system

    place = paths.Paths()
    host = system.RealHost(place)
    perform = host.perform
    # What stands around it may have another effect performed in its place.
    host.perform = lambda effect: around(  # type: ignore
        effect, lambda other=None: perform(other or effect)
    )
    data = request["pillar"]
    machine = engine.Engine(
        host=host,
        data=data,
        settings=paths.Settings(paths=place, confirm=bool(request.get("confirm"))),
        locked=lambda purpose: system.lock(place, purpose, request.get("wait", 60.0)),
        new_id=system.now_id,
    )
    try:
        if request.get("add"):
            from saltext.ipalias.addresses import parse_item

            listed = parse_item(request["add"], request.get("interface", "eth0"), "address")
            told = machine.add(listed)
        else:
            told = machine.managed()
    except errors.IpaliasError as error:
        return {"error": error.text(), "kind": type(error).__name__}
    return {"comment": told["comment"], "changes": bool(told["changes"])}


def in_child(work: Callable[[], Answer]) -> tuple[int, Answer | None, int]:
    """Run in a fork; return how it ended, what it said, and its process id.

    :return: exit status as `os.waitpid` tells it, stopped children included.
    """
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            told = work()
        except BaseException as error:  # a traceback is an answer too
            told = {"error": f"{type(error).__name__}: {error}", "kind": "crash"}
        data = json.dumps(told).encode()
        while data:
            data = data[os.write(write, data) :]
        os._exit(0)
    os.close(write)
    said = b""
    status = None
    while status is None:
        done, code = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if done:
            status = code
        else:
            time.sleep(0.005)
    if not os.WIFSTOPPED(status):
        while chunk := os.read(read, 65536):
            said += chunk
    os.close(read)
    return status, json.loads(said) if said else None, pid


class Stopper:
    """Count the effects that change something, and end the process at one of them.

    :param how: signal number; SIGKILL, or SIGSTOP for a process that hangs.
    :param cut: also take the host's own addresses and default routes away first.
    """

    def __init__(self, at: int, when: str, how: int = signal.SIGKILL, *, cut: bool = False) -> None:
        self.at, self.when, self.how, self.cut = at, when, how, cut
        self.count = 0
        self.seen: list[str] = []
        self.times: list[float] = []
        self.began = time.monotonic()

    def __call__(self, effect: Any, perform: Callable[[], Any]) -> Any:
        if type(effect).__name__ in READING:
            return perform()
        here = self.count == self.at
        self.count += 1
        self.seen.append(named(effect))
        self.times.append(time.monotonic() - self.began)
        if here and self.when == "before":
            self.end()
        answer = perform()
        if here:
            self.end()
        return answer

    def end(self) -> None:
        """End this process, as nothing it can catch."""
        REACHED.touch()
        if self.cut:
            cut_off()
        os.kill(os.getpid(), self.how)
        time.sleep(PATIENCE)


def cut_off() -> None:
    """Take the host's own addresses away, and the default routes with them."""
    import subprocess

    shown = subprocess.run(["ip", "-j", "address", "show", "dev", "eth0"], capture_output=True)
    for entry in json.loads(shown.stdout)[0]["addr_info"]:
        word = f"{entry['local']}/{entry['prefixlen']}"
        if entry["prefixlen"] in (24, 64) and entry["scope"] == "global":
            subprocess.run(["ip", "address", "del", word, "dev", "eth0"], check=True)
    for family in ("-4", "-6"):
        subprocess.run(["ip", family, "route", "flush", "default"], capture_output=True)


def named(effect: Any) -> str:
    """Return an effect in words, without what differs from run to run."""
    kind = type(effect).__name__
    if kind == "Run":
        return f"Run {' '.join(effect.command.argv)}"
    where = getattr(effect, "target", None) or getattr(effect, "path", None)
    where = where or getattr(effect, "interface", "")
    return f"{kind} {where}".strip()


def picture() -> Answer:
    """Return everything that is either old or new: files with mode and owner, kernel."""
    import subprocess

    def told(*argv: str) -> Any:
        done = subprocess.run(["ip", "-j", *argv], capture_output=True, check=True)
        return json.loads(done.stdout or b"[]")

    addresses = [
        [
            link["ifname"],
            f"{entry['local']}/{entry['prefixlen']}",
            entry["scope"],
            entry.get("label"),
            bool(entry.get("deprecated")),
            bool(entry.get("noprefixroute")),
        ]
        for link in told("address", "show")
        for entry in link["addr_info"]
        if entry["scope"] != "link"
    ]
    routes = [
        [family, row["dst"], row.get("gateway"), row.get("dev"), row.get("metric")]
        for family in ("-4", "-6")
        for row in told(family, "route", "show")
        if row.get("dev") == "eth0" and not str(row["dst"]).startswith("fe80")
    ]
    promote = Path("/proc/sys/net/ipv4/conf/eth0/promote_secondaries").read_text().strip()
    files: dict[str, Any] = {}
    for top in FOLDERS:
        _take(Path(top), files)
    return {
        "files": files,
        "addresses": sorted(addresses),
        "routes": sorted(routes, key=str),
        "promote": promote,
    }


def _take(path: Path, files: dict[str, Any]) -> None:
    if path.is_symlink() or not path.exists():
        return
    status = path.stat()
    row: list[Any] = [oct(status.st_mode), status.st_uid, status.st_gid]
    if path.is_dir():
        # Our own folder of originals may stay, empty.
        if not str(path).startswith(STATE):
            files[str(path)] = row
        for below in sorted(path.iterdir()):
            _take(below, files)
    else:
        files[str(path)] = [*row, path.read_bytes().decode("utf-8", "surrogateescape")]


def unfinished() -> list[str]:
    """Return records that are neither committed nor gone, and files half written."""
    state = Path(STATE)
    found = [p for kind in ("open", "firing", "waiting") for p in state.glob(f"{kind}-*.json")]
    for top in ("/etc", STATE):
        found += Path(top).rglob("*.ipalias-new")
    return sorted(str(path) for path in found)


def guards() -> list[int]:
    """Return the dead men that run, or are about to."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"guard" in words and STATE.encode() in words:
            found.append(int(entry.name))
    return found


def await_end(started: bool) -> str:
    """Wait until dead men have done their work; return what is wrong, or nothing.

    :param started: True when one was started, so that it must finish every record.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        left = [path for path in unfinished() if "/open-" in path or "/firing-" in path]
        if not guards() and not (started and left):
            return ""
        time.sleep(0.02)
    if running := guards():
        return f"the dead man did not finish: {running} {unfinished()}"
    # It has said in the system log what it could not put back.
    return f"the dead man ended and left {unfinished()}"


def differs(now: Answer, *wanted: Answer) -> str:
    """Return how a picture differs from each of some; nothing when it is one of them."""
    if any(now == one for one in wanted):
        return ""
    told = []
    for one in wanted:
        rows = []
        for key in one:
            if key == "files":
                names = {*one[key], *now[key]}
                rows += [f for f in sorted(names) if one[key].get(f) != now[key].get(f)]
            elif one[key] != now[key]:
                missing = [row for row in one[key] if row not in now[key]]
                extra = [row for row in now[key] if row not in one[key]]
                rows.append(f"{key}: missing {missing}, too much {extra}")
        told.append(", ".join(rows))
    return " | or: ".join(told)[:700]


class Matrix:
    """Kill a change at one point after another, and see where that leads.

    :ivar old: what is there before, as a picture; the same before every kill.
    :ivar new: what is there when nothing disturbs the change.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        # There and back once: on the first way an original is kept, and numbers are given.
        for pillar in (request["old"], request["new"], request["old"]):
            if wrong := self.whole(pillar):
                raise SystemExit(f"the change itself fails: {wrong}")
        self.old = picture()
        status, told, _ = in_child(lambda: self._listed(request["new"]))
        if status or told is None or "error" in told:
            raise SystemExit(f"the change itself fails: {told}")
        self.effects: list[str] = told["effects"]
        self.times: list[float] = told["times"]
        self.new = picture()
        if wrong := self.back():
            raise SystemExit(f"the way back is not the way it came: {wrong}")

    def _listed(self, pillar: Any) -> Answer:
        counter = Stopper(-1, "never")
        told = run_engine({**self.request, "pillar": pillar}, counter)
        return {**told, "effects": counter.seen, "times": counter.times}

    def whole(self, pillar: Any) -> str:
        """Apply a pillar undisturbed; return what is wrong."""
        request = {**self.request, "pillar": pillar}
        status, told, _ = in_child(lambda: run_engine(request, lambda _, perform: perform()))
        wrong = await_end(started=True)
        if status or told is None or "error" in told:
            return f"the next run: {told}"
        return wrong

    def back(self) -> str:
        """Go back to the old state; return what is wrong with it."""
        return self.whole(self.request["old"]) or differs(picture(), self.old)

    def stop(self, at: int, when: str, how: int, *, cut: bool = False) -> tuple[bool, int]:
        """Begin the change and stop it; return whether it came that far, and its process."""
        pillar = self.request["new"]
        if isinstance(pillar.get("guard"), dict):
            # A second, or longer where the change takes longer to come to this point.
            seconds = max(1.0, 2 * self.times[at])
            pillar = {**pillar, "guard": {**pillar["guard"], "timeout": seconds}}
        request = {**self.request, "pillar": pillar}
        stopper = Stopper(at, when, how, cut=cut)
        REACHED.unlink(missing_ok=True)
        _, _, pid = in_child(lambda: run_engine(request, stopper))
        return REACHED.exists(), pid

    def started(self, at: int, when: str) -> bool:
        """Tell whether a dead man was started by that point."""
        names = self.effects[: at + (when == "after")]
        return any(name.startswith("StartGuard") for name in names)

    def next_run(self, turn: int, at: int, when: str) -> tuple[bool, str]:
        """Kill, and go on by the next run, towards new and old in turn."""
        reached, _ = self.stop(at, when, signal.SIGKILL)
        aim = ("old", "new")[turn % 2]
        wrong = self.whole(self.request[aim])
        wrong = wrong or differs(picture(), self.new if aim == "new" else self.old)
        left = unfinished()
        wrong = wrong or (f"left behind: {left}" if left else "")
        return reached, wrong or self.back()

    def dead_man(self, turn: int, at: int, when: str) -> tuple[bool, str]:
        """Kill, or hang every third time, and let the dead man do it."""
        how = signal.SIGSTOP if turn % 3 == 2 and self.started(at, when) else signal.SIGKILL
        reached, pid = self.stop(at, when, how)
        wrong = await_end(started=self.started(at, when))
        if how == signal.SIGSTOP:
            _reap(pid)
        wrong = wrong or differs(picture(), self.old, self.new)
        left = [p for p in unfinished() if "/open-" not in p] if self.started(at, when) else []
        wrong = wrong or (f"left behind: {left}" if left else "")
        return reached, wrong or self.back()


def _reap(pid: int) -> None:
    """End a process that hangs, if the dead man has not done so."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def do_effects(request: Request) -> None:
    """Say how many effects the change has, and what old and new look like."""
    matrix = Matrix(request)
    say({"effects": matrix.effects, "old": matrix.old, "new": matrix.new})


def do_matrix(request: Request) -> None:
    """Kill at the chosen points, or at all; ``points`` is a list of [index, when]."""
    matrix = Matrix(request)
    say({"effects": matrix.effects})
    follow = matrix.next_run if request["then"] == "run" else matrix.dead_man
    # The points are drawn by the other side, which learns only now how many there are.
    points = json.loads(sys.stdin.readline())
    for turn, (at, when) in enumerate(points):
        reached, wrong = follow(turn, at, when)
        say({"at": at, "when": when, "name": matrix.effects[at], "reached": reached, "is": wrong})
        if wrong:
            return
    say({"end": True})


def do_hang(request: Request) -> None:
    """Begin a change, leave it hanging at one effect, and wait for the end of the world."""
    how = signal.SIGSTOP if request.get("how") != "kill" else signal.SIGKILL
    stopper = Stopper(request["at"], request["when"], how, cut=bool(request.get("cut")))
    status, told, pid = in_child(lambda: run_engine(request, stopper))
    say({"stopped": os.WIFSTOPPED(status), "killed": os.WIFSIGNALED(status), "said": told})
    if os.WIFSTOPPED(status):
        # As its parent: a hung process that was killed must not stay as a zombie.
        os.waitpid(pid, 0)


def do_apply(request: Request) -> None:
    """Carry out one request."""
    status, told, _ = in_child(lambda: run_engine(request, lambda _, perform: perform()))
    say(told or {"error": f"ended by {status}", "kind": "crash"})


def do_picture(request: Request) -> None:
    """Say what is there."""
    say({"picture": picture(), "unfinished": unfinished(), "guards": guards()})


def do_await(request: Request) -> None:
    """Wait for the dead men."""
    say({"wrong": await_end(started=True), "picture": picture(), "unfinished": unfinished()})


def main(arguments: Sequence[str]) -> None:
    """Read the request and carry it out."""
    request = json.loads(sys.stdin.readline())
    sys.path.insert(0, request["library"])
    if request["do"] == "faults":
        import inside_faults

        return inside_faults.do_faults(request)
    verb = {
        "effects": do_effects,
        "matrix": do_matrix,
        "hang": do_hang,
        "apply": do_apply,
        "picture": do_picture,
        "await": do_await,
    }[request["do"]]
    return verb(request)


if __name__ == "__main__":
    main(sys.argv[1:])
