"""Each member's file, whole: one folder per case under `dhcp/`.

``pillar.json`` is the block; ``NAME.conf`` is what that member gets. ``UPDATE_GOLDEN=1`` writes
them anew, to be read before they are committed. The servers themselves read the same files in
the netns lane (`test_dhcp_real.py`).
"""

from __future__ import annotations

import json
import os

import pytest

from rig.dhcppair import CASES, render_case


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    folder, rendered = render_case(case)
    if os.environ.get("UPDATE_GOLDEN"):
        for name, text in rendered.items():
            (folder / f"{name}.conf").write_text(text)
    assert {path.stem: path.read_text() for path in folder.glob("*.conf")} == rendered


@pytest.mark.parametrize("case", CASES)
def test_each_member_has_the_others_mirror_image(case: str) -> None:
    """What one side calls its own is what the other calls its peer's."""
    folder, rendered = render_case(case)
    members = json.loads((folder / "pillar.json").read_text())["pair"]["members"]
    for name, member in members.items():
        [other] = (text for key, text in rendered.items() if key != name)
        if json.loads((folder / "pillar.json").read_text())["implementation"] == "isc":
            assert f"\n  address {member['address']};\n  port {member['port']};" in rendered[name]
            peer = f"\n  peer address {member['address']};\n  peer port {member['port']};"
            assert peer in other
        else:
            assert f'"http://{member["address"]}:{member["port"]}/"' in other
            assert f'"this-server-name": "{name}"' in rendered[name]
            assert f'"this-server-name": "{name}"' not in other
