"""Root file systems of real Debian releases, built once and kept outside the tree."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SUITES = ("bookworm", "trixie")

PACKAGES = [
    "conntrack",
    "dbus",
    "ifupdown",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "isc-dhcp-client",
    "isc-dhcp-server",
    "kea-dhcp4-server",
    "keepalived",
    "netplan.io",
    "network-manager",
    "nftables",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
    "udev",
]

#: Packages that lie in the root as files too, with an index: what installs one finds it here.
ARCHIVE = "/srv/archive"
ARCHIVED = ("isc-dhcp-server", "kea-dhcp4-server")

#: What Kea can keep its leases in, for what asks for it alone: a third more to build and to store.
DATABASES = ("kea-admin", "mariadb-server", "postgresql")

#: Raise when `_prepare` changes, so that older roots are not taken for new ones.
FORMAT = 5

#: Names Debian's archive has for its releases; the machine's own may be another than ours.
DEBIAN_SUITES = {"stable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky"}

# /sys is read-only in a container: the real program fails there, and `netplan apply` with it.
UDEVADM = """#!/bin/sh
case "$1" in
    trigger|settle|control) exit 0 ;;
esac
exec /usr/bin/udevadm "$@"
"""


# By the apt that builds the root, from outside: it knows how this machine reaches a mirror.
# `apt-ftparchive` would be one package more: an index is the files' own headers and a few lines.
_ARCHIVE = """mkdir "$1{folder}"; cd "$1{folder}"
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download {names}
for file in *.deb; do
    dpkg-deb -f $file
    echo Filename: ./$file
    echo Size: $(stat --format %s $file)
    echo SHA256: $(sha256sum $file | cut -c 1-64)
    echo
done >Packages"""


def cache() -> Path:
    """Return the folder for roots and for what runs on them; ``IPALIAS_CACHE`` names another."""
    return Path(os.environ.get("IPALIAS_CACHE", "/var/cache/ipalias-test"))


def root_path(suite: str, more: Sequence[str] = ()) -> Path:
    """Return where the root of a suite lies, or will lie.

    The package list is part of the name: a longer list never meets a root without it.

    :param more: packages beside those that each root has.
    """
    if suite not in SUITES:
        raise ValueError(f"{suite}: not one of {', '.join(SUITES)}")
    listed = sorted([*PACKAGES, *more])
    key = hashlib.sha256("\n".join([str(FORMAT), *listed]).encode()).hexdigest()
    return cache() / f"{suite}-{key[:12]}"


def ensure_root(suite: str, more: Sequence[str] = ()) -> Path:
    """Return the root of a suite, building it if need be.

    Built beside its place and renamed, under a lock: a build that was killed leaves nothing
    that looks finished, and workers side by side build once.

    :param more: packages beside those that each root has.
    :raises RuntimeError: when it cannot be built, with the end of what the builder said.
    """
    root = root_path(suite, more)
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with _locked(root.with_suffix(".lock")):
        if root.is_dir():
            return root
        for stale in root.parent.glob(f"{root.name}.build-*"):
            shutil.rmtree(stale)
        build = Path(tempfile.mkdtemp(prefix=f"{root.name}.build-", dir=root.parent))
        try:
            _bootstrap(suite, build, [*PACKAGES, *more])
            _prepare(build)
            build.chmod(0o755)
            build.rename(root)
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise
    return root


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _bootstrap(suite: str, build: Path, packages: Sequence[str]) -> None:
    argv = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        "--components=main",
        '--aptopt=APT::Install-Recommends "false"',
        # Our own folder was made before: without this, an existing one is refused.
        "--skip=check/empty",
        # While there are still sources and a network in it.
        f"--customize-hook=set -e; {_ARCHIVE.format(folder=ARCHIVE, names=' '.join(ARCHIVED))}",
        f"--include={','.join(packages)}",
        suite,
        str(build),
        *_mirror(),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:5])} … {suite}: {done.stderr[-2000:]}")


def _mirror() -> list[str]:
    """Return the Debian mirror of the machine's own apt sources, or nothing: the tool's default."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        release, _, site = line.partition(" ")
        if release in DEBIAN_SUITES and site:
            return [site]
    return []


def _prepare(root: Path) -> None:
    """Switch every daemon off, and take out what cannot work in a container.

    One unit at a time: one that is missing aborts the whole call.
    """
    listed = _chroot(root, "systemctl", "list-unit-files", "--state=enabled", "--no-legend")
    for line in listed.splitlines():
        _chroot(root, "systemctl", "disable", line.split()[0])
    # Known to systemd by its init script alone, so not in that list.
    _chroot(root, "update-rc.d", "isc-dhcp-server", "disable")
    for unit in ("console-getty.service", "systemd-networkd-wait-online.service"):
        _chroot(root, "systemctl", "mask", unit)
    stub = root / "usr/local/sbin/udevadm"
    stub.write_text(UDEVADM)
    stub.chmod(0o755)
    # An empty file of this name lifts NetworkManager's rule to leave ethernet links alone.
    managed = root / "etc/NetworkManager/conf.d/10-globally-managed-devices.conf"
    managed.parent.mkdir(parents=True, exist_ok=True)
    managed.write_text("")
    (root / "etc/network/interfaces").write_text("")
    # An unreachable name server costs each salt-call ten seconds.
    resolv = root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.write_text("")


def _chroot(root: Path, *argv: str) -> str:
    done = subprocess.run(
        ["chroot", str(root), *argv],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    for name in sys.argv[1:] or SUITES:
        print(ensure_root(name))
