"""Run the policy over hours of a modelled loss: ``wan_hours.py LIBRARY RIG``, requests by JSON.

``{"hours": 1, "share": 0.02, "burst": 0.05, "rtt": 0.03, "jitter": 0.01, "seed": 1}`` is answered
with the false failovers in that time; ``{"profile": "fast", "outages": [0.1, …], "seed": 1}`` makes
each outage on a line of its own, known for long, and answers after how long it took the line down,
or null.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from typing import Any

sys.path[:0] = sys.argv[1:3]

from rig.wanlines import ModelLine, ModelWorld, bursts, random_loss, start, wan  # noqa: E402
from saltext.ipalias.wan.bounds import ride_through  # noqa: E402
from saltext.ipalias.wan.simulate import run  # noqa: E402


def main() -> None:
    """Answer each line."""
    for row in sys.stdin:
        print(json.dumps(answer(json.loads(row))), flush=True)


#: Seconds before an outage, and after it.
BEFORE, AFTER = 3.0, 4.0


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one request."""
    rng = random.Random(request["seed"])
    if "outages" in request:
        return outages(request, rng)
    share, burst = request["share"], request["burst"]
    loss = bursts(share, burst, rng) if burst else random_loss(share, rng)
    line = ModelLine(rng, request["rtt"], request["jitter"], loss)
    config = wan(2, 2, "fast")
    world = ModelWorld({"wan1": line, "wan2": ModelLine(rng)})
    ran = run(config, start(config), world, 3600.0 * request["hours"])
    return {"downs": sum(t.state == "down" for t in ran.transitions)}


def outages(request: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Make each outage once, at any moment between two probes."""
    config = wan(2, 2, request["profile"])
    known = {"held": 0.0, "gaps": {"seen": 3600.0, "calm": 500.0, "lost": 0.0, "gaps": []}}
    begin = replace(
        start(config),
        remembered={"boot": "boot", "now": 0.0, "lines": {"wan1": known, "wan2": known}},
    )
    found = []
    for length in request["outages"]:
        line = ModelLine(rng)
        at = BEFORE + rng.random()
        line.outages = [(at, at + length)]
        world = ModelWorld({"wan1": line, "wan2": ModelLine(rng)})
        ran = run(config, begin, world, at + length + AFTER)
        found.append(next((t.boot_at - at for t in ran.transitions if t.state == "down"), None))
    return {"after": found, "rides": ride_through(config.uplinks[0].probe)}


main()
