"""A real master and two minions, each a host of its own on one segment.

Configuration, daemons, command line and readiness are those of pytest-salt-factories; see
`factories_inside` for how its programs come to run on the hosts.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from factories_inside import Events, Logs, environment, inside, network_of
from pytestshellutils.exceptions import FactoryTimeout
from saltfactories.cli.salt import Salt
from saltfactories.daemons.master import SaltMaster
from saltfactories.daemons.minion import SaltMinion
from saltfactories.manager import FactoriesManager

from rig.holder import Keeper
from rig.netns import NetHost, Segment
from rig.process import CommandFailed, wait_until

#: A folder of the machine that every host of the rig sees at the same place.
SHARED = "/tmp"

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
MASTER = "master"
#: Bound for what never comes (seconds).
PATIENCE = 240

#: What differs from the defaults of salt-factories: no log that nobody reads, and of Salt's
#: own defaults those that count for what a minion does.
COMMON = {"log_level_logfile": "quiet", "keysize": 2048, "enable_fqdns_grains": False}


class Connection(NamedTuple):
    """Hold what tells one run of a minion from the next."""

    process: int
    #: Its own address and port of the connection on which the master publishes.
    local: str


class Fleet:
    """A master and its minions; everything it starts ends with the stack.

    :param stack: takes what is to be ended, in the order of its start.
    """

    def __init__(self, stack: ExitStack) -> None:
        # First, and so removed last; also where this process is killed.
        self.root = Path(tempfile.mkdtemp(prefix="ipalias-fleet-", dir=SHARED))
        stack.callback(Keeper([self.root]).close)
        self.formula = self.root / "formula"
        segment = stack.enter_context(Segment())
        self.hosts = {name: stack.enter_context(NetHost(segment)) for name in (MASTER, *MINIONS)}
        host = self.hosts[MASTER]
        network = stack.enter_context(network_of(host))
        self.events = stack.enter_context(Events(network, host.primary))
        logs = stack.enter_context(Logs(network, host.primary))
        self.factories = FactoriesManager(
            root_dir=self.root,
            event_listener=self.events,
            log_server_host=logs.log_host,
            log_server_port=logs.log_port,
            log_server_level=logs.log_level,
            environ=environment(),
            cwd="/",
            slow_stop=False,
            start_timeout=120,
        )
        self.master: SaltMaster = self._master(logs)
        self.minions: dict[str, SaltMinion] = {name: self._minion(name, logs) for name in MINIONS}
        for daemon in (self.master, *self.minions.values()):
            stack.callback(daemon.terminate)
        # The hosts end first, with every process on them: one by one these take seconds.
        for host in self.hosts.values():
            stack.callback(host.close)

    def _master(self, logs: Logs) -> SaltMaster:
        """Configure the master, and give it the formula and an empty pillar for each minion."""
        host = self.hosts[MASTER]
        config = {
            **COMMON,
            "interface": host.primary,
            "publish_port": 4505,
            "ret_port": 4506,
            "auto_accept": True,
            "file_roots": {"base": [str(self.formula)]},
            "worker_threads": 3,
            # As docs/wan.md has it; the second file is that of `two_ways`.
            "reactor": [
                {
                    "salt/beacon/*/ipalias_wan/*": [
                        "salt://ipalias/reactor/wan_event.sls",
                        str(self.root / "tell.sls"),
                    ]
                }
            ],
            # What a real server has another minion do for it, and nothing else.
            "peer": {"web2": ["ipalias_dsr.probe"]},
            "pytest-master": {"log": {"level": logs.log_level}},
        }
        master = self.factories.salt_master_daemon(
            MASTER, overrides=config, factory_class=inside(host, SaltMaster)
        )
        host.run(["sh", "-ec", DELIVER, "sh", host.checkout, str(self.formula)])
        states: Path = master.state_tree.base.write_path
        (states / "top.sls").write_text(json.dumps({"base": {"*": ["ipalias"]}}))
        self.pillars: Path = master.pillar_tree.base.write_path
        each_its_own = {"base": {minion: [minion] for minion in MINIONS}}
        (self.pillars / "top.sls").write_text(json.dumps(each_its_own))
        for name in MINIONS:
            self.pillar(name, {})
        return master

    def _minion(self, name: str, logs: Logs) -> SaltMinion:
        """Configure a minion, and give its host the file that owns eth0."""
        host = self.hosts[name]
        path, text = MINIONS[name]
        host.write(path, text.format(primary=host.primary))
        config = {
            **COMMON,
            "master": self.hosts[MASTER].primary,
            # With the synced modules inside, as on any minion.
            "cachedir": "var/cache/salt/minion",
            "loop_interval": 1,
            "enable_gpu_grains": False,
            "mine_enabled": False,
            "pytest-minion": {"log": {"level": logs.log_level}},
        }
        return self.master.salt_minion_daemon(
            name, overrides=config, factory_class=inside(host, SaltMinion)
        )

    def start(self) -> None:
        """Start everything, and wait until each minion answers; nothing has been synced then."""
        self.master.start()
        with ThreadPoolExecutor(len(MINIONS)) as pool:
            list(pool.map(SaltMinion.start, self.minions.values()))
        # Beyond the event of its start: a minion may miss what is published right after that.
        self.await_answer()

    def answer(self, target: str = "*") -> bool:
        """Tell whether a minion, or all of them, answer the master now."""
        asked = MINIONS if target == "*" else (target,)
        # A master or minion that is just up may not answer in time.
        with contextlib.suppress(FactoryTimeout, CommandFailed):
            return self.salt(target, "test.ping", timeout=10) == dict.fromkeys(asked, True)
        return False

    def await_answer(self, target: str = "*") -> None:
        """Wait until a minion, or all of them, answer the master."""
        wait_until(lambda: self.answer(target), f"{target} to answer", timeout=PATIENCE, step=0.5)

    def pillar(self, name: str, data: Mapping[str, Any]) -> None:
        """Give a minion its pillar."""
        (self.pillars / f"{name}.sls").write_text(f"#!json\n{json.dumps({'ipalias': data})}")

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a text in a file of the formula on the master, or add to its end without one."""
        file = self.formula / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new) if old else text + new)

    def cli(self) -> Salt:
        """Return ``salt`` on the master's host."""
        return self.master.salt_cli(
            factory_class=inside(self.hosts[MASTER], Salt), environ=environment(), cwd="/"
        )

    def salt(self, target: str, *words: str, timeout: int = 180) -> dict[str, Any]:
        """Run ``salt`` on the master and return each minion's answer.

        :param words: function and arguments as on the command line.
        :param timeout: seconds until ``salt`` asks what a silent minion is doing.
        """
        options = ["--static", f"--timeout={timeout}"]
        # It waits on for a minion that still works, and asks again and again.
        done = self.cli().run(*options, *words, minion_tgt=target, _timeout=timeout + PATIENCE)
        if done.data is None:
            raise CommandFailed(f"salt {target} {' '.join(words)}: {done}")
        # Of one minion alone salt-factories gives the answer itself.
        answers: dict[str, Any] = done.data if target == "*" else {target: done.data}
        return answers

    def begin(self, target: str, *words: str) -> str:
        """Start a job on a minion, do not wait for it, and return its id."""
        done = self.cli().run("--async", *words, minion_tgt=target, _timeout=PATIENCE)
        found = re.search(r"job ID: (\d+)", done.stdout)
        if not found:
            raise CommandFailed(f"salt --async {target} {' '.join(words)}: {done}")
        return found[1]

    def await_return(self, job: str, name: str, since: float) -> Any:
        """Wait until a job has come back from a minion, and return what it returned.

        :param since: time when it had not yet.
        """
        tag = (MASTER, f"salt/job/{job}/ret/{name}")
        seen = self.events.wait_for_events([tag], after_time=since, timeout=PATIENCE)
        assert seen.found_all_events, f"{name} did not end job {job}"
        [event] = seen
        return event.data["return"]

    def states(self, target: str, *words: str) -> dict[str, dict[str, Any]]:
        """Run a state function; return the states of the one minion, by state id."""
        [ran] = self.salt(target, *words).values()
        if not isinstance(ran, dict):
            raise CommandFailed(f"{words}: {ran}")
        return {ret["__id__"]: ret for ret in ran.values()}

    def has_synced(self, name: str) -> bool:
        """Tell whether a minion has our execution module."""
        return Path(self.minions[name].config["extension_modules"], "modules/ipalias.py").exists()

    def connection(self, name: str) -> Connection:
        """Return what tells whether a minion was restarted or has connected anew."""
        daemon = self.minions[name]
        assert daemon.is_running(), f"{name} has ended"
        port = self.master.config["publish_port"]
        filter_ = ["state", "established", "dport", "=", f":{port}"]
        [line] = self.hosts[name].run(["ss", "-Htn", *filter_]).out.splitlines()
        return Connection(daemon.pid, line.split()[2])

    def return_sizes(self, name: str) -> list[int]:
        """Return the size in bytes of each return of a minion, as the master keeps it; newest last.

        It is the packed return itself, what went over the event bus.
        """
        kept = Path(self.master.config["cachedir"], "jobs").glob(f"**/{name}/return.p")
        stats = sorted((path.stat() for path in kept), key=lambda stat: stat.st_mtime_ns)
        return [stat.st_size for stat in stats]


@contextlib.contextmanager
def running() -> Iterator[Fleet]:
    """Give a running fleet."""
    with ExitStack() as stack:
        fleet = Fleet(stack)
        fleet.start()
        yield fleet
