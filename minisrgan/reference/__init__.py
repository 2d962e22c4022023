"""Slow and simple reference code: every operation again, as plain Python loops over NumPy scalars.

`minisrgan.ops` is written to be fast; this package is written so that a reader can follow every number with a pencil.
The operations are tested against it, so it shares no code with them and imports nothing else of minisrgan.

An operation ``f(inputs, options)`` has two functions here:

``f``       returns the output array y, straight from the formula
``f_grad``  takes ``grad_y``, the gradient of the loss L with respect to y, and then all arguments of ``f``; returns a
            tuple with the gradient of L with respect to each array input, None for a bias that is None

Nearly every gradient here is the chain rule as a loop: ``f_grad`` visits the same pairs of an input number and an
output number as ``f``. At each pair it adds ``grad_y`` of the output, times the derivative, to the gradient of the
input. A number that is used twice gets two contributions, hence ``+=``. `positions` holds the loops that several files
share, and `elementwise`, which makes both functions from a formula for single numbers and its derivative.

>>> import numpy as np
>>> from minisrgan import reference
>>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
>>> reference.matmul(x, w)
array([[11.]])
>>> reference.matmul_grad(np.array([[1.0]]), x, w)
(array([[3., 4.]]), array([[1.],
       [2.]]))
"""

# ruff: noqa: F403  every public function of these files is exported

from minisrgan.reference.activation import *
from minisrgan.reference.arithmetic import *
from minisrgan.reference.conv import *
from minisrgan.reference.loss import *
from minisrgan.reference.matrix import *
from minisrgan.reference.norm import *
from minisrgan.reference.pool import *
from minisrgan.reference.reduction import *
from minisrgan.reference.shape import *
from minisrgan.reference.shuffle import *
