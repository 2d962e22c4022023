"""Clipping gradients to a largest norm."""

from __future__ import annotations

import math
from collections.abc import Iterable

from minisrgan import kernels
from minisrgan.autograd import Tensor
from minisrgan.backend import to_floats


def grad_norm(parameters: Iterable[Tensor]) -> float:
    """Return the Euclidean norm of all gradients together, sqrt(sum g^2).

    >>> from minisrgan.nn import Parameter
    >>> p = Parameter([1.0, 1.0]); (p * Tensor([3.0, 4.0])).sum().backward()
    >>> grad_norm([p])
    5.0
    """
    flat = [parameter.grad.data.reshape(-1) for parameter in parameters if parameter.grad is not None]
    return math.sqrt(sum(to_floats([kernels.matmul(g[None], g[:, None]) for g in flat])))


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor so that their norm is at most max_norm; return the norm before.

    Formula   g <- g * min(1, max_norm / norm)
    Source    Pascanu et al. 2013, arXiv 1211.5063, alg. 1.
    """
    parameters = list(parameters)
    norm = grad_norm(parameters)
    if norm > max_norm:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.data *= max_norm / norm
    return norm
