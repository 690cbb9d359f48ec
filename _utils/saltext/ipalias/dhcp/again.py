"""A drop-in of Kea's unit: Kea that ends at its start is started again until it can. Pure.

Kea is given an address of each interface with several (`kea.listening`), and ends where that is not
there. At boot it may come later than Kea, which waits for `network-online.target` alone: without
this Kea would stay down until the next highstate.

Only for the exit code that it ends its start with, systemd.service(5) ``RestartForceExitStatus=``:
what a signal has ended stays down, for its peer serves, and whoever looks shall find what there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..effects import FileState
from ..model import Command, File
from .model import KEA, DhcpConfig
from .services import SERVERS, systemctl

PATH = f"/etc/systemd/system/{SERVERS[KEA].unit}.d/ipalias.conf"
#: Seconds from the end of one start to the next: soon for a client, and not too often for a log.
PAUSE = 5
_TEXT = f"""# Written by the ipalias formula: an address that Kea is given may come later at boot.
[Unit]
StartLimitIntervalSec=0

[Service]
RestartForceExitStatus=1
RestartSec={PAUSE}
"""


def again_files(config: DhcpConfig | None) -> list[File]:
    """Return the drop-in; without text where there shall be none."""
    wanted = config is not None and config.implementation == KEA
    return [File(PATH, _TEXT if wanted else None)]


def is_among(files: Collection[str]) -> bool:
    """Tell whether systemd has to read its units anew.

    :param files: paths of those that change.
    """
    return PATH in files


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
