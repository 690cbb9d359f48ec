"""The monitor end to end, as its service runs it, over two real lines."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.process import Running, children, wait_until
from rig.wan import SERVER, SERVER6, SERVER_2, Wan
from saltext.ipalias.wan.clocks import boot_clock
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.model import Transition
from saltext.ipalias.wan.record import parse_journal, parse_probes

LINES = ("wan1", "wan2", "wan1/6", "wan2/6")
JOURNAL = "/var/lib/ipalias/wan/journal"


def block(**more: Any) -> dict[str, Any]:
    """Return a pillar's block: two uplinks, a tenth of a second between probes."""
    uplinks = {}
    for name, (_, _, _, gateway, _, gateway6) in Wan.LINES.items():
        uplinks[name] = {
            "interface": name,
            "gateway": gateway,
            "gateway6": gateway6,
            "targets": [SERVER, SERVER_2, SERVER6, {"tcp": f"{SERVER}:7001"}],
        }
    return {"uplinks": uplinks, "probe": {"profile": "fast", "hold_down": 0.2}, **more}


def states(net: Wan) -> dict[str, str]:
    """Return the verdicts, empty while there is no monitor."""
    return {row["line"]: row["state"] for row in net.ask(verb="status").get("lines", [])}


def ways_out(net: Wan) -> set[str]:
    """Return the interfaces over which packets of nobody's leave."""
    asked = [f"203.0.113.{number}" for number in range(50, 74)]
    asked += [f"2001:db8:f::{number}" for number in range(50, 74)]
    lines = "".join(f"route get {each}\n" for each in asked)
    said = net.router.run(["ip", "-force", "-batch", "-"], lines, check=False).out
    found = re.findall(r"^\S+ .* dev (\S+)", said, re.MULTILINE)
    return {*found, *(["none"] if len(found) < len(asked) else [])}


def all_up(net: Wan) -> bool:
    return set(states(net).values()) == {"up"} and ways_out(net) == {"wan1", "wan2"}


def only(net: Wan, *lines: str) -> bool:
    """Tell whether just these lines are up, and nothing leaves by another interface."""
    up = {line for line, state in states(net).items() if state == "up"}
    return up == set(lines) and ways_out(net) == {line.partition("/")[0] for line in lines}


def journal(net: Wan) -> list[Transition]:
    path = net.root / JOURNAL[1:]
    found = parse_journal(path.read_text() if path.exists() else "", JOURNAL)
    assert not found.unreadable
    return list(found.entries)


@pytest.fixture
def net() -> Iterator[Wan]:
    with Wan(routes=False) as made:
        made.serve()
        yield made


@pytest.fixture
def monitor(net: Wan) -> Running:
    started = net.watch(block())
    wait_until(lambda: all_up(net), "all lines up")
    return started


def stop(running: Running) -> str:
    """End a monitor politely and return what it said."""
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    return str(out)


def test_what_was_probed_is_on_record(net: Wan, monitor: Running) -> None:
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    stop(monitor)
    text = (net.root / "var/lib/ipalias/wan/probes").read_text()
    found = parse_probes(text, parse_wan(block()))
    assert {o.line.text() for o in found if o.rtt is not None} == set(LINES)
    assert any(o.rtt is None and o.line.text() == "wan1" for o in found)
    assert "ipalias_wan_up{" in (net.root / "run/ipalias/wan.prom").read_text()


def test_a_line_that_is_cut_beyond_its_gateway_leaves_the_default_route_and_returns(
    net: Wan, monitor: Running
) -> None:
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    net.mend("wan1")
    wait_until(lambda: all_up(net), "wan1 back")
    wait_until(lambda: len(journal(net)) >= 8, "the journal")
    entries = journal(net)
    assert {e.line.text() for e in entries if e.state == "down"} == {"wan1", "wan1/6"}
    assert {e.acted for e in entries} == {"monitor"}
    assert stop(monitor) == ""
    # Its end leaves the routes.
    assert ways_out(net) == {"wan1", "wan2"}


def test_carrier_loss_and_return(net: Wan, monitor: Running) -> None:
    net.carrier("wan2", up=False)
    wait_until(lambda: only(net, "wan1", "wan1/6"), "wan2 down")
    net.carrier("wan2", up=True)
    wait_until(lambda: all_up(net), "wan2 back")


def test_the_last_line_keeps_its_route(net: Wan, monitor: Running) -> None:
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    net.cut("wan2")
    wait_until(lambda: set(states(net).values()) == {"down"}, "all down")
    assert ways_out(net) == {"wan2"}
    net.mend("wan1")
    wait_until(lambda: only(net, "wan1", "wan1/6"), "wan1 back")


def test_a_stopped_monitor_takes_no_line_down_and_then_sees_a_real_loss(
    net: Wan, monitor: Running
) -> None:
    before = net.ask(verb="status")
    monitor.send_signal(signal.SIGSTOP)
    wait_until(lambda: _state(monitor) == "T", "the monitor to stand still")
    # It stays so for much longer than the silence that takes a line down.
    ends = boot_clock() + 2.0
    wait_until(lambda: boot_clock() > ends, "two seconds of it")
    monitor.send_signal(signal.SIGCONT)

    def noticed() -> dict[str, Any] | None:
        now = net.ask(verb="status")
        return now if now.get("late_turns", 0) > before["late_turns"] else None

    assert wait_until(noticed, "a late turn")["transitions"] == before["transitions"]
    net.cut("wan2")
    wait_until(lambda: only(net, "wan1", "wan1/6"), "wan2 down")
    assert not [e for e in journal(net) if e.state == "down" and e.line.uplink == "wan1"]


def _state(running: Running) -> str:
    """Return the letter of proc(5) for what a program does."""
    [child] = children(running.pid)
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    "command",
    [
        ["ip", "route", "flush", "proto", "186", "table", "all"],
        ["ip", "-6", "route", "flush", "proto", "186", "table", "all"],
        ["ip", "nexthop", "flush", "proto", "186"],
        ["ip", "rule", "flush", "protocol", "186"],
        ["nft", "flush", "ruleset"],
    ],
    ids=" ".join,
)
def test_what_somebody_takes_away_comes_back(
    net: Wan, monitor: Running, command: list[str]
) -> None:
    def shown() -> list[str]:
        """Return what the kernel holds, but for numbers that count or move."""
        texts = [
            net.router.ip(*words).out
            for words in (
                ("rule",),
                ("-6", "rule"),
                ("route", "show", "table", "all", "proto", "186"),
                ("-6", "route", "show", "table", "all", "proto", "186"),
                ("nexthop",),
            )
        ]
        return [*texts, net.router.run(["nft", "list", "ruleset"]).out]

    before = shown()
    assert "ipalias_wan" in before[-1]
    done = net.router.run(command, check=False)
    wait_until(lambda: shown() == before, f"what {command} took ({done})")
    assert set(states(net).values()) == {"up"}


def test_an_nft_that_hangs_delays_no_decision(net: Wan, monitor: Running) -> None:
    router = net.router
    router.write("/run/hanging", "#!/bin/sh\necho $$ >>/run/hangs\nexec cat /run/never\n")
    found = router.run(["sh", "-c", "command -v nft"]).out.strip()
    router.run(["sh", "-c", f"cp {found} /run/nft; chmod +x /run/hanging; mkfifo /run/never"])
    router.run(["mount", "--bind", "/run/hanging", found])
    router.run(["/run/nft", "delete", "table", "inet", "ipalias_wan"])
    hangs = net.root / "run/hangs"
    wait_until(hangs.exists, "nft to hang")
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    [pid] = hangs.read_text().split()
    assert "cat" in (net.root / f"proc/{pid}/comm").read_text(), "it still hangs"
    router.run(["umount", found])
    wait_until(lambda: "ipalias_wan" in router.run(["nft", "list", "ruleset"]).out, "NAT again")


def test_a_full_disk_delays_no_decision(net: Wan) -> None:
    net.router.run(["mkdir", "-p", "/var/lib/ipalias/wan"])
    small = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", "/var/lib/ipalias/wan"]
    net.router.run(small)
    net.watch(block())
    wait_until(lambda: all_up(net), "all lines up")
    wait_until(lambda: net.ask(verb="status")["journal"]["waiting"] == 0, "the journal written")
    # Its last page would have room for a line or two.
    fill = f": >{JOURNAL}; cat /dev/zero >/var/lib/ipalias/wan/filled"
    net.router.run(["sh", "-c", fill], check=False)
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    told = net.ask(verb="status")["journal"]
    assert told["waiting"] >= 2 and "No space left" in told["error"], told
    assert journal(net) == []
    net.router.run(["rm", "/var/lib/ipalias/wan/filled"])
    wait_until(lambda: len(journal(net)) >= 2, "the journal written after all")
    assert net.ask(verb="status")["journal"]["lost"] == 0


def test_a_disk_that_stands_still_delays_no_decision(net: Wan, monitor: Running) -> None:
    """A FIFO that nobody reads holds who opens it for ever, as a frozen file system does."""
    wait_until(lambda: net.ask(verb="status")["journal"]["waiting"] == 0, "the journal written")
    net.router.run(["sh", "-c", f"mv {JOURNAL} {JOURNAL}.away; mkfifo {JOURNAL}"])
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    assert net.ask(verb="status")["journal"]["waiting"] >= 2
    net.mend("wan1")
    wait_until(lambda: all_up(net), "wan1 back")
    status = json.loads((net.root / "run/ipalias/wan-status.json").read_text())
    assert {row["state"] for row in status["lines"]} == {"up"}


def test_a_resolver_that_answers_nobody_takes_no_line_down(net: Wan) -> None:
    net.router.write("/etc/resolv.conf", "nameserver 203.0.113.99\n")
    made = block()
    for uplink in made["uplinks"].values():
        uplink["targets"] = [SERVER, SERVER6, {"http": "http://www.example:8080/204"}]
    net.watch(made)
    wait_until(lambda: all_up(net), "all lines up")
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")


def test_an_operator_takes_a_line_down_and_a_killed_monitor_remembers(
    net: Wan, monitor: Running
) -> None:
    answer = net.ask(verb="fail", uplink="wan1", by="a test")
    assert answer["done"] is True
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 taken down")
    monitor.send_signal(signal.SIGKILL)
    monitor.wait()
    assert ways_out(net) == {"wan2"}
    again = net.again()
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 still down")
    net.ask(verb="restore", uplink="wan1")
    wait_until(lambda: all_up(net), "wan1 back")
    entries = journal(net)
    # Of two with one id the reader would know the first only.
    text = (net.root / JOURNAL[1:]).read_text()
    assert text.count('"id"') == len(entries)
    assert any("a test" in e.reason for e in entries)
    stop(again)


def test_a_word_that_ends_by_itself(net: Wan, monitor: Running) -> None:
    assert net.ask(verb="fail", uplink="wan1", seconds=0.2)["done"] is True
    wait_until(lambda: [e for e in journal(net) if e.state == "down"], "wan1 down")
    wait_until(lambda: all_up(net), "wan1 back")


def test_what_a_killed_monitor_has_missed_is_put_right_by_the_next(
    net: Wan, monitor: Running
) -> None:
    monitor.send_signal(signal.SIGKILL)
    monitor.wait()
    net.router.run(["ip", "rule", "flush", "protocol", "186"], check=False)
    net.cut("wan2")
    net.again()
    wait_until(lambda: only(net, "wan1", "wan1/6"), "wan2 down")


@pytest.mark.parametrize("told", [False, True])
def test_with_react_event_a_reaction_has_its_time(net: Wan, told: bool) -> None:
    net.watch(block(react="event", react_timeout=60 if told else 1))
    wait_until(lambda: all_up(net), "all lines up")
    net.cut("wan1")
    if told:
        wait_until(lambda: states(net).get("wan1") == states(net).get("wan1/6") == "down", "both")
        wait_until(lambda: net.ask(verb="status")["left_to_reaction"], "what is left to others")
        assert ways_out(net) == {"wan1", "wan2"}
        net.ask(verb="acted")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")

    def acted() -> set[str]:
        return {e.acted for e in journal(net) if e.state == "down"}

    wait_until(lambda: acted() == {"monitor"}, "the journal to tell who acted")


def test_report_changes_nothing(net: Wan) -> None:
    net.watch(block(react="report"))
    wait_until(lambda: len(states(net)) == 4, "the monitor")
    net.cut("wan1")
    wait_until(lambda: states(net).get("wan1") == "down", "wan1 down")
    assert "ipalias_wan" not in net.router.run(["nft", "list", "ruleset"]).out
    assert "186" not in net.router.ip("route", "show", "table", "all").out


def test_in_the_foreground_it_tells_what_it_does(net: Wan, monitor: Running) -> None:
    refused = net.again("-d")
    _, err = refused.communicate(timeout=30)
    assert refused.returncode == 1 and "another monitor" in err
    beside = net.again("-d", "-n")
    assert beside.stdout is not None
    wanted = {f"wan1 icmp {SERVER} #", f"wan2/6 icmp {SERVER6} #"}
    for line in beside.stdout:
        wanted -= {each for each in wanted if each in line and line.endswith(" ms\n")}
        if not wanted:
            break
    assert not wanted
    beside.send_signal(signal.SIGTERM)
    assert beside.wait() == 0
    assert set(states(net).values()) == {"up"}


def test_one_that_changes_nothing_writes_nothing(net: Wan, monitor: Running) -> None:
    """Its transitions have the ids of those of the monitor beside which it runs."""
    beside = net.again("-d", "-n")
    assert beside.stdout is not None
    wait_until(lambda: "#" in beside.stdout.readline(), "a probe")
    net.cut("wan1")
    wait_until(lambda: " wan1 down: " in beside.stdout.readline(), "its word on wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    beside.send_signal(signal.SIGTERM)
    assert beside.wait() == 0
    down = [e for e in journal(net) if (e.line.text(), e.state) == ("wan1", "down")]
    written = (net.root / JOURNAL[1:]).read_text()
    assert len(down) == 1 and written.count('"id"') == len(journal(net))


@pytest.mark.parametrize("acted", [False, True])
def test_with_react_event_one_that_starts_waits_for_nobody(net: Wan, acted: bool) -> None:
    """No minion is there: the first route comes at once, what was left is not left for ever."""
    net.cut("wan1")
    first = net.watch(block(react="event", react_timeout=600))
    wait_until(lambda: only(net, "wan2", "wan2/6"), "the first way out")
    net.mend("wan1")
    wait_until(lambda: net.ask(verb="status").get("left_to_reaction"), "wan1, left to others")
    wait_until(lambda: set(states(net).values()) == {"up"}, "both up")
    first.send_signal(signal.SIGKILL)
    first.wait()
    left = [e.ident for e in journal(net) if not e.acted]
    assert left and {e.acted for e in journal(net)} == {"monitor", ""}
    store = json.dumps({"schema": 1, "ids": left[:1] if acted else []})
    net.router.write("/var/lib/ipalias/wan/acted", store)
    net.again()

    def told() -> list[str]:
        return [e.acted for e in journal(net) if e.ident in left]

    wait_until(lambda: all(told()), "who has acted")
    assert told()[1:] == ["nobody"] * (len(left) - 1)
    assert told()[0] == ("reaction" if acted else "nobody")


def test_with_react_event_the_first_verdict_after_a_start_has_its_time_as_well(net: Wan) -> None:
    """A line has died while there was no monitor: with nobody to react it is switched as well."""
    first = net.watch(block(react="event", react_timeout=1))
    wait_until(lambda: all_up(net), "all lines up")
    first.send_signal(signal.SIGKILL)
    first.wait()
    net.cut("wan1")
    net.again()
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")

    def acted() -> set[str]:
        return {e.acted for e in journal(net) if e.state == "down"}

    wait_until(lambda: acted() == {"monitor"}, "the journal to tell who acted")


def test_the_status_tells_the_last_probe_as_a_command(net: Wan, monitor: Running) -> None:
    net.cut("wan1")
    wait_until(lambda: only(net, "wan2", "wan2/6"), "wan1 down")
    [row] = [r for r in net.ask(verb="status")["lines"] if r["line"] == "wan1"]
    [probe] = [p for p in row["probes"] if p["target"] == f"icmp {SERVER}"]
    assert (probe["rtt"], probe["error"]) == (None, "no answer")
    said = net.router.run(probe["command"].split(), check=False)
    assert said.code == 1 and "100% packet loss" in said.out
    net.mend("wan1")
    wait_until(lambda: all_up(net), "wan1 back")
    assert net.router.run(probe["command"].split()).code == 0
