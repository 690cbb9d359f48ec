"""The votes: what the pillar may say of them, and which are asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.checks import (
    COMMAND,
    GATEWAY,
    MASTER,
    MAX_CHECKS,
    TCP,
    CheckSpec,
    GuardConfig,
    chosen_checks,
    parse_check,
    parse_guard,
    patience,
)
from saltext.ipalias.errors import InputError
from saltext.ipalias.live import Route, Snapshot

WHERE = "ipalias:guard"
ROUTES = (
    Route(4, "default", "eth0", "192.0.2.1"),
    Route(4, "default", "wg0"),
    Route(6, "default", "eth0", "fe80::1"),
)


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (None, GuardConfig()),
        (True, GuardConfig()),
        (False, GuardConfig(enabled=False)),
        ({}, GuardConfig()),
        ({"timeout": 5}, GuardConfig(timeout=5.0)),
        ({"timeout": 1.5}, GuardConfig(timeout=1.5)),
        ({"checks": []}, GuardConfig(checks=())),
        (
            {
                "timeout": 60,
                "checks": [
                    "master",
                    "gateway",
                    "tcp://192.0.2.1:443",
                    "tcp://[2001:DB8::1]:80",
                    ["/usr/local/bin/check", "an argument"],
                ],
            },
            GuardConfig(
                timeout=60.0,
                checks=(
                    CheckSpec(MASTER),
                    CheckSpec(GATEWAY),
                    CheckSpec(TCP, "192.0.2.1", 443),
                    CheckSpec(TCP, "2001:db8::1", 80),
                    CheckSpec(COMMAND, argv=("/usr/local/bin/check", "an argument")),
                ),
            ),
        ),
    ],
)
def test_a_guard_as_the_pillar_has_it(value: object, parsed: GuardConfig) -> None:
    assert parse_guard(value, WHERE) == parsed


@pytest.mark.parametrize(
    ("value", "where", "words"),
    [
        ("on", WHERE, "is not a mapping"),
        (60, WHERE, "is not a mapping"),
        ({"timeouts": 1}, WHERE, "unknown key 'timeouts'"),
        ({"timeout": 0.5}, f"{WHERE}:timeout", "1 to 3600"),
        ({"timeout": 3601}, f"{WHERE}:timeout", "1 to 3600"),
        ({"timeout": True}, f"{WHERE}:timeout", "1 to 3600"),
        ({"timeout": "60"}, f"{WHERE}:timeout", "1 to 3600"),
        ({"timeout": float("nan")}, f"{WHERE}:timeout", "1 to 3600"),
        ({"timeout": float("inf")}, f"{WHERE}:timeout", "1 to 3600"),
        ({"checks": "master"}, f"{WHERE}:checks", "is not a list"),
        ({"checks": ["master"] * (MAX_CHECKS + 1)}, f"{WHERE}:checks", f"at most {MAX_CHECKS}"),
        ({"checks": ["master", "ping"]}, f"{WHERE}:checks[1]", "'ping' is not a check"),
        ({"checks": ["tcp://example.net:443"]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": ["tcp://192.0.2.300:443"]}, f"{WHERE}:checks[0]", "has no address"),
        ({"checks": ["tcp://192.0.2.1:0"]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": ["tcp://192.0.2.1:65536"]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": ["tcp://192.0.2.1:443\n"]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": [["check"]]}, f"{WHERE}:checks[0]", "is not an absolute path"),
        ({"checks": [["/bin/check", "a\0b"]]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": [["/bin/check", "a\ud800b"]]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": [["/bin/check", 5]]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": [[]]}, f"{WHERE}:checks[0]", "is not a check"),
        ({"checks": [{"tcp": 1}]}, f"{WHERE}:checks[0]", "is not a check"),
    ],
)
def test_what_is_refused_is_named_with_its_place(value: object, where: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_guard(value, WHERE)
    assert caught.value.where == where
    assert words in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists))
def test_a_check_is_one_of_its_forms_or_refused(item: object) -> None:
    try:
        check = parse_check(item, WHERE)
    except InputError as error:
        assert error.where == WHERE
    else:
        assert check.kind in (MASTER, GATEWAY, TCP, COMMAND)
        assert all(check.argv) == bool(check.argv) or not check.argv


# What is asked


def asked(config: GuardConfig, master: Any = None) -> list[str]:
    return [check.text() for check in chosen_checks(config, Snapshot(routes=ROUTES), master)]


def test_by_default_the_master_and_every_gateway_vote() -> None:
    assert asked(GuardConfig(), ("192.0.2.9", 4506)) == [
        "master tcp://192.0.2.9:4506",
        "gateway 192.0.2.1",
        "gateway fe80::1",
    ]


def test_without_a_master_it_does_not_vote() -> None:
    assert asked(GuardConfig()) == ["gateway 192.0.2.1", "gateway fe80::1"]
    assert asked(GuardConfig(checks=(CheckSpec(MASTER),))) == []


def test_what_the_pillar_lists_votes_and_nothing_else() -> None:
    listed = (CheckSpec(TCP, "192.0.2.7", 443), CheckSpec(COMMAND, argv=("/bin/check", "x")))
    listed = (*listed, *listed)
    assert asked(GuardConfig(checks=listed), ("192.0.2.9", 4506)) == [
        "tcp://192.0.2.7:443",
        "/bin/check x",
    ]
    assert asked(GuardConfig(checks=()), ("192.0.2.9", 4506)) == []


def test_a_large_change_is_given_time_unless_the_pillar_says_how_much() -> None:
    left_out = parse_guard({"checks": []}, "guard")
    assert patience(left_out, 5) == patience(parse_guard(None, "guard"), 1000) == 60
    assert patience(left_out, 11_000) == 360
    assert patience(parse_guard({"timeout": 30}, "guard"), 11_000) == 30
