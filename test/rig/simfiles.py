"""A tree of files in memory: folders, modes, owners and symbolic links."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace

FILE, FOLDER, LINK = "file", "folder", "link"


@dataclass(frozen=True)
class Node:
    """Hold what lies at a path.

    :param text: content of a file, target of a symbolic link.
    """

    kind: str
    text: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0

    def __deepcopy__(self, memo: object) -> Node:
        return self


class SimFiles:
    """A file tree; the errors are those of the system calls."""

    def __init__(self, files: dict[str, str] | None = None) -> None:
        self.nodes: dict[str, Node] = {"/": Node(FOLDER, mode=0o755)}
        for path, text in (files or {}).items():
            self.put(path, text)

    # -- setting up, without any effect being counted ---------------------------------

    def put(self, path: str, text: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Write a file, its folders made where they are missing."""
        path = self.real(path)
        self.make_folders(posixpath.dirname(path))
        self.nodes[path] = Node(FILE, text, mode, uid, gid)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        self.make_folders(posixpath.dirname(path))
        self.nodes[path] = Node(LINK, target, 0o777)

    def drop(self, path: str) -> None:
        """Take a file away, if it is there."""
        self.nodes.pop(self.real(path), None)

    def copy(self) -> SimFiles:
        """Return the same tree, to be changed apart."""
        twin = SimFiles()
        twin.nodes = dict(self.nodes)
        return twin

    def __deepcopy__(self, memo: object) -> SimFiles:
        return self.copy()

    # -- reading ----------------------------------------------------------------------

    def real(self, path: str) -> str:
        """Return a path with its symbolic links resolved, as realpath(3) does."""
        done, turns = "", 0
        rest = path.split("/")[::-1]
        while rest:
            part = rest.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            parent, done = done, f"{done}/{part}"
            node = self.nodes.get(done)
            if node is not None and node.kind == LINK:
                turns += 1
                if turns > 40:
                    raise OSError(40, "Too many levels of symbolic links", path)
                done = "" if node.text.startswith("/") else parent
                rest += node.text.split("/")[::-1]
        return done or "/"

    def at(self, path: str) -> Node | None:
        """Return what lies at a path, links followed."""
        return self.nodes.get(self.real(path))

    def read(self, path: str) -> str | None:
        """Return a file's text, or None where there is none."""
        node = self.at(path)
        return node.text if node is not None and node.kind == FILE else None

    def glob(self, pattern: str) -> list[str]:
        """Return matching paths, sorted; a wildcard matches no hidden name."""
        wanted = pattern.strip("/").split("/")
        found = [""]
        for want in wanted:
            found = [f"{base}/{name}" for base in found for name in self._names(base, want)]
        return sorted(found)

    def _names(self, base: str, want: str) -> Iterable[str]:
        folder = self.real(base or "/")
        if not any(sign in want for sign in "*?["):
            return [want] if self.at(f"{base}/{want}") is not None else []
        return [
            name
            for name in self.listed(folder)
            if fnmatch.fnmatchcase(name, want) and (name[0] != "." or want[0] == ".")
        ]

    def listed(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        inside = folder.rstrip("/") + "/"
        names = (path[len(inside) :] for path in self.nodes if path.startswith(inside))
        return [name for name in names if name and "/" not in name]

    def tree(self, *skip: str) -> dict[str, Node]:
        """Return everything but what lies under some folders."""
        return {
            path: node
            for path, node in self.nodes.items()
            if not any(path == root or path.startswith(f"{root}/") for root in skip)
        }

    # -- system calls -----------------------------------------------------------------

    def make_folders(self, path: str, mode: int = 0o755) -> list[str]:
        """Make a folder and its parents where they are missing; return those made."""
        real = self.real(path)
        if real in self.nodes:
            if self.nodes[real].kind != FOLDER:
                raise NotADirectoryError(20, "Not a directory", path)
            return []
        made = self.make_folders(posixpath.dirname(real))
        self.nodes[real] = Node(FOLDER, mode=mode)
        return [*made, real]

    def create(self, path: str, node: Node) -> None:
        """Make a file anew; O_CREAT with O_EXCL and O_NOFOLLOW."""
        folder = self._folder(path)
        path = posixpath.join(folder, posixpath.basename(path))
        if path in self.nodes:
            raise FileExistsError(17, "File exists", path)
        self.nodes[path] = node

    def replace(self, source: str, target: str) -> None:
        """Rename; a symbolic link at the target is replaced, not followed."""
        source = posixpath.join(self._folder(source), posixpath.basename(source))
        if source not in self.nodes:
            raise FileNotFoundError(2, "No such file or directory", source)
        target = posixpath.join(self._folder(target), posixpath.basename(target))
        if target in self.nodes and self.nodes[target].kind == FOLDER:
            raise IsADirectoryError(21, "Is a directory", target)
        self.nodes[target] = self.nodes.pop(source)

    def unlink(self, path: str) -> None:
        """Remove a file or a symbolic link."""
        path = posixpath.join(self._folder(path), posixpath.basename(path))
        if path not in self.nodes:
            raise FileNotFoundError(2, "No such file or directory", path)
        if self.nodes[path].kind == FOLDER:
            raise IsADirectoryError(21, "Is a directory", path)
        del self.nodes[path]

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        real = self.real(path)
        if real not in self.nodes:
            raise FileNotFoundError(2, "No such file or directory", path)
        if self.listed(real):
            raise OSError(39, "Directory not empty", path)
        del self.nodes[real]

    def touch_mode(self, path: str, mode: int) -> None:
        """Set the permission bits of a file."""
        real = self.real(path)
        self.nodes[real] = replace(self.nodes[real], mode=mode)

    def _folder(self, path: str) -> str:
        folder = self.real(posixpath.dirname(path))
        node = self.nodes.get(folder)
        if node is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if node.kind != FOLDER:
            raise NotADirectoryError(20, "Not a directory", path)
        return folder
