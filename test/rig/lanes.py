"""Which lane a test belongs to, and what it would need to run here."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from rig.needs import HOST_PROGRAMS, NETNS_PROGRAMS, ROOT_PROGRAMS
from rig.process import PATH
from rig.roots import SUITES, root_path

TEST = Path(__file__).resolve().parents[1]

#: A lane is a folder below test/.
LANES = ("unit", "golden", "functional", "netns", "host", "fleet", "bench")

#: Variables that name the lanes which may not be skipped, with commas or spaces, or ``all``.
REQUIRE = ("IPALIAS_REQUIRE_LANES", "REQUIRE_LANES")


def lane_of(path: Path) -> str | None:
    """Return the lane of a test file, None outside of all lanes."""
    try:
        first = path.resolve().relative_to(TEST).parts[0]
    except ValueError:
        return None
    return first if first in LANES else None


def required(lane: str) -> bool:
    """Tell whether a lane must run: what it misses is then a failure."""
    words = " ".join(os.environ.get(name, "") for name in REQUIRE).replace(",", " ").split()
    return "all" in words or lane in words


@functools.cache
def missing(lane: str) -> str | None:
    """Return why a lane cannot run on this machine, or None when it can."""
    if lane in ("functional", "fleet"):
        return _modules("salt") or _namespaces()
    if lane == "netns":
        return _namespaces()
    if lane == "host":
        return _namespaces() or _modules("salt") or _systems()
    return None


def _modules(*names: str) -> str | None:
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    return f"needs the Python packages {', '.join(absent)}" if absent else None


def _programs(names: Iterable[str]) -> str | None:
    absent = [name for name in names if not shutil.which(name, path=PATH)]
    return f"needs the programs {', '.join(absent)}" if absent else None


def _namespaces() -> str | None:
    if os.geteuid():
        return "needs root, for network namespaces of its own"
    if reason := _programs(NETNS_PROGRAMS):
        return reason
    # Root in a container may lack the right: only trying tells.
    script = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w && "
        "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w overlay /etc && "
        "mount -t sysfs sysfs /sys && ip link add v0 type veth peer name v1 && "
        "ip link add b0 type bridge"
    )
    argv = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc"]
    tried = subprocess.run(
        [*argv, "sh", "-c", script], capture_output=True, text=True, check=False, cwd="/"
    )
    if tried.returncode:
        return f"needs namespaces, an overlay, veth and a bridge: {tried.stderr.strip()}"
    return None


def _systems() -> str | None:
    if reason := _programs(HOST_PROGRAMS):
        return reason
    if not all(root_path(suite).is_dir() for suite in SUITES):
        return _programs(ROOT_PROGRAMS)
    return None
