"""What pytest-salt-factories has, with its programs and sockets on hosts of the rig.

The package itself knows one machine: its daemons start on the machine's own network, where no
alias could be real, and its two servers listen there on every address. Here each program is
started through the command line that enters its host, and each server opens its sockets in
the network namespace of the master, where master and minions reach it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from typing import IO, Any

from saltfactories.plugins.event_listener import EventListener
from saltfactories.plugins.log_server import LogServer

from rig.machine import Machine
from rig.netns import NetHost
from rig.process import ENVIRONMENT

#: Ports on the master's host beside Salt's own two.
EVENT_PORT, LOG_PORT = 4510, 4511
#: What is forwarded of the daemons' logs, to be shown beside a test that fails.
LOG_LEVEL = "error"

# sched.h; `os.setns` came with Python 3.12.
CLONE_NEWNET = 0x40000000


def inside(host: Machine, factory: type) -> type:
    """Return a daemon's or a command line tool's factory, its program to start on a host."""

    class Inside(factory):  # type: ignore[misc,valid-type]
        def cmdline(self, *args: str, **kwargs: Any) -> list[str]:
            return host.enter(super().cmdline(*args, **kwargs))

    # It goes into the daemon's configuration, and stands before each line of its log.
    Inside.__name__ = factory.__name__
    return Inside


def environment() -> dict[str, str]:
    """Return the environment of the programs; what is empty would be set by salt-factories.

    A real minion writes bytecode of the modules that it has synced.
    """
    return {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": ""}


@contextlib.contextmanager
def network_of(host: NetHost) -> Iterator[IO[bytes]]:
    """Give the open file of a host's network namespace; it outlives the host."""
    with open(f"/proc/{host.pid}/ns/net", "rb") as file:
        yield file


def enter_network(network: IO[bytes]) -> None:
    """Move the calling thread into a network; other threads stay where they are.

    A socket belongs to the network it was opened in for as long as it is open.

    :param network: the open file of its namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network.fileno(), CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


class Events(EventListener):
    """The listener that the daemons forward their events to; it listens on a host.

    :param network: the open file of the host's network namespace.
    :param address: one of the host's.
    """

    def __init__(self, network: IO[bytes], address: str) -> None:
        super().__init__()
        self._network = network
        self.host, self.port = address, EVENT_PORT
        self.address = f"tcp://{self.host}:{self.port}"

    def _run_loop_in_thread(self) -> None:
        enter_network(self._network)
        super()._run_loop_in_thread()


class Logs(LogServer):
    """The server that the daemons forward their logs to; it listens on a host.

    :param network: the open file of the host's network namespace.
    :param address: one of the host's.
    """

    def __init__(self, network: IO[bytes], address: str) -> None:
        super().__init__(log_level=LOG_LEVEL)
        self._network = network
        self.log_host, self.log_port = address, LOG_PORT

    def process_logs(self) -> None:
        enter_network(self._network)
        super().process_logs()

    def stop(self) -> None:
        # It tells its own thread to end through the same socket.
        thread = threading.Thread(target=self._stop)
        thread.start()
        thread.join()

    def _stop(self) -> None:
        enter_network(self._network)
        super().stop()

    def __enter__(self) -> Logs:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
