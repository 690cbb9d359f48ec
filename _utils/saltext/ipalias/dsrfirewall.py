"""Look in a Linux host's packet filter for what would drop the traffic of a VIP.

Best effort, and the answer says what was looked at: rules that name the VIP and drop, and input
chains that drop whatever no rule lets in. What a rule means together with all others is more
than this can tell.

Formats: ``nft -j list ruleset`` (libnftables-json(5)), iptables-save(8).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import MALFORMED
from .host import Host

_NFT = ("nft", "-j", "list", "ruleset")
_SAVES = {4: ("iptables-save",), 6: ("ip6tables-save",)}
#: Where packets for the host itself pass, before a service sees them.
_HOOKS = ("ingress", "prerouting", "input")
_DROPS = ("drop", "reject")


def look(host: Host, vips: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what was looked at, and what was found in sentences."""
    looked: list[str] = []
    found: list[str] = []
    if host.which("nft") is not None:
        said = host.run(_NFT)
        if said.code == 0:
            looked.append("nft")
            found += parse_nft(said.out, vips)
    for family, argv in _SAVES.items():
        mine = [vip for vip in vips if (":" in vip) == (family == 6)]
        # With nft there, iptables may be a front of it: its rules were seen already.
        if not mine or looked[:1] == ["nft"] or host.which(argv[0]) is None:
            continue
        said = host.run(argv)
        if said.code == 0:
            looked.append(argv[0])
            found += parse_save(said.out, mine)
    return looked, found


def parse_nft(text: str, vips: Sequence[str]) -> list[str]:
    """Return what a ruleset holds against VIPs."""
    try:
        items = [item for item in json.loads(text)["nftables"] if isinstance(item, Mapping)]
    except MALFORMED:
        return ["the ruleset could not be read"]
    chains: dict[tuple[str, ...], Mapping[str, Any]] = {}
    rules: list[Mapping[str, Any]] = []
    for item in items:
        if "chain" in item:
            chain = item["chain"]
            chains[_place(chain, chain.get("name"))] = chain
        elif "rule" in item:
            rules.append(item["rule"])
    found: list[str] = []
    let_in: set[tuple[tuple[str, ...], str]] = set()
    for rule in rules:
        place = _place(rule, rule.get("chain"))
        for vip in vips:
            if not _names(rule.get("expr", ()), vip):
                continue
            verdicts = {key for part in rule.get("expr", ()) for key in part}
            if verdicts & set(_DROPS):
                found.append(f"{' '.join(place)}: a rule drops what is sent to {vip}")
            elif "accept" in verdicts:
                let_in.add((place, vip))
    for place, chain in chains.items():
        if chain.get("hook") not in _HOOKS or chain.get("policy") != "drop":
            continue
        for vip in vips:
            if place[0] in ("inet", "netdev", _family(vip)) and (place, vip) not in let_in:
                found.append(
                    f"{' '.join(place)}: its policy is drop, and no rule of it names {vip}: "
                    "the traffic passes only if another rule lets it in"
                )
    return found


def _place(item: Mapping[str, Any], chain: object) -> tuple[str, ...]:
    return str(item.get("family")), str(item.get("table")), str(chain)


def _family(vip: str) -> str:
    return "ip6" if ":" in vip else "ip"


def _names(expressions: object, vip: str) -> bool:
    """Tell whether a rule matches the destination address of a VIP."""
    for part in expressions if isinstance(expressions, list) else ():
        match = part.get("match") if isinstance(part, Mapping) else None
        if not isinstance(match, Mapping) or match.get("op") not in ("==", "in"):
            continue
        left = match.get("left")
        payload = left.get("payload") if isinstance(left, Mapping) else None
        if not isinstance(payload, Mapping) or payload.get("field") != "daddr":
            continue
        if payload.get("protocol") == _family(vip) and any(
            _holds(network, vip) for network in _networks(match.get("right"))
        ):
            return True
    return False


def _networks(right: object) -> Iterator[str]:
    """Yield the networks on the right side of a match; what else stands there is left out."""
    if isinstance(right, str):
        yield right
    elif isinstance(right, Mapping):
        prefix = right.get("prefix")
        if isinstance(prefix, Mapping):
            yield f"{prefix.get('addr')}/{prefix.get('len')}"
        for item in right.get("set", ()) if isinstance(right.get("set"), list) else ():
            yield from _networks(item)


def _holds(network: str, vip: str) -> bool:
    try:
        return ipaddress.ip_address(vip) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def parse_save(text: str, vips: Sequence[str]) -> list[str]:
    """Return what iptables-save(8) shows against VIPs."""
    found: list[str] = []
    let_in: set[str] = set()
    dropping: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith((":INPUT ", ":PREROUTING ")) and words[1:2] == ["DROP"]:
            dropping.append(words[0][1:])
        if words[:1] != ["-A"] or "-d" not in words[:-1] or "-j" not in words[:-1]:
            continue
        network, verdict = words[words.index("-d") + 1], words[words.index("-j") + 1]
        if words[words.index("-d") - 1] == "!":
            continue
        for vip in vips:
            if _holds(network, vip) and verdict in ("DROP", "REJECT"):
                found.append(f"{line}: drops what is sent to {vip}")
            elif _holds(network, vip) and verdict == "ACCEPT":
                let_in.add(vip)
    for chain in dropping:
        found += [
            f"{chain}: its policy is DROP, and no rule names {vip}: the traffic passes only if "
            "another rule lets it in"
            for vip in vips
            if vip not in let_in
        ]
    return found
