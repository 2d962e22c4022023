"""What surrounds a training on the command line: a look before, pictures on the way, and a comparison after."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.cli.main import main
from minisrgan.images import read_image, write_image
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.training import Config, Run
from minisrgan.training import run as run_module
from minisrgan.training.config import write_config
from minisrgan.weights import load_model, save_model
from tests.paths import SHARED, needs_shared


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of 12 photographs, enough to keep three of them for validation."""
    y, x = np.mgrid[0:48, 0:56]
    for number in range(12):
        squares = 255 * ((x // (3 + number) + y // 5) % 2)
        write_image(tmp_path / "photos" / f"{number:02}.png", np.stack([4 * x, 5 * y, squares], 2).astype(np.uint8))
    return tmp_path / "photos"


def train(photos: Path, out: Path, *more: object) -> int:
    """Train a generator of one block for 4 steps."""
    words = ["train", "--stage", "srresnet", "--data", photos, "--out", out, "--steps", 4, "--crop", 16, "--batch", 2]
    words += ["--set", "channels=4", "--set", "blocks=1", "--set", "srresnet_warmup=0", "--validate-every", 2, *more]
    return main([str(word) for word in words])


def records(out: Path) -> list[dict[str, Any]]:
    """Return the log."""
    return [json.loads(line) for line in (out / "srresnet.jsonl").read_text().splitlines()]


def test_a_training_is_looked_at_on_the_way(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A night later, losses alone do not tell whether pictures became better."""
    run = tmp_path / "run"
    assert train(photos, run, "--set", "bn_batches=2", "--set", "ema=0.9") == 0
    assert "9 photographs, 0 skipped; validation on 09.png, 10.png, 11.png\n" in capsys.readouterr().out
    log = records(run)
    assert [record["step"] for record in log if "psnr" in record] == [2, 4]
    assert all({"waited", "memory_mb", "seconds", "grad_content"} <= record.keys() for record in log)
    names = sorted(path.name for path in (run / "pictures").iterdir())
    assert names == [f"srresnet-{step:08}-{number}.png" for step in (2, 4) for number in range(3)]
    assert read_image(run / "pictures" / names[0]).shape == (48, 56, 3)
    assert load_model(run / "srresnet.safetensors")[1]["extractor"] == ""  # pixels need none
    for figure in ("curves", "pictures"):
        assert read_image(run / f"srresnet_{figure}.png").std() > 10
    first, *manifests = (json.loads(path.read_text()) for path in sorted((run / "checkpoints").glob("*.json")))
    assert (first["step"], first["score"]) == (0, None)
    assert manifests[-1]["state"]["config"]["bn_batches"] == 2
    assert set(manifests[-1]["state"]["versions"]) == {"minisrgan", "numpy"}
    assert [manifest["score"] for manifest in manifests] == [-log[-1]["content_validation"]]


def test_a_training_that_dies_before_its_first_saving_goes_on_from_where_it_began(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its first minutes and resumed without --init, stage srgan would begin from random weights unseen."""
    started = Generator(4, channels=4, blocks=1, rng=np.random.default_rng(7))
    save_model(tmp_path / "init.safetensors", started)

    def killed(run: Run) -> None:
        raise KeyboardInterrupt

    words = ["train", "--stage", "srgan", "--data", str(photos), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", killed)
        new = ["--init", str(tmp_path / "init.safetensors"), "--crop", "16", "--batch", "2", "--set", "d_channels=2"]
        assert main([*words, *new, "--steps", "2"]) == 130
    seen: list[dict[str, np.ndarray]] = []

    def look(run: Run) -> None:
        seen.append({name: array.copy() for name, array in run.stage.generator.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "step", look)
    assert main([*words, "--resume"]) == 130
    assert all((seen[0][name] == array).all() for name, array in started.state_dict().items())


@pytest.mark.usefixtures("no_figures")
def test_a_training_is_resumed_with_its_own_photographs_and_features(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one photograph more, the same draws give other crops, and "resumed" is not the word for it any more."""
    write_image(tmp_path / "others" / "other.png", np.full((40, 40, 3), 99, np.uint8))
    save_model(tmp_path / "d.safetensors", Discriminator(crop=16, channels=2))
    content = ["--content", f"features:{tmp_path / 'd.safetensors'}"]
    assert train(photos, tmp_path / "run", "--validation", tmp_path / "others", *content) == 0
    again = ["train", "--stage", "srresnet", "--data", str(photos), "--out", str(tmp_path / "run"), "--resume"]
    assert main([*again, "--validation", str(tmp_path / "others")]) == 0
    capsys.readouterr()
    assert main(again) == 2  # three of the twelve photographs are kept for validation now
    assert "give the same --data and --validation" in capsys.readouterr().err
    save_model(tmp_path / "d.safetensors", Discriminator(crop=16, channels=2, rng=np.random.default_rng(5)))
    assert main([*again, "--validation", str(tmp_path / "others")]) == 2
    assert "give the same --vgg" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_vgg_that_was_downloaded_is_found(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has fetched VGG19 should not have to look for where it was put."""
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    save_model(tmp_path / "cache" / "vgg19.safetensors", VGG19("2,2", "torchvision"))
    assert train(photos, tmp_path / "run", "--content", "vgg22") == 0
    told = load_model(tmp_path / "run" / "srresnet.safetensors")[1]["extractor"]
    assert told.startswith("vgg19.safetensors, SHA-256 ")


def test_figures_that_are_not_drawn_are_not_promised(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without matplotlib a training works all the same; to be sent to files that are not there is worse than none."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert train(photos, tmp_path / "run") == 0
    assert "no figures: they take matplotlib" in capsys.readouterr().out
    assert not list((tmp_path / "run").glob("*.png"))


@pytest.mark.usefixtures("no_figures")
def test_validation_photos_may_be_given(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compared over several trainings, the photographs must be the same whatever was trained on."""
    write_image(tmp_path / "others" / "other.png", np.full((40, 40, 3), 99, np.uint8))
    assert train(photos, tmp_path / "run", "--validation", tmp_path / "others") == 0
    assert "12 photographs, 0 skipped; validation on other.png\n" in capsys.readouterr().out


def test_a_dry_run_tells_time_and_memory_and_writes_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever plans a night wants to know before it whether a night is enough."""
    assert train(photos, tmp_path / "run", "--dry-run", "--steps", 1_000_000) == 0
    told = capsys.readouterr().out
    pace = re.search(r"([\d.]+) s a step, ([\d.]+) steps a second\n1,000,000 steps take (.*) \(h:mm:ss\)", told)
    assert pace, told
    assert 0 < float(pace[1]) < 10
    assert re.search(r"memory: [\d,]+ MB", told)
    assert re.search(r"gradient of the content loss at the generator's output: [\d.e-]+", told)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tells_the_head_start_from_the_rest(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured on steps of D alone, a training that takes a night is promised in an hour."""
    recipe = {"d_head_start": 400, "adversarial_balance": 0.5, "grid_weight": 4000, "real_label": 0.9}
    words: list[object] = [word for item in recipe.items() for word in ("--set", "{}={}".format(*item))]
    words += ["--stage", "srgan", "--from-scratch", "--set", "d_channels=2", "--steps", 1000, "--dry-run"]
    slow = 0.05  # seconds, in which only a comparison of contents takes part

    def content(generated: Tensor, original: Tensor) -> Tensor:
        time.sleep(slow)
        return ops.mse(generated, original)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "content_loss", lambda *args: content)
        assert train(photos, tmp_path / "run", *words) == 0
    told = capsys.readouterr().out
    both = re.search(r"^([\d.]+) s a step", told, re.M)
    alone = re.search(r"the first 400 of them, in which only the discriminator learns, ([\d.]+) s each", told)
    hours, minutes, seconds = map(int, re.search(r"1,000 steps take (\d+):(\d+):(\d+)", told).groups())  # type: ignore[union-attr]
    assert both, told
    assert alone, told
    assert float(both[1]) > max(slow, float(alone[1]))
    whole = 400 * float(alone[1]) + 600 * float(both[1])
    assert abs(3600 * hours + 60 * minutes + seconds - whole) < 2
    for name, value in recipe.items():
        assert f"{name} = {value}" in told
    for term in ("content", "adversarial", "grid"):
        assert re.search(rf"gradient of the {term} loss at the generator's output: [\d.e-]+", told)
    assert not (tmp_path / "run").exists()


def test_names_that_cannot_be_shown_end_no_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A title that matplotlib takes for a formula, or that is no text, must not cost the night; nor the figures."""
    monkeypatch.setattr("minisrgan.threads.EVERY", 0)
    for number, name in enumerate((b"z$x_{1.png", b"z\xff.png", "z\U0001f4f7\n.png".encode())):
        (photos / f"{number + 9:02}.png").rename(photos / os.fsdecode(name))
    assert train(photos, tmp_path / "run") == 0
    told = capsys.readouterr()
    assert "z$x_{1.png" in told.out
    assert "z\U0001f4f7\\n.png" in told.out
    assert re.findall(r"(srresnet: \d+%), [?\d:]+ left, content [\d.]+", told.err)  # lines, as this is no terminal
    assert "\r" not in told.err
    assert "no figures" not in told.err
    for figure in ("curves", "pictures"):
        assert read_image(tmp_path / "run" / f"srresnet_{figure}.png").std() > 10


@pytest.mark.parametrize(
    "words",
    [["--seed", "-1"], ["--set", "channels=-3"], ["--cache", "nan"], ["--cache", "-1"], ["--cache", "inf"],
     ["--save-every", "0"], ["--validate-every", "-5"], ["--set", "adversarial_weight=NaN"], ["--set", "tv_weight=-1"],
     ["--set", "grid_weight=Infinity"], ["--set", "batch=100000000"], ["--set", "tanh=1"], ["--set", "seed=true"],
     ["--preset", "paper", "--set", "preset=large"], ["--set", "eps=0"], ["--set", "ema"]],
)  # fmt: skip
def test_absurd_settings_are_refused_before_anything_starts(
    words: list[str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A NaN among the weights is found by the first step, after an hour of reading photographs."""
    for path in photos.iterdir():
        path.write_bytes(b"")  # whoever reads them complains about these
    assert train(photos, tmp_path / "run", *words) == 2
    told = capsys.readouterr().err
    assert "ConfigError" in told
    assert (words[-1].partition("=")[0] if "--set" in words else words[0].strip("-")) in told
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_figures")
def test_the_first_command_again_goes_on(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More steps for a training that does well are asked for by the command that began it."""
    assert train(photos, tmp_path / "run", "--preset", "tiny") == 0
    assert train(photos, tmp_path / "run", "--preset", "tiny", "--resume", "--steps", 6) == 0
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    capsys.readouterr()
    assert train(photos, tmp_path / "run", "--preset", "small", "--resume", "--steps", 7) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "preset = 'tiny'" in told
    assert "preset = 'small'" in told
    assert train(photos, tmp_path / "run", "--resume", "--seed", 4) == 2
    assert "seed = 4" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_runs_are_compared(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which setting made the difference is asked after every second training."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert train(photos, one) == 0
    assert train(photos, two, "--seed", 5, "--set", "srresnet_lr=0.01") == 0
    capsys.readouterr()
    assert main(["runs", str(one), str(two), "--out", str(tmp_path / "runs.png")]) == 0
    told = capsys.readouterr().out.splitlines()
    best = [max(record["psnr"] for record in records(run) if "psnr" in record) for run in (one, two)]
    assert "srresnet_lr = 0.001, seed = 0" in told[1]
    assert "srresnet_lr = 0.01, seed = 5" in told[2]
    assert f"{best[0]:.2f} dB" in told[1]
    assert f"{best[1]:.2f} dB" in told[2]
    assert read_image(tmp_path / "runs.png").std() > 10


def test_runs_without_a_log_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder too few in the command is common, a traceback no answer."""
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    (tmp_path / "srresnet.jsonl").touch()
    assert main(["runs", str(tmp_path)]) == 2
    assert "train first" in capsys.readouterr().err


HEAD_START = '{"step": 1, "stage": "srresnet", "d_loss": 1.3, "d_fake": 0.4, "seconds": 1.0}\n'
STEP = '{"step": 2, "stage": "srresnet", "content": 0.5, "seconds": 3.0}\n'


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (HEAD_START, [" 1 ", " 0.000 ", " - "]),
        (HEAD_START + STEP, [" 2 ", " 2.000 ", " 0.5 "]),
        (STEP + HEAD_START, [" 0.000 "]),
        (HEAD_START + STEP + STEP, [" 2 ", " 2.000 ", " 0.5 "]),  # after a resume, a step may be there twice
    ],
)
def test_logs_that_begin_in_their_own_way(
    log: str, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head start has no content; a step that is logged twice takes no time."""
    write_config(tmp_path / "srresnet.toml", Config())
    (tmp_path / "srresnet.jsonl").write_text(log)
    assert main(["runs", str(tmp_path), "--out", str(tmp_path / "runs.png")]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    ("name", "text"),
    [("srresnet.toml", "batch = "), ("srresnet.toml", None), ("srresnet.jsonl", '{"stage": "srresnet"}'),
     ("srresnet.jsonl", '{"step": "1", "seconds": 2}\n' * 2)],
)  # fmt: skip
def test_files_of_a_run_that_were_edited(
    name: str, text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip of the hand in one of many folders: the file is named."""
    write_config(tmp_path / "srresnet.toml", Config())
    (tmp_path / "srresnet.jsonl").write_text(STEP)
    (tmp_path / name).write_text(text) if text else (tmp_path / name).unlink()
    assert main(["runs", str(tmp_path), "--out", str(tmp_path / "runs.png")]) == 2
    error = capsys.readouterr().err
    assert "ConfigError" in error
    assert name in "".join(error.split())
    assert not (tmp_path / "runs.png").exists()


@pytest.mark.slow
@needs_shared("data/photos", "weights/vgg19_caffe_conv.npz")
@pytest.mark.parametrize("content", ["mse", "vgg22", "vgg54"])
def test_twenty_steps_of_each_variant_on_real_photographs(content: str, tmp_path: Path) -> None:
    """A term that is cut off from the generator by accident is seen on real weights, or not at all."""
    vgg = SHARED / "weights" / "vgg19_caffe_conv.npz"
    words = ["train", "--stage", "srgan", "--from-scratch", "--content", content, "--steps", 20]
    words += ["--set", "d_head_start=0", *(["--vgg", vgg] if content != "mse" else [])]
    words += ["--data", SHARED / "data" / "photos", "--out", tmp_path, "--preset", "tiny"]
    assert main([str(word) for word in words]) == 0
    log = [json.loads(line) for line in (tmp_path / "srgan.jsonl").read_text().splitlines()]
    assert len(log) == 20
    for name in ("grad_content", "grad_adversarial"):
        smallest = min(record[name] for record in log)
        print(f"\n{content}: {name} at least {smallest:.3g}", end="")
        assert smallest > 0
