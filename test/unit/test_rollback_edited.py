"""Whatever a change was about, it is not rolled back over what others made of its files since."""

from __future__ import annotations

import pytest

from rig import simafter
from rig.simdhcp import DATABASE, block, running, setup
from rig.simdhcp import linux as dhcp_host
from rig.simengine import block as interfaces
from rig.simengine import engine
from rig.simhost import STATE, Crash, Fault, SimHost
from rig.simscenes import CASES, scene_of
from saltext.ipalias import upkeep
from saltext.ipalias.backends.cpanel_files import POOL
from saltext.ipalias.dhcp.kea import LEASES
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.difference import MAX_DIFF_LINES
from saltext.ipalias.errors import RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.journal import Record, parse_record
from saltext.ipalias.restore import restore


def committed(host: SimHost) -> Record:
    """Return the last change that stands."""
    path = host.glob(f"{STATE}/committed-*.json")[-1]
    return parse_record(host.files.read(path) or "", path)


def written(host: SimHost) -> list[str]:
    """Return the files that the last change wrote or took away and that a person may edit.

    Ledgers and originals are nobody's to edit, and leases the server writes itself.
    """
    state = (f"{STATE}/ledger.json", f"{STATE}/sysctl.json", f"{STATE}/backup/", LEASES)
    return [
        path
        for path, image in committed(host).files.items()
        if not path.startswith(state)
        and host.files.read(path) != (None if image is None else image.text)
    ]


#: Of a store there is no file.
WITH_FILES = [case for case in CASES if not {"ipadm", "windows"} & {*case.split("-")}]


@pytest.mark.parametrize("case", WITH_FILES)
def test_each_file_that_a_change_wrote_or_took_away_is_theirs_from_then_on(case: str) -> None:
    host, request = scene_of(*case.split("-", 1))
    request(host)
    paths = written(host)
    assert paths
    assert upkeep.rollback(engine(host), test=True)["result"] is None
    for path in paths:
        twin = host.twin()
        text = twin.files.read(path)
        twin.files.put(path, f"{text or ''}# theirs\n")
        before = twin.state()
        with pytest.raises(RefusedError, match="somebody else changed this file after us") as told:
            upkeep.rollback(engine(twin))
        assert told.value.where == path
        assert twin.state() == before


def test_what_the_owners_own_tool_made_of_a_list_in_a_change_is_no_edit_of_others() -> None:
    """cPanel makes its pool anew at the end of a change, in an order of its own."""
    host, request = scene_of("cpanel", "first")
    request(host)
    before = committed(host).files[POOL]
    assert before is not None and POOL in written(host)
    restore(engine(host), POOL)
    assert host.files.read(POOL) == before.text


@pytest.mark.parametrize("implementation", ["isc", "kea"])
def test_what_a_rollback_would_do_is_shown_without_the_keys_and_passwords_of_servers(
    implementation: str,
) -> None:
    host = dhcp_host()
    hidden, more = "YSBzZWNy", {}
    if implementation == "kea":
        hidden, more = "hush", {"kea": {"lease_database": {**DATABASE, "password": "hush"}}}
        told = "- MySQL backend 22.2\n"
        host.programs["kea-dhcp4"] = lambda argv, stdin: Result(0, told, "")
        host.programs["mariadb"] = lambda argv, stdin: Result(0, "22\t2\n", "")
    setup(host, block(implementation=implementation, **more)).managed()
    answer = upkeep.rollback(engine(host), test=True)
    assert any(hidden in (host.files.read(path) or "") for path in answer["changes"]["files"])
    assert hidden not in str(answer) and "***" in str(answer)


def test_what_a_server_has_leased_since_stays_when_its_change_is_rolled_back() -> None:
    host, request = scene_of("dhcp", "switch")
    request(host)
    row = "192.0.2.151,02:00:00:00:00:bb,,3600,1800000000,1,0,0,,0,\n"
    host.files.put(LEASES, (host.files.read(LEASES) or "") + row)
    leases = host.files.read(LEASES)
    for test in (True, False):
        assert LEASES not in upkeep.rollback(engine(host), test=test)["changes"]["files"]
    assert host.files.read(LEASES) == leases
    assert running(host, SERVERS["isc"].unit) and not running(host, SERVERS["kea"].unit)


@pytest.mark.parametrize("done", [False, True])
def test_it_stays_also_where_the_rolling_back_is_cut_short(done: bool) -> None:
    """What comes next finishes it, from the record on the disk."""
    at = count = 0
    while at == 0 or at < count:
        host, request = scene_of("dhcp", "switch")
        request(host)
        row = "192.0.2.151,02:00:00:00:00:bb,,3600,1800000000,1,0,0,,0,\n"
        host.files.put(LEASES, (host.files.read(LEASES) or "") + row)
        leases, began = host.files.read(LEASES), len(host.log)
        if at:
            host.faults = [Fault(began + at - 1, done=done, crash=True)]
            with pytest.raises(Crash):
                upkeep.rollback(engine(host))
            host.faults = []
            simafter.settle(host)
        else:
            upkeep.rollback(engine(host))
            count = len(host.log) - began
        assert host.files.read(LEASES) == leases, at
        at += 1
    assert count > 10


def test_an_undoing_shows_no_more_of_a_large_file_than_salt_carries() -> None:
    host, request = scene_of("ifupdown", "first")
    many = [f"10.9.{number // 250}.{number % 250 + 1}/32" for number in range(400)]
    engine(host, interfaces(*many)).managed()
    files = upkeep.rollback(engine(host), test=True)["changes"]["files"]
    assert max(len(diff.splitlines()) for diff in files.values()) == MAX_DIFF_LINES + 1
    path = "/etc/network/interfaces"
    more = "".join(f"# {number}\n" for number in range(400))
    request(host)
    host.files.put(path, f"{host.files.read(path)}{more}")
    shown = restore(engine(host), path, force=True, test=True)["changes"]["files"][path]
    assert len(shown.splitlines()) == MAX_DIFF_LINES + 1
