"""Content losses: how far a generated image is from the original, by pixels or by the features of VGG19."""

from minisrgan import ops
from minisrgan.autograd import Tensor, no_grad
from minisrgan.nn import Module


class MSEContent:
    """Mean squared error of pixels.

    Formula   (1 / (N H W C)) sum (original - generated)^2
    Gradient  (2 / (N H W C)) (generated - original)
    Source    SRGAN eq. 4. What it is best at is PSNR; among the likely pictures it chooses their average, a blur.

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
    vgg       or any other module from images to feature maps
    Gradient  flows through VGG19 to the generated image; VGG19 itself is frozen, the original's features are constants
    scale     1/12.75 brings the features of Caffe-style weights near the size of pixels, the loss by about 0.006. With
              torchvision's weights features are some 60 times smaller: the same factor would make the loss vanish, so
              there the default is 1.
    Source    SRGAN eq. 5 and sec. 3.2.

    >>> import numpy as np
    >>> from minisrgan.models import VGG19
    >>> loss = VGGContent(VGG19("1,2"))
    >>> black = Tensor(np.full((1, 4, 4, 3), -1.0, np.float32))
    >>> loss(black, black).item()
    0.0
    """

    def __init__(self, vgg: Module, scale: float | None = None) -> None:
        self.vgg = vgg.eval().requires_grad_(False)
        self.scale = scale if scale is not None else 1 / 12.75 if getattr(vgg, "convention", "") == "caffe" else 1.0

    def __call__(self, generated: Tensor, original: Tensor) -> Tensor:
        """Compare two batches (N, H, W, 3) in [-1, 1]."""
        with no_grad():
            target = self.vgg(original)
        features = self.vgg(generated)
        # mse divides by the channels too, which eq. 5 does not.
        return ops.mse(features, target) * (features.shape[3] * self.scale**2)
