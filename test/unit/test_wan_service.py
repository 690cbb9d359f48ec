"""Around the monitor's loop: who acts, who writes, who is told, and what starts it."""

from __future__ import annotations

import configparser
import errno
import os
import socket
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.process import wait_until
from saltext.ipalias.bootunit import Program
from saltext.ipalias.errors import EffectError, InputError, ParseError
from saltext.ipalias.wan import (
    control,
    kernel,
    loader,
    metrics,
    record,
    service,
    switch,
    unit,
    writer,
)
from saltext.ipalias.wan.acting import MONITOR, NOBODY, REACTION, Actor
from saltext.ipalias.wan.clocks import boot_clock
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Line, Transition, WanConfig, Wanted
from saltext.ipalias.wan.netlink import Netlink, NetlinkError
from saltext.ipalias.wan.notify import Log, Service
from saltext.ipalias.wan.places import Places
from saltext.ipalias.wan.sockets import Watch
from saltext.ipalias.wan.switch import Done
from saltext.ipalias.wan.writer import Writer

BLOCK: dict[str, Any] = {
    "uplinks": {
        "wan1": {"interface": "wan1", "gateway": "192.0.2.1", "targets": ["203.0.113.7"]},
        "wan2": {"interface": "wan2", "gateway": "192.0.2.65", "targets": ["203.0.113.8"]},
    }
}
ONE = Wanted({4: ((Line("wan1", 4), 1),)}, "one")
TWO = Wanted({4: ((Line("wan2", 4), 1),)}, "two")


def config(**more: Any) -> WanConfig:
    return parse_wan({**BLOCK, **more})


# --- who acts -----------------------------------------------------------------------------


class Kernel:
    """A switch that remembers what it was told, and what others have done already."""

    def __init__(self) -> None:
        self.routes: Wanted | None = None
        self.wanted: Wanted | None = None
        self.calls: list[str] = []

    def apply(self, wanted: Wanted, down: Collection[Line] = ()) -> Done:
        self.calls.append("apply")
        self.wanted = wanted
        return self._set()

    def reconcile(self) -> Done:
        self.calls.append("reconcile")
        return self._set()

    def _set(self) -> Done:
        changes = () if self.routes == self.wanted else ("set the default route",)
        self.routes = self.wanted
        return Done(changes)

    def forget(self) -> None:
        self.calls.append("forget")

    def close(self) -> None:
        self.calls.append("close")


class Scene:
    def __init__(self, **more: Any) -> None:
        self.kernel = Kernel()
        self.acted: dict[str, str] = {}
        self.said: list[str] = []
        self.actor = Actor(config(**more), self.kernel, self.acted.__setitem__, self.said.append)


def test_local_acts_at_once() -> None:
    scene = Scene()
    scene.actor.want(ONE, (), ["a-1"], 10.0)
    assert scene.kernel.routes == ONE and scene.acted == {"a-1": MONITOR}


def test_report_never_acts() -> None:
    scene = Scene(react="report")
    scene.actor.want(ONE, (), ["a-1"], 10.0)
    scene.actor.changed(10.0)
    scene.actor.expire(1000.0)
    assert scene.kernel.calls == [] and scene.acted == {"a-1": NOBODY}


def test_event_waits_for_a_reaction_and_then_acts_itself() -> None:
    scene = Scene(react="event", react_timeout=5)
    scene.actor.want(ONE, (), [], 1.0)
    assert scene.kernel.routes == ONE, "at the start there is no event to follow"
    scene.actor.want(TWO, (), ["a-1"], 10.0)
    scene.actor.changed(11.0)
    scene.actor.expire(14.9)
    assert scene.kernel.routes == ONE and scene.acted == {}
    assert scene.actor.deadline() == pytest.approx(11.0, abs=4.0)
    scene.actor.expire(15.0)
    assert scene.kernel.routes == TWO and scene.acted == {"a-1": MONITOR}
    assert any("no reaction within 5 s" in line for line in scene.said)


def test_event_sees_that_a_reaction_has_acted() -> None:
    scene = Scene(react="event")
    scene.actor.want(ONE, (), [], 1.0)
    scene.actor.want(TWO, (), ["a-1"], 10.0)
    scene.kernel.routes = TWO
    assert scene.actor.reacted(11.0)
    assert scene.acted == {"a-1": REACTION} and not scene.actor.reacted(12.0)


def test_event_waits_for_nobody_at_the_start_and_for_the_first_route_of_a_family() -> None:
    """At boot the minion may come long after the lines, and there is no way out until then."""
    scene = Scene(react="event", react_timeout=5)
    scene.actor.want(Wanted({}, "none"), (), [], 1.0)
    scene.actor.want(ONE, (), ["a-1"], 1.3)
    assert scene.kernel.routes == ONE and scene.acted == {"a-1": MONITOR}
    scene.actor.want(TWO, (), ["a-2"], 2.0)
    six = ((Line("wan2", 6), 1),)
    both = Wanted({**TWO.lines, 6: six}, "both")
    scene.actor.want(both, (), ["a-3"], 2.1)
    assert scene.kernel.routes == both and scene.actor.left is None
    assert scene.acted == {"a-1": MONITOR, "a-2": MONITOR, "a-3": MONITOR}
    # One that is started anew finds a line down: what it knows is brought about at once.
    again = Scene(react="event", react_timeout=5)
    again.actor.want(TWO, (), ["a-4"], 3.0)
    assert again.kernel.routes == TWO and again.acted == {"a-4": MONITOR}


def test_event_keeps_the_first_deadline_and_the_last_wish() -> None:
    scene = Scene(react="event", react_timeout=5)
    scene.actor.want(ONE, (), [], 1.0)
    scene.actor.want(ONE, (), ["a-1"], 10.0)
    scene.actor.want(TWO, (), ["a-2"], 14.0)
    scene.actor.expire(15.0)
    assert scene.kernel.routes == TWO and scene.acted == {"a-1": MONITOR, "a-2": MONITOR}


def test_what_is_taken_away_comes_back_ever_more_slowly_in_a_fight() -> None:
    scene = Scene()
    scene.actor.want(ONE, (), [], 0.0)
    now, times = 20.0, []
    for _ in range(8):
        scene.kernel.routes = None
        scene.actor.changed(now)
        before = now
        now = scene.actor.deadline() or 0.0
        scene.actor.expire(now)
        assert scene.kernel.routes == ONE
        times.append(round(now - before, 6))
    assert times[0] == 0.0 and times == sorted(times) and 0.5 < times[-1] <= 0.8


def test_what_the_kernel_refuses_is_told_and_tried_again() -> None:
    scene = Scene()

    def refuse(*_: object) -> Done:
        raise EffectError("no such device", where="default route")

    right, scene.kernel.apply = scene.kernel.apply, refuse  # type: ignore[method-assign]
    scene.actor.want(ONE, (), ["a-1"], 10.0)
    assert scene.actor.done.problems == ("default route: no such device",)
    assert any("no such device" in line for line in scene.said)
    scene.kernel.apply, scene.kernel.wanted = right, ONE  # type: ignore[method-assign]
    due = scene.actor.deadline()
    assert due is not None and 10.0 < due < 15.0
    scene.actor.expire(due)
    assert scene.kernel.routes == ONE and scene.actor.done.problems == ()


# --- what the kernel refuses --------------------------------------------------------------


def test_a_nexthop_of_no_line_that_cannot_be_deleted_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stale = kernel.Nexthop(18640, 4, 186, kernel.Hop("wan9", "192.0.2.9"))

    def refuse(*_: object) -> None:
        raise NetlinkError("nexthop 18640", errno.EPERM)

    monkeypatch.setattr(
        switch.rtnl, "read_kernel", lambda *_, **__: kernel.Kernel(nexthops=(stale,))
    )
    monkeypatch.setattr(switch.rtnl, "set_item", lambda *_: None)
    monkeypatch.setattr(switch.rtnl, "delete_item", refuse)
    made = switch.Switch(config(), lambda _: "")
    assert any("EPERM" in problem for problem in made.apply(ONE).problems)
    made.close()


def test_a_route_of_a_kind_without_a_name_can_be_deleted() -> None:
    asked: list[bytes] = []

    class Sockets:
        def change(self, kind: int, flags: int, body: bytes, what: str) -> None:
            asked.append(body)

    route = kernel.Route(4, 18600, "203.0.113.0/24", 100, 186, kind="5")
    switch.rtnl.delete_item(Sockets(), route, {})  # type: ignore[arg-type]
    assert asked[0][7] == 5


def test_a_request_that_cannot_even_be_sent_is_refused_like_any_other() -> None:
    made = Netlink()
    made.close()
    with pytest.raises(NetlinkError, match="EBADF"):
        made.dump(18, b"", "interfaces")


# --- NAT ----------------------------------------------------------------------------------


def test_nft_is_waited_for_by_nobody_and_its_complaint_is_told_once() -> None:
    hold, watch, ended = threading.Event(), Watch(), list[str]()
    said = iter(["no room", ""])

    def load(text: str) -> str:
        hold.wait()
        return next(said)

    made = loader.Loader(watch, load, ended.append)
    made.beside = True
    for complaint in ("no room", ""):
        hold.clear()
        assert made("text") is None and made("text") is None, "it runs"
        assert watch.run_once(0) == 0 and len(ended) == (complaint == "")
        hold.set()
        wait_until(lambda: watch.run_once(0.05), "its end")
        assert ended[-1] == complaint
        if complaint:
            assert made("text") == complaint
    watch.close()


def test_flows_are_forgotten_only_once_there_is_nat_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins anew without it would leave with its inner address until it ends."""
    flushed: list[int] = []
    told: list[str | None] = ["", None, None, ""]
    monkeypatch.setattr(switch.rtnl, "read_kernel", lambda *_, **__: kernel.Kernel())
    monkeypatch.setattr(switch.rtnl, "set_item", lambda *_: None)
    monkeypatch.setattr(switch, "read_nat", lambda _: None)
    monkeypatch.setattr(switch, "flush_flows", lambda _, __, index, ___: flushed.append(index))
    made = switch.Switch(config(), lambda _: told.pop(0))
    made.apply(ONE)
    made.apply(TWO, [Line("wan1", 4)])
    made.reconcile()
    assert flushed == []
    assert made.reconcile().flushed == (Line("wan1", 4),)
    assert flushed == [1] and told == []
    told.append("")
    assert made.reconcile().flushed == () and flushed == [1]
    made.close()


# --- writing ------------------------------------------------------------------------------


def test_what_a_disk_refuses_waits_and_then_comes_in_order(tmp_path: Path) -> None:
    target = tmp_path / "absent" / "journal"
    made = Writer("test")
    for number in range(3):
        assert made.append(str(target), f"{number}\n")
    assert "No such file" in wait_until(lambda: made.state().error, "the refusal")
    target.parent.mkdir()
    wait_until(lambda: made.state().waiting == 0, "the disk")
    assert target.read_text() == "0\n1\n2\n"
    assert made.close()


def test_a_disk_that_stands_still_holds_up_nobody(tmp_path: Path) -> None:
    """Nobody reads the FIFO: to open it takes for ever."""
    pipe = tmp_path / "journal"
    os.mkfifo(pipe)
    made = Writer("test", limit=5)
    taken = [made.append(str(pipe), f"{number}\n") for number in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert made.state()[:2] == (5, 3)
    assert not made.close(timeout=0)
    # It goes on as soon as the disk does.
    assert pipe.open().readline() == "0\n"


def test_only_the_last_of_several_texts_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, entered, written = threading.Event(), threading.Event(), []

    def slow(path: str, text: str, mode: int) -> None:
        entered.set()
        hold.wait()
        written.append(text)

    monkeypatch.setattr(writer, "replace", slow)
    made = Writer("test")
    made.replace("status", "1")
    entered.wait()
    for text in ("2", "3", "4"):
        made.replace("status", text)
    hold.set()
    assert made.close(timeout=30)
    assert written == ["1", "4"]


def test_half_a_line_of_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    writer.append(str(path), "whole\n")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        writer.append(str(path), "second\n")
    assert path.read_text() == "whole\n"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "journal").symlink_to(other)
    (tmp_path / "status.new").symlink_to(other)
    with pytest.raises(OSError):
        writer.append(str(tmp_path / "journal"), "x")
    writer.replace(str(tmp_path / "status"), "new")
    assert other.read_text() == "kept" and (tmp_path / "status").read_text() == "new"


# --- log and service manager --------------------------------------------------------------


def receiver(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(30)
    return made


def test_the_log_gets_one_clean_line(tmp_path: Path) -> None:
    with receiver(tmp_path / "log") as heard:
        log = Log(path=str(tmp_path / "log"))
        log.say("wan1 down:\nforged\0line")
        assert heard.recv(4096).decode() == (
            f"<29>ipalias-wan[{os.getpid()}]: wan1 down: forged line"
        )
        log.close()


def test_a_log_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    with receiver(tmp_path / "log"):
        log = Log(path=str(tmp_path / "log"))
        for _ in range(2000):
            log.say("x" * 1000)
        assert log.lost > 0
        log.close()


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    with receiver(tmp_path / "notify") as heard:
        path = str(tmp_path / "notify")
        told = Service({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"})
        told.tell("READY=1", "STATUS=x")
        assert told.watchdog == 4.0
        assert heard.recv(4096) == b"READY=1\nSTATUS=x"
        told.close()
    other = Service({"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    other.tell("READY=1")
    assert other.watchdog == 0.0


# --- control ------------------------------------------------------------------------------


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give a control socket that answers, and what it was asked."""
    watch, asked, ended = Watch(), [], threading.Event()
    path = str(tmp_path / "wan.sock")

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        if request["verb"] == "big":
            return {"text": "x" * 3_000_000}
        return {"command": list(control.parse_command(request, config(), 100.0))}

    made = control.Control(watch, path, answer)
    turning = threading.Thread(
        target=lambda: [watch.run_once(0.05) for _ in iter(ended.is_set, True)]
    )
    turning.start()
    yield path, asked
    ended.set()
    turning.join()
    made.close()
    assert not os.path.exists(path)


def test_a_word_is_taken_and_answered(listening: tuple[str, list[dict[str, Any]]]) -> None:
    path, _ = listening
    assert os.stat(path).st_mode & 0o777 == 0o600
    answer = control.ask(path, {"verb": "fail", "uplink": "wan1", "seconds": 60, "by": "me"})
    assert answer == {"command": ["fail", "wan1", 160.0, None, "me"]}
    assert len(control.ask(path, {"verb": "big"})["text"]) == 3_000_000


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"verb": "explode", "uplink": "wan1"}, "explode"),
        ({"verb": "fail", "uplink": "wan9"}, "wan9"),
        ({"verb": "fail"}, "None"),
        ({"verb": "fail", "uplink": ["wan1"]}, "no uplink list"),
        ({"verb": "fail", "uplink": {"wan1": 1}}, "no uplink dict"),
        ({"verb": "fail", "uplink": "wan1", "family": [4]}, "no IPvlist"),
        ({"verb": "fail", "uplink": "wan1", "family": 6}, "IPv6"),
        ({"verb": "fail", "uplink": "wan1", "family": True}, "IPv"),
        ({"verb": "fail", "uplink": "wan1", "seconds": 10**400}, "range"),
        ({"verb": "fail", "uplink": "wan1", "seconds": -1}, "range"),
        ({"verb": "fail", "uplink": "wan1", "seconds": True}, "no number"),
        ({"verb": "fail", "uplink": "wan1", "seconds": 1e300}, "range"),
        ({"verb": 1}, "no request"),
        ({}, "no request"),
    ],
)
def test_a_word_that_is_none_is_refused_by_name(
    listening: tuple[str, list[dict[str, Any]]], request_: dict[str, Any], error: str
) -> None:
    with pytest.raises(InputError, match=error):
        control.ask(listening[0], request_)


def test_who_stays_silent_or_talks_too_much_holds_up_nobody(
    listening: tuple[str, list[dict[str, Any]]],
) -> None:
    path, _ = listening
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(8)]
    for each in silent:
        each.connect(path)
    loud = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    loud.connect(path)
    with pytest.raises(OSError):
        while True:
            loud.sendall(b"x" * 10000)
    assert "command" in control.ask(path, {"verb": "restore", "uplink": "wan2"})
    for each in (*silent, loud):
        each.close()


def test_without_a_monitor_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(EffectError, match="start the service ipalias-wan"):
        control.ask(str(tmp_path / "none"), {"verb": "status"})


# --- files and units ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "wan": {}}'])
def test_a_configuration_that_is_none_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises((InputError, ParseError), match=r"config\.json.*ipalias\.wan"):
        service.read_config(str(path))


def test_a_configuration_that_is_no_text_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match=r"config\.json: not a text.*ipalias\.wan"):
        service.read_config(str(path))


def entry(number: int, acted: str = "") -> str:
    made = Transition(f"b-{number}", Line("wan1", 4), "down", 1.0, 2.0, "why", 0.1, 0.3, acted)
    return record.render_entry(made)


def test_a_note_tells_later_who_acted() -> None:
    text = entry(1) + entry(2, MONITOR) + record.render_note("b-1", REACTION)
    found = record.parse_journal(text, "journal")
    assert [e.acted for e in found.entries] == [REACTION, MONITOR] and not found.unreadable


def test_behind_a_torn_line_the_next_stands_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(entry(1) + entry(2)[:20])
    writer.append(str(path), entry(3))
    writer.append(str(path), entry(4))
    found = record.parse_journal(path.read_text(), "journal")
    assert [e.ident for e in found.entries] == ["b-1", "b-3", "b-4"] and found.unreadable == (2,)


def test_a_journal_that_grows_too_large_keeps_what_is_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(state=str(tmp_path))
    monkeypatch.setattr(service, "ROTATE_AT", 1000)
    monkeypatch.setattr(record, "KEPT", 3)
    text = "".join(entry(number) for number in range(1, 21))
    (tmp_path / "journal").write_text(text)
    (tmp_path / "acknowledged").write_text(record.render_position(record.Position("b-12")))
    service.rotate(places, places.journal)
    left = record.parse_journal((tmp_path / "journal").read_text(), "journal").entries
    assert [e.ident for e in left] == [f"b-{number}" for number in range(13, 21)]
    service.rotate(places, str(tmp_path / "other"))


def test_a_small_journal_is_left_alone(tmp_path: Path) -> None:
    places = Places(state=str(tmp_path))
    (tmp_path / "journal").write_text(entry(1))
    before = os.stat(places.journal).st_ino
    service.rotate(places, places.journal)
    assert os.stat(places.journal).st_ino == before


def test_a_record_of_probes_that_grows_too_large_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(state=str(tmp_path))
    monkeypatch.setattr(service, "PROBES_AT", 10)
    made = Writer("test", after=lambda path: service.rotate(places, path))
    made.append(places.probes, "x" * 20 + "\n")
    made.append(places.probes, "new\n")
    assert made.close(timeout=30)
    assert (tmp_path / "probes.1").read_text() == "x" * 20 + "\n"
    assert (tmp_path / "probes").read_text() == "new\n"


PROGRAM = Program("/opt/salt/bin/python3", "/usr/local/lib/ipalias", "/var/lib/ipalias", unit.VERB)


def test_the_unit_has_no_more_rights_than_it_needs() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    made = unit.unit_of("systemd", PROGRAM, 12.0)
    assert made is not None
    parser.read_string(made.text)
    settings = parser["Service"]
    assert settings["CapabilityBoundingSet"].split() == ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    assert settings["ProtectSystem"] == "strict" and settings["Restart"] == "always"
    assert settings["ReadWritePaths"] == "/var/lib/ipalias"
    assert settings["WatchdogSec"] == "12" and settings["Type"] == "notify"
    assert settings["ExecStart"] == " ".join(PROGRAM.argv)
    assert parser["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize(
    ("interpreter", "own_tmp"), [("/opt/salt/bin/python3", "yes"), ("/tmp/venv/bin/python", "no")]
)
def test_a_python_below_tmp_is_not_hidden_from_the_monitor(interpreter: str, own_tmp: str) -> None:
    made = unit.unit_of("systemd", replace(PROGRAM, interpreter=interpreter))
    assert made is not None and f"\nPrivateTmp={own_tmp}\n" in made.text


@pytest.mark.parametrize("started_by", ["openrc", "freebsd"])
def test_scripts_run_the_monitor_and_start_it_again(started_by: str) -> None:
    made = unit.unit_of(started_by, PROGRAM)
    assert made is not None and made.mode == 0o755
    assert "'/opt/salt/bin/python3'" in made.text and "'wan'" in made.text
    assert ("supervise-daemon" if started_by == "openrc" else "daemon") in made.text
    assert unit.unit_of("openbsd", PROGRAM) is None


def test_the_watchdog_waits_for_the_slowest_line() -> None:
    assert unit.watchdog_of(config()) == unit.WATCHDOG
    assert unit.watchdog_of(config(probe={"profile": "guide"})) >= 90


def test_metrics_are_in_the_text_form() -> None:
    row = {
        "line": "wan1",
        "uplink": "wan1",
        "family": 4,
        "state": "up",
        "default": True,
        "for": 3.5,
        "bound": 0.2,
        "probed": 7,
        "targets": [{"target": 'a "quoted"\\?token', "rtt": 0.01, "loss": 0.25}],
    }
    text = metrics.render_metrics({"wall": boot_clock(), "lines": [row], "journal": {"lost": 2}})
    assert 'ipalias_wan_up{uplink="wan1",family="4"} 1\n' in text
    assert 'loss_ratio{uplink="wan1",family="4",target="a \\"quoted\\"\\\\"} 0.25\n' in text
    assert "ipalias_wan_journal_lost_total 2\n" in text
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2
