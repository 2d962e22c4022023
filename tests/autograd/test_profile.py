"""A profile says where the time went: all of it, once, and to whom it belongs."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import minisrgan
from minisrgan import Tensor, ops
from minisrgan.autograd import Cost, Function, Gradients, Profile, profile
from minisrgan.autograd.profile import profiler
from minisrgan.backend import Array


class Slow(Function):
    """Takes 10 ms forward and 20 ms backward, a part of it in another operation."""

    def forward(self, x: Array) -> Array:
        time.sleep(0.01)
        return x * 2

    def backward(self, grad_y: Tensor) -> Gradients:
        time.sleep(0.02)
        return ops.multiply(grad_y, 2.0)


def leaf() -> Tensor:
    return Tensor(np.ones((4, 5), np.float32), requires_grad=True)


def test_each_operation_gets_its_own_time(monkeypatch: pytest.MonkeyPatch):
    """Forward in the backward column, or under another name, sends the reader to the wrong file.

    The clock is one of the test's own: on a busy machine a sleep of 10 ms may take longer than one of 20 ms.
    """
    now = 0.0

    def after(seconds: float = 1e-6) -> float:
        nonlocal now
        now += seconds
        return now

    monkeypatch.setattr(time, "sleep", after)
    monkeypatch.setattr(time, "perf_counter", after)
    with minisrgan.profile() as recorded:
        y = Slow.apply(Slow.apply(leaf()))
        ops.relu(y).backward(np.ones((4, 5), np.float32))
    slow = recorded.costs["slow"]
    assert (slow.calls, slow.bytes) == (2, 2 * 4 * 5 * 4)
    assert (slow.forward, slow.backward) == (pytest.approx(0.02, rel=0.01), pytest.approx(0.04, rel=0.01))
    assert recorded.costs["relu"].calls == 1
    assert recorded.costs["relu"].backward > 0


def test_operations_inside_backward_are_part_of_it():
    """Counted twice, the shares add up to more than the whole."""
    with profile() as recorded:
        Slow.apply(leaf()).backward(np.ones((4, 5), np.float32))
    assert "multiply" not in recorded.costs
    assert sum(share for _, _, share, _ in recorded.rows()) == pytest.approx(1)
    *operations, (name, rest, share, _) = recorded.rows()
    assert sum(seconds for _, seconds, _, _ in operations) + rest == pytest.approx(recorded.seconds)
    assert name == "rest"
    assert 0 <= share < 0.5


def test_times_sum_to_about_the_whole():
    """A clock that misses the heavy part calls it rest."""
    x, weight = Tensor(np.ones((4, 32, 32, 32), np.float32), requires_grad=True), np.ones((3, 3, 32, 32), np.float32)
    with profile() as recorded:
        for _ in range(3):
            ops.conv2d(x, Tensor(weight, requires_grad=True), padding=1).sum().backward()
    assert recorded.rows()[0][0] == "conv2d"
    assert recorded.rows()[-1][2] < 0.5


def test_gradients_that_are_added_have_a_row():
    """x + x costs an addition in the backward pass that no operation asked for."""
    x = leaf()
    with profile() as recorded:
        (x * 2.0 + x * 3.0).sum().backward()
    assert recorded.costs["gradients added"].backward > 0
    assert recorded.costs["gradients added"].calls == 0
    assert recorded.costs["multiply"].calls == 2


def test_nested():
    """An inner profile that takes its share away leaves a hole in the outer one."""
    with profile() as outer:
        ops.relu(leaf())
        with profile() as inner:
            Slow.apply(leaf()).backward(np.ones((4, 5), np.float32))
        ops.relu(leaf())
    assert inner.costs.keys() == {"slow", "gradients added"}
    assert {name: cost.calls for name, cost in outer.costs.items()} == {"relu": 2, "slow": 1, "gradients added": 0}
    assert outer.costs["slow"].backward >= inner.costs["slow"].backward * 0.9
    assert outer.seconds > inner.seconds


def test_an_error_does_not_end_the_recording():
    """A failed operation that is caught must not leave the clock running, nor the recorder in place."""
    with profile() as recorded:
        with pytest.raises(FloatingPointError), np.errstate(all="raise"):
            ops.log(Tensor([0.0]))
        ops.relu(leaf())
    assert recorded.costs["relu"].calls == 1
    assert recorded.costs.keys() == {"relu"}
    assert profiler.get() is None
    with pytest.raises(ValueError, match="stop"), profile():
        raise ValueError("stop")
    assert profiler.get() is None


def test_off_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    """Whoever does not ask pays nothing: without a recorder nothing of this file is called."""
    called: list[str] = []
    monkeypatch.setattr(Profile, "timed", lambda self, name, phase, work: called.append(name) or work)
    with profile():
        (leaf() * 2.0).sum().backward()
    assert {"multiply", "sum", "gradients added"} <= set(called)
    called.clear()

    inside: list[str] = []
    here = sys.modules["minisrgan.autograd.profile"].__file__
    sys.setprofile(lambda frame, event, _: inside.append(event) if frame.f_code.co_filename == here else None)
    try:
        (leaf() * 2.0).sum().backward()
    finally:
        sys.setprofile(None)
    assert (called, inside) == ([], [])


def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    """A GPU returns at once: without waiting, the time goes to whoever asks for a number later."""
    stream = SimpleNamespace(synchronize=lambda: time.sleep(0.01))
    cuda = SimpleNamespace(get_current_stream=lambda: stream)
    fake = SimpleNamespace(cuda=cuda, ndarray=type("ndarray", (), {}))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with profile() as recorded:
        ops.relu(leaf())
    assert recorded.costs["relu"].forward >= 0.01


def test_table():
    """Numbers under the wrong heading."""
    text = str(Profile(costs={"relu": Cost(0.001, 0.002, 3, 4_000_000), "conv2d": Cost(0.5, 0.1, 1, 0)}, seconds=1.0))
    lines = [line.split() for line in text.splitlines()]
    assert lines[1] == ["conv2d", "1", "500.0", "100.0", "60.0", "%", "0.0"]
    assert lines[2] == ["relu", "3", "1.0", "2.0", "0.3", "%", "4.0"]
    assert lines[3][:2] == ["rest", "397.0"]
    assert lines[4] == ["whole", "1000.0", "ms"]
    assert str(Profile()).splitlines()[-1].split() == ["whole", "0.0", "ms"]
