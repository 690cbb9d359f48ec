"""Look names up through one line, never through the system's resolver.

``getaddrinfo`` asks whoever ``resolv.conf`` names, over whichever line the routes choose,
and waits for seconds where nobody answers. Here a query is one packet, marked for the line,
to each server at once; nothing waits for it, and an answer is used on after its time where
no newer one can be had: a resolver that fails must take no line down.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from . import clocks, dnswire
from .exchanges import Dns, Out, Result, failed, is_address
from .model import DNS, Line, Way
from .sockets import Watch
from .sources import packed, unpacked

#: Seconds an answer is used before it is asked for again, at least and at most.
LEAST, MOST = 30.0, 3600.0
#: Seconds that a server may take.
PATIENCE = 2.0
#: Seconds until a name that was not found is asked for again, first and at most.
AGAIN, SLOWEST = 1.0, 30.0
#: Servers asked at once.
SERVERS = 3
#: Files that name servers; the second has those behind the stub of systemd-resolved.
FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
#: Seconds between two looks at those files.
LOOK = 30.0


def parse_servers(text: str) -> list[str]:
    """Return the servers of a resolv.conf(5) that lie outside this host."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        address = words[1].partition("%")[0]
        if is_address(address) and not _own(address):
            found.append(unpacked(packed(address)))
    return found


def _own(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "::", "0.0.0.0")


def read_servers(files: Sequence[str] = FILES) -> list[str]:
    """Return the servers that this host's files name, each once."""
    found: list[str] = []
    for path in files:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            found += parse_servers(file.read(65536))
    return list(dict.fromkeys(found))


@dataclass
class _Entry:
    """Hold what is known of a name over one line."""

    address: str = ""
    good_until: float = 0.0
    pause: float = AGAIN
    error: str = ""
    asked: list[Dns] = field(default_factory=list)
    give_up: float = 0.0
    waiting: list[Callable[[str, str], None]] = field(default_factory=list)


class Names:
    """Keep the addresses of names, a line each.

    :param out: how packets leave by a line, or why they cannot.
    """

    def __init__(self, watch: Watch, out: Callable[[Way], Out | Result]) -> None:
        self._watch, self._out = watch, out
        self._entries: dict[tuple[Line, str], _Entry] = {}
        self._servers = read_servers()
        self._look_at = clocks.boot_clock() + LOOK
        self._looking: threading.Thread | None = None

    def find(self, way: Way, name: str, then: Callable[[str, str], None]) -> None:
        """Call back with the address of a name, or "" and the reason; at once if known."""
        if is_address(name):
            return then(name, "")
        entry = self._entries.setdefault((way.line, name), _Entry())
        now = clocks.boot_clock()
        if now >= entry.good_until and not entry.asked:
            self._ask(way, name, entry, now)
        if entry.address or not entry.asked:
            return then(entry.address, entry.error if not entry.address else "")
        entry.waiting.append(then)
        return None

    def deadline(self) -> float | None:
        """Return when `expire` has something to do (boot clock), or None."""
        return min((e.give_up for e in self._entries.values() if e.asked), default=None)

    def expire(self, now: float) -> None:
        """Give up queries that nobody has answered."""
        for (line, name), entry in self._entries.items():
            if entry.asked and now >= entry.give_up:
                for query in list(entry.asked):
                    self._drop(entry, query)
                self._failed(entry, f"{name}: no name server answers over {line.text()}")

    def forget(self, line: Line) -> None:
        """Ask anew for what was not found, after something about a line has changed."""
        for (of, _), entry in self._entries.items():
            if of == line and not entry.address:
                entry.good_until, entry.pause = 0.0, AGAIN

    def known(self, line: Line, name: str) -> str:
        """Return the address known for a name, or nothing."""
        entry = self._entries.get((line, name))
        return entry.address if entry else ""

    def close(self) -> None:
        """Close what is open."""
        for entry in self._entries.values():
            for query in list(entry.asked):
                self._drop(entry, query)

    def _ask(self, way: Way, name: str, entry: _Entry, now: float) -> None:
        kind = dnswire.AAAA if way.line.family == 6 else dnswire.A
        out = self._out(way)
        if isinstance(out, Result):
            return self._failed(entry, out.error)
        self._read_servers(now)
        entry.give_up = now + PATIENCE
        for server in self._servers_of(way)[:SERVERS]:
            try:
                query = Dns(out, (server, dnswire.PORT), name, kind)
            except OSError as error:
                entry.error = f"{name}: {failed(error).error}"
                continue
            except ValueError as error:
                return self._failed(entry, str(error))
            entry.asked.append(query)
            self._watch.add(query.socket.fileno(), query.events, self._mover(entry, query, name))
        if not entry.asked:
            self._failed(entry, entry.error or f"{name}: no name server is known")
        return None

    def _servers_of(self, way: Way) -> list[str]:
        """Return the servers to ask: the host's, those that are targets, the gateway."""
        hosts = [t.host for t in way.targets if t.kind == DNS and is_address(t.host)]
        known = [*self._servers, *hosts, way.gateway]
        of_family = [s for s in known if s and (":" in s) == (way.line.family == 6)]
        return list(dict.fromkeys(of_family))

    def _read_servers(self, now: float) -> None:
        """Have the files read anew, for the next query: their disk may stand still."""
        if now < self._look_at or (self._looking is not None and self._looking.is_alive()):
            return
        self._look_at = now + LOOK
        self._looking = threading.Thread(target=self._look, name="resolv.conf", daemon=True)
        self._looking.start()

    def _look(self) -> None:
        self._servers = read_servers()

    def _mover(self, entry: _Entry, query: Dns, name: str) -> Callable[[int], None]:
        def move(mask: int) -> None:
            result = query.advance()
            if result is None:
                return
            self._drop(entry, query)
            answer = query.answer
            if answer is not None and answer.addresses and not result.error:
                self._found(entry, answer)
            elif not entry.asked:
                said = result.error or (answer.error if answer else "") or "has no address"
                self._failed(entry, f"{name}: {said}")

        return move

    def _found(self, entry: _Entry, answer: dnswire.Answer) -> None:
        for query in list(entry.asked):
            self._drop(entry, query)
        # The address that is in use stays while it is one of them.
        if entry.address not in answer.addresses:
            entry.address = answer.addresses[0]
        entry.good_until = clocks.boot_clock() + min(max(float(answer.ttl), LEAST), MOST)
        entry.pause, entry.error = AGAIN, ""
        self._tell(entry)

    def _failed(self, entry: _Entry, error: str) -> None:
        entry.good_until = clocks.boot_clock() + entry.pause
        entry.pause = min(entry.pause * 2, SLOWEST)
        entry.error = error
        self._tell(entry)

    def _tell(self, entry: _Entry) -> None:
        waiting, entry.waiting = entry.waiting, []
        for then in waiting:
            then(entry.address, entry.error if not entry.address else "")

    def _drop(self, entry: _Entry, query: Dns) -> None:
        entry.asked.remove(query)
        self._watch.remove(query.socket.fileno())
        query.close()
