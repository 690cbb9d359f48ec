"""A real Salt master and a real minion: the master on one host, the minion as another's service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from rig.host import BootedHost
from rig.netns import NetHost
from rig.process import Running, wait_until
from rig.salt import PILLAR, interpreter

UNIT = "salt-minion.service"
CONFIG = "/etc/salt-real"
_RUN = "from salt.scripts import {name}; {name}()"


def command(name: str) -> list[str]:
    """Return the command line of one of Salt's programs: ``salt_master``, ``salt_main``."""
    return [*interpreter()[0], "-c", _RUN.format(name=name)]


def start_master(host: NetHost, pillar: Mapping[str, Any], **keys: Any) -> Running:
    """Start a master on a host; it ends with the host at the latest.

    :param keys: of its configuration, beyond what every master here has.
    """
    config = {
        "interface": host.primary,
        "root_dir": "/srv/master",
        "auto_accept": True,
        "worker_threads": 2,
        "user": "root",
        "pillar_roots": {"base": [PILLAR]},
        "file_roots": {"base": [host.checkout]},
        "enable_fqdns_grains": False,
        "log_level": "quiet",
        **keys,
    }
    host.write(f"{CONFIG}/master", json.dumps(config))
    give_pillar(host, pillar)
    return host.popen(
        [*command("salt_master"), "-c", CONFIG],
        interpreter()[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def give_pillar(host: NetHost, pillar: Mapping[str, Any]) -> None:
    """Write the pillar that the master hands out."""
    host.write(f"{PILLAR}/top.sls", json.dumps({"base": {"*": ["test"]}}))
    host.write(f"{PILLAR}/test.sls", f"#!json\n{json.dumps(dict(pillar))}")


def install_minion(host: BootedHost, master: str) -> None:
    """Make the minion a service of the host, its jobs in the service's own control group."""
    config = {
        "id": host.name,
        "master": master,
        "root_dir": "/srv/minion",
        "module_dirs": [host.checkout],
        "utils_dirs": [f"{host.checkout}/_utils"],
        "enable_fqdns_grains": False,
        "enable_gpu_grains": False,
        "acceptance_wait_time": 1,
        "log_level": "quiet",
    }
    host.write(f"{CONFIG}/minion", json.dumps(config))
    words = [*command("salt_minion"), "-c", CONFIG]
    start = " ".join(f'"{word}"' for word in words)
    environment = "".join(f'Environment="{k}={v}"\n' for k, v in interpreter()[1].items())
    host.write(
        f"/etc/systemd/system/{UNIT}",
        f"[Service]\n{environment}ExecStart={start}\nKillMode=control-group\nTimeoutStopSec=20\n",
    )
    host.run(["systemctl", "daemon-reload"])


def salt(master: NetHost, *words: str, timeout: float = 180.0) -> str:
    """Run ``salt '*'`` on the master and return what it says."""
    argv = [*command("salt_main"), "-c", CONFIG, "--out=json", "--static", "*", *words]
    return master.run(argv, timeout=timeout, check=False, env=interpreter()[1]).out


def start_job(master: NetHost, *words: str) -> Running:
    """Start a job of ``salt '*'`` and do not wait for it."""
    argv = [*command("salt_main"), "-c", CONFIG, "*", *words]
    nothing = subprocess.DEVNULL
    return master.popen(argv, interpreter()[1], stdout=nothing, stderr=nothing)


def await_minion(master: NetHost, host: BootedHost) -> None:
    """Wait until the minion answers the master."""
    wait_until(
        lambda: f'"{host.name}": true' in salt(master, "-t", "5", "test.ping"),
        "the minion to answer its master",
        timeout=180,
        step=0.2,
    )
