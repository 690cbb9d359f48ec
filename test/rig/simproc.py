"""Kernel settings of a simulated host: /proc/sys as far as a change of settings meets it.

A folder ``default`` is what a new interface gets, and some settings write others along, as the
kernel's devinet.c and addrconf.c have it.
"""

from __future__ import annotations

import fnmatch

ROOT = "/proc/sys"
V4, V6 = "net/ipv4/conf", "net/ipv6/conf"
#: What a kernel starts with: in each interface's folder, and elsewhere.
OF_INTERFACE = {
    V4: {"arp_ignore": "0", "arp_announce": "0", "rp_filter": "0", "forwarding": "0",
         "accept_redirects": "1"},
    V6: {"forwarding": "0", "accept_ra": "1", "disable_ipv6": "0"},
}  # fmt: skip
PLAIN = {
    "net/ipv4/ip_forward": "0",
    "net/ipv4/tcp_rmem": "4096\t131072\t6291456",
    "net/core/somaxconn": "4096",
    "net/ipv4/route/flush": None,
}


class SimProc:
    """Hold settings by path below /proc/sys; empty until `fill`."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}
        #: Paths that the kernel refuses to write.
        self.refused: set[str] = set()

    def fill(self, links: list[str]) -> None:
        """Set everything as a boot finds it."""
        if not self.values and not links:
            return
        self.values = dict(PLAIN)
        for folder, block in OF_INTERFACE.items():
            for name in ("all", "default"):
                self.values |= {f"{folder}/{name}/{key}": value for key, value in block.items()}
        for name in links:
            self.add_link(name)

    def add_link(self, name: str) -> None:
        """Give an interface that appears what ``default`` has."""
        for folder, block in OF_INTERFACE.items():
            self.values |= {
                f"{folder}/{name}/{key}": self.values[f"{folder}/default/{key}"] for key in block
            }

    def read(self, path: str) -> str | None:
        """Return what a file under /proc/sys shows; None where there is none.

        :raises PermissionError: it is for writing alone.
        """
        key = path.removeprefix(f"{ROOT}/")
        if key not in self.values:
            return None
        value = self.values[key]
        if value is None:
            raise PermissionError(13, "Permission denied", path)
        return f"{value}\n"

    def glob(self, pattern: str) -> list[str]:
        """Return the files that a pattern matches, sorted."""
        wanted = pattern.removeprefix(f"{ROOT}/").split("/")
        return sorted(
            f"{ROOT}/{key}"
            for key in self.values
            if len(key.split("/")) == len(wanted)
            and all(map(fnmatch.fnmatchcase, key.split("/"), wanted))
        )

    def write(self, path: str, value: str) -> str | None:
        """Write a setting; return the value before.

        :raises OSError: the kernel refuses it.
        """
        key = path.removeprefix(f"{ROOT}/")
        before = self.values.get(key)
        if before is None:
            return None
        numbers = value.split()
        if key in self.refused or len(numbers) != len(before.split()):
            raise OSError(22, "Invalid argument", path)
        if not all(number.lstrip("-").isdigit() for number in numbers):
            raise OSError(22, "Invalid argument", path)
        self.values[key] = "\t".join(numbers)
        self._along(key, value)
        return f"{before}\n"

    def _along(self, key: str, value: str) -> None:
        if key in ("net/ipv4/ip_forward", f"{V4}/all/forwarding"):
            self._all(f"{V4}/*/forwarding", value)
            self.values["net/ipv4/ip_forward"] = value
            self.values[f"{V4}/all/accept_redirects"] = "0" if value == "1" else "1"
        elif key in (f"{V6}/all/forwarding", f"{V6}/all/disable_ipv6"):
            self._all(f"{V6}/*/{key.rpartition('/')[2]}", value)

    def _all(self, pattern: str, value: str) -> None:
        for path in self.glob(f"{ROOT}/{pattern}"):
            self.values[path.removeprefix(f"{ROOT}/")] = value
