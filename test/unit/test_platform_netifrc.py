"""Gentoo with netifrc: the whole path on a simulated host, its boot and its refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rig.plat import netifrc as plat
from rig.simafter import reboot
from rig.simengine import block, engine, only_present
from rig.simforms import Cited, survivors
from rig.simhost import Fault, SimHost
from rig.simnm import OWNERS
from rig.simowners import networkd
from rig.simscenes import comparable, differences
from saltext.ipalias.backends import load
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, IpaliasError
from saltext.ipalias.host import Result
from saltext.ipalias.owner import detect_all
from saltext.ipalias.restore import restore
from saltext.ipalias.upkeep import restart

ONE, SIX = "198.51.100.10", "2001:db8:1::10"
LABELLED = {"address": "198.51.100.11/32", "label": "fo1"}
HIDDEN = {"address": "198.51.100.12/32", "source": "never"}
HIDDEN6 = {"address": "2001:db8:1::12", "source": "never"}
ALL = block(ONE, LABELLED, HIDDEN, SIX, HIDDEN6, "203.0.113.5/24")
GUIDE = """config_eth0=( "192.0.2.2 netmask 255.255.255.0" "2001:db8::2/64" )
routes_eth0=( "default gw 192.0.2.1" "default gw 2001:db8::1" )
"""


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return plat.host()


def conf(host: SimHost) -> str:
    return host.files.read(plat.CONF) or ""


def looks(host: SimHost) -> set[tuple[str, str, str, bool]]:
    """Return what the kernel shows of each address of eth0."""
    link = host.net.links["eth0"]
    return {(a.cidr, a.label, a.scope, a.deprecated) for a in (*link.addresses4, *link.addresses6)}


def script(host: SimHost, name: str = "eth0") -> Any:
    return host.programs[f"/etc/init.d/net.{name}"]


@pytest.mark.parametrize("text", ["", GUIDE])
def test_a_boot_brings_up_what_a_change_did(text: str) -> None:
    """The same addresses with label, scope and lifetime, and the routes."""
    host = plat.host(text=text)
    engine(host, ALL).managed()
    fresh = reboot(host)
    assert looks(fresh) == looks(host)
    assert fresh.net.links["eth0"].addresses4[1].address == "192.0.2.2"  # behind the hidden one
    assert {(r.family, r.gateway) for r in fresh.net.routes if r.destination == "default"} == {
        (4, "192.0.2.1"),
        (6, "2001:db8::1"),
    }
    assert engine(fresh, ALL).managed()["changes"] == {}


def test_everything_of_others_is_kept(host: SimHost) -> None:
    plat.FOREIGN(host)
    text = conf(host)
    engine(host, ALL).managed()
    for line in text.replace('/64"', "/64").splitlines():
        assert line in conf(host).replace('/64"', "/64").splitlines()
    engine(host, block()).clean()
    assert conf(host) == text


def test_two_interfaces_share_the_file() -> None:
    host = plat.host(links=("eth0", "eth1"))
    text = conf(host)
    pillar = {
        "interfaces": {
            "eth0": {"addresses": [ONE]},
            "eth1": {"addresses": [LABELLED], "form": "array"},
        }
    }
    assert engine(host, pillar).managed()["result"] is True
    assert 'config_eth1=( "198.51.100.2/26" "198.51.100.11 netmask 255.255.255.255' in conf(host)
    assert f"{ONE}/32 brd {ONE}" in conf(host)
    assert engine(host, pillar).managed()["changes"] == {}
    engine(host, {**pillar, "form": "string"}).clean()
    assert conf(host) == text.replace('"198.51.100.2/26"', '( "198.51.100.2/26" )')
    restore(engine(host, pillar), plat.CONF)
    assert conf(host) == text


def test_the_guides_array_under_dash_is_refused_and_converted_when_asked() -> None:
    host = plat.host(text=GUIDE, sh="/usr/bin/dash")
    before = comparable(host)
    with pytest.raises(IpaliasError, match=r"net:1: /bin/sh is /usr/bin/dash: .*`form: string`"):
        engine(host, block(ONE)).managed()
    assert differences(before, comparable(host)) == []
    given = block(ONE, form="string")
    assert engine(host, given).managed()["result"] is True
    assert "(" not in conf(host)
    assert looks(reboot(host)) == looks(host)
    assert engine(host, given).managed()["changes"] == {}


@pytest.mark.parametrize("item", [LABELLED, HIDDEN, HIDDEN6])
def test_the_module_ifconfig_has_no_labels_and_no_scopes(item: object) -> None:
    host = plat.host(text=plat.TEXT.replace('"iproute2"', '"ifconfig"'))
    before = comparable(host)
    with pytest.raises(IpaliasError, match="the module ifconfig of netifrc has no"):
        engine(host, block(item)).managed()
    assert differences(before, comparable(host)) == []
    assert engine(host, block(ONE)).managed()["result"] is True


def test_a_wide_hidden_alias_is_refused_with_the_way_out(host: SimHost) -> None:
    with pytest.raises(IpaliasError, match="write it as a /32"):
        engine(host, block({"address": "203.0.113.5/24", "source": "never"})).managed()


def test_a_form_of_another_dialect_changes_nothing(host: SimHost) -> None:
    """The key stands at the top for several dialects."""
    assert engine(host, block(ONE, form="post-up")).managed()["result"] is True
    assert f"\n{ONE}/32 brd {ONE}" in conf(host)
    array = plat.host(text=GUIDE)
    engine(array, block(ONE, form="post-up")).managed()
    assert f'"{ONE} netmask 255.255.255.255 brd {ONE}" )' in conf(array)


def test_a_running_owner_of_another_dialect_wins() -> None:
    for other in ("networkd", "networkmanager"):
        host = OWNERS[other]()
        for path, node in plat.host().files.nodes.items():
            host.files.nodes.setdefault(path, node)
        host.programs["readlink"] = plat.host().programs["readlink"]
        assert [e.backend for e in detect_all(host, "eth0") if e.owns][:2] == [other, "netifrc"]
    assert not load("netifrc").detect(networkd(), "eth0").owns


# Restart


def run_lines(host: SimHost) -> list[str]:
    lines = [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]
    return [line for line in lines if line.startswith("/etc/init.d/")]


@pytest.mark.parametrize(
    ("scope", "lines"),
    [
        ("alias", []),
        ("interface", ["/etc/init.d/net.eth0 restart"]),
        ("network", ["/etc/init.d/net.eth0 restart", "/etc/init.d/net.eth1 restart"]),
    ],
)
def test_the_commands_of_each_level(scope: str, lines: list[str]) -> None:
    host = plat.host(links=("eth0", "eth1"))
    engine(host, ALL).managed()
    before = looks(host)
    host.log.clear()
    told = restart(engine(host, ALL), name="eth0", scope=scope)
    assert run_lines(host) == lines
    assert looks(host) == before
    assert ("nothing: aliases need no restart here" in told["comment"]) is (scope == "alias")


def test_a_service_that_is_not_started_is_not_restarted() -> None:
    host = plat.host(links=("eth0", "eth1"))
    host.files.unlink("/run/openrc/started/net.eth1")
    commands = load("netifrc").restart(load("netifrc").detect(host, "eth0"), "network", host)
    assert [command.argv[0] for command in commands] == ["/etc/init.d/net.eth0"]


# What the platform refuses


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("start", "ERROR: net.eth0 failed to start"),
        ("boot", "system which openrc did not boot"),
        ("nfs", "root filesystem is network mounted -- can't stop eth0"),
    ],
)
def test_a_restart_that_fails_takes_the_change_back(host: SimHost, trouble: str, said: str) -> None:
    """OpenRC openrc-run.c svc_start_real, openrc-run.sh verify_boot; netifrc net.lo stop."""
    before = comparable(host)
    script(host).script.troubles.add(trouble)
    with pytest.raises(EffectError, match=re.escape(said)) as caught:
        engine(host, block(ONE, restart="interface")).managed()
    assert "`/etc/init.d/net.eth0 restart`" in str(caught.value)
    assert differences(before, comparable(host)) == []


def test_a_service_that_is_gone_takes_the_change_back(host: SimHost) -> None:
    before = comparable(host)
    del host.programs["/etc/init.d/net.eth0"]
    with pytest.raises(EffectError, match="exit 127"):
        engine(host, block(ONE, restart="interface")).managed()
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize(
    ("said", "line"),
    [
        # iproute2 with kernel 6.x: net/ipv4/devinet.c, net/ipv6/addrconf.c; ipaddress.c.
        ("Error: ipv4: Address already assigned.", 1),
        ('Cannot find device "eth0"', 1),
        ("Error: ipv4: Invalid scope value.", 2),
        ("Error: ipv6: address already assigned.", 3),
        ("RTNETLINK answers: Permission denied", 3),
    ],
)
def test_a_live_address_that_is_refused_takes_the_change_back(
    host: SimHost, said: str, line: int
) -> None:
    given = block(ONE, HIDDEN, SIX)
    before, twin = comparable(host), host.twin()
    engine(twin, given).managed()
    (at,) = (
        index
        for index, effect in enumerate(twin.log)
        if isinstance(effect, Run) and "-batch" in effect.command.argv
    )
    host.faults = [Fault(at, result=Result(1, "", f"{said}\nCommand failed -:{line}\n"))]
    with pytest.raises(EffectError, match=re.escape(said)) as caught:
        engine(host, given).managed()
    assert f"addresses[{line - 1}]" in str(caught.value)
    assert differences(before, comparable(host)) == []


def test_an_address_that_is_not_there_to_be_taken_away(host: SimHost) -> None:
    """``ip address delete``: "Error: ipv4: Address not found."."""
    engine(host, block(ONE)).managed()
    before, twin = comparable(host), host.twin()
    engine(twin, block()).clean()
    at = max(
        index
        for index, effect in enumerate(twin.log)
        if isinstance(effect, Run) and "-batch" in effect.command.argv
    )
    said = "Error: ipv4: Address not found.\nCommand failed -:1\n"
    host.faults = [Fault(at, result=Result(1, "", said))]
    with pytest.raises(EffectError, match="Address not found"):
        engine(host, block()).clean()
    assert differences(before, comparable(host)) == []


def test_a_slip_of_the_pen_in_a_command_is_refused() -> None:
    host = plat.host(links=("eth0", "eth1"))
    engine(host, ALL).managed()
    restart(engine(host, ALL), name="eth0", scope="network")
    slips = left = 0
    for program in host.programs.values():
        if isinstance(program, Cited):
            assert program.taken
            assert not program.refused
            count, taken = survivors(program, program.taken)
            slips, left = slips + count, left + len(taken)
    assert slips > 9
    assert left <= slips * 0.05
