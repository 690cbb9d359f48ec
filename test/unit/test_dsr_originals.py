"""A VIP in a file of somebody else: what comes back with an original, and what keeps silent."""

from __future__ import annotations

import pytest

from rig.simdsr import LINES, OTHER, VIPS, block, boot, dsr, host_of, live, loud, with_line
from rig.simengine import aliases, engine
from rig.simengine import block as interfaces
from rig.simhost import STATE, SimHost
from rig.simsysctl import Systemctl, managed
from saltext.ipalias.errors import RefusedError
from saltext.ipalias.restore import originals, restore

V4, V6 = VIPS
ALL = "net/ipv4/conf/all"
INTERFACES = "/etc/network/interfaces"
SILENT = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
ADOPT = {**block(V4), "adopt": True}


def adopted(dialect: str) -> tuple[SimHost, str, str]:
    """Return a host whose line for the VIP we have taken over, its file, and the file's text."""
    host, path = with_line(dialect, V4)
    text = host.files.read(path) or ""
    dsr(host, ADOPT).managed()
    assert set(originals(engine(host))) == {path}
    assert V4 not in (host.files.read(path) or "")
    return host, path, text


def lost(host: SimHost) -> None:
    """Take away what we know of addresses and originals."""
    for path in list(host.files.nodes):
        if path == f"{STATE}/ledger.json" or path.startswith(f"{STATE}/backup/"):
            host.files.drop(path)


# An original that has the VIP


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("dialect", LINES)
def test_an_original_with_a_vip_is_not_put_back_on_a_host_that_answers(
    dialect: str, force: bool
) -> None:
    host = adopted(dialect)[0]
    dsr(host, {}).absent()
    before = host.state()
    for test in (True, False):
        with pytest.raises(RefusedError, match=f"sets {V4} on lo, and this host would answer"):
            restore(engine(host), None, test=test, force=force)
    assert host.state() == before
    assert loud(boot(host)) == []


@pytest.mark.parametrize("dialect", LINES)
def test_it_is_put_back_where_the_pillar_keeps_the_host_silent(dialect: str) -> None:
    host, path, text = adopted(dialect)
    dsr(host, {}).absent()
    managed(SILENT)(host)
    answer = restore(engine(host), path)
    assert host.files.read(path) == text
    assert f"live again after the next boot: {V4}/32 of lo" in answer["comment"]
    dark = boot(host)
    assert live(dark) == {V4}
    assert loud(dark) == []


def test_it_is_not_put_back_where_a_boot_takes_the_silence_away() -> None:
    host, path, _ = adopted("networkd")
    dsr(host, {}).absent()
    for key, value in SILENT.items():
        host.proc.values[key.replace(".", "/")] = str(value)
    with pytest.raises(RefusedError, match="after a boot: eth0: arp_ignore is 0"):
        restore(engine(host), path)


def test_the_settings_of_another_vip_are_no_silence_that_lasts() -> None:
    """They go with that one, and nobody would know of this one by then."""
    host, path, _ = adopted("networkd")
    dsr(host, block(OTHER)).managed()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1"
    with pytest.raises(RefusedError, match=f"sets {V4} on lo"):
        restore(engine(host), path)


def test_an_address_that_is_live_and_answered_for_is_no_hindrance_to_mending_a_file() -> None:
    """A router's own on its loopback: of a file that cannot be read nothing is known to be set."""
    host, path = with_line("ifupdown", OTHER)
    text = host.files.read(path) or ""
    engine(host, interfaces("192.0.2.77/32")).managed()
    host.files.put(path, f"{host.files.read(path)}\niface\n")
    silent = host.twin()
    for key, value in SILENT.items():
        silent.proc.values[key.replace(".", "/")] = str(value)
    with pytest.raises(RefusedError, match=f"sets {OTHER} on lo"):
        restore(engine(silent), path, force=True)
    restore(engine(host), path, force=True)
    assert host.files.read(path) == text


def test_an_interface_that_does_not_receive_by_the_pillar_may_answer() -> None:
    host, path, text = adopted("ifupdown")
    # Settings of interfaces bring the listener's unit.
    host.programs["systemctl"] = Systemctl(host)
    dsr(host, {}).absent()
    managed({key.replace("all", "eth0"): value for key, value in SILENT.items()})(host)
    pillar = block(scope="interfaces", interfaces=["eth0"])
    with pytest.raises(RefusedError, match="eth1: arp_ignore is 0"):
        restore(engine(host), path)
    restore(engine(host, pillar), path)
    assert host.files.read(path) == text


@pytest.mark.parametrize("dialect", LINES)
def test_under_the_line_of_a_vip_that_is_put_back_the_settings_stay(dialect: str) -> None:
    host, path, text = adopted(dialect)
    restore(engine(host), path)
    assert host.files.read(path) == text
    for request in (dsr(host, {}).absent, dsr(host, block(OTHER)).managed, dsr(host, {}).managed):
        request()
        assert loud(host) == []
        assert loud(boot(host)) == []
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1"


@pytest.mark.parametrize("dialect", LINES)
def test_settings_that_are_kept_for_a_vip_are_silence_enough_for_it(dialect: str) -> None:
    host, path = with_line(dialect, V4, OTHER)
    text = host.files.read(path) or ""
    dsr(host, {**block(V4, OTHER), "adopt": True}).managed()
    host.files.put(path, text.replace(f"{V4}/32", "198.51.100.7/32"), 0o600)
    dsr(host, {}).absent()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1", "somebody's line has the other one"
    restore(engine(host), path, force=True)
    assert host.files.read(path) == text
    dsr(host, {}).absent()
    dark = boot(host)
    assert live(dark) == {V4, OTHER}
    assert loud(dark) == []


def test_an_original_of_after_a_loss_has_our_own_block_with_the_vip() -> None:
    host = host_of("ifupdown")
    text = (host.files.read(INTERFACES) or "").replace("source /etc/network/interfaces.d/*\n", "")
    host.files.put(INTERFACES, text)
    dsr(host, block(V4)).managed()
    lost(host)
    dsr(host, {}).absent([V4])
    assert live(host) == set()
    assert set(originals(engine(host))) == {INTERFACES}
    with pytest.raises(RefusedError, match=f"sets {V4} on lo, and this host would answer"):
        restore(engine(host), None)


def test_ipv6_on_lo_is_answered_for_by_nobody() -> None:
    host, path = with_line("networkd", V4)
    text = (host.files.read(path) or "").replace(f"{V4}/32", f"{V6}/128")
    host.files.put(path, text)
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    host.ip(["ip", "address", "add", f"{V6}/128", "dev", "lo"], None)
    dsr(host, {**block(V6), "adopt": True}).managed()
    dsr(host, {}).absent()
    restore(engine(host), path)
    assert host.files.read(path) == text


# An original that has another address


def test_what_an_original_sets_again_is_said() -> None:
    host = host_of("networkd")
    path = "/etc/systemd/network/50-eth0.network"
    text = (host.files.read(path) or "").replace("Gateway=192.0.2.1", "Address=198.51.100.10/32")
    host.files.put(path, text)
    host.ip(["ip", "address", "add", "198.51.100.10/32", "dev", "eth0"], None)
    engine(host, interfaces("198.51.100.10", adopt=True)).managed()
    engine(host, {}).clean()
    said = "Set by the original, and live again after the next boot: 198.51.100.10/32 of eth0"
    assert said in restore(engine(host), path, test=True)["comment"]
    assert said in restore(engine(host), path)["comment"]
    assert host.files.read(path) == text


def test_what_an_original_lacks_comes_back_with_nothing() -> None:
    host = host_of("ifupdown")
    text = (host.files.read(INTERFACES) or "").replace("source /etc/network/interfaces.d/*\n", "")
    host.files.put(INTERFACES, text)
    engine(host).add(aliases("198.51.100.10"))
    assert "Set by the original" not in restore(engine(host), None)["comment"]


# A line that comes beside ours


@pytest.mark.parametrize("dialect", LINES)
def test_a_line_that_came_beside_ours_keeps_the_settings(dialect: str) -> None:
    host, path, text = adopted(dialect)
    host.files.put(path, text, 0o600)
    shown = dsr(host, {}).absent(test=True)
    told = dsr(host, {}).absent()
    for answer in (shown, told):
        assert "The settings stay" in answer["comment"]
        assert f"{V4} is not ours: take it away, then run this again" in answer["comment"]
        assert f"set by {path}:" in answer["comment"]
    assert live(host) == {V4}
    assert loud(host) == loud(boot(host)) == []
    host.files.put(path, text.replace(f"{V4}/32", "198.51.100.7/32"), 0o600)
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    dsr(host, {}).absent()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"
    assert loud(boot(host)) == []
