"""cPanel, the whole way: pillar, lists, kernel, pool, accounts, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rig.plat import cpanel as plat
from rig.simafter import reboot
from rig.simengine import LEDGER, block, changed, engine, ledger, live
from rig.simforms import Cited, survivors
from rig.simhost import SimHost
from rig.simscenes import comparable, differences
from saltext.ipalias import report, restore, upkeep
from saltext.ipalias.effects import Effect, Run
from saltext.ipalias.errors import EffectError, InputError, ParseError, RefusedError
from saltext.ipalias.owner import detect_all

OWN = {"192.0.2.2/24", "2001:db8::2/64"}
IPS, POOL = "/etc/ips", "/etc/ipaddrpool"
REBUILD, RESTART = (plat.REBUILD,), (plat.RESTART,)
TEN, ELEVEN = (f"198.51.100.{n}:255.255.255.255:198.51.100.{n}\n" for n in (10, 11))
SITE = (
    "shop.example: web9==root==main==shop.example==/home/web9/public_html==198.51.100.10:80====\n"
)


@pytest.fixture
def host() -> SimHost:
    return plat.host()


def texts(host: SimHost) -> tuple[str, str]:
    return host.files.read(IPS) or "", host.files.read(POOL) or ""


def ran(host: SimHost) -> list[tuple[str, ...]]:
    argvs = [effect.command.argv for effect in host.log if isinstance(effect, Run)]
    return [argv for argv in argvs if argv[0] != "ip"]


class TestTheWholeWay:
    def test_it_wins_over_what_manages_the_link(self, host: SimHost) -> None:
        """NetworkManager says that the link is its own; the aliases are ipaliases'."""
        found = detect_all(host, "eth0")
        assert [(one.backend, one.strength) for one in found if one.owns] == [
            ("cpanel", 4),
            ("networkmanager", 3),
        ]

    def test_add_and_a_second_run_that_changes_nothing(self, host: SimHost) -> None:
        answer = engine(host, block("198.51.100.10", "203.0.113.5/24")).managed()
        assert f"written: {IPS}, {POOL}" in answer["comment"]
        ips, pool = texts(host)
        assert ips == f"# of the hoster\n{TEN}203.0.113.5:255.255.255.0:203.0.113.255\n"
        assert pool == "203.0.113.5\n203.0.113.250\n198.51.100.10\n"
        assert ran(host) == [REBUILD]
        assert changed(host, engine(host, block("198.51.100.10", "203.0.113.5/24")).managed) == []

    def test_the_pool_is_made_when_the_kernel_is_as_wanted(self, host: SimHost) -> None:
        """It lists what is set: one made any sooner would lack the alias, or still have it."""
        engine(host, block("198.51.100.10")).managed()
        argvs = [effect.command.argv for effect in host.log if isinstance(effect, Run)]
        assert argvs.index(REBUILD) > argvs.index(("ip", "-batch", "-"))
        engine(host, block()).managed()
        assert texts(host)[1] == "203.0.113.250\n"

    def test_it_comes_back_at_boot(self, host: SimHost) -> None:
        engine(host, block("198.51.100.10", "203.0.113.5/24")).managed()
        assert live(reboot(host)) == OWN | {"198.51.100.10/32", "203.0.113.5/24"}

    def test_what_is_foreign_stays_byte_for_byte(self, host: SimHost) -> None:
        plat.FOREIGN(host)
        host.ip(["ip", "address", "add", "192.0.2.20/24", "dev", "eth0"], None)
        before = texts(host)[0]
        engine(host, block("198.51.100.10")).managed()
        assert texts(host)[0] == before + TEN
        engine(host, block()).managed()
        assert texts(host)[0] == before
        assert live(host) == OWN | {"192.0.2.20/24"}

    def test_a_removal(self, host: SimHost) -> None:
        before = texts(host)
        engine(host, block("198.51.100.10", "198.51.100.11")).managed()
        engine(host, block("198.51.100.11")).managed()
        assert texts(host)[0] == f"# of the hoster\n{ELEVEN}"
        engine(host, None).remove([("198.51.100.11", None)])
        assert texts(host) == before
        assert live(host) == OWN

    def test_a_line_of_others_is_adopted_where_it_stands(self, host: SimHost) -> None:
        plat.FOREIGN(host)
        host.ip(["ip", "address", "add", "192.0.2.20/24", "dev", "eth0"], None)
        before = texts(host)[0]
        engine(host, block("192.0.2.20/24", adopt=True)).managed()
        assert texts(host)[0] == before
        engine(host, block()).managed()
        assert texts(host)[0] == before
        engine(host, None).remove([("192.0.2.20", None)])
        assert "192.0.2.20" not in texts(host)[0]

    def test_purge_all_takes_a_line_of_others_out(self, host: SimHost) -> None:
        plat.FOREIGN(host)
        host.ip(["ip", "address", "add", "192.0.2.20/24", "dev", "eth0"], None)
        engine(host, block(purge="all")).managed()
        assert texts(host)[0] == "# of the hoster\n"
        assert live(host) == OWN

    def test_a_dry_run_has_no_effect(self, host: SimHost) -> None:
        before = host.state()
        answer = engine(host, block("198.51.100.10")).managed(test=True)
        assert answer["result"] is None
        assert f"+{TEN}".strip() in answer["changes"]["files"][IPS]
        assert "+198.51.100.10" in answer["changes"]["files"][POOL]
        assert host.state() == before
        assert host.mutating == []

    def test_default_is_the_interface_of_the_default_route(self, host: SimHost) -> None:
        engine(host, block("198.51.100.10", interface="default")).managed()
        assert live(host) == OWN | {"198.51.100.10/32"}

    def test_both_originals_are_kept_and_restored(self, host: SimHost) -> None:
        before = texts(host)
        asked = engine(host, block("198.51.100.10"))
        asked.managed()
        assert {IPS, POOL} <= set(restore.originals(asked))
        restore.restore(asked, None)
        assert texts(host) == before

    def test_a_lost_ledger_makes_it_somebody_elses(self, host: SimHost) -> None:
        engine(host, block("198.51.100.10")).managed()
        host.files.drop(LEDGER)
        before = texts(host)
        assert engine(host, block("198.51.100.10")).managed()["changes"] == {}
        engine(host, block()).clean()
        assert texts(host) == before
        assert "198.51.100.10/32" in live(host)

    def test_without_the_script_the_pool_is_edited_by_hand(self, host: SimHost) -> None:
        host.files.drop(plat.REBUILD)
        engine(host, block("198.51.100.10")).managed()
        assert texts(host)[1] == "203.0.113.250\n198.51.100.10\n"
        assert ran(host) == []
        engine(host, block()).managed()
        assert texts(host)[1] == "203.0.113.250\n"

    def test_switched_off_it_gives_the_aliases_to_the_links_own_owner(self, host: SimHost) -> None:
        """Our lines leave the list in the same change."""
        engine(host, block("198.51.100.10")).managed()
        host.files.put("/etc/ipaliasesdisable", "")
        engine(host, block("198.51.100.10", "2001:db8:1::10")).managed()
        assert ledger(host).backends == {"eth0": "networkmanager"}
        assert texts(host) == ("# of the hoster\n", "203.0.113.250\n")
        assert live(host) == OWN | {"198.51.100.10/32", "2001:db8:1::10/128"}

    def test_another_interface_is_its_own_owners(self) -> None:
        host = plat.host(links=("eth0", "eth1"))
        engine(host, block("203.0.113.9", interface="eth1")).managed()
        assert ledger(host).backends == {"eth1": "networkmanager"}
        assert texts(host)[0] == "# of the hoster\n"


class TestAnAddressInUse:
    """An account that has an alias keeps it until somebody says its name."""

    @pytest.fixture
    def used(self, host: SimHost) -> SimHost:
        engine(host, block("198.51.100.10", "198.51.100.11")).managed()
        host.files.put("/etc/userdatadomains", plat.SITES + SITE)
        host.run(REBUILD)
        host.log.clear()
        return host

    @pytest.mark.parametrize("how", ["managed", "remove", "clean", "prune", "test"])
    def test_it_is_not_taken_away(self, used: SimHost, how: str) -> None:
        calls: dict[str, Callable[[], Any]] = {
            "managed": engine(used, block("198.51.100.11")).managed,
            "remove": lambda: engine(used, None).remove([("198.51.100.10", None)]),
            "clean": engine(used, block()).clean,
            "prune": engine(used, {"interfaces": {}}).pruned,
            "test": lambda: engine(used, block("198.51.100.11")).managed(test=True),
        }
        before = used.state()
        with pytest.raises(RefusedError) as caught:
            calls[how]()
        assert str(caught.value) == (
            "eth0: 198.51.100.10 is not taken away: account web9 uses it for shop.example; "
            "`ipalias.remove 198.51.100.10 force=198.51.100.10` does it all the same"
        )
        assert used.state() == before

    def test_forced_it_goes(self, used: SimHost) -> None:
        asked = engine(used, None)
        asked.forced = frozenset({"198.51.100.10"})
        asked.remove([("198.51.100.10", None)])
        assert texts(used)[0] == f"# of the hoster\n{ELEVEN}"
        assert "198.51.100.10/32" not in live(used)

    def test_forcing_another_one_is_not_enough(self, used: SimHost) -> None:
        asked = engine(used, None)
        asked.forced = frozenset({"198.51.100.11"})
        with pytest.raises(RefusedError, match="account web9"):
            asked.remove([("198.51.100.10", None), ("198.51.100.11", None)])

    def test_what_nobody_uses_goes(self, used: SimHost) -> None:
        engine(used, block("198.51.100.10")).managed()
        assert live(used) == OWN | {"198.51.100.10/32"}

    def test_another_prefix_is_no_removal(self, used: SimHost) -> None:
        engine(used, block("198.51.100.10/25", "198.51.100.11")).managed()
        assert "198.51.100.10/25" in live(used)

    def test_purging_what_is_foreign_asks_too(self, used: SimHost) -> None:
        used.files.drop(LEDGER)
        with pytest.raises(RefusedError, match="account web9"):
            engine(used, block(purge="all")).managed()

    def test_it_stays_out_of_the_pool(self, used: SimHost) -> None:
        """Offered there, the next account would get it as well."""
        assert "198.51.100.10" not in texts(used)[1]
        engine(used, block("198.51.100.10", "198.51.100.11", "198.51.100.12")).managed()
        assert texts(used)[1].split() == ["203.0.113.250", "198.51.100.12", "198.51.100.11"]


class TestRefused:
    @pytest.mark.parametrize(
        ("item", "message"),
        [
            ("2001:db8:1::10", r"/etc/ips holds IPv4 addresses alone; cPanel gives IPv6"),
            ({"address": "198.51.100.10", "label": "x"}, r"no place for a label; ipaliases gives"),
            ({"address": "198.51.100.10", "source": "never"}, r"no place for the scope"),
            ({"address": "198.51.100.9/25", "source": "never"}, r"no place for the scope"),
        ],
    )
    def test_what_the_list_cannot_say(self, host: SimHost, item: object, message: str) -> None:
        before = host.state()
        with pytest.raises(InputError, match=message):
            engine(host, block(item)).managed()
        assert host.state() == before

    @pytest.mark.parametrize(
        "line", ["198.51.100.9\n", "198.51.100.9:255.255.255.255\n", TEN.replace("\n", "\r\n")]
    )
    def test_a_line_that_cpanel_passes_over(self, host: SimHost, line: str) -> None:
        host.files.put(IPS, f"# of the hoster\n{line}")
        before = host.state()
        with pytest.raises(ParseError, match=r"^/etc/ips:2: "):
            engine(host, block("198.51.100.11")).managed()
        assert host.state() == before


class TestRestart:
    @pytest.mark.parametrize(
        ("scope", "commands"),
        [
            ("alias", [RESTART]),
            ("interface", [("nmcli", "device", "connect", "eth0"), RESTART]),
            ("network", [("systemctl", "restart", "NetworkManager.service"), RESTART]),
        ],
    )
    def test_each_level(self, host: SimHost, scope: str, commands: list[tuple[str, ...]]) -> None:
        asked = engine(host, block("198.51.100.10"))
        asked.managed()
        host.log.clear()
        told = upkeep.restart(asked, name="eth0", scope=scope, test=True)
        assert told["changes"]["commands"] == [" ".join(argv) for argv in commands]
        assert host.mutating == []
        upkeep.restart(asked, name="eth0", scope=scope)
        assert ran(host) == commands
        assert live(host) == OWN | {"198.51.100.10/32"}

    def test_the_guides_command_on_an_old_host(self, host: SimHost) -> None:
        from saltext.ipalias.backends import load

        host.files.drop(plat.RESTART)
        host.files.put("/etc/init.d/network", "#!/bin/bash\n")
        del host.programs["nmcli"]
        backend = load("cpanel")
        evidence = backend.detect(host, "eth0")
        guide = ("/etc/init.d/ipaliases", "restart")
        told = {
            scope: [command.argv for command in backend.restart(evidence, scope, host)]
            for scope in ("alias", "interface", "network")
        }
        assert told == {
            "alias": [guide],
            "interface": [("ifdown", "eth0"), ("ifup", "eth0"), guide],
            "network": [("/etc/init.d/network", "restart"), guide],
        }

    @pytest.mark.parametrize("how", ["never", "interface", "network"])
    def test_the_pillars_restart(self, host: SimHost, how: str) -> None:
        engine(host, block("198.51.100.10", restart=how)).managed()
        assert (RESTART in ran(host)) is (how != "never")
        # The pool is a part of the change, whatever is told.
        assert ran(host)[-1] == REBUILD
        assert texts(host)[1] == "203.0.113.250\n198.51.100.10\n"
        pillar = block("198.51.100.10", restart=how)
        assert changed(host, engine(host, pillar).managed) == []


def test_diff_and_verify_see_what_is_missing_where(host: SimHost) -> None:
    pillar = block("198.51.100.10", "198.51.100.11")

    def states() -> dict[str, str]:
        rows = report.diff_rows(engine(host, pillar))
        return {row["address"]: row["state"] for row in rows}

    engine(host, pillar).managed()
    assert report.problems(engine(host, pillar)) == []
    host.ip(["ip", "address", "delete", "198.51.100.10/32", "dev", "eth0"], None)
    host.files.put(IPS, (host.files.read(IPS) or "").replace(ELEVEN, ""))
    host.ip(["ip", "address", "add", "198.51.100.99/32", "dev", "eth0"], None)
    seen = states()
    assert seen["198.51.100.10/32"] == "missing-live"
    assert seen["198.51.100.11/32"] == "missing-file"
    assert seen["198.51.100.99/32"] == "foreign"
    assert seen["192.0.2.2/24"] == "primary"
    assert report.problems(engine(host, pillar)) == [
        "eth0: 198.51.100.10/32 is not live",
        "eth0: 198.51.100.11/32 is in no file",
    ]
    engine(host, pillar).managed()
    assert report.problems(engine(host, pillar)) == []


def test_the_imported_pillar_is_the_hosts(host: SimHost) -> None:
    host.files.put(IPS, TEN)
    told = report.import_pillar(engine(host, None))
    assert told["ipalias"]["interfaces"] == {"eth0": {"addresses": ["198.51.100.10"]}}


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


def no_perl(host: SimHost) -> None:
    host.programs[plat.REBUILD].broken = True  # type: ignore[attr-defined]


REFUSALS: dict[str, tuple[Callable[[SimHost], None], str]] = {
    "an address exists": (
        at_the_batch(ip("add", "198.51.100.12/32")),
        r"198\.51\.100\.12/32 could not be added: Error: ipv4: Address already assigned",
    ),
    "an absent one is deleted": (
        at_the_batch(ip("delete", "198.51.100.11/32")),
        r"198\.51\.100\.11/32 could not be taken away: Error: ipv4: Address not found",
    ),
    "the script cannot be run": (no_perl, r"exit 127: /scripts/rebuildippool: No such file"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_platform_refuses_leaves_the_old_state(host: SimHost, name: str) -> None:
    arm, message = REFUSALS[name]
    engine(host, block("198.51.100.10", "198.51.100.11")).managed()
    before = comparable(host)
    arm(host)
    with pytest.raises(EffectError, match=message) as caught:
        engine(host, block("198.51.100.10", "198.51.100.12")).managed()
    host.watch = None
    assert "not put back" not in str(caught.value)
    said = differences(before, comparable(host))
    # What somebody else added meanwhile is his.
    assert all("'198.51.100.12'" in line for line in said), said


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("/etc/ipaliasesdisable", "", "The “ipaliases” service is disabled."),
        (IPS, "", "The “ipaliases” service is not configured."),
    ],
)
def test_a_restart_that_ipaliases_refuses(
    host: SimHost, path: str, text: str, message: str
) -> None:
    """Between the look and the restart somebody switches it off, or empties the list."""
    asked = engine(host, block("198.51.100.10"))
    asked.managed()
    before = live(host)

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, Run) and effect.command.argv == RESTART:
            host.watch = None
            host.files.put(path, text)

    host.watch = watch
    with pytest.raises(EffectError, match=message):
        upkeep.restart(asked, name="eth0", scope="alias")
    assert live(host) == before


def test_the_rig_takes_what_is_cited_alone(host: SimHost) -> None:
    assert host.run([*REBUILD, "--force"]).code == 1
    assert host.run([*RESTART, "eth0"]).code == 1
    assert host.run(["systemctl", "restart", "ipaliases"]).err == "Unknown command verb.\n"


def test_slips_of_the_pen_do_not_survive(host: SimHost) -> None:
    programs = [program for program in host.programs.values() if isinstance(program, Cited)]
    asked = engine(host, block("198.51.100.10"))
    asked.managed()
    for scope in ("alias", "network"):
        upkeep.restart(asked, name="eth0", scope=scope)
    total, left = 0, []
    for program in programs:
        count, survived = survivors(program, program.taken)
        total += count
        left += survived
    assert total > 8
    assert len(left) <= total * 0.05, left
