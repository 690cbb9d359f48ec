"""How a runner says that it cannot: by its answer; to people, a shell, an orchestration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import salt.config
import salt.runner
import salt.utils.event

ROOT = Path(__file__).parents[2]
_SALT_RUN = "from salt.scripts import salt_run; salt_run()"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the configuration of a master that does not run."""
    folder = tmp_path_factory.mktemp("master")
    settings = {
        "root_dir": str(folder / "root"),
        "runner_dirs": [str(ROOT / "_runners")],
        "log_level": "quiet",
        "user": "root" if os.getuid() == 0 else None,
    }
    (folder / "master").write_text(json.dumps({k: v for k, v in settings.items() if v}))
    opts = salt.config.master_config(str(folder / "master"))
    (Path(opts["cachedir"]) / "proc").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def client(config: Path) -> Iterator[salt.runner.RunnerClient]:
    """Give what an orchestration and a reactor run runners by, and nobody to hear of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(salt.utils.event.SaltEvent, "fire_event", lambda *args, **more: True)
        opts = salt.config.master_config(str(config / "master"))
        with salt.runner.RunnerClient(opts) as made:
            yield made


def run(made: Any, function: str, *args: Any, **kwargs: Any) -> Any:
    """Return what the state `salt.runner` goes by: whether it was a success, and the answer."""
    told = made.cmd(function, list(args), kwarg=kwargs, print_event=False, full_return=True)
    return told["success"], told["return"]


BAD: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], str]] = {
    "none": ("ipalias.dhcp_drill", (), {}, "missing a required argument: 'members'"),
    "one": ("ipalias.dhcp_drill", ("dhcp1",), {}, "members: 'dhcp1' is not the minion ids"),
    "three": ("ipalias.dhcp_conflicts", (["a", "b", "c"],), {}, "members: "),
    "twice": ("ipalias.dhcp_conflicts", ("a,a",), {}, "members: 'a,a'"),
    "odd": ("ipalias.dhcp_conflicts", ([["a"], {"b": 1}],), {}, "members: "),
    "slip": ("ipalias.dhcp_drill", ("a,b",), {"clinet": "web3"}, "unexpected keyword argument"),
    "limit": ("ipalias.dhcp_drill", ("a,b",), {"limit": 9}, "limit: '9' is not 60 to 3600"),
    "stop": ("ipalias.dhcp_drill", ("a,b",), {"stop": "c"}, "stop: c is not among"),
    "client": ("ipalias.dhcp_drill", ("a,b",), {"client": "a", "stop": "a"}, "client: a is"),
    "interface": ("ipalias.dhcp_drill", ("a,b",), {"interface": ["x"]}, "interface: "),
    "master": ("ipalias.dhcp_conflicts", ("a,b",), {}, "the master cannot ask: "),
    "too many": ("ipalias_dhcp.releases", ("a", "b", "c"), {}, "too many positional"),
    "silent": ("ipalias_dhcp.releases", ("a", "b"), {}, "a: no answer to ipalias_dhcp.policy"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_an_answer_and_a_failure(client: Any, case: str) -> None:
    function, args, kwargs, word = BAD[case]
    success, told = run(client, function, *args, **kwargs)
    assert (told["result"], told["retcode"]) == (False, 1)
    assert word in told["comment"] and "Traceback" not in told["comment"]
    assert success is False, "or an orchestration would go on"


def test_the_refusal_of_a_death_is_a_failure(client: Any) -> None:
    success, told = run(client, "ipalias_dhcp.partner_down", "dhcp1")
    assert (told["done"], told["retcode"], success) == (False, 1, False)
    assert told["because"] == "dhcp1: no answer to ipalias_dhcp.policy"


def test_a_failure_is_not_that_of_the_next_runner(client: Any) -> None:
    """A reactor has one client for all of its runners."""
    assert run(client, "ipalias.dhcp_conflicts", "a")[0] is False
    success, told = run(client, "ipalias_dhcp.react", "dhcp1", "silent", "alert", "dhcp2 is")
    assert success is True and told["retcode"] == 0


def test_a_defect_is_no_success(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Salt takes a `TypeError` for arguments that do not fit, and that for a success."""
    react = client.functions["ipalias_dhcp.react"]
    inner = next(
        cell.cell_contents
        for cell in react.__closure__
        if getattr(cell.cell_contents, "__name__", "") == "react"
    )
    monkeypatch.setitem(inner.__globals__, "_fire", lambda: None)
    success, told = run(client, "ipalias_dhcp.react", "dhcp1", "silent", "alert", "dhcp2 is")
    assert success is False and "react failed" in told


def test_progress_of_a_drill_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Salt puts the job's events beside the function that it finds."""
    shown: list[Any] = []
    monkeypatch.setattr(client, "print_async_event", lambda *event: shown.append(event))
    told = client.cmd("ipalias.dhcp_drill", ["a,b"], kwarg={"test": True}, full_return=True)
    [line] = told["return"]["report"]
    assert "refused: the master cannot ask" in line and told["success"] is False
    messages = [event["message"] for suffix, event in shown if suffix == "progress"]
    assert messages == [line]


@pytest.mark.parametrize("out", ["nested", "json"])
def test_an_operator_reads_the_sentence_and_the_shell_a_failure(config: Path, out: str) -> None:
    words = ["-c", str(config), f"--out={out}", "ipalias.dhcp_conflicts", "dhcp1"]
    done = subprocess.run(
        [sys.executable, "-c", _SALT_RUN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr and "Exception" not in done.stdout
    if out == "json":
        told = json.loads(done.stdout)
        assert told["result"] is False and told["comment"].startswith("members: 'dhcp1'")
    else:
        assert done.stdout.startswith("comment:\n    members: 'dhcp1' is not the minion ids")
