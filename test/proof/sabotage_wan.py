"""What is broken for each line of the multi-WAN proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

SABOTAGES: dict[int, Sabotage] = {
    101: broken(
        "",
        "beyond the gateway, RTT 0",
        "the flows of a lost line are not forgotten",
        (
            "wan/switch.py",
            "        flushing = stranded - self._stranded\n",
            "        flushing: frozenset[Line] = frozenset()\n",
        ),
    ),
    102: broken(
        "",
        "beyond",
        "what the settings promise is computed too short",
        (
            "wan/bounds.py",
            "    return calm + max(wanted + min(trip, wanted), burst) + max(step, quick) + hard + LOOP",
            "    return min(calm, max(wanted, trip, burst), step, quick, hard, LOOP)",
        ),
    ),
    103: broken(
        "",
        "fast",
        "the kernel's word of a carrier is not heard",
        ("wan/policy.py", "state.set_carrier(event.up, now)", "pass"),
    ),
    104: broken(
        "",
        "10% lost, RTT 30 ms",
        "a second miss in a row is taken for proof",
        (
            "wan/silence.py",
            "            span >= required + self._extra(required)\n"
            "            and quiet >= required\n"
            "            and sum(sent.asked.loss.weight() for sent in expired) >= EVIDENCE\n"
            "            and len(shown) >= min(BREADTH, len(members))\n",
            "            len(expired) > 1\n            and (required, quiet, span, shown)\n",
        ),
    ),
}
