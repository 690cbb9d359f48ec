"""Several ways out on a simulated FreeBSD: rc.conf, routes, pf, ifstated, and the way back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rig import ifstated as daemon
from rig import simafter, simfreewan
from rig.bsdlines import PROGRAM, block
from rig.simfreewan import CONF, PF, RC
from rig.simhost import Crash, Fault, SimHost
from saltext.ipalias.errors import EffectError, IpaliasError, RefusedError, UnsupportedError
from saltext.ipalias.host import Result
from saltext.ipalias.wan import bsdstatus, freebsd, ifstated
from saltext.ipalias.wan.bsdsetup import BsdSetup
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.systems import make

_ids = itertools.count(1)
NAT = {"networks": ["192.0.2.0/24"]}


@pytest.fixture
def host() -> SimHost:
    return simfreewan.machine()


def weighted() -> dict[str, Any]:
    wan = block(2, nat=NAT)
    wan["uplinks"]["wan2"]["weight"] = 3
    return wan


def setup(host: SimHost, wan: Any = None) -> BsdSetup:
    data = {"wan": weighted() if wan is None else wan, "guard": False}
    ids = (f"free-{next(_ids):06d}" for _ in itertools.count())
    made = make(
        host=host, data=data, new_id=lambda: next(ids), interpreter="/usr/local/bin/python3"
    )
    assert isinstance(made, BsdSetup)
    return made


def gateways(host: SimHost) -> set[str | None]:
    return {r.gateway for r in host.net.routes if r.destination == "default"}


def without_own(state: dict[str, Any]) -> dict[str, Any]:
    files = {p: n for p, n in state["files"].items() if not p.startswith("/var")}
    stored = {k: v for k, v in state["stored"].items() if k != "weights"}
    return {**state, "files": files, "stored": stored}


def test_it_comes_and_goes_and_a_second_run_changes_nothing(host: SimHost) -> None:
    host.run(["pfctl", "-f", PF])
    before = without_own(host.state())
    assert setup(host).managed()["result"] is True
    assert gateways(host) == {"198.51.100.1", "198.51.100.2"}
    assert host.stored["weights"] == {"198.51.100.2": "3"}
    assert host.stored["sysctl"]["net.route.multipath"] == "1"
    assert "nat on re0 inet from 192.0.2.0/24 to any -> (re0)\n" in host.running["pf"]
    text = host.files.read(RC) or ""
    assert 'static_routes="lab ipaliaswan1 ipaliaswan2' in text
    assert 'route_ipaliaswan2="default 198.51.100.2 -weight 3"' in text
    whole = host.state()
    assert setup(host).managed()["changes"] == {}
    assert host.state() == whole
    assert setup(host).absent()["result"] is True
    after = without_own(host.state())
    assert {key for key in after if after[key] != before[key]} == set()


def test_a_boot_brings_the_same_again(host: SimHost) -> None:
    setup(host).managed()
    before = sorted(str(r) for r in host.net.routes if r.gateway)
    simfreewan.boot(host)
    assert sorted(str(r) for r in host.net.routes if r.gateway) == before
    assert host.services == {"ifstated"} and host.running["ifstated"] == host.files.read(CONF)


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


@pytest.mark.parametrize("name", ["ifstated", "pfctl", "pfctl -f", "route", "rcctl"])
def test_what_a_program_refuses_puts_everything_back(host: SimHost, name: str) -> None:
    host.run(["pfctl", "-f", PF])
    before = without_own(host.state())
    act: Any = host.programs["pfctl"]
    act.forms[0].act.__self__.broken[name] = f"{name} refuses"
    with pytest.raises(EffectError, match=f"{name} refuses"):
        setup(host).managed()
    after = without_own(host.state())
    assert {key for key in after if after[key] != before[key]} == set()


def test_another_weight_of_a_route_that_is_there_is_set(host: SimHost) -> None:
    setup(host).managed()
    wan = weighted()
    wan["uplinks"]["wan2"]["weight"] = 7
    setup(host, wan).managed()
    assert host.stored["weights"]["198.51.100.2"] == "7"
    assert gateways(host) == {"198.51.100.1", "198.51.100.2"}


def test_the_machine_speaks_as_this_system_does() -> None:
    text = ifstated.render(parse_wan(weighted(), system="freebsd"), freebsd.commands(PROGRAM))
    daemon.parse(text)
    assert "ping -q -c 1 -t 5 203.0.113.1 >/dev/null || " in text
    assert 'run "/sbin/route -qn add -inet default 198.51.100.2 -weight 3"' in text
    assert 'run "/sbin/route -qn delete -inet default 198.51.100.1"' in text
    assert "-mpath" not in text


def test_what_went_out_by_a_lost_line_is_forgotten_where_its_address_is_known() -> None:
    wan = block(3, nat=NAT)
    commands = freebsd.commands(PROGRAM)
    assert "pfctl" not in ifstated.render(parse_wan(wan, system="freebsd"), commands)
    wan["uplinks"]["wan3"]["source"] = "198.51.100.130"
    states, _ = daemon.parse(ifstated.render(parse_wan(wan, system="freebsd"), commands))
    forgetting = {n: [a.text for a in s.init if "pfctl" in a.text] for n, s in states.items()}
    killed = ["/sbin/pfctl -q -i re1 -k 198.51.100.130"]
    lost = ("wan3_down", "wan1_wan3_down", "wan2_wan3_down")
    assert {n: told for n, told in forgetting.items() if told} == dict.fromkeys(lost, killed)
    order = [action.text for action in states["wan3_down"].init]
    assert max(n for n, text in enumerate(order) if "route" in text) < order.index(killed[0])


@pytest.mark.parametrize("several", [True, False], ids=["multipath", "told to hold one"])
def test_the_machine_never_loses_the_last_default_route(several: bool) -> None:
    made = parse_wan(weighted(), system="freebsd")
    states, _ = daemon.parse(ifstated.render(made, freebsd.commands(PROGRAM)))
    held = {"198.51.100.1"}
    for name, wanted in (
        ("wan1_down", "198.51.100.2"),
        ("all_down", "198.51.100.2"),
        ("wan2_down", "198.51.100.1"),
        ("all_ok", "198.51.100.2"),
        ("wan1_down", "198.51.100.2"),
    ):
        for action in states[name].init:
            words = action.text.split()
            if words[0] == "/sbin/route" and words[2] == "delete":
                held.discard(words[5])
            elif words[0] == "/sbin/route" and (several or not held):
                held.add(words[5])
        assert held and (wanted in held or name == "all_ok"), name


@pytest.mark.parametrize("way", [simafter.settle, simafter.dead_man], ids=["run", "dead man"])
def test_a_change_cut_short_at_any_effect_is_put_back_or_completed(host: SimHost, way: Any) -> None:
    host.run(["pfctl", "-f", PF])
    done = host.twin()
    setup(done).managed()
    old, new = without_own(host.state()), without_own(done.state())
    for at in range(len(done.log)):
        still = host.twin()
        still.faults = [Fault(at, crash=True)]
        with pytest.raises(Crash):
            setup(still).managed()
        after = still.successor()
        way(after)
        state = without_own(after.state())
        for key in ("routes", "services"):
            assert state[key] in (old[key], new[key]), (at, done.log[at])
        assert ("ifstated" in state["services"]) == (state["routes"] == new["routes"])
        setup(after).managed()
        assert without_own(after.state()) == new, (at, done.log[at])


def test_status_has_no_use_for_the_kernel_counts_none(host: SimHost) -> None:
    setup(host).managed()
    rows = bsdstatus.status(host, "/var/lib/ipalias")
    assert [(row["line"], row["use"], row["carries"]) for row in rows] == [
        ("wan1", None, True),
        ("wan2", None, True),
    ]
    assert rows[0]["probe"][0] == "ping -q -c 1 -t 5 203.0.113.1"


def test_what_freebsd_cannot_do_is_refused(host: SimHost) -> None:
    with pytest.raises(UnsupportedError, match="no marks, rules and tables"):
        setup(host, block(2, numbers={"mark_shift": 8})).managed()
    with pytest.raises(UnsupportedError, match="profile: guide"):
        setup(host, {**block(2), "probe": {"profile": "default"}}).managed()
    host.files.put(RC, simfreewan.RC_TEXT.replace('198.51.100.1"', '192.0.2.1"'))
    with pytest.raises(RefusedError, match="`defaultrouter` is 192"):
        setup(host).managed()
    uname = host.programs["uname"]
    host.programs["uname"] = lambda argv, stdin: Result(0, "12.4-RELEASE\n", "")
    with pytest.raises(UnsupportedError, match=r"FreeBSD 12\.4-RELEASE has no"):
        setup(host).managed()
    host.programs["uname"] = uname
    host.files.put(RC, simfreewan.RC_TEXT.replace('pf_enable="YES"\n', ""))
    with pytest.raises(RefusedError, match="pf does not run here"):
        setup(host).managed()
    host.files.put(RC, simfreewan.RC_TEXT)
    held = host.files.nodes.pop(PF)
    with pytest.raises(RefusedError, match=r"/etc/pf\.conf: there is no such file"):
        setup(host).managed()
    host.files.nodes[PF] = held
    del host.programs["ifstated"]
    with pytest.raises(RefusedError, match="ifstated is not installed"):
        setup(host).managed()
    assert host.mutating == []
