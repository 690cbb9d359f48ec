"""
Tell the master what becomes of the pair of ``ipalias:dhcp``, as this member sees it.

.. code-block:: yaml

    beacons:
      ipalias_dhcp:
        - interval: 1

The tag is ``salt/beacon/MINION/ipalias_dhcp/KIND/alert`` or ``…/clear``, and KIND one of:

``state``
    this member's server is not normal, or does not answer
``silent``
    the peer does not answer, neither its port nor its host, or its server is gone
``blocked``
    the peer is there, and one way between the two ports is blocked
``dead``
    the peer has been silent as long as the pillar's ``partner_down`` wants; told again and again,
    for an event can be lost and a reaction refused
``skew``, ``balance``, ``pool``, ``log``, ``drill``
    the clocks differ; free addresses are shared out badly; a pool is nearly exhausted; the log
    has faults of the pair; there was no good drill for long
``leases``
    two Keas were apart, and this one cannot fetch what the other one gave out; ``clear`` as well
    where it could at once
``watch``
    this member cannot be watched at all, and why

Looking is all that it does, but for one thing: a Kea fetches the other one's leases when both are
normal again, or they would be missing for good.

Each change is told once, and after a start of the minion what is wrong then. Nothing is waited
for: a look is done beside this process's work, and told by the next turn.

Everything goes through ``__salt__``: a minion that has just synced for the first time does not
find the library from here.
"""

import logging
import time

log = logging.getLogger(__name__)

__virtualname__ = "ipalias_dhcp"

#: Seconds until it is tried again after it has failed.
AGAIN = 30.0
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
    """Hold what a look leaves for the next one; a reload of this module forgets it."""

    def __init__(self):
        self.memory = None
        self.again = 0.0
        self.failed = False


_state = _State()


def __virtual__():
    return __virtualname__


def validate(config):
    """Return whether a configuration is one of this beacon, and what is wrong with it."""
    if not isinstance(config, list) or not all(isinstance(item, dict) for item in config):
        return False, "Configuration for ipalias_dhcp beacon must be a list of mappings."
    settings = _settings(config)
    unknown = sorted(str(key) for key in settings if key not in OF_SALT | {"pillar"})
    if unknown:
        return False, f"ipalias_dhcp beacon: unknown keys {', '.join(unknown)}"
    pillar = settings.get("pillar", "ipalias")
    if not isinstance(pillar, str) or not pillar:
        return False, "ipalias_dhcp beacon: pillar must be the path of the formula's block"
    return True, "Valid beacon configuration"


def beacon(config):
    """Return an event for each thing that has changed."""
    now = time.monotonic()
    if now < _state.again:
        return []
    try:
        told = __salt__["ipalias_dhcp.watch"](
            memory=_state.memory, pillar=_settings(config).get("pillar", "ipalias")
        )
        events, _state.memory = told["events"], told["memory"]
    except Exception as error:
        # Salt would log it with each turn, and whoever waits for events would hear nothing.
        _state.again = now + AGAIN
        if _state.failed:
            return []
        log.error("ipalias_dhcp beacon: %s", error)
        _state.failed = True
        return [{"tag": "watch/alert", "kind": "watch", "what": "alert", "text": str(error)[:600]}]
    if _state.failed:
        _state.failed = False
        text = "the pair is watched again"
        events = [{"tag": "watch/clear", "kind": "watch", "what": "clear", "text": text}, *events]
    return events


def _settings(config):
    """Return a beacon's configuration, which Salt gives as a list, as one mapping."""
    settings = {}
    for item in config:
        settings.update(item)
    return settings
