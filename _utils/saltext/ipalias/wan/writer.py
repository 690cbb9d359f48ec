"""Write to disk from a thread of its own: a full or frozen one delays no decision.

The loop hands over a text and goes on. What is appended waits in a queue of bounded length
and in its order until it is on disk, however long that takes; of what is replaced as a whole
(metrics, status) only the last text waits. What no longer fits is counted, and told.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..disk import NEW_FILE
from ..errors import IpaliasError

#: Entries that wait at most. A transition is a few hundred bytes, a thousand are days.
WAITING = 4096
#: Seconds until the disk is tried again after it has refused, first and at most.
AGAIN, SLOWEST = 0.2, 10.0


class State(NamedTuple):
    """Hold how the writing stands.

    :param waiting: entries that are not on disk yet.
    :param lost: entries that found no room.
    :param error: what the disk said last, empty if all is well.
    """

    waiting: int
    lost: int
    error: str


class Writer:
    """Hold a thread that writes files, and what it still has to write.

    :param name: of the thread, for people.
    :param after: called in the thread with the path of a file that has grown.
    """

    def __init__(
        self,
        name: str,
        limit: int = WAITING,
        after: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._limit, self._after = limit, after
        self._ready = threading.Condition()
        self._entries: deque[tuple[str, str]] = deque()
        self._texts: dict[str, tuple[str, int]] = {}
        self._busy = False
        self._lost = 0
        self._error = ""
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def append(self, path: str, text: str) -> bool:
        """Add a text to the end of a file, synced; False where there is no room to wait."""
        with self._ready:
            if len(self._entries) >= self._limit:
                self._lost += 1
                return False
            self._entries.append((path, text))
            self._ready.notify()
            return True

    def replace(self, path: str, text: str, mode: int = 0o600) -> None:
        """Put a text in the place of a file, in one step."""
        with self._ready:
            self._texts[path] = (text, mode)
            self._ready.notify()

    def state(self) -> State:
        """Return how the writing stands; waits for nothing."""
        with self._ready:
            return State(len(self._entries) + len(self._texts), self._lost, self._error)

    def close(self, timeout: float = 1.0) -> bool:
        """End after what waits is written; False where that took too long."""
        with self._ready:
            self._ending = True
            self._ready.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        pause = AGAIN
        while True:
            with self._ready:
                while not (self._entries or self._texts or self._ending):
                    self._ready.wait()
                if not (self._entries or self._texts):
                    return
                entry = self._entries[0] if self._entries else None
                texts = dict(self._texts)
            error = self._write(entry, texts)
            with self._ready:
                self._error = error
                if error:
                    self._ready.wait(pause)
                    if self._ending:
                        return
            pause = min(pause * 2, SLOWEST) if error else AGAIN

    def _write(self, entry: tuple[str, str] | None, texts: dict[str, tuple[str, int]]) -> str:
        """Write what waits; return what went wrong. What failed goes on waiting."""
        errors = []
        if entry is not None:
            try:
                append(*entry)
            except OSError as error:
                errors.append(f"{entry[0]}: {error.strerror}")
            else:
                with self._ready:
                    self._entries.popleft()
                # What is made anew as a whole can be so the next time.
                with contextlib.suppress(OSError, IpaliasError):
                    self._after(entry[0])
        for path, text in texts.items():
            try:
                replace(path, *text)
            except OSError as error:
                errors.append(f"{path}: {error.strerror}")
            else:
                with self._ready:
                    # Not where a newer one has come meanwhile.
                    if self._texts.get(path) == text:
                        del self._texts[path]
        return "; ".join(errors)


def append(path: str, text: str) -> None:
    """Add a text to a file and sync it; half a text, of a full disk, is taken back.

    Behind a line that a crash has torn the text begins on a line of its own.

    :raises OSError: as the system says.
    """
    torn = _ends_torn(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NEW_FILE
    descriptor = os.open(path, flags, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        data = memoryview((b"\n" if torn else b"") + text.encode())
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _ends_torn(path: str) -> bool:
    """Tell whether a file's last line has no end."""
    try:
        status = os.stat(path, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return False
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def replace(path: str, text: str, mode: int = 0o600, *, sync: bool = False) -> None:
    """Put a text in the place of a file in one step, following no planted link.

    :param sync: have it on the disk first, for what must outlive a crash.

    :raises OSError: as the system says.
    """
    fresh = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEW_FILE, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(descriptor)
        os.replace(fresh, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
