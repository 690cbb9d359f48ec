"""networkd and netplan themselves, of each release, on what we read and write."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rig import roots, tree
from saltext.ipalias.backends import netplan, networkd
from saltext.ipalias.model import Alias

pytestmark = pytest.mark.root

NETWORK = "/etc/systemd/network/10-eth0.network"
READ_ONCE = (
    "[Match]\nName=eth0\n\n[Network]\nLinkLocalAddressing=no\nAddress=192.0.2.1\n"
    "Address=198.51.100.1/24\nAddress=2001:db8::5\nAddress=\n\n"
    "[Address]\nAddress=203.0.113.1/28\nAddress=203.0.113.2/28\n"
    "[Address]\nAddress=203.0.113.33/28\nAddress=\n"
    "[Address]\nAddress=203.0.113.34/40\n"
    "[Address]\nAddress=2001:db8::77/64\nPreferredLifetime=0\n"
    "[Address]\nAddress=203.0.113.35/28\nAddress=bogus\n"
    "[Address]\nAddress=203.0.113.67\n"
    "[Address]\nAddress=203.0.113.69/32\nLabel=averyveryverylonglabel\n"
    "[Address]\nAddress=203.0.113.70/32\nScope=everywhere\n"
    "[Address]\nAddress=203.0.113.71/32\nScope=254\nLabel=\n"
    "[Address]\nAddress=2001:db8::78/64\nPreferredLifetime=5\n"
    "[Address]\nAddress=203.0.113.68/32 \\\n# why\n\nLabel=fifteen-letters\n"
)

# Arguments: root, folder with the tree, result. Everything mounted dies with the namespace.
NETWORKD = """
root=$1 tree=$2
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd"
mount --bind "$tree/etc/systemd/network" "$root/etc/systemd/network"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
ip link set lo up
ip link add eth0 type veth peer name peer0
ip link set peer0 up
ip link set eth0 up
index=$(cat "$root/sys/class/net/eth0/ifindex")
chroot "$root" /usr/lib/systemd/systemd-networkd >"$tree/log" 2>&1 &
pid=$!
trap 'kill $pid; wait $pid || true' EXIT
tries=0
until grep -q ADMIN_STATE=configured "$root/run/systemd/netif/links/$index" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$tree/log" >&2; exit 1; }
    sleep 0.1
done
ip -d -j addr show dev eth0 >"$tree/addresses"
ip -j route get 198.51.100.200 >"$tree/route" 2>&1 || true  # there may be no route
ip -j route show >"$tree/routes"
"""

# Arguments: root, folder with the tree.
GENERATE = """
mount --bind "$2" "$1/mnt"
exec chroot "$1" /usr/libexec/netplan/generate --root-dir /mnt
"""


def isolated(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", script]
    return subprocess.run([*argv, "sh", *words], capture_output=True, text=True, timeout=60)


@pytest.fixture(params=roots.SUITES)
def root(request: pytest.FixtureRequest) -> Path:
    return roots.ensure_root(request.param)


@pytest.fixture
def version(root: Path) -> str:
    asked = subprocess.run(
        ["chroot", str(root), "networkctl", "--version"], capture_output=True, text=True, check=True
    )
    return asked.stdout


def bring_up(root: Path, host: tree.TreeHost) -> list[dict[str, Any]]:
    done = isolated(NETWORKD, str(root), str(host.root))
    assert done.returncode == 0, done.stderr
    [link] = json.loads((host.root / "addresses").read_text())
    found: list[dict[str, Any]] = link["addr_info"]
    return [one for one in found if one["scope"] != "link"]


def cidrs(live: Iterable[dict[str, Any]]) -> set[str]:
    return {f"{one['local']}/{one['prefixlen']}" for one in live}


def test_networkd_reads_what_we_read(root: Path, version: str, tmp_path: Path) -> None:
    host = tree.TreeHost(tmp_path, {"networkctl --version": version})
    host.link("eth0", 2)
    host.write(NETWORK, READ_ONCE)
    found = networkd.parse(host, networkd.detect(host, "eth0"))
    live = bring_up(root, host)
    assert cidrs(live) == {one.alias.cidr for one in found}
    labels = {one["local"]: one.get("label") for one in live if one["family"] == "inet"}
    expected = {
        one.alias.address: one.alias.label or "eth0" for one in found if one.alias.family == 4
    }
    assert labels == expected


def test_networkd_sets_what_we_write(root: Path, version: str, tmp_path: Path) -> None:
    host = tree.TreeHost(tmp_path, {"networkctl --version": version})
    host.link("eth0", 2)
    main = "[Match]\nName=eth0\n[Network]\nLinkLocalAddressing=no\nAddress=192.0.2.10/24\n"
    host.write(NETWORK, f"{main}Gateway=192.0.2.1\n")
    aliases = [
        Alias("192.0.2.11", 32, "eth0", label="failover1", source="never"),
        Alias("203.0.113.9", 24, "eth0", label="eth0:x", source="never"),
        Alias("203.0.113.8", 24, "eth0", source="never"),
        Alias("198.51.100.1", 32, "eth0"),
        Alias("2001:db8::1", 128, "eth0", source="never"),
        Alias("2001:db8::2", 64, "eth0"),
    ]
    tree.apply(networkd, host, "eth0", aliases)
    live = {one["local"]: one for one in bring_up(root, host)}
    assert cidrs(live.values()) == {"192.0.2.10/24", *(alias.cidr for alias in aliases)}
    for alias in aliases:
        one = live[alias.address]
        if alias.family == 4:
            assert one["scope"] == ("host" if alias.never_source else "global")
            assert one["label"] == (networkd.live_label(alias) or "eth0")
        else:
            assert one.get("deprecated", False) is alias.never_source
    [route] = json.loads((tmp_path / "route").read_text())
    assert route["prefsrc"] == "192.0.2.10"
    routes = {one["dst"]: one for one in json.loads((tmp_path / "routes").read_text())}
    assert "prefsrc" not in routes["203.0.113.0/24"]


def generate(root: Path, host: tree.TreeHost) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(host.at("/run"), ignore_errors=True)
    for path in host.at("/etc/netplan").iterdir():
        path.chmod(0o600)
    return isolated(GENERATE, str(root), str(host.root))


@pytest.fixture
def host(tmp_path: Path) -> tree.TreeHost:
    host = tree.TreeHost(tmp_path, {"netplan generate": ""})
    host.link("eth0", 2)
    return host


DEFINITIONS = {
    "ethernets": "eth0: {addresses: [192.0.2.10/24]}",
    "wifis": "eth0: {addresses: [192.0.2.10/24], access-points: {x: {password: twelve-chars}}}",
    "bonds": "eth0: {addresses: [192.0.2.10/24], interfaces: []}",
    "bridges": "eth0: {addresses: [192.0.2.10/24], interfaces: []}",
    "vlans": "eth0: {addresses: [192.0.2.10/24], id: 5, link: parent}",
    "tunnels": "eth0: {addresses: [192.0.2.10/24], mode: gre, local: 192.0.2.1, remote: 192.0.2.2}",
}


@pytest.mark.parametrize("section", DEFINITIONS)
def test_netplan_puts_ours_behind_the_primary(
    root: Path, host: tree.TreeHost, section: str
) -> None:
    parent = "" if section == "ethernets" else "  ethernets: {parent: {}}\n"
    host.write(
        "/etc/netplan/01-netcfg.yaml",
        f"network:\n  version: 2\n{parent}  {section}:\n    {DEFINITIONS[section]}\n",
    )
    aliases = [
        Alias("198.51.100.1", 32, "eth0"),
        Alias("198.51.100.2", 32, "eth0", label="failover1"),
        Alias("2001:db8::1", 128, "eth0", source="never"),
    ]
    tree.apply(netplan, host, "eth0", aliases)
    done = generate(root, host)
    assert done.returncode == 0, done.stderr
    evidence = networkd.assume(host, "eth0")
    assert evidence.file == "/run/systemd/network/10-netplan-eth0.network"
    found = [one.alias for one in networkd.parse(host, evidence)]
    assert found[0].cidr == "192.0.2.10/24"
    assert found[1:] == aliases


def test_netplan_hands_networkmanager_what_we_write(root: Path, host: tree.TreeHost) -> None:
    host.write(
        "/etc/netplan/01-netcfg.yaml",
        "network:\n  version: 2\n  renderer: NetworkManager\n"
        "  ethernets:\n    eth0: {addresses: [192.0.2.10/24]}\n",
    )
    aliases = [Alias("198.51.100.1", 32, "eth0"), Alias("2001:db8::1", 128, "eth0")]
    tree.apply(netplan, host, "eth0", aliases)
    assert generate(root, host).returncode == 0
    keyfile = host.read("/run/NetworkManager/system-connections/netplan-eth0.nmconnection") or ""
    assert "address1=192.0.2.10/24\naddress2=198.51.100.1/32\n" in keyfile
    assert "address1=2001:db8::1/128\n" in keyfile


def test_netplan_takes_an_emptied_list(root: Path, host: tree.TreeHost) -> None:
    host.write(
        "/etc/netplan/01-netcfg.yaml",
        "network:\n  version: 2\n  ethernets:\n    eth0:\n"
        "      addresses:\n      - 192.0.2.10/24\n",
    )
    adopt = netplan.parse(host, netplan.detect(host, "eth0"))
    tree.apply(netplan, host, "eth0", [adopt[0].alias], adopt=adopt)
    done = generate(root, host)
    assert done.returncode == 0, done.stderr
    text = host.read("/run/systemd/network/10-netplan-eth0.network") or ""
    assert text.count("Address=192.0.2.10/24") == 1


@pytest.mark.parametrize(
    "item",
    [
        '"198.51.100.1/33"',
        '"198.51.100.1"',
        '"2001:db8::1/129"',
        '"198.51.100.1/32": {lifetime: 5}',
        "[",
    ],
)
def test_generate_fails_on_bad_input(root: Path, host: tree.TreeHost, item: str) -> None:
    host.write(
        "/etc/netplan/01-netcfg.yaml",
        f"network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses:\n        - {item}\n",
    )
    done = generate(root, host)
    assert done.returncode != 0
    assert "01-netcfg.yaml" in done.stderr
