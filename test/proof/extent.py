"""How much of a matrix a run takes: all of it with FULL=1, else a sample by the run's seed."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def full() -> bool:
    """Tell whether everything is asked for."""
    return os.environ.get("FULL", "") not in ("", "0")


def draw(listed: Sequence[T], count: int, name: str) -> list[T]:
    """Return a sample in the list's own order, spread over the whole of it.

    One of each stretch: what lies side by side is alike.

    :param name: what is drawn for; another name draws another sample of one seed.
    """
    if full() or count >= len(listed):
        return list(listed)
    chance = random.Random(f"{os.environ.get('SEED') or 1}-{name}")
    edges = [len(listed) * turn // count for turn in range(count + 1)]
    return [listed[chance.randrange(a, b)] for a, b in pairwise(edges)]
