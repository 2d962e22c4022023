"""Threads: their number, dividing work between them, and limiting the threads of BLAS during this work."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from minisrgan.errors import ArgumentError

EVERY = 10.0  # seconds between two lines of progress in a file or pipe

_threads: ContextVar[int | None] = ContextVar("threads", default=None)

T = TypeVar("T")
R = TypeVar("R")


@contextlib.contextmanager
def setting(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a context variable during a with block, and restore it even after an error."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def thread_count() -> int:
    """Return how many threads a kernel uses on the CPU.

    This is the number set by `threads`, else the environment variable MINISRGAN_THREADS, else the number of cores that
    this process may use.

    >>> with threads(3):
    ...     thread_count()
    3
    """
    chosen = _threads.get()
    if chosen is not None:
        return chosen
    text = os.environ.get("MINISRGAN_THREADS", "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentError("MINISRGAN_THREADS", expected="a number from 1", got=repr(text), fix="unset it, or set 1")
    return int(text)


def threads(count: int) -> contextlib.AbstractContextManager[None]:
    """Set the number of threads of kernels on the CPU during a with block; ArgumentError below 1."""
    if count < 1:
        raise ArgumentError("threads", expected="at least 1", got=str(count), fix="1 is the thread that calls")
    return setting(_threads, count)


@functools.cache
def can_start() -> bool:
    """Return whether this Python can start threads. In a web browser (Pyodide) it cannot."""
    try:
        threading.Thread(target=bool).start()
    except RuntimeError:
        return False
    return True


class _Lines:
    """A file for tqdm in which each state of its bar becomes a line of standard error."""

    def write(self, text: str) -> None:
        """Write what the bar shows as a line."""
        if text.strip():
            sys.stderr.write(f"{text.strip()}\n")

    def flush(self) -> None:
        """Write it now."""
        sys.stderr.flush()


def progress_bar(*args: Any, **options: Any) -> Any:
    """Return a bar of tqdm, on standard error; in a file or pipe it prints a line every ten seconds instead."""
    from tqdm import tqdm

    if not can_start():
        tqdm.monitor_interval = 0  # without the thread that refreshes a stalled bar
    if not sys.stderr.isatty():
        options |= {"file": _Lines(), "mininterval": EVERY, "miniters": 1, "delay": EVERY}
        options["bar_format"] = "{desc}: {percentage:.0f}%, {remaining} left{postfix}"
    return tqdm(*args, **options)


def parallel(work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
    """Divide items between the threads, consecutive items for each; return the results in order.

    Meanwhile BLAS uses one thread in each of them. Its own threads would synchronize after every small product by
    spinning, which takes most of the time if the machine is also doing other work. The division depends only on the
    number of threads, so two runs give equal bits. A `parallel` inside a share uses the remaining threads: if 4 threads
    work on 2 shares, each share has 2.

    >>> with threads(2):
    ...     parallel(sum, [1, 2, 3, 4])
    [3, 7]
    """
    total = thread_count()
    count = max(1, min(total, len(items)))
    edges = [len(items) * k // count for k in range(count + 1)]
    shares = [_Share(work, items[start:stop], total // count) for start, stop in itertools.pairwise(edges)]
    caller = object()
    try:
        _blas_limit.enter(caller)
        _helpers.offer(shares[1:], total - 1)
        # The caller takes a share as well: two threads that wake up while it goes to sleep may both get its core, and
        # the system takes longer to separate them than most kernels run. Then it takes the shares that no helper has
        # begun. So nobody waits for a thread that is itself waiting, even if a share calls `parallel`.
        return [share.result() for share in shares]
    finally:
        try:
            _finish(shares, caller)
        finally:
            _finish(shares, caller)  # again, without harm, as an interrupt may have ended the first call


def _finish(shares: Sequence[_Share[Any]], caller: object) -> None:
    """Wait until no helper works for the caller any more, then restore the threads of BLAS."""
    for share in shares:
        share.withdraw()
        share.forget()
    _blas_limit.leave(caller)


class _Share(Generic[R]):
    """A share of the work, done by its caller or by a helper, whichever takes it first.

    An interrupt can occur between any two bytecodes of the caller. Therefore ownership is decided by one atomic
    operation that can be repeated: the first call of `setdefault` determines the owner.
    """

    def __init__(self, work: Callable[[Sequence[T]], R], items: Sequence[T], threads_left: int) -> None:
        # A copy of the context: what is set for the caller (NumPy's handling of errors, too) holds for a helper.
        context = contextvars.copy_context()
        context.run(_threads.set, threads_left)
        self.work: Callable[[], R] = lambda: context.run(work, items)
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def help(self) -> None:
        """Do the work in a helper, unless the caller has taken it."""
        if vars(self).setdefault("helped", True):
            try:
                self.value = self.work()
            except BaseException as error:  # raised in the caller
                self.error = error
            finally:
                self.done.release()

    def withdraw(self) -> bool:
        """Take the work back in the caller; if a helper has started it, wait until it ends. Return whether one had."""
        helped: bool = vars(self).setdefault("helped", False)
        if helped:
            with self.done:
                pass
        return helped

    def forget(self) -> None:
        """Drop all arrays, because the queue or a helper may keep this share for a while."""
        for name in ("work", "value", "error"):
            vars(self).pop(name, None)

    def result(self) -> R:
        """Return the result of the work, or raise its exception."""
        if not self.withdraw():
            return self.work()
        if self.error is not None:
            raise self.error
        return self.value


class _Helpers:
    """The helper threads. They are started when they are first needed, and then wait for work."""

    def __init__(self) -> None:
        self.shares: SimpleQueue[_Share[Any]] = SimpleQueue()
        self.count = 0

    def offer(self, shares: Sequence[_Share[Any]], most: int) -> None:
        """Offer shares to at most the given number of helpers."""
        while shares and self.count < most:
            self.count += 1
            with contextlib.suppress(RuntimeError):  # no thread is available: the caller does the work
                threading.Thread(target=self._help, args=(self.shares,), name="minisrgan", daemon=True).start()
        for share in shares:
            self.shares.put(share)

    @staticmethod
    def _help(shares: SimpleQueue[_Share[Any]]) -> None:
        while True:
            shares.get().help()


class _BlasLimit:
    """Keeps BLAS at one thread while anybody computes in `parallel`.

    BLAS has one setting for the whole process, but several Python threads may compute at once. So the callers are
    counted: the first one stores BLAS's setting, and the last one restores it. Leaving twice does no harm.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal's handler may compute, too
        self.callers: set[object] = set()
        self.before: list[tuple[Any, int]] = []

    def enter(self, caller: object) -> None:
        """Limit BLAS to one thread."""
        with self.lock:
            first = not self.callers
            self.callers.add(caller)
            if first:
                libraries = [library for library in _blas().lib_controllers if library.user_api == "blas"]
                self.before = self.before or [(library, library.num_threads) for library in libraries]
                for library, _ in self.before:
                    _set_threads(library, 1)

    def leave(self, caller: object) -> None:
        """Restore BLAS's own number of threads, unless another caller is still computing."""
        with self.lock:
            if self.callers == {caller}:
                self.restore()
            self.callers.discard(caller)

    def restore(self) -> None:
        """Restore BLAS's own number of threads."""
        for library, number in self.before:
            _set_threads(library, number)
        self.before = []


def _set_threads(library: Any, number: int) -> None:
    # threadpoolctl 3.8 lets only one thread of Python set OpenBLAS's number, until it is released.
    release = getattr(library, "clear_controlling_thread", lambda force: None)
    release(force=True)
    library.set_num_threads(number)
    release(force=True)


_helpers, _blas_limit = _Helpers(), _BlasLimit()


def _after_fork() -> None:
    """Reset all state in a child process, which does not have its parent's other threads."""
    _helpers.shares, _helpers.count = SimpleQueue(), 0
    _blas_limit.callers.clear()
    _blas_limit.restore()
    _blas_limit.lock.release()


if hasattr(os, "register_at_fork"):
    # The lock is held during a fork. A lock of another thread, ours or threadpoolctl's, would stay locked in the child.
    _acquire, _release = _blas_limit.lock.acquire, _blas_limit.lock.release
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_after_fork)


@functools.cache
def _blas() -> Any:
    """Return the controller of BLAS threads. It is created at the first use, as it inspects all loaded libraries."""
    from threadpoolctl import ThreadpoolController

    _keep_freed_memory()
    return ThreadpoolController()


def _keep_freed_memory() -> None:
    """Make glibc, if it is the allocator, keep up to 1 GB of freed memory for later arrays.

    By default an array of more than 32 MB is requested from the system each time, and returned when it is freed. The
    system clears every page: for the feature maps of a training step this took a tenth of the total time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        map_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
        mallopt(map_threshold, 1 << 30)
        mallopt(trim_threshold, 1 << 30)
