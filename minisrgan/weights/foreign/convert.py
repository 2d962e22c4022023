"""Convert weights of PyTorch, Keras and NumPy, whose names and memory layouts differ, to ours."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minisrgan.backend import Array, to_numpy
from minisrgan.errors import WeightsError
from minisrgan.models import Generator
from minisrgan.nn import Module
from minisrgan.weights.foreign.archive import read_keras, read_npz
from minisrgan.weights.foreign.kinds import family_of, kind_of
from minisrgan.weights.foreign.names import NAMINGS, Naming, find_naming
from minisrgan.weights.foreign.torch_file import read_torch
from minisrgan.weights.store import digest, load_state, refusing

_MOST = 10_000  # arrays in a file
_DEPTH = 6  # levels of nested dictionaries, and of prefixes of names, in which a model is searched
_PARAMETERS = ("alpha", "beta", "bias", "gamma", "mean", "scale", "std", "weight")  # names of weights, not of notes


class Weights(NamedTuple):
    """A model in a file: the name of its class, the settings to build it from, its arrays, and notes."""

    model: str
    settings: dict[str, Any]
    state: dict[str, Array]
    about: dict[str, Any]


def read_weights(path: str | Path, sha256: str = "", key: str = "") -> Weights:
    """Read a model's weights from a file of ours, or from one of those that `minisrgan.weights.foreign.names` lists.

    path    .safetensors, .npz, .pth in either format, or with h5py Keras's .h5; recognised by the content
    sha256  the SHA-256 of the file, or at least its first 8 digits. A file of PyTorch needs it, here or in its name, as
            in vgg19-dcbb9e9d.pth
    key     the model to read, if there are several, such as params_ema; see `ours`
    Errors  WeightsError if the file is missing, damaged, of another kind, or has another checksum
    """
    sha256 = sha256.lower() or _checksum_in(Path(path).name)
    with refusing("read_weights", path):
        if sha256 and not (len(sha256) >= 8 and digest(path).startswith(sha256)):
            raise _wrong_checksum(path, f"a SHA-256 that begins with {sha256}")
        kind, about = kind_of(path), dict[str, Any]()
        if kind == "safetensors":
            arrays, about = load_state(path)
        else:
            arrays = {"torch": read_torch, "npz": read_npz, "h5": read_keras}[kind](path)
        if "model" in about and "settings" in about:
            if not isinstance(about["settings"], dict):
                raise ValueError(f"settings {about['settings']!r}, which name none")
            if about.pop("layout", "") == "OIHW":
                arrays = _ours_again(arrays)
            if key:
                raise WeightsError("read_weights", expected="no key", got=key, fix="this file holds one model only")
            return Weights(about.pop("model"), about.pop("settings"), arrays, about)
        weights = ours(arrays, key)
        if kind == "torch" and not sha256 and f"-{digest(path)[:8]}" not in Path(path).name:
            raise _wrong_checksum(path, "a known checksum: a .pth file is a program")
        return weights


def _checksum_in(name: str) -> str:
    """Return the beginning of a checksum in a file name, or "" if there is none.

    Digits alone may be a date or a number of steps, as in our own srgan-00001500.safetensors. `read_weights` takes them
    for a checksum only if they are that of the file.

    >>> _checksum_in("vgg19-dcbb9e9d.pth"), _checksum_in("g-1b2c3d4e.pth.tar"), _checksum_in("g-20240131.pth")
    ('dcbb9e9d', '1b2c3d4e', '')
    """
    found = re.findall(r"-([0-9a-f]{8,64})(?=\.)", name.lower())
    return "" if not found or (found[-1].isdecimal() and len(found[-1]) < 16) else found[-1]


def _wrong_checksum(path: str | Path, expected: str) -> WeightsError:
    got = f"{path}, whose SHA-256 is {digest(path)}"
    fix = "compare with what the publisher says, and give it: minisrgan weights convert --sha256"
    return WeightsError("read_weights", expected=expected, got=got, fix=fix)


def _models_in(
    arrays: Mapping[str, Array], at: str = "", depth: int = _DEPTH
) -> Iterator[tuple[str, Naming | str, dict[str, Array]]]:
    """Yield the models in a file: for each its key, its naming scheme (or another architecture's name), and its arrays.

    A key is the name of a dictionary, as in params_ema/conv_first.weight, or a prefix of the names of arrays, as in
    generator.conv_first.weight. Prefixes such as model. and module. are handled in the same way.
    """
    here = {name: array for name, array in arrays.items() if "/" not in name}
    naming, family = find_naming(here), family_of(here)
    fronts = {name.partition(".")[0] for name in here}
    if not naming and any("mean" in front or front.startswith(("norm", "std")) for front in fronts):
        family, arrays = family or f"a network that normalises its input ({', '.join(sorted(fronts))})"[:200], {}
    if family and (naming is None or naming.model == "VGG19"):  # VGG16 has nearly the same names
        yield at, family, here
    elif naming:
        yield at, naming, here
    below: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        first, cut, rest = name.partition("/" if "/" in name else ".")
        if rest and (cut == "/" or not naming):
            below.setdefault(first, {})[rest] = array
    for front, group in below.items() if depth else ():
        yield from _models_in(group, f"{at}.{front}".removeprefix("."), depth - 1)


def _choose(arrays: Mapping[str, Array], key: str) -> tuple[Naming, dict[str, Array], dict[str, str]]:
    """Choose the model: a generator before other models, averaged weights (EMA) before the last ones."""
    if len(arrays) > _MOST:
        fix = "get the file again"
        raise WeightsError("read_weights", expected=f"at most {_MOST:,}", got=f"{len(arrays)} arrays", fix=fix)
    found = list(_models_in(arrays))
    models = {at: (naming, here) for at, naming, here in found if isinstance(naming, Naming)}
    if not models:
        known = "; ".join(dict.fromkeys(naming.title for naming in NAMINGS))
        expected = f"a generator or discriminator of SRGAN, or VGG19, with the names of one of these: {known}"
        some = ", ".join(list(arrays)[:3])[:100] or "none"
        got = f"another architecture: {found[0][1]}" if found else f"arrays: {some}"
        fix = "no other architecture can be converted; `minisrgan weights list` shows which models there are"
        raise WeightsError("read_weights", expected=expected, got=got, fix=fix)

    def order(at: str) -> tuple[bool, bool]:
        words = re.split(r"[._-]", at.lower())
        return models[at][0].model != "Generator", not any(w.startswith("ema") or w.endswith("ema") for w in words)

    keys = ", ".join(at or "(no key)" for at in models)
    asked = sorted((at for at in models if not key or f"{at}.".startswith(f"{key}.")), key=order)
    if not asked or (len(asked) > 1 and order(asked[0]) == order(asked[1])):
        expected = f"a key that tells which of its models is meant: {keys}"
        raise WeightsError("read_weights", expected=expected, got=key or "no key", fix="choose one with --key")
    return *models[asked[0]], {"taken": f"{asked[0]}, of {keys}"} if len(models) > 1 else {}


def ours(arrays: Mapping[str, Array], key: str = "") -> Weights:
    """Rename and transpose the arrays of another library; WeightsError if no known model has such names.

    key  the model to read; by default the generator, and among several generators the averaged one ("ema" in its key)

    A convolution (out, in, kh, kw) becomes (kh, kw, in, out), and a dense layer (out, in) becomes (in, out). The inputs
    of a dense layer after flattening are reordered from (C, H, W) to (H, W, C).
    """
    naming, arrays, about = _choose(arrays, key)
    state, settings = dict[str, Array](), dict(naming.settings)
    for theirs, array in arrays.items():
        part, name = theirs.rpartition(".")[2], naming.our_name(theirs)
        if name == "unused" or (not name and _is_note(theirs, array)):
            continue
        if part == "weight" and array.ndim in (2, 4):  # PyTorch's; Keras calls it kernel, and its order of axes is ours
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if (name := name or theirs) in state:
            raise ValueError(f"two arrays for {name}")
        state[name] = array.reshape(-1) if part == "alpha" else array
    _add_biases(state)
    if naming.model == "Generator":
        _finish_generator(state, settings.pop("unit", False), keras=any(name.endswith(".kernel") for name in arrays))
    elif naming.model == "Discriminator":
        array = state["head.1.weight"]
        channels = state["features.20.weight"].shape[3]
        side = math.isqrt(len(array) // channels)
        array = array.reshape(channels, side, side, -1).transpose(1, 2, 0, 3)
        state["head.1.weight"] = array.reshape(side * side * channels, -1)
    return Weights(naming.model, settings_of(naming.model, state) | settings, state, {"names": naming.title} | about)


def torch_layout(model: Module) -> dict[str, Array]:
    """Return a generator's arrays in PyTorch's layout: convolutions become (out, in, kh, kw), the rest is unchanged.

    The names remain ours. They are also a column of names.txt, so that `ours` restores exactly the same bits.
    """
    if type(model) is not Generator:
        fix = "`minisrgan weights list` shows the generators there are, `minisrgan weights info FILE` what a file holds"
        raise WeightsError("export", expected="minisrgan's Generator", got=type(model).__name__, fix=fix)
    arrays = {name: to_numpy(array) for name, array in model.state_dict().items()}
    return {name: array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for name, array in arrays.items()}


def _ours_again(arrays: dict[str, Array]) -> dict[str, Array]:
    """Undo `torch_layout`."""
    if "bn_middle.weight" not in arrays:
        fix = "export it again without --fold: what is folded into the convolutions cannot be taken out of them"
        raise WeightsError("read_weights", expected="a generator with batch norms", got="one without", fix=fix)
    return ours(arrays).state


def _is_note(name: str, array: Array) -> bool:
    """Return whether an array is a note, such as epoch or best_psnr, and not a weight."""
    plain = "." not in name and array.ndim < 2
    return plain and (array.dtype.kind != "f" or not any(word in name.lower() for word in _PARAMETERS))


def _add_biases(state: dict[str, Array]) -> None:
    """Add a bias of 0 to convolutions before a batch norm, if none of them has one: batch norm makes it redundant."""
    before = {f"features.{i + 1}": f"features.{i}" for i in range(2, 21, 3)}  # of a discriminator
    norms = {name.rpartition(".")[0]: array for name, array in state.items() if name.endswith(".running_mean")}
    bare = {f"{before.get(norm, norm.replace('bn', 'conv'))}.bias": array for norm, array in norms.items()}
    if not bare.keys() & state.keys():
        state |= {name: np.zeros(array.shape, np.float32) for name, array in bare.items()}


def _finish_generator(state: dict[str, Array], unit: bool, keras: bool) -> None:
    width = settings_of("Generator", state)["channels"]
    for name, array in list(state.items()):
        if keras and name.startswith("upsample") and "conv" in name:  # TensorFlow's pixel shuffle has (r, r, C)
            state[name] = np.moveaxis(array.reshape(*array.shape[:-1], 2, 2, -1), -1, -3).reshape(array.shape)
        if "prelu" in name and array.shape == (1,):  # one slope for all channels
            state[name] = np.full(width, array[0])
    if unit:  # convert its output range 0..1 to -1..1
        state["conv_last.weight"] = state["conv_last.weight"] * np.float32(2)
        state["conv_last.bias"] = state["conv_last.bias"] * np.float32(2) - np.float32(1)


def settings_of(model: str, state: Mapping[str, Array]) -> dict[str, Any]:
    """Derive a model's settings from the shapes of its arrays; a missing array means the smallest model."""

    def size(name: str, axis: int) -> int:
        return int(state[name].shape[axis]) if name in state else 1

    def count(start: str, end: str) -> int:
        return sum(name.startswith(start) and name.endswith(end) for name in state)

    if model == "Generator":
        doublings, blocks = count("upsample.", ".conv.weight"), count("blocks.", ".conv1.weight")
        return {"scale": 1 << min(doublings, 9), "channels": size("conv_first.weight", 3), "blocks": blocks}
    if model == "Discriminator":
        width = size("features.0.weight", 3)
        return {"crop": 16 * math.isqrt(size("head.1.weight", 0) // (8 * width)), "channels": width}
    return {"phi": ",".join(max(re.findall(r"block(\d)_conv(\d)\.weight", " ".join(state)), default="11"))}
