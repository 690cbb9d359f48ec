"""Tell the system's log and the service manager, waiting for neither.

``syslog(3)`` blocks while the daemon behind ``/dev/log`` is stopped or its disk is full; a
datagram sent without blocking is lost instead, and counted. Formats: RFC 3164 as local
daemons read it; sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_LOG = "/dev/log"
_DAEMON = 3 << 3
NOTICE, WARNING = 5, 4
_LONGEST = 2000


class Log:
    """Write to the system's log.

    :param name: the program's name in each line.
    """

    def __init__(self, name: str = "ipalias-wan", path: str = _LOG) -> None:
        self._path = path
        self._name = name
        self.lost = 0
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def say(self, text: str, level: int = NOTICE) -> None:
        """Write one line; control characters are taken out of it."""
        clean = "".join(sign if sign.isprintable() else " " for sign in text)[:_LONGEST]
        data = f"<{_DAEMON | level}>{self._name}[{os.getpid()}]: {clean}".encode()
        try:
            if self._socket is None:
                raise OSError
            # By path each time: a log daemon that was started again has made it anew.
            self._socket.sendto(data, self._path)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


class Service:
    """Speak to the service manager that started us, if it listens.

    :param environment: where it has put its socket and the watchdog's time.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        told = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: Seconds within which it wants to hear from us; 0: it does not.
        self.watchdog = int(told) / 1e6 if told.isdigit() and mine else 0.0
        self._socket: socket.socket | None = None
        if self._address:
            with contextlib.suppress(OSError, AttributeError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)

    def tell(self, *lines: str) -> None:
        """Send assignments such as ``READY=1``."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
