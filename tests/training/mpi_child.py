"""What `test_mpi` starts by mpiexec: `minisrgan train` on real ranks, with something that happens to one of them.

mpi_child.py together FOLDER        exchanges, steps and failures one after another; the last one gives the status
mpi_child.py kill RANK COUNT WORDS  train WORDS, where a rank dies at its COUNT-th exchange; COUNT 0 kills nobody
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.cli.main import main
from minisrgan.data import CropSampler
from minisrgan.training import Run
from minisrgan.training.parallel import ALONE, MPIRanks, started
from tests.training import test_parallel
from tests.training.test_resume import differences


def words(folder: Path, out: str, steps: int = 4) -> list[str]:
    """Return the arguments of a tiny training."""
    settings = ("channels=4", "blocks=1", "d_channels=2", "d_head_start=1", "bn_batches=1", "ema=0.9")
    return ["train", "--stage", "srgan", "--from-scratch", "--data", str(folder / "photos"), "--out", str(folder / out),
            "--steps", str(steps), "--crop", "16", "--batch", "8", "--save-every", "2", "--check-every", "2",
            *(word for setting in settings for word in ("--set", setting))]  # fmt: skip


@contextmanager
def before_step(patch: pytest.MonkeyPatch, act: Callable[[Run], None], rank: int, number: int) -> Iterator[None]:
    """Do something on one rank before a step."""
    real = Run.step

    def step(run: Run) -> Any:
        if (run.ranks.rank, run.done + 1) == (rank, number):
            act(run)
        return real(run)

    with patch.context() as within:
        within.setattr(Run, "step", step)
        yield


def no_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(run: Run) -> None:
    signal.raise_signal(signal.SIGINT)


def fill_the_disk(run: Run) -> None:
    run.checkpoints.save = no_space  # type: ignore[method-assign, assignment]


EVENTS = {"signal": (interrupt, 1, 3), "disk": (fill_the_disk, 0, 2), "nan": (test_parallel.poison, 1, 2)}


def together(folder: Path) -> int:
    """Put all questions to the ranks; rank 0 writes the answers. The status is that of the NaN, which comes last."""
    ranks, patch = started(), pytest.MonkeyPatch()
    assert isinstance(ranks, MPIRanks)
    states = [test_parallel.steps(ranks, folder / "none", 20) for _ in range(2)]
    parts = [part for run in states for arrays, numbers in run for part in ranks.all((arrays, numbers))]
    found: dict[str, Any] = {"states": len(parts)}
    found["equal"] = not any(differences(parts[i], parts[i // ranks.size % 20 * ranks.size]) for i in range(len(parts)))
    low, high = CropSampler(test_parallel.PHOTOS, 16, 4, np.random.default_rng(0)).batch(8)
    pairs = zip(*(test_parallel.gradients(r, low, high) for r in (ranks, ALONE)), strict=True)
    found["gradient"] = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
    for name, (act, rank, number) in EVENTS.items():
        told = sys.stderr if name == "nan" else io.StringIO()
        with before_step(patch, act, rank, number), redirect_stderr(told):
            try:
                status = main(words(folder, name))
            except SystemExit as left:
                status = int(str(left.code))
        answers = ranks.all((status, told.getvalue() if isinstance(told, io.StringIO) else ""))
        found[name] = [[status for status, _ in answers], "".join(text for _, text in answers)]
    if ranks.first:
        (folder / "found.json").write_text(json.dumps(found))
    return status


def killed(rank: int, count: int, arguments: list[str]) -> int:
    """Train, and die at an exchange."""
    real, seen = MPIRanks._meet, []

    def meet(ranks: MPIRanks, status: int = 0) -> None:
        seen.append(1)
        if (ranks.rank, len(seen)) == (rank, count):
            os.kill(os.getpid(), signal.SIGKILL)
        real(ranks, status)

    MPIRanks._meet = meet  # type: ignore[method-assign]
    return main(arguments)


if __name__ == "__main__":
    pytest.MonkeyPatch().setattr("minisrgan.cli.train.draw_run", lambda folder, stage, originals: None)
    if sys.argv[1] == "together":
        sys.exit(together(Path(sys.argv[2])))
    sys.exit(killed(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
