"""Drive the product's `Switch` on the host this runs on.

A program of its own: requests as JSON, a line each, and an answer to each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run_nft(text: str) -> str:
    """Run nft with a text; return its complaint."""
    done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def run_reading(argv: list[str]) -> str:
    """Run a program that only reads; return what it says."""
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


def main() -> None:
    """Answer requests until there are no more."""
    sys.path.insert(0, sys.argv[1])
    from saltext.ipalias.errors import RefusedError
    from saltext.ipalias.wan import conntrack, live, netlink
    from saltext.ipalias.wan.collisions import refuse_collisions
    from saltext.ipalias.wan.config import parse_wan
    from saltext.ipalias.wan.model import Line, Wanted
    from saltext.ipalias.wan.stored import render_config
    from saltext.ipalias.wan.switch import Done, Switch

    switch: Switch | None = None
    for row in sys.stdin:
        request = json.loads(row)
        answer: Any = None
        match request["do"]:
            case "start":
                config = parse_wan(request["pillar"])
                switch = Switch(config, run_nft, objects=request["objects"])
            case "apply":
                lines = {
                    family: tuple((Line(name, family), weight) for name, weight in listed)
                    for family, listed in request["wanted"]
                }
                assert switch
                answer = switch.apply(Wanted(lines), [Line(*line) for line in request["down"]])
            case "reconcile":
                assert switch
                answer = switch.reconcile()
            case "remove":
                assert switch
                answer = switch.remove()
            case "standing":
                assert switch
                answer = switch.standing()
            case "set":
                texts = [render_config(each) if each else "" for each in request["change"]]
                answer = live.set_wan(*texts, run_nft)
            case "collide":
                config = parse_wan(request["pillar"])
                found = live.read_wan(render_config(request["pillar"]), run_reading)
                try:
                    kernel, routes = found.kernel, found.protocol
                    answer = refuse_collisions(
                        config, kernel, routes, nft=found.nft, iptables=found.iptables
                    )
                except RefusedError as error:
                    answer = error.text()
            case "flows":
                sockets = netlink.Netlink(netlink.NETFILTER)
                answer = conntrack.count_flows(
                    sockets, config.numbers, request["index"], request["family"]
                )
                sockets.close()
        if isinstance(answer, Done):
            answer = answer._asdict()
        print(json.dumps(answer), flush=True)


main()
