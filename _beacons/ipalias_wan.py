"""
Tell the master of the lines of ``ipalias:wan``: an event for each transition, at least once.

.. code-block:: yaml

    beacons:
      ipalias_wan:
        - interval: 1

The tag is ``salt/beacon/MINION/ipalias_wan/UPLINK/up`` or ``…/down``. Nothing is probed here:
the monitor's journal is read. Salt tells a beacon nothing of what became of its event, so an
entry is sent until the master has answered for it with ``ipalias_wan.acknowledge``, which the
formula's ``ipalias/reactor/wan_event.sls`` does; see ``docs/wan.md``.

Everything goes through ``__salt__``: a minion that has just synced for the first time does not
find the library from here.
"""

import logging
import os
import time

log = logging.getLogger(__name__)

__virtualname__ = "ipalias_wan"

FOLDER = "/var/lib/ipalias/wan"
#: Entries from each end of the journal that are under way at once. An entry is about 600 bytes,
#: and Salt trims what is larger than 1 MiB.
WINDOW = 50
#: Seconds until what was not acknowledged is sent again, first and at most.
FIRST, MOST = 5.0, 30.0
#: What Salt itself reads in a beacon's configuration.
OF_SALT = {
    "interval",
    "disable_during_state_run",
    "run_once",
    "enabled",
    "beacon_module",
    "_beacon_name",
}


class _State:
    """Hold what was sent; a reload of this module forgets it, and more is sent than has to be."""

    def __init__(self):
        self.seen = None
        self.owed = 0
        self.sent = set()
        self.pause = FIRST
        self.again = 0.0


_state = _State()


def __virtual__():
    return __virtualname__


def validate(config):
    """Return whether a configuration is one of this beacon, and what is wrong with it."""
    if not isinstance(config, list) or not all(isinstance(item, dict) for item in config):
        return False, "Configuration for ipalias_wan beacon must be a list of mappings."
    settings = _settings(config)
    unknown = sorted(str(key) for key in settings if key not in OF_SALT | {"folder"})
    if unknown:
        return False, f"ipalias_wan beacon: unknown keys {', '.join(unknown)}"
    folder = settings.get("folder", FOLDER)
    if not isinstance(folder, str) or not os.path.isabs(folder):
        return False, "ipalias_wan beacon: folder must be an absolute path"
    return True, "Valid beacon configuration"


def beacon(config):
    """Return an event for each transition that the master shall hear of now."""
    folder = _settings(config).get("folder", FOLDER)
    now = time.monotonic()
    seen = [_stamp(os.path.join(folder, name)) for name in ("journal", "acknowledged")]
    state = _state
    if seen == state.seen and (not state.owed or now < state.again):
        return []
    try:
        told = __salt__["ipalias_wan.pending"](WINDOW)
    except Exception as error:
        # Salt would make an event of it, each second.
        log.error("ipalias_wan beacon: %s", error)
        state.seen, state.owed, state.again = seen, 1, now + MOST
        return []
    if state.seen is not None and seen[1] != state.seen[1]:
        # The master answers: what is owed goes on without waiting.
        state.pause, state.again = FIRST, min(state.again, now + FIRST)
    state.seen, state.owed = seen, told["owed"]
    return _events(state, told["oldest"], told["newest"], now)


def _events(state, oldest, newest, now):
    """Return what is new, at once and once; and again what was not acknowledged in time."""
    due = now >= state.again
    rows = [
        row
        for listed, again in ((oldest, due), (newest, False))
        for row in listed
        if again or row["transition"] not in state.sent
    ]
    window = {row["transition"] for row in (*oldest, *newest)}
    repeated = any(row["transition"] in state.sent for row in rows)
    state.sent = (state.sent | {row["transition"] for row in rows}) & window
    if due and rows:
        state.pause = min(state.pause * 2, MOST) if repeated else FIRST
        state.again = now + state.pause
    if rows:
        # One answer for all that goes with this round: they reach the master in one message.
        rows[-1]["acknowledge"] = [row["transition"] for row in rows]
    for row in rows:
        row["tag"] = f"{row['uplink']}/{row['state']}"
    return rows


def _settings(config):
    """Return a beacon's configuration, which Salt gives as a list, as one mapping."""
    settings = {}
    for item in config:
        settings.update(item)
    return settings


def _stamp(path):
    """Return what changes with a file: nothing is read while that is the same."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
