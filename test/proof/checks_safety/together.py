"""Fifty changes at once, and what becomes of the lock when its holder dies."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from proof.checks_safety.driver import argv, ask, hear, request, talking, tell
from proof.registry import SAFETY, Case, check, demand
from proof.stage import Stage, shorten
from rig.netns import NetHost
from rig.process import Running
from rig.salt import interpreter

#: A host in namespaces: no systemd, so that the dead man is a session of its own there.
PLAIN = [Case("", "namespaces")]
OWNER = "/etc/systemd/network/50-default.network"
COUNT = 50


def prepared(stage: Stage) -> NetHost:
    """Return a host in namespaces whose files are networkd's, the daemon not running."""
    host = stage.peer
    host.write(OWNER, f"[Match]\nName=eth0\n\n[Network]\nAddress={host.primary}/24\n")
    return host


def pillar(**settings: Any) -> dict[str, Any]:
    """Return a pillar without an address: all of them come by hand."""
    return {"backend": "networkd", "announce": 0, **settings}


def library(stage: Stage) -> str:
    """Return the library's folder as a host in namespaces sees it: the machine's own."""
    return str(stage.source / "_utils")


def start(stage: Stage, host: NetHost, **words: Any) -> Running:
    """Start a process that carries out one request."""
    program = host.popen(
        argv(host),
        interpreter()[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    tell(program, request(host, "apply", library=library(stage), **words))
    return program


def ended(programs: Sequence[Running]) -> list[dict[str, Any]]:
    """Return what processes said at their end."""
    said = []
    for program in programs:
        out, err = program.communicate(timeout=240)
        demand(out, f"a process said nothing: {err[-300:]}")
        said.append(json.loads(out.splitlines()[-1]))
    return said


@check(501, "fifty ipalias.add at once: all present, none lost", over=PLAIN, book=SAFETY)
def fifty(stage: Stage) -> str:
    """Fifty processes, each adding another address with guard and duplicates check on; all of
    them are in ledger, file and kernel, and nothing is left behind.
    """
    host = prepared(stage)
    wanted = [f"198.51.100.{100 + number}" for number in range(COUNT)]
    # The wait is the product's own, lengthened: what is bounded there is patience, not order.
    data = pillar(guard={"timeout": 60})
    began = time.monotonic()
    programs = [start(stage, host, pillar=data, add=address, wait=200) for address in wanted]
    try:
        refused = [row["error"] for row in ended(programs) if "error" in row]
    finally:
        for program in programs:
            program.end()
    seconds = time.monotonic() - began
    demand(not refused, f"{len(refused)} of {COUNT} refused: {shorten('; '.join(refused[:2]))}")
    live = {address.address for address in host.addresses()}
    text = json.dumps(host.tree("/etc/systemd/network"))
    ledger = json.loads(host.read("/var/lib/ipalias/ledger.json") or "{}")
    noted = ledger["interfaces"]["eth0"]["aliases"]
    for address in wanted:
        demand(address in live, f"{address} is not live")
        demand(f"{address}/32" in text, f"{address} is in no file")
        demand(f"{address}/32" in noted, f"{address} is not in the ledger")
    told = ask(host, "await", library=library(stage))
    demand(not told["wrong"] and not told["unfinished"], f"left behind: {told['unfinished']}")
    return f"{COUNT} processes, {seconds:.0f} s until the last had ended"


@check(502, "the lock's holder killed: the others go on at once", over=PLAIN, book=SAFETY)
def holder_killed(stage: Stage) -> str:
    """One process hangs in the middle of its change, holding the lock; five wait for it. It is
    killed with SIGKILL: its change is put back, the five all go through.
    """
    host = prepared(stage)
    data = pillar(guard=False)
    words = {"pillar": data, "add": "198.51.100.90", "at": 6, "when": "after"}
    programs: list[Running] = []
    with talking(host, "hang", library=library(stage), **words) as program:
        demand(hear(program)["stopped"], "the holder was not stopped")
        wanted = [f"198.51.100.{100 + number}" for number in range(5)]
        programs = [start(stage, host, pillar=data, add=address) for address in wanted]
        try:
            host.run(["sh", "-c", _KILL_STOPPED])
            said = ended(programs)
        finally:
            for one in programs:
                one.end()
    refused = [row["error"] for row in said if "error" in row]
    demand(not refused, f"refused: {refused}")
    put_back = [row for row in said if "cut short" in row["comment"]]
    demand(len(put_back) == 1, f"{len(put_back)} of five say that they put the change back")
    live = {address.address for address in host.addresses()}
    demand(set(wanted) <= live, f"not live: {sorted(set(wanted) - live)}")
    demand("198.51.100.90" not in live, "what the killed one had added is still live")
    return ""


_KILL_STOPPED = (
    "for stat in /proc/[0-9]*/stat; do set -- $(cat $stat 2>/dev/null);"
    ' [ "$3" = T ] && kill -9 $1; done; true'
)

_FORKED = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from saltext.ipalias import paths, system
with system.lock(paths.Paths(), "ipalias.add 198.51.100.7"):
    child = os.fork()
    if not child:
        os.write(1, b"forked\\n")
        time.sleep(3600)
    time.sleep(3600)
"""


@check(503, "a child forked without exec does not keep the lock", over=PLAIN, book=SAFETY)
def forked(stage: Stage) -> str:
    """The holder forks and is killed, the child lives on: the next process has the lock."""
    host = prepared(stage)
    python, environment, _ = interpreter()
    holder = host.popen(
        [*python, "-c", _FORKED, library(stage)],
        environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout
        demand(holder.stdout.readline().strip() == "forked", "the holder did not start")
        waiting = start(stage, host, pillar=pillar(guard=False), add="198.51.100.8", wait=0)
        [said] = ended([waiting])
        demand("under way" in said.get("error", ""), f"held, and yet: {said}")
        # Parent alone: the child that it forked stays.
        holder.send_signal(9)
        holder.wait(20)
        waiting = start(stage, host, pillar=pillar(guard=False), add="198.51.100.8", wait=0)
        [said] = ended([waiting])
        demand("error" not in said, f"the child keeps it: {said}")
        return ""
    finally:
        holder.end()


@check(504, "who gives up names the holder, what it does and for how long", over=PLAIN, book=SAFETY)
def names_holder(stage: Stage) -> str:
    """A process that waits in vain says who holds the lock: function, process, age."""
    host = prepared(stage)
    data = pillar(guard=False)
    words = {"pillar": data, "add": "198.51.100.90", "at": 2, "when": "after"}
    with talking(host, "hang", library=library(stage), **words) as program:
        demand(hear(program)["stopped"], "the holder was not stopped")
        waiting = start(stage, host, pillar=data, add="198.51.100.91", wait=1.0)
        [said] = ended([waiting])
        error = said.get("error", "")
        for word in ("ipalias.add", "pid ", " s)"):
            demand(word in error, f"it does not say {word!r}: {said}")
        host.run(["sh", "-c", _KILL_STOPPED])
    return shorten(error, 160)
