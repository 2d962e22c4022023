"""VGG19: which feature map phi is, and what the two families of weights want as input."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan import Tensor, models, nn, ops
from minisrgan.errors import ArgumentError, ShapeError


def pictures(*shape: int) -> Tensor:
    """Random numbers in [-1, 1]."""
    return Tensor(np.random.default_rng(0).random(shape, np.float32) * 2 - 1)


def test_phi_of_the_paper():
    """phi_{5,4} taken behind the pool, or as the 15th convolution, is a loss that looks right and means another map."""
    model = models.VGG19("5,4")
    convs = [module for _, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 16
    assert [conv.weight.shape[3] for conv in convs] == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert model(pictures(1, 32, 48, 3)).shape == (1, 2, 3, 512)
    assert model.parameter_count() == 20_024_384  # VGG19 without its dense layers
    assert list(model.state_dict())[-1] == "block5_conv4.bias"


@pytest.mark.parametrize(
    ("phi", "convs", "shape"),
    [("1,1", 1, (2, 9, 13, 64)), ("1,2", 2, (2, 9, 13, 64)), ("2,2", 4, (2, 4, 6, 128)), ("3,1", 5, (2, 2, 3, 256))],
)
def test_shapes_of_other_maps(phi: str, convs: int, shape: tuple[int, ...]):
    """Layers behind the map that is asked for cost time and memory and change nothing."""
    model = models.VGG19(phi)
    assert len(model.parameters()) == 2 * convs
    assert model(pictures(2, 9, 13, 3)).shape == shape


def test_phi_22_layer_by_layer():
    """Pooling before the ReLU, or a ReLU left out, keeps every shape."""
    model = models.VGG19("2,2", rng=np.random.default_rng(5))
    for name, conv in model.children().items():
        if isinstance(conv, nn.Conv2d):
            conv.bias.data[...] = len(name)
    x = pictures(1, 6, 6, 3)
    y = model.prepare(x)
    for conv in (model.block1_conv1, model.block1_conv2):
        y = ops.relu(ops.conv2d(y, conv.weight, conv.bias, padding=1))
    y = ops.max_pool2d(y, 2)
    for conv in (model.block2_conv1, model.block2_conv2):
        y = ops.relu(ops.conv2d(y, conv.weight, conv.bias, padding=1))
    np.testing.assert_array_equal(model(x).numpy(), y.numpy())


def test_preparation_by_hand():
    """RGB for BGR, or [0, 1] for 0..255, makes features that still look like features, and a loss that misleads."""
    colour = Tensor(np.array([[[[1.0, 0.0, -1.0]]]], np.float32))  # red 255, green 127.5, blue 0
    caffe = models.VGG19("1,1", "caffe").prepare(colour).numpy()
    np.testing.assert_allclose(caffe[0, 0, 0], [0 - 103.939, 127.5 - 116.779, 255 - 123.68], rtol=1e-5)
    torchvision = models.VGG19("1,1", "torchvision").prepare(colour).numpy()
    expected = [(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    np.testing.assert_allclose(torchvision[0, 0, 0], expected, rtol=1e-5)
    assert caffe.dtype == torchvision.dtype == np.float32


@pytest.mark.parametrize("phi", ["5,5", "6,1", "2,3", "22", "0,1", ""])
def test_maps_that_there_are_not(phi: str):
    """`phi="5,5"` read as block 5, last convolution, would be 5,4 in disguise."""
    with pytest.raises(ArgumentError, match=r"1,1 1,2 2,1.*5,4"):
        models.VGG19(phi)


def test_conventions_that_there_are_not():
    """The message has to say what the choices mean: this is the mistake that makes the content loss vanish."""
    with pytest.raises(ArgumentError, match=r"(?s)caffe: BGR.*torchvision: RGB.*'keras'"):
        models.VGG19("2,2", "keras")


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (8, 8, 3), (1, 8, 8, 1)])
def test_what_is_not_a_batch_of_photographs(shape: tuple[int, ...]):
    """A grey picture would be broadcast against the three means, and pass."""
    with pytest.raises(ShapeError, match="in VGG19, at vgg19"):
        models.VGG19("1,1")(Tensor(np.zeros(shape, np.float32)))


def test_pictures_too_small_for_the_pools():
    """The error names the layer at which nothing was left to pool."""
    with pytest.raises(ShapeError, match=r"max_pool2d, at vgg19\.pool"):
        models.VGG19("3,1")(pictures(1, 2, 2, 3))
