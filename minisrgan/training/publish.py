"""What of a training is for use: the generator, averaged and measured anew, and how good it is on other photographs."""

import copy
from collections.abc import Iterable, Mapping

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import Array, to_device, to_numpy
from minisrgan.images import imresize, psnr
from minisrgan.models import Generator
from minisrgan.nn import BatchNorm2d
from minisrgan.training.stages import Stage


def published(stage: Stage) -> Generator:
    """Return a copy of the generator in evaluation mode, with the averaged weights where they are averaged."""
    generator = copy.deepcopy(stage.generator)
    if stage.average:
        generator.load_state_dict(stage.average.average)
    return generator.eval()


def recalibrate(generator: Generator, batches: Iterable[Array]) -> None:
    """Measure the running statistics of batch norm anew, with the weights as they are, as means over some batches.

    During training they trail behind the weights, and an average of weights is a network of its own, whose statistics
    nobody has measured.

    Formula  after k batches running_mean = (m_1 + ... + m_k) / k, running_var likewise
    batches  low-resolution crops (N, h, w, 3) in [0, 1]
    Source   Izmailov et al. 2018, arXiv 1803.05407, sec. 3.2

    >>> generator = Generator(scale=2, channels=3, blocks=1)
    >>> recalibrate(generator, [np.ones((1, 4, 4, 3), np.float32)])
    >>> bool((generator.bn_middle.running_mean != 0).all())
    True
    """
    norms = [module for _, module in generator.named_modules() if isinstance(module, BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    generator.train()
    with no_grad():
        for count, low in enumerate(batches, 1):
            for norm in norms:
                norm.momentum = 1 / count  # the first batch replaces what was there
            generator(Tensor(low))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    generator.eval()


class Validation:
    """PSNR and content loss on photographs, and what the generator makes of them.

    photos   name -> uint8 (H, W, 3); of each the middle is taken, ``side`` pixels at most
    Returns  from a call: psnr in dB (luminance, 4 pixels cropped, as in papers), content_validation, the stage's own
             content loss, by which the best checkpoint of a GAN is chosen rather than by PSNR; and the pictures
    """

    def __init__(self, photos: Mapping[str, Array], scale: int, side: int = 192) -> None:
        self.originals: dict[str, Array] = {}
        for name, photo in photos.items():
            size = [min(side, length) // scale * scale for length in photo.shape[:2]]
            top, left = ((length - kept) // 2 for length, kept in zip(photo.shape[:2], size, strict=True))
            self.originals[name] = photo[top : top + size[0], left : left + size[1]].copy()
        self.low = {name: imresize(original, 1 / scale) for name, original in self.originals.items()}

    def __call__(self, stage: Stage, device: str = "cpu") -> tuple[dict[str, float], dict[str, Array]]:
        """Measure what would be published now."""
        generator, pictures, losses = published(stage), {}, []
        with no_grad():
            for name, original in self.originals.items():
                low = to_device(self.low[name][None].astype(np.float32) / np.float32(255), device)
                high = to_device(original[None].astype(np.float32) / np.float32(127.5) - np.float32(1), device)
                generated = generator(Tensor(low))
                losses.append(stage.loss.content(generated, Tensor(high)).item())
                levels = np.rint((to_numpy(generated.data[0]) + 1) * 127.5).clip(0, 255)
                pictures[name] = levels.astype(np.uint8)
        numbers = [psnr(pictures[name], original) for name, original in self.originals.items()]
        return {"psnr": float(np.mean(numbers)), "content_validation": float(np.mean(losses))}, pictures
