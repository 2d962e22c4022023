"""Arguments that are not arrays: a switch, a random generator, what to differentiate. What Python lets pass is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, grad, models, nn, ops
from minisrgan.autograd import gradcheck, gradgradcheck
from minisrgan.data import CropSampler
from minisrgan.errors import ArgumentError, DTypeError, GradientError

PHOTO = {"grey": np.full((40, 50, 3), 255, np.uint8)}


def leaf() -> Tensor:
    return Tensor([1.0, 2.0], requires_grad=True)


def sampler(*, rng: Any = None, **options: Any) -> CropSampler:
    """A sampler of small crops."""
    return CropSampler(PHOTO, 32, 4, rng, **options)


def set_flag(value: Any) -> None:
    leaf().requires_grad = value


SWITCHES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Tensor": ("requires_grad", lambda v: Tensor([1.0, 2.0], v)),
    "Parameter": ("requires_grad", lambda v: nn.Parameter([1.0], v)),
    "setter": ("requires_grad", set_flag),
    "requires_grad_": ("requires_grad", lambda v: nn.PReLU(1).requires_grad_(v)),
    "train": ("mode", lambda v: nn.Sequential(nn.ReLU()).train(v)),
    "create_graph": ("create_graph", lambda v: grad(leaf().sum(), leaf(), create_graph=v)),
    "retain_graph": ("retain_graph", lambda v: leaf().sum().backward(retain_graph=v)),
    "bias": ("bias", lambda v: nn.Conv2d(3, 2, 3, bias=v)),
    "tanh": ("tanh", lambda v: models.Generator(2, 2, 1, tanh=v)),
    "training": ("training", lambda v: ops.batch_norm(Tensor([[1.0], [2.0]]), *[Tensor([1.0])] * 4, training=v)),
    "sum": ("keepdims", lambda v: Tensor([[1.0]]).sum(0, v)),
    "std": ("keepdims", lambda v: Tensor([[1.0]]).std(0, v)),
    "max": ("keepdims", lambda v: Tensor([[1.0]]).max(0, v)),
    "augment": ("augment", lambda v: sampler(augment=v)),
}


@pytest.mark.parametrize("value", [np.float64, "float64", "False", 1, 0.0, [], np.zeros(2)], ids=str)
@pytest.mark.parametrize("place", SWITCHES)
def test_a_switch_is_true_or_false(place: str, value: Any):
    """A dtype in second place, "eval" or the second of two axes would count as true."""
    name, call = SWITCHES[place]
    with pytest.raises(ArgumentError, match=f"{name} as True or False"):
        call(value)


def test_a_switch_of_numpy_is_a_bool():
    """The result of a comparison of arrays is one, and is kept as Python's, which JSON and `is` know."""
    x = Tensor([1.0], np.bool_(True))
    assert x.requires_grad is True
    assert nn.ReLU().train(np.array([1.0]).max() > 2).training is False  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"Tensor\(np.array\(x, np.float64\)\)"):
        Tensor([1.0], np.float64)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"one tuple: x.sum\(\(0, 1\)\)"):
        Tensor([[1.0]]).sum(0, 1)


def test_a_switch_in_the_place_of_the_gradient():
    """backward(True) would start with the gradient 1, and keep no graph."""
    for call in (lambda x: (x * x).sum().backward(True), lambda x: grad((x * x).sum(), x, True)):
        with pytest.raises(GradientError, match=r"(?s)grad_output.*create_graph=True"):
            call(leaf())


DRAWN: dict[str, Callable[[Any], Any]] = {
    "Conv2d": lambda rng: nn.Conv2d(3, 2, 3, rng=rng),
    "Linear": lambda rng: nn.Linear(3, 2, rng=rng),
    "he_normal": lambda rng: nn.he_normal((3, 2), rng),
    "icnr": lambda rng: nn.icnr((3, 3, 1, 4), rng, 2),
    "Generator": lambda rng: models.Generator(2, 4, 1, rng=rng),
    "Discriminator": lambda rng: models.Discriminator(16, 2, rng=rng),
    "VGG19": lambda rng: models.VGG19("1,1", rng=rng),
    "CropSampler": lambda rng: sampler(rng=rng),
    "gradcheck": lambda rng: gradcheck(ops.tanh, [Tensor(np.ones(2), requires_grad=True)], rng=rng),
    "gradgradcheck": lambda rng: gradgradcheck(ops.tanh, [Tensor(np.ones(2), requires_grad=True)], rng=rng),
}


@pytest.mark.parametrize("rng", [0, 42, -1, np.random.RandomState(0), np.random], ids=str)
@pytest.mark.parametrize("place", DRAWN)
def test_a_seed_is_no_random_generator(place: str, rng: Any):
    """'int' object has no attribute 'standard_normal' leaves a beginner alone; 0 passed for "no generator"."""
    with pytest.raises(ArgumentError, match=r"(?s)rng as a random generator.*give np.random.default_rng\(") as caught:
        DRAWN[place](rng)
    assert f"default_rng({rng if rng == 42 else 0})" in caught.value.fix


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        (nn.PReLU(1), r"parameters\(\)"),
        (np.ones(2), "the Tensor itself"),
        ([leaf(), 1.0], "the Tensor itself"),
        ({"x": leaf()}, r"values\(\)"),
        (None, "the Tensor itself"),
        ("x", "the Tensor itself"),
    ],
    ids=str,
)
def test_what_cannot_be_differentiated(wrong: Any, fix: str):
    """'Sequential' object has no attribute '_node' is a sentence about us."""
    with pytest.raises(DTypeError, match=f"(?s)grad.*as inputs.*{fix}"):
        grad(leaf().sum(), wrong)
    with pytest.raises(DTypeError, match=f"(?s)grad.*as outputs.*{fix}"):
        grad(wrong, leaf())


def test_inputs_of_grad_may_come_one_by_one():
    """A generator over parameters is a list to whoever writes it."""
    layer = nn.Linear(2, 1)
    loss = layer(Tensor([[1.0, 2.0]])).sum()
    weight, bias = grad(loss, (p for p in layer.parameters()), retain_graph=True)
    assert weight.numpy().tolist() == [[1], [2]]
    assert bias.numpy().tolist() == [1]
    assert len(grad(loss, dict(layer.named_parameters()).values())) == 2


def test_a_result_keeps_its_gradient():
    """y.requires_grad = False cut off everything that was computed from y afterwards."""
    x = leaf()
    y = x * x
    with pytest.raises(GradientError, match=r"(?s)result of multiply.*detach"):
        y.requires_grad = False
    y.requires_grad = True
    y.sum().backward()
    assert x.grad is not None
    x.requires_grad = False
    assert not x.requires_grad


def test_a_set_of_inputs_has_no_order():
    """The gradients come as a tuple, and nobody knows which is whose."""
    x = leaf()
    with pytest.raises(DTypeError, match=r"(?s)grad.*set.*give a list"):
        grad(x.sum(), {x})
