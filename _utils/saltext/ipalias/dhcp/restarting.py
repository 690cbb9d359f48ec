"""Bring Kea back by itself when its database is, and after it at boot.

Kea ends when it loses its database, and does not start before that answers; its unit on Debian
(2.2 and 2.6, seen) is started once: an update of the database's package, or a boot in which Kea
is first, would leave the member without service until somebody starts it. Kea's own tries again
(``max-reconnect-tries``) are no way out: it answers its peer meanwhile and no client, so that the
other one would not take over.

A drop-in, systemd.unit(5), systemd.service(5): for a Kea with a database alone.
"""

from __future__ import annotations

from ..model import File
from .model import KEA, DhcpConfig
from .services import SERVERS

DROPIN = f"/etc/systemd/system/{SERVERS[KEA].unit}.d/ipalias.conf"
#: Seconds between two tries.
AGAIN = 10
_TEXT = f"""# Written by the ipalias formula.
[Unit]
After=mariadb.service mysql.service postgresql.service
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec={AGAIN}
"""


def dropin_files(config: DhcpConfig | None) -> list[File]:
    """Return the drop-in, or that there is none.

    :param config: None: no pair any more.
    """
    wanted = (
        config is not None and config.implementation == KEA and config.pair.kea.leases.is_database
    )
    return [File(DROPIN, _TEXT if wanted else None)]
