"""A module's tree as text, and the numbers of its layers worked out on an input."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import to_numpy
from minisrgan.explain.record import title_of
from minisrgan.explain.worked import WORKED
from minisrgan.nn import Module, Parameter


class Text(str):
    """Text of several lines that a notebook shows as it is printed."""

    def __repr__(self) -> str:
        """Show the lines instead of one with signs for their ends."""
        return str(self)


def explain_layers(module: Module, *inputs: Any, at: tuple[int, ...] | None = None) -> Text:
    """Tell formula, shapes, and the numbers of one output element, for every layer in the order in which they run.

    at  the element, a position in the layer's output; by default one in the middle of the first image

    Also called ``module.explain(x)``. Nothing is changed: what batch norm notes of the batch is taken back.

    >>> from minisrgan import nn
    >>> nn.PReLU(1).explain(Tensor([[-4.0]]))
    PReLU
      y = x where x > 0, else a x; PReLU learns a = weight[c], leaky ReLU has a fixed one, ReLU has a = 0
      x (1, 1), weight (1,) -> y (1, 1)
      x[0, 0] = -4 is not above 0: the slope is a = 0.25
      y[0, 0] = 0.25 * -4 = -1
    """
    texts: list[str] = []
    with ExitStack() as afterwards, no_grad():
        for _, layer in module.named_modules():
            for name in layer.buffer_names:
                array = getattr(layer, name)
                afterwards.callback(array.__setitem__, ..., array.copy())
            if not layer.children():
                hook = lambda layer, x, y: texts.append(_explained(layer, Tensor(x[0]), y, at))  # noqa: E731
                afterwards.callback(layer.register_forward_hook(hook))
        module(*inputs)
    return Text("\n\n".join(texts))


def _explained(layer: Module, x: Tensor, y: Tensor, at: tuple[int, ...] | None) -> str:
    lines = [", ".join([f"x {x.shape}", *_own(layer)]) + f" -> y {y.shape}"]
    if worked := WORKED.get(type(layer).__name__):
        arrays = {name: to_numpy(array) for name, array in layer.state_dict().items()}
        settings = SimpleNamespace(**{"training": layer.training} | vars(layer) | arrays)
        steps = worked(to_numpy(x.data), at or (0, *(size // 2 for size in y.shape[1:])), settings)
        lines = [f"{inspect.getdoc(worked)}", *lines, *steps]
    return "\n  ".join([title_of(layer), *lines])


def tree(module: Module) -> str:
    """Return the tree of modules with shapes and counts, as print(module) shows it; equal neighbours are shown once."""
    return "\n".join(_tree(module))


def _own(module: Module) -> list[str]:
    return [f"{name} {part.shape}" for name, part in module.parts() if isinstance(part, Parameter)]


def _tree(module: Module) -> list[str]:
    count = module.parameter_count()
    facts = _own(module) + ([f"{count:,} parameters"] if count else [])
    lines = [title_of(module) + (": " + ", ".join(facts) if facts else "")]
    groups: list[tuple[list[str], list[str]]] = []
    for name, child in module.children().items():
        below = _tree(child)
        if groups and groups[-1][1] == below and name.isdigit():
            groups[-1][0].append(name)
        else:
            groups.append(([name], below))
    for names, below in groups:
        label = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
        times = "" if len(names) == 1 else f"{len(names)} x "
        lines.append(f"  {label}  {times}{below[0]}")
        lines.extend("  " + line for line in below[1:])
    return lines
