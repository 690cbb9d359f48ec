"""When a member fetches its peer's leases, and when it is not asked to."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rig.dhcp_daemons import block as pair_block
from rig.simhost import SimHost
from saltext.ipalias.dhcp import synchronize as module
from saltext.ipalias.dhcp import watching
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.model import INTERRUPTED, NORMAL, PARTNER_DOWN, LeaseStore
from saltext.ipalias.dhcp.peer import Reply, Ways
from saltext.ipalias.dhcp.reading import Reading, Side, Since
from saltext.ipalias.errors import EffectError, RefusedError

BLOCK: dict[str, Any] = pair_block("kea", ["192.0.2.10", "192.0.2.20"], profile="guide", whole=True)


class Asked:
    """The server's word, and what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[str, str]] = []
        self.own = self.partner = Side(NORMAL, "load-balancing")
        self.said = ""
        monkeypatch.setattr(module, "read", self.read)
        monkeypatch.setattr(module.keactl, "synchronize", lambda *words: self.told.append(words))

    def read(self, *args: Any, **keys: Any) -> Any:
        assert keys["ask"], "a state that was read a while ago is none"
        return SimpleNamespace(said=self.said, own=self.own, partner=self.partner)

    def call(self, block: dict[str, Any] = BLOCK, **keys: Any) -> Any:
        config = parse_dhcp(block)
        if keys.pop("database", False):
            kea = replace(config.pair.kea, leases=LeaseStore(kind="mysql", replicated=True))
            config = replace(config, pair=replace(config.pair, kea=kea))
        return module.synchronize(SimHost(), config, config.pair.members[0], **keys)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_one_of_a_pair_that_is_normal_fetches_from_the_other(asked: Asked) -> None:
    assert asked.call()["result"] is True
    assert [partner for _, partner in asked.told] == ["dhcp2"]


def test_looking_fetches_nothing(asked: Asked) -> None:
    answer = asked.call(test=True)
    assert answer["result"] is None and "would fetch" in answer["comment"]
    assert asked.told == []


@pytest.mark.parametrize("side", ["own", "partner"])
def test_a_pair_that_is_not_normal_is_at_it_itself(asked: Asked, side: str) -> None:
    setattr(asked, side, Side(INTERRUPTED, "communication-recovery"))
    with pytest.raises(RefusedError, match="at it themselves"):
        asked.call()
    assert asked.told == []


def test_a_server_that_does_not_answer_is_told(asked: Asked) -> None:
    asked.said = "kea-dhcp4 does not answer"
    with pytest.raises(EffectError, match="does not answer"):
        asked.call()


def test_dhcpd_and_a_database_bring_their_leases_themselves(asked: Asked) -> None:
    isc = {key: value for key, value in BLOCK.items() if key != "whole"}
    assert "itself" in asked.call({**isc, "implementation": "isc"})["comment"]
    assert "database" in asked.call(database=True)["comment"]
    assert asked.told == []


# --- by itself, as a look of the beacon does it -----------------------------------------------

OPEN, GONE = Reply("open", 0.001), Reply("silent", said="no answer in 2 s")
NORMAL_SIDE = Side(NORMAL, "load-balancing")


def seen(block: dict[str, Any] = BLOCK, **other: Any) -> Reading:
    """Return a reading of a pair that is normal, asked for its word; other than that as told."""
    config = parse_dhcp(block)
    normal = {"asked": True, "own": NORMAL_SIDE, "partner": NORMAL_SIDE}
    return Reading(
        time=0.0,
        clock=other.pop("clock", 1000.0),
        config=config,
        me=config.pair.members[0],
        said="",
        ways=Ways(
            other.pop("outward", OPEN),
            other.pop("inward", "open"),
            True,
            1.0,
            (),
            other.pop("called", 1.0),
        ),
        **{**normal, **other},
    )


@pytest.mark.parametrize(
    "apart",
    [
        {"outward": GONE},
        {"outward": GONE, "asked": False},
        {"own": Side(INTERRUPTED, "communication-recovery")},
        {"partner": Side(PARTNER_DOWN, "partner-down")},
        {"own": Side()},
        {"called": 61.0},
        {"called": 61.0, "asked": False},
        {"inward": "idle", "called": None, "since": Since(reached=939.0)},
    ],
)
def test_what_may_be_missing_is_fetched_once_when_both_are_normal_again(
    asked: Asked, apart: dict[str, Any]
) -> None:
    left = module.pay(seen(**apart), None)
    assert left == module.Payment(module.Debt(True, 0.0, 1000.0)) and asked.told == []
    assert module.pay(seen(asked=False), left.debt) == left, "on their own word alone"
    paid = module.pay(seen(), left.debt)
    assert [partner for _, partner in asked.told] == ["dhcp2"]
    assert paid == module.Payment(None, done="dhcp1 has fetched the leases of dhcp2")
    assert module.pay(seen(), paid.debt) == module.Payment(None) and len(asked.told) == 1


def test_what_was_before_the_first_look_is_not_known_so_leases_are_fetched_without_a_word(
    asked: Asked,
) -> None:
    assert module.pay(seen(), module.UNKNOWN) == module.Payment(None)
    assert len(asked.told) == 1


@pytest.mark.parametrize(
    "well",
    [
        {"called": 59.0},
        {"called": None},
        {"inward": "idle", "called": None, "since": Since(reached=941.0)},
        {"inward": "idle", "called": None},
        # Its calls come from elsewhere, or never: what the servers say is all that there is.
        {"inward": "silent", "called": None, "since": Since(reached=879.0)},
    ],
)
def test_one_that_has_called_lately_has_not_given_this_one_up(
    asked: Asked, well: dict[str, Any]
) -> None:
    assert module.pay(seen(**well), None) == module.Payment(None)
    assert module.pay(seen(**well), module.UNKNOWN).debt is None and len(asked.told) == 1


def test_servers_are_asked_with_each_look_for_a_minute_after_they_were_apart() -> None:
    config, apart = parse_dhcp(BLOCK), Side(INTERRUPTED, "communication-recovery")
    debt = module.pay(seen(outward=GONE, clock=1000.0), None).debt
    debt = module.pay(seen(own=apart, clock=1030.0), debt).debt
    assert module.is_pressing(debt, config, 1059.0)
    assert not module.is_pressing(debt, config, 1061.0), "Kea logs each question"
    debt = module.pay(seen(outward=GONE, clock=1070.0), debt).debt
    assert module.is_pressing(debt, config, 1071.0)


def test_a_fetch_that_fails_is_a_fault_and_is_tried_again_later(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: str) -> None:
        asked.told.append(words)  # type: ignore[arg-type]
        raise RefusedError("the peer is still")

    with monkeypatch.context() as patch:
        patch.setattr(module.keactl, "synchronize", fail)
        failed = module.pay(seen(), module.Debt(seen=True))
    assert failed.problem and "the peer is still" in failed.problem.text
    assert failed.debt == module.Debt(seen=True, again=1000.0 + module.AGAIN)
    assert module.pay(seen(), failed.debt) == module.Payment(failed.debt) and len(asked.told) == 1
    later = replace(seen(), clock=1000.0 + module.AGAIN)
    assert module.pay(later, failed.debt).debt is None and len(asked.told) == 2


def test_only_keas_that_keep_their_own_leases_owe_any(asked: Asked) -> None:
    isc = {key: value for key, value in BLOCK.items() if key != "whole"} | {"implementation": "isc"}
    standby = {**BLOCK, "kea": {"mode": "hot-standby"}}
    store = {"type": "mysql", "name": "kea", "user": "kea"}
    each = {**BLOCK, "kea": {"lease_database": store}}
    database = {**BLOCK, "kea": {"lease_database": {**store, "replicated": True}}}
    for block in (isc, database):
        for reading in (seen(block, outward=GONE), seen(block)):
            assert module.pay(reading, module.Debt(seen=True)) == module.Payment(None)
    assert asked.told == []
    assert module.pay(seen(standby), module.Debt(seen=True)).done and len(asked.told) == 1
    assert module.pay(seen(each), module.Debt(seen=True)).done and len(asked.told) == 2


def test_a_look_remembers_what_is_owed_and_says_what_became_of_it(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ask = iter(range(1000, 1100)), []
    now = {"reading": seen(outward=GONE, asked=False)}

    def read(*_: Any, **keys: Any) -> Reading:
        ask.append(keys["ask_with_peer"])
        return now["reading"]

    monkeypatch.setattr(watching, "read", read)
    monkeypatch.setattr(watching, "boot_clock", lambda: float(next(clock)))
    config = parse_dhcp(BLOCK)

    def look(memory: object) -> tuple[Any, list[str]]:
        told = watching.look(SimHost(), config, config.pair.members[0], memory)
        tags = [event["tag"] for event in told["events"] if event["kind"] == "leases"]
        return json.loads(json.dumps(told["memory"])), tags

    memory, tags = look(None)
    assert memory["debt"] == [True, 0.0, 1000.0] and tags == []
    now["reading"] = seen()
    paid, tags = look(memory)
    assert paid["debt"] is None and tags == ["leases/clear"] and ask == [False, True]
    assert look(paid)[1] == [] and ask[-1] is False, "nothing is owed, nobody is asked"

    monkeypatch.setattr(module.keactl, "synchronize", raise_refused)
    failed, tags = look(memory)
    assert tags == ["leases/alert"]
    failed, tags = look(failed)
    assert tags == [], "told once"
    monkeypatch.setattr(module.keactl, "synchronize", lambda *words: None)
    now["reading"] = replace(seen(), clock=2000.0)
    paid, tags = look(failed)
    assert paid["debt"] is None and tags == ["leases/clear"]


def raise_refused(*words: str) -> None:
    raise RefusedError("the peer is still")
