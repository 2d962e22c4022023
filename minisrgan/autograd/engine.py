"""Reverse-mode differentiation: walk the graph once, results before inputs, and let each node pass its gradient on.

    dL/dx = sum over every y that is computed directly from x of  dL/dy * dy/dx

A node's gradient is complete when every node that used its result has been visited. A topological order guarantees
this, in time linear in the number of nodes, even if many paths lead through them. Ordering and visiting are loops
instead of recursion, because a graph may be deeper than Python's stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from minisrgan.autograd import checks, modes
from minisrgan.autograd.function import Function
from minisrgan.autograd.function import vertex_of as vertex_of
from minisrgan.autograd.profile import profiler
from minisrgan.autograd.tensor import Operand, Tensor
from minisrgan.backend import array_module, as_number
from minisrgan.errors import NonFiniteError, ShapeError

Vertex: TypeAlias = Function | Tensor  # a node, or a leaf
Table: TypeAlias = dict[int, tuple[Tensor, bool]]  # id of a vertex -> (its gradient so far, owned)


def backward(root: Tensor, grad_output: Operand | None, create_graph: bool, retain_graph: bool | None) -> None:
    """Add the gradient of each leaf, and of each tensor after `retain_grad`, to its `.grad`; see `Tensor.backward`."""
    for vertex, grad, owned in propagate([root], [grad_output], None, create_graph, retain_graph):
        tensor = vertex if isinstance(vertex, Tensor) else vertex.keeper() if vertex.keeper else None
        if tensor is not None:
            tensor.grad = _own(grad, owned) if tensor.grad is None else tensor.grad + grad


def grad(
    outputs: Tensor | Iterable[Tensor], inputs: Tensor | Iterable[Tensor], grad_outputs: Any = None,
    create_graph: bool = False, retain_graph: bool | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Return dL/dx for each of the inputs, leaving every `.grad` as it is.

    outputs       a tensor or several, whose gradients add up
    inputs        the tensors to differentiate with respect to: leaves or intermediate results
    grad_outputs  dL/d(output) for each output; may be left out for scalars, where it is 1
    create_graph  record the computation, so that the result can be differentiated again
    retain_graph  keep the saved arrays for a second backward pass; by default as create_graph
    Errors        GradientError if an input is not in the graph of the outputs, or if an output with several elements
                  has no grad_output; ShapeError for grad_outputs of another number or shape; DTypeError for outputs
                  or inputs that are no Tensors

    Only the part of the graph between inputs and outputs is computed.

    >>> from minisrgan import Tensor
    >>> x = Tensor([3.0], requires_grad=True)
    >>> (dx,) = grad((x ** 3).sum(), x, create_graph=True); dx.item()        # 3 x^2
    27.0
    >>> (ddx,) = grad(dx.sum(), x); ddx.item()                               # 6 x
    18.0
    """
    roots, targets = checks.tensors_of("grad", "outputs", outputs), checks.tensors_of("grad", "inputs", inputs)
    seeds = [None] * len(roots) if grad_outputs is None else _as_list(grad_outputs)
    if len(seeds) != len(roots):
        raise ShapeError("grad", expected=f"{len(roots)} grad_outputs", got=str(len(seeds)), fix="give one each")
    vertices = [vertex_of(x) for x in targets]
    results = propagate(roots, seeds, vertices, create_graph, retain_graph)
    found = {id(vertex): _own(gradient, owned) for vertex, gradient, owned in results}
    for position, vertex in enumerate(vertices):
        if id(vertex) not in found:
            raise checks.no_path(position)
    return tuple(found[id(vertex)] for vertex in vertices)


def propagate(
    roots: Sequence[Tensor], seeds: Sequence[Any], targets: Sequence[Vertex] | None,
    create_graph: bool, retain_graph: bool | None,
) -> list[tuple[Vertex, Tensor, bool]]:  # fmt: skip
    """Return (vertex, gradient, owned) for each target; if targets is None, for leaves and after `retain_grad`.

    The table has, for each vertex reached, its gradient so far and whether the engine owns that array. The first
    gradient that arrives may be borrowed: an addition passes the same array to both inputs. Its sum with the second
    gradient is a new array, which the engine owns. Later gradients are added to that array in place.
    """
    retain_graph = checks.keeps_graph(create_graph, retain_graph)
    order = topological_order([vertex_of(root) for root in roots])
    wanted = None if targets is None else {id(target) for target in targets}
    useful = _leading_to(order, wanted)
    table: Table = {}
    for root, seed in zip(roots, seeds, strict=True):
        _accumulate(table, vertex_of(root), seed_of(root, seed), False, create_graph)

    results: list[tuple[Vertex, Tensor, bool]] = []
    recorder = profiler.get()
    accumulate = _accumulate if recorder is None else recorder.timed("gradients added", "backward", _accumulate)
    with modes.enable_grad() if create_graph else modes.no_grad():
        while order:
            vertex = order.pop()
            if id(vertex) not in table:
                continue
            gradient, owned = table.pop(id(vertex))
            for hook in [*vertex._hooks.values()]:  # each gets a copy, as a hook may change or keep it
                given = gradient if gradient.requires_grad else Tensor(gradient.data.copy())
                gradient, owned = _after(hook(given), given), False
            retained = isinstance(vertex, Tensor) or vertex.keeper is not None
            if id(vertex) in wanted if wanted is not None else retained:
                results.append((vertex, gradient, owned))
            if isinstance(vertex, Tensor) or id(vertex) not in useful:
                continue
            vertex.needs_grad = tuple(parent is not None and id(parent) in useful for parent in vertex.parents)
            if not any(vertex.needs_grad):
                continue
            ask = gradients_of if recorder is None else recorder.timed(vertex.name, "backward", gradients_of)
            parts = ask(vertex, gradient, create_graph)
            seen = {id(gradient.data), *(id(kept[0]) for kept in vertex._saved)}
            seen |= {id(part.data.base) for part in parts if part is not None}
            for parent, part in zip(vertex.parents, parts, strict=True):
                if parent is not None and part is not None and id(parent) in useful:
                    # Not owned by the engine: a view or its base, a saved array, grad_y, an array returned twice.
                    fresh = part.data.base is None and id(part.data) not in seen
                    seen.add(id(part.data))
                    accumulate(table, parent, part, fresh, create_graph)
            if not retain_graph:
                vertex.release()
    return results


def topological_order(roots: Sequence[Vertex]) -> list[Vertex]:
    """Return every vertex that the roots were computed from, each one after all of its parents."""
    order: list[Vertex] = []
    seen: set[int] = set()
    stack: list[tuple[Vertex, bool]] = [(root, False) for root in roots]
    while stack:
        vertex, parents_done = stack.pop()
        if parents_done:
            order.append(vertex)
        elif id(vertex) not in seen:
            seen.add(id(vertex))
            stack.append((vertex, True))
            stack.extend((parent, False) for parent in _parents(vertex))
    return order


def _leading_to(order: Sequence[Vertex], wanted: set[int] | None) -> set[int]:
    """Return the ids of the vertices that depend on a wanted vertex (if None, on a leaf), and of the wanted ones."""
    if wanted is None:
        wanted = {id(vertex) for vertex in order if isinstance(vertex, Tensor)}
    useful = set(wanted)
    for vertex in order:
        if any(id(parent) in useful for parent in _parents(vertex)):
            useful.add(id(vertex))
    return useful


def gradients_of(node: Function, grad_y: Tensor, create_graph: bool) -> tuple[Tensor | None, ...]:
    """Compute the gradients of a node's inputs, and check their shapes and dtypes."""
    if node.backward_fused is not None and not create_graph:
        arrays = _as_list(node.backward_fused(grad_y.data))
        parts = [None if array is None else Tensor(array) for array in arrays]
    else:
        try:
            parts = _as_list(node.backward(grad_y))
        except NonFiniteError as error:  # raised by an operation inside of backward
            error.what = f"backward of {node.name}, in its {error.what}"
            error.fix = f"look at the inputs of this line: {node.line or 'unknown'}"
            raise
    checks.require_gradients(node, parts, grad_y.dtype, finite=modes.is_anomaly_enabled())
    # A saved leaf that is returned as a gradient is copied: it must not become the .grad of itself or another.
    return tuple(part * 1.0 if part is not None and part.requires_grad and part.is_leaf else part for part in parts)


def _accumulate(table: Table, vertex: Vertex, part: Tensor, fresh: bool, create_graph: bool) -> None:
    """Add a gradient to the sum of those that have arrived at a vertex."""
    if id(vertex) not in table:
        table[id(vertex)] = (part, fresh)
        return
    so_far, owned = table[id(vertex)]
    if owned and not create_graph:
        so_far.data += part.data
    else:
        table[id(vertex)] = (so_far + part, True)


def seed_of(root: Tensor, seed: Any) -> Tensor:
    """Return dL/d(root): the given gradient, or 1 for a scalar."""
    if not root.requires_grad:
        raise checks.no_history(root.shape)
    if isinstance(seed := as_number(seed), bool):
        raise checks.no_seed(seed)
    if seed is None or isinstance(seed, int | float):
        if root.size != 1:
            raise checks.no_scalar(root.shape)
        return Tensor(array_module(root.data).full_like(root.data, 1 if seed is None else seed))
    given = seed if isinstance(seed, Tensor) else Tensor(seed)
    fix = "pass dL/dy, one number for each element of y"
    checks.require_like(ShapeError, "backward", given, root, "grad_output of the result's shape", fix)
    return given


def _own(gradient: Tensor, owned: bool) -> Tensor:
    """Return a gradient that may be changed in place: a borrowed one is copied, unless it is part of a graph."""
    return gradient if owned or gradient.requires_grad else Tensor(gradient.data.copy())


def _after(replaced: Tensor | None, gradient: Tensor) -> Tensor:
    """Return the gradient after a hook: the one that the hook returned, or if it returned None, the one before."""
    if replaced is None:
        return gradient
    checks.require_replacement(replaced, gradient)
    return replaced


def _parents(vertex: Vertex) -> list[Vertex]:
    if isinstance(vertex, Tensor):
        return []
    if vertex.released:
        raise checks.used_up(vertex.name)
    return [parent for parent in vertex.parents if parent is not None]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
