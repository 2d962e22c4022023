"""A run in its folder: what belongs to it when it goes on, and what it survives."""

from __future__ import annotations

import shutil
import signal
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minisrgan.backend import Array
from minisrgan.errors import CheckpointError, ConfigError, DataError
from minisrgan.images import write_image
from minisrgan.losses import MSEContent
from minisrgan.models import Generator
from minisrgan.training import PRESETS, Config, Options, Run, Stopped, read_config, write_config
from minisrgan.weights import load_generator

TINY = Config(
    channels=4, blocks=1, d_channels=2, crop=16, batch=2, srresnet_steps=4, srgan_steps=4, srresnet_lr=1e-3, seed=1
)


def noise(number: int, side: int = 24) -> Array:
    """Return a photograph like no other."""
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of 14 photographs, of which three are kept for validation."""
    for number in range(14):
        write_image(tmp_path / "photos" / f"{number:02}.png", noise(number))
    return tmp_path / "photos"


def started(photos: Path, folder: Path, config: Config = TINY, **options: Any) -> Run:
    """Return a run that is prepared."""
    run = Run(folder, "srresnet", Options(photos, **options))
    run.start(config)
    return run


def resumed(photos: Path, folder: Path, asked: dict[str, Any] | None = None, **options: Any) -> Run:
    """Return a run that goes on."""
    run = Run(folder, "srresnet", Options(photos, **options))
    run.resume(asked)
    return run


def before_step(run: Run, number: int, act: Callable[[], object]) -> None:
    """Do something before a run takes a step."""
    real = run.step

    def step() -> Any:
        if run.done + 1 == number:
            act()
        return real()

    run.step = step  # type: ignore[method-assign]


def weights(run: Run) -> dict[str, bytes]:
    """Return all that a generator has learned."""
    return {name: array.tobytes() for name, array in run.stage.generator.state_dict().items()}


# What belongs to a run


def test_the_network_that_a_run_began_with_is_its_network(photos: Path, tmp_path: Path) -> None:
    """Resumed without its tanh, the same weights give other pictures, and nothing says so."""
    init = Generator(4, 4, 1, tanh=True, eps=1e-3)
    run = Run(tmp_path / "run", "srresnet", Options(photos))
    run.start(TINY, init)
    run.train()
    again = resumed(photos, tmp_path / "run", {"srresnet_steps": 6})
    assert (again.stage.generator.tanh, again.stage.generator.eps) == (True, 1e-3)
    again.train()
    published = load_generator(tmp_path / "run" / "srresnet.safetensors")
    assert (published.tanh, published.eps, published.bn_middle.eps) == (True, 1e-3, 1e-3)
    assert read_config(tmp_path / "run" / "srresnet.toml", Config()) == replace(
        TINY, tanh=True, eps=1e-3, srresnet_steps=6
    )


def test_more_steps_go_on_and_the_same_settings_do_no_harm(photos: Path, tmp_path: Path) -> None:
    """Whoever gives the first command again, with --resume, means the same training; and a good one may go on."""
    config = replace(PRESETS["tiny"], **{**asdict(TINY), "preset": "tiny"})
    started(photos, tmp_path / "run", config).train()
    same = {"preset": "tiny", "batch": 2, "srresnet_lr": 0.001}
    assert resumed(photos, tmp_path / "run", same).done == 4
    longer = resumed(photos, tmp_path / "run", same | {"srresnet_steps": 6})
    assert (longer.done, longer.stage.steps) == (4, 6)
    longer.train()
    assert longer.done == 6
    assert tomllib.loads((tmp_path / "run" / "srresnet.toml").read_text())["srresnet_steps"] == 6
    assert len((tmp_path / "run" / "srresnet.jsonl").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"srresnet_steps": 3}, ["srresnet_steps = 4", "srresnet_steps = 3"]), ({"batch": 3}, ["batch = 2", "batch = 3"]),
     ({"srgan_steps": 9}, ["srgan_steps = 9"]), ({"seed": 2, "crop": 20}, ["seed = 2", "crop = 20"]),
     ({"preset": "paper"}, ["preset = 'paper'", "batch = 16", "channels = 64"]), ({"tanh": True}, ["tanh = True"]),
     ({"srresnet_steps": 9, "batch": 3}, ["batch = 3"]), ({"bacth": 2}, ["bacth"]),
     ({"batch": "two"}, ["batch as a whole number, like 2"])],
)  # fmt: skip
def test_other_settings_are_named(asked: dict[str, Any], told: list[str], photos: Path, tmp_path: Path) -> None:
    """Taken as they are, half of a training has another batch; ignored, somebody waits for what was asked for."""
    started(photos, tmp_path / "run").train()
    with pytest.raises(ConfigError) as caught:
        resumed(photos, tmp_path / "run", asked)
    for words in told:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"adversarial_weight": "nan"}, "as a finite number, like 0.001"), ({"batch": 2.5}, "as a whole number, like 16"),
     ({"batch": True}, "as a whole number"), ({"tanh": 1}, "as true or false, like false"),
     ({"content": 22}, 'as text, like "mse"'), ({"ema": None}, "as a finite number, like 0.0")],
)  # fmt: skip
def test_a_setting_of_the_wrong_kind_is_told_in_plain_words(wrong: dict[str, Any], told: str) -> None:
    """Whoever types --set adversarial_weight=nan does not know what Python calls a float."""
    with pytest.raises(ConfigError, match=rf"expected  {next(iter(wrong))} {told}"):
        Config().changed(wrong, "--set")


def test_an_edited_file_of_settings_is_noticed(photos: Path, tmp_path: Path) -> None:
    """It looks as if it were what the training goes by."""
    started(photos, tmp_path / "run").train()
    file = tmp_path / "run" / "srresnet.toml"
    text = file.read_text()
    file.write_text(text.replace("batch = 2", "batch = 3"))
    with pytest.raises(ConfigError, match="batch = 3"):
        resumed(photos, tmp_path / "run")
    file.write_text(text.replace("srresnet_steps = 4", "srresnet_steps = 5"))
    assert resumed(photos, tmp_path / "run").stage.steps == 5
    file.unlink()
    assert resumed(photos, tmp_path / "run").stage.steps == 4


def test_settings_of_an_older_version(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is gone and was off changes nothing; one that was on cannot be had any more, which must be said."""
    write_config(tmp_path / "old.toml", TINY)
    text = (tmp_path / "old.toml").read_text()
    (tmp_path / "old.toml").write_text(text + "adversarial_ramp = 0\nclip = 0.0\n")
    assert read_config(tmp_path / "old.toml", Config()) == TINY
    assert "adversarial_ramp, clip: not a setting any more, and off" in capsys.readouterr().err
    (tmp_path / "old.toml").write_text(text + "adversarial_ramp = 150\n")
    with pytest.raises(ConfigError, match="adversarial_ramp"):
        read_config(tmp_path / "old.toml", Config())


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("photo \U0001f4f7.safetensors")
@example('"quoted\\ \t\n\r\x00\x1f\x7f\x80\u2028')
def test_settings_are_written_as_toml_reads_them(name: str) -> None:
    """JSON writes a character beyond the BMP as two halves, which TOML refuses: the run could not go on."""
    import tempfile

    config = replace(TINY, content=f"features:{name}", tanh=True, grid_weight=4000, d_lr=1e-05)
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder, "run.toml"), config)
        assert read_config(Path(folder, "run.toml"), Config()) == config


# Photographs that change


def test_photographs_that_are_others_are_named(photos: Path, tmp_path: Path) -> None:
    """A photo with another one's name and size gives other crops, and "resumed" is not the word for it any more."""
    started(photos, tmp_path / "run").train()
    write_image(photos / "02.png", noise(99))
    (photos / "03.png").unlink()
    write_image(photos / "new.png", noise(100))
    with pytest.raises(CheckpointError) as caught:
        resumed(photos, tmp_path / "run", {"srresnet_steps": 6})
    assert caught.value.got.splitlines() == ["03.png is gone", "02.png is another picture", "new.png is new"]
    write_image(photos / "02.png", noise(2))
    write_image(photos / "03.png", noise(3))
    (photos / "new.png").unlink()
    assert resumed(photos, tmp_path / "run").done == 4


@pytest.mark.parametrize("cache", [0.0, 1.0])
@pytest.mark.parametrize("which", ["05.png", "12.png"])  # trained on, and kept for validation
def test_a_photo_that_vanishes_while_training_is_left_out(
    which: str, cache: float, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours of training end by one file that somebody has moved; and after that the run could not go on, ever."""
    config = replace(TINY, srresnet_steps=30)
    run = started(photos, tmp_path / "run", config, cache=cache, save_every=10)
    before_step(run, 5, (photos / which).unlink)
    before_step(run, 25, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Stopped):
        run.train()
    trained = which == "05.png"
    assert (f"{which} is left out from now on" in capsys.readouterr().err) == trained
    again = resumed(photos, tmp_path / "run", cache=cache)
    assert again.done == 25
    assert list(again.sampler.lost) == [which] * trained
    again.train()
    # A file that comes back is not drawn from: the training has gone on without it.
    write_image(photos / which, noise(int(which[:2])))
    back = resumed(photos, tmp_path / "run", {"srresnet_steps": 31})
    assert (which in back.sampler.names) is False
    back.train()


def test_a_checkpoint_is_written_as_soon_as_a_photo_is_lost(photos: Path, tmp_path: Path) -> None:
    """Killed before the next one, the run would be of photographs that are not there any more."""
    run = started(photos, tmp_path / "run", replace(TINY, srresnet_steps=40), cache=0.0)
    steps: list[int] = []
    real = run.save
    run.save = lambda: (steps.append(run.done), real())[1]  # type: ignore[method-assign, func-returns-value]
    before_step(run, 3, (photos / "05.png").unlink)
    run.train()
    assert steps[-1] == 40
    assert 3 <= steps[0] < 40


def test_all_photos_gone_leave_the_last_checkpoint(photos: Path, tmp_path: Path) -> None:
    """A disk that is unmounted for an hour must not cost the run its photographs for good."""
    run = started(photos, tmp_path / "run", replace(TINY, srresnet_steps=8), save_every=2)
    before_step(run, 4, lambda: photos.rename(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="none is left"):
        run.train()
    (tmp_path / "elsewhere").rename(photos)
    again = resumed(photos, tmp_path / "run")
    assert again.done == 2
    again.train()
    whole = started(photos, tmp_path / "whole", replace(TINY, srresnet_steps=8))
    whole.train()
    assert weights(again) == weights(whole)


# Signals and figures


def test_publishing_can_be_interrupted(photos: Path, tmp_path: Path) -> None:
    """A million batches for the statistics are an hour in which Ctrl-C seems to be broken."""
    config = replace(TINY, bn_batches=1_000_000)
    run = started(photos, tmp_path / "run", config)
    seen: list[int] = []
    real = run._crops

    def interrupted(number: int) -> Any:
        crops = real(number)
        batch = crops.batch

        def one(size: int) -> Any:
            seen.append(1)
            if len(seen) == 3:
                signal.raise_signal(signal.SIGINT)
            return batch(size)

        crops.batch = one
        return crops

    run._crops = interrupted  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        run.train()
    assert len(seen) == 3
    assert resumed(photos, tmp_path / "run").done == 4  # nothing but the file for use is missing


def test_a_figure_that_cannot_be_drawn_ends_no_training(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The night's training for a title that the font does not know."""

    def draw(run: Run) -> None:
        raise RuntimeError("glyph")

    run = Run(tmp_path / "run", "srresnet", Options(photos), draw=draw)
    run.start(TINY)
    run.train()
    assert run.done == 4
    assert "no figures: RuntimeError: glyph" in capsys.readouterr().err


def test_every_batch_for_the_calibration_is_another(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the same batch would look like four, and the scale would depend on the photographs in one of them."""
    seen: list[Array] = []

    def content_loss(kind: str, vgg: object, calibrate_on: Iterable[Array], device: str) -> MSEContent:
        seen.extend(calibrate_on)
        return MSEContent()

    monkeypatch.setattr("minisrgan.training.run.content_loss", content_loss)
    started(photos, tmp_path / "run", replace(TINY, calibrate=3))
    assert len({batch.tobytes() for batch in seen}) == len(seen) == 3


@pytest.mark.parametrize("lost", ["checkpoints", "log and checkpoints"])
def test_a_training_without_checkpoints_is_not_replaced(lost: str, photos: Path, tmp_path: Path) -> None:
    """Whoever deletes the checkpoints to save space keeps the log and the weights, also with --resume."""
    run = started(photos, tmp_path / "run", replace(TINY, srresnet_steps=2))
    run.train()
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    if "log" in lost:
        run.log_file.unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(ConfigError) as error:
        started(photos, tmp_path / "run").train()
    assert "srresnet.safetensors, but no checkpoint" in error.value.got
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before


def test_a_training_that_took_no_step_is_replaced(photos: Path, tmp_path: Path) -> None:
    """If the first step fails, the command can be corrected and given again."""
    run = started(photos, tmp_path / "run")

    def fail() -> None:
        raise MemoryError

    before_step(run, 1, fail)
    with pytest.raises(MemoryError):
        run.train()
    assert run.checkpoints.steps() == [0]
    corrected = started(photos, tmp_path / "run", replace(TINY, batch=1))
    corrected.train()
    assert corrected.checkpoints.steps()[-1] == TINY.srresnet_steps


def test_what_a_run_writes_below_its_photographs_is_not_trained_on(photos: Path, tmp_path: Path) -> None:
    """A run below its data goes on, and the next stage takes the same photographs."""
    folder = photos / "run"
    started(photos, folder, validate_every=2).train()
    assert len(list((folder / "pictures").iterdir())) == 6
    write_image(folder / "srresnet_curves.png", noise(99))
    resumed(photos, folder, {"srresnet_steps": 5}).train()
    second = Run(folder, "srgan", Options(photos))
    second.start(TINY, Generator(4, channels=4, blocks=1))
    assert len(second.sampler.fingerprints()) == 11  # of 14, three of which are for validation


def test_a_run_in_the_folder_of_its_photographs_is_refused(photos: Path, tmp_path: Path) -> None:
    """Its pictures would lie among the photographs."""
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(ConfigError, match="a folder other than that of --data"):
        started(photos, tmp_path / "link")


def test_photographs_for_validation_are_not_trained_on(photos: Path, tmp_path: Path) -> None:
    """Also if their folder lies below that of the others."""
    for number in range(4):
        write_image(photos / "val" / f"{number}.png", noise(50 + number))
    run = started(photos, tmp_path / "run", validation=photos / "val")
    assert len(run.validation.originals) == 3
    assert sorted(run.sampler.fingerprints()) == [f"{number:02}.png" for number in range(14)]


def test_photographs_for_training_and_validation_alike_are_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is possible, but PSNR then says less; copies count too."""
    write_image(tmp_path / "val" / "copy.png", noise(0))
    started(photos, tmp_path / "run", validation=tmp_path / "val")
    assert "(trained on as well)" in capsys.readouterr().out


def test_damaged_checkpoints_are_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Going on from an older one repeats work, so it is not done in silence."""
    started(photos, tmp_path / "run", save_every=2).train()
    (tmp_path / "run" / "checkpoints" / "srresnet-00000004.safetensors").unlink()
    resumed(photos, tmp_path / "run")
    assert "damaged, and left out: 4\n" in capsys.readouterr().err
