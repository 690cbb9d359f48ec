"""Faults of disk, commands, validators and other processes in the middle of a change.

The old state comes back, what is foreign stays, and the error names the cause. No path of the
library hangs on which error a disk gives: each scene has one of them, and one scene of each
dialect all of them. With FULL set each scene has them all.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

import pytest

from rig import simafter
from rig.simdisk import DISK
from rig.simengine import block, engine, live, only_present
from rig.simhost import Fault, SimHost
from rig.simnm import OWNERS
from rig.simowners import IFSTATE
from rig.simscenes import CASES, FOREIGN_LIVE, comparable, differences, leftovers, scene_of
from saltext.ipalias.effects import Effect, ReadLive, Run, Unlink, WriteTemporary
from saltext.ipalias.errors import EffectError, IpaliasError, VerifyError
from saltext.ipalias.host import NOT_FOUND, TIMED_OUT, Result
from saltext.ipalias.paths import Settings

FULL = bool(os.environ.get("FULL"))
ERRORS = {
    errno.ENOSPC: "No space left on device",
    errno.EROFS: "Read-only file system",
    errno.EIO: "Input/output error",
    errno.EACCES: "Permission denied",
}
DISK_CASES = [
    (case, number)
    for case in CASES
    for number in ERRORS
    if FULL or number == errno.ENOSPC or case.endswith("-other")
]
ANSWERS = {
    "fails": Result(1, "", "it went wrong\n"),
    "hangs": Result(TIMED_OUT, "", "no end after 60 s\n"),
    "absent": Result(NOT_FOUND, "", "not installed\n"),
}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=CASES)
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Any]:
    dialect, _, name = request.param.partition("-")
    return scene_of(dialect, name)


def stream(host: SimHost, request: Any) -> list[Effect]:
    """Return the effects of a run that nothing disturbs."""
    done = host.successor()
    request(done)
    return done.log


def undone(host: SimHost, request: Any, cause: str, before: dict[str, Any], said: str) -> None:
    """Hold a request to its failure: the cause named, the old state back, nothing left."""
    with pytest.raises(IpaliasError) as caught:
        request(host)
    put_back(host, caught.value, cause, before, said)


def whole_or_undone(
    host: SimHost, request: Any, cause: str, before: dict[str, Any], said: str
) -> None:
    """Hold a request to all or nothing, where an answer may be taken for success."""
    wanted = host.successor()
    wanted.faults = []
    request(wanted)
    try:
        request(host)
    except IpaliasError as error:
        put_back(host, error, cause, before, said)
    else:
        assert differences(comparable(wanted), comparable(host)) == [], said
        assert host.services == wanted.services, said
        assert leftovers(host) == [], said


def put_back(
    host: SimHost, error: IpaliasError, cause: str, before: dict[str, Any], said: str
) -> None:
    """Hold a host that a request has failed on to its old state, and the error to its cause."""
    assert cause in str(error), (said, str(error))
    assert "not put back" not in str(error), said
    assert differences(before, comparable(host)) == [], said
    assert leftovers(host) == [], said


@pytest.fixture(params=DISK_CASES, ids=lambda case: f"{case[0]}-{errno.errorcode[case[1]]}")
def disk_fault(request: pytest.FixtureRequest) -> tuple[SimHost, Any, int]:
    case, number = request.param
    dialect, _, name = case.partition("-")
    return *scene_of(dialect, name), number


def test_a_disk_that_refuses_once(disk_fault: tuple[SimHost, Any, int]) -> None:
    host, request, number = disk_fault
    before, effects = comparable(host), stream(host, request)
    committed = False
    for at, effect in enumerate(effects):
        committed = committed or "/committed-" in getattr(effect, "target", "")
        if not isinstance(effect, DISK):
            continue
        tried = host.successor()
        tried.faults = [Fault(at, errno=number)]
        if committed and isinstance(effect, Unlink):
            # Housekeeping after the commit: the record before the last one stays for a turn.
            assert request(tried)["result"] is True
        else:
            undone(tried, request, ERRORS[number], before, f"{at}: {effect}")


def test_a_disk_that_goes_on_refusing(disk_fault: tuple[SimHost, Any, int]) -> None:
    """Nothing can be written back then; the record stays, and with room again all is as before."""
    host, request, number = disk_fault
    before, effects = comparable(host), stream(host, request)
    for at, effect in enumerate(effects):
        if not isinstance(effect, WriteTemporary):
            continue
        tried = host.successor()
        tried.watch = lambda n, _, at=at, host=tried: full(host, number) if n == at else None
        with pytest.raises(IpaliasError, match=ERRORS[number]) as caught:
            request(tried)
        tried.watch, tried.refuses = None, lambda effect: 0
        if comparable(tried) != before:
            assert "not put back" in str(caught.value)
        simafter.settle(tried)
        said = differences(before, comparable(tried))
        # An address that is back is not given to ifup again, and so not recorded.
        assert [line for line in said if IFSTATE not in line] == []
        assert leftovers(tried) == []


@pytest.mark.parametrize("done", [False, True], ids=["without-effect", "with-its-effect"])
@pytest.mark.parametrize("how", ANSWERS)
def test_a_command_that_fails(scene: Any, how: str, done: bool) -> None:
    """Each one: validators, ifup and ifdown, ip, reloads; done or not when it says so."""
    host, request = scene
    before, effects = comparable(host), stream(host, request)
    answer = ANSWERS[how]
    for at, effect in enumerate(effects):
        if isinstance(effect, Run):
            tried = host.successor()
            tried.faults = [Fault(at, done, result=answer)]
            if answer.code in effect.command.ok:
                # "Does not run" and "does not stop" are one answer of some programs.
                whole_or_undone(tried, request, answer.err.strip(), before, f"{at}: {effect}")
                continue
            undone(tried, request, answer.err.strip(), before, f"{at}: {effect}")


def full(host: SimHost, number: int) -> None:
    """Let the disk refuse every new file from here on."""
    host.refuses = lambda effect: number if isinstance(effect, WriteTemporary) else 0


@pytest.mark.parametrize("dialect", ["netplan", "networkmanager"])
def test_a_validator_that_refuses_keeps_the_kernel_out_of_it(dialect: str) -> None:
    host, request = scene_of(dialect, "other")
    before = comparable(host)
    program = {"netplan": "netplan", "networkmanager": "nmcli"}[dialect]
    healthy, texts = host.programs[program], dict(before["files"])

    def validator(argv: Sequence[str], stdin: str | None) -> Result:
        told = "--offline" in argv or "generate" in argv
        new = {p: n for p, n in comparable(host)["files"].items() if texts.get(p) != n}
        if told and any(path.startswith("/etc/") for path in new):
            return Result(78, "", "line 7: what is this?\n")
        return healthy(argv, stdin)

    host.programs[program] = validator
    with pytest.raises(EffectError, match=r"exit 78: line 7: what is this\?; everything was put"):
        request(host)
    forward = next(i for i, e in enumerate(host.log) if "/firing-" in getattr(e, "target", ""))
    assert not [e for e in host.log[:forward] if isinstance(e, Run) and e.command.argv[0] == "ip"]
    assert differences(before, comparable(host)) == []


# A foreign process in the middle of a thousand addresses

THOUSAND = [f"203.0.113.{n}" for n in range(1, 251)]
THOUSAND += [f"2001:db8:5::{n:x}" for n in range(1, 751)]


def meddled(host: SimHost, when: type[Effect] | str, words: str) -> None:
    """Let somebody else run `ip` just before the batch, or before the look at what it did."""
    seen = []

    def watch(at: int, effect: Effect) -> None:
        batch = isinstance(effect, Run) and "-batch" in effect.command.argv
        now = batch if when == "batch" else bool(seen) and isinstance(effect, ReadLive)
        if batch:
            seen.append(at)
        if now and host.watch is not None:
            host.watch = None
            assert host.ip(words.split(), None).code == 0, words

    host.watch = watch


@pytest.fixture
def thousand() -> SimHost:
    host = OWNERS["networkd"]()
    host.ip(["ip", "address", "add", FOREIGN_LIVE, "dev", "eth0"], None)
    return host


def test_somebody_adds_one_of_a_thousand_before_us(thousand: SimHost) -> None:
    """It fails at that one, names it, and leaves it: it is theirs."""
    before = live(thousand)
    meddled(thousand, "batch", "ip address add 203.0.113.200/32 dev eth0")
    with pytest.raises(EffectError) as caught:
        engine(thousand, block(*THOUSAND)).managed()
    assert "addresses[199]: 203.0.113.200/32 could not be added" in str(caught.value)
    assert "already assigned" in str(caught.value)
    assert live(thousand) == before | {"203.0.113.200/32"}
    assert leftovers(thousand) == []


def test_somebody_takes_one_of_a_thousand_away_behind_us(thousand: SimHost) -> None:
    before = comparable(thousand)
    meddled(thousand, "look", "ip address delete 2001:db8:5::1ff/128 dev eth0")
    request = engine(thousand, block(*THOUSAND))
    request.settings = Settings(verify_timeout=0.2)
    with pytest.raises(VerifyError, match=r"2001:db8:5::1ff/128 is not live"):
        request.managed()
    assert differences(before, comparable(thousand)) == []


def test_somebody_takes_one_of_a_thousand_away_that_we_were_to(thousand: SimHost) -> None:
    """Ours it was: with the other 999 it comes back, live and in the files."""
    request = engine(thousand, block(*THOUSAND))
    request.managed()
    before = comparable(thousand)
    meddled(thousand, "batch", "ip address delete 203.0.113.77/32 dev eth0")
    with pytest.raises(EffectError, match=r"203\.0\.113\.77/32 could not be taken away"):
        request.clean()
    assert differences(before, comparable(thousand)) == []


@pytest.mark.parametrize("fails", [False, True], ids=["done", "undone"])
def test_what_somebody_adds_meanwhile_stays(thousand: SimHost, fails: bool) -> None:
    before = live(thousand)
    thousand.ip.broken = ["2001:db8:5::2ee"] if fails else []
    meddled(thousand, "batch", "ip address add 198.51.100.7/32 dev eth0")
    request = engine(thousand, block(*THOUSAND))
    if fails:
        with pytest.raises(EffectError, match="2001:db8:5::2ee/128 could not be added"):
            request.managed()
        assert live(thousand) == before | {"198.51.100.7/32"}
    else:
        assert request.managed()["result"] is True
        assert live(thousand) >= before | {"198.51.100.7/32"}
