"""The formula from the fileserver of a real master to real aliases on real minions."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from conftest import WANTED
from salt_fleet import MINIONS

from rig.process import wait_until

ALIAS, ANOTHER = "198.51.100.12", "198.51.100.13"
ALIVE = {"198.51.100.10", "2001:db8:1::10", *(f"198.51.100.{n}" for n in (64, 65, 66))}
#: Salt trims an event above this, in bytes.
EVENT_LIMIT = 1 << 20
MANY = 10_000
LIBRARY = "_utils/saltext/ipalias"
LOCK = "/var/lib/ipalias/lock"
#: A check of the pillar's that stops the job which asks for it; the first time only.
STOPS = ["/bin/sh", "-c", "if mkdir /run/stopped; then kill -STOP $PPID; fi"]


def live(fleet, name):
    """Return a minion's live addresses but the primary ones."""
    host = fleet.hosts[name]
    primaries = {host.primary, f"2001:db8::{host.number:x}"}
    return {found.address for found in host.addresses()} - primaries


@pytest.fixture
def steady(fleet, settled):
    """Give the settled fleet; after the test every minion must be the same process still."""
    before = {name: fleet.connection(name) for name in MINIONS}
    yield fleet
    assert {name: fleet.connection(name) for name in MINIONS} == before


def test_a_cold_minions_first_highstate_works(fleet, cold):
    seen = cold["web1"]
    assert not seen.synced_before
    assert all(ret["result"] is True for ret in seen.states.values()), seen.states
    assert set(seen.changes["ipalias-alias-default"]) == {"files", "addresses"}
    assert live(fleet, "web1") == ALIVE


def test_a_cold_minions_first_rehearsal_has_no_effect_and_shows_what_follows(cold, settled):
    seen = cold["web2"]
    assert not seen.synced_before
    assert seen.states["ipalias-alias-default"]["result"] is None
    assert not [ret for ret in seen.states.values() if ret["result"] is False], seen.states
    assert seen.unchanged
    assert seen.events == []
    assert seen.changes == settled
    assert len(settled["ipalias-alias-default"]["addresses"]["added"]) == len(ALIVE)


def test_nothing_of_the_fleet_listens_on_the_machine_itself(fleet):
    owned = {os.readlink(entry.path) for entry in os.scandir("/proc/self/fd")}
    tables = [Path(f"/proc/net/{kind}").read_text().splitlines() for kind in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    # proc(5): 0A is a socket that listens; the tenth field is its inode.
    assert not [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in owned]
    listening = fleet.hosts["master"].run(["ss", "-Hltn"]).out
    assert f"{fleet.events.host}:{fleet.events.port}" in listening


def test_a_second_highstate_changes_nothing(steady):
    for name in MINIONS:
        ran = steady.states(name, "state.highstate")
        assert all(ret["result"] is True and not ret["changes"] for ret in ran.values()), ran
        assert live(steady, name) == ALIVE


def test_add_over_the_wire_survives_a_highstate_and_goes_by_remove(steady):
    added = steady.salt("*", "ipalias.add", ALIAS)
    assert {name: answer["result"] for name, answer in added.items()} == dict.fromkeys(
        MINIONS, True
    )
    assert steady.salt("*", "test.ping") == dict.fromkeys(MINIONS, True)
    for name in MINIONS:
        assert live(steady, name) == ALIVE | {ALIAS}
    ran = steady.states("web1", "state.highstate")
    assert not [ret for ret in ran.values() if ret["changes"] or ret["result"] is not True]
    assert live(steady, "web1") == ALIVE | {ALIAS}
    rows = steady.salt("*", "ipalias.diff")
    assert set(rows) == set(MINIONS)
    for told in rows.values():
        assert [(row["address"], row["state"]) for row in told] == [(f"{ALIAS}/32", "extra")]
    removed = steady.salt("*", "ipalias.remove", ALIAS)
    for name, answer in removed.items():
        assert answer["changes"]["addresses"]["removed"] == [f"{ALIAS}/32"]
        assert live(steady, name) == ALIVE


def test_bad_input_comes_back_as_one_sentence(steady):
    for answer in steady.salt("*", "ipalias.add", "198.51.100.300").values():
        assert "198.51.100.300" in answer and "not an IP address" in answer
        assert "Traceback" not in answer and len(answer.splitlines()) == 1, answer


def test_a_library_changed_on_the_master_is_used_by_the_running_minion(steady):
    files = {
        f"{LIBRARY}/__init__.py": ('"0.1.0"', '"0.1.0.post1"'),
        "_modules/_ipalias.py": ('LIBRARY = "0.1.0"', 'LIBRARY = "0.1.0.post1"'),
        f"{LIBRARY}/report.py": ("", "\n\ndef describe_backends():\n    return 'the new one'\n"),
    }
    before = steady.salt("*", "ipalias.backends")
    assert all("networkd" in told for told in before.values())
    for path, (old, new) in files.items():
        steady.edit(path, old, new)
    synced = steady.salt("*", "saltutil.sync_all")
    assert all("utils.saltext.ipalias.report" in told["utils"] for told in synced.values())
    after = steady.salt("*", "ipalias.backends")
    assert after == dict.fromkeys(MINIONS, "the new one")


def test_a_minion_whose_cache_is_gone_says_so_and_a_sync_mends_it(steady):
    assert steady.salt("web1", "saltutil.clear_cache") == {"web1": True}
    [answer] = steady.salt("web1", "ipalias.list").values()
    assert isinstance(answer, str) and "Traceback" not in answer, answer
    steady.salt("web1", "saltutil.sync_all")
    [answer] = steady.salt("web1", "ipalias.list").values()
    assert isinstance(answer, dict) and len(answer["eth0"]) == len(ALIVE)


@pytest.fixture
def impatient(steady):
    """Make web1 give up at once where another change is under way; give the fleet."""
    steady.edit(f"{LIBRARY}/system.py", "timeout: float = 60.0", "timeout: float = 0.0")
    steady.pillar("web1", {**WANTED, "guard": {"timeout": 600, "checks": [STOPS]}})
    steady.salt("web1", "saltutil.sync_all")
    steady.salt("web1", "saltutil.refresh_pillar", "wait=True")
    yield steady
    steady.pillar("web1", WANTED)
    steady.salt("web1", "saltutil.refresh_pillar", "wait=True")


def stopped_holder(host):
    """Return the process that holds a host's lock once it stands still, None before."""
    note = json.loads(host.read(LOCK) or "{}")
    stat = host.read(f"/proc/{note['pid']}/stat") if "pid" in note else None
    # proc(5): the state comes after the name, which is in brackets.
    return note["pid"] if stat and stat.rpartition(")")[2].split()[0] == "T" else None


def test_who_gives_up_names_the_job_under_way_which_then_ends_well(impatient):
    host = impatient.hosts["web1"]
    since = time.time()
    job = impatient.begin("web1", "ipalias.add", ALIAS)
    holder = wait_until(lambda: stopped_holder(host), "the first job to stand still")
    [answer] = impatient.salt("web1", "ipalias.add", ANOTHER).values()
    host.run(["kill", "-CONT", str(holder)])
    ended = impatient.await_return(job, "web1", since)
    assert f"under way: ipalias.add, job {job} (pid {holder}, " in answer
    assert "Traceback" not in answer and len(answer.splitlines()) == 1, answer
    assert ended["result"] is True, ended
    assert live(impatient, "web1") == ALIVE | {ALIAS}
    impatient.salt("web1", "ipalias.remove", ALIAS)
    assert live(impatient, "web1") == ALIVE


@pytest.fixture
def wide(steady):
    """Give web2 as many interfaces as its part of `MANY` is spread over.

    The kernel takes its time for thousands of IPv6 addresses on one (10,000 on one take it ten
    times as long as on four), and there are not that many IPv4 addresses for documents.
    """
    host = steady.hosts["web2"]
    names = [f"eth{n}" for n in range(1, 5)]
    host.ip_batch(
        *(f"link add {name} type veth peer name p{name}" for name in names),
        *(f"link set {name} up" for name in names),
    )
    stanzas = "".join(f"\nauto {name}\niface {name} inet manual\n" for name in names)
    host.write("/etc/network/interfaces", host.read("/etc/network/interfaces") + stanzas)
    return names


def test_ten_thousand_aliases_return_a_few_kilobytes_and_the_rest_is_in_the_journal(steady, wide):
    share = MANY // len(wide)
    asked = dict(WANTED["interfaces"])
    for number, name in enumerate(wide, 1):
        addresses = [f"2001:db8:{number}00::1-2001:db8:{number}00::{share:x}"]
        asked[name] = {"addresses": addresses}
    steady.pillar("web2", {**WANTED, "interfaces": asked})
    ran = steady.states("web2", "state.highstate")
    assert not [ret["comment"] for ret in ran.values() if ret["result"] is not True]
    size = steady.return_sizes("web2")[-1]
    assert size < EVENT_LIMIT // 8, size
    assert {ret["changes"]["addresses"]["added"][-1] for ret in ran.values() if ret["changes"]} == {
        f"... {share - 200} more"
    }
    [kept] = steady.salt("web2", "ipalias.journal").values()
    for name in wide:
        ret = ran[f"ipalias-alias-{name}"]
        # Capped, and told by how much.
        assert len(ret["changes"]["addresses"]["added"]) == 201
        for diff in ret["changes"]["files"].values():
            assert len(diff.splitlines()) <= 201
        # The whole of it, by the id that the return names.
        [number] = [each for each in kept if each in ret["comment"]]
        [whole] = steady.salt("web2", "ipalias.journal", number).values()
        assert "VALUE_TRIMMED" not in json.dumps(whole)
        added = whole["addresses"]["added"]
        assert len(added) == len(set(added)) == share
        assert len(steady.hosts["web2"].addresses(name)) == share
