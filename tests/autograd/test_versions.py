"""What was saved is what is used: an array that changes between forward and backward is noticed, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, anomaly_mode, grad, losses, models, nn, ops, optim
from minisrgan.autograd import Function, Gradients
from minisrgan.autograd.tensor import version_of
from minisrgan.errors import DTypeError, GradientError


def parameter(*values: float, dtype: Any = np.float32) -> nn.Parameter:
    return nn.Parameter(np.array(values, dtype))


def adam(p: nn.Parameter) -> None:
    p.grad = Tensor(np.ones_like(p.data))
    optim.Adam([p], lr=1.0).step()


def loading(p: nn.Parameter) -> None:
    module = nn.PReLU(1)
    module.weight = p
    module.load_state_dict({"weight": p.data + 1})


def clipping(p: nn.Parameter) -> None:
    owner = nn.Parameter(np.zeros_like(p.data))
    owner.grad = p
    optim.clip_grad_norm([owner], 0.5)


def assigning(p: nn.Parameter) -> None:
    p.data = p.data + 1


def multiplying_data(p: nn.Parameter) -> None:
    p.data *= 2


CHANGES = [adam, loading, clipping, assigning, multiplying_data]


def test_a_second_backward_changes_no_array():
    """Gradients added in place would change whatever shares the array of the first, and what a node saved of it."""
    w, p, owner = parameter(5.0), parameter(1.0), parameter(0.0)
    owner.grad = first = w.detach()
    y = (w * p).sum()
    (owner * 1.0).sum().backward()
    assert (owner.grad.item(), first.item()) == (6.0, 5.0)
    y.backward()
    assert p.grad is not None
    assert p.grad.item() == 5.0


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_changed_factor_is_noticed(change: Callable[[nn.Parameter], None], create_graph: bool):
    """Adam's step before backward: dy/dp is computed from the new weight, 4 in place of 5, and nobody is told."""
    w, p = parameter(5.0), parameter(1.0)
    y = (w * p).sum()
    change(w)
    with pytest.raises(GradientError, match=r"(?s)backward of multiply.*input a.*changed in place.*after it"):
        y.backward(create_graph=create_graph)
    assert p.grad is None


def average(p: nn.Parameter) -> tuple[Any, Callable[[], None]]:
    module = nn.PReLU(1)
    ema = optim.EMA(module, 0.9)
    module.weight.data += 1
    return ema.average["weight"], ema.update


def statistics(p: nn.Parameter) -> tuple[Any, Callable[[], None]]:
    norm = nn.BatchNorm2d(1)

    def update() -> None:
        norm(Tensor(np.ones((2, 1, 1, 1), np.float32)))

    return norm.running_mean, update


def network(p: nn.Parameter) -> tuple[Any, Callable[[], None]]:
    generator = models.Generator(2, channels=3, blocks=1)
    return generator.conv_last.bias.data[:1], generator.start_as_nearest


@pytest.mark.parametrize("make", [average, statistics, network], ids=lambda f: f.__name__)
def test_arrays_of_the_library_that_it_changes(make: Callable[..., tuple[Any, Callable[[], None]]]):
    """A moving average or running statistics, used as a tensor, are changed by the next update."""
    p = parameter(3.0)
    array, update = make(p)
    y = (Tensor(array) * p).sum()
    update()
    with pytest.raises(GradientError, match="changed in place"):
        y.backward()


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "reshape": lambda w: w.reshape(2, 1).reshape(2),
    "transpose": lambda w: w.reshape(1, 2).transpose().reshape(2),
    "slice": lambda w: w[:],
    "detach": lambda w: w.detach(),
    "Tensor of it": lambda w: Tensor(w),
    "Tensor of its data": lambda w: Tensor(w.data),
    "Tensor of numpy()": lambda w: Tensor(w.numpy()[::-1]),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shares_the_memory_and_the_version(view: str):
    """A reshaped weight is the weight: an optimizer's step changes what the view's product had saved."""
    w, p = parameter(5.0, 7.0), parameter(1.0, 1.0)
    y = (VIEWS[view](w) * p).sum()
    adam(w)
    with pytest.raises(GradientError, match="multiply"):
        y.backward()


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "multiply": lambda x: x * x, "divide": lambda x: 1.0 / x, "power": lambda x: x**2, "log": ops.log,
    "absolute": abs, "maximum": lambda x: ops.maximum(x, 2.0),
    "max": lambda x: x.max(), "softplus": ops.softplus, "prelu": lambda x: ops.prelu(x, Tensor([0.5])),
    "matmul": lambda x: x.reshape(1, 2) @ x.reshape(2, 1),
    "batch_norm_training": lambda x: ops.batch_norm(
        x.reshape(2, 1), Tensor([1.0]), Tensor([0.0]), None, None, training=True),
    "max_pool2d": lambda x: ops.max_pool2d(x.reshape(1, 1, 2, 1).reshape(1, 2, 1, 1), 1),
    "conv2d": lambda x: ops.conv2d(x.reshape(1, 1, 2, 1), x.reshape(1, 2, 1, 1)),
    "conv2d_transpose": lambda x: ops.conv2d_transpose(x.reshape(1, 1, 2, 1), x.reshape(1, 2, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_every_operation_that_saves_notices(operation: str, create_graph: bool):
    """An operation that keeps an input out of the engine's sight would go on computing from the new numbers."""
    x = parameter(3.0, 4.0)
    y = OPERATIONS[operation](x)
    adam(x)
    with pytest.raises(GradientError, match=f"(?s)backward of {operation}\n.*changed in place"):
        y.sum().backward(create_graph=create_graph)


RIGHT: dict[str, Callable[[nn.Parameter, nn.Parameter], tuple[Tensor, Tensor, float]]] = {
    "nothing saved": lambda w, p: ((w + p).sum(), p, 1.0),
    "a factor whose own gradient is asked for": lambda w, p: ((w * 3.0).sum(), w, 3.0),
    "a constant beside it": lambda w, p: ((w * Tensor([3.0])).sum(), w, 3.0),
    "a matrix of data": lambda w, p: ((Tensor([[3.0]]) @ w.reshape(1, 1)).sum(), w, 3.0),
    "a divided weight": lambda w, p: ((w / Tensor([2.0])).sum(), w, 0.5),
    "a mask made of it": lambda w, p: (ops.clip(w, 0.0, 9.0).sum(), w, 1.0),
    "another tensor": lambda w, p: ((p * p).sum(), p, 2.0),
    "a copy": lambda w, p: ((Tensor(w.data.copy()) * p).sum(), p, 5.0),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_gradient_that_does_not_depend_on_the_change_is_computed(case: str):
    """An engine that refuses right computations is worked around, and the check with it."""
    w, p = parameter(5.0), parameter(1.0)
    y, leaf, expected = RIGHT[case](w, p)
    adam(w)
    w.grad = None
    y.backward()
    assert leaf.grad.item() == expected


def test_only_the_gradients_that_are_asked_for_count():
    """d/dx needs the weight, d/dw does not: the part that is right must not be refused for the other."""
    w, x = parameter(5.0), parameter(3.0)
    y = (w * x).sum()
    adam(w)
    (dw,) = grad(y, w, retain_graph=True)
    assert dw.item() == 3
    with pytest.raises(GradientError, match="input a"):
        grad(y, x)


def test_backward_through_a_discriminator_that_has_stepped():
    """The classic order of statements: D learns, then the old D(fake) is used for G. 72 % off, without a word."""
    rng = np.random.default_rng(0)
    discriminator = models.Discriminator(crop=16, channels=2, rng=rng)
    image = Tensor(rng.standard_normal((2, 16, 16, 3), np.float32), requires_grad=True)
    logits = discriminator(image)
    g_loss = losses.generator_loss(logits)
    losses.discriminator_loss(discriminator(Tensor(-image.data)), discriminator(image.detach())).backward()
    optim.Adam(discriminator.parameters(), lr=1e-3).step()
    with pytest.raises(GradientError) as caught:
        g_loss.backward()
    assert "input b (discriminator.head.3.weight), (32, 1)" in caught.value.expected
    fresh = losses.generator_loss(discriminator(image))
    fresh.backward()
    assert image.grad is not None


def test_the_error_names_the_parameter_by_its_path():
    """Of sixty convolutions `weight (3, 3, 64, 64)` names fifty."""
    model = models.Generator(2, channels=2, blocks=2)
    loss = model(Tensor(np.ones((1, 4, 4, 3), np.float32))).sum()
    model.blocks[1].conv2.weight.data += 1
    with pytest.raises(GradientError) as caught:
        loss.backward()
    assert caught.value.what == "backward of conv2d"
    assert "its input weight (generator.blocks.1.conv2.weight)" in caught.value.expected


def test_a_second_backward_notices_what_changed_after_the_first():
    """A gradient penalty is differentiated after the critic's step: its graph had saved the old weights."""
    w, x = parameter(5.0), parameter(3.0)
    (dx,) = grad((w * x * x).sum(), x, create_graph=True)
    adam(w)
    with pytest.raises(GradientError, match="changed in place"):
        dx.sum().backward()
    (dx,) = grad((w * x * x).sum(), x, create_graph=True)
    (ddx,) = grad(dx.sum(), x)
    assert ddx.item() == pytest.approx(2 * w.item())


def test_steps_that_follow_one_another():
    """Forward, backward, step, again: the everyday loop changes everything, and nothing that is still needed."""
    w = parameter(5.0, -5.0)
    optimizer = optim.Adam([w], lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, [2, -2], atol=0.1)


def test_anomaly_mode_sees_what_numpy_changes():
    """x.data[0] = 2 passes by every version; a checksum of what was saved finds it, where somebody asks for one."""
    for change in (lambda x: x.data.__setitem__(0, 9.0), lambda x: np.add(x.data, 1, out=x.data)):
        x, y = parameter(2.0, 3.0), parameter(1.0, 1.0)
        with anomaly_mode():
            z, e = (x * y).sum(), ops.exp(x)
        change(x)
        with pytest.raises(GradientError, match="multiply"):
            z.backward()
        e.backward(Tensor(np.ones(2, np.float32)))  # keeps its result, not x
        np.testing.assert_allclose(x.grad.data, np.exp([2.0, 3.0]), rtol=1e-6)


def test_what_a_function_computed_is_checked_too():
    """A user's operation keeps an array of the module: the average that a later update changes."""
    ema = optim.EMA(nn.PReLU(1), 0.9)

    class Towards(Function):
        """Distance to the average."""

        def forward(self, x: Any) -> Any:
            self.save(ema.average["weight"])
            return (x - ema.average["weight"]) ** 2

        def backward(self, grad_y: Tensor) -> Gradients:
            return grad_y * (self.saved[0] * -2.0)

    y = Towards.apply(parameter(1.0))
    ema.module.weight.data += 1
    ema.update()
    with pytest.raises(GradientError, match="an array that it computed"):
        y.sum().backward()


class Square(Function):
    """Says what it keeps in three ways; y^2 = x^4 so that all are needed."""

    def forward(self, x: Any, how: str) -> Any:
        y = x * x
        if how == "by name":
            self.save_inputs(0)
            self.save_output()
        else:
            self.save(x, y)  # as written before `save_inputs` was there
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved
        return grad_y * (2.0 * y / x)


@pytest.mark.parametrize("how", ["by name", "by value"])
def test_inputs_and_the_result_are_in_their_place_in_the_graph(how: str):
    """Saved as plain arrays they would be constants, and the second derivative 0."""
    x = Tensor(np.array([3.0]), requires_grad=True)
    (dx,) = grad(Square.apply(x, how=how).sum(), x, create_graph=True)
    (ddx,) = grad(dx.sum(), x)
    assert (dx.item(), ddx.item()) == pytest.approx((6, 2))
    y = Square.apply(x, how=how)
    x.data += 1
    with pytest.raises(GradientError, match="input x"):
        y.sum().backward()


def test_data_takes_arrays_only():
    """p.data = p - p.grad makes a Tensor the array of a Tensor, which fails three operations later."""
    p = parameter(1.0)
    p.grad = Tensor([1.0])
    with pytest.raises(DTypeError, match=r"(?s)Tensor\.data.*an array.*got +Tensor"):
        p.data = p - p.grad
    with pytest.raises(DTypeError, match="float16"):
        p.data = p.data.astype(np.float16)
    assert p.data.tolist() == [1]


def test_versions_rise_with_every_change():
    """A version that comes back to an old value would hide what was changed twice."""
    x = parameter(1.0, 2.0)
    versions = [version_of(x.data)]
    for _ in range(3):
        adam(x)
        versions.append(version_of(x[:1].data))
    assert versions == sorted(set(versions))
