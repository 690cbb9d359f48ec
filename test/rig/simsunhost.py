"""A simulated Solaris host: the programs beside ``ifconfig``, and what its boot does."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, machine
from rig.simsun import ADDRESS4, ADDRESS6, LINK, OK, Ifconfig, Kernel, Slots
from rig.simtune import Ndd
from saltext.ipalias.host import Result

PHYSICAL = "svc:/network/physical:default"

# What a form does is a method or a partial one: a copy of the host has its own then.


def _routes(host: SimHost, family: int, slots: Slots, stdin: str | None) -> Result:
    lines = ["", f"Routing Table: IPv{family}"]
    lines.append("  Destination           Gateway           Flags  Ref     Use     Interface")
    lines.append("-------------------- -------------------- ----- ----- ---------- ---------")
    for route in host.net.routes:
        if route.family == family and route.destination == "default":
            lines.append(f"default  {route.gateway}  UG  1  0  {route.interface}")
    return Result(0, "\n".join([*lines, ""]), "")


def netstat(host: SimHost) -> Cited:
    """Return ``netstat``; the routes to subnets are of no concern here."""
    cite = "netstat(8), -r; recorded output of Solaris 11 (ohai, spec for solaris2 network)"
    forms = [Form("netstat -rn -f inet", cite, partial(_routes, host, 4))]
    forms.append(Form("netstat -rn -f inet6", cite, partial(_routes, host, 6)))
    return Cited(host, "netstat", forms, ("usage: netstat [-anv]", 1))


def _add_route(host: SimHost, family: int, slots: Slots, stdin: str | None) -> Result:
    gateway = slots["address"]
    for old in host.net.routes:
        if (old.family, old.destination, old.gateway) == (family, "default", gateway):
            raise Refusal(f"add net default: gateway {gateway}: entry exists", 17)
    host.net.add_route(SimRoute(family, "default", slots.get("link", "eth0"), gateway))
    return OK


def route(host: SimHost) -> Cited:
    """Return ``route``."""
    cite = "route(8), add, -n, -inet6, -ifp; illumos cmd/svc/milestone/net-physical"
    four, six = partial(_add_route, host, 4), partial(_add_route, host, 6)
    forms = [
        Form(f"route -n add default {ADDRESS4}", cite, four),
        Form(f"route -n add -inet6 default {ADDRESS6}", cite, six),
        Form(f"route -n add -inet6 default {ADDRESS6} -ifp {LINK}", cite, six),
    ]
    return Cited(host, "route", forms, ("usage: route [ -fnvq ] cmd [[ -<qualifers> ] args ]", 1))


def _restarts(again: Callable[[], None], slots: Slots, stdin: str | None) -> Result:
    again()
    return OK


def _profile(profile: str | None, slots: Slots, stdin: str | None) -> Result:
    if profile is None:
        said = "Couldn't find property `netcfg/active_ncp' in instance"
        raise Refusal(f"svcprop: {said} `{PHYSICAL}'.")
    return Result(0, f"{profile}\n", "")


def _says(text: str, slots: Slots, stdin: str | None) -> Result:
    return Result(0, f"{text}\n", "")


def services(
    host: SimHost, again: Callable[[], None], *, profile: str | None = None, nwam: str = "disabled"
) -> None:
    """Give a host ``svcadm``, ``svcs`` and ``svcprop``.

    :param again: what the start method of network/physical does.
    :param profile: active network profile of Solaris 11; None: there are none.
    """
    cite = "svcadm(8), restart; the alias guide, Solaris, step 4"
    line = f"svcadm restart {PHYSICAL}"
    forms = [Form(line, cite, partial(_restarts, again))]
    usage = ("Usage: svcadm [-v] [cmd [args ... ]]", 2)
    host.programs["svcadm"] = Cited(host, "svcadm", forms, usage)
    line = "svcs -H -o state svc:/network/physical:nwam"
    forms = [Form(line, "svcs(1), -H, -o state", partial(_says, nwam))]
    host.programs["svcs"] = Cited(host, "svcs", forms, ("Usage: svcs [-aHpv]", 2))
    line = f"svcprop -p netcfg/active_ncp {PHYSICAL}"
    cite = "Solaris 11 cmd/svc/shell/nwam_include.sh, reactive_ncp_enabled; svcprop(1)"
    forms = [Form(line, cite, partial(_profile, profile))]
    host.programs["svcprop"] = Cited(host, "svcprop", forms, ("Usage: svcprop [-aCcfqtv]", 2))


def _ping(host: SimHost, slots: Slots, stdin: str | None) -> Result:
    address, timeout = slots["address"], slots["timeout"]
    gateways = {r.gateway for r in host.net.routes if r.destination == "default"}
    if address in gateways - host.gone:
        return Result(0, f"{address} is alive\n", "")
    return Result(1, "", f"no answer from {address}\n" if timeout else "")


def ping(host: SimHost) -> Cited:
    """Return ``ping``."""
    cite = "ping(8), host [timeout]: `host is alive`, `no answer from host`; exit status 0, else 1"
    act, seconds = partial(_ping, host), "{timeout:[1-9][0-9]?}"
    forms = [
        Form(f"ping {ADDRESS4} {seconds}", cite, act),
        Form(f"ping {ADDRESS6} {seconds}", cite, act),
        Form(f"ping -i {LINK} {{address:fe80:[0-9a-f:]+}} {seconds}", f"{cite}; -i", act),
    ]
    return Cited(host, "ping", forms, ("usage: ping host [timeout]", 1))


def _limit(kernel: Kernel, slots: Slots, stdin: str | None) -> Result:
    return Result(0, f"{kernel.limit}\n", "")


def tunables(host: SimHost, kernel: Kernel, more: Sequence[Form] = ()) -> Cited:
    """Return ``ndd``."""
    cite = "ndd(8); illumos inet/ip/ip.c, lcl_param_arr: ip_addrs_per_if, 1 to 8192, 256"
    form = Form("ndd -get /dev/ip ip_addrs_per_if", cite, partial(_limit, kernel))
    return Cited(host, "ndd", [form, *more], ("usage: ndd -set device_name name value", 1))


def sun(files: dict[str, str], *, links: Sequence[str], shows_tentative: bool) -> SimHost:
    """Return a Solaris host with its primary addresses up, and no store of addresses."""
    host = machine(files, links=links)
    host.system = "sunos"
    # Its loop is called lo0, and goes first.
    loop = host.net.links.pop("lo")
    loop.name = "lo0"
    host.net.links = {"lo0": loop, **host.net.links}
    kernel = Kernel(host)
    host.programs.pop("ip")
    host.programs["ifconfig"] = Ifconfig(host, kernel, shows_tentative=shows_tentative)
    host.programs["netstat"] = netstat(host)
    host.programs["route"] = route(host)
    host.programs["ndd"] = tunables(host, kernel)
    host.programs["ping"] = ping(host)
    return host


def install_ndd(host: SimHost) -> None:
    """Let ``ndd`` of a release without ``ipadm`` set what it has, too."""
    host.programs["ndd"] = tunables(host, kernel_of(host), Ndd(host).forms())


def loop_anew(host: SimHost) -> None:
    """Do what network/loopback does at a boot: lo0 has its own addresses and no other."""
    link = host.net.links["lo0"]
    link.addresses4 = [SimAddress("127.0.0.1", 8, scope="host")]
    link.addresses6 = [SimAddress("::1", 128, scope="host")]
    link.known6 = {a.address: a for a in link.addresses6}


def kernel_of(host: SimHost) -> Kernel:
    """Return the kernel behind a host's ``ifconfig``."""
    program = host.programs["ifconfig"]
    assert isinstance(program, Ifconfig)
    return program.kernel


def boot_routes(host: SimHost) -> None:
    """Add the default routes of /etc/defaultrouter and of router discovery."""
    for family, gateway in ((4, GATEWAY4), (6, GATEWAY6)):
        host.net.add_route(SimRoute(family, "default", "eth0", gateway))


def process_files(host: SimHost) -> None:
    """Do with /etc/hostname.IF what net-physical does, line by line.

    A line without its newline is not read; a file of one line gets the epilogue; what is
    behind /etc/hostname6.IF is brought up (``if_configure``).
    """
    for family, folder in ((4, "/etc/hostname"), (6, "/etc/hostname6")):
        word = "inet" if family == 4 else "inet6"
        names = [path[len(folder) + 1 :] for path in host.files.glob(f"{folder}.*[0-9]")]
        for name in names:
            host.run(["ifconfig", name, *([] if family == 4 else [word]), "plumb"])
        for name in names:
            text = host.files.read(f"{folder}.{name}") or ""
            lines = re.split("\n", text)[:-1]
            for line in lines:
                words = line.split()
                if family == 4 and len(lines) == 1 and words:
                    words += ["netmask", "+", "broadcast", "+", "up"]
                if words:
                    host.run(["ifconfig", name, word, *words])
            if family == 6:
                host.run(["ifconfig", name, word, "up"])
