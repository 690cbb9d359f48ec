"""Run programs, also inside namespaces, and end them without leaving a child behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}

Value = TypeVar("Value")


class Result(NamedTuple):
    """Hold what a program said; undecodable bytes come as surrogates."""

    code: int
    out: str
    err: str


class CommandFailed(AssertionError):
    """Raise for a program that failed where the test needs it to succeed."""


class Running(subprocess.Popen[str]):
    """A program that was started through ``nsenter``.

    nsenter forks, and passes no signal on: a signal goes to its child, the program itself.
    """

    def send_signal(self, sig: int) -> None:
        """Signal the program; nothing happens when it has ended."""
        if self.poll() is not None:
            return
        for pid in children(self.pid) or [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def end(self) -> None:
        """Kill the program with all it has started in its session, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def children(pid: int) -> list[int]:
    """Return the processes a process has started and that still run."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def start(argv: Sequence[str], env: Mapping[str, str] | None = None, **pipes: object) -> Running:
    """Start a program with a clean environment, in a session of its own.

    :param pipes: ``stdin``, ``stdout``, ``stderr`` as for `subprocess.Popen`; text by default.
    """
    return Running(  # type: ignore[call-overload,no-any-return]
        list(argv),
        env={**ENVIRONMENT, **(env or {})},
        start_new_session=True,
        cwd="/",
        encoding="utf-8",
        errors="surrogateescape",
        **{"stdin": subprocess.DEVNULL, **pipes},
    )


def run(
    argv: Sequence[str],
    stdin: str | None = None,
    *,
    timeout: float = 180.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run a program to its end.

    Bytes are kept: line ends as they stand, undecodable bytes as surrogates.

    :param timeout: seconds after which it is killed with all it has started.
    :raises CommandFailed: when it fails and ``check`` is set, or runs out of time.
    """
    data = None if stdin is None else stdin.encode("utf-8", "surrogateescape")
    with subprocess.Popen(
        list(argv),
        env={**ENVIRONMENT, **(env or {})},
        start_new_session=True,
        cwd="/",
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        try:
            out, err = program.communicate(data, timeout=timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CommandFailed(f"{_shown(argv)}: not done in {timeout} s") from None
            raise
    result = Result(
        program.returncode,
        out.decode("utf-8", "surrogateescape"),
        err.decode("utf-8", "surrogateescape"),
    )
    if check and result.code:
        said = (result.err + result.out).strip()[-3000:]
        raise CommandFailed(f"{_shown(argv)}: exit code {result.code}: {said}")
    return result


def wait_until(
    condition: Callable[[], Value | None], what: str, *, timeout: float = 120.0, step: float = 0.02
) -> Value:
    """Return the first true value of a condition.

    :param timeout: a bound in seconds for what never comes true, not a demand on speed.
    :raises AssertionError: naming ``what`` and the last value.
    """
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}; last seen: {value!r}")
        time.sleep(step)
    return value


def _shown(argv: Sequence[str]) -> str:
    words = list(argv)
    # What stands behind nsenter's `--` is what the test asked for.
    return " ".join(words[words.index("--") + 1 :] if "--" in words else words)[:300]
