"""Reach the host under test: by kitchen's word, by ours, or the one we run on.

IPALIAS_TEST_HOST   a testinfra address (``local://``, ``ssh://root@192.0.2.10``)
IPALIAS_SALT_CALL   the salt-call to use
IPALIAS_SALT_CONFIG its configuration folder
Kitchen's shell verifier exports KITCHEN_CONTAINER_ID with docker, KITCHEN_HOSTNAME,
KITCHEN_PORT and KITCHEN_USERNAME with a machine over ssh, neither with exec.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import testinfra

Call = Callable[..., Any]


def reach() -> tuple[str, dict[str, Any]]:
    """Return testinfra's address of the host, and the options that go with it."""
    env = os.environ
    if address := env.get("IPALIAS_TEST_HOST"):
        return address, {}
    if container := env.get("KITCHEN_CONTAINER_ID"):
        return f"docker://{container}", {}
    if name := env.get("KITCHEN_HOSTNAME"):
        user, port = env.get("KITCHEN_USERNAME", "root"), env.get("KITCHEN_PORT", "22")
        options = {
            "ssh_identity_file": env.get("KITCHEN_SSH_KEY"),
            "ssh_extra_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "sudo": user != "root",
        }
        return f"ssh://{user}@{name}:{port}", options
    return "local://", {"sudo": os.geteuid() != 0}


@pytest.fixture(scope="session")
def machine() -> Any:
    """Return the host under test."""
    address, options = reach()
    return testinfra.get_host(address, **options)


@pytest.fixture(scope="session")
def salt(machine: Any) -> Call:
    """Return a function that runs salt-call there and returns what it returned."""
    config = os.environ.get("IPALIAS_SALT_CONFIG")
    if not config and "KITCHEN_SUITE" in os.environ:
        config = "/tmp/kitchen/etc/salt"
    argv = [*shlex.split(os.environ.get("IPALIAS_SALT_CALL", "salt-call")), "--local"]
    argv += ["-c", config] if config else []
    argv += ["--out=json", "--log-level=error"]

    def call(*arguments: str) -> Any:
        return json.loads(machine.check_output(shlex.join([*argv, *arguments])))["local"]

    return call


@pytest.fixture(scope="session")
def links(machine: Any) -> Callable[[], dict[str, list[dict[str, Any]]]]:
    """Return a function that reads the live addresses of each interface."""

    def read() -> dict[str, list[dict[str, Any]]]:
        dump = json.loads(machine.check_output("ip -j address show"))
        return {link["ifname"]: link["addr_info"] for link in dump if link}

    return read


def expand(entry: Any) -> list[tuple[str, str | None, str]]:
    """Return (address/prefix, label, source) of one pillar entry, by the pillar's own rules.

    Written a second time on purpose: a check must not ask the library what is right.
    """
    if isinstance(entry, str):
        entry = {"address": entry}
    label, source = entry.get("label"), entry.get("source", "auto")
    if block := entry.get("block"):
        return [(f"{a}/{a.max_prefixlen}", label, source) for a in ipaddress.ip_network(block)]
    first, _, last = entry["address"].partition("-")
    if last:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        kind = type(low)
        every = (kind(number) for number in range(int(low), int(high) + 1))
        return [(f"{a}/{a.max_prefixlen}", label, source) for a in every]
    return [(str(ipaddress.ip_interface(first)), label, source)]


@pytest.fixture(scope="session")
def wanted(machine: Any, salt: Call) -> dict[str, list[tuple[str, str | None, str]]]:
    """Return what the host's own pillar asks for: interface → (address, label, source)."""
    interfaces = salt("pillar.get", "ipalias:interfaces")
    assert interfaces, "the pillar of this host names no interface"
    found: dict[str, list[tuple[str, str | None, str]]] = {}
    for name, settings in interfaces.items():
        if name == "default":
            name = json.loads(machine.check_output("ip -j route show default"))[0]["dev"]
        for entry in settings["addresses"]:
            found.setdefault(name, []).extend(expand(entry))
    return found
