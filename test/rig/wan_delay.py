"""A line with delay, jitter, loss and outages, between two network namespaces (standard library).

wan_delay.py PID INTERFACE PID INTERFACE    makes a TAP interface in the namespace of each process
                                            and passes frames between them

Each line of JSON on standard input sets what it names and is answered with the boot clock's time
from which on it holds: ``delay`` and ``jitter`` (mean of a round trip, half the width in which it
varies), ``loss`` (share of round trips), ``burst`` (mean length of the spans in which a line
loses everything; 0: each frame on its own), ``seed``, ``cut``. Times in seconds. A frame takes
half of the delay and of the jitter each way, each its own: frames that follow one another
closely overtake each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import math
import os
import random
import select
import struct
import sys
import time

_TUNSETIFF, _TAP_NO_PI = 0x400454CA, 0x1002
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def clock() -> float:
    """Return the boot clock, as the monitor's journal has it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Loss:
    """Say what is lost: frames each on their own, or all in spans (Gilbert-Elliott)."""

    def __init__(self, share: float, burst: float, seed: int, now: float) -> None:
        self.share, self.burst = share, burst
        self.rng = random.Random(seed)
        # Each way loses so much that a round trip loses `share`.
        self.each = 1 - math.sqrt(1 - share)
        self.bad, self.until = False, now
        self.rest = burst * (1 - share) / share if share and burst else 0.0
        if self.burst:
            self.until = now + self.rng.expovariate(1 / self.rest)

    def lost(self, now: float) -> bool:
        """Tell whether a frame at this moment is lost."""
        if not self.share:
            return False
        if not self.burst:
            return self.rng.random() < self.each
        while self.until <= now:
            self.bad = not self.bad
            self.until += self.rng.expovariate(1 / (self.burst if self.bad else self.rest))
        return self.bad


class Line:
    """Pass frames between two interfaces."""

    def __init__(self, taps: tuple[int, int]) -> None:
        self.taps = taps
        self.settings = {"delay": 0.0, "jitter": 0.0, "loss": 0.0, "burst": 0.0, "seed": 1}
        self.cut = False
        self.loss = Loss(0.0, 0.0, 1, clock())
        self.rng = random.Random(1)
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.count = 0

    def set(self, request: dict[str, float]) -> float:
        """Take settings; return from when on they hold."""
        self.cut = bool(request.pop("cut", self.cut))
        if request:
            self.settings.update(request)
            chosen = self.settings
            seed = int(chosen["seed"])
            self.rng = random.Random(seed)
            self.loss = Loss(chosen["loss"], chosen["burst"], seed + 1, clock())
        if self.cut:
            self.waiting.clear()
        return clock()

    def take(self, side: int) -> None:
        """Read what has come in on one side."""
        for _ in range(64):
            try:
                frame = os.read(self.taps[side], 65536)
            except BlockingIOError:
                return
            now = clock()
            if self.cut or self.loss.lost(now):
                continue
            jitter = self.settings["jitter"]
            way = (self.settings["delay"] + self.rng.uniform(-jitter, jitter)) / 2
            if way <= 0:
                self.give(1 - side, frame)
                continue
            self.count += 1
            heapq.heappush(self.waiting, (now + way, self.count, 1 - side, frame))

    def give(self, side: int, frame: bytes) -> None:
        """Write a frame out; an interface that is down takes none."""
        with contextlib.suppress(OSError):
            os.write(self.taps[side], frame)

    def due(self) -> None:
        """Write out what has been on its way for long enough."""
        now = clock()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, side, frame = heapq.heappop(self.waiting)
            self.give(side, frame)


def open_tap(pid: int, name: str) -> int:
    """Make a TAP interface in the namespace of a process; it goes with this program."""
    with open("/proc/self/ns/net") as before, open(f"/proc/{pid}/ns/net") as there:
        _enter(there.fileno())
        try:
            # The namespace counts in which it is opened.
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_NO_PI))
        finally:
            _enter(before.fileno())
    return tap


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def main() -> None:
    """Pass frames until standard input ends."""
    words = sys.argv[1:]
    line = Line((open_tap(int(words[0]), words[1]), open_tap(int(words[2]), words[3])))
    print("ready", flush=True)
    poll = select.epoll()
    for number in (0, *line.taps):
        poll.register(number, select.EPOLLIN)
    while True:
        wait = -1.0
        if line.waiting:
            # epoll counts in milliseconds: the last one is waited for in full.
            wait = max(0.0, line.waiting[0][0] - clock())
        for number, _ in poll.poll(wait):
            if number == 0:
                text = sys.stdin.readline()
                if not text:
                    return
                print(json.dumps(line.set(json.loads(text))), flush=True)
            else:
                line.take(line.taps.index(number))
        line.due()


if __name__ == "__main__":
    main()
