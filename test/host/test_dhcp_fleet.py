"""A pair brought up and drilled by a real master, on booted hosts with the real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rig.dhcp_salt import DhcpSalt
from rig.host import BootedHost
from rig.process import wait_until

REPORT = "/var/lib/ipalias/dhcp/drill.json"


@contextmanager
def fleet(implementation: str, *suites: str, client: bool = False) -> Iterator[DhcpSalt]:
    first, second = suites
    with ExitStack() as stack:
        made = DhcpSalt(stack, (first, second), client=client, implementation=implementation)
        yield made


def report_of(host: BootedHost) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(host.read(REPORT) or "{}")
    return told


def serves(host: BootedHost, program: str) -> bool:
    return host.run(["pgrep", "-x", program], check=False).code == 0


def normal(salt: DhcpSalt) -> bool:
    answers = [salt.salt(name, "ipalias_dhcp.wait", "normal", "limit=60") for name in salt.names]
    return all(isinstance(told, dict) and told["result"] for told in answers)


def until_stopped(host: BootedHost, program: str) -> None:
    wait_until(lambda: not serves(host, program), "the stop", timeout=90, step=0.02)


def applied(salt: DhcpSalt, name: str) -> bool:
    told = salt.salt(name, "state.apply", "ipalias.dhcp", timeout=180)
    return isinstance(told, dict) and all(ret["result"] for ret in told.values())


def test_a_pair_of_dhcpd_in_the_wrong_order_and_its_drills() -> None:
    with fleet("isc", "bookworm", "trixie") as salt:
        first, second = salt.members
        # Each highstate alone, and the secondary's first.
        assert applied(salt, second.name) and applied(salt, first.name)
        assert normal(salt)

        told = salt.runner("ipalias.dhcp_drill", ",".join(salt.names), "limit=90")
        assert (told["result"], told["retcode"]) == (True, 0), told
        good = report_of(first)
        assert good["result"] == "ok" and good == report_of(second)
        assert any(f"leases from {second.primary}" in line for line in good["report"])

        # One that has lost both its server's and its own attention takes nothing over.
        ask = salt.start_runner("ipalias.dhcp_drill", ",".join(salt.names), "limit=90")
        until_stopped(first, "dhcpd")
        second.run(["pkill", "-STOP", "-x", "dhcpd"])
        wait_until(lambda: serves(first, "dhcpd"), "the stopped one again", timeout=60)
        second.run(["pkill", "-CONT", "-x", "dhcpd"])
        assert ask.wait(120) == 1
        bad = report_of(first)
        assert (bad["result"], bad["good"]) == ("failed", good["good"])
        assert any("did not take over" in line for line in bad["report"]), bad
        assert normal(salt)

        # Nobody is left that would start it: the member does.
        told = salt.salt(first.name, "ipalias_dhcp.drill_stop", "limit=30")
        assert told["again"] == 30 and not serves(first, "dhcpd")
        wait_until(lambda: serves(first, "dhcpd"), "the timer to start it", timeout=90)
        assert normal(salt)


def test_two_releases_of_kea_are_told_of_before_the_first_member_changes() -> None:
    with fleet("kea", "bookworm", "trixie") as salt:
        first, second = salt.members
        pair = {"dhcp_pair": {"primary": first.name, "secondary": second.name, "limit": 90}}
        words = ("state.orchestrate", "ipalias.orch.dhcp_pair", f"pillar={json.dumps(pair)}")
        told = salt.runner(*words)
        [steps] = told["data"].values()
        assert told["retcode"] and not any(step["result"] for step in steps.values()), told
        [found] = [s for s in steps.values() if s["__id__"] == "ipalias-dhcp-pair-releases"]
        said = found["changes"]["return"]["comment"]
        assert f"{first.name}: 2.2" in said and f"{second.name}: 2.6" in said
        assert not any(serves(host, "kea-dhcp4") for host in salt.members)


def test_a_pair_of_kea_by_the_orchestration_and_a_client_of_its_own() -> None:
    with fleet("kea", "trixie", "trixie", client=True) as salt:
        first, second = salt.members
        pair = {"dhcp_pair": {"primary": first.name, "secondary": second.name, "limit": 90}}
        words = ("state.orchestrate", "ipalias.orch.dhcp_pair", f"pillar={json.dumps(pair)}")
        told = salt.runner(*words)
        [steps] = told["data"].values()
        assert told["retcode"] == 0 and all(step["result"] for step in steps.values()), told
        names = [step["__id__"] for step in sorted(steps.values(), key=_number)]
        assert [name for name in names if "told" not in name] == [
            "ipalias-dhcp-pair-releases",
            "ipalias-dhcp-pair-primary",
            "ipalias-dhcp-pair-primary-listens",
            "ipalias-dhcp-pair-secondary",
            "ipalias-dhcp-pair-secondary-listens",
            "ipalias-dhcp-pair-normal",
        ]
        [client] = salt.clients
        asking = (f"client={client.name}", "interface=eth0", "limit=200", f"stop={second.name}")
        told = salt.runner("ipalias.dhcp_drill", ",".join(salt.names), *asking, timeout=400)
        assert told["result"] is True, told
        assert any(f"{client.name}: 7 of 7 clients" in line for line in told["report"]), told
        assert report_of(first)["result"] == "ok" and normal(salt)
        told = salt.salt(first.name, "ipalias_dhcp.check_config")
        assert (told["problems"], told["differs"]) == ([], []), told
        told = salt.runner("ipalias.dhcp_conflicts", ",".join(salt.names))
        assert told["result"] is True and set(told["sides"]) == set(salt.names), told
        # Without ids nobody is meant, and nothing is done.
        assert salt.runner("state.orchestrate", "ipalias.orch.dhcp_pair")["retcode"] == 1


_number: Callable[[dict[str, Any]], int] = lambda step: step["__run_num__"]  # noqa: E731
