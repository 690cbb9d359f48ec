"""Solaris and illumos as a real server: host models, what ndd forgets, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rig import simafter
from rig.plat import ipadm, solaris
from rig.simforms import Cited
from rig.simhost import SimHost
from rig.simscenes import differences
from rig.simserver import VIP, VIP6, dsr, kept, picture, tuner
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError, RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.sysctl import solaris as store
from saltext.ipalias.tuning import Setting

SCRIPT = "/etc/rc2.d/S70ipalias"


@pytest.fixture
def host() -> SimHost:
    return ipadm.host()


@pytest.fixture
def old() -> SimHost:
    return solaris.host()


def prop(host: SimHost, key: str) -> list[str | None]:
    found: list[str | None] = host.stored["properties"][key]
    return found


def lines(host: SimHost, word: str) -> list[str]:
    """Return the commands that were run and have a word."""
    told = [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]
    return [line for line in told if word in line]


def behind(host: SimHost, program: str) -> Any:
    """Return what a program's forms with `denied` belong to."""
    found = host.programs[program]
    assert isinstance(found, Cited)
    acts = [getattr(form.act, "func", form.act) for form in found.forms]
    made = [getattr(act, "__self__", None) for act in acts]
    return next(one for one in made if hasattr(one, "denied"))


# ipadm


def test_a_strong_model_is_made_weak_and_strong_again(host: SimHost) -> None:
    host.run(["ipadm", "set-prop", "-p", "hostmodel=strong", "ipv4"])
    host.log.clear()
    dsr(host, VIP).managed()
    assert lines(host, "-prop") == ["ipadm set-prop -p hostmodel=weak ipv4"]
    assert prop(host, "ipv4/hostmodel") == ["weak", "weak"]
    host.log.clear()
    dsr(host).managed()
    assert lines(host, "-prop") == ["ipadm set-prop -p hostmodel=strong ipv4"]
    assert prop(host, "ipv4/hostmodel") == ["strong", "strong"]


def test_a_model_strong_for_the_running_system_alone_is_so_again(host: SimHost) -> None:
    host.run(["ipadm", "set-prop", "-t", "-p", "hostmodel=strong", "ipv4"])
    dsr(host, VIP).managed()
    assert prop(host, "ipv4/hostmodel") == ["weak", "weak"]
    dsr(host).managed()
    assert prop(host, "ipv4/hostmodel") == ["strong", None]


def test_source_priority_is_kept_as_it_is(host: SimHost) -> None:
    """It takes what arrives on any interface, as the weak model does."""
    host.run(["ipadm", "set-prop", "-p", "hostmodel=src-priority", "ipv4"])
    dsr(host, VIP).managed()
    assert prop(host, "ipv4/hostmodel") == ["src-priority", "src-priority"]
    assert kept(host)["ipv4/hostmodel"]["value"] == "src-priority"


def test_of_a_custom_model_only_what_drops_is_changed(host: SimHost) -> None:
    host.run(["ipadm", "set-prop", "-p", "_strict_dst_multihoming=1", "ipv4"])
    assert prop(host, "ipv4/hostmodel")[0] == "custom"
    before = picture(host)
    dsr(host, VIP).managed()
    assert prop(host, "ipv4/_strict_dst_multihoming") == ["0", "0"]
    dsr(host).managed()
    assert differences(before, picture(host)) == []


def test_only_the_families_with_a_vip_are_looked_at(host: SimHost) -> None:
    dsr(host, VIP6).managed()
    assert set(kept(host)) == {"ipv6/hostmodel"}


def test_a_vip_lasts_as_an_object_of_ipadm(host: SimHost) -> None:
    dsr(host, VIP).managed()
    (line,) = lines(host, "create-addr")
    assert line.startswith(f"ipadm create-addr -T static -a local={VIP}/32 lo0/ipa4")


def test_a_vip_of_illumos_lasts_as_a_file() -> None:
    """Its network/loopback makes lo0 for the running system alone; net-physical reads files."""
    host = ipadm.host(flavour="illumos")
    dsr(host, VIP).managed()
    assert host.files.read("/etc/hostname.lo0:1") == f"{VIP}/32\nup\n"
    assert lines(host, "create-addr") == []


def test_what_somebody_has_set_since_for_the_running_system_is_left(host: SimHost) -> None:
    """``reset-prop`` and ``set-prop`` would take it along."""
    key = "ipv4/hostmodel"
    for before in (None, "src-priority"):
        if before:
            host.run(["ipadm", "set-prop", "-p", f"hostmodel={before}", "ipv4"])
        tuner(host).present([Setting(key, "weak")])
        host.run(["ipadm", "set-prop", "-t", "-p", "hostmodel=strong", "ipv4"])
        told = tuner(host).absent([key])
        assert prop(host, key) == ["strong", before]
        assert "live stays" in told["comment"]


# ndd


def test_what_ndd_forgets_is_set_by_our_script_at_boot(old: SimHost) -> None:
    old.stored["ndd"]["ip_strict_dst_multihoming"] = "1"
    dsr(old, VIP).managed()
    node = old.files.at(SCRIPT)
    assert node is not None and node.mode & 0o777 == 0o744
    assert node.text.splitlines()[-1] == "/usr/sbin/ndd -set /dev/ip ip_strict_dst_multihoming 0"
    assert simafter.reboot(old).stored["ndd"]["ip_strict_dst_multihoming"] == "0"
    dsr(old).managed()
    assert old.files.at(SCRIPT) is None
    assert old.stored["ndd"]["ip_strict_dst_multihoming"] == "1"


@pytest.mark.parametrize("line", ["/opt/site/start", "/usr/sbin/ndd -set /dev/ip ip_def_ttl 64"])
def test_a_script_of_somebody_else_s_in_its_place_is_refused_by_its_name(
    old: SimHost, line: str
) -> None:
    old.files.put(SCRIPT, f"#!/sbin/sh\n{line}\n")
    before = picture(old)
    with pytest.raises(RefusedError, match=rf"{SCRIPT}: is there already and is not ours"):
        tuner(old).present([Setting("ip/ip_def_ttl", "64")])
    assert differences(before, picture(old)) == []


def test_a_second_value_joins_the_script_and_leaves_it_alone(old: SimHost) -> None:
    tuner(old).present([Setting("ip/ip_def_ttl", "64")])
    alone = old.files.read(SCRIPT)
    dsr(old, VIP).managed()
    text = old.files.read(SCRIPT) or ""
    assert text.splitlines()[3:] == [
        "/usr/sbin/ndd -set /dev/ip ip_def_ttl 64",
        "/usr/sbin/ndd -set /dev/ip ip_strict_dst_multihoming 0",
    ]
    dsr(old).managed()
    assert old.files.read(SCRIPT) == alone


def test_a_property_that_ndd_has_no_device_for_is_refused(old: SimHost) -> None:
    with pytest.raises(InputError, match="this system has no property ipv4/hostmodel"):
        tuner(old).present([Setting("ipv4/hostmodel", "weak")])


# Refusals


def test_who_may_not_set_gets_no_vip(host: SimHost) -> None:
    host.run(["ipadm", "set-prop", "-p", "hostmodel=strong", "ipv4"])
    before = picture(host)
    behind(host, "ipadm").denied = "Permission denied"
    with pytest.raises(EffectError) as caught:
        dsr(host, VIP).managed()
    assert "ipv4/hostmodel: could not be changed: ipadm: set-prop: hostmodel: Permission" in str(
        caught.value
    )
    assert differences(before, picture(host)) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ipv4/hostmodel", "weakest", "set-prop: hostmodel: Invalid argument provided"),
        ("ipv4/ttl", "256", "set-prop: ttl: Invalid argument provided"),
        ("tcp/max_buf", "1", "set-prop: max_buf: Invalid argument provided"),
    ],
)
def test_a_value_that_ipadm_refuses_is_told(host: SimHost, key: str, value: str, said: str) -> None:
    before = picture(host)
    with pytest.raises(EffectError, match=said):
        tuner(host).present([Setting(key, value)])
    assert differences(before, picture(host)) == []


def test_a_value_that_ndd_refuses_is_told_and_not_written(old: SimHost) -> None:
    before = picture(old)
    with pytest.raises(EffectError, match="operation failed: Invalid argument"):
        tuner(old).present([Setting("ip/ip_def_ttl", "256")])
    assert differences(before, picture(old)) == []


def test_a_property_that_is_not_there_is_refused(host: SimHost) -> None:
    with pytest.raises(InputError, match="has no property ipv4/nothing; `ipadm show-prop`"):
        tuner(host).present([Setting("ipv4/nothing", "1")])


@pytest.mark.parametrize("key", ["hostmodel", "net/hostmodel", "ipv4/", "ipv4/a b", "ipv4/-p", ""])
def test_what_is_no_property_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="is not a property"):
        store.parse_key(key, "here")


@pytest.mark.parametrize("value", [True, None, 1.5, [1], "a b", "a;b", "", "x" * 65])
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        store.parse_value("ipv4/hostmodel", value, "here")


def test_values_with_commas_are_one_word() -> None:
    assert store.parse_value("tcp/extra_priv_ports", "2049,4045", "here") == "2049,4045"
    assert store.parse_value("ipv4/ttl", 64, "here") == "64"


@pytest.mark.parametrize(
    ("shown", "held"),
    [
        ("hostmodel:weak:\n", ("weak", None)),
        ("hostmodel:weak:--\n", ("weak", None)),
        ("hostmodel:strong:strong\n", ("strong", "strong")),
        ("extra\\:x:1:1\n", (None, None)),
        ("ipadm: warning\nhostmodel:strong:weak\n", ("strong", "weak")),
        ("", (None, None)),
    ],
)
def test_a_property_is_read_in_every_form(
    host: SimHost, shown: str, held: tuple[str | None, str | None]
) -> None:
    host.programs["ipadm"] = lambda argv, stdin: Result(0, shown, "")
    found = store.read_values(host, ["ipv4/hostmodel"])["ipv4/hostmodel"]
    assert (found.live, found.stored) == held


def test_a_script_reads_back_as_it_was_written() -> None:
    values = {"ip/ip_def_ttl": "64", "tcp/tcp_time_wait_interval": "60000"}
    text = store.render_script(values)
    assert store.read_script(text) == values
    assert store.render_script(store.read_script(text)) == text
