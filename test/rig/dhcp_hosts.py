"""Two booted members of a DHCP pair and their clients on one segment, and what can befall them."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rig.dhcp_databases import Database
from rig.dhcp_leasefiles import parse_isc, parse_kea
from rig.host import BootedHost
from rig.netns import CHECKOUT, NetHost, Segment
from rig.process import CommandFailed, Running, wait_until
from rig.setups import SETUPS

#: The clients' network: more addresses than a documentation block has, for half of the free ones
#: must do for everybody while a pair is apart.
NETWORK, PREFIX = "198.18.0", 22
POOL = "198.18.1.0-198.18.2.255"
PROGRAM = {"isc": "dhcpd", "kea": "kea-dhcp4"}
UNIT = {"isc": "isc-dhcp-server.service", "kea": "kea-dhcp4-server.service"}
LEASES = {"isc": "/var/lib/dhcp/dhcpd.leases", "kea": "/var/lib/kea/kea-leases4.csv"}
#: Names of both implementations for what `Member.state` tells.
NORMAL = ("normal", "load-balancing", "hot-standby")

_ASK = """
import json, socket, sys
made = socket.socket(socket.AF_UNIX)
made.settimeout(10)
made.connect("/run/kea/kea4-ctrl-socket")
made.sendall(json.dumps({"command": sys.argv[1]}).encode())
while chunk := made.recv(65536):
    sys.stdout.write(chunk.decode())
"""
# In place of what was there before, at one moment.
_DROP = """
table bridge dhcprig
delete table bridge dhcprig
table bridge dhcprig {{
    chain come {{
        type filter hook prerouting priority 0;
        {come}
    }}
    chain forward {{
        type filter hook forward priority 0;
        {forward}
    }}
    chain go {{
        type filter hook postrouting priority 0;
        {go}
    }}
}}
"""


def ask_kea(host: BootedHost, command: str) -> Mapping[str, Any]:
    """Give a host's Kea a command; return its answer's arguments.

    :raises CommandFailed: it does not answer.
    """
    done = host.run([host.python, "-I", "-c", _ASK, command])
    arguments: Mapping[str, Any] = json.loads(done.out)["arguments"]
    return arguments


class Member:
    """Hold one member of a pair: a booted host, what its server says, what its leases are."""

    def __init__(self, host: BootedHost, implementation: str) -> None:
        self.host, self.implementation = host, implementation
        self.address = f"{NETWORK}.{host.number}"
        #: Where its Kea has its leases; None: in a file.
        self.database: Database | None = None

    @property
    def name(self) -> str:
        """Return its minion id."""
        return self.host.name

    def pids(self) -> list[int]:
        """Return the processes of its server, as the host counts them."""
        done = self.host.run(["pidof", PROGRAM[self.implementation]], check=False)
        return [int(word) for word in done.out.split()]

    def state(self) -> str:
        """Return what its server says it is in, by the server's own word; empty: it does not.

        ISC's writes it down, dhcpd.leases(5); Kea's tells it, ``status-get``.
        """
        if not self.pids():
            return ""
        if self.implementation == "kea":
            return self._kea_state()
        text = self.host.read(LEASES["isc"]) or ""
        told = re.findall(r"^\s*my state (\S+) at", text, re.MULTILINE)
        return told[-1] if told else ""

    def _kea_state(self) -> str:
        said = self._kea()
        if not said:
            return ""
        state = str(said["local"]["state"])
        apart = said["remote"].get("communication-interrupted")
        # A standby that hears nothing stays one by its own word.
        return "interrupted" if apart and state == "hot-standby" else state

    def heard(self) -> float:
        """Return the seconds since its Kea had an answer from the other one; endless: never."""
        remote = self._kea().get("remote", {})
        return float(remote["age"]) if remote.get("in-touch") else math.inf

    def _kea(self) -> Mapping[str, Any]:
        """Return what Kea says of the two, ``status-get``; empty: it does not."""
        try:
            [row] = ask_kea(self.host, "status-get")["high-availability"]
        except CommandFailed:
            return {}
        servers: Mapping[str, Any] = row["ha-servers"]
        return servers

    def kill(self, signal: str = "-9") -> None:
        """Kill the server, and wait until it is gone."""
        pids = self.pids()
        assert pids, f"no {PROGRAM[self.implementation]} on {self.name}"
        self.host.run(["kill", signal, *map(str, pids)])

    def leases(self) -> dict[str, str]:
        """Return hardware addresses by the addresses that are in use, as its file has them."""
        if self.database is not None:
            return self.database.leases()
        path = LEASES[self.implementation]
        if self.implementation == "kea":
            # Kea tidies the file up into others: the older first, see its manual, "lfc-interval".
            text = [self.host.read(path + end) or "" for end in (".2", ".1", "")]
            return parse_kea(text, time.time())
        return parse_isc(self.host.read(path) or "")

    def journal(self) -> str:
        """Return what its server has logged."""
        return self.host.journal("--unit", UNIT[self.implementation], "--output", "short-precise")


class Clients:
    """Hold a host with hundreds of clients on its interface; see `rig.dhcp_clients`."""

    def __init__(self, stack: ExitStack, segment: Segment) -> None:
        self.host = stack.enter_context(NetHost(segment))
        words = [self.host.python, "-I", f"{CHECKOUT}/test/rig/dhcp_clients.py", "eth0"]
        self.running: Running = self.host.popen(words, stdin=-1, stdout=-1)
        stack.callback(self.running.end)
        assert self.running.stdout and self.running.stdout.readline() == "ready\n"

    def begin(self, do: str, who: Iterable[int], limit: float, **keys: Any) -> None:
        """Begin a command, and do not wait for its answer."""
        assert self.running.stdin
        job = {"do": do, "who": list(who), "limit": limit, **keys}
        self.running.stdin.write(json.dumps(job) + "\n")
        self.running.stdin.flush()

    def end(self) -> dict[int, dict[str, Any]]:
        """Return the answer to what was begun: a row for each client, by its number."""
        assert self.running.stdout
        line = self.running.stdout.readline()
        assert line, "the clients' program has ended"
        return {int(number): row for number, row in json.loads(line).items()}

    def run(self, do: str, who: Iterable[int], limit: float, **keys: Any) -> Any:
        """Run a command, and return its answer."""
        self.begin(do, who, limit, **keys)
        return self.end()


class DhcpHosts:
    """Two members, halted servers at first, and clients.

    :param suites: Debian releases of the primary and of the secondary.
    :param source: checkout that the members run.
    :param more: packages that the members have beside the usual ones.
    :param keys: of the pillar's block, other than usual; ``pair`` is merged.
    """

    def __init__(
        self,
        stack: ExitStack,
        segment: Segment,
        suites: Sequence[str],
        implementation: str,
        source: Path = CHECKOUT,
        more: Sequence[str] = (),
        **keys: Any,
    ) -> None:
        self.segment, self.implementation = segment, implementation
        made = [stack.enter_context(BootedHost(suite, segment, more=more)) for suite in suites]
        for host in made:
            host.checkout_from = source
            SETUPS["networkd"](host)
            path = "/etc/systemd/network/50-default.network"
            own = f"{NETWORK}.{host.number}/{PREFIX}"
            text = host.read(path) or ""
            host.write(path, text.replace("[Network]\n", f"[Network]\nAddress={own}\n"))
            host.awaited.append(own)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda host: host.boot(), made))
        self.members = [Member(host, implementation) for host in made]
        self.primary, self.secondary = self.members
        self.clients = Clients(stack, segment)
        self.give(**keys)

    def block(self, **keys: Any) -> dict[str, Any]:
        """Return the block of the pair, with some keys other than usual."""
        ports = keys.pop("ports", (647, 647))
        told = {
            member.name: {"address": member.address, "port": port, "role": role}
            for member, port, role in zip(
                self.members, ports, ("primary", "secondary"), strict=True
            )
        }
        return {
            "implementation": self.implementation,
            "profile": "short",
            "interfaces": ["eth0"],
            "subnets": [
                {
                    "subnet": f"{NETWORK}.0/{PREFIX}",
                    "ranges": [POOL],
                    "routers": [f"{NETWORK}.1"],
                }
            ],
            **keys,
            "pair": {"name": "pair1", "members": told, **keys.get("pair", {})},
        }

    def give(self, **keys: Any) -> None:
        """Say what the members' pillar is from now on."""
        self.pillar = {"ipalias": {"dhcp": self.block(**keys), "guard": {"checks": []}}}

    def become(self, implementation: str) -> None:
        """Expect another server from now on; `give` says so to the formula."""
        self.implementation = implementation
        for member in self.members:
            member.implementation = implementation

    # -- the formula --------------------------------------------------------------------

    def apply(self, member: Member, *, must: bool = True) -> Mapping[str, Any]:
        """Run ``state.apply ipalias.dhcp`` on one member, without a master.

        :return: the states' results.
        """
        told = member.host.salt_call("state.apply", "ipalias.dhcp", pillar=self.pillar)
        assert isinstance(told, dict), f"state.apply ipalias.dhcp did not run: {told}"
        failed = [str(row["comment"]) for row in told.values() if row["result"] is not True]
        assert not (must and failed), f"state.apply ipalias.dhcp failed: {'; '.join(failed)}"
        return told

    def apply_both(self) -> None:
        """Run it on both at once, as a highstate of everybody does."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.apply, self.members))

    def await_normal(self, limit: float = 60.0) -> float:
        """Wait until both servers say that they are in order; return seconds."""
        began = time.monotonic()
        for member in self.members:
            try:
                wait_until(
                    lambda member=member: member.state() in NORMAL,  # type: ignore[misc]
                    f"{member.name} normal",
                    timeout=limit,
                    step=0.1,
                )
            except AssertionError as error:
                both = ", ".join(each.state() or "no word" for each in self.members)
                raise AssertionError(f"{error} ({both}): {member.journal()[-700:]}") from None
        return time.monotonic() - began

    def synchronize(self) -> None:
        """Do on each what the reaction to its being normal again does."""
        for member in self.members:
            told = member.host.salt_call("ipalias_dhcp.synchronize", pillar=self.pillar)
            assert isinstance(told, dict) and told["result"] is True, told

    # -- what befalls them --------------------------------------------------------------

    def cut(self, member: Member) -> None:
        """Let no frame from or to a member through; its carrier stays."""
        port = member.host.port
        self._rules(come=f'iifname "{port}" drop', go=f'oifname "{port}" drop')

    def split(self) -> None:
        """Let the two members hear nothing of each other, and the clients hear both."""
        first, second = (member.host.port for member in self.members)
        ways = (f'iifname "{one}" oifname "{other}" drop' for one, other in
                ((first, second), (second, first)))  # fmt: skip
        self._rules(forward="; ".join(ways))

    def heal_for(self, asker: Member) -> None:
        """End a cut, but for what the other one asks: this one's word of itself comes first."""
        [other] = (member for member in self.members if member is not asker)
        self.block_port(other, asker)

    def block_port(self, from_: Member, to: Member, port: int = 647) -> None:
        """Let no segment from one member come to the other's port."""
        self._rules(come=f'iifname "{from_.host.port}" ip daddr {to.address} tcp dport {port} drop')

    def deafen(self, member: Member) -> None:
        """Let no client's message come to a member."""
        self._rules(go=f'oifname "{member.host.port}" udp dport 67 drop')

    def _rules(self, come: str = "", forward: str = "", go: str = "") -> None:
        self.segment.run(["nft", "-f", "-"], _DROP.format(come=come, forward=forward, go=go))

    def heal(self) -> None:
        """Let everything through again."""
        self.segment.run(["nft", "delete", "table", "bridge", "dhcprig"])
