"""Module: what it is made of, what it saves, what it refuses to load, and what an error is called on its way up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, models, nn, no_grad, optim
from minisrgan.errors import ArgumentError, DTypeError, ShapeError, WeightsError


def small_generator() -> models.Generator:
    """Two blocks of two channels."""
    return models.Generator(scale=2, channels=2, blocks=2)


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.a, self.b = nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, rng=rng)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        """Apply both."""
        return self.b(self.a(x))


def test_state_dict_names_and_order():
    """Names are what saved weights are found by: another order of assignment, or a lost buffer, breaks every file."""
    block = ["conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "prelu.weight"]
    block += ["conv2.weight", "conv2.bias", "bn2.weight", "bn2.bias"]
    parameters = ["conv_first.weight", "conv_first.bias", "prelu_first.weight"]
    parameters += [f"blocks.{i}.{name}" for i in range(2) for name in block]
    parameters += ["conv_middle.weight", "conv_middle.bias", "bn_middle.weight", "bn_middle.bias"]
    parameters += ["upsample.0.conv.weight", "upsample.0.conv.bias", "upsample.0.prelu.weight"]
    parameters += ["conv_last.weight", "conv_last.bias"]
    norms = ["blocks.0.bn1", "blocks.0.bn2", "blocks.1.bn1", "blocks.1.bn2", "bn_middle"]
    buffers = [f"{norm}.{name}" for norm in norms for name in ("running_mean", "running_var")]
    model = small_generator()
    assert [name for name, _ in model.named_parameters()] == parameters
    assert list(model.state_dict()) == parameters + buffers
    assert model.state_dict()["blocks.1.bn2.running_var"] is model.blocks[1].bn2.running_var


def test_load_state_dict_round_trip():
    """Loading must copy, into the arrays that the optimizer and the layers hold already."""
    model, other = small_generator(), models.Generator(2, 2, 2, rng=np.random.default_rng(9))
    for name, buffer in other.named_buffers():
        buffer[...] = len(name)
    arrays = [parameter.data for parameter in model.parameters()]
    model.load_state_dict(other.state_dict())
    x = Tensor(np.random.default_rng(1).random((1, 4, 4, 3), np.float32))
    np.testing.assert_array_equal(model.eval()(x).numpy(), other.eval()(x).numpy())
    assert all(parameter.data is array for parameter, array in zip(model.parameters(), arrays, strict=True))
    other.conv_first.weight.data[...] = 0
    assert model.conv_first.weight.data.any()


def test_load_state_dict_names_every_problem_and_changes_nothing():
    """A loader that stops at the first problem, or fills in half of the model before it does, costs an afternoon."""
    model = small_generator()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    state = {name: array + 1 for name, array in before.items()}
    del state["conv_first.weight"]
    del state["blocks.1.bn1.running_var"]
    state["blocks.2.conv1.bias"] = np.zeros(5, np.float32)
    state["conv_last.bias"] = np.zeros(4, np.float32)
    state["bn_middle.bias"] = np.array([np.nan, 0], np.float32)
    state["bn_middle.running_var"] = np.array([np.inf, 1], np.float32)
    state["bn_middle.weight"] = np.array([1, 2])
    with pytest.raises(WeightsError) as caught:
        model.load_state_dict(state)
    assert caught.value.got.split("\n") == [
        "missing: blocks.1.bn1.running_var (2,)",
        "missing: conv_first.weight (9, 9, 3, 2)",
        "shape of conv_last.bias: (4,), but the model has (3,)",
        "unexpected: blocks.2.conv1.bias (5,)",
        "values of bn_middle.bias: float32, not all of them finite floats in float32",
        "values of bn_middle.running_var: float32, not all of them finite floats in float32",
        "values of bn_middle.weight: int64, not all of them finite floats in float32",
    ]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([1e300, 0]), "float64, not all of them finite floats in float32"),
        (np.array([1.0, -1e39]), "float64, not all of them finite floats in float32"),
        (np.array([1j, 0]), "complex128, not all"),
        (np.array([True, False]), "bool, not all"),
        (np.array([1.0, None]), "object, not all"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "MaskedArray, not a plain array"),
        (np.ones(2, [("a", np.float32)]), "[('a', '<f4')], not all of them finite floats"),
        ([1.0, 2.0], "list, not a plain array"),
        (None, "NoneType, not a plain array"),
    ],
    ids=str,
)
def test_load_state_dict_refuses_what_is_no_array_of_numbers_that_fit(value: object, words: str):
    """1e300 becomes infinite in float32, and a masked array hands over the number behind its mask."""
    model = small_generator()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        model.load_state_dict({**before, "bn_middle.bias": value})  # type: ignore[dict-item]
    assert f"values of bn_middle.bias: {words}" in caught.value.got
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("srgan.safetensors", r"load_generator\(path\).*load_state\(path\)\[0\]"),
        (({}, {}), r"load_state\(path\)\[0\]"),
        ([np.ones(1)], "load_state"),
        (None, "load_state"),
        (nn.PReLU(1), r"state_dict\(\)"),
    ],
    ids=str,
)
def test_load_state_dict_takes_a_dict(state: Any, fix: str):
    """'str' object has no attribute 'items' does not say which function reads a file."""
    with pytest.raises(WeightsError, match=f"(?s)load_state_dict of PReLU.*a dict of arrays.*{fix}"):
        nn.PReLU(1).load_state_dict(state)


def test_load_state_dict_takes_float64_that_fits():
    """Weights of another program are often float64."""
    model = small_generator()
    model.load_state_dict({name: array.astype(np.float64) + 1e-12 for name, array in model.state_dict().items()})
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype(np.float32)}


def test_a_wholly_foreign_state_is_refused_on_one_screen():
    """A thousand lines of names scroll the reason away."""
    with pytest.raises(WeightsError) as caught:
        small_generator().load_state_dict({f"layer{i}": np.zeros(1) for i in range(100)})
    lines = caught.value.got.split("\n")
    assert len(lines) == 21
    assert lines[-1] == f"... and {100 + len(small_generator().state_dict()) - 20} more"


def test_train_and_eval_reach_every_module():
    """One batch norm left in training mode makes each photograph of a batch depend on its neighbours."""
    model = small_generator()
    assert {module.training for _, module in model.named_modules()} == {True}
    assert model.eval() is model
    assert {module.training for _, module in model.named_modules()} == {False}
    state = {name: array.copy() for name, array in model.named_buffers()}
    batch = np.random.default_rng(1).random((2, 4, 4, 3), np.float32)
    together, alone = model(Tensor(batch)), model(Tensor(batch[:1]))
    np.testing.assert_allclose(together.numpy()[:1], alone.numpy(), atol=1e-5)
    for name, array in model.named_buffers():
        np.testing.assert_array_equal(array, state[name])
    model.train()
    model(Tensor(batch))
    assert all((array != state[name]).any() for name, array in model.named_buffers())


def test_batch_norm_mixes_modes_layer_by_layer():
    """The mode belongs to a module, not to the process: a frozen part may evaluate while the rest trains."""
    net = nn.Sequential(nn.BatchNorm2d(1), nn.BatchNorm2d(1))
    net[0].eval()
    net(Tensor([[[[1.0], [5.0]]]]))
    assert net[0].running_mean.tolist() == [0]
    assert net[1].running_mean.item() == pytest.approx(0.3, rel=1e-4)


def test_shared_parameters_count_once():
    """Counted twice, Adam takes two steps a step on them."""
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert len(model.parameters()) == 3
    assert model.parameter_count() == 9 + 3 + 3
    model.load_state_dict({name: array.copy() for name, array in model.state_dict().items()})
    assert model.a.weight is model.b.weight


def test_parameters_of_plain_attributes_only():
    """A loss target or a cached feature map kept as an attribute is a Tensor, and must not be trained or saved."""
    layer = nn.ReLU()
    layer.cache = Tensor([1.0], requires_grad=True)
    assert layer.parameters() == []
    assert layer.state_dict() == {}


def test_a_replaced_layer_is_found():
    """With a registry beside the attributes, the old layer would go on being saved and trained."""
    model = small_generator()
    model.conv_last = nn.Conv2d(2, 1, 1, rng=np.random.default_rng(0))
    assert model.state_dict()["conv_last.weight"].shape == (1, 1, 2, 1)
    assert model(Tensor(np.zeros((1, 3, 3, 3), np.float32))).shape == (1, 6, 6, 1)


def test_repr_groups_equal_neighbours():
    """Sixteen blocks written out are ninety lines; grouped under a wrong range they would be a lie."""
    text = repr(models.Generator(scale=4, channels=4, blocks=3)).split("\n")
    assert text[0] == "Generator x4, 4 channels, 3 blocks: 4,251 parameters"
    assert text[1].startswith("  conv_first  Conv2d 3 -> 4, kernel 9x9, padding 4: weight (9, 9, 3, 4), bias (4,), 976")
    assert "    0-2  3 x ResidualBlock: 316 parameters" in text
    assert "      conv1  Conv2d 4 -> 4, kernel 3x3, padding 1: weight (3, 3, 4, 4), bias (4,), 148 parameters" in text
    assert "    0-1  2 x Upsample: 596 parameters" in text
    assert "      shuffle  PixelShuffle x2" in text
    discriminator = repr(models.Discriminator(crop=16, channels=2)).split("\n")
    assert sum("BatchNorm2d" in line for line in discriminator) == 7  # neighbours differ: nothing to group
    assert "    2  Conv2d 2 -> 2, kernel 3x3, stride 2, padding 1: weight (3, 3, 2, 2), bias (2,), 38 parameters" in (
        discriminator
    )


def test_an_error_names_the_path_of_its_layer():
    """`conv2d got 3 channels` in a network of 37 convolutions leaves 37 suspects."""
    model = small_generator()
    model.blocks[1].conv1 = nn.Conv2d(5, 2, 3, padding=1, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError) as caught:
        model(Tensor(np.zeros((1, 4, 4, 3), np.float32)))
    assert caught.value.path == "generator.blocks.1.conv1"
    assert str(caught.value).split("\n") == [
        "ShapeError in conv2d, at generator.blocks.1.conv1",
        "  expected  an input with 5 channels on its last axis, since weight (3, 3, 5, 2) takes 5",
        "  got       (1, 4, 4, 2)",
        "  fix       compare the layer before, which gives 2 channels, with this one",
    ]


class Returning(nn.Module):
    """A module whose forward returns what it is told."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def forward(self, x: Tensor) -> Any:
        """Return it."""
        return self.result


@pytest.mark.parametrize("result", [None, np.ones(2), 1.0, (np.ones(2), 1), [], {"y": np.ones(2)}], ids=str)
def test_a_forward_without_a_tensor_is_named(result: Any):
    """An array cuts the gradient without a word; after a forgotten return, the next layer would get the blame."""
    with pytest.raises(DTypeError) as caught:
        nn.Sequential(nn.ReLU(), Returning(result), nn.ReLU())(Tensor([1.0]))
    assert caught.value.what == "forward of Returning"
    assert caught.value.path == "sequential.1"
    assert caught.value.got == type(result).__name__
    assert ("return" if result is None else "Tensors") in caught.value.fix


def test_a_forward_may_return_several_tensors():
    """A network of two heads is legal, and so is a number beside the Tensor."""
    y = Tensor([1.0])
    for result in (y, (y, y), [y, 0.5], {"maps": [y], "loss": None}):
        assert Returning(result)(y) is result


def test_astype_converts_everything():
    """One parameter or running array that stays float32 turns a check in float64 into one in float32, or an error."""
    model = small_generator()
    model(Tensor(np.ones((1, 4, 4, 3), np.float32))).sum().backward()
    parameters = model.parameters()
    assert model.astype(np.float64) is model
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype(np.float64)}
    assert all(new is old for new, old in zip(model.parameters(), parameters, strict=True))
    assert all(parameter.grad is None for parameter in parameters)
    y = model(Tensor(np.ones((1, 4, 4, 3))))
    y.sum().backward()
    assert y.dtype == model.conv_first.weight.grad.dtype == np.float64


def test_requires_grad_freezes_and_thaws():
    """A frozen network must still pass gradients on to its input, and learn again once thawed."""
    model = small_generator()
    assert model.requires_grad_(False) is model
    x = Tensor(np.ones((1, 4, 4, 3), np.float32), requires_grad=True)
    model(x).sum().backward()
    assert x.grad.numpy().any()
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(True)
    model(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_forward_hooks():
    """The summary and the notebooks read feature maps through these."""
    seen: list[Any] = []
    model = nn.Sequential(nn.ReLU(), nn.LeakyReLU(0.5))
    remove = model[1].register_forward_hook(lambda module, inputs, y: seen.append((module, inputs[0], y)))
    x = Tensor([-2.0, 2.0])
    y = model(x)
    assert seen[0][0] is model[1]
    assert seen[0][1].numpy().tolist() == [0, 2]
    assert seen[0][2] is y
    remove()
    model(x)
    assert len(seen) == 1


def test_to_cpu_keeps_parameters():
    """A new Parameter object a move would leave the optimizer with the old ones."""
    model = small_generator()
    parameters = model.parameters()
    with no_grad():
        assert model.to("cpu").parameters() == parameters


def test_a_parameter_has_an_array_of_its_own():
    """Training changed the array of the caller, and two parameters of one array moved together."""
    start = np.ones(3, np.float32)
    p, q = nn.Parameter(start), nn.Parameter(start)
    spread = nn.Parameter(np.broadcast_to(np.float32(1), (3,)))
    optimizer = optim.SGD([p, spread], lr=0.5)
    (p * spread * Tensor([1.0, 2.0, 3.0])).sum().backward()
    optimizer.step()
    for moved in (p, spread):
        np.testing.assert_array_equal(moved.numpy(), [0.5, 0, -0.5])
    assert start.tolist() == q.numpy().tolist() == [1, 1, 1]


def test_a_module_that_contains_itself_is_refused():
    """Every walk over it would end in a RecursionError."""
    net, part = nn.Sequential(nn.ReLU()), nn.ReLU()
    with pytest.raises(ArgumentError, match="does not contain this one"):
        net.append(net)
    net.append(part)
    with pytest.raises(ArgumentError, match=r"(?s)ReLU.parent.*does not contain this one"):
        part.parent = net
    assert len(net) == 2


@pytest.mark.parametrize("position", [3, -3, True, 1.0, "0"], ids=repr)
def test_a_position_out_of_range(position: Any):
    """Layer 5 of two was a third one named 5, and layer "True" ran, too."""
    net = nn.Sequential(nn.ReLU(), nn.PReLU())
    with pytest.raises(ArgumentError, match=r"(?s)Sequential.*a position in it.*append"):
        net[position] = nn.ReLU()
    net[-1], net[2] = nn.ReLU(), nn.PReLU()
    assert [type(layer).__name__ for layer in net] == ["ReLU", "ReLU", "PReLU"]
