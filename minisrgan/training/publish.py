"""What a run publishes: the generator, with averaged weights and recomputed statistics, and its validation."""

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
    """Return a copy of the generator in evaluation mode, with the averaged weights if there is an average."""
    generator = copy.deepcopy(stage.generator)
    if stage.average:
        generator.load_state_dict(stage.average.average)
    return generator.eval()


def recalibrate(generator: Generator, batches: Iterable[Array]) -> None:
    """Recompute the running statistics of batch norm with the final weights, as means over some batches.

    During training the running statistics lag behind the weights; and a network with averaged weights has statistics
    of its own, which were never measured.

    Formula  after k batches running_mean = (m_1 + ... + m_k) / k, and the same for running_var
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
                norm.momentum = 1 / count  # the first batch replaces the old statistics
            generator(Tensor(low))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    generator.eval()


class Validation:
    """PSNR and content loss on validation photographs, and the generator's output for them.

    photos   name -> uint8 (H, W, 3); the centre of each is used, ``side`` pixels at most
    Returns  from a call: psnr in dB (luminance, 4 pixels cropped, as in papers); content_validation, the stage's
             content loss, which selects the best checkpoint (for a GAN, PSNR would not); and the images
    """

    def __init__(self, photos: Mapping[str, Array], scale: int, side: int = 192) -> None:
        self.originals: dict[str, Array] = {}
        for name, photo in photos.items():
            size = [min(side, length) // scale * scale for length in photo.shape[:2]]
            top, left = ((length - kept) // 2 for length, kept in zip(photo.shape[:2], size, strict=True))
            self.originals[name] = photo[top : top + size[0], left : left + size[1]].copy()
        self.low = {name: imresize(original, 1 / scale) for name, original in self.originals.items()}

    def __call__(self, stage: Stage, device: str = "cpu") -> tuple[dict[str, float], dict[str, Array]]:
        """Evaluate the generator that would be published now."""
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
