"""A member whose address is an alias that the same pillar is still to bring."""

from __future__ import annotations

from typing import Any

import pytest

from rig.simdhcp import MEMBERS, block, linux, setup
from rig.simhost import SimHost
from rig.simnet import SimAddress
from saltext.ipalias.dhcp.setup import Setup
from saltext.ipalias.errors import InputError

ADDRESS = "192.0.2.9"
BLOCK = block(pair={"members": {**MEMBERS, "dhcp1": {**MEMBERS["dhcp1"], "address": ADDRESS}}})
PLACE = "ipalias:dhcp:pair:members:dhcp1:address"


def made(host: SimHost, interfaces: Any, dhcp: Any = None, minion: str = "dhcp1") -> Setup:
    request = setup(host, BLOCK if dhcp is None else dhcp)
    request.data = {"guard": False, "interfaces": interfaces, "dhcp": request.data["dhcp"]}  # type: ignore[index]
    request.minion = minion
    return request


@pytest.mark.parametrize("minion", ["dhcp1", "somebody"])
@pytest.mark.parametrize("interface", ["eth0", "default"])
def test_an_alias_that_is_still_to_come_is_told_and_no_refusal(minion: str, interface: str) -> None:
    host = linux()
    listed = {interface: {"addresses": ["198.51.100.7", f"{ADDRESS}/24"]}}
    answer = made(host, listed, minion=minion).managed(test=True)
    assert answer["result"] is None and answer["changes"]["files"]
    said = f"{ADDRESS}/24 of eth0 (ipalias:interfaces:{interface}:addresses[1])"
    assert said in answer["notes"][0] and "once the aliases are applied" in answer["comment"]
    assert host.mutating == []
    with pytest.raises(InputError, match=r"is not an address of this host|this host, 'somebody'"):
        made(host, listed, minion=minion).managed()
    assert host.mutating == []
    host.net.add4("eth0", SimAddress(ADDRESS, 24))
    done = made(host, listed, minion=minion).managed(test=True)
    assert "once the aliases" not in done["comment"]
    assert made(host, listed, minion=minion).managed()["result"] is True
    # Nothing of the pair is to be changed then, and all the same not all is as wanted.
    host.net.delete4("eth0", ADDRESS, 24)
    again = made(host, listed, minion=minion).managed(test=True)
    assert (again["result"], again["changes"]) == (None, {})


@pytest.mark.parametrize(
    "interfaces",
    [
        None,
        {"eth0": {"addresses": ["198.51.100.7"]}},
        {"eth7": {"addresses": [ADDRESS]}},
        {"eth0": {"addresses": [f"{ADDRESS}/99"]}},
        {"eth0": {"addresses": [ADDRESS], "purge": "perhaps"}},
        {"eth0": [ADDRESS]},
    ],
)
def test_what_no_alias_brings_is_refused_as_ever(interfaces: Any) -> None:
    host = linux()
    for test in (True, False):
        with pytest.raises(InputError, match=rf"{PLACE}: {ADDRESS} is not an address of this"):
            made(host, interfaces).managed(test=test)
    assert host.mutating == []


def test_an_interface_may_get_its_network_by_an_alias() -> None:
    host = linux()
    host.net.add_link("eth1")
    listed = {"eth1": {"addresses": ["203.0.113.2/24"]}}
    nets = [*block()["subnets"], {"subnet": "203.0.113.0/24"}]
    wanted = block(interfaces=["eth1"], subnets=nets)
    answer = made(host, listed, wanted).managed(test=True)
    assert answer["result"] is None and "203.0.113.2/24 of eth1" in answer["comment"]
    with pytest.raises(InputError, match="no subnet declares a network of eth1"):
        made(host, listed, wanted).managed()


def test_the_peers_address_as_an_alias_here_is_refused() -> None:
    host = linux()
    listed = {"eth0": {"addresses": [ADDRESS, "192.0.2.3"]}}
    with pytest.raises(InputError, match=r"192\.0\.2\.3, the peer's, is an address of this host"):
        made(host, listed).managed(test=True)
