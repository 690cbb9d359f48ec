#!py
"""
React on the master to what the beacon ``ipalias_dhcp`` of a minion tells.

.. code-block:: yaml

    reactor:
      - 'salt/beacon/*/ipalias_dhcp/*':
        - salt://ipalias/reactor/dhcp_event.sls

The runner ``ipalias_dhcp.react`` reports each of them: a line of the master's log, and an event
``ipalias/dhcp/MINION/KIND/alert`` or ``…/clear`` for whoever listens. Where the pillar's
``partner_down`` says so, and a witness finds the peer dead as well, it has the minion declare it
dead. ``salt-run saltutil.sync_runners`` brings the runner to the master.

Python renders this, and not Jinja into YAML: a minion puts into an event what it likes. Whatever
does not look as the beacon makes it gives no reaction at all.
"""

import re

KINDS = "state|silent|blocked|dead|skew|balance|pool|log|drill|leases|watch"
TAG = re.compile(r"salt/beacon/([^/\0]{1,255})/ipalias_dhcp/(" + KINDS + r")/(alert|clear)")
# Characters of a text, at most.
LONGEST = 1200


def run():
    # Salt has put the minion's id into the data as well; both can be made up. What that may lead
    # to is the minion's own to refuse: it counts for itself how long its peer has been silent.
    found = TAG.fullmatch(tag) if isinstance(tag, str) else None
    if not found or not isinstance(data, dict) or data.get("id") != found.group(1):
        return {}
    text = data.get("text")
    if not isinstance(text, str) or len(text) > LONGEST:
        return {}
    minion, kind, what = found.groups()
    if not minion.isprintable():
        return {}
    # Nothing of it is to pass for a line of the log of its own.
    shown = "".join(each if each.isprintable() else " " for each in text)
    told = {"minion": minion, "kind": kind, "what": what, "text": shown}
    reaction = {"runner.ipalias_dhcp.react": [{"args": told}]}
    return {"ipalias-dhcp-event": reaction}
