"""A few inputs for every operation, on which the command `minisrgan gradcheck` checks it.

The name of a case consists of the operation, the shapes of its inputs, its options, and the range of the numbers unless
it is "wide". The file of results computed by PyTorch uses the same names. The tests and the comparison with PyTorch use
these cases and some of their own.

>>> case = CASES["prelu"][0]
>>> case.name
'prelu-2x2x3x4-4'
>>> [x.shape for x in case.inputs()]
[(2, 2, 3, 4), (4,)]
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisrgan.reference.positions import Array

RANGES = {"wide": (-2.0, 2.0), "positive": (0.5, 2.0), "large": (-40.0, 40.0)}  # positive numbers have a logarithm


@dataclass(frozen=True)
class Case:
    """An operation, its input shapes, its options, and its range in `RANGES` (or one range per input, joined by +)."""

    op: str
    shapes: Sequence[tuple[int, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    kinds: str = "wide"

    @property
    def name(self) -> str:
        """The operation, the shapes and the options as one word."""
        shapes = ["x".join(map(str, shape)) for shape in self.shapes]
        options = [f"{option}={value}".replace(" ", "") for option, value in self.options.items()]
        return "-".join([self.op, *shapes, *options, *[self.kinds] * (self.kinds != "wide")])

    def inputs(self) -> list[Array]:
        """Draw random inputs in float64; a case gets the same numbers every time."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        kinds = self.kinds.split("+") if "+" in self.kinds else [self.kinds] * len(self.shapes)
        return [rng.uniform(*RANGES[kind], shape) for kind, shape in zip(kinds, self.shapes, strict=True)]


def arguments(op: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the arguments of an operation: concatenate and stack take a list, and where takes its condition first."""
    if op == "where":
        return [options["condition"], *inputs], {}
    return ([list(inputs)] if op in ("concatenate", "stack") else inputs), options


_PAIR = ((2, 3, 4), (4,))
_STEP: Mapping[str, Any] = {"stride": 2, "padding": 1}
_NORM = "wide+wide+wide+wide+positive"  # x, weight, bias, running mean, running variance

_ALL = (
    *(Case(op, [(2, 3)]) for op in ("negative", "exp")),
    *(Case(op, [(2, 3)], kinds="positive") for op in ("log", "sqrt")),
    *(Case(op, [(3, 4)]) for op in ("absolute", "relu", "leaky_relu", "sigmoid", "tanh", "softplus")),
    *(Case(op, _PAIR) for op in ("add", "subtract", "multiply", "maximum", "minimum")),
    *(Case(op, [(2, 3), (2, 3)]) for op in ("mse", "l1")),
    *(Case(op, [(2, 3, 4)], {"axis": (0, 2)}) for op in ("sum", "mean", "max", "min", "variance", "std")),
    Case("total_variation", [(2, 3, 4, 2)]),
    Case("divide", _PAIR, kinds="positive"),
    Case("power", [(2, 3)], {"exponent": 3}),
    Case("power", [(2, 3)], {"exponent": -1.5}, "positive"),
    Case("power", [(2, 3), (3,)], kinds="positive+wide"),
    Case("where", [(2, 3), (3,)], {"condition": np.array([True, False, True])}),
    Case("clip", [(3, 4)], {"low": -0.5, "high": 1.0}),
    Case("broadcast_to", [(3, 1)], {"shape": (2, 3, 4)}),
    Case("sum_to", [(2, 3, 4)], {"shape": (3, 1)}),
    Case("reshape", [(2, 3, 4)], {"shape": (4, -1)}),
    Case("transpose", [(2, 3, 4)], {"axes": (1, 2, 0)}),
    Case("getitem", [(4, 3, 2)], {"index": np.array([0, 3, 3])}),  # index 3 is taken twice
    Case("scatter", [(3, 3, 2)], {"index": np.array([0, 3, 3]), "shape": (4, 3, 2)}),
    Case("pad", [(4, 3)], {"widths": ((1, 2), (2, 0))}),
    Case("concatenate", [(2, 3), (2, 1)], {"axis": -1}),
    Case("stack", [(2, 3), (2, 3)], {"axis": 1}),
    Case("matmul", [(3, 1, 2, 3), (2, 3, 1)]),
    Case("linear", [(2, 2, 3), (3, 2), (2,)]),
    Case("conv2d", [(2, 5, 6, 2), (3, 3, 2, 3), (3,)], _STEP),
    Case("conv2d", [(1, 5, 6, 2), (2, 3, 2, 1)], {"padding": "same"}),
    Case("conv2d", [(1, 5, 6, 2), (3, 3, 2, 1)], {"stride": (2, 1), "padding": (1, 0)}),
    Case("conv2d_transpose", [(2, 3, 3, 3), (3, 3, 2, 3), (2,)], {**_STEP, "output_size": (5, 6)}),
    Case("conv2d_weight_gradient", [(2, 5, 6, 2), (2, 3, 3, 3)], {**_STEP, "kernel_size": (3, 3)}),
    *(Case("batch_norm", [(2, 3, 2, 4), *[(4,)] * 4], {"training": mode}, _NORM) for mode in (True, False)),
    *(Case("prelu", shapes) for shapes in ([(2, 2, 3, 4), (4,)], [(2, 3, 3), (1,)])),
    Case("pixel_shuffle", [(2, 2, 3, 8)], {"factor": 2}),
    Case("pixel_unshuffle", [(2, 4, 6, 2)], {"factor": 2}),
    Case("max_pool2d", [(2, 5, 4, 2)], {"size": 2}),
    Case("max_pool2d", [(1, 5, 6, 2)], {"size": 3, "stride": 2}),
    Case("binary_cross_entropy_with_logits", [(4, 2), (4, 2)], kinds="large"),
)

CASES: Mapping[str, Sequence[Case]] = {case.op: [c for c in _ALL if c.op == case.op] for case in _ALL}
