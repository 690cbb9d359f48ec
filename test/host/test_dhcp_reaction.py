"""Beacon, reactor, runner and witness: a real master, a booted pair, and a death by two places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rig import master
from rig.dhcp_salt import DhcpSalt
from rig.process import wait_until
from rig.salt import interpreter

REACTOR = [{"salt/beacon/*/ipalias_dhcp/*": ["salt://ipalias/reactor/dhcp_event.sls"]}]
EVENTS = "/srv/events"
CUT = """
table inet cut {
    chain in {
        type filter hook input priority 0
        iifname eth0 drop
    }
    chain out {
        type filter hook output priority 0
        oifname eth0 drop
    }
}
"""


class Watched:
    """A pair in order, its secondary watched, and the events of the master's bus in a file."""

    def __init__(self, stack: ExitStack) -> None:
        suites = ("bookworm", "bookworm")
        self.salt = DhcpSalt(stack, suites, client=True, settings={"reactor": REACTOR})
        self.witness = self.salt.clients[0].name
        self.first, self.second = self.salt.names
        policy = {"after": 30, "witness": self.witness}
        self.salt.give_pillar(partner_down=policy, limits={"drill": "92d"})
        host = self.salt.host
        argv = [*master.command("salt_run"), "-c", master.CONFIG, "state.event", "ipalias/dhcp/*"]
        listen = 'exec "$@" >"$0"'
        self._ear = host.popen(["sh", "-c", listen, EVENTS, *argv], interpreter()[1])
        stack.callback(self._ear.end)
        for name in self.salt.names:
            assert self.salt.salt(name, "saltutil.refresh_pillar", "wait=True") is True
            ran = self.salt.salt(name, "state.apply", "ipalias.dhcp", timeout=240)
            assert all(ret["result"] for ret in ran.values()), ran
        for name in self.salt.names:
            self.await_state(name, "normal")

    def status(self, name: str, *words: str) -> Any:
        return self.salt.salt(name, "ipalias_dhcp.status", *words)

    def await_state(self, name: str, state: str, timeout: float = 90.0) -> None:
        wait_until(
            lambda: (self.status(name) or {}).get("me", {}).get("state") == state,
            f"{name} to be {state}",
            timeout=timeout,
            step=0.5,
        )

    def told(self) -> dict[str, Any]:
        """Return what was reported of the secondary, by kind; of equal ones the last.

        The formula's run has both members report; each is silent to the other until it starts.
        """
        found = {}
        for line in (self.salt.host.read(EVENTS) or "").splitlines():
            tag, _, data = line.partition("\t")
            about = tag.removeprefix(f"ipalias/dhcp/{self.second}/")
            if data and about != tag:
                found[about] = json.loads(data)
        return found

    def await_told(self, what: str, timeout: float = 90.0) -> Any:
        return wait_until(lambda: self.told().get(what), what, timeout=timeout, step=0.2)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack)


def test_the_journal_of_a_real_system_is_read(watched: Watched) -> None:
    row = watched.status(watched.first, "whole=True")
    assert row["problems"] == [] and row["ports"]["blocked"] == []
    texts = [line["text"] for line in row["log"]]
    assert any("Both servers normal" in text for text in texts), texts
    assert not any(line["fault"] for line in row["log"])
    assert row["clock skew"]["by"] == "ICMP timestamp"


def test_a_dead_peer_is_reported_proven_and_declared(watched: Watched) -> None:
    first = watched.await_told("drill/alert")
    assert first["minion"] == watched.second and "no good drill" in first["text"]
    watched.salt.members[0].run(["nft", "-f", "-"], CUT)
    silent = watched.await_told("silent/alert")
    assert watched.first in silent["text"]
    dead = watched.await_told("dead/alert", timeout=120)
    assert dead["partner down"]["done"] is True, dead
    watched.await_state(watched.second, "partner-down")
    assert watched.status(watched.second)["me"]["says"] == "partner-down"
    watched.await_told("dead/clear")
