"""Flows between two hosts, each told under which address the other end sees it.

Standard library only; a program for either end:

flows.py serve PORT            answers each datagram and each line with its sender's address
flows.py open                  opens flows and asks over them, as told by JSON on standard input
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any

#: Seconds in which all answers have come, or never will.
PATIENCE = 4.0
SO_RCVBUFFORCE = 33


def serve(port: int) -> None:
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
                made.listen(2048)
            else:
                # A thousand questions at once are no loss of the network's.
                made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
            waiting.register(made, selectors.EVENT_READ, "" if kind == socket.SOCK_DGRAM else None)
    print("serving", flush=True)
    while True:
        for key, _ in waiting.select():
            made = key.fileobj  # type: ignore[assignment]
            if key.data == "":
                data, sender = made.recvfrom(2048)
                made.sendto(sender[0].encode(), sender)
            elif key.data is None:
                accepted, sender = made.accept()
                waiting.register(accepted, selectors.EVENT_READ, sender[0])
            else:
                try:
                    data = made.recv(2048)
                except OSError:
                    data = b""
                if data:
                    made.sendall(key.data.encode() + b"\n")
                else:
                    waiting.unregister(made)
                    made.close()


class Flows:
    """Flows from here, in the order in which they were opened."""

    def __init__(self) -> None:
        self.flows: list[socket.socket] = []

    def open(self, kind: str, address: str, port: int, count: int, source: str = "") -> list[str]:
        """Open flows and return how the other end sees each; "" for no answer."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        of = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[kind]
        first = len(self.flows)
        for _ in range(count):
            made = socket.socket(family, of)
            made.setblocking(False)
            if source:
                made.bind((source, 0))
            made.connect_ex((address, port))
            self.flows.append(made)
        return self.ask(range(first, len(self.flows)))

    def ask(self, which: Any = None) -> list[str]:
        """Ask over each flow once, and return the answers, or the name of the error."""
        chosen = range(len(self.flows)) if which is None else which
        answers = dict.fromkeys(chosen, "")
        waiting = selectors.DefaultSelector()
        for at in chosen:
            waiting.register(self.flows[at], selectors.EVENT_READ | selectors.EVENT_WRITE, at)
        end = time.monotonic() + PATIENCE
        while waiting.get_map() and time.monotonic() < end:
            for key, events in waiting.select(0.05):
                flow = self.flows[key.data]
                try:
                    if events & selectors.EVENT_READ:
                        answers[key.data] = flow.recv(2048).decode().strip() or "closed"
                        waiting.unregister(flow)
                    else:
                        flow.send(b"?\n")
                        waiting.modify(flow, selectors.EVENT_READ, key.data)
                except OSError as error:
                    answers[key.data] = type(error).__name__
                    waiting.unregister(flow)
        return list(answers.values())


def answer() -> None:
    """Do what each line says."""
    flows = Flows()
    for row in sys.stdin:
        request: dict[str, Any] = json.loads(row)
        print(json.dumps(getattr(flows, request.pop("do"))(**request)), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    answer()
