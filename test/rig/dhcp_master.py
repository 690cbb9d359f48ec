"""A real master for two members of a DHCP pair, and its bus of events."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rig import master
from rig.dhcp_hosts import DhcpHosts
from rig.dhcp_salt import DhcpSalt
from rig.host import BootedHost
from rig.netns import NetHost
from rig.process import Running, wait_until
from rig.salt import interpreter
from rig.setups import SETUPS

#: What docs/dhcp.md has in the master's configuration.
REACTOR = [{"salt/beacon/*/ipalias_dhcp/*": ["salt://ipalias/reactor/dhcp_event.sls"]}]


class DhcpMaster(DhcpSalt):
    """A master whose minions are the members of a pair.

    :param client: with a host beside them that is neither, and has a minion too.
    :param pillar: of the minions, beside the pair's.
    """

    def __init__(self, scene: DhcpHosts, *, client: bool = False, **pillar: Any) -> None:
        self.scene, self.segment = scene, scene.segment
        self.members = [member.host for member in scene.members]
        self._stack = ExitStack()
        self.clients: list[BootedHost] = []
        self._begin(client, pillar)

    def _begin(self, client: bool, pillar: dict[str, Any]) -> None:
        self.host = self._stack.enter_context(NetHost(self.segment))
        if client:
            self.clients = [self._stack.enter_context(BootedHost("trixie", self.segment))]
            SETUPS["networkd"](self.clients[0])
            self.clients[0].boot()
        self.daemon = master.start_master(
            self.host,
            {**self.scene.pillar, **pillar},
            module_dirs=[self.host.checkout],
            runner_dirs=[f"{self.host.checkout}/_runners"],
            worker_threads=3,
            reactor=REACTOR,
        )
        everyone = [*self.members, *self.clients]
        for host in everyone:
            master.install_minion(host, self.host.primary)
            host.run(["systemctl", "start", master.UNIT])
        for host in everyone:
            wait_until(
                lambda host=host: self.salt(host.name, "test.ping") is True,  # type: ignore[misc]
                f"the minion {host.name}",
                timeout=120,
                step=0.3,
            )

    def orchestrate(self, primary: str, secondary: str) -> dict[str, Any]:
        """Run the orchestration of a pair; return what its states say."""
        told = {"dhcp_pair": {"primary": primary, "secondary": secondary, "limit": 90}}
        words = ["state.orchestrate", "ipalias.orch.dhcp_pair", f"pillar={json.dumps(told)}"]
        answer = self.runner(*words)
        [rows] = answer["data"].values()
        return rows if isinstance(rows, dict) else {}

    def listen(self, tag: str) -> Bus:
        """Listen for events whose tags fit a pattern of the shell's."""
        return Bus(self, tag)

    def __enter__(self) -> DhcpMaster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.daemon.end()
        self._stack.close()


_BUS = """
import fnmatch, sys, time
import salt.config, salt.utils.event, salt.utils.json
opts = salt.config.master_config(sys.argv[1] + "/master")
with salt.utils.event.get_event("master", opts=opts, listen=True) as bus:
    print("ready", flush=True)
    while True:
        found = bus.get_event(wait=5, full=True)
        if found and fnmatch.fnmatch(found["tag"], sys.argv[2]):
            print(salt.utils.json.dumps([found["tag"], found["data"]]), flush=True)
"""


class Bus:
    """Hold what came on the bus, with the moment it was heard (seconds of `time.monotonic`)."""

    def __init__(self, made: DhcpMaster, tag: str) -> None:
        self.heard: list[tuple[float, str, dict[str, Any]]] = []
        argv = [*interpreter()[0], "-c", _BUS, master.CONFIG, tag]
        self.running: Running = made.host.popen(
            argv, interpreter()[1], stdout=-1, stderr=subprocess.DEVNULL
        )
        made._stack.callback(self.running.end)
        assert self.running.stdout and self.running.stdout.readline() == "ready\n"
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.running.stdout
        for line in self.running.stdout:
            tag, data = json.loads(line)
            self.heard.append((time.monotonic(), tag, data))
