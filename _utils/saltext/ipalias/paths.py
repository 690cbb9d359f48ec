"""Where our own state lies, and how a change is carried out."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import platforms
from .checks import GuardConfig
from .pillar import Announce

#: Protocol number of routes that belong to route failover, which no change here touches.
ROUTE_PROTOCOL = "186"


@dataclass(frozen=True)
class Paths:
    """Say where our own state lies.

    :param state: folder of ledger, originals and journal; 0700.
    :param frozen: folder of frozen copies of the library.
    """

    state: str = "/var/lib/ipalias"
    frozen: str = "/usr/local/lib/ipalias"

    @property
    def ledger(self) -> str:
        """Return the ledger's path."""
        return f"{self.state}/ledger.json"

    @property
    def sysctl(self) -> str:
        """Return the path of the ledger of kernel settings."""
        return f"{self.state}/sysctl.json"

    @property
    def backup(self) -> str:
        """Return the folder of originals."""
        return f"{self.state}/backup"

    @property
    def index(self) -> str:
        """Return the path of the index of originals."""
        return f"{self.backup}/index.json"

    @property
    def journal(self) -> str:
        """Return the folder of whole changes, by id."""
        return f"{self.state}/journal"

    def record(self, state: str, ident: str) -> str:
        """Return the path of an open change's record in one of its states."""
        return f"{self.state}/{state}-{ident}.json"

    def armed(self, ident: str) -> str:
        """Return the path of the file by which a dead man says that it watches."""
        return f"{self.state}/armed-{ident}"


def paths_of(system: str) -> Paths:
    """Return where our state lies on a system."""
    return Paths(platforms.STATE[system], platforms.FROZEN[system])


@dataclass(frozen=True)
class Settings:
    """Say how a change is carried out.

    :param verify_timeout: seconds without progress until addresses that do not appear count
        as failed; duplicate address detection alone takes up to two.
    :param guard: the dead man and its votes.
    :param master: address and port of the Salt master, where the minion has one.
    :param confirm: True to wait for `ipalias.confirm` instead of committing.
    """

    paths: Paths = field(default_factory=Paths)
    announce: Announce = field(default_factory=Announce)
    verify_timeout: float = 10.0
    guard: GuardConfig = field(default_factory=GuardConfig)
    master: tuple[str, int] | None = None
    confirm: bool = False
