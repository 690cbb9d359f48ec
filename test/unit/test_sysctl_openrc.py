"""The listener's service of OpenRC: it comes and goes with a change, whatever cuts that short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rig import simafter
from rig.simhost import READING, Fault, SimHost
from rig.simowners import Program
from rig.simscenes import comparable, differences, leftovers
from rig.simstills import stills
from rig.simsysctl import linux, managed, tuner
from saltext.ipalias.effects import Run
from saltext.ipalias.engine import Answer
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import Result
from saltext.ipalias.sysctl.service import NAME, RUNLEVEL, SCRIPT

DATA = {"net.ipv4.conf.eth1.rp_filter": 2}
Request = Callable[[SimHost], Answer]


class RcUpdate(Program):
    """`rc-update`: rc-update.c, add and delete; rc_service_delete removes the link alone."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        verb, name, runlevel = argv[1:]
        files, link = self.host.files, f"/etc/runlevels/{runlevel}/{name}"
        if verb == "add":
            if files.read(f"/etc/init.d/{name}") is None:
                return Result(1, "", f"rc-update: service `{name}' does not exist\n")
            files.link(link, f"/etc/init.d/{name}")
        elif link in files.nodes:
            files.unlink(link)
        else:
            said = f"rc-update: service `{name}' is not in the runlevel `{runlevel}'\n"
            return Result(1, "", said)
        return Result(0, "", "")


class RcService(Program):
    """`rc-service`: rc-service.c, main; openrc-run.c, cmd_stop, svc_restart."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if_exists, (name, verb) = "--ifexists" in argv, argv[-2:]
        services = self.host.services
        if self.host.files.read(f"/etc/init.d/{name}") is None:
            said = f"rc-service: service `{name}' does not exist\n"
            return Result(0, "", "") if if_exists else Result(1, "", said)
        if verb == "status":
            return Result(0 if name in services else 3, "", "")
        if verb == "stop":
            services.discard(name)
        else:
            services.add(name)
        return Result(0, "", "")


def openrc() -> SimHost:
    host = linux(folder=False)
    host.files.make_folders("/run/openrc")
    host.files.make_folders("/etc/init.d")
    host.files.make_folders("/etc/runlevels/boot")
    host.programs |= {"rc-update": RcUpdate(host), "rc-service": RcService(host)}
    return host


@pytest.fixture(params=["comes", "goes"])
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Request]:
    host = openrc()
    if request.param == "comes":
        return host, managed(DATA)
    managed(DATA)(host)
    host.log.clear()
    return host, lambda host: tuner(host).clean()


def test_it_comes_with_the_first_setting_of_an_interface_and_goes_with_the_last() -> None:
    host = openrc()
    managed(DATA)(host)
    assert NAME in host.services and RUNLEVEL in host.files.nodes
    assert managed(DATA)(host)["changes"] == {}
    tuner(host).clean()
    assert NAME not in host.services and host.files.read(SCRIPT) is None
    assert RUNLEVEL not in host.files.nodes


def test_one_that_is_in_no_runlevel_any_more_is_started_anew() -> None:
    host = openrc()
    managed(DATA)(host)
    host.files.unlink(RUNLEVEL)
    assert managed(DATA)(host)["changes"] == {"listener": {"old": "stopped", "new": "running"}}
    assert RUNLEVEL in host.files.nodes


@pytest.mark.parametrize("way", [simafter.settle, simafter.dead_man])
def test_a_crash_at_each_effect_leads_to_the_old_state_or_the_new(
    scene: tuple[SimHost, Request], way: Callable[[SimHost], object]
) -> None:
    host, request = scene
    done = host.successor()
    request(done)
    old, new, torn = comparable(host), comparable(done), 0
    for said, still in stills(host, request):
        torn += comparable(still) not in (old, new)
        way(still)
        # A journal that was cut short while it was written is swept by the next run.
        simafter.settle(still)
        assert comparable(still) in (old, new), (said, differences(old, comparable(still)))
        assert leftovers(still) == [], said
    assert torn > 3


@pytest.mark.parametrize("done", [False, True], ids=["without-effect", "with-its-effect"])
def test_a_command_that_fails_undoes_the_change(scene: tuple[SimHost, Request], done: bool) -> None:
    host, request = scene
    subject = host.successor()
    request(subject)
    before = comparable(host)
    failed = []
    for at, effect in enumerate(subject.log):
        if isinstance(effect, READING) or not isinstance(effect, Run):
            continue
        tried = host.successor()
        tried.faults = [Fault(at, done, result=Result(4, "", "it went wrong\n"))]
        with pytest.raises(EffectError, match="it went wrong"):
            request(tried)
        assert differences(before, comparable(tried)) == [], effect
        failed.append(effect.command.argv[0])
    assert set(failed) == {"rc-update", "rc-service"}


def let_nothing_stop(host: SimHost) -> None:
    healthy = host.programs["rc-service"]

    def stuck(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[-1] == "stop":
            return Result(1, "", f" * ERROR: {NAME} failed to stop\n")
        return healthy(argv, stdin)

    host.programs["rc-service"] = stuck


def test_a_boot_that_has_it_locked_puts_all_back_the_same() -> None:
    """`rc_parallel`: it waits for us, marked as starting, and cannot be stopped meanwhile."""
    host = openrc()
    cut = [still for said, still in stills(host, managed(DATA)) if RUNLEVEL in still.files.nodes]
    dark = simafter.power_up(cut[0])
    let_nothing_stop(dark)
    assert not any("not put back" in said for said in simafter.boot_restore(dark))
    assert RUNLEVEL not in dark.files.nodes and dark.files.read(SCRIPT) is None
    assert leftovers(dark) == []


def test_a_listener_that_does_not_stop_undoes_the_change() -> None:
    host = openrc()
    managed(DATA)(host)
    before = comparable(host)
    let_nothing_stop(host)
    with pytest.raises(EffectError, match="failed to stop"):
        tuner(host).clean()
    assert differences(before, comparable(host)) == []
