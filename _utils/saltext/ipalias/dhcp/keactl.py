"""Ask kea-dhcp4: this one through its control socket, the other one through its HA port.

A command is a JSON object, so is the answer: ``result`` (0: done, 3: done, and nothing there),
``text``, ``arguments``; over HTTP a list of one. Kea's Administrator Reference Manual, "Management
API" and "libdhcp_ha.so: High Availability". Seen with 2.2.0 (Debian 12) and 2.6.3 (Debian 13).
"""

from __future__ import annotations

import email.utils
import http.client
import json
import re
import socket
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..errors import MALFORMED, EffectError, RefusedError
from . import model

_DONE, _EMPTY = 0, 3
#: Longest answer that is read (bytes): of statistics a line a subnet.
_LONGEST: Final = 1 << 22
#: ``ha-maintenance-start`` asks the peer first, which takes its time where that is dead.
MAINTENANCE: Final = 30.0
#: Seconds after which a partner that was told to be still for ``ha-sync`` serves again whatever
#: becomes of who told it.
STILL: Final = 60
_COUNTER: Final = re.compile(r"subnet\[([0-9]{1,10})\]\.((?:total|assigned|declined)-addresses)")

#: States of the hook in the words that both implementations are told in.
WORDS: Final[Mapping[str, str]] = {
    "load-balancing": model.NORMAL,
    "hot-standby": model.NORMAL,
    "passive-backup": model.NORMAL,
    "backup": model.NORMAL,
    "communication-recovery": model.INTERRUPTED,
    "partner-down": model.PARTNER_DOWN,
    "partner-in-maintenance": model.PARTNER_DOWN,
    "in-maintenance": model.STOPPED,
    "terminated": model.STOPPED,
    "syncing": model.RECOVERING,
    "ready": model.RECOVERING,
    "waiting": model.WAITING,
}


class HaState(NamedTuple):
    """Hold what a server says of the pair.

    :param local, partner: states as Kea names them; the partner's as it said it last.
    :param interrupted: whether it counts communication as cut.
    :param heard: seconds since the partner's last answer; None: there was none.
    :param unacked: clients that seem not to be served by the partner.
    :param unacked_left: further ones until it takes the partner for dead.
    """

    local: str
    partner: str
    interrupted: bool
    heard: float | None
    unacked: int
    unacked_left: int


class Heartbeat(NamedTuple):
    """Hold an answer to a heartbeat.

    :param time: the server's clock, seconds since 1970.
    :param unsent: lease updates that it could not send.
    """

    state: str
    time: float | None
    scopes: tuple[str, ...]
    unsent: int


class SubnetLeases(NamedTuple):
    """Hold the counters of a subnet."""

    subnet: int
    total: int
    assigned: int
    declined: int


def ask(
    path: str, command: str, timeout: float = 2.0, arguments: Mapping[str, Any] | None = None
) -> Any:
    """Give this host's kea-dhcp4 a command and return the answer's arguments.

    :param path: of its control socket.
    :param timeout: seconds.
    :param arguments: of the command.
    :raises EffectError: it does not answer.
    :raises RefusedError: it refuses, or does not know the command.
    """
    until = time.monotonic() + timeout
    request: dict[str, Any] = {"command": command}
    if arguments is not None:
        request["arguments"] = dict(arguments)
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
            client.sendall(json.dumps(request).encode())
            while len(data) <= _LONGEST:
                client.settimeout(max(0.001, until - time.monotonic()))
                more = client.recv(65536)
                if not more:
                    break
                data += more
    except OSError as error:
        raise _unanswered(error, path) from error
    return parse_answer(data, command, path)


def ask_peer(address: str, port: int, command: str, timeout: float = 2.0) -> Any:
    """Give the other server a command over its HA port and return its arguments.

    Kea from 2.7.9 on takes there, unless told otherwise, what its own kind sends and no more:
    ``ha-heartbeat`` is among that, ``status-get`` is not.

    :raises EffectError: it does not answer.
    :raises RefusedError: it refuses.
    """
    where = f"http://{address}:{port}/"
    body = json.dumps({"command": command, "service": ["dhcp4"]})
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read(_LONGEST)
        if answer.status in (401, 403):
            raise RefusedError(f"{command}: it answers {answer.status}", where=where)
        if answer.status != 200:
            raise EffectError(f"{command}: it answers {answer.status}", where=where)
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(error, where) from error
    finally:
        connection.close()
    return parse_answer(data, command, where)


def parse_answer(data: bytes, command: str, where: str) -> Any:
    """Return an answer's arguments.

    :raises EffectError: it is none.
    :raises RefusedError: the server refuses.
    """
    try:
        found = json.loads(data)
        answer = found[0] if isinstance(found, list) else found
        result, text = int(answer["result"]), str(answer.get("text", ""))
        arguments = answer.get("arguments", {})
    except (*MALFORMED, IndexError):
        raise EffectError(f"{command}: the answer is none of Kea's", where=where) from None
    if result not in (_DONE, _EMPTY):
        raise RefusedError(f"{command}: {text[:300] or f'result {result}'}", where=where)
    return arguments


def _unanswered(error: Exception, where: str) -> EffectError:
    said = getattr(error, "strerror", None) or str(error) or "no answer in time"
    return EffectError(
        f"kea-dhcp4 does not answer: {said}",
        where=where,
        way_out="see `systemctl status kea-dhcp4-server`, and control-socket there",
    )


def parse_status(arguments: Any, where: str) -> HaState:
    """Return what ``status-get`` says of the pair.

    :raises RefusedError: it runs without the hook.
    :raises EffectError: not as Kea says it.
    """
    try:
        relations = arguments.get("high-availability") or []
        if not relations:
            raise RefusedError(
                "it runs without high availability",
                where=where,
                way_out="apply the state ipalias.dhcp",
            )
        servers = relations[0]["ha-servers"]
        local, remote = servers["local"], servers["remote"]
        known = bool(remote.get("in-touch"))
        return HaState(
            local=str(local["state"]),
            partner=str(remote.get("last-state", "")) or "unknown",
            interrupted=bool(remote.get("communication-interrupted")),
            # Before anything was heard, ``age`` counts from the server's own start.
            heard=float(remote["age"]) if known and "age" in remote else None,
            unacked=int(remote.get("unacked-clients", 0)),
            unacked_left=int(remote.get("unacked-clients-left", 0)),
        )
    except (*MALFORMED, IndexError):
        raise EffectError("status-get: the answer is none of Kea's", where=where) from None


def parse_heartbeat(arguments: Any, where: str) -> Heartbeat:
    """Return what a server answers to a heartbeat.

    :raises EffectError: not as Kea says it.
    """
    try:
        said = arguments.get("date-time")
        moment = email.utils.parsedate_to_datetime(said).timestamp() if said else None
        return Heartbeat(
            state=str(arguments["state"]),
            time=moment,
            scopes=tuple(str(each) for each in arguments.get("scopes", ())),
            unsent=int(arguments.get("unsent-update-count", 0)),
        )
    except MALFORMED:
        raise EffectError("ha-heartbeat: the answer is none of Kea's", where=where) from None


def parse_statistics(arguments: Any, where: str) -> list[SubnetLeases]:
    """Return the counters of each subnet as ``statistic-get-all`` tells them.

    Of it and not of ``stat-lease4-get``, which is a hook of its own.

    :raises EffectError: not as Kea says it.
    """
    found: dict[int, dict[str, int]] = {}
    try:
        for name, samples in arguments.items():
            match = _COUNTER.fullmatch(name)
            if match:
                # The newest sample is the first; with it comes the time of it.
                found.setdefault(int(match[1]), {})[match[2]] = int(samples[0][0])
        return [
            SubnetLeases(
                number,
                counters["total-addresses"],
                counters.get("assigned-addresses", 0),
                counters.get("declined-addresses", 0),
            )
            for number, counters in sorted(found.items())
        ]
    except (*MALFORMED, IndexError):
        raise EffectError("statistic-get-all: the answer is none of Kea's", where=where) from None


def set_partner_down(path: str) -> HaState:
    """Have kea-dhcp4 take its partner for dead, and return what it says then.

    By ``ha-maintenance-start``: it asks the partner first and goes to ``partner-down`` where that
    does not answer, else to ``partner-in-maintenance``, which is taken back. Whether the partner
    is dead is the caller's to know.

    :raises RefusedError: the partner does answer, or the server refuses.
    """
    ask(path, "ha-maintenance-start", MAINTENANCE)
    after = parse_status(ask(path, "status-get"), path)
    if after.local == "partner-down":
        return after
    if after.local == "partner-in-maintenance":
        ask(path, "ha-maintenance-cancel", MAINTENANCE)
    raise RefusedError(
        f"the partner answered, and this server became {after.local}: taken back",
        where=path,
        way_out="stop the partner's service first",
    )


def synchronize(path: str, partner: str) -> None:
    """Have kea-dhcp4 fetch the leases of its partner, which gives out none meanwhile.

    :param partner: the partner's name in the hook's ``peers``.
    :raises RefusedError: the partner is not to be had, or refuses.
    """
    arguments = {"server-name": partner, "max-period": STILL}
    ask(path, "ha-sync", STILL + 10.0, arguments)


def word_of(state: str, interrupted: bool = False) -> str:
    """Return a state in the words that both implementations are told in.

    :param interrupted: hot standby goes on calling itself so while it waits for unacked clients.
    """
    word = WORDS.get(state, model.UNKNOWN)
    return model.INTERRUPTED if interrupted and word == model.NORMAL else word
