"""The table that ties every operation to its reference and its gradient: a row is an operation, inputs and options.

It begins with the cases of `minisrgan.reference.cases`. `test_table` asks the same questions of every row. To add an
operation, add a case there, and rows here for what its code treats differently: strides, axes, ties, one image or
several, a kernel larger than the picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisrgan import Tensor, ops, reference
from minisrgan.reference.cases import CASES, Case, arguments


@dataclass
class Row:
    """An operation, its inputs (arrays, or Python numbers handed on as they are) and its options."""

    name: str
    inputs: Sequence[Any]
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let nothing write into the inputs: an operation that works in place would change the rows of later tests."""
        for x in self.inputs:
            if isinstance(x, np.ndarray):
                x.flags.writeable = False

    def __str__(self) -> str:
        shapes = ["x".join(map(str, np.shape(x))) or "scalar" for x in self.inputs]
        options = [f"{key}={value}".replace(" ", "").replace("\n", "") for key, value in self.options.items()]
        return "-".join([self.name, *shapes, *options])

    def op(self, *inputs: Any) -> Tensor:
        """Call the operation."""
        given, options = arguments(self.name, inputs, self.options)
        if self.name == "batch_norm":
            running = {key: options[key].astype(inputs[0].dtype) for key in ("running_mean", "running_var")}
            options = {**options, **running}
        return getattr(ops, self.name)(*given, **options)

    def expected(self, *inputs: Any) -> np.ndarray:
        """The result by the loops of the reference."""
        y = getattr(reference, self.name)(*map(np.asarray, inputs), **self.options)
        return y[0] if self.name == "batch_norm" else y

    def expected_gradients(self, grad_y: np.ndarray, *inputs: Any) -> list[np.ndarray]:
        """The gradient of every input that is an array, by the loops of the reference."""
        grads = getattr(reference, self.name + "_grad")(grad_y, *map(np.asarray, inputs), **self.options)
        return [g for g, x in zip(grads, inputs, strict=False) if isinstance(x, np.ndarray)]

    def random(self) -> np.random.Generator:
        """Random numbers that are the row's own, so that a new row changes no other."""
        return np.random.default_rng(zlib.crc32(str(self).encode()))


def row_of(case: Case) -> Row:
    """Make a row of a case; running statistics are settings here, as no gradient leads to them."""
    inputs, options = case.inputs(), dict(case.options)
    if case.op == "batch_norm":
        options |= {"running_mean": inputs[3], "running_var": inputs[4]}
    return Row(case.op, inputs[:3] if case.op == "batch_norm" else inputs, options)


RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Normally distributed numbers."""
    return np.asarray(RNG.standard_normal(shape))


def positive(*shape: int) -> np.ndarray:
    """Numbers that have a logarithm and may stand below a fraction."""
    return np.asarray(RNG.uniform(0.5, 2.0, shape))


def tied(*shape: int) -> np.ndarray:
    """Few different numbers: ties in every window, zeros included. The gradient checker steps off the kinks itself."""
    return RNG.integers(-1, 2, shape).astype(np.float64)


def rows(name: str, cases: Sequence[tuple[Any, ...]], draw: Callable[..., np.ndarray] = normal) -> list[Row]:
    """Rows of one operation: each case is the shapes of its inputs (a float stays a number), options last if any."""
    made = []
    for case in cases:
        options = case[-1] if isinstance(case[-1], dict) else {}
        shapes = case[:-1] if isinstance(case[-1], dict) else case
        made.append(Row(name, [draw(*s) if isinstance(s, tuple) else s for s in shapes], options))
    return made


EDGES = [  # where a difference would leave what the function is defined for
    Row("power", [np.array([0.0, 0.0, 0.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.5, 3.0, 0.0])]),
]
BROADCAST = [
    ((2, 3), (2, 3)),
    ((2, 1, 3), (4, 1)),
    ((3,), ()),
    ((), (2, 2)),
    ((1, 3), (2, 1, 1)),
    ((2, 3), 0.75),
    (1.5, (2, 3)),
    ((2, 3), 2),
]
AXES = [
    {"axis": axis, "keepdims": keepdims}
    for axis in (None, 0, -1, (0, 2), (2, 0, 1), (-1, 1), ())
    for keepdims in (False, True)
]
REDUCTIONS = ("sum", "mean", "max", "min", "variance", "std")
INDICES = [
    2,
    -1,
    slice(1, 3),
    slice(None, None, -1),
    slice(3, 0, -2),
    (1, -1, 0),
    (slice(None, None, -2), ..., 1),
    (None, slice(1, 3), 0),
    (..., None),
    ...,
    np.array([0, 3, 3, -1]),
    [1, 1],
    np.array([[0, 3], [3, 3]]),
    (np.array([1, 1, 2]), slice(None), np.array([0, 0, 1])),
    (slice(None), np.array([2, 2, 0, 2])),
    (slice(1, 1),),
    (0, np.array([1, 1]), None, slice(None, None, -1)),
    np.array([True, False, True, True]),
    [False, True, False, True],
    np.arange(12).reshape(4, 3) % 5 < 2,
    np.arange(24).reshape(4, 3, 2) % 7 > 3,
    (slice(None), np.array([False, True, True]), 1),
    (np.array([True, False, True, False]), ..., np.array([1, 1])),
    (..., np.zeros(2, bool)),
]
CONVOLUTIONS = [  # x (N, H, W, C), weight (kh, kw, C, O), stride, padding
    *(((2, 5, 6, 2), (3, 3, 2, 3), stride, padding) for stride in (1, 2, 3) for padding in (0, 1, 2, 3)),
    ((2, 4, 5, 3), (1, 1, 3, 2), 1, 0),
    ((1, 4, 5, 3), (1, 1, 3, 2), 2, 0),
    ((1, 3, 4, 1), (1, 1, 1, 2), 1, 3),  # padding above kernel - 1: outputs that see nothing but zeros
    ((2, 4, 3, 1), (2, 2, 1, 2), 2, 5),
    ((1, 6, 5, 2), (2, 3, 2, 2), 1, 1),
    ((2, 6, 7, 1), (2, 3, 1, 2), 2, 1),
    ((1, 7, 6, 1), (3, 2, 1, 1), 3, 2),
    ((1, 4, 4, 1), (4, 4, 1, 2), 1, 0),  # a single output pixel
    ((1, 3, 4, 2), (9, 9, 2, 1), 1, 4),  # a kernel larger than the picture
    ((1, 5, 4, 1), (9, 9, 1, 1), 2, 4),
    ((3, 2, 2, 1), (3, 3, 1, 1), 1, 1),
    ((1, 1, 8, 1), (1, 3, 1, 2), 1, 0),
    ((1, 6, 6, 1), (2, 2, 1, 1), 3, 0),  # a stride above the kernel: pixels that no window covers
]


def output_shape(x: tuple[int, ...], weight: tuple[int, ...], stride: int, padding: int) -> tuple[int, ...]:
    """The shape that conv2d gives."""
    height, width = ((n + 2 * padding - k) // stride + 1 for n, k in zip(x[1:3], weight[:2], strict=True))
    return (x[0], height, width, weight[3])


def convolution_rows() -> list[Row]:
    """Each case read in the three directions; the transpose is told the size that it leads back to."""
    made = []
    for x, weight, stride, padding in CONVOLUTIONS:
        options = {"stride": stride, "padding": padding}
        y = output_shape(x, weight, stride, padding)
        made += [
            Row("conv2d", [normal(*x), normal(*weight)], options),
            Row("conv2d_transpose", [normal(*y), normal(*weight)], {**options, "output_size": x[1:3]}),
            Row("conv2d_weight_gradient", [normal(*x), normal(*y)], {**options, "kernel_size": weight[:2]}),
        ]
    framed = [  # stride and padding
        (1, "same"), (1, (2, 0)), ((1, 2), 0), ((3, 2), (0, 1)), ((2, 4), (2, 3)), (2, (1, 2)), ((2, 2), (1, 1)),
    ]  # fmt: skip
    made += [Row("conv2d", [normal(1, 6, 5, 2), normal(2, 3, 2, 2)], {"stride": s, "padding": p}) for s, p in framed]
    return [
        *made,
        Row("conv2d", [normal(1, 4, 5, 2), normal(4, 1, 2, 2), normal(2)], {"padding": "same"}),
        Row("conv2d", [normal(2, 3, 4, 2), normal(3, 3, 2, 4), normal(4)], {"padding": 1}),
        Row("conv2d", [normal(1, 5, 4, 2), normal(3, 2, 2, 3), normal(3)], {"stride": 2}),
        Row("conv2d_transpose", [normal(2, 3, 2, 2), normal(3, 3, 4, 2), normal(4)]),
        Row("conv2d_transpose", [normal(1, 2, 3, 2), normal(4, 4, 1, 2), normal(1)], {"stride": 2, "padding": 1}),
        Row("conv2d_transpose", [normal(1, 2, 3, 1), normal(1, 2, 2, 1)], {"stride": 3, "output_size": (6, 9)}),
    ]


def batch_norm_rows() -> list[Row]:
    """Training and evaluation, with statistics, weight and bias that are nothing like 0 and 1."""
    return [
        Row(
            "batch_norm",
            [normal(*shape) * 2 + 3, normal(shape[-1]), normal(shape[-1])],
            {
                "running_mean": np.linspace(-1, 1, shape[-1]),
                "running_var": np.linspace(0.5, 3, shape[-1]),
                "training": training,
                **more,
            },
        )
        for shape in [(2, 3, 2, 4), (5, 3), (2, 1)]
        for training in (True, False)
        for more in ({}, {"momentum": 0.3, "eps": 0.2})
    ]


TABLE = [
    *(row_of(case) for cases in CASES.values() for case in cases),
    *(row for name in ("add", "subtract", "multiply", "maximum", "minimum") for row in rows(name, BROADCAST)),
    *(row for name in ("divide", "power") for row in rows(name, BROADCAST, positive)),
    *(r for name in ("maximum", "minimum") for r in rows(name, [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), 0)], tied)),
    *rows("where", [(*pair, {"condition": np.arange(3) != 1}) for pair in (((2, 3), (2, 1)), ((2, 3), 0.5), (1, ()))]),
    *rows("where", [((3,), (1, 1), {"condition": np.arange(8).reshape(2, 4, 1) % 3 > 0})]),
    *rows("where", [((2,), (2,), {"condition": np.array(True)})]),
    *rows("negative", [((),)]),
    *rows("power", [((2, 3), {"exponent": e}) for e in (2, 2.0, 1, 0)]),
    *rows("power", [((2, 3), 3), (2, (2, 3)), (2.5, ())]),
    *rows("power", [((2, 3), {"exponent": e}) for e in (0.5, -1)], positive),
    *rows("power", [((3, 4), {"exponent": e}) for e in (2, 1, 0)], tied),  # the second derivative of x is not 0 * 0^-1
    *rows("absolute", [((3, 4),)], tied),
    *rows("clip", [((3, 4), {"low": -1.0, "high": 0.0})], tied),  # both limits are met exactly
    *(row for name in REDUCTIONS for row in rows(name, [((2, 3, 4), axes) for axes in AXES])),
    *(row for name in ("max", "min") for row in rows(name, [((2, 3, 4), axes) for axes in AXES], tied)),
    *(row for name in REDUCTIONS for row in rows(name, [((),), ((1, 1),)])),
    *rows("broadcast_to", [((), {"shape": (2, 2)}), ((2, 3), {"shape": (2, 3)})]),
    *rows("sum_to", [((2, 3, 4), {"shape": s}) for s in [(4,), (), (2, 3, 4), (1, 1, 1), (2, 1, 4)]]),
    *rows("reshape", [((2, 3, 4), {"shape": s}) for s in [(24,), (2, 3, 4), (-1, 1, 6)]]),
    *rows("reshape", [((1,), {"shape": ()}), ((), {"shape": (1, 1)})]),
    *rows("transpose", [((2, 3, 4),), *(((2, 3, 4), {"axes": a}) for a in [(-1, 0, -2), (0, 1, 2)])]),
    *rows("getitem", [((4, 3, 2), {"index": index}) for index in INDICES]),
    *rows("scatter", [(np.zeros((4, 3, 2))[index].shape, {"index": index, "shape": (4, 3, 2)}) for index in INDICES]),
    *rows("pad", [((4, 3), {"widths": w}) for w in [((0, 0), (0, 0)), ((5, 0), (0, 7))]]),
    *rows("concatenate", [((2, 3), (1, 3), (2, 3)), ((2, 3, 1), (2, 4, 1), {"axis": 1})]),
    *rows("concatenate", [((2, 3),), ((2, 0), (2, 3), {"axis": 1})]),
    *rows("stack", [((2, 3), (2, 3), (2, 3), {"axis": axis}) for axis in (0, 1, 2, -1)]),
    *rows("stack", [((), ())]),
    *rows("matmul", [((2, 3), (3, 4)), ((2, 2, 3), (2, 3, 2)), ((2, 3), (2, 3, 2))]),
    *rows("matmul", [((2, 2, 3), (3, 2)), ((1, 1), (1, 1))]),
    *rows("linear", [((4, 3), (3, 2)), ((4, 3), (3, 2), (2,)), ((1, 1), (1, 1), (1,))]),
    *convolution_rows(),
    *batch_norm_rows(),
    *rows("relu", [((3, 4),)], tied),
    *rows("leaky_relu", [((3, 4), o) for o in ({"negative_slope": 0.01}, {"negative_slope": 3})]),
    *rows("leaky_relu", [((3, 4), o) for o in ({}, {"negative_slope": 0.0})], tied),
    *rows("prelu", [((2, 2, 3, 4), (1,)), ((3, 1), (1,)), ((4,), (4,)), ((4,), (1,))]),
    *rows("prelu", [((2, 3, 3), (3,)), ((2, 3, 3), (1,))], tied),
    Row("prelu", [normal(3, 2, 3), np.array([-0.5, 1.5, 0.25])]),  # max(x, a*x) would hold for none but the last
    Row("prelu", [normal(3, 2, 3), np.array([3.0])]),
    Row("sigmoid", [np.array([-1000.0, -30.0, -5.0, 0.0, 5.0, 30.0, 1000.0])]),  # e^1000 is infinite
    Row("softplus", [np.array([-1000.0, -30.0, -5.0, 0.0, 5.0, 30.0, 1000.0])]),
    *rows("pixel_shuffle", [((1, 2, 1, 18), {"factor": 3}), ((1, 2, 2, 3), {"factor": 1})]),
    *rows("pixel_unshuffle", [((1, 3, 6, 2), {"factor": 3})]),
    *rows("max_pool2d", [((1, 7, 8, 1), {"size": 3}), ((1, 3, 3, 2), {"size": 1})]),
    *rows("max_pool2d", [((2, 5, 4, 2), {"size": 2}), ((1, 3, 3, 1), {"size": 3})], tied),
    *rows(
        "max_pool2d",
        [((1, 6, 7, 1), {"size": k, "stride": s}) for k, s in ((3, 2), (2, 1), (2, 3), (1, 2), (3, 1))],
        tied,
    ),
    *(row for name in ("mse", "l1") for row in rows(name, [((), ())])),
    *rows("l1", [((3, 4), (3, 4))], tied),
    *rows("total_variation", [((1, 1, 5, 1),), ((1, 1, 1, 1),)]),
    *rows("total_variation", [((2, 3, 3, 1),)], tied),
    Row("binary_cross_entropy_with_logits", [normal(4, 2) * 3, positive(4, 2) / 2]),
    Row("binary_cross_entropy_with_logits", [np.array([-30.0, 0.0, 30.0]), np.array([1.0, 1.0, 0.0])]),
]
