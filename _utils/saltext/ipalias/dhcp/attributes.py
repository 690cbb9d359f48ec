"""Mode and owner of the files that are ours, where somebody's chmod or chown has changed them.

Their text says nothing of it: a key that all may read, or a configuration that the server cannot
read at its next start, looks as wanted. Files of others keep what they have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..effects import FileState
from ..host import Host
from ..model import File
from .conffiles import group_id, user_id
from .services import Server


def differing(
    files: Iterable[File],
    images: Mapping[str, FileState | None],
    like: Mapping[str, FileState],
    made: Collection[str],
) -> dict[str, FileState]:
    """Return what files shall be that have the text they shall have, and another mode or owner.

    :param images: what they are now.
    :param like: mode and owner of those that are written like another file.
    :param made: paths of files that are edited for their text, and were made by us.
    """
    found: dict[str, FileState] = {}
    for file in files:
        image = images[file.path]
        if image is None or image.text != file.text:
            continue
        wanted = like.get(file.path)
        if wanted is None and (file.owned or file.path in made):
            wanted = FileState(image.real_path, image.text, file.mode)
        if wanted is not None and _of(image) != _of(wanted):
            found[file.path] = wanted
    return found


def _of(state: FileState) -> tuple[int, int, int]:
    return state.mode, state.uid, state.gid


def texts(images: Mapping[str, FileState | None]) -> dict[str, str | None]:
    """Return the texts alone."""
    return {path: None if image is None else image.text for path, image in images.items()}


def describe(
    images: Mapping[str, FileState | None], own: Mapping[str, FileState]
) -> dict[str, str]:
    """Return what changes of each file, for who reads the answer.

    :param own: see `differing`.
    """
    return {path: _change(now, own[path]) for path, now in images.items() if now and path in own}


def _change(now: FileState, wanted: FileState) -> str:
    parts = []
    if now.mode != wanted.mode:
        parts.append(f"mode {now.mode:04o} -> {wanted.mode:04o}")
    if (now.uid, now.gid) != (wanted.uid, wanted.gid):
        parts.append(f"owner {now.uid}:{now.gid} -> {wanted.uid}:{wanted.gid}")
    return ", ".join(parts)


def unreadable(
    paths: Iterable[str],
    own: Mapping[str, FileState],
    images: Mapping[str, FileState | None],
    server: Server,
    host: Host,
) -> set[str]:
    """Return the files that a server could not read as they are: who knows what it runs by.

    :param paths: of those that it reads.
    :param own: see `differing`.
    """
    user = user_id(host, server.user) if server.user else 0
    group = group_id(host, server.user) if server.user else 0
    found = ((path, images[path]) for path in paths if path in own)
    return {path for path, now in found if now and not _may_read(now, user, group)}


def _may_read(state: FileState, user: int, group: int) -> bool:
    """Tell whether a user can read a file by its mode and owner.

    The superuser's dhcpd as well: the profile that AppArmor has for it lacks CAP_DAC_OVERRIDE
    and CAP_DAC_READ_SEARCH, so that the bits count for it (capabilities(7)).
    """
    if state.uid == user:
        return bool(state.mode & 0o400)
    return bool(state.mode & (0o040 if state.gid == group else 0o004))
