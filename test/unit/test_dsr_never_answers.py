"""At no moment is a VIP live while the host would answer for it.

Held against every effect of every change, of whatever comes after one that was cut short at
any of them (the next run, the dead man, a boot), and of the boot itself, on each Linux owner.
The one sentence is checked by `rig.simdsr.loud`, which knows nothing of the product.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from rig import simafter, simdsr
from rig.simdsr import OTHER, VIPS, Watch, block, boot, dsr, host_of, live, loud
from rig.simhost import Fault, SimHost
from rig.simscenes import leftovers
from rig.simstills import SAME, stills
from saltext.ipalias.errors import IpaliasError

SCENES = ("first", "other", "healed", "last", "all")
SETTINGS = ("net/ipv4/conf/all/arp_ignore", "net/ipv4/conf/all/arp_announce")


def scene_of(dialect: str, name: str) -> tuple[SimHost, Any]:
    """Return a host before a change, and the request for it."""
    host = host_of(dialect)
    if name != "first":
        dsr(host, block(*VIPS)).managed()
    if name == "healed":
        # Somebody took the VIPs away by hand; the settings stand.
        for vip, prefix in zip(VIPS, ("32", "128"), strict=True):
            host.ip(["ip", "address", "del", f"{vip}/{prefix}", "dev", "lo"], None)
    requests: dict[str, Any] = {
        "first": lambda host: dsr(host, block(*VIPS)).managed(),
        "other": lambda host: dsr(host, block(VIPS[1], OTHER)).managed(),
        "healed": lambda host: dsr(host, block(*VIPS)).managed(),
        "last": lambda host: dsr(host, {}).managed(),
        "all": lambda host: dsr(host, block(*VIPS)).absent(),
    }
    host.log.clear()
    return host, requests[name]


#: Every scene on the three carriers of lo: an owner's own files, a unit, a script. The owners
#: that leave lo to the unit differ in what their boot does.
CARRIERS = ("ifupdown", "networkd", "netifrc")
CASES = [
    f"{dialect}-{name}"
    for dialect in simdsr.LINUX
    for name in SCENES
    if dialect in CARRIERS or name in ("first", "last")
]


@pytest.fixture(params=CASES)
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Any]:
    dialect, _, name = request.param.partition("-")
    return scene_of(dialect, name)


def test_throughout_a_change_and_a_boot(scene: Any) -> None:
    host, request = scene
    watch = Watch()
    with watch.over(host):
        request(host)
        assert request(host)["changes"] == {}
    boot(host, watch)
    assert watch.answered == []
    assert watch.moments > 5


def test_whatever_comes_after_a_crash(scene: Any) -> None:
    host, request = scene
    watch, seen = Watch(), 0
    for said, still in stills(host, request):
        seen += 1
        watch.look(still, said)
        for name, way in (("next run", request), ("dead man", simafter.dead_man)):
            after = still.successor()
            with watch.over(after, f"; {name} behind {said}"):
                way(after)
        with watch.over(still, f"; the run behind the boot behind {said}"):
            dark = boot(still, watch, f" behind {said}")
            request(dark)
        assert leftovers(dark) == [], said
    assert watch.answered == []
    assert seen > 3


def test_a_crash_leads_to_silence_or_back(scene: Any) -> None:
    """After the next run all is as asked; between the two steps there is silence and no VIP."""
    host, request = scene
    done = host.successor()
    request(done)
    for said, still in stills(host, request):
        request(still)
        assert (live(still), still.proc.values) == (live(done), done.proc.values), said


def test_whatever_fails(scene: Any) -> None:
    """Each effect fails once, done or not: an error, or none, and never an answer.

    What only reads or waits is neither done nor not: it fails once.
    """
    host, request = scene
    watch = Watch()
    count = host.successor()
    request(count)
    for at, effect in enumerate(count.log):
        for done in (False,) if isinstance(effect, SAME) else (False, True):
            subject = host.successor()
            subject.faults = [Fault(at, done=done, errno=5)]
            with watch.over(subject, f"; fault at {at}, done {done}"):
                with contextlib.suppress(IpaliasError):
                    request(subject)
                subject.faults = []
            boot(subject, watch, f" behind a fault at {at}, done {done}")
    assert watch.answered == []


@pytest.mark.parametrize("dialect", simdsr.LINUX)
def test_vips_that_cannot_be_added_give_the_settings_back(dialect: str) -> None:
    host = host_of(dialect)
    before = host.state()
    host.ip.broken = [f"{VIPS[1]}/128 dev lo"]
    with pytest.raises(IpaliasError, match=VIPS[1]):
        dsr(host, block(*VIPS)).managed()
    after = host.state()
    assert after["settings"] == before["settings"]
    assert after["addresses"] == before["addresses"]
    assert {path for path in after["files"] if "/etc/" in path and "ipalias" in path} == set()


def test_another_that_cannot_be_added_leaves_the_first_in_silence() -> None:
    host = host_of("networkd")
    dsr(host, block(VIPS[0])).managed()
    host.ip.broken = [f"{OTHER}/32 dev lo"]
    with pytest.raises(IpaliasError, match=OTHER):
        dsr(host, block(VIPS[0], OTHER)).managed()
    assert live(host) == {VIPS[0]}
    assert loud(host) == []


# The check itself


@pytest.mark.parametrize(
    ("values", "answers"),
    [
        (("0", "0"), True),
        (("1", "2"), False),
        (("2", "2"), False),
        (("8", "2"), False),
        (("3", "2"), True),
        (("1", "1"), True),
        (("1", "3"), True),
    ],
)
def test_the_check_knows_a_host_that_answers(values: tuple[str, str], answers: bool) -> None:
    host = host_of("networkd")
    host.ip(["ip", "address", "add", f"{VIPS[0]}/32", "dev", "lo"], None)
    host.proc.values.update(zip(SETTINGS, values, strict=True))
    assert loud(host) == ([VIPS[0]] if answers else [])


def test_the_check_knows_a_vip_on_a_network_card() -> None:
    host = host_of("networkd")
    host.proc.values.update(zip(SETTINGS, ("1", "2"), strict=True))
    host.ip(["ip", "address", "add", f"{VIPS[1]}/128", "dev", "eth0"], None)
    assert loud(host) == [VIPS[1]]


@pytest.mark.parametrize("reverse", ["first", "last"])
def test_the_other_order_is_found_out(reverse: str) -> None:
    """With the two steps swapped the same watch sees the host answer."""
    host, _ = scene_of("networkd", reverse)
    watch = Watch()
    with watch.over(host):
        if reverse == "first":
            host.ip(["ip", "address", "add", f"{VIPS[0]}/32", "dev", "lo"], None)
            watch.look(host, "between")
            dsr(host, block(*VIPS)).managed()
        else:
            host.proc.values.update(zip(SETTINGS, ("0", "0"), strict=True))
            dsr(host, {}).managed()
    assert watch.answered
