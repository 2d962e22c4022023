"""Save and load models: a file contains the weights, and the settings to build the model from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import WeightsError
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.models.vgg import CONVENTIONS
from minisrgan.nn import Conv2d, LeakyReLU, MaxPool2d, Module, ReLU, Sequential
from minisrgan.weights.box import find
from minisrgan.weights.foreign.convert import read_weights, torch_layout
from minisrgan.weights.store import digest, refusing, save_state

Model = TypeVar("Model", bound=Module)

# Keys that notes in a file must not use: those that describe the model, and parameters of these functions.
RESERVED = frozenset([
    "path", "model", "settings", "scale", "generator", "input", "output", "half", "layout", "sha256", "key",
    "convention",
])  # fmt: skip

# The settings from which each model is built, with the attributes that hold them; then its input and output.
_SETTINGS: dict[type[Module], dict[str, str]] = {
    Generator: {"scale": "scale", "channels": "width", "blocks": "depth", "tanh": "tanh", "eps": "eps"},
    Discriminator: {"crop": "crop", "channels": "width"}, VGG19: {"phi": "phi", "convention": "convention"},
}  # fmt: skip
_MODELS: dict[str, type[Module]] = {model.__name__: model for model in _SETTINGS}
_CONVENTIONS = {"Generator": {"input": "RGB, 0..1", "output": "RGB, -1..1"}, "Discriminator": {"input": "RGB, -1..1"}}

# The layers that a stack may contain, and the settings of each that do not follow from the shapes of its arrays.
_LAYERS: dict[str, tuple[type[Module], tuple[str, ...]]] = {
    "Conv2d": (Conv2d, ("stride", "padding")), "LeakyReLU": (LeakyReLU, ("negative_slope",)), "ReLU": (ReLU, ()),
    "MaxPool2d": (MaxPool2d, ("size", "stride")),
}  # fmt: skip

# The advice in every error about a missing file.
CHOICES = (
    "`minisrgan weights fetch vgg19` gets one; or give a file of VGG19's convolutions (an .npz with "
    "block1_conv1.kernel, block1_conv1.bias ...), or compare pixels instead: content mse"
)


def save_model(
    path: str | Path, model: Module, *, half: bool = False, layout: Literal["HWIO", "OIHW"] = "HWIO", **about: Any
) -> None:
    """Write a model: its weights, the settings to build it from, the conventions of its input and output, and notes.

    model  a generator, discriminator or VGG19, or a Sequential of Conv2d, ReLU, LeakyReLU and MaxPool2d
    half   store numbers in 16 bits
    layout of convolution weights. "OIHW" is PyTorch's, for generators only; `load_model` and `convert` read both
    about  notes such as steps=500, content="mse", licence="MIT"; stored in the file's metadata
    Errors WeightsError for another module or another layer in a Sequential, for "OIHW" without a generator, for a
           number too large for 16 bits, for notes that describe another model or have no form in JSON, or if the file
           cannot be written; ArgumentError unless half is True or False

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(Path(folder, "g.safetensors"), Generator(scale=2, channels=4, blocks=1), steps=0)
    ...     load_generator(Path(folder, "g.safetensors")).describe()
    'x2, 4 channels, 1 blocks'
    """
    kind = type(model).__name__
    if layout != "OIHW" and type(model) not in (*_SETTINGS, Sequential):
        expected = f"a {', '.join(_MODELS)} or Sequential"
        raise WeightsError("save_model", expected=expected, got=kind, fix="save_state(path, state, {})")
    arrays = torch_layout(model) if layout == "OIHW" else model.state_dict()
    conventions = {"input": CONVENTIONS[model.convention]} if isinstance(model, VGG19) else _CONVENTIONS.get(kind, {})
    settings: dict[str, Any] = {name: getattr(model, where) for name, where in _SETTINGS.get(type(model), {}).items()}
    settings = settings or {"layers": [_layer(layer) for layer in model.children().values()]}
    told = {"model": kind, "settings": settings, **conventions} | ({"layout": layout} if layout == "OIHW" else {})
    if wrong := sorted(key for key in RESERVED & about.keys() if about[key] != told.get(key)):
        fix = "give this note another name: the file describes the model by it"
        raise WeightsError("save_model", expected="notes", got=", ".join(wrong), fix=fix)
    save_state(path, arrays, told | about, half=half)


def _layer(layer: Module) -> list[Any]:
    name = type(layer).__name__
    if name not in _LAYERS:
        fix = "compose it of these"
        raise WeightsError("save_model", expected=f"layers out of {', '.join(_LAYERS)}", got=name, fix=fix)
    return [name, {key: getattr(layer, key) for key in _LAYERS[name][1]}]


def _stack(state: Mapping[str, Array], layers: list[Any]) -> Sequential:
    """Build a stack of layers; the shapes of the arrays give the sizes of the convolutions."""
    modules = []
    for position, (name, settings) in enumerate(layers):
        if name == "Conv2d":
            side, _, inputs, outputs = state[f"{position}.weight"].shape
            settings = {"in_channels": inputs, "out_channels": outputs, "kernel_size": side, **settings}
            settings |= {"bias": f"{position}.bias" in state, "rng": np.random.default_rng(0)}
        modules.append(_LAYERS[name][0](**settings))
    return Sequential(*modules)


def load_model(path: str | Path, sha256: str = "", key: str = "") -> tuple[Module, dict[str, Any]]:
    """Build the model that a file describes, with its weights, in evaluation mode.

    path     a file that `read_weights` reads, or the name of a bundled model
    sha256   the checksum of the file, see `read_weights`
    key      which model to load from a file with several, see `read_weights`
    Returns  the model, and the notes in the file
    Errors   WeightsError if the file is missing, damaged, or its arrays do not fit its settings
    """
    path = find(path)
    name, settings, state, about = read_weights(path, sha256, key)
    with refusing("load_model", path):
        least, count = _least_size(name, settings), sum(array.size for array in state.values())
        if count < least:  # forged settings: refused before the model that they describe fills the memory
            raise ValueError(f"settings of a model with more than {least:,} weights, and only {count:,} are there")
        if type(settings.get("tanh", False)) is not bool or not 0 <= settings.get("eps", 0) < 1:
            raise ValueError(f"settings {settings}, where tanh is true or false, and eps a number from 0 to 1")
        if negative := [key for key, array in state.items() if key.endswith("running_var") and (array < 0).any()]:
            raise ValueError(f"{negative[0]}, a variance, below 0")
        model = _MODELS[name](**settings) if name in _MODELS else _stack(state, settings["layers"])
        model.load_state_dict(state)
    return model.eval(), about


def _least_size(name: str, settings: Mapping[str, Any]) -> int:
    """Return a lower bound for the number of weights of a model with these settings."""
    if name == "Generator":
        doublings = settings["scale"].bit_length() - 1
        return int(9 * (2 * settings["blocks"] + 1 + 4 * doublings) * settings["channels"] ** 2)
    return int(settings["crop"] ** 2 // 2 * settings["channels"] ** 2) if name == "Discriminator" else 0


def load_generator(path: str | Path) -> Generator:
    """Build the generator that a file describes, with its weights, in evaluation mode.

    Errors  WeightsError if the file is missing, damaged, or holds another model
    """
    return load_kind(path, Generator)[0]


def load_discriminator(path: str | Path) -> Discriminator:
    """Build the discriminator that a file describes, with its weights, in evaluation mode."""
    return load_kind(path, Discriminator)[0]


def load_kind(path: str | Path, kind: type[Model]) -> tuple[Model, dict[str, Any]]:
    """Return what `load_model` does; WeightsError if the file holds a model of another kind."""
    model, about = load_model(path)
    if not isinstance(model, kind):
        fix = "`minisrgan weights list` shows the models there are, `minisrgan weights info FILE` what a file holds"
        got = f"{path}, which holds {type(model).__name__}"
        raise WeightsError("load_model", expected=f"the weights of a {kind.__name__}", got=got, fix=fix)
    return model, about


def load_vgg19(path: str | Path, phi: str = "5,4") -> VGG19:
    """Build VGG19 up to phi_{i,j}, frozen, with the input convention that its weights expect.

    path    a file in our format, which names the convention; torchvision's .pth; Keras's .h5; or Caffe-style .npz with
            arrays ``block5_conv4.kernel`` (3, 3, in, out) and ``block5_conv4.bias`` (out,), and so on
    Errors  WeightsError if the file is missing, damaged, holds another model, or lacks a convolution up to phi
    """
    found = read_weights(path) if Path(path).is_file() else None
    if found is None or found.model != "VGG19":
        expected = "the weights of VGG19, which the perceptual loss compares features with"
        got = f"{path}, which {f'holds {found.model}' if found else 'does not exist'}"
        raise WeightsError("load_vgg19", expected=expected, got=got, fix=CHOICES)
    with refusing("load_vgg19", path):
        vgg = VGG19(phi, found.settings["convention"])
        vgg.load_state_dict({name: found.state[name] for name in vgg.state_dict() if name in found.state})
    return vgg.eval().requires_grad_(False)


def load_features(path: str | Path) -> Module:
    """Build a frozen feature extractor: VGG19, a stack saved by `save_model`, or the convolutions of a discriminator.

    Shapes  (N, H, W, 3) RGB in [-1, 1] to feature maps
    Errors  WeightsError if the file is missing, damaged, or holds another model

    >>> import tempfile
    >>> import numpy as np
    >>> from minisrgan.nn import Conv2d, ReLU, Sequential
    >>> from minisrgan.weights import save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     conv = Conv2d(3, 8, 3, padding=1, rng=np.random.default_rng(0))
    ...     save_model(Path(folder, "f.safetensors"), Sequential(conv, ReLU()))
    ...     len(load_features(Path(folder, "f.safetensors")).children())
    2
    """
    model, _ = load_model(path)
    if isinstance(model, Discriminator):
        model = model.features
    return model.eval().requires_grad_(False)


def convert(
    source: str | Path, out: str | Path, /, *, sha256: str = "", key: str = "", half: bool = False,
    convention: str = "", **about: Any,
) -> Module:  # fmt: skip
    """Convert any file that `read_weights` reads to our format, and return the model.

    convention  of VGG19's input, if the names of the arrays suggest a wrong one, as for Caffe's weights in PyTorch
    about       notes for the file's metadata, such as licence="MIT"; the keys in `RESERVED` are not allowed
    Errors      WeightsError as for `load_model`, and if `out` is the source, or does not end with .safetensors
    """
    source, out = find(source), Path(out)
    if out.suffix != ".safetensors" or (out.exists() and source.exists() and out.samefile(source)):
        expected = "a new file whose name ends with .safetensors"
        raise WeightsError("convert", expected=expected, got=str(out), fix="give another name with -o")
    model, told = load_model(source, sha256, key)
    if convention and isinstance(model, VGG19):
        model.convention = convention
    told = {"source": f"{source.name}, SHA-256 {digest(source)}"} | told | about
    save_model(out, model, half=half, **{word: value for word, value in told.items() if word not in RESERVED})
    return model
