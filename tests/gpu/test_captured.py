"""A step that is captured is the step that is read: equal numbers, and nothing in it that Python would have to say.

On the stand-in a capture notes what is asked of the GPU on a tape, and a start plays it. What CUDA itself allows during
a capture only a GPU can tell: `test_gpu.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minisrgan.autograd import Tensor
from minisrgan.backend import to_device
from minisrgan.errors import DeviceError
from minisrgan.kernels.cuda import graph
from minisrgan.losses import MSEContent
from minisrgan.training import Config, SRResNetStage, state_of
from minisrgan.training.captured import Captured, step_of
from minisrgan.training.parallel import MPIRanks
from tests.gpu import standin
from tests.gpu.cuda_in_c import needs_compiler
from tests.gpu.devices import DEVICE, Training
from tests.training.ranks import Comm, World


@pytest.fixture
def library() -> Iterator[standin.CuBLAS]:
    """The cuBLAS of the stand-in, which is in CuPy's place."""
    with standin.installed():
        yield graph._cublas()


class Twin(Comm):
    """A communicator of two ranks, the other of which has half of every number: what is not exchanged is too large."""

    def allgather(self, value: Any) -> list[Any]:
        return [value, value * 0.5]


KINDS: dict[str, dict[str, Any]] = {
    "srresnet": {"steps": 4},
    "a head start, a balance, pairs": {"steps": 8, "d_head_start": 4, "adversarial_balance": 0.5, "relativistic": True},
    "two ranks": {"steps": 4, "adversarial_balance": 0.5},
}


def prepared(kind: str) -> Training:
    """Return a training whose rates change at every step."""
    settings = {name: value for name, value in KINDS[kind].items() if name != "steps"}
    training = Training(DEVICE, content="mse", **settings)
    if kind == "srresnet":
        config = Config(channels=4, blocks=2, scale=2, ema=0.9, srresnet_steps=100)
        training.stage = SRResNetStage(training.stage.generator, MSEContent(), config)  # type: ignore[assignment]
    elif kind == "two ranks":
        training.stage.ranks = MPIRanks(Twin(World(2, {}), 0))
    for name in ("lr", "g_lr", "d_lr"):
        setattr(training.stage, name, lambda step: 1e-3 / (1 + step))
    return training


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """Trainings whose arrays a capture leaves as they are: on a GPU it computes nothing, but the stand-in does."""
    trainings: list[Training] = []
    begin, end, before = standin.Stream.begin_capture, standin.Stream.end_capture, {}

    def arrays() -> Iterator[np.ndarray]:
        for training in trainings:
            yield from (array._array for array in state_of(training.stage, training.sampler)[0].values())

    def begin_capture(stream: standin.Stream) -> None:
        for array in arrays():
            before.setdefault(array.ctypes.data, array.copy())
        begin(stream)

    def end_capture(stream: standin.Stream) -> standin.Tape:
        for array in arrays():
            array[...] = before.pop(array.ctypes.data)
        return end(stream)

    monkeypatch.setattr(standin.Stream, "begin_capture", begin_capture)
    monkeypatch.setattr(standin.Stream, "end_capture", end_capture)
    return trainings


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_captured_step_is_the_step(
    kind: str, library: standin.CuBLAS, untouched: list[Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate, a count, a weight or an address that is part of a graph is that of the third step for ever."""
    plain, training = prepared(kind), prepared(kind)
    untouched.append(training)
    right, states = [plain.step() for _ in range(KINDS[kind]["steps"])], []
    monkeypatch.setattr(training.stage, "step", counted(training.stage.step, calls := [0]))
    first = Captured(training.stage)
    for expected in right:
        states.append(training.state())
        waits, numbers = take(first, training)
        assert waits == 1 or kind == "two ranks"
        assert numbers == expected
    assert calls == [6 if "head start" in kind else 3]
    assert library.products > 20
    same_bits(training, plain)

    late = len(right) - 3
    resumed = prepared(kind)
    untouched[:] = [resumed]
    resumed.restore(*states[late], steps=late)
    second = Captured(resumed.stage)
    assert [take(second, resumed)[1] for _ in range(3)] == right[late:]
    same_bits(resumed, plain)

    optimizer, *_ = training.stage.optimizers.values()
    optimizer.mean[0] = optimizer.mean[0].copy()
    with pytest.raises(DeviceError, match="others"):
        take(first, training)


def take(captured: Captured, training: Training) -> tuple[int, dict[str, float]]:
    """Take a step; return how often Python waited, and the numbers of the log."""
    batch = [Tensor(to_device(array.astype(training.dtype), DEVICE)) for array in training.sampler.batch(3)]
    standin.waits[0] = 0
    numbers = captured.step(training.steps, *batch)
    training.steps += 1
    return standin.waits[0], numbers


def same_bits(ours: Training, right: Training) -> None:
    """Compare all that a checkpoint holds."""
    (arrays, numbers), (expected, expected_numbers) = ours.state(), right.state()
    assert numbers == expected_numbers
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def counted(work: Any, calls: list[int]) -> Any:
    """Return work that counts its calls."""

    def call(*args: Any) -> Any:
        calls[0] += 1
        return work(*args)

    return call


def test_products_of_a_capture(library: standin.CuBLAS) -> None:
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
