"""What counts as wrong after a change, and how it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rig.simengine import block, engine, only_present
from rig.simhost import SimHost
from rig.simowners import networkd
from saltext.ipalias.errors import VerifyError
from saltext.ipalias.live import LiveAddress
from saltext.ipalias.live.iproute2 import read_snapshot
from saltext.ipalias.model import Alias
from saltext.ipalias.plan import Plan, make_plan
from saltext.ipalias.report import problems
from saltext.ipalias.targets import managed_target
from saltext.ipalias.verify import address_problem, check_files, check_live

PILLAR = block("203.0.113.1", {"address": "203.0.113.2", "label": "fo1"}, "2001:db8:1::1")


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return networkd()


def plan_of(host: SimHost) -> Plan:
    """Return the plan for PILLAR."""
    asked = engine(host, PILLAR)
    config = asked.config().interfaces["eth0"]
    situation = asked.situation("eth0", config, asked.ledger(), asked.snapshot())
    return make_plan(situation, managed_target(situation, config.aliases), host)


def after(host: SimHost, *lines: str) -> tuple[list[str], bool]:
    """Return what check_live says of a host on which these lines were run."""
    plan = plan_of(host)
    result = host.ip(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
    assert result.code == 0, result.err
    return check_live(plan, read_snapshot(host))


ADDED = (
    "address add 203.0.113.1/32 dev eth0",
    "address add 203.0.113.2/32 dev eth0 label fo1",
    "address add 2001:db8:1::1/128 dev eth0",
)


def test_all_is_well(host: SimHost) -> None:
    assert after(host, *ADDED) == ([], False)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (ADDED[1:], "203.0.113.1/32 is not live"),
        (
            ("address add 203.0.113.1/24 dev eth0", *ADDED[1:]),
            "203.0.113.1/32 is live as 203.0.113.1/24: wrong prefix",
        ),
        (
            (ADDED[0], "address add 203.0.113.2/32 dev eth0", ADDED[2]),
            "203.0.113.2/32 has label none, not fo1",
        ),
        (
            (*ADDED, "address delete 192.0.2.2/24 dev eth0"),
            "192.0.2.2/24 was live before and is not ours: it is gone",
        ),
        (
            (*ADDED, "route delete default dev eth0"),
            "the default route via 192.0.2.1 is gone",
        ),
    ],
)
def test_what_is_wrong_is_named(host: SimHost, lines: tuple[str, ...], said: str) -> None:
    found, hopeless = after(host, *lines)
    assert said in found
    assert not hopeless


def test_a_duplicate_is_hopeless(host: SimHost) -> None:
    host.net.elsewhere.add("2001:db8:1::1")
    found, hopeless = after(host, *ADDED)
    assert found == ["2001:db8:1::1/128 is a duplicate: another host has it (DAD failed)"]
    assert hopeless


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (LiveAddress("eth0", "203.0.113.1", 32, scope="host"), ""),
        (LiveAddress("eth0", "203.0.113.1", 32), "can be chosen as a source address"),
    ],
)
def test_a_promise_of_the_source_is_checked(live: LiveAddress, said: str) -> None:
    alias = Alias("203.0.113.1", 32, "eth0", source="never")
    problem = address_problem(alias, None, {live.cidr: live})
    assert said in problem
    assert bool(said) == bool(problem)


class NeverWalked(dict[str, LiveAddress]):
    """Addresses of which there are too many to look through for each alias."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("looked through")


@pytest.mark.parametrize(
    ("there", "said"),
    [("192.0.2.9/24", "wrong prefix"), ("192.0.2.8/32", "is not live")],
)
def test_a_missing_one_is_not_looked_for_among_all(there: str, said: str) -> None:
    address, prefix = there.split("/")
    now = NeverWalked({there: LiveAddress("eth0", address, int(prefix))})
    assert said in address_problem(Alias("192.0.2.9", 32, "eth0"), None, now)


def test_files_are_read_back(host: SimHost) -> None:
    plan = plan_of(host)
    backend = plan.situation.backend
    with pytest.raises(VerifyError, match=r"eth0: 2001:db8:1::1/128 is not in the files"):
        check_files(plan, backend.parse(host, plan.situation.evidence))
    engine(host, PILLAR).managed()
    check_files(plan, backend.parse(host, plan.situation.evidence))
    found = tuple(backend.parse(host, plan.situation.evidence))
    gone = replace(plan, entries=(), change=replace(plan.change, removed=plan.change.added))
    with pytest.raises(VerifyError, match="is still in the files"):
        check_files(gone, found)


def test_verify_tells_what_is_not_as_wanted(host: SimHost) -> None:
    asked = engine(host, PILLAR)
    asked.managed()
    assert problems(asked) == []
    host.ip(["ip", "address", "delete", "203.0.113.1/32", "dev", "eth0"], None)
    assert problems(asked) == ["eth0: 203.0.113.1/32 is not live"]
    host.files.drop("/etc/systemd/network/50-eth0.network.d/60-ipalias.conf")
    assert "eth0: 203.0.113.1/32 is in no file" in problems(asked)
