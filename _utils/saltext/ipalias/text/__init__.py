"""Lossless editors: what they do not change, they give back byte for byte."""

from __future__ import annotations

#: Digits that any field of ours can have.
_LONGEST = 18


def read_number(digits: str) -> int:
    """Return digits as a number; too many of them, as one that is too large for any field.

    The interpreter refuses to convert some thousands of digits, with an error of its own.
    """
    return int(digits) if len(digits) <= _LONGEST else 10**_LONGEST
