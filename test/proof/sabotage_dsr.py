"""What is broken for each line of the DSR proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage

SABOTAGES: dict[int, Sabotage] = {}
