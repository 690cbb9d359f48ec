"""Namespaces without a name, which end with the process that made them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rig.process import CommandFailed, children, wait_until

KEEPER = Path(__file__).with_name("keeper.py")

_counter = itertools.count(1)


def birth(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; empty when there is none.

    proc(5), stat, field 22. With it a process id that is used again is told apart.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[19]


def unique(prefix: str = "ipalias") -> str:
    """Return a name no other process on this machine uses, with its maker in it."""
    return f"{prefix}-{os.getpid()}-{birth(os.getpid())}-{next(_counter)}"


def maker_is_gone(name: str) -> bool:
    """Tell whether the process that made a name of `unique` runs no more."""
    parts = name.split("-")
    if len(parts) < 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return False
    return birth(int(parts[1])) != parts[2]


class Keeper:
    """A process that waits for the end of this one and then removes folders."""

    def __init__(self, remove: Sequence[Path] = (), command: Sequence[str] = ()) -> None:
        argv = [sys.executable, "-I", "-S", str(KEEPER)]
        for folder in remove:
            argv += ["--remove", str(folder)]
        if command:
            argv += ["--", *command]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        assert self.process.stdout
        if self.process.stdout.readline() != b"ready\n":
            _, said = self.process.communicate()
            raise CommandFailed(f"{' '.join(argv[4:])[:300]}: {said.decode().strip()}")

    def close(self) -> None:
        """End what is kept, and wait until everything is tidied up.

        :raises CommandFailed: when something could not be removed.
        """
        if self.process.returncode is not None:
            return
        _, said = self.process.communicate()
        if self.process.returncode:
            raise CommandFailed(said.decode().strip())


class Holder(Keeper):
    """Network, mount, PID and host name namespaces, held by their first process.

    When that ends, the kernel kills every process inside and takes the interfaces and mounts
    away with them; nothing of it has a name on the machine.

    :param setup: shell commands for inside, before anything else runs there.
    :param remove: folders and cgroups to remove afterwards.
    """

    def __init__(self, hostname: str, setup: str = "", remove: Sequence[Path] = ()) -> None:
        script = (
            f'set -e\necho "$1" >/proc/sys/kernel/hostname\n{setup}\nexec "$2" -I -S "$3" --init'
        )
        namespaces = ["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
        inner = ["sh", "-c", script, "sh", hostname, sys.executable, str(KEEPER)]
        super().__init__(remove, ["unshare", *namespaces, "--mount-proc", *inner])
        #: First process inside, as this process sees it.
        self.pid = wait_until(self._first, "the first process of the namespace")

    def _first(self) -> int | None:
        # keeper → unshare → the first process inside
        for unshare in children(self.process.pid):
            for first in children(unshare):
                return first
        return None

    def enter(self, argv: Sequence[str], *, pid: bool = True) -> list[str]:
        """Return the command line that runs a program inside."""
        kinds = ["--net", "--mount", "--uts", *(["--pid"] if pid else [])]
        return ["nsenter", "--target", str(self.pid), *kinds, "--", *argv]
