"""What a power cut leaves of a stream of writes: a disk that keeps only what was synced.

POSIX promises little, and this disk keeps no more than that:

* the content of a file is there once it was synced; until then it is empty, cut off or whole;
* the entry of a folder (made, renamed, removed) is there once that folder was synced;
  until then each of the pending entries may be there or not, whatever their order;
* a rename within a folder is one step: all of it or nothing.

A kernel's own memory, and /run, are gone in any case.
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from rig.simfiles import FILE, FOLDER, Node, SimFiles
from saltext.ipalias.effects import (
    Effect,
    MakeFolder,
    RemoveFolder,
    Rename,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteTemporary,
)

DISK = (MakeFolder, WriteTemporary, SyncFile, Rename, SyncFolder, Unlink, RemoveFolder)


@dataclass(eq=False)
class Inode:
    """Hold a file or a folder, apart from its names."""

    node: Node
    synced: bool = True


@dataclass(frozen=True)
class Entry:
    """Hold one change of one folder that was not synced.

    :param gone: name that leaves.
    :param name: name that comes, for an inode.
    """

    folder: str
    gone: str | None = None
    name: str | None = None
    inode: Inode | None = None


@dataclass
class Disk:
    """Hold what is on the disk for certain, and what is on its way there.

    Paths are real ones: what the library writes to has its links resolved.
    """

    names: dict[str, Inode]
    pending: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, files: SimFiles) -> Disk:
        """Return a disk on which everything was synced long ago."""
        return cls({path: Inode(node) for path, node in files.nodes.items()})

    def seen(self) -> dict[str, Inode]:
        """Return the names as running programs see them."""
        return _applied(self.names, self.pending)

    def do(self, effect: Effect) -> None:
        """Take one effect; those that are none of a disk's are none here."""
        names = self.seen()
        match effect:
            case MakeFolder(path, mode):
                missing = []
                while path not in names:
                    missing.append(path)
                    path = posixpath.dirname(path)
                for index, made in enumerate(reversed(missing)):
                    last = index == len(missing) - 1
                    node = Node(FOLDER, mode=mode if last else 0o755)
                    self._enter(made, Inode(node))
            case WriteTemporary(path, text, mode, like):
                node = Node(FILE, text, mode)
                if like is not None:
                    node = Node(FILE, text, like.mode, like.uid, like.gid)
                self._enter(path, Inode(node, synced=False))
            case SyncFile(path):
                names[path].synced = True
            case Rename(source, target):
                folder = posixpath.dirname(target)
                assert folder == posixpath.dirname(source), "a rename across folders"
                self.pending.append(Entry(folder, source, target, names[source]))
            case SyncFolder(path):
                mine = [entry for entry in self.pending if entry.folder == path]
                self.names = _applied(self.names, mine)
                self.pending = [entry for entry in self.pending if entry.folder != path]
            case Unlink(path) if path in names:
                self.pending.append(Entry(posixpath.dirname(path), path))
            case RemoveFolder(path) if path in names:
                if not any(posixpath.dirname(name) == path for name in names):
                    self.pending.append(Entry(posixpath.dirname(path), path))

    def _enter(self, path: str, inode: Inode) -> None:
        self.pending.append(Entry(posixpath.dirname(path), None, path, inode))

    def losses(self, some: int, chance: random.Random) -> Iterator[tuple[str, SimFiles]]:
        """Return trees that a power cut here may leave, with what was lost.

        Nothing, everything, each pending entry alone lost and alone kept, and `some` random
        choices; for each, the content of files that were not synced empty, cut off or whole.
        """
        count = len(self.pending)
        choices = {(True,) * count, (False,) * count}
        for index in range(count):
            choices.add(tuple(at != index for at in range(count)))
            choices.add(tuple(at == index for at in range(count)))
        choices |= {tuple(chance.random() < 0.5 for _ in range(count)) for _ in range(some)}
        for choice in sorted(choices):
            kept = [entry for entry, keep in zip(self.pending, choice, strict=True) if keep]
            names = _applied(self.names, kept)
            torn = any(not inode.synced for inode in names.values())
            for part in (0.0, 0.5, 1.0) if torn else (1.0,):
                lost = [f"-{e.gone} +{e.name}" for e in self.pending if e not in kept]
                yield f"lost: {lost}, content kept: {part}", _tree(names, part)


def _applied(names: dict[str, Inode], entries: Sequence[Entry]) -> dict[str, Inode]:
    """Return the names after some changes of folders."""
    after = dict(names)
    for entry in entries:
        if entry.gone is not None:
            after.pop(entry.gone, None)
        if entry.name is not None and entry.inode is not None:
            after[entry.name] = entry.inode
    return after


def _tree(names: dict[str, Inode], part: float) -> SimFiles:
    """Return the tree of what can be reached from the root."""
    files = SimFiles()
    for path in sorted(names, key=lambda path: path.count("/") if path != "/" else -1):
        inode = names[path]
        if path != "/" and posixpath.dirname(path) not in files.nodes:
            continue
        node = inode.node
        if not inode.synced:
            node = replace(node, text=node.text[: int(len(node.text) * part)])
        files.nodes[path] = node
    return files
