"""Solaris 10 and illumos by files, through the engine on a simulated host."""

from __future__ import annotations

from typing import Any

import pytest

from rig import plat
from rig.simafter import reboot
from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simforms import survivors
from rig.simhost import Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences
from rig.simsun import Ifconfig
from rig.simsunhost import kernel_of, process_files, services
from saltext.ipalias.backends import solaris, solaris_system
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    IpaliasError,
    OwnerError,
    UnsupportedError,
)
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.report import diff_rows, explain, import_pillar, problems
from saltext.ipalias.restore import restore
from saltext.ipalias.upkeep import restart

MAIN, MAIN6 = "/etc/hostname.eth0", "/etc/hostname6.eth0"
PRIMARIES = {"192.0.2.2/24", "2001:db8::2/64"}


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return plat.load("solaris").host()


def ran(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


def hostnames(host: SimHost) -> dict[str, str]:
    return {path: host.files.read(path) or "" for path in host.files.glob("/etc/hostname*")}


# What is written, and what is run


def test_an_alias_is_a_file_of_two_lines_and_one_command(host: SimHost) -> None:
    engine(host, block("203.0.113.9", "2001:db8:1::9", "198.51.100.9/25")).managed()
    assert hostnames(host) == {
        MAIN: "192.0.2.2/24\nup\n",
        MAIN6: "addif 2001:db8::2/64 up\n",
        f"{MAIN}:1": "203.0.113.9/32\nup\n",
        f"{MAIN}:2": "198.51.100.9/25\nup\n",
        f"{MAIN6}:2": "2001:db8:1::9/128\nup\n",
    }
    assert ran(host) == [
        "ifconfig eth0 addif 203.0.113.9/32 up",
        "ifconfig eth0 inet6 addif 2001:db8:1::9/128 up",
        "ifconfig eth0 addif 198.51.100.9/25 up",
    ]


def test_the_number_of_a_file_is_that_of_the_live_interface(host: SimHost) -> None:
    """Else a restart of network/physical would set the addresses of others anew."""
    add_by_hand(host, "198.51.100.99/32")
    engine(host, block("203.0.113.8", "203.0.113.9")).managed()
    assert {f"{MAIN}:2", f"{MAIN}:3"} < set(hostnames(host))
    before = live(host)
    shown = host.run(["ifconfig", "-a"]).out
    process_files(host)
    assert live(host) == before
    assert host.run(["ifconfig", "-a"]).out == shown


def test_a_live_address_of_others_that_becomes_ours_keeps_its_number(host: SimHost) -> None:
    for address in ("198.51.100.98/32", "198.51.100.99/32"):
        add_by_hand(host, address)
    host.run(["ifconfig", "-a"])
    engine(host, block("198.51.100.99")).managed()
    assert hostnames(host)[f"{MAIN}:2"] == "198.51.100.99/32\nup\n"


def test_removing_the_middle_one_renames_no_other(host: SimHost) -> None:
    engine(host, block("203.0.113.1", "203.0.113.2", "203.0.113.3")).managed()
    engine(host, block("203.0.113.1", "203.0.113.3", "203.0.113.4")).managed()
    texts = {path[-1]: text.partition("/")[0] for path, text in hostnames(host).items()}
    # The number that is given up is still the kernel's while the change is planned.
    assert (texts["1"], texts["3"], texts["4"]) == ("203.0.113.1", "203.0.113.3", "203.0.113.4")
    assert "2" not in texts


def test_never_a_source_is_deprecated_before_it_comes_up(host: SimHost) -> None:
    never = [{"address": a, "source": "never"} for a in ("203.0.113.9", "2001:db8:1::9")]
    engine(host, block(*never, {"address": "192.0.2.9/24", "source": "never"})).managed()
    assert hostnames(host)[f"{MAIN}:1"] == "203.0.113.9/32\ndeprecated up\n"
    assert "ifconfig eth0 addif 203.0.113.9/32 deprecated up" in ran(host)
    assert "ifconfig eth0 inet6 addif 2001:db8:1::9/128 deprecated up" in ran(host)
    assert "ifconfig eth0 addif 192.0.2.9/24 deprecated up" in ran(host)
    booted = reboot(host)
    link = booted.net.links["eth0"]
    hidden = {a.address for a in (*link.addresses4, *link.addresses6) if a.deprecated}
    assert hidden == {"203.0.113.9", "2001:db8:1::9", "192.0.2.9"}


def test_never_a_source_is_taken_back(host: SimHost) -> None:
    """IPv6 stays where it is, by a flag; IPv4 goes and comes."""
    for source in ("never", "auto"):
        items = [{"address": a, "source": source} for a in ("203.0.113.9", "2001:db8:1::9")]
        engine(host, block(*items)).managed()
        assert problems(engine(host, block(*items))) == []
    assert "ifconfig eth0:2 inet6 -deprecated" in ran(host)
    assert hostnames(host)[f"{MAIN}:1"] == "203.0.113.9/32\nup\n"
    assert not any(a.deprecated for a in host.net.links["eth0"].addresses4)


def test_after_a_boot_everything_is_there(host: SimHost) -> None:
    pillar = block("203.0.113.9", "2001:db8:1::9")
    engine(host, pillar).managed()
    booted = reboot(host)
    assert live(booted) == live(host)
    assert changed(booted, engine(booted, pillar).managed) == []


def test_a_guides_file_is_read_and_left(host: SimHost) -> None:
    host.files.put(f"{MAIN}:1", "203.0.113.40/32 up\n")
    process_files(host)
    answer = engine(host, block("203.0.113.40", "203.0.113.41")).managed()
    assert answer["result"] is True
    assert hostnames(host)[f"{MAIN}:1"] == "203.0.113.40/32 up\n"
    assert hostnames(host)[f"{MAIN}:2"] == "203.0.113.41/32\nup\n"
    assert set(ledger(host).on("eth0")) == {"203.0.113.41/32"}


def test_a_guides_file_is_adopted_in_the_modern_form(host: SimHost) -> None:
    host.files.put(f"{MAIN}:1", "203.0.113.40/32 up\n")
    process_files(host)
    pillar = block("203.0.113.40", adopt=True)
    engine(host, pillar).managed()
    assert hostnames(host)[f"{MAIN}:1"] == "203.0.113.40/32\nup\n"
    assert changed(host, engine(host, pillar).managed) == []
    engine(host, None).clean()
    assert f"{MAIN}:1" not in hostnames(host)
    assert live(host) == PRIMARIES


def test_what_says_more_than_its_address_is_not_adopted(host: SimHost) -> None:
    host.files.put(f"{MAIN}:1", "203.0.113.40/32 zone web1\nup\n")
    host.run(["ifconfig", "eth0", "addif", "203.0.113.40/32", "up"])
    with pytest.raises(
        UnsupportedError, match=rf"{MAIN}:1:1: 203\.0\.113\.40/32 is the address of"
    ):
        engine(host, block("203.0.113.40", adopt=True)).managed()


def test_a_table_of_masks_overrides_the_prefix_of_one_line(host: SimHost) -> None:
    """As platform and script have it: then the pillar's /32 is another address."""
    host.files.put(f"{MAIN}:1", "203.0.113.40/32 up\n")
    host.files.put("/etc/netmasks", "203.0.113.0 255.255.255.0\n")
    with pytest.raises(InputError, match=rf"is configured as 203\.0\.113\.40/24 by {MAIN}:1:1"):
        engine(host, block("203.0.113.40")).managed()
    host.files.put(f"{MAIN}:1", "203.0.113.40/32\nup\n")
    assert engine(host, block("203.0.113.40")).managed()["result"] is True


def test_without_the_interfaces_own_file_of_the_family_there_is_no_alias(host: SimHost) -> None:
    host.files.drop(MAIN6)
    before = comparable(host)
    with pytest.raises(UnsupportedError, match=rf"there is no {MAIN6}, so the boot gives eth0 no"):
        engine(host, block("203.0.113.9", "2001:db8:1::9")).managed()
    assert differences(before, comparable(host)) == []


def test_only_the_file_or_only_live(host: SimHost) -> None:
    engine(host, None).add(aliases("203.0.113.8"), live=False)
    engine(host, None).add(aliases("203.0.113.9"), persist=False)
    assert live(host) == PRIMARIES | {"203.0.113.9/32"}
    assert "203.0.113.8/32\nup\n" in hostnames(host).values()
    assert live(reboot(host)) == PRIMARIES | {"203.0.113.8/32"}


@pytest.mark.parametrize("scope", ["alias", "interface", "network"])
def test_restart_levels(host: SimHost, scope: str) -> None:
    engine(host, block("203.0.113.9")).managed()
    host.log.clear()
    told = restart(engine(host, None), name="eth0", scope=scope)
    commands = ["svcadm restart svc:/network/physical:default"] if scope != "alias" else []
    assert ran(host) == commands
    assert ("`svcadm restart" in told["comment"]) is bool(commands)


def test_the_pillar_asks_for_a_restart(host: SimHost) -> None:
    pillar = block("203.0.113.9", restart="interface")
    engine(host, pillar).managed()
    assert ran(host)[-1] == "svcadm restart svc:/network/physical:default"
    assert live(host) == PRIMARIES | {"203.0.113.9/32"}
    host.log.clear()
    engine(host, pillar).managed()
    assert ran(host) == []


def test_drift_is_seen_from_both_sides(host: SimHost) -> None:
    pillar = block("203.0.113.8", "203.0.113.9")
    engine(host, pillar).managed()
    host.files.drop(f"{MAIN}:1")
    host.run(["ifconfig", "eth0", "removeif", "203.0.113.9"])
    add_by_hand(host, "198.51.100.99/32")
    rows = {row["address"]: row for row in diff_rows(engine(host, pillar))}
    assert (rows["203.0.113.8/32"]["file"], rows["203.0.113.8/32"]["live"]) == (None, True)
    assert rows["203.0.113.9/32"]["file"] == f"{MAIN}:2:1"
    assert rows["203.0.113.9/32"]["live"] is False
    assert rows["198.51.100.99/32"]["pillar"] is False
    assert len(problems(engine(host, pillar))) == 2
    engine(host, pillar).managed()
    assert problems(engine(host, pillar)) == []
    assert "198.51.100.99/32" in live(host)


def test_default_is_the_interface_of_the_default_route(host: SimHost) -> None:
    engine(host, block("203.0.113.9", interface="default")).managed()
    assert f"{MAIN}:1" in hostnames(host)


def test_a_dry_run_has_no_effect(host: SimHost) -> None:
    before = host.state()
    assert engine(host, block("203.0.113.9")).managed(test=True)["result"] is None
    assert differences(before, host.state()) == []


def test_the_original_is_put_back(host: SimHost) -> None:
    host.files.put(MAIN, "192.0.2.2/24\nup\naddif 203.0.113.7/32 up\n")
    host.run(["ifconfig", "eth0", "addif", "203.0.113.7/32", "up"])
    before = hostnames(host)
    engine(host, block("203.0.113.7", adopt=True)).managed()
    assert hostnames(host)[MAIN] == "192.0.2.2/24\nup\n"
    assert restore(engine(host), MAIN)["result"] is True
    assert hostnames(host)[MAIN] == before[MAIN]


def test_what_the_ifconfig_of_a_zone_shows_is_imported(host: SimHost) -> None:
    host.files.put(MAIN, "192.0.2.2/24\nup\naddif 203.0.113.7/32 up\n")
    add_by_hand(host, "198.51.100.99/32")
    told = import_pillar(engine(host, None))["ipalias"]["interfaces"]
    assert told == {"eth0": {"addresses": ["203.0.113.7", "198.51.100.99"]}}


# Who owns the interface


def test_a_release_that_reads_no_files(host: SimHost) -> None:
    host.files.put("/etc/release", "   Oracle Solaris 11.4 X86\n")
    with pytest.raises(OwnerError, match=r"Oracle Solaris 11\.4 X86; its boot does not read"):
        engine(host, block("203.0.113.9")).managed()
    with pytest.raises(OwnerError, match="leave `backend` out"):
        engine(host, block("203.0.113.9", backend="solaris")).managed()


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("                   Oracle Solaris 10 1/13 s10x_u11wos_24a X86\n", True),
        ("                       Solaris 10 10/08 s10s_u6wos_07b SPARC\n", True),
        ("                             Oracle Solaris 11.4 X86\n", False),
        ("                            Oracle Solaris 11 11/11 X86\n", False),
        ("                      Oracle Solaris 11 Express snv_151a X86\n", True),
        ("  OmniOS v11 r151054\n", True),
        ("             OpenIndiana Hipster 2024.10 (powered by illumos)\n", True),
        ("                       SmartOS 20240101T000000Z x86_64\n", False),
    ],
)
def test_releases(host: SimHost, text: str, reads: bool) -> None:
    host.files.put("/etc/release", text)
    assert solaris_system.reads_files(host) is reads
    assert solaris.detect(host, "eth0").owns is reads


def test_profiles_own_the_addresses(host: SimHost) -> None:
    services(host, lambda: None, nwam="online")
    with pytest.raises(OwnerError, match=r"network/physical:nwam is online: network profiles"):
        engine(host, block("203.0.113.9")).managed()


def test_the_reasons_are_told(host: SimHost) -> None:
    told = explain(engine(host, None))["eth0"]
    assert told["owner"] == "solaris"
    assert f"{MAIN} names eth0" in told["evidence"][0]["reasons"]
    assert told["rejected"][0]["reasons"][-1] == "there is no ipadm"


# What the real programs refuse

INJECTED = {
    "no such interface": "ifconfig: addif: SIOCLIFADDIF: eth0: no such interface",
    "no permission": "ifconfig: addif: SIOCLIFADDIF: eth0: permission denied",
    "too many": (
        "ifconfig: addif: SIOCLIFADDIF: eth0: logical interface id is outside allowed range"
    ),
    "up elsewhere": "ifconfig: setifflags: SIOCSLIFFLAGS: eth0:2: Cannot assign requested address",
    "bad prefix": "ifconfig: Bad prefix length in 203.0.113.8/33",
    "bad address": "ifconfig: 203.0.113.8: bad address",
    "no ipmgmtd": "ifconfig: could not create address: Could not communicate with ipmgmtd",
}


def refuse(host: SimHost, said: str, line: str, out: str = "") -> None:
    """Let ``ifconfig`` refuse a command line."""
    healthy = host.programs["ifconfig"]

    def program(argv: Any, stdin: str | None) -> Result:
        if " ".join(argv) == line:
            return Result(1, out, f"{said}\n")
        return healthy(argv, stdin)

    host.programs["ifconfig"] = program


@pytest.mark.parametrize("how", INJECTED)
def test_an_address_that_is_refused_takes_everything_back(host: SimHost, how: str) -> None:
    before = comparable(host)
    refuse(host, INJECTED[how], "ifconfig eth0 addif 203.0.113.8/32 up")
    with pytest.raises(EffectError) as caught:
        engine(host, block("203.0.113.7", "203.0.113.8", "203.0.113.9")).managed()
    message = str(caught.value)
    where = "ipalias:interfaces:eth0:addresses[1]"
    assert message.startswith(f"{where}: 203.0.113.8/32 could not be added: {INJECTED[how]}")
    assert differences(before, comparable(host)) == []


def test_what_was_made_and_did_not_come_up_goes(host: SimHost) -> None:
    """Another process has the address up: the kernel then makes the interface and stops."""
    before = comparable(host)
    link, bring_up = host.net.links["eth0"], kernel_of(host).bring_up

    def race(at: int, effect: object) -> None:
        asked = isinstance(effect, Run) and "addif" in effect.command.argv
        if asked and not link.addresses4[1:]:
            bring_up(link, 4, 7, "203.0.113.9", 32, False)

    host.watch = race
    with pytest.raises(EffectError, match=r"SIOCSLIFFLAGS: eth0:1: Cannot assign requested"):
        engine(host, block("203.0.113.9")).managed()
    assert "ifconfig eth0:1 unplumb" in ran(host)
    assert kernel_of(host).idle == {}
    said = differences(before, comparable(host))
    assert len(said) == 1
    assert "203.0.113.9" in said[0]


def test_a_removal_that_is_refused_takes_everything_back(host: SimHost) -> None:
    pillar = block("203.0.113.8", "203.0.113.9")
    engine(host, pillar).managed()
    before = comparable(host)
    said = "ifconfig: removeif: SIOCLIFREMOVEIF: eth0: Cannot assign requested address"
    refuse(host, said, "ifconfig eth0 removeif 203.0.113.9")
    with pytest.raises(EffectError, match=r"203\.0\.113\.9/32 could not be taken away: ifconfig"):
        engine(host, None).clean()
    assert differences(before, comparable(host)) == []


def test_what_the_simulated_program_refuses_is_what_is_cited(host: SimHost) -> None:
    ifconfig = host.programs["ifconfig"]
    engine(host, block("203.0.113.9")).managed()
    for line, said in (
        ("ifconfig eth7 addif 203.0.113.1/32 up", "addif: SIOCLIFADDIF: eth7: no such interface"),
        ("ifconfig eth0 addif 203.0.113.1/33 up", "Bad prefix length in 203.0.113.1/33"),
        ("ifconfig eth0 addif 203.0.113.999/32 up", "203.0.113.999: bad address"),
        ("ifconfig eth0 removeif 203.0.113.1", "removeif: SIOCLIFREMOVEIF: eth0: Cannot assign"),
        ("ifconfig eth0 removeif 192.0.2.2", "removeif: cannot remove interface: eth0"),
        ("ifconfig eth0 addif 203.0.113.9/32 up", "SIOCSLIFFLAGS: eth0:2: Cannot assign"),
        ("ifconfig eth0:9 unplumb", "cannot unplumb eth0:9: Interface does not exist"),
        ("ifconfig eth0 addif 203.0.113.1/32 yp", "usage: ifconfig"),
    ):
        result = ifconfig(line.split(), None)
        assert result.code == 1
        assert said in result.err, line


def test_slips_of_the_pen_are_refused(host: SimHost) -> None:
    never = {"address": "203.0.113.7", "source": "never"}
    engine(host, block("203.0.113.9", "2001:db8:1::9", never)).managed()
    engine(host, block("203.0.113.9", {"address": "2001:db8:1::9", "source": "never"})).managed()
    engine(host, None).clean()
    ifconfig = host.programs["ifconfig"]
    assert isinstance(ifconfig, Ifconfig)
    assert ifconfig.refused == []
    lines = [line for line in ifconfig.taken if line[1:] != ("-a",)]
    count, left = survivors(ifconfig, lines)
    assert count > 100
    assert len(left) < 0.05 * count, left


def test_a_kernel_that_cannot_be_read_says_so(host: SimHost) -> None:
    for said, match in (
        (
            Result(1, "", "ifconfig: socket: No buffer space available\n"),
            "exit 1: ifconfig: socket",
        ),
        (Result(NOT_FOUND, "", "ifconfig: not installed\n"), "not installed"),
        (Result(0, "garbage\n", ""), "not what ifconfig"),
    ):
        broken = plat.load("solaris").host()
        broken.programs["ifconfig"] = lambda argv, stdin, said=said: said
        with pytest.raises(EffectError, match=match):
            engine(broken, block("203.0.113.9")).managed()


def test_a_failing_command_in_the_middle_is_undone(host: SimHost) -> None:
    pillar = block("203.0.113.8", "203.0.113.9")
    before, twin = comparable(host), host.twin()
    engine(twin, pillar).managed()
    for at, effect in enumerate(twin.log):
        if isinstance(effect, Run):
            tried = host.twin()
            tried.faults = [Fault(at, result=Result(1, "", "ifconfig: it went wrong\n"))]
            with pytest.raises(IpaliasError, match="it went wrong"):
                engine(tried, pillar).managed()
            assert differences(before, comparable(tried)) == []
