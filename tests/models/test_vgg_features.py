"""A part of VGG19 is VGG19 up to another feature map."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan import Tensor
from minisrgan.errors import ArgumentError
from minisrgan.models import VGG19


def test_a_part_gives_the_earlier_feature_map_and_shares_the_weights() -> None:
    """Two maps of one network: with weights of its own, or the wrong convention, the part is another network."""
    whole = VGG19("3,1", "torchvision", rng=np.random.default_rng(1)).eval()
    part = whole.features("2,2")
    x = Tensor(np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32))
    shorter = VGG19("2,2", "torchvision")
    shorter.load_state_dict({name: a for name, a in whole.state_dict().items() if not name.startswith("block3")})
    np.testing.assert_array_equal(part(x).numpy(), shorter(x).numpy())
    assert part.block1_conv1 is whole.block1_conv1
    assert not part.training


def test_a_map_beyond_the_end_is_refused() -> None:
    """Layers that nobody loaded would be random, and their features mean nothing."""
    with pytest.raises(ArgumentError, match="phi up to 2,2"):
        VGG19("2,2").features("5,4")
