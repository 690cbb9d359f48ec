"""SUSE with wicked, the whole way: pillar, file, kernel, wicked, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rig.plat import ifcfg_suse as plat
from rig.simafter import reboot
from rig.simengine import LEDGER, aliases, block, changed, engine, ledger, live
from rig.simforms import Cited, survivors
from rig.simhost import SimHost
from rig.simscenes import comparable, differences
from saltext.ipalias import report, restore, upkeep
from saltext.ipalias.effects import Effect, Run
from saltext.ipalias.errors import EffectError, InputError, ParseError
from saltext.ipalias.host import Result

PATH = "/etc/sysconfig/network/ifcfg-eth0"
OWN = {"192.0.2.2/24", "2001:db8::2/64"}
IFUP = ("wicked", "ifup", "eth0")
FULL: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11", "label": "web", "source": "never"},
    {"address": "2001:db8:1::10", "source": "never"},
    "203.0.113.5/24",
]


@pytest.fixture
def host() -> SimHost:
    return plat.host()


def text(host: SimHost) -> str:
    return host.files.read(PATH) or ""


def ran(host: SimHost) -> list[tuple[str, ...]]:
    """Return the commands that changes of the host ran, its own `ip` left out."""
    argvs = [effect.command.argv for effect in host.log if isinstance(effect, Run)]
    return [argv for argv in argvs if argv[0] != "ip"]


def shown(host: SimHost) -> dict[str, tuple[str, str, bool]]:
    link = host.net.links["eth0"]
    found = (*link.addresses4, *link.addresses6)
    return {a.address: (a.label, a.scope, a.deprecated) for a in found}


class TestTheWholeWay:
    def test_add_and_a_second_run_that_changes_nothing(self, host: SimHost) -> None:
        answer = engine(host, block(*FULL)).managed()
        assert "(ifcfg_suse): addresses 4 added" in answer["comment"]
        assert ran(host) == [IFUP]
        seen = shown(host)
        assert seen["198.51.100.10"] == ("eth0", "global", False)
        assert seen["198.51.100.11"] == ("eth0:web", "host", False)
        assert seen["2001:db8:1::10"] == ("", "global", True)
        assert changed(host, engine(host, block(*FULL)).managed) == []

    def test_it_comes_back_at_boot_as_it_was(self, host: SimHost) -> None:
        engine(host, block(*FULL)).managed()
        before = shown(host)
        assert shown(reboot(host)) == before

    def test_what_is_foreign_stays_byte_for_byte(self, host: SimHost) -> None:
        plat.FOREIGN(host)
        before = text(host)
        host.ip(["ip", "address", "add", "192.0.2.20/24", "dev", "eth0"], None)
        engine(host, block(*FULL)).managed()
        assert text(host).startswith(before)
        engine(host, block()).managed()
        assert text(host) == before
        assert live(host) == OWN | {"192.0.2.20/24"}

    def test_an_address_of_others_outlives_what_wicked_is_told(self, host: SimHost) -> None:
        host.ip(["ip", "address", "add", "198.51.100.99/32", "dev", "eth0"], None)
        engine(host, block("198.51.100.10")).managed()
        engine(host, block()).managed()
        assert ran(host) == [IFUP, IFUP]
        assert live(host) == OWN | {"198.51.100.99/32"}

    def test_a_removal(self, host: SimHost) -> None:
        before = text(host)
        engine(host, block("198.51.100.10", "198.51.100.11")).managed()
        engine(host, block("198.51.100.11")).managed()
        assert "198.51.100.10" not in text(host)
        engine(host, None).remove([("198.51.100.11", None)])
        assert text(host) == before
        assert live(host) == OWN

    def test_a_dry_run_has_no_effect(self, host: SimHost) -> None:
        before = host.state()
        answer = engine(host, block(*FULL)).managed(test=True)
        assert answer["result"] is None
        assert "+IPADDR_ipalias0='198.51.100.10/32'" in answer["changes"]["files"][PATH]
        assert host.state() == before
        assert host.mutating == []

    def test_default_is_the_interface_of_the_default_route(self, host: SimHost) -> None:
        engine(host, block("198.51.100.10", "2001:db8:1::10", interface="default")).managed()
        assert live(host) == OWN | {"198.51.100.10/32", "2001:db8:1::10/128"}
        assert ledger(host).default == {"4": "eth0", "6": "eth0"}

    def test_the_original_is_restored(self, host: SimHost) -> None:
        before = text(host)
        asked = engine(host, block(*FULL))
        asked.managed()
        assert restore.restore(asked, PATH)["result"] is True
        assert text(host) == before

    def test_a_lost_ledger_finds_its_lines_again(self, host: SimHost) -> None:
        engine(host, block(*FULL)).managed()
        before = text(host)
        host.files.drop(LEDGER)
        engine(host, block("198.51.100.10")).managed()
        assert text(host) == before
        origins = {cidr: entry.origin for cidr, entry in ledger(host).on("eth0").items()}
        assert origins["198.51.100.10/32"] == "pillar"
        assert origins["203.0.113.5/24"] == "unknown"
        engine(host, block()).clean()
        assert live(host) == OWN


class TestTheGuidesForm:
    """``IPADDR_1=…``, ``NETMASK_1=255.255.255.255``, ``LABEL_1=eth0:0``, typed by hand."""

    @pytest.fixture
    def guided(self, host: SimHost) -> SimHost:
        lines = "IPADDR_1=203.0.113.10\nNETMASK_1=255.255.255.255\nLABEL_1=eth0:0\n"
        host.files.put(PATH, text(host) + lines)
        host.run(IFUP)
        host.log.clear()
        return host

    def test_wicked_takes_the_label_as_it_stands(self, guided: SimHost) -> None:
        assert shown(guided)["203.0.113.10"][0] == "eth0:0"

    def test_it_is_there(self, guided: SimHost) -> None:
        answer = engine(guided, block("203.0.113.10")).managed()
        assert answer["changes"] == {}
        told = report.import_pillar(engine(guided, None))
        assert told["ipalias"]["interfaces"]["eth0"]["addresses"] == ["203.0.113.10"]

    def test_adopted_it_stays_where_it_is_and_is_ours_to_change(self, guided: SimHost) -> None:
        before = text(guided)
        engine(guided, block("203.0.113.10", adopt=True)).managed()
        assert text(guided) == before
        labelled = {"address": "203.0.113.10", "label": "web"}
        engine(guided, block(labelled, adopt=True)).managed()
        assert "LABEL_1='eth0:web'\n" in text(guided)
        assert shown(guided)["203.0.113.10"][0] == "eth0:web"
        engine(guided, block()).managed()
        engine(guided, None).remove([("203.0.113.10", None)])
        assert "203.0.113.10" not in text(guided)
        assert "LABEL_1" not in text(guided)
        assert live(guided) == OWN

    def test_without_adoption_it_is_somebody_elses(self, guided: SimHost) -> None:
        before = text(guided)
        engine(guided, block("203.0.113.10", "203.0.113.11")).managed()
        engine(guided, block()).clean()
        assert text(guided) == before
        assert "203.0.113.10/32" in live(guided)

    def test_purge_all_takes_it_out(self, guided: SimHost) -> None:
        engine(guided, block(purge="all")).managed()
        assert text(guided) == plat.IFCFG
        assert live(guided) == OWN


class TestRefused:
    def test_a_label_that_wicked_would_drop(self, host: SimHost) -> None:
        item = {"address": "203.0.113.10", "label": "abcdefghijk"}
        with pytest.raises(InputError, match=r"becomes 'eth0:abcdefghijk' in the kernel: 16"):
            engine(host, block(item)).managed()
        item["label"] = "abcdefghij"
        engine(host, block(item)).managed()
        assert shown(host)["203.0.113.10"][0] == "eth0:abcdefghij"

    def test_a_hidden_address_with_a_subnet(self, host: SimHost) -> None:
        item = {"address": "203.0.113.5/24", "source": "never"}
        with pytest.raises(InputError, match=r"noprefixroute.*write it as a /32"):
            engine(host, block(item)).managed()

    @pytest.mark.parametrize("address", ["203.0.113.10", "2001:db8:1::10"])
    def test_a_source_policy_that_an_old_wicked_does_not_read(
        self, host: SimHost, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plat, "VERSION", "0.6.31")
        with pytest.raises(InputError, match=r"wicked 0\.6\.31 may not read SCOPE"):
            engine(host, block({"address": address, "source": "never"})).managed()

    @pytest.mark.parametrize(
        ("line", "where"),
        [("IPADDR_1=$ADDRESS\n", 10), ("export IPADDR_1=203.0.113.9\n", 10), ("NAME='x\n", 10)],
    )
    def test_a_file_that_cannot_be_told(self, host: SimHost, line: str, where: int) -> None:
        host.files.put(PATH, plat.IFCFG + line)
        before = host.state()
        with pytest.raises(ParseError, match=rf"^{PATH}:{where}: "):
            engine(host, block("198.51.100.10")).managed()
        assert host.state() == before


class TestTelling:
    def test_with_a_lease_wicked_is_not_told_and_says_so(self, host: SimHost) -> None:
        host.files.put(PATH, plat.IFCFG.replace("'static'", "'dhcp'"))
        answer = engine(host, block("198.51.100.10")).managed()
        assert ran(host) == []
        assert "wicked was not told: BOOTPROTO is dhcp" in answer["comment"]
        answer = engine(host, block()).managed()
        assert "can come again with the device" in answer["comment"]

    def test_a_stopped_daemon_is_not_told(self, host: SimHost) -> None:
        host.programs["systemctl"].active = []  # type: ignore[attr-defined]
        answer = engine(host, block("198.51.100.10", backend="ifcfg_suse")).managed()
        assert ran(host) == []
        assert "wicked does not run" in answer["comment"]
        assert "198.51.100.10/32" in live(host)

    def test_a_link_that_it_has_not_set_up(self, host: SimHost) -> None:
        host.programs["wicked"].leases.clear()  # type: ignore[attr-defined]
        answer = engine(host, block("198.51.100.10")).managed()
        assert ran(host) == []
        assert "wicked has not set eth0 up" in answer["comment"]

    def test_an_alias_for_the_file_alone_keeps_it_untold(self, host: SimHost) -> None:
        engine(host, None).add(aliases("203.0.113.78"), live=False)
        assert ran(host) == []
        assert live(host) == OWN

    def test_a_link_without_a_carrier_is_still_under_way(self, host: SimHost) -> None:
        """Exit 162, NI_WICKED_ST_IN_PROGRESS, is no failure of ours."""
        wicked = host.programs["wicked"]

        def slow(argv: Sequence[str], stdin: str | None) -> Result:
            told = wicked(argv, stdin)
            return told if argv[1] != "ifup" else told._replace(code=162)

        host.programs["wicked"] = slow
        assert engine(host, block("198.51.100.10")).managed()["result"] is True

    @pytest.mark.parametrize("how", ["never", "interface", "network"])
    def test_the_pillars_restart(self, host: SimHost, how: str) -> None:
        answer = engine(host, block("198.51.100.10", restart=how)).managed()
        down = ("wicked", "ifdown", "eth0")
        wanted = {
            "never": [],
            "interface": [down, IFUP],
            "network": [("systemctl", "restart", "wicked.service")],
        }
        assert ran(host) == wanted[how]
        assert ("may be cut" in answer["comment"]) is (how != "never")
        assert live(host) == OWN | {"198.51.100.10/32"}
        assert changed(host, engine(host, block("198.51.100.10", restart=how)).managed) == []


@pytest.mark.parametrize(
    ("scope", "commands"),
    [
        ("alias", [IFUP]),
        ("interface", [("wicked", "ifdown", "eth0"), IFUP]),
        ("network", [("systemctl", "restart", "wicked.service")]),
    ],
)
def test_each_restart_level(host: SimHost, scope: str, commands: list[tuple[str, ...]]) -> None:
    asked = engine(host, block("198.51.100.10"))
    asked.managed()
    host.log.clear()
    told = upkeep.restart(asked, name="eth0", scope=scope, test=True)
    assert told["changes"]["commands"] == [" ".join(argv) for argv in commands]
    assert host.mutating == []
    assert upkeep.restart(asked, name="eth0", scope=scope)["result"] is True
    assert ran(host) == commands
    assert live(host) == OWN | {"198.51.100.10/32"}
    assert len(host.net.routes) >= 2


def test_scripts_before_wicked_are_restarted_by_their_own_names(host: SimHost) -> None:
    from saltext.ipalias.backends import load

    del host.programs["wicked"]
    del host.programs["systemctl"]
    host.files.put("/etc/init.d/network", "#! /bin/bash\n")
    backend = load("ifcfg_suse")
    evidence = backend.detect(host, "eth0")
    told = {
        scope: [command.argv for command in backend.restart(evidence, scope, host)]
        for scope in ("alias", "interface", "network")
    }
    assert told == {
        "alias": [],
        "interface": [("ifdown", "eth0"), ("ifup", "eth0")],
        "network": [("/etc/init.d/network", "restart")],
    }
    engine(host, block("198.51.100.10")).managed()
    assert ran(host) == []


# What is right and what is not


def states(host: SimHost) -> dict[str, str]:
    rows = report.diff_rows(engine(host, block("198.51.100.10", "2001:db8:1::10")))
    return {row["address"]: row["state"] for row in rows}


def test_diff_and_verify_see_what_is_missing_where(host: SimHost) -> None:
    pillar = block("198.51.100.10", "2001:db8:1::10")
    engine(host, pillar).managed()
    assert report.problems(engine(host, pillar)) == []
    host.ip(["ip", "address", "delete", "198.51.100.10/32", "dev", "eth0"], None)
    assert states(host)["198.51.100.10/32"] == "missing-live"
    assert report.problems(engine(host, pillar)) == ["eth0: 198.51.100.10/32 is not live"]
    engine(host, pillar).managed()
    lines = [line for line in text(host).splitlines(True) if "ipalias1" not in line]
    host.files.put(PATH, "".join(lines))
    assert states(host)["2001:db8:1::10/128"] == "missing-file"
    assert report.problems(engine(host, pillar)) == ["eth0: 2001:db8:1::10/128 is in no file"]
    host.ip(["ip", "address", "add", "198.51.100.99/32", "dev", "eth0"], None)
    seen = states(host)
    assert (seen["198.51.100.99/32"], seen["192.0.2.2/24"]) == ("foreign", "primary")
    engine(host, pillar).managed()
    assert report.problems(engine(host, pillar)) == []


# What the platform refuses


def at_the_batch(do: Callable[[SimHost], object]) -> Callable[[SimHost], None]:
    """Let something happen just before the kernel is changed."""

    def arm(host: SimHost) -> None:
        def watch(at: int, effect: Effect) -> None:
            if isinstance(effect, Run) and "-batch" in effect.command.argv:
                host.watch = None
                do(host)

        host.watch = watch

    return arm


def ip(*words: str) -> Callable[[SimHost], object]:
    return lambda host: host.ip(["ip", "address", *words, "dev", "eth0"], None)


def deaf(host: SimHost) -> None:
    host.programs["wicked"].deaf = 1  # type: ignore[attr-defined]


def renamed(host: SimHost) -> None:
    """Let the file be moved away, before wicked is told and not when it is put back."""
    wicked: Any = host.programs["wicked"]
    original = wicked._link

    def once(name: str) -> Any:
        wicked._link = original
        return original("eth9")

    wicked._link = once


REFUSALS: dict[str, tuple[Callable[[SimHost], None], str]] = {
    "an address exists": (
        at_the_batch(ip("add", "198.51.100.12/32")),
        r"198\.51\.100\.12/32 could not be added: Error: ipv4: Address already assigned",
    ),
    "an IPv6 address exists": (
        at_the_batch(ip("add", "2001:db8:1::12/64")),
        r"2001:db8:1::12/128 could not be added: Error: ipv6: address already assigned",
    ),
    "an absent one is deleted": (
        at_the_batch(ip("delete", "198.51.100.11/32")),
        r"198\.51\.100\.11/32 could not be taken away: Error: ipv4: Address not found",
    ),
    "wickedd does not answer": (deaf, r"exit 1: wicked: Couldn't refresh list of active"),
    "no matching interface": (renamed, r"exit 159: wicked: ifup: no matching interfaces"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_platform_refuses_leaves_the_old_state(host: SimHost, name: str) -> None:
    arm, message = REFUSALS[name]
    engine(host, block("198.51.100.10", "198.51.100.11")).managed()
    before = comparable(host)
    arm(host)
    with pytest.raises(EffectError, match=message) as caught:
        engine(host, block("198.51.100.10", "198.51.100.12", "2001:db8:1::12")).managed()
    host.watch = None
    assert "not put back" not in str(caught.value)
    others = {"198.51.100.12/32", "2001:db8:1::12/64"}
    said = [line for line in differences(before, comparable(host)) if "addresses" in line]
    # What somebody else did meanwhile stays as he left it.
    assert all(any(f"'{a.partition('/')[0]}'" in line for a in others) for line in said)
    assert comparable(host)["files"] == before["files"]
    assert comparable(host)["ledger"] == before["ledger"]
    assert {"198.51.100.10/32", "198.51.100.11/32"} <= live(host)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["wicked", "ifup"], 1, "wicked [options] ifup"),
        (["wicked", "ifup", "--quick", "eth0"], 1, "wicked [options] ifup"),
        (["wicked", "ifup", "eth9"], 159, "wicked: ifup: no matching interfaces"),
        (["wicked", "ifreload", "eth0"], 1, "wicked [options] ifup"),
        (["systemctl", "restart", "wickedd"], 1, "Unknown command verb."),
    ],
)
def test_the_rig_takes_what_is_cited_alone(
    host: SimHost, argv: list[str], code: int, said: str
) -> None:
    told = host.run(argv)
    assert told.code == code
    assert told.err.startswith(said)


def test_slips_of_the_pen_do_not_survive(host: SimHost) -> None:
    """Every line that was run, of changes and of looks."""
    programs = [program for program in host.programs.values() if isinstance(program, Cited)]
    asked = engine(host, block(*FULL))
    asked.managed()
    for scope in ("alias", "interface", "network"):
        upkeep.restart(asked, name="eth0", scope=scope)
    assert not any(line[0] == "wicked" for line in programs[0].refused)
    total, left = 0, []
    for program in programs:
        count, survived = survivors(program, program.taken)
        total += count
        left += survived
    assert total > 40
    assert len(left) <= total * 0.05, left
