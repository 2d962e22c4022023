"""The base class of optimizers, which checks parameters, counts steps and saves the state; and SGD."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from minisrgan.autograd import Tensor, mark_changed
from minisrgan.autograd.arguments import require_sizes, setting
from minisrgan.autograd.checks import gradients_given, require_state
from minisrgan.backend import Array, array_module, as_number
from minisrgan.errors import ArgumentError
from minisrgan.nn import Module, Parameter


class Optimizer:
    """The base class of all optimizers; a subclass writes `update`.

    parameters  a module, a parameter, or a list or generator of them
    lr          learning rate; may be changed between steps: ``optimizer.lr = ...``
    running     names of the arrays that are kept for each parameter, such as a running mean of its gradients
    counts      the number of steps of each parameter; a parameter without a gradient takes no step

    Errors      ArgumentError for other values, a repeated parameter, or a learning rate that is not a number >= 0.
    """

    def __init__(self, parameters: Any, lr: float, running: Sequence[str] = ()) -> None:
        self.name = type(self).__name__
        self.parameters = parameters_of(self.name, parameters)
        self.lr = setting(self.name, "lr", lr)
        self.counts = [0] * len(self.parameters)
        self.running: dict[str, list[Array]] = {
            name: [array_module(p.data).zeros(p.shape, p.dtype) for p in self.parameters] for name in running
        }

    @property
    def steps(self) -> int:
        """The number of steps: the largest of ``counts``."""
        return max(self.counts)

    def step(self) -> None:
        """Change every parameter by its gradient; GradientError if no parameter has one."""
        self.lr = setting(self.name, "lr", self.lr)
        gradients = gradients_given(f"{self.name}.step", self.parameters, some=True)
        for position in gradients:
            self.counts[position] += 1
            mark_changed(self.parameters[position].data)
        self.update(gradients)

    def update(self, gradients: Mapping[int, Array]) -> None:
        """Change the parameters at these positions in place, by their gradients."""
        raise NotImplementedError(f"{self.name} has no update method")

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Return the running arrays, such as ``mean.0``, ``mean.1`` ..., shared with the optimizer, not copied."""
        return {f"{name}.{i}": array for name, arrays in self.running.items() for i, array in enumerate(arrays)}

    def load_state_dict(self, state: Mapping[str, Array], steps: int | Sequence[int]) -> None:
        """Restore saved running arrays, and the numbers of steps: ``counts``, or one number for all parameters.

        Errors  WeightsError for what is no dict, for other names or shapes, or numbers that are not finite floats;
                ArgumentError unless there is an integer >= 0 for each parameter.
        """
        what = f"{self.name}.load_state_dict"
        ours, steps, count = self.state_dict(), as_number(steps), len(self.counts)
        state = require_state(what, state, ours)
        counts = [*require_sizes(what, "steps", [steps] * count if isinstance(steps, int) else steps, 0, count)]
        for name, array in ours.items():
            array[...] = array_module(array).asarray(state[name])
        self.counts = counts


class SGD(Optimizer):
    """Stochastic gradient descent.

    Formula   v <- momentum v + g
              p <- p - lr v
    momentum  0 follows the gradient; 0.9 averages it over about ten steps, with steps that are ten times as long
    Errors    ArgumentError for numbers out of range, or what `Optimizer` refuses.
    Source    Polyak 1964, in the form of Sutskever et al. 2013 with lr outside v. SRGAN uses `Adam`.

    A parameter without a gradient is not changed.

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


def parameters_of(what: str, given: Any) -> list[Tensor]:
    """Return a list of parameters, given a module, a list or generator, or one parameter; refuse anything else."""

    def refuse(got: str, fix: str) -> ArgumentError:
        return ArgumentError(what, expected="parameters, each once, or a module", got=got, fix=fix)

    if isinstance(given, Mapping | Set | str) or not isinstance(given, Module | Iterable):
        raise refuse(type(given).__name__, "pass model.parameters()")
    given = given.parameters() if isinstance(given, Module) else given
    parameters: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    if not parameters:
        raise refuse("none", "pass model.parameters(); a generator can be used only once")
    for position, p in enumerate(parameters):
        if not isinstance(p, Tensor):
            fix = "pass model.parameters()" + (", not named_parameters()" if isinstance(p, tuple) else "")
            raise refuse(f"{type(p).__name__} as entry {position}", fix)
        if p._node is not None:
            fix = "pass the leaf that it was computed from, or detach it and make it a Parameter"
            raise refuse(f"entry {position}, {p.shape}, the result of {p._node.name}", fix)
        if not p.requires_grad and not isinstance(p, Parameter):  # a Parameter may be frozen now and trained later
            raise refuse(f"entry {position}, {p.shape}, a tensor that gets no gradient", "set requires_grad=True")
    if len({id(p) for p in parameters}) < len(parameters):
        raise refuse("a parameter twice", "a module's parameters() lists shared ones once")
    return parameters
