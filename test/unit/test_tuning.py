"""Kernel settings on a simulated host: kept, given up, refused; file and kernel told apart."""

from __future__ import annotations

from typing import Any

import pytest

from rig.simengine import changed
from rig.simhost import STATE, Fault, SimHost
from rig.simnet import SimRoute
from rig.simscenes import comparable, differences, leftovers
from rig.simsysctl import LEDGER, OURS, UNIT, WANTED, linux, managed, scene_of, tuner
from saltext.ipalias import upkeep
from saltext.ipalias.checks import CheckSpec, GuardConfig
from saltext.ipalias.effects import Freeze, ReadLive, Run, WriteKernel
from saltext.ipalias.engine import Engine
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    ParseError,
    RefusedError,
    VerifyError,
)
from saltext.ipalias.host import Result
from saltext.ipalias.paths import Settings
from saltext.ipalias.tuning import parse_settings

IGNORE, ANNOUNCE = "net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_announce"
LATE = "net.ipv4.conf.late0.arp_ignore"


@pytest.fixture
def host() -> SimHost:
    return linux()


def settings(**data: Any) -> Any:
    return parse_settings(
        {key.replace("__", "."): value for key, value in data.items()}, "x", "linux"
    )


def one(key: str, value: object) -> Any:
    return parse_settings({key: value}, "pillar", "linux")


def live(host: SimHost, key: str) -> str | None:
    return host.proc.values.get(key.replace(".", "/") if "/" not in key else key)


def test_a_setting_is_in_our_file_and_live(host: SimHost) -> None:
    answer = tuner(host).present(one(IGNORE, 1))
    assert answer["result"] is True
    assert answer["changes"]["settings"] == {IGNORE: {"old": "0", "new": "1"}}
    assert f"+{IGNORE} = 1" in answer["changes"]["files"][OURS]
    assert live(host, IGNORE) == "1"
    assert host.files.nodes[OURS].mode == 0o644
    assert changed(host, lambda: tuner(host).present(one(IGNORE, 1))) == []
    again = tuner(host).present(one(IGNORE, "1"))
    assert again["changes"] == {} and "as wanted, in the file and live" in again["comment"]


@pytest.mark.parametrize(
    ("file", "kernel", "words"),
    [
        (False, False, "the file lacks it, live is 0"),
        (False, True, "the file lacks it, live is right"),
        (True, False, "the file is right, live is 0"),
    ],
)
def test_a_test_tells_file_and_kernel_apart(
    host: SimHost, file: bool, kernel: bool, words: str
) -> None:
    if file:
        tuner(host).present(one(IGNORE, 1))
    host.proc.write(f"/proc/sys/{IGNORE.replace('.', '/')}", "1" if kernel else "0")
    before, at = comparable(host), len(host.log)
    answer = tuner(host).present(one(IGNORE, 1), test=True)
    assert answer["result"] is None
    assert f"{IGNORE}: {words}" in answer["comment"]
    assert comparable(host) == before and host.log[at:] == []
    done = tuner(host).present(one(IGNORE, 1))
    assert done["changes"] == answer["changes"]


def test_where_another_file_has_it_right_already_the_line_is_named(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/20-x.conf", f"\n{IGNORE} = 1\n")
    answer = tuner(host).present(one(IGNORE, 1), test=True)
    assert "the file lacks it (/etc/sysctl.d/20-x.conf:2 sets it)" in answer["comment"]


@pytest.mark.parametrize(
    ("path", "line", "does"),
    [
        ("/etc/sysctl.d/zzz.conf", f"{IGNORE} = 2", "sets 2"),
        ("/usr/lib/sysctl.d/zzz.conf", "net/ipv4/conf/all/arp_ignore=0", "sets 0"),
        ("/run/sysctl.d/zzz.conf", f"-{IGNORE}", "keeps it from being set"),
    ],
)
def test_a_file_that_is_read_later_is_named(host: SimHost, path: str, line: str, does: str) -> None:
    host.files.put(path, f"# theirs\n{line}\n")
    before = comparable(host)
    for test in (True, False):
        with pytest.raises(RefusedError, match=rf"after a boot: {path}:2 {does}.*read after ours"):
            tuner(host).present(one(IGNORE, 1), test=test)
    assert comparable(host) == before


def test_wildcards_that_are_read_later_do_not_win(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/zzz.conf", "net.ipv4.conf.*.arp_ignore = 2\n")
    tuner(host).present(one(IGNORE, 1))
    [row] = tuner(host).effective([IGNORE])
    assert [source["where"] for source in row["sources"]] == [
        f"{OURS}:2",
        "/etc/sysctl.d/zzz.conf:1",
    ]
    assert (row["winner"], row["after_boot"], row["ours"]) == (f"{OURS}:2", "1", True)


def test_a_later_file_that_says_the_same_is_no_conflict(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/zzz.conf", f"{IGNORE} = 1\n")
    assert tuner(host).present(one(IGNORE, 1))["result"] is True
    assert tuner(host).effective([IGNORE])[0]["after_boot"] == "1"


def test_what_sysctl_by_hand_would_make_of_it_is_told(host: SimHost) -> None:
    host.files.put("/etc/sysctl.conf", f"{IGNORE} = 0\n")
    answer = tuner(host).present(one(IGNORE, 1))
    assert answer["notes"][-1].startswith(
        f"{IGNORE}: whoever runs `sysctl --system` by hand sets 0"
    )
    assert "/etc/sysctl.conf:1" in answer["comment"]


# Who wants what


def test_two_that_want_the_same_share_it(host: SimHost) -> None:
    tuner(host).present(one(IGNORE, 1), wanted_by="dsr")
    tuner(host).present(one(IGNORE, 1), wanted_by="hand")
    assert tuner(host).effective([IGNORE])[0]["wanted_by"] == ["dsr", "hand"]
    answer = tuner(host).absent([IGNORE])
    assert answer["changes"] == {} and f"{IGNORE} stays, wanted by dsr" in answer["comment"]
    assert live(host, IGNORE) == "1"
    tuner(host).absent(None, wanted_by="dsr")
    assert live(host, IGNORE) == "0"
    assert host.files.read(OURS) is None


def test_two_that_want_different_values_are_named(host: SimHost) -> None:
    tuner(host).present(one(IGNORE, 1), wanted_by="dsr")
    before = comparable(host)
    with pytest.raises(RefusedError, match=rf"pillar:.*{IGNORE} shall be 2 for wan.*1 for dsr"):
        tuner(host).present(one(IGNORE, 2), wanted_by="wan")
    assert comparable(host) == before


def test_one_wanter_may_change_its_mind(host: SimHost) -> None:
    tuner(host).present(one(IGNORE, 1), wanted_by="dsr")
    answer = tuner(host).present(one(IGNORE, 2), wanted_by="dsr")
    assert answer["changes"]["settings"] == {IGNORE: {"old": "1", "new": "2"}}
    assert tuner(host).effective([IGNORE])[0]["found"] == "0"


def test_what_left_the_pillar_is_given_up_and_what_others_want_stays(host: SimHost) -> None:
    tuner(host).present(one(ANNOUNCE, 2), wanted_by="dsr")
    managed({IGNORE: 1, ANNOUNCE: 2})(host)
    answer = managed({})(host)
    assert answer["changes"]["settings"] == {IGNORE: {"old": "1", "new": "0"}}
    assert live(host, ANNOUNCE) == "2"
    assert list(tuner(host).entries()) == [ANNOUNCE]


def test_clean_leaves_what_components_want(host: SimHost) -> None:
    tuner(host).present(one(ANNOUNCE, 2), wanted_by="dsr")
    tuner(host).present(one(IGNORE, 1))
    tuner(host).clean()
    assert list(tuner(host).entries()) == [ANNOUNCE]
    tuner(host).clean(wanters=("dsr",))
    assert host.files.read(OURS) is None


def test_one_that_is_not_ours_is_given_up_without_a_change(host: SimHost) -> None:
    assert tuner(host).absent([IGNORE])["changes"] == {}
    assert host.files.read(LEDGER) is None


# What comes back


def test_given_up_it_is_what_other_files_say(host: SimHost) -> None:
    key = "net.ipv4.conf.eth1.rp_filter"
    host.proc.write("/proc/sys/net/ipv4/conf/eth1/rp_filter", "0")
    tuner(host).present(one(key, 2))
    tuner(host).absent([key])
    # 10-network.conf, by wildcards; it was 0 by hand.
    assert live(host, key) == "1"


def test_what_somebody_has_set_since_is_left(host: SimHost) -> None:
    tuner(host).present(one(IGNORE, 1))
    host.proc.write("/proc/sys/net/ipv4/conf/all/arp_ignore", "8")
    answer = tuner(host).absent([IGNORE])
    assert live(host, IGNORE) == "8" and "live stays" in answer["comment"]


def test_what_the_kernel_writes_along_comes_back_too(host: SimHost) -> None:
    host.proc.write("/proc/sys/net/ipv4/conf/eth1/forwarding", "1")
    before = dict(host.proc.values)
    tuner(host).present(one("net.ipv4.ip_forward", 1))
    assert live(host, "net.ipv4.conf.eth0.forwarding") == "1"
    tuner(host).absent(["net.ipv4.ip_forward"])
    assert host.proc.values == before


def test_two_of_ours_that_set_each_other_are_named(host: SimHost) -> None:
    data = {"net.ipv4.ip_forward": 0, "net.ipv4.conf.all.forwarding": 1}
    said = (
        r"net\.ipv4\.ip_forward would not be 0 .*: net\.ipv4\.conf\.all\.forwarding, which is kept"
    )
    with pytest.raises(RefusedError, match=said):
        tuner(host).present(parse_settings(data, "x", "linux"))


def test_one_of_ours_that_the_kernel_would_write_along_keeps_its_value(host: SimHost) -> None:
    key = "net.ipv4.conf.eth1.forwarding"
    tuner(host).present(one(key, 1))
    tuner(host).present(one("net.ipv4.ip_forward", 1))
    tuner(host).absent(["net.ipv4.ip_forward"])
    assert live(host, key) == "1" and live(host, "net.ipv4.conf.eth0.forwarding") == "0"


@pytest.mark.parametrize("before", ["0", "1"])
def test_what_writes_others_along_is_written_before_them(host: SimHost, before: str) -> None:
    host.proc.write("/proc/sys/net/ipv4/conf/eth0/forwarding", before)
    data = {"net.ipv4.conf.eth0.forwarding": 0, "net.ipv4.ip_forward": 1}
    tuner(host).present(parse_settings(data, "x", "linux"))
    written = [e.path for e in host.log if isinstance(e, WriteKernel)]
    forward = "/proc/sys/net/ipv4/ip_forward"
    assert written == [forward, "/proc/sys/net/ipv4/conf/eth0/forwarding"]


@pytest.mark.parametrize("name", ["first", "other", "clean", "block"])
def test_a_refused_write_leaves_everything_as_it_was(name: str) -> None:
    host, request = scene_of(name)
    before, done = comparable(host), host.successor()
    request(done)
    written = [at for at, effect in enumerate(done.log) if isinstance(effect, WriteKernel)]
    assert written
    for at in written:
        for had_effect in (False, True):
            tried = host.successor()
            tried.faults = [Fault(at, done=had_effect, errno=22)]
            with pytest.raises(EffectError, match=r"refused the value.*Invalid argument"):
                request(tried)
            assert differences(before, comparable(tried)) == []
            assert leftovers(tried) == []


def test_a_value_that_the_kernel_does_not_take_is_told_with_its_key(host: SimHost) -> None:
    before = comparable(host)
    with pytest.raises(EffectError, match=rf"{IGNORE}: the kernel refused the value x: .*argument"):
        tuner(host).present(one(IGNORE, "x"))
    assert comparable(host) == before


def test_a_value_that_reads_back_as_another_is_undone(host: SimHost) -> None:
    healthy = host.proc.write

    def clamping(path: str, value: str) -> str | None:
        return healthy(path, "3" if value == "9" else value)

    host.proc.write = clamping  # type: ignore[method-assign]
    before = comparable(host)
    with pytest.raises(VerifyError, match=r"reads back as 3 and was set to 9"):
        tuner(host).present(one(IGNORE, 9))
    assert comparable(host) == before


def test_a_vote_against_it_undoes_it(host: SimHost) -> None:
    host.votes = lambda check: "" if live(host, IGNORE) == "0" else "no answer"
    guard = GuardConfig(timeout=1.0, checks=(CheckSpec("tcp", "192.0.2.9", 80),))
    before = comparable(host)
    with pytest.raises(VerifyError, match=r"tcp://192\.0\.2\.9:80 worked before"):
        tuner(host, settings=Settings(guard=guard)).present(one(IGNORE, 1))
    assert comparable(host) == before


def test_confirmed_or_undone_by_hand(host: SimHost) -> None:
    before = comparable(host)
    waits = tuner(host, settings=Settings(confirm=True)).present(one(IGNORE, 1))
    assert "ipalias.confirm" in waits["comment"]
    with pytest.raises(RefusedError, match="waits to be confirmed"):
        tuner(host).present(one(ANNOUNCE, 2))
    upkeep.rollback(Engine(host))
    assert comparable(host) == before


def test_the_last_change_is_rolled_back_listener_and_all(host: SimHost) -> None:
    before = comparable(host)
    tuner(host).present([*one(IGNORE, 1), *one(LATE, 1)])
    assert host.services
    upkeep.rollback(Engine(host))
    assert differences(before, comparable(host)) == []


def test_a_default_route_that_falls_undoes_it(host: SimHost) -> None:
    healthy = host.proc.write

    def cutting(path: str, value: str) -> str | None:
        if path.endswith("arp_ignore") and value == "1":
            host.net.routes = [r for r in host.net.routes if r.gateway != "192.0.2.1"]
        return healthy(path, value)

    host.proc.write = cutting  # type: ignore[method-assign]
    before = comparable(host)
    with pytest.raises(VerifyError, match=r"default route by 192\.0\.2\.1 fell"):
        tuner(host).present(one(IGNORE, 1))
    assert comparable(host) == before


def test_a_router_that_would_lose_its_own_route_is_refused(host: SimHost) -> None:
    host.net.routes = [r for r in host.net.routes if r.family == 4 or r.destination != "default"]
    host.net.add_route(SimRoute(6, "default", "eth0", "fe80::1", protocol="ra"))
    before = comparable(host)
    forward = one("net.ipv6.conf.all.forwarding", 1)
    for test in (True, False):
        with pytest.raises(RefusedError, match=r"fe80::1 away.*\.eth0\.accept_ra to 2"):
            tuner(host).present(forward, test=test)
    assert comparable(host) == before
    accept = one("net.ipv6.conf.eth0.accept_ra", 2)
    assert tuner(host).present([*accept, *forward])["result"] is True


# Interfaces that are not there yet


def test_an_interface_to_come_brings_the_listener_and_the_last_one_takes_it(host: SimHost) -> None:
    answer = tuner(host).present([*one(IGNORE, 1), *one(LATE, 1)])
    assert answer["changes"]["listener"] == {"old": "stopped", "new": "running"}
    assert answer["changes"]["settings"] == {IGNORE: {"old": "0", "new": "1"}}
    assert f"{LATE} = 1" in str(host.files.read(OURS))
    assert host.services == {"ipalias-sysctl.service"}
    again = tuner(host).present(one(LATE, 1))
    assert again["changes"] == {} and "1 wait for their interface" in again["comment"]
    answer = tuner(host).absent([LATE])
    assert answer["changes"]["listener"] == {"old": "running", "new": "stopped"}
    assert host.services == set()
    assert host.files.read(UNIT) is None and host.files.read(WANTED) is None
    assert live(host, IGNORE) == "1"


def test_a_listener_that_was_stopped_is_started_again(host: SimHost) -> None:
    tuner(host).present(one(LATE, 1))
    host.services.clear()
    answer = tuner(host).present(one(LATE, 1), test=True)
    assert answer["result"] is None and "listener for interfaces starts" in answer["comment"]
    tuner(host).present(one(LATE, 1))
    assert host.services == {"ipalias-sysctl.service"}


def test_no_copy_is_frozen_where_nothing_starts(host: SimHost) -> None:
    tuner(host).present(one(LATE, 1))
    at = len(host.log)
    tuner(host).present(one(LATE, 1))
    assert not [effect for effect in host.log[at:] if isinstance(effect, Freeze)]


def test_without_a_copy_to_run_nothing_is_changed(
    host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = host._perform
    monkeypatch.setattr(
        host, "_perform", lambda effect: None if isinstance(effect, Freeze) else healthy(effect)
    )
    before = comparable(host)
    with pytest.raises(EffectError, match="no frozen copy"):
        tuner(host).present(one(LATE, 1))
    assert comparable(host) == before


def test_a_copy_that_lies_elsewhere_is_named_in_the_unit(
    host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, place = host._perform, f"{STATE}/frozen"
    monkeypatch.setattr(
        host,
        "_perform",
        lambda effect: f"{place}/0-0" if isinstance(effect, Freeze) else healthy(effect),
    )
    tuner(host).present(one(LATE, 1))
    assert f" {place}/current/run.py sysctl {STATE}\n" in str(host.files.read(UNIT))
    assert tuner(host).present(one(LATE, 1))["changes"] == {}


def test_one_that_came_meanwhile_gets_what_a_new_one_has_when_given_up(host: SimHost) -> None:
    tuner(host).present(one(LATE, 1))
    host.net.add_link("late0")
    host.proc.add_link("late0")
    assert tuner(host).present(one(LATE, 1))["changes"]["settings"] == {
        LATE: {"old": "0", "new": "1"}
    }
    tuner(host).absent([LATE])
    assert live(host, LATE) == "0"


def test_one_that_comes_in_the_middle_of_a_change_is_set(host: SimHost) -> None:
    def appear(at: int, effect: object) -> None:
        if isinstance(effect, Run) and "restart" in effect.command.argv:
            host.watch = None
            host.proc.add_link("late0")

    # The listener would see it; this one is deaf.
    healthy = host.programs["systemctl"]
    deaf = {"restart": Result(0, "", "")}
    host.programs["systemctl"] = lambda argv, stdin: deaf.get(argv[1]) or healthy(argv, stdin)
    host.watch = appear
    tuner(host).present(one(LATE, 1))
    assert live(host, LATE) == "1"


@pytest.mark.parametrize("fails", [False, True])
def test_one_that_comes_between_plan_and_change_is_no_fault(host: SimHost, fails: bool) -> None:
    """A container's, say, where every interface is made a router's."""

    def appear(at: int, effect: object) -> None:
        if isinstance(effect, ReadLive):
            host.watch = None
            host.proc.add_link("veth0")

    host.watch = appear
    if fails:
        host.votes = lambda check: "" if live(host, "net.ipv4.ip_forward") == "0" else "no answer"
        guard = GuardConfig(timeout=1.0, checks=(CheckSpec("tcp", "192.0.2.9", 80),))
        with pytest.raises(VerifyError, match="worked before"):
            request = tuner(host, settings=Settings(guard=guard))
            request.present(one("net.ipv4.ip_forward", 1))
    else:
        assert tuner(host).present(one("net.ipv4.ip_forward", 1))["result"] is True
    assert live(host, "net.ipv4.conf.veth0.forwarding") == ("0" if fails else "1")
    assert leftovers(host) == []


def test_a_listener_that_does_not_start_undoes_the_change(host: SimHost) -> None:
    healthy = host.programs["systemctl"]
    host.programs["systemctl"] = lambda argv, stdin: (
        Result(1, "", "Job failed.\n") if "restart" in argv else healthy(argv, stdin)
    )
    before = comparable(host)
    with pytest.raises(EffectError, match="Job failed"):
        tuner(host).present(one(LATE, 1))
    assert comparable(host) == before


def test_where_nothing_starts_services_it_is_said(host: SimHost) -> None:
    bare = linux(folder=False)
    answer = tuner(bare).present(one(LATE, 1))
    assert "late0: not there yet, and nothing here starts a service" in answer["comment"]
    assert "listener" not in answer["changes"]


# The ledger


def test_a_lost_ledger_is_found_again_in_our_file(host: SimHost) -> None:
    tuner(host).present([*one(IGNORE, 1), *one(ANNOUNCE, 2)], wanted_by="dsr")
    host.files.drop(LEDGER)
    tuner(host).present(one(IGNORE, 1), wanted_by="dsr")
    entries = tuner(host).entries()
    assert entries[IGNORE].wanted_by == ("dsr",)
    # Nobody says whose it was: it stays until somebody gives it up by name.
    assert entries[ANNOUNCE].wanted_by == ("unknown",)
    tuner(host).absent([ANNOUNCE])
    assert list(tuner(host).entries()) == [IGNORE]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a ledger of settings"),
        ('{"schema": 2, "settings": {}}', "schema 2, this version reads up to 1"),
        ('{"schema": 1, "settings": {"net.x": {"value": "1"}}}', "not a ledger of settings"),
        ('{"schema": 1, "settings": {"net.x": {"value": 1, "wanted_by": "dsr", "found": [1, 1]}}}',
         "not a ledger of settings"),
    ],
)  # fmt: skip
def test_a_ledger_that_cannot_be_read_is_named(host: SimHost, text: str, said: str) -> None:
    host.files.put(LEDGER, text)
    before = comparable(host)
    with pytest.raises(ParseError, match=said):
        tuner(host).present(one(IGNORE, 1))
    assert comparable(host) == before


def test_our_file_edited_by_others_is_written_anew(host: SimHost) -> None:
    tuner(host).present(one(IGNORE, 1))
    text = host.files.read(OURS)
    host.files.put(OURS, "net.ipv4.ip_forward = 1\n")
    tuner(host).present(one(IGNORE, 1))
    assert host.files.read(OURS) == text


def test_a_file_of_somebody_else_s_by_our_name_is_refused_by_its_name(host: SimHost) -> None:
    theirs = "# theirs\nnet.core.somaxconn = 9\nnet.ipv4.conf.*.rp_filter = 2\n"
    host.files.put(OURS, theirs)
    before = comparable(host)
    for test in (True, False):
        with pytest.raises(RefusedError, match=rf"{OURS}: is there already and is not ours"):
            tuner(host).present(one(IGNORE, 1), test=test)
    assert comparable(host) == before
    # Nor is it ours to be found again, or to be given up.
    assert tuner(host).entries() == {}
    assert tuner(host).clean()["changes"] == {}
    [row] = tuner(host).effective(["net.core.somaxconn"])
    assert (row["winner"], row["ours"]) == (f"{OURS}:2", False)
    assert comparable(host) == before


# Bad input


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("net.ipv4.conf.all.arp_ignor", 1, "has no setting"),
        ("net.ipv4.conf.eth9.arp_ignor", 1, "has no setting"),
        ("net.ipv4.route.flush", 1, "read back"),
        ("net.ipv4.conf.*.arp_ignore", 1, "wildcards"),
        ("net.ipv4.conf.eth0 .arp_ignore", 1, "not a kernel setting"),
        ("net.ipv4.conf.-eth0.arp_ignore", 1, "not a kernel setting"),
        ("net/ipv4/../../etc/passwd", 1, "not a kernel setting"),
        ("net.ipv4.ip_forward\nnet.ipv4.x", 1, "not a kernel setting"),
        ("ip_forward", 1, "not a kernel setting"),
        (7, 1, "not a kernel setting"),
        (IGNORE, True, "not a value"),
        (IGNORE, None, "not a value"),
        (IGNORE, [1], "not a value"),
        (IGNORE, 1.5, "not a value"),
        (IGNORE, "", "not one line"),
        (IGNORE, "1\n2", "not one line"),
        (IGNORE, "1\x00", "not one line"),
        (IGNORE, "9" * 5000, "not one line"),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing_and_is_named(
    host: SimHost, key: object, value: object, said: str
) -> None:
    before = comparable(host)
    with pytest.raises(InputError, match=said) as caught:
        tuner(host).present(parse_settings({key: value}, "ipalias:sysctl", "linux"))
    assert caught.value.where.startswith("ipalias:sysctl:")
    assert comparable(host) == before
    assert not [effect for effect in host.log if isinstance(effect, WriteKernel)]


def test_the_same_setting_twice_is_refused() -> None:
    with pytest.raises(InputError, match="stands there twice"):
        parse_settings({IGNORE: 1, "net/ipv4/conf/all/arp_ignore": 1}, "x", "linux")


def test_the_pillar_is_a_mapping() -> None:
    with pytest.raises(InputError, match="not a mapping"):
        parse_settings([IGNORE], "ipalias:sysctl", "linux")


def test_a_changed_file_is_not_overwritten(host: SimHost) -> None:
    request = tuner(host)
    healthy = host.perform

    def meddling(effect: Any) -> Any:
        if type(effect).__name__ == "ReadFile" and effect.path == OURS:
            host.files.put(OURS, "# somebody\n")
        return healthy(effect)

    host.perform = meddling  # type: ignore[method-assign]
    with pytest.raises(EffectError, match="changed while the change was being planned"):
        request.present(one(IGNORE, 1))
    assert live(host, IGNORE) == "0"


def test_many_settings_are_counted_in_the_comment(host: SimHost) -> None:
    for number in range(30):
        host.proc.values[f"net/core/x{number}"] = "0"
    data = {f"net.core.x{number}": 1 for number in range(30)}
    answer = tuner(host).present(parse_settings(data, "x", "linux"), test=True)
    assert "and 10 more" in answer["comment"]
