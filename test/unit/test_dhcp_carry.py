"""Which of dhcpd's leases become Kea's, and when none do."""

from __future__ import annotations

from typing import Any

import pytest

from rig.simdhcp import LEASES, block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp import carry, kealeases
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.isc import LEASES as ISC_LEASES
from saltext.ipalias.dhcp.kea import LEASES as KEA_LEASES
from saltext.ipalias.dhcp.kea import subnet_id
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import Result

NOW = 1_700_000_500.0
CONFIG = parse_dhcp(block(implementation="kea"))


def entry(number: int, state: str = "active", ends: str = "epoch 1700000600", **more: str) -> str:
    address = more.pop("address", f"192.0.2.{number}")
    rows = {"starts": "epoch 1700000000", "ends": ends, "binding state": state, **more}
    if "uid" not in rows:
        rows.setdefault("hardware ethernet", f"02:00:00:00:00:{number:02x}")
    inside = "".join(f"  {key} {value};\n" for key, value in rows.items() if value)
    return f"lease {address} {{\n{inside}}}\n"


def taken(text: str) -> list[str]:
    host = SimHost()
    host.files.put(ISC_LEASES, text)
    return [lease.address for lease in carry.held(host, CONFIG, NOW)]


def test_what_clients_hold_comes_along() -> None:
    text = (
        entry(100)
        + entry(101, ends="never")
        + entry(102, **{"hardware ethernet": "", "uid": '"x"'})
    )
    assert taken(text) == ["192.0.2.100", "192.0.2.101", "192.0.2.102"]


@pytest.mark.parametrize(
    "text",
    [
        entry(100, state="free"),
        entry(100, state="backup"),
        entry(100, state="abandoned"),
        entry(100, ends="epoch 1700000500"),
        entry(100, address="198.51.100.7"),
        entry(100, **{"hardware ethernet": ""}),
        entry(100) + entry(100, state="free"),
        "",
        "no lease file",
    ],
)
def test_what_nobody_holds_does_not(text: str) -> None:
    assert taken(text) == []


def test_the_rows_are_keas() -> None:
    host = SimHost()
    text = entry(100, uid=r'"\001\002\000\000\000\000d"') + entry(101, ends="never")
    host.files.put(ISC_LEASES, text)
    rows = carry.render_leases(carry.held(host, CONFIG, NOW), CONFIG).splitlines()
    network = subnet_id("192.0.2.0/24")
    assert rows[0] == carry.COLUMNS
    assert rows[1] == (f"192.0.2.100,,01:02:00:00:00:00:64,600,1700000600,{network},0,0,,0,")
    assert rows[2] == f"192.0.2.101,02:00:00:00:00:65,,4294967295,5994967295,{network},0,0,,0,"
    file = kealeases.parse_file("\n".join([*rows, ""]), KEA_LEASES)
    assert [(x.address, x.starts, x.ends) for x in file.leases] == [
        ("192.0.2.100", 1_700_000_000.0, 1_700_000_600.0),
        ("192.0.2.101", 1_700_000_000.0, None),
    ]
    assert not file.problems


# --- a host that changes over -----------------------------------------------------------------


@pytest.fixture
def host() -> SimHost:
    made = linux()
    assert setup(made, block()).managed()["result"] is True
    assert made.files.read(ISC_LEASES) == LEASES
    return made


def change_over(host: SimHost, test: bool = False, **keys: Any) -> Any:
    return setup(host, block(implementation="kea", **keys), clock=lambda: NOW).managed(test=test)


def test_keas_first_start_finds_them(host: SimHost) -> None:
    seen: list[str | None] = []
    start = host.programs["systemctl"]

    def watched(argv: Any, stdin: Any) -> Any:
        if "restart" in argv and SERVERS["kea"].unit in argv:
            assert running(host, SERVERS["isc"].unit) is None, "it could give out more"
            seen.append(host.files.read(KEA_LEASES))
        return start(argv, stdin)

    host.programs["systemctl"] = watched
    looked = change_over(host, test=True)
    assert "1 leases of dhcpd's come along" in looked["notes"]
    assert host.files.read(KEA_LEASES) is None
    told = change_over(host)
    assert told["result"] is True and "1 leases of dhcpd's come along" in told["notes"]
    assert seen == [host.files.read(KEA_LEASES)] and "02:00:00:00:00:aa" in (seen[0] or "")
    state = host.files.at(KEA_LEASES)
    assert state is not None
    assert (state.uid, state.gid, state.mode & 0o777) == (101, 105, 0o640)


def test_one_that_cannot_start_leaves_no_leases_behind(host: SimHost) -> None:
    start = host.programs["systemctl"]

    def failing(argv: Any, stdin: Any) -> Any:
        if "restart" in argv and SERVERS["kea"].unit in argv:
            return Result(1, "", "it fails\n")
        return start(argv, stdin)

    host.programs["systemctl"] = failing
    with pytest.raises(EffectError, match="does not start"):
        change_over(host)
    assert host.files.read(KEA_LEASES) is None and running(host, SERVERS["isc"].unit)


def test_keas_own_count_where_it_has_some(host: SimHost) -> None:
    own = f"{carry.COLUMNS}\n192.0.2.160,02:00:00:00:00:bb,,600,1700000600,1,0,0,,0,\n"
    host.files.put(KEA_LEASES, own)
    [note] = [note for note in change_over(host)["notes"] if "leases of its own" in note]
    assert host.files.read(KEA_LEASES) == own and KEA_LEASES in note


def test_old_ones_of_keas_that_nobody_holds_do_not(host: SimHost) -> None:
    old = f"{carry.COLUMNS}\n192.0.2.160,02:00:00:00:00:bb,,600,1700000400,1,0,0,,0,\n"
    host.files.put(KEA_LEASES, old)
    change_over(host)
    assert "02:00:00:00:00:aa" in (host.files.read(KEA_LEASES) or "")


def test_a_database_gets_none(host: SimHost) -> None:
    database = {"type": "mysql", "name": "kea", "user": "kea"}
    told = change_over(host, kea={"lease_database": database})
    assert any("database" in note for note in told["notes"])
    assert host.files.read(KEA_LEASES) is None
