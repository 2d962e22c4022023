"""The matrices of Winograd's convolution for each stride and tile size; `winograd` explains their use."""

import functools
from collections.abc import Sequence

import numpy as np

from minisrgan.backend import Array

POINTS = (0, 1, -1, 2, -2)  # of stride 1; with infinity 6, for tiles of 4x4
_CACHED = 128 * 256  # numbers in a weight matrix; of larger ones, 64 do not stay in cache


class Scheme:
    """The matrices of one algorithm with n points, and the distance between its tiles.

    bt    B^T (n, inputs of a tile)
    gg    the Kronecker product of G and G, (n*n, 9): transforms rows and columns at once, for weights (9, C*O)
    at    A^T (outputs of a tile, n); its column 1, which belongs to the point 1, is all ones
    step  number of inputs from one tile to the next
    """

    def __init__(self, bt: Array, g: Array, at: Array, step: int) -> None:
        self.bt, self.gg, self.at = (matrix.astype(np.float32) for matrix in (bt, np.kron(g, g), at))
        self.step = step


def toom_cook(points: Sequence[float], taps: int) -> tuple[Array, Array, Array]:
    """Return B^T, G and A^T of a filter with that many taps, for these points and infinity.

    Let N(t) be the product of t - q over all points q. Row p of B^T holds the coefficients of N(t) / (t - p); row p of
    G the powers of p, divided by that polynomial's value at p; column p of A^T the powers of p. The last row or column
    belongs to infinity, where a polynomial's value is its leading coefficient: N in B^T, a single 1 in G and A^T.

    >>> toom_cook((0, 1), taps=2)[2]  # y_0 and y_1 from the values at 0, 1 and infinity
    array([[1., 1., 0.],
           [0., 1., 1.]])
    """
    n, outputs = len(points) + 1, len(points) + 2 - taps
    bt, g, at = np.zeros((n, n)), np.zeros((n, taps)), np.zeros((outputs, n))
    for row, p in enumerate(points):
        others = [q for q in points if q != p]
        bt[row, : n - 1] = np.poly(others)[::-1]
        g[row] = [p**k / np.prod([p - q for q in others]) for k in range(taps)]
        at[:, row] = [p**k for k in range(outputs)]
    bt[-1], g[-1, -1], at[-1, -1] = np.poly(points)[::-1], 1, 1
    return bt, g, at


@functools.cache
def strided_schemes() -> tuple[Scheme, Scheme]:
    """Return the schemes of stride 2: forward, and for the gradient with respect to an input with padding 1."""
    bt, g, at = toom_cook((0, 1, -1, 2), taps=2)
    taps = np.zeros((9, 3))
    taps[:5, ::2], taps[5:, 1] = g, 1
    from_input = np.zeros((9, 9))
    from_input[:5, ::2], from_input[5:, 1::2] = bt, np.eye(4)
    to_input = np.zeros((8, 9))
    to_input[1::2, :5], to_input[::2, 5:] = at, np.eye(4)
    forward = Scheme(from_input, taps, np.hstack([at, np.eye(4)]), step=8)
    return forward, Scheme(np.vstack([bt, np.eye(4, 5)]), taps, to_input, step=4)


@functools.cache
def _plain_schemes() -> tuple[Scheme, ...]:
    """Return the schemes of stride 1: 36 products for tiles of 4x4 outputs, 25 for tiles of 3x3, 64 for 6x6."""
    points = POINTS, POINTS[:4], (*POINTS, 0.5, -0.5)
    return tuple(Scheme(*toom_cook(each, taps=3), step=len(each) - 1) for each in points)


def plain_scheme(height: int, width: int, numbers: int) -> Scheme:
    """Return the scheme of stride 1 that takes the fewest products for an output of this size.

    numbers  input channels times output channels. Tiles of 6x6 need 64 matrices of this size. Each block of tiles reads
             them all: 24x24 outputs with 256 channels took 1.1 times as long as with tiles of 4x4.
    """
    fitting = _plain_schemes()[: 3 if numbers <= _CACHED else 2]
    return min(fitting, key=lambda s: -(-height // s.step) * -(-width // s.step) * len(s.gg))
