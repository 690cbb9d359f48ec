"""A multi-WAN configuration brought to a simulated host: what is refused, undone, told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from rig.simhost import SimHost
from rig.simnet import SimAddress
from rig.simwan import CONFIG, UNIT, block, linux
from rig.wanhosts import SOURCES, SOURCES6
from saltext.ipalias.errors import EffectError, InputError, RefusedError, UnsupportedError
from saltext.ipalias.host import Result
from saltext.ipalias.live import Route, Snapshot
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.kernel import Rule
from saltext.ipalias.wan.kernelsettings import kernel_settings
from saltext.ipalias.wan.linuxsetup import LinuxSetup
from saltext.ipalias.wan.owners import NETWORKD, networkd_files, read_owners, render_networkd
from saltext.ipalias.wan.start import NAME
from saltext.ipalias.wan.systems import make

_ids = itertools.count(1)


@pytest.fixture
def host() -> SimHost:
    """Give a host with a LAN, two lines and the settings that its kernel knows."""
    made = linux()
    for name in ("lan0", "lan1", *SOURCES):
        made.net.link(name).addresses4.clear()
    made.net.routes = [r for r in made.net.routes if r.interface == "eth0"]
    for name, address in SOURCES.items():
        made.net.add4(name, SimAddress(address, 25))
        made.net.add6(name, SimAddress(SOURCES6[name], 64))
    made.proc.fill(sorted(made.net.links))
    made.proc.values |= {f"net/ipv{f}/fib_multipath_hash_policy": "0" for f in (4, 6)}
    for folder in ("default", "all", *sorted(made.net.links)):
        for family in (4, 6):
            path = f"net/ipv{family}/conf/{folder}/ignore_routes_with_linkdown"
            made.proc.values[path] = "0"
    made.files.make_folders("/etc/sysctl.d")
    made.log.clear()
    return made


def setup(host: SimHost, wan: Any = None) -> LinuxSetup:
    data = {"wan": block() if wan is None else wan, "guard": False}
    ids = (f"wan-{next(_ids):06d}" for _ in itertools.count())
    return LinuxSetup(host, data, new_id=lambda: next(ids), interpreter="/usr/bin/python3")


def settings_of(host: SimHost) -> dict[str, str]:
    return {path: str(value) for path, value in host.proc.values.items() if value is not None}


def without_own(state: dict[str, Any]) -> dict[str, Any]:
    """Leave the folders of our own state out."""
    files = {p: n for p, n in state["files"].items() if not p.startswith("/var")}
    return {**state, "files": files}


def test_test_true_shows_both_changes_and_does_nothing(host: SimHost) -> None:
    answer = setup(host).managed(test=True)
    assert answer["result"] is None
    assert {"files", "kernel", "service", "settings"} <= set(answer["changes"])
    assert CONFIG in answer["changes"]["files"]
    assert host.mutating == []


def test_settings_and_lines_come_and_go_and_a_second_run_changes_nothing(host: SimHost) -> None:
    before = without_own(host.state())
    assert setup(host).managed()["result"] is True
    assert host.proc.values["net/ipv4/ip_forward"] == "1"
    assert host.proc.values["net/ipv4/conf/wan2/rp_filter"] == "2"
    assert f"{NAME}.service" in host.services
    whole = host.state()
    assert setup(host).managed()["changes"] == {}
    assert host.state() == whole
    assert setup(host).absent()["result"] is True
    after = without_own(host.state())
    assert {key for key in after if after[key] != before[key]} == set()
    assert setup(host).absent()["changes"] == {}


@pytest.mark.parametrize("former", [None, block(lan=[], nat={})], ids=["none", "one without LAN"])
def test_lines_that_fail_take_their_settings_back(host: SimHost, former: Any) -> None:
    if former is not None:
        assert setup(host, former).managed()["result"] is True
        assert host.proc.values["net/ipv4/ip_forward"] == "0"
    before, values = without_own(host.state()), settings_of(host)
    systemctl = host.programs["systemctl"]

    def failing(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] == "restart" and NAME in argv[-1] and not failed:
            failed.append(1)
            return Result(1, "", "it does not start\n")
        return systemctl(argv, stdin)

    failed: list[int] = []
    host.programs["systemctl"] = failing
    with pytest.raises(EffectError, match="it does not start"):
        setup(host).managed()
    assert failed and settings_of(host) == values
    after = without_own(host.state())
    assert {key for key in after if after[key] != before[key]} == set()


def test_what_cannot_be_meant_is_refused_before_the_settings_are_touched(host: SimHost) -> None:
    uplinks = block()["uplinks"]
    off_link = block(uplinks={**uplinks, "wan2": {**uplinks["wan2"], "gateway": "203.0.113.1"}})
    for wan, error, said in (
        ({}, InputError, "there are no uplinks"),
        (off_link, InputError, "wan2:gateway: gateway 203.0.113.1 is not on the link of wan2"),
        (block(weight=1), InputError, "weight"),
    ):
        with pytest.raises(error, match=said):
            setup(host, wan).managed()
    host.wan.kernel = host.wan.kernel._replace(rules=(Rule(4, 18604, 7, 3),))
    with pytest.raises(RefusedError, match="numbers:priority: in use by others"):
        setup(host).managed()
    assert host.mutating == []
    host.system = "sunos"
    with pytest.raises(UnsupportedError, match="this is sunos"):
        setup(host).managed()


def test_a_pillar_without_the_block_is_nothing_unless_something_is_there(host: SimHost) -> None:
    without = LinuxSetup(host, {"interfaces": {}}, interpreter="/usr/bin/python3")
    assert without.managed()["changes"] == {} and host.mutating == []
    setup(host).managed()
    with pytest.raises(InputError, match=r"ipalias\.wan\.clean"):
        without.managed()
    elsewhere = linux()
    elsewhere.system = "sunos"
    asked = make(host=elsewhere, data={})
    assert asked.managed()["result"] is asked.absent()["result"] is True
    assert elsewhere.log == []


def test_a_line_without_an_address_is_noted_and_not_refused(host: SimHost) -> None:
    host.net.link("wan2").addresses4.clear()
    answer = setup(host).managed()
    assert answer["result"] is True
    assert any(note.startswith("wan2: wan2 has no IPv4 address yet") for note in answer["notes"])


def test_forwarding_is_set_only_where_there_is_an_inside(host: SimHost) -> None:
    config = parse_wan(block(lan=[], nat={}))
    alone = {setting.key: setting.value for setting in kernel_settings(config, host)}
    assert alone == {
        **{f"net.ipv{f}.fib_multipath_hash_policy": "1" for f in (4, 6)},
        **{
            f"net.ipv{f}.conf.{name}.ignore_routes_with_linkdown": "1"
            for name in ("wan1", "wan2")
            for f in (4, 6)
        },
        **{f"net.ipv4.conf.{name}.rp_filter": "2" for name in ("wan1", "wan2")},
    }
    keys = [setting.key for setting in kernel_settings(parse_wan(block()), host)]
    # Before forwarding, which would cost the default route by advertisements.
    assert keys[:2] == ["net.ipv6.conf.wan1.accept_ra", "net.ipv6.conf.wan2.accept_ra"]
    assert {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} < set(keys)
    # A daemon takes them itself.
    host.proc.values["net/ipv6/conf/wan1/accept_ra"] = "0"
    keys = [setting.key for setting in kernel_settings(parse_wan(block()), host)]
    assert "net.ipv6.conf.wan1.accept_ra" not in keys


def test_an_interface_with_a_dot_has_a_key_in_slashes(host: SimHost) -> None:
    uplinks = block()["uplinks"]
    uplinks["wan1"]["interface"] = "wan.5"
    keys = [s.key for s in kernel_settings(parse_wan(block(uplinks=uplinks)), host)]
    assert "net/ipv4/conf/wan.5/rp_filter" in keys


def test_every_default_route_is_told_with_its_owner(host: SimHost) -> None:
    host.files.put("/etc/network/interfaces", "auto wan1\niface wan1 inet dhcp\n")
    host.programs["ifup"] = lambda argv, stdin: Result(0, "ifup version 0.8.41", "")
    routes = (
        Route(4, "default", "wan1", "198.51.100.1", protocol="boot"),
        Route(4, "default", "wan2", "198.51.100.129", 100, protocol="dhcp"),
        Route(6, "default", "wan2", "fe80::1", 1024, protocol="ra"),
    )
    numbers = parse_wan(block()).numbers
    owned = read_owners(host, Snapshot(routes=routes))
    assert [(each.dialect, each.setter) for each in owned] == [
        ("ifupdown", "a command or a script: ifupdown, dhclient, an administrator"),
        ("", "a DHCP client"),
        ("", "router advertisements"),
    ]
    assert owned[0].text(numbers).startswith("IPv4 default via 198.51.100.1 dev wan1 is set by ")
    assert "behind ours in table 18855" in owned[1].data(numbers)["coexists"]


def test_networkd_is_told_what_its_version_understands(host: SimHost) -> None:
    assert "NextHops" not in render_networkd(252)
    assert render_networkd(257).splitlines()[1:] == [
        "[Network]",
        "ManageForeignRoutes=no",
        "ManageForeignRoutingPolicyRules=no",
        "ManageForeignNextHops=no",
    ]
    assert networkd_files(host) == ([], [])
    assert host.read(NETWORKD) is None and host.read(UNIT) is None
