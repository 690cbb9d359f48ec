"""Solaris 10 and illumos by files, through the engine on a simulated host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import plat
from rig.simafter import reboot
from rig.simengine import aliases, block, changed, engine, ledger, live, only_present
from rig.simforms import survivors
from rig.simhost import Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences
from rig.simsun import Ifconfig
from rig.simsunhost import kernel_of, process_files, services
from saltext.ipalias.backends import load, solaris, solaris_system
from saltext.ipalias.backends.solaris_files import read_files, read_tables
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    IpaliasError,
    OwnerError,
    ParseError,
    UnsupportedError,
)
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.model import Alias, Wanted
from saltext.ipalias.report import explain, import_pillar, problems
from saltext.ipalias.upkeep import restart

MAIN, MAIN6 = "/etc/hostname.eth0", "/etc/hostname6.eth0"
#: Beginnings of addresses of the classes A and B, which have no documentation addresses.
ONES, TWOS = 10, "172.16"
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


# How many


def test_the_kernels_limit_is_told_before_anything_is_done(host: SimHost) -> None:
    before = comparable(host)
    with pytest.raises(UnsupportedError, match=r"256 IPv4 addresses beside .* holds 256 of a"):
        engine(host, block({"block": "203.0.113.0/24"})).managed()
    assert differences(before, comparable(host)) == []
    kernel_of(host).limit = 257
    assert engine(host, block({"block": "203.0.113.0/24"})).managed()["result"] is True


def test_a_thousand_are_one_look_each_and_a_file_each(host: SimHost) -> None:
    """Twice as many are twice the work: the reads of a plan count, no time."""
    counts = []
    for many in (500, 1000):
        made = plat.load("solaris").host()
        kernel_of(made).limit = 8192
        pillar = block(f"2001:db8:9::1-2001:db8:9::{many:x}")
        assert engine(made, pillar).managed(test=True)["result"] is None
        looked: list[str] = []
        read = made.read

        def count(
            path: str,
            read: Callable[[str], str | None] = read,
            looked: list[str] = looked,
        ) -> str | None:
            looked.append(path)
            return read(path)

        made.read = count  # type: ignore[method-assign]
        engine(made, pillar).managed(test=True)
        counts.append(len(looked))
    assert counts[1] < 2.1 * counts[0]
    evidence = solaris.assume(host, "eth0")
    facts = {**evidence.facts, "limit": "8192"}
    evidence = type(evidence)("solaris", "eth0", True, 2, (), MAIN, facts)
    thousand = tuple(Alias(f"203.0.{n // 250}.{n % 250 + 1}", 32, "eth0") for n in range(1000))
    files = solaris.render(Wanted("eth0", thousand, evidence), host)
    assert len({file.path for file in files}) == 1000
    for file in files:
        host.files.put(file.path, file.text or "")
    assert [f.alias for f in solaris.parse(host, evidence)][1:1001] == list(thousand)


# Bad input


@pytest.mark.parametrize(
    ("path", "text", "line", "what"),
    [
        (MAIN, "192.0.2.2/24\r\nup\r\n", 1, "a carriage return"),
        (f"{MAIN}:1", "203.0.113.9/32\nup\r\n", 2, "a carriage return"),
        (MAIN, "192.0.2.2/24 \\\nup\n", 1, "a backslash"),
        (f"{MAIN}:3", "203.0.113.*\n", 1, r"`\*`"),
        (MAIN6, "\naddif 2001:db8::2/64 [up]\n", 2, r"`\["),
    ],
)
def test_a_line_that_the_shell_would_change_is_refused(
    host: SimHost, path: str, text: str, line: int, what: str
) -> None:
    host.files.put(path, text)
    before = comparable(host)
    with pytest.raises(ParseError, match=what) as caught:
        engine(host, block("203.0.113.40")).managed()
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert differences(before, comparable(host)) == []


READ = [
    ("192.0.2.2/24\nup\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\nup", ["192.0.2.2/24"]),
    ("192.0.2.2/24\nprivate\nup", []),
    ("192.0.2.2/24 up", []),
    ("", []),
    ("\n\n", []),
    ("192.0.2.2/24 up\n\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24\n\n", []),
    (
        "192.0.2.2 netmask 255.255.255.128 broadcast + up\naddif 192.0.2.3/32 up\n",
        ["192.0.2.2/25", "192.0.2.3/32"],
    ),
    ("inet 192.0.2.2 netmask 0xffffff00 up\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up\n# addif 192.0.2.3/32 up\n", ["192.0.2.2/24"]),
    (
        "192.0.2.2/24 up addif 192.0.2.3/32 addif 192.0.2.4/32 up\n",
        ["192.0.2.2/24", "192.0.2.4/32"],
    ),
    ("192.0.2.2/24 up\naddif 192.0.2.3/32 up\nremoveif 192.0.2.3\n", ["192.0.2.2/24"]),
    ("192.0.2.2/33 up\n", []),
    ("192.0.2.2/24 netmask 255.255.0.0 up\nup\n", ["192.0.2.2/16"]),
    ("192.0.2.2/24 up\nbogus\naddif 192.0.2.3/32 up\n", ["192.0.2.2/24", "192.0.2.3/32"]),
    ("192.0.2.2/24 up\naddif 192.0.2.3/32 bogus up\n", ["192.0.2.2/24"]),
    ("192.0.2.2 192.0.2.1 up\nup\n", ["192.0.2.2/24"]),
    ("192.0.2.2/24 up down\nprivate\n", []),
    (f"{ONES}.1.2.3 up\nup\n", [f"{ONES}.1.2.3/8"]),
    ("web1 up\n", ["192.0.2.7/26"]),
    ("dhcp\nup\n", []),
    ("set 192.0.2.2/24 up\nset /25\n", ["192.0.2.2/25"]),
    ("192.0.2.2/24 up\naddif\n", ["192.0.2.2/24"]),
]


@pytest.mark.parametrize(("text", "found"), READ)
def test_a_file_is_read_as_the_boot_reads_it(host: SimHost, text: str, found: list[str]) -> None:
    host.files.put("/etc/inet/hosts", "192.0.2.7 web1 # here\n::1 localhost\n")
    host.files.put("/etc/inet/netmasks", "192.0.2.0 255.255.255.192\n192.0.2.0 x\n")
    if "web1" not in text:
        host.files.drop("/etc/inet/netmasks")
    host.files.put(MAIN, text)
    host.files.drop(MAIN6)
    (logical,) = read_files(host, "eth0")
    assert [setting.cidr for setting in logical.settings] == found


def test_what_no_logical_interface_is_called_is_not_read(host: SimHost) -> None:
    for name in ("fo1", "x", "1x", "²", "1.5"):
        host.files.put(f"{MAIN}:{name}", "203.0.113.9/32\nup\n")
    assert {logical.path for logical in read_files(host, "eth0")} == {MAIN, MAIN6}


def test_an_address_twice_in_the_files_is_taken_away_twice(host: SimHost) -> None:
    engine(host, block("203.0.113.9")).managed()
    host.files.put(f"{MAIN}:5", "203.0.113.9/32\nup\n")
    engine(host, None).clean()
    assert set(hostnames(host)) == {MAIN, MAIN6}


def test_latin_1_and_lines_of_others_stay_byte_for_byte(host: SimHost) -> None:
    text = (
        "192.0.2.2/24 up\n\taddif  203.0.113.7/32   up \n# \udce9t\udce9\naddif 203.0.113.8/32 up\n"
    )
    host.files.put(MAIN, text)
    host.run(["ifconfig", "eth0", "addif", "203.0.113.7/32", "up"])
    engine(host, block("203.0.113.7", "203.0.113.9", adopt=True)).managed()
    assert hostnames(host)[MAIN] == "192.0.2.2/24 up\n# \udce9t\udce9\naddif 203.0.113.8/32 up\n"
    assert "203.0.113.7/32\nup\n" in hostnames(host).values()


# Properties

addresses = st.one_of(
    st.ip_addresses(v=4, network="203.0.113.0/24").map(lambda a: (str(a), 32)),
    st.ip_addresses(v=4, network="198.51.100.0/24").map(lambda a: (str(a), 25)),
    st.ip_addresses(v=6, network="2001:db8:1::/64").map(lambda a: (str(a), 128)),
)
lists = st.lists(
    st.tuples(addresses, st.sampled_from(["auto", "never"])),
    max_size=8,
    unique_by=lambda a: a[0][0],
)
foreign_lines = st.lists(
    st.sampled_from(
        [
            "192.0.2.2/24 up",
            "# été",
            "",
            "addif 192.0.2.50/32 up",
            "private",
            "mtu 1400",
            "up",
            "x y",
        ]
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(listed=lists, lines=foreign_lines, ending=st.sampled_from(["", "\n"]))
def test_what_is_rendered_is_read_and_what_is_foreign_stays(
    listed: list[Any], lines: list[str], ending: str
) -> None:
    host = plat.load("solaris").host()
    host.files.put(MAIN, "\n".join(lines) + ending)
    before = hostnames(host)
    wanted = tuple(Alias(a, p, "eth0", source=s) for (a, p), s in listed)
    evidence = solaris.detect(host, "eth0")
    found = {f.alias.cidr for f in solaris.parse(host, evidence)}
    put(host, solaris.render(Wanted("eth0", wanted, evidence), host))
    after = hostnames(host)
    assert {path: after[path] for path in before} == before
    mine = [f.alias for f in solaris.parse(host, evidence) if f.alias.cidr not in found]
    assert sorted(mine, key=str) == sorted(wanted, key=str)
    again = solaris.render(Wanted("eth0", wanted, evidence, wanted), host)
    assert all(host.files.read(file.path) == file.text for file in again)
    put(host, solaris.render(Wanted("eth0", (), evidence, wanted), host))
    assert hostnames(host) == before


def put(host: SimHost, files: Any) -> None:
    for file in files:
        if file.text is None:
            host.files.drop(file.path)
        else:
            host.files.put(file.path, file.text)


@settings(max_examples=60, deadline=None)
@given(lines=foreign_lines, at=st.integers(0, 5), ending=st.sampled_from(["", "\n"]))
def test_an_adopted_line_leaves_the_others(lines: list[str], at: int, ending: str) -> None:
    host = plat.load("solaris").host()
    lines = [*lines[:at], "addif 203.0.113.40/32 up", *lines[at:]]
    host.files.put(MAIN, "\n".join(lines) + ending)
    evidence = solaris.detect(host, "eth0")
    found = solaris.parse(host, evidence)
    adopt = tuple(f for f in found if f.alias.address == "203.0.113.40")[:1]
    others = [f.alias for f in found if f.alias.address != "203.0.113.40"]
    wanted = (Alias("203.0.113.40", 32, "eth0"),)
    put(host, solaris.render(Wanted("eth0", wanted, evidence, (), adopt), host))
    after = solaris.parse(host, evidence)
    assert [f.alias for f in after if f.alias.address != "203.0.113.40"] == others
    paths = [f.path for f in after if f.alias.address == "203.0.113.40"]
    assert paths == [f"{MAIN}:1"]


def test_tables_are_read() -> None:
    host = plat.load("solaris").host()
    host.files.put("/etc/hosts", "192.0.2.9 a b\nnonsense\n2001:db8::9 a\n")
    host.files.put("/etc/netmasks", f"{TWOS}.0.0 255.255.255.0\n{TWOS}.4.0\t255.255.252.0 # x\n")
    tables = read_tables(host)
    assert tables.hosts["a"] == ("192.0.2.9", "2001:db8::9")
    assert tables.mask_of(f"{TWOS}.5.1") == 24
    assert tables.mask_of(f"{ONES}.0.0.1") is None
    assert load("solaris").NAME == "solaris"
