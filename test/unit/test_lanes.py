"""The runner's own arithmetic: what it counts, what it calls a failure, what it makes missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata

import environment
import lanes
import pytest

SKIPPING = "import pytest\n\ndef test_skips():\n    pytest.skip({!r})\n"
MIXED = """
import pytest

@pytest.fixture
def breaks_after():
    yield
    raise RuntimeError

def test_passes(): pass
def test_fails(): assert False
def test_errors(no_such_fixture): pass
def test_passes_but_breaks_after(breaks_after): pass
"""


@pytest.fixture
def report(tmp_path):
    """Return a function that has pytest itself run a file and write the report to read."""

    def make(text):
        (tmp_path / "test_it.py").write_text(text)
        argv = [sys.executable, "-m", "pytest", "-q", "--junitxml=report.xml", "-c", "/dev/null"]
        env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        argv += ["test_it.py"]
        code = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True).returncode
        return lanes.read_report(tmp_path / "report.xml"), code

    return make


def test_counts_failures_errors_and_broken_teardowns(report):
    read, code = report(MIXED)
    assert (read.passed, read.failed, read.skips, code) == (1, 3, [], 1)


def test_a_file_that_cannot_be_imported_is_a_failure(report):
    read, code = report("import no_such_module\n")
    outcome = lanes.judge("unit", read, code, required=False)
    assert (outcome.state, outcome.passed, outcome.failed) == (lanes.FAILED, 0, 1)


def test_a_lane_that_skipped_everything_is_skipped_on_a_laptop(report):
    outcome = lanes.judge("host", *report(SKIPPING.format("no kernel")), required=False)
    assert (outcome.state, outcome.failed) == (lanes.SKIPPED, 0)
    assert "no kernel" in outcome.reason


def test_a_skip_fails_where_the_lane_is_required(report):
    outcome = lanes.judge("host", *report(SKIPPING.format("no kernel")), required=True)
    assert (outcome.state, outcome.failed) == (lanes.FAILED, 1)
    assert "no kernel" in outcome.reason


def test_a_skip_for_what_a_platform_does_not_have_is_allowed(report):
    text = SKIPPING.format("not applicable: IPv4 only") + "\ndef test_passes(): pass\n"
    outcome = lanes.judge("host", *report(text), required=True)
    assert (outcome.state, outcome.passed, outcome.skipped) == (lanes.OK, 1, 1)


def test_a_pytest_that_broke_is_a_failure_whatever_its_report_says():
    outcome = lanes.judge("unit", lanes.Report(passed=3), 3, required=False)
    assert (outcome.state, outcome.failed) == (lanes.FAILED, 1)


def test_a_lane_without_tests_fails_only_where_required(monkeypatch, tmp_path):
    monkeypatch.setattr(lanes, "ROOT", tmp_path)
    laptop = lanes.run_lane("fleet", tmp_path / "python", required=False)
    required = lanes.run_lane("fleet", tmp_path / "python", required=True)
    assert (laptop.state, laptop.failed) == (lanes.NO_TESTS, 0)
    assert (required.state, required.failed) == (lanes.FAILED, 1)


@pytest.mark.parametrize(
    ("passed", "failed", "line", "code"),
    [
        (3, 0, "3 passed, 0 failed", 0),
        (3, 1, "3 passed, 1 failed", 1),
        (0, 0, "0 passed, 0 failed", 1),
    ],
)
def test_the_last_line_and_the_exit_code(passed, failed, line, code):
    outcomes = [lanes.Outcome("unit", lanes.OK, passed, failed), lanes.Outcome("host", lanes.OK)]
    assert lanes.summary(outcomes) == (line, code)


def test_required_lanes_by_name_or_all():
    assert lanes.is_required("host", ["all"])
    assert lanes.is_required("host", ["unit", "host"])
    assert not lanes.is_required("host", ["unit"])


def test_an_unknown_lane_is_refused_with_the_known_ones():
    with pytest.raises(environment.SetupError, match=r"LANES names unot; .*unit"):
        lanes.chosen_lanes(["unot"])


@pytest.mark.parametrize(
    ("salt", "requirement"),
    [("3006", "salt>=3006,<3007"), ("3007.15", "salt==3007.15")],
)
def test_another_salt_is_a_branch_or_a_release(salt, requirement):
    assert environment.salt_requirement(salt) == requirement


def test_without_a_wish_the_requirement_file_decides():
    assert environment.salt_requirement("").startswith("salt>=3008")


@pytest.mark.parametrize("salt", ["latest", "3006.x", "../3006", "3006;"])
def test_anything_else_as_salt_is_refused(salt):
    with pytest.raises(environment.SetupError, match="neither a branch"):
        environment.salt_requirement(salt)


def test_services_are_held_back_while_packages_install_and_no_longer(monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(environment, "POLICY", policy)
    with pytest.raises(RuntimeError), environment.services_held_back():
        assert subprocess.run([policy]).returncode == 101
        raise RuntimeError
    assert not policy.exists()


def test_a_policy_of_the_machine_s_own_is_left_alone(monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    monkeypatch.setattr(environment, "POLICY", policy)
    with environment.services_held_back():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_no_plugin_of_salt_factories_is_loaded_for_it_listens_on_every_address(request):
    found = [each.name for each in metadata.entry_points(group="pytest11")]
    parts = [name for name in found if name.startswith("salt-factories")]
    assert parts
    assert [name for name in parts if not request.config.pluginmanager.is_blocked(name)] == []


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="not applicable: no dpkg here")
def test_only_packages_that_are_not_there_are_installed():
    assert environment.missing_packages(["dpkg", "no-such-package"]) == ["no-such-package"]
