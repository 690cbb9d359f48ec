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
    return [lease.address for lease in carry.held(host, CONFIG, NOW).leases]


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
    rows = carry.render_leases(carry.held(host, CONFIG, NOW), CONFIG, NOW).splitlines()
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


def own(number: int, mac: str, starts: int, lasts: int = 9000, ending: str = "") -> str:
    where = subnet_id("192.0.2.0/24")
    return f"192.0.2.{number},{mac},,{lasts},{starts + lasts},{where},0,0,,0,{ending}\n"


FORMER = 1_699_999_000


def keas(host: SimHost) -> dict[str, tuple[str, str]]:
    """Return who holds what, as Kea reads its files."""
    texts = kealeases.read_texts(KEA_LEASES, host.files.read)
    file = kealeases.parse_files(texts, KEA_LEASES)
    assert not file.problems
    return {
        lease.address.rpartition(".")[2]: (lease.mac, lease.client)
        for lease in file.last().values()
        if lease.state == "active" and (lease.ends is None or lease.ends > NOW)
    }


@pytest.fixture
def since(host: SimHost) -> SimHost:
    """Kea was here once, and dhcpd has served since."""
    host.files.put(
        ISC_LEASES,
        entry(100, **{"hardware ethernet": "02:00:00:00:00:01"})
        + entry(101, **{"hardware ethernet": "02:00:00:00:00:02"})
        + entry(102, state="free", **{"hardware ethernet": "02:00:00:00:00:03"}),
    )
    return host


@pytest.mark.parametrize("beside", ["", ".2", ".1", ".completed"])
def test_what_kea_had_of_a_time_before_does_not_hide_what_dhcpd_has_given_since(
    since: SimHost, beside: str
) -> None:
    since.files.put(
        f"{KEA_LEASES}{beside}",
        f"{carry.COLUMNS}\n"
        + own(100, "02:00:00:00:00:bb", FORMER)  # another one has it by now
        + own(102, "02:00:00:00:00:bb", FORMER)  # another one had it, and gave it back
        + own(110, "02:00:00:00:00:02", FORMER)  # that one has another by now
        + own(120, "02:00:00:00:00:cc", FORMER),  # nobody has said anything since
    )
    [note] = [note for note in change_over(since)["notes"] if "come along" in note]
    assert note == "2 leases of dhcpd's come along, in place of 2 that Kea had of before"
    assert keas(since) == {
        "100": ("02:00:00:00:00:01", ""),
        "101": ("02:00:00:00:00:02", ""),
        "120": ("02:00:00:00:00:cc", ""),
    }


def test_what_kea_has_written_later_stays(since: SimHost) -> None:
    later = own(100, "02:00:00:00:00:bb", 1_700_000_100)
    since.files.put(KEA_LEASES, f"{carry.COLUMNS}\n{later}")
    change_over(since)
    assert keas(since)["100"] == ("02:00:00:00:00:bb", "")


def test_what_kea_has_ended_stays_ended(since: SimHost) -> None:
    gone = own(130, "02:00:00:00:00:dd", FORMER)
    since.files.put(f"{KEA_LEASES}.2", f"{carry.COLUMNS}\n{gone}")
    since.files.put(KEA_LEASES, f"{carry.COLUMNS}\n{own(130, '02:00:00:00:00:dd', FORMER, 0)}")
    change_over(since)
    assert sorted(keas(since)) == ["100", "101"]


def test_the_columns_of_a_later_release_stay_and_a_row_that_is_cut_off_goes(
    since: SimHost,
) -> None:
    kept = own(120, "02:00:00:00:00:cc", FORMER, ending=",7")
    since.files.put(KEA_LEASES, f"{carry.COLUMNS},pool_id\n{kept}192.0.2.121,02:00")
    change_over(since)
    rows = (since.files.read(KEA_LEASES) or "").splitlines()
    assert rows[0] == f"{carry.COLUMNS},pool_id" and rows[1] == kept.rstrip()
    assert [row.rpartition(",")[2] for row in rows[2:]] == ["0", "0"]
    assert sorted(keas(since)) == ["100", "101", "120"]


@pytest.mark.parametrize(
    ("lines", "mac", "client", "lasts", "state"),
    [
        ({"uid": '"x"', "hardware ethernet": "02:00:00:00:00:01"}, "02:00:00:00:00:01", "", 600, 0),
        ({"uid": ":".join(["ab"] * 129), "hardware ethernet": "2:0:0:0:0:1"}, "", "", 600, 0),
        ({"uid": '"x"'}, "", "", 600, 1),
        ({"hardware ethernet": "", "hardware infiniband": ":".join(["aa"] * 21)}, "", "", 600, 1),
        ({"starts": ""}, "", "", 100, 0),
        ({"starts": "epoch 1700009000"}, "", "", 100, 0),
        ({"ends": "epoch 999999999999"}, "", "", 0xFFFFFFFE, 0),
    ],
)
def test_rows_are_such_as_kea_takes(
    lines: dict[str, str], mac: str, client: str, lasts: int, state: int
) -> None:
    host = SimHost()
    host.files.put(ISC_LEASES, entry(100, **lines))
    text = carry.render_leases(carry.held(host, CONFIG, NOW), CONFIG, NOW)
    cells = dict(zip(*(row.split(",") for row in text.splitlines()), strict=True))
    assert (int(cells["valid_lifetime"]), int(cells["state"])) == (lasts, state)
    assert cells["client_id"] == client and bool(cells["hwaddr"]) == (not state)
    assert cells["hwaddr"] == mac or not mac
    assert int(cells["expire"]) - lasts in (1_700_000_000, int(NOW))
