"""Windows as a real server: adapter, weak host model, firewall, VIP; and the way back of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from rig import simafter
from rig.plat import windows, windows_settings
from rig.plat import windows_stores as stores
from rig.plat.windows_cited import ACTIVE, PERSISTENT, REFUSALS
from rig.simengine import engine
from rig.simhost import Crash, Fault, SimHost
from rig.simnet import SimAddress
from rig.simscenes import differences, leftovers
from rig.simserver import SECOND, VIP, VIP6, dsr, kept, on, picture, tuner
from saltext.ipalias import dsrtuning
from saltext.ipalias.dsrsteps import Dsr
from saltext.ipalias.effects import Effect, Run
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    IpaliasError,
    RefusedError,
    UnsupportedError,
    VerifyError,
)
from saltext.ipalias.host import TIMED_OUT, Result
from saltext.ipalias.live.powershell_settings import CHANGE_SETTINGS
from saltext.ipalias.restore import restore
from saltext.ipalias.tuning import Setting

LO = "IpaliasLoopback"
RULE = "ipalias-dsr"


@pytest.fixture
def host() -> SimHost:
    return windows.host(links=("eth0", "eth1"))


def setting(host: SimHost, name: str, family: str, word: str, store: str = ACTIVE) -> Any:
    return windows_settings.settings(host, name, store)[family][word]


def shell(host: SimHost) -> Any:
    return host.programs["powershell.exe"]


def ops(host: SimHost) -> list[dict[str, Any]]:
    """Return every operation on settings, adapter and firewall, in the order it was run."""
    found: list[dict[str, Any]] = []
    for effect in host.log:
        if isinstance(effect, Run) and effect.command.argv == CHANGE_SETTINGS:
            found += json.loads(effect.command.stdin or "")["ops"]
    return found


def refused(host: SimHost, call: Callable[[], object], error: type[IpaliasError]) -> str:
    """Hold a request to a refusal that leaves the host as it was; return the message."""
    before = picture(host)
    with pytest.raises(error) as caught:
        call()
    assert differences(before, picture(host)) == []
    assert leftovers(host) == []
    return str(caught.value)


# Managed


def test_a_real_server_is_made_as_the_guide_has_it(host: SimHost) -> None:
    answer = dsr(host, VIP, VIP6, interfaces=["eth0"]).managed()
    assert answer["result"] is True
    assert on(host, LO) == {f"{VIP}/32", f"{VIP6}/128"}
    for store in (ACTIVE, PERSISTENT):
        for family in ("IPv4", "IPv6"):
            assert setting(host, "eth0", family, "weakhostreceive", store) == "Enabled"
            assert setting(host, "eth0", family, "weakhostsend", store) == "Disabled"
            assert setting(host, "eth1", family, "weakhostreceive", store) == "Disabled"
            assert setting(host, LO, family, "weakhostreceive", store) == "Enabled"
            assert setting(host, LO, family, "weakhostsend", store) == "Enabled"
            assert setting(host, LO, family, "metric", store) == 254
            assert setting(host, LO, family, "automatic", store) == "Disabled"
        assert setting(host, LO, "IPv6", "dad", store) == 0
    assert host.stored["dhcp"][LO] is False
    assert host.stored["registers"] == {"eth0": True, "eth1": True, LO: False}
    rule = host.stored["rules"][RULE]
    assert rule["addresses"] == ["2001:db8::80", "203.0.113.80"]
    assert rule["interfaces"] == [LO, "eth0"]


def test_a_vip_has_no_gateway_and_is_no_source(host: SimHost) -> None:
    """So it is registered in no DNS, and no program gets it unasked."""
    dsr(host, VIP).managed()
    assert host.stored["addresses"][LO] == {VIP: (32, True)}
    assert host.stored["gateways"].get(LO, []) == []
    assert not any(route.interface == LO and route.gateway for route in host.net.routes)


def test_the_adapter_and_the_weak_model_are_there_before_the_first_vip(host: SimHost) -> None:
    seen: list[tuple[str, str]] = []

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and LO in host.net.links and on(host, LO):
            return
        if isinstance(effect, Run) and LO in host.net.links:
            weak = setting(host, LO, "IPv4", "weakhostreceive")
            seen.append((weak, setting(host, "eth0", "IPv4", "weakhostreceive")))

    host.watch = watch
    dsr(host, VIP).managed()
    assert seen[0] == ("Disabled", "Disabled")
    assert seen[-1] == ("Enabled", "Enabled")


def test_a_second_run_finds_nothing_to_do(host: SimHost) -> None:
    dsr(host, VIP, VIP6).managed()
    before, at = picture(host), len(host.log)
    answer = dsr(host, VIP, VIP6).managed()
    assert answer["changes"] == {}
    assert differences(before, picture(host)) == []
    assert not any(isinstance(effect, Run) for effect in host.log[at:])


def test_a_test_shows_everything_and_has_no_effect(host: SimHost) -> None:
    before = picture(host)
    answer = dsr(host, VIP).managed(test=True)
    assert answer["result"] is None
    assert host.log == [e for e in host.log if not isinstance(e, Run)]
    assert differences(before, picture(host)) == []
    (prepared,) = answer["changes"]["prepared"]
    assert prepared == f"install the loopback adapter '{LO}'; New-NetFirewallRule '{RULE}'"
    assert f"ipv4/{LO}/weakhostsend" in answer["changes"]["stored"]
    assert answer["changes"]["addresses"] == {"added": [f"{VIP}/32"]}
    assert "set when it is there by the next run" not in answer["comment"]
    dsr(host, VIP).managed()
    again = dsr(host, VIP, SECOND).managed(test=True)
    assert again["changes"]["addresses"]["added"] == [f"{SECOND}/32"]
    assert on(host, LO) == {f"{VIP}/32"}


def test_a_second_vip_touches_neither_the_first_nor_a_setting(host: SimHost) -> None:
    dsr(host, VIP).managed()
    at = len(ops(host))
    dsr(host, VIP, SECOND).managed()
    assert on(host, LO) == {f"{VIP}/32", f"{SECOND}/32"}
    assert [op["do"] for op in ops(host)[at:]] == ["rule"]
    assert host.stored["rules"][RULE]["addresses"] == [VIP, SECOND]
    dsr(host, SECOND).managed()
    assert on(host, LO) == {f"{SECOND}/32"}
    assert host.stored["rules"][RULE]["addresses"] == [SECOND]


def test_all_cards_receive_where_the_pillar_names_none(host: SimHost) -> None:
    dsr(host, VIP).managed()
    for name in ("eth0", "eth1"):
        assert setting(host, name, "IPv4", "weakhostreceive") == "Enabled"
        assert setting(host, name, "IPv6", "weakhostreceive") == "Disabled"


def test_an_ipv6_vip_alone_leaves_ipv4_as_it_is(host: SimHost) -> None:
    dsr(host, VIP6).managed()
    assert setting(host, "eth0", "IPv4", "weakhostreceive") == "Disabled"
    assert setting(host, LO, "IPv4", "automatic") == "Enabled"
    assert host.stored["dhcp"][LO] is True


def test_a_card_without_ipv6_is_told_and_left(host: SimHost) -> None:
    shell(host).without6 = {"eth1"}
    answer = dsr(host, VIP6).managed()
    assert answer["result"] is True
    assert answer["notes"] == ["eth1 has no ipv6: what it receives for a VIP is dropped"]


@pytest.mark.parametrize("name", ["Connexion au réseau local 2", "ローカル エリア接続", "Мост"])
def test_a_card_of_any_language_is_named_as_it_is(name: str) -> None:
    host = windows.rename(windows.host(), name)
    dsr(host, VIP, interfaces=[name], loopback="Boucle locale").managed()
    assert setting(host, name, "IPv4", "weakhostreceive") == "Enabled"
    assert on(host, "Boucle locale") == {f"{VIP}/32"}
    assert all((stdin or "").isascii() for stdin in shell(host).taken)


def test_the_store_brings_all_of_it_back_at_boot(host: SimHost) -> None:
    dsr(host, VIP, VIP6).managed()
    again = simafter.reboot(host)
    assert on(again, LO) == {f"{VIP}/32", f"{VIP6}/128"}
    assert setting(again, "eth0", "IPv4", "weakhostreceive") == "Enabled"
    assert dsr(again, VIP, VIP6).managed()["changes"] == {}


def test_a_setting_changed_behind_our_back_is_set_again(host: SimHost) -> None:
    dsr(host, VIP).managed()
    windows_settings.settings(host, "eth0")["IPv4"]["weakhostreceive"] = "Disabled"
    windows_settings.settings(host, LO, PERSISTENT)["IPv4"]["weakhostsend"] = "Disabled"
    answer = dsr(host, VIP).managed()
    assert set(answer["changes"]["settings"]) == {"ipv4/eth0/weakhostreceive"}
    assert setting(host, LO, "IPv4", "weakhostsend", PERSISTENT) == "Enabled"


# Adapter


def test_an_adapter_that_an_operator_made_is_used_and_stays(host: SimHost) -> None:
    other_adapter(host, "LO")
    before = picture(host)
    dsr(host, VIP, loopback="LO").managed()
    assert on(host, "LO") == {f"{VIP}/32"}
    assert LO not in host.net.links
    dsr(host, loopback="LO").managed()
    assert differences(before, picture(host)) == []


def other_adapter(host: SimHost, name: str) -> None:
    """Let somebody have installed a loopback adapter by hand."""
    windows_settings.carry_out(host, {"do": "install", "interface": name}, lambda cmdlet: None)
    host.stored["devices"][name]["device"] = "ROOT\\NET\\0000"
    # An address of its own comes back in another order of words than it was made with.
    host.stored["dhcp"][name] = False
    host.net.links[name].addresses4 = []
    host.stored["addresses"][name] = {}


def test_a_vip_that_was_adopted_is_not_restored_before_it_goes(host: SimHost) -> None:
    """We have given it another form, and nobody else: there is nothing to be forced."""
    other_adapter(host, "LO")
    for address in ("198.51.100.200", VIP):
        host.net.links["LO"].addresses4.append(SimAddress(address, 32))
        host.stored["addresses"]["LO"][address] = (32, False)
    asked = engine(host, {"dsr": {"vips": [VIP], "loopback": "LO"}, "adopt": True})
    Dsr(asked, dsrtuning.kept(asked)).managed()
    assert host.stored["addresses"]["LO"][VIP] == (32, True)
    for force in (False, True):
        answer = restore(engine(host), None, force=force)
        assert answer["changes"] == {}
        assert f"VIPs stay on LO ({VIP})" in answer["comment"]
    dsr(host, loopback="LO").managed()
    restore(engine(host), None)
    assert host.stored["addresses"]["LO"][VIP] == (32, False)


def test_a_network_card_is_no_loopback_adapter(host: SimHost) -> None:
    said = refused(host, dsr(host, VIP, loopback="eth1").managed, InputError)
    assert said.startswith("ipalias:dsr:loopback: eth1 is PCI")
    assert "it would answer for the VIPs" in said


def test_the_hosts_own_loop_is_refused(host: SimHost) -> None:
    asked = dsr(host, VIP, loopback="Loopback Pseudo-Interface 1")
    said = refused(host, asked.managed, InputError)
    assert "is the host's own loop and not a loopback adapter" in said


def test_our_adapter_is_not_renamed_under_a_vip(host: SimHost) -> None:
    dsr(host, VIP).managed()
    said = refused(host, dsr(host, VIP, loopback="Other").managed, InputError)
    assert f"our loopback adapter is called {LO}, not Other" in said


@pytest.mark.parametrize("vip", [VIP, SECOND])
def test_vips_do_not_move_to_another_adapter_and_none_is_forgotten(host: SimHost, vip: str) -> None:
    for name in ("LO", "LO2"):
        other_adapter(host, name)
    dsr(host, VIP, loopback="LO").managed()
    said = refused(host, dsr(host, vip, loopback="LO2").managed, InputError)
    assert said.startswith(f"ipalias:dsr:loopback: {VIP} is on LO, not on LO2")
    dsr(host, loopback="LO2").managed()
    dsr(host, vip, loopback="LO2").managed()
    assert (on(host, "LO"), on(host, "LO2")) == (set(), {f"{vip}/32"})


def test_our_adapter_that_somebody_renamed_gets_its_name_back_by_hand_or_goes(
    host: SimHost,
) -> None:
    dsr(host, VIP).managed()
    windows.rename(host, "Other", LO)
    said = refused(host, dsr(host, VIP).managed, InputError)
    assert f"our loopback adapter is called Other, not {LO}" in said
    assert "`Rename-NetAdapter`" in said
    other = host.successor()
    windows.rename(other, LO, "Other")
    assert dsr(other, VIP).managed()["changes"] == {}
    dsr(host, VIP).absent()
    assert "Other" not in host.net.links
    dsr(host, VIP).managed()
    assert on(host, LO) == {f"{VIP}/32"}


@pytest.mark.parametrize("name", [LO, "Ethernet 3"])
def test_an_adapter_left_by_a_run_that_was_cut_off_is_taken_over(host: SimHost, name: str) -> None:
    """It has our device's name, and it may have the connection's that Windows gave it."""
    dsr(host, VIP).managed()
    whole = picture(host)
    other = windows.host(links=("eth0", "eth1"))
    windows_settings.carry_out(other, {"do": "install", "interface": name}, lambda cmdlet: None)
    dsr(other, VIP).managed()
    assert differences(whole, picture(other)) == []


# Removing


def test_removal_brings_back_what_was_found(host: SimHost) -> None:
    windows_settings.settings(host, "eth1")["IPv4"]["weakhostreceive"] = "Enabled"
    windows_settings.settings(host, "eth1", PERSISTENT)["IPv4"]["weakhostreceive"] = "Enabled"
    before = picture(host)
    dsr(host, VIP, VIP6).managed()
    assert dsr(host).managed()["result"] is True
    assert differences(before, picture(host)) == []
    assert setting(host, "eth1", "IPv4", "weakhostreceive") == "Enabled"
    assert kept(host) == {}


def test_the_vip_goes_before_the_settings_and_the_adapter_last(host: SimHost) -> None:
    dsr(host, VIP).managed()
    at, gone = len(host.log), []

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and effect.command.argv == CHANGE_SETTINGS:
            told = json.loads(effect.command.stdin or "")["ops"]
            gone.append((on(host, LO), {op["do"] for op in told}))

    host.watch = watch
    dsr(host, VIP).absent()
    assert gone == [(set(), {"interface", "dns"}), (set(), {"unrule", "uninstall"})]
    assert len(host.log) > at


def test_one_of_two_vips_leaves_the_settings(host: SimHost) -> None:
    dsr(host, VIP, SECOND).managed()
    answer = dsr(host, VIP, SECOND).absent([VIP])
    assert on(host, LO) == {f"{SECOND}/32"}
    assert "The settings stay" in answer["comment"]
    assert setting(host, "eth0", "IPv4", "weakhostreceive") == "Enabled"


def test_a_setting_that_an_operator_wants_too_stays(host: SimHost) -> None:
    tuner(host).present([Setting("ipv4/eth0/weakhostreceive", "enabled")])
    dsr(host, VIP).managed()
    dsr(host).managed()
    assert setting(host, "eth0", "IPv4", "weakhostreceive") == "Enabled"
    assert set(kept(host)) == {"ipv4/eth0/weakhostreceive"}


def test_an_operator_who_wants_the_contrary_is_named(host: SimHost) -> None:
    tuner(host).present([Setting("ipv4/eth0/weakhostreceive", "disabled")])
    said = refused(host, dsr(host, VIP).managed, RefusedError)
    assert "is kept at disabled for hand" in said


# Firewall


def test_no_rule_is_made_where_the_pillar_wants_none(host: SimHost) -> None:
    dsr(host, VIP, firewall=False).managed()
    assert host.stored["rules"] == {}


def test_a_rule_that_is_no_longer_wanted_goes(host: SimHost) -> None:
    dsr(host, VIP).managed()
    dsr(host, VIP, firewall=False).managed()
    assert host.stored["rules"] == {}


def test_a_firewall_that_does_not_run_needs_no_rule(host: SimHost) -> None:
    host.stored["firewall"]["running"] = False
    assert dsr(host, VIP).managed()["result"] is True
    assert host.stored["rules"] == {}


def test_a_rule_that_somebody_switched_off_is_set_anew(host: SimHost) -> None:
    dsr(host, VIP).managed()
    host.stored["rules"][RULE]["enabled"] = False
    assert dsr(host, VIP).managed()["changes"] == {"prepared": [f"New-NetFirewallRule '{RULE}'"]}
    assert host.stored["rules"][RULE]["enabled"] is True


def test_rules_of_others_stay(host: SimHost) -> None:
    other = {"addresses": ["Any"], "interfaces": ["Any"], "enabled": True, "allows": False}
    host.stored["rules"]["theirs"] = copy.deepcopy(other)
    dsr(host, VIP).managed()
    dsr(host).managed()
    assert host.stored["rules"] == {"theirs": other}


def test_a_name_that_the_firewall_takes_for_a_pattern_is_refused() -> None:
    host = windows.rename(windows.host(), "LAN [1]")
    said = refused(host, dsr(host, VIP).managed, UnsupportedError)
    assert "the firewall takes the name 'LAN [1]' for a pattern" in said
    dsr(host, VIP, firewall=False).managed()
    assert setting(host, "LAN [1]", "IPv4", "weakhostreceive") == "Enabled"


# Refusals of the system


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("install", "no_driver"),
        ("install", "wow64"),
        ("install", "language"),
        ("install", "taken"),
        ("rule", "policy"),
        ("rule", "no_firewall"),
        ("weakhostreceive", "denied"),
        ("weakhostsend", "absent_interface"),
        ("metric", "denied"),
        ("dns", "denied"),
    ],
)
def test_what_windows_refuses_is_told_and_leaves_nothing(
    host: SimHost, word: str, key: str
) -> None:
    shell(host).unsettable = {word: key}
    message = " ".join(REFUSALS[key][2].replace("{{", "{").replace("}}", "}").split())
    said = refused(host, dsr(host, VIP, VIP6).managed, EffectError)
    assert message.partition("{index}")[0] in said
    assert LO not in host.net.links


def test_without_the_right_nothing_is_done(host: SimHost) -> None:
    shell(host).elevated = False
    said = refused(host, dsr(host, VIP).managed, EffectError)
    assert "Access is denied." in said


def test_a_vip_that_windows_refuses_takes_everything_back(host: SimHost) -> None:
    shell(host).broken = {VIP: "denied"}
    said = refused(host, dsr(host, VIP).managed, EffectError)
    assert said.startswith(f"ipalias:dsr:vips[0]: {VIP}/32 could not be changed: Access is denied")
    assert kept(host) == {}


def test_a_value_that_does_not_read_back_is_no_success(
    host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group policy has the last word on it."""
    real = windows_settings.carry_out

    def overruled(made: SimHost, op: dict[str, Any], refusing: Callable[[str], None]) -> None:
        if (op.get("interface"), op.get("setting")) != ("eth0", "weakhostreceive"):
            real(made, op, refusing)

    monkeypatch.setattr(windows_settings, "carry_out", overruled)
    with pytest.raises(VerifyError, match="ipv4/eth0/weakhostreceive: reads back as disabled"):
        dsr(host, VIP, firewall=False).managed()
    assert LO not in host.net.links


def test_a_vip_that_a_card_has_is_refused(host: SimHost) -> None:
    said = refused(host, dsr(host, "192.0.2.2").managed, InputError)
    assert "192.0.2.2 is the primary address of eth0, where it is answered for" in said


def test_a_card_that_is_not_there_is_refused(host: SimHost) -> None:
    said = refused(host, dsr(host, VIP, interfaces=["LAN"]).managed, InputError)
    assert "LAN is no interface of this host" in said


# netsh


def test_the_form_of_netsh_runs_the_guides_lines(host: SimHost) -> None:
    dsr(host, VIP, interfaces=["eth0"], form="netsh").managed()
    lines = [
        " ".join(e.command.argv)
        for e in host.log
        if isinstance(e, Run) and e.command.argv[0] == "netsh"
    ]
    assert lines == [
        "netsh interface ipv4 set interface eth0 weakhostreceive=enabled",
        f"netsh interface ipv4 set interface {LO} weakhostreceive=enabled",
        f"netsh interface ipv4 set interface {LO} weakhostsend=enabled",
    ]
    other = windows.host(links=("eth0", "eth1"))
    dsr(other, VIP, interfaces=["eth0"]).managed()
    assert differences(picture(other), picture(host)) == []
    dsr(host, form="netsh").managed()
    dsr(other).managed()
    assert differences(picture(other), picture(host)) == []


def test_netsh_takes_a_number_for_an_index() -> None:
    host = windows.rename(windows.host(), "12")
    said = refused(host, dsr(host, VIP, form="netsh").managed, UnsupportedError)
    assert "netsh takes the name '12' for an index" in said


def test_what_netsh_refuses_is_told_and_undone(host: SimHost) -> None:
    del host.programs["netsh"]
    said = refused(host, dsr(host, VIP, form="netsh").managed, EffectError)
    assert said.startswith("ipv4/eth0/weakhostreceive: could not be changed: netsh: not installed")


# What somebody has set since


def test_a_value_set_since_for_the_running_system_is_left_and_the_stored_one_comes_back(
    host: SimHost,
) -> None:
    key = "ipv4/eth0/metric"
    before = setting(host, "eth0", "IPv4", "metric", PERSISTENT)
    tuner(host).present([Setting(key, "30")])
    windows_settings.settings(host, "eth0", ACTIVE)["IPv4"]["metric"] = 77
    told = tuner(host).absent([key])
    assert setting(host, "eth0", "IPv4", "metric") == 77
    assert setting(host, "eth0", "IPv4", "metric", PERSISTENT) == before
    assert f"{key}: nobody wants it any more, live stays" in told["comment"]
    assert kept(host) == {}


def test_a_way_back_that_cannot_ask_says_so_and_stays_for_the_next_run(host: SimHost) -> None:
    key = "ipv4/eth0/weakhostsend"
    healthy, before = shell(host), picture(host)

    class Hanging:
        """Changes, says that it failed, and cannot be asked from then on."""

        silent = False
        without6 = healthy.without6

        def __call__(self, argv: Any, stdin: str | None) -> Result:
            if self.silent:
                return Result(TIMED_OUT, "", "no end after 60 s")
            answer: Result = healthy(argv, stdin)
            if argv == CHANGE_SETTINGS:
                self.silent = True
                return Result(1, "", "it went wrong")
            return answer

    host.programs["powershell.exe"] = Hanging()
    with pytest.raises(EffectError, match=r"it went wrong; not put back:.*no end after 60 s"):
        tuner(host).present([Setting(key, "enabled")])
    host.programs["powershell.exe"] = healthy
    simafter.settle(host)
    assert differences(before, picture(host)) == [] and leftovers(host) == []


# Crashes


def runs(host: SimHost) -> list[int]:
    return [at for at, effect in enumerate(host.log) if isinstance(effect, Run)]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("way", ["next run", "dead man", "boot"])
def test_a_crash_at_any_command_leaves_a_host_that_a_run_completes(way: str, done: bool) -> None:
    """Wherever it dies, no VIP is on a card, and the next run brings the same host about."""
    whole = windows.host(links=("eth0", "eth1"))
    dsr(whole, VIP, VIP6).managed()
    expected = picture(simafter.reboot(whole) if way == "boot" else whole)
    for at in runs(whole):
        host = windows.host(links=("eth0", "eth1"))
        host.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            dsr(host, VIP, VIP6).managed()
        left = host.successor()
        if way == "dead man":
            simafter.dead_man(left)
        elif way == "boot":
            left = simafter.reboot(left)
        assert not {f"{VIP}/32", f"{VIP6}/128"} & on(left, "eth0")
        dsr(left, VIP, VIP6).managed()
        assert differences(expected, picture(left)) == [], at
        assert leftovers(left) == []


def test_whatever_command_fails_the_host_is_as_before(host: SimHost) -> None:
    before = picture(host)
    dsr(host, VIP, VIP6).managed()
    for at in runs(host):
        other = windows.host(links=("eth0", "eth1"))
        other.faults = [Fault(at)]
        with pytest.raises(IpaliasError):
            dsr(other, VIP, VIP6).managed()
        assert differences(before, picture(other)) == [], at
        assert leftovers(other) == []


@pytest.mark.parametrize("done", [False, True])
def test_a_crash_of_a_removal_is_completed_by_the_next(done: bool) -> None:
    before = picture(windows.host(links=("eth0", "eth1")))
    start = windows.host(links=("eth0", "eth1"))
    dsr(start, VIP, VIP6).managed()
    whole = start.successor()
    dsr(whole).absent()
    assert differences(before, picture(whole)) == []
    for at in runs(whole):
        host = start.successor()
        host.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            dsr(host).absent()
        left = host.successor()
        dsr(left).absent()
        assert differences(before, picture(left)) == [], at


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("begun", ["adding", "removing"])
def test_an_empty_list_ends_what_was_cut_off(begun: str, done: bool) -> None:
    """Adapter and rule are in no ledger while no setting and no VIP is."""
    start = windows.host(links=("eth0", "eth1"))
    before = picture(start)
    if begun == "removing":
        dsr(start, VIP, VIP6).managed()
    request = [VIP, VIP6] if begun == "adding" else []
    whole = start.successor()
    dsr(whole, *request).managed()
    for at in runs(whole):
        host = start.successor()
        host.faults = [Fault(at, done, crash=True)]
        with pytest.raises(Crash):
            dsr(host, *request).managed()
        left = host.successor()
        simafter.settle(left)
        dsr(left).managed()
        assert differences(before, picture(left)) == [], at
        assert dsr(left).managed()["comment"] == "No VIP is wanted"


def test_a_host_that_cannot_be_asked_and_has_no_vip_is_left_alone(host: SimHost) -> None:
    del host.programs["powershell.exe"]
    assert dsr(host).managed()["result"] is True


def test_an_adapter_that_somebody_took_away_is_no_hindrance(host: SimHost) -> None:
    before = picture(host)
    dsr(host, VIP).managed()
    windows_settings.carry_out(host, {"do": "uninstall"}, lambda cmdlet: None)
    stores.servers(host, "eth0")
    assert dsr(host, VIP).managed()["result"] is True
    assert on(host, LO) == {f"{VIP}/32"}
    windows_settings.carry_out(host, {"do": "uninstall"}, lambda cmdlet: None)
    dsr(host).absent()
    assert differences(before, picture(host)) == []
