"""Write and remove files so that a reader, and the disk, see the old text or the new."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from . import backup
from .effects import (
    Effects,
    FileState,
    MakeFolder,
    ReadFile,
    RemoveFolder,
    Rename,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteTemporary,
)
from .errors import EffectError
from .model import File
from .paths import Paths

#: Folders that exist for our files alone: removed with the last of them.
OUR_FOLDERS = (
    ".network.d",
    "/etc/network/ipalias",
    "/etc/ipalias",
    "/sysinit.target.d",
    "/multi-user.target.d",
    "/networkd.conf.d",
    "/kea-dhcp4-server.service.d",
    "/ipalias/wan",
    "/ipalias/dhcp",
)
#: A leading dot and this ending: no daemon that reads folders takes it for its own.
TEMPORARY = ".ipalias-new"


def temporary_name(path: str) -> str:
    """Return the name under which a file's new text is written, beside the old one."""
    folder, name = posixpath.split(path)
    return f"{folder}/.{name}{TEMPORARY}"


def write_file(path: str, text: str, mode: int, before: FileState | None) -> Effects[None]:
    """Replace a file in one step: temporary file, sync, rename, sync of the folder."""
    folder = yield from place_file(path, text, mode, before)
    yield SyncFolder(folder)


def place_file(path: str, text: str, mode: int, before: FileState | None) -> Effects[str]:
    """Replace a file, and return the folder that is still to be synced.

    A thousand alias files lie in one folder, which one sync makes last.
    """
    target = before.real_path if before is not None else path
    folder, temporary = posixpath.dirname(target), temporary_name(target)
    yield from make_folder(folder)
    try:
        yield WriteTemporary(temporary, text, mode, before)
        yield SyncFile(temporary)
        yield Rename(temporary, target)
    except EffectError:
        with suppress(EffectError):
            yield Unlink(temporary)
        raise
    return folder


def make_folder(path: str, mode: int = 0o755) -> Effects[None]:
    """Make a folder, and sync the one above each that is new: else it may not outlast power."""
    made: list[str] | None = yield MakeFolder(path, mode)
    for folder in made or ():
        yield SyncFolder(posixpath.dirname(folder))


def settle_folders(folders: Mapping[str, bool]) -> Effects[None]:
    """Make what was done in folders last: one sync each.

    :param folders: each with whether it goes where only we make such and it is empty.
    """
    for folder, tidy in folders.items():
        yield SyncFolder(folder)
        if tidy:
            yield from tidy_folder(f"{folder}/")


def tidy_folder(path: str) -> Effects[None]:
    """Remove a file's folder where only we make such and it is empty."""
    folder = posixpath.dirname(path)
    if folder.endswith(OUR_FOLDERS):
        yield RemoveFolder(folder)


def write_state(paths: Paths, path: str, text: str) -> Effects[None]:
    """Write one of our own state files: 0600 in folders of 0700."""
    yield from make_folder(paths.state, 0o700)
    folder = posixpath.dirname(path)
    if folder != paths.state:
        yield from make_folder(folder, 0o700)
    yield from write_file(path, text, 0o600, None)


def read_planned(path: str, text: str | None) -> Effects[FileState | None]:
    """Read a file that a change will write, for the way back.

    :param text: what it was when the change was planned; None: it was not there.
    :raises EffectError: it is no longer that.
    """
    state: FileState | None = yield ReadFile(path)
    if (state.text if state is not None else None) != text:
        raise EffectError(
            "changed while the change was being planned",
            where=path,
            way_out="run again; nothing was changed",
        )
    return state


def digests(files: Iterable[File]) -> dict[str, str | None]:
    """Return what a change writes into files, for `Record.written`; the last of a path counts."""
    return {f.path: None if f.text is None else backup.digest(f.text) for f in files}


def read_images(
    files: Iterable[File], texts: Mapping[str, str | None]
) -> Effects[dict[str, FileState | None]]:
    """Read each file that a change will write; see `read_planned`.

    :param texts: what they were when it was planned.
    """
    images: dict[str, FileState | None] = {}
    for file in files:
        images[file.path] = yield from read_planned(file.path, texts[file.path])
    return images


def put_files(files: Iterable[File], images: Mapping[str, FileState | None]) -> Effects[None]:
    """Write or remove each file; a foreign one keeps mode, owner and attributes."""
    folders: dict[str, bool] = {}
    for file in files:
        image = images.get(file.path)
        if file.text is None:
            yield Unlink(file.path)
            folder = posixpath.dirname(file.path)
            folders[folder] = folders.get(folder, False) or file.owned
        else:
            before = None if file.owned else image
            folder = yield from place_file(file.path, file.text, file.mode, before)
            folders.setdefault(folder, False)
    yield from settle_folders(folders)


def originals(
    files: Iterable[File], images: Mapping[str, FileState | None], paths: Paths
) -> list[str]:
    """Return the paths at which the originals of files that a change edits lie."""
    return [f"{paths.backup}/{backup.saved_name(file.path)}" for file, _ in _edited(files, images)]


def _edited(
    files: Iterable[File], images: Mapping[str, FileState | None]
) -> list[tuple[File, FileState]]:
    """Return the foreign files that a change edits, as they were."""
    return [
        (file, image)
        for file in files
        if not file.owned and (image := images[file.path]) is not None and file.text is not None
    ]


def read_originals(
    files: Iterable[File], images: Mapping[str, FileState | None], paths: Paths
) -> Effects[dict[str, FileState | None]]:
    """Read, for the way back, what `keep_originals` will write: originals and their index."""
    kept = originals(files, images, paths)
    found: dict[str, FileState | None] = {}
    for path in (*kept, *((paths.index,) if kept else ())):
        found[path] = yield ReadFile(path)
    return found


def keep_originals(
    files: Iterable[File], images: Mapping[str, FileState | None], paths: Paths
) -> Effects[None]:
    """Keep the original of each foreign file before our first edit of it."""
    edited = _edited(files, images)
    if not edited:
        return
    state: FileState | None = yield ReadFile(paths.index)
    index = backup.parse_index(state.text if state is not None else None, paths.index)
    for file, image in edited:
        first = file.path not in index
        index = backup.record(index, file.path, image.text, file.text or "", image.mode)
        if first:
            yield from write_state(paths, f"{paths.backup}/{index[file.path].saved}", image.text)
    yield from write_state(paths, paths.index, backup.render_index(index))


def keep_derived(files: Iterable[File], paths: Paths) -> Effects[None]:
    """Note what the owner's own tool made of a foreign file in our change: nobody else did."""
    state: FileState | None = yield ReadFile(paths.index)
    index = backup.parse_index(state.text if state is not None else None, paths.index)
    after = dict(index)
    for file in files:
        known = index.get(file.path)
        now: FileState | None = (yield ReadFile(file.path)) if known is not None else None
        if known is not None and now is not None:
            after[file.path] = replace(known, written=backup.digest(now.text))
    if after != index:
        yield from write_state(paths, paths.index, backup.render_index(after))
