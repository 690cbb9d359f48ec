"""NetworkManager on a simulated host: `nmcli` as far as a change of aliases asks it."""

from __future__ import annotations

from collections.abc import Sequence

from rig import plat
from rig.simhost import SimHost
from rig.simowners import OWNERS, Program, machine
from saltext.ipalias.host import Result

FOLDER = "/etc/NetworkManager/system-connections"
UUIDS = "3b0a4c3e-0000-4000-8000-{:012d}"

KEYFILE = """[connection]
id={name}
uuid={uuid}
type=ethernet
interface-name={name}

[ipv4]
{ipv4}

[ipv6]
{ipv6}
"""


class Nmcli(Program):
    """`nmcli` of 1.52 with a running daemon; loading a profile changes nothing live."""

    def __init__(self, host: SimHost, links: Sequence[str]) -> None:
        super().__init__(host)
        self.uuids = {name: UUIDS.format(number) for number, name in enumerate(links)}

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        match list(argv[1:]):
            case ["-t", "-f", "RUNNING,VERSION", "general"]:
                return Result(0, "running:1.52.1\n", "")
            case ["-t", "-f", _, "device", "show", name] if name in self.uuids:
                state = f"GENERAL.STATE:100 (connected)\nGENERAL.CON-UUID:{self.uuids[name]}\n"
                return Result(0, state, "")
            case ["-t", "-f", "UUID,FILENAME", "connection", "show"]:
                rows = (f"{uuid}:{path_of(name)}\n" for name, uuid in self.uuids.items())
                return Result(0, "".join(rows), "")
            case ["--offline", "connection", "modify"]:
                return Result(0, stdin or "", "")
            case ["connection", "load", path] if self.host.files.read(path) is not None:
                return Result(0, "", "")
        return Result(10, "", f"Error: {' '.join(argv)}: unknown\n")


def path_of(name: str) -> str:
    """Return the keyfile of a link."""
    return f"{FOLDER}/{name}.nmconnection"


def networkmanager(*, links: Sequence[str] = ("eth0",)) -> SimHost:
    """Return a host whose interfaces are NetworkManager's."""
    host = machine({}, links=links)
    program = Nmcli(host, links)
    ipv4 = "method=manual\naddress1=192.0.2.2/24,192.0.2.1"
    ipv6 = "method=manual\naddress1=2001:db8::2/64,2001:db8::1"
    for number, name in enumerate(links):
        if number:
            ipv4 = f"method=manual\naddress1=198.51.100.{number * 64 - 62}/26"
            ipv6 = "method=auto"
        text = KEYFILE.format(name=name, uuid=program.uuids[name], ipv4=ipv4, ipv6=ipv6)
        host.files.put(path_of(name), text, 0o600)
    host.programs["nmcli"] = program
    return host


OWNERS["networkmanager"] = networkmanager
OWNERS.update({name: plat.load(name).host for name in plat.NAMES})
