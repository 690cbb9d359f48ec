"""Keep something alive for as long as its standard input is open, then tidy up after it.

Run as a program of its own. The test process holds the other end of the pipe, so however that
one ends, SIGKILL included, the kernel closes the pipe and nothing stays behind:
the namespaces die with their first process, and the folders are removed by this one.

    keeper.py [--remove FOLDER]... [-- COMMAND...]    the command gets the same standard input
    keeper.py --init                                  first process of a PID namespace
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

#: Seconds the kernel may take to empty a cgroup after its last process was killed.
PATIENCE = 10.0


def wait_for_end() -> None:
    """Block until the other end of standard input is closed."""
    while os.read(0, 4096):
        pass


def init() -> None:
    """Reap whatever is left to the first process of a namespace, say ready, and wait."""

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    os.write(1, b"ready\n")
    os.close(1)
    wait_for_end()


def keep(folders: list[str], command: list[str]) -> None:
    """Wait for the command, or for the end of standard input, and remove the folders."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if command:
        subprocess.run(command, check=False, restore_signals=True)
    else:
        os.write(1, b"ready\n")
        wait_for_end()
    end = time.monotonic() + PATIENCE
    while folders := [folder for folder in folders if not remove(folder)]:
        if time.monotonic() > end:
            sys.exit(f"left behind: {' '.join(folders)}")
        time.sleep(0.02)


def remove(folder: str) -> bool:
    """Remove a folder, or a cgroup with those below it; tell whether it is gone."""
    if not os.path.exists(folder):
        return True
    if os.path.exists(os.path.join(folder, "cgroup.procs")):
        return remove_cgroup(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return not os.path.exists(folder)


def remove_cgroup(folder: str) -> bool:
    """Remove a cgroup bottom up: its files are the kernel's and go with it."""
    for below, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(below)
    return not os.path.exists(folder)


def main(arguments: list[str]) -> None:
    """Read the command line."""
    if arguments == ["--init"]:
        return init()
    folders: list[str] = []
    while arguments and arguments[0] == "--remove":
        folders.append(arguments[1])
        arguments = arguments[2:]
    return keep(folders, arguments[1:] if arguments else [])


if __name__ == "__main__":
    main(sys.argv[1:])
