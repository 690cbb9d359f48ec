"""What a check of a real server sees: settings, VIPs, packet filter, services, a prober's word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rig.simdsr import VIPS, block, dsr, host_of
from rig.simengine import engine
from rig.simhost import SimHost, answers
from rig.simnet import SimAddress
from saltext.ipalias import dsrcheck, dsrfirewall
from saltext.ipalias.errors import InputError
from saltext.ipalias.model import Alias

V4, V6 = VIPS
PILLAR = block(*VIPS, interfaces=["eth0"])
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 507100CB:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   2: 507100CB:0050 0A00000A:C350 01 00000000:00000000 00:00000000 00000000     0
   3: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
"""
UDP6 = """  sl  local_address                         remote_address                        st
   0: B80D0120000008000000000080000000:0035 00000000000000000000000000000000:0000 07
"""


@pytest.fixture
def host() -> SimHost:
    made = host_of("networkd")
    dsr(made, PILLAR).managed()
    return made


def checked(host: SimHost, pillar: dict[str, Any] | None = None) -> dict[str, Any]:
    count = len(host.mutating)
    answer = dsrcheck.check(dsr(host, pillar or PILLAR))
    assert len(host.mutating) == count
    return json.loads(json.dumps(answer))


def test_a_real_server_as_it_should_be(host: SimHost) -> None:
    told = checked(host)
    assert told["result"] is True
    assert told["faults"] == []
    assert told["interface"] == "lo"
    assert told["comment"].startswith("2 VIPs on lo, silent, live and after a boot")
    row = told["vips"][0]
    assert row["live"] == [f"{V4}/32 on lo"]
    assert row["file"] == "/etc/ipalias/lo.batch:2"
    assert (row["label"], row["carried_by"], row["ours"]) == ("lo:1", "loopback", True)
    settings = {row["key"]: row for row in told["settings"]}
    ignore = settings["net.ipv4.conf.all.arp_ignore"]
    assert (ignore["live"], ignore["after_boot"]) == ("1", "1")
    assert ignore["winner"].startswith("/etc/sysctl.d/zz-ipalias.conf:")
    assert settings["net.ipv4.conf.all.rp_filter"]["winner"] == "/etc/sysctl.d/10-network.conf:2"


def test_a_setting_that_was_taken_back_live(host: SimHost) -> None:
    host.proc.values["net/ipv4/conf/all/arp_announce"] = "0"
    told = checked(host)
    assert told["result"] is False
    assert [fault.partition(" is")[0] for fault in told["faults"]] == ["eth0: arp_announce"]


def test_a_setting_that_a_boot_would_not_bring(host: SimHost) -> None:
    host.files.unlink("/etc/sysctl.d/zz-ipalias.conf")
    told = checked(host)
    assert told["result"] is False
    assert all(fault.startswith("after a boot: eth0") for fault in told["faults"])


def test_vips_that_are_missing_here_and_there(host: SimHost) -> None:
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    host.files.put("/etc/ipalias/lo.batch", "# none\n")
    host.net.add4("eth1", SimAddress(V4, 24))
    faults = checked(host)["faults"]
    assert f"{V4} is not live on lo" in faults
    assert f"{V4} is live on eth1, which answers for it" in faults
    assert f"{V6} is in no file: it is gone after a boot" in faults


def test_a_vip_with_a_wide_prefix(host: SimHost) -> None:
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    host.ip(["ip", "address", "add", f"{V4}/24", "dev", "lo"], None)
    assert f"{V4} is live as {V4}/24, not /32" in checked(host)["faults"]


def test_without_a_vip_there_is_nothing_to_check(host: SimHost) -> None:
    with pytest.raises(InputError, match=f"{V4}.* is still there of an earlier one"):
        dsrcheck.check(dsr(host, {"interfaces": {}}))


# Services


def test_services_that_take_what_is_sent_to_a_vip(host: SimHost) -> None:
    host.files.put("/proc/net/tcp", TCP)
    host.files.put("/proc/net/udp6", UDP6)
    told = checked(host)
    rows = {(r["address"], r["protocol"], r["port"], r["bound"]) for r in told["services"]}
    assert rows == {(V4, "tcp", 80, V4), (V4, "tcp", 22, "0.0.0.0"), (V6, "udp", 53, V6)}
    assert not any("no service" in remark for remark in told["remarks"])


def test_a_vip_without_a_service_is_told(host: SimHost) -> None:
    told = checked(host)
    assert f"no service waits for what is sent to {V4}" in told["remarks"]
    assert told["result"] is True


# Packet filter


def nft(*rules: dict[str, Any], policy: str = "accept", family: str = "inet") -> str:
    place = {"family": family, "table": "filter"}
    chain = {**place, "name": "input", "hook": "input", "policy": policy}
    listed = [{"rule": {**place, "chain": "input", "expr": rule["expr"]}} for rule in rules]
    return json.dumps({"nftables": [{"metainfo": {}}, {"chain": chain}, *listed]})


def rule(right: object, verdict: str, family: str = "ip", op: str = "==") -> dict[str, Any]:
    left = {"payload": {"protocol": family, "field": "daddr"}}
    return {"expr": [{"match": {"op": op, "left": left, "right": right}}, {verdict: None}]}


@pytest.mark.parametrize(
    ("right", "op", "found"),
    [
        (V4, "==", True),
        ("203.0.113.81", "==", False),
        ({"prefix": {"addr": "203.0.113.0", "len": 24}}, "==", True),
        ({"set": ["192.0.2.1", V4]}, "==", True),
        ({"set": [{"prefix": {"addr": "203.0.113.80", "len": 28}}]}, "==", True),
        (V4, "!=", False),
        ("@blocked", "==", False),
    ],
)
def test_a_rule_that_drops_what_is_sent_to_a_vip(right: object, op: str, found: bool) -> None:
    said = dsrfirewall.parse_nft(nft(rule(right, "drop", op=op)), [V4, V6])
    assert said == (["inet filter input: a rule drops what is sent to " + V4] if found else [])


def test_an_input_chain_that_drops_what_nobody_lets_in() -> None:
    text = nft(rule(V4, "accept"), policy="drop")
    (said,) = dsrfirewall.parse_nft(text, [V4, V6])
    assert f"no rule of it names {V6}" in said
    assert dsrfirewall.parse_nft(nft(policy="drop", family="ip"), [V6]) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"nftables": [1, {"rule": {"expr": 5}}]}'])
def test_a_ruleset_of_another_shape_is_no_end(text: str) -> None:
    assert dsrfirewall.parse_nft(text, [V4]) in ([], ["the ruleset could not be read"])


def test_iptables_save_where_there_is_no_nft(host: SimHost) -> None:
    text = f":INPUT DROP [0:0]\n-A INPUT -d {V4}/32 -p tcp -j DROP\n-A INPUT ! -d {V4} -j DROP\n"
    host.programs.update(answers({"iptables-save": text}))
    looked, found = dsrfirewall.look(host, VIPS)
    assert looked == ["iptables-save"]
    assert len(found) == 2
    assert "drops what is sent to" in found[0]
    assert "its policy is DROP" in found[1]


def test_what_was_looked_at_is_said(host: SimHost) -> None:
    assert "no packet filter was looked at" in checked(host)["comment"]
    host.programs.update(answers({"nft -j list ruleset": nft(rule(V4, "drop"))}))
    told = checked(host)
    assert told["firewall"]["looked_at"] == ["nft"]
    assert told["firewall"]["found"]
    assert told["result"] is True


# A prober


def test_what_the_prober_is_asked(host: SimHost) -> None:
    words = dsrcheck.probe_words(dsr(host, PILLAR))
    assert words == [f"{V4},{V6}", "", "192.0.2.2,2001:db8::2", "02-00-00-00-00-02"]


def test_an_alias_is_no_address_to_know_the_server_by(host: SimHost) -> None:
    engine(host).add([Alias("2001:db8:1::10", 128, "eth0")])
    assert host.net.link("eth0").addresses6[0].address == "2001:db8:1::10", "the newest first"
    assert dsrcheck.probe_words(dsr(host, PILLAR))[2] == "192.0.2.2,2001:db8::2"


@pytest.mark.parametrize("said", [{}, None, {"web2": None}, {"web2": "not available"}, "x"])
def test_a_prober_that_does_not_answer(host: SimHost, said: object) -> None:
    subject = dsr(host, PILLAR)
    words = dsrcheck.probe_words(subject)
    told = dsrcheck.with_probe(checked(host), "web2", words, said)
    assert told["result"] is False
    assert "the master's `peer` configuration" in told["comment"]
    assert f"salt web2 ipalias_dsr.probe {V4},{V6} real=192.0.2.2,2001:db8::2" in told["comment"]


@pytest.mark.parametrize("result", [True, False])
def test_what_the_prober_says_counts(host: SimHost, result: bool) -> None:
    subject = dsr(host, PILLAR)
    words = dsrcheck.probe_words(subject)
    said = {"web2": {"result": result, "comment": "eth0: it was asked", "answers": {}}}
    told = dsrcheck.with_probe(checked(host), "web2", words, said)
    assert told["result"] is result
    assert "eth0: it was asked" in told["comment"]
    assert told["prober"]["result"] is result


@pytest.mark.parametrize(
    "told",
    [
        {"result": True},
        {"result": "False", "comment": "eth0"},
        {"result": 1, "comment": "eth0"},
        {"result": True, "comment": 5},
        {"result": True, "comment": None},
        {"result": True, "comment": "eth0\nsilent"},
        {"result": True, "comment": "eth0 \u202e"},
    ],
)
def test_another_form_of_answer_is_no_answer(told: dict[str, Any]) -> None:
    """It comes from another host: neither a traceback nor a proof of silence."""
    answer = {"result": True, "faults": [], "comment": "silent"}
    said = dsrcheck.with_probe(answer, "web2", [V4, "", "192.0.2.2", ""], {"web2": told})
    assert said["result"] is False
    assert "web2 could not be asked" in said["comment"]
    assert said["comment"].isprintable()


def test_a_prober_does_not_fill_the_answer() -> None:
    told = {"web2": {"result": True, "comment": "x" * 1_000_000}}
    answer = {"result": True, "faults": [], "comment": "silent"}
    said = dsrcheck.with_probe(answer, "web2", [V4, "", "192.0.2.2", ""], told)
    assert said["result"] is True
    assert len(json.dumps(said)) < 5000


@pytest.mark.parametrize(
    "prober", ["web*", "web?", "", "-x", "a,b", "a b", "web2\n", 5, ["web2"], {}]
)
def test_a_prober_is_one_minion(prober: object) -> None:
    with pytest.raises(InputError, match="is not the id of a minion"):
        dsrcheck.parse_prober(prober, 10)


@pytest.mark.parametrize("timeout", [0, 601, True, "10", 1.5, None])
def test_a_prober_is_waited_for_some_seconds(timeout: object) -> None:
    assert dsrcheck.parse_prober("web2.example.net", 10) == ("web2.example.net", 10)
    with pytest.raises(InputError, match="timeout"):
        dsrcheck.parse_prober("web2", timeout)
