"""How many images a second two ranks train that one rank does not: paper-size SRResNet, the same global batch.

    mpiexec -n 2 python -m benchmarks.ranks

Each rank computes on one thread. Rank 0 alone and all ranks together take turns, in the same processes, so that other
work on the machine slows both; only the ratio says something. While rank 0 works alone the others sleep. Every rank
needs a core of its own; the line that is printed has the load of the machine, which should not be above the ranks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np

from minisrgan.data import CropSampler
from minisrgan.models import Generator
from minisrgan.threads import threads
from minisrgan.training import Config, SRResNetStage, content_loss
from minisrgan.training.loop import take_step
from minisrgan.training.parallel import ALONE, Ranks, started


def main() -> None:
    """Measure, and print the medians of the times and of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=16, help="crops of a step, on all ranks together (default 16)")
    parser.add_argument("--crop", type=int, default=96, help="side of a crop in pixels (default 96)")
    parser.add_argument("--rounds", type=int, default=5, help="how often both are measured (default 5)")
    args = parser.parse_args()
    together, rng = started(), np.random.default_rng(0)
    photos = {str(n): rng.integers(0, 256, (args.crop + 32, args.crop + 32, 3), np.uint8) for n in range(args.batch)}
    stage = SRResNetStage(Generator(rng=rng), content_loss("mse"), Config())

    def seconds(ranks: Ranks) -> float:
        """Take one step; return its time."""
        sampler = CropSampler(photos, args.crop, 4, np.random.default_rng(1))
        stage.ranks, sampler.part = ranks, (ranks.rank, ranks.size)
        began = time.perf_counter()
        take_step(stage, sampler, args.batch, 1)
        return time.perf_counter() - began

    pairs = []
    with threads(1), together.together():
        for _ in range(args.rounds + 1):
            together.all(0)
            alone = seconds(ALONE) if together.first else 0.0
            together.all(0)  # the others wait here
            pairs.append((alone, seconds(together)))
        if together.first:
            one, many = (statistics.median(times) for times in zip(*pairs[1:], strict=True))  # the first warms up
            ratio = statistics.median(alone / shared for alone, shared in pairs[1:])
            print(f"{args.batch} crops of {args.crop}: {one:.2f} s on 1 rank, {many:.2f} s on {together.size} ranks, "
                  f"{ratio:.2f} times the images a second; load {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
