"""Content losses: how far a generated image is from the original, by pixels or by the features of VGG19.

Two terms on pixels can be added: `grid_penalty` against a lattice, `consistency_loss` against wrong colours.
"""

from minisrgan import ops
from minisrgan.autograd import Tensor, no_grad
from minisrgan.autograd.arguments import require_integer, setting
from minisrgan.autograd.checks import require_module
from minisrgan.errors import ShapeError
from minisrgan.nn import Module
from minisrgan.ops.checks import require_images


class MSEContent:
    """Mean squared error of pixels.

    Formula   (1 / (N H W C)) sum (original - generated)^2
    Gradient  (2 / (N H W C)) (generated - original)
    Source    SRGAN eq. 4. It optimises PSNR. If several images are likely, it chooses their average, which is blurred.

    >>> MSEContent()(Tensor([[[[1.0]]]]), Tensor([[[[0.0]]]])).item()
    1.0
    """

    def __call__(self, generated: Tensor, original: Tensor) -> Tensor:
        """Compare two batches (N, H, W, 3) in [-1, 1]."""
        return ops.mse(generated, original)


class VGGContent:
    """Squared distance of VGG19 feature maps.

    Formula   (scale^2 / (N W H)) sum (phi(original) - phi(generated))^2, W and H those of the feature map:
              the sum over channels is not divided by their number
    vgg       VGG19, or any other module that maps images to feature maps
    Errors    ArgumentError for what is no module, or a scale that is not above 0
    Gradient  flows through VGG19 to the generated image; VGG19 itself is frozen, the original's features are constants
    scale     1/12.75 brings the features of Caffe-style weights near the size of pixels: it multiplies the loss by
              about 0.006. Torchvision's weights give features that are about 60 times smaller: with the same factor,
              the loss would almost vanish, so the default for these weights is 1.
    Source    SRGAN eq. 5 and sec. 3.2.

    >>> import numpy as np
    >>> from minisrgan.models import VGG19
    >>> loss = VGGContent(VGG19("1,2"))
    >>> black = Tensor(np.full((1, 4, 4, 3), -1.0, np.float32))
    >>> loss(black, black).item()
    0.0
    """

    def __init__(self, vgg: Module, scale: float | None = None) -> None:
        self.vgg = require_module("VGGContent", vgg).eval().requires_grad_(False)
        usual = 1 / 12.75 if getattr(vgg, "convention", "") == "caffe" else 1.0
        self.scale = usual if scale is None else setting("VGGContent", "scale", scale, positive=True)

    def __call__(self, generated: Tensor, original: Tensor) -> Tensor:
        """Compare two batches (N, H, W, 3) in [-1, 1]."""
        with no_grad():
            target = self.vgg(original)
        features = require_images("VGGContent", self.vgg(generated), "features")
        # mse divides by the channels too, which eq. 5 does not.
        return ops.mse(features, target) * (features.shape[3] * self.scale**2)


def grid_penalty(generated: Tensor, original: Tensor, period: int = 4) -> Tensor:
    """Return how much the error of an image depends on the position modulo the period.

    A generator that enlarges r times computes each r x r square of pixels from one position of its feature maps, with
    separate weights for each of the r x r pixels. If these weights differ slightly too much, the image has a faint
    lattice. VGG's features hardly show it, and the gradients of networks with strides even cause it. In a photograph,
    all positions modulo r have the same average.

    Formula     d = generated - original
                m[n, i, j, c] = mean of d[n, y, x, c] over all y = i and x = j modulo the period
                penalty = (1/N) sum_{n,i,j,c} (m[n,i,j,c] - mean_{i,j} m[n,i,j,c])^2
    Gradient    for every pixel (2/N) (m - mean m) / (number of pixels that share its i and j): a lattice itself
    Shapes      two batches (N, H, W, C), H and W multiples of the period; a scalar, in squared units of the images
    Errors      ShapeError if H or W is no multiple of the period, or the shapes differ; ArgumentError if it is below 1
    Source      not in SRGAN. The artefact is that of Odena et al. 2016, Deconvolution and checkerboard artifacts.

    >>> import numpy as np
    >>> photo, lattice = np.zeros((1, 8, 8, 1), np.float32), np.zeros((1, 8, 8, 1), np.float32)
    >>> lattice[:, ::4] = 0.5                                           # one row in four is brighter
    >>> grid_penalty(Tensor(lattice), Tensor(photo)).item()             # 4 * 0.375^2 + 12 * 0.125^2
    0.75
    >>> grid_penalty(Tensor(photo + 0.5), Tensor(photo)).item()         # brighter everywhere: no lattice
    0.0
    """
    phase = _squares("grid_penalty", generated, original, period).mean(axis=(1, 3))  # (N, period, period, C)
    deviation = phase - phase.mean(axis=(1, 2), keepdims=True)
    return (deviation * deviation).sum() * (1.0 / len(generated))


def consistency_loss(generated: Tensor, original: Tensor, scale: int = 4) -> Tensor:
    """Return the mean squared difference between the image and the original after downscaling both.

    It preserves colours and large shapes, which may drift with a loss on VGG's features. It does not restrict texture
    inside of the scale x scale squares, because only their means are compared.

    Formula     s[n, y, x, c] = mean of generated - original over one square of scale x scale pixels
                loss = (scale^2 / (N H W C)) sum s^2
    Gradient    (2 / (N H W C)) s for each pixel of the square
    Shapes      two batches (N, H, W, C), H and W multiples of the scale; a scalar
    Errors      ShapeError if H or W is no multiple of the scale, or the shapes differ; ArgumentError if it is below 1
    Source      not in SRGAN. That the enlarged image must reproduce the small one is the constraint of iterative
                back-projection (Irani and Peleg 1991).

    >>> import numpy as np
    >>> dark, texture = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4, 1), np.float32)
    >>> texture[:, ::2], texture[:, 1::2] = 0.5, -0.5
    >>> [consistency_loss(Tensor(image), Tensor(dark)).item() for image in (texture, dark + 0.5)]
    [0.0, 0.25]
    """
    shrunk = _squares("consistency_loss", generated, original, scale).mean(axis=(2, 4))  # (N, H/scale, W/scale, C)
    return (shrunk * shrunk).mean()


def _squares(what: str, generated: Tensor, original: Tensor, side: int) -> Tensor:
    """Return generated - original, cut into squares: (N, H/side, side, W/side, side, C)."""
    generated, original = require_images(what, generated), require_images(what, original, "original")
    require_integer(what, "the period or scale", side, 1)
    count, height, width, channels = generated.shape
    if height % side or width % side or generated.shape != original.shape:
        expected = f"two batches of one shape, with height and width a multiple of {side}"
        got, fix = f"{generated.shape} and {original.shape}", "crop both to a multiple of the scale"
        raise ShapeError(what, expected=expected, got=got, fix=fix)
    return (generated - original).reshape(count, height // side, side, width // side, side, channels)
