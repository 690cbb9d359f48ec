"""What the listener makes of the kernel's messages, and its service; netns and host run it."""

from __future__ import annotations

import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.bootunit import Program
from saltext.ipalias.sysctl import links, service
from saltext.ipalias.sysctl.links import DELLINK, DONE, NEWLINK, LinkEvent, Links

PROGRAM = Program("/opt/salt/bin/python3", "/usr/local/lib/ipalias", "/var/lib/ipalias", "sysctl")


def message(kind: int, body: bytes) -> bytes:
    text = struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body
    return text + b"\0" * (-len(text) % 4)


def link(kind: int, number: int, name: str, family: int = 0, before: bytes = b"") -> bytes:
    raw = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(raw), 3) + raw
    attribute += b"\0" * (-len(attribute) % 4)
    return message(kind, struct.pack("=BxHiII", family, 1, number, 0, 0) + before + attribute)


def test_several_messages_of_a_datagram_are_read() -> None:
    mtu = struct.pack("=HHI", 8, 4, 1500)
    data = (
        link(NEWLINK, 7, "eth0.10", before=mtu) + link(DELLINK, 8, "x") + message(DONE, b"\0" * 4)
    )
    assert list(links.parse_messages(data)) == [
        LinkEvent(NEWLINK, 7, "eth0.10"),
        LinkEvent(DELLINK, 8, "x"),
        LinkEvent(DONE),
    ]


def test_what_a_bridge_tells_of_its_ports_is_no_interface() -> None:
    assert list(links.parse_messages(link(DELLINK, 7, "eth0", family=7))) == []


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_data_harms(noise: bytes, cut: int) -> None:
    list(links.parse_messages(noise))
    whole = link(NEWLINK, 7, "eth0")
    list(links.parse_messages(whole[:cut] + noise))
    list(links.parse_messages(noise + whole))


@pytest.mark.parametrize("length", [0, 3, 15, 2**31])
def test_a_length_that_leads_nowhere_ends_the_reading(length: int) -> None:
    data = struct.pack("=IHHII", length, NEWLINK, 0, 0, 0) + b"\0" * 40
    assert list(links.parse_messages(data)) == []


def test_each_interface_is_set_once_under_each_name() -> None:
    known = Links(tries=3)
    assert known.take(LinkEvent(NEWLINK, 7, "eth0")) == "eth0"
    known.done("eth0", whole=True)
    # Up, down, another mtu: what somebody has set by hand since is theirs.
    assert known.take(LinkEvent(NEWLINK, 7, "eth0")) is None
    assert known.take(LinkEvent(NEWLINK, 7, "wan0")) == "wan0"
    known.done("wan0", whole=True)
    known.take(LinkEvent(DELLINK, 7, "wan0"))
    assert known.take(LinkEvent(NEWLINK, 7, "wan0")) == "wan0"
    # Another one takes the name while nothing was said of the first.
    assert known.take(LinkEvent(NEWLINK, 9, "wan0")) == "wan0"


def test_what_is_not_there_yet_is_tried_again_and_not_for_ever() -> None:
    known = Links(tries=3)
    known.take(LinkEvent(NEWLINK, 7, "eth0"))
    turns = 0
    while known.waiting:
        turns += 1
        known.done("eth0", whole=False)
    assert turns == 3
    # Something is said of it: a larger mtu gives it IPv6, say.
    assert known.take(LinkEvent(NEWLINK, 7, "eth0")) == "eth0"
    known.done("eth0", whole=True)
    assert known.take(LinkEvent(NEWLINK, 7, "eth0")) is None and known.waiting == []


def test_one_that_is_gone_is_waited_for_no_longer() -> None:
    known = Links(tries=9)
    known.take(LinkEvent(NEWLINK, 7, "eth0"))
    known.done("eth0", whole=False)
    known.take(LinkEvent(DELLINK, 7, "eth0"))
    assert known.waiting == []
    known.take(LinkEvent(NEWLINK, 8, "eth1"))
    known.done("eth1", whole=False)
    known.take(LinkEvent(NEWLINK, 8, "wan1"))
    assert known.waiting == ["wan1"]


def test_the_unit_comes_before_the_network_and_behind_the_files() -> None:
    text = service.render_systemd(PROGRAM)
    for line in (
        "Before=network-pre.target networking.service systemd-networkd.service",
        "After=systemd-remount-fs.service systemd-sysctl.service ipalias-restore.service",
        "Type=notify",
        "/opt/salt/bin/python3 -I /usr/local/lib/ipalias/current/run.py sysctl /var/lib/ipalias",
    ):
        assert line in text
    assert "Wants=ipalias-sysctl.service" in service.render_wanted()


def test_a_shell_reads_the_script_of_openrc() -> None:
    text = service.render_openrc(Program("/opt/sa lt/python3", "/lib", "/state", "sysctl"))
    tail = '\neval set -- $command_args; printf "%s|" "$@"; eval set -- "$command"; echo "$1"\n'
    words = text.replace("#!/sbin/openrc-run\n", "") + tail.replace('"$command"', "\"'$command'\"")
    done = subprocess.run(["sh"], input=words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("-I|/lib/current/run.py|sysctl|/state|")
    assert done.stdout.endswith("/opt/sa lt/python3\n") and done.stderr == ""


@pytest.mark.parametrize("started_by", service.INITS)
def test_its_files_are_known_to_the_way_back(started_by: str) -> None:
    rendered = service.render(started_by, PROGRAM, wanted=True)
    assert tuple(file.path for file in rendered) == service.files_of(started_by)
    gone = service.render(started_by, PROGRAM, wanted=False)
    assert [file.text for file in gone] == [None] * len(rendered)


def test_another_init_has_no_service() -> None:
    assert service.render("", PROGRAM, wanted=True) == []
    assert service.files_of("") == ()
