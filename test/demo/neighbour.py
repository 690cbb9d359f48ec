"""The router beside the demo's host, in a network namespace of its own.

It runs as a process that is asked over its standard input: the first line is a batch for
`ip`, each further one a list of addresses; the answer is the list of those that answered.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

#: Nothing listens there, so a host that has the address refuses the connection at once.
PORT = 9
#: Seconds until an address counts as silent.
PATIENCE = 1.5

SETUP = (
    "link set lo up",
    "link set eth0 up",
    "address add 192.0.2.1/24 dev eth0",
    "address add 2001:db8::1/64 dev eth0 nodad",
    "route add 198.51.100.0/24 dev eth0",
    "route add 203.0.113.0/24 dev eth0",
)


class Neighbour:
    """Hold the router's process.

    :raises OSError: where no further network namespace can be made.
    """

    def __init__(self) -> None:
        argv = ["unshare", "--net", sys.executable, __file__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        if self._answer() != []:
            raise OSError("the router beside the demo's host did not start")
        self.pid = self._process.pid

    def connect(self) -> None:
        """Configure the router's side once its eth0 is there."""
        self._ask(list(SETUP))

    def answering(self, addresses: list[str]) -> set[str]:
        """Return those of the addresses that answer on the wire."""
        return set(self._ask(addresses))

    def close(self) -> None:
        """End the process, and with it its namespace."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=30)

    def _ask(self, words: list[str]) -> list[str]:
        assert self._process.stdin is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"the router ended with code {self._process.wait(timeout=30)}")
        words: list[str] = json.loads(line)
        return words


def answers(address: str) -> bool:
    """Tell whether a host with this address is there: it refuses the connection itself."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(PATIENCE)
        try:
            tried.connect((address, PORT))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True


def main() -> None:
    """Answer the lines of standard input."""
    reply: Callable[[list[str]], None] = lambda words: print(json.dumps(words), flush=True)  # noqa: E731
    reply([])
    batch = json.loads(sys.stdin.readline())
    subprocess.run(["ip", "-batch", "-"], input="\n".join(batch) + "\n", text=True, check=True)
    reply([])
    with ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            asked = json.loads(line)
            reply([a for a, there in zip(asked, pool.map(answers, asked), strict=True) if there])


if __name__ == "__main__":
    main()
