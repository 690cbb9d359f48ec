"""VIPs on lo0 of FreeBSD, OpenBSD, Solaris 10, Solaris 11 and illumos: what all have in common.

Each host starts with a setting that drops or answers for what is a VIP's, so that something is
changed and brought back on every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from rig import simafter
from rig.plat import freebsd, ipadm, openbsd, solaris
from rig.simforms import Cited, survivors
from rig.simhost import Crash, Fault, SimHost
from rig.simscenes import differences, leftovers
from rig.simserver import SECOND, VIP, VIP6, dsr, kept, on, picture, tuner
from rig.simstills import cuts
from saltext.ipalias.effects import Effect, Run
from saltext.ipalias.errors import EffectError, InputError, IpaliasError
from saltext.ipalias.tuning import Setting

PROXY, STRONG = "net.link.ether.inet.proxyall", "net.inet.ip.rfc1122_strong_es"
FORWARDING, FORWARDING6 = "net.inet.ip.forwarding", "net.inet6.ip6.forwarding"
STRICT, STRICT6 = "ip/ip_strict_dst_multihoming", "ip/ip6_strict_dst_multihoming"
MODEL, MODEL6 = "ipv4/hostmodel", "ipv6/hostmodel"


@dataclass(frozen=True)
class Place:
    """A system, how its host is made, and what a VIP does to its settings."""

    name: str
    made: Callable[[], SimHost]
    #: Found at the start, and wanted under a VIP.
    found: dict[str, str]
    wanted: dict[str, str]
    #: Programs that change something.
    programs: tuple[str, ...]
    forwarding: bool = False

    def host(self) -> SimHost:
        """Return a host with the settings that do not go with a VIP."""
        host = self.made()
        for key, value in self.found.items():
            put(host, key, value)
        host.log.clear()
        return host

    def managed(self, host: SimHost, *vips: str, test: bool = False) -> dict[str, object]:
        """Bring these VIPs about."""
        block: dict[str, object] = {"forwarding": True} if self.forwarding else {}
        return dict(dsr(host, *vips, **block).managed(test=test))


def put(host: SimHost, key: str, value: str) -> None:
    """Let an administrator have set a value, live and lasting."""
    if "sysctl" in host.stored:
        host.stored["sysctl"][key] = value
        text = host.files.read("/etc/sysctl.conf") or ""
        host.files.put("/etc/sysctl.conf", f"{text}{key}={value}\n")
    elif "properties" in host.stored:
        protocol, _, name = key.partition("/")
        assert host.run(["ipadm", "set-prop", "-p", f"{name}={value}", protocol]).code == 0
    else:
        name = key.partition("/")[2]
        host.stored["ndd"][name] = value
        script = host.files.read("/etc/rc2.d/S20site") or "#!/sbin/sh\n"
        line = f"/usr/sbin/ndd -set /dev/ip {name} {value}\n"
        host.files.put("/etc/rc2.d/S20site", script + line, 0o744)


def live(host: SimHost, keys: Iterable[str]) -> dict[str, str]:
    """Return what the kernel has."""
    if "sysctl" in host.stored:
        return {key: host.stored["sysctl"][key] for key in keys}
    if "properties" in host.stored:
        return {key: host.stored["properties"][key][0] for key in keys}
    return {key: host.stored["ndd"][key.partition("/")[2]] for key in keys}


WEAK = {MODEL: "weak", MODEL6: "weak"}
PLACES = (
    Place(
        "freebsd",
        lambda: freebsd.host(links=("eth0", "eth1")),
        {PROXY: "1", STRONG: "1"},
        {PROXY: "0", STRONG: "0"},
        ("ifconfig", "sysctl"),
    ),
    Place(
        "openbsd",
        lambda: openbsd.host(links=("eth0", "eth1")),
        {FORWARDING: "0", FORWARDING6: "0"},
        {FORWARDING: "1", FORWARDING6: "1"},
        ("ifconfig", "sysctl"),
        forwarding=True,
    ),
    Place(
        "solaris10",
        lambda: solaris.host(links=("eth0", "eth1")),
        {STRICT: "1", STRICT6: "1"},
        {STRICT: "0", STRICT6: "0"},
        ("ifconfig", "ndd"),
    ),
    Place(
        "solaris11",
        lambda: ipadm.host(links=("eth0", "eth1")),
        {MODEL: "strong", MODEL6: "strong"},
        WEAK,
        ("ipadm",),
    ),
    Place(
        "illumos",
        lambda: ipadm.host(links=("eth0", "eth1"), flavour="illumos"),
        {MODEL: "strong", MODEL6: "strong"},
        WEAK,
        ("ifconfig", "ipadm"),
    ),
)


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest) -> Place:
    found = request.param
    assert isinstance(found, Place)
    return found


def runs(host: SimHost) -> list[int]:
    return [at for at, effect in enumerate(host.log) if isinstance(effect, Run)]


# Managed


def test_a_vip_is_on_lo0_and_the_setting_is_right(place: Place) -> None:
    host = place.host()
    answer = place.managed(host, VIP, VIP6)
    assert answer["result"] is True
    assert on(host, "lo0") == {f"{VIP}/32", f"{VIP6}/128"}
    assert live(host, place.wanted) == place.wanted
    assert leftovers(host) == []
    assert not on(host, "eth0") & {f"{VIP}/32", f"{VIP6}/128"}


def test_the_setting_is_right_before_the_first_vip(place: Place) -> None:
    host, seen = place.host(), []

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run):
            seen.append((live(host, place.wanted) == place.wanted, bool(on(host, "lo0"))))

    host.watch = watch
    place.managed(host, VIP, VIP6)
    assert seen[0] == (False, False)
    assert (False, True) not in seen


def test_a_second_run_finds_nothing_to_do(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP, VIP6)
    before, at = picture(host), len(host.log)
    answer = place.managed(host, VIP, VIP6)
    assert (answer["result"], answer["changes"]) == (True, {})
    assert differences(before, picture(host)) == []
    assert not any(isinstance(effect, Run) for effect in host.log[at:])


def test_a_test_has_no_effect(place: Place) -> None:
    host = place.host()
    before = picture(host)
    answer = place.managed(host, VIP, VIP6, test=True)
    assert answer["result"] is None
    assert answer["changes"]
    assert runs(host) == []
    assert differences(before, picture(host)) == []


def test_a_second_vip_touches_neither_the_first_nor_a_setting(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP)
    at = len(host.log)
    place.managed(host, VIP, SECOND)
    assert on(host, "lo0") == {f"{VIP}/32", f"{SECOND}/32"}
    told = [" ".join(e.command.argv) for e in host.log[at:] if isinstance(e, Run)]
    assert not any(VIP in line.replace(SECOND, "") for line in told)
    assert not any("sysctl" in line or "ndd" in line or "-prop" in line for line in told)
    place.managed(host, SECOND)
    assert on(host, "lo0") == {f"{SECOND}/32"}
    assert live(host, place.wanted)[next(iter(place.wanted))] == next(iter(place.wanted.values()))


def test_boot_brings_all_of_it_back(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP, VIP6)
    again = simafter.reboot(host)
    assert on(again, "lo0") == {f"{VIP}/32", f"{VIP6}/128"}
    assert live(again, place.wanted) == place.wanted
    assert place.managed(again, VIP, VIP6)["changes"] == {}


def test_lo0_keeps_its_own_address(place: Place) -> None:
    host = place.host()
    own = [str(a) for a in host.net.links["lo0"].addresses4 if a.cidr.startswith("127.")]
    assert own
    place.managed(host, VIP)
    place.managed(host)
    assert [str(a) for a in host.net.links["lo0"].addresses4] == own


def test_a_setting_changed_behind_our_back_is_set_again(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP, VIP6)
    before, key = picture(host), next(iter(place.wanted))
    name = key.partition("/")[2]
    if "sysctl" in host.stored:
        host.stored["sysctl"][key] = place.found[key]
    elif "properties" in host.stored:
        host.run(["ipadm", "set-prop", "-t", "-p", f"{name}={place.found[key]}", "ipv4"])
    else:
        host.stored["ndd"][name] = place.found[key]
    answer = place.managed(host, VIP, VIP6)
    assert answer["changes"] == {
        "settings": {key: {"old": place.found[key], "new": place.wanted[key]}}
    }
    assert differences(before, picture(host)) == []


# Removing


@pytest.mark.parametrize("way", ["empty list", "absent"])
def test_removal_brings_back_what_was_found(place: Place, way: str) -> None:
    host = place.host()
    before = picture(host)
    place.managed(host, VIP, VIP6)
    assert differences(before, picture(host)) != []
    if way == "absent":
        assert dsr(host).absent()["result"] is True
    else:
        assert place.managed(host)["result"] is True
    assert differences(before, picture(host)) == []
    assert live(host, place.found) == place.found
    assert kept(host) == {}


def test_the_vip_goes_before_the_setting(place: Place) -> None:
    host, seen = place.host(), []
    place.managed(host, VIP, VIP6)

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run):
            seen.append((live(host, place.wanted) == place.wanted, bool(on(host, "lo0"))))

    host.watch = watch
    dsr(host).absent()
    assert seen[0] == (True, True)
    assert (False, True) not in seen


def test_one_of_two_vips_leaves_the_setting(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP, SECOND)
    first = next(iter(place.wanted))
    dsr(host, VIP, SECOND).absent([VIP])
    assert on(host, "lo0") == {f"{SECOND}/32"}
    assert live(host, [first])[first] == place.wanted[first]


def test_a_setting_that_an_operator_wants_too_stays(place: Place) -> None:
    host, key = place.host(), next(iter(place.wanted))
    tuner(host).present([Setting(key, place.wanted[key])])
    place.managed(host, VIP, VIP6)
    place.managed(host)
    assert live(host, [key])[key] == place.wanted[key]
    assert set(kept(host)) == {key}


# Refusals and faults


def test_a_vip_that_a_card_has_is_refused(place: Place) -> None:
    host = place.host()
    before = picture(host)
    with pytest.raises(InputError, match=r"192\.0\.2\.2 is the primary address of eth0"):
        place.managed(host, "192.0.2.2")
    assert differences(before, picture(host)) == []


def test_a_carrier_of_another_name_is_refused(place: Place) -> None:
    host = place.host()
    before = picture(host)
    with pytest.raises(InputError, match="ipalias:dsr:loopback"):
        dsr(host, VIP, loopback="lo1").managed()
    assert differences(before, picture(host)) == []


def test_whatever_command_fails_the_host_is_as_before(place: Place) -> None:
    """A command that says no, at each place where one is run."""
    whole = place.host()
    before = picture(whole)
    place.managed(whole, VIP, VIP6)
    after, failed = picture(whole), 0
    for at in runs(whole):
        host = place.host()
        host.faults = [Fault(at)]
        try:
            place.managed(host, VIP, VIP6)
        except IpaliasError:
            failed += 1
            assert differences(before, picture(host)) == [], at
        else:
            assert differences(after, picture(host)) == [], at
        assert leftovers(host) == []
    assert failed


@pytest.mark.parametrize("way", ["next run", "dead man", "boot"])
def test_a_crash_at_any_effect_leaves_a_host_that_a_run_completes(place: Place, way: str) -> None:
    whole = place.host()
    place.managed(whole, VIP, VIP6)
    expected = picture(simafter.reboot(whole) if way == "boot" else whole)
    commands = [(at, done) for at in runs(whole) for done in (False, True)]
    for at, done in cuts(whole.log) if way == "next run" else commands:
        host = place.host()
        host.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            place.managed(host, VIP, VIP6)
        left = host.successor()
        if way == "dead man":
            simafter.dead_man(left)
        elif way == "boot":
            left = simafter.reboot(left)
        assert not on(left, "eth0") & {f"{VIP}/32", f"{VIP6}/128"}
        place.managed(left, VIP, VIP6)
        assert differences(expected, picture(left)) == [], at
        assert leftovers(left) == []


def test_a_crash_of_a_removal_is_completed_by_the_next(place: Place) -> None:
    start = place.host()
    before = picture(start)
    place.managed(start, VIP, VIP6)
    whole = start.successor()
    dsr(whole).absent()
    assert differences(before, picture(whole)) == []
    for at, done in cuts(whole.log):
        host = start.successor()
        host.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            dsr(host).absent()
        left = host.successor()
        dsr(left).absent()
        assert differences(before, picture(left)) == [], at


def test_a_kernel_that_refuses_the_setting_gets_no_vip(place: Place) -> None:
    host = place.host()
    before = picture(host)
    deny(host, next(iter(place.wanted)))
    with pytest.raises(EffectError) as caught:
        place.managed(host, VIP, VIP6)
    assert str(caught.value).startswith(next(iter(place.wanted)))
    assert differences(before, picture(host)) == []
    assert leftovers(host) == []


def deny(host: SimHost, key: str) -> None:
    """Let the kernel refuse a setting."""
    for program in host.programs.values():
        for form in getattr(program, "forms", ()):
            made = getattr(getattr(form.act, "func", form.act), "__self__", None)
            if hasattr(made, "denied"):
                made.denied = "Permission denied"
            if hasattr(made, "broken") and hasattr(made, "defaults"):
                made.broken[key] = "Operation not permitted"


def test_slips_of_the_lines_are_refused(place: Place) -> None:
    host = place.host()
    place.managed(host, VIP, VIP6)
    place.managed(host)
    for name in place.programs:
        program = host.programs[name]
        assert isinstance(program, Cited)
        slips, left = survivors(program, program.taken)
        assert slips, name
        assert len(left) <= slips * 0.05, (name, slips, left)
