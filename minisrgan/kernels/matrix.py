"""Matrix products, distributed over the threads.

Every product of the package is computed here or within `parallel`, where BLAS uses one thread in each of ours. A call
outside would start the threads of BLAS itself, which keep the cores busy for a while after the call.

Arithmetic: 2*n*m*k operations. Bytes moved: each operand once where it fits the cache.
"""

from collections.abc import Sequence

import numpy as np

from minisrgan.backend import Array, parallel

_WORTH = 1 << 22  # multiply-adds below which a second thread does not pay


def matmul(a: Array, b: Array) -> Array:
    """Return a (..., n, m) @ b (..., m, k); for two matrices, the threads share the longer side of the result.

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
