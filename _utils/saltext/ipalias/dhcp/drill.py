"""A drill, one member's steps of it: stop, start again whatever happens, wait, keep the report.

The guide's own test, "at least once a quarter". What joins the steps is on the master
(``_runners/ipalias.py``), which may die at any of them. So before a server is stopped, systemd
is given a timer that starts it again: it needs neither Salt nor the master nor the network, and
after a reboot the service starts by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..effects import Effects, FileState, ReadFile, Run, run
from ..errors import MALFORMED, EffectError, InputError, IpaliasError, RefusedError
from ..files import write_state
from ..model import Command
from ..values import parse_bool, sequence, short
from . import keactl, omapi
from .bounds import KILL, steady, takeover_bound
from .model import ISC, NORMAL, RECOVERING, STOPPED, UNKNOWN, WAITING, DhcpConfig, Member
from .services import DRILL, SERVERS, Server, listens, read_sockets, serving, started, stopped
from .setup import Setup

#: Of the timer that starts a stopped server again, and of what it starts.
GUARD = DRILL
#: Seconds until it does, at least and at most.
SHORTEST, LONGEST = 30.0, 3600.0
#: Seconds between two looks at a state.
LOOK_AGAIN = 0.25
SERVING, LISTENING = "serving", "listening"
AWAITED = (SERVING, LISTENING, NORMAL)
#: Seconds after which a client of the drill asks again.
CLIENT_AGAIN = 1.0
PASSED, FAILED = "ok", "failed"
#: Lines of a report, and characters of one, that are kept.
_MOST_LINES, _LONGEST_LINE = 200, 500


class Standing(NamedTuple):
    """Hold what one side is in, in the words of `model.STATES`.

    :param partner: what it says of the other one.
    :param serving: it takes clients' messages.
    :param listening: it listens for the other one.
    """

    local: str
    partner: str
    serving: bool
    listening: bool

    @property
    def text(self) -> str:
        """Return it as a sentence's part."""
        serves = "serves" if self.serving else "does not serve"
        if self.serving and self.local in (WAITING, RECOVERING):
            # Its socket is open, and in these states it need not answer anybody: dhcpd before it
            # has heard its peer for the first time, Kea until it has its peer's leases.
            serves = "runs"
        hears = "listens" if self.listening else "does not listen for its peer"
        return f"{self.local}, its peer {self.partner}; it {serves} and {hears}"


def read_standing(setup: Setup, config: DhcpConfig, me: Member) -> Standing:
    """Return what this side is in; a server that does not answer is `UNKNOWN`."""
    sockets = read_sockets(setup.host)
    serves = bool(serving(SERVERS[config.implementation], sockets))
    local, partner = STOPPED, UNKNOWN
    if serves:
        try:
            local, partner = _ask(setup, config)
        except IpaliasError:
            local = UNKNOWN
    return Standing(local, partner, serves, listens(sockets, me.address, me.port))


def _ask(setup: Setup, config: DhcpConfig) -> tuple[str, str]:
    """Return the server's own word of itself and of its partner."""
    if config.implementation == ISC:
        with omapi.Client(setup.omapi_key()) as client:
            failover = omapi.read_failover(client, config.pair.name)
        return omapi.word_of(failover.local), omapi.word_of(failover.partner)
    path = config.pair.kea.control_socket
    state = keactl.parse_status(keactl.ask(path, "status-get"), path)
    return keactl.word_of(state.local, state.interrupted), keactl.word_of(state.partner)


def reached(standing: Standing, wanted: str) -> bool:
    """Tell whether a side is in what is waited for."""
    if wanted == SERVING:
        return standing.serving
    if wanted == LISTENING:
        return standing.serving and standing.listening
    return standing.serving and standing.local == NORMAL and standing.partner == NORMAL


def await_state(
    look: Callable[[], Standing],
    wanted: str,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait until this side is in a state.

    :param limit: seconds.
    :raises EffectError: it is not in time; with what it is in.
    """
    if wanted not in AWAITED:
        raise InputError(f"{wanted!r} is none of {', '.join(AWAITED)}", where="state")
    began = clock()
    seen: list[str] = []
    while True:
        standing = look()
        if not seen or seen[-1] != standing.text:
            seen.append(standing.text)
        waited = clock() - began
        if reached(standing, wanted):
            return {"result": True, "seconds": round(waited, 1), "seen": seen[-10:]}
        if waited > limit:
            raise EffectError(
                f"not {wanted} after {limit:g} s: {seen[-1]}",
                where="ipalias_dhcp",
                way_out="`ipalias_dhcp.status` on both members says more",
            )
        pause(LOOK_AGAIN)


# -- stopping and starting -------------------------------------------------------------------


def guard_command(server: Server, seconds: float) -> Command:
    """Return the command by which systemd starts a server again after a time, systemd-run(1)."""
    options = [f"--unit={GUARD}", f"--on-active={seconds:g}", "--timer-property=AccuracySec=1s"]
    return Command(
        ("systemd-run", "--quiet", "--collect", *options, "systemctl", "restart", server.unit)
    )


def _disarm() -> Command:
    return Command(("systemctl", "stop", f"{GUARD}.timer", f"{GUARD}.service"), ok=(0, 1, 5))


def _stop(setup: Setup, server: Server, seconds: float) -> Effects[None]:
    yield Run(_disarm())
    yield Run(guard_command(server, seconds))
    try:
        yield from stopped(server, setup.host)
    except EffectError:
        yield from _start(setup, server)
        raise


def _start(setup: Setup, server: Server) -> Effects[None]:
    if not serving(server, read_sockets(setup.host)):
        yield from started(server, setup.host)
    yield Run(_disarm())


@contextmanager
def _alone(setup: Setup, purpose: str) -> Iterator[None]:
    """Keep a highstate from starting meanwhile what is stopped here."""
    with setup.locked(purpose):
        yield


def stop(setup: Setup, seconds: float, *, test: bool = False) -> dict[str, Any]:
    """Stop this member's server for a drill; systemd starts it again after a time.

    :param seconds: until then.
    :return: ``stopped``, ``peer`` (who has to serve now), ``again`` (seconds), and of the bound
        that the configuration promises ``seconds`` and ``clients``.
    :raises RefusedError: the pair is not in order: a drill would take the service away.
    """
    if not SHORTEST <= seconds <= LONGEST:
        raise InputError(f"{seconds:g} is not {SHORTEST:g} to {LONGEST:g} seconds", where="limit")
    config, me = setup.member()
    standing = read_standing(setup, config, me)
    if not reached(standing, NORMAL):
        raise RefusedError(
            f"the pair is not in order: {standing.text}",
            where=me.name,
            way_out="nothing was stopped; a drill begins with both members normal",
        )
    server = SERVERS[config.implementation]
    bound = takeover_bound(config, KILL, steady(CLIENT_AGAIN))
    if not test:
        with _alone(setup, "ipalias_dhcp.drill_stop"):
            run(_stop(setup, server, seconds), setup.host.perform)
    return {
        "result": None if test else True,
        "comment": f"{server.unit} {'would be ' if test else ''}stopped",
        "member": me.name,
        "peer": config.pair.peer_of(me).address,
        "again": seconds,
        "bound": round(bound.seconds, 1),
        "clients": bound.clients,
    }


def start(setup: Setup, *, test: bool = False) -> dict[str, Any]:
    """Start this member's server after a drill, and take the timer away.

    Whose server it is the host itself says: a pillar that is wrong by now must not keep it down.

    :raises RefusedError: this host is no member of a pair.
    :raises EffectError: it does not start; the timer stays and tries again.
    """
    found = setup.found()
    if found is None:
        raise RefusedError("this host is no member of a pair", where="ipalias_dhcp.drill_start")
    server = SERVERS[found.implementation]
    if not test:
        with _alone(setup, "ipalias_dhcp.drill_start"):
            run(_start(setup, server), setup.host.perform)
    word = "would be started" if test else "runs"
    return {"result": None if test else True, "comment": f"{server.unit} {word}"}


# -- the report ------------------------------------------------------------------------------


def parse_told(result: object, report: object, moment: object) -> tuple[bool, list[str], float]:
    """Return a report as it was told, checked.

    :raises InputError: something else than a truth value, a list of texts, a time.
    """
    lines = sequence(report, "report")
    if not all(isinstance(line, str) for line in lines):
        raise InputError("is not a list of texts", where="report")
    if isinstance(moment, bool) or not isinstance(moment, (int, float)) or not 0 < moment < 1e11:
        raise InputError(f"{short(moment)} is no time in seconds since 1970", where="moment")
    return parse_bool(result, "result"), [str(line) for line in lines], float(moment)


def parse_report(text: str | None) -> dict[str, Any]:
    """Return the last drill's report; empty: none, or none that can be read."""
    try:
        data = json.loads(text or "{}")
        return {
            "time": float(data["time"]),
            "result": str(data["result"]),
            "report": [str(line) for line in data["report"]],
            "good": None if data.get("good") is None else float(data["good"]),
        }
    except MALFORMED:
        return {}


def render_report(before: Mapping[str, Any], moment: float, result: bool, lines: list[str]) -> str:
    """Return a report as it is kept, with the time of the last drill that went well."""
    data = {
        "time": moment,
        "result": PASSED if result else FAILED,
        "report": [line[:_LONGEST_LINE] for line in lines[:_MOST_LINES]],
        "good": moment if result else before.get("good"),
    }
    return json.dumps(data, indent=1) + "\n"


def keep_report(
    setup: Setup, result: bool, lines: list[str], moment: float, *, test: bool = False
) -> dict[str, Any]:
    """Keep a drill's report on this member.

    :param moment: seconds since 1970.
    """
    path = setup.places.drill
    if not test:
        with _alone(setup, "ipalias_dhcp.drill_report"):
            run(_keep(setup, result, lines, moment), setup.host.perform)
    word = "would be written" if test else "written"
    return {"result": None if test else True, "comment": f"{path} {word}"}


def _keep(setup: Setup, result: bool, lines: list[str], moment: float) -> Effects[None]:
    path = setup.places.drill
    state: FileState | None = yield ReadFile(path)
    before = parse_report(state.text if state is not None else None)
    yield from write_state(setup.settings.paths, path, render_report(before, moment, result, lines))
