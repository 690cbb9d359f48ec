"""dhcpd and kea-dhcp4 themselves, of each release, on the files of the golden tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rig import roots
from rig.dhcppair import CASES, GUIDE, changed, render_case
from saltext.ipalias.dhcp import isc, kea
from saltext.ipalias.dhcp.config import parse_dhcp

pytestmark = pytest.mark.root

# Arguments: root, folder with the files. A line `name status` for each, what was said after a
# refusal. Everything mounted dies with the namespace.
CHECK = """
root=$1
mount --bind "$2" "$root/mnt"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/kea" "$root/run/lock/kea"
export KEA_LOCKFILE_DIR=/run/lock/kea
ip link set lo up
ip link add eth0 type veth peer name eth1.10
for path in "$2"/*.conf; do
    name=$(basename "$path")
    case $name in
        kea*) set -- kea-dhcp4 -t "/mnt/$name" ;;
        *) set -- dhcpd -t -4 -q -cf "/mnt/$name" ;;
    esac
    status=0
    said=$(chroot "$root" "$@" 2>&1) || status=$?
    echo "$name $status"
    [ $status = 0 ] || echo "$said" >&2
    case $said in *WARNING*) echo "$said" >&2; echo "$name warned" ;; esac
done
"""

# Arguments: root, folder with the files, addresses. Kea's `-t` reads nothing of what is said to
# a hook, and `-T` of 2.6 refuses any listener, so the server has to start: a line as above, 0
# where it says that it has.
START = """
root=$1 folder=$2
shift 2
mount --bind "$folder" "$root/mnt"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/var/lib"
mkdir -p "$root/run/kea" "$root/run/lock/kea" "$root/var/lib/kea"
chmod 750 "$root/run/kea"
export KEA_LOCKFILE_DIR=/run/lock/kea
ip link set lo up
ip link add eth0 type veth peer name eth1.10
ip link set eth0 up
ip link set eth1.10 up
for address in "$@"; do ip addr add "$address" dev eth0; done
for path in "$folder"/*.conf; do
    name=$(basename "$path")
    chroot "$root" kea-dhcp4 -c "/mnt/$name" >"$folder/$name.log" 2>&1 &
    pid=$!
    tries=0
    until grep -q DHCP4_STARTED "$folder/$name.log"; do
        tries=$((tries + 1))
        kill -0 $pid 2>/dev/null && [ $tries -lt 300 ] || break
        sleep 0.1
    done
    status=1
    if grep -q DHCP4_STARTED "$folder/$name.log"; then
        grep -q HA_INIT_OK "$folder/$name.log" && status=0
    fi
    echo "$name $status"
    [ $status = 0 ] || tail -n 3 "$folder/$name.log" >&2
    kill $pid 2>/dev/null || true
    wait $pid || true
done
"""


@pytest.fixture(params=roots.SUITES)
def root(request: pytest.FixtureRequest) -> Path:
    return roots.ensure_root(request.param)


def check(root: Path, folder: Path, script: str = CHECK, *words: str) -> tuple[dict[str, str], str]:
    """Return what the servers make of each file, and what they said."""
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", script]
    done = subprocess.run(
        [*argv, "sh", str(root), str(folder), *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines()), done.stderr


def test_the_servers_take_every_file(root: Path, tmp_path: Path) -> None:
    for case in CASES:
        for name, text in render_case(case)[1].items():
            (tmp_path / f"{case}-{name}.conf").write_text(text)
    told, said = check(root, tmp_path)
    assert len(told) == 2 * len(CASES)
    assert set(told.values()) == {"0"}, (told, said)


def test_the_servers_refuse_what_we_refuse(root: Path, tmp_path: Path) -> None:
    """The check is none that takes everything, and a rule of ours is theirs too."""
    config = parse_dhcp(GUIDE)
    primary = isc.render_isc(config, config.pair.primary)
    (tmp_path / "no-split.conf").write_text(primary.replace("  split 128;\n", ""))
    (tmp_path / "no-option.conf").write_text(primary.replace("option routers", "option rooters"))
    (tmp_path / "outside.conf").write_text(
        primary.replace("range 192.0.2.100", "range 203.0.113.1")
    )
    config = parse_dhcp(changed(GUIDE, implementation="kea"))
    whole = kea.render_kea(config, config.pair.primary)
    (tmp_path / "kea-pool.conf").write_text(whole.replace("192.0.2.100 -", "203.0.113.100 -"))
    told, said = check(root, tmp_path)
    assert len(told) == 4
    assert set(told.values()) == {"1"}, (told, said)


def test_kea_starts_as_each_member(root: Path, tmp_path: Path) -> None:
    cases = ("kea_guide", "kea_hot_standby", "kea_every_option")
    for case in cases:
        for name, text in render_case(case)[1].items():
            (tmp_path / f"{case}-{name}.conf").write_text(text)
    wrong = render_case("kea_guide")[1]["dhcp1"].replace('"this-server-name": "dhcp1"', "@")
    (tmp_path / "wrong.conf").write_text(wrong.replace("@", '"this-server-name": "dhcp3"'))
    addresses = ("192.0.2.10/24", "192.0.2.20/24", "198.51.100.1/30", "198.51.100.2/30")
    told, said = check(root, tmp_path, START, *addresses)
    assert told.pop("wrong.conf") == "1"
    assert len(told) == 2 * len(cases)
    assert set(told.values()) == {"0"}, (told, said)


def test_apparmor_lets_the_servers_have_our_files(root: Path) -> None:
    """The machine that tests run on confines nothing, so the profiles are read."""
    dhcpd = (root / "etc/apparmor.d/usr.sbin.dhcpd").read_text()
    assert "/etc/dhcp/** r," in dhcpd
    assert isc.INCLUDED.startswith("/etc/dhcp/")
    assert "/var/lib/dhcp/dhcpd{,6}.leases* lrw," in dhcpd
    profile = (root / "etc/apparmor.d/usr.sbin.kea-dhcp4").read_text()
    assert "/etc/kea/** r," in profile
    assert "owner /{tmp,run/kea}/kea4-ctrl-socket w," in profile
    assert config_socket() == "/run/kea/kea4-ctrl-socket"
    assert f"owner {kea.LEASES}* rw," in profile


def config_socket() -> str:
    return parse_dhcp(changed(GUIDE, implementation="kea")).pair.kea.control_socket


def test_the_hooks_are_where_they_are_looked_for(root: Path) -> None:
    [folder] = root.glob(kea.HOOKS.lstrip("/"))
    assert all((folder / name).is_file() for name in kea.LIBRARIES)
