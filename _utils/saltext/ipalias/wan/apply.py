"""Carry out a change of the multi-WAN configuration under journal, dead man and votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..effects import Effects, FileState, ReadFile, ReadLive, SetWan
from ..errors import EffectError, VerifyError
from ..files import digests, put_files, read_planned
from ..guarded import Verdict, guarded
from ..host import Host
from ..journal import Record, WanPart
from ..live import Snapshot
from ..model import File
from ..paths import ROUTE_PROTOCOL, Settings
from ..recover import kept_routes
from ..transaction import run_commands
from . import start
from .switch import Done


@dataclass(frozen=True)
class Plan:
    """Hold a change of the configuration.

    :param before: text of the configuration in force; empty: none.
    :param after: of the one that shall be; empty: none.
    :param files: those that differ from the disk; `texts`: what they are now.
    :param kernel: what changes in the kernel, one sentence each.
    :param started_by: what starts services here, or empty.
    :param idle: True where the monitor shall run and does not.
    """

    before: str
    after: str
    files: tuple[File, ...] = ()
    texts: Mapping[str, str | None] = field(default_factory=dict)
    kernel: tuple[str, ...] = ()
    started_by: str = ""
    idle: bool = False
    notes: tuple[str, ...] = ()

    @property
    def touches_host(self) -> bool:
        """Tell whether a file, the kernel or the service changes."""
        return bool(self.files or self.kernel or self.idle)


def apply(plan: Plan, host: Host, settings: Settings, ident: str, purpose: str) -> Effects[Verdict]:
    """Carry out a plan.

    :raises EffectError: a write, a command or the kernel refused; everything is as it was.
    :raises VerifyError: the monitor does not run, or a vote went against it; undone.
    """
    before: Snapshot = yield ReadLive()
    images: dict[str, FileState | None] = {}
    for path in (*(file.path for file in plan.files), *start.paths_of(plan.started_by)):
        if path in plan.texts:
            images[path] = yield from read_planned(path, plan.texts[path])
        else:
            images[path] = yield ReadFile(path)
    record = Record(
        ident,
        purpose,
        files=images,
        owned=tuple(images),
        written=digests(plan.files),
        routes=kept_routes(before, before.by_link, ROUTE_PROTOCOL),
        wan=WanPart(plan.before, plan.after, plan.started_by),
    )
    _, verdict = yield from guarded(record, _body(plan, images, host), before, host, settings)
    return verdict


def _body(plan: Plan, images: dict[str, FileState | None], host: Host) -> Effects[None]:
    """Do the change itself: the monitor pauses, else it would change the kernel back."""
    steps = start.steps(plan.started_by, runs=bool(plan.after))
    yield from run_commands(steps.before)
    yield from put_files(plan.files, images)
    done: Done = yield SetWan(plan.before, plan.after)
    refused = [problem for problem in done.problems if not problem.startswith("not ours")]
    if refused:
        raise EffectError("; ".join(refused[:5]), where="kernel")
    yield from run_commands(steps.after)
    if plan.after and not start.is_running(host, plan.started_by):
        raise VerifyError(
            "the monitor was started and does not run",
            where=start.NAME,
            way_out="everything was put back; the system log says why",
        )
