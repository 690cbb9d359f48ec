"""Have nft load our table from a thread of its own: the loop waits for no program.

nft waits where another one loads a large ruleset, and on a disk that stands still its start
alone takes for ever. A line that fails meanwhile is not to wait for it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable

from .exchanges import READ
from .sockets import Watch


class Loader:
    """Run nft beside the loop; called as `switch.Nft` is.

    :param load: runs nft and returns its complaint, or nothing.
    :param then: called in the loop with the complaint, or nothing, when a run has ended.
    """

    def __init__(
        self, watch: Watch, load: Callable[[str], str], then: Callable[[str], None]
    ) -> None:
        self._watch, self._load, self._then = watch, load, then
        #: False until there is a loop that must not wait.
        self.beside = False
        self._runs = False
        self._complaint = ""
        self._inside, self._outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inside.setblocking(False)
        watch.add(self._inside.fileno(), READ, self._ended)
        # A child of vfork holds its parent's interpreter until the program's file is read.
        subprocess._USE_VFORK = False  # type: ignore[attr-defined]

    def __call__(self, text: str) -> str | None:
        """Return what the last run complained of, once; else begin one, and return None."""
        if not self.beside:
            return self._load(text)
        complaint, self._complaint = self._complaint, ""
        if complaint or self._runs:
            return complaint or None
        self._runs = True
        threading.Thread(target=self._run, args=(text,), name="nft", daemon=True).start()
        return None

    def _run(self, text: str) -> None:
        complaint = "nft: it could not be run"
        try:
            complaint = self._load(text)
        finally:
            with contextlib.suppress(OSError):  # the loop has ended
                self._outside.send(b"\0" + complaint.encode("utf-8", "replace")[:1000])

    def _ended(self, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            said = self._inside.recv(4096)
            self._runs, self._complaint = False, said[1:].decode("utf-8", "replace")
            self._then(self._complaint)
