"""What every host of the rig can be asked, be it a namespace or a booted system."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rig import process
from rig.process import Result, Running, wait_until


class Address(NamedTuple):
    """Hold one live address as ``ip -j address`` tells it."""

    interface: str
    address: str
    prefix: int
    scope: str
    label: str | None
    #: ``tentative``, ``dadfailed``, ``deprecated``, ``noprefixroute``, … where set.
    flags: frozenset[str]

    def __str__(self) -> str:
        """Show it as ``192.0.2.1/32``."""
        return f"{self.address}/{self.prefix}"


class Machine:
    """A host, known by the command line that runs a program inside."""

    #: Name of the host, also its host name.
    name: str
    #: Interpreter to run test programs with inside.
    python: str
    #: Folder the project's checkout is seen in.
    checkout = "/srv/ipalias"

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a program inside."""
        raise NotImplementedError

    def run(
        self,
        argv: Sequence[str],
        stdin: str | None = None,
        timeout: float = 180.0,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a program inside, to its end; see `process.run`."""
        return process.run(self.enter(argv), stdin, timeout=timeout, check=check, env=env)

    def popen(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, **pipes: Any
    ) -> Running:
        """Start a program inside; see `process.start`. It ends with the host at the latest."""
        return process.start(self.enter(argv), env, **pipes)

    def read(self, path: str) -> str | None:
        """Return a file's text as it stands, or None where there is none."""
        done = self.run(["cat", "--", path], check=False)
        if done.code == 0:
            return done.out
        if self.exists(path):
            raise process.CommandFailed(f"{self.name}: {path}: {done.err.strip()}")
        return None

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, with the folders above it."""
        script = 'mkdir -p "${1%/*}/" && umask 077 && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "sh", path, f"{mode:o}"], text)

    def exists(self, path: str) -> bool:
        """Tell whether a path exists, a dangling symlink included."""
        return self.run(["sh", "-c", '[ -e "$1" ] || [ -L "$1" ]', "sh", path], check=False)[0] == 0

    def remove(self, *paths: str) -> None:
        """Remove files and folders that may exist."""
        self.run(["rm", "-rf", "--", *paths])

    def tree(self, *folders: str) -> dict[str, tuple[str, str]]:
        """Return mode and content of every file under folders, to compare before and after.

        A symlink's content is its target.
        """
        done = self.run([self.python, "-I", "-S", "-c", _TREE, *folders])
        return {path: (mode, text) for path, mode, text in json.loads(done.out)}

    def ip(self, *words: str, check: bool = True) -> Result:
        """Run ``ip`` with these words."""
        return self.run(["ip", *words], check=check)

    def ip_batch(self, *lines: str) -> None:
        """Run ``ip -batch`` with these lines."""
        self.run(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))

    def addresses(self, interface: str | None = "eth0", *, links: bool = False) -> list[Address]:
        """Return the live addresses of an interface, or of all, in the kernel's order.

        :param links: with IPv6 link-local addresses, which the kernel makes by itself.
        """
        found = []
        for link in json.loads(self.ip("-j", "address", "show").out or "[]"):
            if interface not in (None, link["ifname"]):
                continue
            for entry in link["addr_info"]:
                if entry["scope"] == "link" and entry["family"] == "inet6" and not links:
                    continue
                found.append(_address(link["ifname"], entry))
        return found

    def has(self, address: str, interface: str | None = "eth0") -> bool:
        """Tell whether an address is live and usable; ``A`` or ``A/PREFIX``."""
        return any(
            address in (found.address, str(found)) and not found.flags & {"tentative", "dadfailed"}
            for found in self.addresses(interface, links=True)
        )

    def await_addresses(self, *addresses: str, timeout: float = 120.0) -> None:
        """Wait until addresses are live and usable."""
        for address in addresses:
            wait_until(
                lambda address=address: self.has(address, None),  # type: ignore[misc]
                f"{address} on {self.name}",
                timeout=timeout,
            )

    def routes(self, family: int = 4, table: str = "main") -> list[dict[str, Any]]:
        """Return the routes of a table as ``ip -j route`` tells them."""
        done = self.ip("-j", f"-{family}", "route", "show", "table", table)
        routes: list[dict[str, Any]] = json.loads(done.out or "[]")
        return routes

    def source(self, target: str) -> str:
        """Return the source address the kernel chooses towards a target."""
        chosen: str = json.loads(self.ip("-j", "route", "get", target).out)[0]["prefsrc"]
        return chosen

    def ping(self, target: str, *words: str) -> bool:
        """Tell whether a target answers one echo request within two seconds."""
        return self.run(["ping", "-n", "-c1", "-W2", *words, target], check=False).code == 0


def _address(interface: str, entry: Mapping[str, Any]) -> Address:
    flags = {key for key, value in entry.items() if value is True}
    return Address(
        interface,
        entry["local"],
        entry["prefixlen"],
        entry["scope"],
        entry.get("label"),
        frozenset(flags),
    )


_TREE = """
import json, os, stat, sys
found = []
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        for name in files + [n for n in folders if os.path.islink(os.path.join(folder, n))]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                text = os.readlink(path)
            elif stat.S_ISREG(mode):
                text = open(path, "rb").read().decode("utf-8", "surrogateescape")
            else:
                continue
            found.append((path, oct(mode), text))
print(json.dumps(sorted(found)))
"""
