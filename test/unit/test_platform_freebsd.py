"""FreeBSD through the whole engine: what ifconfig refuses, restarts, rc.conf and the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rig import simafter, simbsd
from rig.plat import freebsd as platform
from rig.simengine import aliases, block, changed, engine, live
from rig.simforms import Cited, survivors
from rig.simhost import Crash, Fault, SimHost
from rig.simscenes import (
    FOREIGN_LIVE,
    SCENES,
    add_by_hand,
    comparable,
    differences,
    leftovers,
    scene_of,
)
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError, IpaliasError, VerifyError
from saltext.ipalias.report import diff_rows, import_pillar, problems
from saltext.ipalias.restore import restore
from saltext.ipalias.upkeep import restart

RC = platform.RC
PRIMARY = {"192.0.2.2/24", "2001:db8::2/64"}


@pytest.fixture
def host() -> SimHost:
    made = platform.host()
    made.log.clear()
    return made


def rc(host: SimHost) -> str:
    return host.files.read(RC) or ""


def lines(host: SimHost) -> list[str]:
    """Return the commands that were run as effects."""
    return [" ".join(one.command.argv) for one in host.log if isinstance(one, Run)]


# The guide


def test_the_guides_alias_is_written_checked_and_brought_live(host: SimHost) -> None:
    answer = engine(host, block("203.0.113.74", "2001:db8:1::74")).managed()
    assert answer["result"] is True
    assert rc(host).splitlines()[-2:] == [
        'ifconfig_eth0_alias0="inet 203.0.113.74 netmask 255.255.255.255 broadcast 203.0.113.74"',
        'ifconfig_eth0_alias1="inet6 2001:db8:1::74 prefixlen 128"',
    ]
    assert lines(host) == [
        "sh -n /etc/rc.conf",
        "ifconfig eth0 inet 203.0.113.74 netmask 255.255.255.255 broadcast 203.0.113.74 alias",
        "ifconfig eth0 inet6 2001:db8:1::74 prefixlen 128 alias",
    ]
    assert live(host) - PRIMARY == {"203.0.113.74/32", "2001:db8:1::74/128"}
    assert (
        changed(host, lambda: engine(host, block("203.0.113.74", "2001:db8:1::74")).managed()) == []
    )


def test_the_middle_one_goes_and_the_last_takes_its_number(host: SimHost) -> None:
    engine(host, block("203.0.113.1", "203.0.113.2", "203.0.113.3")).managed()
    host.log.clear()
    engine(host, block("203.0.113.1", "203.0.113.3")).managed()
    assert lines(host) == ["sh -n /etc/rc.conf", "ifconfig eth0 inet 203.0.113.2 -alias"]
    assert 'alias1="inet 203.0.113.3 ' in rc(host)
    assert "alias2" not in rc(host)
    engine(host, block()).managed()
    assert rc(host) == platform.CONF


def test_a_line_of_others_is_present_and_adopted_where_it_stands(host: SimHost) -> None:
    platform.FOREIGN(host)
    before = rc(host)
    answer = engine(host, block("192.0.2.20/24")).managed()
    assert "files" not in answer["changes"]
    assert "192.0.2.20/24" in live(host)
    engine(host, block("192.0.2.20/24", adopt=True)).managed()
    assert rc(host) == before
    engine(host, block()).clean()
    assert rc(host) == platform.CONF
    assert live(host) == PRIMARY


def test_purge_takes_out_a_line_of_others_where_it_is_asked_to(host: SimHost) -> None:
    platform.FOREIGN(host)
    add_by_hand(host, "192.0.2.20/24")
    engine(host, block("203.0.113.1", purge="all")).managed()
    assert "192.0.2.20" not in rc(host)
    assert live(host) == PRIMARY | {"203.0.113.1/32"}


@pytest.mark.parametrize("form", ["numbered", "list"])
def test_the_pillars_form_moves_ours_alone(host: SimHost, form: str) -> None:
    platform.FOREIGN(host)
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    before = live(host)
    engine(host, block("203.0.113.1", "203.0.113.2", form=form)).managed()
    assert ("ifconfig_eth0_aliases=" in rc(host)) is (form == "list")
    assert 'ifconfig_eth0_alias0="inet 192.0.2.20 ' in rc(host)
    assert live(host) == before
    assert engine(host, block("203.0.113.1", "203.0.113.2", form=form)).managed()["changes"] == {}


def test_never_a_source_is_deprecated_for_inet6_and_changed_in_place(host: SimHost) -> None:
    six = {"address": "2001:db8:1::74", "source": "never"}
    engine(host, block("2001:db8:1::74")).managed()
    host.log.clear()
    engine(host, block(six)).managed()
    assert lines(host)[-1] == "ifconfig eth0 inet6 2001:db8:1::74 prefixlen 128 deprecated alias"
    assert "prefixlen 128 deprecated" in rc(host)
    assert problems(engine(host, block(six))) == []
    engine(host, block("2001:db8:1::74")).managed()
    assert lines(host)[-1] == "ifconfig eth0 inet6 2001:db8:1::74 prefixlen 128 alias"
    with pytest.raises(InputError, match=r"no word that keeps an IPv4 address"):
        engine(host, block({"address": "203.0.113.1", "source": "never"})).managed()


def test_a_prefix_is_changed_in_one_command_and_the_address_never_leaves(host: SimHost) -> None:
    engine(host, block("203.0.113.5")).managed()
    host.log.clear()
    engine(host, block("203.0.113.5/24")).managed()
    assert lines(host)[1:] == [
        "ifconfig eth0 inet 203.0.113.5 netmask 255.255.255.0 broadcast 203.0.113.255 alias"
    ]
    assert live(host) == PRIMARY | {"203.0.113.5/24"}
    assert rc(host).count("203.0.113.5 ") == 1


def test_drift_is_seen_from_both_sides(host: SimHost) -> None:
    given = block("203.0.113.1", "203.0.113.2")
    engine(host, given).managed()
    platform.kernel(host).delete("eth0", "203.0.113.1")
    host.files.put(RC, rc(host).replace("203.0.113.2", "203.0.113.3"))
    add_by_hand(host, "198.51.100.9/32")
    states = {row["address"]: row["state"] for row in diff_rows(engine(host, given))}
    assert states["203.0.113.1/32"] == "missing-live"
    assert states["203.0.113.2/32"] == "missing-file"
    assert states["203.0.113.3/32"] == states["198.51.100.9/32"] == "foreign"
    said = problems(engine(host, given))
    assert "eth0: 203.0.113.1/32 is not live" in said
    assert "eth0: 203.0.113.2/32 is in no file" in said
    told = import_pillar(engine(host, given))["ipalias"]["interfaces"]["eth0"]["addresses"]
    assert set(told) == {"203.0.113.1", "203.0.113.2", "203.0.113.3", "198.51.100.9"}


def test_the_original_is_put_back(host: SimHost) -> None:
    engine(host, block("203.0.113.1")).managed()
    assert rc(host) != platform.CONF
    assert restore(engine(host), RC)["result"] is True
    assert rc(host) == platform.CONF


# What the real programs refuse

FOUR, SIX = "203.0.113.74", "2001:db8:1::74"


def is_there(host: SimHost) -> None:
    """BastilleBSD/bastille issue 730: the words of FreeBSD 14.1."""
    platform.kernel(host).broken[FOUR] = simbsd.EXISTS


def in_a_jail(host: SimHost) -> None:
    """``ifconfig.c``, Perror: EPERM; the words in AlchemillaHQ/Sylve pull request 190."""
    platform.kernel(host).privileged = False


def gone(host: SimHost) -> None:
    """``ifconfig.c``, main."""

    def leave(at: int, effect: Any) -> None:
        if isinstance(effect, Run) and effect.command.argv[0] == "ifconfig":
            raise EffectError("exit 1: ifconfig: interface eth0 does not exist", where="eth0")

    host.watch = leave


def bad_value(host: SimHost) -> None:
    """``af_inet.c``, in_getaddr."""
    platform.kernel(host).broken[FOUR] = f"ifconfig: {FOUR}: bad value"


def other_prefix(host: SimHost) -> None:
    """``in6.c``, in6_update_ifa: the prefix length of an existing address."""
    platform.kernel(host).broken[SIX] = simbsd.OTHER_PREFIX


def no_memory(host: SimHost) -> None:
    """``in.c``, in_aifaddr_ioctl."""
    host.refused = {SIX}


REFUSALS: list[tuple[Callable[[SimHost], None], str]] = [
    (is_there, f"addresses[0]: {FOUR}/32 could not be added: {simbsd.EXISTS}"),
    (in_a_jail, f"{FOUR}/32 could not be added: ifconfig: ioctl (SIOCAIFADDR): permission denied"),
    (gone, "ifconfig: interface eth0 does not exist"),
    (bad_value, f"{FOUR}/32 could not be added: ifconfig: {FOUR}: bad value"),
    (other_prefix, f"addresses[1]: {SIX}/128 could not be added: {simbsd.OTHER_PREFIX}"),
    (no_memory, f"{SIX}/128 could not be added: {simbsd.FULL.format('SIOCAIFADDR')}"),
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
    """BastilleBSD/bastille issue 525: the words of FreeBSD 13.1."""
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    before = comparable(host)
    platform.kernel(host).broken["203.0.113.2"] = simbsd.ABSENT
    with pytest.raises(EffectError, match=r"203\.0\.113\.2/32 could not be taken away: .*Can't"):
        engine(host, block("203.0.113.1")).managed()
    platform.kernel(host).broken.clear()
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("ifconfig em9 inet 192.0.2.9 netmask 255.255.255.255 alias", "interface em9 does not"),
        ("ifconfig eth0 inet 192.0.2.300 netmask 255.255.255.255 alias", "192.0.2.300: bad value"),
        ("ifconfig eth0 inet6 2001:db8::9 prefixlen 129 alias", "129: bad value"),
        ("ifconfig eth0 inet 192.0.2.99 -alias", simbsd.ABSENT),
        ("ifconfig eth0 inet6 2001:db8::9 -alias", simbsd.ABSENT),
        ("ifconfig eth0 inet6 2001:db8::2 prefixlen 128 alias", simbsd.OTHER_PREFIX),
        ("ifconfig eth0 inet 127.0.0.1 netmask 255.0.0.0 alias", simbsd.EXISTS),
        ("ifconfig eth0 inet 192.0.2.9 alias", "bad value"),
        ("ifconfig eth0 192.0.2.9/32 alias", "bad value"),
        ("route -n add -inet default 192.0.2.1", "route already in table"),
        ("route add default 192.0.2.1", "usage: route"),
        ("netstat -rn", "illegal option"),
        ("service netif restart", "does not exist"),
        ("/etc/rc.d/netif restart eth0", "Usage: /etc/rc.d/netif"),
        ("sh -n /etc/none", "cannot open /etc/none"),
    ],
)
def test_the_rig_refuses_what_the_real_ones_refuse(host: SimHost, argv: str, said: str) -> None:
    result = host.run(argv.split())
    assert result.code != 0
    assert said in result.err


def test_an_address_that_is_a_duplicate_is_told_and_undone(host: SimHost) -> None:
    host.net.dad = 1.0
    host.net.elsewhere.add(SIX)
    before = comparable(host)
    with pytest.raises(VerifyError, match=rf"{SIX}/128 is a duplicate"):
        engine(host, block(SIX)).managed()
    assert differences(before, comparable(host)) == []


def test_a_file_that_the_shell_refuses_is_put_back(host: SimHost) -> None:
    sh = host.programs["sh"]
    assert isinstance(sh, Cited)
    before = comparable(host)
    host.programs["sh"] = lambda argv, stdin: sh(["sh", "-n", "/etc/none"], stdin)
    with pytest.raises(EffectError, match=r"`sh -n /etc/rc\.conf`: exit 2"):
        engine(host, block(FOUR)).managed()
    host.programs["sh"] = sh
    assert differences(before, comparable(host)) == []


def test_slips_of_the_pen_in_what_we_run_are_refused() -> None:
    run: dict[str, set[tuple[str, ...]]] = {}
    for scene in SCENES:
        made, request = scene_of("freebsd", scene)
        request(made)
        for scope in ("interface", "network"):
            restart(engine(made, block("203.0.113.1")), name="eth0", scope=scope)
        made.net.routes = [one for one in made.net.routes if one.destination != "default"]
        for gateway in (simbsd.GATEWAY4, simbsd.GATEWAY6):
            family = "-inet6" if ":" in gateway else "-inet"
            made.run(["route", "-n", "add", family, "default", gateway])
        for name, program in made.programs.items():
            assert isinstance(program, Cited)
            assert program.refused == []
            run.setdefault(name, set()).update(program.taken)
    for name in ("ping", "ping6", "arp", "ndp"):
        run.pop(name)  # see test_neighbours
    # Settings are tested where they are changed.
    del run["sysctl"]
    assert all(run.values()), [name for name, taken in run.items() if not taken]
    total, left = 0, []
    for name, taken in run.items():
        count, survived = survivors(platform.host().programs[name], sorted(taken))  # type: ignore[arg-type]
        total, left = total + count, left + survived
    assert total > 300
    assert len(left) <= total * 0.05, left


# The way back


def cut_off(request: Callable[[SimHost], Any], host: SimHost) -> SimHost:
    """Kill a change behind its last command, and take away what the host is reached by."""
    done = host.successor()
    request(done)
    last = max(at for at, effect in enumerate(done.log) if isinstance(effect, Run))
    host.faults = [Fault(last, done=True, crash=True)]
    with pytest.raises(Crash):
        request(host)
    left = host.successor()
    for address in ("192.0.2.2", "2001:db8::2", FOREIGN_LIVE.partition("/")[0]):
        platform.kernel(left).delete("eth0", address)
    left.net.routes = [route for route in left.net.routes if route.destination != "default"]
    return left


@pytest.mark.parametrize("scene", SCENES)
def test_the_dead_man_brings_primaries_and_default_routes_back(scene: str) -> None:
    host, request = scene_of("freebsd", scene)
    before = comparable(host)
    left = cut_off(request, host)
    simafter.dead_man(left)
    assert differences(before, comparable(left)) == []
    assert leftovers(left) == []


def test_one_that_cannot_come_back_keeps_no_other_away() -> None:
    host, request = scene_of("freebsd", "other")
    before = comparable(host)
    left = cut_off(request, host)
    left.refused = {FOREIGN_LIVE.partition("/")[0]}
    simafter.dead_man(left)
    said = differences(before, comparable(left))
    assert len(said) == 1, said
    assert FOREIGN_LIVE.partition("/")[0] in said[0]
    # It is tried again by the next run.
    assert leftovers(left) != []
    left.refused = set()
    simafter.settle(left)
    assert differences(before, comparable(left)) == []
    assert leftovers(left) == []


# Restarts


def test_each_level_runs_its_commands(host: SimHost) -> None:
    given = block("203.0.113.1")
    engine(host, given).managed()
    routes = sorted(map(str, host.net.routes))
    for scope, ran in (
        ("alias", []),
        ("interface", ["service netif restart eth0", "service routing static"]),
        ("network", ["/etc/rc.d/netif restart", "/etc/rc.d/routing restart"]),
    ):
        host.log.clear()
        assert restart(engine(host, given), name="eth0", scope=scope)["result"] is True
        assert lines(host) == ran
        assert sorted(map(str, host.net.routes)) == routes
        assert live(host) == PRIMARY | {"203.0.113.1/32"}


def test_what_a_restart_leaves_out_comes_back(host: SimHost) -> None:
    """An alias that is in no file falls with the interface."""
    engine(host, None).add(aliases("203.0.113.9"), persist=False)
    restart(engine(host, None), name="eth0", scope="interface")
    assert "203.0.113.9/32" in live(host)


def test_a_thousand_addresses_are_a_command_each_and_one_file(host: SimHost) -> None:
    engine(host, block("2001:db8:9::1-2001:db8:9::3e8")).managed()
    ran = lines(host)
    assert len(ran) == 1001
    assert ran[0] == "sh -n /etc/rc.conf"
    assert rc(host).count("_alias") == 1000
