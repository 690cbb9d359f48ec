"""A database on a member of a DHCP pair for Kea's leases, as an operator makes it."""

from __future__ import annotations

from rig.host import BootedHost

NAME = USER = "kea"
#: What a file of options, a line of JSON, or a shell could take for something of its own.
PASSWORD = "not#so=secret;42"
_SOURCES = {
    "mysql": f"CREATE DATABASE {NAME}; CREATE USER {USER}@localhost IDENTIFIED BY '{PASSWORD}'; "
    f"GRANT ALL ON {NAME}.* TO {USER}@localhost;",
    "postgresql": f"CREATE USER {USER} PASSWORD '{PASSWORD}';\nCREATE DATABASE {NAME} "
    f"OWNER {USER};",
}
#: As each server's own superuser, who needs no password; not by the product's reader.
_READERS = {
    "mysql": "SELECT INET_NTOA(address), LOWER(HEX(hwaddr)) FROM kea.lease4 "
    "WHERE state = 0 AND expire > NOW()",
    "postgresql": "SELECT '0.0.0.0'::inet + address, encode(hwaddr, 'hex') FROM lease4 "
    "WHERE state = 0 AND expire > now()",
}


class Database:
    """Hold a member's database.

    :param kind: as the pillar calls it.
    """

    def __init__(self, host: BootedHost, kind: str) -> None:
        self.host, self.kind = host, kind

    @property
    def block(self) -> dict[str, str]:
        """Return what the pillar says of it."""
        return {"type": self.kind, "name": NAME, "user": USER, "password": PASSWORD}

    @property
    def units(self) -> list[str]:
        """Return the units of its server."""
        if self.kind == "mysql":
            return ["mariadb.service"]
        # The one that it is called by only waits for these.
        [cluster] = self.host.run(["pg_lsclusters", "--no-header"]).out.splitlines()
        version, name = cluster.split()[:2]
        return [f"postgresql@{version}-{name}.service"]

    def start(self) -> None:
        """Start its server."""
        self.host.run(["systemctl", "start", *self.units])

    def stop(self) -> None:
        """Stop its server."""
        self.host.run(["systemctl", "stop", *self.units])

    def make(self) -> None:
        """Start its server, and make an empty database and its user."""
        self.start()
        self._ask(_SOURCES[self.kind], "mysql" if self.kind == "mysql" else "postgres")

    def make_tables(self) -> None:
        """Make Kea's tables."""
        words = ["kea-admin", "db-init", "mysql" if self.kind == "mysql" else "pgsql"]
        words += ["-h", "localhost", "-u", USER, "-p", PASSWORD, "-n", NAME]
        self.host.run(words)

    def leases(self) -> dict[str, str]:
        """Return hardware addresses by the addresses that are in use."""
        rows = (row.split() for row in self._ask(_READERS[self.kind], NAME).splitlines())
        return {
            address: ":".join(mac[at : at + 2] for at in range(0, len(mac), 2))
            for address, mac in rows
        }

    def _ask(self, sql: str, name: str) -> str:
        if self.kind == "mysql":
            words = ["mariadb", "--batch", "--skip-column-names", name]
        else:
            program = f"psql --quiet --tuples-only --no-align --field-separator ' ' {name}"
            words = ["su", "postgres", "-c", program]
        return self.host.run(words, sql).out
