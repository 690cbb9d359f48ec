"""pillar.example: readable by the library, and no key of it or of the code is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from saltext.ipalias.addresses import ADDRESS_KEYS
from saltext.ipalias.dsr import parse_dsr
from saltext.ipalias.pillar import INTERFACE_KEYS, parse_pillar

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "pillar.example").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs/pillar.md").read_text(encoding="utf-8")


def uncommented(text: str) -> str:
    """Return the example with the keys that stand in comments switched on."""
    return re.sub(
        r"^(\s*)# (form: |platform:|  ifupdown: \{|convert_dhcp:|dns_servers:|dsr:|"
        r"  vips: |  interfaces: |  scope: )",
        r"\1\2",
        text,
        flags=re.MULTILINE,
    )


def test_it_is_what_the_library_reads():
    config = parse_pillar(yaml.safe_load(EXAMPLE)["ipalias"])
    aliases = config.interfaces["eth0"].aliases
    assert len(aliases) == 35
    assert [(a.cidr, a.label, a.source) for a in aliases[:3]] == [
        ("198.51.100.10/32", None, "auto"),
        ("198.51.100.11/32", "failover1", "never"),
        ("2001:db8::10/128", None, "auto"),
    ]


def test_the_keys_in_comments_are_accepted_too():
    text = uncommented(EXAMPLE)
    block = yaml.safe_load(text)["ipalias"]
    assert {"form", "platform"} <= set(block)
    options = {"form": "post-up", "convert_dhcp": True, "dns_servers": ("192.0.2.53",)}
    assert parse_pillar(block).base.options == options
    dsr = parse_dsr(block)
    assert (dsr.addresses, dsr.interfaces, dsr.scope) == (
        ("203.0.113.80", "2001:db8::80"),
        ("eth0",),
        "all",
    )


@pytest.mark.parametrize("key", sorted({*INTERFACE_KEYS, *ADDRESS_KEYS, "platform"}))
def test_example_and_reference_explain(key):
    assert re.search(rf"\b{key}\b", EXAMPLE), "pillar.example"
    assert f"`{key}`" in REFERENCE, "docs/pillar.md"
