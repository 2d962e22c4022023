"""Fully connected layer; formula and gradient at `minisrgan.ops.linear`."""

from __future__ import annotations

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.nn.init import he_normal
from minisrgan.nn.module import Module, Parameter


class Linear(Module):
    """Multiply (N, in) by a learned weight (in, out) and add a learned bias (out,).

    rng  draws the weight, as in `he_normal`; the bias starts at 0

    >>> import numpy as np
    >>> Linear(3, 2)(Tensor(np.zeros((1, 3), np.float32))).numpy()
    array([[0., 0.]], dtype=float32)
    """

    def __init__(self, in_features: int, out_features: int, *, rng: np.random.Generator | None = None) -> None:
        self.weight = Parameter(he_normal((in_features, out_features), rng))
        self.bias = Parameter(np.zeros(out_features, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in) to (N, out)."""
        return ops.linear(x, self.weight, self.bias)

    def describe(self) -> str:
        """Return inputs and outputs."""
        return f"{self.weight.shape[0]} -> {self.weight.shape[1]}"
