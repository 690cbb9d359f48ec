"""Hosts with a real systemd: a Debian root, an overlay of it, booted in namespaces of its own."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from rig import process
from rig.holder import Holder, Keeper, unique
from rig.netns import CHECKOUT, NO_DAD, Segment, cgroup_mounts
from rig.process import Running, children, wait_until
from rig.roots import cache, ensure_root
from rig.salt import SaltMinion, interpreter

# Without the first, networkd sees the machine's cgroups; without the second, /proc/sys/net is
# read-only; the third keeps a lock off the folder, which two boots in a row would meet.
NSPAWN_ENVIRONMENT = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
    "SYSTEMD_NSPAWN_LOCK": "0",
}

# A shell moves itself into the cgroups, named up to `--`, and becomes the program.
_IN_CGROUPS = """
while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done
shift
exec "$@"
"""

_work: Path | None = None


def work_folder() -> Path:
    """Return this process's folder for overlays; it goes when the process ends.

    Beside the roots, for an overlay's upper folder must not lie on an overlay itself.
    """
    global _work
    if _work is None:
        folder = cache() / "run" / unique()
        folder.mkdir(parents=True)
        keeper = Keeper([folder])
        atexit.register(keeper.close)
        _work = folder
    return _work


class Snapshot:
    """What a host had written when it was halted, to start others from.

    :ivar layers: folders to lay over the root, uppermost first. They are only read, so that
        any number of hosts start from them without a copy.
    """

    def __init__(
        self, suite: str, layers: Sequence[Path], number: int, awaited: Sequence[str]
    ) -> None:
        self.suite = suite
        self.layers = list(layers)
        self.number = number
        self.awaited = list(awaited)


class BootedHost(SaltMinion):
    """A Debian host with its own systemd, in namespaces of its own.

    Made halted: write files and enable units (`rig.setups`), then `boot`. Each boot gives a new
    network namespace, as a real reboot gives a kernel that remembers no address.

    :param suite: ``bookworm`` or ``trixie``.
    :param number: N of the addresses 192.0.2.N and 2001:db8::N its set-up gives it.
    :param dad: True for duplicate address detection as the kernel does it by default.
    :param more: packages beside those that each root has, see `ensure_root`.
    """

    python = "/usr/bin/python3"
    #: Folder of the machine that the host sees, read-only, as its checkout.
    checkout_from = CHECKOUT

    def __init__(
        self,
        suite: str,
        segment: Segment,
        number: int | None = None,
        *,
        dad: bool = False,
        snapshot: Snapshot | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.suite = suite
        self.segment = segment
        self.name = unique()
        if number is None:
            number = snapshot.number if snapshot else segment.number()
        self.number = number
        self.primary = f"192.0.2.{number}"
        self.port = ""
        #: True for a network card that comes once the settings of the files have been applied,
        #: as one does whose driver is loaded late.
        self.late_card = False
        #: Addresses `boot` waits for; a set-up adds those it configures.
        self.awaited: list[str] = []
        self._dad = dad
        self._lower = [*(snapshot.layers if snapshot else []), ensure_root(suite, more)]
        self._holder: Holder | None = None
        self._supervisor: Running | None = None
        self._leader = 0
        self._folder = work_folder() / self.name
        for part in ("upper", "work", "merged"):
            (self._folder / part).mkdir(parents=True)
        # Without an id of its own systemd takes this for a first boot and enables everything.
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost\n")

    @classmethod
    def from_snapshot(
        cls, snapshot: Snapshot, segment: Segment, number: int | None = None
    ) -> BootedHost:
        """Return a halted host that starts from what another had written.

        Its files name the other's addresses, so it has the same number: two of them do not
        belong on one segment. With a number of its own it wants its set-up again.
        """
        host = cls(snapshot.suite, segment, number, snapshot=snapshot)
        if host.number == snapshot.number:
            host.awaited = list(snapshot.awaited)
        return host

    @property
    def running(self) -> bool:
        """Tell whether the host is booted."""
        return self._supervisor is not None

    @property
    def pid(self) -> int:
        """Return the host's first process; 0 while it is halted."""
        return self._leader

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a program inside.

        While the host is halted the program sees its files in a chroot: enough to write files
        and to enable units.
        """
        if self._leader:
            return ["nsenter", "--target", str(self._leader), "--all", "--", *argv]
        script = f'{self._mounting()}exec chroot "$0" "$@"'
        return ["unshare", "--mount", "sh", "-ec", script, str(self._merged), *argv]

    exec = SaltMinion.run

    @property
    def _merged(self) -> Path:
        return self._folder / "merged"

    def _mounting(self) -> str:
        lower = ":".join(str(folder) for folder in self._lower)
        upper, work = self._folder / "upper", self._folder / "work"
        options = shlex.quote(f"lowerdir={lower},upperdir={upper},workdir={work}")
        return f"mount -t overlay -o {options} overlay {shlex.quote(str(self._merged))}\n"

    def enable(self, *units: str) -> None:
        """Enable units for the next boot."""
        for unit in units:
            self.run(["systemctl", "enable", unit])

    def boot(self, timeout: float = 180.0) -> None:
        """Boot, and wait until systemd has started what it shall and the addresses are there.

        :raises AssertionError: with the end of the console when that does not happen.
        """
        if self.running:
            raise AssertionError(f"{self.name} is running already")
        groups = [mount / self.name for mount in cgroup_mounts()]
        for group in groups:
            group.mkdir(exist_ok=True)
        # /run private: nspawn leaves a folder for each machine there.
        setup = f"mount -t tmpfs tmpfs /run\n{'' if self._dad else NO_DAD}{self._mounting()}"
        self._holder = Holder(self.name, setup, groups)
        try:
            if not self.late_card:
                self.port = self.segment.plug(self._holder.pid, self.number)
            self._supervisor = self._start(groups)
            self._leader = wait_until(self._first_process, "the first process", timeout=timeout)
            if self.late_card:
                wait_until(self._has_settings, "systemd-sysctl to be done", timeout=timeout)
                self.port = self.segment.plug(self._holder.pid, self.number)
            wait_until(self._is_up, "systemd to be running", timeout=timeout, step=0.05)
            self.await_addresses(*self.awaited, timeout=timeout)
        except BaseException as error:
            text = self.console()[-3000:]
            self.power_off()
            raise AssertionError(f"{self.suite}: does not boot: {error}\n{text}") from error

    def _start(self, groups: Sequence[Path]) -> Running:
        assert self._holder
        options = [
            "--quiet",
            f"--directory={self._merged}",
            f"--machine={self.name}",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            # The holder's own, seen from inside its PID namespace.
            "--network-namespace-path=/proc/1/ns/net",
            "--capability=CAP_NET_ADMIN",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            f"--bind-ro={self.checkout_from}:{self.checkout}",
            *(f"--bind-ro={path}" for path in interpreter()[2]),
        ]
        argv = ["sh", "-ec", _IN_CGROUPS, "sh", *map(str, groups), "--", "systemd-nspawn"]
        nsenter = ["nsenter", "--target", str(self._holder.pid), "--mount", "--pid", "--"]
        with (self._folder / "console").open("ab") as console:
            return process.start(
                [*nsenter, *argv, *options],
                NSPAWN_ENVIRONMENT,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def _first_process(self) -> int | None:
        """Return the process that is number 1 in a PID namespace below the holder's."""
        assert self._supervisor
        if self._supervisor.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended with {self._supervisor.returncode}")
        for nspawn in children(self._supervisor.pid):
            for pid in _descendants(nspawn):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    numbers = status.partition("NSpid:")[2].splitlines()[0].split()
                    # Before it becomes systemd it cannot be entered to any use.
                    name = status.splitlines()[0].split()[-1]
                    if numbers[-1] == "1" and name == "systemd":
                        return pid
        return None

    def _is_up(self) -> bool:
        done = self.run(["systemctl", "is-system-running"], check=False)
        return done.out.strip() in ("running", "degraded")

    def _has_settings(self) -> bool:
        unit = "systemd-sysctl.service"
        return self.run(["systemctl", "is-active", unit], check=False).code == 0

    def plug(self, interface: str) -> str:
        """Give the running host another card on its segment; return the hardware address."""
        number = self.segment.number()
        self.segment.plug(self.pid, number, interface)
        return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"

    def console(self) -> str:
        """Return what the host has written to its console."""
        path = self._folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def journal(self, *words: str) -> str:
        """Return what ``journalctl`` prints of this boot."""
        return self.run(["journalctl", "--no-pager", "--boot", *words]).out

    def failed_units(self) -> list[str]:
        """Return the units that have failed."""
        done = self.run(["systemctl", "--failed", "--plain", "--no-legend"])
        return [line.split()[0] for line in done.out.splitlines()]

    def halt(self, timeout: float = 180.0) -> None:
        """Shut down in order, as ``poweroff`` does."""
        assert self._supervisor
        os.kill(self._leader, signal.SIGRTMIN + 3)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(timeout)
        ended = self._supervisor.returncode
        self.power_off()
        if ended is None:
            raise AssertionError(
                f"{self.name}: not halted in {timeout} s: {self.console()[-2000:]}"
            )

    def power_off(self) -> None:
        """Kill every process at once, as a power cut does; the files stay."""
        self._leader = 0
        holder, supervisor = self._holder, self._supervisor
        self._holder = self._supervisor = None
        if holder:
            holder.close()
        if supervisor:
            supervisor.end()

    def reboot(self, timeout: float = 180.0) -> None:
        """Halt, and boot again from the same files."""
        self.halt()
        self.boot(timeout)

    def snapshot(self) -> Snapshot:
        """Return a copy of what the halted host has written, to start others from."""
        if self.running:
            raise AssertionError(f"{self.name}: halt it first, its files are still changing")
        copy = work_folder() / unique()
        process.run(["cp", "-a", str(self._folder / "upper"), str(copy)])
        return Snapshot(self.suite, [copy, *self._lower[:-1]], self.number, self.awaited)

    def close(self) -> None:
        """End the host and forget its files."""
        self.power_off()
        process.run(["rm", "-rf", "--", str(self._folder)])

    def __enter__(self) -> BootedHost:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from _descendants(child)
