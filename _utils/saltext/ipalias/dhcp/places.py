"""Where the files of a DHCP pair lie: the servers' own, and ours."""

from __future__ import annotations

from typing import NamedTuple


class Places(NamedTuple):
    """Say where our own files of a pair lie.

    :param state: folder that lasts; 0700.
    """

    state: str = "/var/lib/ipalias/dhcp"

    @property
    def found(self) -> str:
        """Return the path of what was there before us, to be put back by a clean."""
        return f"{self.state}/found.json"

    @property
    def drill(self) -> str:
        """Return the path of the last drill's report.

        JSON: ``time`` (seconds since 1970), ``result``, ``report`` (rows), ``good`` (time of the
        last drill that went well, or null).
        """
        return f"{self.state}/drill.json"

    @property
    def backups(self) -> str:
        """Return the folder of kept leases and configurations."""
        return f"{self.state}/backup"
