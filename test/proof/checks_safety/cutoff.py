"""A change that cuts the host off reverts by itself; a good one never does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

from proof.checks_safety.driver import NEW, OLD, applied, ask, block, hear, talking
from proof.extent import full
from proof.registry import SAFETY, cases, check, demand
from proof.stage import Stage
from rig import master
from rig.gentle import watch
from rig.host import BootedHost
from rig.netns import NetHost
from rig.process import wait_until

#: Seconds that putting back may take beyond the dead man's time.
GRACE = 5.0
#: The guard of a change that is cut off. Votes are repeated for half of it.
TIMEOUT = 12.0


def mended(begin: float, condition: Callable[[], object], what: str, timeout: float) -> float:
    """Wait for a condition and return the seconds since a moment; demand that it kept time."""
    wait_until(condition, what, timeout=timeout + GRACE + 30, step=0.05)
    seconds = time.monotonic() - begin
    demand(seconds <= timeout + GRACE, f"{what}: {seconds:.1f} s, {timeout:g} + 5 s at most")
    return seconds


@check(
    401,
    "cut off from the master: reverts with the minion killed, stopped, the master gone",
    over=cases(("networkd", "ifupdown", "networkmanager")),
    book=SAFETY,
)
def way_to_master(stage: Stage) -> str:
    """A real master, behind the gateway, applies an alias whose prefix is a slip of the pen: the
    master's own network is now taken to be on the link, where nobody answers.

    While the votes fail, the minion is killed, then its service stopped, then the master
    killed. Each time the alias goes by itself, and a TCP session from the master's host, the
    very one that was cut, lives on.
    """
    host, peer = stage.host, behind_router(stage)
    cut = "198.51.100.210/24"
    pillar = block([cut], guard={"timeout": TIMEOUT, "checks": ["master"]})
    server = master.start_master(peer, {"ipalias": pillar})
    try:
        master.install_minion(host, peer.primary)
        before = ask(host, "picture")["picture"]
        told = []
        for name, strike in (
            ("killed", lambda: host.run(["systemctl", "kill", "-s", "KILL", master.UNIT])),
            ("stopped", lambda: host.run(["systemctl", "stop", master.UNIT])),
            ("master gone", lambda: master_gone(peer)),
        ):
            host.run(["systemctl", "reset-failed", master.UNIT], check=False)
            host.run(["systemctl", "start", master.UNIT])
            master.await_minion(peer, host)
            seconds = cut_once(host, peer, cut, strike, name)
            now = ask(host, "picture")["picture"]
            differs = [key for key in before if before[key] != now[key]]
            demand(not differs, f"{name}: not as before: {differs}")
            told.append(f"{name} {seconds:.1f} s")
        return f"back after: {', '.join(told)} (guard {TIMEOUT:g} s)"
    finally:
        server.end()


def master_gone(peer: NetHost) -> None:
    """Kill every Salt process of the master's host."""
    peer.run(["sh", "-c", "kill -9 $(pgrep -f salt_master)"], check=False)


def behind_router(stage: Stage) -> NetHost:
    """Return a host in a network of its own, which the segment's gateway routes to."""
    segment = stage.segment
    peer = stage.peer
    peer.ip("address", "flush", "dev", "eth0")
    segment.ip("link", "set", "dev", peer.port, "nomaster")
    segment.ip("address", "add", "198.51.100.193/26", "dev", peer.port)
    segment.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    peer.primary = "198.51.100.200"
    peer.ip("address", "add", f"{peer.primary}/26", "dev", "eth0")
    peer.ip("route", "replace", "default", "via", "198.51.100.193")
    return peer


def cut_once(
    host: BootedHost, peer: NetHost, cut: str, strike: Callable[[], object], name: str
) -> float:
    """Have the master cut itself off, strike in the middle, wait for the way back."""
    with watch(host, peer, host.primary) as seen:
        job = master.start_job(peer, "ipalias.apply")
        wait_until(lambda: host.has(cut), f"{name}: the alias to come", timeout=60)
        begin = time.monotonic()
        strike()
        seconds = mended(begin, lambda: not host.has(cut), f"{name}: the revert", TIMEOUT)
        done = ask(host, "await")
        demand(not done["wrong"] and not done["unfinished"], f"{name}: {done}")
        wait_until(lambda: peer.ping(host.primary), f"{name}: the way back")
        job.end()
    demand(not seen.resets, f"{name}: {seen.resets} connections lost: the session did not live on")
    demand(seen.longest_gap_ms > 100, f"{name}: the session was never cut: nothing was shown")
    return seconds


@check(402, "primary and default route lost, process killed or hung: the dead man", book=SAFETY)
def everything_lost(stage: Stage) -> str:
    """In the middle the host loses its primary addresses and default routes, and the process
    is killed, or hangs until the time is up: everything is back, the TCP session lives on.
    """
    host = stage.host
    timeout = 8.0
    guard = {"timeout": timeout, "checks": []}
    old, new = block(OLD, guard=guard), block(NEW, guard=guard)
    effects = ask(host, "effects", old=old, new=new)["effects"]
    before = ask(host, "picture")["picture"]
    at = max(index for index, name in enumerate(effects) if name.startswith("Run "))
    figures = []
    for how in ("kill", "hang"):
        began = time.monotonic()
        with (
            watch(host, stage.peer, host.primary) as seen,
            talking(host, "hang", pillar=new, at=at, when="after", how=how, cut=True) as program,
        ):
            told = hear(program)
            came = told["stopped"] if how == "hang" else told["killed"]
            demand(came, f"{how}: the change ended before that point: {told}")
            done = ask(host, "await")
            seconds = time.monotonic() - began
            wait_until(lambda: stage.peer.ping(host.primary), "an answer from the primary")
        demand(not done["wrong"], f"{how}: {done['wrong']}")
        demand(not done["unfinished"], f"{how}: left behind: {done['unfinished']}")
        rows = {key: done["picture"][key] for key in before if done["picture"][key] != before[key]}
        demand(not rows, f"{how}: not as before: {rows}")
        # Counted from before the change was even begun.
        demand(seconds <= timeout + GRACE + 5, f"{how}: {seconds:.1f} s")
        demand(not seen.resets, f"{how}: {seen.resets} connections lost")
        figures.append(f"{how} {seconds:.1f} s")
    return f"back after: {', '.join(figures)} (guard {timeout:g} s)"


LISTENER = "198.51.100.200"
_LISTEN = (
    "import socket,time\ns=socket.create_server((%r,0))\n"
    "print(s.getsockname()[1],flush=True)\ntime.sleep(3600)"
)


@check(
    403,
    "a change after which a check fails is undone, and the check named",
    over=cases(("networkd", "netplan_nm", "ifupdown")),
    book=SAFETY,
)
def voted_down(stage: Stage) -> str:
    """``tcp://`` to a listener that the alias itself hides; a program that says no afterwards.

    A check that fails before already has no vote, and is reported.
    """
    host, segment = stage.host, stage.segment
    segment.ip("address", "add", f"{LISTENER}/32", "dev", "lo")
    server = segment.popen(
        [segment.python, "-c", _LISTEN % LISTENER], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert server.stdout
        port = server.stdout.readline().strip()
        tcp, dead = f"tcp://{LISTENER}:{port}", f"tcp://{LISTENER}:1"
        host.write("/usr/local/bin/check", '#!/bin/sh\n! ip a | grep -q "$1"\n', 0o755)
        command = ["/usr/local/bin/check", "203.0.113.11/32"]
        before = ask(host, "picture")["picture"]
        for address, checks, named in (
            (LISTENER, [tcp, dead], tcp),
            ("203.0.113.11", ["gateway", command], " ".join(command)),
        ):
            pillar = block([address], guard={"timeout": 6, "checks": checks})
            told = ask(host, "apply", pillar=pillar)
            error = told.get("error", "")
            demand(named in error and "put back" in error, f"{named}: {told}")
            demand(ask(host, "picture")["picture"] == before, f"{named}: not as before")
        told = applied(host, block(["203.0.113.10"], guard={"timeout": 6, "checks": [tcp, dead]}))
        demand(f"{dead} failed before" in told["comment"], f"not reported: {told['comment']}")
        return ""
    finally:
        server.end()


@check(404, "a good change is never reverted", book=SAFETY)
def never_reverted(stage: Stage) -> str:
    """Change after change, each guarded by the default checks; long after each dead man's time
    everything is as applied.
    """
    host = stage.host
    turns = 20 if full() else 4
    wanted = {}
    for turn in range(turns):
        aim = (OLD, NEW)[turn % 2]
        applied(host, block(aim, guard={"timeout": 60}))
        done = ask(host, "await")
        demand(not done["wrong"] and not done["unfinished"], f"change {turn}: {done['wrong']}")
        live = sorted(row[1] for row in done["picture"]["addresses"])
        demand(wanted.setdefault(aim, live) == live, f"change {turn}: live {live}")
    time_up = [path for path in host.tree("/var/lib/ipalias") if "/committed-" in path]
    demand(len(time_up) == 1, f"committed: {time_up}")
    words = host.journal("-t", "ipalias")
    demand("put back" not in words, f"the system log says: {words[-300:]}")
    stage.demand_live(*(a if "/" in a else f"{a}/{128 if ':' in a else 32}" for a in aim))
    return f"{turns} changes"


CLOCK = """
import sys
sys.path.insert(0, sys.argv[1])
from saltext.ipalias import processes
print(processes.boot_clock())
"""

#: The dead man of the frozen copy under a wall clock that jumps a day back and forth.
JUMPING = """
import itertools, runpy, sys, time
jumps = itertools.cycle((86400.0, -86400.0))
real = time.time
time.time = lambda: real() + next(jumps)
time.time_ns = lambda: int(time.time() * 10**9)
gmtime = time.gmtime
time.gmtime = lambda *a: gmtime(time.time())
time.localtime = time.gmtime
run, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(run, run_name="__main__")
"""


@check(
    405,
    "clock jumps move no deadline",
    over=cases(("networkd",)),
    book=SAFETY,
)
def clock_jumps(stage: Stage) -> str:
    """The dead man's clock is CLOCK_BOOTTIME: in a time namespace whose boot and monotonic clocks
    are set off it follows the first alone. A dead man whose wall clock jumps a day back and
    forth at every look fires after its time, and not before.
    """
    host = stage.host
    from rig.salt import interpreter

    python, environment, _ = interpreter()
    library = str(stage.source / "_utils")
    argv = [*python, "-c", CLOCK, library]
    offset = ["unshare", "--time", "--boottime", "5000", "--monotonic", "900000"]
    plain = float(stage.peer.run(argv, env=environment).out)
    moved = float(stage.peer.run([*offset, *argv], env=environment).out)
    demand(4990 < moved - plain < 5600, f"set off by 5000 s, the clock shows {moved - plain:.0f}")

    timeout = 8.0
    calm = {"timeout": 60, "checks": []}
    old, new = block(OLD, guard=calm), block(NEW, guard=calm)
    effects = ask(host, "effects", old=old, new=new)["effects"]
    before = ask(host, "picture")["picture"]
    at = next(i for i, name in enumerate(effects) if name.startswith("AwaitArmed"))
    at = max(at, max(i for i, name in enumerate(effects) if name.startswith("Run ")))
    began = time.monotonic()
    new["guard"] = {"timeout": timeout, "checks": []}
    with talking(host, "hang", pillar=new, at=at, when="after") as program:
        demand(hear(program)["stopped"], "the change was not stopped")
        # The product's own dead man gives way to one that sees a jumping clock.
        records = [p for p in host.tree("/var/lib/ipalias") if "/open-" in p]
        demand(len(records) == 1, f"records: {records}")
        ident = records[0].rpartition("/open-")[2].removesuffix(".json")
        for pid in ask(host, "picture")["guards"]:
            host.run(["kill", "-9", str(pid)])
        run = "/usr/local/lib/ipalias/current/run.py"
        words = [run, "guard", "/var/lib/ipalias", ident]
        jumping = host.popen([*python, "-I", "-c", JUMPING, *words], stdin=subprocess.PIPE)
        try:
            jumping.wait(timeout + GRACE + 60)
            seconds = time.monotonic() - began
        finally:
            jumping.end()
    demand(seconds >= timeout, f"it fired after {seconds:.1f} s of {timeout:g}")
    now = ask(host, "picture")
    demand(now["picture"] == before and not now["unfinished"], "not as before")
    return f"fired {seconds:.1f} s after the change was begun, of {timeout:g}"


RACE = r"""
import contextlib, json, mmap, os, random, sys, time
sys.path.insert(0, sys.argv[1])
from saltext.ipalias import disk, errors, journal, paths, system
from saltext.ipalias.effects import Rename
place = paths.Paths(state=sys.argv[2])
rounds = int(sys.argv[3])
host = system.RealHost(place)
line = mmap.mmap(-1, 16)
read, write = os.pipe()
child = os.fork()

def commit(number):
    ident = str(number)
    state = (journal.OPEN, journal.WAITING)[number % 2]
    try:
        host.perform(Rename(place.record(state, ident), place.record(journal.COMMITTED, ident)))
    except errors.EffectError:
        return False
    return True

def fire(number):
    ident = str(number)
    state = (journal.OPEN, journal.WAITING)[number % 2]
    return disk.claim(place.record(state, ident), place.record(journal.FIRING, ident))

def both_ready(mine, other, number):
    line[mine * 4 : mine * 4 + 4] = number.to_bytes(4, "little")
    while int.from_bytes(line[other * 4 : other * 4 + 4], "little") < number:
        pass
    for _ in range(random.randrange(200)):
        pass

if not child:
    won = bytearray()
    for number in range(1, rounds + 1):
        both_ready(1, 0, number)
        won.append(fire(number))
    os.write(write, bytes(won))
    os._exit(0)
os.close(write)
for number in range(1, rounds + 1):
    state = (journal.OPEN, journal.WAITING)[number % 2]
    with open(place.record(state, str(number)), "w") as file:
        file.write("{}")
mine = []
for number in range(1, rounds + 1):
    both_ready(0, 1, number)
    mine.append(commit(number))
theirs = b""
while chunk := os.read(read, 65536):
    theirs += chunk
os.waitpid(child, 0)
bad = []
for number in range(1, rounds + 1):
    there = [s for s in (journal.COMMITTED, journal.FIRING)
             if os.path.exists(place.record(s, str(number)))]
    gone = not any(os.path.exists(place.record(s, str(number)))
                   for s in (journal.OPEN, journal.WAITING))
    wanted = [journal.COMMITTED] if mine[number - 1] else [journal.FIRING]
    if mine[number - 1] == bool(theirs[number - 1]) or there != wanted or not gone:
        bad.append(number)
print(json.dumps({"bad": len(bad), "commits": sum(mine), "fires": sum(theirs)}))
"""


@check(406, "commit and fire raced: exactly one wins", over=cases(("networkd",)), book=SAFETY)
def raced(stage: Stage) -> str:
    """A thousand records on the host's disk, each claimed by two processes at one moment: as
    the change commits, and as the dead man fires; half of them wait to be confirmed.
    """
    host = stage.host
    host.run(["mkdir", "-p", "/srv/race"])
    from rig.salt import interpreter

    python, environment, _ = interpreter()
    library = f"{host.checkout}/_utils"
    argv = [*python, "-c", RACE, library, "/srv/race", "1000"]
    told = json.loads(host.run(argv, env=environment, timeout=120).out)
    demand(not told["bad"], f"{told['bad']} of 1000 races without exactly one winner")
    demand(told["commits"] and told["fires"], f"one side won all: {told}")
    return f"{told['commits']} commits, {told['fires']} fires"
