"""Where the monitor's files lie."""

from __future__ import annotations

from typing import NamedTuple


class Places(NamedTuple):
    """Say where the monitor's files lie.

    :param run: folder that is empty after a boot.
    :param state: folder that lasts.
    """

    run: str = "/run/ipalias"
    state: str = "/var/lib/ipalias/wan"

    @property
    def status(self) -> str:
        """Return the path of the state for everyone who asks."""
        return f"{self.run}/wan-status.json"

    @property
    def remembered(self) -> str:
        """Return the path of what the next monitor should know."""
        return f"{self.run}/wan-remembered.json"

    @property
    def socket(self) -> str:
        """Return the path of the control socket."""
        return f"{self.run}/wan.sock"

    @property
    def lock(self) -> str:
        """Return the path of the lock that only one monitor can hold."""
        return f"{self.run}/wan.lock"

    @property
    def config(self) -> str:
        """Return the path of the configuration."""
        return f"{self.state}/config.json"

    @property
    def journal(self) -> str:
        """Return the path of the journal of transitions."""
        return f"{self.state}/journal"

    @property
    def position(self) -> str:
        """Return the path of what the master has acknowledged of the journal."""
        return f"{self.state}/acknowledged"

    @property
    def probes(self) -> str:
        """Return the path of the record of probes."""
        return f"{self.state}/probes"

    @property
    def metrics(self) -> str:
        """Return the path of the metrics."""
        return f"{self.run}/wan.prom"
