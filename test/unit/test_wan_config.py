"""The block ipalias:wan: every form it takes, and every slip it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from saltext.ipalias.errors import InputError
from saltext.ipalias.values import parse_duration, parse_share, span
from saltext.ipalias.wan.config import (
    NAT_KEYS,
    NUMBER_KEYS,
    UPLINK_KEYS,
    WAN_KEYS,
    parse_wan,
    refuse_misplaced,
)
from saltext.ipalias.wan.config_probe import PROBE_KEYS
from saltext.ipalias.wan.config_targets import TARGET_KEYS
from saltext.ipalias.wan.model import Line, Silence, Threshold, WanConfig
from saltext.ipalias.wan.profiles import DEFAULT, FAST, GUIDE

FIRST: dict[str, Any] = {
    "interface": "eth1",
    "gateway": "192.0.2.1",
    "targets": ["203.0.113.7", "203.0.113.8"],
}
SECOND: dict[str, Any] = {
    "interface": "eth2",
    "gateway": "198.51.100.1",
    "targets": ["203.0.113.9"],
}


def block(first: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """Return a block of two uplinks; a value None takes a key out."""
    one = {**FIRST, **(first or {})}
    one = {key: value for key, value in one.items() if value is not None}
    return {"uplinks": {"wan1": one, "wan2": SECOND}, **top}


def refused(data: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_wan(data)
    return str(caught.value)


# Forms


def test_nothing_is_an_empty_configuration():
    assert parse_wan(None) == WanConfig()


def test_a_line_for_each_family_of_an_uplink():
    config = parse_wan(
        block(
            {
                "gateway6": "2001:db8::1",
                "source6": "2001:db8::2",
                "targets": [
                    "203.0.113.7",
                    "2001:db8:1::7",
                    {"tcp": "203.0.113.7:443"},
                    {"tcp": "[2001:db8:1::7]:443"},
                    {"http": "https://Example.net/up?x=1", "expect": 204},
                    {"http": "http://192.0.2.200:8080", "family": 4},
                    {"dns": {"server": "203.0.113.53", "name": "example.net."}},
                    {"arp": "gateway"},
                ],
            }
        )
    )
    assert [way.line for _, way in config.ways()] == [
        Line("wan1", 4),
        Line("wan1", 6),
        Line("wan2", 4),
    ]
    told = {way.line.text(): [t.text() for t in way.targets] for _, way in config.ways()}
    assert told["wan1"] == [
        "icmp 203.0.113.7",
        "tcp 203.0.113.7:443",
        "https://example.net:443/up?x=1",
        "http://192.0.2.200:8080/",
        "dns example.net @203.0.113.53",
        "arp 192.0.2.1",
    ]
    assert told["wan1/6"] == [
        "icmp 2001:db8:1::7",
        "tcp 2001:db8:1::7:443",
        "https://example.net:443/up?x=1",
        "arp 2001:db8::1",
    ]
    http = config.uplinks[0].ways[0].targets[2]
    assert (http.expect, http.tls, http.where) == (204, True, "ipalias:wan:uplinks:wan1:targets[4]")


def test_the_profiles():
    def probe(**settings: Any) -> object:
        return parse_wan(block(probe=settings)).uplinks[0].probe

    assert probe() == DEFAULT
    assert probe(profile="fast") == FAST
    assert probe(profile="guide") == GUIDE
    assert (GUIDE.interval, GUIDE.timeout, GUIDE.fall, GUIDE.rise) == (30, 5, 1, 1)
    assert (GUIDE.confirm, GUIDE.adaptive, GUIDE.hold_down) == (False, False, 0)


def test_an_uplink_takes_over_what_it_does_not_say():
    first = {"probe": {"hold_down": "2m"}}
    one, two = parse_wan(block(first, probe={"profile": "fast", "rise": 5})).uplinks
    assert (one.probe.interval, one.probe.rise, one.probe.hold_down) == (0.1, 5, 120)
    assert (two.probe.rise, two.probe.hold_down) == (5, 2)


def test_an_uplink_with_a_profile_starts_from_that():
    one, two = parse_wan(block({"probe": {"profile": "guide"}}, probe={"rise": 7})).uplinks
    assert one.probe == GUIDE
    assert two.probe.rise == 7


def test_fall_means_rounds():
    settings = {"interval": 1, "timeout": "500ms", "fall": 3, "rise": 2, "hold_down": 5}
    probe = parse_wan(block(probe=settings)).uplinks[0].probe
    assert (probe.confirm, probe.fall, probe.timeout) == (False, 3, 0.5)


def test_a_timeout_that_nobody_named_fits_its_round():
    assert parse_wan(block(probe={"interval": 1, "fall": 3})).uplinks[0].probe.timeout == 1


def test_thresholds_and_silence():
    settings = {
        "loss": {"down": "40%", "up": 0.1, "window": "2m"},
        "latency": {"down": "300ms", "up": "100ms"},
        "silence": {"most": "1s"},
    }
    probe = parse_wan(block(probe=settings)).uplinks[0].probe
    assert probe.loss == Threshold(0.4, 0.1, 120)
    assert probe.latency == Threshold(0.3, 0.1, 60)
    assert probe.silence == Silence(0.3, 1.0)
    assert parse_wan(block(probe={"silence": 0.2})).uplinks[0].probe.silence == Silence(0.2, 0.2)
    assert parse_wan(block(probe={"loss": False})).uplinks[0].probe.loss is None


def test_a_window_that_nobody_named_follows_the_interval():
    probe = parse_wan(block(probe={"interval": 20})).uplinks[0].probe
    assert probe.loss == Threshold(0.4, 0.1, 200)


def test_tiers_follow_the_order_with_the_policy_tier():
    assert [u.tier for u in parse_wan(block()).uplinks] == [1, 1]
    assert [u.tier for u in parse_wan(block(policy="tier")).uplinks] == [1, 2]
    assert [u.tier for u in parse_wan(block({"tier": 9}, policy="tier")).uplinks] == [9, 2]


def test_the_rest_of_the_block():
    config = parse_wan(
        block(
            react="event",
            react_timeout="2s",
            failback="flush",
            lan=["eth0"],
            numbers={"mark_shift": 8, "table": 1000},
            nat={
                "networks": ["198.18.0.0/24", "2001:db8:a::/64"],
                "prefixes": {"wan1": "2001:db8:b::/64"},
            },
        )
    )
    assert (config.react, config.react_timeout, config.failback) == ("event", 2, "flush")
    assert config.lan == ("eth0",)
    assert (config.numbers.mark(2), config.numbers.table_of(2)) == (0x200, 1001)
    assert config.nat.networks == ("198.18.0.0/24",)
    assert (config.nat.networks6, config.nat.prefixes) == (
        ("2001:db8:a::/64",),
        {"wan1": "2001:db8:b::/64"},
    )


def test_two_link_local_gateways_may_be_alike_on_two_links():
    one = {**FIRST, "gateway6": "fe80::1", "targets": [*FIRST["targets"], "2001:db8::7"]}
    two = {**SECOND, "gateway6": "fe80::1", "targets": [*SECOND["targets"], "2001:db8::7"]}
    assert len(parse_wan({"uplinks": {"wan1": one, "wan2": two}}).ways()) == 4


EXAMPLE = (Path(__file__).resolve().parents[2] / "pillar.example").read_text(encoding="utf-8")
GUIDE_PAGE = (Path(__file__).resolve().parents[2] / "docs/wan.md").read_text(encoding="utf-8")


def example(settings: bool) -> Any:
    """Return the block of the example, with the settings that are commented out twice, or not."""
    text = EXAMPLE[EXAMPLE.index("  # wan:\n") :]
    text = re.sub(r"^  # ", "", text, flags=re.MULTILINE)
    if settings:
        keys = "|".join({*PROBE_KEYS} - {"fall"})
        text = re.sub(rf"^( +)# ((?:{keys}): )", r"\1\2", text, flags=re.MULTILINE)
    return yaml.safe_load(text)["wan"]


@pytest.mark.parametrize("settings", [False, True])
def test_the_example_is_what_the_library_reads(settings: bool):
    config = parse_wan(example(settings))
    assert [u.name for u in config.uplinks] == ["wan1", "wan2"]
    assert len(config.uplinks[0].ways[0].targets) == 5
    assert config.uplinks[0].probe.silence == FAST.silence
    assert (config.uplinks[0].probe.latency is not None) == settings


KEYS = {*WAN_KEYS, *UPLINK_KEYS, *PROBE_KEYS, *TARGET_KEYS, *NAT_KEYS, *NUMBER_KEYS}


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_reference_explains(key: str):
    assert re.search(rf"`[^`]*\b{key}\b[^`]*`", GUIDE_PAGE), "docs/wan.md"


# What is refused, by name

FIRST_AT = "ipalias:wan:uplinks:wan1"


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"weight": 0}, f"{FIRST_AT}:weight: 0 is not a whole number 1 to 255"),
        ({"weigth": 1}, "did you mean `weight`?"),
        ({"interface": None}, f"{FIRST_AT}: `interface` is missing"),
        ({"interface": "default"}, f"{FIRST_AT}:interface: `default`"),
        ({"interface": "eth0; reboot"}, f"{FIRST_AT}:interface: "),
        ({"gateway": None}, f"{FIRST_AT}: `gateway` is missing"),
        ({"gateway": "2001:db8::1"}, f"{FIRST_AT}:gateway: 2001:db8::1 is not IPv4"),
        ({"gateway": "192.0.2.0/24"}, f"{FIRST_AT}:gateway: "),
        ({"gateway": "198.51.100.1"}, "wan2: gateway 198.51.100.1 is that of wan1 already"),
        ({"source": "192.0.2.1"}, f"{FIRST_AT}:source: source and gateway are the same"),
        ({"source6": "2001:db8::5"}, f"{FIRST_AT}:source6: a source without `gateway6`"),
        ({"require": "most"}, f"{FIRST_AT}:require: 'most' is unknown"),
        ({"targets": []}, f"{FIRST_AT}:targets: the uplink has no IPv4 target"),
        ({"targets": None}, f"{FIRST_AT}:targets: the uplink has no IPv4 target"),
        ({"targets": "203.0.113.7"}, f"{FIRST_AT}:targets: '203.0.113.7' is not a list"),
        ({"targets": ["203.0.113.300"]}, f"{FIRST_AT}:targets[0]: '203.0.113.300' is not an IP"),
        ({"targets": ["203.0.113.7"] * 2}, f"{FIRST_AT}:targets[1]: target icmp 203.0.113.7 sta"),
        ({"targets": ["198.51.100.1"]}, "target icmp 198.51.100.1 is the gateway of wan2"),
        ({"targets": ["2001:db8::7"]}, "is IPv6, and the uplink has no `gateway6`"),
        ({"targets": [{"tcp": "203.0.113.7"}]}, f"{FIRST_AT}:targets[0]:tcp: '203.0.113.7' is not"),
        ({"targets": [{"tcp": "203.0.113.7:0"}]}, "is not ADDRESS:PORT"),
        ({"targets": [{"tcp": "203.0.113.7:70000"}]}, "is not ADDRESS:PORT"),
        ({"targets": [{"http": "ftp://example.net"}]}, "is not a URL"),
        ({"targets": [{"http": "http://example.net/a\r\nHost: b"}]}, "is not a URL"),
        ({"targets": [{"http": "http://me:secret@example.net/"}]}, "take user, password"),
        ({"targets": [{"http": "http://[::1"}]}, "is not a URL"),
        ({"targets": [{"http": "http://a.example", "expect": 20}]}, "targets[0]:expect: 20 is not"),
        ({"targets": [{"tcp": "a.example:1", "expect": 200}]}, "`expect` is for http alone"),
        ({"targets": [{"dns": {"server": "ns.example.net", "name": "a"}}]}, "dns:server: "),
        ({"targets": [{"dns": {"server": "203.0.113.53", "name": "a b"}}]}, "dns:name: 'a b' is n"),
        ({"targets": [{"arp": "203.0.113.7"}]}, "write {arp: gateway}"),
        ({"targets": [{"icmp": "a.example", "arp": "gateway"}]}, "in exactly one way"),
        ({"targets": [{}]}, "in exactly one way"),
        ({"targets": [7]}, "targets[0]: 7 is not a mapping"),
        ({"targets": ["-a.example"]}, "targets[0]: '-a.example' is not a host name"),
        ({"targets": [{"icmp": "203.0.113.7", "family": 6}]}, "is not of that family"),
    ],
)
def test_an_uplink_that_cannot_be_meant(first: dict[str, Any], said: str):
    assert said in refused(block(first))


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"interval": 1, "timeout": 2}, "probe:timeout: a probe of 2 s is longer than its int"),
        ({"profile": "fast", "timeout": "500ms"}, "is longer than its interval, 100 ms"),
        ({"profile": "fst"}, "did you mean `fast`?"),
        ({"interval": "soon"}, "probe:interval: 'soon' is not a span of time"),
        ({"interval": 0}, "probe:interval: 0 is not between 20 ms and 3600 s"),
        ({"interval": True}, "probe:interval: True is not a span of time"),
        ({"interval": float("nan")}, "probe:interval: nan is not between"),
        ({"rise": 0}, "probe:rise: 0 is not a whole number 1 to 1000"),
        (
            {"loss": {"down": "10%", "up": "40%"}},
            "`up` '40%' is not below `down` '10%'",
        ),
        ({"loss": {"down": "10%", "up": "10%"}}, "is not below"),
        ({"loss": {"down": "140%", "up": "10%"}}, "probe:loss:down: '140%' is not a share"),
        ({"loss": {"window": "1s"}}, "a window of 1 s holds fewer than 10 probes 500 ms apart"),
        ({"latency": {"up": "1ms"}}, "probe:latency: `down` is missing"),
        ({"latency": {"down": "3s"}}, "latency:down: a latency of 3 s is never measured"),
        ({"confirm": True, "fall": 2}, "probe:fall: `fall` counts rounds"),
        ({"fall": 2, "silence": 1}, "probe:silence: `silence` is for `confirm`"),
        ({"silence": {"least": 2, "most": 1}}, "probe:silence: `least` 2 s is above `most` 1 s"),
        ({"silence": 0.001}, "is not between 20 ms"),
        ({"profile": "guide", "loss": {"down": 0.4}}, "a window of 60 s holds fewer than 10"),
        ({"within": "1s"}, "wan1 is detected within 7.07 s at worst, not within 1 s"),
        ({"profile": "guide", "within": "30s"}, "wan1 is detected within 35.02 s at worst"),
        ([], "probe: list is not a mapping"),
    ],
)
def test_settings_that_contradict_each_other(probe: Any, said: str):
    assert said in refused(block(probe=probe))


def test_a_promise_that_is_kept_is_accepted():
    settings = {"profile": "fast", "timeout": "100ms", "silence": "200ms", "within": "1s"}
    assert parse_wan(block(probe=settings)).uplinks[0].probe.silence == Silence(0.2, 0.2)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ({"uplink": {}}, "did you mean `uplinks`?"),
        ({"policy": "random"}, "ipalias:wan:policy: 'random' is unknown"),
        ({"react_timeout": 5}, "ipalias:wan:react_timeout: "),
        ({"react": "event", "react_timeout": 0}, "react_timeout: 0 is not between"),
        ({"lan": ["eth1"]}, "ipalias:wan:lan[0]: eth1 is an uplink's"),
        ({"nat": {"networks": ["192.0.2.7/24"]}}, "nat:networks[0]: '192.0.2.7/24' is not a net"),
        ({"nat": {"networks": ["203.0.113.0/24"]}}, "lies inside 203.0.113.0/24 (`nat:networks`)"),
        ({"nat": {"prefixes": {"wan3": "2001:db8::/64"}}}, "there is no uplink 'wan3'"),
        ({"nat": {"prefixes": {"wan1": "2001:db8::/64"}}}, "prefixes without an IPv6 network"),
        (
            {"nat": {"networks": ["2001:db8:1::/64"], "prefixes": {"wan1": "2001:db8::/56"}}},
            "are not of one length",
        ),
        ({"numbers": {"mark_shift": 30}}, "a mark has 32 bits"),
        ({"numbers": {"mark_bits": 1}}, "2 uplinks do not fit into 1 bits"),
        ({"numbers": {"table": 252}}, "tables 253 to 255 are the kernel's own"),
        # Where our default routes go: behind the last uplink that could be numbered.
        ({"numbers": {"mark_bits": 4, "table": 238}}, "tables 253 to 255 are the kernel's own"),
        ({"numbers": {"mark_bits": 4, "table": 240}}, "tables 253 to 255 are the kernel's own"),
        ({"numbers": {"priority": 32764}}, "come too late"),
        ({"numbers": {"protocol": 4}}, "numbers:protocol: 4 is not a whole number 5 to 255"),
        ({"uplinks": []}, "ipalias:wan:uplinks: list is not a mapping"),
        ({"uplinks": {"wan 1": FIRST}}, "'wan 1' is not a name for an uplink"),
    ],
)
def test_a_block_that_cannot_be_meant(top: dict[str, Any], said: str):
    assert said in refused({**block(), **top})


# What the host's interfaces contradict

ADDRESSES = {
    "eth0": ["198.18.0.1/24"],
    "eth1": ["192.0.2.2/24"],
    "eth2": ["198.51.100.2/24"],
}


def misplaced(first: dict[str, Any], **more: Any) -> str:
    onlink = more.pop("onlink", {})
    with pytest.raises(InputError) as caught:
        refuse_misplaced(parse_wan(block(first, **more)), ADDRESSES, onlink)
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "more", "said"),
    [
        ({"gateway": "203.0.113.1"}, {}, f"{FIRST_AT}:gateway: gateway 203.0.113.1 is not on the"),
        ({"gateway": "192.0.2.2"}, {}, f"{FIRST_AT}:gateway: gateway 192.0.2.2 is an address of"),
        ({"interface": "eth9"}, {}, "there is no interface eth9; this host has eth0, eth1, eth2"),
        ({"source": "192.0.2.9"}, {}, f"{FIRST_AT}:source: 192.0.2.9 is not an address of eth1"),
        ({"targets": ["198.51.100.2"]}, {}, "target 198.51.100.2 is this host"),
        ({"targets": ["198.18.0.9"]}, {"lan": ["eth0"]}, "lies inside 198.18.0.1/24 (eth0)"),
        ({}, {"lan": ["eth7"]}, "ipalias:wan:lan: there is no interface eth7"),
    ],
)
def test_a_block_that_this_host_contradicts(first: Any, more: Any, said: str):
    assert said in misplaced(first, **more)


def test_a_gateway_behind_a_route_of_scope_link_is_on_the_link():
    config = parse_wan(block({"gateway": "203.0.113.1"}))
    refuse_misplaced(config, ADDRESSES, {"eth1": ["203.0.113.1/32"]})
    refuse_misplaced(parse_wan(block()), ADDRESSES, {})


# Values


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(1, 1.0), (0.25, 0.25), ("500ms", 0.5), ("60s", 60.0), ("2 m", 120.0), ("1.5h", 5400.0)],
)
def test_a_span_of_time(value: object, seconds: float):
    assert parse_duration(value, "here") == seconds


@pytest.mark.parametrize("value", ["60", "1d", "-1s", "", None, [], "1e3s", "٣s", 10**400])
def test_no_span_of_time(value: object):
    with pytest.raises(InputError, match=r"^here: "):
        parse_duration(value, "here")


@pytest.mark.parametrize(("value", "share"), [("40%", 0.4), (0.4, 0.4), (1, 1.0), ("0 %", 0.0)])
def test_a_share(value: object, share: float):
    assert parse_share(value, "here") == pytest.approx(share)


@pytest.mark.parametrize("value", ["40", 40, -0.1, "101%", True, None, -(10**400)])
def test_no_share(value: object):
    with pytest.raises(InputError, match=r"^here: "):
        parse_share(value, "here")


def test_a_span_for_people():
    assert [span(s) for s in (0.08, 1, 2.5, 3600, 0)] == ["80 ms", "1 s", "2.5 s", "3600 s", "0 s"]
