"""When a member fetches its peer's leases, and when it is not asked to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rig.simhost import SimHost
from saltext.ipalias.dhcp import synchronize as module
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.model import INTERRUPTED, NORMAL, LeaseStore
from saltext.ipalias.dhcp.reading import Side
from saltext.ipalias.errors import EffectError, RefusedError

BLOCK: dict[str, Any] = {
    "implementation": "kea",
    "whole": True,
    "pair": {
        "members": {
            "dhcp1": {"address": "192.0.2.10", "role": "primary"},
            "dhcp2": {"address": "192.0.2.20", "role": "secondary"},
        }
    },
    "interfaces": ["eth0"],
    "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}],
}


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
            kea = replace(config.pair.kea, leases=LeaseStore(kind="mysql"))
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
