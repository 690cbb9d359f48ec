"""Which system this is, and where it keeps what is ours.

The one place that says how systems differ in their folders; `processes`, `disk` and
`freeze` ask here rather than each for itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

#: Prefix of `sys.platform` → name of `host.SYSTEMS`. illumos and Solaris are both ``sunos5``.
_NAMES = {
    "linux": "linux",
    "freebsd": "freebsd",
    "openbsd": "openbsd",
    "sunos": "sunos",
    "win": "windows",
    "cygwin": "windows",
}
#: Folder of ledger, originals and journal: where hier(7), or the system's own guide, wants
#: what a program keeps between boots. All of it is there before the network comes up.
STATE: Mapping[str, str] = {
    "linux": "/var/lib/ipalias",
    "freebsd": "/var/db/ipalias",
    "openbsd": "/var/db/ipalias",
    "sunos": "/var/lib/ipalias",
    "windows": "C:/ProgramData/ipalias",
}
#: Folder of frozen copies of the library.
FROZEN: Mapping[str, str] = {
    "linux": "/usr/local/lib/ipalias",
    "freebsd": "/usr/local/lib/ipalias",
    "openbsd": "/usr/local/lib/ipalias",
    "sunos": "/opt/ipalias/lib",
    "windows": "C:/ProgramData/ipalias/lib",
}


def system(name: str = sys.platform) -> str:
    """Return the system's name; one that we do not know counts as Linux and says so later."""
    return next((ours for prefix, ours in _NAMES.items() if name.startswith(prefix)), "linux")
