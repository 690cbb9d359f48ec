"""Speak OMAPI with dhcpd: its failover state read, and set.

By the protocol and not by ``omshell``: that one has no time limit of its own, ends with code 0
whatever dhcpd answered, leaves its complaints among its prompts, and shows the key to everyone
who looks at it where it is given as an argument. dhcpd's manual page (dhcpd(8), "The
failover-state object") tells the names; the messages are those of ISC's ``omapip`` (protocol.c,
message.c, auth.c, connection.c). Seen with 4.4.3-P1 of Debian 12 and 13.

After eight bytes from each side (version, header size) a message is a header of six numbers, the
names and values of the message, those of the object, and a signature over all but the first
number. Numbers are of 32 bits, in network order.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..errors import EffectError, InputError, RefusedError
from . import model
from .model import OmapiKey

PORT: Final = 7911
OPEN: Final = 1
REFRESH: Final = 2
UPDATE: Final = 3
STATUS: Final = 5

_INTRODUCTION: Final = struct.pack("!II", 100, 24)
_HEADER: Final = struct.Struct("!IIIIII")
#: Names and values of one message that are read at most, and bytes of one of them: an object of
#: dhcpd's has about twenty, the longest of 32.
_MOST_VALUES, _LONGEST_VALUE = 256, 65536

#: What ``algorithm`` of a key in dhcpd.conf can be, and the digest that it means.
ALGORITHMS: Final[Mapping[str, str]] = {
    "hmac-md5": "md5",
    "hmac-sha1": "sha1",
    "hmac-sha224": "sha224",
    "hmac-sha256": "sha256",
    "hmac-sha384": "sha384",
    "hmac-sha512": "sha512",
}

#: ``local-state`` and ``partner-state``, dhcpd(8).
STATES: Final[Mapping[int, str]] = {
    0: "unknown-state",
    1: "startup",
    2: "normal",
    3: "communications-interrupted",
    4: "partner-down",
    5: "potential-conflict",
    6: "recover",
    7: "paused",
    8: "shutdown",
    9: "recover-done",
    10: "resolution-interrupted",
    11: "conflict-done",
    254: "recover-wait",
}
#: The same in the words that both implementations are told in.
WORDS: Final[Mapping[str, str]] = {
    "startup": model.WAITING,
    "normal": model.NORMAL,
    "communications-interrupted": model.INTERRUPTED,
    "partner-down": model.PARTNER_DOWN,
    "potential-conflict": model.RECOVERING,
    "recover": model.RECOVERING,
    "paused": model.STOPPED,
    "shutdown": model.STOPPED,
    "recover-done": model.RECOVERING,
    "resolution-interrupted": model.RECOVERING,
    "conflict-done": model.RECOVERING,
    "recover-wait": model.RECOVERING,
}
PARTNER_DOWN: Final = 4


class Message(NamedTuple):
    """Hold one message.

    :param authid: what the key was given as by dhcpd; 0: not signed.
    :param reply: ident of the message that it answers.
    :param says: names and values about the message.
    :param holds: names and values of the object.
    """

    op: int
    handle: int = 0
    ident: int = 0
    reply: int = 0
    authid: int = 0
    says: Mapping[str, bytes] = {}
    holds: Mapping[str, bytes] = {}


class FailoverState(NamedTuple):
    """Hold what dhcpd says of a failover relationship; times in seconds since 1970.

    ``skew``, ``last-packet-sent`` and ``last-timestamp-received`` are left out: dhcpd 4.4.3
    tells 0 for each of them whatever happens.

    :param local, partner: states as dhcpd names them.
    :param local_since: when this server came into its state; `partner_since`: what the other one
        said of that.
    :param unacked: updates that the other one has not acknowledged yet.
    """

    handle: int
    name: str
    primary: bool
    local: str
    partner: str
    local_since: int
    partner_since: int
    mclt: int
    max_response_delay: int
    unacked: int


def render_message(message: Message, key: OmapiKey | None = None) -> bytes:
    """Return a message as it is sent, signed where it has an ``authid``."""
    signed = key is not None and message.authid != 0
    length = len(sign(key, b"")) if signed and key else 0
    rest = struct.pack("!IIIII", length, message.op, message.handle, message.ident, message.reply)
    rest += _render_values(message.says) + _render_values(message.holds)
    signature = sign(key, rest) if signed and key else b""
    return struct.pack("!I", message.authid) + rest + signature


def _render_values(values: Mapping[str, bytes]) -> bytes:
    parts = []
    for name, value in values.items():
        encoded = name.encode("ascii")
        parts.append(struct.pack("!H", len(encoded)) + encoded)
        parts.append(struct.pack("!I", len(value)) + value)
    return b"".join(parts) + b"\0\0"


def sign(key: OmapiKey, data: bytes) -> bytes:
    """Return the signature of what is sent.

    :raises InputError: an algorithm that dhcpd has not, or a secret that is no base64.
    """
    if key.algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise InputError(f"{key.algorithm!r} is none of {known}", where="omapi key")
    try:
        secret = base64.b64decode(key.secret, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the secret is no base64", where="omapi key") from None
    return hmac.new(secret, data, ALGORITHMS[key.algorithm]).digest()


def number(value: int) -> bytes:
    """Return a number as a value."""
    return struct.pack("!I", value)


def number_of(value: bytes | None) -> int:
    """Return a value as a number; 0 for none."""
    return int.from_bytes(value or b"", "big")


class Client:
    """A connection to dhcpd, which ends with the ``with`` that it is used in.

    :param key: None where dhcpd asks for none.
    :param timeout: seconds for everything that is done with it.
    :raises EffectError: nobody answers, or not as dhcpd does.
    :raises RefusedError: dhcpd does not take the key.
    """

    def __init__(
        self,
        key: OmapiKey | None,
        address: str = "127.0.0.1",
        port: int = PORT,
        timeout: float = 2.0,
    ) -> None:
        self._key, self._where = key, f"{address}:{port}"
        self._authid = 0
        self._ident = secrets.randbits(31)
        self._until = time.monotonic() + timeout
        try:
            self._socket = socket.create_connection((address, port), timeout)
        except OSError as error:
            raise self._fault(error.strerror or str(error) or "no answer in time") from error
        try:
            self._send(_INTRODUCTION)
            version, size = struct.unpack("!II", self._take(8))
            if version != 100 or not _HEADER.size <= size <= 1024:
                raise self._fault(f"version {version} of OMAPI is not known")
            self._extra = size - _HEADER.size
            if key:
                self._authenticate(key)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def open(self, kind: str, keys: Mapping[str, bytes]) -> Message:
        """Return an object that is there.

        :param kind: such as ``failover-state``.
        :raises RefusedError: there is none, or it is not given to us.
        """
        says = {"type": kind.encode("ascii")}
        return self._ask(Message(OPEN, says=says, holds=keys), f"{kind} cannot be looked up")

    def update(self, handle: int, values: Mapping[str, bytes]) -> None:
        """Set values of an object.

        :raises RefusedError: dhcpd refuses.
        """
        self._ask(Message(UPDATE, handle, holds=values), f"{', '.join(values)} cannot be set")

    def _authenticate(self, key: OmapiKey) -> None:
        sign(key, b"")  # refused here where it cannot be meant
        names = {
            "name": key.name.encode("utf-8"),
            "algorithm": f"{key.algorithm}.SIG-ALG.REG.INT.".encode("ascii"),
        }
        opened = self._ask(
            Message(OPEN, says={"type": b"authenticator"}, holds=names),
            f"dhcpd does not know the key {key.name}",
        )
        self._authid = opened.handle

    def _ask(self, message: Message, refusal: str) -> Message:
        self._ident = (self._ident + 1) & 0xFFFFFFFF
        sent = message._replace(ident=self._ident, authid=self._authid)
        self._send(render_message(sent, self._key))
        while True:
            answer = self._read_message()
            if answer.reply == sent.ident:
                break
        if answer.op == UPDATE:
            return answer
        code = number_of(answer.says.get("result"))
        if answer.op == STATUS and code == 0:
            return answer
        said = answer.says.get("message", b"").decode("utf-8", "replace") or f"result {code}"
        raise RefusedError(f"{refusal}: {said}", where=self._where)

    def _read_message(self) -> Message:
        """Return the next message.

        :raises EffectError: it is none, or its signature is not by our key.
        """
        head = self._take(_HEADER.size)
        authid, length, op, handle, ident, reply = _HEADER.unpack(head)
        signed = head[4:]
        if self._extra:
            self._take(self._extra)
        if length > 1024:
            raise self._fault("it answers nonsense")
        says, seen = self._read_values()
        holds, more = self._read_values()
        signature = self._take(length)
        if self._authid:
            expected = sign(self._key, signed + seen + more) if self._key else b""
            if authid != self._authid or not hmac.compare_digest(signature, expected):
                raise self._fault("the signature of its answer is not by the key")
        return Message(op, handle, ident, reply, authid, says, holds)

    def _read_values(self) -> tuple[dict[str, bytes], bytes]:
        found: dict[str, bytes] = {}
        seen = b""
        for _ in range(_MOST_VALUES):
            head = self._take(2)
            size = struct.unpack("!H", head)[0]
            seen += head
            if not size:
                return found, seen
            name = self._take(size)
            head = self._take(4)
            length = struct.unpack("!I", head)[0]
            if length > _LONGEST_VALUE:
                break
            value = self._take(length)
            seen += name + head + value
            found[name.decode("ascii", "replace")] = value
        raise self._fault("it answers nonsense")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except OSError as error:
            raise self._fault(error.strerror or "no answer in time") from error

    def _take(self, count: int) -> bytes:
        """Return so many bytes."""
        data = b""
        while len(data) < count:
            try:
                self._socket.settimeout(self._left())
                more = self._socket.recv(count - len(data))
            except OSError as error:
                raise self._fault(error.strerror or "no answer in time") from error
            if not more:
                # What dhcpd does with a request that is not signed where it wants that.
                raise self._fault("it ends the connection")
            data += more
        return data

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _fault(self, what: str) -> EffectError:
        return EffectError(
            f"dhcpd does not answer: {what}",
            where=self._where,
            way_out="see `systemctl status isc-dhcp-server`, and omapi-port and omapi-key there",
        )


def read_failover(client: Client, name: str) -> FailoverState:
    """Return what dhcpd says of a relationship.

    :param name: of the failover peer declaration.
    :raises RefusedError: it has none of this name.
    """
    found = client.open("failover-state", {"name": name.encode("utf-8")})
    values = {key: number_of(value) for key, value in found.holds.items() if len(value) == 4}
    return FailoverState(
        handle=found.handle,
        name=name,
        primary=values.get("hierarchy") == 0,
        local=_state(values.get("local-state", 0)),
        partner=_state(values.get("partner-state", 0)),
        local_since=values.get("local-stos", 0),
        partner_since=values.get("partner-stos", 0),
        mclt=values.get("mclt", 0),
        max_response_delay=values.get("max-response-delay", 0),
        unacked=values.get("cur-unacked-updates", 0),
    )


def set_partner_down(client: Client, name: str) -> FailoverState:
    """Have dhcpd take its partner for dead, and return what it says then.

    It then serves the partner's share as well: its free addresses when the lead time (``mclt``)
    has passed. Whether the partner is dead is the caller's to know.

    :raises RefusedError: dhcpd refuses, or its state stays what it was.
    """
    before = read_failover(client, name)
    # It writes its state and its leases to disk before it answers, and says no by the answer.
    client.update(before.handle, {"local-state": number(PARTNER_DOWN)})
    after = read_failover(client, name)
    if after.local != STATES[PARTNER_DOWN]:
        raise RefusedError(
            f"dhcpd is {after.local} and not partner-down, which it was told to be",
            where=f"failover peer {name}",
            way_out="see its log; a full or read-only disk keeps it from changing its state",
        )
    return after


def _state(code: int) -> str:
    return STATES.get(code, f"state {code}")


def word_of(state: str) -> str:
    """Return dhcpd's state in the words that both implementations are told in."""
    return WORDS.get(state, model.UNKNOWN)
