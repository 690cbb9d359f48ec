"""One host and one Salt process for the lane, set back before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loader_minion import Minion

from rig.netns import NetHost, Segment


@pytest.fixture(scope="session")
def lane_minion() -> Iterator[Minion]:
    """Give the lane's one minion."""
    with Segment() as segment, NetHost(segment, configure=False) as host:
        minion = Minion(host)
        try:
            yield minion
        finally:
            minion.program.end()


@pytest.fixture
def minion(lane_minion: Minion) -> Minion:
    """Give the minion on a host set back to its beginning."""
    lane_minion.reset()
    return lane_minion
