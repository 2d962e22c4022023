"""Devices, threads and the workspace of convolutions."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minisrgan import backend, kernels
from minisrgan import threads as threads_module
from minisrgan.errors import ArgumentError, DeviceError, MinisrganError


def blas_threads() -> set[int]:
    """Return the numbers of threads that the loaded BLAS libraries may use."""
    return {library["num_threads"] for library in backend._blas().info() if library["user_api"] == "blas"}


def test_items_are_shared_out_in_order() -> None:
    """An item lost or done twice is a hole or a double exposure in a picture."""
    for count in range(1, 6):
        for length in range(1, 9):
            with backend.threads(count):
                shares = backend.parallel(list, range(length))
            assert [item for share in shares for item in share] == list(range(length))
            assert len(shares) == min(count, length)


def test_blas_has_one_thread_while_ours_work() -> None:
    """Two of ours with two of BLAS each fight for two cores; on a busy machine that is ten times slower."""
    before = blas_threads()
    with backend.threads(2):
        inside = backend.parallel(lambda share: blas_threads(), [0, 1])
    assert inside == [{1}, {1}]
    assert blas_threads() == before
    with backend.threads(2), pytest.raises(ZeroDivisionError):
        backend.parallel(lambda share: 1 // 0, [0, 1])
    assert blas_threads() == before


def test_blas_has_one_thread_until_the_last_is_done() -> None:
    """Of two threads of the user's that compute at once, the first to end must not end it for the other."""

    def beside_another(share: object) -> set[int]:
        other = threading.Thread(target=backend.parallel, args=(list, [0]))
        other.start()
        other.join()
        return blas_threads()

    with threadpool_limits(2, user_api="blas"):
        assert backend.parallel(beside_another, [0]) == [{1}]
        assert blas_threads() == {2}


def test_a_share_has_the_threads_that_are_left() -> None:
    """Two shares that take four threads each fight for four cores."""
    for total, each in ((1, [1]), (2, [1, 1]), (4, [2, 2]), (7, [3, 3])):
        with backend.threads(total):
            assert backend.parallel(lambda share: backend.thread_count(), [0, 1]) == each
            assert backend.thread_count() == total


@pytest.mark.parametrize("helped", [False, True], ids=["still in the queue", "in a helper that lingers"])
def test_no_share_outlives_its_call(monkeypatch: pytest.MonkeyPatch, helped: bool) -> None:
    """What a helper has not yet let go of would keep arrays of a whole layer alive, for as long as it sleeps."""
    linger, both = threading.Event(), threading.Barrier(2, timeout=60)
    original = threads_module._Share.help

    def late(share: Any) -> None:
        if helped:
            original(share)
        linger.wait(60)

    def work(x: np.ndarray, share: Sequence[int]) -> np.ndarray:
        if helped:
            both.wait()
        return x + share[0]

    monkeypatch.setattr(threads_module, "_helpers", threads_module._Helpers())
    monkeypatch.setattr(threads_module._Share, "help", late)
    x = np.zeros(3)
    with backend.threads(2):
        results = backend.parallel(functools.partial(work, x), [0, 1])
    assert [result[0] for result in results] == [0, 1]
    alive = [weakref.ref(x), *map(weakref.ref, results)]
    del x, results
    left = [array() is None for array in alive]
    linger.set()
    assert left == [True] * 3


def test_threads_see_what_is_set_for_the_caller() -> None:
    """A worker with another workspace, or NumPy's default handling of errors, would surprise only in threads."""

    both = threading.Barrier(2, timeout=60)

    def look(share: object) -> tuple[str, int, str]:
        both.wait()
        return threading.current_thread().name, backend.workspace_bytes(), np.geterr()["over"]

    with backend.threads(2), backend.workspace(12345), np.errstate(over="ignore"):
        names, sizes, modes = zip(*backend.parallel(look, [0, 1]), strict=True)
    assert names[0] == threading.current_thread().name
    assert names[1].startswith("minisrgan")
    assert sizes == (12345, 12345)
    assert modes == ("ignore", "ignore")


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's word counts less than the program's; nonsense in it is named."""
    monkeypatch.setenv("MINISRGAN_THREADS", "3")
    assert backend.thread_count() == 3
    with backend.threads(1):
        assert backend.thread_count() == 1
    for text in ("many", "\u00b2"):  # a digit that is no number
        monkeypatch.setenv("MINISRGAN_THREADS", text)
        with pytest.raises(ArgumentError, match=f"'{text}'"):
            backend.thread_count()
    monkeypatch.delenv("MINISRGAN_THREADS")
    assert backend.thread_count() >= 1
    with pytest.raises(ArgumentError, match="at least 1"), backend.threads(0):
        pass


@pytest.mark.parametrize("stride", [1, 2])
def test_results_do_not_depend_on_threads_and_repeat_bit_for_bit(stride: int) -> None:
    """Threads that share an output pixel lose additions now and then: wrong once in a hundred runs."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((3, 17, 13, 5)), rng.standard_normal((3, 3, 5, 4))
    grad = rng.standard_normal(kernels.conv2d(x, weight, stride=stride, padding=1).shape)

    def all_three() -> list[np.ndarray]:
        return [
            kernels.conv2d(x, weight, stride=stride, padding=1),
            kernels.conv2d_input_gradient(grad, weight, (17, 13), stride=stride, padding=1),
            kernels.conv2d_weight_gradient(x, grad, (3, 3), stride=stride, padding=1),
        ]

    with backend.workspace(6000):
        with backend.threads(1):
            alone = all_three()
        for count in (2, 3, 5):
            with backend.threads(count):
                first = all_three()
                for _ in range(10):
                    for a, b in zip(first, all_three(), strict=True):
                        np.testing.assert_array_equal(a, b)
            for a, b in zip(alone, first, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_devices_by_name() -> None:
    """A device that cannot be had is refused with what is missing, not with an ImportError from inside."""
    x = np.ones(3)
    assert backend.to_device(x, "cpu") is x
    assert backend.device_of(x) == "cpu"
    for name in ("gpu", "cuda:x", "cuda:\u00b2", "tpu:0", ""):
        with pytest.raises(ArgumentError, match="cpu, cuda or cuda:N"):
            backend.to_device(x, name)
    try:
        moved = backend.to_device(x, "cuda")
    except DeviceError as error:
        assert "device cpu" in error.fix  # noqa: PT017
    else:
        assert backend.device_of(moved) == "cuda:0"
        assert (backend.to_numpy(moved) == x).all()


def test_a_workspace_of_nothing_is_refused() -> None:
    """Blocks of no pixels would never end."""
    with pytest.raises(MinisrganError, match="at least 1 byte"), backend.workspace(0):
        pass
