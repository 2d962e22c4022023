"""`minisrgan upscale`: enlarge photographs with a trained generator.

Enlarge photographs with a generator that `minisrgan train` or `minisrgan demo` has saved. A file that fails is
reported, the others are done, and the exit status is 3. After Ctrl-C all files are complete, and the same command
continues: DIR/.minisrgan.jsonl records what each result was made from, and a result of the same photograph, model and
options is kept.

IMAGE               files, folders with images in them, patterns such as '*.jpg', or - for standard input
--model FILE        a file of a generator, or srresnet or srgan: the models in the box
--out DIR           folder for the results; a folder's tree is kept (default: upscaled). - writes one result to standard
                    output; this is the default if IMAGE is -
--name TEMPLATE     names of the results without suffix, such as '{stem}_x{scale}'; also {name}, {suffix}, {folder} and
                    {model}. By default a.png becomes a_x4.png, and a.jpg becomes a.jpg_x4.png, so that no result takes
                    the place of another
--dry-run           list what would be done; write nothing
--overwrite         replace existing files. Without it, a result of the same photograph, model and options is kept; any
                    other file is left alone, and its photograph is counted as failed
--scale X           how many times larger, 1 or more (default: the generator's scale). Below that its result is shrunk;
                    above, the generator runs repeatedly and then its result is shrunk
--format            of the results; same: that of each photograph (default: png)
--quality N         of jpg and webp, 1 to 100 (default: 95)
--subsampling       of the colours in a jpg: 444 keeps those of each pixel, 422 and 420 of every second or fourth
                    (default: auto, 444 from quality 95 on)
--keep-metadata     write EXIF, XMP, text and comments, too; without it, the colour profile, gamma and resolution are
                    kept
--strip-metadata    write none of that, and no profile: then colours look different where the photograph's are not sRGB
--max-megapixels N  refuse larger photographs, all pages or frames of a file together: they may be made to exhaust the
                    memory (default: 300)
--blend FILE:RATIO  mix in the weights of another generator: --model srgan.safetensors --blend srresnet.safetensors:0.3
                    takes 0.7 srgan + 0.3 srresnet, which is calmer
--self-ensemble     mean over eight turns and mirror images: better, 8 times slower
--memory SIZE       what may be used, such as 800MB or 1.5GB: larger images are computed in tiles, which gives the same
                    picture (default: 1GB)
--tile N            compute in tiles of N x N input pixels, whatever the memory
--overlap N         input pixels computed around a tile (default: as many as it takes for the same picture); fewer are
                    quicker and leave seams
--device            cpu, cuda, cuda:N, or auto: a GPU if there is one (default: cpu)

examples: minisrgan upscale holiday/ portrait.jpg --model runs/demo/srgan.safetensors --out large; curl -s URL |
minisrgan upscale - --model srgan > large.png
"""

import argparse
import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO, cast

from minisrgan.backend import choose_device
from minisrgan.cli.common import EXIT_SOME_FAILED, OF_ONE_FILE, Escaped, progress, report, require_folder, say, to_path
from minisrgan.errors import ConfigError, ImageError
from minisrgan.images import describe_skipped
from minisrgan.images.photo import Photo, read_photo, write_bands
from minisrgan.inference import blend, find_jobs, photo_bands, upscale_photo
from minisrgan.inference.folders import RECORD, Record, require_fits
from minisrgan.models import Generator
from minisrgan.weights import load_generator
from minisrgan.weights.box import find
from minisrgan.weights.store import digest

_PIPE = "minisrgan-pipe-"  # start of the name of the temporary folder that holds standard input and output
# Options that do not change the pixels of a result.
_HARMLESS = {"command", "run", "quiet", "verbose", "images", "out", "name", "dry_run", "overwrite", "memory", "device",
             "max_megapixels"}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE")
    add("--model", type=to_path, required=True)
    add("--out", type=to_path)
    add("--name", type=_template)
    add("--dry-run", action="store_true")
    add("--overwrite", action="store_true")
    add("--scale", type=_number(lambda number: 1 <= number < math.inf, "a number from 1 on"))
    add("--format", choices=("png", "jpg", "webp", "tif", "bmp", "same"), default="png")
    add("--quality", type=_number(lambda number: 1 <= number <= 100, "a quality from 1 to 100", int))
    add("--subsampling", choices=("auto", "444", "422", "420"))
    metadata = parser.add_mutually_exclusive_group()
    metadata.add_argument("--keep-metadata", action="store_true")
    metadata.add_argument("--strip-metadata", action="store_true")
    add("--max-megapixels", type=_number(lambda number: number > 0, "a number above 0"), default=300)
    add("--blend", type=_file_and_ratio)
    add("--self-ensemble", action="store_true")
    add("--memory", type=_bytes, default="1GB")
    add("--tile", type=int)
    add("--overlap", type=int)
    add("--device", default="cpu")


def run(args: argparse.Namespace) -> int:
    """Upscale the given files; standard input and output are kept as files in a temporary folder meanwhile."""
    words, out = list(args.images), args.out or Path("-" if args.images == ["-"] else "upscaled")
    for option, formats in (("quality", ("jpg", "webp")), ("subsampling", ("jpg",))):
        if getattr(args, option) is not None and args.format not in (*formats, "same"):
            expected, fix = f"--format {' or '.join(formats)}", "leave it out: it would change nothing"
            raise ConfigError(f"--{option}", expected=expected, got=f"--format {args.format}", fix=fix)
    args.quality, args.subsampling = args.quality or 95, args.subsampling or "auto"
    if "-" not in (*words, str(out)):
        return _upscale(args, words, out)
    with TemporaryDirectory(prefix=_PIPE) as temporary, ExitStack() as stack:
        place = rf"(?:{re.escape(temporary)}|[^\s('\"]*{_PIPE}\w+)[/\\]+std"  # or that of an earlier call, in a record
        names = {rf"{place}in\.\w+": "standard input", rf"{place}out[/\\][^\s,:')]+": "standard output"}
        stack.enter_context(redirect_stderr(cast(TextIO, Escaped(sys.stderr, names))))
        stack.enter_context(redirect_stdout(cast(TextIO, Escaped(sys.stdout, names))))
        if "-" in words:
            source = Path(temporary, f"stdin.{'png' if args.format == 'same' else args.format}")
            source.write_bytes(sys.stdin.buffer.read())
            words = [str(source) if word == "-" else word for word in words]
        if str(out) != "-":
            return _upscale(args, words, out)
        out, stdout = Path(temporary, "stdout"), sys.__stdout__
        count = len(find_jobs(words, out, "")[0])
        if count > 1 or stdout is None or stdout.isatty():
            got = f"{count} photographs" if count > 1 else "a terminal, which cannot show a picture"
            fix = "--out DIR, or a file: minisrgan upscale - --model srgan < small.jpg > large.png"
            raise ConfigError("upscale --out -", expected="one result, for a file or a pipe", got=got, fix=fix)
        with redirect_stdout(sys.stdout if args.quiet else sys.stderr):
            status = _upscale(args, words, out)
        for result in (file for file in out.glob("*") if file.name != RECORD):
            stdout.buffer.write(result.read_bytes())
            stdout.flush()
        return status


def _upscale(args: argparse.Namespace, words: Sequence[str], out: Path) -> int:
    """Upscale every file, and print at the end how many were done, kept, skipped and failed."""
    generator = load_generator(args.model)
    if args.blend:
        other, ratio = args.blend
        generator.load_state_dict(blend(generator.state_dict(), load_generator(other).state_dict(), ratio))
    generator.to(choose_device(args.device))
    scale = args.scale or generator.scale
    record, settings, skipped = Record(out), _settings(args, scale), dict[Path, str]()
    suffix = "same" if args.format == "same" else f".{args.format}"
    name = partial(_fill, args.name, model=args.model.stem, scale=f"{scale:g}") if args.name else None
    jobs, problems = find_jobs(words, out, f"_x{scale:g}", suffix, name, skipped)
    for line in describe_skipped(skipped, args.verbose):
        print(line, file=sys.stderr)
    for problem in problems:
        report(problem, args)
    if jobs and not args.dry_run:
        require_folder(out)
    looks = {name: getattr(args, name) for name in ("quality", "subsampling", "keep_metadata", "strip_metadata")}
    outcomes, originals = dict[Path, str](), {os.path.realpath(source) for source in jobs}
    try:
        for number, (source, target) in enumerate(jobs.items(), 1):
            try:
                outcome, line = "upscaled", f"{source} -> {target}"
                if os.path.realpath(target) in originals:
                    expected, fix = "a result that takes the place of no photograph", "give another --name or --out"
                    raise ImageError("upscale", expected=expected, got=f"{target}, which is one of them", fix=fix)
                if record.holds(target, source, None if args.overwrite else settings):
                    outcome, line = "kept", f"{target} exists, kept (--overwrite replaces it)"
                elif args.dry_run:
                    source.open("rb").close()  # checks, without decoding it, that the file can be read
                else:
                    start, photo = time.perf_counter(), read_photo(source, max_pixels=args.max_megapixels * 1e6)
                    rows, cols = photo.pixels.shape[:2]
                    with progress(f"{number}/{len(jobs)} {source.name}", args.quiet) as show, ExitStack() as stack:
                        note = partial(stack.enter_context, record.making(target, source, settings))
                        bands = _enlarge(args, generator, photo, target, show, note)
                        height, width = write_bands(target, bands, (int(rows * scale), int(cols * scale)), **looks)
                        outcomes[source] = outcome  # at once, so that the sums are right after Ctrl-C
                    took = time.perf_counter() - start
                    line = f"{source} {cols} x {rows} -> {target} {width} x {height}, {took:.1f} s"
                outcomes[source] = outcome
            except OF_ONE_FILE as error:
                outcomes[source] = "failed"
                report(error, args, str(source))
            else:
                say(line)
    finally:  # after Ctrl-C, too
        count = Counter(outcomes.values()) + Counter(failed=len(problems))
        told = [f"{count[outcome]} {outcome}" for outcome in ("upscaled", "kept", "failed")]
        told += [f"{len(skipped)} skipped"] if skipped else []
        told += [f"{left} not done"] if (left := len(jobs) + len(problems) - count.total()) else []
        print("dry run: " * args.dry_run + ", ".join(told))
    return EXIT_SOME_FAILED if count["failed"] else 0


def _enlarge(
    args: argparse.Namespace, generator: Generator, photo: Photo, target: Path,
    show: Callable[[int, int], None], note: Callable[[], Any],
) -> Iterator[Photo]:  # fmt: skip
    """Enlarge a photograph with the given options: in bands if the format allows, so that it may be very large.

    note   called when everything is computed, before the end of it is written
    """
    require_fits(target, photo, args.scale or generator.scale)
    options = {"tile": args.tile, "overlap": args.overlap, "memory": args.memory, "ensemble": args.self_ensemble}
    options["progress"] = show
    once = args.scale in (None, generator.scale) and not photo.more
    if once and target.suffix.lower() in (".png", ".tif", ".tiff"):
        yield from photo_bands(generator, photo, **options)
    else:
        yield upscale_photo(generator, photo, args.scale, **options)
    note()


def _settings(args: argparse.Namespace, scale: float) -> dict[str, Any]:
    """Return all settings that the pixels of a result depend on, except the photograph, as values for JSON."""
    given = {key: value for key, value in vars(args).items() if value is not None and value is not False}
    used = {key: value for key, value in given.items() if key not in _HARMLESS}
    used |= {"scale": f"{scale:g}", "model": f"{find(args.model).stem} ({digest(find(args.model))[:12]})"}
    if args.blend:
        used["blend"] = f"{args.blend[1]:g} of {args.blend[0]} ({digest(find(args.blend[0]))[:12]})"
    return used


def _fill(template: str, source: Path, **words: str) -> str:
    """Fill in a template for the name of a result."""
    folder = source.absolute().parent.name
    return template.format(stem=source.stem, name=source.name, suffix=source.suffix[1:], folder=folder, **words)


def _template(text: str) -> str:
    """Check a template for names of files, and return it."""
    try:
        name = _fill(text, Path("folder", "a.png"), model="model", scale="4")
    except (LookupError, ValueError, AttributeError) as error:
        told = f"names such as '{{stem}}_x{{scale}}', not {text!r} ({type(error).__name__}: {error})"
        raise argparse.ArgumentTypeError(told) from None
    if not name.strip(". ") or set(name) & set("/\\\0"):
        raise argparse.ArgumentTypeError(f"names without folders in them, such as '{{stem}}_x{{scale}}', not {text!r}")
    return text


def _bytes(text: str) -> int:
    """Convert a size such as 800MB or 1.5 GB to a number of bytes."""
    match = re.fullmatch(r"(\d+\.?\d*)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"a size such as 800MB or 1.5GB, not {text!r}")
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))


def _number(fits: Callable[[float], bool], told: str, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """Return a function that converts a word to a number, and refuses one that does not fit."""

    def convert(text: str) -> float:
        with suppress(ValueError):
            if fits(number := kind(text)):
                return number
        raise argparse.ArgumentTypeError(f"{told}, not {text!r}")

    return convert


def _file_and_ratio(text: str) -> tuple[Path, float]:
    """Split an argument such as srresnet.safetensors:0.3 into its file and its ratio."""
    match = re.fullmatch(r"(.+):(\d*\.?\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"a file and a ratio such as srresnet.safetensors:0.3, not {text!r}")
    return Path(match[1]), float(match[2])
