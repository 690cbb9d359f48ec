"""The log: which lines are about the pair, and which of them are faults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from saltext.ipalias.dhcp import logs
from saltext.ipalias.dhcp.logs import LogLine
from saltext.ipalias.host import NOT_FOUND, TIMED_OUT, Result

#: As dhcpd 4.4.3-P1 said them.
USUAL = [
    "failover peer dhcp-failover: I move from recover to startup",
    "failover peer dhcp-failover: peer moves from unknown-state to recover",
    "failover peer dhcp-failover: requesting full update from peer",
    "Sent update request all message to dhcp-failover",
    "Update request all from dhcp-failover: sending update",
    "bind update on 192.0.2.192 from dhcp-failover rejected: "
    "incoming update is less critical than outgoing update",
    "failover peer dhcp-failover: peer update completed.",
    "Both servers have entered recover-done!",
    "balancing pool 555c090c7c80 192.0.2.0/24  total 100  free 100  backup 0  lts 50",
    "failover peer dhcp-failover: Both servers normal",
    "peer dhcp-failover: disconnected",
    "failover peer dhcp-failover: I move from normal to communications-interrupted",
]
FAULTS = [
    "Failover CONNECT from dhcp-failover: time offset too large",
    "Failover CONNECT to dhcp-failover rejected: Connection rejected, time mismatch too great.",
    "Failover DISCONNECT from dhcp-failover: No traffic within sufficient time.",
    "failover: disconnect: time offset too large",
    "failover: listener: no matching state",
    "failover peer dhcp-failover: address not available",
    "failover: link startup timeout",
    "timeout waiting for failover peer dhcp-failover",
    "Unable to record current failover state for dhcp-failover",
    "Peer dhcp-failover: Invalid state transition normal to potential-conflict.",
    "bind update on 192.0.2.9 from dhcp-failover rejected: "
    "Fatal conflict exists: address in use by other client.",
    "peer dhcp-failover: Got POOLREQ, answering negatively!  Peer may be out of leases",
    "DHCPDISCOVER from 02:00:00:00:00:09 via eth0: peer holds all free leases",
    "DHCPDISCOVER from 02:00:00:00:00:09 via eth0: network 192.0.2.0/24: no free leases",
    "FAILOVER: option size (13:4), option MCLT",
]
OTHERS = [
    "DHCPDISCOVER from 02:00:00:00:00:09 via eth0",
    "DHCPACK on 192.0.2.9 to 02:00:00:00:00:09 via eth0",
    "Wrote 50 leases to leases file.",
    "Server starting service.",
]


@pytest.mark.parametrize("line", USUAL)
def test_what_belongs_to_a_pair_in_order_is_no_fault(line: str) -> None:
    found = logs.judge_line(1.0, line, "isc")
    assert found is not None and not found.fault


@pytest.mark.parametrize("line", FAULTS)
def test_what_should_not_be_is_a_fault(line: str) -> None:
    found = logs.judge_line(1.0, line, "isc")
    assert found is not None and found.fault


@pytest.mark.parametrize("line", OTHERS)
def test_what_is_said_of_clients_is_passed_over(line: str) -> None:
    assert logs.judge_line(1.0, line, "isc") is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("INFO  HA_STATE_TRANSITION server transitions from READY to LOAD-BALANCING", False),
        ("WARN  HA_HEARTBEAT_COMMUNICATIONS_FAILED failed to send heartbeat to dhcp2", False),
        ("WARN  HA_COMMUNICATION_INTERRUPTED communication with dhcp2 is interrupted", False),
        ("WARN  HA_LEASE_UPDATE_COMMUNICATIONS_FAILED lease update failed", True),
        ("ERROR HA_SYNC_FAILED lease database synchronization failed", True),
        ("WARN  HA_HIGH_CLOCK_SKEW clock skew is 31s", True),
        ("2026-11-28 10:23:17.403 ERROR [kea-dhcp4.ha-hooks/1.14] HA_TERMINATED stopped", True),
        ("WARN  ALLOC_ENGINE_V4_ALLOC_FAIL_SUBNET failed to allocate an address", True),
        ("INFO  COMMAND_RECEIVED Received command 'ha-heartbeat'", None),
    ],
)
def test_keas_log_goes_by_its_names_and_levels(line: str, fault: bool | None) -> None:
    found = logs.judge_line(1.0, line, "kea")
    assert (None if found is None else found.fault) is fault


class Journal:
    """A host whose journal is given."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.asked: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        self.asked.append(argv)
        assert timeout <= logs.PATIENCE
        return self.result


def entry(message: Any, stamp: int = 1_700_000_000_500_000) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(stamp), "MESSAGE": message, "_PID": "1"})


def read(text: str, code: int = 0, err: str = "") -> tuple[list[LogLine], str]:
    journal: Any = Journal(Result(code, text, err))
    found = logs.read_lines(journal, "isc")
    [argv] = journal.asked
    assert argv[0] == "journalctl" and {"-o", "json", "-n", "dhcpd"} <= set(argv)
    return found


def test_the_journal_is_read_with_what_is_none_of_it_passed_over() -> None:
    text = "\n".join(
        [
            entry(USUAL[0]),
            "nonsense",
            '{"MESSAGE": "no time"}',
            entry(None),
            entry(list(USUAL[1].encode()), 1_700_000_001_000_000),
            entry([USUAL[2], "twice"], 1_700_000_002_000_000),
            entry({"a": 1}),
            entry(OTHERS[0]),
            entry([300, 1]),
        ]
    )
    lines, why = read(text)
    assert why == "" and [line.text for line in lines] == [*USUAL[:2], f"{USUAL[2]} twice"]
    assert lines[0].time == 1_700_000_000.5


@pytest.mark.parametrize(
    ("code", "err", "word"),
    [
        (NOT_FOUND, "journalctl: not installed", "not installed"),
        (TIMED_OUT, "journalctl: no end after 5 s", "no end"),
        (1, "No journal files were found.\n", "No journal files"),
        (1, "", "exit 1"),
    ],
)
def test_a_journal_that_cannot_be_read_says_why(code: int, err: str, word: str) -> None:
    lines, why = read("", code, err)
    assert lines == [] and word in why


def line(text: str, moment: float = 1.0, fault: bool = True) -> LogLine:
    return LogLine(moment, text, fault)


def test_equal_lines_in_a_row_are_told_once() -> None:
    many = [line(f"bind update on 192.0.2.{n} from pair rejected: why", n) for n in range(100)]
    assert logs.last([*many, line("other"), *many[:3]]) == [many[-1], line("other"), many[2]]
    assert len(logs.last([line(f"line {chr(97 + n)}") for n in range(26)])) == logs.TOLD


def test_of_each_kind_of_fault_the_last_is_told() -> None:
    lines = [line("no free leases on 192.0.2.0/24", 1), line("a", 2, False)]
    lines += [line("no free leases on 198.51.100.0/24", 3), line("other", 0.5)]
    assert [each.time for each in logs.faults_since(lines, 0.0)] == [0.5, 3]
    assert [each.time for each in logs.faults_since(lines, 1.0)] == [3]


def test_a_line_is_cut_and_is_one_line() -> None:
    found = logs.judge_line(1.0, "failover peer x:\nI move " + "y" * 9000, "isc")
    assert found is not None and len(found.text) == logs.LONGEST and "\n" not in found.text
