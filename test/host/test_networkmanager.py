"""The NetworkManager backend against the daemons of Debian 12 and 13."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import pytest

from rig import gentle
from rig.host import BootedHost
from rig.machine import Machine
from rig.netns import Segment
from rig.process import wait_until
from rig.roots import SUITES
from saltext.ipalias.backends import load
from saltext.ipalias.host import Result
from saltext.ipalias.live import batch as batch_lines
from saltext.ipalias.model import Alias, Change, Evidence, Wanted

BACKEND = load("networkmanager")
PATH = "/etc/NetworkManager/system-connections/eth0.nmconnection"
HEAD = "[connection]\nid=x\nuuid=6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c10\ntype=ethernet\n"
ALIASES = ("198.51.100.10/32", "198.51.100.11/32", "2001:db8:1::10/128")
FOREIGN = "203.0.113.99/32"


class Inside:
    """Read a host of the rig as the library reads one."""

    system = "linux"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def read(self, path: str) -> str | None:
        return self.machine.read(path)

    def exists(self, path: str) -> bool:
        return self.machine.exists(path)

    def glob(self, pattern: str) -> list[str]:
        done = self.machine.run(["sh", "-c", f"ls -d {pattern}"], check=False)
        return done.out.splitlines()

    def which(self, name: str) -> str | None:
        raise NotImplementedError

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        return Result(*self.machine.run(argv, stdin, timeout, check=False))


def alias(cidr: str) -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0")


def apply(
    machine: Machine, evidence: Evidence, cidrs: Sequence[str], former: Sequence[str]
) -> Change:
    """Carry a change out in the transaction's order."""
    host = Inside(machine)
    aliases, before = tuple(map(alias, cidrs)), tuple(map(alias, former))
    files = BACKEND.render(Wanted("eth0", aliases, evidence, before), host)
    added = tuple(entry for entry in aliases if entry not in before)
    removed = tuple(entry for entry in before if entry not in aliases)
    change = Change("eth0", evidence, added, removed, tuple(files))
    for file in files:
        machine.write(file.path, file.text or "", file.mode)
    checks = BACKEND.validate(change, host)
    assert checks
    for command in checks:
        machine.run(command.argv, command.stdin)
    ops = [batch_lines.Op(entry) for entry in added]
    ops += [batch_lines.Op(entry, delete=True) for entry in removed]
    machine.run(batch_lines.BATCH, batch_lines.render_batch(ops))
    for command in BACKEND.activate(change, host).tell:
        machine.run(command.argv)
    return change


def loaded(machine: Machine) -> list[str]:
    """Return the addresses of the profile as the daemon holds it."""
    words = ["nmcli", "-g", "ipv4.addresses,ipv6.addresses", "connection", "show", "eth0"]
    said = machine.run(words).out.replace("\\", "").replace("\n", ", ")
    return [word for word in said.split(", ") if word]


def live(machine: Machine) -> set[str]:
    return {str(address) for address in machine.addresses()}


@pytest.fixture(params=SUITES)
def halted(request: pytest.FixtureRequest, segment: Segment) -> Iterator[BootedHost]:
    with BootedHost(request.param, segment) as host:
        yield host


def test_our_reading_is_the_daemons(halted: BootedHost) -> None:
    text = (
        f"{HEAD}[ipv4]\nmethod=manual\naddress1=192.0.2.1/33\naddress2=192.0.2.2\n"
        "address03=192.0.2.3/32\naddress=192.0.2.4/32\naddresses=192.0.2.5/32\n"
        "addresses7=192.0.2.7/32,192.0.2.254\naddress7=192.0.2.70/32,192.0.2.253\n"
        "address8=192.0.2.8/32 \naddress9 = 192.0.2.9/32\naddress10=192.0.2.1/24\n"
        "address0=192.0.2.100/32;\naddress11=192.0.2.11/192.0.2.252\naddress12=garbage\n"
        "address13=192.0.2.13/0\naddress14=192.0.2.14;32;192.0.2.251\n"
        "address15=192.0.2.15/32,192.0.2.1,9\naddress2147483648=192.0.2.16/32\n"
        "[ipv6]\nmethod=manual\naddress1=2001:db8::1\naddress2=2001:DB8::2/129\n"
        "[ipv4]\naddress9=192.0.2.19/32\naddress20=192.0.2.20/31\n"
    )
    halted.write(PATH, text, 0o600)
    evidence = Evidence("networkmanager", "eth0", True, file=PATH)
    ours = [found.alias.cidr for found in BACKEND.parse(Inside(halted), evidence)]
    said = halted.run(["nmcli", "--offline", "connection", "modify"], text).out
    theirs = re.findall(r"^address\d+=([^,\n]+)", said, re.MULTILINE)
    assert ours == theirs
    assert len(ours) > 10


@pytest.mark.parametrize(
    ("section", "method"),
    [("ipv4", "disabled"), ("ipv4", "link-local"), ("ipv6", "ignore"), ("ipv6", "disabled")],
)
def test_what_we_refuse_the_daemon_refuses(halted: BootedHost, section: str, method: str) -> None:
    address = "198.51.100.10/32" if section == "ipv4" else "2001:db8::10/128"
    text = f"{HEAD}[{section}]\nmethod={method}\naddress1={address}\n"
    done = halted.run(["nmcli", "--offline", "connection", "modify"], text, check=False)
    assert done.code != 0


@pytest.mark.parametrize("suite", SUITES)
def test_aliases_come_stay_and_go_and_nothing_else_moves(
    booted: Callable[[str, str], BootedHost], segment: Segment, suite: str
) -> None:
    host = booted(suite, "networkmanager")
    original = host.read(PATH)
    host.ip("address", "add", FOREIGN, "dev", "eth0")
    before = live(host)
    evidence = BACKEND.detect(Inside(host), "eth0")
    assert (evidence.owns, evidence.strength, evidence.file) == (True, 3, PATH)

    with gentle.watch(host, segment, host.primary) as seen:
        apply(host, evidence, ALIASES, ())
        host.await_addresses(*ALIASES)
        assert live(host) == before | set(ALIASES)
        assert set(ALIASES) <= set(loaded(host))
    assert (seen.resets, seen.deleted, seen.lost_routes) == (0, [], [])

    # The daemon puts IPv6 addresses into its own order when it starts, and keeps them all.
    host.run(["systemctl", "restart", "NetworkManager.service"])
    connected = ["nmcli", "-g", "GENERAL.STATE", "device", "show", "eth0"]
    wait_until(lambda: host.run(connected, check=False).out.startswith("100 "), "eth0 connected")
    wait_until(lambda: live(host) == before | set(ALIASES), "every address")

    host.reboot()
    host.await_addresses(*ALIASES)
    apply(host, BACKEND.detect(Inside(host), "eth0"), ALIASES[1:2], ALIASES)
    assert live(host) == before - {FOREIGN} | {ALIASES[1]}
    apply(host, BACKEND.detect(Inside(host), "eth0"), (), ALIASES[1:2])
    assert live(host) == before - {FOREIGN}
    assert host.read(PATH) == original
    host.reboot()
    assert live(host) == before - {FOREIGN}
