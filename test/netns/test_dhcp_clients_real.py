"""Our clients with dhcpd and kea-dhcp4 themselves, of each release, and the files that result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rig import roots
from rig.dhcp_ours import client_id
from rig.dhcppair import GUIDE, changed
from saltext.ipalias.dhcp import iscleases, kealeases
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.conflicts import Held, find
from saltext.ipalias.dhcp.model import Lease, LeaseFile

pytestmark = pytest.mark.root

CHECKOUT = Path(__file__).resolve().parents[2]
CLIENTS, RELEASED = 60, 10
ASK = (
    *(sys.executable, f"{CHECKOUT}/test/rig/dhcp_ours.py"),
    *("clients", "192.0.2.10", str(CLIENTS), str(RELEASED), "eth0"),
)

# Arguments: root, folder with the server's files, implementation, then the program of the clients.
# The server is on one end of a pair of links, the clients live on the other.
SERVE = """
root=$1 folder=$2 kind=$3
shift 3
mount --bind "$folder" "$root/mnt"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/var/lib"
mkdir -p "$root/run/kea" "$root/run/lock/kea" "$root/var/lib/kea"
chmod 750 "$root/run/kea"
export KEA_LOCKFILE_DIR=/run/lock/kea
ip link set lo up
ip link add eth0 type veth peer name clients
ip link set eth0 up
ip link set clients up
ip addr add 192.0.2.10/24 dev eth0
: >"$folder/isc.leases"
if [ $kind = isc ]; then
    chroot "$root" dhcpd -4 -f -cf /mnt/isc.conf -lf /mnt/isc.leases -pf /run/dhcpd.pid eth0 \
        >"$folder/log" 2>&1 &
else
    chroot "$root" kea-dhcp4 -c /mnt/kea.conf >"$folder/log" 2>&1 &
fi
pid=$!
tries=0
until ss -Hlun 'sport = :67' | grep -q .; do
    tries=$((tries + 1))
    kill -0 $pid 2>/dev/null && [ $tries -lt 300 ] || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
"$@"
cp "$root"/var/lib/kea/* "$folder" 2>/dev/null || true
kill $pid
wait $pid || true
"""

ISC_CONF = """
authoritative;
ddns-update-style none;
ping-check false;
dhcp-cache-threshold 0;
subnet 192.0.2.0 netmask 255.255.255.0 {
  range 192.0.2.100 192.0.2.200;
}
"""
KEA_CONF = {
    "Dhcp4": {
        "interfaces-config": {"interfaces": ["eth0"]},
        "lease-database": {"type": "memfile", "name": "/var/lib/kea/kea-leases4.csv"},
        "valid-lifetime": 600,
        "subnet4": [
            {
                "id": 1,
                "subnet": "192.0.2.0/24",
                "pools": [{"pool": "192.0.2.100 - 192.0.2.200"}],
            }
        ],
    }
}


@pytest.fixture(params=roots.SUITES)
def root(request: pytest.FixtureRequest) -> Path:
    return roots.ensure_root(request.param)


def run(root: Path, folder: Path, kind: str, *argv: str) -> str:
    (folder / "isc.conf").write_text(ISC_CONF)
    (folder / "kea.conf").write_text(json.dumps(KEA_CONF))
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", SERVE]
    done = subprocess.run(
        [*words, "sh", str(root), str(folder), kind, *argv],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}/_utils"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def leases_of(folder: Path, kind: str) -> LeaseFile:
    if kind == "isc":
        return iscleases.parse_file((folder / "isc.leases").read_text(), "isc")
    return kealeases.parse_file((folder / "kea-leases4.csv").read_text(), "kea")


@pytest.mark.parametrize("kind", ["isc", "kea"])
def test_many_clients_are_served_and_the_file_says_so(
    root: Path, tmp_path: Path, kind: str
) -> None:
    told: dict[str, Any] = json.loads(run(root, tmp_path, kind, *ASK))
    assert [told[key] for key in ("leased", "renewed", "rebound")] == [CLIENTS] * 3
    assert len({address for address, _, _ in told["held"]}) == CLIENTS
    assert {server for _, _, server in told["held"]} == {"192.0.2.10"}
    assert len(told["macs"]) == 1
    for where in ("here", "there"):
        assert told[where]["result"] is True, told[where]
    assert told["other"]["result"] is False
    file = leases_of(tmp_path, kind)
    assert file.problems == ()
    active = {x.mac: x for x in file.last().values() if x.state == "active"}
    held = {mac: address for address, mac, _ in told["held"][RELEASED:]}
    assert {mac: lease.address for mac, lease in active.items()} == held
    _compare(list(active.values()))
    config = parse_dhcp(changed(GUIDE, implementation=kind))
    found = find({"a": [file]}, config, time.time(), held=[Held(a, m) for m, a in held.items()])
    assert found == []
    gone = [Held(address, mac) for address, mac, _ in told["held"][:RELEASED]]
    lost = find({"a": [file]}, config, time.time(), held=gone)
    assert [one.kind for one in lost] == ["lost"] * RELEASED


def _compare(leases: list[Lease]) -> None:
    """See that names and ids are those that the clients gave."""
    now = time.time()
    for lease in leases:
        number = int(lease.mac.rsplit(":", 1)[1], 16)
        assert (lease.hostname, lease.client) == (f"host{number}", client_id(number).hex())
        assert lease.starts is not None and lease.ends is not None
        assert now - 300 < lease.starts <= now < lease.ends <= lease.starts + 43200


def test_dhcpd_takes_what_is_left_of_a_file_that_is_cut_off(root: Path, tmp_path: Path) -> None:
    pair = 'failover peer "p" state {\n  my state normal at 5 2026/01/02 03:04:05;\n}\n'
    entries = [
        f"lease 192.0.2.{n} {{\n  starts 5 2026/01/02 03:04:05;\n  ends never;\n"
        f"  binding state active;\n  hardware ethernet 02:00:00:00:00:01;\n"
        f'  client-hostname "a\\"}}";\n}}\n'
        for n in (101, 102)
    ]
    text = pair + "".join(entries)
    first, last = len(pair), len(text)
    middle = first + len(entries[0])
    (tmp_path / "isc.conf").write_text(ISC_CONF)
    cuts = [*range(middle + 1, last - 1, 23), last]
    for cut in cuts:
        left = iscleases.without_tail(text[:cut])
        assert left == (text if cut == last else text[:middle])
        (tmp_path / f"{cut}.leases").write_text(left)
        (tmp_path / f"{cut}.without").write_text(iscleases.without_pairs(left))
    (tmp_path / "torn.leases").write_text(text[: middle + 40])
    script = """
    mount --bind "$2" "$1/mnt"
    for path in "$2"/*.leases "$2"/*.without; do
        name=$(basename "$path") status=0
        said=$(chroot "$1" dhcpd -T -4 -cf /mnt/isc.conf -lf "/mnt/$name" 2>&1) || status=$?
        case $said in *orrupt*|*xpect*) status=torn ;; esac
        echo "$name $status"
    done
    """
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-ec", script, "sh", str(root), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = dict(line.split() for line in done.stdout.splitlines())
    assert told.pop("torn.leases") == "torn", done
    assert len(told) == 2 * len(cuts)
    assert set(told.values()) == {"0"}, told
