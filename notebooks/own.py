"""Layers and losses that compute with the answers in mine.py; notebook 7 builds a network of them, notebook 10 trains.

Each is the package's own with your functions inside. Where an answer is missing or not right, the package's function
stands in; `milestone` says which ran.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

import checks
import keep
from minisrgan import Tensor, nn, no_grad, ops
from minisrgan.autograd import Function, gradcheck
from minisrgan.losses import discriminator_loss
from minisrgan.training import stages
from minisrgan.training.stages import SRGANStage

Array = np.ndarray[Any, Any]


def answer(number: str) -> Any:
    """Return your answer to an exercise, or the package's function."""
    return keep.use(number, checks.find(number).right)


# Operations: forward and backward by your functions


def _tensors(*arrays: Array, like: Array) -> tuple[Tensor, ...]:
    """Return gradients in the precision of the layer, whatever precision an answer computes in."""
    return tuple(Tensor(np.asarray(a, like.dtype)) for a in arrays)


class Convolution(Function):
    """Exercises 3.2, 3.3 and 3.4, image by image; the padding keeps the size."""

    def forward(self, x: Array, weight: Array, bias: Array, *, by: tuple[Any, ...]) -> Array:
        """Convolve each image with a border of zeros."""
        self.save_inputs(0, 1)
        self.by, (conv, *_) = by, by
        return np.stack([conv(image, weight, bias) for image in self.padded(x, weight)]).astype(x.dtype)

    def backward(self, grad_y: Tensor) -> tuple[Tensor, ...]:
        """Add up the gradients of all images; the border has none."""
        (x, weight), (_, of_weight, of_x) = self.saved_arrays, self.by
        (kh, kw), (_, height, width, _), g = weight.shape[:2], x.shape, grad_y.numpy()
        pairs = [of_weight(image, grad, kh, kw) for image, grad in zip(self.padded(x, weight), g, strict=True)]
        grad_weight, grad_bias = (np.sum(part, axis=0) for part in zip(*pairs, strict=True))
        inside = (slice(kh // 2, kh // 2 + height), slice(kw // 2, kw // 2 + width))
        return _tensors(np.stack([of_x(grad, weight)[inside] for grad in g]), grad_weight, grad_bias, like=x)

    @staticmethod
    def padded(x: Array, weight: Array) -> Array:
        """Put a border of zeros around each image."""
        kh, kw = weight.shape[:2]
        return np.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))


class Slope(Function):
    """PReLU with the gradients of exercise 4.2."""

    def forward(self, x: Array, slope: Array, *, by: Any) -> Array:
        """Return max(x, 0) + slope * min(x, 0)."""
        self.save_inputs(0, 1)
        self.by = by
        return np.maximum(x, 0) + slope * np.minimum(x, 0)

    def backward(self, grad_y: Tensor) -> tuple[Tensor, ...]:
        """Return both gradients."""
        x, slope = self.saved_arrays
        return _tensors(*self.by(grad_y.numpy(), x, slope), like=x)


class Norm(Function):
    """Exercises 5.1 and 5.2."""

    def forward(self, x: Array, weight: Array, bias: Array, *, by: tuple[Any, Any]) -> Array:
        """Normalize by the statistics of the batch."""
        self.save_inputs(0, 1)
        self.by = by
        return np.asarray(by[0](x, weight, bias), x.dtype)

    def backward(self, grad_y: Tensor) -> tuple[Tensor, ...]:
        """Return all three gradients."""
        x, weight = self.saved_arrays
        return _tensors(*self.by[1](grad_y.numpy(), x, weight), like=x)


# Layers


class Conv(nn.Conv2d):
    """A convolution that keeps the size."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        super().__init__(inputs, outputs, 3, padding=1, rng=rng)
        self.apply = partial(Convolution.apply, by=tuple(map(answer, ("3.2", "3.3", "3.4"))))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch."""
        return self.apply(x, self.weight, self.bias)


class PReLU(nn.PReLU):
    """A ReLU that learns its slopes."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.apply = partial(Slope.apply, by=answer("4.2"))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to a batch."""
        return self.apply(x, self.weight)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm: yours in training, with running statistics by exercise 5.3; in evaluation these are constants."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.apply, self.update = partial(Norm.apply, by=(answer("5.1"), answer("5.2"))), answer("5.3")

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a batch."""
        if not self.training:
            return super().forward(x)
        mean, var = self.update(self.running_mean, self.running_var, x.numpy())
        self.running_mean[...], self.running_var[...] = mean, var
        return self.apply(x, self.weight, self.bias)


class Upscaler(nn.Module):
    """Twice as large: your convolutions, activation, residual block and shuffle, added to repeated pixels.

    The last convolution starts as small copies, by exercise 6.3, so that the untrained network nearly repeats pixels.
    Shapes    (N, H, W, 3) in [0, 1] to (N, 2H, 2W, 3) in [-1, 1]
    """

    def __init__(self, rng: np.random.Generator, channels: int = 8) -> None:
        self.first, self.prelu = Conv(3, channels, rng), PReLU(channels)
        self.conv1, self.bn1, self.prelu1 = Conv(channels, channels, rng), BatchNorm(channels), PReLU(channels)
        self.conv2, self.bn2 = Conv(channels, channels, rng), BatchNorm(channels)
        self.last = Conv(channels, 12, rng)
        self.last.weight.data[...] = 0.05 * answer("6.3")(nn.he_normal((3, 3, channels, 3), rng), 2)
        self.block, self.shuffle = answer("7.1"), answer("6.1")

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge a batch."""
        y = self.prelu(self.first(x))
        y = self.block(y, self.conv1, self.bn1, self.prelu1, self.conv2, self.bn2)
        repeated = 2 * x.numpy().repeat(2, axis=1).repeat(2, axis=2) - 1
        return self.shuffle(self.last(y), 2) + Tensor(repeated)


def enlarge(network: nn.Module, low: Array) -> Array:
    """Return the first of a batch of small photos (N, H, W, 3) in [0, 1], enlarged, as uint8."""
    with no_grad():
        x = Tensor(low).to(network.parameters()[0].device)
        levels: Array = answer("7.3")(network.eval()(x).numpy()[0])
    return levels


class FeatureContent:
    """A content loss by exercise 8.3: the distance of the feature maps of a network, which is frozen."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.distance = network.eval().requires_grad_(False), answer("8.3")
        self.wanted: dict[Tensor, Tensor] = {}  # features of the originals: 10 shows the same ones to each training

    def __call__(self, generated: Tensor, original: Tensor) -> Tensor:
        """Compare two batches (N, H, W, 3) in [-1, 1]."""
        if original not in self.wanted:
            with no_grad():
                self.wanted[original] = self.network(original)
        loss: Tensor = self.distance(self.network(generated), self.wanted[original])
        return loss

    def __deepcopy__(self, memo: Any) -> FeatureContent:
        """Return the same object: a copy of a stage trains on with it."""
        return self


class Stage(SRGANStage):
    """The package's stage of SRGAN, whose D learns by exercise 9.2; `content` may be a `FeatureContent`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.loss_of_d = answer("9.2")

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Take one step of D and one of G."""
        mine = self.loss_of_d

        def loss(real: Tensor, fake: Tensor, real_label: float) -> Tensor:
            # The exercise has the label 1; a smoothed one is the package's.
            judged: Tensor = mine(real, fake) if real_label == 1.0 else discriminator_loss(real, fake, real_label)
            return judged

        with patch.object(stages, "discriminator_loss", loss):
            return super().step(step, low, high)


# Milestones: what each notebook's answers can do together


def _pixels() -> str:
    """Enlarge a row of a picture twice by 1.2, and measure by 1.3."""
    four, psnr = answer("1.2"), answer("1.3")
    row = 127.5 + 100 * np.sin(np.arange(64) / 5)
    small = row.reshape(32, 2).mean(axis=1)
    new = [four(k, 2) @ small[int(np.floor((k + 0.5) / 2 - 0.5)) - 1 :][:4] for k in range(4, 58)]
    scores = [
        psnr(np.round(a).astype(np.uint8)[None], row[4:58].round().astype(np.uint8)[None])
        for a in (new, small.repeat(2)[4:58])
    ]
    return f"a wave enlarged twice, at {scores[0]:.1f} dB; repeated pixels have {scores[1]:.1f} dB"


def _centre() -> str:
    """Train a shift by 2.2 and 2.3: columns of numbers are moved to the mean 0."""
    gradient, sum_to = answer("2.3"), answer("2.2")
    x, bias, target = np.random.default_rng(2).normal(size=(8, 3)), np.zeros(3), np.array([1.0, -2.0, 0.5])
    for _ in range(60):
        bias = bias - 0.05 * sum_to(2 * (x - x.mean(axis=0) + bias - target), (3,))
    flat = np.abs(gradient(np.ones((8, 3)))).max()
    off = np.abs(bias - target).max()
    return f"a bias trained to within {off:.3f} of its target, and a gradient of {flat:.3f} for a shift"


def _gradients(layer: Callable[..., Tensor], *shapes: tuple[int, ...]) -> str:
    rng = np.random.default_rng(3)
    gradcheck(layer, [Tensor(rng.normal(size=shape), True) for shape in shapes])  # raises where they are wrong
    return "a layer of the engine, and its gradients pass gradcheck"


def _convolution() -> str:
    by = tuple(map(answer, ("3.2", "3.3", "3.4")))
    return _gradients(partial(Convolution.apply, by=by), (2, 4, 5, 2), (3, 3, 2, 3), (3,))


def _slope() -> str:
    return _gradients(partial(Slope.apply, by=answer("4.2")), (2, 3, 3, 4), (4,))


def _norm() -> str:
    return _gradients(partial(Norm.apply, by=(answer("5.1"), answer("5.2"))), (2, 3, 3, 4), (4,), (4,))


def _shuffled() -> str:
    """Measure by 6.2 the pattern that 6.1 makes of weights by 6.3, and of random ones."""
    rng, shuffle, means = np.random.default_rng(6), answer("6.1"), answer("6.2")
    x, weight = Tensor(rng.normal(size=(1, 16, 16, 3)) + 1), rng.normal(size=(3, 3, 3, 1))
    kernels = (rng.normal(size=(3, 3, 3, 4)), answer("6.3")(weight, 2))
    spreads = [np.std(means(shuffle(ops.conv2d(x, Tensor(w), padding=1), 2).numpy()[0, :, :, 0], 2)) for w in kernels]
    return f"an upsampling whose pattern is {spreads[1]:.2f} from ICNR, {spreads[0]:.2f} from random weights"


def _features() -> str:
    """Follow the loss of 8.3 from noise to the features of a picture, with the pool of 8.4 in between."""
    loss, rng = answer("8.3"), np.random.default_rng(8)
    weight, target = Tensor(rng.normal(size=(3, 3, 3, 8)) / 5), Tensor(rng.normal(size=(1, 8, 8, 3)))
    y, first, last = rng.normal(size=(1, 8, 8, 3)), 0.0, 0.0
    for step in range(60):
        pixels = Tensor(y, requires_grad=True)
        distance = loss(ops.relu(ops.conv2d(pixels, weight)), ops.relu(ops.conv2d(target, weight)))
        distance.backward()
        last = distance.item()
        first = first if step else last
        y = y - 0.5 * pixels.grad.numpy()  # type: ignore[union-attr]
    return f"pixels that followed the loss of their features from {first:.2f} down to {last:.2f}"


def _players() -> str:
    """Train the D of one logit, z = w x + b, by 9.2 on numbers around 2 and around 0; compare it with 9.1."""
    loss, best, rng = answer("9.2"), answer("9.1"), np.random.default_rng(9)
    w, b = np.zeros(1), np.zeros(1)
    real, fake = rng.normal(2, 1, size=(400, 1)), rng.normal(0, 1, size=(400, 1))
    for _ in range(200):
        slope, shift = Tensor(w, requires_grad=True), Tensor(b, requires_grad=True)
        loss(Tensor(real) * slope + shift, Tensor(fake) * slope + shift).backward()
        w, b = w - 0.5 * slope.grad.numpy(), b - 0.5 * shift.grad.numpy()  # type: ignore[union-attr]
    x = np.linspace(-1, 3, 9)
    learned = 1 / (1 + np.exp(-(w * x + b)))
    off = np.abs(learned - best(np.exp(-((x - 2) ** 2) / 2), np.exp(-(x**2) / 2))).max()
    return f"a discriminator that came within {off:.2f} of the best one"


MILESTONES: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "1": (_pixels, ("1.2", "1.3")),
    "2": (_centre, ("2.2", "2.3")),
    "3": (_convolution, ("3.2", "3.3", "3.4")),
    "4": (_slope, ("4.2",)),
    "5": (_norm, ("5.1", "5.2")),
    "6": (_shuffled, ("6.1", "6.2", "6.3")),
    "7": (lambda: "a network that enlarges", ("3.2", "3.3", "3.4", "4.2", "5.1", "5.2", "5.3", "6.1", "6.3", "7.1")),
    "8": (_features, ("8.3",)),
    "9": (_players, ("9.1", "9.2")),
    "10": (lambda: "an SRGAN in training", ("8.3", "9.2")),
}


def milestone(notebook: str) -> Any:
    """Run what the answers of a notebook can do together, and say whose code it ran on."""
    compute, numbers = MILESTONES[notebook]
    return keep.milestone(compute(), *numbers)


def reached(number: str, kept: str) -> str:
    """Return the milestone of a notebook when its last answer is in mine.py; `kept` says whether it is new."""
    notebook = number.split(".")[0]
    _, numbers = MILESTONES.get(notebook, (None, ()))
    own_numbers = [n for n in numbers if n.split(".")[0] == notebook]
    if notebook in ("7", "10") or number not in own_numbers or not all(keep.found(n)[0] for n in own_numbers):
        return ""
    if number != own_numbers[-1] and not kept.startswith("Kept"):
        return ""
    return str(milestone(notebook).text)
