"""The key that dhcpd wants of who asks for its state: made once, kept where only root reads."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets

from ..errors import MALFORMED, ParseError
from .model import OmapiKey

NAME = "ipalias-omapi"
#: dhcpd 4.4.3 takes hmac-md5, hmac-sha1 and the four of SHA-2 for OMAPI.
ALGORITHM = "hmac-sha256"
ALGORITHMS = (ALGORITHM,)
#: In our state folder, `paths.Paths.state`.
FILE = "dhcp-omapi.json"
MODE = 0o600
_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def make_key() -> OmapiKey:
    """Return a new key of 256 random bits."""
    return OmapiKey(NAME, ALGORITHM, base64.b64encode(secrets.token_bytes(_BYTES)).decode())


def render_key(key: OmapiKey) -> str:
    """Return a key as our file holds it."""
    held = {"name": key.name, "algorithm": key.algorithm, "secret": key.secret}
    return json.dumps({"schema": 1, "key": held}, indent=2) + "\n"


def parse_key(text: str, path: str) -> OmapiKey:
    """Read our file of the key.

    :raises ParseError: it is not one.
    """
    try:
        held = json.loads(text)["key"]
        key = OmapiKey(str(held["name"]), str(held["algorithm"]), str(held["secret"]))
        sound = len(base64.b64decode(key.secret, validate=True)) >= _BYTES
    except (*MALFORMED, binascii.Error):
        sound = False
    if not sound or key.algorithm not in ALGORITHMS or not _NAME.fullmatch(key.name):
        raise ParseError(
            path, 1, "is not a key of ours", way_out="remove it: the next run makes another"
        )
    return key
