"""Effects: the vocabulary in which the transaction says what shall happen to a host.

The transaction is a generator of these; `run` hands each to an executor and sends the
answer back. So a test can list the effects, stop between any two of them, make one fail,
and replay the rest.

Named tuples where they can be: each dataclass takes most of a millisecond of every import.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from .checks import CheckSpec
from .errors import EffectError
from .model import Command

T = TypeVar("T")


@dataclass(frozen=True)
class FileState:
    """Hold what a file is before we touch it.

    :param real_path: path with all symbolic links resolved; writes go there, so that a
        link stays a link.
    """

    real_path: str
    text: str
    mode: int
    uid: int = 0
    gid: int = 0


class ReadFile(NamedTuple):
    """Read a file and what belongs to it; answers `FileState` or None."""

    path: str


class ReadLive(NamedTuple):
    """Dump links, addresses and routes; answers a `live.Snapshot`."""


class ReadClock(NamedTuple):
    """Read the boot clock, which no one sets and which runs on in sleep; answers seconds."""


class Pause(NamedTuple):
    """Wait a number of seconds."""

    seconds: float


class MakeFolder(NamedTuple):
    """Make a folder and its parents where they are missing; answers those made, outermost first."""

    path: str
    mode: int = 0o755


class WriteTemporary(NamedTuple):
    """Write a file beside the one it will replace; never follows a planted link.

    :param like: state of the file it replaces: owner, group and mode are taken over.
    """

    path: str
    text: str
    mode: int
    like: FileState | None = None


class SyncFile(NamedTuple):
    """Force a file's content to the disk."""

    path: str


class Rename(NamedTuple):
    """Put a file in the place of another, in one step."""

    source: str
    target: str


class SyncFolder(NamedTuple):
    """Force a folder's entries to the disk."""

    path: str


class Unlink(NamedTuple):
    """Remove a file; an absent one is no error."""

    path: str


class RemoveFolder(NamedTuple):
    """Remove a folder that is empty; anything else is left and is no error."""

    path: str


class WriteKernel(NamedTuple):
    """Write a kernel setting under /proc/sys; answers the value before, or None."""

    path: str
    value: str


class Run(NamedTuple):
    """Run a command; answers `host.Result`.

    :param check: raise `EffectError` when the exit code is not among the command's `ok`.
    """

    command: Command
    check: bool = True


class AskAll(NamedTuple):
    """Run commands that only ask, side by side; answers a `host.Result` for each.

    :param at_once: most processes at a time.
    """

    commands: tuple[Command, ...]
    at_once: int


@dataclass(frozen=True)
class Send:
    """Send Ethernet frames on an interface, the whole list `count` times.

    :param interval: seconds between two rounds.
    """

    interface: str
    frames: tuple[bytes, ...]
    count: int = 1
    interval: float = 0.0


class Identify(NamedTuple):
    """Say who acts: answers process id, its start time and the id of this boot."""


class StartGuard(NamedTuple):
    """Start the dead man of an open change; answers False where the platform has none."""

    ident: str


class AwaitArmed(NamedTuple):
    """Wait until the dead man has everything loaded and says so."""

    ident: str


class Freeze(NamedTuple):
    """Make the frozen copy of the library current; answers its folder, or None for none."""


class ReadWan(NamedTuple):
    """Read what a multi-WAN configuration is held against; answers a `wan.live.Found`.

    :param text: the configuration as it lies on the disk (`wan.stored`).
    """

    text: str


class SetWan(NamedTuple):
    """Bring the kernel from one multi-WAN configuration to another; answers a `wan.switch.Done`.

    :param before: text of the one in force; empty: none.
    :param after: text of the one that shall be; empty: none.
    """

    before: str
    after: str


class Check(NamedTuple):
    """Run checks side by side; answers a problem for each, or an empty string."""

    specs: tuple[CheckSpec, ...]


class Probe(NamedTuple):
    """Ask a segment for addresses; answers those somebody has, with hardware addresses.

    :param mac: our own hardware address on the interface.
    :param listen: seconds to listen after each round.
    :param every: ask to the end, and answer a list of all who claim each address.
    """

    interface: str
    mac: str
    asked: tuple[str, ...]
    frames: tuple[bytes, ...]
    rounds: int = 2
    listen: float = 0.12
    every: bool = False


Effect = (
    ReadFile
    | ReadLive
    | ReadClock
    | Pause
    | MakeFolder
    | WriteTemporary
    | SyncFile
    | Rename
    | SyncFolder
    | Unlink
    | RemoveFolder
    | WriteKernel
    | Run
    | AskAll
    | Send
    | Identify
    | StartGuard
    | AwaitArmed
    | Freeze
    | ReadWan
    | SetWan
    | Check
    | Probe
)

#: A generator of effects that ends with a T.
Effects = Generator[Effect, Any, T]
Executor = Callable[[Effect], Any]


def run(effects: Effects[T], perform: Executor) -> T:
    """Drive a generator of effects to its end and return its value.

    Only `EffectError` goes back into the generator: it is what a transaction can undo.
    Anything else ends the run on the spot, as a crash would.
    """
    answer: Any = None
    error: EffectError | None = None
    while True:
        try:
            effect = effects.send(answer) if error is None else effects.throw(error)
        except StopIteration as stop:
            value: T = stop.value
            return value
        answer, error = None, None
        try:
            answer = perform(effect)
        except EffectError as raised:
            error = raised
