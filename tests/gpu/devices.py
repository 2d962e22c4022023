"""What the tests on the stand-in and those on a GPU ask of a device, whichever it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from minisrgan import Tensor
from minisrgan.backend import to_device
from minisrgan.data import CropSampler
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.training import Config, SRGANStage, restore, state_of
from tests.ops.table import Row

DEVICE = "cuda"


def moved(row: Row) -> Row:
    """Return a row whose options, too, are arrays of the device; positions in an index stay NumPy's."""
    keys = {key for key in row.options if key.startswith("running_")}
    return Row(row.name, row.inputs, {k: to_device(v, DEVICE) if k in keys else v for k, v in row.options.items()})


def run(
    row: Row, inputs: list[Any], grad_y: np.ndarray, create_graph: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run an operation forward and backward on the device; return result and gradients, back on the CPU."""
    given = [Tensor(to_device(x, DEVICE), True) if isinstance(x, np.ndarray) else x for x in inputs]
    y = moved(row).op(*given)
    assert y.device == "cuda:0"
    y.backward(Tensor(to_device(grad_y, DEVICE)), create_graph=create_graph)
    grads = [x.grad for x in given if isinstance(x, Tensor)]
    assert {grad.device for grad in grads} == {"cuda:0"}
    return y.numpy(), [grad.numpy() for grad in grads]


class Training:
    """The second stage in small, with all that the recipe has, on any device: VGG, smoothed labels, EMA."""

    def __init__(self, device: str, dtype: Any = np.float32, content: str = "vgg", **settings: Any) -> None:
        rng = np.random.default_rng(0)
        config = Config(crop=16, batch=3, scale=2, channels=4, blocks=2, d_channels=2, srgan_steps=100,
                        ema=0.9, tv_weight=2e-8, real_label=0.9, **settings)  # fmt: skip
        generator = Generator(2, channels=4, blocks=2, rng=rng).astype(dtype).to(device)
        discriminator = Discriminator(crop=16, channels=2, rng=rng).astype(dtype).to(device)
        measure: Any = MSEContent()
        if content == "vgg":
            # Features of random weights are large, and with them rounding errors in gradients that ought to be 0.
            measure = VGGContent(VGG19("2,2", rng=rng).astype(dtype).to(device), scale=1e-4)
        self.stage = SRGANStage(generator, discriminator, measure, config)
        photos = {str(i): rng.integers(0, 256, (32, 32, 3), np.uint8) for i in range(3)}
        self.sampler = CropSampler(photos, 16, 2, np.random.default_rng(2))
        self.device, self.dtype, self.steps = device, dtype, 0

    def step(self) -> dict[str, float]:
        """Train on the next batch."""
        low, high = (Tensor(to_device(a.astype(self.dtype), self.device)) for a in self.sampler.batch(3))
        self.steps += 1
        return self.stage.step(self.steps - 1, low, high)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what a checkpoint holds."""
        arrays, numbers = state_of(self.stage, self.sampler)
        return {name: to_device(array, "cpu").copy() for name, array in arrays.items()}, numbers

    def restore(self, arrays: dict[str, np.ndarray], numbers: dict[str, Any], steps: int) -> None:
        """Go back to what a checkpoint holds."""
        restore(self.stage, self.sampler, arrays, numbers)
        self.steps = steps


def same_state(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], digits: float) -> None:
    """Compare two states of a training, in relation to the largest number of each array.

    Of float32 not the weights: Adam turns the noise in a gradient that is nearly zero (for a bias before a batch norm
    it ought to be zero) into a step of full size. Of float64 not these biases.
    """
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert theirs[name].dtype == array.dtype
        network, _, entry = name.partition(".")
        learned = network in ("generator", "discriminator", "ema") and "running" not in name
        before_norm = ".conv" in f".{entry}" and entry.endswith("bias")
        if not learned or (array.dtype == np.float64 and not before_norm):
            largest = abs(array).max() if abs(array).max() > 1e-7 else 1.0
            np.testing.assert_allclose(theirs[name], array, rtol=0, atol=100 * digits * largest, err_msg=name)
