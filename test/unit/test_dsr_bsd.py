"""FreeBSD and OpenBSD as a real server: what each needs, what it tells, and its sysctl."""

from __future__ import annotations

import pytest

from rig.plat import freebsd, openbsd
from rig.simengine import engine
from rig.simhost import SimHost
from rig.simnet import SimAddress
from rig.simscenes import differences
from rig.simserver import VIP, VIP6, dsr, kept, on, picture, tuner
from rig.simtune import sysctl_of
from saltext.ipalias import dsrtuning
from saltext.ipalias.dsrsteps import Dsr
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError, RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.restore import restore
from saltext.ipalias.tuning import Setting

PROXY, STRONG = "net.link.ether.inet.proxyall", "net.inet.ip.rfc1122_strong_es"
FORWARDING, FORWARDING6 = "net.inet.ip.forwarding", "net.inet6.ip6.forwarding"
CONF = "/etc/sysctl.conf"


@pytest.fixture
def free() -> SimHost:
    return freebsd.host()


@pytest.fixture
def open_() -> SimHost:
    return openbsd.host()


def release(host: SimHost, name: str) -> None:
    host.programs["uname"] = lambda argv, stdin: Result(0, f"{name}\n", "")


def lines(host: SimHost, program: str) -> list[str]:
    told = [e.command.argv for e in host.log if isinstance(e, Run)]
    return [" ".join(argv) for argv in told if argv[0] == program]


# FreeBSD


def test_freebsd_keeps_what_would_answer_or_drop_off(free: SimHost) -> None:
    sysctl_of(free).live[PROXY] = "1"
    dsr(free, VIP, VIP6).managed()
    text = free.files.read("/etc/rc.conf") or ""
    assert f'ifconfig_lo0_alias0="inet {VIP} netmask 255.255.255.255"' in text
    assert f'ifconfig_lo0_alias1="inet6 {VIP6} prefixlen 128"' in text
    assert lines(free, "sysctl") == [f"sysctl {PROXY}=0"]
    block = (free.files.read(CONF) or "").splitlines()
    assert block[1:3] == [f"{PROXY}=0", f"{STRONG}=0"]


def test_a_release_without_the_strong_model_has_one_setting(free: SimHost) -> None:
    del sysctl_of(free).live[STRONG]
    dsr(free, VIP).managed()
    assert set(kept(free)) == {PROXY}


def test_an_ipv6_vip_needs_no_setting_of_freebsd(free: SimHost) -> None:
    dsr(free, VIP6).managed()
    assert kept(free) == {}
    assert free.files.read(CONF) is None


def test_a_setting_of_the_loader_is_refused(free: SimHost) -> None:
    before = picture(free)
    with pytest.raises(InputError, match=r"loader\.conf"):
        tuner(free).present([Setting("net.inet.tcp.tcbhashsize", "2048")])
    assert differences(before, picture(free)) == []


def test_an_original_that_lacks_what_silences_is_not_put_back_under_a_vip(free: SimHost) -> None:
    free.files.put(CONF, "# kept\n")
    server = dsr(free, VIP)
    server.managed()
    before = picture(free)
    with pytest.raises(RefusedError, match=f"{PROXY} keeps this host from answering for {VIP}"):
        restore(server.engine, CONF)
    assert differences(before, picture(free)) == []
    server.absent()
    restore(server.engine, CONF)
    assert free.files.read(CONF) == "# kept\n"


def test_originals_are_looked_at_together(free: SimHost) -> None:
    """The one brings the VIP back, the other what answers for it."""
    rc, line = free.files.read("/etc/rc.conf") or "", "inet 203.0.113.80 netmask 255.255.255.255"
    free.files.put("/etc/rc.conf", f'{rc}ifconfig_lo0_alias0="{line}"\n')
    free.files.put(CONF, f"{PROXY}=1\n")
    free.net.links["lo0"].addresses4.append(SimAddress(VIP, 32))
    asked = engine(free, {"dsr": {"vips": [VIP]}, "adopt": True})
    Dsr(asked, dsrtuning.kept(asked)).managed()
    dsr(free).absent()
    tuner(free).present([Setting(PROXY, "0")])
    with pytest.raises(RefusedError, match=f"sets {VIP} on lo0.* after a boot: {PROXY} is 1"):
        restore(asked, None)
    restore(asked, "/etc/rc.conf")
    assert line in (free.files.read("/etc/rc.conf") or "")


# OpenBSD


def test_openbsd_tells_that_it_drops_without_forwarding(open_: SimHost) -> None:
    answer = dsr(open_, VIP).managed()
    assert answer["result"] is True
    assert on(open_, "lo0") == {f"{VIP}/32"}
    (note,) = answer["notes"]
    assert note.startswith(f"{FORWARDING} is 0: OpenBSD drops what arrives on a card")
    assert "`ipalias:dsr:forwarding: true` switches that on" in note
    assert sysctl_of(open_).live[FORWARDING] == "0"
    assert open_.files.read(CONF) is None


def test_openbsd_forwards_where_the_pillar_says_so(open_: SimHost) -> None:
    answer = dsr(open_, VIP, forwarding=True).managed()
    assert answer["notes"] == []
    assert lines(open_, "sysctl") == [f"sysctl {FORWARDING}=1"]
    assert f"\n{FORWARDING}=1\n" in (open_.files.read(CONF) or "")
    assert sysctl_of(open_).live[FORWARDING6] == "0"
    dsr(open_).managed()
    assert sysctl_of(open_).live[FORWARDING] == "0"
    assert open_.files.read(CONF) is None


def test_a_router_already_is_told_nothing(open_: SimHost) -> None:
    sysctl_of(open_).live[FORWARDING] = "1"
    open_.files.put(CONF, f"{FORWARDING}=1\n")
    answer = dsr(open_, VIP).managed()
    assert answer["notes"] == []
    assert open_.files.read(CONF) == f"{FORWARDING}=1\n"


def test_a_host_that_forwards_for_ipsec_alone_stays_so(open_: SimHost) -> None:
    sysctl_of(open_).live[FORWARDING] = "2"
    dsr(open_, VIP, forwarding=True).managed()
    assert kept(open_)[FORWARDING]["value"] == "2"


@pytest.mark.parametrize(("name", "told"), [("6.5", 0), ("6.6", 1), ("7.7", 1), ("strange", 1)])
def test_releases_before_the_strong_model_take_it(open_: SimHost, name: str, told: int) -> None:
    release(open_, name)
    assert len(dsr(open_, VIP).managed()["notes"]) == told


def test_forwarding_is_for_openbsd_alone(free: SimHost) -> None:
    """One pillar serves hosts of several systems; FreeBSD needs none of it."""
    dsr(free, VIP, forwarding=True).managed()
    assert sysctl_of(free).live[FORWARDING] == "0"


# Refusals of the kernel; what OpenBSD refuses it exits 0 with


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("net.inet.ip.nothing", "1", "this kernel has no setting net.inet.ip.nothing"),
        ("nothing.at.all", "1", "this kernel has no setting nothing.at.all"),
        ("kern.ostype", "Other", "kern.ostype cannot be set"),
        (FORWARDING, "yes", "invalid integer 'yes'"),
    ],
)
def test_what_freebsd_refuses_is_told(free: SimHost, key: str, value: str, said: str) -> None:
    before = picture(free)
    with pytest.raises((InputError, EffectError), match=said):
        tuner(free).present([Setting(key, value)])
    assert differences(before, picture(free)) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("net.inet.ip.nothing", "1", "this kernel has no setting net.inet.ip.nothing"),
        ("kern.ostype", "Other", "kern.ostype: cannot be set to Other: it stays as it is"),
        (FORWARDING, "yes", f"{FORWARDING}: cannot be set to yes: it stays as it is"),
    ],
)
def test_what_openbsd_refuses_is_seen_though_it_exits_with_0(
    open_: SimHost, key: str, value: str, said: str
) -> None:
    before = picture(open_)
    with pytest.raises((InputError, EffectError), match=said):
        tuner(open_).present([Setting(key, value)])
    assert differences(before, picture(open_)) == []


@pytest.mark.parametrize("made", [freebsd.host, openbsd.host])
def test_without_the_right_nothing_is_set(made: object) -> None:
    host = made()  # type: ignore[operator]
    before = picture(host)
    sysctl_of(host).privileged = False
    with pytest.raises(EffectError):
        tuner(host).present([Setting(FORWARDING, "1")])
    assert differences(before, picture(host)) == []
