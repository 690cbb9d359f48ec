"""The rig itself: hosts in namespaces, what they keep apart, what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rig.gentle import watch
from rig.holder import Holder, maker_is_gone, unique
from rig.netns import NetHost, Segment, cgroup_mounts, cleanup_leftovers
from rig.process import CommandFailed, run, wait_until

TEST = Path(__file__).resolve().parents[1]
CONFIG = TEST.parent / "pyproject.toml"


def test_hosts_reach_each_other_and_nothing_else(nethost: NetHost, peer: NetHost) -> None:
    assert nethost.ping(peer.primary)
    assert nethost.ping(f"2001:db8::{peer.number:x}")
    links = [link["ifname"] for link in json.loads(nethost.ip("-j", "link").out)]
    assert links == ["lo", "eth0"]
    assert [str(found) for found in nethost.addresses()] == [
        f"{nethost.primary}/24",
        f"2001:db8::{nethost.number:x}/64",
    ]
    assert nethost.source("203.0.113.9") == nethost.primary


def test_files_of_a_host_are_its_own(nethost: NetHost, peer: NetHost) -> None:
    text = "one\r\n\tzwei\udcff, no end"
    for folder in ("/etc/network", "/etc", "/run", "/var/lib/ipalias", "/usr/local/lib/ipalias"):
        path = f"{folder}/{nethost.name}"
        nethost.write(path, text, 0o600)
        assert nethost.read(path) == text
        assert peer.read(path) is None
        assert not os.path.exists(path)
    assert nethost.tree("/etc/network") == {
        f"/etc/network/{nethost.name}": ("0o100600", text),
    }


def test_checkout_cannot_be_written_from_a_host(nethost: NetHost) -> None:
    assert nethost.read("/srv/ipalias/test/rig/__init__.py")
    with pytest.raises(CommandFailed, match="Read-only"):
        nethost.write("/srv/ipalias/test/rig/x", "")


def test_a_program_out_of_time_is_killed_with_its_children(nethost: NetHost) -> None:
    with pytest.raises(CommandFailed, match="not done"):
        nethost.run(["sh", "-c", "sleep 4711 & wait"], timeout=0.5)
    wait_until(
        lambda: "4711" not in nethost.run(["ps", "ax", "-o", "args"]).out, "no sleep any more"
    )


def test_a_signal_reaches_the_program_itself(nethost: NetHost) -> None:
    script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    program = nethost.popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert program.stdout and program.stdout.readline() == "ready\n"
    program.terminate()
    assert program.stdout.read() == "told\n"
    assert program.wait(10) == 7


def test_a_taken_address_is_seen_by_a_host_with_detection(segment: Segment) -> None:
    with NetHost(segment) as owner, NetHost(segment, dad=True) as late:
        owner.ip("address", "add", "2001:db8::99/64", "dev", "eth0")
        late.ip("address", "add", "2001:db8::99/64", "dev", "eth0")
        wait_until(
            lambda: any("dadfailed" in found.flags for found in late.addresses()), "dadfailed"
        )
        assert owner.has("2001:db8::99/64")
        assert not late.has("2001:db8::99/64")


def test_carrier_goes_and_comes(segment: Segment, nethost: NetHost) -> None:
    segment.carrier(nethost.port, up=False)
    assert "NO-CARRIER" in nethost.ip("link", "show", "eth0").out
    segment.carrier(nethost.port, up=True)
    wait_until(lambda: nethost.ping("192.0.2.1"), "the gateway")


def test_salt_call_sees_the_pillar_and_the_checkout(nethost: NetHost) -> None:
    # Rendered, for newer releases of Salt print pillar values as asterisks.
    template = "string={{ pillar['some']['key'] | tojson }}"
    words = ("slsutil.renderer", template, "default_renderer=jinja")
    pillar = {"some": {"key": ["Käse", 1]}}
    assert json.loads(nethost.salt_call(*words, pillar=pillar)) == ["Käse", 1]
    assert json.loads(nethost.salt_call(*words)) == ["Käse", 1]
    assert nethost.salt_call("config.get", "file_roots") == {"base": ["/srv/formula"]}
    with pytest.raises(CommandFailed, match="out of paper"):
        nethost.salt_call("test.exception", "out of paper")


def test_watch_sees_nothing_of_an_alias(nethost: NetHost, peer: NetHost) -> None:
    with watch(nethost, peer, nethost.primary) as seen:
        nethost.ip("address", "add", "198.51.100.9/32", "dev", "eth0")
        nethost.ip("address", "del", "198.51.100.9/32", "dev", "eth0")
    assert seen.answers
    assert not seen.resets
    assert not seen.lost_routes
    assert seen.deleted_with("198.51.100.9/32")
    assert not seen.deleted_with(f"{nethost.primary}/24")


def test_watch_sees_a_primary_address_that_goes_and_comes(nethost: NetHost, peer: NetHost) -> None:
    with watch(nethost, peer, nethost.primary) as seen:
        nethost.ip("address", "del", f"{nethost.primary}/24", "dev", "eth0")
        assert not peer.ping(nethost.primary)
        nethost.ip("address", "add", f"{nethost.primary}/24", "dev", "eth0")
    assert seen.deleted_with(f"{nethost.primary}/24")
    assert seen.lost_routes == ["default via 192.0.2.1 dev eth0"]
    # The ping that failed in between waited two seconds for its answer.
    assert seen.longest_gap_ms > 1000


def test_watch_counts_a_reset(nethost: NetHost, peer: NetHost) -> None:
    rules = (
        "table inet cut { chain in { type filter hook input priority 0;\n"
        "tcp dport > 1023 meta length > 52 counter reject with tcp reset\n}\n}\n"
    )
    with watch(nethost, peer, nethost.primary) as seen:
        nethost.run(["nft", "-f", "-"], rules)
        wait_until(
            lambda: "packets 0" not in nethost.run(["nft", "list", "ruleset"]).out,
            "a segment of the connection to be rejected",
        )
        nethost.run(["nft", "flush", "ruleset"])
    assert seen.resets


MAKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from rig.host import work_folder
from rig.netns import NetHost, Segment
segment = Segment()
host = NetHost(segment)
program = host.popen(["sleep", "4712"])
print(host.pid, work_folder(), flush=True)
time.sleep(4713)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_of_a_maker_that_is_killed(number: signal.Signals) -> None:
    argv = [sys.executable, "-c", MAKER, str(TEST)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout
        pid, folder = maker.stdout.readline().split()
        assert os.path.exists(f"/proc/{pid}")
        assert os.path.exists(folder)
        maker.send_signal(number)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the host to be gone")
    wait_until(lambda: not os.path.exists(folder), "its folder to be gone")


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay() -> None:
    ours = unique()
    dead = f"ipalias-{os.getpid()}-1-1"
    assert maker_is_gone(dead)
    assert not maker_is_gone(ours)
    assert not maker_is_gone("ipalias-other")
    group = cgroup_mounts()[0]
    try:
        for name in (ours, dead):
            (group / name).mkdir()
            (group / name / "below").mkdir()
        assert str(group / dead) in cleanup_leftovers()
        assert not (group / dead).exists()
        assert (group / ours / "below").exists()
    finally:
        for name in (ours, dead):
            for folder in (group / name / "below", group / name):
                if folder.exists():
                    folder.rmdir()


def test_a_host_that_cannot_be_made_says_why() -> None:
    with pytest.raises(CommandFailed, match="no-such-program"):
        Holder("x", "no-such-program")


@pytest.mark.parametrize(("require", "outcome"), [("", "1 skipped"), ("host,netns", "1 error")])
def test_a_lane_that_cannot_run_is_skipped_or_fails(require: str, outcome: str) -> None:
    # Without a user of its own namespace a process is nobody there, so not root.
    words = [__file__, "-k", "hosts_reach_each_other", "-p", "no:cacheprovider"]
    done = run(
        ["unshare", "--user", sys.executable, "-m", "pytest", "-q", "-c", str(CONFIG), *words],
        check=False,
        env={"IPALIAS_REQUIRE_LANES": require},
    )
    assert outcome in done.out
    assert "needs root" in done.out
