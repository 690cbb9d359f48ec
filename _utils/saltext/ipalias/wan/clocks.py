"""Two clocks of one host, and when a packet really came in. The one place here that reads them.

The kernel stamps a packet with the wall clock, which anyone can set; all else is reckoned in
boot time, which no one can, and in which sleep counts. What joins them is their difference.
It changes only when the wall clock is set: the kernel slews both alike.
"""

from __future__ import annotations

import time
from typing import NamedTuple

# Where they are missing the library still has to import; nothing probes there.
_BOOT: int = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))
_REAL: int = getattr(time, "CLOCK_REALTIME", 0)
#: Seconds that two readings of the difference may be apart without anyone having set a clock.
SLACK = 0.0005
#: Seconds between two readings of the boot clock around one of the wall clock, above which
#: we were interrupted in between and read again.
BRACKET = 0.00005


class Moment(NamedTuple):
    """Hold one moment.

    :param boot: seconds since boot.
    :param offset: wall clock minus boot clock (seconds).
    """

    boot: float
    offset: float

    @property
    def wall(self) -> float:
        """Return the wall clock, for people."""
        return self.boot + self.offset


def boot_clock() -> float:
    """Return seconds since boot, sleep included."""
    return time.clock_gettime(_BOOT)


def read_moment() -> Moment:
    """Return boot time and how far the wall clock is from it."""
    for _ in range(4):
        before = time.clock_gettime(_BOOT)
        wall = time.clock_gettime(_REAL)
        after = time.clock_gettime(_BOOT)
        if after - before < BRACKET:
            break
    return Moment(after, wall - (before + after) / 2)


def received_at(stamp: float | None, sent: Moment, now: Moment) -> float:
    """Return the boot time at which the kernel received an answer.

    A stamp may have been taken before or after the wall clock was set. Whichever reading
    lies between sending and now is true; where both do, the later one, for a round trip
    told too long harms less than one told too short; where neither does, now.

    :param stamp: wall clock of the kernel; None: the platform has given none.
    """
    if stamp is None:
        return now.boot
    at = stamp - now.offset
    if abs(now.offset - sent.offset) <= SLACK:
        # Readings of the two clocks are not exact: what is a hair outside is meant inside.
        return min(max(at, sent.boot), now.boot) if at > sent.boot - SLACK else now.boot
    choices = [at, stamp - sent.offset]
    inside = [choice for choice in choices if sent.boot <= choice <= now.boot]
    return max(inside, default=now.boot)
