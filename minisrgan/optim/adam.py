"""Adam: gradient descent with an individual step size for every number."""

from collections.abc import Mapping
from typing import Any

from minisrgan import kernels
from minisrgan.autograd.arguments import setting
from minisrgan.backend import Array
from minisrgan.errors import ArgumentError
from minisrgan.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, alg. 1).

    Formula   m <- beta1 m + (1 - beta1) g              running mean of the gradient
              v <- beta2 v + (1 - beta2) g^2            running mean of its square
              p <- p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
              The divisions by 1 - beta^t correct for starting at 0; t counts the steps of this parameter, so that its
              first step has full size even if its first gradient comes late.
              With weight_decay d, p <- (1 - lr d) p comes first: the decay is not divided by the gradient's size.
    Errors    ArgumentError for numbers out of range, or what `Optimizer` refuses.
    Source    SRGAN sec. 3.2: beta1 0.9; it does not give beta2 and eps, for which we use Adam's. Decoupled decay:
              Loshchilov and Hutter 2017, arXiv 1711.05101, alg. 2; not in SRGAN.

    A parameter without a gradient is not changed.

    >>> from minisrgan.nn import Parameter
    >>> p = Parameter([1.0])
    >>> optimizer = Adam([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step()
    >>> round(p.item(), 6)                       # the first step is lr, whatever the gradient's size
    0.9
    """

    def __init__(
        self, parameters: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, lr, ("mean", "square"))
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentError("Adam", expected="a pair of betas", got=repr(betas), fix="for example (0.9, 0.999)")
        self.betas = setting("Adam", "betas[0]", betas[0], 1), setting("Adam", "betas[1]", betas[1], 1)
        self.eps = setting("Adam", "eps", eps, positive=True)
        self.weight_decay = setting("Adam", "weight_decay", weight_decay)
        self.mean, self.square = self.running.values()

    def update(self, gradients: Mapping[int, Array]) -> None:
        """Take one step of the formula, for all parameters together."""
        groups = [(self.parameters[i].data, self.mean[i], self.square[i], grad) for i, grad in gradients.items()]
        if self.weight_decay:
            for parameter, *_ in groups:
                parameter *= 1 - self.lr * self.weight_decay
        kernels.adam_all(groups, [self.counts[i] for i in gradients], self.lr, self.betas, self.eps)
