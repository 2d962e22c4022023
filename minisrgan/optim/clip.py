"""Clipping gradients to a largest norm."""

import math
from typing import Any

from minisrgan import kernels
from minisrgan.autograd.arguments import require_number
from minisrgan.backend import Array, array_module, to_floats
from minisrgan.errors import ArgumentError
from minisrgan.optim.optimizer import parameters_of


def grad_norm(parameters: Any) -> float:
    """Return the Euclidean norm of all gradients together, sqrt(sum g^2). See `Optimizer` for parameters.

    >>> from minisrgan import Tensor
    >>> from minisrgan.nn import Parameter
    >>> p = Parameter([1.0, 1.0]); (p * Tensor([3.0, 4.0])).sum().backward()
    >>> grad_norm([p])
    5.0
    """
    return math.sqrt(to_floats([squared_norm(parameters)])[0])


def squared_norm(parameters: Any) -> Array:
    """Return the square of `grad_norm` as an array of one number, without waiting for the GPU."""
    parameters = parameters_of("grad_norm", parameters)
    grads = [(p.grad.data,) for p in parameters if p.grad is not None]
    return kernels.square_sum(grads) if grads else array_module(parameters[0].data).zeros((), parameters[0].dtype)


def clip_grad_norm(parameters: Any, max_norm: float) -> float:
    """Scale all gradients by one factor so that their norm is at most max_norm; return the original norm.

    Formula   g <- g * min(1, max_norm / norm)
    Errors    ArgumentError unless max_norm > 0 (infinity clips nothing), or for parameters that an optimizer refuses.
    Source    Pascanu et al. 2013, arXiv 1211.5063, alg. 1.
    """
    parameters = parameters_of("clip_grad_norm", parameters)
    if not (max_norm := require_number("clip_grad_norm", "max_norm", max_norm)) > 0:
        raise ArgumentError("clip_grad_norm", expected="max_norm > 0", got=repr(max_norm), fix="1.0 is usual")
    norm = grad_norm(parameters)
    for parameter in parameters:
        if norm > max_norm and parameter.grad is not None:
            parameter.grad.data *= max_norm / norm
    return norm
