"""A router with two lines, a gateway on each, and a server that both lead to.

    wan1 192.0.2.0/26   ── gateway 1 ──┐
    router                             ├── core 198.51.100.0/24 ── server 203.0.113.7, .8
    wan2 192.0.2.64/26  ── gateway 2 ──┘

IPv6 likewise: 2001:db8:1::/64, 2001:db8:2::/64, core 2001:db8:c::/64, server 2001:db8:f::7.
Everything lies in namespaces that end with the test.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from rig import process
from rig.netns import NetHost, Segment
from saltext.ipalias.errors import EffectError
from saltext.ipalias.wan import control

SERVER, SERVER_2, SERVER6 = "203.0.113.7", "203.0.113.8", "2001:db8:f::7"
SERVERS = Path(__file__).with_name("wan_servers.py")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(host: NetHost) -> Iterator[None]:
    """Open sockets on a host from this thread, as long as it lasts."""
    with open("/proc/thread-self/ns/net") as before, open(f"/proc/{host.pid}/ns/net") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


class Wan:
    """The picture above, with the router's policy routes: a mark and a source for each line."""

    #: Per line: mark, table, router's address, gateway, and the same of IPv6.
    LINES: ClassVar = {
        "wan1": (0x10000, 18600, "192.0.2.2", "192.0.2.1", "2001:db8:1::2", "2001:db8:1::1"),
        "wan2": (0x20000, 18601, "192.0.2.66", "192.0.2.65", "2001:db8:2::2", "2001:db8:2::1"),
    }

    def __init__(self, *, routes: bool = True) -> None:
        self._stack = contextlib.ExitStack()
        self.segments: dict[str, Segment] = {}
        self.running: list[process.Running] = []
        try:
            for name in ("wan1", "wan2", "core"):
                self.segments[name] = self._stack.enter_context(Segment(gateway=False))
            self.router = self._host("wan1", 2)
            self.gateways = {"wan1": self._host("wan1", 3), "wan2": self._host("wan2", 4)}
            self.server = self._host("core", 5)
            self._cables()
            self._addresses()
            if routes:
                self.routes()
            process.wait_until(self._is_settled, "the addresses to settle")
        except BaseException:
            self.close()
            raise

    def _host(self, segment: str, number: int) -> NetHost:
        host = NetHost(self.segments[segment], number, configure=False)
        return self._stack.enter_context(host)

    def _cables(self) -> None:
        """Name the router's interfaces and plug the others in."""
        self.router.ip("link", "set", "eth0", "name", "wan1")
        self.ports = {"wan1": self.router.port}
        self.ports["wan2"] = self.segments["wan2"].plug(self.router.pid, 6, "wan2")
        for number, gateway in ((7, self.gateways["wan1"]), (8, self.gateways["wan2"])):
            self.segments["core"].plug(gateway.pid, number, "eth1")

    def _addresses(self) -> None:
        for name, (_, _, own, gateway, own6, gateway6) in self.LINES.items():
            number = name[-1]
            self.router.ip_batch(
                f"link set {name} up",
                f"address add {own}/26 dev {name}",
                f"address add {own6}/64 dev {name} nodad",
            )
            host = self.gateways[name]
            host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
            host.ip_batch(
                "link set eth0 up",
                "link set eth1 up",
                f"address add {gateway}/26 dev eth0",
                f"address add {gateway6}/64 dev eth0 nodad",
                "address add fe80::1/64 dev eth0 nodad",
                f"address add 198.51.100.{number}/24 dev eth1",
                f"address add 2001:db8:c::{number}/64 dev eth1 nodad",
                "route add 203.0.113.0/24 via 198.51.100.10",
                "route add 2001:db8:f::/64 via 2001:db8:c::10",
            )
        self.server.ip_batch(
            "link set eth0 up",
            "address add 198.51.100.10/24 dev eth0",
            "address add 2001:db8:c::10/64 dev eth0 nodad",
            f"address add {SERVER}/32 dev lo",
            f"address add {SERVER_2}/32 dev lo",
            f"address add {SERVER6}/128 dev lo nodad",
            "route add 192.0.2.0/26 via 198.51.100.1",
            "route add 192.0.2.64/26 via 198.51.100.2",
            "route add 2001:db8:1::/64 via 2001:db8:c::1",
            "route add 2001:db8:2::/64 via 2001:db8:c::2",
        )

    def _is_settled(self) -> bool:
        hosts = [self.router, self.server, *self.gateways.values()]
        return not any("tentative" in host.ip("-6", "address").out for host in hosts)

    def routes(self) -> None:
        """Give each line a table that ends in nowhere, found by mark and by source."""
        for name, (mark, table, own, gateway, own6, gateway6) in self.LINES.items():
            for family, source, via in (("-4", own, gateway), ("-6", own6, gateway6)):
                self.router.run(
                    ["ip", family, "-batch", "-"],
                    f"route add default via {via} dev {name} table {table}\n"
                    f"route add unreachable default metric 4278198272 table {table}\n"
                    f"rule add pref {table} fwmark {mark:#x}/0xff0000 lookup {table}\n"
                    f"rule add pref {table} from {source} lookup {table}\n",
                )

    # --- faults ----------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """Drop everything of a line beyond its gateway; the carrier stays."""
        port = {"wan1": "p2", "wan2": "p3"}[name]
        self.segments["core"].run(
            ["nft", "-f", "-"],
            f"table bridge cut_{name} {{ chain c {{\n"
            "type filter hook forward priority 0\n"
            f'iifname "{port}" drop\noifname "{port}" drop\n}}\n}}\n',
        )

    def mend(self, name: str) -> None:
        """Undo `cut`."""
        self.segments["core"].run(["nft", "delete", "table", "bridge", f"cut_{name}"])

    def carrier(self, name: str, *, up: bool) -> None:
        """Take the carrier of a line of the router away, or give it back."""
        self.segments[name].carrier(self.ports[name], up=up)

    def serve(self) -> process.Running:
        """Start the servers of `wan_servers` and wait until all listen."""
        path = f"{self.server.checkout}/test/rig/{SERVERS.name}"
        started = self.server.popen([self.server.python, "-I", "-S", path], stdout=-1)
        self.running.append(started)
        assert started.stdout and started.stdout.readline() == "ready\n"
        return started

    # --- the monitor -----------------------------------------------------------------------

    def watch(self, block: dict[str, Any], *options: str) -> process.Running:
        """Start the monitor on the router from a frozen copy, as its service does.

        :param block: the pillar's ``ipalias:wan``.
        """
        self.router.write(
            "/var/lib/ipalias/wan/config.json", json.dumps({"schema": 1, "wan": block})
        )
        return self.again(*options)

    def again(self, *options: str) -> process.Running:
        """Start the monitor with the configuration that is there."""
        freeze = (
            f"import sys; sys.path.insert(0, '{self.router.checkout}/_utils')\n"
            "from saltext.ipalias import freeze, paths\n"
            "print(freeze.freeze(paths.Paths()))"
        )
        folder = self.router.run([self.router.python, "-c", freeze]).out.strip()
        argv = [self.router.python, "-I", f"{folder}/run.py", "wan", "/var/lib/ipalias"]
        started = self.router.popen([*argv, *options], stdout=-1, stderr=-1)
        self.running.append(started)
        return started

    @property
    def root(self) -> Path:
        """Return the router's files as this process sees them."""
        return Path(f"/proc/{self.router.pid}/root")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the monitor; {} while it does not listen."""
        try:
            return control.ask(str(self.root / "run/ipalias/wan.sock"), request)
        except EffectError:
            return {}

    def close(self) -> None:
        """End all of it."""
        for each in self.running:
            each.end()
        self._stack.close()

    def __enter__(self) -> Wan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
