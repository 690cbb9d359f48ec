"""The ways of watching a line that have a name."""

from __future__ import annotations

from .model import ProbeConfig, Silence, Threshold

#: A line that loses this much is of no use, although it answers.
LOSS = Threshold(0.4, 0.1, 60.0)

FAST = ProbeConfig(
    interval=0.1,
    timeout=1.0,
    rise=3,
    hold_down=2.0,
    silence=Silence(0.08, 1.5),
    loss=LOSS,
    profile="fast",
)
DEFAULT = ProbeConfig(loss=LOSS)
#: The source guide's ifstated.conf: ``ping -q -c 1 -w 5`` to two targets, ``||`` between
#: them, ``every 30``; the first bad round takes the route out, the first good one puts it
#: back. Both targets are asked at the same time, so a round takes 5 seconds, not 10.
GUIDE = ProbeConfig(
    interval=30.0,
    timeout=5.0,
    fall=1,
    rise=1,
    hold_down=0.0,
    confirm=False,
    adaptive=False,
    profile="guide",
)
PROFILES = {"fast": FAST, "default": DEFAULT, "guide": GUIDE}
