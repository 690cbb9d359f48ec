"""Each sabotage of each proof still fits the product: one that does not apply shows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from proof import sabotage, sabotage_dsr, sabotage_platforms, sabotage_safety, sabotage_wan

LIBRARY = Path(__file__).parents[2] / sabotage.LIBRARY
PROOFS = {
    "alias": sabotage.SABOTAGES,
    "safety": sabotage_safety.SABOTAGES,
    "platforms": sabotage_platforms.SABOTAGES,
    "dsr": sabotage_dsr.SABOTAGES,
    "wan": sabotage_wan.SABOTAGES,
}


@pytest.mark.parametrize(
    ("proof", "number"), [(name, number) for name, book in PROOFS.items() for number in book]
)
def test_it_fits_and_leaves_what_python_reads(proof: str, number: int) -> None:
    texts: dict[str, str] = {}
    for edit in PROOFS[proof][number].edits:
        text = texts.get(edit.path) or (LIBRARY / edit.path).read_text(encoding="utf-8")
        assert text.count(edit.old) == 1, f"{edit.path} has not once: {edit.old}"
        texts[edit.path] = text.replace(edit.old, edit.new)
    for path, text in texts.items():
        compile(text, path, "exec")
