"""Hostile strings in every field of ``ipalias:dhcp``: refused, or within a string of the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rig.dhcppair import KEY, WHOLE
from rig.hostile_strings import MARK, places, put
from saltext.ipalias.dhcp import iscfile
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.isc import render_isc
from saltext.ipalias.dhcp.kea import render_kea
from saltext.ipalias.dhcp.model import KEA, DhcpConfig
from saltext.ipalias.errors import InputError

#: Longest error that may come back.
_LONGEST = 4000
#: Where a string of the operator's may stand in Kea's file: an option's value, a password.
_KEA_TEXTS = ("data", "user", "password", "name")


def attack(values: Sequence[object]) -> tuple[int, int, list[str]]:
    """Put each value in each place of whole blocks.

    :returns: how many were tried, in how many places, and what got where it must not.
    """
    tried = 0
    fields = 0
    problems: list[str] = []
    for whole in WHOLE:
        plain = parse_dhcp(whole)
        expected = shapes(plain)
        for place in places(whole):
            fields += 1
            for text in values:
                data = copy.deepcopy(whole)
                if "KEY" in place and not isinstance(text, str):
                    continue
                put(data, place, text)
                tried += 1
                shown = repr(text[:60]) if isinstance(text, str) else type(text).__name__
                what = f"dhcp {':'.join(map(str, place))} = {shown}"
                try:
                    config = parse_dhcp(data)
                except InputError as error:
                    if len(str(error)) > _LONGEST:
                        problems.append(f"{what}: the error has {len(str(error))} characters")
                    continue
                except Exception as error:
                    problems.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
                    continue
                # Another kind may be a value that there can be: none, an empty list.
                if isinstance(text, str) and shapes(config) != expected:
                    problems.append(f"{what}: changed the shape of a file")
                problems += [f"{what}: reached {found}" for found in reached(config)]
    return tried, fields, problems


def rendered(config: DhcpConfig) -> list[str]:
    """Return both members' files."""
    if config.implementation == KEA:
        return [render_kea(config, member) for member in config.pair.members]
    return [render_isc(config, member, KEY) for member in config.pair.members]


def shapes(config: DhcpConfig) -> list[Any]:
    """Return what the files are made of, without what is said."""
    if config.implementation == KEA:
        return [shape_of(json.loads(text)) for text in rendered(config)]
    return [
        [
            (statement.texts[0], len(statement.words), statement.block is None)
            for statement in iscfile.walk(iscfile.parse(text, "rendered"))
        ]
        for text in rendered(config)
    ]


def shape_of(data: Any) -> Any:
    """Return the keys of a document, and how its lists are filled."""
    if isinstance(data, dict):
        return {key: shape_of(value) for key, value in data.items()}
    return [shape_of(value) for value in data] if isinstance(data, list) else type(data).__name__


def reached(config: DhcpConfig) -> Iterator[str]:
    """Yield where a hostile string stands and must not: anywhere but as text."""
    for text in rendered(config):
        if config.implementation == KEA:
            yield from _in_document(json.loads(text))
            continue
        for statement in iscfile.walk(iscfile.parse(text, "rendered")):
            for word in statement.words:
                if MARK in word.text and not word.quoted:
                    yield statement.text()[:200]


def _in_document(data: Any, path: str = "", key: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            if MARK in name:
                yield f"{path}: {name}"[:200]
            yield from _in_document(value, f"{path}/{name}", name)
    elif isinstance(data, list):
        for value in data:
            yield from _in_document(value, path, key)
    elif MARK in str(data) and key not in _KEA_TEXTS:
        yield f"{path}: {data}"[:200]
