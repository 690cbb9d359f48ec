"""Take an operator's word while running: a Unix socket that only root reaches.

One line of JSON in, one out, as `ask` does it. ``{"verb": "fail", "uplink": "wan1",
"seconds": 600}``; ``acted`` says that a reaction has switched (`react: event`), ``status``
asks for the whole state. Nothing here ever waits: who connects and stays silent is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import MALFORMED, EffectError, InputError
from ..values import short
from . import clocks
from .exchanges import READ, WRITE
from .model import VERBS, Command, WanConfig
from .sockets import Watch

#: Longest request (bytes), most of them at once, seconds until a silent one is dropped.
LONGEST, MOST, PATIENCE = 4096, 16, 5.0
ACTED, STATUS = "acted", "status"
#: Longest time that an override can be given (seconds): a year, to be no mistake.
LONGEST_OVERRIDE = 366 * 86400.0
Answer = Mapping[str, Any]


def parse_request(text: str) -> dict[str, Any]:
    """Return a request's fields.

    :raises InputError: it is none.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or not isinstance(found["verb"], str):
            raise ValueError
    except MALFORMED:
        raise InputError(f"{text[:80]!r} is no request", where="control") from None
    return found


def parse_command(request: Mapping[str, Any], config: WanConfig, now: float) -> Command:
    """Return what an operator says of an uplink.

    :raises InputError: an unknown verb, uplink or family, or a time that is none.
    """
    verb, name, family = request["verb"], request.get("uplink"), request.get("family")
    if verb not in VERBS:
        raise InputError(f"{verb!r} is none of {', '.join(VERBS)}", where="control")
    uplink = next((uplink for uplink in config.uplinks if uplink.name == name), None)
    if uplink is None:
        raise InputError(f"there is no uplink {short(name)}", where="control")
    name = uplink.name
    families = {way.line.family for way in uplink.ways}
    if family is not None and (type(family) is not int or family not in families):
        raise InputError(f"{name} has no IPv{short(family)}", where="control")
    seconds = request.get("seconds")
    if seconds is None:
        return Command(verb, name, None, family, str(request.get("by", ""))[:200])
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InputError(f"{short(seconds)} is no number of seconds", where="control")
    if not 0 < seconds <= LONGEST_OVERRIDE:
        raise InputError(f"{str(seconds)[:40]} seconds is out of range", where="control")
    return Command(verb, name, now + seconds, family, str(request.get("by", ""))[:200])


class Control:
    """Listen for requests.

    :param path: of the socket, made anew, 0600.
    :param answer: returns the answer to a request; an `InputError` of it is told.
    :raises OSError: the socket cannot be made.
    """

    def __init__(self, watch: Watch, path: str, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self._watch, self._path, self._answer = watch, path, answer
        self._clients: dict[int, _Client] = {}
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        before = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(before)
        self._socket.listen(MOST)
        watch.add(self._socket.fileno(), READ, self._accept)

    def _accept(self, mask: int) -> None:
        while True:
            try:
                opened, _ = self._socket.accept()
            except OSError:
                return
            self.expire(clocks.boot_clock())
            if len(self._clients) >= MOST:
                opened.close()
                continue
            opened.setblocking(False)
            client = _Client(opened, clocks.boot_clock() + PATIENCE)
            self._clients[opened.fileno()] = client
            self._watch.add(opened.fileno(), READ, self._mover(client))

    def _mover(self, client: _Client) -> Callable[[int], None]:
        def move(mask: int) -> None:
            try:
                if client.out is None:
                    self._read(client)
                if client.out is not None:
                    client.out = client.out[client.socket.send(client.out) :]
                    self._watch.change(client.socket.fileno(), WRITE)
                    if not client.out:
                        self._drop(client)
            except BlockingIOError:
                return
            except OSError:
                self._drop(client)

        return move

    def _read(self, client: _Client) -> None:
        data = client.socket.recv(LONGEST)
        client.heard += data
        if not data or len(client.heard) > LONGEST:
            raise OSError
        line, end, _ = client.heard.partition(b"\n")
        if not end:
            return
        try:
            said = dict(self._answer(parse_request(line.decode("utf-8", "replace"))))
        except InputError as error:
            said = {"error": error.text()}
        client.out = json.dumps(said).encode() + b"\n"

    def expire(self, now: float) -> None:
        """Drop who says nothing."""
        for client in [c for c in self._clients.values() if c.until <= now]:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.socket.fileno(), None) is not None:
            self._watch.remove(client.socket.fileno())
            client.socket.close()

    def close(self) -> None:
        """Close all and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._watch.remove(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)


class _Client:
    """Hold one who has connected."""

    __slots__ = ("heard", "out", "socket", "until")

    def __init__(self, opened: socket.socket, until: float) -> None:
        self.socket, self.until = opened, until
        self.heard = b""
        self.out: bytes | None = None


def ask(path: str, request: Mapping[str, Any], timeout: float = PATIENCE) -> dict[str, Any]:
    """Send a request to the monitor and return its answer.

    :param timeout: seconds.
    :raises EffectError: no monitor runs, or it does not answer.
    :raises InputError: it refuses.
    """
    way_out = "start the service ipalias-wan, or see its log"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
            client.sendall(json.dumps(dict(request)).encode() + b"\n")
            said = b""
            while data := client.recv(65536):
                said += data
        answer = json.loads(said)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it ended while answering"
        if isinstance(error, TimeoutError):
            reason = f"nothing within {timeout:g} s"
        raise EffectError(
            f"the monitor does not answer: {reason}", where=path, way_out=way_out
        ) from error
    if not isinstance(answer, dict):
        raise EffectError("the monitor's answer is none", where=path, way_out=way_out)
    if "error" in answer:
        raise InputError(str(answer["error"]))
    return answer
