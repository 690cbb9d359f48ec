"""Functions, state and SLS of direct server return, through the loader, on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loader_minion import Minion

V4, V6 = "203.0.113.80", "2001:db8:8::80"
PILLAR = {"dsr": {"vips": [V4, V6], "interfaces": ["eth0"]}}
VIPS = {f"{V4}/32", f"{V6}/128"}
ALL = "/proc/sys/net/ipv4/conf/all"
FOLDERS = ("/run/openrc", "/etc/runlevels", "/etc/sysctl.d", "/etc/local.d", "/etc/ipalias")

KEYS = ("arp_ignore", "arp_announce")


@pytest.fixture
def server(minion: Minion) -> Iterator[Minion]:
    """Give a host whose lo nobody configures, with what would load a file of ours at boot."""
    host = minion.host
    host.write("/run/openrc/softlevel", "default\n")
    host.write("/etc/runlevels/default/local", "")
    host.run(["mkdir", "-p", "/etc/runlevels/boot", "/etc/sysctl.d", "/etc/local.d"])
    # The host is the lane's: what another file's tests set there would be the value found.
    for key in KEYS:
        host.run(["tee", f"{ALL}/{key}"], "0")
    minion.pillar = PILLAR
    yield minion
    host.run(["ip", "address", "flush", "dev", "lo", "scope", "global"])
    for key in KEYS:
        host.run(["tee", f"{ALL}/{key}"], "0")
    host.remove(*FOLDERS)


def live(minion: Minion) -> set[str]:
    own = {"127.0.0.1", "::1"}
    return {str(found) for found in minion.host.addresses("lo") if found.address not in own}


def settings(minion: Minion) -> list[str]:
    host = minion.host
    return [(host.read(f"{ALL}/{key}") or "").strip() for key in KEYS]


def test_managed_check_and_absent(server: Minion) -> None:
    done = server.call("ipalias_dsr.managed")
    assert done["result"] is True
    assert live(server) == VIPS
    assert settings(server) == ["1", "2"]
    assert server.call("ipalias_dsr.managed")["changes"] == {}
    checked = server.call("ipalias_dsr.check")
    assert checked["result"] is True, checked["comment"]
    assert server.call("ipalias_dsr.absent", V4)["result"] is True
    assert live(server) == {f"{V6}/128"}
    assert server.call("ipalias_dsr.absent", [V6])["result"] is True
    assert live(server) == set()
    assert settings(server) == ["0", "0"]


def test_test_mode_has_no_effect(server: Minion) -> None:
    before = server.picture("/etc", "/var/lib/ipalias")
    shown = server.call("ipalias_dsr.managed", test=True)
    assert shown["result"] is None
    assert {"files", "settings", "addresses"} <= set(shown["changes"])
    ret = server.state("ipalias_dsr.managed", "dsr", test=True)
    assert (ret["result"], ret["changes"]) == (None, shown["changes"])
    assert server.picture("/etc", "/var/lib/ipalias") == before
    assert (live(server), settings(server)) == (set(), ["0", "0"])


def test_a_highstate_makes_keeps_and_takes_away(server: Minion) -> None:
    ran = server.sls("ipalias")
    assert all(ret["result"] is True for ret in ran.values()), ran
    assert ran["ipalias-dsr-managed"]["changes"]
    assert live(server) == VIPS
    assert not any(ret["changes"] for ret in server.sls("ipalias").values())
    server.pillar = {}
    assert server.sls("ipalias")["ipalias-dsr-managed"]["changes"]
    assert (live(server), settings(server)) == (set(), ["0", "0"])


@pytest.mark.parametrize("sls", ["ipalias.clean", "ipalias.dsr.clean"])
def test_clean_takes_vips_and_settings(server: Minion, sls: str) -> None:
    server.sls("ipalias.dsr")
    assert live(server) == VIPS
    ran = server.sls(sls)
    assert all(ret["result"] is True for ret in ran.values()), ran
    assert (live(server), settings(server)) == (set(), ["0", "0"])
    assert not server.host.exists("/etc/ipalias")


def test_the_alias_part_leaves_vips_alone(server: Minion) -> None:
    server.sls("ipalias")
    server.sls("ipalias.alias.clean")
    server.pillar = {**PILLAR, "purge": "all", "interfaces": {"eth0": {"addresses": []}}}
    server.sls("ipalias.alias")
    assert live(server) == VIPS
    assert f"ipalias_dsr.absent {V4}" in server.refusal("ipalias.remove", V4)


def test_states_without_pillar(server: Minion) -> None:
    server.pillar = {}
    ret = server.state("ipalias_dsr.managed", "web", vips=[V4], interfaces=["eth0"])
    assert ret["result"] is True, ret
    assert live(server) == {f"{V4}/32"}
    assert (
        "only together with `vips`"
        in server.state("ipalias_dsr.managed", "web", scope="all")["comment"]
    )
    ret = server.state("ipalias_dsr.absent", "web", vips=[V4])
    assert ret["changes"]["addresses"]["removed"] == [f"{V4}/32"]
    assert (live(server), settings(server)) == (set(), ["0", "0"])


@pytest.mark.parametrize(
    ("pillar", "what"),
    [
        ({"dsr": {"vips": [f"{V4}/24"]}}, "ipalias:dsr:vips[0]"),
        ({"dsr": {"vips": [V4], "interfaces": ["eth9"]}}, "eth9 is no interface of this host"),
        ({"dsr": {"vip": V4}}, "did you mean `vips`?"),
        ({"dsr": [V4]}, "is not a mapping"),
        ({**PILLAR, "interfaces": {"eth0": {"addresses": [V4]}}}, "ipalias:dsr:vips[0]"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    server: Minion, pillar: dict[str, Any], what: str
) -> None:
    before = server.picture("/etc")
    server.pillar = pillar
    assert what in server.refusal("ipalias_dsr.managed")
    ret = server.state("ipalias_dsr.managed", "dsr")
    assert ret["result"] is False
    assert what in ret["comment"]
    assert server.picture("/etc") == before
    assert (live(server), settings(server)) == (set(), ["0", "0"])


def test_the_primary_is_no_vip(server: Minion) -> None:
    server.pillar = {"dsr": {"vips": [server.host.primary]}}
    assert "is the primary address of eth0" in server.refusal("ipalias_dsr.managed")


def test_a_probe_of_a_silent_segment(server: Minion) -> None:
    told = server.call("ipalias_dsr.probe", V4, real="192.0.2.1")
    assert told["result"] is True
    assert told["answers"]["192.0.2.1"]
    assert "nothing to ask for" in server.refusal("ipalias_dsr.probe", "")


def test_a_prober_without_a_master_is_told_how_to_do_it_by_hand(server: Minion) -> None:
    server.sls("ipalias.dsr")
    outcome = server._job(["call", "ipalias_dsr.check", [], {"prober": "web2"}])
    told = outcome.text or outcome.value["comment"]
    assert "salt web2 ipalias_dsr.probe" in told or "no publish module" in told
