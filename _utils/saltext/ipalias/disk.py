"""The disk as the executor uses it. Effects only."""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat

from .effects import FileState, WriteTemporary

#: Never follow a planted link, never leave the file open in a child, never translate line
#: ends: as far as the system knows the flag.
NEW_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
CODING = {"encoding": "utf-8", "errors": "surrogateescape"}


def slashed(path: str) -> str:
    """Return a path that the system gave with the slash that all of ours have."""
    return path.replace(os.sep, "/")


def open_now(path: str, flags: int) -> int:
    """Open a file without waiting: a named pipe that nobody writes into is an empty one."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_state(path: str) -> FileState | None:
    """Read a file with owner and mode."""
    real = slashed(os.path.realpath(path))
    try:
        with open(real, newline="", opener=open_now, **CODING) as file:  # type: ignore[call-overload]
            status = os.fstat(file.fileno())
            return FileState(
                real, file.read(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
            )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def make_folder(path: str, mode: int) -> list[str]:
    """Make a folder and its parents; return those made, outermost first."""
    if os.path.isdir(path):
        return []
    parent = posixpath.dirname(path)
    made = make_folder(parent, 0o755) if parent and parent != path else []
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return made
    return [*made, path]


def write_temporary(effect: WriteTemporary) -> None:
    """Write a new file, refusing to follow anything planted under its name."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(effect.path)
    descriptor = os.open(effect.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEW_FILE, 0o600)
    try:
        like = effect.like
        if like is not None:
            status = os.fstat(descriptor)
            if hasattr(os, "fchown") and (status.st_uid, status.st_gid) != (like.uid, like.gid):
                os.fchown(descriptor, like.uid, like.gid)
            _copy_attributes(like.real_path, descriptor)
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, like.mode if like is not None else effect.mode)
        data = effect.text.encode("utf-8", "surrogateescape")
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _copy_attributes(path: str, descriptor: int) -> None:
    """Take over extended attributes (an SELinux context, an ACL) where the platform has them."""
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name))


def sync(path: str) -> None:
    """Force a file's content, or a folder's entries, to the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # no descriptor of a folder there; NTFS keeps its entries in order by itself
    # Windows flushes only what is open for writing.
    way = os.O_RDWR if os.name == "nt" else os.O_RDONLY
    descriptor = os.open(path, way | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_kernel(path: str, value: str) -> str | None:
    """Write a kernel setting; return the value before, or None where there is none.

    What was there may be any bytes: a domain name, a pattern for core files.
    """
    try:
        with open(path, "r+", **CODING) as file:  # type: ignore[call-overload]
            before: str = file.read()
            file.seek(0)
            file.write(value)
            return before
    except FileNotFoundError:
        return None


def claim(source: str, target: str) -> bool:
    """Move a record to another state; False where somebody else was quicker."""
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):
        sync(posixpath.dirname(target))
    return True


def say(path: str, text: str) -> None:
    """Write a small file of our own in one step."""
    fresh = f"{path}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NEW_FILE, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def forget(path: str) -> None:
    """Remove a file of our own; an absent one is no error."""
    with contextlib.suppress(OSError):
        os.unlink(path)
