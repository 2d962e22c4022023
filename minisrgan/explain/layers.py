"""A module's tree as text, and the calculations of its layers for an input."""

import inspect
from itertools import groupby
from types import SimpleNamespace
from typing import Any

from minisrgan.backend import is_array, to_numpy
from minisrgan.explain.record import Step, record, title_of
from minisrgan.explain.worked import WORKED
from minisrgan.nn import Module, Parameter


class Text(str):
    """Text of several lines; a notebook shows it as print() does."""

    def __repr__(self) -> str:
        """Return the lines themselves, not one line with escaped line breaks."""
        return str(self)


def explain_layers(module: Module, *inputs: Any, at: tuple[int, ...] | None = None) -> Text:
    """Return formula, shapes and the calculation of one output element for every layer, in the order in which they run.

    at  the element, a position in the layer's output; by default one in the middle of the first image

    Also called ``module.explain(x)``. Layers, the operations between them (such as the addition of a skip connection)
    and the sources of their inputs are named by their paths. The module is not changed (`minisrgan.explain.record`).

    >>> from minisrgan import Tensor, nn
    >>> nn.PReLU(1).explain(Tensor([[-4.0]]))
    PReLU
      y = x where x > 0, else a x; PReLU learns a = slope[c], leaky ReLU has a fixed one, ReLU has a = 0
      x (1, 1), slope (1,) -> y (1, 1)
      x[0, 0] = -4 is not above 0: the slope is a = 0.25
      y[0, 0] = 0.25 * -4 = -1
    """
    return Text("\n\n".join(_explained(step, at) for step in record(module, *inputs) if step.op != "input"))


def _explained(step: Step, at: tuple[int, ...] | None) -> str:
    title = f"{step.path}: {step.title}" if step.path else step.title
    given, shapes = {}, []
    for name, x in step.inputs.items():
        value = given[name] = x.value if isinstance(x, Step) else x
        source = f" of {x.name or x.op}" if isinstance(x, Step) and x.op != "input" else ""
        shapes += [f"{name} {value.shape}{source}" if is_array(value) else f"{name} = {value}"]
    lines = [f"{', '.join(shapes)} -> y {step.value.shape}"]
    if worked := WORKED.get(step.op):
        arrays = {name: to_numpy(value) if is_array(value) else value for name, value in given.items()}
        at = at or (0, *(size // 2 for size in step.value.shape[1:]))
        told = worked(SimpleNamespace(op=step.op, **arrays, **step.options), at)
        lines = [f"{inspect.getdoc(worked)}", *lines, *told]
    return "\n  ".join([title, *lines])


def tree(module: Module) -> str:
    """Return the tree of modules with shapes and counts, as print(module) shows it; equal neighbours are shown once."""
    return "\n".join(_tree(module))


def _tree(module: Module) -> list[str]:
    count = module.parameter_count()
    facts = [f"{name} {part.shape}" for name, part in module.parts() if isinstance(part, Parameter)]
    facts += [f"{count:,} parameters"] if count else []
    lines = [title_of(module) + (": " + ", ".join(facts) if facts else "")]
    children = [(name, _tree(child)) for name, child in module.children().items()]
    for (below, _), group in groupby(children, lambda part: (part[1], part[0].isdigit() or part[0])):
        first, *others = (name for name, _ in group)
        label = f"{first}-{others[-1]}  {len(others) + 1} x " if others else f"{first}  "
        lines += [f"  {label}{below[0]}", *(f"  {line}" for line in below[1:])]
    return lines
