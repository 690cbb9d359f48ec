"""No string of the block ipalias:dhcp becomes anything but a string of a server's file.

The whole list of strings is run by the proof of safety (`rig/hostile.py`).
"""

from __future__ import annotations

import copy

from rig import dhcphostile
from rig.dhcppair import WHOLE
from rig.hostile_strings import MARK, every, odd
from saltext.ipalias.dhcp.config import DHCP_KEYS
from saltext.ipalias.dhcp.config_pair import KEA_KEYS


def test_no_field_carries_a_string_out_of_its_quotes() -> None:
    strings = [text for text in every()[::23] if len(text) < 4096]
    tried, fields, problems = dhcphostile.attack(strings)
    assert problems == []
    assert fields > 100
    assert tried == fields * len(strings)


def test_no_kind_of_value_gets_further_than_a_refusal() -> None:
    tried, _, problems = dhcphostile.attack(odd())
    assert problems == []
    assert tried > 1000


def test_every_key_is_attacked() -> None:
    isc, kea = WHOLE
    assert {*isc, *kea} == set(DHCP_KEYS)
    assert set(kea["kea"]) == set(KEA_KEYS)


def test_the_attack_sees_what_gets_out() -> None:
    """A text that is allowed is seen where it stands, and a member's name is not a string."""
    block = copy.deepcopy(WHOLE[0])
    block["subnets"][0]["options"]["root-path"] = f"/{MARK}"
    assert list(dhcphostile.reached(dhcphostile.parse_dhcp(block))) == []
    block["subnets"][0]["reservations"][0]["hostname"] = MARK
    block["pair"]["name"] = MARK
    config = dhcphostile.parse_dhcp(block)
    assert any(MARK in text for text in dhcphostile.rendered(config))
    broken = {"Dhcp4": {"subnet4": [{"subnet": MARK}]}}
    assert list(dhcphostile._in_document(broken)) == [f"/Dhcp4/subnet4/subnet: {MARK}"]
