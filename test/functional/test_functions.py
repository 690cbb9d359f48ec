"""Every function of the execution module, through the loader, on a host of its own."""

from __future__ import annotations

import json

import pytest
from loader_minion import DROPIN, NETWORK, STATE

from rig.gentle import Monitor

ALIAS = "198.51.100.12"
NOBODY = 65534
ORIGINAL = "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.2/24\nGateway=192.0.2.1\n"
INTERFACES = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet manual\n"


def block(*items):
    """Return a pillar with eth0's list."""
    return {"interfaces": {"eth0": {"addresses": list(items)}}}


def live(minion):
    """Return the live addresses but the primary ones."""
    primaries = {minion.host.primary, f"2001:db8::{minion.host.number:x}"}
    return {str(found) for found in minion.host.addresses() if found.address not in primaries}


def test_add_alone_does_the_right_thing(minion):
    answer = minion.call("ipalias.add", ALIAS)
    assert answer["result"] is True
    assert answer["changes"]["addresses"]["added"] == [f"{ALIAS}/32"]
    assert live(minion) == {f"{ALIAS}/32"}
    assert ALIAS in minion.host.read(DROPIN)
    listed = minion.call("ipalias.list")
    assert listed["eth0"][f"{ALIAS}/32"]["origin"] == "hand"
    assert minion.call("ipalias.add", ALIAS)["changes"] == {}


def test_add_takes_lists_ranges_labels_and_source(minion):
    minion.call("ipalias.add", f"{ALIAS},198.51.100.13")
    minion.call("ipalias.add", ["198.51.100.14", "2001:db8:1::1"])
    minion.call("ipalias.add", "198.51.100.20-198.51.100.22")
    minion.call("ipalias.add", "203.0.113.9", interface="eth0", label="failover1", source="never")
    assert {address.rsplit("/")[0] for address in live(minion)} == {
        ALIAS, "198.51.100.13", "198.51.100.14", "2001:db8:1::1", "198.51.100.20",
        "198.51.100.21", "198.51.100.22", "203.0.113.9",
    }  # fmt: skip
    [labelled] = [a for a in minion.host.addresses() if a.address == "203.0.113.9"]
    assert labelled.label.endswith("failover1")
    assert minion.host.source("203.0.113.200") == minion.host.primary


def test_add_only_live_or_only_on_disk(minion):
    minion.call("ipalias.add", ALIAS, persist=False)
    assert live(minion) == {f"{ALIAS}/32"} and not minion.host.exists(DROPIN)
    minion.call("ipalias.add", "198.51.100.13", live=False)
    assert live(minion) == {f"{ALIAS}/32"}
    assert ALIAS not in minion.host.read(DROPIN) and "198.51.100.13" in minion.host.read(DROPIN)
    assert "nothing to do" in minion.refusal("ipalias.add", ALIAS, persist=False, live=False)


def test_add_can_be_told_not_to_announce(minion):
    assert minion.call("ipalias.add", ALIAS, announce=0)["result"] is True
    assert "0 to 60" in minion.refusal("ipalias.add", "198.51.100.13", announce=99)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"address": "198.51.100.300"}, "not an IP address"),
        ({"address": ALIAS, "interface": "eth9"}, "eth9"),
        ({"address": ALIAS, "interface": "eth0;reboot"}, "interface"),
        ({"address": ALIAS, "persist": "maybe"}, "true or false"),
        ({"address": ALIAS, "label": "a b"}, "forbidden"),
        ({"address": ALIAS, "source": "sometimes"}, "never"),
        ({"address": "192.0.2.2"}, "primary"),
    ],
)
def test_add_refuses_in_one_sentence(minion, arguments, word):
    before = minion.picture("/etc")
    said = minion.refusal("ipalias.add", **arguments)
    assert word in said and "\n" not in said
    assert minion.picture("/etc") == before


def test_remove_takes_ours_away_and_refuses_the_rest(minion):
    minion.call("ipalias.add", f"{ALIAS},198.51.100.13")
    minion.host.ip("address", "add", "203.0.113.9/32", "dev", "eth0")
    assert minion.call("ipalias.remove", ALIAS)["changes"]["addresses"]["removed"] == [
        f"{ALIAS}/32"
    ]
    assert live(minion) == {"198.51.100.13/32", "203.0.113.9/32"}
    assert "primary" in minion.refusal("ipalias.remove", "192.0.2.2")
    assert "not ours" in minion.refusal("ipalias.remove", "203.0.113.9")
    assert minion.call("ipalias.remove", ALIAS)["changes"] == {}
    minion.call("ipalias.remove", ["198.51.100.13/32"], interface="eth0")
    assert live(minion) == {"203.0.113.9/32"} and not minion.host.exists(DROPIN)


def test_apply_plan_diff_verify_and_clean(minion):
    minion.pillar = block("198.51.100.10", "198.51.100.64-198.51.100.66")
    planned = minion.call("ipalias.plan")
    assert planned["result"] is None and live(minion) == set()
    assert {row["state"] for row in minion.call("ipalias.diff")} == {"missing"}
    assert minion.call("ipalias.verify")["result"] is False
    done = minion.call("ipalias.apply")
    assert done["changes"] == planned["changes"] and done["result"] is True
    assert len(live(minion)) == 4
    assert minion.call("ipalias.diff") == []
    assert minion.call("ipalias.verify") == {"result": True, "problems": []}
    assert minion.call("ipalias.apply", "eth0")["changes"] == {}
    minion.host.ip("address", "del", "198.51.100.65/32", "dev", "eth0")
    [row] = minion.call("ipalias.diff", "eth0")
    assert (row["address"], row["state"]) == ("198.51.100.65/32", "missing-live")
    assert minion.call("ipalias.verify", "eth0")["result"] is False
    minion.call("ipalias.clean")
    assert live(minion) == set() and not minion.host.exists(DROPIN)


def test_apply_takes_a_block_and_a_pillar_path(minion):
    minion.call("ipalias.apply", "eth0", block={"addresses": ["198.51.100.10"]})
    assert live(minion) == {"198.51.100.10/32"}
    minion.pillar = {"elsewhere": block("198.51.100.11")}
    minion.call("ipalias.apply", pillar="ipalias:elsewhere")
    assert live(minion) == {"198.51.100.11/32"}
    said = minion.refusal("ipalias.apply", "eth5", pillar="ipalias:elsewhere")
    assert "ipalias:elsewhere:interfaces" in said


def test_what_is_added_by_hand_stays_and_shows_as_extra(minion):
    minion.pillar = block("198.51.100.10")
    minion.call("ipalias.add", ALIAS)
    minion.call("ipalias.apply")
    assert live(minion) == {f"{ALIAS}/32", "198.51.100.10/32"}
    [row] = minion.call("ipalias.diff")
    assert (row["address"], row["state"], row["origin"]) == (f"{ALIAS}/32", "extra", "hand")


def test_prune_takes_what_left_the_pillar(minion):
    minion.pillar = block("198.51.100.10")
    minion.call("ipalias.apply")
    minion.call("ipalias.add", ALIAS)
    minion.pillar = {}
    assert minion.call("ipalias.prune")["changes"]["addresses"]["removed"] == ["198.51.100.10/32"]
    assert live(minion) == {f"{ALIAS}/32"}


def test_show_tells_every_address_and_what_it_is(minion):
    minion.pillar = block("198.51.100.10")
    minion.call("ipalias.apply")
    minion.host.ip("address", "add", "203.0.113.9/32", "dev", "eth0")
    rows = {row["address"]: row for row in minion.call("ipalias.show", "eth0")}
    assert rows["192.0.2.2/24"]["state"] == "primary"
    assert rows["203.0.113.9/32"]["state"] == "foreign"
    ours = rows["198.51.100.10/32"]
    assert (ours["state"], ours["origin"], ours["live"]) == ("ok", "pillar", True)
    assert ours["file"].startswith(f"{DROPIN}:")


def test_detect_uses_and_backends(minion):
    told = minion.call("ipalias.detect", "eth0")["eth0"]
    assert told["owner"] == "networkd" and told["evidence"][0]["file"] == NETWORK
    assert {row["backend"] for row in told["rejected"]} >= {"netplan", "ifupdown", "networkmanager"}
    assert all(row["reasons"] for row in told["rejected"])
    assert minion.call("ipalias.uses", "networkd") is False  # its daemon does not run here
    described = minion.call("ipalias.backends")
    assert set(described) >= {"networkd", "netplan", "ifupdown", "networkmanager", "cpanel"}
    assert described["networkd"]["max_addresses"] == 8192


def test_import_pillar_gives_back_what_is_there(minion):
    minion.host.write(NETWORK, f"{ORIGINAL}Address=198.51.100.10/32\n")
    minion.host.ip("address", "add", "198.51.100.11/32", "dev", "eth0")
    told = minion.call("ipalias.import_pillar")
    assert told["ipalias"]["interfaces"]["eth0"]["addresses"] == ["198.51.100.10", "198.51.100.11"]
    assert minion.call("ipalias.import_pillar", "eth0") == told


def test_announce_tells_the_neighbours_of_ours_alone(minion):
    minion.call("ipalias.add", f"{ALIAS},2001:db8:1::1")
    told = minion.call("ipalias.announce", count=1, interval=0)
    assert told["announced"] == 2
    assert minion.call("ipalias.announce", ALIAS, interface="eth0", count=1)["announced"] == 1
    assert "not a live alias of ours" in minion.refusal("ipalias.announce", "192.0.2.2")
    assert "count" in minion.refusal("ipalias.announce", count=1000)


def test_pin_default_follows_the_route_when_told(minion):
    minion.call("ipalias.add", ALIAS)
    minion.host.ip_batch(
        "link add eth1 type veth peer name p1",
        "link set eth1 up",
        "address add 203.0.113.1/24 dev eth1",
        "route del default",
        "route add default via 203.0.113.254 dev eth1",
    )
    said = minion.refusal("ipalias.add", "198.51.100.13")
    assert "eth1" in said and "eth0" in said and "pin_default" in said
    tried = minion.call("ipalias.pin_default", test=True)
    assert tried["result"] is None and "eth0" in minion.host.read(f"{STATE}/ledger.json")
    assert minion.call("ipalias.pin_default")["changes"] == tried["changes"]
    ledger = json.loads(minion.host.read(f"{STATE}/ledger.json"))
    assert ledger["default"]["4"] == "eth1"


def test_restart_says_what_it_runs_and_what_that_cuts(minion):
    answer = minion.call("ipalias.restart", "eth0", scope="interface", test=True)
    assert answer["result"] is None
    assert answer["changes"]["commands"] == ["networkctl reconfigure eth0"]
    assert "may be cut" in answer["comment"]
    gentle = minion.call("ipalias.restart", scope="alias", test=True)
    assert gentle["result"] is None
    assert "networkd did not set are dropped" in gentle["comment"]
    assert "alias, interface, network" in minion.refusal("ipalias.restart", scope="host")
    assert "eth9" in minion.refusal("ipalias.restart", "eth9")


def test_restore_puts_an_original_back(minion):
    host = minion.host
    host.remove(NETWORK)
    host.write("/etc/network/interfaces", INTERFACES)
    minion.pillar = {"backend": "ifupdown", **block("198.51.100.10")}
    minion.call("ipalias.apply")
    assert host.read("/etc/network/interfaces") != INTERFACES
    path = "/etc/network/interfaces"
    tried = minion.call("ipalias.restore", path, test=True)
    assert tried["result"] is None and path in str(tried["changes"])
    assert host.read(path) != INTERFACES
    host.write(path, f"{host.read(path)}# mine\n")
    assert "force" in minion.refusal("ipalias.restore", path)
    minion.call("ipalias.restore", path, force=True)
    assert host.read(path) == INTERFACES
    assert "/etc/hosts" in minion.refusal("ipalias.restore", "/etc/hosts")


def test_journal_keeps_what_a_return_cannot_carry(minion):
    minion.pillar = block("2001:db8:1::1-2001:db8:1::200")
    answer = minion.call("ipalias.apply")
    added = answer["changes"]["addresses"]["added"]
    assert len(added) == 201 and added[-1] == "... 312 more"
    [diff] = answer["changes"]["files"].values()
    assert len(diff.splitlines()) == 201
    assert answer["journal"] in answer["comment"]
    assert minion.call("ipalias.journal") == [answer["journal"]]
    whole = minion.call("ipalias.journal", answer["journal"])
    assert len(whole["addresses"]["added"]) == 512
    assert "no journal entry" in minion.refusal("ipalias.journal", "../ledger")


def test_two_journal_entries_of_one_second_do_not_meet(minion):
    ranges = [f"2001:db8:{n}::1-2001:db8:{n}::c9" for n in (1, 2)]
    [first, second] = [
        ["call", "ipalias.add", [ranges[0]], {"live": False}],
        ["call", "ipalias.add", [ranges[1]], {"live": False}],
    ]
    told = [outcome.value for outcome in minion.ask(first, second)]
    names = [answer["journal"] for answer in told]
    assert minion.call("ipalias.journal") == sorted(names)
    for name, answer in zip(names, told, strict=True):
        whole = minion.call("ipalias.journal", name)
        assert set(whole["files"]) == set(answer["changes"]["files"])
        assert (
            whole["files"][DROPIN].splitlines()[:200]
            == (answer["changes"]["files"][DROPIN].splitlines()[:200])
        )


#: Functions that change something, with what makes them do so, and how the host is made ready.
CHANGES = {
    "add": (("198.51.100.40",), {}),
    "remove": ((ALIAS,), {}),
    "apply": ((), {}),
    "prune": ((), {"pillar": "ipalias:nothing"}),
    "clean": ((), {}),
    "pin_default": ((), {}),
    "restart": (("eth0",), {"scope": "network"}),
    "restore": (("/etc/network/interfaces",), {"force": True}),
}


@pytest.fixture
def busy(minion):
    """Give a host where each of `CHANGES` has something to do."""
    host = minion.host
    host.remove(NETWORK)
    host.write("/etc/network/interfaces", INTERFACES)
    minion.pillar = block("198.51.100.10")
    minion.call("ipalias.apply")
    minion.call("ipalias.add", ALIAS)
    minion.pillar = block("198.51.100.11")
    host.ip_batch(
        "link add eth1 type veth peer name p1",
        "link set eth1 up",
        "address add 203.0.113.1/24 dev eth1",
        "route add default via 203.0.113.254 dev eth1 metric 1",
        "route del default via 192.0.2.1",
    )
    host.ip("-6", "route", "del", "default")
    return minion


@pytest.mark.parametrize("name", CHANGES)
def test_a_rehearsal_has_no_effect_whatever(busy, name):
    args, kwargs = CHANGES[name]
    if name == "add":
        kwargs = {"interface": "eth0"}
    before = busy.picture()
    monitor = Monitor(busy.host)
    [answer] = busy.ask(["call", f"ipalias.{name}", list(args), {**kwargs, "test": True}])
    assert monitor.stop() == []
    assert busy.picture() == before
    assert not answer.error, answer.text
    assert answer.value["result"] is None and answer.value["changes"], answer.value


@pytest.mark.parametrize("name", [*CHANGES, "announce"])
def test_without_root_nothing_is_changed_and_the_reason_is_clear(busy, name):
    args, kwargs = CHANGES.get(name, ((), {}))
    before = busy.picture()
    [answer] = busy.ask(["call", f"ipalias.{name}", list(args), kwargs], uid=NOBODY)
    assert answer.error == "CommandExecutionError", answer
    assert "root" in answer.text and "minion" in answer.text
    assert busy.picture() == before
