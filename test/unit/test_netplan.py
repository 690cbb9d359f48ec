"""netplan: which definition is an interface's, what netplan reads, what our file says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rig import tree
from saltext.ipalias.backends import netplan
from saltext.ipalias.errors import OwnerError, ParseError, RefusedError, UnsupportedError
from saltext.ipalias.model import Alias, Change, Evidence
from saltext.ipalias.text import yamledit

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)
FILE = "/etc/netplan/01-netcfg.yaml"
OURS = "/etc/netplan/90-ipalias.yaml"
MAIN = "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [192.0.2.10/24]\n"
TOOLS = {"netplan generate": "", "networkctl --version": "systemd 257 (x)\n"}
RUNS = {"systemctl is-active systemd-networkd.service": "active\n"}
NM_RUNS = {"systemctl is-active NetworkManager.service": "active\n"}


@pytest.fixture
def host(tmp_path: Path) -> tree.TreeHost:
    host = tree.TreeHost(tmp_path, TOOLS)
    host.link("eth0", 2)
    return host


def alias(cidr: str, **rest: str) -> Alias:
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", **rest)  # type: ignore[arg-type]


class TestOwner:
    def test_installed_alone_owns_nothing(self, host: tree.TreeHost) -> None:
        host.write(FILE, "network: {version: 2}\n")
        assert not netplan.detect(host, "eth0").owns
        host.write(FILE, MAIN)
        host.answers = {}
        assert not netplan.detect(host, "eth0").owns

    def test_a_definition_counts_for_more_when_its_renderer_took_it(
        self, host: tree.TreeHost
    ) -> None:
        host.write(FILE, MAIN)
        assert netplan.detect(host, "eth0").strength == 1
        host.answers = {**TOOLS, **RUNS}
        assert netplan.detect(host, "eth0").strength == 1
        state = (
            "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n"
        )
        host.write("/run/systemd/netif/links/2", state)
        evidence = netplan.detect(host, "eth0")
        assert (evidence.strength, evidence.file) == (3, FILE)
        assert evidence.facts["max_addresses"] == "8192"
        host.write("/run/systemd/netif/links/2", state.replace("10-netplan-", "05-site-"))
        assert netplan.detect(host, "eth0").strength == 1

    @pytest.mark.parametrize(
        ("active", "strength"),
        [("netplan-eth0", 3), ("netplan-eth0-home", 3), ("Wired 1", 1), ("netplan-eth01", 1)],
    )
    def test_networkmanager_behind_it(
        self, host: tree.TreeHost, active: str, strength: int
    ) -> None:
        host.write(FILE, MAIN.replace("version: 2", "version: 2\n  renderer: NetworkManager"))
        asked = {"nmcli -g GENERAL.CONNECTION device show eth0": f"{active}\n"}
        host.answers = {**TOOLS, **NM_RUNS, **asked}
        evidence = netplan.detect(host, "eth0")
        assert evidence.strength == strength
        assert evidence.facts["renderer"] == "NetworkManager"
        assert "max_addresses" not in evidence.facts

    @pytest.mark.parametrize(
        ("body", "id"),
        [
            ("ethernets: {eth0: {}}", "eth0"),
            ("vlans: {eth0: {id: 5, link: x}}", "eth0"),
            ("vrfs: {eth0: {table: 5}}", None),
            ("ethernets: {lan: {match: {name: 'eth*'}}}", "lan"),
            ("ethernets: {lan: {match: {name: 'en*'}}}", None),
            ("ethernets: {lan: {match: {macaddress: '02:00:00:00:00:01'}}}", "lan"),
            ("ethernets: {lan: {match: {macaddress: '02:00:00:00:00:02'}}}", None),
            ("ethernets: {lan: {match: {macaddress: '02:0:0:0:0:7'}, set-name: eth0}}", "lan"),
            ("ethernets: {lan: {match: {driver: 'virtio*'}}}", "lan"),
            ("ethernets: {lan: {match: {driver: e1000}}}", None),
            ("ethernets: {eth0: {match: {name: eth7}}}", None),
            ("ethernets: {lan: {match: {}}}", "lan"),
        ],
    )
    def test_the_id_need_not_be_the_name(
        self, host: tree.TreeHost, body: str, id: str | None
    ) -> None:
        host.write("/sys/class/net/eth0/device/uevent", "DRIVER=virtio_net\n")
        host.write(FILE, f"network:\n  version: 2\n  {body}\n")
        evidence = netplan.detect(host, "eth0")
        assert evidence.owns is (id is not None)
        assert evidence.facts.get("id") == id

    @pytest.mark.parametrize(
        ("files", "renderer"),
        [
            ({"01.yaml": "network: {ethernets: {eth0: {}}}"}, "networkd"),
            (
                {"01.yaml": "network: {renderer: NetworkManager, ethernets: {eth0: {}}}"},
                "NetworkManager",
            ),
            (
                {
                    "01.yaml": "network: {renderer: NetworkManager}",
                    "02.yaml": "network: {ethernets: {renderer: networkd, eth0: {}}}",
                },
                "networkd",
            ),
            (
                {
                    "01.yaml": "network: {ethernets: {eth0: {renderer: NetworkManager}}}",
                    "02.yaml": "network: {renderer: networkd}",
                },
                "NetworkManager",
            ),
        ],
    )
    def test_renderer(self, host: tree.TreeHost, files: dict[str, str], renderer: str) -> None:
        for name, text in files.items():
            host.write(f"/etc/netplan/{name}", text)
        assert netplan.detect(host, "eth0").facts["renderer"] == renderer

    def test_etc_hides_a_file_of_the_same_name(self, host: tree.TreeHost) -> None:
        host.write("/run/netplan/01-netcfg.yaml", MAIN)
        host.write(FILE, MAIN.replace("eth0", "eth7"))
        assert not netplan.detect(host, "eth0").owns

    def test_a_broken_file_leaves_the_owner_open_and_names_the_line(
        self, host: tree.TreeHost
    ) -> None:
        host.write(FILE, MAIN + "   - : [\n")
        evidence = netplan.detect(host, "eth0")
        assert not evidence.owns
        assert f"{FILE}:6" in evidence.reasons[0]
        with pytest.raises(ParseError):
            netplan.assume(host, "eth0")

    def test_a_byte_that_is_not_utf8_is_named_with_its_line(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN + "# caf\udce9\n")
        assert f"{FILE}:6" in netplan.detect(host, "eth0").reasons[0]

    def test_naming_it_needs_a_definition(self, host: tree.TreeHost) -> None:
        with pytest.raises(OwnerError, match="define eth0"):
            netplan.assume(host, "eth0")

    def test_our_own_leftover_defines_nothing(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])
        host.at(FILE).unlink()
        assert not netplan.detect(host, "eth0").owns


class TestReading:
    def test_lists_grow_from_file_to_file(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        text = MAIN.replace("[192.0.2.10/24]", '["192.0.2.10/24", 203.0.113.1/32: {label: x}]')
        host.write("/run/netplan/50-x.yaml", text)
        host.write(
            "/etc/netplan/20-six.yaml",
            MAIN.replace("192.0.2.10/24", "2001:db8::1/64: {lifetime: 0}"),
        )
        found = netplan.parse(host, netplan.detect(host, "eth0"))
        assert [(one.alias, one.path, one.line) for one in found] == [
            (alias("192.0.2.10/24"), FILE, 5),
            (alias("2001:db8::1/64", source="never"), "/etc/netplan/20-six.yaml", 5),
            (alias("203.0.113.1/32", label="x"), "/run/netplan/50-x.yaml", 5),
        ]

    @pytest.mark.parametrize("bad", ["192.0.2.9", "192.0.2.9/33", "host/24", "192.0.2.9/"])
    def test_what_netplan_refuses(self, host: tree.TreeHost, bad: str) -> None:
        host.write(FILE, MAIN.replace("192.0.2.10/24", bad))
        with pytest.raises(ParseError, match=r"01-netcfg\.yaml:5"):
            netplan.parse(host, netplan.detect(host, "eth0"))


class TestRefusals:
    def test_never_a_source_on_ipv4(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        assert "backend: networkd" in netplan.UNSUPPORTED["source4"]
        with pytest.raises(UnsupportedError, match="backend: networkd"):
            tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32", source="never")])

    @pytest.mark.parametrize(
        "one", [alias("198.51.100.1/32", label="x"), alias("2001:db8::1/128", source="never")]
    )
    def test_options_under_networkmanager(self, host: tree.TreeHost, one: Alias) -> None:
        host.write(FILE, MAIN.replace("version: 2", "version: 2\n  renderer: NetworkManager"))
        with pytest.raises(UnsupportedError, match="NetworkManager"):
            tree.apply(netplan, host, "eth0", [one])

    def test_a_definition_of_several_links(self, host: tree.TreeHost) -> None:
        host.link("eth1", 3, "02:00:00:00:00:02")
        host.write(FILE, MAIN.replace("eth0:", "all:\n      match: {name: 'eth*'}"))
        with pytest.raises(UnsupportedError, match="also means eth1"):
            tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])

    def test_adopting_out_of_a_file_that_comes_back(self, host: tree.TreeHost) -> None:
        host.write("/run/netplan/01.yaml", MAIN)
        adopt = netplan.parse(host, netplan.detect(host, "eth0"))
        with pytest.raises(UnsupportedError, match="comes back"):
            tree.apply(netplan, host, "eth0", [alias("192.0.2.10/24")], adopt=adopt)


class TestName:
    @pytest.mark.parametrize(
        ("foreign", "ours"),
        [
            ("50-cloud-init.yaml", "90-ipalias.yaml"),
            ("90-NM-1b2c.yaml", "90-ipalias.yaml"),
            ("99-site.yaml", "zz-ipalias.yaml"),
            ("zz-last.yaml", "zz-last_ipalias.yaml"),
            ("~.yaml", "~_ipalias.yaml"),
            ("90-ipalias.yaml", "zz-ipalias.yaml"),
        ],
    )
    def test_ours_sorts_last(self, host: tree.TreeHost, foreign: str, ours: str) -> None:
        host.write(f"/etc/netplan/{foreign}", MAIN)
        tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])
        assert set(host.texts()) == {f"/etc/netplan/{foreign}", f"/etc/netplan/{ours}"}
        assert os.fsencode(ours) > os.fsencode(foreign)

    def test_it_moves_when_a_later_file_appears(self, host: tree.TreeHost) -> None:
        host.write(FILE, MAIN)
        tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])
        text = host.read(OURS)
        host.write("/etc/netplan/95-x.yaml", "network: {version: 2}\n")
        tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])
        assert OURS not in host.texts()
        assert host.read("/etc/netplan/zz-ipalias.yaml") == text


def test_a_file_that_changed_meanwhile_is_not_cut(host: tree.TreeHost) -> None:
    host.write(FILE, MAIN)
    adopt = netplan.parse(host, netplan.detect(host, "eth0"))
    host.write(FILE, "# new\n" + MAIN)
    with pytest.raises(RefusedError, match="run again"):
        tree.apply(netplan, host, "eth0", [alias("192.0.2.10/24")], adopt=adopt)


def test_our_file_is_for_root_alone(host: tree.TreeHost) -> None:
    host.write(FILE, MAIN)
    change = tree.apply(netplan, host, "eth0", [alias("198.51.100.1/32")])
    assert [(file.path, file.mode, file.owned) for file in change.files] == [(OURS, 0o600, True)]


def test_generate_is_its_check(host: tree.TreeHost) -> None:
    change = Change("eth0", Evidence("netplan", "eth0", True))
    assert [command.argv for command in netplan.validate(change, host)] == [("netplan", "generate")]
    host.answers = {}
    assert netplan.validate(change, host) == []


@pytest.mark.parametrize("foreign", [(), ("203.0.113.9/32",)])
def test_networkmanager_is_never_told_to_reapply(
    host: tree.TreeHost, foreign: tuple[str, ...]
) -> None:
    facts = {"renderer": "NetworkManager", "running": "yes", "keyfile": "/run/x.nmconnection"}
    evidence = Evidence("netplan", "eth0", True, facts=facts)
    activation = netplan.activate(Change("eth0", evidence, foreign_live=foreign), host)
    assert tree.commands(activation) == ["nmcli connection load /run/x.nmconnection"]


ADDRESSES = st.one_of(
    st.integers(1, 250).map(lambda n: (f"203.0.113.{n}", 32)),
    st.integers(1, 9999).map(lambda n: (f"2001:db8::{n}", 64)),
)


@st.composite
def lists(draw: st.DrawFn) -> list[Alias]:
    found = []
    for address, prefix in draw(st.lists(ADDRESSES, max_size=8, unique=True)):
        if ":" in address:
            found.append(
                Alias(address, prefix, "eth0", source=draw(st.sampled_from(["auto", "never"])))
            )
        else:
            label = draw(st.sampled_from([None, "failover1", "eth0:x", 'a"b', "yes", "12"]))
            found.append(Alias(address, prefix, "eth0", label=label))
    return found


@given(lists(), lists(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_rendered_is_read_back_and_the_rest_stays(
    first: list[Alias], second: list[Alias], other: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = tree.TreeHost(Path(folder), TOOLS)
        host.link("eth0", 2)
        host.link("eth1", 3, "02:00:00:00:00:02")
        text = f"# \u00e9\r\n{MAIN}    eth1: {{dhcp4: true}}"
        host.write(FILE, text)
        beside = [Alias("198.51.100.9", 32, "eth1", label="b")] if other else []
        tree.apply(netplan, host, "eth1", beside)
        for aliases in (first, second):
            tree.apply(netplan, host, "eth0", aliases)
            for interface, expected in (("eth0", aliases), ("eth1", beside)):
                evidence = netplan.detect(host, interface)
                ours = [one.alias for one in netplan.parse(host, evidence) if one.ours]
                assert ours == expected
            assert tree.apply(netplan, host, "eth0", aliases).files == ()
        tree.apply(netplan, host, "eth0", [])
        tree.apply(netplan, host, "eth1", [])
        assert host.texts() == {FILE: text}


@given(
    st.lists(
        st.sampled_from(["a", '"b"', "c: {label: x}", "{d: {label: y}}"]), min_size=1, max_size=5
    ),
    st.sampled_from(["[{}]", "[ {} ]", "[\n  {},\n ] # end", "[\n{}]"]),
    st.sampled_from([", ", ",", ",\n    ", " ,\n", ", # note\n    "]),
    st.data(),
)
def test_items_of_a_flow_list_go_and_the_others_stay(
    items: list[str], frame: str, comma: str, data: st.DataObject
) -> None:
    text = "x: 1\nk: {frame}\ny: [2] # two\n".replace(
        "{frame}", frame.replace("{}", comma.join(items))
    )
    _check_removal(text, len(items), data)


@given(
    st.lists(
        st.sampled_from(
            [
                "- a\n",
                "- a # note\n",
                "# before\n  - b\n",
                "- c:\n      label: x # why\n",
                "-   d\n\n",
                "- {e: {label: y}}\n",
                "- # far\n      f\n",
                "- 'g-h'\r\n",
            ]
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.data(),
)
def test_items_of_a_block_list_go_and_the_others_stay(
    items: list[str], more: bool, data: st.DataObject
) -> None:
    text = "x: 1\nk: # list\n" + "".join(f"  {item}" for item in items)
    _check_removal(text + ("y: [2] # two\n" if more else ""), len(items), data)


def _check_removal(text: str, count: int, data: st.DataObject) -> None:
    drop = data.draw(st.sets(st.integers(0, count - 1)))
    before = yaml.safe_load(text)
    after = yamledit.remove_items(text, "x", ["k"], drop)
    kept = [item for index, item in enumerate(before["k"]) if index not in drop]
    assert yaml.safe_load(after) == {**before, "k": kept}
    if not drop:
        assert after == text


def test_a_list_shared_by_an_anchor_is_left_alone() -> None:
    text = "k: &a [x]\nl: *a\n"
    with pytest.raises(UnsupportedError, match="anchor"):
        yamledit.remove_items(text, "x", ["k"], [0])


def defined(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    network = yaml.safe_load(path.read_bytes())["network"]
    for section, netdefs in network.items():
        if isinstance(netdefs, dict):
            for id, body in netdefs.items():
                yield section, id, list(body.get("addresses", ()))


def corpus() -> list[Path]:
    return sorted((CORPUS / "netplan").glob("*"))


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
class TestRealFiles:
    @pytest.fixture(params=corpus(), ids=lambda path: path.name)
    def real(
        self, request: pytest.FixtureRequest, host: tree.TreeHost
    ) -> tuple[tree.TreeHost, Path]:
        text = request.param.read_bytes().decode("utf-8", "surrogateescape")
        host.write(FILE, text)
        for number, (_, id, _) in enumerate(defined(request.param)):
            host.link(id, number + 10, "30:85:a9:38:cc:11" if id == "ens6" else "02:00:00:00:01:01")
        return host, request.param

    def test_an_alias_comes_and_goes(self, real: tuple[tree.TreeHost, Path]) -> None:
        host, path = real
        text = host.read(FILE)
        for section, id, _ in defined(path):
            one = Alias("203.0.113.1", 32, id, label="x")
            tree.apply(netplan, host, id, [one])
            assert set(host.texts()) == {FILE, OURS}
            assert yaml.safe_load(host.read(OURS) or "") == {
                "network": {
                    "version": 2,
                    section: {id: {"addresses": [{"203.0.113.1/32": {"label": "x"}}]}},
                }
            }
            tree.apply(netplan, host, id, [])
            assert host.texts() == {FILE: text}

    def test_every_address_is_read(self, real: tuple[tree.TreeHost, Path]) -> None:
        host, path = real
        rows = path.read_text().split("\n")
        for _, id, addresses in defined(path):
            found = netplan.parse(host, netplan.detect(host, id))
            assert [one.alias.cidr for one in found] == addresses
            assert all(one.alias.cidr in rows[one.line - 1] for one in found)

    def test_each_address_can_be_adopted(self, real: tuple[tree.TreeHost, Path]) -> None:
        host, path = real
        text = host.read(FILE) or ""
        for section, id, addresses in defined(path):
            host.write(FILE, text)
            for found in netplan.parse(host, netplan.detect(host, id)):
                host.write(FILE, text)
                tree.apply(netplan, host, id, [found.alias], adopt=[found])
                after = host.read(FILE) or ""
                expected = yaml.safe_load(text)
                expected["network"][section][id]["addresses"] = [
                    one for one in addresses if one != found.alias.cidr
                ]
                assert yaml.safe_load(after) == expected
                _check_rows(text, after, found.alias.cidr)
                tree.apply(netplan, host, id, [])

    def test_there_are_real_files(self) -> None:
        assert corpus()


def _check_rows(text: str, after: str, cidr: str) -> None:
    """Hold every line without the address to its bytes, in order."""
    kept = [row for row in text.splitlines(keepends=True) if cidr not in row]
    new = [row for row in after.splitlines(keepends=True) if row in kept]
    changed = [row for row in after.splitlines(keepends=True) if row not in kept]
    assert [row for row in kept if row not in new] in (
        [],
        [changed[0].replace(" []", "")] if changed else [],
    )
    assert len(changed) <= 1
