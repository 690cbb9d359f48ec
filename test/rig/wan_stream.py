"""Streams of small packets through a site, and what became of each (standard library only).

wan_stream.py echo PORT    answers each datagram, and each line over TCP, with itself and the
                           address it came from
wan_stream.py send         sends and listens, as told by a line of JSON on standard input

``{"do": "start", "address": …, "port": …, "flows": 1, "fresh": true, "tcp": 0, "every": 0.01}``
starts flows of datagrams, with ``fresh`` one more in which each datagram is a flow of its own,
and so many TCP connections. ``{"do": "look"}`` answers with the flows that have had no answer
yet. ``{"do": "stop"}`` ends them and answers with every send and answer,
by flow; times are the boot clock's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import selectors
import socket
import sys
import threading
import time
from collections import deque
from typing import Any

#: Each flow has a port that none before it had: the router has not forgotten those.
PORTS = itertools.cycle(range(10000, 60000))
#: Sockets of the flow of fresh ones that still wait for their answer.
FRESH = 256
#: Seconds without any answer after which none is under way any more.
QUIET = 0.5
#: Bytes that wait for a reader who got no processor: what it drops is no loss of a line's.
BUFFER, SO_RCVBUFFORCE = 1 << 23, 33


def spacious(made: socket.socket) -> None:
    """Let a socket keep what its reader is late for."""
    with contextlib.suppress(PermissionError):
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)


def clock() -> float:
    """Return the boot clock, as the monitor's journal has it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def echo(port: int) -> None:
    """Answer until the end."""
    waiting = selectors.DefaultSelector()
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            made = socket.socket(family, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((anywhere, port))
            if kind == socket.SOCK_STREAM:
                made.listen(64)
            else:
                spacious(made)
            waiting.register(made, selectors.EVENT_READ, kind)
    print("serving", flush=True)
    while True:
        for key, _ in waiting.select():
            made = key.fileobj  # type: ignore[assignment]
            if key.data == socket.SOCK_DGRAM:
                data, sender = made.recvfrom(2048)
                with contextlib.suppress(OSError):
                    made.sendto(data + b" " + sender[0].encode(), sender)
            elif key.data == socket.SOCK_STREAM:
                accepted, sender = made.accept()
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(accepted, selectors.EVENT_READ, sender[0])
            else:
                data = b""
                with contextlib.suppress(OSError):
                    data = made.recv(2048)
                    end = b" " + key.data.encode() + b"\n"
                    made.sendall(b"".join(row + end for row in data.splitlines()))
                if not data:
                    waiting.unregister(made)
                    made.close()


class Streams:
    """The flows of one start."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.to = request["address"], request["port"]
        self.family = socket.AF_INET6 if ":" in self.to[0] else socket.AF_INET
        self.every = request.get("every", 0.01)
        self.waiting = selectors.DefaultSelector()
        self.flows: dict[str, dict[str, Any]] = {}
        self.sockets: dict[str, socket.socket] = {}
        self.fresh: deque[socket.socket] | None = deque() if request.get("fresh") else None
        for number in range(request.get("flows", 1)):
            self._add(f"udp{number}", socket.SOCK_DGRAM)
        for number in range(request.get("tcp", 0)):
            self._add(f"tcp{number}", socket.SOCK_STREAM)
        if self.fresh is not None:
            self.flows["fresh"] = {"sent": [], "heard": [], "error": ""}
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _bound(self, kind: int) -> socket.socket:
        made = socket.socket(self.family, kind)
        made.bind(("", next(PORTS)))
        return made

    def _add(self, name: str, kind: int) -> None:
        made = self._bound(kind)
        if kind == socket.SOCK_STREAM:
            made.settimeout(5)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.connect(self.to)
        else:
            spacious(made)
            made.connect(self.to)
        made.setblocking(False)
        self.sockets[name] = made
        self.flows[name] = {"sent": [], "heard": [], "error": ""}
        self.waiting.register(made, selectors.EVENT_READ, name)

    def _run(self) -> None:
        due = clock()
        while not self.ending:
            now = clock()
            if now >= due:
                self._send(now)
                due += self.every
            for key, _ in self.waiting.select(max(0.0, due - clock())):
                self._hear(key.fileobj, key.data)  # type: ignore[arg-type]
        # A reader who was late has answers before it that came in time.
        while ready := self.waiting.select(QUIET if self._owed() else 0):
            for key, _ in ready:
                self._hear(key.fileobj, key.data)  # type: ignore[arg-type]

    def _owed(self) -> bool:
        """Tell whether an answer is missing to what was sent last."""
        return any(
            flow["sent"] and (not flow["heard"] or flow["heard"][-1][0] < len(flow["sent"]) - 1)
            for flow in self.flows.values()
        )

    def _send(self, now: float) -> None:
        for name, made in self.sockets.items():
            self._one(name, made, now)
        if self.fresh is not None:
            made = self._bound(socket.SOCK_DGRAM)
            made.setblocking(False)
            made.connect(self.to)
            self.fresh.append(made)
            self.waiting.register(made, selectors.EVENT_READ, "fresh")
            self._one("fresh", made, now)
            if len(self.fresh) > FRESH:
                old = self.fresh.popleft()
                self.waiting.unregister(old)
                old.close()

    def _one(self, name: str, made: socket.socket, now: float) -> None:
        flow = self.flows[name]
        if name.startswith("tcp") and flow["error"]:
            return
        try:
            made.send(b"%d\n" % len(flow["sent"]) if name[0] == "t" else b"%d" % len(flow["sent"]))
        except BlockingIOError:
            return
        except OSError as error:
            flow["error"] = type(error).__name__
        flow["sent"].append(now)

    def _hear(self, made: socket.socket, name: str) -> None:
        flow = self.flows[name]
        try:
            data = made.recv(65536)
        except OSError as error:
            flow["error"] = type(error).__name__
            data = b""
        if not data:
            if name.startswith("tcp"):
                flow["error"] = flow["error"] or "closed"
                self.waiting.unregister(made)
            return
        now = clock()
        for row in data.splitlines():
            words = row.split()
            if len(words) == 2:
                flow["heard"].append([int(words[0]), now, words[1].decode()])

    def unheard(self) -> list[str]:
        """Return the flows that have had no answer yet."""
        return [name for name, flow in self.flows.items() if not flow["heard"]]

    def stop(self) -> dict[str, Any]:
        """End and return what was sent and heard."""
        self.ending = True
        self.thread.join()
        for made in [*self.sockets.values(), *(self.fresh or ())]:
            made.close()
        return self.flows


def send() -> None:
    """Do what each line says."""
    streams: Streams | None = None
    for row in sys.stdin:
        request: dict[str, Any] = json.loads(row)
        answer: Any = None
        if request["do"] == "start":
            streams = Streams(request)
            answer = clock()
        elif streams is not None:
            answer = streams.unheard() if request["do"] == "look" else streams.stop()
        print(json.dumps(answer), flush=True)


if sys.argv[1] == "echo":
    echo(int(sys.argv[2]))
else:
    send()
