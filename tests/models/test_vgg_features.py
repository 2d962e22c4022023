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


def test_a_part_draws_no_weights_and_leaves_the_whole_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random VGG19 takes a second and 80 MB, only to be thrown away; a hook of the whole does not watch the part."""
    whole, seen = VGG19("2,2"), []
    whole.register_forward_hook(lambda module, inputs, y: seen.append(y.shape))
    names = list(whole.state_dict())
    monkeypatch.setattr(np.random, "default_rng", lambda seed: pytest.fail("a network is drawn"))
    part = whole.features("1,2")
    assert list(part.state_dict()) == [name for name in names if name.startswith("block1")]
    part(Tensor(np.zeros((1, 4, 4, 3), np.float32)))
    assert seen == []
    assert whole(Tensor(np.zeros((1, 4, 4, 3), np.float32))).shape == (1, 2, 2, 128)
    assert list(whole.state_dict()) == names
