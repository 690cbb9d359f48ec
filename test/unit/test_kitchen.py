"""kitchen.yml and its variants say what kitchen-salt 0.7.2 can do, and name what is there."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ("docker", "proxy", "exec")

#: The two uses of ERB allowed here; anything more would need a Ruby to check it.
REQUIRE = re.compile(r'<% require "(?P<library>\w+)" %>')
FETCH = re.compile(r"<%= ENV\.fetch\('(?P<name>\w+)', '(?P<default>[^']*)'\) %>")


def render(text: str, env: dict[str, str]) -> str:
    """Evaluate the ERB of a kitchen file."""
    text = FETCH.sub(lambda m: env.get(m["name"], m["default"]), REQUIRE.sub("", text))
    assert "<%" not in text, "ERB that this test cannot evaluate"
    return text


def merge(base: Any, over: Any) -> Any:
    """Merge as test-kitchen does: mappings key by key, everything else replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return deepcopy(over)
    return {
        key: merge(base[key], over[key]) if key in base and key in over else
        deepcopy(over.get(key, base.get(key)))
        for key in {**base, **over}
    }  # fmt: skip


def load(variant: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the configuration of one driver's variant."""
    config = yaml.safe_load(render((ROOT / "kitchen.yml").read_text(), env or {}))
    if variant != "docker":
        local = ROOT / f"test/kitchen/{variant}.yml"
        config = merge(config, yaml.safe_load(render(local.read_text(), env or {})))
    return config


def suites(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each suite with the common provisioner and verifier merged in."""
    common = {key: config[key] for key in ("provisioner", "verifier")}
    return [merge(common, suite) for suite in config["suites"]]


@pytest.fixture(params=VARIANTS)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def pillar_paths(source: Path) -> list[Path]:
    """Return the files that a pillar folder's top file names; each must exist."""
    top = yaml.safe_load((source / "top.sls").read_text())
    names = [name for targets in top.values() for every in targets.values() for name in every]
    return [source / f"{name.replace('.', '/')}.sls" for name in names]


def test_the_missing_require_is_made_up_for_before_anything_else():
    first = (ROOT / "kitchen.yml").read_text().splitlines()[0]
    assert REQUIRE.search(first)["library"] == "shellwords"


def test_each_variant_is_for_its_driver(config, request):
    assert config["driver"]["name"] == request.node.callspec.params["config"]
    assert {"docker": "docker", "proxy": "ssh", "exec": "exec"}[config["driver"]["name"]] == (
        config["transport"]["name"]
    )


def test_every_suite_ships_the_whole_checkout(config):
    for suite in suites(config):
        provisioner = suite["provisioner"]
        assert provisioner["is_file_root"] is True
        assert "formula" not in provisioner, "leaves _beacons out"
        assert not {"_modules", "_states", "_utils", "_beacons", "ipalias"} & set(
            provisioner["salt_copy_filter"]
        )


def test_nothing_is_fetched_from_addresses_that_are_gone(config):
    for suite in suites(config):
        assert suite["provisioner"]["salt_install"] in ("none", "pip")
        assert suite["provisioner"]["require_chef"] is False
        assert suite["verifier"]["name"] == "shell", "the default one, busser, is gone"


def test_every_state_exists(config):
    for suite in suites(config):
        top = suite["provisioner"]["state_top"]
        for name in [
            name for targets in top.values() for every in targets.values() for name in every
        ]:
            path = ROOT / name.replace(".", "/")
            assert path.with_suffix(".sls").exists() or (path / "init.sls").exists(), name


def test_every_pillar_exists_and_has_our_block(config):
    for suite in suites(config):
        provisioner = suite["provisioner"]
        assert "pillars" not in provisioner, "integer keys crash at load"
        assert "pillars_from_files" not in provisioner, "crashes without `pillars`"
        assert provisioner["pillars_from_directories"]
        for folder in provisioner["pillars_from_directories"]:
            assert folder["dest"] == "srv/pillar"
            merged: dict[str, Any] = {}
            for path in pillar_paths(ROOT / folder["source"]):
                merged = merge(merged, yaml.safe_load(path.read_text()))
            assert merged["ipalias"]["interfaces"]


def test_the_verifier_runs_test_files_that_exist(config):
    for suite in suites(config):
        words = suite["verifier"]["command"].split()
        assert words[0].startswith(".venv/")
        folders = [ROOT / word for word in words if word.startswith("test/")]
        assert folders
        for folder in folders:
            assert list(folder.glob("test_*.py")), folder


def test_docker_boots_systemd_in_a_container_that_may_set_addresses():
    driver = load("docker")["driver"]
    assert driver["privileged"] is True
    assert driver["run_command"].endswith("systemd")
    assert all(platform["driver"]["image"] for platform in load("docker")["platforms"])


@pytest.mark.parametrize("variant", ["proxy", "exec"])
def test_a_kept_machine_forgets_the_last_suite(variant):
    assert "/tmp/kitchen" in load(variant)["driver"]["reset_command"]


def test_the_kept_machine_comes_from_the_environment():
    assert load("proxy", {"KITCHEN_HOST": "198.51.100.7"})["driver"]["host"] == "198.51.100.7"
    assert load("proxy")["driver"]["host"] == "192.0.2.10"
