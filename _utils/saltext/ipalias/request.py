"""What every request has around it: a host, a lock, and how a change of it is carried out.

Locked, first put back what an earlier run left unfinished, then read, planned, carried out and
told: in this order, whatever is asked for. Plain data comes out, because no class survives a
reload of the library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .checks import parse_guard
from .difference import cap
from .effects import Effect, Effects, run
from .guarded import Verdict, settle
from .host import Host
from .paths import Paths, Settings
from .values import mapping

Answer = dict[str, Any]
#: Said of a change that waits to be confirmed.
UNDONE = "It is undone unless `ipalias.confirm` comes in time"


class Machine(Host, Protocol):
    """A host that can also be changed."""

    def perform(self, effect: Effect) -> Any:
        """Perform one effect."""


@dataclass
class Request:
    """Hold a request's surroundings.

    :param locked: gives the lock of this host for a purpose.
    :param new_id: gives an id for a journal entry.
    """

    host: Machine
    settings: Settings = field(default_factory=Settings)
    locked: Callable[[str], AbstractContextManager[None]] = lambda purpose: nullcontext()
    new_id: Callable[[], str] = lambda: "0"
    _purpose: str = field(default="", init=False)
    _settled: list[str] = field(default_factory=list, init=False)

    @property
    def paths(self) -> Paths:
        """Return where our state lies."""
        return self.settings.paths

    @contextmanager
    def lock(self, purpose: str, test: bool) -> Iterator[None]:
        """Hold the lock, and first put back what an earlier run left unfinished."""
        self._purpose = purpose
        if test:
            yield
            return
        with self.locked(purpose):
            self._settled = run(settle(self.host, self.paths), self.host.perform)
            yield

    def make(self, change: Effects[Verdict], undone: str = UNDONE) -> list[str]:
        """Make a change; return what there is to say of it.

        :param undone: what is said where it waits to be confirmed.
        """
        return told(run(change, self.host.perform), undone)

    def answer(
        self,
        changes: dict[str, dict[str, object]],
        notes: list[str],
        change: Callable[[], Effects[Verdict]] | None,
        test: bool,
    ) -> Answer:
        """Show a change (`test`) or make it, and answer but for the comment.

        :param notes: what is to be said beside it; what comes of the change is added.
        :param change: None: everything is as wanted already.
        """
        short, _ = cap(changes)
        answer: Answer = {"result": True, "changes": short, "notes": notes}
        if change is not None and test:
            answer["result"] = None
        elif change is not None:
            notes += self.make(change())
        return answer


@dataclass
class _Block:
    """Hold a host and the pillar's block for it: what a request is made of at the least."""

    # Apart, so that the block comes right behind the host: a dataclass has the fields of its
    # last base first.
    host: Machine
    data: object = None
    root: str = "ipalias"


@dataclass
class PillarRequest(Request, _Block):
    """Hold the surroundings of a request that the pillar has a word in.

    :param data: pillar block ``ipalias`` as Salt gives it.
    :param root: pillar path of that block.
    """

    def guarded_settings(self) -> Settings:
        """Return how a change is carried out, with the guard of the pillar's block."""
        block = mapping(self.data, self.root)
        return replace(self.settings, guard=parse_guard(block.get("guard"), f"{self.root}:guard"))


def told(verdict: Verdict, undone: str = UNDONE) -> list[str]:
    """Return what there is to say of a change that was made; see `Request.make`."""
    return [*verdict.notes, undone] if verdict.waiting else [*verdict.notes]


def nothing(comment: str) -> Answer:
    """Return the answer of a request that concerns nothing here."""
    return {"result": True, "changes": {}, "notes": [], "comment": comment}
