"""What this host is reached by is not taken away unless it is named."""

from __future__ import annotations

import sys

import pytest

from rig.simengine import block, engine
from rig.simnm import OWNERS
from saltext.ipalias.errors import RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.lifeline import parse_connections, parse_netstat, spoken_from

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def word(address: str) -> str:
    data = bytes(int(part) for part in address.split("."))
    return (data[::-1] if sys.byteorder == "little" else data).hex().upper()


def line(local: str, remote: str, port: int, state: str = "01") -> str:
    return f"   0: {word(local)}:C350 {word(remote)}:{port:04X} {state} 00000000:00000000\n"


def test_the_kernel_table_is_read():
    text = HEAD + line("198.51.100.10", "192.0.2.1", 4506)
    text += line("192.0.2.9", "192.0.2.1", 4505, "06")
    assert parse_connections(text) == [("198.51.100.10", "192.0.2.1", 4506)]


def test_an_ipv4_connection_of_an_ipv6_socket_is_told_as_ipv4():
    mapped = "0000000000000000" + ("FFFF0000" if sys.byteorder == "little" else "0000FFFF")
    text = HEAD + f" 0: {mapped}{word('198.51.100.10')}:C350 {mapped}{word('192.0.2.1')}:119A 01\n"
    assert parse_connections(text) == [("198.51.100.10", "192.0.2.1", 4506)]


@pytest.mark.parametrize("forced", [False, True])
def test_the_address_the_master_is_spoken_to_from_stays(forced: bool):
    host = OWNERS["networkd"]()
    engine(host, block("198.51.100.10")).managed()
    host.files.put("/proc/net/tcp", HEAD + line("198.51.100.10", "192.0.2.77", 4505))
    request = engine(host, block())
    request.settings = type(request.settings)(master=("192.0.2.77", 4506))
    if forced:
        request.forced = frozenset({"198.51.100.10"})
        assert request.remove([("198.51.100.10", None)])["result"] is True
        return
    with pytest.raises(RefusedError, match=r"master runs over it.*force=198\.51\.100\.10"):
        request.remove([("198.51.100.10", None)])
    for test in (True, False):
        with pytest.raises(RefusedError, match="master runs over it"):
            request.managed(test=test)
    assert engine(host, block("198.51.100.10")).managed()["changes"] == {}


def test_the_only_subnet_of_the_gateway_stays():
    host = OWNERS["networkd"]()
    engine(host, block("203.0.113.5/24")).managed()
    host.ip(
        ["ip", "route", "add", "default", "via", "203.0.113.1", "dev", "eth0", "metric", "50"], None
    )
    with pytest.raises(RefusedError, match=r"default route by 203\.0\.113\.1 hangs on it"):
        engine(host, block()).managed()


NETSTAT = {
    "freebsd": "tcp4       0      0 192.0.2.2.51234        198.51.100.1.4506      ESTABLISHED",
    "openbsd": "tcp6       0      0  2001:db8::2.51234      2001:db8::9.4505       ESTABLISHED",
    "sunos": "192.0.2.2.51234      198.51.100.1.4506    64240      0 128872      0 ESTABLISHED",
    "windows": "  TCP    [2001:db8::2]:51234    [2001:db8::9]:4506     HERGESTELLT     4",
}


@pytest.mark.parametrize("system", sorted(NETSTAT))
def test_connections_of_other_systems_are_read(system):
    [(local, remote, port)] = parse_netstat(f"Active connections\n{NETSTAT[system]}\n")
    six = "2001" in NETSTAT[system]
    assert local == ("2001:db8::2" if six else "192.0.2.2")
    assert remote == ("2001:db8::9" if six else "198.51.100.1")
    assert port in (4505, 4506)


def test_freebsd_is_asked_for_whole_addresses():
    """In its columns the second of two that begin alike would be cut to the first."""
    asked = []
    local, remote = "2001:db8:1:2:3:4:5:6666", "2001:db8:9:8:7:6:5:4444"

    class Host:
        system = "freebsd"

        def run(self, argv):
            asked.append(argv)
            width = 99 if "W" in argv[1] else 21
            ends = f"{local + '.51234':.{width}} {remote + '.4506':.{width}}"
            return Result(0, f"tcp6  0  0 {ends} ESTABLISHED\n", "")

    assert spoken_from(Host(), (remote, 4506)) == {local}
    assert asked == [("netstat", "-anW")]


def test_a_listener_is_no_connection():
    text = "tcp4 0 0 *.22 *.* LISTEN\n  TCP 0.0.0.0:135 0.0.0.0:0 ABHOEREN 900\n"
    assert [row for row in parse_netstat(text) if row[2]] == []
