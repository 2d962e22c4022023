"""The engine: what a walk back through a graph can count twice, keep alive, leave out or call by the wrong name."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minisrgan import (
    Tensor,
    anomaly_mode,
    enable_grad,
    grad,
    is_grad_enabled,
    kernels,
    losses,
    models,
    nn,
    no_grad,
    ops,
)
from minisrgan.autograd import Function, engine, function
from minisrgan.autograd import tensor as tensor_module
from minisrgan.errors import DeviceError, DTypeError, GradientError, NonFiniteError, ShapeError


def leaf(*values: float, dtype: Any = np.float32) -> Tensor:
    """A tensor that requires a gradient."""
    return Tensor(np.array(values, dtype), requires_grad=True)


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Let every call of a function leave its first argument in the list that is returned."""
    calls: list[Any] = []
    original = getattr(owner, name)

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(args[0])
        return original(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


class Walk:
    """Long and wide graphs."""

    @staticmethod
    def residual(x: Tensor, length: int) -> Tensor:
        """``length`` additions of a tensor to itself: 2^length paths from end to start."""
        for _ in range(length):
            x = x + x
        return x

    @staticmethod
    def plain(x: Tensor, length: int) -> Tensor:
        """``length`` additions of a number: a single path."""
        for _ in range(length):
            x = x + 1.0
        return x

    @staticmethod
    def seconds(build: Callable[[Tensor, int], Tensor]) -> float:
        """The quickest of several backward passes through 64 additions."""
        times = []
        for _ in range(7):
            y = build(leaf(1.0), 64)
            start = time.process_time()
            y.backward()
            times.append(time.process_time() - start)
        return min(times)


@pytest.mark.parametrize("run_backward", [True, False], ids=["after backward", "forward only"])
def test_a_chain_of_20000_operations(run_backward: bool):
    """Recursion, in the walk or where Python frees node after node, ends at a depth of about a thousand."""
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = -(y + 1.0)
    if run_backward:
        y.backward(retain_graph=True)  # so that the whole chain is there still when it is deleted
        assert x.grad.item() == 1
    last = weakref.ref(y._node)
    del y
    assert last() is None


def test_residual_additions_cost_what_plain_ones_do(monkeypatch: pytest.MonkeyPatch):
    """A walk along paths instead of nodes doubles its time with every residual block.

    Small numbers come first, so that an engine with this defect fails here and does not run for ever at 64.
    """
    with monkeypatch.context() as patch:
        gradients, looks = count_calls(patch, engine, "gradients_of"), count_calls(patch, engine, "_parents")
        for length in (8, 16, 64):
            x = leaf(1.0)
            Walk.residual(x, length).backward()
            assert len(gradients) == length
            assert len(looks) <= 4 * length  # to put nodes in order, and to see which of them are needed
            assert x.grad.item() == 2.0**length
            gradients.clear()
            looks.clear()
    assert Walk.seconds(Walk.residual) < 5 * Walk.seconds(Walk.plain)


def test_a_diamond_waits_for_both_sides():
    """A node that passes its gradient on before its long side has arrived loses that part."""
    x = leaf(3.0)
    y = x * x
    long = Walk.plain(y * 2.0, 50)
    (long + y).backward()
    assert x.grad.item() == 3 * 2 * 3


def test_the_same_gradient_array_for_two_inputs():
    """In `z = (a + b) + a` both additions hand one array on; adding into it in place makes dz/db 2."""
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    ((a + b) + a).backward(np.array([1.0, 10.0], np.float32))
    assert a.grad.numpy().tolist() == [2, 20]
    assert b.grad.numpy().tolist() == [1, 10]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_share_no_memory(create_graph: bool):
    """Clipping changes gradients in place: two that share memory are scaled twice, a shared grad_output is lost."""
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    seed = Tensor(np.ones(2, np.float32))
    (a + b + c.reshape(2, 1).reshape(2)).backward(seed, create_graph=create_graph)
    a.grad.data *= 100
    assert [x.grad.numpy().tolist() for x in (b, c)] == [[1, 1]] * 2
    assert seed.numpy().tolist() == [1, 1]
    first, second = grad(a + b, [a, b], seed, create_graph=create_graph)
    first.data *= 100
    assert second.numpy().tolist() == seed.numpy().tolist() == [1, 1]


def test_a_function_that_returns_an_array_and_a_view_of_it():
    """The engine adds into an array that seems to be its own, and changes the other gradient through the view."""

    class Pair(Function):
        def forward(self, a, b):
            return a + b.reshape(a.shape)

        def backward(self, grad_y):
            both = grad_y * 1.0
            return both, both.reshape(2, 1)

    for turned in (False, True):  # either of the two may be walked first
        a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
        sides = [(a * 10.0).reshape(2, 1), b.reshape(2, 1)]
        Pair.apply(a, sides[turned] + sides[not turned]).sum().backward()
        assert a.grad.numpy().tolist() == [11, 11]
        assert b.grad.numpy().tolist() == [1, 1]


def test_gradients_of_two_backward_calls_add_up():
    """Replacing .grad instead of adding to it forgets the first of two losses."""
    x = leaf(3.0)
    (x * x).backward()
    (x * 5.0).backward()
    assert x.grad.item() == 11
    x.zero_grad()
    assert x.grad is None


def test_a_gradient_has_no_history():
    """A backward that is recorded unasked keeps every array of every step in .grad, and adds to it out of place."""
    x = leaf(3.0)
    for _ in range(2):
        (x * x).backward()
        assert not x.grad.requires_grad
        assert x.grad.is_leaf


def test_accumulation_leaves_what_a_hook_saw():
    """The second backward adds into .grad in place: a gradient that a hook stored for a plot would change with it."""
    x = leaf(2.0, 2.0)
    seen: list[Tensor] = []
    x.register_hook(lambda g: seen.append(g))
    for _ in range(2):
        (x * 3.0).backward(np.ones(2, np.float32))
    assert [g.numpy().tolist() for g in seen] == [[3, 3]] * 2
    assert x.grad.numpy().tolist() == [6, 6]


def test_accumulation_leaves_a_retained_gradient():
    """An intermediate result that feeds two others hands its gradient on; what comes after must not add into it."""
    x = leaf(2.0)
    y = x + 0.0
    y.retain_grad()
    stored: list[Tensor] = []
    y.register_hook(lambda g: stored.append(g))
    (y * 3.0 + y * 4.0 + x * 10.0).backward()
    assert y.grad.item() == 7
    assert stored[0].item() == 7
    assert x.grad.item() == 17


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Any]]]:
    """Weak references to every node, tensor and result that a test makes, with the garbage collector switched off."""
    references: list[weakref.ref[Any]] = []
    for cls in (Function, Tensor):
        original = cls.__init__

        def recorded(self: Any, *args: Any, _original: Any = original, **options: Any) -> None:
            _original(self, *args, **options)
            references.append(weakref.ref(self))
            if isinstance(self, Tensor):
                references.append(weakref.ref(self.data))

        monkeypatch.setattr(cls, "__init__", recorded)
    gc.collect()
    gc.disable()
    yield references
    gc.enable()


class Network(nn.Module):
    """One of each layer that SRGAN is made of."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.generator = models.Generator(scale=2, channels=4, blocks=1, rng=rng)
        self.discriminator = models.Discriminator(crop=16, channels=2, rng=rng)
        self.pool = nn.MaxPool2d(2)

    def forward(self, low: Tensor) -> Tensor:
        """Return a loss."""
        image = self.generator(low)
        logits = self.discriminator(image)
        return losses.generator_loss(logits) + ops.total_variation(self.pool(image)) + ops.l1(image, image * 0.5)


@pytest.mark.parametrize("how", ["forward", "backward", "retained", "hooked", "second derivative"])
def test_nothing_is_left_behind(made: list[weakref.ref[Any]], how: str):
    """A node that holds its output is a cycle, and a training step's memory waits for the garbage collector."""
    network = Network()
    low = Tensor(np.random.default_rng(1).random((2, 8, 8, 3), np.float32))
    parameters = network.parameters()
    made.clear()
    loss = network(low)
    assert len(made) > 50
    if how == "hooked":
        loss.retain_grad()
        loss.register_hook(lambda g: None)
    if how == "second derivative":
        gradients = grad(loss, parameters, create_graph=True)
        total = gradients[0].sum()
        for gradient in gradients[1:]:
            total = total + gradient.sum()
            del gradient
        total.backward()
        del gradients, total
    elif how != "forward":
        loss.backward(retain_graph=how == "retained")
    del loss
    network.zero_grad()
    alive = [reference() for reference in made if reference() is not None]
    assert alive == []


def test_a_node_does_not_keep_its_output(made: list[weakref.ref[Any]]):
    """Every result of a network would live until the last one is gone, although the gradient needs few of them."""
    x = leaf(1.0, 2.0)
    y = x + x
    z = y + 1.0
    handle, array = weakref.ref(y), weakref.ref(y.data)
    del y
    assert handle() is None
    assert array() is None
    z.sum().backward()
    assert x.grad.numpy().tolist() == [2, 2]


def test_backward_frees_the_graph_while_the_loss_lives(made: list[weakref.ref[Any]]):
    """A loss that is kept for the log would keep every array of its step."""
    x = leaf(1.0)
    y = x * 2.0
    node = weakref.ref(y._node)
    loss = y * 3.0
    del y
    assert node() is not None
    loss.backward()
    assert node() is None
    assert loss.item() == 6


# Modes


def test_no_grad_nests_and_survives_an_error():
    """A mode that is set to True on the way out switches an outer no_grad off; one that is not reset stays on."""
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            pass
        assert not is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with enable_grad():
            assert (x * 2.0).requires_grad
        assert not is_grad_enabled()
    with pytest.raises(ZeroDivisionError), no_grad():
        _ = 1 / 0
    assert is_grad_enabled()
    assert (x * 2.0).requires_grad


def test_no_grad_keeps_nothing():
    """Upscaling a photograph under no_grad must not hold every feature map until the end."""
    with no_grad():
        y = leaf(2.0) * leaf(3.0)
    assert y.is_leaf
    assert y._node is None


def test_eval_does_not_touch_the_gradient_mode():
    """eval() that turns gradients off, for the whole process at that, cuts the perceptual loss off from G."""
    layer = nn.BatchNorm2d(2).eval()
    assert is_grad_enabled()
    layer(Tensor(np.ones((1, 2, 2, 2), np.float32))).sum().backward()
    assert layer.bias.grad.numpy().tolist() == [4, 4]


def test_modes_belong_to_a_thread():
    """A module-level flag lets a worker that loads data under no_grad stop the recording of the training step."""
    states: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: states.append(is_grad_enabled()))
        thread.start()
        thread.join()
        contextvars.copy_context().run(lambda: states.append(is_grad_enabled()))
    assert states == [True, False]


# grad()


def test_grad_of_leaves_and_results_on_the_way():
    """Where a gradient is read off after it was passed on, or only at leaves, dz/dy is missing or partial."""
    x = leaf(2.0)
    y = x * x
    z = y * 3.0 + y * x
    dz_dy, dz_dx = grad(z, [y, x])
    assert dz_dy.item() == 3 + 2
    assert dz_dx.item() == 6 * 2 + 3 * 2 * 2
    assert x.grad is None


def test_grad_of_several_outputs():
    """Their gradients add up, each with its own grad_output."""
    x = leaf(1.0, 2.0)
    (dx,) = grad([x * 2.0, (x * x).sum()], x, [np.array([10.0, 100.0], np.float32), None])
    assert dx.numpy().tolist() == [20 + 2, 200 + 4]
    with pytest.raises(ShapeError, match="2 grad_outputs"):
        grad([x * 2.0, x * 3.0], x, [None])


def test_grad_of_an_output_that_another_output_uses():
    """An output in the middle of the graph starts with its own gradient and still collects the other's."""
    x = leaf(2.0)
    y = x * 3.0
    (dx,) = grad([y * y, y], x)
    assert dx.item() == 2 * 6 * 3 + 3


@pytest.mark.parametrize("break_path", [lambda x: x.detach(), lambda x: Tensor(x.data), lambda x: leaf(1.0)])
def test_grad_of_an_input_that_is_not_reached(break_path: Callable[[Tensor], Tensor]):
    """Zeros instead of an error would train nothing and say nothing."""
    x = leaf(2.0)
    y = break_path(x) * leaf(4.0)
    with pytest.raises(GradientError, match="input 1 to be part of the outputs' graph"):
        grad(y, [y, x])


def test_only_what_is_asked_for_is_computed(monkeypatch: pytest.MonkeyPatch):
    """A third of VGG's backward pass is the gradient of weights that are frozen."""
    calls = count_calls(monkeypatch, kernels, "conv2d_weight_gradient")
    rng = np.random.default_rng(0)
    net = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1, rng=rng) for _ in range(3)))
    x = Tensor(np.ones((1, 4, 4, 2), np.float32), requires_grad=True)
    both = count_calls(monkeypatch, kernels, "conv2d_gradients")
    net(x).sum().backward()
    assert (len(both), len(calls)) == (3, 0)
    both.clear()
    net.requires_grad_(False)
    net(x).sum().backward()
    assert both == calls == []
    net.requires_grad_(True)
    grad(net(x).sum(), x)
    assert both == calls == []
    inputs = count_calls(monkeypatch, kernels, "conv2d_input_gradient")
    grad(net(x).sum(), net[2].weight)  # the last layer's weight: nothing before it has to be walked
    assert (len(calls), len(inputs), len(both)) == (1, 0, 0)


@pytest.mark.parametrize("fourth", [lambda x: x**4, lambda x: x * x * x * x], ids=["power", "products"])
def test_derivatives_of_the_fourth_power(fourth: Callable[[Tensor], Tensor]):
    """A backward that works on plain arrays has a first derivative and no second."""
    x = leaf(2.0, -3.0, dtype=np.float64)
    value = fourth(x)
    for expected in (lambda v: 4 * v**3, lambda v: 12 * v**2, lambda v: 24 * v, lambda v: 24 + 0 * v):
        (value,) = grad(value.sum(), x, create_graph=True)
        np.testing.assert_allclose(value.numpy(), expected(x.numpy()), rtol=1e-12)


def test_backward_with_create_graph_accumulates_in_the_graph():
    """A second gradient added in place would leave the first one's history behind, and its derivative wrong."""
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    (second,) = grad(x.grad, x)
    assert x.grad.item() == 24
    assert second.item() == 24
    x.grad = None  # a .grad with history and its leaf hold each other


# What goes wrong for the caller


def test_a_second_backward_needs_retain_graph():
    """Without the check the second pass finds nothing saved, and fails somewhere inside an operation."""
    x = leaf(3.0)
    y = x * x
    z = y.sum()
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.item() == 12
    with pytest.raises(GradientError, match="retain_graph=True"):
        z.backward()
    with pytest.raises(GradientError, match="multiply, that an earlier backward released"):
        (y * 2.0).backward()
    assert x.grad.item() == 12


def test_backward_of_more_than_a_number_needs_grad_output():
    """Ones in its place would be the gradient of the sum, which nobody asked for."""
    y = leaf(1.0, 2.0) * 2.0
    for seed in (None, 1.0):
        with pytest.raises(GradientError, match=r"(?s)a scalar, or grad_output.*shape \(2,\)"):
            y.backward(seed)


@pytest.mark.parametrize("seed", [np.ones(3, np.float32), np.ones((2, 1), np.float32), np.ones(2), Tensor(1.0)])
def test_grad_output_must_fit(seed: Any):
    """It would be broadcast, or make the whole backward pass float64."""
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"result's shape \(2,\), float32"):
        (x * 2.0).backward(seed)
    assert x.grad is None


def test_a_number_as_grad_output_takes_the_dtype():
    """Turned into float32 first, 0.1 would be refused by a float64 loss."""
    x = leaf(1.0, dtype=np.float64)
    x.sum().backward(0.1)
    assert x.grad.item() == 0.1


def test_backward_without_history():
    """Silence here is the classic loss computed under no_grad: training runs, and nothing is learned."""
    with no_grad():
        loss = leaf(1.0) * 2.0
    for tensor in (loss, Tensor([1.0])):
        with pytest.raises(GradientError, match="without history"):
            tensor.backward()


class Scaled(Function):
    """A user's operation whose backward returns whatever a test wants."""

    def forward(self, x, answer):
        """Return a copy."""
        self.answer = answer
        return x * 1

    def backward(self, grad_y):
        """Return the answer."""
        return self.answer(grad_y)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g: g.sum(), r"(?s)backward of scaled.*its shape \(2,\).*got +\(\), float32"),
        (lambda g: Tensor(g.numpy().astype(np.float64)), r"(?s)backward of scaled.*float32.*got +\(2,\), float64"),
        (lambda g: (g, g), r"(?s)backward of scaled.*1 gradients.*got +2"),
    ],
    ids=["shape", "dtype", "number"],
)
def test_a_gradient_that_does_not_fit_is_refused_by_name(answer: Callable[[Tensor], Any], message: str):
    """NumPy broadcasts a gradient of the wrong shape when it is added, and the error shows as a network that is bad."""
    y = Scaled.apply(leaf(1.0, 2.0), answer=answer)
    with pytest.raises(GradientError, match=message):
        y.sum().backward()


# Hooks


def test_hooks_see_replace_and_leave():
    """A hook that runs at each arrival sees parts; one that cannot be removed runs for ever."""
    x = leaf(2.0)
    y = x * 3.0
    seen: list[float] = []
    remove_leaf = x.register_hook(lambda g: seen.append(g.item()))
    remove_middle = y.register_hook(lambda g: g * 10.0)
    z = y + y * y
    z.backward(retain_graph=True)
    assert seen == [(1 + 12) * 10 * 3]
    assert x.grad.item() == seen[0]
    remove_middle()
    z.backward(retain_graph=True)
    assert seen[1:] == [39]
    remove_leaf()
    z.backward()
    assert len(seen) == 2
    assert x.grad.item() == 390 + 39 + 39


def test_several_hooks_run_in_order():
    """Each gets what the one before it left."""
    x = leaf(1.0)
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 10.0)
    (x * 1.0).backward()
    assert x.grad.item() == 20


def test_a_hook_that_does_not_fit():
    """A .grad of another shape than its parameter's is broadcast by the optimizer, steps later."""
    x = leaf(1.0)
    x.register_hook(lambda g: Tensor([1.0, 2.0]))
    with pytest.raises(GradientError, match=r"(?s)a hook.*\(1,\), float32.*got +\(2,\)"):
        (x * 1.0).backward()
    with pytest.raises(GradientError, match="requires_grad False"):
        Tensor([1.0]).register_hook(lambda g: None)


def test_retain_grad():
    """A result on the way has no .grad unless it is asked to, and asking must not change the gradient of leaves."""
    x = leaf(2.0)
    y = x * 3.0
    kept = y * y
    kept.retain_grad()
    x.retain_grad()
    (kept * 2.0).backward()
    assert kept.grad.item() == 2
    assert y.grad is None
    assert x.grad.item() == 2 * 2 * 6 * 3


# Anomaly mode


def test_anomaly_mode_names_the_line_forward():
    """`nan` in a loss, a thousand operations later, does not say where it came from."""
    x = leaf(1.0, 0.0)
    with anomaly_mode(), pytest.raises(NonFiniteError) as caught:
        ops.log(x * 1.0)
    assert caught.value.what == "log"
    assert caught.value.got == "1 of 2 values not finite (0 NaN, 1 infinite)"
    assert __file__ in caught.value.fix
    assert caught.value.fix.endswith("ops.log(x * 1.0)")


@pytest.mark.parametrize("op", [ops.sqrt, ops.prelu], ids=["in an operation of backward", "fused"])
def test_anomaly_mode_names_the_line_backward(op: Callable[..., Tensor]):
    """A finite result may have an infinite gradient: the line to look at is the forward call's, not backward's."""
    inputs = (leaf(0.0, 1.0), leaf(1e10))[: 1 if op is ops.sqrt else 2]
    with anomaly_mode(), np.errstate(all="ignore"):
        y = op(*inputs)  # the culprit
        with pytest.raises(NonFiniteError) as caught:
            (y * 2.0).backward(np.full(2, 1e38, np.float32))
    assert caught.value.what.startswith(f"backward of {op.__name__}")
    assert caught.value.fix.endswith("y = op(*inputs)  # the culprit")


# Numbers and arrays


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x * 0.5,
        lambda x: 2 - x,
        lambda x: 1 / x,
        lambda x: x**2,
        lambda x: x + np.float64(1.5),
        lambda x: np.float64(1.5) * x,
        lambda x: np.float32(1.5) / x,
        lambda x: np.int64(3) - x,
    ],
)
def test_numbers_change_no_dtype(compute: Callable[[Tensor], Tensor]):
    """float32 * 0.5 that becomes float64 doubles memory and time, and nothing fails."""
    x = leaf(1.0, 2.0)
    y = compute(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


def test_an_array_meets_a_tensor():
    """Left to NumPy, array + tensor is an array of objects, one Tensor an element."""
    array, x = np.array([[1.0, 2.0]], np.float32), Tensor([[3.0, 4.0]], requires_grad=True)
    for y, expected in ((array + x, 4), (array - x, -2), (array * x, 3), (array / x, 1 / 3), (x - array, 2)):
        assert isinstance(y, Tensor)
        assert y.shape == (1, 2)
        assert y.numpy()[0, 0] == np.float32(expected)
    product = array.T @ x
    assert isinstance(product, Tensor)
    assert product.numpy().tolist() == [[3, 4], [6, 8]]


@pytest.mark.parametrize("array", [np.zeros(2, np.uint8), np.zeros(2, int), np.zeros(2, np.float16), np.zeros(2, bool)])
def test_integers_are_refused(array: np.ndarray):
    """A photograph in 0..255 that is taken for [0, 1] trains, badly."""
    with pytest.raises(DTypeError, match=str(array.dtype)):
        Tensor(array)
    with pytest.raises(DTypeError):
        leaf(1.0, 2.0) * array


def test_two_dtypes_are_named():
    """Which of the two arguments is the wrong one is the first question."""
    with pytest.raises(DTypeError, match=r"(?s)multiply.*a float32, b float64"):
        leaf(1.0) * leaf(1.0, dtype=np.float64)
    x, weight = np.ones((1, 3, 3, 1), np.float32), np.ones((1, 1, 1, 1))
    with pytest.raises(DTypeError, match=r"(?s)conv2d.*x float32, weight float64"):
        ops.conv2d(Tensor(x), Tensor(weight))


def test_two_devices_are_named(monkeypatch: pytest.MonkeyPatch):
    """CuPy's own message names neither the operation nor the argument. No GPU here: one array says it is on one."""
    a, b = leaf(1.0), leaf(2.0)
    for module in (function, tensor_module):
        monkeypatch.setattr(module, "device_of", lambda array: "cuda:0" if array is b.data else "cpu")
    with pytest.raises(DeviceError, match=r"(?s)add.*a on cpu, b on cuda:0"):
        a + b
