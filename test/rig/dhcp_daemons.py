"""Two real DHCP servers of a Debian release on one segment, with the product's own files.

The servers are a release's own, from its root (`rig.roots`), each in the network namespace of a
`NetHost` with an overlay of that root for itself. There is no systemd and no journal: what a
server logs is in a file, and `Side` hands it out as journalctl would.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig import process
from rig.netns import NetHost, Segment
from rig.process import Running
from rig.roots import ensure_root
from rig.wan import inside
from saltext.ipalias.dhcp import isc, kea, omapikey, peer, reading, segments, status
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.model import ISC, DhcpConfig, Member
from saltext.ipalias.host import Result
from saltext.ipalias.system import RealHost

NAMES = ("dhcp1", "dhcp2")

# Arguments: root, the server's folder, program and words. Everything ends with the namespaces.
START = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/root /mnt/upper /mnt/work
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
root=/mnt/root folder=$2
shift 2
mount -t tmpfs tmpfs $root/run
mount -t proc proc $root/proc
mount --rbind /dev $root/dev
mkdir -p $root/run/lock/kea $root/run/kea $root/var/lib/kea $root/srv
mount --bind "$folder" $root/srv
mount --bind "$folder" $root/run/kea
mount --bind "$folder" $root/var/lib/kea
exec chroot $root "$@"
"""


def block(implementation: str, addresses: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return a pillar's block for two servers with a pool of a hundred addresses."""
    roles = ("primary", "secondary")
    members = {
        name: {"address": address, "role": role}
        for name, address, role in zip(NAMES, addresses, roles, strict=True)
    }
    subnet = {"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}
    whole = {
        "implementation": implementation,
        "profile": "short",
        "pair": {"members": members},
        "interfaces": ["eth0"],
        "subnets": [subnet],
    }
    return {**whole, **more}


class Side(RealHost):
    """One member: what the product may ask of its host, and its server.

    :param folder: where its configuration, its leases and its log lie.
    """

    def __init__(self, host: NetHost, name: str, folder: Path) -> None:
        super().__init__()
        self.host, self.name, self.folder = host, name, folder
        self.state = str(folder / "state")
        self.config: DhcpConfig
        self.me: Member
        self.program: Running | None = None
        #: When `mark` was called: what was logged before is of no interest.
        self._from = 0

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        """Run a command; the journal is the server's own log."""
        if argv[0] != "journalctl":
            return super().run(argv, stdin, timeout)
        stamp = str(int(time.time() * 1e6))
        rows = [{"__REALTIME_TIMESTAMP": stamp, "MESSAGE": line} for line in self.log()]
        return Result(0, "".join(f"{json.dumps(row)}\n" for row in rows), "")

    def log(self) -> list[str]:
        """Return the lines of the server's log since `mark`."""
        path = self.folder / "log"
        return path.read_text().splitlines()[self._from :] if path.exists() else []

    def listens(self) -> bool:
        """Tell whether its server listens for the other one."""
        with inside(self.host):
            return any(
                (each.local, each.local_port, each.state)
                == (self.me.address, self.me.port, segments.LISTENING)
                for each in peer.read_sessions()
            )

    def mark(self) -> None:
        """Begin the log anew."""
        self._from += len(self.log())

    def look(self, **how: Any) -> reading.Reading:
        """Return the product's reading of this side."""
        with inside(self.host):
            return reading.read(
                self,
                self.config,
                self.me,
                state=self.state,
                leases=str(self.folder / "dhcpd.leases"),
                **how,
            )

    def rows(self) -> dict[str, Any]:
        """Return what the product tells of this side."""
        return status.rows(self.look())


class Pair:
    """Two servers, not started.

    :param suite: whose servers they are.
    :param more: keys of the pillar's block.
    """

    def __init__(
        self, suite: str, implementation: str, segment: Segment, folder: Path, **more: Any
    ) -> None:
        self._root = ensure_root(suite)
        self._stack = contextlib.ExitStack()
        try:
            hosts = [self._stack.enter_context(NetHost(segment)) for _ in NAMES]
        except BaseException:
            self._stack.close()
            raise
        self.segment = segment
        data = block(implementation, [host.primary for host in hosts], **more)
        config = parse_dhcp(data)
        self.sides = []
        for host, name in zip(hosts, NAMES, strict=True):
            place = folder / name
            # 2.6 of Kea starts with its folder closed to others and not otherwise.
            place.mkdir(mode=0o750)
            side = Side(host, name, place)
            side.me = next(one for one in config.pair.members if one.name == name)
            side.config = self._write(config, side)
            self.sides.append(side)

    def _write(self, config: DhcpConfig, side: Side) -> DhcpConfig:
        """Write a member's files; return the block as it is seen from outside of its root."""
        Path(side.state).mkdir()
        if config.implementation == ISC:
            key = omapikey.make_key()
            Path(side.state, omapikey.FILE).write_text(omapikey.render_key(key))
            text = isc.render_isc(config, side.me, key)
            (side.folder / "dhcpd.conf").write_text(text)
            (side.folder / "dhcpd.leases").write_text("")
            return config
        [hooks] = self._root.glob(kea.HOOKS.lstrip("/"))
        text = kea.render_kea(config, side.me, f"/{hooks.relative_to(self._root)}")
        (side.folder / "kea.conf").write_text(text)
        there = str(side.folder / Path(config.pair.kea.control_socket).name)
        pair = replace(config.pair, kea=replace(config.pair.kea, control_socket=there))
        return replace(config, pair=pair)

    def start(self, *names: str) -> None:
        """Start servers; both by default."""
        for side in self.sides:
            if names and side.name not in names:
                continue
            if side.config.implementation == ISC:
                files = ["-cf", "/srv/dhcpd.conf", "-lf", "/srv/dhcpd.leases", "-pf", "/run/pid"]
                argv = ["dhcpd", "-f", "-d", "-4", *files, "eth0"]
            else:
                (side.folder / "kea4-ctrl-socket").unlink(missing_ok=True)
                for left in side.folder.glob("*.pid"):
                    # Of one that was killed: in a namespace of its own each has the same number.
                    left.unlink()
                argv = ["kea-dhcp4", "-c", "/srv/kea.conf"]
            # Into the network of the host, with files of its own: the host's hide the root.
            words = ["nsenter", "--target", str(side.host.pid), "--net", "--", "unshare"]
            words += ["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", START, "sh"]
            words += [str(self._root), str(side.folder), *argv]
            with (side.folder / "log").open("a") as log:
                side.program = process.start(words, stdout=log, stderr=subprocess.STDOUT)

    def kill(self, name: str) -> None:
        """Kill a server, as `kill -9` does."""
        side = self.side(name)
        if side.program is not None:
            side.program.end()
            side.program = None
            # It was its parent that was killed; the kernel ends the rest a moment later.
            process.wait_until(lambda: not side.listens(), f"{name} to have ended")

    def side(self, name: str) -> Side:
        """Return a member."""
        return self.sides[NAMES.index(name)]

    def await_word(self, word: str, *names: str, timeout: float = 60.0) -> None:
        """Wait until members are in a state of `model.STATES`; both by default."""

        def there() -> bool:
            return all(
                side.look().own.word == word
                for side in self.sides
                if not names or side.name in names
            )

        process.wait_until(there, f"{names or 'both'} to be {word}", timeout=timeout, step=0.1)

    def drop(self, on: str, rule: str, *, outward: str = "", by: str = "drop") -> None:
        """Have a member's host drop what matches a rule of nftables, and nothing else then.

        :param rule: of what comes in; empty: nothing. `outward`: of what goes out.
        :param by: what is done to it.
        """
        chains = "".join(
            f"chain {hook} {{\ntype filter hook {hook} priority 0\n{each} {by}\n}}\n"
            for hook, each in (("input", rule), ("output", outward))
            if each
        )
        text = f"table inet test {{}}\ndelete table inet test\ntable inet test {{\n{chains}}}\n"
        self.side(on).host.run(["nft", "-f", "-"], text)

    def cut(self, name: str) -> None:
        """Drop everything between a member and the rest, with the carrier up."""
        self.drop(name, "iifname eth0", outward="oifname eth0")

    def close(self) -> None:
        """End all."""
        for name in NAMES:
            self.kill(name)
        self._stack.close()

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def pair(suite: str, implementation: str, folder: Path, **more: Any) -> Iterator[Pair]:
    """Give a pair on a segment of its own, both started and normal."""
    with Segment() as segment, Pair(suite, implementation, segment, folder, **more) as made:
        made.start()
        made.await_word("normal")
        yield made
