"""Backups of leases and configuration, kept and put back, and a crash at any moment of either."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rig import simafter
from rig.simdhcp import block, linux, running, setup
from rig.simhost import STATE, SimHost
from rig.simstills import stills
from saltext.ipalias.backup import digest
from saltext.ipalias.dhcp import aside, backup, iscleases, kealeases
from saltext.ipalias.dhcp.restore import restore
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.effects import Run, WriteTemporary
from saltext.ipalias.errors import EffectError, InputError, ParseError, RefusedError
from saltext.ipalias.host import Result

MOMENT = 1767323045.0
NAME = "20260102T030405Z"
FOLDER = f"{STATE}/dhcp/backup"
OWN = "/etc/dhcp/ipalias.conf"
ISC, KEA = "/var/lib/dhcp/dhcpd.leases", "/var/lib/kea/kea-leases4.csv"
PAIR = 'failover peer "pair1" state {\n  my state normal at 5 2026/01/02 03:04:05;\n}\n'
HEAD = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n"
BOTH = ("isc", "kea")


def lease(implementation: str, number: int) -> str:
    """Return an entry of a lease file."""
    if implementation == "isc":
        return f"lease 192.0.2.{number} {{\n  binding state active;\n}}\n"
    return f"192.0.2.{number},02:00:00:00:00:01,,600,1767323645,1,0,0,,0\n"


def leases_of(implementation: str) -> str:
    return ISC if implementation == "isc" else KEA


def member(implementation: str) -> SimHost:
    """Return a member with a lease."""
    host = linux()
    setup(host, block(implementation=implementation)).managed()
    path = leases_of(implementation)
    head = PAIR if implementation == "isc" else HEAD
    host.files.put(path, head + lease(implementation, 100), 0o640, 105, 106)
    host.log.clear()
    return host


class LastLease:
    """``systemctl``, and a server that has one more lease to write when it is stopped."""

    def __init__(self, host: SimHost, real: Any, implementation: str) -> None:
        self.host, self.real, self.implementation = host, real, implementation

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        unit, path = SERVERS[self.implementation].unit, leases_of(self.implementation)
        if "stop" in argv and running(self.host, unit) is not None:
            node = self.host.files.nodes[path]
            last = lease(self.implementation, 199)
            if last not in node.text:
                self.host.files.put(path, node.text + last, node.mode, node.uid, node.gid)
        result: Result = self.real(argv, stdin)
        return result


def grown(implementation: str) -> SimHost:
    """Return a member that has a backup and, since then, other leases and configuration.

    Its server has one more lease to write when it is told to stop.
    """
    host = member(implementation)
    dhcp = block(implementation=implementation)
    backup.backup(setup(host, dhcp), clock=lambda: MOMENT)
    add(host, implementation, 101)
    subnet = {**dhcp["subnets"][0], "routers": ["192.0.2.1"]}
    setup(host, {**dhcp, "subnets": [subnet]}).managed()
    add(host, implementation, 102)
    host.programs["systemctl"] = LastLease(host, host.programs["systemctl"], implementation)
    host.log.clear()
    return host


def add(host: SimHost, implementation: str, number: int) -> None:
    path = leases_of(implementation)
    node = host.files.nodes[path]
    text = node.text + lease(implementation, number)
    host.files.put(path, text, node.mode, node.uid, node.gid)


def engine(host: SimHost, implementation: str) -> Any:
    return setup(host, block(implementation=implementation))


def names(host: SimHost) -> list[str]:
    return [one.name for one in backup.kept(host, FOLDER)]


def addresses(host: SimHost, implementation: str) -> list[int]:
    """Return the last numbers of the addresses that the lease file has."""
    path = leases_of(implementation)
    parse = iscleases.parse_file if implementation == "isc" else kealeases.parse_file
    return sorted(int(a.rsplit(".", 1)[1]) for a in parse(host.read(path) or "", path).last())


def whole(host: SimHost) -> list[str]:
    """Return the backups that count, each of them seen to be whole."""
    there = backup.kept(host, FOLDER)
    for one in there:
        for file in one.files:
            if file.saved:
                backup.read_saved(host, FOLDER, one, file)
    return [one.name for one in there]


# -- keeping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", BOTH)
def test_a_backup_has_leases_and_configuration_with_owner_and_mode(implementation: str) -> None:
    host = member(implementation)
    before = host.state()
    answer = backup.backup(engine(host, implementation), clock=lambda: MOMENT)
    assert (answer["result"], answer["changes"]) == (True, {"backup": NAME})
    [made] = backup.kept(host, FOLDER)
    assert (made.name, made.moment, made.member) == (NAME, MOMENT, "dhcp1")
    by_path = {file.path: file for file in made.files}
    main = SERVERS[implementation].main
    rest = {OWN, "/etc/default/isc-dhcp-server", f"{STATE}/dhcp-omapi.json"}
    assert set(by_path) == {
        leases_of(implementation),
        main,
        *(rest if implementation == "isc" else ()),
    }
    for path, file in by_path.items():
        node = host.files.nodes[path]
        assert (file.mode, file.uid, file.gid) == (node.mode, node.uid, node.gid)
        assert host.read(f"{FOLDER}/{NAME}/{file.saved}") == node.text
        assert file.digest == digest(node.text)
        assert host.files.nodes[f"{FOLDER}/{NAME}/{file.saved}"].mode == 0o600
    assert host.files.nodes[FOLDER].mode == 0o700
    after = host.state()
    after["files"] = {p: n for p, n in after["files"].items() if not p.startswith(FOLDER)}
    assert after == before
    assert not [effect for effect in host.log if isinstance(effect, Run)]


def test_it_shows_what_it_would_do(implementation: str = "isc") -> None:
    host = member(implementation)
    before = host.state()
    answer = backup.backup(engine(host, implementation), test=True, clock=lambda: MOMENT)
    assert (answer["result"], answer["backups"]) == (None, [])
    assert host.mutating == [] and host.state() == before


def test_only_the_last_ones_are_kept() -> None:
    host = member("isc")
    told = [
        backup.backup(engine(host, "isc"), 3, clock=lambda now=now: MOMENT + now)
        for now in (0, 1, 1, 2, 3)
    ]
    stamps = ["20260102T030405Z", "20260102T030406Z", "20260102T030406Z-1"]
    assert [answer["changes"].get("removed") for answer in told] == [
        *(None, None, None),
        [stamps[0]],
        [stamps[1]],
    ]
    assert names(host) == [stamps[2], "20260102T030407Z", "20260102T030408Z"]
    assert len(host.glob(f"{FOLDER}/*")) == 3
    assert [row["name"] for row in told[-1]["backups"]] == names(host)


def test_what_a_clock_that_was_ahead_has_dated_is_the_oldest() -> None:
    """Or each new one would be the first to go, and the newest the one that is none."""
    host = member("isc")
    told = [
        backup.backup(engine(host, "isc"), 3, clock=lambda now=now: MOMENT + now)
        for now in (9e7, 9e7 + 1, 0, 1, 2)
    ]
    stamps = ["20260102T030405Z", "20260102T030406Z", "20260102T030407Z"]
    assert sorted(names(host)) == stamps
    assert [len(answer["changes"].get("removed", ())) for answer in told] == [0, 0, 0, 1, 1]
    ahead = backup.backup(engine(host, "isc"), 4, clock=lambda: MOMENT + 9e7)["changes"]["backup"]
    again = restore(engine(host, "isc"), stop=True, test=True, clock=lambda: MOMENT + 60)
    assert stamps[-1] in again["comment"] and ahead not in again["comment"]


def test_a_lease_that_is_being_written_is_left_out() -> None:
    host = member("isc")
    host.files.put(ISC, lease("isc", 100) + "lease 192.0.2.101 {\n  binding st")
    backup.backup(engine(host, "isc"), clock=lambda: MOMENT)
    [made] = backup.kept(host, FOLDER)
    [file] = [file for file in made.files if file.part == "leases"]
    assert backup.read_saved(host, FOLDER, made, file) == lease("isc", 100)


def test_what_keas_clean_up_works_on_is_in_the_backup() -> None:
    host = member("kea")
    old = HEAD.replace(",state", "")
    host.files.put(f"{KEA}.2", old + "192.0.2.98,,,600,1767323645,1,0,0,\n", 0o640, 105, 106)
    host.files.put(f"{KEA}.1", HEAD + lease("kea", 99) + "192.0.2.9", 0o640, 105, 106)
    backup.backup(engine(host, "kea"), clock=lambda: MOMENT)
    [made] = backup.kept(host, FOLDER)
    [file] = [file for file in made.files if file.part == "leases"]
    text = backup.read_saved(host, FOLDER, made, file)
    assert [x.address for x in kealeases.parse_file(text, KEA).leases] == [
        "192.0.2.98",
        "192.0.2.99",
        "192.0.2.100",
    ]
    assert kealeases.parse_file(text, KEA).problems == ()


def test_leases_that_are_not_there_are_told() -> None:
    host = member("kea")
    host.files.drop(KEA)
    answer = backup.backup(engine(host, "kea"), clock=lambda: MOMENT)
    assert "kea-leases4.csv is not there: it has no leases" in answer["comment"]
    [made] = backup.kept(host, FOLDER)
    assert [file.part for file in made.files] == ["configuration"]


def test_a_host_that_is_no_member_has_nothing_to_keep() -> None:
    for call in (backup.backup, restore):
        with pytest.raises(RefusedError, match="no member of a pair"):
            call(engine(linux(), "isc"))


def test_a_disk_that_is_full_leaves_no_half() -> None:
    host = grown("isc")
    at = [0]

    def full(effect: object) -> int:
        mine = isinstance(effect, WriteTemporary) and FOLDER in effect.path
        at[0] += mine
        return 28 if mine and at[0] == 3 else 0

    host.refuses = full
    with pytest.raises(EffectError, match="No space left"):
        backup.backup(engine(host, "isc"), clock=lambda: MOMENT + 5)
    assert at[0] == 3
    assert whole(host) == [NAME]
    assert host.glob(f"{FOLDER}/*") == [f"{FOLDER}/{NAME}"]


def test_an_index_that_is_damaged_does_not_count() -> None:
    host = grown("isc")
    path = f"{FOLDER}/{NAME}/index.json"
    text = host.read(path) or ""
    for spoilt in (text.replace("dhcp1", "dhcp2"), text[:-20], "{}", "[]"):
        host.files.put(path, spoilt)
        assert names(host) == []
        with pytest.raises(ParseError):
            backup.parse_index(spoilt, path)
    host.files.put(path, text)
    assert names(host) == [NAME]
    host.files.put(f"{FOLDER}/20270102T030405Z/index.json", text)
    assert names(host) == [NAME]


# -- putting back ------------------------------------------------------------------------------


def test_a_server_that_runs_is_not_touched_unless_told() -> None:
    host = grown("isc")
    before = host.state()
    with pytest.raises(RefusedError, match=r"isc-dhcp-server.service runs .*stop=True"):
        restore(engine(host, "isc"))
    assert host.state() == before
    assert not [e for e in host.mutating if isinstance(e, Run)]


@pytest.mark.parametrize("implementation", BOTH)
def test_everything_is_put_back_and_the_server_runs_by_it(implementation: str) -> None:
    host = grown(implementation)
    answer = restore(engine(host, implementation), stop=True, clock=lambda: MOMENT + 60)
    assert answer["result"] is True
    assert answer["changes"]["leases"] == leases_of(implementation)
    assert "+" in "".join(answer["changes"]["files"].values())
    assert addresses(host, implementation) == [100]
    node = host.files.nodes[leases_of(implementation)]
    assert (node.mode, node.uid, node.gid) == (0o640, 105, 106)
    unit = SERVERS[implementation].unit
    assert "192.0.2.1," not in (running(host, unit) or "") and running(host, unit) is not None
    fresh = linux()
    setup(fresh, block(implementation=implementation)).managed()
    assert running(host, unit) == running(fresh, unit)
    assert host.glob(f"{leases_of(implementation).rsplit('/', 1)[0]}/.*") == []
    assert host.read(f"{STATE}/dhcp/set-aside") is None
    # The last lease that was given before the end is in the backup that was made of it.
    assert whole(host) == [NAME, "20260102T030505Z"]
    again = restore(engine(host, implementation), "20260102T030505Z", "leases", stop=True)
    assert set(again["changes"]) == {"leases"}
    assert addresses(host, implementation) == [100, 101, 102, 199]


def test_dhcpd_asks_its_peer_before_it_serves_by_old_leases() -> None:
    host = grown("isc")
    told = restore(engine(host, "isc"), what="leases", stop=True, clock=lambda: MOMENT + 60)
    assert host.read(ISC) == lease("isc", 100)
    # Seen: the peer takes itself for alone, and this one serves nobody for that time.
    assert "serves again when mclt is over" in told["comment"]
    told = restore(engine(host, "isc"), NAME, "leases", stop=True, sync=False)
    assert host.read(ISC) == PAIR + lease("isc", 100) and "mclt" not in told["comment"]


def test_a_part_alone_is_put_back() -> None:
    host = grown("isc")
    own = host.read(OWN)
    restore(engine(host, "isc"), what="leases", stop=True)
    assert host.read(OWN) == own and addresses(host, "isc") == [100]
    host = grown("isc")
    answer = restore(engine(host, "isc"), what="configuration", stop=True)
    assert host.read(OWN) != own and addresses(host, "isc") == [100, 101, 102, 199]
    assert list(answer["changes"]["files"]) == [OWN]
    assert "The next highstate brings the configuration to the pillar's again" in answer["notes"]


def test_a_server_that_does_not_run_stays_so() -> None:
    host = grown("isc")
    host.run(["systemctl", "stop", SERVERS["isc"].unit])
    restore(engine(host, "isc"), what="leases")
    assert running(host, SERVERS["isc"].unit) is None
    assert addresses(host, "isc") == [100]


def test_keas_other_files_go_and_come_back() -> None:
    host = grown("kea")
    host.files.put(f"{KEA}.2", HEAD + lease("kea", 50))
    restore(engine(host, "kea"), what="leases", stop=True)
    assert addresses(host, "kea") == [100]
    assert host.read(f"{KEA}.2") is None
    newest = names(host)[-1]
    restore(engine(host, "kea"), newest, "leases", stop=True)
    assert addresses(host, "kea") == [50, 100, 101, 102, 199]


def test_it_is_shown_first_and_no_key_with_it() -> None:
    host = grown("isc")
    before = host.state()
    secret = engine(host, "isc").omapi_key().secret
    host.files.put(OWN, (host.read(OWN) or "").replace(secret, "x") + f"# {secret}\n")
    host.log.clear()
    answer = restore(engine(host, "isc"), stop=True, test=True)
    assert answer["result"] is None and answer["changes"]["leases"] == ISC
    assert secret not in json.dumps(answer) and "***" in answer["changes"]["files"][OWN]
    assert host.mutating == []
    assert {k: v for k, v in host.state().items() if k != "files"} == {
        k: v for k, v in before.items() if k != "files"
    }


def test_what_is_as_in_the_backup_is_left() -> None:
    host = member("isc")
    backup.backup(engine(host, "isc"), clock=lambda: MOMENT)
    host.log.clear()
    answer = restore(engine(host, "isc"), what="configuration")
    assert (answer["result"], answer["changes"]) == (True, {})
    assert not [effect for effect in host.log if isinstance(effect, Run)]


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [("x", "all", "no backup is called x.*there are 2026"), (None, "some", "what")],
)
def test_what_there_is_not_is_refused(name: str | None, what: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        restore(engine(grown("isc"), "isc"), name, what, stop=True)
    with pytest.raises(InputError, match="there is no backup"):
        restore(engine(member("isc"), "isc"))


def test_a_backup_of_the_other_implementation_is_refused() -> None:
    host = grown("isc")
    setup(host, block(implementation="kea")).managed()
    with pytest.raises(RefusedError, match="is of isc, and this host runs kea"):
        restore(engine(host, "kea"), stop=True)


@pytest.mark.parametrize("spoil", ["drop", "change"])
def test_a_damaged_backup_is_refused(spoil: str) -> None:
    host = grown("isc")
    [path] = host.glob(f"{FOLDER}/{NAME}/var_lib_dhcp_dhcpd*")
    host.files.drop(path) if spoil == "drop" else host.files.put(path, "x")
    before = host.state()
    with pytest.raises(RefusedError, match="is gone" if spoil == "drop" else "is damaged"):
        restore(engine(host, "isc"), stop=True)
    assert host.state() == before


def test_a_configuration_that_the_server_refuses_costs_nothing() -> None:
    host, main = grown("isc"), "/etc/dhcp/dhcpd.conf"
    good = host.read(main) or ""
    host.files.put(main, f"bogus;\n{good}")
    backup.backup(engine(host, "isc"), clock=lambda: MOMENT + 9)
    host.files.put(main, good)
    before = host.state()
    host.log.clear()
    with pytest.raises(EffectError, match="dhcpd refuses"):
        restore(engine(host, "isc"), stop=True)
    assert host.state() == before
    assert running(host, SERVERS["isc"].unit) is not None
    assert not [e for e in host.log if isinstance(e, Run) and "stop" in e.command.argv]


@pytest.mark.parametrize("implementation", BOTH)
def test_a_server_that_does_not_start_by_it_has_its_last_lease_back(implementation: str) -> None:
    host = grown(implementation)
    path, main = leases_of(implementation), SERVERS[implementation].main
    before = {one: host.read(one) for one in (OWN, main)}
    real = host.programs["systemctl"]
    failing = [True]

    def systemctl(argv: Sequence[str], stdin: str | None) -> Result:
        if "restart" in argv and failing[0]:
            # It has got as far as a clean-up of its leases.
            host.files.put(f"{KEA}.1", HEAD + lease("kea", 77))
            failing[0] = False
            return Result(1, "", "failed")
        result: Result = real(argv, stdin)
        return result

    host.programs["systemctl"] = systemctl
    with pytest.raises(EffectError, match="does not start"):
        restore(engine(host, implementation), stop=True, clock=lambda: MOMENT + 60)
    assert addresses(host, implementation) == [100, 101, 102, 199]
    assert (host.read(path) or "").startswith(PAIR if implementation == "isc" else HEAD)
    assert {one: host.read(one) for one in (OWN, main)} == before
    assert running(host, SERVERS[implementation].unit) is not None
    assert host.glob(f"{path.rsplit('/', 1)[0]}/.*") == []
    assert host.read(f"{STATE}/dhcp/set-aside") is None
    assert (host.read(f"{KEA}.1") is None) == (implementation == "kea")


# -- a crash at any moment ---------------------------------------------------------------------


@pytest.mark.parametrize("implementation", BOTH)
def test_a_crash_in_a_backup_leaves_the_former_one_and_no_half(implementation: str) -> None:
    host = grown(implementation)
    live = host.state()
    before = {p: n for p, n in live["files"].items() if not p.startswith(FOLDER)}
    halves = 0
    later = "20260102T030505Z"
    clock: Callable[[], float] = lambda: MOMENT + 60  # noqa: E731

    def request(host: SimHost) -> object:
        return backup.backup(engine(host, implementation), clock=clock)

    for said, still in stills(host, request):
        state = still.state()
        assert {p: n for p, n in state["files"].items() if not p.startswith(FOLDER)} == before, said
        assert state["services"] == live["services"], said
        folders = len(still.glob(f"{FOLDER}/*"))
        assert whole(still) in ([NAME], [NAME, later]), said
        halves += folders > len(names(still))
        backup.backup(engine(still, implementation), clock=lambda: MOMENT + 90)
        assert len(still.glob(f"{FOLDER}/*")) == len(whole(still)) >= 2, said
        assert "20260102T030535Z" in names(still) and NAME in names(still)
    # Such a moment there is: the check above can fail.
    assert halves > 3


def test_a_crash_in_the_rotation_leaves_no_half() -> None:
    host = grown("isc")
    halves = 0

    def request(host: SimHost) -> object:
        return backup.backup(engine(host, "isc"), 1, clock=lambda: MOMENT + 60)

    for said, still in stills(host, request):
        assert whole(still), said
        halves += len(still.glob(f"{FOLDER}/*")) > len(names(still))
        backup.backup(engine(still, "isc"), 1, clock=lambda: MOMENT + 90)
        assert whole(still) == ["20260102T030535Z"], said
        assert len(still.glob(f"{FOLDER}/*")) == 1, said
    assert halves > 3


def settle(host: SimHost) -> SimHost:
    simafter.settle(host)
    return host


def dead_man(host: SimHost) -> SimHost:
    simafter.dead_man(host)
    simafter.settle(host)
    return host


@pytest.mark.parametrize("way", [settle, dead_man, simafter.reboot])
@pytest.mark.parametrize("implementation", BOTH)
def test_a_crash_in_a_restore_leads_to_the_old_or_the_new(
    implementation: str, way: Callable[[SimHost], SimHost]
) -> None:
    host = grown(implementation)
    unit, path = SERVERS[implementation].unit, leases_of(implementation)
    done = host.successor()

    def request(host: SimHost) -> object:
        return restore(engine(host, implementation), NAME, stop=True, clock=lambda: MOMENT + 60)

    request(done)
    files = [f for f in host.files.nodes if f.startswith("/etc/") and "ipalias-check" not in f]
    outcomes = set()
    torn = 0
    for said, still in stills(host, request):
        known = addresses(still, implementation)
        torn += known != [100] and still.read(path) != host.read(path)
        after = way(still)
        assert whole(after)[0] == NAME, said
        config = {one: after.files.nodes.get(one) for one in files}
        old = config == {one: host.files.nodes.get(one) for one in files}
        new = config == {one: done.files.nodes.get(one) for one in files}
        assert old or new, said
        known = addresses(after, implementation)
        # A server that was stopped has given its last lease.
        assert known in ([100, 101, 102], [100, 101, 102, 199]) if old else known == [100], said
        node = after.files.nodes[path]
        assert (node.mode, node.uid, node.gid) == (0o640, 105, 106), said
        # It runs, by the text that lies there.
        assert running(after, unit) == running(host if old else done, unit), said
        backup.backup(engine(after, implementation), clock=lambda: MOMENT + 90)
        assert after.glob(f"{path.rsplit('/', 1)[0]}/.*") == [], said
        assert after.read(f"{STATE}/dhcp/set-aside") is None
        assert addresses(after, implementation) == known, said
        outcomes.add(old)
    assert outcomes == {True, False}
    assert torn > 3


@pytest.mark.parametrize("live", [True, False])
def test_a_way_back_that_is_cut_short_is_gone_on_with(live: bool) -> None:
    host = grown("kea")
    host.files.put(f"{KEA}.2", HEAD + lease("kea", 50))

    def request(host: SimHost) -> object:
        return restore(engine(host, "kea"), NAME, stop=True, clock=lambda: MOMENT + 60)

    back = settle if live else simafter.boot_restore
    for said, still in stills(host, request):
        if not still.glob(f"{STATE}/open-*.json"):
            continue
        for again, second in stills(still, back):
            after = settle(second) if live else simafter.reboot(second)
            known = addresses(after, "kea")
            assert known in ([100, 101, 102], [100, 101, 102, 199]), (said, again)
            assert after.read(f"{KEA}.2") is not None, (said, again)


def test_what_a_server_has_made_meanwhile_goes_with_the_way_back() -> None:
    host = SimHost()
    host.files.put(KEA, "new")
    host.files.put(f"{KEA}.1", "new, made by its clean-up")
    host.files.put(aside.kept_name(KEA), "old")
    host.files.put("/state/mark", "")
    what = aside.Aside(tuple(kealeases.every_file(KEA)), "/state/mark")
    for effect in list(aside.back(what, (), host)):
        host.perform(effect)
    assert host.read(KEA) == "old" and host.read(f"{KEA}.1") is None
