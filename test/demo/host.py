"""The demo's host: namespaces of its own, with files of its own and a router beside it.

Runs inside ``unshare --mount --net --uts``, as root or as a plain user who is root there
only. An overlay of /etc cannot change files that exist for a plain user, so /etc is a
tmpfs filled with copies.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neighbour import Neighbour

NAME = "web1"
CHECKOUT = Path(__file__).resolve().parents[2]
NETWORK_FILE = "/etc/systemd/network/50-default.network"
DROPIN = f"{NETWORK_FILE}.d/60-ipalias.conf"
FILE_ROOT, PILLAR_ROOT = "/run/salt", "/run/pillar"
#: What the alias guide starts from: the address that the server was delivered with.
NETWORK_TEXT = """\
# The server's own address, as it was delivered.
[Match]
Name=eth0

[Network]
Address=192.0.2.2/24
Address=2001:db8::2/64
Gateway=192.0.2.1
Gateway=2001:db8::1
"""
LINKS = """\
link set lo up
link add eth0 type veth peer name eth0 netns {router}
link set eth0 up
address add 192.0.2.2/24 dev eth0
address add 2001:db8::2/64 dev eth0 nodad
route add default via 192.0.2.1 dev eth0
route add default via 2001:db8::1 dev eth0
"""
#: Folders that start empty here.
EMPTY = ("/run", "/var/lib", "/var/cache", "/var/log")
#: What the machine has in /etc about its own network and minion; the host has its own.
LEFT_OUT = {
    "NetworkManager",
    "hostname",
    "hosts",
    "netplan",
    "network",
    "resolv.conf",
    "salt",
    "sysconfig",
}
_BIND, _RECURSIVE = 4096, 16384
_SALT = "from salt.scripts import salt_call; salt_call()"

Answer = dict[str, Any]


class DemoError(Exception):
    """Say in a sentence why the demo cannot go on."""


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount something, as mount(2) does.

    :raises OSError: the kernel refuses.
    """
    words = [word.encode() or None for word in (source, target, kind)]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or 'bind'} on {target}: {os.strerror(number)}")


def make() -> Neighbour:
    """Make the host and return the router beside it.

    :raises DemoError: naming what could not be made.
    """
    try:
        socket.sethostname(NAME)
        make_files()
        router = Neighbour()
        run(["ip", "-batch", "-"], LINKS.format(router=router.pid))
        router.connect()
        await_addresses()
    except OSError as error:
        raise DemoError(f"The host cannot be made here: {error}.") from None
    return router


def await_addresses() -> None:
    """Wait until the kernel has checked the link-local address for a duplicate."""
    deadline = time.monotonic() + 10
    while "tentative" in json.dumps(network("eth0")) and time.monotonic() < deadline:
        time.sleep(0.05)


def make_files() -> None:
    """Give the host files of its own; the machine's show through only where nothing changes."""
    kept = _open_needed()
    for folder in EMPTY:
        mount("tmpfs", folder, "tmpfs", data="mode=755")
    copy_folder(Path("/etc"), Path("/run/etc"), LEFT_OUT)
    mount("/run/etc", "/etc", flags=_BIND)
    for path, number in kept.items():
        os.makedirs(path, exist_ok=True)
        mount(f"/proc/self/fd/{number}", path, flags=_BIND | _RECURSIVE)
        os.close(number)
    # Anew, for it shows the interfaces of the namespace it was mounted in. Refused in most
    # containers; nothing here depends on it.
    with contextlib.suppress(OSError):
        mount("sysfs", "/sys", "sysfs")
    shutil.rmtree("/etc/systemd/network", ignore_errors=True)
    # A host without systemd: no boot unit is put there, and /etc is as before in the end.
    shutil.rmtree("/etc/systemd/system", ignore_errors=True)
    files = {
        "/etc/hostname": f"{NAME}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n192.0.2.2 {NAME}\n::1 localhost\n",
        # No name server: an unreachable one would cost each salt-call seconds.
        "/etc/resolv.conf": "",
        NETWORK_FILE: NETWORK_TEXT,
        "/etc/salt/minion": json.dumps(minion_config(), indent=1),
        f"{FILE_ROOT}/top.sls": "base:\n  '*':\n    - ipalias\n",
        f"{PILLAR_ROOT}/top.sls": "base:\n  '*':\n    - ipalias\n",
        f"{PILLAR_ROOT}/ipalias.sls": (CHECKOUT / "pillar.example").read_text("utf-8"),
    }
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    # Only what a fileserver delivers: Salt lists a file root whole, with a venv in it too.
    for name in ("_modules", "_states", "_utils", "ipalias"):
        Path(FILE_ROOT, name).symlink_to(CHECKOUT / name)
    Path("/run/tmp").mkdir()
    # As Salt makes it at its first call: /etc is compared afterwards.
    Path("/etc/salt/pki/minion").mkdir(parents=True)
    Path("/etc/salt/pki/minion").chmod(0o700)


def minion_config() -> Mapping[str, Any]:
    """Return the configuration of a minion without a master, the checkout as its files."""
    return {
        "id": NAME,
        "file_client": "local",
        "file_roots": {"base": [FILE_ROOT]},
        "pillar_roots": {"base": [PILLAR_ROOT]},
        "enable_fqdns_grains": False,
        "enable_gpu_grains": False,
        "log_level_logfile": "quiet",
        # The frozen copy stays on this host too, instead of below the machine's /usr/local.
        "ipalias.frozen": "/var/lib/ipalias/frozen",
    }


def _open_needed() -> dict[str, int]:
    """Open what we run from, where it lies below a folder that becomes empty."""
    kept: dict[str, int] = {}
    for path in sorted({str(CHECKOUT), sys.prefix, sys.base_prefix, str(Path(sys.executable))}):
        hidden = any(Path(path).is_relative_to(folder) for folder in EMPTY)
        if hidden and os.path.isdir(path) and not any(Path(path).is_relative_to(k) for k in kept):
            kept[path] = os.open(path, os.O_PATH | os.O_DIRECTORY)
    return kept


def copy_folder(source: Path, target: Path, left_out: set[str] | frozenset[str]) -> None:
    """Copy a folder with what of it can be read; links stay links."""
    target.mkdir(mode=0o755, exist_ok=True)
    try:
        entries = list(os.scandir(source))
    except PermissionError:
        return
    for entry in entries:
        if entry.name in left_out:
            continue
        to = target / entry.name
        try:
            if entry.is_symlink():
                to.symlink_to(os.readlink(entry.path))
            elif entry.is_dir():
                copy_folder(Path(entry.path), to, frozenset())
            elif entry.is_file():
                shutil.copy(entry.path, to)
        except PermissionError:
            continue


def files(root: str) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of each file, folder and link below a folder."""
    found: dict[str, tuple[int, bytes]] = {}
    for base, folders, names in os.walk(root):
        for path in (os.path.join(base, name) for name in [*folders, *names]):
            state = os.lstat(path)
            content = b""
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path).encode("utf-8", "surrogateescape")
            elif stat.S_ISREG(state.st_mode):
                try:
                    content = Path(path).read_bytes()
                except PermissionError:
                    content = str((state.st_size, state.st_mtime_ns)).encode()
            found[path] = (state.st_mode, content)
    return found


def run(argv: list[str], stdin: str | None = None) -> str:
    """Run a command and return what it printed.

    :raises DemoError: it failed, with its own words.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise DemoError(f"`{' '.join(argv)}` failed: {said}")
    return done.stdout


def network(*links: str) -> dict[str, Any]:
    """Return addresses and routes of the namespace we are in, without what counts down.

    :param links: only these interfaces.
    """
    rows = json.loads(run(["ip", "-json", "address", "show"]))
    rows = [row for row in rows if not links or row["ifname"] in links]
    for row in rows:
        row["addr_info"] = [
            {key: value for key, value in info.items() if not key.endswith("life_time")}
            for info in row["addr_info"]
        ]
    routes = []
    for family in ("-4", "-6"):
        listed = json.loads(run(["ip", family, "-json", "route", "show"]) or "[]")
        routes += [{k: v for k, v in route.items() if k != "expires"} for route in listed]
    return {"links": rows, "routes": routes}


def salt_call(*words: str) -> Any:
    """Run ``salt-call`` and return what the function returned.

    :raises DemoError: Salt gave an error instead.
    """
    argv = [sys.executable, "-c", _SALT, "--out=json", "--log-level=error", *words]
    env = {**os.environ, "TMPDIR": "/run/tmp"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    try:
        return json.loads(done.stdout)["local"]
    except (ValueError, KeyError, TypeError):
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise DemoError(f"`salt-call {' '.join(words)}` failed: {said}") from None
