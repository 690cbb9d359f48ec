"""Print how quickly faults are found and how often none is taken for one, in simulated time.

python test/bench/wan_detection.py [profile] [seeds]
"""

from __future__ import annotations

import random
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE / "_utils"), str(HERE / "test")]

from rig.wanlines import (  # noqa: E402
    Loss,
    ModelLine,
    ModelWorld,
    bursts,
    no_loss,
    random_loss,
    start,
    wan,
)
from saltext.ipalias.wan.model import DOWN, UP, Line, WanConfig  # noqa: E402
from saltext.ipalias.wan.simulate import run  # noqa: E402

WAN1 = Line("wan1", 4)
TRIPS = ((0.0002, 0.0), (0.03, 0.01), (0.15, 0.05))
LOSSES = (
    (0.0, 0.0),
    (0.02, 0.0),
    (0.1, 0.0),
    *((share, burst) for share in (0.02, 0.1) for burst in (0.02, 0.05, 0.1)),
)
FAULTS, LASTING, MINUTES = 50, 3.0, 10


def losing(share: float, burst: float, rng: random.Random) -> Loss:
    """Return a model of loss."""
    if not share:
        return no_loss
    return bursts(share, burst, rng) if burst else random_loss(share, rng)


def world(trip: tuple[float, float], loss: tuple[float, float], seed: int) -> ModelWorld:
    """Return two lines of one delay, the first with loss."""
    rng = random.Random(seed)
    return ModelWorld(
        {
            "wan1": ModelLine(rng, *trip, losing(*loss, rng)),
            "wan2": ModelLine(rng, *trip),
        }
    )


def detections(
    config: WanConfig, lines: ModelWorld, pause: float
) -> tuple[list[float], list[float], int]:
    """Return what each fault took to be found and to be over, and how many exceeded the bound."""
    first = lines.lines["wan1"]
    begin = 90.0
    for _ in range(FAULTS):
        begin += pause + first.rng.uniform(0, 2)
        first.outages.append((begin, begin + LASTING))
        begin += LASTING
    told = [
        t
        for t in run(config, start(config, known=False), lines, begin + 2 * pause).transitions
        if t.line == WAN1
    ]
    hold = config.uplinks[0].probe.hold_down
    found, back, over = [], [], 0
    for begin, end in first.outages:
        down = next((t for t in told if t.state == DOWN and begin <= t.boot_at < end + 1), None)
        if down is None:
            continue
        found.append(down.boot_at - begin)
        over += found[-1] > down.bound
        up = next(t for t in told if t.state == UP and t.boot_at > down.boot_at)
        back.append(max(0.0, up.boot_at - max(end, down.boot_at + hold)))
    return found, back, over


def main() -> None:
    """Print a row for each round trip and loss."""
    profile = sys.argv[1] if len(sys.argv) > 1 else "fast"
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    config = wan(probe=profile)
    pause = 5 + config.uplinks[0].probe.hold_down
    print("| round trip | loss | found, median | worst | back | false | probes/s | silence |")
    print("|---|---|---|---|---|---|---|---|")
    for trip in TRIPS:
        for loss in LOSSES:
            found, back, over = detections(config, world(trip, loss, 1), pause)
            false = 0
            for seed in range(seeds):
                lines = world(trip, loss, 100 + seed)
                ran = run(config, start(config, known=False), lines, 60.0 * MINUTES)
                false += sum(t.state == DOWN for t in ran.transitions)
            row = ran.policy.status(60.0 * MINUTES)[0]
            told = f"{loss[0]:.0%}" + (f", bursts {loss[1] * 1000:.0f} ms" if loss[1] else "")
            print(
                f"| {trip[0] * 1000:.0f} ± {trip[1] * 1000:.0f} ms | {told} "
                f"| {statistics.median(found):.3f} | {max(found):.3f} | {max(back):.2f} "
                f"| {false} in {seeds * MINUTES} min | {ran.probes[WAN1] / 60 / MINUTES:.1f} "
                f"| {row['silence']} |"
                + (f" {over} OVER THE BOUND" if over else "")
                + (f" {FAULTS - len(found)} NOT FOUND" if len(found) < FAULTS else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
