"""Indexing as users of NumPy write it: masks, lists, and arrays that they go on to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.autograd import grad
from minisrgan.errors import ShapeError


def test_a_mask_takes_what_is_true():
    """np.flatnonzero(mask), which was advised, takes other elements from two axes on."""
    array = np.arange(12.0).reshape(4, 3)
    x = Tensor(array, requires_grad=True)
    for mask in (array > 4, array % 2 == 0, np.zeros((4, 3), bool), np.array([True, False, False, True])):
        np.testing.assert_array_equal(x[mask].numpy(), array[mask])
        np.testing.assert_array_equal(x[mask.tolist()].numpy(), array[mask])
    np.testing.assert_array_equal(x[:, np.array([True, False, True])].numpy(), array[:, [0, 2]])
    (first,) = grad((x[array > 4] ** 3).sum(), x, create_graph=True)
    np.testing.assert_array_equal(first.numpy(), np.where(array > 4, 3 * array**2, 0))
    (second,) = grad(first.sum(), x)
    np.testing.assert_array_equal(second.numpy(), np.where(array > 4, 6 * array, 0))


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.ones((4, 2), bool), np.ones((4, 3, 1), bool), np.ones(12, bool)])
def test_a_mask_that_does_not_fit(mask: np.ndarray):
    """A mask of another length would take other elements."""
    with pytest.raises(ShapeError, match="a mask has the lengths of the axes"):
        Tensor(np.ones((4, 3)))[mask]


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (np.array([0, 0, 2]), lambda index: index.fill(1)),
        (np.array([True, False, True]), lambda index: np.logical_not(index, out=index)),
        ([0, 0, 2], lambda index: index.reverse()),
        ((slice(None), np.array([0, 2])), lambda index: index[1].fill(1)),
    ],
)
def test_an_index_that_is_changed_later(index: Any, change: Any):
    """A loop that fills one array of positions again and again would send every gradient to the last of them."""
    x = Tensor(np.arange(3.0) if not isinstance(index, tuple) else np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = x[index]
    expected = ops.scatter(Tensor(np.ones(y.shape)), index, x.shape).numpy()
    change(index)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected)
