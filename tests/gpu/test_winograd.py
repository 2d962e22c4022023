"""Winograd's convolution on the stand-in: the numbers of the CPU, in any blocks, and only where it pays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from minisrgan import backend, kernels, reference
from minisrgan.errors import DeviceError
from minisrgan.kernels.cuda import graph, launch, winograd
from tests.gpu import standin
from tests.gpu.cuda_in_c import needs_compiler
from tests.ops.test_table import agree, sliced

Layer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]  # x, weight, bias, grad_y, padding


@pytest.fixture
def cupy() -> Iterator[Any]:
    """The stand-in, in CuPy's place."""
    with standin.installed() as module:
        yield module


def layer(size: tuple[int, int], channels: int, outputs: int, padding: int = 1, images: int = 2) -> Layer:
    """Return the arrays of a layer, in float32."""
    rng = np.random.default_rng(0)
    shapes = ((images, *size, channels), (3, 3, channels, outputs), (outputs,),
              (images, *(n + 2 * padding - 2 for n in size), outputs))  # fmt: skip
    return *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes), padding  # type: ignore[return-value]


def results(arrays: Layer, algorithm: str = "winograd") -> list[np.ndarray]:
    """Return result and gradients of a layer, on the device where its arrays are."""
    x, weight, bias, grad_y, padding = arrays
    with backend.algorithm(algorithm):
        y = kernels.conv2d(x, weight, bias, padding=padding)
        return [backend.to_numpy(a) for a in (y, *kernels.conv2d_gradients(x, grad_y, weight, padding=padding))]


def moved(cupy: Any, arrays: Layer) -> Layer:
    """Return a layer on the stand-in."""
    return *(cupy.asarray(array) for array in arrays[:4]), arrays[4]  # type: ignore[return-value]


@needs_compiler
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(3, 5), (8, 9), (11, 6)])
def test_the_reference_and_the_cpu(size: tuple[int, int], padding: int, cupy: Any) -> None:
    """Tiles that hang over a border, kernels that are turned, and a bias: each of them a third of the code."""
    arrays = layer(size, 3, 5, padding)
    ours, cpu = results(moved(cupy, arrays)), results(arrays)
    exact = *(array.astype(np.float64) for array in arrays[:4]), padding
    right = results(exact, "im2col")  # type: ignore[arg-type]
    agree(reference.conv2d(*exact[:3], stride=1, padding=padding), right[0], 1e-12)
    for mine, theirs, best in zip(ours, cpu, right, strict=True):
        agree(mine, best, 1e-5)
        agree(mine, theirs, 1e-5)


@needs_compiler
def test_as_accurate_as_the_cpu(cupy: Any) -> None:
    """A constant that is rounded once too often, or a sum in another order, is another algorithm."""
    arrays = layer((12, 10), 64, 32)
    right = results((*(array.astype(np.float64) for array in arrays[:4]), 1), "im2col")  # type: ignore[arg-type]
    away = [[abs(a - b).max() / abs(b).max() for a, b in zip(found, right, strict=True)]
            for found in (results(moved(cupy, arrays)), results(arrays), results(arrays, "im2col"))]  # fmt: skip
    gpu, cpu, plain = (max(errors) for errors in away)
    assert 2 * plain < gpu < 2 * cpu < 4e-5


@needs_compiler
@pytest.mark.parametrize(("size", "count"), [(1, 24), (20_000, 4)])
def test_blocks_of_tiles(size: int, count: int, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer here fits the workspace; a block that begins within a row must not begin at its left again."""
    arrays = layer((13, 10), 4, 8)
    whole, blocks = results(moved(cupy, arrays)), launch.blocks
    found: list[list[tuple[int, Any]]] = []

    def noted(*args: Any) -> list[tuple[int, Any]]:
        found.append([*blocks(*args)])
        return found[-1]

    monkeypatch.setattr(winograd, "blocks", noted)
    with backend.workspace(size):
        for ours, right in zip(results(moved(cupy, arrays)), whole, strict=True):
            agree(ours, right, 1e-5)  # sums of blocks are in another order
    assert [len(cut) for cut in found] == [count] * 3
    kept = 2 * 36 * 4 * 8
    assert size == 1 or all(4 * (kept + cut[0][1].size) <= size for cut in found)


@needs_compiler
def test_layouts_and_wide_counts(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pointer to an array that is not contiguous points to other numbers; 64-bit counts are compiled apart."""
    arrays = layer((6, 5), 4, 3)
    right = results(arrays)
    laid_out = *(standin.ndarray(sliced(array)) for array in arrays[:4]), 1
    plain = *(np.array(sliced(array)) for array in arrays[:4]), 1
    for ours, theirs in zip(results(laid_out), results(plain), strict=True):  # type: ignore[arg-type]
        agree(ours, theirs, 1e-5)
    monkeypatch.setattr(launch, "MANY", 1)
    monkeypatch.setattr(winograd, "blocks", lambda like, count, width, kept: [(0, cupy.empty((count, width), "f"))])
    for ours, theirs in zip(results(moved(cupy, arrays)), right, strict=True):
        agree(ours, theirs, 1e-5)


def test_batches_of_products_are_not_copied(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy would copy the transposed tiles of a gradient, which are most of what the layer moves."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3, 4), dtype=np.float32), rng.standard_normal((5, 3, 2), dtype=np.float32)
    monkeypatch.setattr(cupy, "matmul", None)
    monkeypatch.setattr(cupy, "ascontiguousarray", lambda array: array if array._array.flags.c_contiguous else None)
    out = cupy.empty((5, 4, 2), np.float32)
    for kept in (None, out):
        y = graph.product(cupy.asarray(a).swapaxes(1, 2), cupy.asarray(b), out=kept)
        np.testing.assert_allclose(y.get(), a.swapaxes(1, 2) @ b, rtol=1e-5)
        y = graph.product(y.swapaxes(1, 2), cupy.asarray(a).swapaxes(1, 2))
        np.testing.assert_allclose(y.get(), (a.swapaxes(1, 2) @ b).swapaxes(1, 2) @ a.swapaxes(1, 2), rtol=1e-4)


def test_without_the_library_cupy_multiplies(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CuPy that has loaded cuBLAS under another name must still train; but it cannot be captured."""
    monkeypatch.setattr(graph, "_cublas", lambda: None)
    a, b = (np.random.default_rng(0).standard_normal((5, 3, n), dtype=np.float32) for n in (4, 2))
    y = graph.product(cupy.asarray(a).swapaxes(1, 2), cupy.asarray(b))
    np.testing.assert_allclose(y.get(), a.swapaxes(1, 2) @ b, rtol=1e-5)
    with pytest.raises(DeviceError, match="MINISRGAN_CUDA_GRAPH"):
        graph.Graph().capture(lambda: None)


# Where it is used

# Layers at 16 crops of 96 x 96: images, side of the result, input and output channels; and whether Winograd pays.
LAYERS = [
    (16, 24, 64, 64, True), (16, 24, 64, 256, True), (16, 48, 64, 256, True),  # the generator
    (16, 96, 3, 64, False), (16, 48, 64, 128, True), (16, 24, 128, 256, True), (16, 12, 256, 512, True),  # D
    (16, 96, 64, 64, True), (16, 48, 128, 128, True), (16, 24, 256, 256, True), (16, 12, 512, 512, True),  # VGG
    (16, 6, 512, 512, False), (1, 24, 64, 64, True), (1, 16, 64, 64, False),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_where_it_pays(layer: tuple[int, int, int, int, bool]) -> None:
    """A rule that is written down only as a number of channels is wrong for few tiles, or for thin layers."""
    images, side, *channels, expected = layer
    ways = [(winograd.pays(images, (side, side), *pair), *pair) for pair in (channels, channels[::-1])]
    assert [pays for pays, *_ in ways] == [expected] * 2
    for operations, gigabytes in ((67e3, 4800), (12.7e3, 360), (15.1e3, 272), (82.6e3, 1008)):
        pixels, tiles = images * side**2, images * (-(-side // 4)) ** 2
        few, both, product = min(channels), sum(channels), channels[0] * channels[1]
        columns = 2 * 9 * pixels * product / operations + 4 * pixels * (18 * few + both) / gigabytes
        arrays = tiles * both * (16 + 36 + 36) + 72 * product
        transformed = 2 * 36 * tiles * product / operations + 4 * arrays / gigabytes
        assert not expected or transformed < columns
    assert winograd.pays(4096, (96, 96), 27, 108) is False
    assert winograd.pays(4096, (96, 96), 28, 112) is True


@pytest.mark.parametrize(
    ("change", "used"),
    [({}, True), ({"kernel": 5, "padding": 2}, False), ({"stride": 2}, False), ({"dtype": np.float64}, False),
     ({"padding": 3}, False), ({"algorithm": "im2col"}, False), ({"tf32": "1"}, False), ({"workspace": 1 << 20}, False),
     ({"channels": 8, "algorithm": "winograd"}, True), ({"dtype": np.float64, "algorithm": "winograd"}, False),
     ({"tf32": "1", "algorithm": "winograd"}, False)],
    ids=str,
)  # fmt: skip
def test_what_it_is_used_for(change: dict[str, Any], used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten bits of a factor are too few for points at 2 and -2; and float64 is for checks."""
    monkeypatch.setenv("CUPY_TF32", change.get("tf32", "0"))
    channels, kernel = change.get("channels", 64), change.get("kernel", 3)
    x = np.zeros((16, 24, 24, channels), change.get("dtype", np.float32))
    numbers = (24, 24), (kernel, kernel, channels, channels), change.get("stride", 1), change.get("padding", 1)
    with (
        backend.algorithm(change["algorithm"]) if "algorithm" in change else nullcontext(),
        backend.workspace(change.get("workspace", 64 << 20)),
    ):
        assert winograd.suits(x, *numbers) is used
