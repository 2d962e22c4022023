"""What a module holds is found, in lists and dicts too; what would take it out of sight is refused."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, no_grad
from minisrgan.errors import ArgumentError, ShapeError, WeightsError

RNG = np.random.default_rng(0)


def linear() -> nn.Linear:
    return nn.Linear(2, 2, rng=RNG)


class Holder(nn.Module):
    """Layers in whatever a test puts them into."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        if isinstance(self.layers, nn.Sequential):
            return self.layers(x)
        for layer in self.layers.values() if isinstance(self.layers, dict) else self.layers:
            x = layer(x)
        return x


KINDS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "list": (lambda: [linear(), nn.BatchNorm2d(2)], ["layers.0", "layers.1"]),
    "tuple": (lambda: (linear(), nn.BatchNorm2d(2)), ["layers.0", "layers.1"]),
    "dict": (lambda: {"a": linear(), "norm": nn.BatchNorm2d(2)}, ["layers.a", "layers.norm"]),
    "ModuleList": (lambda: nn.ModuleList([linear(), nn.BatchNorm2d(2)]), ["layers.0", "layers.1"]),
    "Sequential": (lambda: nn.Sequential(linear(), nn.BatchNorm2d(2)), ["layers.0", "layers.1"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_in_a_container_are_found(kind: str):
    """A list of layers that nobody finds is neither trained nor saved, nor switched to eval()."""
    make, (first, second) = KINDS[kind]
    net = Holder(make())
    names = [f"{first}.weight", f"{first}.bias", f"{second}.weight", f"{second}.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == [*names, f"{second}.running_mean", f"{second}.running_var"]
    net.eval()
    assert {module.training for _, module in net.named_modules()} == {False}
    other = Holder(make())
    other.load_state_dict(net.state_dict())
    x = Tensor(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(other.eval()(x).numpy(), net(x).numpy())
    assert net.parameters()[0].name == f"holder.{first}.weight"
    assert "Linear 2 -> 2" in repr(net)
    with pytest.raises(ShapeError) as caught:
        net(Tensor(np.ones((3, 5), np.float32)))
    assert caught.value.path == f"holder.{first}"


def test_nested_and_mixed_containers():
    """Two levels deep, and beside numbers and functions, layers are found as well."""
    net = Holder([[linear()], {"deep": (linear(), "text", 3, None, np.tanh)}])
    assert [name for name, _ in net.named_modules()] == ["", "layers.0.0", "layers.1.deep.0"]
    assert net.parameter_count() == 12


def test_a_list_that_grows_later():
    """A registry made once, at the assignment, would miss what is appended."""
    net = Holder([])
    net.layers.append(linear())
    assert net.parameter_count() == 6


def test_parameters_in_a_list():
    """A parameter in a list is a parameter."""
    net = Holder([nn.Parameter([1.0]), nn.Parameter([2.0])])
    net.table = {"scale": nn.Parameter([3.0])}
    assert [name for name, _ in net.named_parameters()] == ["layers.0", "layers.1", "table.scale"]
    assert net.layers[1].name == "holder.layers.1"
    net.requires_grad_(False)
    assert not net.table["scale"].requires_grad


def test_a_copy_has_layers_of_its_own():
    """deepcopy of a model with lists must not share layers with the original."""
    net = Holder([linear()])
    twin = copy.deepcopy(net)
    twin.layers[0].weight.data += 1
    assert not np.array_equal(net.layers[0].weight.numpy(), twin.layers[0].weight.numpy())
    assert twin.layers[0].weight.name == "holder.layers.0.weight"


def assign(name: str, make: Callable[[nn.Module], Any]) -> Callable[[nn.Module], None]:
    return lambda layer: setattr(layer, name, make(layer))


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any], str]] = {
    "a scaled weight": (linear, assign("weight", lambda m: m.weight * 0.5), r"linear\.weight.*a Parameter.*Tensor"),
    "a detached weight": (linear, assign("weight", lambda m: m.weight.detach()), "a Parameter"),
    "an array": (linear, assign("bias", lambda m: np.zeros(2, np.float32)), "(?i)linear.bias.*a Parameter.*ndarray"),
    "a number": (linear, assign("bias", lambda m: 0.0), "a Parameter"),
    "a list": (linear, assign("bias", lambda m: [0.0, 0.0]), "a Parameter"),
    "a module": (linear, assign("weight", lambda m: nn.ReLU()), "a Parameter"),
    "a class": (lambda: nn.Sequential(nn.ReLU()), assign("0", lambda m: nn.LeakyReLU), "a module.*ReLU"),
    "a function": (lambda: nn.Sequential(nn.ReLU()), assign("0", lambda m: np.tanh), "a module"),
    "a tensor as buffer": (lambda: nn.BatchNorm2d(2), assign("running_mean", lambda m: Tensor([0.0, 0.0])), "an array"),
    "a list as buffer": (lambda: nn.BatchNorm2d(2), assign("running_var", lambda m: [1.0, 1.0]), r"running_var\[...\]"),
    "no buffer": (lambda: nn.BatchNorm2d(2), assign("running_var", lambda m: None), "an array"),
    "a set of modules": (lambda: Holder([]), assign("more", lambda m: {nn.ReLU()}), "in an order"),
    "a deque": (lambda: Holder([]), assign("more", lambda m: deque([nn.Parameter([1.0])])), "in a list"),
    "the values of a dict": (lambda: Holder([]), assign("more", lambda m: {"a": nn.ReLU()}.values()), "use a list"),
    "a generator": (lambda: Holder([]), assign("more", lambda m: (nn.ReLU() for _ in range(2))), "got.*generator"),
    "a map": (lambda: Holder([]), assign("more", lambda m: map(nn.PReLU, (1, 2))), "use a list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_takes_a_part_out_of_sight(case: str):
    """l.weight = l.weight * 0.5 computes what it should, once, and is never trained or saved again."""
    make, change, words = REFUSED[case]
    module = make()
    before = module.state_dict()
    with pytest.raises(ArgumentError, match=f"(?si){words}"):
        change(module)
    assert module.state_dict().keys() == before.keys()


def test_what_may_be_replaced():
    """A new parameter, another layer, no bias at all: these are what they look like."""
    layer = linear()
    layer.weight = nn.Parameter(np.ones((2, 2), np.float32))
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    assert layer.weight.name == "linear.weight"
    net = nn.Sequential(nn.ReLU(), linear())
    net[0] = nn.LeakyReLU(0.1)
    net[-1] = nn.PReLU(1)
    assert net(Tensor([-1.0])).item() == pytest.approx(-0.025)
    norm = nn.BatchNorm2d(1)
    norm.running_mean = np.ones(1, np.float32)
    assert norm.state_dict()["running_mean"].tolist() == [1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 2, 0),
        lambda: nn.Conv2d(3.0, 2, 3),  # type: ignore[arg-type]
        lambda: nn.Conv2d("3", 2, 3),  # type: ignore[arg-type]
        lambda: nn.Conv2d(3, -2, 3),
        lambda: nn.Linear(0, 2),
        lambda: nn.Linear(2, True),
    ],
)
def test_a_layer_of_no_size_is_refused_where_it_is_made(make: Callable[[], nn.Module]):
    """float division by zero, deep in the drawing of weights, does not say that a kernel has no pixels."""
    with pytest.raises(ArgumentError, match="integers >= 1"):
        make()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (nn.ReLU, r"the class ReLU.*ReLU\(\)"),
        ([nn.ReLU()], r"got +list.*Sequential\(\*layers\)"),
        (np.tanh, "got +ufunc"),
        (lambda x: x, "got +function"),
        (None, "NoneType"),
        (nn.Parameter([1.0]), "Parameter"),
    ],
)
def test_containers_refuse_what_is_no_module(wrong: Any, words: str):
    """Sequential(ReLU) held the class, and gave back its input."""
    for make in (nn.Sequential, lambda m: nn.ModuleList([m]), nn.ModuleList().append):
        with pytest.raises(ArgumentError, match=f"(?s){words}"):
            make(wrong)
    with pytest.raises(ArgumentError, match=f"(?s){words}"):
        nn.Sequential(nn.ReLU())[0] = wrong


def test_slices_are_modules():
    """A slice that is a plain list cannot be called, and one that copies its layers trains the copies."""
    net = nn.Sequential(linear(), nn.ReLU(), linear(), nn.PReLU(2))
    names = [p.name for p in net.parameters()]
    x = Tensor(np.ones((1, 2), np.float32))
    part = net.eval()[2:]
    assert isinstance(part, nn.Sequential)
    assert [part[0], part[1]] == [net[2], net[3]]
    assert not part.training
    np.testing.assert_array_equal(net[2:](net[:2](x)).numpy(), net(x).numpy())
    assert list(net[::-1]) == list(net)[::-1]
    assert len(net[9:]) == 0
    assert [p.name for p in net.parameters()] == names, "errors go on to name the layers by their first home"
    assert isinstance(nn.ModuleList(net)[:2], nn.ModuleList)


def test_a_module_list_is_not_called():
    """It does not say in which order: that is its owner's part."""
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        nn.ModuleList([nn.ReLU()])(Tensor([1.0]))


def test_keyword_arguments_reach_forward():
    """A model with an option had to be called by its forward method, past all hooks."""

    class Scaled(nn.Module):
        def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
            return x * scale

    seen: list[Any] = []
    module = Scaled()
    module.register_forward_hook(lambda m, inputs, y: seen.append((len(inputs), y.item())))
    assert module(Tensor([2.0]), scale=3.0).item() == 6
    assert seen == [(1, 6.0)]


def test_a_state_of_tensors_and_of_numbers_too_large():
    """dict(net.named_parameters()) is a state too; 1e300 is finite until it is float32."""
    net, other = linear(), linear()
    with no_grad():
        net.weight *= 2.0
    other.load_state_dict(dict(net.named_parameters()))
    np.testing.assert_array_equal(other.weight.numpy(), net.weight.numpy())
    before = other.weight.numpy().copy()
    with pytest.raises(WeightsError, match="not all of them finite"):
        other.load_state_dict({"weight": np.full((2, 2), 1e300), "bias": np.zeros(2)})
    np.testing.assert_array_equal(other.weight.numpy(), before)
