"""The fast algorithms at the sizes they are made for, where the table of operations is too small to reach."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from minisrgan import Tensor, backend, kernels, ops
from minisrgan.backend import Array, thread_count
from minisrgan.kernels import blocks, conv, schemes, winograd


def layer(
    size: tuple[int, int], channels: int, outputs: int, kernel: int = 3, stride: int = 1
) -> tuple[Array, Array, Array]:
    """Return input, weight and a gradient of the result, in float32, for 4 images with the size kept or halved."""
    rng = np.random.default_rng(0)
    result = tuple(kernels.output_size(length, kernel, stride, kernel // 2) for length in size)
    shapes = ((4, *size, channels), (kernel, kernel, channels, outputs), (4, *result, outputs))
    x, weight, grad = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return x, weight, grad


def all_three(x: Array, weight: Array, grad: Array) -> list[Array]:
    """Return the convolution and both its gradients; with a stride of 2 where the gradient is that much smaller."""
    options = {"padding": weight.shape[0] // 2, "stride": -(-x.shape[1] // grad.shape[1])}
    return [
        kernels.conv2d(x, weight, **options),
        kernels.conv2d_input_gradient(grad, weight, x.shape[1:3], **options),
        kernels.conv2d_weight_gradient(x, grad, weight.shape[:2], **options),
    ]


def errors(arrays: tuple[Array, Array, Array], algorithm: str | None) -> list[float]:
    """Return the largest error of each against float64, relative to the largest magnitude."""
    right = all_three(*(array.astype(np.float64) for array in arrays))
    if algorithm is None:
        ours = all_three(*arrays)
    else:
        with backend.algorithm(algorithm):
            ours = all_three(*arrays)
    return [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, right, strict=True)]


@pytest.mark.parametrize(
    ("size", "channels", "side"),
    [((9, 9), 64, 3), ((18, 21), 64, 6), ((16, 32), 64, 4), ((20, 20), 64, 4), ((24, 24), 128, 6), ((24, 24), 256, 4)],
)
def test_the_tiles_that_take_the_fewest_products(size: tuple[int, int], channels: int, side: int) -> None:
    """Large tiles that hang over the border compute much for nothing; many large matrices leave the cache."""
    assert len(schemes.plain_scheme(*size, channels**2).at) == side


@pytest.mark.parametrize("points", [(0, 1, -1, 2), (0, 1, -1, 2, -2), (0, 1, -1, 2, -2, 0.5, -0.5)])
def test_a_scheme_is_exact_but_for_rounding(points: tuple[float, ...]) -> None:
    """In float32 a wrong digit of a constant could hide among the digits that are lost anyway."""
    bt, g, at = schemes.toom_cook(points, taps=3)
    rng = np.random.default_rng(0)
    d, w = rng.standard_normal(len(bt)), rng.standard_normal(3)
    np.testing.assert_allclose(at @ ((g @ w) * (bt @ d)), np.correlate(d, w), rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(48, 48), (49, 51), (47, 54), (32, 32)])
def test_winograd_is_accurate_where_it_is_chosen(size: tuple[int, int], stride: int) -> None:
    """Interpolation at 2 and -2 loses digits: a wrong constant may lose all of them and still train a little."""
    arrays = layer(size, 64, 64, stride=stride)
    assert conv.choose(arrays[0], arrays[2].shape[1:3], arrays[1].shape, stride, 1) == "winograd"
    plain, winograd = errors(arrays, "im2col"), errors(arrays, None)
    assert max(plain) < 2e-6
    assert max(winograd) < 2e-5
    assert max(winograd) > 2 * max(plain)  # else it was not Winograd that ran


@pytest.mark.parametrize(
    ("images", "size", "channels", "shared"),
    [(4, 16, 64, False), (4, 24, 32, False), (16, 16, 64, True), (4, 16, 256, True), (16, 24, 64, True)],
)
def test_a_second_thread_is_woken_only_for_more_than_it_costs(
    images: int, size: int, channels: int, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 4 images of 16x16, two threads took 1.2 times as long as one for 64 channels, and twice as long for 32."""
    items: list[int] = []

    def counting(work: Callable[[list[object]], object], blocks: list[object]) -> list[object]:
        items.append(len(blocks))
        return [work(blocks)]

    monkeypatch.setattr("minisrgan.kernels.winograd.parallel", counting)
    x, weight = np.zeros((images, size, size, channels), np.float32), np.zeros((3, 3, channels, channels), np.float32)
    with backend.threads(2):
        kernels.conv2d(x, weight, padding=1)
    assert (items[0] > 1) == shared


def test_winograd_is_never_chosen_for_float64() -> None:
    """Gradient checks live in float64, and must not lose digits to an algorithm made for speed."""
    x, weight, _ = layer((24, 24), 64, 64)
    assert conv.choose(x.astype(np.float64), x.shape[1:3], weight.shape, 1, 1) == "im2col"
    with backend.algorithm("winograd"):
        assert conv.choose(x.astype(np.float64), x.shape[1:3], weight.shape, 1, 1) == "im2col"
    assert conv.choose(x, x.shape[1:3], weight.shape, 3, 1) == "im2col"


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_both_gradients_at_once(threads: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is computed by half of the threads, or all of them in turn: as it would be alone, to the last bit."""
    x, weight, grad = layer((24 * stride, 20 * stride), 40, 36, stride=stride)
    each, used = threads if threads % 2 else threads // 2, []
    for name in ("convolve", "weight_gradient"):
        right = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *args, right=right: used.append(thread_count()) or right(*args))
    with backend.threads(threads):
        ours = kernels.conv2d_gradients(x, grad, weight, stride=stride, padding=1)
        with backend.threads(each):
            theirs = all_three(x, weight, grad)[1:]
    assert {*used} == {each}
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_padding_stays_zero_from_layer_to_layer() -> None:
    """A patch leaves the zeros around the next one of its form; one of another form in between must not be in them."""
    for algorithm in ("im2col", "winograd"):
        for size in ((8, 8), (7, 9), (8, 8), (9, 7), (30, 30), (8, 8)):
            arrays = layer(size, 4, 4)
            arrays[0][...] += 5
            with backend.threads(1), backend.algorithm(algorithm):
                assert max(errors(arrays, None)) < 2e-5, (algorithm, size)


@pytest.mark.parametrize("mean", [0.0, 2.0, 100.0])
def test_batch_norm_of_values_far_from_zero(mean: float) -> None:
    """Float32 sums of squares of values around 100 are 10,000 times their variance: four of seven digits are gone."""
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal((4, 24, 24, 8)) + level for level in (mean, 0.0))
    grad -= grad.mean(axis=(0, 1, 2))  # else the rounding of the mean, times its sum, hides all others
    ours, exact = [], []
    for dtype, results in ((np.float32, ours), (np.float64, exact)):
        values, cotangent = x.astype(np.float32).astype(dtype), grad.astype(np.float32).astype(dtype)
        (m, v), one = kernels.channel_moments(values), np.ones(8, dtype)
        grad_x, grad_weight, _ = kernels.normalize_gradient(cotangent, values, m, (v + 1e-5) ** -0.5, one)
        results += [m, v, grad_x, grad_weight]
    for got, expected in zip(ours, exact, strict=True):
        assert abs(got - expected).max() <= 2e-5 * max(abs(expected).max(), 0.1)


@pytest.mark.parametrize("images", [1, 16])
@pytest.mark.parametrize("constant", [0.1, -7.0, 100.0, 1000.0, 12345.678])
def test_batch_norm_of_a_constant_channel(constant: float, images: int) -> None:
    """A dead channel is 0 after batch norm, and so is its weight's gradient. Rounding, divided by sqrt(eps), is not."""
    rng = np.random.default_rng(0)
    values, grad = (rng.standard_normal((images, 48, 48, 3), dtype=np.float32) for _ in range(2))
    values[..., 1] = constant
    values[..., 2] += constant
    for create_graph in (False, True):
        x, weight = Tensor(values, requires_grad=True), Tensor(np.ones(3, np.float32), requires_grad=True)
        running = np.zeros(3, np.float32), np.zeros(3, np.float32)
        y = ops.batch_norm(x, weight, Tensor(np.zeros(3, np.float32)), *running, training=True, momentum=1)
        y.backward(Tensor(grad), create_graph=create_graph)
        assert (y.numpy()[..., 1] == 0).all()
        assert weight.grad is not None
        assert weight.grad.numpy()[1] == 0
        assert [array[1] for array in running] == [np.float32(constant), 0]
        exact = values.astype(np.float64)
        x_hat = (exact - exact.mean(axis=(0, 1, 2))) / np.sqrt(exact.var(axis=(0, 1, 2)) + 1e-5)
        # A mean of 1,000 is known to 3e-5, and its rounding is the same for all values.
        rounding = np.spacing(np.float32(constant)) + 1e-5
        np.testing.assert_allclose(y.numpy(), x_hat, rtol=0, atol=rounding)
        np.testing.assert_allclose(weight.grad.numpy(), (grad * x_hat).sum(axis=(0, 1, 2)), atol=rounding * grad.size)
    evaluated = ops.batch_norm(x, weight, Tensor(np.zeros(3, np.float32)), *running, training=False)
    assert (evaluated.numpy()[..., 1] == 0).all()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_thin_layer_is_accurate(threads: int) -> None:
    """The 9x9 layer that ends the generator, in one strip an image and in several."""
    arrays = layer((50, 41), 64, 3, kernel=9)
    assert conv.choose(arrays[0], arrays[0].shape[1:3], arrays[1].shape, 1, 4) == "thin"
    with backend.threads(threads):
        assert max(errors(arrays, None)) < 2e-6


def peak_beyond_result(call: Callable[[], Array]) -> int:
    """Return the bytes that a call held at its peak, its result not counted, beginning without any kept memory."""
    vars(blocks._kept).clear()
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()
        vars(blocks._kept).clear()


@pytest.mark.parametrize("megabytes", [4, 12, 96])
@pytest.mark.parametrize(
    ("size", "channels", "outputs", "kernel", "stride"),
    [
        ((10, 7680), 64, 3, 9, 1),  # the last layer on a row of an 8K picture: all its columns would be 1.6 GB
        ((10, 7680), 3, 64, 9, 1),
        ((96, 96), 64, 64, 3, 1),
        ((48, 48), 64, 128, 3, 2),
        ((100, 300), 16, 16, 1, 3),
        ((24, 24), 256, 256, 3, 1),  # its transformed weight alone is 9.4 MB
    ],
)
def test_a_convolution_stays_within_its_workspace(
    size: tuple[int, int], channels: int, outputs: int, kernel: int, stride: int, megabytes: int
) -> None:
    """9x9x64 columns of a whole 8K picture need 688 GB: the machine is gone before the error message is."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, channels), dtype=np.float32)
    weight = rng.standard_normal((kernel, kernel, channels, outputs), dtype=np.float32)
    options = {"stride": stride, "padding": kernel // 2}
    grad = kernels.conv2d(x, weight, **options)
    budget = megabytes << 20
    # The gradients turn the weight, or sum two arrays of its size, whatever the workspace.
    copies = 2 * weight.nbytes
    with backend.threads(1), backend.workspace(budget):
        forward = peak_beyond_result(lambda: kernels.conv2d(x, weight, **options))
        to_input = peak_beyond_result(lambda: kernels.conv2d_input_gradient(grad, weight, size, **options))
        to_weight = peak_beyond_result(lambda: kernels.conv2d_weight_gradient(x, grad, (kernel, kernel), **options))
    assert forward <= budget, f"{forward / 2**20:.1f} MB"
    assert to_input <= budget + copies, f"{to_input / 2**20:.1f} MB"
    assert to_weight <= budget + copies, f"{to_weight / 2**20:.1f} MB"
