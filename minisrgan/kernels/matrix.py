"""Matrix products shared out over the threads.

Every product of the package is taken here or within `parallel`, where BLAS has one thread for each of ours. A single
call outside would wake the threads of BLAS itself, which go on spinning for a while after it: on the cores of ours.

Arithmetic: 2*n*m*k operations. Bytes moved: each operand once where it fits the cache.
"""

from collections.abc import Sequence

import numpy as np

from minisrgan.backend import Array, parallel

_WORTH = 1 << 22  # multiply-adds below which it does not pay to wake a second thread


def matmul(a: Array, b: Array) -> Array:
    """Return a (..., n, m) @ b (..., m, k); of two matrices, the longer side of the result is shared out.

    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    if a.ndim > 2 or b.ndim > 2 or 0 in a.shape + b.shape:
        return parallel(lambda _: a @ b, [None])[0]
    (rows, inner), cols = a.shape, b.shape[1]
    y = np.empty((rows, cols), np.result_type(a, b))
    length, width = max(rows, cols), min(rows, cols)
    step = -(-_WORTH // (inner * width))

    def work(part: Sequence[int]) -> None:
        run = slice(part[0], part[-1] + step)
        if rows >= cols:
            np.matmul(a[run], b, out=y[run])  # (length/threads, m) @ (m, k)
        else:
            np.matmul(a, b[:, run], out=y[:, run])  # (n, m) @ (m, length/threads)

    parallel(work, range(0, length, step))
    return y
