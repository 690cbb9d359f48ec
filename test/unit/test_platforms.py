"""What the alias guide asks for, on every dialect alike: the same pillar, the same answers.

Each dialect's own files, commands and refusals have tests of their own; here stands what a
user may expect of all of them.
"""

from __future__ import annotations

from typing import Any

import pytest

from rig import plat
from rig.simengine import aliases, block, changed, engine, fit, ledger, live, only_present
from rig.simhost import SimHost
from rig.simnet import SimAddress
from rig.simnm import OWNERS
from rig.simscenes import add_by_hand, comparable, differences
from saltext.ipalias import restarts
from saltext.ipalias.backends import load
from saltext.ipalias.errors import IpaliasError, RefusedError
from saltext.ipalias.pillar import Announce
from saltext.ipalias.report import diff_rows, import_pillar, problems
from saltext.ipalias.restore import restore
from saltext.ipalias.upkeep import announce, restart

ONE, TWO, SIX = "198.51.100.10", "198.51.100.11", "2001:db8:1::10"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=sorted(OWNERS))
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def host(dialect: str) -> SimHost:
    made = OWNERS[dialect]()
    made.files.put("/etc/unrelated", "kept\n")
    made.log.clear()
    return made


def pillar(dialect: str, *items: object, **settings: object) -> dict[str, Any]:
    return block(*fit(dialect, list(items)), **settings)


def wanted(given: dict[str, Any]) -> set[str]:
    """Return the addresses with prefix that a pillar of single addresses asks for."""
    listed = given["interfaces"]["eth0"]["addresses"]
    names = [item if isinstance(item, str) else str(item["address"]) for item in listed]
    return {f"{name}/{128 if ':' in name else 32}" for name in names}


def own_files(host: SimHost) -> dict[str, Any]:
    return {p: n for p, n in host.files.tree("/var/lib/ipalias").items() if "ipalias" not in p}


def test_add_second_run_and_removal(dialect: str, host: SimHost) -> None:
    before, files = live(host), own_files(host)
    given = pillar(dialect, ONE, TWO, SIX)
    answer = engine(host, given).managed()
    assert answer["result"] is True
    assert live(host) - before == wanted(given)
    assert set(answer["changes"]["addresses"]["added"]) == wanted(given)
    assert changed(host, lambda: engine(host, given).managed()) == []
    assert engine(host, given).managed()["changes"] == {}
    answer = engine(host, block(ONE)).managed()
    assert live(host) - before == {f"{ONE}/32"}
    engine(host, block(ONE)).clean()
    assert live(host) == before
    assert own_files(host) == files
    assert not ledger(host).on("eth0")


def test_a_label_is_kept_or_refused_with_the_reason(dialect: str, host: SimHost) -> None:
    before = comparable(host)
    given = block({"address": ONE, "label": "fo1"})
    if "label" in load(dialect).UNSUPPORTED:
        with pytest.raises(IpaliasError) as error:
            engine(host, given).managed()
        assert load(dialect).UNSUPPORTED["label"] in str(error.value)
        assert differences(before, comparable(host)) == []
        return
    assert engine(host, given).managed()["result"] is True
    assert problems(engine(host, given)) == []
    assert engine(host, given).managed()["changes"] == {}


@pytest.mark.parametrize(("key", "address"), [("source4", ONE), ("source6", SIX)])
def test_never_a_source_is_kept_or_refused(
    dialect: str, host: SimHost, key: str, address: str
) -> None:
    before = comparable(host)
    given = block({"address": address, "source": "never"})
    refused = {"ipv6"} if ":" in address else set()
    if {key, *refused} & set(load(dialect).UNSUPPORTED):
        with pytest.raises(IpaliasError):
            engine(host, given).managed()
        assert differences(before, comparable(host)) == []
        return
    assert engine(host, given).managed()["result"] is True
    assert problems(engine(host, given)) == []
    assert engine(host, given).managed()["changes"] == {}


def test_nothing_whatever_happens_with_test(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE, TWO, SIX)
    shown: dict[str, Any] = {}
    assert changed(host, lambda: shown.update(engine(host, given).managed(test=True)) or {}) == []
    assert shown["result"] is None
    assert engine(host, given).managed()["changes"] == shown["changes"]


def runs_here(dialect: str, scope: str) -> bool:
    """Tell whether the real owner is restarted instead, by ``test_restart_levels.py``."""
    return dialect not in plat.NAMES and scope in restarts.HARD


@pytest.mark.parametrize("scope", sorted(restarts.CUTS))
def test_each_restart_level_leaves_every_alias_live(
    dialect: str, host: SimHost, scope: str
) -> None:
    given = pillar(dialect, ONE, SIX)
    engine(host, given).managed()
    before = live(host)
    shown = restart(engine(host, given), name="eth0", scope=scope, test=True)
    assert live(host) == before
    if runs_here(dialect, scope):
        return
    ran = restart(engine(host, given), name="eth0", scope=scope)
    assert ran["changes"] == shown["changes"]
    assert ran["result"] is True
    assert live(host) == before
    assert restarts.cuts(scope, "eth0", ran["changes"].get("commands", ())) in ran["comment"]


@pytest.mark.parametrize("level", ["never", "interface", "network"])
def test_the_pillars_restart_runs_after_a_change_alone(
    dialect: str, host: SimHost, level: str
) -> None:
    given = pillar(dialect, ONE, SIX, restart=level)
    if runs_here(dialect, level):
        assert "restart:" in engine(host, given).managed(test=True)["comment"]
        return
    answer = engine(host, given).managed()
    assert answer["result"] is True
    assert wanted(given) <= live(host)
    assert ("restart:" in answer["comment"]) is (level in restarts.HARD)
    assert changed(host, lambda: engine(host, given).managed()) == []


def test_it_says_that_it_announced_only_where_it_can(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE)
    engine(host, given).managed()
    if host.system == "linux":
        assert announce(engine(host, given), [ONE], None, Announce(1, 0))["announced"] == 1
        return
    with pytest.raises(RefusedError, match="lets no program announce an address"):
        announce(engine(host, given), [ONE], None, Announce(1, 0))


def test_what_is_there_is_imported(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE, SIX)
    engine(host, given).managed()
    told = import_pillar(engine(host, None))["ipalias"]
    before = comparable(host)
    answer = engine(host, told).managed()
    assert (answer["result"], answer["changes"]) == (True, {})
    assert differences(before["addresses"], comparable(host)["addresses"]) == []


def test_default_is_the_interface_of_the_default_route(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE, interface="default")
    assert engine(host, given).managed()["result"] is True
    assert f"{ONE}/32" in live(host)
    assert set(ledger(host).default.values()) == {"eth0"}


def test_originals_are_put_back(dialect: str, host: SimHost) -> None:
    files = own_files(host)
    given = pillar(dialect, ONE, form="post-up")
    engine(host, given).managed()
    edited = {path for path, node in own_files(host).items() if files.get(path, node) != node}
    edited = {path for path in edited if path.startswith("/etc/")}
    restore(engine(host, given), None)
    left = own_files(host)
    assert {path: left[path] for path in edited} == {path: files[path] for path in edited}


# drift


def states(host: SimHost, given: dict[str, Any]) -> dict[str, str]:
    return {row["address"]: row["state"] for row in diff_rows(engine(host, given), "eth0")}


def test_in_the_files_and_not_live(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE, TWO)
    engine(host, given).managed()
    link = host.net.links["eth0"]
    link.addresses4 = [a for a in link.addresses4 if a.address != ONE]
    assert states(host, given)[f"{ONE}/32"] == "missing-live"
    assert states(host, given)[f"{TWO}/32"] == "ok"
    assert problems(engine(host, given))
    answer = engine(host, given).managed()
    assert answer["changes"]["addresses"]["added"] == [f"{ONE}/32"]
    assert problems(engine(host, given)) == []


def test_live_and_not_in_the_files(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE, TWO)
    before = {p: n for p, n in host.files.nodes.items() if n.kind == "file"}
    engine(host, given).managed()
    if load(dialect).STORED:
        plat.load(dialect).forget(host, ONE)  # type: ignore[attr-defined]
    else:
        for path in [p for p, n in host.files.nodes.items() if n.kind == "file"]:
            if path.startswith("/etc/"):
                if path in before:
                    host.files.put(path, before[path].text, before[path].mode)
                else:
                    host.files.unlink(path)
    assert states(host, given)[f"{ONE}/32"] == "missing-file"
    assert problems(engine(host, given))
    answer = engine(host, given).managed()
    assert "addresses" not in answer["changes"]
    assert states(host, given)[f"{ONE}/32"] == "ok"


def test_an_address_of_somebody_else(dialect: str, host: SimHost) -> None:
    given = pillar(dialect, ONE)
    engine(host, given).managed()
    add_by_hand(host, "198.51.100.99/32")
    assert states(host, given)["198.51.100.99/32"] == "foreign"
    assert problems(engine(host, given)) == []
    engine(host, given).managed()
    engine(host, None).add(aliases(TWO))
    assert "198.51.100.99/32" in live(host)
    engine(host, block()).clean()
    assert "198.51.100.99/32" in live(host)
    assert isinstance(host.net.links["eth0"].addresses4[-1], SimAddress)


def test_clean_needs_no_backend_that_the_system_can_have(dialect: str, host: SimHost) -> None:
    before = live(host)
    engine(host, pillar(dialect, ONE)).managed()
    stranger = "windows" if host.system != "windows" else "freebsd"
    engine(host, pillar(dialect, ONE, backend=stranger)).clean()
    assert live(host) == before
