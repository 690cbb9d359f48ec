"""Who is asked for a VIP, in which frames, and what the answers mean."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from rig.simhost import SimHost
from rig.simowners import machine
from saltext.ipalias.announce import checksum
from saltext.ipalias.dsrprobe import probe
from saltext.ipalias.effects import Probe
from saltext.ipalias.errors import InputError, RefusedError
from saltext.ipalias.probe import parse_answer, render_probe

VIP4, VIP6 = "203.0.113.80", "2001:db8:8::80"
REAL4, REAL6 = "192.0.2.11", "2001:db8::11"
SERVER, BALANCER = "02:00:00:00:00:11", "02:00:00:00:00:99"
OWN = "02:00:00:00:00:02"


@pytest.fixture
def host() -> SimHost:
    return machine({}, links=("eth0", "eth1"))


def asked(host: SimHost, *vips: str, real: Any = (REAL4,), **more: Any) -> dict[str, Any]:
    return probe(host, vips, more.get("interface"), real, more.get("macs", ()))


def sent(host: SimHost) -> Probe:
    (effect,) = [effect for effect in host.log if isinstance(effect, Probe)]
    return effect


def test_a_silent_server_whose_own_address_answers(host: SimHost) -> None:
    host.taken = {REAL4: SERVER}
    told = asked(host, VIP4)
    assert told["result"] is True
    assert told["answers"] == {VIP4: [], REAL4: [SERVER]}
    assert told["interface"] == "eth0"


def test_a_server_that_answers(host: SimHost) -> None:
    host.taken = {REAL4: SERVER, VIP4: SERVER}
    told = asked(host, VIP4)
    assert told["result"] is False
    assert told["faults"] == [f"the real server ({SERVER}) answers for {VIP4}"]


def test_the_balancer_may_answer(host: SimHost) -> None:
    host.taken = {REAL4: SERVER, VIP4: BALANCER}
    told = asked(host, VIP4)
    assert told["result"] is True
    assert f"only {BALANCER} answers for {VIP4}" in told["comment"]


def test_a_server_that_answers_by_another_card(host: SimHost) -> None:
    host.taken = {REAL4: SERVER, VIP4: BALANCER}
    assert asked(host, VIP4, macs=[BALANCER])["result"] is False


def test_without_a_comparison_nobody_may_answer(host: SimHost) -> None:
    host.taken = {VIP4: BALANCER}
    assert asked(host, VIP4, real=(), interface="eth0")["result"] is False
    host.taken = {}
    assert asked(host, VIP4, real=(), interface="eth0")["result"] is True


def test_a_server_that_is_not_reached_proves_nothing(host: SimHost) -> None:
    told = asked(host, VIP4)
    assert told["result"] is False
    assert "its silence says nothing" in told["faults"][0]


def test_each_is_asked_for_in_both_forms(host: SimHost) -> None:
    host.taken = {REAL4: SERVER, REAL6: SERVER}
    asked(host, VIP4, VIP6, real=(REAL4, REAL6))
    effect = sent(host)
    assert effect.every
    assert effect.asked == (VIP4, VIP6, REAL4, REAL6)
    assert len(effect.frames) == 8
    assert render_probe(OWN, VIP4) in effect.frames
    assert render_probe(OWN, VIP4, "192.0.2.2") in effect.frames
    assert render_probe(OWN, VIP6) in effect.frames
    assert render_probe(OWN, VIP6, "fe80::2") in effect.frames


def test_a_solicitation_of_a_neighbour_is_whole() -> None:
    """RFC 4861, 4.3: with a source it has the option that says where to answer."""
    frame = render_probe(OWN, VIP6, "fe80::2")
    header, body = frame[14:54], frame[54:]
    assert header[8:24] == ipaddress.ip_address("fe80::2").packed
    assert int.from_bytes(header[4:6], "big") == len(body) == 32
    assert body[24:] == bytes.fromhex(f"0101{OWN.replace(':', '')}")
    pseudo = header[8:40] + len(body).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert checksum(pseudo + body) == 0
    assert parse_answer(frame, OWN, {VIP6}) is None


@pytest.mark.parametrize(
    ("vips", "more", "what"),
    [
        ((), {}, "nothing to ask for"),
        (("203.0.113.300",), {}, "is not an IP address"),
        ((VIP4,), {"interface": "eth9"}, "there is no interface 'eth9'"),
        ((VIP4,), {"interface": "../x"}, "is not an interface name"),
        ((VIP4,), {"real": ("198.51.100.200",)}, "which interface is meant"),
        ((VIP4,), {"real": ()}, "which interface is meant"),
        (("192.0.2.2",), {}, "live on this host's eth0"),
    ],
)
def test_what_cannot_be_asked(host: SimHost, vips: Any, more: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        asked(host, *vips, **more)
    assert not any(isinstance(effect, Probe) for effect in host.log)


def test_a_system_without_packet_sockets(host: SimHost) -> None:
    host.system = "openbsd"
    with pytest.raises(RefusedError, match="let a Linux host"):
        asked(host, VIP4)
