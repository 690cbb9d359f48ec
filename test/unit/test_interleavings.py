"""Any interleaving of requests, crashes, dead men and operators leaves the host consistent.

Files hold the ledger's persistent set, the kernel its live set, and what is foreign is as it
was. With FULL set there are a thousand interleavings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rig import simafter
from rig.simengine import aliases, block, engine, ledger, live, only_present, takes_ipv6
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simnm import OWNERS
from rig.simscenes import comparable, differences, leftovers
from saltext.ipalias import upkeep
from saltext.ipalias.backends import load
from saltext.ipalias.engine import Engine
from saltext.ipalias.errors import IpaliasError, RefusedError

FULL = bool(os.environ.get("FULL"))
EXAMPLES, STEPS = (1000, 30) if FULL else (100, 12)
POOL = (
    "198.51.100.10/32",
    "198.51.100.11/32",
    "203.0.113.5/24",
    "203.0.113.6/24",
    "2001:db8:1::10/128",
    "2001:db8:1::11/128",
)
#: Stand-ins where the owner has no IPv6 aliases.
IN_PLACE = {"2001:db8:1::10/128": "198.51.100.12/32", "2001:db8:1::11/128": "198.51.100.13/32"}
#: What others put on the interface, live alone.
OTHERS = ("198.51.100.98/32", "198.51.100.99/32", "2001:db8:9::1/128")
PRIMARY = {"192.0.2.2/24", "2001:db8::2/64"}
some = st.lists(st.sampled_from(POOL), max_size=4, unique=True)
#: Effects after which a run is cut short, and what comes then; None: it runs to its end.
cut = st.one_of(st.none(), st.integers(0, 60))
Request = Callable[[Engine], Any]


class Interleavings(RuleBasedStateMachine):
    """One host, one pillar, and everybody who may do something to them."""

    dialect = "networkd"

    @initialize(pillar=some)
    def start(self, pillar: list[str]) -> None:
        self.host = OWNERS[self.dialect]()
        self.host.files.put("/etc/unrelated", "kept\n")
        self.pillar = list(map(self.had, pillar))
        self.foreign: set[str] = set()
        self.waiting = False

    def had(self, address: str) -> str:
        """Return an address, or what stands for it with an owner that cannot have it."""
        return address if takes_ipv6(self.dialect) else IN_PLACE.get(address, address)

    def asked(self, confirm: bool = False) -> Engine:
        made = engine(self.host, block(*self.pillar))
        made.settings = replace(made.settings, confirm=confirm)
        return made

    def do(self, request: Request, at: int | None, *, confirm: bool = False) -> bool:
        """Make a request, perhaps cut short; return whether it came to its end."""
        before = comparable(self.host)
        ended = self.host.successor()
        self.host = self.host.successor()
        self.host.faults = [] if at is None else [Fault(at, crash=True)]
        try:
            request(self.asked(confirm))
        except Crash:
            self.host = self.host.successor()
            return False
        except IpaliasError as error:
            assert differences(before, comparable(self.host)) == [], error
            assert isinstance(error, RefusedError), error
            assert leftovers(ended) == leftovers(self.host)
            return False
        finally:
            self.host.faults = []
        return True

    # -- requests -----------------------------------------------------------------------

    @rule(address=st.sampled_from(POOL), at=cut, how=st.sampled_from(["both", "file", "live"]))
    def add(self, address: str, at: int | None, how: str) -> None:
        address = self.had(address)
        # A store that cannot hold one for itself alone refuses it; see `test_transaction`.
        alone = how == "file" and "file_alone" not in load(self.dialect).UNSUPPORTED
        options = {"persist": how != "live", "live": not alone}
        if self.do(lambda asked: asked.add(aliases(address), **options), at):
            assert address in ledger(self.host).on("eth0")

    @rule(address=st.sampled_from(POOL), at=cut)
    def remove(self, address: str, at: int | None) -> None:
        address = self.had(address)
        if self.do(lambda asked: asked.remove([(address.partition("/")[0], None)]), at):
            assert address not in ledger(self.host).on("eth0")

    @rule(pillar=some, at=cut)
    def managed(self, pillar: list[str], at: int | None) -> None:
        self.pillar = pillar = list(map(self.had, pillar))
        if self.do(lambda asked: asked.managed(), at):
            entries = ledger(self.host).on("eth0")
            assert set(pillar) <= set(entries)
            assert {c for c, e in entries.items() if e.origin == "pillar"} <= set(pillar)

    @rule(at=cut)
    def clean(self, at: int | None) -> None:
        if self.do(lambda asked: asked.clean(), at):
            assert not ledger(self.host).on("eth0")

    # -- a change to be confirmed -------------------------------------------------------

    @rule(pillar=some, at=cut)
    @precondition(lambda self: not self.waiting)
    def managed_on_trial(self, pillar: list[str], at: int | None) -> None:
        self.pillar = list(map(self.had, pillar))
        self.do(lambda asked: asked.managed(), at, confirm=True)
        self.waiting = bool(self.host.glob(f"{STATE}/waiting-*.json"))

    @rule()
    @precondition(lambda self: self.waiting)
    def confirm(self) -> None:
        before = comparable(self.host)
        assert upkeep.confirm(self.asked())["comment"] == "ipalias.apply stands"
        assert comparable(self.host) == before
        self.waiting = False

    @rule()
    @precondition(lambda self: self.waiting)
    def deadline(self) -> None:
        self.host.net.now += 61.0
        simafter.dead_man(self.host)
        self.waiting = False

    @rule()
    @precondition(lambda self: self.waiting)
    def too_early(self) -> None:
        with pytest.raises(RefusedError, match=r"waits to be confirmed"):
            self.asked().clean()

    @rule()
    @precondition(lambda self: self.host.glob(f"{STATE}/committed-*.json") and self.at_rest)
    def rollback(self) -> None:
        assert upkeep.rollback(self.asked())["result"] is True
        self.waiting = False

    # -- what comes after a crash -------------------------------------------------------

    @rule()
    def dead_man(self) -> None:
        """Fires for a run that died; one that waits to be confirmed has time."""
        for _ in self.host.glob(f"{STATE}/open-*.json"):
            self.host = self.host.successor()
            simafter.dead_man(self.host)

    @rule()
    def boot(self) -> None:
        """Everything unfinished is undone; what was live alone is gone, whoever set it."""
        self.host = simafter.reboot(self.host)
        assert leftovers(self.host) == []
        entries = ledger(self.host).on("eth0")
        self.waiting, self.foreign = False, set()
        assert live(self.host) == PRIMARY | {c for c, e in entries.items() if e.file}
        # The next highstate and a hand put right what a boot made of it.
        self.pillar = []
        self.asked().clean()
        # To undo that would lead back to what the boot made of it.
        for path in self.host.glob(f"{STATE}/committed-*.json"):
            self.host.files.drop(path)

    # -- others -------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        return not leftovers(self.host)

    @rule(address=st.sampled_from(OTHERS))
    @precondition(lambda self: self.at_rest)
    def somebody_else(self, address: str) -> None:
        verb = "delete" if address in self.foreign else "add"
        self.foreign ^= {address}
        assert self.host.ip(["ip", "address", verb, address, "dev", "eth0"], None).code == 0

    # -- what always holds --------------------------------------------------------------

    @invariant()
    def consistent(self) -> None:
        if not hasattr(self, "host"):
            return
        assert self.host.read("/etc/unrelated") == "kept\n"
        assert live(self.host) >= PRIMARY | self.foreign
        if leftovers(self.host) and not self.waiting:
            return  # cut short, and nobody has come yet
        entries = ledger(self.host).on("eth0")
        wanted = {cidr for cidr, entry in entries.items() if entry.live}
        assert live(self.host) == PRIMARY | self.foreign | wanted
        assert in_files(self.host, self.dialect) == {c for c, e in entries.items() if e.file}


def in_files(host: SimHost, dialect: str) -> set[str]:
    """Return what the files set beside the primary addresses, read by the dialect."""
    backend = load(dialect)
    evidence = backend.detect(host, "eth0")
    assert evidence is not None
    return {found.alias.cidr for found in backend.parse(host, evidence)} - PRIMARY


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.mark.parametrize("dialect", sorted(OWNERS))
def test_any_interleaving_leaves_the_host_consistent(dialect: str) -> None:
    machine = type(f"Interleavings_{dialect}", (Interleavings,), {"dialect": dialect})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, EXAMPLES // len(OWNERS)),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
