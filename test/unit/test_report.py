"""What is told of a host: a row an address, the pillar that would describe it, the owners."""

from __future__ import annotations

from typing import Any

import pytest

from rig.simengine import aliases, block, engine, had, ledger, live, only_present
from rig.simhost import STATE, SimHost
from rig.simnet import SimAddress
from rig.simnm import OWNERS
from rig.simowners import ifupdown, networkd
from saltext.ipalias import upkeep
from saltext.ipalias.backends import REGISTRY, load
from saltext.ipalias.difference import MAX_LISTED
from saltext.ipalias.errors import InputError
from saltext.ipalias.live import tools
from saltext.ipalias.pillar import parse_pillar
from saltext.ipalias.report import describe_backends, diff_rows, explain, import_pillar, ours
from saltext.ipalias.upkeep import announce, journal, restart

MAIN = "/etc/systemd/network/50-eth0.network"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


def states(host: SimHost, pillar: dict[str, Any] | None) -> dict[str, str]:
    return {row["address"]: row["state"] for row in diff_rows(engine(host, pillar), "eth0")}


# diff


def test_every_address_is_a_row_with_its_state() -> None:
    host = networkd()
    text = (host.files.read(MAIN) or "") + "\n[Address]\nAddress=198.51.100.30/32\n"
    host.files.put(MAIN, text)
    host.net.add4("eth0", SimAddress("198.51.100.30", 32))
    host.net.add4("eth0", SimAddress("198.51.100.99", 32))
    fo = {"address": "203.0.113.4", "source": "never"}
    first = block("203.0.113.1", "203.0.113.2", "203.0.113.3", fo, "198.51.100.30")
    engine(host, first).managed()
    engine(host, None).add(aliases("203.0.113.9"))
    host.net.delete4("eth0", "203.0.113.2", 32)
    host.net.delete4("eth0", "203.0.113.4", 32)
    host.net.add4("eth0", SimAddress("203.0.113.4", 32))
    path = f"{MAIN}.d/60-ipalias.conf"
    text = host.files.read(path) or ""
    host.files.put(path, text.replace("[Address]\nAddress=203.0.113.3/32\n", ""))
    first["interfaces"]["eth0"]["addresses"].append("203.0.113.5")
    assert states(host, first) == {
        "203.0.113.1/32": "ok",
        "203.0.113.2/32": "missing-live",
        "203.0.113.3/32": "missing-file",
        "203.0.113.4/32": "wrong",
        "203.0.113.5/32": "missing",
        "203.0.113.9/32": "extra",
        "198.51.100.30/32": "present",
        "198.51.100.99/32": "foreign",
        "192.0.2.2/24": "primary",
        "2001:db8::2/64": "primary",
        "fe80::2/64": "foreign",
    }
    engine(host, first).managed()
    assert {state for state in states(host, first).values()} == {
        "ok",
        "extra",
        "present",
        "foreign",
        "primary",
    }


def test_a_row_says_where_and_on_whose_word(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.9"))
    (row,) = [r for r in diff_rows(engine(owned, None)) if r["address"] == "203.0.113.9/32"]
    if any(load(name).STORED for name in ledger(owned).backends.values()):
        # A store has a name and no lines.
        assert row["file"]
        assert ":" not in row["file"]
    else:
        path, _, line = row["file"].rpartition(":")
        assert "203.0.113.9" in (owned.files.read(path) or "")
        assert int(line) > 0
    assert (row["origin"], row["live"], row["pillar"]) == ("hand", True, False)


def test_the_pillars_default_shows_on_its_real_interface(owned: SimHost) -> None:
    pillar = block("203.0.113.1", interface="default")
    assert states(owned, pillar)["203.0.113.1/32"] == "missing"
    engine(owned, pillar).managed()
    assert states(owned, pillar)["203.0.113.1/32"] == "ok"


def test_what_is_ours_is_listed(owned: SimHost) -> None:
    engine(owned, block("203.0.113.1")).managed()
    engine(owned, None).add(aliases("203.0.113.9"))
    listed = ours(engine(owned, block("203.0.113.1")))
    assert {cidr: row["origin"] for cidr, row in listed["eth0"].items()} == {
        "203.0.113.1/32": "pillar",
        "203.0.113.9/32": "hand",
    }


# import


def test_the_imported_pillar_describes_the_host(owned: SimHost) -> None:
    items = had(owned, "203.0.113.1", "2001:db8:1::1", "198.51.100.129/25")
    engine(owned, block(*items)).managed()
    owned.net.add4("eth0", SimAddress("198.51.100.99", 32))
    told = import_pillar(engine(owned, None))["ipalias"]
    (listed,) = [one["addresses"] for one in told["interfaces"].values()]
    assert set(map(str, listed)) == {*map(str, items), "198.51.100.99"}
    parse_pillar(told)


def test_the_imported_pillar_changes_nothing_live_when_applied(owned: SimHost) -> None:
    engine(owned, block(*had(owned, "203.0.113.1", "2001:db8:1::1"))).managed()
    before = live(owned)
    told = import_pillar(engine(owned, None))["ipalias"]
    answer = engine(owned, told).managed()
    assert answer["changes"] == {}
    assert live(owned) == before


def test_labels_and_policies_are_imported() -> None:
    host = networkd()
    items: list[object] = [
        {"address": "203.0.113.1", "label": "failover1"},
        {"address": "203.0.113.2", "source": "never"},
        {"address": "2001:db8:1::2", "source": "never"},
    ]
    engine(host, block(*items)).managed()
    told = import_pillar(engine(host, None), "eth0")["ipalias"]
    assert told["interfaces"]["eth0"]["addresses"] == items


def test_a_guides_aliases_are_imported() -> None:
    host = ifupdown()
    path = "/etc/network/interfaces"
    text = host.files.read(path) or ""
    guide = (
        "\nauto eth0:0\niface eth0:0 inet static\n    address 203.0.113.7\n"
        "    netmask 255.255.255.255\n"
    )
    host.files.put(path, text + guide)
    told = import_pillar(engine(host, None))["ipalias"]["interfaces"]
    assert told == {"eth0": {"addresses": ["203.0.113.7"]}}
    answer = engine(host, {"adopt": True, "interfaces": told}).managed()
    assert answer["result"] is True
    left = host.files.read(path) or ""
    assert left.count("203.0.113.7") == 1
    assert engine(host, {"adopt": True, "interfaces": told}).managed()["changes"] == {}


def test_a_host_without_aliases_imports_nothing(owned: SimHost) -> None:
    assert import_pillar(engine(owned, None)) == {"ipalias": {"interfaces": {}}}


# detect, backends


def test_the_owner_is_explained(owned: SimHost) -> None:
    told = explain(engine(owned, None))
    assert set(told) == {"eth0"}
    assert told["eth0"]["owner"] in OWNERS
    assert len(told["eth0"]["evidence"]) == 1
    assert all(row["reasons"] for row in told["eth0"]["rejected"])


def test_every_backend_describes_itself() -> None:
    told = describe_backends()
    assert set(told) == set(REGISTRY)
    assert told["networkd"]["max_addresses"] == 8192
    assert told["ifupdown"]["numbers_unlabelled"] is True
    assert "label" in told["networkmanager"]["refuses"]
    assert all(row["about"] for row in told.values())


# upkeep


def test_announce_sends_for_live_aliases_of_ours() -> None:
    host = networkd()
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    host.frames.clear()
    host.net.delete4("eth0", "203.0.113.2", 32)
    how = parse_pillar({"announce": {"count": 4, "interval": 0.5}}).base.announce
    told = announce(engine(host, None), None, None, how)
    assert told["announced"] == 1
    (sent,) = host.frames
    assert (sent.interface, len(sent.frames), sent.count, sent.interval) == ("eth0", 1, 4, 0.5)
    with pytest.raises(InputError, match=r"192\.0\.2\.2 is not a live alias of ours"):
        announce(engine(host, None), ["192.0.2.2"], None, how)


def test_new_addresses_are_announced_as_the_pillar_says(owned: SimHost) -> None:
    addresses = had(owned, "203.0.113.1", "2001:db8:1::1")
    engine(owned, block(*addresses, announce=3)).managed("eth0")
    if not tools.load(owned.system).FRAMES:
        assert owned.frames == []
        return
    (sent,) = owned.frames
    assert (len(sent.frames), sent.count) == (len(addresses), 3)
    engine(owned, block(*addresses, announce=3)).managed("eth0")
    assert len(owned.frames) == 1


def test_an_unknown_restart_scope_names_the_known(owned: SimHost) -> None:
    with pytest.raises(InputError, match="one of alias, interface, network"):
        restart(engine(owned, None), name="eth0", scope="all")


def test_a_dry_restart_runs_nothing(owned: SimHost) -> None:
    before = len(owned.mutating)
    for scope in ("alias", "interface", "network"):
        told = restart(engine(owned, None), name="default", scope=scope, test=True)
        assert told["result"] is (None if told["changes"] else True)
    assert len(owned.mutating) == before


@pytest.mark.parametrize("name", ["../ledger", "x/y", "", "a" * 70, "none-such"])
def test_a_journal_entry_is_looked_up_by_its_id_alone(name: str) -> None:
    host = networkd()
    host.files.put(f"{STATE}/ledger.json", "{}")
    with pytest.raises(InputError, match="there is no journal entry"):
        journal(engine(host, None), name)


def test_the_journal_lists_what_it_holds() -> None:
    host = networkd()
    engine(host, block("2001:db8:9::-2001:db8:9::1ff")).managed()
    (name,) = journal(engine(host, None), None)
    assert len(journal(engine(host, None), name)["addresses"]["added"]) == 512


def test_a_change_of_many_small_files_comes_back_capped_and_in_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dialect with a file an alias has thousands of them."""
    host = OWNERS["ifcfg_rh"]()
    answer = engine(
        host, block("198.51.100.1-198.51.100.200", "203.0.113.1-203.0.113.200")
    ).managed()
    files = [path for path in answer["changes"]["files"] if path.startswith("/")]
    assert len(files) < MAX_LISTED
    assert answer["changes"]["files"]["..."] == f"{400 - len(files)} more files"
    assert len(answer["comment"]) < 2000
    assert f"and {400 - 20} more" in answer["comment"]
    name = answer["journal"]
    whole = journal(engine(host), name)
    assert len(whole["files"]) == 400
    monkeypatch.setattr(upkeep, "PAGED", 1000)
    monkeypatch.setattr(upkeep, "PAGE", 300)
    first = journal(engine(host), name)
    parts = [journal(engine(host), name, page) for page in range(1, first["pages"] + 1)]
    for part in parts:
        assert sum(len(diff.splitlines()) for diff in part["files"].values()) <= 300
    for path, diff in whole["files"].items():
        assert "\n".join(p["files"][path] for p in parts if path in p["files"]) == diff


def test_a_change_too_large_for_one_return_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    host = networkd()
    listed = "2001:db8:1::1-2001:db8:1::2bc"
    answer = engine(host, block(listed)).managed()
    name = answer["journal"]
    whole = journal(engine(host), name)
    monkeypatch.setattr(upkeep, "PAGED", 1000)
    monkeypatch.setattr(upkeep, "PAGE", 300)
    first = journal(engine(host), name)
    parts = [journal(engine(host), name, page) for page in range(1, first["pages"] + 1)]
    assert first == parts[0]
    added = [cidr for part in parts for cidr in part["addresses"]["added"]]
    assert added == whole["addresses"]["added"]
    for path, diff in whole["files"].items():
        assert "\n".join(p["files"][path] for p in parts if p["files"].get(path)) == diff
    for page in (0, len(parts) + 1, "1", True):
        with pytest.raises(InputError, match="page"):
            journal(engine(host), name, page)
