#!py
"""
React on the master to what the beacon ``ipalias_wan`` of a minion tells.

.. code-block:: yaml

    reactor:
      - 'salt/beacon/*/ipalias_wan/*':
        - salt://ipalias/reactor/wan_event.sls

The minion is told that its transitions were received and, where it has ``react: event``,
switches. Python renders this, and not Jinja into YAML: a minion puts into an event what it
likes. Whatever does not look as the beacon makes it gives no reaction at all.
"""

import re

TAG = re.compile(r"salt/beacon/([^/\0]{1,255})/ipalias_wan/[A-Za-z][A-Za-z0-9_-]{0,19}/(up|down)")
IDENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
# Ids in one event, at most; the beacon gives up to 100.
MOST = 200


def is_ident(value):
    return isinstance(value, str) and bool(IDENT.fullmatch(value))


def run():
    # Salt has put the minion's id into the data as well; both can be made up, and then a minion
    # is told of an id that it does not have, which does nothing there.
    found = TAG.fullmatch(tag) if isinstance(tag, str) else None
    if not found or not isinstance(data, dict) or data.get("id") != found.group(1):
        return {}
    received = data.get("acknowledge", [])
    if not is_ident(data.get("transition")) or not isinstance(received, list):
        return {}
    if len(received) > MOST or not all(is_ident(item) for item in received):
        return {}
    # An entry sent again, and not the last of its round, needs no job of its own.
    if not received and data.get("acted"):
        return {}
    told = {"transitions": [data["transition"]], "acknowledge": received}
    # A list: as a pattern, an id could name other minions.
    job = [{"tgt": [found.group(1)]}, {"tgt_type": "list"}, {"args": told}]
    reaction = {"local.ipalias_wan.react": job}
    return {"ipalias-wan-event": reaction}
