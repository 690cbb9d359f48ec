"""Who wins among the files of sysctl.d: the real readers of Debian 12 and 13 say it.

Random trees are given to systemd-sysctl and to ``sysctl --system`` on a booted host, and what
the kernel has afterwards is held against what `sysctl.files` tells.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rig.host import BootedHost
from rig.netns import Segment
from rig.roots import SUITES
from rig.simfiles import SimFiles
from rig.simhost import SimHost
from saltext.ipalias.sysctl import files

TREES = 300
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
NAMES = ("10-a.conf", "50-b.conf", "99-sysctl.conf", "999-c.conf", "Z.conf", "zz.conf", "é.conf",
         "a.txt", ".hidden.conf")  # fmt: skip
LINKS = ("all", "default", "lo", "late0.5")
KEYS = [f"net/ipv4/conf/{link}/{name}" for link in LINKS for name in ("arp_ignore", "forwarding")]
KEYS += ["net/ipv4/ip_forward", "net/ipv6/conf/late0.5/forwarding", "net/ipv6/conf/all/forwarding"]
WRITTEN = [
    "net.ipv4.conf.all.{}", "net/ipv4/conf/all/{}", "net.ipv4.conf.late0/5.{}",
    "net/ipv4/conf/late0.5/{}", "net.ipv4.conf.*.{}", "net.ipv4.conf.l*.{}",
    "net.ipv4.conf.[!l]*.{}", "net/ipv4/conf/late0.?/{}", "net.ipv4.conf.lo.{}",
    "/net/ipv4//conf/lo/{}", "net.ipv4.*.late0/5.{}",
]  # fmt: skip

#: systemd ends a line at each of these.
ENDS = (*("\n",) * 9, "\r\n", "\r", "\0")

# Runs inside: for each tree the values anew, the files, the reader, and a look.
PROGRAM = """
import json, os, pathlib, shutil, subprocess, sys
given = json.load(sys.stdin)
ROOT = pathlib.Path("/proc/sys")
found = []
for tree in given["trees"]:
    for folder in given["folders"]:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    for path, text in tree.items():
        pathlib.Path(path).write_bytes(text.encode())
    for key in given["reset"]:
        (ROOT / key).write_text("1")
        (ROOT / key).write_text("0")
    for key in given["keys"]:
        (ROOT / key).write_text("0")
    subprocess.run(given["reader"], capture_output=True)
    found.append({key: (ROOT / key).read_text().strip() for key in given["keys"]})
json.dump(found, sys.stdout)
"""


def line(chance: random.Random) -> str:
    """Return a line, most of them setting something."""
    name = chance.choice(("arp_ignore", "forwarding"))
    key = chance.choice(WRITTEN).format(name)
    if name == "forwarding" and chance.random() < 0.3:
        key = chance.choice(("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding",
                             "net/ipv6/conf/late0.5/forwarding"))  # fmt: skip
    match chance.randrange(12):
        case 0:
            return f"-{key}"
        case 1:
            return chance.choice(("# net.ipv4.ip_forward = 1", "; x", "", "no assignment", "=1"))
        case 2:
            return f"  -{key}=1  "
    return f"{key} {chance.choice(('=', ' = ', '= '))}{chance.randrange(2)}"


def trees() -> list[dict[str, str]]:
    chance = random.Random(33762)
    return [
        {
            f"{chance.choice(FOLDERS)}/{chance.choice(NAMES)}": "".join(
                f"{line(chance)}{chance.choice(ENDS)}" for _ in range(chance.randrange(4))
            )
            for _ in range(chance.randrange(1, 6))
        }
        for _ in range(TREES)
    ]


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[BootedHost]:
    with Segment() as segment, BootedHost(request.param, segment) as made:
        made.boot()
        made.ip("link", "add", "late0.5", "type", "veth", "peer", "name", "peer0")
        yield made


def after(host: BootedHost, reader: list[str], listed: list[dict[str, str]]) -> Any:
    given = {"trees": listed, "folders": FOLDERS, "reader": reader, "keys": KEYS,
             "reset": ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]}  # fmt: skip
    return json.loads(host.run([host.python, "-I", "-c", PROGRAM], json.dumps(given)).out)


def told(tree: Mapping[str, str], reader: str, conf: str | None) -> dict[str, str]:
    """Return what the product tells of each key; what nobody sets is 0."""
    host = SimHost(SimFiles({**tree, **({"/etc/sysctl.conf": conf} if conf is not None else {})}))
    lines = files.read_lines(host, reader)
    values = {key: files.lasting(lines, key, reader).value for key in KEYS}
    return {key: value or "0" for key, value in values.items()}


@pytest.mark.parametrize(
    ("reader", "argv"),
    [
        (files.SYSTEMD, ["/lib/systemd/systemd-sysctl"]),
        (files.PROCPS, ["sysctl", "--system"]),
    ],
)
def test_the_value_after_a_boot_is_told_as_the_reader_sets_it(
    host: BootedHost, reader: str, argv: list[str]
) -> None:
    listed, conf = trees(), host.read("/etc/sysctl.conf")
    if reader == files.PROCPS:
        # To procps a name with empty parts is another one than without, and a line feed alone
        # ends a line; nobody writes such.
        odd = re.compile("//|\0|\r(?!\n)")
        listed = [tree for tree in listed if not any(map(odd.search, tree.values()))]
    really = after(host, argv, listed)
    assert any("1" in values.values() for values in really)
    for tree, values in zip(listed, really, strict=True):
        assert told(tree, reader, conf) == values, tree
