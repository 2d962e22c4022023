"""The loop: log, saving, and the stop at the first number that is not finite."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor
from minisrgan.data import CropSampler
from minisrgan.errors import ConfigError, NonFiniteError, WeightsError
from minisrgan.models import Discriminator, Generator
from minisrgan.training import PRESETS, Config, Options, Run, SRGANStage, SRResNetStage, Stopped, content_loss
from minisrgan.training.loop import take_step

SMALL = Config(
    channels=4, blocks=1, d_channels=2, crop=16, batch=2, srresnet_steps=6, srresnet_lr=1e-3, srgan_steps=4, seed=1
)


Y, X = np.mgrid[0:40, 0:48]
PHOTOS = {"squares": np.stack([5 * Y, 5 * X, 255 * ((X // 8 + Y // 8) % 2)], axis=2).astype(np.uint8)}


def sampler() -> CropSampler:
    """Return crops of a photograph with edges and gradients."""
    return CropSampler(PHOTOS, SMALL.crop, SMALL.scale, np.random.default_rng(SMALL.seed))


def stages() -> tuple[SRResNetStage, SRGANStage]:
    """Return both stages on one generator."""
    rng = np.random.default_rng(SMALL.seed)
    generator = Generator(SMALL.scale, SMALL.channels, SMALL.blocks, rng=rng)
    discriminator = Discriminator(SMALL.crop, SMALL.d_channels, rng=rng)
    content = content_loss("mse")
    return SRResNetStage(generator, content, SMALL), SRGANStage(generator, discriminator, content, SMALL)


def run(stage: Any) -> list[dict[str, float]]:
    """Take all steps of a stage, and save nothing."""
    crops = sampler()
    return [take_step(stage, crops, SMALL.batch, step)[0] for step in range(1, stage.steps + 1)]


def prepared(folder: Path, name: str = "srresnet", **options: Any) -> tuple[Run, list[int]]:
    """Return a run in a folder, and the steps after which it saves."""
    one, saved = Run(folder, name, Options(PHOTOS, **options)), []
    one.start(SMALL)
    real = one.save
    one.save = lambda: (real(), saved.append(one.done))[0]  # type: ignore[method-assign, func-returns-value]
    return one, saved


def test_the_loss_falls() -> None:
    """A step with the sign of the update reversed still logs, saves and ends."""
    stage = SRResNetStage(Generator(4, 8, 1), content_loss("mse"), replace(SMALL, srresnet_steps=60))
    losses = [record["content"] for record in run(stage)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


@pytest.mark.parametrize("name", ["srresnet", "srgan"])
def test_a_log_holds_every_step(name: str, tmp_path: Path) -> None:
    """A log that is only written at the end loses what a crash would have told."""
    one, _ = prepared(tmp_path, name)
    real, seen = one.step, []

    def look() -> Any:
        seen.append(len(one.log_file.read_text().splitlines()))
        return real()

    one.step = look  # type: ignore[method-assign]
    one.train()
    lines = [json.loads(line) for line in one.log_file.read_text().splitlines()]
    assert seen == list(range(one.stage.steps))
    assert [(line["step"], line["stage"]) for line in lines] == [(step + 1, name) for step in seen]
    assert {"content", "grad_content", "grad", "outside", "contrast", "seconds", "waited"} <= lines[-1].keys()
    assert ({"adversarial", "d_loss", "d_real", "d_fake", "d_grad"} <= lines[-1].keys()) == (name == "srgan")


def test_the_same_seed_gives_the_same_numbers() -> None:
    """An experiment that cannot be repeated proves nothing."""
    first, again = ([r["content"] for r in run(stages()[0])] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_saves_on_the_way_at_the_end_and_when_stopped(
    number: int, status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after a night of training must not lose the night, nor seem to do nothing for the rest of a long step."""
    whole, calls = prepared(tmp_path / "whole", save_every=4)
    whole.train()
    assert calls == [4, 6]

    stopped, calls = prepared(tmp_path / "stopped")
    stage = stopped.stage
    real, ends = stage.step, []

    def interrupted(step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        if step == 2:
            assert "stopping" not in capfd.readouterr().err
            signal.raise_signal(number)
            assert "this step is finished and saved first" in capfd.readouterr().err
            ends.append("step")  # the step is taken to its end
        return real(step, low, high)

    stage.step = interrupted  # type: ignore[method-assign]
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught:
        stopped.train()
    assert (calls, ends, caught.value.status) == ([3], ["step"], status)
    assert signal.getsignal(number) is before
    assert stage.optimizers["generator"].steps == 3


def test_a_second_signal_ends_the_step_too(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not want to wait; what was saved before is there all the same."""
    stopped, calls = prepared(tmp_path / "run", save_every=2)
    real = stopped.stage.step

    def twice(step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        numbers = real(step, low, high)
        if step == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError
        return numbers

    stopped.stage.step = twice  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    assert calls == [2]
    again = Run(tmp_path / "run", "srresnet", Options(PHOTOS))
    again.resume()
    assert again.done == 2
    again.train()
    whole, _ = prepared(tmp_path / "whole")
    whole.train()
    ours, theirs = (folder.generator.state_dict() for folder in (again.stage, whole.stage))
    assert all((array == theirs[name]).all() for name, array in ours.items())


@pytest.mark.parametrize("which", [0, 1])
def test_a_number_that_is_not_finite_stops_the_run_by_name(which: int, tmp_path: Path) -> None:
    """Training on NaN ends with a black picture hours later; and saving it would overwrite the last good weights."""
    spoiled_run, saved = prepared(tmp_path, ("srresnet", "srgan")[which], save_every=1)
    stage = spoiled_run.stage
    real = stage.step

    def spoiled(step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        if step == 2:
            stage.generator.blocks[0].conv2.weight.data[1, 1, 0, 0] = np.inf
        return real(step, low, high)

    stage.step = spoiled  # type: ignore[method-assign]
    with pytest.raises(NonFiniteError) as caught:
        spoiled_run.train()
    message = str(caught.value)
    assert f"step 3 of stage {stage.name}" in message
    assert "loss = nan" in message
    assert "generator." in message
    assert "saved after step 2 is good" in message
    assert saved == [1, 2]


@pytest.mark.parametrize("which", [0, 1])
def test_a_gradient_that_is_not_finite_stops_the_run_at_its_step(which: int, tmp_path: Path) -> None:
    """Its loss is finite, and the checkpoint after the step would not be."""
    spoiled_run, saved = prepared(tmp_path, ("srresnet", "srgan")[which], save_every=1)
    stage = spoiled_run.stage
    optimizer = stage.optimizers["generator"]
    real = optimizer.step

    def spoiled() -> None:
        if optimizer.steps == 2:
            stage.generator.conv_last.weight.grad.data[0, 0, 0, 0] = np.nan
        real()

    optimizer.step = spoiled  # type: ignore[method-assign]
    with pytest.raises(NonFiniteError, match="step 3 of stage") as caught:
        spoiled_run.train()
    assert "first gradient that is not finite: generator.conv_last.weight" in str(caught.value)
    assert saved == [1, 2]


def test_presets_are_the_papers_where_they_say_so() -> None:
    """SRGAN sec. 3.2: 16 crops of 96, lr 1e-4, 1e6 steps, then 1e5 and 1e5 at a tenth, adversarial weight 1e-3."""
    paper = PRESETS["paper"]
    assert (paper.scale, paper.channels, paper.blocks, paper.d_channels) == (4, 64, 16, 64)
    assert (paper.crop, paper.batch, paper.srresnet_steps, paper.srgan_steps) == (96, 16, 1_000_000, 200_000)
    assert (paper.srresnet_lr, paper.srgan_lr, paper.d_lr, paper.adversarial_weight) == (1e-4, 1e-4, 1e-4, 1e-3)
    assert (paper.start, paper.srresnet_warmup, paper.srresnet_decay) == ("random", 0, 1.0)
    generator, discriminator = Generator(channels=2, blocks=1), Discriminator(crop=16, channels=2)
    srresnet = SRResNetStage(generator, content_loss("mse"), paper)
    assert {srresnet.lr(step) for step in (0, 500_000, 999_999)} == {1e-4}
    srgan = SRGANStage(generator, discriminator, content_loss("mse"), paper)
    assert [srgan.g_lr(step) for step in (0, 99_999, 100_000, 199_999)] == [1e-4, 1e-4, 1e-5, 1e-5]
    assert [srgan.d_lr(step) for step in (99_999, 100_000)] == [1e-4, 1e-5]


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"blocks": 0}, {"crop": 18}, {"crop": 12}, {"srresnet_lr": 0.0}, {"d_lr": -1e-4}, {"start": "zero"},
     {"srresnet_lr": float("nan")}, {"srresnet_steps": 0}, {"srgan_steps": -1}, {"scale": 3}, {"srresnet_decay": 2.0},
     {"adversarial_weight": float("nan")}, {"grid_weight": float("inf")}, {"tv_weight": -1.0}, {"seed": -1},
     {"channels": -3}, {"channels": 10**7}, {"d_channels": 10**7}, {"batch": 10**9}, {"blocks": 10**6},
     {"srgan_steps": 10**20}, {"ema": 1.0}, {"ema": float("nan")}, {"real_label": 0.0}, {"eps": 0.0},
     {"eps": float("nan")}, {"bn_batches": -1}, {"content": "features:\udcff.safetensors"}],
)  # fmt: skip
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, Any]) -> None:
    """Found at once, and not when the second stage begins."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(SMALL, **wrong)


def test_content_losses_by_name(tmp_path: Path) -> None:
    """Asked for VGG without its file, the answer must name the file and the choices, before any training."""
    with pytest.raises(ConfigError, match="mse, vgg22, vgg54"):
        content_loss("vgg33")
    with pytest.raises(ConfigError, match=r"(?s)VGG19.*none.*content mse"):
        content_loss("vgg54")
    with pytest.raises(WeightsError, match=r"(?s)missing\.npz.*content mse"):
        content_loss("vgg22", tmp_path / "missing.npz")
