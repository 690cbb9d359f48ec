"""React to a transition with `react: event`: switch as the monitor wants it, and say so.

An event is believed in nothing but the ids it names, and those only as far as the monitor
itself has left them to a reaction: where to switch is asked of the monitor, on the host. So
an event that is late, doubled or made up switches nothing that was not to be switched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import MALFORMED, EffectError
from . import control, delivery
from .model import EVENT, Line, WanConfig, Wanted
from .places import Places
from .switch import Switch

#: Asks the monitor, as `control.ask` does.
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


class Work(NamedTuple):
    """Hold what the monitor has left to a reaction.

    :param idents: transitions that it follows from.
    """

    idents: tuple[str, ...]
    wanted: Wanted
    down: tuple[Line, ...]


def parse_left(data: object) -> Work | None:
    """Read what the monitor says it has left; None: nothing.

    :raises EffectError: it is another version's monitor that says so.
    """
    if data is None:
        return None
    try:
        if not isinstance(data, Mapping):
            raise ValueError(data)
        lines = {
            int(family): tuple((Line(str(name), int(family)), int(weight)) for name, weight in rows)
            for family, rows in data["wanted"]
        }
        down = tuple(Line(str(name), int(family)) for name, family in data["down"])
        return Work(tuple(map(str, data["transitions"])), Wanted(lines, "a reaction"), down)
    except MALFORMED as error:
        raise EffectError(
            f"the monitor's answer is none: {error}",
            where="ipalias-wan",
            way_out="restart the service ipalias-wan: it is of another version",
        ) from error


def react(
    config: WanConfig | None, places: Places, idents: Sequence[str], ask: Ask | None = None
) -> dict[str, Any]:
    """Switch for transitions, once for each, as far as that is left to a reaction.

    :param config: None: this host has no lines of its own.
    :return: ``acted``, the ids that were acted on; ``because``, why for no other; with what
        `switch` returns.
    :raises EffectError: the monitor does not answer; it acts itself when it can.
    """
    ask = ask or asking(places)
    if config is None or config.react != EVENT:
        because = f"react is {config.react}" if config else "no lines are configured here"
        return {"acted": [], "because": because}
    work = parse_left(ask({"verb": control.STATUS}).get("left"))
    due = [ident for ident in idents if work is not None and ident in work.idents]
    if work is None or not due:
        return {"acted": [], "because": "nothing of that is left to a reaction"}
    acted: list[str] = []
    told: dict[str, Any] = {}
    for ident in due:
        new, done = delivery.act_once(places, ident, lambda: switch(config, places, ask))
        if new:
            acted.append(ident)
            told = told or done
    because = "" if acted else "acted on already"
    return {**told, "acted": acted, "because": because}


def switch(config: WanConfig, places: Places, ask: Ask | None = None) -> dict[str, Any]:
    """Bring the kernel to what the monitor wants and has left to a reaction.

    The monitor then looks whether it is so, and does what is missing.

    :return: ``switched``, with ``changes`` and ``problems``, sentences.
    :raises EffectError: the monitor does not answer, or the kernel does not.
    """
    ask = ask or asking(places)
    work = parse_left(ask({"verb": control.STATUS}).get("left"))
    if work is None:
        return {"switched": False, "changes": [], "problems": []}
    acting = Switch(config, _nft)
    try:
        done = acting.apply(work.wanted, work.down)
    finally:
        acting.close()
    ask({"verb": control.ACTED})
    return {"switched": True, "changes": list(done.changes), "problems": list(done.problems)}


def asking(places: Places, patience: float = control.PATIENCE) -> Ask:
    """Return what asks the monitor of a host.

    :param patience: seconds that it has to answer in.
    """
    return lambda request: control.ask(places.socket, request, patience)


def _nft(text: str) -> str:
    # Rarely needed, and what else it brings would only make a reaction later.
    from .service import run_nft

    return run_nft(text)
