"""N steps are k steps, an end of any kind, and N - k steps more: bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.backend import Array
from minisrgan.cli.main import main
from minisrgan.data import CropSampler
from minisrgan.errors import CheckpointError
from minisrgan.images import write_image
from minisrgan.models import Discriminator, Generator
from minisrgan.training import (
    Checkpoints,
    Config,
    SRGANStage,
    SRResNetStage,
    content_loss,
    restore,
    state_of,
)  # fmt: skip
from minisrgan.training.loop import take_step

ROOT = Path(__file__).resolve().parents[2]
STEPS = 6
SMALL = Config(
    channels=4, blocks=1, d_channels=2, crop=16, batch=2, srresnet_steps=STEPS, srresnet_lr=1e-3, srresnet_warmup=3,
    srresnet_decay=0.5, srgan_steps=STEPS, ema=0.9, real_label=0.9,
    d_head_start=2, adversarial_balance=0.5, grid_weight=10.0, relativistic=True,
)  # fmt: skip
Training = tuple[SRResNetStage | SRGANStage, CropSampler]
State = tuple[dict[str, Array], dict[str, Any]]


def photo(seed: int = 0) -> Array:
    """Return edges, gradients and noise."""
    y, x = np.mgrid[0:40, 0:48]
    picture = np.stack([5 * y, 5 * x, 255 * ((x // 8 + y // 8) % 2)], axis=2) % 256
    return (picture // 2 + np.random.default_rng(seed).integers(0, 127, picture.shape)).astype(np.uint8)


def training(name: str, seed: int = 0) -> Training:
    """Build a stage and its crops; with another seed all that a checkpoint has to bring back is different."""
    rng = np.random.default_rng(seed)
    generator = Generator(SMALL.scale, SMALL.channels, SMALL.blocks, rng=rng)
    sampler = CropSampler({"a": photo(), "b": photo(1)}, SMALL.crop, SMALL.scale, rng)
    if name == "srresnet":
        return SRResNetStage(generator, content_loss("mse"), SMALL), sampler
    discriminator = Discriminator(SMALL.crop, SMALL.d_channels, rng=rng)
    return SRGANStage(generator, discriminator, content_loss("mse"), SMALL), sampler


def go(one: Training, done: int = 0, until: int = STEPS) -> State:
    """Take steps done + 1 to until, and return the state after them."""
    for step in range(done + 1, until + 1):
        take_step(*one, SMALL.batch, step)
    return state_of(*one)


def differences(ours: State, theirs: State) -> list[str]:
    """Name all that is not equal to the last bit."""
    assert ours[0].keys() == theirs[0].keys()
    different = [name for name in ours[0] if ours[0][name].tobytes() != theirs[0][name].tobytes()]
    return different + [name for name in ours[1] if ours[1][name] != theirs[1][name]]


@pytest.mark.parametrize("name", ["srresnet", "srgan"])
@pytest.mark.parametrize("k", range(1, STEPS))
def test_a_resumed_training_is_the_same_training(name: str, k: int, tmp_path: Path) -> None:
    """A resume that starts the schedule, the crops or Adam anew looks like a small bump in the loss."""
    checkpoints = Checkpoints(tmp_path, name)
    checkpoints.save(k, *go(training(name), until=k))
    found = checkpoints.load()
    assert found is not None
    resumed = training(name, seed=99)
    restore(*resumed, *found[1:])
    assert differences(go(resumed, done=found[0]), go(training(name))) == []


DROPPED = ["generator.bn_middle.running_var", "discriminator.", "adam.generator.square.0", "ema.conv_first.weight",
           "balance.ratio", "adam_steps", "ema_steps", "rng"]  # fmt: skip


@pytest.mark.parametrize("item", DROPPED)
def test_what_a_checkpoint_leaves_out_is_noticed(item: str, tmp_path: Path) -> None:
    """The test above proves nothing if two trainings agree although an item is that of a fresh one."""
    arrays, numbers = go(training("srgan"), until=3)
    fresh_arrays, fresh_numbers = state_of(*training("srgan"))
    fresh_arrays["balance.ratio"] = np.ones((), np.float32)
    if "." in item:
        name = next(key for key in arrays if key.startswith(item))
        arrays[name] = fresh_arrays[name]
    else:
        numbers[item] = fresh_numbers[item]
    resumed = training("srgan", seed=99)
    restore(*resumed, arrays, numbers)
    assert differences(go(resumed, done=3), go(training("srgan"))) != []


@pytest.mark.parametrize(
    "missing", ["generator.conv_first.weight", "adam.discriminator.mean.0", "ema.conv_last.bias", "adam_steps", "rng"]
)
def test_a_checkpoint_without_an_item_is_refused(missing: str) -> None:
    """What is missing keeps the value of a fresh training, unless somebody asks."""
    arrays, numbers = go(training("srgan"), until=1)
    (arrays if missing in arrays else numbers).pop(missing)  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError):
        restore(*training("srgan"), arrays, numbers)


# The command, in a process of its own, ended from outside


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two photographs."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        write_image(folder / f"{number}.png", photo(number))
    return folder


def command(photos: Path, out: Path, steps: int, *more: str) -> list[str]:
    """Return the command line of a training that writes a checkpoint every few steps."""
    words = ["train", "--stage", "srresnet", "--data", str(photos), "--out", str(out), "--steps", str(steps)]
    words += ["--set", "channels=4", "--set", "blocks=1", "--crop", "16", "--batch", "2", "--save-every", "7", *more]
    return [sys.executable, "-m", "minisrgan.cli", *words]


def start(words: list[str]) -> subprocess.Popen[str]:
    """Begin a training on one thread."""
    environment = os.environ | {"MINISRGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(out: Path) -> int:
    """Return how many steps the log holds."""
    log = out / "srresnet.jsonl"
    return len(log.read_bytes().splitlines()) if log.is_file() else 0


def wait_for_a_step(process: subprocess.Popen[str], out: Path) -> bool:
    """Wait until the log has changed; tell whether the training goes on still."""
    first = lines(out)
    while process.poll() is None:
        if lines(out) not in (0, first):
            return True
        time.sleep(0.002)
    return False


def last(out: Path) -> tuple[int, dict[str, Array]]:
    """Return the last checkpoint."""
    found = Checkpoints(out / "checkpoints", "srresnet").load()
    assert found is not None
    return found[0], found[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("kills", "steps"), [(3, 150), pytest.param(40, 1500, marks=pytest.mark.slow)]
)  # fmt: skip
def test_a_training_survives_kills(
    kills: int, steps: int, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 at random moments, in the middle of writing as well: the end has to be that of a training in peace."""
    rng, killed = np.random.default_rng(0), 0
    process = start(command(photos, tmp_path / "peace", steps))
    assert process.communicate()[1].count("Error") == 0
    assert process.returncode == 0
    out = tmp_path / "killed"
    while True:
        words = command(photos, out, steps)
        process = start([*words[:10], "--resume", "--save-every", "7"] if (out / "srresnet.toml").exists() else words)
        if killed < kills and wait_for_a_step(process, out):
            time.sleep(float(rng.uniform(0, 0.05)))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
            continue
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        break
    with capsys.disabled():
        went_on = next((line for line in told.splitlines() if "goes on" in line), "from the start")
        print(f"\nkilled {killed} times, then: {went_on}", end="")
    assert killed == kills
    (step, ours), (right_step, right) = last(out), last(tmp_path / "peace")
    assert step == right_step == steps
    assert all(ours[name].tobytes() == right[name].tobytes() for name in right)
    assert lines(out) == steps
    assert not list(out.rglob("*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process in other ways")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_signals_end_a_training_with_a_checkpoint(number: signal.Signals, times: int, photos: Path, tmp_path: Path):
    """A scheduler sends SIGTERM and kills a little later; its exit status tells it whether that was understood."""
    rng = np.random.default_rng(1)
    for again in range(times):
        out = tmp_path / str(again)
        process = start(command(photos, out, 100_000))
        assert wait_for_a_step(process, out)
        time.sleep(float(rng.uniform(0, 0.1)))
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 128 + number, errors
        assert f"stopped by {number.name}" in errors
        assert "Traceback" not in errors
        assert last(out)[0] == lines(out) > 0


# Commands that nobody kills need no process of their own.


@pytest.mark.usefixtures("no_figures")
def test_a_folder_with_a_training_is_not_overwritten(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command given twice must not cost the first run."""
    words = command(photos, tmp_path / "run", 3)
    plain = [*words[:10], "--resume"]  # without settings
    other = [*words, "--batch", "3", "--resume"]
    for line, expected in ((words, 0), (words, 2), (other, 2), ([*words, "--resume"], 0), (plain, 0)):
        status = main(line[3:])
        told = capsys.readouterr()
        assert status == expected, told.err
        if expected:
            assert "--resume" in told.err
        (tmp_path / "run" / "srresnet.safetensors").unlink(missing_ok=True)  # as if killed before it was written
        (tmp_path / "run" / ".0123.tmp").touch()
    assert "goes on after step 3 of 3" in told.out


@pytest.mark.usefixtures("no_figures")
def test_the_model_is_there_after_a_kill_at_the_very_end(photos: Path, tmp_path: Path) -> None:
    """Killed between the last checkpoint and the model, a resumed training takes no step, and wrote no model."""
    words = command(photos, tmp_path / "run", 3)
    for line in (words, [*words[:10], "--resume"]):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / ".0123.tmp").touch()
        assert main(line[3:]) == 0
        assert (tmp_path / "run" / "srresnet.safetensors").is_file()
        assert not list((tmp_path / "run").glob("*.tmp"))
        (tmp_path / "run" / "srresnet.safetensors").unlink()


MEMORY = """
import sys
import numpy as np
from pathlib import Path
from minisrgan.training.loop import take_step
from tests.training.test_resume import training, SMALL
stage, sampler = training("srgan")
at = {}
for step in range(1, int(sys.argv[1]) + 1):
    take_step(stage, sampler, SMALL.batch, step)
    if step in (60, int(sys.argv[1])):
        at[step] = 4096 * int(Path("/proc/self/statm").read_text().split()[1])
print(at[step] - at[60])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("steps", [120, pytest.param(2000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_steps(steps: int) -> None:
    """A graph that hangs on to the one before it is seen after a night, when the machine swaps."""
    words = [sys.executable, "-c", MEMORY, str(steps)]
    environment = os.environ | {"MINISRGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    grown = int(subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)
    assert grown < 5e6
