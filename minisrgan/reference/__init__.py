"""The room of slow and obvious code: every operation once more, as plain Python loops over NumPy scalars.

`minisrgan.ops` is written to be fast; this room is written so that a reader with a pencil can follow every number.
It shares no line with the operations that it is the yardstick for: nothing of minisrgan outside this room is imported.

An operation ``f(inputs, options)`` has two functions here:

``f``       the output array, straight from the formula
``f_grad``  given ``grad_y``, the gradient of the loss L in the output y, and then all that ``f`` was given: a tuple
            with the gradient of L in each array input, None for a bias that is None

Nearly every gradient here is one idea, the chain rule said out loud: wherever ``f`` lets a number of the input touch a
number of the output, ``f_grad`` walks the same positions and adds ``grad_y`` there, times the derivative, to the
gradient of that input. A number used twice collects two shares, hence ``+=``. `positions` holds the walks that several
files share, and `elementwise`, which makes both functions from a formula for single numbers and its derivative.

>>> import numpy as np
>>> from minisrgan import reference
>>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
>>> reference.matmul(x, w)
array([[11.]])
>>> reference.matmul_grad(np.array([[1.0]]), x, w)
(array([[3., 4.]]), array([[1.],
       [2.]]))
"""

# ruff: noqa: F403  the room's names are its functions, so the list of files says it all

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
