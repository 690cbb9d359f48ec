"""One member's side of a pair: what is crossed, what only one has, what both share."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rig.dhcppair import GUIDE, LEAST, changed
from saltext.ipalias.dhcp import isc, iscdefaults, kea, omapikey
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.model import OmapiKey, Range
from saltext.ipalias.errors import ParseError, UnsupportedError

PRIMARY = "192.0.2.10"
KEY = OmapiKey("ipalias-omapi", "hmac-sha256", "c2VjcmV0")


def sides(base: dict[str, Any] = LEAST, **at: Any) -> tuple[str, str]:
    config = parse_dhcp(changed(base, **at))
    primary, secondary = config.pair.members
    return isc.render_isc(config, primary), isc.render_isc(config, secondary)


def peer(text: str) -> dict[str, str]:
    """Return the statements of the pair's declaration."""
    [inside] = re.findall(r'failover peer "[^"]+" {\n(.*?)\n}', text, re.DOTALL)
    words = [line.strip().rstrip(";") for line in inside.splitlines()]
    return dict(word.rpartition(" ")[::2] for word in words)


def both(**at: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    config = parse_dhcp(changed(LEAST, implementation="kea", **at))
    primary, secondary = config.pair.members
    return (
        json.loads(kea.render_kea(config, primary))["Dhcp4"],
        json.loads(kea.render_kea(config, secondary))["Dhcp4"],
    )


def relationship(whole: dict[str, Any]) -> dict[str, Any]:
    [found] = whole["hooks-libraries"][1]["parameters"]["high-availability"]
    assert isinstance(found, dict)
    return found


# ISC


def test_one_primary_and_address_and_port_crossed() -> None:
    """opnsense/core#2074, here with two different ports."""
    first, second = sides(pair__members__dhcp1__port=647, pair__members__dhcp2__port=847)
    one, other = peer(first), peer(second)
    assert [side[""] for side in (one, other)] == ["primary", "secondary"]
    assert (one["address"], one["port"]) == ("192.0.2.10", "647")
    assert (one["peer address"], one["peer port"]) == ("192.0.2.20", "847")
    for here, there in ((one, other), (other, one)):
        assert (here["address"], here["port"]) == (there["peer address"], there["peer port"])


def test_mclt_and_split_are_the_primarys_alone() -> None:
    first, second = sides()
    assert (peer(first)["mclt"], peer(first)["split"]) == ("3600", "128")
    assert not {"mclt", "split"} & set(peer(second))


def test_the_rest_is_the_same_on_both() -> None:
    first, second = sides(GUIDE)
    declaration = re.compile(r"failover peer .*?\n}\n", re.DOTALL)
    assert (
        declaration.sub("", first).splitlines()[2:] == declaration.sub("", second).splitlines()[2:]
    )
    shared = {
        key: (peer(first)[key], peer(second)[key])
        for key in ("max-response-delay", "max-unacked-updates", "load balance max seconds")
    }
    assert shared == {
        "max-response-delay": ("60", "60"),
        "max-unacked-updates": ("10", "10"),
        "load balance max seconds": ("3", "3"),
    }


def test_every_pool_names_the_pair() -> None:
    more = {"subnet": "198.51.100.0/24", "ranges": ["198.51.100.9-198.51.100.19"]}
    text, _ = sides(subnets=[*LEAST["subnets"], more, {"subnet": "203.0.113.0/24"}])
    assert text.count("  pool {") == text.count('    failover peer "dhcp-failover";') == 2


def test_a_client_with_an_address_of_its_own_stands_outside_of_subnets() -> None:
    text, _ = sides(
        subnets__0__reservations=[
            {"mac": "02:00:5e:10:00:01", "address": "192.0.2.30", "hostname": "printer"}
        ]
    )
    assert text.endswith(
        "\n}\n\nhost ipalias-02005e100001-192.0.2.30 {\n"
        "  hardware ethernet 02:00:5e:10:00:01;\n"
        "  fixed-address 192.0.2.30;\n"
        '  option host-name "printer";\n}\n'
    )


def test_a_key_opens_omapi_and_none_does_not() -> None:
    config = parse_dhcp(LEAST)
    text = isc.render_isc(config, config.pair.primary, KEY)
    assert "algorithm hmac-sha256;" in text
    assert 'omapi-port 7911;\nomapi-key "ipalias-omapi";' in text
    assert "omapi" not in isc.render_isc(config, config.pair.primary)


def test_the_ping_before_an_offer() -> None:
    assert "ping-check true;\nping-timeout-ms 500;" in sides()[0]
    text, _ = sides(ping_timeout=0)
    assert "ping-check false;" in text
    assert "ping-timeout-ms" not in text


def test_a_file_of_ours_or_the_servers_own() -> None:
    assert isc.path_of(parse_dhcp(LEAST)) == "/etc/dhcp/ipalias.conf"
    assert isc.path_of(parse_dhcp(changed(LEAST, whole=True))) == "/etc/dhcp/dhcpd.conf"


# The init script's variables

DEFAULTS = """# Defaults for isc-dhcp-server
#DHCPDv4_CONF=/etc/dhcp/dhcpd.conf
OPTIONS="-q"   # quiet
INTERFACESv4=""
INTERFACESv6="eth9"
"""


def test_the_interfaces_are_set_and_other_lines_kept() -> None:
    config = parse_dhcp(changed(LEAST, interfaces=["eth0", "eth1.10"]))
    value = isc.interfaces_value(config)
    text = iscdefaults.set_interfaces(DEFAULTS, isc.DEFAULTS, value)
    assert text == DEFAULTS.replace('v4=""', 'v4="eth0 eth1.10"')
    assert iscdefaults.read_interfaces(text, isc.DEFAULTS) == "eth0 eth1.10"
    assert iscdefaults.set_interfaces(text, isc.DEFAULTS, value) == text


def test_a_file_without_the_variable_gets_it() -> None:
    text = iscdefaults.set_interfaces("# nothing\n", isc.DEFAULTS, "eth0")
    assert text == '# nothing\nINTERFACESv4="eth0"\n'


def test_the_file_dhcpd_is_started_with() -> None:
    assert iscdefaults.main_file(DEFAULTS, isc.DEFAULTS) == isc.MAIN
    other = "DHCPDv4_CONF=/etc/dhcp/other.conf\n"
    assert iscdefaults.main_file(other, isc.DEFAULTS) == "/etc/dhcp/other.conf"


def test_a_variable_that_only_a_shell_can_tell_is_refused() -> None:
    with pytest.raises(ParseError, match=re.escape(f"{isc.DEFAULTS}:1: only a shell")):
        iscdefaults.main_file("DHCPDv4_CONF=$(cat /etc/which)\n", isc.DEFAULTS)
    with pytest.raises(ParseError, match=re.escape(f"{isc.DEFAULTS}:2: has a carriage return")):
        iscdefaults.set_interfaces('# kept\nINTERFACESv4="eth0"\r\n', isc.DEFAULTS, "eth0")
    with pytest.raises(ParseError, match="under a condition"):
        iscdefaults.set_interfaces("if true; then\nINTERFACESv4=a\nfi\n", isc.DEFAULTS, "eth0")


# Kea


def test_keas_two_files_differ_in_the_name_alone() -> None:
    first, second = both()
    assert relationship(first).pop("this-server-name") == "dhcp1"
    assert relationship(second).pop("this-server-name") == "dhcp2"
    assert first == second


@pytest.mark.parametrize(
    ("addresses", "listens"),
    [
        ([f"{PRIMARY}/24"], f"eth0/{PRIMARY}"),
        (["198.51.100.7/24", f"{PRIMARY}/24", "192.0.2.77/24"], f"eth0/{PRIMARY}"),
        (["198.51.100.7/24", "192.0.2.77/24", "192.0.2.78/32"], "eth0/192.0.2.77"),
        (["198.51.100.7/24"], "eth0"),
        ([], "eth0"),
    ],
)
def test_kea_hears_clients_on_one_address_of_an_interface(
    addresses: list[str], listens: str
) -> None:
    config = parse_dhcp(changed(LEAST, implementation="kea"))
    me = config.pair.primary
    assert me.address == PRIMARY
    found = kea.listening(config, me, {"eth0": addresses, "eth1": [f"{PRIMARY}/24"]})
    assert found == [listens]
    whole = json.loads(kea.render_kea(config, me, listen=found))["Dhcp4"]
    assert whole["interfaces-config"]["interfaces"] == [listens]


def test_a_link_of_the_pairs_own_is_not_where_clients_are() -> None:
    """The members talk over a network without ranges; clients get an address that they reach."""
    subnets = [
        {"subnet": "198.51.100.0/24"},
        {"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]},
    ]
    members = {
        "dhcp1": {"address": "198.51.100.1", "role": "primary"},
        "dhcp2": {"address": "198.51.100.2", "role": "secondary"},
    }
    pair = {**LEAST["pair"], "members": members}
    config = parse_dhcp({**LEAST, "implementation": "kea", "subnets": subnets, "pair": pair})
    both = ["198.51.100.1/24", "192.0.2.10/24"]
    found = kea.listening(config, config.pair.primary, {"eth0": both})
    assert found == ["eth0/192.0.2.10"]


def test_clients_are_heard_on_an_address_of_the_network_before_one_alone() -> None:
    """Without it Kea does not start: an alias is taken away sooner than what it lies on."""
    subnets = [
        {"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]},
        {"subnet": "198.51.100.0/24", "ranges": ["198.51.100.100-198.51.100.199"]},
    ]
    block = {"implementation": "kea", "subnets": subnets, "interfaces": ["eth0", "eth1", "eth2"]}
    config = parse_dhcp({**LEAST, **block})
    live = {
        "eth0": ["192.0.2.50/32", "192.0.2.10/24"],
        "eth1": ["198.51.100.50/32", "198.51.100.10/24", "198.51.100.60/24"],
        "eth2": ["203.0.113.1/24", "198.51.100.70/32"],
    }
    found = kea.listening(config, config.pair.primary, live)
    assert found == ["eth0/192.0.2.10", "eth1/198.51.100.10", "eth2/198.51.100.70"]


def test_a_further_interface_of_one_address_is_named_alone() -> None:
    """There is nothing to choose, and its address may come later than Kea at boot."""
    subnets = [
        {"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]},
        {"subnet": "198.51.100.0/24", "ranges": ["198.51.100.100-198.51.100.199"]},
    ]
    block = {"implementation": "kea", "subnets": subnets, "interfaces": ["eth0", "eth1"]}
    config = parse_dhcp({**LEAST, **block})
    live = {"eth0": [f"{PRIMARY}/24"], "eth1": ["198.51.100.10/24"]}
    assert kea.listening(config, config.pair.primary, live) == [f"eth0/{PRIMARY}", "eth1"]


def test_keas_peers_have_address_and_port_of_their_own() -> None:
    peers = relationship(both(pair__members__dhcp2__port=847)[0])["peers"]
    assert [(one["url"], one["role"]) for one in peers] == [
        ("http://192.0.2.10:647/", "primary"),
        ("http://192.0.2.20:847/", "secondary"),
    ]


def test_a_standby_is_called_so() -> None:
    whole, _ = both(kea={"mode": "hot-standby"})
    assert [one["role"] for one in relationship(whole)["peers"]] == ["primary", "standby"]
    assert whole["subnet4"][0]["pools"] == [{"pool": "192.0.2.100 - 192.0.2.200"}]


def test_keas_times_are_milliseconds() -> None:
    found = relationship(both(profile="short")[0])
    keys = ("heartbeat-delay", "max-response-delay", "max-ack-delay", "max-unacked-clients")
    assert [found[key] for key in keys] == [500, 1500, 1000, 1]


def test_load_balancing_gives_out_two_halves() -> None:
    pools = both(kea={"mode": "load-balancing"})[0]["subnet4"][0]["pools"]
    assert pools == [
        {"pool": "192.0.2.100 - 192.0.2.150", "client-class": "HA_dhcp1"},
        {"pool": "192.0.2.151 - 192.0.2.200", "client-class": "HA_dhcp2"},
    ]


def test_halves_lose_no_address_and_are_even() -> None:
    ranges = [
        Range(f"192.0.2.{at}", f"192.0.2.{at + size}") for at, size in ((10, 0), (20, 4), (30, 6))
    ]
    parts = kea.halves(ranges)
    counts = [0, 0]
    seen: list[str] = []
    for cut in parts:
        for side, part in enumerate(cut):
            if part is not None:
                first, last = (int(text.rpartition(".")[2]) for text in (part.first, part.last))
                counts[side] += last - first + 1
                seen += [f"192.0.2.{at}" for at in range(first, last + 1)]
    assert len(seen) == len(set(seen)) == 1 + 5 + 7
    assert abs(counts[0] - counts[1]) <= 1


def test_a_subnets_number_is_not_its_place() -> None:
    more = {"subnet": "198.51.100.0/24"}
    first, _ = both(subnets=[*LEAST["subnets"], more])
    second, _ = both(subnets=[more, *LEAST["subnets"]])
    numbers = [{one["subnet"]: one["id"] for one in whole["subnet4"]} for whole in (first, second)]
    assert numbers[0] == numbers[1]
    assert len(set(numbers[0].values())) == 2


def test_leases_in_a_database_are_told_to_the_peer_unless_that_replicates() -> None:
    store = {"type": "mysql", "name": "kea", "port": 3307}
    whole, _ = both(kea__lease_database=store)
    assert whole["lease-database"] == {
        "type": "mysql",
        "name": "kea",
        "host": "localhost",
        "port": 3307,
    }
    told = {"send-lease-updates", "sync-leases"}
    assert not told & relationship(whole).keys()
    for whole in both(kea__lease_database={**store, "replicated": True}):
        assert {relationship(whole)[key] for key in told} == {False}


def test_what_kea_has_not_is_told() -> None:
    told = kea.uncarried(parse_dhcp(changed(LEAST, implementation="kea", pair__split=200)))
    assert [line.split()[0] for line in told] == [
        "load_balance_max_seconds",
        "mclt",
        "max_unacked_updates",
        "ping_timeout",
        "split",
    ]


@pytest.mark.parametrize(
    ("mine", "peers"), [("2.6.3", "2.7.1"), ("3.0.1", "2.2.0"), ("2.2.0", "2.6.3")]
)
def test_releases_that_do_not_understand_each_other_are_refused(mine: str, peers: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(f"Kea {mine} here and {peers}")):
        kea.refuse_versions(mine, peers, "ipalias:dhcp:pair")


def test_a_release_without_a_listener_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"Kea 1\.8 at the peer needs a control agent"):
        kea.refuse_versions("2.2.0", "1.8.2", "ipalias:dhcp:pair")


@pytest.mark.parametrize(
    ("mine", "peers"), [("2.2.0", "2.4.1"), ("2.6.3", "2.6.1"), ("3.0.1", "3.1.0"), ("2.6.3", "?")]
)
def test_releases_that_do_are_not(mine: str, peers: str) -> None:
    kea.refuse_versions(mine, peers, "ipalias:dhcp:pair")


@pytest.mark.parametrize(("mine", "shown"), [("2.2.0", True), ("2.6.3", False)])
def test_a_partners_release_shows_in_its_status(mine: str, shown: bool) -> None:
    """As 2.2 and 2.6 answer; the second of them as it does while 2.2 keeps it shut."""
    status: dict[str, Any] = {"high-availability": [{}], "pid": 7}
    if shown:
        status["dhcp-state"] = {"disabled-by-remote-command": [2000], "globally-disabled": True}
    with pytest.raises(UnsupportedError, match=re.escape(f"Kea {mine} here and 2.")):
        kea.refuse_versions(mine, kea.release_of(status), "ipalias:dhcp:pair")


@pytest.mark.parametrize(("mine", "shown"), [("2.2.0", False), ("2.6.3", True), ("3.0.1", True)])
def test_what_a_status_leaves_open_is_not_refused(mine: str, shown: bool) -> None:
    status: dict[str, Any] = {"dhcp-state": {}} if shown else {}
    kea.refuse_versions(mine, kea.release_of(status), "ipalias:dhcp:pair")


def test_the_peers_port_takes_a_peers_commands_alone() -> None:
    assert relationship(both()[0])["restrict-commands"] is True


# The key


def test_a_key_is_new_each_time_and_read_back() -> None:
    first, second = omapikey.make_key(), omapikey.make_key()
    assert first.secret != second.secret
    assert omapikey.parse_key(omapikey.render_key(first), "key") == first
    assert first.secret not in repr(first)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"key": {}}',
        omapikey.render_key(KEY),
        omapikey.render_key(OmapiKey("x", "hmac-md5", "A" * 44)),
        omapikey.render_key(OmapiKey('x"; }', "hmac-sha256", "A" * 44)),
    ],
)
def test_a_file_that_holds_no_key_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="is not a key of ours"):
        omapikey.parse_key(text, "/var/lib/ipalias/dhcp-omapi.json")
