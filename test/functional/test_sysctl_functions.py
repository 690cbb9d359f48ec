"""Kernel settings through Salt's loader, on a host of its own: a real kernel, real files."""

from __future__ import annotations

import pytest
from loader_minion import FORMULA, STATE

IGNORE, ANNOUNCE = "net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_announce"
ETH0 = "net.ipv4.conf.eth0.rp_filter"
OURS, CONF = "/etc/sysctl.d/zz-ipalias.conf", "/etc/sysctl.conf"
FUNCTIONS = {"absent", "apply", "clean", "effective", "list", "present"}
STATES = {"absent", "cleaned", "managed", "present"}


@pytest.fixture(autouse=True)
def fresh(minion):
    """Give a host with sysctl.d and settings as a kernel starts with."""
    minion.host.remove("/etc/sysctl.d", CONF)
    minion.host.write("/etc/sysctl.d/10-other.conf", f"{ANNOUNCE} = 1\n")
    minion.host.run(["sysctl", "-q", f"{IGNORE}=0", f"{ANNOUNCE}=1", f"{ETH0}=0"])
    yield
    minion.host.remove("/etc/sysctl.d", CONF)
    minion.deliver()


def live(minion, key):
    return minion.host.read(f"/proc/sys/{key.replace('.', '/')}").strip()


def test_every_function_and_state_is_loaded(minion):
    modules, states = minion.ask(
        ["names", "modules", "ipalias_sysctl"], ["names", "states", "ipalias_sysctl"]
    )
    assert {name.partition(".")[2] for name in modules.value} == FUNCTIONS
    assert {name.partition(".")[2] for name in states.value} == STATES


def test_a_missing_file_of_the_modules_is_told_as_the_reason(minion):
    minion.host.remove(f"{FORMULA}/_modules/_ipalias.py")
    for module in ("ipalias", "ipalias_sysctl"):
        [why] = minion.ask(["reason", "modules", f"{module}.list"])
        assert "_ipalias.py" in why.value, why


def test_present_sets_file_and_kernel_and_absent_brings_both_back(minion):
    before, files = minion.picture("/etc"), minion.host.tree("/etc/sysctl.d")
    tried = minion.call("ipalias_sysctl.present", IGNORE, 1, test=True)
    assert tried["result"] is None and f"{IGNORE}: the file lacks it, live is 0" in tried["comment"]
    assert minion.picture("/etc") == before and live(minion, IGNORE) == "0"
    done = minion.call("ipalias_sysctl.present", IGNORE, 1)
    assert done["result"] is True and done["changes"] == tried["changes"]
    assert live(minion, IGNORE) == "1" and f"{IGNORE} = 1\n" in minion.host.read(OURS)
    assert minion.call("ipalias_sysctl.present", IGNORE, 1)["changes"] == {}
    assert minion.call("ipalias_sysctl.list") == {
        IGNORE: {"value": "1", "wanted_by": ["hand"], "found": "0"}
    }
    [row] = minion.call("ipalias_sysctl.effective", IGNORE)
    assert (row["live"], row["after_boot"], row["winner"]) == ("1", "1", f"{OURS}:2")
    minion.call("ipalias_sysctl.absent", IGNORE)
    assert live(minion, IGNORE) == "0" and minion.host.tree("/etc/sysctl.d") == files


def test_a_file_that_wins_is_named(minion):
    minion.host.write("/etc/sysctl.d/zzz.conf", f"# x\n{IGNORE}=2\n")
    said = minion.refusal("ipalias_sysctl.present", IGNORE, 1)
    assert "/etc/sysctl.d/zzz.conf:2 sets 2" in said and "\n" not in said
    assert live(minion, IGNORE) == "0" and not minion.host.exists(OURS)


def test_procps_sets_what_the_file_says(minion):
    minion.call("ipalias_sysctl.present", ANNOUNCE, 2)
    minion.host.run(["sysctl", "-q", f"{ANNOUNCE}=0"])
    minion.host.run(["sysctl", "--system"])
    assert live(minion, ANNOUNCE) == "2"
    minion.call("ipalias_sysctl.absent", ANNOUNCE)
    assert live(minion, ANNOUNCE) == "1"


def test_without_sysctl_d_it_is_a_block_of_sysctl_conf(minion):
    minion.host.remove("/etc/sysctl.d")
    minion.host.write(CONF, "# theirs\nnet.core.somaxconn = 4096")
    minion.call("ipalias_sysctl.present", IGNORE, 1)
    text = minion.host.read(CONF)
    assert text.startswith("# theirs\nnet.core.somaxconn = 4096\n# BEGIN ipalias sysctl (no-eol)\n")
    minion.host.run(["sysctl", "-q", f"{IGNORE}=0"])
    minion.host.run(["sysctl", "-q", "-p", CONF])
    assert live(minion, IGNORE) == "1"
    minion.call("ipalias_sysctl.absent", IGNORE)
    assert minion.host.read(CONF) == "# theirs\nnet.core.somaxconn = 4096"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("net.ipv4.conf.all.arp_ignor", 1, "has no setting"),
        ("net.ipv4.conf.all.arp_ignore; reboot", 1, "not a kernel setting"),
        ("net.ipv4.conf.*.arp_ignore", 1, "name each interface"),
        (IGNORE, "1\n2", "one line"),
        (IGNORE, True, "write 0 or 1"),
        (IGNORE, "x", "Invalid argument"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(minion, name, value, words):
    before = minion.host.tree("/etc/sysctl.d")
    said = minion.refusal("ipalias_sysctl.present", name, value)
    assert words in said and "\n" not in said
    assert minion.host.tree("/etc/sysctl.d") == before and live(minion, IGNORE) == "0"


def test_the_sls_does_and_undoes_what_the_pillar_asks(minion):
    minion.pillar = {"sysctl": {IGNORE: 1, ETH0: 2}}
    tried = minion.sls("ipalias.sysctl", test=True)["ipalias-sysctl-managed"]
    assert tried["result"] is None and live(minion, IGNORE) == "0"
    done = minion.sls("ipalias.sysctl")["ipalias-sysctl-managed"]
    assert done["result"] is True and done["changes"] == tried["changes"]
    assert (live(minion, IGNORE), live(minion, ETH0)) == ("1", "2")
    again = minion.sls("ipalias.sysctl")["ipalias-sysctl-managed"]
    assert again["result"] is True and again["changes"] == {}
    minion.pillar = {"sysctl": {IGNORE: 1}}
    assert ETH0 in minion.sls("ipalias.sysctl")["ipalias-sysctl-managed"]["changes"]["settings"]
    assert live(minion, ETH0) == "0"
    minion.call("ipalias_sysctl.present", ANNOUNCE, 2)
    minion.sls("ipalias.clean")
    assert (live(minion, IGNORE), live(minion, ANNOUNCE)) == ("0", "1")
    assert not minion.host.exists(OURS)
    assert minion.call("ipalias_sysctl.list") == {}


@pytest.mark.parametrize("sysctl", [[IGNORE], {IGNORE: None}, {"x": 1}, {IGNORE: {"a": 1}}, "x"])
def test_a_pillar_that_cannot_be_meant_is_refused_by_its_path(minion, sysctl):
    minion.pillar = {"sysctl": sysctl}
    state = minion.sls("ipalias.sysctl")["ipalias-sysctl-managed"]
    assert state["result"] is False and state["comment"].startswith("ipalias:sysctl")
    assert not minion.host.exists(f"{STATE}/sysctl.json")


def test_a_guard_that_cannot_be_meant_is_refused_by_its_path(minion):
    minion.pillar = {"guard": {"timeout": 0}}
    assert "ipalias:guard:timeout" in minion.refusal("ipalias_sysctl.present", IGNORE, 1)


def test_the_states_keep_one_setting(minion):
    made = minion.state("ipalias_sysctl.present", IGNORE, value=1)
    assert made["result"] is True and live(minion, IGNORE) == "1"
    assert minion.state("ipalias_sysctl.present", IGNORE, value=1)["changes"] == {}
    gone = minion.state("ipalias_sysctl.absent", IGNORE, test=True)
    assert gone["result"] is None and live(minion, IGNORE) == "1"
    assert minion.state("ipalias_sysctl.absent", IGNORE)["result"] is True
    assert live(minion, IGNORE) == "0"
    refused = minion.state("ipalias_sysctl.present", "net.x", value=1)
    assert refused["result"] is False and "has no setting" in refused["comment"]


def test_an_interface_to_come_is_written_and_it_is_said_that_nothing_starts_services(minion):
    key = "net/ipv4/conf/late0.5/arp_ignore"
    answer = minion.call("ipalias_sysctl.present", key, 1)
    assert answer["result"] is True and "late0.5: not there yet" in answer["comment"]
    assert f"{key} = 1\n" in minion.host.read(OURS)
    minion.host.ip("link", "add", "late0.5", "type", "veth", "peer", "name", "peer0")
    done = minion.call("ipalias_sysctl.present", key, 1)
    assert done["changes"]["settings"] == {key: {"old": "0", "new": "1"}}
    minion.call("ipalias_sysctl.absent", key)
    assert minion.host.read(f"/proc/sys/{key}") == "0\n"
