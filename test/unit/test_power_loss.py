"""The power goes at any moment of a change: the boot restore leads to the old files or the new.

The writes, syncs and renames of a change are recorded, and the disk of `rig.simdisk` keeps
no more of them than was synced. What has been committed stays committed.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rig import plat, simafter
from rig.simdisk import DISK, Disk
from rig.simengine import ledger, only_present
from rig.simfiles import SimFiles
from rig.simhost import STATE, SimHost
from rig.simscenes import CASES, leftovers, scene_of
from saltext.ipalias.effects import Effect, RemoveFolder, Rename, SyncFile, SyncFolder
from saltext.ipalias.errors import IpaliasError
from saltext.ipalias.files import OUR_FOLDERS
from saltext.ipalias.host import Result

FULL = bool(os.environ.get("FULL"))
SOME = 40 if FULL else 2
SEED = 20
SOME_CASES = [case for case in CASES if FULL or case.endswith(("adopt", "clean", "block"))]


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=CASES)
def scene(request: pytest.FixtureRequest) -> tuple[SimHost, Any]:
    dialect, _, name = request.param.partition("-")
    return scene_of(dialect, name)


def kept(host: SimHost) -> dict[str, Any]:
    """Return what lies on the disk and has to be the old or the new.

    Not /run, and no empty folder of the kind that only we make: its removal is not synced,
    for no daemon reads anything from it.
    """
    state = host.state()["files"]
    tree = {
        path: node
        for path, node in state.items()
        if not f"{path}/".startswith("/run/")
        and not (path.endswith(OUR_FOLDERS) and not host.files.listed(path))
    }
    return {"files": tree, "stored": copy.deepcopy(host.stored), "ledger": ledger(host)}


@dataclass
class End:
    """What a boot leads to: what is wrong with it, or the state and what was left lying."""

    said: str
    state: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


@dataclass
class Stream:
    """What is written to a disk, and to what the power may lead at each point of it.

    :param files: the disk before.
    :param allowed: from how many effects done on, which states may be found after a boot.
    :param stored: what a store beside the files holds after that many effects (`SimHost`): a
        command that has ended has written it for good.
    :param ends: to what a boot leads, by what it starts from. The same disk is left in many
        ways, and with one sync left out nearly all are those of the whole stream.
    """

    host: SimHost
    files: SimFiles
    effects: list[Effect]
    allowed: Callable[[Sequence[Effect], int], list[dict[str, Any]]]
    stored: list[dict[str, Any]]
    ends: dict[object, End] = field(default_factory=dict)

    def without(self, *left_out: int) -> Stream:
        """Return the same with some effects left out."""
        kept = [at for at in range(len(self.effects)) if at not in left_out]
        stored = [self.stored[at] for at in (*kept, len(self.effects))]
        return replace(self, effects=[self.effects[at] for at in kept], stored=stored)

    def torn(self, some: int = SOME) -> Iterator[str]:
        """Return the ways to lose power that lead to none of the states allowed."""
        chance = random.Random(SEED)
        disk = Disk.of(self.files)
        for at in range(len(self.effects) + 1):
            allowed = self.allowed(self.effects, at)
            for lost, files in disk.losses(some, chance):
                said = self._booted(files, self.stored[at], allowed)
                if said:
                    yield f"{said}, {at} of {len(self.effects)} done, {lost}"
            if at < len(self.effects):
                disk.do(self.effects[at])

    def _booted(
        self, files: SimFiles, stored: dict[str, Any], allowed: list[dict[str, Any]]
    ) -> str:
        """Boot with what is left, and return what is wrong."""
        start = (frozenset(files.nodes.items()), repr(stored))
        end = self.ends.get(start)
        if end is None:
            end = self.ends[start] = self._end(files, stored)
        if end.said:
            return end.said
        if end.state not in allowed:
            return "torn"
        return f"left: {end.left}" if end.left else ""

    def _end(self, files: SimFiles, stored: dict[str, Any]) -> End:
        """Boot with what is left."""
        fresh = simafter.power_up(self.host, files)
        fresh.stored = copy.deepcopy(stored)
        said = simafter.boot_restore(fresh)
        if any("not put back" in one for one in said):
            return End(f"not put back: {said}")
        try:
            return End("", kept(fresh), leftovers(fresh))
        except IpaliasError as error:
            return End(f"unreadable: {error}")

    def idle_syncs(self) -> list[str]:
        """Return the syncs that could be left out, each on its own and for no good reason.

        A good reason: the same folder is synced once or twice more before anything relies on
        it, so that only leaving out all of them tears; or the folder itself is removed next.
        """
        found = []
        for at, effect in enumerate(self.effects):
            if not isinstance(effect, SyncFile | SyncFolder):
                continue
            rest = self.effects[at + 1 :]
            again = [at + 1 + i for i, e in enumerate(rest) if e == effect]
            if next(self.without(at).torn(0), None) is not None:
                continue
            if RemoveFolder(effect.path) in rest[:1]:
                continue
            fewer = [again[:count] for count in (1, 2) if len(again) >= count]
            if all(next(self.without(at, *left).torn(0), None) is None for left in fewer):
                found.append(f"{at}: {effect}")
        return found


def quiet(host: SimHost) -> SimHost:
    """Return a host whose owner's programs write nothing: what they sync is not ours."""
    fresh = host.twin()
    if host.owner in plat.NAMES:
        for name in getattr(plat.load(host.owner), "WRITERS", ()):
            fresh.programs[name] = lambda argv, stdin: Result(0, "", "")
    return fresh


def change(host: SimHost, request: Any) -> Stream:
    """Return a change: the old or the new, and the new alone once it is committed."""
    host = quiet(host)
    old, files, done = kept(host), host.files.copy(), host.successor()
    stream, stored = recorded(done, request)
    new = kept(done)

    def allowed(stream: Sequence[Effect], at: int) -> list[dict[str, Any]]:
        return [new] if at > committed(stream) else [old, new]

    return Stream(host, files, stream, allowed, stored)


def recorded(host: SimHost, call: Callable[[SimHost], object]) -> tuple[list[Effect], list[Any]]:
    """Return what a call writes to the disk, and what the store holds after so many effects."""
    stored: list[dict[str, Any]] = []

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, DISK):
            stored.append(copy.deepcopy(host.stored))

    host.log, host.watch = [], watch
    call(host)
    host.watch = None
    stored.append(copy.deepcopy(host.stored))
    return [effect for effect in host.log if isinstance(effect, DISK)], stored


def committed(stream: Sequence[Effect]) -> int:
    """Return the index of the effect after which a change is committed, and said so."""
    at = next(
        index
        for index, effect in enumerate(stream)
        if isinstance(effect, Rename) and "/committed-" in effect.target
    )
    return at + 1 if stream[at + 1 : at + 2] == [SyncFolder(STATE)] else at


def way_back(host: SimHost, request: Any) -> Stream:
    """Return the boot restore of a change cut short just before its commit."""
    host = quiet(host)
    whole = change(host, request)
    old, disk = kept(host), Disk.of(whole.files)
    for effect in whole.effects[: committed(whole.effects) - 1]:
        disk.do(effect)
    cut = host.successor()
    cut.files.nodes = {path: inode.node for path, inode in disk.seen().items()}
    cut.stored = copy.deepcopy(whole.stored[-1])
    cut = simafter.power_up(cut)
    files = cut.files.copy()
    stream, stored = recorded(cut, simafter.boot_restore)
    return Stream(host, files, stream, lambda _, at: [old], stored)


def test_the_power_may_go_at_any_moment(scene: Any) -> None:
    assert list(change(*scene).torn()) == []


def test_the_power_may_go_again_while_the_boot_puts_back(scene: Any) -> None:
    assert list(way_back(*scene).torn()) == []


@pytest.mark.parametrize("case", SOME_CASES)
def test_each_sync_matters(case: str) -> None:
    """Leave one out, and there is a way to lose power that tears the host."""
    dialect, _, name = case.partition("-")
    assert change(*scene_of(dialect, name)).idle_syncs() == []


@pytest.mark.parametrize("case", SOME_CASES)
def test_each_sync_of_the_way_back_matters(case: str) -> None:
    """Except the last: a record that comes back is put back once more, to the same end."""
    dialect, _, name = case.partition("-")
    stream = way_back(*scene_of(dialect, name))
    last = len(stream.effects) - 1
    assert stream.effects[last] == SyncFolder(STATE)
    assert stream.idle_syncs() == [f"{last}: {stream.effects[last]}"]
