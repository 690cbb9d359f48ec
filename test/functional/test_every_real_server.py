"""``state.apply ipalias.dsr`` on every system: the whole path, on a simulated host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_every_platform import SimMinion

VIPS = ["203.0.113.80", "2001:db8::80"]
#: The dialect of a host, and what its pillar has beside the VIPs.
SYSTEMS: dict[str, dict[str, Any]] = {
    "freebsd": {},
    "openbsd": {"forwarding": True},
    "solaris": {},
    "ipadm": {},
    "windows": {"interfaces": ["eth0"]},
}


@pytest.fixture(params=sorted(SYSTEMS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SimMinion]:
    minion = SimMinion(request.param, tmp_path)
    minion.pillar = {"dsr": {"vips": VIPS, **SYSTEMS[request.param]}}
    yield minion
    minion.process.stdin.close()
    assert minion.process.wait(60) == 0


def look(minion: SimMinion) -> dict[str, Any]:
    """Return the host without our state: files, addresses, and what systems store elsewhere."""
    told = {what: minion.ask("rig", what) for what in ("addresses", "stored")}
    return {**told, "files": minion.own_files()}


def test_a_highstate_makes_a_real_server_keeps_it_and_takes_it_away(server: SimMinion) -> None:
    before = look(server)
    shown = server.apply("ipalias.dsr", test=True)
    assert shown["ipalias-dsr-managed"]["result"] is None, shown
    assert look(server) == before
    ran = server.apply("ipalias.dsr")
    assert all(ret["result"] is True for ret in ran.values()), ran
    assert ran["ipalias-dsr-managed"]["changes"]
    live = json.dumps(server.ask("rig", "addresses"))
    assert all(vip in live for vip in VIPS)
    after = look(server)
    again = server.apply("ipalias.dsr")
    assert not any(ret["changes"] for ret in again.values()), again
    assert look(server) == after
    gone = server.apply("ipalias.dsr.clean")
    assert all(ret["result"] is True for ret in gone.values()), gone
    assert look(server) == before


def test_an_empty_list_takes_away_what_an_earlier_pillar_asked_for(server: SimMinion) -> None:
    before = look(server)
    server.apply("ipalias.dsr")
    assert look(server) != before
    server.pillar = {"dsr": {**server.pillar["dsr"], "vips": []}}
    ran = server.apply("ipalias.dsr")
    assert all(ret["result"] is True for ret in ran.values()), ran
    assert look(server) == before


def test_a_state_does_without_pillar(server: SimMinion) -> None:
    block, server.pillar = server.pillar["dsr"], {}
    before = look(server)
    ran = server.call("state.single", "ipalias_dsr.managed", "web", **block)
    (ret,) = ran.values()
    assert ret["result"] is True, ret
    assert all(vip in json.dumps(server.ask("rig", "addresses")) for vip in VIPS)
    (gone,) = server.call("state.single", "ipalias_dsr.managed", "web", vips=[]).values()
    assert gone["result"] is True, gone
    assert look(server) == before


def test_the_check_finds_all_as_it_should_be(server: SimMinion) -> None:
    server.apply("ipalias.dsr")
    told = server.call("ipalias_dsr.check")
    assert told["result"] is True, told
    assert [vip["ours"] for vip in told["vips"]] == [True, True]
    assert all(source["ours"] for row in told["settings"] for source in row["sources"]), told


#: A setting of each system, as its pillar names it, that is not so at the start.
SETTING = {
    "freebsd": ("net.inet.ip.forwarding", 1),
    "openbsd": ("net.inet.ip.forwarding", 1),
    "solaris": ("ip/ip_def_ttl", 64),
    "ipadm": ("ipv4/hostmodel", "strong"),
    "windows": ("ipv4/eth0/weakhostreceive", "enabled"),
}


def test_a_setting_of_the_pillar_is_kept_and_given_up(server: SimMinion, request: Any) -> None:
    key, value = SETTING[request.node.callspec.params["server"]]
    before = look(server)
    server.pillar = {"sysctl": {key: value}}
    shown = server.apply("ipalias.sysctl", test=True)
    assert [ret["result"] for ret in shown.values()] == [None], shown
    assert look(server) == before
    assert all(ret["result"] for ret in server.apply("ipalias.sysctl").values())
    (row,) = server.call("ipalias_sysctl.effective", key)
    assert (row["live"], row["after_boot"], row["ours"]) == (str(value), str(value), True)
    assert not any(ret["changes"] for ret in server.apply("ipalias.sysctl").values())
    server.pillar = {"sysctl": {}}
    server.apply("ipalias.sysctl")
    assert look(server) == before
