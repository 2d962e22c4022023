"""The code that a GPU runs, on a machine without one: CUDA kernels as C, and an array module that forgives nothing.

CuPy's products are NumPy's here, and CUDA's threads take turns; so this proves which functions are called, with which
arrays, and what the kernels compute. It cannot prove speed, and not what a GPU's own libraries do: see docs/gpu.md.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks import jobs as benchmark_jobs
from benchmarks import worker_minisrgan
from minisrgan import Tensor, backend, kernels, ops
from minisrgan.errors import ArgumentError, DeviceError
from minisrgan.inference import upscale
from minisrgan.kernels import cuda
from minisrgan.kernels.cuda import launch
from minisrgan.models import Generator
from minisrgan.optim import EMA, Adam, clip_grad_norm
from tests.gpu import standin
from tests.gpu.cuda_in_c import COMPILER, needs_compiler
from tests.gpu.devices import DEVICE, Training, moved, run, same_state
from tests.ops.table import TABLE, Row
from tests.ops.test_table import agree, expected, fortran, repeated, sliced, swapped

# Without a compiler the kernels of the CPU stand in for those of CUDA, so that what calls them is asked all the same.
WAYS = [pytest.param(True, id="kernels in C") if COMPILER else pytest.param(False, id="kernels of the CPU")]
IN_KERNELS = ("conv2d", "prelu", "relu", "leaky", "batch_norm", "pixel", "max_pool")
KERNEL_ROWS = [row for row in TABLE if row.name.startswith(IN_KERNELS)]


@pytest.fixture
def cupy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The stand-in, in CuPy's place; with the CUDA kernels unless a test says otherwise."""
    with standin.installed(getattr(request, "param", True)) as module:
        yield module


# The stand-in itself


def test_the_stand_in_refuses_what_cupy_refuses(cupy: Any) -> None:
    """A stand-in that is kinder than CuPy lets through what no GPU would take."""
    ours, theirs = cupy.asarray(np.ones(2)), np.ones(2)
    for mixture in (
        lambda: ours + theirs, lambda: theirs + ours, lambda: cupy.add(ours, theirs), lambda: np.exp(ours),
        lambda: np.asarray(ours), lambda: cupy.exp(theirs), lambda: cupy.sum(ours, where=True),
        lambda: theirs.__iadd__(ours), lambda: ours.__iadd__(theirs), lambda: cupy.stack([ours, theirs]),
        lambda: ours.__setitem__(0, theirs[:1]),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            mixture()
    for name in ("nditer", "geterr", "no_such_function"):
        assert name not in standin.NAMES
        with pytest.raises(AttributeError):
            getattr(cupy, name)
    with pytest.raises(AttributeError):
        _ = ours.ctypes
    assert (cupy.exp(ours) * 2 - np.float64(1)).get().tolist() == pytest.approx([4.43656366] * 2)
    assert ours[np.array([0, 0])].get().tolist() == [1, 1]  # positions may be NumPy's, in CuPy too
    assert ours[:1].base is ours
    assert ours.base is None
    assert np.isnan(cupy.empty((3, 2)).get()).all()


@needs_compiler
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("KERNEL f(Real *y, Index n) { EACH(k, n + 1) y[k] = 1; }", "beside an array"),
        ("KERNEL f(Real *y, long long n) { EACH(k, (Index)n) y[k] = 1; }", "wants long long"),
        ("KERNEL f(float *y, Index n) { EACH(k, n) y[k] = 1; }", "is given float64"),
        ("KERNEL f(Real *y) { *y = 1; }", "takes 1 arguments"),
        ("KERNEL f(Real *y, Index n) { y[n - n] = no_such_name; }", "no_such_name"),
    ],
)
def test_a_bad_kernel_is_noticed(cupy: Any, code: str, says: str) -> None:
    """On a GPU a kernel that writes one element too many, or reads a number of another size, says nothing."""
    common = launch.source()[: launch.source().index("// Sums over")]
    y = cupy.zeros((5,), np.float64)

    def start() -> None:
        kernel = cupy.RawModule(code=common + code, options=("-DReal=double", "-DIndex=int")).get_function("f")
        kernel((1, 1), (4, 1), (y, np.int32(5)))

    with pytest.raises(AssertionError, match=says):
        start()


@needs_compiler
@pytest.mark.parametrize("which", [None, 0, 1, 3])
def test_a_missing_barrier_is_noticed(which: int | None, cupy: Any) -> None:
    """Threads that read what others have not written yet are right on most days, and on some GPUs.

    Not noticed is the third, for which a block that is the last waits for the others: here blocks take turns.
    """
    before, *after = launch.source().split("__syncthreads();")
    assert len(after) == 4
    code = before + "".join(("" if i == which else "__syncthreads();") + part for i, part in enumerate(after))
    module = cupy.RawModule(code=code, options=("-DReal=double", "-DIndex=int"))
    x, mean, one = np.random.default_rng(0).standard_normal((300, 3)), cupy.zeros((3,), float), cupy.ones((3,), float)
    right = []
    for _ in range(2):
        *results, memory = (cupy.zeros(shape, float) for shape in ((3,), (3,), (2, 2, 3)))
        args = *results, memory, cupy.asarray(x), cupy.asarray(x), mean, one, np.int32(300), np.int32(3)
        module.get_function("gradient_sums")((1, 2), (3, 85), args)
        right.append(np.allclose([result.get() for result in results], [x.sum(axis=0), (x * x).sum(axis=0)]))
    assert all(right) == (which is None)


# Operations


def check(row: Row, inputs: list[Any], right: Any, digits: float, create_graph: bool = False) -> None:
    """Compare result and gradients with those of the reference, which are in ``right``."""
    dtype = next(x.dtype for x in inputs if isinstance(x, np.ndarray))
    y, y_grads = run(row, inputs, right[1].astype(dtype), create_graph)
    agree(y, right[0], digits)
    for ours, theirs in zip(y_grads, right[2], strict=True):
        agree(ours, theirs, 10 * digits)


@pytest.mark.parametrize("cupy", WAYS, indirect=True)
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_operations(row: Row, create_graph: bool, cupy: Any) -> None:
    """A constant made by NumPy, or a function that CuPy lacks, ends a training on a GPU after minutes of setting up."""
    right = expected(row)
    check(row, list(row.inputs), right, 1e-12, create_graph)


@needs_compiler
@pytest.mark.parametrize("row", KERNEL_ROWS, ids=str)
def test_kernels_in_float32(row: Row, cupy: Any) -> None:
    """The kernels are compiled for each type; sixteen bytes are four numbers in one and two in the other."""
    right = expected(row)
    inputs = [x.astype(np.float32) if isinstance(x, np.ndarray) else x for x in row.inputs]
    check(row, inputs, right, 1e-5)
    assert moved(row).op(*(Tensor(backend.to_device(x, DEVICE)) for x in inputs)).dtype == np.float32


@needs_compiler
@pytest.mark.parametrize("layout", [fortran, sliced, swapped, repeated])
@pytest.mark.parametrize("row", KERNEL_ROWS, ids=str)
def test_the_layout_in_memory_does_not_matter(row: Row, layout: Callable[[Any], Any], cupy: Any) -> None:
    """A pointer to an array that is not contiguous points to other numbers."""
    grad_y = expected(row)[1]
    laid_out = [layout(x) if isinstance(x, np.ndarray) else x for x in row.inputs]
    plain = [np.array(x) if isinstance(x, np.ndarray) else x for x in laid_out]
    right, right_grads = run(row, plain, np.array(layout(grad_y)))
    given = [Tensor(standin.ndarray(x), True) if isinstance(x, np.ndarray) else x for x in laid_out]
    y = moved(row).op(*given)
    y.backward(Tensor(standin.ndarray(layout(grad_y))))
    agree(y.numpy(), right, 1e-12)
    for x, theirs in zip((x for x in given if isinstance(x, Tensor)), right_grads, strict=True):
        agree(x.grad.numpy(), theirs, 1e-11)


@needs_compiler
@pytest.mark.parametrize("size", [1, 100, 600, 2000])
@pytest.mark.parametrize("row", [row for row in TABLE if row.name.startswith("conv2d")], ids=str)
def test_convolution_in_blocks(row: Row, size: int, cupy: Any) -> None:
    """In 256 MB every picture here is one block; cut into single windows, the rows that two blocks share show."""
    right = expected(row)
    with backend.workspace(size):
        check(row, list(row.inputs), right, 1e-12)


@needs_compiler
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(4, 8), (8, 4), (8, 3), (2, 8)])
def test_sixteen_bytes_at_once(channels: tuple[int, int], stride: int, cupy: Any) -> None:
    """Channels by fours are copied by another kernel, at addresses that allow it; the table has few such layers."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((3, 7, 6, channels[0])), rng.standard_normal((3, 3, *channels))
    grad = rng.standard_normal((3, *(kernels.output_size(n, 3, stride, 1) for n in (7, 6)), channels[1]))
    for dtype, digits in ((np.float64, 1e-12), (np.float32, 1e-5)):
        a, w, g = (array.astype(dtype) for array in (x, weight, grad))
        odd = standin.ndarray(np.concatenate([a.ravel()[:1], a.ravel()])[1:].reshape(a.shape))
        for placed in (cupy.asarray(a), odd):
            b, v, h = placed, cupy.asarray(w), cupy.asarray(g)
            options = {"stride": stride, "padding": 1}
            agree(kernels.conv2d(b, v, **options).get(), kernels.conv2d(a, w, **options), digits)
            theirs = kernels.conv2d_gradients(a, g, w, **options)
            for mine, right in zip(kernels.conv2d_gradients(b, h, v, **options), theirs, strict=True):
                agree(mine.get(), right, 10 * digits)


@needs_compiler
@pytest.mark.parametrize("rows", [1, 7, 300, 9000])
@pytest.mark.parametrize("channels", [1, 3, 32, 40, 300])
def test_sums_over_many_rows(rows: int, channels: int, cupy: Any) -> None:
    """The table's batches fit one block of threads; sums that forget the other blocks pass there."""
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((rows, channels)) + level for level in (30.0, 0.0))
    slope = np.full(channels, 0.25)
    a, b = cupy.asarray(x - 30), cupy.asarray(g)
    agree(kernels.channel_sums(b).get(), g.sum(axis=0), 1e-12)
    theirs = kernels.prelu_gradient(g, x - 30, slope)
    for ours, right in zip(kernels.prelu_gradient(b, a, cupy.asarray(slope)), theirs, strict=True):
        agree(ours.get(), right, 1e-12)
    for dtype, digits in ((np.float64, 1e-11), (np.float32, 2e-5)):
        (mean, variance), big = kernels.channel_moments(cupy.asarray(x.astype(dtype))), x.astype(dtype).astype(float)
        agree(mean.get(), big.mean(axis=0), digits)
        np.testing.assert_allclose(variance.get(), big.var(axis=0), rtol=digits, atol=digits)


@needs_compiler
@pytest.mark.parametrize("constant", [0.1, 100.0, 12345.678])
def test_batch_norm_of_a_constant_channel(constant: float, cupy: Any) -> None:
    """As on a CPU: what rounding leaves of a mean, divided by sqrt(eps), is not 0."""
    x, grad = np.random.default_rng(0).standard_normal((2, 9000, 3), np.float32)
    x[:, 1] = constant
    x, grad, one = (cupy.asarray(array) for array in (x, grad, np.ones(3, np.float32)))
    mean, variance = kernels.channel_moments(x)
    assert (mean.get()[1], variance.get()[1]) == (np.float32(constant), 0)
    inv_std = 1 / (variance + 1e-5) ** 0.5
    assert (kernels.normalize(x, mean, inv_std, one, one).get()[:, 1] == 1).all()
    assert kernels.normalize_gradient(grad, x, mean, inv_std, one)[1].get()[1] == 0


@needs_compiler
def test_as_many_elements_as_64_bits_can_count(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 2^30 elements the kernels count with wider numbers: another compilation, other arguments."""
    monkeypatch.setattr(launch, "MANY", 1)
    x, weight, slope = (np.random.default_rng(0).standard_normal(s) for s in ((2, 5, 4, 3), (3, 3, 3, 2), (3,)))
    given = [cupy.asarray(array) for array in (x, weight, slope)]
    agree(kernels.conv2d(*given[:2], padding=1).get(), kernels.conv2d(x, weight, padding=1), 1e-12)
    agree(kernels.prelu(given[0], given[2]).get(), kernels.prelu(x, slope), 1e-12)
    agree(kernels.channel_moments(given[0])[1].get(), kernels.channel_moments(x)[1], 1e-12)


@needs_compiler
def test_numbers_that_are_not_finite(cupy: Any) -> None:
    """A NaN that a rectifier or a maximum swallows is never found; 0 times infinity makes one that is not there."""
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 2.0]).reshape(1, 2, 3, 1)
    for slope in (0.0, 0.2):
        np.testing.assert_array_equal(kernels.leaky_relu(cupy.asarray(x), slope).get(), kernels.leaky_relu(x, slope))
    for pictures in (x[:, :, :2], x[:, :, 1:], x[:, :, ::-1][:, :, 1:]):
        np.testing.assert_array_equal(kernels.max_pool(cupy.asarray(pictures), 2).get(), kernels.max_pool(pictures, 2))


def test_every_kernel_has_a_twin() -> None:
    """A twin that takes other arguments fails on a GPU alone."""
    assert len(standin.KERNELS) >= 18
    for name, kernel in standin.KERNELS.items():
        cpu, gpu = kernel.__wrapped__, getattr(cuda, name)
        assert cpu.__name__ == name
        assert [*inspect.signature(cpu).parameters] == [*inspect.signature(gpu).parameters], name
        assert name == "matmul" or gpu.__module__.startswith("minisrgan.kernels.cuda."), name
    left_out = {name for name, value in vars(kernels).items() if inspect.isfunction(value)} - {*standin.KERNELS}
    assert {name for name in left_out if not name.startswith("_")} == {"output_size"}


def test_mixed_devices_are_named(cupy: Any) -> None:
    """CuPy's own message names neither the argument nor the device."""
    with pytest.raises(DeviceError, match="a on cuda:0, b on cpu"):
        ops.add(Tensor([1.0]).to(DEVICE), Tensor([1.0]))


# Optimizers and training


@needs_compiler
@pytest.mark.parametrize("turned", [False, True])
def test_adam_clip_and_average(turned: bool, cupy: Any) -> None:
    """A fused update has constants of its own, and must reach a weight that lies the other way round as well."""
    rng = np.random.default_rng(0)
    weights, gradients = rng.standard_normal((6, 5)), rng.standard_normal((4, 6, 5))
    states = []
    for device in ("cpu", DEVICE):
        start = backend.to_device(weights.copy(), device)
        parameter = Tensor(start.T if turned else start, requires_grad=True)
        optimizer, norms = Adam([parameter], lr=0.1), []
        for gradient in gradients:
            parameter.grad = Tensor(backend.to_device((gradient.T if turned else gradient).copy(), device))
            norms.append(clip_grad_norm([parameter], 3.0))
            optimizer.step()
        states.append([parameter.numpy(), *(backend.to_numpy(a) for a in optimizer.state_dict().values()), norms])
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)
    generator = Generator(2, channels=4, blocks=1).to(DEVICE)
    average = EMA(generator, 0.9)
    generator.prelu_first.weight.data += 1
    average.update()
    assert average.average["prelu_first.weight"].get() == pytest.approx(0.25 + 9 / 11)


@pytest.mark.parametrize("cupy", WAYS, indirect=True)
@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_steps_of_srgan(dtype: Any, digits: float, cupy: Any) -> None:
    """One step takes every operation through the engine, the optimizers and the running statistics at once."""
    logs, states = [], []
    for device in ("cpu", DEVICE):
        training = Training(device, dtype)
        logs.append([training.step() for _ in range(2)])
        states.append(training.state()[0])
    for ours, theirs in zip(*logs, strict=True):
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose([*theirs.values()], [*ours.values()], rtol=digits)
    same_state(*states, digits)


@needs_compiler
def test_a_checkpoint_goes_on_where_it_was(cupy: Any) -> None:
    """A state that leaves something on the GPU behind resumes into another training, unseen."""
    whole = Training(DEVICE)
    whole.step()
    arrays, numbers = whole.state()
    whole.step()
    resumed = Training(DEVICE)
    resumed.restore(arrays, numbers, steps=1)
    resumed.step()
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(resumed.state()[0][name], array, err_msg=name)


@needs_compiler
def test_a_step_waits_for_the_gpu_only_for_its_log(cupy: Any) -> None:
    """Each number that Python waits for empties the queue of a GPU, which then idles while Python catches up."""
    training = Training(DEVICE, content="mse")
    training.step()
    standin.waits[0] = 0
    training.step()
    assert standin.waits[0] == 1


def test_a_batch_is_prepared_beside_the_step(cupy: Any) -> None:
    """A copy that does not wait for what computes may overwrite numbers that are still read."""
    sampler = Training("cpu").sampler
    plain = copy.deepcopy(sampler)
    standin.Stream.asked.clear()
    low, high = sampler.ahead(3, partial(backend.sent_to, DEVICE))
    assert sampler._ahead is not None
    following = sampler._ahead[1].result()[0]
    for ours, right in zip((low, high, *following), (*plain.batch(3), *plain.batch(3)), strict=True):
        np.testing.assert_array_equal(ours.get(), right)
    of_an_array = ["computes record", "copies wait for computes", "copies set"]
    assert standin.Stream.asked == [*of_an_array, *of_an_array, "copies synchronize"] * 2


@pytest.mark.parametrize("cupy", WAYS, indirect=True)
def test_upscaling(cupy: Any) -> None:
    """Tiles are cut on one side and computed on the other, and must come back as bytes."""
    generator = Generator(2, channels=4, blocks=1, rng=np.random.default_rng(0)).eval()
    image = np.random.default_rng(1).integers(0, 256, (9, 13, 3), np.uint8)
    right = upscale(generator, image)
    generator.to(DEVICE)
    for options in ({}, {"tile": 5}, {"ensemble": True}):
        ours = upscale(generator, image, **options)
        assert ours.dtype == np.uint8
        if "ensemble" not in options:
            assert abs(ours.astype(int) - right).max() <= 1


@needs_compiler
def test_the_worker_of_the_benchmarks(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of the CPU that is called one of the GPU looks slow; one that does not wait looks fast."""
    small = {job.name: job for job in benchmark_jobs.every(quick=True)}
    for name in ("G prelu 64 @24", "D batchnorm 64 @48", "D linear 1024-1", "upscale 128x128"):
        job = dataclasses.replace(small[name], batch=2, size=(4, 5) if name.startswith("upscale") else 0)
        magnitudes = []
        for device in ("cpu", DEVICE):
            monkeypatch.setattr(worker_minisrgan, "DEVICE", device)
            magnitudes.append(worker_minisrgan.prepare(job)()[1]())
        np.testing.assert_allclose(*magnitudes, rtol=1e-4)
    assert worker_minisrgan.describe()["device"] == "Stand-in"
    assert worker_minisrgan.peak_of_gpu() == 1
    worker_minisrgan.wait_for_gpu()


# Devices and memory


def test_choosing_a_device(cupy: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` that is silent lets a night's training run on the CPU; `cuda` that falls back does the same."""
    for name in ("auto", "cuda", "cuda:0", "cpu"):
        assert backend.choose_device(name) == ("cuda" if name == "auto" else name)
    assert capsys.readouterr().err == ""
    with pytest.raises(DeviceError, match="below 1, for 1 GPUs"):
        backend.choose_device("cuda:1")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert backend.choose_device("auto") == "cpu"
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(DeviceError, match="no usable cupy"):
        backend.choose_device("cuda")


def cupys_reading(switch: str) -> bool:
    """Return what CuPy's get_compute_type makes of CUPY_TF32, at its first product of float32."""
    return int(switch) > 0


@pytest.mark.parametrize("switch", ["0", "1", "2", " 1 ", "00", "-1", "", " ", "true", "True", "on", "1.0", "0x1"])
def test_the_switch_of_tf32_is_read_as_cupy_reads_it(
    switch: str, cupy: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CuPy fails at its first product for CUPY_TF32=true, when the photographs are loaded and the weights drawn."""
    monkeypatch.setenv("CUPY_TF32", switch)
    try:
        expected_tf32 = cupys_reading(switch)
    except ValueError:
        for name in ("auto", "cuda"):
            with pytest.raises(ArgumentError, match="CUPY_TF32"):
                backend.choose_device(name)
        with pytest.raises(ArgumentError, match="unset it"):
            backend.tf32()
    else:
        backend.choose_device("auto")
        assert backend.tf32() is expected_tf32
    assert backend.choose_device("cpu") == "cpu"
    assert capsys.readouterr().err == ""


def test_out_of_memory(cupy: Any) -> None:
    """Memory that an error itself holds on to cannot be had by the second attempt."""
    failures = [1]

    def work() -> str:
        if failures[0]:
            failures[0] -= 1
            raise standin.OutOfMemoryError("Out of memory allocating 1,024 bytes")
        return "done"

    assert backend.retried(work, "use --batch 8") == "done"
    assert len(cupy.freed) == 1
    failures[0] = 2
    with pytest.raises(DeviceError) as caught:
        backend.retried(work, "use --batch 8")
    assert "1,024 bytes" in caught.value.got
    assert "3,072 MB of the GPU's 4,096 MB" in caught.value.got
    assert caught.value.fix == "use --batch 8"
    with pytest.raises(MemoryError):  # the CPU's own is nothing that CuPy could free
        backend.retried(lambda: (_ for _ in ()).throw(MemoryError("of the CPU")), "")


def test_numbers_come_in_one_transfer(cupy: Any) -> None:
    """Eleven numbers of a log, asked for one by one, make Python wait eleven times."""
    values = [cupy.asarray(np.full(shape, 0.5, np.float32)) for shape in ((), (1,), (1, 1))]
    before = standin.waits[0]
    assert backend.to_floats(values) == [0.5, 0.5, 0.5]
    assert standin.waits[0] == before + 1
    assert backend.to_floats([]) == []


def test_without_a_gpu_no_cupy_is_loaded() -> None:
    """CuPy, looked for by a script that did not ask for it, makes it wait for a second."""
    code = "import sys, numpy as np; from minisrgan import kernels; kernels.prelu(np.ones((2, 2)), np.ones(2)); "
    code += "print('cupy' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"
