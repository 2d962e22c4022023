"""How many images a second two ranks train that one rank does not: paper-size SRResNet, the same global batch.

    mpiexec -n 2 python -m benchmarks.ranks

Each rank computes on one thread. Rank 0 alone and all ranks together take turns, in the same processes; while rank 0
works alone the others sleep. Every rank needs a core of its own: on a machine with more work than cores two processes
get twice the time of one, and the ratio is too good. Then the load that is printed is above the number of ranks, and
only the processor time of rank 0 says something; it leaves out what waiting for the others and for memory costs.
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

    def seconds(ranks: Ranks) -> tuple[float, float]:
        """Take one step; return its time, and the processor time of this rank."""
        sampler = CropSampler(photos, args.crop, 4, np.random.default_rng(1))
        stage.ranks, sampler.part = ranks, (ranks.rank, ranks.size)
        began, used = time.perf_counter(), time.process_time()
        take_step(stage, sampler, args.batch, 1)
        return time.perf_counter() - began, time.process_time() - used

    pairs = []
    with threads(1), together.together():
        for _ in range(args.rounds + 1):
            together.all(0)
            alone = seconds(ALONE) if together.first else (0.0, 0.0)
            together.all(0)  # the others wait here
            pairs.append((alone, seconds(together)))
        pairs = pairs[1:]  # the first warms up
        if together.first:
            for kind, word in enumerate(("elapsed", "processor time of rank 0")):
                one, many = (statistics.median(pair[n][kind] for pair in pairs) for n in (0, 1))
                ratio = statistics.median(alone[kind] / shared[kind] for alone, shared in pairs)
                print(f"{args.batch} crops of {args.crop}, {word}: {one:.2f} s on 1 rank, {many:.2f} s on "
                      f"{together.size} ranks: ratio {ratio:.2f}; load {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
