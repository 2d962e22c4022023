"""Adam: gradient descent with a step of its own for every parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minisrgan import kernels
from minisrgan.autograd import Tensor, mark_changed
from minisrgan.backend import Array, array_module
from minisrgan.errors import ArgumentError, WeightsError


class Adam:
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, alg. 1).

    Formula   m <- beta1 m + (1 - beta1) g              running mean of the gradient
              v <- beta2 v + (1 - beta2) g^2            running mean of its square
              p <- p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
              The divisions by 1 - beta^t correct for starting at 0; t counts the steps.
    lr        may be changed between steps: ``optimizer.lr = ...``
    Errors    ArgumentError for numbers out of range, or no parameters.
    Source    SRGAN sec. 3.2: beta1 0.9; beta2 and eps are not given there, we take Adam's own.

    A parameter without a gradient is left alone.

    >>> from minisrgan.nn import Parameter
    >>> p = Parameter([1.0])
    >>> optimizer = Adam([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step()
    >>> round(p.item(), 6)                       # the first step is lr, whatever the gradient's size
    0.9
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters or not lr >= 0 or not all(0 <= beta < 1 for beta in betas) or not eps > 0:
            got = f"{len(self.parameters)} parameters, lr {lr}, betas {betas}, eps {eps}"
            fix = "pass model.parameters() and a learning rate such as 1e-4"
            raise ArgumentError("Adam", expected="parameters, lr >= 0, betas in [0, 1), eps > 0", got=got, fix=fix)
        self.lr, self.betas, self.eps, self.steps = lr, betas, eps, 0
        self.mean = [array_module(p.data).zeros(p.shape, p.dtype) for p in self.parameters]
        self.square = [array_module(p.data).zeros(p.shape, p.dtype) for p in self.parameters]

    def step(self) -> None:
        """Change every parameter by its gradient."""
        self.steps += 1
        for parameter, mean, square in zip(self.parameters, self.mean, self.square, strict=True):
            if parameter.grad is not None:
                kernels.adam(
                    parameter.data, parameter.grad.data, mean, square, self.lr, self.betas, self.eps, self.steps
                )
                mark_changed(parameter.data)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Return the running means, ``mean.0``, ``square.0`` ..., shared with the optimizer, not copied."""
        pairs = {"mean": self.mean, "square": self.square}
        return {f"{name}.{i}": array for name, arrays in pairs.items() for i, array in enumerate(arrays)}

    def load_state_dict(self, state: Mapping[str, Array], steps: int) -> None:
        """Continue from saved running means after a number of steps."""
        ours = self.state_dict()
        if ours.keys() != state.keys() or any(ours[k].shape != state[k].shape for k in ours):
            told = f"{len(ours)} running means of the parameters' shapes"
            fix = "build the model with the settings that were saved"
            raise WeightsError("Adam.load_state_dict", expected=told, got=f"{len(state)} others", fix=fix)
        for name, array in ours.items():
            array[...] = array_module(array).asarray(state[name])
        self.steps = steps
