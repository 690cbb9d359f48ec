"""The servers' services on Debian 12 and 13: what runs, and how it is started and stopped.

`isc-dhcp-server` is an init script that systemd wraps: such a unit stays "active" when its
program has died (systemd-sysv-generator(8), ``RemainAfterExit=yes``), and its stop does not
wait for the end. So who serves is asked of the kernel, by the sockets, and nowhere else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..effects import Effects, Pause, ReadClock, Run
from ..errors import EffectError, IpaliasError, RefusedError, VerifyError
from ..host import Host
from ..model import Command
from .model import ISC, KEA

#: UDP port of a DHCP server, RFC 2131.
SERVER_PORT = 67
#: Port of dhcpd's own control, dhcpd.conf(5) ``omapi-port``.
OMAPI_PORT = 7911
#: Seconds that a server may take to end, and to listen for its peer.
STOPPING, STARTING = 15.0, 30.0
#: Seconds after a stop until what serves is what the stop has left over.
LEFT_OVER = 2.0
#: Seconds between two looks.
LOOK_AGAIN = 0.1
#: Of the timer that starts a server again which a drill has stopped, and of what it starts.
DRILL = "ipalias-dhcp-drill"
#: Exit code of systemctl(1): there is no such unit.
_NO_UNIT = 5


class Server(NamedTuple):
    """Hold how one implementation is installed.

    :param program: name of its process.
    :param folder: where its configuration lies; AppArmor lets it read nowhere else.
    :param main: its configuration, unless told otherwise.
    :param user: whom it runs as.
    """

    implementation: str
    unit: str
    package: str
    program: str
    folder: str
    main: str
    user: str = ""


SERVERS = {
    ISC: Server(
        ISC,
        "isc-dhcp-server.service",
        "isc-dhcp-server",
        "dhcpd",
        "/etc/dhcp",
        "/etc/dhcp/dhcpd.conf",
    ),
    KEA: Server(
        KEA,
        "kea-dhcp4-server.service",
        "kea-dhcp4-server",
        "kea-dhcp4",
        "/etc/kea",
        "/etc/kea/kea-dhcp4.conf",
        "_kea",
    ),
}


class Socket(NamedTuple):
    """Hold a socket that waits for somebody.

    :param address: as ``ss`` shows it; ``*`` and ``0.0.0.0`` are every address.
    :param device: interface that it is bound to, or empty.
    :param program: empty where the kernel does not tell.
    """

    protocol: str
    address: str
    port: int
    program: str
    pid: int
    device: str = ""

    @property
    def text(self) -> str:
        """Return who it is, for a message."""
        who = f"{self.program} (pid {self.pid})" if self.program else "another program"
        return f"{who} has {self.protocol.upper()} {self.address}:{self.port}"


class State(NamedTuple):
    """Hold what a server does before a change.

    :param pids: its processes that serve.
    :param enabled: a boot starts it.
    """

    implementation: str
    pids: tuple[int, ...] = ()
    enabled: bool = False


_MOMENT = re.compile(r"\b[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: \S+)?)")
_USER = re.compile(r'\("([^"]*)",pid=(\d+)')


def parse_sockets(text: str) -> list[Socket]:
    """Read ``ss --no-header --listening --tcp --udp --numeric --processes``, ss(8)."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[0] not in ("tcp", "udp"):
            continue
        address, _, port = words[4].rpartition(":")
        if not port.isdigit():
            continue
        users = _USER.findall(line) or [("", "0")]
        address, _, device = address.partition("%")
        found += [
            Socket(words[0], address.strip("[]"), int(port), name, int(pid), device)
            for name, pid in users
        ]
    return found


def read_sockets(host: Host) -> list[Socket]:
    """Return the sockets of this host that wait for somebody.

    :raises EffectError: they cannot be told.
    """
    argv = ["ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric", "--processes"]
    told = host.run(argv)
    if told.code:
        raise EffectError(told.err.strip() or f"exit {told.code}", where=f"`{' '.join(argv)}`")
    return parse_sockets(told.out)


def serving(server: Server, sockets: list[Socket]) -> tuple[int, ...]:
    """Return the processes of a server that take clients' messages."""
    pids = {
        s.pid
        for s in sockets
        if s.protocol == "udp" and s.port == SERVER_PORT and s.program == server.program
    }
    return tuple(sorted(pids))


def is_enabled(server: Server, host: Host) -> bool:
    """Tell whether a boot starts a server."""
    return host.run(["systemctl", "is-enabled", "--quiet", server.unit]).code == 0


def read_state(implementation: str, host: Host, sockets: list[Socket]) -> State:
    """Return what a server does now."""
    server = SERVERS[implementation]
    return State(implementation, serving(server, sockets), is_enabled(server, host))


def listens(sockets: list[Socket], address: str, port: int) -> bool:
    """Tell whether somebody listens for TCP at an address."""
    return any(
        s.protocol == "tcp" and s.port == port and s.address in (address, "0.0.0.0", "*")
        for s in sockets
    )


def refuse_drill(host: Host) -> None:
    """Refuse to change a server under a drill: its timer would start what had been taken away.

    :raises RefusedError: a drill has stopped this member's server.
    """
    if host.run(["systemctl", "is-active", "--quiet", f"{DRILL}.timer"]).code == 0:
        raise RefusedError(
            "a drill has stopped this member's server",
            where=f"{DRILL}.timer",
            way_out="end it by `ipalias_dhcp.drill_start`; nothing was changed",
        )


def drill_end(host: Host) -> str | None:
    """Return when the timer of a drill starts this member's server again, in words.

    systemctl(1), ``list-timers``: the moment comes first, as ``Sat 2026-11-28 14:32:10 UTC``.

    :return: ``at …``, or ``soon`` where systemd does not tell; None: there is no drill.
    """
    timer = f"{DRILL}.timer"
    if host.run(["systemctl", "is-active", "--quiet", timer]).code != 0:
        return None
    told = host.run(["systemctl", "list-timers", "--no-pager", "--no-legend", timer])
    found = _MOMENT.search(told.out)
    return f"at {found[1]}" if found else "soon"


# -- starting and stopping -------------------------------------------------------------------


def systemctl(verb: str, *units: str, wait: bool = True) -> Command:
    """Return a call of `systemctl`; a unit that is not there need not be stopped, or killed."""
    block = () if wait else ("--no-block",)
    ok = {"stop": (0, _NO_UNIT), "kill": (0, 1, _NO_UNIT)}.get(verb, (0,))
    return Command(("systemctl", *block, verb, *units), ok=ok, timeout=60.0)


def stopped(server: Server, host: Host) -> Effects[None]:
    """Stop a server and wait for its end: the next one cannot have its ports before.

    :raises EffectError: it does not end.
    """
    yield Run(systemctl("stop", server.unit))
    started: float = yield ReadClock()
    ended = False
    while pids := serving(server, read_sockets(host)):
        now: float = yield ReadClock()
        if now - started > LEFT_OVER and not ended:
            # A stop that comes in the middle of a start, whose run was killed, ends the init
            # script alone: the unit is inactive, its dhcpd goes on, and no other stop ends it.
            ended = True
            yield Run(systemctl("kill", server.unit))
        if now - started > STOPPING:
            raise EffectError(
                # Not as the way out: an undone change has another one.
                f"pid {pids[0]} still serves {STOPPING:g} s after its stop, for it was not started "
                "by its service; end it, and run again",
                where=server.unit,
            )
        yield Pause(LOOK_AGAIN)


def started(server: Server, host: Host, address: str = "", port: int = 0) -> Effects[None]:
    """Start a server that does not run, and wait until it serves and listens for its peer.

    ``restart``, for a unit whose program has died may still count as active.

    :param address: where it shall listen; empty: nowhere.
    :raises EffectError: it does not start; with the last words of its log.
    :raises VerifyError: it runs and does not come to listen.
    """
    try:
        yield from _restarted(server, host)
    except EffectError as error:
        # Where no interface is named Debian's script starts dhcpd for IPv6 as well, and fails with
        # it: a server that was found so serves again as it did.
        if not address and serving(server, read_sockets(host)):
            return
        said = f"{error.what}; {last_words(server, host)}"
        raise EffectError(f"does not start: {said}", where=server.unit) from error
    began: float = yield ReadClock()
    while True:
        sockets = read_sockets(host)
        if serving(server, sockets) and (not address or listens(sockets, address, port)):
            return
        now: float = yield ReadClock()
        # Kea's own check passes over half of the hook's parameters, and a unit that has failed
        # serves no more: no reason to wait, for until the way back nobody is served.
        if _has_failed(server, host) or now - began > STARTING:
            wanted = f" on {address}:{port}" if serving(server, sockets) else ""
            raise VerifyError(
                f"was started and does not listen{wanted}: {last_words(server, host)}",
                where=server.unit,
                way_out="everything was put back",
            )
        yield Pause(LOOK_AGAIN)


def _has_failed(server: Server, host: Host) -> bool:
    """Tell whether a unit has failed; one that is to be tried again by itself among them."""
    if host.run(["systemctl", "is-failed", "--quiet", server.unit]).code == 0:
        return True
    return _is_tried_again(server, host)


def _is_tried_again(server: Server, host: Host) -> bool:
    """Tell whether a unit that has ended waits for its next start, systemd.service(5) Restart."""
    told = host.run(["systemctl", "show", "--property=SubState", "--value", server.unit])
    return told.out.strip() == "auto-restart"


def _restarted(server: Server, host: Host) -> Effects[None]:
    """Start a unit, also one that systemd holds back because it was started too often.

    systemd.unit(5), StartLimitBurst: five starts in ten seconds, which a change that fails, its way
    back and the run after it can come to.
    """
    try:
        yield Run(systemctl("restart", server.unit))
    except EffectError:
        asked = host.run(["systemctl", "show", "--property=Result", "--value", server.unit])
        if asked.out.strip() != "start-limit-hit":
            raise
        yield Run(systemctl("reset-failed", server.unit))
        yield Run(systemctl("restart", server.unit))


def last_words(server: Server, host: Host, count: int = 40) -> str:
    """Return the last lines of a server's log that complain, in one line."""
    argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={count}"]
    # Not `--unit`: systemd's own lines about it come last, and say nothing of why.
    told = host.run([*argv, f"_SYSTEMD_UNIT={server.unit}"])
    lines = [" ".join(line.split()) for line in told.out.splitlines() if line.strip()]
    lines = [line for line in lines if not _BOILERPLATE.match(line)]
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    return " / ".join((complaints or lines)[-3:])[:400] or "its log says nothing"


#: What dhcpd says behind each of its complaints, and its init script behind that.
_BOILERPLATE = re.compile(
    r"If you think you have|than a configuration issue|bugs on either|before submitting a bug"
    r"|process and the information|exiting\.|Starting ISC DHCPv4|failed!"
)
#: What a line of a server's log has in it that says why it gave up.
_COMPLAINT = re.compile(
    r"(?i)\b(error|fatal|fail(ed|ure)?|can'?t|cannot|unable|not configured|no subnet|refus"
    r"|in use|expected|unknown|bad|invalid|exiting)"
)


# -- the way back ----------------------------------------------------------------------------


def put_back(states: tuple[State, ...], host: Host, *, live: bool = True) -> Effects[None]:
    """Bring servers back to run, or not to, as they did; one that nobody stopped stays.

    Files are as they were by now. At boot nothing of it runs yet, and it is not waited for.

    :raises EffectError: one does not start, or does not end; what else there is was done.
    :raises VerifyError: one does not come to serve; the same.
    """
    failed: IpaliasError | None = None
    sockets = read_sockets(host) if live else []
    other = [
        state
        for state in states
        if serving(SERVERS[state.implementation], sockets) != state.pids
        # It would come a moment later.
        or (live and not state.pids and _is_tried_again(SERVERS[state.implementation], host))
    ]
    for state in states:
        server = SERVERS[state.implementation]
        if is_enabled(server, host) != state.enabled:
            try:
                yield Run(systemctl("enable" if state.enabled else "disable", server.unit))
            except EffectError as error:
                failed = failed or error
        if not live and not state.enabled:
            yield Run(systemctl("stop", server.unit, wait=False))
    # All of them first: one that goes has the ports of one that comes back.
    for step in (stopped, started) if live else ():
        for state in other:
            try:
                if step is stopped or state.pids:
                    yield from step(SERVERS[state.implementation], host)
            except (EffectError, VerifyError) as error:
                failed = failed or error
    if failed is not None:
        raise failed
