"""Kea that ends at its start, for an address is not there yet, is started again until it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rig.simdhcp import block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp.backup import backup
from saltext.ipalias.dhcp.restarting import DROPIN
from saltext.ipalias.dhcp.restore import restore
from saltext.ipalias.dhcp.services import SERVERS, STARTING
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, VerifyError
from saltext.ipalias.host import Result

ISC, KEA = block(), block(implementation="kea")
UNIT = SERVERS["kea"].unit
MAIN = SERVERS["kea"].main
FOLDER = DROPIN.rpartition("/")[0]
Program = Callable[[Sequence[str], str | None], Result]


def commands(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


def instead(host: SimHost, verb: str, answer: Result) -> Program:
    """Have `systemctl` answer a verb about Kea and do nothing; return what it was."""
    real: Program = host.programs["systemctl"]

    def systemctl(argv: Sequence[str], stdin: str | None) -> Result:
        return answer if verb in argv and UNIT in argv else real(argv, stdin)

    host.programs["systemctl"] = systemctl
    return real


def test_kea_has_it_before_it_starts_and_dhcpd_has_not() -> None:
    host = linux()
    setup(host, ISC).managed()
    assert host.files.read(DROPIN) is None
    host.log.clear()
    setup(host, KEA).managed()
    text = host.files.read(DROPIN) or ""
    assert "\nRestartForceExitStatus=1\nRestartSec=5\n" in text and "\nRestart=" not in text
    assert "[Unit]\nStartLimitIntervalSec=0\n" in text, "systemd gives up after five in ten seconds"
    told = commands(host)
    assert told.index("systemctl daemon-reload") < told.index(f"systemctl restart {UNIT}")
    host.log.clear()
    setup(host, ISC).managed()
    assert host.files.read(DROPIN) is None and FOLDER not in host.files.nodes
    assert "systemctl daemon-reload" in commands(host)


def test_a_member_of_a_former_version_gets_it_and_serves_on() -> None:
    host = linux()
    setup(host, KEA).managed()
    serving = running(host, UNIT)
    host.files.unlink(DROPIN)
    host.log.clear()
    told = setup(host, KEA).managed()
    assert set(told["changes"]) == {"files"} and set(told["changes"]["files"]) == {DROPIN}
    assert not any("restart" in command for command in commands(host))
    assert "systemctl daemon-reload" in commands(host) and running(host, UNIT) == serving


def test_what_is_put_back_systemd_reads_again() -> None:
    host = linux()
    setup(host, ISC).managed()
    real = instead(host, "restart", Result(1, "", "no\n"))
    host.log.clear()
    with pytest.raises(EffectError, match="does not start"):
        setup(host, KEA).managed()
    host.programs["systemctl"] = real
    assert host.files.read(DROPIN) is None
    last = max(n for n, told in enumerate(commands(host)) if told == "systemctl daemon-reload")
    assert f"systemctl restart {UNIT}" in commands(host)[:last]


@pytest.mark.parametrize("state", ["failed", "auto-restart", "auto-restart-queued"])
def test_a_start_that_has_failed_is_not_waited_for_though_another_one_comes(state: str) -> None:
    host = linux()
    host.stored["substate"] = state
    instead(host, "restart", Result(0, "", ""))
    began = host.net.now
    with pytest.raises(VerifyError, match="was started and does not listen"):
        setup(host, KEA).managed()
    assert host.net.now - began < STARTING and host.files.read(DROPIN) is None


@pytest.mark.parametrize("there", [False, True])
def test_one_that_is_started_again_and_again_ends_with_the_change_that_brought_it(
    there: bool,
) -> None:
    host = linux()
    setup(host, KEA if there else ISC).managed()
    if there:
        host.run(["systemctl", "stop", UNIT])
    instead(host, "restart", Result(0, "", ""))
    host.stored["substate"] = "auto-restart"
    host.log.clear()
    with pytest.raises(VerifyError):
        setup(host, {**KEA, "authoritative": False}).managed()
    told = commands(host)[commands(host).index(f"systemctl restart {UNIT}") :]
    # What was ours before goes on being tried: its address may still come.
    assert (f"systemctl stop {UNIT}" in told) is not there
    assert (host.files.read(DROPIN) is not None) is there


def test_a_backup_is_not_put_under_a_kea_that_is_started_again_meanwhile() -> None:
    host = linux()
    setup(host, KEA).managed()
    backup(setup(host, KEA))
    setup(host, {**KEA, "authoritative": False}).managed()
    host.run(["systemctl", "stop", UNIT])
    host.stored["substate"] = "auto-restart"
    host.log.clear()
    assert restore(setup(host, KEA), what="configuration")["result"] is True
    told = commands(host)
    assert told.index(f"systemctl stop {UNIT}") < told.index(f"systemctl --no-block start {UNIT}")
    host.stored["substate"] = "dead"
    setup(host, {**KEA, "authoritative": False}).managed()
    host.run(["systemctl", "stop", UNIT])
    host.log.clear()
    assert restore(setup(host, KEA), what="configuration")["result"] is True
    assert not any("start" in command for command in commands(host)), "it was stopped by hand"
