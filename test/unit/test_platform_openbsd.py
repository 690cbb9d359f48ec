"""OpenBSD through the whole engine: hostname.if, what ifconfig refuses, netstart, the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rig import simopenbsd
from rig.plat import openbsd as platform
from rig.simengine import aliases, block, changed, engine, live
from rig.simforms import Cited, survivors
from rig.simhost import SimHost
from rig.simnet import SimRoute
from rig.simscenes import SCENES, add_by_hand, comparable, differences, scene_of
from saltext.ipalias.effects import Run, run
from saltext.ipalias.errors import EffectError, InputError, IpaliasError, OwnerError, VerifyError
from saltext.ipalias.host import Result
from saltext.ipalias.live import Route, openbsd, tools
from saltext.ipalias.live.batch import Op
from saltext.ipalias.live.ops import BatchError
from saltext.ipalias.report import diff_rows, import_pillar, problems
from saltext.ipalias.restore import restore
from saltext.ipalias.upkeep import restart

PATH = "/etc/hostname.eth0"
PRIMARY = {"192.0.2.2/24", "2001:db8::2/64"}
FOUR, SIX = "198.51.100.10", "2001:db8:1::10"


@pytest.fixture
def host() -> SimHost:
    made = platform.host()
    made.log.clear()
    return made


def hostname(host: SimHost) -> str:
    return host.files.read(PATH) or ""


def lines(host: SimHost) -> list[str]:
    """Return the commands that were run as effects."""
    return [" ".join(one.command.argv) for one in host.log if isinstance(one, Run)]


def asked(host: SimHost, program: str) -> list[str]:
    """Return every line of a program, those that only read included."""
    found = host.programs[program]
    assert isinstance(found, Cited)
    return [" ".join(argv) for argv in found.taken]


def test_an_alias_is_written_shown_to_netstart_and_brought_live(host: SimHost) -> None:
    answer = engine(host, block(FOUR, SIX)).managed()
    assert answer["result"] is True
    assert hostname(host).splitlines()[2:7] == [
        "inet6 2001:db8::2 64",
        "# BEGIN ipalias eth0",
        "inet alias 198.51.100.10 255.255.255.255 198.51.100.10",
        "inet6 alias 2001:db8:1::10 128",
        "# END ipalias eth0",
    ]
    assert host.files.nodes[PATH].mode == 0o640
    assert lines(host) == [
        "ifconfig eth0 inet 198.51.100.10 netmask 255.255.255.255 broadcast 198.51.100.10 alias",
        "ifconfig eth0 inet6 2001:db8:1::10 prefixlen 128 alias",
    ]
    assert asked(host, "sh") == ["sh /etc/netstart -n eth0"]
    assert live(host) - PRIMARY == {f"{FOUR}/32", f"{SIX}/128"}
    assert changed(host, lambda: engine(host, block(FOUR, SIX)).managed()) == []


def test_a_boot_brings_the_same_back(host: SimHost) -> None:
    engine(host, block(FOUR, {"address": SIX, "source": "never"}, "203.0.113.5/24")).managed()
    before = openbsd.read_snapshot(host)
    link = host.net.links["eth0"]
    link.addresses4, link.addresses6, link.known6, host.net.routes = [], [], {}, []
    platform.bring_up(host)
    after = openbsd.read_snapshot(host)
    assert sorted(map(str, after.addresses)) == sorted(map(str, before.addresses))
    assert sorted(map(str, after.routes)) == sorted(map(str, before.routes))


def test_a_new_file_is_made_only_when_it_is_asked_for() -> None:
    host = platform.host(links=("eth0", "eth1"))
    host.files.unlink("/etc/hostname.eth1")
    given = block(FOUR, interface="eth1")
    with pytest.raises(OwnerError, match=r"there is no /etc/hostname\.eth1"):
        engine(host, given).managed()
    engine(host, block(FOUR, interface="eth1", backend="openbsd")).managed()
    assert host.files.nodes["/etc/hostname.eth1"].mode == 0o640
    engine(host, block(interface="eth1", backend="openbsd")).managed()
    assert host.files.at("/etc/hostname.eth1") is None


def test_a_file_of_others_keeps_its_mode_and_owner(host: SimHost) -> None:
    host.files.touch_mode(PATH, 0o600)
    engine(host, block(FOUR)).managed()
    assert host.files.nodes[PATH].mode == 0o600


def test_a_file_that_others_may_read_is_not_mended_by_the_way(host: SimHost) -> None:
    host.files.touch_mode(PATH, 0o644)
    engine(host, block(FOUR)).managed()
    assert asked(host, "sh") == []
    assert host.files.nodes[PATH].mode == 0o644


def test_the_aliases_of_a_link_are_read_whole(host: SimHost) -> None:
    """``ifconfig -a`` leaves out every IPv4 address of a link but the first."""
    engine(host, block(FOUR)).managed()
    assert FOUR not in host.run(("ifconfig", "-a")).out
    assert f"{FOUR}/32" in {a.cidr for a in tools.load("openbsd").read_snapshot(host).addresses}
    assert "ifconfig -a" not in asked(host, "ifconfig")[:-2]


def test_never_a_source_is_a_lifetime_that_is_over_and_changed_in_place(host: SimHost) -> None:
    six = {"address": SIX, "source": "never"}
    engine(host, block(SIX)).managed()
    platform.kernel(host).lag = 1.0
    host.log.clear()
    engine(host, block(six)).managed()
    assert lines(host) == [f"ifconfig eth0 inet6 {SIX} prefixlen 128 pltime 0 alias"]
    assert f"inet6 alias {SIX} 128 pltime 0\n" in hostname(host)
    assert host.net.now >= 1001.0  # nothing is called done before the kernel has the flag
    assert problems(engine(host, block(six))) == []
    engine(host, block(SIX)).managed()
    assert lines(host)[-1] == f"ifconfig eth0 inet6 {SIX} prefixlen 128 alias"
    with pytest.raises(InputError, match="route sourceaddr"):
        engine(host, block({"address": FOUR, "source": "never"})).managed()
    with pytest.raises(InputError, match="has no label"):
        engine(host, block({"address": FOUR, "label": "fo1"})).managed()


def test_a_prefix_changes_in_place_for_inet_and_by_way_of_nothing_for_inet6(
    host: SimHost,
) -> None:
    engine(host, block("203.0.113.5", SIX)).managed()
    host.log.clear()
    engine(host, block("203.0.113.5/24", f"{SIX}/64")).managed()
    assert lines(host) == [
        f"ifconfig eth0 inet6 {SIX} -alias",
        "ifconfig eth0 inet 203.0.113.5 netmask 255.255.255.0 broadcast 203.0.113.255 alias",
        f"ifconfig eth0 inet6 {SIX} prefixlen 64 alias",
    ]
    assert live(host) - PRIMARY == {"203.0.113.5/24", f"{SIX}/64"}


def test_a_line_of_others_is_left_or_moves_when_it_is_asked_for(host: SimHost) -> None:
    platform.FOREIGN(host)
    before = hostname(host)
    answer = engine(host, block("192.0.2.20/24")).managed()
    assert "files" not in answer["changes"]
    assert "192.0.2.20/24" in live(host)
    assert hostname(host) == before
    engine(host, block("192.0.2.20/24", adopt=True)).managed()
    assert "inet alias 192.0.2.20 255.255.255.0\n" not in hostname(host)
    assert "inet alias 192.0.2.20 255.255.255.0 192.0.2.255\n" in hostname(host)
    engine(host, block()).clean()
    assert hostname(host) == platform.HOSTNAME
    assert live(host) == PRIMARY


def test_drift_is_seen_from_both_sides(host: SimHost) -> None:
    given = block("203.0.113.1", "203.0.113.2")
    engine(host, given).managed()
    platform.kernel(host).delete("eth0", "203.0.113.1")
    line = "inet alias 203.0.113.2 255.255.255.255 203.0.113.2\n"
    host.files.put(PATH, hostname(host).replace(line, ""), 0o640)
    add_by_hand(host, "198.51.100.9/32")
    states = {row["address"]: row["state"] for row in diff_rows(engine(host, given))}
    assert states["203.0.113.1/32"] == "missing-live"
    assert states["203.0.113.2/32"] == "missing-file"
    assert states["198.51.100.9/32"] == "foreign"
    said = problems(engine(host, given))
    assert "eth0: 203.0.113.1/32 is not live" in said
    assert "eth0: 203.0.113.2/32 is in no file" in said
    told = import_pillar(engine(host, given))["ipalias"]["interfaces"]["eth0"]["addresses"]
    assert set(told) == {"203.0.113.1", "203.0.113.2", "198.51.100.9"}


def test_the_original_is_put_back(host: SimHost) -> None:
    engine(host, block(FOUR)).managed()
    assert hostname(host) != platform.HOSTNAME
    assert restore(engine(host), PATH)["result"] is True
    assert hostname(host) == platform.HOSTNAME
    assert host.files.nodes[PATH].mode == 0o640


# What the real programs refuse


def has_a_host_route(host: SimHost) -> None:
    """``route.c`` of 2015, rt_ifa_addlocal: EEXIST."""
    platform.kernel(host).routed.add(FOUR)


def not_root(host: SimHost) -> None:
    """``in.c``, in_ioctl_change_ifaddr: EPERM."""
    platform.kernel(host).privileged = False


def gone(host: SimHost) -> None:
    """``if.c``, ifioctl: ENXIO; the link goes while the file is being written."""

    def leave(at: int, effect: Any) -> None:
        if isinstance(effect, Run) and effect.command.argv[0] == "ifconfig":
            away = host.net.links.pop("eth0", None)
            host.watch = lambda at, effect: host.net.links.setdefault("eth0", away)  # type: ignore

    host.watch = leave


def bad_value(host: SimHost) -> None:
    """``ifconfig.c``, in_getaddr."""
    platform.kernel(host).broken[FOUR] = simopenbsd.BAD.format(FOUR)


def other_prefix(host: SimHost) -> None:
    """``in6.c``, in6_update_ifa: EINVAL."""
    platform.kernel(host).broken[SIX] = simopenbsd.INVALID


def no_memory(host: SimHost) -> None:
    """``route.c``, rt_ifa_add: ENOBUFS."""
    host.refused = {SIX}


REFUSALS: list[tuple[Callable[[SimHost], None], str]] = [
    (has_a_host_route, f"addresses[0]: {FOUR}/32 could not be added: {simopenbsd.EXISTS}"),
    (not_root, f"{FOUR}/32 could not be added: {simopenbsd.FORBIDDEN.format('SIOCAIFADDR')}"),
    (gone, f"{FOUR}/32 could not be added: {simopenbsd.UNKNOWN.format('SIOCAIFADDR')}"),
    (bad_value, f"{FOUR}/32 could not be added: ifconfig: {FOUR}: bad value"),
    (other_prefix, f"addresses[1]: {SIX}/128 could not be added: {simopenbsd.INVALID}"),
    (no_memory, f"{SIX}/128 could not be added: {simopenbsd.FULL.format('SIOCAIFADDR')}"),
]


@pytest.mark.parametrize(
    ("refuse", "said"), REFUSALS, ids=[refuse.__name__ for refuse, _ in REFUSALS]
)
def test_a_refusal_is_told_and_everything_is_as_before(
    host: SimHost, refuse: Callable[[SimHost], None], said: str
) -> None:
    before = comparable(host)
    refuse(host)
    with pytest.raises(IpaliasError) as caught:
        engine(host, block(FOUR, SIX)).managed()
    assert said in str(caught.value)
    host.watch = None
    assert differences(before, comparable(host)) == []


def test_one_that_is_gone_meanwhile_cannot_be_taken_away(host: SimHost) -> None:
    """``in.c``, in_ioctl_change_ifaddr: EADDRNOTAVAIL."""
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    before = comparable(host)
    platform.kernel(host).broken["203.0.113.2"] = simopenbsd.ABSENT
    with pytest.raises(IpaliasError, match=r"203\.0\.113\.2/32 could not be taken away: .*Can't"):
        engine(host, block("203.0.113.1")).managed()
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize("go_on", [False, True])
def test_on_the_way_back_one_that_is_refused_keeps_no_other_away(
    host: SimHost, go_on: bool
) -> None:
    platform.kernel(host).broken[FOUR] = simopenbsd.INVALID
    ops = [Op(alias) for alias in aliases(FOUR, SIX)]
    with pytest.raises(BatchError, match=rf"{FOUR}/32 could not be added"):
        run(openbsd.change("eth0", ops, (), go_on=go_on), host.perform)
    assert (f"{SIX}/128" in live(host)) is go_on


def test_an_address_that_is_a_duplicate_is_told_and_undone(host: SimHost) -> None:
    host.net.dad = 1.0
    host.net.elsewhere.add(SIX)
    before = comparable(host)
    with pytest.raises(VerifyError, match=rf"{SIX}/128 is a duplicate"):
        engine(host, block(SIX)).managed()
    assert differences(before, comparable(host)) == []


def test_a_file_that_netstart_reads_otherwise_is_put_back(host: SimHost) -> None:
    before = comparable(host)
    sh = host.programs["sh"]

    def blind(argv: Any, stdin: str | None) -> Result:
        result = sh(argv, stdin)
        return Result(0, result.out.replace("inet6 alias", "inet6"), "")

    host.programs["sh"] = blind
    with pytest.raises(EffectError, match=r"eth0:6: `sh /etc/netstart -n eth0` does not come to"):
        engine(host, block(FOUR, SIX)).managed()
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize(
    "text",
    [
        platform.HOSTNAME.replace("\n", "\r\n"),
        f"{platform.HOSTNAME}inet alias 198.51.100.77/32",
        f"{platform.HOSTNAME}# BEGIN ipalias eth0\n",
        f"{platform.HOSTNAME}inet alias $(cat /etc/ip) 255.255.255.255\n",
    ],
    ids=["crlf", "no newline", "half a block", "a command"],
)
def test_a_file_that_cannot_be_edited_is_refused_with_its_line(host: SimHost, text: str) -> None:
    host.files.put(PATH, text, 0o640)
    before = comparable(host)
    with pytest.raises(IpaliasError, match=r"^/etc/hostname\.eth0:[0-9]+: "):
        engine(host, block(FOUR)).managed()
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("ifconfig em9 inet 192.0.2.9 netmask 255.255.255.255 alias", "Device not configured"),
        ("ifconfig eth0 inet 192.0.2.300 netmask 255.255.255.255 alias", "192.0.2.300: bad value"),
        ("ifconfig eth0 inet 192.0.2.9 netmask 255.0.255.0 alias", "non-contiguous mask"),
        ("ifconfig eth0 inet6 2001:db8::9 prefixlen 129 alias", "prefix 129: too large"),
        ("ifconfig eth0 inet 192.0.2.99 -alias", simopenbsd.ABSENT),
        ("ifconfig eth0 inet6 2001:db8::9 -alias", simopenbsd.ABSENT),
        ("ifconfig eth0 inet6 2001:db8::2 prefixlen 128 alias", simopenbsd.INVALID),
        ("ifconfig eth0 inet6 2001:db8::9 prefixlen 128 deprecated alias", "bad value"),
        ("route -n add -inet -mpath default -ifp eth0 192.0.2.1", "File exists"),
        ("route -n add -inet -mpath default -ifp em9 192.0.2.1", "bad interface name"),
        ("route add -mpath default 192.0.2.1", "usage: route"),
        ("netstat -rnW -f inet", "usage: netstat"),
        ("sh /etc/netstart -x eth0", "usage: sh /etc/netstart"),
        ("ls -nL /etc/none", "No such file"),
    ],
)
def test_the_rig_refuses_what_the_real_ones_refuse(host: SimHost, argv: str, said: str) -> None:
    result = host.run(argv.split())
    assert result.code != 0
    assert said in result.err


def test_slips_of_the_pen_in_what_we_run_are_refused() -> None:
    ran: dict[str, set[tuple[str, ...]]] = {}
    for scene in SCENES:
        made, request = scene_of("openbsd", scene)
        request(made)
        engine(made, block({"address": SIX, "source": "never"})).managed()
        for scope in ("interface", "network"):
            restart(engine(made, block()), name="eth0", scope=scope)
        made.net.routes = [one for one in made.net.routes if one.destination != "default"]
        for gateway in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
            family = 6 if ":" in gateway else 4
            (back,) = openbsd.routes_back([Route(family, "default", "eth0", gateway)])
            assert made.run(back.argv).code == 0
        for name, program in made.programs.items():
            assert isinstance(program, Cited)
            assert program.refused == []
            ran.setdefault(name, set()).update(program.taken)
    for name in ("ping", "ping6", "arp", "ndp"):
        ran.pop(name)  # see test_neighbours
    # Settings are tested where they are changed.
    del ran["sysctl"]
    assert all(ran.values()), [name for name, taken in ran.items() if not taken]
    total, left = 0, []
    for name, taken in ran.items():
        program = platform.host().programs[name]
        assert isinstance(program, Cited)
        count, survived = survivors(program, sorted(taken))
        total, left = total + count, left + survived
    assert total > 300
    assert len(left) <= total * 0.05, left


# Routes and restarts


def test_several_default_routes_are_read_and_put_back(host: SimHost) -> None:
    """The multi-WAN guide: ``!route add -mpath default`` twice."""
    host.net.routes.append(SimRoute(4, "default", "eth0", "192.0.2.254", protocol="static"))
    snapshot = openbsd.read_snapshot(host)
    gateways = [route.gateway for route in snapshot.defaults(4)]
    assert gateways == ["192.0.2.1", "192.0.2.254"]
    routes = sorted(map(str, host.net.routes))
    host.net.routes = [one for one in host.net.routes if one.destination != "default"]
    for family in (4, 6):
        for command in openbsd.routes_back(snapshot.defaults(family)):
            assert host.run(command.argv).code == 0
    assert sorted(map(str, host.net.routes)) == routes


def test_a_route_without_a_gateway_is_put_back_over_its_link() -> None:
    routes = [Route(family, "default", "pppoe0", None) for family in (4, 6)]
    four, six = openbsd.routes_back(routes)
    assert four.argv[-3:] == ("-ifp", "pppoe0", "0.0.0.1")
    assert six.argv[-3:] == ("-ifp", "pppoe0", "fe80::%pppoe0")


def test_each_level_runs_its_commands(host: SimHost) -> None:
    given = block(FOUR)
    engine(host, given).managed()
    routes = sorted(map(str, host.net.routes))
    for scope, ran in (
        ("alias", []),
        ("interface", ["sh /etc/netstart eth0"]),
        ("network", ["sh /etc/netstart"]),
    ):
        host.log.clear()
        assert restart(engine(host, given), name="eth0", scope=scope)["result"] is True
        assert lines(host) == ran
        assert sorted(map(str, host.net.routes)) == routes
        assert live(host) == PRIMARY | {f"{FOUR}/32"}


def test_what_a_restart_leaves_out_comes_back(host: SimHost) -> None:
    """The first address of a link falls with netstart; here it is one of ours in no file."""
    engine(host, None).add(aliases("203.0.113.9"), persist=False)
    link = host.net.links["eth0"]
    link.addresses4.sort(key=lambda address: address.address, reverse=True)
    restart(engine(host, None), name="eth0", scope="interface")
    assert live(host) == PRIMARY | {"203.0.113.9/32"}


def test_a_thousand_addresses_are_a_command_each_and_one_file(host: SimHost) -> None:
    engine(host, block("2001:db8:9::1-2001:db8:9::3e8")).managed()
    assert len(lines(host)) == 1000
    assert hostname(host).count("inet6 alias") == 1000
    assert asked(host, "sh") == ["sh /etc/netstart -n eth0"]
    engine(host, block()).clean()
    assert hostname(host) == platform.HOSTNAME
    assert live(host) == PRIMARY
