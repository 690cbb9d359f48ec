"""Kernel settings of simulated hosts: sysctl of the BSDs, properties of Solaris.

What is live stands in ``host.stored`` beside what lasts, so that a comparison of two states
sees both; a boot makes the live values anew (`boot_sysctl`, `boot_properties`).
"""

from __future__ import annotations

import re
from functools import partial

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simsun import OK, Slots
from saltext.ipalias.host import Result

KEY = r"{key:[a-z][a-z0-9_.%]*}"
PAIR = r"{pair:[a-z][a-z0-9_.%]*=.+}"

#: What each kernel has after a boot without any file; ``%ro`` marks what cannot be set.
FREEBSD = {
    "kern.ostype": "FreeBSD%ro",
    "net.inet.ip.forwarding": "0",
    "net.inet.ip.rfc1122_strong_es": "0",
    "net.inet.ip.source_address_validation": "1",
    "net.inet6.ip6.forwarding": "0",
    "net.route.multipath": "0",
    "net.link.ether.inet.proxyall": "0",
    "net.link.ether.inet.max_age": "1200",
    "kern.ipc.somaxconn": "128",
    "net.inet.tcp.tcbhashsize": "1024%tun",
}
OPENBSD = {
    "kern.ostype": "OpenBSD%ro",
    "kern.somaxconn": "128",
    "net.inet.ip.forwarding": "0",
    "net.inet.ip.multipath": "0",
    "net.inet6.ip6.forwarding": "0",
    "net.inet6.ip6.multipath": "0",
    "net.inet.ip.ttl": "64",
}
CONF = "/etc/sysctl.conf"


class Sysctl:
    """``sysctl`` of a BSD. Its acts are bound methods: a host is copied with them."""

    def __init__(self, host: SimHost, defaults: dict[str, str]) -> None:
        self.host, self.defaults = host, defaults
        host.stored["sysctl"] = {key: value.split("%")[0] for key, value in defaults.items()}
        #: Keys that the kernel refuses to set, with what it says.
        self.broken: dict[str, str] = {}
        self.privileged = True

    @property
    def live(self) -> dict[str, str]:
        found: dict[str, str] = self.host.stored["sysctl"]
        return found

    def mark(self, key: str) -> str:
        """Return what keeps a key from being set: ``ro``, ``tun`` or nothing."""
        return self.defaults.get(key, "").partition("%")[2]


class FreeBsd(Sysctl):
    """``sbin/sysctl/sysctl.c`` of FreeBSD: it exits 1 at the first fault (errx).

    A name without a value would be shown; it is no form here, for it is also a change whose
    value was lost.
    """

    def forms(self) -> list[Form]:
        show = "sysctl(8), -n, -N, -W; sysctl.c, parse and show_var"
        change = "sysctl(8), name=value; sysctl.c, parse: `name: OLD -> NEW`"
        return [
            Form(f"sysctl -n {KEY}", show, self.show),
            Form(f"sysctl -NW {KEY}", f"{show}: -W: what can be written", self.writable),
            Form(f"sysctl {PAIR}", change, self.change),
        ]

    def writable(self, slots: Slots, stdin: str | None) -> Result:
        key = slots["key"]
        if key not in self.live:
            raise Refusal(f"sysctl: unknown oid '{key}'")
        return OK if self.mark(key) else Result(0, f"{key}\n", "")

    def show(self, slots: Slots, stdin: str | None) -> Result:
        key = slots["key"]
        if key not in self.live:
            raise Refusal(f"sysctl: unknown oid '{key}'")
        return Result(0, f"{self.live[key]}\n", "")

    def change(self, slots: Slots, stdin: str | None) -> Result:
        key, _, value = slots["pair"].partition("=")
        value = value.strip()
        if key not in self.live:
            raise Refusal(f"sysctl: unknown oid '{key}'")
        if self.mark(key) == "tun":
            raise Refusal(
                f"sysctl: oid '{key}' is a read only tunable\n"
                "sysctl: Tunable values are set in /boot/loader.conf"
            )
        if self.mark(key):
            raise Refusal(f"sysctl: oid '{key}' is read only")
        if not re.fullmatch(r"-?(0x[0-9a-fA-F]+|[0-9]+)", value):
            raise Refusal(f"sysctl: invalid integer '{value}'")
        if not self.privileged or key in self.broken:
            said = self.broken.get(key, "Operation not permitted")
            raise Refusal(f"{key}: {self.live[key]}\nsysctl: {key}={value}: {said}")
        before, self.live[key] = self.live[key], str(int(value, 0))
        return Result(0, f"{key}: {before} -> {self.live[key]}\n", "")


class OpenBsd(Sysctl):
    """``sbin/sysctl/sysctl.c`` of OpenBSD: warn(3) and return 0, whatever was refused."""

    def forms(self) -> list[Form]:
        show = "sysctl(8), -n; sysctl.c, parse: `name=value`"
        change = "sysctl(8), name=value; sysctl.c, parse: `name: OLD -> NEW`; main returns 0"
        return [
            Form(f"sysctl -n {KEY}", show, self.show),
            Form(f"sysctl {PAIR}", change, self.change),
        ]

    def unknown(self, key: str) -> Result:
        """Say which part of a name is none (findname); the exit code stays 0."""
        parts = key.split(".")
        levels = ("top", "second", "third", "fourth", "fifth", "sixth")
        known = [name.split(".") for name in self.live]
        at = next(
            (i for i in range(len(parts)) if not any(n[: i + 1] == parts[: i + 1] for n in known)),
            len(parts) - 1,
        )
        said = f"sysctl: {levels[at]} level name {parts[at]} in {key} is invalid\n"
        return Result(0, "", said)

    def show(self, slots: Slots, stdin: str | None) -> Result:
        key = slots["key"]
        if key not in self.live:
            return self.unknown(key)
        return Result(0, f"{self.live[key]}\n", "")

    def change(self, slots: Slots, stdin: str | None) -> Result:
        key, _, value = slots["pair"].partition("=")
        value = value.strip()
        if key not in self.live:
            return self.unknown(key)
        said = self.broken.get(key, "")
        if not self.privileged or self.mark(key):
            said = "Operation not permitted"
        if not re.fullmatch("-?[0-9]+", value):
            # strtonum(3), or the value of another type.
            said = "Invalid argument"
        if said:
            return Result(0, "", f"sysctl: {key}: {said}\n")
        before, self.live[key] = self.live[key], value
        return Result(0, f"{key}: {before} -> {value}\n", "")


def install_sysctl(host: SimHost, system: str) -> None:
    """Give a BSD host its ``sysctl``."""
    kinds = {"freebsd": (FreeBsd, FREEBSD), "openbsd": (OpenBsd, OPENBSD)}
    kind, defaults = kinds[system]
    made = kind(host, defaults)
    usage = ("usage: sysctl [-bdehiNnoqTtWx] name[=value] ...", 1)
    if system == "openbsd":
        usage = ("usage: sysctl [-Aanq] [name[=value] ...]", 1)
    host.programs["sysctl"] = Cited(host, "sysctl", made.forms(), usage)


def sysctl_of(host: SimHost) -> Sysctl:
    """Return the settings behind a host's ``sysctl``."""
    program = host.programs["sysctl"]
    assert isinstance(program, Cited)
    made = program.forms[-1].act.__self__  # type: ignore[attr-defined]
    assert isinstance(made, Sysctl)
    return made


def boot_sysctl(host: SimHost) -> None:
    """Do what a boot does: the kernel's own values, then the file line by line.

    FreeBSD's rc.d/sysctl reads /etc/sysctl.conf and /etc/sysctl.conf.local; OpenBSD's /etc/rc
    strips comments and hands each line to sysctl(8). What is refused is passed over.
    """
    made = sysctl_of(host)
    made.live.update({key: value.split("%")[0] for key, value in made.defaults.items()})
    paths = [CONF, f"{CONF}.local"] if host.system == "freebsd" else [CONF]
    for path in paths:
        for line in (host.files.read(path) or "").splitlines():
            pair = line.partition("#")[0].strip().replace(" ", "")
            if pair:
                host.run(["sysctl", pair])


# Solaris

IPADM = "illumos cmd-inet/usr.sbin/ipadm/ipadm.c"
PROPERTY = r"{name:[A-Za-z_][A-Za-z0-9_-]*}"
PROTOCOL = "{protocol:ip|ipv4|ipv6|tcp|udp|sctp|icmp}"
VALUE = r"{value:[A-Za-z_][A-Za-z0-9_-]*=[A-Za-z0-9_.,-]+}"
#: Default and possible values by key; a number's are its range.
PROPERTIES: dict[str, tuple[str, str]] = {
    "ipv4/hostmodel": ("weak", "strong,src-priority,weak"),
    "ipv6/hostmodel": ("weak", "strong,src-priority,weak"),
    "ipv4/_strict_dst_multihoming": ("0", "0-1"),
    "ipv6/_strict_dst_multihoming": ("0", "0-1"),
    "ipv4/ttl": ("255", "1-255"),
    "tcp/max_buf": ("1048576", "128000-1073741824"),
}
#: ``ip_strict_dst_multihoming`` by ``hostmodel`` (ip_tunables.c, ip_set_hostmodel).
_STRICT = {"weak": "0", "src-priority": "0", "strong": "1"}


class Properties:
    """``ipadm show-prop``, ``set-prop`` and ``reset-prop``; ``stored["properties"]`` holds them.

    Each is [live, persistent]; the latter None where nothing lasts.
    """

    def __init__(self, host: SimHost) -> None:
        self.host = host
        host.stored["properties"] = {key: [row[0], None] for key, row in PROPERTIES.items()}
        #: Says why nobody may set anything; empty: they may.
        self.denied = ""

    @property
    def rows(self) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = self.host.stored["properties"]
        return found

    def forms(self) -> list[Form]:
        show = f"{IPADM}, do_show_prop, print_prop_cb; ipadm(8), show-prop -c -o"
        line = f"ipadm show-prop -c -o property,current,persistent -p {PROPERTY} {PROTOCOL}"
        change = f"{IPADM}, set_prop; ipadm(8), set-prop: both, -t: live alone"
        back = f"{IPADM}, do_reset_prop; ipadm(8), reset-prop: the default, and nothing lasts"
        lasting, passing = partial(self.change, True), partial(self.change, False)
        return [
            Form(line, show, self.show),
            Form(f"ipadm set-prop -p {VALUE} {PROTOCOL}", change, lasting),
            Form(f"ipadm set-prop -t -p {VALUE} {PROTOCOL}", change, passing),
            Form(f"ipadm reset-prop -p {PROPERTY} {PROTOCOL}", back, self.reset),
        ]

    def show(self, slots: Slots, stdin: str | None) -> Result:
        key = f"{slots['protocol']}/{slots['name']}"
        if key not in self.rows:
            # print_prop: no line, and the exit code of what could not be got.
            return Result(1, "", "")
        live, lasting = self.rows[key]
        return Result(0, f"{slots['name']}:{live}:{lasting or ''}\n", "")

    def change(self, lasting: bool, slots: Slots, stdin: str | None) -> Result:
        name, _, value = slots["value"].partition("=")
        key = f"{slots['protocol']}/{name}"
        if self.denied:
            raise Refusal(f"ipadm: set-prop: {name}: {self.denied}")
        if key not in self.rows:
            raise Refusal(f"ipadm: set-prop: {name}: Unknown property")
        if not _possible(PROPERTIES[key][1], value):
            raise Refusal(f"ipadm: set-prop: {name}: Invalid argument provided")
        self.rows[key][0] = value
        if lasting:
            self.rows[key][1] = value
        self._along(key)
        return OK

    def reset(self, slots: Slots, stdin: str | None) -> Result:
        key = f"{slots['protocol']}/{slots['name']}"
        if self.denied:
            raise Refusal(f"ipadm: reset-prop: {slots['name']}: {self.denied}")
        if key not in self.rows:
            raise Refusal(f"ipadm: reset-prop: {slots['name']}: Unknown property")
        self.rows[key] = [PROPERTIES[key][0], None]
        self._along(key)
        return OK

    def _along(self, key: str) -> None:
        """Set what ``hostmodel`` stands for, or call it custom."""
        family, _, name = key.partition("/")
        strict = f"{family}/_strict_dst_multihoming"
        model = f"{family}/hostmodel"
        if name == "hostmodel":
            self.rows[strict][0] = _STRICT[str(self.rows[key][0])]
        elif key == strict and _STRICT.get(str(self.rows[model][0])) != self.rows[key][0]:
            self.rows[model][0] = "custom"


def _possible(told: str, value: str) -> bool:
    low, dash, high = told.partition("-")
    if dash and low.isdigit() and high.isdigit():
        return value.isdigit() and int(low) <= int(value) <= int(high)
    return value in told.split(",")


def boot_properties(host: SimHost) -> None:
    """Do what a boot does: what lasts becomes live, the rest is as the kernel has it."""
    rows = host.stored["properties"]
    for key, (default, _) in PROPERTIES.items():
        rows[key][0] = rows[key][1] or default
    for key in ("ipv4/hostmodel", "ipv6/hostmodel"):
        strict = f"{key.partition('/')[0]}/_strict_dst_multihoming"
        rows[strict][0] = rows[strict][1] or _STRICT[str(rows[key][0])]


#: Names that ``ndd`` has of /dev/ip, their values after a boot and their range.
NDD = {
    "ip_strict_dst_multihoming": ("0", "0-1"),
    "ip6_strict_dst_multihoming": ("0", "0-1"),
    "ip_def_ttl": ("255", "1-255"),
}


class Ndd:
    """``ndd`` of Solaris 10; it forgets with each boot."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        host.stored["ndd"] = {name: row[0] for name, row in NDD.items()}
        self.denied = ""

    def forms(self) -> list[Form]:
        cite = "ndd(1M), -get, -set; illumos cmd-inet/usr.sbin/ndd.c, do_getset"
        return [
            Form(f"ndd -get /dev/ip {PROPERTY}", cite, self.show),
            Form(f"ndd -set /dev/ip {PROPERTY} {{value:[0-9]+}}", cite, self.change),
        ]

    def show(self, slots: Slots, stdin: str | None) -> Result:
        value = self.host.stored["ndd"].get(slots["name"])
        if value is None:
            raise Refusal("operation failed: Invalid argument")
        return Result(0, f"{value}\n", "")

    def change(self, slots: Slots, stdin: str | None) -> Result:
        name, value = slots["name"], slots["value"]
        if self.denied:
            raise Refusal(f"couldn't open /dev/ip: {self.denied}")
        if name not in self.host.stored["ndd"] or not _possible(NDD[name][1], value):
            raise Refusal("operation failed: Invalid argument")
        self.host.stored["ndd"][name] = value
        return OK


def boot_ndd(host: SimHost) -> None:
    """Do what a boot does: the kernel's own values, then the scripts of /etc/rc2.d by sh."""
    host.stored["ndd"] = {name: row[0] for name, row in NDD.items()}
    for path in host.files.glob("/etc/rc2.d/S*"):
        node = host.files.at(path)
        assert node is not None
        if not node.mode & 0o100:
            continue
        for line in node.text.splitlines():
            if line.startswith("/usr/sbin/ndd "):
                host.run(["ndd", *line.split()[1:]])
