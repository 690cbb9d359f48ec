"""The database that Kea keeps its leases in: how it is asked, what is refused, what comes in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rig.simdhcp import block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp import carry, database, services
from saltext.ipalias.dhcp.backup import backup
from saltext.ipalias.dhcp.kea import LEASES, standing_store, subnet_id
from saltext.ipalias.dhcp.model import LeaseStore
from saltext.ipalias.dhcp.restarting import DROPIN
from saltext.ipalias.dhcp.restore import restore
from saltext.ipalias.dhcp.services import SERVERS
from saltext.ipalias.effects import Run, run
from saltext.ipalias.errors import EffectError, InputError, RefusedError, VerifyError
from saltext.ipalias.host import Result

NOW = 1_700_000_500.0
UNIT = SERVERS["kea"].unit
PASSWORD = "pa\"s'w\\d"
MYSQL = LeaseStore("mysql", "kea", "localhost", 0, "kea", PASSWORD)
PGSQL = replace(MYSQL, kind="postgresql")
WHERE = "ipalias:dhcp:kea:lease_database"
SUBNET = subnet_id("192.0.2.0/24")
BACKENDS = "- MySQL backend 22.2, library 3.4.10\n- PostgreSQL backend 22.2, library 170012\n"
ACTIVE = 3221226110  # 192.0.2.126
MAC = "02000000007e"


class Client:
    """A client of a database, with what it answers to which statement.

    :ivar asked: command lines and what came on standard input, of each call.
    """

    def __init__(self, host: SimHost, *names: str) -> None:
        self.asked: list[tuple[tuple[str, ...], str]] = []
        self.answers: dict[str, Result] = {}
        self.version, self.leases = "22\t2\n", ""
        for name in names:
            host.programs[name] = self
        host.programs["kea-dhcp4"] = lambda argv, stdin: Result(0, BACKENDS, "")

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        self.asked.append((tuple(argv), stdin or ""))
        for word, answer in self.answers.items():
            if word in " ".join(argv):
                return answer
        if "schema_version" in " ".join(argv):
            return Result(0, self.version, "")
        if "FROM lease4 ORDER BY" in " ".join(argv):
            return Result(0, self.leases, "")
        return Result(0, "", "")

    def written(self) -> list[str]:
        """Return the statements that change a row."""
        texts = [word for argv, _ in self.asked for word in argv if "lease4" in word]
        return [
            text for text in texts if "REPLACE" in text or "ON CONFLICT" in text or "(3" in text
        ]


@pytest.fixture
def host() -> SimHost:
    return linux()


@pytest.fixture
def client(host: SimHost) -> Client:
    # `env` is what psql is called by.
    return Client(host, "mariadb", "psql", "env")


def kea(store: LeaseStore | None = MYSQL, **keys: Any) -> dict[str, Any]:
    if store is None:
        return block(implementation="kea", **keys)
    words = {"name": store.name, "user": store.user, "password": store.password, **keys}
    return block(implementation="kea", kea={"lease_database": {"type": store.kind, **words}})


def bring(host: SimHost, dhcp: dict[str, Any], test: bool = False) -> Any:
    return setup(host, dhcp, clock=lambda: NOW).managed(test=test)


# --- how it is asked --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["kea;reboot", "$(reboot)", "`reboot`", "a'b", 'a"b', "-x&"])
def test_what_is_to_be_copied_into_a_shell_is_one_call(word: str) -> None:
    call = database.admin_call(replace(MYSQL, name=word, user=word, port=3307))
    words = ["mysql", "-h", "localhost", "-P", "3307", "-u", word, "-n", word, "-p"]
    lexer = shlex.shlex(call, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    assert list(lexer) == words


@pytest.mark.parametrize("store", [MYSQL, PGSQL], ids=lambda store: str(store.kind))
def test_no_password_stands_in_a_command_line(store: LeaseStore) -> None:
    program = database._CLIENTS[store.kind][0]
    asked = database.command(replace(store, port=3307), program, "SELECT 1")
    assert 'pa"s' not in " ".join(asked.argv) and "3307" in f"{asked.argv}{asked.stdin}"
    said = {"mysql": 'password="pa\\"s', "postgresql": f"password={PASSWORD}\n"}[store.kind]
    assert said in (asked.stdin or "")


def told_by_options(text: str) -> str:
    """Return a password as the clients of MySQL and MariaDB read it from a file of options."""
    line, quote, escaped = text.partition("password=")[2].rstrip("\n"), "", False
    for at, char in enumerate(line):
        if char in "\"'" and not escaped:
            quote = char if not quote else "" if quote == char else quote
        if char == "#" and not quote:
            line = line[:at].rstrip()
            break
        escaped = bool(quote) and char == "\\" and not escaped
    if len(line) > 1 and line[0] in "\"'" and line[0] == line[-1]:
        line = line[1:-1]
    return re.sub(r"\\([\"'\\])", r"\1", line)


@pytest.mark.parametrize(
    "password", [PASSWORD, 'a"b#c', "a#b", '"#', "#", '"', "\\", 'x\\"#', "it's#x", "\\n", '"a"']
)
def test_the_client_reads_the_password_that_kea_has(password: str) -> None:
    asked = database.command(replace(MYSQL, password=password), "mariadb", "SELECT 1")
    assert told_by_options(asked.stdin or "") == password


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_without_a_password_it_is_asked_as_keas_user(kind: str) -> None:
    store = LeaseStore(kind, "kea", "localhost", 0, "kea")
    asked = database.command(store, "client", "SELECT 1")
    assert asked.argv[:3] == ("setpriv", "--reuid=_kea", "--regid=_kea") and asked.stdin is None


# --- what is refused --------------------------------------------------------------------------

REFUSED: dict[str, tuple[LeaseStore, str, str, str, str]] = {
    "mysql: no server": (MYSQL, "schema", "ERROR 2002 (HY000): Can't connect", "", "reached"),
    "mysql: password": (
        *(MYSQL, "schema", "ERROR 1045 (28000): Access denied for user 'kea'", ":password"),
        "does not let Kea in",
    ),
    "mysql: name": (MYSQL, "schema", "ERROR 1049 (42000): Unknown database", ":name", "let Kea in"),
    "mysql: no tables": (
        *(MYSQL, "schema", "--\nSELECT\n--\nERROR 1146 (42S02): Table doesn't exist", ""),
        "kea-admin db-init mysql -h localhost -u kea -n kea -p`",
    ),
    "mysql: read only": (MYSQL, "DELETE", "--\nDELETE\n--\nERROR 1290: read-only", "", "not write"),
    "pgsql: no server": (PGSQL, "schema", "psql: error: Connection refused", "", "cannot be reach"),
    "pgsql: password": (
        *(PGSQL, "schema", 'FATAL: password authentication failed for user "kea"', ":password"),
        "does not let Kea in",
    ),
    "pgsql: name": (PGSQL, "schema", 'FATAL: database "kea" does not exist', ":name", "let Kea in"),
    "pgsql: no tables": (
        *(PGSQL, "schema", 'ERROR:  relation "schema_version" does not exist', ""),
        "kea-admin db-init pgsql -h localhost -u kea -n kea -p`",
    ),
    "pgsql: read only": (PGSQL, "DELETE", "ERROR:  read-only transaction", "", "no read-only copy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_kea_would_not_start_by_costs_nothing(
    host: SimHost, client: Client, case: str
) -> None:
    store, asked, said, where, words = REFUSED[case]
    client.answers[asked] = Result(1, "", f"{said} {PASSWORD}\n")
    before = host.state()
    for test in (True, False):
        with pytest.raises(InputError) as told:
            bring(host, kea(store), test)
        assert told.value.where == f"{WHERE}{where}" and words in str(told.value)
        assert "--" not in str(told.value) and PASSWORD not in str(told.value)
    assert host.state() == before and not host.mutating


@pytest.mark.parametrize(
    ("there", "words"), [("21\t2\n", "db-upgrade mysql"), ("23\t0\n", "the same release of Kea")]
)
def test_a_schema_of_another_release_is_named(
    host: SimHost, client: Client, there: str, words: str
) -> None:
    client.version = there
    with pytest.raises(InputError, match=f"22.2 alone; .*{words}"):
        bring(host, kea())


def test_a_kea_that_knows_no_such_database_is_named(host: SimHost, client: Client) -> None:
    host.programs["kea-dhcp4"] = lambda argv, stdin: Result(0, "- Memfile backend 3.0\n", "")
    with pytest.raises(InputError, match=r"lease_database:type: .*nothing for MySQL"):
        bring(host, kea())


def test_a_client_that_is_still_to_come_is_told(host: SimHost) -> None:
    told = bring(host, kea(), test=True)
    assert any("is not looked at yet" in note for note in told["notes"])
    with pytest.raises(InputError, match="install mariadb-client and kea-admin"):
        bring(host, kea())
    del host.programs["kea-dhcp4"]
    told = bring(host, kea(), test=True)
    assert any("is not looked at yet" in note for note in told["notes"])


def test_a_hung_client_is_told_with_its_time(host: SimHost, client: Client) -> None:
    client.answers["schema"] = Result(124, "", "")
    with pytest.raises(InputError, match="no answer after 20 s"):
        bring(host, kea())


@pytest.mark.parametrize("answer", [Result(0, "", ""), Result(0, "wsrep_ready\tOFF\n", "")])
def test_one_that_replicates_with_nobody_is_refused(
    host: SimHost, client: Client, answer: Result
) -> None:
    client.answers["wsrep"] = answer
    with pytest.raises(InputError, match=r"lease_database:replicated: .*in no cluster"):
        bring(host, kea(replicated=True))
    client.answers["wsrep"] = Result(0, "wsrep_ready\tON\n", "")
    assert bring(host, kea(replicated=True))["result"] is True


# --- leases -----------------------------------------------------------------------------------


def test_leases_are_read_as_kea_has_them(host: SimHost, client: Client) -> None:
    client.leases = (
        f"{ACTIVE}\t{MAC}\t01{MAC}\t600\t1700000600\t0\n"
        f"{ACTIVE + 1}\t\t\t4294967295\t1700000000\t0\n"
        f"{ACTIVE + 2}\t{MAC}\t\t600\t1700000600\t1\nno row\n{ACTIVE}\tzz\t\t1\t1\t0\n"
    )
    file = database.read_leases(host, MYSQL, WHERE)
    assert [(x.address, x.state, x.mac, x.client, x.starts, x.ends) for x in file.leases] == [
        ("192.0.2.126", "active", "02:00:00:00:00:7e", f"01{MAC}", 1_700_000_000, 1_700_000_600),
        ("192.0.2.127", "active", "", "", 1_700_000_000, None),
        ("192.0.2.128", "abandoned", "02:00:00:00:00:7e", "", 1_700_000_000, 1_700_000_600),
    ]
    assert len(file.problems) == 2 and file.leases[0].where == "mysql kea@localhost:1"


@pytest.mark.parametrize("store", [MYSQL, PGSQL], ids=lambda store: str(store.kind))
def test_what_dhcpds_clients_hold_comes_into_the_database(
    host: SimHost, client: Client, store: LeaseStore
) -> None:
    assert setup(host, block()).managed()["result"] is True
    # Kea's of a time before: one that is dhcpd's to give since, and one of the same client.
    client.leases = f"{ACTIVE}\t0200000000aa\t\t9999999\t1700999999\t0\n"
    looked = bring(host, kea(store), test=True)
    assert "1 leases of dhcpd's come along" in " ".join(looked["notes"])
    assert client.written() == []
    told = bring(host, kea(store))
    assert told["result"] is True and host.files.read(LEASES) is None
    upsert, gone = client.written()
    assert f"({ACTIVE + 24}, " in upsert and "0200000000aa" in upsert and f", {SUBNET}, " in upsert
    # One without an end has its beginning there.
    assert "(1700000000)" in upsert and "4294967295" in upsert
    assert f"DELETE FROM lease4 WHERE address IN ({ACTIVE})" in gone


def test_many_leases_come_in_several_commands() -> None:
    row = {"address": "192.0.2.1", "hwaddr": "", "client_id": "", "valid_lifetime": 1, "expire": 2}
    rows = [{**row, "subnet_id": 1, "state": 0}] * 401
    commands = database._written(MYSQL, "mariadb", rows, [])
    assert [one.argv[-3].count("FROM_UNIXTIME(2)") for one in commands] == [400, 1]
    assert all(len(one.argv[-3]) < 131072 for one in commands)


def test_another_place_of_keas_leases_brings_them_along(host: SimHost, client: Client) -> None:
    assert bring(host, kea(None))["result"] is True
    row = f"192.0.2.126,02:00:00:00:00:7e,,600,1700000600,{SUBNET},0,0,,0,\n"
    host.files.put(LEASES, f"{carry.COLUMNS}\n{row}")
    stopped: list[bool] = []
    client.answers = {}

    def watched(argv: Sequence[str], stdin: str | None) -> Result:
        if "REPLACE" in " ".join(argv):
            stopped.append(running(host, UNIT) is None)
        return client(argv, stdin)

    host.programs["mariadb"] = watched
    told = bring(host, kea())
    assert f"1 leases out of {LEASES} come along" in told["notes"]
    assert stopped == [True] and running(host, UNIT), "a server that serves gives out more"
    assert bring(host, kea())["changes"] == {} and stopped == [True]
    # And on, into another one, and back into the file.
    client.leases = f"{ACTIVE}\t{MAC}\t\t600\t1700000600\t0\n"
    told = bring(host, kea(PGSQL))
    assert "1 leases out of the MySQL database kea at localhost come along" in told["notes"][0]
    host.files.put(LEASES, f"{carry.COLUMNS}\n")
    assert bring(host, kea(None))["result"] is True
    assert "192.0.2.126,02:00:00:00:00:7e" in (host.files.read(LEASES) or "")


@pytest.mark.parametrize("text", ["{} // not read", json.dumps({"Dhcp4": {"lease-database": {}}})])
def test_what_somebody_elses_kea_has_in_its_file_comes_along(
    host: SimHost, client: Client, text: str
) -> None:
    host.files.put(SERVERS["kea"].main, text)
    row = f"192.0.2.126,02:00:00:00:00:7e,,600,1700000600,{SUBNET},0,0,,0,\n"
    host.files.put(LEASES, f"{carry.COLUMNS}\n{row}")
    assert f"1 leases out of {LEASES} come along" in bring(host, kea())["notes"]
    assert MAC in client.written()[0]


def test_leases_that_cannot_be_told_are_not_left_behind(host: SimHost, client: Client) -> None:
    assert bring(host, kea())["result"] is True
    client.answers["ORDER BY"] = Result(1, "", "ERROR 2002 (HY000): Can't connect\n")
    before = host.state()
    with pytest.raises(RefusedError, match=r"unknown to Kea: .*Can't connect; .*dhcp\.clean"):
        bring(host, kea(None))
    assert host.state() == before


def test_a_command_that_fails_leaves_all_as_it_was(host: SimHost, client: Client) -> None:
    assert setup(host, block()).managed()["result"] is True
    client.answers["REPLACE"] = Result(1, "", f"ERROR {PASSWORD}\n")
    with pytest.raises(EffectError) as told:
        bring(host, kea())
    assert PASSWORD not in str(told.value)
    assert running(host, SERVERS["isc"].unit) and host.files.read(DROPIN) is None


# --- the service, and what is told ------------------------------------------------------------


def test_kea_comes_back_by_itself_with_its_database(host: SimHost, client: Client) -> None:
    told = bring(host, kea())
    text = host.files.read(DROPIN) or ""
    assert "Restart=on-failure" in text and "mariadb.service" in text and DROPIN in str(told)
    words = [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]
    assert words.index("systemctl daemon-reload") < words.index(f"systemctl restart {UNIT}")
    bring(host, kea(None))
    text = host.files.read(DROPIN) or ""
    assert "\nRestart=" not in text and "After=" not in text
    bring(host, kea())
    setup(host, kea()).absent()
    assert host.files.read(DROPIN) is None


def test_one_that_is_tried_again_by_itself_has_failed(host: SimHost) -> None:
    ask = host.programs["systemctl"]

    def again(argv: Sequence[str], stdin: str | None) -> Result:
        if "--property=SubState" in argv:
            return Result(0, "auto-restart\n", "")
        return Result(0, "", "") if "restart" in argv else ask(argv, stdin)

    host.programs["systemctl"] = again
    with pytest.raises(VerifyError, match="it says why"):
        run(services.started(SERVERS["kea"], host), host.perform)


def test_no_answer_shows_a_password(host: SimHost, client: Client) -> None:
    shown = [bring(host, kea(), test=True), bring(host, kea())]
    shown.append(bring(host, kea(replace(MYSQL, password="another"))))
    text = json.dumps(shown)
    assert "***" in text
    for secret in (PASSWORD, json.dumps(PASSWORD)[1:-1], "pa\\\\", "another"):
        assert secret not in text and json.dumps(secret)[1:-1] not in text


def test_a_backup_has_no_file_that_is_nobodys(host: SimHost, client: Client) -> None:
    assert bring(host, kea(None))["result"] is True
    host.files.put(LEASES, f"{carry.COLUMNS}\n")
    made = setup(host, kea(None))
    assert LEASES in backup(made, clock=lambda: NOW)["backups"][-1]["files"]
    assert bring(host, kea())["result"] is True
    made = setup(host, kea())
    told = backup(made, clock=lambda: NOW + 9)
    assert LEASES not in told["backups"][-1]["files"] and "own means" in told["comment"]
    first = told["backups"][0]["name"]
    with pytest.raises(RefusedError, match="the leases are in a database"):
        restore(made, first, "leases", stop=True, clock=lambda: NOW + 10)


@pytest.mark.parametrize(
    "text",
    [
        *("", "no JSON", "{}", '{"Dhcp4": {"lease-database": {"type": "mysql"}}}', None),
        '{"Dhcp4": {"lease-database": {"type": "cql", "name": "kea"}}}',
    ],
)
def test_a_configuration_that_says_no_place_is_passed_over(text: str | None) -> None:
    assert standing_store(text) is None


def test_a_configuration_with_comments_says_its_place_all_the_same() -> None:
    text = """{"Dhcp4": { // of the operator's
      # two lines
      "lease-database": {"type": "mysql", /* the
        host is this one */ "name": "k//e#a", "password": "a\\"/*b"}}}"""
    assert standing_store(text) == LeaseStore("mysql", "k//e#a", "localhost", password='a"/*b')


def test_leases_come_along_out_of_a_database_though_somebody_wrote_a_comment(
    host: SimHost, client: Client
) -> None:
    assert bring(host, kea())["result"] is True
    main = SERVERS["kea"].main
    host.files.put(main, f"// mine\n{host.files.read(main)}")
    client.leases = f"{ACTIVE}\t{MAC}\t\t3600\t{int(NOW) + 1000}\t0\n"
    assert "1 leases out of the MySQL database kea" in bring(host, kea(None))["comment"]
    assert "192.0.2.126" in (host.files.read(LEASES) or "")


def test_what_cannot_be_read_of_a_former_database_is_told(host: SimHost, client: Client) -> None:
    assert bring(host, kea())["result"] is True
    client.leases = f"{ACTIVE}\t{MAC}\t\t3600\tNULL\t0\n"
    said = "0 leases out of the MySQL database kea at localhost come along; 1 rows there cannot be"
    for test in (True, False):
        assert said in bring(host, kea(None), test)["comment"]
