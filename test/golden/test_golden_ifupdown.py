"""File trees before and after: one folder per case under `ifupdown/`.

``wanted.json`` says what is asked; ``before`` and ``after`` hold the host's files, whole.
``UPDATE_GOLDEN=1`` writes ``after`` anew, to be read before it is committed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from rig.ifupdown import TreeHost
from saltext.ipalias.backends import ifupdown
from saltext.ipalias.model import Alias, Wanted

HERE = Path(__file__).with_name("ifupdown")
CASES = sorted(path.name for path in HERE.iterdir() if path.is_dir())


def read_tree(folder: Path) -> dict[str, str]:
    return {
        f"/{path.relative_to(folder)}": path.read_bytes().decode("utf-8", "surrogateescape")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    folder = HERE / case
    asked = json.loads((folder / "wanted.json").read_text())
    host = TreeHost(read_tree(folder / "before"), asked.get("flavour", "ifupdown"))
    untouched = dict(host.files)
    aliases = tuple(Alias(interface="eth0", **one) for one in asked["aliases"])
    evidence = ifupdown.assume(host, "eth0")
    adopt = tuple(
        found
        for found in ifupdown.parse(host, evidence)
        if found.alias.cidr in asked.get("adopt", ())
    )
    wanted = Wanted("eth0", aliases, evidence, adopt=adopt, options=asked.get("options", {}))
    host.write(ifupdown.render(wanted, host))
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(folder / "after", ignore_errors=True)
        for path, text in host.files.items():
            target = folder / "after" / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert host.files == read_tree(folder / "after")

    # A second run changes nothing, and without aliases the first bytes are back.
    again = Wanted("eth0", aliases, evidence, options=asked.get("options", {}))
    host.write(ifupdown.render(again, host))
    assert host.files == read_tree(folder / "after")
    if not adopt and not any("ipalias" in text for text in untouched.values()):
        host.write(ifupdown.render(Wanted("eth0", (), evidence), host))
        assert host.files == untouched
