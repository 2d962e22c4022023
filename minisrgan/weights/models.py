"""Models to files and back: the file says how the model is to be built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from minisrgan.errors import WeightsError
from minisrgan.models import Discriminator, Generator
from minisrgan.nn import Module
from minisrgan.weights.store import load_state, save_state

Model = TypeVar("Model", bound=Module)


def save_model(path: str | Path, model: Generator | Discriminator, **about: Any) -> None:
    """Write a generator or discriminator: its weights, the settings to build it from, and what else is said of it.

    about  for example steps=500, content="mse"; kept in the file's metadata

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(Path(folder, "g.safetensors"), Generator(scale=2, channels=4, blocks=1), steps=0)
    ...     load_generator(Path(folder, "g.safetensors")).describe()
    'x2, 4 channels, 1 blocks'
    """
    if isinstance(model, Generator):
        settings = {"scale": model.scale, "channels": model.width, "blocks": model.depth}
    else:
        settings = {"crop": model.crop, "channels": model.width}
    save_state(path, model.state_dict(), {"model": type(model).__name__, "settings": settings, **about})


def load_generator(path: str | Path) -> Generator:
    """Build the generator that a file describes, with its weights, in evaluation mode.

    Errors  WeightsError if the file is missing, damaged, or holds another model
    """
    return _load(path, "Generator", Generator)


def load_discriminator(path: str | Path) -> Discriminator:
    """Build the discriminator that a file describes, with its weights, in evaluation mode."""
    return _load(path, "Discriminator", Discriminator)


def _load(path: str | Path, name: str, build: Callable[..., Model]) -> Model:
    state, about = load_state(path)
    settings = about.get("settings")
    if about.get("model") != name or not isinstance(settings, dict):
        told = f"the weights of a {name}, saved by minisrgan"
        got = f"{path}, which holds {about.get('model', 'no description of a model')}"
        fix = "training writes srresnet.safetensors and srgan.safetensors for upscaling"
        raise WeightsError(f"load_{name.lower()}", expected=told, got=got, fix=fix)
    model = build(**settings)
    model.load_state_dict(state)
    return model.eval()
