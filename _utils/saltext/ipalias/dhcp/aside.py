"""Lease files that are set aside while those of a backup take their place, and the way back.

A before-image of a lease file is old as soon as it has been read, for its server goes on giving
out leases. So once the server has ended its files are moved, not copied: the way back gives
each the last lease that was given. A mark says that all have been moved: without it what stands
in their place are those that have not been.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from ..effects import Effects, Rename, SyncFolder, Unlink
from ..files import temporary_name, write_state
from ..host import Host
from ..paths import Paths
from .services import SERVERS, State, stopped

#: Ending of a file that is set aside; with a dot before its name.
KEPT = ".ipalias-kept"


class Aside(NamedTuple):
    """Hold what is set aside.

    :param paths: of lease files, links resolved; those that are not there need not be.
    :param mark: path of the mark, in our own state folder.
    """

    paths: tuple[str, ...]
    mark: str

    @property
    def folders(self) -> list[str]:
        """Return the folders that the files lie in."""
        return list(dict.fromkeys(posixpath.dirname(path) for path in self.paths))


def kept_name(path: str) -> str:
    """Return where a file is set aside: beside its place, for a rename."""
    folder, name = posixpath.split(path)
    return f"{folder}/.{name}{KEPT}"


def set_aside(aside: Aside, paths: Paths, host: Host) -> Effects[None]:
    """Move lease files out of their place; their server has ended."""
    for path in aside.paths:
        if host.exists(path):
            yield Rename(path, kept_name(path))
    for folder in aside.folders:
        yield SyncFolder(folder)
    yield from write_state(paths, aside.mark, "set aside\n")


def back(
    aside: Aside, states: tuple[State, ...], host: Host, *, live: bool = True
) -> Effects[None]:
    """Move lease files back into their place; what has been put there goes.

    :param states: what servers did before the change: they end first, and are started by
        whoever puts the rest of the change back.
    :param live: False at boot, where none runs yet.
    """
    ours = [name(path) for path in aside.paths for name in (kept_name, temporary_name)]
    if not any(host.exists(path) for path in (aside.mark, *ours)):
        return
    for state in states if live else ():
        yield from stopped(SERVERS[state.implementation], host)
    if host.exists(aside.mark):
        for path in aside.paths:
            yield Unlink(path)
        for folder in aside.folders:
            yield SyncFolder(folder)
        # From here on nothing may be taken for what has been put there.
        yield Unlink(aside.mark)
        yield SyncFolder(posixpath.dirname(aside.mark))
    for path in aside.paths:
        if host.exists(temporary_name(path)):
            yield Unlink(temporary_name(path))
        if host.exists(kept_name(path)):
            yield Rename(kept_name(path), path)
    for folder in aside.folders:
        yield SyncFolder(folder)


def forget(aside: Aside, host: Host) -> Effects[None]:
    """Remove what was set aside, the mark last; nothing of ours is unfinished."""
    left = [kept_name(path) for path in aside.paths if host.exists(kept_name(path))]
    for path in left:
        yield Unlink(path)
    if left:
        for folder in aside.folders:
            yield SyncFolder(folder)
    if host.exists(aside.mark):
        yield Unlink(aside.mark)
        yield SyncFolder(posixpath.dirname(aside.mark))
