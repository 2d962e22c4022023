"""`minisrgan upscale`: enlarge photographs with a trained generator."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minisrgan.backend import choose_device
from minisrgan.errors import ImageError
from minisrgan.images.photo import Photo, read_photo, write_photo
from minisrgan.inference import blend, find_jobs, upscale_photo
from minisrgan.weights import load_generator

EXIT_SOME_FAILED = 3
_BAR = "{desc} {percentage:3.0f}% |{bar:30}| {remaining} left"


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "upscale",
        help="enlarge photographs with a trained generator",
        description="Enlarge photographs with a generator that `minisrgan train` or `minisrgan demo` has saved. "
        "A bad file is reported and skipped; the exit status is then 3. Ctrl-C leaves whole files only; the same "
        "command then goes on where it was stopped.",
        epilog="example: minisrgan upscale holiday/ portrait.jpg --model runs/demo/srgan.safetensors --out large",
    )
    add = parser.add_argument
    # fmt: off
    add("images", nargs="+", metavar="IMAGE", help="files, folders with images in them, or patterns such as '*.jpg'")
    add("--model", type=Path, required=True, metavar="FILE", help="a file of a generator, or srresnet or srgan: the "
        "models in the box")
    add("--out", type=Path, default=Path("upscaled"), metavar="DIR", help="folder for the results; a folder's tree is "
        "kept (default: upscaled)")
    add("--overwrite", action="store_true", help="replace results that exist; without it they are kept")
    add("--scale", type=float, metavar="X", help="how many times larger, 1 or more (default: the generator's scale). "
        "Below that its result is shrunk; above, the generator runs repeatedly and then its result is shrunk")
    add("--format", choices=("png", "jpg", "webp", "tif", "bmp", "same"), default="png", help="of the results; same: "
        "that of each photograph (default: png)")
    add("--quality", type=_quality, default=95, metavar="N", help="of jpg and webp, 1 to 100 (default: 95)")
    add("--subsampling", choices=("auto", "444", "422", "420"), default="auto", help="of the colours in a jpg: 444 "
        "keeps those of each pixel, 422 and 420 of every second or fourth (default: auto, 444 from quality 95 on)")
    about = parser.add_mutually_exclusive_group()
    about.add_argument("--keep-metadata", action="store_true", help="write EXIF, XMP, text and comments, too; without "
                       "it, the colour profile, gamma and resolution are kept")
    about.add_argument("--strip-metadata", action="store_true", help="write none of that, and no profile: then colours "
                       "look different where the photograph's are not sRGB")
    add("--max-megapixels", type=_positive, default=300, metavar="N", help="refuse larger photographs, all pages or "
        "frames of a file together: they may be made to exhaust the memory (default: 300)")
    add("--blend", type=_file_and_ratio, metavar="FILE:RATIO", help="mix in the weights of another generator: "
        "--model srgan.safetensors --blend srresnet.safetensors:0.3 takes 0.7 srgan + 0.3 srresnet, which is calmer")
    add("--self-ensemble", action="store_true", help="mean over eight turns and mirror images: better, 8 times slower")
    add("--memory", type=_bytes, default="1GB", metavar="SIZE", help="what may be used, such as 800MB or 1.5GB: larger "
        "images are computed in tiles, which gives the same picture (default: 1GB)")
    add("--tile", type=int, metavar="N", help="compute in tiles of N x N input pixels, whatever the memory")
    add("--overlap", type=int, metavar="N", help="input pixels computed around a tile (default: as many as it takes "
        "for the same picture); fewer are quicker and leave seams")
    add("--device", default="cpu", help="cpu, cuda, cuda:N, or auto: a GPU if there is one (default: cpu)")
    # fmt: on
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Upscale every file, and say at the end how many were done, kept and failed."""
    generator = load_generator(args.model)
    if args.blend:
        other, ratio = args.blend
        generator.load_state_dict(blend(generator.state_dict(), load_generator(other).state_dict(), ratio))
    generator.to(choose_device(args.device))
    ending = f"_x{args.scale or generator.scale:g}"
    jobs, problems = find_jobs(args.images, args.out, ending, "same" if args.format == "same" else f".{args.format}")
    for problem in problems:
        print(problem.layout(width=100), file=sys.stderr)
    looks = {name: getattr(args, name) for name in ("quality", "subsampling", "keep_metadata", "strip_metadata")}
    options = {"tile": args.tile, "overlap": args.overlap, "memory": args.memory, "ensemble": args.self_ensemble}
    done, kept, failed = 0, 0, len(problems)
    try:
        for number, (source, target) in enumerate(jobs.items(), 1):
            if target.exists() and not args.overwrite:
                print(f"{target} exists, kept (--overwrite replaces it)")
                kept += 1
                continue
            try:
                start, photo = time.perf_counter(), read_photo(source, max_pixels=args.max_megapixels * 1e6)
                name = f"{number}/{len(jobs)} {source.name}"
                with tqdm(desc=name, bar_format=_BAR, leave=False, disable=None) as bar:  # None: not in a log file

                    def show(pixels: int, total: int, bar: Any = bar) -> None:
                        bar.total = total
                        bar.update(pixels - bar.n)

                    large = upscale_photo(generator, photo, args.scale, progress=show, **options)
                write_photo(target, large, **looks)
            except ImageError as error:
                error.inside(str(source))
                print(error.layout(width=100), file=sys.stderr)
                failed += 1
                continue
            print(f"{source} {_size(photo)} -> {target} {_size(large)}, {time.perf_counter() - start:.1f} s")
            done += 1
    finally:  # after Ctrl-C, too
        left = len(jobs) + len(problems) - done - kept - failed
        print(f"{done} upscaled, {kept} kept, {failed} failed" + (f", {left} not done" if left else ""))
    return EXIT_SOME_FAILED if failed else 0


def _size(photo: Photo) -> str:
    return f"{photo.pixels.shape[1]} x {photo.pixels.shape[0]}"


def _bytes(text: str) -> int:
    """Read 800MB or 1.5 GB."""
    match = re.fullmatch(r"(\d+\.?\d*)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"a size such as 800MB or 1.5GB, not {text!r}")
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))


def _quality(text: str) -> int:
    """Read 1 to 100: `write_photo` would refuse another only once the first photograph is computed."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"a quality from 1 to 100, not {text!r}")
    return int(text)


def _positive(text: str) -> float:
    """Read a number above 0, infinity too."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return number


def _file_and_ratio(text: str) -> tuple[Path, float]:
    """Read srresnet.safetensors:0.3."""
    match = re.fullmatch(r"(.+):(\d*\.?\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"a file and a ratio such as srresnet.safetensors:0.3, not {text!r}")
    return Path(match[1]), float(match[2])
