"""What the product knows of a pair and does to it, with the releases' own dhcpd and kea-dhcp4."""

from __future__ import annotations

import base64
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.dhcp_daemons import Pair, Side, pair
from rig.netns import NetHost, Segment
from rig.process import wait_until
from rig.wan import inside
from saltext.ipalias import announce
from saltext.ipalias.dhcp import (
    carry,
    keactl,
    omapi,
    omapikey,
    partnerdown,
    peer,
    segments,
    watching,
)
from saltext.ipalias.dhcp.kea import subnet_id
from saltext.ipalias.dhcp.model import OmapiKey
from saltext.ipalias.errors import EffectError, RefusedError
from saltext.ipalias.processes import boot_clock

pytestmark = pytest.mark.root

ISC, KEA = ("bookworm", "isc"), ("bookworm", "kea")
BOTH = [ISC, KEA, ("trixie", "kea")]
#: Code of the option `relationship-name` and type of a CONNECT in the failover protocol.
RELATIONSHIP, CONNECT = 22, 5


def ids(case: tuple[str, str]) -> str:
    return "-".join(case)


@pytest.fixture(params=BOTH, ids=ids)
def any_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with pair(*request.param, tmp_path) as made:
        yield made


@pytest.fixture
def isc_pair(tmp_path: Path) -> Iterator[Pair]:
    with pair(*ISC, tmp_path) as made:
        yield made


@pytest.fixture(params=BOTH[1:], ids=ids)
def kea_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with pair(*request.param, tmp_path) as made:
        yield made


def declare(side: Side, **how: Any) -> dict[str, Any]:
    with inside(side.host):
        return partnerdown.partner_down(side, side.config, side.me, state=side.state, **how)


def watch(side: Side, memory: object = None) -> dict[str, Any]:
    with inside(side.host):
        return watching.look(
            side,
            side.config,
            side.me,
            memory,
            state=side.state,
            leases=str(side.folder / "dhcpd.leases"),
        )


def said(told: dict[str, Any]) -> set[str]:
    return {event["tag"] for event in told["events"]}


# --- both -----------------------------------------------------------------------------------


def test_each_member_of_a_pair_in_order_is_told_as_such(any_pair: Pair) -> None:
    for side, other in zip(any_pair.sides, reversed(any_pair.sides), strict=True):
        wait_until(lambda side=side: side.look().partner.word == "normal", "the peer's word")
        row = side.rows()
        assert row["problems"] == [] and row["ports"]["blocked"] == []
        assert (row["me"]["name"], row["me"]["state"], row["me"]["listening"]) == (
            side.name,
            "normal",
            True,
        )
        assert (row["peer"]["name"], row["peer"]["state"]) == (other.name, "normal")
        assert row["peer"]["last contact"] is not None and row["peer"]["silent for"] == 0
        assert "open" in row["ports"][f"{side.name} to {other.name}"]
        assert row["clock skew"]["by"] == "ICMP timestamp"
        # One kernel keeps the time of both.
        assert abs(row["clock skew"]["seconds"]) < 1
        [pool] = row["leases"]
        assert (pool["total"], pool["active"], pool["used"]) == (100, 0, 0)
        assert not any(line["fault"] for line in row["log"]) and row["log"]


def test_a_server_that_is_gone_is_silent_and_its_partner_can_be_told(any_pair: Pair) -> None:
    left = any_pair.side("dhcp2")
    first = watch(left)
    assert said(first) == {"drill/alert"}
    any_pair.kill("dhcp1")
    memory = first["memory"]
    heard: set[str] = set()

    def silent() -> bool:
        nonlocal memory
        told = watch(left, memory)
        memory = told["memory"]
        heard.update(said(told))
        return {"silent/alert", "state/alert"} <= heard

    wait_until(silent, "the silence to be told", step=0.2)
    assert "blocked/alert" not in heard, "of a dead peer nothing is known"
    any_pair.await_word("communications-interrupted", "dhcp2")
    with pytest.raises(RefusedError, match="refuses the port"):
        declare(left, test=True)
    shown = declare(left, although_host_answers=True, test=True)
    assert shown["result"] is None and shown["changes"]["state"]["new"] == "partner-down"
    assert left.look().own.word == "communications-interrupted"
    done = declare(left, although_host_answers=True)
    assert done["result"] is True and done["changes"]["state"]["new"] == "partner-down"
    assert left.look().own.word == "partner-down"
    assert any("dhcp1" in note for note in done["notes"])
    again = declare(left)
    assert again["result"] is True and again["changes"] == {}


def test_a_living_peer_is_not_declared_dead(any_pair: Pair) -> None:
    side = any_pair.side("dhcp1")
    with pytest.raises(RefusedError, match="port answers"):
        declare(side)
    with pytest.raises(RefusedError, match="port answers"):
        declare(side, although_host_answers=True, test=True)
    any_pair.drop("dhcp2", "tcp dport 647")
    with pytest.raises(RefusedError, match=r"counts on its peer|session with us|host answers"):
        declare(side)
    any_pair.drop("dhcp2", "")
    any_pair.await_word("normal")


def test_a_way_that_is_blocked_is_named_by_the_side_where_it_begins(any_pair: Pair) -> None:
    """New sessions alone: those that are there carry the traffic, and neither server sees it."""
    one, two = any_pair.sides
    any_pair.drop("dhcp1", f"ip saddr {two.me.address} tcp dport 647 ct state new")
    assert one.rows()["ports"]["blocked"] == []
    [way] = two.rows()["ports"]["blocked"]
    assert way.startswith(f"dhcp2 to dhcp1 ({one.me.address}:647)")
    told = watch(two)
    assert "blocked/alert" in said(told) and "silent/alert" not in said(told)
    assert any_pair.side("dhcp1").look().own.word == "normal"
    any_pair.drop("dhcp1", "")
    assert "blocked/clear" in said(watch(two, told["memory"]))


def test_a_cut_is_told_by_the_first_look_after_it(any_pair: Pair) -> None:
    side = any_pair.side("dhcp1")
    memory = watch(side)["memory"]
    any_pair.cut("dhcp2")
    told = watch(side, memory)
    assert "silent/alert" in said(told)
    any_pair.drop("dhcp2", "")
    assert "silent/clear" in said(watch(side, told["memory"]))


def test_a_pair_that_heals_is_not_called_blocked(any_pair: Pair) -> None:
    """Until one of the two connects again, each reaches the other and has no session with it."""
    side = any_pair.side("dhcp1")
    memory = watch(side)["memory"]
    heard: set[str] = set()

    def turn(wanted: str) -> bool:
        nonlocal memory
        told = watch(side, memory)
        memory = told["memory"]
        heard.update(said(told))
        return wanted in heard

    any_pair.cut("dhcp2")
    wait_until(lambda: turn("state/alert"), "the cut to be noticed", step=0.2)
    any_pair.drop("dhcp2", "")
    wait_until(lambda: turn("state/clear"), "both to be normal", step=0.2, timeout=150)
    assert {"silent/alert", "silent/clear"} <= heard and "blocked/alert" not in heard


def test_asking_for_the_port_leaves_no_trace_in_the_server(any_pair: Pair) -> None:
    one, two = any_pair.sides
    two.mark()
    with inside(one.host):
        found = [peer.ask_port(one.me.address, two.me.address, 647).kind for _ in range(50)]
        one.look(whole=False)
    assert found == [segments.OPEN] * 50
    shown = [line for line in two.log() if "ha-heartbeat" not in line]
    assert shown == [], "but what its partner asks"
    any_pair.await_word("normal")


def test_the_kernel_tells_the_same_both_ways(any_pair: Pair) -> None:
    side = any_pair.side("dhcp1")
    with inside(side.host):
        told = peer.read_sessions()
        table = segments.parse_tcp_table(Path("/proc/thread-self/net/tcp").read_text())
    for state in (segments.LISTENING, segments.ESTABLISHED):
        by_both = [
            {each[:4] for each in rows if each.state == state and 647 in (each[1], each[3])}
            for rows in (told, table)
        ]
        assert by_both[0] == by_both[1] and by_both[0]


def test_a_witness_tells_the_dead_from_the_living(any_pair: Pair) -> None:
    one, two = any_pair.sides
    with NetHost(any_pair.segment) as witness, inside(witness):
        assert peer.reach(one.me.address, 647) == {
            "port": "open",
            "host": True,
            "dead": False,
            "said": "",
        }
        any_pair.kill("dhcp1")
        assert peer.reach(one.me.address, 647)["dead"] is True, "the host without its server"
        any_pair.drop("dhcp2", "tcp dport 647")
        found = peer.reach(two.me.address, 647, 0.5)
        assert (found["port"], found["host"], found["dead"]) == ("silent", True, False)
        any_pair.cut("dhcp2")
        found = peer.reach(two.me.address, 647, 0.5)
        assert (found["host"], found["dead"]) == (False, True)


class OtherClock(threading.Thread):
    """A host's answers to ICMP timestamps with another time, its kernel's own being dropped."""

    def __init__(self, pair: Pair, name: str, ahead: float) -> None:
        super().__init__(daemon=True)
        self._ahead = round(ahead * 1000)
        pair.drop(name, "", outward="icmp type timestamp-reply meta mark != 1")
        with inside(pair.side(name).host):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
        self._socket.settimeout(0.05)
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                packet, (asker, _) = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            kind, _, _, ident, number, sent, _, _ = struct.unpack_from("!BBHHHIII", packet, 20)
            if kind != 13:
                continue
            there = (int(time.time() * 1000) + self._ahead) % segments.DAY
            fields = [14, 0, 0, ident, number, sent, there, there]
            fields[2] = announce.checksum(struct.pack("!BBHHHIII", *fields))
            self._socket.sendto(struct.pack("!BBHHHIII", *fields), (asker, 0))

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._socket.close()


def test_a_clock_that_is_off_is_told_before_the_servers_refuse_each_other(any_pair: Pair) -> None:
    side = any_pair.side("dhcp1")
    clock = OtherClock(any_pair, "dhcp2", -45)
    try:
        skew = side.rows()["clock skew"]
        assert -46 < skew["seconds"] < -44 and skew["by"] == "ICMP timestamp"
        told = watch(side)
    finally:
        clock.end()
    [event] = [event for event in told["events"] if event["kind"] == "skew"]
    assert "dhcp2" in event["text"] and "behind" in event["text"]
    assert side.look().own.word == "normal", "the servers do not know of it"


# --- dhcpd ----------------------------------------------------------------------------------


def client(side: Side, key: OmapiKey | None) -> omapi.Client:
    with inside(side.host):
        return omapi.Client(key)


def test_dhcpd_is_asked_with_its_key_and_with_no_other(isc_pair: Pair) -> None:
    side = isc_pair.side("dhcp1")
    key = omapikey.parse_key(Path(side.state, omapikey.FILE).read_text(), "key")
    name = side.config.pair.name
    with client(side, key) as asking:
        found = omapi.read_failover(asking, name)
    assert (found.local, found.primary, found.mclt, found.max_response_delay) == (
        "normal",
        True,
        600,
        5,
    )
    other = base64.b64encode(bytes(32)).decode()
    # Who opens is not asked for a signature; the answer to anything else is signed.
    with (
        client(side, OmapiKey(key.name, key.algorithm, other)) as asking,
        pytest.raises(EffectError, match="signature"),
    ):
        omapi.read_failover(asking, name)
    with (
        pytest.raises(RefusedError, match="does not know the key other"),
        client(side, OmapiKey("other", key.algorithm, key.secret)),
    ):
        pass
    with (
        pytest.raises(RefusedError, match="does not know the key"),
        client(side, OmapiKey(key.name, "hmac-md5", key.secret)),
    ):
        pass
    with client(side, None) as asking, pytest.raises(RefusedError, match="No authenticator"):
        omapi.read_failover(asking, name)
    with client(side, key) as asking, pytest.raises(RefusedError, match="no object matches"):
        omapi.read_failover(asking, "another-pair")


def test_dhcpd_that_is_partner_down_keeps_its_peer_waiting(isc_pair: Pair) -> None:
    isc_pair.kill("dhcp1")
    isc_pair.await_word("communications-interrupted", "dhcp2")
    declare(isc_pair.side("dhcp2"), although_host_answers=True)
    isc_pair.start("dhcp1")

    def waits() -> bool:
        return isc_pair.side("dhcp1").look().own.state == "recover-wait"

    wait_until(waits, "the peer to wait for mclt")
    assert isc_pair.side("dhcp2").rows()["peer"]["says"] == "recover-wait"


def test_the_free_addresses_of_both_sides_are_counted(isc_pair: Pair) -> None:
    def shared() -> Any:
        [pool] = isc_pair.side("dhcp1").rows()["leases"]
        return pool if pool["backup"] else None

    pool = wait_until(shared, "the primary to share its pool")
    assert (pool["free"], pool["backup"], pool["balance"]) == (50, 50, 0)


def test_a_peer_whose_clock_is_an_hour_off_is_a_fault_in_the_log(isc_pair: Pair) -> None:
    """Its own refusal: a CONNECT as a primary sends it, with another time."""
    one, two = isc_pair.sides
    isc_pair.kill("dhcp1")
    isc_pair.await_word("communications-interrupted", "dhcp2")
    memory = watch(two)["memory"]
    name = two.config.pair.name.encode()
    option = struct.pack("!HH", RELATIONSHIP, len(name)) + name
    body = struct.pack("!BBII", CONNECT, 12, int(time.time()) - 3600, 1) + option
    with inside(one.host):
        sent = socket.create_connection((two.me.address, 647), 5)
    with sent:
        sent.sendall(struct.pack("!H", len(body) + 2) + body)
        wait_until(lambda: any("time offset" in line for line in two.log()), "dhcpd to refuse")
    memory["looked"] -= watching.REST
    told = watch(two, memory)
    assert "log/alert" in said(told)
    [event] = [event for event in told["events"] if event["kind"] == "log"]
    assert "time offset too large" in event["text"]


def test_a_dhcpd_that_does_not_answer_is_a_problem_and_no_error(isc_pair: Pair) -> None:
    isc_pair.kill("dhcp1")
    side = isc_pair.side("dhcp1")
    row = side.rows()
    assert row["me"]["state"] == "unknown" and not row["me"]["listening"]
    assert any("dhcpd does not answer" in problem for problem in row["problems"])
    assert "state/alert" in said(watch(side))
    with pytest.raises(EffectError, match="dhcpd does not answer"):
        declare(side)


# --- kea-dhcp4 ------------------------------------------------------------------------------


def test_kea_itself_refuses_while_its_partner_answers_and_goes_back(kea_pair: Pair) -> None:
    side = kea_pair.side("dhcp1")
    with pytest.raises(RefusedError, match="partner answered"):
        keactl.set_partner_down(side.config.pair.kea.control_socket)
    kea_pair.await_word("normal")


def test_keas_peer_is_asked_itself(kea_pair: Pair) -> None:
    one, two = kea_pair.sides
    with inside(one.host):
        answer = keactl.ask_peer(two.me.address, 647, "ha-heartbeat")
        said = keactl.parse_heartbeat(answer, "dhcp2")
        # `restrict-commands` lets in a peer's commands alone.
        with pytest.raises(RefusedError, match="it answers 403"):
            keactl.ask_peer(two.me.address, 647, "no-such-command")
    assert said.state == "load-balancing" and said.time is not None
    assert abs(said.time - time.time()) < 5
    assert one.rows()["peer"]["hears us"] is True


def test_keas_heartbeat_has_the_clock_where_a_filter_drops_the_question(kea_pair: Pair) -> None:
    kea_pair.drop("dhcp2", "icmp type timestamp-request")
    skew = kea_pair.side("dhcp1").rows()["clock skew"]
    assert skew["by"] == "heartbeat" and abs(skew["seconds"]) < 2


def test_kea_that_does_not_answer_is_a_problem_and_no_error(kea_pair: Pair) -> None:
    kea_pair.kill("dhcp1")
    row = kea_pair.side("dhcp1").rows()
    assert row["me"]["state"] == "unknown"
    assert any("kea-dhcp4 does not answer" in problem for problem in row["problems"])


def test_a_peer_of_kea_that_is_not_heard_says_so(kea_pair: Pair) -> None:
    """The way from it to our port is dropped, and not what it answers when it is asked."""
    one, two = kea_pair.sides
    kea_pair.drop("dhcp1", f"ip saddr {two.me.address} tcp dport 647")
    wait_until(lambda: one.look().peer_hears is False, "the peer to say so", step=0.2)
    ways = one.rows()["ports"]["blocked"]
    assert any(way.startswith("dhcp2 to dhcp1") and "gets no answer" in way for way in ways)


def test_a_peer_that_has_just_fallen_silent_is_not_fetched_from(kea_pair: Pair) -> None:
    """Its port still answers; who asks it for its leases would hear no client for ten seconds."""
    one, path = kea_pair.side("dhcp1"), kea_pair.side("dhcp1").config.pair.kea.control_socket
    memory = watch(one)["memory"] | {"looked": boot_clock(), "debt": [True, 0.0, boot_clock()]}
    heard = lambda: keactl.parse_status(keactl.ask(path, "status-get"), path).partner  # noqa: E731
    wait_until(lambda: heard() == "load-balancing", "dhcp1 to have heard of it", step=0.2)
    fetches = lambda: (one.folder / "log").read_text().count("HA_SYNC_START")  # noqa: E731
    before = fetches()
    kea_pair.drop("dhcp2", f"ip saddr {one.me.address} tcp dport 647 tcp flags & syn == 0")
    reading = one.look()
    assert (reading.own.word, reading.partner.word) == ("normal", "normal"), "by its last word"
    assert (reading.ways.outward.kind, reading.peer_said) == ("open", False)
    told = watch(one, memory)
    assert told["memory"]["debt"][0] is True and "leases/alert" not in said(told)
    assert fetches() == before
    kea_pair.drop("dhcp2", "")

    def fetched() -> bool:
        nonlocal told
        told = watch(one, told["memory"])
        return "leases/clear" in said(told)

    wait_until(fetched, "the leases to be fetched", step=0.5)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_one_that_its_peer_does_not_reach_fetches_what_that_gave_out_alone(
    suite: str, tmp_path: Path
) -> None:
    quick = {"max_unacked_clients": 0}
    with pair(suite, "kea", tmp_path, kea=quick) as made:
        alone, left = made.sides
        memory = watch(left)["memory"]
        assert memory["debt"] is None
        reset = f"ip saddr {alone.me.address} tcp dport {left.me.port}"
        made.drop("dhcp2", reset, by="reject with tcp reset")

        def look(what: str) -> bool:
            nonlocal memory
            # Between two looks at the rest, which would ask the servers.
            told = watch(left, memory | {"looked": boot_clock()})
            memory = told["memory"]
            return what in said(told)

        # It is ready, and waits for a word that cannot come. What it hears of is over by then.
        wait_until(lambda: left.look().own.state == "ready", "dhcp2 to be ready", step=0.1)
        path = alone.config.pair.kea.control_socket
        lease = {"ip-address": "192.0.2.150", "hw-address": "02:00:00:00:00:01"}
        keactl.ask(path, "lease4-add", arguments={**lease, "subnet-id": subnet_id("192.0.2.0/24")})
        wait_until(lambda: bool(look("") or memory["debt"]), "what may be missing", step=0.5)
        made.drop("dhcp2", "")
        wait_until(lambda: look("leases/clear"), "the leases to be fetched", step=0.5)
        found = keactl.ask(left.config.pair.kea.control_socket, "lease4-get-all")["leases"]
        assert [each["ip-address"] for each in found] == ["192.0.2.150"]


@pytest.mark.parametrize("mode", ["load-balancing", "hot-standby"])
def test_one_that_was_alone_learns_what_the_other_one_comes_with(mode: str, tmp_path: Path) -> None:
    """As where dhcpd has served longer there: Kea has its leases from the file (`carry`)."""
    with Segment() as segment, Pair("trixie", "kea", segment, tmp_path, kea={"mode": mode}) as made:
        alone, other = made.sides
        row = f"192.0.2.150,02:00:00:00:00:01,,7200,{int(time.time()) + 7000},"
        row += f"{subnet_id('192.0.2.0/24')},0,0,,0,"
        (other.folder / "kea-leases4.csv").write_text(f"{carry.COLUMNS}\n{row}\n")
        made.start("dhcp1")
        made.await_word("partner-down", "dhcp1")
        memory = watch(alone)["memory"]
        made.start("dhcp2")

        def fetched() -> bool:
            nonlocal memory
            told = watch(alone, memory)
            memory = told["memory"]
            return "leases/clear" in said(told)

        wait_until(fetched, "the leases to be fetched", timeout=60, step=0.5)
        found = keactl.ask(alone.config.pair.kea.control_socket, "lease4-get-all")["leases"]
        assert [each["ip-address"] for each in found] == ["192.0.2.150"]
