"""The listener in a real network namespace: it hears of interfaces and sets what is ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from rig.netns import NetHost, Segment
from rig.process import Running, wait_until

pytestmark = pytest.mark.root

STATE = "/var/lib/ipalias"
# Starts the listener, stands in for systemd's socket, and says when it is ready.
PROGRAM = f"""
import os, socket, sys
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind("\\0ipalias-test")
child = os.fork()
if not child:
    os.environ["NOTIFY_SOCKET"] = "@ipalias-test"
    sys.path.insert(0, "/srv/ipalias/_utils")
    from saltext.ipalias import outlive
    os._exit(outlive.main(["sysctl", "{STATE}"]))
print(told.recv(100).decode(), flush=True)
print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def host() -> Iterator[NetHost]:
    with Segment() as segment, NetHost(segment) as made:
        yield made


def remember(host: NetHost, values: Mapping[str, str]) -> None:
    rows = {
        key: {"value": value, "wanted_by": ["hand"], "found": [None, None]}
        for key, value in values.items()
    }
    host.write(f"{STATE}/sysctl.json", json.dumps({"schema": 1, "settings": rows}))


def start(host: NetHost) -> Running:
    listener = host.popen([host.python, "-I", "-c", PROGRAM], stdout=subprocess.PIPE)
    assert listener.stdout
    assert listener.stdout.readline() == "READY=1\n"
    return listener


def value(host: NetHost, path: str) -> str | None:
    text = host.read(f"/proc/sys/net/{path}")
    return text.strip() if text is not None else None


def until(host: NetHost, path: str, wanted: str) -> None:
    wait_until(lambda: value(host, path) == wanted, f"{path} to be {wanted}")


def veth(host: NetHost, name: str, *words: str) -> None:
    host.ip("link", "add", name, *words, "type", "veth", "peer", "name", f"p-{name}"[:15])


def test_what_is_there_is_set_before_it_is_ready(host: NetHost) -> None:
    remember(host, {"net.ipv4.conf.eth0.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"})
    start(host)
    assert value(host, "ipv4/conf/eth0/arp_ignore") == "1"
    # Only settings of interfaces are its business.
    assert value(host, "ipv4/conf/all/arp_announce") == "0"


def test_an_interface_that_comes_later_is_set_and_so_is_one_that_takes_its_name(
    host: NetHost,
) -> None:
    remember(
        host,
        {
            "net.ipv4.conf.late0.arp_ignore": "1",
            "net.ipv6.conf.late0.accept_ra": "0",
            "net/ipv4/conf/late0.5/arp_announce": "2",
        },
    )
    start(host)
    veth(host, "late0")
    until(host, "ipv4/conf/late0/arp_ignore", "1")
    until(host, "ipv6/conf/late0/accept_ra", "0")
    veth(host, "other")
    host.ip("link", "set", "other", "name", "late0.5")
    until(host, "ipv4/conf/late0.5/arp_announce", "2")
    host.ip("link", "delete", "late0")
    veth(host, "late0")
    until(host, "ipv4/conf/late0/arp_ignore", "1")


def test_a_ledger_that_changes_holds_for_what_comes_next(host: NetHost) -> None:
    remember(host, {"net.ipv4.conf.late0.arp_ignore": "1"})
    start(host)
    remember(host, {"net.ipv4.conf.late0.arp_ignore": "2"})
    veth(host, "late0")
    until(host, "ipv4/conf/late0/arp_ignore", "2")


def test_what_somebody_sets_by_hand_later_stays(host: NetHost) -> None:
    remember(host, {"net.ipv4.conf.late0.arp_ignore": "1", "net.ipv4.conf.late1.arp_ignore": "1"})
    start(host)
    veth(host, "late0")
    until(host, "ipv4/conf/late0/arp_ignore", "1")
    host.run(["sysctl", "-q", "net.ipv4.conf.late0.arp_ignore=8"])
    host.ip("link", "set", "late0", "up")
    host.ip("link", "set", "late0", "mtu", "1400")
    # It takes one thing after another: with this one set it has heard of those.
    veth(host, "late1")
    until(host, "ipv4/conf/late1/arp_ignore", "1")
    assert value(host, "ipv4/conf/late0/arp_ignore") == "8"


def test_ipv6_that_a_larger_mtu_brings_is_set(host: NetHost) -> None:
    remember(host, {"net.ipv6.conf.late0.accept_ra": "0", "net.ipv4.conf.late0.arp_ignore": "1"})
    start(host)
    veth(host, "late0", "mtu", "1000")
    until(host, "ipv4/conf/late0/arp_ignore", "1")
    assert value(host, "ipv6/conf/late0/accept_ra") is None
    host.ip("link", "set", "late0", "mtu", "1500")
    until(host, "ipv6/conf/late0/accept_ra", "0")


def test_hundreds_that_come_at_once_are_all_set(host: NetHost) -> None:
    names = [f"late{number}" for number in range(300)]
    remember(host, {f"net.ipv4.conf.{name}.arp_ignore": "1" for name in names})
    start(host)
    host.ip_batch(*(f"link add {name} type veth peer name p{name}" for name in names))
    for name in names:
        until(host, f"ipv4/conf/{name}/arp_ignore", "1")


def test_a_damaged_ledger_ends_nothing(host: NetHost) -> None:
    remember(host, {"net.ipv4.conf.late0.arp_ignore": "1"})
    start(host)
    host.write(f"{STATE}/sysctl.json", '{"schema": 1')
    veth(host, "late0")
    wait_until(lambda: value(host, "ipv4/conf/late0/arp_ignore"), "late0")
    remember(host, {"net.ipv4.conf.late1.arp_ignore": "1"})
    veth(host, "late1")
    until(host, "ipv4/conf/late1/arp_ignore", "1")


def test_without_an_interface_s_setting_it_ends(host: NetHost) -> None:
    remember(host, {"net.ipv4.conf.all.arp_ignore": "1"})
    listener = start(host)
    assert listener.stdout
    assert listener.stdout.readline() == "0\n"
