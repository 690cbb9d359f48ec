"""Both ends of a TCP echo, run on the hosts as programs of their own (standard library only).

echo.py serve ADDRESS          answers; says the port
echo.py ask ADDRESS PORT       asks every 10 ms until standard input is closed, then says
                               in JSON what it has seen
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import time

#: Seconds between two questions.
PERIOD = 0.01
#: Seconds the answers still under way may take at the end.
LINGER = 10.0


def serve(address):
    """Answer every connection with what it sends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(connection, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.sendall(data)
                    continue
            except OSError:
                pass
            waiting.unregister(key.fileobj)
            key.fileobj.close()


class Client:
    """Ask, and keep the longest time without an answer."""

    def __init__(self, address, port):
        self.target = (address, int(port))
        self.connection = None
        self.waiting = selectors.DefaultSelector()
        self.resets = 0
        self.answers = 0
        self.under_way = 0
        self.longest = 0.0
        self.stall = 0.0
        self.first_reset = ""

    def connect(self, patience):
        """Connect, or count one more reset when that fails."""
        try:
            self.connection = socket.create_connection(self.target, timeout=patience)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.setblocking(False)
            self.waiting.register(self.connection, selectors.EVENT_READ)
            self.under_way = 0
        except OSError as error:
            self.lost(error)

    def lost(self, error):
        """Count a connection that was lost."""
        self.resets += 1
        self.first_reset = self.first_reset or str(error)
        if self.connection:
            with contextlib.suppress(KeyError):
                self.waiting.unregister(self.connection)
            self.connection.close()
        self.connection = None

    def ask(self):
        """Send one byte; a full send buffer means that none is answered anyway."""
        try:
            self.connection.send(b"?")
            self.under_way += 1
        except BlockingIOError:
            pass
        except OSError as error:
            self.lost(error)

    def hear(self):
        """Take what has come."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
            return
        if not data:
            self.lost("closed by the other side")
            return
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now
        self.answers += len(data)
        self.under_way -= len(data)

    def run(self):
        """Ask until told to stop, then wait for what is under way."""
        self.connect(5.0)
        if not self.connection:
            sys.exit(self.first_reset)
        self.last = time.monotonic()
        due = seen = self.last
        stopping = 0.0
        announced = False
        self.waiting.register(0, selectors.EVENT_READ)
        while not stopping or (self.under_way > 0 and time.monotonic() < stopping):
            if not self.connection:
                self.connect(0.05)
                if not self.connection:
                    time.sleep(PERIOD)
            ready = self.waiting.select(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            # Time in which this program did not run is none the host has lost.
            self.stall = max(self.stall, now - max(due, seen) if not ready else 0.0)
            seen = now
            for key, _ in ready:
                if key.fileobj == 0:
                    self.waiting.unregister(0)
                    stopping = now + LINGER
                elif self.connection:
                    self.hear()
            if now >= due and not stopping:
                due = max(due + PERIOD, now)
                if self.connection:
                    self.ask()
            if self.answers and not announced:
                announced = True
                print("ready", flush=True)
        self.longest = max(self.longest, time.monotonic() - self.last if self.under_way else 0.0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    client = Client(sys.argv[2], sys.argv[3])
    client.run()
    report = {
        "longest_gap_ms": client.longest * 1000,
        "resets": client.resets,
        "answers": client.answers,
        "stall_ms": client.stall * 1000,
        "first_reset": client.first_reset,
    }
    os.write(1, json.dumps(report).encode())
