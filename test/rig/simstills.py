"""What a crash at each effect of a run leaves: files and kernel, and nothing else.

One still before each effect that changes something and one at the end are all that a crash
before or after any effect can leave; what stands between two of them (half a file, half a
batch) is added by hand. A sync changes nothing of what a kill leaves (what the power takes is
`rig.simdisk`), nor does an effect that only reads: behind those the host is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rig import plat
from rig.simhost import READING, SimHost
from saltext.ipalias.effects import Effect, Run, SyncFile, SyncFolder, WriteTemporary

Way = Callable[[SimHost], object]
#: Effects behind which a killed process leaves what it would have left before them.
SAME = (*READING, SyncFile, SyncFolder)


def cuts(log: Sequence[Effect]) -> list[tuple[int, bool]]:
    """Return where a run is to be killed, and whether with the effect done, by its log.

    Before each effect that changes something and behind the last: each host that a kill at
    any effect, done or not, can leave, and each of them once.
    """
    changing = [at for at, effect in enumerate(log) if not isinstance(effect, SAME)]
    return [*((at, False) for at in changing), *((at, True) for at in changing[-1:])]


def stills(host: SimHost, run: Way) -> Iterator[tuple[str, SimHost]]:
    """Return the host as a crash at each effect of a run leaves it, with what it was at."""
    found: list[tuple[str, SimHost]] = []
    subject = host.successor()

    def watch(at: int, effect: Effect) -> None:
        if isinstance(effect, SAME):
            return
        found.append((f"before {at}: {effect}"[:300], subject.successor()))
        torn = inside(subject, effect)
        if torn is not None:
            found.append((f"within {at}: {effect}"[:300], torn))

    subject.watch = watch
    run(subject)
    subject.watch = None
    found.append(("at the end", subject.successor()))
    return iter(found)


def inside(host: SimHost, effect: Effect) -> SimHost | None:
    """Return the host in the middle of an effect that is no single step."""
    half = host.successor()
    match effect:
        case WriteTemporary(text=text):
            half.perform(effect._replace(text=text[: len(text) // 2]))
        case Run(command) if command.argv[0] == "ip" and (command.stdin or "").count("\n") > 1:
            lines = str(command.stdin).splitlines(keepends=True)
            half.run(command.argv, "".join(lines[: len(lines) // 2]))
        case Run(command) if stdin := plat.halved(host, command):
            half.run(command.argv, stdin)
        case _:
            return None
    half.log = []
    return half
