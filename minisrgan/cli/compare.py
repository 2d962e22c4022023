"""`minisrgan compare`: compare methods on one photograph: a figure, or a page with a before/after slider.

Enlarge a photograph with nearest, bicubic and each model. Show the results and a detail as a figure, or as a page that
works offline, with a slider between any two of them. In the page's address, #split=25&left=bicubic&right=original sets
the slider and the two sides.

PHOTO              an image file
--lr               PHOTO is the small image, to be enlarged (the default)
--from-original    PHOTO is the large image: shrink it with bicubic, enlarge the result, and show PHOTO beside it with
                   PSNR and SSIM
--model FILE       a file of a generator, or srresnet or srgan: the models in the box; may be repeated
--scale            without models (default: 4); models know theirs
--device           of the models: cpu, cuda, cuda:N or auto, a GPU if there is one (default: cpu)
--out FILE         page.html, or figure.png, .svg or .pdf
--overwrite        replace FILE if it exists
--detail X,Y,W,H   the detail to enlarge: left, top, width, height in pixels of PHOTO (default: the square with most
                   fine structure, by the spread of luminance in blocks of 4 x 4)

example: minisrgan compare portrait.jpg --from-original --model srgan.safetensors --out page.html
"""

import argparse
import re

from minisrgan.backend import choose_device
from minisrgan.cli.common import require_new, say, to_path
from minisrgan.cli.evaluate import add_method_options
from minisrgan.errors import ConfigError
from minisrgan.images import imresize, read_image, write_whole
from minisrgan.inference.evaluate import Score, judge, load_methods, read_original
from minisrgan.show.comparison import make_strip, strips_figure
from minisrgan.show.slider import slider_page
from minisrgan.show.style import require_figure, save_figure


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add, source = parser.add_argument, parser.add_mutually_exclusive_group()
    add("photo", type=to_path, metavar="PHOTO")
    source.add_argument("--lr", action="store_true")
    source.add_argument("--from-original", action="store_true")
    add_method_options(add)
    add("--out", type=to_path, required=True)
    add("--overwrite", action="store_true")
    add("--detail")


def run(args: argparse.Namespace) -> None:
    """Enlarge, measure if there is an original, draw."""
    page = args.out.suffix.lower() in (".html", ".htm")
    if not page:
        require_figure(args.out, ".html")
    require_new(args.out, args.overwrite, args.photo, *args.model)
    scale, methods = load_methods(args.model, args.scale, device=choose_device(args.device))
    photo = read_original(args.photo, scale) if args.from_original else read_image(args.photo)
    zoom = _zoom(args.detail, photo.shape, 1 if args.from_original else scale)
    scores: dict[str, Score] = {}
    if args.from_original:
        pictures, scores = judge(imresize(photo, 1 / scale), photo, methods, scale)
        pictures["original"] = photo
    else:
        pictures = {name: enlarge(photo) for name, enlarge in methods.items()}
    note = f"PSNR / SSIM (daala) of the luminance, {scale} px cropped." if scores else f"Enlarged {scale} times."
    strip = make_strip(args.photo.name, pictures, scores, zoom)
    if page:
        right = list(methods if args.model else pictures)[-1]
        html = slider_page(pictures, strip, "nearest" if right == "bicubic" else "bicubic", right, note)
        write_whole(args.out, html)
    else:
        save_figure(strips_figure([strip], note), args.out)
    top, left, height, width = strip.zoom
    for name, line in strip.captions.items() if scores else ():
        say(f"{name}: {line}")
    say(f"{args.out}: detail {width} x {height} at {left}, {top} of the enlarged picture")


def _zoom(detail: str | None, shape: tuple[int, ...], factor: int) -> tuple[int, int, int, int] | None:
    """Return the requested detail in pixels of the enlarged image, as (top, left, height, width)."""
    if detail is None:
        return None
    numbers = [int(part) for part in detail.split(",")] if re.fullmatch(r"\d+(,\d+){3}", detail) else [0] * 4
    left, top, width, height = numbers
    if min(width, height) < 1 or left + width > shape[1] or top + height > shape[0]:
        told = f"left,top,width,height in pixels of the photo, inside {shape[1]} x {shape[0]}"
        raise ConfigError("--detail", expected=told, got=detail, fix="0,0,32,32 is the upper left corner")
    return top * factor, left * factor, height * factor, width * factor
