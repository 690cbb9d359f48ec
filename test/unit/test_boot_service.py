"""The one state for services at boot: those alone whose dialect owns an interface."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STATES = Path(__file__).parents[2] / "_states" / "ipalias.py"
SERVICES = {"networkd": "systemd-networkd", "networkmanager": "NetworkManager", "netplan": ""}


def state(used: list[str], *, test: bool = False, **modules: Callable[..., Any]) -> dict[str, Any]:
    """Return what the state returns, on a minion with these functions."""
    spec = importlib.util.spec_from_file_location("ipalias_states", STATES)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions: dict[str, Callable[..., Any]] = {"ipalias.uses": lambda pillar: used}
    functions |= {f"service.{name}": function for name, function in modules.items()}
    module.__salt__, module.__opts__ = functions, {"test": test}
    answer: dict[str, Any] = module.boot_service("ipalias", SERVICES)
    return answer


def told(name: str) -> Callable[[str], bool]:
    return lambda service: service == name


def test_an_enabled_one_is_left_as_it_is() -> None:
    answer = state(["networkd"], enabled=told("systemd-networkd"))
    assert (answer["result"], answer["changes"]) == (True, {})
    assert answer["comment"] == "systemd-networkd is enabled"


def test_one_that_is_not_is_enabled_and_no_other() -> None:
    asked: list[str] = []

    def enable(service: str) -> bool:
        asked.append(service)
        return True

    shown = state(["networkd"], test=True, enabled=told(""), enable=enable)
    assert (shown["result"], shown["changes"], asked) == (None, {}, [])
    answer = state(["networkd"], enabled=told(""), enable=enable)
    assert answer["result"] is True
    assert answer["changes"] == {"systemd-networkd": {"old": "disabled", "new": "enabled"}}
    assert asked == ["systemd-networkd"]


def test_two_dialects_have_both_of_theirs() -> None:
    used = ["networkmanager", "networkd"]
    answer = state(used, enabled=told("NetworkManager"), enable=lambda service: False)
    assert answer["result"] is False
    said = "NetworkManager is enabled. systemd-networkd could not be enabled"
    assert answer["comment"] == said


@pytest.mark.parametrize("used", [[], ["netplan"], ["freebsd", "netplan"]])
def test_where_there_is_none_nothing_is_done(used: list[str]) -> None:
    answer = state(used)
    assert (answer["result"], answer["changes"]) == (True, {})
    assert answer["comment"] == f"{', '.join(used) or 'no dialect'}: no service of its own"


def test_a_platform_without_a_service_module_says_so() -> None:
    answer = state(["networkd"])
    assert answer["result"] is True
    assert "no service module in Salt" in answer["comment"]
