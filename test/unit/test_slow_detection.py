"""Thousands of IPv6 addresses leave duplicate address detection one after another."""

import pytest

from rig.simengine import block, engine
from rig.simowners import OWNERS
from saltext.ipalias.errors import VerifyError
from saltext.ipalias.transaction import Settings

SIX = [f"2001:db8:1::{number}" for number in range(1, 7)]


class OneAfterAnother:
    """Stand for the seconds of detection: each address takes that much longer than the last."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.last = 0.0

    def __radd__(self, now):
        self.last += self.seconds
        return now + self.last


def test_it_is_waited_for_as_long_as_it_goes_on():
    host = OWNERS["networkd"]()
    each = Settings().verify_timeout - 1
    host.net.dad = OneAfterAnother(each)
    before = host.net.now
    assert engine(host, block(*SIX)).managed()["result"] is True
    assert host.net.now - before >= each * len(SIX)


def test_it_is_not_when_it_goes_on_no_more():
    host = OWNERS["networkd"]()
    host.net.dad = OneAfterAnother(Settings().verify_timeout + 1)
    with pytest.raises(VerifyError, match="tentative"):
        engine(host, block(*SIX)).managed()
