"""A real master and two minions, each a host of its own on one segment.

The daemons are started here and not by pytest-salt-factories: its daemons live on the
machine's own network, where an alias could not be real.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rig.netns import NetHost, Segment
from rig.process import CommandFailed, Running, wait_until

FORMULA = "/srv/formula"
STATES = "/srv/states"
PILLAR = "/srv/pillar"
CACHE = "/var/cache/salt"
PUBLISH_PORT = 4505

# The checkout as a clone would have it: without what lies in a working copy beside it. Salt
# lists its whole file root again and again.
DELIVER = """
mkdir -p "$2"
cd "$1"
tar --exclude=__pycache__ --exclude='./.*' --exclude='./test' -cf - . | tar -xf - -C "$2"
"""

NETWORKD = """[Match]
Name=eth0

[Network]
Address={primary}/24
Gateway=192.0.2.1
"""
IFUPDOWN = """auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
\taddress {primary}/24
\tgateway 192.0.2.1
"""
#: Minions by id, with the file that owns eth0 there.
MINIONS = {
    "web1": ("/etc/systemd/network/50-default.network", NETWORKD),
    "web2": ("/etc/network/interfaces", IFUPDOWN),
}


class Connection(NamedTuple):
    """Hold what tells one run of a minion from the next."""

    process: int
    #: Its own address and port of the connection on which the master publishes.
    local: str


class Fleet:
    """A master and its minions."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.hosts: dict[str, NetHost] = {}
        self.daemons: dict[str, Running] = {}

    @property
    def master(self) -> NetHost:
        """Return the master's host."""
        return self.hosts["master"]

    def start(self) -> None:
        """Start everything, and wait until each minion answers; nothing has been synced then."""
        for name in ("master", *MINIONS):
            self.hosts[name] = NetHost(self.segment)
        self._start_master()
        for name in MINIONS:
            self._start_minion(name)
        wait_until(self._all_answer, "both minions to answer", timeout=120, step=0.5)

    def _start_master(self) -> None:
        master = self.master
        master.run(["sh", "-ec", DELIVER, "sh", master.checkout, FORMULA])
        master.write(f"{STATES}/top.sls", json.dumps({"base": {"*": ["ipalias"]}}))
        for name in MINIONS:
            self.pillar(name, {})
        config = {
            "user": "root",
            "interface": master.primary,
            "auto_accept": True,
            "file_roots": {"base": [STATES, FORMULA]},
            "fileserver_list_cache_time": 0,
            "pillar_roots": {"base": [PILLAR]},
            "worker_threads": 2,
            "keysize": 2048,
            "log_level_logfile": "quiet",
        }
        master.write("/etc/salt/master", json.dumps(config))
        self._daemon("master", "salt_master")

    def _start_minion(self, name: str) -> None:
        host = self.hosts[name]
        path, text = MINIONS[name]
        host.write(path, text.format(primary=host.primary))
        config = {
            "id": name,
            "master": self.master.primary,
            "keysize": 2048,
            "acceptance_wait_time": 1,
            "enable_fqdns_grains": False,
            "enable_gpu_grains": False,
            "mine_enabled": False,
            "log_level_logfile": "quiet",
        }
        host.write("/etc/salt/minion", json.dumps(config))
        self._daemon(name, "salt_minion")

    def _daemon(self, name: str, entry: str) -> None:
        host = self.hosts[name]
        code = f"from salt.scripts import {entry}; {entry}()"
        # Not on a terminal nor in a log that nobody reads: at its end a job's process complains
        # of its own event loop.
        self.daemons[name] = host.popen([host.python, "-c", code, "-l", "quiet"])

    def _all_answer(self) -> bool:
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                raise CommandFailed(f"{name} has ended with {daemon.returncode}")
        keys = [f"/etc/salt/pki/master/minions/{name}" for name in MINIONS]
        if not all(self.master.exists(key) for key in keys):
            return False
        return self.salt("*", "test.ping", timeout=10) == dict.fromkeys(MINIONS, True)

    def pillar(self, name: str, data: Mapping[str, Any]) -> None:
        """Give a minion its pillar."""
        top = {"base": {minion: [minion] for minion in MINIONS}}
        self.master.write(f"{PILLAR}/top.sls", json.dumps(top))
        self.master.write(f"{PILLAR}/{name}.sls", f"#!json\n{json.dumps({'ipalias': data})}")

    def salt(self, target: str, *words: str, timeout: int = 180) -> dict[str, Any]:
        """Run ``salt`` on the master and return each minion's answer.

        :param words: function and arguments as on the command line.
        """
        master = self.master
        code = "from salt.scripts import salt_main; salt_main()"
        options = ["--out=json", "--static", f"--timeout={timeout}", "--log-level=error"]
        argv = [master.python, "-c", code, *options, target, *words]
        done = master.run(argv, timeout=timeout + 60, check=False)
        try:
            answers: dict[str, Any] = json.loads(done.out)
        except ValueError:
            said = f"{done.out}\n{done.err}"[-2000:]
            raise CommandFailed(f"salt {target} {' '.join(words)}: {said}") from None
        return answers

    def states(self, target: str, *words: str) -> dict[str, dict[str, Any]]:
        """Run a state function; return the states of the one minion, by state id."""
        [ran] = self.salt(target, *words).values()
        if not isinstance(ran, dict):
            raise CommandFailed(f"{words}: {ran}")
        return {ret["__id__"]: ret for ret in ran.values()}

    def connection(self, name: str) -> Connection:
        """Return what tells whether a minion was restarted or has connected anew."""
        daemon = self.daemons[name]
        assert daemon.poll() is None, f"{name} has ended"
        filter_ = ["state", "established", "dport", "=", f":{PUBLISH_PORT}"]
        lines = self.hosts[name].run(["ss", "-Htn", *filter_]).out.splitlines()
        [line] = lines
        return Connection(daemon.pid, line.split()[2])

    def return_sizes(self, name: str) -> list[int]:
        """Return the size in bytes of each return of a minion, as the master keeps it; newest last.

        It is the packed return itself, what went over the event bus.
        """
        found = self.master.run(
            ["find", f"{CACHE}/master/jobs", "-path", f"*/{name}/return.p", "-printf", "%T@ %s\\n"]
        ).out
        return [int(line.split()[1]) for line in sorted(found.splitlines())]

    def stop(self) -> None:
        """End everything."""
        for daemon in self.daemons.values():
            daemon.end()
        for host in self.hosts.values():
            host.close()


@contextlib.contextmanager
def running() -> Iterator[Fleet]:
    """Give a running fleet."""
    with Segment() as segment:
        fleet = Fleet(segment)
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()
