"""A table of a model's layers: output shapes, parameters, multiply-adds and receptive field."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.explain.record import title_of
from minisrgan.nn import Conv2d, Linear, MaxPool2d, Module, PixelShuffle
from minisrgan.ops.conv import frame_of


@dataclass
class Row:
    """One call of a layer.

    multiply_adds    of convolutions and dense layers, for the whole batch; all other layers need far fewer
    receptive_field  side, in pixels of the model's input, of the square that one output pixel depends on; infinite
                     after a dense layer, which sees the whole image
    """

    path: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: float


def summarize(model: Module, input_shape: tuple[int, ...]) -> list[Row]:
    """Run a batch of zeros through a model and return a row for each call of a layer.

    input_shape  of a batch (N, H, W, C)
    Formula      receptive field 2r + 1: a k x k layer adds step * (k - 1)/2 to r. step begins at 1; every stride
                 multiplies it, every pixel shuffle divides it by its factor. Layers count in the order in which
                 they run, so the longest path through a residual block is the one that counts.

    >>> from minisrgan.models import Generator
    >>> rows = summarize(Generator(), (1, 24, 24, 3))
    >>> sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows), rows[-1].receptive_field
    (1550659, 1277669376, 80.0)
    """
    rows: list[Row] = []
    reach, step = 0.0, 1.0

    def note(path: str, module: Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        nonlocal reach, step
        multiply_adds = 0
        if isinstance(module, Conv2d):
            kh, kw, in_channels = module.weight.shape[:3]
            multiply_adds = y.size * kh * kw * in_channels
            strides, _ = frame_of((kh, kw), module.stride, module.padding)
            reach, step = reach + (max(kh, kw) - 1) / 2 * step, step * max(strides)
        elif isinstance(module, Linear):
            multiply_adds = y.size * module.weight.shape[0]
            reach = math.inf
        elif isinstance(module, MaxPool2d):
            reach, step = reach + (module.size - 1) / 2 * step, step * module.stride
        elif isinstance(module, PixelShuffle):
            step /= module.factor
        rows.append(Row(path, title_of(module), y.shape, module.parameter_count(), multiply_adds, 2 * reach + 1))

    with no_grad(), ExitStack() as afterwards:
        for path, module in model.named_modules():
            afterwards.callback(setattr, module, "training", module.training)
            if not module.children():
                afterwards.callback(module.register_forward_hook(partial(note, path)))
        model.eval()(Tensor(np.zeros(input_shape, np.float32)))
    return rows


def summary_table(model: Module, input_shape: tuple[int, ...]) -> str:
    """Return the rows of `summarize` as a table in plain text, with the totals under it.

    >>> from minisrgan.models import Generator
    >>> table = summary_table(Generator(scale=2, channels=4, blocks=1), (1, 8, 8, 3))
    >>> for line in table.splitlines()[-2:]:
    ...     print(line)
    Generator x2, 4 channels, 1 blocks, for a batch (1, 8, 8, 3):
    3,023 parameters, 375,552 multiply-adds (0.00 G)
    """
    rows = summarize(model, input_shape)
    table = [["path", "layer", "output", "parameters", "multiply-adds", "sees"]]
    for row in rows:
        counts = [f"{count:,}" if count else "" for count in (row.parameters, row.multiply_adds)]
        shape, sees = " x ".join(map(str, row.output_shape[1:])), f"{row.receptive_field:g}".replace("inf", "all")
        table.append([row.path, row.layer.replace("kernel ", ""), shape, *counts, sees])  # short enough for a notebook
    total = sum(row.multiply_adds for row in rows)
    sums = f"{model.parameter_count():,} parameters, {total:,} multiply-adds ({total / 1e9:.2f} G)"
    return "\n".join([*text_table(table, words=2), "", f"{title_of(model)}, for a batch {input_shape}:", sums])


def text_table(table: Sequence[Sequence[str]], words: int | None = None, markdown: bool = False) -> list[str]:
    """Format rows of cells as lines; the headings come first and are underlined.

    words  number of columns to align left; the others are aligned right. By default all are aligned left.

    >>> text_table([["layer", "sees"], ["conv1", "9"]], words=1)
    ['layer  sees', '-----  ----', 'conv1     9']
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    words = len(widths) if words is None else words
    lines = []
    for row in (table[0], ["-" * width for width in widths], *table[1:]):
        cells = [c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
    return lines
