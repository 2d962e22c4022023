"""`minisrgan demo`: upscale a photograph with the bundled models, then train a tiny SRGAN (about 4 minutes).

Upscale a photograph with the bundled models and write box.png. Then train a tiny SRResNet, and a tiny SRGAN starting
from it, on photographs that come with scikit-image. Upscale the photograph that was held out, and write comparison.png
and curves.png.

--out DIR               folder for pictures and models (default: %(default)s)
--steps SRRESNET SRGAN  numbers of steps (default: %(default)s)
--seed N                seed of weights and crops (default: 0)
"""

import argparse
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array
from minisrgan.cli.common import require_folder, to_path
from minisrgan.data import sample_photos
from minisrgan.errors import FileError
from minisrgan.images import detail, imresize, nearest, psnr, ssim
from minisrgan.inference import upscale
from minisrgan.inference.evaluate import Score, whole_pixels
from minisrgan.show import curves_figure, make_strip, save_figure, strips_figure
from minisrgan.training import PRESETS, Options, Run
from minisrgan.training.log import read_log
from minisrgan.weights import load_generator

HELD_OUT = "chelsea"  # not used for training; a cat's fur is texture that the small photo does not contain
_MARK = ".demo"  # a file that marks a folder of this command: only such a folder is deleted
DETAIL = (60, 80, 160, 160)  # top, left, height, width of the part shown enlarged


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    tiny = PRESETS["tiny"]
    parser.add_argument("--out", type=to_path, default=Path("runs/demo"))
    parser.add_argument("--steps", type=int, nargs=2, default=[tiny.srresnet_steps, tiny.srgan_steps])
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Train, upscale, measure, draw."""
    start, folder = time.perf_counter(), args.out / "training"
    if folder.exists() and not (folder / _MARK).exists():
        expected, got = "no folder of that name, or that of an earlier demo", f"{folder}, which is something else"
        raise FileError("demo", expected=expected, got=got, fix="another --out, or remove it: a demo starts anew")
    config = replace(PRESETS["tiny"], seed=args.seed, srresnet_steps=args.steps[0], srgan_steps=args.steps[1])
    photos = sample_photos()
    shutil.rmtree(folder, ignore_errors=True)  # only now, when nothing else can be refused
    require_folder(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    original = whole_pixels(photos.pop(HELD_OUT), config.scale)
    low = imresize(original, 1 / config.scale)
    pictures = {"nearest": nearest(low, config.scale), "bicubic": imresize(low, config.scale)}
    ready = {f"{name} in the box": upscale(load_generator(name.lower()), low) for name in ("SRResNet", "SRGAN")}
    _draw(args.out / "box.png", pictures | ready | {"original": original})
    print(f"Picture: {args.out / 'box.png'}; now the same in small, from the first step on.\n")
    print(f"Training on {', '.join(photos)}; {HELD_OUT} is held out.")

    log, generator = list[dict[str, Any]](), None
    for name in ("SRResNet", "SRGAN"):
        training = Run(folder, name.lower(), Options(photos, quiet=args.quiet))
        training.start(config, generator)
        training.train()
        generator = load_generator(folder / f"{name.lower()}.safetensors")
        pictures[name] = upscale(generator, low)
        log += read_log(training.log_file)
    pictures["original"] = original

    _draw(args.out / "comparison.png", pictures)
    panels = {"MSE of pixels in [-1, 1]": ["content"], "loss of D": ["d_loss"], "D's answer": ["d_real", "d_fake"]}
    save_figure(curves_figure(log, panels, log_scale=["MSE of pixels in [-1, 1]"]), args.out / "curves.png")
    _report(pictures, [record for record in log if record["stage"] == "srgan"][-20:])
    print(f"Pictures: {args.out / 'comparison.png'} and {args.out / 'curves.png'}")
    print(f"Upscale your own: minisrgan upscale PHOTO --model {folder / 'srgan.safetensors'}")
    print(f"Took {time.perf_counter() - start:.0f} s.")


def _draw(path: Path, pictures: Mapping[str, Array]) -> None:
    """Draw images beside their original, which is the last one; print the PSNR and SSIM of each."""
    original = pictures["original"]
    scores = {name: Score(psnr(p, original), ssim(p, original)) for name, p in pictures.items() if p is not original}
    print(f"\n{HELD_OUT}, never trained on; luminance, 4 pixels cropped from each border:")
    for name, score in scores.items():
        print(f"  {name:<19} PSNR {score.psnr:5.2f} dB   SSIM {score.ssim_daala:.4f}")
    note = "PSNR / SSIM (daala) of the luminance, 4 px cropped"
    save_figure(strips_figure([make_strip(HELD_OUT, pictures, scores, DETAIL)], note), path)


def _report(pictures: Mapping[str, Array], last: list[dict[str, Any]]) -> None:
    """Print how much detail stage srgan has added, and the final probabilities of the discriminator."""
    srresnet, srgan = (detail(pictures[name], pictures["original"]) for name in ("SRResNet", "SRGAN"))
    print(f"Detail (RMS of the Laplacian, 1 is the original's): SRResNet {srresnet:.2f}, SRGAN {srgan:.2f}.")
    real, fake = (float(np.mean([record[name] for record in last])) for name in ("d_real", "d_fake"))
    print(f"At the end D took originals for original with probability {real:.2f}, and SRGAN's images with {fake:.2f}.")
    print("SRGAN invents texture and pays for it in PSNR. So small a network invents little of what fur looks like:")
    print("that takes VGG features, many more weights and steps, as the model in the box had (docs/recipe.md).\n")
