"""Stochastic gradient descent, with momentum."""

from collections.abc import Mapping
from typing import Any

from minisrgan.backend import Array
from minisrgan.optim.optimizer import Optimizer, setting


class SGD(Optimizer):
    """Stochastic gradient descent.

    Formula   v <- momentum v + g
              p <- p - lr v
    momentum  0 follows the gradient; 0.9 averages it over about ten steps, and takes steps ten times as long
    Errors    ArgumentError for numbers out of range, or what `Optimizer` refuses.
    Source    Polyak 1964, in the form of Sutskever et al. 2013 with lr outside v. SRGAN uses `Adam`.

    A parameter without a gradient is left alone.

    >>> from minisrgan.nn import Parameter
    >>> p = Parameter([1.0])
    >>> optimizer = SGD([p], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad(); (p * p).sum().backward(); optimizer.step()
    >>> p.item()                                 # 1 - 0.25 * 2 = 0.5, then v = 0.5 * 2 + 1
    0.0
    """

    def __init__(self, parameters: Any, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr, ("velocity",))
        self.momentum = setting("SGD", "momentum", momentum, 1)

    def update(self, gradients: Mapping[int, Array]) -> None:
        """Take one step of the formula."""
        for i, grad in gradients.items():
            velocity = self.running["velocity"][i]
            velocity *= self.momentum
            velocity += grad
            self.parameters[i].data -= self.lr * velocity
