"""`minisrgan upscale`: enlarge photographs with a trained generator."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from minisrgan.backend import Array
from minisrgan.errors import ImageError
from minisrgan.images import list_images, read_image, write_image
from minisrgan.inference import upscale
from minisrgan.weights import load_generator

EXIT_SOME_FAILED = 3


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "upscale",
        help="enlarge photographs with a trained generator",
        description="Enlarge photographs with a generator that `minisrgan train` or `minisrgan demo` has saved. "
        "A bad file is reported and skipped; the exit status is then 3.",
        epilog="example: minisrgan upscale holiday/ portrait.jpg --model runs/demo/srgan.safetensors --out large",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="files, or folders with images in them")
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="a .safetensors file of a generator")
    parser.add_argument("--out", type=Path, default=Path("upscaled"), metavar="DIR", help="folder for the results, "
                        "written as PNG; a folder's tree is kept (default: upscaled)")  # fmt: skip
    parser.add_argument("--tile", type=int, metavar="N", help="compute in tiles of N input pixels, which needs less "
                        "memory and gives the same picture (default: the whole image where it fits)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist; without it they are kept")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Upscale every file, and say at the end how many were done, kept and failed."""
    generator = load_generator(args.model).to(args.device)
    done = kept = failed = 0
    taken: set[Path] = set()
    for given in args.images:
        try:
            sources = list_images(given) if given.is_dir() else [given]
        except ImageError as error:
            print(error.layout(width=100), file=sys.stderr)
            failed += 1
            continue
        for source in sources:
            # A folder's tree is kept below the output folder; a file goes straight into it.
            place = source.relative_to(given).parent if given.is_dir() else Path()
            target = args.out / place / f"{source.stem}_x{generator.scale}.png"
            if target in taken:  # a.jpg beside a.png: neither may replace the other
                target = target.with_name(f"{source.name}_x{generator.scale}.png")
            taken.add(target)
            if target.exists() and not args.overwrite:
                print(f"{target} exists, kept (--overwrite replaces it)")
                kept += 1
                continue
            try:
                start = time.perf_counter()
                image = read_image(source)
                large = upscale(generator, image, args.tile)
                write_image(target, large)
            except ImageError as error:
                print(error.layout(width=100), file=sys.stderr)
                failed += 1
                continue
            seconds = time.perf_counter() - start
            print(f"{source} {_size(image)} -> {target} {_size(large)}, {seconds:.1f} s")
            done += 1
    print(f"{done} upscaled, {kept} kept, {failed} failed")
    return EXIT_SOME_FAILED if failed else 0


def _size(image: Array) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
