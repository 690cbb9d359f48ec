"""What Kea answers, and what is made of an answer that is none."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saltext.ipalias.dhcp import keactl, model
from saltext.ipalias.errors import EffectError, RefusedError

#: Of Kea 2.2.0 and 2.6.3, with what is not of interest left out.
STATUS = {
    "high-availability": [
        {
            "ha-mode": "load-balancing",
            "ha-servers": {
                "local": {"role": "primary", "scopes": ["dhcp1"], "state": "load-balancing"},
                "remote": {
                    "age": 3,
                    "communication-interrupted": False,
                    "in-touch": True,
                    "last-state": "load-balancing",
                    "unacked-clients": 1,
                    "unacked-clients-left": 9,
                },
            },
        }
    ]
}
COUNTERS = {
    "pkt4-received": [[3, "2026-11-28 10:00:00.0"]],
    "subnet[7].assigned-addresses": [[5, "2026-11-28 10:00:00.0"], [4, "2026-11-28 09:00:00.0"]],
    "subnet[7].total-addresses": [[100, "2026-11-28 09:00:00.0"]],
    "subnet[7].declined-addresses": [[2, "2026-11-28 09:00:00.0"]],
    "subnet[7].pool[0].assigned-addresses": [[99, "2026-11-28 09:00:00.0"]],
}


def remote(**more: Any) -> dict[str, Any]:
    found = json.loads(json.dumps(STATUS))
    found["high-availability"][0]["ha-servers"]["remote"].update(more)
    return dict(found)


@contextlib.contextmanager
def daemon(said: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Give the path of a control socket that answers one command, and what it was given."""
    heard: list[bytes] = []
    # Not the test's own folder: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(1)

            def run() -> None:
                with contextlib.suppress(OSError):
                    client, _ = listening.accept()
                    with client:
                        heard.append(client.recv(65536))
                        client.sendall(said)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            yield path, heard
            thread.join(10)
            assert not thread.is_alive()


def test_a_command_is_one_object_and_its_answer_another() -> None:
    with daemon(b'{"result": 0, "arguments": {"a": 1}}') as (path, heard):
        assert keactl.ask(path, "status-get") == {"a": 1}
    assert json.loads(heard[0]) == {"command": "status-get"}


def test_a_partner_is_named_to_fetch_from_and_bound_to_serve_again() -> None:
    with daemon(b'{"result": 0, "text": "complete"}') as (path, heard):
        keactl.synchronize(path, "dhcp2")
    arguments = {"server-name": "dhcp2", "max-period": 60}
    assert json.loads(heard[0]) == {"command": "ha-sync", "arguments": arguments}


@pytest.mark.parametrize(
    ("said", "error", "word"),
    [
        (b'{"result": 2, "text": "not supported."}', RefusedError, "not supported"),
        (b'{"result": 1}', RefusedError, "result 1"),
        (b"", EffectError, "none of Kea's"),
        (b"[]", EffectError, "none of Kea's"),
        (b'{"result": "x"}', EffectError, "none of Kea's"),
        (b"[" * 5000, EffectError, "none of Kea's"),
        (b"220 ready\r\n", EffectError, "none of Kea's"),
    ],
)
def test_an_answer_that_is_none_is_told(said: bytes, error: type[Exception], word: str) -> None:
    with daemon(said) as (path, _), pytest.raises(error, match=word):
        keactl.ask(path, "status-get")


def test_nobody_there_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(EffectError, match="systemctl status kea-dhcp4-server"):
        keactl.ask(str(tmp_path / "socket"), "status-get")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EffectError, match="kea-dhcp4 does not answer"):
        keactl.ask_peer("127.0.0.1", port, "ha-heartbeat")


def test_who_says_nothing_is_given_up() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = os.path.join(folder, "socket")
        listening.bind(path)
        listening.listen(1)
        with pytest.raises(EffectError, match="does not answer"):
            keactl.ask(path, "status-get", timeout=0.05)


def test_the_pair_is_read_as_kea_tells_it() -> None:
    found = keactl.parse_status(STATUS, "socket")
    assert found == keactl.HaState("load-balancing", "load-balancing", False, 3.0, 1, 9)
    # ``in-touch`` is whether there ever was an answer: before, ``age`` counts from its own start.
    assert keactl.parse_status(remote(**{"in-touch": False}), "socket").heard is None


@pytest.mark.parametrize("said", [{}, {"high-availability": []}])
def test_a_server_without_the_hook_is_refused_by_name(said: Any) -> None:
    with pytest.raises(RefusedError, match="without high availability"):
        keactl.parse_status(said, "socket")


@pytest.mark.parametrize("said", [None, [], {"high-availability": [{}]}, remote(age="x")])
def test_a_pair_that_is_told_otherwise_is_no_traceback(said: Any) -> None:
    with pytest.raises(EffectError, match="none of Kea's"):
        keactl.parse_status(said, "socket")


def test_a_heartbeat_has_the_servers_clock() -> None:
    said = {"date-time": "Sat, 28 Nov 2026 10:23:18 GMT", "scopes": ["dhcp1"], "state": "ready"}
    found = keactl.parse_heartbeat(said, "dhcp1")
    assert found == keactl.Heartbeat("ready", 1795861398.0, ("dhcp1",), 0)
    with pytest.raises(EffectError, match="none of Kea's"):
        keactl.parse_heartbeat({"date-time": "tomorrow", "state": "ready"}, "dhcp1")


def test_the_counters_of_a_subnet_are_its_own_and_the_newest() -> None:
    assert keactl.parse_statistics(COUNTERS, "socket") == [keactl.SubnetLeases(7, 100, 5, 2)]
    assert keactl.parse_statistics({}, "socket") == []
    with pytest.raises(EffectError, match="none of Kea's"):
        keactl.parse_statistics({"subnet[7].total-addresses": []}, "socket")


def test_every_state_of_kea_has_a_word_for_both_implementations() -> None:
    assert set(keactl.WORDS.values()) <= set(model.STATES)
    assert keactl.word_of("hot-standby") == model.NORMAL
    assert keactl.word_of("hot-standby", interrupted=True) == model.INTERRUPTED
    assert keactl.word_of("partner-down", interrupted=True) == model.PARTNER_DOWN
    assert keactl.word_of("new-in-3.9") == model.UNKNOWN


@pytest.mark.parametrize(
    ("states", "error", "asked"),
    [
        (["partner-down"], None, ["ha-maintenance-start", "status-get"]),
        (
            ["partner-in-maintenance"],
            "taken back",
            ["ha-maintenance-start", "status-get", "ha-maintenance-cancel"],
        ),
        (["hot-standby"], "became hot-standby", ["ha-maintenance-start", "status-get"]),
    ],
)
def test_partner_down_is_by_maintenance_and_taken_back_where_the_partner_lives(
    monkeypatch: pytest.MonkeyPatch, states: list[str], error: str | None, asked: list[str]
) -> None:
    given: list[str] = []

    def answer(path: str, command: str, timeout: float = 2.0) -> Any:
        given.append(command)
        found = remote()
        found["high-availability"][0]["ha-servers"]["local"]["state"] = states[0]
        return found if command == "status-get" else {}

    monkeypatch.setattr(keactl, "ask", answer)
    if error is None:
        assert keactl.set_partner_down("socket").local == "partner-down"
    else:
        with pytest.raises(RefusedError, match=error):
            keactl.set_partner_down("socket")
    assert given == asked
