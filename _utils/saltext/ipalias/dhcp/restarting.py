"""A drop-in of Kea's unit: Kea that ends by itself is started again until it can serve. Pure.

Kea is given an address of each interface with several (`kea.listening`), and ends where that is not
there. At boot it may come later than Kea, which waits for `network-online.target` alone: without
this Kea would stay down until the next highstate. With leases in a database it also ends when it
loses that, and does not start before that answers: an update of the database's package would leave
the member without service. Kea's own tries again (``max-reconnect-tries``) are no way out: it
answers its peer meanwhile and no client, so that the other one would not take over.

Without a database only for the exit code that it ends its start with, systemd.service(5)
``RestartForceExitStatus=``: what a signal has ended stays down, for its peer serves, and whoever
looks shall find what there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..effects import FileState
from ..model import Command, File
from .model import KEA, DhcpConfig
from .services import SERVERS, systemctl

DROPIN = f"/etc/systemd/system/{SERVERS[KEA].unit}.d/ipalias.conf"
_OWN = "# Written by the ipalias formula: "
#: The pause is in seconds: soon for a client, and not too often for a log.
_ADDRESS = f"""{_OWN}an address that Kea is given may come later at boot.
[Unit]
StartLimitIntervalSec=0

[Service]
RestartForceExitStatus=1
RestartSec=5
"""
_DATABASE = f"""{_OWN}Kea ends without its database.
[Unit]
After=mariadb.service mysql.service postgresql.service
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=10
"""


def dropin_files(config: DhcpConfig | None) -> list[File]:
    """Return the drop-in; without text where there shall be none.

    :param config: None: no pair any more.
    """
    if config is None or config.implementation != KEA:
        return [File(DROPIN, None)]
    return [File(DROPIN, _DATABASE if config.pair.kea.leases.is_database else _ADDRESS)]


def is_among(files: Collection[str]) -> bool:
    """Tell whether systemd has to read its units anew.

    :param files: paths of those that change.
    """
    return DROPIN in files


def back(
    before: FileState | None, servers: Iterable[tuple[str, tuple[int, ...], bool]], *, wait: bool
) -> list[Command]:
    """Return commands by which systemd reads its units anew once the drop-in is as it was.

    :param before: the drop-in as it was; None: there was none.
    :param servers: see `journal.DhcpPart`.
    :param wait: False in a boot.
    """
    reload = systemctl("daemon-reload")
    served = any(pids for name, pids, _ in servers if name == KEA)
    if before is not None or served:
        return [reload]
    # One that could not start would be started again, by whatever is its configuration by then.
    return [systemctl("stop", SERVERS[KEA].unit, wait=wait), reload]
