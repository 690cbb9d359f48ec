#!/usr/bin/env python3
"""Show the main job on a real kernel, in namespaces that leave the machine's network alone.

Needs Linux, ``ip``, ``unshare`` and a Python with Salt: ``make demo`` sees to the last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import host
import screen

INSIDE = "--inside"
#: Programs and the packages that bring them.
PACKAGES = {
    "ip": "iproute2 (Fedora, RHEL: iproute)",
    "unshare": "util-linux",
}
#: Where an unprivileged user may be refused, and the value that refuses.
SWITCHES = {
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}
#: What the machine keeps its network configuration in.
NETWORK_FILES = (
    "/etc/NetworkManager",
    "/etc/hosts",
    "/etc/netplan",
    "/etc/network",
    "/etc/resolv.conf",
    "/etc/salt",
    "/etc/sysconfig",
    "/etc/systemd/network",
    "/var/lib/ipalias",
)


def refusal() -> str | None:
    """Return in a sentence or two why the demo cannot run here, or None."""
    if not sys.platform.startswith("linux"):
        return "The demo needs Linux: it makes a host in network namespaces."
    for program, package in PACKAGES.items():
        if shutil.which(program) is None:
            return f"The program `{program}` is missing. It comes with the package {package}."
    if importlib.util.find_spec("salt") is None:
        return "This Python has no Salt. `make demo` makes one that has."
    if not os.path.isdir("/proc/sys/net/ipv6"):
        return "This kernel has no IPv6, which one alias of pillar.example needs."
    return None


def namespaces() -> list[str] | None:
    """Return the command line that gives a process namespaces of its own, None for none.

    As root plainly; as a plain user, or as a root without the right to, in a user namespace.
    """
    plain = ["unshare", "--mount", "--net", "--uts"]
    tried = [plain] if os.geteuid() == 0 else []
    for argv in [*tried, [*plain, "--user", "--map-root-user"]]:
        probe = [*argv, "sh", "-c", "mount -t tmpfs tmpfs /run && ip link set lo up"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return argv
    return None


def namespace_refusal() -> str:
    """Return why no namespaces can be made, and the way out."""
    text = "Namespaces cannot be made here"
    if os.geteuid() == 0:
        return f"{text}: this root may not (a container?). Run it on a machine or with more rights."
    for path, value in SWITCHES.items():
        if Path(path).exists() and Path(path).read_text().strip() == value:
            return f"{text} without root: {path} is {value}. Change it, or run the demo as root."
    return f"{text} without root. Run the demo as root."


def fingerprint() -> dict[str, str]:
    """Return what the machine's own network looks like, to be compared afterwards."""
    seen = {"addresses and routes": json.dumps(host.network(), sort_keys=True)}
    for path in NETWORK_FILES:
        content = host.files(path) if os.path.isdir(path) else {}
        if os.path.isfile(path):
            content = {path: (0, Path(path).read_bytes())}
        seen[path] = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    return seen


def inside() -> int:
    """Make the host and tell the story there."""
    import story

    router = host.make()
    try:
        told = story.Story(router)
        told.tell()
    finally:
        router.close()
    screen.title("Outcome")
    total = told.passed + len(told.failed)
    screen.verdict(not told.failed, f"{told.passed} of {total} checks held on the host")
    return 1 if told.failed else 0


def outside() -> int:
    """Look at the machine, run the demo beside it, and look again."""
    start = time.monotonic()
    reason = refusal()
    argv = namespaces() if reason is None else None
    if argv is None:
        screen.say(reason or namespace_refusal(), 0)
        return 1
    user = "in a user namespace" if "--user" in argv else "as root"
    screen.say("ipalias: the aliases of a server, on disk and in the kernel", 0, "bold")
    screen.say(
        f"A host of its own, web1, in network, mount and UTS namespaces ({user}): the kernel is"
        " real, its network is not this machine's. systemd-networkd's file configures eth0;"
        " the daemon does not run there, so files and kernel are all there is, and a router"
        " stands beside it.",
        0,
    )
    before = fingerprint()
    code = subprocess.run([*argv, sys.executable, __file__, INSIDE], check=False).returncode
    after = fingerprint()
    changed = [name for name, value in before.items() if after[name] != value]
    screen.verdict(
        not changed,
        "this machine's own network is untouched: same addresses, routes and files"
        if not changed
        else f"this machine's own network is not what it was: {', '.join(changed)}",
    )
    screen.say(f"It took {time.monotonic() - start:.0f} s.")
    screen.say()
    screen.say(
        "Read next: README.md (start on your servers), pillar.example and docs/pillar.md (every"
        " key), docs/platforms.md (which file, which command), docs/architecture.md (how it is"
        " built). `make test` runs every test, `make proof-alias` measures the promises.",
        0,
    )
    return 1 if code or changed else 0


def main() -> int:
    """Run the demo; 0 when every step showed what it should."""
    # ip and unshare often lie where a plain user's PATH does not look.
    os.environ["PATH"] = (
        f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
    )
    try:
        return inside() if INSIDE in sys.argv[1:] else outside()
    except host.DemoError as error:
        screen.say()
        screen.verdict(False, str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
