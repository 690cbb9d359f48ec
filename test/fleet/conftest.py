"""One fleet for the lane; what its cold minions do first is recorded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from salt_fleet import MINIONS, Fleet, running

from rig.gentle import Monitor
from rig.picture import picture

#: What each minion's pillar asks for at first.
WANTED = {
    # Both minions, on one segment, are asked for the same addresses.
    "check_duplicates": False,
    "interfaces": {
        "default": {"addresses": ["198.51.100.10", "2001:db8:1::10", "198.51.100.64-198.51.100.66"]}
    },
}


@dataclass
class Cold:
    """Hold what the first highstate of a minion did that had nothing synced."""

    synced_before: bool
    states: dict[str, dict[str, Any]]
    unchanged: bool
    events: list[str] = field(default_factory=list)

    @property
    def changes(self) -> dict[str, Any]:
        """Return the changes of each state that has some."""
        return {key: ret["changes"] for key, ret in self.states.items() if ret["changes"]}


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Give a master and two minions, nothing synced."""
    with running() as made:
        yield made


def first_highstate(fleet: Fleet, name: str, *words: str) -> Cold:
    """Run a minion's first highstate, and look at what it does to the host."""
    host = fleet.hosts[name]
    fleet.pillar(name, WANTED)
    synced = fleet.has_synced(name)
    before = picture(host, "/etc", "/var/lib/ipalias")
    monitor = Monitor(host)
    states = fleet.states(name, "state.highstate", *words)
    events = monitor.stop()
    after = picture(host, "/etc", "/var/lib/ipalias")
    assert fleet.has_synced(name)
    return Cold(synced, states, after == before, events)


@pytest.fixture(scope="session")
def cold(fleet: Fleet) -> dict[str, Cold]:
    """Give the first highstate of each minion: for real on one, a rehearsal on the other."""
    assert list(MINIONS) == ["web1", "web2"]
    return {
        "web1": first_highstate(fleet, "web1"),
        "web2": first_highstate(fleet, "web2", "test=True"),
    }


@pytest.fixture(scope="session")
def settled(fleet: Fleet, cold: dict[str, Cold]) -> dict[str, Any]:
    """Give the changes of the run that followed the rehearsal: both minions are settled then."""
    ran = fleet.states("web2", "state.highstate")
    # A highstate compiles the pillar for itself alone: functions called later see the one in
    # the minion's memory.
    fleet.salt("*", "saltutil.refresh_pillar", "wait=True")
    return {key: ret["changes"] for key, ret in ran.items() if ret["changes"]}
