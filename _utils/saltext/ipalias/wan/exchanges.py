"""Questions with a socket of their own: a TCP connection, an HTTP request, a DNS query.

Each is a small machine that the loop moves on whenever its socket is ready; none ever waits.
All are marked for their line and have its source address (`sources.pktinfo4` says why no
IPv4 socket is bound to the interface).

What counts as an answer:

- ``tcp``: the connection opens. A reset is none: a router that has lost its own way out
  refuses in the target's name (``reject with tcp reset``), and who names a port means that
  somebody listens there.
- ``http``: a status line with the status expected. With https the certificate is not
  looked at: whoever answers, the line has carried it, and a clock that is wrong or a
  certificate that has run out must take no line down.
- ``dns``: an answer to our own question without error, or that there is no such name. A
  forwarder that has lost its way out says SERVFAIL or REFUSED: no answer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import struct
from typing import Any, NamedTuple

from . import clocks, dnswire
from .clocks import Moment
from .sources import packed

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
#: Numbers of Linux that the socket module does not always have.
SO_MARK = getattr(socket, "SO_MARK", 36)
SO_BINDTODEVICE = getattr(socket, "SO_BINDTODEVICE", 25)
SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
_IP_BIND_ADDRESS_NO_PORT = 24
_TCP_INFO = getattr(socket, "TCP_INFO", 11)
_RTT, _RETRANSMITS = 68, 100
#: Longest head of an HTTP answer that is waited for.
_LONGEST_STATUS = 4096


class Out(NamedTuple):
    """Hold how a packet leaves by one line.

    :param ifindex: the interface's number.
    """

    family: int
    interface: str
    ifindex: int
    mark: int
    source: str


class Result(NamedTuple):
    """Hold how an exchange has ended.

    :param rtt: seconds; None: a miss.
    :param local: True when the host itself was short of something, which says nothing of
        the line.
    """

    rtt: float | None
    error: str = ""
    local: bool = False


#: Errors of a host that is short of memory or descriptors.
_SHORT = (errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


def failed(error: OSError) -> Result:
    """Return the result of a call that the system refused, by the name of its error."""
    number = error.errno or 0
    name = errno.errorcode.get(number, str(number))
    return Result(None, f"{name}: {os.strerror(number)}", number in _SHORT)


def open_socket(out: Out, kind: int) -> socket.socket:
    """Return a socket that sends over one line only and never blocks.

    :param kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    :raises OSError: the system refuses; the error's name belongs into the outcome.
    """
    family = socket.AF_INET6 if out.family == 6 else socket.AF_INET
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_MARK, out.mark)
        with contextlib.suppress(OSError):
            # A port is then taken with the connection, so any number can share a source.
            opened.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        if out.family == 6:
            device = out.interface.encode() + b"\0"
            opened.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
        opened.bind((out.source, 0))
    except BaseException:
        opened.close()
        raise
    return opened


class Tcp:
    """Open a connection; with a request, ask it.

    :param request: bytes to send once it is open; empty: the open connection is the answer.
    :param expect: status of the HTTP answer; 0: any below 400.
    :param context: an `ssl.SSLContext` for https.
    """

    def __init__(
        self,
        out: Out,
        address: tuple[str, int],
        request: bytes = b"",
        expect: int = 0,
        context: Any = None,
        name: str = "",
    ) -> None:
        self._request, self._expect, self._context, self._name = request, expect, context, name
        self._heard = b""
        self._open = False
        self.events = WRITE
        self.socket: Any = open_socket(out, socket.SOCK_STREAM)
        self._sent = clocks.boot_clock()
        try:
            number = self.socket.connect_ex(address)
            if number not in (0, errno.EINPROGRESS):
                raise OSError(number, os.strerror(number))
            # What is closed is forgotten at once: a minute of TIME_WAIT for each of some
            # hundred connections a second would use up the ports.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        except BaseException:
            self.socket.close()
            raise

    def advance(self) -> Result | None:
        """Go on as far as the socket allows; return the result at the end."""
        try:
            if not self._open:
                number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number:
                    raise OSError(number, os.strerror(number))
                if not self._request:
                    return Result(self._round_trip())
                self._open = True
                if self._context is not None:
                    self.socket = self._context.wrap_socket(
                        self.socket,
                        server_hostname=self._name or None,
                        do_handshake_on_connect=False,
                    )
            return self._talk()
        except OSError as error:
            return self._refused(error)

    def _refused(self, error: OSError) -> Result | None:
        """Return what an error means; of TLS those are none that ask to come again."""
        kind = type(error).__name__
        if kind in ("SSLWantReadError", "BlockingIOError"):
            self.events = READ
            return None
        if kind == "SSLWantWriteError":
            self.events = WRITE
            return None
        if kind.startswith("SSL"):
            return Result(None, f"TLS: {getattr(error, 'reason', '') or error}")
        return failed(error)

    def _talk(self) -> Result | None:
        if self._context is not None:
            self.socket.do_handshake()
        while self._request:
            self._request = self._request[self.socket.send(self._request) :]
        self.events = READ
        while b"\n" not in self._heard:
            data = self.socket.recv(2048)
            self._heard += data
            if not data or len(self._heard) > _LONGEST_STATUS:
                break
        return self._judge(self._heard.split(b"\n")[0])

    def _judge(self, line: bytes) -> Result:
        """Return what a status line says (RFC 9112, section 4)."""
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            said = line[:40].decode("ascii", "replace")
            return Result(None, f"not an HTTP answer: {said!r}" if line else "closed unanswered")
        status = int(words[1])
        if status != self._expect if self._expect else status >= 400:
            return Result(None, f"HTTP status {status}")
        return Result(max(0.0, clocks.boot_clock() - self._sent))

    def _round_trip(self) -> float:
        """Return the round trip of the handshake as the kernel measured it (tcp(7))."""
        elapsed = max(0.0, clocks.boot_clock() - self._sent)
        with contextlib.suppress(OSError, struct.error):
            told = self.socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104)
            rtt: int = struct.unpack_from("=I", told, _RTT)[0]
            again: int = struct.unpack_from("=I", told, _RETRANSMITS)[0]
            if rtt and not again:
                return min(elapsed, float(rtt) / 1e6)
        return elapsed

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Dns:
    """Ask a name server one question over UDP.

    :param kind: `dnswire.A` or `dnswire.AAAA`.
    """

    def __init__(self, out: Out, server: tuple[str, int], name: str, kind: int) -> None:
        self._ident = int.from_bytes(os.urandom(2), "big")
        self._name, self._kind = name, kind
        self.answer: dnswire.Answer | None = None
        self.events = READ
        query = dnswire.render_query(self._ident, name, kind)
        self.socket: Any = open_socket(out, socket.SOCK_DGRAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            # Connected: nobody else's packets come in, and errors of the way do.
            self.socket.connect(server)
            self._sent = clocks.read_moment()
            self.socket.send(query)
        except BaseException:
            self.socket.close()
            raise

    def advance(self) -> Result | None:
        """Read what has come; return the result once it is an answer to our question."""
        while True:
            try:
                packet, control, _, _ = self.socket.recvmsg(dnswire.LONGEST, 128)
            except BlockingIOError:
                return None
            except OSError as error:
                return failed(error)
            try:
                self.answer = dnswire.parse_answer(packet, self._ident, self._name, self._kind)
            except ValueError as error:
                return Result(None, f"DNS: {error}")
            if self.answer is not None:
                break
        if self.answer.code not in (dnswire.NO_ERROR, dnswire.NO_NAME):
            return Result(None, f"DNS: {self.answer.error}")
        return Result(round_trip(control, self._sent, clocks.read_moment()))

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def round_trip(control: list[tuple[int, int, bytes]], sent: Moment, now: Moment) -> float:
    """Return the round trip (seconds) by the kernel's receive stamp in the control messages."""
    stamp = None
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            stamp = parse_stamp(data)
    return max(0.0, clocks.received_at(stamp, sent, now) - sent.boot)


def parse_stamp(data: bytes) -> float:
    """Return a ``struct timespec``, whose fields are longs of the machine."""
    seconds, nanos = struct.unpack("=qq" if len(data) >= 16 else "=ii", data[:16])
    return float(seconds) + float(nanos) / 1e9


def render_request(host: str, port: int, path: str, *, tls: bool) -> bytes:
    """Return a GET request (RFC 9112) that asks for the connection to be closed after it."""
    bracketed = f"[{host}]" if ":" in host else host
    shown = bracketed if port == (443 if tls else 80) else f"{bracketed}:{port}"
    lines = (
        f"GET {path or '/'} HTTP/1.1",
        f"Host: {shown}",
        "User-Agent: ipalias",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii", "replace")


def is_address(text: str) -> bool:
    """Tell whether a host is an address, that nobody need look up."""
    try:
        packed(text)
    except (OSError, ValueError):
        return False
    return True
