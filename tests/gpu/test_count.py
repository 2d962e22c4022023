"""What a step asks of a GPU may only become less.

A number that is lower now is written down here; one that is higher is a launch, or a wait, that nobody has noticed.
"""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan.backend import to_device
from tests.gpu import count

HELD = {
    "srresnet": {"launches": 643, "small": 53, "waits": 1, "columns": 1_969_643_520, "products": 110},
    "srgan": {"launches": 1396, "small": 228, "waits": 1, "columns": 6_784_376_832, "products": 236},
}


@pytest.mark.parametrize("stage", HELD)
def test_a_step_asks_no_more_of_a_gpu(stage: str) -> None:
    """A GPU runs a small kernel sooner than Python starts the next one: the paper's step is as long as its launches."""
    ledger = count.count(stage)
    assert ledger.numbers() == HELD[stage]
    assert ledger.copied == 0


def test_the_ledger_counts_as_cupy_launches() -> None:
    """A ledger that forgets a kind of launch shows a step that is shorter than it is."""
    with count.counted() as ledger:
        x = to_device(np.ones((300, 4, 1000), np.float32), "cuda")
        ledger.clear()
        y = (x + 1).sum(axis=1)
        y *= 2.0
        assert (y.shape, y.dtype) == ((300, 1000), np.float32)
        assert ledger.numbers() == {"launches": 3, "small": 0, "waits": 0, "columns": 0, "products": 0}
        z = x[:, 0].swapaxes(0, 1)  # views cost nothing
        assert ledger.launches == 3
        product = z.reshape(-1)[:300].reshape(1, 300) @ y  # the first reshape copies
        assert product.shape == (1, 1000)
        assert (ledger.launches, ledger.products) == (5, 1)
        assert (product > 0).any().tolist() is False
        assert (ledger.launches, ledger.small) == (7, 2)
        assert ledger.copied == 0
        _ = x[0, :, ::2] @ x[0, :, 1::2].swapaxes(0, 1)
        assert ledger.copied == 2
        assert count.standin.waits == [1]
