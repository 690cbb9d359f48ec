"""A real server has another minion ask the segment for its VIPs, through the master."""

from __future__ import annotations

import pytest
from conftest import WANTED

VIPS = ["203.0.113.80", "2001:db8:2::80"]
SILENCE = "net.ipv4.conf.all.arp_ignore"
# On web2 the interfaces file names lo: nothing boots here that would load a unit for it.
SERVER, PROBER = "web2", "web1"
REAL_SERVER = {**WANTED, "dsr": {"vips": VIPS}}


@pytest.fixture(scope="module")
def real_server(fleet, settled):
    """Make web2 a real server, and no longer one afterwards."""
    fleet.pillar(SERVER, REAL_SERVER)
    try:
        made = fleet.states(SERVER, "state.apply", "ipalias.dsr")
        assert all(ret["result"] is True for ret in made.values()), made
        # A state run reads the pillar anew; what a minion answers by hand with is the one it keeps.
        assert fleet.salt(SERVER, "saltutil.refresh_pillar", "wait=True")[SERVER] is True
        yield fleet
    finally:
        cleaned = fleet.states(SERVER, "state.apply", "ipalias.dsr.clean")
        fleet.pillar(SERVER, WANTED)
    assert all(ret["result"] is True for ret in cleaned.values()), cleaned


def checked(fleet, prober):
    """Return what web2's check says with another minion asking."""
    told = fleet.salt(SERVER, "ipalias_dsr.check", f"prober={prober}")[SERVER]
    assert isinstance(told, dict), told
    return told


def test_the_prober_hears_the_real_address_and_no_vip(real_server):
    told = checked(real_server, PROBER)
    assert told["prober"]["result"] is True, told["prober"]
    assert told["result"] is True, told


def test_a_server_that_answers_for_its_vip_is_told_by_the_prober(real_server):
    host = real_server.hosts[SERVER]
    host.run(["sysctl", "-qw", f"{SILENCE}=0"])
    try:
        told = checked(real_server, PROBER)
    finally:
        host.run(["sysctl", "-qw", f"{SILENCE}=1"])
    assert told["result"] is False, told
    assert told["prober"]["result"] is False, told
    assert any(fault.startswith(f"{PROBER}: ") and VIPS[0] in fault for fault in told["faults"]), (
        told
    )


def test_a_prober_that_cannot_be_asked_is_no_proof_of_silence(real_server):
    told = checked(real_server, "nobody")
    assert told["result"] is False, told
    assert "`peer` configuration" in told["prober"]["comment"], told
    assert "salt nobody ipalias_dsr.probe" in told["prober"]["comment"], told
