"""What holds the monitor up: itself stopped, no processor, a disk, a resolver that is mute."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proof.checks_wan.scene import FIRST, GRAIN, LASTS, SECOND, lateness
from proof.registry import WAN, Case, check, demand
from proof.stage import Stage
from rig.process import Running, wait_until
from rig.wan_lab import BEYOND, JOURNAL, SOURCES, STATE, Lab, clock, pillar
from rig.wanhosts import SERVER

NAMESPACES = [Case("", "namespaces")]
#: Seconds of standing still, and of a processor that has much else to do.
STOPPED, LOADED = 2.0, 6.0
BURNERS = 4


def shown_bound(lab: Lab) -> float:
    """Return what the monitor promises for the first line now (seconds)."""
    return float({row["line"]: row for row in lab.status()["lines"]}[FIRST]["bound"])


def down_since(lab: Lab, line: str = FIRST) -> float | None:
    """Return the boot clock at which a line went down by the status; None: it is up."""
    status = lab.ask(verb="status")
    rows = {row["line"]: row for row in status.get("lines", [])}
    if not rows or rows[line]["state"] == "up":
        return None
    return float(status["heartbeat"]) - float(rows[line]["for"])


def real_one(lab: Lab, promised: float | None = None, latest: float = 1.0) -> str:
    """Break the line under a stream, and hold verdict and stream against the bound.

    The journal is not asked: it may be what stands still.

    :param latest: how late the loop itself may be, which its bound does not have in it.
    """
    promised = shown_bound(lab) if promised is None else promised
    before = lateness(lab)
    lab.start_stream()
    lab.sleep_until(clock() + 0.3)
    broken = lab.break_line(FIRST, BEYOND)
    since = wait_until(lambda: down_since(lab), "the verdict")
    lab.sleep_until(clock() + 0.5)
    flow = lab.stop_stream()["udp0"]
    lost = [at for n, at in enumerate(flow.sent) if at >= broken and n not in flow.back]
    demand(lost, "nothing was lost: the line was not broken")
    detected, late = since - lost[0], lateness(lab, before)
    demand(flow.first_back(broken, SOURCES[SECOND]), "the flow never left by the other line")
    told = f"a real one found after {detected:.3f} s, promised {promised:.3f} s"
    late_told = f", the loop late by {late:.3f} s at worst" if late else ""
    demand(late <= latest, f"the loop was held up for {late:.3f} s")
    demand(detected <= promised + late + GRAIN, told + late_told)
    return told + late_told


def no_failure(lab: Lab, what: str) -> None:
    """Demand that no line has gone down so far, by the monitor's own log."""
    downs = [row for row in lab.log() if " down: " in row]
    demand(not downs, f"{what}: {downs[:2]}")


@check(601, "the monitor stopped for 2 s: no false failover, a real one within its bound",
       over=NAMESPACES, book=WAN)  # fmt: skip
def stopped(stage: Stage) -> str:
    """SIGSTOP, three times; then a real failure; then one that begins while it is stopped, which is
    found within the bound once it goes on.
    """
    with Lab(stage.source) as lab:
        watching = lab.watch(pillar())
        for _ in range(3):
            _stop_for(lab, watching, STOPPED)
            lab.sleep_until(clock() + 0.5)
        no_failure(lab, "stopped for 2 s")
        promised = shown_bound(lab)
        told = real_one(lab, promised)
        lab.sleep_until(clock() + LASTS)
        lab.repair(FIRST, BEYOND)
        wait_until(lambda: lab.is_state(FIRST, "up"), "the line to be back")
        went_on = _stop_for(lab, watching, STOPPED, lambda: lab.break_line(FIRST, BEYOND))
        since = wait_until(lambda: down_since(lab), "the verdict")
        late = since - went_on
        demand(late <= promised + GRAIN, f"found {late:.3f} s after it went on, not {promised:.3f}")
    return f"{told}; one from while it was stopped {late:.3f} s after it went on"


def _stop_for(
    lab: Lab, watching: Running, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> float:
    """Stop the monitor; return the boot clock from which on it runs again."""
    watching.send_signal(signal.SIGSTOP)
    begun = clock()
    meanwhile()
    lab.sleep_until(begun + seconds)
    watching.send_signal(signal.SIGCONT)
    return clock()


@contextmanager
def burning(lab: Lab) -> Iterator[None]:
    """Keep the processors busy with four programs on the router."""
    argv = [lab.router.python, "-I", "-S", "-c", "while True: pass"]
    burners = [lab.router.popen(argv) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for each in burners:
            each.end()


@check(602, "four programs that compute: no false failover, a real one within its bound",
       over=NAMESPACES, alone=True, book=WAN)  # fmt: skip
def loaded(stage: Stage) -> str:
    """Programs that do nothing but compute; what the loop itself was late by is told."""
    with Lab(stage.source) as lab:
        lab.watch(pillar())
        with burning(lab):
            lab.sleep_until(clock() + LOADED)
            no_failure(lab, "under load")
            return real_one(lab)


@check(603, "the journal on a full disk: a decision is not delayed, and written once there is room",
       over=NAMESPACES, book=WAN)  # fmt: skip
def full_disk(stage: Stage) -> str:
    """What waits for the disk waits; nothing of it is lost."""
    with Lab(stage.source) as lab:
        small = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", STATE]
        lab.router.run(small)
        lab.watch(pillar())
        wait_until(lambda: lab.status()["journal"]["waiting"] == 0, "the journal written")
        fill = f": >{JOURNAL}; cat /dev/zero >{STATE}/filled"
        lab.router.run(["sh", "-c", fill], check=False)
        told = real_one(lab)
        state = lab.status()["journal"]
        demand(state["waiting"], f"the disk was not full: {state}")
        demand("No space left" in state["error"], f"nobody is told: {state}")
        lab.router.run(["rm", f"{STATE}/filled"])
        wait_until(lambda: [e for e in lab.journal() if e.state == "down"], "the entry")
        demand(not lab.status()["journal"]["lost"], "entries were lost")
    return told


@check(604, "the journal on a disk that stands still: a decision is not delayed",
       over=NAMESPACES, book=WAN)  # fmt: skip
def frozen_disk(stage: Stage) -> str:
    """A FIFO that nobody reads holds who opens it for ever, as a frozen file system does."""
    with Lab(stage.source) as lab:
        lab.watch(pillar())
        wait_until(lambda: lab.status()["journal"]["waiting"] == 0, "the journal written")
        lab.router.run(["sh", "-c", f"mv {JOURNAL} {JOURNAL}.away; mkfifo {JOURNAL}"])
        told = real_one(lab)
        demand(lab.status()["journal"]["waiting"], "nothing waits for the disk")
        lab.repair(FIRST, BEYOND)
        wait_until(lambda: lab.is_state(FIRST, "up"), "the line to be back")
    return told


@check(605, "a resolver that answers nobody: no false failover, a real one within its bound",
       over=NAMESPACES, book=WAN)  # fmt: skip
def mute_resolver(stage: Stage) -> str:
    """`resolv.conf` names a server in a black hole, and a target has a name."""
    block = pillar()
    for uplink in block["uplinks"].values():
        uplink["targets"] = [SERVER, "203.0.113.101", {"http": "http://www.example:8080/204"}]
    with Lab(stage.source) as lab:
        lab.router.write("/run/resolv.conf", "nameserver 203.0.113.99\n")
        lab.watch(block)
        lab.sleep_until(clock() + 5)
        no_failure(lab, "with a mute resolver")
        demand(lateness(lab) < 1, f"the loop was held up for {lateness(lab):.3f} s")
        return real_one(lab)
