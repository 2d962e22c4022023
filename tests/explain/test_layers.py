"""What a layer tells of itself is what it computes, and telling changes nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minisrgan import Tensor, models, nn
from minisrgan.explain.record import record
from minisrgan.explain.summary import summary_table
from minisrgan.explain.worked import WORKED

RNG = np.random.default_rng(7)


def batch(*shape: int) -> Tensor:
    return Tensor(RNG.normal(size=shape).astype(np.float32))


def trained_norm() -> nn.BatchNorm2d:
    """A layer whose statistics and parameters are not those of the beginning."""
    layer = nn.BatchNorm2d(3)
    layer(batch(4, 5, 5, 3))
    layer.weight.data[:], layer.bias.data[:] = (0.5, 2.0, -1.0), (0.1, 0.2, 0.3)
    return layer


CASES = {
    "conv": (nn.Conv2d(3, 4, 3, rng=RNG), batch(2, 6, 7, 3)),
    "conv with stride and padding": (nn.Conv2d(2, 4, 3, stride=2, padding=1, rng=RNG), batch(2, 7, 6, 2)),
    "conv without bias": (nn.Conv2d(2, 3, 5, padding=2, bias=False, rng=RNG), batch(1, 4, 4, 2)),
    "linear": (nn.Linear(5, 3, rng=RNG), batch(4, 5)),
    "batch norm in training": (trained_norm(), batch(2, 4, 3, 3)),
    "batch norm in evaluation": (trained_norm().eval(), batch(2, 4, 3, 3)),
    "prelu": (nn.PReLU(3, slope=-0.5), batch(2, 3, 3, 3)),
    "prelu, one slope": (nn.PReLU(1, slope=0.3), batch(2, 3, 3, 3)),
    "leaky relu": (nn.LeakyReLU(0.2), batch(3, 4)),
    "relu": (nn.ReLU(), batch(3, 4)),
    "pixel shuffle": (nn.PixelShuffle(3), batch(1, 2, 3, 18)),
    "max pool": (nn.MaxPool2d(2), batch(2, 5, 7, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_number_is_the_output(name: str):
    """A worked example that ends in another number than the layer teaches a wrong formula."""
    layer, x = CASES[name]
    if getattr(layer, "bias", None) is not None:
        layer.bias.data += 0.25  # a bias of 0 could be left out unseen
    y = layer(x).numpy()
    for _ in range(20):
        at = tuple(int(RNG.integers(size)) for size in y.shape)
        text = layer.explain(x, at=at)
        assert f"y{list(at)} = " in text
        told = float(text.rsplit("= ", 1)[1])
        assert told == pytest.approx(float(y[at]), rel=2e-3, abs=2e-3)


def test_every_layer_is_worked_out():
    """A new layer that explains nothing but its shapes is an omission nobody sees."""
    leaves = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    leaves -= {"Module", "Parameter", "ModuleList", "Sequential", "Flatten"}
    layers = [layer for layer, _ in CASES.values()]
    assert leaves == {type(layer).__name__ for layer in layers}
    told = {step.op for layer, x in CASES.values() for step in record(layer, x)[1:]}
    assert told | {"add"} == set(WORKED)


def test_text_of_a_convolution():
    """A window beyond the border: which products are left out, and where the others come from."""
    layer = nn.Conv2d(1, 1, 3, padding=1, rng=RNG)
    layer.weight.data[...] = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1, 1)
    text = layer.explain(np.ones((1, 2, 2, 1), np.float32), at=(0, 0, 0, 0))
    assert "x (1, 2, 2, 1), weight (3, 3, 1, 1), bias (1,) -> y (1, 2, 2, 1)" in text
    assert "x[0, 1, 1, 0] * weight[2, 2, 0, 0]" in text
    assert "these are the 4 largest of 9 products, 5 of them with zeros of the padding; the others together 0" in text
    assert "0         0         0\n           0         5         6\n           0         8         9\n" in text
    assert text.endswith("y[0, 0, 0, 0] = 28 (all products) + 0 (bias) = 28")
    assert repr(text) == str(text), "a notebook shows the lines, not one string with signs in it"


def test_all_products_are_summed():
    """Four of many products with their sum would leave the reader with a number that he cannot check."""
    layer, x = nn.Conv2d(6, 2, 3, padding=1, rng=RNG), batch(1, 5, 5, 6)
    text = layer.explain(x, at=(0, 2, 2, 1))
    place = [float(number) for line in text.splitlines()[-4:-1] for number in line.split()]
    largest = [float(number) for number in re.findall(r"= +(\S+) +x\[", text)]
    others = float(re.findall(r"the others together (\S+)", text)[0])
    y = float(layer(x).numpy()[0, 2, 2, 1])
    assert len(place) == 9
    assert sum(place) == pytest.approx(y, abs=2e-3)
    assert sum(largest) + others == pytest.approx(y, abs=2e-3)


def test_a_model_tells_of_all_its_layers_in_order():
    """Layers that run in another order than they were assigned must be told in the order of the numbers."""
    block = models.generator.ResidualBlock(2, RNG)
    text = block.explain(batch(1, 4, 4, 2))
    assert re.findall(r"^(\S.*)", text, re.MULTILINE) == [
        "conv1: Conv2d 2 -> 2, kernel 3x3, padding 1", "bn1: BatchNorm2d 2", "prelu: PReLU",
        "conv2: Conv2d 2 -> 2, kernel 3x3, padding 1", "bn2: BatchNorm2d 2", "add",
    ]  # fmt: skip


def test_skips_are_named_by_their_paths():
    """Where sixteen blocks are told one after the other, a sum without names could be of anything."""
    text = models.Generator(2, 4, 2, rng=RNG).eval().explain(batch(1, 4, 4, 3))
    assert "blocks.1: add\n  y = a + b\n  a (1, 4, 4, 4) of blocks.0 add, b (1, 4, 4, 4) of blocks.1.bn2" in text
    assert "\nadd\n  y = a + b\n  a (1, 4, 4, 4) of prelu_first, b (1, 4, 4, 4) of bn_middle" in text
    assert "upsample.0.shuffle: PixelShuffle x2" in text


def test_nothing_is_changed():
    """A student who looks at a layer must not train its statistics, keep its hooks, or record a graph."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3, rng=RNG), trained_norm())
    before = {name: array.copy() for name, array in net.state_dict().items()}
    net.explain(batch(2, 5, 5, 2))
    with pytest.raises(Exception, match="channels"):
        net.explain(batch(2, 5, 5, 7))
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    calls: list[int] = []
    net[0].register_forward_hook(lambda *given: calls.append(1))
    net(batch(1, 5, 5, 2))
    assert len(calls) == 1
    assert [len(layer.__dict__["_forward_hooks"]) for layer in net] == [1, 0]


def test_other_layers_tell_their_shapes():
    """A layer of one's own has no worked example, but must not fail: also where it computes what cannot be seen."""

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2.0

    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Tensor(x.numpy() * 2)

    assert Twice().explain(batch(2, 3)) == "Twice\n  a (2, 3), b = 2.0 -> y (2, 3)"
    text = nn.Sequential(Hidden(), nn.ReLU()).explain(batch(2, 3))
    assert text.startswith("0: Hidden\n  x0 (2, 3) -> y (2, 3)\n\n1: ReLU\n")
    assert "x (2, 3) of 0 -> y (2, 3)" in text


def test_a_table_fits_on_a_page():
    """JupyterLab breaks lines of more than about 105 characters, and a table of layers with them."""
    table = summary_table(models.Discriminator(crop=32, channels=4), (1, 32, 32, 3))
    assert "Conv2d 16 -> 16, 3x3, stride 2, padding 1" in table
    assert max(map(len, table.splitlines())) <= 104
