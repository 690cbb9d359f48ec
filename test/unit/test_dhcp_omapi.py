"""OMAPI: the bytes of a message, and what is made of an answer that is none."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from saltext.ipalias.dhcp import model, omapi
from saltext.ipalias.dhcp.model import OmapiKey
from saltext.ipalias.dhcp.omapi import Message, number
from saltext.ipalias.errors import EffectError, InputError, RefusedError

SECRET = b"0123456789abcdef"
KEY = OmapiKey("ipalias-omapi", "hmac-sha256", "MDEyMzQ1Njc4OWFiY2RlZg==")
HELLO = struct.pack("!II", 100, 24)
Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(script: Script) -> Iterator[int]:
    """Give the port of a server that follows a script with one client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with contextlib.suppress(OSError):
                client, _ = listening.accept()
                with client:
                    script(client)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        # Behind a script that the client left early.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


def read(client: socket.socket) -> Message:
    """Return a request's head."""
    head = client.recv(65536)
    authid, _, op, handle, ident, reply = struct.unpack_from("!IIIIII", head)
    return Message(op, handle, ident, reply, authid)


def ask(script: Script, key: OmapiKey | None = None, timeout: float = 5.0) -> Message:
    with server(script) as port, omapi.Client(key, port=port, timeout=timeout) as client:
        return client.open("failover-state", {"name": b"pair"})


def test_a_message_is_rendered_as_dhcpd_reads_it() -> None:
    message = Message(omapi.OPEN, says={"type": b"lease"}, holds={"x": number(4)}, ident=5)
    assert omapi.render_message(message) == bytes.fromhex(
        "00000000 00000000 00000001 00000000 00000005 00000000"
        "0004 74797065 00000005 6c65617365 0000"
        "0001 78 00000004 00000004 0000"
    )


def test_the_signature_leaves_the_first_number_out() -> None:
    message = Message(omapi.REFRESH, handle=3, ident=6, authid=9)
    made = omapi.render_message(message, KEY)
    assert made[:4] == number(9) and struct.unpack_from("!I", made, 4) == (32,)
    assert made[-32:] == hmac.new(SECRET, made[4:-32], hashlib.sha256).digest()


def test_an_answer_is_read_and_others_passed_over() -> None:
    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        assert client.recv(8) == HELLO
        asked = read(client)
        other = Message(omapi.STATUS, ident=1, reply=asked.ident + 1)
        right = Message(omapi.UPDATE, 7, 2, asked.ident, holds={"local-state": number(2)})
        data = omapi.render_message(other) + omapi.render_message(right)
        for byte in data:
            client.sendall(bytes([byte]))

    found = ask(script)
    assert found.handle == 7 and omapi.number_of(found.holds["local-state"]) == 2


def test_a_refusal_has_dhcpds_own_words() -> None:
    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        client.recv(8)
        says = {"result": number(23), "message": b"no object matches specification"}
        answer = Message(omapi.STATUS, ident=1, reply=read(client).ident, says=says)
        client.sendall(omapi.render_message(answer))

    with pytest.raises(RefusedError, match="no object matches specification"):
        ask(script)


def test_an_answer_signed_with_another_key_is_none() -> None:
    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        client.recv(8)
        opened = Message(omapi.UPDATE, handle=9, ident=1, reply=read(client).ident)
        client.sendall(omapi.render_message(opened))
        other = OmapiKey(KEY.name, KEY.algorithm, "YW5vdGhlcg==")
        answer = Message(omapi.UPDATE, ident=2, reply=read(client).ident, authid=9)
        client.sendall(omapi.render_message(answer, other))

    with pytest.raises(EffectError, match="signature"):
        ask(script, KEY)


def test_an_answer_for_another_key_is_none_though_it_is_signed_with_ours() -> None:
    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        client.recv(8)
        opened = Message(omapi.UPDATE, handle=9, ident=1, reply=read(client).ident)
        client.sendall(omapi.render_message(opened))
        answer = Message(omapi.UPDATE, ident=2, reply=read(client).ident, authid=8)
        client.sendall(omapi.render_message(answer, KEY))

    with pytest.raises(EffectError, match="signature"):
        ask(script, KEY)


def test_an_answer_that_is_not_signed_is_none() -> None:
    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        client.recv(8)
        for handle in (9, 10):
            answer = Message(omapi.UPDATE, handle=handle, ident=1, reply=read(client).ident)
            client.sendall(omapi.render_message(answer))

    with pytest.raises(EffectError, match="signature"):
        ask(script, KEY)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        struct.pack("!II", 99, 24),
        struct.pack("!II", 100, 8),
        HELLO[:5],
        b"",
        HELLO + struct.pack("!IIIIII", 0, 1 << 30, 5, 0, 1, 0),
        HELLO + bytes(24) + b"\0\1x" + struct.pack("!I", 1 << 31),
        HELLO + bytes(24) + b"\0\1x\0\0\0\0" * 300,
    ],
    ids=["ssh", "version", "header", "torn", "nothing", "signature", "value", "endless"],
)
def test_who_is_no_dhcpd_is_told_as_such(said: bytes) -> None:
    def script(client: socket.socket) -> None:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with pytest.raises(EffectError, match="dhcpd does not answer"):
        ask(script)


def test_who_answers_ever_more_slowly_is_given_up_as_a_whole() -> None:
    """The time is for all that is done, not for each part of it."""
    stopped = threading.Event()

    def script(client: socket.socket) -> None:
        client.sendall(HELLO)
        client.recv(8)
        while not stopped.wait(0.02):
            client.sendall(b"\0")

    try:
        with pytest.raises(EffectError, match="dhcpd does not answer"):
            ask(script, timeout=0.2)
    finally:
        stopped.set()


def test_nobody_there_is_an_error_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EffectError, match="systemctl status isc-dhcp-server"):
        omapi.Client(None, port=port)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (OmapiKey("k", "hmac-whirlpool", KEY.secret), "none of"),
        (OmapiKey("k", "hmac-md5", "no base64!"), "no base64"),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused(key: OmapiKey, word: str) -> None:
    with pytest.raises(InputError, match=word):
        omapi.sign(key, b"")


def test_every_state_of_dhcpd_has_a_word_for_both_implementations() -> None:
    named = set(omapi.STATES.values()) - {"unknown-state"}
    assert named == set(omapi.WORDS) and set(omapi.WORDS.values()) <= set(model.STATES)
    assert omapi.word_of("state 77") == model.UNKNOWN
    assert omapi.STATES[omapi.PARTNER_DOWN] == "partner-down"
