"""What holds for the project as a whole: names, versions, sizes, words that must not appear."""

from __future__ import annotations

import ast
import ipaddress
import re
import subprocess
import warnings
from pathlib import Path

import pytest
import yaml
from saltext import ipalias

ROOT = Path(__file__).resolve().parents[2]
#: Longer than this is worth a look; longer than the second is too long. What an operator
#: calls is mostly its documentation, and a table of cases is long without being hard to read.
LONG, TOO_LONG, TOO_LONG_TOLD = 400, 520, 750

#: Put together here, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of a build machine": ["/var/" + "tmp/w", "/work/" + "main", "/work/" + "shared"],
    "a package registry": ["pypi" + ".org", "python" + "hosted", "rubygems" + ".org"],
}
DOCUMENTATION = [
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
]
QUAD = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")


def project_files() -> list[Path]:
    """Return the files of the project: what git tracks, or all of an unpacked archive."""
    said = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = [name for name in said.stdout.split("\0") if name]
    if names:
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    kept = (p for p in ROOT.rglob("*") if p.is_file())
    return [p for p in kept if not any(w.startswith(".venv") for w in p.relative_to(ROOT).parts)]


def texts() -> list[tuple[str, str]]:
    """Return (name, text) of each project file that is text."""
    found = []
    for path in project_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found.append((str(path.relative_to(ROOT)), data.decode("utf-8", "surrogateescape")))
    return found


def undocumented(source: str) -> list[str]:
    """Return the public functions of a loader module whose docstring has no CLI example."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and "CLI Example" not in (ast.get_docstring(node) or "")
    ]


def strange_addresses(text: str) -> list[str]:
    """Return the IPv4 addresses of a text that could be somebody's.

    Masks, loopback, link-local, multicast and the all-zero and all-one addresses are nobody's.
    """
    found = []
    for quad in QUAD.findall(text):
        try:
            address = ipaddress.ip_address(quad)
        except ValueError:
            continue
        nobodys = (
            address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.is_reserved
            or int(address) >> 24 == 0
        )
        if not nobodys and not any(address in network for network in DOCUMENTATION):
            found.append(quad)
    return found


def test_formula_parses_and_has_the_fields_spm_asks_for():
    formula = yaml.safe_load((ROOT / "FORMULA").read_text())
    assert formula["name"] == formula["top_level_dir"] == "ipalias"
    for field in ("os", "os_family", "release", "minimum_version", "summary", "description"):
        assert formula[field], field


def test_formula_and_library_have_the_same_version():
    assert yaml.safe_load((ROOT / "FORMULA").read_text())["version"] == ipalias.__version__


def test_nothing_hides_the_other_salt_extensions():
    assert not (ROOT / "_utils/saltext/__init__.py").exists()


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind):
    found = [(name, word) for name, text in texts() for word in FORBIDDEN[kind] if word in text]
    assert found == []


def test_only_documentation_addresses_are_used():
    # Addresses of all classes are what classful masks are about.
    left_out = ("LICENSE", "test/unit/test_ifupdown.py", "test/unit/test_stanzas.py")
    found = {name: strange_addresses(text) for name, text in texts() if name not in left_out}
    assert {name: addresses for name, addresses in found.items() if addresses} == {}


def test_a_real_address_would_be_found():
    assert strange_addresses("inet 8.8." + "8.8/32, mask 255.255.255.0, 198.51.100.3") == [
        "8.8." + "8.8"
    ]


def test_no_python_file_is_too_long():
    lengths = {name: text.count("\n") for name, text in texts() if name.endswith(".py")}
    long = {name: length for name, length in lengths.items() if length > LONG}
    if long:
        warnings.warn(f"long files: {long}", stacklevel=1)
    told = ("_modules/", "_states/", "test/")
    limits = {name: TOO_LONG_TOLD if name.startswith(told) else TOO_LONG for name in long}
    assert {name: length for name, length in long.items() if length > limits[name]} == {}


@pytest.mark.parametrize("folder", ["_modules", "_runners"])
def test_every_function_an_operator_can_call_has_a_cli_example(folder):
    paths = sorted((ROOT / folder).glob("[!_]*.py"))
    found = {path.name: undocumented(path.read_text()) for path in paths}
    assert {name: functions for name, functions in found.items() if functions} == {}


@pytest.mark.parametrize(("folder", "count"), [("_modules", 2), ("_runners", 1)])
def test_every_module_reaches_what_they_share_in_the_same_way(folder, count):
    """A loader module has no other way to it than a few lines of its own."""
    ways = {}
    for path in sorted((ROOT / folder).glob("ipalias*.py")):
        source = path.read_text()
        ways[path.name] = [
            ast.get_source_segment(source, node)
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef) and node.name in ("_shared", "_formula")
        ]
    assert len(ways) > 1
    assert all(len(way) == count and way == ways["ipalias.py"] for way in ways.values()), ways


def test_a_function_without_a_cli_example_would_be_found():
    source = (
        "def __virtual__(): return True\n"
        "def _private(): 'Nothing.'\n"
        "def told():\n    '''Tell.\n\n    CLI Example:\n    '''\n"
        "def untold(): 'Tell not.'\n"
    )
    assert undocumented(source) == ["untold"]


def test_the_makefile_targets_the_readme_names_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:\$ |`)make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named <= targets
