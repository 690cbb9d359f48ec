"""Fixtures of every lane, and which lane may run here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from rig import lanes
from rig.host import BootedHost
from rig.netns import NetHost, Segment, cleanup_leftovers
from rig.setups import SETUPS


def pytest_sessionstart() -> None:
    """Take away what a run before this one has left, where that is ours to do."""
    if lanes.missing("netns") is None:
        cleanup_leftovers()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose lane cannot run here, or fail it where the lane is required."""
    lane = lanes.lane_of(item.path)
    reason = lanes.missing(lane) if lane else None
    if not reason:
        return
    if lanes.required(str(lane)):
        pytest.fail(f"lane {lane} is required, but {reason}", pytrace=False)
    pytest.skip(f"lane {lane} {reason}")


@pytest.fixture
def segment() -> Iterator[Segment]:
    """Give an Ethernet segment with a gateway on it."""
    with Segment() as made:
        yield made


@pytest.fixture
def nethost(segment: Segment) -> Iterator[NetHost]:
    """Give a host in namespaces, configured, on the segment."""
    with NetHost(segment) as made:
        yield made


@pytest.fixture
def peer(segment: Segment) -> Iterator[NetHost]:
    """Give one more host on the segment."""
    with NetHost(segment) as made:
        yield made


@pytest.fixture
def booted(segment: Segment) -> Iterator[Callable[[str, str], BootedHost]]:
    """Give running hosts with systemd: ``booted(suite, setup)``, the set-ups of `rig.setups`."""
    with contextlib.ExitStack() as stack:

        def boot(suite: str, setup: str) -> BootedHost:
            host = stack.enter_context(BootedHost(suite, segment))
            SETUPS[setup](host)
            host.boot()
            return host

        yield boot
