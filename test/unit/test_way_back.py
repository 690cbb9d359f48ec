"""The dead man beside an owner that does its own, and one whose tools hang.

The host has lost its primary addresses and default routes in the middle of a change, and the
process that made it has died.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rig import plat, simafter
from rig.plat import freebsd
from rig.simengine import block, engine, ledger, live, only_present
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simnm import OWNERS
from rig.simscenes import FOREIGN_LIVE, comparable, differences, leftovers, scene_of
from saltext.ipalias import journal, sysctl, upkeep
from saltext.ipalias.backends import ELSEWHERE, load
from saltext.ipalias.effects import Effect, Run
from saltext.ipalias.errors import EffectError, RefusedError
from saltext.ipalias.host import TIMED_OUT, Result
from saltext.ipalias.live.batch import BATCH
from saltext.ipalias.model import Alias
from saltext.ipalias.sysctl import Held

PRIMARIES = ("192.0.2.2/24", "2001:db8::2/64")


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


def ip(host: SimHost, words: str) -> None:
    """Do as somebody else who runs `ip`; what is there already is no matter."""
    host.ip(["ip", *words.split()], None)


def own_the_subnets(host: SimHost) -> None:
    """Have the primary addresses as NetworkManager sets them: it makes their routes itself."""
    for cidr in PRIMARIES:
        ip(host, f"address delete {cidr} dev eth0")
    net = host.net
    four = SimAddress("192.0.2.2", 24, broadcast="192.0.2.255", prefix_route=False)
    net.add4("eth0", four)
    net.add6("eth0", SimAddress("2001:db8::2", 64, prefix_route=False))
    net.routes = [route for route in net.routes if route.destination != "default"]
    subnet4 = SimRoute(4, "192.0.2.0/24", "eth0", None, "192.0.2.2", "kernel", "link", 100)
    net.add_route(subnet4)
    net.add_route(SimRoute(6, "2001:db8::/64", "eth0", protocol="kernel", metric=100))
    net.add_route(SimRoute(4, "default", "eth0", "192.0.2.1", None, "static", "", 100))
    net.add_route(SimRoute(6, "default", "eth0", "2001:db8::1", None, "static", "", 100))


def cut_off(host: SimHost, request: Any) -> SimHost:
    """Kill a change when its batch is done, and take away what the host is reached by."""
    done = host.successor()
    request(done)
    runs = [at for at, effect in enumerate(done.log) if _is_batch(effect)]
    host.faults = [Fault(runs[-1], done=True, crash=True)]
    with pytest.raises(Crash):
        request(host)
    left = host.successor()
    for cidr in (*PRIMARIES, FOREIGN_LIVE):
        ip(left, f"address delete {cidr} dev eth0")
    gone = ("default", "192.0.2.0/24", "2001:db8::/64")
    left.net.routes = [route for route in left.net.routes if route.destination not in gone]
    return left


def _is_batch(effect: Effect) -> bool:
    return isinstance(effect, Run) and "-batch" in effect.command.argv


#: Where the owner routes the subnets of its addresses itself.
LINUX = [name for name in sorted(OWNERS) if ELSEWHERE.get(name, "linux") == "linux"]


@pytest.fixture(params=LINUX)
def scene(request: pytest.FixtureRequest) -> tuple[dict[str, Any], SimHost]:
    """Return the state before a change, and the host that it has cut off."""
    host, change = scene_of(request.param, "other")
    own_the_subnets(host)
    before = comparable(host)
    return before, cut_off(host, change)


def test_everything_is_as_before_with_the_subnets_that_the_owner_routes(scene: Any) -> None:
    before, host = scene
    simafter.dead_man(host)
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    batches = [e.command.stdin or "" for e in host.log if isinstance(e, Run) and _is_batch(e)]
    ways = [line for line in batches[-1].splitlines() if line.startswith("route add")]
    # The real kernel takes no default route whose gateway it has no way to.
    assert ["default" in line or "::/0" in line for line in ways] == [False, False, True, True]


def test_what_the_kernel_refuses_once_is_tried_again(scene: Any) -> None:
    before, host = scene
    turns = iter([["192.0.2.2/24"], [], ["via 192.0.2.1"], []])

    def watch(_: int, effect: Effect) -> None:
        if _is_batch(effect):
            host.ip.broken = next(turns)

    host.watch = watch
    simafter.dead_man(host)
    assert next(turns, None) is None
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []


def test_an_owner_that_is_quicker_is_no_failure(scene: Any) -> None:
    """It sets each of its own just before we do, after we have looked."""
    before, host = scene
    turns = iter(
        [
            ["address add 2001:db8::2/64 dev eth0 noprefixroute"],
            [
                "route add 192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2 metric 100",
                "route add default via 192.0.2.1 dev eth0 proto static metric 100",
            ],
        ]
    )
    done: list[str] = []

    def watch(_: int, effect: Effect) -> None:
        routes = _is_batch(effect) and "route add default" in str(effect)
        if _is_batch(effect) and (not done or (routes and len(done) < 2)):
            for words in next(turns):
                ip(host, words)
            done.append(str(effect))

    host.watch = watch
    simafter.dead_man(host)
    assert len(done) == 2
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == [], "it is done, and yet the record says that it is not"


def test_one_that_cannot_come_back_keeps_no_other_away(scene: Any) -> None:
    before, host = scene
    host.ip.broken = [f"address add {PRIMARIES[0]}", "via 192.0.2.1"]
    simafter.dead_man(host)
    assert live(host) >= {PRIMARIES[1], FOREIGN_LIVE}
    assert any(r.gateway == "2001:db8::1" for r in host.net.routes)
    # It is tried again by the next run.
    assert [path for path in leftovers(host) if "/firing-" in path]
    host.ip.broken = []
    simafter.settle(host)
    said = differences(before, comparable(host))
    if host.owner and getattr(plat.load(host.owner), "SETS_PRIMARIES", False):
        # Told to read its files, the owner was first, and has set the primary as it does.
        assert set(PRIMARIES) <= live(host)
        assert {r.gateway for r in host.net.routes} >= {"192.0.2.1", "2001:db8::1"}
        said = [line for line in said if "'192.0.2." not in line]
    assert said == []
    assert leftovers(host) == []


def test_settings_that_cannot_even_be_read_keep_no_address_away(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, host = scene
    (path,) = host.glob(f"{STATE}/open-*.json")
    record = journal.parse_record(host.read(path) or "", path)
    switch = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"
    record = replace(record, tuned={"net.ipv4.ip_forward": Held("0")}, kernel={switch: "0"})
    host.files.put(path, journal.render_record(record))

    def fails(where: str) -> Any:
        raise EffectError("no answer", where=where)

    read = host.read
    monkeypatch.setattr(sysctl.load("linux"), "read_values", lambda *_: fails("sysctl"))
    monkeypatch.setattr(host, "read", lambda at: fails("switch") if at == switch else read(at))
    simafter.dead_man(host)
    assert live(host) >= {*PRIMARIES, FOREIGN_LIVE}
    assert {r.gateway for r in host.net.routes} >= {"192.0.2.1", "2001:db8::1"}
    # What could not be put back is tried again by the next run.
    assert [path for path in leftovers(host) if "/firing-" in path]


@pytest.mark.parametrize("dialect", ["netplan", "networkmanager", "networkd"])
def test_a_tool_that_hangs_finds_the_kernel_put_back(dialect: str) -> None:
    """Each may take half a minute until it is given up: the host is reached before that."""
    host, change = scene_of(dialect, "other")
    own_the_subnets(host)
    before = comparable(host)
    host = cut_off(host, change)
    asked: list[str] = []

    def hangs(argv: Sequence[str], stdin: str | None) -> Result:
        asked.append(argv[0])
        now = comparable(host)
        assert differences(before["addresses"], now["addresses"]) == []
        assert before["routes"] == now["routes"]
        return Result(TIMED_OUT, "", f"{argv[0]}: no end after 30 s")

    for name in ("netplan", "nmcli", "networkctl"):
        if name in host.programs:
            host.programs[name] = hangs
    simafter.dead_man(host)
    assert asked or dialect == "networkd"
    files = {path: node for path, node in before["files"].items() if not path.startswith("/run/")}
    now = comparable(host)["files"]
    assert {path: now.get(path) for path in files} == files


def test_a_change_itself_still_stops_at_the_first_line_that_fails() -> None:
    """What is behind it is spared, and told apart from what somebody else did."""
    host, change = scene_of("networkd", "other")
    change(host)
    batches = [effect for effect in host.log if isinstance(effect, Run) and _is_batch(effect)]
    assert [effect.command.argv for effect in batches] == [BATCH]


@pytest.mark.parametrize("same", [True, False])
def test_without_an_id_the_clock_tells_a_later_boot(same: bool) -> None:
    """A change that waited when the host went down does not keep the next ones waiting."""
    host = freebsd.host()
    host.boot, host.net.now = "", 5000.0
    asked = engine(host, block("203.0.113.1"))
    asked.settings = replace(asked.settings, confirm=True)
    asked.managed()
    host.net.now = 5030.0 if same else 40.0
    if same:
        with pytest.raises(RefusedError, match="waits to be confirmed"):
            engine(host, block("203.0.113.2")).managed()
        return
    answer = engine(host, block("203.0.113.2")).managed()
    assert "was put back first" in answer["comment"]
    assert live(host) >= {"203.0.113.2/32"}
    assert "203.0.113.1/32" not in live(host)


@pytest.mark.parametrize("dialect", [d for d in sorted(OWNERS) if not load(d).STORED])
def test_undoing_what_wrote_a_live_alias_into_files_leaves_it_live(dialect: str) -> None:
    host = OWNERS[dialect]()
    alias = Alias("198.51.100.10", 32, "eth0")
    engine(host).add([alias], persist=False)
    before = live(host)
    engine(host).add([alias])
    upkeep.rollback(engine(host))
    assert live(host) == before
    assert ledger(host).on("eth0")[alias.cidr].live
