"""A step that is captured is the step that is read: equal numbers, and nothing in it that Python would have to say.

On the stand-in a capture notes what is asked of the GPU on a tape, and a start plays it. What CUDA itself allows during
a capture only a GPU can tell: `test_gpu.py`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minisrgan.autograd import Tensor
from minisrgan.backend import to_device
from minisrgan.errors import DeviceError
from minisrgan.kernels.cuda import graph
from minisrgan.training import state_of
from minisrgan.training.captured import Captured, step_of
from tests.gpu import cuda_in_c, standin
from tests.gpu.cuda_in_c import needs_compiler
from tests.gpu.devices import DEVICE, Training, same_state


class CuBLAS:
    """The functions of the library that are called during a capture; matrices lie column by column."""

    def __init__(self) -> None:
        self.products = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasSetMathMode"):
            return lambda *args: 0
        real = {"cublasSgemm_v2": ctypes.c_float, "cublasDgemm_v2": ctypes.c_double}[name]

        def matrix(at: ctypes.c_void_p, rows: int, columns: int, step: int) -> np.ndarray:
            assert step >= rows
            size = step * (columns - 1) + rows
            flat = np.ctypeslib.as_array((real * size).from_address(at.value))
            return np.lib.stride_tricks.as_strided(flat, (rows, columns), (flat.itemsize, step * flat.itemsize))

        def gemm(handle: Any, a_turned: int, b_turned: int, m: int, n: int, k: int, *args: Any) -> int:
            one, a, a_step, b, b_step, zero, y, y_step = args
            assert (one._obj.value, zero._obj.value) == (1, 0)
            left = matrix(a, k, m, a_step).T if a_turned else matrix(a, m, k, a_step)
            right = matrix(b, n, k, b_step).T if b_turned else matrix(b, k, n, b_step)
            result, self.products = matrix(y, m, n, y_step), self.products + 1
            for tape in cuda_in_c.tapes:
                tape.append(lambda: np.copyto(result, left @ right))
                return 0
            result[...] = left @ right
            return 0

        return gemm


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[CuBLAS]:
    """The stand-in, with a cuBLAS."""
    library = CuBLAS()
    monkeypatch.setattr(graph, "_cublas", lambda: library)
    with standin.installed():
        yield library


def kept(training: Training) -> list[np.ndarray]:
    """Return all arrays that a step changes, where they are."""
    return [array._array for array in state_of(training.stage, training.sampler)[0].values()]


@pytest.mark.slow
@needs_compiler
def test_a_captured_step_is_the_step(library: CuBLAS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learning rate, a count or an address that is part of a graph is that of the third step for ever."""
    cpu, gpu = (Training(device, np.float64, content="mse") for device in ("cpu", DEVICE))
    for training in (cpu, gpu):  # rates that change at every step
        training.stage.g_lr = training.stage.d_lr = lambda step: 1e-3 / (1 + step)
    captured, arrays = Captured(gpu.stage), kept(gpu)
    end, before = standin.Stream.end_capture, []
    begin = standin.Stream.begin_capture

    def end_capture(stream: standin.Stream) -> standin.Tape:
        for array, value in zip(arrays, before, strict=True):  # as nothing is computed in a capture
            array[...] = value
        return end(stream)

    def begin_capture(stream: standin.Stream) -> None:
        before.extend(array.copy() for array in arrays)
        begin(stream)

    monkeypatch.setattr(standin.Stream, "end_capture", end_capture)
    monkeypatch.setattr(standin.Stream, "begin_capture", begin_capture)
    monkeypatch.setattr(gpu.stage, "step", counted(gpu.stage.step, calls := [0]))
    for _ in range(4):
        low, high = (to_device(a.astype(np.float64), DEVICE) for a in gpu.sampler.batch(3))
        standin.waits[0] = 0
        numbers = captured.step(gpu.steps, Tensor(low), Tensor(high))
        gpu.steps += 1
        assert standin.waits[0] == 1
        right = cpu.step()
        assert numbers.keys() == right.keys()
        np.testing.assert_allclose([*numbers.values()], [*right.values()], rtol=1e-8)
    assert calls == [3]
    assert library.products > 50
    same_state(cpu.state()[0], gpu.state()[0], 1e-8)
    assert cpu.state()[1] == gpu.state()[1]
    gpu.stage.g_optimizer.mean[0] = gpu.stage.g_optimizer.mean[0].copy()
    with pytest.raises(DeviceError, match="others"):
        captured.step(gpu.steps, Tensor(low), Tensor(high))


def counted(work: Any, calls: list[int]) -> Any:
    """Return work that counts its calls."""

    def call(*args: Any) -> Any:
        calls[0] += 1
        return work(*args)

    return call


def test_products_of_a_capture(library: CuBLAS) -> None:
    """cuBLAS counts along columns: a product of square matrices that are confused has the right shape."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        a, b = rng.standard_normal((3, 4)).astype(dtype), rng.standard_normal((4, 5)).astype(dtype)
        for left in (a, a.T.copy().T, np.repeat(a, 2, axis=1)[:, ::2]):
            for right in (b, b.T.copy().T, np.repeat(b, 2, axis=0)[::2]):
                with graph.setting(graph._current, graph.Graph()):
                    y = graph.product(standin.ndarray(left), standin.ndarray(right))
                np.testing.assert_allclose(y.get(), a @ b, rtol=1e-5)
    assert library.products == 18


def test_no_step_is_captured_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not run on a GPU must not be what everybody trains with."""
    stage = Training("cpu").stage
    assert step_of(stage, "cuda:0") == stage.step
    monkeypatch.setenv("MINISRGAN_CUDA_GRAPH", "1")
    assert step_of(stage, "cpu") == stage.step
    assert step_of(stage, "cuda:0") == step_of(stage, "cuda:0") != stage.step
    stage.balance = object()  # type: ignore[assignment]
    assert step_of(stage, "cuda:0") == stage.step
    stage.balance, stage.ranks = None, SimpleNamespace(size=2)
    assert step_of(stage, "cuda:0") == stage.step
