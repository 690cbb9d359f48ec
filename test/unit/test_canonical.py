"""The short way to an address's canonical form says what `ipaddress` says, or nothing."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saltext.ipalias.addresses import _address, parse_cidr
from saltext.ipalias.errors import InputError
from saltext.ipalias.model import canonical_address

ANY = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
    st.integers(0, 2**128 - 1).map(lambda number: IPv6Address(number).exploded),
    st.lists(st.sampled_from(["0", "1", "00", "ffff", "db8", "2001"]), max_size=9).map(":".join),
    st.lists(st.sampled_from(["0", "1", "10", "01", "256", "255"]), max_size=5).map(".".join),
    st.text("0123456789abcdefABCDEF:.%/ \n\0", max_size=20),
)


def by_ipaddress(text):
    try:
        return str(ip_address(text))
    except ValueError:
        return None


@given(ANY)
@example("::ffff:192.0.2.1")
@example("::192.0.2.1")
@example("2001:DB8::1")
@example("2001:db8:0:1:0:1:0:1")
@example("2001:db8::1%eth0")
@example("192.0.2.01")
@example("192.0.2.1\n")
def test_what_it_says_is_what_ipaddress_says(text):
    said = canonical_address(text)
    assert said is None or said == by_ipaddress(text)


@pytest.mark.parametrize("text", ["192.0.2.1", "255.255.255.255", "2001:db8::1", "fe80::1"])
def test_it_says_something_of_the_usual_forms(text):
    assert canonical_address(text) == text


@given(ANY)
@example("224.0.0.1")
@example("0.0.0.1")
@example("255.255.255.255")
@example("::2")
@example("ff02::1")
def test_the_short_way_lets_nothing_through_that_the_long_one_refuses(text):
    try:
        read = parse_cidr(text, "here")[0]
    except InputError:
        return
    assert read == str(_address(text.partition("/")[0], text, "here"))
