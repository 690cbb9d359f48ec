"""The alias at which this host's DHCP server listens for its peer is not taken away."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rig.simdhcp import MEMBERS
from rig.simengine import block, engine
from rig.simhost import SimHost
from rig.simnm import OWNERS
from saltext.ipalias.dhcp.places import Places
from saltext.ipalias.engine import Engine
from saltext.ipalias.errors import RefusedError
from saltext.ipalias.lifeline import pair_addresses

ADDRESS = "198.51.100.10"
DHCP = {"pair": {"members": {**MEMBERS, "dhcp1": {**MEMBERS["dhcp1"], "address": ADDRESS}}}}
SAID = (
    rf"ipalias:dhcp:pair:members:dhcp1:address: {ADDRESS} is not taken away: .*DHCP server.*"
    rf"ipalias\.dhcp\.clean; `ipalias\.remove {ADDRESS} force={ADDRESS}`"
)


def pillar(*addresses: str, dhcp: Any = DHCP, **more: Any) -> dict[str, Any]:
    return {**block(*addresses, **more), "dhcp": dhcp}


@pytest.fixture
def member() -> SimHost:
    """Give a host whose DHCP server listens on an alias."""
    host = OWNERS["networkd"]()
    engine(host, pillar(ADDRESS, "198.51.100.11")).managed()
    host.files.make_folders("/var/lib/ipalias/dhcp")
    host.files.put(Places().found, "{}\n")
    return host


def requests(host: SimHost) -> dict[str, Engine]:
    """Return requests that take the alias away, each in its own way."""
    given = engine(host, block("198.51.100.11"))
    given.root, given.whole = "state eth0", (pillar("198.51.100.11"), "ipalias")
    return {
        "left the list": engine(host, pillar("198.51.100.11")),
        "interface left the pillar": engine(host, {"dhcp": DHCP, "interfaces": {}}),
        "list given directly": given,
    }


@pytest.mark.parametrize("test", [True, False])
def test_it_stays_however_it_is_taken_away(member: SimHost, test: bool) -> None:
    before = member.state()
    for request in requests(member).values():
        with pytest.raises(RefusedError, match=SAID):
            request.managed(test=test)
    asked = engine(member, pillar(ADDRESS, "198.51.100.11"))
    with pytest.raises(RefusedError, match=SAID):
        asked.remove([(ADDRESS, None)], test=test)
    if test:
        # `ipalias.clean` takes the pair away first, and has not with `test`.
        told = engine(member, pillar()).clean(test=True)
        assert told["result"] is None and re.search(SAID, told["comment"])
    else:
        with pytest.raises(RefusedError, match=SAID):
            engine(member, pillar()).clean()
    assert member.state() == before
    assert asked.remove([("198.51.100.11", None)], test=test)["changes"]


def test_who_names_it_once_more_takes_it_away(member: SimHost) -> None:
    request = engine(member, pillar(ADDRESS))
    request.forced = frozenset({ADDRESS})
    assert request.remove([(ADDRESS, None)])["result"] is True


def test_it_may_change_its_place(member: SimHost) -> None:
    """The same address by another prefix, and by another interface, is this host's all the same."""
    told = engine(member, pillar(f"{ADDRESS}/24", "198.51.100.11")).managed()
    assert told["changes"]["addresses"]["removed"] == [f"{ADDRESS}/32"]


@pytest.mark.parametrize(
    "dhcp",
    [
        None,
        {"pair": {"members": MEMBERS}},
        {"pair": {"members": [ADDRESS]}},
        {"pair": {"members": {"dhcp1": ADDRESS, "dhcp2": {"address": [ADDRESS]}}}},
        [ADDRESS],
    ],
)
def test_what_no_member_has_goes_as_ever(member: SimHost, dhcp: Any) -> None:
    told = engine(member, pillar("198.51.100.11", dhcp=dhcp)).managed()
    assert told["changes"]["addresses"]["removed"] == [f"{ADDRESS}/32"]


def test_before_the_pair_is_there_and_after_its_clean_nobody_listens(member: SimHost) -> None:
    member.files.nodes.pop(Places().found)
    assert engine(member, pillar("198.51.100.11")).managed()["result"] is True


def test_members_are_read_as_they_are_written() -> None:
    assert pair_addresses({"dhcp": DHCP}, "a:b") == {
        ADDRESS: "a:b:dhcp:pair:members:dhcp1:address",
        "192.0.2.3": "a:b:dhcp:pair:members:dhcp2:address",
    }
    for data in (None, "x", {"dhcp": {"pair": 3}}):
        assert pair_addresses(data, "a") == {}
