"""Ranks as mpiexec starts them: processes that exchange messages, fail, get signals and are killed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from minisrgan.images import write_image
from minisrgan.training import Checkpoints, Config, Options, Run
from minisrgan.training.parallel import MPIRanks, Ranks
from tests.training.mpi_child import words
from tests.training.ranks import on_ranks
from tests.training.test_parallel import PHOTOS

ROOT = Path(__file__).resolve().parents[2]
# The mpiexec of a wheel lies beside Python, also where the environment is not activated.
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
MISSING = [] if importlib.util.find_spec("mpi4py") else ["mpi4py"]
MISSING += [] if MPIEXEC else ["mpiexec"]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}: pip install minisrgan[mpi]")


def mpiexec(size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `mpi_child` on several ranks, as root too, and on more ranks than cores."""
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_MCA_rmaps_default_mapping_policy":
        ":oversubscribe", "MINISRGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [str(MPIEXEC), "-n", str(size), sys.executable, "-m", "tests.training.mpi_child", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def photographs(folder: Path) -> Path:
    """Write the photographs that all ranks read."""
    for name, picture in PHOTOS.items():
        write_image(folder / "photos" / f"{name}.png", picture)
    return folder


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Put the questions of `mpi_child.together` to real ranks."""
    folder = photographs(tmp_path_factory.mktemp("together"))
    done = mpiexec(request.param, "together", folder)
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found | {"size": request.param, "status": done.returncode, "stderr": done.stderr}


def test_twenty_steps_are_equal_on_all_ranks_and_in_two_runs(answers: dict[str, Any]) -> None:
    """What holds between threads holds between processes."""
    assert answers["states"] == 2 * 20 * answers["size"]
    assert answers["equal"] is True


def test_the_gradient_is_that_of_eight_crops(answers: dict[str, Any]) -> None:
    """By MPI's own exchange."""
    assert answers["gradient"] <= 1e-6


@pytest.mark.parametrize(
    ("event", "status", "words"),
    [("signal", 130, "stopped by SIGINT"), ("disk", 2, "No space left on device"), ("nan", 2, "")],
)
def test_all_ranks_end_with_the_status_and_one_message(
    event: str, status: int, words: str, answers: dict[str, Any]
) -> None:
    """A rank that waits for one that is gone takes the cluster's time until the job is cancelled."""
    statuses, told = answers[event]
    assert statuses == [status] * answers["size"]
    assert told.count(words) == 1 or not words


def test_mpiexec_returns_the_status(answers: dict[str, Any]) -> None:
    """A script around it sees nothing else."""
    assert answers["status"] == 2
    assert answers["stderr"].count("NonFiniteError in step 2 of stage srgan") == 1


def final(folder: Path) -> tuple[Any, ...]:
    """Return the arrays of the last checkpoint as bytes, with the random numbers, and the published generator."""
    found = Checkpoints(folder / "checkpoints", "srgan").load()
    assert found is not None
    step, arrays, state = found
    for part in "", "_discriminator":
        arrays |= {f"published{part}.{k}": v for k, v in load_file(folder / f"srgan{part}.safetensors").items()}
    return step, {name: array.tobytes() for name, array in arrays.items()}, state["rng"], state["adam_steps"]


MOMENTS = [(2, 1, 18)]
MANY = [pytest.param(n, k // 2 % n, 4 + 3 * k, marks=pytest.mark.slow) for k, n in enumerate((2, 4) * 5)]


@pytest.mark.parametrize(("size", "rank", "moment"), [*MOMENTS, *MANY])
def test_a_killed_rank_ends_the_run_and_resume_goes_on(size: int, rank: int, moment: int, tmp_path: Path) -> None:
    """kill -9 at any exchange; then the same bits as without it. The threads' training is that of the processes."""
    photographs(tmp_path)
    train = words(tmp_path, "killed")
    done = mpiexec(size, "kill", rank, moment, *train)
    assert done.returncode != 0
    again = mpiexec(size, "kill", 0, 0, *train, "--resume")
    assert again.returncode == 0, again.stderr

    def whole(ranks: Ranks) -> None:
        assert isinstance(ranks, MPIRanks)
        options = Options(tmp_path / "photos", save_every=2, quiet=True, ranks=ranks)
        run = Run(tmp_path / "whole", "srgan", options)
        run.start(Config().changed(WHOLE, ""))
        run.train()

    on_ranks(size, whole)
    assert final(tmp_path / "killed") == final(tmp_path / "whole")


WHOLE = {"preset": "tiny", "srgan_steps": 4, "crop": 16, "batch": 8, "channels": 4, "blocks": 1, "d_channels": 2,
         "d_head_start": 1, "bn_batches": 1, "ema": 0.9}  # fmt: skip
