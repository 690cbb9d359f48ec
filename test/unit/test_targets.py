"""What is whose, and what a request leaves behind: origins, purge, adopt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.simengine import LEDGER, aliases, block, engine, had, ledger, live, only_present
from rig.simhost import SimHost
from rig.simnm import OWNERS
from rig.simowners import networkd
from saltext.ipalias import backends
from saltext.ipalias.errors import InputError, RefusedError

OWN = {"192.0.2.2/24", "2001:db8::2/64"}
FOREIGN = "198.51.100.99/32"
MAIN = "/etc/systemd/network/50-eth0.network"
DROPIN = f"{MAIN}.d/60-ipalias.conf"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


@pytest.fixture
def host() -> SimHost:
    """Give a networkd host with an address that no file sets."""
    made = networkd()
    made.ip(["ip", "address", "add", FOREIGN, "dev", "eth0"], None)
    return made


def origins(host: SimHost) -> dict[str, str]:
    return {cidr: entry.origin for cidr, entry in ledger(host).on("eth0").items()}


def foreign_line(host: SimHost, cidr: str) -> None:
    """Let networkd's own file set one more address, which is live."""
    text = host.files.read(MAIN)
    assert text is not None
    host.files.put(MAIN, f"{text}\n[Address]\nAddress={cidr}\n")
    host.ip(["ip", "address", "add", cidr, "dev", "eth0"], None)


# Origins


def test_each_way_in_has_its_origin(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.1"))
    engine(owned, block("203.0.113.2")).managed()
    assert origins(owned) == {"203.0.113.1/32": "hand", "203.0.113.2/32": "pillar"}


def test_what_was_added_by_hand_stays_through_every_highstate(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.1"))
    for addresses in (["203.0.113.2"], ["203.0.113.3"], []):
        engine(owned, block(*addresses)).managed()
        assert live(owned) == {*OWN, "203.0.113.1/32", *(f"{one}/32" for one in addresses)}
    engine(owned, None).remove([("203.0.113.1", None)])
    assert live(owned) == OWN
    assert origins(owned) == {}


def test_by_hand_then_in_the_pillar_is_the_pillars(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.1"))
    engine(owned, block("203.0.113.1")).managed()
    assert origins(owned) == {"203.0.113.1/32": "pillar"}
    engine(owned, block()).managed()
    assert live(owned) == OWN


def test_in_the_pillar_then_by_hand_stays_the_pillars(owned: SimHost) -> None:
    engine(owned, block("203.0.113.1")).managed()
    engine(owned, block("203.0.113.1")).add(aliases("203.0.113.1"))
    assert origins(owned) == {"203.0.113.1/32": "pillar"}


@pytest.mark.parametrize("dialect", ["ifupdown", "networkd", "netplan"])
def test_after_a_loss_our_files_tell_and_nothing_is_taken(dialect: str) -> None:
    host = OWNERS[dialect]()
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    host.files.drop(LEDGER)
    engine(host, block("203.0.113.1")).managed()
    assert origins(host) == {"203.0.113.1/32": "pillar", "203.0.113.2/32": "unknown"}
    assert "203.0.113.2/32" in live(host)
    engine(host, block("203.0.113.1")).clean()
    assert live(host) == OWN


def test_after_a_loss_a_keyfile_cannot_tell_and_nothing_is_taken() -> None:
    host = OWNERS["networkmanager"]()
    engine(host, block("203.0.113.1")).managed()
    host.files.drop(LEDGER)
    engine(host, block("203.0.113.1")).clean()
    assert "203.0.113.1/32" in live(host)


# Purge


def test_owned_is_the_default_and_takes_only_what_left_the_pillar(host: SimHost) -> None:
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    engine(host, block("203.0.113.2")).managed()
    assert live(host) == {*OWN, FOREIGN, "203.0.113.2/32"}


def test_none_takes_nothing(host: SimHost) -> None:
    engine(host, block("203.0.113.1", "203.0.113.2")).managed()
    engine(host, block("203.0.113.2", purge="none")).managed()
    assert live(host) == {*OWN, FOREIGN, "203.0.113.1/32", "203.0.113.2/32"}
    engine(host, {"purge": "none"}).managed()
    assert live(host) == {*OWN, FOREIGN, "203.0.113.1/32", "203.0.113.2/32"}


def test_all_leaves_the_primaries_and_the_pillar(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    engine(host, None).add(aliases("203.0.113.9"))
    engine(host, block("203.0.113.1", purge="all")).managed()
    assert live(host) == {*OWN, "203.0.113.1/32"}
    assert "192.0.2.30" not in (host.files.read(MAIN) or "")
    assert "192.0.2.2/24" in (host.files.read(MAIN) or "")
    assert len([route for route in host.net.routes if route.destination == "default"]) == 2


def test_all_leaves_a_lease_and_a_link_local_address(host: SimHost) -> None:
    for address in host.net.links["eth0"].addresses4:
        address.dynamic = address.cidr == FOREIGN
    engine(host, block("203.0.113.1", purge="all")).managed()
    assert live(host) == {*OWN, FOREIGN, "203.0.113.1/32"}
    assert any(a.address == "fe80::2" for a in host.net.links["eth0"].addresses6)


@pytest.mark.parametrize("dialect", sorted(OWNERS))
def test_all_with_an_empty_list_leaves_the_primaries(dialect: str) -> None:
    host = OWNERS[dialect]()
    host.ip(["ip", "address", "add", FOREIGN, "dev", "eth0"], None)
    engine(host, block(purge="all")).managed()
    assert live(host) == OWN


def test_an_interface_that_left_the_pillar_is_emptied_of_it() -> None:
    host = networkd(links=("eth0", "eth1"))
    before = live(host, "eth1")
    engine(host, block("203.0.113.1", interface="eth1")).managed()
    engine(host, None).add(aliases("203.0.113.2", interface="eth1"))
    engine(host, block("203.0.113.3")).managed()
    assert live(host, "eth1") == {*before, "203.0.113.2/32"}
    assert live(host) == {*OWN, "203.0.113.3/32"}


# Foreign lines


def test_a_foreign_line_counts_as_present(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    before = host.files.tree("/var")
    answer = engine(host, block("192.0.2.30/24")).managed()
    assert answer["changes"] == {}
    assert host.files.tree("/var") == before
    assert origins(host) == {}
    engine(host, block()).managed()
    assert "192.0.2.30/24" in live(host)


def test_a_foreign_line_that_is_not_live_is_brought_live(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    host.ip(["ip", "address", "delete", "192.0.2.30/24", "dev", "eth0"], None)
    engine(host, block("192.0.2.30/24")).managed()
    assert "192.0.2.30/24" in live(host)


def test_adopt_moves_a_line_in_one_change(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    untouched = host.files.read(MAIN) or ""
    answer = engine(host, block("192.0.2.30/24", adopt=True)).managed()
    assert set(answer["changes"]["files"]) == {MAIN, DROPIN}
    assert "addresses" not in answer["changes"]
    assert "192.0.2.30" not in (host.files.read(MAIN) or "")
    assert "Address=192.0.2.30/24" in (host.files.read(DROPIN) or "")
    assert origins(host) == {"192.0.2.30/24": "adopted"}
    assert untouched.startswith((host.files.read(MAIN) or "").rstrip("\n"))
    again = engine(host, block("192.0.2.30/24", adopt=True)).managed()
    assert again["changes"] == {}


def test_what_was_adopted_stays_when_it_leaves_the_pillar(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    engine(host, block("192.0.2.30/24", adopt=True)).managed()
    engine(host, block(adopt=True)).managed()
    assert "192.0.2.30/24" in live(host)
    assert origins(host) == {"192.0.2.30/24": "adopted"}
    engine(host, None).remove([("192.0.2.30", None)])
    assert "192.0.2.30/24" not in live(host)


def test_a_foreign_line_with_another_prefix_is_refused(owned: SimHost, host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    before = host.state()
    for adopt in (False, True):
        with pytest.raises(InputError) as caught:
            engine(host, block("192.0.2.30", adopt=adopt)).managed()
        message = str(caught.value)
        assert message.startswith("ipalias:interfaces:eth0:addresses[0]: 192.0.2.30/32 is ")
        assert f"configured as 192.0.2.30/24 by {MAIN}:" in message
        assert "write 192.0.2.30/24 here" in message
    assert host.state() == before


def test_a_foreign_line_is_not_ours_to_remove(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    with pytest.raises(RefusedError, match=rf"192\.0\.2\.30 is not ours: {MAIN}:\d+ sets it"):
        engine(host, None).remove([("192.0.2.30", None)])


def test_a_foreign_live_address_is_not_ours_to_remove(host: SimHost) -> None:
    with pytest.raises(RefusedError, match="not ours: it was added by someone else"):
        engine(host, None).remove([("198.51.100.99", None)])


def test_the_primary_is_not_ours_to_remove(owned: SimHost) -> None:
    for address in ("192.0.2.2", "2001:db8::2"):
        with pytest.raises(RefusedError, match=f"{address} is the primary address of eth0"):
            engine(owned, None).remove([(address, None)])


def test_what_is_not_there_is_removed_already(owned: SimHost) -> None:
    answer = engine(owned, None).remove([("203.0.113.1", None)])
    assert (answer["result"], answer["changes"]) == (True, {})


def test_adding_what_a_foreign_line_has_is_refused(host: SimHost) -> None:
    foreign_line(host, "192.0.2.30/24")
    with pytest.raises(RefusedError, match=f"already configured by {MAIN}:"):
        engine(host, None).add(aliases("192.0.2.30/24"))


def test_a_prefix_names_only_what_has_it(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.1"))
    with pytest.raises(InputError, match=r"203\.0\.113\.1/24 is not there, 203\.0\.113\.1/32 is"):
        engine(owned, None).remove([("203.0.113.1", 24)])
    assert "203.0.113.1/32" in live(owned)
    engine(owned, None).remove([("203.0.113.1", 32)])
    assert live(owned) == OWN


def test_an_address_may_be_there_once_only(owned: SimHost) -> None:
    engine(owned, None).add(aliases("203.0.113.1"))
    with pytest.raises((InputError, RefusedError), match=r"203\.0\.113\.1/24.*203\.0\.113\.1/32"):
        engine(owned, None).add(aliases("203.0.113.1/24"))


def test_the_pillar_decides_on_the_prefix(owned: SimHost) -> None:
    for address in had(owned, "203.0.113.1", "2001:db8:1::1"):
        engine(owned, None).add(aliases(address))
    wider = had(owned, "203.0.113.1/24", "2001:db8:1::1/64")
    engine(owned, block(*wider)).managed()
    assert live(owned) == {*OWN, *wider}


def test_a_foreign_line_cannot_keep_the_promise_of_the_source(host: SimHost) -> None:
    foreign_line(host, "198.51.100.30/32")
    hidden = {"address": "198.51.100.30", "source": "never"}
    with pytest.raises(InputError, match=rf"{MAIN}:\d+ sets it without; set `adopt: true`"):
        engine(host, block(hidden)).managed()
    engine(host, block(hidden, adopt=True)).managed()
    (address,) = [a for a in host.net.links["eth0"].addresses4 if a.address == "198.51.100.30"]
    assert address.scope == "host"


def test_clean_takes_everything_of_ours_and_nothing_else(owned: SimHost) -> None:
    # What the owner makes anew by itself follows what is live, FOREIGN too.
    derived = getattr(backends.load(owned.owner or "networkd"), "DERIVED", ())
    before = owned.files.tree("/var", *derived)
    owned.ip(["ip", "address", "add", FOREIGN, "dev", "eth0"], None)
    engine(owned, block(*had(owned, "203.0.113.1", "2001:db8:1::1"))).managed()
    engine(owned, None).add(aliases("203.0.113.2"))
    engine(owned, None).clean()
    assert live(owned) == {*OWN, FOREIGN}
    assert owned.files.tree("/var", *derived) == before
    assert replace(ledger(owned), lost=False).interfaces == {}
    assert ledger(owned).default == {}


def test_clean_needs_no_readable_pillar(owned: SimHost) -> None:
    engine(owned, block("203.0.113.1")).managed()
    engine(owned, {"interfaces": 7}).clean()
    assert live(owned) == OWN
