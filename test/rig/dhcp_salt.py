"""A real master and the two members of a DHCP pair, each a booted host with its own minion."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from rig import master
from rig.host import BootedHost
from rig.netns import NetHost, Segment
from rig.process import CommandFailed, Result, Running, wait_until
from rig.salt import interpreter
from rig.setups import SETUPS

#: Pillar of a pair on the rig's segment; addresses are filled in.
BLOCK: Mapping[str, Any] = {
    "implementation": "isc",
    "profile": "short",
    "interfaces": ["eth0"],
    "subnets": [
        {
            "subnet": "192.0.2.0/24",
            "ranges": ["192.0.2.100-192.0.2.199"],
            "routers": ["192.0.2.1"],
        }
    ],
}


class DhcpSalt:
    """A master, two members and, with `client`, a host with a minion that is neither.

    :param suites: Debian releases of the members.
    :param settings: of the master, beyond what is usual here.
    """

    def __init__(
        self,
        stack: ExitStack,
        suites: tuple[str, str],
        *,
        client: bool = False,
        settings: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        self.segment = stack.enter_context(Segment())
        self.host = stack.enter_context(NetHost(self.segment))
        self.members = [self._boot(stack, suite) for suite in suites]
        self.clients = [self._boot(stack, suites[0])] if client else []
        self.give_pillar(**keys)
        usual = {"module_dirs": [self.host.checkout], "worker_threads": 4}
        self.daemon = master.start_master(self.host, self._pillar, **usual, **(settings or {}))
        for member in (*self.members, *self.clients):
            master.install_minion(member, self.host.primary)
            member.run(["systemctl", "start", master.UNIT])
        for member in (*self.members, *self.clients):
            wait_until(
                lambda member=member: self.salt(member.name, "test.ping") is True,
                f"the minion {member.name}",
                timeout=120,
                step=0.5,
            )

    def _boot(self, stack: ExitStack, suite: str) -> BootedHost:
        host = stack.enter_context(BootedHost(suite, self.segment))
        SETUPS["networkd"](host)
        host.boot()
        return host

    @property
    def names(self) -> list[str]:
        """Return the minion ids of the members, the primary's first."""
        return [member.name for member in self.members]

    def give_pillar(self, **keys: Any) -> None:
        """Describe the pair, with some keys of the block other than usual."""
        roles = ("primary", "secondary")
        told = {
            member.name: {"address": member.primary, "port": 647, "role": role}
            for member, role in zip(self.members, roles, strict=True)
        }
        dhcp = {**BLOCK, "pair": {"name": "pair1", "members": told}, **keys}
        guard = {"timeout": 60, "checks": []}
        self._pillar = {"ipalias": {"dhcp": dhcp, "guard": guard}}
        master.give_pillar(self.host, self._pillar)

    def salt(self, target: str, *words: str, timeout: int = 120) -> Any:
        """Run ``salt`` for one minion and return its answer."""
        options = ["--out=json", "--static", f"--timeout={timeout}"]
        done = self._run("salt_main", *options, target, *words, timeout=2.0 * timeout)
        try:
            return json.loads(done.out).get(target)
        except ValueError:
            return None

    def runner(self, *words: str, timeout: float = 300.0) -> Any:
        """Run ``salt-run`` and return its answer.

        :raises CommandFailed: it gives none.
        """
        done = self._run("salt_run", "--out=json", *words, timeout=timeout)
        try:
            # Progress comes before the answer, a line of JSON for each.
            return json.loads(done.out[done.out.rindex("\n{") :] if "\n{" in done.out else done.out)
        except ValueError:
            raise CommandFailed(f"salt-run {' '.join(words)}: {done.out}{done.err}") from None

    def _run(self, name: str, *words: str, timeout: float) -> Result:
        argv = [*master.command(name), "-c", master.CONFIG, *words]
        return self.host.run(argv, timeout=timeout, check=False, env=interpreter()[1])

    def start_runner(self, *words: str) -> Running:
        """Start ``salt-run`` and do not wait for it."""
        argv = [*master.command("salt_run"), "-c", master.CONFIG, *words]
        nothing = subprocess.DEVNULL
        return self.host.popen(argv, interpreter()[1], stdout=nothing, stderr=nothing)
