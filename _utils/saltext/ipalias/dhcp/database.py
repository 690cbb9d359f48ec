"""Look into the database that Kea keeps its leases in, and bring leases into one.

By the database's own client program, which `kea-admin` needs too: mysql(1) of MariaDB or MySQL,
psql(1). It has the same library as Kea, so what keeps one out keeps out the other. The password
comes to it on its standard input, as its file of options (``--defaults-file``) or of services
(``PGSERVICEFILE``): in a command line each user of the host could read it.

Kea does not start by a schema of another release than its own, ends at once when its database
goes, and does not come back by itself (2.2 and 2.6, seen).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

from ..effects import Effects, Run
from ..errors import MALFORMED, EffectError, InputError
from ..host import NOT_FOUND, TIMED_OUT, Host, Result
from ..model import Command
from .config_pair import is_loopback
from .kealeases import STATES
from .model import KEA, MYSQL, Lease, LeaseFile, LeaseStore
from .services import SERVERS

#: Seconds that the client waits for a connection, and we for the client.
_CONNECT, _LONGEST = 5, 20.0
#: Leases that one command writes: a line of a command is 128 KiB at most (execve(2)).
_AT_ONCE: Final = 400
#: Lifetime of a lease without an end, which has its beginning in ``expire``.
_FOREVER: Final = 0xFFFFFFFF
_SERVICE: Final = "ipalias"
_CLIENTS: Final = {"mysql": ("mariadb", "mysql"), "postgresql": ("psql",)}
_PACKAGES: Final = {"mysql": "mariadb-client", "postgresql": "postgresql-client"}
#: What `kea-admin` calls them, and ``kea-dhcp4 -V``.
_ADMIN: Final = {"mysql": "mysql", "postgresql": "pgsql"}
_BACKENDS: Final = {"mysql": "MySQL", "postgresql": "PostgreSQL"}
#: That there is no such table: MySQL's error 1146, and the server's own words.
_NO_SCHEMA: Final = re.compile(r"\b1146\b|relation \"schema_version\" does not exist")
#: Which word of the pillar a refusal is about: MySQL's errors, and the words of PostgreSQL.
_ABOUT: Final = (
    ("password", re.compile(r"\b1045\b|password authentication failed|no password supplied")),
    ("name", re.compile(r"\b(1044|1049)\b|database \"[^\"]*\" does not exist")),
)
_LEASES: Final = {
    "mysql": "SELECT address, LOWER(HEX(COALESCE(hwaddr, ''))), "
    "LOWER(HEX(COALESCE(client_id, ''))), valid_lifetime, UNIX_TIMESTAMP(expire), "
    "COALESCE(state, 0) FROM lease4 ORDER BY address",
    "postgresql": "SELECT address, encode(COALESCE(hwaddr, ''), 'hex'), "
    "encode(COALESCE(client_id, ''), 'hex'), valid_lifetime, "
    "EXTRACT(EPOCH FROM expire)::bigint, COALESCE(state, 0) FROM lease4 ORDER BY address",
}
#: Those that are written.
_COLUMNS: Final = (
    *("address", "hwaddr", "client_id", "valid_lifetime", "expire", "subnet_id"),
    *("fqdn_fwd", "fqdn_rev", "hostname", "state"),
)
#: Each needs the right that Kea needs, and concerns no row: address 0 is nobody's.
_RIGHTS: Final = (
    "INSERT INTO lease4 (address) SELECT address FROM lease4 WHERE address = 0",
    "UPDATE lease4 SET state = 0 WHERE address = 0",
    "DELETE FROM lease4 WHERE address = 0",
)
#: Whether what is written here is the other member's too before it counts: Galera.
_CLUSTER: Final = "SHOW GLOBAL STATUS LIKE 'wsrep_ready'"


def program_of(store: LeaseStore, host: Host) -> str | None:
    """Return the name of the client program; None: there is none."""
    return next((name for name in _CLIENTS[store.kind] if host.which(name)), None)


def package_of(store: LeaseStore) -> str:
    """Return the Debian package of the client program."""
    return _PACKAGES[store.kind]


def command(store: LeaseStore, program: str, sql: str) -> Command:
    """Return the command that has a database carry out statements of SQL.

    Where Kea has no password to give, it is known by the user that it runs as.
    """
    argv, stdin = _mysql(store, program, sql) if store.kind == MYSQL else _psql(store, program, sql)
    if stdin is None:
        user = SERVERS[KEA].user
        # libpq ends over a file that it may not see in the superuser's own folder.
        apart = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
        argv = (*apart, "env", "HOME=/nonexistent", *argv)
    return Command(argv, stdin, _LONGEST, told=f"write leases into {describe(store)}")


def _mysql(store: LeaseStore, program: str, sql: str) -> tuple[tuple[str, ...], str | None]:
    """Return a command line of mysql(1), and its file of options; no other one is read."""
    options, stdin = "--no-defaults", None
    if store.password:
        # Option files, "Using Option Files" of both manuals: quotes around, backslashes twice; and
        # behind a quote within that is not escaped a `#` would begin a comment (my_default.c).
        escaped = store.password.replace("\\", "\\\\").replace('"', '\\"')
        options, stdin = "--defaults-file=/dev/stdin", f'[client]\npassword="{escaped}"\n'
    words = ["--batch", "--skip-column-names", f"--connect-timeout={_CONNECT}"]
    words += [f"--host={store.host}", f"--execute={sql}", f"--database={store.name}"]
    words += [f"--port={store.port}"] if store.port else []
    words += [f"--user={store.user}"] if store.user else []
    return (program, options, *words), stdin


def _psql(store: LeaseStore, program: str, sql: str) -> tuple[tuple[str, ...], str | None]:
    """Return a command line of psql(1), and its file of services (libpq, "pg_service.conf")."""
    words = {"host": store.host, "dbname": store.name, "connect_timeout": _CONNECT}
    words |= {"port": store.port} if store.port else {}
    words |= {"user": store.user} if store.user else {}
    asked = [program, "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
    asked += ["--field-separator=\t", "--set=ON_ERROR_STOP=1", f"--command={sql}"]
    if not store.password:
        told = " ".join(f"{key}={value}" for key, value in words.items())
        return (*asked, f"--dbname={told}"), None
    rows = [f"{key}={value}\n" for key, value in {**words, "password": store.password}.items()]
    told = f"--dbname=service={_SERVICE}"
    return ("env", "PGSERVICEFILE=/dev/stdin", *asked, told), f"[{_SERVICE}]\n{''.join(rows)}"


def describe(store: LeaseStore) -> str:
    """Return which database it is, for a message."""
    port = f":{store.port}" if store.port else ""
    return f"the {_BACKENDS[store.kind]} database {store.name} at {store.host}{port}"


def _ask(store: LeaseStore, program: str, sql: str, host: Host) -> Result:
    asked = command(store, program, sql)
    return host.run(asked.argv, asked.stdin, _LONGEST)


def _said(told: Result, store: LeaseStore) -> str:
    """Return why a client has failed, in one line and without the password."""
    if told.code == TIMED_OUT:
        return f"no answer after {_LONGEST:g} s"
    text = " ".join((told.err or told.out).split()) or f"exit {told.code}"
    # What comes before it is the statement.
    text = text[max(0, text.find("ERROR")) :][:400]
    return text.replace(store.password, "***") if store.password else text


# -- what a member needs of it ---------------------------------------------------------------


def refuse_database(host: Host, store: LeaseStore, where: str, *, test: bool) -> list[str]:
    """Refuse a database that Kea would not start by, or that it could not write to.

    :param where: pillar path of ``lease_database``.
    :param test: nothing is to be changed: what is still to be installed is told.
    :return: notes.
    :raises InputError: it cannot be reached, has not the schema that this release of Kea needs,
        is only to be read, or is none that the other member's replicates with.
    """
    program = program_of(store, host)
    if program is None:
        said = f"no client program for {_BACKENDS[store.kind]} is installed"
        if test:
            return [f"{describe(store)} is not looked at yet: {said}"]
        raise InputError(
            said,
            where=where,
            way_out=f"apply the state ipalias.dhcp, or install {package_of(store)} and kea-admin",
        )
    _refuse_schema(host, store, program, where)
    told = _ask(store, program, "; ".join(_RIGHTS), host)
    if told.code:
        raise InputError(
            f"Kea could not write its leases into {describe(store)}: {_said(told, store)}",
            where=where,
            way_out="grant its user SELECT, INSERT, UPDATE and DELETE there, at a server that is "
            "no read-only copy; nothing was changed",
        )
    if store.replicated and is_loopback(store.host):
        _refuse_alone(host, store, program, where)
    return []


def _refuse_schema(host: Host, store: LeaseStore, program: str, where: str) -> None:
    """Refuse a database without the schema of this release of Kea."""
    told = _ask(store, program, "SELECT version, minor FROM schema_version", host)
    call = admin_call(store)
    if told.code and _NO_SCHEMA.search(told.err):
        raise InputError(
            f"{describe(store)} has no tables of Kea's",
            where=where,
            way_out=f"make them once: `kea-admin db-init {call}` (package kea-admin); nothing "
            "was changed",
        )
    if told.code:
        about = next((f":{word}" for word, said in _ABOUT if said.search(told.err)), "")
        what = "does not let Kea in" if about else "cannot be reached"
        raise InputError(
            f"{describe(store)} {what}: {_said(told, store)}",
            where=f"{where}{about}",
            way_out="Kea would not start; put that right and run again, nothing was changed",
        )
    there, needed = ".".join(told.out.split()), schema_needed(host, store)
    if needed is None:
        raise InputError(
            f"kea-dhcp4 here has nothing for {_BACKENDS[store.kind]} (`kea-dhcp4 -V`)",
            where=f"{where}:type",
            way_out="have Debian 12's or 13's; nothing was changed",
        )
    if there != needed:
        older = _numbers(there) < _numbers(needed)
        way_out = "have the same release of Kea wherever it is used"
        if older:
            way_out = f"with no Kea running by it: `kea-admin db-upgrade {call}`"
        raise InputError(
            f"{describe(store)} has schema {there}, and Kea here starts by {needed} alone",
            where=where,
            way_out=f"{way_out}; nothing was changed",
        )


def _refuse_alone(host: Host, store: LeaseStore, program: str, where: str) -> None:
    """Refuse a database of this host's own that is said to replicate, and takes part in nothing."""
    told = _ask(store, program, _CLUSTER, host)
    if told.code or told.out.split()[1:] != ["ON"]:
        raise InputError(
            f"{describe(store)} is each member's own and in no cluster (`wsrep_ready`): no lease "
            "would come to the other one, and after a takeover addresses were given twice",
            where=f"{where}:replicated",
            way_out="leave it out: then the members tell each other; nothing was changed",
        )


def admin_call(store: LeaseStore) -> str:
    """Return the rest of a line of `kea-admin`, which asks for the password."""
    words = [_ADMIN[store.kind], "-h", store.host]
    words += ["-P", str(store.port)] if store.port else []
    words += ["-u", store.user] if store.user else []
    # Somebody copies it into a shell.
    return shlex.join([*words, "-n", store.name, *(["-p"] if store.password else [])])


def schema_needed(host: Host, store: LeaseStore) -> str | None:
    """Return the schema that ``kea-dhcp4 -V`` names for a database; None: it knows none."""
    told = host.run([SERVERS[KEA].program, "-V"])
    found = re.search(rf"(?m){_BACKENDS[store.kind]} backend (\d+\.\d+)", told.out + told.err)
    return found[1] if found else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


# -- leases ----------------------------------------------------------------------------------


def read_leases(host: Host, store: LeaseStore, where: str) -> LeaseFile:
    """Return what a database has of leases.

    :param where: pillar path of ``lease_database``.
    :raises EffectError: it cannot be asked.
    """
    program = program_of(store, host)
    told = Result(NOT_FOUND, "", f"{package_of(store)} is not installed")
    if program is not None:
        told = _ask(store, program, _LEASES[store.kind], host)
    if told.code:
        raise EffectError(
            f"{describe(store)} does not tell its leases: {_said(told, store)}",
            where=where,
            way_out="bring it back, and ask again",
        )
    name = f"{store.kind} {store.name}@{store.host}"
    leases, problems = [], []
    for number, row in enumerate(told.out.splitlines(), 1):
        try:
            leases.append(_parse_row(row, f"{name}:{number}"))
        except MALFORMED:
            problems.append(f"{name}:{number}: `{row[:80]}` cannot be read")
    return LeaseFile(name, tuple(leases), tuple(problems))


def _parse_row(row: str, where: str) -> Lease:
    address, mac, client, lifetime, expire, state = row.split("\t")
    lasts, ends = int(lifetime), int(float(expire))
    forever = lasts == _FOREVER
    starts = float(ends if forever else ends - lasts)
    return Lease(
        str(IPv4Address(int(address))),
        STATES[int(state)],
        ":".join(_pairs(mac)),
        client,
        "",
        starts,
        None if forever else float(ends),
        starts,
        where,
    )


def _pairs(digits: str) -> Iterator[str]:
    bytes.fromhex(digits)
    return (digits[at : at + 2] for at in range(0, len(digits), 2))


def write_leases(
    store: LeaseStore, program: str, rows: Sequence[Mapping[str, object]], over: Iterable[str]
) -> Effects[None]:
    """Write leases over those of their addresses, and take others away.

    :param rows: by the names of the columns, as in Kea's file.
    :param over: addresses that nobody holds any more.
    :raises EffectError: the database does not take them.
    """
    for asked in _written(store, program, rows, over):
        told: Result = yield Run(asked, check=False)
        if told.code:
            said = f"does not take the leases that come along: {_said(told, store)}"
            raise EffectError(said, where=describe(store))


def _written(
    store: LeaseStore, program: str, rows: Sequence[Mapping[str, object]], over: Iterable[str]
) -> list[Command]:
    commands = []
    for at in range(0, len(rows), _AT_ONCE):
        commands.append(command(store, program, _upsert(store, rows[at : at + _AT_ONCE])))
    gone = [str(int(IPv4Address(address))) for address in over]
    for at in range(0, len(gone), _AT_ONCE):
        listed = ", ".join(gone[at : at + _AT_ONCE])
        commands.append(command(store, program, f"DELETE FROM lease4 WHERE address IN ({listed})"))
    return commands


def _upsert(store: LeaseStore, rows: Sequence[Mapping[str, object]]) -> str:
    values = ", ".join(_values(store.kind == MYSQL, **row) for row in rows)
    said = f"INTO lease4 ({', '.join(_COLUMNS)}) VALUES {values}"
    if store.kind == MYSQL:
        return f"REPLACE {said}"
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS[1:])
    return f"INSERT {said} ON CONFLICT (address) DO UPDATE SET {changes}"


def _values(mysql: bool, /, **row: Any) -> str:
    # By digits alone: nothing of a client's comes into a statement as it was written.
    mac, client = (row[key].replace(":", "") for key in ("hwaddr", "client_id"))
    hexes = [f"UNHEX('{text}')" if mysql else f"decode('{text}', 'hex')" for text in (mac, client)]
    lasts, expire = int(row["valid_lifetime"]), int(row["expire"])
    expire -= lasts if lasts == _FOREVER else 0
    moment = f"FROM_UNIXTIME({expire})" if mysql else f"to_timestamp({expire})"
    return (
        f"({int(IPv4Address(row['address']))}, {hexes[0]}, {hexes[1] if client else 'NULL'}, "
        f"{lasts}, {moment}, {int(row['subnet_id'])}, {'0, 0' if mysql else 'false, false'}, '', "
        f"{int(row['state'])})"
    )
