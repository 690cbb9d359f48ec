"""A minion on a host of the rig: Salt's real loader, asked function by function."""

from __future__ import annotations

import json
import subprocess
from typing import Any, NamedTuple

from rig.netns import NetHost
from rig.picture import picture
from rig.process import CommandFailed

FORMULA = "/srv/formula"
CONFIG = "/etc/salt/minion"
CACHE = "/var/cache/salt/minion"
EXTMODS = f"{CACHE}/extmods"
LIBRARY = f"{EXTMODS}/utils/saltext/ipalias"
NETWORK = "/etc/systemd/network/50-default.network"
#: The formula used in place, nothing synced; ``{}`` for what a sync has brought.
IN_PLACE = {"module_dirs": [FORMULA], "utils_dirs": [f"{FORMULA}/_utils"]}
SYNCED: dict[str, Any] = {}
DROPIN = f"{NETWORK}.d/60-ipalias.conf"
STATE = "/var/lib/ipalias"

# What Salt takes from a checkout, and nothing beside it: Salt lists its whole file root again
# and again, and a working copy holds tens of thousands of files (.git, .venv).
DELIVER = """
mkdir -p "$2"
for folder in "$1"/_* "$1"/ipalias; do cp -rL "$folder" "$2/"; done
find "$2" -name __pycache__ -prune -exec rm -rf {} +
"""

RESET = """
rm -rf /etc/systemd/network /etc/network /etc/netplan /etc/NetworkManager /srv/elsewhere
rm -rf /var/lib/ipalias /var/cache/salt /srv/pillar
for link in $(ls /sys/class/net); do
    case $link in lo|eth0) ;; *) ip link delete "$link" 2>/dev/null || true ;; esac
done
ip address flush dev eth0 scope global
ip address flush dev eth0 scope host
ip route flush table main
ip -6 route flush table main
"""


class Outcome(NamedTuple):
    """Hold what a step gave: a value, or the kind and the text of an error."""

    value: Any
    error: str
    text: str


class Minion:
    """A minion on a host of the rig, its functions called as a job would call them."""

    def __init__(self, host: NetHost) -> None:
        self.host = host
        host.write(CONFIG, json.dumps(self.config()))
        self.program = host.popen(
            [host.python, f"{host.checkout}/test/functional/minion_process.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pillar: Any = {}
        self._session = ""
        self.deliver()

    def config(self) -> dict[str, Any]:
        """Return the minion's configuration."""
        return {
            "id": "minion",
            "file_client": "local",
            "file_roots": {"base": [FORMULA]},
            "pillar_roots": {"base": ["/srv/pillar"]},
            "enable_fqdns_grains": False,
            "enable_gpu_grains": False,
        }

    def deliver(self) -> None:
        """Put the formula on the host anew."""
        self.host.remove(FORMULA)
        self.host.run(["sh", "-ec", DELIVER, "sh", self.host.checkout, FORMULA])

    def reset(self) -> None:
        """Set the host back: the primary addresses, networkd's file, no trace of ours."""
        host = self.host
        self._end_session()
        host.run(["sh", "-ec", RESET])
        host.configure()
        host.write(
            NETWORK,
            "[Match]\nName=eth0\n\n[Network]\n"
            f"Address={host.primary}/24\nAddress=2001:db8::{host.number:x}/64\n"
            "Gateway=192.0.2.1\nGateway=2001:db8::1\n",
        )
        self.pillar = {}

    def ask(self, *steps: list[Any], **request: Any) -> list[Outcome]:
        """Carry out steps in one process that has loaded nothing of ours yet."""
        self._end_session()
        return self._exchange({**self._surroundings(), **request, "steps": list(steps)})

    def _job(self, step: list[Any]) -> Outcome:
        """Carry out a step in the process of the one before, unless the pillar has changed."""
        surroundings = json.dumps(self._surroundings())
        if surroundings != self._session:
            self._end_session()
        [outcome] = self._exchange({**self._surroundings(), "steps": [step], "keep": True})
        self._session = surroundings
        return outcome

    def _surroundings(self) -> dict[str, Any]:
        return {"opts": IN_PLACE, "pillar": {"ipalias": self.pillar}}

    def _end_session(self) -> None:
        if self._session:
            self._session = ""
            self._exchange({})

    def _exchange(self, request: dict[str, Any]) -> list[Outcome]:
        assert self.program.stdin and self.program.stdout
        self.program.stdin.write(f"{json.dumps(request)}\n")
        self.program.stdin.flush()
        answer = json.loads(self.program.stdout.readline() or "null")
        if not isinstance(answer, list):
            raise CommandFailed("the process has died; what it said is above")
        return [
            Outcome(step.get("value"), step.get("error", ""), step.get("text", ""))
            for step in answer
        ]

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return what a function returns, which must not fail."""
        outcome = self._job(["call", name, list(args), kwargs])
        assert not outcome.error, f"{name}: {outcome.error}: {outcome.text}"
        return outcome.value

    def refusal(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the sentence a function refuses with, as one of Salt's own errors."""
        outcome = self._job(["call", name, list(args), kwargs])
        assert outcome.error, f"{name} was not refused: {outcome.value}"
        assert outcome.error == "CommandExecutionError", f"{outcome.error}: {outcome.text}"
        return outcome.text

    def state(self, name: str, *args: Any, test: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Return what a state function returns."""
        outcome = self._job(["state", name, list(args), kwargs, test])
        assert not outcome.error, f"{name}: {outcome.error}: {outcome.text}"
        ret: dict[str, Any] = outcome.value
        return ret

    def sls(self, name: str, **kwargs: Any) -> dict[str, dict[str, Any]]:
        """Return what each state of an SLS returns, by state id."""
        ran = self.call("state.apply", name, **kwargs)
        assert isinstance(ran, dict), ran
        return {ret["__id__"]: ret for ret in ran.values()}

    def picture(self, *folders: str) -> str:
        """Return a picture of the host; see `rig.picture`."""
        return picture(self.host, *folders or ("/etc", STATE))
