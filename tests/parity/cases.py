"""What is computed on both sides: operations, losses, layers, networks and training steps. Computes on neither side.

All inputs and first weights are numbers of float32, so that float32 and float64 compute from exactly the same ones.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisrgan.reference import cases as reference_cases

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}  # of the largest magnitude


def draw(key: str, *shape: int) -> np.ndarray:
    """Draw uniformly from [-1, 1), by name. Of NumPy's streams only the raw bits are promised to stay as they are."""
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw(math.prod(shape))
    return ((raw >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1).reshape(shape)


KINDS = {
    "wide": lambda u: 2 * u,
    "large": lambda u: 40 * u,
    "sure": lambda u: 20 + 5 * u,
    "denied": lambda u: -20 - 5 * u,
    "positive": lambda u: 1.25 + 0.75 * u,  # 0.5 to 2: has a logarithm, and may stand below a fraction
    "tied": lambda u: np.floor(1.5 * (u + 1)) - 1,  # -1, 0 or 1: ties, and kinks that are met exactly
}


@dataclass
class Case:
    """An operation or loss, the shapes of its inputs (a number is handed on), its options, what kind its inputs are."""

    op: str
    shapes: Sequence[Any]
    options: dict[str, Any] = field(default_factory=dict)
    kinds: str | Sequence[str] = "wide"  # one for all inputs, or one for each
    seed: int = 0

    def __str__(self) -> str:
        shapes = ["x".join(map(str, s)) or "scalar" if isinstance(s, tuple) else str(s) for s in self.shapes]
        options = [f"{name}={value}" for name, value in self.options.items()]
        kinds = [] if self.kinds == "wide" else [self.kinds if isinstance(self.kinds, str) else "+".join(self.kinds)]
        return "-".join([self.op, *shapes, *options, *kinds]).replace(" ", "").replace("\n", "")

    def inputs(self) -> list[Any]:
        """Draw the inputs."""
        kinds = [self.kinds] * len(self.shapes) if isinstance(self.kinds, str) else self.kinds
        return [
            np.asarray(KINDS[kind](draw(f"{self} {i} {self.seed}", *shape))) if isinstance(shape, tuple) else shape
            for i, (shape, kind) in enumerate(zip(self.shapes, kinds, strict=True))
        ]

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draw the gradient that comes back to the result; ones would let a batch norm whose gradient is 0 pass."""
        return draw(f"{self} cotangent {self.seed}", *shape)


def each(op: str, *cases: Any, kinds: str = "wide") -> Iterator[Case]:
    """Make cases of one operation: shapes, options last if any."""
    for case in cases:
        *shapes, options = case if isinstance(case[-1], dict) else (*case, {})
        yield Case(op, shapes, options, kinds)


PAIRS = (((2, 3), (2, 3)), ((2, 3, 4), (4,)), ((2, 1, 3), (4, 1)), ((3,), ()), ((2, 3), 0.75), (1.5, (2, 3)))
AXES = ({}, {"axis": 0}, {"axis": (0, 2)}, {"axis": (2, -2), "keepdims": True}, {"axis": -1, "keepdims": True})
INDICES = (
    2,
    slice(1, 3),
    (..., slice(None, None, 2)),
    (None, slice(1, 3), -1),
    np.array([0, 3, 3]),
    np.array([True, False, True, False]),
    np.arange(12).reshape(4, 3) % 5 < 2,
    (slice(None), np.array([2, 2, 0])),
    (np.array([1, 1, 2]), slice(None), np.array([0, 0, 1])),
)
CONVOLUTIONS = (  # x, weight (kh, kw, C, O), stride, padding
    ((2, 5, 6, 2), (3, 3, 2, 3), 1, 1),
    ((2, 5, 6, 2), (3, 3, 2, 3), 2, 1),  # an even and an odd side: with stride 2 one of them leaves a row over
    ((1, 6, 5, 2), (3, 3, 2, 1), 2, 0),
    ((1, 6, 7, 1), (2, 3, 1, 2), 3, 2),
    ((2, 4, 5, 3), (1, 1, 3, 2), 1, 0),
    ((1, 3, 4, 2), (9, 9, 2, 1), 1, 4),  # a kernel larger than the picture
)


def convolved(size: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> tuple[int, int]:
    """Return the height and width that a convolution leads to."""
    height, width = ((n + 2 * padding - k) // stride + 1 for n, k in zip(size, kernel, strict=True))
    return height, width


def convolution(
    direction: str, x: tuple[int, ...], weight: tuple[int, ...], stride: int, padding: int, bias: bool, seed: int = 0
) -> Case:
    """Make a case of one of the three directions of a convolution; the transpose is told the size it leads back to."""
    options: dict[str, Any] = {"stride": stride, "padding": padding}
    y = (x[0], *convolved(x[1:3], weight[:2], stride, padding), weight[3])
    if direction == "conv2d":
        return Case(direction, (x, weight, *[weight[3:]] * bias), options, seed=seed)
    if direction == "conv2d_transpose":
        return Case(direction, (y, weight, *[weight[2:3]] * bias), options | {"output_size": x[1:3]}, seed=seed)
    return Case(direction, (x, y), options | {"kernel_size": weight[:2]}, seed=seed)


def batch_norm(shape: tuple[int, ...], training: bool, seed: int = 0, **options: float) -> Case:
    """Make a case of batch norm: x, weight, bias, running mean and variance."""
    kinds = ("wide", "wide", "wide", "wide", "positive")
    return Case("batch_norm", (shape, *[shape[-1:]] * 4), {"training": training, **options}, kinds, seed)


REDUCTIONS = ("sum", "mean", "max", "min", "variance", "std")
FRAMES = ((1, "same"), (1, (2, 0)), ((2, 1), 0), ((2, 3), (1, 2)))  # stride, padding
DIRECTIONS = ("conv2d", "conv2d_transpose", "conv2d_weight_gradient")
_ALL = (
    *(  # those of the command `minisrgan gradcheck`; their running variances are positive
        Case(c.op, c.shapes, dict(c.options), c.kinds.split("+") if "+" in c.kinds else c.kinds)
        for of_op in reference_cases.CASES.values()
        for c in of_op
    ),
    *(case for op in ("add", "subtract", "multiply", "maximum", "minimum") for case in each(op, *PAIRS)),
    *(case for op in ("divide", "power") for case in each(op, *PAIRS, kinds="positive")),
    *(c for op in ("maximum", "minimum") for c in each(op, ((3, 4), (4,)), ((3, 4), 0), kinds="tied")),
    *each("where", ((2, 1), (3,), {"condition": np.array([False, True, True])})),
    *each("negative", ((2, 3),), ((),)),
    *each("power", ((2, 3), {"exponent": 0}), (2, (2, 3)), ((2, 3), 3)),
    *each("power", *(((2, 3), {"exponent": e}) for e in (0.5, -1, -1.5)), kinds="positive"),
    *each("exp", ((2, 3),)),
    *each("log", ((2, 3),), kinds="positive"),
    *each("sqrt", ((2, 3),), kinds="positive"),
    *(case for kind in ("wide", "tied") for case in each("absolute", ((3, 4),), kinds=kind)),
    *each("clip", ((3, 4), {"low": -0.5, "high": 1.0})),
    *each("clip", ((3, 4), {"low": -1.0, "high": 0.0}), kinds="tied"),  # both limits are met exactly
    *(c for op in REDUCTIONS for c in each(op, *(((2, 3, 4), axes) for axes in AXES))),
    *(c for op in ("max", "min") for c in each(op, *(((2, 3, 4), axes) for axes in AXES), kinds="tied")),
    *each("broadcast_to", ((3, 1), {"shape": (2, 3, 4)}), ((), {"shape": (2, 2)})),
    *each("sum_to", *(((2, 3, 4), {"shape": shape}) for shape in ((3, 1), (4,), (), (2, 1, 4)))),
    *each("reshape", ((2, 3, 4), {"shape": (4, -1)}), ((), {"shape": (1, 1)})),
    *each("transpose", ((2, 3, 4),), ((2, 3, 4), {"axes": (1, 2, 0)})),
    *each("getitem", *(((4, 3, 2), {"index": index}) for index in INDICES)),
    *each("scatter", *((np.zeros((4, 3, 2))[i].shape, {"index": i, "shape": (4, 3, 2)}) for i in INDICES)),
    *each("pad", ((4, 3), {"widths": ((1, 2), (2, 0))})),
    *each("concatenate", ((2, 3), (1, 3), (2, 3)), ((2, 3), (2, 1), {"axis": -1})),
    *each("stack", ((2, 3), (2, 3), {"axis": 1}), ((2, 3), (2, 3), {"axis": -1})),
    *each("matmul", ((2, 3), (3, 4)), ((3, 1, 2, 3), (2, 3, 1)), ((2, 2, 3), (3, 2))),
    *each("linear", ((4, 3), (3, 2)), ((2, 2, 3), (3, 2), (2,))),
    *(convolution(name, *case, bias=False) for name in DIRECTIONS for case in CONVOLUTIONS),
    *(convolution(name, *case, bias=True) for name in DIRECTIONS[:2] for case in CONVOLUTIONS[:2]),
    *(Case("conv2d", ((1, 6, 5, 2), (4, 3, 2, 2), (2,)), {"stride": s, "padding": p}) for s, p in FRAMES),
    *(batch_norm(shape, training) for shape in ((2, 3, 2, 4), (5, 3)) for training in (True, False)),
    *(batch_norm((2, 2, 2, 2), training, momentum=0.3, eps=0.2) for training in (True, False)),
    *(case for kind in ("wide", "tied") for op in ("relu", "leaky_relu") for case in each(op, ((3, 4),), kinds=kind)),
    *each("leaky_relu", ((3, 4), {"negative_slope": 0.01})),
    *(case for kind in ("wide", "tied") for case in each("prelu", ((2, 2, 3, 4), (4,)), ((2, 3, 3), (1,)), kinds=kind)),
    *(case for op in ("sigmoid", "tanh", "softplus") for case in each(op, ((3, 4),))),
    *(case for op in ("sigmoid", "softplus") for case in each(op, ((3, 4),), kinds="large")),
    *each("pixel_shuffle", ((2, 2, 3, 8), {"factor": 2}), ((1, 2, 1, 18), {"factor": 3})),
    *each("pixel_unshuffle", ((2, 4, 6, 2), {"factor": 2}), ((1, 3, 6, 2), {"factor": 3})),
    *(c for k in ("wide", "tied") for c in each("max_pool2d", ((2, 5, 4, 2), {"size": 2}), kinds=k)),
    *each("max_pool2d", ((1, 7, 8, 1), {"size": 3}), ((1, 6, 7, 2), {"size": 2, "stride": 3})),
    *each("max_pool2d", *(((1, 6, 7, 2), {"size": 3, "stride": s}) for s in (1, 2)), kinds="tied"),
    *(case for op in ("mse", "l1") for case in each(op, ((2, 3), (2, 3)))),
    *each("l1", ((3, 4), (3, 4)), kinds="tied"),
    *each("binary_cross_entropy_with_logits", ((4, 2), (4, 2)), ((4, 2), 1.0), kinds="large"),
    *(case for kind in ("wide", "tied") for case in each("total_variation", ((2, 3, 4, 2),), kinds=kind)),
)

OPERATIONS = tuple({str(case): case for case in _ALL}.values())

NO_COUNTERPART: dict[str, str] = {}  # operation: why PyTorch has nothing to hold it against

PICTURES = ((2, 12, 12, 3), (2, 12, 12, 3), (2, 1))  # generated, original, logits of the generated
LOSSES = (
    *each("discriminator_loss", ((3, 1), (3, 1)), ((3, 1), (3, 1), {"real_label": 0.9})),
    Case("discriminator_loss", ((3, 1), (3, 1)), kinds=("sure", "denied")),  # it is right about both: a loss of 1e-9
    *each("generator_loss", ((3, 1),)),
    *each("generator_loss", ((3, 1),), kinds="large"),
    *each("perceptual_loss", (*PICTURES, {"content": "mse", "adversarial_weight": 1e-3, "tv_weight": 2e-8})),
    *each("perceptual_loss", (*PICTURES, {"content": "caffe", "adversarial_weight": 0.3, "tv_weight": 1e-3})),
    *each("perceptual_loss", (*PICTURES, {"content": "torchvision", "adversarial_weight": 0.3, "tv_weight": 1e-3})),
)


@dataclass
class ModelCase:
    """A layer or network: its class, its settings, the shape of its input, the modes it goes through in turn."""

    name: str
    options: dict[str, Any]
    shape: tuple[int, ...]
    modes: tuple[str, ...] = ("train", "eval")
    seed: int = 0

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{name}={value}" for name, value in self.options.items())])

    def input(self, turn: int) -> np.ndarray:
        """Draw the input of one turn."""
        return draw(f"{self} input {turn} {self.seed}", *self.shape)

    def cotangent(self, turn: int, shape: tuple[int, ...]) -> np.ndarray:
        """Draw the gradient that comes back to the result of one turn."""
        return draw(f"{self} cotangent {turn} {self.seed}", *shape)

    def state(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Draw the weights."""
        return draw_state(f"{self} {self.seed}", shapes)


IMAGES = (2, 6, 6, 4)
LAYERS = (
    ModelCase("Conv2d", {"in_channels": 4, "out_channels": 3, "kernel_size": 3, "stride": 2, "padding": 1}, IMAGES),
    ModelCase("Conv2d", {"in_channels": 4, "out_channels": 3, "kernel_size": 3, "bias": False}, IMAGES),
    ModelCase("BatchNorm2d", {"channels": 4}, IMAGES, ("train", "train", "eval")),
    ModelCase("BatchNorm2d", {"channels": 4, "momentum": 0.4, "eps": 1e-3}, IMAGES, ("train", "train", "eval")),
    ModelCase("PReLU", {"channels": 4}, IMAGES),
    ModelCase("PReLU", {"channels": 1}, IMAGES),
    ModelCase("LeakyReLU", {"negative_slope": 0.2}, IMAGES),
    ModelCase("ReLU", {}, IMAGES),
    ModelCase("PixelShuffle", {"factor": 2}, (2, 3, 2, 8)),
    ModelCase("MaxPool2d", {"size": 2}, (2, 5, 4, 3)),
    ModelCase("Flatten", {}, (2, 3, 2, 4)),
    ModelCase("Linear", {"in_features": 4, "out_features": 3}, (5, 4)),
)
NETWORKS = (
    ModelCase("Generator", {"scale": 4, "channels": 4, "blocks": 2}, (2, 5, 6, 3)),
    ModelCase("Discriminator", {"crop": 24, "channels": 2}, (3, 24, 24, 3)),  # 24, 12, 6, 3, 2: one side is odd
)


def draw_state(key: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draw weights and running statistics by name: of the size that keeps signals alive, and nothing like 0 and 1."""
    state = {}
    for name, shape in shapes.items():
        u = draw(f"{key} {name}", *shape)
        layer = name.rpartition(".")[0]
        if len(shape) > 1:
            state[name] = u * np.float32(math.sqrt(6 / math.prod(shape[:-1])))  # variance 2 / fan-in
        elif name.endswith("running_var") or (f"{layer}.running_var".lstrip(".") in shapes and "weight" in name):
            state[name] = 1 + 0.5 * u
        elif name.endswith("weight"):
            state[name] = 0.25 + 0.5 * u  # slopes of PReLU
        else:
            state[name] = 0.5 * u
    return state


def draw_vgg_state(convention: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draw weights of VGG19 whose features are near 1 in size; they are too many to be stored."""
    state = draw_state("VGG19", shapes)
    if convention == "caffe":
        state["block1_conv1.weight"] /= 128  # inputs are up to 128
    return state


@dataclass(frozen=True)
class StepsCase:
    """Three steps of SRGAN, on crops of 16 x 16; the learning rates fall to a tenth before the third."""

    content: str
    steps: int = 3
    planned: int = 4  # half of them at the full rates
    g_lr: float = 1e-4
    d_lr: float = 5e-5
    adversarial_weight: float = 1e-3
    tv_weight: float = 1e-4
    generator: tuple[int, int, int] = (2, 4, 1)  # scale, channels, blocks
    discriminator: tuple[int, int] = (16, 2)  # crop, channels
    batch: int = 6  # D ends on one pixel an image: its last batch norm has six values a channel

    def __str__(self) -> str:
        return f"srgan-{self.content}"

    def walk(self, step: int) -> float:
        """Return how far rounding alone can have moved a weight whose gradient is 0, on both sides together.

        Adam divides a gradient by its own size, and so makes a step of up to lr of what is rounding only.
        """
        return 2 * max(self.g_lr, self.d_lr) * (step + 1)

    def crops(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a batch: low in [0, 1), high in [-1, 1)."""
        scale, crop = self.generator[0], self.discriminator[0]
        low = draw(f"{self} low {step}", self.batch, crop // scale, crop // scale, 3)
        return (low + 1) / 2, draw(f"{self} high {step}", self.batch, crop, crop, 3)


STEPS = (StepsCase("mse"), StepsCase("caffe"))


@dataclass(frozen=True)
class AdamCase:
    """Steps of Adam on given gradients; the learning rate is halved after two."""

    shapes: tuple[tuple[int, ...], ...] = ((3, 4), (5,))
    lr: float = 0.1
    betas: tuple[float, float] = (0.8, 0.95)
    eps: float = 1e-3
    steps: int = 5
    seed: int = 0

    def __str__(self) -> str:
        return f"adam-lr={self.lr}-betas={self.betas}-eps={self.eps}".replace(" ", "")

    def parameters(self) -> list[np.ndarray]:
        """Draw the first values."""
        return [draw(f"adam {i} {self.seed}", *shape) for i, shape in enumerate(self.shapes)]

    def gradients(self, step: int) -> list[np.ndarray]:
        """Draw the gradients of a step, from large to small."""
        return [draw(f"adam {i} {step} {self.seed}", *shape) / 4**step for i, shape in enumerate(self.shapes)]

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.lr if step < 2 else self.lr / 2


ADAM = (AdamCase(), AdamCase(lr=1e-3, betas=(0.9, 0.999), eps=1e-8))
