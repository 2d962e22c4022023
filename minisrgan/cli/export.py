"""`minisrgan export`: a generator for other programs: ONNX, PyTorch, a web page.

Write a generator as ONNX, which upscaling programs and onnxruntime read; as .safetensors in PyTorch's layout, which
docs/export.md loads and `minisrgan weights convert` reads back; or as a folder with a web page that upscales in the
browser.

MODEL              a file of a generator, or srresnet or srgan: the models in the box
-o, --out FILE     FILE.onnx, FILE.safetensors for PyTorch, or with --format web a folder
--format           by default what the name of the file says
--overwrite        replace FILE, or the files of the web page, if they exist
--half             store the numbers in 16 bits
--about KEY=VALUE  a note to store in the file, such as licence=MIT; may be repeated
--fold             fold batch norms into the convolutions: the same result with less to compute, but it cannot be
                   trained on, or brought back

example: minisrgan export srgan -o srgan.onnx --fold
"""

import argparse
import math
from pathlib import Path

from minisrgan.cli.common import say
from minisrgan.cli.weights import about_target, add_target_options
from minisrgan.errors import WeightsError
from minisrgan.images import write_whole
from minisrgan.inference.fold import folded
from minisrgan.models import Generator
from minisrgan.show.site import runtime_command, site_page
from minisrgan.weights.box import find
from minisrgan.weights.foreign.onnx_file import save_onnx
from minisrgan.weights.models import load_kind, save_model

SUFFIXES = {"onnx": ".onnx", "torch": ".safetensors", "web": ""}  # a page is a folder, of any name


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL")
    add("-o", "--out", type=Path, required=True)
    add("--format", choices=tuple(SUFFIXES))
    add_target_options(add)
    add("--fold", action="store_true")


def run(args: argparse.Namespace) -> None:
    """Load, fold, write."""
    source, out = find(args.model), args.out
    kind = args.format or {end: name for name, end in SUFFIXES.items() if end}.get(out.suffix.lower())
    fits = kind and out.suffix.lower().endswith(SUFFIXES[kind])
    if not fits or (out.exists() and source.exists() and out.samefile(source)):
        expected = "a new file whose name ends with .onnx, or .safetensors for PyTorch; or a folder and --format web"
        if args.format and not fits:
            expected = f"a name that ends with {SUFFIXES[args.format]}, as --format {args.format} was given"
        raise WeightsError("export", expected=expected, got=str(out), fix="try minisrgan export srgan -o srgan.onnx")
    page, model = (out / "index.html", out / "model.onnx") if kind == "web" else (out, out)
    told = about_target(args, page, model)
    generator, about = load_kind(source, Generator)
    about = {"name": source.stem} | about | told
    if args.fold:
        generator = folded(generator)
    if kind == "torch":
        save_model(out, generator, half=args.half, layout="OIHW", **about)
    else:
        save_onnx(model, generator, half=args.half, clip=kind == "onnx", **about)
    say(f"{source} -> {out}: {generator.describe()}")
    if kind == "web":
        words = ", ".join([generator.describe(), *(f"licence {about[key]}" for key in about.keys() & {"licence"})])
        write_whole(page, site_page(about["name"], generator.scale, math.ceil(generator.receptive_radius), words))
        print(f"now onnxruntime-web:\n{runtime_command(str(out))}\npython -m http.server -d {out}")
