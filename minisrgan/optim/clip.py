"""Clipping gradients to a largest norm."""

import math
from typing import Any

from minisrgan import kernels
from minisrgan.autograd.arguments import setting
from minisrgan.autograd.checks import gradients_given
from minisrgan.backend import Array, array_module, to_floats
from minisrgan.errors import NonFiniteError
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
    grads = [(grad,) for grad in gradients_given("grad_norm", parameters).values()]
    return kernels.square_sum(grads) if grads else array_module(parameters[0].data).zeros((), parameters[0].dtype)


def clip_grad_norm(parameters: Any, max_norm: float) -> float:
    """Scale all gradients by one factor so that their norm is at most max_norm; return the original norm.

    Formula   g <- g * min(1, max_norm / norm)
    Errors    ArgumentError unless max_norm > 0 (infinity clips nothing), or for parameters that an optimizer refuses;
              NonFiniteError if the norm is not finite: with it, every gradient would become 0 or NaN.
    Source    Pascanu et al. 2013, arXiv 1211.5063, alg. 1.
    """
    parameters = parameters_of("clip_grad_norm", parameters)
    max_norm = setting("clip_grad_norm", "max_norm", max_norm, positive=True, closed=True)
    norm = grad_norm(parameters)
    if not math.isfinite(norm):
        raise NonFiniteError("clip_grad_norm", expected="finite gradients", got=f"norm {norm}", fix="see anomaly_mode")
    for parameter in parameters:
        if norm > max_norm and parameter.grad is not None:
            parameter.grad.data *= max_norm / norm
    return norm
