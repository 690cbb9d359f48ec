"""The ifupdown backend's files, read by ifupdown, ifupdown2 and ifupdown-ng themselves.

The programs come out of Debian's packages; nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import lanes
from rig.ifupdown import InsideHost, TreeHost, programs
from rig.netns import NetHost, Segment
from saltext.ipalias.backends import ifupdown
from saltext.ipalias.backends.ifupdown_forms import render_hook
from saltext.ipalias.errors import ParseError
from saltext.ipalias.host import Result
from saltext.ipalias.model import Alias, Change, Wanted
from saltext.ipalias.text.stanzas import parse_interfaces

pytestmark = pytest.mark.root

MAIN = "/etc/network/interfaces"
BATCH = "/etc/network/ipalias/eth0.batch"
LO = "auto lo\niface lo inet loopback\n"
LAYOUTS = {
    "source first": "source /etc/network/interfaces.d/*\n\n" + LO + "{eth0}",
    "source last": LO + "{eth0}source-directory interfaces.d\n",
    "no source": LO + "{eth0}",
}
CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)


def alias(cidr: str, number: int, label: str | None = None, source: str = "auto") -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", label, source, number)


ALIASES = (
    alias("203.0.113.1/32", 0),
    alias("203.0.113.2/32", 1, "web"),
    alias("2001:db8:1::3/128", 2),
    alias("198.51.100.4/24", 3, source="never"),
    alias("203.0.113.5/32", 4, source="never"),
    alias("2001:db8:1::6/128", 5, source="never"),
    alias("192.0.2.207/24", 6),
    alias("203.0.113.17/32", 17),
)


class Debian(InsideHost):
    """A host whose interfaces a flavour of ifup brings up, and nothing else."""

    def __init__(self, machine: NetHost, package: str, layout: str) -> None:
        # The host sees /tmp, but not the cache.
        self.folder = tempfile.TemporaryDirectory(prefix="ipalias-ifupdown-")
        root = Path(self.folder.name) / package
        shutil.copytree(programs(package), root, symlinks=True)
        super().__init__(machine, root)
        self.root = root
        self.net = machine
        self.stanza = (
            f"auto eth0\niface eth0 inet static\n    address {machine.primary}/24\n"
            "    gateway 192.0.2.1\n"
        )
        for folder in ("if-pre-up.d", "if-up.d", "if-down.d", "if-post-down.d", "interfaces.d"):
            machine.run(["mkdir", "-p", f"/etc/network/{folder}"])
        machine.run(["mkdir", "-p", "/run/network"])
        if (root / "etc/network").exists():
            machine.run(["cp", "-rn", f"{root}/etc/network/.", "/etc/network/"])
        machine.remove("/etc/network/if-up.d/resolved", "/etc/network/if-down.d/resolved")
        machine.write(MAIN, layout.format(eth0=self.stanza))

    def wanted(self, *aliases: Alias, **options: str) -> Wanted:
        return Wanted("eth0", aliases, ifupdown.detect(self, "eth0"), options=options)

    def put(self, *aliases: Alias, **options: str) -> None:
        self.write(ifupdown.render(self.wanted(*aliases, **options), self))

    def ok(self, *argv: str) -> Result:
        done = self.run(argv)
        assert done.code == 0, f"{argv}: {done}"
        return done

    def labels(self) -> dict[str, str | None]:
        return {str(found): found.label for found in self.net.addresses()}


@pytest.fixture
def bare(segment: Segment) -> Iterator[NetHost]:
    with NetHost(segment, configure=False) as made:
        yield made


def check_all_live(host: Debian, *, labels: bool = True) -> None:
    live = {str(found): found for found in host.net.addresses()}
    for one in ALIASES:
        found = live[one.cidr]
        if one.family == 4 and labels:
            assert found.label == ifupdown.live_label(one)
        if one.family == 6:
            assert ("deprecated" in found.flags) is one.never_source
        else:
            assert (found.scope == "host") is one.never_source
    primary = host.net.primary
    for target in ("198.51.100.99", "203.0.113.99", "192.0.2.1"):
        assert host.net.source(target) == primary


@pytest.mark.parametrize("form", ["stanza", "post-up"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_alias_comes_up_at_boot_and_with_its_parent(
    bare: NetHost, layout: str, form: str
) -> None:
    host = Debian(bare, "ifupdown", LAYOUTS[layout])
    before = host.read(MAIN)
    host.put(*ALIASES, form=form)
    host.ok("ifup", "-a")
    check_all_live(host)
    host.ok("ifdown", "eth0")
    host.ok("ifup", "eth0")
    check_all_live(host)
    host.ok("ifdown", "-a", "--exclude=lo")
    assert not host.labels()
    host.ok("ifup", "-a")
    check_all_live(host)
    # Without aliases the files are as before, and a boot brings none of them.
    host.ok("ifdown", "-a", "--exclude=lo")
    host.put()
    assert host.read(MAIN) == before
    assert not host.exists(BATCH)
    host.ok("ifup", "-a")
    assert list(host.labels()) == [f"{bare.primary}/24"]


def test_a_hotplug_parent_brings_its_aliases(bare: NetHost) -> None:
    host = Debian(bare, "ifupdown", LAYOUTS["source first"])
    host.machine.write(MAIN, (host.read(MAIN) or "").replace("auto eth0", "allow-hotplug eth0"))
    host.put(*ALIASES)
    host.ok("ifup", "-a")
    assert not host.labels()
    host.ok("ifup", "--allow=hotplug", "eth0")
    check_all_live(host)


def test_an_undeclared_interface_gets_its_aliases_when_all_are_up(bare: NetHost) -> None:
    host = Debian(bare, "ifupdown", LO)
    host.machine.remove(MAIN)
    bare.configure()
    wanted = Wanted("eth0", ALIASES, ifupdown.assume(host, "eth0"))
    host.write(ifupdown.render(wanted, host))
    host.ok("ifup", "-a")
    check_all_live(host)


def test_ifup_and_ifdown_touch_the_alias_only(bare: NetHost) -> None:
    host = Debian(bare, "ifupdown", LAYOUTS["source last"])
    host.ok("ifup", "-a")
    bare.ip("address", "add", "198.51.100.77/32", "dev", "eth0")
    foreign = set(host.labels())
    two = ALIASES[:2]
    wanted = host.wanted(*two)
    files = tuple(ifupdown.render(wanted, host))
    change = Change("eth0", wanted.evidence, two, (), files, live=frozenset(foreign))
    up = ifupdown.activate(change, host).up
    host.write(files)
    for command in (*ifupdown.validate(change, host), *up):
        host.ok(*command.argv)
    assert host.labels().keys() - foreign == {one.cidr for one in two}
    assert {"eth0:0", "eth0:web"} <= ifupdown.read_recorded(host)

    files = tuple(ifupdown.render(host.wanted(), host))
    change = Change("eth0", wanted.evidence, (), two, files, live=frozenset(host.labels()))
    activation = ifupdown.activate(change, host)
    for command in activation.before:
        host.ok(*command.argv)
    host.write(files)
    for command in ifupdown.validate(change, host):
        host.ok(*command.argv)
    assert set(host.labels()) == foreign
    assert ifupdown.read_recorded(host) == {"lo", "eth0"}


def test_validation_finds_what_ifup_refuses_and_changes_nothing(bare: NetHost) -> None:
    host = Debian(bare, "ifupdown", LAYOUTS["source last"])
    files = tuple(ifupdown.render(host.wanted(*ALIASES), host))
    change = Change("eth0", host.wanted().evidence, ALIASES, (), files)
    host.write(files)
    (command,) = ifupdown.validate(change, host)
    host.ok(*command.argv)
    assert not host.labels()
    own = "/etc/network/interfaces.d/ipalias-eth0"
    host.machine.write(own, "nonsense\n" + (host.read(own) or ""))
    assert host.run(command.argv).code != 0


def link_programs(host: Debian) -> None:
    """Make ifupdown2's commands, as its package does when it is installed."""
    main = host.root / "usr/share/ifupdown2/__main__.py"
    (host.root / "sbin").mkdir(exist_ok=True)
    (host.root / "links").mkdir()
    for name in ("ifup", "ifdown", "ifquery"):
        link, script = host.root / "links" / name, host.root / "sbin" / name
        link.symlink_to(main)
        script.unlink(missing_ok=True)  # a link to where the package would be
        script.write_text(f'#!/bin/sh\nexec /usr/bin/python3 -B {link} "$@"\n')
        script.chmod(0o755)


@pytest.mark.parametrize("package", ["ifupdown-ng", "ifupdown2"])
def test_successors_bring_up_every_alias(bare: NetHost, package: str) -> None:
    source = {
        "ifupdown-ng": "source-directory /etc/network/interfaces.d\n",
        "ifupdown2": "source /etc/network/interfaces.d/*\n",
    }[package]
    for layout in (LO + "{eth0}" + source, source + LO + "{eth0}"):
        host = Debian(bare, package, layout)
        if package == "ifupdown2":
            link_programs(host)
        aliases = tuple(
            Alias(a.address, a.prefix, a.interface, None, a.source, a.number) for a in ALIASES
        )
        evidence = ifupdown.detect(host, "eth0")
        if package == "ifupdown2":  # known by its folder, which is not in its place here
            evidence.facts["flavour"] = package  # type: ignore[index]
        assert evidence.facts["flavour"] == package
        wanted = Wanted("eth0", aliases, evidence)
        files = ifupdown.render(wanted, host)
        host.write(files)
        change = Change("eth0", evidence, aliases, (), tuple(files))
        for command in ifupdown.validate(change, host):
            host.ok(*command.argv)
        assert not bare.addresses()
        executors = ["-E", str(host.root / "usr/libexec/ifupdown-ng")]
        host.run(["ifup", *(executors if package == "ifupdown-ng" else ()), "-a"])
        check_all_live(host, labels=False)
        # The primary's line is read first, so it is the first address.
        first = next(found for found in bare.addresses() if found.scope == "global")
        assert str(first) == f"{bare.primary}/24"
        host.run(["ifdown", *(executors if package == "ifupdown-ng" else ()), "eth0"])
        bare.ip("address", "flush", "dev", "eth0")
        host.write(ifupdown.render(Wanted("eth0", (), evidence), host))


def test_the_parser_refuses_what_ifquery_refuses(bare: NetHost) -> None:
    host = Debian(bare, "ifupdown", LO)
    texts = [
        path.read_bytes().decode("utf-8", "surrogateescape")
        for path in sorted((CORPUS / "interfaces").glob("*"))
    ]
    texts += ["nonsense\n", "iface eth0 inet\n", "auto x\n mtu 1\n", "iface x inet static\n mtu\n"]
    refused = 0
    for text in texts:
        bare.write(MAIN, text)
        theirs = "couldn't read interfaces" in host.run(["ifquery", "--list"]).err
        try:
            parse_interfaces(text, MAIN)
            ours = False
        except ParseError:
            ours = True
        assert ours is theirs, text
        refused += theirs
    assert refused >= 4


def test_the_script_is_clean_shell(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None and not lanes.required("netns"):
        pytest.skip("shellcheck is not installed")
    for interface in ("eth0", "eth0.100"):
        script = tmp_path / interface
        script.write_text(render_hook(interface, False))
        done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_tree_host_reads_like_the_machine(bare: NetHost) -> None:
    """The unit tests' host and a real one give the same files for the same input."""
    host = Debian(bare, "ifupdown", LAYOUTS["source last"])
    tree = TreeHost({MAIN: host.read(MAIN) or ""})
    assert ifupdown.render(host.wanted(*ALIASES), host) == ifupdown.render(
        Wanted("eth0", ALIASES, ifupdown.detect(tree, "eth0")), tree
    )
