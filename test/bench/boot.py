"""Boot with a thousand aliases beside boot with none, by each backend with its daemon."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import places
from measure import RUNS, Pair, Row, Took, took

from rig.host import BootedHost, Snapshot
from rig.netns import Segment
from rig.process import wait_until
from rig.setups import SETUPS

COUNT = 1_000


def measure(full: bool) -> Iterator[Row]:
    """Yield a row for each backend."""
    for suite in places.suites(full):
        for setup in SETUPS:
            with Segment() as segment:
                none, many = _snapshots(suite, setup, segment)
                pairs: list[Pair] = []
                for _ in range(RUNS):
                    without = _boot(none, segment, 0)
                    pairs.append(Pair(_boot(many, segment, COUNT), without))
            what = f"{setup}, {COUNT:,} aliases"
            yield Row(f"d  boot ({suite})", what, "boot with none", "over", pairs)


def _snapshots(suite: str, setup: str, segment: Segment) -> tuple[Snapshot, Snapshot]:
    """Return a host before and after it was given the aliases."""
    with BootedHost(suite, segment) as host:
        SETUPS[setup](host)
        places.install(host)
        places.write_pillar(host, places.ipv4(COUNT))
        none = host.snapshot()
        host.boot()
        host.run([*host.salt_argv(), "--local", "saltutil.sync_all"], env=host.salt_environment())
        places.apply_changes(host, expected=True)
        host.halt()
        return none, host.snapshot()


def _boot(snapshot: Snapshot, segment: Segment, count: int) -> Took:
    """Return the time from power on until systemd is up and all addresses are usable."""

    def work() -> None:
        host.boot()
        wait_until(lambda: places.count_live(host) == count, f"{count} aliases", timeout=120.0)

    with BootedHost.from_snapshot(snapshot, segment) as host:
        spent, _ = took(work)
        return spent


if __name__ == "__main__":
    sys.exit("run bench.py")
