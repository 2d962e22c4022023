"""`minisrgan evaluate`: measure models on a folder of photographs: PSNR and SSIM, beside the paper's, and texture.

Enlarge photographs with nearest, bicubic and each model; print PSNR and SSIM against the originals by the protocol of
the SRGAN paper: cropped to a multiple of the scale, as many border pixels as the scale left out, luminance Y of BT.601.
SSIM is given in two versions: Daala's, as in the paper, and Wang's. s/MP is seconds per megapixel of output. Set5 and
Set14 at x4 are recognised by their pixels, and the paper's numbers are printed below their average. A second table
measures texture. Relative to the original (1 is right): detail is the RMS of the Laplacian, octave the energy from 0.25
to 0.5 cycles per pixel. Relative to the neighbourhood in the spectrum (1 is no grid): grid and grid2 are the line of a
grid of 4 and of 2 pixels, local and local2 the same in smooth areas. shift is the largest mean difference of a channel,
in levels of 255. VGG is the distance of the features 5,4. NIQE is how unnatural it looks; less is better. Formulas:
docs/measures.md. A photo that cannot be measured is reported and left out of the averages; the exit status is then 3.

HR_FOLDER          originals, in folders below it too; or the folder of a data set with HR and LRx4 inside, whose
                   low-resolution files are then used
--lr LR_FOLDER     low-resolution files of the same names, or with x4 or _x4 after them (default: made by bicubic)
--border           make low-resolution photographs even where files are ready; beyond the border bicubic repeats the
                   last pixel (replicate, older MATLAB, the default) or mirrors, when shrinking and enlarging
                   (symmetric, newer MATLAB)
--model FILE       a file of a generator, or srresnet or srgan: the models in the box; may be repeated
--scale            without models (default: 4); models know theirs
--device           of the models: cpu, cuda, cuda:N or auto, a GPU if there is one (default: cpu)
--grey             take a grey photo as luminance as it is, as the paper did (y, default), or turn it into RGB first,
                   which reads 0.095 dB higher on Set14 (rgb)
--vgg FILE         weights of VGG19 for the distance of features (default: those that `minisrgan weights fetch vgg19`
                   got, if any)
--niqe FILE        parameters of NIQE, niqe_pris_params.npz (default: those that `minisrgan weights fetch niqe` got, if
                   any)
--set              whose numbers of the paper to print, where it is not recognised
--json FILE        write all numbers; an infinite PSNR (equal pictures) is "inf"
--save-images DIR  write each enlargement as DIR/METHOD/PHOTO.png; DIR is outside the folders that are measured
--figure FILE      draw a .png, .svg or .pdf as in the paper: each photo with a box, and what is in the box under each
                   method; the first 16 photos
--overwrite        replace FILE or a picture in DIR if it exists

example: minisrgan evaluate Set5 --model runs/first/srgan.safetensors --figure strips.png
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minisrgan.backend import choose_device
from minisrgan.cli.common import EXIT_SOME_FAILED, OF_ONE_FILE, progress, report, require_new, say, to_path
from minisrgan.errors import DataError, FileError, ShapeError
from minisrgan.images import describe_skipped, write_image, write_whole
from minisrgan.images.niqe import SMALLEST as SMALLEST_NIQE
from minisrgan.images.resize import Border
from minisrgan.images.texture import SMALLEST as SMALLEST_GRID
from minisrgan.inference.evaluate import Method, Pair, Score, average, find_pairs, judge, load_methods, read_pair
from minisrgan.inference.known_sets import PAPER, photo_digest, recognise
from minisrgan.inference.measures import LARGEST_VGG, Texture
from minisrgan.show.comparison import Strip, make_strip, strips_figure
from minisrgan.show.scores import TEXTURE, ScoreTable
from minisrgan.show.style import require_figure, save_figure

STRIPS = 16  # photographs in a figure (--figure, above): enough for all of Set14, and a page can still be opened


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add, made = parser.add_argument, parser.add_mutually_exclusive_group()
    add("folder", type=to_path, metavar="HR_FOLDER")
    made.add_argument("--lr", type=to_path)
    made.add_argument("--border", choices=("replicate", "symmetric"))
    add_method_options(add)
    add("--grey", choices=("y", "rgb"), default="y")
    add("--set", choices=tuple(PAPER))
    for name in ("--vgg", "--niqe", "--json", "--save-images", "--figure"):
        add(name, type=to_path)
    add("--overwrite", action="store_true")


def add_method_options(add: Any) -> None:
    """Add the options for `load_methods`, which `minisrgan compare` has too."""
    add("--model", type=to_path, action="append", default=[])
    add("--scale", type=int, choices=(2, 3, 4, 8))
    add("--device", default="cpu")


@dataclass
class _Measured:
    """The scores (name of a photo -> method -> score), the strips of the figure, and the photos that failed."""

    scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    grey: int = 0


def run(args: argparse.Namespace) -> int:
    """Print the table while it grows, then averages and texture; report what could not be measured."""
    if args.figure:
        require_figure(args.figure)
    for file in (args.figure, args.json):
        require_new(file, args.overwrite, args.vgg, args.niqe, *args.model)
    border: Border = args.border or "replicate"
    device = choose_device(args.device)
    scale, methods = load_methods(args.model, args.scale, border, device)
    _require_outside(args, scale)
    texture = Texture(args.vgg, args.niqe, device)
    skipped, lacking = dict[Path, str](), dict[str, DataError]()
    pairs = find_pairs(args.folder, scale, args.lr, own=args.border is not None, skipped=skipped, lacking=lacking)
    for line in describe_skipped(skipped, args.verbose):
        print(line, file=sys.stderr)
    require_new(args.json, args.overwrite, *(file for pair in pairs for file in (pair.high, pair.low)))
    if not pairs:
        raise next(iter(lacking.values()))
    names = [*(pair.name for pair in pairs), "average"]
    table = ScoreTable(names, [*methods, "SRResNet (paper)"])
    print(table.header())
    found = _Measured(failed={name: report(error, args, name) for name, error in lacking.items()})
    with progress("evaluate", args.quiet) as show:
        for number, pair in enumerate(pairs, 1):
            try:
                scores = _measure(args, pair, methods, scale, texture, found)
            except (*OF_ONE_FILE, ShapeError) as error:
                found.failed[pair.name] = report(error, args, pair.name)
            else:
                tqdm.write(table.block(pair.name, scores))  # above the bar
                sys.stdout.flush()
            show(number, len(pairs))
    if not found.scores:
        print(f"none of {len(found.failed)} photos could be measured")
        return EXIT_SOME_FAILED

    images = found.scores
    averages = {method: average([scores[method] for scores in images.values()]) for method in (*methods, "original")}
    recognised = recognise(found.digests)
    name = args.set or recognised
    paper = PAPER[name] if name and scale == 4 else {}
    scores = {method: averages[method] for method in methods}
    print(table.block("average", scores | {f"{method} (paper)": score for method, score in paper.items()}))
    table = ScoreTable(names, averages, TEXTURE)
    print("", table.header(), *(table.block(*row) for row in (images | {"average": averages}).items()), sep="\n")

    lr = f"files in {args.lr or args.folder / f'LRx{scale}'}" if pairs[0].low else f"made by bicubic, border {border}"
    print(f"\n{len(images)} photos, x{scale}, {scale} border pixels cropped. Low resolution: {lr}.")
    if found.grey:
        print(f"{found.grey} grey, taken as luminance as they are (--grey rgb turns them into RGB first).")
    if name:
        known = "recognised by its pixels" if name == recognised else "as told by --set, not recognised"
        print(f"(paper): Ledig et al. 2017, table 2, {name} {known}; for x4 only.")
    for line in _missing(texture, [scores["original"] for scores in images.values()]):
        print(line)
    if found.failed:
        say(f"{len(found.failed)} failed, and are in no average: {', '.join(found.failed)}")
    if args.json:
        settings = {"set": name, "recognised": recognised, "scale": scale, "crop": scale, "grey": args.grey}
        numbers = settings | {"low_resolution": lr, "average": averages, "paper": paper, "images": images}
        numbers |= {"failed": found.failed, "skipped": {str(path): why for path, why in skipped.items()}}
        write_whole(args.json, json.dumps(numbers, indent=1, default=_plain))
    if args.figure:
        note = f"PSNR / SSIM (daala) of the luminance, {scale} px cropped"
        save_figure(strips_figure(found.strips, note), args.figure)
    return EXIT_SOME_FAILED if found.failed else 0


def _require_outside(args: argparse.Namespace, scale: int) -> None:
    """Refuse images in the folders that are measured: the next time they would be measured too."""
    hr = args.folder / "HR"
    measured = [hr if hr.is_dir() else args.folder, args.folder / f"LRx{scale}", *([args.lr] if args.lr else [])]
    figure = args.figure if args.figure and args.figure.suffix.lower() == ".png" else None
    for target in filter(None, (args.save_images, figure)):
        for folder in measured:
            if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
                fix = "give another: the next time, these images would be measured as photographs"
                raise FileError("output", expected=f"a place outside {folder}", got=str(target), fix=fix)


def _measure(
    args: argparse.Namespace, pair: Pair, methods: Mapping[str, Method], scale: int, texture: Texture, found: _Measured
) -> dict[str, Score]:
    """Measure a photograph, write its pictures, add its strip to the figure; return the scores of the methods."""
    files = {method: args.save_images / method / f"{pair.name}.png" for method in methods if args.save_images}
    for file in files.values():
        require_new(file, args.overwrite)
    low, original = read_pair(pair, scale, args.border or "replicate", args.grey)
    pictures, all_scores = judge(low, original, methods, scale, texture)
    scores = {method: all_scores[method] for method in methods}
    for method, file in files.items():
        write_image(file, pictures[method])
    if args.figure and len(found.strips) < STRIPS:
        found.strips.append(make_strip(pair.name, pictures | {"original": original}, scores))
    found.scores[pair.name] = all_scores
    found.digests.append(photo_digest(original))
    found.grey += original.ndim == 2
    return scores


def _missing(texture: Texture, originals: Sequence[Score]) -> Iterator[str]:
    """Yield, for each dash in the table of texture, its reason, and what to do."""
    if not texture.content:
        yield "VGG: no weights at hand; `minisrgan weights fetch vgg19` gets them, or --vgg FILE names them."
    if not texture.natural:
        yield "NIQE: no parameters at hand; `minisrgan weights fetch niqe` gets them, or --niqe FILE names them."
    reasons = {"detail": "flat", "grid_4": f"flat or below {SMALLEST_GRID} pixels a side"}
    if texture.content:
        reasons["vgg_54"] = f"above {LARGEST_VGG / 1e6:.0f} megapixels; --vgg FILE measures them all the same"
    if texture.natural:
        reasons["niqe"] = f"flat or below {SMALLEST_NIQE} pixels a side"
    for measure, reason in reasons.items():
        left_out = sum(getattr(score, measure) is None for score in originals)
        if left_out:
            photos = f"{left_out} photo{'s' * (left_out > 1)}"
            yield f"{measure.rstrip('_54')}: without {photos}, {reason}."


def _plain(score: Score) -> dict[str, float | str | None]:
    """Return a score with values that JSON can store: infinity and NaN, which JSON lacks, become words."""
    return {key: value if value is None or math.isfinite(value) else str(value) for key, value in asdict(score).items()}
