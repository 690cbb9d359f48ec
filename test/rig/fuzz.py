"""Throw damaged text at every parser: only our own errors, no hang, no foreign byte lost.

A program of its own, so that a check can run it on another copy of the library:

    fuzz.py LIBRARY SECONDS SEED FOLDER...     folders with texts to damage
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LIBRARY, SECONDS, SEED, *FOLDERS = sys.argv[1:]
sys.path[:1] = [str(Path(__file__).resolve().parents[1]), LIBRARY]

from rig.simnm import OWNERS  # noqa: E402
from saltext.ipalias import (  # noqa: E402
    addresses,
    backup,
    checks,
    journal,
    ledger,
    pillar,
    probe,
    values,
)
from saltext.ipalias.backends import ipadm, load  # noqa: E402
from saltext.ipalias.errors import IpaliasError  # noqa: E402
from saltext.ipalias.host import Result  # noqa: E402
from saltext.ipalias.live import (  # noqa: E402
    bsd,
    ifconfig,
    iproute2,
    powershell,
    powershell_scripts,
    solaris,
)
from saltext.ipalias.model import Wanted  # noqa: E402
from saltext.ipalias.text import blocks, hooklines, ini, stanzas, yamledit  # noqa: E402

#: Seconds after which one input counts as a hang.
HANG = 10
PATH = "/etc/some/file"
chance = random.Random(int(SEED))

#: Bits of what the parsers look for, and of what nobody looks for.
WORDS = [
    *"\n\r\t\\\"'`;#=:[]{}(),.-/%$&*!|>@~ \0\x0b\x0c\x1b\x7f\x85\xa0",
    *("\u2028", "\u202e", "\ufeff", "\udc80", "\udcff", "é", "٣", "１"),  # noqa: RUF001
    *("iface eth0 inet static\n", "auto eth0:0\n", "source /etc/network/interfaces.d/*\n"),
    *("mapping eth0\n", "inherits", "post-up ip addr add 203.0.113.9/32 dev eth0\n"),
    *("[Address]\n", "[Network]\n", "[ipv4]\n", "Address=203.0.113.9/32\n", "address1=", "\\\n"),
    *("network:\n", "  ethernets:\n", "    eth0:\n", "addresses: [", "- ", "&a ", "*a", "<<: "),
    *("# BEGIN ipalias\n", "# END ipalias\n", "{", "}", '"schema": 1', "null", "-1", "1e999"),
    *('ifconfig_eth0_alias0="inet 198.51.100.9/32"\n', 'ifconfig_eth0_aliases="', "inet6 "),
    *("203.0.113.9", "2001:db8::9", "/33", "/128", "255.255.255.255", "0x" + "f" * 8),
    *("9" * 5000, "[" * 500, "a" * 300),
]


def texts(folders: list[str]) -> list[str]:
    """Return the texts below folders."""
    found = []
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc") and path.stat().st_size < 9000:
                found.append(path.read_bytes().decode("utf-8", "surrogateescape"))
    return found


def damaged(text: str, others: list[str]) -> str:
    """Return a text with a few things wrong."""
    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        at, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + chance.choice((1, 8, 200)))
        kind = chance.randrange(6)
        if kind == 0:
            text = text[:at] + text[end:]
        elif kind == 1:
            text = text[:at] + text[at:end] * chance.choice((2, 3, 20)) + text[end:]
        elif kind == 2:
            other = chance.choice(others)
            cut = chance.randrange(len(other) + 1)
            text = text[:at] + other[cut : cut + chance.choice((5, 100))] + text[end:]
        else:
            text = text[:at] + chance.choice(WORDS) + text[at if kind < 5 else end :]
    return text[:20000]


STRANGE: list[Any] = [
    *(None, True, -1, 0, 1e400, 2**70, "", "\n", "\0", "\udcff", "../../etc/shadow", "x" * 3000),
    *([], {}, [[]], [None], {"": None}, [{}], {"address": None}, "203.0.113.9\n203.0.113.10"),
]


def mangled(data: Any) -> Any:
    """Return data with a few values of another kind."""
    if chance.random() < 0.15:
        return chance.choice(STRANGE)
    if isinstance(data, dict):
        kept = {key: mangled(item) for key, item in data.items() if chance.random() > 0.04}
        if chance.random() < 0.05:
            kept[chance.choice(("", "x", "schema", "\n", "address"))] = chance.choice(STRANGE)
        return kept
    if isinstance(data, list):
        return [mangled(item) for item in data for _ in range(chance.choice((1, 1, 1, 1, 2)))]
    return data


class LostError(Exception):
    """Raise where bytes that are not ours were lost."""


def same(after: str, before: str) -> None:
    """Demand that a text came through as it was."""
    if after != before:
        raise LostError(f"{before[:200]!r} became {after[:200]!r}")


def document_ini(text: str) -> None:
    for syntax in (value for value in vars(ini).values() if isinstance(value, ini.Syntax)):
        with contextlib.suppress(IpaliasError):
            document = ini.parse(text, PATH, syntax)
            same(document.text(), text)
            section = document.add_section("Address", [("Address", "203.0.113.9/32")])
            del section
            document.text()


def document_stanzas(text: str) -> None:
    for short in (False, True):
        for strict in (False, True):
            with contextlib.suppress(IpaliasError):
                document = stanzas.parse_interfaces(text, PATH, short_iface=short, strict=strict)
                same(document.text, text)


def marked(text: str) -> None:
    blocks.parse_blocks(text, PATH)
    added = blocks.replace_block(text, "eth0", "x\n", PATH)
    if blocks.find_block(text, "eth0", PATH) is None:
        same(blocks.remove_block(added or "", "eth0", PATH) or "", text)


def hook(text: str) -> None:
    for line in text.splitlines()[:50]:
        hooklines.parse_command(line, "eth0")
        hooklines.parse_address(line, None)
        hooklines.parse_netmask(line)


def value(text: str) -> Any:
    """Return whatever data a text is, or the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def block(text: str) -> None:
    data = value(text)
    pillar.parse_pillar(data)


def items(text: str) -> None:
    for line in [text, *text.split()[:40]]:
        for parse in (addresses.parse_item, addresses.parse_named):
            with contextlib.suppress(IpaliasError):
                arguments = ("eth0",) if parse is addresses.parse_item else ()
                parse(line, *arguments, "address")  # type: ignore[operator]
        for other in (addresses.parse_label, values.parse_interface, values.parse_bool):
            with contextlib.suppress(IpaliasError):
                other(line, "here")


def guard(text: str) -> None:
    data = value(text)
    for form in (data, {"checks": data}, {"checks": [data]}, {"timeout": data}):
        with contextlib.suppress(IpaliasError):
            checks.parse_guard(form, "guard")


def frames(text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    for kind in (b"\x08\x06", b"\x86\xdd", b""):
        frame = data[:12].ljust(12, b"\0") + kind + data[12:400]
        probe.parse_answer(frame, "02:00:00:00:00:01", ("203.0.113.9", "2001:db8::9"))


def dumps(text: str) -> None:
    for parse in (iproute2.parse_json, iproute2.parse_text, ifconfig.parse):
        with contextlib.suppress(IpaliasError):
            parse(text)
    for family in (4, 6):
        bsd.parse_routes(text, family)


def windows(text: str) -> None:
    """Read what PowerShell says of a host, and of a change that failed."""
    powershell.failure(Result(1, text, text))
    store = powershell.parse(text)
    for name in store.interfaces:
        store.rows(powershell.PERSISTENT, name)


def sun(text: str) -> None:
    """Read what the programs of Solaris say, and the store of ``ipadm``."""
    for found in ipadm.parse_objects(text):
        ipaddress.ip_interface(found.cidr)
    with contextlib.suppress(IpaliasError):
        _, listed = solaris.parse_ifconfig(text)
        for family in (4, 6):
            list(solaris.parse_netstat(text, family, listed))


def dialect(name: str) -> Callable[[str], None]:
    """Return a function that gives an owner a damaged file and takes aliases in and out."""
    backend, template = load(name), OWNERS[name]()
    # What the owner makes anew from the rest has no line that is anybody's.
    derived = getattr(backend, "DERIVED", ())
    mains = [
        path
        for path, node in template.files.nodes.items()
        if path.startswith("/etc/") and node.text and path not in derived
    ]
    aliases = tuple(
        alias
        for item in ("203.0.113.9", "203.0.113.77/25", "2001:db8:1::9/64")
        for alias in addresses.parse_item(item, "eth0", "address")
        if alias.family == 4 or "ipv6" not in backend.UNSUPPORTED
    )

    def run(text: str) -> None:
        host = template.twin()
        main = chance.choice(mains)
        host.files.put(main, text)
        before = host.files.tree()
        evidence = backend.detect(host, "eth0")
        if not evidence.owns:
            evidence = backend.assume(host, "eth0")
        backend.parse(host, evidence)
        write(host, backend.render(Wanted("eth0", aliases, evidence), host))
        found = {item.alias.cidr for item in backend.parse(host, evidence)}
        missing = [alias.cidr for alias in aliases if alias.cidr not in found]
        if missing:
            raise LostError(f"{missing} not found again in {text[:300]!r}")
        write(host, backend.render(Wanted("eth0", (), evidence, former=aliases), host))
        after = host.files.tree()
        for path, node in before.items():
            # What bears our mark is ours to take away.
            if node.kind == "file" and "ipalias" not in node.text and path not in derived:
                same(after[path].text if path in after else "", node.text)

    return run


def write(host: Any, files: list[Any]) -> None:
    """Put rendered files in their place."""
    for file in files:
        if file.text is None:
            host.files.drop(file.path)
        else:
            host.files.put(file.path, file.text)


PARSERS: dict[str, Callable[[str], Any]] = {
    "text.ini": document_ini,
    "text.stanzas": document_stanzas,
    "text.blocks": marked,
    "text.hooklines": hook,
    "text.yamledit": lambda text: yamledit.compose(text, PATH),
    "live dumps": dumps,
    "journal": lambda text: journal.parse_record(text, PATH),
    "journal names": lambda text: journal.split_name(text[:300]),
    "ledger": lambda text: ledger.parse_ledger(text, PATH),
    "backup": lambda text: backup.parse_index(text, PATH),
    "pillar": block,
    "pillar items": items,
    "guard": guard,
    "frames": frames,
    "live.powershell": windows,
    "live.solaris": sun,
    # What a store says comes from a program, not from a file.
    **{f"backends.{name}": dialect(name) for name in OWNERS if not load(name).STORED},
}

#: What the structured parsers are given to damage, beside the files.
SEEDS = {
    "journal": json.dumps(
        {
            **{"schema": 1, "id": "x", "purpose": "y", "pid": 1, "started": 2, "deadline": 3.5},
            **{"boot": "b", "owned": ["/etc/x"], "files": {"/etc/x": None}, "routes": []},
            **{"parts": [], "kernel": {}},
        }
    ),
    "ledger": json.dumps(
        {
            **{"schema": 1, "default": {"4": "eth0"}},
            "interfaces": {
                "eth0": {
                    "backend": "networkd",
                    "aliases": {
                        "203.0.113.9/32": {"origin": "pillar"},
                        "203.0.113.8/24": {"origin": "hand", "label": "x", "number": 3},
                    },
                }
            },
        }
    ),
    "backup": json.dumps(
        {
            "schema": 1,
            "files": {"/etc/x": {"saved": "x", "written": "y", "mode": 420, "edited": True}},
        }
    ),
    "pillar": json.dumps(
        {
            "interfaces": {
                "eth0": {
                    "addresses": ["203.0.113.9", {"block": "203.0.113.16/28", "source": "never"}],
                    "announce": {"count": 2, "interval": 0.2},
                }
            },
            "guard": {"timeout": 60, "checks": ["master", "tcp://192.0.2.1:443", ["/bin/true"]]},
        }
    ),
    "live.powershell": OWNERS["windows"]().run(powershell_scripts.READ).out,
    "guard": json.dumps({"timeout": 60, "checks": ["gateway", "tcp://[2001:db8::1]:443"]}),
}


def rounds(name: str, begin: list[str]) -> Iterator[str]:
    """Give inputs until time is up."""
    end = time.monotonic() + float(SECONDS)
    seed = SEEDS.get(name)
    # What an owner really reads, damaged a little, comes further than other owners' files.
    own = own_texts(name) or ([seed] if seed else begin)
    yield from begin
    while time.monotonic() < end:
        if seed and chance.random() < 0.7:
            yield json.dumps(mangled(json.loads(seed)))
        else:
            yield damaged(chance.choice(own if chance.random() < 0.8 else begin), begin)


def own_texts(name: str) -> list[str]:
    """Return the texts that belong to one owner."""
    kind, _, owner = name.partition(".")
    if name == "live.solaris":
        shown = (ipadm.SHOW_ADDRESSES, solaris.DUMP, *solaris.ROUTES.values())
        return [OWNERS["ipadm"]().run(argv).out for argv in shown]
    if kind != "backends":
        return []
    nodes = OWNERS[owner]().files.nodes.items()
    found = [node.text for path, node in nodes if path.startswith("/etc/") and node.text]
    folders = {
        "ifupdown": "interfaces",
        "networkmanager": "keyfile",
        "freebsd": "freebsd_rcconf",
        "openbsd": "openbsd_hostname",
    }
    return found * 5 + texts([f"{top}/{folders.get(owner, owner)}" for top in FOLDERS])


def hung(*_: object) -> None:
    raise TimeoutError(f"no end after {HANG} s")


def main() -> None:
    """Fuzz each parser for its time; say what was found as JSON."""
    signal.signal(signal.SIGALRM, hung)
    begin = ["", *texts(FOLDERS)]
    told: dict[str, Any] = {"runs": {}, "refused": {}, "bad": []}
    for name, parse in PARSERS.items():
        runs = refused = 0
        for text in rounds(name, begin):
            runs += 1
            signal.alarm(HANG)
            try:
                parse(text)
            except IpaliasError:
                refused += 1
            except BaseException as error:
                signal.alarm(0)
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                told["bad"].append(
                    f"{name}: {type(error).__name__} at {place}: {error}"[:400]
                    + f" for {text[:300]!r}"
                )
                if len(told["bad"]) > 20:
                    print(json.dumps(told))
                    return
            finally:
                signal.alarm(0)
        told["runs"][name], told["refused"][name] = runs, refused
    print(json.dumps(told))


if __name__ == "__main__":
    main()
