"""Probes of each kind against real peers, over lines that only mark and source lead to."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from rig import wan as rig
from rig.process import wait_until
from rig.wan import SERVER, SERVER6, Wan
from saltext.ipalias.wan import byhand, names
from saltext.ipalias.wan.clocks import boot_clock
from saltext.ipalias.wan.events import Listener
from saltext.ipalias.wan.model import (
    ARP,
    DNS,
    HTTP,
    ICMP,
    TCP,
    Line,
    Numbers,
    Outcome,
    Probe,
    Target,
    Uplink,
    WanConfig,
    Way,
)
from saltext.ipalias.wan.probes import Prober
from saltext.ipalias.wan.sockets import Watch

#: Seconds that an answer may take at most before a test has failed; none is waited for.
PATIENCE = 5.0
_numbers = itertools.count(1)


def uplinks(*targets: Target) -> WanConfig:
    """Return two uplinks of both families, whose targets matter only by their kinds."""
    made = []
    for index, (name, (_, _, _, gateway, _, gateway6)) in enumerate(Wan.LINES.items(), 1):
        ways = (
            Way(Line(name, 4), name, gateway, "", targets),
            Way(Line(name, 6), name, gateway6, "", targets),
        )
        made.append(Uplink(name, index, name, ways))
    return WanConfig(tuple(made), numbers=Numbers())


class Bench:
    """The probing half of the monitor: the loop, the kernel's notices, the probes."""

    def __init__(self, config: WanConfig, **options: int) -> None:
        self.watch = Watch()
        self.listener = Listener(self.watch, config.numbers, **options)
        wait_until(self._is_synced, "links and addresses")
        self.listener.take()
        self.prober = Prober(config, self.listener.view, self.watch)

    def _is_synced(self) -> bool:
        self.watch.run_once(0.05)
        return self.listener.synced

    def send(self, line: Line, target: Target, timeout: float = PATIENCE) -> int:
        seq = next(_numbers)
        self.prober.send(Probe(line, target, seq, timeout))
        return seq

    def result(self, seq: int) -> Outcome:
        """Return what became of a probe."""

        def found() -> Outcome | None:
            self.watch.run_once(0.01)
            self.prober.expire(boot_clock())
            known = [*self.prober.outcomes, *self.prober.misses]
            return next((o for o in known if o.seq == seq), None)

        return wait_until(found, f"probe {seq}")

    def ask(self, line: Line, target: Target, timeout: float = PATIENCE) -> Outcome:
        return self.result(self.send(line, target, timeout))

    def close(self) -> None:
        self.prober.close()
        self.listener.close()
        self.watch.close()


KINDS = [
    Target(ICMP, SERVER),
    Target(TCP, SERVER, 7001),
    Target(HTTP, SERVER, 8080, "/204", 204),
    Target(HTTP, SERVER, 8443, "/", tls=True),
    Target(DNS, SERVER, 53, "www.example"),
    Target(ARP, "192.0.2.1"),
]
KINDS6 = [
    Target(ICMP, SERVER6),
    Target(TCP, SERVER6, 7001),
    Target(HTTP, SERVER6, 8080, "/204", 204),
    Target(HTTP, SERVER6, 8443, "/", tls=True),
    Target(DNS, SERVER6, 53, "www.example"),
    Target(ARP, "2001:db8:1::1"),
]


@pytest.fixture(scope="module")
def net() -> Iterator[Wan]:
    with Wan() as made:
        made.serve()
        yield made


@pytest.fixture
def bench(net: Wan) -> Iterator[Bench]:
    with rig.inside(net.router):
        made = Bench(uplinks(*KINDS, *KINDS6))
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("target", KINDS, ids=Target.text)
def test_a_probe_is_answered(bench: Bench, target: Target) -> None:
    outcome = bench.ask(Line("wan1", 4), target)
    assert outcome.rtt is not None and 0 < outcome.rtt < PATIENCE, outcome


@pytest.mark.parametrize("target", KINDS6, ids=Target.text)
def test_a_probe_over_ipv6_is_answered(bench: Bench, target: Target) -> None:
    outcome = bench.ask(Line("wan1", 6), target)
    assert outcome.rtt is not None and 0 < outcome.rtt < PATIENCE, outcome


@pytest.mark.parametrize("target", [Target(ARP, "fe80::1"), Target(ICMP, "fe80::1")], ids=str)
def test_a_link_local_gateway_is_asked_on_its_own_line(
    net: Wan, bench: Bench, target: Target
) -> None:
    """Both gateways have the same address, as providers' routers often do."""
    net.gateways["wan1"].ip("link", "set", "eth0", "down")
    try:
        lost = bench.send(Line("wan1", 6), target, 0.3)
        assert bench.ask(Line("wan2", 6), target).rtt is not None
        assert bench.result(lost).rtt is None
    finally:
        net.gateways["wan1"].ip("link", "set", "eth0", "up")
        net.gateways["wan1"].ip_batch(
            "address replace 2001:db8:1::1/64 dev eth0 nodad",
            "address replace fe80::1/64 dev eth0 nodad",
        )
    wait_until(lambda: bench.ask(Line("wan1", 6), target, 0.3).rtt, "the gateway's return")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Target(TCP, SERVER, 7002), "ECONNREFUSED"),
        (Target(HTTP, SERVER, 8080, "/500"), "HTTP status 500"),
        (Target(HTTP, SERVER, 8080, "/200", 204), "HTTP status 200"),
        # Closed with our request unread is a reset, closed before it an end.
        (Target(HTTP, SERVER, 7001, "/"), "closed unanswered|ECONNRESET|EPIPE"),
        (Target(HTTP, SERVER, 8080, "/", tls=True), "TLS"),
        (Target(DNS, SERVER, 53, "servfail.example"), "SERVFAIL"),
        (Target(DNS, SERVER, 5353, "www.example"), "ECONNREFUSED"),
        (Target(ICMP, "198.51.100.77"), "EHOSTUNREACH"),
    ],
    ids=lambda each: each.text() if isinstance(each, Target) else each,
)
def test_what_is_no_answer_is_named(bench: Bench, target: Target, error: str) -> None:
    outcome = bench.ask(Line("wan1", 4), target, 10.0)
    assert outcome.rtt is None and not outcome.late, outcome
    assert re.search(error, outcome.error), outcome


@pytest.mark.parametrize("name", ["mute.example", "other.example"])
def test_an_answer_to_another_question_is_none(bench: Bench, name: str) -> None:
    outcome = bench.ask(Line("wan1", 4), Target(DNS, SERVER, 53, name), 0.3)
    assert (outcome.rtt, outcome.error) == (None, "no answer")


def test_each_probe_takes_its_own_line(net: Wan, bench: Bench) -> None:
    net.cut("wan1")
    try:
        for target, target6 in zip(KINDS[:5], KINDS6[:5], strict=True):
            for family, each in ((4, target), (6, target6)):
                lost = bench.send(Line("wan1", family), each, 0.3)
                kept = bench.send(Line("wan2", family), each)
                assert bench.result(kept).rtt is not None, each
                assert bench.result(lost).rtt is None, each
    finally:
        net.mend("wan1")


@pytest.mark.parametrize("mode", ["0", "1", "2"])
def test_a_reply_passes_the_reverse_path_filter(net: Wan, bench: Bench, mode: str) -> None:
    """The main table has no default, as after a failover: mark and source rule suffice."""
    assert "default" not in net.router.ip("route").out
    keys = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "wan1")]
    net.router.run(["sysctl", "-qw", *(f"{key}={mode}" for key in keys)])
    try:
        assert bench.ask(Line("wan1", 4), KINDS[0]).rtt is not None
    finally:
        net.router.run(["sysctl", "-qw", *(f"{key}=0" for key in keys)])


@pytest.mark.parametrize("selector", ["fwmark 0x10000/0xff0000", "from {source}"])
def test_mark_and_source_each_lead_to_the_line(net: Wan, bench: Bench, selector: str) -> None:
    for family, source in ((4, "192.0.2.2"), (6, "2001:db8:1::2")):
        rule = ["pref", "18600", *selector.format(source=source).split(), "lookup", "18600"]
        net.router.ip(f"-{family}", "rule", "del", *rule)
        try:
            for target in (KINDS if family == 4 else KINDS6)[:5]:
                outcome = bench.ask(Line("wan1", family), target)
                assert outcome.rtt is not None, outcome
        finally:
            net.router.ip(f"-{family}", "rule", "add", *rule)


def test_a_neighbour_that_answers_arp_for_all_revives_no_dead_line(net: Wan) -> None:
    """With the line's route gone no probe goes on link, where proxy ARP would answer it."""
    gateway = net.gateways["wan1"]
    gateway.run(["sysctl", "-qw", "net.ipv4.conf.all.proxy_arp=1"])
    net.router.ip("route", "del", "default", "table", "18600")
    try:
        with rig.inside(net.router):
            made = Bench(uplinks(*KINDS))
            for target in KINDS[:5]:
                outcome = made.ask(Line("wan1", 4), target)
                assert outcome.rtt is None and "EHOSTUNREACH" in outcome.error, outcome
            made.close()
    finally:
        gateway.run(["sysctl", "-qw", "net.ipv4.conf.all.proxy_arp=0"])
        net.router.ip("route", "add", "default", "via", "192.0.2.1", "table", "18600")


def test_the_kernel_keeps_replies_for_others_away(net: Wan, bench: Bench) -> None:
    for command in (["ping", "-I", "192.0.2.2", SERVER], ["ping", "-I", "2001:db8:1::2", SERVER6]):
        net.router.run([*command, "-n", "-c", "3", "-i", "0.2"])
    for each in bench.prober.echoes.sockets.values():
        with pytest.raises(BlockingIOError):
            each.recv(100)
    # A raw socket without the filter would have had them.
    assert bench.ask(Line("wan1", 4), KINDS[0]).rtt is not None


def test_a_name_is_looked_up_over_the_line(
    net: Wan, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "read_servers", lambda: [SERVER])
    target = Target(HTTP, "www.example", 8080, "/204", 204)
    outcome = bench.ask(Line("wan1", 4), target)
    assert outcome.rtt is not None, outcome
    assert bench.prober.names.known(Line("wan1", 4), "www.example") == SERVER
    # The answer lives on while nobody answers any more.
    monkeypatch.setattr(names, "read_servers", lambda: ["203.0.113.99"])
    assert bench.ask(Line("wan1", 4), target).rtt is not None


def test_a_resolver_that_answers_nobody_holds_nothing_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "read_servers", lambda: ["203.0.113.99"])
    monkeypatch.setattr(names.Names, "_servers_of", lambda self, way: ["203.0.113.99"])
    lost = bench.send(Line("wan1", 4), Target(ICMP, "www.example"), 0.3)
    kept = bench.send(Line("wan1", 4), KINDS[0])
    assert bench.result(kept).rtt is not None
    assert bench.result(lost).rtt is None


def test_the_source_is_taken_anew(net: Wan, bench: Bench) -> None:
    line = Line("wan1", 4)
    assert bench.prober.source(line) == "192.0.2.2"
    net.router.ip("address", "add", "192.0.2.9/26", "dev", "wan1")
    deprecate = ["address", "change", "192.0.2.2/26", "dev", "wan1", "preferred_lft", "0"]
    net.router.ip(*deprecate)
    try:

        def changed() -> bool:
            bench.watch.run_once(0.05)
            bench.prober.moved()
            return bench.prober.source(line) == "192.0.2.9"

        wait_until(changed, "the other source")
    finally:
        net.router.ip(
            "address", "change", "192.0.2.2/26", "dev", "wan1", "preferred_lft", "forever"
        )
        net.router.ip("address", "del", "192.0.2.9/26", "dev", "wan1")


def test_an_interface_without_address_is_named(net: Wan) -> None:
    config = uplinks(*KINDS)
    way = Way(Line("wan1", 4), "lo", "192.0.2.1", "", tuple(KINDS))
    with rig.inside(net.router):
        made = Bench(WanConfig((Uplink("wan1", 1, "lo", (way,)),), numbers=config.numbers))
        assert "EADDRNOTAVAIL" in made.ask(Line("wan1", 4), KINDS[0]).error
        made.close()


def test_the_probe_by_hand_does_what_the_probe_does(net: Wan, bench: Bench) -> None:
    for target, word in ((KINDS[0], "ping"), (KINDS[2], "curl")):
        way = uplinks(*KINDS).ways()[0][1]
        said = byhand.command(way, target, "192.0.2.2", 0x10000, 1.0).replace("'", "")
        assert said.startswith(word)
        assert net.router.run(said.split()).code == 0
        net.cut("wan1")
        try:
            assert net.router.run(said.split(), check=False).code != 0
        finally:
            net.mend("wan1")
