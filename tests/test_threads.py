"""Threads beside others: processes that fork, threads of the user's own, interrupts, and `parallel` inside itself.

Each script runs in a process of its own, on two threads and with two for BLAS, for two minutes at most: what goes wrong
here mostly hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SETUP = """
import atexit, multiprocessing, os, random, signal, threading, time
import numpy as np
from threadpoolctl import threadpool_info
from minisrgan import backend, kernels

rng = np.random.default_rng(0)
x, weight = rng.standard_normal((4, 24, 24, 64), np.float32), rng.standard_normal((3, 3, 64, 64), np.float32)

def compute():
    return [
        kernels.conv2d(x, weight, padding=1), kernels.conv2d(x, weight, padding=1, stride=3),
        kernels.conv2d(x, weight[..., :3], padding=1), *kernels.conv2d_gradients(x, x, weight, padding=1),
        kernels.matmul(x.reshape(-1, 64), weight[0, 0]), kernels.pixel_shuffle(x, 2), kernels.max_pool(x, 2),
        kernels.prelu(x, weight[0, 0, 0]), *kernels.channel_moments(np.tile(x, (4, 2, 2, 1))),
    ]

def blas_threads():
    return sorted({library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"})
"""


def run(script: str) -> str:
    """Run a script and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "MINISRGAN_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SETUP + script]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system starts processes in another way")
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="this system has no timer that interrupts")


@needs_fork
def test_a_pool_of_processes_computes_after_the_first_use() -> None:
    """A child process has the parent's queue of work but none of the threads that empty it."""
    assert run("""
right = compute()
def same(_):
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(compute(), right))
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(same, range(3)), blas_threads())
""") == "[True, True, True] [2]"  # fmt: skip


@needs_fork
def test_fork_while_another_thread_computes() -> None:
    """The child inherits a lock that nobody holds any more, and a BLAS that was held at one thread."""
    assert run("""
stop = threading.Event()
def go_on():
    while not stop.is_set():
        compute()
thread = threading.Thread(target=go_on)
thread.start()
codes = []
for _ in range(6):
    time.sleep(0.003)
    if not (child := os.fork()):
        compute()
        os._exit(blas_threads() != [2])
    codes.append(os.waitpid(child, 0)[1])
stop.set()
thread.join()
print(codes, blas_threads())
""") == f"{[0] * 6} [2]"  # fmt: skip


@needs_fork
def test_fork_inside_a_share() -> None:
    """A child of a helper, or of a caller that is computing, computes too, and so does its own child."""
    assert run("""
def descend(share, depth=2):
    if not (child := os.fork()):
        compute()
        os._exit(any(backend.parallel(lambda share: descend(share, depth - 1), [0, 1])) if depth else 0)
    return os.waitpid(child, 0)[1]
print(backend.parallel(descend, [0, 1]), blas_threads())
""") == "[0, 0] [2]"  # fmt: skip


@pytest.mark.parametrize("count", [2, 3])
def test_threads_of_the_user_compute_at_once(count: int) -> None:
    """Of two that save BLAS's number and restore it, the second saves the 1 of the first, and BLAS stays there."""
    assert run(f"""
for _ in range(2):
    threads = [threading.Thread(target=lambda: [compute() for _ in range(2)]) for _ in range({count})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(blas_threads())
""") == "[2]"  # fmt: skip


@needs_signals
def test_an_interrupt_leaves_nothing_behind() -> None:
    """Ctrl-C in a notebook: no helper works on, BLAS has its threads back, and the next call computes as before."""
    interrupted, left_behind, rest = run("""
compute()
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
random.seed(0)
working, interrupted, left_behind, end = [], 0, 0, time.monotonic() + 3
def work(share):
    working.append(share)
    try:
        time.sleep(random.random() / 2000)
    finally:
        working.remove(share)
while time.monotonic() < end:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + random.random() / 500)
            for _ in range(5):
                backend.parallel(work, [0, 1, 2])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
    left_behind += bool(working) or blas_threads() != [2]
    working.clear()
print(interrupted, left_behind, backend.parallel(list, [1, 2]), backend.thread_count())
""").split(maxsplit=2)  # fmt: skip
    assert int(interrupted) > 10
    assert int(left_behind) == 0
    assert rest == "[[1], [2]] 2"


@needs_signals
def test_a_signal_handler_computes() -> None:
    """A handler that saves a checkpoint computes in the middle of whatever its thread was doing: inside a lock, too."""
    assert run("""
def compute_a_little(*_):
    return backend.parallel(list, [0, 1])
compute_a_little()
signal.signal(signal.SIGALRM, compute_a_little)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
end = time.monotonic() + 2
while time.monotonic() < end:
    compute_a_little()
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(blas_threads())
""") == "[2]"  # fmt: skip


def test_parallel_inside_parallel() -> None:
    """Helpers that wait for helpers wait for ever. The threads are shared out: none are left, or as many as were."""
    assert run("""
def count(share):
    return backend.thread_count()
def inside(share):
    return backend.parallel(count, range(3))
def twice(share):
    with backend.threads(3):
        return backend.parallel(inside, range(3))
for number in (2, 4, 7):
    with backend.threads(number):
        print(backend.parallel(inside, [0, 1]))
with backend.threads(5):
    print(backend.parallel(twice, range(4)) == [[[1]] * 3] * 4, blas_threads())
""").splitlines() == ["[[1], [1]]", "[[1, 1], [1, 1]]", "[[1, 1, 1], [1, 1, 1]]", "True [2]"]  # fmt: skip


def test_an_error_in_a_share_waits_for_the_others() -> None:
    """A helper that goes on writes into arrays that the caller has given up, or is using for something else."""
    assert run("""
def fail(share, bad):
    if share[0] == bad:
        raise ValueError(str(share[0]))
    time.sleep(0.1)
    ended.append(share[0])
for bad in (0, 1):
    ended, both = [], threading.Barrier(2)
    def work(share):
        both.wait()
        fail(share, bad)
    try:
        backend.parallel(work, [0, 1])
    except ValueError as error:
        print(error, ended, blas_threads())
""").splitlines() == ["0 [1] [2]", "1 [0] [2]"]  # fmt: skip


def test_computing_at_the_end_of_the_process() -> None:
    """What is saved on leaving is computed when no thread can be started any more."""
    assert run("""
right = kernels.conv2d(x, weight, padding=1)
atexit.register(lambda: print(np.array_equal(right, kernels.conv2d(x, weight, padding=1))))
with backend.threads(3):
    atexit.register(kernels.conv2d, x, weight, padding=1)
""") == "True"  # fmt: skip
