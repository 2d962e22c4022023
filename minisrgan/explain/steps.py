"""The backward pass of a graph, described step by step: `explain`."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TypeAlias

from minisrgan.autograd import Function, Operand, Tensor, no_grad
from minisrgan.autograd.engine import gradients_of, seed_of, topological_order, vertex_of

Names: TypeAlias = Mapping[str, Tensor]


def explain(tensor: Tensor, grad_output: Operand | None = None, names: Names | None = None, limit: int = 40) -> str:
    """Describe the backward pass step by step: operation, formula, shapes, time, and the norm of each gradient.

    grad_output  dL/d(tensor); may be left out for a scalar, where it is 1
    names        names for leaves and results, such as ``dict(model.named_parameters())``
    limit        number of steps and leaves to describe; all are computed
    Errors       as `Tensor.backward`.

    The norm is sqrt(sum g^2). ``loss.explain()`` prints the result. Nothing is changed: every `.grad` stays as it is,
    the graph can still be used, hooks are not called.

    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> print(explain((x * x).sum(), names={"x": x}))
    Backward pass: 2 steps to 1 leaves. grad_y is dL/d(result of the step).
    <BLANKLINE>
    step 1  sum                                                       ... ms
            dy/dx_i = 1: grad_y is repeated along the axes that were summed.
            grad_y          ()                norm 1
            grad_x          (2,)              norm 1.414        to step 2, multiply
    <BLANKLINE>
    step 2  multiply                                                  ... ms
            dy/da = b, dy/db = a: each gradient is grad_y times the other input, summed over broadcast axes.
            grad_y          (2,)              norm 1.414
            grad_a          (2,)              norm 5            to leaf x
            grad_b          (2,)              norm 5            to leaf x
    <BLANKLINE>
    leaf x                  (2,)              norm 10           the sum of 2 gradients
    """
    order = topological_order([vertex_of(tensor)])[::-1]
    nodes = [vertex for vertex in order if isinstance(vertex, Function)]
    leaves = [vertex for vertex in order[::-1] if isinstance(vertex, Tensor)]
    called = names_of(names, nodes)
    place = {id(node): f"step {step}, {node.name}" for step, node in enumerate(nodes, 1)}
    place |= {id(leaf): f"leaf {called.get(id(leaf), '')}" for leaf in leaves}
    lines = [f"Backward pass: {len(nodes)} steps to {len(leaves)} leaves. grad_y is dL/d(result of the step)."]
    if max(len(nodes), len(leaves)) > limit:
        lines.append(f"This graph is large: only the first {limit} steps and leaves are shown (limit={limit}).")
    arrived = {id(order[0]): [seed_of(tensor, grad_output)]}
    with no_grad():
        for step, node in enumerate(nodes, 1):
            if id(node) not in arrived:
                continue
            grad_y = reduce(add, arrived.pop(id(node)))
            node.needs_grad = tuple(parent is not None for parent in node.parents)
            start = time.perf_counter()
            parts = gradients_of(node, grad_y, create_graph=False)
            milliseconds = 1000 * (time.perf_counter() - start)
            facts = [*gradient_formula(type(node)).splitlines(), _described("grad_y", grad_y.shape, grad_y)]
            for position, (parent, part) in enumerate(zip(node.parents, parts, strict=True)):
                if parent is None or part is None:
                    part, to = None, "no gradient: a constant"
                else:
                    arrived.setdefault(id(parent), []).append(part)
                    to = f"to {place[id(parent)]}"
                facts.append(_described(f"grad_{node.argument(position)}", node.shapes[position], part, to))
            if step <= limit:
                title = f"{f'step {step}':<7} {node.name}  {called.get(id(node), '')}"
                lines += ["", f"{title:<65} {milliseconds:.2f} ms", *(" " * 8 + line for line in facts)]
        lines.append("")
        for leaf in [leaf for leaf in leaves if id(leaf) in arrived][:limit]:
            grads = arrived[id(leaf)]
            note = f"the sum of {len(grads)} gradients" if len(grads) > 1 else ""
            lines.append(_described(place[id(leaf)], leaf.shape, reduce(add, grads), note, 23))
    return "\n".join(lines)


def gradient_formula(function: type[Function]) -> str:
    """Return the section Gradient of the docstring of a Function, or of the operation that applies it.

    The operation is the function of the same name in the same module; for batch_norm_training it is batch_norm.

    >>> from minisrgan.ops.activation import Tanh
    >>> gradient_formula(Tanh)
    'dy/dx = 1 - y^2'
    """
    module = sys.modules[function.__module__]
    public = [name for name, value in vars(module).items() if inspect.isfunction(value)]
    owner = max((name for name in public if f"{function.name}_".startswith(f"{name}_")), key=len, default="")
    return section(f"{inspect.getdoc(function)}\n{inspect.getdoc(getattr(module, owner, function))}", "Gradient")


def section(text: str, title: str) -> str:
    """Return the section of a docstring with a given title, without the title.

    >>> section("Twice.\\n\\nFormula   y = 2 x\\n          or x + x\\nGradient  2", "Formula")
    'y = 2 x\\nor x + x'
    """
    found = re.search(rf"^{title} .*(\n .*)*", text, re.MULTILINE)
    return textwrap.dedent(found[0].replace(title, " " * len(title), 1)) if found else ""


def names_of(names: Names | None, nodes: Sequence[Function]) -> dict[int, str]:
    """Return the name of each leaf and named result; the default is a parameter's path, else the argument's name."""
    inputs = [(parent, node.argument(i)) for node in nodes for i, parent in enumerate(node.parents)]
    called = {id(parent): parent.name or argument for parent, argument in inputs if isinstance(parent, Tensor)}
    return called | {id(vertex_of(tensor)): name for name, tensor in (names or {}).items()}


def _described(name: str, shape: tuple[int, ...], gradient: Tensor | None, note: str = "", width: int = 15) -> str:
    """Describe a gradient in one line: name, shape, norm."""
    norm = "" if gradient is None else f"norm {float((gradient * gradient).sum().data) ** 0.5:.4g}"
    return f"{name:<{width}} {shape!s:<17} {norm:<16} {note}".rstrip()
