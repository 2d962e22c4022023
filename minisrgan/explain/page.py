"""An HTML page that explains the numbers of a recorded pass when they are clicked: one file, which works offline."""

import inspect as inspect_code
import json
import math
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.backend import Array, is_array, to_numpy
from minisrgan.errors import ArgumentError
from minisrgan.explain.record import Loss, Step, record, title_of
from minisrgan.explain.steps import section
from minisrgan.nn import Module

_SCRIPTS = ("arrays.js", "layers.js", "network.js", "draw.js", "page.js")
_FILES = Path(__file__).with_name("page")
_OPTIONS = ("axes", "eps", "factor", "keepdims", "negative_slope", "padding", "size", "stride")  # used in formulas
_SMALL = 6e6  # bytes up to which a page holds every map; a larger page computes the maps that it can

# Operations that the page (layers.js) can compute itself, so that it need not hold their results.
COMPUTED = frozenset([
    "absolute", "add", "batch_norm_evaluation", "batch_norm_training", "broadcast_to", "concatenate", "conv2d",
    "divide", "exp", "getitem", "leaky_relu", "linear", "log", "max_pool2d", "multiply", "negative", "pixel_shuffle",
    "pixel_unshuffle", "power", "prelu", "relu", "reshape", "scatter", "sigmoid", "softplus", "sqrt", "subtract", "sum",
    "tanh", "transpose",
])  # fmt: skip
# Operations that only move numbers: the page holds, for every element of the result, its index in the inputs.
_LISTED = frozenset(["broadcast_to", "concatenate", "getitem", "pixel_unshuffle", "scatter", "transpose"])


@dataclass(repr=False)
class Inspection:
    """An HTML page; a notebook shows it in a frame, and `save` writes it to a file."""

    html: str

    def save(self, path: str | Path) -> None:
        """Write the page into a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        frame = 'title="A network to be clicked" style="width: 100%; height: 56rem; border: 0" sandbox="allow-scripts"'
        return f'<iframe {frame} srcdoc="{escape(self.html)}"></iframe>'


def inspect(
    model: Module, x: Tensor | Array, loss: Loss | None = None, *, other: Module | None = None,
    names: Sequence[str] = ("before", "after"), title: str = "", max_megabytes: float = 40.0,
) -> Inspection:  # fmt: skip
    """Record a pass and return a page that explains each of its numbers on a click, forward and backward.

    x       a batch for the model: (N, H, W, C), or whatever it takes
    loss    a function that maps the model's result to a scalar; with it the page shows gradients as well
    other   a second model with the same layers; its numbers are shown in the same places, and ``names`` names the two
    Errors  ArgumentError for a page larger than max_megabytes, or a second model with different layers.

    A page above 6 MB does not hold the maps that it can compute from the weights: it computes them when it is opened,
    and says how far they are from the library's. If it is still larger because the loss is a network, such as VGG19, it
    shows the gradients that the loss gives, but not the layers of the loss. Of modules and operations that it does not
    know, it shows only the maps.

    >>> from minisrgan import nn
    >>> page = inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), np.zeros((1, 5, 5, 3), np.float32))
    >>> page.html[:15], " src=" in page.html
    ('<!doctype html>', False)
    """
    models = [model] if other is None else [model, other]
    passes = [record(m, x, loss=loss) for m in models]
    if len({tuple((step.name, step.op, step.value.shape) for step in steps) for steps in passes}) > 1:
        got = " and ".join(f"{title_of(m)}, {len(steps)} steps" for m, steps in zip(models, passes, strict=True))
        raise ArgumentError("inspect", expected="two models of the same layers", got=got, fix="make a page of each")
    size, networks, arrays = _fitting(passes)
    if not size <= 1e6 * max_megabytes:
        weights = sum(parameter.size for m in models for parameter in m.parameters())
        got = f"{size / 1e6:.1f} MB, for {weights:,} weights and an input of {tuple(x.shape)}"
        fix = f"take a smaller crop or network, or set it to {math.ceil(size / 1e6)}"
        raise ArgumentError("inspect", expected=f"at most max_megabytes = {max_megabytes:g}", got=got, fix=fix)
    content = {
        "networks": [{"name": name, "steps": steps} for name, steps in zip(names, networks, strict=False)],
        "arrays": [{"kind": a.dtype.str[1:], "shape": a.shape, "data": b64encode(a).decode()} for a in arrays],
        "groups": {path: title_of(m) for path, m in model.named_modules() if m.children()},
        "operations": {step.op: _told(step.op) for step in passes[0]},
        "radius": getattr(model, "receptive_radius", None),
    }
    files = {name: (_FILES / name).read_text("utf-8") for name in ("page.html", "page.css", *_SCRIPTS)}
    parts = {"title": escape(title or title_of(model)), "style": files["page.css"]}
    parts["script"] = "\n".join(files[name] for name in _SCRIPTS)
    parts["record"] = json.dumps(content, separators=(",", ":")).replace("</", "<\\/")
    return Inspection(Template(files["page.html"]).substitute(parts))


def _fitting(passes: list[list[Step]]) -> tuple[float, list[list[dict[str, Any]]], list[Array]]:
    """Return the bytes of a page, its steps and its arrays: all that fit into 6 MB, and always those that it needs."""
    found = []
    for whole, folded in ((True, False), (False, True), (False, False)):
        arrays: list[Array] = []
        networks = [_network(steps, whole, folded, arrays) for steps in passes]
        found.append((sum(array.nbytes for array in arrays) * 4 / 3, networks, arrays))
        if whole and found[0][0] <= _SMALL:
            return found[0]
    _, least, opened = found  # without the steps of a loss that is itself a network
    return opened if opened[0] <= max(_SMALL, 1.1 * least[0]) else least


def _network(steps: list[Step], whole: bool, folded: bool, arrays: list[Array]) -> list[dict[str, Any]]:
    """Describe the steps for the page, and append the arrays that it must hold to ``arrays``.

    whole   whether to include all maps
    folded  whether to describe the loss, a network itself, as one step without an explanation
    """
    if folded and steps[-1].path == "loss":
        loss, steps = steps[-1], [step for step in steps if step.path != "loss"]
        steps = [*steps, Step("loss", "loss", None, {"x": steps[-1]}, loss.value, alone=True, grad=loss.grad)]
    place = {step: i for i, step in enumerate(steps)}
    known = {(array.shape, array.tobytes()): i for i, array in enumerate(arrays)}

    def put(array: Array) -> int:
        packed = _packed(array)
        key = (packed.shape, packed.tobytes())
        if key not in known:
            known[key] = len(arrays)
            arrays.append(packed)
        return known[key]

    def tell(step: Step) -> dict[str, Any]:
        users = [user for user in steps if any(x is step for x in user.inputs.values())]
        computed = bool(users) and all(user.op in COMPUTED for user in users)
        inputs: dict[str, Any] = {}
        for name, x in step.inputs.items():
            if isinstance(x, Step):
                inputs[name] = {"step": place[x]}
            elif is_array(x):
                inputs[name] = {"array": put(x), "name": step.names.get(name, "")}
            elif x is not None:
                inputs[name] = {"number": x}
        options = {name: step.options[name] for name in _OPTIONS if name in step.options}
        if step.op in _LISTED:
            options = {"source": put(_source(step))}
        at = np.linspace(0, step.value.size - 1, min(step.value.size, 16)).astype(int).tolist()
        return {
            "path": step.path, "op": step.op, "alone": step.alone, "shape": step.value.shape, "inputs": inputs,
            "title": step.title, "options": options, "flows": step.grad is not None,
            "group": step.path.rpartition(".")[0] if step.alone else step.path,
            "value": put(step.value) if whole or step.op not in COMPUTED else None,
            "gradient": put(step.grad) if step.grad is not None and (whole or not computed) else None,
            "probe": {"at": at, "value": _numbers(step.value, at), "grad": _numbers(step.grad, at)},
        }  # fmt: skip

    return [tell(step) for step in steps]


def _numbers(array: Array | None, at: list[int]) -> list[float | None] | None:
    if array is None:
        return None
    return [float(f"{v:.8g}") if np.isfinite(v) else None for v in to_numpy(array).ravel()[at]]


def _packed(array: Array) -> Array:
    """Convert an array for the page: to 16-bit floats if they are exact, as for our own weights, else to 32 bits."""
    array = np.ascontiguousarray(to_numpy(array))
    if array.dtype.kind != "f":
        return array.astype("<i4")
    with np.errstate(over="ignore"):
        half = array.astype("<f2")
    return half if np.array_equal(half, array, equal_nan=True) else array.astype("<f4")


def _source(step: Step) -> Array:
    """Return for every element its index in the inputs, counted through all of them; -1 for an inserted zero."""
    indices, count = [], 1
    for x in step.inputs.values():
        shape = x.value.shape if isinstance(x, Step) else x.shape
        indices.append(Tensor(np.arange(count, count := count + math.prod(shape), dtype=float).reshape(shape)))
    given = indices if step.op == "concatenate" else indices[0]
    return getattr(ops, step.op)(given, **step.options).data.astype(np.int64) - 1


def _told(op: str) -> dict[str, str] | None:
    """Return formula, gradient and summary from the docstring of an operation, and its place in the source."""
    function = getattr(ops, re.sub("_(training|evaluation)$", "", op), None)
    if function is None:
        return None
    text = inspect_code.getdoc(function) or ""
    return {
        "formula": section(text, "Formula"), "gradient": section(text, "Gradient"), "summary": text.splitlines()[0],
        "where": f"{function.__module__.replace('.', '/')}.py:{function.__code__.co_firstlineno}, {function.__name__}",
    }  # fmt: skip
