"""ifstated on a simulated BSD: its file as the host has it, each command by a form that is cited.

Tests and actions are lines for ``sh -c``; of the shell they use quotes, ``||``, ``&&`` and
``>/dev/null`` alone.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from rig.ifstated import Ifstated
from rig.simforms import Cited, Form
from rig.simhost import SimHost
from rig.simopenwan import GATEWAY, GATEWAY6, OCTETS, OK, Programs
from saltext.ipalias.host import Result

_SECONDS = "{wait:[1-9][0-9]?}"
_TARGET = f"{{target:{OCTETS}|[0-9a-f:]+:[0-9a-f:]*}}"
_USAGE = ("usage", 1)


class Machine:
    """The daemon on a host.

    :param path: of its file.
    """

    def __init__(self, host: SimHost, path: str) -> None:
        self.host = host
        #: Targets that do not answer.
        self.dead: set[str] = set()
        #: What pf was told to forget, what was told to the journal's writer, and the log.
        self.forgotten: list[tuple[str, ...]] = []
        self.told: list[list[str]] = []
        self.log: list[str] = []
        self._install()
        text = host.files.read(path)
        assert text is not None
        links = {name: "up" for name in host.net.links}
        self.daemon = Ifstated(text, self.ask, self.run, links=links).start()

    def _install(self) -> None:
        openbsd = self.host.system == "openbsd"
        held: Any = self.host.programs["pfctl"]
        programs = held.forms[0].act.__self__
        assert isinstance(programs, Programs)
        ping = self._pings(openbsd)
        listed = {
            "/sbin/route": self._routes(programs, openbsd),
            "/sbin/pfctl": self._pfctl(openbsd),
            "ping": ping,
            "ping6": ping if openbsd else [],
            "/usr/bin/logger": [
                Form("/usr/bin/logger -t ifstated {text:.+}", "logger(1)", self._logged),
                Form(
                    "/usr/bin/logger -p daemon.warning -t ifstated {text:.+}",
                    "logger(1), -p",
                    self._logged,
                ),
            ],
            "true": [Form("true", "true(1)", lambda slots, stdin: OK)],
        }
        for name, forms in listed.items():
            self.host.programs[name] = Cited(self.host, name, forms, _USAGE)

    @staticmethod
    def _routes(programs: Any, openbsd: bool) -> list[Form]:
        cite = "route(8), -q, -n, add and delete"
        found = []
        for family, gateway in (("-inet", GATEWAY), ("-inet6", GATEWAY6)):
            head = f"/sbin/route -qn {{verb:add|delete}} {family}"
            mpath = "-mpath " if openbsd else ""
            found.append(Form(f"{head} {mpath}default {gateway}", cite, programs.default))
            if not openbsd:
                heavy = f"/sbin/route -qn {{verb:add}} {family} default {gateway}"
                weight = f"{heavy} -weight {{weight:[0-9]{{1,3}}}}"
                found.append(Form(weight, f"{cite}; route.c, K_WEIGHT", programs.weighted))
        return found

    def _pfctl(self, openbsd: bool) -> list[Form]:
        if openbsd:
            form = "/sbin/pfctl -q -k label -k {what:ipalias_[A-Za-z0-9_.-]+}"
            return [Form(form, "pfctl(8), -k: by rule label", self._forget)]
        form = f"/sbin/pfctl -q -i {{interface:[a-z]+[0-9]+}} -k {{what:{OCTETS}}}"
        return [Form(form, "pfctl(8), -i and -k; pf_ioctl.c, pf_killstates_row", self._forget)]

    def _pings(self, openbsd: bool) -> list[Form]:
        wait, source = ("-w", "-I") if openbsd else ("-t", "-S")
        cite = f"ping(8), -q, -c, {wait}, {source}"
        found = []
        for name in ("ping", "ping6"):
            head = f"{name} -q -c 1 {wait} {_SECONDS}"
            found.append(Form(f"{head} {_TARGET}", cite, self._ping))
            found.append(Form(f"{head} {source} {{own:{OCTETS}}} {_TARGET}", cite, self._ping))
        return found

    def _forget(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.forgotten.append(tuple(slots.values()))
        return OK

    def _logged(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.log.append(slots["text"])
        return OK

    def _ping(self, slots: dict[str, str], stdin: str | None) -> Result:
        return Result(1 if slots["target"] in self.dead else 0, "", "")

    def ask(self, command: str) -> tuple[int, float]:
        """Run a test."""
        lasts, status = 0.0, 1
        for part in re.split(r"\|\||&&", command):
            done = self._sh(part.replace(">/dev/null", ""))
            lasts += 5.0 if done.code else 0.03
            status = done.code
            if (status == 0) == ("||" in command):
                break
        return status, lasts

    def run(self, command: str) -> None:
        """Run an action; ifstated looks at no exit status."""
        words = shlex.split(command)
        if words[0].endswith("python3"):
            self.told.append(words[words.index("wan-note") + 2 :])
        else:
            self._sh(command)

    def _sh(self, line: str) -> Result:
        words = shlex.split(line)
        done = self.host.run(words)
        program: Any = self.host.programs[words[0]]
        assert not program.refused, f"no form of this system: {program.refused}"
        return done

    def settle(self) -> None:
        """Let every line be asked twice."""
        for _ in range(12):
            self.daemon.round()
