"""What ``ipadm`` refuses and prints, and what becomes of a change then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.plat import ipadm as platform
from rig.simengine import aliases, block, engine, only_present
from rig.simforms import survivors
from rig.simhost import Fault, SimHost
from rig.simscenes import add_by_hand, comparable, differences
from rig.simsun import Ifconfig
from rig.simsunhost import kernel_of
from saltext.ipalias.backends import ipadm
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import (
    EffectError,
    IpaliasError,
    UnsupportedError,
)
from saltext.ipalias.host import Result
from saltext.ipalias.model import Wanted
from saltext.ipalias.upkeep import restart

PRIMARIES = {"192.0.2.2/24", "2001:db8::2/64"}
#: Name of our object for an address.
NINE = "eth0/ipa4cb007109"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=["solaris11", "illumos"])
def host(request: pytest.FixtureRequest) -> SimHost:
    return platform.host(flavour=request.param)


def objects(host: SimHost) -> dict[str, list[Any]]:
    """Return what the store holds beside the interface's own: address, up, deprecated."""
    own = {"eth0/v4", "eth0/v6", "eth0/v6a"}
    return {name: kept[1:] for name, kept in host.stored["objects"].items() if name not in own}


# What the real programs refuse

#: By flavour, what `ipadm` says where a creation fails; see `rig.plat.ipadm`.
REFUSED = (
    "ipadm: cannot create address: Address object already exists",
    "ipadm: Could not create address: Address object already exists",
    "ipadm: cannot create address: No such interface",
    "ipadm: Could not create address: Interface does not exist",
    "ipadm: cannot create address: Persistent operation on temporary object",
    "ipadm: cannot create address: Operation not supported on disabled object",
    "ipadm: Could not create address: Can't assign requested address",
    "ipadm: cannot set local address: Invalid argument provided",
    "ipadm: cannot create address: Permission denied",
    "ipadm: could not create address: Could not communicate with ipmgmtd",
)


def refuse(host: SimHost, said: str, words: tuple[str, ...]) -> None:
    """Let ``ipadm`` refuse lines that hold some words, once."""
    healthy = host.programs["ipadm"]

    def program(argv: Any, stdin: str | None) -> Result:
        if set(words) <= set(argv):
            host.programs["ipadm"] = healthy
            return Result(1, "", f"{said}\n")
        return healthy(argv, stdin)

    host.programs["ipadm"] = program


@pytest.mark.parametrize("said", REFUSED)
def test_a_creation_that_is_refused_takes_everything_back(host: SimHost, said: str) -> None:
    before = comparable(host)
    refuse(host, said, ("create-addr", "local=203.0.113.8/32"))
    with pytest.raises(EffectError) as caught:
        engine(host, block("203.0.113.7", "203.0.113.8", "203.0.113.9")).managed()
    where = "ipalias:interfaces:eth0:addresses[1]"
    assert str(caught.value).startswith(f"{where}: 203.0.113.8/32 could not be changed: {said}")
    assert differences(before, comparable(host)) == []


@pytest.mark.parametrize("said", ["cannot delete address", "could not delete address"])
def test_a_deletion_that_is_refused_takes_everything_back(host: SimHost, said: str) -> None:
    engine(host, block("203.0.113.8", "203.0.113.9")).managed()
    before = comparable(host)
    refuse(host, f"ipadm: {said}: Object not found", ("delete-addr", NINE))
    with pytest.raises(EffectError, match=rf"203\.0\.113\.9/32 could not .*{said}: Object not"):
        engine(host, None).clean()
    assert differences(before, comparable(host)) == []


def test_what_others_have_made_in_the_meantime_stays(host: SimHost) -> None:
    """The creation fails: the address came up on the way, and it is not ours to take down."""
    before = comparable(host)
    made: list[bool] = []

    def race(at: int, effect: object) -> None:
        if isinstance(effect, Run) and not made:
            made.append(True)
            add_by_hand(host, "203.0.113.9/32")

    host.watch = race
    with pytest.raises(EffectError, match="Can't assign requested address"):
        engine(host, block("203.0.113.9")).managed()
    assert made == [True]
    (said,) = differences(before, comparable(host))
    assert "203.0.113.9" in said


def test_a_command_that_fails_in_the_middle_is_undone(host: SimHost) -> None:
    engine(host, block("203.0.113.7", "203.0.113.8")).managed()
    pillar = block({"address": "203.0.113.8", "source": "never"}, "203.0.113.9/24")
    before, twin = comparable(host), host.twin()
    twin.log.clear()
    engine(twin, pillar).managed()
    commands = [at for at, effect in enumerate(twin.log) if isinstance(effect, Run)]
    assert len(commands) == 3
    for at in commands:
        tried = host.twin()
        tried.log.clear()
        tried.faults = [Fault(at, result=Result(1, "", "ipadm: it went wrong\n"))]
        with pytest.raises(IpaliasError, match="it went wrong"):
            engine(tried, pillar).managed()
        assert differences(before, comparable(tried)) == []


def test_what_the_simulated_program_refuses_is_what_is_cited() -> None:
    host = platform.host(flavour="illumos")
    engine(host, block("203.0.113.9")).managed()
    create = "ipadm create-addr -T static -a local="
    for line, said in (
        (f"{create}203.0.113.1/32 {NINE}", "Could not create address: Address object already"),
        (f"{create}203.0.113.9/32 eth0/ipa1", "Could not create address: Can't assign requested"),
        (f"{create}203.0.113.1/32 eth7/ipa1", "Could not create address: Interface does not"),
        (f"{create}203.0.113.1/33 eth0/ipa1", "cannot set local address: Invalid argument"),
        ("ipadm delete-addr eth0/ipa1", "could not delete address: Object not found"),
        ("ipadm up-addr eth0/ipa1", "cannot mark the address up: Object not found"),
        ("ipadm enable-if -t eth0", "cannot enable eth0: Interface already exists"),
        ("ipadm disable-if eth0", "usage:\tipadm <subcommand>"),
    ):
        result = host.run(line.split())
        assert result.code == 1
        assert said in result.err, line


def test_slips_of_the_pen_are_refused(host: SimHost) -> None:
    never = {"address": "203.0.113.7", "source": "never"}
    engine(host, None).add(aliases("203.0.113.10", "2001:db8:1::10"), persist=False)
    engine(host, block("203.0.113.9", "203.0.113.10", "2001:db8:1::10", never)).managed()
    engine(host, block({"address": "203.0.113.9", "source": "never"}, "2001:db8:1::9")).managed()
    restart(engine(host, None), name="eth0", scope="interface")
    engine(host, None).clean()
    for name in ("ipadm", "ifconfig"):
        program = host.programs[name]
        assert isinstance(program, platform.Ipadm | Ifconfig)
        assert program.refused == []
        lines = [line for line in program.taken if "-p" not in line[:3] and line[1:] != ("-a",)]
        count, left = survivors(program, lines)
        assert count > 50
        assert len(left) < 0.05 * count, left


def test_a_store_that_cannot_be_read_changes_nothing(host: SimHost) -> None:
    before = comparable(host)
    refuse(
        host, "ipadm: Could not communicate with ipmgmtd", ("show-addr", ipadm.SHOW_ADDRESSES[4])
    )
    with pytest.raises(EffectError, match=r"`ipadm show-addr.*`: exit 1: ipadm: Could not comm"):
        engine(host, block("203.0.113.9")).managed()
    assert differences(before, comparable(host)) == []


def test_what_the_store_held_before_is_kept(host: SimHost) -> None:
    shown = host.run(ipadm.SHOW_ADDRESSES).out
    engine(host, block("203.0.113.9")).managed()
    engine(host, block("203.0.113.8")).managed()
    assert host.files.read("/var/lib/ipalias/backup/ipadm-show-addr.txt") == shown


# How many


def test_the_kernels_limit_is_told_before_anything_is_done(host: SimHost) -> None:
    before = comparable(host)
    with pytest.raises(UnsupportedError, match=r"256 IPv4 addresses beside .* holds 256 of a"):
        engine(host, block({"block": "203.0.113.0/24"})).managed()
    assert differences(before, comparable(host)) == []


def test_a_thousand_are_planned_from_a_look_or_two(host: SimHost) -> None:
    """As many looks at the store for a thousand as for one."""
    kernel_of(host).limit = 8192
    looks = []
    for many in (1, 1000):
        made = host.twin()
        program = made.programs["ipadm"]
        assert isinstance(program, platform.Ipadm)
        program.taken.clear()
        pillar = block(f"2001:db8:9::1-2001:db8:9::{many:x}")
        assert engine(made, pillar).managed(test=True)["result"] is None
        looks.append(len(program.taken))
    assert looks[0] == looks[1]


# Rows

texts = st.text(st.characters(exclude_characters="\n\r"), max_size=12)


@given(st.lists(texts, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_rows_are_split_as_they_were_joined(fields: list[str]) -> None:
    """``ofmt_print`` puts a backslash before a colon and before a backslash."""
    line = ":".join(each.replace("\\", "\\\\").replace(":", "\\:") for each in fields)
    assert ipadm.split_row(line) == fields


@pytest.mark.parametrize(
    ("row", "lasts", "up"),
    [
        ("net0/v4:static:ok:U--:192.0.2.2/24", True, True),
        ("net0/v4a:static:down:--d:192.0.2.3/24", True, False),
        (r"net0/v6:addrconf:ok:U--:fe80\:\:2/10", False, True),
        ("net0/v4b:dhcp:ok:U--:192.0.2.4/24", False, True),
        ("net0/?:static:ok:---:192.0.2.5/24", False, False),
        ("net0/tmp:static:ok:---:192.0.2.5/24", False, False),
        ("net0/ipa4c0000205:static:down:---:192.0.2.5/24", True, False),
        ("tun0/v4:static:ok:U--:192.0.2.6->192.0.2.7", True, True),
    ],
)
def test_rows_of_the_store(row: str, lasts: bool, up: bool) -> None:
    (found,) = ipadm.parse_objects(row)
    assert (found.lasts, found.up) == (lasts, up)


@pytest.mark.parametrize(
    "row", ["", "net0/v4:dhcp:disabled:U--:?", "a:b", "x:y:z:U--:192.0.2.2/99"]
)
def test_rows_without_an_address_are_left_out(row: str) -> None:
    assert ipadm.parse_objects(row) == []


def test_the_store_is_read_as_it_was_rendered(host: SimHost) -> None:
    wanted = ["203.0.113.1", "203.0.113.2/24", "2001:db8:1::1", "2001:db8:1::2/64"]
    engine(host, block(*wanted)).managed()
    evidence = ipadm.detect(host, "eth0")
    found = {f.alias.cidr: f.ours for f in ipadm.parse(host, evidence)}
    ours = {alias.cidr for alias in aliases(*wanted)}
    assert {cidr for cidr, mine in found.items() if mine} == ours
    assert {cidr for cidr, mine in found.items() if mine is None} == PRIMARIES
    listed = tuple(aliases(*wanted))
    assert ipadm.render(Wanted("eth0", listed, evidence), host) == []
