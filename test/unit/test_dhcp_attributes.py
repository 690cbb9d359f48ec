"""A chmod or chown by hand on a file of a member is put right by the next run, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rig.simdhcp import MAIN, block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp import conffiles, firewall
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import Result

OWN, WHOLE, KEA = "/etc/dhcp/ipalias.conf", "/etc/dhcp/dhcpd.conf", "/etc/kea/kea-dhcp4.conf"
KEY = "/var/lib/ipalias/dhcp-omapi.json"
ISC_BLOCK, WHOLE_BLOCK = block(firewall=True), block(whole=True)
KEA_BLOCK = block(implementation="kea")

#: Configuration, path, mode and owner by hand, what is told, whether the server starts anew.
HANDS: dict[str, tuple[dict[str, Any], str, tuple[int, int, int], str, bool]] = {
    "all may read the key": (ISC_BLOCK, OWN, (0o644, 0, 0), "mode 0644 -> 0600", False),
    "of another user": (
        ISC_BLOCK,
        OWN,
        (0o600, 1000, 1000),
        "owner 1000:1000 -> 0:0",
        True,
    ),
    "that all may read": (
        ISC_BLOCK,
        OWN,
        (0o604, 1000, 1000),
        "mode 0604 -> 0600, owner 1000:1000 -> 0:0",
        False,
    ),
    "nobody may read": (ISC_BLOCK, OWN, (0o000, 0, 0), "mode 0000 -> 0600", True),
    "whole": (WHOLE_BLOCK, WHOLE, (0o644, 0, 0), "mode 0644 -> 0600", False),
    "kea": (KEA_BLOCK, KEA, (0o644, 0, 105), "mode 0644 -> 0640", False),
    "kea of the superuser": (KEA_BLOCK, KEA, (0o640, 0, 0), "owner 0:0 -> 0:105", True),
    "kea's own": (KEA_BLOCK, KEA, (0o640, 101, 0), "owner 101:0 -> 0:105", False),
    "key": (ISC_BLOCK, KEY, (0o666, 0, 0), "mode 0666 -> 0600", False),
    "key's owner": (ISC_BLOCK, KEY, (0o600, 1000, 0), "owner 1000:0 -> 0:0", False),
    "table": (ISC_BLOCK, firewall.RULES, (0o666, 0, 0), "mode 0666 -> 0644", False),
}


def by_hand(host: SimHost, path: str, mode: int, uid: int, gid: int) -> None:
    host.files.nodes[path] = replace(host.files.nodes[path], mode=mode, uid=uid, gid=gid)


def attributes(host: SimHost, path: str) -> tuple[int, int, int]:
    node = host.files.nodes[path]
    return node.mode, node.uid, node.gid


def commands(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


@pytest.mark.parametrize("case", HANDS)
def test_mode_and_owner_by_hand_are_put_right_and_told(case: str) -> None:
    wanted, path, hand, told, anew = HANDS[case]
    host = linux()
    setup(host, wanted).managed()
    right = attributes(host, path)
    by_hand(host, path, *hand)
    host.log.clear()
    shown = setup(host, wanted).managed(test=True)
    assert (shown["result"], shown["changes"]["files"]) == (None, {path: told})
    assert host.mutating == [] and attributes(host, path) == hand
    done = setup(host, wanted).managed()
    unit = SERVERS[str(wanted["implementation"])].unit
    assert done["changes"] == {
        "files": {path: told},
        **({"service": {unit: "restarted"}} if anew else {}),
    }
    assert attributes(host, path) == right
    assert bool([c for c in commands(host) if c == f"systemctl restart {unit}"]) is anew
    assert not [c for c in commands(host) if firewall.UNIT_NAME in c]
    assert setup(host, wanted).managed()["changes"] == {}


def test_what_was_made_by_us_for_its_text_is_ours() -> None:
    host = linux()
    for path in (conffiles.ISC_DEFAULTS, WHOLE):
        host.files.nodes.pop(path)
    setup(host).managed()
    for path in (conffiles.ISC_DEFAULTS, WHOLE):
        by_hand(host, path, 0o666, 1000, 1000)
    told = setup(host).managed()["changes"]
    line = "mode 0666 -> 0644, owner 1000:1000 -> 0:0"
    assert told == {"files": {conffiles.ISC_DEFAULTS: line, WHOLE: line}}
    by_hand(host, conffiles.ISC_DEFAULTS, 0o000, 0, 0)
    # Its reader is the init script, which no profile keeps from it.
    assert "service" not in setup(host).managed()["changes"]


def test_mode_and_owner_of_what_others_made_stay_theirs() -> None:
    host = linux()
    setup(host).managed()
    for path in (conffiles.ISC_DEFAULTS, WHOLE):
        by_hand(host, path, 0o664, 0, 1000)
    assert setup(host).managed()["changes"] == {}
    assert setup(host, block(authoritative=False)).managed()["result"] is True
    assert attributes(host, WHOLE) == (0o664, 0, 1000)
    setup(host).absent()
    assert attributes(host, WHOLE) == (0o664, 0, 1000) and host.files.read(WHOLE) == MAIN


def test_a_change_that_is_undone_leaves_mode_and_owner_as_they_were() -> None:
    host = linux()
    setup(host).managed()
    by_hand(host, OWN, 0o600, 1000, 1000)
    by_hand(host, KEY, 0o600, 1000, 1000)
    systemctl, failed = host.programs["systemctl"], []

    def failing(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] == "restart" and not failed:
            failed.append(argv[-1])
            return Result(1, "", "Job failed.\n")
        return systemctl(argv, stdin)

    host.programs["systemctl"] = failing
    with pytest.raises(EffectError, match=r"Job failed"):
        setup(host).managed()
    assert failed and running(host, failed[0])
    assert attributes(host, OWN) == attributes(host, KEY) == (0o600, 1000, 1000)
