"""An exponential moving average of a network's weights, often better than the weights of any one step."""

from minisrgan import kernels
from minisrgan.autograd import mark_changed
from minisrgan.autograd.arguments import setting
from minisrgan.autograd.checks import require_entries, require_module
from minisrgan.backend import Array
from minisrgan.nn import Module


class EMA:
    """The running mean of all parameters and running statistics of a module.

    module    the module to average; its current arrays are copied
    Formula   average <- d * average + (1 - d) * value, d = min(decay, (1 + t) / (10 + t)) at the t-th update:
              at the start the average is over the few steps so far
    decay     0.999 averages over about a thousand steps
    Errors    ArgumentError unless module is a Module and 0 <= decay < 1.
    Source    Polyak and Juditsky 1992; for GANs Yazici et al. 2018, arXiv 1806.04498. Not in SRGAN.

    >>> from minisrgan.nn import PReLU
    >>> module = PReLU(1)
    >>> average = EMA(module, 0.999)
    >>> module.weight.data += 1; average.update(); average.average["weight"].round(3)    # 0.25 + 9/11
    array([1.068], dtype=float32)
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = require_module("EMA", module)
        self.decay, self.steps = setting("EMA", "decay", decay, 1), 0
        self.average: dict[str, Array] = {name: array.copy() for name, array in module.state_dict().items()}

    def update(self) -> None:
        """Update the average with the current values of the module; ArgumentError if it has other layers now."""
        state = self.module.state_dict()
        require_entries("EMA.update", state, self.average, "make a new EMA after the last change of the layers")
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        pairs = [(self.average[name], value) for name, value in state.items()]
        kernels.follow(pairs, 1 - keep)
        for average, _ in pairs:
            mark_changed(average)
