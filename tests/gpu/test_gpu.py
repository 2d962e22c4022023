"""What only a GPU can prove. Skipped without one; with one: ``python -m pytest tests/gpu``.

The questions are those asked of the stand-in, so that what fails here and passes there is CUDA's or CuPy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, backend, kernels
from minisrgan.backend import to_device, to_numpy
from minisrgan.errors import MinisrganError
from minisrgan.inference import upscale
from minisrgan.models import Generator
from minisrgan.training.captured import Captured
from tests.gpu.devices import DEVICE, Training, moved, run, same_state
from tests.ops.table import TABLE, Row
from tests.ops.test_table import agree, expected, fortran, repeated, sliced, swapped


def why_not() -> str:
    """Return why there is no GPU to test with, or nothing."""
    try:
        to_device(np.zeros(1), DEVICE)
    except MinisrganError as error:
        return f"no GPU: {error.got}"
    return "" if not backend.tf32() else "CUPY_TF32 is set: these checks are for float32 as it is"


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-11), (np.float32, 1e-4)])
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_operations(row: Row, create_graph: bool, dtype: Any, digits: float) -> None:
    """CuPy's functions have the names of NumPy's, and mostly their meaning."""
    y, grad_y, grads = expected(row)
    inputs = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in row.inputs]
    ours, our_grads = run(row, inputs, grad_y.astype(dtype), create_graph)
    assert {array.dtype for array in (ours, *our_grads)} == {np.dtype(dtype)}
    agree(ours, y, digits)
    for our_grad, right in zip(our_grads, grads, strict=True):
        agree(our_grad, right, 10 * digits)


def laid_out(x: np.ndarray, layout: Callable[[Any], Any]) -> Any:
    """Return an array of the GPU that lies in memory as the layouts of `test_table` have it."""
    array = to_device(x, DEVICE)
    xp = backend.array_module(array)
    if layout is repeated and x.ndim:
        return xp.broadcast_to(array[:1], x.shape)
    if layout is swapped and x.ndim > 1:
        return xp.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
    if layout is sliced and x.ndim:
        part = xp.zeros([2 * n for n in x.shape], x.dtype)[tuple(slice(1, None, 2) for _ in x.shape)][::-1]
        part[...] = array
        return part
    return xp.asfortranarray(array) if layout is fortran and x.ndim else array


@pytest.mark.parametrize("layout", [fortran, sliced, swapped, repeated])
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_layout_in_memory_does_not_matter(row: Row, layout: Callable[[Any], Any]) -> None:
    """A pointer to an array that is not contiguous points to other numbers."""
    grad_y = laid_out(expected(row)[1], layout)
    given = [Tensor(laid_out(x, layout), True) if isinstance(x, np.ndarray) else x for x in row.inputs]
    y = moved(row).op(*given)
    y.backward(Tensor(grad_y))
    right, right_grads = run(row, [to_numpy(x.data) if isinstance(x, Tensor) else x for x in given], to_numpy(grad_y))
    agree(y.numpy(), right, 1e-11)
    for x, theirs in zip((x for x in given if isinstance(x, Tensor)), right_grads, strict=True):
        assert x.grad is not None
        agree(x.grad.numpy(), theirs, 1e-10)


LAYERS = [  # images, side, channels, outputs, kernel, stride: the kinds of layer of the three networks
    (4, 24, 3, 64, 9, 1), (4, 24, 64, 64, 3, 1), (4, 24, 64, 256, 3, 1), (2, 96, 64, 3, 9, 1),
    (2, 96, 64, 64, 3, 2), (2, 24, 256, 512, 3, 1), (2, 24, 256, 256, 3, 2), (2, 97, 3, 64, 3, 1),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "digits"), [("im2col", 2e-5), ("winograd", 5e-5)])
@pytest.mark.parametrize("megabytes", [4, 256])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layers_of_the_networks(layer: tuple[int, ...], megabytes: int, algorithm: str, digits: float) -> None:
    """The table's pictures fit one block of threads; these do not, and are what cuBLAS is asked in earnest."""
    images, side, channels, outputs, kernel, stride = layer
    rng, options = np.random.default_rng(0), {"stride": stride, "padding": kernel // 2}
    x = rng.standard_normal((images, side, side, channels), dtype=np.float32)
    weight = rng.standard_normal((kernel, kernel, channels, outputs), dtype=np.float32)
    y = kernels.conv2d(x, weight, **options)
    grad = rng.standard_normal(y.shape, dtype=np.float32)
    a, w, g = (to_device(array, DEVICE) for array in (x, weight, grad))
    with backend.workspace(megabytes << 20), backend.algorithm(algorithm):
        ours = [kernels.conv2d(a, w, **options), *kernels.conv2d_gradients(a, g, w, **options)]
    with backend.algorithm("im2col"):
        right = [kernels.conv2d(x, weight, **options), *kernels.conv2d_gradients(x, grad, weight, **options)]
    for mine, theirs in zip(ours, right, strict=True):
        np.testing.assert_allclose(to_numpy(mine), theirs, rtol=0, atol=digits * abs(theirs).max())


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count the bytes of a GPU that are in use, and the most there were at once."""
    import cupy

    class Hook(cupy.cuda.MemoryHook):
        name = "counted"

        def malloc_postprocess(self, *, mem_size: int, **facts: Any) -> None:
            bytes_["now"] += mem_size
            bytes_["peak"] = max(bytes_.values())

        def free_postprocess(self, *, mem_size: int, **facts: Any) -> None:
            bytes_["now"] -= mem_size

    bytes_ = {"now": 0, "peak": 0}
    with Hook():
        yield bytes_


@pytest.mark.parametrize("megabytes", [8, 64])
@pytest.mark.parametrize("layer", [(1, 600, 64, 3, 9, 1), (1, 600, 3, 64, 9, 1), (4, 96, 64, 64, 3, 1)], ids=str)
def test_a_convolution_stays_within_its_workspace(layer: tuple[int, ...], megabytes: int) -> None:
    """9x9x64 columns of an 8K picture need 688 GB; a GPU has a tenth of that."""
    images, side, channels, outputs, kernel, stride = layer
    x = to_device(np.zeros((images, side, side, channels), np.float32), DEVICE)
    weight = to_device(np.zeros((kernel, kernel, channels, outputs), np.float32), DEVICE)
    options = {"stride": stride, "padding": kernel // 2}
    kernels.conv2d(x, weight, **options)  # cuBLAS and the compiler have taken what they keep
    with backend.workspace(megabytes << 20), counted() as forward:
        y = kernels.conv2d(x, weight, **options)
    with backend.workspace(megabytes << 20), counted() as backward:
        kernels.conv2d_gradients(x, y, weight, **options)
    copies = 6 * weight.nbytes  # turned kernels, sums and products of a block
    assert forward["peak"] <= (megabytes << 20) + y.nbytes + copies
    assert backward["peak"] <= (megabytes << 20) + x.nbytes + copies


# Training


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-8), (np.float32, 1e-4)])
def test_a_step_of_srgan_is_the_cpus(dtype: Any, digits: float) -> None:
    """One step takes every operation through the engine, the optimizers and the running statistics at once."""
    trainings = [Training(device, dtype) for device in ("cpu", DEVICE)]
    for ours, theirs in zip(*([training.step() for _ in range(2)] for training in trainings), strict=True):
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose([*theirs.values()], [*ours.values()], rtol=digits)
    same_state(*(training.state()[0] for training in trainings), digits)


def test_training_repeats_to_the_last_bit() -> None:
    """An atomic addition, or a product that cuBLAS sums in another order today, makes every bug a different one."""
    first, second = ([*map(Training.step, [training] * 3)] for training in (Training(DEVICE), Training(DEVICE)))
    assert first == second


def test_training_resumes_to_the_last_bit() -> None:
    """A state that leaves something on the GPU behind resumes into another training, unseen."""
    whole = Training(DEVICE)
    whole.step()
    arrays, numbers = whole.state()
    logs = [whole.step() for _ in range(2)]
    resumed = Training(DEVICE)
    resumed.restore(arrays, numbers, steps=1)
    assert [resumed.step() for _ in range(2)] == logs
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(resumed.state()[0][name], array, err_msg=name)


PAIRS = {"d_head_start": 4, "adversarial_balance": 0.5, "relativistic": True}


@pytest.mark.parametrize("settings", [{}, PAIRS], ids=str)
def test_a_captured_step_is_the_step(settings: dict[str, Any]) -> None:
    """CUDA allows less during a capture than the stand-in does; and cuBLAS is called another way there."""
    plain, training = (Training(DEVICE, np.float64, **settings) for _ in range(2))
    captured = Captured(training.stage)
    for step in range(6 + settings.get("d_head_start", 0)):
        batch = (Tensor(to_device(a.astype(np.float64), DEVICE)) for a in training.sampler.batch(3))
        ours, theirs = captured.step(step, *batch), plain.step()
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose([*ours.values()], [*theirs.values()], rtol=1e-8)
    same_state(plain.state()[0], training.state()[0], 1e-8)


def test_upscaling_is_the_cpus() -> None:
    """A picture computed elsewhere must be the same picture, tile by tile."""
    generator = Generator(4, channels=16, blocks=2, rng=np.random.default_rng(0)).eval()
    image = np.random.default_rng(1).integers(0, 256, (41, 57, 3), np.uint8)
    right = upscale(generator, image).astype(int)
    generator.to(DEVICE)
    for tile in ("auto", 16):
        assert abs(upscale(generator, image, tile).astype(int) - right).max() <= 1


def test_memory_that_is_not_there() -> None:
    """The advice must come, and the GPU must be fit for use after it."""
    import cupy

    free, total = cupy.cuda.Device().mem_info
    assert free <= total
    with pytest.raises(MinisrganError, match="use less"):
        backend.retried(lambda: cupy.zeros((total,), np.float64), "use less")
    assert to_numpy(cupy.zeros((4,), np.float64)).tolist() == [0] * 4
