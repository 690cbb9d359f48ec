"""The configuration as it lies on the disk: what the monitor, and the way back, go by.

The pillar's block as it was given, so that one reader refuses what cannot be meant.
"""

from __future__ import annotations

import json
from typing import Any

from ..errors import MALFORMED, ParseError
from ..paths import Paths
from .config import parse_wan
from .model import WanConfig

SCHEMA = 1


def config_path(paths: Paths) -> str:
    """Return the path of the configuration."""
    return f"{paths.state}/wan/config.json"


def render_config(block: object) -> str:
    """Return the text for a block of the pillar; the order of the uplinks is kept."""
    return json.dumps({"schema": SCHEMA, "wan": block}, indent=1) + "\n"


def parse_config(text: str, path: str) -> WanConfig:
    """Read the configuration.

    :raises ParseError: not one, or one of a later version.
    :raises InputError: it is refused, as the pillar would be.
    """
    # Not the state alone: on a BSD it would have to read this first.
    way_out = "move it away and apply the state ipalias.wan"
    try:
        data: dict[str, Any] = json.loads(text)
        if int(data["schema"]) > SCHEMA:
            what = "a later version has written it"
            raise ParseError(path, 1, what, way_out=f"install that version, or {way_out}")
        block = data["wan"]
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a configuration ({error!r})", way_out=way_out) from None
    return parse_wan(block)
