"""The tests of the GPU's code are tested: each fault here, made in a CUDA source or in Python, is noticed.

A fault is made for the stand-in alone, and a question is asked of it that passes without the fault.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from minisrgan import backend, kernels
from minisrgan.errors import MinisrganError
from minisrgan.kernels.cuda import launch, winograd
from tests.gpu import cuda_in_c, standin
from tests.gpu.cuda_in_c import needs_compiler
from tests.gpu.devices import DEVICE, Training, run
from tests.mutants.faults import Fault
from tests.mutants.test_mutants import made
from tests.ops.table import TABLE
from tests.ops.test_table import agree, expected

Question = Callable[[], None]
# A kernel that reads outside its arrays may find numbers that overflow, and the tests make warnings errors.
NOTICED = (
    AssertionError, MinisrganError, ValueError, TypeError, AttributeError, RuntimeWarning, ctypes.ArgumentError,
)  # fmt: skip


def rows(name: str, size: int | None = None) -> Question:
    """Ask all rows of an operation, with a workspace of so many bytes."""

    def ask() -> None:
        for row in (row for row in TABLE if row.name == name):
            y, grad_y, grads = expected(row)
            with backend.workspace(size) if size else nullcontext():
                ours, our_grads = run(row, list(row.inputs), grad_y)
            for mine, right in zip((ours, *our_grads), (y, *grads), strict=True):
                agree(mine, right, 1e-11)

    return ask


def many_rows() -> None:
    """Ask for sums over more rows than a block of threads takes."""
    x = np.random.default_rng(0).standard_normal((9000, 40))
    agree(kernels.channel_moments(backend.to_device(x, DEVICE))[1].get(), x.var(axis=0), 1e-11)


def many_rows_twice() -> None:
    """Ask for them again: what counts the blocks must begin at 0 once more."""
    many_rows()
    many_rows()


def turned_statistics() -> None:
    """Ask for running statistics that are not contiguous."""
    x, running = np.ones((4, 3)), backend.to_device(np.zeros((3, 2)), DEVICE)
    kernels.batch_statistics(backend.to_device(x, DEVICE), (running[:, 0], running[:, 1]), 0.25, 1e-5)
    agree(running.get(), np.array([[0.25, 0.0]] * 3), 1e-12)


def turned_adam() -> None:
    """Ask Adam to change a parameter that is not contiguous."""
    parameter, *rest = (backend.to_device(np.ones(shape), DEVICE) for shape in ((2, 3), (3, 2), (3, 2), (3, 2)))
    kernels.adam_all([(parameter.T, *rest)], [1], 0.1, (0.9, 0.99), 1e-8)
    assert (parameter.get() < 1).all()


def late_adam() -> None:
    """Ask Adam to change a parameter that has taken fewer steps than the other."""
    ours, theirs = ([[np.full(3, x) for x in (1.0, 0.1, 0.1, 0.5)] for _ in range(2)] for _ in range(2))
    theirs = [[backend.to_device(array, DEVICE) for array in group] for group in theirs]
    for groups in (ours, theirs):
        kernels.adam_all([tuple(group) for group in groups], [9, 2], 0.1, (0.9, 0.99), 1e-8)
    for i in range(2):
        agree(theirs[i][0].get(), ours[i][0], 1e-12)


def several_types() -> None:
    """Ask for what is done to a whole network, of arrays of two types and many sizes."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(n).astype(t) for n in (1, 300, 70_000, 5) for t in (np.float32, np.float64)]
    averages = [np.zeros_like(value) for value in values]
    device = [[backend.to_device(array, DEVICE) for array in arrays] for arrays in (averages, values)]
    square = kernels.square_sum([(value,) for value in device[1]])
    agree(square.get().reshape(()), kernels.square_sum([(value,) for value in values]), 1e-5)
    for pairs in ((averages, values), device):
        kernels.follow([*zip(*pairs, strict=True)], 0.25)
    for ours, theirs in zip(averages, device[0], strict=True):
        assert theirs.dtype == ours.dtype
        agree(theirs.get(), ours, 1e-6)


def constants() -> None:
    """Ask for the moments of constants, of which a plain sum keeps its rounding."""
    mean, variance = kernels.channel_moments(backend.to_device(np.full((9000, 3), 0.1), DEVICE))
    assert (mean.get() == 0.1).all()
    assert (variance.get() == 0).all()


def a_step() -> None:
    """Ask for a step of SRGAN, with two of Adam."""
    cpu, gpu = (Training(device, np.float64, content="mse") for device in ("cpu", DEVICE))
    for _ in range(2):
        ours, theirs = cpu.step(), gpu.step()
    np.testing.assert_allclose([*theirs.values()], [*ours.values()], rtol=1e-9)
    for a, b in zip(cpu.stage.g_optimizer.square, gpu.stage.g_optimizer.square, strict=True):
        agree(b.get(), a, 1e-9)


def tiles(size: int | None = None) -> Question:
    """Ask for a 3x3 layer by Winograd's algorithm, with a workspace of so many bytes."""

    def ask() -> None:
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal(s, np.float32) for s in ((2, 7, 6, 3), (3, 3, 3, 4), (4,), (2, 5, 4, 4))]
        x, weight, bias, grad_y = (backend.to_device(array, DEVICE) for array in arrays)
        with backend.workspace(size) if size else nullcontext(), backend.algorithm("winograd"):
            ours = kernels.conv2d(x, weight, bias), *kernels.conv2d_gradients(x, grad_y, weight)
        x, weight, bias, grad_y = arrays
        right = kernels.conv2d(x, weight, bias), *kernels.conv2d_gradients(x, grad_y, weight)
        for mine, theirs in zip(ours, right, strict=True):
            agree(mine.get(), theirs, 1e-5)

    return ask


def tf32_products() -> None:
    """Ask whether products of few bits are kept away from tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUPY_TF32", "1")
        assert not winograd.suits(np.zeros((16, 24, 24, 64), np.float32), (24, 24), (3, 3, 64, 64), 1, 1)


CUDA: list[tuple[str, str, Question]] = [  # what a source says, what is said instead, and who notices
    ("0 <= u && u < H ?", "u < H ?", rows("conv2d")),
    ("line * Wo + w - first", "line * Wo + w", rows("conv2d", 600)),
    ("0 <= begin + k &&", "", rows("conv2d")),
    ("begin + k < end ?", "begin + k < end + C ?", rows("conv2d")),
    ("i += s, h--", "i++, h--", rows("conv2d_transpose")),
    ("j0 = v + left - w0 * s", "j0 = 0", rows("conv2d_transpose")),
    ("w < Wo && 0 <= p &&", "w < Wo &&", rows("conv2d_transpose", 600)),
    ("ADD(sum, more);", "sum = more;", rows("conv2d_transpose", 100)),
    ("+= (Index)blockDim.y * gridDim.y", "+= (Index)blockDim.y * gridDim.y * 2", many_rows),
    ("y < (int)blockDim.y", "y < (int)blockDim.y - 1", many_rows),
    ("block < gridDim.y", "block < gridDim.y - 1", many_rows),
    ("finished[blockIdx.x] = 0", "finished[blockIdx.x] = 1", many_rows_twice),
    ("== gridDim.y - 1", "== gridDim.y - 2", many_rows),
    ("centre + rest", "centre", constants),
    ("/ rows - rest * rest", "/ rows", constants),
    ("- x_hat * grad_weight[c] / rows", "- grad_weight[c] / rows", rows("batch_norm")),
    ("slope[c * each]", "slope[c]", rows("prelu")),
    ("row % r * r + col % r", "col % r * r + row % r", rows("pixel_shuffle")),
    ("left = x[at] == y[k] ? 0 : left", "left = left", rows("max_pool2d")),
    ("sqrt(v[k]) + least", "sqrt(v[k] + least)", a_step),
    ("numbers[2 * blockIdx.y]", "numbers[0]", late_adam),
    ("table + ((width) + 1) * blockIdx.y", "table", several_types),
    ("(Index)blockDim.y * gridDim.x", "(Index)blockDim.y", several_types),
    ("sums[blockIdx.y * gridDim.x + blockIdx.x]", "sums[blockIdx.x]", several_types),
    ("EACH(k, n) y[k] = x[k] > 0", "EACH(k, n + 1) y[k] = x[k] > 0", rows("prelu")),
    ("0 <= u + i && u + i < H &&", "0 < u + i && u + i < H &&", tiles()),
    ("0 <= v + j && v + j < W ?", "v + j < W ?", tiles()),
    ("(p - line * across) * 4 - left", "(p - line * across) * 4", tiles()),
    ("(line - image * down) * 4 - top", "line * 4 - top", tiles()),
    ("p = first + k / C", "p = k / C", tiles(6000)),
    ("p = first + k / O", "p = k / O", tiles(6000)),
    ("pair % O * C + pair / O", "pair", tiles()),
    ("(turned ? -1 : 1) *", "1 *", tiles()),
    ("biased ? bias[o]", "biased ? bias[0]", tiles()),
    ("if (u + i < H && v + j < W)", "if (u + i < H && v + j <= W)", tiles()),
    ("#define TURNED_AT(i, k) AT[k][i]", "#define TURNED_AT(i, k) AT[3 - k][i]", tiles()),
    ("#define TURNED_G(i, k) G[k][i]", "#define TURNED_G(i, k) G[k][2 - i]", tiles()),
    ("if (L(j, k) != 0)", "if (L(j, k) > 0)", tiles()),
]
PYTHON = [  # a function, what it says, what is said instead, and who notices
    ("_items", "channels % items == 0", "channels >= items", rows("conv2d")),
    ("_scatter", "_1 - corner[0] + kernel[0]", "_1 - corner[0] + 1", rows("conv2d", 100)),
    ("kernels.conv2d_weight_gradient", "total += product(_1, _2)", "product(_1, _2)", rows("conv2d", 100)),
    ("kernels.weight_gradient", "du += product(_1, _2)", "product(_1, _2)", tiles(6000)),
    ("kernels.convolve", "0 if first else channels * outputs", "0", tiles()),
    ("kernels.conv2d_input_gradient", "winograd.convolve(_1, _2, _3, kh - 1 - padding, _4, turned=True)",
     "winograd.convolve(_1, _2, _3, padding, _4, turned=True)", tiles()),
    ("suits", "not tf32()", "True", tf32_products),
    ("launch", "np.int64 if wide else np.int32", "np.int64", rows("relu")),
    ("_statistics", "int(running is not None)", "0", turned_statistics),
    ("_statistics", "array is not new", "False", turned_statistics),
    ("over_arrays", "copy is not array", "False", turned_adam),
    ("over_arrays", "group[0].size", "group[0].size - 1", several_types),
    ("_alike", "other == dtype", "True", several_types),
    ("Tanh.forward", "array_module(x).tanh", "array_module(x).fix_tanh", rows("tanh")),
    ("Where.forward", "_module(a, b)", "__import__('numpy')", rows("clip")),
]


def ask(question: Question) -> bool:
    """Tell whether a question finds something amiss."""
    with standin.installed():
        try:
            question()
        except NOTICED:
            return True
    return False


@needs_compiler
@pytest.mark.parametrize(("old", "new", "question"), CUDA, ids=[old for old, _, _ in CUDA])
def test_a_fault_in_a_cuda_source_is_noticed(
    old: str, new: str, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that passes with a kernel that is wrong proves nothing of it."""
    source = launch.source()
    assert source.count(old) == 1, f"{old} is there {source.count(old)} times"
    monkeypatch.setattr(launch, "source", lambda: source.replace(old, new))
    monkeypatch.setattr(cuda_in_c, "OPTIMIZED", "-O0")
    assert ask(question)


@needs_compiler
@pytest.mark.parametrize(("where", "old", "new", "question"), PYTHON, ids=[old for _, old, _, _ in PYTHON])
def test_a_fault_in_python_is_noticed(where: str, old: str, new: str, question: Any) -> None:
    """A wrong block, a forgotten copy, a name that CuPy lacks, a constant made by NumPy: all of them pass on a CPU."""
    with made(Fault("", where, old, new, "")):
        assert ask(question)


@needs_compiler
def test_without_a_fault_nothing_is_amiss() -> None:
    """Questions that always find something would pass the tests above as well."""
    questions = {id(question): question for *_, question in (*CUDA, *PYTHON)}
    assert [question for question in questions.values() if ask(question)] == []
