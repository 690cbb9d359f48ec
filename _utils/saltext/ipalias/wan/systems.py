"""Which engine brings which system to its lines: one for Linux, one for the BSDs."""

from __future__ import annotations

from typing import Any

from .bsdroutes import SYSTEMS as BSD
from .linuxsetup import LinuxSetup
from .setup import Setup


def make(**surroundings: Any) -> Setup:
    """Return the request's engine for the system that it runs on.

    :param surroundings: see `Setup`.
    """
    if surroundings["host"].system in BSD:
        # Only there, so that Linux loads nothing of ifstated and pf.
        from .bsdsetup import BsdSetup

        return BsdSetup(**surroundings)
    # Elsewhere it refuses, and has nothing to take away.
    return LinuxSetup(**surroundings)
