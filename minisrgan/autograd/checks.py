"""The checks of the engine and their errors: wrong shapes, numbers that are not finite, mixed devices or dtypes.

`tensor`, `function` and `engine` call these functions where something may go wrong. The errors and their advice are
written here, so that those three files show the algorithm only. The last part checks what modules and optimizers are
given.
"""

from collections.abc import Iterator, Mapping, Sequence, Set, ValuesView
from typing import Any

import numpy as np

from minisrgan.autograd.arguments import require_flag
from minisrgan.autograd.modes import is_grad_enabled
from minisrgan.autograd.protocols import Protocols, _flat
from minisrgan.backend import Array, array_module, is_array, to_numpy
from minisrgan.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradientError,
    MinisrganError,
    NonFiniteError,
    ShapeError,
    WeightsError,
)  # fmt: skip


def check_finite(array: Array, what: str, expected: str, line: str) -> None:
    """Raise NonFiniteError if a number is not finite; it has the count and the line that computed the array."""
    xp = array_module(array)
    bad = array.size - int(xp.isfinite(array).sum())
    if bad:
        nan = int(xp.isnan(array).sum())
        got = f"{bad:,} of {array.size:,} values not finite ({nan:,} NaN, {bad - nan:,} infinite)"
        raise NonFiniteError(what, expected=expected, got=got, fix=f"look at the inputs of this line: {line}")


def require_like(error: type[MinisrganError], what: str, given: Any, like: Any, expected: str, fix: str) -> None:
    """Check that an array or tensor has the same shape and dtype as another one."""
    if given.shape != like.shape or given.dtype != like.dtype:
        expected = f"{expected} {like.shape}, {like.dtype}"
        raise error(what, expected=expected, got=f"{given.shape}, {given.dtype}", fix=fix)


def require_gradient(tensor: Any, what: str) -> None:
    """Check that a tensor gets a gradient."""
    if not tensor.requires_grad:
        expected, got = "a tensor that gets a gradient", "requires_grad False"
        raise GradientError(what, expected=expected, got=got, fix="set requires_grad=True on an input")


def require_writable(tensor: Any, what: str, instead: str) -> None:
    """Check that a tensor about to be changed in place is a leaf, and that nothing is being recorded."""
    if is_grad_enabled() or tensor._node is not None:
        got = f"the result of {tensor._node.name}" if tensor._node else "a leaf while operations are being recorded"
        fix = f"to update a parameter: with no_grad(): {what}; to compute with it: {instead}"
        raise GradientError(what, expected="a leaf under no_grad, as x changes in place", got=got, fix=fix)


def require_replacement(replaced: Any, gradient: Any) -> None:
    """Check the gradient that a hook returned in place of another one."""
    fix = "compute with Tensors, or return None to leave the gradient as it is"
    if not isinstance(replaced, Protocols):
        raise GradientError("a hook", expected="a Tensor or None", got=type(replaced).__name__, fix=fix)
    require_like(GradientError, "a hook", replaced, gradient, "a gradient like the one it was given,", fix)


def require_gradients(node: Any, parts: Sequence[Any], dtype: Any, finite: bool) -> None:
    """Check the result of a node's ``backward``: for each input None, or a Tensor of its shape (finite, if asked)."""
    what = f"backward of {node.name}"
    if len(parts) != len(node.parents):
        expected = f"{len(node.parents)} gradients, one for each input"
        fix = "return None for an input without a gradient"
        raise GradientError(what, expected=expected, got=str(len(parts)), fix=fix)
    for position, (part, parent, shape) in enumerate(zip(parts, node.parents, node.shapes, strict=True)):
        if part is None:
            continue
        if not isinstance(part, Protocols):
            expected = f"a Tensor or None for input {position}"
            fix = "compute it from grad_y, with operations on Tensors"
            raise GradientError(what, expected=expected, got=type(part).__name__, fix=fix)
        array = part._array
        if parent is not None and (array.shape != shape or array.dtype != dtype):
            expected = f"for input {position}, a gradient of its shape {shape}, {dtype}"
            fix = "sum the gradient over the axes along which the input was broadcast"
            raise GradientError(what, expected=expected, got=f"{array.shape}, {array.dtype}", fix=fix)
        if finite and parent is not None:
            check_finite(array, what, f"a finite gradient of input {position}", node.line or "unknown")


def mixture(op: str, named: Sequence[tuple[str, Any]]) -> MinisrganError:
    """Return the error for tensors on different devices or of different dtypes; ``named`` has argument names."""
    if len({v.device for _, v in named}) > 1:
        got = ", ".join(f"{name} on {v.device}" for name, v in named)
        fix = f"move one: {named[1][0]}.to({named[0][1].device!r})"
        return DeviceError(op, expected="arrays of one device", got=got, fix=fix)
    got = ", ".join(f"{name} {v.dtype}" for name, v in named)
    wide = next(name for name, v in named if v.dtype == np.float64)
    fix = f"convert one: Tensor({wide}.data.astype(np.float32))"
    return DTypeError(op, expected="one dtype, not 2", got=got, fix=fix)


def changed(op: str, what: str) -> GradientError:
    """Return the error for an array that a node saved and that was changed in place afterwards."""
    got = "an array that has been changed in place since, as optimizer.step(), load_state_dict, x -= ... do"
    fix = "call backward before the change, or compute the result again after it"
    return GradientError(f"backward of {op}", expected=f"{what}, as it was in the forward pass", got=got, fix=fix)


def used_up(op: str) -> GradientError:
    """Return the error for a graph that is walked again although its nodes were released."""
    got = f"a part of it, {op}, that an earlier backward released"
    fix = "pass retain_graph=True to the first backward, or compute the result again"
    return GradientError("backward", expected="a graph that has not been used up", got=got, fix=fix)


def no_path(position: int) -> GradientError:
    """Return the error for an input from which the outputs were not computed."""
    expected = f"input {position} to be part of the outputs' graph"
    fix = "check requires_grad, a detach() or a no_grad block between them"
    return GradientError("grad", expected=expected, got="no path from the outputs leads to it", fix=fix)


def no_history(shape: tuple[int, ...]) -> GradientError:
    """Return the error for a result that was not recorded."""
    expected = "a tensor computed from one that requires a gradient"
    fix = "set requires_grad=True on an input, and compute outside no_grad"
    return GradientError("backward", expected=expected, got=f"a tensor of shape {shape} without history", fix=fix)


def no_scalar(shape: tuple[int, ...]) -> GradientError:
    """Return the error for a backward pass that starts at several elements without a given gradient."""
    fix = "take .sum() or .mean() first, or pass the gradient of the result"
    return GradientError("backward", expected="a scalar, or grad_output", got=f"a tensor of shape {shape}", fix=fix)


def no_seed(seed: bool) -> GradientError:
    """Return the error for a switch in the place of the gradient of the result."""
    fix = "name the switch: create_graph=True, retain_graph=True"
    return GradientError("backward", expected="dL/dy as grad_output, or None", got=str(seed), fix=fix)


# What modules and optimizers are given


def keeps_graph(create_graph: Any, retain_graph: Any) -> bool:
    """Return retain_graph, by default equal to create_graph; check that both are switches."""
    create_graph = require_flag("backward", "create_graph", create_graph)
    return create_graph if retain_graph is None else require_flag("backward", "retain_graph", retain_graph)


def require_output(what: str, y: Any) -> Any:
    """Return what the forward of a module returned: a Tensor, or a tuple, list or dict with at least one."""
    if isinstance(y, Protocols) or any(isinstance(part, Protocols) for part in _flat(y)):
        return y
    fix = "compute it with Tensors and ops: an array has lost the gradient"
    fix = "end forward with a return of its result" if y is None else fix
    expected = "a Tensor as the result, or a tuple, list or dict of Tensors"
    raise DTypeError(f"forward of {what}", expected=expected, got=type(y).__name__, fix=fix)


def tensors_of(what: str, name: str, given: Any) -> list[Any]:
    """Return a list of Tensors, given one, a list or a generator; refuse anything else."""
    tensors = list(given) if isinstance(given, list | tuple | Iterator | ValuesView) else [given]
    for tensor in tensors:
        if not isinstance(tensor, Protocols):
            fix = "give the Tensor itself, which knows how it was computed"
            fix = "give its parameters()" if hasattr(tensor, "parameters") else fix
            fix = "give its values()" if isinstance(tensor, Mapping) else fix
            fix = "give a list: its order is that of the results" if isinstance(tensor, Set) else fix
            expected = f"a Tensor, or a list of Tensors, as {name}"
            raise DTypeError(what, expected=expected, got=type(tensor).__name__, fix=fix)
    return tensors


def state_of(what: str, state: Any) -> dict[str, Any]:
    """Return a state, a dict of arrays or Tensors by name, as a dict of arrays; refuse anything else."""
    if not isinstance(state, Mapping):
        fix = "read a file with weights.load_generator(path), or its arrays with weights.load_state(path)[0]"
        fix = "give its state_dict()" if hasattr(state, "state_dict") else fix
        raise WeightsError(what, expected="a dict of arrays by name", got=type(state).__name__, fix=fix)
    return {name: value._array if isinstance(value, Protocols) else value for name, value in state.items()}


@np.errstate(over="ignore")  # 1e300 is infinite in float32
def require_state(what: str, given: Any, ours: Mapping[str, Array]) -> dict[str, Any]:
    """Return a state of the names and shapes of ours, with finite floats; the error lists all that differs."""
    state = state_of(what, given)
    problems = [f"missing: {name} {value.shape}" for name, value in ours.items() if name not in state]
    problems += [f"unexpected: {name} {np.shape(value)}" for name, value in state.items() if name not in ours]
    for name in ours.keys() & state.keys():
        value, dtype = state[name], ours[name].dtype
        if not is_array(value):
            problems.append(f"values of {name}: {type(value).__name__}, not a plain array")
        elif value.shape != ours[name].shape:
            problems.append(f"shape of {name}: {value.shape}, but the model has {ours[name].shape}")
        elif value.dtype.kind != "f" or not np.isfinite(to_numpy(value).astype(dtype, copy=False)).all():
            problems.append(f"values of {name}: {value.dtype}, not all of them finite floats in {dtype}")
    if problems:
        shown = sorted(problems)[:20] + ([f"... and {len(problems) - 20} more"] if len(problems) > 20 else [])
        fix = "build the model with the settings that the weights were saved with"
        raise WeightsError(what, expected=f"one entry for each of {len(ours)} arrays", got=shown, fix=fix)
    return state


def gradients_given(what: str, parameters: Sequence[Any], some: bool = False) -> dict[int, Array]:
    """Return the gradients that parameters have, by position; refuse what is not a Tensor like its parameter.

    some  refuse parameters of which none has a gradient
    """
    found = {}
    for position, parameter in enumerate(parameters):
        grad: Any = parameter.grad
        if grad is None:
            continue
        array = grad._array if isinstance(grad, Protocols) else None
        if array is None or (array.shape, array.dtype) != (parameter.shape, parameter.dtype):
            expected = f"a .grad like parameter {position}, {parameter.shape}, {parameter.dtype}"
            got = f"{type(grad).__name__} {getattr(grad, 'shape', '')}, {getattr(grad, 'dtype', '')}"
            raise GradientError(what, expected=expected, got=got, fix="let backward() fill it")
        found[position] = array
    if some and not found:
        expected, got = "a gradient of at least one parameter", f"none, for {len(parameters)} parameters"
        fix = "zero_grad() before backward(), not after it; give the parameters of the network that made the loss"
        raise GradientError(what, expected=expected, got=got, fix=fix)
    return found


def require_logits(what: str, logits: Any) -> Any:
    """Return logits; refuse a batch of RGB images, which a discriminator takes and does not return, and no array."""
    shape = getattr(logits, "shape", None)
    if shape is None or (len(shape) == 4 and shape[3] == 3):
        got = f"images, {shape}" if shape else type(logits).__name__
        fix = "give what the discriminator returns for the images: discriminator(images)"
        raise ShapeError(what, expected="logits, such as (N, 1)", got=got, fix=fix)
    return logits


def require_module(what: str, module: Any) -> Any:
    """Return a module; refuse anything else, such as a class or a function."""
    if isinstance(module, type) or not hasattr(module, "named_modules"):
        raise ArgumentError(what, expected="a module", got=type(module).__name__, fix="pass the network itself")
    return module


def require_entries(what: str, given: Mapping[str, Array], ours: Mapping[str, Array], fix: str) -> None:
    """Check that two states have the same names and shapes."""
    shapes = [{name: array.shape for name, array in state.items()} for state in (ours, given)]
    if changed := [name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name)]:
        got, expected = f"{len(changed)} others, such as {changed[0]}", f"the {len(ours)} arrays that it started with"
        raise ArgumentError(what, expected=expected, got=got, fix=fix)
