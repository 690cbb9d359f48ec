"""The power goes while a backup is made or put back: the disk keeps no more than was synced."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from test_dhcp_backup import (
    BOTH,
    FOLDER,
    MOMENT,
    NAME,
    addresses,
    engine,
    grown,
    leases_of,
    names,
    whole,
)

from rig import simafter
from rig.simdhcp import running
from rig.simdisk import DISK, Disk
from rig.simhost import SimHost
from saltext.ipalias.dhcp import backup
from saltext.ipalias.dhcp.restore import restore
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.effects import SyncFile, SyncFolder

LATER = "20260102T030505Z"
SEED = 7


def quiet(implementation: str) -> SimHost:
    """Return a member that has grown, whose server writes nothing at its end.

    What it writes is none of our effects, and the disk here knows of nothing else.
    """
    host = grown(implementation)
    host.programs["systemctl"] = host.programs["systemctl"].real  # type: ignore[attr-defined]
    return host


def cuts(
    host: SimHost, request: Callable[[SimHost], object], *, synced: bool = True
) -> Iterator[tuple[str, SimHost]]:
    """Return the host as a power cut at each moment of a request may leave its disk.

    :param synced: False leaves every sync out, as a library would that knew of none.
    """
    done = host.successor()
    request(done)
    disk, chance = Disk.of(host.files), random.Random(SEED)
    for at, effect in enumerate(done.log):
        if not isinstance(effect, DISK) or (
            not synced and isinstance(effect, (SyncFile, SyncFolder))
        ):
            continue
        disk.do(effect)
        for said, files in disk.losses(2, chance):
            yield f"after {at}: {effect}: {said}"[:400], simafter.power_up(host, files)


def keep(implementation: str) -> Callable[[SimHost], object]:
    return lambda host: backup.backup(engine(host, implementation), clock=lambda: MOMENT + 60)


def put_back(implementation: str) -> Callable[[SimHost], object]:
    def request(host: SimHost) -> object:
        return restore(engine(host, implementation), NAME, stop=True, clock=lambda: MOMENT + 60)

    return request


@pytest.mark.parametrize("implementation", BOTH)
def test_a_backup_that_counts_is_whole(implementation: str) -> None:
    host, seen = quiet(implementation), set()
    for said, dark in cuts(host, keep(implementation)):
        assert whole(dark) in ([NAME], [NAME, LATER]), said
        assert addresses(dark, implementation) == [100, 101, 102], said
        seen.add(len(names(dark)))
    assert seen == {1, 2}


def test_a_backup_without_syncs_would_count_in_part() -> None:
    """So the check above can fail."""
    torn = 0
    for _, dark in cuts(quiet("isc"), keep("isc"), synced=False):
        try:
            torn += whole(dark) not in ([NAME], [NAME, LATER])
        except backup.RefusedError:
            torn += 1
    assert torn > 3


def test_a_rotation_takes_whole_backups_away() -> None:
    host = quiet("isc")
    for said, dark in cuts(
        host, lambda h: backup.backup(engine(h, "isc"), 1, clock=lambda: MOMENT + 60)
    ):
        assert whole(dark), said
        backup.backup(engine(dark, "isc"), 1, clock=lambda: MOMENT + 90)
        assert len(dark.glob(f"{FOLDER}/*")) == len(whole(dark)) == 1, said


@pytest.mark.parametrize("implementation", BOTH)
def test_a_restore_leads_to_the_old_leases_or_the_new(implementation: str) -> None:
    host = quiet(implementation)
    main, path = SERVERS[implementation].main, leases_of(implementation)
    done = host.successor()
    put_back(implementation)(done)
    files = [one for one in host.files.nodes if one.startswith("/etc/")]
    seen = set()
    for said, dark in cuts(host, put_back(implementation)):
        simafter.boot_restore(dark)
        simafter.bring_up(dark)
        config = {one: dark.files.nodes.get(one) for one in files}
        old = config == {one: host.files.nodes.get(one) for one in files}
        assert old or config == {one: done.files.nodes.get(one) for one in files}, said
        assert addresses(dark, implementation) == ([100, 101, 102] if old else [100]), said
        node = dark.files.nodes[path]
        assert (node.mode, node.uid, node.gid) == (0o640, 105, 106), said
        assert running(dark, SERVERS[implementation].unit) is not None, (said, main)
        assert whole(dark)[0] == NAME, said
        seen.add(old)
    assert seen == {True, False}
