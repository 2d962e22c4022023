"""Hooks, modes, copies and a user's own Functions at their edges: a clear error or the right answer."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, anomaly_mode, enable_grad, grad, is_grad_enabled, nn, no_grad, ops
from minisrgan.autograd import Function, gradcheck, gradgradcheck
from minisrgan.errors import ArgumentError, DTypeError, GradientError


def leaf(*values: float, dtype: Any = np.float32) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


# Hooks


@pytest.mark.parametrize("retain_first", [True, False])
def test_retain_grad_sees_the_gradient_after_all_hooks(retain_first: bool):
    """Asked for before a hook was registered, it kept 3 of a gradient that is 30."""
    x = leaf(1.0)
    y = x * 2.0
    if retain_first:
        y.retain_grad()
    y.register_hook(lambda g: g * 10.0)
    if not retain_first:
        y.retain_grad()
    (y * 3.0).backward()
    assert y.grad.item() == 30
    assert x.grad.item() == 60


def test_retained_gradients_add_up():
    """Those of leaves do; a retained one that is overwritten belongs to the last of two losses only."""
    x = leaf(1.0)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()  # once is enough, and twice is not twice
    (y * 3.0).backward(retain_graph=True)
    (y * 4.0).backward()
    assert y.grad.item() == 7
    assert x.grad.item() == 14
    assert not y.grad.requires_grad


def test_a_retained_gradient_is_its_own():
    """Shared with a leaf's gradient, it would change when that is clipped."""
    x, z = leaf(1.0, 1.0), leaf(1.0, 1.0)
    y = x + 0.0
    y.retain_grad()
    (y + z).sum().backward()
    with no_grad():
        x.grad *= 100.0
        z.grad *= 10.0
    assert y.grad.numpy().tolist() == [1, 1]


def test_retain_grad_and_grad():
    """grad() leaves every .grad as it is, that of a tensor that retains its own too."""
    x = leaf(1.0)
    y = x * 2.0
    y.retain_grad()
    grad(y * 3.0, [x, y], retain_graph=True)
    assert x.grad is y.grad is None
    (y * y).backward(create_graph=True)
    (second,) = grad(y.grad, x)
    assert (y.grad.item(), second.item()) == (4, 4)
    x.grad = y.grad = None  # a .grad with history and its tensor hold each other


def test_a_hook_that_changes_its_argument_in_place():
    """Both sides of a sum are handed the same array: doubled for one, it must not be for the other."""
    for create_graph in (False, True):
        a, b = leaf(1.0), leaf(1.0)

        def double(g: Tensor) -> None:
            with no_grad():
                g *= 2.0

        a.register_hook(double)
        (a + b).backward(create_graph=create_graph)
        assert (a.grad.item(), b.grad.item()) == (2, 1)


@pytest.mark.parametrize("hook", [3, None, "print", [print]])
def test_a_hook_that_is_no_function(hook: Any):
    """Without this check, the error would come from the middle of a later backward pass."""
    with pytest.raises(ArgumentError, match="expected  a function"):
        leaf(1.0).register_hook(hook)
    with pytest.raises(ArgumentError, match="expected  a function"):
        nn.ReLU().register_forward_hook(hook)


def test_hooks_are_removed_one_by_one():
    """A handle used twice removed another hook, or failed; the same function twice are two hooks."""
    x = leaf(1.0)

    def double(g: Tensor) -> Tensor:
        return g * 2.0

    first = x.register_hook(double)
    x.register_hook(lambda g: g + 1.0)
    last = x.register_hook(double)
    (x * 1.0).backward()
    last()
    last()
    (x * 1.0).backward()
    first()
    last()
    first()
    (x * 1.0).backward()
    assert x.grad.item() == (1 * 2 + 1) * 2 + (1 * 2 + 1) + (1 + 1)
    y = x * 1.0
    remove = y.register_hook(double)
    remove()
    remove()
    net = nn.ReLU()
    calls: list[int] = []
    for i in range(2):
        remove = net.register_forward_hook(lambda *given, i=i: calls.append(i))
    remove()
    remove()
    net(x)
    assert calls == [0]


@pytest.mark.parametrize("answer", [np.ones(1, np.float32), 1.0, [1.0]])
def test_a_hook_that_returns_no_tensor(answer: Any):
    """An array in the table of gradients fails in the operation after next, by another name."""
    x = leaf(1.0)
    x.register_hook(lambda g: answer)
    with pytest.raises(GradientError, match="(?s)a hook.*a Tensor or None.*got +" + type(answer).__name__):
        (x * 2.0).backward()


# Modes


def test_a_generator_runs_in_the_mode_and_its_caller_does_not():
    """A decorator that governs the call, which of a generator does nothing yet, lets all of its steps be recorded."""
    x = leaf(2.0)

    @no_grad()
    def results(count: int) -> Iterator[Tensor]:
        """Yield doubles."""
        try:
            for _ in range(count):
                sent = yield x * 2.0
                assert not is_grad_enabled()
                if sent:
                    yield sent * x
        finally:
            ended.append(is_grad_enabled())
        return "done"

    ended: list[bool] = []
    steps = results(2)
    assert not next(steps).requires_grad
    assert is_grad_enabled()
    assert not steps.send(x).requires_grad
    assert is_grad_enabled()
    assert [y.requires_grad for y in steps] == [False]
    assert ended == [False]
    assert is_grad_enabled()
    assert results.__doc__ == "Yield doubles."
    with pytest.raises(StopIteration, match="done"):
        results(0).send(None)

    steps = results(5)
    next(steps)
    steps.close()
    assert ended == [False] * 3
    steps = results(5)
    next(steps)
    with pytest.raises(KeyError, match="stop"):
        steps.throw(KeyError("stop"))
    assert ended == [False] * 4
    assert is_grad_enabled()


def test_a_generator_may_catch_what_is_thrown():
    """throw() must reach the generator, and what it yields next must come back."""

    @enable_grad()
    def stubborn() -> Iterator[Any]:
        while True:
            try:
                yield is_grad_enabled()
            except KeyError:
                yield "caught"

    with no_grad():
        steps = stubborn()
        assert next(steps) is True
        assert steps.throw(KeyError("x")) == "caught"
        assert next(steps) is True
        assert not is_grad_enabled()


def test_plain_and_recursive_functions():
    """The mode lasts as long as the call, also if the function calls itself."""
    x = leaf(2.0)

    @no_grad
    def now(factor: float) -> Tensor:
        return x * factor

    @no_grad()
    def recursive(depth: int) -> list[bool]:
        return [is_grad_enabled(), *(recursive(depth - 1) if depth else [])]

    assert not now(factor=3.0).requires_grad
    assert recursive(3) == [False] * 4
    assert is_grad_enabled()


async def _async_steps() -> AsyncIterator[int]:
    yield 1


async def _coroutine() -> int:
    return 1


@pytest.mark.parametrize("what", [_async_steps, _coroutine, nn.ReLU, 3, "text"])
def test_what_a_mode_cannot_decorate(what: Any):
    """A class would be constructed in the mode and used outside, and a coroutine runs long after the decorated call."""
    with pytest.raises(ArgumentError, match="function to decorate"):
        no_grad()(what)


def test_one_mode_object_many_times():
    """contextlib's managers are used up by one block, and say so with an AttributeError."""
    off, on = no_grad(), enable_grad()
    for _ in range(2):
        with off:
            assert not is_grad_enabled()
            with off, on:
                assert is_grad_enabled()
                with off:
                    assert not is_grad_enabled()
                assert is_grad_enabled()
            assert not is_grad_enabled()
        assert is_grad_enabled()
    hunt = anomaly_mode()
    for _ in range(2):
        with hunt, np.errstate(all="ignore"), pytest.raises(ArithmeticError):
            ops.log(Tensor([0.0]))
    with pytest.raises(ZeroDivisionError), off:
        _ = 1 / 0
    assert is_grad_enabled()


# A user's own Function


class Halved(Function):
    """y = x^2 / 2, whose derivative is its input."""

    def forward(self, x: Any) -> Any:
        self.save_inputs(0)
        return 0.5 * x * x

    def backward(self, grad_y: Tensor) -> Any:
        return self.saved[0]


class Exponential(Function):
    """y = e^x, whose derivative is its result."""

    def forward(self, x: Any) -> Any:
        self.save_output()
        return np.exp(x)

    def backward(self, grad_y: Tensor) -> Any:
        return self.saved[0]


def test_a_function_that_returns_its_own_input():
    """The input became the .grad of itself: the next gradient was added to the weight, or to a gradient 2 too large."""
    x = leaf(2.0)
    Halved.apply(x).backward(create_graph=True)
    assert x.grad is not x
    first, x.grad = x.grad, None
    first.backward()
    assert (first.item(), x.grad.item(), x.item()) == (2, 1, 2)
    x = leaf(2.0)
    (dx,) = grad(Halved.apply(x), x, create_graph=True)
    (ddx,) = grad(dx, x)
    assert (dx.item(), ddx.item()) == (2, 1)
    x = leaf(2.0)
    y = Halved.apply(x) + x + x * 3.0
    y.backward(retain_graph=True)
    y.backward()
    assert (x.item(), x.grad.item()) == (2, 12)


def test_a_function_that_returns_its_result():
    """The engine added the next gradient into the saved result in place: exp(x) was 2 more from then on."""
    x = leaf(1.0)
    y = Exponential.apply(x)
    z = (y + 0.0) + (x * 1.0 + x * 1.0)
    z.backward(retain_graph=True)
    assert y.item() == pytest.approx(np.e)
    x.grad = None
    z.backward()
    assert x.grad.item() == pytest.approx(np.e + 2)


class Answer(Function):
    """Returns what a test wants for its gradients."""

    def forward(self, x: Any, answer: Callable[[Tensor], Any]) -> Any:
        self.answer = answer
        return x * 1

    def backward(self, grad_y: Tensor) -> Any:
        return self.answer(grad_y)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda g: g.numpy() * 2, "ndarray"),
        (lambda g: 2.0, "float"),
        (lambda g: 0, "int"),
        (lambda g: np.float32(1), "float32"),
        (lambda g: "g", "str"),
        (lambda g: [g.numpy()], "ndarray"),
    ],
)
def test_a_backward_that_returns_no_tensor(answer: Callable[[Tensor], Any], kind: str):
    """An array has no derivative of its own: taken for a Tensor, it would be a constant of the second derivative."""
    for create_graph in (False, True):
        y = Answer.apply(leaf(1.0, 2.0), answer=answer).sum()
        with pytest.raises(GradientError, match=f"(?s)backward of answer.*a Tensor or None for input 0.*got +{kind}"):
            y.backward(create_graph=create_graph)


def test_a_backward_that_returns_a_list():
    """A list of gradients is as good as a tuple."""
    x = leaf(1.0)
    Answer.apply(x, answer=lambda g: [g * 5.0]).backward()
    assert x.grad.item() == 5


class Forward(Function):
    """Has no gradient."""

    def forward(self, x: Any) -> Any:
        return x * 2


class Fast(Forward):
    """Has a first derivative only."""

    def backward_fused(self, grad_y: Any) -> Any:
        return grad_y * 2


class Empty(Function):
    """Has nothing."""


def test_a_function_without_backward():
    """It must be the operation that is named, not a line of the engine; and what is there must work."""
    with pytest.raises(GradientError, match=r"(?s)backward of forward.*a method backward"):
        Forward.apply(leaf(1.0)).backward()
    assert Forward.apply(Tensor([1.0])).item() == 2
    x = leaf(1.0)
    Fast.apply(x).backward()
    assert x.grad.item() == 2
    with pytest.raises(GradientError, match=r"(?s)backward of fast.*first derivatives only"):
        Fast.apply(x).backward(create_graph=True)
    with pytest.raises(NotImplementedError, match="empty has no forward"):
        Empty.apply(x)


class Returns(Function):
    """Returns what a test wants."""

    def forward(self, x: Any, answer: Callable[[Any], Any]) -> Any:
        return answer(x)

    def backward(self, grad_y: Tensor) -> Any:
        return grad_y


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda x: x * np.arange(2.0), "float64"),
        (lambda x: np.sum(x, dtype=np.float64), "float64"),
        (lambda x: x > 0, "bool"),
        (lambda x: [1.0, 2.0], "list"),
        (lambda x: 1.0, "float"),
        (lambda x: Tensor(x), "Tensor"),
        (lambda x: None, "NoneType"),
    ],
)
def test_a_forward_that_returns_something_else(answer: Callable[[Any], Any], kind: str):
    """float64 out of float32 spreads through all that follows, and a list would be float32 by luck."""
    with pytest.raises(DTypeError, match=f"(?s)forward of returns.*an array of float32.*got +{kind}"):
        Returns.apply(leaf(1.0, 2.0), answer=answer)


def test_retain_grad_of_a_constant():
    """Its .grad would stay None, which reads like a gradient of 0."""
    with pytest.raises(GradientError, match="retain_grad"):
        Tensor([1.0]).retain_grad()


# Checks and copies


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_gradcheck_leaves_no_gradient_behind(check: Any):
    """The next step of the optimizer would take the check's gradients for its own."""
    layer = nn.Linear(2, 2, rng=np.random.default_rng(0)).astype(np.float64)
    x = leaf(0.5, -1.0, dtype=np.float64)
    check(lambda x: ops.tanh(layer(x.reshape(1, 2))), [x])
    check(lambda w: ops.tanh(x.reshape(1, 2) @ w), [layer.weight])
    assert x.grad is layer.weight.grad is layer.bias.grad is None


def test_a_result_is_not_copied():
    """Its copy would be computed from copies of all leaves: backward fills theirs, and the model's stay empty."""
    w = nn.Parameter([2.0])
    y = w * 3.0
    for copied in (copy.deepcopy, copy.copy, pickle.dumps, lambda y: copy.deepcopy({"loss": [y]})):
        with pytest.raises(GradientError, match=r"(?s)copy of a Tensor.*result of multiply.*detach"):
            copied(y)
    assert copy.deepcopy(y.detach()).item() == 6
    with no_grad():
        assert copy.deepcopy(w * 3.0).item() == 6


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))], ids=["deepcopy", "pickle"])
def test_a_leaf_is_copied_whole(copied: Callable[[Any], Any]):
    """A copy that shares memory with the original is trained with it."""
    layer = nn.Linear(1, 1, rng=np.random.default_rng(0))
    (layer.weight * 5.0).sum().backward()
    layer.bias.requires_grad = False
    twin = copied(layer)
    assert isinstance(twin.weight, nn.Parameter)
    assert twin.weight.name == "linear.weight"
    assert twin.weight.grad.item() == 5
    assert not twin.bias.requires_grad
    with no_grad():
        twin.weight += 1.0
        twin.weight.grad += 1.0
    assert layer.weight.item() == pytest.approx(twin.weight.item() - 1)
    assert layer.weight.grad.item() == 5


def test_tied_weights_stay_tied_in_a_copy():
    """Two copies of one weight would be trained apart."""
    net = nn.Sequential(nn.Linear(2, 2, rng=np.random.default_rng(0)), nn.Linear(2, 2, rng=np.random.default_rng(1)))
    net[1].weight = net[0].weight
    twin = copy.deepcopy(net)
    assert twin[0].weight is twin[1].weight
    assert twin[0].weight is not net[0].weight
