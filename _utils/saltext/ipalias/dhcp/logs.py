"""What the servers' log says of the pair: its last lines, and which of them are faults.

From the journal of systemd (journalctl(1), ``-o json``; systemd.journal-fields(7)). The texts are
those of dhcpd 4.4.3-P1 (server/failover.c, server/dhcp.c) and of Kea's hook ("Kea Messages
Manual", ``HA_``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..errors import MALFORMED
from ..host import NOT_FOUND, TIMED_OUT, Host
from .model import ISC, KEA

#: Lines of the journal that are looked through, those that are told, characters of one.
LOOKED_THROUGH, TOLD, LONGEST = 1000, 20, 400
#: Seconds that the journal may take: on a slow disk it takes long.
PATIENCE: Final = 5.0

#: dhcpd by its name in the journal, for its unit may be one of the distribution's or our own.
_SELECTED: Final[Mapping[str, Sequence[str]]] = {
    ISC: ("-t", "dhcpd"),
    KEA: ("-u", "kea-dhcp4-server.service"),
}

_ISC_PAIR: Final = re.compile(
    r"failover|peer |peers? demands|Both servers|balanc|^bind update|^pool (?:request|response)"
    r"|update (?:request|done)|^Sending updates|free leases|POOLREQ",
    re.IGNORECASE,
)
#: Of a pair that comes together both sides tell each other of each lease, and one of two equal
#: updates is turned down as less critical: that is how it works.
_ISC_USUAL: Final = re.compile(r"rejected: .*(?:less critical|[Oo]utdated binding)")
_ISC_FAULT: Final = re.compile(
    r"^Failover (?:CONNECT|CONNECTACK|DISCONNECT) |^failover: disconnect: |rejected: |got ack from"
    r"|nvalid (?:state|attempt)|Unexpected move|panic|Unable to record|unable to write state"
    r"|timeout waiting for failover|startup timeout|answering negatively|free leases"
    r"|^FAILOVER: |message length wait|no matching state|failover peer [^:]*: (?!I move|peer moves"
    r"|Both|requesting|peer update)|has no referring pools|sanity check failed"
)

_KEA_NAME: Final = re.compile(r"\b(HA_[A-Z0-9_]+|ALLOC_ENGINE_V4_ALLOC_FAIL[A-Z_]*)\b")
_KEA_LEVEL: Final = re.compile(r"\b(WARN|ERROR|FATAL)\b")
#: What each heartbeat says again while the peer is away: that is told as its silence.
_KEA_USUAL: Final = frozenset(
    {
        "HA_HEARTBEAT_COMMUNICATIONS_FAILED",
        "HA_COMMUNICATION_INTERRUPTED",
        # Our own word that the peer is dead: it is asked first, and is silent.
        "HA_MAINTENANCE_NOTIFY_COMMUNICATIONS_FAILED",
    }
)


_NUMBERS: Final = re.compile(r"[0-9a-f:.]*[0-9][0-9a-f:.]*")


class LogLine(NamedTuple):
    """Hold a line of the log.

    :param time: seconds since 1970.
    :param fault: whether it tells of something that should not be.
    """

    time: float
    text: str
    fault: bool

    @property
    def kind(self) -> str:
        """Return what is the same in all lines of one fault."""
        found = _KEA_NAME.search(self.text)
        return found[1] if found else self.shape[:120]

    @property
    def shape(self) -> str:
        """Return the text with addresses and numbers left out."""
        return _NUMBERS.sub("N", self.text)


def read_lines(host: Host, implementation: str) -> tuple[list[LogLine], str]:
    """Return the last lines about the pair, oldest first, and why there are none.

    :param implementation: ``isc`` or ``kea``.
    """
    argv = ["journalctl", "-o", "json", "--no-pager", "-q", "-n", str(LOOKED_THROUGH)]
    argv += ["--output-fields=MESSAGE", *_SELECTED[implementation]]
    said = host.run(argv, timeout=PATIENCE)
    if said.code in (NOT_FOUND, TIMED_OUT):
        return [], said.err
    if said.code != 0:
        return [], f"journalctl: {said.err.strip()[:200] or f'exit {said.code}'}"
    return parse_journal(said.out, implementation), ""


def parse_journal(text: str, implementation: str) -> list[LogLine]:
    """Return what lines of the journal say of the pair; what is none of it is passed over."""
    found = []
    for row in text.splitlines():
        try:
            entry = json.loads(row)
            moment = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            message = _text_of(entry["MESSAGE"])
        except MALFORMED:
            continue
        line = judge_line(moment, message, implementation)
        if line is not None:
            found.append(line)
    return found


def _text_of(value: Any) -> str:
    """Return a field's text: bytes that are none are given as numbers, a field twice as a list."""
    if isinstance(value, list):
        if all(isinstance(each, int) for each in value):
            return bytes(value).decode("utf-8", "replace")
        return " ".join(map(str, value))
    return str(value)


def judge_line(moment: float, message: str, implementation: str) -> LogLine | None:
    """Return a line where it is about the pair, and whether it tells of a fault."""
    text = " ".join(message.split())[:LONGEST]
    if implementation == ISC:
        if not _ISC_PAIR.search(text) and not _ISC_FAULT.search(text):
            return None
        return LogLine(moment, text, bool(_ISC_FAULT.search(text) and not _ISC_USUAL.search(text)))
    name = _KEA_NAME.search(text)
    if name is None:
        return None
    return LogLine(moment, text, name[1] not in _KEA_USUAL and bool(_KEA_LEVEL.search(text)))


def last(lines: Sequence[LogLine], count: int = TOLD) -> list[LogLine]:
    """Return the last lines, and of equal ones in a row only the last."""
    kept: list[LogLine] = []
    for line in lines:
        if kept and kept[-1].shape == line.shape:
            kept.pop()
        kept.append(line)
    return kept[-count:] if count else []


def faults_since(lines: Iterable[LogLine], moment: float) -> list[LogLine]:
    """Return the faults from a moment on, one of each kind: the last of it."""
    found = {line.kind: line for line in lines if line.fault and line.time >= moment}
    return sorted(found.values())
