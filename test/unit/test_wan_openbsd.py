"""Several ways out on a simulated OpenBSD: files, routes, pf, ifstated, and the way back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rig import simafter, simopenwan
from rig.bsdlines import block
from rig.simforms import survivors
from rig.simhost import Crash, Fault, SimHost
from rig.simopenwan import CONF, PF, RC, Programs
from saltext.ipalias.effects import Rename, Run
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    IpaliasError,
    ParseError,
    RefusedError,
    UnsupportedError,
)
from saltext.ipalias.wan import bsdstatus
from saltext.ipalias.wan.bsdsetup import BsdSetup
from saltext.ipalias.wan.systems import make

_ids = itertools.count(1)
NAT = {"networks": ["192.0.2.0/24"]}


@pytest.fixture
def host() -> SimHost:
    return simopenwan.machine()


def setup(host: SimHost, wan: Any = None, **more: Any) -> BsdSetup:
    data = {"wan": block(2, nat=NAT) if wan is None else wan, "guard": False}
    made = make(
        host=host,
        data=data,
        new_id=lambda: f"bsd-{next(_ids):06d}",
        interpreter="/usr/local/bin/python3",
        **more,
    )
    assert isinstance(made, BsdSetup)
    return made


def programs(host: SimHost) -> Programs:
    act: Any = host.programs["pfctl"]
    made = act.forms[0].act.__self__
    assert isinstance(made, Programs)
    return made


def gateways(host: SimHost, destination: str = "default") -> set[str | None]:
    return {r.gateway for r in host.net.routes if r.destination == destination}


def without_own(state: dict[str, Any]) -> dict[str, Any]:
    files = {p: n for p, n in state["files"].items() if not p.startswith("/var")}
    return {**state, "files": files}


def ran(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


def test_test_true_shows_all_and_does_nothing(host: SimHost) -> None:
    answer = setup(host).managed(test=True)
    assert answer["result"] is None
    assert {"/etc/hostname.re0", CONF, PF, RC} <= set(answer["changes"]["files"])
    assert "a fault shows within 50 s" in answer["comment"]
    assert host.mutating == []


def test_it_comes_and_goes_and_a_second_run_changes_nothing(host: SimHost) -> None:
    before = without_own(host.state())
    assert setup(host).managed()["result"] is True
    assert gateways(host) == {"198.51.100.1", "198.51.100.2"}
    assert gateways(host, "203.0.113.11/32") == {"198.51.100.2"}
    live = host.stored["sysctl"]
    assert live["net.inet.ip.multipath"] == live["net.inet.ip.forwarding"] == "1"
    assert host.services == {"ifstated"} and host.running["ifstated"] == host.files.read(CONF)
    assert "pass out on re0 inet from 192.0.2.0/24 to any nat-to (re0)\n" in host.running["pf"]
    whole = host.state()
    assert setup(host).managed()["changes"] == {}
    assert host.state() == whole
    assert setup(host).absent()["result"] is True
    after = without_own(host.state())
    after["running"]["pf"] = before["running"]["pf"]
    assert {key for key in after if after[key] != before[key]} == set()
    assert setup(host).absent()["changes"] == {}


def test_every_text_is_looked_at_before_a_file_is_written(host: SimHost) -> None:
    setup(host).managed()
    order = [
        " ".join(e.command.argv) if isinstance(e, Run) else f"written {e.target}"
        for e in host.log
        if isinstance(e, (Run, Rename))
    ]
    at = {line: order.index(line) for line in dict.fromkeys(order)}
    looked = max(at["ifstated -n -f /dev/stdin"], at["pfctl -n -f -"])
    # The settings are a change of their own, before this one.
    assert all(looked < at[f"written {p}"] for p in ("/etc/hostname.re0", CONF, PF, RC))
    assert looked < at["rcctl stop ifstated"] < at[f"written {CONF}"]
    lines = ran(host)
    assert lines[-1] == "rcctl restart ifstated"
    assert lines.index("pfctl -f /etc/pf.conf") < lines.index("rcctl restart ifstated")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ifstated", "/dev/stdin:3: syntax error"),
        ("pfctl", "stdin:5: syntax error"),
        ("pfctl -f", "pfctl: DIOCADDRULE: Device busy"),
        ("route", "add net default: gateway 198.51.100.2: No buffer space available"),
        ("rcctl", "ifstated(failed)"),
    ],
)
def test_what_a_program_refuses_puts_everything_back(host: SimHost, name: str, said: str) -> None:
    host.run(["pfctl", "-f", PF])
    before = without_own(host.state())
    programs(host).broken[name] = said
    with pytest.raises(EffectError) as raised:
        setup(host).managed()
    assert said in raised.value.what
    after = without_own(host.state())
    assert {key for key in after if after[key] != before[key]} == set()


@pytest.mark.parametrize("done_first", [False, True], ids=["undone", "done all the same"])
def test_a_fault_at_any_effect_puts_everything_back(host: SimHost, done_first: bool) -> None:
    host.run(["pfctl", "-f", PF])
    done = host.twin()
    setup(done).managed()
    before = without_own(host.state())
    for at in range(len(done.log)):
        still = host.twin()
        still.faults = [Fault(at, done=done_first)]
        try:
            setup(still).managed()
        except IpaliasError:
            after = without_own(still.state())
            assert {key for key in after if after[key] != before[key]} == set(), done.log[at]


def test_a_change_cut_short_at_any_effect_is_put_back_or_completed(host: SimHost) -> None:
    host.run(["pfctl", "-f", PF])
    done = host.twin()
    setup(done).managed()
    old, new = without_own(host.state()), without_own(done.state())
    for at in range(len(done.log)):
        for way in (simafter.settle, simafter.dead_man):
            still = host.twin()
            still.faults = [Fault(at, crash=True)]
            with pytest.raises(Crash):
                setup(still).managed()
            after = still.successor()
            way(after)
            state = without_own(after.state())
            # The settings are a change of their own, and come first.
            for key in ("routes", "services"):
                assert state[key] in (old[key], new[key]), (at, done.log[at])
            assert state["running"]["pf"] in (old["running"]["pf"], new["running"]["pf"])
            whole = state["routes"] == new["routes"]
            assert ("ifstated" in state["services"]) == whole, (at, done.log[at])
        setup(after).managed()
        assert without_own(after.state()) == new, (at, done.log[at])


def test_no_slip_in_a_command_would_be_taken(host: SimHost) -> None:
    setup(host, block(3, nat=NAT)).managed()
    setup(host).absent()
    for name in ("route", "pfctl", "rcctl", "ifstated"):
        program: Any = host.programs[name]
        assert program.refused == []
        slips, left = survivors(program, program.taken)
        assert slips > 3 and left == [], name


def test_a_line_that_is_down_stays_out_when_the_configuration_changes(host: SimHost) -> None:
    setup(host).managed()
    host.run(["route", "-n", "delete", "-inet", "-mpath", "default", "198.51.100.1"])
    assert setup(host).managed()["changes"] == {}
    setup(host, block(3, nat=NAT)).managed()
    assert gateways(host) == {"198.51.100.2", "198.51.100.129"}
    setup(host, block(2)).managed()
    assert gateways(host) == {"198.51.100.2"}
    assert host.running["pf"] == simopenwan.PF_TEXT


def test_a_boot_brings_the_same_again(host: SimHost) -> None:
    setup(host).managed()
    before = sorted(map(str, host.net.routes))
    running = dict(host.running)
    simopenwan.boot(host)
    assert sorted(map(str, host.net.routes)) == before
    assert (host.running["pf"], host.running["ifstated"]) == (running["pf"], running["ifstated"])
    assert host.services == {"ifstated"}
    assert setup(host).managed()["changes"] == {}


def test_tiers_boot_with_the_best_alone(host: SimHost) -> None:
    setup(host, block(2, policy="tier")).managed()
    assert gateways(host) == {"198.51.100.1"}
    text = host.files.read("/etc/hostname.re0") or ""
    assert "!route add -mpath default 198.51.100.1\n" in text
    assert "default 198.51.100.2" not in text


# What it says of itself


def test_status_quotes_the_use_of_each_default_route(host: SimHost) -> None:
    setup(host).managed()
    journal = '{"schema":1,"id":"b-1","uplink":"wan2","family":4,"state":"down","at":5.0,'
    journal += '"boot_at":1.0,"reason":"r","outage":0.0,"bound":60.0,"acted":"monitor"}\n'
    host.files.put("/var/lib/ipalias/wan/journal", journal)
    shown = host.run(["route", "-n", "show", "-inet"]).out
    rows = setup(host).status()
    assert [(row["line"], row["state"], row["since"]) for row in rows] == [
        ("wan1", "up", None),
        ("wan2", "down", 5.0),
    ]
    for row in rows:
        (line,) = [r for r in shown.splitlines() if r.startswith("default") and row["gateway"] in r]
        assert line.split()[4] == str(row["use"]) and row["carries"] and row["runs"]
    assert rows[0]["probe"][0] == "ping -q -c 1 -w 5 203.0.113.1"
    assert setup(simopenwan.machine()).status() == []


def test_owners_names_the_line_of_each_default_route(host: SimHost) -> None:
    assert [(row["gateway"], row["line"]) for row in setup(host).owners()] == [("198.51.100.1", "")]
    setup(host).managed()
    rows = {row["gateway"]: row["line"] for row in setup(host).owners()}
    assert rows == {"198.51.100.1": "wan1", "198.51.100.2": "wan2"}


#: The guide's own output, its addresses exchanged.
SHOWN = """Routing tables
Internet:
Destination Gateway Flags Refs Use Mtu Prio Iface
default 198.51.100.1 UGSP 4 1214298 - 8 wan
default 198.51.100.2 UGSP 37 43925 - 8 wan
"""


def test_the_guides_table_is_read() -> None:
    assert bsdstatus.parse_use(SHOWN) == {"198.51.100.1": 1214298, "198.51.100.2": 43925}
    assert bsdstatus.parse_use(SHOWN.replace("Use", "Nhop#")) == {}


# What is refused


def with_mygate(host: SimHost, gateway: str) -> None:
    host.files.put("/etc/mygate", f"{gateway}\n")


def test_mygate_with_another_gateway_is_refused_and_with_ours_is_told(host: SimHost) -> None:
    with_mygate(host, "192.0.2.1")
    with pytest.raises(RefusedError, match="/etc/mygate: netstart sets a default route by"):
        setup(host).managed()
    with_mygate(host, "198.51.100.1")
    answer = setup(host).managed()
    assert any("198.51.100.1 stands there as well" in note for note in answer["notes"])


@pytest.mark.parametrize(
    ("path", "text", "error", "said"),
    [
        (CONF, "init-state mine\n", RefusedError, "somebody else"),
        ("/etc/hostname.re0", "inet 198.51.100.10/25\r\n", ParseError, "carriage return"),
        ("/etc/hostname.re0", "inet 198.51.100.10/25", ParseError, "no newline"),
        (
            "/etc/hostname.re0",
            "inet 198.51.100.10/25\n!route add default 198.51.100.1\n",
            RefusedError,
            "without -mpath",
        ),
    ],
)
def test_files_that_stand_in_the_way_are_refused(
    host: SimHost, path: str, text: str, error: type[IpaliasError], said: str
) -> None:
    host.files.put(path, text, 0o640)
    with pytest.raises(error, match=said):
        setup(host).managed()
    assert host.mutating == [] and gateways(host) == {"198.51.100.1"}


def test_routes_of_others_are_refused(host: SimHost) -> None:
    host.run(["route", "-n", "add", "-inet", "-mpath", "default", "192.0.2.1"])
    with pytest.raises(RefusedError, match=r"a default route by 192\.0\.2\.1"):
        setup(host).managed()
    host.run(["route", "-n", "delete", "-inet", "-mpath", "default", "192.0.2.1"])
    host.run(["route", "-n", "add", "-inet", "203.0.113.1/32", "192.0.2.1"])
    with pytest.raises(RefusedError, match=r"203\.0\.113\.1/32 is routed by 192\.0\.2\.1"):
        setup(host).managed()
    assert host.mutating == []


def test_what_openbsd_cannot_do_is_refused(host: SimHost) -> None:
    weighted = block(2)
    weighted["uplinks"]["wan1"]["weight"] = 3
    with pytest.raises(UnsupportedError, match="no weights"):
        setup(host, weighted).managed()
    with pytest.raises(UnsupportedError, match="profile: guide"):
        setup(host, {**block(2), "probe": {"profile": "fast"}}).managed()
    off = block(2)
    off["uplinks"]["wan2"]["gateway"] = "203.0.113.200"
    with pytest.raises(InputError, match="not on the link"):
        setup(host, off).managed()
    host.files.put(RC, "pf=NO\n")
    with pytest.raises(RefusedError, match=r"rc\.conf\.local:1: pf is turned off"):
        setup(host).managed()
    host.files.nodes.pop(RC)
    host.files.nodes.pop("/etc/hostname.re1")
    with pytest.raises(RefusedError, match=r"there is no /etc/hostname\.re1"):
        setup(host, block(3)).managed()
    del host.programs["ifstated"]
    with pytest.raises(RefusedError, match="ifstated is not installed"):
        setup(host).managed()
    assert host.mutating == []


def test_a_damaged_configuration_has_a_way_out_that_leads_out(host: SimHost) -> None:
    path = "/var/lib/ipalias/wan/config.json"
    setup(host).managed()
    host.files.put(path, "{torn", 0o600)
    for call in (setup(host).managed, setup(host).absent, setup(host).status):
        with pytest.raises(ParseError, match="move it away and apply"):
            call()
    host.files.nodes.pop(path)
    assert setup(host).managed()["result"] is True
    assert setup(host).absent()["result"] is True
    assert gateways(host) and host.services == set()
