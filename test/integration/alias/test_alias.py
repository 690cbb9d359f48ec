"""What an operator sees on a host after the first highstate; run by kitchen and the host lane."""

from __future__ import annotations

import json


def test_every_alias_is_live_with_its_prefix(wanted, links):
    live = {
        (name, f"{info['local']}/{info['prefixlen']}")
        for name, infos in links().items()
        for info in infos
    }
    asked = {(name, cidr) for name, entries in wanted.items() for cidr, _, _ in entries}
    assert asked - live == set()


def test_labels_are_live(wanted, links):
    live = {info["local"]: info.get("label", "") for infos in links().values() for info in infos}
    labelled = [(cidr, label) for e in wanted.values() for cidr, label, _ in e if label]
    for cidr, label in labelled:
        assert live[cidr.split("/")[0]].split(":")[-1] == label.split(":")[-1]


def test_the_primary_address_is_still_there(wanted, links):
    for name, entries in wanted.items():
        ours = {cidr.split("/")[0] for cidr, _, _ in entries}
        others = [i for i in links()[name] if i["scope"] == "global" and i["local"] not in ours]
        assert others, f"{name} has no address but the aliases"


def test_no_alias_is_chosen_as_a_source_that_must_not(machine, wanted):
    never = {c.split("/")[0] for e in wanted.values() for c, _, s in e if s == "never"}
    for target in ("192.0.2.1", *sorted(a for a in never if ":" not in a)):
        said = machine.run(f"ip -j route get {target}")
        chosen = json.loads(said.stdout)[0].get("prefsrc") if said.rc == 0 else None
        assert chosen not in never - {target}


def test_every_alias_stands_in_a_file_of_the_platform(machine, wanted):
    text = machine.check_output(
        "cat /etc/network/interfaces /etc/network/interfaces.d/* /etc/network/*.batch "
        "/etc/systemd/network/* /etc/systemd/network/*/* /etc/netplan/* "
        "/etc/NetworkManager/system-connections/* 2>/dev/null || true"
    )
    for entries in wanted.values():
        for cidr, _, _ in entries:
            assert cidr.split("/")[0] in text


def test_a_second_run_has_nothing_to_do(salt):
    states = salt("state.apply", "ipalias", "test=True")
    assert isinstance(states, dict), states
    left = {key: state["changes"] for key, state in states.items() if state["changes"]}
    assert left == {}
    assert {state["result"] for state in states.values()} == {True}
